//! `qiantang ingest`: collect a file or a query into an entry.

use std::path::PathBuf;
use std::process::ExitCode;

use app::collection::{self, Order};
use model::code::SyncMode;
use model::parcel::{Run, RunState, Sniffed};
use model::{Error, Result};
use policy::port::{ReadOptions, Source};

use super::{Place, err, out, out_json, progress};
use crate::relay;

/// Collect a file or a query into an entry. 归集文件或查询。
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples 示例:\n  qiantang ingest air.csv.zst --entry air_daily\n  qiantang ingest --query 'SELECT * FROM t' --url-file source.url --entry t --mode incremental --operation-column op"
)]
pub(crate) struct Args {
    /// File to read; not with --query. 文件。
    file: Option<PathBuf>,
    /// Entry code. 目录编码。
    #[arg(long)]
    entry: String,
    /// One SELECT on a PostgreSQL or MySQL source. 查询。
    #[arg(long, requires = "url_file", conflicts_with = "file")]
    query: Option<String>,
    /// File whose first line is the source's URL (with its password). 数据源地址文件。
    #[arg(long, value_name = "FILE")]
    url_file: Option<PathBuf>,
    /// `full` replaces, `incremental` merges by the business key; otherwise as the entry says. 方式。
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,
    /// Read and type everything, land nothing. 试读。
    #[arg(long)]
    dry_run: bool,
    /// Column that says I, U or D (insert, update, delete); for incremental sources. 操作标识列。
    #[arg(long, value_name = "COLUMN")]
    operation_column: Option<String>,
    /// Format when it is not found out (`csv`, `json`, `jsonl`, `geojson`, `xlsx`, `xls`, `ods`, `parquet`). 格式。
    #[arg(long)]
    format: Option<String>,
    /// Encoding when it is not found out (`utf-8`, `gb18030`, …). 编码。
    #[arg(long)]
    encoding: Option<String>,
    /// Field separator when it is not found out. 分隔符。
    #[arg(long)]
    delimiter: Option<char>,
    /// Sheet of a workbook. 工作表。
    #[arg(long)]
    sheet: Option<String>,
    /// Header rows when they are not found out. 表头行数。
    #[arg(long)]
    header_rows: Option<u64>,
    #[command(flatten)]
    pub(super) place: Place,
    /// Answer as JSON. 以 JSON 输出。
    #[arg(long)]
    pub(crate) json: bool,
}

impl Args {
    fn options(&self) -> ReadOptions {
        ReadOptions {
            format: self.format.clone(),
            encoding: self.encoding.clone(),
            delimiter: self.delimiter,
            sheet: self.sheet.clone(),
            header_rows: self.header_rows,
            operation_column: self.operation_column.clone(),
            ..ReadOptions::default()
        }
    }
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let (house, op) = args.place.enter().await?;
    let entry = app::catalogue::get(&house.app, &op, &args.entry).await?;
    let mode = match args.mode.as_deref() {
        None => entry.draft.sync_mode,
        Some(word) => SyncMode::parse(word).ok_or_else(|| {
            Error::invalid("方式应为 full 或 incremental", "the mode is full or incremental")
        })?,
    };
    let options = args.options();
    let (source, sniffed) = source(&args, &house, &op).await?;
    let order = Order { entry: entry.id.clone(), source, mode, options };
    let (run, rejects) = if args.dry_run {
        collection::dry_run(&house.app, &op, order).await?
    } else {
        (watched(&house, &op, order).await?, Vec::new())
    };
    report(&args, &run, sniffed.as_ref(), &rejects)?;
    house.close().await;
    Ok(match run.state {
        RunState::Failed => ExitCode::from(1),
        _ => ExitCode::SUCCESS,
    })
}

/// Collects with a bar on a terminal.
async fn watched(house: &crate::house::House, op: &model::Op, order: Order) -> Result<Run> {
    let started = collection::start(&house.app, op, order).await?;
    let bar = progress(started.bytes_total);
    loop {
        let run = collection::run(&house.app, op, &started.id).await?;
        bar.set_length(run.bytes_total);
        bar.set_position(run.bytes_done);
        bar.set_message(format!("{} rows", run.read));
        if !matches!(run.state, RunState::Queued | RunState::Running) {
            bar.finish_and_clear();
            return Ok(run);
        }
        collection::changed(&house.app, &started.id).await;
    }
}

async fn source(
    args: &Args,
    house: &crate::house::House,
    op: &model::Op,
) -> Result<(Source, Option<Sniffed>)> {
    if let (Some(sql), Some(url_file)) = (&args.query, &args.url_file) {
        let url_file = &relay::meant(url_file);
        let text = std::fs::read_to_string(url_file).map_err(|e| unreadable(url_file, e))?;
        let url = text.lines().next().unwrap_or_default().trim().to_owned();
        return Ok((Source::Query { url, sql: sql.clone(), name: "query".into() }, None));
    }
    let Some(file) = &args.file.as_deref().map(relay::meant) else {
        return Err(Error::invalid("请给出文件，或用 --query", "name a file, or use --query"));
    };
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if args.dry_run {
        let sniffed = collection::sniff(&house.app, op, file, &name).await?;
        return Ok((Source::File { path: file.clone(), name }, Some(sniffed)));
    }
    let spooled = collection::spool_file(&house.app, op, &args.entry, &name, file).await?;
    let sniffed = match collection::glance(&house.app, op, &spooled.path, &name).await {
        Ok(found) => Some(found),
        Err(e) => {
            // The run itself will tell; here it only means there is nothing to report about the file.
            err(&format!("注意 note: {} / {}", e.zh(), e.en()));
            None
        }
    };
    Ok((Source::File { path: spooled.path, name }, sniffed))
}

fn unreadable(path: &std::path::Path, e: std::io::Error) -> Error {
    Error::invalid(
        format!("无法读取 {}：{e}", path.display()),
        format!("{} cannot be read: {e}", path.display()),
    )
}

fn report(
    args: &Args,
    run: &Run,
    sniffed: Option<&Sniffed>,
    rejects: &[model::parcel::Reject],
) -> Result<()> {
    if args.json {
        return out_json(&serde_json::json!({
            "run": run.id,
            "state": run.state,
            "read": run.read,
            "accepted": run.accepted,
            "quarantined": run.quarantined,
            "encoding": sniffed.map(|s| s.encoding.clone()),
            "delimiter": sniffed.and_then(|s| s.delimiter.clone()),
            "columns": sniffed.map(|s| s.columns.iter().map(|c| c.name.clone()).collect::<Vec<_>>()),
            "parcel": run.parcel,
            "version": run.version,
            "message": run.message_en,
            "message_zh": run.message_zh,
            "rejects": rejects,
        }));
    }
    for r in rejects {
        out(&format!(
            "  记录 record {} 行 line {} {}: {} / {} ({})",
            r.record, r.line, r.column, r.zh, r.en, r.value
        ));
    }
    out(&format!(
        "{} {}: 读取 read {} = 接收 accepted {} + 隔离 quarantined {}",
        run.state.zh(),
        run.state.as_str(),
        run.read,
        run.accepted,
        run.quarantined
    ));
    if !run.message_en.is_empty() {
        out(&format!("  {} / {}", run.message_zh, run.message_en));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn what_is_said_about_a_source_reaches_the_reader() {
        let line = Line::parse_from([
            "ingest",
            "a.txt",
            "--entry",
            "e",
            "--operation-column",
            "变更类型",
            "--format",
            "csv",
            "--header-rows",
            "1",
        ]);
        let options = line.args.options();
        assert_eq!(options.operation_column.as_deref(), Some("变更类型"));
        assert_eq!((options.format.as_deref(), options.header_rows), (Some("csv"), Some(1)));
    }
}

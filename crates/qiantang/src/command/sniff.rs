//! `qiantang sniff`: what is this file? Needs no data folder.

use std::path::PathBuf;
use std::process::ExitCode;

use model::Result;
use policy::port::Intake;

use super::{out, out_json};

/// Say what a file is, and draft an entry from it. 识别文件。
#[derive(Debug, clap::Args)]
#[command(after_help = "Example 示例: qiantang sniff air.csv.gz --json --draft")]
pub(crate) struct Args {
    file: PathBuf,
    /// Add a drafted catalogue entry. 附目录草稿。
    #[arg(long)]
    draft: bool,
    /// Answer as JSON. 以 JSON 输出。
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let name = args.file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let sniffed = ingest::Reader.sniff(&args.file, &name).await?;
    let items = args.draft.then(|| ingest::draft(&sniffed));
    if args.json {
        let mut value = serde_json::to_value(&sniffed)
            .map_err(|e| model::Error::internal("JSON").caused_by(e))?;
        if let (Some(items), Some(map)) = (&items, value.as_object_mut()) {
            map.insert("draft".into(), serde_json::json!({ "title": name, "items": items }));
        }
        return out_json(&value).map(|()| ExitCode::SUCCESS);
    }
    let or_dash = |o: &Option<String>| o.clone().unwrap_or_else(|| "-".into());
    out(&format!(
        "格式 format      {} {}\n编码 encoding    {}\n分隔 delimiter   {}\n引号 quote       {}\n前言 preamble    {} lines\n表头 header      {} rows\n尾注 footer      {} rows\n工作表 sheet     {}\n记录 records     {}",
        sniffed.format,
        sniffed.compression,
        sniffed.encoding,
        or_dash(&sniffed.delimiter),
        or_dash(&sniffed.quote),
        sniffed.preamble,
        sniffed.header_rows,
        sniffed.footer,
        or_dash(&sniffed.sheet),
        sniffed.records.map_or_else(|| "?".to_owned(), |n| n.to_string()),
    ));
    for column in &sniffed.columns {
        out(&format!(
            "  {:<24} {:<10} {}",
            column.name,
            column.data_type,
            column.examples.join(" | ")
        ));
    }
    for (zh, en) in &sniffed.notes {
        out(&format!("注意 note: {zh} / {en}"));
    }
    if let Some(items) = items {
        for item in items {
            out(&format!(
                "  draft {:<24} {:<10} {} {}",
                item.identifier, item.data_type, item.grade, item.name_cn
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

//! `qiantang catalogue`: import, export and list entries.

use std::path::PathBuf;
use std::process::ExitCode;

use app::catalogue::SheetFormat;
use clap::Subcommand;
use model::entry::EntryFilter;
use model::{Error, Result};

use super::{Place, out, out_json, working};
use crate::relay;

/// Import, export and list the catalogue. 目录导入、导出、列表。
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example 示例: qiantang catalogue import catalogue.xlsx --as authority --dry-run"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    pub(super) place: Place,
    /// Answer as JSON. 以 JSON 输出。
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Import a whole catalogue from XLSX or CSV, all or nothing. 导入。
    #[command(
        after_help = "Examples 示例:\n  qiantang catalogue import catalogue.xlsx --as authority --dry-run\n  qiantang catalogue import draft.csv --as provider"
    )]
    Import {
        file: PathBuf,
        /// Check only. 只检查。
        #[arg(long)]
        dry_run: bool,
    },
    /// Export the entries as XLSX or CSV (by the file's ending). Runs beside a server. 导出。
    #[command(after_help = "Example 示例: qiantang catalogue export catalogue.xlsx --as authority")]
    Export { file: PathBuf },
    /// List entries. Runs beside a server. 列表。
    #[command(after_help = "Example 示例: qiantang catalogue list --text 企业 --json")]
    List {
        /// Part of title or code. 名称或编码的一部分。
        #[arg(long)]
        text: Option<String>,
    },
}

impl Args {
    /// Whether the command changes something (then it cannot go beside a server by itself).
    pub(crate) fn changes(&self) -> bool {
        !matches!(self.action, Action::Export { .. } | Action::List { .. })
    }
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let (house, op) = match args.action {
        Action::Import { .. } => args.place.enter().await?,
        Action::Export { .. } | Action::List { .. } => args.place.look().await?,
    };
    let mut code = ExitCode::SUCCESS;
    match &args.action {
        Action::Import { file, dry_run } => {
            let name =
                file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let told = working("导入目录 importing the catalogue");
            let report =
                app::catalogue::import(&house.app, &op, &relay::meant(file), &name, *dry_run)
                    .await?;
            drop(told);
            if args.json {
                out_json(&report)?;
            } else {
                for fault in &report.faults {
                    out(&format!("{}: {} / {}", fault.field, fault.zh, fault.en));
                }
                let state = if report.applied {
                    "已导入 imported"
                } else {
                    "未导入 nothing imported"
                };
                out(&format!(
                    "{state}: {} entries, {} items, {} new, {} changed, {} faults",
                    report.entries,
                    report.items,
                    report.created.len(),
                    report.changed.len(),
                    report.faults.len()
                ));
            }
            if !report.faults.is_empty() {
                code = ExitCode::from(1);
            }
        }
        Action::Export { file } => {
            let format = sheet_format(file)?;
            let told = working("导出目录 exporting the catalogue");
            let bytes = app::catalogue::export(&house.app, &op, format).await?;
            drop(told);
            std::fs::write(file, &bytes).map_err(|e| {
                Error::invalid(
                    format!("无法写入 {}", file.display()),
                    format!("cannot write {}", file.display()),
                )
                .caused_by(e)
            })?;
            if args.json {
                out_json(&serde_json::json!({ "file": file, "bytes": bytes.len() }))?;
            } else {
                out(&format!("已导出 exported: {}", file.display()));
            }
        }
        Action::List { text } => {
            let mut filter =
                EntryFilter { text: text.clone(), limit: 500, ..EntryFilter::default() };
            loop {
                let page = app::catalogue::list(&house.app, &op, &filter).await?;
                for e in &page.items {
                    if args.json {
                        out_json(e)?;
                    } else {
                        out(&format!(
                            "{:<28} {:<14} {:<12} {:>10}  {}",
                            e.draft.code, e.publish_state, e.online_state, e.rows, e.draft.title
                        ));
                    }
                }
                match page.next {
                    Some(next) => filter.after = Some(next),
                    None => break,
                }
            }
        }
    }
    house.close().await;
    Ok(code)
}

/// The format that a file name's ending means.
pub(super) fn sheet_format(file: &std::path::Path) -> Result<SheetFormat> {
    match file.extension().and_then(|e| e.to_str()) {
        Some("csv") => Ok(SheetFormat::Csv),
        Some("xlsx") => Ok(SheetFormat::Xlsx),
        _ => Err(Error::invalid(
            "文件名应以 .csv 或 .xlsx 结尾",
            "the file name must end in .csv or .xlsx",
        )),
    }
}

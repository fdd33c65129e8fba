//! `qiantang report`: reporting tasks from the command line.

use std::path::PathBuf;
use std::process::ExitCode;

use app::report::{self, Faced, Import};
use clap::Subcommand;
use model::{Error, Op, Result};

use super::{Place, out, out_json};
use crate::house::House;
use crate::relay;

/// List reporting tasks, get their workbooks, fill them from a workbook. 信息报送。
#[derive(Debug, clap::Args)]
#[command(after_help = "Example 示例: qiantang report list --as county --json")]
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
    /// List the tasks of one's organisation, newest first. 任务列表。
    #[command(after_help = "Example 示例: qiantang report list --as county")]
    List {
        /// Those of the organisations below instead. 下级的任务。
        #[arg(long)]
        below: bool,
    },
    /// Write a task's workbook: its rows, or the empty template. 导出工作簿。
    #[command(
        after_help = "Example 示例: qiantang report export 019a0000000070008000000000000001 --output t.xlsx --as county"
    )]
    Export {
        /// Id of the task. 编号。
        id: String,
        /// File to write. 输出文件。
        #[arg(long, short)]
        output: PathBuf,
        /// The template without rows. 空模板。
        #[arg(long)]
        template: bool,
    },
    /// Replace a task's draft by a filled workbook; faults are told by sheet and cell. 导入工作簿。
    #[command(
        after_help = "Example 示例: qiantang report import 019a0000000070008000000000000001 t.xlsx --as county"
    )]
    Import {
        /// Id of the task. 编号。
        id: String,
        /// The filled workbook. 填好的工作簿。
        file: PathBuf,
        /// If there are faults, take the good rows only. 只导入正确的行。
        #[arg(long)]
        good_rows: bool,
    },
}

impl Args {
    /// Whether the command changes something (then it cannot go beside a server by itself).
    pub(crate) fn changes(&self) -> bool {
        matches!(self.action, Action::Import { .. })
    }
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let (house, op) = args.place.open(args.changes()).await?;
    let done = act(&house, &op, args.action, args.json).await;
    house.close().await;
    done
}

async fn act(house: &House, op: &Op, action: Action, json: bool) -> Result<ExitCode> {
    let app = &house.app;
    match action {
        Action::List { below } => {
            let faced = if below { Faced::Below(false) } else { Faced::Own };
            let mut before = None;
            loop {
                let page = report::desk(app, op, faced, before.as_deref(), 200).await?;
                for task in &page.items {
                    if json {
                        out_json(task)?;
                    } else {
                        out(&format!(
                            "{}  {} {}  {}  {}  期限 due {}  {} 行 rows",
                            task.id,
                            task.title,
                            task.period,
                            task.org_name,
                            task.state.zh(),
                            task.due,
                            task.rows
                        ));
                    }
                }
                before = page.next;
                if before.is_none() {
                    return Ok(ExitCode::SUCCESS);
                }
            }
        }
        Action::Export { id, output, template } => {
            let (_, bytes) = match template {
                true => report::template(app, op, &id).await?,
                false => report::filled(app, op, &id).await?,
            };
            std::fs::write(&output, &bytes).map_err(|e| {
                Error::invalid(
                    format!("无法写入 {}：{e}", output.display()),
                    format!("{} cannot be written: {e}", output.display()),
                )
            })?;
            let (path, bytes) = (output.display().to_string(), bytes.len());
            if json {
                out_json(&serde_json::json!({ "id": id, "file": path, "bytes": bytes }))?;
            } else {
                out(&format!("已写入 written: {path}"));
            }
            Ok(ExitCode::SUCCESS)
        }
        Action::Import { id, file, good_rows } => {
            let seen = report::task(app, op, &id).await?.task.version;
            told(&report::import(app, op, &id, seen, &relay::meant(&file), good_rows).await?, json)
        }
    }
}

fn told(import: &Import, json: bool) -> Result<ExitCode> {
    if json {
        out_json(&serde_json::json!({
            "id": import.task.id, "read": import.read, "kept": import.kept, "saved": import.saved,
            "fault_count": import.fault_count, "faults": import.faults,
        }))?;
    } else {
        let what = if import.saved {
            "已存为草稿 kept as draft"
        } else {
            "未导入 nothing was kept"
        };
        out(&format!("{what}: {} / {}", import.kept, import.read));
        for fault in &import.faults {
            out(&format!("  ✗ {}  {}\n    {}", fault.at, fault.zh, fault.en));
        }
    }
    Ok(if import.fault_count == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

//! `qiantang delivery`: deliveries from the command line. They are made on a page, where what would be delivered can be looked at.

use std::process::ExitCode;

use app::delivery::{self, DeliveryView};
use clap::Subcommand;
use model::{Op, Result};

use super::{Place, out, out_json, told};
use crate::house::House;

/// Deliver what was agreed for batch use into a department's database or folder. 推送任务。
#[derive(Debug, clap::Args)]
#[command(after_help = "Example 示例: qiantang delivery list --json")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    pub(super) place: Place,
    /// Answer as JSON. 以 JSON 输出。
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
struct One {
    /// Id of the delivery. 编号。
    id: String,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List deliveries with state, next turn and last error. 列表。
    #[command(after_help = "Example 示例: qiantang delivery list")]
    List,
    /// Show a delivery with its turns and receipts, newest first. 详情与回执。
    #[command(after_help = "Example 示例: qiantang delivery show 019a0000000070008000000000000001")]
    Show(One),
    /// Deliver now. 立即投送。
    #[command(after_help = "Example 示例: qiantang delivery run 019a0000000070008000000000000001")]
    Run {
        #[command(flatten)]
        one: One,
        /// Bring all anew, in one transaction. 全量修复。
        #[arg(long)]
        anew: bool,
    },
    /// Hold the target against what is granted; 1 when they differ. 核对。
    #[command(
        after_help = "Example 示例: qiantang delivery check 019a0000000070008000000000000001"
    )]
    Check(One),
    /// Stop a delivery; a turn under way is undone. 停用。
    #[command(
        after_help = "Example 示例: qiantang delivery pause 019a0000000070008000000000000001"
    )]
    Pause(One),
    /// Publish a delivery, or let one that was stopped go on. 发布或启用。
    #[command(
        after_help = "Example 示例: qiantang delivery resume 019a0000000070008000000000000001"
    )]
    Resume(One),
}

impl Args {
    /// Whether the command changes something (then it cannot go beside a server by itself).
    pub(crate) fn changes(&self) -> bool {
        !matches!(self.action, Action::List | Action::Show(_))
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
        Action::List => {
            let mut after = None;
            loop {
                let page = delivery::list(app, op, None, after.as_deref(), 200).await?;
                for view in &page.items {
                    if json { out_json(view)? } else { show(view) }
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Action::Show(One { id }) => {
            let view = delivery::get(app, op, &id).await?;
            let turns = delivery::turns(app, op, &id, None, 50).await?.items;
            if json {
                out_json(&serde_json::json!({ "delivery": view, "turns": turns }))?;
            } else {
                show(&view);
                for turn in turns {
                    let brought = turn.receipt.map_or_else(String::new, |r| {
                        format!(
                            "  {}  写入 written {}  删除 removed {}  目标行 rows there {}  {}",
                            r.mode.zh(),
                            r.upserts,
                            r.deletes,
                            r.target_rows.map_or_else(|| "-".to_owned(), |n| n.to_string()),
                            r.sha256
                        )
                    });
                    out(&format!("  {}  {}  {}{brought}", turn.id, turn.at, turn.state.zh()));
                }
            }
        }
        Action::Run { one: One { id }, anew: true } => {
            told(json, &id, delivery::anew(app, op, &id).await)?;
        }
        Action::Run { one: One { id }, anew: false } => {
            told(json, &id, delivery::run(app, op, &id).await)?;
        }
        Action::Check(One { id }) => {
            let check = delivery::compare(app, op, &id).await?;
            if json {
                out_json(&check)?;
            } else {
                let sign = if check.equal { "=" } else { "≠" };
                out(&format!(
                    "版本 version {}  目标 target {} {} {sign} 授权 granted {} {}",
                    check.version,
                    check.target_rows,
                    check.target_sum,
                    check.granted_rows,
                    check.granted_sum
                ));
            }
            return Ok(if check.equal { ExitCode::SUCCESS } else { ExitCode::from(1) });
        }
        Action::Pause(One { id }) => told(json, &id, delivery::pause(app, op, &id).await)?,
        Action::Resume(One { id }) => told(json, &id, delivery::resume(app, op, &id).await)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn show(view: &DeliveryView) {
    let (d, f) = (&view.delivery, &view.figures);
    out(&format!(
        "{}  {} → {} {} {}  {}  写入 written {}  删除 removed {}  下次 next {}",
        d.id,
        d.entry_code,
        d.org_name,
        d.place,
        d.table,
        d.state.zh(),
        f.upserts,
        f.deletes,
        if view.due.is_empty() { "-" } else { &view.due }
    ));
    let turn = view.turn.as_ref().map(|turn| (&turn.zh, &turn.en));
    let (zh, en) = turn.filter(|(zh, _)| !zh.is_empty()).unwrap_or((&d.zh, &d.en));
    if !zh.is_empty() {
        out(&format!("    {zh}\n    {en}"));
    }
}

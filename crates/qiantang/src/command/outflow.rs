//! `qiantang outflow`: the return flow from the command line.

use std::process::ExitCode;

use app::outflow::{self, OutflowView};
use clap::Subcommand;
use model::outflow::OutflowNew;
use model::{Code, Op, Result};

use super::{Place, out, out_json, told};
use crate::house::House;

/// Deliver a region's rows of an entry to its body's database as they change. 数据回流。
#[derive(Debug, clap::Args)]
#[command(after_help = "Example 示例: qiantang outflow list --json")]
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
struct Wanted {
    /// Id of the approved share application. 已通过的共享申请编号。
    #[arg(long)]
    request: String,
    /// Id of the receiving database, or its name in one's organisation. 接收数据库编号或名称。
    #[arg(long)]
    target: String,
    /// Table there, `table` or `schema.table`; the entry's code without it. 目标表。
    #[arg(long, default_value = "")]
    table: String,
    /// Item to deliver, once for each; all granted ones without it. 数据项，可重复。
    #[arg(long = "item")]
    items: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List outflows with lag, rows and last error. 列表。
    #[command(after_help = "Example 示例: qiantang outflow list")]
    List,
    /// Make an outflow; it begins at once. 新建。
    #[command(
        after_help = "Example 示例: qiantang outflow create --as city --request 019a… --target 城市库"
    )]
    Create(Wanted),
    /// Let an outflow rest where it stands. 暂停。
    #[command(after_help = "Example 示例: qiantang outflow pause 019a0000000070008000000000000001")]
    Pause {
        /// Id of the outflow. 编号。
        id: String,
    },
    /// Go on from where the target stands. 恢复。
    #[command(
        after_help = "Example 示例: qiantang outflow resume 019a0000000070008000000000000001"
    )]
    Resume {
        /// Id of the outflow. 编号。
        id: String,
        /// Fill the target anew, in one transaction. 重新投送。
        #[arg(long)]
        anew: bool,
    },
    /// Compare the rows at the target with those granted; 1 when they differ. 核对行数。
    #[command(after_help = "Example 示例: qiantang outflow check 019a0000000070008000000000000001")]
    Check {
        /// Id of the outflow. 编号。
        id: String,
    },
    /// End an outflow; what it delivered stays. 移除。
    #[command(
        after_help = "Example 示例: qiantang outflow remove 019a0000000070008000000000000001"
    )]
    Remove {
        /// Id of the outflow. 编号。
        id: String,
        /// Also when the target cannot be reached. 目标库不可达时也移除。
        #[arg(long)]
        force: bool,
    },
}

impl Args {
    /// Whether the command changes something (then it cannot go beside a server by itself).
    pub(crate) fn changes(&self) -> bool {
        !matches!(self.action, Action::List)
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
                let page = outflow::list(app, op, after.as_deref(), 200).await?;
                for view in &page.items {
                    if json { out_json(view)? } else { show(view) }
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Action::Create(wanted) => {
            let new = wanted.outflow(house, op).await?;
            let made = outflow::create(app, op, &new).await?;
            if json {
                out_json(&made)?;
            } else {
                out(&format!("已新建 made: {} {}", made.outflow.id, made.outflow.entry_code));
            }
        }
        Action::Pause { id } => told(json, &id, outflow::pause(app, op, &id).await)?,
        Action::Resume { id, anew: true } => told(json, &id, outflow::anew(app, op, &id).await)?,
        Action::Resume { id, anew: false } => told(json, &id, outflow::resume(app, op, &id).await)?,
        Action::Check { id } => {
            let counted = outflow::compare(app, op, &id).await?;
            if json {
                out_json(&counted)?;
            } else {
                let sign = if counted.equal { "=" } else { "≠" };
                out(&format!(
                    "版本 version {}  目标 target {} {sign} 授权 granted {}",
                    counted.version, counted.target_rows, counted.granted_rows
                ));
            }
            return Ok(if counted.equal { ExitCode::SUCCESS } else { ExitCode::from(1) });
        }
        Action::Remove { id, force } => {
            told(json, &id, outflow::remove(app, op, &id, force).await)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Wanted {
    async fn outflow(self, house: &House, op: &Op) -> Result<OutflowNew> {
        let source = match app::collection::source::get(&house.app, op, &self.target).await {
            Ok(source) => source.id,
            Err(e) if e.code() == Code::NotFound && op.actor.org().is_some() => {
                let named = app::collection::source::list(&house.app, op).await?;
                named.into_iter().find(|s| s.name == self.target).ok_or(e)?.id
            }
            Err(e) => return Err(e),
        };
        Ok(OutflowNew { request: self.request, source, table: self.table, items: self.items })
    }
}

fn show(view: &OutflowView) {
    let (o, f) = (&view.outflow, &view.figures);
    out(&format!(
        "{}  {} → {}  {}  写入 written {}  删除 removed {}  滞后 behind {} ({} s)",
        o.id,
        o.entry_code,
        o.org_name,
        f.state.zh(),
        f.upserts,
        f.deletes,
        f.behind,
        f.lag_seconds
    ));
    if !f.zh.is_empty() {
        out(&format!("    {}\n    {}", f.zh, f.en));
    }
}

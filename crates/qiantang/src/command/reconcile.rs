//! `qiantang reconcile`: what a channel's source holds compared with the lake, and healed.

use std::process::ExitCode;

use app::reconcile::{self, Asked};
use model::Result;
use model::reconcile::{ReconcileState, Reconciliation};

use super::{Place, out, out_json};

/// Rows of differences that are printed.
const SHOWN: u32 = 200;

/// Compare an entry with what a rail, pipeline, exchange, reporting or query brings it from. 数据核对。
#[derive(Debug, clap::Args)]
#[command(after_help = "Example 示例: qiantang reconcile frdwjbxx --heal\n\
                  qiantang reconcile air_quality --from pipeline\n\
                  Exit 1 when rows differ, 4 when it could not be finished. 有差异退出码 1，未完成 4。")]
pub(crate) struct Args {
    /// Id or code of the entry. 目录编号或编码。
    entry: String,
    /// Which of its sources, by id, name or kind: rail, pipeline, exchange, report, query. 数据来源。
    #[arg(long)]
    from: Option<String>,
    /// Heal what differs: only those rows are read again. 补正差异。
    #[arg(long)]
    heal: bool,
    /// Do not compare, show the last one. 只看最近一次。
    #[arg(long, conflicts_with = "heal")]
    last: bool,
    #[command(flatten)]
    pub(super) place: Place,
    /// Answer as JSON. 以 JSON 输出。
    #[arg(long)]
    pub(crate) json: bool,
}

impl Args {
    /// Whether the command changes something (then it cannot go beside a server by itself).
    pub(crate) fn changes(&self) -> bool {
        !self.last
    }
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let (house, op) = args.place.open(args.changes()).await?;
    let done = act(&house.app, &op, &args).await;
    house.close().await;
    done
}

async fn act(app: &std::sync::Arc<app::App>, op: &model::Op, args: &Args) -> Result<ExitCode> {
    let run = if args.last {
        let page = reconcile::list(app, op, Asked::Entry(&args.entry), None, 1).await?;
        let missing = || model::Error::not_found("核对", "reconciliation", &args.entry);
        page.items.into_iter().next().ok_or_else(missing)?
    } else {
        let run =
            reconcile::start_from(app, op, &args.entry, args.from.as_deref(), args.heal).await?;
        reconcile::wait(app, op, &run.id).await?
    };
    let rows = reconcile::differences(app, op, &run.id, 0, SHOWN).await?.items;
    if args.json {
        out_json(&serde_json::json!({ "reconciliation": run, "differences": rows }))?;
    } else {
        show(&run);
        for row in &rows {
            let healed = if row.healed { "✓" } else { " " };
            out(&format!(
                "  {healed} {}  {}  {}",
                row.kind.zh(),
                row.key.join(", "),
                row.items.join(", ")
            ));
        }
    }
    Ok(match run.state {
        ReconcileState::Failed => ExitCode::from(4),
        ReconcileState::Differs => ExitCode::from(1),
        _ => ExitCode::SUCCESS,
    })
}

fn show(run: &Reconciliation) {
    let by = if run.pushed {
        "数据源计算 summed at the source"
    } else {
        "逐行读取 rows read here"
    };
    out(&format!(
        "{}  {} {} → {}  {}",
        run.id,
        run.kind.zh(),
        run.place,
        run.entry_code,
        run.state.zh()
    ));
    out(&format!("    {}\n    {}", run.zh, run.en));
    out(&format!(
        "    源 source {} 行 rows，湖 lake {} 行 rows；{} 段 ranges，{} 次查询 questions，逐行 one by one {}（{by}）",
        run.source_rows, run.lake_rows, run.chunks, run.questions, run.rows_read
    ));
}

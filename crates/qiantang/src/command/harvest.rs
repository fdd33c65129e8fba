//! `qiantang harvest`: sources of harvest, a turn now, and its report, from the command line.

use std::process::ExitCode;

use app::harvest::{self, HarvestView};
use clap::Subcommand;
use model::harvest::{HarvestState, HarvestTurn};
use model::{Op, Result};

use super::{Place, out, out_json};
use crate::house::House;

/// Take entries from the catalogues of other platforms. 目录采集。
#[derive(Debug, clap::Args)]
#[command(after_help = "Example 示例: qiantang harvest list --json")]
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
    /// List the sources with their last turn. 采集源列表。
    #[command(after_help = "Example 示例: qiantang harvest list")]
    List,
    /// Harvest a source now and wait for the end; 1 when it did not come to a good one. 立即采集。
    #[command(
        after_help = "Example 示例: qiantang harvest run 019a0000000070008000000000000001 --whole"
    )]
    Run {
        /// Id of the source. 采集源编号。
        id: String,
        /// Look at everything, so that what has gone is found. 全量查看。
        #[arg(long)]
        whole: bool,
        /// Believe that the source holds less than half of what it held. 接受减少。
        #[arg(long)]
        accept_loss: bool,
    },
    /// The report of a turn (the newest without one), with each record that was refused. 采集报告。
    #[command(
        after_help = "Example 示例: qiantang harvest report 019a0000000070008000000000000001"
    )]
    Report {
        /// Id of the source. 采集源编号。
        id: String,
        /// Id of the turn. 采集编号。
        #[arg(long)]
        turn: Option<String>,
    },
}

impl Args {
    /// Whether the command changes something (then it cannot go beside a server by itself).
    pub(crate) fn changes(&self) -> bool {
        matches!(self.action, Action::Run { .. })
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
                let page = harvest::list(app, op, after.as_deref(), 200).await?;
                for view in &page.items {
                    if json { out_json(view)? } else { show(view) }
                }
                after = page.next;
                if after.is_none() {
                    return Ok(ExitCode::SUCCESS);
                }
            }
        }
        Action::Run { id, whole, accept_loss } => {
            let turn = harvest::run(app, op, &id, (whole, accept_loss)).await?;
            // A round reads some pages; one that reads none is waiting for a time to try again.
            while harvest::tick(app).await? > 0 {}
            let turn = harvest::report(app, op, &id, &turn.id).await?;
            told(&turn, json)?;
            Ok(match turn.state {
                HarvestState::Done => ExitCode::SUCCESS,
                _ => ExitCode::FAILURE,
            })
        }
        Action::Report { id, turn } => {
            let turn = match turn {
                Some(turn) => harvest::report(app, op, &id, &turn).await?,
                None => match harvest::get(app, op, &id).await?.turn {
                    Some(turn) => harvest::report(app, op, &id, &turn.id).await?,
                    None => {
                        out("还没有采集过 nothing was harvested yet");
                        return Ok(ExitCode::SUCCESS);
                    }
                },
            };
            told(&turn, json)?;
            let mut after = None;
            loop {
                let page = harvest::refusals(app, op, &id, &turn.id, after.as_deref(), 500).await?;
                for refusal in &page.items {
                    if json {
                        out_json(refusal)?;
                    } else {
                        out(&format!(
                            "未采纳 refused  {}  {}  {} / {}",
                            refusal.foreign_id, refusal.field, refusal.zh, refusal.en
                        ));
                    }
                }
                after = page.next;
                if after.is_none() {
                    return Ok(ExitCode::SUCCESS);
                }
            }
        }
    }
}

fn show(view: &HarvestView) {
    let source = &view.source;
    let last = view.turn.as_ref().map_or("-", |turn| turn.state.as_str());
    out(&format!(
        "{}  {}  {}  {}  {}  {}  {last}",
        source.id, source.name, source.kind, source.url, source.becomes, source.wish
    ));
}

fn told(turn: &HarvestTurn, json: bool) -> Result<()> {
    if json {
        return out_json(turn);
    }
    let f = &turn.figures;
    out(&format!(
        "{}  {}  页 pages {}  见到 seen {}  新增 new {}  变更 changed {}  未变 unchanged {}  消失 gone {}  未采纳 refused {}",
        turn.id, turn.state, f.pages, f.seen, f.new, f.changed, f.unchanged, f.gone, f.refused
    ));
    if !turn.zh.is_empty() {
        out(&format!("{} / {}", turn.zh, turn.en));
    }
    Ok(())
}

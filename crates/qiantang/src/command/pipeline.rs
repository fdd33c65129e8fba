//! `qiantang pipeline`: pipelines from the command line, by their files.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use app::pipeline::{self, PipelineView};
use clap::Subcommand;
use model::pipeline::{PipelineWish, Turn};
use model::{Error, Op, Result};

use super::{Place, out, out_json, working};
use crate::house::House;
use crate::relay;

/// Pull rows by files: check, import, export, run. 数据管道。
#[derive(Debug, clap::Args)]
#[command(after_help = "Example 示例: qiantang pipeline list --json")]
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
    /// Hold a file against the house; every fault with its line. 检查文件。
    #[command(after_help = "Example 示例: qiantang pipeline check air.toml --as li")]
    Check {
        /// The file. 文件。
        file: PathBuf,
    },
    /// Make a pipeline of a file, or a new version of the one of its name. 导入。
    #[command(after_help = "Example 示例: qiantang pipeline import air.toml --as li")]
    Import {
        /// The file. 文件。
        file: PathBuf,
    },
    /// Write the file out. 导出。
    #[command(after_help = "Example 示例: qiantang pipeline export air_hourly --as li")]
    Export {
        /// Name or id. 名称或编号。
        name: String,
        /// An earlier version. 版本。
        #[arg(long)]
        version: Option<i64>,
    },
    /// List pipelines with last and next turn. 列表。
    #[command(after_help = "Example 示例: qiantang pipeline list")]
    List,
    /// Run one now and wait for its end. 立即运行。
    #[command(after_help = "Example 示例: qiantang pipeline run air_hourly --as li")]
    Run {
        /// Name or id. 名称或编号。
        name: String,
    },
    /// Read and transform without landing. 试运行。
    #[command(after_help = "Example 示例: qiantang pipeline dry-run air_hourly --as li")]
    DryRun {
        /// Name or id, or a file that need not be imported. 名称、编号或文件。
        name: String,
    },
    /// Read a range again, in slices, and wait for the end. 补采。
    #[command(
        after_help = "Example 示例: qiantang pipeline backfill air_hourly --from 2014-01-01 --to 2014-02-01 --step 1d --as li"
    )]
    Backfill {
        /// Name or id. 名称或编号。
        name: String,
        /// Beginning of the range, belonging to it. 起。
        #[arg(long)]
        from: String,
        /// End of the range, not belonging to it. 止。
        #[arg(long)]
        to: String,
        /// Size of a slice (6h, 1d, or a number). 步长。
        #[arg(long)]
        step: String,
    },
    /// Let one rest. 暂停。
    #[command(after_help = "Example 示例: qiantang pipeline pause air_hourly --as li")]
    Pause {
        /// Name or id. 名称或编号。
        name: String,
    },
    /// Let it go on. 恢复。
    #[command(after_help = "Example 示例: qiantang pipeline resume air_hourly --as li")]
    Resume {
        /// Name or id. 名称或编号。
        name: String,
    },
}

impl Args {
    /// Whether the command changes something (then it cannot go beside a server by itself).
    pub(crate) fn changes(&self) -> bool {
        !matches!(
            self.action,
            Action::Check { .. } | Action::Export { .. } | Action::List | Action::DryRun { .. }
        )
    }
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let (house, op) = args.place.open(args.changes()).await?;
    let done = act(&house, &op, args.action, args.json).await;
    house.close().await;
    done
}

fn read(file: &std::path::Path) -> Result<String> {
    let path = relay::meant(file);
    std::fs::read_to_string(&path).map_err(|e| {
        Error::invalid(
            format!("无法读取 {}：{e}", path.display()),
            format!("{} cannot be read: {e}", path.display()),
        )
    })
}

async fn act(house: &House, op: &Op, action: Action, json: bool) -> Result<ExitCode> {
    let app = &house.app;
    match action {
        Action::Check { file } => {
            let text = read(&file)?;
            let name = model::pipeline::PipelineFile::parse(&text)?.name;
            let present = pipeline::named(app, op, &name).await.ok();
            pipeline::check(app, op, &text, present.as_ref()).await?;
            told(json, &name)?;
        }
        Action::Import { file } => {
            let made = pipeline::import(app, op, &read(&file)?).await?;
            if json {
                out_json(&made)?;
            } else {
                let p = &made.pipeline;
                out(&format!(
                    "已导入 imported: {} 第 {} 版 version {}",
                    p.name, p.version, p.version
                ));
            }
        }
        Action::Export { name, version } => {
            let found = pipeline::named(app, op, &name).await?;
            let (pipeline, text) = pipeline::export(app, op, &found.id, version).await?;
            if json {
                out_json(&serde_json::json!({ "name": pipeline.name, "file": text }))?;
            } else {
                out(text.trim_end());
            }
        }
        Action::List => {
            let mut after = None;
            loop {
                let page = pipeline::list(app, op, after.as_deref(), 200).await?;
                for view in &page.items {
                    if json { out_json(view)? } else { show(view) }
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Action::Run { name } => {
            let found = pipeline::named(app, op, &name).await?;
            let begun = pipeline::run_now(app, op, &found.id).await?;
            let _working = working("运行中 running");
            let turn = ended(house, op, &found.id, &begun.id).await?;
            if json {
                out_json(&turn)?
            } else {
                figures(&turn)
            }
            return Ok(if turn.state.good() { ExitCode::SUCCESS } else { ExitCode::from(1) });
        }
        Action::DryRun { name } => return dry(house, op, &name, json).await,
        Action::Backfill { name, from, to, step } => {
            let found = pipeline::named(app, op, &name).await?;
            let begun = pipeline::backfill(app, op, &found.id, &from, &to, &step).await?;
            let bar = super::steps(begun.slices);
            let progress = loop {
                pipeline::tick(app).await?;
                let now = pipeline::progress(app, op, &found.id, &begun.group).await?;
                bar.set_position(now.done + now.failed);
                if now.done + now.failed >= now.slices {
                    break now;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            };
            bar.finish_and_clear();
            if json {
                out_json(&progress)?;
            } else {
                out(&format!(
                    "已完成 done: {}/{}  失败 failed: {}",
                    progress.done, progress.slices, progress.failed
                ));
            }
            return Ok(if progress.failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) });
        }
        Action::Pause { name } => {
            let found = pipeline::named(app, op, &name).await?;
            pipeline::pause(app, op, &found.id).await?;
            told(json, &found.name)?;
        }
        Action::Resume { name } => {
            let found = pipeline::named(app, op, &name).await?;
            pipeline::resume(app, op, &found.id).await?;
            told(json, &found.name)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits for a turn, and takes turns up meanwhile where no server does.
async fn ended(house: &House, op: &Op, pipeline: &str, turn: &str) -> Result<Turn> {
    loop {
        pipeline::tick(&house.app).await?;
        let now = pipeline::turn_of(&house.app, op, pipeline, turn).await?;
        if now.state.ended() {
            return Ok(now);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn dry(house: &House, op: &Op, name: &str, json: bool) -> Result<ExitCode> {
    let app = &house.app;
    let file = relay::meant(std::path::Path::new(name));
    let dry = if file.is_file() {
        pipeline::dry_run(app, op, None, Some(&read(&file)?)).await?
    } else {
        let found = pipeline::named(app, op, name).await?;
        pipeline::dry_run(app, op, Some(&found.id), None).await?
    };
    if json {
        out_json(&dry)?;
        return Ok(ExitCode::SUCCESS);
    }
    let f = &dry.figures;
    out(&format!(
        "读取 read {}  产出 made {}  可入湖 would land {}  将隔离 set aside {}",
        f.read, f.made, f.landed, f.quarantined
    ));
    out(&dry.items.join("\t"));
    for row in &dry.rows {
        let cells: Vec<&str> = row.iter().map(|c| c.as_deref().unwrap_or("")).collect();
        out(&cells.join("\t"));
    }
    for reject in &dry.rejects {
        out(&format!("  ✗ {} {}\n    {}", reject.record, reject.zh, reject.en));
    }
    if let Some((zh, en)) = &dry.beyond {
        out(&format!("  ✗ {zh}\n    {en}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn told(json: bool, name: &str) -> Result<()> {
    if json {
        return out_json(&serde_json::json!({ "name": name, "done": true }));
    }
    out(&format!("已完成 done: {name}"));
    Ok(())
}

fn show(view: &PipelineView) {
    let p = &view.pipeline;
    let state = match (&p.wish, &view.last) {
        (PipelineWish::Pause, _) => "已暂停",
        (_, Some(turn)) => turn.state.zh(),
        (_, None) => "尚未运行",
    };
    let due = if p.due.is_empty() { "-" } else { &p.due };
    out(&format!("{}  {} → {}  {state}  下次 next {due}", p.name, p.place, p.entry_code));
    if let Some(turn) = &view.last {
        figures(turn);
    }
}

fn figures(turn: &Turn) {
    let f = &turn.figures;
    out(&format!(
        "    {}  {}  读 read {} 产出 made {} = 入湖 landed {} + 隔离 set aside {}",
        turn.at,
        turn.state.zh(),
        f.read,
        f.made,
        f.landed,
        f.quarantined
    ));
    if !turn.zh.is_empty() {
        out(&format!("    {}\n    {}", turn.zh, turn.en));
    }
}

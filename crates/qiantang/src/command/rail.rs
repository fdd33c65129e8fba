//! `qiantang rail`: the real-time rail from the command line.

use std::process::ExitCode;

use app::collection::source;
use app::rail::{self, RailView};
use clap::Subcommand;
use model::rail::{RailNew, RailPolicy};
use model::{Code, Error, Op, Result};

use super::{Place, out, out_json, told};
use crate::house::House;

/// Follow tables of a stored data source by its log. 数据高铁。
#[derive(Debug, clap::Args)]
#[command(after_help = "Example 示例: qiantang rail list --json")]
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
    /// Id of the data source, or its name in one's organisation. 数据源编号或名称。
    #[arg(long)]
    source: String,
    /// `schema.table=entry`, once for each table. 表与目录，可重复。
    #[arg(long = "table", value_name = "TABLE=ENTRY")]
    tables: Vec<String>,
    /// Slot made by the source's keepers (with --publication). 已建好的复制槽。
    #[arg(long, default_value = "")]
    slot: String,
    /// Publication made by the source's keepers (with --slot). 已建好的发布。
    #[arg(long, default_value = "")]
    publication: String,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say what stands in the way; without --table, list the source's tables. 检查数据源。
    #[command(
        after_help = "Example 示例: qiantang rail check --source 业务库 --table public.firms=frdwjbxx"
    )]
    Check(Wanted),
    /// Make a rail; it begins at once. 新建。
    #[command(
        after_help = "Example 示例: qiantang rail make --name 法人库 --source 业务库 --table public.firms=frdwjbxx"
    )]
    Make {
        /// Name shown. 名称。
        #[arg(long)]
        name: String,
        #[command(flatten)]
        wanted: Wanted,
        /// When a table's columns change: `hold`, `follow` or `alert`. 表结构变更时。
        #[arg(long, default_value = "hold")]
        policy: String,
        /// Alarm when the source keeps so many MiB of log for us. 日志积压告警线。
        #[arg(long)]
        alarm_mib: Option<u64>,
        /// Give the slot up when it keeps so many MiB. 日志积压上限。
        #[arg(long)]
        ceiling_mib: Option<u64>,
    },
    /// List rails with lag, rate and log held back. 列表。
    #[command(after_help = "Example 示例: qiantang rail list")]
    List,
    /// List what happened to a rail, newest first. 事件。
    #[command(
        after_help = "Example 示例: qiantang rail incidents 019a0000000070008000000000000001"
    )]
    Incidents {
        /// Id of the rail. 编号。
        id: String,
    },
    /// Let a rail rest where it stands. 暂停。
    #[command(after_help = "Example 示例: qiantang rail pause 019a0000000070008000000000000001")]
    Pause {
        /// Id of the rail. 编号。
        id: String,
    },
    /// Go on, also after a schema change or a safe stop. 恢复。
    #[command(after_help = "Example 示例: qiantang rail resume 019a0000000070008000000000000001")]
    Resume {
        /// Id of the rail. 编号。
        id: String,
    },
    /// Read tables anew as a whole (it takes place when the rail is next resumed). 整表核补。
    #[command(
        after_help = "Example 示例: qiantang rail heal 019a0000000070008000000000000001 --table public.firms"
    )]
    Heal {
        /// Id of the rail. 编号。
        id: String,
        /// One table; all without it. 表。
        #[arg(long)]
        table: Option<String>,
    },
    /// End a rail and give its slot up at the source. What it brought stays. 移除。
    #[command(after_help = "Example 示例: qiantang rail remove 019a0000000070008000000000000001")]
    Remove {
        /// Id of the rail. 编号。
        id: String,
        /// Also when the source cannot be reached. 数据源不可达时也移除。
        #[arg(long)]
        force: bool,
    },
}

impl Args {
    /// Whether the command changes something (then it cannot go beside a server by itself).
    pub(crate) fn changes(&self) -> bool {
        !matches!(self.action, Action::List | Action::Incidents { .. } | Action::Check(_))
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
        Action::Check(wanted) => return check(house, op, wanted, json).await,
        Action::Make { name, wanted, policy, alarm_mib, ceiling_mib } => {
            let policy = RailPolicy::parse(&policy).ok_or_else(|| {
                Error::invalid(
                    "--policy 应为 hold、follow 或 alert",
                    "--policy is hold, follow or alert",
                )
            })?;
            let bytes = |mib: Option<u64>| mib.map(|n| n.saturating_mul(1 << 20));
            let new = RailNew {
                name,
                policy: Some(policy),
                alarm_bytes: bytes(alarm_mib),
                ceiling_bytes: bytes(ceiling_mib),
                ..wanted.rail(house, op).await?
            };
            let made = rail::create(app, op, new).await?;
            if json {
                out_json(&made)?;
            } else {
                out(&format!("已新建 made: {} {}", made.rail.id, made.rail.name));
            }
        }
        Action::List => {
            let mut after = None;
            loop {
                let page = rail::list(app, op, after.as_deref(), 200).await?;
                for view in &page.items {
                    if json { out_json(view)? } else { show(view) }
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Action::Incidents { id } => {
            for incident in rail::incidents(app, op, &id, None, 200).await?.items {
                if json {
                    out_json(&incident)?;
                } else {
                    let (at, kind) = (&incident.at, incident.kind.zh());
                    out(&format!("{at}  {kind}  {}\n    {}", incident.zh, incident.en));
                }
            }
        }
        Action::Pause { id } => told(json, &id, rail::pause(app, op, &id).await)?,
        Action::Resume { id } => told(json, &id, rail::resume(app, op, &id).await)?,
        Action::Heal { id, table } => {
            told(json, &id, rail::heal(app, op, &id, table.as_deref()).await)?;
        }
        Action::Remove { id, force } => told(json, &id, rail::remove(app, op, &id, force).await)?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Wanted {
    async fn rail(self, house: &House, op: &Op) -> Result<RailNew> {
        let tables = self
            .tables
            .iter()
            .map(|pair| {
                pair.split_once('=').map(|(t, e)| (t.to_owned(), e.to_owned())).ok_or_else(|| {
                    Error::invalid(
                        format!("--table `{pair}` 应写作 模式.表=目录编码"),
                        format!("--table `{pair}` reads schema.table=entry"),
                    )
                })
            })
            .collect::<Result<_>>()?;
        let source = match source::get(&house.app, op, &self.source).await {
            Ok(source) => source.id,
            Err(e) if e.code() == Code::NotFound && op.actor.org().is_some() => {
                let named = source::list(&house.app, op).await?;
                named.into_iter().find(|s| s.name == self.source).ok_or(e)?.id
            }
            Err(e) => return Err(e),
        };
        Ok(RailNew {
            source,
            tables,
            slot: self.slot,
            publication: self.publication,
            ..RailNew::default()
        })
    }
}

async fn check(house: &House, op: &Op, wanted: Wanted, json: bool) -> Result<ExitCode> {
    let new = wanted.rail(house, op).await?;
    let survey = match new.tables.is_empty() {
        true => rail::survey(&house.app, op, &new.source).await?,
        false => rail::check(&house.app, op, &new).await?,
    };
    let mut faults = survey.faults.len();
    if json {
        let told = |pairs: &[(String, String)]| -> Vec<_> {
            pairs.iter().map(|(zh, en)| serde_json::json!({ "zh": zh, "en": en })).collect()
        };
        let tables: Vec<_> = survey
            .tables
            .iter()
            .map(|t| {
                serde_json::json!({
                    "table": t.place, "rows": t.rows, "columns": t.columns,
                    "faults": told(&t.faults), "notes": told(&t.notes),
                })
            })
            .collect();
        out_json(&serde_json::json!({
            "server": survey.server, "faults": told(&survey.faults), "tables": tables,
        }))?;
    } else {
        out(&survey.server);
        for (zh, en) in &survey.faults {
            out(&format!("  ✗ {zh}\n    {en}"));
        }
        for table in &survey.tables {
            out(&format!("{}  ({} 行 rows)", table.place, table.rows));
            for column in &table.columns {
                let key = if column.key { " *" } else { "" };
                let item = column.item.as_deref().unwrap_or("-");
                out(&format!("    {}{key}  {}  → {item}", column.name, column.kind));
            }
            for (zh, en) in &table.faults {
                out(&format!("  ✗ {zh}\n    {en}"));
            }
            for (zh, en) in &table.notes {
                out(&format!("  · {zh}\n    {en}"));
            }
        }
    }
    faults += survey.tables.iter().map(|t| t.faults.len()).sum::<usize>();
    Ok(if faults == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn show(view: &RailView) {
    let f = &view.figures;
    out(&format!(
        "{}  {}  {}  {:.0} 行/s rows/s  积压 held {} MiB",
        view.rail.id,
        view.rail.name,
        f.state.zh(),
        f.rate,
        f.held_bytes / (1 << 20)
    ));
    if !f.zh.is_empty() {
        out(&format!("    {}\n    {}", f.zh, f.en));
    }
    if let Some(basis) = f.basis {
        let at = if f.confirmed.is_empty() { "-" } else { &f.confirmed };
        out(&format!("    位置 position {at}  {} {}", basis.zh(), basis.en()));
    }
    for table in &view.tables {
        let t = &table.figures;
        out(&format!(
            "    {} → {}  {}  读 read {} = 入湖 landed {} + 隔离 set aside {}  延迟 lag {} ms",
            table.table.place,
            table.table.entry_code,
            t.state.zh(),
            t.read,
            t.landed,
            t.quarantined,
            t.lag_ms
        ));
    }
}

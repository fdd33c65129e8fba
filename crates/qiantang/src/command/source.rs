//! `qiantang source`: stored data sources from the command line.

use std::process::ExitCode;

use app::collection::{privilege, source};
use clap::Subcommand;
use model::schema::TableName;
use model::source::CheckLevel;
use model::{Code, Error, Op, Result};

use super::{Place, out, out_json};
use crate::house::House;

/// Look at stored data sources. 数据源。
#[derive(Debug, clap::Args)]
#[command(after_help = "Example 示例: qiantang source check 业务库 --as provider")]
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
    /// Say what the stored account may do, and the SQL that mends what it should not; exit code 1 when something must be mended. 账号权限检查。
    #[command(
        after_help = "Example 示例: qiantang source check 业务库 --table public.firms --as provider"
    )]
    Check {
        /// Id, or name in one's organisation. 编号或名称。
        source: String,
        /// `schema.table` that must be readable, once for each. 需要读取的表，可重复。
        #[arg(long = "table", value_name = "TABLE")]
        tables: Vec<String>,
    },
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let (house, op) = args.place.look().await?;
    let done = act(&house, &op, args.action, args.json).await;
    house.close().await;
    done
}

async fn act(house: &House, op: &Op, action: Action, json: bool) -> Result<ExitCode> {
    let Action::Check { source: word, tables } = action;
    let app = &house.app;
    let id = match source::get(app, op, &word).await {
        Ok(source) => source.id,
        Err(e) if e.code() == Code::NotFound && op.actor.org().is_some() => {
            let named = source::list(app, op).await?;
            named.into_iter().find(|s| s.name == word).ok_or(e)?.id
        }
        Err(e) => return Err(e),
    };
    let wanted = tables
        .iter()
        .map(|table| {
            table
                .split_once('.')
                .map(|(schema, name)| TableName { schema: schema.into(), name: name.into() })
                .ok_or_else(|| {
                    Error::invalid(
                        format!("--table `{table}` 应写作 模式.表"),
                        format!("--table `{table}` reads schema.table"),
                    )
                })
        })
        .collect::<Result<Vec<_>>>()?;
    let check = privilege::check(app, op, &id, &wanted).await?;
    if json {
        out_json(&check)?;
    } else {
        out(&format!("{}  {}", check.server, check.account));
        for f in &check.findings {
            let mark = match f.level {
                CheckLevel::Ok => "✓",
                CheckLevel::Warn => "·",
                CheckLevel::Bad => "✗",
            };
            out(&format!("  {mark} {}\n    {}", f.zh, f.en));
            if !f.sql.is_empty() {
                out(&format!("    SQL: {}", f.sql));
            }
        }
    }
    Ok(if check.fine() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

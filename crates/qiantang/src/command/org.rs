//! `qiantang org`: organisations from the command line (the first ones are entered here, before there are accounts).

use std::process::ExitCode;

use clap::Subcommand;
use model::org::{Org, OrgKind};
use model::{Error, Result};

use super::{Place, out, out_json};

/// Enter and list organisations. 机构。
#[derive(Debug, clap::Args)]
#[command(after_help = "Example 示例: qiantang org list --json")]
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
    /// Enter an organisation. 登记机构。
    #[command(
        after_help = "Example 示例: qiantang org create --id sscjg --uscc 11330000MB0000000X --name 省市场监管局 --kind state_organ --region 330000"
    )]
    Create {
        /// Short id of letters, digits, - and _. 机构编号。
        #[arg(long)]
        id: String,
        /// Unified social credit code, 18 characters. 统一社会信用代码。
        #[arg(long)]
        uscc: String,
        /// Chinese name. 中文名称。
        #[arg(long)]
        name: String,
        /// English name. 英文名称。
        #[arg(long, default_value = "")]
        name_en: String,
        /// `state_organ`, `authorised_org`, `utility_operator`, `national_stationed` or `enterprise`. 机构类型。
        #[arg(long, default_value = "state_organ")]
        kind: String,
        /// Region code, GB/T 2260. 行政区划。
        #[arg(long)]
        region: String,
        /// Id of the organisation above. 上级机构。
        #[arg(long)]
        parent: Option<String>,
        /// It is the public-data authority of its region. 公共数据主管部门。
        #[arg(long)]
        authority: bool,
    },
    /// List organisations. Runs beside a server. 列出机构。
    #[command(after_help = "Example 示例: qiantang org list --json")]
    List,
}

impl Args {
    /// Whether the command changes something (then it cannot go beside a server by itself).
    pub(crate) fn changes(&self) -> bool {
        !matches!(self.action, Action::List)
    }
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let (house, op) = match args.action {
        Action::List => args.place.look().await?,
        Action::Create { .. } => args.place.enter().await?,
    };
    match args.action {
        Action::Create { id, uscc, name, name_en, kind, region, parent, authority } => {
            let kind = kind_of(&kind)?;
            let org = Org { id, uscc, name_cn: name, name_en, kind, region, parent, authority };
            let made = app::org::create(&house.app, &op, org).await?;
            if args.json {
                out_json(&made)?;
            } else {
                out(&format!("已登记 entered: {} {}", made.id, made.name_cn));
            }
        }
        Action::List => {
            for org in app::org::list(&house.app, &op).await? {
                if args.json {
                    out_json(&org)?;
                } else {
                    out(&format!(
                        "{:<14} {:<20} {:<8} {}{}",
                        org.id,
                        org.uscc,
                        org.region,
                        org.name_cn,
                        if org.authority { "  (主管部门 authority)" } else { "" }
                    ));
                }
            }
        }
    }
    house.close().await;
    Ok(ExitCode::SUCCESS)
}

fn kind_of(word: &str) -> Result<OrgKind> {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).map_err(|_| {
        Error::invalid(
            format!(
                "没有机构类型 `{word}`，可选：state_organ、authorised_org、utility_operator、national_stationed、enterprise"
            ),
            format!(
                "there is no kind `{word}`; choose of state_organ, authorised_org, utility_operator, national_stationed, enterprise"
            ),
        )
    })
}

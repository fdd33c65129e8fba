//! `qiantang realname`: the authority's desk of real-name verification from the command line.

use std::process::ExitCode;

use app::realname::{self, DeskFiling, RealNameOrder};
use clap::Subcommand;
use model::realname::{RealNameFiling, RealNameState};
use model::{Error, Op, Result};

use super::{Place, out, out_json};
use crate::house::House;

/// Look at real-name filings, approve and refuse them, revoke verifications, as the authority given by `--as`. 实名认证。
#[derive(Debug, clap::Args)]
#[command(after_help = "Example 示例: qiantang realname list --as authority")]
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
    /// List filings, newest first; those that wait unless `--state` says otherwise. 申请列表。
    #[command(
        after_help = "Examples 示例: qiantang realname list --as authority --json\n  qiantang realname list --state verified --as authority"
    )]
    List {
        /// `review`, `verified`, `refused`, `withdrawn`, `revoked` or `all`. 状态。
        #[arg(long, default_value = "review")]
        state: String,
    },
    /// Show one filing, what speaks against it, and what stands or falls with it. 查看申请。
    #[command(after_help = "Example 示例: qiantang realname show 0198c2… --as authority")]
    Show {
        /// Id, as `list` tells it. 申请编号。
        id: String,
    },
    /// Show the whole number, for comparing it with the document; it is recorded. 显示完整号码（留痕）。
    #[command(after_help = "Example 示例: qiantang realname number 0198c2… --as authority")]
    Number {
        /// Id, as `list` tells it. 申请编号。
        id: String,
    },
    /// Approve a filing: it is them. 通过。
    #[command(
        after_help = "Example 示例: qiantang realname approve 0198c2… --region 330100 --as authority"
    )]
    Approve {
        /// Id, as `list` tells it. 申请编号。
        id: String,
        /// Region of a new enterprise; otherwise as its credit code tells. 新企业机构的行政区划。
        #[arg(long, default_value = "")]
        region: String,
    },
    /// Refuse a filing; the person is told why. 不通过。
    #[command(
        after_help = "Example 示例: qiantang realname refuse 0198c2… --reason 姓名与证件不一致 --as authority"
    )]
    Refuse {
        /// Id, as `list` tells it. 申请编号。
        id: String,
        /// Why; the person is told. 理由。
        #[arg(long)]
        reason: String,
    },
    /// Revoke a verification: the account counts as not verified, its agreements give nothing from then on. 撤销。
    #[command(
        after_help = "Example 示例: qiantang realname revoke 0198c2… --reason 核验材料系伪造 --as authority"
    )]
    Revoke {
        /// Id, as `list` tells it. 申请编号。
        id: String,
        /// Why; the person is told. 理由。
        #[arg(long)]
        reason: String,
    },
}

impl Args {
    /// Whether the command changes something (then it cannot go beside a server by itself).
    pub(crate) fn changes(&self) -> bool {
        matches!(
            self.action,
            Action::Approve { .. } | Action::Refuse { .. } | Action::Revoke { .. }
        )
    }
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let (house, op) = args.place.open(args.changes()).await?;
    let done = act(&house, &op, args.action, args.json).await;
    house.close().await;
    done.map(|()| ExitCode::SUCCESS)
}

async fn act(house: &House, op: &Op, action: Action, json: bool) -> Result<()> {
    let app = &house.app;
    match action {
        Action::List { state } => list(house, op, &state, json).await,
        Action::Show { id } => show(&realname::filing(app, op, &id).await?, json),
        Action::Number { id } => {
            let number = realname::number(app, op, &id).await?;
            match (json, number.is_empty()) {
                (true, _) => out_json(&serde_json::json!({ "id": id, "number": number }))?,
                (false, true) => out("不再保存 not kept any more"),
                (false, false) => out(&number),
            }
            Ok(())
        }
        Action::Approve { id, region } => {
            let seen = edit(house, op, &id).await?;
            let order = RealNameOrder::Approve { region };
            told(&realname::decide(app, op, &id, seen, order).await?, json)
        }
        Action::Refuse { id, reason } => {
            let seen = edit(house, op, &id).await?;
            let order = RealNameOrder::Refuse { reason };
            told(&realname::decide(app, op, &id, seen, order).await?, json)
        }
        Action::Revoke { id, reason } => {
            let seen = edit(house, op, &id).await?;
            told(&realname::revoke(app, op, &id, seen, &reason).await?, json)
        }
    }
}

async fn list(house: &House, op: &Op, state: &str, json: bool) -> Result<()> {
    let state = state_of(state)?;
    let mut before: Option<String> = None;
    loop {
        let page = realname::desk(&house.app, op, state, before.as_deref(), 200).await?;
        for filing in &page.items {
            if json {
                out_json(filing)?;
                continue;
            }
            let late = if filing.overdue(op.today()) { " 已逾期 overdue" } else { "" };
            out(&format!("{} → {}{late}", line(filing), filing.due));
        }
        before = page.next;
        if before.is_none() {
            return Ok(());
        }
    }
}

fn show(view: &DeskFiling, json: bool) -> Result<()> {
    if json {
        return out_json(view);
    }
    let filing = &view.filing;
    out(&line(filing));
    let facts = [
        ("姓名或名称 name", view.name.as_str()),
        ("法定代表人 representative", view.representative.as_str()),
        ("理由 reason", filing.reason.as_str()),
        ("审核人 decided by", filing.decided_by.as_str()),
        ("撤销人 revoked by", filing.revoked_by.as_str()),
        ("已由另一账号认证 verified for", view.other.as_deref().unwrap_or_default()),
        ("机构 organisation", view.org.as_ref().map_or("", |org| org.name_cn.as_str())),
    ];
    for (name, fact) in facts.into_iter().filter(|(_, fact)| !fact.is_empty()) {
        out(&format!("  {name}: {fact}"));
    }
    out(&format!("  提交 filed: {}  应答复 due: {}", filing.filed_at, filing.due));
    for file in &filing.files {
        out(&format!("  材料 evidence: {} {} {}", file.name, file.media, file.bytes));
    }
    for one in &view.uses.listed {
        let state = one.state;
        out(&format!(
            "  {} {} · {} / {} → {}",
            one.number,
            one.title,
            state.zh(),
            state.en(),
            one.until
        ));
    }
    if view.uses.elsewhere > 0 {
        out(&format!("  其他行政区划的协议 of other regions: {}", view.uses.elsewhere));
    }
    Ok(())
}

/// A filing's edit as it stands; whoever may not see the filing finds none.
async fn edit(house: &House, op: &Op, id: &str) -> Result<u64> {
    Ok(realname::filing(&house.app, op, id).await?.filing.edit)
}

fn told(filing: &RealNameFiling, json: bool) -> Result<()> {
    if json {
        return out_json(filing);
    }
    out(&line(filing));
    Ok(())
}

fn line(filing: &RealNameFiling) -> String {
    let (zh, en) = (filing.state.zh(), filing.state.en());
    format!("{} {zh} {en} {} {} {}", filing.id, filing.account_name, filing.kind, filing.shown)
}

fn state_of(text: &str) -> Result<Option<RealNameState>> {
    if text == "all" {
        return Ok(None);
    }
    let filed = RealNameState::parse(text).filter(|s| *s != RealNameState::Unverified);
    filed.map(Some).ok_or_else(|| {
        let words = "review verified refused withdrawn revoked all";
        Error::invalid(
            format!("`{text}` 不是状态，可用：{words}"),
            format!("`{text}` is no state; there are: {words}"),
        )
    })
}

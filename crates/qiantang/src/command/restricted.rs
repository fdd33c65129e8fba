//! `qiantang restricted`: applications for restricted-open data and the credit record, as a person at a desk sees them.

use std::process::ExitCode;

use app::restricted::{self, DeskReport};
use clap::Subcommand;
use model::restricted::UseState;
use model::{Error, Op, Result};

use super::{Place, out, out_json};
use crate::house::House;

/// Look at applications for restricted-open data and at the credit record. 受限开放。
#[derive(Debug, clap::Args)]
#[command(after_help = "Example 示例: qiantang restricted list --state reviewing --as authority")]
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
    /// List applications at the desk of the person given by `--as`, newest first. 申请列表。
    #[command(
        after_help = "Examples 示例: qiantang restricted list --as provider --json\n  qiantang restricted list --report overdue --as authority"
    )]
    List {
        /// Only those in this state (`reviewing`, `in_force`, …). 状态。
        #[arg(long)]
        state: Option<String>,
        /// Only those whose report on use is `open`, `filed`, `returned` or `overdue`. 使用情况报告。
        #[arg(long)]
        report: Option<String>,
    },
    /// List the credit record; without `--all` what stands today. 信用记录。
    #[command(after_help = "Example 示例: qiantang restricted credit --all --as authority")]
    Credit {
        /// Also what is repaired. 含已修复的。
        #[arg(long)]
        all: bool,
    },
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let (house, op) = args.place.open(false).await?;
    let done = match &args.action {
        Action::List { state, report } => {
            list(&house, &op, (state.as_deref(), report.as_deref()), args.json).await
        }
        Action::Credit { all } => credit(&house, &op, *all, args.json).await,
    };
    house.close().await;
    done
}

async fn list(
    house: &House,
    op: &Op,
    (state, report): (Option<&str>, Option<&str>),
    json: bool,
) -> Result<ExitCode> {
    let wanted = (state.map(state_of).transpose()?, report.map(report_of).transpose()?);
    let mut before: Option<String> = None;
    loop {
        let page = restricted::desk(&house.app, op, wanted, before.as_deref(), 200).await?;
        for row in &page.items {
            let a = &row.application;
            if json {
                out_json(a)?;
                continue;
            }
            let codes: Vec<&str> = a.entries.iter().map(|e| e.code.as_str()).collect();
            let (number, state, party) = (&a.number, a.state.zh(), &a.party);
            out(&format!("{number} {state} {party} {} → {}", codes.join(","), a.until));
        }
        before = page.next;
        if before.is_none() {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

async fn credit(house: &House, op: &Op, all: bool, json: bool) -> Result<ExitCode> {
    let mut before: Option<String> = None;
    loop {
        let page = restricted::credit_list(&house.app, op, !all, before.as_deref(), 200).await?;
        for c in &page.items {
            if json {
                out_json(c)?;
                continue;
            }
            let repaired = if c.repaired_at.is_empty() { "" } else { " 已修复 repaired" };
            let (id, subject, name) = (&c.id, &c.subject, &c.subject_name);
            out(&format!("{id} {subject} {name} · {} → {}{repaired}", c.rule, c.until));
        }
        before = page.next;
        if before.is_none() {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn state_of(text: &str) -> Result<UseState> {
    UseState::parse(text).ok_or_else(|| {
        let words: Vec<&str> = UseState::ALL.iter().map(|s| s.as_str()).collect();
        Error::invalid(
            format!("`{text}` 不是状态，可用：{}", words.join(" ")),
            format!("`{text}` is no state; there are: {}", words.join(" ")),
        )
    })
}

fn report_of(text: &str) -> Result<DeskReport> {
    DeskReport::parse(text).ok_or_else(|| {
        let words = "open filed returned overdue";
        Error::invalid(
            format!("`{text}` 不是使用情况报告的状态，可用：{words}"),
            format!("`{text}` is no state of a report on use; there are: {words}"),
        )
    })
}

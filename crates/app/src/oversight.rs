//! Oversight of channels: rules of reconciliation and error budgets (`rules/oversight.toml`), and what is set for one channel
//! instead.

use model::oversight::{Budget, ChannelRule};
use model::{Error, Op, Result};
use policy::{Action, Target};
use serde::Deserialize;

use crate::{App, audit};

/// Rules as data.
#[derive(Clone, Debug, Deserialize)]
pub struct OversightRules {
    pub effective: String,
    pub reconcile: ReconcileRules,
    pub budget: BudgetRules,
}

/// How source and lake are compared.
#[derive(Clone, Debug, Deserialize)]
pub struct ReconcileRules {
    pub chunk_rows: u64,
    pub fan_out: u64,
    pub leaf_rows: u64,
    pub gather: usize,
    pub checks: u32,
    pub settle_seconds: u64,
    pub kept: u64,
    pub most_rows: usize,
    pub every_hours: u64,
    #[serde(default = "weekly")]
    pub reread_hours: u64,
    pub heal: bool,
}

/// What holds for rule files that were written before it was told.
fn weekly() -> u64 {
    168
}

/// When a channel stops because too many rows are bad.
#[derive(Clone, Debug, Deserialize)]
pub struct BudgetRules {
    pub window_seconds: u64,
    pub rows: u64,
    pub share: f64,
}

/// Reads the rules; the shipped ones when the file says nothing.
pub(crate) fn rules(
    own: Option<OversightRules>,
) -> std::result::Result<OversightRules, toml::de::Error> {
    own.map_or_else(|| toml::from_str(include_str!("../rules/oversight.toml")), Ok)
}

/// What holds for a channel.
pub async fn rule(app: &App, channel: &str) -> Result<ChannelRule> {
    app.store.channel_rule(channel).await
}

/// The error budget in force for a channel.
pub(crate) async fn budget(app: &App, channel: &str) -> Result<Budget> {
    let (set, shipped) = (rule(app, channel).await?, &app.rules.oversight.budget);
    Ok(Budget {
        rows: set.budget_rows.unwrap_or(shipped.rows),
        share: set.budget_share.unwrap_or(shipped.share),
    })
}

/// Sets what holds for a channel of an organisation instead of the rule file's.
pub(crate) async fn set(
    app: &App,
    op: &Op,
    org: &str,
    channel: &str,
    rule: &ChannelRule,
) -> Result<()> {
    if rule.budget_share.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
        return Err(Error::invalid(
            "差错比例应在 0 与 100% 之间",
            "the share of bad rows lies between 0 and 100 %",
        )
        .field("budget_share", "请核对", "check"));
    }
    if rule.reconcile_hours.is_some_and(|hours| hours > 24 * 366) {
        return Err(Error::invalid(
            "核对间隔最长一年",
            "the interval of reconciliation is a year at most",
        )
        .field("reconcile_hours", "请核对", "check"));
    }
    let target = Target::of_org("Entry", channel, org);
    let permit = audit::permit(app, op, Action::DataCollect, &target).await?;
    app.store.channel_rule_set(&permit, channel, rule).await?;
    let said = serde_json::to_string(rule).unwrap_or_default();
    let event =
        model::audit::AuditEvent { scope: said, ..audit::event(op, "channel.rule", channel) };
    audit::record(app, event).await
}

/// Reasons remembered for telling which were most frequent.
const REASONS: usize = 50;

/// Watches the bad rows of one collection.
pub(crate) struct Watch {
    budget: Budget,
    /// Why rows were set aside: words and how many.
    reasons: Vec<(String, String, u64)>,
}

impl Watch {
    /// Of an entry's files and queries.
    pub(crate) async fn of(app: &App, entry: &str) -> Result<Self> {
        let budget = budget(app, &model::oversight::entry_channel(entry)).await?;
        Ok(Self { budget, reasons: Vec::new() })
    }

    pub(crate) fn add(&mut self, rejects: &[model::parcel::Reject]) {
        for (zh, en, rows) in most(rejects.iter()) {
            let room = self.reasons.len() < REASONS;
            match self.reasons.iter_mut().find(|(known, ..)| *known == zh) {
                Some((_, _, n)) => *n += rows,
                None if room => self.reasons.push((zh, en, rows)),
                None => {}
            }
        }
    }

    /// Fails when too many rows are bad: nothing lands, so that what stands is not replaced by less.
    pub(crate) fn check(&mut self, run: &model::parcel::Run) -> Result<()> {
        if !self.budget.exceeded(run.read, run.quarantined) {
            return Ok(());
        }
        metrics::counter!("qt_budget_stops_total", "channel" => run.channel.clone()).increment(1);
        self.reasons.sort_by_key(|(_, _, rows)| std::cmp::Reverse(*rows));
        let (zh, en) = exceeded(&self.budget, run.read, run.quarantined, &self.reasons);
        Err(Error::new(
            model::Code::RuleBroken,
            format!("{zh}。未入湖任何数据；请修正数据项、代码表或源数据后重试"),
            format!(
                "{en}. Nothing was landed; mend the item, its code list or the source, then run it again"
            ),
        ))
    }
}

/// Words for a channel that stopped, with what was wrong most often.
pub(crate) fn exceeded(
    budget: &Budget,
    read: u64,
    bad: u64,
    most: &[(String, String, u64)],
) -> (String, String) {
    let share = budget.share * 100.0;
    let mut zh = format!(
        "{read} 行中有 {bad} 行不符合数据项，超出差错预算（至少 {} 行且超过 {share:.1}%）",
        budget.rows
    );
    let mut en = format!(
        "{bad} of {read} rows do not fit the items, beyond the error budget (at least {} rows and more than {share:.1} %)",
        budget.rows
    );
    for (reason_zh, reason_en, rows) in most.iter().take(3) {
        zh.push_str(&format!("；{reason_zh}（{rows} 行）"));
        en.push_str(&format!("; {reason_en} ({rows} rows)"));
    }
    (zh, en)
}

/// Reasons of rejects, the most frequent first: words in both languages and how many rows.
pub(crate) fn most<'a>(
    rejects: impl Iterator<Item = &'a model::parcel::Reject>,
) -> Vec<(String, String, u64)> {
    let mut found: std::collections::HashMap<(String, String), (String, String, u64)> =
        Default::default();
    for reject in rejects {
        let key = (reject.column.clone(), model::oversight::reason_of(&reject.column, &reject.en));
        let word = |text: &str| match reject.column.is_empty() {
            true => text.to_owned(),
            false => format!("`{}` {text}", reject.column),
        };
        found.entry(key).or_insert_with(|| (word(&reject.zh), word(&reject.en), 0)).2 += 1;
    }
    let mut most: Vec<_> = found.into_values().collect();
    most.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| a.1.cmp(&b.1)));
    most
}

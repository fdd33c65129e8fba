//! Findings over all entries that somebody may manage: sums by rule and organisation, the entries behind them, files
//! before they are imported, and making all findings anew when the rules have changed.

use std::path::Path;

use model::finding::{Finding, FindingRow, FindingSum, Level};
use model::{Error, Op, Result};
use policy::{Action, Target};
use serde::Serialize;
use store::entry::{EntryScope, Held};
use store::finding::Linted;

use super::super::{look, sheet};
use super::{RuleSeen, hits, lint};
use crate::{App, Page, audit};

/// Places told of each entry in the list.
const SHOWN: usize = 5;
/// Entries whose rules are asked at once.
const LOT: u32 = 500;

/// An entry in the list with its first places.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    #[serde(flatten)]
    pub row: FindingRow,
    pub found: Vec<Finding>,
    /// Places that are not told here.
    pub more: i64,
}

/// Sums of the findings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// Rules in force with their sums; a rule that nothing breaks has none.
    pub rules: Vec<(RuleSeen, Option<FindingSum>)>,
    /// By organisation, a page.
    pub orgs: Page<FindingSum>,
    /// The rules have changed and not every entry has been asked anew yet.
    pub stale: bool,
    /// Organisation that the caller is bound to.
    pub own: Option<String>,
}

/// Whose findings the caller may see: everybody's (or one organisation's, as asked), or their own organisation's only.
async fn reach(app: &App, op: &Op, asked: Option<&str>) -> Result<Option<String>> {
    if look::scope(app, op) == EntryScope::All {
        return Ok(asked.map(str::to_owned));
    }
    let own = op.actor.org().unwrap_or_default();
    audit::permit(app, op, Action::EntryImport, &Target::of_org("Org", own, own)).await?;
    Ok(Some(own.to_owned()))
}

/// Whether the caller may mend entries of this kind at all (to show or hide buttons).
#[must_use]
pub fn may_fix(app: &App, op: &Op) -> bool {
    let own = op.actor.org().unwrap_or_default();
    app.policy.decide(op, Action::EntryImport, &Target::of_org("Org", own, own)).allowed
}

/// Sums by rule, and by organisation page by page (of one rule when it is given).
pub async fn sums(
    app: &App,
    op: &Op,
    org: Option<&str>,
    rule: Option<&str>,
    after_org: Option<&str>,
    limit: u32,
) -> Result<Sums> {
    let org = reach(app, op, org).await?;
    let day = op.today();
    let mut kept = app.store.finding_rules(org.as_deref()).await?;
    let mut rules: Vec<(RuleSeen, Option<FindingSum>)> = app
        .rules
        .packs
        .rules(day)
        .into_iter()
        .map(|seen| {
            let own = kept.iter().position(|k| k.of == seen.id).map(|n| kept.swap_remove(n));
            (seen, own)
        })
        .collect();
    rules.sort_by_key(|(seen, sum)| {
        (seen.level == Level::Warning, -sum.as_ref().map_or(0, |s| s.entries))
    });
    let orgs = match &org {
        // One organisation's sums stand above.
        Some(_) => Page { items: Vec::new(), next: None },
        None => {
            let mut items = app.store.finding_orgs(rule, after_org, limit + 1).await?;
            let more = items.len() > usize::try_from(limit).unwrap_or(50);
            items.truncate(usize::try_from(limit).unwrap_or(50));
            let next = items.last().filter(|_| more).map(|s| s.of.clone());
            Page { items, next }
        }
    };
    let stale = app.store.finding_mark().await? != Some(app.rules.packs.fingerprint(day));
    let own = (look::scope(app, op) != EntryScope::All).then_some(org).flatten();
    Ok(Sums { rules, orgs, stale, own })
}

/// Entries that break rules, by entry; `after` is the position a page ended with.
pub async fn findings(
    app: &App,
    op: &Op,
    org: Option<&str>,
    rule: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<Listed>> {
    let org = reach(app, op, org).await?;
    let position = after.and_then(|a| a.split_once('~'));
    let rows = app.store.finding_list(org.as_deref(), rule, position, limit + 1).await?;
    let Page { items: rows, next } = Page::cut(rows, limit, |r| format!("{}~{}", r.entry, r.rule));
    let mut items = Vec::with_capacity(rows.len());
    let mut last: Option<(String, Vec<Finding>)> = None;
    for row in rows {
        if last.as_ref().is_none_or(|(id, _)| *id != row.entry) {
            let found = match app.store.entry_held(&row.entry).await? {
                Some(held) => lint(&app.rules.packs, op.today(), working(&held)),
                None => Vec::new(),
            };
            last = Some((row.entry.clone(), found));
        }
        let found: Vec<Finding> = last
            .iter()
            .flat_map(|(_, all)| all.iter().filter(|f| f.rule == row.rule).take(SHOWN).cloned())
            .collect();
        let more = (row.places - i64::try_from(found.len()).unwrap_or(0)).max(0);
        items.push(Listed { row, found, more });
    }
    Ok(Page { items, next })
}

/// What is being worked on: the change under way where there is one.
pub(super) fn working(held: &Held) -> &model::entry::EntryDraft {
    held.pending.as_ref().unwrap_or(&held.entry.draft)
}

/// Asks the rules of a catalogue file without touching the ledger: faults that would keep it from being imported, and
/// findings that would keep an entry from review or should be thought over.
pub async fn lint_file(app: &App, op: &Op, path: &Path, name: &str) -> Result<sheet::LintReport> {
    sheet::lint_file(app, op, path, name).await
}

/// Asks the rules in force of every entry, when the kept findings were made by others; answers how many were asked.
/// It goes on where it was interrupted.
pub async fn relint(app: &App) -> Result<u64> {
    let op = Op::system(app.now());
    let packs = &app.rules.packs;
    let goal = packs.fingerprint(op.today());
    let mark = app.store.finding_mark().await?.unwrap_or_default();
    if mark == goal {
        return Ok(0);
    }
    let permit = app.policy.permit(&op, Action::SystemWork, &Target::plain("System", "finding"))?;
    let mut after = mark
        .strip_prefix(&goal)
        .and_then(|rest| rest.strip_prefix('@'))
        .unwrap_or_default()
        .to_owned();
    let mut asked = 0;
    loop {
        let held = app.store.entry_held_after(&after, LOT).await?;
        let Some(last) = held.last() else { break };
        after.clone_from(&last.entry.id);
        let (rules, day) = (packs.clone(), op.today());
        let asking = move || -> Vec<Linted> {
            held.iter()
                .map(|h| Linted {
                    entry: h.entry.id.clone(),
                    org: h.entry.draft.org.clone(),
                    updated_at: h.entry.updated_at.clone(),
                    hits: hits(&rules, day, working(h)),
                })
                .collect()
        };
        // Thousands of items are asked: not on a thread that answers calls.
        let linted = tokio::task::spawn_blocking(asking)
            .await
            .map_err(|e| Error::internal("the checking task ended").caused_by(e))?;
        asked += linted.len() as u64;
        app.store.finding_put(&permit, &linted).await?;
        app.store.finding_set_mark(&permit, &format!("{goal}@{after}")).await?;
    }
    app.store.finding_set_mark(&permit, &goal).await?;
    Ok(asked)
}

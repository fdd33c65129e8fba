//! Mending many entries at once: what a rule's mending would write is shown before and after, then written as drafts
//! through the normal life cycle (a published entry gets a change that goes to review), with a report by row.

use model::entry::{Difference, Entry, EntryDraft};
use model::finding::Finding;
use model::{Error, Op, Result};
use policy::{Action, Target};
use serde::Serialize;
use serde_json::Value;
use store::entry::Held;

use super::super::{compare, flow, save, visible};
use super::findings::{findings, working};
use super::{RuleSeen, lint};
use crate::{App, audit};

/// Which findings are mended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// `pack.rule`
    pub rule: String,
    pub org: Option<String>,
}

/// What the mending of a rule would make of one entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proposed {
    pub entry: Entry,
    /// Findings of the rule, and how many of them the rule can mend.
    pub places: usize,
    pub mended: usize,
    /// Before and after, from what is being worked on.
    pub changes: Vec<Difference>,
    /// Why it cannot be done, in both languages.
    pub refused: Option<(String, String)>,
}

/// A page of what would be mended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Preview {
    pub rule: RuleSeen,
    pub rows: Vec<Proposed>,
    pub next: Option<String>,
}

/// What became of one entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fixed {
    pub entry: String,
    pub code: String,
    pub title: String,
    pub done: bool,
    /// Places mended.
    pub mended: usize,
    /// What came of it, or why nothing did.
    pub zh: String,
    pub en: String,
}

/// Shows what the rule's mending would write, entry by entry. Nothing is changed.
pub async fn preview(
    app: &App,
    op: &Op,
    range: &Range,
    after: Option<&str>,
    limit: u32,
) -> Result<Preview> {
    let rule = known(app, op, &range.rule)?;
    let page = findings(app, op, range.org.as_deref(), Some(&rule.id), after, limit).await?;
    let mut rows = Vec::with_capacity(page.items.len());
    for listed in page.items {
        let Some(held) = app.store.entry_held(&listed.row.entry).await? else { continue };
        let before = working(&held);
        let (after, places, mended) = mend(app, op, before, &rule.id);
        let changes = compare::compare(before, &after);
        let refused =
            refusal(app, op, &held, &after, mended).map(|e| (e.zh().to_owned(), e.en().to_owned()));
        // The table of an entry can be long; the page shows what changes.
        let mut entry = held.entry;
        entry.draft.items.clear();
        rows.push(Proposed { entry, places, mended, changes, refused });
    }
    Ok(Preview { rule, rows, next: page.next })
}

/// Mends the chosen entries (id and the `updated_at` of the preview) and says of each what came of it.
pub async fn apply(
    app: &App,
    op: &Op,
    rule: &str,
    chosen: &[(String, String)],
) -> Result<Vec<Fixed>> {
    let rule = known(app, op, rule)?;
    let most = app.rules.catalogue.size.bulk;
    if chosen.len() > most {
        return Err(Error::invalid(
            format!("一次最多修复 {most} 条目录，请分批"),
            format!("{most} entries can be mended at once at most; do it in lots"),
        ));
    }
    let mut report = Vec::with_capacity(chosen.len());
    for (id, updated_at) in chosen {
        // What the caller may not know of is not told apart from what does not exist.
        let held = visible(app, op, id).await?;
        let (code, title) = (held.entry.draft.code.clone(), working(&held).title.clone());
        let was = held.entry.publish_state;
        let outcome = one(app, op, &rule, held, updated_at).await;
        let (done, mended, zh, en) = match outcome {
            Ok((entry, mended)) if flow::auditing(flow::State { publish: entry.publish_state, online: entry.online_state }) => (
                true, mended,
                "已作为变更提交审核，原版本继续有效".to_owned(),
                "handed in as a change; the present version stays in force until it is approved".to_owned(),
            ),
            Ok((_, mended)) => (true, mended, format!("草稿已修改（{}）", was.zh()), format!("the draft was changed ({was})")),
            // The store, the audit log or we ourselves failed: that is not a row's fault.
            Err(e) if matches!(e.kind(), model::Kind::Unavailable | model::Kind::Internal) => return Err(e),
            Err(e) => {
                let field = |f: &model::FieldError| f.field.clone();
                let place = e.fields().first().map(field).map(|f| format!(" [{f}]")).unwrap_or_default();
                (false, 0, format!("{}{place}", e.zh()), format!("{}{place}", e.en()))
            }
        };
        report.push(Fixed { entry: id.clone(), code, title, done, mended, zh, en });
    }
    Ok(report)
}

async fn one(
    app: &App,
    op: &Op,
    rule: &RuleSeen,
    held: Held,
    updated_at: &str,
) -> Result<(Entry, usize)> {
    let target = Target::entry(&held.entry);
    let permit = audit::permit(app, op, Action::EntryImport, &target).await?;
    if held.entry.updated_at != updated_at {
        return Err(Error::new(
            model::Code::Stale,
            "预览之后目录已被改动，请重新预览",
            "the entry was changed after the preview: look at it again",
        ));
    }
    let (draft, _, mended) = mend(app, op, working(&held), &rule.id);
    if let Some(refusal) = refusal(app, op, &held, &draft, mended) {
        return Err(refusal);
    }
    let reason = format!("bulk fix {}", rule.id);
    save(app, op, &permit, held, draft, &reason).await.map(|entry| (entry, mended))
}

/// The rule, if it is in force and mends.
fn known(app: &App, op: &Op, id: &str) -> Result<RuleSeen> {
    let rules = app.rules.packs.rules(op.today());
    let rule = rules.into_iter().find(|r| r.id == id).ok_or_else(|| {
        Error::not_found("编目规则", "rule", &id.chars().take(80).collect::<String>())
    })?;
    if rule.mends {
        return Ok(rule);
    }
    Err(Error::invalid(
        format!("规则“{}”须由人逐条修改，不能批量修复", rule.zh),
        format!("the rule `{}` needs a person's judgement and cannot be mended in bulk", rule.en),
    ))
}

/// Why an entry cannot be mended now.
fn refusal(app: &App, op: &Op, held: &Held, draft: &EntryDraft, mended: usize) -> Option<Error> {
    let state = flow::State { publish: held.entry.publish_state, online: held.entry.online_state };
    if !app.policy.decide(op, Action::EntryImport, &Target::entry(&held.entry)).allowed {
        return Some(Error::of(model::Code::Denied));
    }
    if mended == 0 {
        return Some(Error::invalid(
            "没有可自动修复之处，请逐条修改",
            "nothing of it can be mended by the rule: edit the entry",
        ));
    }
    if flow::auditing(state) {
        return Some(Error::new(
            model::Code::WrongState,
            "目录正在审核中，请先撤回或等待审核结束",
            "the entry is under review: withdraw it or wait for the end",
        ));
    }
    super::super::refuse_faults(super::super::check(app, draft)).err()
}

/// A draft with what the rule's mending writes: the draft, findings of the rule, and how many were mended.
fn mend(app: &App, op: &Op, draft: &EntryDraft, rule: &str) -> (EntryDraft, usize, usize) {
    let found: Vec<Finding> =
        lint(&app.rules.packs, op.today(), draft).into_iter().filter(|f| f.rule == rule).collect();
    let places = found.len();
    let Ok(mut whole) = serde_json::to_value(draft) else { return (draft.clone(), places, 0) };
    let mut mended = 0;
    for f in &found {
        let Some(new) = &f.fixed else { continue };
        let place = match f.field.strip_prefix("items[").and_then(|rest| rest.split_once("].")) {
            Some((n, field)) => n
                .parse::<usize>()
                .ok()
                .and_then(|n| whole.get_mut("items")?.get_mut(n)?.get_mut(field)),
            None => whole.get_mut(f.field.as_str()),
        };
        if let Some(place) = place {
            *place = match place {
                Value::Number(_) => new.parse::<u64>().map_or(Value::Null, Value::from),
                Value::Bool(_) => Value::Bool(new == "true"),
                _ => Value::String(new.clone()),
            };
            mended += 1;
        }
    }
    match serde_json::from_value(whole) {
        Ok(draft) => (draft, places, mended),
        // A mending whose word no code list holds mends nothing.
        Err(_) => (draft.clone(), places, 0),
    }
}

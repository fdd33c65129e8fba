//! Security rules as the security officer reads them: which masks and grading rules are in force, from which files,
//! since when, and where departments declared something else.
//!
//! Rules are files (the law is data); nobody edits them in a page. What this room keeps is the trace: whenever the
//! platform works with rules it has not worked with before, that is recorded with the time and written into the
//! audit chain, so that "since when, and who" has an answer.

use model::audit::AuditEvent;
use model::entry::{Entry, EntryFilter};
use model::{Actor, Op, Result};
use policy::{Action, MaskRule, RuleFile, Target};
use serde::{Deserialize, Serialize};

use crate::catalogue::rules::{Advice, Classified, GradeRules};
use crate::{App, Page, account, audit, catalogue};

/// Name of the kept trace.
const SEEN_MARK: &str = "rules_seen";
/// Editions remembered.
const REMEMBERED: usize = 50;
/// Entries looked through for one page of declared masks.
const LOOKED_THROUGH: usize = 2_000;

/// A set of rules the platform worked with, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Fingerprint of the rule texts, hexadecimal.
    pub fingerprint: String,
    pub since: String,
    /// Who put them in force: the start of the platform (`system`), or whoever looked first.
    pub by: String,
}

/// The rules in force.
#[derive(Clone, Debug, Serialize)]
pub struct InForce {
    pub files: Vec<RuleFile>,
    pub masks: Vec<MaskRule>,
    /// Rules of grading and opening (`catalogue.toml`), and the day from which they hold.
    pub effective: String,
    pub grade: GradeRules,
    pub advice: Advice,
    pub classified: Classified,
    /// Newest first.
    pub history: Vec<Seen>,
}

/// Where a department declared a mask of its own, or raised a grade by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Declared {
    pub entry: String,
    pub code: String,
    pub title: String,
    pub org: String,
    /// `(item, name, grade, mask)`
    pub items: Vec<(String, String, String, String)>,
    pub raised: Option<String>,
    /// Who declared it last, and when.
    pub by: String,
    pub at: String,
}

fn target() -> Target {
    Target::plain("System", "security")
}

/// Notes the rules the platform works with, once per edition. Called at the start and before they are shown.
pub async fn observe(app: &App, op: &Op) -> Result<Vec<Seen>> {
    let kept = app.store.meta_get(SEEN_MARK).await?.unwrap_or_default();
    let mut seen: Vec<Seen> = serde_json::from_str(&kept).unwrap_or_default();
    let fingerprint = format!("{:016x}", app.policy.version());
    if seen.first().is_some_and(|s| s.fingerprint == fingerprint) {
        return Ok(seen);
    }
    let system = Op { actor: Actor::System, ..op.clone() };
    let permit =
        audit::permit(app, &system, Action::SystemWork, &Target::plain("System", "rules")).await?;
    seen.insert(
        0,
        Seen {
            fingerprint: fingerprint.clone(),
            since: op.stamp(),
            by: op.actor.name().to_owned(),
        },
    );
    seen.truncate(REMEMBERED);
    let text = serde_json::to_string(&seen)
        .map_err(|e| model::Error::internal("the trace of rules").caused_by(e))?;
    app.store.meta_set(&permit, SEEN_MARK, &text).await?;
    let editions: Vec<String> =
        app.policy.files().iter().map(|f| format!("{} {}", f.name, f.edition)).collect();
    let event = AuditEvent {
        scope: editions.join("; "),
        ..audit::event(op, "security.rules", &fingerprint)
    };
    audit::record(app, event).await?;
    Ok(seen)
}

/// The rules in force; who put them in force by the names shown.
pub async fn in_force(app: &App, op: &Op) -> Result<InForce> {
    audit::permit(app, op, Action::SecurityManage, &target()).await?;
    let mut history = observe(app, op).await?;
    account::logins_named(app, history.iter_mut().map(|s| &mut s.by).collect()).await?;
    let rules = &app.rules.catalogue;
    Ok(InForce {
        files: app.policy.files().to_vec(),
        masks: app.policy.mask_rules(op.today()),
        effective: rules.effective.clone(),
        grade: rules.grade.clone(),
        advice: rules.advice.clone(),
        classified: rules.classified.clone(),
        history,
    })
}

/// Entries with masks or grades declared by hand, newest first; who declared them by the names shown.
pub async fn declared(
    app: &App,
    op: &Op,
    after: Option<&str>,
    limit: usize,
) -> Result<Page<Declared>> {
    audit::permit(app, op, Action::SecurityManage, &target()).await?;
    let mut filter =
        EntryFilter { after: after.map(str::to_owned), limit: 200, ..EntryFilter::default() };
    let (mut items, mut looked) = (Vec::new(), 0);
    let next = 'pages: loop {
        let page = catalogue::list(app, op, &filter).await?;
        for entry in &page.items {
            looked += 1;
            if let Some(found) = of_entry(app, entry).await? {
                items.push(found);
            }
            if items.len() >= limit || looked >= LOOKED_THROUGH {
                break 'pages Some(entry.id.clone());
            }
        }
        filter.after = page.next;
        if filter.after.is_none() {
            break None;
        }
    };
    account::named(app, items.iter_mut().map(|(by, d)| (by.as_str(), &mut d.by)).collect()).await?;
    Ok(Page { items: items.into_iter().map(|(_, declared)| declared).collect(), next })
}

/// What an entry declares, with the account of who declared it last.
async fn of_entry(app: &App, entry: &Entry) -> Result<Option<(String, Declared)>> {
    let draft = &entry.draft;
    let items: Vec<_> = draft
        .items
        .iter()
        .filter_map(|i| {
            let mask = i.mask.as_ref()?.label();
            let grade = i.grade.as_str().to_owned();
            Some((i.identifier.clone(), i.name_cn.clone(), grade, mask))
        })
        .collect();
    if items.is_empty() && draft.raised_grade.is_none() {
        return Ok(None);
    }
    let steps = app.store.entry_steps(&entry.id).await?;
    let last =
        steps.into_iter().rev().find(|s| matches!(s.action.as_str(), "create" | "edit" | "alter"));
    let by = last.as_ref().map(|s| s.actor.clone()).unwrap_or_default();
    let declared = Declared {
        entry: entry.id.clone(),
        code: draft.code.clone(),
        title: draft.title.clone(),
        org: draft.org.clone(),
        items,
        raised: draft.raised_grade.map(|g| g.as_str().to_owned()),
        by: last.as_ref().map(|s| s.actor_name.clone()).unwrap_or_default(),
        at: last.map_or_else(|| entry.created_at.clone(), |s| s.at),
    };
    Ok(Some((by, declared)))
}

//! Looking at the catalogue: one entry, lists, steps, versions, differences, and what stands before a decision.

use chrono::NaiveDate;
use model::entry::{Difference, Entry, EntryDraft, EntryFilter, EntryStep, EntryVersion};
use model::finding::Finding;
use model::{Error, FieldError, Op, Result};
use policy::{Action, Target};
use serde::Serialize;
use store::entry::{EntryScope, Held};

use super::{Move, flow, inner, moves, same_eyes, seen, visible};
use crate::account::{Named, named};
use crate::{App, Page, audit};

/// One entry by id or code. What the caller may not know of is not found; of an open entry the public sees the open
/// items only.
pub async fn get(app: &App, op: &Op, id_or_code: &str) -> Result<Entry> {
    let entry = app.store.entry_get(id_or_code).await?;
    entry
        .and_then(|e| seen(app, op, e))
        .ok_or_else(|| Error::not_found("目录", "entry", id_or_code))
}

/// The change under review, or refused and waiting to be mended, for those who may see what is not in force.
pub async fn pending(app: &App, op: &Op, id_or_code: &str) -> Result<Option<EntryDraft>> {
    let held = visible(app, op, id_or_code).await?;
    Ok(held.pending.filter(|_| inner(app, op, &held.entry)))
}

/// An entry with the declaration that an edit goes on from: the change under way where there is one, else what is in
/// force. For those who may compile it.
pub async fn working(app: &App, op: &Op, id: &str) -> Result<(Entry, EntryDraft)> {
    let held = visible(app, op, id).await?;
    audit::permit(app, op, Action::EntryCompile, &Target::entry(&held.entry)).await?;
    let draft = held.pending.unwrap_or_else(|| held.entry.draft.clone());
    Ok((held.entry, draft))
}

/// What stands before a decision on an entry: what the caller may do, what exactly would change, by when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outlook {
    pub moves: Vec<Move>,
    /// The caller handed in what is under review, and so may not decide it (four eyes).
    pub own: bool,
    /// From what is in force to the change under way; `None` when there is none, or the caller may not see it.
    pub changes: Option<Vec<Difference>>,
    /// Day by which the present review should end.
    pub due: Option<NaiveDate>,
    pub overdue: bool,
    /// Who handed it in, when and why.
    pub asked: Option<EntryStep>,
    /// The refusal that waits to be answered.
    pub refused: Option<EntryStep>,
    /// What of the declaration under review should be thought over.
    pub advice: Vec<FieldError>,
    /// Where the declaration being worked on does not follow the rule packs, for those who see what is not in force.
    pub findings: Vec<Finding>,
}

/// An entry that awaits a review.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Awaiting {
    pub entry: Entry,
    pub outlook: Outlook,
}

/// The outlook of one entry; people by the names shown.
pub async fn outlook(app: &App, op: &Op, id: &str) -> Result<Outlook> {
    let held = visible(app, op, id).await?;
    let mut outlook = outlook_of(app, op, &held).await?;
    named(app, people(&mut outlook).collect()).await?;
    Ok(outlook)
}

/// Who handed it in, and who refused it.
fn people(outlook: &mut Outlook) -> impl Iterator<Item = Named<'_>> {
    outlook.asked.iter_mut().chain(&mut outlook.refused).map(person)
}

/// Who did a step.
fn person(step: &mut EntryStep) -> Named<'_> {
    (step.actor.as_str(), &mut step.actor_name)
}

async fn outlook_of(app: &App, op: &Op, held: &Held) -> Result<Outlook> {
    let entry = &held.entry;
    let inside = inner(app, op, entry);
    let steps = if inside { app.store.entry_steps(&entry.id).await? } else { Vec::new() };
    let due = due(app, entry).filter(|_| inside);
    let waits = [entry.publish_state.as_str(), entry.online_state.as_str()]
        .iter()
        .any(|state| state.ends_with("-reject"));
    let advice = match due {
        Some(_) => advise(app, op, held.pending.as_ref().unwrap_or(&entry.draft)),
        None => Vec::new(),
    };
    let working = held.pending.as_ref().unwrap_or(&entry.draft);
    let findings = match inside {
        true => super::standard::lint(&app.rules.packs, op.today(), working),
        false => Vec::new(),
    };
    Ok(Outlook {
        advice,
        findings,
        moves: moves(app, op, held),
        own: due.is_some() && same_eyes(op, held),
        changes: held
            .pending
            .as_ref()
            .filter(|_| inside)
            .map(|change| super::compare::compare(&entry.draft, change)),
        due,
        overdue: due.is_some_and(|day| day < op.today()),
        asked: steps.last().filter(|s| s.to.ends_with("-auditing")).cloned(),
        refused: steps.into_iter().rev().find(|s| s.action == "reject").filter(|_| waits),
    })
}

/// Entries that await a review, newest first, with what a reviewer must see; people by the names shown.
pub async fn queue(app: &App, op: &Op, after: Option<&str>, limit: u32) -> Result<Page<Awaiting>> {
    let filter = EntryFilter {
        auditing: true,
        after: after.map(str::to_owned),
        limit,
        ..EntryFilter::default()
    };
    let page = list(app, op, &filter).await?;
    let mut items: Vec<Awaiting> = Vec::with_capacity(page.items.len());
    for entry in page.items {
        // What has just been decided is no longer in the queue.
        let Some(held) = app.store.entry_held(&entry.id).await? else { continue };
        let outlook = outlook_of(app, op, &held).await?;
        items.push(Awaiting { entry: held.entry, outlook });
    }
    named(app, items.iter_mut().flat_map(|i| people(&mut i.outlook)).collect()).await?;
    Ok(Page { items, next: page.next })
}

/// What is allowed in a draft but should be thought over before handing it in, and what keeps it from review.
#[must_use]
pub fn advise(app: &App, op: &Op, draft: &EntryDraft) -> Vec<FieldError> {
    let mut found = super::check::advise(&app.rules.catalogue, draft);
    found.extend(super::profile::advise(draft));
    let packs = &app.rules.packs;
    found.extend(super::standard::lint(packs, op.today(), draft).iter().map(Finding::told));
    found
}

/// Day by which the present review should end (working days of the rule file); `None` when nothing is under review.
#[must_use]
pub fn due(app: &App, entry: &Entry) -> Option<NaiveDate> {
    let state = flow::State { publish: entry.publish_state, online: entry.online_state };
    let since = chrono::DateTime::parse_from_rfc3339(&entry.updated_at).ok()?;
    let day = since.with_timezone(&model::op::china()).date_naive();
    flow::auditing(state)
        .then(|| app.calendar.add_working_days(day, app.rules.review.catalogue_days))
}

/// Entries the caller may see, newest first.
pub async fn list(app: &App, op: &Op, filter: &EntryFilter) -> Result<Page<Entry>> {
    let limit = usize::try_from(filter.limit).unwrap_or(50).clamp(1, 999);
    let limit = if filter.limit == 0 { 50 } else { limit };
    let scope = scope(app, op);
    let mut ask = EntryFilter { limit: u32::try_from(limit + 1).unwrap_or(51), ..filter.clone() };
    let mut items: Vec<Entry> = Vec::new();
    loop {
        let page = app.store.entry_list(&ask, &scope).await?;
        let last_page = page.len() <= limit;
        for entry in page {
            ask.after = Some(entry.id.clone());
            items.extend(seen(app, op, entry));
        }
        if items.len() > limit {
            items.truncate(limit);
            let next = items.last().map(|e| e.id.clone());
            return Ok(Page { items, next });
        }
        if last_page {
            return Ok(Page { items, next: None });
        }
    }
}

/// What the store may show this caller at all: everything, if policy lets it read a stranger's unpublished entry.
pub(crate) fn scope(app: &App, op: &Op) -> EntryScope {
    let strange = Target { org: Some(String::new()), ..Target::plain("Entry", "") };
    if app.policy.decide(op, Action::EntryRead, &strange).allowed {
        return EntryScope::All;
    }
    EntryScope::LiveOr(op.actor.org().map(str::to_owned))
}

/// Steps of an entry's life, oldest first; people by the names shown.
pub async fn steps(app: &App, op: &Op, id: &str) -> Result<Vec<EntryStep>> {
    let held = visible(app, op, id).await?;
    let mut steps = app.store.entry_steps(&held.entry.id).await?;
    named(app, steps.iter_mut().map(person).collect()).await?;
    Ok(steps)
}

/// Kept versions, newest first.
pub async fn versions(app: &App, op: &Op, id: &str) -> Result<Vec<EntryVersion>> {
    let held = visible(app, op, id).await?;
    app.store.entry_versions(&held.entry.id).await
}

/// Differences between two versions. The version after the present one is the change under review.
pub async fn compare(app: &App, op: &Op, id: &str, from: i64, to: i64) -> Result<Vec<Difference>> {
    let held = visible(app, op, id).await?;
    let draft = async |version: i64| -> Result<EntryDraft> {
        if version == held.entry.version + 1
            && let Some(pending) = &held.pending
            && inner(app, op, &held.entry)
        {
            return Ok(pending.clone());
        }
        let kept = app.store.entry_version(&held.entry.id, version).await?;
        kept.map(|v| v.draft)
            .ok_or_else(|| Error::not_found("版本", "version", &version.to_string()))
    };
    Ok(super::compare::compare(&draft(from).await?, &draft(to).await?))
}

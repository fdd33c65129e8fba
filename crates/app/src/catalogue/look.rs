//! Looking at the catalogue: one entry, lists, steps, versions, differences.

use chrono::NaiveDate;
use model::entry::{Difference, Entry, EntryDraft, EntryFilter, EntryStep, EntryVersion};
use model::{Error, FieldError, Op, Result};
use policy::{Action, Target};
use store::entry::EntryScope;

use super::{flow, seen, visible};
use crate::{App, Page};

/// One entry by id or code. What the caller may not know of is not found; of an open entry the public sees the open
/// items only.
pub async fn get(app: &App, op: &Op, id_or_code: &str) -> Result<Entry> {
    let entry = app.store.entry_get(id_or_code).await?;
    entry
        .and_then(|e| seen(app, op, e))
        .ok_or_else(|| Error::not_found("目录", "entry", id_or_code))
}

/// The change under review, or refused and waiting to be mended.
pub async fn pending(app: &App, op: &Op, id_or_code: &str) -> Result<Option<EntryDraft>> {
    Ok(visible(app, op, id_or_code).await?.pending)
}

/// What is allowed in a draft but should be thought over before handing it in.
#[must_use]
pub fn advise(app: &App, draft: &EntryDraft) -> Vec<FieldError> {
    super::check::advise(&app.rules.catalogue, draft)
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
pub(super) fn scope(app: &App, op: &Op) -> EntryScope {
    let strange = Target { org: Some(String::new()), ..Target::plain("Entry", "") };
    if app.policy.decide(op, Action::EntryRead, &strange).allowed {
        return EntryScope::All;
    }
    EntryScope::LiveOr(op.actor.org().map(str::to_owned))
}

/// Steps of an entry's life, oldest first.
pub async fn steps(app: &App, op: &Op, id: &str) -> Result<Vec<EntryStep>> {
    let held = visible(app, op, id).await?;
    app.store.entry_steps(&held.entry.id).await
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
        {
            return Ok(pending.clone());
        }
        let kept = app.store.entry_version(&held.entry.id, version).await?;
        kept.map(|v| v.draft)
            .ok_or_else(|| Error::not_found("版本", "version", &version.to_string()))
    };
    Ok(super::compare::compare(&draft(from).await?, &draft(to).await?))
}

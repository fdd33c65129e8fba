//! Withdrawing an open set with a public note: asked for by its department, agreed to by the authority like any going offline; from
//! then on the set's page says why and when, until it is opened again.

use model::code::OnlineState;
use model::entry::Entry;
use model::openplan::Withdrawal;
use model::voice::{impersonal, plain};
use model::{Code, Error, Op, Result};
use policy::{Action, Permit, Target};

use crate::catalogue::{self, Move};
use crate::{App, audit};

/// Longest note, in characters.
const NOTE: usize = 500;

/// Asks to take an open set (by code) off the site. The note is what the public reads; in English if the department gives one.
pub async fn withdraw(
    app: &App,
    op: &Op,
    code: &str,
    note: &str,
    note_en: &str,
) -> Result<Withdrawal> {
    let held = catalogue::visible(app, op, code.trim()).await?;
    let entry = held.entry;
    let draft = &entry.draft;
    let target = Target::plan(&entry.id, &draft.org, &draft.region, "");
    let permit = audit::permit(app, op, Action::PlanKeep, &target).await?;
    if !entry.open() {
        return Err(Error::new(
            Code::WrongState,
            "该数据集目前没有开放",
            "the data set is not open at present",
        ));
    }
    let note = plain("note", ("公开说明", "public note"), note, 4, NOTE)?;
    let note_en = plain("note_en", ("英文说明", "note in English"), note_en, 0, NOTE)?;
    impersonal("note", &note)?;
    impersonal("note_en", &note_en)?;
    let of = Withdrawal {
        entry: entry.id.clone(),
        code: draft.code.clone(),
        title: draft.title.clone(),
        title_en: draft.title_en.clone(),
        org: draft.org.clone(),
        region: draft.region.clone(),
        note: note.clone(),
        note_en,
        by: op.actor.name().to_owned(),
        asked_at: op.stamp(),
        since: String::new(),
    };
    // The note is kept first: it is shown to nobody until the set has left the site.
    app.store.withdrawal_put(&permit, &of).await?;
    if let Err(refusal) = catalogue::step(app, op, &of.entry, Move::TakeOffline, &note).await {
        app.store.withdrawal_remove(&permit, &of.entry).await?;
        return Err(refusal);
    }
    audit::record(app, audit::event(op, "opening.withdraw", &of.code)).await?;
    Ok(of)
}

/// What a move of the catalogue does to a note: it becomes public when the set has left the site, and goes when the set is back.
pub(crate) async fn moved(app: &App, op: &Op, permit: &Permit, was: &Entry, entry: &Entry) {
    let settled = async {
        if entry.online_state == OnlineState::Offline && was.open() {
            if let Some(of) = app.store.withdrawal_of(&entry.id).await? {
                let of = Withdrawal { since: op.stamp(), ..of };
                app.store.withdrawal_put(permit, &of).await?;
            }
        } else if entry.online_state == OnlineState::DownReject
            || (entry.online_state == OnlineState::Online && !was_online(was))
        {
            app.store.withdrawal_remove(permit, &entry.id).await?;
        }
        Ok::<_, Error>(())
    };
    if let Err(e) = settled.await {
        let code = entry.draft.code.as_str();
        tracing::error!(entry.code = code, error = %e.operator_text(), "a withdrawal's note was not brought up to date");
    }
}

fn was_online(entry: &Entry) -> bool {
    entry.online_state == OnlineState::Online
}

/// The note of a set that was open and was withdrawn; `None` when there is none, or it is open.
pub async fn withdrawn(app: &App, _op: &Op, code: &str) -> Result<Option<Withdrawal>> {
    let Some(of) = app.store.withdrawal_by_code(code).await? else { return Ok(None) };
    if of.since.is_empty() {
        return Ok(None);
    }
    let entry = app.store.entry_get(&of.entry).await?;
    Ok(entry.is_none_or(|e| !e.open()).then_some(of))
}

/// What was withdrawn last, of a region and those below (its code) or of all.
pub async fn withdrawals(
    app: &App,
    _op: &Op,
    region: Option<&str>,
    limit: u32,
) -> Result<Vec<Withdrawal>> {
    let prefix = region.map(model::region::prefix);
    app.store.withdrawals(prefix, limit.min(200)).await
}

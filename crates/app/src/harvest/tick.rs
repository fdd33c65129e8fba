//! Which turns begin, and which process works at one: a turn is one process's at a time by its lease, a failed page is tried again
//! later, and a turn that cannot go on says why.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use model::audit::AuditEvent;
use model::harvest::{HarvestFigures, HarvestSource, HarvestState, HarvestTurn};
use model::op::stamp;
use model::pipeline::schedule::Schedule;
use model::{Code, Error, Op, Result};
use policy::{Action, Permit, Target};
use store::harvest::HarvestTurnRecord;
use store::lease::Lease;

use super::turn::{Work, full};
use crate::{App, audit, follow, lease};

/// Looked at together.
const PAGE: u32 = 50;

/// One round; answers how many pages were read. Called every minute, and again as often as one likes.
pub async fn tick(app: &Arc<App>) -> Result<u64> {
    let permit = permit(app).await?;
    let now = app.now();
    let keep = TimeDelta::days(app.rules.harvest.keep_days.clamp(1, 36_500));
    app.store.harvest_forget(&permit, &stamp(now - keep)).await?;
    for source in app.store.harvest_due(&stamp(now), PAGE).await? {
        scheduled(app, &permit, source).await?;
    }
    let mut pages = 0;
    for record in app.store.harvest_turns_ready(&stamp(app.now()), PAGE).await? {
        pages += worked(app, &permit, record).await?;
    }
    Ok(pages)
}

async fn permit(app: &App) -> Result<Permit> {
    let op = Op::system(app.now());
    audit::permit(app, &op, Action::SystemWork, &Target::plain("System", "harvest")).await
}

/// When a source's next turn is after `at`; empty when there is none.
pub(super) fn due_after(app: &App, cron: &str, at: DateTime<Utc>) -> String {
    let schedule = Schedule::cron(cron).ok();
    schedule.and_then(|s| s.next(at, &app.calendar)).map(stamp).unwrap_or_default()
}

/// Opens the turn of a source whose time has come. While one is open another is not needed.
async fn scheduled(app: &App, permit: &Permit, mut source: HarvestSource) -> Result<()> {
    let op = Op::system(app.now());
    let turn = new_turn(app, &op, &source, false, false);
    app.store.harvest_turn_open(permit, &turn, &op.stamp()).await?;
    source.due = due_after(app, &source.cron, op.at);
    app.store.harvest_source_update(permit, &source).await
}

/// A turn that has not begun.
pub(super) fn new_turn(
    app: &App,
    op: &Op,
    source: &HarvestSource,
    whole: bool,
    accepts_loss: bool,
) -> HarvestTurn {
    let overlap = TimeDelta::minutes(app.rules.harvest.overlap_minutes.clamp(0, 100_000));
    HarvestTurn {
        id: op.new_id(),
        source: source.id.clone(),
        state: HarvestState::Waiting,
        full: whole || accepts_loss || full(app, source, op),
        accepts_loss,
        position: None,
        read: false,
        untouched: false,
        moved: false,
        mark: String::new(),
        since: stamp(op.at - overlap),
        failures: 0,
        figures: HarvestFigures::default(),
        zh: String::new(),
        en: String::new(),
        created_at: op.stamp(),
        started_at: None,
        finished_at: None,
        by: op.actor.name().to_owned(),
    }
}

/// Works at a turn if it is nobody else's; answers how many pages were read.
async fn worked(app: &Arc<App>, permit: &Permit, record: HarvestTurnRecord) -> Result<u64> {
    let HarvestTurnRecord { turn: seen, lease: held, .. } = record;
    if !held.owner.is_empty() && held.until > 0 && !lease::over(app, &held) {
        return Ok(0);
    }
    if !app.store.harvest_claim(permit, &seen.id, &held, &lease::taken(app)).await? {
        return Ok(0);
    }
    let owner = app.collections.owner();
    // Since it was looked at another process may have gone on with it.
    let Some(HarvestTurnRecord { mut turn, .. }) = app.store.harvest_turn_get(&seen.id).await?
    else {
        return Ok(0);
    };
    if !matches!(turn.state, HarvestState::Waiting | HarvestState::Running) {
        app.store.harvest_beat(permit, &turn.id, &Lease::ended(owner)).await?;
        return Ok(0);
    }
    let Some(source) = app.store.harvest_source_get(&turn.source).await? else {
        turn.state = HarvestState::Failed;
        let now = stamp(app.now());
        app.store.harvest_turn_write(permit, owner, &turn, &now).await?;
        return Ok(0);
    };
    if turn.started_at.is_none() {
        turn.started_at = Some(stamp(app.now()));
    }
    let id = turn.id.clone();
    let mut work = Work { app: app.as_ref(), permit, source, turn };
    let outcome = work.go().await;
    let pages = match outcome {
        Ok(pages) => pages,
        // It is another process's now, or somebody else changed what it was about to change: whoever is next reads on.
        Err(error) if error.code() == Code::Stale => 0,
        Err(error) => {
            failed(app, permit, &mut work.turn, &error).await?;
            0
        }
    };
    app.store.harvest_beat(permit, &id, &Lease::ended(owner)).await?;
    told(app, &work.source, &work.turn).await?;
    Ok(pages)
}

/// A page failed: it is tried again later, or the turn ends and says why.
async fn failed(app: &App, permit: &Permit, turn: &mut HarvestTurn, error: &Error) -> Result<()> {
    tracing::warn!(turn.id = turn.id, error = error.operator_text(), "a harvest failed at a page");
    let rules = &app.rules.harvest;
    turn.failures = turn.failures.saturating_add(1);
    (turn.zh, turn.en) = (error.zh().to_owned(), error.en().to_owned());
    let mut ready = app.now();
    if !error.kind().ours() || turn.failures >= rules.tries {
        turn.state = HarvestState::Failed;
        turn.finished_at = Some(stamp(ready));
    } else {
        turn.state = HarvestState::Running;
        let (first, longest) = (rules.retry_first_seconds, rules.retry_longest_seconds);
        let seconds = follow::pause(first, longest, false)(turn.failures);
        ready += TimeDelta::seconds(i64::try_from(seconds).unwrap_or(3600));
    }
    turn.figures = counted(app, turn).await?;
    let owner = app.collections.owner();
    app.store.harvest_turn_write(permit, owner, turn, &stamp(ready)).await
}

/// What a turn brought so far, counted from where its records went.
pub(super) async fn counted(app: &App, turn: &HarvestTurn) -> Result<HarvestFigures> {
    let figures = app.store.harvest_figures(&turn.source, &turn.id).await?;
    Ok(HarvestFigures { pages: turn.figures.pages, ..figures })
}

/// The end of a turn stands in the audit.
async fn told(app: &App, source: &HarvestSource, turn: &HarvestTurn) -> Result<()> {
    let result = match turn.state {
        HarvestState::Done => "ok",
        HarvestState::Stopped | HarvestState::Failed => "failed",
        HarvestState::Waiting | HarvestState::Running => return Ok(()),
    };
    let figures = &turn.figures;
    let op = Op::system(app.now());
    let event = AuditEvent {
        result: result.to_owned(),
        scope: format!(
            "seen {} new {} changed {} gone {} refused {}",
            figures.seen, figures.new, figures.changed, figures.gone, figures.refused
        ),
        ..audit::event(&op, "harvest.turn", &source.id)
    };
    audit::record(app, event).await
}

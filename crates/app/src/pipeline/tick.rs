//! Which turns begin: those whose time has come, those that others have waited for, those that a dead process left.
//!
//! Every step is safe beside other processes: the key of a turn, the lease of a running one, and the counts of a source are
//! settled by the store.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use model::code::SyncMode;
use model::op::{china, stamp};
use model::pipeline::{
    Pipeline, PipelineFile, PipelineWish, SameTurn, Turn, TurnFigures, TurnKind, TurnState,
};
use model::{Error, Op, Result};
use policy::{Action, Permit, Target};

use super::turn;
use crate::{App, audit, dispatch, lease};

/// Looked at together.
const PAGE: u32 = 200;

/// One round of the scheduler; answers how many turns it took up. Called every few seconds.
pub async fn tick(app: &Arc<App>) -> Result<u64> {
    let permit = permit(app).await?;
    sweep(app, &permit).await?;
    scheduled(app, &permit).await?;
    let mut begun = orphans(app, &permit).await?;
    untold(app, &permit).await?;
    for record in app.store.turns_ready(&stamp(app.now()), PAGE).await? {
        if app.pipelines.running.lock().len() >= app.rules.pipeline.turns_at_once {
            break;
        }
        begun += u64::from(begin(app, &permit, record.turn).await?);
    }
    Ok(begun)
}

/// Old turns go, once in an hour.
async fn sweep(app: &App, permit: &Permit) -> Result<()> {
    let now = app.now();
    {
        let mut swept = app.pipelines.swept_at.lock();
        if swept.is_some_and(|at| now < at + TimeDelta::hours(1)) {
            return Ok(());
        }
        *swept = Some(now);
    }
    let before = stamp(now - TimeDelta::days(app.rules.pipeline.keep_days.clamp(1, 36_500)));
    app.store.turns_forget(permit, &before).await.map(|_| ())
}

pub(super) async fn permit(app: &App) -> Result<Permit> {
    let op = Op::system(app.now());
    audit::permit(app, &op, Action::SystemWork, &Target::plain("System", "pipeline")).await
}

/// A new turn, not kept yet.
pub(super) fn new_turn(
    op: &Op,
    pipeline: &str,
    key: String,
    kind: TurnKind,
    at: DateTime<Utc>,
) -> Turn {
    Turn {
        id: op.new_id(),
        pipeline: pipeline.to_owned(),
        key,
        kind,
        at: stamp(at),
        state: TurnState::Waiting,
        ready_at: op.stamp(),
        group: String::new(),
        version: 0,
        from: String::new(),
        to: String::new(),
        failures: 0,
        missed: 0,
        figures: TurnFigures::default(),
        attempts: Vec::new(),
        zh: String::new(),
        en: String::new(),
        started_at: None,
        finished_at: None,
        by: op.actor.name().to_owned(),
    }
}

/// When a pipeline's next turn is after `at`, as kept; empty when there is none.
pub(super) fn due_after(app: &App, file: &PipelineFile, at: DateTime<Utc>) -> String {
    file.schedule.as_ref().and_then(|s| s.next(at, &app.calendar)).map(stamp).unwrap_or_default()
}

/// Turns whose time has come. What was missed while no process ran is one turn, the newest, with their number.
async fn scheduled(app: &Arc<App>, permit: &Permit) -> Result<()> {
    loop {
        let now = app.now();
        let due = app.store.pipelines_due(&stamp(now), PAGE).await?;
        let mut moved = false;
        for pipeline in due {
            let op = Op::system(app.now());
            let file = PipelineFile::parse(&pipeline.file).ok();
            let at =
                DateTime::parse_from_rfc3339(&pipeline.due).ok().map(|at| at.with_timezone(&Utc));
            let schedule = file.as_ref().and_then(|f| f.schedule.as_ref());
            let (Some(schedule), Some(at)) = (schedule, at) else {
                tracing::error!(pipeline.id = pipeline.id, "a pipeline is due without a schedule");
                continue;
            };
            moved = true;
            let (newest, missed) = schedule.latest(at, now, &app.calendar);
            let next = schedule.next(newest.max(now), &app.calendar).map(stamp).unwrap_or_default();
            let key = format!("s:{}", stamp(newest));
            let mut turn = new_turn(&op, &pipeline.id, key, TurnKind::Schedule, newest);
            turn.missed = missed;
            if app
                .store
                .turn_schedule(permit, &turn, &pipeline.source, &pipeline.due, &next)
                .await?
                && missed > 0
            {
                tracing::warn!(
                    pipeline.id = pipeline.id,
                    pipeline.missed = missed,
                    "turns were missed; the newest is run"
                );
            }
        }
        if !moved {
            return Ok(());
        }
    }
}

/// Running turns whose owner is gone are taken over.
async fn orphans(app: &Arc<App>, permit: &Permit) -> Result<u64> {
    let mut taken = 0;
    for record in app.store.turns_running(PAGE).await? {
        let id = record.turn.id.clone();
        if !lease::over(app, &record.lease) || app.pipelines.running.lock().contains(&id) {
            continue;
        }
        if app.store.turn_take_over(permit, &id, &record.lease, &lease::taken(app)).await? {
            tracing::info!(turn.id = id, "a turn whose process is gone was taken over");
            taken += 1;
            spawn(app, record.turn);
        }
    }
    Ok(taken)
}

/// Turns that went well whose process died, or failed, before those behind them were told.
async fn untold(app: &Arc<App>, permit: &Permit) -> Result<()> {
    for record in app.store.turns_untold(PAGE).await? {
        let telling = app.pipelines.running.lock().contains(&record.turn.id);
        let ours = record.lease.owner == app.collections.owner();
        if telling || !(ours || lease::over(app, &record.lease)) {
            continue;
        }
        if let Err(e) = wake(app, permit, &record.turn).await {
            tracing::warn!(
                turn.id = record.turn.id,
                error = e.operator_text(),
                "those behind a turn are told later"
            );
        }
    }
    Ok(())
}

fn spawn(app: &Arc<App>, turn: Turn) {
    app.pipelines.running.lock().insert(turn.id.clone());
    drop(tokio::spawn(turn::guarded(Arc::clone(app), turn)));
}

/// Begins a waiting turn, if nothing stands in its way.
async fn begin(app: &Arc<App>, permit: &Permit, mut turn: Turn) -> Result<bool> {
    let seen = turn.state;
    let Some(pipeline) = app.store.pipeline_get(&turn.pipeline).await? else { return Ok(false) };
    let file = match PipelineFile::parse(&pipeline.file) {
        Ok(file) => file,
        Err(e) => {
            turn.state = TurnState::Failed;
            (turn.zh, turn.en) = (e.zh().to_owned(), e.en().to_owned());
            app.store.turn_set(permit, seen, &turn).await?;
            return Ok(false);
        }
    };
    if turn.kind == TurnKind::Schedule
        && seen == TurnState::Waiting
        && overtaken(app, &turn).await?
    {
        turn.state = TurnState::Cancelled;
        turn.zh = "已由更晚的一次代替".into();
        turn.en = "a later turn takes its place".into();
        turn.finished_at = Some(stamp(app.now()));
        app.store.turn_set(permit, seen, &turn).await?;
        return Ok(false);
    }
    let waits = match turn.kind {
        _ if pipeline.wish == PipelineWish::Pause && turn.kind != TurnKind::Manual => {
            Some(("管道已暂停".to_owned(), "the pipeline is paused".to_owned()))
        }
        TurnKind::Schedule => waits_for(app, &pipeline, &file, &turn).await?,
        _ => None,
    };
    if let Some((zh, en)) = waits {
        later(app, permit, seen, turn, (zh, en)).await?;
        return Ok(false);
    }
    let most = file.source.at_once.unwrap_or(app.rules.pipeline.at_once).max(1);
    turn.state = TurnState::Running;
    let (zh, en) = (std::mem::take(&mut turn.zh), std::mem::take(&mut turn.en));
    if app.store.turn_claim(permit, &turn, &pipeline.source, most, &lease::taken(app)).await? {
        spawn(app, turn);
        return Ok(true);
    }
    (turn.state, turn.zh, turn.en) = (seen, zh, en);
    let told = (
        "同一管道或同一数据源正在运行，排队中".to_owned(),
        "the same pipeline, or others of the same source, are running: it waits".to_owned(),
    );
    later(app, permit, seen, turn, told).await?;
    Ok(false)
}

/// It goes to the back and is looked at again.
async fn later(
    app: &App,
    permit: &Permit,
    seen: TurnState,
    mut turn: Turn,
    (zh, en): (String, String),
) -> Result<()> {
    let look = i64::try_from(app.rules.pipeline.look_seconds).unwrap_or(15);
    // Slices follow each other by themselves (`next_slice`); looking is for when their process has died.
    let look = if turn.kind == TurnKind::Backfill { look.saturating_mul(4) } else { look };
    turn.ready_at = stamp(app.now() + TimeDelta::seconds(look));
    // What it failed by stays to be read.
    if turn.failures == 0 {
        (turn.zh, turn.en) = (zh, en);
    }
    app.store.turn_set(permit, seen, &turn).await.map(|_| ())
}

/// A slice has ended, well or not: the next one of its backfill begins.
pub(super) async fn next_slice(app: &Arc<App>, permit: &Permit, group: &str) -> Result<()> {
    if let Some(turn) = app.store.turn_next(group).await? {
        begin(app, permit, turn).await?;
    }
    Ok(())
}

/// Whether a later scheduled turn is there: it reads what this one would, and more.
async fn overtaken(app: &App, turn: &Turn) -> Result<bool> {
    let newest = app.store.turn_newest(&turn.pipeline, &turn.at, "9").await?;
    Ok(newest.is_some_and(|n| n.kind == TurnKind::Schedule && n.at > turn.at))
}

/// Days and times of a turn that others are compared with: from one stamp on and before another.
fn span(same: SameTurn, at: &str) -> Result<(String, String, String)> {
    let moment = DateTime::parse_from_rfc3339(at)
        .map_err(|e| Error::internal("the time of a turn").caused_by(e))?;
    let day = moment.with_timezone(&china()).date_naive();
    Ok(match same {
        SameTurn::Day => {
            let (from, to) = dispatch::day_bounds(day)?;
            (from, to, format!("d:{day}"))
        }
        SameTurn::Time => {
            let to = moment.with_timezone(&Utc) + TimeDelta::milliseconds(1);
            (at.to_owned(), stamp(to), format!("t:{at}"))
        }
    })
}

/// What a turn still waits for, in both languages.
async fn waits_for(
    app: &App,
    pipeline: &Pipeline,
    file: &PipelineFile,
    turn: &Turn,
) -> Result<Option<(String, String)>> {
    let (from, to, _) = span(file.same_turn, &turn.at)?;
    let mut missing = Vec::new();
    for name in &file.after {
        let good = match app.store.pipeline_named(&pipeline.org, name).await? {
            Some(upstream) => {
                let newest = app.store.turn_newest(&upstream.id, &from, &to).await?;
                newest.is_some_and(|turn| turn.state.good())
            }
            None => false,
        };
        if !good {
            missing.push(name.as_str());
        }
    }
    let names = missing.join(", ");
    Ok((!missing.is_empty()).then(|| {
        (format!("等待上游管道：{names}"), format!("waits for the pipelines before it: {names}"))
    }))
}

/// A turn went well: those behind it are told, and that they were is kept. A slice of a backfill concerns none of them.
pub(super) async fn wake(app: &Arc<App>, permit: &Permit, done: &Turn) -> Result<()> {
    if done.kind != TurnKind::Backfill {
        tell(app, permit, done).await?;
    }
    app.store.turn_told(permit, &done.id).await
}

/// Pipelines without a schedule of their own that have waited for a turn, and for nothing else any more, get their turn; those
/// with one are looked at at once.
async fn tell(app: &Arc<App>, permit: &Permit, done: &Turn) -> Result<()> {
    let Some(upstream) = app.store.pipeline_get(&done.pipeline).await? else { return Ok(()) };
    for pipeline in app.store.pipelines_after(&upstream.org, &upstream.name).await? {
        let Ok(file) = PipelineFile::parse(&pipeline.file) else { continue };
        if file.schedule.is_some() {
            let waiting = app
                .store
                .turn_list(&pipeline.id, None, Some(TurnState::Waiting), None, PAGE)
                .await?;
            for mut turn in waiting {
                turn.ready_at = stamp(app.now());
                app.store.turn_set(permit, TurnState::Waiting, &turn).await?;
            }
            continue;
        }
        let op = Op::system(app.now());
        let (_, _, key) = span(file.same_turn, &done.at)?;
        let at = DateTime::parse_from_rfc3339(&done.at)
            .map_err(|e| Error::internal("the time of a turn").caused_by(e))?;
        let turn = new_turn(&op, &pipeline.id, key, TurnKind::After, at.with_timezone(&Utc));
        if pipeline.wish == PipelineWish::Run
            && waits_for(app, &pipeline, &file, &turn).await?.is_none()
        {
            app.store.turns_insert(permit, &[turn], &pipeline.source).await?;
        }
    }
    Ok(())
}

/// Whether every turn reads everything.
pub(super) fn whole(file: &PipelineFile) -> bool {
    file.mode == SyncMode::Full
}

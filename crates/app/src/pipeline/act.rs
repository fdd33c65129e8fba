//! Turns by hand: now, a backfill of a range, once more, not any more.

use std::sync::Arc;

use model::audit::AuditEvent;
use model::op::stamp;
use model::pipeline::window::{Mark, Step, Window};
use model::pipeline::{Pipeline, PipelineFile, Turn, TurnKind, TurnState};
use model::{Code, Error, Op, Result};
use policy::Permit;
use serde::Serialize;

use super::desk::known;
use super::tick::new_turn;
use crate::{App, Page, audit};

/// How far a backfill is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Progress {
    pub group: String,
    pub slices: u64,
    pub done: u64,
    pub failed: u64,
    pub waiting: u64,
    pub running: u64,
}

/// Runs a pipeline now, whatever its schedule says, also when it is paused.
pub async fn run_now(app: &Arc<App>, op: &Op, id: &str) -> Result<Turn> {
    let (pipeline, permit) = known(app, op, id).await?;
    let key = format!("m:{}", op.new_id());
    let turn = new_turn(op, &pipeline.id, key, TurnKind::Manual, op.at);
    app.store.turns_insert(&permit, std::slice::from_ref(&turn), &pipeline.source).await?;
    record(app, op, "pipeline.run", &pipeline, turn.id.clone()).await?;
    Ok(turn)
}

/// Reads a range of the watermark again, in slices of `step`; each goes on by itself after a crash. The position stays.
pub async fn backfill(
    app: &Arc<App>,
    op: &Op,
    id: &str,
    from: &str,
    to: &str,
    step: &str,
) -> Result<Progress> {
    let (pipeline, permit) = known(app, op, id).await?;
    let file = PipelineFile::parse(&pipeline.file)?;
    let mark = file.watermark.ok_or_else(|| {
        Error::new(
            Code::WrongState,
            "该管道没有水位线，无法按范围补采；请直接运行",
            "the pipeline has no watermark, so that there is no range to read again: run it instead",
        )
    })?;
    let missing = || Error::not_found("目录", "entry", &pipeline.entry_code);
    let entry = app.store.entry_get(&pipeline.entry).await?.ok_or_else(missing)?;
    if entry.draft.key().is_empty() {
        return Err(Error::new(
            Code::RuleBroken,
            "目录没有业务主键，补采会造成重复行",
            "the entry has no business key: rows read again would be there twice",
        ));
    }
    let read = |field: &'static str, text: &str| {
        Mark::parse(mark.kind, text).ok_or_else(|| {
            Error::invalid("补采范围有误", "the range cannot be read").field(
                field,
                format!("`{text}` 不是{}", mark.kind.zh()),
                format!("`{text}` is no {}", mark.kind.as_str()),
            )
        })
    };
    let (from, to) = (read("from", from)?, read("to", to)?);
    let step = Step::parse(mark.kind, step).ok_or_else(|| {
        Error::invalid("补采步长有误", "the step cannot be read").field(
            "step",
            "时间写成 6h、1d（日期为整天），整数写数字",
            "times read 6h, 1d (whole days for dates), whole numbers a number",
        )
    })?;
    let slices = Window::slices(from, to, step, app.rules.pipeline.backfill_slices)?;
    let group = op.new_id();
    let turns: Vec<Turn> = slices
        .iter()
        .enumerate()
        .map(|(n, window)| {
            let key = format!("b:{group}:{n:06}");
            let mut turn = new_turn(op, &pipeline.id, key, TurnKind::Backfill, op.at);
            let text = window.text();
            // In the order of the range, whatever the chance in ids.
            turn.id = format!("{group}{n:06}");
            (turn.from, turn.to) = (text.from, text.to);
            turn.group.clone_from(&group);
            turn
        })
        .collect();
    app.store.turns_insert(&permit, &turns, &pipeline.source).await?;
    let scope = format!("{} … {} {}", from.text(), to.text(), turns.len());
    record(app, op, "pipeline.backfill", &pipeline, scope).await?;
    progress_of(app, &group).await
}

/// How far a backfill of a pipeline is.
pub async fn progress(app: &App, op: &Op, id: &str, group: &str) -> Result<Progress> {
    known(app, op, id).await?;
    let progress = progress_of(app, group).await?;
    let there = !app.store.turn_list(id, Some(group), None, None, 1).await?.is_empty();
    if there { Ok(progress) } else { Err(Error::not_found("补采", "backfill", group)) }
}

async fn progress_of(app: &App, group: &str) -> Result<Progress> {
    let mut progress =
        Progress { group: group.to_owned(), slices: 0, done: 0, failed: 0, waiting: 0, running: 0 };
    for (state, n) in app.store.turn_progress(group).await? {
        progress.slices += n;
        match state {
            TurnState::Succeeded | TurnState::Empty => progress.done += n,
            TurnState::Failed | TurnState::Cancelled => progress.failed += n,
            TurnState::Waiting | TurnState::Retrying => progress.waiting += n,
            TurnState::Running => progress.running += n,
        }
    }
    Ok(progress)
}

/// Turns of a pipeline, newest first; of one backfill when given.
pub async fn turns(
    app: &App,
    op: &Op,
    id: &str,
    group: Option<&str>,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<Turn>> {
    let (pipeline, _) = known(app, op, id).await?;
    let limit = if limit == 0 { 50 } else { limit.min(200) };
    let items = app.store.turn_list(&pipeline.id, group, None, before, limit + 1).await?;
    Ok(Page::cut(items, limit, |t| t.id.clone()))
}

/// One turn, with its figures as they grow.
pub async fn turn_of(app: &App, op: &Op, id: &str, turn: &str) -> Result<Turn> {
    let (pipeline, _) = known(app, op, id).await?;
    one(app, &pipeline, turn).await
}

async fn one(app: &App, pipeline: &Pipeline, turn: &str) -> Result<Turn> {
    let missing = || Error::not_found("管道的运行", "turn of the pipeline", turn);
    let mut found = app.store.turn_get(turn).await?.ok_or_else(missing)?.turn;
    if found.pipeline != pipeline.id {
        return Err(missing());
    }
    live(app, &mut found);
    Ok(found)
}

/// What the running collection has read so far.
pub(super) fn live(app: &App, turn: &mut Turn) {
    if turn.state != TurnState::Running || turn.figures != Default::default() {
        return;
    }
    let run = turn.attempts.last().and_then(|a| app.collections.of(&a.run));
    if let Some(run) = run {
        turn.figures.read = run.read;
    }
}

/// Has a turn that failed or was cancelled tried once more, at once.
pub async fn again(app: &App, op: &Op, id: &str, turn: &str) -> Result<()> {
    let (pipeline, permit) = known(app, op, id).await?;
    let mut found = one(app, &pipeline, turn).await?;
    let seen = found.state;
    if !matches!(seen, TurnState::Failed | TurnState::Cancelled | TurnState::Retrying) {
        return Err(wrong("重试", "tried again", seen));
    }
    found.state = TurnState::Waiting;
    (found.failures, found.finished_at) = (0, None);
    found.ready_at = stamp(app.now());
    set(app, &permit, seen, &found).await?;
    record(app, op, "pipeline.again", &pipeline, found.id).await
}

/// Calls a turn off that has not begun; of a backfill all slices that wait.
pub async fn cancel(app: &App, op: &Op, id: &str, turn: &str) -> Result<()> {
    let (pipeline, permit) = known(app, op, id).await?;
    let found = one(app, &pipeline, turn).await?;
    if !matches!(found.state, TurnState::Waiting | TurnState::Retrying) {
        return Err(wrong("取消", "called off", found.state));
    }
    let mut called_off = vec![found.clone()];
    if !found.group.is_empty() {
        for state in [TurnState::Waiting, TurnState::Retrying] {
            let most = u32::try_from(app.rules.pipeline.backfill_slices).unwrap_or(1000);
            let slices =
                app.store.turn_list(&pipeline.id, Some(&found.group), Some(state), None, most);
            called_off.extend(slices.await?.into_iter().filter(|t| t.id != found.id));
        }
    }
    for mut turn in called_off {
        let seen = turn.state;
        turn.state = TurnState::Cancelled;
        turn.finished_at = Some(stamp(app.now()));
        app.store.turn_set(&permit, seen, &turn).await?;
    }
    record(app, op, "pipeline.cancel", &pipeline, found.id).await
}

async fn set(app: &App, permit: &Permit, seen: TurnState, turn: &Turn) -> Result<()> {
    if app.store.turn_set(permit, seen, turn).await? {
        return Ok(());
    }
    Err(Error::of(Code::Stale))
}

fn wrong(zh: &str, en: &str, state: TurnState) -> Error {
    Error::new(
        Code::WrongState,
        format!("处于“{}”的运行不能{zh}", state.zh()),
        format!("a turn that is `{}` cannot be {en}", state.as_str()),
    )
}

pub(super) async fn record(
    app: &App,
    op: &Op,
    word: &str,
    pipeline: &Pipeline,
    scope: String,
) -> Result<()> {
    let event = AuditEvent {
        scope,
        reason: format!("{} {}", pipeline.name, pipeline.place),
        ..audit::event(op, word, &pipeline.id)
    };
    audit::record(app, event).await
}

//! One turn: where the lake stands → the rows after it → landed together with the new position; or why not, and when again.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures::FutureExt;
use futures::future::BoxFuture;
use guard::hash::sha256_hex;
use model::audit::AuditEvent;
use model::code::SyncMode;
use model::entry::Entry;
use model::op::stamp;
use model::parcel::{Run, RunState, Track};
use model::pipeline::file::Place;
use model::pipeline::window::{Mark, MarkKind, Window};
use model::pipeline::{
    Attempt, EmptyRule, Pipeline, PipelineFile, Turn, TurnFigures, TurnKind, TurnState,
};
use model::{Code, Error, Kind, Op, Result};
use policy::Permit;
use policy::port::Source;

use super::{pull, tick};
use crate::collection::pipe::{self, Piped, Terms};
use crate::{App, audit, lease};

/// How often the owner of a turn gives a sign of life.
const BEAT: Duration = Duration::from_secs(15);

/// How a turn came out when nothing failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    Well,
    Empty,
    /// Another process still holds its run: it is looked at later.
    Later,
}

/// Does a turn that is this process's, and keeps how it ended.
pub(super) fn guarded(app: Arc<App>, turn: Turn) -> BoxFuture<'static, ()> {
    async move {
        let (id, group) = (turn.id.clone(), turn.group.clone());
        if let Err(e) = held(&app, turn).await {
            tracing::error!(
                turn.id = id,
                error = e.operator_text(),
                "the end of a turn was not kept"
            );
        }
        app.pipelines.running.lock().remove(&id);
        if group.is_empty() {
            return;
        }
        let next = async {
            let permit = tick::permit(&app).await?;
            tick::next_slice(&app, &permit, &group).await
        };
        if let Err(e) = next.await {
            tracing::warn!(
                turn.id = id,
                error = e.operator_text(),
                "the next slice waits for the scheduler"
            );
        }
    }
    .boxed()
}

async fn held(app: &Arc<App>, turn: Turn) -> Result<()> {
    let permit = Arc::new(tick::permit(app).await?);
    let (inner, proof) = (Arc::clone(app), Arc::clone(&permit));
    let before = turn.clone();
    let mut task = tokio::spawn(async move {
        let mut turn = turn;
        let done = work(&inner, &proof, &mut turn).await;
        (turn, done)
    });
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let ended = loop {
        tokio::select! {
            ended = &mut task => break ended,
            _ = beat.tick() => {
                let ours = app.store.turn_beat(&permit, &before.id, &lease::taken(app)).await;
                if let Err(e) = ours {
                    tracing::warn!(turn.id = before.id, error = e.operator_text(), "the lease of a turn could not be renewed");
                }
            }
        }
    };
    let (turn, done) = match ended {
        Ok(ended) => ended,
        Err(e) => {
            let kept = app.store.turn_get(&before.id).await?.map_or(before, |r| r.turn);
            (kept, Err(Error::internal("a turn's task ended early").caused_by(e)))
        }
    };
    settle(app, &permit, turn, done).await
}

/// Writes the turn as its owner.
async fn write(app: &App, permit: &Permit, turn: &Turn) -> Result<()> {
    app.store.turn_update(permit, app.collections.owner(), turn).await
}

async fn settle(app: &Arc<App>, permit: &Permit, mut turn: Turn, done: Result<Done>) -> Result<()> {
    let now = app.now();
    let rules = &app.rules.pipeline;
    let outcome = match &done {
        Ok(Done::Later) => {
            turn.state = TurnState::Retrying;
            turn.ready_at = stamp(now + seconds(rules.look_seconds));
            return write(app, permit, &turn).await;
        }
        Ok(Done::Well) => {
            (turn.state, turn.zh, turn.en) = (TurnState::Succeeded, String::new(), String::new());
            "ok"
        }
        Ok(Done::Empty) => {
            turn.state = TurnState::Empty;
            (turn.zh, turn.en) = no_rows();
            "ok"
        }
        Err(e) if e.code() == Code::Stale && e.kind() == Kind::Conflict => {
            tracing::info!(turn.id = turn.id, "a turn is another process's now");
            return Ok(());
        }
        Err(error) => {
            failed(app, &mut turn, error).await?;
            if turn.state == TurnState::Retrying { "retrying" } else { "failed" }
        }
    };
    if turn.state.ended() {
        turn.finished_at = Some(stamp(now));
    }
    write(app, permit, &turn).await?;
    metrics::counter!("qt_pipeline_turns_total", "state" => turn.state.as_str()).increment(1);
    record(app, &turn, outcome).await?;
    if turn.state.good() {
        tick::wake(app, permit, &turn).await?;
    }
    Ok(())
}

pub(super) fn no_rows() -> (String, String) {
    (
        "本次没有读到任何行；若源中应有数据，请核对查询条件、水位线与账号权限".into(),
        "no row was read; if there should be some, check the query, the watermark and the account's privileges".into(),
    )
}

async fn record(app: &App, turn: &Turn, result: &str) -> Result<()> {
    let op = Op::system(app.now());
    let f = &turn.figures;
    let event = AuditEvent {
        rows: f.landed,
        result: result.to_owned(),
        scope: format!(
            "turn={} read={} made={} landed={} quarantined={}",
            turn.key, f.read, f.made, f.landed, f.quarantined
        ),
        reason: turn.en.clone(),
        ..audit::event(&op, "pipeline.turn", &turn.pipeline)
    };
    audit::record(app, event).await
}

fn seconds(n: u64) -> TimeDelta {
    TimeDelta::seconds(i64::try_from(n).unwrap_or(i64::MAX / 1_000_000))
}

/// A failure: tried again after a pause when that may help, else the end of the turn.
async fn failed(app: &App, turn: &mut Turn, error: &Error) -> Result<()> {
    tracing::warn!(
        turn.id = turn.id,
        pipeline.id = turn.pipeline,
        error = error.operator_text(),
        "a turn failed"
    );
    let (zh, en) = told(error);
    if let Some(last) = turn.attempts.last_mut().filter(|a| a.outcome.is_empty()) {
        last.outcome = "failed".into();
        (last.zh, last.en) = (zh.clone(), en.clone());
    } else {
        let at = stamp(app.now());
        turn.attempts.push(Attempt {
            run: String::new(),
            at,
            outcome: "failed".into(),
            zh: zh.clone(),
            en: en.clone(),
        });
    }
    turn.failures = turn.failures.saturating_add(1);
    let rules = &app.rules.pipeline;
    let file = app
        .store
        .pipeline_get(&turn.pipeline)
        .await?
        .and_then(|p| PipelineFile::parse(&p.file).ok());
    let retry = file.map(|f| f.retry).unwrap_or_default();
    let times = retry.times.unwrap_or(rules.retry_times);
    let helps = matches!(error.kind(), Kind::Unavailable | Kind::Internal);
    (turn.zh, turn.en) = (zh, en);
    if !helps || turn.failures > times {
        turn.state = TurnState::Failed;
        return Ok(());
    }
    let first = retry.first.unwrap_or_else(|| seconds(rules.retry_first_seconds));
    let longest = retry.longest.unwrap_or_else(|| seconds(rules.retry_longest_seconds));
    let pause = pause(&turn.id, turn.failures, first, longest);
    turn.state = TurnState::Retrying;
    turn.ready_at = stamp(app.now() + pause);
    Ok(())
}

/// Doubles from the first to the longest; up to a half is taken off by chance, so that many do not come back at once.
pub(crate) fn pause(turn: &str, failures: u32, first: TimeDelta, longest: TimeDelta) -> TimeDelta {
    let doubled = 1_i64 << failures.saturating_sub(1).min(20);
    let whole = first.num_milliseconds().saturating_mul(doubled).min(longest.num_milliseconds());
    // Chance that is the same for the same attempt: the id was made by chance.
    let hash = sha256_hex(format!("{turn}-{failures}").as_bytes());
    let share = hash.get(..4).and_then(|h| i64::from_str_radix(h, 16).ok()).unwrap_or(0);
    TimeDelta::milliseconds(whole - whole / 2 * share / 0xffff)
}

fn told(error: &Error) -> (String, String) {
    let (mut zh, mut en) = (error.zh().to_owned(), error.en().to_owned());
    for field in error.fields().iter().take(5) {
        zh.push_str(&format!("；{}：{}", field.field, field.zh));
        en.push_str(&format!("; {}: {}", field.field, field.en));
    }
    (zh, en)
}

async fn work(app: &Arc<App>, permit: &Permit, turn: &mut Turn) -> Result<Done> {
    let missing = || Error::not_found("数据管道", "pipeline", &turn.pipeline);
    let pipeline = app.store.pipeline_get(&turn.pipeline).await?.ok_or_else(missing)?;
    let file = PipelineFile::parse(&pipeline.file)?;
    let missing = || Error::not_found("目录", "entry", &pipeline.entry_code);
    let entry = app.store.entry_get(&pipeline.entry).await?.ok_or_else(missing)?;
    turn.version = pipeline.version;
    turn.started_at.get_or_insert_with(|| stamp(app.now()));
    if let Some(done) = interrupted(app, turn).await? {
        return Ok(done);
    }
    turn.figures = TurnFigures::default();
    let job = Job { app, permit, pipeline: &pipeline, file: &file, entry: &entry };
    match &file.source.place {
        Place::Folder { url, pattern } => job.folder(turn, url, pattern).await,
        _ => job.windowed(turn).await,
    }
}

/// What a process that died left of this turn: its run is finished, or known to have brought nothing.
async fn interrupted(app: &Arc<App>, turn: &mut Turn) -> Result<Option<Done>> {
    let Some(last) = turn.attempts.last().filter(|a| a.outcome.is_empty()) else {
        return Ok(None);
    };
    let known = app.store.run_get(&last.run).await?.is_some();
    let run = if known { pipe::settled(app, &last.run).await? } else { None };
    let run = match run {
        Some(run) => run,
        None if known => return Ok(Some(Done::Later)),
        None => {
            ended(turn, "interrupted", None);
            return Ok(None);
        }
    };
    match run.state {
        RunState::Succeeded | RunState::Unchanged => {
            ended(turn, run.state.as_str(), None);
            turn.figures.landed = run.accepted;
            turn.figures.quarantined = run.quarantined;
            turn.figures.made = run.read - turn.figures.refused.min(run.read);
            turn.figures.read = turn.figures.read.max(run.read);
            Ok(Some(if run.read == 0 { Done::Empty } else { Done::Well }))
        }
        _ => {
            ended(turn, "interrupted", Some(&run));
            turn.figures = TurnFigures::default();
            Ok(None)
        }
    }
}

fn ended(turn: &mut Turn, outcome: &str, run: Option<&Run>) {
    if let Some(last) = turn.attempts.last_mut() {
        last.outcome = outcome.to_owned();
        if let Some(run) = run {
            (last.zh, last.en) = (run.message_zh.clone(), run.message_en.clone());
        }
    }
}

/// What a turn works with.
pub(super) struct Job<'a> {
    pub(super) app: &'a Arc<App>,
    pub(super) permit: &'a Permit,
    pub(super) pipeline: &'a Pipeline,
    pub(super) file: &'a PipelineFile,
    pub(super) entry: &'a Entry,
}

impl Job<'_> {
    pub(super) fn track(&self) -> String {
        track(&self.pipeline.id)
    }

    /// Databases, SQLite, interfaces and topics: one pull.
    async fn windowed(&self, turn: &mut Turn) -> Result<Done> {
        let (app, file) = (self.app, self.file);
        let position = app.lake.position(&self.entry.draft.code, &self.track()).await?;
        let window = window(app, file, turn, position.as_deref())?;
        if let Some(window) = &window {
            let text = window.text();
            (turn.from, turn.to) = (text.from, text.to);
        }
        let source =
            pull::source(app, self.pipeline, file, window.as_ref(), position.as_deref()).await?;
        let backfill = turn.kind == TurnKind::Backfill;
        let after = |high: Option<i64>| -> Option<String> {
            if backfill {
                return None;
            }
            let window = window.as_ref()?;
            // Without a row nothing moves; what is read again then is nothing, too.
            match (window.to, high) {
                (Some(to), _) => Some(to.text()),
                (None, Some(high)) => Some(position_after(high, position.as_deref())),
                (None, None) => position.clone().or_else(|| Some(window.from.text())),
            }
        };
        self.bring(turn, &source, file.mode, after).await
    }

    /// Reads a source, lands its rows with the position after them.
    pub(super) async fn bring(
        &self,
        turn: &mut Turn,
        source: &Source,
        mode: SyncMode,
        after: impl Fn(Option<i64>) -> Option<String>,
    ) -> Result<Done> {
        let (app, op) = (self.app, Op::system(self.app.now()));
        let mut piped = Piped::begin(app, &op, self.entry, mode, &self.pipeline.name).await?;
        let at = stamp(app.now());
        let run = piped.run().id.clone();
        turn.attempts.push(Attempt {
            run: run.clone(),
            at,
            outcome: String::new(),
            zh: String::new(),
            en: String::new(),
        });
        if let Err(e) = write(app, self.permit, turn).await {
            piped.fail(app, pipe::again(&e)).await;
            return Err(e);
        }
        let proof = piped.permit();
        let rest = async {
            let (terms, high, own) = match self.pull(turn, &mut piped, source).await {
                Ok(pulled) => pulled,
                Err(e) => {
                    piped.fail(app, pipe::again(&e)).await;
                    return Err(e);
                }
            };
            let track = after(high).or(own).map(|position| Track { name: self.track(), position });
            self.land(turn, piped, Terms { track, ..terms }).await
        };
        Piped::held(app, &proof, &run, rest).await
    }

    /// From the source into the inbox.
    async fn pull(
        &self,
        turn: &mut Turn,
        piped: &mut Piped,
        source: &Source,
    ) -> Result<(Terms, Option<i64>, Option<String>)> {
        let (app, op) = (self.app, Op::system(self.app.now()));
        let pull = pull::open(app, &op, self.file, self.entry, source, 0).await?;
        let (tally, position) = (Arc::clone(&pull.tally), pull.position);
        let budget = self.file.budget;
        let (mut made, mut bad) = (0, 0);
        let watched = Arc::clone(&tally);
        let spooled =
            piped.spool(app, pull.chunks, self.file.operation_column.is_some(), |chunk| {
                made += chunk.read;
                bad += chunk.rejects.len() as u64;
                let refused = watched.lock().refused.len() as u64;
                // How many of all is known at the end; how many at most, at once.
                let most = model::pipeline::Budget { ratio: None, ..budget };
                most.beyond(made + refused, bad + refused).map_or(Ok(()), |told| Err(beyond(told)))
            });
        spooled.await?;
        let mut tally = tally.lock();
        let refused = std::mem::take(&mut tally.refused);
        let aside = refused.len() as u64;
        if let Some(told) = budget.beyond(made + aside, bad + aside) {
            return Err(beyond(told));
        }
        turn.figures.add(&TurnFigures {
            read: tally.read,
            refused: aside,
            made,
            ..TurnFigures::default()
        });
        Ok((Terms { track: None, refused, columns: pull.names }, tally.high, position))
    }

    async fn land(&self, turn: &mut Turn, piped: Piped, terms: Terms) -> Result<Done> {
        let (app, rule) = (self.app, self.file.empty);
        write(app, self.permit, turn).await?;
        let nothing = turn.figures.made + turn.figures.refused == 0;
        let keep = rule != EmptyRule::Allow || self.file.mode == SyncMode::Incremental;
        if nothing && rule == EmptyRule::Fail {
            let (zh, en) = no_rows();
            let error = Error::new(Code::RuleBroken, zh, en);
            piped.fail(app, pipe::again(&error)).await;
            return Err(error);
        }
        let run = match nothing && keep {
            true => piped.nothing(app).await?,
            false => piped.land(app, terms).await?,
        };
        turn.figures.landed += run.accepted;
        turn.figures.quarantined += run.quarantined;
        if run.state == RunState::Unchanged && !nothing {
            // The same content stands in the lake: what is told of it was told when it landed.
            turn.figures.landed = turn.figures.made + turn.figures.refused
                - turn.figures.quarantined.min(turn.figures.made + turn.figures.refused);
        }
        ended(turn, run.state.as_str(), Some(&run));
        metrics::counter!("qt_pipeline_rows_total").increment(run.accepted);
        Ok(if nothing && rule == EmptyRule::Warn { Done::Empty } else { Done::Well })
    }
}

/// Name of a pipeline's track in the lake.
pub(super) fn track(pipeline: &str) -> String {
    format!("{}-{pipeline}", pipe::CHANNEL)
}

fn beyond((zh, en): (String, String)) -> Error {
    Error::new(Code::RuleBroken, zh, en)
}

/// Which rows a turn reads; `None` without a watermark.
pub(super) fn window(
    app: &App,
    file: &PipelineFile,
    turn: &Turn,
    position: Option<&str>,
) -> Result<Option<Window>> {
    let Some(mark) = &file.watermark else { return Ok(None) };
    let read = |text: &str| {
        Mark::parse(mark.kind, text).ok_or_else(|| {
            Error::new(
                Code::RuleBroken,
                format!("已保存的位置 `{text}` 不是{}；修改水位线类型后请新建管道", mark.kind.zh()),
                format!("the position `{text}` is no {}: make a new pipeline when the type of the watermark changes", mark.kind.as_str()),
            )
        })
    };
    if turn.kind == TurnKind::Backfill {
        return Ok(Some(Window { from: read(&turn.from)?, to: Some(read(&turn.to)?) }));
    }
    let position = position.map(read).transpose()?;
    let Some(position) = position else {
        let to = Mark::now(mark.kind, app.now()).map(|to| to.max(mark.start));
        return Ok(Some(Window { from: mark.start, to }));
    };
    Ok(Some(Window::of_turn(mark.kind, position, mark.late, app.now())))
}

/// A number's next position: one above the highest read, never back.
fn position_after(high: i64, position: Option<&str>) -> String {
    let before = position.and_then(|p| match Mark::parse(MarkKind::Integer, p) {
        Some(Mark::Integer(n)) => Some(n),
        _ => None,
    });
    high.saturating_add(1).max(before.unwrap_or(i64::MIN)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_with_chance() {
        let (first, longest) = (TimeDelta::seconds(10), TimeDelta::seconds(60));
        for (failures, whole) in [(1, 10_000), (2, 20_000), (3, 40_000), (4, 60_000), (50, 60_000)]
        {
            let pause = pause("t", failures, first, longest).num_milliseconds();
            assert!((whole / 2..=whole).contains(&pause), "{failures}: {pause}");
        }
        let others: std::collections::BTreeSet<i64> = (0..20)
            .map(|n| pause(&format!("t{n}"), 1, first, longest).num_milliseconds())
            .collect();
        assert!(others.len() > 10);
    }

    #[test]
    fn a_position_never_goes_back() {
        assert_eq!(position_after(7, None), "8");
        assert_eq!(position_after(7, Some("100")), "100");
        assert_eq!(position_after(i64::MAX, Some("1")), i64::MAX.to_string());
    }
}

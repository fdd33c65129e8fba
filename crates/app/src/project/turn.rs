//! One run: its statement is planned, counted and recorded as any other, and its rows land as a new version of the job's table, in one
//! transaction of the lake that bears the run's id. A process that dies anywhere leaves either nothing or all of it; whoever takes the
//! run up asks the lake which.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use guard::hash::sha256_hex;
use model::audit::AuditEvent;
use model::batch::{Batch, Column};
use model::code::SyncMode;
use model::op::stamp;
use model::parcel::ParcelHead;
use model::project::job::{JobFile, ProjectJob, ProjectRun, RunStage, RunState};
use model::project::result::{Made, ProjectResult};
use model::{Code, Error, Kind, Op, Result};
use parking_lot::Mutex;
use policy::port::{LandTarget, Landing, SqlSitting};
use policy::{Action, Permit};

use super::room::{Room, Use, application};
use super::{Held, load, made, system, tick, work};
use crate::pipeline::pause_before_retry as pause;
use crate::{App, account, audit, lease};

/// How often the owner of a run gives a sign of life, looks whether it is cancelled, and notes how far it is.
const BEAT: Duration = Duration::from_secs(1);

/// Does a run that is this process's, and keeps how it ended.
pub(super) fn guarded(app: Arc<App>, run: ProjectRun) -> BoxFuture<'static, ()> {
    async move {
        let id = run.id.clone();
        if let Err(e) = one(&app, run).await {
            tracing::error!(
                run.id = id,
                error = e.operator_text(),
                "the end of a run was not kept"
            );
        }
        app.projects.runs.lock().remove(&id);
        // What has waited for it, or for a place, begins now and not with the next round.
        if let Err(e) = Box::pin(tick::tick(&app)).await {
            tracing::warn!(error = e.operator_text(), "runs wait for the scheduler");
        }
    }
    .boxed()
}

/// A run while it is worked at: its beat tells how far it is.
struct Live {
    run: Mutex<ProjectRun>,
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl Live {
    fn now(&self) -> ProjectRun {
        let mut run = self.run.lock().clone();
        run.rows = self.rows.load(Ordering::Relaxed);
        run.bytes = self.bytes.load(Ordering::Relaxed);
        run
    }

    fn stage(&self, stage: RunStage) {
        self.run.lock().stage = Some(stage);
    }
}

async fn one(app: &Arc<App>, run: ProjectRun) -> Result<()> {
    let permit = Arc::new(system(app, &Op::system(app.now()))?);
    let (inner, proof, before) = (Arc::clone(app), Arc::clone(&permit), run.clone());
    let task = tokio::spawn(async move {
        let mut run = run;
        let done = Job { app: &inner, permit: &proof }.work(&mut run).await;
        (run, done)
    });
    let (mut run, done) = match task.await {
        Ok(ended) => ended,
        Err(e) => {
            let kept = app.store.project_run_get(&before.id).await?.map_or(before, |r| r.run);
            (kept, Err(Error::internal("a run's task ended early").caused_by(e)))
        }
    };
    settle(app, &permit, &mut run, done).await
}

async fn write(app: &App, permit: &Permit, run: &ProjectRun) -> Result<()> {
    app.store.project_run_update(permit, app.collections.owner(), run).await
}

async fn settle(
    app: &Arc<App>,
    permit: &Permit,
    run: &mut ProjectRun,
    done: Result<()>,
) -> Result<()> {
    let now = app.now();
    run.stage = None;
    match &done {
        Ok(()) => {
            run.state = RunState::Succeeded;
            (run.zh, run.en) = Default::default();
        }
        Err(e) if e.code() == Code::Stale => {
            tracing::info!(run.id = run.id, "a run is another process's now");
            return Ok(());
        }
        Err(e) => {
            let record = app.store.project_run_get(&run.id).await?;
            if record.is_some_and(|r| r.cancel) {
                run.state = RunState::Cancelled;
                (run.zh, run.en) = ("已按要求取消".into(), "cancelled as asked".into());
            } else {
                failed(app, run, e).await?;
            }
        }
    }
    if run.state.ended() {
        run.finished_at = Some(stamp(now));
        run.ready_at = stamp(now);
    }
    write(app, permit, run).await?;
    metrics::counter!("qt_project_runs_total", "state" => run.state.as_str()).increment(1);
    let event = AuditEvent {
        rows: run.rows,
        bytes: run.bytes,
        result: if run.state == RunState::Succeeded { "ok".into() } else { "failed".into() },
        scope: format!("{} {} {} ms", run.job_name, run.state, run.millis),
        reason: run.en.clone(),
        ..audit::event(&Op::system(now), "project.job.end", &run.project)
    };
    audit::record(app, event).await?;
    if run.state == RunState::Succeeded {
        tick::wake(app, permit, run).await?;
    }
    Ok(())
}

/// A failure: tried again after a pause when that may help, else the end of the run.
async fn failed(app: &App, run: &mut ProjectRun, error: &Error) -> Result<()> {
    tracing::warn!(run.id = run.id, error = error.operator_text(), "a run of a job failed");
    (run.zh, run.en) = (error.zh().to_owned(), error.en().to_owned());
    run.failures = run.failures.saturating_add(1);
    let rules = &app.rules.project.job;
    let text = app.store.project_job_get(&run.job).await?.map(|j| j.text).unwrap_or_default();
    let retry = JobFile::parse(&text).map(|f| f.retry).unwrap_or_default();
    let helps = matches!(error.kind(), Kind::Unavailable | Kind::Internal)
        || error.code() == Code::RateLimited;
    if !helps || run.failures > retry.times.unwrap_or(rules.retry_times) {
        run.state = RunState::Failed;
        return Ok(());
    }
    let seconds = |n: u64| TimeDelta::seconds(i64::try_from(n).unwrap_or(i64::MAX / 1_000_000));
    let first = retry.first.unwrap_or_else(|| seconds(rules.retry_first_seconds));
    let longest = retry.longest.unwrap_or_else(|| seconds(rules.retry_longest_seconds));
    run.state = RunState::Retrying;
    run.ready_at = stamp(app.now() + pause(&run.id, run.failures, first, longest));
    Ok(())
}

struct Job<'a> {
    app: &'a Arc<App>,
    permit: &'a Permit,
}

impl Job<'_> {
    async fn work(&self, run: &mut ProjectRun) -> Result<()> {
        let app = self.app;
        let missing = || Error::not_found("作业", "job", &run.job_name);
        let job = app.store.project_job_get(&run.job).await?.ok_or_else(missing)?;
        let missing = || Error::not_found("项目", "project", &run.project);
        let held = load(app, &run.project).await?.ok_or_else(missing)?;
        run.started_at.get_or_insert_with(|| stamp(app.now()));
        let code = held.project.table(&job.name);
        // What a process that died had landed is kept; nothing is run twice for it.
        if let Some(landed) = app.lake.landed(&code, &run.id).await?
            && run.made.is_some()
        {
            return self.keep(run, &held, &job, &landed).await;
        }
        let file = JobFile::parse(&job.text)?;
        let op = self.writer(&held, &job).await?;
        let rules = &app.rules.project.job;
        let most = Duration::from_secs(rules.timeout_seconds.max(1));
        let longest = file.timeout.and_then(|t| t.to_std().ok()).map_or(most, |t| t.min(most));
        let own = application(app, &held, &op.source).await?;
        // Each attempt has records of its own.
        let id = op.new_id();
        let room = Arc::new(Room::new(app, &op, &held.project.id, &id, Use::Job, longest));
        let sitting = work::sit(app, &own, &room, None)?;
        let live = Arc::new(Live {
            run: Mutex::new(run.clone()),
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        });
        let attempt = self.attempt(&live, &held, &job, &file, &room, sitting.as_ref());
        let done = self.watched(&live, attempt, sitting.as_ref()).await;
        *run = live.now();
        run.millis = run.millis.saturating_add(room.charged());
        let landed = done?;
        self.keep(run, &held, &job, &landed).await
    }

    /// Waits for an attempt: tells how far it is, stops it when somebody wants its end or it is another process's.
    async fn watched<T>(
        &self,
        live: &Live,
        attempt: impl Future<Output = Result<T>>,
        sitting: &dyn SqlSitting,
    ) -> Result<T> {
        let (app, id) = (self.app, live.now().id);
        let mut attempt = std::pin::pin!(attempt);
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        beat.reset();
        loop {
            tokio::select! {
                done = &mut attempt => return done,
                _ = beat.tick() => {
                    if !app.store.project_run_beat(self.permit, &id, &lease::taken(app)).await? {
                        sitting.cancel();
                        return Err(Error::of(Code::Stale));
                    }
                    let record = app.store.project_run_get(&id).await?;
                    if record.is_some_and(|r| r.cancel) {
                        sitting.cancel();
                    }
                    write(app, self.permit, &live.now()).await?;
                }
            }
        }
    }

    async fn attempt(
        &self,
        live: &Arc<Live>,
        held: &Held,
        job: &ProjectJob,
        file: &JobFile,
        room: &Room,
        sitting: &dyn SqlSitting,
    ) -> Result<Landing> {
        let app = self.app;
        live.stage(RunStage::Planning);
        write(app, self.permit, &live.now()).await?;
        let results = app.store.project_results(&held.project.id).await?;
        let left = storage_left(held, &job.name, &results)?;
        let seen = match sitting.look(&file.sql).await {
            Ok(seen) => seen,
            Err(e) => return Err(self.ended(room, job, &results, e).await),
        };
        let rows = sitting.batches(&file.sql).await?;
        let sources = room.sources();
        let origins = made::Origins::of(&sources, &room.results());
        let items = made::items(&seen.columns, &origins)?;
        let made = Made {
            columns: made::columns(&seen.columns, &origins),
            sources,
            sql: file.sql.clone(),
            behind: room.behind(),
        };
        let op = Op::system(app.now());
        let org = app.store.org_require(&held.project.org).await?;
        let table = made::table(held, &job.name, &job.title, items, &op, &org.region);
        {
            let mut run = live.run.lock();
            (run.made, run.table) = (Some(made), Some(table.clone()));
        }
        live.stage(RunStage::Reading);
        // From here on whoever takes the run up knows what it was made from.
        write(app, self.permit, &live.now()).await?;
        let run = live.now();
        let head = ParcelHead {
            id: run.id,
            entry: table.id.clone(),
            mode: SyncMode::Full,
            channel: "project".into(),
            source: job.name.clone(),
            checksum: sha256_hex(file.sql.as_bytes()),
            track: None,
            goes_on: false,
        };
        let target = LandTarget { entry: table, org_name: org.name_cn, org_uscc: org.uscc };
        let counting = Arc::clone(live);
        let rows = rows.map(move |batch| {
            let batch = batch?;
            counting.rows.fetch_add(batch.records.len() as u64, Ordering::Relaxed);
            fitting(batch, &counting.bytes, left)
        });
        app.lake.land(self.permit, &op, &head, &target, rows.boxed()).await
    }

    /// Why a statement could not be planned: where a grant has ended since the job made its table, that is the reason.
    async fn ended(
        &self,
        room: &Room,
        job: &ProjectJob,
        results: &[ProjectResult],
        error: Error,
    ) -> Error {
        let before = results.iter().find(|r| r.name == job.name);
        match (before, room.granted().await) {
            (Some(before), Ok(granted)) if error.code() == Code::NoGrant => {
                made::stands(&before.made.sources, &granted).err().unwrap_or(error)
            }
            _ => error,
        }
    }

    /// Notes what has landed.
    async fn keep(
        &self,
        run: &mut ProjectRun,
        held: &Held,
        job: &ProjectJob,
        landed: &Landing,
    ) -> Result<()> {
        let app = self.app;
        run.stage = Some(RunStage::Keeping);
        let (Some(made), Some(table)) = (run.made.clone(), run.table.clone()) else {
            return Err(Error::internal("a run has landed and nothing says what"));
        };
        let bytes = app.lake.bytes(&table.draft.code).await?;
        let results = app.store.project_results(&held.project.id).await?;
        let entry = results.into_iter().find(|r| r.name == job.name).and_then(|r| r.entry);
        (run.rows, run.bytes, run.version) = (landed.rows, bytes, Some(landed.version));
        // The owner's word comes first: one that has lost the run changes no result.
        write(app, self.permit, run).await?;
        let result = ProjectResult {
            project: held.project.id.clone(),
            name: job.name.clone(),
            table,
            made,
            run: run.id.clone(),
            version: landed.version,
            rows: landed.rows,
            bytes,
            made_at: stamp(app.now()),
            entry,
            hidden: false,
        };
        app.store.project_result_put(self.permit, &result).await
    }

    /// An operation of who wrote the job: it runs as long as they may work in the project.
    async fn writer(&self, held: &Held, job: &ProjectJob) -> Result<Op> {
        let app = self.app;
        let actor = match account::person(app, &job.saved_by).await {
            Ok(actor) => Some(actor),
            Err(e) if e.kind() == Kind::NotFound => None,
            Err(e) => return Err(e),
        };
        let op = actor.map(|actor| app.op(actor, "-"));
        if let Some(op) = op.filter(|op| held.may(app, op, Action::ProjectWork)) {
            return Ok(op);
        }
        let mut by = job.saved_by.clone();
        account::logins_named(app, vec![&mut by]).await?;
        Err(Error::new(
            Code::Denied,
            format!("作业最后由 {by} 保存，其已不能在项目中工作，请由其他成员重新保存作业"),
            format!(
                "the job was saved last by {by}, who may not work in the project any more: let another member save it"
            ),
        ))
    }
}

/// Bytes that a run may write.
pub(super) fn storage_left(held: &Held, name: &str, results: &[ProjectResult]) -> Result<u64> {
    // The version before is replaced.
    let others: u64 = results.iter().filter(|r| r.name != name).map(|r| r.bytes).sum();
    let most = held.project.quota.storage_bytes;
    match most.saturating_sub(others) {
        0 => Err(Error::new(
            Code::QuotaUsedUp,
            format!("项目存储配额 {most} 字节已用完"),
            format!("the project's storage of {most} bytes is used up"),
        )),
        left => Ok(left),
    }
}

/// A batch, counted among the bytes that were written; fails when they are more than may be.
pub(super) fn fitting(batch: Batch, written: &AtomicU64, left: u64) -> Result<Batch> {
    let size = size(&batch);
    let before = written.fetch_add(size, Ordering::Relaxed);
    if before.saturating_add(size) <= left {
        return Ok(batch);
    }
    Err(Error::new(
        Code::QuotaUsedUp,
        format!("结果超过项目剩余的存储配额（{left} 字节），未写入；请缩小结果或调整配额"),
        format!(
            "the result is larger than the {left} bytes of storage that are left: nothing was written; make it smaller or have the quota changed"
        ),
    ))
}

/// Bytes of a batch as it lies in memory: what the storage quota is held against while a result is written.
fn size(batch: &Batch) -> u64 {
    let of = |column: &Column| match column {
        Column::Text(text) => text.bytes.len() + 4 * text.len(),
        Column::Decimal { values, .. } => 16 * values.len(),
        other => 8 * other.len(),
    };
    batch.columns.iter().map(of).sum::<usize>() as u64
}

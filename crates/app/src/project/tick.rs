//! Which runs begin: those whose turn has come, those that others stood before, those that a dead process left. Every step is safe
//! beside other processes: the key of a run and the lease of a running one are settled by the store.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use guard::hash::sha256_hex;
use model::op::stamp;
use model::project::job::{JobFile, ProjectJob, ProjectRun, RunCause, RunState};
use model::{Op, Result};
use policy::Permit;

use super::{forget, system, turn};
use crate::{App, lease};

/// Looked at together.
const PAGE: u32 = 100;

/// One round; answers how many runs it took up. Called every few seconds.
pub async fn tick(app: &Arc<App>) -> Result<u64> {
    let op = Op::system(app.now());
    let permit = system(app, &op)?;
    forget(app, &op, &permit).await?;
    scheduled(app, &permit).await?;
    let mut begun = orphans(app, &permit).await?;
    for record in app.store.project_runs_ready(&stamp(app.now()), PAGE).await? {
        if app.projects.runs.lock().len() >= app.rules.project.job.at_once.max(1) {
            break;
        }
        begun += u64::from(begin(app, &permit, record.run).await?);
    }
    Ok(begun)
}

/// A new run, not kept yet.
pub(super) fn new_run(op: &Op, job: &ProjectJob, key: String, cause: RunCause) -> ProjectRun {
    ProjectRun {
        id: op.new_id(),
        project: job.project.clone(),
        job: job.id.clone(),
        job_name: job.name.clone(),
        key,
        cause,
        state: RunState::Waiting,
        stage: None,
        created_at: op.stamp(),
        ready_at: op.stamp(),
        started_at: None,
        finished_at: None,
        text_version: job.version,
        failures: 0,
        missed: 0,
        rows: 0,
        bytes: 0,
        millis: 0,
        version: None,
        made: None,
        table: None,
        zh: String::new(),
        en: String::new(),
        by: op.actor.name().to_owned(),
    }
}

/// When a job's next turn is after `at`, as kept; empty when there is none.
pub(super) fn due_after(app: &App, file: &JobFile, at: DateTime<Utc>) -> String {
    file.schedule.as_ref().and_then(|s| s.next(at, &app.calendar)).map(stamp).unwrap_or_default()
}

/// Runs whose turn has come. What was missed while no process ran is one run, the newest, with their number.
async fn scheduled(app: &Arc<App>, permit: &Permit) -> Result<()> {
    let now = app.now();
    for (job, due) in app.store.project_jobs_due(&stamp(now), PAGE).await? {
        let op = Op::system(app.now());
        let file = JobFile::parse(&job.text).ok();
        let at = DateTime::parse_from_rfc3339(&due).ok().map(|at| at.with_timezone(&Utc));
        let schedule = file.as_ref().and_then(|f| f.schedule.as_ref());
        let (Some(schedule), Some(at)) = (schedule, at) else {
            tracing::error!(job.id = job.id, "a job is due without a schedule");
            continue;
        };
        let (newest, missed) = schedule.latest(at, now, &app.calendar);
        let next = schedule.next(newest.max(now), &app.calendar).map(stamp).unwrap_or_default();
        let mut run = new_run(&op, &job, format!("s:{}", stamp(newest)), RunCause::Schedule);
        run.missed = missed;
        app.store.project_run_schedule(permit, &run, &due, &next).await?;
    }
    Ok(())
}

/// Running runs whose owner is gone are taken over.
async fn orphans(app: &Arc<App>, permit: &Permit) -> Result<u64> {
    let mut taken = 0;
    for record in app.store.project_runs_running(PAGE).await? {
        let id = record.run.id.clone();
        if !lease::over(app, &record.lease) || app.projects.runs.lock().contains(&id) {
            continue;
        }
        if app.store.project_run_take_over(permit, &id, &record.lease, &lease::taken(app)).await? {
            tracing::info!(run.id = id, "a run whose process is gone was taken over");
            taken += 1;
            spawn(app, record.run);
        }
    }
    Ok(taken)
}

fn spawn(app: &Arc<App>, run: ProjectRun) {
    app.projects.runs.lock().insert(run.id.clone());
    drop(tokio::spawn(turn::guarded(Arc::clone(app), run)));
}

/// Begins a waiting run, if nothing stands in its way.
async fn begin(app: &Arc<App>, permit: &Permit, mut run: ProjectRun) -> Result<bool> {
    let Some(job) = app.store.project_job_get(&run.job).await? else { return Ok(false) };
    if job.paused && run.cause != RunCause::Manual {
        later(app, permit, run, ("作业已暂停", "the job is paused")).await?;
        return Ok(false);
    }
    if run.cause == RunCause::Schedule && run.state == RunState::Waiting {
        let after = JobFile::parse(&job.text).map(|f| f.after).unwrap_or_default();
        if overtaken(app, &run).await? {
            run.state = RunState::Cancelled;
            run.finished_at = Some(stamp(app.now()));
            (run.zh, run.en) = ("已由更晚的一次代替".into(), "a later run takes its place".into());
            app.store.project_run_set(permit, &run).await?;
            return Ok(false);
        }
        if !after.is_empty() && ready(app, &job, &after, Some(&run.id)).await?.is_none() {
            later(app, permit, run, ("等待上游作业", "waits for the jobs before it")).await?;
            return Ok(false);
        }
    }
    let waiting = run.clone();
    run.state = RunState::Running;
    run.text_version = job.version;
    (run.zh, run.en) = Default::default();
    if app.store.project_run_claim(permit, &run, &lease::taken(app)).await? {
        spawn(app, run);
        return Ok(true);
    }
    queued(app, permit, waiting).await?;
    Ok(false)
}

/// A run behind another one of its job keeps its place: runs of a job land in their order.
async fn queued(app: &App, permit: &Permit, mut run: ProjectRun) -> Result<()> {
    let (zh, en) = ("同一作业正在运行，排队中", "the job is running: it waits");
    if run.failures > 0 || run.zh == zh {
        return Ok(());
    }
    (run.zh, run.en) = (zh.to_owned(), en.to_owned());
    app.store.project_run_set(permit, &run).await.map(|_| ())
}

async fn overtaken(app: &App, run: &ProjectRun) -> Result<bool> {
    let newest = app.store.project_run_newest(&run.job, None).await?;
    Ok(newest.is_some_and(|n| n.id > run.id && n.cause == RunCause::Schedule))
}

/// It goes to the back and is looked at again.
async fn later(
    app: &App,
    permit: &Permit,
    mut run: ProjectRun,
    (zh, en): (&str, &str),
) -> Result<()> {
    let look = i64::try_from(app.rules.project.job.look_seconds).unwrap_or(15);
    run.ready_at = stamp(app.now() + TimeDelta::seconds(look));
    if run.failures == 0 {
        (run.zh, run.en) = (zh.to_owned(), en.to_owned());
    }
    app.store.project_run_set(permit, &run).await.map(|_| ())
}

/// Whether every job before one has succeeded since its run before `than` (its last one): the key that says which of their runs.
async fn ready(
    app: &App,
    job: &ProjectJob,
    after: &[String],
    than: Option<&str>,
) -> Result<Option<String>> {
    let before = app.store.project_runs(&job.project, Some(&job.id), than, 1).await?;
    let since = before.first().map(|r| r.run.created_at.clone()).unwrap_or_default();
    let all = app.store.project_jobs(&job.project).await?;
    let mut ids = Vec::with_capacity(after.len());
    for name in after {
        let Some((upstream, _)) = all.iter().find(|(j, _)| j.name == *name) else {
            return Ok(None);
        };
        let good = app.store.project_run_newest(&upstream.id, Some(RunState::Succeeded)).await?;
        match good.filter(|r| r.finished_at.as_deref().unwrap_or_default() > since.as_str()) {
            Some(run) => ids.push(run.id),
            None => return Ok(None),
        }
    }
    ids.sort();
    let hash = sha256_hex(ids.join(",").as_bytes());
    Ok(Some(format!("a:{}", hash.get(..32).unwrap_or(&hash))))
}

/// A run went well: jobs without a schedule of their own that have waited for it, and for nothing else any more, get their run.
pub(super) async fn wake(app: &Arc<App>, permit: &Permit, done: &ProjectRun) -> Result<()> {
    for (job, _) in app.store.project_jobs(&done.project).await? {
        let Ok(file) = JobFile::parse(&job.text) else { continue };
        if job.paused || file.schedule.is_some() || !file.after.contains(&done.job_name) {
            continue;
        }
        let Some(key) = ready(app, &job, &file.after, None).await? else { continue };
        let run = new_run(&Op::system(app.now()), &job, key, RunCause::After);
        app.store.project_run_insert(permit, &run).await?;
    }
    Ok(())
}

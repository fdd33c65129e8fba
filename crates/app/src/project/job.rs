//! Scheduled SQL as its members write it: save, pause, resume, run now, cancel, remove; how its runs went.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::op::stamp;
use model::project::job::{JobFile, ProjectJob, ProjectRun, RunCause, RunState, cycle};
use model::{Code, Error, Op, Result};
use policy::Action;
use serde::Serialize;

use super::keep::recorded;
use super::room::{Room, Use, application};
use super::{Held, held, made, sandbox, seen, tick, work};
use crate::{App, Page, account};

/// A job as members see it.
#[derive(Clone, Debug, Serialize)]
pub struct JobView {
    pub job: ProjectJob,
    /// RFC 3339; empty: it has no turn by itself.
    pub due: String,
    pub cron: String,
    pub after: Vec<String>,
    pub last: Option<ProjectRun>,
}

/// Jobs of a project by name.
pub async fn jobs(app: &App, op: &Op, id: &str) -> Result<Vec<JobView>> {
    seen(app, op, id).await?;
    let mut views = Vec::new();
    for (job, due) in app.store.project_jobs(id).await? {
        views.push(view(app, job, due).await?);
    }
    Ok(views)
}

/// As it is shown: people by the names shown, whether they are in the project still or not.
async fn view(app: &App, mut job: ProjectJob, due: String) -> Result<JobView> {
    let file = JobFile::parse(&job.text).ok();
    let (cron, after) = file.map(|f| (f.cron, f.after)).unwrap_or_default();
    let mut last = app.store.project_run_newest(&job.id, None).await?;
    let ran = last.iter_mut().map(|run| &mut run.by);
    account::logins_named(app, ran.chain([&mut job.saved_by]).collect()).await?;
    let due = if job.paused { String::new() } else { due };
    Ok(JobView { job, due, cron, after, last })
}

/// One job by name.
pub async fn job(app: &App, op: &Op, id: &str, name: &str) -> Result<JobView> {
    seen(app, op, id).await?;
    let found = app.store.project_jobs(id).await?.into_iter().find(|(j, _)| j.name == name);
    let (job, due) = found.ok_or_else(|| Error::not_found("作业", "job", name))?;
    view(app, job, due).await
}

/// Runs of a job, newest first.
pub async fn runs(
    app: &App,
    op: &Op,
    id: &str,
    job: Option<&str>,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<ProjectRun>> {
    seen(app, op, id).await?;
    let limit = if limit == 0 { 20 } else { limit.min(200) };
    let found = app.store.project_runs(id, job, before, limit + 1).await?;
    let mut runs: Vec<ProjectRun> = found.into_iter().map(|r| r.run).collect();
    account::logins_named(app, runs.iter_mut().map(|r| &mut r.by).collect()).await?;
    Ok(Page::cut(runs, limit, |r: &ProjectRun| r.id.clone()))
}

/// Enters a job or writes it anew: its text is checked, planned with what is granted now, and must stand in no circle.
/// `base` is the version that was changed; 0 for a new one.
pub async fn save(app: &Arc<App>, op: &Op, id: &str, text: &str, base: i64) -> Result<ProjectJob> {
    let (held, permit) = held(app, op, id, Action::ProjectWork).await?;
    sandbox::none(&held)?;
    let file = JobFile::parse(text)?;
    let all = app.store.project_jobs(id).await?;
    let old = all.iter().map(|(job, _)| job).find(|job| job.name == file.name);
    match (old, base) {
        (Some(old), base) if base != old.version => {
            return Err(if base == 0 {
                Error::new(
                    Code::Duplicate,
                    format!("项目中已有作业 `{}`", file.name),
                    format!("the project has a job `{}` already", file.name),
                )
            } else {
                Error::of(Code::Stale)
            });
        }
        (None, base) if base != 0 => {
            return Err(Error::invalid(
                "作业名称不能更改：请另建作业",
                "the name of a job cannot be changed: make another job",
            ));
        }
        _ => {}
    }
    order(&file, &all)?;
    check(app, op, &held, &file).await?;
    let job = ProjectJob {
        id: old.map_or_else(|| op.new_id(), |o| o.id.clone()),
        project: id.to_owned(),
        name: file.name.clone(),
        title: file.title.clone(),
        text: text.to_owned(),
        version: base + 1,
        paused: old.is_some_and(|o| o.paused),
        saved_by: op.actor.name().to_owned(),
        saved_at: op.stamp(),
    };
    let due = tick::due_after(app, &file, app.now());
    app.store.project_job_put(&permit, &job, &due).await?;
    recorded(app, op, "project.job.save", id, &format!("{} v{}", job.name, job.version)).await?;
    Ok(job)
}

/// What stands before it is there, and nothing stands before itself.
fn order(file: &JobFile, all: &[(ProjectJob, String)]) -> Result<()> {
    let mut before: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (job, _) in all.iter().filter(|(j, _)| j.name != file.name) {
        let after = JobFile::parse(&job.text).map(|f| f.after).unwrap_or_default();
        before.insert(job.name.clone(), after);
    }
    let unknown = file.after.iter().find(|n| **n != file.name && !before.contains_key(*n));
    if let Some(unknown) = unknown {
        return Err(Error::invalid(
            format!("上游作业 `{unknown}` 不存在"),
            format!("there is no job `{unknown}` to stand before it"),
        )
        .field("after", "请修改", "change it"));
    }
    before.insert(file.name.clone(), file.after.clone());
    match cycle(&before) {
        None => Ok(()),
        Some(round) => Err(Error::new(
            Code::RuleBroken,
            format!("作业依赖成环：{round}"),
            format!("the jobs stand before each other in a circle: {round}"),
        )
        .field("after", "请去掉其中一个依赖", "take one of them away")),
    }
}

/// Its statement can be planned, and its columns can be the items of a table. A statement that reads what a job before it has not
/// made yet is planned when that has run.
async fn check(app: &Arc<App>, op: &Op, held: &Held, file: &JobFile) -> Result<()> {
    let results = app.store.project_results(&held.project.id).await?;
    let waits = file.after.iter().any(|name| {
        results.iter().all(|r| r.name != *name) && file.sql.contains(&held.project.table(name))
    });
    if waits {
        return Ok(());
    }
    let own = application(app, held, &op.source).await?;
    let longest = Duration::from_secs(app.rules.project.statement_seconds.max(1));
    let room = Arc::new(Room::new(app, op, &held.project.id, &op.new_id(), Use::Job, longest));
    let seen = work::sit(app, &own, &room, None)?.look(&file.sql).await?;
    made::items(&seen.columns, &made::Origins::of(&[], &results)).map(|_| ())
}

/// Stops a job's turns; what runs goes on.
pub async fn pause(app: &App, op: &Op, id: &str, name: &str) -> Result<()> {
    set_paused(app, op, id, name, true).await
}

/// Lets its turns come again, from now on.
pub async fn resume(app: &App, op: &Op, id: &str, name: &str) -> Result<()> {
    set_paused(app, op, id, name, false).await
}

async fn set_paused(app: &App, op: &Op, id: &str, name: &str, paused: bool) -> Result<()> {
    let (_, permit) = held(app, op, id, Action::ProjectWork).await?;
    let view = job(app, op, id, name).await?;
    let due = JobFile::parse(&view.job.text).map(|f| tick::due_after(app, &f, app.now()));
    let job = ProjectJob { paused, ..view.job };
    app.store.project_job_put(&permit, &job, &due.unwrap_or_default()).await?;
    let action = if paused { "project.job.pause" } else { "project.job.resume" };
    recorded(app, op, action, id, name).await
}

/// Enters a run that begins with the scheduler's next round.
pub async fn run_now(app: &App, op: &Op, id: &str, name: &str) -> Result<ProjectRun> {
    let (_, permit) = held(app, op, id, Action::ProjectWork).await?;
    let view = job(app, op, id, name).await?;
    let mut run = tick::new_run(op, &view.job, String::new(), RunCause::Manual);
    run.key = format!("m:{}", run.id);
    app.store.project_run_insert(&permit, &run).await?;
    recorded(app, op, "project.job.run", id, name).await?;
    Ok(run)
}

/// Ends a run: one that waits is not begun, one that runs is stopped in the engine.
pub async fn cancel(app: &App, op: &Op, id: &str, run: &str) -> Result<()> {
    let (_, permit) = held(app, op, id, Action::ProjectWork).await?;
    let missing = || Error::not_found("运行", "run", run);
    let record = app.store.project_run_get(run).await?;
    let record = record.filter(|r| r.run.project == id).ok_or_else(missing)?;
    let mut ended = record.run;
    ended.state = RunState::Cancelled;
    ended.finished_at = Some(stamp(app.now()));
    let who = account::shown(app, op).await?;
    (ended.zh, ended.en) = (format!("由 {who} 取消"), format!("cancelled by {who}"));
    let waiting = app.store.project_run_set(&permit, &ended).await?;
    if !waiting && !app.store.project_run_cancel(&permit, run).await? {
        return Err(Error::new(Code::WrongState, "该次运行已结束", "the run has ended"));
    }
    recorded(app, op, "project.job.cancel", id, &ended.job_name).await
}

/// Takes a job away with the history of its runs; the table it made stays.
pub async fn remove(app: &App, op: &Op, id: &str, name: &str) -> Result<()> {
    let (_, permit) = held(app, op, id, Action::ProjectWork).await?;
    let view = job(app, op, id, name).await?;
    if view.last.is_some_and(|r| r.state == RunState::Running) {
        return Err(Error::new(
            Code::WrongState,
            "作业正在运行，请先取消",
            "the job is running: cancel it first",
        ));
    }
    let others = jobs(app, op, id).await?;
    if let Some(next) = others.iter().find(|j| j.after.iter().any(|n| n == name)) {
        return Err(Error::new(
            Code::RuleBroken,
            format!("作业 `{}` 依赖它，请先修改", next.job.name),
            format!("the job `{}` stands after it: change that one first", next.job.name),
        ));
    }
    app.store.project_job_remove(&permit, &view.job.id).await?;
    recorded(app, op, "project.job.remove", id, name).await
}

//! The registry of recurring work: each job is run through here, so that its last start, end, outcome and next turn are
//! known to everybody, also after a restart.
//!
//! Every job here may be run again at any time without harm (`again` in the rule file says so to the page).

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use model::dispatch::{Job, JobRun, JobState};
use model::op::stamp;
use model::{Code, Error, Op, Result};
use policy::{Action, Target};
use serde::Serialize;

use super::measure;
use super::rules::{JobRule, rules};
use crate::{App, Page, account, audit};

/// Jobs that come round at least so often are kept in the history only when they did something or failed.
const OFTEN_SECONDS: u64 = 3600;

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStanding {
    /// It ended well and its next turn has not come.
    Ok,
    Running,
    Failed,
    /// Its turn came and it did not start, or it never ended.
    Late,
    /// It has never run.
    Never,
}

impl JobStanding {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            JobStanding::Ok => "ok",
            JobStanding::Running => "running",
            JobStanding::Failed => "failed",
            JobStanding::Late => "late",
            JobStanding::Never => "never",
        }
    }
}

/// A recurring job as its reader sees it.
#[derive(Clone, Debug, Serialize)]
pub struct JobSeen {
    pub job: Job,
    pub zh: &'static str,
    pub en: &'static str,
    pub every_seconds: u64,
    pub again: bool,
    pub standing: JobStanding,
    pub state: Option<JobState>,
}

/// Every recurring job with how it stands.
pub async fn jobs(app: &App, op: &Op) -> Result<Vec<JobSeen>> {
    audit::permit(app, op, Action::JobRead, &Target::plain("System", "jobs")).await?;
    standing(app, op).await
}

/// The same for rooms that have asked policy.
pub(crate) async fn standing(app: &App, op: &Op) -> Result<Vec<JobSeen>> {
    let states = app.store.jobs().await?;
    let rules = rules(app, op)?;
    Job::ALL
        .iter()
        .copied()
        .map(|job| {
            let rule = rules.of(job)?;
            let state = states.iter().find(|s| s.job == job).cloned();
            Ok(JobSeen {
                job,
                zh: job.zh(),
                en: job.en(),
                every_seconds: rule.every,
                again: rule.again,
                standing: stands(op, rule, state.as_ref()),
                state,
            })
        })
        .collect()
}

fn stands(op: &Op, rule: &JobRule, state: Option<&JobState>) -> JobStanding {
    let Some(state) = state else { return JobStanding::Never };
    let grace = TimeDelta::seconds(i64::try_from(rule.grace).unwrap_or(i64::MAX / 1_000_000));
    let over = DateTime::parse_from_rfc3339(&state.next_at).is_ok_and(|next| op.at > next + grace);
    match (&state.ended_at, state.outcome.as_str()) {
        _ if over => JobStanding::Late,
        (None, _) => JobStanding::Running,
        (Some(_), "failed") => JobStanding::Failed,
        _ => JobStanding::Ok,
    }
}

/// Kept runs of a job, newest first; who started one by the name shown.
pub async fn runs(
    app: &App,
    op: &Op,
    job: Job,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<JobRun>> {
    audit::permit(app, op, Action::JobRead, &Target::plain("System", "jobs")).await?;
    let limit = if limit == 0 { 50 } else { limit.min(500) };
    let mut items = app.store.job_runs(job, after, limit + 1).await?;
    account::logins_named(app, items.iter_mut().map(|r| &mut r.by_name).collect()).await?;
    Ok(Page::cut(items, limit, |r| r.id.clone()))
}

/// Runs a job now, out of turn.
pub async fn run_now(app: &Arc<App>, op: &Op, job: Job) -> Result<JobRun> {
    let id = job.as_str();
    audit::permit(app, op, Action::JobRun, &Target::plain("System", id)).await?;
    if !rules(app, op)?.of(job)?.again {
        return Err(Error::new(
            Code::RuleBroken,
            format!("规则不允许手动执行“{}”", job.zh()),
            format!("the rules do not let `{id}` be run out of turn"),
        ));
    }
    let run = round(app, job, op.actor.name()).await?;
    let mut event = audit::event(op, "job.run", id);
    event.result = run.outcome.clone();
    event.rows = u64::try_from(run.done).unwrap_or(0);
    audit::record(app, event).await?;
    Ok(run)
}

/// How often a job comes round.
pub fn every(app: &App, job: Job) -> Result<Duration> {
    let rule = rules(app, &Op::system(app.now()))?.of(job)?;
    Ok(Duration::from_secs(rule.every))
}

/// How long until a job's first turn in this process: at once, or, for one that comes round seldom, when its turn was
/// noted for.
pub async fn due_in(app: &App, job: Job) -> Result<Duration> {
    if every(app, job)? < Duration::from_secs(OFTEN_SECONDS) {
        return Ok(Duration::ZERO);
    }
    let states = app.store.jobs().await?;
    let next = states.iter().find(|s| s.job == job).map(|s| s.next_at.as_str());
    let wait = next
        .and_then(|at| DateTime::parse_from_rfc3339(at).ok())
        .map(|at| (at.with_timezone(&chrono::Utc) - app.now()).to_std().unwrap_or(Duration::ZERO));
    Ok(wait.unwrap_or(Duration::ZERO))
}

/// One turn of a job, for the worker that comes round. It never fails: how it ended is kept and told to the log.
pub async fn run_job(app: &Arc<App>, job: Job) {
    match round(app, job, "system").await {
        Ok(run) if run.outcome == "ok" && run.done > 0 => {
            tracing::info!(
                job = job.as_str(),
                job.done = run.done,
                "a recurring job did something"
            );
        }
        Ok(_) => {}
        Err(e) => {
            tracing::error!(job = job.as_str(), error = %e.operator_text(), "a job's state could not be kept");
        }
    }
}

async fn round(app: &Arc<App>, job: Job, by: &str) -> Result<JobRun> {
    let system = Op::system(app.now());
    let permit =
        app.policy.permit(&system, Action::SystemWork, &Target::plain("System", "jobs"))?;
    let rule = rules(app, &system)?.of(job)?.clone();
    let every = TimeDelta::seconds(i64::try_from(rule.every).unwrap_or(i64::MAX / 1_000_000));
    app.store.job_begin(&permit, job, &system.stamp(), &stamp(system.at + every)).await?;
    let outcome = work(app, &system, job).await;
    let ended = app.now();
    let mut run = JobRun {
        id: system.new_id(),
        job,
        started_at: system.stamp(),
        ended_at: stamp(ended),
        outcome: "ok".into(),
        done: 0,
        note_zh: String::new(),
        note_en: String::new(),
        by_name: by.to_owned(),
    };
    match outcome {
        Ok(done) => run.done = i64::try_from(done).unwrap_or(i64::MAX),
        Err(e) => {
            tracing::error!(job = job.as_str(), error = %e.operator_text(), "a recurring job failed");
            run.outcome = "failed".into();
            run.note_zh = e.zh().to_owned();
            run.note_en = e.en().to_owned();
        }
    }
    let keep = run.outcome != "ok" || run.done > 0 || by != "system" || rule.every >= OFTEN_SECONDS;
    // A turn that took longer than the interval is followed by the next one at once.
    let next = (system.at + every).max(ended);
    app.store.job_end(&permit, &run, &stamp(next), keep).await?;
    Ok(run)
}

async fn work(app: &Arc<App>, system: &Op, job: Job) -> Result<u64> {
    match job {
        Job::Expiry => Ok(crate::sharing::expire(app, system).await?
            + crate::wire::forget(app, system).await?
            + crate::sharing::bounds::forget(app, system).await?
            + crate::project::sandbox::tick(app, system).await?),
        Job::Approvals => {
            let done = crate::approval::tick(app, system).await?;
            Ok(done.timers + done.acted + done.covered)
        }
        Job::Notices => {
            let done = crate::notice::watch(app, system).await?;
            Ok(done.changes + done.reminded + crate::realname::remind(app, system).await?)
        }
        Job::Recovery => crate::collection::recover(app).await,
        Job::Pipelines => crate::pipeline::tick(app).await,
        Job::Projects => crate::project::tick(app).await,
        Job::Follow => crate::operation::tidy(app).await,
        Job::Exchanges => crate::exchange::tick(app).await,
        Job::Deliveries => crate::delivery::tick(app).await,
        Job::Lake => {
            let done = crate::collection::tidy(app).await?;
            Ok(done.compacted + done.swept + crate::delta::tidy(app, system).await?)
        }
        Job::Ranking => crate::ledger::rank_month(app, system).await.map(|_| 0),
        Job::Figures => {
            crate::channel::measure(app, system).await?;
            measure::figures(app, system).await
        }
        Job::Standards => crate::catalogue::standard::relint(app).await,
        Job::Freshness => measure::freshness(app, system).await,
        Job::Resources => measure::resources(app, system).await,
        Job::Reconcile => crate::reconcile::due(app).await,
        Job::Chain => measure::chain(app, system).await,
        Job::Seals => {
            Ok(crate::evidence::seal(app, system).await?
                + crate::evidence::stamp(app, system).await?)
        }
        Job::Openness => {
            let measured = crate::opening::measure(app, system).await?;
            // All open sets are read here at first, so that a visitor seldom waits for it.
            crate::opening::index(app, system).await?;
            Ok(measured.filled + measured.placed)
        }
        Job::Opening => crate::opening::recheck(app, system).await,
        Job::Reports => crate::report::tick(app, system).await,
        Job::Tickets => crate::voice::tick(app, system).await,
        Job::Restricted => crate::restricted::tick(app, system).await,
        Job::Links => crate::voice::look_at_links(app, system).await,
        Job::Harvests => crate::harvest::tick(app).await,
        Job::Logouts => crate::identity::tick(app, system).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_late_when_its_turn_and_its_grace_are_over() {
        let rule = JobRule { job: Job::Expiry, every: 60, grace: 120, again: true };
        let state = |ended: Option<&str>, outcome: &str| JobState {
            job: Job::Expiry,
            started_at: "2026-03-02T01:00:00.000Z".into(),
            ended_at: ended.map(str::to_owned),
            outcome: outcome.into(),
            done: 0,
            note_zh: String::new(),
            note_en: String::new(),
            next_at: "2026-03-02T01:01:00.000Z".into(),
            failures: 0,
        };
        let at = |at: &str, state: Option<&JobState>| {
            stands(&Op::system(at.parse().unwrap()), &rule, state)
        };
        let ended = Some("2026-03-02T01:00:01.000Z");
        assert_eq!(at("2026-03-02T01:00:30Z", None), JobStanding::Never);
        assert_eq!(at("2026-03-02T01:00:30Z", Some(&state(None, ""))), JobStanding::Running);
        assert_eq!(at("2026-03-02T01:02:00Z", Some(&state(ended, "ok"))), JobStanding::Ok);
        assert_eq!(at("2026-03-02T01:02:00Z", Some(&state(ended, "failed"))), JobStanding::Failed);
        assert_eq!(at("2026-03-02T01:03:01Z", Some(&state(ended, "ok"))), JobStanding::Late);
        assert_eq!(at("2026-03-02T02:00:00Z", Some(&state(None, ""))), JobStanding::Late);
    }
}

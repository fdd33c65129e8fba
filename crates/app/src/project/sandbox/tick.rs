//! What time brings to sandboxes: members are told that a term ends soon, that it is over, or that something the sandbox includes is not
//! granted any more; interfaces end with the term. Done twice, nothing changes.

use chrono::{Days, NaiveDate};
use model::project::Project;
use model::request::RequestState;
use model::{Code, Op, Result};

use super::{in_term, outlet, tell};
use crate::App;
use crate::project::Held;
use crate::project::room::{application, granted_or_stopped};

/// Sandboxes looked at together.
const TOGETHER: u32 = 100;
/// A term that ended longer ago was told of, or nobody was there to tell.
const BEHIND_DAYS: u64 = 30;

/// One round; answers how many interfaces it ended.
pub async fn tick(app: &App, system: &Op) -> Result<u64> {
    let today = system.today();
    let oldest = today.checked_sub_days(Days::new(BEHIND_DAYS)).unwrap_or(today).to_string();
    let (mut after, mut done) = (String::new(), 0);
    loop {
        let page = app.store.sandboxes_open(&oldest, &after, TOGETHER).await?;
        let Some(last) = page.last() else { return Ok(done) };
        after.clone_from(&last.id);
        for project in page {
            let id = project.id.clone();
            match one(app, system, project).await {
                Ok(ended) => done += ended,
                // One that cannot be looked at must not keep the others waiting.
                Err(e) => tracing::warn!(
                    error = e.operator_text(),
                    project.id = id,
                    "a sandbox was not looked at"
                ),
            }
        }
    }
}

async fn one(app: &App, system: &Op, project: Project) -> Result<u64> {
    let held = Held { project, members: Vec::new() };
    let project = &held.project;
    let until = project.sandbox.as_ref().map(|t| t.until.clone()).unwrap_or_default();
    let mark = format!("{}:{until}", project.id);
    if in_term(&held, system).is_err() {
        let ended = outlet::end(app, system, &project.id).await?;
        let words = format!("期限已于 {until} 届满 / its term ended on {until}");
        tell::members(app, system, project, ("sandbox.stopped", &mark), &words).await;
        return Ok(ended);
    }
    let ahead = app.calendar.add_working_days(system.today(), app.rules.sandbox.remind_days);
    if until.parse::<NaiveDate>().is_ok_and(|last| last <= ahead) {
        tell::members(app, system, project, ("sandbox.due", &mark), &until).await;
    }
    ungranted(app, system, &held).await?;
    Ok(0)
}

/// Tells of what the sandbox includes and is not granted any more: work on it has stopped. An emergency stop is told of by itself, and
/// ends nothing.
async fn ungranted(app: &App, system: &Op, held: &Held) -> Result<()> {
    let project = &held.project;
    let (now, stopped) = match application(app, held, &system.source).await {
        Ok(own) => granted_or_stopped(app, held, &own).await?,
        // A stopped application is granted nothing.
        Err(e) if e.code() == Code::WrongState => Default::default(),
        Err(e) => return Err(e),
    };
    for code in &project.entries {
        if now.iter().any(|t| t.grant.code() == code) || stopped.holds(code) {
            continue;
        }
        let Some(entry) = app.store.entry_get(code).await? else { continue };
        let over = [RequestState::Expired, RequestState::Revoked, RequestState::Approved];
        let last = app.store.request_newest(&project.application, &entry.id, &over).await?;
        let last = last.map(|r| r.id).unwrap_or_default();
        let mark = format!("{}:{code}:{last}", project.id);
        let title = &entry.draft.title;
        let words = format!("《{title}》已没有有效授权 / `{code}` is not granted any more");
        tell::members(app, system, project, ("sandbox.stopped", &mark), &words).await;
    }
    Ok(())
}

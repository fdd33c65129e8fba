//! Projects of batch sharing (批量共享项目): members of one organisation work by SQL over what an application of it is granted.
//!
//! ```text
//! keep    open, change and close a project; members; what it may use and has used
//! room    who answers for its statements (`policy::port::SqlRoom`): the grants, quota, records — as the SQL door's desk does
//! work    the workspace: run, explain, cancel, what was run
//! export  a result is asked to be taken out, allowed by an approval, fetched once while it is what was decided on
//! job     scheduled SQL as texts; tick begins runs, turn does one
//! sandbox a project whose whole data are worked on and not seen, with a release desk (`project::sandbox`)
//! made    results of jobs: whether they may still be read, and drafts for the catalogue
//! ```
//!
//! *no-plain-way-out*: the engine is the SQL door's, with its firewall and barriers; a project adds no right. Its tables are the
//! application's grants of `rows.sql` that it includes, for owners and developers, and the results of its jobs, for all members.
//! *every-release-audited*: each statement is recorded before its first row, by its member's name.
//!
//! **What a result is worth.** It was masked and filtered when it was made, and may be read as long as everything it was made from
//! is granted now as it was then: resource, items, masks and row filter. When anything of that has changed, nobody reads it until
//! its job has made it anew; when a grant was revoked, its job fails and says so.

mod export;
mod job;
mod keep;
mod made;
mod room;
pub mod sandbox;
mod tick;
mod turn;
mod work;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use chrono::TimeDelta;
use model::op::stamp;
use model::project::{Project, ProjectMember};
use model::{Code, Error, Op, Result};
use parking_lot::Mutex;
use policy::port::{Programs, SqlBench};
use policy::{Action, Permit, Target};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use self::export::{ExportAsked, ExportView, Fetched, about, ask, exports, fetch};
pub(crate) use self::export::{SUBJECT, deliver};
pub use self::job::{
    JobView, cancel as cancel_run, job, jobs, pause, remove, resume, run_now, runs, save,
};
pub use self::keep::{
    Offer, ProjectView, TableView, Used, change, close, create, get, list, member_remove,
    member_set, offers, tables,
};
pub use self::made::{ResultView, catalogue, results};
pub use self::tick::tick;
pub use self::work::{Answer, Answered, Looked, answer, cancel, look, run, statements};

use crate::{App, audit};

/// Answers are kept for so long to be looked at page by page.
const KEPT: Duration = Duration::from_secs(15 * 60);
/// Answers kept at the same time.
const KEPT_MOST: u64 = 200;

/// Limits (`rules/project.toml`).
#[derive(Clone, Debug, Deserialize)]
pub struct ProjectRules {
    pub effective: String,
    pub statement_seconds: u64,
    pub memory_mb: usize,
    pub statements: usize,
    pub look_ms: u64,
    pub text_bytes: usize,
    pub grid_rows: usize,
    pub page_rows: usize,
    pub wait_ms: u64,
    pub kept_days: i64,
    pub members: usize,
    pub quota: QuotaRules,
    pub export: ExportRules,
    pub job: JobRules,
}

/// What a project may use.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct QuotaRules {
    pub units_per_day: u64,
    pub units_per_month: u64,
    pub storage_gb: u64,
    pub most_units_per_day: u64,
    pub most_units_per_month: u64,
    pub most_storage_gb: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct ExportRules {
    pub term_days: i64,
    pub rows: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct JobRules {
    pub timeout_seconds: u64,
    pub rows: u64,
    pub retry_times: u32,
    pub retry_first_seconds: u64,
    pub retry_longest_seconds: u64,
    pub at_once: usize,
    pub look_seconds: u64,
    pub kept_days: i64,
}

/// Reads the rules; the shipped ones when the file says nothing.
pub(crate) fn rules(
    own: Option<ProjectRules>,
) -> std::result::Result<ProjectRules, toml::de::Error> {
    own.map_or_else(|| toml::from_str(include_str!("../../rules/project.toml")), Ok)
}

/// Projects of this process: the engine, statements under way, answers to be looked at.
pub struct Memory {
    bench: Arc<dyn SqlBench>,
    programs: Arc<dyn Programs>,
    /// Statements that a project may run at once.
    places: Mutex<HashMap<String, Weak<Semaphore>>>,
    answers: moka::sync::Cache<String, Arc<Answer>>,
    /// Runs of jobs.
    runs: Mutex<HashSet<String>>,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("project::Memory").finish_non_exhaustive()
    }
}

impl Memory {
    #[must_use]
    pub fn new(bench: Arc<dyn SqlBench>, programs: Arc<dyn Programs>) -> Self {
        Self {
            bench,
            programs,
            places: Mutex::default(),
            answers: moka::sync::Cache::builder()
                .max_capacity(KEPT_MOST)
                .time_to_live(KEPT)
                .build(),
            runs: Mutex::default(),
        }
    }

    /// A place for one more statement of a project.
    fn place(&self, project: &str, most: usize) -> Result<OwnedSemaphorePermit> {
        let places = {
            let mut all = self.places.lock();
            all.retain(|_, known| known.strong_count() > 0);
            match all.get(project).and_then(Weak::upgrade) {
                Some(known) => known,
                None => {
                    let new = Arc::new(Semaphore::new(most.max(1)));
                    all.insert(project.to_owned(), Arc::downgrade(&new));
                    new
                }
            }
        };
        places.try_acquire_owned().map_err(|_| {
            Error::new(
                Code::RateLimited,
                format!("同一项目至多同时执行 {most} 条语句，请等待其他语句结束或取消"),
                format!("a project runs {most} statements at once: wait for another, or cancel it"),
            )
        })
    }
}

/// A project as read, with who is in it.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) project: Project,
    pub(crate) members: Vec<ProjectMember>,
}

impl Held {
    pub(crate) fn target(&self) -> Target {
        Target::project(&self.project, &self.members)
    }

    fn may(&self, app: &App, op: &Op, action: Action) -> bool {
        app.policy.decide(op, action, &self.target()).allowed
    }
}

async fn load(app: &App, id: &str) -> Result<Option<Held>> {
    let Some(project) = app.store.project_get(id).await? else { return Ok(None) };
    let members = app.store.project_members(id).await?;
    Ok(Some(Held { project, members }))
}

/// A project, if the caller may know of it.
async fn seen(app: &App, op: &Op, id: &str) -> Result<Held> {
    let held = load(app, id).await?.filter(|held| held.may(app, op, Action::ProjectRead));
    held.ok_or_else(|| Error::not_found("项目", "project", id))
}

/// A project with the permit for what the caller is about to do; to somebody who may not know of it, it does not exist.
async fn held(app: &App, op: &Op, id: &str, action: Action) -> Result<(Held, Permit)> {
    let held = seen(app, op, id).await?;
    let permit = audit::permit(app, op, action, &held.target()).await?;
    Ok((held, permit))
}

fn system(app: &App, op: &Op) -> Result<Permit> {
    app.policy.permit(op, Action::SystemWork, &Target::plain("System", "projects"))
}

/// Forgets statements and runs that have been shown long enough.
async fn forget(app: &App, system: &Op, permit: &Permit) -> Result<u64> {
    let rules = &app.rules.project;
    let before = |days: i64| stamp(system.at - TimeDelta::days(days.clamp(1, 36_500)));
    let statements = app.store.project_statements_forget(permit, &before(rules.kept_days)).await?;
    Ok(statements + app.store.project_runs_forget(permit, &before(rules.job.kept_days)).await?)
}

/// Context under which a statement's text is sealed.
fn context(id: &str) -> String {
    format!("project.statement {id}")
}

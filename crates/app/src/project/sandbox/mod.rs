//! The data sandbox (数据沙箱, 可用不可见): a project with a term whose whole data are worked on and not seen, and whose results leave
//! by the release desk alone.
//!
//! ```text
//! bring    samples of granted tables, uploads of one's own                    (s_…, u_…)
//! program  WebAssembly modules that members hand in
//! run      statements and programs: over samples at once, over whole data when what runs was reviewed   (…, p_…)
//! desk     seats of providers and of the authority: which run, which result
//! release  a result asks to leave: checks, seats, a watermarked file, fetched once
//! outlet   the other way to leave: an interface of the sandbox's application, through the gate
//! extend   a longer term, decided by the authority
//! tell     notices of members and seats; tick: what time brings
//! land     rows become a table of the project; people: how people are named
//! ```
//!
//! It is a project in everything else: members, quota, statements and their records, grants that are asked anew for every read, and
//! results that are there as long as what they were made from is granted. What is different stands in `Room`: a statement of a member
//! reads samples, uploads and what was made of them; whole tables and what was made of them (`ProjectResult::hidden`) are read by
//! `Use::Reviewed` only, which nobody can choose. Jobs and exports of batch sharing are not there. The application of an open sandbox
//! cannot use the SQL door. Rows that may be seen are masked samples, a few at a time; whoever asks often sees more of the sample.

mod bring;
mod desk;
mod extend;
mod land;
mod outlet;
mod people;
mod program;
mod release;
mod run;
mod tell;
mod tick;

use std::sync::Arc;

use chrono::Days;
use model::code::Grade;
use model::project::{Project, ProjectNew, ProjectRole};
use model::sandbox::release::SandboxRelease;
use model::sandbox::{
    SandboxExtension, SandboxLine, SandboxProgram, SandboxRun, SandboxStage, SandboxTerms,
};
use model::{Code, Error, Op, Result};
use policy::{Action, Permit, Target};
use serde::{Deserialize, Serialize};

pub use self::bring::{sample, upload};
pub use self::desk::{DeskItem, Traced, decide, desk, has_desk, may_trace, trace};
pub use self::extend::ask as ask_extension;
pub use self::outlet::{Origin, publish};
pub(crate) use self::outlet::{described, origin, released};
pub use self::program::add as add_program;
pub use self::release::{ReleaseAsk, Released, ask as ask_release, fetch};
pub use self::run::{RunAsk, ask as ask_run, begin};
pub(super) use self::tell::invited;
pub use self::tick::tick;
use super::keep::ProjectView;
use super::made::ResultView;
use super::room::{application, granted};
use super::{Held, keep, made};
use crate::wire::desk::Desk;
use crate::{App, Page, audit};

/// Prefix of the names of what whole data were made into; their rows are hidden.
const WHOLE: &str = "p_";
/// Prefixes of samples and uploads.
const SAMPLE: &str = "s_";
const UPLOAD: &str = "u_";

/// Limits (`rules/sandbox.toml`).
#[derive(Clone, Debug, Deserialize)]
pub struct SandboxRules {
    pub version: u32,
    pub effective: String,
    pub term_days: u64,
    pub storage_mib: u64,
    #[serde(default = "remind_days")]
    pub remind_days: u32,
    pub preview_rows: usize,
    pub upload_bytes: usize,
    pub upload_columns: usize,
    pub sample: SampleRules,
    pub program: ProgramRules,
    pub release: ReleaseRules,
}

/// How much of a table development sees.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct SampleRules {
    pub percent: u64,
    pub least: usize,
    pub most: usize,
}

/// How far a program may go.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct ProgramRules {
    pub fuel: u64,
    pub memory_mib: usize,
    pub seconds: u64,
    pub input_mib: usize,
    pub output_mib: usize,
    pub log_bytes: usize,
    pub kept: u32,
}

/// What may leave.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct ReleaseRules {
    pub k: u64,
    pub rows: usize,
    pub grade: Grade,
    pub earlier: u32,
    pub fetch_days: u32,
    #[serde(default = "calls")]
    pub calls: u64,
}

fn remind_days() -> u32 {
    5
}

fn calls() -> u64 {
    10_000
}

/// Reads the rules; the shipped ones when the file says nothing.
pub(crate) fn rules(
    own: Option<SandboxRules>,
) -> std::result::Result<SandboxRules, toml::de::Error> {
    own.map_or_else(|| toml::from_str(include_str!("../../../rules/sandbox.toml")), Ok)
}

/// A sandbox as its members see it.
#[derive(Clone, Debug, Serialize)]
pub struct SandboxView {
    pub view: ProjectView,
    pub until: String,
    /// Within its term and not closed.
    pub live: bool,
    /// Granted tables that it includes: `(code, title)`.
    pub granted: Vec<(String, String)>,
    pub results: Vec<ResultView>,
    pub programs: Vec<SandboxProgram>,
    pub runs: Vec<SandboxRun>,
    pub releases: Vec<SandboxRelease>,
    /// Longer terms that were asked for, newest first.
    pub extensions: Vec<SandboxExtension>,
    /// The last day on which everything that it includes is granted; empty: for long.
    pub agreed_until: String,
    pub limits: LimitsView,
    /// The text of a program to begin with.
    pub program_sample: &'static str,
}

/// Limits that its page tells.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LimitsView {
    pub preview_rows: usize,
    pub sample_percent: u64,
    pub sample_most: usize,
    pub upload_bytes: usize,
    pub fuel: u64,
    pub memory_mib: usize,
    pub seconds: u64,
    pub k: u64,
    pub rows: usize,
}

/// Opens a sandbox for an application, with a term of so many days from today.
pub async fn create(app: &App, op: &Op, new: ProjectNew, days: u64) -> Result<Project> {
    let most = app.rules.sandbox.term_days;
    if days == 0 || days > most {
        return Err(Error::invalid(
            format!("沙箱期限为 1 至 {most} 天"),
            format!("the term of a sandbox is 1 to {most} days"),
        )
        .field("days", "请修改", "change it"));
    }
    let last = op.today().checked_add_days(Days::new(days)).unwrap_or(op.today());
    keep::open(app, op, new, Some(SandboxTerms { until: last.to_string() })).await
}

/// Sandboxes that the caller is a member of, newest first.
pub async fn list(
    app: &App,
    op: &Op,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<SandboxLine>> {
    let limit = if limit == 0 { 50 } else { limit.min(200) };
    let found = app.store.sandboxes_of(op.actor.id(), before, limit + 1).await?;
    let mut page = Page::cut(found, limit, |line| line.id.clone());
    // A member sees it while they are of its organisation.
    page.items.retain(|line| app.may(op, Action::ProjectRead, &target(op, line)));
    Ok(page)
}

/// A sandbox of a list as policy asks about it: with the reader as the member that they are.
fn target(op: &Op, line: &SandboxLine) -> Target {
    let me = || vec![op.actor.id().to_owned()];
    let mut target = Target {
        org: Some(line.org.clone()),
        live: !line.closed,
        ..Target::plain("Project", &line.id)
    };
    match line.role {
        ProjectRole::Owner => target.owners = me(),
        ProjectRole::Developer => target.developers = me(),
        ProjectRole::Viewer => target.viewers = me(),
    }
    target
}

/// A sandbox was closed: what it serves ends, and its members are told.
pub(super) async fn closed(app: &App, op: &Op, project: &Project) -> Result<()> {
    outlet::end(app, op, &project.id).await?;
    let mark = format!("{}:closed", project.id);
    let words = "沙箱已关闭 / the sandbox is closed";
    tell::members(app, op, project, ("sandbox.stopped", &mark), words).await;
    Ok(())
}

/// A sandbox with what is in it; to whoever is no member it does not exist.
pub async fn get(app: &Arc<App>, op: &Op, id: &str) -> Result<SandboxView> {
    let held = seen(app, op, id).await?;
    let now = match application(app, &held, &op.source).await {
        Ok(own) => granted(&Desk::new(Arc::clone(app)), &held, &own).await?,
        Err(e) if e.code() == Code::WrongState => Vec::new(),
        Err(e) => return Err(e),
    };
    let (rules, kept) = (&app.rules.sandbox, app.rules.sandbox.program.kept);
    let until = held.project.sandbox.as_ref().map(|t| t.until.clone()).unwrap_or_default();
    let mut seen = SandboxView {
        live: in_term(&held, op).is_ok() && held.project.closed_at.is_none(),
        until,
        granted: now.iter().map(|t| (t.grant.code().to_owned(), t.title.clone())).collect(),
        results: made::views(app.store.project_results(id).await?, &now),
        programs: app.store.sandbox_programs(id, kept).await?,
        runs: app.store.sandbox_runs(id, None, 50).await?,
        releases: app.store.sandbox_releases(id, None, 50).await?,
        extensions: app.store.sandbox_extensions(id, 20).await?,
        agreed_until: extend::agreed_until(&now).map(|d| d.to_string()).unwrap_or_default(),
        limits: LimitsView {
            preview_rows: rules.preview_rows,
            sample_percent: rules.sample.percent,
            sample_most: rules.sample.most,
            upload_bytes: rules.upload_bytes,
            fuel: rules.program.fuel,
            memory_mib: rules.program.memory_mib,
            seconds: rules.program.seconds,
            k: rules.release.k,
            rows: rules.release.rows,
        },
        program_sample: app.projects.programs.sample(),
        view: keep::view(app, op, held).await?,
    };
    people::name_view(app, &mut seen).await?;
    Ok(seen)
}

fn missing(id: &str) -> Error {
    Error::not_found("沙箱", "sandbox", id)
}

/// A sandbox, if the caller may know of it.
async fn seen(app: &App, op: &Op, id: &str) -> Result<Held> {
    let found = super::load(app, id).await?;
    let found =
        found.filter(|h| h.project.sandbox.is_some() && h.may(app, op, Action::ProjectRead));
    found.ok_or_else(|| missing(id))
}

/// A sandbox within its term, with the permit to work in it.
async fn working(app: &App, op: &Op, id: &str) -> Result<(Held, Permit)> {
    let held = seen(app, op, id).await?;
    let permit = audit::permit(app, op, Action::ProjectWork, &held.target()).await?;
    in_term(&held, op)?;
    Ok((held, permit))
}

/// Fails when the term of a sandbox is over; a project without one has no end.
pub(super) fn in_term(held: &Held, op: &Op) -> Result<()> {
    match &held.project.sandbox {
        Some(terms) if op.today().to_string() > terms.until => Err(Error::new(
            Code::WrongState,
            format!("数据沙箱期限已于 {} 届满，不能再运行、申请或下载", terms.until),
            format!(
                "the term of the sandbox ended on {}: nothing is run, asked or fetched",
                terms.until
            ),
        )),
        _ => Ok(()),
    }
}

/// Fails for a project of batch sharing whose application works in a sandbox: the same grants would be read beside it.
pub(super) async fn alone(app: &App, sandbox: bool, application: &str) -> Result<()> {
    if sandbox || !app.store.sandbox_bound(application).await? {
        return Ok(());
    }
    Err(Error::new(
        Code::RuleBroken,
        "该应用的授权数据只能在其数据沙箱内使用",
        "what the application is granted is used in its sandbox only",
    ))
}

/// Fails in a sandbox: what batch sharing offers besides is not there.
pub(super) fn none(held: &Held) -> Result<()> {
    if held.project.sandbox.is_none() {
        return Ok(());
    }
    Err(Error::new(
        Code::RuleBroken,
        "数据沙箱没有定时作业和导出：请用“运行”，结果只能经发布台离开",
        "a sandbox has no jobs and no exports: use runs; results leave by the release desk only",
    ))
}

/// The name of what a run makes: a word of the member's, marked when it is made of whole data.
fn name_of(into: &str, stage: SandboxStage) -> Result<String> {
    let into = into.trim();
    let bare = into.strip_prefix(WHOLE).unwrap_or(into);
    let taken = [SAMPLE, UPLOAD, WHOLE, outlet::RELEASED].iter().any(|p| bare.starts_with(p));
    if !model::item::Item::identifier_ok(bare) || bare.starts_with('_') || bare.len() > 40 || taken
    {
        return Err(Error::invalid(
            "结果名称以小写字母开头，只含小写字母、数字和下划线，至多 40 位，不以 s_、u_、p_、r_ 开头",
            "the name of a result begins with a-z, holds a-z, 0-9 and _, at most 40, and does not begin with s_, u_, p_ or r_",
        )
        .field("into", "请修改", "change it"));
    }
    Ok(match stage {
        SandboxStage::Development => bare.to_owned(),
        SandboxStage::Production => format!("{WHOLE}{bare}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_rules_are_read() {
        let rules = rules(None).unwrap();
        assert!(rules.release.k >= 4 && rules.release.grade <= Grade::L2);
        assert!(rules.preview_rows <= rules.sample.most && rules.sample.least <= rules.sample.most);
    }

    #[test]
    fn names_tell_whole_data_from_samples() {
        let name = |into, stage| name_of(into, stage).ok();
        use SandboxStage::{Development, Production};
        assert_eq!(name("by_age", Development).as_deref(), Some("by_age"));
        assert_eq!(name("by_age", Production).as_deref(), Some("p_by_age"));
        assert_eq!(name("p_by_age", Production).as_deref(), Some("p_by_age"));
        // A member's result of samples never bears the name of one that is hidden.
        assert_eq!(name("p_by_age", Development).as_deref(), Some("by_age"));
        for wrong in ["", "s_x", "u_x", "p_p_x", "p_s_x", "r_x", "甲", "A", "_x", "a b", "a\"; --"]
        {
            assert_eq!(name(wrong, Development), None, "{wrong}");
        }
    }
}

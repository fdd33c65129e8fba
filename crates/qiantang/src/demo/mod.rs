//! The demo province: organisations, people, applications, entries with rows, and share applications, all told by
//! a seed and a scale. Same seed and scale, same bytes. Every row is synthetic and says so.
//!
//! Read `orgs` (who), `shape` (short words for declarations), the tables (`people`, `legal`, `place`, `nature`,
//! `traffic`), `cities` (what each city opens beside), `rows` (writing and spoiling), `requests`. `manifest` reads descriptions of other data for `--load`.

pub(crate) mod cities;
pub(crate) mod fed;
pub(crate) mod manifest;
pub(crate) mod orgs;
pub(crate) mod requests;
pub(crate) mod rows;
pub(crate) mod seeded;
pub(crate) mod subject;

mod flatten;
mod legal;
mod nature;
mod people;
mod place;
mod shape;
mod traffic;

use std::io::{self, Write};

use model::entry::EntryDraft;
use model::org::Org;

pub(crate) use orgs::{DemoApplication, DemoUser};
pub(crate) use requests::{DemoRequest, Outcome};
pub(crate) use rows::Written;

/// Password of every account of the demo; documented, and refused nowhere else.
pub(crate) const PASSWORD: &str = "Qiantang-demo-2026!";

/// Everything of the province.
#[derive(Debug)]
pub(crate) struct Province {
    /// Parents stand before their children.
    pub(crate) orgs: Vec<Org>,
    pub(crate) users: Vec<DemoUser>,
    pub(crate) applications: Vec<DemoApplication>,
    pub(crate) entries: Vec<DemoEntry>,
    /// Entries that channels feed; they have no rows of their own.
    pub(crate) fed: Vec<DemoEntry>,
    pub(crate) requests: Vec<DemoRequest>,
}

/// One entry of the province: what to declare, how far to take it, and its rows.
#[derive(Clone, Debug)]
pub(crate) struct DemoEntry {
    pub(crate) draft: EntryDraft,
    pub(crate) target: Target,
    /// User who compiles it and collects its data.
    pub(crate) compiler: String,
    seed: u64,
    scale: u32,
    table: Option<rows::Table>,
    /// Beginning of the codes of the counties that its rows lie in; empty: all.
    within: &'static str,
}

/// The province of a seed. `scale` multiplies the rows (0 counts as 1).
#[must_use]
pub(crate) fn province(seed: u64, scale: u32) -> Province {
    let plans = people::plans()
        .into_iter()
        .chain(legal::plans())
        .chain(place::plans())
        .chain(nature::plans())
        .chain(traffic::plans());
    let whole = |plan: shape::Plan| DemoEntry {
        compiler: orgs::compiler_of(&plan.draft.org).to_owned(),
        draft: plan.draft,
        target: plan.target,
        seed,
        scale,
        table: plan.table,
        within: "",
    };
    Province {
        orgs: orgs::orgs(),
        users: orgs::users(),
        applications: orgs::applications(),
        entries: plans.map(whole).collect(),
        fed: fed::plans().into_iter().map(whole).collect(),
        requests: requests::requests(),
    }
}

impl DemoEntry {
    /// Name of the file of rows; `None` when the entry has none (it is not published).
    #[must_use]
    pub(crate) fn file_name(&self) -> Option<String> {
        self.table.map(|t| format!("{}.{}", self.draft.code, t.dialect.ending()))
    }

    /// Data records that [`DemoEntry::write`] writes.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn row_count(&self) -> u64 {
        self.table.map_or(0, |t| t.base.saturating_mul(u64::from(self.scale.max(1))))
    }

    /// Writes the rows as a delimited text with a header of Chinese names; some rows are dirty on purpose.
    /// Give a buffered writer. Nothing is written for an entry without rows.
    pub(crate) fn write(&self, out: &mut dyn Write) -> io::Result<Written> {
        let Some(table) = &self.table else { return Ok(Written::default()) };
        let mut counties = subject::counties();
        counties.retain(|county| county.code.starts_with(self.within));
        rows::write(
            table,
            &self.draft.items,
            &self.draft.code,
            self.seed,
            self.scale,
            &counties,
            out,
        )
    }
}

/// Where an entry of the demo ends: every state of facts §2.2 is reached by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Unpublished,
    PubAuditing,
    PubReject,
    /// Published, not yet online.
    Published,
    UpAuditing,
    UpReject,
    Online,
    ChangeAuditing,
    ChangeReject,
    DownAuditing,
    DownReject,
    Offline,
    OfflineUpAuditing,
    OfflineUpReject,
}

/// What is done to an entry, in the words of `app::catalogue::Move` and `edit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Submit,
    Approve,
    Reject,
    PutOnline,
    TakeOffline,
    /// Edit the published entry: the title gets `（修订）` at its end.
    Edit,
}

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// The entry's compiler.
    Compiler,
    /// The user `authority`.
    Authority,
}

/// One step on the way to a [`Target`]; reasons are given where they are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) deed: Deed,
    pub(crate) by: By,
    pub(crate) reason: &'static str,
}

const fn step(deed: Deed, by: By, reason: &'static str) -> Step {
    Step { deed, by, reason }
}

const SUBMIT: Step = step(Deed::Submit, By::Compiler, "编目完成，提交发布审核");
const ALLOW: Step = step(Deed::Approve, By::Authority, "符合编目规范");
const RAISE: Step = step(Deed::PutOnline, By::Compiler, "申请上线");
const LOWER: Step = step(Deed::TakeOffline, By::Compiler, "来源系统改造，暂停提供");
const EDIT: Step = step(Deed::Edit, By::Compiler, "名称按最新职责修订");
const NO_PUBLISH: Step = step(Deed::Reject, By::Authority, "摘要未说明统计口径，请补充后重新提交");
const NO_ONLINE: Step = step(Deed::Reject, By::Authority, "尚未归集最近一期数据，请先归集");
const NO_OFFLINE: Step = step(Deed::Reject, By::Authority, "仍有应用在使用，请先协调替代数据");
const NO_CHANGE: Step = step(Deed::Reject, By::Authority, "名称修订缺少依据");

impl Target {
    #[cfg(test)]
    pub(crate) const ALL: [Target; 14] = [
        Self::Unpublished,
        Self::PubAuditing,
        Self::PubReject,
        Self::Published,
        Self::UpAuditing,
        Self::UpReject,
        Self::Online,
        Self::ChangeAuditing,
        Self::ChangeReject,
        Self::DownAuditing,
        Self::DownReject,
        Self::Offline,
        Self::OfflineUpAuditing,
        Self::OfflineUpReject,
    ];

    /// The steps from a new entry to this state, in order. Data are collected after the second step
    /// (publication), before what follows.
    #[must_use]
    pub(crate) fn steps(self) -> &'static [Step] {
        match self {
            Self::Unpublished => &[],
            Self::PubAuditing => &[SUBMIT],
            Self::PubReject => &[SUBMIT, NO_PUBLISH],
            Self::Published => &[SUBMIT, ALLOW],
            Self::UpAuditing => &[SUBMIT, ALLOW, RAISE],
            Self::UpReject => &[SUBMIT, ALLOW, RAISE, NO_ONLINE],
            Self::Online => &[SUBMIT, ALLOW, RAISE, ALLOW],
            Self::ChangeAuditing => &[SUBMIT, ALLOW, RAISE, ALLOW, EDIT],
            Self::ChangeReject => &[SUBMIT, ALLOW, RAISE, ALLOW, EDIT, NO_CHANGE],
            Self::DownAuditing => &[SUBMIT, ALLOW, RAISE, ALLOW, LOWER],
            Self::DownReject => &[SUBMIT, ALLOW, RAISE, ALLOW, LOWER, NO_OFFLINE],
            Self::Offline => &[SUBMIT, ALLOW, RAISE, ALLOW, LOWER, ALLOW],
            Self::OfflineUpAuditing => &[SUBMIT, ALLOW, RAISE, ALLOW, LOWER, ALLOW, RAISE],
            Self::OfflineUpReject => &[SUBMIT, ALLOW, RAISE, ALLOW, LOWER, ALLOW, RAISE, NO_ONLINE],
        }
    }

    /// Whether the entry gets published on its way, so that data may be collected.
    #[must_use]
    pub(crate) fn published(self) -> bool {
        self.steps().get(1) == Some(&ALLOW)
    }
}

#[cfg(test)]
mod tests;

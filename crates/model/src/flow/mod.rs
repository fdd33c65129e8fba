//! Approval flows (审批流程) as data: what a flow file may say, and the pure machine that runs it.
//!
//! Read in this order: this file (the words of a flow file), `check` (what a file must keep to: no dead end can be
//! published), `state` (the events of one approval and the state they fold to), `machine` (what an action leads to),
//! `back` (an answer taken back), `simulate` (a dry walk through a flow). Nothing here knows a clock, a store or an account: days come from the
//! caller's calendar, people and organisations are ids.
//!
//! *history immutable*: an approval is the list of its events; its state is what [`State::evolve`] makes of them and
//! of nothing else, so that a flow file or a calendar that changes later changes no past.

mod back;
mod check;
mod machine;
mod phase;
mod simulate;
mod state;

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::account::Role;

pub use back::take_back;
pub use machine::{By, Command, Start, decide, start};
pub use phase::Phase;
pub use simulate::{Walked, simulate};
pub use state::{Event, Moved, Open, OpenTimer, Passed, Seat, State, Subject, Voice, What};

/// A version of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    pub id: String,
    pub version: u32,
    /// First day on which new approvals follow this version; running ones keep theirs.
    pub effective: NaiveDate,
    /// What the flow and its time limits rest on.
    pub basis: String,
    pub zh: String,
    pub en: String,
    pub start: String,
    /// What conditions may ask about.
    #[serde(default, rename = "attribute")]
    pub attributes: Vec<Attribute>,
    /// Reasons a refusal must choose from; empty = a refusal needs only words.
    #[serde(default, rename = "reason")]
    pub reasons: Vec<Reason>,
    #[serde(rename = "step")]
    pub steps: Vec<Step>,
}

/// An attribute of what is applied for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attribute {
    pub id: String,
    pub zh: String,
    pub en: String,
    #[serde(rename = "type")]
    pub kind: AttributeKind,
    /// Words a text attribute may have; empty = any.
    #[serde(default)]
    pub choices: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttributeKind {
    Text,
    Number,
    Flag,
}

/// Value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Fact {
    Flag(bool),
    Number(i64),
    Text(String),
}

/// Attributes of one approval.
pub type Facts = BTreeMap<String, Fact>;

/// A reason of refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    pub id: String,
    pub zh: String,
    pub en: String,
    /// Whether words that prove it must stand beside it (证明材料).
    #[serde(default)]
    pub proof: bool,
}

/// A step of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Step {
    Review(Review),
    Choice(Choice),
    Fork(Fork),
    Join(Join),
    Auto(Auto),
    End(End),
}

/// People decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Review {
    pub id: String,
    pub zh: String,
    pub en: String,
    pub stage: Stage,
    #[serde(default)]
    pub how: How,
    /// Percentage of approvals that carries a vote.
    #[serde(default)]
    pub pass: Option<u8>,
    #[serde(rename = "seat")]
    pub seats: Vec<SeatRule>,
    /// Working days until it is due.
    #[serde(default)]
    pub days: Option<u32>,
    #[serde(default, rename = "timer")]
    pub timers: Vec<Timer>,
    pub approve: String,
    pub refuse: String,
    /// Steps whose deciders may not decide here as well (four eyes).
    #[serde(default)]
    pub other_than: Vec<String>,
    /// Whether it may be sent back (退回): some steps are an answer that must be given.
    #[serde(default = "yes")]
    pub may_return: bool,
}

fn yes() -> bool {
    true
}

/// How the seats of a review come to one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// 或签: the first answer decides.
    #[default]
    Any,
    /// 会签: all must approve.
    All,
    /// 依次审批: all must approve, one after the other.
    Sequence,
    /// 票决: so many per cent must approve.
    Vote,
}

/// Who sits on a seat: a role at a place, or one person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeatRule {
    #[serde(default)]
    pub role: Option<Role>,
    /// A place named by the application (`owner`, `applicant`, `authority` …).
    #[serde(default)]
    pub at: Option<String>,
    /// Id of one person.
    #[serde(default)]
    pub user: Option<String>,
}

/// Something done when a review is not decided after so many working days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timer {
    pub days: u32,
    #[serde(rename = "do")]
    pub what: TimerDo,
    /// Who joins, for `add`.
    #[serde(default)]
    pub seat: Option<SeatRule>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimerDo {
    /// The seats are reminded.
    Remind,
    /// Escalation: another seat may decide as well.
    Add,
}

/// The first branch whose tests all hold is taken; the last has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    pub id: String,
    pub zh: String,
    pub en: String,
    #[serde(rename = "branch")]
    pub branches: Vec<Branch>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Branch {
    #[serde(default)]
    pub when: Vec<Test>,
    pub to: String,
    #[serde(default)]
    pub zh: String,
    #[serde(default)]
    pub en: String,
}

/// One condition on an attribute. An attribute that an application does not have fulfils none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Test {
    pub attribute: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is: Option<Fact>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not: Option<Fact>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub among: Option<Vec<Fact>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<i64>,
}

impl Test {
    /// Whether it holds of these facts.
    #[must_use]
    pub fn holds(&self, facts: &Facts) -> bool {
        let Some(fact) = facts.get(&self.attribute) else { return false };
        let number = match fact {
            Fact::Number(n) => Some(*n),
            _ => None,
        };
        self.is.as_ref().is_none_or(|v| v == fact)
            && self.not.as_ref().is_none_or(|v| v != fact)
            && self.among.as_ref().is_none_or(|all| all.contains(fact))
            && self.at_least.is_none_or(|least| number.is_some_and(|n| n >= least))
            && self.at_most.is_none_or(|most| number.is_some_and(|n| n <= most))
    }
}

/// Branches run side by side until all meet at the join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fork {
    pub id: String,
    pub zh: String,
    pub en: String,
    pub branches: Vec<String>,
    pub join: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Join {
    pub id: String,
    pub zh: String,
    pub en: String,
    pub to: String,
}

/// The platform does it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auto {
    pub id: String,
    pub zh: String,
    pub en: String,
    pub stage: Stage,
    pub action: AutoAction,
    pub to: String,
    /// Where it goes when the platform cannot do it (the reason is kept in the history).
    pub failed: String,
}

/// What the platform can do by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AutoAction {
    /// Turns what was approved into a grant.
    Grant,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    pub id: String,
    pub zh: String,
    pub en: String,
    pub approved: bool,
}

/// Where an application stands, as its applicant sees it. The words are those of share applications in real products
/// (`report-auditing`, `analysis-confirm-auditing` …), shortened to what the platform does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// 受理审核
    ReportAuditing,
    /// 分析论证
    Analysing,
    /// 数源确认
    ConfirmAuditing,
    /// 主管部门审核
    AuthorityAuditing,
    /// 协调
    Coordinating,
    /// 实施
    Implementing,
    /// 实施确认
    Accepting,
}

impl Stage {
    pub const ALL: [Stage; 7] = [
        Stage::ReportAuditing,
        Stage::Analysing,
        Stage::ConfirmAuditing,
        Stage::AuthorityAuditing,
        Stage::Coordinating,
        Stage::Implementing,
        Stage::Accepting,
    ];
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::ReportAuditing => "report-auditing",
            Stage::Analysing => "analysing",
            Stage::ConfirmAuditing => "confirm-auditing",
            Stage::AuthorityAuditing => "authority-auditing",
            Stage::Coordinating => "coordinating",
            Stage::Implementing => "implementing",
            Stage::Accepting => "accepting",
        }
    }
    #[must_use]
    pub fn zh(self) -> &'static str {
        match self {
            Stage::ReportAuditing => "受理审核",
            Stage::Analysing => "分析论证",
            Stage::ConfirmAuditing => "数源确认",
            Stage::AuthorityAuditing => "主管部门审核",
            Stage::Coordinating => "协调",
            Stage::Implementing => "实施",
            Stage::Accepting => "实施确认",
        }
    }
    #[must_use]
    pub fn en(self) -> &'static str {
        match self {
            Stage::ReportAuditing => "Intake review",
            Stage::Analysing => "Analysis",
            Stage::ConfirmAuditing => "Confirmation by the provider",
            Stage::AuthorityAuditing => "Review by the authority",
            Stage::Coordinating => "Coordination",
            Stage::Implementing => "Implementation",
            Stage::Accepting => "Acceptance",
        }
    }
}

impl Step {
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Step::Review(s) => &s.id,
            Step::Choice(s) => &s.id,
            Step::Fork(s) => &s.id,
            Step::Join(s) => &s.id,
            Step::Auto(s) => &s.id,
            Step::End(s) => &s.id,
        }
    }
    #[must_use]
    pub fn zh(&self) -> &str {
        match self {
            Step::Review(s) => &s.zh,
            Step::Choice(s) => &s.zh,
            Step::Fork(s) => &s.zh,
            Step::Join(s) => &s.zh,
            Step::Auto(s) => &s.zh,
            Step::End(s) => &s.zh,
        }
    }
    #[must_use]
    pub fn en(&self) -> &str {
        match self {
            Step::Review(s) => &s.en,
            Step::Choice(s) => &s.en,
            Step::Fork(s) => &s.en,
            Step::Join(s) => &s.en,
            Step::Auto(s) => &s.en,
            Step::End(s) => &s.en,
        }
    }
    /// `review`, `choice`, `fork`, `join`, `auto`, `end`
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Step::Review(_) => "review",
            Step::Choice(_) => "choice",
            Step::Fork(_) => "fork",
            Step::Join(_) => "join",
            Step::Auto(_) => "auto",
            Step::End(_) => "end",
        }
    }
    #[must_use]
    pub fn stage(&self) -> Option<Stage> {
        match self {
            Step::Review(s) => Some(s.stage),
            Step::Auto(s) => Some(s.stage),
            _ => None,
        }
    }
    /// Where it may lead, with a word for the way (`approve`, `refuse`, `failed` or empty).
    #[must_use]
    pub fn ways(&self) -> Vec<(&'static str, &str)> {
        match self {
            Step::Review(s) => vec![("approve", s.approve.as_str()), ("refuse", s.refuse.as_str())],
            Step::Choice(s) => s.branches.iter().map(|b| ("", b.to.as_str())).collect(),
            Step::Fork(s) => s.branches.iter().map(|b| ("", b.as_str())).collect(),
            Step::Join(s) => vec![("", s.to.as_str())],
            Step::Auto(s) => vec![("", s.to.as_str()), ("failed", s.failed.as_str())],
            Step::End(_) => Vec::new(),
        }
    }
}

impl Flow {
    #[must_use]
    pub fn step(&self, id: &str) -> Option<&Step> {
        self.steps.iter().find(|s| s.id() == id)
    }
    #[must_use]
    pub fn reason(&self, id: &str) -> Option<&Reason> {
        self.reasons.iter().find(|r| r.id == id)
    }
    /// Places that its seats name, which an application must say.
    #[must_use]
    pub fn places(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self
            .steps
            .iter()
            .filter_map(|s| match s {
                Step::Review(r) => Some(r),
                _ => None,
            })
            .flat_map(|r| r.seats.iter().chain(r.timers.iter().filter_map(|t| t.seat.as_ref())))
            .filter_map(|s| s.at.as_deref())
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }
    /// Branches that meet at a join.
    #[must_use]
    pub fn expected(&self, join: &str) -> usize {
        self.steps
            .iter()
            .find_map(|s| match s {
                Step::Fork(f) if f.join == join => Some(f.branches.len()),
                _ => None,
            })
            .unwrap_or(1)
    }
}

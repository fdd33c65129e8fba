//! Plans (who reports what, how often) and tasks (one organisation's turn for one period).

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{Every, Totals};
use crate::code::code_list;

code_list! {
    /// Whether a plan goes on.
    PlanState {
        Running = "running", "进行中", "Running";
        Issued = "issued", "已全部下发", "All issued";
        Stopped = "stopped", "已停止", "Stopped";
    }
}
code_list! {
    /// State of a task.
    TaskState {
        Open = "open", "待填报", "To be filled";
        Draft = "draft", "填报中", "Draft";
        Submitted = "submitted", "已提交", "Submitted";
        Returned = "returned", "已退回", "Returned";
        Accepted = "accepted", "已受理", "Accepted";
        Withdrawn = "withdrawn", "已作废", "Withdrawn";
    }
}
code_list! {
    /// What happened to a task.
    TaskEventKind {
        Issued = "issued", "下发", "Issued";
        Imported = "imported", "导入表格", "Workbook imported";
        Submitted = "submitted", "提交", "Submitted";
        TakenBack = "taken_back", "撤回修改", "Taken back";
        Returned = "returned", "退回", "Returned";
        Accepted = "accepted", "受理", "Accepted";
        Reopened = "reopened", "退回更正", "Opened again for a correction";
        Withdrawn = "withdrawn", "作废", "Withdrawn";
        Landed = "landed", "入湖", "Landed";
        Reminded = "reminded", "催报", "Reminded";
    }
}
code_list! {
    /// How far the rows of an accepted task have come.
    Landing {
        None = "none", "无", "Nothing to land";
        Waiting = "waiting", "等待入湖", "Waiting";
        Done = "done", "已入湖", "In the lake";
    }
}

impl TaskState {
    /// Whether its organisation may write in it.
    #[must_use]
    pub fn writable(self) -> bool {
        matches!(self, TaskState::Open | TaskState::Draft | TaskState::Returned)
    }
    /// Whether something is still to be done.
    #[must_use]
    pub fn pending(self) -> bool {
        !matches!(self, TaskState::Accepted | TaskState::Withdrawn)
    }
}

/// Who reports a form, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub id: String,
    /// The issuing organisation.
    pub org: String,
    pub form: String,
    pub title: String,
    pub every: Every,
    /// First period; empty for a report made once.
    pub first: String,
    /// Working days after the period's end (or after the issue, for a report made once).
    pub due_days: u32,
    /// The day by which a report made once is due, when one is named.
    pub due: Option<NaiveDate>,
    pub orgs: Vec<String>,
    pub state: PlanState,
    /// Newest period opened; `None` before the first.
    pub opened: Option<String>,
    pub created_at: String,
    pub created_by: String,
}

/// What is needed to issue a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanNew {
    pub form: String,
    pub title: String,
    pub every: Every,
    pub first: String,
    pub due_days: u32,
    pub due: Option<NaiveDate>,
    pub orgs: Vec<String>,
}

/// A disagreement that a submission explains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    pub by: Vec<String>,
    /// Field; empty when the reason is about organisations that have not reported.
    pub field: String,
    pub own: Option<Decimal>,
    pub below: Option<Decimal>,
    pub reason: String,
}

/// What of a task is in the lake.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landed {
    /// Submission whose rows are there; 0: none.
    pub revision: u64,
    pub rows: u64,
    /// Rows of an earlier period that a later one of the same organisation has overtaken.
    #[serde(default)]
    pub overtaken: u64,
    /// Its collection run.
    #[serde(default)]
    pub run: String,
    /// Why the landing could not be done yet.
    #[serde(default)]
    pub zh: String,
    #[serde(default)]
    pub en: String,
}

/// One organisation's turn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub id: String,
    pub plan: String,
    pub title: String,
    pub form: String,
    /// Version of the form that the task was opened with.
    pub form_version: u64,
    /// Entry that accepted rows go to.
    pub entry: String,
    /// The issuing organisation.
    pub issuer: String,
    /// The reporting organisation, with what the platform fills in for it.
    pub org: String,
    pub org_name: String,
    pub org_code: String,
    pub region: String,
    /// Task of the level above, where that level reports too.
    pub above: Option<String>,
    /// Organisation that accepts or returns it.
    pub above_org: String,
    pub period: String,
    pub due: NaiveDate,
    pub state: TaskState,
    /// Counts changes, so that two people do not overwrite each other.
    pub version: u64,
    /// Submissions so far.
    pub revision: u64,
    /// Rows of the newest submission, or of the draft before the first.
    pub rows: u64,
    /// The newest submission came after the due day.
    pub late: bool,
    pub edited_by: String,
    pub edited_at: String,
    pub submitted_by: String,
    pub submitted_name: String,
    pub submitted_at: String,
    pub decided_at: String,
    /// Why it was returned, opened again or withdrawn.
    pub reason: String,
    /// Totals of the newest submission.
    pub totals: Totals,
    pub explained: Vec<Explained>,
    pub landing: Landing,
    pub landed: Landed,
}

impl Task {
    /// Whether it is past its day without a submission.
    #[must_use]
    pub fn overdue(&self, today: NaiveDate) -> bool {
        self.state.writable() && today > self.due
    }
}

/// Something that happened to a task; events are only ever added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskEvent {
    pub id: String,
    pub task: String,
    pub kind: TaskEventKind,
    pub at: String,
    pub actor: String,
    pub actor_name: String,
    pub org: String,
    /// Submission it is about; 0 for none.
    #[serde(default)]
    pub revision: u64,
    #[serde(default)]
    pub rows: u64,
    #[serde(default)]
    pub reason: String,
    #[serde(default)]
    pub explained: Vec<Explained>,
}

//! Approval: the engine that runs flows (审批流程) over whatever is applied for.
//!
//! `model::flow` is the machine (pure); here it meets people, the store and the clock. `flows` finds, publishes and
//! simulates flows, `act` begins approvals and takes actions, `look` shows them and the inbox, `leave` lets someone
//! stand in for a person on leave, `seats` finds those that nobody holds, `tell` gives notice, `tick` does what time brings: reminders, escalations, automatic steps.
//!
//! An approval is its events (*history immutable*: the store only appends, and the database itself refuses to change
//! or remove one); it keeps the version of its flow. Every action is asked of `policy` and leaves an audit record.

mod act;
mod flows;
mod leave;
mod look;
mod seats;
mod tell;
#[cfg(test)]
mod tests;
mod tick;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::flow::{Event, Facts, Flow, State, Subject};
use serde::Serialize;

pub(crate) use act::{Begun, begin, resubmit_with, settle, started};
pub use act::{act, resubmit, take_back, urge, withdraw};
pub use flows::{FlowSeen, Simulated, check_text, flow_of, flows, publish, simulate};
pub use leave::{end_leave, leaves, lend};
pub(crate) use look::{Held, as_kept, events_of, facts_of};
pub use look::{about, covered, get, late, list, tasks, verify};
pub use store::approval::{ApprovalFilter, ApprovalRow, Leave};
pub use tick::{Ticked, tick};

/// What an approval is begun with.
#[derive(Clone, Debug)]
pub(crate) struct Beginning {
    pub(crate) flow: &'static str,
    pub(crate) subject: Subject,
    pub(crate) title: String,
    pub(crate) applicant_org: String,
    /// Organisation that owns what is applied for.
    pub(crate) owner_org: String,
    /// Organisations of places that this flow has besides the usual ones (owner, applicant, authority, superior). A place of several
    /// organisations is named `place`, `place.2`, `place.3` …
    pub(crate) more: Places,
    pub(crate) facts: Facts,
}

/// An action of a person on a seat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    Decide {
        approve: bool,
        /// A reason of the flow's list, for a refusal.
        reason: String,
    },
    /// 加签, by login name.
    Add { user: String },
    /// 转办
    Transfer { user: String },
    /// 委派
    Delegate { user: String },
    /// The opinion asked for by 委派.
    Answer,
    /// 退回, to an earlier step or to the applicant, with what is missing.
    Return { to: Option<String>, missing: Vec<String> },
}

/// An approval as its reader sees it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub id: String,
    pub flow: Arc<Flow>,
    pub state: State,
    pub events: Vec<Event>,
    /// Seats that the reader may answer now: `(step, seat, lent to the reader for an opinion)`.
    pub mine: Vec<(String, u32, bool)>,
    /// Whether the reader may withdraw, complete and urge it.
    pub follows: bool,
    /// Whether the reader has an answer that can still be taken back.
    pub may_take_back: bool,
}

/// A task of an inbox.
#[derive(Clone, Debug, Serialize)]
pub struct Task {
    pub approval: ApprovalRow,
    pub step: String,
    pub step_zh: String,
    pub step_en: String,
    pub seat: u32,
    /// An opinion is asked for, not the answer.
    pub lent: bool,
    pub overdue: bool,
    /// Nobody holds the seat: it came to the authority's desk.
    pub covered: bool,
    /// Name of the person in whose place it would be answered.
    pub in_place_of: Option<String>,
}

/// Organisations of the places a flow may name.
pub(crate) type Places = BTreeMap<String, String>;

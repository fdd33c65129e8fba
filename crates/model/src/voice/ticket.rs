//! A ticket (诉求): what somebody asks, suggests, reports or complains of, on the desk of one department; its states, and who
//! may do what to it in each.
//!
//! ```text
//! received ─ accept ─► accepted ─ answer ─► answered ─ evaluate ─► closed
//!    ▲  └── return ──► returned                 └── reopen (once) ─► received
//!    └─── supplement ─────┘        hand over: received at another desk
//! ```

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::code::code_list;

code_list! {
    /// What a ticket is.
    TicketKind {
        Request = "request", "数据需求", "Data request";
        Suggestion = "suggestion", "建议", "Suggestion";
        Fault = "error", "数据纠错", "Data error";
        Rights = "rights", "权益申诉", "Rights complaint";
        Question = "question", "咨询", "Consultation";
    }
}

code_list! {
    /// Where a ticket stands.
    TicketState {
        Received = "received", "待受理", "Received";
        Accepted = "accepted", "办理中", "Under way";
        Returned = "returned", "待补充", "More is asked";
        Answered = "answered", "已答复", "Answered";
        Closed = "closed", "已办结", "Closed";
    }
}

code_list! {
    /// What is done to a ticket.
    Deed {
        File = "file", "提出", "Filed";
        Accept = "accept", "受理", "Accept";
        Return = "return", "请补充材料", "Ask for more";
        Supplement = "supplement", "补充", "Supply more";
        HandOver = "hand_over", "转办", "Hand over";
        Answer = "answer", "答复", "Answer";
        Publish = "publish", "公开答复", "Make the answer public";
        Withhold = "withhold", "不再公开", "Take it off the site";
        Evaluate = "evaluate", "评价", "Evaluate";
        Reopen = "reopen", "要求重新办理", "Reopen";
        Withdraw = "withdraw", "撤回", "Withdraw";
        Close = "close", "办结", "Close";
    }
}

code_list! {
    /// In which part somebody acts on a ticket.
    Side {
        Writer = "writer", "诉求人", "Writer";
        Desk = "desk", "办理单位", "Department";
        Bureau = "bureau", "主管部门", "Authority";
        Platform = "platform", "平台", "Platform";
    }
}

impl TicketKind {
    /// What its numbers begin with: initials of the Chinese name.
    #[must_use]
    pub fn letters(self) -> &'static str {
        match self {
            TicketKind::Request => "XQ",
            TicketKind::Suggestion => "JY",
            TicketKind::Fault => "JC",
            TicketKind::Rights => "SS",
            TicketKind::Question => "ZX",
        }
    }
    /// Whether it is never public, whatever the writer wishes.
    #[must_use]
    pub fn private(self) -> bool {
        self == TicketKind::Rights
    }
    /// `JC-20261126-000012`
    #[must_use]
    pub fn number(self, day: NaiveDate, n: i64) -> String {
        format!("{}-{}-{n:06}", self.letters(), day.format("%Y%m%d"))
    }
}

/// What somebody writes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketNew {
    pub kind: Option<TicketKind>,
    /// Code of the data set it is about; empty: none.
    pub entry: String,
    /// Identifier of one of its items; empty: none.
    pub item: String,
    /// Which row, in the writer's words.
    pub row: String,
    /// Organisation it is about, where no data set says so; empty: the bureau finds out.
    pub org: String,
    pub title: String,
    pub text: String,
    /// How the writer is reached; never public, kept sealed.
    pub contact: String,
    /// The writer wishes it to be public.
    pub public: bool,
}

/// A ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    pub id: String,
    pub number: String,
    pub kind: TicketKind,
    pub state: TicketState,
    /// Id and code of the data set; empty: none.
    pub entry: String,
    pub entry_code: String,
    pub item: String,
    pub row: String,
    /// At whose desk it lies.
    pub org: String,
    /// Region whose authority oversees it.
    pub region: String,
    pub title: String,
    pub text: String,
    /// The writer wishes it to be public, and its kind may be.
    pub public: bool,
    /// It stands on the site.
    pub shown: bool,
    /// Why it was taken off the site.
    pub withheld: String,
    pub writer: String,
    /// Day by which the desk answers; once answered, the day on which it closes by itself.
    pub due: NaiveDate,
    pub created_at: String,
    pub updated_at: String,
    pub answered_at: String,
    /// Working days from filing to the first answer; -1: not answered.
    pub days: i64,
    /// The answer to the writer.
    pub reply: String,
    /// The answer as everybody may read it.
    pub public_reply: String,
    /// 1 to 5; 0: not evaluated.
    pub score: u8,
    pub satisfied: Option<bool>,
    pub opinion: String,
    pub reopened: bool,
    /// Counts up with every change.
    pub edit: u64,
    /// Accounts that support it; kept beside it.
    #[serde(skip)]
    pub supports: u64,
}

/// Something that happened to a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketEvent {
    /// The ticket's `edit` after it.
    pub seq: u64,
    pub at: String,
    pub deed: Deed,
    pub side: Side,
    /// Who did it; told to the desk only.
    pub actor: String,
    pub actor_name: String,
    /// Desk it was done at; of a handing over, where it went.
    pub org: String,
    pub text: String,
    /// The writer may read the text.
    pub to_writer: bool,
    /// Everybody may.
    pub to_all: bool,
}

impl Ticket {
    /// Whether the desk has to act.
    #[must_use]
    pub fn waits(&self) -> bool {
        matches!(self.state, TicketState::Received | TicketState::Accepted)
    }
    #[must_use]
    pub fn overdue(&self, today: NaiveDate) -> bool {
        self.waits() && self.due < today
    }
    /// Whether it may stand on the site.
    #[must_use]
    pub fn may_be_shown(&self) -> bool {
        self.public && !self.kind.private() && self.withheld.is_empty()
    }
    /// Whether others may say that they want it, too.
    #[must_use]
    pub fn may_be_supported(&self) -> bool {
        self.kind == TicketKind::Request && self.shown && self.state != TicketState::Closed
    }
    /// What one may do to it now.
    #[must_use]
    pub fn deeds(&self, side: Side) -> Vec<Deed> {
        use Deed::{
            Accept, Answer, Close, Evaluate, HandOver, Publish, Reopen, Return, Supplement,
            Withdraw, Withhold,
        };
        use TicketState::{Accepted, Answered, Closed, Received, Returned};
        let mut deeds = match (side, self.state) {
            (Side::Writer, Received) => vec![Withdraw],
            (Side::Writer, Returned) => vec![Supplement, Withdraw],
            (Side::Writer, Answered) => vec![Evaluate],
            (Side::Desk, Received) => vec![Accept, Answer, Return, HandOver],
            (Side::Desk, Accepted) => vec![Answer, Return, HandOver],
            (Side::Bureau, Received | Accepted) => vec![HandOver],
            (Side::Platform, Answered) => vec![Close],
            _ => Vec::new(),
        };
        let answered = !self.answered_at.is_empty() && matches!(self.state, Answered | Closed);
        if side == Side::Writer && answered && !self.reopened {
            deeds.push(Reopen);
        }
        if side == Side::Desk && answered && self.may_be_shown() {
            deeds.push(Publish);
        }
        if matches!(side, Side::Desk | Side::Bureau) && self.shown {
            deeds.push(Withhold);
        }
        deeds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(state: TicketState) -> Ticket {
        Ticket {
            id: "t".into(),
            number: "JC-20260302-000001".into(),
            kind: TicketKind::Fault,
            state,
            entry: String::new(),
            entry_code: String::new(),
            item: String::new(),
            row: String::new(),
            org: "o".into(),
            region: "330000".into(),
            title: "t".into(),
            text: "t".into(),
            public: true,
            shown: false,
            withheld: String::new(),
            writer: "w".into(),
            due: "2026-03-06".parse().unwrap(),
            created_at: String::new(),
            updated_at: String::new(),
            answered_at: String::new(),
            days: -1,
            reply: String::new(),
            public_reply: String::new(),
            score: 0,
            satisfied: None,
            opinion: String::new(),
            reopened: false,
            edit: 1,
            supports: 0,
        }
    }

    #[test]
    fn every_state_leads_on_and_each_side_has_its_own_part() {
        let words = |t: &Ticket, side| {
            t.deeds(side).iter().map(|d| d.as_str()).collect::<Vec<_>>().join(" ")
        };
        let check = |state, side, expected: &str| {
            let mut t = ticket(state);
            if matches!(state, TicketState::Answered | TicketState::Closed) {
                (t.answered_at, t.shown) = ("2026-03-03".into(), true);
            }
            assert_eq!(words(&t, side), expected, "{state} {side}");
        };
        check(TicketState::Received, Side::Writer, "withdraw");
        check(TicketState::Received, Side::Desk, "accept answer return hand_over");
        check(TicketState::Accepted, Side::Desk, "answer return hand_over");
        check(TicketState::Accepted, Side::Bureau, "hand_over");
        check(TicketState::Returned, Side::Writer, "supplement withdraw");
        check(TicketState::Returned, Side::Desk, "");
        check(TicketState::Answered, Side::Writer, "evaluate reopen");
        check(TicketState::Answered, Side::Desk, "publish withhold");
        check(TicketState::Closed, Side::Writer, "reopen");
        check(TicketState::Closed, Side::Bureau, "withhold");
        let mut again = ticket(TicketState::Closed);
        (again.answered_at, again.reopened) = ("2026-03-03".into(), true);
        assert_eq!(words(&again, Side::Writer), "", "reopened once");
        let mut withdrawn = ticket(TicketState::Closed);
        assert_eq!(words(&withdrawn, Side::Writer), "", "there is no answer to object to");
        withdrawn.kind = TicketKind::Rights;
        assert!(!withdrawn.may_be_shown());
    }

    #[test]
    fn numbers_tell_kind_and_day() {
        let day = "2026-11-26".parse().unwrap();
        assert_eq!(TicketKind::Fault.number(day, 12), "JC-20261126-000012");
        let letters: std::collections::HashSet<_> =
            TicketKind::ALL.iter().map(|k| k.letters()).collect();
        assert_eq!(letters.len(), TicketKind::ALL.len());
    }
}

//! Notices (消息): what the platform tells a person, once each, and what people subscribe to.

use serde::{Deserialize, Serialize};

/// A notice that is about to be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeNew {
    /// The person told.
    pub owner: String,
    /// What it is about: the same mark is told to the same person once.
    pub mark: String,
    /// One of [`KINDS`].
    pub kind: &'static str,
    /// The thing's name.
    pub title: String,
    /// What more there is to say; may be empty.
    pub words: String,
    /// Address of the thing, without the host.
    pub href: String,
}

/// Kinds of notices; each has a name in both languages where it is shown.
pub const KINDS: [&str; 59] = [
    "search.new",
    "search.changed",
    "thing.changed",
    "thing.retired",
    "thing.fresh",
    "quality",
    "approval.remind",
    "approval.urge",
    "approval.escalate",
    "approval.returned",
    "approval.ended",
    "approval.covered",
    "approval.unheld",
    "report.issued",
    "report.remind",
    "report.submitted",
    "report.returned",
    "report.accepted",
    "ticket.filed",
    "ticket.handed",
    "ticket.supplied",
    "ticket.remind",
    "ticket.returned",
    "ticket.answered",
    "comment.reply",
    "comment.hidden",
    "showcase.filed",
    "showcase.decided",
    "showcase.link",
    "restricted.filed",
    "restricted.decided",
    "restricted.sign",
    "restricted.ended",
    "restricted.report",
    "restricted.report_due",
    "restricted.suspended",
    "restricted.due",
    "credit.entered",
    "authorisation.asked",
    "authorisation.given",
    "authorisation.ended",
    "realname.filed",
    "realname.decided",
    "realname.revoked",
    "realname.due",
    "plan.filed",
    "plan.decided",
    "opening.filed",
    "opening.decided",
    "opening.recheck",
    "contest.judge",
    "contest.result",
    "sandbox.invited",
    "sandbox.asked",
    "sandbox.run",
    "sandbox.release",
    "sandbox.extension",
    "sandbox.due",
    "sandbox.stopped",
];

/// A notice as its reader sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    pub id: String,
    pub kind: String,
    pub title: String,
    pub words: String,
    pub href: String,
    pub at: String,
    pub read_at: Option<String>,
}

/// What a subscription is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Watched {
    /// A kept search: what newly matches it, and what of it changes.
    Search,
    /// One entry or asset.
    Thing,
}

impl Watched {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Watched::Search => "search",
            Watched::Thing => "thing",
        }
    }
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Watched::Search, Watched::Thing].into_iter().find(|w| w.as_str() == word)
    }
}

/// A person's subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    pub id: String,
    pub owner: String,
    pub kind: Watched,
    /// A kept search's id, or a node of the ledgers.
    pub subject: String,
    pub title: String,
    pub created_at: String,
}

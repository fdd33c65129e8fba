//! The public's voice (互动交流): whoever has an account asks, reports and judges; departments answer, everybody reads what may be read.
//!
//! ```text
//! file      a ticket is written and finds its desk
//! site      tickets as everybody reads them: list, figures, time line; who supports one
//! desk      tickets as departments read them, and their contacts
//! act       what writer, desk and authority do to a ticket
//! tick      reminders, and closing of what was answered long ago
//! comment   ratings and comments on data sets
//! showcase  what was made of open data, reviewed and linked both ways
//! links     whether its links still lead anywhere
//! ```
//!
//! A data set that is not open answers like one that does not exist; so does a ticket that its reader may not know of. What is
//! public names no person: the writer is not told, and texts with identity or mobile numbers are refused before they are shown.
//! Applications, demands and objections of departments go by the basket and its approvals ([`crate::basket`]), not by tickets.

mod act;
mod comment;
mod desk;
mod file;
mod links;
mod showcase;
mod site;
mod tell;
mod tick;

use std::sync::Arc;

use chrono::TimeDelta;
use model::account::Role;
use model::op::stamp;
use model::voice::ticket::TicketKind;
use model::{Actor, Code, Error, Op, Result};
use policy::port::Links;
use policy::{Action, Permit, Target};
use serde::Deserialize;
use store::voice::Most;

use crate::{App, audit};

pub use self::act::{TicketOrder, act};
pub use self::comment::{
    CommentAtDesk, CommentSeen, Opinion, comment, comment_desk, moderate, opinion, rate, report,
};
pub use self::desk::{DeskCount, DeskFilter, DeskTicket, contact, count, desk, get, has_desk};
pub use self::file::file;
pub use self::links::look_at_links;
pub use self::showcase::{
    ShowcaseSeen, may_review, review, showcase, showcase_desk, showcases, showcases_like,
    showcases_of, showcases_using, submit, take_down,
};
pub use self::site::{
    Opened, SiteFilter, StepSeen, TicketSeen, VoiceFigures, figures, list, mine, open, support,
};
pub use self::tick::tick;

/// What this room holds besides the stores.
pub struct Memory {
    pub(crate) links: Arc<dyn Links>,
}

impl Memory {
    #[must_use]
    pub fn new(links: Arc<dyn Links>) -> Self {
        Self { links }
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

/// Days and limits (`rules/voice.toml`).
#[derive(Clone, Debug, Deserialize)]
pub struct VoiceRules {
    pub effective: String,
    pub days: VoiceDays,
    pub most: VoiceMost,
    pub longest: VoiceLongest,
    pub links: LinkRules,
}

/// Working days.
#[derive(Clone, Debug, Deserialize)]
pub struct VoiceDays {
    pub request: u32,
    pub suggestion: u32,
    pub error: u32,
    pub rights: u32,
    pub question: u32,
    pub close: u32,
    pub remind: u32,
}

impl VoiceDays {
    /// Working days a desk has for a ticket of this kind.
    #[must_use]
    pub fn of(&self, kind: TicketKind) -> u32 {
        match kind {
            TicketKind::Request => self.request,
            TicketKind::Suggestion => self.suggestion,
            TicketKind::Fault => self.error,
            TicketKind::Rights => self.rights,
            TicketKind::Question => self.question,
        }
    }
}

/// What one account may write in a day.
#[derive(Clone, Debug, Deserialize)]
pub struct VoiceMost {
    pub tickets: u32,
    pub comments: u32,
    pub showcases: u32,
}

/// Longest texts in characters.
#[derive(Clone, Debug, Deserialize)]
pub struct VoiceLongest {
    pub title: usize,
    pub text: usize,
    pub contact: usize,
    pub comment: usize,
}

/// How links are judged.
#[derive(Clone, Debug, Deserialize)]
pub struct LinkRules {
    pub dead_after: u32,
}

/// Reads the rules; the shipped ones when the file says nothing.
pub(crate) fn rules(own: Option<VoiceRules>) -> std::result::Result<VoiceRules, toml::de::Error> {
    own.map_or_else(|| toml::from_str(include_str!("../../rules/voice.toml")), Ok)
}

/// Roles that handle tickets at the desk of their organisation.
const DESK: [Role; 3] = [Role::Provider, Role::Reviewer, Role::Authority];

/// People of one role at one desk who are told at most.
const TOLD: u32 = 100;

/// The permit to write in one's own name; whoever is not signed in learns how.
async fn writer(app: &App, op: &Op, kind: &'static str, id: &str) -> Result<Permit> {
    if !matches!(op.actor, Actor::User { .. }) {
        return Err(Error::new(
            Code::SignInRequired,
            "请先登录：点击页面右上角“登录”，没有账号的可请本单位管理员或公共数据主管部门开通",
            "sign in first (at the top of every page); whoever has no account asks the administrator of their organisation or the public-data authority for one",
        ));
    }
    let own = Target { owner: Some(op.actor.id().to_owned()), ..Target::plain(kind, id) };
    audit::permit(app, op, Action::VoiceWrite, &own).await
}

/// What is counted against the limit of a day.
struct Since(String);

impl Since {
    fn a_day(op: &Op) -> Self {
        Self(stamp(op.at - TimeDelta::hours(24)))
    }
    fn most(&self, most: u32) -> Most<'_> {
        Most { since: &self.0, most }
    }
}

/// An account has written as much as it may.
fn too_many(most: u32) -> Error {
    Error::new(
        Code::RateLimited,
        format!("24 小时内最多提交 {most} 条，请稍后再试"),
        format!("{most} in 24 hours at most: try again later"),
    )
}

fn stale() -> Error {
    Error::of(Code::Stale)
}

/// People who work at the desk of an organisation.
async fn people_of(app: &App, org: &str) -> Result<Vec<String>> {
    let mut people = Vec::new();
    for role in DESK {
        people.extend(app.store.holders(org, role, TOLD).await?);
    }
    Ok(people)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_rules_are_read() {
        let rules = rules(None).unwrap();
        for kind in TicketKind::ALL {
            assert!(rules.days.of(*kind) >= 5, "{kind}");
        }
        assert!(rules.links.dead_after > 0 && rules.longest.text > rules.longest.title);
    }
}

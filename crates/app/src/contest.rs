//! 开放大赛: contests of what is made of open data.
//!
//! ```text
//! setup  the authority prepares, publishes, closes rounds, lets teams advance, gives awards
//! team   people form teams, join by invitation, enter works, make showcases of them
//! files  what goes with works: who hands it in, who may have it
//! judge  judges score apart from each other
//! look   contests as everybody, teams, judges and the authority see them
//! ```
//!
//! Judges see nobody else's scores until a round is closed; nobody scores a work of their own team. What is not public answers 404.

mod files;
mod judge;
mod look;
mod setup;
mod team;

use model::contest::{Contest, ContestState};
use model::{Actor, Code, Error, Op, Result};
use policy::{Action, Permit, Target};

use crate::{App, audit};

pub(crate) use files::rules;
pub use files::{ContestRules, attach, consent, detach, file, take_back};
pub use judge::{JudgedWork, score, works_to_judge};
pub use look::{
    ContestSeen, MyTeam, RoundSeen, WorkSeen, contest, contest_of_showcase, contests,
    contests_desk, contests_judged, judge_names, may_keep, search,
};
pub use setup::{ContestNew, advance, award, close_round, edit, end, publish, set_up, written};
pub use team::{WorkNew, enter, form, join, leave, renew, to_showcase};

/// Longest titles, names, texts and words of a judge, in characters.
const TITLE: usize = 80;
const NAME: usize = 40;
const TEXT: usize = 8_000;
const WORDS: usize = 500;

fn missing(id: &str) -> Error {
    let shown: String = id.chars().take(64).collect();
    Error::not_found("大赛", "contest", &shown)
}

fn work_missing(id: &str) -> Error {
    let shown: String = id.chars().take(64).collect();
    Error::not_found("参赛作品", "work", &shown)
}

/// A contest that everybody may know of.
async fn open(app: &App, id: &str) -> Result<Contest> {
    let found = app.store.contest_get(id).await?;
    found.filter(|c| c.state != ContestState::Draft).ok_or_else(|| missing(id))
}

/// A contest for the authority that leads it; others do not find it.
async fn kept(app: &App, op: &Op, id: &str) -> Result<(Contest, Permit)> {
    let contest = app.store.contest_get(id).await?.ok_or_else(|| missing(id))?;
    let target = Target::contest(&contest.id, &contest.region, &[], &[]);
    let permit =
        audit::permit_hidden(app, op, Action::ContestKeep, &target, id, || missing(id)).await?;
    Ok((contest, permit))
}

/// The permit to take part in one's own name; whoever is not signed in learns how.
async fn own(app: &App, op: &Op, id: &str) -> Result<Permit> {
    if !matches!(op.actor, Actor::User { .. }) {
        return Err(Error::new(
            Code::SignInRequired,
            "请先登录再参赛：点击页面右上角“登录”",
            "sign in first to take part (at the top of every page)",
        ));
    }
    let own = Target { owner: Some(op.actor.id().to_owned()), ..Target::plain("Contest", id) };
    audit::permit(app, op, Action::VoiceWrite, &own).await
}

fn wrong_state(zh: &str, en: &str) -> Error {
    Error::new(Code::WrongState, zh, en)
}

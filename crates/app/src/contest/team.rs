//! People's part: forming a team, joining one by its invitation, entering works, making a showcase of one.

use std::collections::HashSet;

use guard::hash::sha256_hex;
use guard::keys;
use model::contest::{Contest, MOST_MEMBERS, MOST_SETS, RoundPhase, Team, Work};
use model::voice::showcase::{Showcase, ShowcaseKind, ShowcaseNew, link};
use model::voice::{impersonal, plain};
use model::{Code, Error, Op, Result};

use super::{NAME, TITLE, open, own, work_missing, wrong_state};
use crate::{App, audit, opening, voice};

/// What a team enters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkNew {
    /// Number of the track, from nought on.
    pub track: usize,
    pub title: String,
    pub text: String,
    pub link: String,
    /// Codes of open data sets.
    pub sets: Vec<String>,
}

/// Longest description of a work, in characters.
const TEXT: usize = 4_000;

/// The fingerprint of an invitation. The code itself has 128 bits of chance: its fingerprint tells nothing of it.
fn fingerprint(code: &str) -> String {
    sha256_hex(code.trim().as_bytes())
}

/// The round that works can be entered in, or that is still to come.
fn joinable(contest: &Contest, op: &Op) -> Result<(usize, RoundPhase)> {
    match contest.present(op.today()) {
        Some(round @ (_, RoundPhase::Upcoming | RoundPhase::Entering)) => Ok(round),
        _ => Err(wrong_state("目前不在报名期", "teams cannot be formed or changed at present")),
    }
}

/// Forms a team and answers it with its invitation code, which is not kept and cannot be seen again.
pub async fn form(app: &App, op: &Op, id: &str, name: &str) -> Result<(Team, String)> {
    let contest = open(app, id).await?;
    let permit = own(app, op, id).await?;
    if joinable(&contest, op)?.0 > 0 {
        return Err(wrong_state(
            "首轮报名已结束，不能再组建新团队",
            "the first round is over: no new team can be formed",
        ));
    }
    let name = plain("name", ("团队名称", "name of the team"), name, 2, NAME)?;
    impersonal("name", &name)?;
    let code = keys::token(16)?;
    let me = op.actor.id().to_owned();
    let team = Team {
        id: op.new_id(),
        contest: contest.id,
        name,
        leader: me.clone(),
        members: vec![(me, op.actor.name().to_owned())],
        invitation: fingerprint(&code),
        round: 0,
        created_at: op.stamp(),
        edit: 1,
    };
    app.store.team_insert(&permit, &team).await?;
    audit::record(app, audit::event(op, "contest.team", &team.id)).await?;
    Ok((team, code))
}

/// Joins the team of an invitation.
pub async fn join(app: &App, op: &Op, id: &str, code: &str) -> Result<Team> {
    let contest = open(app, id).await?;
    let permit = own(app, op, id).await?;
    joinable(&contest, op)?;
    let found = app.store.team_invited(&contest.id, &fingerprint(code)).await?;
    let mut team = found.ok_or_else(|| {
        Error::invalid("邀请码无效，请向队长核对", "the invitation is not valid: ask the leader")
            .field("code", "请核对", "check it")
    })?;
    if team.members.len() >= MOST_MEMBERS {
        return Err(Error::new(
            Code::RuleBroken,
            format!("团队最多 {MOST_MEMBERS} 人"),
            format!("a team has {MOST_MEMBERS} members at most"),
        ));
    }
    let me = op.actor.id().to_owned();
    let seen = team.edit;
    team.edit += 1;
    team.members.push((me.clone(), op.actor.name().to_owned()));
    app.store.team_update(&permit, &team, seen, Some(&me), None).await?;
    audit::record(app, audit::event(op, "contest.join", &team.id)).await?;
    Ok(team)
}

/// Leaves one's team. Its leader stays.
pub async fn leave(app: &App, op: &Op, id: &str) -> Result<()> {
    let contest = open(app, id).await?;
    let permit = own(app, op, id).await?;
    joinable(&contest, op)?;
    let mut team = mine(app, op, id).await?;
    let me = op.actor.id();
    if team.leader == me {
        return Err(Error::new(
            Code::RuleBroken,
            "队长不能退出团队",
            "the leader of a team cannot leave it",
        ));
    }
    let seen = team.edit;
    team.edit += 1;
    team.members.retain(|(account, _)| account != me);
    app.store.team_update(&permit, &team, seen, None, Some(me)).await?;
    audit::record(app, audit::event(op, "contest.leave", &team.id)).await
}

/// Gives the team a new invitation code; the old one is void.
pub async fn renew(app: &App, op: &Op, id: &str) -> Result<(Team, String)> {
    open(app, id).await?;
    let permit = own(app, op, id).await?;
    let mut team = led(app, op, id).await?;
    let code = keys::token(16)?;
    let seen = team.edit;
    team.edit += 1;
    team.invitation = fingerprint(&code);
    app.store.team_update(&permit, &team, seen, None, None).await?;
    audit::record(app, audit::event(op, "contest.invitation", &team.id)).await?;
    Ok((team, code))
}

pub(super) async fn mine(app: &App, op: &Op, id: &str) -> Result<Team> {
    app.store.team_of(id, op.actor.id()).await?.ok_or_else(|| {
        Error::new(
            Code::WrongState,
            "您还不在任何团队中，请先组建或加入团队",
            "you are in no team yet: form or join one first",
        )
    })
}

pub(super) async fn led(app: &App, op: &Op, id: &str) -> Result<Team> {
    let team = mine(app, op, id).await?;
    if team.leader == op.actor.id() {
        return Ok(team);
    }
    Err(Error::new(Code::Denied, "只有队长可以操作", "only the leader of the team may do this"))
}

/// Enters the team's work in the present round, or changes the one that was entered.
pub async fn enter(app: &App, op: &Op, id: &str, new: WorkNew) -> Result<Work> {
    let contest = open(app, id).await?;
    let permit = own(app, op, id).await?;
    let (number, phase) = joinable(&contest, op)?;
    if phase != RoundPhase::Entering {
        return Err(wrong_state("本轮尚未开始提交作品", "works cannot be entered yet"));
    }
    let team = mine(app, op, id).await?;
    if team.round < number {
        return Err(wrong_state("本团队未晋级本轮", "the team has not advanced to this round"));
    }
    if new.track >= contest.tracks.len() {
        return Err(
            Error::invalid("请选择赛道", "choose a track").field("track", "必选", "required")
        );
    }
    let title = plain("title", ("作品名称", "title"), &new.title, 2, TITLE)?;
    let text = plain("text", ("作品说明", "description"), &new.text, 10, TEXT)?;
    impersonal("title", &title)?;
    impersonal("text", &text)?;
    let address = match new.link.trim() {
        "" => String::new(),
        written => link(written)?.url,
    };
    let sets = open_sets(app, op, &new.sets).await?;
    let entered = app.store.work_list(id).await?;
    let entered = entered.into_iter().find(|w| w.team == team.id && w.round == number);
    let seen = entered.as_ref().map(|w| w.edit);
    // What goes with it stays with it.
    let (kept, files, shared) = match entered {
        Some(w) => (w.id, w.files, w.shared),
        None => (op.new_id(), Vec::new(), false),
    };
    let work = Work {
        id: kept,
        contest: contest.id,
        team: team.id,
        team_name: team.name,
        round: number,
        track: new.track,
        title,
        text,
        link: address,
        sets,
        at: op.stamp(),
        advanced: false,
        showcase: String::new(),
        files,
        shared,
        edit: seen.unwrap_or(0) + 1,
    };
    match seen {
        None => app.store.work_insert(&permit, &work).await?,
        Some(seen) => app.store.work_update(&permit, &work, seen).await?,
    }
    audit::record(app, audit::event(op, "contest.enter", &work.id)).await?;
    Ok(work)
}

/// The open data sets of these codes; others are not found.
async fn open_sets(app: &App, op: &Op, codes: &[String]) -> Result<Vec<(String, String)>> {
    let mut known = HashSet::new();
    let codes: Vec<&str> =
        codes.iter().map(|c| c.trim()).filter(|c| !c.is_empty() && known.insert(*c)).collect();
    if codes.is_empty() || codes.len() > MOST_SETS {
        return Err(Error::invalid(
            format!("请填写所用的 1 至 {MOST_SETS} 个开放数据集的编码"),
            format!("name 1 to {MOST_SETS} open data sets by their codes"),
        )
        .field("sets", "每行一个编码", "one code a line"));
    }
    let mut sets = Vec::with_capacity(codes.len());
    for code in codes {
        let dataset = opening::dataset(app, op, code).await.map_err(|e| {
            if e.code() == Code::NotFound {
                let shown: String = code.chars().take(60).collect();
                Error::invalid(
                    format!("没有开放数据集 `{shown}`"),
                    format!("there is no open data set `{shown}`"),
                )
                .field("sets", "只能使用开放的数据集", "open data sets only")
            } else {
                e
            }
        })?;
        sets.push((dataset.entry.id, dataset.entry.draft.code));
    }
    Ok(sets)
}

/// Hands a work in as a showcase, in the leader's name; it is shown once the authority has looked at it.
pub async fn to_showcase(app: &App, op: &Op, id: &str, work: &str) -> Result<Showcase> {
    let contest = open(app, id).await?;
    let permit = own(app, op, id).await?;
    let found = app.store.work_get(work).await?.filter(|w| w.contest == contest.id);
    let mut work = found.ok_or_else(|| work_missing(work))?;
    let team = led(app, op, id).await?;
    if team.id != work.team {
        return Err(work_missing(&work.id));
    }
    let closed =
        contest.rounds.get(work.round).is_some_and(|r| r.public && !r.closed_at.is_empty());
    if !closed || !work.showcase.is_empty() {
        return Err(wrong_state(
            "作品所在轮次公布后才能转为应用成果，且只能转一次",
            "a work becomes a showcase once, after its round was closed in public",
        ));
    }
    let new = ShowcaseNew {
        kind: Some(ShowcaseKind::App),
        title: work.title.clone(),
        text: work.text.chars().take(app.rules.voice.longest.text).collect(),
        author: team.name,
        links: vec![work.link.clone()],
        entries: work.sets.iter().map(|(_, code)| code.clone()).collect(),
    };
    let showcase = voice::submit(app, op, new).await?;
    let seen = work.edit;
    work.edit += 1;
    work.showcase.clone_from(&showcase.id);
    app.store.work_update(&permit, &work, seen).await?;
    Ok(showcase)
}

//! The authority's part: preparing a contest, publishing it, closing rounds, letting teams advance, giving awards.

use model::contest::{Award, Contest, ContestState, Round, ScoreItem, Track};
use model::voice::plain;
use model::{Code, Error, Op, Result};
use policy::{Action, Target};
use serde::Serialize;

use super::judge::judging;
use super::{NAME, TEXT, TITLE, kept, work_missing, wrong_state};
use crate::notice::Told;
use crate::opening::tell;
use crate::{App, audit};

/// What the authority writes. Lists are texts, a line each, parts apart by `|`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ContestNew {
    pub title: String,
    pub title_en: String,
    pub text: String,
    pub text_en: String,
    /// `名称|Name`
    pub tracks: String,
    /// `名称|Name|权重|满分`
    pub items: String,
    /// `名称|Name|2026-03-01|2026-03-31|public`; without `public` its works stay unseen.
    pub rounds: String,
    /// Names of accounts.
    pub judges: String,
}

/// A contest as it would be written.
#[must_use]
pub fn written(contest: &Contest, judges: &[String]) -> ContestNew {
    let lines = |parts: Vec<String>| parts.join("\n");
    ContestNew {
        title: contest.title.clone(),
        title_en: contest.title_en.clone(),
        text: contest.text.clone(),
        text_en: contest.text_en.clone(),
        tracks: lines(contest.tracks.iter().map(|t| format!("{}|{}", t.name, t.name_en)).collect()),
        items: lines(
            contest
                .items
                .iter()
                .map(|i| format!("{}|{}|{}|{}", i.name, i.name_en, i.weight, i.most))
                .collect(),
        ),
        rounds: lines(
            contest
                .rounds
                .iter()
                .map(|r| {
                    let public = if r.public { "|public" } else { "" };
                    format!("{}|{}|{}|{}{public}", r.name, r.name_en, r.opens, r.until)
                })
                .collect(),
        ),
        judges: lines(judges.to_vec()),
    }
}

/// Prepares a contest of the caller's region.
pub async fn set_up(app: &App, op: &Op, new: ContestNew) -> Result<Contest> {
    let region = op.actor.region().unwrap_or("330000").to_owned();
    let target = Target::contest("new", &region, &[], &[]);
    let permit = audit::permit(app, op, Action::ContestKeep, &target).await?;
    let mut contest = Contest {
        id: op.new_id(),
        state: ContestState::Draft,
        region,
        title: String::new(),
        title_en: String::new(),
        text: String::new(),
        text_en: String::new(),
        tracks: Vec::new(),
        items: Vec::new(),
        rounds: Vec::new(),
        judges: Vec::new(),
        awards: Vec::new(),
        writer: op.actor.id().to_owned(),
        created_at: op.stamp(),
        edit: 1,
    };
    read(app, &mut contest, &new).await?;
    app.store.contest_insert(&permit, &contest).await?;
    audit::record(app, audit::event(op, "contest.set-up", &contest.id)).await?;
    Ok(contest)
}

/// Changes a contest. Once it is public its tracks, scoring items and closed rounds stay as they are.
pub async fn edit(app: &App, op: &Op, id: &str, new: ContestNew, seen: u64) -> Result<Contest> {
    let (was, permit) = kept(app, op, id).await?;
    if was.state == ContestState::Ended {
        return Err(wrong_state("大赛已结束，不能再修改", "the contest has ended"));
    }
    let mut contest = was.clone();
    read(app, &mut contest, &new).await?;
    for (now, before) in contest.rounds.iter_mut().zip(&was.rounds) {
        now.closed_at.clone_from(&before.closed_at);
    }
    if was.state == ContestState::Public {
        let closed = was.rounds.iter().filter(|r| !r.closed_at.is_empty()).count();
        let same = contest.tracks == was.tracks
            && contest.items == was.items
            && contest.rounds.len() >= closed
            && contest.rounds.iter().zip(&was.rounds).take(closed).all(|(a, b)| a == b);
        if !same {
            return Err(Error::new(
                Code::RuleBroken,
                "大赛发布后，赛道、评分项和已公布结果的轮次不能修改",
                "once a contest is public its tracks, scoring items and closed rounds stay as they are",
            ));
        }
    }
    contest.edit = seen + 1;
    app.store.contest_update(&permit, &contest, seen).await?;
    audit::record(app, audit::event(op, "contest.edit", id)).await?;
    Ok(contest)
}

/// Shows it to everybody and tells its judges.
pub async fn publish(app: &App, op: &Op, id: &str) -> Result<Contest> {
    let (mut contest, permit) = kept(app, op, id).await?;
    if contest.state != ContestState::Draft {
        return Err(wrong_state("大赛已发布", "the contest is public already"));
    }
    if contest.judges.is_empty() {
        return Err(Error::invalid("请先指定评委", "name the judges first").field(
            "judges",
            "至少一位",
            "one at least",
        ));
    }
    let seen = contest.edit;
    contest.edit += 1;
    contest.state = ContestState::Public;
    app.store.contest_update(&permit, &contest, seen).await?;
    audit::record(app, audit::event(op, "contest.publish", id)).await?;
    let told = Told {
        mark: format!("contest.judge:{id}"),
        kind: "contest.judge",
        title: contest.title.clone(),
        words: String::new(),
        href: format!("/console/contests/{id}/works"),
    };
    tell::people(app, op, Ok(contest.judge_ids()), told).await;
    Ok(contest)
}

/// Closes the scores of the round that is being judged; from then on they are seen.
pub async fn close_round(app: &App, op: &Op, id: &str) -> Result<Contest> {
    let (mut contest, permit) = kept(app, op, id).await?;
    let Some(number) = judging(&contest, op) else {
        return Err(wrong_state("当前没有正在评审的轮次", "no round is being judged at present"));
    };
    let scores = app.store.score_list(id).await?;
    let works = app.store.work_list(id).await?;
    let bare = works.iter().filter(|w| w.round == number && !scores.contains_key(&w.id)).count();
    if bare > 0 {
        return Err(Error::new(
            Code::RuleBroken,
            format!("还有 {bare} 件作品没有评分"),
            format!("{bare} works have no score yet"),
        ));
    }
    let seen = contest.edit;
    contest.edit += 1;
    if let Some(round) = contest.rounds.get_mut(number) {
        round.closed_at = op.stamp();
    }
    app.store.contest_update(&permit, &contest, seen).await?;
    audit::record(app, audit::event(op, "contest.close-round", id)).await?;
    Ok(contest)
}

/// Lets the teams of these works (of the round that was closed last) enter the next round.
pub async fn advance(app: &App, op: &Op, id: &str, works: &[String]) -> Result<usize> {
    let (contest, permit) = kept(app, op, id).await?;
    let next = contest.current().filter(|n| *n > 0 && contest.state == ContestState::Public);
    let Some(next) = next else {
        return Err(wrong_state(
            "没有可晋级的下一轮：须先公布本轮结果，且还有下一轮",
            "there is no round to advance to: close the present one first",
        ));
    };
    if works.is_empty() {
        return Err(Error::invalid("请选择晋级的作品", "choose the works").field(
            "work",
            "至少一件",
            "one at least",
        ));
    }
    let mut done = 0;
    for work in works {
        let mut work = app
            .store
            .work_get(work)
            .await?
            .filter(|w| w.contest == contest.id && w.round + 1 == next)
            .ok_or_else(|| work_missing(work))?;
        if work.advanced {
            continue;
        }
        let seen = work.edit;
        work.edit += 1;
        work.advanced = true;
        if let Some(mut team) = app.store.team_get(&work.team).await? {
            let edit = team.edit;
            team.edit += 1;
            team.round = team.round.max(next);
            app.store.team_update(&permit, &team, edit, None, None).await?;
            let told = result(&contest, &work.id, "advanced", "晋级下一轮 / advanced");
            tell::people(app, op, Ok(team.member_ids()), told).await;
        }
        app.store.work_update(&permit, &work, seen).await?;
        done += 1;
    }
    audit::record(app, audit::event(op, "contest.advance", id)).await?;
    Ok(done)
}

/// Gives an award to a work of a closed round.
pub async fn award(
    app: &App,
    op: &Op,
    id: &str,
    work: &str,
    name: &str,
    name_en: &str,
) -> Result<Contest> {
    let (mut contest, permit) = kept(app, op, id).await?;
    if contest.state != ContestState::Public {
        return Err(wrong_state("大赛不在进行中", "the contest is not under way"));
    }
    let name = plain("name", ("奖项", "award"), name, 2, NAME)?;
    let name_en = plain("name_en", ("奖项英文名", "award in English"), name_en, 0, NAME)?;
    let work = app
        .store
        .work_get(work)
        .await?
        .filter(|w| w.contest == contest.id)
        .ok_or_else(|| work_missing(work))?;
    if contest.rounds.get(work.round).is_none_or(|r| r.closed_at.is_empty()) {
        return Err(wrong_state(
            "该轮结果尚未公布，不能授奖",
            "the round of this work is not closed yet",
        ));
    }
    if contest.awards.iter().any(|a| a.work == work.id && a.name == name) {
        return Err(Error::new(
            Code::Duplicate,
            "该作品已获此奖项",
            "the work has this award already",
        ));
    }
    let seen = contest.edit;
    contest.edit += 1;
    let told = result(&contest, &work.id, &name, &name);
    let given = Award { name, name_en, work: work.id.clone(), team: work.team.clone() };
    contest.awards.push(given);
    app.store.contest_update(&permit, &contest, seen).await?;
    audit::record(app, audit::event(op, "contest.award", &work.id)).await?;
    if let Some(team) = app.store.team_get(&work.team).await? {
        tell::people(app, op, Ok(team.member_ids()), told).await;
    }
    Ok(contest)
}

fn result(contest: &Contest, work: &str, mark: &str, words: &str) -> Told {
    Told {
        mark: format!("contest.result:{work}:{mark}"),
        kind: "contest.result",
        title: contest.title.clone(),
        words: words.to_owned(),
        href: format!("/contests/{}", contest.id),
    }
}

/// Ends it: nothing is entered or scored any more.
pub async fn end(app: &App, op: &Op, id: &str) -> Result<Contest> {
    let (mut contest, permit) = kept(app, op, id).await?;
    if contest.state != ContestState::Public {
        return Err(wrong_state("大赛不在进行中", "the contest is not under way"));
    }
    let seen = contest.edit;
    contest.edit += 1;
    contest.state = ContestState::Ended;
    app.store.contest_update(&permit, &contest, seen).await?;
    audit::record(app, audit::event(op, "contest.end", id)).await?;
    Ok(contest)
}

/// Reads what was written into a contest.
async fn read(app: &App, contest: &mut Contest, new: &ContestNew) -> Result<()> {
    contest.title = plain("title", ("名称", "title"), &new.title, 2, TITLE)?;
    contest.title_en =
        plain("title_en", ("英文名称", "title in English"), &new.title_en, 2, TITLE)?;
    contest.text = plain("text", ("赛制", "rules"), &new.text, 10, TEXT)?;
    contest.text_en = plain("text_en", ("英文赛制", "rules in English"), &new.text_en, 0, TEXT)?;
    contest.tracks = lines(&new.tracks)
        .map(|line| {
            let [name, name_en] = parts("tracks", line)?;
            Ok(Track { name, name_en })
        })
        .collect::<Result<_>>()?;
    contest.items = lines(&new.items)
        .map(|line| {
            let [name, name_en, weight, most] = parts("items", line)?;
            let number = |text: &str| text.parse::<u32>().map_err(|_| unread("items", line));
            Ok(ScoreItem { name, name_en, weight: number(&weight)?, most: number(&most)? })
        })
        .collect::<Result<_>>()?;
    contest.rounds = lines(&new.rounds).map(round).collect::<Result<_>>()?;
    contest.judges = judges(app, &new.judges).await?;
    contest.check()
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|l| !l.is_empty())
}

fn unread(field: &str, line: &str) -> Error {
    let shown: String = line.chars().take(60).collect();
    Error::invalid(format!("无法识别的行：{shown}"), format!("this line cannot be read: {shown}"))
        .field(field, "请按提示的格式填写", "write it as the hint says")
}

/// The parts of a line; none is empty.
fn parts<const N: usize>(field: &str, line: &str) -> Result<[String; N]> {
    let all: Vec<String> = line.split(['|', '｜']).map(|p| p.trim().to_owned()).collect();
    if all.iter().any(|p| p.is_empty() || p.chars().count() > NAME) {
        return Err(unread(field, line));
    }
    <[String; N]>::try_from(all).map_err(|_| unread(field, line))
}

fn round(line: &str) -> Result<Round> {
    let (line, public) = match line.strip_suffix("|public").or(line.strip_suffix("｜public")) {
        Some(rest) => (rest, true),
        None => (line, false),
    };
    let [name, name_en, opens, until] = parts("rounds", line)?;
    let day = |text: &str| text.parse::<chrono::NaiveDate>().map_err(|_| unread("rounds", line));
    let (opens, until) = (day(&opens)?, day(&until)?);
    Ok(Round { name, name_en, opens, until, public, closed_at: String::new() })
}

/// The accounts of these names.
async fn judges(app: &App, text: &str) -> Result<Vec<(String, String)>> {
    let mut found: Vec<(String, String)> = Vec::new();
    for name in lines(text) {
        let user = app.store.user_by_name(name).await?.map(|u| u.user).filter(|u| u.active);
        let user = user.ok_or_else(|| {
            let shown: String = name.chars().take(40).collect();
            Error::invalid(
                format!("没有账号 `{shown}`，或已停用"),
                format!("there is no account `{shown}`, or it is closed"),
            )
            .field("judges", "请核对账号名", "check the name")
        })?;
        if !found.iter().any(|(id, _)| *id == user.id) {
            found.push((user.id, user.display_name));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_the_hint_says() {
        let r = round("初赛|First|2026-03-01|2026-03-31|public").unwrap();
        assert!(r.public && r.name == "初赛" && r.until.to_string() == "2026-03-31");
        assert!(!round("决赛｜Final｜2026-04-01｜2026-04-30").unwrap().public);
        for wrong in ["", "初赛", "初赛|First|2026-13-01|2026-03-31", "a||2026-03-01|2026-03-31"]
        {
            assert!(round(wrong).is_err(), "{wrong}");
        }
        let [name, en] = parts("tracks", "民生 | Living").unwrap();
        assert_eq!((name.as_str(), en.as_str()), ("民生", "Living"));
    }
}

//! Contests as they are seen: by everybody, by those who take part, and by the authority.

use std::collections::{BTreeSet, HashMap};

use model::contest::{Contest, Place, RoundPhase, Score, Team, Work, WorkFile, ranking, weighted};
use model::entry::Entry;
use model::region;
use model::{Actor, Op, Result};
use policy::{Action, Target};
use serde::Serialize;

use super::{files, kept, open};
use crate::{App, Page, account};

/// A work with its place, as far as it may be told.
#[derive(Clone, Debug, Serialize)]
pub struct WorkSeen {
    pub work: Work,
    /// Codes and titles of the sets it uses that are open now.
    pub sets: Vec<(String, String, String)>,
    pub place: Option<Place>,
    /// Names of its awards, in both languages.
    pub awards: Vec<(String, String)>,
    /// Words of judges, for its team and the authority once the round is closed.
    pub words: Vec<String>,
    /// Files that the reader may have.
    pub files: Vec<WorkFile>,
}

/// A round with its works, as far as they may be seen.
#[derive(Clone, Debug, Serialize)]
pub struct RoundSeen {
    pub number: usize,
    pub phase: RoundPhase,
    pub entered: usize,
    pub works: Vec<WorkSeen>,
}

/// The caller's team.
#[derive(Clone, Debug, Serialize)]
pub struct MyTeam {
    pub name: String,
    pub leads: bool,
    /// Names of its members.
    pub members: Vec<String>,
    /// Number of the last round it may enter.
    pub round: usize,
    /// What it entered, by round.
    pub works: Vec<Work>,
}

/// A contest as its reader sees it.
#[derive(Clone, Debug, Serialize)]
pub struct ContestSeen {
    pub contest: Contest,
    pub rounds: Vec<RoundSeen>,
    pub teams: usize,
    pub team: Option<MyTeam>,
    /// Whether the caller judges it, and leads it.
    pub judges: bool,
    pub keeps: bool,
    /// Number of the round that works can be entered in now.
    pub entering: Option<usize>,
    /// Whether teams can be formed now, or joined.
    pub may_form: bool,
    pub may_join: bool,
}

/// Whether the caller leads contests of the own region.
#[must_use]
pub fn may_keep(app: &App, op: &Op) -> bool {
    let region = op.actor.region().unwrap_or_default();
    app.may(op, Action::ContestKeep, &Target::contest("desk", region, &[], &[]))
}

/// Contests that everybody may see, newest first. *constant page*.
pub async fn contests(
    app: &App,
    _op: &Op,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<Contest>> {
    let limit = if limit == 0 { 20 } else { limit.min(100) };
    let found = app.store.contest_list(true, None, None, before, limit + 1).await?;
    Ok(Page::cut(found, limit, |c| c.id.clone()))
}

/// Public contests whose title or rules hold a text.
pub async fn search(app: &App, _op: &Op, text: &str, limit: u32) -> Result<Vec<Contest>> {
    let found = app.store.contest_list(true, None, Some(text), None, limit.min(100)).await?;
    let low = text.to_lowercase();
    let holds = |c: &Contest| {
        [&c.title, &c.title_en, &c.text, &c.text_en].iter().any(|t| t.to_lowercase().contains(&low))
    };
    Ok(found.into_iter().filter(holds).collect())
}

/// Contests that the caller leads, newest first. *constant page*.
pub async fn contests_desk(
    app: &App,
    op: &Op,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<Contest>> {
    let region = op.actor.region().unwrap_or_default();
    let target = Target::contest("desk", region, &[], &[]);
    crate::audit::permit(app, op, Action::ContestKeep, &target).await?;
    let limit = if limit == 0 { 50 } else { limit.min(100) };
    let prefix = (!region.is_empty()).then(|| region::prefix(region));
    let found = app.store.contest_list(false, prefix, None, before, limit + 1).await?;
    Ok(Page::cut(found, limit, |c| c.id.clone()))
}

/// Contests under way that the caller judges.
pub async fn contests_judged(app: &App, op: &Op) -> Result<Vec<Contest>> {
    if !matches!(op.actor, Actor::User { .. }) {
        return Ok(Vec::new());
    }
    app.store.contests_judged(op.actor.id()).await
}

/// One: what is public, or what the caller leads (`desk`). Others are not found.
pub async fn contest(app: &App, op: &Op, id: &str, desk: bool) -> Result<ContestSeen> {
    let contest = if desk { kept(app, op, id).await?.0 } else { open(app, id).await? };
    let me = op.actor.id();
    let signed = matches!(op.actor, Actor::User { .. });
    let judges = signed && contest.judges.iter().any(|(account, _)| account == me);
    let target = Target::contest(&contest.id, &contest.region, &[], &[]);
    let keeps = app.may(op, Action::ContestKeep, &target);
    let team = if signed { team_of(app, id, me).await? } else { None };
    let works = app.store.work_list(id).await?;
    let scores = app.store.score_list(id).await?;
    let today = op.today();
    let mut rounds = Vec::with_capacity(contest.rounds.len());
    for (number, round) in contest.rounds.iter().enumerate() {
        let phase = round.phase(today);
        let closed = phase == RoundPhase::Closed;
        let entered: Vec<&Work> = works.iter().filter(|w| w.round == number).collect();
        // The authority sees all; one that judges, too, sees no scores before the round is closed.
        let inside = desk && keeps;
        let shows_scores = closed || (inside && !judges);
        let results: Vec<(String, Vec<u64>)> = entered
            .iter()
            .map(|w| {
                let given = scores.get(&w.id).map(Vec::as_slice).unwrap_or_default();
                (w.id.clone(), given.iter().map(|s| weighted(&contest.items, &s.points)).collect())
            })
            .collect();
        let places = if shows_scores { ranking(&results) } else { Vec::new() };
        let mut shown = Vec::new();
        for work in &entered {
            let own = team.as_ref().is_some_and(|t| t.id == work.team);
            if !(inside || own || (closed && round.public)) {
                continue;
            }
            let place = places.iter().find(|p| p.work == work.id).cloned();
            let given = scores.get(&work.id).map(Vec::as_slice).unwrap_or_default();
            let words = if closed && (own || inside) { said(given) } else { Vec::new() };
            let files = match files::reads(app, op, &contest, work, team.as_ref()) {
                true => work.files.clone(),
                false => Vec::new(),
            };
            shown.push(WorkSeen { files, ..work_seen(&contest, work, place, words) });
        }
        shown.sort_by_key(|w| w.place.as_ref().map_or(usize::MAX, |p| p.rank));
        rounds.push(RoundSeen { number, phase, entered: entered.len(), works: shown });
    }
    name_sets(app, &mut rounds).await?;
    let (current, phase) = contest.present(today).unzip();
    let joinable = matches!(phase, Some(RoundPhase::Upcoming | RoundPhase::Entering));
    let entering = current.filter(|_| phase == Some(RoundPhase::Entering));
    let mine = team.map(|t| MyTeam {
        leads: t.leader == me,
        members: t.members.iter().map(|(_, name)| name.clone()).collect(),
        round: t.round,
        works: works.iter().filter(|w| w.team == t.id).cloned().collect(),
        name: t.name,
    });
    Ok(ContestSeen {
        teams: app.store.team_count(id).await?,
        may_form: joinable && current == Some(0) && mine.is_none(),
        may_join: joinable && mine.is_none(),
        entering: entering.filter(|n| mine.as_ref().is_some_and(|t| t.round >= *n)),
        team: mine,
        contest,
        rounds,
        judges,
        keeps,
    })
}

/// Somebody's team; its members by the names shown.
async fn team_of(app: &App, contest: &str, me: &str) -> Result<Option<Team>> {
    let Some(mut team) = app.store.team_of(contest, me).await? else { return Ok(None) };
    let members = team.members.iter_mut().map(|(id, name)| (id.as_str(), name));
    account::named(app, members.collect()).await?;
    Ok(Some(team))
}

fn said(scores: &[Score]) -> Vec<String> {
    scores.iter().map(|s| s.words.clone()).filter(|w| !w.is_empty()).collect()
}

fn work_seen(contest: &Contest, work: &Work, place: Option<Place>, words: Vec<String>) -> WorkSeen {
    let awards = contest
        .awards
        .iter()
        .filter(|a| a.work == work.id)
        .map(|a| (a.name.clone(), a.name_en.clone()))
        .collect();
    // What goes with it is told beside it, to those who may have it.
    let work = Work { files: Vec::new(), ..work.clone() };
    WorkSeen { work, sets: Vec::new(), place, awards, words, files: Vec::new() }
}

/// Names the sets of the works that are shown, as far as they are open now: looked up together.
async fn name_sets(app: &App, rounds: &mut [RoundSeen]) -> Result<()> {
    let shown: Vec<&mut WorkSeen> = rounds.iter_mut().flat_map(|r| &mut r.works).collect();
    let used: BTreeSet<&String> =
        shown.iter().flat_map(|w| &w.work.sets).map(|(id, _)| id).collect();
    let used: Vec<String> = used.into_iter().cloned().collect();
    let found = app.store.entry_heads(&used).await?.into_iter().filter(Entry::open);
    let open: HashMap<String, Entry> = found.map(|e| (e.id.clone(), e)).collect();
    for seen in shown {
        let sets = seen.work.sets.iter().filter_map(|(id, code)| {
            let draft = &open.get(id).filter(|e| e.draft.code == *code)?.draft;
            Some((code.clone(), draft.title.clone(), draft.title_en.clone()))
        });
        seen.sets = sets.collect();
    }
    Ok(())
}

/// The public contest that a showcase came of: id and titles.
pub async fn contest_of_showcase(
    app: &App,
    _op: &Op,
    showcase: &str,
) -> Result<Option<(String, String, String)>> {
    let Some(work) = app.store.work_of_showcase(showcase).await? else { return Ok(None) };
    match open(app, &work.contest).await {
        Ok(contest) => Ok(Some((contest.id, contest.title, contest.title_en))),
        Err(e) if e.code() == model::Code::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Names of the accounts of judges, as they are written when a contest is set up.
pub async fn judge_names(app: &App, ids: &[String]) -> Result<Vec<String>> {
    let mut names = Vec::with_capacity(ids.len());
    for id in ids {
        names.extend(app.store.user_get(id).await?.map(|u| u.user.name));
    }
    Ok(names)
}

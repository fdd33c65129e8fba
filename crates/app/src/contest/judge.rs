//! The judges' part: works of the round that is being judged, each with the judge's own score and nobody else's.

use model::contest::{Contest, RoundPhase, Score, Work};
use model::voice::plain;
use model::{Error, Op, Result};
use policy::{Action, Target};
use serde::Serialize;

use super::{WORDS, missing, open, work_missing, wrong_state};
use crate::{App, audit};

/// A work as its judge sees it.
#[derive(Clone, Debug, Serialize)]
pub struct JudgedWork {
    pub work: Work,
    /// What this judge gave it.
    pub score: Option<Score>,
    /// Whether this judge may score it: not a work of the own team, and the round is being judged.
    pub may_score: bool,
}

/// Number of the round that is being judged.
pub(super) fn judging(contest: &Contest, op: &Op) -> Option<usize> {
    let (number, phase) = contest.present(op.today())?;
    (phase == RoundPhase::Judging).then_some(number)
}

/// Works of the round that is being judged, for one of its judges. Others do not find the contest.
pub async fn works_to_judge(app: &App, op: &Op, id: &str) -> Result<(Contest, Vec<JudgedWork>)> {
    let contest = open(app, id).await?;
    let judges = contest.judge_ids();
    let target = |team: &[String]| Target::contest(id, &contest.region, &judges, team);
    if !app.may(op, Action::ContestJudge, &target(&[])) {
        return Err(missing(id));
    }
    let Some(number) = judging(&contest, op) else { return Ok((contest, Vec::new())) };
    let mut scores = app.store.score_list(id).await?;
    let own_team = app.store.team_of(id, op.actor.id()).await?;
    let works = app
        .store
        .work_list(id)
        .await?
        .into_iter()
        .filter(|w| w.round == number)
        .map(|work| {
            let given = scores.remove(&work.id).unwrap_or_default();
            JudgedWork {
                score: given.into_iter().find(|s| s.judge == op.actor.id()),
                may_score: own_team.as_ref().is_none_or(|t| t.id != work.team),
                work,
            }
        })
        .collect();
    Ok((contest, works))
}

/// Scores a work: points by scoring item, in their order. A second time takes the place of the first.
pub async fn score(
    app: &App,
    op: &Op,
    id: &str,
    work: &str,
    points: Vec<u32>,
    words: &str,
) -> Result<Score> {
    let contest = open(app, id).await?;
    let found = app.store.work_get(work).await?.filter(|w| w.contest == contest.id);
    let found = found.ok_or_else(|| work_missing(work))?;
    let team = app.store.team_get(&found.team).await?;
    let members = team.map(|t| t.member_ids()).unwrap_or_default();
    let judges = contest.judge_ids();
    // Who is no judge learns nothing of it; a judge of the own team learns why not.
    if !judges.iter().any(|j| j == op.actor.id()) {
        return Err(work_missing(work));
    }
    let target = Target::contest(&found.id, &contest.region, &judges, &members);
    let permit = audit::permit(app, op, Action::ContestJudge, &target).await?;
    if judging(&contest, op) != Some(found.round) {
        return Err(wrong_state(
            "该作品所在轮次不在评审期",
            "the round of this work is not being judged",
        ));
    }
    let wrong = contest.items.len() != points.len()
        || contest.items.iter().zip(&points).any(|(item, p)| *p > item.most);
    if wrong {
        return Err(Error::invalid(
            "请为每个评分项打分，且不超过满分",
            "give points for every item, and no more than there are",
        )
        .field("points", "请核对", "check them"));
    }
    let score = Score {
        work: found.id,
        judge: op.actor.id().to_owned(),
        judge_name: op.actor.name().to_owned(),
        points,
        words: plain("words", ("评语", "words"), words, 0, WORDS)?,
        at: op.stamp(),
    };
    app.store.score_put(&permit, id, &score).await?;
    audit::record(app, audit::event(op, "contest.score", &score.work)).await?;
    Ok(score)
}

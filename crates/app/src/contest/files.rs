//! Files of works: handed in by the team while works are entered, had by the team, the judges of its round and the authority, and by
//! everybody once the work has an award and its team agrees. What a file is its content tells ([`upload::FileSort`]); its content lies in
//! the inbox, where no address leads, and is handed out by this room alone.

use bytes::Bytes;
use futures::stream::BoxStream;
use model::contest::{Contest, RoundPhase, Team, Work, WorkFile};
use model::{Actor, Code, Error, Op, Result};
use policy::{Action, Permit, Target};
use serde::Deserialize;

use super::team::{led, mine};
use super::{open, own, work_missing, wrong_state};
use crate::upload::{self, FileRules};
use crate::{App, audit};

/// Limits of contests (`rules/contest.toml`).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContestRules {
    /// Day from which it holds, `YYYY-MM-DD`.
    pub effective: String,
    pub file: FileRules,
}

/// Reads the rules; the shipped ones when the file says nothing.
pub(crate) fn rules(
    own: Option<ContestRules>,
) -> std::result::Result<ContestRules, toml::de::Error> {
    own.map_or_else(|| toml::from_str(include_str!("../../rules/contest.toml")), Ok)
}

fn file_missing(id: &str) -> Error {
    let shown: String = id.chars().take(64).collect();
    Error::not_found("附件", "file", &shown)
}

/// A work of the caller's own team whose round still takes works.
async fn entered(app: &App, op: &Op, id: &str, work: &str) -> Result<(Permit, Team, Work)> {
    let contest = open(app, id).await?;
    let permit = own(app, op, id).await?;
    let (team, work) = of_team(app, op, &contest, work).await?;
    if contest.present(op.today()) != Some((work.round, RoundPhase::Entering)) {
        return Err(wrong_state(
            "作品所在轮次已截止，作品和附件不能再改",
            "the round of this work is over: neither it nor its files can be changed",
        ));
    }
    Ok((permit, team, work))
}

/// A work of the caller's own team; others are not found.
async fn of_team(app: &App, op: &Op, contest: &Contest, work: &str) -> Result<(Team, Work)> {
    let team = mine(app, op, &contest.id).await?;
    let found = app.store.work_get(work).await?.filter(|w| w.team == team.id);
    let found = found.ok_or_else(|| work_missing(work))?;
    Ok((team, found))
}

/// Hands a file in with a work of one's team.
pub async fn attach(
    app: &App,
    op: &Op,
    id: &str,
    work: &str,
    name: &str,
    bytes: BoxStream<'static, Result<Bytes>>,
) -> Result<Work> {
    let (permit, _, mut work) = entered(app, op, id, work).await?;
    let rules = &app.rules.contest.file;
    if work.files.len() >= rules.most {
        return Err(Error::new(
            Code::RuleBroken,
            format!("每件作品的附件最多 {} 个", rules.most),
            format!("a work has {} files at most", rules.most),
        )
        .field("file", "请先移除不用的附件", "take away a file that is not needed first"));
    }
    let taken = upload::take_in(app, op, rules.bytes, &rules.kinds, name, bytes).await?;
    let file = WorkFile {
        id: taken.id,
        name: taken.name,
        media: taken.media.to_owned(),
        bytes: taken.bytes,
        checksum: taken.checksum,
        at: op.stamp(),
        by: op.actor.id().to_owned(),
    };
    let seen = work.edit;
    work.edit += 1;
    work.files.push(file.clone());
    let kept = async {
        let mut event = audit::event(op, "contest.attach", &work.id);
        event.scope = format!("{} {} {}", file.media, file.bytes, file.checksum);
        audit::record(app, event).await?;
        app.store.work_update(&permit, &work, seen).await
    };
    if let Err(e) = kept.await {
        upload::forget(app, &file.id).await;
        return Err(e);
    }
    Ok(work)
}

/// Takes a file away from a work of one's team.
pub async fn detach(app: &App, op: &Op, id: &str, work: &str, file: &str) -> Result<Work> {
    let (permit, _, mut work) = entered(app, op, id, work).await?;
    let before = work.files.len();
    work.files.retain(|f| f.id != file);
    if work.files.len() == before {
        return Err(file_missing(file));
    }
    let seen = work.edit;
    work.edit += 1;
    app.store.work_update(&permit, &work, seen).await?;
    upload::forget(app, file).await;
    audit::record(app, audit::event(op, "contest.detach", &work.id)).await?;
    Ok(work)
}

/// Takes a work back before its round is over (its leader), with its files.
pub async fn take_back(app: &App, op: &Op, id: &str, work: &str) -> Result<()> {
    let (permit, _, work) = entered(app, op, id, work).await?;
    led(app, op, id).await?;
    app.store.work_remove(&permit, &work.id, work.edit).await?;
    for file in &work.files {
        upload::forget(app, &file.id).await;
    }
    audit::record(app, audit::event(op, "contest.take-back", &work.id)).await
}

/// Says whether everybody may have the files of a work once it has an award (its leader). It can be said otherwise at any time.
pub async fn consent(app: &App, op: &Op, id: &str, work: &str, agrees: bool) -> Result<Work> {
    let contest = open(app, id).await?;
    let permit = own(app, op, id).await?;
    let (_, mut work) = of_team(app, op, &contest, work).await?;
    led(app, op, id).await?;
    let seen = work.edit;
    work.edit += 1;
    work.shared = agrees;
    app.store.work_update(&permit, &work, seen).await?;
    let mut event = audit::event(op, "contest.consent", &work.id);
    event.scope = if agrees { "agrees" } else { "does not agree" }.to_owned();
    audit::record(app, event).await?;
    Ok(work)
}

/// Whether the caller may have the files of a work. `team`: the caller's own team in this contest.
pub(super) fn reads(
    app: &App,
    op: &Op,
    contest: &Contest,
    work: &Work,
    team: Option<&Team>,
) -> bool {
    if contest.shares(work) || team.is_some_and(|t| t.id == work.team) {
        return true;
    }
    let judges = contest.judge_ids();
    let target = Target::contest(&work.id, &contest.region, &judges, &[]);
    app.may(op, Action::ContestKeep, &target)
        || (contest.judged(work, op.today()) && app.may(op, Action::ContestJudge, &target))
}

/// A file of a work with its content as a stream. Who may not have it finds nothing.
pub async fn file(
    app: &App,
    op: &Op,
    id: &str,
    work: &str,
    file: &str,
) -> Result<(WorkFile, BoxStream<'static, std::io::Result<Bytes>>)> {
    let contest = app.store.contest_get(id).await?.ok_or_else(|| super::missing(id))?;
    let found = app.store.work_get(work).await?.filter(|w| w.contest == contest.id);
    let found = found.ok_or_else(|| file_missing(file))?;
    let team = match op.actor {
        Actor::User { .. } => app.store.team_of(id, op.actor.id()).await?,
        _ => None,
    };
    if !reads(app, op, &contest, &found, team.as_ref()) {
        return Err(file_missing(file));
    }
    let known = found.files.into_iter().find(|f| f.id == file).ok_or_else(|| file_missing(file))?;
    let pieces = upload::content(app, &known.id).await?;
    let mut event = audit::event(op, "contest.file", &found.id);
    event.scope.clone_from(&known.checksum);
    audit::record(app, event).await?;
    Ok((known, pieces))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_rules_are_read() {
        let rules = rules(None).unwrap();
        assert!(rules.file.bytes > 0 && rules.file.most > 0);
        assert!(rules.file.words().starts_with("pdf、ofd"), "{}", rules.file.words());
        let own = "effective = \"2026-01-01\"\n[file]\nbytes = 1\nmost = 1\nkinds = [\"exe\"]";
        assert!(toml::from_str::<ContestRules>(own).is_err(), "a kind that cannot be told");
    }
}

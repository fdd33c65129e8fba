//! Contests in the control store: what is set up, teams with their members, works, scores.

use std::collections::HashMap;

use model::contest::{Contest, Score, Team, Work};
use model::{Code, Error, Result};
use policy::{Action, Permit};

use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, json, on_duplicate, page, text, to_json};

/// Teams, works and scores of one contest at most: contests are of people.
const MOST: i64 = 5_000;

fn edit(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn changed(rows: u64) -> Result<()> {
    if rows == 1 { Ok(()) } else { Err(Error::of(Code::Stale)) }
}

/// Who writes teams and works.
const PEOPLE: &[Action] = &[Action::VoiceWrite, Action::ContestKeep];

impl Store {
    pub async fn contest_insert(&self, permit: &Permit, contest: &Contest) -> Result<()> {
        permit.require(&[Action::ContestKeep])?;
        sqlx::query(
            "INSERT INTO contest (id, state, region, edit, body) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(contest.id.as_str())
        .bind(contest.state.as_str())
        .bind(contest.region.as_str())
        .bind(edit(contest.edit))
        .bind(to_json(contest)?)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Writes a changed contest, unless somebody changed it since it was read.
    pub async fn contest_update(
        &self,
        permit: &Permit,
        contest: &Contest,
        seen: u64,
    ) -> Result<()> {
        permit.require(&[Action::ContestKeep])?;
        let done = sqlx::query(
            "UPDATE contest SET state = $1, region = $2, edit = $3, body = $4 WHERE id = $5 AND edit = $6",
        )
        .bind(contest.state.as_str())
        .bind(contest.region.as_str())
        .bind(edit(contest.edit))
        .bind(to_json(contest)?)
        .bind(contest.id.as_str())
        .bind(edit(seen))
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        changed(done.rows_affected())
    }

    pub async fn contest_get(&self, id: &str) -> Result<Option<Contest>> {
        self.db.body("contest", id).await
    }

    /// A page of contests, newest first: those that everybody may see, or all of a region and those below (prefix of its code).
    pub async fn contest_list(
        &self,
        public: bool,
        region: Option<&str>,
        title: Option<&str>,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Contest>> {
        let mut clause = Clause::default();
        if public {
            clause.and("state <> 'draft'");
        }
        if let Some(prefix) = region {
            clause.and_text("region LIKE", &format!("{prefix}%"));
        }
        if let Some(title) = title {
            clause.and_like(&["body"], title);
        }
        if let Some(before) = before {
            clause.and_text("id <", before);
        }
        let sql = format!(
            "SELECT body FROM contest{} ORDER BY id DESC LIMIT {}",
            clause.sql(),
            page(limit)
        );
        self.db.rows(sql, &clause).await?.iter().map(|row| json(row, "body")).collect()
    }

    /// Contests that an account judges, newest first.
    pub async fn contests_judged(&self, account: &str) -> Result<Vec<Contest>> {
        let mut clause = Clause::default();
        clause.and("state = 'public'");
        // Judges are kept as pairs in the JSON; the account's id stands between quotes.
        clause.and_like(&["body"], &format!("\"{account}\""));
        let sql = format!("SELECT body FROM contest{} ORDER BY id DESC LIMIT 100", clause.sql());
        let found: Vec<Contest> = self
            .db
            .rows(sql, &clause)
            .await?
            .iter()
            .map(|row| json(row, "body"))
            .collect::<Result<_>>()?;
        Ok(found.into_iter().filter(|c| c.judges.iter().any(|(id, _)| id == account)).collect())
    }

    /// Keeps a new team with its leader, who is in no other team of the contest.
    pub async fn team_insert(&self, permit: &Permit, team: &Team) -> Result<()> {
        permit.require(PEOPLE)?;
        let mut tx = self.db.begin().await?;
        sqlx::query(
            "INSERT INTO contest_team (id, contest, invitation, edit, body) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(team.id.as_str())
        .bind(team.contest.as_str())
        .bind(team.invitation.as_str())
        .bind(edit(team.edit))
        .bind(to_json(team)?)
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        sqlx::query("INSERT INTO contest_member (contest, account, team) VALUES ($1, $2, $3)")
            .bind(team.contest.as_str())
            .bind(team.leader.as_str())
            .bind(team.id.as_str())
            .execute(&mut *tx)
            .await
            .map_err(|e| on_duplicate(e, IN_A_TEAM.0, IN_A_TEAM.1))?;
        tx.commit().await.map_err(fail)
    }

    /// Writes a changed team; `joins` and `leaves` are accounts that came to it or left it.
    pub async fn team_update(
        &self,
        permit: &Permit,
        team: &Team,
        seen: u64,
        joins: Option<&str>,
        leaves: Option<&str>,
    ) -> Result<()> {
        permit.require(PEOPLE)?;
        let mut tx = self.db.begin().await?;
        let done = sqlx::query(
            "UPDATE contest_team SET invitation = $1, edit = $2, body = $3 WHERE id = $4 AND edit = $5",
        )
        .bind(team.invitation.as_str())
        .bind(edit(team.edit))
        .bind(to_json(team)?)
        .bind(team.id.as_str())
        .bind(edit(seen))
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        changed(done.rows_affected())?;
        if let Some(account) = leaves {
            sqlx::query("DELETE FROM contest_member WHERE contest = $1 AND account = $2")
                .bind(team.contest.as_str())
                .bind(account)
                .execute(&mut *tx)
                .await
                .map_err(fail)?;
        }
        if let Some(account) = joins {
            sqlx::query("INSERT INTO contest_member (contest, account, team) VALUES ($1, $2, $3)")
                .bind(team.contest.as_str())
                .bind(account)
                .bind(team.id.as_str())
                .execute(&mut *tx)
                .await
                .map_err(|e| on_duplicate(e, IN_A_TEAM.0, IN_A_TEAM.1))?;
        }
        tx.commit().await.map_err(fail)
    }

    pub async fn team_get(&self, id: &str) -> Result<Option<Team>> {
        self.db.body("contest_team", id).await
    }

    /// The team that an account is in.
    pub async fn team_of(&self, contest: &str, account: &str) -> Result<Option<Team>> {
        let mut clause = Clause::default();
        clause.and_text("m.contest =", contest);
        clause.and_text("m.account =", account);
        let sql = format!(
            "SELECT t.body AS body FROM contest_member m JOIN contest_team t ON t.id = m.team{}",
            clause.sql()
        );
        self.db.rows(sql, &clause).await?.first().map(|row| json(row, "body")).transpose()
    }

    /// The team whose invitation has this fingerprint.
    pub async fn team_invited(&self, contest: &str, invitation: &str) -> Result<Option<Team>> {
        let mut clause = Clause::default();
        clause.and_text("contest =", contest);
        clause.and_text("invitation =", invitation);
        let sql = format!("SELECT body FROM contest_team{}", clause.sql());
        self.db.rows(sql, &clause).await?.first().map(|row| json(row, "body")).transpose()
    }

    /// Teams of a contest, in the order they were formed.
    pub async fn team_list(&self, contest: &str) -> Result<Vec<Team>> {
        let mut clause = Clause::default();
        clause.and_text("contest =", contest);
        let sql = format!("SELECT body FROM contest_team{} ORDER BY id LIMIT {MOST}", clause.sql());
        self.db.rows(sql, &clause).await?.iter().map(|row| json(row, "body")).collect()
    }

    /// Keeps a work; a team enters one a round.
    pub async fn work_insert(&self, permit: &Permit, work: &Work) -> Result<()> {
        permit.require(PEOPLE)?;
        sqlx::query(
            "INSERT INTO contest_work (id, contest, team, round, showcase, edit, body) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(work.id.as_str())
        .bind(work.contest.as_str())
        .bind(work.team.as_str())
        .bind(i64::try_from(work.round).unwrap_or(i64::MAX))
        .bind(work.showcase.as_str())
        .bind(edit(work.edit))
        .bind(to_json(work)?)
        .execute(self.db.pool())
        .await
        .map_err(|e| {
            on_duplicate(
                e,
                "本团队在该轮已提交作品",
                "the team has entered a work in this round already",
            )
        })?;
        Ok(())
    }

    /// Writes a changed work, unless somebody changed it since it was read.
    pub async fn work_update(&self, permit: &Permit, work: &Work, seen: u64) -> Result<()> {
        permit.require(PEOPLE)?;
        let done = sqlx::query(
            "UPDATE contest_work SET showcase = $1, edit = $2, body = $3 WHERE id = $4 AND edit = $5",
        )
        .bind(work.showcase.as_str())
        .bind(edit(work.edit))
        .bind(to_json(work)?)
        .bind(work.id.as_str())
        .bind(edit(seen))
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        changed(done.rows_affected())
    }

    pub async fn work_get(&self, id: &str) -> Result<Option<Work>> {
        self.db.body("contest_work", id).await
    }

    /// Works of a contest, in the order they were entered.
    pub async fn work_list(&self, contest: &str) -> Result<Vec<Work>> {
        let mut clause = Clause::default();
        clause.and_text("contest =", contest);
        let sql = format!("SELECT body FROM contest_work{} ORDER BY id LIMIT {MOST}", clause.sql());
        self.db.rows(sql, &clause).await?.iter().map(|row| json(row, "body")).collect()
    }

    /// The work that a showcase was made of.
    pub async fn work_of_showcase(&self, showcase: &str) -> Result<Option<Work>> {
        let mut clause = Clause::default();
        clause.and_text("showcase =", showcase);
        let sql = format!("SELECT body FROM contest_work{} LIMIT 1", clause.sql());
        self.db.rows(sql, &clause).await?.first().map(|row| json(row, "body")).transpose()
    }

    /// Keeps what a judge gave a work; a second time takes the place of the first.
    pub async fn score_put(&self, permit: &Permit, contest: &str, score: &Score) -> Result<()> {
        permit.require(&[Action::ContestJudge])?;
        sqlx::query(
            "INSERT INTO contest_score (work, judge, contest, body) VALUES ($1, $2, $3, $4)
             ON CONFLICT (work, judge) DO UPDATE SET body = excluded.body",
        )
        .bind(score.work.as_str())
        .bind(score.judge.as_str())
        .bind(contest)
        .bind(to_json(score)?)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// All scores of a contest, by work.
    pub async fn score_list(&self, contest: &str) -> Result<HashMap<String, Vec<Score>>> {
        let mut clause = Clause::default();
        clause.and_text("contest =", contest);
        let sql =
            format!("SELECT work, body FROM contest_score{} ORDER BY work, judge", clause.sql());
        let mut found: HashMap<String, Vec<Score>> = HashMap::new();
        for row in self.db.rows(sql, &clause).await? {
            found.entry(text(&row, "work")?).or_default().push(json(&row, "body")?);
        }
        Ok(found)
    }
}

/// An account is in one team of a contest.
const IN_A_TEAM: (&str, &str) =
    ("您已在本次大赛的一个团队中", "you are in a team of this contest already");

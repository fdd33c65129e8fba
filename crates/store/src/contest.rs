//! Contests in the control store: what is set up, teams with their members, works, scores.

use std::collections::HashMap;

use model::Result;
use model::contest::{Contest, Score, Team, Work};
use policy::{Action, Permit};
use sqlx::{Any, Transaction};

use crate::Store;
use crate::clause::Clause;
use crate::db::{changed, fail, json, number, on_duplicate, page, signed, text, to_json};

/// Teams, works and scores of one contest at most: contests are of people.
const MOST: i64 = 5_000;

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
        .bind(signed(contest.edit))
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
        .bind(signed(contest.edit))
        .bind(to_json(contest)?)
        .bind(contest.id.as_str())
        .bind(signed(seen))
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
            clause.and_below(prefix);
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
        self.db.bodies(sql, &clause).await
    }

    /// Contests that an account judges, newest first.
    pub async fn contests_judged(&self, account: &str) -> Result<Vec<Contest>> {
        let mut clause = Clause::default();
        clause.and("state = 'public'");
        // Judges are kept as pairs in the JSON; the account's id stands between quotes.
        clause.and_like(&["body"], &format!("\"{account}\""));
        let sql = format!("SELECT body FROM contest{} ORDER BY id DESC LIMIT 100", clause.sql());
        let found: Vec<Contest> = self.db.bodies(sql, &clause).await?;
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
        .bind(signed(team.edit))
        .bind(to_json(team)?)
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        joins_team(&mut tx, team, &team.leader).await?;
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
        .bind(signed(team.edit))
        .bind(to_json(team)?)
        .bind(team.id.as_str())
        .bind(signed(seen))
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
            joins_team(&mut tx, team, account).await?;
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
        self.db.first(sql, &clause).await
    }

    /// The team whose invitation has this fingerprint.
    pub async fn team_invited(&self, contest: &str, invitation: &str) -> Result<Option<Team>> {
        let mut clause = Clause::default();
        clause.and_text("contest =", contest);
        clause.and_text("invitation =", invitation);
        let sql = format!("SELECT body FROM contest_team{}", clause.sql());
        self.db.first(sql, &clause).await
    }

    /// How many teams a contest has.
    pub async fn team_count(&self, contest: &str) -> Result<usize> {
        let mut clause = Clause::default();
        clause.and_text("contest =", contest);
        let sql = format!("SELECT COUNT(*) AS n FROM contest_team{}", clause.sql());
        let rows = self.db.rows(sql, &clause).await?;
        let n = rows.first().map(|row| number(row, "n")).transpose()?;
        Ok(usize::try_from(n.unwrap_or(0)).unwrap_or(0))
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
        .bind(signed(work.round as u64))
        .bind(work.showcase.as_str())
        .bind(signed(work.edit))
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
        .bind(signed(work.edit))
        .bind(to_json(work)?)
        .bind(work.id.as_str())
        .bind(signed(seen))
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        changed(done.rows_affected())
    }

    /// Takes a work away, unless somebody changed it since it was read or has scored it.
    pub async fn work_remove(&self, permit: &Permit, id: &str, seen: u64) -> Result<()> {
        permit.require(PEOPLE)?;
        let done = sqlx::query(
            "DELETE FROM contest_work WHERE id = $1 AND edit = $2 AND NOT EXISTS (SELECT 1 FROM contest_score WHERE work = $1)",
        )
        .bind(id)
        .bind(signed(seen))
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
        self.db.bodies(sql, &clause).await
    }

    /// The work that a showcase was made of.
    pub async fn work_of_showcase(&self, showcase: &str) -> Result<Option<Work>> {
        let mut clause = Clause::default();
        clause.and_text("showcase =", showcase);
        let sql = format!("SELECT body FROM contest_work{} LIMIT 1", clause.sql());
        self.db.first(sql, &clause).await
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

/// Enters a member: an account is in one team of a contest.
async fn joins_team(tx: &mut Transaction<'static, Any>, team: &Team, account: &str) -> Result<()> {
    sqlx::query("INSERT INTO contest_member (contest, account, team) VALUES ($1, $2, $3)")
        .bind(team.contest.as_str())
        .bind(account)
        .bind(team.id.as_str())
        .execute(&mut **tx)
        .await
        .map_err(|e| {
            on_duplicate(
                e,
                "您已在本次大赛的一个团队中",
                "you are in a team of this contest already",
            )
        })?;
    Ok(())
}

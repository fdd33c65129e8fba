//! Opening as a process in the control store: yearly plans, risk checks, notes of what was withdrawn, checks that are due again.

use std::collections::{HashMap, HashSet};

use model::Result;
use model::openplan::{Assessment, OpenPlan, OpenPlanState, Recheck, Withdrawal};
use policy::{Action, Permit};

use crate::Store;
use crate::clause::Clause;
use crate::db::{changed, fail, json, number, on_duplicate, page, signed, text, to_json};
use crate::entry::LIVE;

/// Who writes plans, checks and withdrawals.
const PLANNERS: &[Action] = &[Action::PlanKeep, Action::PlanReview, Action::SystemWork];

/// Which plans or checks a list wants, newest first. Empty fields do not filter.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenPlanFilter<'a> {
    pub year: Option<i32>,
    pub org: Option<&'a str>,
    /// Prefix of the region code: the region itself and those below.
    pub region: Option<&'a str>,
    pub state: Option<&'a str>,
    pub before: Option<&'a str>,
    pub limit: u32,
}

impl OpenPlanFilter<'_> {
    fn clause(&self) -> Clause {
        let mut clause = Clause::default();
        if let Some(year) = self.year {
            clause.and(&format!("plan_year = {year}"));
        }
        for (condition, value) in
            [("org =", self.org), ("state =", self.state), ("id <", self.before)]
        {
            if let Some(value) = value {
                clause.and_text(condition, value);
            }
        }
        if let Some(prefix) = self.region {
            clause.and_below(prefix);
        }
        clause
    }
}

impl Store {
    /// Keeps a new plan; a department has one a year.
    pub async fn open_plan_insert(&self, permit: &Permit, plan: &OpenPlan) -> Result<()> {
        permit.require(PLANNERS)?;
        sqlx::query(
            "INSERT INTO open_plan (id, plan_year, org, region, state, edit, body) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(plan.id.as_str())
        .bind(i64::from(plan.year))
        .bind(plan.org.as_str())
        .bind(plan.region.as_str())
        .bind(plan.state.as_str())
        .bind(signed(plan.edit))
        .bind(to_json(plan)?)
        .execute(self.db.pool())
        .await
        .map_err(|e| {
            on_duplicate(
                e,
                "本单位该年度的开放计划已经建立",
                "the organisation has an opening plan for this year already",
            )
        })?;
        Ok(())
    }

    /// Writes a changed plan, unless somebody changed it since it was read.
    pub async fn open_plan_update(
        &self,
        permit: &Permit,
        plan: &OpenPlan,
        seen: u64,
    ) -> Result<()> {
        permit.require(PLANNERS)?;
        let done = sqlx::query(
            "UPDATE open_plan SET state = $1, edit = $2, body = $3 WHERE id = $4 AND edit = $5",
        )
        .bind(plan.state.as_str())
        .bind(signed(plan.edit))
        .bind(to_json(plan)?)
        .bind(plan.id.as_str())
        .bind(signed(seen))
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        changed(done.rows_affected())
    }

    pub async fn open_plan_get(&self, id: &str) -> Result<Option<OpenPlan>> {
        self.db.body("open_plan", id).await
    }

    /// A page of plans, newest first.
    pub async fn open_plan_list(&self, filter: &OpenPlanFilter<'_>) -> Result<Vec<OpenPlan>> {
        let clause = filter.clause();
        let sql = format!(
            "SELECT body FROM open_plan{} ORDER BY id DESC LIMIT {}",
            clause.sql(),
            page(filter.limit)
        );
        self.db.bodies(sql, &clause).await
    }

    /// Years for which there are published plans, newest first.
    pub async fn open_plan_years(&self) -> Result<Vec<i64>> {
        let rows = sqlx::query(
            "SELECT DISTINCT plan_year FROM open_plan WHERE state = $1 ORDER BY plan_year DESC",
        )
        .bind(OpenPlanState::Agreed.as_str())
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?;
        rows.iter().map(|row| number(row, "plan_year")).collect()
    }

    /// Which of these codes are open now.
    pub async fn entry_open_among(&self, codes: &[String]) -> Result<HashSet<String>> {
        if codes.is_empty() {
            return Ok(HashSet::new());
        }
        let mut clause = Clause::default();
        clause.and(LIVE);
        clause.and("open_type <> 'none'");
        clause.and_in("code", codes);
        let sql = format!("SELECT code FROM entry{}", clause.sql());
        self.db.rows(sql, &clause).await?.iter().map(|row| text(row, "code")).collect()
    }

    /// Keeps a risk check as it was found.
    pub async fn assessment_insert(&self, permit: &Permit, of: &Assessment) -> Result<()> {
        permit.require(PLANNERS)?;
        sqlx::query(
            "INSERT INTO open_assessment (id, entry, org, region, state, edit, body) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(of.id.as_str())
        .bind(of.entry.as_str())
        .bind(of.org.as_str())
        .bind(of.region.as_str())
        .bind(of.state.as_str())
        .bind(signed(of.edit))
        .bind(to_json(of)?)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Writes a changed risk check, unless somebody changed it since it was read.
    pub async fn assessment_update(
        &self,
        permit: &Permit,
        of: &Assessment,
        seen: u64,
    ) -> Result<()> {
        permit.require(PLANNERS)?;
        let done = sqlx::query(
            "UPDATE open_assessment SET state = $1, edit = $2, body = $3 WHERE id = $4 AND edit = $5",
        )
        .bind(of.state.as_str())
        .bind(signed(of.edit))
        .bind(to_json(of)?)
        .bind(of.id.as_str())
        .bind(signed(seen))
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        changed(done.rows_affected())
    }

    pub async fn assessment_get(&self, id: &str) -> Result<Option<Assessment>> {
        self.db.body("open_assessment", id).await
    }

    /// A page of risk checks, newest first.
    pub async fn assessment_list(&self, filter: &OpenPlanFilter<'_>) -> Result<Vec<Assessment>> {
        let clause = OpenPlanFilter { year: None, ..*filter }.clause();
        let sql = format!(
            "SELECT body FROM open_assessment{} ORDER BY id DESC LIMIT {}",
            clause.sql(),
            page(filter.limit)
        );
        self.db.bodies(sql, &clause).await
    }

    /// The newest risk check of an entry, of any state or of one.
    pub async fn assessment_newest(
        &self,
        entry: &str,
        state: Option<&str>,
    ) -> Result<Option<Assessment>> {
        let mut clause = Clause::default();
        clause.and_text("entry =", entry);
        if let Some(state) = state {
            clause.and_text("state =", state);
        }
        let sql =
            format!("SELECT body FROM open_assessment{} ORDER BY id DESC LIMIT 1", clause.sql());
        self.db.first(sql, &clause).await
    }

    /// The newest risk check of each of these entries (by code in the check).
    pub async fn assessments_among(&self, codes: &[String]) -> Result<HashMap<String, Assessment>> {
        if codes.is_empty() {
            return Ok(HashMap::new());
        }
        let mut clause = Clause::default();
        clause.and_in("e.code", codes);
        let sql = format!(
            "SELECT a.body AS body FROM open_assessment a JOIN entry e ON e.id = a.entry{} ORDER BY a.id",
            clause.sql()
        );
        // In the order they were made: the newest stays.
        self.db
            .rows(sql, &clause)
            .await?
            .iter()
            .map(|row| json::<Assessment>(row, "body").map(|a| (a.code.clone(), a)))
            .collect()
    }

    /// When each entry's newest agreed check was made, by entry.
    pub async fn assessments_agreed(&self) -> Result<HashMap<String, String>> {
        sqlx::query(
            "SELECT entry, body FROM open_assessment
             WHERE id IN (SELECT MAX(id) FROM open_assessment WHERE state = 'agreed' GROUP BY entry)",
        )
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(|row| Ok((text(row, "entry")?, json::<Assessment>(row, "body")?.at)))
        .collect()
    }

    /// Keeps the note of a withdrawal; a newer one takes the place of an older.
    pub async fn withdrawal_put(&self, permit: &Permit, of: &Withdrawal) -> Result<()> {
        permit.require(&[
            Action::PlanKeep,
            Action::PlanReview,
            Action::EntryReview,
            Action::EntrySubmit,
            Action::SystemWork,
        ])?;
        sqlx::query(
            "INSERT INTO open_withdrawal (entry, code, org, region, since, body) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (entry) DO UPDATE SET since = excluded.since, body = excluded.body",
        )
        .bind(of.entry.as_str())
        .bind(of.code.as_str())
        .bind(of.org.as_str())
        .bind(of.region.as_str())
        .bind(of.since.as_str())
        .bind(to_json(of)?)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Takes a note away: the set is on the site again, or was not taken off.
    pub async fn withdrawal_remove(&self, permit: &Permit, entry: &str) -> Result<()> {
        permit.require(&[
            Action::PlanKeep,
            Action::EntryReview,
            Action::EntrySubmit,
            Action::SystemWork,
        ])?;
        sqlx::query("DELETE FROM open_withdrawal WHERE entry = $1")
            .bind(entry)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    pub async fn withdrawal_of(&self, entry: &str) -> Result<Option<Withdrawal>> {
        self.withdrawal_by("entry =", entry).await
    }

    pub async fn withdrawal_by_code(&self, code: &str) -> Result<Option<Withdrawal>> {
        self.withdrawal_by("code =", code).await
    }

    async fn withdrawal_by(&self, condition: &str, value: &str) -> Result<Option<Withdrawal>> {
        let mut clause = Clause::default();
        clause.and_text(condition, value);
        let sql = format!("SELECT body FROM open_withdrawal{}", clause.sql());
        self.db.first(sql, &clause).await
    }

    /// Which of these codes are of sets that were withdrawn and are not open.
    pub async fn withdrawn_among(&self, codes: &[String]) -> Result<HashSet<String>> {
        if codes.is_empty() {
            return Ok(HashSet::new());
        }
        let mut clause = Clause::default();
        clause.and("since <> ''");
        clause.and(&format!(
            "NOT EXISTS (SELECT 1 FROM entry e WHERE e.id = open_withdrawal.entry AND {LIVE} AND e.open_type <> 'none')"
        ));
        clause.and_in("code", codes);
        let sql = format!("SELECT code FROM open_withdrawal{}", clause.sql());
        self.db.rows(sql, &clause).await?.iter().map(|row| text(row, "code")).collect()
    }

    /// What was withdrawn, newest first, of a region and those below (prefix of its code) or of all.
    pub async fn withdrawals(&self, region: Option<&str>, limit: u32) -> Result<Vec<Withdrawal>> {
        let mut clause = Clause::default();
        clause.and("since <> ''");
        if let Some(prefix) = region {
            clause.and_below(prefix);
        }
        let sql = format!(
            "SELECT body FROM open_withdrawal{} ORDER BY since DESC LIMIT {}",
            clause.sql(),
            page(limit)
        );
        self.db.bodies(sql, &clause).await
    }

    /// Notes that a check is due again; `false` when that was noted already.
    pub async fn recheck_put(&self, permit: &Permit, of: &Recheck) -> Result<bool> {
        permit.require(&[Action::SystemWork])?;
        let done = sqlx::query(
            "INSERT INTO open_recheck (entry, org, region, opened_at, body) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (entry) DO NOTHING",
        )
        .bind(of.entry.as_str())
        .bind(of.org.as_str())
        .bind(of.region.as_str())
        .bind(of.opened_at.as_str())
        .bind(to_json(of)?)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(done.rows_affected() == 1)
    }

    /// Entries whose check was noted to be due.
    pub async fn rechecks_noted(&self) -> Result<HashSet<String>> {
        let rows = sqlx::query("SELECT entry FROM open_recheck")
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?;
        rows.iter().map(|row| text(row, "entry")).collect()
    }

    /// Strikes what is not due any more; answers whether it was there.
    pub async fn recheck_remove(&self, permit: &Permit, entry: &str) -> Result<bool> {
        permit.require(PLANNERS)?;
        let done = sqlx::query("DELETE FROM open_recheck WHERE entry = $1")
            .bind(entry)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(done.rows_affected() == 1)
    }

    /// Checks that are due again, of an organisation or of a region and those below.
    pub async fn recheck_list(
        &self,
        org: Option<&str>,
        region: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Recheck>> {
        let mut clause = Clause::default();
        if let Some(org) = org {
            clause.and_text("org =", org);
        }
        if let Some(prefix) = region {
            clause.and_below(prefix);
        }
        let sql = format!(
            "SELECT body FROM open_recheck{} ORDER BY opened_at, entry LIMIT {}",
            clause.sql(),
            page(limit)
        );
        self.db.bodies(sql, &clause).await
    }
}

//! Recurring jobs: the last state of each, runs that did something; collection runs and ends of grants by the day, for
//! the calendar.

use model::dispatch::{Job, JobRun, JobState};
use model::{Error, Result};
use policy::{Action, Permit};
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, maybe, number, page, text};
use crate::dispatch::OrgScope;

const WRITERS: &[Action] = &[Action::SystemWork];

/// How many of something in one hour (`2026-03-02T01`, universal time) in a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HourCount {
    pub hour: String,
    pub state: String,
    pub count: u64,
}

impl Store {
    /// Notes that a job has started.
    pub async fn job_begin(&self, permit: &Permit, job: Job, at: &str, next: &str) -> Result<()> {
        permit.require(WRITERS)?;
        sqlx::query(
            "INSERT INTO job (word, started_at, ended_at, outcome, done, note_zh, note_en, next_at, failures)
             VALUES ($1, $2, NULL, '', 0, '', '', $3, 0)
             ON CONFLICT (word) DO UPDATE SET started_at = excluded.started_at, ended_at = NULL, next_at = excluded.next_at",
        )
        .bind(job.as_str())
        .bind(at)
        .bind(next)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Notes how a job ended, and keeps the run when `keep` says so.
    pub async fn job_end(
        &self,
        permit: &Permit,
        run: &JobRun,
        next: &str,
        keep: bool,
    ) -> Result<()> {
        permit.require(WRITERS)?;
        let mut tx = self.db.begin().await?;
        sqlx::query(
            "UPDATE job SET ended_at = $1, outcome = $2, done = $3, note_zh = $4, note_en = $5, next_at = $6,
                 failures = CASE WHEN $2 = 'ok' THEN 0 ELSE failures + 1 END WHERE word = $7",
        )
        .bind(run.ended_at.as_str())
        .bind(run.outcome.as_str())
        .bind(run.done)
        .bind(run.note_zh.as_str())
        .bind(run.note_en.as_str())
        .bind(next)
        .bind(run.job.as_str())
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        if keep {
            sqlx::query(
                "INSERT INTO job_run (id, word, started_at, ended_at, outcome, done, note_zh, note_en, by_name)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            )
            .bind(run.id.as_str())
            .bind(run.job.as_str())
            .bind(run.started_at.as_str())
            .bind(run.ended_at.as_str())
            .bind(run.outcome.as_str())
            .bind(run.done)
            .bind(run.note_zh.as_str())
            .bind(run.note_en.as_str())
            .bind(run.by_name.as_str())
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        }
        tx.commit().await.map_err(fail)
    }

    /// The last state of every job that has ever started.
    pub async fn jobs(&self) -> Result<Vec<JobState>> {
        let rows =
            sqlx::query("SELECT * FROM job").fetch_all(self.db.pool()).await.map_err(fail)?;
        // A job of another version of the program is passed over.
        rows.iter()
            .filter_map(|row| job_of(row).transpose())
            .map(|job| {
                let (job, row) = job?;
                Ok(JobState {
                    job,
                    started_at: text(row, "started_at")?,
                    ended_at: maybe(row, "ended_at")?,
                    outcome: text(row, "outcome")?,
                    done: number(row, "done")?,
                    note_zh: text(row, "note_zh")?,
                    note_en: text(row, "note_en")?,
                    next_at: text(row, "next_at")?,
                    failures: number(row, "failures")?,
                })
            })
            .collect()
    }

    /// Kept runs of a job, newest first.
    pub async fn job_runs(&self, job: Job, after: Option<&str>, limit: u32) -> Result<Vec<JobRun>> {
        let mut c = Clause::default();
        c.and_text("word =", job.as_str());
        if let Some(after) = after {
            c.and_text("id <", after);
        }
        let sql =
            format!("SELECT * FROM job_run{} ORDER BY id DESC LIMIT {}", c.sql(), page(limit));
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in c.values() {
            query = query.bind(value.as_str());
        }
        query
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| {
                Ok(JobRun {
                    id: text(row, "id")?,
                    job,
                    started_at: text(row, "started_at")?,
                    ended_at: text(row, "ended_at")?,
                    outcome: text(row, "outcome")?,
                    done: number(row, "done")?,
                    note_zh: text(row, "note_zh")?,
                    note_en: text(row, "note_en")?,
                    by_name: text(row, "by_name")?,
                })
            })
            .collect()
    }

    /// Forgets kept runs that are older than a stamp; answers how many.
    pub async fn job_runs_forget(&self, permit: &Permit, before: &str) -> Result<u64> {
        permit.require(WRITERS)?;
        let done = sqlx::query("DELETE FROM job_run WHERE started_at < $1")
            .bind(before)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(done.rows_affected())
    }

    /// Collection runs that started from one stamp to before another, by hour and state.
    pub async fn runs_by_hour(
        &self,
        scope: OrgScope<'_>,
        from: &str,
        to: &str,
    ) -> Result<Vec<HourCount>> {
        let mine = match scope {
            OrgScope::All => "",
            OrgScope::Of(_) => " AND org = $3",
        };
        let sql = format!(
            "SELECT SUBSTR(started_at, 1, 13) AS hour, state, COUNT(*) AS n FROM run
             WHERE started_at >= $1 AND started_at < $2{mine} GROUP BY SUBSTR(started_at, 1, 13), state ORDER BY 1, 2"
        );
        self.hours(sql, from, to, scope).await
    }

    /// Grants that end from one stamp to before another, by hour.
    pub async fn ends_by_hour(
        &self,
        scope: OrgScope<'_>,
        from: &str,
        to: &str,
    ) -> Result<Vec<HourCount>> {
        let mine = match scope {
            OrgScope::All => "",
            OrgScope::Of(_) => " AND org = $3",
        };
        let sql = format!(
            "SELECT SUBSTR(expires_at, 1, 13) AS hour, state, COUNT(*) AS n FROM request
             WHERE state = 'approved' AND expires_at >= $1 AND expires_at < $2{mine}
             GROUP BY SUBSTR(expires_at, 1, 13), state ORDER BY 1, 2"
        );
        self.hours(sql, from, to, scope).await
    }

    async fn hours(
        &self,
        sql: String,
        from: &str,
        to: &str,
        scope: OrgScope<'_>,
    ) -> Result<Vec<HourCount>> {
        let mut query = sqlx::query(AssertSqlSafe(sql)).bind(from).bind(to);
        if let OrgScope::Of(org) = scope {
            query = query.bind(org);
        }
        query
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| {
                Ok(HourCount {
                    hour: text(row, "hour")?,
                    state: text(row, "state")?,
                    count: u64::try_from(number(row, "n")?).unwrap_or(0),
                })
            })
            .collect()
    }

    /// Running approvals by the day they are due, from one day to another.
    pub async fn dues_by_day(&self, from: &str, to: &str) -> Result<Vec<(String, u64)>> {
        sqlx::query(
            "SELECT due, COUNT(*) AS n FROM approval WHERE phase = 'running' AND due >= $1 AND due <= $2
             GROUP BY due ORDER BY due",
        )
        .bind(from)
        .bind(to)
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(|row| Ok((text(row, "due")?, u64::try_from(number(row, "n")?).unwrap_or(0))))
        .collect()
    }
}

fn job_of(row: &AnyRow) -> Result<Option<(Job, &AnyRow)>> {
    Ok(Job::parse(&text(row, "word")?).map(|job| (job, row)))
}

/// A word that the code does not know.
pub(crate) fn unknown(column: &str, word: &str) -> Error {
    Error::internal(format!("column `{column}` holds `{word}`"))
}

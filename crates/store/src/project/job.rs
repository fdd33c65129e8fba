//! Jobs of projects, their runs and results. A key is a job's once; a running run is one process's, by a lease, and of a job one
//! run runs at a time.

use model::Result;
use model::project::job::{ProjectJob, ProjectRun, RunState};
use model::project::result::ProjectResult;
use policy::{Action, Permit};
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use super::WORKERS;
use crate::Store;
use crate::db::{fail, json, number, on_duplicate, page, signed, text, to_json};
use crate::lease::{Lease, Leased};

const LEASED: Leased = ("project_run", " AND state = 'running'");
const RUN: &str = "SELECT body, cancel, owner, lease_until FROM project_run";

/// A run as kept.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRecord {
    pub run: ProjectRun,
    /// Somebody asked for its end.
    pub cancel: bool,
    pub lease: Lease,
}

impl Store {
    /// Enters a job or writes it anew; `due` is its next turn, empty when there is none.
    pub async fn project_job_put(
        &self,
        permit: &Permit,
        job: &ProjectJob,
        due: &str,
    ) -> Result<()> {
        permit.require(WORKERS)?;
        sqlx::query(
            "INSERT INTO project_job (id, project, name, paused, due_at, body) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (id) DO UPDATE SET paused = excluded.paused, due_at = excluded.due_at, body = excluded.body",
        )
        .bind(job.id.as_str())
        .bind(job.project.as_str())
        .bind(job.name.as_str())
        .bind(i64::from(job.paused))
        .bind(due)
        .bind(to_json(job)?)
        .execute(self.db.pool())
        .await
        .map_err(|e| {
            on_duplicate(
                e,
                &format!("项目中已有作业 `{}`", job.name),
                &format!("the project has a job `{}` already", job.name),
            )
        })?;
        Ok(())
    }

    pub async fn project_job_get(&self, id: &str) -> Result<Option<ProjectJob>> {
        self.db.body("project_job", id).await
    }

    /// Jobs of a project by name, each with its next turn.
    pub async fn project_jobs(&self, project: &str) -> Result<Vec<(ProjectJob, String)>> {
        sqlx::query("SELECT body, due_at FROM project_job WHERE project = $1 ORDER BY name")
            .bind(project)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| Ok((json(row, "body")?, text(row, "due_at")?)))
            .collect()
    }

    /// Takes a job away with its runs; its result stays until it is taken away, too.
    pub async fn project_job_remove(&self, permit: &Permit, id: &str) -> Result<()> {
        permit.require(WORKERS)?;
        let mut tx = self.db.begin().await?;
        for sql in
            ["DELETE FROM project_run WHERE job = $1", "DELETE FROM project_job WHERE id = $1"]
        {
            sqlx::query(sql).bind(id).execute(&mut *tx).await.map_err(fail)?;
        }
        tx.commit().await.map_err(fail)
    }

    /// Jobs whose turn has come, with it.
    pub async fn project_jobs_due(
        &self,
        now: &str,
        limit: u32,
    ) -> Result<Vec<(ProjectJob, String)>> {
        sqlx::query(
            "SELECT body, due_at FROM project_job WHERE due_at <> '' AND due_at <= $1 AND paused = 0 ORDER BY due_at LIMIT $2",
        )
        .bind(now)
        .bind(page(limit))
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(|row| Ok((json(row, "body")?, text(row, "due_at")?)))
        .collect()
    }

    /// Begins a scheduled run and notes the turn after it, if the job still waits for `due`: of several processes one succeeds.
    pub async fn project_run_schedule(
        &self,
        permit: &Permit,
        run: &ProjectRun,
        due: &str,
        next: &str,
    ) -> Result<bool> {
        permit.require(WORKERS)?;
        let mut tx = self.db.begin().await?;
        let ours = sqlx::query("UPDATE project_job SET due_at = $1 WHERE id = $2 AND due_at = $3")
            .bind(next)
            .bind(run.job.as_str())
            .bind(due)
            .execute(&mut *tx)
            .await
            .map_err(fail)?
            .rows_affected()
            == 1;
        let begun = ours && insert(&mut tx, run).await?;
        tx.commit().await.map_err(fail)?;
        Ok(begun)
    }

    /// Enters a run; `false` when its key is there already.
    pub async fn project_run_insert(&self, permit: &Permit, run: &ProjectRun) -> Result<bool> {
        permit.require(WORKERS)?;
        let mut tx = self.db.begin().await?;
        let new = insert(&mut tx, run).await?;
        tx.commit().await.map_err(fail)?;
        Ok(new)
    }

    pub async fn project_run_get(&self, id: &str) -> Result<Option<RunRecord>> {
        sqlx::query(AssertSqlSafe(format!("{RUN} WHERE id = $1")))
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| run_of(&row))
            .transpose()
    }

    /// Runs of a job (all of a project without one), newest first.
    pub async fn project_runs(
        &self,
        project: &str,
        job: Option<&str>,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<RunRecord>> {
        let sql = format!(
            "{RUN} WHERE project = $1 AND ($2 = '' OR job = $2) AND ($3 = '' OR id < $3) ORDER BY id DESC LIMIT $4"
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(project)
            .bind(job.unwrap_or_default())
            .bind(before.unwrap_or_default())
            .bind(page(limit))
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(run_of)
            .collect()
    }

    /// The newest run of a job in a state.
    pub async fn project_run_newest(
        &self,
        job: &str,
        state: Option<RunState>,
    ) -> Result<Option<ProjectRun>> {
        let sql =
            format!("{RUN} WHERE job = $1 AND ($2 = '' OR state = $2) ORDER BY id DESC LIMIT 1");
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(job)
            .bind(state.map_or("", RunState::as_str))
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?;
        row.map(|row| Ok(run_of(&row)?.run)).transpose()
    }

    /// Runs that may be taken up now, the longest waiting first.
    pub async fn project_runs_ready(&self, now: &str, limit: u32) -> Result<Vec<RunRecord>> {
        let sql = format!(
            "{RUN} WHERE state IN ('waiting', 'retrying') AND ready_at <= $1 ORDER BY ready_at, id LIMIT $2"
        );
        self.runs(sql, Some(now), limit).await
    }

    /// Running runs, for whoever looks for those whose owner is gone.
    pub async fn project_runs_running(&self, limit: u32) -> Result<Vec<RunRecord>> {
        self.runs(
            format!("{RUN} WHERE state = 'running' AND $1 = '' ORDER BY id LIMIT $2"),
            None,
            limit,
        )
        .await
    }

    async fn runs(&self, sql: String, now: Option<&str>, limit: u32) -> Result<Vec<RunRecord>> {
        sqlx::query(AssertSqlSafe(sql))
            .bind(now.unwrap_or_default())
            .bind(page(limit))
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(run_of)
            .collect()
    }

    /// Takes a waiting run up, unless one of its job is running.
    pub async fn project_run_claim(
        &self,
        permit: &Permit,
        run: &ProjectRun,
        lease: &Lease,
    ) -> Result<bool> {
        permit.require(WORKERS)?;
        let mut tx = self.db.begin().await?;
        // The job's row is locked before anything is counted.
        sqlx::query("UPDATE project_job SET name = name WHERE id = $1")
            .bind(run.job.as_str())
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        let busy: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM project_run WHERE job = $1 AND state = 'running'",
        )
        .bind(run.job.as_str())
        .fetch_one(&mut *tx)
        .await
        .map_err(fail)?;
        if busy > 0 {
            tx.commit().await.map_err(fail)?;
            return Ok(false);
        }
        let done = sqlx::query(
            "UPDATE project_run SET state = 'running', owner = $1, lease_until = $2, body = $3
             WHERE id = $4 AND state IN ('waiting', 'retrying') AND cancel = 0",
        )
        .bind(lease.owner.as_str())
        .bind(lease.until)
        .bind(to_json(run)?)
        .bind(run.id.as_str())
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(done.rows_affected() == 1)
    }

    /// Takes a running run over whose owner is gone, if its lease is still the one that was seen.
    pub async fn project_run_take_over(
        &self,
        permit: &Permit,
        id: &str,
        seen: &Lease,
        lease: &Lease,
    ) -> Result<bool> {
        permit.require(WORKERS)?;
        self.lease_take(LEASED, id, seen, lease).await
    }

    /// Renews a lease; `false` when the run is not the owner's any more.
    pub async fn project_run_beat(&self, permit: &Permit, id: &str, lease: &Lease) -> Result<bool> {
        permit.require(WORKERS)?;
        self.lease_beat(LEASED, id, lease).await
    }

    /// Writes a running run, by its owner only.
    pub async fn project_run_update(
        &self,
        permit: &Permit,
        owner: &str,
        run: &ProjectRun,
    ) -> Result<()> {
        permit.require(WORKERS)?;
        let now = (run.state.as_str(), run.ready_at.as_str());
        match self.lease_write(LEASED, owner, &run.id, now, &to_json(run)?).await? {
            true => Ok(()),
            false => Err(crate::lease::lost("次运行", "run")),
        }
    }

    /// Writes a run that waits; `false` when it does not any more.
    pub async fn project_run_set(&self, permit: &Permit, run: &ProjectRun) -> Result<bool> {
        permit.require(WORKERS)?;
        let done = sqlx::query(
            "UPDATE project_run SET state = $1, ready_at = $2, body = $3 WHERE id = $4 AND state IN ('waiting', 'retrying')",
        )
        .bind(run.state.as_str())
        .bind(run.ready_at.as_str())
        .bind(to_json(run)?)
        .bind(run.id.as_str())
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(done.rows_affected() == 1)
    }

    /// Asks for the end of a running run; `false` when it does not run.
    pub async fn project_run_cancel(&self, permit: &Permit, id: &str) -> Result<bool> {
        permit.require(WORKERS)?;
        let done =
            sqlx::query("UPDATE project_run SET cancel = 1 WHERE id = $1 AND state = 'running'")
                .bind(id)
                .execute(self.db.pool())
                .await
                .map_err(fail)?;
        Ok(done.rows_affected() == 1)
    }

    /// Forgets runs that ended before a time; answers how many.
    pub async fn project_runs_forget(&self, permit: &Permit, before: &str) -> Result<u64> {
        permit.require(&[Action::SystemWork])?;
        let done = sqlx::query(
            "DELETE FROM project_run WHERE state IN ('succeeded', 'failed', 'cancelled') AND ready_at < $1",
        )
        .bind(before)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(done.rows_affected())
    }

    /// Keeps what a job made last.
    pub async fn project_result_put(&self, permit: &Permit, result: &ProjectResult) -> Result<()> {
        permit.require(WORKERS)?;
        sqlx::query(
            "INSERT INTO project_result (project, name, byte_count, body) VALUES ($1, $2, $3, $4)
             ON CONFLICT (project, name) DO UPDATE SET byte_count = excluded.byte_count, body = excluded.body",
        )
        .bind(result.project.as_str())
        .bind(result.name.as_str())
        .bind(signed(result.bytes))
        .bind(to_json(result)?)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Results of a project by name.
    pub async fn project_results(&self, project: &str) -> Result<Vec<ProjectResult>> {
        sqlx::query("SELECT body FROM project_result WHERE project = $1 ORDER BY name")
            .bind(project)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| json(row, "body"))
            .collect()
    }

    /// Bytes of all results of a project.
    pub async fn project_stored(&self, project: &str) -> Result<u64> {
        let sum: i64 = sqlx::query_scalar(
            "SELECT CAST(COALESCE(SUM(byte_count), 0) AS BIGINT) FROM project_result WHERE project = $1",
        )
        .bind(project)
        .fetch_one(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(u64::try_from(sum).unwrap_or(0))
    }
}

async fn insert(tx: &mut Transaction<'static, Any>, run: &ProjectRun) -> Result<bool> {
    let done = sqlx::query(
        "INSERT INTO project_run (id, project, job, run_key, state, ready_at, body) VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (job, run_key) DO NOTHING",
    )
    .bind(run.id.as_str())
    .bind(run.project.as_str())
    .bind(run.job.as_str())
    .bind(run.key.as_str())
    .bind(run.state.as_str())
    .bind(run.ready_at.as_str())
    .bind(to_json(run)?)
    .execute(&mut **tx)
    .await
    .map_err(fail)?;
    Ok(done.rows_affected() == 1)
}

fn run_of(row: &AnyRow) -> Result<RunRecord> {
    Ok(RunRecord {
        run: json(row, "body")?,
        cancel: number(row, "cancel")? != 0,
        lease: Lease::of(row)?,
    })
}

//! Turns of pipelines. A key is a pipeline's once; a running turn is one process's, by a lease; of one pipeline one turn runs
//! at a time, and of one source no more than are allowed.

use model::Result;
use model::pipeline::{Turn, TurnKind, TurnState};
use policy::Permit;
use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use super::WORKERS;
use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, json, number, page, text, to_json};
use crate::lease::{Lease, Leased};

/// Turns are one process's while they run.
const LEASED: Leased = ("pipeline_turn", " AND state = 'running'");
const TURN: &str = "SELECT body, owner, lease_until FROM pipeline_turn";

/// A turn as kept.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnRecord {
    pub turn: Turn,
    pub lease: Lease,
}

impl Store {
    /// Begins a scheduled turn and notes the one after it, if the pipeline still waits for `due`: of several processes one
    /// succeeds. A turn whose key is there already is not begun twice.
    pub async fn turn_schedule(
        &self,
        permit: &Permit,
        turn: &Turn,
        source: &str,
        due: &str,
        next: &str,
    ) -> Result<bool> {
        permit.require(WORKERS)?;
        let mut tx = self.db.begin().await?;
        let ours = sqlx::query("UPDATE pipeline SET due_at = $1 WHERE id = $2 AND due_at = $3")
            .bind(next)
            .bind(turn.pipeline.as_str())
            .bind(due)
            .execute(&mut *tx)
            .await
            .map_err(fail)?
            .rows_affected()
            == 1;
        let begun = ours && insert(&mut tx, turn, source).await?;
        tx.commit().await.map_err(fail)?;
        Ok(begun)
    }

    /// Enters turns, all or nothing; answers how many were new.
    pub async fn turns_insert(&self, permit: &Permit, turns: &[Turn], source: &str) -> Result<u64> {
        permit.require(WORKERS)?;
        let mut tx = self.db.begin().await?;
        let mut new = 0;
        for turn in turns {
            new += u64::from(insert(&mut tx, turn, source).await?);
        }
        tx.commit().await.map_err(fail)?;
        Ok(new)
    }

    /// Turns that may be taken up now: those of people and of the calendar before backfills, the longest waiting first.
    pub async fn turns_ready(&self, now: &str, limit: u32) -> Result<Vec<TurnRecord>> {
        let mut all = Vec::new();
        for kind in ["kind <> 'backfill'", "kind = 'backfill'"] {
            let sql = format!(
                "{TURN} WHERE state IN ('waiting', 'retrying') AND ready_at <= $1 AND {kind} ORDER BY ready_at, id LIMIT {}",
                page(limit)
            );
            let rows = sqlx::query(AssertSqlSafe(sql))
                .bind(now)
                .fetch_all(self.db.pool())
                .await
                .map_err(fail)?;
            for row in &rows {
                all.push(turn_of(row)?);
            }
        }
        Ok(all)
    }

    /// Running turns, for whoever looks for those whose owner is gone.
    pub async fn turns_running(&self, limit: u32) -> Result<Vec<TurnRecord>> {
        self.turns_that("state = 'running'", limit).await
    }

    /// Turns that went well whose end those behind them have not been told: their owner is still written.
    pub async fn turns_untold(&self, limit: u32) -> Result<Vec<TurnRecord>> {
        self.turns_that("owner <> '' AND state IN ('succeeded', 'empty')", limit).await
    }

    async fn turns_that(&self, hold: &'static str, limit: u32) -> Result<Vec<TurnRecord>> {
        let sql = format!("{TURN} WHERE {hold} ORDER BY id LIMIT {}", page(limit));
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(self.db.pool()).await.map_err(fail)?;
        rows.iter().map(turn_of).collect()
    }

    /// Those behind a turn have been told of its end.
    pub async fn turn_told(&self, permit: &Permit, id: &str) -> Result<()> {
        permit.require(WORKERS)?;
        let sql = "UPDATE pipeline_turn SET owner = '' WHERE id = $1 AND state <> 'running'";
        let done = sqlx::query(sql).bind(id).execute(self.db.pool()).await;
        done.map(drop).map_err(fail)
    }

    /// Takes a waiting turn up, unless its pipeline is running or `most` others read from its source.
    pub async fn turn_claim(
        &self,
        permit: &Permit,
        turn: &Turn,
        source: &str,
        most: u32,
        lease: &Lease,
    ) -> Result<bool> {
        permit.require(WORKERS)?;
        let mut tx = self.db.begin().await?;
        // Both rows are locked before anything is counted, always in this order.
        let there = sqlx::query("UPDATE pipeline SET name = name WHERE id = $1")
            .bind(turn.pipeline.as_str())
            .execute(&mut *tx)
            .await
            .map_err(fail)?
            .rows_affected();
        sqlx::query("INSERT INTO pipeline_source (source) VALUES ($1) ON CONFLICT DO NOTHING")
            .bind(source)
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        sqlx::query("UPDATE pipeline_source SET source = source WHERE source = $1")
            .bind(source)
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        let busy = |column: &'static str, value: String| {
            let sql = format!(
                "SELECT COUNT(*) FROM pipeline_turn WHERE {column} = $1 AND state = 'running'"
            );
            (AssertSqlSafe(sql), value)
        };
        let (sql, value) = busy("pipeline", turn.pipeline.clone());
        let own: i64 =
            sqlx::query_scalar(sql).bind(value).fetch_one(&mut *tx).await.map_err(fail)?;
        let (sql, value) = busy("source", source.to_owned());
        let others: i64 =
            sqlx::query_scalar(sql).bind(value).fetch_one(&mut *tx).await.map_err(fail)?;
        if there == 0 || own > 0 || others >= i64::from(most) {
            tx.commit().await.map_err(fail)?;
            return Ok(false);
        }
        let done = sqlx::query(
            "UPDATE pipeline_turn SET state = 'running', source = $1, owner = $2, lease_until = $3, body = $4
             WHERE id = $5 AND state IN ('waiting', 'retrying')",
        )
        .bind(source)
        .bind(lease.owner.as_str())
        .bind(lease.until)
        .bind(to_json(&Turn { state: TurnState::Running, ..turn.clone() })?)
        .bind(turn.id.as_str())
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        tx.commit().await.map_err(fail)?;
        Ok(done.rows_affected() == 1)
    }

    /// Takes a running turn over whose owner is gone, if its lease is still the one that was seen.
    pub async fn turn_take_over(
        &self,
        permit: &Permit,
        id: &str,
        seen: &Lease,
        lease: &Lease,
    ) -> Result<bool> {
        permit.require(WORKERS)?;
        self.lease_take(LEASED, id, seen, lease).await
    }

    /// Renews a lease; `false` when the turn is not the owner's any more.
    pub async fn turn_beat(&self, permit: &Permit, id: &str, lease: &Lease) -> Result<bool> {
        permit.require(WORKERS)?;
        self.lease_beat(LEASED, id, lease).await
    }

    /// Writes a running turn, by its owner only.
    pub async fn turn_update(&self, permit: &Permit, owner: &str, turn: &Turn) -> Result<()> {
        permit.require(WORKERS)?;
        let now = (turn.state.as_str(), turn.ready_at.as_str());
        match self.lease_write(LEASED, owner, &turn.id, now, &to_json(turn)?).await? {
            true => Ok(()),
            false => Err(crate::lease::lost("次运行", "turn")),
        }
    }

    /// Writes a turn that is in the state `seen` and not running; `false` when it is not so any more.
    pub async fn turn_set(&self, permit: &Permit, seen: TurnState, turn: &Turn) -> Result<bool> {
        permit.require(WORKERS)?;
        let done = sqlx::query(
            "UPDATE pipeline_turn SET state = $1, ready_at = $2, body = $3 WHERE id = $4 AND state = $5 AND state <> 'running'",
        )
        .bind(turn.state.as_str())
        .bind(turn.ready_at.as_str())
        .bind(to_json(turn)?)
        .bind(turn.id.as_str())
        .bind(seen.as_str())
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(done.rows_affected() == 1)
    }

    /// Takes turns away that ended before; answers how many.
    pub async fn turns_forget(&self, permit: &Permit, before: &str) -> Result<u64> {
        permit.require(WORKERS)?;
        let done = sqlx::query(
            "DELETE FROM pipeline_turn WHERE state IN ('succeeded', 'empty', 'failed', 'cancelled') AND ready_at < $1",
        )
        .bind(before)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(done.rows_affected())
    }

    /// One turn.
    pub async fn turn_get(&self, id: &str) -> Result<Option<TurnRecord>> {
        sqlx::query(AssertSqlSafe(format!("{TURN} WHERE id = $1")))
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .as_ref()
            .map(turn_of)
            .transpose()
    }

    /// Turns of a pipeline, newest first; of one backfill or in one state when given.
    pub async fn turn_list(
        &self,
        pipeline: &str,
        batch: Option<&str>,
        state: Option<TurnState>,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Turn>> {
        let mut clause = Clause::default();
        clause.and_text("pipeline =", pipeline);
        if let Some(batch) = batch {
            clause.and_text("batch =", batch);
        }
        if let Some(state) = state {
            clause.and_text("state =", state.as_str());
        }
        if let Some(before) = before {
            clause.and_text("id <", before);
        }
        let sql = format!("{TURN}{} ORDER BY id DESC LIMIT {}", clause.sql(), page(limit));
        let rows = self.db.rows(sql, &clause).await?;
        rows.iter().map(|row| Ok(turn_of(row)?.turn)).collect()
    }

    /// The newest turn of a pipeline (backfills left out) that stands for a time from `from` on and before `to`.
    pub async fn turn_newest(&self, pipeline: &str, from: &str, to: &str) -> Result<Option<Turn>> {
        let sql = format!(
            "{TURN} WHERE pipeline = $1 AND at >= $2 AND at < $3 AND kind <> $4 AND state <> 'cancelled' ORDER BY at DESC, id DESC LIMIT 1"
        );
        sqlx::query(AssertSqlSafe(sql))
            .bind(pipeline)
            .bind(from)
            .bind(to)
            .bind(TurnKind::Backfill.as_str())
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| Ok(turn_of(&row)?.turn))
            .transpose()
    }

    /// The first slice of a backfill that waits.
    pub async fn turn_next(&self, batch: &str) -> Result<Option<Turn>> {
        let sql = format!("{TURN} WHERE batch = $1 AND state = 'waiting' ORDER BY id LIMIT 1");
        sqlx::query(AssertSqlSafe(sql))
            .bind(batch)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| Ok(turn_of(&row)?.turn))
            .transpose()
    }

    /// How many slices of a backfill are in each state.
    pub async fn turn_progress(&self, batch: &str) -> Result<Vec<(TurnState, u64)>> {
        sqlx::query(
            "SELECT state, COUNT(*) AS n FROM pipeline_turn WHERE batch = $1 GROUP BY state ORDER BY state",
        )
        .bind(batch)
        .fetch_all(self.db.pool())
        .await
        .map_err(fail)?
        .iter()
        .map(|row| {
            let state = TurnState::parse(&text(row, "state")?).unwrap_or(TurnState::Failed);
            Ok((state, u64::try_from(number(row, "n")?).unwrap_or(0)))
        })
        .collect()
    }
}

async fn insert(tx: &mut Transaction<'static, Any>, turn: &Turn, source: &str) -> Result<bool> {
    let done = sqlx::query(
        "INSERT INTO pipeline_turn (id, pipeline, turn_key, kind, batch, state, at, ready_at, source, body)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (pipeline, turn_key) DO NOTHING",
    )
    .bind(turn.id.as_str())
    .bind(turn.pipeline.as_str())
    .bind(turn.key.as_str())
    .bind(turn.kind.as_str())
    .bind(turn.group.as_str())
    .bind(turn.state.as_str())
    .bind(turn.at.as_str())
    .bind(turn.ready_at.as_str())
    .bind(source)
    .bind(to_json(turn)?)
    .execute(&mut **tx)
    .await
    .map_err(fail)?;
    Ok(done.rows_affected() == 1)
}

fn turn_of(row: &AnyRow) -> Result<TurnRecord> {
    Ok(TurnRecord { turn: json(row, "body")?, lease: Lease::of(row)? })
}

//! Reconciliations and the rows they found to differ.

use model::rail::RailTable;
use model::reconcile::{Difference, ReconcileState, Reconciliation};
use model::{Error, Result};
use policy::{Action, Permit};
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, json, number, page, to_json};

const WORKERS: &[Action] = &[Action::DataCollect, Action::SystemWork];

/// Which reconciliations a list wants, newest first.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReconcileFilter<'a> {
    pub entry: Option<&'a str>,
    /// Id of the rail, pipeline, exchange … (the column is called after the first kind there was).
    pub feed: Option<&'a str>,
    pub state: Option<ReconcileState>,
    /// Keyset position: those older than this id.
    pub before: Option<&'a str>,
    pub limit: u32,
}

impl Store {
    /// Keeps a new reconciliation.
    pub async fn reconcile_insert(&self, permit: &Permit, run: &Reconciliation) -> Result<()> {
        permit.require(WORKERS)?;
        sqlx::query(
            "INSERT INTO reconciliation (id, entry, org, rail, state, body) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(run.id.as_str())
        .bind(run.entry.as_str())
        .bind(run.org.as_str())
        .bind(run.feed.as_str())
        .bind(run.state.as_str())
        .bind(to_json(run)?)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Writes how a reconciliation stands, if it still stands as `seen`; `false` when somebody else has changed it.
    pub async fn reconcile_update(
        &self,
        permit: &Permit,
        run: &Reconciliation,
        seen: ReconcileState,
    ) -> Result<bool> {
        permit.require(WORKERS)?;
        let done = sqlx::query(
            "UPDATE reconciliation SET state = $1, body = $2 WHERE id = $3 AND state = $4",
        )
        .bind(run.state.as_str())
        .bind(to_json(run)?)
        .bind(run.id.as_str())
        .bind(seen.as_str())
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(done.rows_affected() == 1)
    }

    /// One reconciliation.
    pub async fn reconcile_get(&self, id: &str) -> Result<Option<Reconciliation>> {
        self.db.body("reconciliation", id).await
    }

    /// Reconciliations, newest first.
    pub async fn reconcile_list(
        &self,
        filter: &ReconcileFilter<'_>,
    ) -> Result<Vec<Reconciliation>> {
        let mut clause = Clause::default();
        for (condition, value) in [
            ("entry =", filter.entry),
            ("rail =", filter.feed),
            ("state =", filter.state.map(ReconcileState::as_str)),
            ("id <", filter.before),
        ] {
            if let Some(value) = value {
                clause.and_text(condition, value);
            }
        }
        let sql = format!(
            "SELECT body FROM reconciliation{} ORDER BY id DESC LIMIT {}",
            clause.sql(),
            page(filter.limit)
        );
        let rows = self.db.rows(sql, &clause).await?;
        rows.iter().map(|row| json(row, "body")).collect()
    }

    /// Keeps rows that differ.
    pub async fn difference_insert(
        &self,
        permit: &Permit,
        id: &str,
        rows: &[Difference],
    ) -> Result<()> {
        permit.require(WORKERS)?;
        let mut tx = self.db.begin().await?;
        for row in rows {
            sqlx::query(
                "INSERT INTO reconciliation_row (reconciliation, seq, healed, body) VALUES ($1, $2, 0, $3)",
            )
            .bind(id)
            .bind(i64::try_from(row.seq).unwrap_or(i64::MAX))
            .bind(to_json(row)?)
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        }
        tx.commit().await.map_err(fail)
    }

    /// Rows that differ, in order; only those not healed when `open`.
    pub async fn differences(
        &self,
        id: &str,
        open: bool,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Difference>> {
        let sql = format!(
            "SELECT body, healed FROM reconciliation_row WHERE reconciliation = $1 AND seq > $2{} ORDER BY seq LIMIT {}",
            if open { " AND healed = 0" } else { "" },
            page(limit)
        );
        let read = |row: &AnyRow| -> Result<Difference> {
            let difference: Difference = json(row, "body")?;
            Ok(Difference { healed: number(row, "healed")? != 0, ..difference })
        };
        sqlx::query(AssertSqlSafe(sql))
            .bind(id)
            .bind(i64::try_from(after).unwrap_or(i64::MAX))
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(read)
            .collect()
    }

    /// Says that rows are level again.
    pub async fn difference_healed(&self, permit: &Permit, id: &str, seqs: &[u64]) -> Result<()> {
        permit.require(WORKERS)?;
        let mut tx = self.db.begin().await?;
        for seq in seqs {
            sqlx::query(
                "UPDATE reconciliation_row SET healed = 1 WHERE reconciliation = $1 AND seq = $2",
            )
            .bind(id)
            .bind(i64::try_from(*seq).unwrap_or(i64::MAX))
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        }
        tx.commit().await.map_err(fail)
    }

    /// The table of a rail that feeds an entry.
    pub async fn rail_table_of(&self, entry: &str) -> Result<Option<RailTable>> {
        sqlx::query("SELECT body FROM rail_table WHERE entry = $1")
            .bind(entry)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| json(&row, "body"))
            .transpose()
    }

    /// Closes one incident of a rail: what it told of is mended.
    pub async fn rail_incident_close(&self, permit: &Permit, id: &str) -> Result<()> {
        permit.require(WORKERS)?;
        sqlx::query("UPDATE rail_incident SET is_open = 0 WHERE id = $1")
            .bind(id)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    /// What is set for a channel.
    pub async fn channel_rule(&self, channel: &str) -> Result<model::oversight::ChannelRule> {
        let row = sqlx::query("SELECT body FROM channel_rule WHERE channel = $1")
            .bind(channel)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?;
        row.map_or_else(|| Ok(Default::default()), |row| json(&row, "body"))
    }

    /// Sets what holds for a channel instead of the rule file's.
    pub async fn channel_rule_set(
        &self,
        permit: &Permit,
        channel: &str,
        rule: &model::oversight::ChannelRule,
    ) -> Result<()> {
        permit.require(WORKERS)?;
        if channel.is_empty() {
            return Err(Error::internal("a rule of no channel"));
        }
        sqlx::query(
            "INSERT INTO channel_rule (channel, body) VALUES ($1, $2)
             ON CONFLICT (channel) DO UPDATE SET body = excluded.body",
        )
        .bind(channel)
        .bind(to_json(rule)?)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }
}

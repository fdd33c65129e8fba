//! Tables of departments' databases that entries were drafted from, and drifts: the tasks that a later look opened.

use model::schema::{Drift, DriftState, Origin};
use model::{Code, Error, Result};
use policy::{Action, Permit};
use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, json, number, on_duplicate, page, to_json};

const WRITERS: &[Action] = &[Action::EntryCompile, Action::DataCollect];

impl Store {
    /// Entries that were drafted from tables of a source, with those tables, by table.
    pub async fn origins_of(&self, source: &str) -> Result<Vec<Origin>> {
        sqlx::query("SELECT body FROM schema_table WHERE source = $1 ORDER BY name")
            .bind(source)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| json(row, "body"))
            .collect()
    }

    /// The table an entry was drafted from.
    pub async fn origin_get(&self, entry: &str) -> Result<Option<Origin>> {
        sqlx::query("SELECT body FROM schema_table WHERE entry = $1")
            .bind(entry)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| json(&row, "body"))
            .transpose()
    }

    /// Keeps the table of an entry that was not drafted from it. A table that another entry was drafted from stays that
    /// one's.
    pub async fn origin_keep(&self, permit: &Permit, origin: &Origin) -> Result<()> {
        permit.require(WRITERS)?;
        let mut tx = self.db.begin().await?;
        match write(&mut tx, origin).await {
            Ok(()) => tx.commit().await.map_err(fail),
            Err(e) if e.code() == Code::Duplicate => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Opens a drift, or brings the open one of the entry to what was found now.
    pub async fn drift_open(&self, permit: &Permit, drift: &Drift) -> Result<()> {
        permit.require(WRITERS)?;
        let mut tx = self.db.begin().await?;
        sqlx::query("DELETE FROM drift WHERE entry = $1 AND state = 'open'")
            .bind(drift.entry.as_str())
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        sqlx::query(
            "INSERT INTO drift (id, entry, source, org, state, opened_at, updated_at, body)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(drift.id.as_str())
        .bind(drift.entry.as_str())
        .bind(drift.source.as_str())
        .bind(drift.org.as_str())
        .bind(drift.state.as_str())
        .bind(drift.opened_at.as_str())
        .bind(drift.updated_at.as_str())
        .bind(to_json(drift)?)
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        tx.commit().await.map_err(fail)
    }

    /// Ends an open drift; with a table, that one is what later looks compare with. `WrongState` when it was not open.
    pub async fn drift_end(
        &self,
        permit: &Permit,
        drift: &Drift,
        level: Option<&Origin>,
    ) -> Result<()> {
        permit.require(WRITERS)?;
        let mut tx = self.db.begin().await?;
        let done = sqlx::query(
            "UPDATE drift SET state = $1, updated_at = $2, body = $3 WHERE id = $4 AND state = 'open'",
        )
        .bind(drift.state.as_str())
        .bind(drift.updated_at.as_str())
        .bind(to_json(drift)?)
        .bind(drift.id.as_str())
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        if done.rows_affected() != 1 {
            return Err(Error::new(
                Code::WrongState,
                "该变动已处理，请刷新查看",
                "this drift has been dealt with already, reload the page",
            ));
        }
        if let Some(origin) = level {
            write(&mut tx, origin).await?;
        }
        tx.commit().await.map_err(fail)
    }

    pub async fn drift_get(&self, id: &str) -> Result<Option<Drift>> {
        self.db.body("drift", id).await
    }

    /// The open drift of an entry.
    pub async fn drift_of(&self, entry: &str) -> Result<Option<Drift>> {
        sqlx::query("SELECT body FROM drift WHERE entry = $1 AND state = 'open'")
            .bind(entry)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .map(|row| json(&row, "body"))
            .transpose()
    }

    /// A page of drifts, newest first; of one organisation, in one state, when they are given.
    pub async fn drift_list(
        &self,
        org: Option<&str>,
        state: Option<DriftState>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Drift>> {
        let mut c = Clause::default();
        if let Some(org) = org {
            c.and_text("org =", org);
        }
        if let Some(state) = state {
            c.and_text("state =", state.as_str());
        }
        if let Some(after) = after {
            c.and_text("id <", after);
        }
        let sql =
            format!("SELECT body FROM drift{} ORDER BY id DESC LIMIT {}", c.sql(), page(limit));
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in c.values() {
            query = query.bind(value.clone());
        }
        let rows = query.fetch_all(self.db.pool()).await.map_err(fail)?;
        rows.iter().map(|row| json(row, "body")).collect()
    }

    /// Open drifts of an organisation.
    pub async fn drift_count(&self, org: &str) -> Result<u64> {
        let row = sqlx::query("SELECT COUNT(*) AS n FROM drift WHERE org = $1 AND state = 'open'")
            .bind(org)
            .fetch_one(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(u64::try_from(number(&row, "n")?).unwrap_or(0))
    }

    /// Forgets from which tables of a source entries were drafted; its open drifts end. The entries stay.
    pub async fn origins_forget(&self, permit: &Permit, source: &str) -> Result<()> {
        permit.require(WRITERS)?;
        let mut tx = self.db.begin().await?;
        for sql in [
            "DELETE FROM drift WHERE source = $1 AND state = 'open'",
            "DELETE FROM schema_table WHERE source = $1",
        ] {
            sqlx::query(sql).bind(source).execute(&mut *tx).await.map_err(fail)?;
        }
        tx.commit().await.map_err(fail)
    }
}

/// Keeps from which table an entry was drafted, inside the transaction that enters it.
pub(crate) async fn write(tx: &mut Transaction<'static, Any>, origin: &Origin) -> Result<()> {
    sqlx::query(
        "INSERT INTO schema_table (entry, source, name, org, at, body) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (entry) DO UPDATE SET name = excluded.name, at = excluded.at, body = excluded.body",
    )
    .bind(origin.entry.as_str())
    .bind(origin.source.as_str())
    .bind(origin.table.of.key())
    .bind(origin.org.as_str())
    .bind(origin.at.as_str())
    .bind(to_json(origin)?)
    .execute(&mut **tx)
    .await
    .map_err(|e| {
        let table = origin.table.of.dotted();
        on_duplicate(
            e,
            &format!("表 `{table}` 已编目"),
            &format!("the table `{table}` has been catalogued already"),
        )
    })?;
    Ok(())
}

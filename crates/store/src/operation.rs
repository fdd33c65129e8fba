//! Figures of the store for operators.

use model::Result;
use sqlx::AssertSqlSafe;

use crate::Store;
use crate::db::{fail, number, text};

/// One count with its labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// State word.
    pub state: String,
    pub count: u64,
}

/// What the store holds, by state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Entries by publish state.
    pub entries: Vec<Count>,
    /// Rows in the current views of all entries.
    pub rows: u64,
    /// Share applications by state.
    pub requests: Vec<Count>,
    /// Collection runs by state.
    pub runs: Vec<Count>,
    /// Quarantined records by state.
    pub quarantine: Vec<Count>,
    /// Sessions kept.
    pub sessions: u64,
    /// Number of the last audit record.
    pub audit_records: u64,
}

impl Store {
    /// Figures for the metrics page: a handful of counts.
    pub async fn figures(&self) -> Result<Figures> {
        let rows = "SELECT CAST(COALESCE(SUM(row_count), 0) AS BIGINT) AS n FROM entry";
        Ok(Figures {
            entries: self.counts("publish_state", "entry").await?,
            rows: self.figure(rows).await?,
            requests: self.counts("state", "request").await?,
            runs: self.counts("state", "run").await?,
            quarantine: self.counts("state", "quarantine").await?,
            sessions: self.figure("SELECT COUNT(*) AS n FROM session").await?,
            audit_records: self.audit.last_number().await?,
        })
    }

    async fn counts(&self, column: &str, table: &str) -> Result<Vec<Count>> {
        let sql = format!(
            "SELECT {column} AS state, COUNT(*) AS n FROM {table} GROUP BY {column} ORDER BY {column}"
        );
        sqlx::query(AssertSqlSafe(sql))
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| {
                let count = u64::try_from(number(row, "n")?).unwrap_or(0);
                Ok(Count { state: text(row, "state")?, count })
            })
            .collect()
    }

    async fn figure(&self, sql: &'static str) -> Result<u64> {
        let row = sqlx::query(sql).fetch_one(self.db.pool()).await.map_err(fail)?;
        Ok(u64::try_from(number(&row, "n")?).unwrap_or(0))
    }
}

//! How much the control store holds, for the system administrator.

use model::Result;
use sqlx::AssertSqlSafe;

use crate::db::{fail, number};
use crate::{Backend, Store};

/// What is counted: a word for the page and the table.
const COUNTED: &[(&str, &str)] = &[
    ("entries", "entry"),
    ("items", "item"),
    ("versions", "entry_version"),
    ("organisations", "org"),
    ("users", "user_account"),
    ("applications", "application"),
    ("requests", "request"),
    ("sources", "source"),
    ("runs", "run"),
    ("parcels", "parcel"),
    ("quarantined", "quarantine"),
];

impl Store {
    /// Rows of the tables of the control store, by word.
    pub async fn table_figures(&self) -> Result<Vec<(&'static str, i64)>> {
        let mut found = Vec::with_capacity(COUNTED.len());
        for (word, table) in COUNTED {
            let sql = format!("SELECT COUNT(*) AS n FROM {table}");
            let row =
                sqlx::query(AssertSqlSafe(sql)).fetch_one(self.db.pool()).await.map_err(fail)?;
            found.push((*word, number(&row, "n")?));
        }
        Ok(found)
    }

    /// Bytes of the control database.
    pub async fn control_bytes(&self) -> Result<i64> {
        let sql = match self.backend() {
            Backend::Sqlite => {
                "SELECT CAST(page_count * page_size AS BIGINT) AS n FROM pragma_page_count(), pragma_page_size()"
            }
            Backend::Postgres => "SELECT pg_database_size(current_database()) AS n",
        };
        let row = sqlx::query(sql).fetch_one(self.db.pool()).await.map_err(fail)?;
        number(&row, "n")
    }

    /// All rows that the entries' current views hold.
    pub async fn rows_in_all(&self) -> Result<i64> {
        let row = sqlx::query("SELECT CAST(COALESCE(SUM(row_count), 0) AS BIGINT) AS n FROM entry")
            .fetch_one(self.db.pool())
            .await
            .map_err(fail)?;
        number(&row, "n")
    }
}

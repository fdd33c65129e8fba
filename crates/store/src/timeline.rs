//! What tickets and applications have alike: numbers that begin anew each day, and a time line of events beside the body.

use model::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::Store;
use crate::clause::Clause;
use crate::db::{fail, number, signed, to_json};

/// The table of events, and its column of whose they are.
pub(crate) type TimeLine = (&'static str, &'static str);

/// The next number of a day; `table` keeps the latest of each.
pub(crate) async fn next_of_day(
    tx: &mut Transaction<'static, Any>,
    table: &'static str,
    day: chrono::NaiveDate,
) -> Result<i64> {
    let sql = format!(
        "INSERT INTO {table} (day, latest) VALUES ($1, 1)
         ON CONFLICT (day) DO UPDATE SET latest = {table}.latest + 1 RETURNING latest"
    );
    let next = sqlx::query(AssertSqlSafe(sql))
        .bind(day.to_string())
        .fetch_one(&mut **tx)
        .await
        .map_err(fail)?;
    number(&next, "latest")
}

/// Adds to a time line.
pub(crate) async fn happened<E: Serialize>(
    tx: &mut Transaction<'static, Any>,
    (table, of): TimeLine,
    id: &str,
    seq: u64,
    event: &E,
) -> Result<()> {
    let sql = format!("INSERT INTO {table} ({of}, seq, body) VALUES ($1, $2, $3)");
    sqlx::query(AssertSqlSafe(sql))
        .bind(id)
        .bind(signed(seq))
        .bind(to_json(event)?)
        .execute(&mut **tx)
        .await
        .map_err(fail)?;
    Ok(())
}

impl Store {
    /// A time line in order.
    pub(crate) async fn timeline<E: DeserializeOwned>(
        &self,
        (table, of): TimeLine,
        id: &str,
    ) -> Result<Vec<E>> {
        let mut clause = Clause::default();
        clause.and_text(&format!("{of} ="), id);
        let sql = format!("SELECT body FROM {table}{} ORDER BY seq LIMIT 500", clause.sql());
        self.db.bodies(sql, &clause).await
    }
}

//! The day counters of interfaces that have quotas. Metering, not a governed write: it can only lessen what a grant allows.

use model::Result;
use sqlx::Any;
use sqlx::any::AnyArguments;
use sqlx::query::Query;

use crate::Store;
use crate::db::{fail, number, signed};

/// Whose calls of which interface and day (`YYYY-MM-DD`, civil time in China) are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceDay {
    /// The interface's code, whichever version answers.
    pub code: String,
    /// Application id; empty: all callers together.
    pub application: String,
    pub day: String,
}

/// A lot taken out of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceLot {
    /// 0: used up.
    pub got: u64,
    /// Taken in all, by every process.
    pub taken: u64,
}

impl Store {
    /// Takes up to `want` calls of a day's `limit`, in one transaction, so that processes together never pass it. The first of a
    /// day forgets the days before.
    pub async fn interface_take(
        &self,
        key: &InterfaceDay,
        want: u64,
        limit: u64,
    ) -> Result<InterfaceLot> {
        let mut tx = self.db.begin().await?;
        let made = of_key(
            "INSERT INTO interface_day (code, application, day, calls) VALUES ($1, $2, $3, 0)
             ON CONFLICT (code, application, day) DO NOTHING",
            key,
        )
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        if made.rows_affected() > 0 {
            of_key(
                "DELETE FROM interface_day WHERE code = $1 AND application = $2 AND day < $3",
                key,
            )
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        }
        // The row is locked from here on (PostgreSQL), or the whole transaction is alone (SQLite).
        of_key(
            "UPDATE interface_day SET calls = calls + $4 WHERE code = $1 AND application = $2 AND day = $3",
            key,
        )
        .bind(0_i64)
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
        let row = of_key(
            "SELECT calls FROM interface_day WHERE code = $1 AND application = $2 AND day = $3",
            key,
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(fail)?;
        let taken = number(&row, "calls")?;
        let give = signed(want).min(signed(limit).saturating_sub(taken)).max(0);
        if give > 0 {
            of_key(
                "UPDATE interface_day SET calls = calls + $4 WHERE code = $1 AND application = $2 AND day = $3",
                key,
            )
            .bind(give)
            .execute(&mut *tx)
            .await
            .map_err(fail)?;
        }
        tx.commit().await.map_err(fail)?;
        Ok(InterfaceLot { got: unsigned(give), taken: unsigned(taken.saturating_add(give)) })
    }

    /// Puts back what was taken and not used.
    pub async fn interface_return(&self, key: &InterfaceDay, calls: u64) -> Result<()> {
        of_key(
            "UPDATE interface_day SET calls = calls - $4 WHERE code = $1 AND application = $2 AND day = $3",
            key,
        )
        .bind(signed(calls))
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Calls of a counter so far, those included that processes have taken and not used yet.
    pub async fn interface_called(&self, key: &InterfaceDay) -> Result<u64> {
        let row = of_key(
            "SELECT calls FROM interface_day WHERE code = $1 AND application = $2 AND day = $3",
            key,
        )
        .fetch_optional(self.db.pool())
        .await
        .map_err(fail)?;
        row.map_or(Ok(0), |row| number(&row, "calls").map(unsigned))
    }
}

/// A statement about the counter of a key, whose code, application and day are `$1` to `$3`.
fn of_key(sql: &'static str, key: &InterfaceDay) -> Query<'static, Any, AnyArguments> {
    sqlx::query(sql).bind(key.code.as_str()).bind(key.application.as_str()).bind(key.day.as_str())
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

//! Leases: which process works at something that several could work at. The same for runs, rails, turns of pipelines,
//! exchanges and outflows: two columns of their table, `owner` and `lease_until`.

use model::{Code, Error, Result};
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::Store;
use crate::db::{fail, number, text};

/// Who works at something. The owner renews its lease while it works; when it is over, the owner is taken for dead and
/// another process may take the work up. Only the owner may change it: one that was thought dead and is not finds itself
/// locked out before it commits anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// Name of the process, new with every start.
    pub owner: String,
    /// Seconds since 1970.
    pub until: i64,
}

impl Lease {
    /// Of a row's two columns.
    pub(crate) fn of(row: &AnyRow) -> Result<Self> {
        Ok(Self { owner: text(row, "owner")?, until: number(row, "lease_until")? })
    }

    /// A lease that is given back.
    #[must_use]
    pub fn ended(owner: &str) -> Self {
        Self { owner: owner.to_owned(), until: 0 }
    }
}

/// A table whose rows are leased, and which of them can be (a condition, or nothing).
pub(crate) type Leased = (&'static str, &'static str);

/// The answer to an owner whose work another process has taken up.
pub(crate) fn lost(zh: &str, en: &str) -> Error {
    Error::new(
        Code::Stale,
        format!("该{zh}已由另一进程接手，本进程不再继续"),
        format!("another process has taken this {en} up; this one does not go on with it"),
    )
}

impl Store {
    /// Writes a row with a state and a time from which it may be taken up, by its owner only; `false` when it is not the owner's any
    /// more.
    pub(crate) async fn lease_write(
        &self,
        (table, which): Leased,
        owner: &str,
        id: &str,
        (state, ready_at): (&str, &str),
        body: &str,
    ) -> Result<bool> {
        let sql = format!(
            "UPDATE {table} SET state = $1, ready_at = $2, body = $3 WHERE id = $4 AND owner = $5{which}"
        );
        let done = sqlx::query(AssertSqlSafe(sql))
            .bind(state)
            .bind(ready_at)
            .bind(body)
            .bind(id)
            .bind(owner)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(done.rows_affected() == 1)
    }

    /// Takes a row for `lease`, if its lease is still the one that was seen: of several processes that try, one succeeds.
    pub(crate) async fn lease_take(
        &self,
        (table, which): Leased,
        id: &str,
        seen: &Lease,
        lease: &Lease,
    ) -> Result<bool> {
        let sql = format!(
            "UPDATE {table} SET owner = $1, lease_until = $2 WHERE id = $3 AND owner = $4 AND lease_until = $5{which}"
        );
        let done = sqlx::query(AssertSqlSafe(sql))
            .bind(lease.owner.as_str())
            .bind(lease.until)
            .bind(id)
            .bind(seen.owner.as_str())
            .bind(seen.until)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(done.rows_affected() == 1)
    }

    /// Renews a lease (or ends it, with a time that is over); `false` when the row is not the owner's any more.
    pub(crate) async fn lease_beat(
        &self,
        (table, which): Leased,
        id: &str,
        lease: &Lease,
    ) -> Result<bool> {
        let sql =
            format!("UPDATE {table} SET lease_until = $1 WHERE id = $2 AND owner = $3{which}");
        let done = sqlx::query(AssertSqlSafe(sql))
            .bind(lease.until)
            .bind(id)
            .bind(lease.owner.as_str())
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(done.rows_affected() == 1)
    }
}

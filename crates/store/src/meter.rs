//! The day counters of calls: of a caller and a resource, and of the quotas above it (pools).

use model::Result;
use model::dispatch::{Holder, HolderKind};
use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, Transaction};

use crate::Store;
use crate::db::{fail, number, signed};
use crate::lots::Ask;

impl Store {
    /// Takes up to `want` calls of a day's quota out of the store, so that the gate may give them out of memory.
    /// Metering, not a governed write: it can only lessen what a grant allows.
    ///
    /// `pools` are the quotas of the application, its organisation and regions, from below: the calls are taken out of
    /// each of them in the same transaction, or none is.
    pub async fn quota_take(
        &self,
        key: &QuotaKey,
        want: u64,
        limit: u64,
        pools: &[Pool],
    ) -> Result<Taken> {
        self.takers.take(&self.db, key, want, limit, pools).await
    }

    /// Puts back what was taken and not used, into the same pools.
    pub async fn quota_return(&self, key: &QuotaKey, calls: u64, pools: &[Pool]) -> Result<()> {
        let mut tx = self.db.begin().await?;
        for pool in pools {
            add_pool(&mut tx, &pool.holder, &key.day, -signed(calls)).await?;
        }
        add(&mut tx, key, -signed(calls)).await?;
        tx.commit().await.map_err(fail)
    }
}

/// Whose calls of which day (`YYYY-MM-DD`, civil time in China) are counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QuotaKey {
    pub application: String,
    pub entry: String,
    pub day: String,
}

/// A quota that several callers share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    pub holder: Holder,
    /// Calls a day.
    pub limit: u64,
}

/// What was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// 0 = used up.
    pub got: u64,
    /// Of the caller's own quota, in all.
    pub taken: u64,
    /// What is left in the fullest pool; very large without pools.
    pub pool_left: u64,
    /// The pool that has nothing left, when the caller's own quota has.
    pub short: Option<usize>,
}

/// The last part of a pool is given out in lots of one in so many of what is left.
const LOTS_AT_THE_END: i64 = 16;

/// Takes one lot inside a transaction.
pub(crate) async fn take(tx: &mut Transaction<'static, Any>, ask: &Ask) -> Result<Taken> {
    let Ask { key, want, limit, pools } = ask;
    let mut room = i64::MAX;
    let mut short = None;
    for (n, pool) in pools.iter().enumerate() {
        let used = open_pool(tx, &pool.holder, &key.day).await?;
        let left = signed(pool.limit).saturating_sub(used).max(0);
        if left == 0 && short.is_none() {
            short = Some(n);
        }
        room = room.min(left);
    }
    of_key(
        "INSERT INTO quota_day (application, entry, day, calls) VALUES ($1, $2, $3, 0)
         ON CONFLICT (application, entry, day) DO NOTHING",
        key,
    )
    .execute(&mut **tx)
    .await
    .map_err(fail)?;
    // The row is locked by the first update (PostgreSQL) or the whole transaction is (SQLite).
    add(tx, key, 0).await?;
    let taken = {
        let sql = "SELECT calls FROM quota_day WHERE application = $1 AND entry = $2 AND day = $3";
        let row = of_key(sql, key).fetch_one(&mut **tx).await.map_err(fail)?;
        number(&row, "calls")?
    };
    // Towards the end of a shared quota lots grow small, so that little of it lies in the memory of one caller.
    let share = if room == i64::MAX { room } else { (room / LOTS_AT_THE_END).max(1) };
    let give = (*want).min(limit.saturating_sub(taken)).min(share).min(room).max(0);
    if give > 0 {
        add(tx, key, give).await?;
        for pool in pools {
            add_pool(tx, &pool.holder, &key.day, give).await?;
        }
    }
    Ok(Taken {
        got: unsigned(give),
        taken: unsigned(taken.saturating_add(give)),
        pool_left: unsigned(room.saturating_sub(give)),
        short: short.filter(|_| taken < *limit),
    })
}

/// Calls counted against a pool today. The first look of a day counts what was called before there was a pool. The row
/// is locked by this transaction from here on.
pub(crate) async fn open_pool(
    tx: &mut Transaction<'static, Any>,
    holder: &Holder,
    day: &str,
) -> Result<i64> {
    // Locks the row when it is there.
    add_pool(tx, holder, day, 0).await?;
    if let Some(used) = pool(tx, holder, day).await? {
        return Ok(used);
    }
    let (lo, hi) = region_bounds(&holder.id);
    let sql = match holder.kind {
        HolderKind::Application => {
            "SELECT CAST(COALESCE(SUM(calls), 0) AS BIGINT) AS n FROM quota_day WHERE day = $1 AND application = $2 AND application = $3"
        }
        HolderKind::Org => {
            "SELECT CAST(COALESCE(SUM(q.calls), 0) AS BIGINT) AS n FROM quota_day q JOIN application a ON a.id = q.application
             WHERE q.day = $1 AND a.org = $2 AND a.org = $3"
        }
        HolderKind::Region => {
            "SELECT CAST(COALESCE(SUM(q.calls), 0) AS BIGINT) AS n FROM quota_day q JOIN application a ON a.id = q.application
             JOIN org o ON o.id = a.org WHERE q.day = $1 AND o.region >= $2 AND o.region <= $3"
        }
    };
    let (lo, hi) = match holder.kind {
        HolderKind::Region => (lo, hi),
        _ => (holder.id.clone(), holder.id.clone()),
    };
    let row =
        sqlx::query(sql).bind(day).bind(lo).bind(hi).fetch_one(&mut **tx).await.map_err(fail)?;
    let before = number(&row, "n")?;
    of_pool(
        "INSERT INTO usage_day (resource, kind, holder, day, amount) VALUES ('calls', $1, $2, $3, $4)
         ON CONFLICT (resource, kind, holder, day) DO NOTHING",
        holder,
        day,
    )
    .bind(before)
    .execute(&mut **tx)
    .await
    .map_err(fail)?;
    add_pool(tx, holder, day, 0).await?;
    Ok(pool(tx, holder, day).await?.unwrap_or(before))
}

async fn pool(
    tx: &mut Transaction<'static, Any>,
    holder: &Holder,
    day: &str,
) -> Result<Option<i64>> {
    of_pool(
        "SELECT amount FROM usage_day WHERE resource = 'calls' AND kind = $1 AND holder = $2 AND day = $3",
        holder,
        day,
    )
    .fetch_optional(&mut **tx)
    .await
    .map_err(fail)?
    .map(|row| number(&row, "amount"))
    .transpose()
}

async fn add_pool(
    tx: &mut Transaction<'static, Any>,
    holder: &Holder,
    day: &str,
    calls: i64,
) -> Result<()> {
    of_pool(
        "UPDATE usage_day SET amount = amount + $4 WHERE resource = 'calls' AND kind = $1 AND holder = $2 AND day = $3",
        holder,
        day,
    )
    .bind(calls)
    .execute(&mut **tx)
    .await
    .map_err(fail)?;
    Ok(())
}

/// A statement about the counter of a pool, whose kind, holder and day are `$1` to `$3`.
fn of_pool(sql: &'static str, holder: &Holder, day: &str) -> Query<'static, Any, AnyArguments> {
    sqlx::query(sql).bind(holder.kind.as_str()).bind(holder.id.as_str()).bind(day)
}

/// Lowest and highest code of a region and what is in it.
pub(crate) fn region_bounds(code: &str) -> (String, String) {
    let trimmed = code.strip_suffix("0000").or_else(|| code.strip_suffix("00"));
    let digits = trimmed.unwrap_or(code);
    (format!("{digits:0<6}"), format!("{digits:9<6}"))
}

async fn add(tx: &mut Transaction<'static, Any>, key: &QuotaKey, calls: i64) -> Result<()> {
    of_key(
        "UPDATE quota_day SET calls = calls + $4 WHERE application = $1 AND entry = $2 AND day = $3",
        key,
    )
    .bind(calls)
    .execute(&mut **tx)
    .await
    .map_err(fail)?;
    Ok(())
}

/// A statement about the counter of a key, whose application, entry and day are `$1` to `$3`.
fn of_key(sql: &'static str, key: &QuotaKey) -> Query<'static, Any, AnyArguments> {
    sqlx::query(sql).bind(key.application.as_str()).bind(key.entry.as_str()).bind(key.day.as_str())
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

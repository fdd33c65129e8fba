//! Return flows in the control store. Where a target stands is the target's to say; what is kept here is for people to look
//! at, for metering, and for one process at a time to know that the flow is its own.

use model::outflow::{Outflow, OutflowDay, OutflowFigures};
use model::{Error, Result};
use policy::{Action, Permit};
use sqlx::any::AnyRow;

use crate::Store;
use crate::db::{fail, json, number, on_duplicate, page, text, to_json};
use crate::lease::{Lease, Leased};

/// Outflows are one process's at a time.
const LEASED: Leased = ("outflow", "");
const KEEPERS: &[Action] = &[Action::OutflowKeep];
const WORKERS: &[Action] = &[Action::OutflowKeep, Action::SystemWork];

/// An outflow as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutflowRecord {
    pub outflow: Outflow,
    pub figures: OutflowFigures,
    /// The target is to be filled anew.
    pub anew: bool,
    pub lease: Lease,
}

const OUTFLOW: &str = "SELECT body, figures, anew, target_rows, granted_rows, counted_at, owner, lease_until FROM outflow";

impl Store {
    /// Enters an outflow. `Duplicate` when one flows into the same table already.
    pub async fn outflow_insert(&self, permit: &Permit, outflow: &Outflow) -> Result<()> {
        permit.require(KEEPERS)?;
        sqlx::query(
            "INSERT INTO outflow (id, org, provider, entry, source, place, wish, body, figures) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(outflow.id.as_str())
        .bind(outflow.org.as_str())
        .bind(outflow.provider.as_str())
        .bind(outflow.entry.as_str())
        .bind(outflow.source.as_str())
        .bind(outflow.table.as_str())
        .bind(outflow.wish.as_str())
        .bind(to_json(outflow)?)
        .bind(to_json(&OutflowFigures::default())?)
        .execute(self.db.pool())
        .await
        .map_err(|e| {
            on_duplicate(
                e,
                &format!("该数据库的表 `{}` 已有一条回流写入，请换一个表名", outflow.table),
                &format!("an outflow into the table `{}` exists already, name another", outflow.table),
            )
        })?;
        Ok(())
    }

    /// Writes what people decided of an outflow.
    pub async fn outflow_update(&self, permit: &Permit, outflow: &Outflow) -> Result<()> {
        permit.require(WORKERS)?;
        let done = sqlx::query("UPDATE outflow SET wish = $1, body = $2 WHERE id = $3")
            .bind(outflow.wish.as_str())
            .bind(to_json(outflow)?)
            .bind(outflow.id.as_str())
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(missing(&outflow.id)) }
    }

    /// Says whether the target is to be filled anew.
    pub async fn outflow_anew(&self, permit: &Permit, id: &str, anew: bool) -> Result<()> {
        permit.require(WORKERS)?;
        let done = sqlx::query("UPDATE outflow SET anew = $1 WHERE id = $2")
            .bind(i64::from(anew))
            .bind(id)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(missing(id)) }
    }

    /// Writes what was found of an outflow; refused when it is another process's.
    pub async fn outflow_figures(
        &self,
        permit: &Permit,
        id: &str,
        owner: &str,
        figures: &OutflowFigures,
    ) -> Result<()> {
        permit.require(WORKERS)?;
        let done = sqlx::query("UPDATE outflow SET figures = $1 WHERE id = $2 AND owner = $3")
            .bind(to_json(figures)?)
            .bind(id)
            .bind(owner)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(not_ours()) }
    }

    /// Writes what a comparison counted, whoever delivers meanwhile.
    pub async fn outflow_counted(
        &self,
        permit: &Permit,
        id: &str,
        target_rows: u64,
        granted_rows: u64,
        at: &str,
    ) -> Result<()> {
        permit.require(WORKERS)?;
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        sqlx::query(
            "UPDATE outflow SET target_rows = $1, granted_rows = $2, counted_at = $3 WHERE id = $4",
        )
        .bind(signed(target_rows))
        .bind(signed(granted_rows))
        .bind(at)
        .bind(id)
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Takes an outflow for `lease`, if its lease is still the one seen: of several processes one succeeds.
    pub async fn outflow_claim(
        &self,
        permit: &Permit,
        id: &str,
        seen: &Lease,
        lease: &Lease,
    ) -> Result<bool> {
        permit.require(WORKERS)?;
        self.lease_take(LEASED, id, seen, lease).await
    }

    /// Renews a lease (or ends it, with a time that is over); `false` when the outflow is not the owner's any more.
    pub async fn outflow_beat(&self, permit: &Permit, id: &str, lease: &Lease) -> Result<bool> {
        permit.require(WORKERS)?;
        self.lease_beat(LEASED, id, lease).await
    }

    /// Takes an outflow away. What it delivered, and what was metered of it, stays.
    pub async fn outflow_delete(&self, permit: &Permit, id: &str) -> Result<()> {
        permit.require(KEEPERS)?;
        sqlx::query("DELETE FROM outflow WHERE id = $1")
            .bind(id)
            .execute(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(())
    }

    /// One outflow.
    pub async fn outflow_get(&self, id: &str) -> Result<Option<OutflowRecord>> {
        sqlx::query(sqlx::AssertSqlSafe(format!("{OUTFLOW} WHERE id = $1")))
            .bind(id)
            .fetch_optional(self.db.pool())
            .await
            .map_err(fail)?
            .as_ref()
            .map(record_of)
            .transpose()
    }

    /// Outflows after `after` by id; those that an organisation provides or receives, when given.
    pub async fn outflow_list(
        &self,
        org: Option<&str>,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<OutflowRecord>> {
        let mut clause = crate::clause::Clause::default();
        if let Some(org) = org {
            clause.and_text("(org =", org);
            clause.or_text("provider =", org);
            clause.close();
        }
        if let Some(after) = after {
            clause.and_text("id >", after);
        }
        let sql = format!("{OUTFLOW}{} ORDER BY id LIMIT {}", clause.sql(), page(limit));
        self.db.rows(sql, &clause).await?.iter().map(record_of).collect()
    }

    /// How many outflows go into a stored database.
    pub async fn outflows_of_source(&self, source: &str) -> Result<u64> {
        let n: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM outflow WHERE source = $1")
            .bind(source)
            .fetch_one(self.db.pool())
            .await
            .map_err(fail)?;
        Ok(u64::try_from(n).unwrap_or(0))
    }

    /// Adds to what was delivered on a day. Metering, not a governed write.
    pub async fn outflow_meter(&self, outflow: &str, more: &OutflowDay) -> Result<()> {
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        sqlx::query(
            "INSERT INTO outflow_day (outflow, day, deliveries, upserts, deletes, bytes) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (outflow, day) DO UPDATE SET deliveries = outflow_day.deliveries + excluded.deliveries,
               upserts = outflow_day.upserts + excluded.upserts, deletes = outflow_day.deletes + excluded.deletes,
               bytes = outflow_day.bytes + excluded.bytes",
        )
        .bind(outflow)
        .bind(more.day.as_str())
        .bind(signed(more.deliveries))
        .bind(signed(more.upserts))
        .bind(signed(more.deletes))
        .bind(signed(more.bytes))
        .execute(self.db.pool())
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// Days of an outflow, newest first.
    pub async fn outflow_days(&self, outflow: &str, limit: u32) -> Result<Vec<OutflowDay>> {
        let sql = format!(
            "SELECT day, deliveries, upserts, deletes, bytes FROM outflow_day WHERE outflow = $1 ORDER BY day DESC LIMIT {}",
            page(limit)
        );
        let count = |row: &AnyRow, name: &str| -> Result<u64> {
            Ok(u64::try_from(number(row, name)?).unwrap_or(0))
        };
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(outflow)
            .fetch_all(self.db.pool())
            .await
            .map_err(fail)?
            .iter()
            .map(|row| {
                Ok(OutflowDay {
                    day: text(row, "day")?,
                    deliveries: count(row, "deliveries")?,
                    upserts: count(row, "upserts")?,
                    deletes: count(row, "deletes")?,
                    bytes: count(row, "bytes")?,
                })
            })
            .collect()
    }
}

fn record_of(row: &AnyRow) -> Result<OutflowRecord> {
    let mut figures: OutflowFigures = json(row, "figures")?;
    let counted_at = text(row, "counted_at")?;
    if !counted_at.is_empty() {
        let count = |name: &str| number(row, name).map(|n| u64::try_from(n).ok());
        figures.target_rows = count("target_rows")?;
        figures.granted_rows = count("granted_rows")?;
        figures.counted_at = Some(counted_at);
    }
    Ok(OutflowRecord {
        outflow: json(row, "body")?,
        figures,
        anew: number(row, "anew")? != 0,
        lease: Lease::of(row)?,
    })
}

fn missing(id: &str) -> Error {
    Error::not_found("回流", "outflow", id)
}

fn not_ours() -> Error {
    crate::lease::lost("回流", "outflow")
}

//! The writer of PostgreSQL's chain: processes take turns, tail and head change in one transaction.

use std::sync::Arc;

use model::Result;
use model::audit::AuditEvent;
use sqlx::{AnyPool, Row};
use tokio::sync::mpsc::Receiver;

use super::Order;
use super::fault::Break;
use super::head::{self, Head};
use super::lot::Kept;
use super::meter::{Meter, Sums};
use super::meter_postgres;
use super::write::{BATCH, Sorted, Tail, Told, sorted, warn};
use crate::Db;
use crate::db::fail;

pub(super) async fn start(db: &Db, mut waiting: Receiver<Order>) -> Result<(AnyPool, Head)> {
    let pool = db.pool().clone();
    let writer = pool.clone();
    let mut meter = Meter::default();
    meter_postgres::open(&pool, &mut meter).await?;
    tokio::spawn(async move {
        let mut batch = Vec::with_capacity(BATCH);
        while waiting.recv_many(&mut batch, BATCH).await > 0 {
            let taken = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
            let Sorted { events, callers, ends } = sorted(taken);
            match write(&writer, &mut meter, events).await {
                Ok(last) => Told::of(callers, last, Ok(())).tell(),
                Err(e) => {
                    meter.forget();
                    Told::of(callers, 0, Err(e)).tell();
                }
            }
            if !ends.is_empty() {
                drop(waiting);
                for done in ends {
                    let _ = done.send(());
                }
                return;
            }
        }
    });
    Ok((pool.clone(), Head::Table(pool)))
}

/// Processes take turns at the chain; the number is the platform's own ("qtau").
pub(super) const LOCK_SQL: &str = "SELECT CAST(pg_advisory_xact_lock(1903452533) AS TEXT)";

/// Writes events behind the chain's end; answers the number of the last.
async fn write(pool: &AnyPool, meter: &mut Meter, events: Vec<Arc<AuditEvent>>) -> Result<i64> {
    if events.is_empty() {
        return Ok(0);
    }
    let mut tx = pool.begin().await.map_err(fail)?;
    sqlx::query(LOCK_SQL).execute(&mut *tx).await.map_err(fail)?;
    // Tail and head change in one transaction, so that here they must always fit.
    let row = sqlx::query(
        "SELECT a.seq, a.hash, m.value, h.hash AS at_head FROM (SELECT 1 AS one) o
         LEFT JOIN (SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1) a ON 1 = 1
         LEFT JOIN meta m ON m.name = 'audit.head'
         LEFT JOIN audit h ON h.seq = CAST(SPLIT_PART(m.value, ' ', 1) AS BIGINT)",
    )
    .fetch_one(&mut *tx)
    .await
    .map_err(fail)?;
    let mut tail = Tail::genesis();
    if let Some(seq) = row.try_get::<Option<i64>, _>("seq").map_err(fail)? {
        tail.seq = seq;
        tail.hash = row.try_get("hash").map_err(fail)?;
    }
    let noted: Option<String> = row.try_get("value").map_err(fail)?;
    let noted = noted.as_deref().and_then(head::parse);
    let at_head: Option<String> = row.try_get("at_head").map_err(fail)?;
    tail.broken = Break::find(noted.as_ref(), tail.seq, at_head.as_deref(), 1);
    warn(tail.broken.as_ref());
    let lot = tail.link(&events);
    let records: Vec<Kept<'_>> = lot.records().collect();
    for chunk in records.chunks(500) {
        // The builder of sqlx writes `?` for an `Any` connection, which PostgreSQL does not read.
        let marks: Vec<String> = (0..chunk.len())
            .map(|r| {
                let row: Vec<String> = (1..=9).map(|c| format!("${}", r * 9 + c)).collect();
                format!("({})", row.join(", "))
            })
            .collect();
        let sql = format!(
            "INSERT INTO audit (seq, ts, actor, action, object, result, prev_hash, hash, body) VALUES {}",
            marks.join(", ")
        );
        let mut insert = sqlx::query(sqlx::AssertSqlSafe(sql));
        for r in chunk {
            insert = insert.bind(r.seq);
            for text in r.columns.into_iter().chain([r.prev_hash, r.hash, r.body]) {
                insert = insert.bind(text);
            }
        }
        insert.execute(&mut *tx).await.map_err(fail)?;
    }
    sqlx::query(
        "INSERT INTO meta (name, value) VALUES ('audit.head', $1)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(format!("{} {}", lot.last(), lot.hash()))
    .execute(&mut *tx)
    .await
    .map_err(fail)?;
    let mut sums = Sums::default();
    events.iter().for_each(|event| sums.add(event));
    meter_postgres::count(&mut tx, meter, &sums, lot.first(), lot.last()).await?;
    tx.commit().await.map_err(fail)?;
    Ok(lot.last())
}

//! The meter in PostgreSQL's control database. The caller holds the chain's lock.

use model::audit::AuditEvent;
use model::{Error, Result};
use sqlx::{Any, AnyPool, AssertSqlSafe, Row, Transaction};

use super::meter::{KEY_SQL, Meter, NUMBER_SQL, PIECE, Sums, day_sql, figures, hour_sql};
use super::write_postgres::LOCK_SQL;
use crate::db::{fail, number, text};

/// Lines in one statement at most.
const LINES: usize = 500;

/// Counts what the chain has beyond the meter, a piece in each transaction.
pub(super) async fn open(pool: &AnyPool, meter: &mut Meter) -> Result<()> {
    loop {
        let mut tx = pool.begin().await.map_err(fail)?;
        sqlx::query(LOCK_SQL).execute(&mut *tx).await.map_err(fail)?;
        let row = sqlx::query("SELECT COALESCE(MAX(seq), 0) AS n FROM audit")
            .fetch_one(&mut *tx)
            .await
            .map_err(fail)?;
        let last = number(&row, "n")?;
        let counted = piece(&mut tx, meter, last).await?;
        tx.commit().await.map_err(fail)?;
        if counted >= last {
            return Ok(());
        }
    }
}

/// Counts the records of a commit, numbered `first` to `last`.
pub(super) async fn count(
    tx: &mut Transaction<'static, Any>,
    meter: &mut Meter,
    sums: &Sums,
    first: i64,
    last: i64,
) -> Result<()> {
    // A process without a meter may have moved the chain on.
    while mark(tx).await? < first - 1 {
        piece(tx, meter, first - 1).await?;
    }
    add(tx, meter, sums).await?;
    move_mark(tx, last).await
}

async fn mark(tx: &mut Transaction<'static, Any>) -> Result<i64> {
    let row = sqlx::query("SELECT seq FROM meter_mark WHERE one = 1")
        .fetch_optional(&mut **tx)
        .await
        .map_err(fail)?
        .ok_or_else(|| Error::internal("the meter has no mark"))?;
    row.try_get("seq").map_err(fail)
}

async fn move_mark(tx: &mut Transaction<'static, Any>, seq: i64) -> Result<()> {
    sqlx::query("UPDATE meter_mark SET seq = $1 WHERE one = 1")
        .bind(seq)
        .execute(&mut **tx)
        .await
        .map_err(fail)?;
    Ok(())
}

async fn piece(tx: &mut Transaction<'static, Any>, meter: &mut Meter, last: i64) -> Result<i64> {
    let from = mark(tx).await?;
    if from >= last {
        return Ok(from);
    }
    let to = last.min(from.saturating_add(PIECE));
    let rows = sqlx::query("SELECT body FROM audit WHERE seq > $1 AND seq <= $2 ORDER BY seq")
        .bind(from)
        .bind(to)
        .fetch_all(&mut **tx)
        .await
        .map_err(fail)?;
    let mut sums = Sums::default();
    for row in &rows {
        // One that cannot be read is told by the chain's own check.
        if let Ok(event) = serde_json::from_str::<AuditEvent>(&text(row, "body")?) {
            sums.add(&event);
        }
    }
    add(tx, meter, &sums).await?;
    move_mark(tx, to).await?;
    Ok(to)
}

async fn add(tx: &mut Transaction<'static, Any>, meter: &mut Meter, sums: &Sums) -> Result<()> {
    for key in meter.unknown(sums) {
        let mut found = None;
        for sql in [KEY_SQL, NUMBER_SQL] {
            let mut query = sqlx::query(sql);
            for part in &key {
                query = query.bind(part.clone());
            }
            if let Some(row) = query.fetch_optional(&mut **tx).await.map_err(fail)? {
                found = Some(number(&row, "id")?);
            }
        }
        if let Some(found) = found {
            meter.learn(key, found);
        }
    }
    let mark = |n: usize| format!("${n}");
    for chunk in sums.days().chunks(LINES) {
        let mut query = sqlx::query(AssertSqlSafe(day_sql(mark, chunk.len())));
        for line in chunk {
            query = query.bind(line.day.clone()).bind(meter.number(&line.key));
            for figure in figures(&line.usage) {
                query = query.bind(figure);
            }
        }
        query.execute(&mut **tx).await.map_err(fail)?;
    }
    for chunk in sums.hours().chunks(LINES) {
        let mut query = sqlx::query(AssertSqlSafe(hour_sql(mark, chunk.len())));
        for line in chunk {
            let [calls, rows, bytes, micros, ..] = figures(&line.usage);
            query = query.bind(line.hour.clone()).bind(line.outcome.clone());
            query = query.bind(calls).bind(rows).bind(bytes).bind(micros);
        }
        query.execute(&mut **tx).await.map_err(fail)?;
    }
    Ok(())
}

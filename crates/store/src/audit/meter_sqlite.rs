//! The meter in SQLite's audit file.

use std::sync::LazyLock;

use model::audit::AuditEvent;
use rusqlite::{
    Connection, OptionalExtension, Transaction, TransactionBehavior, params, params_from_iter,
};

use super::meter::{KEY_SQL, Meter, NUMBER_SQL, PIECE, Sums, day_sql, figures, hour_sql};
use crate::db::METER_SQL;

type Outcome<T> = rusqlite::Result<T>;

/// Spelled once: a commit has no time to spell it again.
static DAY_SQL: LazyLock<String> = LazyLock::new(|| day_sql(|n| format!("?{n}"), 1));
static HOUR_SQL: LazyLock<String> = LazyLock::new(|| hour_sql(|n| format!("?{n}"), 1));

/// Makes the meter's tables where there are none yet, and counts what the chain has beyond them, a piece in each transaction.
pub(super) fn open(connection: &mut Connection, meter: &mut Meter) -> Outcome<()> {
    {
        // Two processes may open a new folder at once.
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let exists: bool = tx.query_row(
            "SELECT count(*) > 0 FROM sqlite_master WHERE name = 'meter_mark'",
            [],
            |row| row.get(0),
        )?;
        if !exists {
            tx.execute_batch(&tables())?;
        }
        tx.commit()?;
    }
    loop {
        // What is read here is written upon: nobody may write in between.
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let last: i64 =
            tx.query_row("SELECT COALESCE(MAX(seq), 0) FROM audit", [], |row| row.get(0))?;
        let counted = piece(&tx, meter, last)?;
        tx.commit()?;
        if counted >= last {
            return Ok(());
        }
    }
}

/// The tables as SQLite has them.
fn tables() -> String {
    METER_SQL
        .replace("id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "id INTEGER PRIMARY KEY")
        // A line is found by its key; a table beside the index would be written twice.
        .replace("PRIMARY KEY (day, key_id))", "PRIMARY KEY (day, key_id)) WITHOUT ROWID")
        .replace("PRIMARY KEY (hour, outcome))", "PRIMARY KEY (hour, outcome)) WITHOUT ROWID")
}

/// Counts the records of a commit, numbered `first` to `last`, which add up to `sums`.
pub(super) fn count(
    tx: &Transaction<'_>,
    meter: &mut Meter,
    sums: &Sums,
    first: i64,
    last: i64,
) -> Outcome<()> {
    // A process without a meter may have moved the chain on.
    while mark(tx)? < first - 1 {
        piece(tx, meter, first - 1)?;
    }
    add(tx, meter, sums)?;
    move_mark(tx, last)
}

fn mark(tx: &Transaction<'_>) -> Outcome<i64> {
    tx.prepare_cached("SELECT seq FROM meter_mark WHERE one = 1")?.query_row([], |row| row.get(0))
}

fn move_mark(tx: &Transaction<'_>, seq: i64) -> Outcome<()> {
    tx.prepare_cached("UPDATE meter_mark SET seq = ?1 WHERE one = 1")?.execute([seq]).map(|_| ())
}

/// Counts at most so many records behind the mark, up to `last`; answers the mark.
fn piece(tx: &Transaction<'_>, meter: &mut Meter, last: i64) -> Outcome<i64> {
    let from = mark(tx)?;
    if from >= last {
        return Ok(from);
    }
    let to = last.min(from.saturating_add(PIECE));
    let mut sums = Sums::default();
    {
        let mut read =
            tx.prepare_cached("SELECT body FROM audit WHERE seq > ?1 AND seq <= ?2 ORDER BY seq")?;
        let mut rows = read.query([from, to])?;
        while let Some(row) = rows.next()? {
            let body: String = row.get(0)?;
            // One that cannot be read is told by the chain's own check.
            if let Ok(event) = serde_json::from_str::<AuditEvent>(&body) {
                sums.add(&event);
            }
        }
    }
    add(tx, meter, &sums)?;
    move_mark(tx, to)?;
    Ok(to)
}

fn add(tx: &Transaction<'_>, meter: &mut Meter, sums: &Sums) -> Outcome<()> {
    for key in meter.unknown(sums) {
        tx.prepare_cached(KEY_SQL)?.execute(params_from_iter(&key))?;
        let number: Option<i64> = tx
            .prepare_cached(NUMBER_SQL)?
            .query_row(params_from_iter(&key), |row| row.get(0))
            .optional()?;
        if let Some(number) = number {
            meter.learn(key, number);
        }
    }
    let mut line = tx.prepare_cached(&DAY_SQL)?;
    for sum in sums.days() {
        line.raw_bind_parameter(1, &sum.day)?;
        line.raw_bind_parameter(2, meter.number(&sum.key))?;
        for (n, figure) in figures(&sum.usage).into_iter().enumerate() {
            line.raw_bind_parameter(n + 3, figure)?;
        }
        line.raw_execute()?;
    }
    let mut line = tx.prepare_cached(&HOUR_SQL)?;
    for sum in sums.hours() {
        let [calls, rows, bytes, micros, ..] = figures(&sum.usage);
        line.execute(params![sum.hour, sum.outcome, calls, rows, bytes, micros])?;
    }
    Ok(())
}

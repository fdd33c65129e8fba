//! Writers of the chain, one per database.

use std::path::{Path, PathBuf};

use model::audit::AuditRecord;
use model::{Code, Error, Result};
use sqlx::any::AnyPoolOptions;
use sqlx::{AnyPool, Row};
use tokio::sync::mpsc::Receiver;

use super::Pending;
use crate::db::{AUDIT_SQL, fail, to_json};
use crate::{Db, StoreConfig};

/// Records in one commit at most.
const BATCH: usize = 1024;

/// Where the last number and hash are noted beside the chain.
#[derive(Clone, Debug)]
pub(crate) enum Head {
    File(PathBuf),
    Table(AnyPool),
}

impl Head {
    /// Last number and hash noted; `None` when nothing was ever written.
    pub(crate) async fn read(&self) -> Result<Option<(i64, String)>> {
        let text = match self {
            Head::File(path) => match tokio::fs::read_to_string(path).await {
                Ok(text) => text,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(Error::of(Code::AuditUnavailable).caused_by(e)),
            },
            Head::Table(pool) => {
                match sqlx::query("SELECT value FROM meta WHERE name = 'audit.head'")
                    .fetch_optional(pool)
                    .await
                    .map_err(fail)?
                {
                    Some(row) => row.try_get::<String, _>("value").map_err(fail)?,
                    None => return Ok(None),
                }
            }
        };
        Ok(text
            .trim()
            .split_once(' ')
            .and_then(|(seq, hash)| Some((seq.parse().ok()?, hash.to_owned()))))
    }
}

/// The end of the chain in memory.
struct Tail {
    seq: i64,
    hash: String,
}

impl Tail {
    /// Links a batch to the chain; the tail moves only when `keep` is called after the commit.
    fn link(&self, batch: Vec<Pending>) -> (Vec<AuditRecord>, Vec<Waiting>) {
        let (mut seq, mut hash) = (self.seq, self.hash.clone());
        batch
            .into_iter()
            .map(|pending| {
                seq += 1;
                let record = guard::chain::link(&hash, seq, pending.event);
                hash.clone_from(&record.hash);
                (record, pending.done)
            })
            .unzip()
    }
    fn keep(&mut self, records: &[AuditRecord]) {
        if let Some(last) = records.last() {
            self.seq = last.seq;
            self.hash.clone_from(&last.hash);
        }
    }
}

type Waiting = tokio::sync::oneshot::Sender<Result<i64>>;

fn answer(waiting: Vec<Waiting>, records: &[AuditRecord], outcome: Result<()>) {
    if let Err(e) = outcome {
        tracing::error!(error = %e.operator_text(), "the audit chain cannot be written");
        for done in waiting {
            let _ = done.send(Err(Error::of(Code::AuditUnavailable)));
        }
        return;
    }
    for (done, record) in waiting.into_iter().zip(records) {
        let _ = done.send(Ok(record.seq));
    }
}

pub(crate) async fn start_sqlite(
    config: &StoreConfig,
    waiting: Receiver<Pending>,
) -> Result<(AnyPool, Head)> {
    let path = config.folder.join("audit.db");
    let head_path = config.folder.join("audit.head");
    let connection = open_sqlite(&path)?;
    let tail = last(&connection)?;
    let for_thread = head_path.clone();
    std::thread::Builder::new()
        .name("audit".into())
        .spawn(move || run_sqlite(connection, tail, waiting, &for_thread))
        .map_err(|e| Error::of(Code::AuditUnavailable).caused_by(e))?;
    let pool = AnyPoolOptions::new()
        .max_connections(2)
        .connect(&format!("sqlite://{}?mode=ro", path.display()))
        .await
        .map_err(fail)?;
    Ok((pool, Head::File(head_path)))
}

fn broken(e: rusqlite::Error) -> Error {
    Error::of(Code::AuditUnavailable).caused_by(e)
}

fn open_sqlite(path: &Path) -> Result<rusqlite::Connection> {
    let connection = rusqlite::Connection::open(path).map_err(broken)?;
    connection.busy_timeout(std::time::Duration::from_secs(15)).map_err(broken)?;
    // FULL: a record is on the disk before anyone is told so.
    connection
        .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000;")
        .map_err(broken)?;
    let exists: bool = connection
        .query_row("SELECT count(*) > 0 FROM sqlite_master WHERE name = 'audit'", [], |row| {
            row.get(0)
        })
        .map_err(broken)?;
    if !exists {
        connection.execute_batch(AUDIT_SQL).map_err(broken)?;
    }
    Ok(connection)
}

fn last(connection: &rusqlite::Connection) -> Result<Tail> {
    use rusqlite::OptionalExtension;
    let found = connection
        .query_row("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1", [], |row| {
            Ok(Tail { seq: row.get(0)?, hash: row.get(1)? })
        })
        .optional()
        .map_err(broken)?;
    Ok(found.unwrap_or_else(|| Tail { seq: 0, hash: guard::chain::GENESIS.to_owned() }))
}

fn run_sqlite(
    mut connection: rusqlite::Connection,
    mut tail: Tail,
    mut waiting: Receiver<Pending>,
    head: &Path,
) {
    let mut batch = Vec::with_capacity(BATCH);
    while waiting.blocking_recv_many(&mut batch, BATCH) > 0 {
        let taken = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
        let (records, callers) = tail.link(taken);
        let outcome = write_sqlite(&mut connection, &records);
        if outcome.is_ok() {
            tail.keep(&records);
            // Not synced: it may lag behind the chain after a crash, never run ahead of it.
            if let Err(e) = std::fs::write(head, format!("{} {}\n", tail.seq, tail.hash)) {
                tracing::warn!(error = %e, "the head of the audit chain could not be noted");
            }
        }
        answer(callers, &records, outcome);
    }
}

fn write_sqlite(connection: &mut rusqlite::Connection, records: &[AuditRecord]) -> Result<()> {
    let tx = connection.transaction().map_err(broken)?;
    {
        let mut insert = tx
            .prepare_cached(
                "INSERT INTO audit (seq, ts, actor, action, object, result, prev_hash, hash, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )
            .map_err(broken)?;
        for r in records {
            let e = &r.event;
            let body = to_json(e)?;
            insert
                .execute(rusqlite::params![
                    r.seq,
                    e.ts,
                    e.actor,
                    e.action,
                    e.object,
                    e.result,
                    r.prev_hash,
                    r.hash,
                    body
                ])
                .map_err(broken)?;
        }
    }
    tx.commit().map_err(broken)
}

pub(crate) fn start_postgres(db: &Db, mut waiting: Receiver<Pending>) -> (AnyPool, Head) {
    let pool = db.pool().clone();
    let writer = pool.clone();
    tokio::spawn(async move {
        let mut batch = Vec::with_capacity(BATCH);
        while waiting.recv_many(&mut batch, BATCH).await > 0 {
            let taken = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
            let (mut records, mut callers) = (Vec::new(), Vec::new());
            let outcome = write_postgres(&writer, taken, &mut records, &mut callers).await;
            answer(callers, &records, outcome);
        }
    });
    (pool.clone(), Head::Table(pool))
}

async fn write_postgres(
    pool: &AnyPool,
    batch: Vec<Pending>,
    records: &mut Vec<AuditRecord>,
    callers: &mut Vec<Waiting>,
) -> Result<()> {
    let mut tx = pool.begin().await.map_err(fail)?;
    // Processes take turns; the number is the platform's own ("qtau").
    sqlx::query("SELECT CAST(pg_advisory_xact_lock(1903452533) AS TEXT)")
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
    let tail = match sqlx::query("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
        .fetch_optional(&mut *tx)
        .await
        .map_err(fail)?
    {
        Some(row) => Tail {
            seq: row.try_get("seq").map_err(fail)?,
            hash: row.try_get("hash").map_err(fail)?,
        },
        None => Tail { seq: 0, hash: guard::chain::GENESIS.to_owned() },
    };
    (*records, *callers) = tail.link(batch);
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
        let bodies = chunk.iter().map(|r| to_json(&r.event)).collect::<Result<Vec<_>>>()?;
        let mut insert = sqlx::query(sqlx::AssertSqlSafe(sql));
        for (r, body) in chunk.iter().zip(&bodies) {
            insert = insert
                .bind(r.seq)
                .bind(r.event.ts.as_str())
                .bind(r.event.actor.as_str())
                .bind(r.event.action.as_str())
                .bind(r.event.object.as_str())
                .bind(r.event.result.as_str())
                .bind(r.prev_hash.as_str())
                .bind(r.hash.as_str())
                .bind(body.as_str());
        }
        insert.execute(&mut *tx).await.map_err(fail)?;
    }
    if let Some(r) = records.last() {
        sqlx::query(
            "INSERT INTO meta (name, value) VALUES ('audit.head', $1)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(format!("{} {}", r.seq, r.hash))
        .execute(&mut *tx)
        .await
        .map_err(fail)?;
    }
    tx.commit().await.map_err(fail)
}

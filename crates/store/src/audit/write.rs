//! Writers of the chain, one per database.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::audit::AuditEvent;
use model::{Code, Error, Result};
use sqlx::any::AnyPoolOptions;
use sqlx::{AnyPool, Row};
use tokio::sync::mpsc::{Receiver, UnboundedSender};

use super::Pending;
use super::checkpoint::Checkpoints;
use super::fault::Break;
use super::head::{self, HeadFile};
use super::meter::Meter;
use super::{meter_postgres, meter_sqlite};
use crate::db::{AUDIT_SQL, fail};
use crate::{Db, StoreConfig};

pub(crate) use super::head::Head;

/// Records in one commit at most.
const BATCH: usize = 1024;
/// Callers who came together are likely to come together again: where fewer than half as many wait as shared the last
/// commit, the writer gives them this long, so that they share one. A lone caller never waits.
const GATHER: Duration = Duration::from_micros(100);

/// The end of the chain in memory.
struct Tail {
    seq: i64,
    hash: String,
    /// The end was found not to fit the head; the next record says so.
    broken: Option<Break>,
}

impl Tail {
    fn genesis() -> Self {
        Self { seq: 0, hash: guard::chain::GENESIS.to_owned(), broken: None }
    }

    /// Links events to the chain, behind the record of a break if one is still untold. The tail moves only when
    /// `keep` is called after the commit.
    fn link(&self, events: Vec<Arc<AuditEvent>>) -> Vec<Linked> {
        let (mut seq, mut hash) = (self.seq, self.hash.clone());
        let told =
            self.broken.as_ref().zip(events.first()).map(|(b, next)| Arc::new(b.event(next)));
        told.into_iter()
            .chain(events)
            .map(|event| {
                seq += 1;
                let (next, body) = guard::chain::link_text(&hash, seq, &event);
                let prev_hash = std::mem::replace(&mut hash, next.clone());
                Linked { seq, prev_hash, hash: next, body, event }
            })
            .collect()
    }
    fn keep(&mut self, records: &[Linked]) {
        if let Some(last) = records.last() {
            self.seq = last.seq;
            self.hash.clone_from(&last.hash);
            self.broken = None;
        }
    }
}

/// A record in its place, with the canonical JSON that is hashed and kept.
struct Linked {
    seq: i64,
    prev_hash: String,
    hash: String,
    body: String,
    event: Arc<AuditEvent>,
}

type Waiting = tokio::sync::oneshot::Sender<Result<i64>>;

fn part(batch: Vec<Pending>) -> (Vec<Arc<AuditEvent>>, Vec<Waiting>) {
    batch.into_iter().map(|p| (p.event, p.done)).unzip()
}

/// What everyone who waited for a commit is to be told.
enum Told {
    /// The first caller's number; the others' follow it.
    Written(i64, Vec<Waiting>),
    Failed(Vec<Waiting>),
}

impl Told {
    /// The records are those of the callers, in their order, at the end of `records`.
    fn of(waiting: Vec<Waiting>, records: &[Linked], outcome: Result<()>) -> Self {
        if let Err(e) = outcome {
            tracing::error!(error = %e.operator_text(), "the audit chain cannot be written");
            return Self::Failed(waiting);
        }
        let first = records.len().saturating_sub(waiting.len());
        Self::Written(records.get(first).map_or(0, |r| r.seq), waiting)
    }

    fn tell(self) {
        match self {
            Self::Written(first, waiting) => {
                for (seq, done) in (first..).zip(waiting) {
                    let _ = done.send(Ok(seq));
                }
            }
            Self::Failed(waiting) => {
                for done in waiting {
                    let _ = done.send(Err(Error::of(Code::AuditUnavailable)));
                }
            }
        }
    }
}

/// A task that tells callers on the runtime's own threads: a thread outside it would wake each of them by a lock of its own.
fn bell() -> UnboundedSender<Told> {
    let (ring, mut rung) = tokio::sync::mpsc::unbounded_channel::<Told>();
    tokio::spawn(async move {
        while let Some(told) = rung.recv().await {
            told.tell();
        }
    });
    ring
}

fn warn(found: Option<&Break>) {
    if let Some(found) = found {
        let fault = found.fault();
        tracing::error!(
            record.seq = fault.seq,
            "the audit chain does not fit its head: {} / {}",
            fault.en,
            fault.zh
        );
    }
}

pub(crate) async fn start_sqlite(
    config: &StoreConfig,
    waiting: Receiver<Pending>,
) -> Result<(AnyPool, Head)> {
    let path = config.folder.join("audit.db");
    let head_path = config.folder.join("audit.head");
    // The head before the tail: a writer of another process moves the tail first.
    let noted = head::read_file(&head_path)?;
    let mut connection = open_sqlite(&path)?;
    let mut meter = Meter::default();
    meter_sqlite::open(&mut connection, &mut meter).map_err(broken)?;
    let tail = last(&connection, noted.as_ref())?;
    warn(tail.broken.as_ref());
    let head = HeadFile::open(&head_path)?;
    let checkpoints = Checkpoints::start(&path)?;
    let writer = Writer { connection, tail, meter, head, checkpoints, bell: bell() };
    std::thread::Builder::new()
        .name("audit".into())
        .spawn(move || writer.run(waiting))
        .map_err(|e| Error::of(Code::AuditUnavailable).caused_by(e))?;
    Ok((readers(config).await?, Head::File(head_path)))
}

fn broken(e: rusqlite::Error) -> Error {
    Error::of(Code::AuditUnavailable).caused_by(e)
}

fn open_sqlite(path: &Path) -> Result<rusqlite::Connection> {
    let connection = rusqlite::Connection::open(path).map_err(broken)?;
    connection.busy_timeout(Duration::from_secs(15)).map_err(broken)?;
    // FULL: a record is on the disk before anyone is told so. Records are added at the end and are about a KiB; of a commit's pages
    // most are those of indexes and the meter, written whole for a few bytes, so that larger ones cost more than they save.
    connection
        .execute_batch(
            "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;",
        )
        .map_err(broken)?;
    let exists: bool = connection
        .query_row("SELECT count(*) > 0 FROM sqlite_master WHERE name = 'audit'", [], |row| {
            row.get(0)
        })
        .map_err(broken)?;
    if !exists {
        // As INTEGER the number is SQLite's own row number and needs no index beside the table.
        let sql = AUDIT_SQL.replace("seq BIGINT PRIMARY KEY", "seq INTEGER PRIMARY KEY");
        connection.execute_batch(&sql).map_err(broken)?;
    }
    Ok(connection)
}

/// The chain's end, compared with the noted head.
fn last(connection: &rusqlite::Connection, noted: Option<&(i64, String)>) -> Result<Tail> {
    use rusqlite::OptionalExtension;
    let found = connection
        .query_row("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1", [], |row| {
            Ok(Tail { seq: row.get(0)?, hash: row.get(1)?, broken: None })
        })
        .optional()
        .map_err(broken)?;
    let mut tail = found.unwrap_or_else(Tail::genesis);
    let at_head: Option<String> = match noted {
        Some((seq, _)) => connection
            .query_row("SELECT hash FROM audit WHERE seq = ?1", [seq], |row| row.get(0))
            .optional()
            .map_err(broken)?,
        None => None,
    };
    tail.broken = Break::find(noted, tail.seq, at_head.as_deref(), HEADLESS_FROM);
    Ok(tail)
}

/// A process may die between its first commit and its first head; a longer chain without a head has lost it.
const HEADLESS_FROM: i64 = BATCH as i64 + 2;

/// The writer of SQLite's chain, on a thread of its own.
struct Writer {
    connection: rusqlite::Connection,
    tail: Tail,
    meter: Meter,
    head: HeadFile,
    checkpoints: Checkpoints,
    bell: UnboundedSender<Told>,
}

impl Writer {
    fn run(mut self, mut waiting: Receiver<Pending>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut together = 1;
        while waiting.blocking_recv_many(&mut batch, BATCH) > 0 {
            gather(&mut waiting, &mut batch, together);
            together = batch.len();
            let taken = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
            let (events, callers) = part(taken);
            let (records, outcome) = self.append(events);
            let written = records.len();
            let told = Told::of(callers, &records, outcome);
            // The records before their callers are told: what these put together they take apart.
            drop(records);
            // A runtime that is shutting down has no one left to tell.
            let _ = self.bell.send(told);
            self.checkpoints.after(&self.connection, written);
        }
    }

    /// Writes one batch. After a failure the end is read anew and, where another writer had moved it on, the batch is
    /// written behind it.
    fn append(&mut self, events: Vec<Arc<AuditEvent>>) -> (Vec<Linked>, Result<()>) {
        let records = self.tail.link(events);
        let first = match self.commit(&records) {
            Ok(()) => return (records, Ok(())),
            Err(e) => e,
        };
        let before = self.tail.seq;
        let noted = (before, self.tail.hash.clone());
        let noted = Some(noted).filter(|(seq, _)| *seq > 0);
        match last(&self.connection, noted.as_ref()) {
            Ok(mut now) => {
                warn(now.broken.as_ref());
                now.broken = now.broken.or_else(|| self.tail.broken.take());
                let moved = now.seq != before;
                self.tail = now;
                let done = |r: &Linked| r.seq == self.tail.seq && r.hash == self.tail.hash;
                if records.last().is_some_and(done) {
                    // The commit was done although it was reported as failed.
                    self.tail.broken = None;
                    return (records, Ok(()));
                }
                if !moved {
                    return (records, Err(first));
                }
                tracing::warn!(error = %first.operator_text(), "another writer moved the audit chain on");
                let events = records
                    .into_iter()
                    .map(|r| r.event)
                    .filter(|e| e.action != super::fault::ACTION)
                    .collect();
                let records = self.tail.link(events);
                let outcome = self.commit(&records);
                (records, outcome)
            }
            Err(e) => {
                tracing::error!(error = %e.operator_text(), "the end of the audit chain cannot be read");
                (records, Err(first))
            }
        }
    }

    fn commit(&mut self, records: &[Linked]) -> Result<()> {
        write_sqlite(&mut self.connection, &mut self.meter, records)
            .inspect_err(|_| self.meter.forget())?;
        self.tail.keep(records);
        if let Err(e) = self.head.note(self.tail.seq, &self.tail.hash) {
            tracing::warn!(error = %e, "the head of the audit chain could not be noted");
        }
        Ok(())
    }
}

/// Waits a moment for those who shared the last commit.
fn gather(waiting: &mut Receiver<Pending>, batch: &mut Vec<Pending>, together: usize) {
    if together <= 2 || batch.len() * 2 >= together {
        return;
    }
    std::thread::sleep(GATHER);
    while batch.len() < BATCH
        && let Ok(pending) = waiting.try_recv()
    {
        batch.push(pending);
    }
}

fn write_sqlite(
    connection: &mut rusqlite::Connection,
    meter: &mut Meter,
    records: &[Linked],
) -> Result<()> {
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
                    r.body
                ])
                .map_err(broken)?;
        }
    }
    if let (Some(first), Some(last)) = (records.first(), records.last()) {
        let events = records.iter().map(|r| &*r.event);
        meter_sqlite::count(&tx, meter, events, first.seq, last.seq).map_err(broken)?;
    }
    tx.commit().map_err(broken)
}

/// SQLite's chain for reading, with the control database beside it: names of what was counted stand there.
pub(super) async fn readers(config: &StoreConfig) -> Result<AnyPool> {
    let control = config.folder.join("control.db").display().to_string();
    AnyPoolOptions::new()
        .max_connections(2)
        .after_connect(move |connection, _| {
            let control = control.clone();
            Box::pin(async move {
                sqlx::query("ATTACH DATABASE $1 AS control")
                    .bind(control)
                    .execute(connection)
                    .await?;
                Ok(())
            })
        })
        .connect(&format!("sqlite://{}?mode=ro", config.folder.join("audit.db").display()))
        .await
        .map_err(fail)
}

pub(crate) async fn start_postgres(
    db: &Db,
    mut waiting: Receiver<Pending>,
) -> Result<(AnyPool, Head)> {
    let pool = db.pool().clone();
    let writer = pool.clone();
    let mut meter = Meter::default();
    meter_postgres::open(&pool, &mut meter).await?;
    tokio::spawn(async move {
        let mut batch = Vec::with_capacity(BATCH);
        while waiting.recv_many(&mut batch, BATCH).await > 0 {
            let taken = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
            let (events, callers) = part(taken);
            match write_postgres(&writer, &mut meter, events).await {
                Ok(records) => Told::of(callers, &records, Ok(())).tell(),
                Err(e) => {
                    meter.forget();
                    Told::of(callers, &[], Err(e)).tell();
                }
            }
        }
    });
    Ok((pool.clone(), Head::Table(pool)))
}

/// Processes take turns at the chain; the number is the platform's own ("qtau").
pub(super) const LOCK_SQL: &str = "SELECT CAST(pg_advisory_xact_lock(1903452533) AS TEXT)";

async fn write_postgres(
    pool: &AnyPool,
    meter: &mut Meter,
    events: Vec<Arc<AuditEvent>>,
) -> Result<Vec<Linked>> {
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
    let records = tail.link(events);
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
            insert = insert
                .bind(r.seq)
                .bind(r.event.ts.as_str())
                .bind(r.event.actor.as_str())
                .bind(r.event.action.as_str())
                .bind(r.event.object.as_str())
                .bind(r.event.result.as_str())
                .bind(r.prev_hash.as_str())
                .bind(r.hash.as_str())
                .bind(r.body.as_str());
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
    if let (Some(first), Some(last)) = (records.first(), records.last()) {
        let events: Vec<&AuditEvent> = records.iter().map(|r| &*r.event).collect();
        let (first, last) = (first.seq, last.seq);
        meter_postgres::count(&mut tx, meter, &events, first, last).await?;
    }
    tx.commit().await.map_err(fail)?;
    Ok(records)
}

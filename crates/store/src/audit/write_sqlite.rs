//! The writer of SQLite's chain, on a thread of its own: the journal first, then the callers are told, then the table follows.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::audit::AuditEvent;
use model::{Code, Error, Result};
use rusqlite::OptionalExtension;
use sqlx::AnyPool;
use tokio::sync::mpsc::{Receiver, UnboundedSender};

use super::checkpoint::Checkpoints;
use super::fault::Break;
use super::head::{self, Head, HeadFile};
use super::journal::{Journal, Line};
use super::lot::{Kept, Lot};
use super::meter::Meter;
use super::settle::{self, Settled, Settling};
use super::write::{BATCH, Sorted, Tail, Told, Waiting, bell, sorted, warn};
use super::{Order, meter_sqlite};
use crate::StoreConfig;
use crate::db::{AUDIT_SQL, fail, sqlite_pool};

/// Callers who came together are likely to come together again: where fewer than half as many wait as shared the last
/// commit, the writer gives them this long, so that they share one. A lone caller never waits.
const GATHER: Duration = Duration::from_micros(100);
/// A process may die between its first commit and its first head; a longer chain without a head has lost it.
const HEADLESS_FROM: i64 = BATCH as i64 + 2;
/// A writer that is ending on the same folder is waited for so often and so long.
const TAKEN: (u32, Duration) = (150, Duration::from_millis(20));

pub(super) async fn start(
    config: &StoreConfig,
    waiting: Receiver<Order>,
) -> Result<(AnyPool, Head, Settled)> {
    let path = config.folder.join("audit.db");
    let head_path = config.folder.join("audit.head");
    let (mut journal, found) = journal(&config.folder).await?;
    let noted = head::read_file(&head_path)?;
    let mut connection = open(&path)?;
    let mut meter = Meter::default();
    meter_sqlite::open(&mut connection, &mut meter).map_err(broken)?;
    recover(&mut connection, &mut meter, &journal, found, noted.as_ref())?;
    journal.clear().map_err(|e| Error::of(Code::AuditUnavailable).caused_by(e))?;
    let tail = last(&connection, noted.as_ref())?;
    warn(tail.broken.as_ref());
    let settling = Settling::start(connection, meter, Checkpoints::start(&path)?, tail.seq)?;
    let settled = settling.settled();
    let head = HeadFile::open(&head_path)?;
    let writer = Writer { journal, tail, head, settling, bell: bell() };
    std::thread::Builder::new()
        .name("audit".into())
        .spawn(move || writer.run(waiting))
        .map_err(|e| Error::of(Code::AuditUnavailable).caused_by(e))?;
    Ok((readers(config).await?, Head::File(head_path), settled))
}

/// Opens the journal, after the one who has it has ended.
async fn journal(folder: &Path) -> Result<(Journal, Vec<Line>)> {
    let mut tries = 0;
    loop {
        match Journal::open(folder) {
            Err(_) if tries < TAKEN.0 => tokio::time::sleep(TAKEN.1).await,
            outcome => return outcome,
        }
        tries += 1;
    }
}

fn broken(e: rusqlite::Error) -> Error {
    Error::of(Code::AuditUnavailable).caused_by(e)
}

fn open(path: &Path) -> Result<rusqlite::Connection> {
    let connection = rusqlite::Connection::open(path).map_err(broken)?;
    connection.busy_timeout(Duration::from_secs(15)).map_err(broken)?;
    // FULL: what stands in the table is on the disk, and the journal may be written over.
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

/// Puts into the table what only the journal holds: what was written shortly before a crash. Where the journal does not follow from
/// the table's end the files are kept for who examines it, and the head tells of it.
fn recover(
    connection: &mut rusqlite::Connection,
    meter: &mut Meter,
    journal: &Journal,
    found: Vec<Line>,
    noted: Option<&(i64, String)>,
) -> Result<()> {
    // Whether it fits the head is asked when the journal is in the table.
    let mut tail = end(connection)?;
    let settled = tail.seq;
    let mut rest = found.into_iter().skip_while(|line| line.seq <= settled).peekable();
    let mut taken = 0;
    while rest.peek().is_some() {
        let lines: Vec<Line> = rest.by_ref().take(BATCH).collect();
        let (lot, events) = follow(&tail, &lines);
        if events.is_empty() {
            break;
        }
        tail.keep(lot.last(), lot.hash());
        settle::write_one(connection, meter, lot, &events).map_err(broken)?;
        taken += events.len();
        if events.len() < lines.len() {
            break;
        }
    }
    if taken > 0 {
        tracing::info!(records = taken, "the audit journal was put into its table");
    }
    if noted.is_some_and(|(seq, _)| *seq > tail.seq) {
        let kept = journal.put_aside(tail.seq);
        kept.map_err(|e| Error::of(Code::AuditUnavailable).caused_by(e))?;
    }
    Ok(())
}

/// The records that follow from the end, up to the first that does not, and what they tell.
fn follow(tail: &Tail, lines: &[Line]) -> (Lot, Vec<Arc<AuditEvent>>) {
    let read = |line: &Line| serde_json::from_str::<AuditEvent>(&line.body).ok().map(Arc::new);
    let mut events: Vec<_> = lines.iter().map_while(read).collect();
    let lot = tail.link(&events);
    let fits = |(r, line): &(Kept<'_>, &Line)| {
        (r.seq, r.hash, r.body) == (line.seq, line.hash.as_str(), line.body.as_str())
    };
    let fitting = lot.records().zip(lines).take_while(fits).count();
    if fitting == events.len() {
        return (lot, events);
    }
    events.truncate(fitting);
    (tail.link(&events), events)
}

/// The table's end.
fn end(connection: &rusqlite::Connection) -> Result<Tail> {
    let found = connection
        .query_row("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1", [], |row| {
            Ok(Tail { seq: row.get(0)?, hash: row.get(1)?, broken: None })
        })
        .optional()
        .map_err(broken)?;
    Ok(found.unwrap_or_else(Tail::genesis))
}

/// The table's end, compared with the noted head.
fn last(connection: &rusqlite::Connection, noted: Option<&(i64, String)>) -> Result<Tail> {
    let mut tail = end(connection)?;
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

struct Writer {
    journal: Journal,
    tail: Tail,
    head: HeadFile,
    settling: Settling,
    bell: UnboundedSender<Told>,
}

impl Writer {
    fn run(mut self, mut waiting: Receiver<Order>) {
        let mut batch = Vec::with_capacity(BATCH);
        let (mut together, mut ends) = (1, Vec::new());
        while ends.is_empty() && waiting.blocking_recv_many(&mut batch, BATCH) > 0 {
            gather(&mut waiting, &mut batch, together);
            together = batch.len();
            let taken = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
            let Sorted { events, callers, ends: asked } = sorted(taken);
            ends = asked;
            if !events.is_empty() {
                self.write(events, callers);
            }
        }
        drop(waiting);
        self.end();
        for done in ends {
            let _ = done.send(());
        }
    }

    fn write(&mut self, events: Vec<Arc<AuditEvent>>, callers: Vec<Waiting>) {
        let lot = self.tail.link(&events);
        let outcome = self.commit(&lot);
        let (last, written) = (lot.last(), outcome.is_ok());
        if written {
            self.settling.put(lot, &events);
        }
        // The events before their callers are told: what these put together they take apart.
        drop(events);
        // A runtime that is shutting down has no one left to tell.
        let _ = self.bell.send(Told::of(callers, last, outcome));
    }

    fn commit(&mut self, lot: &Lot) -> Result<()> {
        self.settling.room()?;
        self.journal
            .write(lot, self.settling.last())
            .map_err(|e| Error::of(Code::AuditUnavailable).caused_by(e))?;
        self.tail.keep(lot.last(), lot.hash());
        self.settling.written(lot.last());
        if let Err(e) = self.head.note(self.tail.seq, &self.tail.hash) {
            tracing::warn!(error = %e, "the head of the audit chain could not be noted");
        }
        Ok(())
    }

    /// Empties the journal when the table holds everything; else the next start finds it.
    fn end(mut self) {
        if self.settling.end()
            && let Err(e) = self.journal.clear()
        {
            tracing::warn!(error = %e, "the audit journal could not be emptied");
        }
    }
}

/// Waits a moment for those who shared the last commit.
fn gather(waiting: &mut Receiver<Order>, batch: &mut Vec<Order>, together: usize) {
    if together <= 2 || batch.len() * 2 >= together {
        return;
    }
    std::thread::sleep(GATHER);
    while batch.len() < BATCH
        && let Ok(order) = waiting.try_recv()
    {
        batch.push(order);
    }
}

/// SQLite's chain for reading, with the control database beside it: names of what was counted stand there.
pub(super) async fn readers(config: &StoreConfig) -> Result<AnyPool> {
    let control = config.folder.join("control.db").display().to_string();
    sqlite_pool(2)
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

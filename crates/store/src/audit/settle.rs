//! Puts what the journal holds into SQLite's table, with its indexes and the meter, many records at a time.
//!
//! A thread of its own takes what has gathered and writes it in one transaction (*metered = audited*). It takes its time, so that a
//! page of an index or a line of the meter is written once for thousands of records; who reads the chain asks for what is still
//! on its way and waits for it ([`Settled`]): the reader sees every record whose caller was told.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use model::audit::AuditEvent;
use model::{Code, Error, Result};
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::checkpoint::Checkpoints;
use super::head;
use super::lot::Lot;
use super::meter::{Meter, Sums};
use super::meter_sqlite;

/// Bytes of records that are written without waiting for more.
const ENOUGH: usize = 4 << 20;
/// How long the first of them waits for others: pages of the indexes are written once for all of them. Readers do not wait for it.
const PAUSE: Duration = Duration::from_millis(300);
/// Bytes of records on their way at most; the writer of the journal waits beyond.
const MOST: usize = 64 << 20;
/// Between two tries after a failure.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a reader waits for what is on its way.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a command beside the server waits for it, and between two looks.
const BESIDE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_millis(10));

/// What waits for the table.
#[derive(Debug, Default)]
struct Gathered {
    lots: Vec<Lot>,
    sums: Sums,
    bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    gathered: Gathered,
    /// Bytes gathered, and those being written.
    held: usize,
    /// A reader waits.
    asked: bool,
    /// The table cannot be written.
    failing: bool,
    ended: bool,
}

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Something to do for the thread.
    work: Condvar,
    /// Room for the writer.
    room: Condvar,
    /// Number of the last record whose caller may have been told.
    written: AtomicI64,
    /// Number of the last record in the table.
    settled: watch::Sender<i64>,
}

/// The writer's side.
#[derive(Debug)]
pub(super) struct Settling {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Settling {
    /// Starts the thread behind a table that ends with record `last`.
    pub(super) fn start(
        connection: rusqlite::Connection,
        meter: Meter,
        checkpoints: Checkpoints,
        last: i64,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            room: Condvar::new(),
            written: AtomicI64::new(last),
            settled: watch::Sender::new(last),
        });
        let settler = Settler { shared: Arc::clone(&shared), connection, meter, checkpoints };
        let thread = std::thread::Builder::new()
            .name("audit-table".into())
            .spawn(move || settler.run())
            .map_err(|e| Error::of(Code::AuditUnavailable).caused_by(e))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// The readers' side.
    pub(super) fn settled(&self) -> Settled {
        Settled::Here(Arc::clone(&self.shared), self.shared.settled.subscribe())
    }

    /// Number of the last record in the table.
    pub(super) fn last(&self) -> i64 {
        *self.shared.settled.borrow()
    }

    /// Waits for room. Fails when there is none and the table cannot be written: records that no one can read are not to pile up.
    pub(super) fn room(&self) -> Result<()> {
        let mut state = self.shared.state.lock();
        while state.held > MOST {
            if state.failing {
                return Err(Error::of(Code::AuditUnavailable));
            }
            self.shared.room.wait(&mut state);
        }
        Ok(())
    }

    /// Records up to this number are durable: their callers are about to be told.
    pub(super) fn written(&self, seq: i64) {
        self.shared.written.store(seq, Ordering::Release);
    }

    /// Hands over what the journal holds now, made of these events.
    pub(super) fn put(&self, lot: Lot, events: &[Arc<AuditEvent>]) {
        let mut state = self.shared.state.lock();
        let first = state.gathered.lots.is_empty();
        events.iter().for_each(|event| state.gathered.sums.add(event));
        state.gathered.bytes += lot.size();
        state.held += lot.size();
        state.gathered.lots.push(lot);
        if first || state.gathered.bytes >= ENOUGH {
            self.shared.work.notify_one();
        }
    }

    /// Ends the thread when all is written; answers whether the table holds everything.
    pub(super) fn end(&mut self) -> bool {
        self.shared.state.lock().ended = true;
        self.shared.work.notify_one();
        let ended = self.thread.take().is_none_or(|thread| thread.join().is_ok());
        ended && self.last() >= self.shared.written.load(Ordering::Acquire)
    }
}

/// The thread.
struct Settler {
    shared: Arc<Shared>,
    connection: rusqlite::Connection,
    meter: Meter,
    checkpoints: Checkpoints,
}

impl Settler {
    fn run(mut self) {
        while let Some(gathered) = self.shared.next() {
            while let Err(e) = write(&mut self.connection, &mut self.meter, &gathered) {
                tracing::error!(error = %e, "the table of the audit chain cannot be written: the journal keeps its records");
                self.meter.forget();
                if self.shared.failed() {
                    return;
                }
            }
            self.shared.done(&gathered);
            self.checkpoints.after(&self.connection, gathered.bytes);
        }
    }
}

impl Shared {
    /// What has gathered; `None` at the end.
    fn next(&self) -> Option<Gathered> {
        let mut state = self.state.lock();
        while state.gathered.lots.is_empty() {
            if state.ended {
                return None;
            }
            self.work.wait(&mut state);
        }
        let until = std::time::Instant::now() + PAUSE;
        while !state.asked && !state.ended && state.gathered.bytes < ENOUGH {
            if self.work.wait_until(&mut state, until).timed_out() {
                break;
            }
        }
        state.asked = false;
        Some(std::mem::take(&mut state.gathered))
    }

    fn done(&self, gathered: &Gathered) {
        let mut state = self.state.lock();
        state.held = state.held.saturating_sub(gathered.bytes);
        state.failing = false;
        drop(state);
        self.room.notify_one();
        if let Some(lot) = gathered.lots.last() {
            self.settled.send_replace(lot.last());
        }
    }

    /// Waits a while after a failure; answers whether to give up.
    fn failed(&self) -> bool {
        let mut state = self.state.lock();
        state.failing = true;
        self.room.notify_one();
        if !state.ended {
            self.work.wait_for(&mut state, AGAIN);
        }
        state.ended
    }
}

fn write(
    connection: &mut rusqlite::Connection,
    meter: &mut Meter,
    gathered: &Gathered,
) -> rusqlite::Result<()> {
    let tx = connection.transaction()?;
    {
        let mut insert = tx.prepare_cached(
            "INSERT INTO audit (seq, ts, actor, action, object, result, prev_hash, hash, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        for r in gathered.lots.iter().flat_map(Lot::records) {
            let [ts, actor, action, object, result] = r.columns;
            insert.execute(rusqlite::params![
                r.seq,
                ts,
                actor,
                action,
                object,
                result,
                r.prev_hash,
                r.hash,
                r.body
            ])?;
        }
    }
    if let (Some(first), Some(last)) = (gathered.lots.first(), gathered.lots.last()) {
        meter_sqlite::count(&tx, meter, &gathered.sums, first.first(), last.last())?;
    }
    tx.commit()
}

/// Writes one lot at once: what a start found in the journal.
pub(super) fn write_one(
    connection: &mut rusqlite::Connection,
    meter: &mut Meter,
    lot: Lot,
    events: &[Arc<AuditEvent>],
) -> rusqlite::Result<()> {
    let mut gathered = Gathered::default();
    events.iter().for_each(|event| gathered.sums.add(event));
    gathered.lots.push(lot);
    write(connection, meter, &gathered)
}

/// What a reader has to wait for before it reads the table.
#[derive(Clone, Debug)]
pub(super) enum Settled {
    /// Nothing: records come into the table before their callers are told (PostgreSQL).
    Always,
    /// Another thread of this process.
    Here(Arc<Shared>, watch::Receiver<i64>),
    /// A server on the same folder, which notes the head.
    Beside(PathBuf),
}

impl Settled {
    pub(super) fn beside(head: &Path) -> Self {
        Self::Beside(head.to_owned())
    }

    /// Waits until everything whose callers were told stands in the table. Fails, at once where that is known, when the table cannot
    /// be written.
    pub(super) async fn wait(&self, pool: &sqlx::AnyPool) -> Result<()> {
        match self {
            Self::Always => Ok(()),
            Self::Here(shared, settled) => {
                let written = shared.written.load(Ordering::Acquire);
                let mut settled = settled.clone();
                if *settled.borrow_and_update() >= written {
                    return Ok(());
                }
                {
                    let mut state = shared.state.lock();
                    if state.failing {
                        return Err(Error::of(Code::AuditUnavailable));
                    }
                    state.asked = true;
                }
                shared.work.notify_one();
                let done = settled.wait_for(|last| *last >= written);
                match tokio::time::timeout(PATIENCE, done).await {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err(_)) | Err(_) => Err(Error::of(Code::AuditUnavailable)),
                }
            }
            Self::Beside(head) => {
                let Some((written, _)) = head::read_file(head)? else { return Ok(()) };
                let until = tokio::time::Instant::now() + BESIDE.0;
                // A head that the table never reaches is told by the chain's own check.
                while tokio::time::Instant::now() < until && last(pool).await? < written {
                    tokio::time::sleep(BESIDE.1).await;
                }
                Ok(())
            }
        }
    }
}

/// Number of the last record in the table.
pub(super) async fn last(pool: &sqlx::AnyPool) -> Result<i64> {
    let row = sqlx::query("SELECT COALESCE(MAX(seq), 0) AS n FROM audit")
        .fetch_one(pool)
        .await
        .map_err(crate::db::fail)?;
    crate::db::number(&row, "n")
}

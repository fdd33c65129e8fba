//! Moves what the chain's writer has put into SQLite's log (WAL) into the database file, beside the writer.
//!
//! Left to itself SQLite does that inside a commit, and everyone who waits for this commit waits for megabytes of pages.
//! Here a thread with a connection of its own does it while commits go on. A log starts anew only when it was moved
//! whole, which never happens under steady load; so when it has grown large the writer itself moves the last, short piece.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use model::{Code, Error, Result};

/// Bytes of records after which the log is moved: the more at once, the more often a page of an index is written once for many records.
const EVERY: usize = 32 << 20;
/// Pages of 8 KiB from which the log is to start anew (128 MB).
const LARGE: i64 = 16384;

/// The writer's side.
pub(super) struct Checkpoints {
    since: usize,
    nudge: SyncSender<()>,
    large: Arc<AtomicBool>,
}

impl Checkpoints {
    /// Starts the thread; it ends with the writer.
    pub(super) fn start(path: &Path) -> Result<Self> {
        let unavailable = |e: rusqlite::Error| Error::of(Code::AuditUnavailable).caused_by(e);
        let connection = rusqlite::Connection::open(path).map_err(unavailable)?;
        let (nudge, nudged) = sync_channel(1);
        let large = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&large);
        std::thread::Builder::new()
            .name("audit-log".into())
            .spawn(move || run(&connection, &nudged, &told))
            .map_err(|e| Error::of(Code::AuditUnavailable).caused_by(e))?;
        Ok(Self { since: 0, nudge, large })
    }

    /// To be called between commits with the bytes of the last one's records.
    pub(super) fn after(&mut self, connection: &rusqlite::Connection, bytes: usize) {
        self.since += bytes;
        if self.since < EVERY {
            return;
        }
        self.since = 0;
        if self.large.swap(false, Ordering::Relaxed) {
            checkpoint(connection);
        } else {
            // When the thread is still at it, the next time will do.
            let _ = self.nudge.try_send(());
        }
    }
}

fn run(connection: &rusqlite::Connection, nudged: &Receiver<()>, large: &AtomicBool) {
    while nudged.recv().is_ok() {
        if checkpoint(connection).is_some_and(|pages| pages > LARGE) {
            large.store(true, Ordering::Relaxed);
        }
    }
}

/// Moves what can be moved without disturbing anyone; answers the pages in the log.
fn checkpoint(connection: &rusqlite::Connection) -> Option<i64> {
    let pages = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1));
    pages.inspect_err(|e| tracing::warn!(error = %e, "the audit log could not be moved")).ok()
}

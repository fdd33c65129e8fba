//! Reading connections of the serving copy, each with a snapshot that it keeps for a moment.
//!
//! Opening and closing a snapshot takes four locks of a file, more than the look-up of a row; and what is known of the tables holds
//! as long as the snapshot does. So a reader keeps its snapshot over several calls: until this process has written, and a
//! hundredth of a second at most, for what another process may have written.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::Result;
use parking_lot::Mutex;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use super::super::Table;
use super::super::pattern::like;
use super::fail;

/// Idle readers kept.
const IDLE: usize = 16;
/// The longest a snapshot is used.
const FRESH: Duration = Duration::from_millis(10);

/// Readers on demand.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Reader>>,
    /// Goes up with everything this process has written.
    written: AtomicU64,
}

/// A connection that reads, within a snapshot.
pub(super) struct Reader {
    pub(super) connection: Connection,
    /// Tables of the snapshot that were asked for.
    pub(super) tables: HashMap<String, Arc<Table>>,
    snapshot: Option<Snapshot>,
    /// What SQLite tells of the file: the same number, the same content.
    version: i64,
}

#[derive(Clone, Copy)]
struct Snapshot {
    written: u64,
    since: Instant,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::default(), written: AtomicU64::new(0) }
    }

    /// Lends a reader to `work`, whose snapshot holds everything that was written before.
    pub(super) fn read<T>(&self, work: impl FnOnce(&mut Reader) -> Result<T>) -> Result<T> {
        let written = self.written.load(Ordering::Acquire);
        let idle = self.idle.lock().pop();
        let mut reader = match idle {
            Some(reader) => reader,
            None => self.open()?,
        };
        reader.renew(written)?;
        let done = work(&mut reader);
        if done.is_err() && reader.let_go().is_err() {
            return done;
        }
        let mut idle = self.idle.lock();
        if idle.len() < IDLE {
            idle.push(reader);
        }
        done
    }

    /// After a commit of this process: no reader answers from before it, and none that is idle keeps the log from being moved.
    pub(super) fn wrote(&self) {
        self.written.fetch_add(1, Ordering::Release);
        // A reader that cannot let go is closed, which ends its snapshot.
        self.idle.lock().retain_mut(|reader| reader.let_go().is_ok());
    }

    fn open(&self) -> Result<Reader> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags).map_err(fail)?;
        connection.busy_timeout(Duration::from_secs(15)).map_err(fail)?;
        // All of the file is mapped, whatever its size: pages are read where the system keeps them.
        connection
            .execute_batch(
                "PRAGMA mmap_size = 1099511627776; PRAGMA query_only = ON; PRAGMA cache_size = -8192;",
            )
            .map_err(fail)?;
        connection.set_prepared_statement_cache_capacity(128);
        for (name, fold) in [("q_like", false), ("q_ilike", true)] {
            let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
            connection
                .create_scalar_function(name, 2, flags, move |call| {
                    let (ValueRef::Text(text), ValueRef::Text(pattern)) =
                        (call.get_raw(0), call.get_raw(1))
                    else {
                        return Ok(None);
                    };
                    let (Ok(text), Ok(pattern)) =
                        (std::str::from_utf8(text), std::str::from_utf8(pattern))
                    else {
                        return Ok(Some(false));
                    };
                    Ok(Some(like(text, pattern, fold)))
                })
                .map_err(fail)?;
        }
        Ok(Reader { connection, tables: HashMap::new(), snapshot: None, version: 0 })
    }
}

impl Reader {
    /// A snapshot that is fresh, and holds what was written before.
    fn renew(&mut self, written: u64) -> Result<()> {
        let now = Instant::now();
        if let Some(held) = self.snapshot
            && held.written == written
            && now.duration_since(held.since) < FRESH
        {
            return Ok(());
        }
        self.let_go()?;
        self.run("BEGIN")?;
        // From here on the connection is in a transaction, whatever fails next.
        self.snapshot = Some(Snapshot { written, since: now });
        let version = self
            .connection
            .prepare_cached("PRAGMA data_version")
            .and_then(|mut asked| asked.query_row([], |row| row.get(0)));
        let version = match version {
            Ok(version) => version,
            Err(e) => {
                self.let_go()?;
                return Err(fail(e));
            }
        };
        if self.version != version {
            self.tables.clear();
            self.version = version;
        }
        Ok(())
    }

    /// Ends the snapshot.
    fn let_go(&mut self) -> Result<()> {
        if self.snapshot.take().is_some() {
            self.run("COMMIT")?;
        }
        Ok(())
    }

    fn run(&self, sql: &str) -> Result<()> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]).map(drop))
            .map_err(fail)
    }
}

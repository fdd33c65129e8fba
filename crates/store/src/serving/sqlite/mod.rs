//! The serving copy on SQLite: `serving.db` in the data folder, one writer, readers on demand.
//!
//! A query runs within the snapshot of its reader (`reader`), so that mark and rows belong together even while the table is swapped;
//! the mark is read once for a snapshot, and only its stamp where it has not changed. Full loads fill a table nobody reads yet in short transactions, then
//! index it and swap the mark in one; a load that a crash left behind is swept away later by the table `loading`.

mod load;
mod reader;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use model::batch::Batch;
use model::code::SyncMode;
use model::entry::Entry;
use model::query::{Grouping, Groups, RowPage, RowQuery};
use model::value::{Row, Value};
use model::{Code, Error, Result};
use parking_lot::{Mutex, RwLock};
use policy::{Grant, Permit};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, ToSql, Transaction, TransactionBehavior};
use tokio::sync::mpsc;

use self::load::Load;
use self::reader::{Reader, Readers};
use super::counts::Counts;
use super::shape::{Cell, Kind, Shape, integer_value, text_value};
use super::sql::{Counting, Dialect, View, bond, is_point, is_stretch, plan};
use super::statistics::{self, Read};
use super::{
    EMPTY, FILL, LONGEST, Masking, PATIENCE, Protection, ServingCopy, Table, Turns, names, nothing,
    token, too_slow,
};

const GROUND: &str = "
CREATE TABLE IF NOT EXISTS mark (entry TEXT PRIMARY KEY, name TEXT NOT NULL, generation INTEGER NOT NULL, stamp INTEGER NOT NULL, parcel TEXT NOT NULL, lake_version INTEGER NOT NULL, row_count INTEGER NOT NULL, shape TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS loading (name TEXT PRIMARY KEY, touched INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ticket (id INTEGER PRIMARY KEY CHECK (id = 1), n INTEGER NOT NULL);
INSERT OR IGNORE INTO ticket VALUES (1, 0);
";
const MARK: &str = "SELECT name, generation, stamp, parcel, lake_version, row_count, shape FROM mark WHERE entry = ?1";
/// What tells whether what is known of an entry's table still holds.
const STAMP: &str = "SELECT stamp FROM mark WHERE entry = ?1";
/// Seconds after which a load that moved nothing is taken for dead.
const DEAD_AFTER: i64 = 600;
/// Pages that may stand in the log after a load: a MiB. So few are found in it at one step and kept in a reader's own cache (8 MiB),
/// while moving them costs two waits for the disk, which a rail that lands every second would pay each time.
pub(super) const LOG_PAGES: i64 = 256;
/// Steps of SQLite's machine between two looks at the clock.
const STEPS: i32 = 5_000;

/// See the module's head.
pub(crate) struct Sqlite {
    inner: Arc<Inner>,
    turns: Turns,
}

struct Inner {
    writer: Mutex<Connection>,
    readers: Readers,
    /// What was last read of each table: most of it holds until its stamp changes.
    tables: RwLock<HashMap<String, Arc<Table>>>,
    counts: Counts,
    protection: Protection,
}

impl Sqlite {
    pub(crate) fn open(folder: &Path, protection: Protection) -> Result<Self> {
        let path = folder.join("serving.db");
        let writer = Connection::open(&path).map_err(fail)?;
        writer.busy_timeout(Duration::from_secs(600)).map_err(fail)?;
        writer
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -65536;
                 PRAGMA journal_size_limit = 67108864;",
            )
            .map_err(fail)?;
        writer.execute_batch(GROUND).map_err(fail)?;
        let inner = Inner {
            writer: Mutex::new(writer),
            readers: Readers::new(path),
            tables: RwLock::default(),
            counts: Counts::default(),
            protection,
        };
        inner.sweep()?;
        Ok(Self { inner: Arc::new(inner), turns: Turns::new(PATIENCE) })
    }
}

#[async_trait]
impl ServingCopy for Sqlite {
    async fn refresh(
        &self,
        permit: &Permit,
        entry: &Entry,
        mode: SyncMode,
        parcel: &str,
        lake_version: i64,
        rows: BoxStream<'static, Result<Batch>>,
    ) -> Result<u64> {
        permit.require(FILL)?;
        self.fill(entry, mode, parcel, lake_version, rows).await
    }

    async fn position(&self, entry: &str) -> Result<Option<(String, i64)>> {
        Ok(self.inner.table_now(entry)?.map(|t| (t.parcel.clone(), t.lake_version)))
    }

    async fn query(&self, grant: &Grant, query: &RowQuery) -> Result<RowPage> {
        let view = View::of(grant);
        if self.inner.is_short(&view, query) {
            return self.inner.run(&view, query);
        }
        let _turn = self.turns.take(view.grantee).await?;
        let (inner, grant, query) = (Arc::clone(&self.inner), grant.clone(), query.clone());
        blocking(move || inner.run_within(LONGEST, &View::of(&grant), &query)).await
    }

    async fn statistics(&self, grant: &Grant, ask: &Grouping) -> Result<Groups> {
        let _turn = self.turns.take(grant.grantee()).await?;
        let (inner, grant, ask) = (Arc::clone(&self.inner), grant.clone(), ask.clone());
        blocking(move || {
            inner.within(LONGEST, |reader| inner.groups(reader, &View::of(&grant), &ask))
        })
        .await
    }

    async fn remove(&self, permit: &Permit, entry: &str) -> Result<()> {
        permit.require(EMPTY)?;
        let (inner, entry) = (Arc::clone(&self.inner), entry.to_owned());
        blocking(move || inner.remove(&entry)).await
    }
}

impl Sqlite {
    /// [`ServingCopy::refresh`] after the permit.
    pub(super) async fn fill(
        &self,
        entry: &Entry,
        mode: SyncMode,
        parcel: &str,
        lake_version: i64,
        mut rows: BoxStream<'static, Result<Batch>>,
    ) -> Result<u64> {
        if let Some(table) = self.inner.table_now(&entry.id)?
            && table.lake_version >= lake_version
        {
            return Ok(table.rows);
        }
        let (give, take) = mpsc::channel(2);
        let load = Load {
            inner: Arc::clone(&self.inner),
            entry: entry.id.clone(),
            shape: Shape::of(&entry.draft),
            parcel: parcel.to_owned(),
            lake_version,
            source: take,
        };
        let inner = Arc::clone(&self.inner);
        let worker = tokio::spawn(blocking(move || {
            let rows = match mode {
                SyncMode::Full => load.full(),
                SyncMode::Incremental => load.incremental(),
            };
            inner.level();
            rows
        }));
        while let Some(batch) = rows.next().await {
            let last = batch.is_err();
            if give.send(Some(batch)).await.is_err() || last {
                break;
            }
        }
        // Only this says that the stream came to its end: a dropped sender rolls back.
        let _ = give.send(None).await;
        drop(give);
        let rows = worker
            .await
            .map_err(|e| Error::internal("the load was interrupted").caused_by(e))??;
        self.inner.forget(&entry.id);
        Ok(rows)
    }

    /// Pages of the log that were not moved into the file.
    #[cfg(test)]
    pub(super) fn in_log(&self) -> Result<i64> {
        in_log(&self.inner.writer.lock()).map_err(fail)
    }

    #[cfg(test)]
    pub(super) fn run(&self, view: &View<'_>, query: &RowQuery) -> Result<RowPage> {
        self.inner.run(view, query)
    }

    #[cfg(test)]
    pub(super) fn run_within(
        &self,
        longest: Duration,
        view: &View<'_>,
        query: &RowQuery,
    ) -> Result<RowPage> {
        self.inner.run_within(longest, view, query)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::internal("a blocking task ended early").caused_by(e))?
}

impl Inner {
    /// Whether the answer is surely found in a moment, so that it may be looked for without leaving the task.
    fn is_short(&self, view: &View<'_>, query: &RowQuery) -> bool {
        self.tables
            .read()
            .get(view.entry)
            .is_some_and(|t| is_point(&t.shape, view, query) || is_stretch(&t.shape, view, query))
    }

    /// Moves all of a long log into the file, as far as no reader stands in the way: readers then find every page where it is
    /// mapped, and need not look through the log for it.
    fn level(&self) {
        let writer = self.writer.lock();
        self.readers.wrote();
        let moved = in_log(&writer).and_then(|pages| match pages > LOG_PAGES {
            true => writer.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())),
            false => Ok(()),
        });
        if let Err(error) = moved {
            tracing::warn!(error = %error, "the log of the serving copy could not be moved");
        }
    }

    fn forget(&self, entry: &str) {
        self.tables.write().remove(entry);
    }

    fn table_now(&self, entry: &str) -> Result<Option<Arc<Table>>> {
        self.readers.read(|reader| self.table(reader, entry))
    }

    /// The table of an entry in the reader's snapshot.
    fn table(&self, reader: &mut Reader, entry: &str) -> Result<Option<Arc<Table>>> {
        if let Some(known) = reader.tables.get(entry) {
            return Ok(Some(Arc::clone(known)));
        }
        let stamp: Option<i64> = reader
            .connection
            .prepare_cached(STAMP)
            .and_then(|mut asked| asked.query_row([entry], |row| row.get(0)).optional())
            .map_err(fail)?;
        let Some(stamp) = stamp else { return Ok(None) };
        let known = self.tables.read().get(entry).filter(|t| t.stamp == stamp).cloned();
        let table = match known {
            Some(known) => known,
            None => {
                let mut mark = reader.connection.prepare_cached(MARK).map_err(fail)?;
                let read = mark.query_row([entry], |row| Ok(read_mark(row))).map_err(fail)??;
                let table = Arc::new(read);
                self.tables.write().insert(entry.to_owned(), Arc::clone(&table));
                table
            }
        };
        reader.tables.insert(entry.to_owned(), Arc::clone(&table));
        Ok(Some(table))
    }

    /// As [`Inner::run`], stopped by the database itself when it takes too long.
    fn run_within(&self, longest: Duration, view: &View<'_>, query: &RowQuery) -> Result<RowPage> {
        self.within(longest, |reader| self.run_on(reader, view, query))
    }

    /// Lends a reading connection that the database stops when it takes too long.
    fn within<T>(
        &self,
        longest: Duration,
        work: impl FnOnce(&mut Reader) -> Result<T>,
    ) -> Result<T> {
        self.readers.read(|reader| {
            let start = Instant::now();
            reader
                .connection
                .progress_handler(STEPS, Some(move || start.elapsed() > longest))
                .map_err(fail)?;
            let done = work(reader);
            reader.connection.progress_handler(0, None::<fn() -> bool>).map_err(fail)?;
            match done {
                Err(e) if e.code() == Code::QueryTooSlow => Err(too_slow(longest)),
                done => done,
            }
        })
    }

    fn groups(&self, reader: &mut Reader, view: &View<'_>, ask: &Grouping) -> Result<Groups> {
        let Some(table) = self.table(reader, view.entry)? else {
            return statistics::nothing(view, ask);
        };
        let plan = statistics::plan(Dialect::Sqlite, &table.name, &table.shape, view, ask)?;
        let mut statement = reader.connection.prepare_cached(&plan.sql).map_err(fail)?;
        for (n, param) in plan.params.iter().enumerate() {
            statement.raw_bind_parameter(n + 1, param).map_err(fail)?;
        }
        let mut found = statement.raw_query();
        let mut rows: Vec<Row> = Vec::new();
        while let Some(row) = found.next().map_err(fail)? {
            let cell = |(n, read): (usize, &Read)| {
                let kind = match read {
                    Read::Stored(kind) => *kind,
                    Read::Count => Kind::Integer,
                    Read::Text => Kind::Text,
                };
                value(row.get_ref(n).map_err(fail)?, kind)
            };
            rows.push(plan.reads.iter().enumerate().map(cell).collect::<Result<Row>>()?);
        }
        plan.finish(rows)
    }

    fn run(&self, view: &View<'_>, query: &RowQuery) -> Result<RowPage> {
        self.readers.read(|reader| self.run_on(reader, view, query))
    }

    fn run_on(&self, reader: &mut Reader, view: &View<'_>, query: &RowQuery) -> Result<RowPage> {
        match self.table(reader, view.entry)? {
            Some(table) => self.page(&reader.connection, &table, view, query),
            None => nothing(view, query),
        }
    }

    fn page(
        &self,
        reader: &Connection,
        table: &Table,
        view: &View<'_>,
        query: &RowQuery,
    ) -> Result<RowPage> {
        let after = match &query.after {
            None => None,
            Some(text) => Some(token::open(&self.protection.vault, &bond(view, query), text)?),
        };
        let generation = after.as_ref().map(|a| a.generation);
        let plan = plan(Dialect::Sqlite, &table.name, &table.shape, view, query, after)?;
        if plan.by_row_number && generation.is_some_and(|g| g != table.generation) {
            return Err(token::stale());
        }
        let masking = Masking::of(&self.protection, view, &plan);
        let mut statement = reader.prepare_cached(&plan.sql).map_err(fail)?;
        for (n, param) in plan.params.iter().enumerate() {
            statement.raw_bind_parameter(n + 1, param).map_err(fail)?;
        }
        let limit = usize::try_from(plan.limit).unwrap_or(usize::MAX);
        let mut found = statement.raw_query();
        let mut rows: Vec<Row> = Vec::new();
        let mut last: Vec<Cell<'static>> = Vec::new();
        let mut more = false;
        while let Some(row) = found.next().map_err(fail)? {
            if rows.len() >= limit {
                more = true;
                break;
            }
            let mut values = Vec::with_capacity(plan.outputs.len());
            for output in &plan.outputs {
                let value = match output.source {
                    Some((place, kind)) => value(row.get_ref(place).map_err(fail)?, kind)?,
                    None => Value::Null,
                };
                values.push(masking.apply(output, value));
            }
            rows.push(values);
            if rows.len() == limit {
                for (place, _) in &plan.position {
                    last.push(owned(row.get_ref(*place).map_err(fail)?)?);
                }
            }
        }
        let next = if more && limit > 0 {
            Some(token::seal(&self.protection.vault, &bond(view, query), table.generation, last)?)
        } else {
            None
        };
        let whole = !more && query.after.is_none() && query.offset == 0;
        let total = match &plan.count {
            None => None,
            Some(Counting::Known) => Some(table.rows),
            Some(Counting::Ask { .. }) if whole => Some(rows.len() as u64),
            Some(Counting::Ask { sql, params }) => {
                let key = Counts::key(table, sql, params);
                Some(match self.counts.get(&key) {
                    Some(known) => known,
                    None => {
                        let mut count = reader.prepare_cached(sql).map_err(fail)?;
                        let n: i64 = count
                            .query_row(rusqlite::params_from_iter(params), |r| r.get(0))
                            .map_err(fail)?;
                        let n = u64::try_from(n).unwrap_or(0);
                        self.counts.put(key, n);
                        n
                    }
                })
            }
        };
        Ok(RowPage { columns: names(&plan), rows, total, next })
    }

    fn remove(&self, entry: &str) -> Result<()> {
        let mut writer = self.writer.lock();
        let tx = immediate(&mut writer)?;
        if let Some(table) = mark(&tx, entry)? {
            tx.execute_batch(&format!("DROP TABLE IF EXISTS {}", table.name)).map_err(fail)?;
            tx.execute("DELETE FROM mark WHERE entry = ?1", [entry]).map_err(fail)?;
        }
        tx.commit().map_err(fail)?;
        self.forget(entry);
        self.readers.wrote();
        Ok(())
    }

    /// Drops tables of loads that died.
    fn sweep(&self) -> Result<()> {
        let mut writer = self.writer.lock();
        let tx = immediate(&mut writer)?;
        sweep(&tx)?;
        tx.commit().map_err(fail)
    }
}

/// Pages that stand in the log and were not moved into the file.
fn in_log(writer: &Connection) -> rusqlite::Result<i64> {
    writer.query_row("PRAGMA wal_checkpoint(NOOP)", [], |row| {
        Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?)
    })
}

fn sweep(tx: &Transaction<'_>) -> Result<()> {
    let mut old = tx
        .prepare_cached("SELECT name FROM loading WHERE touched < unixepoch() - ?1")
        .map_err(fail)?;
    let dead: Vec<String> =
        old.query_map([DEAD_AFTER], |r| r.get(0)).and_then(Iterator::collect).map_err(fail)?;
    for name in dead {
        tx.execute_batch(&format!("DROP TABLE IF EXISTS {name}")).map_err(fail)?;
        tx.execute("DELETE FROM loading WHERE name = ?1", [&name]).map_err(fail)?;
    }
    Ok(())
}

fn immediate(writer: &mut Connection) -> Result<Transaction<'_>> {
    writer.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)
}

fn mark(tx: &Transaction<'_>, entry: &str) -> Result<Option<Table>> {
    let mut statement = tx.prepare_cached(MARK).map_err(fail)?;
    statement.query_row([entry], |row| Ok(read_mark(row))).optional().map_err(fail)?.transpose()
}

fn read_mark(row: &rusqlite::Row<'_>) -> Result<Table> {
    let shape: String = row.get(6).map_err(fail)?;
    Ok(Table {
        name: row.get(0).map_err(fail)?,
        generation: row.get(1).map_err(fail)?,
        stamp: row.get(2).map_err(fail)?,
        parcel: row.get(3).map_err(fail)?,
        lake_version: row.get(4).map_err(fail)?,
        rows: u64::try_from(row.get::<_, i64>(5).map_err(fail)?).unwrap_or(0),
        shape: serde_json::from_str(&shape)
            .map_err(|e| Error::internal("the mark's shape is not readable").caused_by(e))?,
    })
}

fn ticket(tx: &Transaction<'_>) -> Result<i64> {
    tx.query_row("UPDATE ticket SET n = n + 1 WHERE id = 1 RETURNING n", [], |r| r.get(0))
        .map_err(fail)
}

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Cell::Null => ValueRef::Null,
            Cell::Integer(i) => ValueRef::Integer(*i),
            Cell::Float(f) => ValueRef::Real(*f),
            Cell::Text(t) => ValueRef::Text(t.as_bytes()),
        }))
    }
}

fn value(stored: ValueRef<'_>, kind: Kind) -> Result<Value> {
    Ok(match stored {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(n) if kind == Kind::Float => Value::Float(n as f64),
        ValueRef::Integer(n) => integer_value(kind, n),
        ValueRef::Real(f) => Value::Float(f),
        ValueRef::Text(bytes) => text_value(kind, utf8(bytes)?),
        ValueRef::Blob(_) => return Err(Error::internal("a blob in the serving copy")),
    })
}

fn owned(stored: ValueRef<'_>) -> Result<Cell<'static>> {
    Ok(match stored {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(n) => Cell::Integer(n),
        ValueRef::Real(f) => Cell::Float(f),
        ValueRef::Text(bytes) => Cell::Text(utf8(bytes)?.to_owned().into()),
        ValueRef::Blob(_) => return Err(Error::internal("a blob in the serving copy")),
    })
}

fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes)
        .map_err(|e| Error::internal("text that is not UTF-8 in the serving copy").caused_by(e))
}

fn fail(e: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode;
    let code = match e.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => Code::QueryTooSlow,
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::NotADatabase
            | ErrorCode::DatabaseCorrupt,
        ) => Code::StoreUnavailable,
        _ => Code::Internal,
    };
    Error::of(code).caused_by(e)
}

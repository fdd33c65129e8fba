//! The serving copy on SQLite: `serving.db` in the data folder, one writer, readers on demand.
//!
//! A query first reads the entry's mark and keeps that statement open, so that mark and rows come from one snapshot
//! even while another process swaps the table. Full loads fill a table nobody reads yet in short transactions, then
//! index it and swap the mark in one; a load that a crash left behind is swept away later by the table `loading`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use model::batch::{Batch, Operation};
use model::code::SyncMode;
use model::entry::Entry;
use model::query::{RowPage, RowQuery};
use model::value::{Row, Value};
use model::{Code, Error, Result};
use parking_lot::{Mutex, RwLock};
use policy::{Grant, Permit};
use rusqlite::functions::FunctionFlags;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, OptionalExtension, ToSql, Transaction, TransactionBehavior};
use tokio::sync::{Semaphore, mpsc};

use super::shape::{Cell, Kind, Shape, Storage, cell, integer_value, text_value};
use super::sql::{Counting, Dialect, View, is_point, like, plan};
use super::{
    EMPTY, FILL, Masking, Protection, ServingCopy, Table, kind_changed, names, nothing, slug, token,
};

const GROUND: &str = "
CREATE TABLE IF NOT EXISTS mark (entry TEXT PRIMARY KEY, name TEXT NOT NULL, generation INTEGER NOT NULL, stamp INTEGER NOT NULL, parcel TEXT NOT NULL, lake_version INTEGER NOT NULL, row_count INTEGER NOT NULL, shape TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS loading (name TEXT PRIMARY KEY, touched INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ticket (id INTEGER PRIMARY KEY CHECK (id = 1), n INTEGER NOT NULL);
INSERT OR IGNORE INTO ticket VALUES (1, 0);
";
const MARK: &str = "SELECT name, generation, stamp, parcel, lake_version, row_count, shape FROM mark WHERE entry = ?1";
/// Seconds after which a load that moved nothing is taken for dead.
const DEAD_AFTER: i64 = 600;
/// Idle readers kept.
const IDLE_READERS: usize = 16;
/// Lists that run at the same time; point look-ups are not counted.
const LISTS: usize = 8;

/// See the module's head.
pub(crate) struct Sqlite {
    inner: Arc<Inner>,
    lists: Arc<Semaphore>,
}

struct Inner {
    path: PathBuf,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    tables: RwLock<HashMap<String, Arc<Table>>>,
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
            path,
            writer: Mutex::new(writer),
            readers: Mutex::default(),
            tables: RwLock::default(),
            protection,
        };
        inner.sweep()?;
        Ok(Self { inner: Arc::new(inner), lists: Arc::new(Semaphore::new(LISTS)) })
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
        if self.inner.is_point(&view, query) {
            return self.inner.run(&view, query);
        }
        let _slot =
            self.lists.acquire().await.map_err(|e| Error::internal("closed").caused_by(e))?;
        let (inner, grant, query) = (Arc::clone(&self.inner), grant.clone(), query.clone());
        blocking(move || inner.run(&View::of(&grant), &query)).await
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
        let worker = tokio::spawn(blocking(move || match mode {
            SyncMode::Full => load.full(),
            SyncMode::Incremental => load.incremental(),
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

    #[cfg(test)]
    pub(super) fn run(&self, view: &View<'_>, query: &RowQuery) -> Result<RowPage> {
        self.inner.run(view, query)
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
    fn is_point(&self, view: &View<'_>, query: &RowQuery) -> bool {
        self.tables.read().get(view.entry).is_some_and(|t| is_point(&t.shape, view, query))
    }

    fn forget(&self, entry: &str) {
        self.tables.write().remove(entry);
    }

    /// Lends a reading connection to `work`.
    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = self.readers.lock().pop();
        let reader = match idle {
            Some(reader) => reader,
            None => self.reader()?,
        };
        let done = work(&reader);
        let mut idle = self.readers.lock();
        if idle.len() < IDLE_READERS {
            idle.push(reader);
        }
        done
    }

    fn reader(&self) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let reader = Connection::open_with_flags(&self.path, flags).map_err(fail)?;
        reader.busy_timeout(Duration::from_secs(15)).map_err(fail)?;
        reader
            .execute_batch(
                "PRAGMA mmap_size = 1073741824; PRAGMA query_only = ON; PRAGMA cache_size = -8192;",
            )
            .map_err(fail)?;
        reader.set_prepared_statement_cache_capacity(128);
        for (name, fold) in [("q_like", false), ("q_ilike", true)] {
            let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
            reader
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
        Ok(reader)
    }

    fn table_now(&self, entry: &str) -> Result<Option<Arc<Table>>> {
        self.read(|reader| {
            let mut mark = reader.prepare_cached(MARK).map_err(fail)?;
            let mut marks = mark.query([entry]).map_err(fail)?;
            marks.next().map_err(fail)?.map(|row| self.table(entry, row)).transpose()
        })
    }

    /// The table a mark's row names, remembered as long as its stamp holds.
    fn table(&self, entry: &str, row: &rusqlite::Row<'_>) -> Result<Arc<Table>> {
        let stamp: i64 = row.get(2).map_err(fail)?;
        if let Some(known) = self.tables.read().get(entry)
            && known.stamp == stamp
        {
            return Ok(Arc::clone(known));
        }
        let table = Arc::new(read_mark(row)?);
        self.tables.write().insert(entry.to_owned(), Arc::clone(&table));
        Ok(table)
    }

    fn run(&self, view: &View<'_>, query: &RowQuery) -> Result<RowPage> {
        self.read(|reader| {
            let mut mark = reader.prepare_cached(MARK).map_err(fail)?;
            // Stays open until the end: mark and rows are of one snapshot.
            let mut marks = mark.query([view.entry]).map_err(fail)?;
            match marks.next().map_err(fail)? {
                None => nothing(view, query),
                Some(row) => {
                    let table = self.table(view.entry, row)?;
                    self.page(reader, &table, view, query)
                }
            }
        })
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
            Some(text) => {
                Some(token::open(&self.protection.vault, &super::sql::bond(view, query), text)?)
            }
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
            Some(token::seal(&self.protection.vault, &plan.bond, table.generation, last)?)
        } else {
            None
        };
        let whole = !more && query.after.is_none() && query.offset == 0;
        let total = match &plan.count {
            None => None,
            Some(Counting::Known) => Some(table.rows),
            Some(Counting::Ask { .. }) if whole => Some(rows.len() as u64),
            Some(Counting::Ask { sql, params }) => {
                let mut count = reader.prepare_cached(sql).map_err(fail)?;
                let n: i64 = count
                    .query_row(rusqlite::params_from_iter(params), |r| r.get(0))
                    .map_err(fail)?;
                Some(u64::try_from(n).unwrap_or(0))
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

/// One refresh at work, on a thread of its own.
struct Load {
    inner: Arc<Inner>,
    entry: String,
    shape: Shape,
    parcel: String,
    lake_version: i64,
    source: mpsc::Receiver<Option<Result<Batch>>>,
}

impl Load {
    /// The next batch; `None` at the true end of the stream.
    fn next(&mut self) -> Result<Option<Batch>> {
        match self.source.blocking_recv() {
            Some(Some(batch)) => batch.map(Some),
            Some(None) => Ok(None),
            None => Err(Error::internal("the stream of rows was dropped before its end")),
        }
    }

    fn full(mut self) -> Result<u64> {
        let inner = Arc::clone(&self.inner);
        let (name, generation) = {
            let mut writer = inner.writer.lock();
            let tx = immediate(&mut writer)?;
            sweep(&tx)?;
            let generation = ticket(&tx)?;
            let name = format!("s_{}_{generation}", slug(&self.entry));
            tx.execute("INSERT INTO loading VALUES (?1, unixepoch())", [&name]).map_err(fail)?;
            tx.execute_batch(&create_table(&name, &self.shape)).map_err(fail)?;
            tx.commit().map_err(fail)?;
            (name, generation)
        };
        let loaded = self.load_full(&name, generation);
        if loaded.is_err() {
            let mut writer = inner.writer.lock();
            let dropped = immediate(&mut writer).and_then(|tx| {
                tx.execute_batch(&format!("DROP TABLE IF EXISTS {name}")).map_err(fail)?;
                tx.execute("DELETE FROM loading WHERE name = ?1", [&name]).map_err(fail)?;
                tx.commit().map_err(fail)
            });
            if let Err(error) = dropped {
                tracing::warn!(
                    error = error.operator_text(),
                    "the half-filled serving table stays until it is swept"
                );
            }
        }
        loaded
    }

    fn load_full(&mut self, name: &str, generation: i64) -> Result<u64> {
        let inner = Arc::clone(&self.inner);
        let mut gone = Vec::new();
        while let Some(batch) = self.next()? {
            let mut writer = inner.writer.lock();
            let tx = immediate(&mut writer)?;
            {
                let mut insert = tx.prepare_cached(&insert_sql(name, &self.shape)).map_err(fail)?;
                for row in 0..batch.rows() {
                    let deleted = batch.operation(row) == Operation::Delete;
                    if deleted && self.shape.key.is_empty() {
                        continue;
                    }
                    insert_row(&mut insert, &mut self.shape, &batch, row)?;
                    if deleted {
                        gone.push(tx.last_insert_rowid());
                    }
                }
            }
            tx.execute("UPDATE loading SET touched = unixepoch() WHERE name = ?1", [name])
                .map_err(fail)?;
            tx.commit().map_err(fail)?;
        }
        let mut writer = inner.writer.lock();
        let tx = immediate(&mut writer)?;
        index(&tx, name, &self.shape, &gone)?;
        for n in self.shape.lookups().chain(self.shape.key.first().copied()).collect::<Vec<_>>() {
            let fan_out = fan_out(&tx, name, n)?;
            if let Some(column) = self.shape.columns.get_mut(n) {
                column.fan_out = fan_out;
            }
        }
        let before = mark(&tx, &self.entry)?;
        if let Some(table) = before.as_ref().filter(|t| t.lake_version >= self.lake_version) {
            // Another process brought this version, or a later one, while we were filling.
            let rows = table.rows;
            tx.execute_batch(&format!("DROP TABLE {name}")).map_err(fail)?;
            tx.execute("DELETE FROM loading WHERE name = ?1", [name]).map_err(fail)?;
            tx.commit().map_err(fail)?;
            return Ok(rows);
        }
        let rows: i64 = tx
            .query_row(&format!("SELECT COUNT(*) FROM {name}"), [], |r| r.get(0))
            .map_err(fail)?;
        self.put_mark(&tx, name, generation, rows)?;
        if let Some(table) = before {
            tx.execute_batch(&format!("DROP TABLE IF EXISTS {}", table.name)).map_err(fail)?;
        }
        tx.execute("DELETE FROM loading WHERE name = ?1", [name]).map_err(fail)?;
        tx.commit().map_err(fail)?;
        Ok(u64::try_from(rows).unwrap_or(0))
    }

    fn put_mark(&self, tx: &Transaction<'_>, name: &str, generation: i64, rows: i64) -> Result<()> {
        let shape = serde_json::to_string(&self.shape)
            .map_err(|e| Error::internal("cannot write the mark's shape").caused_by(e))?;
        let stamp = ticket(tx)?;
        tx.execute(
            "INSERT OR REPLACE INTO mark VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            rusqlite::params![
                self.entry,
                name,
                generation,
                stamp,
                self.parcel,
                self.lake_version,
                rows,
                shape
            ],
        )
        .map_err(fail)?;
        Ok(())
    }

    fn incremental(mut self) -> Result<u64> {
        let inner = Arc::clone(&self.inner);
        let mut writer = inner.writer.lock();
        let tx = immediate(&mut writer)?;
        let Some(before) = mark(&tx, &self.entry)? else {
            drop(tx);
            drop(writer);
            // Nothing there yet: the same rows by the faster way.
            return self.full();
        };
        if before.lake_version >= self.lake_version {
            return Ok(before.rows);
        }
        let (name, generation) = self.adopt(&tx, &before)?;
        let mut rows = i64::try_from(before.rows).unwrap_or(i64::MAX);
        {
            let mut insert = tx.prepare_cached(&insert_sql(&name, &self.shape)).map_err(fail)?;
            let mut delete = match self.shape.key.is_empty() {
                true => None,
                false => Some(tx.prepare_cached(&delete_sql(&name, &self.shape)).map_err(fail)?),
            };
            while let Some(batch) = self.next()? {
                for row in 0..batch.rows() {
                    let deleted = batch.operation(row) == Operation::Delete;
                    if let Some(delete) = &mut delete {
                        rows -= delete_row(delete, &self.shape, &batch, row)?;
                    }
                    if !deleted {
                        insert_row(&mut insert, &mut self.shape, &batch, row)?;
                        rows += 1;
                    }
                }
            }
        }
        self.put_mark(&tx, &name, generation, rows)?;
        tx.commit().map_err(fail)?;
        Ok(u64::try_from(rows).unwrap_or(0))
    }

    /// The live table, or its rows in a table of the new shape when the entry's items have changed.
    fn adopt(&mut self, tx: &Transaction<'_>, before: &Table) -> Result<(String, i64)> {
        if self.shape.same_layout(&before.shape) {
            self.shape = before.shape.clone();
            return Ok((before.name.clone(), before.generation));
        }
        let (mut to, mut from) = (vec!["_id".to_owned()], vec!["_id".to_owned()]);
        for (n, column) in self.shape.columns.iter_mut().enumerate() {
            match before.shape.find(&column.name) {
                Some((_, old)) if old.kind != column.kind => {
                    return Err(kind_changed(&column.name));
                }
                Some((m, old)) => {
                    column.nulls = old.nulls;
                    column.fan_out = old.fan_out;
                    to.push(format!("c{n}"));
                    from.push(format!("c{m}"));
                }
                None => column.nulls = before.rows > 0,
            }
        }
        let generation = ticket(tx)?;
        let name = format!("s_{}_{generation}", slug(&self.entry));
        tx.execute_batch(&format!(
            "{}; INSERT INTO {name} ({}) SELECT {} FROM {} ORDER BY _id",
            create_table(&name, &self.shape),
            to.join(","),
            from.join(","),
            before.name
        ))
        .map_err(fail)?;
        index(tx, &name, &self.shape, &[])?;
        tx.execute_batch(&format!("DROP TABLE {}", before.name)).map_err(fail)?;
        Ok((name, generation))
    }
}

fn create_table(name: &str, shape: &Shape) -> String {
    let mut sql = format!("CREATE TABLE {name} (_id INTEGER PRIMARY KEY");
    for (n, column) in shape.columns.iter().enumerate() {
        let storage = match column.kind.storage() {
            Storage::Text => "TEXT",
            Storage::Integer => "INTEGER",
            Storage::Float => "REAL",
        };
        sql.push_str(&format!(", c{n} {storage}"));
    }
    sql.push(')');
    sql
}

fn columns(indexes: impl IntoIterator<Item = usize>) -> String {
    indexes.into_iter().map(|n| format!("c{n}")).collect::<Vec<_>>().join(",")
}

fn insert_sql(name: &str, shape: &Shape) -> String {
    let places = (1..=shape.columns.len()).map(|n| format!("?{n}")).collect::<Vec<_>>().join(",");
    format!("INSERT INTO {name} ({}) VALUES ({places})", columns(0..shape.columns.len()))
}

fn delete_sql(name: &str, shape: &Shape) -> String {
    let key: Vec<String> =
        shape.key.iter().enumerate().map(|(i, n)| format!("c{n} IS ?{}", i + 1)).collect();
    format!("DELETE FROM {name} WHERE {}", key.join(" AND "))
}

fn insert_row(
    insert: &mut rusqlite::Statement<'_>,
    shape: &mut Shape,
    batch: &Batch,
    row: usize,
) -> Result<()> {
    for (n, column) in shape.columns.iter_mut().enumerate() {
        let cell = batch_cell(batch, n, column.kind, row)?;
        column.nulls |= cell.is_null();
        insert.raw_bind_parameter(n + 1, &cell).map_err(fail)?;
    }
    insert.raw_execute().map_err(fail)?;
    Ok(())
}

fn delete_row(
    delete: &mut rusqlite::Statement<'_>,
    shape: &Shape,
    batch: &Batch,
    row: usize,
) -> Result<i64> {
    for (place, n) in shape.key.iter().enumerate() {
        let kind = shape.columns.get(*n).map_or(Kind::Text, |c| c.kind);
        delete.raw_bind_parameter(place + 1, &batch_cell(batch, *n, kind, row)?).map_err(fail)?;
    }
    Ok(i64::try_from(delete.raw_execute().map_err(fail)?).unwrap_or(0))
}

fn batch_cell(batch: &Batch, column: usize, kind: Kind, row: usize) -> Result<Cell<'_>> {
    let values = batch
        .columns
        .get(column)
        .ok_or_else(|| Error::internal(format!("the batch has no column {column}")))?;
    cell(values, kind, row)
}

/// Makes the indexes. The last record of a business key stays; rows in `gone` were deletions and go with their key.
fn index(tx: &Transaction<'_>, name: &str, shape: &Shape, gone: &[i64]) -> Result<()> {
    if !shape.key.is_empty() {
        let key = columns(shape.key.iter().copied());
        let duplicates: bool = !gone.is_empty() || {
            let sql = format!("CREATE UNIQUE INDEX {name}_k ON {name} ({key})");
            let nulls = shape.key.iter().any(|n| shape.columns.get(*n).is_some_and(|c| c.nulls));
            match (nulls, tx.execute_batch(&sql)) {
                // Nulls are different to the index but the same key to us.
                (true, Ok(())) => {
                    tx.execute_batch(&format!("DROP INDEX {name}_k")).map_err(fail)?;
                    true
                }
                (false, Ok(())) => false,
                (_, Err(e))
                    if e.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) =>
                {
                    true
                }
                (_, Err(e)) => return Err(fail(e)),
            }
        };
        if duplicates {
            tx.execute_batch(&format!(
                "DELETE FROM {name} WHERE _id NOT IN (SELECT MAX(_id) FROM {name} GROUP BY {key})"
            ))
            .map_err(fail)?;
            let mut delete =
                tx.prepare(&format!("DELETE FROM {name} WHERE _id = ?1")).map_err(fail)?;
            for id in gone {
                delete.execute([id]).map_err(fail)?;
            }
            tx.execute_batch(&format!("CREATE UNIQUE INDEX {name}_k ON {name} ({key})"))
                .map_err(fail)?;
        }
    }
    for n in shape.lookups() {
        let with_key =
            columns(std::iter::once(n).chain(shape.key.iter().copied().filter(|k| *k != n)));
        tx.execute_batch(&format!("CREATE INDEX {name}_l{n} ON {name} ({with_key})"))
            .map_err(fail)?;
    }
    Ok(())
}

/// Rows per value of a column, rounded up.
fn fan_out(tx: &Transaction<'_>, name: &str, column: usize) -> Result<u64> {
    let (rows, values): (i64, i64) = tx
        .query_row(&format!("SELECT COUNT(*), COUNT(DISTINCT c{column}) FROM {name}"), [], |r| {
            Ok((r.get(0)?, r.get(1)?))
        })
        .map_err(fail)?;
    let (rows, values) = (u64::try_from(rows).unwrap_or(0), u64::try_from(values).unwrap_or(0));
    Ok(rows.div_ceil(values.max(1)).max(1))
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

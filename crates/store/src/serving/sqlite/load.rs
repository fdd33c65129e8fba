//! Filling SQLite's serving tables: a new table for a full parcel, the live one for an incremental parcel.

use std::sync::Arc;

use model::batch::{Batch, Operation};
use model::{Error, Result};
use rusqlite::Transaction;
use tokio::sync::mpsc;

use super::super::shape::{Cell, Kind, Shape, Shuffler, Storage, cell};
use super::super::{Table, kind_changed, slug};
use super::{Inner, fail, immediate, mark, sweep, ticket};

/// One refresh at work, on a thread of its own.
pub(super) struct Load {
    pub(super) inner: Arc<Inner>,
    pub(super) entry: String,
    pub(super) shape: Shape,
    pub(super) parcel: String,
    pub(super) lake_version: i64,
    pub(super) source: mpsc::Receiver<Option<Result<Batch>>>,
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

    pub(super) fn full(mut self) -> Result<u64> {
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
        let shuffler = inner.protection.shuffler;
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
                    insert_row(&mut insert, &mut self.shape, &shuffler, &batch, row)?;
                    if deleted {
                        gone.push(tx.last_insert_rowid());
                    }
                }
            }
            tx.execute("UPDATE loading SET touched = unixepoch() WHERE name = ?1", [name])
                .map_err(fail)?;
            tx.commit().map_err(fail)?;
            inner.readers.wrote();
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

    pub(super) fn incremental(mut self) -> Result<u64> {
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
        let shuffler = inner.protection.shuffler;
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
                        insert_row(&mut insert, &mut self.shape, &shuffler, &batch, row)?;
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
        // Hashes are carried over, not made anew; a table without them gets them with the next full load.
        self.shape.shuffled = before.shape.shuffled;
        if let Some((new, old)) = self.shape.shuffle().zip(before.shape.shuffle()) {
            to.push(format!("c{new}"));
            from.push(format!("c{old}"));
        }
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
    if let Some(n) = shape.shuffle() {
        sql.push_str(&format!(", c{n} INTEGER"));
    }
    sql.push(')');
    sql
}

fn columns(indexes: impl IntoIterator<Item = usize>) -> String {
    indexes.into_iter().map(|n| format!("c{n}")).collect::<Vec<_>>().join(",")
}

fn insert_sql(name: &str, shape: &Shape) -> String {
    let count = shape.columns.len() + usize::from(shape.shuffle().is_some());
    let places = (1..=count).map(|n| format!("?{n}")).collect::<Vec<_>>().join(",");
    format!("INSERT INTO {name} ({}) VALUES ({places})", columns(0..count))
}

fn delete_sql(name: &str, shape: &Shape) -> String {
    let key: Vec<String> =
        shape.key.iter().enumerate().map(|(i, n)| format!("c{n} IS ?{}", i + 1)).collect();
    format!("DELETE FROM {name} WHERE {}", key.join(" AND "))
}

fn insert_row(
    insert: &mut rusqlite::Statement<'_>,
    shape: &mut Shape,
    shuffler: &Shuffler,
    batch: &Batch,
    row: usize,
) -> Result<()> {
    for (n, column) in shape.columns.iter_mut().enumerate() {
        let cell = batch_cell(batch, n, column.kind, row)?;
        column.nulls |= cell.is_null();
        insert.raw_bind_parameter(n + 1, &cell).map_err(fail)?;
    }
    if let Some(n) = shape.shuffle() {
        let key = shape.key.iter().map(|k| {
            let kind = shape.columns.get(*k).map_or(Kind::Text, |c| c.kind);
            batch_cell(batch, *k, kind, row)
        });
        insert.raw_bind_parameter(n + 1, shuffler.place(key)?).map_err(fail)?;
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
    if let Some(n) = shape.shuffle() {
        tx.execute_batch(&format!("CREATE INDEX {name}_r ON {name} (c{n})")).map_err(fail)?;
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

//! One SELECT on a SQLite file, opened for reading only.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::item::Item;
use model::parcel::Sniffed;
use model::{Code, Error, Result};
use policy::port::{ReadOptions, Reading};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};

use super::{LOOKED_AT, gone, sniffed};
use crate::cell::{Cell, Mark};
use crate::hand::{Hand, guarded, on_thread};
use crate::matching::{Header, settle};
use crate::shape::Shape;
use crate::sink::Sink;
use crate::statement::single_select;
use crate::typing::{Doubt, Hint};

/// Steps of the engine between two looks at whether anybody still wants the rows.
const STEPS: i32 = 100_000;

fn open(path: &Path) -> Result<Connection> {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if !path.is_file() {
        return Err(gone(
            format!("没有找到 SQLite 文件 `{name}`，请检查路径"),
            format!("the SQLite file `{name}` is not there: check its path"),
        ));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = Connection::open_with_flags(path, flags).map_err(|e| refused(&name, e))?;
    // A view of a foreign file may not call functions with effects.
    open.execute_batch("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF;")
        .map_err(|e| refused(&name, e))?;
    open.busy_timeout(crate::query::PATIENCE).map_err(|e| refused(&name, e))?;
    Ok(open)
}

fn refused(name: &str, error: rusqlite::Error) -> Error {
    use rusqlite::ErrorCode as E;
    let told = error.to_string();
    match error.sqlite_error_code() {
        Some(E::NotADatabase | E::DatabaseCorrupt) => Error::new(
            Code::InvalidFile,
            format!("`{name}` 不是 SQLite 数据库，或文件已损坏"),
            format!("`{name}` is no SQLite database, or is damaged"),
        ),
        Some(E::DatabaseBusy | E::DatabaseLocked | E::CannotOpen | E::PermissionDenied) => gone(
            format!("SQLite 文件 `{name}` 正被占用或无法打开，请稍后再试或检查权限"),
            format!("the SQLite file `{name}` is busy or cannot be opened: try later or check permissions"),
        ),
        _ => Error::new(
            Code::InvalidQuery,
            format!("SQLite 无法执行查询：{told}"),
            format!("SQLite cannot run the query: {told}"),
        ),
    }
    .caused_by(error)
}

/// Names of the answer's columns.
fn columns(path: &Path, sql: &str) -> Result<Vec<String>> {
    let open = open(path)?;
    let statement = open.prepare(sql).map_err(|e| refused("", e))?;
    if !statement.readonly() {
        return Err(Error::new(
            Code::InvalidQuery,
            "只允许只读的 SELECT 查询",
            "only a SELECT that reads is allowed",
        ));
    }
    Ok(statement.column_names().into_iter().map(str::to_owned).collect())
}

/// A value as a cell's text.
fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(n) => Some(n.to_string()),
        ValueRef::Real(n) => Some(n.to_string()),
        ValueRef::Text(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Blob(bytes) => Some(bytes.iter().map(|b| format!("{b:02x}")).collect()),
    }
}

fn texts(row: &Row<'_>, width: usize, into: &mut Vec<Option<String>>) -> Result<()> {
    into.clear();
    for at in 0..width {
        into.push(text(row.get_ref(at).map_err(|e| refused("", e))?));
    }
    Ok(())
}

async fn prepared(path: &Path, sql: &str) -> Result<(PathBuf, String, Vec<String>)> {
    let sql = single_select(sql, false)?;
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || {
        let names = columns(&path, &sql)?;
        Ok((path, sql, names))
    })
    .await
    .map_err(|e| Error::internal("the reading thread ended").caused_by(e))?
}

pub(super) async fn read(
    path: &Path,
    sql: &str,
    items: &[Item],
    options: &ReadOptions,
) -> Result<Reading> {
    let (path, sql, names) = prepared(path, sql).await?;
    let headers: Vec<Header> = names.into_iter().map(Header::plain).collect();
    let matched = settle(&headers, items, true, options.operation_column.as_deref())?;
    let columns = matched.columns(&headers, items);
    let done: Arc<AtomicU64> = Arc::default();
    let mut sink =
        Sink::new(items, matched, |_| Hint::default(), options.batch_rows, Arc::clone(&done));
    sink.doubt = Doubt { nul: true, damage: true };
    let width = headers.len();
    let chunks = on_thread(move |hand| run(&path, &sql, width, sink, &done, hand));
    Ok(Reading { sniffed: None, columns, bytes_total: 0, position: None, chunks })
}

fn run(
    path: &Path,
    sql: &str,
    width: usize,
    mut sink: Sink,
    done: &AtomicU64,
    hand: &Hand,
) -> Result<()> {
    let open = open(path)?;
    let wanted = hand.watch();
    open.progress_handler(STEPS, Some(wanted)).map_err(|e| refused("", e))?;
    let mut statement = open.prepare(sql).map_err(|e| refused("", e))?;
    let mut rows = statement.query([]).map_err(|e| refused("", e))?;
    let mut texts_of: Vec<Option<String>> = Vec::with_capacity(width);
    let mut record = 0;
    while let Some(row) = rows.next().map_err(|e| refused("", e))? {
        record += 1;
        texts(row, width, &mut texts_of)?;
        let bytes: usize = texts_of.iter().flatten().map(String::len).sum();
        done.fetch_add(bytes as u64, Ordering::Relaxed);
        sink.row(record, 0, |column| {
            texts_of.get(column)?.as_deref().map(|text| Cell { text, mark: Mark::Exact })
        });
        if sink.ready() {
            hand.give(sink.take())?;
        }
    }
    if !sink.is_empty() {
        hand.give(sink.take())?;
    }
    Ok(())
}

pub(super) async fn probe(path: &Path, sql: &str) -> Result<Sniffed> {
    let (path, sql, names) = prepared(path, sql).await?;
    tokio::task::spawn_blocking(move || guarded(|| look(&path, &sql, &names)))
        .await
        .map_err(|e| Error::internal("the reading thread ended").caused_by(e))?
}

fn look(path: &Path, sql: &str, names: &[String]) -> Result<Sniffed> {
    let open = open(path)?;
    let mut statement = open.prepare(sql).map_err(|e| refused("", e))?;
    let mut rows = statement.query([]).map_err(|e| refused("", e))?;
    let mut shapes = vec![Shape::default(); names.len()];
    let mut cells = Vec::with_capacity(names.len());
    let mut read = 0;
    let mut whole = true;
    while let Some(row) = rows.next().map_err(|e| refused("", e))? {
        if read == LOOKED_AT {
            whole = false;
            break;
        }
        read += 1;
        texts(row, names.len(), &mut cells)?;
        for (shape, cell) in shapes.iter_mut().zip(&cells) {
            shape.see(cell.as_deref().unwrap_or_default(), cell.is_none(), read as u64);
        }
    }
    Ok(sniffed("sqlite", names, &shapes, whole.then_some(read as u64)))
}

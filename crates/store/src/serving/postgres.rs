//! The serving copy on PostgreSQL: schema `serving` of the control database, for several processes at once.
//!
//! A parcel is copied into a table of its own first; one transaction then takes the last record of every key from
//! it into the live table (incremental) or a new one (full) and moves the mark. Texts compare by bytes (`COLLATE "C"`),
//! as on SQLite.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use model::batch::{Batch, Operation};
use model::code::SyncMode;
use model::entry::Entry;
use model::query::{RowPage, RowQuery};
use model::value::{Row as ValueRow, Value};
use model::{Code, Error, Result};
use parking_lot::RwLock;
use policy::{Grant, Permit};
use sqlx::postgres::{PgArguments, PgConnection, PgPool, PgPoolOptions, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Postgres as Pg, Row};

use super::shape::{Cell, Kind, Shape, Storage, cell, integer_value, text_value};
use super::sql::{Counting, Dialect, Plan, View, plan};
use super::{
    EMPTY, FILL, Masking, Protection, ServingCopy, Table, kind_changed, names, nothing, slug, token,
};
use crate::db::fail;

/// Serialised by an advisory lock, because two processes may start together.
const GROUND: &str = r"
BEGIN;
SELECT pg_advisory_xact_lock(7162736573);
CREATE SCHEMA IF NOT EXISTS serving;
CREATE SEQUENCE IF NOT EXISTS serving.ticket;
CREATE TABLE IF NOT EXISTS serving.mark (entry TEXT PRIMARY KEY, name TEXT NOT NULL, generation BIGINT NOT NULL, stamp BIGINT NOT NULL, parcel TEXT NOT NULL, lake_version BIGINT NOT NULL, row_count BIGINT NOT NULL, shape TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS serving.loading (name TEXT PRIMARY KEY, touched TIMESTAMPTZ NOT NULL DEFAULT now());
COMMIT;
";
const MARK: &str = "SELECT name, generation, stamp, parcel, lake_version, row_count, shape FROM serving.mark WHERE entry = $1";
/// Bytes gathered before they are sent to COPY.
const COPY_BYTES: usize = 1 << 20;

/// See the module's head.
pub(crate) struct Postgres {
    pool: PgPool,
    tables: RwLock<HashMap<String, Arc<Table>>>,
    protection: Protection,
}

impl Postgres {
    pub(crate) async fn open(url: &str, protection: Protection) -> Result<Self> {
        let pool = PgPoolOptions::new()
            .max_connections(16)
            .acquire_timeout(Duration::from_secs(20))
            .connect(url)
            .await
            .map_err(|e| Error::of(Code::StoreUnavailable).caused_by(e))?;
        sqlx::raw_sql(GROUND).execute(&pool).await.map_err(fail)?;
        let copy = Self { pool, tables: RwLock::default(), protection };
        copy.sweep().await?;
        Ok(copy)
    }

    /// Drops tables of loads that died.
    async fn sweep(&self) -> Result<()> {
        let dead: Vec<String> = sqlx::query_scalar(
            "DELETE FROM serving.loading WHERE touched < now() - interval '10 minutes' RETURNING name",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(fail)?;
        for name in dead {
            let mut connection = self.pool.acquire().await.map_err(fail)?;
            execute(&mut connection, format!("DROP TABLE IF EXISTS serving.{name}")).await?;
        }
        Ok(())
    }

    async fn mark(&self, entry: &str) -> Result<Option<Arc<Table>>> {
        let row = sqlx::query(MARK).bind(entry).fetch_optional(&self.pool).await.map_err(fail)?;
        let Some(row) = row else { return Ok(None) };
        let stamp: i64 = row.try_get(2).map_err(fail)?;
        if let Some(known) = self.tables.read().get(entry)
            && known.stamp == stamp
        {
            return Ok(Some(Arc::clone(known)));
        }
        let table = Arc::new(read_mark(&row)?);
        self.tables.write().insert(entry.to_owned(), Arc::clone(&table));
        Ok(Some(table))
    }

    /// [`ServingCopy::query`] for a view; a table swapped away between mark and rows is tried again.
    pub(super) async fn run(&self, view: &View<'_>, query: &RowQuery) -> Result<RowPage> {
        for _ in 0..3 {
            let Some(table) = self.mark(view.entry).await? else { return nothing(view, query) };
            match self.page(&table, view, query).await {
                Err(Failure::Gone) => {}
                Err(Failure::Other(error)) => return Err(error),
                Ok(page) => return Ok(page),
            }
        }
        Err(Error::of(Code::StoreUnavailable)
            .detail("the serving table was replaced three times in a row"))
    }

    async fn page(
        &self,
        table: &Table,
        view: &View<'_>,
        query: &RowQuery,
    ) -> Result<RowPage, Failure> {
        let after = match &query.after {
            None => None,
            Some(text) => {
                Some(token::open(&self.protection.vault, &super::sql::bond(view, query), text)?)
            }
        };
        let generation = after.as_ref().map(|a| a.generation);
        let mut plan = plan(
            Dialect::Postgres,
            &Dialect::Postgres.table(&table.name),
            &table.shape,
            view,
            query,
            after,
        )?;
        if plan.by_row_number && generation.is_some_and(|g| g != table.generation) {
            return Err(token::stale().into());
        }
        let masking = Masking::of(&self.protection, view, &plan);
        let params = std::mem::take(&mut plan.params);
        let statement = std::mem::take(&mut plan.sql);
        let found = bound(sqlx::query(AssertSqlSafe(statement)), params)
            .fetch_all(&self.pool)
            .await
            .map_err(gone)?;
        let limit = usize::try_from(plan.limit).unwrap_or(usize::MAX);
        let more = found.len() > limit;
        let mut rows: Vec<ValueRow> = Vec::with_capacity(found.len().min(limit));
        for row in found.iter().take(limit) {
            let mut values = Vec::with_capacity(plan.outputs.len());
            for output in &plan.outputs {
                let value = match output.source {
                    Some((place, kind)) => value(row, place, kind)?,
                    None => Value::Null,
                };
                values.push(masking.apply(output, value));
            }
            rows.push(values);
        }
        let last = limit.checked_sub(1).and_then(|n| found.get(n)).filter(|_| more);
        let next = match last {
            Some(row) => {
                let cells = position(&plan, row)?;
                Some(token::seal(&self.protection.vault, &plan.bond, table.generation, cells)?)
            }
            None => None,
        };
        let columns = names(&plan);
        let whole = !more && query.after.is_none() && query.offset == 0;
        let total = match plan.count {
            None => None,
            Some(Counting::Known) => Some(table.rows),
            Some(Counting::Ask { .. }) if whole => Some(rows.len() as u64),
            Some(Counting::Ask { sql, params }) => {
                let row = bound(sqlx::query(AssertSqlSafe(sql)), params)
                    .fetch_one(&self.pool)
                    .await
                    .map_err(gone)?;
                Some(u64::try_from(row.try_get::<i64, _>(0).map_err(fail)?).unwrap_or(0))
            }
        };
        Ok(RowPage { columns, rows, total, next })
    }

    /// [`ServingCopy::refresh`] after the permit.
    pub(super) async fn fill(
        &self,
        entry: &Entry,
        mode: SyncMode,
        parcel: &str,
        lake_version: i64,
        rows: BoxStream<'static, Result<Batch>>,
    ) -> Result<u64> {
        if let Some(table) = self.mark(&entry.id).await?
            && table.lake_version >= lake_version
        {
            return Ok(table.rows);
        }
        self.sweep().await?;
        let shape = Shape::of(&entry.draft);
        let mut connection = self.pool.acquire().await.map_err(fail)?;
        let number = ticket(&mut connection).await?;
        let staging = format!("t_{}_{number}", slug(&entry.id));
        sqlx::query("INSERT INTO serving.loading (name) VALUES ($1)")
            .bind(&staging)
            .execute(&mut *connection)
            .await
            .map_err(fail)?;
        let mut load = Load { entry: &entry.id, shape, parcel, lake_version, staging: &staging };
        let done = async {
            load.copy(&mut connection, &self.pool, rows).await?;
            load.apply(&mut connection, mode).await
        }
        .await;
        if done.is_err() {
            // A connection in the middle of a COPY or a transaction is not put back.
            connection.close_on_drop();
        }
        execute_in(&self.pool, format!("DROP TABLE IF EXISTS serving.{staging}")).await?;
        sqlx::query("DELETE FROM serving.loading WHERE name = $1")
            .bind(&staging)
            .execute(&self.pool)
            .await
            .map_err(fail)?;
        self.tables.write().remove(&entry.id);
        done
    }
}

#[async_trait]
impl ServingCopy for Postgres {
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
        Ok(self.mark(entry).await?.map(|t| (t.parcel.clone(), t.lake_version)))
    }

    async fn query(&self, grant: &Grant, query: &RowQuery) -> Result<RowPage> {
        self.run(&View::of(grant), query).await
    }

    async fn remove(&self, permit: &Permit, entry: &str) -> Result<()> {
        permit.require(EMPTY)?;
        let mut tx = self.pool.begin().await.map_err(fail)?;
        let name: Option<String> =
            sqlx::query_scalar("DELETE FROM serving.mark WHERE entry = $1 RETURNING name")
                .bind(entry)
                .fetch_optional(&mut *tx)
                .await
                .map_err(fail)?;
        if let Some(name) = name {
            execute(&mut tx, format!("DROP TABLE IF EXISTS serving.{name}")).await?;
        }
        tx.commit().await.map_err(fail)?;
        self.tables.write().remove(entry);
        Ok(())
    }
}

/// A query that failed; `Gone` when its table was swapped away meanwhile.
enum Failure {
    Gone,
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Other(error)
    }
}

fn gone(e: sqlx::Error) -> Failure {
    match &e {
        // undefined_table, undefined_column
        sqlx::Error::Database(d) if matches!(d.code().as_deref(), Some("42P01" | "42703")) => {
            Failure::Gone
        }
        _ => Failure::Other(fail(e)),
    }
}

/// One refresh at work.
struct Load<'a> {
    entry: &'a str,
    shape: Shape,
    parcel: &'a str,
    lake_version: i64,
    staging: &'a str,
}

impl Load<'_> {
    /// Copies the parcel, record by record, into the staging table.
    async fn copy(
        &mut self,
        connection: &mut PgConnection,
        pool: &PgPool,
        mut rows: BoxStream<'static, Result<Batch>>,
    ) -> Result<()> {
        let staging = self.staging;
        let definition = definition(&self.shape);
        execute(
            connection,
            format!("CREATE UNLOGGED TABLE serving.{staging} (_seq BIGINT GENERATED ALWAYS AS IDENTITY, _op TEXT NOT NULL{definition})"),
        )
        .await?;
        let list = std::iter::once("_op".to_owned())
            .chain((0..self.shape.columns.len()).map(|n| format!("c{n}")))
            .collect::<Vec<_>>()
            .join(",");
        let mut copy = connection
            .copy_in_raw(&format!("COPY serving.{staging} ({list}) FROM STDIN"))
            .await
            .map_err(fail)?;
        let mut buffer = Vec::with_capacity(COPY_BYTES + 65_536);
        while let Some(batch) = rows.next().await {
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => {
                    let _ = copy.abort("the stream of rows failed").await;
                    return Err(error);
                }
            };
            for row in 0..batch.rows() {
                if let Err(error) = copy_row(&mut buffer, &mut self.shape, &batch, row) {
                    let _ = copy.abort("a row does not have the entry's types").await;
                    return Err(error);
                }
                if buffer.len() >= COPY_BYTES {
                    copy.send(buffer.as_slice()).await.map_err(fail)?;
                    buffer.clear();
                }
            }
            sqlx::query("UPDATE serving.loading SET touched = now() WHERE name = $1")
                .bind(staging)
                .execute(pool)
                .await
                .map_err(fail)?;
        }
        if !buffer.is_empty() {
            copy.send(buffer.as_slice()).await.map_err(fail)?;
        }
        copy.finish().await.map_err(fail)?;
        Ok(())
    }

    /// Takes the staging table's last records into the live table and moves the mark.
    async fn apply(&mut self, connection: &mut PgConnection, mode: SyncMode) -> Result<u64> {
        execute(connection, "BEGIN".to_owned()).await?;
        let done = self.apply_in(connection, mode).await;
        execute(connection, if done.is_ok() { "COMMIT" } else { "ROLLBACK" }.to_owned()).await?;
        done
    }

    async fn apply_in(&mut self, connection: &mut PgConnection, mode: SyncMode) -> Result<u64> {
        // One refresh of an entry at a time, whichever process does it.
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 7162))")
            .bind(self.entry)
            .execute(&mut *connection)
            .await
            .map_err(fail)?;
        let before = sqlx::query(MARK)
            .bind(self.entry)
            .fetch_optional(&mut *connection)
            .await
            .map_err(fail)?;
        let before = before.as_ref().map(read_mark).transpose()?;
        if let Some(table) = &before
            && table.lake_version >= self.lake_version
        {
            return Ok(table.rows);
        }
        let (name, generation, fresh) = match (&before, mode) {
            (Some(table), SyncMode::Incremental) => self.adopt(connection, table).await?,
            _ => {
                let generation = ticket(connection).await?;
                let name = format!("s_{}_{generation}", slug(self.entry));
                create(connection, &name, &self.shape).await?;
                (name, generation, true)
            }
        };
        let rows = self.merge(connection, &name, fresh, before.as_ref().filter(|_| !fresh)).await?;
        if fresh {
            index(connection, &name, &self.shape).await?;
            execute(connection, format!("ANALYZE serving.{name}")).await?;
        }
        self.put_mark(connection, &name, generation, rows).await?;
        if let Some(table) = before.filter(|t| t.name != name) {
            execute(connection, format!("DROP TABLE IF EXISTS serving.{}", table.name)).await?;
        }
        Ok(u64::try_from(rows).unwrap_or(0))
    }

    /// Brings the records in; answers the rows of the table afterwards.
    async fn merge(
        &self,
        connection: &mut PgConnection,
        name: &str,
        fresh: bool,
        before: Option<&Table>,
    ) -> Result<i64> {
        let mut rows = before.map_or(0, |t| i64::try_from(t.rows).unwrap_or(i64::MAX));
        let all = columns(0..self.shape.columns.len(), "");
        let staging = self.staging;
        if self.shape.key.is_empty() {
            let added = execute(
                connection,
                format!("INSERT INTO serving.{name} ({all}) SELECT {all} FROM serving.{staging} WHERE _op <> 'D' ORDER BY _seq"),
            )
            .await?;
            return Ok(rows.saturating_add_unsigned(added));
        }
        let key = columns(self.shape.key.iter().copied(), "");
        let last = format!(
            "SELECT DISTINCT ON ({key}) * FROM serving.{staging} ORDER BY {key}, _seq DESC"
        );
        if !fresh {
            // Equality first, by the index; keys with a null in them are few and found by the slow way.
            let join = |operator: &str| {
                let pairs = self.shape.key.iter().map(|n| format!("t.c{n} {operator} l.c{n}"));
                pairs.collect::<Vec<_>>().join(" AND ")
            };
            let some_null = self
                .shape
                .key
                .iter()
                .map(|n| format!("l.c{n} IS NULL"))
                .collect::<Vec<_>>()
                .join(" OR ");
            for (operator, extra) in
                [("=", String::new()), ("IS NOT DISTINCT FROM", format!(" AND ({some_null})"))]
            {
                let removed = execute(
                    connection,
                    format!(
                        "DELETE FROM serving.{name} t USING ({last}) l WHERE {}{extra}",
                        join(operator)
                    ),
                )
                .await?;
                rows = rows.saturating_sub_unsigned(removed);
            }
        }
        let added = execute(
            connection,
            format!("INSERT INTO serving.{name} ({all}) SELECT {all} FROM ({last}) l WHERE _op <> 'D' ORDER BY _seq"),
        )
        .await?;
        Ok(rows.saturating_add_unsigned(added))
    }

    async fn put_mark(
        &self,
        connection: &mut PgConnection,
        name: &str,
        generation: i64,
        rows: i64,
    ) -> Result<()> {
        let shape = serde_json::to_string(&self.shape)
            .map_err(|e| Error::internal("cannot write the mark's shape").caused_by(e))?;
        sqlx::query(
            "INSERT INTO serving.mark VALUES ($1, $2, $3, nextval('serving.ticket'), $4, $5, $6, $7) ON CONFLICT (entry) DO UPDATE SET name = excluded.name, generation = excluded.generation, stamp = excluded.stamp, parcel = excluded.parcel, lake_version = excluded.lake_version, row_count = excluded.row_count, shape = excluded.shape",
        )
        .bind(self.entry)
        .bind(name)
        .bind(generation)
        .bind(self.parcel)
        .bind(self.lake_version)
        .bind(rows)
        .bind(shape)
        .execute(connection)
        .await
        .map_err(fail)?;
        Ok(())
    }

    /// The live table, or its rows in a table of the new shape when the entry's items have changed.
    async fn adopt(
        &mut self,
        connection: &mut PgConnection,
        before: &Table,
    ) -> Result<(String, i64, bool)> {
        if self.shape.same_layout(&before.shape) {
            for (mine, theirs) in self.shape.columns.iter_mut().zip(&before.shape.columns) {
                mine.nulls |= theirs.nulls;
                mine.fan_out = theirs.fan_out;
            }
            return Ok((before.name.clone(), before.generation, false));
        }
        let (mut to, mut from) = (vec!["_id".to_owned()], vec!["_id".to_owned()]);
        for (n, column) in self.shape.columns.iter_mut().enumerate() {
            match before.shape.find(&column.name) {
                Some((_, old)) if old.kind != column.kind => {
                    return Err(kind_changed(&column.name));
                }
                Some((m, old)) => {
                    column.nulls |= old.nulls;
                    to.push(format!("c{n}"));
                    from.push(format!("c{m}"));
                }
                None => column.nulls |= before.rows > 0,
            }
        }
        let generation = ticket(connection).await?;
        let name = format!("s_{}_{generation}", slug(self.entry));
        create(connection, &name, &self.shape).await?;
        let (to, from, old) = (to.join(","), from.join(","), &before.name);
        execute(
            connection,
            format!(
                "INSERT INTO serving.{name} ({to}) SELECT {from} FROM serving.{old} ORDER BY _id"
            ),
        )
        .await?;
        execute(
            connection,
            format!("SELECT setval(pg_get_serial_sequence('serving.{name}', '_id'), (SELECT COALESCE(MAX(_id), 0) + 1 FROM serving.{name}), false)"),
        )
        .await?;
        index(connection, &name, &self.shape).await?;
        Ok((name, generation, false))
    }
}

fn definition(shape: &Shape) -> String {
    let mut sql = String::new();
    for (n, column) in shape.columns.iter().enumerate() {
        let storage = match column.kind.storage() {
            Storage::Text => "TEXT COLLATE \"C\"",
            Storage::Integer => "BIGINT",
            Storage::Float => "DOUBLE PRECISION",
        };
        sql.push_str(&format!(", c{n} {storage}"));
    }
    sql
}

async fn create(connection: &mut PgConnection, name: &str, shape: &Shape) -> Result<()> {
    let definition = definition(shape);
    let sql = format!(
        "CREATE TABLE serving.{name} (_id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY{definition})"
    );
    execute(connection, sql).await.map(|_| ())
}

async fn index(connection: &mut PgConnection, name: &str, shape: &Shape) -> Result<()> {
    if !shape.key.is_empty() {
        let key = columns(shape.key.iter().copied(), "");
        execute(connection, format!("CREATE UNIQUE INDEX ON serving.{name} ({key})")).await?;
    }
    for n in shape.lookups() {
        let rest = if shape.key.is_empty() {
            "_id".to_owned()
        } else {
            columns(shape.key.iter().copied().filter(|k| *k != n), "")
        };
        let rest = if rest.is_empty() { rest } else { format!(",{rest}") };
        execute(connection, format!("CREATE INDEX ON serving.{name} (c{n}{rest})")).await?;
    }
    Ok(())
}

fn columns(indexes: impl IntoIterator<Item = usize>, prefix: &str) -> String {
    indexes.into_iter().map(|n| format!("{prefix}c{n}")).collect::<Vec<_>>().join(",")
}

async fn ticket(connection: &mut PgConnection) -> Result<i64> {
    sqlx::query_scalar("SELECT nextval('serving.ticket')").fetch_one(connection).await.map_err(fail)
}

/// Runs a statement made of our own names only.
async fn execute(connection: &mut PgConnection, sql: String) -> Result<u64> {
    Ok(sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map_err(fail)?.rows_affected())
}

async fn execute_in(pool: &PgPool, sql: String) -> Result<u64> {
    let mut connection = pool.acquire().await.map_err(fail)?;
    execute(&mut connection, sql).await
}

/// One record in COPY's text form.
fn copy_row(buffer: &mut Vec<u8>, shape: &mut Shape, batch: &Batch, row: usize) -> Result<()> {
    use std::io::Write;
    let deleted = batch.operation(row) == Operation::Delete;
    buffer.push(if deleted { b'D' } else { b'I' });
    for (n, column) in shape.columns.iter_mut().enumerate() {
        buffer.push(b'\t');
        let values = batch
            .columns
            .get(n)
            .ok_or_else(|| Error::internal(format!("the batch has no column {n}")))?;
        let cell = cell(values, column.kind, row)?;
        column.nulls |= cell.is_null() && !deleted;
        let written = match &cell {
            Cell::Null => buffer.write_all(b"\\N"),
            Cell::Integer(i) => write!(buffer, "{i}"),
            Cell::Float(f) if f.is_infinite() => {
                buffer.write_all(if *f > 0.0 { b"Infinity" } else { b"-Infinity" })
            }
            Cell::Float(f) => write!(buffer, "{f:?}"),
            Cell::Text(text) => {
                for byte in text.bytes() {
                    match byte {
                        b'\\' => buffer.extend_from_slice(b"\\\\"),
                        b'\n' => buffer.extend_from_slice(b"\\n"),
                        b'\r' => buffer.extend_from_slice(b"\\r"),
                        b'\t' => buffer.extend_from_slice(b"\\t"),
                        // PostgreSQL cannot hold NUL in a text.
                        0 => buffer.extend_from_slice("\u{fffd}".as_bytes()),
                        b => buffer.push(b),
                    }
                }
                Ok(())
            }
        };
        written.map_err(|e| Error::internal("cannot write to memory").caused_by(e))?;
    }
    buffer.push(b'\n');
    Ok(())
}

fn bound(
    mut query: Query<'static, Pg, PgArguments>,
    params: Vec<Cell<'static>>,
) -> Query<'static, Pg, PgArguments> {
    for param in params {
        query = match param {
            Cell::Null => query.bind(Option::<i64>::None),
            Cell::Integer(i) => query.bind(i),
            Cell::Float(f) => query.bind(f),
            Cell::Text(t) => query.bind(t.into_owned()),
        };
    }
    query
}

fn value(row: &PgRow, place: usize, kind: Kind) -> Result<Value> {
    Ok(match kind.storage() {
        Storage::Text => {
            let text: Option<&str> = row.try_get(place).map_err(fail)?;
            text.map_or(Value::Null, |t| text_value(kind, t))
        }
        Storage::Integer => {
            let number: Option<i64> = row.try_get(place).map_err(fail)?;
            number.map_or(Value::Null, |n| integer_value(kind, n))
        }
        Storage::Float => {
            let number: Option<f64> = row.try_get(place).map_err(fail)?;
            number.map_or(Value::Null, Value::Float)
        }
    })
}

fn position(plan: &Plan<'_>, row: &PgRow) -> Result<Vec<Cell<'static>>> {
    let cell = |(place, storage): &(usize, Storage)| -> Result<Cell<'static>> {
        Ok(match storage {
            Storage::Text => {
                let text: Option<String> = row.try_get(*place).map_err(fail)?;
                text.map_or(Cell::Null, |t| Cell::Text(t.into()))
            }
            Storage::Integer => row
                .try_get::<Option<i64>, _>(*place)
                .map_err(fail)?
                .map_or(Cell::Null, Cell::Integer),
            Storage::Float => {
                row.try_get::<Option<f64>, _>(*place).map_err(fail)?.map_or(Cell::Null, Cell::Float)
            }
        })
    };
    plan.position.iter().map(cell).collect()
}

fn read_mark(row: &PgRow) -> Result<Table> {
    let shape: String = row.try_get(6).map_err(fail)?;
    Ok(Table {
        name: row.try_get(0).map_err(fail)?,
        generation: row.try_get(1).map_err(fail)?,
        stamp: row.try_get(2).map_err(fail)?,
        parcel: row.try_get(3).map_err(fail)?,
        lake_version: row.try_get(4).map_err(fail)?,
        rows: u64::try_from(row.try_get::<i64, _>(5).map_err(fail)?).unwrap_or(0),
        shape: serde_json::from_str(&shape)
            .map_err(|e| Error::internal("the mark's shape is not readable").caused_by(e))?,
    })
}

//! The serving copy on PostgreSQL: schema `serving` of the control database, for several processes at once.
//!
//! A parcel is copied into a table of its own first; one transaction then takes the last record of every key from
//! it into the live table (incremental) or a new one (full) and moves the mark. Texts compare by bytes (`COLLATE "C"`),
//! as on SQLite.

mod load;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use model::batch::Batch;
use model::code::SyncMode;
use model::entry::Entry;
use model::query::{Grouping, Groups, RowPage, RowQuery};
use model::value::{Row as ValueRow, Value};
use model::{Code, Error, Result};
use parking_lot::RwLock;
use policy::{Grant, Permit};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Postgres as Pg, Row};

use self::load::Load;
use super::counts::Counts;
use super::shape::{Cell, Kind, Shape, Storage, integer_value, text_value};
use super::sql::{Counting, Dialect, Plan, View, bond, is_point, plan};
use super::statistics::{self, Read};
use super::{
    EMPTY, FILL, LONGEST, Masking, PATIENCE, Protection, ServingCopy, Table, Turns, names, nothing,
    slug, token, too_slow,
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

/// See the module's head.
pub(crate) struct Postgres {
    /// Loads and housekeeping.
    pool: PgPool,
    /// Queries of callers: the server stops what takes too long.
    readers: PgPool,
    turns: Turns,
    tables: RwLock<HashMap<String, Arc<Table>>>,
    counts: Counts,
    protection: Protection,
}

impl Postgres {
    pub(crate) async fn open(url: &str, protection: Protection) -> Result<Self> {
        let unavailable = |e| Error::of(Code::StoreUnavailable).caused_by(e);
        let options: PgConnectOptions = url.parse().map_err(unavailable)?;
        let timed =
            options.clone().options([("statement_timeout", LONGEST.as_millis().to_string())]);
        let pool_of = |most| {
            PgPoolOptions::new().max_connections(most).acquire_timeout(Duration::from_secs(20))
        };
        let pool = pool_of(6).connect_with(options).await.map_err(unavailable)?;
        let readers = pool_of(12).connect_lazy_with(timed);
        sqlx::raw_sql(GROUND).execute(&pool).await.map_err(fail)?;
        let copy = Self {
            pool,
            readers,
            turns: Turns::new(PATIENCE),
            tables: RwLock::default(),
            counts: Counts::default(),
            protection,
        };
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
        let row =
            sqlx::query(MARK).bind(entry).fetch_optional(&self.readers).await.map_err(fail)?;
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
        Err(replaced())
    }

    async fn groups(
        &self,
        table: &Table,
        view: &View<'_>,
        ask: &Grouping,
    ) -> Result<Groups, Failure> {
        let name = Dialect::Postgres.table(&table.name);
        let mut plan = statistics::plan(Dialect::Postgres, &name, &table.shape, view, ask)?;
        let params = std::mem::take(&mut plan.params);
        let statement = std::mem::take(&mut plan.sql);
        let found = bound(sqlx::query(AssertSqlSafe(statement)), params)
            .fetch_all(&self.readers)
            .await
            .map_err(gone)?;
        let mut rows: Vec<ValueRow> = Vec::with_capacity(found.len());
        for row in &found {
            let cell = |(n, read): (usize, &Read)| match read {
                Read::Stored(kind) => value(row, n, *kind),
                Read::Count => value(row, n, Kind::Integer),
                Read::Text => value(row, n, Kind::Text),
            };
            rows.push(plan.reads.iter().enumerate().map(cell).collect::<Result<ValueRow>>()?);
        }
        Ok(plan.finish(rows)?)
    }

    async fn page(
        &self,
        table: &Table,
        view: &View<'_>,
        query: &RowQuery,
    ) -> Result<RowPage, Failure> {
        let after = match &query.after {
            None => None,
            Some(text) => Some(token::open(&self.protection.vault, &bond(view, query), text)?),
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
            .fetch_all(&self.readers)
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
                Some(token::seal(
                    &self.protection.vault,
                    &bond(view, query),
                    table.generation,
                    cells,
                )?)
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
                let key = Counts::key(table, &sql, &params);
                Some(match self.counts.get(&key) {
                    Some(known) => known,
                    None => {
                        let row = bound(sqlx::query(AssertSqlSafe(sql)), params)
                            .fetch_one(&self.readers)
                            .await
                            .map_err(gone)?;
                        let n: i64 = row.try_get(0).map_err(fail)?;
                        let n = u64::try_from(n).unwrap_or(0);
                        // Rows are never older than the mark that was read before them, and a newer mark is another key.
                        self.counts.put(key, n);
                        n
                    }
                })
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
        let shuffler = self.protection.shuffler;
        let mut load =
            Load { entry: &entry.id, shape, parcel, lake_version, staging: &staging, shuffler };
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
        let view = View::of(grant);
        let known = self.tables.read().get(view.entry).cloned();
        let _turn = match known.is_some_and(|t| is_point(&t.shape, &view, query)) {
            true => None,
            false => Some(self.turns.take(view.grantee).await?),
        };
        self.run(&view, query).await
    }

    async fn statistics(&self, grant: &Grant, ask: &Grouping) -> Result<Groups> {
        let view = View::of(grant);
        let _turn = self.turns.take(view.grantee).await?;
        for _ in 0..3 {
            let Some(table) = self.mark(view.entry).await? else {
                return statistics::nothing(&view, ask);
            };
            match self.groups(&table, &view, ask).await {
                Err(Failure::Gone) => {}
                Err(Failure::Other(error)) => return Err(error),
                Ok(groups) => return Ok(groups),
            }
        }
        Err(replaced())
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

fn replaced() -> Error {
    Error::of(Code::StoreUnavailable).detail("the serving table was replaced three times in a row")
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
        // query_canceled: the statement's time is up
        sqlx::Error::Database(d) if d.code().as_deref() == Some("57014") => {
            Failure::Other(too_slow(LONGEST).caused_by(e))
        }
        _ => Failure::Other(fail(e)),
    }
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

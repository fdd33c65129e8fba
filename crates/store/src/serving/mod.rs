//! The serving copy: current rows of a resource in indexed relational tables, for point look-ups by declared keys.
//!
//! `shape` says how items lie in a table, `sql` writes the statement of a query through a grant, `token` seals page
//! positions, `sqlite` and `postgres` run it. A mark per entry names the live table, the parcel and the lake version it
//! stands at, and changes in the same transaction as the rows (*exactly-once*). The copy can be rebuilt from the lake.

mod absent;
mod condition;
mod counts;
mod pattern;
mod postgres;
mod shape;
mod sql;
mod sqlite;
mod statistics;
#[cfg(test)]
pub(crate) mod tests;
mod token;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use guard::{MaskKey, Masker, Vault};
use model::batch::Batch;
use model::code::SyncMode;
use model::entry::Entry;
use model::query::{Grouping, Groups, RowPage, RowQuery};
use model::value::Value;
use model::{Code, Error, Result};
use parking_lot::RwLock;
use policy::{Action, Grant, Permit};
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

pub(crate) use self::absent::Absent;
use self::shape::{Shape, Shuffler};
use self::sql::{Output, Plan, View};
use crate::{Backend, Db, StoreConfig};

/// The longest a list or a count may take before the database is told to stop; the caller is told to narrow it.
const LONGEST: Duration = Duration::from_secs(10);
/// The longest a list waits for others to end.
const PATIENCE: Duration = Duration::from_secs(10);
/// Lists that run at the same time; point look-ups are not counted.
const LISTS: usize = 8;
/// Of these for callers nobody knows, so that they never take the place of those who have a share application.
const OPEN_LISTS: usize = 4;

/// Turns of lists.
struct Turns {
    all: Semaphore,
    open: Semaphore,
    patience: Duration,
}

impl Turns {
    fn new(patience: Duration) -> Self {
        Self { all: Semaphore::new(LISTS), open: Semaphore::new(OPEN_LISTS), patience }
    }

    /// Waits for a turn, not for ever.
    async fn take(
        &self,
        grantee: &str,
    ) -> Result<(Option<SemaphorePermit<'_>>, SemaphorePermit<'_>)> {
        let turn = async {
            let open = match grantee {
                PUBLIC => Some(self.open.acquire().await?),
                _ => None,
            };
            Ok((open, self.all.acquire().await?))
        };
        let closed = |e: AcquireError| Error::internal("closed").caused_by(e);
        // Where there is room nobody waits, and no clock is set.
        let open = match grantee {
            PUBLIC => self.open.try_acquire().map(Some),
            _ => Ok(None),
        };
        if let Ok(open) = open
            && let Ok(all) = self.all.try_acquire()
        {
            return Ok((open, all));
        }
        match tokio::time::timeout(self.patience, turn).await {
            Ok(turn) => turn.map_err(closed),
            Err(_) => Err(Error::new(
                Code::StoreUnavailable,
                "列表查询过多，请稍后再试；按业务主键查询不受影响",
                "too many lists run at once, try again shortly; look-ups by key are not affected",
            )),
        }
    }
}

/// Grantee of a caller nobody knows.
const PUBLIC: &str = "public";

/// A query that was stopped.
fn too_slow(longest: Duration) -> Error {
    let seconds = longest.as_secs();
    Error::new(
        Code::QueryTooSlow,
        format!("查询超过 {seconds} 秒，已中止；请用业务主键或查询项缩小条件"),
        format!(
            "the query took more than {seconds} seconds and was stopped; narrow it by a key or look-up item"
        ),
    )
}

/// Actions that may move rows into the serving copy.
const FILL: &[Action] = &[Action::DataCollect, Action::QuarantineMend, Action::SystemWork];
/// Actions that may take rows out of it.
const EMPTY: &[Action] =
    &[Action::EntrySubmit, Action::EntryReview, Action::DataCollect, Action::SystemWork];

/// What a serving copy does. SQLite (a file of its own, rusqlite) and PostgreSQL (schema `serving`) implement it.
#[async_trait]
pub trait ServingCopy: Send + Sync {
    /// Brings the rows of one landed parcel into the entry's table, in one transaction with the mark
    /// (parcel, lake version): applied twice, nothing changes. Full mode fills a new table and swaps it in; incremental
    /// mode replaces and deletes by the business key, or appends where there is none. Answers the rows held afterwards.
    async fn refresh(
        &self,
        permit: &Permit,
        entry: &Entry,
        mode: SyncMode,
        parcel: &str,
        lake_version: i64,
        rows: BoxStream<'static, Result<Batch>>,
    ) -> Result<u64>;

    /// Parcel and lake version the copy stands at; `None` when it holds nothing.
    async fn position(&self, entry: &str) -> Result<Option<(String, i64)>>;

    /// Rows through a grant: columns, row filter, masks and cap are applied here, whatever the query says.
    /// Errors: `ColumnNotGranted`, `InvalidQuery` (naming the column), `Stale` for a page token the data outran.
    async fn query(&self, grant: &Grant, query: &RowQuery) -> Result<RowPage>;

    /// Figures by group through a grant: masked items are refused, small groups hidden. An entry that is not held here has none.
    async fn statistics(&self, grant: &Grant, ask: &Grouping) -> Result<Groups>;

    /// Takes an entry's rows away (it went offline or was withdrawn).
    async fn remove(&self, permit: &Permit, entry: &str) -> Result<()>;
}

pub(crate) async fn open(config: &StoreConfig, db: &Db) -> Result<Arc<dyn ServingCopy>> {
    let protection = Protection::new(config);
    Ok(match db.backend() {
        Backend::Sqlite => Arc::new(sqlite::Sqlite::open(&config.folder, protection)?),
        Backend::Postgres => Arc::new(postgres::Postgres::open(&config.url, protection).await?),
    })
}

/// The mark of an entry: its live table and where it stands.
#[derive(Clone, Debug)]
struct Table {
    name: String,
    /// Number of the load that made the table.
    generation: i64,
    /// Changes with every refresh, so that what is remembered of the table is known to hold.
    stamp: i64,
    parcel: String,
    lake_version: i64,
    rows: u64,
    shape: Shape,
}

/// Masks and sealed tokens.
struct Protection {
    vault: Vault,
    key: MaskKey,
    shuffler: Shuffler,
    maskers: RwLock<HashMap<String, Arc<Masker>>>,
}

/// Grantees whose maskers are remembered.
const MASKERS: usize = 4096;

impl Protection {
    fn new(config: &StoreConfig) -> Self {
        let order = config.keys.derive("row order");
        let mut half = [0; 16];
        half.iter_mut().zip(order.bytes()).for_each(|(to, from)| *to = *from);
        Self {
            vault: Vault::new(&config.keys.derive("page token")),
            key: config.keys.mask(),
            shuffler: Shuffler::new(&half),
            maskers: RwLock::default(),
        }
    }

    fn masker(&self, grantee: &str) -> Arc<Masker> {
        if let Some(found) = self.maskers.read().get(grantee) {
            return Arc::clone(found);
        }
        let made = Arc::new(Masker::new(&self.key, grantee));
        let mut all = self.maskers.write();
        if all.len() >= MASKERS {
            all.clear();
        }
        all.insert(grantee.to_owned(), Arc::clone(&made));
        made
    }
}

/// Masks of one answer; the masker is only made when there is something to mask.
struct Masking(Option<Arc<Masker>>);

impl Masking {
    fn of(protection: &Protection, view: &View<'_>, plan: &Plan<'_>) -> Self {
        let any = plan.outputs.iter().any(|o| o.mask.is_some());
        Self(any.then(|| protection.masker(view.grantee)))
    }
    /// The value as it may leave. Without a masker a masked column gives nothing.
    fn apply(&self, output: &Output<'_>, value: Value) -> Value {
        match (output.mask, &self.0) {
            (None, _) => value,
            (Some(mask), Some(masker)) => masker.apply(mask, output.identifier, &value),
            (Some(_), None) => Value::Null,
        }
    }
}

/// An answer without rows, after the query was checked all the same.
fn nothing(view: &View<'_>, query: &RowQuery) -> Result<RowPage> {
    let empty = Shape::default();
    let mut unbound = query.clone();
    unbound.after = None;
    // With no table there is no row the grant's own filter could let through.
    let view = View { row_filter: None, ..*view };
    let plan = sql::plan(sql::Dialect::Sqlite, "nothing", &empty, &view, &unbound, None)?;
    Ok(RowPage {
        columns: names(&plan),
        rows: Vec::new(),
        total: plan.count.is_some().then_some(0),
        next: None,
    })
}

fn names(plan: &Plan<'_>) -> Vec<String> {
    plan.outputs.iter().map(|o| o.name.to_owned()).collect()
}

/// Part of a table's name that tells its entry: lower letters and digits as they are, the rest in hex.
fn slug(entry: &str) -> String {
    if entry.len() <= 40 && entry.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase()) {
        return entry.to_owned();
    }
    let mut text = guard::hash::sm3_hex(entry.as_bytes());
    text.truncate(32);
    text
}

fn kind_changed(name: &str) -> Error {
    Error::new(
        model::Code::WrongState,
        format!("数据项 `{name}` 的数据类型已变更，请以全量方式重新归集后再做增量"),
        format!(
            "the type of data item `{name}` has changed: collect once in full mode, then incrementally"
        ),
    )
}

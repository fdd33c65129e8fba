//! What an application receives: one share, in it a schema for each providing organisation and a table for each entry.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::NaiveDate;
use model::request::RequestState;
use model::{Actor, Code, Error, Op, Result};
use policy::{Action, Grant};

use crate::sharing::bounds::{Bound, Held};
use crate::sharing::{Batch, Stopped};
use crate::{App, Page, dispatch, sharing};

/// Name of the share: what was agreed with the caller for batch use.
pub const SHARE: &str = "qiantang";

/// A granted table.
#[derive(Clone, Debug)]
pub struct Table {
    pub schema: String,
    /// Code of the entry.
    pub name: String,
    pub title: String,
    /// Id of the entry.
    pub id: String,
    pub(crate) grant: Grant,
}

/// Where a table is looked for; names are not told apart by case.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    pub share: &'a str,
    pub schema: &'a str,
    pub table: &'a str,
}

#[derive(Clone)]
pub(super) struct Kept {
    epoch: u64,
    policy: u64,
    day: NaiveDate,
    tables: Arc<Vec<Table>>,
    /// Tables that are not among them because of an emergency stop.
    stopped: Stopped,
    /// What bounds the application at them, by code.
    bounds: Arc<HashMap<String, Bound>>,
}

/// A schema is named after the organisation that provides.
fn schema_of(org: &str) -> String {
    org.chars().map(|c| if c.is_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

/// All tables of the caller, by schema and name.
pub(super) async fn granted(app: &App, op: &Op) -> Result<Arc<Vec<Table>>> {
    kept_now(app, op).await.map(|kept| kept.tables)
}

/// The same, and what an emergency stop keeps from being among them.
pub(super) async fn granted_or_stopped(app: &App, op: &Op) -> Result<(Arc<Vec<Table>>, Stopped)> {
    kept_now(app, op).await.map(|kept| (kept.tables, kept.stopped))
}

async fn kept_now(app: &App, op: &Op) -> Result<Kept> {
    if !matches!(op.actor, Actor::Application { .. }) {
        return Err(Error::of(Code::SignatureMissing));
    }
    app.shares.look(app, op).await?;
    let (epoch, policy, day) = (app.shares.epoch(), app.policy.version(), op.today());
    let id = op.actor.id();
    if let Some(kept) = app.delta.granted.get(id)
        && kept.epoch == epoch
        && kept.policy == policy
        && kept.day == day
        && kept.tables.iter().all(|t| t.grant.check_time(op.at).is_ok())
    {
        return Ok(kept);
    }
    let Batch { given, stopped } = sharing::granted(app, op, Action::RowsBatch).await?;
    let mut tables: Vec<Table> = given
        .into_iter()
        .map(|(grant, entry)| Table {
            schema: schema_of(&entry.draft.org),
            name: entry.draft.code.clone(),
            title: entry.draft.title.clone(),
            id: entry.id,
            grant,
        })
        .collect();
    tables.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
    let bounds = sharing::bounds::of_grants(app, id, tables.iter().map(|t| &t.grant)).await?;
    let (tables, bounds) = (Arc::new(tables), Arc::new(bounds));
    let kept = Kept { epoch, policy, day, tables, stopped, bounds };
    app.delta.granted.insert(id.to_owned(), kept.clone());
    Ok(kept)
}

/// Those that the caller's token reaches. Where the application itself is stopped nothing is listed, not even that nothing is there.
async fn reached(app: &App, op: &Op) -> Result<Vec<Table>> {
    let kept = kept_now(app, op).await?;
    match kept.stopped.of_caller() {
        Some(stop) => Err(stop),
        None => Ok(kept.tables.iter().filter(|t| op.reaches(&t.name)).cloned().collect()),
    }
}

fn same(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

fn missing(what: (&str, &str), name: &str) -> Error {
    let name: String = name.chars().take(80).collect();
    Error::not_found(what.0, what.1, &name)
}

/// The share, if the caller has one and `name` is its name (none is asked for by name: the list).
pub async fn share(app: &App, op: &Op, name: Option<&str>) -> Result<Option<&'static str>> {
    let there = !reached(app, op).await?.is_empty();
    match name {
        None => Ok(there.then_some(SHARE)),
        Some(name) if there && same(name, SHARE) => Ok(Some(SHARE)),
        Some(name) => Err(missing(("共享", "share"), name)),
    }
}

/// A page of names after a position.
fn cut<T>(
    app: &App,
    all: Vec<T>,
    most: Option<u64>,
    after: &str,
    key: fn(&T) -> String,
) -> Page<T> {
    let most = most.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    let most = most.min(app.rules.delta.page);
    let mut items: Vec<T> =
        all.into_iter().filter(|t| after.is_empty() || key(t).as_str() > after).collect();
    let more = items.len() > most;
    items.truncate(most);
    let next = more.then(|| items.last().map_or_else(|| after.to_owned(), key));
    Page { items, next }
}

/// Schemas of the share.
pub async fn schemas(
    app: &App,
    op: &Op,
    share: &str,
    most: Option<u64>,
    after: &str,
) -> Result<Page<String>> {
    self::share(app, op, Some(share)).await?;
    let mut names: Vec<String> = reached(app, op).await?.into_iter().map(|t| t.schema).collect();
    names.dedup();
    Ok(cut(app, names, most, after, Clone::clone))
}

/// Tables of a schema, or of the whole share.
pub async fn tables(
    app: &App,
    op: &Op,
    share: &str,
    schema: Option<&str>,
    most: Option<u64>,
    after: &str,
) -> Result<Page<Table>> {
    self::share(app, op, Some(share)).await?;
    let mut found = reached(app, op).await?;
    if let Some(schema) = schema {
        found.retain(|t| same(&t.schema, schema));
        if found.is_empty() {
            return Err(missing(("架构", "schema"), schema));
        }
    }
    Ok(cut(app, found, most, after, |t| format!("{}/{}", t.schema, t.name)))
}

/// One table. What was never granted is not found; what was and has ended says so.
pub async fn find(app: &App, op: &Op, named: &Named<'_>) -> Result<Table> {
    let kept = kept_now(app, op).await?;
    let found = kept.tables.iter().find(|t| {
        same(named.share, SHARE) && same(&t.schema, named.schema) && same(&t.name, named.table)
    });
    match found.filter(|t| op.reaches(&t.name)) {
        Some(table) => {
            table.grant.check_time(op.at)?;
            Ok(table.clone())
        }
        None => Err(gone(app, op, &kept.stopped, named.table).await?),
    }
}

/// The table of an address that was given out; what has ended or was stopped since says so.
pub(super) async fn still(app: &App, op: &Op, code: &str) -> Result<Table> {
    let kept = kept_now(app, op).await?;
    let found = kept.tables.iter().find(|t| t.name == code).cloned();
    found.ok_or_else(|| kept.stopped.why(code))
}

async fn gone(app: &App, op: &Op, stopped: &Stopped, name: &str) -> Result<Error> {
    let states = [RequestState::Approved, RequestState::Expired, RequestState::Revoked];
    if let Some(entry) = app.store.entry_get(&name.to_lowercase()).await? {
        let newest = app.store.request_newest(op.actor.id(), &entry.id, &states).await?;
        if newest.is_some_and(|r| r.by_sql) {
            return Ok(stopped.why(&entry.draft.code));
        }
    }
    Ok(missing(("表", "table"), name))
}

/// Reads of files in a second: a question may name many small ones, and only its addresses open them.
pub(super) const FILES_A_SECOND: u32 = 1000;

/// Lets a call of a table in, within what bounds the application there; answers its place among the calls under way.
pub(super) async fn admit(app: &App, op: &Op, table: &Table) -> Result<Held> {
    let kept = kept_now(app, op).await?;
    let bound = kept.bounds.get(table.grant.code());
    Ok(bound.map(|b| b.admit(op, Action::RowsBatch)).transpose()?.unwrap_or_default())
}

/// Counts one call of a table, at the pace that was agreed or at a quicker one.
pub(super) async fn count(app: &App, op: &Op, table: &Table, pace: u32) -> Result<()> {
    let Actor::Application { id, org, .. } = &op.actor else {
        return Err(Error::of(Code::SignatureMissing));
    };
    let Some(mut quota) = table.grant.quota() else { return Ok(()) };
    quota.calls_per_second = quota.calls_per_second.max(pace);
    quota.burst = quota.burst.max(quota.calls_per_second);
    let pools = dispatch::pools(app, id, org).await?.into();
    meter(app, id, table).count(app, op, quota, &pools).await.map(|_| ())
}

/// A call that came to nothing does not count.
pub(super) fn uncount(app: &App, op: &Op, table: &Table) {
    sharing::uncount(&meter(app, op.actor.id(), table), op);
}

fn meter(app: &App, id: &str, table: &Table) -> Arc<sharing::Meter> {
    sharing::meter(app, id, &table.id, Some((id.to_owned(), table.id.clone())))
}

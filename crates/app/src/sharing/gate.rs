//! The gate: grant, rate, quota, look-up with masks inside, audit record durable, then the answer.
//!
//! *no-plain-way-out*: rows come only from engines that apply the grant. *every-release-audited*: a release whose
//! record cannot be written is refused. What decides is kept per caller and resource until the ledger changes.

use std::sync::Arc;
use std::time::Instant;

use chrono::NaiveDate;
use model::audit::AuditEvent;
use model::entry::Entry;
use model::query::{Grouping, RowPage, RowQuery};
use model::request::{Request, RequestFilter, RequestState};
use model::value::{Row, Value};
use model::{Actor, Code, Error, Op, Result};
use policy::{Action, Grant, GrantAsk, Via};
use store::request::RequestScope;

use super::bearing::{self, Bearing};
use super::bounds::{self, Bound, Held};
use super::fingerprint::fingerprint;
use super::flowing::{Footing, Mark};
use super::quota::{Meter, Pools};
use super::resource::{Ground, Reached, in_scope};
use super::{Callable, Release, paging};
use crate::{App, audit, dispatch};

/// What was decided for one caller (or the public as a whole) and one resource, good for one epoch and one day: masks
/// begin and end by the day.
pub(crate) struct Access {
    /// Taken before anything was decided.
    mark: Mark,
    day: NaiveDate,
    grant: Grant,
    entry: Arc<Entry>,
    /// Whether the serving copy holds the rows.
    served: bool,
    /// Whether the rows left a sandbox: every answer bears its own watermark.
    released: bool,
    /// Of a known caller; the public is metered by address.
    meter: Option<Arc<Meter>>,
    /// Quotas of calls above the caller's own.
    pools: Pools,
    /// What bounds the caller here; nothing where nothing is set.
    bound: Option<Bound>,
    masked: Vec<String>,
    masks: String,
}

impl Access {
    /// About how much it takes, in columns.
    pub(super) fn weight(&self) -> u32 {
        u32::try_from(self.grant.columns().len()).unwrap_or(u32::MAX).max(1)
    }

    fn meter(&self, app: &App, op: &Op) -> Arc<Meter> {
        match &self.meter {
            Some(meter) => Arc::clone(meter),
            None => meter(app, &op.source, &self.entry.id, None),
        }
    }
}

pub(crate) fn meter(
    app: &App,
    caller: &str,
    entry: &str,
    kept: Option<(String, String)>,
) -> Arc<Meter> {
    let key = format!("{caller}\n{entry}");
    app.shares.meters.get_with(key, || Arc::new(Meter::new(kept)))
}

/// The gate. `op.actor` is an application (by its approved request) or anyone (freely open resources only).
pub async fn query(app: &App, op: &Op, code: &str, query: &RowQuery) -> Result<Release> {
    let pass = enter(app, op, code, Action::RowsQuery).await?;
    let page = pass.read(app, op, query).await?;
    pass.told(app, op, pass.event(op, query, &page)).await?;
    Ok(Release { masked: pass.masked(query), calls_left: pass.calls_left, mark: pass.mark(), page })
}

/// A caller inside the gate: granted for a resource, the call counted. What it reads it must tell before it hands it out
/// (*every-release-audited*).
pub(crate) struct Pass {
    access: Arc<Access>,
    meter: Arc<Meter>,
    pub(crate) calls_left: Option<u64>,
    begun: Instant,
    /// Its places among the calls under way.
    held: Held,
    /// What its answer bears, of rows that left a sandbox.
    bearing: Option<Bearing>,
}

/// Lets a caller in for one call; a refusal is recorded.
pub(crate) async fn enter(app: &App, op: &Op, code: &str, action: Action) -> Result<Pass> {
    let begun = Instant::now();
    let access = match access(app, op, code, action).await {
        Ok(access) => access,
        Err(e) => return Err(refuse(app, op, code, action, e).await),
    };
    let meter = access.meter(app, op);
    let held = match access.bound.as_ref().map(|b| b.admit(op, action)).transpose() {
        Ok(held) => held.unwrap_or_default(),
        Err(e) if e.kind() == model::Kind::Exhausted => {
            return Err(told(app, op, code, action, &meter, e).await);
        }
        Err(e) => return Err(refuse(app, op, code, action, e).await),
    };
    match count(app, op, &access, &meter).await {
        Ok(calls_left) => {
            let bearing = access.released.then(Bearing::draw).transpose()?;
            Ok(Pass { access, meter, calls_left, begun, held, bearing })
        }
        Err(e) if e.kind() == model::Kind::Exhausted => {
            Err(told(app, op, code, action, &meter, e).await)
        }
        Err(e) => Err(refuse(app, op, code, action, e).await),
    }
}

/// A refusal of which there may be a flood: one record a second tells of all.
async fn told(app: &App, op: &Op, code: &str, action: Action, meter: &Meter, e: Error) -> Error {
    match meter.tells(op) {
        Some(untold) => Box::pin(refuse_many(app, op, code, action.as_str(), e, untold)).await,
        None => e,
    }
}

impl Pass {
    pub(crate) fn grant(&self) -> &Grant {
        &self.access.grant
    }

    /// What lets rows go on that leave by this pass as a stream.
    pub(crate) fn standing(&self, app: &Arc<App>, op: &Op) -> Footing {
        Footing::new(app, op, &self.access.grant, self.access.mark)
    }

    pub(crate) fn served(&self) -> bool {
        self.access.served
    }

    /// Rows through the grant.
    pub(crate) async fn read(&self, app: &App, op: &Op, query: &RowQuery) -> Result<RowPage> {
        let counted = self.ask(app, op, query).await?;
        let found = self.fetch(app, op, query).await;
        if let Err(e) = &found {
            self.unask(app, counted.as_ref(), e).await;
        }
        found
    }

    /// The same where the subjects asked about were counted before (`ask`).
    pub(crate) async fn fetch(&self, app: &App, op: &Op, query: &RowQuery) -> Result<RowPage> {
        let access = &self.access;
        let plain = self.bearing.as_ref().map(|_| bearing::plain(query));
        let query = plain.as_ref().unwrap_or(query);
        let looked = read(app, &access.grant, &access.entry, access.served, query);
        let mut page = self.timed(app, op, looked).await?;
        if let Some(bearing) = &self.bearing {
            bearing.write(&mut page);
        }
        Ok(page)
    }

    /// The watermark that its answer bears, where it bears one.
    pub(crate) fn mark(&self) -> Option<String> {
        self.bearing.as_ref().map(|b| b.name().to_owned())
    }

    /// Items of which an answer tells something: what is compared is told of, too.
    fn told_of<'a>(&'a self, query: &'a RowQuery) -> Vec<&'a str> {
        let mut items: Vec<&str> = match query.select.is_empty() {
            true => self.access.grant.columns().iter().map(|c| c.identifier.as_str()).collect(),
            false => query.select.iter().map(|(column, _)| column.as_str()).collect(),
        };
        if let Some(filter) = &query.filter {
            filter.columns(&mut items);
        }
        items.extend(query.order.iter().map(|o| o.column.as_str()));
        items.sort_unstable();
        items.dedup();
        items
    }

    /// Counts the subjects that are asked about and asks for their authorisation, where a bound says so.
    pub(crate) async fn ask(
        &self,
        app: &App,
        op: &Op,
        query: &RowQuery,
    ) -> Result<Option<bounds::Counted>> {
        let Some(bound) = &self.access.bound else { return Ok(None) };
        let items = match bound.needs_authorisation() {
            true => self.told_of(query),
            false => Vec::new(),
        };
        match Box::pin(bound.ask(app, op, query.filter.as_ref(), &items)).await {
            Ok(counted) => Ok(counted),
            Err(e) => Err(self.refuse(app, op, e).await),
        }
    }

    /// Refuses figures that tell of one subject where a bound counts subjects or asks for their authorisation.
    pub(crate) async fn figures(&self, app: &App, op: &Op, ask: &Grouping) -> Result<()> {
        match self.access.bound.as_ref().map_or(Ok(()), |bound| bound.figures(ask)) {
            Ok(()) => Ok(()),
            Err(e) => Err(self.refuse(app, op, e).await),
        }
    }

    /// Takes back what was counted, when the answer failed through no fault of the caller.
    pub(crate) async fn unask(&self, app: &App, counted: Option<&bounds::Counted>, e: &Error) {
        if let (Some(counted), Some(bound)) = (counted, &self.access.bound)
            && e.kind().ours()
        {
            Box::pin(bound.unask(app, counted)).await;
        }
    }

    /// Items of the resource, granted or not.
    pub(crate) fn items(&self) -> &[model::item::Item] {
        &self.access.entry.draft.items
    }

    /// Its places among the calls under way, for an answer that goes on after the pass.
    pub(crate) fn hold(&mut self) -> Held {
        std::mem::take(&mut self.held)
    }

    /// Runs a look-up: its time is the meter's, its failure is recorded, and does not count where it is ours.
    pub(crate) async fn timed<T>(
        &self,
        app: &App,
        op: &Op,
        look: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let begun = Instant::now();
        let looked = look.await;
        self.meter.took(begun.elapsed());
        match looked {
            Ok(found) => Ok(found),
            Err(e) => {
                if e.kind().ours() {
                    self.meter.uncount(op);
                }
                Err(self.refuse(app, op, e).await)
            }
        }
    }

    /// A refusal inside the gate leaves a record, too.
    pub(crate) async fn refuse(&self, app: &App, op: &Op, e: Error) -> Error {
        let grant = &self.access.grant;
        refuse(app, op, grant.code(), grant.action(), e).await
    }

    /// The record of a page.
    pub(crate) fn event(&self, op: &Op, query: &RowQuery, page: &RowPage) -> AuditEvent {
        release_event(op, &self.access.grant, &self.access.masks, query, page)
    }

    /// Writes the record of what is about to leave; without it nothing may.
    pub(crate) fn told(
        &self,
        app: &App,
        op: &Op,
        mut event: AuditEvent,
    ) -> impl Future<Output = Result<()>> {
        event.micros = u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
        if let Some(bearing) = &self.bearing {
            event.scope = format!("{} mark {}", event.scope, bearing.name()).trim().to_owned();
        }
        let rows = event.rows;
        let recording = audit::record(app, event);
        async move {
            let kept = match &self.bearing {
                Some(bearing) => Box::pin(bearing.keep(app, op, &self.access.grant, rows)).await,
                None => Ok(()),
            };
            let written = match kept {
                Ok(()) => recording.await,
                Err(e) => Err(e),
            };
            if written.is_err() {
                self.meter.uncount(op);
            }
            written
        }
    }

    /// Masked columns among those a query selects.
    pub(crate) fn masked(&self, query: &RowQuery) -> Vec<String> {
        match query.select.is_empty() {
            true => self.access.masked.clone(),
            false => self
                .access
                .masked
                .iter()
                .filter(|m| query.select.iter().any(|(column, _)| column == *m))
                .cloned()
                .collect(),
        }
    }
}

/// Refusals leave a record, too; a refusal stands even when its record cannot be written.
async fn refuse(app: &App, op: &Op, code: &str, action: Action, e: Error) -> Error {
    // Boxed, as all that few calls come by: calls carry what they wait for with them.
    Box::pin(refuse_many(app, op, code, action.as_str(), e, 0)).await
}

/// The same for a refusal that stands also for `untold` ones before it, which left no record.
pub(crate) async fn refuse_many(
    app: &App,
    op: &Op,
    code: &str,
    action: &str,
    e: Error,
    untold: u64,
) -> Error {
    // What a caller wrote into the address may be of any length.
    let object: String = code.chars().take(80).collect();
    let mut event = audit::refusal(op, action, &object, &e);
    if untold > 0 {
        event.calls = untold.saturating_add(1);
    }
    if let Err(trouble) = audit::record(app, event).await {
        tracing::error!(error = %trouble.operator_text(), "a refusal could not be recorded");
    }
    e
}

async fn count(app: &App, op: &Op, access: &Access, meter: &Meter) -> Result<Option<u64>> {
    access.grant.check_time(op.at)?;
    match access.grant.quota() {
        Some(quota) => meter.count(app, op, quota, &access.pools).await.map(Some),
        None => Ok(None),
    }
}

/// Whether a caller would be granted a resource: nothing is counted, nothing is recorded.
pub(crate) async fn lets_in(app: &App, op: &Op, code: &str, action: Action) -> bool {
    access(app, op, code, action).await.is_ok()
}

async fn access(app: &App, op: &Op, code: &str, action: Action) -> Result<Arc<Access>> {
    // Of every call, also where what was decided before is kept.
    let reached = in_scope(op, code)?;
    app.shares.look(app, op).await?;
    app.halts.look(app).await?;
    let (mark, day) = (Mark::of(app), op.today());
    let key = key(op, code, action);
    if let Some(kept) = app.shares.access.get(&key)
        && kept.mark == mark
        && kept.day == day
    {
        return Ok(kept);
    }
    let access = Arc::new(Box::pin(decided(app, op, reached, action, (mark, day))).await?);
    app.shares.access.insert(key, Arc::clone(&access));
    Ok(access)
}

/// By what the access of a caller to a resource is kept.
fn key(op: &Op, code: &str, action: Action) -> String {
    // The public is granted the same whoever it is: one access for all addresses.
    let caller = match &op.actor {
        Actor::Nobody => "",
        known => known.id(),
    };
    let other = match action {
        Action::RowsQuery => "",
        other => other.as_str(),
    };
    let mut key = String::with_capacity(caller.len() + code.len() + other.len() + 2);
    [caller, "\n", code, "\n", other].into_iter().for_each(|part| key.push_str(part));
    key
}

/// Decides anew; `since` was taken before.
async fn decided(
    app: &App,
    op: &Op,
    reached: Reached<'_>,
    action: Action,
    since: (Mark, NaiveDate),
) -> Result<Access> {
    let ground = Ground::of(app, op, reached, action).await?;
    let (entry, via) = (Arc::clone(&ground.known.entry), ground.via());
    let row_cap = match action {
        Action::RowsDownload => u64::MAX,
        _ => app.rules.call.max_rows,
    };
    let grant = app.policy.grant(op, &GrantAsk { action, entry: &entry, via, row_cap })?;
    let meter = match &op.actor {
        Actor::Nobody => None,
        Actor::Application { id, .. } => {
            Some(meter(app, id, &entry.id, Some((id.clone(), entry.id.clone()))))
        }
        other => Some(meter(app, other.id(), &entry.id, None)),
    };
    let pools: Pools = match &op.actor {
        Actor::Application { id, org, .. } => dispatch::pools(app, id, org).await?.into(),
        _ => Pools::default(),
    };
    let application = match &op.actor {
        Actor::Application { id, .. } => id.as_str(),
        _ => "",
    };
    let bound = bounds::of(app, application, grant.request().unwrap_or_default(), &entry).await?;
    let (mark, day) = since;
    Ok(Access {
        bound,
        mark,
        day,
        masks: grant.masks_text(),
        masked: masked(&grant),
        grant,
        entry,
        served: ground.known.served,
        released: ground.released(),
        meter,
        pools,
    })
}

fn masked(grant: &Grant) -> Vec<String> {
    let columns = grant.columns().iter().filter(|c| c.mask.is_some());
    columns.map(|c| c.identifier.clone()).collect()
}

/// Rows through a grant: from the serving copy, or from the lake when the copy does not hold the entry.
pub(crate) async fn read(
    app: &App,
    grant: &Grant,
    entry: &Entry,
    served: bool,
    query: &RowQuery,
) -> Result<RowPage> {
    let call = &app.rules.call;
    if query.offset > call.max_offset {
        return Err(Error::new(
            Code::InvalidQuery,
            format!("offset 不能大于 {}，请用 after 翻页", call.max_offset),
            format!("`offset` is {} at most, page on by `after`", call.max_offset),
        ));
    }
    let limit = query.limit.unwrap_or(call.default_rows).min(grant.row_cap());
    let limited = |query: &RowQuery| RowQuery { limit: Some(limit), ..query.clone() };
    match (served, query.limit == Some(limit)) {
        (true, true) => app.store.serving().query(grant, query).await,
        (true, false) => app.store.serving().query(grant, &limited(query)).await,
        (false, _) => Box::pin(paging::from_lake(app, grant, entry, limited(query), limit)).await,
    }
}

/// The audit record of a release.
pub(crate) fn release_event(
    op: &Op,
    grant: &Grant,
    masks: &str,
    query: &RowQuery,
    page: &RowPage,
) -> AuditEvent {
    let columns = match query.select.is_empty() {
        true => page.columns.join(","),
        false => query.select.iter().map(|(c, _)| c.as_str()).collect::<Vec<_>>().join(","),
    };
    AuditEvent {
        columns,
        level: grant.grade().as_str().to_owned(),
        scope: query.filter.as_ref().map(fingerprint).unwrap_or_default(),
        rows: u64::try_from(page.rows.len()).unwrap_or(u64::MAX),
        bytes: page.rows.iter().map(row_bytes).sum(),
        purpose: purpose(op, grant),
        request: grant.request().unwrap_or_default().to_owned(),
        masks: masks.to_owned(),
        ..audit::event(op, grant.action().as_str(), grant.code())
    }
}

/// What a call is for: as it says, else as it was applied for.
pub(crate) fn purpose(op: &Op, grant: &Grant) -> String {
    let told = if op.purpose.is_empty() { grant.purpose() } else { &op.purpose };
    told.to_owned()
}

/// About how many bytes a row carries.
pub(crate) fn row_bytes(row: &Row) -> u64 {
    row.iter()
        .map(|v| match v {
            Value::Null | Value::Boolean(_) => 1,
            Value::Text(t) => u64::try_from(t.len()).unwrap_or(u64::MAX),
            Value::Integer(_) | Value::Float(_) | Value::Decimal(_) => 8,
            Value::Date(_) => 10,
            Value::DateTime(_) => 19,
        })
        .sum()
}

/// Resources the caller may call now: by approved applications, and what is freely open (the first 1000 by code).
pub async fn callable(app: &App, op: &Op) -> Result<Vec<Callable>> {
    let row_cap = app.rules.call.max_rows;
    let ask = |entry: Entry, request: Option<&Request>| {
        let via = request.map_or(Via::Open, Via::Request);
        let asked = GrantAsk { action: Action::RowsQuery, entry: &entry, via, row_cap };
        // What was agreed and is not allowed any more is simply not callable.
        app.policy.grant(op, &asked).ok().map(|grant| Callable { entry, grant })
    };
    let mut found: Vec<Callable> = Vec::new();
    if let Actor::Application { id, .. } = &op.actor {
        let mut filter = RequestFilter {
            application: Some(id.clone()),
            state: Some(RequestState::Approved),
            limit: 1000,
            ..RequestFilter::default()
        };
        loop {
            let page = app.store.request_list(&filter, &RequestScope::All).await?;
            for request in &page {
                if crate::restricted::clean_use(app, op, request).await.is_err() {
                    continue;
                }
                if let Some(entry) = app.store.entry_get(&request.entry).await? {
                    found.extend(ask(entry, Some(request)));
                }
            }
            let Some(last) = page.last() else { break };
            filter.after = Some(last.id.clone());
        }
    }
    for entry in app.store.entry_list_open(None, 1000).await? {
        if entry.freely_open() && !found.iter().any(|c| c.entry.id == entry.id) {
            found.extend(ask(entry, None));
        }
    }
    found.sort_by(|a, b| a.entry.draft.code.cmp(&b.entry.draft.code));
    Ok(found)
}

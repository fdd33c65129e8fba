//! One outflow at work: where the target stands, what differs from it, one transaction there.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use model::batch::Operation;
use model::code::SyncMode;
use model::op::stamp;
use model::outflow::{Outflow, OutflowDay, OutflowFigures, OutflowState, OutflowWish};
use model::{Error, Op, Result};
use parking_lot::Mutex;
use policy::port::{ChangeSpan, Changes, OutletAddress, OutletChange, OutletLine};
use policy::{Action, Permit};
use tokio::time::Instant;

use super::granted::{self, Granted};
use super::place::Place;
use super::work::{self, Ended};
use crate::sharing::bounds::Held;
use crate::{App, audit, collection, lease};

/// How often the lease is renewed and figures are kept.
const BEAT: Duration = Duration::from_secs(2);

/// Delivers until somebody pauses it or something fails.
pub(super) async fn drive(app: &Arc<App>, id: &str) -> Result<Ended> {
    let Some(record) = app.store.outflow_get(id).await? else { return Ok(Ended::Elsewhere) };
    let work = Work {
        app: Arc::clone(app),
        permit: work::permit(app).await?,
        outflow: record.outflow,
        kept: Mutex::new(record.figures.clone()),
        figures: Mutex::new(record.figures),
    };
    // Whatever is cut off was not committed, or is found again at the target.
    let ended = tokio::select! {
        ended = work.run() => ended,
        ended = work.beat() => ended,
    };
    if !matches!(ended, Ok(Ended::Elsewhere)) {
        work.keep().await?;
    }
    ended
}

/// Where rows of an outflow go, with the secret of the way there.
pub(super) async fn address(app: &App, outflow: &Outflow) -> Result<OutletAddress> {
    Ok(OutletAddress {
        url: collection::source::url_of(app, &outflow.source).await?.to_string(),
        flow: outflow.id.clone(),
        table: outflow.table.clone(),
    })
}

struct Work {
    app: Arc<App>,
    permit: Permit,
    outflow: Outflow,
    figures: Mutex<OutflowFigures>,
    kept: Mutex<OutflowFigures>,
}

/// An open way to the target.
struct Open {
    line: Box<dyn OutletLine>,
    /// Position there, as text.
    at: Option<String>,
    shape: String,
}

/// What a transaction did.
#[derive(Default)]
struct Done {
    upserts: u64,
    deletes: u64,
    bytes: u64,
}

impl Work {
    async fn run(&self) -> Result<Ended> {
        let (app, code) = (&self.app, &self.outflow.entry_code);
        let bell = app.outflows.bell(code);
        let (mut open, mut kept) = (None::<Open>, None::<Granted>);
        loop {
            // Armed before the lake is looked at, so that no landing in between is missed.
            let rung = bell.notified();
            tokio::pin!(rung);
            rung.as_mut().enable();
            let granted = granted::of(app, &self.outflow, kept.take()).await?;
            let mut way = match open.take() {
                Some(way) if way.shape == granted.shape => way,
                _ => self.open(&granted).await?,
            };
            let moved = self.round(&mut way, &granted).await?;
            (open, kept) = (Some(way), Some(granted));
            if !moved {
                self.level();
                let poll = Duration::from_millis(app.rules.outflow.poll_ms.max(10));
                let _ = tokio::time::timeout(poll, rung).await;
            }
        }
    }

    async fn open(&self, granted: &Granted) -> Result<Open> {
        let app = &self.app;
        let at = address(app, &self.outflow).await?;
        let mut line = app.outflows.port.open(&granted.grant, &at, &granted.columns).await?;
        let at = line.position().await?;
        Ok(Open { line, at, shape: granted.shape.clone() })
    }

    /// Brings the target one step on; `false` when it is level.
    async fn round(&self, way: &mut Open, granted: &Granted) -> Result<bool> {
        let app = &self.app;
        let (vault, id) = (app.keys.vault(), &self.outflow.id);
        let anew = app.store.outflow_get(id).await?.is_some_and(|r| r.anew);
        let place = way.at.as_deref().and_then(|text| Place::of_text(&vault, id, text));
        match place.filter(|place| !anew && place.shape() == granted.shape) {
            Some(Place::Level { version, .. }) => {
                let most = app.rules.outflow.parcels.max(1);
                let ahead = app.lake.ahead(granted.grant.code(), Some(version), most).await?;
                self.figures.lock().version = Some(version);
                let Some(ahead) = ahead else { return Ok(false) };
                {
                    let mut figures = self.figures.lock();
                    (figures.head, figures.behind) = (Some(ahead.newest), ahead.behind);
                    figures.lag_seconds = seconds_since(&ahead.since, app.now());
                    figures.state = OutflowState::Delivering;
                }
                self.gauge();
                let span = ChangeSpan { from: Some(version), to: ahead.to, after: None };
                self.deliver(way, granted, &span, SyncMode::Incremental).await?;
                self.delivered(&ahead.until);
            }
            Some(Place::Filling { version, after, .. }) => {
                let span = ChangeSpan { from: None, to: version, after: Some(after) };
                self.fill(way, granted, &span).await?;
            }
            None => {
                let Some(ahead) = app.lake.ahead(granted.grant.code(), None, 1).await? else {
                    return Ok(false);
                };
                let span = ChangeSpan { from: None, to: ahead.to, after: None };
                self.figures.lock().head = Some(ahead.newest);
                match way.at {
                    // A table that was filled before stays whole for its readers until the new rows are there.
                    Some(_) => {
                        self.figures.lock().state = OutflowState::Delivering;
                        self.deliver(way, granted, &span, SyncMode::Full).await?;
                    }
                    None => self.fill(way, granted, &span).await?,
                }
                if anew {
                    app.store.outflow_anew(&self.permit, id, false).await?;
                }
                self.delivered(&ahead.until);
            }
        }
        Ok(true)
    }

    /// Lets what is delivered now in as one call under way of the application: hours and addresses it may be brought at. A refusal
    /// is recorded.
    async fn enter(&self, granted: &Granted) -> Result<Held> {
        let Some(bound) = &granted.bound else { return Ok(Held::default()) };
        let op = self.op(granted);
        match bound.admit(&op, Action::RowsFlow) {
            Ok(held) => Ok(held),
            Err(refusal) => {
                let (app, code) = (&self.app, granted.grant.code());
                audit::refused(app, &op, Action::RowsFlow.as_str(), code, &refusal).await?;
                Err(refusal)
            }
        }
    }

    /// The application as it would call now from where its rows are brought, for what was agreed.
    fn op(&self, granted: &Granted) -> Op {
        let host = self.outflow.place.rsplit_once(':').map_or("-", |(host, _)| host);
        let op = self.app.op(granted.actor.clone(), host);
        Op { purpose: granted.grant.purpose().to_owned(), ..op }
    }

    /// A span in one transaction.
    async fn deliver(
        &self,
        way: &mut Open,
        granted: &Granted,
        span: &ChangeSpan,
        mode: SyncMode,
    ) -> Result<()> {
        let _held = self.enter(granted).await?;
        let mut changes = self.app.lake.changes(&granted.grant, span).await?;
        way.line.begin(way.at.as_deref(), mode).await?;
        let mut done = Done::default();
        while let Some(piece) = changes.try_next().await? {
            self.send(way, granted, span, piece, &mut done).await?;
        }
        self.still(granted).await?;
        let place = Place::Level { version: span.to, shape: granted.shape.clone() };
        self.commit(way, &place, &mut done).await
    }

    /// The first delivery, in several transactions, so that it goes on where it was cut off.
    async fn fill(&self, way: &mut Open, granted: &Granted, span: &ChangeSpan) -> Result<()> {
        self.figures.lock().state = OutflowState::Snapshot;
        let _held = self.enter(granted).await?;
        let most = self.app.rules.outflow.snapshot_rows.max(1) as u64;
        let mut changes = self.app.lake.changes(&granted.grant, span).await?;
        let mode = if span.after.is_none() { SyncMode::Full } else { SyncMode::Incremental };
        way.line.begin(way.at.as_deref(), mode).await?;
        let (mut done, mut rows) = (Done::default(), 0);
        while let Some(piece) = changes.try_next().await? {
            let last = piece.marks.last().cloned();
            rows += piece.marks.len() as u64;
            self.send(way, granted, span, piece, &mut done).await?;
            if rows >= most
                && let Some(after) = last
            {
                rows = 0;
                let shape = granted.shape.clone();
                let place = Place::Filling { version: span.to, shape, after };
                self.commit(way, &place, &mut done).await?;
                way.line.begin(way.at.as_deref(), SyncMode::Incremental).await?;
            }
        }
        self.still(granted).await?;
        let place = Place::Level { version: span.to, shape: granted.shape.clone() };
        self.commit(way, &place, &mut done).await
    }

    /// Fails when the flow is not granted any more, or otherwise than when the transaction began, or its hours are over.
    async fn still(&self, granted: &Granted) -> Result<()> {
        let now = granted::of(&self.app, &self.outflow, Some(granted.clone())).await?;
        if now.shape == granted.shape {
            return now.within(&self.op(&now));
        }
        Err(Error::new(
            model::Code::Stale,
            "授权的内容刚刚变化，将按新的授权重新投送",
            "the grant has just changed; what it allows now is delivered",
        ))
    }

    /// Sends a piece into the open transaction, its record being durable before.
    async fn send(
        &self,
        way: &mut Open,
        granted: &Granted,
        span: &ChangeSpan,
        piece: Changes,
        done: &mut Done,
    ) -> Result<()> {
        self.still(granted).await?;
        let deletes = piece.operations.iter().filter(|o| **o == Operation::Delete).count() as u64;
        let upserts = piece.operations.len() as u64 - deletes;
        let rows: Vec<_> = piece.rows.rows.into_iter().map(|row| granted.row(row)).collect();
        let op = self.app.op(granted.actor.clone(), "outflow");
        let from = span.from.map_or_else(|| "-".to_owned(), |v| v.to_string());
        let scope = format!("version {from}..{} upsert {upserts} delete {deletes}", span.to);
        let event = granted.event(&op, &format!("outflow={}", self.outflow.id), &scope, &rows);
        done.bytes += event.bytes;
        audit::record(&self.app, event).await?;
        let changes: Vec<OutletChange> = piece
            .operations
            .into_iter()
            .zip(rows)
            .map(|(operation, row)| OutletChange { operation, row })
            .collect();
        way.line.write(&changes).await?;
        done.upserts += upserts;
        done.deletes += deletes;
        Ok(())
    }

    async fn commit(&self, way: &mut Open, place: &Place, done: &mut Done) -> Result<()> {
        let app = &self.app;
        let text = place.text(&app.keys.vault(), &self.outflow.id)?;
        way.line.commit(&text).await?;
        way.at = Some(text);
        let done = std::mem::take(done);
        let op = model::Op::system(app.now());
        let day = OutflowDay {
            day: op.today().to_string(),
            deliveries: 1,
            upserts: done.upserts,
            deletes: done.deletes,
            bytes: done.bytes,
        };
        {
            let mut figures = self.figures.lock();
            figures.deliveries += 1;
            figures.upserts += done.upserts;
            figures.deletes += done.deletes;
            figures.delivered_at = Some(stamp(op.at));
            figures.failures = 0;
            (figures.zh, figures.en) = (String::new(), String::new());
            if let Place::Level { version, .. } = place {
                figures.version = Some(*version);
            }
        }
        app.outflows.following.at_once(&self.outflow.id);
        let entry = || self.outflow.entry_code.clone();
        metrics::counter!("qt_outflow_rows_total", "entry" => entry(), "operation" => "upsert")
            .increment(done.upserts);
        metrics::counter!("qt_outflow_rows_total", "entry" => entry(), "operation" => "delete")
            .increment(done.deletes);
        metrics::counter!("qt_outflow_deliveries_total", "entry" => entry()).increment(1);
        app.store.outflow_meter(&self.outflow.id, &day).await
    }

    /// A span is at the target; `until`: when its newest parcel landed.
    fn delivered(&self, until: &str) {
        let took = DateTime::parse_from_rfc3339(until)
            .map(|landed| (self.app.now() - landed.with_timezone(&Utc)).num_milliseconds());
        self.figures.lock().took_ms = took.ok().and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0);
    }

    /// Nothing lies before the target.
    fn level(&self) {
        {
            let mut figures = self.figures.lock();
            figures.state = OutflowState::Level;
            (figures.behind, figures.lag_seconds, figures.failures) = (0, 0, 0);
            (figures.zh, figures.en) = (String::new(), String::new());
            figures.head = figures.version.max(figures.head);
        }
        self.app.outflows.following.at_once(&self.outflow.id);
        self.gauge();
    }

    fn gauge(&self) {
        let figures = self.figures.lock().clone();
        let label = || self.outflow.id.clone();
        let number = |n: u64| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
        metrics::gauge!("qt_outflow_behind_versions", "outflow" => label())
            .set(number(figures.behind));
        metrics::gauge!("qt_outflow_lag_seconds", "outflow" => label())
            .set(number(figures.lag_seconds));
    }

    /// Renews the lease and keeps figures, until the outflow is to rest or is another's.
    async fn beat(&self) -> Result<Ended> {
        let app = &self.app;
        let mut stopping = app.outflows.following.told();
        let mut next = Instant::now();
        loop {
            if !app.store.outflow_beat(&self.permit, &self.outflow.id, &lease::taken(app)).await? {
                return Ok(Ended::Elsewhere);
            }
            let Some(record) = app.store.outflow_get(&self.outflow.id).await? else {
                return Ok(Ended::Elsewhere);
            };
            if record.outflow.wish != OutflowWish::Run || *stopping.borrow() {
                return Ok(Ended::Paused);
            }
            if record.outflow != self.outflow {
                return Ok(Ended::Again);
            }
            self.keep().await?;
            next += BEAT;
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                _ = stopping.wait_for(|stop| *stop) => return Ok(Ended::Paused),
            }
        }
    }

    /// Keeps the figures, if they moved.
    async fn keep(&self) -> Result<()> {
        let figures = self.figures.lock().clone();
        if *self.kept.lock() == figures {
            return Ok(());
        }
        let (store, owner) = (&self.app.store, self.app.collections.owner());
        store.outflow_figures(&self.permit, &self.outflow.id, owner, &figures).await?;
        *self.kept.lock() = figures;
        Ok(())
    }
}

fn seconds_since(then: &str, now: DateTime<Utc>) -> u64 {
    let seconds = DateTime::parse_from_rfc3339(then)
        .map(|then| now.signed_duration_since(then.with_timezone(&Utc)).num_seconds());
    seconds.ok().and_then(|s| u64::try_from(s).ok()).unwrap_or(0)
}

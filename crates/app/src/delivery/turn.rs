//! One turn of a delivery: where the target stands, what differs from it, one transaction there.

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use model::batch::Operation;
use model::code::SyncMode;
use model::delivery::{Delivery, DeliveryCause, DeliveryKind, DeliveryReceipt, DeliveryTurn};
use model::usage::Way;
use model::{Code, Error, Op, Result};
use policy::port::{ChangeSpan, Changes, OutletAddress, OutletChange};
use policy::{Action, Permit};
use tokio::time::Instant;

use super::stand::{Sent, Stand};
use super::{folder, granted};
use crate::outflow::granted::Granted;
use crate::sharing::bounds::{self, Held};
use crate::sharing::{self, Meter};
use crate::{App, audit, collection, dispatch, lease};

/// How often the lease is renewed.
const BEAT: Duration = Duration::from_secs(2);

/// How a turn ended.
#[derive(Debug)]
pub(super) enum Ended {
    Delivered(Box<DeliveryReceipt>),
    /// Somebody stopped the delivery, or the process is stopping.
    Broken,
    /// It is another process's now, or was taken away.
    Elsewhere,
}

/// Delivers until it is done, somebody stops it, or something fails.
pub(super) async fn drive(
    app: &Arc<App>,
    permit: Permit,
    delivery: Delivery,
    turn: DeliveryTurn,
) -> Result<Ended> {
    let work = Work { app: Arc::clone(app), permit, delivery, turn };
    // Whatever is cut off was not committed, or is found again at the target.
    tokio::select! {
        done = work.run() => done.map(|receipt| Ended::Delivered(Box::new(receipt))),
        ended = work.beat() => ended,
    }
}

/// Where rows of a delivery go, with the secret of the way there.
pub(super) async fn address(app: &App, delivery: &Delivery) -> Result<OutletAddress> {
    Ok(OutletAddress {
        url: collection::source::url_of(app, &delivery.source).await?.to_string(),
        flow: delivery.id.clone(),
        table: delivery.table.clone(),
    })
}

/// Where a target stands, if it stands anywhere: version, and shape of the grant.
pub(super) type At<'a> = Option<(i64, &'a str)>;

/// A turn at work.
pub(super) struct Work {
    pub(super) app: Arc<App>,
    pub(super) permit: Permit,
    pub(super) delivery: Delivery,
    pub(super) turn: DeliveryTurn,
}

/// A turn that was let in: what it counts by, and its place among the calls under way.
pub(super) struct Entered {
    meter: Option<Arc<Meter>>,
    op: Op,
    _held: Held,
}

impl Work {
    async fn run(&self) -> Result<DeliveryReceipt> {
        let granted = granted(&self.app, &self.delivery, None).await?;
        match self.delivery.kind {
            DeliveryKind::Database => self.database(&granted).await,
            DeliveryKind::Folder => folder::deliver(self, &granted).await,
        }
    }

    async fn database(&self, granted: &Granted) -> Result<DeliveryReceipt> {
        let app = &self.app;
        let at = address(app, &self.delivery).await?;
        let mut line = app.outflows.port.open(&granted.grant, &at, &granted.columns).await?;
        let there = line.position().await?;
        let stand = there.as_deref().and_then(Stand::of_text);
        // This very turn was committed by a process that died before it could say so.
        if let Some(stand) = stand.as_ref().filter(|stand| stand.turn == self.turn.id) {
            let rows = line.count().await?;
            return Ok(self.receipt(granted, stand, Some(rows)));
        }
        let from = stand.as_ref().map(|stand| (stand.version, stand.shape.as_str()));
        let Some((span, mode)) = self.span(granted, from).await? else {
            let rows = line.count().await?;
            return Ok(self.nothing(granted, from.map(|(version, _)| version), Some(rows)));
        };
        let entered = self.enter(granted).await?;
        let sent = async {
            let mut changes = app.lake.changes(&granted.grant, &span).await?;
            line.begin(there.as_deref(), mode).await?;
            let mut sent = Sent::begin(&self.turn.id, &granted.shape, &span, mode);
            while let Some(piece) = changes.try_next().await? {
                let rows = self.tell(granted, &entered, piece, &mut sent).await?;
                line.write(&rows).await?;
            }
            self.still(granted).await?;
            let stand = sent.end();
            line.commit(&stand.text()).await?;
            Ok::<_, Error>(stand)
        };
        let stand = entered.settled(sent.await)?;
        let rows = line.count().await?;
        Ok(self.receipt(granted, &stand, Some(rows)))
    }

    /// What is to be brought to a target that stands here; `None` when nothing is.
    pub(super) async fn span(
        &self,
        granted: &Granted,
        at: At<'_>,
    ) -> Result<Option<(ChangeSpan, SyncMode)>> {
        let (lake, code) = (&self.app.lake, granted.grant.code());
        let whole = self.delivery.mode == SyncMode::Full || self.turn.cause == DeliveryCause::Heal;
        // When items, masks or area of the grant have changed since, changes alone would leave old rows as they were.
        match at.filter(|(_, shape)| !whole && *shape == granted.shape) {
            Some((version, _)) => {
                let ahead = lake.ahead(code, Some(version), usize::MAX).await?;
                let span = |to| ChangeSpan { from: Some(version), to, after: None };
                Ok(ahead.map(|ahead| (span(ahead.to), SyncMode::Incremental)))
            }
            None => {
                let newest = lake.newest(code).await?;
                let span = |to| ChangeSpan { from: None, to, after: None };
                Ok(newest.map(|newest| (span(newest.version), SyncMode::Full)))
            }
        }
    }

    /// Lets the turn in as one call of the application: hours and addresses it may be brought at, and its quota.
    pub(super) async fn enter(&self, granted: &Granted) -> Result<Entered> {
        let (app, grant) = (&self.app, &granted.grant);
        let op = self.op(granted);
        let let_in = async {
            let request = grant.request().unwrap_or_default();
            let (id, org) = (op.actor.id(), op.actor.org().unwrap_or_default());
            let bound = bounds::of(app, id, request, &granted.entry).await?;
            let held = bound.map(|b| b.admit(&op, Action::RowsBatch)).transpose()?;
            let meter = match grant.quota() {
                Some(quota) => {
                    let kept = Some((id.to_owned(), granted.entry.id.clone()));
                    let meter = sharing::meter(app, id, &granted.entry.id, kept);
                    let pools = dispatch::pools(app, id, org).await?.into();
                    meter.count(app, &op, quota, &pools).await?;
                    Some(meter)
                }
                None => None,
            };
            Ok::<_, Error>((held.unwrap_or_default(), meter))
        };
        match let_in.await {
            Ok((held, meter)) => Ok(Entered { meter, op, _held: held }),
            Err(refusal) => {
                audit::refused(app, &op, Action::RowsBatch.as_str(), grant.code(), &refusal)
                    .await?;
                Err(refusal)
            }
        }
    }

    /// The application as it would call now, from where its rows are brought.
    fn op(&self, granted: &Granted) -> Op {
        let host = self.delivery.place.rsplit_once(':').map_or("-", |(host, _)| host);
        let op = self.app.op(granted.actor.clone(), host);
        Op { way: Way::Batch, purpose: self.delivery.purpose.clone(), ..op }
    }

    /// A piece as it goes, its record being durable before.
    pub(super) async fn tell(
        &self,
        granted: &Granted,
        entered: &Entered,
        piece: Changes,
        sent: &mut Sent,
    ) -> Result<Vec<OutletChange>> {
        self.still(granted).await?;
        let deletes = piece.operations.iter().filter(|o| **o == Operation::Delete).count() as u64;
        let upserts = piece.operations.len() as u64 - deletes;
        let cap = granted.grant.row_cap();
        if sent.rows().saturating_add(upserts + deletes) > cap {
            return Err(Error::new(
                Code::TooLarge,
                format!("超过一次推送允许的 {cap} 行，未投送任何数据"),
                format!(
                    "there are more than the {cap} rows of one delivery; nothing was delivered"
                ),
            ));
        }
        let rows: Vec<_> = piece.rows.rows.into_iter().map(|row| granted.row(row)).collect();
        let mut text = String::new();
        for (operation, row) in piece.operations.iter().zip(&rows) {
            text.push_str(operation.as_str());
            for value in row {
                text.push('\t');
                text.push_str(&value.to_text().unwrap_or_default());
            }
            text.push('\n');
        }
        let op = Op { at: self.app.now(), ..entered.op.clone() };
        let flow = format!("delivery={} turn={}", self.delivery.id, self.turn.id);
        let scope = format!("piece {} upsert {upserts} delete {deletes}", sent.pieces);
        let mut event = granted.event(&op, &flow, &scope, &rows);
        // A turn is one call; its further pieces tell what more has left.
        if sent.pieces > 0 {
            event.action.push_str(".end");
        }
        sent.add(upserts, deletes, event.bytes, &text);
        audit::record(&self.app, event).await?;
        let changes = piece.operations.into_iter().zip(rows);
        Ok(changes.map(|(operation, row)| OutletChange { operation, row }).collect())
    }

    /// Fails when the delivery is not granted any more, or otherwise than when the transaction began, or its hours are over: what was
    /// brought by then is rolled back, and the turn waits for the next.
    pub(super) async fn still(&self, was: &Granted) -> Result<()> {
        let now = granted(&self.app, &self.delivery, Some(was.clone())).await?;
        if now.shape == was.shape {
            return now.within(&self.op(&now));
        }
        Err(Error::new(
            Code::Stale,
            "授权的内容刚刚变化，将按新的授权重新投送",
            "the grant has just changed; what it allows now is delivered",
        ))
    }

    /// The receipt of what was brought.
    pub(super) fn receipt(
        &self,
        granted: &Granted,
        stand: &Stand,
        target_rows: Option<u64>,
    ) -> DeliveryReceipt {
        DeliveryReceipt {
            mode: stand.mode,
            from: stand.from,
            version: Some(stand.version),
            upserts: stand.upserts,
            deletes: stand.deletes,
            bytes: stand.bytes,
            sha256: stand.sha256.clone(),
            ..self.nothing(granted, None, target_rows)
        }
    }

    /// The receipt of a turn that found nothing to bring.
    pub(super) fn nothing(
        &self,
        granted: &Granted,
        version: Option<i64>,
        target_rows: Option<u64>,
    ) -> DeliveryReceipt {
        let columns: Vec<&str> = granted.columns.iter().map(|c| c.name.as_str()).collect();
        let delivery = &self.delivery;
        DeliveryReceipt {
            form: "qiantang.delivery/1".to_owned(),
            id: self.turn.id.clone(),
            delivery: delivery.id.clone(),
            request: granted.grant.request().unwrap_or_default().to_owned(),
            application: delivery.application_name.clone(),
            receiver: delivery.org_name.clone(),
            entry: delivery.entry_code.clone(),
            place: delivery.place.clone(),
            table: delivery.table.clone(),
            mode: delivery.mode,
            from: version,
            version,
            columns: columns.join(","),
            masks: granted.masks.clone(),
            shape: granted.shape.clone(),
            upserts: 0,
            deletes: 0,
            bytes: 0,
            sha256: String::new(),
            target_rows,
            at: Op::system(self.app.now()).stamp(),
        }
    }

    /// Renews the lease, until the delivery is stopped or is another's.
    async fn beat(&self) -> Result<Ended> {
        let app = &self.app;
        let mut stopping = app.deliveries.following.told();
        let mut next = Instant::now();
        loop {
            let id = &self.delivery.id;
            if !app.store.delivery_beat(&self.permit, id, &lease::taken(app)).await? {
                return Ok(Ended::Elsewhere);
            }
            let Some(record) = app.store.delivery_get(id).await? else {
                return Ok(Ended::Elsewhere);
            };
            if record.delivery != self.delivery || *stopping.borrow() {
                return Ok(Ended::Broken);
            }
            next += BEAT;
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                _ = stopping.wait_for(|stop| *stop) => return Ok(Ended::Broken),
            }
        }
    }
}

impl Entered {
    /// A call that came to nothing through no fault of the receiver does not count.
    pub(super) fn settled<T>(&self, done: Result<T>) -> Result<T> {
        if let (Err(e), Some(meter)) = (&done, &self.meter)
            && e.kind().ours()
        {
            sharing::uncount(meter, &self.op);
        }
        done
    }
}

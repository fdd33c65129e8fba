//! Whose turn has come, which process takes it, and how turns end. A delivery is one process's at a time, by a lease; a turn that
//! fails waits and is tried again, and is given up after so many times; a delivery that is not granted any more stops and says so.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use model::account::Role;
use model::audit::AuditEvent;
use model::delivery::{
    Delivery, DeliveryCause, DeliveryFigures, DeliveryPace, DeliveryReceipt, DeliveryState,
    DeliveryTurn, DeliveryTurnState,
};
use model::op::stamp;
use model::{Code, Error, Kind, Op, Result};
use policy::Permit;
use store::delivery::DeliveryRecord;
use store::lease::Lease;

use super::permit;
use super::turn::{self, Ended};
use crate::notice::{self, Told};
use crate::{App, audit, evidence, follow, lease};

/// Deliveries looked at together.
const PAGE: u32 = 200;
/// People of the receiver told at most.
const TOLD: u32 = 20;

/// One round; answers how many turns it took up. Called every few seconds.
pub async fn tick(app: &Arc<App>) -> Result<u64> {
    let permit = permit(app).await?;
    scheduled(app, &permit).await?;
    let (mut after, mut begun) = (None::<String>, 0);
    loop {
        let page = app.store.deliveries_open(after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(begun) };
        after = Some(last.delivery.id.clone());
        for record in page {
            let following = &app.deliveries.following;
            if following.stopping() || following.count() >= app.rules.delivery.at_once.max(1) {
                return Ok(begun);
            }
            let rests =
                matches!(record.delivery.state, DeliveryState::Draft | DeliveryState::Stopped);
            if !rests && claimed(app, &permit, &record).await? {
                begun += 1;
                drop(tokio::spawn(guarded(Arc::clone(app), record.delivery.id.clone())));
            }
        }
    }
}

/// Lets the turns of this process end where they stand, and waits for it.
pub async fn stop(app: &Arc<App>) {
    app.deliveries.following.stop().await;
}

/// A new turn, not kept yet.
pub(super) fn new_turn(
    op: &Op,
    delivery: &str,
    key: String,
    cause: DeliveryCause,
    at: DateTime<Utc>,
) -> DeliveryTurn {
    DeliveryTurn {
        id: op.new_id(),
        delivery: delivery.to_owned(),
        key,
        cause,
        state: DeliveryTurnState::Waiting,
        at: stamp(at),
        missed: 0,
        failures: 0,
        to: None,
        started_at: None,
        finished_at: None,
        zh: String::new(),
        en: String::new(),
        by: op.actor.name().to_owned(),
        receipt: None,
    }
}

/// Turns whose time has come. What was missed while no process ran is one turn, the newest, with their number.
async fn scheduled(app: &App, permit: &Permit) -> Result<()> {
    let now = app.now();
    for record in app.store.deliveries_due(&stamp(now), PAGE).await? {
        let op = Op::system(now);
        let (plan, id) = (&record.delivery.plan, &record.delivery.id);
        let due = DateTime::parse_from_rfc3339(&record.due)
            .map_err(|e| Error::internal("the turn of a delivery").caused_by(e))?
            .with_timezone(&Utc);
        let (newest, missed) = plan.latest(due, now, &app.calendar);
        let next = plan.next(newest.max(now), &app.calendar).map(stamp).unwrap_or_default();
        let key = format!("s:{}", stamp(newest));
        let turn =
            DeliveryTurn { missed, ..new_turn(&op, id, key, DeliveryCause::Schedule, newest) };
        app.store.delivery_schedule(permit, &turn, &record.due, &next).await?;
    }
    Ok(())
}

/// Makes a delivery this process's, if it is nobody's and its time has come.
async fn claimed(app: &App, permit: &Permit, record: &DeliveryRecord) -> Result<bool> {
    let (id, following) = (&record.delivery.id, &app.deliveries.following);
    if !following.may_take(app, id, &record.lease) {
        return Ok(false);
    }
    let claimed = app.store.delivery_claim(permit, id, &record.lease, &lease::taken(app)).await?;
    if claimed {
        following.begun(id);
    }
    Ok(claimed)
}

/// Delivers until it ends, and says how it ended.
async fn guarded(app: Arc<App>, id: String) {
    let inner = Arc::clone(&app);
    let delivery = id.clone();
    let ended = tokio::spawn(async move { begin(&inner, &delivery).await })
        .await
        .unwrap_or_else(|e| Err(Error::internal("a delivery's task ended early").caused_by(e)));
    if let Err(e) = settle(&app, &id, ended).await {
        tracing::error!(
            delivery.id = id,
            error = e.operator_text(),
            "the end of a delivery's turn was not kept"
        );
    }
    app.deliveries.following.ended(&id);
}

async fn begin(app: &Arc<App>, id: &str) -> Result<Ended> {
    let Some(record) = app.store.delivery_get(id).await? else { return Ok(Ended::Elsewhere) };
    let Some(mut turn) = app.store.delivery_turn_open(id).await? else {
        return Ok(Ended::Broken);
    };
    let (permit, owner, mut delivery) =
        (permit(app).await?, app.collections.owner(), record.delivery);
    turn.state = DeliveryTurnState::Running;
    turn.started_at.get_or_insert_with(|| stamp(app.now()));
    let first = delivery.state == DeliveryState::Waiting;
    if first {
        delivery.state = DeliveryState::Going;
    }
    let end = first.then_some(&delivery);
    app.store.delivery_settle(&permit, owner, (&turn, ""), &record.figures, end).await?;
    turn::drive(app, permit, delivery, turn).await
}

/// Whether an error says that the delivery is not granted any more.
fn over(error: &Error) -> bool {
    matches!(
        error.code(),
        Code::NoGrant | Code::GrantExpired | Code::ColumnNotGranted | Code::Denied
    )
}

/// Whether the way is closed for now, by somebody's word: it is waited for however long that takes.
fn closed(error: &Error) -> bool {
    let code = error.code();
    matches!(code, Code::Halted | Code::OutOfBounds | Code::QuotaUsedUp | Code::RateLimited)
}

async fn settle(app: &Arc<App>, id: &str, ended: Result<Ended>) -> Result<()> {
    let Some(record) = app.store.delivery_get(id).await? else { return Ok(()) };
    let permit = permit(app).await?;
    let (owner, following) = (app.collections.owner(), &app.deliveries.following);
    let DeliveryRecord { mut delivery, mut figures, .. } = record;
    if let Some(mut turn) = app.store.delivery_turn_open(id).await? {
        match ended {
            Ok(Ended::Elsewhere) => return Ok(()),
            Ok(Ended::Delivered(receipt)) => {
                following.at_once(id);
                delivered(app, &permit, (delivery, figures), turn, *receipt).await?;
            }
            Ok(Ended::Broken) => {
                following.at_once(id);
                turn.state = DeliveryTurnState::Waiting;
                app.store.delivery_settle(&permit, owner, (&turn, ""), &figures, None).await?;
            }
            Err(error) => {
                let ends = failed(app, &mut delivery, &mut turn, &error);
                if turn.state == DeliveryTurnState::Failed {
                    figures.failed += 1;
                }
                let end = ends.then_some(&delivery);
                app.store.delivery_settle(&permit, owner, (&turn, ""), &figures, end).await?;
                if error.code() != Code::Stale {
                    tell(app, &permit, &delivery, &turn).await?;
                }
                if ends {
                    stopped(app, &delivery, &error).await?;
                }
            }
        }
    }
    app.store.delivery_beat(&permit, id, &Lease::ended(owner)).await.map(|_| ())
}

/// Writes on turn and delivery what became of them; answers whether the delivery has stopped.
fn failed(app: &App, delivery: &mut Delivery, turn: &mut DeliveryTurn, error: &Error) -> bool {
    let (following, rules) = (&app.deliveries.following, &app.rules.delivery);
    let id = delivery.id.clone();
    turn.state = DeliveryTurnState::Retrying;
    (turn.zh, turn.en) = words(error);
    // The target moved, or the grant did: the next try reads both anew.
    if error.code() == Code::Stale {
        following.put_off(&id, |_| rules.retry_first_ms);
        return false;
    }
    tracing::warn!(delivery.id = id, error = error.operator_text(), "a delivery broke off");
    if over(error) {
        turn.state = DeliveryTurnState::Failed;
        delivery.state = DeliveryState::Stopped;
        delivery.zh = format!("授权已失效，推送已停用：{}；已投送的数据按共享约定处置", error.zh());
        delivery.en = format!(
            "it is not granted any more and has stopped: {}; what was delivered is to be treated as was agreed",
            error.en()
        );
    } else if !closed(error) {
        turn.failures += 1;
        metrics::counter!("qt_delivery_failures_total", "entry" => delivery.entry_code.clone())
            .increment(1);
        if turn.failures >= rules.attempts.max(1) {
            turn.state = DeliveryTurnState::Failed;
            // A delivery that goes once has no other turn.
            if delivery.plan.pace == DeliveryPace::Once {
                delivery.state = DeliveryState::Stopped;
                delivery.zh = format!("多次重试后仍未送达，已停用：{}", turn.zh);
                delivery.en =
                    format!("it was not delivered after many tries and has stopped: {}", turn.en);
            }
        }
    }
    match turn.state {
        DeliveryTurnState::Failed => {
            turn.finished_at = Some(stamp(app.now()));
            following.at_once(&id);
        }
        _ => {
            let mends = !matches!(error.kind(), Kind::Unavailable | Kind::Internal);
            let pause = follow::pause(rules.retry_first_ms, rules.retry_longest_ms, mends);
            following.put_off(&id, pause);
        }
    }
    delivery.state == DeliveryState::Stopped
}

/// An error with its first fields, in both languages.
fn words(error: &Error) -> (String, String) {
    let (mut zh, mut en) = (error.zh().to_owned(), error.en().to_owned());
    for field in error.fields().iter().take(5) {
        zh.push_str(&format!("；{}", field.zh));
        en.push_str(&format!("; {}", field.en));
    }
    (zh, en)
}

/// The receipt is recorded, signed and kept.
async fn delivered(
    app: &App,
    permit: &Permit,
    (mut delivery, mut figures): (Delivery, DeliveryFigures),
    mut turn: DeliveryTurn,
    receipt: DeliveryReceipt,
) -> Result<()> {
    let op = Op::system(app.now());
    let statement = evidence::attest(app, &receipt)?;
    let from = receipt.from.map_or_else(|| "-".to_owned(), |v| v.to_string());
    let event = AuditEvent {
        scope: format!(
            "turn {} version {from}..{} upsert {} delete {} sha256 {}",
            turn.id,
            receipt.version.unwrap_or_default(),
            receipt.upserts,
            receipt.deletes,
            receipt.sha256
        ),
        ..audit::event(&op, "delivery.receipt", &delivery.id)
    };
    super::desk::record(app, &delivery, event).await?;
    figures.delivered += 1;
    figures.upserts += receipt.upserts;
    figures.deletes += receipt.deletes;
    figures.bytes += receipt.bytes;
    figures.delivered_at = Some(receipt.at.clone());
    figures.version = receipt.version.or(figures.version);
    let rows = |operation: &'static str, n: u64| {
        let entry = delivery.entry_code.clone();
        metrics::counter!("qt_delivery_rows_total", "entry" => entry, "operation" => operation)
            .increment(n);
    };
    rows("upsert", receipt.upserts);
    rows("delete", receipt.deletes);
    if !receipt.sha256.is_empty() {
        // Where a folder stands; a database says it itself.
        figures.shape.clone_from(&receipt.shape);
        figures.file.clone_from(&receipt.table);
    }
    turn.state = DeliveryTurnState::Done;
    turn.finished_at = Some(op.stamp());
    (turn.zh, turn.en) = Default::default();
    turn.receipt = Some(receipt);
    let once = delivery.plan.pace == DeliveryPace::Once
        && delivery.state == DeliveryState::Going
        && turn.cause == DeliveryCause::Schedule;
    if once {
        delivery.state = DeliveryState::Ended;
    }
    let (owner, end) = (app.collections.owner(), once.then_some(&delivery));
    app.store.delivery_settle(permit, owner, (&turn, &statement), &figures, end).await
}

/// Who made it, and who may keep it, are told once of each turn that went wrong.
async fn tell(app: &App, permit: &Permit, delivery: &Delivery, turn: &DeliveryTurn) -> Result<()> {
    let op = Op::system(app.now());
    let mut people = app.store.holders(&delivery.org, Role::Consumer, TOLD).await?;
    people.push(delivery.owner.clone());
    let stopped = delivery.state == DeliveryState::Stopped;
    let (zh, en) = match stopped {
        true => (&delivery.zh, &delivery.en),
        false => (&turn.zh, &turn.en),
    };
    let told = Told {
        mark: format!("delivery:{}:{}", turn.id, turn.state.open()),
        kind: if stopped { "delivery.stopped" } else { "delivery.failed" },
        title: format!("{} → {}", delivery.entry_title, delivery.table),
        words: format!("{zh} / {en}"),
        href: format!("/console/deliveries/{}", delivery.id),
    };
    notice::tell(app, &op, permit, &people, &told).await
}

async fn stopped(app: &App, delivery: &Delivery, error: &Error) -> Result<()> {
    let op = Op::system(app.now());
    let event = audit::event(&op, "delivery.end", &delivery.id);
    let event = AuditEvent { scope: error.code().as_str().to_owned(), ..event };
    super::desk::record(app, delivery, event).await
}

//! Which process delivers which outflow. An outflow is one process's at a time, by a lease as rails have; one that fails waits
//! and is tried again; one that is not granted any more stops at once and says so.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use model::audit::AuditEvent;
use model::outflow::{OutflowState, OutflowWish};
use model::{Code, Error, Kind, Op, Result};
use policy::{Action, Permit, Target};
use store::Backend;
use store::outflow::OutflowRecord;
use store::parcel::Lease;
use tokio::time::Instant;

use super::deliver;
use crate::{App, audit};

/// How long an outflow stays its owner's without a sign of life.
const LEASE: TimeDelta = TimeDelta::seconds(60);
/// Outflows looked at together.
const PAGE: u32 = 200;

/// How delivering ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// Somebody paused it, or the process is stopping.
    Paused,
    /// It is taken up again at once.
    Again,
    /// It is another process's now.
    Elsewhere,
}

/// Takes up every outflow that should run and that nobody delivers; answers how many. Called every second or so.
pub async fn tick(app: &Arc<App>) -> Result<u64> {
    let (mut after, mut begun) = (None::<String>, 0);
    loop {
        let page = app.store.outflow_list(None, after.as_deref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(begun) };
        after = Some(last.outflow.id.clone());
        for record in page {
            if *app.outflows.stopping.borrow() {
                return Ok(begun);
            }
            if record.outflow.wish == OutflowWish::Run && claimed(app, &record).await? {
                begun += 1;
                drop(tokio::spawn(guarded(Arc::clone(app), record.outflow.id.clone())));
            }
        }
    }
}

/// Lets the outflows of this process end where they stand, and waits for it.
pub async fn stop(app: &Arc<App>) {
    app.outflows.stopping.send_replace(true);
    for _ in 0..300 {
        if app.outflows.running.lock().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub(super) async fn permit(app: &App) -> Result<Permit> {
    let op = Op::system(app.now());
    audit::permit(app, &op, Action::SystemWork, &Target::plain("System", "outflow")).await
}

pub(super) fn lease(app: &App) -> Lease {
    Lease { owner: app.collections.owner().to_owned(), until: (app.now() + LEASE).timestamp() }
}

/// Makes an outflow this process's, if it is nobody's and its time has come.
async fn claimed(app: &Arc<App>, record: &OutflowRecord) -> Result<bool> {
    let id = &record.outflow.id;
    if app.outflows.running.lock().contains(id) {
        return Ok(false);
    }
    if app.outflows.waiting.lock().get(id).is_some_and(|(_, until)| Instant::now() < *until) {
        return Ok(false);
    }
    let ours = record.lease.owner == app.collections.owner();
    let past = app.store.backend() == Backend::Sqlite || record.lease.owner.is_empty();
    if !ours && !past && record.lease.until >= app.now().timestamp() {
        return Ok(false);
    }
    let permit = permit(app).await?;
    let claimed = app.store.outflow_claim(&permit, id, &record.lease, &lease(app)).await?;
    if claimed {
        app.outflows.running.lock().insert(id.clone());
    }
    Ok(claimed)
}

/// Delivers until it ends, and says how it ended.
async fn guarded(app: Arc<App>, id: String) {
    let inner = Arc::clone(&app);
    let flow = id.clone();
    let ended = tokio::spawn(async move { deliver::drive(&inner, &flow).await })
        .await
        .unwrap_or_else(|e| Err(Error::internal("an outflow's task ended early").caused_by(e)));
    if let Err(e) = settle(&app, &id, ended).await {
        tracing::error!(
            outflow.id = id,
            error = e.operator_text(),
            "the end of an outflow was not kept"
        );
    }
    app.outflows.running.lock().remove(&id);
}

/// Whether an error says that the flow is not granted any more.
fn over(error: &Error) -> bool {
    matches!(
        error.code(),
        Code::NoGrant | Code::GrantExpired | Code::ColumnNotGranted | Code::Denied
    )
}

async fn settle(app: &Arc<App>, id: &str, ended: Result<Ended>) -> Result<()> {
    let Some(record) = app.store.outflow_get(id).await? else { return Ok(()) };
    let permit = permit(app).await?;
    let (mut outflow, mut figures) = (record.outflow, record.figures);
    match ended {
        Ok(Ended::Elsewhere) => return Ok(()),
        Ok(Ended::Paused | Ended::Again) => {
            app.outflows.waiting.lock().remove(id);
            if outflow.wish == OutflowWish::Pause {
                figures.state = OutflowState::Paused;
                (figures.zh, figures.en) = (String::new(), String::new());
            }
        }
        // The target moved, or the outflow is another process's: whoever is next reads where it stands.
        Err(error) if error.code() == Code::Stale => {
            wait(app, id, app.rules.outflow.retry_first_ms)
        }
        Err(error) if over(&error) => {
            tracing::warn!(outflow.id = id, error = error.operator_text(), "an outflow has ended");
            (figures.state, (figures.zh, figures.en)) = (OutflowState::Ended, ended_as(&error));
            outflow.wish = OutflowWish::Pause;
            app.store.outflow_update(&permit, &outflow).await?;
            let op = Op::system(app.now());
            let event = AuditEvent {
                reason: error.code().as_str().to_owned(),
                request: outflow.request.clone(),
                scope: outflow.entry_code.clone(),
                ..audit::event(&op, "outflow.end", id)
            };
            audit::record(app, event).await?;
        }
        Err(error) => {
            tracing::warn!(outflow.id = id, error = error.operator_text(), "an outflow broke off");
            let mends = !matches!(error.kind(), Kind::Unavailable | Kind::Internal);
            let rules = &app.rules.outflow;
            let failures =
                app.outflows.waiting.lock().get(id).map_or(0, |(n, _)| *n).saturating_add(1);
            let pause = match mends {
                true => rules.retry_longest_ms,
                false => rules
                    .retry_first_ms
                    .saturating_mul(1 << failures.min(16).saturating_sub(1))
                    .min(rules.retry_longest_ms),
            };
            wait(app, id, pause);
            figures.failures = failures;
            figures.state = if mends { OutflowState::Refused } else { OutflowState::Waiting };
            (figures.zh, figures.en) = (error.zh().to_owned(), error.en().to_owned());
            metrics::counter!("qt_outflow_failures_total", "entry" => outflow.entry_code.clone())
                .increment(1);
        }
    }
    let owner = app.collections.owner();
    app.store.outflow_figures(&permit, id, owner, &figures).await?;
    let over = Lease { owner: owner.to_owned(), until: 0 };
    app.store.outflow_beat(&permit, id, &over).await?;
    Ok(())
}

fn wait(app: &App, id: &str, pause_ms: u64) {
    let mut waiting = app.outflows.waiting.lock();
    let failures = waiting.get(id).map_or(0, |(n, _)| *n).saturating_add(1);
    waiting.insert(id.to_owned(), (failures, Instant::now() + Duration::from_millis(pause_ms)));
}

fn ended_as(error: &Error) -> (String, String) {
    (
        format!("授权已失效，回流已停止：{}；已投送的数据按共享约定处置", error.zh()),
        format!(
            "it is not granted any more and has stopped: {}; what was delivered is to be treated as was agreed",
            error.en()
        ),
    )
}

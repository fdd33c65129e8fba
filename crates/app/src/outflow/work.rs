//! Which process delivers which outflow. An outflow is one process's at a time, by a lease as rails have; one that fails waits
//! and is tried again; one that is not granted any more stops at once and says so.

use std::sync::Arc;

use model::audit::AuditEvent;
use model::outflow::{OutflowState, OutflowWish};
use model::{Code, Error, Kind, Op, Result};
use policy::{Action, Permit, Target};
use store::lease::Lease;
use store::outflow::OutflowRecord;

use super::deliver;
use crate::sharing::bounds;
use crate::{App, audit, follow, lease};

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
            if app.outflows.following.stopping() {
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
    app.outflows.following.stop().await;
}

pub(super) async fn permit(app: &App) -> Result<Permit> {
    let op = Op::system(app.now());
    audit::permit(app, &op, Action::SystemWork, &Target::plain("System", "outflow")).await
}

/// Makes an outflow this process's, if it is nobody's and its time has come.
async fn claimed(app: &Arc<App>, record: &OutflowRecord) -> Result<bool> {
    let id = &record.outflow.id;
    if !app.outflows.following.may_take(app, id, &record.lease) {
        return Ok(false);
    }
    let (permit, lease) = (permit(app).await?, lease::taken(app));
    let claimed = app.store.outflow_claim(&permit, id, &record.lease, &lease).await?;
    if claimed {
        app.outflows.following.begun(id);
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
    app.outflows.following.ended(&id);
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
            app.outflows.following.at_once(id);
            if outflow.wish == OutflowWish::Pause {
                figures.state = OutflowState::Paused;
                (figures.zh, figures.en) = (String::new(), String::new());
            }
        }
        // The target moved, or the outflow is another process's: whoever is next reads where it stands.
        Err(error) if error.code() == Code::Stale => {
            app.outflows.following.put_off(id, |_| app.rules.outflow.retry_first_ms);
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
            // Hours that come and calls at once that end wait for nobody.
            let passes = bounds::passes(&error);
            let mends = !passes && !matches!(error.kind(), Kind::Unavailable | Kind::Internal);
            let rules = &app.rules.outflow;
            let pause = follow::pause(rules.retry_first_ms, rules.retry_longest_ms, mends);
            figures.failures = app.outflows.following.put_off(id, pause);
            figures.state = if mends { OutflowState::Refused } else { OutflowState::Waiting };
            (figures.zh, figures.en) = (error.zh().to_owned(), error.en().to_owned());
            metrics::counter!("qt_outflow_failures_total", "entry" => outflow.entry_code.clone())
                .increment(1);
        }
    }
    let owner = app.collections.owner();
    app.store.outflow_figures(&permit, id, owner, &figures).await?;
    app.store.outflow_beat(&permit, id, &Lease::ended(owner)).await?;
    Ok(())
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

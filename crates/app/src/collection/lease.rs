//! Leases: a run belongs to the process that does it, as long as that process says so now and then. What a dead
//! process leaves is taken up by another when its lease is over; a process that was only slow finds itself locked out
//! before it commits anything, because every change of a run is its owner's only.

use std::pin::pin;
use std::time::Duration;

use model::Result;
use policy::Permit;
use store::parcel::RunRecord;

use crate::App;
use crate::lease::taken;

/// How often the owner gives one.
const BEAT: Duration = Duration::from_secs(15);

/// Takes a run up whose owner is gone; the run as it is now, or `None` when somebody else was quicker.
pub(super) async fn claim(
    app: &App,
    permit: &Permit,
    record: &RunRecord,
) -> Result<Option<RunRecord>> {
    let lease = taken(app);
    if app.store.run_claim(permit, &record.run.id, &record.lease, &lease).await? {
        return app.store.run_get(&record.run.id).await;
    }
    Ok(None)
}

/// Does the work of a run and renews its lease meanwhile.
pub(super) async fn held<T>(
    app: &App,
    permit: &Permit,
    run: &str,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = beat.tick() => renew(app, permit, run).await,
        }
    }
}

async fn renew(app: &App, permit: &Permit, run: &str) {
    match app.store.run_beat(permit, run, &taken(app)).await {
        Ok(true) => {}
        // It has just ended, or it was taken for dead: then its next change is refused and it stops.
        Ok(false) => tracing::debug!(run.id = run, "the lease of a run is not ours any more"),
        Err(e) => tracing::warn!(
            run.id = run,
            error = e.operator_text(),
            "the lease of a run could not be renewed"
        ),
    }
}

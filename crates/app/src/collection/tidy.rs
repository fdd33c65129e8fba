//! Housekeeping of the lake, for a worker that comes round every few minutes: small files are written together, and
//! what broken landings left is removed. Nothing that can be seen changes, not even earlier versions.

use std::sync::Arc;

use chrono::TimeDelta;
use model::audit::AuditEvent;
use model::{Code, Error, Op, Result};
use policy::{Action, Permit, Target};

use crate::pace::Pace;
use crate::{App, audit};

/// How often broken landings are looked for; a landing that is still running is younger than that.
const SWEEP_EVERY: TimeDelta = TimeDelta::hours(24);
/// Entries read together, by id and code alone.
const PAGE: u32 = 200;

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Tables whose files were written together.
    pub compacted: u64,
    /// Files of broken landings removed.
    pub swept: u64,
}

/// Goes over all entries once: compacts the tables that have become many small files and, once a day, sweeps. An entry that is
/// being collected is left for the next time. A table that fails is logged and does not keep the others from their turn.
pub async fn tidy(app: &Arc<App>) -> Result<Tidied> {
    let op = Op::system(app.now());
    let permit =
        audit::permit(app, &op, Action::SystemWork, &Target::plain("System", "lake")).await?;
    let sweeping = sweep_due(app);
    let (mut done, mut pace, mut after) = (Tidied::default(), Pace::begin(), String::new());
    loop {
        let entries = app.store.entry_codes(&after, PAGE).await?;
        let Some((last, _)) = entries.last() else { return Ok(done) };
        after.clone_from(last);
        for (id, code) in entries {
            let Ok(_alone) = app.collections.lock_of(&id).try_lock_owned() else { continue };
            match one(app, &permit, &code, sweeping).await {
                Ok(one) => {
                    done.compacted += one.compacted;
                    done.swept += one.swept;
                }
                Err(e) if e.code() == Code::Stale => {
                    tracing::debug!(entry.code = code, "a table is in use elsewhere");
                }
                Err(e) => told(&code, &e),
            }
        }
        pace.rest().await;
    }
}

fn told(code: &str, error: &Error) {
    tracing::warn!(entry.code = code, error = error.operator_text(), "a table could not be tidied");
}

async fn one(app: &App, permit: &Permit, code: &str, sweeping: bool) -> Result<Tidied> {
    let op = Op::system(app.now());
    let mut done = Tidied::default();
    if let Some(compacted) = app.lake.compact(permit, &op, code).await? {
        done.compacted = 1;
        let event = AuditEvent {
            rows: compacted.rows,
            scope: format!(
                "version={} files={}→{}",
                compacted.version, compacted.files_before, compacted.files_after
            ),
            ..audit::event(&op, "lake.compact", code)
        };
        audit::record(app, event).await?;
    }
    if sweeping {
        done.swept = app.lake.sweep(permit, code, op.at - SWEEP_EVERY).await?;
        if done.swept > 0 {
            let event = AuditEvent {
                scope: format!("files={}", done.swept),
                ..audit::event(&op, "lake.sweep", code)
            };
            audit::record(app, event).await?;
        }
    }
    Ok(done)
}

/// Whether a day has gone by; if so it begins anew.
fn sweep_due(app: &App) -> bool {
    let now = app.now();
    let mut swept_at = app.collections.swept_at.lock();
    let due = swept_at.is_none_or(|at| now - at >= SWEEP_EVERY);
    if due {
        *swept_at = Some(now);
    }
    due
}

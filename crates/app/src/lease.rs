//! Leases of this process: on runs, rails, turns of pipelines, exchanges and outflows. What a dead process leaves is taken up
//! by another when its lease is over.

use chrono::TimeDelta;
use store::Backend;
use store::lease::Lease;

use crate::App;

/// How long something stays its owner's without a sign of life.
const LONG: TimeDelta = TimeDelta::seconds(60);

/// A lease of this process from now on.
pub(crate) fn taken(app: &App) -> Lease {
    named(app, app.collections.owner())
}

/// A lease of `owner` from now on: one piece of work in this process, when it has several.
pub(crate) fn named(app: &App, owner: &str) -> Lease {
    Lease { owner: owner.to_owned(), until: (app.now() + LONG).timestamp() }
}

/// Whether a lease's owner is gone. On SQLite the data folder is locked by the one process that works, so that any other
/// owner is a process of the past; on PostgreSQL its lease must be over.
pub(crate) fn over(app: &App, lease: &Lease) -> bool {
    let ours = lease.owner.starts_with(app.collections.owner());
    let past = app.store.backend() == Backend::Sqlite && !ours;
    past || lease.until < app.now().timestamp()
}

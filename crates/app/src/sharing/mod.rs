//! Sharing: applications for a resource, their review, and the one gate through which rows leave by interface.
//!
//! `agreed` turns what an approval (`crate::approval`) agreed to into a share application of the same kind. `ask` files and decides applications, `look` shows them, `gate` releases rows, `quota` counts the calls.

mod agreed;
mod ask;
mod gate;
mod look;
mod quota;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use model::entry::Entry;
use model::query::RowPage;
use model::request::Request;
use model::{Op, Result};
use policy::{Action, Grant, Target};
use serde::Serialize;

use crate::App;

pub(crate) use agreed::{Agreed, grant_agreed, prepare, refuse_clash};
pub use ask::{apply, expire, review, revoke, undo};
pub use gate::{callable, query};
pub(crate) use gate::{read, release_event};
pub use look::{get, inbox, list, moves, steps};

/// Cached grants and quota counters.
pub struct Memory {
    /// Grows whenever this process changes the ledger or a share application, or sees that another did.
    epoch: AtomicU64,
    /// The store's epoch as last seen.
    stored: AtomicI64,
    /// When it was last looked at, milliseconds.
    looked: AtomicI64,
    access: moka::sync::Cache<String, Arc<gate::Access>>,
    meters: moka::sync::Cache<String, Arc<quota::Meter>>,
    /// One bringing-up of search at a time.
    pub(crate) indexing: tokio::sync::Mutex<()>,
    /// Figures of the open-data site, per epoch.
    pub(crate) figures: parking_lot::Mutex<Option<(u64, crate::opening::Figures)>>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            epoch: AtomicU64::new(1),
            stored: AtomicI64::new(-1),
            looked: AtomicI64::new(i64::MIN),
            access: moka::sync::Cache::builder()
                .max_capacity(200_000)
                .time_to_idle(Duration::from_secs(3600))
                .build(),
            meters: moka::sync::Cache::builder()
                .max_capacity(500_000)
                .time_to_idle(Duration::from_secs(26 * 3600))
                .build(),
            indexing: tokio::sync::Mutex::new(()),
            figures: parking_lot::Mutex::new(None),
        }
    }
}

impl Memory {
    /// The ledger, a share application or an application (应用) changed: what is kept of grants no longer holds.
    /// Called after the change is in the store; the next call reads anew.
    pub fn forget(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Notices within a second what another process changed.
    pub(crate) async fn look(&self, app: &App, op: &Op) -> Result<()> {
        let now = op.at.timestamp_millis();
        let last = self.looked.load(Ordering::Relaxed);
        let due = now.saturating_sub(last) >= 1000;
        if !due
            || self
                .looked
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            return Ok(());
        }
        let stored = app.store.ledger_epoch().await?;
        if self.stored.swap(stored, Ordering::Relaxed) != stored {
            self.forget();
        }
        Ok(())
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").field("epoch", &self.epoch()).finish_non_exhaustive()
    }
}

/// What awaits the caller.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Inbox {
    /// Entries awaiting my review.
    pub entries: Vec<Entry>,
    /// Applications awaiting my decision.
    pub requests: Vec<Request>,
    /// My own applications still under way.
    pub mine: Vec<Request>,
}

/// Rows released through the gate.
#[derive(Clone, Debug)]
pub struct Release {
    pub page: RowPage,
    /// Identifiers whose values are masked.
    pub masked: Vec<String>,
    /// Calls left today, when there is a quota.
    pub calls_left: Option<u64>,
}

/// A resource the caller may call, with its grant (for the OpenAPI description).
#[derive(Clone, Debug)]
pub struct Callable {
    pub entry: Entry,
    pub grant: Grant,
}

/// Before a calm stop: calls taken out of the store and not used go back, and the search index is marked as level
/// with the ledger (see `catalogue::heal`).
pub async fn flush(app: &App) -> Result<()> {
    for (_, meter) in &app.shares.meters {
        meter.give_back(app).await?;
    }
    let op = Op::system(app.now());
    let platform = Target::plain("System", "platform");
    let permit = app.policy.permit(&op, Action::SystemWork, &platform)?;
    let epoch = app.store.ledger_epoch().await?;
    app.store.meta_set(&permit, crate::catalogue::INDEX_MARK, &epoch.to_string()).await
}

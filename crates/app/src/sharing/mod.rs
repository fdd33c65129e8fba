//! Sharing: applications for a resource, their review, and the one gate through which rows leave by interface.
//!
//! `ask` files and decides applications, `agreed` turns what an approval (`crate::approval`) agreed to into the same,
//! `rows` checks which rows alone are agreed and narrows them, `bounds` and `bounding` keep calls within hours, addresses, calls at once and asks about one subject,
//! `look` shows them, `inbox` says what awaits whom, `gate` releases rows, `resource` says of what and by which application, `flowing`
//! ends streams whose grant has ended, `quota` counts the calls, `fingerprint` tells the audit what was compared, `bearing` marks what is served of a sandbox's results.

mod agreed;
mod ask;
mod batch;
mod bearing;
mod bounding;
pub(crate) mod bounds;
mod fingerprint;
pub(crate) mod flowing;
mod gate;
mod inbox;
mod look;
mod paging;
mod quota;
mod resource;
mod rows;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use model::entry::Entry;
use model::query::RowPage;
use model::{Op, Result};
use policy::{Action, Grant, Target};

use crate::App;
use crate::noticing::Noticing;

pub(crate) use agreed::{Agreed, grant_agreed, prepare, refuse_clash};
pub use ask::{apply, calls_at_once_most, expire, may_apply, review, revoke, undo, way};
pub(crate) use ask::{end_of, give_up};
pub(crate) use batch::{Batch, Stopped, granted};
pub use bounding::{BoundsView, bounds, set_bounds};
pub use bounds::BoundsRules;
pub(crate) use fingerprint::fingerprint;
pub(crate) use gate::{
    Pass, enter, lets_in, meter, purpose, read, refuse_many, release_event, row_bytes,
};
pub use gate::{callable, query};
pub use inbox::{Inbox, More, inbox};
pub use look::{get, list, moves, steps};
pub(crate) use quota::{Meter, lot_size};
pub(crate) use resource::{knows, resolve};
pub use rows::{limit_rows, may_limit, org_item};

/// Cached grants and quota counters.
pub struct Memory {
    /// Grows whenever this process changes the ledger or a share application, or sees that another did.
    epoch: AtomicU64,
    /// The store's epoch as last seen.
    stored: AtomicI64,
    /// When it was last looked at.
    looked: Noticing,
    access: moka::sync::Cache<String, Arc<gate::Access>>,
    /// Resources as they stand, by code.
    resources: moka::sync::Cache<String, Arc<resource::Known>>,
    meters: moka::sync::Cache<String, Arc<quota::Meter>>,
    /// Second in which lots out of a used-up pool were last put back.
    gathered: AtomicI64,
    /// Calls under way, by what bounds them.
    pub(crate) under: parking_lot::Mutex<std::collections::HashMap<String, bounds::Under>>,
    /// Their rates, likewise.
    pub(crate) rates: parking_lot::Mutex<bounds::Rates>,
    /// One bringing-up of search at a time.
    pub(crate) indexing: tokio::sync::Mutex<()>,
    /// With which state of the ledger search is level.
    pub(crate) level: parking_lot::Mutex<crate::catalogue::Level>,
    /// The links of the ledgers in memory.
    pub(crate) net: tokio::sync::RwLock<crate::ledger::Kept>,
    /// Names and sums of what is open.
    pub(crate) roll: crate::opening::Roll,
    /// The open index.
    pub(crate) index: crate::opening::Memory,
    /// All organisations, per epoch.
    pub(crate) orgs: parking_lot::Mutex<Option<(u64, Arc<Vec<model::org::Org>>)>>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            epoch: AtomicU64::new(1),
            stored: AtomicI64::new(-1),
            looked: Noticing::default(),
            access: moka::sync::Cache::builder()
                // Weighed by columns: about half a kilobyte each.
                .weigher(|_, access: &Arc<gate::Access>| access.weight())
                .max_capacity(400_000)
                .time_to_idle(Duration::from_secs(3600))
                .build(),
            resources: moka::sync::Cache::builder()
                .weigher(|_, known: &Arc<resource::Known>| known.weight())
                .max_capacity(100_000)
                .time_to_idle(Duration::from_secs(3600))
                .build(),
            meters: moka::sync::Cache::builder()
                .max_capacity(500_000)
                .time_to_idle(Duration::from_secs(26 * 3600))
                .build(),
            gathered: AtomicI64::new(i64::MIN),
            under: parking_lot::Mutex::default(),
            rates: parking_lot::Mutex::default(),
            indexing: tokio::sync::Mutex::new(()),
            level: parking_lot::Mutex::default(),
            net: tokio::sync::RwLock::default(),
            roll: crate::opening::Roll::default(),
            index: crate::opening::Memory::default(),
            orgs: parking_lot::Mutex::new(None),
        }
    }
}

impl Memory {
    /// The ledger, a share application or an application (应用) changed: what is kept of grants no longer holds.
    /// Called after the change is in the store; the next call reads anew.
    pub fn forget(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// How many decisions are kept: one per known caller and resource, one per resource for the whole public.
    #[must_use]
    pub fn kept(&self) -> u64 {
        self.access.run_pending_tasks();
        self.access.entry_count()
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Notices within a second what another process changed.
    pub(crate) async fn look(&self, app: &App, op: &Op) -> Result<()> {
        self.look_at(app, op.at.timestamp_millis()).await
    }

    /// The same where there is no operation yet; `now` is what the clock says, milliseconds since 1970.
    pub(crate) async fn look_at(&self, app: &App, now: i64) -> Result<()> {
        if !self.looked.due(now, 1000) {
            return Ok(());
        }
        let stored = Box::pin(app.store.ledger_epoch()).await?;
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

/// A call that came to nothing does not count.
pub(crate) fn uncount(meter: &quota::Meter, op: &Op) {
    meter.uncount(op);
}

/// Rows released through the gate.
#[derive(Clone, Debug)]
pub struct Release {
    pub page: RowPage,
    /// Identifiers whose values are masked.
    pub masked: Vec<String>,
    /// Calls left today, when there is a quota.
    pub calls_left: Option<u64>,
    /// Watermark that the texts of the rows bear, where they bear one.
    pub mark: Option<String>,
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
    tell_times(app).await?;
    for (_, meter) in &app.shares.meters {
        meter.give_back(app).await?;
    }
    crate::interface::give_back(app, i64::MAX).await?;
    let op = Op::system(app.now());
    let platform = Target::plain("System", "platform");
    let permit = app.policy.permit(&op, Action::SystemWork, &platform)?;
    let level = crate::catalogue::index::mark(app).await?;
    let search = std::sync::Arc::clone(&app.search);
    tokio::task::spawn_blocking(move || search.sync())
        .await
        .map_err(|e| model::Error::internal("the search task ended").caused_by(e))??;
    app.store.meta_set(&permit, crate::catalogue::INDEX_MARK, &level).await
}

/// Writes down how long look-ups took since it was last written (a chore of every process, and before a calm stop).
pub(crate) async fn tell_times(app: &App) -> Result<()> {
    let day = Op::system(app.now()).today().to_string();
    for (_, meter) in &app.shares.meters {
        meter.tell_time(app, &day).await?;
    }
    Ok(())
}

/// Puts lots back that nobody uses (a chore of every process): what the store counts is then what was called.
pub(crate) async fn give_back_idle(app: &App) -> Result<()> {
    let before = app.now().timestamp() - 60;
    for (_, meter) in &app.shares.meters {
        meter.give_back_idle(app, before).await?;
    }
    crate::interface::give_back(app, before).await
}

/// The epoch of what callers may do, having noticed what other processes changed: a description made at one epoch
/// holds until the next.
pub async fn ledger_epoch(app: &App, op: &Op) -> Result<u64> {
    app.shares.look(app, op).await?;
    Ok(app.shares.epoch())
}

//! Return flow (回流): rows of an entry that concern a region, delivered to that region's body as they change.
//!
//! ```text
//! desk      what people do: offers, check, make, list, pause, resume, begin anew, compare, remove
//! receiver  what this desk and that of deliveries do alike
//! granted   the grant of a flow, made anew whenever the ledger or a share application changed
//! work      which process delivers which flow: leases, retries, the ends
//! deliver   one flow: where the target stands → what differs → one transaction there
//! pull      the same changes for a receiver that fetches them itself
//! ```
//!
//! *no-plain-way-out*: what goes out is only what [`policy::Policy::grant_flow`] allows, applied inside the lake's plan.
//! *every-release-audited*: each piece has its record before it is sent. *exactly-once*: the position is written at the target, in
//! the transaction of the rows; it says which version of the lake the target holds, and by which shape of the grant. When
//! items, masks or the area of the grant have changed since, the target is filled anew as a whole, in one transaction.

mod deliver;
mod desk;
pub(crate) mod granted;
mod place;
mod pull;
pub(crate) mod receiver;
mod work;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use policy::port::Outlet as Port;
use serde::Deserialize;
use tokio::sync::Notify;

pub use self::desk::{
    OutflowCheck, OutflowPage, OutflowView, Outline, anew, check, compare, create, get, list,
    may_keep, offers, pause, remove, resume,
};
pub use self::pull::{PullAsk, Pulled, pull};
pub use self::receiver::Offer;
pub use self::work::{stop, tick};

use crate::follow::Following;

/// Pace and limits (`rules/outflow.toml`).
#[derive(Clone, Debug, Deserialize)]
pub struct OutflowRules {
    pub effective: String,
    pub parcels: usize,
    pub snapshot_rows: usize,
    pub poll_ms: u64,
    pub retry_first_ms: u64,
    pub retry_longest_ms: u64,
    pub pull_rows: u64,
    pub pull_rows_most: u64,
    pub pull_wait_seconds: u64,
}

/// Outflows of this process.
pub struct Memory {
    pub(crate) port: Arc<dyn Port>,
    following: Following,
    /// Those who wait for new versions, by the entry's code.
    bells: Mutex<HashMap<String, Arc<Notify>>>,
}

impl Memory {
    #[must_use]
    pub fn new(port: Arc<dyn Port>) -> Self {
        Self { port, following: Following::default(), bells: Mutex::default() }
    }

    fn bell(&self, code: &str) -> Arc<Notify> {
        let mut bells = self.bells.lock();
        if bells.len() > 1000 {
            bells.retain(|_, bell| Arc::strong_count(bell) > 1);
        }
        Arc::clone(bells.entry(code.to_owned()).or_default())
    }

    /// The lake has a new version of an entry: whoever waits for it looks now.
    pub(crate) fn ring(&self, code: &str) {
        if let Some(bell) = self.bells.lock().get(code) {
            bell.notify_waiters();
        }
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("outflow::Memory")
            .field("following", &self.following)
            .finish_non_exhaustive()
    }
}

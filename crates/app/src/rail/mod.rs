//! The real-time rail (数据高铁): tables of a department's database followed by its log, into the lake and the serving copy.
//!
//! ```text
//! desk    what people do: check, make, list, pause, resume, heal, remove
//! work    which process follows which rail: leases, retries, the log held back at the source
//! drive   one rail: slot → snapshots → changes; what happens when the slot is lost or a table changes
//! land    pieces into parcels: the position is committed with the rows
//! ```
//!
//! *exactly-once*: every parcel carries the position of its table (`model::parcel::Track`) in the same Delta transaction
//! as its rows. When a rail is opened, the lake says where each table stands: `s:<chunks>:<key>` inside a snapshot,
//! `w:<position>` in the log. What the control store remembers is for people to look at.
//!
//! *nothing-dropped*: the source is told that it need not keep its log only after everything before has landed; a slot
//! that is missing although it had been made is never silently made again: the tables are read anew as a whole, each in
//! one parcel that replaces what was there, and an incident says so.

mod desk;
mod drive;
mod land;
mod work;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use policy::port::{Rail as Port, RailPace};
use serde::Deserialize;

pub use self::desk::{
    RailPage, RailView, TableView, check, create, get, heal, incidents, list, pause, remove,
    resume, rule, set_rule, survey,
};
pub(crate) use self::drive::told;
pub(crate) use self::work::{address, incident, permit as system_permit, port, runs_here};
pub use self::work::{stop, tick};

use crate::follow::Following;

/// Pace and limits (`rules/rail.toml`).
#[derive(Clone, Debug, Deserialize)]
pub struct RailRules {
    pub effective: String,
    pub chunk_rows: usize,
    pub parallel: usize,
    pub gather_ms: u64,
    pub gather_rows: usize,
    pub gather_bytes: usize,
    pub measure_seconds: u64,
    pub alarm_bytes: u64,
    pub ceiling_bytes: u64,
    pub count_seconds: u64,
    pub retry_first_ms: u64,
    pub retry_longest_ms: u64,
}

impl RailRules {
    fn pace(&self) -> RailPace {
        RailPace {
            chunk_rows: self.chunk_rows,
            gather_rows: self.gather_rows,
            gather_bytes: self.gather_bytes,
            gather_ms: self.gather_ms,
        }
    }
}

/// Rails of this process.
pub struct Memory {
    port: Arc<dyn Port>,
    following: Following,
    /// When the log of a paused rail was last measured.
    measured: Mutex<HashMap<String, tokio::time::Instant>>,
}

impl Memory {
    #[must_use]
    pub fn new(port: Arc<dyn Port>) -> Self {
        Self { port, following: Following::default(), measured: Mutex::default() }
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("rail::Memory").field("following", &self.following).finish_non_exhaustive()
    }
}

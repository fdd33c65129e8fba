//! Reconciliation (核对): what a source holds against what the lake shows of it.
//!
//! ```text
//! desk      what people do: compare, look, heal
//! compare   key ranges → rows that look different → rows that stay different
//! mend      rows read again from the source and landed; turns of the worker
//! ```
//!
//! A rail is at work meanwhile, so a row that looks different may only be on its way. Such rows are read at the source again,
//! the rail is given time to land all that came before, and then both sides are read: only a row that is found different
//! in the same way several times, while the source's did not change, is told. Decision 14 says why this is enough.

mod compare;
mod desk;
mod mend;

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;

pub use self::desk::{Asked, differences, fed, get, heal, last, list, may_see, start, wait};
pub use self::mend::{due, tick};

/// Reconciliations of this process.
#[derive(Debug, Default)]
pub struct Memory {
    /// Entries being compared here.
    comparing: Mutex<HashSet<String>>,
    /// Reconciliations being healed here.
    healing: Mutex<HashSet<String>>,
    /// When healing was last looked for.
    looked: Mutex<HashMap<(), tokio::time::Instant>>,
}

//! Reconciliation (核对): what a source holds against what the lake shows of it.
//!
//! ```text
//! desk      what people do: compare, look, heal
//! feed      what brings an entry's rows, and which rows of the lake are whose
//! sight     the source, open: a table asked by ranges (`reread` for pipelines), or one that is passed through (`passed`)
//! compare   key ranges → rows that look different → rows that stay different          passes   the same where everything is read
//! mend      rows read again from the source and landed          due   turns of the worker
//! ```
//!
//! A rail is at work meanwhile, so a row that looks different may only be on its way. Such rows are read at the source again,
//! the rail is given time to land all that came before, and then both sides are read: only a row that is found different
//! in the same way several times, while the source's did not change, is told. Decision 14 says why this is enough. A pipeline is
//! compared up to its watermark; rows of the lake that another channel brought last are never judged.

mod compare;
mod desk;
mod due;
mod feed;
mod mend;
mod passed;
mod passes;
mod reread;
mod sight;
mod words;

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;

pub use self::desk::{
    Asked, differences, feeds, get, heal, last, last_of, list, may_see, start, start_from, wait,
};
pub use self::due::due;
pub use self::feed::Fed;
pub use self::mend::tick;

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

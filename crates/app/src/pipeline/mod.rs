//! Pipelines (数据管道): scheduled pulls that a department describes in a file, into the one landing.
//!
//! ```text
//! desk    what people do with files: check, make, change, import, export, pause, resume, remove, compare
//! check   a file against the house: entry, source, lookups, what it waits for
//! act     turns by hand: now, a backfill, again, not any more
//! tick    which turns begin: the calendar, what others wait for, what a dead process left
//! turn    one turn: position → window → pull → landing; what comes of a failure
//! folder  files of a folder, one after the other
//! pull    rows of a source, through the transformation where there is one
//! dry     the same without landing
//! again   settled rows read again, for being compared with the lake
//! ```
//!
//! *exactly-once*: a turn has a key, and a pipeline has one turn with a key; a running turn is one process's by a lease; the
//! position after a turn is committed with its rows (`model::parcel::Track`), so that the lake alone says where the next one
//! begins, wherever the process died.
//!
//! *nothing-dropped*: what the source gave is `made` or `refused`; what was made has landed or is in quarantine.

mod act;
mod again;
mod check;
mod desk;
mod dry;
mod folder;
mod pull;
mod secret;
mod tick;
mod turn;

use std::collections::HashSet;

use parking_lot::Mutex;
use serde::Deserialize;

// Doors import `app` and `model` only: what they read of a plan comes with the room.
pub use policy::port::TransformPlan;

pub use self::act::{Progress, again, backfill, cancel, progress, run_now, turn_of, turns};
pub(crate) use self::again::{Again, Asked, Reread};
pub use self::check::{Checked, check};
pub use self::desk::{
    Difference, PipelineView, create, difference, edit, export, get, import, lineage, list, named,
    pause, remove, resume, versions,
};
pub use self::dry::{DryRun, dry_run};
pub(crate) use self::secret::{
    filled as secret_filled, missing as secret_missing, named as secrets_named,
};
pub use self::secret::{secret_remove, secret_set, secrets};
pub use self::tick::tick;
pub(crate) use self::turn::pause as pause_before_retry;

/// Pace and limits (`rules/pipeline.toml`).
#[derive(Clone, Debug, Deserialize)]
pub struct PipelineRules {
    pub effective: String,
    pub retry_times: u32,
    pub retry_first_seconds: u64,
    pub retry_longest_seconds: u64,
    pub at_once: u32,
    pub turns_at_once: usize,
    pub look_seconds: u64,
    pub backfill_slices: usize,
    pub refused_most: usize,
    pub dry_rows: u64,
    pub shown_rows: usize,
    pub files_most: usize,
    pub transform_seconds: u64,
    pub keep_days: i64,
    /// Folders whose files may be read.
    pub folders: Vec<String>,
}

/// Turns of this process.
#[derive(Debug, Default)]
pub struct Memory {
    running: Mutex<HashSet<String>>,
    /// When old turns were last taken away.
    swept_at: Mutex<Option<chrono::DateTime<chrono::Utc>>>,
}

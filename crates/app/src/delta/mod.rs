//! Delta Sharing: whole tables and their changes as Parquet files, by the public protocol.
//!
//! ```text
//! token   the owner's side: bearer tokens and profile files, what is shared, how its views are
//! shared  what an application receives: one share, a schema for each providing organisation, a table for each entry
//! query   versions, columns, the files of a version, the files of what changed
//! made    views that are being made, and waiting for them
//! read    signed addresses of files, and reading by them
//! tidy    views that nobody asks for, or that nobody may read any more, go
//! ```
//!
//! *no-plain-way-out*: a file is of a view that was written through a grant of `rows.batch`, and is read only against a grant of
//! the same shape, made anew at every request. *every-release-audited*: a question is recorded before it is answered, a file
//! before its first byte; both are counted as calls. A stopped application, an ended grant or a revoked token is refused at the
//! next request, addresses given out before included.

mod made;
mod query;
mod read;
mod shared;
mod tidy;
mod token;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::Semaphore;

pub use self::query::{
    Answer, Asked, Change, File, Point, Span, changes, metadata, query, refreshed, version,
};
pub use self::read::{Reading, open};
pub use self::shared::{Named, SHARE, Table, find, schemas, share, tables};
pub(crate) use self::tidy::tidy;
pub use self::token::{
    Caller, DeltaPage, DeltaSecret, DeltaTable, DeltaTokenAsk, TOKEN, by_token, may_manage,
    oauth_profile, page, revoke, token,
};

/// Limits (`rules/delta.toml`).
#[derive(Clone, Debug, Deserialize)]
pub struct DeltaRules {
    pub effective: String,
    pub token_days: i64,
    pub token_days_most: i64,
    pub tokens: u32,
    pub overlap_hours: i64,
    pub url_minutes: i64,
    pub idle_minutes: i64,
    pub read_hours: i64,
    pub wait_seconds: u64,
    pub makers: usize,
    pub changes_most: usize,
    pub page: usize,
    pub disk_gb: u64,
    pub keep_hours: i64,
}

/// Reads the rules; the shipped ones when the file says nothing.
pub(crate) fn rules(own: Option<DeltaRules>) -> std::result::Result<DeltaRules, toml::de::Error> {
    own.map_or_else(|| toml::from_str(include_str!("../../rules/delta.toml")), Ok)
}

/// What this process remembers.
pub struct Memory {
    /// What was granted, by application, good for one epoch and one day.
    granted: moka::sync::Cache<String, shared::Kept>,
    /// Views being made, by their names.
    making: Mutex<HashMap<String, made::Making>>,
    makers: Arc<Semaphore>,
    /// Reads that have begun.
    reads: moka::sync::Cache<String, Arc<read::Begun>>,
}

impl Memory {
    /// `makers`: views made at once.
    #[must_use]
    pub fn new(makers: usize) -> Self {
        Self {
            granted: moka::sync::Cache::builder()
                .max_capacity(5000)
                .time_to_idle(Duration::from_secs(3600))
                .build(),
            making: Mutex::default(),
            makers: Arc::new(Semaphore::new(makers.max(1))),
            reads: moka::sync::Cache::builder()
                .max_capacity(200_000)
                .time_to_idle(Duration::from_secs(3600))
                .build(),
        }
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("delta::Memory").finish_non_exhaustive()
    }
}

//! Port of shared views: what a grant shows of an entry, as Parquet files that may be handed out as they lie.
//!
//! *no-plain-way-out*: a view's files are written from the plan every release has (row filter, granted columns, masks), are kept
//! by the shape of the grant, and are read only against a grant of that shape.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;
use model::Result;

use crate::{Grant, Permit};

/// A file of a view. The same name is for ever the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareFile {
    pub name: String,
    pub bytes: u64,
    pub rows: u64,
    /// Statistics as Delta spells them: a JSON object.
    pub stats: String,
}

/// A column of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareColumn {
    pub name: String,
    pub title: String,
    /// Type as Delta spells it (`string`, `long`, `decimal(18,2)`, `timestamp_ntz`, …).
    pub kind: String,
}

/// What a grant shows at a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareView {
    /// The same for all versions of one grant's shape.
    pub id: String,
    pub version: i64,
    pub columns: Vec<ShareColumn>,
    pub files: Vec<ShareFile>,
}

/// What a reader is going to look at. Files that cannot hold such a row are left out; a hint that is not understood is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareHints {
    /// Conditions in SQL, all of which hold.
    pub sql: Vec<String>,
    /// Conditions as JSON.
    pub json: Option<String>,
    pub limit: Option<u64>,
}

/// A view as it lies in the lake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareHeld {
    pub id: String,
    pub bytes: u64,
    pub files: u64,
    /// When something was last written of it.
    pub written: DateTime<Utc>,
}

/// Views by the shape of grants. Called from many tasks in parallel and by several processes: whoever makes a view second finds
/// it made.
#[async_trait]
pub trait Shares: Send + Sync {
    /// Id of the view that this grant reads.
    fn share_id(&self, grant: &Grant) -> String;

    /// Columns as they go out at a version.
    async fn share_columns(&self, grant: &Grant, version: i64) -> Result<Vec<ShareColumn>>;

    /// The view of a version, if it was made.
    async fn share_view(&self, grant: &Grant, version: i64) -> Result<Option<ShareView>>;

    /// Makes the view of a version: from the newest one before it where only some rows differ, anew otherwise. `attempt` is
    /// part of the files' names and must be new; `done` counts rows written.
    async fn share_make(
        &self,
        grant: &Grant,
        version: i64,
        attempt: &str,
        done: Arc<AtomicU64>,
    ) -> Result<ShareView>;

    /// What differs between `from` and `to`, if it was made: files with the column `_change_type` behind the view's own
    /// (`insert`, `update_preimage`, `update_postimage`, `delete`), rows before and after as the grant showed them.
    async fn share_change(&self, grant: &Grant, from: i64, to: i64) -> Result<Option<ShareView>>;

    /// Makes it.
    async fn share_change_make(
        &self,
        grant: &Grant,
        from: i64,
        to: i64,
        attempt: &str,
        done: Arc<AtomicU64>,
    ) -> Result<ShareView>;

    /// The files that may hold rows for these hints. Never leaves out one that does.
    fn share_pruned(&self, view: ShareView, hints: &ShareHints) -> ShareView;

    /// Bytes of a file of the grant's view.
    async fn share_read(
        &self,
        grant: &Grant,
        file: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes>>>;

    /// All views that lie in the lake.
    async fn shares_held(&self) -> Result<Vec<ShareHeld>>;

    /// Removes versions of a view that are neither among `keep` nor its newest and were made before `before`, and files that
    /// no version names and were written before it; answers how many files. Needs `system.work`.
    async fn share_prune(
        &self,
        permit: &Permit,
        id: &str,
        keep: &[i64],
        before: DateTime<Utc>,
    ) -> Result<u64>;

    /// Removes a view with all its files. Needs `system.work`.
    async fn share_forget(&self, permit: &Permit, id: &str) -> Result<()>;
}

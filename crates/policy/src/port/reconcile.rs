//! Ports of reconciliation: the lake and a source tell, in the same words, what they hold of a key range.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use model::batch::Batch;
use model::entry::Entry;
use model::item::Item;
use model::parcel::ParcelHead;
use model::reconcile::{Key, KeyRange, RangeSum, RowPrint};
use model::{Op, Result};

use super::{LandTarget, Landing, RailAddress};
use crate::Permit;

/// The lake's half. No row is told, only keys and prints: all need `system.work` or `data.collect` on the entry.
#[async_trait]
pub trait Prints: Send + Sync {
    /// Rows and sums of each of these ranges in the current view, read once. `ranges` are in order and do not overlap.
    async fn range_sums(
        &self,
        permit: &Permit,
        entry: &Entry,
        ranges: &[KeyRange],
    ) -> Result<Vec<RangeSum>>;

    /// The rows of a range in the current view, in no order; beyond `most` it fails.
    async fn range_prints(
        &self,
        permit: &Permit,
        entry: &Entry,
        range: &KeyRange,
        most: usize,
    ) -> Result<Vec<RowPrint>>;

    /// Keys picked evenly out of the current view, in no order, `most` at most.
    async fn key_sample(&self, permit: &Permit, entry: &Entry, most: usize) -> Result<Vec<Key>>;

    /// Those of these keys that are in the current view, with a print of each cell and what brought them.
    async fn prints_of(
        &self,
        permit: &Permit,
        entry: &Entry,
        keys: &[Key],
    ) -> Result<Vec<RowPrint>>;

    /// Newest version of the table, whoever made it; `None` when nothing has landed.
    async fn version_of(&self, code: &str) -> Result<Option<i64>>;

    /// Lands a parcel only if the table still stands at `version`: otherwise [`model::Code::Stale`] and nothing changes.
    async fn land_upon(
        &self,
        permit: &Permit,
        op: &Op,
        parcel: &ParcelHead,
        target: &LandTarget,
        rows: BoxStream<'static, Result<Batch>>,
        version: i64,
    ) -> Result<Landing>;

    /// For each row: the highest record number under which its business key has landed or was deleted, in whatever
    /// parcel, also where a compaction since `since` (a stamp) has dropped it from the files in use.
    async fn newest_records(
        &self,
        permit: &Permit,
        entry: &Entry,
        rows: &Batch,
        since: &str,
    ) -> Result<Vec<Option<u64>>>;
}

/// Rows of a source, typed as its channel types them.
#[derive(Clone, Debug)]
pub struct ProbeRows {
    pub batch: Batch,
    /// Key of each row of the batch.
    pub keys: Vec<Key>,
    /// Keys of rows that do not fit the items.
    pub misfits: Vec<Key>,
}

/// Which rows of a table take part: those whose column has a value in this half-open span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    pub column: String,
    /// Literals of SQL.
    pub from: String,
    pub to: String,
}

/// Rows that a statement asks for.
#[derive(Clone, Copy, Debug)]
pub enum ProbeAsk<'a> {
    /// Those of a range, so many at most.
    Range(&'a KeyRange, usize),
    /// Those with these keys, whatever the span.
    Keys(&'a [Key]),
    /// Those with these keys that lie beyond the span.
    Beyond(&'a [Key]),
}

/// A table of a source, open to be compared. Questions are asked one after another.
#[async_trait]
pub trait ProbeTable: Send + Sync {
    /// The SELECT for such rows, for a channel that types rows by a reader of its own.
    fn statement(&self, ask: ProbeAsk<'_>) -> String;
    /// Whether the source sums by itself; otherwise its rows are read and summed here.
    fn pushes(&self) -> bool;
    /// The key of the `rows`th row of a range; `None` when it has fewer.
    async fn bound(&self, range: &KeyRange, rows: u64) -> Result<Option<Key>>;
    /// Rows and sums of a range. Rows that do not fit the items may be counted, too.
    async fn sum(&self, range: &KeyRange) -> Result<RangeSum>;
    /// The rows of a range; beyond `most` it fails.
    async fn rows(&self, range: &KeyRange, most: usize) -> Result<ProbeRows>;
    /// The rows with these keys, as records of the number `record`.
    async fn rows_of(&self, keys: &[Key], record: u64) -> Result<ProbeRows>;
    /// Deletes of rows with these keys.
    fn deletes(&self, keys: &[Key], record: u64) -> Batch;
    /// End of the source's log, as [`super::RailSlot::head`] says it.
    async fn head(&self) -> Result<String>;
    /// Those of these keys whose rows are newer than what is compared. A rail, whose log tells, has none.
    async fn newer(&self, _keys: &[Key]) -> Result<HashSet<Key>> {
        Ok(HashSet::new())
    }
}

/// The source's half.
#[async_trait]
pub trait Probe: Send + Sync {
    /// Opens a table whose columns go to `items`; all of its rows, or those of a span.
    async fn probe(
        &self,
        at: &RailAddress,
        place: &str,
        items: &[Item],
        span: Option<Span>,
    ) -> Result<Arc<dyn ProbeTable>>;
}

//! Port of the real-time rail: a database's tables and its log of changes, as chunks with positions.
//!
//! The engine reads and types; it keeps nothing. What has landed is known by the lake alone, whose position of each table
//! comes back with [`RailLine::stream`]: so a piece read twice lands once.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use model::Result;
use model::item::Item;
use model::rail::{RailBasis, RailColumn};

use super::Chunk;

/// Where a rail begins.
#[derive(Clone)]
pub struct RailAddress {
    /// `postgres://` or `mysql://` URL with its secret.
    pub url: String,
    pub slot: String,
    pub publication: String,
    /// Slot and publication were made by others.
    pub given: bool,
    /// Position up to which all has landed, for databases that keep none for us; empty when the rail begins.
    pub from: String,
}

impl std::fmt::Debug for RailAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RailAddress").field("slot", &self.slot).finish_non_exhaustive()
    }
}

/// A table and the items its columns go to.
#[derive(Clone, Debug)]
pub struct RailBinding {
    /// `schema.table`.
    pub place: String,
    pub items: Vec<Item>,
    /// Columns as they were when the rail last stood; empty for a new one.
    pub known: Vec<RailColumn>,
}

/// How much is gathered before it is handed over.
#[derive(Clone, Copy, Debug)]
pub struct RailPace {
    /// Rows of one chunk of a snapshot.
    pub chunk_rows: usize,
    /// A piece of changes is handed over when it has so many rows or bytes, or is so old.
    pub gather_rows: usize,
    pub gather_bytes: usize,
    pub gather_ms: u64,
}

/// What a source offers, and what stands in the way.
#[derive(Clone, Debug, Default)]
pub struct RailSurvey {
    /// Version as the server tells it.
    pub server: String,
    pub tables: Vec<RailSeen>,
    /// What must be mended before a rail can run, in both languages.
    pub faults: Vec<(String, String)>,
    /// What should be known.
    pub notes: Vec<(String, String)>,
}

/// A table as found.
#[derive(Clone, Debug, Default)]
pub struct RailSeen {
    pub place: String,
    /// Rows as the database estimates them.
    pub rows: u64,
    pub columns: Vec<RailColumn>,
    /// Items for the columns, as an entry for this table would have them.
    pub items: Vec<Item>,
    pub faults: Vec<(String, String)>,
    pub notes: Vec<(String, String)>,
}

/// State of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotState {
    Missing,
    Ready,
    /// The server has thrown away log that the slot needed.
    Lost(String),
    /// The log of the database it belongs to is read by another process.
    Busy(String),
}

/// A slot and the log behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RailSlot {
    pub state: SlotState,
    /// Identity of the cluster.
    pub system: String,
    pub confirmed: String,
    /// End of the source's log; comparable with the beginning of any position of this source.
    pub head: String,
    /// Bytes of log kept for the slot.
    pub held_bytes: u64,
    /// What positions are made of.
    pub basis: RailBasis,
    /// If this is another server than before: it tells the same history, so that positions mean here what they meant there.
    pub heir: bool,
}

/// Rows of a table's snapshot, in the order of its key.
#[derive(Clone, Debug)]
pub struct RailRows {
    pub chunk: Chunk,
    /// The key read last: the snapshot goes on after it.
    pub cursor: String,
}

/// What comes out of the log, in its order.
#[derive(Clone, Debug)]
pub enum RailPiece {
    /// Changes of one table.
    Changes {
        table: usize,
        chunk: Chunk,
        /// Position of each of the chunk's rejects.
        refused: Vec<String>,
        /// Position of the last change.
        position: String,
        /// When the source committed it, microseconds since 1970.
        committed: i64,
    },
    /// The table was emptied.
    Truncated { table: usize, position: String, committed: i64 },
    /// The table has other columns from here on. `differences` in both languages; `binding`: an item that must not be
    /// empty or the key is concerned, so that nothing more can be read.
    Shape {
        table: usize,
        columns: Vec<RailColumn>,
        differences: Vec<(String, String)>,
        binding: bool,
    },
    /// Part of the log is gone or cannot be told any more, as both languages say: the tables must be read anew.
    Lost { zh: String, en: String },
    /// All before has been handed over: once it has landed, the source need not keep the log up to here.
    Level(String),
}

/// An open rail.
#[async_trait]
pub trait RailLine: Send + Sync {
    /// Position from which the log will be read: that of the snapshot when the slot is new.
    fn start(&self) -> String;
    /// Columns of each table with their items.
    fn shapes(&self) -> Vec<Vec<RailColumn>>;
    /// Rows of a table after the key `after`, from one consistent state that is not older than [`RailLine::start`].
    /// Locks nothing. Tables may be read side by side.
    async fn rows(
        &self,
        table: usize,
        after: Option<String>,
    ) -> Result<BoxStream<'static, Result<RailRows>>>;
    /// The log, without changes that stand at or before the position given for their table.
    async fn stream(
        &self,
        after: Vec<Option<String>>,
    ) -> Result<BoxStream<'static, Result<RailPiece>>>;
    /// Tells the source what has landed (a position of [`RailPiece::Level`]).
    fn confirm(&self, position: &str);
}

/// Follows databases by their logs.
#[async_trait]
pub trait Rail: super::Probe {
    /// Looks at the source: what it is, its tables (those of `tables` alone when given, checked against their items).
    async fn survey(&self, at: &RailAddress, tables: &[RailBinding]) -> Result<RailSurvey>;
    /// State of the slot, and how much log the source keeps for it.
    async fn slot(&self, at: &RailAddress) -> Result<RailSlot>;
    /// Opens a rail; makes publication and slot where they are missing and ours to make.
    async fn open(
        &self,
        at: &RailAddress,
        tables: &[RailBinding],
        pace: RailPace,
    ) -> Result<Arc<dyn RailLine>>;
    /// Gives the slot up, so that the source keeps no log for it; the publication too when `whole`.
    async fn release(&self, at: &RailAddress, whole: bool) -> Result<()>;
}

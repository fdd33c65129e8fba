//! Ports: what the business needs of the engines. They stand beside the proofs they demand.
//!
//! `app` holds them as `Arc<dyn …>`; `lake`, `ingest`, `search` implement them; only the binary wires them.
//! All are called from many tasks in parallel.

mod bench;
mod change;
mod feed;
mod harvest;
mod identity;
mod links;
mod outlet;
mod paper;
mod programs;
mod rail;
mod reconcile;
mod share;
mod shelf;
mod stamp;
mod transform;
mod upstream;
mod wire;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;
use model::batch::Batch;
use model::entry::Entry;
use model::item::Item;
use model::parcel::{ParcelHead, Reject, Sniffed};
use model::query::RowQuery;
use model::schema::{SourceSchema, TableName};
use model::search::{SearchDoc, SearchHolding, SearchPage, SearchQuery};
use model::source::SourceCheck;
use model::value::{LineForm, Lines, Rows};
use model::{Op, Result};

pub use self::bench::{SqlBench, SqlColumn, SqlSaved, SqlSeen, SqlSitting, SqlTerms};
pub use self::change::{ChangeSpan, Changes, ChangesAhead, ROW_ID};
pub use self::feed::{Feed, HttpFeed, KafkaFeed, Paging};
pub use self::harvest::{HarvestAsk, HarvestPage, Harvester};
pub use self::identity::{OutsideBack, OutsideBegin, OutsideIdentity, OutsidePerson};
pub use self::links::Links;
pub use self::outlet::{
    Outlet, OutletAddress, OutletChange, OutletColumn, OutletLine, OutletRows, OutletSurvey,
};
pub use self::paper::{Paper, PaperPart, PaperSheet};
pub use self::programs::{ProgramEnd, ProgramFault, ProgramLimits, ProgramSeen, Programs};
pub use self::rail::{
    Rail, RailAddress, RailBinding, RailLine, RailPace, RailPiece, RailRows, RailSeen, RailSlot,
    RailSurvey, SlotState,
};
pub use self::reconcile::{Prints, Probe, ProbeAsk, ProbeRows, ProbeTable, Span};
pub use self::share::{ShareColumn, ShareFile, ShareHeld, ShareHints, ShareView, Shares};
pub use self::shelf::{Shelf, ShelfFile, ShelfPlace};
pub use self::stamp::Stamper;
pub use self::transform::{
    Transform, TransformAsk, TransformColumn, TransformInput, TransformPlan,
};
pub use self::upstream::{Upstream, UpstreamAsk};
pub use self::wire::{
    SqlAsk, SqlCaller, SqlDesk, SqlEnd, SqlKnock, SqlLimits, SqlProof, SqlRoom, SqlTable,
    SqlTables, SqlTurn,
};
use crate::{Grant, Permit};

/// The lake: Delta tables, one per entry code. Called by `app::collection` (landing) and by releases.
#[async_trait]
pub trait Lake: Prints + Shares {
    /// Lands one parcel. *exactly-once*: the parcel id is committed in the same Delta transaction as the rows; a
    /// parcel that landed before is not read again and answers `repeated`. Full mode replaces the current view
    /// (older versions stay readable); incremental mode merges by the business key, deletes being tombstones.
    /// Adds the `dsc_*` system columns. If the stream fails or the process dies, nothing becomes visible.
    async fn land(
        &self,
        permit: &Permit,
        op: &Op,
        parcel: &ParcelHead,
        target: &LandTarget,
        rows: BoxStream<'static, Result<Batch>>,
    ) -> Result<Landing>;

    /// Whether a parcel is in the table, and as which version.
    async fn landed(&self, code: &str, parcel: &str) -> Result<Option<Landing>>;

    /// The position that came with the newest parcel of this track, if there is one: how a channel that goes on for ever
    /// knows where it stands, whatever else it remembers.
    async fn position(&self, code: &str, track: &str) -> Result<Option<String>>;

    /// The current view (or that of `version`) through a grant: columns, row filter, masks and cap are applied
    /// inside the plan. Streams in bounded memory. Order is by the query's order, else by the business key, else as stored.
    async fn scan(
        &self,
        grant: &Grant,
        query: &RowQuery,
        version: Option<i64>,
    ) -> Result<BoxStream<'static, Result<Rows>>>;

    /// The same rows as lines of text, as a CSV writer would write each value's `to_text`: quoted where need be, ended by CR LF.
    /// No header. In the order of `scan`; pieces without rows are not given. Streams in bounded memory.
    async fn lines(
        &self,
        grant: &Grant,
        query: &RowQuery,
        version: Option<i64>,
        form: LineForm,
    ) -> Result<BoxStream<'static, Result<Lines>>>;

    /// The same rows as one Parquet file (zstd), in pieces; nothing at all where nothing has landed. The same version, grant and
    /// query make the same bytes. Streams in memory bounded by one row group.
    async fn column_file(
        &self,
        grant: &Grant,
        query: &RowQuery,
        version: Option<i64>,
    ) -> Result<BoxStream<'static, Result<Lines>>>;

    /// What lies before a receiver that holds version `from`: a span of at most `most` parcels. `None` when it is level, or
    /// nothing has landed. A version the lake does not know (it was set back) is `WrongState`.
    async fn ahead(
        &self,
        code: &str,
        from: Option<i64>,
        most: usize,
    ) -> Result<Option<ChangesAhead>>;

    /// The difference of what a grant shows at two versions, in the order of its marks: columns, row filter and masks are
    /// applied inside the plan. A row that has come to fit the filter is an insert, one that fits no more a delete, whatever its
    /// parcel called it; a row that looks as before is not told. Only keys that parcels in between touched are compared, unless
    /// one of them replaced the whole. Streams in bounded memory. An entry without a key is refused.
    async fn changes(
        &self,
        grant: &Grant,
        span: &ChangeSpan,
    ) -> Result<BoxStream<'static, Result<Changes>>>;

    /// Rows that a grant shows at a version.
    async fn granted(&self, grant: &Grant, version: i64) -> Result<u64>;

    /// Rows of one parcel as landed, for refreshing the serving copy (movement inside the house, not a release:
    /// it needs a permit for `system.work` or `data.collect`).
    async fn replay(
        &self,
        permit: &Permit,
        entry: &Entry,
        parcel: &str,
    ) -> Result<BoxStream<'static, Result<Batch>>>;

    /// For each row of `rows` (columns in the order of the entry's items): the highest record number under which one
    /// of `parcels` holds or deletes its business key; `None` where none does, and always without a key. Needs a
    /// permit for mending, collecting or `system.work`; no row is told, only numbers.
    async fn records_of_keys(
        &self,
        permit: &Permit,
        entry: &Entry,
        rows: &Batch,
        parcels: &[String],
    ) -> Result<Vec<Option<u64>>>;

    /// Writes many small files together when there are enough of them; the rows seen are the same before and after,
    /// earlier versions and parcels stay as they were. Answers `None` when nothing was to be done. Needs `system.work`.
    async fn compact(&self, permit: &Permit, op: &Op, code: &str) -> Result<Option<Compacted>>;

    /// Removes files that no commit ever named and that were last written before `before`; answers how many.
    /// Needs `system.work`.
    async fn sweep(&self, permit: &Permit, code: &str, before: DateTime<Utc>) -> Result<u64>;

    /// Rows of the current view; 0 when nothing has landed.
    async fn count(&self, entry: &Entry) -> Result<u64>;

    /// Bytes of the files that make the current view (0 when nothing has landed); earlier versions are not counted.
    async fn bytes(&self, code: &str) -> Result<u64>;

    /// What the newest state is made of, file by file in the order in which they are read; `None` when nothing has landed. The same
    /// layout, grant and query make the same bytes of any file; a compaction makes another layout of the same rows.
    async fn layout(&self, code: &str) -> Result<Option<String>>;

    /// Versions, newest first.
    async fn versions(&self, code: &str) -> Result<Vec<LakeVersion>>;

    /// The newest version that holds a parcel, without reading the others.
    async fn newest(&self, code: &str) -> Result<Option<LakeVersion>>;

    /// A cheap question to the place the tables lie in, for readiness.
    async fn ping(&self) -> Result<()>;
}

/// Where a parcel goes and what the system columns say.
#[derive(Clone, Debug)]
pub struct LandTarget {
    pub entry: Entry,
    /// 数源单位 name (dsc_sydep_name) and USCC (dsc_sydep_code).
    pub org_name: String,
    pub org_uscc: String,
}

/// Outcome of a landing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Landing {
    /// Delta version that holds the parcel.
    pub version: i64,
    /// Rows written by the parcel.
    pub rows: u64,
    /// The parcel was there before; nothing changed.
    pub repeated: bool,
}

/// What a compaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Delta version it made.
    pub version: i64,
    pub files_before: u64,
    pub files_after: u64,
    /// Rows written.
    pub rows: u64,
}

/// One version of a lake table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LakeVersion {
    pub version: i64,
    pub at: String,
    pub parcel: String,
    pub mode: String,
    pub rows: u64,
}

/// Channels' reading half: files and queries into typed batches. Called by `app::collection` and the command line.
#[async_trait]
pub trait Intake: Send + Sync {
    /// Says what a file is. `name` is the user's file name (a hint only: content decides).
    async fn sniff(&self, path: &Path, name: &str) -> Result<Sniffed>;
    /// The same, for who is about to read the file anyway: delimited text is known by its beginning, without the number
    /// of its records and what stands further on.
    async fn glance(&self, path: &Path, name: &str) -> Result<Sniffed>;
    /// Items for a person to complete, one for each column found: valid, unique identifiers (Chinese headers by pinyin),
    /// types as found, grades raised where names or values look personal.
    fn draft(&self, sniffed: &Sniffed) -> Vec<Item>;
    /// Reads a source by the entry's items, in bounded memory. Header texts are matched to items by identifier,
    /// Chinese or English name; a missing non-nullable item or an unreadable file fails before the first chunk.
    async fn read(&self, source: &Source, items: &[Item], options: &ReadOptions)
    -> Result<Reading>;
    /// Says what tables a database holds (`postgres://` or `mysql://` URL with its secret), in a read-only transaction.
    /// Without `only`, the tables without their columns; else the columns and keys of those tables. What is not offered
    /// is told in `left_out`.
    async fn describe(&self, url: &str, only: Option<&[TableName]>) -> Result<SourceSchema>;
    /// Reads the first rows of a feed and says what columns they have, as [`Intake::sniff`] does of a file: what
    /// [`Intake::draft`] draws items from.
    async fn probe(&self, feed: &Feed) -> Result<Sniffed>;
    /// Says what the account of a database may do: read the tables `wanted` (all it sees, without any), and nothing beyond.
    /// `rails`: replication is needed. Nothing is tried out; `now` is ours.
    async fn privileges(
        &self,
        url: &str,
        wanted: &[TableName],
        rails: bool,
        now: DateTime<Utc>,
    ) -> Result<SourceCheck>;
}

/// Where rows come from.
#[derive(Clone)]
pub enum Source {
    File {
        path: PathBuf,
        name: String,
    },
    /// `postgres://` or `mysql://` URL with its secret, and one SELECT.
    Query {
        url: String,
        sql: String,
        name: String,
    },
    /// One of the other places pipelines read from, with its secrets and a name for messages.
    Feed {
        feed: Feed,
        name: String,
    },
    /// Rows given in hand: mended quarantine rows.
    Cells {
        name: String,
        rows: Vec<CellRow>,
    },
}

/// A row given in hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CellRow {
    /// Record number, told again in batches and rejects.
    pub record: u64,
    /// In the order of the items.
    pub cells: Vec<Option<String>>,
    /// `I`, `U`, `D` or a word for one; `None` is an insert.
    pub operation: Option<String>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::File { path, name } => {
                f.debug_struct("File").field("path", path).field("name", name).finish()
            }
            Source::Query { name, .. } => {
                f.debug_struct("Query").field("name", name).finish_non_exhaustive()
            }
            Source::Feed { feed, name } => {
                f.debug_struct("Feed").field("feed", feed).field("name", name).finish()
            }
            Source::Cells { name, rows } => {
                f.debug_struct("Cells").field("name", name).field("rows", &rows.len()).finish()
            }
        }
    }
}

/// What the user may say about a file when sniffing is not enough. `None` = found out.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    pub format: Option<String>,
    pub encoding: Option<String>,
    pub delimiter: Option<char>,
    pub sheet: Option<String>,
    pub header_rows: Option<u64>,
    /// Rows per batch; 0 takes the default (65,536).
    pub batch_rows: usize,
    /// Column that says I/U/D, for incremental sources.
    pub operation_column: Option<String>,
}

/// A source being read.
pub struct Reading {
    /// What was found (files only).
    pub sniffed: Option<Sniffed>,
    /// Header texts in order with the item each was matched to.
    pub columns: Vec<(String, Option<String>)>,
    /// Bytes of the source, 0 when unknown.
    pub bytes_total: u64,
    /// Where a feed that keeps its own place stands after all of its chunks.
    pub position: Option<String>,
    pub chunks: BoxStream<'static, Result<Chunk>>,
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading").field("columns", &self.columns).finish_non_exhaustive()
    }
}

/// A piece of what was read: `batch.rows() + rejects' records = read`.
#[derive(Clone, Debug)]
pub struct Chunk {
    pub batch: Batch,
    /// One reject per refused record (its first misfit; further ones are named in its reason).
    pub rejects: Vec<Reject>,
    /// Records read in this chunk.
    pub read: u64,
    /// Bytes of the source consumed so far.
    pub bytes_done: u64,
}

/// Full-text search over the ledger. *read-your-writes*: when `put` or `remove` returns, searches see it.
pub trait Search: Send + Sync {
    fn put(&self, docs: &[SearchDoc]) -> Result<()>;
    fn remove(&self, ids: &[String]) -> Result<()>;
    fn search(&self, query: &SearchQuery) -> Result<SearchPage>;
    /// Title completions while typing (Chinese, pinyin initials), at most `limit`.
    fn suggest(&self, prefix: &str, audience: &[String], limit: usize) -> Result<Vec<String>>;
    /// Replaces everything at once, without a gap for searchers. Batches are taken as they come, so that no more than a
    /// few are in memory; one that failed leaves the index as it was.
    fn rebuild(&self, batches: &mut dyn Iterator<Item = Result<Vec<SearchDoc>>>) -> Result<()>;
    /// Number of documents (every data item is one), to notice an index that lags after a crash.
    fn count(&self) -> Result<u64>;
    /// What is held of each ledger, to compare with the store.
    fn holdings(&self) -> Result<Vec<(String, SearchHolding)>>;
    /// Makes everything durable: called before the mark that says the index is level with the store.
    fn sync(&self) -> Result<()>;
}

/// The time. The binary gives the real clock, tests a set one.
pub trait Clock: Send + Sync {
    fn now(&self) -> DateTime<Utc>;
}

//! The lake: one Delta table per catalogue entry, and the only crate that sees Arrow, Parquet and DataFusion.
//!
//! # How rows lie
//!
//! The entry with code `c` is the Delta table `<root>/c/`: Parquet files beside a `_delta_log`. Its columns are the
//! entry's items, each of an explicit type, then the system columns `dsc_*` every aggregated row carries
//! ([`schema`]). Columns are never partition columns and rows never deletion vectors, so that a reader which knows
//! Parquet only sees all there is.
//!
//! # How rows come in (a worked example)
//!
//! Entry `person` has the key `sfzh`. Three parcels land one after another:
//!
//! ```text
//! parcel  mode         rows (record id: sfzh, xm, operation)                 version  files
//! A       full         1: a 甲 I   2: b 乙 I   3: c 丙 I                     0        A.….0000.parquet
//! B       incremental  4: b 乙2 U  5: c - D    6: d 丁 I                     1        + B.….0000.parquet
//! C       full         7: a 甲 I   8: a 甲2 I                                2        C.… only
//! ```
//!
//! * *exactly-once*: a parcel's files and the application transaction `(appId = parcel, version = table version)` are
//!   one commit. Landing `B` again reads that transaction and answers `repeated` without touching the stream.
//! * Nothing is visible before the commit: files are named `<parcel>.<attempt>.<n>.parquet`, a failed attempt's files
//!   are removed at once, those of a killed process by [`DeltaLake::sweep`].
//! * The current view is made when reading ([`view`]). A full parcel is the *base*; the table's metadata remember
//!   which parcel that is and whether its keys were found unique while landing. At version 1 the view is: base rows
//!   whose `dsc_hash_unique` does not occur in later parcels, plus the last row of each key among the later parcels
//!   unless that is a `D`: `a 甲, b 乙2, d 丁`. The cost of merging grows with the changes, not with the base.
//! * At version 2 keys repeat inside the base, so the last record of each key is taken from all of it: `a 甲2`. Were
//!   they unique, the table would be read as it lies. Version 0 and 1 stay readable (time travel).
//! * Which files make a version is the log's word. One of them that is not there, or cannot be read, is an error with the table's
//!   name, never a smaller table ([`plain`], [`fault`]); what the log alone answers, such as a count of rows, needs no file.
//! * Rows are ordered by `(dsc_biz_timestamp, dsc_biz_record_id)`; both only grow from parcel to parcel.
//!
//! # How a table stays quick
//!
//! Every parcel adds files. A worker has them written together now and then ([`compact`]); what is seen stays the same,
//! and the files before stay too, for earlier versions.
//!
//! # How rows go out
//!
//! *no-plain-way-out*: [`DeltaLake::scan`](policy::port::Lake::scan) takes a `Grant` and builds one DataFusion plan:
//! view → the grant's row filter → the caller's filter → order → the granted and selected columns, masked by a
//! function inside the plan → cap ([`scan`]). SQL text has an entry of its own ([`wire`]), made of grants alone. Whole
//! downloads in CSV are the same plan, its batches written as lines here ([`lines`]).
//!
//! # How rows are transformed
//!
//! A pipeline's SELECT runs over the rows its source gave, in a session that knows nothing else ([`transform`]).
//! Changes between two versions ([`change`]) are the difference of two such plans, so that a row that moves out of a
//! grant's filter is gone for its receiver.
//!
//! # How SQL is answered
//!
//! Applications ask by SQL over PostgreSQL's protocol ([`wire`]): each granted resource is a table behind a barrier, made of
//! the same view, row filter and masks.
//!
//! Where a cluster is configured, statements run on several machines behind the same barrier ([`cluster`]). A statement that nobody
//! waits for ends, in the middle of a join, too ([`brake`]).
//!
//! # How whole tables are handed out
//!
//! What a grant shows is written as files of its own and kept level with the table ([`share`]); those are read, never ours.
//!
//! # How a gigabyte stays small
//!
//! Batches pass through a bounded channel to one blocking encoder ([`encode`]), its bytes through another to the
//! object store ([`upload`]); reading, encoding and writing run side by side and only a row group is held, whose columns
//! are encoded on all processors ([`rowgroup`]).

mod bounds;
mod brake;
mod calendar;
mod cells;
mod change;
mod cluster;
mod column_file;
mod commit;
mod compact;
mod constant;
mod datafile;
mod depth;
mod encode;
mod fault;
mod filter;
mod in_turn;
mod keys;
mod lake;
mod land;
mod last;
mod lines;
mod looked;
mod masking;
mod name;
mod plain;
mod pool;
mod prints;
mod replay;
mod rowgroup;
mod scan;
mod schema;
mod session;
mod share;
mod sweep;
mod system;
mod table;
mod transform;
mod upload;
mod view;
mod wire;

#[cfg(test)]
mod tests;

pub use cluster::{
    ClusterConfig, ClusterFigures, ExecutorConfig, SchedulerConfig, TrustFiles, serve_executor,
    serve_scheduler,
};
pub use lake::{DeltaLake, LakeConfig};
pub use wire::{Bench, SqlDoor};

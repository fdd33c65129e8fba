//! Collection: the channels' parcels go through the one landing; what does not fit waits in quarantine.

use std::path::PathBuf;

use futures::stream::BoxStream;
use model::code::SyncMode;
use model::parcel::{Quarantined, Run, Sniffed};
use model::{Error, Op, Result};
use policy::port::{ReadOptions, Source};

use crate::{App, Page};

/// Progress and locks of running collections.
#[derive(Debug, Default)]
pub struct Memory {}

/// A source kept in the inbox, safe against a crash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spooled {
    pub path: PathBuf,
    pub name: String,
    /// SHA-256, lower hex.
    pub checksum: String,
    pub bytes: u64,
}

/// What to collect.
#[derive(Clone, Debug)]
pub struct Order {
    /// Entry id or code.
    pub entry: String,
    pub source: Source,
    pub mode: SyncMode,
    pub options: ReadOptions,
}

/// Writes an upload into the inbox (fsynced) while computing its checksum; refuses more than the configured size.
pub async fn spool(
    _app: &App,
    _op: &Op,
    _entry: &str,
    _name: &str,
    _bytes: BoxStream<'static, Result<bytes::Bytes>>,
) -> Result<Spooled> {
    Err(Error::internal("not built"))
}

/// Says what a file is.
pub async fn sniff(_app: &App, _op: &Op, _path: &std::path::Path, _name: &str) -> Result<Sniffed> {
    Err(Error::internal("not built"))
}

/// Starts a collection in the background and answers its run at once.
pub async fn start(_app: &std::sync::Arc<App>, _op: &Op, _order: Order) -> Result<Run> {
    Err(Error::internal("not built"))
}

/// Collects and waits for the end.
pub async fn collect(_app: &std::sync::Arc<App>, _op: &Op, _order: Order) -> Result<Run> {
    Err(Error::internal("not built"))
}

/// Reads and types everything, lands nothing: the run as it would be, with the first rejects (at most 100).
pub async fn dry_run(_app: &App, _op: &Op, _order: Order) -> Result<(Run, Vec<model::parcel::Reject>)> {
    Err(Error::internal("not built"))
}

/// One run with live figures.
pub async fn run(_app: &App, _op: &Op, _id: &str) -> Result<Run> {
    Err(Error::internal("not built"))
}

/// Runs the caller may see, newest first; of one entry when given.
pub async fn runs(_app: &App, _op: &Op, _entry: Option<&str>, _after: Option<&str>, _limit: u32) -> Result<Page<Run>> {
    Err(Error::internal("not built"))
}

/// Quarantined rows of a run, in order.
pub async fn quarantine(_app: &App, _op: &Op, _run: &str, _after: Option<&str>, _limit: u32) -> Result<Page<Quarantined>> {
    Err(Error::internal("not built"))
}

/// All quarantined rows of a run as CSV: line, column, value, reason, then the cells.
pub async fn quarantine_csv(_app: &App, _op: &Op, _run: &str) -> Result<Vec<u8>> {
    Err(Error::internal("not built"))
}

/// Puts mended cells in place of a quarantined row's (it stays open until replayed).
pub async fn mend(_app: &App, _op: &Op, _id: &str, _cells: Vec<Option<String>>) -> Result<Quarantined> {
    Err(Error::internal("not built"))
}

/// Reads the open quarantined rows of a run again and lands those that fit now; the rest stays.
pub async fn replay(_app: &std::sync::Arc<App>, _op: &Op, _run: &str) -> Result<Run> {
    Err(Error::internal("not built"))
}

/// Gives a quarantined row up, with a reason in the audit.
pub async fn dismiss(_app: &App, _op: &Op, _id: &str, _reason: &str) -> Result<()> {
    Err(Error::internal("not built"))
}

/// After a start: finishes or restarts runs that a crash interrupted. Loses and doubles nothing.
pub async fn recover(_app: &std::sync::Arc<App>) -> Result<u64> {
    Err(Error::internal("not built"))
}

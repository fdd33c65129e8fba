//! Catalogue: entries are compiled, checked, reviewed, published, put online, kept in versions, compared.

use model::entry::{Difference, Entry, EntryDraft, EntryFilter, EntryStep, EntryVersion};
use model::{Error, FieldError, Op, Result};
use serde::Serialize;

use crate::{App, Page};

/// What can be done next with an entry (state machine of facts.md §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Move {
    /// unpublished | pub-reject → pub-auditing
    Submit,
    /// any `*-auditing` → its goal
    Approve,
    /// any `*-auditing` → its reject state; a reason is needed
    Reject,
    /// published, notline | up-reject → up-auditing; offline → offline-up-auditing
    PutOnline,
    /// online → down-auditing; a reason is needed
    TakeOffline,
    /// `*-auditing` → back to where it came from, by the submitter
    Withdraw,
}

/// Report of a catalogue import: nothing is imported unless every row is right.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ImportReport {
    pub entries: u64,
    pub items: u64,
    pub created: Vec<String>,
    pub changed: Vec<String>,
    /// Row-by-row faults; when there are any, nothing was imported.
    pub faults: Vec<FieldError>,
    pub applied: bool,
}

/// Format of a catalogue file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SheetFormat {
    Csv,
    Xlsx,
}

/// Every contradiction of a draft, each with its rule (an L4 item cannot be unconditionally open, …).
#[must_use]
pub fn check(_app: &App, _draft: &EntryDraft) -> Vec<FieldError> {
    Vec::new()
}

/// Compiles a new entry (state unpublished, notline, version 1).
pub async fn create(_app: &App, _op: &Op, _draft: EntryDraft) -> Result<Entry> {
    Err(Error::internal("not built"))
}

/// Edits an entry. `base_version` guards against overwriting someone else's change. A published entry goes to change-auditing
/// and the published version stays in force until the change is approved.
pub async fn edit(_app: &App, _op: &Op, _id: &str, _draft: EntryDraft, _base_version: i64) -> Result<Entry> {
    Err(Error::internal("not built"))
}

/// Makes one move of the state machine, with its reason.
pub async fn step(_app: &App, _op: &Op, _id: &str, _step: Move, _reason: &str) -> Result<Entry> {
    Err(Error::internal("not built"))
}

/// Moves the caller may make now (for buttons).
#[must_use]
pub fn moves(_app: &App, _op: &Op, _entry: &Entry) -> Vec<Move> {
    Vec::new()
}

/// One entry by id or code. What the caller may not know of is not found.
pub async fn get(_app: &App, _op: &Op, _id_or_code: &str) -> Result<Entry> {
    Err(Error::internal("not built"))
}

/// Entries the caller may see.
pub async fn list(_app: &App, _op: &Op, _filter: &EntryFilter) -> Result<Page<Entry>> {
    Err(Error::internal("not built"))
}

/// Steps of an entry's life, oldest first.
pub async fn steps(_app: &App, _op: &Op, _id: &str) -> Result<Vec<EntryStep>> {
    Err(Error::internal("not built"))
}

/// Kept versions, newest first.
pub async fn versions(_app: &App, _op: &Op, _id: &str) -> Result<Vec<EntryVersion>> {
    Err(Error::internal("not built"))
}

/// Differences between two versions.
pub async fn compare(_app: &App, _op: &Op, _id: &str, _from: i64, _to: i64) -> Result<Vec<Difference>> {
    Err(Error::internal("not built"))
}

/// Imports a whole catalogue from CSV or XLSX (`path` holds the file, `name` is the user's name for it): all or nothing.
pub async fn import(_app: &App, _op: &Op, _path: &std::path::Path, _name: &str, _dry_run: bool) -> Result<ImportReport> {
    Err(Error::internal("not built"))
}

/// Exports the entries the caller may see; importing the file again changes nothing.
pub async fn export(_app: &App, _op: &Op, _format: SheetFormat) -> Result<Vec<u8>> {
    Err(Error::internal("not built"))
}

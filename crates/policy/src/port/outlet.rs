//! Port of databases that rows are delivered to.
//!
//! *exactly-once*: a delivery and the position that it brings the table to are one transaction at the target. Whoever delivers
//! says from which position; when the target stands elsewhere, nothing is written and the answer is `Stale`.

use async_trait::async_trait;
use model::Result;
use model::batch::Operation;
use model::code::{DataType, SyncMode};
use model::value::Row;

use crate::Grant;

/// Where rows go.
#[derive(Clone)]
pub struct OutletAddress {
    /// `postgres://` or `mysql://` URL with its secret.
    pub url: String,
    /// Name under which the target keeps the position.
    pub flow: String,
    /// `schema.table`, or `table` in the account's own schema.
    pub table: String,
}

impl std::fmt::Debug for OutletAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutletAddress").field("table", &self.table).finish_non_exhaustive()
    }
}

/// A column as it goes out: of a masked one, the type that the mask leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutletColumn {
    pub name: String,
    pub title: String,
    pub data_type: DataType,
    pub scale: u8,
    /// Rows are told apart by it.
    pub key: bool,
}

/// What was found at a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutletSurvey {
    /// Version as the server tells it.
    pub server: String,
    /// The table is there.
    pub table: bool,
    /// Rows in it (counted up to one).
    pub empty: bool,
    /// What must be mended first, in both languages.
    pub faults: Vec<(String, String)>,
    /// What should be known.
    pub notes: Vec<(String, String)>,
}

/// One change on its way out. `row` follows the columns; of a delete only the key's cells count.
#[derive(Clone, Debug, PartialEq)]
pub struct OutletChange {
    pub operation: Operation,
    pub row: Row,
}

/// Who reads what a target holds, row by row.
pub trait OutletRows: Send {
    fn row(&mut self, cells: &[Option<&str>]);
}

/// An open way to one table. Dropped, it leaves nothing behind that was not committed.
#[async_trait]
pub trait OutletLine: Send + Sync {
    /// Position written at the target; `None` before the first delivery.
    async fn position(&mut self) -> Result<Option<String>>;
    /// Begins a transaction at this position. `Full`: the table is emptied in it first.
    async fn begin(&mut self, at: Option<&str>, mode: SyncMode) -> Result<()>;
    /// Writes changes into the open transaction; a key occurs once in it.
    async fn write(&mut self, changes: &[OutletChange]) -> Result<()>;
    /// Ends the transaction together with its new position.
    async fn commit(&mut self, position: &str) -> Result<()>;
    /// Rows of the table.
    async fn count(&mut self) -> Result<u64>;
    /// All rows as texts of the database, cells in the order of the columns, in no order of rows; told one by one, never held.
    async fn read(&mut self, into: &mut dyn OutletRows) -> Result<()>;
}

/// Databases that rows may be delivered to. Called from many tasks in parallel.
#[async_trait]
pub trait Outlet: Send + Sync {
    /// Looks at a target, and changes nothing.
    async fn survey(&self, at: &OutletAddress, columns: &[OutletColumn]) -> Result<OutletSurvey>;
    /// Opens a way for rows of a grant. Makes the table and that of positions where they are missing, adds columns to a table of
    /// our own making, and checks a given one.
    async fn open(
        &self,
        grant: &Grant,
        at: &OutletAddress,
        columns: &[OutletColumn],
    ) -> Result<Box<dyn OutletLine>>;
    /// Forgets the position of a flow at the target; its rows stay.
    async fn forget(&self, at: &OutletAddress) -> Result<()>;
}

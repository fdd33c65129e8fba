//! Port of the workspace: statements of people and jobs over the engine of the SQL door, without its protocol.
//!
//! The same firewall, plan, barrier and watch as for whoever connects; what a statement may read and what is recorded of it is
//! the [`SqlRoom`]'s that comes with it. `lake` implements it, `app` calls it.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use model::Result;
use model::batch::Batch;
use model::item::Item;
use model::project::ExportFormat;
use model::value::Rows;

use super::{SqlCaller, SqlRoom};

/// The engine behind workspaces.
pub trait SqlBench: Send + Sync {
    /// A place to run one statement at a time. Nothing is asked of the room before a statement comes.
    fn open(&self, terms: SqlTerms) -> Result<Arc<dyn SqlSitting>>;
}

/// On what terms a statement runs.
#[derive(Clone)]
pub struct SqlTerms {
    pub room: Arc<dyn SqlRoom>,
    pub caller: SqlCaller,
    /// Memory that a statement may use, in bytes; what does not fit is spilled, what cannot be spilled fails.
    pub memory: usize,
    /// Most rows that are wanted: the engine stops there. `None`: all.
    pub most: Option<usize>,
}

impl std::fmt::Debug for SqlTerms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlTerms").field("memory", &self.memory).finish_non_exhaustive()
    }
}

/// Somebody at work. Texts hold one query each (`SELECT`, `WITH`, `VALUES`); everything else is refused and recorded.
#[async_trait]
pub trait SqlSitting: Send + Sync {
    /// What a query would give and read, without running it. A refusal is recorded, nothing is counted.
    async fn look(&self, text: &str) -> Result<SqlSeen>;
    /// Counts, records and runs a query; rows in pieces.
    async fn rows(&self, text: &str) -> Result<BoxStream<'static, Result<Rows>>>;
    /// The same as columns for landing, typed as [`SqlColumn::item`] says.
    async fn batches(&self, text: &str) -> Result<BoxStream<'static, Result<Batch>>>;
    /// The same into a file.
    async fn save(&self, text: &str, format: ExportFormat, path: &Path) -> Result<SqlSaved>;
    /// Ends what runs.
    fn cancel(&self);
}

/// A planned query.
#[derive(Clone, Debug, Default)]
pub struct SqlSeen {
    pub columns: Vec<SqlColumn>,
    /// Tables that it reads, with the columns.
    pub tables: Vec<(String, Vec<String>)>,
    /// The optimised plan, a line a step; nothing of what lies behind a granted table.
    pub plan: Vec<String>,
}

/// A column of a result.
#[derive(Clone, Debug)]
pub struct SqlColumn {
    /// With the column's name, and the type its values have.
    pub item: Item,
    /// `table.column` that its values are made of.
    pub from: Vec<String>,
    /// `table.column` that decide which rows there are.
    pub through: Vec<String>,
    /// Functions on the way, outermost first; empty when it is copied.
    pub by: Vec<String>,
}

/// A written file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SqlSaved {
    pub rows: u64,
    pub bytes: u64,
}

//! Port of transformations: one SELECT of a pipeline over the rows a source gave.

use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use model::Result;
use model::batch::Batch;
use model::item::Item;

use super::Chunk;

/// What is to be made of what.
#[derive(Clone, Debug, Default)]
pub struct TransformAsk {
    /// One SELECT. It reads the tables of `inputs` by their names and nothing else.
    pub sql: String,
    pub inputs: Vec<TransformInput>,
    /// Items the rows are made for; a column of the SELECT goes to the item of its name.
    pub items: Vec<Item>,
    /// Column of the SELECT that says I/U/D, for incremental entries.
    pub operation_column: Option<String>,
    /// Longest time the run may take, by rule; zero is without end.
    pub patience: Duration,
}

/// A table the SELECT may read. That of `source` (else the first) is the stream that may be long; the others are looked
/// things up in, by joins or by the functions that take a list.
#[derive(Clone, Debug, Default)]
pub struct TransformInput {
    /// `source` for what the pipeline reads; the code of an entry for one it looks things up in.
    pub name: String,
    pub items: Vec<Item>,
}

/// What a SELECT gives, and from what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransformPlan {
    pub columns: Vec<TransformColumn>,
    /// Items without a column, columns without an item, in both languages.
    pub notes: Vec<(String, String)>,
}

/// A column of the result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransformColumn {
    pub name: String,
    /// Type as the engine tells it.
    pub kind: String,
    /// Item it goes to.
    pub item: Option<String>,
    /// Input columns its values are made of, `table.column`, in order.
    pub from: Vec<String>,
    /// Input columns that decide which rows there are (conditions, joins, groups).
    pub through: Vec<String>,
    /// Functions it goes through, outermost first; empty when it is copied.
    pub by: Vec<String>,
}

/// The engine that plans and runs transformations. Memory is bounded; what is too large spills.
#[async_trait]
pub trait Transform: Send + Sync {
    /// Checks a SELECT and tells what comes of it, without rows.
    async fn plan(&self, ask: &TransformAsk) -> Result<TransformPlan>;
    /// Runs it. `inputs` stand in the order of the ask. A value that does not fit its item, or that a function or a
    /// conversion refuses, makes its row a reject. Rows are counted as they come out: `read` of a chunk is what came out,
    /// rejects among them. Dropping the stream stops the run.
    async fn run(
        &self,
        ask: &TransformAsk,
        inputs: Vec<BoxStream<'static, Result<Batch>>>,
    ) -> Result<BoxStream<'static, Result<Chunk>>>;
}

//! Transformations: one SELECT over the rows a source gave. See [`policy::port::Transform`].
//!
//! * The SELECT is planned in a session that knows the inputs, scalar, aggregate and window functions, and nothing else
//!   ([`session`]): no catalogue, no file, no table function, no variable.
//! * The input `source` streams; the others are laid on the spill disk first ([`input`]), so that their size is known
//!   when joins are planned: small ones are hashed, large ones are sorted and merged, which spills.
//! * Whatever a function or conversion refuses about one row takes that row out of the flow, just below the step that
//!   would fail, and makes it a reject ([`careful`]).
//! * What comes out is typed by the items as every channel's rows are ([`fit`]).
//! * Lineage is read off the logical plan ([`lineage`]).

mod careful;
mod fit;
mod function;
mod input;
pub(crate) mod lineage;
mod session;
pub(crate) mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::execute_stream;
use futures::stream::BoxStream;
use model::batch::Batch;
use model::{Error, Result};
use policy::port::{Chunk, Transform, TransformAsk, TransformColumn, TransformPlan};

use self::fit::Fit;
use self::function::Books;
use self::session::Session;
use crate::lake::DeltaLake;
use crate::{bounds, fault};

/// Part of the query memory that the tables to look things up in may take as hash tables.
const HASHED_PART: usize = 4;
/// Part that each of several sorts sets aside for merging what it spilled.
const RESERVED_PART: usize = 32;
/// Rows of a batch where memory is scarce.
const FEWEST_ROWS: usize = 512;

#[async_trait]
impl Transform for DeltaLake {
    async fn plan(&self, ask: &TransformAsk) -> Result<TransformPlan> {
        let session = Session::new(self, ask)?;
        let logical = session.logical(ask).await?;
        let fit = Fit::new(ask, logical.schema().as_arrow())?;
        session.books_used(&logical)?;
        // Types that do not go together are found out only here.
        session
            .state
            .create_physical_plan(&logical)
            .await
            .map_err(|e| words::refused(&ask.sql, e, &session.known(ask)))?;
        let lines = lineage::of(&logical)?;
        let columns = logical
            .schema()
            .fields()
            .iter()
            .zip(lines)
            .map(|(field, line)| TransformColumn {
                name: field.name().clone(),
                kind: field.data_type().to_string(),
                item: fit.item_of(field.name()),
                from: line.from,
                through: line.through,
                by: line.by,
            })
            .collect();
        Ok(TransformPlan { columns, notes: fit.notes() })
    }

    async fn run(
        &self,
        ask: &TransformAsk,
        inputs: Vec<BoxStream<'static, Result<Batch>>>,
    ) -> Result<BoxStream<'static, Result<Chunk>>> {
        if inputs.len() != ask.inputs.len() {
            return Err(Error::internal("lake: a transformation has as many streams as inputs"));
        }
        let deadline =
            (!ask.patience.is_zero()).then(|| tokio::time::Instant::now() + ask.patience);
        let session = Session::new(self, ask)?;
        let logical = session.logical(ask).await?;
        let fit = Fit::new(ask, logical.schema().as_arrow())?;
        let prepare = self.prepare(ask, session, &logical, inputs);
        let (state, slips, slip_sender) = match deadline {
            Some(at) => tokio::time::timeout_at(at, prepare)
                .await
                .map_err(|_| fit::too_slow(ask.patience))??,
            None => prepare.await?,
        };
        let known = session::known(ask);
        let physical = state
            .create_physical_plan(&logical)
            .await
            .map_err(|e| words::refused(&ask.sql, e, &known))?;
        let physical = careful::guard(physical, &slip_sender)
            .map_err(|e| words::refused(&ask.sql, e, &known))?;
        drop(slip_sender);
        let rows = execute_stream(physical, state.task_ctx()).map_err(words::broken)?;
        Ok(fit::chunks(fit, rows, slips, deadline.map(|at| (at, ask.patience))))
    }
}

type Prepared = (
    SessionState,
    tokio::sync::mpsc::Receiver<Vec<careful::Slip>>,
    tokio::sync::mpsc::Sender<Vec<careful::Slip>>,
);

impl DeltaLake {
    /// Gives the inputs their rows: streamed where a table is read once, laid on disk where it is read otherwise.
    async fn prepare(
        &self,
        ask: &TransformAsk,
        session: Session,
        logical: &LogicalPlan,
        inputs: Vec<BoxStream<'static, Result<Batch>>>,
    ) -> Result<Prepared> {
        let known = session.known(ask);
        let optimised =
            session.state.optimize(logical).map_err(|e| words::refused(&ask.sql, e, &known))?;
        bounds::check_constants(&optimised).map_err(|e| words::refused(&ask.sql, e, &known))?;
        let scans = scans(&optimised).map_err(|e| words::refused(&ask.sql, e, &known))?;
        let books = session.books_used(logical)?;
        let main = session::main_input(ask);
        let mut hashed = 0_usize;
        for (at, (stream, input)) in inputs.into_iter().zip(&session.inputs).enumerate() {
            let times = scans.get(input.name()).copied().unwrap_or(0);
            let book = books.iter().any(|b| b == input.name());
            if times == 0 && !book {
                continue;
            }
            if at == main && times == 1 && !book {
                input.stream(stream);
                continue;
            }
            let spool = input::Spool::write(self.spill_dir(), input, stream).await?;
            // Either side of a join may be the one that is hashed when both lie on disk.
            if times > 1 || (at != main && times > 0) {
                hashed = hashed.saturating_add(spool.bytes());
            }
            if book {
                session.books.read(input, &spool).await?;
            }
            input.spool(spool);
        }
        let mut state = session.state;
        if hashed > self.memory_limit() / HASHED_PART {
            // The engine merges sorted sides, which spill, only where it works in several partitions.
            let options = state.config_mut().options_mut();
            options.optimizer.prefer_hash_join = false;
            options.execution.target_partitions = 2;
            let reserve = self.memory_limit() / RESERVED_PART;
            options.execution.sort_spill_reservation_bytes =
                options.execution.sort_spill_reservation_bytes.min(reserve);
            // Four sorts hold batches at a time; what they may hold of them grows with the memory.
            let rows = (self.memory_limit() >> 16).clamp(FEWEST_ROWS, session::CHUNK_ROWS);
            options
                .set("datafusion.execution.batch_size", &rows.to_string())
                .map_err(|e| fault::plan("size of batches", e))?;
        }
        let (sender, receiver) = tokio::sync::mpsc::channel(careful::WAITING);
        Ok((state, receiver, sender))
    }
}

/// How often each table is read.
fn scans(plan: &LogicalPlan) -> datafusion::common::Result<BTreeMap<String, usize>> {
    let mut scans = BTreeMap::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            *scans.entry(scan.table_name.table().to_owned()).or_default() += 1;
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(scans)
}

/// Calls `see` with every expression of a plan, those inside others and inside subqueries too.
fn each_expression(
    plan: &LogicalPlan,
    mut see: impl FnMut(&Expr) -> datafusion::common::Result<()>,
) -> datafusion::common::Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|inner| {
                see(inner)?;
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(())
}

/// Names that functions take lists under: lists known to the house, and inputs.
fn shared_books(ask: &TransformAsk) -> Arc<Books> {
    Arc::new(Books::new(ask.inputs.iter().map(|i| i.name.clone()).collect()))
}

//! Rows that a function or a conversion refuses are taken out just below the step that would fail.
//!
//! Below every step that computes (projection, filter, group, window, order) stands a guard. It computes the step's
//! expressions itself; when that fails it finds the failing rows by halving, tells them, and lets the others pass. A
//! guard of a projection takes its place, so that nothing is computed twice there.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::common::Result as PlanResult;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt;
use tokio::sync::mpsc::Sender;

use super::words;

/// Batches of refused rows that wait for whoever reads the result.
pub(super) const WAITING: usize = 8;

/// A row that was taken out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Slip {
    /// What was to be computed (`AS` name of a projection), empty elsewhere.
    pub(super) column: String,
    /// What it was to be computed from.
    pub(super) value: String,
    pub(super) zh: String,
    pub(super) en: String,
    /// The other columns of the step with their texts; of one that failed, what it was to be computed from.
    pub(super) cells: Vec<(String, Option<String>)>,
}

/// Puts guards into a plan.
pub(super) fn guard(
    plan: Arc<dyn ExecutionPlan>,
    slips: &Sender<Vec<Slip>>,
) -> PlanResult<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
            let steps: Vec<Step> = projection
                .expr()
                .iter()
                .map(|e| Step { name: e.alias.clone(), expr: Arc::clone(&e.expr) })
                .collect();
            if steps.iter().all(Step::harmless) {
                return Ok(Transformed::no(node));
            }
            let guard = Guard {
                input: Arc::clone(projection.input()),
                properties: Arc::clone(node.properties()),
                becomes: Some(node.schema()),
                steps: steps.into(),
                slips: slips.clone(),
            };
            return Ok(Transformed::yes(Arc::new(guard) as _));
        }
        // The second half of a group in two halves sees results, not rows.
        let groups = node.downcast_ref::<AggregateExec>().is_some_and(|a| {
            !matches!(a.mode(), AggregateMode::Final | AggregateMode::FinalPartitioned)
        });
        let guarded = node.is::<FilterExec>()
            || groups
            || node.is::<SortExec>()
            || node.is::<WindowAggExec>()
            || node.is::<BoundedWindowAggExec>();
        let children = node.children();
        let [child] = children.as_slice() else { return Ok(Transformed::no(node)) };
        if !guarded {
            return Ok(Transformed::no(node));
        }
        let child = Arc::clone(child);
        let mut steps = Vec::new();
        node.apply_expressions(&mut |expr| {
            let step = Step { name: String::new(), expr: Arc::clone(expr) };
            if !step.harmless() {
                steps.push(step);
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        if steps.is_empty() {
            return Ok(Transformed::no(node));
        }
        let guard = Guard {
            properties: Arc::clone(child.properties()),
            input: child,
            becomes: None,
            steps: steps.into(),
            slips: slips.clone(),
        };
        let options = datafusion::physical_plan::ReplaceChildrenOptions::new(
            datafusion::physical_plan::ChildrenPropertiesMode::Recompute,
        );
        Ok(Transformed::yes(node.replace_children(vec![Arc::new(guard)], options)?))
    })
    .data()
}

/// One expression of a step.
#[derive(Clone, Debug)]
struct Step {
    name: String,
    expr: Arc<dyn PhysicalExpr>,
}

impl Step {
    /// A column or a constant cannot fail.
    fn harmless(&self) -> bool {
        self.expr.downcast_ref::<Column>().is_some()
            || self.expr.downcast_ref::<Literal>().is_some()
    }
}

struct Guard {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    /// Columns it gives when it takes a projection's place.
    becomes: Option<SchemaRef>,
    steps: Arc<[Step]>,
    slips: Sender<Vec<Slip>>,
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("steps", &self.steps).finish_non_exhaustive()
    }
}

impl DisplayAs for Guard {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guard: {}", self.steps.len())
    }
}

impl ExecutionPlan for Guard {
    fn name(&self) -> &'static str {
        "Guard"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> PlanResult<TreeNodeRecursion>,
    ) -> PlanResult<TreeNodeRecursion> {
        for step in self.steps.iter() {
            if f(&step.expr)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let input = children.into_iter().next().unwrap_or_else(|| Arc::clone(&self.input));
        Ok(Arc::new(Self {
            input,
            properties: Arc::clone(&self.properties),
            becomes: self.becomes.clone(),
            steps: Arc::clone(&self.steps),
            slips: self.slips.clone(),
        }))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> PlanResult<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let schema = self.schema();
        let (steps, becomes, slips) =
            (Arc::clone(&self.steps), self.becomes.clone(), self.slips.clone());
        let rows = input.then(move |batch| {
            let (steps, becomes, slips) = (Arc::clone(&steps), becomes.clone(), slips.clone());
            async move {
                let (batch, refused) = through(&steps, becomes.as_ref(), batch?)?;
                if !refused.is_empty() {
                    // When nobody reads the result any more, the stream is about to be dropped too.
                    drop(slips.send(refused).await);
                }
                Ok(batch)
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }
}

/// Computes a batch; rows that fail are taken out and told.
fn through(
    steps: &[Step],
    becomes: Option<&SchemaRef>,
    batch: RecordBatch,
) -> PlanResult<(RecordBatch, Vec<Slip>)> {
    let failed = match compute(steps, becomes, &batch) {
        Ok(done) => return Ok((done, Vec::new())),
        Err(e) => e,
    };
    if words::of_row(&failed).is_none() {
        return Err(failed);
    }
    let (mut good, mut slips) = (Vec::new(), Vec::new());
    halve(steps, becomes, &batch, &mut good, &mut slips)?;
    let schema = becomes.map_or_else(|| batch.schema(), Arc::clone);
    Ok((concat_batches(&schema, &good)?, slips))
}

fn halve(
    steps: &[Step],
    becomes: Option<&SchemaRef>,
    batch: &RecordBatch,
    good: &mut Vec<RecordBatch>,
    slips: &mut Vec<Slip>,
) -> PlanResult<()> {
    let rows = batch.num_rows();
    let failed = match compute(steps, becomes, batch) {
        Ok(done) => {
            good.push(done);
            return Ok(());
        }
        Err(e) => e,
    };
    let Some((zh, en)) = words::of_row(&failed) else { return Err(failed) };
    if rows <= 1 {
        slips.push(slip(steps, batch, zh, en));
        return Ok(());
    }
    let half = rows / 2;
    halve(steps, becomes, &batch.slice(0, half), good, slips)?;
    halve(steps, becomes, &batch.slice(half, rows - half), good, slips)
}

fn compute(
    steps: &[Step],
    becomes: Option<&SchemaRef>,
    batch: &RecordBatch,
) -> PlanResult<RecordBatch> {
    let rows = batch.num_rows();
    let mut arrays: Vec<ArrayRef> = Vec::with_capacity(steps.len());
    for step in steps {
        arrays.push(step.expr.evaluate(batch)?.into_array(rows)?);
    }
    match becomes {
        None => Ok(batch.clone()),
        Some(schema) => {
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            Ok(RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)?)
        }
    }
}

/// One row that failed, told column by column.
fn slip(steps: &[Step], row: &RecordBatch, zh: String, en: String) -> Slip {
    let mut slip = Slip { zh, en, ..Slip::default() };
    let mut told = false;
    for step in steps {
        let computed = step.expr.evaluate(row).and_then(|v| v.into_array(row.num_rows()));
        let text = match computed {
            Ok(array) => text_of(&array),
            Err(e) => {
                let raw = raw(step, row);
                if !told {
                    told = true;
                    slip.column.clone_from(&step.name);
                    slip.value = raw.clone().unwrap_or_default();
                    if let Some((zh, en)) = words::of_row(&e) {
                        (slip.zh, slip.en) = (zh, en);
                    }
                }
                raw
            }
        };
        if !step.name.is_empty() {
            slip.cells.push((step.name.clone(), text));
        }
    }
    if slip.cells.is_empty() {
        // Not a projection: the columns that go into the step.
        for (field, array) in row.schema().fields().iter().zip(row.columns()) {
            slip.cells.push((field.name().clone(), text_of(array)));
        }
    }
    slip
}

/// What an expression is computed from: its columns' texts.
fn raw(step: &Step, row: &RecordBatch) -> Option<String> {
    let mut columns: Vec<Column> = collect_columns(&step.expr).into_iter().collect();
    columns.sort_by_key(Column::index);
    let texts: Vec<String> =
        columns.iter().filter_map(|c| row.columns().get(c.index()).and_then(text_of)).collect();
    (!texts.is_empty()).then(|| texts.join(" | "))
}

fn text_of(array: &ArrayRef) -> Option<String> {
    if array.is_empty() || array.is_null(0) {
        return None;
    }
    let options = FormatOptions::default();
    let shown = ArrayFormatter::try_new(array.as_ref(), &options).ok()?;
    shown.value(0).try_to_string().ok()
}

//! Sides of joins, and what is unnested: their values are repeated for every row they meet, by steps that count only what they hold.
//! So at the door a row that would fill memory by being repeated for one batch does not go into such a step. (A transformation is
//! written by who keeps the data: its rows may be as wide as they are.)

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, PiecewiseMergeJoinExec, SortMergeJoinExec,
    SymmetricHashJoinExec,
};
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::{ChildrenPropertiesMode, ExecutionPlan, ReplaceChildrenOptions};

use super::{WIDTH, growth};
use crate::looked::Looked;
use crate::transform::words::Refusal;

/// The plan with a look at each side of its joins.
pub(crate) fn watch(plan: Arc<dyn ExecutionPlan>) -> PlanResult<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        let repeats = node.is::<HashJoinExec>()
            || node.is::<SortMergeJoinExec>()
            || node.is::<NestedLoopJoinExec>()
            || node.is::<CrossJoinExec>()
            || node.is::<SymmetricHashJoinExec>()
            || node.is::<PiecewiseMergeJoinExec>()
            || node.is::<UnnestExec>();
        if !repeats {
            return Ok(Transformed::no(node));
        }
        let sides: Vec<Arc<dyn ExecutionPlan>> = node.children().into_iter().map(side).collect();
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);
        Ok(Transformed::yes(node.replace_children(sides, options)?))
    })
    .data()
}

/// Rows on their way into a step that repeats them.
fn side(input: &Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    let look = |batch: PlanResult<RecordBatch>| -> PlanResult<RecordBatch> {
        let batch = batch?;
        narrow(&batch)?;
        Ok(batch)
    };
    Looked::at("Side", Arc::clone(input), input.properties(), Arc::new(look))
}

/// Refuses rows that are too wide to be repeated.
fn narrow(batch: &RecordBatch) -> PlanResult<()> {
    let all: usize = batch.columns().iter().map(growth::weigh).sum();
    if all <= WIDTH {
        return Ok(());
    }
    let width: usize = batch.columns().iter().map(growth::widest).sum();
    match width > WIDTH {
        true => Err(wide(width)),
        false => Ok(()),
    }
}

fn wide(width: usize) -> DataFusionError {
    Refusal {
        zh: format!(
            "参与连接或展开的一行约 {width} 字节，至多 {WIDTH} 字节：请先去掉或截取（left、substr）长的列，连接之后再取"
        ),
        en: format!(
            "a row that goes into a join or is unnested has about {width} bytes, at most {WIDTH} go: leave long columns out or cut them (left, substr), and fetch them after the join"
        ),
    }
    .into()
}

//! A step of a plan that lets batches through as they are, or ends the plan: somebody looks at each as it passes.
//!
//! For all who plan and optimize it is the step below it: the same columns, order and pieces. It tells no statistics and lets no filter
//! and no limit through, so it is put into a plan when that is made ([`brake`](crate::brake), [`bounds`](crate::bounds)). It is
//! never sent to another process: each puts in its own.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::Result as PlanResult;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt;

/// What is done with each batch, and with the error in place of one: it is handed on, or another error is told. Pieces of a plan ask at
/// once.
pub(crate) type Look = dyn Fn(PlanResult<RecordBatch>) -> PlanResult<RecordBatch> + Send + Sync;

/// The step below, looked at.
pub(crate) struct Looked {
    name: &'static str,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    look: Arc<Look>,
}

impl Looked {
    /// `name`: how EXPLAIN and errors call it. `properties` are those of the step before anybody looked: steps above need not be made anew.
    pub(crate) fn at(
        name: &'static str,
        input: Arc<dyn ExecutionPlan>,
        properties: &Arc<PlanProperties>,
        look: Arc<Look>,
    ) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { name, input, properties: Arc::clone(properties), look })
    }
}

impl fmt::Debug for Looked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(self.name).finish_non_exhaustive()
    }
}

impl DisplayAs for Looked {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl ExecutionPlan for Looked {
    fn name(&self) -> &'static str {
        self.name
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
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> PlanResult<TreeNodeRecursion>,
    ) -> PlanResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let input = children.into_iter().next().unwrap_or_else(|| Arc::clone(&self.input));
        let properties = Arc::clone(input.properties());
        Ok(Self::at(self.name, input, &properties, Arc::clone(&self.look)))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> PlanResult<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let look = Arc::clone(&self.look);
        let rows = input.map(move |batch| look(batch));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use datafusion::common::DataFusionError;
    use datafusion::physical_plan::{collect, displayable};
    use datafusion::prelude::SessionContext;

    use super::*;

    async fn planned(context: &SessionContext, sql: &str) -> Arc<dyn ExecutionPlan> {
        let plan = context.state().create_logical_plan(sql).await.unwrap();
        context.state().create_physical_plan(&plan).await.unwrap()
    }

    #[tokio::test]
    async fn batches_go_through_as_they_are_and_each_is_seen() {
        let context = SessionContext::new();
        let below = planned(&context, "select n, n * 2 as m from generate_series(1, 5) a(n)").await;
        let again = planned(&context, "select n, n * 2 as m from generate_series(1, 5) a(n)").await;
        let plain = collect(again, context.task_ctx()).await.unwrap();
        let seen = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&seen);
        let look: Arc<Look> = Arc::new(move |batch: PlanResult<RecordBatch>| {
            count.fetch_add(batch.as_ref().map_or(0, RecordBatch::num_rows), Ordering::Relaxed);
            batch
        });
        let properties = Arc::clone(below.properties());
        let looked = Looked::at("Counted", Arc::clone(&below), &properties, look);
        assert!(Arc::ptr_eq(looked.properties(), below.properties()));
        assert_eq!(looked.name(), "Counted");
        assert_eq!(format!("{looked:?}"), "Counted { .. }");
        let shown = displayable(looked.as_ref()).indent(false).to_string();
        assert!(shown.starts_with("Counted\n"), "{shown}");
        assert_eq!(collect(Arc::clone(&looked), context.task_ctx()).await.unwrap(), plain);
        assert_eq!(seen.load(Ordering::Relaxed), 5);

        // Over another step it is that one's, and looks on.
        let other = planned(&context, "select 7 as n, 8 as m").await;
        let options = datafusion::physical_plan::ReplaceChildrenOptions::new(
            datafusion::physical_plan::ChildrenPropertiesMode::Recompute,
        );
        let moved = looked.replace_children(vec![Arc::clone(&other)], options).unwrap();
        assert_eq!(moved.name(), "Counted");
        assert!(Arc::ptr_eq(moved.properties(), other.properties()));
        collect(moved, context.task_ctx()).await.unwrap();
        assert_eq!(seen.load(Ordering::Relaxed), 6);
    }

    #[tokio::test]
    async fn a_look_can_end_the_plan() {
        let context = SessionContext::new();
        let below = planned(&context, "select n from generate_series(1, 5) a(n)").await;
        let look: Arc<Look> = Arc::new(|batch: PlanResult<RecordBatch>| {
            batch.and(Err(DataFusionError::Execution("enough".into())))
        });
        let properties = Arc::clone(below.properties());
        let ended = collect(Looked::at("Ended", below, &properties, look), context.task_ctx());
        assert!(ended.await.unwrap_err().to_string().contains("enough"));
    }
}

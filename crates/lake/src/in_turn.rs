//! The pieces of a plan one after another. Where a plan of several pieces comes together, the engine takes rows from whichever piece has
//! some first; for rows that keep their stored order that would be another order each time: a base and the changes behind it are two
//! pieces. Of sessions whose rows are ordered as stored ([`DeltaLake::session`](crate::lake::DeltaLake::session)) this is the last rule.

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::limit::LimitStream;
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use futures::{StreamExt, TryStreamExt, stream};

/// The step of Delta's reader; below it stand pieces of its own where files have deletion vectors.
const READER: &str = "DeltaScanExec";

/// Has every piece of a plan wait for those before it.
#[derive(Debug)]
pub(crate) struct InTurn;

impl PhysicalOptimizerRule for InTurn {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let plan = plan
            .transform_down(|step| {
                // What a table's reader brings together it looks at itself, and takes no other step there.
                if step.name() == READER {
                    return Ok(Transformed::new(step, false, TreeNodeRecursion::Jump));
                }
                let met = step.downcast_ref::<CoalescePartitionsExec>();
                Ok(match met.map(|met| Pieces::of(met.input(), met.fetch())) {
                    Some(pieces) => Transformed::yes(pieces),
                    None => Transformed::no(step),
                })
            })
            .data()?;
        // Whoever starts the plan would bring its pieces together.
        Ok(match plan.output_partitioning().partition_count() {
            0 | 1 => plan,
            _ => Pieces::of(&plan, None),
        })
    }

    fn name(&self) -> &'static str {
        "InTurn"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The pieces of the step below, one after another; at most `fetch` rows of them.
struct Pieces {
    input: Arc<dyn ExecutionPlan>,
    fetch: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl Pieces {
    fn of(input: &Arc<dyn ExecutionPlan>, fetch: Option<usize>) -> Arc<dyn ExecutionPlan> {
        let (input, met) = (Arc::clone(input), CoalescePartitionsExec::new(Arc::clone(input)));
        Arc::new(Self { input, fetch, properties: Arc::clone(met.properties()) })
    }
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InTurn").field("fetch", &self.fetch).finish_non_exhaustive()
    }
}

impl DisplayAs for Pieces {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fetch {
            Some(fetch) => write!(f, "InTurn: fetch={fetch}"),
            None => f.write_str("InTurn"),
        }
    }
}

impl ExecutionPlan for Pieces {
    fn name(&self) -> &'static str {
        "InTurn"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
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
        Ok(Self::of(children.first().unwrap_or(&self.input), self.fetch))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> PlanResult<SendableRecordBatchStream> {
        if partition != 0 {
            let told = format!("InTurn has one piece, and none of number {partition}");
            return Err(DataFusionError::Internal(told));
        }
        let input = Arc::clone(&self.input);
        let pieces = stream::iter(0..input.output_partitioning().partition_count());
        let rows =
            pieces.map(move |piece| input.execute(piece, Arc::clone(&context))).try_flatten();
        let rows: SendableRecordBatchStream =
            Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows));
        Ok(match self.fetch {
            None => rows,
            Some(fetch) => {
                let metrics = BaselineMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
                Box::pin(LimitStream::new(rows, 0, Some(fetch), metrics))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;
    use datafusion::execution::SessionStateBuilder;
    use datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
    use datafusion::physical_plan::{collect, displayable};
    use datafusion::prelude::{SessionConfig, SessionContext};

    use super::*;

    /// One piece per part of a union, of which the first is slow.
    const UNION: &str = "select slow(n) n from generate_series(1, 20) a(n) union all \
                         select n from generate_series(21, 30) b(n) union all select n from generate_series(31, 32) c(n)";

    fn session(in_turn: bool) -> SessionContext {
        let state = SessionStateBuilder::new()
            .with_default_features()
            .with_config(SessionConfig::new().with_target_partitions(1).with_batch_size(4));
        let state = match in_turn {
            true => state.with_physical_optimizer_rule(Arc::new(InTurn)),
            false => state,
        };
        let context = SessionContext::new_with_state(state.build());
        context.register_udf(create_udf(
            "slow",
            vec![arrow::datatypes::DataType::Int64],
            arrow::datatypes::DataType::Int64,
            Volatility::Volatile,
            Arc::new(|given: &[ColumnarValue]| {
                std::thread::sleep(Duration::from_millis(20));
                Ok(given[0].clone())
            }),
        ));
        context
    }

    async fn asked(context: &SessionContext, sql: &str) -> (String, Vec<i64>) {
        let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let shown = displayable(plan.as_ref()).indent(false).to_string();
        let rows = collect(plan, context.task_ctx()).await.unwrap();
        let rows = rows
            .iter()
            .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec());
        (shown, rows.collect())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_pieces_of_a_union_come_one_after_another() {
        let (_, any) = asked(&session(false), UNION).await;
        assert_ne!(any, (1..=32).collect::<Vec<i64>>(), "the engine's own order is any");
        let (shown, rows) = asked(&session(true), UNION).await;
        assert_eq!(rows, (1..=32).collect::<Vec<i64>>());
        assert!(shown.starts_with("InTurn\n"), "{shown}");
        assert!(!shown.contains("CoalescePartitions"), "{shown}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_page_of_them_is_a_page_of_that_order() {
        for (skip, limit) in [(0, 3), (0, 25), (18, 5), (19, 1), (29, 9)] {
            let sql = format!("select * from ({UNION}) limit {limit} offset {skip}");
            let (shown, rows) = asked(&session(true), &sql).await;
            let wanted: Vec<i64> = (1..=32).skip(skip).take(limit).collect();
            assert_eq!(rows, wanted, "{shown}");
            assert!(shown.contains("InTurn"), "{shown}");
        }
    }
}

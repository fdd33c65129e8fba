//! The barrier of a granted table on its way: what lies below was planned under the grant, what lies above was asked by the
//! caller. It stays a node of its own, so that no rule of the scheduler moves anything across.

use std::fmt;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, PlanProperties};
use datafusion::physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, Statistics,
};
use futures::StreamExt;

/// A granted table, opened for executors.
pub(super) struct Fence {
    code: String,
    /// Only how many rows there are was asked for.
    bare: bool,
    inner: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fence").field("code", &self.code).finish_non_exhaustive()
    }
}

impl Fence {
    pub(super) fn new(code: &str, bare: bool, inner: Arc<dyn ExecutionPlan>) -> Self {
        let fields = inner
            .schema()
            .fields()
            .iter()
            .map(|f| Field::new(f.name(), f.data_type().clone(), true))
            .collect::<Vec<_>>();
        let schema = Arc::new(Schema::new(if bare { Vec::new() } else { fields }));
        let partitions = inner.properties().output_partitioning().partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { code: code.to_owned(), bare, inner, properties: Arc::new(properties) }
    }

    pub(super) fn code(&self) -> &str {
        &self.code
    }

    pub(super) fn bare(&self) -> bool {
        self.bare
    }
}

impl DisplayAs for Fence {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Granted: {}", self.code)
    }
}

impl ExecutionPlan for Fence {
    fn name(&self) -> &'static str {
        "Fence"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.inner]
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
        match <[Arc<dyn ExecutionPlan>; 1]>::try_from(children) {
            Ok([inner]) => Ok(Arc::new(Self::new(&self.code, self.bare, inner))),
            Err(_) => Err(DataFusionError::Internal("a fence has one child".into())),
        }
    }

    fn child_stats_requests(&self, _: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(None)]
    }

    fn statistics_from_inputs(
        &self,
        inner: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> PlanResult<Arc<Statistics>> {
        let inner = inner.first().filter(|_| args.partition().is_none());
        Ok(Arc::new(size(&self.schema(), inner.map(AsRef::as_ref))))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> PlanResult<SendableRecordBatchStream> {
        Ok(under(self.schema(), self.inner.execute(partition, context)?))
    }
}

/// About how many rows and bytes there are, and nothing that was counted of the values.
pub(crate) fn size(schema: &Schema, inner: Option<&Statistics>) -> Statistics {
    let mut size = Statistics::new_unknown(schema);
    if let Some(inner) = inner {
        size.num_rows = inner.num_rows.to_inexact();
        size.total_byte_size = inner.total_byte_size.to_inexact();
    }
    size
}

/// The same columns under the schema that was told; none where only rows are counted.
pub(crate) fn under(
    schema: SchemaRef,
    rows: SendableRecordBatchStream,
) -> SendableRecordBatchStream {
    let told = Arc::clone(&schema);
    let rows = rows.map(move |batch| {
        let batch = batch?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let columns = match told.fields().is_empty() {
            true => Vec::new(),
            false => batch.columns().to_vec(),
        };
        Ok(RecordBatch::try_new_with_options(Arc::clone(&told), columns, &options)?)
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
}

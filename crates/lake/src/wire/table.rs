//! A grant as a table: a barrier between the rows as they lie and what somebody asks by SQL.
//!
//! Inside is the plan every release has: view → the grant's row filter → granted columns, masked. From outside it is one leaf
//! with the granted columns: no optimizer moves an expression of the caller's into it, except comparisons of an unmasked column
//! with constants, which cannot fail. EXPLAIN shows the leaf's name and nothing inside.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result as PlanResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{
    BinaryExpr, Cast, Expr, Operator, TableProviderFilterPushDown, TableType,
};
use datafusion::physical_expr::expressions::{Column as PlanColumn, DynamicFilterPhysicalExpr};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, conjunction};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::filter_pushdown::FilterPushdown;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, PlanProperties};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation, PushedDown,
};
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, Statistics,
};
use datafusion::prelude::lit;
use deltalake_core::DeltaTable;
use futures::TryStreamExt;
use guard::mask::output_type;
use model::code::DataType;
use model::{Error, Result};
use policy::port::SqlTable;
use policy::{Grant, GrantColumn};

use crate::lake::DeltaLake;
use crate::masking::Masking;
use crate::plain::By;
use crate::schema::{Kind, Shape};
use crate::table::Loaded;
use crate::view::named;
use crate::{cluster, fault, filter, masking, plain, view};

/// One granted resource at one version of it.
pub(super) struct GrantedTable {
    lake: Arc<DeltaLake>,
    grant: Grant,
    /// `None`: nothing has landed yet.
    table: Option<DeltaTable>,
    schema: SchemaRef,
}

impl fmt::Debug for GrantedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrantedTable").field("code", &self.grant.code()).finish_non_exhaustive()
    }
}

impl GrantedTable {
    /// The newest version of what was granted.
    pub(super) async fn open(lake: &Arc<DeltaLake>, granted: &SqlTable) -> Result<Self> {
        let grant = granted.grant.clone();
        let table = lake.table(grant.code()).await?;
        let stored = match &table {
            Some(table) => Loaded::of(table)?.columns()?,
            None => Vec::new(),
        };
        // Where there is a cluster, the statement may be sent there.
        let schema = By::parquet(lake.cluster().is_some()).reads(&schema(&grant, &stored));
        Ok(Self { lake: Arc::clone(lake), grant, table, schema: Arc::new(schema) })
    }

    /// The plan inside: the rows that were granted, these columns of them.
    async fn inside(
        &self,
        table: &DeltaTable,
        columns: &[usize],
        filters: &[Expr],
        sent: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let failed = |e| fault::reading(self.grant.code(), "a granted table", e);
        let loaded = Loaded::of(table)?;
        let stored = loaded.columns()?;
        let reading = view::reading(&loaded)?;
        let straight = sent.is_none() && reading == view::Reading::Plain && plain::plain(&loaded)?;
        let session = match straight {
            true => self.lake.session_straight(),
            false => self.lake.session_analytic(sent),
        };
        let rows =
            view::view_by(&session, &loaded, reading, None, By::parquet(sent.is_some())).await?;
        let mut rows = filter::granted(rows, &self.grant, &stored)?;
        for filter in filters {
            if let Some(own) = self.over_stored(filter, &stored) {
                rows = rows.filter(own).map_err(failed)?;
            }
        }
        let masker = Arc::new(Masking::new(&self.lake.mask_key, self.grant.grantee()));
        let mut wanted = Vec::with_capacity(columns.len());
        for at in columns {
            let (Some(column), Some(field)) =
                (self.grant.columns().get(*at), self.schema.fields().get(*at))
            else {
                return Err(Error::internal("wire: a column that was not granted"));
            };
            let value = masking::shown(&masker, column, &stored);
            let cast = Expr::Cast(Cast::new(Box::new(value), field.data_type().clone()));
            wanted.push(cast.alias(&column.identifier));
        }
        if wanted.is_empty() {
            // A count of rows needs none of their columns, but a plan has one.
            wanted.push(lit(true).alias("dsc_row"));
        }
        rows.select(wanted).map_err(failed)?.create_physical_plan().await.map_err(failed)
    }

    /// A filter that may go in, over the stored columns.
    fn over_stored(&self, filter: &Expr, stored: &[Shape]) -> Option<Expr> {
        if !harmless(filter, &self.grant) {
            return None;
        }
        let known = |name: &str| stored.iter().any(|c| c.name == name);
        if !filter.column_refs().iter().all(|c| known(&c.name)) {
            return None;
        }
        strip(filter.clone()).ok()
    }
}

/// Columns without the name of the table before them.
fn strip(filter: Expr) -> PlanResult<Expr> {
    use datafusion::common::tree_node::{Transformed, TreeNode};
    filter
        .transform(|e| {
            Ok(match e {
                Expr::Column(column) => Transformed::yes(named(&column.name)),
                other => Transformed::no(other),
            })
        })
        .map(|t| t.data)
}

/// Whether a filter can be asked of every stored row and tell nothing: it compares unmasked granted columns with constants of
/// their own type, and cannot fail.
fn harmless(filter: &Expr, grant: &Grant) -> bool {
    let plain = |e: &Expr| match e {
        Expr::Column(column) => grant.column(&column.name).is_some_and(open),
        _ => false,
    };
    let constant = |e: &Expr| matches!(e, Expr::Literal(..));
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::And | Operator::Or => harmless(left, grant) && harmless(right, grant),
            Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq => {
                (plain(left) && constant(right)) || (constant(left) && plain(right))
            }
            _ => false,
        },
        Expr::Between(b) => plain(&b.expr) && constant(&b.low) && constant(&b.high),
        Expr::InList(list) => plain(&list.expr) && list.list.iter().all(constant),
        Expr::IsNull(e) | Expr::IsNotNull(e) => plain(e),
        Expr::Like(like) => plain(&like.expr) && constant(&like.pattern),
        _ => false,
    }
}

/// The granted columns with the types they go out by.
pub(crate) fn schema(grant: &Grant, stored: &[Shape]) -> SchemaRef {
    let fields = grant.columns().iter().map(|column| {
        let kind = stored.iter().find(|c| c.name == column.identifier).map(|c| c.kind);
        let kind = kind.unwrap_or_else(|| kind_of(column.data_type, column.scale));
        let arrow = match &column.mask {
            None => kind.arrow(),
            Some(mask) => match output_type(mask, data_type(kind)) {
                DataType::Text => ArrowType::Utf8,
                _ => kind.arrow(),
            },
        };
        Field::new(&column.identifier, arrow, true)
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn kind_of(data_type: DataType, scale: u8) -> Kind {
    match data_type {
        DataType::Text | DataType::Geometry | DataType::Json => Kind::Text,
        DataType::Integer => Kind::Integer,
        DataType::Decimal => Kind::Decimal { precision: 28, scale: scale.min(28) },
        DataType::Float => Kind::Float,
        DataType::Boolean => Kind::Boolean,
        DataType::Date => Kind::Date,
        DataType::DateTime => Kind::DateTime,
    }
}

/// As masks know types: dates and booleans become texts when masked.
fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Integer => DataType::Integer,
        Kind::Decimal { .. } => DataType::Decimal,
        Kind::Float => DataType::Float,
        Kind::Text | Kind::Boolean | Kind::Date | Kind::DateTime => DataType::Text,
    }
}

#[async_trait]
impl TableProvider for GrantedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> PlanResult<Vec<TableProviderFilterPushDown>> {
        // One that goes in is asked there, by the same expression of the same types, and not again outside.
        let stored = match &self.table {
            Some(table) => Loaded::of(table).and_then(|loaded| loaded.columns()),
            None => Ok(Vec::new()),
        };
        let stored = stored.map_err(|e| DataFusionError::External(Box::new(e)))?;
        let of = |filter: &&Expr| match self.over_stored(filter, &stored) {
            Some(_) => TableProviderFilterPushDown::Exact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(of).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let columns = projection.unwrap_or(&all);
        let schema = Arc::new(self.schema.project(columns)?);
        let sent = cluster::spread(state);
        let inner = match &self.table {
            Some(table) => self
                .inside(table, columns, filters, sent)
                .await
                .map_err(|e| DataFusionError::External(Box::new(e)))?,
            None => Arc::new(EmptyExec::new(Arc::clone(&schema))),
        };
        // What a running plan learns of its own rows does not reach other processes.
        let asked = |at: &usize| sent.is_none() && self.grant.columns().get(*at).is_some_and(open);
        let open = columns.iter().map(asked).collect();
        Ok(Arc::new(Barrier::new(self.grant.code(), schema, inner, open)))
    }
}

/// Whether rows may be chosen by a column's values: it is shown as it lies.
fn open(column: &GrantColumn) -> bool {
    column.mask.is_none() && column.filterable
}

/// The leaf that the caller's plan sees.
struct Barrier {
    code: String,
    inner: Arc<dyn ExecutionPlan>,
    /// Of each column, whether rows may be chosen by its values before they come out.
    open: Vec<bool>,
    /// About how much it is: which side of a join is held in memory hangs on it. Nothing of the values.
    size: Arc<Statistics>,
    properties: Arc<PlanProperties>,
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").field("code", &self.code).finish_non_exhaustive()
    }
}

impl Barrier {
    fn new(code: &str, schema: SchemaRef, inner: Arc<dyn ExecutionPlan>, open: Vec<bool>) -> Self {
        let partitions = inner.properties().output_partitioning().partition_count();
        let size = StatisticsContext::new().compute(inner.as_ref(), &StatisticsArgs::new());
        let size = Arc::new(cluster::size(&schema, size.ok().as_deref()));
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { code: code.to_owned(), inner, open, size, properties: Arc::new(properties) }
    }

    /// Whether a filter that a running plan makes of what it has seen (the last of the first fifty rows, the keys of a join's other side) may
    /// be asked of every stored row: it compares open columns as they are with values, and cannot fail.
    fn takes(&self, filter: &Arc<dyn PhysicalExpr>) -> bool {
        let any: &dyn Any = filter.as_ref();
        any.is::<DynamicFilterPhysicalExpr>()
            && filter.children().into_iter().all(|of| {
                let any: &dyn Any = of.as_ref();
                let column = any.downcast_ref::<PlanColumn>();
                column.and_then(|c| self.open.get(c.index())).is_some_and(|open| *open)
            })
    }
}

impl DisplayAs for Barrier {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Granted: {}", self.code)
    }
}

impl ExecutionPlan for Barrier {
    fn name(&self) -> &'static str {
        "Granted"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> PlanResult<TreeNodeRecursion>,
    ) -> PlanResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn handle_child_pushdown_result(
        &self,
        phase: FilterPushdownPhase,
        asked: ChildPushdownResult,
        config: &ConfigOptions,
    ) -> PlanResult<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let asked: Vec<_> = asked.parent_filters.into_iter().map(|asked| asked.filter).collect();
        // Whoever asks goes on asking: what comes out may still hold rows that do not fit.
        let told = vec![PushedDown::No; asked.len()];
        let told = FilterPushdownPropagation::with_parent_pushdown_result(told);
        let taken: Vec<_> = asked.into_iter().filter(|filter| self.takes(filter)).collect();
        if phase != FilterPushdownPhase::Post || taken.is_empty() {
            return Ok(told);
        }
        // Inside it goes as far down as it can: below the masks, which are made of fewer rows then.
        let narrowed = FilterExec::try_new(conjunction(taken), Arc::clone(&self.inner))?;
        let inner = FilterPushdown::new().optimize(Arc::new(narrowed), config)?;
        Ok(told.with_updated_node(Arc::new(Self {
            code: self.code.clone(),
            inner,
            open: self.open.clone(),
            size: Arc::clone(&self.size),
            properties: Arc::clone(&self.properties),
        })))
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        args: &StatisticsArgs,
    ) -> PlanResult<Arc<Statistics>> {
        Ok(match args.partition() {
            None => Arc::clone(&self.size),
            Some(_) => Arc::new(Statistics::new_unknown(&self.schema())),
        })
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> PlanResult<SendableRecordBatchStream> {
        let rows = self.inner.execute(partition, context);
        let rows = rows.map_err(|e| fault::within(&self.code, e))?;
        let (schema, code) = (rows.schema(), self.code.clone());
        let rows = rows.map_err(move |e| fault::within(&code, e));
        let rows = Box::pin(RecordBatchStreamAdapter::new(schema, rows));
        Ok(cluster::under(self.schema(), rows))
    }
}

/// What a barrier holds, if this is one: the code, whether only rows are counted, the plan inside. For sending alone.
pub(crate) fn barrier(node: &dyn Any) -> Option<(&str, bool, &Arc<dyn ExecutionPlan>)> {
    let barrier = node.downcast_ref::<Barrier>()?;
    Some((&barrier.code, barrier.schema().fields().is_empty(), &barrier.inner))
}

/// Whether a table of a plan is a granted one, for the record.
pub(super) fn granted(provider: &Arc<dyn TableProvider>) -> Option<&str> {
    let any: &dyn Any = provider.as_ref();
    any.downcast_ref::<GrantedTable>().map(|table| table.grant.code())
}

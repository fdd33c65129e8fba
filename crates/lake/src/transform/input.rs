//! Tables of a transformation: a stream that is read once, or rows laid on the spill disk that may be read often.

use std::any::Any;
use std::fmt;
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result as PlanResult, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use model::batch::Batch;
use model::{Code, Error, Result};
use policy::port::TransformInput;
use tempfile::NamedTempFile;

use super::words::SourceFailure;
use crate::schema::{Kind, Shape, arrow_schema};
use crate::{cells, fault};

/// Rows a stream is taken to have when joins are planned: more than any table to look things up in.
const MANY_ROWS: usize = 1 << 40;
const FEW_ROWS: usize = 1000;
/// Batches that wait between the disk and the plan.
const WAITING: usize = 2;

/// Where the rows come from.
enum Rows {
    /// Planned only.
    None,
    Stream(Option<BoxStream<'static, Result<Batch>>>),
    Spool(Arc<Spool>),
}

/// One table.
pub(super) struct Input {
    name: String,
    shapes: Vec<Shape>,
    schema: SchemaRef,
    long: bool,
    rows: Mutex<Rows>,
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Input {
    pub(super) fn new(input: &TransformInput, long: bool) -> Self {
        let shapes: Vec<Shape> = input
            .items
            .iter()
            .map(|item| Shape { name: item.identifier.clone(), kind: Kind::of_item(item) })
            .collect();
        let schema = arrow_schema(&shapes);
        Self { name: input.name.clone(), shapes, schema, long, rows: Mutex::new(Rows::None) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        self.shapes.iter().map(|s| s.name.as_str())
    }

    pub(super) fn stream(&self, stream: BoxStream<'static, Result<Batch>>) {
        *self.lock() = Rows::Stream(Some(stream));
    }

    pub(super) fn spool(&self, spool: Arc<Spool>) {
        *self.lock() = Rows::Spool(spool);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record_batch(&self, batch: Batch, columns: Option<&[usize]>) -> Result<RecordBatch> {
        record_batch(&self.shapes, &self.schema, batch, columns)
    }

    fn statistics(&self, schema: &SchemaRef) -> Statistics {
        let (rows, bytes) = match &*self.lock() {
            Rows::Spool(spool) => (spool.rows, spool.bytes()),
            _ if self.long => (MANY_ROWS, MANY_ROWS.saturating_mul(64)),
            _ => (FEW_ROWS, FEW_ROWS * 64),
        };
        let mut told = Statistics::new_unknown(schema);
        told.num_rows = Precision::Inexact(rows);
        told.total_byte_size = Precision::Inexact(bytes);
        told
    }
}

/// Columns (all, or those named) of a batch as Arrow.
fn record_batch(
    shapes: &[Shape],
    schema: &SchemaRef,
    batch: Batch,
    columns: Option<&[usize]>,
) -> Result<RecordBatch> {
    let rows = batch.rows();
    if batch.columns.len() != shapes.len() {
        return Err(Error::internal(format!(
            "lake: an input has {} columns of {}",
            batch.columns.len(),
            shapes.len()
        )));
    }
    let mut given: Vec<Option<model::batch::Column>> =
        batch.columns.into_iter().map(Some).collect();
    let all: Vec<usize> = (0..shapes.len()).collect();
    let wanted = columns.unwrap_or(&all);
    let mut arrays = Vec::with_capacity(wanted.len());
    for at in wanted {
        let column = given.get_mut(*at).and_then(Option::take);
        let (Some(column), Some(shape)) = (column, shapes.get(*at)) else {
            return Err(Error::internal("lake: a projection names a column twice"));
        };
        arrays.push(cells::array(column, shape, rows)?);
    }
    let schema = match columns {
        Some(columns) => Arc::new(schema.project(columns).map_err(fault::arrow)?),
        None => Arc::clone(schema),
    };
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, arrays, &options).map_err(fault::arrow)
}

/// Rows on the spill disk; the file is gone when nobody reads it any more.
pub(super) struct Spool {
    file: NamedTempFile,
    rows: usize,
    bytes: usize,
}

impl Spool {
    /// Bytes of the rows, as they would lie in memory.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Lays all rows of a stream down.
    pub(super) async fn write(
        folder: Option<&Path>,
        input: &Arc<Input>,
        mut stream: BoxStream<'static, Result<Batch>>,
    ) -> Result<Arc<Self>> {
        let folder = folder.map_or_else(std::env::temp_dir, Path::to_owned);
        let (sender, mut receiver) = tokio::sync::mpsc::channel::<Batch>(WAITING);
        let table = Arc::clone(input);
        let writer = tokio::task::spawn_blocking(move || -> Result<Self> {
            std::fs::create_dir_all(&folder).map_err(no_room)?;
            let file = NamedTempFile::new_in(&folder).map_err(no_room)?;
            let out = BufWriter::new(file.reopen().map_err(no_room)?);
            let mut writer = StreamWriter::try_new(out, &table.schema).map_err(broken)?;
            let (mut rows, mut bytes) = (0, 0_usize);
            while let Some(batch) = receiver.blocking_recv() {
                let batch = table.record_batch(batch, None)?;
                rows += batch.num_rows();
                bytes = bytes.saturating_add(batch.get_array_memory_size());
                writer.write(&batch).map_err(broken)?;
            }
            writer.finish().map_err(broken)?;
            Ok(Self { file, rows, bytes })
        });
        while let Some(batch) = stream.next().await {
            // A closed channel means that writing failed: its error is told below.
            if sender.send(batch?).await.is_err() {
                break;
            }
        }
        drop(sender);
        let spool = writer
            .await
            .map_err(|e| Error::internal("lake: the spooling thread ended").caused_by(e))??;
        Ok(Arc::new(spool))
    }

    /// The rows, from the beginning.
    pub(super) fn read(self: &Arc<Self>, columns: Option<Vec<usize>>) -> SpoolStream {
        let (sender, receiver) = tokio::sync::mpsc::channel(WAITING);
        let spool = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let opened = spool
                .file
                .reopen()
                .map_err(DataFusionError::from)
                .and_then(|f: File| Ok(StreamReader::try_new(BufReader::new(f), columns)?));
            match opened {
                Ok(reader) => {
                    for batch in reader {
                        if sender.blocking_send(batch.map_err(DataFusionError::from)).is_err() {
                            return;
                        }
                    }
                }
                // Nobody listening is no error worth telling.
                Err(e) => drop(sender.blocking_send(Err(e))),
            }
        });
        futures::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|batch| (batch, receiver))
        })
        .boxed()
    }
}

type SpoolStream = BoxStream<'static, PlanResult<RecordBatch>>;

fn no_room(error: std::io::Error) -> Error {
    Error::new(
        Code::StoreUnavailable,
        "转换的临时文件无法写入，请检查数据目录的空间与权限",
        "a temporary file of the transformation cannot be written: check space and permissions of the data folder",
    )
    .caused_by(error)
}

fn broken(error: arrow::error::ArrowError) -> Error {
    match error {
        arrow::error::ArrowError::IoError(_, cause) => no_room(cause),
        other => fault::arrow(other),
    }
}

#[async_trait]
impl TableProvider for Input {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> PlanResult<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => Arc::clone(&self.schema),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        // The plan may outlive this call, so it takes the rows' place with it.
        let rows = match &mut *self.lock() {
            Rows::None => Rows::None,
            Rows::Stream(stream) => Rows::Stream(stream.take()),
            Rows::Spool(spool) => Rows::Spool(Arc::clone(spool)),
        };
        let table = Input {
            name: self.name.clone(),
            shapes: self.shapes.clone(),
            schema: Arc::clone(&self.schema),
            long: self.long,
            rows: Mutex::new(rows),
        };
        Ok(Arc::new(Scan {
            table: Arc::new(table),
            columns: projection.cloned(),
            schema,
            properties: Arc::new(properties),
        }))
    }
}

/// Reading a table.
struct Scan {
    table: Arc<Input>,
    columns: Option<Vec<usize>>,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").field("table", &self.table.name).finish_non_exhaustive()
    }
}

impl DisplayAs for Scan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scan: {}", self.table.name)
    }
}

impl ExecutionPlan for Scan {
    fn name(&self) -> &'static str {
        "Scan"
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

    fn execute(
        &self,
        _partition: usize,
        _context: Arc<TaskContext>,
    ) -> PlanResult<SendableRecordBatchStream> {
        let rows: SpoolStream = match &mut *self.table.lock() {
            Rows::Spool(spool) => spool.read(self.columns.clone()),
            Rows::Stream(stream) => {
                let stream = stream.take().ok_or_else(|| {
                    DataFusionError::Internal(format!("`{}` is read twice", self.table.name))
                })?;
                let (table, columns) = (Arc::clone(&self.table), self.columns.clone());
                stream
                    .and_then(move |batch| {
                        std::future::ready(table.record_batch(batch, columns.as_deref()))
                    })
                    .map_err(SourceFailure::wrap)
                    .boxed()
            }
            Rows::None => {
                return Err(DataFusionError::Internal(format!(
                    "`{}` has no rows to read",
                    self.table.name
                )));
            }
        };
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows)))
    }

    fn statistics_from_inputs(
        &self,
        _: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> PlanResult<Arc<Statistics>> {
        Ok(Arc::new(self.table.statistics(&self.schema)))
    }
}

const _: fn() = || {
    fn any<T: Any + Send + Sync>() {}
    any::<Input>();
};

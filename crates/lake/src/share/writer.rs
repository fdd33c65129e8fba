//! Files of a view: rows as granted in one, their record numbers in another beside it, both of a bounded size.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{AsArray, RecordBatch};
use arrow::compute;
use arrow::datatypes::{Int64Type, SchemaRef};
use async_trait::async_trait;
use datafusion::common::stats::Precision;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use model::value::Value;
use model::{Error, Result};
use object_store::ObjectStoreExt;
use object_store::buffered::BufWriter;
use parquet::arrow::AsyncArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use serde_json::{Map, Number, Value as Json};
use tracing::warn;

use super::Place;
use super::manifest::SharedFile;
use super::plan::ids_schema;
use crate::cells::Cells;
use crate::fault;
use crate::schema::{Kind, RECORD_ID};

/// Ending of files with rows.
pub(super) const DATA: &str = ".parquet";
/// What stands behind it for the record numbers.
pub(super) const IDS: &str = ".ids";
/// Size at which the next file is begun, compressed bytes.
pub(super) const FILE_BYTES: usize = 128 << 20;
/// Size at which a row group is closed, compressed bytes.
const GROUP_BYTES: usize = 32 << 20;

/// Writes batches of `[record number, columns…]`.
pub(super) struct Writer {
    place: Place,
    prefix: String,
    schema: SchemaRef,
    done: Arc<AtomicU64>,
    number: usize,
    open: Option<Box<dyn Filling>>,
    files: Vec<SharedFile>,
}

/// A file being written, with its record numbers beside it. Behind a trait, so that what holds a writer does not show all of
/// an encoder's inside to the compiler.
#[async_trait]
trait Filling: Send {
    /// Takes rows in; answers the bytes so far.
    async fn write(&mut self, ids: RecordBatch, rows: RecordBatch) -> Result<usize>;
    async fn end(self: Box<Self>) -> Result<SharedFile>;
}

struct Open {
    place: Place,
    schema: SchemaRef,
    name: String,
    rows: AsyncArrowWriter<BufWriter>,
    ids: AsyncArrowWriter<BufWriter>,
    count: u64,
    first: i64,
    last: i64,
}

#[async_trait]
impl Filling for Open {
    async fn write(&mut self, ids: RecordBatch, rows: RecordBatch) -> Result<usize> {
        let numbers = ids.column(0).as_primitive::<Int64Type>();
        self.first = compute::min(numbers).unwrap_or(self.first).min(self.first);
        self.last = compute::max(numbers).unwrap_or(self.last).max(self.last);
        self.count += rows.num_rows() as u64;
        self.rows.write(&rows).await.map_err(fault::parquet)?;
        self.ids.write(&ids).await.map_err(fault::parquet)?;
        if self.rows.in_progress_size() >= GROUP_BYTES {
            self.rows.flush().await.map_err(fault::parquet)?;
        }
        Ok(self.rows.bytes_written() + self.rows.in_progress_size())
    }

    async fn end(mut self: Box<Self>) -> Result<SharedFile> {
        self.ids.finish().await.map_err(fault::parquet)?;
        let footer = self.rows.finish().await.map_err(fault::parquet)?;
        let stats = statistics(&footer, &self.schema, self.count)?;
        drop(footer);
        let place = &self.place;
        let meta = place.store.head(&place.path(&self.name)).await;
        let meta = meta.map_err(|e| fault::storage("looking at a shared file", e))?;
        Ok(SharedFile {
            stats,
            bytes: meta.size,
            rows: self.count,
            first: self.first,
            last: self.last,
            name: self.name,
        })
    }
}

impl Writer {
    /// Files are called `<prefix>-<n>`; rows have the columns of `schema`.
    pub(super) fn new(
        place: &Place,
        prefix: &str,
        schema: SchemaRef,
        done: Arc<AtomicU64>,
    ) -> Self {
        Self {
            place: place.clone(),
            prefix: prefix.to_owned(),
            schema,
            done,
            number: 0,
            open: None,
            files: Vec::new(),
        }
    }

    pub(super) async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let (ids, rows) = self.parts(batch)?;
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin()?,
        };
        let count = rows.num_rows() as u64;
        let bytes = open.write(ids, rows).await?;
        self.done.fetch_add(count, Ordering::Relaxed);
        if bytes >= FILE_BYTES {
            self.files.push(open.end().await?);
        } else {
            self.open = Some(open);
        }
        Ok(())
    }

    /// Completes the last file; answers all of them.
    pub(super) async fn end(mut self) -> Result<Vec<SharedFile>> {
        if let Some(open) = self.open.take() {
            self.files.push(open.end().await?);
        }
        Ok(self.files)
    }

    /// Record numbers, and the columns with the types they go out by.
    fn parts(&self, batch: &RecordBatch) -> Result<(RecordBatch, RecordBatch)> {
        let mut columns = batch.columns().iter();
        let ids = columns.next().ok_or_else(|| Error::internal("lake: rows without numbers"))?;
        let ids =
            RecordBatch::try_new(ids_schema(), vec![Arc::clone(ids)]).map_err(fault::arrow)?;
        let rows = columns
            .zip(self.schema.fields())
            .map(|(column, field)| compute::cast(column, field.data_type()))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(fault::arrow)?;
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), rows).map_err(fault::arrow)?;
        Ok((ids, rows))
    }

    fn begin(&mut self) -> Result<Box<dyn Filling>> {
        let name = format!("{}-{:05}{DATA}", self.prefix, self.number);
        self.number += 1;
        let to = |name: &str| BufWriter::new(Arc::clone(&self.place.store), self.place.path(name));
        let plain = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        let growing = WriterProperties::builder()
            .set_column_dictionary_enabled(ColumnPath::from(RECORD_ID), false)
            .set_column_encoding(ColumnPath::from(RECORD_ID), Encoding::DELTA_BINARY_PACKED)
            .build();
        let rows = AsyncArrowWriter::try_new(to(&name), Arc::clone(&self.schema), Some(plain))
            .map_err(fault::parquet)?;
        let ids =
            AsyncArrowWriter::try_new(to(&format!("{name}{IDS}")), ids_schema(), Some(growing))
                .map_err(fault::parquet)?;
        let (place, schema) = (self.place.clone(), Arc::clone(&self.schema));
        let (first, last) = (i64::MAX, i64::MIN);
        Ok(Box::new(Open { place, schema, name, rows, ids, count: 0, first, last }))
    }
}

/// Removes files written in vain. What cannot be removed now goes when the view is tidied.
pub(super) async fn discard(place: &Place, names: &[String]) {
    for name in names {
        for name in [name.clone(), format!("{name}{IDS}")] {
            if let Err(error) = place.remove(&name).await {
                warn!(error = error.operator_text(), "a file of a view stays behind for now");
            }
        }
    }
}

/// Statistics as Delta spells them, bounds only where they are certain.
fn statistics(footer: &ParquetMetaData, schema: &SchemaRef, rows: u64) -> Result<String> {
    let known = DFParquetMetadata::statistics_from_parquet_metadata(footer, schema)
        .map_err(|e| fault::plan("statistics of a shared file", e))?;
    let (mut least, mut most, mut nulls) = (Map::new(), Map::new(), Map::new());
    for (field, column) in schema.fields().iter().zip(&known.column_statistics) {
        let name = field.name();
        if let Precision::Exact(count) = column.null_count {
            nulls.insert(name.clone(), Json::from(count));
        }
        let Some(kind) = Kind::of_arrow(field.data_type()) else { continue };
        // Of truncated texts the bounds are inexact, and bounds all the same.
        let bound = |value: &Precision<datafusion::scalar::ScalarValue>| -> Option<Json> {
            let array = value.get_value()?.to_array().ok()?;
            spelled(kind, &Cells::of(array.as_ref()).ok()?.value(0))
        };
        if let (Some(min), Some(max)) = (bound(&column.min_value), bound(&column.max_value)) {
            least.insert(name.clone(), min);
            most.insert(name.clone(), max);
        }
    }
    let told = serde_json::json!({
        "numRecords": rows, "minValues": least, "maxValues": most, "nullCount": nulls,
    });
    Ok(told.to_string())
}

/// A bound as JSON. Floats may be no numbers, which no bound tells; booleans have none; a decimal must survive as a number.
fn spelled(kind: Kind, value: &Value) -> Option<Json> {
    match (kind, value) {
        (Kind::Text, Value::Text(text)) => Some(Json::from(text.as_str())),
        (Kind::Integer, Value::Integer(n)) => Some(Json::from(*n)),
        (Kind::Decimal { .. }, Value::Decimal(n)) => {
            let text = n.normalize().to_string();
            let digits = text.bytes().filter(u8::is_ascii_digit).count();
            let number = text.parse::<f64>().ok().filter(|_| digits <= 15)?;
            Number::from_f64(number).map(Json::Number)
        }
        (Kind::Date, Value::Date(_)) => value.to_text().map(Json::from),
        (Kind::DateTime, Value::DateTime(t)) => {
            Some(Json::from(t.format("%Y-%m-%dT%H:%M:%S%.6f").to_string()))
        }
        _ => None,
    }
}

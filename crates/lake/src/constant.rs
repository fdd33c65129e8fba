//! Columns that say the same in every row of a parcel: encoded once for a number of rows, and the bytes taken again
//! for every other row group of as many.
//!
//! A dozen of the system columns are so. Encoded row by row they took more time than the items themselves.

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{Field, Schema, SchemaRef};
use bytes::Bytes;
use model::{Error, Result};
use parquet::arrow::arrow_writer::{ArrowRowGroupWriterFactory, compute_leaves};
use parquet::column::writer::ColumnCloseResult;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::SerializedRowGroupWriter;

use crate::datafile::file_writer;
use crate::encode::Constant;
use crate::fault;
use crate::rowgroup::side_by_side;

/// Rows encoded at a time.
const STEP: usize = 1 << 14;

/// The constant columns of a file, in their order.
#[derive(Debug)]
pub(crate) struct Constants {
    schema: SchemaRef,
    values: Vec<ArrayRef>,
    made: Option<Made>,
}

/// The columns for so many rows.
#[derive(Debug)]
struct Made {
    rows: usize,
    bytes: Bytes,
    chunks: Vec<ColumnCloseResult>,
}

impl Constants {
    pub(crate) fn new(constants: &[Constant]) -> Self {
        let field = |c: &Constant| Field::new(&c.name, c.value.data_type().clone(), true);
        Self {
            schema: Arc::new(Schema::new(constants.iter().map(field).collect::<Vec<_>>())),
            values: constants.iter().map(|c| Arc::clone(&c.value)).collect(),
            made: None,
        }
    }

    /// Makes the columns for a row group of `rows`, unless the last had as many.
    pub(crate) fn make(&mut self, rows: usize, properties: &WriterPropertiesPtr) -> Result<()> {
        if self.values.is_empty() || self.made.as_ref().is_some_and(|made| made.rows == rows) {
            return Ok(());
        }
        self.made = Some(encode(&self.schema, &self.values, rows, properties)?);
        Ok(())
    }

    /// Writes the constant `at` as the next column of a row group.
    pub(crate) fn append<W: std::io::Write + Send>(
        &self,
        at: usize,
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<()> {
        let made = self.made.as_ref();
        let (bytes, chunk) = made
            .and_then(|made| Some((&made.bytes, made.chunks.get(at)?)))
            .ok_or_else(|| Error::internal("lake: a constant column was not made"))?;
        group.append_column(bytes, chunk.clone()).map_err(fault::parquet)
    }
}

/// A Parquet file in memory of one row group, which holds nothing but the constants.
fn encode(
    schema: &SchemaRef,
    values: &[ArrayRef],
    rows: usize,
    properties: &WriterPropertiesPtr,
) -> Result<Made> {
    let mut bytes = Vec::new();
    let mut file = file_writer(&mut bytes, schema, properties)?;
    let writers = ArrowRowGroupWriterFactory::new(&file, Arc::clone(schema))
        .create_column_writers(0)
        .map_err(fault::parquet)?;
    let columns = writers.into_iter().zip(values).zip(schema.fields()).collect();
    let chunks = side_by_side(columns, |((mut writer, value), field)| {
        let whole = repeated(value, rows.min(STEP))?;
        let whole = compute_leaves(field, &whole).map_err(fault::parquet)?;
        let rest = compute_leaves(field, &repeated(value, rows % STEP)?).map_err(fault::parquet)?;
        let steps = if rows < STEP { 0 } else { rows / STEP };
        for leaf in std::iter::repeat_n(&whole, steps).flatten().chain(&rest) {
            writer.write(leaf).map_err(fault::parquet)?;
        }
        writer.close().map_err(fault::parquet)
    });
    let mut group = file.next_row_group().map_err(fault::parquet)?;
    for chunk in chunks {
        chunk?.append_to_row_group(&mut group).map_err(fault::parquet)?;
    }
    group.close().map_err(fault::parquet)?;
    let metadata = file.close().map_err(fault::parquet)?;
    let group = metadata.row_groups().first();
    let pages = metadata.offset_index().and_then(|groups| groups.first());
    let chunks = group.into_iter().flat_map(|group| group.columns()).enumerate();
    let chunks = chunks
        .map(|(at, column)| ColumnCloseResult {
            bytes_written: u64::try_from(column.compressed_size()).unwrap_or(0),
            rows_written: rows as u64,
            metadata: column.clone(),
            bloom_filter: None,
            column_index: None,
            offset_index: pages.and_then(|pages| pages.get(at)).cloned(),
        })
        .collect();
    Ok(Made { rows, bytes: Bytes::from(bytes), chunks })
}

/// The one value of an array, `rows` times.
fn repeated(value: &ArrayRef, rows: usize) -> Result<ArrayRef> {
    take(value, &UInt32Array::from(vec![0; rows]), None).map_err(fault::arrow)
}

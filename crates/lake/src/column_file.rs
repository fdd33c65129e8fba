//! Rows as one Parquet file that is read while it is written: what a whole download by column is made of.
//!
//! The same rows make the same bytes however they come in: row groups have a number of rows that follows from the columns alone,
//! and each is written in one piece. So a download that was cut off can go on where it stood.

use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use model::query::RowQuery;
use model::value::Lines;
use model::{Error, Result};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use policy::Grant;

use crate::fault;
use crate::lake::DeltaLake;

/// Values of one row group, and the fewest and most rows of it.
const GROUP_VALUES: usize = 4 << 20;
const FEWEST: usize = 8 << 10;
const MOST: usize = 512 << 10;

impl DeltaLake {
    /// See [`policy::port::Lake::column_file`].
    pub(crate) async fn column_file_granted(
        &self,
        grant: &Grant,
        query: &RowQuery,
        version: Option<i64>,
    ) -> Result<BoxStream<'static, Result<Lines>>> {
        let (_, rows) = self.granted_rows(grant, query, version).await?;
        let Some(rows) = rows else { return Ok(stream::empty().boxed()) };
        let starting = rows.execute_stream().await;
        let batches = starting.map_err(|e| fault::reading(grant.code(), "starting a scan", e))?;
        let file = ColumnFile::new(batches.schema())?;
        let code = grant.code().to_owned();
        let batches = batches.map_err(move |e| fault::reading(&code, "reading rows", e)).boxed();
        let pieces = stream::try_unfold(Some((batches, file)), |state| async move {
            let Some((mut batches, file)) = state else { return Ok(None) };
            let batch = batches.try_next().await?;
            // Encoding takes the processor for a while: other calls go on meanwhile.
            let (piece, file) = tokio::task::spawn_blocking(move || file.step(batch))
                .await
                .map_err(|e| Error::internal("lake: writing columns ended").caused_by(e))??;
            Ok(Some((piece, file.map(|file| (batches, file)))))
        });
        let told = |piece: &Lines| std::future::ready(!piece.bytes.is_empty());
        Ok(pieces.try_filter(told).boxed())
    }
}

/// A file being written, and the rows that wait for the next row group.
struct ColumnFile {
    writer: ArrowWriter<Vec<u8>>,
    schema: SchemaRef,
    waiting: Vec<RecordBatch>,
    held: usize,
    group: usize,
}

impl ColumnFile {
    fn new(schema: SchemaRef) -> Result<Self> {
        let group = (GROUP_VALUES / schema.fields().len().max(1)).clamp(FEWEST, MOST);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        let writer = ArrowWriter::try_new(Vec::new(), SchemaRef::clone(&schema), Some(properties))
            .map_err(fault::parquet)?;
        Ok(Self { writer, schema, waiting: Vec::new(), held: 0, group })
    }

    /// Takes rows in, or ends the file; answers what is written of it by now, and the file while it goes on.
    fn step(mut self, batch: Option<RecordBatch>) -> Result<(Lines, Option<Self>)> {
        let Some(batch) = batch else {
            let rows = self.group_ends()?;
            let bytes = self.writer.into_inner().map_err(fault::parquet)?;
            return Ok((Lines { rows, bytes }, None));
        };
        let rows = self.add(batch)?;
        let bytes = std::mem::take(self.writer.inner_mut());
        Ok((Lines { rows, bytes }, Some(self)))
    }

    /// Answers the rows that were written.
    fn add(&mut self, mut batch: RecordBatch) -> Result<usize> {
        let mut written = 0;
        while self.held + batch.num_rows() >= self.group {
            let wanted = self.group - self.held;
            self.waiting.push(batch.slice(0, wanted));
            self.held = self.group;
            batch = batch.slice(wanted, batch.num_rows() - wanted);
            written += self.group_ends()?;
        }
        if batch.num_rows() > 0 {
            self.held += batch.num_rows();
            self.waiting.push(batch);
        }
        Ok(written)
    }

    /// Writes what waits as a row group of its own.
    fn group_ends(&mut self) -> Result<usize> {
        if self.held == 0 {
            return Ok(0);
        }
        let whole = concat_batches(&self.schema, &self.waiting).map_err(fault::arrow)?;
        self.waiting.clear();
        self.writer.write(&whole).map_err(fault::parquet)?;
        self.writer.flush().map_err(fault::parquet)?;
        Ok(std::mem::take(&mut self.held))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, AsArray, Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    fn batch(schema: &SchemaRef, from: i64, rows: i64) -> RecordBatch {
        let numbers = Int64Array::from_iter_values(from..from + rows);
        let texts = StringArray::from_iter(
            (from..from + rows).map(|n| (n % 7 != 0).then(|| format!("第{n}行"))),
        );
        RecordBatch::try_new(Arc::clone(schema), vec![Arc::new(numbers), Arc::new(texts)]).unwrap()
    }

    /// The file of so many rows that come in pieces of a size.
    fn file(rows: i64, size: i64) -> Vec<u8> {
        let schema: SchemaRef = Arc::new(Schema::new(vec![
            Field::new("n", DataType::Int64, true),
            Field::new("t", DataType::Utf8, true),
        ]));
        let mut file = ColumnFile::new(Arc::clone(&schema)).unwrap();
        // Small groups, so that there are several.
        file.group = 1000;
        let (mut bytes, mut told, mut at) = (Vec::new(), 0, 0);
        while at < rows {
            let next = size.min(rows - at);
            let (piece, rest) = file.step(Some(batch(&schema, at, next))).unwrap();
            bytes.extend(piece.bytes);
            told += piece.rows;
            (file, at) = (rest.unwrap(), at + next);
        }
        let (piece, rest) = file.step(None).unwrap();
        bytes.extend(piece.bytes);
        told += piece.rows;
        assert!(rest.is_none());
        assert_eq!(told, usize::try_from(rows).unwrap(), "every row is told once");
        bytes
    }

    #[test]
    fn the_same_rows_make_the_same_file_however_they_come() {
        let whole = file(3500, 3500);
        for size in [1, 7, 999, 1000, 1001, 2500] {
            assert!(file(3500, size) == whole, "pieces of {size}");
        }
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(whole)).unwrap();
        assert_eq!(reader.metadata().num_row_groups(), 4);
        let mut next = 0;
        for batch in reader.build().unwrap() {
            let batch = batch.unwrap();
            let (numbers, texts) =
                (batch.column(0).as_primitive::<Int64Type>(), batch.column(1).as_string::<i32>());
            for row in 0..batch.num_rows() {
                assert_eq!(numbers.value(row), next);
                let text = texts.is_valid(row).then(|| texts.value(row).to_owned());
                assert_eq!(text, (next % 7 != 0).then(|| format!("第{next}行")));
                next += 1;
            }
        }
        assert_eq!(next, 3500);
    }

    #[test]
    fn a_file_without_rows_is_one() {
        let bytes = file(0, 1);
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
        assert_eq!(reader.metadata().file_metadata().num_rows(), 0);
        assert_eq!(reader.schema().fields().len(), 2);
    }
}

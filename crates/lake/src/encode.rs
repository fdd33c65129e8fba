//! The encoder: batches in, Parquet bytes out, on one blocking thread of its own while reading and writing go on
//! beside it.
//!
//! What it holds at most: two batches waiting, the row group being built (compressed pages, [`ROW_GROUP_BYTES`]), a
//! few pieces on their way out. The size of the source does not matter.

use std::io::{self, Write};
use std::mem;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use model::batch::{Batch, Operation};
use model::{Code, Error, Result};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;
use tokio::sync::mpsc;

use crate::schema::{self, Kind, Shape};
use crate::system::SystemColumns;
use crate::{cells, fault, name};

/// Most rows of a row group.
const ROW_GROUP_ROWS: usize = 1 << 20;
/// Size at which a row group is closed, compressed bytes.
const ROW_GROUP_BYTES: usize = 64 << 20;
/// Size at which the next file is begun.
const FILE_BYTES: usize = 256 << 20;
/// Bytes gathered before they are handed on.
const PIECE_BYTES: usize = 1 << 20;

/// What the encoder is told.
#[derive(Debug)]
pub(crate) enum Feed {
    Batch(Batch),
    /// The stream ended well. A channel that closes without it means that reading failed.
    End,
}

/// What the encoder hands to the uploader.
#[derive(Debug)]
pub(crate) enum Piece {
    /// A new file begins.
    Open(String),
    Bytes(Bytes),
    /// The file is complete and holds so many rows.
    Close {
        rows: u64,
    },
}

/// What the encoder must know of the parcel.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) parcel: String,
    pub(crate) attempt: String,
    /// Item columns, then system columns.
    pub(crate) columns: Vec<Shape>,
    pub(crate) system: SystemColumns,
    /// Whether rows can be found again by a business key, without which nothing can be deleted.
    pub(crate) keyed: bool,
}

/// What became of the parcel.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) rows: u64,
    pub(crate) unique: bool,
    pub(crate) next_id: i64,
}

/// Encodes until [`Feed::End`]. Blocks; run it where that is allowed.
pub(crate) fn encode(
    plan: Plan,
    mut feed: mpsc::Receiver<Feed>,
    out: mpsc::Sender<Piece>,
) -> Result<Encoded> {
    let mut encoder = Encoder::new(plan, out);
    while let Some(next) = feed.blocking_recv() {
        match next {
            Feed::Batch(batch) => encoder.add(batch)?,
            Feed::End => return encoder.end(),
        }
    }
    Err(Error::internal("lake: the stream broke off"))
}

struct Encoder {
    plan: Plan,
    files: FileWriter,
}

impl Encoder {
    fn new(plan: Plan, out: mpsc::Sender<Piece>) -> Self {
        let files = FileWriter::new(&plan.parcel, &plan.attempt, &plan.columns, out);
        Self { plan, files }
    }

    fn add(&mut self, batch: Batch) -> Result<()> {
        let rows = batch.rows();
        if rows == 0 {
            return Ok(());
        }
        if !self.plan.keyed && batch.operations.contains(&Operation::Delete) {
            return Err(no_key_to_delete_by());
        }
        let record_batch = self.record_batch(batch, rows)?;
        self.files.write(&record_batch)
    }

    fn record_batch(&mut self, batch: Batch, rows: usize) -> Result<RecordBatch> {
        let items = self.plan.columns.len() - schema::system_columns().len();
        if batch.columns.len() != items {
            let found = batch.columns.len();
            return Err(Error::internal(format!("lake: {found} columns for {items} items")));
        }
        let system = self.plan.system.columns(&batch)?;
        let mut arrays = Vec::with_capacity(self.plan.columns.len());
        for (column, shape) in batch.columns.into_iter().zip(&self.plan.columns) {
            arrays.push(cells::array(column, shape, rows)?);
        }
        arrays.extend(system);
        RecordBatch::try_new(self.files.schema(), arrays).map_err(fault::arrow)
    }

    fn end(mut self) -> Result<Encoded> {
        let rows = self.files.end()?;
        let (unique, next_id) = (self.plan.system.unique(), self.plan.system.next_id());
        Ok(Encoded { rows, unique, next_id })
    }
}

/// Writes record batches as data files of a bounded size and hands their bytes on. Blocks.
pub(crate) struct FileWriter {
    parcel: String,
    attempt: String,
    schema: SchemaRef,
    properties: WriterProperties,
    out: mpsc::Sender<Piece>,
    file: Option<ArrowWriter<Outlet>>,
    file_rows: u64,
    files: usize,
    rows: u64,
}

impl FileWriter {
    /// Files are called after `parcel` and `attempt` and hold `columns`.
    pub(crate) fn new(
        parcel: &str,
        attempt: &str,
        columns: &[Shape],
        out: mpsc::Sender<Piece>,
    ) -> Self {
        Self {
            parcel: parcel.to_owned(),
            attempt: attempt.to_owned(),
            schema: schema::arrow_schema(columns),
            properties: properties(columns),
            out,
            file: None,
            file_rows: 0,
            files: 0,
            rows: 0,
        }
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.open()?,
        };
        file.write(batch).map_err(fault::parquet)?;
        let count = u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
        self.file_rows += count;
        self.rows += count;
        if file.bytes_written() >= FILE_BYTES {
            return self.close(file);
        }
        self.file = Some(file);
        Ok(())
    }

    fn open(&mut self) -> Result<ArrowWriter<Outlet>> {
        let path = name::data_file(&self.parcel, &self.attempt, self.files);
        self.files += 1;
        self.file_rows = 0;
        self.send(Piece::Open(path))?;
        let outlet = Outlet { held: Vec::with_capacity(PIECE_BYTES), out: self.out.clone() };
        ArrowWriter::try_new(outlet, Arc::clone(&self.schema), Some(self.properties.clone()))
            .map_err(fault::parquet)
    }

    fn close(&mut self, file: ArrowWriter<Outlet>) -> Result<()> {
        // Writes the last row group and the footer.
        let mut outlet = file.into_inner().map_err(fault::parquet)?;
        outlet.hand_on().map_err(|e| Error::internal("lake: writing").caused_by(e))?;
        self.send(Piece::Close { rows: self.file_rows })
    }

    /// Completes the last file; answers the rows of all.
    pub(crate) fn end(&mut self) -> Result<u64> {
        if let Some(file) = self.file.take() {
            self.close(file)?;
        }
        Ok(self.rows)
    }

    fn send(&self, piece: Piece) -> Result<()> {
        self.out.blocking_send(piece).map_err(|_| Error::internal("lake: the uploader has stopped"))
    }
}

fn no_key_to_delete_by() -> Error {
    Error::new(
        Code::RuleBroken,
        "数据中含有删除记录 (D)，但目录没有主键，无法确定删除哪一行：请先为目录设置主键，或以全量方式入湖",
        "the data hold deletes (D) but the entry has no business key to find the rows by: \
         declare a key first, or land a full parcel",
    )
}

/// Bytes gathered into pieces for the uploader.
struct Outlet {
    held: Vec<u8>,
    out: mpsc::Sender<Piece>,
}

impl Outlet {
    fn hand_on(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let piece = mem::replace(&mut self.held, Vec::with_capacity(PIECE_BYTES));
        self.out
            .blocking_send(Piece::Bytes(Bytes::from(piece)))
            .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the uploader has stopped"))
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= PIECE_BYTES {
            self.hand_on()?;
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Encodings by what a column is. Numbers that only grow and times that never change are deltas of a few bits; the
/// hash repeats nothing and does not compress.
fn properties(columns: &[Shape]) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES));
    for column in columns {
        let path = ColumnPath::from(column.name.as_str());
        let system = column.name.starts_with("dsc_");
        match (system, column.kind) {
            (true, Kind::Integer | Kind::DateTime) => {
                builder = builder
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
            }
            _ if column.name == schema::HASH => {
                builder = builder
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_encoding(path.clone(), Encoding::PLAIN)
                    .set_column_compression(path.clone(), Compression::UNCOMPRESSED)
                    .set_column_statistics_enabled(path, EnabledStatistics::None);
            }
            _ => {}
        }
    }
    builder.build()
}

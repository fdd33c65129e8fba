//! The encoder: batches in, Parquet bytes out, on a blocking thread of its own while reading and writing go on beside
//! it. The columns of a batch are encoded side by side ([`crate::rowgroup`]), what says the same in every row once
//! ([`crate::constant`]).
//!
//! What it holds at most: two batches waiting, the row group being built (compressed pages, see [`crate::datafile`]), a
//! few pieces on their way out. The size of the source does not matter.

use arrow::array::ArrayRef;
use bytes::Bytes;
use model::batch::{Batch, Operation};
use model::{Code, Error, Result};
use tokio::sync::mpsc;

use crate::cells;
use crate::datafile::FileWriter;
use crate::schema::{self, Shape};
use crate::system::SystemColumns;

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

/// A column whose value is the same in every row: an array of one.
#[derive(Debug)]
pub(crate) struct Constant {
    pub(crate) name: String,
    pub(crate) value: ArrayRef,
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
        let (columns, constants) = (plan.columns.clone(), plan.system.constants());
        let files = FileWriter::new(&plan.parcel, &plan.attempt, columns, &constants, out);
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
        let columns = self.arrays(batch, rows)?;
        self.files.write(&columns, rows)
    }

    /// The columns that are not constant.
    fn arrays(&mut self, batch: Batch, rows: usize) -> Result<Vec<ArrayRef>> {
        let items = self.plan.columns.len() - schema::system_columns().len();
        if batch.columns.len() != items {
            let found = batch.columns.len();
            return Err(Error::internal(format!("lake: {found} columns for {items} items")));
        }
        let system = self.plan.system.columns(&batch)?;
        let mut arrays = Vec::with_capacity(self.plan.columns.len());
        for (column, shape) in batch.columns.into_iter().zip(&self.plan.columns) {
            arrays.push(cells::stored(column, shape, rows)?);
        }
        arrays.extend(system);
        Ok(arrays)
    }

    fn end(mut self) -> Result<Encoded> {
        let rows = self.files.end()?;
        let (unique, next_id) = (self.plan.system.unique(), self.plan.system.next_id());
        Ok(Encoded { rows, unique, next_id })
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

//! A row group being built: its columns are encoded side by side, as many at a time as there are processors.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::thread;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{Field, SchemaRef};
use model::Result;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};

use crate::fault;

/// Fewer values than these are not worth a thread.
const FEW: usize = 1 << 14;

/// The columns of one row group and how far they are.
pub(crate) struct RowGroup {
    writers: Vec<ArrowColumnWriter>,
    schema: SchemaRef,
    rows: usize,
}

impl RowGroup {
    /// `writers` of the columns of `schema`.
    pub(crate) fn new(writers: Vec<ArrowColumnWriter>, schema: SchemaRef) -> Self {
        Self { writers, schema, rows: 0 }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Encoded size so far.
    pub(crate) fn bytes(&self) -> usize {
        self.writers.iter().map(ArrowColumnWriter::get_estimated_total_bytes).sum()
    }

    /// Takes in `rows` rows, an array for each column.
    pub(crate) fn write(&mut self, columns: &[ArrayRef], rows: usize) -> Result<()> {
        let tasks: Vec<_> =
            self.writers.iter_mut().zip(self.schema.fields()).zip(columns).collect();
        let encode = |((writer, field), array): Task<'_>| {
            // A text may come as bytes: to Parquet they are the same.
            let field = Field::new(field.name(), array.data_type().clone(), true);
            for leaf in compute_leaves(&field, array).map_err(fault::parquet)? {
                writer.write(&leaf).map_err(fault::parquet)?;
            }
            Ok(())
        };
        self.rows += rows;
        if rows.saturating_mul(tasks.len()) < FEW {
            return tasks.into_iter().try_for_each(encode);
        }
        side_by_side(tasks, encode).into_iter().collect()
    }

    /// The encoded columns in their order.
    pub(crate) fn close(self) -> Result<Vec<ArrowColumnChunk>> {
        let close = |writer: ArrowColumnWriter| writer.close().map_err(fault::parquet);
        if self.rows.saturating_mul(self.writers.len()) < FEW {
            return self.writers.into_iter().map(close).collect();
        }
        side_by_side(self.writers, close).into_iter().collect()
    }
}

type Task<'a> = ((&'a mut ArrowColumnWriter, &'a std::sync::Arc<Field>), &'a ArrayRef);

/// Does `work` for each task on as many threads as there are processors; the results come in the order of the tasks.
pub(crate) fn side_by_side<T: Send, R: Send>(
    tasks: Vec<T>,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(tasks.len());
    let done = Mutex::new(Vec::with_capacity(tasks.len()));
    let waiting = Mutex::new(tasks.into_iter().enumerate());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let help = || {
        while let Some((at, task)) = next() {
            let result = work(task);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(help);
        }
        help();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

//! Cursors of SQL (DECLARE, FETCH, CLOSE): rows are held as batches and written in the format of each FETCH.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::sql::sqlparser::ast::{FetchDirection, Value, ValueWithSpan};
use pgwire::error::PgWireResult;

use super::flow::Flow;
use super::words::told;

pub(super) struct Cursor {
    flow: Flow,
    /// Rows of the last batch that were not fetched yet.
    rest: Option<RecordBatch>,
    /// It outlives its transaction.
    pub(super) hold: bool,
    over: bool,
}

impl Cursor {
    pub(super) fn new(flow: Flow, hold: bool) -> Self {
        Self { flow, rest: None, hold, over: false }
    }

    pub(super) fn schema(&self) -> SchemaRef {
        self.flow.schema()
    }

    /// At most so many rows of what comes next; `None` at the end.
    pub(super) async fn next(&mut self, most: usize) -> PgWireResult<Option<RecordBatch>> {
        let batch = match self.rest.take() {
            Some(rest) => rest,
            None if self.over => return Ok(None),
            None => match self.flow.next().await? {
                Some(batch) => batch,
                None => {
                    self.over = true;
                    return Ok(None);
                }
            },
        };
        if batch.num_rows() > most {
            self.rest = Some(batch.slice(most, batch.num_rows() - most));
            return Ok(Some(batch.slice(0, most)));
        }
        Ok(Some(batch))
    }
}

/// How many rows a FETCH wants; `None`: all that are left.
pub(super) fn wanted(direction: &FetchDirection) -> PgWireResult<Option<usize>> {
    Ok(match direction {
        FetchDirection::Next | FetchDirection::Forward { limit: None } => Some(1),
        FetchDirection::Forward { limit: Some(limit) } | FetchDirection::Count { limit } => {
            Some(number(limit)?)
        }
        FetchDirection::ForwardAll | FetchDirection::All => None,
        _ => {
            return Err(told(
                "55000",
                "游标只能向前读取（FETCH NEXT、FORWARD n、ALL）",
                "a cursor goes forward only (FETCH NEXT, FORWARD n, ALL)",
            ));
        }
    })
}

fn number(value: &ValueWithSpan) -> PgWireResult<usize> {
    let number = match &value.value {
        Value::Number(text, _) => text.to_string().parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| told("42601", "FETCH 的行数有误", "the number of rows to FETCH is wrong"))
}

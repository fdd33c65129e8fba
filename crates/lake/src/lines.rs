//! Rows as lines of text, straight from Arrow's columns: what a whole download is made of. The bytes are those that a CSV writer
//! (RFC 4180, quotes only where they are needed) makes of each value's `to_text`, without a text and a row for each in between.
//!
//! One task reads and decodes, others write: a batch is written on a thread of its own while the next is read, in order.

use arrow::array::{Array, RecordBatch};
use chrono::{DateTime, Datelike, NaiveDate, Timelike};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use model::batch::date_of_days;
use model::query::RowQuery;
use model::spreadsheet;
use model::value::{LineForm, Lines};
use model::{Error, Result};
use policy::Grant;

use crate::cells::Cells;
use crate::lake::DeltaLake;
use crate::scan;

/// Batches that are being written at the same time.
const AHEAD: usize = 3;
/// Bytes that a value is expected to take, so that the piece seldom grows.
const VALUE_BYTES: usize = 12;

impl DeltaLake {
    /// See [`policy::port::Lake::lines`].
    pub(crate) async fn lines_granted(
        &self,
        grant: &Grant,
        query: &RowQuery,
        version: Option<i64>,
        form: LineForm,
    ) -> Result<BoxStream<'static, Result<Lines>>> {
        let (_, rows) = self.granted_rows(grant, query, version).await?;
        let Some(rows) = rows else { return Ok(stream::empty().boxed()) };
        let batches = scan::started(grant.code(), rows).await?;
        let mut passed = form.passed;
        let pieces = batches
            .try_filter(|batch| std::future::ready(batch.num_rows() > 0))
            .map(move |batch| {
                let before = passed;
                if let (Some(passed), Ok(batch)) = (&mut passed, &batch) {
                    *passed = passed.saturating_add(batch.num_rows() as u64);
                }
                async move {
                    let batch = batch?;
                    tokio::task::spawn_blocking(move || written(&batch, form, before))
                        .await
                        .map_err(|e| Error::internal("lake: writing lines ended").caused_by(e))?
                }
            })
            .buffered(AHEAD);
        Ok(pieces.boxed())
    }
}

/// The rows of a batch as lines; with the rows before it known, each begins with its number.
fn written(batch: &RecordBatch, form: LineForm, before: Option<u64>) -> Result<Lines> {
    let columns =
        batch.columns().iter().map(|c| Cells::of(c.as_ref())).collect::<Result<Vec<_>>>()?;
    let rows = batch.num_rows();
    let mut out: Vec<u8> = Vec::with_capacity(rows * (columns.len() + 1) * VALUE_BYTES);
    for row in 0..rows {
        let start = out.len();
        let mut first = true;
        if let Some(before) = before {
            digits(&mut out, before.saturating_add(row as u64).saturating_add(1));
            first = false;
        }
        for cells in &columns {
            if !first {
                out.push(form.between);
            }
            first = false;
            value(&mut out, cells, row, form);
        }
        // A line of nothing would be none.
        if out.len() == start {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(b"\r\n");
    }
    Ok(Lines { rows, bytes: out })
}

/// The value at `row`, which lies inside the columns; nothing for null.
fn value(out: &mut Vec<u8>, cells: &Cells<'_>, row: usize, form: LineForm) {
    let between = form.between;
    match cells {
        Cells::Text(_) | Cells::TextView(_) | Cells::LargeText(_) => match cells.text(row) {
            Some(text) if form.harmless => {
                quoted(out, spreadsheet::harmless(text).as_bytes(), between);
            }
            Some(text) => quoted(out, text.as_bytes(), between),
            None => {}
        },
        Cells::Integer(a) if a.is_valid(row) => {
            let n = a.value(row);
            if n < 0 {
                out.push(b'-');
            }
            digits(out, n.unsigned_abs());
        }
        Cells::Decimal(a, scale) if a.is_valid(row) => {
            let told = decimal(out, a.value(row), *scale);
            if !told {
                plainly(out, cells, row, between);
            }
        }
        Cells::Boolean(a) if a.is_valid(row) => {
            out.extend_from_slice(if a.value(row) { b"true" } else { b"false" });
        }
        Cells::Date(a) if a.is_valid(row) => {
            let day = date_of_days(a.value(row));
            if !day.is_some_and(|day| date(out, day)) {
                plainly(out, cells, row, between);
            }
        }
        Cells::DateTime(a) if a.is_valid(row) => {
            let micros = a.value(row);
            let whole = micros % 1_000_000 == 0;
            let at = DateTime::from_timestamp_micros(micros).filter(|_| whole);
            if !at.is_some_and(|at| moment(out, at)) {
                plainly(out, cells, row, between);
            }
        }
        Cells::Float(_) => plainly(out, cells, row, between),
        _ => {}
    }
}

/// By way of the value's own text.
fn plainly(out: &mut Vec<u8>, cells: &Cells<'_>, row: usize, between: u8) {
    if let Some(text) = cells.value(row).to_text() {
        quoted(out, text.as_bytes(), between);
    }
}

/// A text, in quotes where it holds a quote, an end of line or what stands between values.
fn quoted(out: &mut Vec<u8>, text: &[u8], between: u8) {
    let special = |b: &u8| *b == between || matches!(*b, b'"' | b'\r' | b'\n');
    if !text.iter().any(special) {
        out.extend_from_slice(text);
        return;
    }
    out.push(b'"');
    for (n, part) in text.split(|b| *b == b'"').enumerate() {
        if n > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(part);
    }
    out.push(b'"');
}

/// A number without sign.
fn digits(out: &mut Vec<u8>, mut n: u64) {
    let start = out.len();
    loop {
        out.push(b'0' + u8::try_from(n % 10).unwrap_or(0));
        n /= 10;
        if n == 0 {
            break;
        }
    }
    if let Some(own) = out.get_mut(start..) {
        own.reverse();
    }
}

/// The same with noughts before it, `places` digits in all.
fn padded(out: &mut Vec<u8>, n: u64, places: u32) {
    let mut unit = 10_u64.saturating_pow(places.saturating_sub(1));
    while unit > n.max(1) {
        out.push(b'0');
        unit /= 10;
    }
    digits(out, n);
}

/// A decimal of usual size; whether it was.
fn decimal(out: &mut Vec<u8>, unscaled: i128, scale: u32) -> bool {
    if scale > 18 {
        return false;
    }
    let Ok(all) = u64::try_from(unscaled.unsigned_abs()) else { return false };
    if unscaled < 0 {
        out.push(b'-');
    }
    let unit = 10_u64.pow(scale);
    digits(out, all / unit);
    if scale > 0 {
        out.push(b'.');
        padded(out, all % unit, scale);
    }
    true
}

/// A day of a year of at most four digits; whether it was.
fn date(out: &mut Vec<u8>, day: NaiveDate) -> bool {
    let Ok(year) = u64::try_from(day.year()) else { return false };
    if year > 9999 {
        return false;
    }
    padded(out, year, 4);
    out.push(b'-');
    padded(out, day.month().into(), 2);
    out.push(b'-');
    padded(out, day.day().into(), 2);
    true
}

/// A moment of whole seconds; whether its year was of at most four digits.
fn moment(out: &mut Vec<u8>, at: DateTime<chrono::Utc>) -> bool {
    let at = at.naive_utc();
    if !date(out, at.date()) {
        return false;
    }
    for (mark, n) in [(b'T', at.hour()), (b':', at.minute()), (b':', at.second())] {
        out.push(mark);
        padded(out, n.into(), 2);
    }
    true
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array,
        StringArray, TimestampMicrosecondArray,
    };

    use model::value::Value;

    use super::*;

    /// What the present writer makes of the values one by one.
    fn by_value(batch: &RecordBatch, form: LineForm, before: Option<u64>) -> Vec<u8> {
        let columns: Vec<Cells<'_>> =
            batch.columns().iter().map(|c| Cells::of(c.as_ref()).unwrap()).collect();
        let mut writer = csv::WriterBuilder::new()
            .delimiter(form.between)
            .terminator(csv::Terminator::CRLF)
            .from_writer(Vec::new());
        for row in 0..batch.num_rows() {
            let number = before.map(|n| (n + row as u64 + 1).to_string());
            let own = columns.iter().map(|c| match c.value(row) {
                Value::Text(text) if form.harmless => spreadsheet::harmless(&text).into_owned(),
                value => value.to_text().unwrap_or_default(),
            });
            writer.write_record(number.into_iter().chain(own)).unwrap();
        }
        writer.into_inner().unwrap()
    }

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, array)| (name, array, true)),
        )
        .unwrap()
    }

    fn same(batch: &RecordBatch) {
        for between in [b',', b'\t'] {
            for before in [None, Some(0), Some(998)] {
                for harmless in [false, true] {
                    let form = LineForm { between, passed: before, harmless };
                    let ours = written(batch, form, before).unwrap();
                    assert_eq!(ours.rows, batch.num_rows());
                    let theirs = by_value(batch, form, before);
                    assert_eq!(
                        String::from_utf8_lossy(&ours.bytes),
                        String::from_utf8_lossy(&theirs),
                        "{form:?}"
                    );
                }
            }
        }
    }

    fn arr(array: impl Array + 'static) -> ArrayRef {
        Arc::new(array)
    }

    fn decimals(values: Vec<Option<i128>>, scale: i8) -> ArrayRef {
        arr(Decimal128Array::from(values).with_precision_and_scale(38, scale).unwrap())
    }

    #[test]
    fn tricky_values_are_written_as_the_csv_writer_does() {
        let texts = [
            Some("平常"),
            None,
            Some(""),
            Some("a,b"),
            Some("\"引\"号\""),
            Some("二\n行\r"),
            Some("制\t表"),
            Some("=1+1"),
            Some("-"),
            Some("-5,\"a\""),
            Some("'=1"),
            Some("\""),
            Some(" 空 格 "),
        ];
        let n = texts.len();
        let integers = [0, 1, -1, 9, 10, -10, 1_000_000, i64::MIN, i64::MAX];
        let integers: Vec<Option<i64>> =
            integers.into_iter().map(Some).chain([None]).cycle().take(n).collect();
        let unscaled = vec![
            Some(0),
            Some(5),
            Some(-5),
            Some(100),
            Some(-12_345),
            Some(i128::from(u64::MAX)),
            Some(i128::from(u64::MAX) + 1),
            Some(-(1_i128 << 90)),
            Some(1_i128 << 100),
            None,
        ];
        let unscaled: Vec<Option<i128>> = unscaled.into_iter().cycle().take(n).collect();
        let floats = [0.0, -0.0, 1.5, -2.25, 1e300, 1e-7, f64::NAN, f64::INFINITY, 3.0];
        let floats: Vec<Option<f64>> =
            floats.into_iter().map(Some).chain([None]).cycle().take(n).collect();
        // Among them the first days of year 0, -1 and 10000.
        let days = [0, -1, 18_628, -719_528, -719_529, 2_932_896, 2_932_897, i32::MAX, 60];
        let days: Vec<Option<i32>> =
            days.into_iter().map(Some).chain([None]).cycle().take(n).collect();
        let micros = [
            0,
            1,
            -1,
            1_000_000,
            1_767_225_599_999_000,
            1_767_225_599_000_000,
            -62_198_755_200_000_000,
            253_402_300_800_000_000,
            i64::MAX,
        ];
        let micros: Vec<Option<i64>> =
            micros.into_iter().map(Some).chain([None]).cycle().take(n).collect();
        let truths: Vec<Option<bool>> =
            (0..n).map(|i| [Some(true), Some(false), None].get(i % 3).copied().flatten()).collect();
        same(&batch(vec![
            ("t", arr(StringArray::from(texts.to_vec()))),
            ("i", arr(Int64Array::from(integers))),
            ("d0", decimals(unscaled.clone(), 0)),
            ("d2", decimals(unscaled.clone(), 2)),
            ("d18", decimals(unscaled.clone(), 18)),
            ("d19", decimals(unscaled, 19)),
            ("f", arr(Float64Array::from(floats))),
            ("b", arr(BooleanArray::from(truths))),
            ("day", arr(Date32Array::from(days))),
            ("at", arr(TimestampMicrosecondArray::from(micros))),
        ]));
    }

    #[test]
    fn a_line_of_one_empty_value_is_still_a_line() {
        let texts = StringArray::from(vec![Some(""), None, Some("x"), Some("\"")]);
        same(&batch(vec![("t", arr(texts))]));
    }
}

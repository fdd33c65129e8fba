//! Prints of rows: what a row is known by when a source and the lake are compared. Not a protection: MD5, because every
//! database can make it, over words that every database can write.
//!
//! ```text
//! null         ~
//! other cells  so many bytes, a colon, the words:  5:12.50
//! text         as it stands            integer   digits            decimal    with all digits of the item's scale
//! float        its 64 bits in hex      boolean   1 or 0            date       2026-01-02
//! date-time    2026-01-02T03:04:05.000000
//! ```

use std::fmt::Write as _;

use md5::{Digest, Md5};
use model::batch::{Batch, Column, date_of_days};

/// The print of a row: its cells in the order of the items.
#[must_use]
pub fn row(batch: &Batch, row: usize, scratch: &mut String) -> u128 {
    scratch.clear();
    let mut word = String::new();
    for column in &batch.columns {
        cell(column, row, &mut word, scratch);
    }
    u128::from_be_bytes(Md5::digest(scratch.as_bytes()).into())
}

/// A print of each cell of a row.
#[must_use]
pub fn cells(batch: &Batch, row: usize) -> Vec<u64> {
    let (mut word, mut said) = (String::new(), String::new());
    let print = |column: &Column| {
        said.clear();
        cell(column, row, &mut word, &mut said);
        let bytes: [u8; 16] = Md5::digest(said.as_bytes()).into();
        u64::try_from(u128::from_be_bytes(bytes) >> 64).unwrap_or_default()
    };
    batch.columns.iter().map(print).collect()
}

/// The key of a row: the words of these columns; nothing for null.
#[must_use]
pub fn key(batch: &Batch, row: usize, key: &[usize]) -> Vec<String> {
    key.iter()
        .map(|at| {
            let mut word = String::new();
            if let Some(column) = batch.columns.get(*at) {
                words(column, row, &mut word);
            }
            word
        })
        .collect()
}

fn cell(column: &Column, row: usize, word: &mut String, into: &mut String) {
    word.clear();
    if words(column, row, word) {
        // Writing to a String does not fail.
        let _ = write!(into, "{}:{word}", word.len());
    } else {
        into.push('~');
    }
}

/// Writes the words of a cell; `false` for null.
fn words(column: &Column, row: usize, into: &mut String) -> bool {
    let done = match column {
        Column::Text(text) => text.get(row).map(|text| into.write_str(text)),
        Column::Integer(values) => at(values, row).map(|n| write!(into, "{n}")),
        Column::Decimal { scale, values } => at(values, row).map(|n| decimal(n, *scale, into)),
        Column::Float(values) => at(values, row).map(|f| write!(into, "{:016x}", f.to_bits())),
        Column::Boolean(values) => {
            at(values, row).map(|b| into.write_str(if b { "1" } else { "0" }))
        }
        Column::Date(values) => at(values, row)
            .and_then(date_of_days)
            .map(|date| write!(into, "{}", date.format("%Y-%m-%d"))),
        Column::DateTime(values) => at(values, row)
            .and_then(chrono::DateTime::from_timestamp_micros)
            .map(|time| write!(into, "{}", time.format("%Y-%m-%dT%H:%M:%S%.6f"))),
    };
    done.is_some()
}

fn at<T: Copy>(values: &[Option<T>], row: usize) -> Option<T> {
    values.get(row).copied().flatten()
}

fn decimal(unscaled: i128, scale: u8, into: &mut String) -> std::fmt::Result {
    if scale == 0 {
        return write!(into, "{unscaled}");
    }
    let sign = if unscaled < 0 { "-" } else { "" };
    let digits = usize::from(scale);
    let text = format!("{:0width$}", unscaled.unsigned_abs(), width = digits + 1);
    let (whole, part) = text.split_at(text.len() - digits);
    write!(into, "{sign}{whole}.{part}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::batch::TextColumn;

    #[test]
    fn every_kind_is_put_into_words() {
        let mut text = TextColumn::with_capacity(2);
        text.push(Some("杭"));
        text.push(None);
        let batch = Batch {
            columns: vec![
                Column::Text(text),
                Column::Integer(vec![Some(-7), Some(0)]),
                Column::Decimal { scale: 2, values: vec![Some(-150), Some(5)] },
                Column::Float(vec![Some(0.1), None]),
                Column::Boolean(vec![Some(true), Some(false)]),
                Column::Date(vec![Some(0), None]),
                Column::DateTime(vec![Some(1_500_000), None]),
            ],
            records: vec![1, 2],
            operations: Vec::new(),
        };
        assert_eq!(
            key(&batch, 0, &[0, 1, 2, 3, 4, 5, 6]),
            [
                "杭",
                "-7",
                "-1.50",
                "3fb999999999999a",
                "1",
                "1970-01-01",
                "1970-01-01T00:00:01.500000"
            ]
        );
        assert_eq!(key(&batch, 1, &[2]), ["0.05"]);
        let mut scratch = String::new();
        let _ = row(&batch, 1, &mut scratch);
        assert_eq!(scratch, "~1:04:0.05~1:0~~");
        assert_eq!(cells(&batch, 0).len(), 7);
        // As a database says it: md5('3:杭2:-7…').
        assert_ne!(row(&batch, 0, &mut scratch), row(&batch, 1, &mut scratch));
    }
}

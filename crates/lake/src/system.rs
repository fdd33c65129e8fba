//! The system columns of a parcel: constants, numbers counted on, the hash of the business key, and the watch for keys
//! that repeat.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray, new_null_array};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::DataType as ArrowType;
use md5::{Digest, Md5};
use model::batch::{Batch, Column, Operation, date_of_days};
use model::{Error, Result};

use crate::encode::Constant;
use crate::{fault, schema};

/// What the constant columns of one parcel say.
#[derive(Clone, Debug)]
pub(crate) struct Constants {
    pub(crate) city: String,
    pub(crate) region: String,
    pub(crate) org_code: String,
    pub(crate) org_name: String,
    pub(crate) org_system: String,
    pub(crate) org_table: String,
    pub(crate) warehouse_table: String,
    pub(crate) parcel: String,
    /// Microseconds since 1970 of the civil time in China.
    pub(crate) biz_time: i64,
    pub(crate) landed_time: i64,
}

/// Makes the system columns batch by batch.
#[derive(Debug)]
pub(crate) struct SystemColumns {
    constants: Constants,
    /// Positions of the business key among the batch's columns.
    key: Vec<usize>,
    /// The word for an insert, for as many rows as a batch has had.
    inserts: ArrayRef,
    /// Number the next row gets.
    next_id: i64,
    keys: KeyWatch,
    scratch: String,
}

impl SystemColumns {
    pub(crate) fn new(constants: Constants, key: Vec<usize>, first_id: i64) -> Self {
        let watching = !key.is_empty();
        Self {
            constants,
            key,
            inserts: new_null_array(&ArrowType::Utf8, 0),
            next_id: first_id,
            keys: KeyWatch::new(watching),
            scratch: String::new(),
        }
    }

    /// The number after the last row's.
    pub(crate) fn next_id(&self) -> i64 {
        self.next_id
    }

    /// Whether every key of the parcel occurred once and none as a delete; `false` also when unknown.
    pub(crate) fn unique(&mut self) -> bool {
        self.keys.unique()
    }

    /// The system columns that say the same in every row of the parcel.
    pub(crate) fn constants(&self) -> Vec<Constant> {
        let c = &self.constants;
        let text = |value: &str| -> ArrayRef {
            if value.is_empty() {
                return new_null_array(&ArrowType::Utf8, 1);
            }
            Arc::new(StringArray::from_iter_values([value]))
        };
        let time = |at: i64| -> ArrayRef { Arc::new(TimestampMicrosecondArray::from_value(at, 1)) };
        let mut all = vec![
            (schema::CITY, text(&c.city)),
            (schema::REGION, text(&c.region)),
            (schema::ORG_CODE, text(&c.org_code)),
            (schema::ORG_NAME, text(&c.org_name)),
            (schema::ORG_SYSTEM, text(&c.org_system)),
            (schema::ORG_TABLE, text(&c.org_table)),
            (schema::BIZ_TIME, time(c.biz_time)),
            (schema::WAREHOUSE_TABLE, text(&c.warehouse_table)),
            (schema::CLEAN_TIME, time(c.landed_time)),
            (schema::LANDED_TIME, time(c.landed_time)),
            (schema::PARCEL, text(&c.parcel)),
        ];
        if self.key.is_empty() {
            all.push((schema::HASH, text("")));
        }
        all.into_iter().map(|(name, value)| Constant { name: name.to_owned(), value }).collect()
    }

    /// The other system columns of `batch`, in the order of [`schema::system_columns`].
    pub(crate) fn columns(&mut self, batch: &Batch) -> Result<Vec<ArrayRef>> {
        let rows = batch.rows();
        let operations = self.operations(batch);
        let from = self.next_id;
        self.next_id = from
            .checked_add(i64::try_from(rows).map_err(|e| Error::internal("rows").caused_by(e))?)
            .ok_or_else(|| Error::internal("lake: record ids are used up"))?;
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(from..self.next_id));
        let records: ArrayRef = Arc::new(Int64Array::from_iter_values(
            batch.records.iter().map(|r| i64::try_from(*r).unwrap_or(i64::MAX)),
        ));
        let hashes = if self.key.is_empty() { None } else { Some(self.hashes(batch)?) };
        Ok([Some(ids), Some(operations), hashes, Some(records)].into_iter().flatten().collect())
    }

    fn operations(&mut self, batch: &Batch) -> ArrayRef {
        let rows = batch.rows();
        if batch.operations.is_empty() {
            if self.inserts.len() < rows {
                let word = std::iter::repeat_n(Operation::Insert.as_str(), rows);
                self.inserts = Arc::new(StringArray::from_iter_values(word));
            }
            return self.inserts.slice(0, rows);
        }
        let words = (0..rows).map(|row| {
            let operation = batch.operation(row);
            if operation == Operation::Delete {
                self.keys.saw_delete();
            }
            operation.as_str()
        });
        Arc::new(StringArray::from_iter_values(words))
    }

    /// MD5 hex of each row's key: of the text itself for a single key, of the texts joined by U+001F for several.
    fn hashes(&mut self, batch: &Batch) -> Result<ArrayRef> {
        const DIGITS: usize = 32;
        let rows = batch.rows();
        let columns = self
            .key
            .iter()
            .map(|at| batch.columns.get(*at).ok_or_else(|| Error::internal("lake: key column")))
            .collect::<Result<Vec<_>>>()?;
        let mut hex = Vec::with_capacity(rows * DIGITS);
        for row in 0..rows {
            let bytes = digest(&columns, row, &mut self.scratch);
            self.keys.saw(u128::from_be_bytes(bytes));
            for byte in bytes {
                hex.push(hex_digit(byte >> 4));
                hex.push(hex_digit(byte & 15));
            }
        }
        let step = i32::try_from(DIGITS).unwrap_or(32);
        let last = i32::try_from(rows).map_err(|e| Error::internal("rows").caused_by(e))?;
        let offsets: Vec<i32> = (0..=last).map(|n| n * step).collect();
        let array = StringArray::try_new(
            OffsetBuffer::new(ScalarBuffer::from(offsets)),
            Buffer::from(hex),
            None,
        )
        .map_err(fault::arrow)?;
        Ok(Arc::new(array))
    }
}

/// MD5 of a row's key.
fn digest(key: &[&Column], row: usize, scratch: &mut String) -> [u8; 16] {
    match key {
        [Column::Text(text)] => Md5::digest(text.get(row).unwrap_or_default().as_bytes()).into(),
        several => {
            scratch.clear();
            for (at, column) in several.iter().enumerate() {
                if at > 0 {
                    scratch.push('\u{1f}');
                }
                write_cell(scratch, column, row);
            }
            Md5::digest(scratch.as_bytes()).into()
        }
    }
}

/// The hash of each row's business key as the table holds it, for finding rows by key. `key`: positions of its columns.
pub(crate) fn key_hashes(batch: &Batch, key: &[usize]) -> Result<Vec<String>> {
    let columns = key
        .iter()
        .map(|at| batch.columns.get(*at).ok_or_else(|| Error::internal("lake: key column")))
        .collect::<Result<Vec<_>>>()?;
    let mut scratch = String::new();
    Ok((0..batch.rows())
        .map(|row| {
            let mut hex = String::with_capacity(32);
            for byte in digest(&columns, row, &mut scratch) {
                hex.push(char::from(hex_digit(byte >> 4)));
                hex.push(char::from(hex_digit(byte & 15)));
            }
            hex
        })
        .collect())
}

fn hex_digit(half: u8) -> u8 {
    if half < 10 { b'0' + half } else { b'a' + half - 10 }
}

/// Appends the plain text of one cell (null adds nothing), as [`model::value::Value::to_text`] writes it.
fn write_cell(into: &mut String, column: &Column, row: usize) {
    // Writing to a String does not fail.
    let _ = match column {
        Column::Text(text) => into.write_str(text.get(row).unwrap_or_default()),
        Column::Integer(values) => match values.get(row) {
            Some(Some(number)) => write!(into, "{number}"),
            _ => Ok(()),
        },
        Column::Date(values) => match values.get(row).copied().flatten().and_then(date_of_days) {
            Some(date) => write!(into, "{}", date.format("%Y-%m-%d")),
            None => Ok(()),
        },
        other => into.write_str(&other.value(row).to_text().unwrap_or_default()),
    };
}

/// Notices whether a key repeats inside a parcel, within a bounded memory: 64 bits of each key's hash are kept in
/// buckets and sorted at the end. A chance meeting of two hashes only costs a merge that was not needed; beyond
/// [`KeyWatch::MOST`] rows the answer is "unknown", which costs the same.
#[derive(Debug)]
struct KeyWatch {
    buckets: Vec<Vec<u64>>,
    kept: usize,
    watching: bool,
    repeated: bool,
}

impl KeyWatch {
    /// Most keys kept (256 MB).
    const MOST: usize = 32 << 20;
    const BUCKETS: usize = 256;

    fn new(watching: bool) -> Self {
        let buckets = if watching { vec![Vec::new(); Self::BUCKETS] } else { Vec::new() };
        Self { buckets, kept: 0, watching, repeated: false }
    }

    fn saw(&mut self, hash: u128) {
        if !self.watching {
            return;
        }
        if self.kept >= Self::MOST {
            self.give_up();
            return;
        }
        let [bucket, rest @ ..] = hash.to_be_bytes();
        let mut part = [0u8; 8];
        for (to, from) in part.iter_mut().zip(rest) {
            *to = from;
        }
        if let Some(keys) = self.buckets.get_mut(usize::from(bucket)) {
            keys.push(u64::from_be_bytes(part));
            self.kept += 1;
        }
    }

    fn saw_delete(&mut self) {
        self.give_up();
    }

    fn give_up(&mut self) {
        self.repeated = true;
        self.watching = false;
        self.buckets = Vec::new();
    }

    fn unique(&mut self) -> bool {
        if !self.watching {
            // Without a key there is nothing to merge by.
            return !self.repeated;
        }
        for keys in &mut self.buckets {
            keys.sort_unstable();
            if keys.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
                self.repeated = true;
            }
        }
        self.watching = false;
        self.buckets = Vec::new();
        !self.repeated
    }
}

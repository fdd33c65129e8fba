//! Batches: rows in columns, the form in which channels hand data to the lake and the serving copy.
//!
//! Our own few column kinds, so that Arrow types never leave `lake` and a gigabyte still passes quickly.

use chrono::{DateTime, NaiveDate};
use rust_decimal::Decimal;

use crate::code::DataType;
use crate::value::Value;

/// Texts end to end with offsets; `offsets.len() == len + 1`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TextColumn {
    pub offsets: Vec<i32>,
    pub bytes: String,
    /// `valid[i]` is false where the value is null. Empty when there are no nulls.
    pub valid: Vec<bool>,
}

impl TextColumn {
    #[must_use]
    pub fn with_capacity(rows: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self { offsets, bytes: String::new(), valid: Vec::new() }
    }
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Appends a value. A batch must stay under 2 GiB of text per column (channels cut far earlier).
    pub fn push(&mut self, value: Option<&str>) {
        if self.offsets.is_empty() {
            self.offsets.push(0);
        }
        if value.is_none() && self.valid.is_empty() {
            self.valid = vec![true; self.len()];
        }
        if let Some(text) = value {
            self.bytes.push_str(text);
        }
        self.offsets.push(i32::try_from(self.bytes.len()).unwrap_or(i32::MAX));
        if !self.valid.is_empty() || value.is_none() {
            self.valid.push(value.is_some());
        }
    }
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&str> {
        if self.valid.get(row) == Some(&false) {
            return None;
        }
        let start = usize::try_from(*self.offsets.get(row)?).ok()?;
        let end = usize::try_from(*self.offsets.get(row + 1)?).ok()?;
        self.bytes.get(start..end)
    }
}

/// One column.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    Text(TextColumn),
    Integer(Vec<Option<i64>>),
    /// Unscaled values: 12.34 with scale 2 is 1234.
    Decimal {
        scale: u8,
        values: Vec<Option<i128>>,
    },
    Float(Vec<Option<f64>>),
    Boolean(Vec<Option<bool>>),
    /// Days since 1970-01-01.
    Date(Vec<Option<i32>>),
    /// Microseconds since 1970-01-01T00:00:00, civil time in China.
    DateTime(Vec<Option<i64>>),
}

impl Column {
    /// An empty column for an item's type.
    #[must_use]
    pub fn empty(data_type: DataType, scale: u8, rows: usize) -> Self {
        match data_type {
            DataType::Text | DataType::Geometry | DataType::Json => {
                Column::Text(TextColumn::with_capacity(rows))
            }
            DataType::Integer => Column::Integer(Vec::with_capacity(rows)),
            DataType::Decimal => Column::Decimal { scale, values: Vec::with_capacity(rows) },
            DataType::Float => Column::Float(Vec::with_capacity(rows)),
            DataType::Boolean => Column::Boolean(Vec::with_capacity(rows)),
            DataType::Date => Column::Date(Vec::with_capacity(rows)),
            DataType::DateTime => Column::DateTime(Vec::with_capacity(rows)),
        }
    }
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Column::Text(c) => c.len(),
            Column::Integer(v) => v.len(),
            Column::Decimal { values, .. } => values.len(),
            Column::Float(v) => v.len(),
            Column::Boolean(v) => v.len(),
            Column::Date(v) => v.len(),
            Column::DateTime(v) => v.len(),
        }
    }
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Appends the values of another column of the same kind.
    fn append(&mut self, other: Column) {
        match (self, other) {
            (Column::Text(into), Column::Text(more)) => {
                (0..more.len()).for_each(|row| into.push(more.get(row)));
            }
            (Column::Integer(into), Column::Integer(more)) => into.extend(more),
            (Column::Decimal { values: into, .. }, Column::Decimal { values: more, .. }) => {
                into.extend(more);
            }
            (Column::Float(into), Column::Float(more)) => into.extend(more),
            (Column::Boolean(into), Column::Boolean(more)) => into.extend(more),
            (Column::Date(into), Column::Date(more)) => into.extend(more),
            (Column::DateTime(into), Column::DateTime(more)) => into.extend(more),
            (into, more) => {
                debug_assert_eq!(into.is_empty(), more.is_empty(), "columns of two kinds");
            }
        }
    }
    fn pick(&self, rows: &[usize]) -> Self {
        fn of<T: Copy>(values: &[Option<T>], rows: &[usize]) -> Vec<Option<T>> {
            rows.iter().map(|row| values.get(*row).copied().flatten()).collect()
        }
        match self {
            Column::Text(texts) => {
                let mut picked = TextColumn::with_capacity(rows.len());
                rows.iter().for_each(|row| picked.push(texts.get(*row)));
                Column::Text(picked)
            }
            Column::Integer(values) => Column::Integer(of(values, rows)),
            Column::Decimal { scale, values } => {
                Column::Decimal { scale: *scale, values: of(values, rows) }
            }
            Column::Float(values) => Column::Float(of(values, rows)),
            Column::Boolean(values) => Column::Boolean(of(values, rows)),
            Column::Date(values) => Column::Date(of(values, rows)),
            Column::DateTime(values) => Column::DateTime(of(values, rows)),
        }
    }
    /// The value at `row`; out of range reads as null.
    #[must_use]
    pub fn value(&self, row: usize) -> Value {
        match self {
            Column::Text(c) => c.get(row).map_or(Value::Null, |s| Value::Text(s.to_owned())),
            Column::Integer(v) => opt(v, row).map_or(Value::Null, Value::Integer),
            Column::Decimal { scale, values } => opt(values, row)
                .and_then(|n| Decimal::try_from_i128_with_scale(n, u32::from(*scale)).ok())
                .map_or(Value::Null, Value::Decimal),
            Column::Float(v) => opt(v, row).map_or(Value::Null, Value::Float),
            Column::Boolean(v) => opt(v, row).map_or(Value::Null, Value::Boolean),
            Column::Date(v) => opt(v, row).and_then(date_of_days).map_or(Value::Null, Value::Date),
            Column::DateTime(v) => opt(v, row)
                .and_then(DateTime::from_timestamp_micros)
                .map_or(Value::Null, |t| Value::DateTime(t.naive_utc())),
        }
    }
}

fn opt<T: Copy>(values: &[Option<T>], row: usize) -> Option<T> {
    values.get(row).copied().flatten()
}

/// Date of a day count since 1970-01-01.
#[must_use]
pub fn date_of_days(days: i32) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(1970, 1, 1)?.checked_add_signed(chrono::TimeDelta::days(days.into()))
}

/// Day count since 1970-01-01 of a date.
#[must_use]
pub fn days_of_date(date: NaiveDate) -> i32 {
    let epoch = NaiveDate::from_ymd_opt(1970, 1, 1).unwrap_or_default();
    i32::try_from(date.signed_duration_since(epoch).num_days()).unwrap_or(0)
}

/// What happened to a row at its source (dsc_biz_operation).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Operation {
    #[default]
    Insert,
    Update,
    Delete,
}

impl Operation {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Insert => "I",
            Operation::Update => "U",
            Operation::Delete => "D",
        }
    }
}

/// Typed rows of one entry, columns in the order of its items.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    pub columns: Vec<Column>,
    /// Record number in the source, counted from 1 in data records (header and preamble not counted).
    pub records: Vec<u64>,
    /// Operation per row; empty means every row is an insert.
    pub operations: Vec<Operation>,
}

impl Batch {
    /// Appends the rows of another batch of the same items.
    pub fn append(&mut self, other: Batch) {
        let (before, more) = (self.rows(), other.rows());
        if !self.operations.is_empty() || !other.operations.is_empty() {
            self.operations.resize(before, Operation::Insert);
            self.operations.extend((0..more).map(|row| other.operation(row)));
        }
        for (column, more) in self.columns.iter_mut().zip(other.columns) {
            column.append(more);
        }
        self.records.extend(other.records);
    }
    /// The rows at these places, in the order given; places beyond the end are left out.
    #[must_use]
    pub fn pick(&self, rows: &[usize]) -> Self {
        let rows: Vec<usize> = rows.iter().copied().filter(|row| *row < self.rows()).collect();
        Self {
            columns: self.columns.iter().map(|column| column.pick(&rows)).collect(),
            records: rows.iter().filter_map(|row| self.records.get(*row).copied()).collect(),
            operations: match self.operations.is_empty() {
                true => Vec::new(),
                false => rows.iter().map(|row| self.operation(*row)).collect(),
            },
        }
    }
    #[must_use]
    pub fn rows(&self) -> usize {
        self.records.len()
    }
    /// About how much memory it takes: its texts, and a word or two for each value.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let texts = self.columns.iter().map(|column| match column {
            Column::Text(texts) => texts.bytes.len(),
            _ => 0,
        });
        texts.sum::<usize>() + self.columns.len() * self.rows() * 16
    }
    #[must_use]
    pub fn operation(&self, row: usize) -> Operation {
        self.operations.get(row).copied().unwrap_or_default()
    }
}

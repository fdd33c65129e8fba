//! One value of one data item, as rows travel outward.

use chrono::{NaiveDate, NaiveDateTime};
use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

/// A typed value. `DateTime` is civil time in China (UTC+8); geometry and JSON travel as `Text`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Text(String),
    Integer(i64),
    Decimal(Decimal),
    Float(f64),
    Boolean(bool),
    Date(NaiveDate),
    DateTime(NaiveDateTime),
}

impl Value {
    /// Plain text form, as written into CSV; `None` for null.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        Some(match self {
            Value::Null => return None,
            Value::Text(s) => s.clone(),
            Value::Integer(i) => i.to_string(),
            Value::Decimal(d) => d.to_string(),
            Value::Float(f) => f.to_string(),
            Value::Boolean(b) => b.to_string(),
            Value::Date(d) => d.to_string(),
            Value::DateTime(t) => date_time_text(t),
        })
    }
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }
}

/// `2026-01-02T03:04:05` with fractional seconds only when there are any.
#[must_use]
pub fn date_time_text(t: &NaiveDateTime) -> String {
    format!("{t:?}")
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => s.serialize_none(),
            Value::Text(t) => s.serialize_str(t),
            Value::Integer(i) => s.serialize_i64(*i),
            // A JSON number with every digit (serde_json's RawValue is not needed: decimals of up to 15 digits are exact,
            // longer ones travel as strings so that nothing is lost).
            Value::Decimal(d) => {
                if d.mantissa().unsigned_abs() < 1_000_000_000_000_000 {
                    let text = d.to_string();
                    s.serialize_f64(text.parse().unwrap_or_default())
                } else {
                    s.serialize_str(&d.to_string())
                }
            }
            Value::Float(f) => s.serialize_f64(*f),
            Value::Boolean(b) => s.serialize_bool(*b),
            Value::Date(d) => s.collect_str(d),
            Value::DateTime(t) => s.collect_str(&format_args!("{t:?}")),
        }
    }
}

/// One row, in the order of the columns asked for.
pub type Row = Vec<Value>;

/// Rows with their column names: what a release hands to a door.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    pub columns: Vec<String>,
    pub rows: Vec<Row>,
}

/// How rows are written as lines of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineForm {
    /// What stands between values: a comma, a tab.
    pub between: u8,
    /// Each line begins with its row's number, this many having passed before; `None`: no numbers.
    pub passed: Option<u64>,
    /// Texts that a spreadsheet would take for formulas have an apostrophe before them ([`crate::spreadsheet`]).
    pub harmless: bool,
}

/// Rows that are bytes of a file already: lines of text, each ended by CR LF, or a piece of a file by column, whose rows are
/// those it completes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    pub rows: usize,
    pub bytes: Vec<u8>,
}

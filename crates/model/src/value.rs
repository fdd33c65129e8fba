//! One value of one data item, as rows travel outward.

use chrono::{NaiveDate, NaiveDateTime};
use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

use crate::digits;

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
            Value::Date(d) => match digits::date(*d) {
                Some(date) => digits::text(&date).to_owned(),
                None => d.to_string(),
            },
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
    match digits::date_time(t) {
        Some(time) => digits::text(&time).to_owned(),
        None => format!("{t:?}"),
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => s.serialize_none(),
            Value::Text(t) => s.serialize_str(t),
            Value::Integer(i) => s.serialize_i64(*i),
            // A JSON number with every digit (serde_json's RawValue is not needed: decimals of up to 15 digits are exact,
            // longer ones travel as strings so that nothing is lost).
            Value::Decimal(d) => match number(d) {
                Some(number) => s.serialize_f64(number),
                None => s.serialize_str(&d.to_string()),
            },
            Value::Float(f) => s.serialize_f64(*f),
            Value::Boolean(b) => s.serialize_bool(*b),
            Value::Date(d) => match digits::date(*d) {
                Some(date) => s.serialize_str(digits::text(&date)),
                None => s.collect_str(d),
            },
            Value::DateTime(t) => match digits::date_time(t) {
                Some(time) => s.serialize_str(digits::text(&time)),
                None => s.collect_str(&format_args!("{t:?}")),
            },
        }
    }
}

/// The binary number nearest to a decimal, as reading its digits makes it; `None` for more than 15 digits.
fn number(d: &Decimal) -> Option<f64> {
    let digits = u64::try_from(d.mantissa().unsigned_abs()).ok().filter(|n| *n < MOST)?;
    let Some(tens) = usize::try_from(d.scale()).ok().and_then(|scale| TENS.get(scale)) else {
        return Some(d.to_string().parse().unwrap_or_default());
    };
    // Both are exact, so that their quotient is rounded once, as the digits are when they are read.
    let size = digits as f64 / tens;
    Some(if d.is_sign_negative() { -size } else { size })
}

/// Below it a whole number is exact in binary, and its digits come back.
const MOST: u64 = 1_000_000_000_000_000;
/// Powers of ten that are exact in binary.
const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

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

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: Value) -> String {
        serde_json::to_string(&value).unwrap()
    }

    #[test]
    fn a_decimal_is_the_number_its_digits_are_read_as() {
        // Numbers of every length and scale, by a fixed sequence.
        let mut state: u64 = 7;
        for n in 0..60_000_u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let length = 10_u64.pow(u32::try_from(n % 15).unwrap() + 1);
            let mantissa = i64::try_from((state >> 11) % length).unwrap();
            let mantissa = if n % 2 == 0 { mantissa } else { -mantissa };
            let decimal = Decimal::new(mantissa, u32::try_from(n % 29).unwrap());
            let read: f64 = decimal.to_string().parse().unwrap();
            let number = number(&decimal).unwrap();
            assert_eq!(number.to_bits(), read.to_bits(), "{decimal}");
        }
    }

    #[test]
    fn decimals_are_written_as_ever() {
        let decimal = |text: &str| written(Value::Decimal(text.parse().unwrap()));
        for (text, json) in [
            ("12.50", "12.5"),
            ("12", "12.0"),
            ("-0.1", "-0.1"),
            ("0.00", "0.0"),
            ("0.0000000000000000000000000001", "1e-28"),
            ("999999999999999", "999999999999999.0"),
            ("9999999999999.99", "9999999999999.99"),
            ("1000000000000000", "\"1000000000000000\""),
            ("-12345678901234567890.12", "\"-12345678901234567890.12\""),
        ] {
            assert_eq!(decimal(text), json, "{text}");
        }
        let mut nothing = Decimal::ZERO;
        nothing.set_sign_negative(true);
        let read: f64 = nothing.to_string().parse().unwrap();
        assert_eq!(written(Value::Decimal(nothing)), serde_json::to_string(&read).unwrap());
    }

    #[test]
    fn dates_and_times_are_written_as_ever() {
        let day = |year| NaiveDate::from_ymd_opt(year, 3, 9).unwrap();
        for year in [-1, 0, 987, 2026, 9999, 10_000] {
            let date = Value::Date(day(year));
            assert_eq!(date.to_text(), Some(day(year).to_string()));
            assert_eq!(written(date), format!("\"{}\"", day(year)));
            for nanos in [0, 5_000, 250_000_000, 1_500_000_000] {
                let time = day(year).and_hms_nano_opt(23, 4, 59, nanos).unwrap();
                assert_eq!(date_time_text(&time), format!("{time:?}"));
                assert_eq!(written(Value::DateTime(time)), format!("\"{time:?}\""));
            }
        }
    }
}

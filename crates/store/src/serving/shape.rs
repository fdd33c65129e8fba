//! How an entry's items lie in a serving table: one column per item (`c0`, `c1`, …), stored so that the database
//! compares and sorts exactly as the item's type does, with the way back to [`Value`].
//!
//! Decimals up to 18 digits are scaled integers; longer ones are 32 hex digits whose text order is the number's.
//! Dates are days, date-times microseconds since 1970 (civil time in China), booleans 0 and 1.

use std::borrow::Cow;
use std::hash::Hasher as _;

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use model::batch::{Column, date_of_days, days_of_date};
use model::code::{DataType, Grade, OpenType, ShareType};
use model::entry::EntryDraft;
use model::item::Item;
use model::value::Value;
use model::{Error, Result};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;

/// Digits that fit an integer column.
const NARROW_DIGITS: u8 = 18;

/// How one column is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Text,
    Integer,
    /// Unscaled value in an integer.
    Narrow(u8),
    /// Unscaled value as sortable hex text.
    Wide(u8),
    Float,
    Boolean,
    Date,
    DateTime,
}

impl Kind {
    pub(crate) fn of(item: &Item) -> Self {
        match item.data_type {
            DataType::Text | DataType::Geometry | DataType::Json => Kind::Text,
            DataType::Integer => Kind::Integer,
            DataType::Decimal if (1..=NARROW_DIGITS).contains(&item.precision) => {
                Kind::Narrow(item.scale)
            }
            DataType::Decimal => Kind::Wide(item.scale),
            DataType::Float => Kind::Float,
            DataType::Boolean => Kind::Boolean,
            DataType::Date => Kind::Date,
            DataType::DateTime => Kind::DateTime,
        }
    }
    pub(crate) fn storage(self) -> Storage {
        match self {
            Kind::Text | Kind::Wide(_) => Storage::Text,
            Kind::Float => Storage::Float,
            _ => Storage::Integer,
        }
    }
}

/// What the database sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    Text,
    Integer,
    Float,
}

/// One column of a serving table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShapeColumn {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Indexed for look-ups.
    pub(crate) lookup: bool,
    /// Whether any row holds a null here (or did since the last full load).
    #[serde(default)]
    pub(crate) nulls: bool,
    /// Rows per value of a look-up column, counted at the last full load; 0 = not known.
    #[serde(default)]
    pub(crate) fan_out: u64,
}

/// The columns of a serving table and which of them are the business key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shape {
    pub(crate) columns: Vec<ShapeColumn>,
    pub(crate) key: Vec<usize>,
    /// Whether the table has a column behind its items with a keyed hash of the business key: the order for callers who
    /// may not know the key, to whom the key's own order would tell between which values a hidden one lies. `None`:
    /// filled before this was asked.
    #[serde(default)]
    pub(crate) shuffled: Option<bool>,
}

/// Makes the keyed hash by which rows are ordered for callers who may not know the key.
#[derive(Clone, Copy)]
pub(crate) struct Shuffler(SipHasher24);

impl Shuffler {
    pub(crate) fn new(key: &[u8; 16]) -> Self {
        Self(SipHasher24::new_with_key(key))
    }

    /// The place of a row by its key's cells.
    pub(crate) fn place<'a>(&self, key: impl Iterator<Item = Result<Cell<'a>>>) -> Result<i64> {
        let mut hasher = self.0;
        for cell in key {
            match cell? {
                Cell::Null => hasher.write_u8(0),
                Cell::Integer(i) => {
                    hasher.write_u8(1);
                    hasher.write_i64(i);
                }
                Cell::Float(f) => {
                    hasher.write_u8(2);
                    hasher.write_u64(f.to_bits());
                }
                Cell::Text(text) => {
                    hasher.write_u8(3);
                    hasher.write_usize(text.len());
                    hasher.write(text.as_bytes());
                }
            }
        }
        Ok(hasher.finish().cast_signed())
    }
}

/// Whether some caller may see rows without seeing this item of the key plain.
fn secret(draft: &EntryDraft, item: &Item) -> bool {
    item.grade > Grade::L1
        || item.mask.is_some()
        || item.share_type != ShareType::Unconditional
        || (draft.open_type != OpenType::None && item.open_type != OpenType::Unconditional)
}

impl Shape {
    pub(crate) fn of(draft: &EntryDraft) -> Self {
        let column = |item: &Item| ShapeColumn {
            name: item.identifier.clone(),
            kind: Kind::of(item),
            lookup: item.lookup,
            nulls: false,
            fan_out: 0,
        };
        Self {
            columns: draft.items.iter().map(column).collect(),
            key: draft
                .items
                .iter()
                .enumerate()
                .filter(|(_, i)| i.primary)
                .map(|(n, _)| n)
                .collect(),
            shuffled: Some(draft.items.iter().any(|i| i.primary && secret(draft, i))),
        }
    }
    /// Number of the column with the keyed hash of the key, when there is one.
    pub(crate) fn shuffle(&self) -> Option<usize> {
        (self.shuffled == Some(true)).then_some(self.columns.len())
    }
    pub(crate) fn find(&self, name: &str) -> Option<(usize, &ShapeColumn)> {
        self.columns.iter().enumerate().find(|(_, c)| c.name == name)
    }
    /// Whether a table of the other shape can be used as it is: same columns, kinds, key and indexes.
    pub(crate) fn same_layout(&self, other: &Shape) -> bool {
        self.key == other.key
            && self.columns.len() == other.columns.len()
            && self
                .columns
                .iter()
                .zip(&other.columns)
                .all(|(a, b)| a.name == b.name && a.kind == b.kind && a.lookup == b.lookup)
    }
    /// Columns that have an index of their own (a single key column is found by the key's index).
    pub(crate) fn lookups(&self) -> impl Iterator<Item = usize> + '_ {
        self.columns
            .iter()
            .enumerate()
            .filter(|(n, c)| c.lookup && self.key.first() != Some(n))
            .map(|(n, _)| n)
    }
}

/// One stored value, owned or borrowed from a batch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    Null,
    Integer(i64),
    Float(f64),
    Text(Cow<'a, str>),
}

impl Cell<'_> {
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Cell::Null)
    }
}

/// The stored form of a batch's value.
pub(crate) fn cell(column: &Column, kind: Kind, row: usize) -> Result<Cell<'_>> {
    fn at<T: Copy>(values: &[Option<T>], row: usize) -> Option<T> {
        values.get(row).copied().flatten()
    }
    Ok(match (column, kind) {
        (Column::Text(c), Kind::Text) => {
            c.get(row).map_or(Cell::Null, |s| Cell::Text(Cow::Borrowed(s)))
        }
        (Column::Integer(v), Kind::Integer) => at(v, row).map_or(Cell::Null, Cell::Integer),
        (Column::Decimal { scale, values }, Kind::Narrow(to) | Kind::Wide(to)) => {
            match at(values, row) {
                None => Cell::Null,
                Some(unscaled) => {
                    let unscaled = rescale(unscaled, *scale, to)?;
                    match kind {
                        Kind::Narrow(_) => {
                            Cell::Integer(i64::try_from(unscaled).map_err(|_| {
                                Error::internal("a decimal is longer than its item's precision")
                            })?)
                        }
                        _ => Cell::Text(Cow::Owned(wide_text(unscaled))),
                    }
                }
            }
        }
        // Neither database compares NaN usefully; SQLite stores it as null anyway.
        (Column::Float(v), Kind::Float) => {
            at(v, row).filter(|f| !f.is_nan()).map_or(Cell::Null, Cell::Float)
        }
        (Column::Boolean(v), Kind::Boolean) => {
            at(v, row).map_or(Cell::Null, |b| Cell::Integer(i64::from(b)))
        }
        (Column::Date(v), Kind::Date) => {
            at(v, row).map_or(Cell::Null, |d| Cell::Integer(i64::from(d)))
        }
        (Column::DateTime(v), Kind::DateTime) => at(v, row).map_or(Cell::Null, Cell::Integer),
        _ => {
            return Err(Error::internal(format!(
                "a batch column does not have the item's type ({kind:?})"
            )));
        }
    })
}

fn rescale(unscaled: i128, from: u8, to: u8) -> Result<i128> {
    if from == to {
        return Ok(unscaled);
    }
    let factor = 10_i128.checked_pow(u32::from(from.abs_diff(to)));
    let scaled = match factor {
        Some(f) if to > from => unscaled.checked_mul(f),
        Some(f) if unscaled % f == 0 => Some(unscaled / f),
        _ => None,
    };
    scaled.ok_or_else(|| Error::internal("a decimal has more digits after the point than its item"))
}

/// Text whose order is the number's: the sign bit is turned over, then 32 hex digits.
fn wide_text(unscaled: i128) -> String {
    format!("{:032x}", unscaled.cast_unsigned() ^ (1 << 127))
}

fn wide_value(text: &str) -> Option<i128> {
    Some((u128::from_str_radix(text, 16).ok()? ^ (1 << 127)).cast_signed())
}

/// A stored integer read back.
pub(crate) fn integer_value(kind: Kind, n: i64) -> Value {
    match kind {
        Kind::Narrow(scale) => decimal(i128::from(n), scale),
        Kind::Boolean => Value::Boolean(n != 0),
        Kind::Date => i32::try_from(n).ok().and_then(date_of_days).map_or(Value::Null, Value::Date),
        Kind::DateTime => DateTime::from_timestamp_micros(n)
            .map_or(Value::Null, |t| Value::DateTime(t.naive_utc())),
        _ => Value::Integer(n),
    }
}

/// A stored text read back.
pub(crate) fn text_value(kind: Kind, text: &str) -> Value {
    match kind {
        Kind::Wide(scale) => wide_value(text).map_or(Value::Null, |n| decimal(n, scale)),
        _ => Value::Text(text.to_owned()),
    }
}

fn decimal(unscaled: i128, scale: u8) -> Value {
    Decimal::try_from_i128_with_scale(unscaled, u32::from(scale))
        .map_or(Value::Null, Value::Decimal)
}

/// A comparison value placed on the column's scale.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Point {
    /// Equal to a storable value.
    At(Cell<'static>),
    /// Strictly between this storable value and the next.
    After(Cell<'static>),
    /// Smaller than every storable value.
    Below,
    /// Greater than every storable value.
    Above,
}

/// Reads a caller's text by the column's type; `None` when it is not a value of that type.
pub(crate) fn point(kind: Kind, text: &str) -> Option<Point> {
    let at = |n: i64| Some(Point::At(Cell::Integer(n)));
    match kind {
        Kind::Text => Some(Point::At(Cell::Text(Cow::Owned(text.to_owned())))),
        Kind::Integer => match text.trim().parse::<i64>() {
            Ok(n) => at(n),
            // A whole number beyond 64 bits still has its place: before or after all of ours.
            Err(_) => decimal_point(text, 0, true).filter(|p| !matches!(p, Point::After(_))),
        },
        Kind::Narrow(scale) => decimal_point(text, scale, true),
        Kind::Wide(scale) => decimal_point(text, scale, false),
        Kind::Float => {
            let n = text.trim().parse::<f64>().ok()?;
            n.is_finite().then_some(Point::At(Cell::Float(n)))
        }
        Kind::Boolean => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => at(1),
            "false" | "f" | "no" | "n" | "off" | "0" => at(0),
            _ => None,
        },
        Kind::Date => at(i64::from(days_of_date(read_date(text)?))),
        Kind::DateTime => at(read_date_time(text)?.and_utc().timestamp_micros()),
    }
}

fn decimal_point(text: &str, scale: u8, narrow: bool) -> Option<Point> {
    let number = Decimal::from_str_exact(text.trim()).ok()?;
    let beyond = if number.is_sign_negative() { Point::Below } else { Point::Above };
    let (mantissa, has) = (number.mantissa(), number.scale());
    let to = u32::from(scale);
    let (floor, exact) = if has <= to {
        match 10_i128.checked_pow(to - has).and_then(|f| mantissa.checked_mul(f)) {
            Some(n) => (n, true),
            None => return Some(beyond),
        }
    } else {
        let factor = 10_i128.checked_pow(has - to)?;
        (mantissa.div_euclid(factor), mantissa.rem_euclid(factor) == 0)
    };
    let cell = if narrow {
        match i64::try_from(floor) {
            Ok(n) => Cell::Integer(n),
            Err(_) => return Some(beyond),
        }
    } else {
        Cell::Text(Cow::Owned(wide_text(floor)))
    };
    Some(if exact { Point::At(cell) } else { Point::After(cell) })
}

/// `YYYY-MM-DD` or `YYYYMMDD`.
fn read_date(text: &str) -> Option<NaiveDate> {
    let text = text.trim();
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .or_else(|_| NaiveDate::parse_from_str(text, "%Y%m%d"))
        .ok()
}

/// ISO 8601 with `T` or a blank, with or without seconds, fraction and offset; a date alone is its midnight.
fn read_date_time(text: &str) -> Option<NaiveDateTime> {
    let text = text.trim();
    if let Ok(t) = DateTime::parse_from_rfc3339(text) {
        return Some(t.with_timezone(&model::op::china()).naive_local());
    }
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|f| NaiveDateTime::parse_from_str(text, f).ok())
        .or_else(|| read_date(text)?.and_hms_opt(0, 0, 0))
}

/// What a value of this kind looks like, for messages (zh, en).
pub(crate) fn example(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Text => ("文本", "text"),
        Kind::Integer => ("整数，如 42", "a whole number such as 42"),
        Kind::Narrow(_) | Kind::Wide(_) => ("小数，如 12.5", "a decimal number such as 12.5"),
        Kind::Float => ("数值，如 12.5", "a number such as 12.5"),
        Kind::Boolean => ("true 或 false", "true or false"),
        Kind::Date => ("日期，如 2026-01-31", "a date such as 2026-01-31"),
        Kind::DateTime => {
            ("日期时间，如 2026-01-31T08:30:00", "a date and time such as 2026-01-31T08:30:00")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_texts_sort_as_their_numbers() {
        let numbers =
            [i128::MIN, -10_i128.pow(28), -11, -10, -1, 0, 1, 9, 10, 10_i128.pow(28), i128::MAX];
        let texts: Vec<String> = numbers.iter().map(|n| wide_text(*n)).collect();
        assert!(texts.windows(2).all(|w| w[0] < w[1]), "{texts:?}");
        assert!(numbers.iter().zip(&texts).all(|(n, t)| wide_value(t) == Some(*n)));
    }

    #[test]
    fn comparison_values_find_their_place_between_storable_ones() {
        let int = |n| Some(Point::At(Cell::Integer(n)));
        assert_eq!(point(Kind::Narrow(2), "12.3"), int(1230));
        assert_eq!(point(Kind::Narrow(2), "-0.005"), Some(Point::After(Cell::Integer(-1))));
        assert_eq!(point(Kind::Narrow(2), "1.005"), Some(Point::After(Cell::Integer(100))));
        assert_eq!(point(Kind::Narrow(2), "99999999999999999999"), Some(Point::Above));
        assert_eq!(point(Kind::Integer, "-99999999999999999999"), Some(Point::Below));
        assert_eq!(point(Kind::Integer, "2.5"), None);
        assert_eq!(point(Kind::Integer, "abc"), None);
        assert_eq!(point(Kind::Date, "1970-01-02"), int(1));
        assert_eq!(point(Kind::Date, "2026-02-30"), None);
        assert_eq!(
            point(Kind::DateTime, "1970-01-01T00:00:01Z"),
            int(8 * 3_600_000_000 + 1_000_000)
        );
        assert_eq!(point(Kind::DateTime, "1970-01-01 00:00:00.5"), int(500_000));
        assert_eq!(point(Kind::Float, "NaN"), None);
    }
}

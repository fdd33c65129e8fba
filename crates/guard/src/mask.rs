//! Masks applied to values. The rules stand in `model::mask`, who gets which in `policy`; here is how.
//!
//! Numbers and dates are masked like texts. Null stays null: its absence says nothing that the mask could hide.
//! The type of a masked column depends on mask and item type only, never on the value ([`output_type`]), so that an
//! engine can declare its columns before it reads a row.

use std::fmt;
use std::sync::OnceLock;

use chrono::{Datelike, NaiveDate};
use hmac::{Hmac, Mac};
use model::code::DataType;
use model::mask::{Generalise, Mask};
use model::value::Value;
use rust_decimal::Decimal;
use sm3::Sm3;

use crate::keys::{MaskKey, SecretKey, hmac_sm3};
use crate::preserving::Preserver;

/// What a value becomes that is replaced whole.
pub const REPLACED: &str = "******";

/// Applies masks for one grantee. Make one per grant: keys are derived once, FF1's key schedules at first use.
/// The same grantee sees the same answer for the same value; two grantees cannot compare theirs.
pub struct Masker {
    hash: Hmac<Sm3>,
    key: SecretKey,
    preserver: OnceLock<Option<Preserver>>,
}

impl fmt::Debug for Masker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Masker(…)")
    }
}

impl Masker {
    /// Keys of their own for hash and FF1, derived from the platform's mask key and the grantee.
    #[must_use]
    pub fn new(key: &MaskKey, grantee: &str) -> Self {
        let own = key.0.derive(&format!("grantee:{grantee}"));
        Self {
            hash: hmac_sm3(own.derive("hash").bytes()),
            key: own.derive("ff1"),
            preserver: OnceLock::new(),
        }
    }

    /// The masked value of one column. `column` is FF1's tweak, so equal values of two columns differ.
    #[must_use]
    pub fn apply(&self, mask: &Mask, column: &str, value: &Value) -> Value {
        if value.is_null() {
            return Value::Null;
        }
        match mask {
            Mask::Blank => Value::Null,
            Mask::Replace => replaced(),
            Mask::Round { step } => round(value, *step),
            Mask::Keep { head, tail } => {
                with_text(value, |text| Value::Text(keep(text, *head, *tail)))
            }
            Mask::Hash => with_text(value, |text| Value::Text(self.hash(text))),
            Mask::Generalise { to } => with_text(value, |text| generalise(text, to)),
            Mask::FormatPreserving => with_text(value, |text| {
                self.turn(column, text, true).map_or_else(replaced, Value::Text)
            }),
        }
    }

    /// The way back from a format-preserving mask: the text form of the original value. `None` when the text was
    /// not made by it (it was replaced whole).
    #[must_use]
    pub fn reveal(&self, column: &str, masked: &str) -> Option<String> {
        self.turn(column, masked, false)
    }

    fn turn(&self, column: &str, text: &str, forward: bool) -> Option<String> {
        self.preserver.get_or_init(|| Preserver::new(&self.key)).as_ref()?.turn(
            column.as_bytes(),
            text,
            forward,
        )
    }

    fn hash(&self, text: &str) -> String {
        let mut mac = self.hash.clone();
        mac.update(text.as_bytes());
        let full = mac.finalize().into_bytes();
        full.first_chunk::<16>().map(hex::encode).unwrap_or_default()
    }
}

/// Type of a column of `data_type` after `mask`: text, except where blanking and rounding keep the type.
#[must_use]
pub fn output_type(mask: &Mask, data_type: DataType) -> DataType {
    let number = matches!(data_type, DataType::Integer | DataType::Decimal | DataType::Float);
    match mask {
        Mask::Blank => data_type,
        Mask::Round { .. } if number => data_type,
        _ => DataType::Text,
    }
}

fn replaced() -> Value {
    Value::Text(REPLACED.to_owned())
}

/// Runs `f` on the text form, without copying texts.
fn with_text(value: &Value, f: impl FnOnce(&str) -> Value) -> Value {
    match value {
        Value::Text(text) => f(text),
        other => other.to_text().map_or(Value::Null, |text| f(&text)),
    }
}

/// Keeps `head` and `tail` characters and stars the rest. When they would cover the whole text, the longer end gives
/// way until one character in the middle is starred.
fn keep(text: &str, head: u32, tail: u32) -> String {
    let mut out = String::with_capacity(text.len());
    // Writing into a String cannot fail.
    let _ = write_kept(text, head, tail, &mut out);
    out
}

/// The same, written to the end of `out`: for columns of many texts.
pub fn write_kept(text: &str, head: u32, tail: u32, out: &mut impl fmt::Write) -> fmt::Result {
    let length = text.chars().count();
    let wanted = |n: u32| usize::try_from(n).unwrap_or(usize::MAX).min(length);
    let (mut head, mut tail) = (wanted(head), wanted(tail));
    while length > 0 && head + tail >= length {
        if head > tail {
            head -= 1;
        } else {
            tail -= 1;
        }
    }
    let place = |n: usize| text.char_indices().nth(n).map_or(text.len(), |(at, _)| at);
    out.write_str(text.get(..place(head)).unwrap_or_default())?;
    for _ in head..length - tail {
        out.write_char('*')?;
    }
    out.write_str(text.get(place(length - tail)..).unwrap_or_default())
}

fn generalise(text: &str, to: &Generalise) -> Value {
    match to {
        Generalise::Prefix(n) => {
            // Never the whole: the last character always goes.
            let length = text.chars().count();
            let n = usize::try_from(*n).unwrap_or(usize::MAX).min(length.saturating_sub(1));
            let prefix: String = text.chars().take(n).collect();
            if prefix.is_empty() { replaced() } else { Value::Text(prefix) }
        }
        Generalise::Year => {
            year_month(text).map_or_else(replaced, |(year, _)| Value::Text(format!("{year:04}")))
        }
        Generalise::Month => match year_month(text) {
            Some((year, Some(month))) => Value::Text(format!("{year:04}-{month:02}")),
            _ => replaced(),
        },
    }
}

/// Year and month of a text that starts with a date: `1990-05-01…`, `1990/5/1`, `1990.05`, `19900501`, `1990年5月`, `1990`.
fn year_month(text: &str) -> Option<(i32, Option<u32>)> {
    let text = text.trim();
    let digits: usize = text.bytes().take_while(u8::is_ascii_digit).count();
    let year_text = text.get(..4).filter(|_| digits >= 4)?;
    let year: i32 = year_text.parse().ok()?;
    let rest = text.get(4..)?;
    if digits == 8 || digits == 14 {
        let date = NaiveDate::parse_from_str(text.get(..8)?, "%Y%m%d").ok()?;
        return Some((date.year(), Some(date.month())));
    }
    if digits == 6 && rest.len() == 2 {
        let month: u32 = rest.parse().ok()?;
        return (1..=12).contains(&month).then_some((year, Some(month)));
    }
    if digits != 4 {
        return None;
    }
    let mut chars = rest.chars();
    match chars.next() {
        None => Some((year, None)),
        Some('年' | '-' | '/' | '.') => {
            let month: String = chars.take_while(char::is_ascii_digit).take(2).collect();
            match month.parse() {
                Ok(m) if (1..=12_u32).contains(&m) => Some((year, Some(m))),
                Ok(_) => None,
                Err(_) => Some((year, None)).filter(|_| month.is_empty()),
            }
        }
        Some(_) => None,
    }
}

/// Rounds down to a multiple of `step`. A number that cannot be rounded (no positive step, overflow) is not released;
/// what is not a number is replaced.
fn round(value: &Value, step: i64) -> Value {
    match value {
        Value::Integer(v) => round_integer(*v, step).map_or(Value::Null, Value::Integer),
        Value::Decimal(v) => round_decimal(*v, step).map_or(Value::Null, Value::Decimal),
        Value::Float(v) if step > 0 => {
            #[expect(clippy::cast_precision_loss, reason = "a rounding step far below 2^53")]
            let step = step as f64;
            Value::Float((v / step).floor() * step)
        }
        Value::Float(_) => Value::Null,
        Value::Text(text) => text
            .trim()
            .parse::<Decimal>()
            .ok()
            .and_then(|v| round_decimal(v, step))
            .map_or_else(replaced, |v| Value::Text(v.to_string())),
        _ => replaced(),
    }
}

fn round_integer(value: i64, step: i64) -> Option<i64> {
    if step <= 0 {
        return None;
    }
    value.checked_sub(value.rem_euclid(step))
}

fn round_decimal(value: Decimal, step: i64) -> Option<Decimal> {
    if step <= 0 {
        return None;
    }
    let unit = Decimal::from(step);
    let mut rounded = value.checked_div(unit)?.floor().checked_mul(unit)?;
    rounded.rescale(value.scale());
    Some(rounded)
}

//! Columns of MySQL and MariaDB: what they are, and their values in the words that typing reads, alike by query and by log.
//!
//! ```text
//! source                                item         as
//! tinyint … bigint (unsigned), year     Integer      unsigned beyond 63 bits does not fit and is set aside
//! decimal                               Decimal
//! float double                          Float        a float as the double it is
//! date datetime timestamp               Date, DateTime   a timestamp in China's civil time; 0000-00-00 is empty
//! time                                  Text         with its fraction; not time(1) and time(2), see `coder`
//! char varchar text enum set            Text         from the column's own character set; a set separated by commas
//! json                                  Json
//! binary varbinary blob                 Text         hexadecimal, binary(n) with its zeros
//! bit(n)                                Text         0101; a number where the item is one
//! geometry                              Geometry     WKB becomes WKT
//! ```

use encoding_rs::Encoding;
use model::op::china;
use model::{Error, Result};
use mysql_async::Value;
use mysql_async::binlog::value::BinlogValue;

use super::super::kind::Kind;

/// How the values of a column are read.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::rail) enum Coder {
    /// Bits of an unsigned number; `None` for a signed one.
    Integer(Option<u32>),
    Plain,
    Float,
    Date,
    DateTime,
    Timestamp,
    /// Digits of the fraction.
    Time(usize),
    Text(&'static Encoding),
    /// Length that zeros at the end are filled up to.
    Bytes(usize),
    Enum(Vec<String>),
    Set(Vec<String>),
    Bits(usize),
    Geometry,
}

/// A column's coder and kind by what `information_schema` says; `None` for types that are not followed.
pub(super) fn coder(
    data_type: &str,
    full: &str,
    charset: &str,
    fraction: &str,
) -> Option<(Coder, Kind)> {
    let unsigned = |bits: u32| Coder::Integer(full.contains("unsigned").then_some(bits));
    let number = full
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'))
        .and_then(|(inner, _)| inner.parse::<usize>().ok());
    Some(match data_type {
        "tinyint" => (unsigned(8), Kind::Integer),
        "smallint" => (unsigned(16), Kind::Integer),
        "mediumint" => (unsigned(24), Kind::Integer),
        "int" => (unsigned(32), Kind::Integer),
        "bigint" => (unsigned(64), Kind::Integer),
        "year" => (Coder::Plain, Kind::Integer),
        "decimal" => (Coder::Plain, Kind::Numeric),
        "float" | "double" => (Coder::Float, Kind::Float),
        "date" => (Coder::Date, Kind::Date),
        "datetime" => (Coder::DateTime, Kind::DateTime),
        "timestamp" => (Coder::Timestamp, Kind::DateTime),
        // The client library reads such negative times wrongly.
        "time" if matches!(fraction, "1" | "2") => return None,
        "time" => (Coder::Time(fraction.parse().unwrap_or(0)), Kind::Text),
        "json" => (Coder::Text(encoding_rs::UTF_8), Kind::Json),
        "enum" => (Coder::Enum(labels(full)), Kind::Text),
        "set" => (Coder::Set(labels(full)), Kind::Text),
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => {
            (Coder::Text(encoding(charset)?), Kind::Text)
        }
        "binary" => (Coder::Bytes(number.unwrap_or(1)), Kind::Bytes),
        "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => {
            (Coder::Bytes(0), Kind::Bytes)
        }
        "bit" => (Coder::Bits(number.unwrap_or(1)), Kind::Bits),
        "geometry" | "point" | "linestring" | "polygon" | "multipoint" | "multilinestring"
        | "multipolygon" | "geometrycollection" | "geomcollection" => {
            (Coder::Geometry, Kind::Geometry)
        }
        _ => return None,
    })
}

fn encoding(charset: &str) -> Option<&'static Encoding> {
    Some(match charset {
        "utf8mb4" | "utf8mb3" | "utf8" | "ascii" => encoding_rs::UTF_8,
        "gbk" | "gb2312" => encoding_rs::GBK,
        "gb18030" => encoding_rs::GB18030,
        "latin1" => encoding_rs::WINDOWS_1252,
        "big5" => encoding_rs::BIG5,
        _ => return None,
    })
}

/// Labels of `enum('a','b''c')`.
fn labels(full: &str) -> Vec<String> {
    let inner = full.split_once('(').map_or("", |(_, rest)| rest.strip_suffix(')').unwrap_or(rest));
    let (mut all, mut word, mut inside) = (Vec::new(), String::new(), false);
    let mut letters = inner.chars().peekable();
    while let Some(c) = letters.next() {
        match c {
            '\'' if inside && letters.peek() == Some(&'\'') => {
                letters.next();
                word.push('\'');
            }
            '\'' if inside => {
                inside = false;
                all.push(std::mem::take(&mut word));
            }
            '\'' => inside = true,
            c if inside => word.push(c),
            _ => {}
        }
    }
    all
}

/// A value as a query answers it (in UTF-8, times in China's zone).
pub(in crate::rail) fn of_query(coder: &Coder, value: Value) -> Option<String> {
    let Value::Bytes(bytes) = value else { return None };
    Some(match coder {
        Coder::Bytes(_) => hex(&bytes, 0),
        Coder::Bits(width) => bits(&bytes, *width),
        Coder::Geometry => hex(bytes.get(4..)?, 0),
        Coder::Date | Coder::DateTime | Coder::Timestamp => {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            return (!text.starts_with("0000-00-00")).then_some(text);
        }
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    })
}

/// A value as the log holds it.
pub(super) fn of_log(coder: &Coder, value: BinlogValue<'_>) -> Result<Option<String>> {
    let value = Value::try_from(value)
        .map_err(|e| Error::internal("rail: a value of the log").caused_by(e))?;
    Ok(match (coder, value) {
        (_, Value::NULL) => None,
        (Coder::Integer(bits), value) => Some(integer(*bits, &value)),
        (Coder::Float, Value::Float(f)) => Some(f64::from(f).to_string()),
        (Coder::Float, Value::Double(f)) => Some(f.to_string()),
        (Coder::Date, Value::Date(0, 0, 0, ..)) => None,
        (Coder::Date, Value::Date(y, m, d, ..)) => Some(format!("{y:04}-{m:02}-{d:02}")),
        (Coder::DateTime, Value::Date(0, 0, 0, ..)) => None,
        (Coder::DateTime, Value::Date(y, mo, d, h, mi, s, us)) => {
            Some(format!("{y:04}-{mo:02}-{d:02} {h:02}:{mi:02}:{s:02}.{us:06}"))
        }
        (Coder::Timestamp, value) => timestamp(&value),
        (Coder::Time(digits), Value::Time(minus, days, h, m, s, us)) => {
            let sign = if minus { "-" } else { "" };
            let hours = days * 24 + u32::from(h);
            let whole = format!("{sign}{hours:02}:{m:02}:{s:02}");
            let fraction = format!("{us:06}");
            Some(match *digits {
                0 => whole,
                n => format!("{whole}.{}", fraction.get(..n.min(6)).unwrap_or_default()),
            })
        }
        (Coder::Text(encoding), Value::Bytes(bytes)) => {
            Some(encoding.decode_without_bom_handling(&bytes).0.into_owned())
        }
        (Coder::Bytes(length), Value::Bytes(bytes)) => Some(hex(&bytes, *length)),
        (Coder::Enum(labels), Value::Int(n)) => {
            let at = usize::try_from(n).ok().and_then(|n| n.checked_sub(1));
            Some(at.and_then(|at| labels.get(at)).cloned().unwrap_or_default())
        }
        (Coder::Set(labels), Value::Bytes(bytes)) => {
            let chosen = |at: usize| bytes.get(at / 8).is_some_and(|b| b >> (at % 8) & 1 == 1);
            let words: Vec<&str> = labels
                .iter()
                .enumerate()
                .filter(|(at, _)| chosen(*at))
                .map(|(_, label)| label.as_str())
                .collect();
            Some(words.join(","))
        }
        (Coder::Bits(width), Value::Bytes(bytes)) => Some(bits(&bytes, *width)),
        (Coder::Geometry, Value::Bytes(bytes)) => bytes.get(4..).map(|wkb| hex(wkb, 0)),
        (_, Value::Bytes(bytes)) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        (_, Value::Int(n)) => Some(n.to_string()),
        (_, Value::UInt(n)) => Some(n.to_string()),
        (coder, value) => {
            return Err(Error::internal(format!("rail: {value:?} in a column of {coder:?}")));
        }
    })
}

/// The log does not always say that a number is unsigned.
fn integer(unsigned: Option<u32>, value: &Value) -> String {
    match (unsigned, value) {
        (Some(64), Value::Int(n)) => n.cast_unsigned().to_string(),
        (Some(bits), Value::Int(n)) if *n < 0 => (n + (1_i64 << bits)).to_string(),
        (_, Value::Int(n)) => n.to_string(),
        (_, Value::UInt(n)) => n.to_string(),
        (_, Value::Bytes(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    }
}

fn timestamp(value: &Value) -> Option<String> {
    let text = match value {
        Value::Int(n) => n.to_string(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        _ => return None,
    };
    let (seconds, micros) = text.split_once('.').unwrap_or((&text, "0"));
    let (seconds, micros): (i64, u32) = (seconds.parse().ok()?, micros.parse().ok()?);
    if seconds == 0 {
        return None;
    }
    let at = chrono::DateTime::from_timestamp(seconds, micros * 1000)?.with_timezone(&china());
    Some(at.format("%Y-%m-%d %H:%M:%S%.6f").to_string())
}

fn hex(bytes: &[u8], length: usize) -> String {
    let zeros = length.saturating_sub(bytes.len());
    bytes.iter().chain(std::iter::repeat_n(&0, zeros)).map(|b| format!("{b:02x}")).collect()
}

fn bits(bytes: &[u8], width: usize) -> String {
    let all: String = bytes.iter().map(|b| format!("{b:08b}")).collect();
    all.get(all.len().saturating_sub(width)..).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_log_are_put_into_words() {
        let log = |coder: &Coder, value: Value| of_log(coder, BinlogValue::Value(value)).unwrap();
        let text = |coder: Coder, value: Value| log(&coder, value).unwrap();
        assert_eq!(text(Coder::Integer(Some(8)), Value::Int(-1)), "255");
        assert_eq!(text(Coder::Integer(Some(24)), Value::Int(-1)), "16777215");
        assert_eq!(text(Coder::Integer(Some(64)), Value::Int(-1)), "18446744073709551615");
        assert_eq!(text(Coder::Integer(None), Value::Int(-1)), "-1");
        assert_eq!(text(Coder::Float, Value::Float(0.1)), "0.10000000149011612");
        assert_eq!(log(&Coder::Date, Value::Date(0, 0, 0, 0, 0, 0, 0)), None);
        assert_eq!(
            text(Coder::Timestamp, Value::Bytes(b"1767225600.5".to_vec())),
            "2026-01-01 08:00:00.000005"
        );
        assert_eq!(text(Coder::Time(2), Value::Time(true, 1, 2, 3, 4, 560_000)), "-26:03:04.56");
        let (coder, _) = coder("set", "set('a','b''c','d')", "", "").unwrap();
        assert_eq!(text(coder.clone(), Value::Bytes(vec![0b110])), "b'c,d");
        assert_eq!(text(coder, Value::Bytes(vec![0])), "");
        let gbk = Coder::Text(encoding("gbk").unwrap());
        assert_eq!(text(gbk, Value::Bytes(vec![0xba, 0xbc])), "杭");
        assert_eq!(text(Coder::Bits(10), Value::Bytes(vec![2, 5])), "1000000101");
        assert_eq!(text(Coder::Bytes(4), Value::Bytes(vec![1])), "01000000");
        assert!(encoding("cp1251").is_none());
    }
}

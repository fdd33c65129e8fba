//! Values in the words of `guard::print` as SQL that the source itself can say, or nothing where it cannot say them exactly.

use model::code::DataType;
use model::item::Item;
use model::{Code, Error};

use super::kind::{Kind, TypeSeen};
use super::mysql::Coder;

pub(super) fn unordered(item: &Item) -> Error {
    let name = &item.identifier;
    Error::new(
        Code::RuleBroken,
        format!(
            "业务主键 `{name}` 的类型无法在数据源与湖中同序比较，不能核对；请将该数据项设为文本、整数或日期"
        ),
        format!(
            "the key `{name}` is of a type that source and lake do not order alike, so it cannot be reconciled; make it a text, an integer or a date"
        ),
    )
}

/// `(p,s)` of a type's name.
fn digits(name: &str) -> Option<(u32, u32)> {
    let inner = name.split_once('(')?.1.split_once(')')?.0;
    let mut parts = inner.split(',').map(|n| n.trim().parse().ok());
    Some((parts.next()??, parts.next().unwrap_or(Some(0))?))
}

/// `char(n)` with the blanks that a query answers and a cast loses.
pub(super) fn padded(name: &str, type_name: &str) -> String {
    format!("rpad({name}::text, {})", digits(type_name).map_or(1, |(n, _)| n))
}

/// A column in the words of `guard::print`, or nothing when PostgreSQL cannot say them exactly.
pub(super) fn postgres_words(name: &str, seen: &TypeSeen, item: &Item) -> Option<String> {
    let type_name = seen.name.as_str();
    Some(match (&seen.kind, item.data_type) {
        (Kind::Integer, DataType::Integer) => format!("{name}::text"),
        (Kind::Numeric, DataType::Decimal) => {
            let (_, scale) = digits(type_name)?;
            (scale <= u32::from(item.scale)).then_some(())?;
            format!("round({name}, {})::text", item.scale)
        }
        (Kind::Float, DataType::Float) if type_name == "double precision" => {
            format!("encode(float8send({name}), 'hex')")
        }
        (Kind::Boolean, DataType::Boolean) => {
            format!("CASE {name} WHEN true THEN '1' WHEN false THEN '0' END")
        }
        (Kind::Date, DataType::Date) => format!("to_char({name}, 'YYYY-MM-DD')"),
        (Kind::DateTime, DataType::DateTime) => {
            format!("to_char({name}, 'YYYY-MM-DD\"T\"HH24:MI:SS.US')")
        }
        (Kind::Bytes, DataType::Text) => postgres_text(&format!("encode({name}, 'hex')")),
        (Kind::Text, DataType::Text) if type_name.starts_with("character(") => {
            postgres_text(&padded(name, type_name))
        }
        (Kind::Text | Kind::Numeric | Kind::Bits | Kind::Integer, DataType::Text)
        | (Kind::Json, DataType::Json | DataType::Text)
        | (Kind::Text, DataType::Json) => postgres_text(&format!("{name}::text")),
        _ => return None,
    })
}

/// Blank texts are nothing, and tabs at the end are left out, as typing does.
fn postgres_text(text: &str) -> String {
    format!(
        "CASE WHEN btrim({text}, E' \\t\\n\\r\\u3000\\u00a0') <> '' THEN rtrim({text}, E'\\t') END"
    )
}

/// The same for MySQL and MariaDB.
pub(super) fn mysql_words(
    name: &str,
    seen: &TypeSeen,
    coder: &Coder,
    item: &Item,
) -> Option<String> {
    let full = seen.name.as_str();
    let text = |said: &str| {
        format!("CASE WHEN TRIM({said}) <> '' THEN TRIM(TRAILING '\t' FROM {said}) END")
    };
    Some(match (coder, &seen.kind, item.data_type) {
        (_, _, _) if full.contains("zerofill") => return None,
        (Coder::Integer(_) | Coder::Plain, Kind::Integer, DataType::Integer) => {
            format!("CAST({name} AS CHAR)")
        }
        (_, Kind::Numeric, DataType::Decimal) => {
            let (_, scale) = digits(full)?;
            (scale <= u32::from(item.scale)).then_some(())?;
            format!("CAST(CAST({name} AS DECIMAL(65,{})) AS CHAR)", item.scale)
        }
        (Coder::Date, _, DataType::Date) => {
            format!("CASE WHEN YEAR({name}) > 0 THEN DATE_FORMAT({name}, '%Y-%m-%d') END")
        }
        (Coder::DateTime | Coder::Timestamp, _, DataType::DateTime) => format!(
            "CASE WHEN YEAR({name}) > 0 THEN DATE_FORMAT({name}, '%Y-%m-%dT%H:%i:%s.%f') END"
        ),
        (Coder::Text(_) | Coder::Enum(_) | Coder::Set(_), _, DataType::Text | DataType::Json) => {
            text(&format!("CONVERT({name} USING utf8mb4)"))
        }
        (Coder::Bytes(_), _, DataType::Text) => text(&format!("LOWER(HEX({name}))")),
        (Coder::Time(_), _, DataType::Text) => text(&format!("CAST({name} AS CHAR)")),
        (Coder::Integer(_), _, DataType::Text) | (_, Kind::Numeric, DataType::Text) => {
            text(&format!("CAST({name} AS CHAR)"))
        }
        _ => return None,
    })
}

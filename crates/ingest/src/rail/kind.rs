//! What a column of PostgreSQL is, which item it becomes, and its values in the words that typing reads.
//!
//! ```text
//! source                                   item            as
//! smallint integer bigint oid              Integer
//! numeric(p,s)                             Decimal(p,s)    NaN and infinity are refused
//! numeric (unbounded, or beyond 28 digits) Text            exact, as written
//! real double                              Float           NaN and infinity are refused
//! money                                    Decimal(19,2)   without sign and commas
//! boolean                                  Boolean
//! date timestamp timestamptz               Date, DateTime  a zone is moved to China's civil time; infinity is refused
//! time timetz interval                     Text            ISO 8601
//! char varchar text name uuid inet xml …   Text            enumerations and ranges, too
//! json jsonb hstore                        Json, Text
//! arrays                                   Json            nested as they are
//! bytea                                    Text            hexadecimal
//! bit varbit                               Text            0101; a number where the item is one
//! geometry geography (PostGIS), point      Geometry        WKB becomes WKT
//! domains                                  as their base
//! composite and unknown types              Text            said in the survey
//! ```

use std::borrow::Cow;

use geozero::ToWkt;
use model::code::DataType;
use model::item::Item;
use serde_json::Value as Json;

use crate::why::Why;

/// A type as far as its values matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Integer,
    Numeric,
    Float,
    Money,
    Boolean,
    Date,
    DateTime,
    Json,
    Bytes,
    Bits,
    Geometry,
    Point,
    Array(Box<Kind>),
    Text,
    /// Taken as text because nothing better is known.
    Unknown,
}

/// A type with its name as the database writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TypeSeen {
    pub(super) kind: Kind,
    /// `numeric(12,2)`.
    pub(super) name: String,
}

impl Kind {
    /// Of a base type's name, class (`typtype`) and category (`typcategory`). Arrays and domains are the caller's.
    pub(super) fn of(name: &str, class: &str, category: &str) -> Self {
        match name {
            "int2" | "int4" | "int8" | "oid" | "xid" | "cid" => Self::Integer,
            "numeric" => Self::Numeric,
            "float4" | "float8" => Self::Float,
            "money" => Self::Money,
            "bool" => Self::Boolean,
            "date" => Self::Date,
            "timestamp" | "timestamptz" => Self::DateTime,
            "json" | "jsonb" => Self::Json,
            "bytea" => Self::Bytes,
            "bit" | "varbit" => Self::Bits,
            "geometry" | "geography" => Self::Geometry,
            "point" => Self::Point,
            "time" | "timetz" | "interval" | "uuid" | "inet" | "cidr" | "macaddr" | "macaddr8"
            | "xml" | "tsvector" | "tsquery" | "name" | "char" | "bpchar" | "varchar" | "text"
            | "citext" | "ltree" | "pg_lsn" | "line" | "lseg" | "box" | "path" | "polygon"
            | "circle" | "hstore" => Self::Text,
            _ if class == "e" || class == "r" || class == "m" || category == "S" => Self::Text,
            _ => Self::Unknown,
        }
    }
}

impl Kind {
    /// Whether [`words`] gives its values as they stand, or words that are always the same.
    pub(super) fn borrows(&self) -> bool {
        !matches!(self, Self::Money | Self::Bits | Self::Array(_) | Self::Geometry | Self::Point)
    }
    /// Whether [`words`] may refuse a value.
    pub(super) fn refuses(&self) -> bool {
        !matches!(self, Self::Integer | Self::Boolean | Self::Json | Self::Bytes | Self::Text)
    }
}

/// The item a column becomes in a new entry.
pub(super) fn item(identifier: &str, name: &str, seen: &TypeSeen, key: bool, empty: bool) -> Item {
    let (precision, scale) = digits(&seen.name);
    let data_type = match seen.kind {
        Kind::Integer => DataType::Integer,
        Kind::Numeric if (1..=28).contains(&precision) => DataType::Decimal,
        Kind::Money => DataType::Decimal,
        Kind::Float => DataType::Float,
        Kind::Boolean => DataType::Boolean,
        Kind::Date => DataType::Date,
        Kind::DateTime => DataType::DateTime,
        Kind::Json | Kind::Array(_) => DataType::Json,
        Kind::Geometry | Kind::Point => DataType::Geometry,
        Kind::Numeric | Kind::Bytes | Kind::Bits | Kind::Text | Kind::Unknown => DataType::Text,
    };
    let mut item = Item::new(identifier, name, data_type);
    (item.precision, item.scale) = match (&seen.kind, data_type) {
        (Kind::Money, _) => (19, 2),
        (_, DataType::Decimal) => (precision, scale),
        _ => (0, 0),
    };
    item.primary = key;
    item.lookup = key;
    item.nullable = empty && !key;
    item
}

/// `(12,2)` of a type's name.
fn digits(name: &str) -> (u8, u8) {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(n, _)| n);
    let mut parts = inner.unwrap_or_default().split(',').map(|n| n.trim().parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// A value in the words that typing reads, for an item of this type.
pub(super) fn words<'a>(kind: &Kind, text: &'a str, to: DataType) -> Result<Cow<'a, str>, Why> {
    let as_text = to == DataType::Text;
    Ok(match kind {
        Kind::Numeric | Kind::Float if !as_text && no_number(text) => {
            return Err(Why::told(
                format!("{text} 不是可存的数值；请在数据源改正，或将数据项设为文本"),
                format!(
                    "{text} is no number that can be kept; mend it at the source or make the item a text"
                ),
            ));
        }
        Kind::Date | Kind::DateTime if !as_text && text.ends_with("infinity") => {
            return Err(Why::plain(
                "无穷日期无法存储；请在数据源改正，或将数据项设为文本",
                "an infinite date cannot be kept; mend it at the source or make the item a text",
            ));
        }
        Kind::Money => Cow::Owned(text.replace(['$', ',', '¥', '￥'], "")),
        Kind::Boolean => Cow::Borrowed(if text == "t" { "true" } else { "false" }),
        Kind::Bytes => Cow::Borrowed(text.strip_prefix("\\x").unwrap_or(text)),
        Kind::Bits if matches!(to, DataType::Integer | DataType::Decimal) => {
            let number = i64::from_str_radix(text, 2).map_err(|_| {
                Why::plain(
                    "位串超过 63 位，请将数据项设为文本",
                    "has more than 63 bits; make the item a text",
                )
            })?;
            Cow::Owned(number.to_string())
        }
        Kind::Array(element) => Cow::Owned(array(element, text)?.to_string()),
        Kind::Geometry => Cow::Owned(well_known(text)?),
        Kind::Point => {
            let inner = text.trim_start_matches('(').trim_end_matches(')').replace(',', " ");
            Cow::Owned(format!("POINT ({inner})"))
        }
        _ => Cow::Borrowed(text),
    })
}

fn no_number(text: &str) -> bool {
    text.eq_ignore_ascii_case("nan") || text.trim_start_matches('-').starts_with(['I', 'i'])
}

/// WKB with its frame of reference (as PostGIS sends it, in hexadecimal) as WKT.
fn well_known(text: &str) -> Result<String, Why> {
    let wrong = || Why::plain("几何对象无法解析", "the geometry cannot be read");
    let digit = |b: &u8| char::from(*b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let bytes = text
        .as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        })
        .collect::<Option<Vec<u8>>>()
        .ok_or_else(wrong)?;
    geozero::wkb::Ewkb(bytes).to_wkt().map_err(|_| wrong())
}

/// An array as PostgreSQL writes it (`{1,NULL,"a\"b",{2}}`) as JSON.
fn array(element: &Kind, text: &str) -> Result<Json, Why> {
    // Bounds that do not begin at 1 stand before: `[0:1]={1,2}`.
    let text = match text.starts_with('[') {
        true => text.split_once('=').map_or(text, |(_, rest)| rest),
        false => text,
    };
    let mut rest = text.char_indices().peekable();
    let read = list(element, text, &mut rest, 0)?;
    if rest.next().is_some() {
        return Err(NOT_AN_ARRAY);
    }
    Ok(read)
}

const NOT_AN_ARRAY: Why = Why::plain("数组无法解析", "the array cannot be read");
/// PostgreSQL has at most six dimensions.
const DEEPEST: usize = 6;

type Letters<'a> = std::iter::Peekable<std::str::CharIndices<'a>>;

fn list(kind: &Kind, text: &str, rest: &mut Letters<'_>, depth: usize) -> Result<Json, Why> {
    if depth > DEEPEST || rest.next().is_none_or(|(_, c)| c != '{') {
        return Err(NOT_AN_ARRAY);
    }
    let mut values = Vec::new();
    loop {
        match rest.peek().copied().ok_or(NOT_AN_ARRAY)? {
            (_, '}') => {
                rest.next();
                return Ok(Json::Array(values));
            }
            (_, ',') => {
                rest.next();
            }
            (_, '{') => values.push(list(kind, text, rest, depth + 1)?),
            (_, '"') => {
                rest.next();
                values.push(of_element(kind, &quoted(rest)?)?);
            }
            (start, _) => {
                while rest.peek().is_some_and(|(_, c)| !matches!(c, ',' | '}')) {
                    rest.next();
                }
                let end = rest.peek().map_or(text.len(), |(at, _)| *at);
                let word = text.get(start..end).unwrap_or_default();
                values.push(match word.eq_ignore_ascii_case("null") {
                    true => Json::Null,
                    false => of_element(kind, word)?,
                });
            }
        }
    }
}

fn quoted(rest: &mut Letters<'_>) -> Result<String, Why> {
    let mut word = String::new();
    loop {
        match rest.next().ok_or(NOT_AN_ARRAY)? {
            (_, '"') => return Ok(word),
            (_, '\\') => word.push(rest.next().ok_or(NOT_AN_ARRAY)?.1),
            (_, c) => word.push(c),
        }
    }
}

fn of_element(kind: &Kind, word: &str) -> Result<Json, Why> {
    let said = || Json::String(word.to_owned());
    Ok(match kind {
        // Numbers that JSON would bend stay texts.
        Kind::Integer => word.parse::<i64>().map_or_else(|_| said(), Json::from),
        Kind::Boolean => Json::Bool(word == "t"),
        Kind::Json => serde_json::from_str(word).unwrap_or_else(|_| said()),
        Kind::Numeric | Kind::Float => said(),
        other => Json::String(words(other, word, DataType::Text)?.into_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &Kind, text: &str, to: DataType) -> String {
        words(kind, text, to).map_or_else(|why| format!("! {}", why.en), Cow::into_owned)
    }

    #[test]
    fn every_kind_is_put_into_words_or_refused() {
        let money = &Kind::Money;
        assert_eq!(read(money, "-$1,234.50", DataType::Decimal), "-1234.50");
        assert_eq!(read(&Kind::Boolean, "t", DataType::Boolean), "true");
        assert_eq!(read(&Kind::Bytes, "\\x00ff", DataType::Text), "00ff");
        assert_eq!(read(&Kind::Bits, "0101", DataType::Integer), "5");
        assert_eq!(read(&Kind::Bits, "0101", DataType::Text), "0101");
        assert_eq!(read(&Kind::Point, "(1.5,-2)", DataType::Geometry), "POINT (1.5 -2)");
        for word in ["NaN", "Infinity", "-Infinity"] {
            assert!(read(&Kind::Numeric, word, DataType::Decimal).starts_with('!'), "{word}");
            assert_eq!(read(&Kind::Numeric, word, DataType::Text), word);
        }
        assert!(read(&Kind::DateTime, "-infinity", DataType::DateTime).starts_with('!'));
        // ST_AsEWKB of SRID=4326;POINT(120.1 30.2).
        let point = "0101000020E61000006666666666065E403333333333333E40";
        let well = read(&Kind::Geometry, point, DataType::Geometry);
        assert!(well.starts_with("POINT(120.1") && crate::typing::geometry(&well), "{well}");
        assert!(read(&Kind::Geometry, "01zz", DataType::Geometry).starts_with('!'));
    }

    #[test]
    fn arrays_become_json() {
        let of = |kind: Kind, text: &str| read(&Kind::Array(Box::new(kind)), text, DataType::Json);
        assert_eq!(of(Kind::Integer, "{1,NULL,3}"), "[1,null,3]");
        assert_eq!(of(Kind::Integer, "[0:1]={1,2}"), "[1,2]");
        assert_eq!(
            of(Kind::Text, r#"{a,"b,\"c\"","NULL",{d}}"#),
            r#"["a","b,\"c\"","NULL",["d"]]"#
        );
        assert_eq!(of(Kind::Boolean, "{t,f}"), "[true,false]");
        assert_eq!(of(Kind::Numeric, "{1.10,NaN}"), r#"["1.10","NaN"]"#);
        assert_eq!(of(Kind::Json, r#"{"{\"a\": 1}"}"#), r#"[{"a":1}]"#);
        assert_eq!(of(Kind::Text, "{}"), "[]");
        for broken in ["{", "{a", "a", "{a}b", "{\"a}", "{{{{{{{{1}}}}}}}}"] {
            assert!(of(Kind::Text, broken).starts_with('!'), "{broken}");
        }
    }

    #[test]
    fn columns_become_items() {
        let of = |kind: Kind, name: &str| {
            item("x", "x", &TypeSeen { kind, name: name.to_owned() }, false, true)
        };
        let amount = of(Kind::Numeric, "numeric(12,2)");
        assert_eq!((amount.data_type, amount.precision, amount.scale), (DataType::Decimal, 12, 2));
        assert_eq!(of(Kind::Numeric, "numeric").data_type, DataType::Text);
        assert_eq!(of(Kind::Numeric, "numeric(40,5)").data_type, DataType::Text);
        assert_eq!(of(Kind::Money, "money").scale, 2);
        assert_eq!(of(Kind::Array(Box::new(Kind::Text)), "text[]").data_type, DataType::Json);
    }
}

//! What `datastore_search` is asked, as a query of rows: `filters` (values, lists, ranges, `$and`, `$or`), `q`, `sort`, `fields`.
//!
//! `_id` is no item of a data set: it is the place of a row in the answer's order, counted from 1. A filter `{"_id": {"gt": n}}`,
//! by which clients of 2.12 page on, is the same as an offset.

use app::GrantColumn;
use model::code::DataType;
use model::query::{Comparison, Condition, Order};
use serde_json::{Map, Value};

use super::fault::Fault;

/// The column of places.
pub(super) const PLACE: &str = "_id";
/// Deepest nesting of filters.
const DEPTH: usize = 8;
/// Most values of a list.
const VALUES: usize = 1000;
/// Most words of a full-text search.
const WORDS: usize = 16;

/// What rows are wanted, and how many of them are passed over by their place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) filter: Option<Condition>,
    pub(super) passed: u64,
}

/// Reads `filters` and `q`.
pub(super) fn read(
    filters: Option<&Value>,
    q: Option<&Value>,
    columns: &[GrantColumn],
) -> Result<Wanted, Fault> {
    let mut wanted = Wanted::default();
    let mut all = Vec::new();
    match filters {
        None => {}
        Some(Value::String(text)) if text.trim().is_empty() => {}
        Some(Value::Object(map)) => {
            let mut map = map.clone();
            if let Some(place) = map.remove(PLACE) {
                wanted.passed = passed(&place)?;
            }
            all.push(object(&map, columns, DEPTH)?);
        }
        Some(Value::Array(any)) => all.push(Condition::Or(objects(any, columns, DEPTH)?)),
        Some(_) => {
            return Err(Fault::invalid(
                "filters",
                "应为 JSON 对象，如 {\"区县\": \"余杭区\"}",
                "Not a json object: {\"field\": \"value\"} is wanted",
            ));
        }
    }
    match q {
        None => {}
        Some(Value::String(text)) => all.extend(anywhere(text, columns)),
        Some(Value::Object(map)) => {
            for (field, text) in map {
                let column = column("q", field, columns)?;
                let text = scalar("q", text)?.unwrap_or_default();
                all.extend(
                    words(&text)
                        .iter()
                        .map(|w| holds(column, w).unwrap_or_else(|| Condition::Or(Vec::new()))),
                );
            }
        }
        Some(other) => {
            if let Some(text) = scalar("q", other)? {
                all.extend(anywhere(&text, columns));
            }
        }
    }
    all.retain(|c| *c != Condition::And(Vec::new()));
    wanted.filter = match all.len() {
        0 => None,
        1 => all.pop(),
        _ => Some(Condition::And(all)),
    };
    Ok(wanted)
}

fn passed(place: &Value) -> Result<u64, Fault> {
    let wrong = || {
        Fault::invalid(
            "filters",
            "_id 是行在结果中的序号，只支持 {\"_id\": {\"gt\": n}}",
            "_id is the place of a row in the answer: only {\"_id\": {\"gt\": n}} applies",
        )
    };
    let Value::Object(map) = place else { return Err(wrong()) };
    let mut bounds = map.iter();
    match (bounds.next(), bounds.next()) {
        (Some((op, n)), None) => match (op.as_str(), n.as_u64()) {
            ("gt", Some(n)) => Ok(n),
            ("gte", Some(n)) => Ok(n.saturating_sub(1)),
            _ => Err(wrong()),
        },
        _ => Err(wrong()),
    }
}

fn object(
    map: &Map<String, Value>,
    columns: &[GrantColumn],
    depth: usize,
) -> Result<Condition, Fault> {
    let Some(deeper) = depth.checked_sub(1) else {
        return Err(Fault::invalid(
            "filters",
            &format!("嵌套过深（最多 {DEPTH} 层）"),
            &format!("nested too deep ({DEPTH} levels at most)"),
        ));
    };
    let mut all = Vec::new();
    for (key, value) in map {
        all.push(match (key.as_str(), value) {
            ("$and", Value::Array(parts)) => Condition::And(objects(parts, columns, deeper)?),
            ("$or", Value::Array(parts)) => Condition::Or(objects(parts, columns, deeper)?),
            _ => field(column("filters", key, columns)?, value)?,
        });
    }
    match (all.pop(), all.is_empty()) {
        (Some(only), true) => Ok(only),
        (last, _) => {
            all.extend(last);
            Ok(Condition::And(all))
        }
    }
}

fn objects(
    parts: &[Value],
    columns: &[GrantColumn],
    depth: usize,
) -> Result<Vec<Condition>, Fault> {
    parts
        .iter()
        .map(|part| match part {
            Value::Object(map) => object(map, columns, depth),
            _ => Err(Fault::invalid(
                "filters",
                "$and、$or 中应为 JSON 对象",
                "$and and $or hold json objects",
            )),
        })
        .collect()
}

fn column<'a>(
    parameter: &str,
    name: &str,
    columns: &'a [GrantColumn],
) -> Result<&'a GrantColumn, Fault> {
    columns.iter().find(|c| c.identifier == name).ok_or_else(|| {
        let shown: String = name.chars().take(80).collect();
        Fault::invalid(
            parameter,
            &format!("表中没有字段 `{shown}`"),
            &format!("field \"{shown}\" does not exist in table"),
        )
    })
}

/// One value of JSON as the text that the engine reads by the item's type; nothing for null.
fn scalar(parameter: &str, value: &Value) -> Result<Option<String>, Fault> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if !text.contains('\0') => Ok(Some(text.clone())),
        Value::Number(number) => Ok(Some(number.to_string())),
        Value::Bool(truth) => Ok(Some(truth.to_string())),
        _ => Err(Fault::invalid(
            parameter,
            "值应为文字、数字、真假或 null",
            "a value must be a text, a number, a truth value or null",
        )),
    }
}

fn field(column: &GrantColumn, value: &Value) -> Result<Condition, Fault> {
    let one = |comparison| Condition::Column { column: column.identifier.clone(), comparison };
    match value {
        Value::Array(any) if any.len() > VALUES => Err(Fault::invalid(
            "filters",
            &format!("一个列表最多 {VALUES} 个值"),
            &format!("a list holds {VALUES} values at most"),
        )),
        Value::Array(any) => {
            // Plain values are one comparison, which an index answers.
            let (mut plain, mut parts) = (Vec::new(), Vec::new());
            for value in any {
                match value {
                    Value::Object(_) | Value::Null => parts.push(field(column, value)?),
                    other => plain.extend(scalar("filters", other)?),
                }
            }
            if !plain.is_empty() || parts.is_empty() {
                parts.push(one(Comparison::In(plain)));
            }
            match (parts.pop(), parts.is_empty()) {
                (Some(only), true) => Ok(only),
                (last, _) => {
                    parts.extend(last);
                    Ok(Condition::Or(parts))
                }
            }
        }
        Value::Object(bounds) => {
            let mut all = Vec::with_capacity(bounds.len());
            for (op, value) in bounds {
                let text = scalar("filters", value)?;
                all.push(match (op.as_str(), text) {
                    ("eq", None) => one(Comparison::IsNull),
                    ("eq", Some(text)) => one(Comparison::Eq(text)),
                    ("gt", Some(text)) => one(Comparison::Gt(text)),
                    ("gte", Some(text)) => one(Comparison::Gte(text)),
                    ("lt", Some(text)) => one(Comparison::Lt(text)),
                    ("lte", Some(text)) => one(Comparison::Lte(text)),
                    _ => {
                        return Err(Fault::invalid(
                            "filters",
                            "可用的运算符：eq、gt、gte、lt、lte",
                            "operators are eq, gt, gte, lt and lte",
                        ));
                    }
                });
            }
            match (all.pop(), all.is_empty()) {
                (Some(only), true) => Ok(only),
                (last, _) => {
                    all.extend(last);
                    Ok(Condition::And(all))
                }
            }
        }
        plain => Ok(match scalar("filters", plain)? {
            None => one(Comparison::IsNull),
            Some(text) => one(Comparison::Eq(text)),
        }),
    }
}

/// Words of a full-text search; the signs of PostgreSQL's language between them are none.
fn words(text: &str) -> Vec<String> {
    text.split_whitespace()
        .map(|w| w.trim_end_matches(":*").to_owned())
        .filter(|w| !w.is_empty() && w != "&")
        .take(WORDS)
        .collect()
}

/// Every word must stand in some column of the row.
fn anywhere(text: &str, columns: &[GrantColumn]) -> Vec<Condition> {
    // A masked column tells nothing, not even whether it holds a word.
    let open = || columns.iter().filter(|c| c.mask.is_none() && c.filterable);
    let one = |word: &String| Condition::Or(open().filter_map(|c| holds(c, word)).collect());
    words(text).iter().map(one).collect()
}

/// Whether a column holds a word: a part of a text, a whole number or day; nothing where it cannot.
fn holds(column: &GrantColumn, word: &str) -> Option<Condition> {
    let comparison = match column.data_type {
        DataType::Text => {
            let plain = word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            Comparison::Ilike(format!("%{plain}%"))
        }
        DataType::Integer => Comparison::Eq(word.parse::<i64>().ok()?.to_string()),
        DataType::Decimal | DataType::Float => {
            word.parse::<f64>().ok().filter(|n| n.is_finite())?;
            let digits = word.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-'));
            Comparison::Eq(digits.then(|| word.to_owned())?)
        }
        DataType::Date => {
            chrono::NaiveDate::parse_from_str(word, "%Y-%m-%d").ok()?;
            Comparison::Eq(word.to_owned())
        }
        DataType::Boolean | DataType::DateTime | DataType::Geometry | DataType::Json => {
            return None;
        }
    };
    Some(Condition::Column { column: column.identifier.clone(), comparison })
}

/// `name, "amount" desc nulls last`; by place is as the rows come.
pub(super) fn sort(written: &str, columns: &[GrantColumn]) -> Result<Vec<Order>, Fault> {
    let wrong = |part: &str| {
        let shown: String = part.chars().take(80).collect();
        Fault::invalid(
            "sort",
            &format!("`{shown}` 应形如 字段 desc nulls last"),
            &format!("`{shown}` must read like: field desc nulls last"),
        )
    };
    let mut out: Vec<Order> = Vec::new();
    for part in written.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let plain = part.replace('"', "");
        let mut words = plain.split_whitespace();
        let name = words.next().unwrap_or_default();
        let rest = words.map(str::to_ascii_lowercase).collect::<Vec<_>>();
        let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
        let (descending, nulls) = match rest.as_slice() {
            [] | ["asc"] => (false, [].as_slice()),
            ["desc"] => (true, [].as_slice()),
            ["asc", nulls @ ..] => (false, nulls),
            ["desc", nulls @ ..] => (true, nulls),
            nulls => (false, nulls),
        };
        let nulls_first = match nulls {
            [] => None,
            ["nulls", "first"] => Some(true),
            ["nulls", "last"] => Some(false),
            _ => return Err(wrong(part)),
        };
        if name == PLACE {
            if descending {
                return Err(Fault::invalid(
                    "sort",
                    "_id 是行在结果中的序号，不能倒序",
                    "_id is the place of a row in the answer and cannot be reversed",
                ));
            }
            continue;
        }
        let column = column("sort", name, columns)?;
        out.push(Order { column: column.identifier.clone(), descending, nulls_first });
    }
    Ok(out)
}

/// The columns wanted, and whether places are among them; nothing said is all.
pub(super) fn fields(
    named: &[String],
    columns: &[GrantColumn],
) -> Result<(Vec<String>, bool), Fault> {
    if named.is_empty() {
        return Ok((columns.iter().map(|c| c.identifier.clone()).collect(), true));
    }
    let mut out: Vec<String> = Vec::new();
    let mut places = false;
    for name in named {
        if name == PLACE {
            places = true;
        } else {
            let known = column("fields", name, columns)?;
            if !out.contains(&known.identifier) {
                out.push(known.identifier.clone());
            }
        }
    }
    Ok((out, places))
}

#[cfg(test)]
mod tests {
    use model::code::Grade;
    use serde_json::json;

    use super::*;

    fn columns() -> Vec<GrantColumn> {
        let one = |name: &str, data_type| GrantColumn {
            identifier: name.into(),
            name_cn: name.into(),
            data_type,
            scale: 0,
            grade: Grade::L1,
            mask: None,
            filterable: true,
            lookup: false,
        };
        vec![
            one("year", DataType::Integer),
            one("name", DataType::Text),
            one("day", DataType::Date),
        ]
    }

    fn filter(value: Value) -> Condition {
        read(Some(&value), None, &columns()).unwrap().filter.unwrap()
    }

    fn is(column: &str, comparison: Comparison) -> Condition {
        Condition::Column { column: column.into(), comparison }
    }

    #[test]
    fn filters_of_every_form_are_read() {
        assert_eq!(filter(json!({ "name": "a" })), is("name", Comparison::Eq("a".into())));
        assert_eq!(filter(json!({ "year": 5 })), is("year", Comparison::Eq("5".into())));
        assert_eq!(filter(json!({ "name": null })), is("name", Comparison::IsNull));
        let both = filter(json!({ "year": [1, 2] }));
        assert_eq!(both, is("year", Comparison::In(vec!["1".into(), "2".into()])));
        let range = Condition::And(vec![
            is("year", Comparison::Gte("2010".into())),
            is("year", Comparison::Lte("2019".into())),
        ]);
        assert_eq!(filter(json!({ "year": { "gte": 2010, "lte": 2019 } })), range);
        let mixed = Condition::Or(vec![range, is("year", Comparison::In(vec!["2005".into()]))]);
        assert_eq!(filter(json!({ "year": [2005, { "gte": 2010, "lte": 2019 }] })), mixed);
        let or = Condition::Or(vec![
            is("year", Comparison::Eq("1".into())),
            is("name", Comparison::Eq("b".into())),
        ]);
        assert_eq!(filter(json!({ "$or": [{ "year": 1 }, { "name": "b" }] })), or);
    }

    #[test]
    fn places_are_passed_over() {
        let wanted = read(Some(&json!({ "_id": { "gt": 20 } })), None, &columns()).unwrap();
        assert_eq!(wanted, Wanted { filter: None, passed: 20 });
        assert!(read(Some(&json!({ "_id": 3 })), None, &columns()).is_err());
    }

    #[test]
    fn words_are_looked_for_where_they_may_stand() {
        let words = |q: Value| read(None, Some(&q), &columns()).unwrap().filter.unwrap();
        let name = |w: &str| is("name", Comparison::Ilike(format!("%{w}%")));
        assert_eq!(words(json!("湖:*")), Condition::Or(vec![name("湖")]));
        let year = is("year", Comparison::Eq("2020".into()));
        assert_eq!(words(json!("2020")), Condition::Or(vec![year, name("2020")]));
        assert_eq!(words(json!({ "name": "a_b" })), name("a\\_b"));
        assert_eq!(words(json!({ "year": "x" })), Condition::Or(Vec::new()));
    }

    #[test]
    fn orders_and_fields_are_read_or_refused() {
        let order = sort("\"year\" desc nulls last, name", &columns()).unwrap();
        assert_eq!((order[0].descending, order[0].nulls_first), (true, Some(false)));
        assert_eq!(order[1].column, "name");
        assert!(sort("_id", &columns()).unwrap().is_empty());
        assert!(sort("year sideways", &columns()).is_err() && sort("x", &columns()).is_err());
        assert_eq!(
            fields(&["_id".into(), "name".into()], &columns()).unwrap(),
            (vec!["name".into()], true)
        );
        assert!(fields(&["hidden".into()], &columns()).is_err());
    }
}

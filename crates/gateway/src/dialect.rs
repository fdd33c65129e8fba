//! The PostgREST dialect: query parameters and headers into a [`RowQuery`].
//!
//! Supported: `select` (columns, aliases, `*`), `col=op.value` and `col=not.op.value` with `eq neq gt gte lt lte like
//! ilike in is`, `and=(…)`, `or=(…)`, `not.and=(…)`, `not.or=(…)` nested, `order`, `limit`, `offset`, the `Range` header and
//! `Prefer: count=`. `after` is ours: the position that `Link: rel="next"` gives. What is not supported is refused by
//! name, never passed over. Source: PostgREST documentation, "Tables and Views".

use app::rules::Call;
use model::query::{Comparison, Condition, Count, Order, RowQuery};
use model::{Code, Error, Result};
use percent_encoding::percent_decode_str;

/// What the headers say about the answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Preferences<'a> {
    pub prefer: Option<&'a str>,
    pub range: Option<&'a str>,
}

/// Deepest nesting of `and`/`or`.
const DEPTH: usize = 8;
/// Most conditions in one call.
const CONDITIONS: usize = 64;
/// Most values of one `in`.
const IN_VALUES: usize = 1000;

/// What was asked, and how many rows stand before the page.
#[derive(Clone, Debug)]
pub struct Asked {
    pub query: RowQuery,
    /// `None` when the page is reached by a position that does not tell.
    pub first: Option<u64>,
}

/// Stands between the number of rows before a page and its position, in `after`. Neither a digit nor a character of
/// a sealed position.
const FIRST: char = '~';

/// The `after` of a page before which `first` rows stand. The number only serves `Content-Range`: where the page
/// begins is sealed in `token`.
#[must_use]
pub fn after(first: Option<u64>, token: &str) -> String {
    match first {
        Some(first) => format!("{first}{FIRST}{token}"),
        None => token.to_owned(),
    }
}

/// Reads a raw query string.
pub fn read(raw: &str, preferences: &Preferences<'_>, rules: &Call) -> Result<Asked> {
    let mut query = RowQuery::default();
    let mut before = None;
    let mut all = Vec::new();
    for pair in raw.split('&').filter(|p| !p.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        match name.as_str() {
            "select" => query.select = select(&value)?,
            "order" => query.order = order(&value)?,
            "limit" => query.limit = Some(number("limit", &value)?),
            "offset" => query.offset = number("offset", &value)?,
            "after" => match value.split_once(FIRST).map(|(n, token)| (n.parse::<u64>(), token)) {
                Some((Ok(n), token)) => {
                    before = Some(n);
                    query.after = Some(token.to_owned());
                }
                _ => query.after = Some(value),
            },
            "and" | "or" | "not.and" | "not.or" => all.push(group(&name, &value, 0)?),
            "columns" | "on_conflict" => {
                return Err(refuse(
                    &name,
                    "只读接口不支持",
                    "is for writing; this interface only reads",
                ));
            }
            column => all.push(condition(column, &value)?),
        }
        if all.len() > CONDITIONS {
            return Err(refuse(
                &name,
                "条件过多（最多 64 个）",
                "has too many conditions (at most 64)",
            ));
        }
    }
    if let Some(range) = preferences.range {
        apply_range(range, &mut query)?;
    }
    if let Some(prefer) = preferences.prefer {
        query.count = count(prefer);
    }
    // A range says how many rows are wanted as `limit` does: only who says nothing gets the default.
    query.limit = Some(query.limit.unwrap_or(rules.default_rows).min(rules.max_rows));
    if query.offset > rules.max_offset {
        return Err(Error::new(
            Code::InvalidQuery,
            format!("offset 最大为 {}，更深的分页请使用 after", rules.max_offset),
            format!("offset is at most {}; reach deeper pages by `after`", rules.max_offset),
        )
        .field("offset", "改用 after", "use `after`"));
    }
    query.filter = match all.len() {
        0 => None,
        1 => all.pop(),
        _ => Some(Condition::And(all)),
    };
    let first = match &query.after {
        Some(_) => before.map(|n| n.saturating_add(query.offset)),
        None => Some(query.offset),
    };
    Ok(Asked { query, first })
}

fn refuse(parameter: &str, zh: &str, en: &str) -> Error {
    let shown: String = parameter.chars().take(80).collect();
    Error::new(
        Code::InvalidQuery,
        format!("参数 `{shown}` {zh}"),
        format!("the parameter `{shown}` {en}"),
    )
    .field(shown, zh, en)
}

fn decode(text: &str) -> Result<String> {
    // Most names and values need no decoding.
    if !text.bytes().any(|b| matches!(b, b'+' | b'%') || !b.is_ascii()) {
        return Ok(text.to_owned());
    }
    let plus = text.replace('+', " ");
    percent_decode_str(&plus)
        .decode_utf8()
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| refuse(text, "不是合法的 UTF-8 编码", "is not valid UTF-8"))
}

fn number(name: &str, value: &str) -> Result<u64> {
    value
        .trim()
        .parse()
        .map_err(|_| refuse(name, "应为非负整数", "must be a whole number, zero or more"))
}

fn count(prefer: &str) -> Count {
    prefer
        .split(',')
        .filter_map(|p| p.trim().strip_prefix("count="))
        .map(|c| match c {
            "exact" => Count::Exact,
            "planned" | "estimated" => Count::Estimated,
            _ => Count::None,
        })
        .next_back()
        .unwrap_or_default()
}

/// `Range: 0-24` (items), as PostgREST clients send it. `bytes=` and the like are not ours and are passed over.
fn apply_range(range: &str, query: &mut RowQuery) -> Result<()> {
    let text = range.trim().strip_prefix("items=").unwrap_or(range.trim());
    let Some((from, to)) = text.split_once('-') else { return Ok(()) };
    let Ok(from) = from.trim().parse::<u64>() else { return Ok(()) };
    query.offset = from;
    // A limit that was asked for holds within the range.
    if let Ok(to) = to.trim().parse::<u64>() {
        if to < from {
            return Err(refuse("Range", "的终点小于起点", "ends before it starts"));
        }
        let rows = to.saturating_sub(from).saturating_add(1);
        query.limit = Some(query.limit.map_or(rows, |l| l.min(rows)));
    }
    Ok(())
}

fn select(value: &str) -> Result<Vec<(String, Option<String>)>> {
    if value.trim().is_empty() || value.trim() == "*" {
        return Ok(Vec::new());
    }
    value
        .split(',')
        .map(|part| {
            let part = part.trim();
            if part.contains(['(', ')', '!']) {
                return Err(refuse(
                    "select",
                    "不支持嵌套资源或聚合",
                    "does not support embedding or aggregates",
                ));
            }
            if part.contains("::") || part.contains("->") {
                return Err(refuse(
                    "select",
                    "不支持类型转换或 JSON 路径",
                    "does not support casts or JSON paths",
                ));
            }
            let (alias, column) = match part.split_once(':') {
                Some((alias, column)) => (Some(name_ok("select", alias)?), column),
                None => (None, part),
            };
            if column == "*" {
                return Err(refuse(
                    "select",
                    "中的 * 不能与其他列同用",
                    "cannot mix * with other columns",
                ));
            }
            Ok((name_ok("select", column)?, alias))
        })
        .collect()
}

fn name_ok(parameter: &str, name: &str) -> Result<String> {
    let name = name.trim().trim_matches('"');
    if name.is_empty() || name.chars().count() > 63 || name.chars().any(char::is_control) {
        return Err(refuse(
            parameter,
            "中有空的或过长的列名",
            "holds an empty or overlong column name",
        ));
    }
    Ok(name.to_owned())
}

fn order(value: &str) -> Result<Vec<Order>> {
    value
        .split(',')
        .filter(|p| !p.trim().is_empty())
        .map(|part| {
            let mut words = part.trim().split('.');
            let mut order = Order {
                column: name_ok("order", words.next().unwrap_or_default())?,
                descending: false,
                nulls_first: None,
            };
            for word in words {
                match word {
                    "asc" => order.descending = false,
                    "desc" => order.descending = true,
                    "nullsfirst" => order.nulls_first = Some(true),
                    "nullslast" => order.nulls_first = Some(false),
                    _ => {
                        return Err(refuse(
                            "order",
                            "应形如 列名.asc 或 列名.desc.nullslast",
                            "must read like column.asc or column.desc.nullslast",
                        ));
                    }
                }
            }
            Ok(order)
        })
        .collect()
}

/// `op.value` or `not.op.value` of one column.
fn condition(column: &str, value: &str) -> Result<Condition> {
    let column = name_ok(column, column)?;
    let (negated, rest) = match value.strip_prefix("not.") {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let Some((operator, operand)) = rest.split_once('.') else {
        return Err(refuse(
            &column,
            "应形如 eq.值（运算符.值）",
            "must read like eq.value (operator.value)",
        ));
    };
    let comparison = comparison(&column, operator, operand)?;
    let condition = match (operator, operand) {
        ("is", "not_null") => Condition::Not(Box::new(Condition::Column { column, comparison })),
        _ => Condition::Column { column, comparison },
    };
    Ok(if negated { Condition::Not(Box::new(condition)) } else { condition })
}

fn comparison(column: &str, operator: &str, operand: &str) -> Result<Comparison> {
    if operand.contains('\0') {
        return Err(refuse(column, "的值含有空字符", "holds a NUL character"));
    }
    let text = || operand.to_owned();
    Ok(match operator {
        "eq" => Comparison::Eq(text()),
        "neq" => Comparison::Neq(text()),
        "gt" => Comparison::Gt(text()),
        "gte" => Comparison::Gte(text()),
        "lt" => Comparison::Lt(text()),
        "lte" => Comparison::Lte(text()),
        "like" => Comparison::Like(operand.replace('*', "%")),
        "ilike" => Comparison::Ilike(operand.replace('*', "%")),
        "in" => Comparison::In(in_values(column, operand)?),
        "is" => match operand {
            "null" | "not_null" => Comparison::IsNull,
            "true" => Comparison::IsTrue,
            "false" => Comparison::IsFalse,
            _ => {
                return Err(refuse(
                    column,
                    "的 is 只能接 null、not_null、true、false",
                    "takes null, not_null, true or false after is",
                ));
            }
        },
        _ => {
            return Err(refuse(
                column,
                "的运算符不支持；可用 eq neq gt gte lt lte like ilike in is 及 not.",
                "has an operator that is not supported; use eq neq gt gte lt lte like ilike in is, with not. before it",
            ));
        }
    })
}

/// `(a,b,"c,d")`
fn in_values(column: &str, operand: &str) -> Result<Vec<String>> {
    let inner = operand
        .strip_prefix('(')
        .and_then(|r| r.strip_suffix(')'))
        .ok_or_else(|| refuse(column, "的 in 应形如 in.(a,b)", "takes in.(a,b)"))?;
    let values: Vec<String> = split_top(inner).into_iter().map(|v| unquote(v.trim())).collect();
    if values.len() > IN_VALUES {
        return Err(refuse(column, "的 in 最多 1000 个值", "takes at most 1000 values in in"));
    }
    Ok(values)
}

fn unquote(value: &str) -> String {
    match value.strip_prefix('"').and_then(|v| v.strip_suffix('"')) {
        Some(inner) => inner.replace("\\\"", "\"").replace("\\\\", "\\"),
        None => value.to_owned(),
    }
}

/// Splits by commas that are not inside parentheses or quotes.
fn split_top(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut quoted, mut escaped, mut start) =
        (Vec::new(), 0_usize, false, false, 0);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            ',' if !quoted && depth == 0 => {
                parts.push(text.get(start..i).unwrap_or_default());
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

/// `and=(a.eq.1,or(b.gt.2,c.is.null))`
fn group(name: &str, value: &str, depth: usize) -> Result<Condition> {
    if depth > DEPTH {
        return Err(refuse(name, "嵌套过深", "is nested too deeply"));
    }
    let (negated, kind) = match name.strip_prefix("not.") {
        Some(kind) => (true, kind),
        None => (false, name),
    };
    let inner = value
        .strip_prefix('(')
        .and_then(|v| v.strip_suffix(')'))
        .ok_or_else(|| refuse(name, "应形如 (a.eq.1,b.gt.2)", "must read like (a.eq.1,b.gt.2)"))?;
    let parts = split_top(inner);
    if parts.len() > CONDITIONS {
        return Err(refuse(name, "条件过多（最多 64 个）", "has too many conditions (at most 64)"));
    }
    let members =
        parts.into_iter().map(|part| member(part.trim(), depth)).collect::<Result<Vec<_>>>()?;
    let condition = if kind == "or" { Condition::Or(members) } else { Condition::And(members) };
    Ok(if negated { Condition::Not(Box::new(condition)) } else { condition })
}

fn member(part: &str, depth: usize) -> Result<Condition> {
    for name in ["not.and", "not.or", "and", "or"] {
        if let Some(rest) = part.strip_prefix(name).filter(|r| r.starts_with('(')) {
            return group(name, rest, depth + 1);
        }
    }
    let (column, rest) = part
        .split_once('.')
        .ok_or_else(|| refuse(part, "应形如 列名.eq.值", "must read like column.eq.value"))?;
    let condition = condition(column, rest)?;
    // Values inside a group may be quoted so that they can hold commas and parentheses.
    Ok(unquoted(condition))
}

fn unquoted(condition: Condition) -> Condition {
    let plain = |c: Comparison| match c {
        Comparison::Eq(v) => Comparison::Eq(unquote(&v)),
        Comparison::Neq(v) => Comparison::Neq(unquote(&v)),
        Comparison::Gt(v) => Comparison::Gt(unquote(&v)),
        Comparison::Gte(v) => Comparison::Gte(unquote(&v)),
        Comparison::Lt(v) => Comparison::Lt(unquote(&v)),
        Comparison::Lte(v) => Comparison::Lte(unquote(&v)),
        Comparison::Like(v) => Comparison::Like(unquote(&v)),
        Comparison::Ilike(v) => Comparison::Ilike(unquote(&v)),
        other => other,
    };
    match condition {
        Condition::Column { column, comparison } => {
            Condition::Column { column, comparison: plain(comparison) }
        }
        Condition::Not(inner) => Condition::Not(Box::new(unquoted(*inner))),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn rules() -> Call {
        app::rules::Rules::shipped().unwrap().call
    }

    fn check(raw: &str, expected: Expect) {
        let text = match read(raw, &Preferences::default(), &rules()) {
            Ok(Asked { query: q, .. }) => serde_json::to_string(&serde_json::json!({
                "select": q.select, "filter": q.filter, "order": q.order, "limit": q.limit, "offset": q.offset, "after": q.after
            }))
            .unwrap(),
            Err(e) => format!("{}: {}", e.code().as_str(), e.en()),
        };
        expected.assert_eq(&text);
    }

    #[test]
    fn filters_orders_and_pages_are_read() {
        check(
            "select=a,n:name&a=eq.1&name=not.like.*%E5%B8%82&order=a.desc.nullslast,name&limit=5&offset=10",
            expect![[
                r#"{"select":[["a",null],["name","n"]],"filter":{"and":[{"column":{"column":"a","comparison":{"eq":"1"}}},{"not":{"column":{"column":"name","comparison":{"like":"%市"}}}}]},"order":[{"column":"a","descending":true,"nulls_first":false},{"column":"name","descending":false,"nulls_first":null}],"limit":5,"offset":10,"after":null}"#
            ]],
        );
        check(
            r#"or=(a.eq.1,not.and(b.in.(x,"y,z"),c.is.not_null))"#,
            expect![[
                r#"{"select":[],"filter":{"or":[{"column":{"column":"a","comparison":{"eq":"1"}}},{"not":{"and":[{"column":{"column":"b","comparison":{"in":["x","y,z"]}}},{"not":{"column":{"column":"c","comparison":"is_null"}}}]}}]},"order":[],"limit":1000,"offset":0,"after":null}"#
            ]],
        );
    }

    #[test]
    fn what_is_not_offered_is_refused_by_name() {
        check(
            "a=1",
            expect!["invalid_query: the parameter `a` must read like eq.value (operator.value)"],
        );
        check(
            "select=a,b(c)",
            expect![
                "invalid_query: the parameter `select` does not support embedding or aggregates"
            ],
        );
        check(
            "a=fts.x",
            expect![
                "invalid_query: the parameter `a` has an operator that is not supported; use eq neq gt gte lt lte like ilike in is, with not. before it"
            ],
        );
        check(
            "limit=-1",
            expect!["invalid_query: the parameter `limit` must be a whole number, zero or more"],
        );
        check(
            "offset=100001",
            expect!["invalid_query: offset is at most 100000; reach deeper pages by `after`"],
        );
        check("a=%ff.x", expect!["invalid_query: the parameter `%ff.x` is not valid UTF-8"]);
    }

    #[test]
    fn a_range_asks_for_up_to_the_most_rows() {
        let limit = |raw: &str, range| {
            let headers = Preferences { prefer: None, range };
            let asked = read(raw, &headers, &rules()).unwrap();
            (asked.query.offset, asked.query.limit)
        };
        assert_eq!(limit("", None), (0, Some(1000)));
        assert_eq!(limit("", Some("0-4999")), (0, Some(5000)));
        assert_eq!(limit("", Some("items=10-99999")), (10, Some(10_000)));
        assert_eq!(limit("limit=20", Some("10-4999")), (10, Some(20)));
        assert_eq!(limit("", Some("10-")), (10, Some(1000)));
    }

    #[test]
    fn a_position_tells_the_rows_before_it() {
        let read = |raw: &str| read(raw, &Preferences::default(), &rules()).unwrap();
        assert_eq!(read("offset=30").first, Some(30));
        let asked = read(&format!("after={}", after(Some(2000), "v1.token")));
        assert_eq!((asked.first, asked.query.after.as_deref()), (Some(2000), Some("v1.token")));
        let asked = read("after=v1.token");
        assert_eq!((asked.first, asked.query.after.as_deref()), (None, Some("v1.token")));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(raw in ".{0,200}") {
            let _ = read(&raw, &Preferences { prefer: Some(&raw), range: Some(&raw) }, &rules());
        }
    }
}

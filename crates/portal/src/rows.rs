//! Row queries from a page's parameters: columns, one condition (or a range), order, page. The same for preview, chart and
//! try-it form.

use model::entry::EntryDraft;
use model::query::{Comparison, Condition, Count, Order, RowQuery};
use model::{Code, Error, Result};

use crate::visit::Inner;

/// Reads `select`, `col`+`op`+`val` (+`to`), `order`, `after` and `limit`.
pub(crate) fn query(visit: &Inner, draft: &EntryDraft, limit: u64, most: u64) -> Result<RowQuery> {
    let known = |name: &str| known(draft, name);
    let select =
        visit.qs("select").map(|s| known(s).map(|s| (s, None))).collect::<Result<Vec<_>>>()?;
    let filter = filter(visit, draft)?;
    let order = visit.q("order").map(|o| order(o, known)).transpose()?.into_iter().collect();
    let limit = match visit.q("limit") {
        Some(text) => text.parse::<u64>().map_err(|_| {
            bad("limit", "每页行数应为整数", "the number of rows must be a whole number")
        })?,
        None => limit,
    };
    Ok(RowQuery {
        select,
        filter,
        order,
        limit: Some(limit.clamp(1, most)),
        after: visit.q("after").map(str::to_owned),
        count: Count::None,
        ..RowQuery::default()
    })
}

/// The condition of `col`, `op`, `val` and, of a range, `to`; none where the form was left empty.
pub(crate) fn filter(visit: &Inner, draft: &EntryDraft) -> Result<Option<Condition>> {
    let Some(column) = visit.q("col") else { return Ok(None) };
    let column = known(draft, column)?;
    let of = |comparison| Condition::Column { column: column.clone(), comparison };
    let op = visit.q("op").unwrap_or("eq");
    if op != "between" {
        return Ok(comparison(op, visit.q("val"))?.map(of));
    }
    let from = visit.q("val").map(|v| of(Comparison::Gte(v.to_owned())));
    let to = visit.q("to").map(|v| of(Comparison::Lte(v.to_owned())));
    Ok(match (from, to) {
        (Some(from), Some(to)) => Some(Condition::And(vec![from, to])),
        (one, other) => one.or(other),
    })
}

fn known(draft: &EntryDraft, name: &str) -> Result<String> {
    draft.item(name).map(|i| i.identifier.clone()).ok_or_else(|| no_item(name))
}

fn order(text: &str, known: impl Fn(&str) -> Result<String>) -> Result<Order> {
    let (column, direction) = text.split_once('.').unwrap_or((text, "asc"));
    let descending = match direction {
        "asc" => false,
        "desc" => true,
        _ => {
            return Err(bad(
                "order",
                "排序方向应为 asc 或 desc",
                "the direction must be asc or desc",
            ));
        }
    };
    Ok(Order { column: known(column)?, descending, nulls_first: None })
}

/// A comparison word with its value; a missing value means no condition (an empty form field).
fn comparison(op: &str, value: Option<&str>) -> Result<Option<Comparison>> {
    if op == "is_null" {
        return Ok(Some(Comparison::IsNull));
    }
    let Some(value) = value.map(str::to_owned) else { return Ok(None) };
    Ok(Some(match op {
        "eq" => Comparison::Eq(value),
        "neq" => Comparison::Neq(value),
        "gt" => Comparison::Gt(value),
        "gte" => Comparison::Gte(value),
        "lt" => Comparison::Lt(value),
        "lte" => Comparison::Lte(value),
        // A typed `%` or `_` stays a wildcard: engines differ in how they are escaped, and more found is no harm.
        "ilike" => Comparison::Ilike(format!("%{value}%")),
        _ => return Err(bad("op", "不支持的比较方式", "this comparison is not offered")),
    }))
}

fn no_item(name: &str) -> Error {
    Error::new(
        Code::InvalidQuery,
        format!("没有数据项 `{name}`"),
        format!("there is no data item `{name}`"),
    )
}

fn bad(field: &str, zh: &str, en: &str) -> Error {
    Error::new(Code::InvalidQuery, zh, en).field(field, zh, en)
}

/// The same query in the interface's dialect: the path's query string.
pub(crate) fn dialect(query: &RowQuery) -> String {
    let mut parts = Vec::new();
    if !query.select.is_empty() {
        let names: Vec<&str> = query.select.iter().map(|(n, _)| n.as_str()).collect();
        parts.push(format!("select={}", names.join(",")));
    }
    match &query.filter {
        Some(Condition::And(all)) => all.iter().for_each(|one| written(one, &mut parts)),
        Some(one) => written(one, &mut parts),
        None => {}
    }
    for order in &query.order {
        let direction = if order.descending { "desc" } else { "asc" };
        parts.push(format!("order={}.{direction}", order.column));
    }
    if let Some(limit) = query.limit {
        parts.push(format!("limit={limit}"));
    }
    parts.join("&")
}

/// One comparison as the dialect writes it.
fn written(condition: &Condition, parts: &mut Vec<String>) {
    let Condition::Column { column, comparison } = condition else { return };
    let (op, value) = match comparison {
        Comparison::Eq(v) => ("eq", v.as_str()),
        Comparison::Neq(v) => ("neq", v.as_str()),
        Comparison::Gt(v) => ("gt", v.as_str()),
        Comparison::Gte(v) => ("gte", v.as_str()),
        Comparison::Lt(v) => ("lt", v.as_str()),
        Comparison::Lte(v) => ("lte", v.as_str()),
        Comparison::Like(v) => ("like", v.as_str()),
        Comparison::Ilike(v) => ("ilike", v.as_str()),
        Comparison::IsNull => ("is", "null"),
        Comparison::IsTrue => ("is", "true"),
        Comparison::IsFalse => ("is", "false"),
        Comparison::In(_) => ("in", ""),
    };
    let value = if op == "ilike" { value.replace('%', "*") } else { value.to_owned() };
    parts.push(format!("{column}={op}.{}", crate::visit::encode(&value).replace("%2A", "*")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_are_read_and_an_empty_value_is_none() {
        let contains = comparison("ilike", Some("停车")).unwrap();
        assert_eq!(contains, Some(Comparison::Ilike("%停车%".into())));
        assert_eq!(comparison("eq", None).unwrap(), None);
        assert_eq!(comparison("is_null", None).unwrap(), Some(Comparison::IsNull));
        assert!(comparison("sounds_like", Some("x")).is_err());
    }

    #[test]
    fn the_dialect_says_the_same() {
        let query = RowQuery {
            select: vec![("xm".into(), None), ("rq".into(), None)],
            filter: Some(Condition::Column {
                column: "xm".into(),
                comparison: Comparison::Eq("张 三".into()),
            }),
            order: vec![Order { column: "rq".into(), descending: true, nulls_first: None }],
            limit: Some(10),
            ..RowQuery::default()
        };
        assert_eq!(
            dialect(&query),
            "select=xm,rq&xm=eq.%E5%BC%A0%20%E4%B8%89&order=rq.desc&limit=10"
        );
    }
    #[test]
    fn a_range_is_two_comparisons() {
        let of = |comparison| Condition::Column { column: "rq".into(), comparison };
        let range = Condition::And(vec![
            of(Comparison::Gte("2026-01-01".into())),
            of(Comparison::Lte("2026-02-01".into())),
        ]);
        let query = RowQuery { filter: Some(range), ..RowQuery::default() };
        assert_eq!(dialect(&query), "rq=gte.2026-01-01&rq=lte.2026-02-01");
    }
}

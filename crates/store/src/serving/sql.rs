//! From a query and a grant to one SELECT, for both databases. Every value is a bound parameter; column and table
//! names are our own (`c0`, `c1`, …), so that nothing a caller writes becomes SQL.

use model::mask::Mask;
use model::query::{Comparison, Condition, Count, Order, RowQuery};
use model::{Code, Error, Result};
use policy::{Grant, GrantColumn};

use super::condition::{Within, Writer};
use super::shape::{Cell, Kind, Shape, ShapeColumn, Storage};
use super::token::Position;

/// Deepest `offset` that is answered; deeper pages are reached by `after`.
pub(crate) const MAX_OFFSET: u64 = 100_000;

/// How the two databases write the same thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// The table's name in a statement.
    pub(crate) fn table(self, name: &str) -> String {
        match self {
            Dialect::Sqlite => name.to_owned(),
            Dialect::Postgres => format!("serving.{name}"),
        }
    }
}

/// What of a grant the engine needs. It is made of a [`Grant`] only (and, in this module's tests, by hand).
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) entry: &'a str,
    pub(crate) grantee: &'a str,
    pub(crate) columns: &'a [GrantColumn],
    pub(crate) row_filter: Option<&'a Condition>,
    pub(crate) row_cap: u64,
}

impl<'a> View<'a> {
    pub(crate) fn of(grant: &'a Grant) -> Self {
        Self {
            entry: grant.entry(),
            grantee: grant.grantee(),
            columns: grant.columns(),
            row_filter: grant.row_filter(),
            row_cap: grant.row_cap(),
        }
    }
    pub(crate) fn column(&self, name: &str) -> Option<&'a GrantColumn> {
        self.columns.iter().find(|c| c.identifier == name)
    }
}

/// One column of the answer.
#[derive(Debug)]
pub(crate) struct Output<'a> {
    pub(crate) name: &'a str,
    pub(crate) identifier: &'a str,
    /// Place in the SELECT list and kind; `None` when the table does not hold the item (yet).
    pub(crate) source: Option<(usize, Kind)>,
    pub(crate) mask: Option<&'a Mask>,
}

/// One sort column: place in the table (`None` = `_id`), direction, whether nulls matter and where they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sort {
    pub(crate) column: Option<usize>,
    pub(crate) descending: bool,
    pub(crate) nulls: bool,
    pub(crate) nulls_first: bool,
}

/// A statement ready to run.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) sql: String,
    pub(crate) params: Vec<Cell<'static>>,
    pub(crate) outputs: Vec<Output<'a>>,
    /// Rows of the page; the statement asks for one more, to know whether there is a next page.
    pub(crate) limit: u64,
    /// Places in the SELECT list of the sort columns, for the next page's token.
    pub(crate) position: Vec<(usize, Storage)>,
    /// Whether the order is by row number, which a full refresh renews.
    pub(crate) by_row_number: bool,
    pub(crate) count: Option<Counting>,
}

/// How the total is found.
#[derive(Debug)]
pub(crate) enum Counting {
    /// The table's row count is the answer.
    Known,
    Ask {
        sql: String,
        params: Vec<Cell<'static>>,
    },
}

/// Whether at most a handful of indexed rows can answer, so that it may run without leaving the task.
pub(crate) fn is_point(shape: &Shape, view: &View<'_>, query: &RowQuery) -> bool {
    let mut equal = Vec::new();
    if let Some(filter) = &query.filter {
        equals(filter, &mut equal);
    }
    let of = |index: &usize| shape.columns.get(*index);
    let fixed = |c: &ShapeColumn| equal.iter().find(|(name, _)| *name == c.name).map(|(_, n)| *n);
    let by_key = !shape.key.is_empty()
        && shape.key.iter().all(|k| of(k).is_some_and(|c| fixed(c).is_some_and(|n| n <= 16)));
    let by_lookup = || {
        shape.columns.iter().any(|c| {
            c.lookup
                && c.fan_out > 0
                && fixed(c).is_some_and(|n| (n as u64).saturating_mul(c.fan_out) <= 64)
        })
    };
    view.row_cap > 0 && (by_key || by_lookup())
}

/// Rows of a page that is read along an index without leaving the task.
const STRETCH: u64 = 200;

/// Whether a page is a short stretch of the table in an order that an index gives: nothing is filtered, sorted, skipped or counted.
pub(crate) fn is_stretch(shape: &Shape, view: &View<'_>, query: &RowQuery) -> bool {
    let short = query.limit.unwrap_or(view.row_cap).min(view.row_cap) <= STRETCH;
    let plain = query.filter.is_none() && view.row_filter.is_none() && query.order.is_empty();
    // An index holds nulls first, and a page of a table that has some in its key shows them last.
    let nulls = || shape.key.iter().any(|n| shape.columns.get(*n).is_some_and(|c| c.nulls));
    let in_order = || tie_breaker(shape, view) != Way::Key || !nulls();
    short && plain && query.offset == 0 && query.count == Count::None && in_order()
}

/// Columns that a conjunction fixes by equality, with the number of values.
fn equals<'a>(condition: &'a Condition, into: &mut Vec<(&'a str, usize)>) {
    match condition {
        Condition::Column { column, comparison: Comparison::Eq(_) } => into.push((column, 1)),
        Condition::Column { column, comparison: Comparison::In(values) } => {
            into.push((column, values.len()))
        }
        Condition::And(all) => all.iter().for_each(|c| equals(c, into)),
        _ => {}
    }
}

/// Checks the query against the grant and writes the statement for `table` (already in the dialect's form).
pub(crate) fn plan<'a>(
    dialect: Dialect,
    table: &str,
    shape: &Shape,
    view: &View<'a>,
    query: &'a RowQuery,
    after: Option<Position>,
) -> Result<Plan<'a>> {
    if query.offset > MAX_OFFSET {
        return Err(bad(
            format!("offset 最大为 {MAX_OFFSET}，更深的页请用 after 翻页"),
            format!("offset is at most {MAX_OFFSET}; use after to reach deeper pages"),
        ));
    }
    let sorts = sorts(shape, view, &query.order)?;
    let limit = query.limit.unwrap_or(view.row_cap).min(view.row_cap);
    let mut list = String::with_capacity(64);
    let mut places: Vec<Option<usize>> = Vec::with_capacity(view.columns.len() + sorts.len());
    let outputs = outputs(shape, view, query, &mut list, &mut places)?;
    let position = positions(shape, &sorts, &mut list, &mut places);
    if list.is_empty() {
        list.push('1');
    }

    let mut filter = Writer { dialect, shape, text: String::new(), params: Vec::new() };
    if let Some(condition) = view.row_filter {
        filter.and();
        filter.condition(condition, None, Within::default())?;
    }
    if let Some(condition) = &query.filter {
        filter.and();
        filter.condition(condition, Some(view), Within::default())?;
    }
    let count = match query.count {
        Count::None => None,
        _ if filter.text.is_empty() => Some(Counting::Known),
        _ => Some(Counting::Ask {
            sql: format!("SELECT COUNT(*) FROM {table}{}", filter.text),
            params: filter.params.clone(),
        }),
    };
    if let Some(position) = &after {
        check_position(shape, &sorts, position)?;
        filter.and();
        filter.after(&sorts, &position.cells)?;
    }
    let Writer { text, params, .. } = filter;
    let mut sql = String::with_capacity(list.len() + table.len() + text.len() + 96);
    for part in ["SELECT ", &list, " FROM ", table, &text, " ORDER BY "] {
        sql.push_str(part);
    }
    for (n, sort) in sorts.iter().enumerate() {
        if n > 0 {
            sql.push(',');
        }
        push_column(&mut sql, sort.column);
        if sort.descending {
            sql.push_str(" DESC");
        }
        if sort.nulls {
            sql.push_str(if sort.nulls_first { " NULLS FIRST" } else { " NULLS LAST" });
        }
    }
    sql.push_str(&format!(" LIMIT {}", limit.saturating_add(1)));
    if query.offset > 0 {
        sql.push_str(&format!(" OFFSET {}", query.offset));
    }
    Ok(Plan {
        sql,
        params,
        outputs,
        limit,
        position,
        by_row_number: sorts.iter().any(|s| s.column.is_none()),
        count,
    })
}

/// A token from before the table changed its key or types cannot be gone on from.
fn check_position(shape: &Shape, sorts: &[Sort], position: &Position) -> Result<()> {
    let storage = |s: &Sort| {
        s.column.and_then(|n| shape.columns.get(n)).map_or(Storage::Integer, |c| c.kind.storage())
    };
    let fits = |s: &Sort, cell: &Cell<'_>| match cell {
        Cell::Null => s.column.is_some(),
        Cell::Integer(_) => storage(s) == Storage::Integer,
        Cell::Float(_) => storage(s) == Storage::Float,
        Cell::Text(_) => storage(s) == Storage::Text,
    };
    let same = sorts.len() == position.cells.len()
        && sorts.iter().zip(&position.cells).all(|(s, c)| fits(s, c));
    if same { Ok(()) } else { Err(super::token::stale()) }
}

/// What a token belongs to: entry, filter and order, as a short text that tells nothing (it is sealed anyway).
pub(crate) fn bond(view: &View<'_>, query: &RowQuery) -> String {
    let mut text =
        serde_json::to_string(&(view.entry, &query.filter, &query.order)).unwrap_or_default();
    text = guard::hash::sm3_hex(text.as_bytes());
    text.truncate(16);
    text
}

fn outputs<'a>(
    shape: &Shape,
    view: &View<'a>,
    query: &'a RowQuery,
    list: &mut String,
    places: &mut Vec<Option<usize>>,
) -> Result<Vec<Output<'a>>> {
    let mut output = |column: &'a GrantColumn, name: &'a str| Output {
        name,
        identifier: &column.identifier,
        source: shape.find(&column.identifier).map(|(n, c)| (place(list, places, Some(n)), c.kind)),
        mask: column.mask.as_ref(),
    };
    if query.select.is_empty() {
        return Ok(view.columns.iter().map(|c| output(c, &c.identifier)).collect());
    }
    let mut all: Vec<Output<'a>> = Vec::with_capacity(query.select.len());
    for (column, alias) in &query.select {
        let granted = view.column(column).ok_or_else(|| not_granted(column))?;
        let name = alias.as_deref().unwrap_or(column);
        if all.iter().any(|o| o.name == name) {
            return Err(bad(
                format!("select 中的列名 `{name}` 重复，请用别名区分"),
                format!("select names `{name}` twice; give one an alias"),
            ));
        }
        all.push(output(granted, name));
    }
    Ok(all)
}

/// The place of a table column in the SELECT list, added when it is not there yet.
fn place(list: &mut String, places: &mut Vec<Option<usize>>, column: Option<usize>) -> usize {
    if let Some(found) = places.iter().position(|p| *p == column) {
        return found;
    }
    if !places.is_empty() {
        list.push(',');
    }
    push_column(list, column);
    places.push(column);
    places.len() - 1
}

fn positions(
    shape: &Shape,
    sorts: &[Sort],
    list: &mut String,
    places: &mut Vec<Option<usize>>,
) -> Vec<(usize, Storage)> {
    sorts
        .iter()
        .map(|s| {
            let storage = s
                .column
                .and_then(|n| shape.columns.get(n))
                .map_or(Storage::Integer, |c| c.kind.storage());
            (place(list, places, s.column), storage)
        })
        .collect()
}

/// The query's order made total by the business key, or by the row number where there is none.
fn sorts(shape: &Shape, view: &View<'_>, order: &[Order]) -> Result<Vec<Sort>> {
    let nulls = |n: usize| shape.columns.get(n).is_some_and(|c| c.nulls);
    let mut sorts: Vec<Sort> = Vec::new();
    for o in order {
        let granted = view.column(&o.column).ok_or_else(|| not_granted(&o.column))?;
        if granted.mask.is_some() {
            return Err(bad(
                format!("数据项 `{}` 经脱敏提供，不能用于排序", o.column),
                format!("data item `{}` is released masked and cannot be ordered by", o.column),
            ));
        }
        let Some((n, _)) = shape.find(&o.column) else { continue };
        if sorts.iter().any(|s| s.column == Some(n)) {
            continue;
        }
        let nulls_first = o.nulls_first.unwrap_or(o.descending);
        sorts.push(Sort {
            column: Some(n),
            descending: o.descending,
            nulls: nulls(n),
            nulls_first,
        });
    }
    // The tie-breaker goes the way of the last order column, so that one index serves both.
    let descending = sorts.last().is_some_and(|s| s.descending);
    let way = tie_breaker(shape, view);
    if let (Way::Shuffled, Some(n)) = (way, shape.shuffle()) {
        sorts.push(Sort { column: Some(n), descending, nulls: false, nulls_first: false });
    }
    // Behind the hash the key only parts rows of the same hash.
    for &n in shape.key.iter().filter(|_| way != Way::RowNumber) {
        if !sorts.iter().any(|s| s.column == Some(n)) {
            sorts.push(Sort {
                column: Some(n),
                descending,
                nulls: nulls(n),
                nulls_first: descending,
            });
        }
    }
    if way == Way::RowNumber {
        sorts.push(Sort { column: None, descending, nulls: false, nulls_first: false });
    }
    Ok(sorts)
}

/// By what rows of the same order are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Key,
    Shuffled,
    RowNumber,
}

/// The business key, but not its own order where the caller may not know it: among rows in the order of a masked
/// number, the known neighbours of a row bracket what its mask hides.
fn tie_breaker(shape: &Shape, view: &View<'_>) -> Way {
    if shape.key.is_empty() {
        return Way::RowNumber;
    }
    let (mut masked, mut absent) = (false, false);
    for column in shape.key.iter().filter_map(|n| shape.columns.get(*n)) {
        match view.column(&column.name) {
            None => absent = true,
            Some(granted) => masked |= granted.mask.is_some(),
        }
    }
    match shape.shuffled {
        _ if !masked && !absent => Way::Key,
        Some(true) => Way::Shuffled,
        // Not granted, but nothing that had to be hidden when the table was filled.
        Some(false) if !masked => Way::Key,
        // Hidden since, or filled by an earlier version: until the next full load rows come as they were landed.
        _ => Way::RowNumber,
    }
}

pub(crate) fn push_column(sql: &mut String, column: Option<usize>) {
    match column {
        Some(n) => {
            sql.push('c');
            sql.push_str(&n.to_string());
        }
        None => sql.push_str("_id"),
    }
}

pub(crate) fn bad(zh: String, en: String) -> Error {
    Error::new(Code::InvalidQuery, zh, en)
}

pub(crate) fn not_granted(column: &str) -> Error {
    Error::new(
        Code::ColumnNotGranted,
        format!("数据项 `{column}` 不在授权范围内"),
        format!("data item `{column}` is not granted"),
    )
}

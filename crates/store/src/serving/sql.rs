//! From a query and a grant to one SELECT, for both databases. Every value is a bound parameter; column and table
//! names are our own (`c0`, `c1`, …), so that nothing a caller writes becomes SQL.

use model::mask::Mask;
use model::query::{Comparison, Condition, Count, Order, RowQuery};
use model::{Code, Error, Result};
use policy::{Grant, GrantColumn};

use super::shape::{Cell, Kind, Point, Shape, ShapeColumn, Storage, example, point};
use super::token::Position;

/// Deepest `offset` that is answered; deeper pages are reached by `after`.
pub(crate) const MAX_OFFSET: u64 = 100_000;
/// Most comparison values and deepest nesting of one filter.
const MAX_PARAMS: usize = 4_000;
const MAX_DEPTH: usize = 32;

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
    fn column(&self, name: &str) -> Option<&'a GrantColumn> {
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
struct Sort {
    column: Option<usize>,
    descending: bool,
    nulls: bool,
    nulls_first: bool,
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
    /// Binds a token to the filter and order it was made for.
    pub(crate) bond: String,
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
    let mut list = String::new();
    let mut places: Vec<Option<usize>> = Vec::new();
    let outputs = outputs(shape, view, query, &mut list, &mut places)?;
    let position = positions(shape, &sorts, &mut list, &mut places);
    if list.is_empty() {
        list.push('1');
    }

    let mut filter = Writer { dialect, shape, text: String::new(), params: Vec::new() };
    if let Some(condition) = view.row_filter {
        filter.and();
        filter.condition(condition, None, 0)?;
    }
    if let Some(condition) = &query.filter {
        filter.and();
        filter.condition(condition, Some(view), 0)?;
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
    let mut sql = format!("SELECT {list} FROM {table}{text} ORDER BY ");
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
        bond: bond(view, query),
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
    for &n in &shape.key {
        if !sorts.iter().any(|s| s.column == Some(n)) {
            sorts.push(Sort {
                column: Some(n),
                descending,
                nulls: nulls(n),
                nulls_first: descending,
            });
        }
    }
    if shape.key.is_empty() {
        sorts.push(Sort { column: None, descending, nulls: false, nulls_first: false });
    }
    Ok(sorts)
}

fn push_column(sql: &mut String, column: Option<usize>) {
    match column {
        Some(n) => {
            sql.push('c');
            sql.push_str(&n.to_string());
        }
        None => sql.push_str("_id"),
    }
}

fn bad(zh: String, en: String) -> Error {
    Error::new(Code::InvalidQuery, zh, en)
}

fn not_granted(column: &str) -> Error {
    Error::new(
        Code::ColumnNotGranted,
        format!("数据项 `{column}` 不在授权范围内"),
        format!("data item `{column}` is not granted"),
    )
}

fn bad_value(column: &str, kind: Kind, value: &str) -> Error {
    let shown: String = value.chars().take(80).collect();
    let (zh, en) = example(kind);
    bad(
        format!("数据项 `{column}` 的比较值 `{shown}` 有误，应为{zh}"),
        format!("the value `{shown}` compared with data item `{column}` must be {en}"),
    )
}

/// Writes conditions.
struct Writer<'s> {
    dialect: Dialect,
    shape: &'s Shape,
    text: String,
    params: Vec<Cell<'static>>,
}

impl Writer<'_> {
    fn and(&mut self) {
        self.text.push_str(if self.text.is_empty() { " WHERE " } else { " AND " });
    }

    fn bind(&mut self, cell: Cell<'static>) -> Result<()> {
        if self.params.len() >= MAX_PARAMS {
            return Err(bad(
                format!("查询条件过多，最多 {MAX_PARAMS} 个比较值，请分批查询"),
                format!(
                    "too many conditions: at most {MAX_PARAMS} comparison values, split the query"
                ),
            ));
        }
        self.params.push(cell);
        self.text.push(match self.dialect {
            Dialect::Sqlite => '?',
            Dialect::Postgres => '$',
        });
        self.text.push_str(&self.params.len().to_string());
        Ok(())
    }

    /// `gate` is the grant to check columns against; the grant's own row filter has none.
    fn condition(
        &mut self,
        condition: &Condition,
        gate: Option<&View<'_>>,
        depth: usize,
    ) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(bad(
                format!("查询条件嵌套过深，最多 {MAX_DEPTH} 层"),
                format!("the conditions are nested too deep: at most {MAX_DEPTH} levels"),
            ));
        }
        match condition {
            Condition::Column { column, comparison } => {
                if let Some(view) = gate {
                    check_filterable(view, column, comparison)?;
                }
                match self.shape.find(column) {
                    Some((n, c)) => self.comparison(n, c.kind, column, comparison),
                    // An item that joined after the last landing is null in every row; a grant's own filter
                    // on a column we do not hold must not let everything through.
                    None if gate.is_some() => {
                        self.absent(comparison);
                        Ok(())
                    }
                    None => Err(Error::internal(format!(
                        "the row filter's column `{column}` is not in the table"
                    ))),
                }
            }
            Condition::Not(inner) => {
                self.text.push_str("(NOT ");
                self.condition(inner, gate, depth + 1)?;
                self.text.push(')');
                Ok(())
            }
            Condition::And(all) => self.join(all, " AND ", "(1=1)", gate, depth),
            Condition::Or(all) => self.join(all, " OR ", "(1=0)", gate, depth),
        }
    }

    fn join(
        &mut self,
        all: &[Condition],
        word: &str,
        empty: &str,
        gate: Option<&View<'_>>,
        depth: usize,
    ) -> Result<()> {
        if all.is_empty() {
            self.text.push_str(empty);
            return Ok(());
        }
        self.text.push('(');
        for (n, condition) in all.iter().enumerate() {
            if n > 0 {
                self.text.push_str(word);
            }
            self.condition(condition, gate, depth + 1)?;
        }
        self.text.push(')');
        Ok(())
    }

    fn absent(&mut self, comparison: &Comparison) {
        self.text.push_str(match comparison {
            Comparison::IsNull => "(1=1)",
            Comparison::IsTrue | Comparison::IsFalse => "(1=0)",
            Comparison::In(values) if values.is_empty() => "(1=0)",
            _ => "(CAST(NULL AS INTEGER)=1)",
        });
    }

    fn comparison(
        &mut self,
        n: usize,
        kind: Kind,
        name: &str,
        comparison: &Comparison,
    ) -> Result<()> {
        let read = |text: &str| point(kind, text).ok_or_else(|| bad_value(name, kind, text));
        match comparison {
            Comparison::Eq(v) => self.equal(n, &read(v)?, false),
            Comparison::Neq(v) => self.equal(n, &read(v)?, true),
            Comparison::Gt(v) => self.ordered(n, &read(v)?, ">"),
            Comparison::Gte(v) => self.ordered(n, &read(v)?, ">="),
            Comparison::Lt(v) => self.ordered(n, &read(v)?, "<"),
            Comparison::Lte(v) => self.ordered(n, &read(v)?, "<="),
            Comparison::In(values) => {
                let mut cells = Vec::with_capacity(values.len());
                for v in values {
                    if let Point::At(cell) = read(v)? {
                        cells.push(cell);
                    }
                }
                self.among(n, values.is_empty(), cells)
            }
            Comparison::Like(p) => self.like(n, kind, name, p, false),
            Comparison::Ilike(p) => self.like(n, kind, name, p, true),
            Comparison::IsNull => {
                self.open(n);
                self.text.push_str(" IS NULL)");
                Ok(())
            }
            Comparison::IsTrue | Comparison::IsFalse => {
                if kind != Kind::Boolean {
                    return Err(bad(
                        format!("数据项 `{name}` 不是布尔型，不能用 is.true / is.false"),
                        format!(
                            "data item `{name}` is not boolean: is.true and is.false do not apply"
                        ),
                    ));
                }
                self.open(n);
                self.text.push_str(match self.dialect {
                    Dialect::Sqlite => " IS ",
                    Dialect::Postgres => " IS NOT DISTINCT FROM ",
                });
                self.text.push_str(if *comparison == Comparison::IsTrue { "1)" } else { "0)" });
                Ok(())
            }
        }
    }

    fn open(&mut self, n: usize) {
        self.text.push('(');
        push_column(&mut self.text, Some(n));
    }

    /// False (or true) for every value, unknown for null: three-valued as any other comparison.
    fn constant(&mut self, n: usize, truth: bool) {
        self.open(n);
        self.text.push_str(if truth { "=" } else { "<>" });
        push_column(&mut self.text, Some(n));
        self.text.push(')');
    }

    fn equal(&mut self, n: usize, point: &Point, negated: bool) -> Result<()> {
        let Point::At(cell) = point else {
            self.constant(n, negated);
            return Ok(());
        };
        self.open(n);
        self.text.push_str(if negated { "<>" } else { "=" });
        self.bind(cell.clone())?;
        self.text.push(')');
        Ok(())
    }

    fn ordered(&mut self, n: usize, point: &Point, operator: &str) -> Result<()> {
        let greater = operator.starts_with('>');
        let (operator, cell) = match point {
            Point::At(cell) => (operator, cell),
            Point::After(floor) => (if greater { ">" } else { "<=" }, floor),
            Point::Below => {
                self.constant(n, greater);
                return Ok(());
            }
            Point::Above => {
                self.constant(n, !greater);
                return Ok(());
            }
        };
        self.open(n);
        self.text.push_str(operator);
        self.bind(cell.clone())?;
        self.text.push(')');
        Ok(())
    }

    fn among(&mut self, n: usize, empty: bool, cells: Vec<Cell<'static>>) -> Result<()> {
        if empty {
            self.text.push_str("(1=0)");
            return Ok(());
        }
        if cells.is_empty() {
            self.constant(n, false);
            return Ok(());
        }
        self.open(n);
        self.text.push_str(" IN (");
        for (i, cell) in cells.into_iter().enumerate() {
            if i > 0 {
                self.text.push(',');
            }
            self.bind(cell)?;
        }
        self.text.push_str("))");
        Ok(())
    }

    fn like(&mut self, n: usize, kind: Kind, name: &str, pattern: &str, fold: bool) -> Result<()> {
        if kind != Kind::Text {
            return Err(bad(
                format!("数据项 `{name}` 不是文本，不能用 like / ilike"),
                format!("data item `{name}` is not text: like and ilike do not apply"),
            ));
        }
        if pattern.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1 {
            return Err(bad(
                format!("数据项 `{name}` 的模式不能以单个反斜杠结尾"),
                format!("the pattern for data item `{name}` must not end with a single backslash"),
            ));
        }
        let value = || Cell::Text(pattern.to_owned().into());
        self.text.push('(');
        match self.dialect {
            Dialect::Sqlite => {
                self.text.push_str(if fold { "q_ilike(" } else { "q_like(" });
                push_column(&mut self.text, Some(n));
                self.text.push(',');
                self.bind(value())?;
                self.text.push(')');
            }
            Dialect::Postgres => {
                push_column(&mut self.text, Some(n));
                self.text.push_str(if fold { " ILIKE " } else { " LIKE " });
                self.bind(value())?;
            }
        }
        // A literal beginning lets an index bound the search.
        let prefix: String =
            pattern.chars().take_while(|c| !matches!(c, '%' | '_' | '\\')).collect();
        if !fold && !prefix.is_empty() {
            self.text.push_str(" AND ");
            push_column(&mut self.text, Some(n));
            self.text.push_str(">=");
            self.bind(Cell::Text(prefix.clone().into()))?;
            if let Some(end) = next_prefix(&prefix) {
                self.text.push_str(" AND ");
                push_column(&mut self.text, Some(n));
                self.text.push('<');
                self.bind(Cell::Text(end.into()))?;
            }
        }
        self.text.push(')');
        Ok(())
    }

    /// Rows that come after `cells` in the given order.
    fn after(&mut self, sorts: &[Sort], cells: &[Cell<'static>]) -> Result<()> {
        let Some((first, first_cell)) = sorts.first().zip(cells.first()) else {
            return Err(Error::internal("a page token without values"));
        };
        let plain = sorts.iter().all(|s| !s.nulls && s.descending == first.descending)
            && !cells.iter().any(Cell::is_null);
        self.text.push('(');
        if plain {
            // One row-value comparison, which an index over the columns answers at once (*constant page*).
            let row = sorts.len() > 1;
            self.text.push_str(if row { "(" } else { "" });
            for (i, sort) in sorts.iter().enumerate() {
                if i > 0 {
                    self.text.push(',');
                }
                push_column(&mut self.text, sort.column);
            }
            let sign = if first.descending { '<' } else { '>' };
            self.text.push_str(if row { ")" } else { "" });
            self.text.push(sign);
            self.text.push_str(if row { "(" } else { "" });
            for (i, cell) in cells.iter().enumerate() {
                if i > 0 {
                    self.text.push(',');
                }
                self.bind(cell.clone())?;
            }
            self.text.push_str(if row { "))" } else { ")" });
            return Ok(());
        }
        if !first.nulls && !first_cell.is_null() {
            push_column(&mut self.text, first.column);
            self.text.push_str(if first.descending { "<=" } else { ">=" });
            self.bind(first_cell.clone())?;
            self.text.push_str(" AND ");
        }
        self.text.push_str("(1=0");
        for (i, (sort, cell)) in sorts.iter().zip(cells).enumerate() {
            if cell.is_null() && !sort.nulls_first {
                continue;
            }
            self.text.push_str(" OR (");
            for (earlier, value) in sorts.iter().zip(cells).take(i) {
                push_column(&mut self.text, earlier.column);
                if value.is_null() {
                    self.text.push_str(" IS NULL AND ");
                } else {
                    self.text.push('=');
                    self.bind(value.clone())?;
                    self.text.push_str(" AND ");
                }
            }
            self.text.push('(');
            push_column(&mut self.text, sort.column);
            if cell.is_null() {
                self.text.push_str(" IS NOT NULL");
            } else {
                self.text.push(if sort.descending { '<' } else { '>' });
                self.bind(cell.clone())?;
                if sort.nulls && !sort.nulls_first {
                    self.text.push_str(" OR ");
                    push_column(&mut self.text, sort.column);
                    self.text.push_str(" IS NULL");
                }
            }
            self.text.push_str("))");
        }
        self.text.push_str("))");
        Ok(())
    }
}

/// What a caller may do with a column in a filter.
fn check_filterable(view: &View<'_>, column: &str, comparison: &Comparison) -> Result<()> {
    let granted = view.column(column).ok_or_else(|| not_granted(column))?;
    let by_equality = matches!(comparison, Comparison::Eq(_) | Comparison::In(_));
    if (granted.filterable && granted.mask.is_none()) || (granted.lookup && by_equality) {
        return Ok(());
    }
    Err(if granted.lookup {
        bad(
            format!("数据项 `{column}` 经脱敏提供，只能用 eq 或 in 查找"),
            format!(
                "data item `{column}` is released masked: only eq and in may be used to look it up"
            ),
        )
    } else {
        bad(
            format!("数据项 `{column}` 不能用于筛选"),
            format!("data item `{column}` cannot be used in a filter"),
        )
    })
}

/// The smallest text greater than every text that begins with `prefix`.
fn next_prefix(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        let next = match last {
            '\u{d7ff}' => Some('\u{e000}'),
            c => char::from_u32(u32::from(c) + 1),
        };
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

/// LIKE as PostgreSQL reads it: `%` any run, `_` one character, backslash takes the next literally.
pub(crate) fn like(text: &str, pattern: &str, fold: bool) -> bool {
    let lower = |s: &str| s.chars().flat_map(char::to_lowercase).collect::<String>();
    if fold { like_matches(&lower(text), &lower(pattern)) } else { like_matches(text, pattern) }
}

fn like_matches(text: &str, pattern: &str) -> bool {
    let (mut t, mut p) = (text.chars(), pattern.chars());
    // Where to resume when the part after the last `%` does not fit: pattern after it, text one further.
    let mut resume: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let before = (t.clone(), p.clone());
        let fits = match p.next() {
            Some('%') => {
                resume = Some((p.clone(), before.0));
                continue;
            }
            Some('_') => t.next().is_some(),
            Some('\\') => p.next().is_some_and(|want| t.next() == Some(want)),
            Some(want) => t.next() == Some(want),
            None => t.next().is_none(),
        };
        if fits {
            if before.1.as_str().is_empty() {
                return true;
            }
            continue;
        }
        match &mut resume {
            Some((pattern, text)) => {
                if text.next().is_none() {
                    return false;
                }
                t = text.clone();
                p = pattern.clone();
            }
            None => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_reads_patterns_as_postgresql() {
        for (text, pattern, fold, expected) in [
            ("杭州市西湖区", "杭州%", false, true),
            ("杭州市西湖区", "%西_区", false, true),
            ("杭州市西湖区", "%西区", false, false),
            ("abc", "ABC", false, false),
            ("abc", "ABC", true, true),
            ("100%", "100\\%", false, true),
            ("1000", "100\\%", false, false),
            ("", "%", false, true),
            ("", "_", false, false),
            ("aXbXc", "a%b%c", false, true),
            ("ab", "a%b%c", false, false),
            ("abab", "%ab", false, true),
            ("a", "", false, false),
            ("", "", false, true),
        ] {
            assert_eq!(like(text, pattern, fold), expected, "{text} like {pattern}");
        }
    }

    #[test]
    fn the_next_prefix_bounds_all_continuations() {
        assert_eq!(next_prefix("ab").as_deref(), Some("ac"));
        assert_eq!(next_prefix("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(next_prefix("\u{10ffff}"), None);
        assert_eq!(next_prefix("\u{d7ff}").as_deref(), Some("\u{e000}"));
    }
}

//! Conditions of a query as SQL. Three-valued as SQL is; a comparison value that no row can hold (too long, between two
//! storable decimals) becomes a constant with the same meaning.

use model::query::{Comparison, Condition};
use model::{Error, Result};

use super::pattern::next_prefix;
use super::shape::{Cell, Kind, Point, Shape, example, point};
use super::sql::{Dialect, Sort, View, bad, not_granted, push_column};

/// Most comparison values and deepest nesting of one filter.
const MAX_PARAMS: usize = 4_000;
const MAX_DEPTH: usize = 32;

fn bad_value(column: &str, kind: Kind, value: &str) -> Error {
    let shown: String = value.chars().take(80).collect();
    let (zh, en) = example(kind);
    bad(
        format!("数据项 `{column}` 的比较值 `{shown}` 有误，应为{zh}"),
        format!("the value `{shown}` compared with data item `{column}` must be {en}"),
    )
    .field(column, format!("应为{zh}"), format!("must be {en}"))
}

/// Where a condition stands within others.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Within {
    depth: usize,
    negated: bool,
}

/// Writes conditions.
pub(crate) struct Writer<'s> {
    pub(crate) dialect: Dialect,
    pub(crate) shape: &'s Shape,
    pub(crate) text: String,
    pub(crate) params: Vec<Cell<'static>>,
}

impl Writer<'_> {
    pub(crate) fn and(&mut self) {
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

    /// `gate` is the grant to check columns against; the grant's own row filter has none. `within` counts the
    /// conditions around this one.
    pub(crate) fn condition(
        &mut self,
        condition: &Condition,
        gate: Option<&View<'_>>,
        within: Within,
    ) -> Result<()> {
        if within.depth > MAX_DEPTH {
            return Err(bad(
                format!("查询条件嵌套过深，最多 {MAX_DEPTH} 层"),
                format!("the conditions are nested too deep: at most {MAX_DEPTH} levels"),
            ));
        }
        match condition {
            Condition::Column { column, comparison } => {
                if let Some(view) = gate {
                    check_filterable(view, column, comparison, within.negated)?;
                }
                match self.shape.find(column) {
                    Some((n, c)) => self.comparison(n, c.kind, column, comparison),
                    // An item that joined after the last landing is null in every row; a grant's own filter
                    // on a column we do not hold must not let everything through.
                    None if gate.is_some() || !matches!(comparison, Comparison::IsNull) => {
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
                let within = Within { depth: within.depth + 1, negated: true };
                self.condition(inner, gate, within)?;
                self.text.push(')');
                Ok(())
            }
            Condition::And(all) => self.join(all, " AND ", "(1=1)", gate, within),
            Condition::Or(all) => self.join(all, " OR ", "(1=0)", gate, within),
        }
    }

    fn join(
        &mut self,
        all: &[Condition],
        word: &str,
        empty: &str,
        gate: Option<&View<'_>>,
        within: Within,
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
            self.condition(condition, gate, Within { depth: within.depth + 1, ..within })?;
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
    pub(crate) fn after(&mut self, sorts: &[Sort], cells: &[Cell<'static>]) -> Result<()> {
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

/// What a caller may do with a column in a filter. Under a negation a masked key may not be compared at all: whoever
/// looks one up must know it, and "all but these" finds the rows of keys nobody named.
fn check_filterable(
    view: &View<'_>,
    column: &str,
    comparison: &Comparison,
    negated: bool,
) -> Result<()> {
    let granted = view.column(column).ok_or_else(|| not_granted(column))?;
    let by_equality = matches!(comparison, Comparison::Eq(_) | Comparison::In(_)) && !negated;
    if (granted.filterable && granted.mask.is_none()) || (granted.lookup && by_equality) {
        return Ok(());
    }
    Err(if granted.lookup {
        bad(
            format!("数据项 `{column}` 经脱敏提供，只能用 eq 或 in 查找，且不能取反（not）"),
            format!(
                "data item `{column}` is released masked: only eq and in, without not, may be used to look it up"
            ),
        )
    } else {
        bad(
            format!("数据项 `{column}` 不能用于筛选"),
            format!("data item `{column}` cannot be used in a filter"),
        )
    })
}

//! Figures by group through a grant: only items released as they are may be grouped by or computed with, the row filter holds,
//! and small groups stay hidden. Where one group alone would be hidden, the next smallest is, too: its figures would be all
//! minus the others.

use model::interface::How;
use model::query::{Grouping, Groups};
use model::value::{Row, Value};
use model::{Error, Result};
use rust_decimal::Decimal;

use super::condition::{Within, Writer};
use super::shape::{Cell, Kind, Shape};
use super::sql::{Dialect, View, bad, not_granted, push_column};

/// How a place of the SELECT list is read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Read {
    /// A stored value of this kind.
    Stored(Kind),
    /// A number of rows.
    Count,
    /// A sum as text.
    Text,
}

/// From which places a figure is made.
#[derive(Clone, Copy, Debug)]
enum Figure {
    /// Nothing: the table does not hold the item.
    Nothing,
    At(usize),
    /// A sum of whole or decimal numbers with so many digits after the point.
    Sum(usize, u8),
    /// A mean of those at the first place, counted at the second.
    Mean(usize, usize, u8),
    MeanFloat(usize, usize),
}

/// A statement ready to run.
#[derive(Debug)]
pub(super) struct GroupPlan {
    pub(super) sql: String,
    pub(super) params: Vec<Cell<'static>>,
    pub(super) reads: Vec<Read>,
    columns: Vec<String>,
    figures: Vec<Figure>,
    smallest: u64,
    most: usize,
}

/// Checks the question against the grant and writes the statement.
pub(super) fn plan(
    dialect: Dialect,
    table: &str,
    shape: &Shape,
    view: &View<'_>,
    ask: &Grouping,
) -> Result<GroupPlan> {
    // The first place is the number of rows of the group: small ones are hidden by it.
    let mut list = String::from("COUNT(*)");
    let mut reads = vec![Read::Count];
    let mut group = String::new();
    let mut columns = Vec::new();
    let mut figures = Vec::new();
    for (item, name) in &ask.by {
        let Some((n, kind)) = plain(shape, view, item)? else {
            return Err(bad(
                format!("数据项 `{item}` 尚无数据，不能分组"),
                format!("the data item `{item}` holds nothing yet and cannot make groups"),
            ));
        };
        group.push_str(if group.is_empty() { " GROUP BY " } else { "," });
        push_column(&mut group, Some(n));
        list.push(',');
        push_column(&mut list, Some(n));
        columns.push(name.clone());
        figures.push(Figure::At(reads.len()));
        reads.push(Read::Stored(kind));
    }
    for (how, item, name) in &ask.measures {
        columns.push(name.clone());
        if item.is_empty() {
            figures.push(Figure::At(0));
            continue;
        }
        let Some((n, kind)) = plain(shape, view, item)? else {
            figures.push(Figure::Nothing);
            continue;
        };
        let mut term = |function: &str, cast: bool, read| {
            list.push_str(if cast { ",CAST(" } else { "," });
            list.push_str(function);
            list.push('(');
            push_column(&mut list, Some(n));
            list.push_str(if cast { ") AS TEXT)" } else { ")" });
            reads.push(read);
            reads.len() - 1
        };
        figures.push(match how {
            How::Count => Figure::At(term("COUNT", false, Read::Count)),
            How::Min => Figure::At(term("MIN", false, Read::Stored(kind))),
            How::Max => Figure::At(term("MAX", false, Read::Stored(kind))),
            How::Sum | How::Avg => {
                let scale = match kind {
                    Kind::Integer => Some(0),
                    Kind::Narrow(scale) => Some(scale),
                    Kind::Float => None,
                    _ => {
                        return Err(bad(
                            format!("数据项 `{item}` 不能求和或平均"),
                            format!("the data item `{item}` cannot be summed or averaged"),
                        ));
                    }
                };
                let sum = match scale {
                    Some(_) => term("SUM", true, Read::Text),
                    None => term("SUM", false, Read::Stored(kind)),
                };
                match (how, scale) {
                    (How::Avg, Some(scale)) => {
                        Figure::Mean(sum, term("COUNT", false, Read::Count), scale)
                    }
                    (How::Avg, None) => Figure::MeanFloat(sum, term("COUNT", false, Read::Count)),
                    (_, Some(scale)) => Figure::Sum(sum, scale),
                    (_, None) => Figure::At(sum),
                }
            }
        });
    }
    let mut filter = Writer { dialect, shape, text: String::new(), params: Vec::new() };
    if let Some(condition) = view.row_filter {
        filter.and();
        filter.condition(condition, None, Within::default())?;
    }
    if let Some(condition) = &ask.filter {
        filter.and();
        filter.condition(condition, Some(view), Within::default())?;
    }
    let Writer { text, params, .. } = filter;
    let order = group.replace(" GROUP BY ", " ORDER BY ");
    let limit = ask.most.saturating_add(1);
    Ok(GroupPlan {
        sql: format!("SELECT {list} FROM {table}{text}{group}{order} LIMIT {limit}"),
        params,
        reads,
        columns,
        figures,
        smallest: ask.smallest,
        most: usize::try_from(ask.most).unwrap_or(usize::MAX),
    })
}

/// The column of an item that the grant shows as it is; `None` when the table does not hold it (yet).
fn plain(shape: &Shape, view: &View<'_>, item: &str) -> Result<Option<(usize, Kind)>> {
    let granted = view.column(item).ok_or_else(|| not_granted(item))?;
    if granted.mask.is_some() || !granted.filterable {
        return Err(bad(
            format!("数据项 `{item}` 经脱敏提供，不能用于统计"),
            format!("the data item `{item}` is released masked: nothing can be computed with it"),
        ));
    }
    Ok(shape.find(item).map(|(n, c)| (n, c.kind)))
}

impl GroupPlan {
    /// Groups from what the database answered.
    pub(super) fn finish(self, found: Vec<Row>) -> Result<Groups> {
        if found.len() > self.most {
            return Err(bad(
                format!("分组超过 {} 个，请缩小条件", self.most),
                format!("the question makes more than {} groups; narrow it", self.most),
            ));
        }
        let size = |row: &Row| match row.first() {
            Some(Value::Integer(n)) => u64::try_from(*n).unwrap_or(0),
            _ => 0,
        };
        // Without any group there is one line, also over no rows at all.
        let all = found.len();
        let mut shown: Vec<Row> =
            found.into_iter().filter(|row| size(row) >= self.smallest.max(1)).collect();
        if all - shown.len() == 1
            && let Some(next) = (0..shown.len()).min_by_key(|n| shown.get(*n).map_or(0, size))
        {
            shown.remove(next);
        }
        let hidden = u64::try_from(all - shown.len()).unwrap_or(0);
        let rows = shown
            .iter()
            .map(|row| self.figures.iter().map(|f| figure(*f, row)).collect::<Result<Row>>())
            .collect::<Result<Vec<Row>>>()?;
        Ok(Groups { columns: self.columns, rows, hidden })
    }
}

fn figure(figure: Figure, row: &Row) -> Result<Value> {
    let at = |n: usize| row.get(n).cloned().unwrap_or(Value::Null);
    let whole = |n: usize| match at(n) {
        Value::Integer(n) => n,
        _ => 0,
    };
    let too_large = || {
        bad(
            "合计超出可表示的范围，请缩小条件".into(),
            "a sum is too large to tell; narrow it".into(),
        )
    };
    let sum = |n: usize, scale: u8| -> Result<Option<Decimal>> {
        let Value::Text(text) = at(n) else { return Ok(None) };
        let unscaled: i128 =
            text.parse().map_err(|_| Error::internal(format!("a sum `{text}`")))?;
        Decimal::try_from_i128_with_scale(unscaled, u32::from(scale))
            .map(Some)
            .map_err(|_| too_large())
    };
    Ok(match figure {
        Figure::Nothing => Value::Null,
        Figure::At(n) => at(n),
        Figure::Sum(n, scale) => match sum(n, scale)? {
            None => Value::Null,
            Some(total) if scale == 0 => match i64::try_from(total) {
                Ok(whole) => Value::Integer(whole),
                Err(_) => Value::Decimal(total),
            },
            Some(total) => Value::Decimal(total),
        },
        Figure::Mean(n, count, scale) => match (sum(n, scale)?, whole(count)) {
            (Some(total), rows) if rows > 0 => {
                let mean = total.checked_div(Decimal::from(rows)).ok_or_else(too_large)?;
                Value::Decimal(mean.round_dp(u32::from(scale) + 4).normalize())
            }
            _ => Value::Null,
        },
        #[expect(clippy::cast_precision_loss, reason = "a number of rows, far below 2^53")]
        Figure::MeanFloat(n, count) => match (at(n), whole(count)) {
            (Value::Float(total), rows) if rows > 0 => Value::Float(total / rows as f64),
            _ => Value::Null,
        },
    })
}

/// An answer where nothing has landed; the question was checked all the same.
pub(super) fn nothing(view: &View<'_>, ask: &Grouping) -> Result<Groups> {
    for item in ask.by.iter().map(|(item, _)| item).chain(ask.measures.iter().map(|(_, i, _)| i)) {
        if !item.is_empty() && view.column(item).is_none() {
            return Err(not_granted(item));
        }
    }
    let names = ask.by.iter().map(|(_, name)| name);
    let columns = names.chain(ask.measures.iter().map(|(_, _, name)| name)).cloned().collect();
    Ok(Groups { columns, rows: Vec::new(), hidden: 0 })
}

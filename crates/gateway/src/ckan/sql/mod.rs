//! `datastore_search_sql`: one SELECT over one open table, off until the operator switches it on (`[gateway] ckan_sql`).
//!
//! `words` cuts the statement, `grammar` reads it by a closed grammar of its own, and here it becomes the same query that
//! `datastore_search` makes, through the same gate: no text of a caller reaches an engine, and what is not in the grammar is refused.

mod grammar;
mod words;

use std::cmp::Ordering;

use app::GrantColumn;
use app::opening::{self, Dataset};
use model::Op;
use model::code::DataType;
use model::interface::How;
use model::query::{Condition, Count, Grouping, Order, RowQuery};
use model::value::Row;
use serde_json::{Map, Value, json};

use super::fault::Fault;
use super::filters::PLACE;
use super::params::Params;
use super::table;
use crate::Door;
use grammar::{Item, Select, Sorted};
use words::wrong;

/// Most groups of one statement.
const GROUPS: u64 = 10_000;

pub(super) async fn search(door: &Door, op: &Op, params: &Params) -> Result<Value, Fault> {
    let written = params.wanted("sql")?;
    let select = grammar::read(&written)?;
    let (dataset, columns) = table::table(door, op, &select.from).await?;
    let asked = Asked::of(&select, &columns)?;
    let most = door.app.rules.call.max_rows;
    let limit = select.limit.unwrap_or(most).min(most);
    let grouped =
        select.distinct || !select.group.is_empty() || asked.items.iter().any(|i| i.how.is_some());
    let code = dataset.entry.draft.code.as_str();
    let (rows, more) = match grouped {
        true => groups(door, op, code, &select, &asked, limit).await?,
        false => plain(door, op, code, &select, &asked, limit).await?,
    };
    let mut told = Map::new();
    told.insert("sql".into(), written.into());
    told.insert("fields".into(), asked.items.iter().map(|i| i.field(&dataset)).collect());
    told.insert("records".into(), rows.iter().map(|row| asked.record(row)).collect());
    // What was cut by this door, not by the statement.
    if more && select.limit.is_none_or(|wanted| wanted > most) {
        told.insert("records_truncated".into(), true.into());
    }
    Ok(Value::Object(told))
}

/// An item of the list with the column it is made of.
struct Chosen<'a> {
    how: Option<How>,
    /// None: the rows themselves are counted.
    column: Option<&'a GrantColumn>,
    name: String,
}

/// A statement whose names were found among the columns.
struct Asked<'a> {
    items: Vec<Chosen<'a>>,
    filter: Option<Condition>,
    columns: &'a [GrantColumn],
}

impl<'a> Asked<'a> {
    fn of(select: &Select, columns: &'a [GrantColumn]) -> Result<Self, Fault> {
        let mut items: Vec<Chosen<'a>> = match select.items.is_empty() {
            true => columns.iter().map(Chosen::column).collect(),
            false => Vec::with_capacity(select.items.len()),
        };
        for item in &select.items {
            let chosen = Chosen::of(item, columns)?;
            if items.iter().any(|other| other.name == chosen.name) {
                return Err(wrong(
                    &format!("结果中有两列名为 `{}`，请用 AS 另起名称", chosen.name),
                    &format!(
                        "two columns of the answer are called `{}`: rename one by AS",
                        chosen.name
                    ),
                ));
            }
            items.push(chosen);
        }
        let filter = select.filter.clone().map(|test| resolved(test, columns)).transpose()?;
        Ok(Self { items, filter, columns })
    }

    fn record(&self, row: &Row) -> Value {
        let cells = self.items.iter().zip(row);
        let pairs = cells.map(|(item, cell)| (item.name.clone(), table::value(item.kind(), cell)));
        Value::Object(pairs.collect())
    }
}

impl<'a> Chosen<'a> {
    fn column(column: &'a GrantColumn) -> Self {
        Self { how: None, column: Some(column), name: column.identifier.clone() }
    }

    fn of(item: &Item, columns: &'a [GrantColumn]) -> Result<Self, Fault> {
        let column = match item.column.is_empty() {
            true => None,
            false => Some(known(&item.column, columns)?),
        };
        let plain = match item.how {
            Some(how) => how.as_str().to_owned(),
            None => column.map_or_else(String::new, |c| c.identifier.clone()),
        };
        Ok(Self { how: item.how, column, name: item.alias.clone().unwrap_or(plain) })
    }

    fn identifier(&self) -> &str {
        self.column.map_or("", |c| c.identifier.as_str())
    }

    /// The type by which its values are told.
    fn kind(&self) -> DataType {
        match (self.how, self.column) {
            (Some(How::Count), _) | (_, None) => DataType::Integer,
            (Some(How::Sum | How::Avg), _) => DataType::Decimal,
            (_, Some(column)) => column.data_type,
        }
    }

    fn field(&self, dataset: &Dataset) -> Value {
        match (self.how, self.column) {
            (Some(How::Count), _) | (_, None) => json!({ "id": self.name, "type": "int8" }),
            (Some(How::Sum | How::Avg), _) => json!({ "id": self.name, "type": "numeric" }),
            (_, Some(column)) => {
                let mut field = table::field(dataset, column);
                if let Some(field) = field.as_object_mut() {
                    field.insert("id".into(), self.name.clone().into());
                }
                field
            }
        }
    }
}

/// A column by its name: as it is written, else whatever its case. A hidden one answers as one that is none.
fn known<'a>(name: &str, columns: &'a [GrantColumn]) -> Result<&'a GrantColumn, Fault> {
    let exact = columns.iter().find(|c| c.identifier == name);
    let alike = || columns.iter().find(|c| c.identifier.eq_ignore_ascii_case(name));
    exact.or_else(alike).ok_or_else(|| {
        if name == PLACE {
            return wrong(
                "_id 是行在结果中的序号，不能在 SQL 中使用",
                "_id is the place of a row in an answer and does not stand in SQL",
            );
        }
        let shown: String = name.chars().take(80).collect();
        wrong(
            &format!("表中没有字段 `{shown}`"),
            &format!("field \"{shown}\" does not exist in table"),
        )
    })
}

fn resolved(test: Condition, columns: &[GrantColumn]) -> Result<Condition, Fault> {
    let each = |all: Vec<Condition>| {
        all.into_iter().map(|c| resolved(c, columns)).collect::<Result<Vec<_>, Fault>>()
    };
    Ok(match test {
        Condition::Column { column, comparison } => {
            Condition::Column { column: known(&column, columns)?.identifier.clone(), comparison }
        }
        Condition::Not(inner) => Condition::Not(Box::new(resolved(*inner, columns)?)),
        Condition::And(all) => Condition::And(each(all)?),
        Condition::Or(all) => Condition::Or(each(all)?),
    })
}

/// Rows as they are; and whether there are more.
async fn plain(
    door: &Door,
    op: &Op,
    code: &str,
    select: &Select,
    asked: &Asked<'_>,
    limit: u64,
) -> Result<(Vec<Row>, bool), Fault> {
    let order = |sorted: &Sorted| {
        let named = asked.items.iter().find(|i| i.name == sorted.column).and_then(|i| i.column);
        let column = match named {
            Some(column) => column,
            None => known(&sorted.column, asked.columns)?,
        };
        Ok::<_, Fault>(Order {
            column: column.identifier.clone(),
            descending: sorted.descending,
            nulls_first: sorted.nulls_first,
        })
    };
    let mut wanted: Vec<String> = Vec::new();
    for item in &asked.items {
        if !wanted.iter().any(|name| name == item.identifier()) {
            wanted.push(item.identifier().to_owned());
        }
    }
    let query = RowQuery {
        select: wanted.iter().map(|c| (c.clone(), None)).collect(),
        filter: asked.filter.clone(),
        order: select.order.iter().map(order).collect::<Result<_, _>>()?,
        limit: Some(limit),
        offset: select.offset,
        after: None,
        count: Count::None,
    };
    let page = app::sharing::query(&door.app, op, code, &query).await?.page;
    // One column may stand twice in the list.
    let places: Vec<Option<usize>> =
        asked.items.iter().map(|i| wanted.iter().position(|w| w == i.identifier())).collect();
    let rows = page.rows.iter().map(|row| placed(row, &places)).collect();
    Ok((rows, page.next.is_some()))
}

/// The cells of a row at some places, in their order.
fn placed(row: &Row, places: &[Option<usize>]) -> Row {
    places
        .iter()
        .map(|at| at.and_then(|at| row.get(at)).cloned().unwrap_or(model::value::Value::Null))
        .collect()
}

/// Figures by group, or distinct rows; and whether there are more.
async fn groups(
    door: &Door,
    op: &Op,
    code: &str,
    select: &Select,
    asked: &Asked<'_>,
    limit: u64,
) -> Result<(Vec<Row>, bool), Fault> {
    let by = grouped_by(select, asked)?;
    // One measure for each figure of the list, in its order.
    let figures = asked.items.iter().filter_map(|i| Some((i.how?, i.identifier().to_owned())));
    let measures: Vec<(How, String, String)> = figures
        .map(|(how, column)| {
            let name = format!("{how}({column})");
            (how, column, name)
        })
        .collect();
    let single = by.is_empty();
    let ask = Grouping {
        by: by.iter().map(|c| (c.clone(), c.clone())).collect(),
        measures,
        filter: asked.filter.clone(),
        smallest: 0,
        most: GROUPS,
    };
    let mut rows = opening::grouped(&door.app, op, code, &ask).await?.rows;
    if single && rows.is_empty() {
        // Over no rows there is one line of figures: nought are counted, nothing is the sum.
        let nothing = |item: &Chosen<'_>| match item.how {
            Some(How::Count) => model::value::Value::Integer(0),
            _ => model::value::Value::Null,
        };
        rows.push(asked.items.iter().map(nothing).collect());
    }
    let mut next = by.len();
    let places: Vec<Option<usize>> = asked
        .items
        .iter()
        .map(|item| match item.how {
            None => by.iter().position(|c| c == item.identifier()),
            Some(_) => {
                next += 1;
                Some(next - 1)
            }
        })
        .collect();
    let keys = select
        .order
        .iter()
        .map(|sorted| Ok((place_of(sorted, &by, asked, &places)?, sorted)))
        .collect::<Result<Vec<(usize, &Sorted)>, Fault>>()?;
    rows.sort_by(|a, b| {
        let wanted = keys.iter().fold(Ordering::Equal, |so_far, (at, sorted)| {
            so_far.then_with(|| directed(a, b, *at, sorted))
        });
        (0..by.len())
            .fold(wanted, |so_far, at| so_far.then_with(|| table::compare(a.get(at), b.get(at))))
    });
    let size = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let found = rows.len();
    let rows: Vec<Row> = rows
        .iter()
        .skip(size(select.offset))
        .take(size(limit))
        .map(|row| placed(row, &places))
        .collect();
    let more = found > size(select.offset).saturating_add(rows.len());
    Ok((rows, more))
}

/// The columns whose values make the groups; every plain column of the list must be one of them.
fn grouped_by(select: &Select, asked: &Asked<'_>) -> Result<Vec<String>, Fault> {
    let plain =
        || asked.items.iter().filter(|i| i.how.is_none()).map(|i| i.identifier().to_owned());
    let figures = asked.items.iter().any(|i| i.how.is_some());
    let mut by: Vec<String> = Vec::new();
    if select.distinct {
        if figures || !select.group.is_empty() {
            return Err(wrong(
                "DISTINCT 不能与统计函数或 GROUP BY 同用",
                "DISTINCT does not go with figures or GROUP BY",
            ));
        }
        by.extend(plain());
    }
    for name in &select.group {
        by.push(known(name, asked.columns)?.identifier.clone());
    }
    by.sort_unstable();
    by.dedup();
    match plain().find(|name| !by.contains(name)) {
        None => Ok(by),
        Some(name) => Err(wrong(
            &format!("字段 `{name}` 须出现在 GROUP BY 中或用于统计函数"),
            &format!("field \"{name}\" must stand in GROUP BY or in a figure"),
        )),
    }
}

/// Where in a row of groups a name of ORDER BY lies.
fn place_of(
    sorted: &Sorted,
    by: &[String],
    asked: &Asked<'_>,
    places: &[Option<usize>],
) -> Result<usize, Fault> {
    let listed = asked.items.iter().position(|i| i.name == sorted.column);
    if let Some(at) = listed.and_then(|n| places.get(n).copied().flatten()) {
        return Ok(at);
    }
    let column = known(&sorted.column, asked.columns)?;
    by.iter().position(|c| *c == column.identifier).ok_or_else(|| {
        wrong(
            "分组后只能按分组字段或结果中的列排序",
            "groups are ordered by what they are grouped by, or by a column of the answer",
        )
    })
}

fn directed(a: &Row, b: &Row, at: usize, sorted: &Sorted) -> Ordering {
    let (a, b) = (a.get(at), b.get(at));
    let empty = |cell: Option<&model::value::Value>| cell.is_none_or(model::value::Value::is_null);
    match (empty(a), empty(b)) {
        (false, false) => {
            let way = table::compare(a, b);
            if sorted.descending { way.reverse() } else { way }
        }
        (one, other) => {
            // As PostgreSQL has it: nothing is more than everything.
            let first = sorted.nulls_first.unwrap_or(sorted.descending);
            if first { other.cmp(&one) } else { one.cmp(&other) }
        }
    }
}

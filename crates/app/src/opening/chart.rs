//! Charts of open rows: figures by group, and points of two numbers, through a grant as the preview has it.
//!
//! The engine groups by the values of one item; days are rolled up to months or years here. What is drawn is a table of
//! names and figures: the same for the drawing, for the script and for those who rather read.

use std::collections::HashMap;

use futures::StreamExt;
use model::audit::AuditEvent;
use model::code::{DataType, OpenType};
use model::entry::Entry;
use model::interface::How;
use model::item::Item;
use model::query::{Condition, Grouping, RowQuery};
use model::value::Value;
use model::{Code, Error, Op, Result};
use policy::{Action, Grant};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::Serialize;

use super::{grant, open_entry};
use crate::sharing::{fingerprint, read, release_event};
use crate::{App, audit};

/// What days are rolled up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Step {
    #[default]
    Each,
    Month,
    Year,
}

/// A question for figures by group.
#[derive(Clone, Debug, Default)]
pub struct ChartAsk {
    /// Item whose values make the groups.
    pub x: String,
    /// Item that is computed with; empty: rows are counted.
    pub y: String,
    pub how: Option<How>,
    pub step: Step,
    pub filter: Option<Condition>,
    /// In the order of `x` (lines), whatever `x` is.
    pub ordered: bool,
}

/// One group: `name` is empty where the item is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bar {
    pub name: Option<String>,
    pub figure: Option<String>,
    pub value: f64,
}

/// Figures by group, those drawn.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chart {
    pub bars: Vec<Bar>,
    /// Groups there are.
    pub groups: usize,
    /// Only so many rows were read: the set is longer, and is not held for questions.
    pub first_rows: Option<u64>,
}

/// Points of two numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Points {
    pub points: Vec<(f64, f64)>,
    /// There are more rows than were drawn.
    pub more: bool,
}

/// Items of an open set that charts are made of: what anyone may have.
#[must_use]
pub fn drawable(items: &[Item]) -> Vec<&Item> {
    items
        .iter()
        .filter(|i| i.open_type == OpenType::Unconditional)
        .filter(|i| !matches!(i.data_type, DataType::Geometry | DataType::Json))
        .collect()
}

/// Whether sums can be made of it.
#[must_use]
pub fn countable(item: &Item) -> bool {
    matches!(item.data_type, DataType::Integer | DataType::Decimal | DataType::Float)
}

/// Figures by group of a freely open set; audited as a release.
pub async fn chart(app: &App, op: &Op, code: &str, ask: &ChartAsk) -> Result<Chart> {
    let entry = open_entry(app, code).await?;
    let x = item(&entry, &ask.x)?;
    let how = ask.how.unwrap_or(How::Count);
    let y = match ask.y.as_str() {
        "" if how == How::Count => None,
        "" => return Err(bad("y", "请选择要计算的数据项", "choose the item to compute with")),
        name => Some(item(&entry, name)?),
    };
    if let Some(y) = y
        && matches!(how, How::Sum | How::Avg)
        && !countable(y)
    {
        return Err(bad(
            "y",
            "该数据项不是数字，不能求和或平均",
            "this item is no number: it can be counted only",
        ));
    }
    if ask.step != Step::Each && !matches!(x.data_type, DataType::Date | DataType::DateTime) {
        return Err(bad(
            "step",
            "只有日期可以按月或按年合并",
            "only days are rolled up by month or year",
        ));
    }
    let numeric = countable(x);
    let dated = matches!(x.data_type, DataType::Date | DataType::DateTime);
    let rules = &app.rules.site.chart;
    let served = app.store.serving().position(&entry.id).await?.is_some();
    let action = if served { Action::RowsPreview } else { Action::RowsDownload };
    let grant = grant(app, op, &entry, action, rules.rows).await?;
    let mut groups = Groups::new(ask.step);
    let mut first_rows = None;
    if served {
        held(app, &grant, ask, &mut groups).await?;
    } else {
        first_rows = from_lake(app, &grant, ask, &mut groups).await?;
    }
    let mut bars = groups.bars(how, y.is_some());
    let all = bars.len();
    if ask.ordered || numeric || dated {
        bars.sort_by(|(a, _), (b, _)| a.order(b));
        bars.truncate(rules.steps);
    } else {
        bars.sort_by(|(a, one), (b, other)| {
            other.value.total_cmp(&one.value).then_with(|| a.order(b))
        });
        bars.truncate(rules.words);
    }
    let bars: Vec<Bar> = bars.into_iter().map(|(_, bar)| bar).collect();
    let event = AuditEvent {
        columns: match y {
            None => ask.x.clone(),
            Some(y) => format!("{},{how}({})", ask.x, y.identifier),
        },
        level: grant.grade().as_str().to_owned(),
        scope: ask.filter.as_ref().map(fingerprint).unwrap_or_default(),
        rows: u64::try_from(bars.len()).unwrap_or(u64::MAX),
        purpose: grant.purpose().to_owned(),
        masks: grant.masks_text(),
        ..audit::event(op, Action::RowsPreview.as_str(), grant.code())
    };
    audit::record(app, event).await?;
    Ok(Chart { bars, groups: all, first_rows })
}

/// Points of two numbers of a freely open set: the first rows that have both; audited as a release.
pub async fn points(
    app: &App,
    op: &Op,
    code: &str,
    (x, y): (&str, &str),
    filter: Option<Condition>,
) -> Result<Points> {
    let entry = open_entry(app, code).await?;
    for (field, name) in [("x", x), ("y", y)] {
        if !countable(item(&entry, name)?) {
            return Err(bad(
                field,
                "散点图的两项都应为数字",
                "both items of a scatter chart must be numbers",
            ));
        }
    }
    let most = app.rules.site.chart.points;
    let grant = grant(app, op, &entry, Action::RowsPreview, most).await?;
    let served = app.store.serving().position(&entry.id).await?.is_some();
    let there = |name: &str| {
        Condition::Not(Box::new(Condition::Column {
            column: name.to_owned(),
            comparison: model::query::Comparison::IsNull,
        }))
    };
    let all: Vec<Condition> = [there(x), there(y)].into_iter().chain(filter).collect();
    let query = RowQuery {
        select: vec![(x.to_owned(), None), (y.to_owned(), None)],
        filter: Some(Condition::And(all)),
        limit: Some(most),
        ..RowQuery::default()
    };
    let page = read(app, &grant, &entry, served, &query).await?;
    let masks = grant.masks_text();
    audit::record(app, release_event(op, &grant, &masks, &query, &page)).await?;
    let points = page
        .rows
        .iter()
        .filter_map(|row| Some((number(row.first()?)?, number(row.get(1)?)?)))
        .collect();
    Ok(Points { points, more: page.next.is_some() })
}

/// What is known of one group.
#[derive(Clone, Debug, Default)]
struct Figures {
    rows: i64,
    /// Rows in which `y` holds something.
    filled: i64,
    sum: Sum,
    least: Option<Value>,
    most: Option<Value>,
}

/// A sum that is exact as long as its terms are.
#[derive(Clone, Copy, Debug)]
enum Sum {
    Exact(Decimal),
    Float(f64),
}

impl Default for Sum {
    fn default() -> Self {
        Sum::Exact(Decimal::ZERO)
    }
}

impl Sum {
    fn add(self, value: &Value) -> Self {
        let term = match value {
            Value::Integer(n) => Some(Decimal::from(*n)),
            Value::Decimal(d) => Some(*d),
            _ => None,
        };
        match (self, term) {
            (Sum::Exact(sum), Some(term)) => match sum.checked_add(term) {
                Some(sum) => Sum::Exact(sum),
                None => Sum::Float(float(sum) + float(term)),
            },
            (sum, term) => {
                let more = term.map(float).or_else(|| number(value)).unwrap_or(0.0);
                Sum::Float(sum.value() + more)
            }
        }
    }
    fn value(self) -> f64 {
        match self {
            Sum::Exact(sum) => float(sum),
            Sum::Float(sum) => sum,
        }
    }
    fn told(self) -> Value {
        match self {
            Sum::Exact(sum) => Value::Decimal(sum.normalize()),
            Sum::Float(sum) => Value::Float(sum),
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a number of rows, far below 2^53")]
    fn mean(self, of: i64) -> Value {
        match self {
            Sum::Exact(sum) => match sum.checked_div(Decimal::from(of)) {
                Some(mean) => Value::Decimal(mean.round_dp(4).normalize()),
                None => Value::Null,
            },
            Sum::Float(sum) => Value::Float(sum / of as f64),
        }
    }
}

fn float(d: Decimal) -> f64 {
    d.to_f64().unwrap_or(0.0)
}

/// The value of a group, with what it is sorted by.
#[derive(Clone, Debug)]
struct Key {
    text: Option<String>,
    number: Option<f64>,
}

impl Key {
    /// Empty values come last.
    fn order(&self, other: &Self) -> std::cmp::Ordering {
        match (self.number, other.number) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            _ => (self.text.is_none(), &self.text).cmp(&(other.text.is_none(), &other.text)),
        }
    }
}

/// Groups being gathered, by the text of their value.
struct Groups {
    step: Step,
    all: HashMap<Option<String>, (Option<f64>, Figures)>,
}

impl Groups {
    fn new(step: Step) -> Self {
        Self { step, all: HashMap::new() }
    }

    fn of(&mut self, x: &Value) -> &mut Figures {
        let text = x.to_text().map(|text| match self.step {
            Step::Each => text,
            Step::Month => text.get(..7).map_or_else(|| text.clone(), str::to_owned),
            Step::Year => text.get(..4).map_or_else(|| text.clone(), str::to_owned),
        });
        &mut self.all.entry(text).or_insert_with(|| (number(x), Figures::default())).1
    }

    fn bars(self, how: How, of_item: bool) -> Vec<(Key, Bar)> {
        self.all
            .into_iter()
            .map(|(text, (number, figures))| {
                let told = figures.told(how, of_item);
                let bar = Bar {
                    name: text.clone(),
                    value: self::number(&told).unwrap_or(0.0),
                    figure: told.to_text(),
                };
                (Key { text, number }, bar)
            })
            .collect()
    }
}

impl Figures {
    fn told(self, how: How, of_item: bool) -> Value {
        match how {
            How::Count if !of_item => Value::Integer(self.rows),
            How::Count => Value::Integer(self.filled),
            _ if self.filled == 0 => Value::Null,
            How::Sum => self.sum.told(),
            How::Avg => self.sum.mean(self.filled),
            How::Min => self.least.unwrap_or(Value::Null),
            How::Max => self.most.unwrap_or(Value::Null),
        }
    }
    fn bounds(&mut self, least: &Value, most: &Value) {
        if self.least.as_ref().is_none_or(|now| less(least, now)) && !least.is_null() {
            self.least = Some(least.clone());
        }
        if self.most.as_ref().is_none_or(|now| less(now, most)) && !most.is_null() {
            self.most = Some(most.clone());
        }
    }
}

/// Groups of the serving copy.
async fn held(app: &App, grant: &Grant, ask: &ChartAsk, groups: &mut Groups) -> Result<()> {
    let of_item = !ask.y.is_empty();
    let how = ask.how.unwrap_or(How::Count);
    let measure = |how, item: &str, name: &str| (how, item.to_owned(), name.to_owned());
    let mut measures = vec![measure(How::Count, "", "rows")];
    if of_item {
        measures.push(measure(How::Count, &ask.y, "filled"));
        match how {
            How::Sum | How::Avg => measures.push(measure(How::Sum, &ask.y, "sum")),
            How::Min => measures.push(measure(How::Min, &ask.y, "least")),
            How::Max => measures.push(measure(How::Max, &ask.y, "most")),
            How::Count => {}
        }
    }
    let question = Grouping {
        by: vec![(ask.x.clone(), "x".to_owned())],
        measures,
        filter: ask.filter.clone(),
        // What anyone may download row by row has no small groups to hide.
        smallest: 0,
        most: app.rules.site.chart.groups,
    };
    let found = app.store.serving().statistics(grant, &question).await?;
    for row in &found.rows {
        let at = |n: usize| row.get(n).unwrap_or(&Value::Null);
        let figures = groups.of(at(0));
        figures.rows += whole(at(1));
        figures.filled += whole(at(2));
        match how {
            How::Sum | How::Avg if !at(3).is_null() => figures.sum = figures.sum.add(at(3)),
            How::Min | How::Max => figures.bounds(at(3), at(3)),
            _ => {}
        }
    }
    Ok(())
}

/// Groups of rows read from the lake, for sets without a key; answers how many rows were read when there are more.
async fn from_lake(
    app: &App,
    grant: &Grant,
    ask: &ChartAsk,
    groups: &mut Groups,
) -> Result<Option<u64>> {
    let rules = &app.rules.site.chart;
    let of_item = !ask.y.is_empty();
    let select =
        std::iter::once(&ask.x).chain(of_item.then_some(&ask.y)).map(|c| (c.clone(), None));
    let query = RowQuery {
        select: select.collect(),
        filter: ask.filter.clone(),
        limit: Some(rules.rows.saturating_add(1)),
        ..RowQuery::default()
    };
    let mut rows = app.lake.scan(grant, &query, None).await?;
    let mut read = 0_u64;
    while let Some(chunk) = rows.next().await {
        for row in &chunk?.rows {
            read += 1;
            if read > rules.rows {
                return Ok(Some(rules.rows));
            }
            add(groups, row, of_item);
            if u64::try_from(groups.all.len()).unwrap_or(u64::MAX) > rules.groups {
                return Err(too_many(rules.groups));
            }
        }
    }
    Ok(None)
}

fn add(groups: &mut Groups, row: &[Value], of_item: bool) {
    let at = |n: usize| row.get(n).unwrap_or(&Value::Null);
    let figures = groups.of(at(0));
    figures.rows += 1;
    if of_item && !at(1).is_null() {
        figures.filled += 1;
        figures.sum = figures.sum.add(at(1));
        figures.bounds(at(1), at(1));
    }
}

fn whole(value: &Value) -> i64 {
    match value {
        Value::Integer(n) => *n,
        _ => 0,
    }
}

#[expect(clippy::cast_precision_loss, reason = "drawn on some hundred points of a screen")]
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(n) => Some(*n as f64),
        Value::Decimal(d) => d.to_f64(),
        Value::Float(f) => Some(*f).filter(|f| f.is_finite()),
        _ => None,
    }
}

fn less(a: &Value, b: &Value) -> bool {
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a < b,
        _ => a.to_text() < b.to_text(),
    }
}

fn item<'a>(entry: &'a Entry, name: &str) -> Result<&'a Item> {
    let items = drawable(&entry.draft.items);
    items.into_iter().find(|i| i.identifier == name).ok_or_else(|| {
        let shown: String = name.chars().take(80).collect();
        Error::new(
            Code::InvalidQuery,
            format!("没有可用于图表的数据项 `{shown}`"),
            format!("there is no data item `{shown}` that a chart can be made of"),
        )
    })
}

fn bad(field: &str, zh: &str, en: &str) -> Error {
    Error::new(Code::InvalidQuery, zh, en).field(field, zh, en)
}

fn too_many(most: u64) -> Error {
    Error::new(
        Code::InvalidQuery,
        format!("分组超过 {most} 个，请加上筛选条件，或按月、按年合并"),
        format!("there are more than {most} groups: filter, or roll days up by month or year"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_rolled_up_and_sums_stay_exact() {
        let mut groups = Groups::new(Step::Month);
        let day = |d: &str| Value::Date(d.parse().unwrap());
        let amount = |d: &str| Value::Decimal(d.parse().unwrap());
        for (d, a) in [("2026-01-02", "0.10"), ("2026-01-31", "0.20"), ("2026-02-01", "5")] {
            add(&mut groups, &[day(d), amount(a)], true);
        }
        add(&mut groups, &[Value::Null, Value::Null], true);
        let mut bars = groups.bars(How::Sum, true);
        bars.sort_by(|(a, _), (b, _)| a.order(b));
        let told: Vec<_> =
            bars.iter().map(|(_, b)| (b.name.as_deref(), b.figure.as_deref())).collect();
        assert_eq!(
            told,
            [(Some("2026-01"), Some("0.3")), (Some("2026-02"), Some("5")), (None, None)]
        );
    }

    #[test]
    fn numbers_are_in_the_order_of_numbers_and_bounds_are_found() {
        let mut groups = Groups::new(Step::Each);
        for (x, y) in [(10, 7), (9, 1), (10, 3)] {
            add(&mut groups, &[Value::Integer(x), Value::Integer(y)], true);
        }
        let mut bars = groups.bars(How::Max, true);
        bars.sort_by(|(a, _), (b, _)| a.order(b));
        let told: Vec<_> =
            bars.iter().map(|(_, b)| (b.name.as_deref().unwrap(), b.value)).collect();
        assert_eq!(told, [("9", 1.0), ("10", 7.0)]);
    }
}

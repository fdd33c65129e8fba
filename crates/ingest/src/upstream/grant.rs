//! Fields of an answer become values of items, and the grant is applied to them as the engines apply it inside their plans: rows that
//! its filter does not let through stay here, masked items leave masked, and what is not granted does not leave.

use std::cmp::Ordering;

use guard::MaskKey;
use guard::mask::Masker;
use model::item::Item;
use model::query::{Comparison, Condition};
use model::reading::cell::Cell;
use model::reading::typing::{Doubt, Field, Hint};
use model::value::{Row, Rows, Value};
use model::{Code, Error, Result};
use policy::port::UpstreamAsk;
use policy::{Grant, GrantColumn};

use super::field::Fields;
use super::malformed;

/// What a question and its grant ask of an answer, checked before the service is asked.
pub(super) struct Shaped<'a> {
    grant: &'a Grant,
    ask: &'a UpstreamAsk<'a>,
    /// Items in the order of `take`.
    items: Vec<&'a Item>,
    /// Columns that leave: their place among the items, grant, name.
    columns: Vec<(usize, &'a GrantColumn, &'a str)>,
}

impl<'a> Shaped<'a> {
    pub(super) fn of(grant: &'a Grant, ask: &'a UpstreamAsk<'a>) -> Result<Self> {
        let mut items = Vec::new();
        for take in &ask.described.take {
            let item = ask.items.iter().find(|i| i.identifier == take.item);
            items.push(item.ok_or_else(|| not_brought(&take.item))?);
        }
        let at = |name: &str| items.iter().position(|i| i.identifier == name);
        if let Some(filter) = grant.row_filter() {
            let mut named = Vec::new();
            filter.columns(&mut named);
            if let Some(missing) = named.into_iter().find(|name| at(name).is_none()) {
                return Err(not_brought(missing));
            }
        }
        if let Some(filter) = ask.filter {
            allowed(grant, filter)?;
        }
        let mut columns = Vec::new();
        let mut add = |name: &str, label: &'a str| {
            if let (Some(place), Some(column)) = (at(name), grant.column(name)) {
                columns.push((place, column, label));
            }
        };
        if ask.select.is_empty() {
            ask.described.take.iter().for_each(|t| add(&t.item, &t.item));
        } else {
            ask.select.iter().for_each(|(name, label)| add(name, label.as_ref().unwrap_or(name)));
        }
        if columns.is_empty() {
            return Err(Error::of(Code::ColumnNotGranted));
        }
        Ok(Self { grant, ask, items, columns })
    }

    /// The rows that may leave, as they may.
    pub(super) fn rows(&self, key: &MaskKey, fields: Vec<Fields>) -> Result<Rows> {
        let typed = self.typed(&fields)?;
        let masker = Masker::new(key, self.grant.grantee());
        let most =
            usize::try_from(self.ask.most_rows.min(self.grant.row_cap())).unwrap_or(usize::MAX);
        let mut rows: Vec<Row> = Vec::new();
        for row in 0..fields.len() {
            let value = |name: &str| {
                let at = self.items.iter().position(|i| i.identifier == name)?;
                typed.get(at)?.get(row).map(|v| (self.items.get(at).copied(), v))
            };
            if !self.grant.row_filter().is_none_or(|f| holds(f, &value, false) == Some(true)) {
                continue;
            }
            // What the service brings beside what was asked for is none of this caller's business.
            if !self.ask.filter.is_none_or(|f| holds(f, &value, true) == Some(true)) {
                continue;
            }
            if rows.len() == most {
                return Err(Error::new(
                    Code::InvalidQuery,
                    format!("结果超过 {most} 行，请缩小条件"),
                    format!("the answer has more than {most} rows: narrow it"),
                ));
            }
            let shown = self.columns.iter().map(|(at, column, _)| {
                let plain = typed.get(*at).and_then(|c| c.get(row)).cloned().unwrap_or(Value::Null);
                match &column.mask {
                    Some(mask) => masker.apply(mask, &column.identifier, &plain),
                    None => plain,
                }
            });
            rows.push(shown.collect());
        }
        let columns = self.columns.iter().map(|(_, _, label)| (*label).to_owned()).collect();
        Ok(Rows { columns, rows })
    }

    /// Values by item, then by row.
    fn typed(&self, rows: &[Fields]) -> Result<Vec<Vec<Value>>> {
        let column = |(at, item): (usize, &&Item)| {
            let mut field = Field::new(item, Hint::default(), rows.len());
            for (n, row) in rows.iter().enumerate() {
                let text = row.get(at).and_then(Option::as_deref);
                let doubt = Doubt { nul: true, damage: true };
                // Why may quote the value.
                field.push(text.map(Cell::plain), true, doubt).map_err(|_| {
                    let (name, line) = (&item.identifier, n + 1);
                    malformed(
                        &format!("第 {line} 行的 `{name}` 不符合该数据项的类型或格式"),
                        &format!("`{name}` of row {line} is not of the item's type or shape"),
                    )
                })?;
            }
            Ok((0..rows.len()).map(|row| field.column.value(row)).collect())
        };
        self.items.iter().enumerate().map(column).collect()
    }
}

/// What may be asked: as at any resource, a masked item only by who knows its value.
fn allowed(grant: &Grant, condition: &Condition) -> Result<()> {
    match condition {
        Condition::And(all) => all.iter().try_for_each(|c| allowed(grant, c)),
        Condition::Column { column, comparison } => {
            grant.require_columns([column.as_str()])?;
            let known = grant.column(column);
            let by_value = matches!(comparison, Comparison::Eq(_) | Comparison::In(_));
            if known.is_some_and(|c| (c.filterable && c.mask.is_none()) || (c.lookup && by_value)) {
                return Ok(());
            }
            Err(Error::new(
                Code::ColumnNotGranted,
                format!("数据项 `{column}` 经脱敏提供，不能作为此接口的参数；请变更共享申请"),
                format!(
                    "the item `{column}` is granted masked and cannot be a parameter here: change the share application"
                ),
            ))
        }
        _ => Err(Error::internal("a proxied interface asks by parameters joined by and")),
    }
}

fn not_brought(item: &str) -> Error {
    Error::new(
        Code::RuleBroken,
        format!("接口描述没有取得授权所需的数据项 `{item}`，无法按授权提供；请接口维护单位补充"),
        format!("the interface does not bring the item `{item}` that the grant decides by: whoever keeps it must add it"),
    )
    .with_reasons(vec!["upstream.row-filter".to_owned()])
}

/// Whether a condition holds of a row; `None`: it cannot be said, as of nothing. `lenient`: what the answer does not bring decides
/// nothing.
fn holds<'v>(
    condition: &Condition,
    value: &impl Fn(&str) -> Option<(Option<&'v Item>, &'v Value)>,
    lenient: bool,
) -> Option<bool> {
    match condition {
        Condition::Not(inner) => holds(inner, value, lenient).map(|h| !h),
        Condition::And(all) => {
            let each: Vec<_> = all.iter().map(|c| holds(c, value, lenient)).collect();
            match each.contains(&Some(false)) {
                true => Some(false),
                false => (!each.contains(&None)).then_some(true),
            }
        }
        Condition::Or(all) => {
            let each: Vec<_> = all.iter().map(|c| holds(c, value, lenient)).collect();
            match each.contains(&Some(true)) {
                true => Some(true),
                false => (!each.contains(&None)).then_some(false),
            }
        }
        Condition::Column { column, comparison } => match value(column) {
            Some((Some(item), found)) => compared(item, found, comparison),
            _ => lenient.then_some(true),
        },
    }
}

fn compared(item: &Item, found: &Value, comparison: &Comparison) -> Option<bool> {
    if *comparison == Comparison::IsNull {
        return Some(found.is_null());
    }
    if found.is_null() {
        return None;
    }
    let against = |text: &str| order(found, &literal(item, text)?);
    let text = || found.to_text().unwrap_or_default();
    match comparison {
        Comparison::Eq(v) => Some(against(v)? == Ordering::Equal),
        Comparison::Neq(v) => Some(against(v)? != Ordering::Equal),
        Comparison::Gt(v) => Some(against(v)? == Ordering::Greater),
        Comparison::Gte(v) => Some(against(v)? != Ordering::Less),
        Comparison::Lt(v) => Some(against(v)? == Ordering::Less),
        Comparison::Lte(v) => Some(against(v)? != Ordering::Greater),
        Comparison::In(all) => Some(all.iter().any(|v| against(v) == Some(Ordering::Equal))),
        Comparison::Like(pattern) => Some(like(&text(), pattern)),
        Comparison::Ilike(pattern) => Some(like(&text().to_lowercase(), &pattern.to_lowercase())),
        Comparison::IsTrue => Some(*found == Value::Boolean(true)),
        Comparison::IsFalse => Some(*found == Value::Boolean(false)),
        Comparison::IsNull => Some(false),
    }
}

/// A value as a caller or a rule wrote it, read as the item's values are. A text is taken as it stands.
fn literal(item: &Item, text: &str) -> Option<Value> {
    if item.data_type == model::code::DataType::Text {
        return Some(Value::Text(text.to_owned()));
    }
    let mut field = Field::new(item, Hint::default(), 1);
    field.push(Some(Cell::plain(text)), true, Doubt::default()).ok()?;
    Some(field.column.value(0))
}

fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (Value::Integer(a), Value::Integer(b)) => Some(a.cmp(b)),
        (Value::Decimal(a), Value::Decimal(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Boolean(a), Value::Boolean(b)) => Some(a.cmp(b)),
        (Value::Date(a), Value::Date(b)) => Some(a.cmp(b)),
        (Value::DateTime(a), Value::DateTime(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// SQL's LIKE: `%` any text, `_` one character, `\` takes the next one as it stands.
fn like(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) =
        (text.chars().collect(), pattern.chars().collect());
    let (mut t, mut p, mut back) = (0, 0, None);
    loop {
        let escaped = pattern.get(p) == Some(&'\\') && p + 1 < pattern.len();
        let (wanted, width) = if escaped { (pattern.get(p + 1), 2) } else { (pattern.get(p), 1) };
        let step = match (text.get(t), wanted) {
            (_, Some('%')) if !escaped => {
                back = Some((p + 1, t));
                p += 1;
                continue;
            }
            (None, None) => return true,
            (Some(_), Some('_')) if !escaped => true,
            (Some(a), Some(b)) => a == b,
            _ => false,
        };
        if step {
            (t, p) = (t + 1, p + width);
            continue;
        }
        // One character more for the last `%`.
        let Some((after, from)) = back.filter(|(_, from)| *from < text.len()) else { return false };
        back = Some((after, from + 1));
        (t, p) = (from + 1, after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::code::DataType;

    #[test]
    fn patterns_are_compared_as_sql_does() {
        for (text, pattern, wanted) in [
            ("330106", "3301%", true),
            ("330106", "3302%", false),
            ("abc", "a_c", true),
            ("abc", "%", true),
            ("", "%", true),
            ("", "_", false),
            ("aXbXc", "a%b%c", true),
            ("a%c", "a\\%c", true),
            ("abc", "a\\%c", false),
            ("abc", "%d", false),
            ("aab", "%ab", true),
        ] {
            assert_eq!(like(text, pattern), wanted, "{text} {pattern}");
        }
    }

    #[test]
    fn a_condition_over_nothing_cannot_be_said_and_lets_nothing_through() {
        let item = Item::new("n", "数", DataType::Integer);
        let of = |value: Value, c: &Condition| {
            holds(c, &|name: &str| (name == "n").then_some((Some(&item), &value)), false)
        };
        let is = |comparison| Condition::Column { column: "n".into(), comparison };
        let five = is(Comparison::Eq("05".into()));
        assert_eq!(of(Value::Integer(5), &five), Some(true));
        assert_eq!(of(Value::Null, &five), None);
        assert_eq!(of(Value::Null, &Condition::Not(Box::new(five.clone()))), None);
        assert_eq!(of(Value::Null, &is(Comparison::IsNull)), Some(true));
        assert_eq!(of(Value::Integer(5), &is(Comparison::Gte("x".into()))), None);
        let other = Condition::Column { column: "m".into(), comparison: Comparison::IsNull };
        assert_eq!(of(Value::Integer(5), &other), None);
        let or = Condition::Or(vec![five.clone(), other.clone()]);
        assert_eq!(of(Value::Integer(5), &or), Some(true));
        assert_eq!(of(Value::Integer(5), &Condition::And(vec![five, other])), None);
    }
}

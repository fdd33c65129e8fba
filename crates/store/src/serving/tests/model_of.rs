//! The serving copy as a vector of rows: slow, plain, and written from the meaning, not from the SQL.

use std::cmp::Ordering;

use model::batch::Operation;
use model::code::SyncMode;
use model::entry::Entry;
use model::query::{Comparison, Condition, Order};
use model::value::Value;
use rust_decimal::Decimal;

use super::Parcel;

pub(super) struct Model {
    names: Vec<String>,
    key: Vec<usize>,
    pub(super) rows: Vec<Vec<Value>>,
}

impl Model {
    pub(super) fn new(entry: &Entry) -> Self {
        let items = &entry.draft.items;
        Self {
            names: items.iter().map(|i| i.identifier.clone()).collect(),
            key: items.iter().enumerate().filter(|(_, i)| i.primary).map(|(n, _)| n).collect(),
            rows: Vec::new(),
        }
    }

    pub(super) fn land(&mut self, parcel: &Parcel) {
        if parcel.mode == SyncMode::Full {
            self.rows.clear();
        }
        for (operation, row) in &parcel.rows {
            if !self.key.is_empty() {
                let key = self.key.clone();
                self.rows.retain(|old| !key.iter().all(|n| old[*n] == row[*n]));
            }
            if *operation != Operation::Delete {
                self.rows.push(row.clone());
            }
        }
    }

    /// Matching rows in order.
    pub(super) fn answer(
        &self,
        row_filter: Option<&Condition>,
        filter: Option<&Condition>,
        order: &[Order],
    ) -> Vec<Vec<Value>> {
        let passes = |row: &[Value], c: Option<&Condition>| {
            c.is_none_or(|c| self.truth(row, c) == Some(true))
        };
        let mut rows: Vec<Vec<Value>> = self
            .rows
            .iter()
            .filter(|r| passes(r, row_filter) && passes(r, filter))
            .cloned()
            .collect();
        let mut sorts: Vec<(usize, bool, bool)> = Vec::new();
        for o in order {
            let n = self.place(&o.column);
            if !sorts.iter().any(|s| s.0 == n) {
                sorts.push((n, o.descending, o.nulls_first.unwrap_or(o.descending)));
            }
        }
        let descending = sorts.last().is_some_and(|s| s.1);
        if self.key.is_empty() && descending {
            // The row number breaks ties, in the direction of the last column.
            rows.reverse();
        }
        for n in &self.key {
            sorts.push((*n, descending, descending));
        }
        rows.sort_by(|a, b| {
            sorts.iter().fold(Ordering::Equal, |so_far, (n, descending, nulls_first)| {
                so_far.then_with(|| match (a[*n].is_null(), b[*n].is_null()) {
                    (true, true) => Ordering::Equal,
                    (true, false) => {
                        if *nulls_first {
                            Ordering::Less
                        } else {
                            Ordering::Greater
                        }
                    }
                    (false, true) => {
                        if *nulls_first {
                            Ordering::Greater
                        } else {
                            Ordering::Less
                        }
                    }
                    _ => {
                        let o = compare(&a[*n], &b[*n]);
                        if *descending { o.reverse() } else { o }
                    }
                })
            })
        });
        rows
    }

    fn place(&self, column: &str) -> usize {
        self.names.iter().position(|n| n == column).unwrap()
    }

    /// SQL's three-valued logic.
    fn truth(&self, row: &[Value], condition: &Condition) -> Option<bool> {
        match condition {
            Condition::Not(c) => self.truth(row, c).map(|b| !b),
            Condition::And(all) => {
                let truths: Vec<_> = all.iter().map(|c| self.truth(row, c)).collect();
                if truths.contains(&Some(false)) {
                    Some(false)
                } else if truths.contains(&None) {
                    None
                } else {
                    Some(true)
                }
            }
            Condition::Or(all) => {
                let truths: Vec<_> = all.iter().map(|c| self.truth(row, c)).collect();
                if truths.contains(&Some(true)) {
                    Some(true)
                } else if truths.contains(&None) {
                    None
                } else {
                    Some(false)
                }
            }
            Condition::Column { column, comparison } => {
                let value = &row[self.place(column)];
                let order = |text: &str| (!value.is_null()).then(|| against(value, text));
                match comparison {
                    Comparison::Eq(v) => order(v).map(Ordering::is_eq),
                    Comparison::Neq(v) => order(v).map(Ordering::is_ne),
                    Comparison::Gt(v) => order(v).map(Ordering::is_gt),
                    Comparison::Gte(v) => order(v).map(Ordering::is_ge),
                    Comparison::Lt(v) => order(v).map(Ordering::is_lt),
                    Comparison::Lte(v) => order(v).map(Ordering::is_le),
                    Comparison::In(all) if all.is_empty() => Some(false),
                    Comparison::In(all) => {
                        (!value.is_null()).then(|| all.iter().any(|v| against(value, v).is_eq()))
                    }
                    Comparison::Like(p) => text_of(value).map(|t| matches(&chars(t), &chars(p))),
                    Comparison::Ilike(p) => text_of(value)
                        .map(|t| matches(&chars(&t.to_lowercase()), &chars(&p.to_lowercase()))),
                    Comparison::IsNull => Some(value.is_null()),
                    Comparison::IsTrue => Some(*value == Value::Boolean(true)),
                    Comparison::IsFalse => Some(*value == Value::Boolean(false)),
                }
            }
        }
    }
}

fn text_of(value: &Value) -> Option<&str> {
    match value {
        Value::Text(t) => Some(t),
        _ => None,
    }
}

fn chars(text: &str) -> Vec<char> {
    text.chars().collect()
}

fn matches(text: &[char], pattern: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['%', rest @ ..] => (0..=text.len()).any(|n| matches(&text[n..], rest)),
        ['_', rest @ ..] => !text.is_empty() && matches(&text[1..], rest),
        ['\\', want, rest @ ..] | [want, rest @ ..] => {
            text.first() == Some(want) && matches(&text[1..], rest)
        }
    }
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Integer(a), Value::Integer(b)) => a.cmp(b),
        (Value::Decimal(a), Value::Decimal(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b).unwrap(),
        (Value::Boolean(a), Value::Boolean(b)) => a.cmp(b),
        (Value::Date(a), Value::Date(b)) => a.cmp(b),
        (Value::DateTime(a), Value::DateTime(b)) => a.cmp(b),
        _ => panic!("{a:?} and {b:?}"),
    }
}

/// A value against a caller's text.
fn against(value: &Value, text: &str) -> Ordering {
    use chrono::{NaiveDate, NaiveDateTime};
    match value {
        Value::Text(t) => t.as_bytes().cmp(text.as_bytes()),
        Value::Integer(n) => i128::from(*n).cmp(&text.parse().unwrap()),
        Value::Decimal(d) => d.cmp(&text.parse::<Decimal>().unwrap()),
        Value::Float(f) => f.partial_cmp(&text.parse().unwrap()).unwrap(),
        Value::Boolean(b) => b.cmp(&(text == "true")),
        Value::Date(d) => {
            let format = if text.contains('-') { "%Y-%m-%d" } else { "%Y%m%d" };
            d.cmp(&NaiveDate::parse_from_str(text, format).unwrap())
        }
        Value::DateTime(t) => {
            let other = if let Ok(instant) = chrono::DateTime::parse_from_rfc3339(text) {
                instant.naive_utc() + chrono::TimeDelta::hours(8)
            } else if text.len() == 10 {
                NaiveDate::parse_from_str(text, "%Y-%m-%d").unwrap().and_hms_opt(0, 0, 0).unwrap()
            } else {
                NaiveDateTime::parse_from_str(&text.replace(' ', "T"), "%Y-%m-%dT%H:%M:%S%.f")
                    .unwrap()
            };
            t.cmp(&other)
        }
        Value::Null => panic!("null has no order"),
    }
}

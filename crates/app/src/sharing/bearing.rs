//! What rows bear that are served of a result which left a sandbox: a watermark of their own for every answer, kept with the call that
//! it answered, so that a copy that turns up says by which call it left.
//!
//! Texts bear it, where nobody sees it ([`guard::watermark`]); numbers, dates and codes do not: an answer without a text is traced by its
//! request id alone. What a caller takes from one answer and asks by in another is read without its mark.

use guard::watermark;
use model::query::{Comparison, Condition, RowPage, RowQuery};
use model::sandbox::release::ServedMark;
use model::value::Value;
use model::{Op, Result};
use policy::Grant;

use crate::App;

/// The watermark of one answer.
pub(super) struct Bearing(String);

impl Bearing {
    /// A new one, by chance.
    pub(super) fn draw() -> Result<Self> {
        Ok(Self(watermark::name(guard::keys::random()?)))
    }

    /// Its 12 hex digits.
    pub(super) fn name(&self) -> &str {
        &self.0
    }

    /// Writes it into the texts of rows.
    pub(super) fn write(&self, page: &mut RowPage) {
        let text = |value: &Value| match value {
            Value::Text(text) => text.clone(),
            _ => String::new(),
        };
        let mut texts: Vec<Vec<String>> =
            page.rows.iter().map(|row| row.iter().map(text).collect()).collect();
        watermark::mark(&mut texts, &self.0);
        for (row, texts) in page.rows.iter_mut().zip(texts) {
            for (value, marked) in row.iter_mut().zip(texts) {
                if let Value::Text(text) = value {
                    *text = marked;
                }
            }
        }
    }

    /// Keeps it with the call; without that nothing may leave.
    pub(super) async fn keep(&self, app: &App, op: &Op, grant: &Grant, rows: u64) -> Result<()> {
        let (_, permit) = app.platform(op)?;
        let served = ServedMark {
            mark: self.0.clone(),
            release: grant.request().unwrap_or_default().to_owned(),
            application: op.actor.id().to_owned(),
            application_name: op.actor.name().to_owned(),
            request_id: op.request_id.clone(),
            source: op.source.clone(),
            at: op.stamp(),
            rows,
        };
        app.store.sandbox_mark_insert(&permit, &served).await
    }
}

/// A query without what marks write.
pub(super) fn plain(query: &RowQuery) -> RowQuery {
    RowQuery { filter: query.filter.as_ref().map(condition), ..query.clone() }
}

fn condition(of: &Condition) -> Condition {
    let all = |all: &[Condition]| all.iter().map(condition).collect();
    match of {
        Condition::Column { column, comparison } => {
            Condition::Column { column: column.clone(), comparison: compared(comparison) }
        }
        Condition::Not(inner) => Condition::Not(Box::new(condition(inner))),
        Condition::And(parts) => Condition::And(all(parts)),
        Condition::Or(parts) => Condition::Or(all(parts)),
    }
}

fn compared(of: &Comparison) -> Comparison {
    let plain = |text: &String| watermark::plain(text);
    match of {
        Comparison::Eq(text) => Comparison::Eq(plain(text)),
        Comparison::Neq(text) => Comparison::Neq(plain(text)),
        Comparison::Gt(text) => Comparison::Gt(plain(text)),
        Comparison::Gte(text) => Comparison::Gte(plain(text)),
        Comparison::Lt(text) => Comparison::Lt(plain(text)),
        Comparison::Lte(text) => Comparison::Lte(plain(text)),
        Comparison::Like(text) => Comparison::Like(plain(text)),
        Comparison::Ilike(text) => Comparison::Ilike(plain(text)),
        Comparison::In(texts) => Comparison::In(texts.iter().map(plain).collect()),
        Comparison::IsNull => Comparison::IsNull,
        Comparison::IsTrue => Comparison::IsTrue,
        Comparison::IsFalse => Comparison::IsFalse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_bear_a_mark_and_what_is_asked_by_does_not() {
        let bearing = Bearing::draw().unwrap();
        let rows = vec![
            vec![Value::Integer(5), Value::Text("上城区".into())],
            vec![Value::Null, Value::Text("330106".into())],
        ];
        let mut page =
            RowPage { columns: vec!["n".into(), "area".into()], rows, total: None, next: None };
        bearing.write(&mut page);
        let marked = page.rows[0][1].to_text().unwrap();
        assert_eq!(watermark::trace(&marked).as_deref(), Some(bearing.name()));
        assert_eq!(page.rows[0][0], Value::Integer(5));
        assert_eq!(page.rows[1], [Value::Null, Value::Text("330106".into())], "a code bears none");

        let of = |text: &str| {
            Condition::And(vec![Condition::Not(Box::new(Condition::Column {
                column: "area".into(),
                comparison: Comparison::In(vec![text.into()]),
            }))])
        };
        let asked = RowQuery { filter: Some(of(&marked)), ..RowQuery::default() };
        assert_eq!(plain(&asked).filter, Some(of("上城区")));
    }
}

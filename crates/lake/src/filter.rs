//! Conditions into expressions of the plan. Values come as text and are read by the type of the stored column, so
//! that `age=gt.9` compares numbers and a value that cannot be one is refused, not silently unequal.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::InList;
use datafusion::prelude::lit;
use datafusion::scalar::ScalarValue;
use model::batch::days_of_date;
use model::op::china;
use model::query::{Comparison, Condition};
use model::{Code, Error, Result};
use policy::Grant;
use rust_decimal::Decimal;

use crate::fault;
use crate::schema::{Kind, Shape};
use crate::view::named;

/// Most conditions of one query: deeper or wider ones are refused before the planner works on them.
const MOST_CONDITIONS: usize = 1000;

/// The rows that a grant shows, of rows whose columns are `stored`.
pub(crate) fn granted(rows: DataFrame, grant: &Grant, stored: &[Shape]) -> Result<DataFrame> {
    match grant.row_filter() {
        None => Ok(rows),
        Some(condition) => rows
            .filter(expression(condition, stored)?)
            .map_err(|e| fault::plan("what was granted", e)),
    }
}

/// Checks that a caller may ask this: every column is granted and filterable, or a look-up key compared by equality
/// and not under a negation (whoever compares a masked key must know its value already).
pub(crate) fn check_allowed(grant: &Grant, condition: &Condition) -> Result<()> {
    let mut mentioned = Vec::new();
    condition.columns(&mut mentioned);
    if mentioned.len() > MOST_CONDITIONS {
        return Err(Error::new(
            Code::InvalidQuery,
            format!("查询条件不能超过 {MOST_CONDITIONS} 个"),
            format!("a query may have at most {MOST_CONDITIONS} conditions"),
        ));
    }
    check_condition(grant, condition, false)
}

fn check_condition(grant: &Grant, condition: &Condition, negated: bool) -> Result<()> {
    match condition {
        Condition::Not(inner) => check_condition(grant, inner, true),
        Condition::And(all) | Condition::Or(all) => {
            all.iter().try_for_each(|c| check_condition(grant, c, negated))
        }
        Condition::Column { column, comparison } => {
            let granted = grant.column(column).ok_or_else(|| not_granted(column))?;
            let by_value = matches!(comparison, Comparison::Eq(_) | Comparison::In(_)) && !negated;
            let plain = granted.filterable && granted.mask.is_none();
            if plain || (granted.lookup && by_value) {
                return Ok(());
            }
            Err(Error::new(
                Code::ColumnNotGranted,
                format!("数据项 `{column}` 不可用于此筛选条件；脱敏的查询项只能使用 eq 或 in"),
                format!(
                    "`{column}` may not be filtered like this; a masked look-up item takes only eq and in"
                ),
            ))
        }
    }
}

/// The refusal of a column outside the grant.
pub(crate) fn not_granted(column: &str) -> Error {
    Error::new(
        Code::ColumnNotGranted,
        format!("数据项 `{column}` 不在授权范围内"),
        format!("the data item `{column}` is not granted"),
    )
}

/// The expression of a condition over stored columns.
pub(crate) fn expression(condition: &Condition, columns: &[Shape]) -> Result<Expr> {
    Ok(match condition {
        Condition::Column { column, comparison } => {
            let Some(shape) = columns.iter().find(|c| c.name == *column) else {
                // An item that no landing has brought yet is empty in every row.
                return Ok(lit(matches!(comparison, Comparison::IsNull)));
            };
            compare(shape, comparison)?
        }
        Condition::Not(inner) => Expr::Not(Box::new(expression(inner, columns)?)),
        Condition::And(all) => joined(all, columns, true)?,
        Condition::Or(all) => joined(all, columns, false)?,
    })
}

fn joined(all: &[Condition], columns: &[Shape], and: bool) -> Result<Expr> {
    let parts = all.iter().map(|c| expression(c, columns)).collect::<Result<Vec<_>>>()?;
    // A balanced tree: a thousand terms in a row would make a plan a thousand levels deep.
    Ok(balanced(&parts, and).unwrap_or_else(|| lit(and)))
}

fn balanced(parts: &[Expr], and: bool) -> Option<Expr> {
    match parts {
        [] => None,
        [one] => Some(one.clone()),
        many => {
            let (left, right) = many.split_at(many.len() / 2);
            let (left, right) = (balanced(left, and)?, balanced(right, and)?);
            Some(if and { left.and(right) } else { left.or(right) })
        }
    }
}

fn compare(shape: &Shape, comparison: &Comparison) -> Result<Expr> {
    let column = named(&shape.name);
    let value = |text: &String| literal(shape, text);
    Ok(match comparison {
        Comparison::Eq(text) => column.eq(value(text)?),
        Comparison::Neq(text) => column.not_eq(value(text)?),
        Comparison::Gt(text) => column.gt(value(text)?),
        Comparison::Gte(text) => column.gt_eq(value(text)?),
        Comparison::Lt(text) => column.lt(value(text)?),
        Comparison::Lte(text) => column.lt_eq(value(text)?),
        Comparison::Like(text) => {
            only(shape, Kind::Text, "like").map(|()| column.like(lit(text)))?
        }
        Comparison::Ilike(text) => {
            only(shape, Kind::Text, "ilike").map(|()| column.ilike(lit(text)))?
        }
        Comparison::In(texts) => {
            let list = texts.iter().map(value).collect::<Result<Vec<_>>>()?;
            Expr::InList(InList::new(Box::new(column), list, false))
        }
        Comparison::IsNull => column.is_null(),
        Comparison::IsTrue => only(shape, Kind::Boolean, "is.true").map(|()| column.is_true())?,
        Comparison::IsFalse => {
            only(shape, Kind::Boolean, "is.false").map(|()| column.is_false())?
        }
    })
}

fn only(shape: &Shape, kind: Kind, operator: &str) -> Result<()> {
    if shape.kind == kind {
        return Ok(());
    }
    let ((zh, en), (wants_zh, wants_en), name) = (shape.kind.words(), kind.words(), &shape.name);
    Err(Error::new(
        Code::InvalidQuery,
        format!("`{operator}` 只能用于{wants_zh}数据项，`{name}` 为{zh}"),
        format!("`{operator}` works on {wants_en} items only, `{name}` is {en}"),
    ))
}

/// A typed constant of the column's kind.
pub(crate) fn literal(shape: &Shape, text: &str) -> Result<Expr> {
    let scalar = match shape.kind {
        Kind::Text => Some(ScalarValue::Utf8(Some(text.to_owned()))),
        Kind::Integer => text.trim().parse().ok().map(|n| ScalarValue::Int64(Some(n))),
        Kind::Decimal { .. } => Decimal::from_str(text.trim()).ok().map(decimal),
        Kind::Float => text.trim().parse().ok().map(|n| ScalarValue::Float64(Some(n))),
        Kind::Boolean => boolean(text.trim()).map(|b| ScalarValue::Boolean(Some(b))),
        Kind::Date => NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d")
            .ok()
            .map(|d| ScalarValue::Date32(Some(days_of_date(d)))),
        Kind::DateTime => date_time(text.trim())
            .map(|t| ScalarValue::TimestampMicrosecond(Some(t.and_utc().timestamp_micros()), None)),
    };
    let (zh, en) = shape.kind.words();
    scalar.map(lit).ok_or_else(|| {
        Error::new(
            Code::InvalidQuery,
            format!("数据项 `{}` 为{zh}，条件值 `{text}` 无法识别", shape.name),
            format!("`{}` is {en}; the value `{text}` is not one", shape.name),
        )
        .field(shape.name.as_str(), format!("应为{zh}"), format!("must be {en}"))
    })
}

fn decimal(value: Decimal) -> ScalarValue {
    let (mantissa, scale) = (value.mantissa(), u8::try_from(value.scale()).unwrap_or(28));
    let digits = u8::try_from(mantissa.unsigned_abs().to_string().len()).unwrap_or(29);
    ScalarValue::Decimal128(
        Some(mantissa),
        digits.max(scale).max(1),
        i8::try_from(scale).unwrap_or(28),
    )
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" | "是" => Some(true),
        "false" | "f" | "0" | "否" => Some(false),
        _ => None,
    }
}

/// Civil time in China: `2026-01-02T03:04:05[.5]`, a space for the `T`, a date alone (midnight), or RFC 3339 with
/// its own offset.
fn date_time(text: &str) -> Option<NaiveDateTime> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.with_timezone(&china()).naive_local());
    }
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .or_else(|| {
            NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|d| d.and_hms_opt(0, 0, 0))
        })
}

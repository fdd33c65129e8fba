//! Hints: which files of a view can hold a row that a reader is looking for.
//!
//! A condition is taken over only where it says for certain what it says elsewhere: comparisons of a column with a constant of
//! the column's own kind, and their combinations. What else is said is no hint. Files are left out by their bounds alone, so that
//! a masked column tells nothing that its file does not.

use std::sync::Arc;

use arrow::datatypes::{DataType as ArrowType, SchemaRef};
use datafusion::common::pruning::PrunableStatistics;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, DFSchema, Statistics};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::prelude::{SessionContext, lit};
use datafusion::scalar::ScalarValue;
use model::Result;
use policy::port::{ShareHints, ShareView};
use serde_json::Value as Json;

use crate::schema::{self, Kind, Shape};
use crate::view::named;
use crate::{depth, filter};

/// Longest hint, and most of them.
const LONGEST: usize = 16 << 10;
const MOST: usize = 100;
/// Deepest tree of conditions.
const DEEPEST: usize = 50;

/// See [`policy::port::Shares::share_pruned`].
pub(super) fn pruned(mut view: ShareView, hints: &ShareHints) -> ShareView {
    let shapes: Vec<Shape> = view
        .columns
        .iter()
        .filter_map(|c| Some(Shape { name: c.name.clone(), kind: kind_of(&c.kind)? }))
        .collect();
    let conditions = conditions(hints, &shapes);
    if conditions.is_empty() {
        // Where something is looked for, rows that do not fit would use the limit up.
        return limited(view, hints);
    }
    if let Some(kept) = kept(&view, &shapes, conditions) {
        let mut kept = kept.into_iter();
        view.files.retain(|_| kept.next().unwrap_or(true));
    }
    view
}

fn limited(mut view: ShareView, hints: &ShareHints) -> ShareView {
    let asked = hints.sql.iter().any(|s| !s.trim().is_empty()) || hints.json.is_some();
    if let Some(limit) = hints.limit.filter(|_| !asked) {
        let mut rows = 0_u64;
        view.files.retain(|file| {
            let needed = rows < limit;
            rows = rows.saturating_add(file.rows);
            needed
        });
    }
    view
}

/// Delta's word for a type.
fn kind_of(word: &str) -> Option<Kind> {
    Some(match word {
        "string" => Kind::Text,
        "long" => Kind::Integer,
        "double" => Kind::Float,
        "boolean" => Kind::Boolean,
        "date" => Kind::Date,
        "timestamp_ntz" => Kind::DateTime,
        other => {
            let (precision, scale) =
                other.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
            Kind::Decimal { precision: precision.parse().ok()?, scale: scale.trim().parse().ok()? }
        }
    })
}

/// What was understood of the hints; all of it holds for every row looked for.
fn conditions(hints: &ShareHints, shapes: &[Shape]) -> Vec<Expr> {
    let mut found = Vec::new();
    let session = SessionContext::new();
    if let Ok(schema) = DFSchema::try_from(schema::arrow_schema(shapes)) {
        let sql = hints.sql.iter().take(MOST).filter(|text| text.len() <= LONGEST);
        let sql = sql.filter(|text| depth::of_text(text).is_ok());
        let read = sql.filter_map(|text| session.parse_sql_expr(text, &schema).ok());
        found.extend(read.filter_map(|expr| certain(&expr, shapes, false, 0)));
    }
    let json = hints.json.as_ref().filter(|text| text.len() <= LONGEST);
    if let Some(tree) = json.and_then(|text| serde_json::from_str::<Json>(text).ok()) {
        let expr = tree_expr(&tree, 0);
        found.extend(expr.and_then(|expr| certain(&expr, shapes, false, 0)));
    }
    found
}

/// What a condition says for certain; a part of an AND that does not is left out, unless the `whole` counts.
fn certain(expr: &Expr, shapes: &[Shape], whole: bool, depth: usize) -> Option<Expr> {
    if depth > DEEPEST {
        return None;
    }
    let inner = |e: &Expr, whole: bool| certain(e, shapes, whole, depth + 1);
    let shape = |e: &Expr| match e {
        Expr::Column(column) => shapes.iter().find(|s| s.name.eq_ignore_ascii_case(&column.name)),
        _ => None,
    };
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            match (inner(left, whole), inner(right, whole)) {
                (Some(left), Some(right)) => Some(left.and(right)),
                (one, other) if !whole => one.or(other),
                _ => None,
            }
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            Some(inner(left, whole)?.or(inner(right, whole)?))
        }
        Expr::Not(e) => negated(inner(e, true)?),
        Expr::IsNull(e) => Some(named(&shape(e)?.name).is_null()),
        Expr::IsNotNull(e) => Some(named(&shape(e)?.name).is_not_null()),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if compares(*op) => {
            let (column, op, value) = match (shape(left), shape(right)) {
                (Some(column), None) => (column, *op, right),
                (None, Some(column)) => (column, op.swap()?, left),
                _ => return None,
            };
            let value = constant(column, value)?;
            let (left, right) = (Box::new(named(&column.name)), Box::new(value));
            Some(Expr::BinaryExpr(BinaryExpr::new(left, op, right)))
        }
        Expr::Between(Between { expr, negated, low, high }) => {
            let column = shape(expr)?;
            let (low, high) = (constant(column, low)?, constant(column, high)?);
            let within = named(&column.name).gt_eq(low).and(named(&column.name).lt_eq(high));
            if *negated { self::negated(within) } else { Some(within) }
        }
        Expr::InList(InList { expr, list, negated }) if list.len() <= MOST => {
            let column = shape(expr)?;
            let values = list.iter().map(|v| constant(column, v)).collect::<Option<Vec<_>>>()?;
            let equal = values.into_iter().map(|v| named(&column.name).eq(v));
            let any = equal.reduce(Expr::or)?;
            if *negated { self::negated(any) } else { Some(any) }
        }
        _ => None,
    }
}

/// The opposite, in words that bounds are asked by: of a comparison, and by De Morgan of what is made of them.
fn negated(expr: Expr) -> Option<Expr> {
    Some(match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            negated(*left)?.or(negated(*right)?)
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            negated(*left)?.and(negated(*right)?)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            Expr::BinaryExpr(BinaryExpr::new(left, op.negate()?, right))
        }
        Expr::IsNull(e) => Expr::IsNotNull(e),
        Expr::IsNotNull(e) => Expr::IsNull(e),
        _ => return None,
    })
}

fn compares(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}

/// A constant of the column's own kind; anything else compares differently from one reader to the next.
fn constant(column: &Shape, value: &Expr) -> Option<Expr> {
    let Expr::Literal(scalar, _) = value else { return None };
    let text = match (column.kind, scalar) {
        (
            Kind::Text | Kind::Date | Kind::DateTime,
            ScalarValue::Utf8(Some(text))
            | ScalarValue::LargeUtf8(Some(text))
            | ScalarValue::Utf8View(Some(text)),
        ) => text.clone(),
        (Kind::Integer | Kind::Decimal { .. }, number) if number.data_type().is_integer() => {
            number.to_string()
        }
        (Kind::Decimal { .. }, ScalarValue::Float64(Some(number))) => number.to_string(),
        _ => return None,
    };
    filter::literal(column, &text).ok()
}

/// The tree of a JSON predicate; a type that is not the column's own is found out later.
fn tree_expr(tree: &Json, depth: usize) -> Option<Expr> {
    if depth > DEEPEST {
        return None;
    }
    let word = |name: &str| tree.get(name).and_then(Json::as_str);
    let children = || tree.get("children").and_then(Json::as_array);
    let read = |at: usize| tree_expr(children()?.get(at)?, depth + 1);
    let compared = |op: Operator| -> Option<Expr> {
        match children()?.len() {
            2 => {
                Some(Expr::BinaryExpr(BinaryExpr::new(Box::new(read(0)?), op, Box::new(read(1)?))))
            }
            _ => None,
        }
    };
    // A part that is not understood stands as something that is never certain.
    let all = |join: fn(Expr, Expr) -> Expr| -> Option<Expr> {
        let parts =
            children()?.iter().map(|c| tree_expr(c, depth + 1).unwrap_or_else(|| lit(true)));
        parts.reduce(join)
    };
    match word("op")? {
        "column" => Some(named(word("name")?)),
        "literal" => {
            let text = match tree.get("value")? {
                Json::String(text) => text.clone(),
                other => other.to_string(),
            };
            match word("valueType")? {
                "string" | "date" | "timestamp" => Some(lit(text)),
                "int" | "long" => text.trim().parse::<i64>().ok().map(lit),
                _ => None,
            }
        }
        "isNull" => Some(Expr::IsNull(Box::new(read(0)?))),
        "equal" => compared(Operator::Eq),
        "lessThan" => compared(Operator::Lt),
        "lessThanOrEqual" => compared(Operator::LtEq),
        "greaterThan" => compared(Operator::Gt),
        "greaterThanOrEqual" => compared(Operator::GtEq),
        "not" => Some(Expr::Not(Box::new(read(0)?))),
        "and" => all(Expr::and),
        "or" => all(Expr::or),
        _ => None,
    }
}

/// For each file whether it may hold such a row; `None` when nothing can be said.
fn kept(view: &ShareView, shapes: &[Shape], conditions: Vec<Expr>) -> Option<Vec<bool>> {
    let schema: SchemaRef = schema::arrow_schema(shapes);
    let condition = conditions.into_iter().reduce(Expr::and)?;
    let frame = DFSchema::try_from(Arc::clone(&schema)).ok()?;
    let physical = SessionContext::new().create_physical_expr(condition, &frame).ok()?;
    let predicate =
        PruningPredicateBuilder::new().with_file_schema(Arc::clone(&schema)).try_build(physical);
    let bounds = view.files.iter().map(|f| Arc::new(bounds(&f.stats, f.rows, shapes))).collect();
    predicate.ok()?.prune(&PrunableStatistics::new(bounds, schema)).ok()
}

/// Statistics of a file, read back from how Delta spells them.
fn bounds(stats: &str, rows: u64, shapes: &[Shape]) -> Statistics {
    let told: Json = serde_json::from_str(stats).unwrap_or_default();
    let number = |n: u64| Precision::Exact(usize::try_from(n).unwrap_or(usize::MAX));
    let column = |shape: &Shape| {
        let bound = |which: &str| {
            let value = told.get(which).and_then(|all| all.get(&shape.name));
            value.and_then(|v| scalar(shape, v)).map_or(Precision::Absent, Precision::Exact)
        };
        let nulls = told.get("nullCount").and_then(|all| all.get(&shape.name));
        ColumnStatistics {
            null_count: nulls.and_then(Json::as_u64).map_or(Precision::Absent, number),
            min_value: bound("minValues"),
            max_value: bound("maxValues"),
            ..ColumnStatistics::new_unknown()
        }
    };
    Statistics {
        num_rows: number(rows),
        total_byte_size: Precision::Absent,
        column_statistics: shapes.iter().map(column).collect(),
    }
}

fn scalar(shape: &Shape, value: &Json) -> Option<ScalarValue> {
    let text = match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let read: Result<Expr> = filter::literal(shape, &text);
    let Expr::Literal(scalar, _) = read.ok()? else { return None };
    let wanted: ArrowType = shape.kind.arrow();
    scalar.cast_to(&wanted).ok()
}

#[cfg(test)]
mod tests {
    use policy::port::{ShareColumn, ShareFile};

    use super::*;

    fn view() -> ShareView {
        let column = |name: &str, kind: &str| ShareColumn {
            name: name.into(),
            title: String::new(),
            kind: kind.into(),
        };
        let file = |name: &str, stats: Json| ShareFile {
            name: name.into(),
            bytes: 1,
            rows: stats["numRecords"].as_u64().unwrap(),
            stats: stats.to_string(),
        };
        let of = |low: i64, high: i64, from: &str, to: &str, day: (&str, &str)| {
            serde_json::json!({
                "numRecords": 10, "minValues": {"n": low, "t": from, "d": day.0, "m": low},
                "maxValues": {"n": high, "t": to, "d": day.1, "m": high},
                "nullCount": {"n": 0, "t": 0, "d": 0, "m": 0},
            })
        };
        ShareView {
            id: "v".into(),
            version: 1,
            columns: vec![
                column("n", "long"),
                column("t", "string"),
                column("d", "date"),
                column("m", "decimal(18,2)"),
                column("f", "double"),
            ],
            files: vec![
                file("a", of(1, 9, "a", "f", ("2026-01-01", "2026-01-31"))),
                file("b", of(10, 19, "g", "m", ("2026-02-01", "2026-02-28"))),
                file("c", of(20, 29, "n", "z", ("2026-03-01", "2026-03-31"))),
            ],
        }
    }

    fn names(hints: ShareHints) -> String {
        pruned(view(), &hints).files.iter().map(|f| f.name.as_str()).collect()
    }

    fn sql(text: &str) -> String {
        names(ShareHints { sql: vec![text.into()], ..ShareHints::default() })
    }

    #[test]
    fn files_are_left_out_by_their_bounds() {
        assert_eq!(sql("n > 15"), "bc");
        assert_eq!(sql("15 < n"), "bc");
        assert_eq!(sql("n = 9 or t = 'z'"), "ac");
        assert_eq!(sql("n between 10 and 12"), "b");
        assert_eq!(sql("n in (1, 25)"), "ac");
        assert_eq!(sql("not (n < 20)"), "c");
        assert_eq!(sql("d >= '2026-02-15' and d < '2026-03-01'"), "b");
        assert_eq!(sql("m >= 19.5"), "c");
        assert_eq!(sql("n is null"), "");
        assert_eq!(sql("n is not null"), "abc");
        assert_eq!(sql("n > 100"), "");
        let all = vec!["n > 5".into(), "n < 15".into()];
        assert_eq!(names(ShareHints { sql: all, ..ShareHints::default() }), "ab");
    }

    #[test]
    fn what_is_not_certain_is_no_hint() {
        for text in [
            "n > '15'",
            "t > 15",
            "f > 1e9",
            "x = 1",
            "n + 1 > 100",
            "n > n",
            "drop table t",
            "upper(t) = 'Z'",
            "t like 'z%'",
            "n > 15 or x = 1",
            "not (n < 20 and x = 1)",
            "",
            "((",
        ] {
            assert_eq!(sql(text), "abc", "{text}");
        }
        // The part that is certain counts; of a column that is not there nothing is known at all.
        assert_eq!(sql("n > 15 and f > 1e9"), "bc");
        assert_eq!(sql("n > 15 and x = 1"), "abc");
    }

    #[test]
    fn a_json_predicate_is_read_as_the_protocol_spells_it() {
        let json =
            |text: &str| names(ShareHints { json: Some(text.into()), ..ShareHints::default() });
        let compare = |op: &str, name: &str, value: &str, of: &str| {
            format!(
                r#"{{"op":"{op}","children":[{{"op":"column","name":"{name}","valueType":"{of}"}},{{"op":"literal","value":"{value}","valueType":"{of}"}}]}}"#
            )
        };
        assert_eq!(json(&compare("equal", "n", "12", "int")), "b");
        assert_eq!(json(&compare("lessThanOrEqual", "d", "2026-01-05", "date")), "a");
        let two =
            [compare("greaterThan", "n", "9", "long"), compare("lessThan", "t", "h", "string")];
        assert_eq!(json(&format!(r#"{{"op":"and","children":[{},{}]}}"#, two[0], two[1])), "b");
        assert_eq!(json(&format!(r#"{{"op":"or","children":[{},{}]}}"#, two[0], two[1])), "abc");
        assert_eq!(json(&format!(r#"{{"op":"not","children":[{}]}}"#, two[0])), "a");
        let null = r#"{"op":"isNull","children":[{"op":"column","name":"n","valueType":"int"}]}"#;
        assert_eq!(json(null), "");
        let strange = r#"{"op":"nearly","children":[]}"#;
        let or = format!(r#"{{"op":"or","children":[{},{strange}]}}"#, two[0]);
        let and = format!(r#"{{"op":"and","children":[{},{strange}]}}"#, two[0]);
        assert_eq!((json(&or), json(&and)), ("abc".into(), "bc".into()));
        for bad in ["", "{", "[]", "7", r#"{"op":"equal"}"#, &compare("equal", "t", "12", "int")] {
            assert_eq!(json(bad), "abc", "{bad}");
        }
    }

    #[test]
    fn a_limit_takes_files_until_there_are_enough_rows_and_only_without_conditions() {
        let limit = |n: u64, sql: &[&str]| {
            names(ShareHints {
                limit: Some(n),
                sql: sql.iter().map(|s| (*s).to_owned()).collect(),
                json: None,
            })
        };
        assert_eq!(
            (limit(1, &[]), limit(10, &[]), limit(11, &[])),
            ("a".into(), "a".into(), "ab".into())
        );
        assert_eq!(limit(0, &[]), "");
        assert_eq!(limit(1, &["n > 15"]), "bc");
        assert_eq!(limit(1, &["x > 15"]), "abc");
    }
}

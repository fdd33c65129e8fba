//! What PostgreSQL spells otherwise than the engine, written anew before a statement is planned.
//!
//! Patterns of dates and times (`to_char(day, 'YYYY-MM')`) become the engine's (`%Y-%m`): left alone, they would be answered as the very
//! letters that were asked, and nobody would be told. A pattern of the engine's own (with `%`) stays. One that is no constant (a parameter,
//! a column) is written anew while the statement runs, by a function put around it. `information_schema.columns` tells types by SQL's
//! names, and places from 1.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::StringArray;
use arrow::datatypes::DataType as ArrowType;
use datafusion::common::cast::as_string_array;
use datafusion::common::{DataFusionError, Result as PlanResult, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use datafusion::sql::sqlparser::ast::{
    self, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName, SetExpr, Statement,
    TableFactor, VisitMut as _, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::parser::Parser;
use model::reading::why;
use pgwire::error::PgWireResult;

use super::questions::{call, last};
use super::words::Worded;

/// Name of the function that writes a pattern anew.
const PATTERN: &str = "qt_pattern";

/// Functions whose second argument is a pattern.
const BY_PATTERN: [&str; 3] = ["to_char", "to_date", "to_timestamp"];

/// What is the same in small letters, the longer first.
const WORDS: [(&str, &str); 15] = [
    ("HH24", "%H"),
    ("HH12", "%I"),
    ("YYYY", "%Y"),
    ("IYYY", "%G"),
    ("DDD", "%j"),
    ("HH", "%I"),
    ("MI", "%M"),
    ("MM", "%m"),
    ("DD", "%d"),
    ("SS", "%S"),
    ("MS", "%3f"),
    ("US", "%6f"),
    ("YY", "%y"),
    ("IW", "%V"),
    ("ID", "%u"),
];

/// What is written as it is asked for.
const CASED: [(&str, &str); 6] =
    [("Mon", "%b"), ("Dy", "%a"), ("AM", "%p"), ("PM", "%p"), ("am", "%P"), ("pm", "%P")];

/// The names of types as SQL has them, over the engine's own table.
const COLUMNS: &str = "select 1 from (select table_catalog, table_schema, table_name, column_name, \
    ordinal_position + 1 as ordinal_position, column_default, is_nullable, case \
    when data_type in ('Utf8', 'Utf8View', 'LargeUtf8') then 'text' \
    when data_type = 'Boolean' then 'boolean' \
    when data_type in ('Int8', 'Int16', 'UInt8') then 'smallint' \
    when data_type in ('Int32', 'UInt16') then 'integer' \
    when data_type in ('Int64', 'UInt32', 'UInt64') then 'bigint' \
    when data_type = 'Float32' then 'real' \
    when data_type = 'Float64' then 'double precision' \
    when data_type like 'Decimal%' then 'numeric' \
    when data_type in ('Date32', 'Date64') then 'date' \
    when data_type like 'Timestamp(%\"%' then 'timestamp with time zone' \
    when data_type like 'Timestamp%' then 'timestamp without time zone' \
    when data_type like 'Time%' then 'time without time zone' \
    when data_type like 'Interval%' then 'interval' \
    when data_type like 'Binary%' then 'bytea' \
    when data_type like 'List%' then 'ARRAY' \
    else data_type end as data_type, character_maximum_length, character_octet_length, \
    numeric_precision, numeric_precision_radix, numeric_scale, datetime_precision, interval_type \
    from information_schema.columns) as columns";

/// Writes a statement so; a pattern that the engine has no word for is refused.
pub(super) fn fit(statement: &mut Statement) -> PgWireResult<()> {
    let _ = statement.visit(&mut Kinds);
    let found = ast::visit_expressions_mut(statement, |expr| {
        let Some(given) = pattern(expr) else { return ControlFlow::Continue(()) };
        match constant(given) {
            Some(text) => match written(text) {
                Ok(own) => *text = own,
                Err(word) => return ControlFlow::Break((text.clone(), word)),
            },
            // A parameter, a column, what is put together: known when the statement runs.
            None => {
                let null = ast::Expr::Value(ast::Value::Null.with_empty_span());
                let asked = std::mem::replace(given, null);
                *given = call(PATTERN, vec![asked]);
            }
        }
        ControlFlow::Continue(())
    });
    match found {
        ControlFlow::Break((text, word)) => Err(unknown(&text, &word).told()),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// That a pattern has a word which the engine has none for.
fn unknown(text: &str, word: &str) -> Worded {
    let (text, word) = (why::cut(text, 80), why::cut(word, 40));
    // Nines are places of digits; no pattern of dates has them.
    if text.contains('9') {
        return Worded {
            state: "0A000",
            zh: format!(
                "`{text}` 是数值的格式，to_char 只用于日期和时间；数值请写 cast(round(x, 2) as varchar)"
            ),
            en: format!(
                "`{text}` is a pattern of numbers, and to_char writes dates and times only: write cast(round(x, 2) as varchar)"
            ),
        };
    }
    let known: Vec<&str> = WORDS.iter().chain(&CASED).map(|(word, _)| *word).collect();
    let known = known.join(" ");
    Worded {
        state: "22007",
        zh: format!(
            "日期格式 `{text}` 中的 `{word}` 不支持；可用 {known}，其余文字放在双引号内，如 'YYYY\"年\"MM\"月\"'"
        ),
        en: format!(
            "`{word}` in the pattern `{text}` is not supported; use {known}, and other letters in double quotes"
        ),
    }
}

/// The function that writes patterns anew while a statement runs.
pub(super) fn patterns() -> ScalarUDF {
    let write = |given: &[ColumnarValue]| -> PlanResult<ColumnarValue> {
        let own =
            |text: &str| written(text).map_err(|word| DataFusionError::from(unknown(text, &word)));
        Ok(match given.first() {
            Some(ColumnarValue::Array(all)) => {
                let texts = as_string_array(all)?.iter();
                let texts = texts.map(|text| text.map(own).transpose());
                ColumnarValue::Array(Arc::new(texts.collect::<PlanResult<StringArray>>()?))
            }
            Some(ColumnarValue::Scalar(value)) => {
                let text = value.try_as_str().flatten().map(own).transpose()?;
                ColumnarValue::Scalar(ScalarValue::Utf8(text))
            }
            None => ColumnarValue::Scalar(ScalarValue::Utf8(None)),
        })
    };
    let (text, arguments) = (ArrowType::Utf8, vec![ArrowType::Utf8]);
    create_udf(PATTERN, arguments, text, Volatility::Immutable, Arc::new(write))
}

/// The second argument of a call of one of these functions.
fn pattern(expr: &mut ast::Expr) -> Option<&mut ast::Expr> {
    let ast::Expr::Function(function) = expr else { return None };
    if !BY_PATTERN.contains(&last(&function.name).as_str()) {
        return None;
    }
    let FunctionArguments::List(list) = &mut function.args else { return None };
    match list.args.as_mut_slice() {
        [_, FunctionArg::Unnamed(FunctionArgExpr::Expr(second))] => Some(second),
        _ => None,
    }
}

/// The text of a constant.
fn constant(expr: &mut ast::Expr) -> Option<&mut String> {
    let ast::Expr::Value(value) = expr else { return None };
    match &mut value.value {
        ast::Value::SingleQuotedString(text) => Some(text),
        _ => None,
    }
}

/// PostgreSQL's pattern as the engine's; the word that is none otherwise.
fn written(pattern: &str) -> Result<String, String> {
    if pattern.contains('%') {
        return Ok(pattern.to_owned());
    }
    let mut own = String::with_capacity(pattern.len() * 2);
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            let (quoted, after) = next(rest, 1).split_once('"').unwrap_or((next(rest, 1), ""));
            own.push_str(quoted);
            rest = after;
        } else if !first.is_ascii_alphabetic() {
            own.push(first);
            rest = next(rest, first.len_utf8());
        } else {
            let begins = |word: &str| {
                rest.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word))
            };
            let cased = CASED.iter().find(|(word, _)| rest.starts_with(word));
            let found = cased.or_else(|| WORDS.iter().find(|(word, _)| begins(word)));
            let Some((word, code)) = found else {
                return Err(rest.chars().take_while(char::is_ascii_alphanumeric).collect());
            };
            own.push_str(code);
            rest = next(rest, word.len());
        }
    }
    Ok(own)
}

/// The text from this byte on.
fn next(text: &str, at: usize) -> &str {
    text.get(at..).unwrap_or_default()
}

struct Kinds;

impl VisitorMut for Kinds {
    type Break = ();

    // After what is inside: what is put in its place is not looked into again.
    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, alias, args: None, .. } = factor
            && tells_columns(name)
            && let Some(mut told) = by_sql_names()
        {
            if let TableFactor::Derived { alias: own, .. } = &mut told
                && alias.is_some()
            {
                *own = alias.take();
            }
            *factor = told;
        }
        ControlFlow::Continue(())
    }
}

fn tells_columns(name: &ObjectName) -> bool {
    let parts: Vec<String> = name
        .0
        .iter()
        .filter_map(|part| part.as_ident())
        .map(|ident| ident.value.to_ascii_lowercase())
        .collect();
    matches!(parts.as_slice(), [.., schema, table] if schema == "information_schema" && table == "columns")
}

/// The table in [`COLUMNS`].
fn by_sql_names() -> Option<TableFactor> {
    let mut parser = Parser::new(&PostgreSqlDialect {}).try_with_sql(COLUMNS).ok()?;
    let query = parser.parse_query().ok()?;
    let SetExpr::Select(select) = *query.body else { return None };
    select.from.into_iter().next().map(|from| from.relation)
}

#[cfg(test)]
mod tests {
    use datafusion_pg_catalog::sql::PostgresCompatibilityParser;

    use super::*;

    fn fitted(sql: &str) -> Result<String, String> {
        let mut statement = PostgresCompatibilityParser::new().parse(sql).unwrap().remove(0);
        fit(&mut statement).map_err(|e| e.to_string())?;
        Ok(statement.to_string())
    }

    #[test]
    fn patterns_are_written_as_the_engine_has_them() {
        for (asked, own) in [
            ("YYYY-MM-DD", "%Y-%m-%d"),
            ("yyyymmdd", "%Y%m%d"),
            ("YYYY年MM月", "%Y年%m月"),
            ("YYYY-MM-DD\"T\"HH24:MI:SS.MS", "%Y-%m-%dT%H:%M:%S.%3f"),
            ("HH:MI am, DD Mon YY", "%I:%M %P, %d %b %y"),
            ("%Y/%m", "%Y/%m"),
        ] {
            assert_eq!(written(asked).unwrap(), own, "{asked}");
        }
        assert_eq!(written("YYYY Q").unwrap_err(), "Q");
        let text = fitted("select to_char(clrq, 'YYYY') from fr_jbxx").unwrap();
        assert!(text.contains("to_char(clrq, '%Y')"), "{text}");
        let why = fitted("select to_char(clrq, 'YYYY-Q') from fr_jbxx").unwrap_err();
        assert!(why.contains("`Q`") && why.contains("不支持"), "{why}");
        let why = fitted("select to_char(zczb, 'FM999.00') from fr_jbxx").unwrap_err();
        assert!(why.contains("as varchar") && why.contains("0A000"), "{why}");
    }

    #[test]
    fn a_pattern_that_is_no_constant_is_written_anew_as_it_runs() {
        let text = fitted("select to_char(clrq, $1), to_date(a, b) from fr_jbxx").unwrap();
        assert!(text.contains("to_char(clrq, qt_pattern($1))"), "{text}");
        assert!(text.contains("to_date(a, qt_pattern(b))"), "{text}");
        let run = |given: ColumnarValue| {
            let field = Arc::new(arrow::datatypes::Field::new("p", ArrowType::Utf8, true));
            patterns().invoke_with_args(datafusion::logical_expr::ScalarFunctionArgs {
                args: vec![given],
                arg_fields: vec![Arc::clone(&field)],
                number_rows: 2,
                return_field: field,
                config_options: Arc::default(),
            })
        };
        let scalar = |text: &str| ColumnarValue::Scalar(ScalarValue::Utf8(Some(text.into())));
        let ColumnarValue::Scalar(one) = run(scalar("YYYY-MM")).unwrap() else { panic!("one") };
        assert_eq!(one, ScalarValue::Utf8(Some("%Y-%m".into())));
        let column = StringArray::from(vec![Some("YYYY"), None]);
        let all = run(ColumnarValue::Array(Arc::new(column))).unwrap().into_array(2).unwrap();
        let all: Vec<_> = as_string_array(&all).unwrap().iter().collect();
        assert_eq!(all, [Some("%Y"), None]);
        let why = run(scalar("YYYY-Q")).unwrap_err();
        assert!(super::super::words::of_plan(why).to_string().contains("22007"));
    }

    #[test]
    fn columns_are_told_by_sql_names() {
        let text =
            fitted("select data_type from information_schema.columns c where c.table_name = 'a'")
                .unwrap();
        assert!(text.contains("'double precision'") && text.contains(") c "), "{text}");
        assert_eq!(text.matches("information_schema.columns").count(), 1, "{text}");
        let text = fitted("select columns.data_type from information_schema.columns").unwrap();
        assert!(text.to_lowercase().ends_with("as columns"), "{text}");
        let text = fitted("select * from columns").unwrap();
        assert_eq!(text, "SELECT * FROM columns");
    }
}

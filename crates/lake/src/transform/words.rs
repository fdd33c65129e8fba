//! What is wrong with a SELECT, in the words of the person who wrote it.

use datafusion::common::{DataFusionError, SchemaError};
use datafusion::sql::sqlparser::parser::ParserError;
use model::{Code, Error};
use strsim::damerau_levenshtein;

use crate::fault;

/// Tables of a transformation with their columns.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) tables: Vec<(String, Vec<String>)>,
}

pub(super) fn bad_sql(zh: impl Into<String>, en: impl Into<String>) -> Error {
    Error::new(Code::InvalidQuery, zh, en)
}

/// Why a function or a conversion refuses one value, in both languages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) zh: String,
    pub(crate) en: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.en, self.zh)
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for DataFusionError {
    fn from(refusal: Refusal) -> Self {
        DataFusionError::External(Box::new(refusal))
    }
}

/// What a failing row is refused for; `None` when the failure is not the row's.
pub(crate) fn of_row(error: &DataFusionError) -> Option<(String, String)> {
    let root = root(error);
    match root {
        DataFusionError::External(cause) => {
            let refusal = cause.downcast_ref::<Refusal>()?;
            Some((refusal.zh.clone(), refusal.en.clone()))
        }
        DataFusionError::ArrowError(cause, _) => {
            use arrow::error::ArrowError as A;
            let told = cause.to_string();
            match cause.as_ref() {
                A::DivideByZero => Some(("除数为零".into(), "division by zero".into())),
                A::ArithmeticOverflow(_) => {
                    Some(("计算结果超出范围".into(), "the result is out of range".into()))
                }
                A::CastError(_) | A::ParseError(_) | A::ComputeError(_) => {
                    Some((format!("无法转换：{told}"), told))
                }
                A::InvalidArgumentError(_) => Some((format!("无法计算：{told}"), told)),
                _ => None,
            }
        }
        DataFusionError::Execution(told) => Some((format!("无法计算：{told}"), told.clone())),
        _ => None,
    }
}

pub(crate) fn root(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Diagnostic(_, inner) | DataFusionError::Context(_, inner) => root(inner),
        DataFusionError::Shared(inner) => root(inner),
        DataFusionError::Collection(all) => all.first().map_or(error, root),
        DataFusionError::External(cause) => {
            cause.downcast_ref::<DataFusionError>().map_or(error, root)
        }
        other => other,
    }
}

/// A failure while rows flow that is no single row's.
pub(super) fn broken(error: DataFusionError) -> Error {
    if let DataFusionError::External(cause) = root(&error)
        && let Some(known) = cause.downcast_ref::<SourceFailure>()
        && let Some(told) = known.0.lock().ok().and_then(|mut e| e.take())
    {
        return told;
    }
    match of_row(&error) {
        Some((zh, en)) => bad_sql(
            format!(
                "转换在汇总、连接条件等步骤中失败，无法归到某一行：{zh}；请先在子查询（WITH）中算好该列"
            ),
            format!(
                "the transformation failed in a step that cannot be put down to one row (a join's condition or the like): {en}; compute that column in a subquery (WITH) first"
            ),
        ),
        None => fault::plan("transforming rows", error),
    }
}

/// An error of an input's stream on its way through the plan.
#[derive(Debug)]
pub(super) struct SourceFailure(pub(super) std::sync::Mutex<Option<Error>>);

impl std::fmt::Display for SourceFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an input of the transformation failed")
    }
}

impl std::error::Error for SourceFailure {}

impl SourceFailure {
    pub(super) fn wrap(error: Error) -> DataFusionError {
        DataFusionError::External(Box::new(Self(std::sync::Mutex::new(Some(error)))))
    }
}

/// A SELECT that cannot be planned.
pub(super) fn refused(sql: &str, error: DataFusionError, known: &Known) -> Error {
    let place = place(sql, &error);
    match root(&error) {
        DataFusionError::SQL(parse, _) => syntax(sql, parse),
        DataFusionError::SchemaError(schema, _) => schema_words(schema, known, &place),
        DataFusionError::External(cause) => match cause.downcast_ref::<Refusal>() {
            Some(r) => bad_sql(format!("{}{}", place.zh, r.zh), format!("{}{}", place.en, r.en)),
            None => Error::internal("lake: planning a transformation").caused_by(error),
        },
        DataFusionError::Plan(told) | DataFusionError::Execution(told) => {
            plan_words(told, known, &place)
        }
        DataFusionError::NotImplemented(told) if told.contains("Recursive") => {
            plan_words(told, known, &place)
        }
        DataFusionError::NotImplemented(told) => bad_sql(
            format!("{}尚不支持的写法：{told}", place.zh),
            format!("{}this is not supported: {told}", place.en),
        ),
        DataFusionError::ArrowError(cause, _) => bad_sql(
            format!("{}类型或取值有误：{cause}", place.zh),
            format!("{}a type or value is wrong: {cause}", place.en),
        ),
        DataFusionError::Internal(told) | DataFusionError::Configuration(told) => bad_sql(
            format!("{}语句无法执行：{told}", place.zh),
            format!("{}the statement cannot be run: {told}", place.en),
        ),
        _ => fault::plan("planning a transformation", error),
    }
}

/// Where in the text, as a beginning of a sentence; empty when it is not known.
#[derive(Default)]
struct Place {
    zh: String,
    en: String,
}

impl Place {
    fn at(line: u64, column: u64) -> Self {
        if line == 0 {
            return Self::default();
        }
        Self {
            zh: format!("第 {line} 行第 {column} 列："),
            en: format!("line {line}, column {column}: "),
        }
    }
}

fn place(sql: &str, error: &DataFusionError) -> Place {
    if let Some(span) = error.diagnostic().and_then(|d| d.span) {
        return Place::at(span.start.line, span.start.column);
    }
    // Without a span the name itself is looked for.
    let name = match root(error) {
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::FieldNotFound { field, .. }
            | SchemaError::AmbiguousReference { field } => Some(field.name.clone()),
            _ => None,
        },
        DataFusionError::Plan(told) => {
            quoted(told).map(|n| n.rsplit('.').next().unwrap_or(n).to_owned())
        }
        _ => None,
    };
    name.and_then(|name| find_word(sql, &name)).map(|(l, c)| Place::at(l, c)).unwrap_or_default()
}

/// Line and column of the first place where `word` stands as a word.
fn find_word(sql: &str, word: &str) -> Option<(u64, u64)> {
    let lower = sql.to_lowercase();
    let word = word.to_lowercase();
    if word.is_empty() || lower.len() != sql.len() {
        return None;
    }
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let at = lower.match_indices(&word).find(|(at, found)| {
        let before = lower.get(..*at).and_then(|t| t.chars().next_back());
        let after = lower.get(at + found.len()..).and_then(|t| t.chars().next());
        !part(before) && !part(after)
    })?;
    let before = sql.get(..at.0)?;
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Some((line as u64, column as u64))
}

fn quoted(told: &str) -> Option<&str> {
    let rest = told.split_once('\'')?.1;
    rest.split_once('\'').map(|(name, _)| name)
}

fn syntax(sql: &str, error: &ParserError) -> Error {
    let told = match error {
        ParserError::TokenizerError(told) | ParserError::ParserError(told) => told.clone(),
        ParserError::RecursionLimitExceeded => {
            return bad_sql(
                "语句嵌套过深，请拆成几个 WITH 子查询",
                "the statement is nested too deep: take it apart into WITH subqueries",
            );
        }
    };
    let number = |after: &str| -> Option<u64> {
        let rest = told.split_once(after)?.1.trim_start();
        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    let place = match (number("Line:"), number("Column:")) {
        (Some(line), Some(column)) => Place::at(line, column),
        _ => Place::default(),
    };
    let told = told.split(" at Line:").next().unwrap_or_default();
    let piece = sql.lines().next().map_or(0, |l| l.chars().count());
    let (wanted, found) =
        match told.strip_prefix("Expected: ").and_then(|t| t.split_once(", found: ")) {
            Some((wanted, found)) => (wanted.to_owned(), found.to_owned()),
            None => {
                return bad_sql(
                    format!("{}语法有误：{told}", place.zh),
                    format!("{}syntax error: {told}", place.en),
                )
                .detail(format!("first line has {piece} characters"));
            }
        };
    let found_zh = if found == "EOF" {
        "语句到此结束".to_owned()
    } else {
        format!("此处是 `{found}`")
    };
    let found_en =
        if found == "EOF" { "the statement ends".to_owned() } else { format!("found `{found}`") };
    bad_sql(
        format!("{}语法有误：应为 {wanted}，{found_zh}", place.zh),
        format!("{}syntax error: expected {wanted}, {found_en}", place.en),
    )
}

fn schema_words(schema: &SchemaError, known: &Known, place: &Place) -> Error {
    match schema {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let mut there: Vec<String> = valid_fields.iter().map(|c| c.name.clone()).collect();
            if there.is_empty() {
                there = known.tables.iter().flat_map(|(_, c)| c.iter().cloned()).collect();
            }
            there.sort_unstable();
            there.dedup();
            let near = nearest(&field.name, &there);
            let (near_zh, near_en) = hint(near);
            let list = cut(&there.join("、"));
            let list_en = cut(&there.join(", "));
            let name = field.flat_name().replace('"', "");
            bad_sql(
                format!("{}没有列 `{name}`{near_zh}；可用的列：{list}", place.zh),
                format!("{}there is no column `{name}`{near_en}; columns: {list_en}", place.en),
            )
        }
        SchemaError::AmbiguousReference { field } => bad_sql(
            format!(
                "{}列 `{}` 在多张表中都有，请写明表名，如 `source.{}`",
                place.zh, field.name, field.name
            ),
            format!(
                "{}the column `{}` is in several tables: name the table, as in `source.{}`",
                place.en, field.name, field.name
            ),
        ),
        SchemaError::DuplicateUnqualifiedField { name }
        | SchemaError::DuplicateQualifiedField { name, .. } => bad_sql(
            format!("{}结果中有两列都叫 `{name}`，请用 AS 另起名字", place.zh),
            format!(
                "{}two columns of the result are called `{name}`: name one of them with AS",
                place.en
            ),
        ),
    }
}

fn plan_words(told: &str, known: &Known, place: &Place) -> Error {
    let name = quoted(told).map(|n| n.rsplit('.').next().unwrap_or(n));
    if let Some(name) = name {
        if told.starts_with("table function") {
            return bad_sql(
                format!("{}不能使用表函数 `{name}`：转换只读所给的输入表", place.zh),
                format!(
                    "{}the table function `{name}` may not be used: a transformation reads its inputs only",
                    place.en
                ),
            );
        }
        if told.starts_with("table '") {
            let there: Vec<String> = known.tables.iter().map(|(n, _)| n.clone()).collect();
            let (near_zh, near_en) = hint(nearest(name, &there));
            return bad_sql(
                format!(
                    "{}没有输入表 `{name}`{near_zh}；可用的输入表：{}",
                    place.zh,
                    there.join("、")
                ),
                format!(
                    "{}there is no input `{name}`{near_en}; inputs: {}",
                    place.en,
                    there.join(", ")
                ),
            );
        }
        if told.starts_with("Invalid function") {
            let near = told
                .rsplit_once("Did you mean '")
                .map(|(_, n)| n.trim_end_matches(['?', '\'']).to_owned());
            let (near_zh, near_en) = hint(near);
            return bad_sql(
                format!("{}没有函数 `{name}`{near_zh}", place.zh),
                format!("{}there is no function `{name}`{near_en}", place.en),
            );
        }
    }
    if told.contains("recursive") || told.contains("Recursive") {
        return bad_sql(
            "不支持递归查询（WITH RECURSIVE）",
            "recursive queries (WITH RECURSIVE) are not taken",
        );
    }
    let told = told.lines().next().unwrap_or_default();
    bad_sql(
        format!("{}语句有误：{told}", place.zh),
        format!("{}the statement is wrong: {told}", place.en),
    )
}

fn hint(near: Option<String>) -> (String, String) {
    near.map(|n| (format!("，是否指 `{n}`？"), format!(": did you mean `{n}`?")))
        .unwrap_or_default()
}

/// The nearest name, when one is near enough.
fn nearest(name: &str, names: &[String]) -> Option<String> {
    let wanted = name.to_lowercase();
    names
        .iter()
        .map(|n| (damerau_levenshtein(&wanted, &n.to_lowercase()), n))
        .min()
        .filter(|(far, n)| *far * 2 <= wanted.chars().count().max(n.chars().count()).max(2))
        .map(|(_, n)| n.clone())
}

fn cut(text: &str) -> String {
    model::reading::why::cut(text, 400)
}

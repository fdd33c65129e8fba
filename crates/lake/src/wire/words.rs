//! What a client is told when something fails: SQLSTATE and text, Chinese first. Never a path, a row filter, or the text of
//! an inner error that might hold one.

use datafusion::common::{DataFusionError, SchemaError};
use model::{Code, Error, Kind};
use pgwire::error::{ErrorInfo, PgWireError};

use crate::fault;
use crate::transform::words::{Refusal, of_row, root};

/// An error of a statement.
pub(super) fn told(state: &str, zh: impl AsRef<str>, en: impl AsRef<str>) -> PgWireError {
    by_severity("ERROR", state, &format!("{} / {}", zh.as_ref(), en.as_ref()))
}

/// An error that ends the connection.
pub(super) fn fatal(state: &str, zh: impl AsRef<str>, en: impl AsRef<str>) -> PgWireError {
    by_severity("FATAL", state, &format!("{} / {}", zh.as_ref(), en.as_ref()))
}

fn by_severity(severity: &str, state: &str, message: &str) -> PgWireError {
    let info = ErrorInfo::new(severity.to_owned(), state.to_owned(), message.to_owned());
    PgWireError::UserError(Box::new(info))
}

/// An error of the house. Its code goes along as the routine that failed: clients may read it there, and what comes back to the
/// house ([`code_of`]) is what it was.
pub(super) fn of_house(error: &Error) -> PgWireError {
    let state = match error.code() {
        Code::WrongCredentials | Code::LockedOut => {
            return fatal("28P01", error.zh(), error.en());
        }
        // A certificate that is not, or no longer, the application's: PostgreSQL's word for it, and the session ends.
        Code::SignatureMismatch => "28000",
        // Too many at once, as with statements and connections: it passes.
        Code::RateLimited => "53300",
        Code::QuotaUsedUp => "53400",
        Code::NoGrant | Code::GrantExpired | Code::Denied | Code::ColumnNotGranted => "42501",
        Code::NotFound => "42P01",
        Code::InvalidQuery | Code::InvalidInput => "42601",
        _ => match error.kind() {
            Kind::Unavailable => {
                tracing::warn!(error = %error.operator_text(), "a statement could not be answered");
                "58030"
            }
            Kind::Internal => {
                tracing::error!(error = %error.operator_text(), "a statement failed");
                "XX000"
            }
            _ => "42501",
        },
    };
    let mut told = match state {
        "28000" => fatal(state, error.zh(), error.en()),
        _ => told(state, error.zh(), error.en()),
    };
    if let PgWireError::UserError(info) = &mut told {
        info.routine = Some(error.code().as_str().to_owned());
    }
    told
}

/// What a function of a session's own refuses, with its SQLSTATE.
#[derive(Debug)]
pub(super) struct Worded {
    pub(super) state: &'static str,
    pub(super) zh: String,
    pub(super) en: String,
}

impl Worded {
    pub(super) fn told(&self) -> PgWireError {
        told(self.state, &self.zh, &self.en)
    }
}

impl std::fmt::Display for Worded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.en, self.zh)
    }
}

impl std::error::Error for Worded {}

impl From<Worded> for DataFusionError {
    fn from(refused: Worded) -> Self {
        DataFusionError::External(Box::new(refused))
    }
}

/// The code of the house's error that this was.
pub(super) fn code_of(info: &ErrorInfo) -> Option<Code> {
    let word = info.routine.as_deref()?;
    Code::ALL.iter().copied().find(|code| code.as_str() == word)
}

/// An error of planning or running.
pub(super) fn of_plan(error: DataFusionError) -> PgWireError {
    if let DataFusionError::External(cause) = root(&error) {
        if let Some(known) = cause.downcast_ref::<Error>() {
            return of_house(known);
        }
        if let Some(refused) = cause.downcast_ref::<Worded>() {
            return refused.told();
        }
        // What would be made is too large.
        if let Some(refusal) = cause.downcast_ref::<Refusal>() {
            return told("54000", &refusal.zh, &refusal.en);
        }
    }
    match root(&error) {
        DataFusionError::SQL(parse, _) => syntax(&parse.to_string()),
        DataFusionError::SchemaError(schema, _) => schema_words(schema),
        DataFusionError::ResourcesExhausted(_) => told(
            "53200",
            "该语句所需内存超出限额，只此一条失败；请缩小范围、减少分组或连接，或稍后重试",
            "the statement needs more memory than it may have; it alone failed: narrow it, group or join less, or try again later",
        ),
        DataFusionError::NotImplemented(what) => {
            told("0A000", format!("尚不支持：{what}"), format!("not supported: {what}"))
        }
        DataFusionError::Plan(what) => plan_words(what),
        DataFusionError::ArrowError(cause, _) => {
            use arrow::error::ArrowError as A;
            let state = match cause.as_ref() {
                A::DivideByZero => "22012",
                A::ArithmeticOverflow(_) => "22003",
                A::CastError(_) | A::ParseError(_) => "22P02",
                _ => "22000",
            };
            match of_row(&error) {
                Some((zh, en)) => told(state, zh, en),
                None => internal(error),
            }
        }
        DataFusionError::Execution(what) => {
            told("22000", format!("无法计算：{what}"), format!("cannot be computed: {what}"))
        }
        DataFusionError::Configuration(what) => {
            told("42704", format!("设置有误：{what}"), format!("a setting is wrong: {what}"))
        }
        _ => internal(error),
    }
}

/// What only the operator may read.
fn internal(error: DataFusionError) -> PgWireError {
    of_house(&fault::plan("running a statement", error))
}

/// Text that the parser does not understand.
pub(super) fn syntax(what: &str) -> PgWireError {
    let what = what.split_once("ParserError(").map_or(what, |(_, rest)| rest);
    let what = what.trim_start_matches("sql parser error: ");
    told("42601", format!("语法有误：{what}"), format!("syntax error: {what}"))
}

fn schema_words(schema: &SchemaError) -> PgWireError {
    match schema {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let mut there: Vec<&str> = valid_fields.iter().map(|c| c.name.as_str()).collect();
            there.sort_unstable();
            there.dedup();
            let list = model::reading::why::cut(&there.join(", "), 300);
            let name = &field.name;
            told(
                "42703",
                format!("没有列 `{name}`；可用的列：{list}"),
                format!("there is no column `{name}`; columns: {list}"),
            )
        }
        SchemaError::AmbiguousReference { field } => told(
            "42702",
            format!("列 `{}` 在多张表中都有，请写明表名", field.name),
            format!("the column `{}` is in several tables: name the table", field.name),
        ),
        SchemaError::DuplicateUnqualifiedField { name }
        | SchemaError::DuplicateQualifiedField { name, .. } => told(
            "42701",
            format!("结果中有两列都叫 `{name}`，请用 AS 另起名字"),
            format!("two columns are called `{name}`: name one of them with AS"),
        ),
    }
}

fn plan_words(what: &str) -> PgWireError {
    let first = what.lines().next().unwrap_or_default();
    let quoted = || {
        let name = first.split('\'').nth(1).unwrap_or_default();
        name.rsplit('.').next().unwrap_or(name).to_owned()
    };
    if first.starts_with("table '") {
        let name = quoted();
        return told(
            "42P01",
            format!("没有表 `{name}`：只能查询已授权的资源（psql 中用 \\dt 查看）"),
            format!("there is no table `{name}`: granted resources only (psql lists them by \\dt)"),
        );
    }
    if let Some((name, types)) = misfit(first) {
        return match name {
            "to_char" => no_pattern_of_numbers(types),
            _ => told(
                "42883",
                format!("函数 `{name}` 不能用于类型（{types}），请先用 cast 转换"),
                format!("the function `{name}` does not take ({types}): cast first"),
            ),
        };
    }
    if first.contains("function") {
        return told(
            "42883",
            format!("没有这样的函数：{first}"),
            format!("no such function: {first}"),
        );
    }
    told("42601", format!("语句有误：{first}"), format!("the statement is wrong: {first}"))
}

/// Name of a function and the types that it was given and does not take: the engine tells all it takes, which is pages of the inner words
/// of types.
fn misfit(told: &str) -> Option<(&str, &str)> {
    let (_, rest) = told.split_once("to satisfy a call to '")?;
    let (name, rest) = rest.split_once("' function: coercion from ")?;
    let (types, _) = rest.split_once(" to the signature ")?;
    Some((name, types))
}

/// That `to_char` writes dates and times only, and what to write instead.
fn no_pattern_of_numbers(types: &str) -> PgWireError {
    told(
        "0A000",
        format!(
            "to_char 只用于日期和时间，不支持类型（{types}）；数值请写 cast(round(x, 2) as varchar)，文字请先 cast(x as date)"
        ),
        format!(
            "to_char writes dates and times only, not ({types}): of numbers write cast(round(x, 2) as varchar), of texts cast(x as date) first"
        ),
    )
}

/// SQLSTATE of an error, for the record.
pub(super) fn state_of(error: &PgWireError) -> String {
    match error {
        PgWireError::UserError(info) => info.code.clone(),
        PgWireError::QueryCanceled => "57014".to_owned(),
        _ => "XX000".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_that_does_not_fit_is_told_shortly() {
        let told = |name: &str| {
            let what = format!(
                "Failed to coerce arguments to satisfy a call to '{name}' function: coercion from Float64, Utf8 to the signature \
                 OneOf([Exact([Date32, Utf8]), Exact([Date64, Utf8])]) failed"
            );
            let PgWireError::UserError(info) = of_plan(DataFusionError::Plan(what)) else {
                panic!("an error of the user's")
            };
            (info.code.clone(), info.message.clone())
        };
        let (state, message) = told("to_char");
        assert_eq!(state, "0A000");
        assert!(message.contains("as varchar") && !message.contains("OneOf"), "{message}");
        let (state, message) = told("date_trunc");
        assert_eq!(state, "42883");
        assert!(message.contains("`date_trunc`") && !message.contains("OneOf"), "{message}");
    }
}

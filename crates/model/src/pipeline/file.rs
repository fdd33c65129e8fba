//! The file of a pipeline: TOML that is reviewed, versioned, imported and exported. Every fault names its line and field.
//!
//! ```toml
//! name = "air_hourly"                # a-z, 0-9, _ and -; unique in the organisation
//! title = "空气质量小时值"
//! entry = "air_quality"              # where the rows go
//! mode = "incremental"               # or "full": every turn replaces what was there
//! empty = "warn"                     # no rows: "allow", "warn" or "fail"
//! after = ["stations"]               # runs when these have succeeded for the same turn
//! max_bad_ratio = 0.01               # error budget: beyond it nothing lands and the position stays
//!
//! [source]
//! kind = "database"                  # "sqlite", "http", "folder", "kafka"
//! source = "环境业务库"                # a stored data source
//! table = "readings"                 # or sql = "SELECT … WHERE updated_at >= {from} AND updated_at < {to}"
//!
//! [watermark]
//! column = "updated_at"
//! type = "datetime"                  # "date", "integer"
//! start = "2013-03-01"
//! late = "2d"                        # rows so late are read again
//!
//! [schedule]
//! cron = "15 2 * * *"                # or calendar = "workdays" with at = "08:30"
//! ```

mod written;

use chrono::TimeDelta;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use self::written::Written;
use super::schedule::Schedule;
use super::window::{Mark, MarkKind, Step};
use crate::code::{SyncMode, code_list};
use crate::item::Item;
use crate::{Code, Error, Result};

/// Longest file in bytes.
pub const LONGEST: usize = 256 * 1024;

code_list! {
    /// Where a pipeline reads.
    Kind {
        Database = "database", "数据库", "Database";
        Sqlite = "sqlite", "SQLite 文件", "SQLite file";
        Http = "http", "HTTP 接口", "HTTP interface";
        Folder = "folder", "文件夹", "Folder of files";
        Kafka = "kafka", "Kafka 主题", "Kafka topic";
    }
}
code_list! {
    /// What it means when a turn brings no rows.
    EmptyRule {
        Allow = "allow", "允许", "Allowed";
        Warn = "warn", "警告", "Warned of";
        Fail = "fail", "视为失败", "A failure";
    }
}
code_list! {
    /// When turns of two pipelines are the same turn.
    SameTurn {
        Day = "day", "同一天", "Same day";
        Time = "time", "同一时刻", "Same time";
    }
}

/// A fault of a file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// From 1; 0 when it is about the file as a whole.
    pub line: usize,
    /// `source.table`; empty when it is about the line.
    pub field: String,
    pub zh: String,
    pub en: String,
}

impl Fault {
    /// All of them as one error, the fields named with their lines.
    #[must_use]
    pub fn error(faults: &[Self]) -> Error {
        let mut error = Error::new(
            Code::InvalidInput,
            format!("管道文件有 {} 处需要修改", faults.len()),
            format!("the pipeline file has {} faults to mend", faults.len()),
        );
        for fault in faults {
            let (zh, en) = match fault.line {
                0 => (fault.zh.clone(), fault.en.clone()),
                n => (format!("第 {n} 行：{}", fault.zh), format!("line {n}: {}", fault.en)),
            };
            let field = if fault.field.is_empty() { "file" } else { &fault.field };
            error = error.field(field, zh, en);
        }
        error
    }
}

/// A file as checked. What it names (entry, source, other pipelines) is looked up by the room.
#[derive(Clone, Debug)]
pub struct PipelineFile {
    pub name: String,
    pub title: String,
    /// Organisation named in the file; empty when it is the editor's.
    pub org: String,
    pub entry: String,
    pub mode: SyncMode,
    pub operation_column: Option<String>,
    pub empty: EmptyRule,
    pub after: Vec<String>,
    pub same_turn: SameTurn,
    pub lookups: Vec<String>,
    pub budget: Budget,
    pub source: SourcePart,
    pub watermark: Option<Watermark>,
    pub schedule: Option<Schedule>,
    pub transform: Option<String>,
    pub retry: Retry,
}

/// How many bad rows a turn may have.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Budget {
    pub ratio: Option<f64>,
    pub rows: Option<u64>,
}

impl Budget {
    /// Why a turn with so many bad rows of all is beyond it.
    #[must_use]
    pub fn beyond(&self, all: u64, bad: u64) -> Option<(String, String)> {
        if let Some(most) = self.rows.filter(|most| bad > *most) {
            return Some((
                format!("不合格行 {bad} 超过允许的 {most} 行，未入湖，水位线保持不变"),
                format!(
                    "{bad} rows do not fit, more than the {most} allowed: nothing was landed and the watermark stays"
                ),
            ));
        }
        let most = self.ratio.filter(|most| bad > 0 && bad as f64 > *most * all as f64)?;
        let (is, may) = (bad as f64 * 100.0 / all.max(1) as f64, most * 100.0);
        Some((
            format!("不合格率 {is:.2}%（{bad}/{all}）超过允许的 {may:.2}%，未入湖，水位线保持不变"),
            format!(
                "{is:.2}% of the rows ({bad} of {all}) do not fit, more than the {may:.2}% allowed: nothing was landed and the watermark stays"
            ),
        ))
    }
}

/// What `[retry]` says; what it does not say is in the rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retry {
    pub times: Option<u32>,
    pub first: Option<TimeDelta>,
    pub longest: Option<TimeDelta>,
}

/// `[watermark]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watermark {
    pub column: String,
    pub kind: MarkKind,
    pub start: Mark,
    pub late: Step,
    /// Pattern of `strftime` for addresses.
    pub format: String,
}

/// `[source]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePart {
    pub kind: Kind,
    /// Columns as a transformation sees them; without it the entry's items.
    pub columns: Vec<Item>,
    pub at_once: Option<u32>,
    pub place: Place,
}

/// The source itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A stored data source, by id or name.
    Database {
        source: String,
        read: Reading,
    },
    Sqlite {
        path: String,
        read: Reading,
    },
    Http {
        url: String,
        query: Vec<(String, String)>,
        headers: Vec<(String, String)>,
        rows_at: String,
        paging: PagingPart,
    },
    Folder {
        url: String,
        pattern: String,
    },
    Kafka {
        brokers: String,
        topic: String,
    },
}

impl Place {
    /// For people and for counting who reads it; no secret is in it.
    #[must_use]
    pub fn word(&self) -> String {
        match self {
            Place::Database { source, .. } => source.clone(),
            Place::Sqlite { path, .. } => format!("sqlite:{path}"),
            Place::Http { url, .. } => url.split('?').next().unwrap_or_default().to_owned(),
            Place::Folder { url, .. } => url.clone(),
            Place::Kafka { brokers, topic } => format!("kafka:{brokers}/{topic}"),
        }
    }
}

/// A table or one SELECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    Table(String),
    Sql(String),
}

/// Further pages of an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PagingPart {
    #[default]
    Single,
    Page {
        parameter: String,
        size_parameter: String,
        size: u64,
        first: u64,
    },
    Offset {
        parameter: String,
        size_parameter: String,
        size: u64,
    },
    Token {
        at: String,
        parameter: String,
    },
    Link,
}

/// Lines of the fields of a file, and the faults found so far.
pub struct Faults<'a> {
    text: &'a str,
    tree: Option<Spanned<DeTable<'a>>>,
    pub found: Vec<Fault>,
}

impl std::fmt::Debug for Faults<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Faults").field("found", &self.found).finish_non_exhaustive()
    }
}

impl<'a> Faults<'a> {
    /// For further faults of a file that can be read.
    #[must_use]
    pub fn of(text: &'a str) -> Self {
        Self { text, tree: DeTable::parse(text).ok(), found: Vec::new() }
    }

    /// A fault at a field, by its path.
    pub fn at(&mut self, field: &str, zh: impl Into<String>, en: impl Into<String>) {
        let line = self.line(field);
        self.found.push(Fault { line, field: field.to_owned(), zh: zh.into(), en: en.into() });
    }

    /// The line of a field, or of the nearest part above it that is there.
    fn line(&self, field: &str) -> usize {
        let Some(tree) = &self.tree else { return 0 };
        let (mut table, mut at) = (tree.get_ref(), 0);
        for part in field.split('.') {
            let Some((key, value)) = table.iter().find(|(key, _)| key.get_ref() == part) else {
                break;
            };
            at = line_of(self.text, key.span().start);
            match value.get_ref() {
                DeValue::Table(inner) => table = inner,
                _ => break,
            }
        }
        at
    }

    /// The faults as an error, if there are any.
    pub fn settle(self) -> Result<()> {
        if self.found.is_empty() { Ok(()) } else { Err(Fault::error(&self.found)) }
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|b| *b == b'\n').count() + 1
}

impl PipelineFile {
    /// Reads a file; the error names every fault with its line.
    pub fn parse(text: &str) -> Result<Self> {
        Self::check(text).map_err(|faults| Fault::error(&faults))
    }

    /// The same with the faults themselves.
    pub fn check(text: &str) -> std::result::Result<Self, Vec<Fault>> {
        if text.len() > LONGEST {
            return Err(vec![Fault {
                line: 0,
                field: String::new(),
                zh: format!("管道文件超过 {} KB", LONGEST / 1024),
                en: format!("the pipeline file is larger than {} KB", LONGEST / 1024),
            }]);
        }
        let written: Written = toml::from_str(text).map_err(|e| {
            let line = e.span().map_or(0, |span| line_of(text, span.start));
            vec![Fault {
                line,
                field: String::new(),
                zh: format!("无法读取：{}", in_chinese(e.message())),
                en: format!("cannot be read: {}", e.message()),
            }]
        })?;
        let mut faults = Faults::of(text);
        let file = written.checked(&mut faults);
        match file {
            Some(file) if faults.found.is_empty() => Ok(file),
            _ => Err(faults.found),
        }
    }
}

/// The parser's commonest sentences in Chinese; others stand as they are.
fn in_chinese(message: &str) -> String {
    let quoted = |rest: &str| rest.split('`').nth(1).map(str::to_owned);
    if message.starts_with("unknown field") {
        let known = message.split_once("expected").map_or("", |(_, rest)| rest.trim());
        let known = known.trim_start_matches("one of").trim();
        return format!("不认识的字段 `{}`，可用：{known}", quoted(message).unwrap_or_default());
    }
    if message.starts_with("missing field") {
        return format!("缺少字段 `{}`", quoted(message).unwrap_or_default());
    }
    if let Some(rest) = message.strip_prefix("invalid type: ") {
        return format!("类型不对：{}", rest.replace("expected", "应为"));
    }
    if message.starts_with("duplicate key") {
        return "字段重复".to_owned();
    }
    format!("TOML 语法有误（{message}）")
}

#[cfg(test)]
mod tests;

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

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::schedule::Schedule;
use super::window::{FROM, Mark, MarkKind, Step, TO, duration};
use crate::code::{DataType, SyncMode, code_list};
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    org: String,
    entry: String,
    mode: String,
    operation_column: Option<String>,
    empty: Option<String>,
    #[serde(default)]
    after: Vec<String>,
    same_turn: Option<String>,
    #[serde(default)]
    lookups: Vec<String>,
    max_bad_ratio: Option<f64>,
    max_bad_rows: Option<i64>,
    source: WrittenSource,
    watermark: Option<WrittenMark>,
    schedule: Option<WrittenSchedule>,
    transform: Option<WrittenTransform>,
    retry: Option<WrittenRetry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSource {
    kind: String,
    #[serde(default)]
    columns: BTreeMap<String, String>,
    at_once: Option<i64>,
    source: Option<String>,
    table: Option<String>,
    sql: Option<String>,
    path: Option<String>,
    url: Option<String>,
    #[serde(default)]
    query: BTreeMap<String, String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    rows_at: Option<String>,
    paging: Option<WrittenPaging>,
    pattern: Option<String>,
    brokers: Option<String>,
    topic: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPaging {
    kind: String,
    parameter: Option<String>,
    size_parameter: Option<String>,
    size: Option<i64>,
    first: Option<i64>,
    at: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenMark {
    column: String,
    #[serde(rename = "type")]
    kind: String,
    start: toml::Value,
    late: Option<toml::Value>,
    #[serde(default)]
    format: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSchedule {
    cron: Option<String>,
    calendar: Option<String>,
    at: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTransform {
    sql: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRetry {
    times: Option<i64>,
    first: Option<String>,
    longest: Option<String>,
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

/// A word of a code list, or a fault that names the words.
macro_rules! word {
    ($faults:expr, $field:expr, $list:ty, $text:expr) => {{
        let found = <$list>::ALL.iter().copied().find(|v| v.as_str() == $text);
        if found.is_none() {
            let all: Vec<&str> = <$list>::ALL.iter().map(|v| v.as_str()).collect();
            let all = all.join(", ");
            $faults.at(
                $field,
                format!("`{}` 不可用，应为 {all} 之一", $text),
                format!("`{}` is not known here: one of {all}", $text),
            );
        }
        found
    }};
}

impl Written {
    fn checked(self, faults: &mut Faults<'_>) -> Option<PipelineFile> {
        named(&self.name, "name", faults);
        for name in &self.after {
            named(name, "after", faults);
        }
        if self.title.chars().count() > 200 || self.title.chars().any(char::is_control) {
            faults.at("title", "标题最多 200 字", "the title has 200 characters at most");
        }
        if self.entry.trim().is_empty() {
            faults.at("entry", "请填写目录编码", "name the entry's code");
        }
        let mode = word!(faults, "mode", SyncMode, self.mode.as_str());
        let empty = match &self.empty {
            Some(text) => word!(faults, "empty", EmptyRule, text.as_str()),
            None => Some(EmptyRule::Warn),
        };
        let same_turn = match &self.same_turn {
            Some(text) => word!(faults, "same_turn", SameTurn, text.as_str()),
            None => Some(SameTurn::Day),
        };
        let budget = budget(self.max_bad_ratio, self.max_bad_rows, faults);
        let transform = self.transform.map(|t| t.sql);
        if transform.as_deref().is_some_and(|sql| sql.trim().is_empty()) {
            faults.at("transform.sql", "请填写 SELECT", "write the SELECT");
        }
        if transform.is_none() && !self.lookups.is_empty() {
            faults.at(
                "lookups",
                "只有设置了 [transform] 才能引用对照目录",
                "entries are looked up in a [transform] only",
            );
        }
        let watermark = self.watermark.and_then(|w| w.checked(faults));
        let schedule = self.schedule.and_then(|s| s.checked(faults));
        let retry = self.retry.map(|r| r.checked(faults)).unwrap_or_default();
        let source = self.source.checked(faults)?;
        agree(mode?, &source, watermark.as_ref(), transform.is_some(), faults);
        Some(PipelineFile {
            name: self.name,
            title: self.title,
            org: self.org,
            entry: self.entry.trim().to_owned(),
            mode: mode?,
            operation_column: self.operation_column.filter(|c| !c.is_empty()),
            empty: empty?,
            after: self.after,
            same_turn: same_turn?,
            lookups: self.lookups,
            budget,
            source,
            watermark,
            schedule,
            transform,
            retry,
        })
    }
}

fn named(name: &str, field: &str, faults: &mut Faults<'_>) {
    let good = (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b));
    if !good {
        faults.at(
            field,
            format!("管道名称 `{name}` 应以小写字母开头，只含小写字母、数字、下划线和连字符，最多 64 个字符"),
            format!("the pipeline name `{name}` begins with a-z and holds a-z, 0-9, _ and - only, 64 at most"),
        );
    }
}

fn budget(ratio: Option<f64>, rows: Option<i64>, faults: &mut Faults<'_>) -> Budget {
    if ratio.is_some_and(|r| !(0.0..=1.0).contains(&r)) {
        faults.at("max_bad_ratio", "应在 0 到 1 之间", "must be between 0 and 1");
    }
    let rows = rows.map(|n| {
        u64::try_from(n).unwrap_or_else(|_| {
            faults.at("max_bad_rows", "应为非负整数", "must be a whole number, 0 or more");
            0
        })
    });
    Budget { ratio, rows }
}

impl WrittenMark {
    fn checked(self, faults: &mut Faults<'_>) -> Option<Watermark> {
        if self.column.is_empty() || self.column.contains(['"', '`', '\'', '\\', '\0', '\n']) {
            faults.at(
                "watermark.column",
                "请填写列名（不含引号）",
                "name the column, without quotes",
            );
        }
        let kind = word!(faults, "watermark.type", MarkKind, self.kind.as_str())?;
        let plain = |value: &toml::Value| match value {
            toml::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let start = Mark::parse(kind, &plain(&self.start));
        if start.is_none() {
            faults.at(
                "watermark.start",
                format!("`{}` 不是{}的值", plain(&self.start), kind.zh()),
                format!("`{}` is no {}", plain(&self.start), kind.as_str()),
            );
        }
        let zero = match kind {
            MarkKind::Integer => Step::Number(0),
            _ => Step::Time(TimeDelta::zero()),
        };
        let late = match &self.late {
            None => Some(zero),
            Some(value) => Step::parse(kind, &plain(value)),
        };
        if late.is_none() {
            faults.at(
                "watermark.late",
                "时间请写成 90s、15m、2h 或 3d（日期只能是整天），整数请写数字",
                "times read 90s, 15m, 2h or 3d (whole days for dates), whole numbers a number",
            );
        }
        if let Some(start) = start
            && start.spelled(&self.format).is_err()
        {
            faults.at(
                "watermark.format",
                "时间格式无法使用（strftime）",
                "not a pattern of strftime",
            );
        }
        Some(Watermark {
            column: self.column,
            kind,
            start: start?,
            late: late?,
            format: self.format,
        })
    }
}

impl WrittenSchedule {
    fn checked(self, faults: &mut Faults<'_>) -> Option<Schedule> {
        match (self.cron, self.calendar, self.at) {
            (Some(cron), None, None) => match Schedule::cron(&cron) {
                Ok(schedule) => Some(schedule),
                Err(why) => {
                    faults.at(
                        "schedule.cron",
                        format!("`{cron}` 不是五段式 cron（分 时 日 月 周）：{why}"),
                        format!("`{cron}` is no cron of five fields (minute hour day month weekday): {why}"),
                    );
                    None
                }
            },
            (None, Some(calendar), Some(at)) if calendar == "workdays" => {
                let schedule = Schedule::workdays(&at);
                if schedule.is_none() {
                    faults.at("schedule.at", "请写成 08:30 的形式", "write the time like 08:30");
                }
                schedule
            }
            _ => {
                faults.at(
                    "schedule",
                    "请写 cron = \"分 时 日 月 周\"，或 calendar = \"workdays\" 与 at = \"08:30\"",
                    "write cron = \"minute hour day month weekday\", or calendar = \"workdays\" with at = \"08:30\"",
                );
                None
            }
        }
    }
}

impl WrittenRetry {
    fn checked(self, faults: &mut Faults<'_>) -> Retry {
        let mut span = |field: &str, text: Option<String>| {
            let text = text?;
            let read = duration(&text).filter(|d| !d.is_zero() && *d <= TimeDelta::days(7));
            if read.is_none() {
                faults.at(
                    field,
                    format!("`{text}` 应写成 30s、5m、2h，最长 7d"),
                    format!("`{text}` reads 30s, 5m, 2h, 7d at most"),
                );
            }
            read
        };
        let first = span("retry.first", self.first);
        let longest = span("retry.longest", self.longest);
        let times = self.times.map(|n| {
            u32::try_from(n).ok().filter(|n| *n <= 100).unwrap_or_else(|| {
                faults.at("retry.times", "应为 0 到 100", "must be 0 to 100");
                0
            })
        });
        Retry { times, first, longest }
    }
}

impl WrittenSource {
    fn checked(self, faults: &mut Faults<'_>) -> Option<SourcePart> {
        let kind = word!(faults, "source.kind", Kind, self.kind.as_str())?;
        self.only(kind, faults);
        let at_once = self.at_once.map(|n| {
            u32::try_from(n).ok().filter(|n| (1..=64).contains(n)).unwrap_or_else(|| {
                faults.at("source.at_once", "应为 1 到 64", "must be 1 to 64");
                1
            })
        });
        let columns = columns(&self.columns, faults);
        let place = self.place(kind, faults)?;
        Some(SourcePart { kind, columns, at_once, place })
    }

    /// What is said although it means nothing for this kind.
    fn only(&self, kind: Kind, faults: &mut Faults<'_>) {
        let said = [
            ("source", self.source.is_some(), &[Kind::Database][..]),
            ("table", self.table.is_some(), &[Kind::Database, Kind::Sqlite]),
            ("sql", self.sql.is_some(), &[Kind::Database, Kind::Sqlite]),
            ("path", self.path.is_some(), &[Kind::Sqlite]),
            ("url", self.url.is_some(), &[Kind::Http, Kind::Folder]),
            ("query", !self.query.is_empty(), &[Kind::Http]),
            ("headers", !self.headers.is_empty(), &[Kind::Http]),
            ("rows_at", self.rows_at.is_some(), &[Kind::Http]),
            ("paging", self.paging.is_some(), &[Kind::Http]),
            ("pattern", self.pattern.is_some(), &[Kind::Folder]),
            ("brokers", self.brokers.is_some(), &[Kind::Kafka]),
            ("topic", self.topic.is_some(), &[Kind::Kafka]),
        ];
        for (field, there, kinds) in said {
            if there && !kinds.contains(&kind) {
                faults.at(
                    &format!("source.{field}"),
                    format!("{}没有此项", kind.zh()),
                    format!("a source of kind `{kind}` has no such field"),
                );
            }
        }
    }

    fn place(self, kind: Kind, faults: &mut Faults<'_>) -> Option<Place> {
        let mut need = |field: &str, value: Option<String>| {
            let value = value.map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
            if value.is_none() {
                faults.at(
                    &format!("source.{field}"),
                    format!("{}需要 `{field}`", kind.zh()),
                    format!("a source of kind `{kind}` needs `{field}`"),
                );
            }
            value
        };
        match kind {
            Kind::Database => {
                let source = need("source", self.source);
                let read = reading(self.table, self.sql, faults);
                Some(Place::Database { source: source?, read: read? })
            }
            Kind::Sqlite => {
                let path = need("path", self.path);
                let read = reading(self.table, self.sql, faults);
                Some(Place::Sqlite { path: path?, read: read? })
            }
            Kind::Http => {
                let url = need("url", self.url);
                let paging = self.paging.map(|p| p.checked(faults)).unwrap_or_default();
                let url = url?;
                if !(url.starts_with("http://") || url.starts_with("https://"))
                    || url.contains(FROM)
                {
                    faults.at(
                        "source.url",
                        "应以 http:// 或 https:// 开头；{from} 与 {to} 请写在 query 中",
                        "begins with http:// or https://; {from} and {to} go into query",
                    );
                }
                Some(Place::Http {
                    url,
                    query: self.query.into_iter().collect(),
                    headers: self.headers.into_iter().collect(),
                    rows_at: self.rows_at.unwrap_or_default(),
                    paging,
                })
            }
            Kind::Folder => {
                let (url, pattern) = (need("url", self.url), need("pattern", self.pattern));
                Some(Place::Folder { url: url?, pattern: pattern? })
            }
            Kind::Kafka => {
                let (brokers, topic) = (need("brokers", self.brokers), need("topic", self.topic));
                Some(Place::Kafka { brokers: brokers?, topic: topic? })
            }
        }
    }
}

fn columns(written: &BTreeMap<String, String>, faults: &mut Faults<'_>) -> Vec<Item> {
    let mut items = Vec::new();
    for (name, kind) in written {
        let field = format!("source.columns.{name}");
        let Some(data_type) = word!(faults, &field, DataType, kind.as_str()) else { continue };
        let mut item = Item::new(name, name, data_type);
        if data_type == DataType::Decimal {
            (item.precision, item.scale) = (28, 8);
        }
        items.push(item);
    }
    items
}

fn reading(table: Option<String>, sql: Option<String>, faults: &mut Faults<'_>) -> Option<Reading> {
    match (table, sql) {
        (Some(table), None) => {
            let parts: Vec<&str> = table.split('.').collect();
            let plain = |part: &&str| {
                !part.is_empty()
                    && !part.contains(['"', '`', '\'', '\\', ';'])
                    && !part.chars().any(char::is_control)
            };
            if parts.len() > 2 || !parts.iter().all(plain) {
                faults.at(
                    "source.table",
                    "请写成 表 或 模式.表（不含引号）",
                    "write table or schema.table, without quotes",
                );
                return None;
            }
            Some(Reading::Table(table))
        }
        (None, Some(sql)) => Some(Reading::Sql(sql)),
        _ => {
            faults.at("source", "请在 table 与 sql 中写一项", "write one of table and sql");
            None
        }
    }
}

impl WrittenPaging {
    fn checked(self, faults: &mut Faults<'_>) -> PagingPart {
        let mut word = |field: &str, value: Option<String>| {
            value.filter(|v| !v.is_empty()).unwrap_or_else(|| {
                faults.at(&format!("source.paging.{field}"), "请填写", "fill this in");
                String::new()
            })
        };
        match self.kind.as_str() {
            "single" => return PagingPart::Single,
            "link" => return PagingPart::Link,
            "token" => {
                return PagingPart::Token {
                    at: word("at", self.at),
                    parameter: word("parameter", self.parameter),
                };
            }
            "page" | "offset" => {}
            _ => {
                faults.at(
                    "source.paging.kind",
                    "应为 single, page, offset, token, link 之一",
                    "one of single, page, offset, token, link",
                );
                return PagingPart::Single;
            }
        }
        let parameter = word("parameter", self.parameter);
        let size_parameter = self.size_parameter.unwrap_or_default();
        let size =
            self.size.and_then(|n| u64::try_from(n).ok()).filter(|n| (1..=100_000).contains(n));
        if size.is_none() {
            faults.at(
                "source.paging.size",
                "每页行数应为 1 到 100000",
                "rows of a page: 1 to 100000",
            );
        }
        let size = size.unwrap_or(1);
        let first = self.first.and_then(|n| u64::try_from(n).ok()).unwrap_or(1);
        match self.kind.as_str() {
            "page" => PagingPart::Page { parameter, size_parameter, size, first },
            _ => PagingPart::Offset { parameter, size_parameter, size },
        }
    }
}

/// What parts of a file must say together.
fn agree(
    mode: SyncMode,
    source: &SourcePart,
    watermark: Option<&Watermark>,
    transformed: bool,
    faults: &mut Faults<'_>,
) {
    if watermark.is_some() && mode == SyncMode::Full {
        faults.at(
            "watermark",
            "全量管道每次替换全部数据，不能设置水位线",
            "a full pipeline replaces everything at each turn: it has no watermark",
        );
    }
    if !transformed && !source.columns.is_empty() {
        faults.at(
            "source.columns",
            "只有设置了 [transform] 才需要声明源列",
            "columns are declared for a [transform] only",
        );
    }
    let sql = match &source.place {
        Place::Database { read: Reading::Sql(sql), .. }
        | Place::Sqlite { read: Reading::Sql(sql), .. } => Some(sql.as_str()),
        _ => None,
    };
    if let Some(sql) = sql {
        bound("source.sql", sql, watermark.is_some(), faults);
    }
    match (&source.place, watermark) {
        (Place::Http { query, .. }, Some(_)) if !query.iter().any(|(_, v)| v.contains(FROM)) => {
            faults.at(
                "source.query",
                "设置了水位线，查询参数中应有 {from}",
                "there is a watermark: a parameter must hold {from}",
            );
        }
        (Place::Http { query, .. }, None) => {
            if query.iter().any(|(_, v)| v.contains(FROM) || v.contains(TO)) {
                faults.at(
                    "source.query",
                    "{from}、{to} 需要 [watermark]",
                    "{from} and {to} need a [watermark]",
                );
            }
        }
        (Place::Folder { .. } | Place::Kafka { .. }, Some(_)) => faults.at(
            "watermark",
            "文件夹与 Kafka 自己记得读到哪里，不能设置水位线",
            "folders and topics know where they stand: they have no watermark",
        ),
        (Place::Kafka { .. }, None) if mode == SyncMode::Full => {
            faults.at("mode", "Kafka 主题只能增量", "a topic is incremental only");
        }
        _ => {}
    }
}

/// `{from}` and `{to}` of a statement.
fn bound(field: &str, sql: &str, marked: bool, faults: &mut Faults<'_>) {
    let has = |word: &str| sql.contains(word);
    if marked && !has(FROM) {
        faults.at(
            field,
            "设置了水位线，语句中应有 {from}（例如 WHERE updated_at >= {from} AND updated_at < {to}）",
            "there is a watermark: the statement must hold {from} (WHERE updated_at >= {from} AND updated_at < {to})",
        );
    }
    if !marked && (has(FROM) || has(TO)) {
        faults.at(field, "{from}、{to} 需要 [watermark]", "{from} and {to} need a [watermark]");
    }
    let quoted = ["'{from}", "{from}'", "'{to}", "{to}'", "\"{from}", "\"{to}"];
    if quoted.iter().any(|q| has(q)) {
        faults.at(
            field,
            "{from}、{to} 两边不要加引号，平台会按类型写成字面量",
            "no quotes around {from} and {to}: they become literals of their type",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
name = "air_hourly"
title = "空气质量小时值"
entry = "air_quality"
mode = "incremental"
after = ["stations"]
max_bad_ratio = 0.01
max_bad_rows = 100

[source]
kind = "database"
source = "环境业务库"
sql = """
SELECT * FROM readings
WHERE updated_at >= {from} AND updated_at < {to}
"""
at_once = 1

[watermark]
column = "updated_at"
type = "datetime"
start = 2013-03-01
late = "2d"

[schedule]
cron = "15 2 * * *"

[retry]
times = 5
first = "30s"
longest = "15m"
"#;

    fn faults(text: &str) -> Vec<(usize, String)> {
        PipelineFile::check(text).unwrap_err().into_iter().map(|f| (f.line, f.field)).collect()
    }

    #[test]
    fn a_whole_file_is_read() {
        let file = PipelineFile::parse(GOOD).unwrap();
        assert_eq!((file.name.as_str(), file.mode), ("air_hourly", SyncMode::Incremental));
        assert_eq!(file.empty, EmptyRule::Warn);
        let mark = file.watermark.unwrap();
        assert_eq!(mark.start.text(), "2013-03-01T00:00:00");
        assert_eq!(mark.late, Step::Time(TimeDelta::days(2)));
        assert!(matches!(file.schedule, Some(Schedule::Cron(_))));
        assert_eq!(file.retry.times, Some(5));
        assert_eq!(file.budget.rows, Some(100));
    }

    #[test]
    fn every_fault_names_its_line_and_field() {
        let text = GOOD
            .replace("max_bad_ratio = 0.01", "max_bad_ratio = 7.0")
            .replace("15 2 * * *", "15 26 * * *")
            .replace("\"datetime\"", "\"moment\"")
            .replace("late = \"2d\"", "late = \"2w\"")
            .replace("first = \"30s\"", "first = \"soon\"");
        let found = faults(&text);
        let field = |line: usize, name: &str| (line, name.to_owned());
        for expected in [
            field(7, "max_bad_ratio"),
            field(21, "watermark.type"),
            field(26, "schedule.cron"),
            field(30, "retry.first"),
        ] {
            assert!(found.contains(&expected), "{expected:?} of {found:?}");
        }
    }

    #[test]
    fn unknown_and_missing_fields_are_told_with_their_line() {
        let [fault] = PipelineFile::check(&GOOD.replace("at_once", "at_onse"))
            .unwrap_err()
            .try_into()
            .unwrap();
        let fault: Fault = fault;
        assert!(fault.line == 16 && fault.zh.contains("不认识的字段 `at_onse`"), "{fault:?}");
        let [fault] =
            PipelineFile::check(&GOOD.replace("mode = ", "# ")).unwrap_err().try_into().unwrap();
        let fault: Fault = fault;
        assert!(fault.zh.contains("缺少字段 `mode`"), "{fault:?}");
        let [fault] = PipelineFile::check("name = \"a\nentry").unwrap_err().try_into().unwrap();
        let fault: Fault = fault;
        assert_eq!(fault.line, 1);
        assert!(PipelineFile::check(&"x".repeat(LONGEST + 1)).is_err());
    }

    #[test]
    fn parts_must_agree() {
        let full = GOOD.replace("mode = \"incremental\"", "mode = \"full\"");
        assert_eq!(faults(&full), [(19, "watermark".to_owned())]);
        let unbound = GOOD.replace("{from}", "1").replace("{to}", "2");
        assert_eq!(faults(&unbound), [(13, "source.sql".to_owned())]);
        let quoted = GOOD.replace("{from}", "'{from}'");
        assert_eq!(faults(&quoted), [(13, "source.sql".to_owned())]);
        let both = GOOD.replace("at_once = 1", "table = \"x\"");
        assert_eq!(faults(&both), [(10, "source".to_owned())]);
        let other = GOOD.replace("at_once = 1", "topic = \"x\"");
        assert_eq!(faults(&other), [(17, "source.topic".to_owned())]);
        let table = |name: &str| {
            let begin = GOOD.find("sql = ").unwrap();
            let end = GOOD.find("at_once").unwrap();
            format!("{}table = \"{name}\"\n{}", &GOOD[..begin], &GOOD[end..])
        };
        assert!(PipelineFile::parse(&table("public.readings")).is_ok());
        for wrong in ["a.b.c", "x`; drop", ""] {
            assert!(PipelineFile::parse(&table(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_budget_tells_when_it_is_used_up() {
        let budget = Budget { ratio: Some(0.1), rows: Some(50) };
        assert!(budget.beyond(100, 10).is_none());
        assert!(budget.beyond(100, 11).unwrap().0.contains("11.00%"));
        assert!(budget.beyond(10_000, 51).unwrap().1.contains("51 rows"));
        assert!(Budget::default().beyond(10, 10).is_none());
        assert!(Budget { ratio: Some(0.0), rows: None }.beyond(10, 1).is_some());
    }
}

//! What stands in a file as it was written, and how it becomes a [`PipelineFile`]: all faults are found, not only the first.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::Deserialize;

use super::{
    Budget, EmptyRule, Faults, Kind, PagingPart, PipelineFile, Place, Reading, Retry, SameTurn,
    SourcePart, Watermark,
};
use crate::code::{DataType, SyncMode};
use crate::item::Item;
use crate::pipeline::schedule::Schedule;
use crate::pipeline::window::{FROM, Mark, MarkKind, Step, TO, duration};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
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
    pub(super) fn checked(self, faults: &mut Faults<'_>) -> Option<PipelineFile> {
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
        (Place::Http { query, .. }, None)
            if query.iter().any(|(_, v)| v.contains(FROM) || v.contains(TO)) =>
        {
            faults.at(
                "source.query",
                "{from}、{to} 需要 [watermark]",
                "{from} and {to} need a [watermark]",
            );
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

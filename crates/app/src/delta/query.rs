//! Questions about a table: its version, its columns, the files of a version, the files of what changed.

use std::sync::Arc;

use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use model::op::china;
use model::{Code, Error, Op, Result};
use policy::port::{LakeVersion, ShareColumn, ShareFile, ShareHints, ShareView};

use super::made::{self, Wanted};
use super::read;
use super::shared::{self, Named, Table, admit, count, find, uncount};
use crate::{App, audit};

/// Context of tokens by which a version's addresses are renewed.
const REFRESH: &str = "delta refresh";

/// A moment of a table: a version, or a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Point {
    pub version: Option<i64>,
    pub timestamp: Option<String>,
}

/// What of a version is asked for.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub at: Point,
    pub hints: ShareHints,
    /// Who is asking: the token's id, bound into the addresses.
    pub by: String,
}

/// Between which moments changes are asked for, both included.
#[derive(Clone, Debug, Default)]
pub struct Span {
    pub from: Point,
    pub to: Point,
    pub by: String,
}

/// A file with its address.
#[derive(Clone, Debug)]
pub struct File {
    pub file: ShareFile,
    /// Path and query behind the door's own address.
    pub address: String,
    pub version: i64,
    /// When that version landed, milliseconds since 1970.
    pub at: i64,
}

/// What happened in a version.
#[derive(Clone, Debug)]
pub struct Change {
    pub file: File,
    /// All rows of the file were added; otherwise it says itself what happened to each.
    pub added: bool,
}

/// The answer to a question about a version.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    pub table: Table,
    /// Newest version, the one asked for, or the first of a span.
    pub version: i64,
    pub columns: Vec<ShareColumn>,
    pub files: Vec<T>,
    /// Of all files of the version, whatever was asked.
    pub bytes: u64,
    pub all_files: u64,
    /// Until when the addresses are good, milliseconds since 1970.
    pub until: i64,
    /// Gives new addresses for the same version.
    pub refresh: String,
}

/// Newest version of a table, or the first one at or after a time; 0 before anything has landed.
pub async fn version(app: &App, op: &Op, named: &Named<'_>, starting: Option<&str>) -> Result<i64> {
    let table = find(app, op, named).await?;
    let versions = app.lake.versions(table.grant.code()).await?;
    match starting {
        None => Ok(versions.first().map_or(0, |v| v.version)),
        Some(text) => Ok(first_from(&versions, time(text)?)?.version),
    }
}

/// Columns of a table in its newest version.
pub async fn metadata(app: &App, op: &Op, named: &Named<'_>) -> Result<Answer<File>> {
    let table = find(app, op, named).await?;
    let version = app.lake.newest(table.grant.code()).await?.map_or(0, |v| v.version);
    let columns = app.lake.share_columns(&table.grant, version).await?;
    Ok(Answer {
        table,
        version,
        columns,
        files: Vec::new(),
        bytes: 0,
        all_files: 0,
        until: 0,
        refresh: String::new(),
    })
}

/// The files of a version.
pub async fn query(
    app: &Arc<App>,
    op: &Op,
    named: &Named<'_>,
    asked: &Asked,
) -> Result<Answer<File>> {
    let table = find(app, op, named).await?;
    let versions = app.lake.versions(table.grant.code()).await?;
    let Some(wanted) = chosen(&versions, &asked.at)? else {
        return metadata(app, op, named).await;
    };
    let _held = admit(app, op, &table).await?;
    count(app, op, &table, 0).await?;
    let view = match made::view(app, op, &table, Wanted::Version(wanted.version)).await {
        Ok(view) => view,
        Err(e) => {
            uncount(app, op, &table);
            return Err(e);
        }
    };
    let (bytes, all_files) = (view.files.iter().map(|f| f.bytes).sum(), view.files.len() as u64);
    let view = app.lake.share_pruned(view, &asked.hints);
    let scope = format!("delta query version={} files={}", view.version, view.files.len());
    told(app, op, &table, &view, &scope).await?;
    let until = read::until(app, op);
    let files = addressed(app, op, &table, &view, (&asked.by, until), at(&wanted))?;
    Ok(Answer {
        refresh: refresh(app, &table, view.version)?,
        version: view.version,
        columns: view.columns,
        table,
        files,
        bytes,
        all_files,
        until,
    })
}

/// What changed, version by version.
pub async fn changes(
    app: &Arc<App>,
    op: &Op,
    named: &Named<'_>,
    span: &Span,
) -> Result<Answer<Change>> {
    let table = find(app, op, named).await?;
    // Newest first.
    let versions = app.lake.versions(table.grant.code()).await?;
    let (first, last) = bounds(&versions, span)?;
    let told_of: Vec<(usize, &LakeVersion)> = versions
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, v)| v.version >= first && v.version <= last)
        .collect();
    let most = app.rules.delta.changes_most;
    if told_of.len() > most {
        return Err(Error::new(
            Code::InvalidQuery,
            format!(
                "一次最多查询 {most} 个版本的变化，请缩小 startingVersion 与 endingVersion 的范围"
            ),
            format!(
                "at most {most} versions are told at once: narrow startingVersion and endingVersion"
            ),
        ));
    }
    let _held = admit(app, op, &table).await?;
    count(app, op, &table, 0).await?;
    let until = read::until(app, op);
    let mut files = Vec::new();
    let mut columns = None;
    for (place, version) in told_of {
        let wanted = match versions.get(place + 1) {
            Some(before) => Wanted::Change { from: before.version, to: version.version },
            None => Wanted::Version(version.version),
        };
        let view = match made::view(app, op, &table, wanted).await {
            Ok(view) => view,
            Err(e) => {
                uncount(app, op, &table);
                return Err(e);
            }
        };
        let added = matches!(wanted, Wanted::Version(_));
        let found = addressed(app, op, &table, &view, (&span.by, until), at(version))?;
        files.extend(found.into_iter().map(|file| Change { file, added }));
        columns = Some(view.columns);
    }
    let columns = match columns {
        Some(columns) => columns,
        None => app.lake.share_columns(&table.grant, last.max(0)).await?,
    };
    let told_view =
        ShareView { id: String::new(), version: last, columns: columns.clone(), files: Vec::new() };
    let scope = format!("delta changes version={first}..{last} files={}", files.len());
    told(app, op, &table, &told_view, &scope).await?;
    let bytes = files.iter().map(|c| c.file.file.bytes).sum();
    Ok(Answer {
        refresh: String::new(),
        version: first,
        columns,
        table,
        all_files: files.len() as u64,
        files,
        bytes,
        until,
    })
}

/// The version that a token to renew addresses speaks of.
pub fn refreshed(app: &App, table: &str, token: &str) -> Result<i64> {
    let bad = || {
        Error::new(
            Code::InvalidQuery,
            "refreshToken 无效或不属于该表，请重新查询",
            "the refreshToken is not valid for this table: query anew",
        )
    };
    let plain = app.keys.vault().open(REFRESH, token).map_err(|_| bad())?;
    let text = std::str::from_utf8(&plain).map_err(|_| bad())?;
    let (code, version) = text.split_once('\n').ok_or_else(bad)?;
    match code.eq_ignore_ascii_case(table) {
        true => version.parse().map_err(|_| bad()),
        false => Err(bad()),
    }
}

fn refresh(app: &App, table: &Table, version: i64) -> Result<String> {
    app.keys.vault().seal(REFRESH, format!("{}\n{version}", table.name).as_bytes())
}

/// The record of a question, made before it is answered.
async fn told(app: &App, op: &Op, table: &Table, view: &ShareView, scope: &str) -> Result<()> {
    let written = audit::record(app, read::event(op, &table.grant, &view.columns, scope)).await;
    if written.is_err() {
        shared::uncount(app, op, table);
    }
    written
}

fn addressed(
    app: &App,
    op: &Op,
    table: &Table,
    view: &ShareView,
    (by, until): (&str, i64),
    at: i64,
) -> Result<Vec<File>> {
    view.files
        .iter()
        .map(|file| {
            Ok(File {
                address: read::address(app, op, table, view, file, (by, until))?,
                file: file.clone(),
                version: view.version,
                at,
            })
        })
        .collect()
}

fn landed(version: &LakeVersion) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(&version.at).ok().map(|t| t.with_timezone(&Utc))
}

fn at(version: &LakeVersion) -> i64 {
    landed(version).map_or(0, |t| t.timestamp_millis())
}

/// A time: RFC 3339, or civil time in China as `yyyy-[m]m-[d]d hh:mm:ss[.f…]`.
fn time(text: &str) -> Result<DateTime<Utc>> {
    let text = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.with_timezone(&Utc));
    }
    let civil = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .and_then(|t| china().from_local_datetime(&t).single());
    civil.map(|t| t.with_timezone(&Utc)).ok_or_else(|| {
        let text: String = text.chars().take(40).collect();
        Error::new(
            Code::InvalidQuery,
            format!("时间 `{text}` 无法识别，应为 RFC 3339 或 yyyy-mm-dd hh:mm:ss"),
            format!("the time `{text}` is neither RFC 3339 nor yyyy-mm-dd hh:mm:ss"),
        )
    })
}

fn no_version(what: &str) -> Error {
    let what: String = what.chars().take(40).collect();
    Error::new(
        Code::InvalidQuery,
        format!("没有版本 `{what}`：版本号须在已有版本之间，时间不得早于第一个版本或晚于最新版本"),
        format!(
            "there is no version `{what}`: name one that exists, or a time between the first and the newest"
        ),
    )
}

/// The first version at or after a time; versions come newest first.
fn first_from(versions: &[LakeVersion], time: DateTime<Utc>) -> Result<&LakeVersion> {
    let found = versions.iter().rev().find(|v| landed(v).is_some_and(|at| at >= time));
    found.ok_or_else(|| no_version(&time.to_rfc3339()))
}

/// The last version at or before a time.
fn last_until(versions: &[LakeVersion], time: DateTime<Utc>) -> Result<&LakeVersion> {
    let found = versions.iter().find(|v| landed(v).is_some_and(|at| at <= time));
    found.ok_or_else(|| no_version(&time.to_rfc3339()))
}

/// The version that is asked for; a number between two parcels (maintenance) shows what the parcel before it does. `None`:
/// nothing has landed.
fn chosen(versions: &[LakeVersion], at: &Point) -> Result<Option<LakeVersion>> {
    let newest = versions.first();
    match (at.version, &at.timestamp) {
        (Some(_), Some(_)) => Err(Error::new(
            Code::InvalidQuery,
            "version 与 timestamp 只能给出一个",
            "give either `version` or `timestamp`",
        )),
        (None, None) => Ok(newest.cloned()),
        (Some(version), None) => {
            let known = newest.is_some_and(|n| version <= n.version);
            let found = versions.iter().find(|v| known && v.version <= version);
            found.cloned().map(Some).ok_or_else(|| no_version(&version.to_string()))
        }
        (None, Some(text)) => last_until(versions, time(text)?).cloned().map(Some),
    }
}

/// First and last version of a span.
fn bounds(versions: &[LakeVersion], span: &Span) -> Result<(i64, i64)> {
    let newest = versions.first().map_or(-1, |v| v.version);
    let first = match (span.from.version, &span.from.timestamp) {
        (Some(version), None) => version,
        (None, Some(text)) => first_from(versions, time(text)?)?.version,
        _ => {
            return Err(Error::new(
                Code::InvalidQuery,
                "须给出 startingVersion 或 startingTimestamp（其中之一）",
                "give either `startingVersion` or `startingTimestamp`",
            ));
        }
    };
    let last = match (span.to.version, &span.to.timestamp) {
        (None, None) => newest,
        (Some(version), None) => version,
        (None, Some(text)) => last_until(versions, time(text)?)?.version,
        _ => {
            return Err(Error::new(
                Code::InvalidQuery,
                "endingVersion 与 endingTimestamp 只能给出一个",
                "give either `endingVersion` or `endingTimestamp`",
            ));
        }
    };
    if first < 0 || first > newest {
        return Err(no_version(&first.to_string()));
    }
    if last < first || last > newest {
        return Err(no_version(&last.to_string()));
    }
    Ok((first, last))
}

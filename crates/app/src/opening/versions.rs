//! Versions of an open set's rows: what each brought, how many rows it has, and what two of them differ in.

use futures::StreamExt;
use model::audit::AuditEvent;
use model::batch::Operation;
use model::{Code, Error, Op, Result};
use policy::Action;
use policy::port::{ChangeSpan, LakeVersion};
use serde::Serialize;

use super::{grant, open_entry};
use crate::{App, audit};

/// One version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Version {
    pub version: i64,
    pub at: String,
    /// `full` or `incremental`
    pub mode: String,
    /// Rows it brought.
    pub brought: u64,
    /// Rows it has in all, where that is known without reading it.
    pub rows: Option<u64>,
    /// First twelve characters of its parcel's id.
    pub parcel: String,
}

/// One row that two versions differ in: of a removed one only the key is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// `I`, `U` or `D`.
    pub operation: &'static str,
    pub cells: Vec<Option<String>>,
}

/// What two versions differ in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VersionDifference {
    pub from: i64,
    pub to: i64,
    pub inserted: u64,
    pub updated: u64,
    pub deleted: u64,
    /// Counting ended at the limit: there are more.
    pub more: bool,
    pub columns: Vec<String>,
    pub rows: Vec<Changed>,
}

/// Versions of a freely open set, newest first.
pub async fn versions(app: &App, op: &Op, code: &str) -> Result<Vec<Version>> {
    let entry = open_entry(app, code).await?;
    // What landed is told to whoever may look at the rows.
    let _looking = grant(app, op, &entry, Action::RowsPreview, 1).await?;
    let found = landed(app, &entry.draft.code).await?;
    let listed = app.rules.site.versions.listed;
    let newest = found.first().map(|v| v.version);
    let present = u64::try_from(entry.rows).ok();
    Ok(found
        .into_iter()
        .take(listed)
        .map(|v| Version {
            // A whole landing is all there is; what a change makes of it only the present state says.
            rows: match v.mode.as_str() {
                "full" => Some(v.rows),
                _ if Some(v.version) == newest => present,
                _ => None,
            },
            version: v.version,
            at: v.at,
            brought: v.rows,
            mode: v.mode,
            parcel: v.parcel.chars().take(12).collect(),
        })
        .collect())
}

/// Versions that hold a parcel, newest first.
async fn landed(app: &App, code: &str) -> Result<Vec<LakeVersion>> {
    match app.lake.versions(code).await {
        Ok(all) => Ok(all.into_iter().filter(|v| !v.parcel.is_empty()).collect()),
        Err(e) if e.code() == Code::NotFound => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}

/// What two versions of a freely open set differ in, row by row; audited as a release.
pub async fn differences(
    app: &App,
    op: &Op,
    code: &str,
    from: i64,
    to: i64,
) -> Result<VersionDifference> {
    let rules = &app.rules.site.versions;
    let entry = open_entry(app, code).await?;
    // Whoever may have both versions whole may be told what they differ in.
    let grant = grant(app, op, &entry, Action::RowsDownload, u64::MAX).await?;
    let known = landed(app, &entry.draft.code).await?;
    for version in [from, to] {
        if !known.iter().any(|v| v.version == version) {
            return Err(Error::not_found("数据版本", "data version", &version.to_string()));
        }
    }
    if from >= to {
        return Err(Error::new(
            Code::InvalidQuery,
            "前一个版本应早于后一个版本",
            "the first version must be older than the second",
        ));
    }
    if entry.rows > rules.rows {
        return Err(Error::new(
            Code::TooLarge,
            format!("数据超过 {} 行，不在网页上比较；请下载两个版本后比较", rules.rows),
            format!(
                "more than {} rows are not compared on a page: download both versions",
                rules.rows
            ),
        ));
    }
    let span = ChangeSpan { from: Some(from), to, after: None };
    let mut changes = app.lake.changes(&grant, &span).await?;
    let mut told = VersionDifference {
        from,
        to,
        inserted: 0,
        updated: 0,
        deleted: 0,
        more: false,
        columns: grant.columns().iter().map(|c| c.identifier.clone()).collect(),
        rows: Vec::new(),
    };
    let mut counted = 0;
    'reading: while let Some(piece) = changes.next().await {
        let piece = piece?;
        for (operation, row) in piece.operations.iter().zip(&piece.rows.rows) {
            if counted >= rules.counted {
                told.more = true;
                break 'reading;
            }
            counted += 1;
            match operation {
                Operation::Insert => told.inserted += 1,
                Operation::Update => told.updated += 1,
                Operation::Delete => told.deleted += 1,
            }
            if told.rows.len() < rules.shown {
                // The first column names the row for a receiver of changes; nobody here needs it.
                let cells = row.iter().skip(1).map(model::value::Value::to_text).collect();
                told.rows.push(Changed { operation: operation.as_str(), cells });
            }
        }
    }
    let event = AuditEvent {
        columns: told.columns.join(","),
        level: grant.grade().as_str().to_owned(),
        scope: format!("version {from}..{to}"),
        rows: u64::try_from(told.rows.len()).unwrap_or(u64::MAX),
        purpose: grant.purpose().to_owned(),
        masks: grant.masks_text(),
        ..audit::event(op, Action::RowsPreview.as_str(), grant.code())
    };
    audit::record(app, event).await?;
    Ok(told)
}

//! Ledgers as CSV or XLSX files: one row per asset, headers in Chinese (or the field keys). An import reports every
//! row in one pass; what is good goes in only when the person says so.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use model::asset::{AssetFilter, Ledger};
use model::audit::AuditEvent;
use model::{Error, FieldError, Op, Result};
use policy::{Action, Target};

use super::intake::{self, IntakeReport, RawRow};
use super::rules::{COMMON, LedgerRule};
use super::{org_names, rules};
use crate::catalogue::SheetFormat;
use crate::catalogue::sheet::table;
use crate::{App, audit};

/// What the person says of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// Report only.
    Nothing,
    /// Write all rows, or none when one has a fault.
    WhenAllGood,
    /// Write the good rows and leave the others.
    GoodRows,
}

/// Reads a file of one ledger and reports on every row; writes what `accept` says.
pub async fn import(
    app: &App,
    op: &Op,
    ledger: Ledger,
    path: &Path,
    name: &str,
    accept: Accept,
) -> Result<IntakeReport> {
    let target = Target {
        region: op.actor.region().map(str::to_owned),
        ..Target::of_org("Asset", ledger.as_str(), op.actor.org().unwrap_or_default())
    };
    audit::permit(app, op, Action::AssetImport, &target).await?;
    let rules = rules(app, op)?;
    let rule = rules.of(ledger)?;
    let (path, file) = (path.to_owned(), name.to_owned());
    let most = table::Most {
        bytes: rules.import.bytes,
        unpacked: rules.import.bytes.saturating_mul(8),
        rows: rules.import.rows,
        cells: rules.import.rows.saturating_mul(40),
    };
    let cells = tokio::task::spawn_blocking(move || table::read(&path, &file, &most))
        .await
        .map_err(|e| Error::internal("the reading task ended").caused_by(e))??;
    let mut rows = cells.into_iter();
    let header = rows.next().map(|(_, cells)| cells).unwrap_or_default();
    let columns = match columns(&header, rule) {
        Ok(columns) => columns,
        Err(faults) => return Ok(IntakeReport { faults, ..IntakeReport::of(ledger) }),
    };
    let raw = rows.map(|(n, cells)| RawRow {
        place: format!("rows[{n}]"),
        given: columns
            .iter()
            .map(|(i, key)| ((*key).to_owned(), cells.get(*i).cloned().unwrap_or_default()))
            .collect::<BTreeMap<_, _>>(),
    });
    let mut plan = intake::plan(app, op, ledger, raw.collect()).await?;
    let write = match accept {
        Accept::Nothing => false,
        Accept::WhenAllGood => plan.report.faults.is_empty(),
        Accept::GoodRows => true,
    };
    if write {
        intake::write(app, op, &mut plan, name).await?;
    }
    Ok(plan.report)
}

/// Which cell holds which column.
fn columns<'a>(
    header: &[String],
    rule: &'a LedgerRule,
) -> std::result::Result<Vec<(usize, &'a str)>, Vec<FieldError>> {
    let mut out: Vec<(usize, &str)> = Vec::new();
    let mut faults = Vec::new();
    let mut say = |h: &str, zh: String, en: String| {
        faults.push(FieldError { field: format!("headings.{h}"), zh, en });
    };
    for (i, h) in header.iter().enumerate() {
        let h = h.trim_start_matches('\u{feff}').trim();
        if h.is_empty() {
            continue;
        }
        let is = |key: &str, zh: &str, en: &str| {
            h == zh || h.eq_ignore_ascii_case(key) || h.eq_ignore_ascii_case(en)
        };
        let common = COMMON.iter().find(|(k, zh, en)| is(k, zh, en)).map(|(k, _, _)| *k);
        let own = rule.field.iter().find(|f| is(&f.key, &f.zh, &f.en)).map(|f| f.key.as_str());
        match common.or(own) {
            Some(key) if out.iter().any(|(_, k)| *k == key) => {
                say(h, "列标题重复".into(), "this header stands twice".into());
            }
            Some(key) => out.push((i, key)),
            None => {
                let all: Vec<&str> = COMMON
                    .iter()
                    .map(|(_, zh, _)| *zh)
                    .chain(rule.field.iter().map(|f| f.zh.as_str()))
                    .collect();
                say(
                    h,
                    format!("不认识的列标题，可用：{}", all.join("、")),
                    "unknown header, use those of an exported file".into(),
                );
            }
        }
    }
    if header.iter().all(|h| h.trim().is_empty()) {
        say(
            "—",
            "文件是空的，第一行应为列标题".into(),
            "the file is empty: the first row holds the headers".into(),
        );
    } else if !out.iter().any(|(_, k)| *k == "code") {
        say("编号", "缺少列“编号”".into(), "the column `编号` (code) is missing".into());
    }
    if faults.is_empty() { Ok(out) } else { Err(faults) }
}

/// A ledger as a file; imported again it changes nothing.
pub async fn export(
    app: &App,
    op: &Op,
    filter: &AssetFilter,
    format: SheetFormat,
) -> Result<Vec<u8>> {
    let ledger = filter
        .ledger
        .ok_or_else(|| Error::invalid("请选择要导出的台账", "choose the ledger to export"))?;
    let target = Target { org: filter.org.clone(), ..Target::plain("Asset", ledger.as_str()) };
    audit::permit(app, op, Action::AssetExport, &target).await?;
    let rule = rules(app, op)?.of(ledger)?;
    let names = org_names(app).await?;
    let mut rows = vec![header(rule)];
    let mut ask = AssetFilter { limit: 1000, after: None, ..filter.clone() };
    loop {
        let page = app.store.asset_list(&ask).await?;
        let Some(last) = page.last() else { break };
        ask.after = Some(last.id.clone());
        rows.extend(page.iter().map(|a| cells(a, rule, &names)));
    }
    let count = u64::try_from(rows.len() - 1).unwrap_or(0);
    let event = AuditEvent { rows: count, ..audit::event(op, "asset.export", ledger.as_str()) };
    audit::record(app, event).await?;
    tokio::task::spawn_blocking(move || table::write(format, &rows))
        .await
        .map_err(|e| Error::internal("the writing task ended").caused_by(e))?
}

pub(super) fn header(rule: &LedgerRule) -> Vec<String> {
    COMMON
        .iter()
        .map(|(_, zh, _)| (*zh).to_owned())
        .chain(rule.field.iter().map(|f| f.zh.clone()))
        .collect()
}

pub(super) fn cells(
    asset: &model::asset::Asset,
    rule: &LedgerRule,
    names: &HashMap<String, String>,
) -> Vec<String> {
    let d = &asset.draft;
    let state = rule.state(&asset.state).map_or(asset.state.as_str(), |s| s.zh.as_str());
    let org_name = names.get(&d.org).map_or("", String::as_str);
    let common = [&d.code, &d.name, &d.org, &d.region];
    common
        .into_iter()
        .map(String::as_str)
        .chain([state, d.owner.as_str(), d.description.as_str(), org_name])
        .map(str::to_owned)
        .chain(rule.field.iter().map(|f| d.field(&f.key).to_owned()))
        .collect()
}

/// Keeps an uploaded file until the person has read the report and says yes; the token is good for them only.
pub async fn hold(app: &App, op: &Op, path: &Path) -> Result<String> {
    let token = op.new_id();
    let place = held(app, op, &token)?;
    let failed = |e: std::io::Error| Error::internal("the file could not be kept").caused_by(e);
    if let Some(folder) = place.parent() {
        tokio::fs::create_dir_all(folder).await.map_err(failed)?;
        forget_old(folder).await;
    }
    tokio::fs::copy(path, &place).await.map_err(failed)?;
    Ok(token)
}

/// Imports a held file's good rows: the person has read the report.
pub async fn accept_held(
    app: &App,
    op: &Op,
    ledger: Ledger,
    token: &str,
    name: &str,
) -> Result<IntakeReport> {
    let place = held(app, op, token)?;
    if !tokio::fs::try_exists(&place).await.unwrap_or(false) {
        return Err(Error::not_found(
            "待确认的文件（可能已过期，请重新上传）",
            "the held file (upload it again)",
            token,
        ));
    }
    let report = import(app, op, ledger, &place, name, Accept::GoodRows).await?;
    if let Err(e) = tokio::fs::remove_file(&place).await {
        tracing::warn!(error = %e, "a held file could not be removed");
    }
    Ok(report)
}

fn held(app: &App, op: &Op, token: &str) -> Result<PathBuf> {
    let plain =
        |t: &str| !t.is_empty() && t.len() <= 64 && t.bytes().all(|b| b.is_ascii_alphanumeric());
    let who: String = op.actor.id().chars().filter(char::is_ascii_alphanumeric).collect();
    if !plain(token) || !plain(&who) {
        return Err(Error::not_found("待确认的文件", "held file", "?"));
    }
    Ok(app.folders.inbox.join("ledger").join(format!("{who}-{token}")))
}

/// Held files that nobody came back for within a day go.
async fn forget_old(folder: &Path) {
    let Ok(mut entries) = tokio::fs::read_dir(folder).await else { return };
    while let Ok(Some(entry)) = entries.next_entry().await {
        let old = entry
            .metadata()
            .await
            .ok()
            .and_then(|m| m.modified().ok())
            .and_then(|t| t.elapsed().ok())
            .is_some_and(|age| age.as_secs() > 86_400);
        if old {
            let _gone_already = tokio::fs::remove_file(entry.path()).await;
        }
    }
}

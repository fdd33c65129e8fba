//! Quarantine: rows that did not fit are looked at, mended or given up; `replay` reads them again. Nothing is dropped.
//!
//! A row's cells are kept with the identifiers of the items they belong to, and laid out by the entry's items of today
//! whenever they are shown, mended or read again: an entry may change between.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use model::audit::AuditEvent;
use model::entry::Entry;
use model::item::Item;
use model::parcel::Quarantined;
use model::{Code, Error, Op, Result};
use policy::Action;

use super::{allowed, known};
use crate::{App, Page, audit};

/// Quarantined rows of a run, in order, their cells in the order of the entry's items. Their values are raw: looking is
/// recorded.
pub async fn quarantine(
    app: &App,
    op: &Op,
    run: &str,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<Quarantined>> {
    let record = known(app, op, run).await?;
    let entry = entry_of(app, &record.run.entry).await?;
    allowed(app, op, Action::QuarantineRead, &entry).await?;
    let limit = if limit == 0 { 50 } else { limit.min(999) };
    let rows = app.store.quarantine_list(run, None, after, limit + 1).await?;
    let rows = rows.into_iter().map(|row| row.laid_out(&entry.draft.items)).collect();
    let rows = Page::cut(rows, limit, |q: &Quarantined| q.id.clone());
    looked(app, op, &entry, run, rows.items.len()).await?;
    Ok(rows)
}

/// All quarantined rows of a run as CSV: record, line, column, value, reason, state, operation, then the cells by item.
/// It is written while it is read, page by page, so that its size does not matter. Looking is recorded first.
pub async fn quarantine_csv(
    app: &Arc<App>,
    op: &Op,
    run: &str,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    let record = known(app, op, run).await?;
    let entry = entry_of(app, &record.run.entry).await?;
    allowed(app, op, Action::QuarantineRead, &entry).await?;
    let mut rows = 0;
    for state in ["open", "replayed", "dismissed"] {
        rows += app.store.quarantine_count(run, state).await?;
    }
    looked(app, op, &entry, run, usize::try_from(rows).unwrap_or(usize::MAX)).await?;
    let (app, run, items) = (Arc::clone(app), run.to_owned(), entry.draft.items);
    let head = futures::stream::once(std::future::ready(csv_head(&items)));
    let pages = futures::stream::try_unfold(String::new(), move |after| {
        let (app, run, items) = (Arc::clone(&app), run.clone(), items.clone());
        async move {
            let after = Some(after.as_str()).filter(|id| !id.is_empty());
            let rows = app.store.quarantine_list(&run, None, after, CSV_ROWS).await?;
            let Some(last) = rows.last().map(|row| row.id.clone()) else { return Ok(None) };
            Ok(Some((csv_rows(rows, &items)?, last)))
        }
    });
    Ok(head.chain(pages).boxed())
}

/// Rows of one piece of a CSV.
const CSV_ROWS: u32 = 500;

pub(super) fn csv_head(items: &[Item]) -> Result<Bytes> {
    let fixed = ["记录", "行", "数据项", "值", "原因", "reason", "状态", "操作"];
    let names = items.iter().map(|item| item.identifier.as_str());
    // Spreadsheet programs take a file for UTF-8 by this mark.
    csv("\u{feff}".as_bytes().to_vec(), |writer| {
        writer.write_record(fixed.into_iter().chain(names))
    })
}

pub(super) fn csv_rows(rows: Vec<Quarantined>, items: &[Item]) -> Result<Bytes> {
    csv(Vec::new(), |writer| {
        for row in rows {
            let row = row.laid_out(items);
            let r = &row.reject;
            let (record, line) = (r.record.to_string(), r.line.to_string());
            let operation = r.operation.as_deref().unwrap_or_default();
            let fixed =
                [&record, &line, &r.column, &r.value, &r.zh, &r.en, &row.state].map(String::as_str);
            let cells = r.cells.iter().map(|cell| cell.as_deref().unwrap_or_default());
            writer.write_record(fixed.into_iter().chain([operation]).chain(cells))?;
        }
        Ok(())
    })
}

fn csv(
    start: Vec<u8>,
    write: impl FnOnce(&mut csv::Writer<Vec<u8>>) -> std::result::Result<(), csv::Error>,
) -> Result<Bytes> {
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(start);
    write(&mut writer).map_err(|e| Error::internal("writing CSV").caused_by(e))?;
    let bytes = writer.into_inner().map_err(|e| Error::internal(format!("writing CSV: {e}")))?;
    Ok(bytes.into())
}

pub(super) async fn looked(
    app: &App,
    op: &Op,
    entry: &Entry,
    run: &str,
    rows: usize,
) -> Result<()> {
    let event = AuditEvent {
        rows: rows as u64,
        level: entry.grade.as_str().to_owned(),
        scope: format!("run={run}"),
        ..audit::event(op, "quarantine.read", &entry.draft.code)
    };
    audit::record(app, event).await
}

pub(super) async fn entry_of(app: &App, id: &str) -> Result<Entry> {
    app.store.entry_get(id).await?.ok_or_else(|| Error::not_found("目录", "entry", id))
}

/// One open row with its entry, for someone who may change it.
async fn open_row(
    app: &App,
    op: &Op,
    id: &str,
) -> Result<(Quarantined, Entry, policy::Permit, Alone)> {
    let missing = || Error::not_found("隔离行", "quarantined row", id);
    let row = app.store.quarantine_get(id).await?.ok_or_else(missing)?;
    let entry = entry_of(app, &row.entry).await?;
    let permit = allowed(app, op, Action::QuarantineMend, &entry).await?;
    let alone = app.collections.lock_of(&replaying(&row.run)).lock_owned().await;
    // A replay that has just ended may have changed it.
    let row = app.store.quarantine_get(id).await?.ok_or_else(missing)?;
    if row.state != "open" {
        return Err(not_open());
    }
    Ok((row, entry, permit, alone))
}

/// Held while rows of a run are changed: a replay and a mend of the same row do not cross.
type Alone = tokio::sync::OwnedMutexGuard<()>;

pub(super) fn replaying(run: &str) -> String {
    format!("replay:{run}")
}

fn not_open() -> Error {
    Error::new(
        Code::WrongState,
        "该行已重放或已放弃，不能再修改",
        "the row was replayed or dismissed already and cannot be changed",
    )
}

/// Puts mended cells in place of a quarantined row's (it stays open until replayed). `operation`, when given, replaces what
/// the source said had happened to the row: `I`, `U` or `D`.
pub async fn mend(
    app: &App,
    op: &Op,
    id: &str,
    cells: Vec<Option<String>>,
    operation: Option<String>,
) -> Result<Quarantined> {
    let (mut row, entry, permit, _alone) = open_row(app, op, id).await?;
    let items = entry.draft.items.len();
    if cells.len() != items {
        return Err(Error::invalid(
            format!(
                "应给出 {items} 个单元格（每个数据项一个，按目录中的顺序），现有 {} 个",
                cells.len()
            ),
            format!(
                "give {items} cells, one per data item in the entry's order; there are {}",
                cells.len()
            ),
        ));
    }
    row.reject.cells = cells;
    row.items = entry.draft.items.iter().map(|item| item.identifier.clone()).collect();
    if let Some(said) = operation {
        row.reject.operation = Some(said.trim().to_owned()).filter(|word| !word.is_empty());
    }
    if app.store.quarantine_update(&permit, std::slice::from_ref(&row)).await? == 0 {
        return Err(not_open());
    }
    changed(app, op, "quarantine.mend", &entry, &row, "").await?;
    Ok(row)
}

/// Gives a quarantined row up, with a reason in the audit.
pub async fn dismiss(app: &App, op: &Op, id: &str, reason: &str) -> Result<()> {
    let (mut row, entry, permit, _alone) = open_row(app, op, id).await?;
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(Error::invalid("请填写放弃该行的原因", "say why the row is given up").field(
            "reason",
            "请填写原因",
            "give a reason",
        ));
    }
    "dismissed".clone_into(&mut row.state);
    if app.store.quarantine_update(&permit, std::slice::from_ref(&row)).await? == 0 {
        return Err(not_open());
    }
    changed(app, op, "quarantine.dismiss", &entry, &row, reason).await
}

async fn changed(
    app: &App,
    op: &Op,
    action: &str,
    entry: &Entry,
    row: &Quarantined,
    reason: &str,
) -> Result<()> {
    let event = AuditEvent {
        rows: 1,
        reason: reason.to_owned(),
        scope: format!("row={}", row.id),
        ..audit::event(op, action, &entry.draft.code)
    };
    audit::record(app, event).await
}

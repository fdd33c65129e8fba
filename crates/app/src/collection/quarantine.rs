//! Quarantine: rows that did not fit are looked at, mended, read again and landed, or given up. Nothing is dropped.

use std::sync::Arc;

use futures::StreamExt;
use guard::hash::sha256_hex;
use model::audit::AuditEvent;
use model::batch::Batch;
use model::code::SyncMode;
use model::entry::Entry;
use model::parcel::{ParcelHead, Quarantined, Reject, Run, RunState};
use model::{Code, Error, Op, Result};
use policy::Action;
use policy::port::{LandTarget, ReadOptions, Source};

use super::resume::{Kept, Options, Resume, Slice};
use super::work::{self, Job};
use super::{allowed, known, page, serve};
use crate::{App, Page, audit};

/// Rows of a replay that land together.
const SLICE: u32 = 1000;

/// Quarantined rows of a run, in order. Their values are raw: looking is recorded.
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
    let rows = page(rows, limit, |q| q.id.clone());
    looked(app, op, &entry, run, rows.items.len()).await?;
    Ok(rows)
}

/// All quarantined rows of a run as CSV: record, line, column, value, reason, state, then the cells by item.
pub async fn quarantine_csv(app: &App, op: &Op, run: &str) -> Result<Vec<u8>> {
    let record = known(app, op, run).await?;
    let entry = entry_of(app, &record.run.entry).await?;
    allowed(app, op, Action::QuarantineRead, &entry).await?;
    // Spreadsheet programs take a file for UTF-8 by this mark.
    let mut writer =
        csv::WriterBuilder::new().flexible(true).from_writer("\u{feff}".as_bytes().to_vec());
    let broken = |e: csv::Error| Error::internal("writing CSV").caused_by(e);
    let mut head: Vec<&str> = vec!["记录", "行", "数据项", "值", "原因", "reason", "状态"];
    head.extend(entry.draft.items.iter().map(|i| i.identifier.as_str()));
    writer.write_record(&head).map_err(broken)?;
    let (mut after, mut count) = (None, 0);
    loop {
        let rows = app.store.quarantine_list(run, None, after.as_deref(), 1000).await?;
        let Some(last) = rows.last() else { break };
        after = Some(last.id.clone());
        count += rows.len();
        for q in &rows {
            let (record, line) = (q.reject.record.to_string(), q.reject.line.to_string());
            let r = &q.reject;
            let fixed = [&record, &line, &r.column, &r.value, &r.zh, &r.en, &q.state];
            let cells = r.cells.iter().map(|c| c.as_deref().unwrap_or_default());
            writer
                .write_record(fixed.into_iter().map(String::as_str).chain(cells))
                .map_err(broken)?;
        }
    }
    looked(app, op, &entry, run, count).await?;
    writer.into_inner().map_err(|e| Error::internal(format!("writing CSV: {e}")))
}

async fn looked(app: &App, op: &Op, entry: &Entry, run: &str, rows: usize) -> Result<()> {
    let event = AuditEvent {
        rows: rows as u64,
        level: entry.grade.as_str().to_owned(),
        scope: format!("run={run}"),
        ..audit::event(op, "quarantine.read", &entry.draft.code)
    };
    audit::record(app, event).await
}

async fn entry_of(app: &App, id: &str) -> Result<Entry> {
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

fn replaying(run: &str) -> String {
    format!("replay:{run}")
}

fn not_open() -> Error {
    Error::new(
        Code::WrongState,
        "该行已重放或已放弃，不能再修改",
        "the row was replayed or dismissed already and cannot be changed",
    )
}

/// Puts mended cells in place of a quarantined row's (it stays open until replayed).
pub async fn mend(app: &App, op: &Op, id: &str, cells: Vec<Option<String>>) -> Result<Quarantined> {
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

/// Reads the open quarantined rows of a run again and lands those that fit now; the rest stays, with its new reason.
/// The answer is a run of its own. Refused when a later full collection has replaced the run's rows.
pub async fn replay(app: &Arc<App>, op: &Op, run: &str) -> Result<Run> {
    let record = known(app, op, run).await?;
    let entry = entry_of(app, &record.run.entry).await?;
    let permit = allowed(app, op, Action::QuarantineMend, &entry).await?;
    let collect = allowed(app, op, Action::DataCollect, &entry).await?;
    if app.store.quarantine_count(run, "open").await? == 0 {
        return Err(Error::new(
            Code::WrongState,
            "该任务没有待处理的隔离行",
            "the run has no open quarantined rows",
        ));
    }
    superseded(app, &entry, &record.run).await?;
    let new = work::blank_run(app, op, &entry, SyncMode::Incremental, "replay", &record.run.source);
    let source = Kept::Replay { of: run.to_owned(), slice: None };
    let resume = Resume { source, options: Options::default(), committing: false };
    work::keep(app, op, &permit, &entry, &new, &resume).await?;
    let job = Job {
        op: op.clone(),
        run: new,
        resume,
        permit: Arc::new(permit),
        collect: Arc::new(collect),
    };
    tokio::spawn(guarded(Arc::clone(app), job))
        .await
        .map_err(|e| Error::internal("the replay's task ended early").caused_by(e))
}

/// Rows set aside from a parcel that a later full one replaced must not come back.
async fn superseded(app: &App, entry: &Entry, run: &Run) -> Result<()> {
    let Some(version) = run.version else { return Ok(()) };
    let versions = app.lake.versions(&entry.draft.code).await?;
    let Some(later) =
        versions.iter().find(|v| v.version > version && v.mode == SyncMode::Full.as_str())
    else {
        return Ok(());
    };
    Err(Error::new(
        Code::WrongState,
        format!(
            "版本 {} 的全量归集已替换该任务的数据，旧的隔离行不能再入湖；请在新的任务中处理，或放弃这些行",
            later.version
        ),
        format!(
            "the full collection of version {} has replaced this run's data; its rows can no longer be landed: see the newer run, or dismiss them",
            later.version
        ),
    ))
}

/// Does a replay whatever happens and answers its run as it ended.
pub(super) async fn guarded(app: Arc<App>, mut job: Job) -> Run {
    let of = match &job.resume.source {
        Kept::Replay { of, .. } => of.clone(),
        _ => String::new(),
    };
    let _rows = app.collections.lock_of(&replaying(&of)).lock_owned().await;
    let _alone = app.collections.lock_of(&job.run.entry).lock_owned().await;
    let outcome = match slices(&app, &mut job).await {
        Ok(()) => job.run,
        Err(error) => work::failed(&app, &job.op, &job.permit, job.run, error).await,
    };
    app.collections.show(&outcome);
    app.collections.end(&outcome.id);
    outcome
}

async fn slices(app: &Arc<App>, job: &mut Job) -> Result<()> {
    let entry = entry_of(app, &job.run.entry).await?;
    job.run.state = RunState::Running;
    let Kept::Replay { of, slice } = job.resume.source.clone() else {
        return Err(Error::internal("a replay without a run"));
    };
    // A slice that was being landed when the process died comes first, exactly as it was.
    let mut after = None;
    let mut last: Option<(String, i64)> = None;
    if let Some(slice) = slice {
        let mut rows: Vec<Quarantined> =
            app.store.quarantine_get(&slice.first).await?.into_iter().collect();
        rows.extend(app.store.quarantine_list(&of, None, Some(&slice.first), SLICE).await?);
        rows.retain(|q| q.state == "open" && q.id <= slice.last);
        if !rows.is_empty() {
            last = one_slice(app, job, &entry, &of, rows, Some(slice.parcel)).await?;
        }
        after = Some(slice.last);
    }
    loop {
        let rows = app.store.quarantine_list(&of, Some("open"), after.as_deref(), SLICE).await?;
        let Some(end) = rows.last() else { break };
        after = Some(end.id.clone());
        last = one_slice(app, job, &entry, &of, rows, None).await?.or(last);
    }
    if let Some((parcel, version)) = last {
        job.run.version = Some(version);
        serve::settle(app, &job.op, &job.collect, &entry, SyncMode::Incremental, &parcel, version)
            .await?;
    }
    if job.run.quarantined > 0 {
        job.run.message_zh =
            format!("仍有 {} 行不符合要求，留在原任务的隔离区", job.run.quarantined);
        job.run.message_en = format!(
            "{} rows still do not fit and stay in the run's quarantine",
            job.run.quarantined
        );
    }
    work::end(app, job, &entry, RunState::Succeeded).await
}

/// Identity of a slice: the rows with their cells, and the items they are read by.
fn parcel_of(entry: &Entry, rows: &[Quarantined]) -> Result<String> {
    let cells: Vec<_> = rows.iter().map(|q| (&q.id, &q.reject.cells)).collect();
    let text = serde_json::to_string(&cells)
        .map_err(|e| Error::internal("naming a slice").caused_by(e))?;
    super::resume::parcel_id(
        entry,
        SyncMode::Incremental,
        &sha256_hex(text.as_bytes()),
        &Options::default(),
    )
}

/// Lands what fits of one slice; answers its parcel and version when anything did.
async fn one_slice(
    app: &Arc<App>,
    job: &mut Job,
    entry: &Entry,
    of: &str,
    rows: Vec<Quarantined>,
    parcel: Option<String>,
) -> Result<Option<(String, i64)>> {
    let read = rows.len() as u64;
    let parcel = match parcel {
        Some(parcel) => parcel,
        None => parcel_of(entry, &rows)?,
    };
    let (batches, rejects) = read_again(app, entry, &job.run.source, &rows).await?;
    let accepted = batches.iter().map(|b| b.rows() as u64).sum::<u64>();
    if accepted + rejects.len() as u64 != read {
        return Err(Error::internal(format!(
            "read {read} rows again but got {accepted} and {}",
            rejects.len()
        )));
    }
    let mut landed = None;
    if accepted > 0 {
        let (first, last) = match (rows.first(), rows.last()) {
            (Some(first), Some(last)) => (first.id.clone(), last.id.clone()),
            _ => return Ok(None),
        };
        let slice = Slice { first, last, parcel: parcel.clone() };
        job.resume.source = Kept::Replay { of: of.to_owned(), slice: Some(slice) };
        job.run.parcel = Some(parcel.clone());
        app.store.run_update(&job.permit, &job.run).await?;
        app.store.run_source_update(&job.permit, &job.run.id, &job.resume.to_text()?).await?;
        let org = app.store.org_require(&entry.draft.org).await?;
        let target = LandTarget { entry: entry.clone(), org_name: org.name_cn, org_uscc: org.uscc };
        let head = ParcelHead {
            id: parcel.clone(),
            entry: entry.id.clone(),
            mode: SyncMode::Incremental,
            channel: "replay".into(),
            source: job.run.source.clone(),
            checksum: parcel.clone(),
        };
        let stream = futures::stream::iter(batches.into_iter().map(Ok)).boxed();
        let landing = app.lake.land(&job.permit, &job.op, &head, &target, stream).await?;
        landed = Some((parcel, landing.version));
    }
    app.store.quarantine_update(&job.permit, &judged(rows, rejects)).await?;
    job.run.read += read;
    job.run.accepted += accepted;
    job.run.quarantined += read - accepted;
    app.store.run_update(&job.permit, &job.run).await?;
    app.collections.show(&job.run);
    Ok(landed)
}

/// Rows after a replay: those that fit are replayed, the others keep their place with their new reason.
fn judged(rows: Vec<Quarantined>, rejects: Vec<Reject>) -> Vec<Quarantined> {
    let mut refused: std::collections::HashMap<u64, Reject> =
        rejects.into_iter().map(|r| (r.record, r)).collect();
    rows.into_iter()
        .map(|mut row| {
            match refused.remove(&row.reject.record) {
                None => "replayed".clone_into(&mut row.state),
                Some(again) => {
                    row.reject.column = again.column;
                    row.reject.value = again.value;
                    row.reject.zh = again.zh;
                    row.reject.en = again.en;
                }
            }
            row
        })
        .collect()
}

async fn read_again(
    app: &App,
    entry: &Entry,
    name: &str,
    rows: &[Quarantined],
) -> Result<(Vec<Batch>, Vec<Reject>)> {
    let rows = rows.iter().map(|q| (q.reject.record, q.reject.cells.clone())).collect();
    let source = Source::Cells { name: name.to_owned(), rows };
    let mut reading = app.intake.read(&source, &entry.draft.items, &ReadOptions::default()).await?;
    let (mut batches, mut rejects) = (Vec::new(), Vec::new());
    while let Some(chunk) = reading.chunks.next().await {
        let chunk = chunk?;
        work::check_chunk(&chunk)?;
        rejects.extend(chunk.rejects);
        if chunk.batch.rows() > 0 {
            batches.push(chunk.batch);
        }
    }
    Ok((batches, rejects))
}

//! Replay: the open quarantined rows of a run are read again, and those that fit now land as increments.
//!
//! A row comes back late, so it must not win over what came after it. A row is *overtaken* when its business key was
//! landed (or deleted) by a newer parcel, or by a later record of its own parcel or its run's replays: it stays in
//! quarantine with that reason. When a later full parcel has replaced the run's rows, the whole replay is refused.
//!
//! A rail's rows carry the place of their change in the source's log as record number, and so does everything the rail has
//! landed: there a row is overtaken when its key has landed or was deleted under the same or a higher number, in whatever
//! parcel. The rail goes on meanwhile, so a slice lands only upon the very version that was looked at.
//!
//! *exactly-once*: rows land in slices. A slice (its rows, its parcel id and which rows were left out) is durable
//! before it lands, so that a crash resumes it as it was.

use std::collections::HashSet;
use std::sync::Arc;

use futures::StreamExt;
use guard::hash::sha256_hex;
use model::batch::Batch;
use model::code::SyncMode;
use model::entry::Entry;
use model::parcel::{ParcelHead, Quarantined, Reject, Run, RunState};
use model::{Code, Error, Op, Result};
use policy::Action;
use policy::port::{CellRow, LakeVersion, LandTarget, ReadOptions, Source};

use super::quarantine::{entry_of, replaying};
use super::resume::{Kept, Options, Resume, Slice};
use super::standing::{is_replay, replay_id};
use super::work::{self, Job};
use super::{allowed, known, lease, prepare, serve};
use crate::App;

/// Rows of a replay that land together.
const SLICE: u32 = 1000;

/// Reads the open quarantined rows of a run again and lands those that fit now; the rest stays, with its new reason.
/// The answer is a run of its own. Refused when a later full collection has replaced the run's rows.
pub async fn replay(app: &Arc<App>, op: &Op, run: &str) -> Result<Run> {
    replay_some(app, op, run, "").await
}

/// The same for the rows of one group of reasons; of all without one.
pub(super) async fn replay_some(app: &Arc<App>, op: &Op, run: &str, group: &str) -> Result<Run> {
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
    if !by_rail(&record.run) {
        superseded(app, &entry, &record.run).await?;
    }
    let new = work::blank_run(app, op, &entry, SyncMode::Incremental, "replay", &record.run.source);
    let source = Kept::Replay { of: run.to_owned(), slice: None, group: group.to_owned() };
    let resume = Resume {
        source,
        options: Options::default(),
        committing: false,
        anew: false,
        parcel: None,
    };
    prepare::keep(app, op, &permit, &entry, &new, &resume).await?;
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

/// Whether a run's rows came by a rail; what a rail's full parcels replaced it has cleared itself.
fn by_rail(run: &Run) -> bool {
    run.channel == "rail"
}

/// Rows set aside from a parcel that a later full one replaced must not come back.
async fn superseded(app: &App, entry: &Entry, run: &Run) -> Result<()> {
    let versions = app.lake.versions(&entry.draft.code).await?;
    let Some(later) = versions.iter().find(|v| after(v, run) && v.mode == SyncMode::Full.as_str())
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

/// Whether a version is newer than the run's rows (those of a run that landed nothing are of when it began).
fn after(version: &LakeVersion, run: &Run) -> bool {
    match run.version {
        Some(landed) => version.version > landed,
        None => version.at > run.started_at,
    }
}

/// Does a replay whatever happens and answers its run as it ended.
pub(super) async fn guarded(app: Arc<App>, mut job: Job) -> Run {
    let of = match &job.resume.source {
        Kept::Replay { of, .. } => of.clone(),
        _ => String::new(),
    };
    let (id, permit) = (job.run.id.clone(), Arc::clone(&job.permit));
    let work = async {
        let _rows = app.collections.lock_of(&replaying(&of)).lock_owned().await;
        let _alone = app.collections.lock_of(&job.run.entry).lock_owned().await;
        match slices(&app, &mut job).await {
            Ok(()) => job.run,
            Err(error) => work::failed(&app, &job.op, &job.permit, job.run, error).await,
        }
    };
    let outcome = lease::held(&app, &permit, &id, work).await;
    app.collections.show(&outcome);
    app.collections.end(&outcome.id);
    outcome
}

async fn slices(app: &Arc<App>, job: &mut Job) -> Result<()> {
    let entry = entry_of(app, &job.run.entry).await?;
    job.run.state = RunState::Running;
    let Kept::Replay { of, slice, group } = job.resume.source.clone() else {
        return Err(Error::internal("a replay without a run"));
    };
    let missing = || Error::not_found("归集任务", "collection run", &of);
    let origin = app.store.run_get(&of).await?.ok_or_else(missing)?.run;
    let mut replay = Replay { app, job, entry, origin, group: group.clone(), marks: Vec::new() };
    // A slice that was being landed when the process died comes first, exactly as it was.
    let mut after = None;
    let mut last: Option<(String, i64)> = None;
    if let Some(slice) = slice {
        let mut rows: Vec<Quarantined> =
            app.store.quarantine_get(&slice.first).await?.into_iter().collect();
        rows.retain(|q| q.state == "open");
        rows.extend(app.store.misfits_of_run(&of, &group, Some(&slice.first), SLICE).await?);
        rows.retain(|q| q.id <= slice.last);
        after = Some(slice.last.clone());
        last = if rows.is_empty() {
            // Landed and judged before the process died; the figures and the serving copy may not know yet.
            let landed = app.lake.landed(&replay.entry.draft.code, &slice.parcel).await?;
            landed.map(|landing| (slice.parcel, landing.version))
        } else {
            replay.slice(rows, Some(slice)).await?
        };
    }
    loop {
        let rows = app.store.misfits_of_run(&of, &group, after.as_deref(), SLICE).await?;
        let Some(end) = rows.last() else { break };
        after = Some(end.id.clone());
        last = replay.slice(rows, None).await?.or(last);
    }
    let Replay { job, entry, .. } = replay;
    if let Some((parcel, version)) = last {
        job.run.version = Some(version);
        serve::settle(app, &job.op, &job.collect, &entry, SyncMode::Incremental, &parcel, version)
            .await?;
    }
    if job.run.quarantined > 0 {
        job.run.message_zh = format!(
            "仍有 {} 行不符合要求或已被更新的数据取代，留在原任务的隔离区",
            job.run.quarantined
        );
        job.run.message_en = format!(
            "{} rows still do not fit or were overtaken by newer ones, and stay in the run's quarantine",
            job.run.quarantined
        );
    }
    work::end(app, job, &entry, RunState::Succeeded).await
}

/// A replay at work.
struct Replay<'a> {
    app: &'a Arc<App>,
    job: &'a mut Job,
    entry: Entry,
    /// The run whose rows are replayed.
    origin: Run,
    /// Only rows of this group; of all without one.
    group: String,
    /// Record numbers of a rail's rows: many rows may have the same, so that a slice numbers its rows by itself.
    marks: Vec<u64>,
}

impl Replay<'_> {
    /// Lands what fits of one slice; answers its parcel and version when anything did.
    async fn slice(
        &mut self,
        rows: Vec<Quarantined>,
        known: Option<Slice>,
    ) -> Result<Option<(String, i64)>> {
        let app = Arc::clone(self.app);
        let code = self.entry.draft.code.clone();
        let items = &self.entry.draft.items;
        let mut rows: Vec<Quarantined> = rows.into_iter().map(|row| row.laid_out(items)).collect();
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(None) };
        let (first, last) = (first.id.clone(), last.id.clone());
        let since = rows.iter().map(|row| row.at.clone()).min().unwrap_or_default();
        self.number(&mut rows);
        let stands = app.lake.version_of(&code).await?;
        let landed = match &known {
            Some(slice) => app.lake.landed(&code, &slice.parcel).await?,
            None => None,
        };
        let (slice, batches, mut rejects) = match known {
            // It is in the lake: what was left out then is left out now.
            Some(slice) if landed.is_some() => {
                let (batches, rejects) = self.read(&rows, &slice.overtaken).await?;
                (slice, batches, rejects)
            }
            known => {
                let (mut batches, mut rejects) = self.read(&rows, &[]).await?;
                let overtaken = self.overtaken(&batches, &since).await?;
                if !overtaken.is_empty() {
                    (batches, rejects) = self.read(&rows, &overtaken).await?;
                }
                let parcel = match known {
                    Some(slice) => slice.parcel,
                    None => self.parcel(&rows, &overtaken)?,
                };
                (Slice { first, last, parcel, overtaken }, batches, rejects)
            }
        };
        let (read, accepted) =
            (rows.len() as u64, batches.iter().map(|b| b.rows() as u64).sum::<u64>());
        let told = (rejects.len() + slice.overtaken.len()) as u64;
        if accepted + told != read {
            return Err(Error::internal(format!(
                "read {read} rows again but got {accepted} and {told}"
            )));
        }
        let version = match accepted {
            0 => None,
            _ => match self.land(&slice, batches, stands.filter(|_| landed.is_none())).await? {
                Some(version) => Some(version),
                // The rail has landed something meanwhile: look again.
                None => return Box::pin(self.slice(self.unnumbered(rows), None)).await,
            },
        };
        rejects.extend(self.late(&rows, &slice.overtaken));
        let rows = self.unnumbered(judged(rows, rejects));
        let Self { job, .. } = self;
        app.store.quarantine_update(&job.permit, &rows).await?;
        job.run.read += read;
        job.run.accepted += accepted;
        job.run.quarantined += read - accepted;
        job.write(&app).await?;
        app.collections.show(&job.run);
        Ok(version.map(|version| (slice.parcel, version)))
    }

    /// Gives the rows of a rail numbers of their own, in the order of the source's log.
    fn number(&mut self, rows: &mut [Quarantined]) {
        self.marks.clear();
        if !by_rail(&self.origin) {
            return;
        }
        rows.sort_by(|a, b| (a.reject.record, &a.id).cmp(&(b.reject.record, &b.id)));
        self.marks = rows.iter().map(|row| row.reject.record).collect();
        for (row, number) in rows.iter_mut().zip(1..) {
            row.reject.record = number;
        }
    }

    /// Rows with the record numbers they are kept under.
    fn unnumbered(&self, mut rows: Vec<Quarantined>) -> Vec<Quarantined> {
        for row in &mut rows {
            row.reject.record = self.mark(row.reject.record);
        }
        rows
    }

    /// The record number that a row of the slice is kept under.
    fn mark(&self, number: u64) -> u64 {
        let at = usize::try_from(number).unwrap_or(usize::MAX).wrapping_sub(1);
        self.marks.get(at).copied().unwrap_or(number)
    }

    /// Lands a slice; a rail's only upon the version that was looked at: nothing when the table has moved on.
    async fn land(
        &mut self,
        slice: &Slice,
        mut batches: Vec<Batch>,
        stands: Option<i64>,
    ) -> Result<Option<i64>> {
        for record in batches.iter_mut().flat_map(|batch| &mut batch.records) {
            *record = self.mark(*record);
        }
        let Self { app, job, entry, origin, group, .. } = self;
        job.resume.source = Kept::Replay {
            of: origin.id.clone(),
            slice: Some(slice.clone()),
            group: group.clone(),
        };
        job.run.parcel = Some(slice.parcel.clone());
        job.write(app).await?;
        job.write_source(app).await?;
        let org = app.store.org_require(&entry.draft.org).await?;
        let target = LandTarget { entry: entry.clone(), org_name: org.name_cn, org_uscc: org.uscc };
        let head = ParcelHead {
            id: slice.parcel.clone(),
            entry: entry.id.clone(),
            mode: SyncMode::Incremental,
            channel: "replay".into(),
            source: job.run.source.clone(),
            checksum: slice.parcel.clone(),
            track: None,
            goes_on: false,
        };
        let stream = futures::stream::iter(batches.into_iter().map(Ok)).boxed();
        let (permit, op) = (&job.permit, &job.op);
        let done = match stands.filter(|_| by_rail(origin)) {
            Some(version) => app.lake.land_upon(permit, op, &head, &target, stream, version).await,
            None => app.lake.land(permit, op, &head, &target, stream).await,
        };
        match done {
            Ok(landing) => Ok(Some(landing.version)),
            Err(error) if by_rail(origin) && error.code() == Code::Stale => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Identity of a slice: the rows with their cells, the items they are read by, and what is left out.
    fn parcel(&self, rows: &[Quarantined], overtaken: &[u64]) -> Result<String> {
        let cells: Vec<_> =
            rows.iter().map(|q| (&q.id, &q.reject.cells, &q.reject.operation)).collect();
        let text = serde_json::to_string(&(cells, overtaken))
            .map_err(|e| Error::internal("naming a slice").caused_by(e))?;
        let content = super::resume::parcel_id(
            &self.entry,
            SyncMode::Incremental,
            &sha256_hex(text.as_bytes()),
            &Options::default(),
        )?;
        Ok(replay_id(&self.origin.id, &content))
    }

    /// Reads rows again, but those left out.
    async fn read(
        &self,
        rows: &[Quarantined],
        without: &[u64],
    ) -> Result<(Vec<Batch>, Vec<Reject>)> {
        let rows = rows
            .iter()
            .filter(|q| !without.contains(&q.reject.record))
            .map(|q| CellRow {
                record: q.reject.record,
                cells: q.reject.cells.clone(),
                operation: q.reject.operation.clone(),
            })
            .collect();
        let source = Source::Cells { name: self.job.run.source.clone(), rows };
        let items = &self.entry.draft.items;
        let mut reading = self.app.intake.read(&source, items, &ReadOptions::default()).await?;
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

    /// Records whose key has a newer row: in a newer parcel, or later in the run's own rows.
    async fn overtaken(&self, batches: &[Batch], since: &str) -> Result<Vec<u64>> {
        let Self { app, job, entry, origin, .. } = self;
        if entry.draft.key().is_empty() {
            return Ok(Vec::new());
        }
        if by_rail(origin) {
            return self.overtaken_by_rail(batches, since).await;
        }
        let versions = app.lake.versions(&entry.draft.code).await?;
        let (mut own, mut newer) = (Vec::new(), Vec::new());
        own.extend(origin.parcel.clone().filter(|_| origin.version.is_some()));
        for version in versions.iter().filter(|v| !v.parcel.is_empty() && after(v, origin)) {
            match is_replay(&version.parcel, Some(&origin.id)) {
                true => own.push(version.parcel.clone()),
                false => newer.push(version.parcel.clone()),
            }
        }
        let mut late = HashSet::new();
        for batch in batches {
            let by_newer = app.lake.records_of_keys(&job.permit, entry, batch, &newer).await?;
            let by_own = app.lake.records_of_keys(&job.permit, entry, batch, &own).await?;
            for ((record, newer), own) in batch.records.iter().zip(by_newer).zip(by_own) {
                if newer.is_some() || own.is_some_and(|other| other > *record) {
                    late.insert(*record);
                }
            }
        }
        let mut late: Vec<u64> = late.into_iter().collect();
        late.sort_unstable();
        Ok(late)
    }

    /// The same for a rail's rows, by their places in the log.
    async fn overtaken_by_rail(&self, batches: &[Batch], since: &str) -> Result<Vec<u64>> {
        let mut late = Vec::new();
        for batch in batches {
            let newest =
                self.app.lake.newest_records(&self.job.permit, &self.entry, batch, since).await?;
            let pairs = batch.records.iter().zip(newest);
            late.extend(
                pairs
                    .filter(|(record, newest)| newest.is_some_and(|n| n >= self.mark(**record)))
                    .map(|(record, _)| *record),
            );
        }
        late.sort_unstable();
        Ok(late)
    }

    /// Why overtaken rows stay where they are.
    fn late(&self, rows: &[Quarantined], overtaken: &[u64]) -> Vec<Reject> {
        let items = &self.entry.draft.items;
        let key = items.iter().position(|item| item.primary);
        let value = |q: &Quarantined| q.reject.cells.get(key?).cloned().flatten();
        rows.iter()
            .filter(|q| overtaken.contains(&q.reject.record))
            .map(|q| Reject {
                column: key.and_then(|at| items.get(at)).map_or_else(String::new, |item| item.identifier.clone()),
                value: value(q).unwrap_or_default(),
                zh: "该主键已有更新的数据入湖，重放会以旧值覆盖新值，未入湖；请放弃该行，如仍需此值请作为新的数据归集".into(),
                en: "newer data with this business key have landed; replaying would put the old values over them, so it was not landed: give the row up, or collect it as new data if it is what should be there".into(),
                ..q.reject.clone()
            })
            .collect()
    }
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

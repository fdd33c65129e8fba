//! One collection at work: from a source to a landed parcel, with its run told on the way.
//!
//! *exactly-once*: before the lake's commit the run's final figures are durable; after it, the parcel id in the lake
//! says that the rows are there. A crash on either side is seen by `recover` and finished or begun anew.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::BoxStream;
use model::audit::AuditEvent;
use model::batch::Batch;
use model::code::SyncMode;
use model::entry::Entry;
use model::op::stamp;
use model::parcel::{Manifest, ParcelHead, Quarantined, Reject, Run, RunState};
use model::{Code, Error, Op, Result};
use parking_lot::Mutex;
use policy::Permit;
use policy::port::{Chunk, LandTarget, Landing, Source};

use super::prepare::context;
use super::resume::{Kept, Resume};
use super::standing::standing;
use super::{Order, extract, lease, serve, spool};
use crate::{App, audit, oversight};

/// How often a run's figures are written down while it reads.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// A run with all it needs.
pub(super) struct Job {
    pub(super) op: Op,
    pub(super) run: Run,
    pub(super) resume: Resume,
    pub(super) permit: Arc<Permit>,
    /// For the serving copy and the catalogue.
    pub(super) collect: Arc<Permit>,
}

impl Job {
    /// Writes the run's state and figures down.
    pub(super) async fn write(&self, app: &App) -> Result<()> {
        app.store.run_update(&self.permit, &app.collections.owner, &self.run).await
    }

    /// Writes down what is needed to go on after a crash.
    pub(super) async fn write_source(&self, app: &App) -> Result<()> {
        let (owner, resume) = (&app.collections.owner, self.resume.to_text()?);
        app.store.run_source_update(&self.permit, owner, &self.run.id, &resume).await
    }
}

pub(super) fn new_run(app: &App, op: &Op, entry: &Entry, order: &Order) -> Run {
    let (channel, source) = match &order.source {
        Source::File { name, .. } => ("file", name),
        Source::Query { name, .. } => ("query", name),
        Source::Feed { name, .. } => ("feed", name),
        Source::Cells { name, .. } => ("cells", name),
    };
    blank_run(app, op, entry, order.mode, channel, source)
}

pub(crate) fn blank_run(
    app: &App,
    op: &Op,
    entry: &Entry,
    mode: SyncMode,
    channel: &str,
    source: &str,
) -> Run {
    let now = app.now();
    Run {
        id: Op { at: now, ..op.clone() }.new_id(),
        entry: entry.id.clone(),
        entry_title: entry.draft.title.clone(),
        state: RunState::Queued,
        mode,
        channel: channel.to_owned(),
        source: source.to_owned(),
        parcel: None,
        checksum: String::new(),
        read: 0,
        accepted: 0,
        quarantined: 0,
        bytes_done: 0,
        bytes_total: 0,
        version: None,
        message_zh: String::new(),
        message_en: String::new(),
        started_at: stamp(now),
        finished_at: None,
        actor: op.actor.name().to_owned(),
    }
}

/// A source that is not a file, written into the inbox.
pub(super) async fn written(
    app: &App,
    id: &str,
    source: &Source,
    entry: &Entry,
    options: &policy::port::ReadOptions,
    progress: impl FnMut(u64),
) -> Result<Kept> {
    let spooled = extract::extract(app, id, source, &entry.draft.items, options, progress).await?;
    Ok(Kept::File { path: spooled.path, name: spooled.name, checksum: spooled.checksum })
}

/// Does the job whatever happens, ends its run, and answers it as it ended.
pub(super) async fn guarded(app: Arc<App>, job: Job) -> Run {
    let (id, permit, op) = (job.run.id.clone(), Arc::clone(&job.permit), job.op.clone());
    let first = job.run.clone();
    let inner = Arc::clone(&app);
    let task = tokio::spawn(async move { work(&inner, job).await });
    let outcome = match lease::held(&app, &permit, &id, task).await {
        Ok(run) => run,
        Err(e) => {
            let latest = app.collections.of(&id).unwrap_or(first);
            let error = Error::internal("a collection's task ended early").caused_by(e);
            failed(&app, &op, &permit, latest, error).await
        }
    };
    app.collections.show(&outcome);
    app.collections.end(&id);
    outcome
}

async fn work(app: &Arc<App>, mut job: Job) -> Run {
    let lock = app.collections.lock_of(&job.run.entry);
    let _alone = lock.lock().await;
    let Ok(_slot) = app.collections.slots.acquire().await else { return job.run };
    match collect(app, &mut job).await {
        Ok(()) => job.run,
        Err(error) => failed(app, &job.op, &job.permit, job.run, error).await,
    }
}

/// Ends a run that could not be done. Nothing of it has landed, or the message says so.
pub(super) async fn failed(app: &App, op: &Op, permit: &Permit, mut run: Run, error: Error) -> Run {
    tracing::warn!(run.id = run.id, error = error.operator_text(), "a collection failed");
    run.state = RunState::Failed;
    (run.message_zh, run.message_en) = told(&error);
    if let Some(version) = run.version {
        run.message_zh =
            format!("数据已入湖（版本 {version}），但后续步骤未完成：{}", run.message_zh);
        run.message_en = format!(
            "the rows are in the lake (version {version}) but a later step failed: {}",
            run.message_en
        );
    }
    run.finished_at = Some(stamp(app.now()));
    let owner = app.collections.owner.as_str();
    let ended = async {
        if run.version.is_none() && run.accepted > 0 {
            // What was set aside belongs to a parcel that is not there.
            app.store.quarantine_clear(permit, owner, &run.id).await?;
            (run.read, run.accepted, run.quarantined) = (0, 0, 0);
        }
        app.store.run_update(permit, owner, &run).await?;
        app.store.run_source_update(permit, owner, &run.id, "").await?;
        record(app, op, &run, "", "failed").await
    };
    if let Err(e) = ended.await {
        tracing::error!(
            run.id = run.id,
            error = e.operator_text(),
            "the end of a failed collection could not be kept"
        );
    }
    run
}

/// An error with its first fields, in both languages.
fn told(error: &Error) -> (String, String) {
    let (mut zh, mut en) = (error.zh().to_owned(), error.en().to_owned());
    for field in error.fields().iter().take(5) {
        zh.push_str(&format!("；{}：{}", field.field, field.zh));
        en.push_str(&format!("; {}: {}", field.field, field.en));
    }
    (zh, en)
}

async fn record(app: &App, op: &Op, run: &Run, object: &str, result: &str) -> Result<()> {
    let object = if object.is_empty() { &run.entry } else { object };
    let op = Op { at: app.now(), ..op.clone() };
    let event = AuditEvent {
        rows: run.accepted,
        bytes: run.bytes_total,
        result: result.to_owned(),
        reason: run.message_en.clone(),
        scope: format!("run={} parcel={}", run.id, run.parcel.as_deref().unwrap_or("-")),
        ..audit::event(&op, "data.collect", object)
    };
    audit::record(app, event).await
}

async fn collect(app: &Arc<App>, job: &mut Job) -> Result<()> {
    let missing = || Error::not_found("目录", "entry", &job.run.entry);
    let entry = app.store.entry_get(&job.run.entry).await?.ok_or_else(missing)?;
    job.run.state = RunState::Running;
    job.write(app).await?;
    app.collections.show(&job.run);
    if let Kept::Query { .. } = &job.resume.source {
        bring_query(app, job, &entry).await?;
    }
    let Kept::File { path, name, checksum } = job.resume.source.clone() else {
        return Err(Error::internal("a collection without a file"));
    };
    let (parcel, before) = standing(app, &entry, job, &checksum).await?;
    job.run.checksum.clone_from(&checksum);
    job.run.parcel = Some(parcel.clone());
    job.write(app).await?;
    if let Some(landing) = before {
        return unchanged(app, job, &entry, &landing, &path).await;
    }

    let head = ParcelHead {
        id: parcel,
        entry: entry.id.clone(),
        mode: job.run.mode,
        channel: job.run.channel.clone(),
        source: job.run.source.clone(),
        checksum,
        track: None,
        goes_on: false,
    };
    let source = Source::File { path: path.clone(), name };
    let landing = land(app, job, &entry, &head, &source, &[]).await?;
    if landing.repeated {
        app.store.quarantine_clear(&job.permit, &app.collections.owner, &job.run.id).await?;
        return unchanged(app, job, &entry, &landing, &path).await;
    }
    finish(app, job, &entry, landing.version).await?;
    if spool::in_inbox(app, &path) {
        spool::discard(&path).await;
    }
    Ok(())
}

/// Runs the query into the inbox; from then on the secret is not kept any more.
async fn bring_query(app: &App, job: &mut Job, entry: &Entry) -> Result<()> {
    let Kept::Query { url, sql, name } = job.resume.source.clone() else { return Ok(()) };
    let opened = app.keys.vault().open(&context(&job.run.id), &url)?;
    let url = String::from_utf8(opened.to_vec())
        .map_err(|e| Error::internal("a source's URL").caused_by(e))?;
    let source = Source::Query { url, sql, name };
    let options = job.resume.options.read();
    let mut shown = job.run.clone();
    let progress = |read| {
        shown.read = read;
        app.collections.show(&shown);
    };
    job.resume.source = written(app, &job.run.id, &source, entry, &options, progress).await?;
    job.resume.options = extract::options(options.operation_column.is_some());
    job.write_source(app).await
}

/// The parcel was landed before: nothing is read, but what an interrupted landing left undone is done.
pub(super) async fn unchanged(
    app: &App,
    job: &mut Job,
    entry: &Entry,
    landing: &Landing,
    path: &std::path::Path,
) -> Result<()> {
    let parcel = job.run.parcel.clone().unwrap_or_default();
    let before = app.store.parcel_get(&entry.id, &parcel).await?;
    if before.is_none() {
        serve::settle(app, &job.op, &job.collect, entry, job.run.mode, &parcel, landing.version)
            .await?;
    }
    let run = &mut job.run;
    if let Some(before) = before {
        (run.read, run.accepted, run.quarantined) =
            (before.read, before.accepted, before.quarantined);
    }
    run.bytes_done = run.bytes_total;
    run.version = Some(landing.version);
    run.message_zh = format!("相同的数据已入湖（版本 {}），未作任何改变", landing.version);
    run.message_en = format!(
        "the same parcel was landed before (version {}); nothing was changed",
        landing.version
    );
    end(app, job, entry, RunState::Unchanged).await?;
    if spool::in_inbox(app, path) {
        spool::discard(path).await;
    }
    Ok(())
}

/// What follows a landing of this run: manifest, serving copy, catalogue, audit, the run's end.
pub(super) async fn finish(app: &App, job: &mut Job, entry: &Entry, version: i64) -> Result<()> {
    job.run.version = Some(version);
    let parcel = job.run.parcel.clone().unwrap_or_default();
    serve::settle(app, &job.op, &job.collect, entry, job.run.mode, &parcel, version).await?;
    let run = &job.run;
    let manifest = Manifest {
        head: ParcelHead {
            id: parcel,
            entry: entry.id.clone(),
            mode: run.mode,
            channel: run.channel.clone(),
            source: run.source.clone(),
            checksum: run.checksum.clone(),
            track: None,
            goes_on: false,
        },
        read: run.read,
        accepted: run.accepted,
        quarantined: run.quarantined,
        version,
        landed_at: stamp(app.now()),
    };
    app.store.parcel_insert(&job.permit, &run.id, &manifest).await?;
    end(app, job, entry, RunState::Succeeded).await
}

pub(super) async fn end(app: &App, job: &mut Job, entry: &Entry, state: RunState) -> Result<()> {
    job.run.state = state;
    job.run.finished_at = Some(stamp(app.now()));
    record(app, &job.op, &job.run, &entry.draft.code, "ok").await?;
    job.write(app).await?;
    let owner = &app.collections.owner;
    app.store.run_source_update(&job.permit, owner, &job.run.id, "").await
}

/// `read = accepted + quarantined`, for every chunk and so for every run.
pub(crate) fn check_chunk(chunk: &Chunk) -> Result<()> {
    let (rows, rejects) = (chunk.batch.rows() as u64, chunk.rejects.len() as u64);
    if rows + rejects == chunk.read {
        return Ok(());
    }
    Err(Error::internal(format!(
        "read {} records but got {rows} rows and {rejects} rejects",
        chunk.read
    )))
}

/// Reads a file into the lake and its misfits into quarantine, `aside` among them: rows that were set aside before.
pub(super) async fn land(
    app: &Arc<App>,
    job: &mut Job,
    entry: &Entry,
    head: &ParcelHead,
    source: &Source,
    aside: &[Quarantined],
) -> Result<Landing> {
    app.store.quarantine_clear(&job.permit, &app.collections.owner, &job.run.id).await?;
    app.store.quarantine_insert(&job.permit, aside).await?;
    let aside = aside.len() as u64;
    (job.run.read, job.run.accepted, job.run.quarantined, job.run.bytes_done) =
        (aside, 0, aside, 0);
    let reading = app.intake.read(source, &entry.draft.items, &job.resume.options.read()).await?;
    if reading.bytes_total > 0 {
        job.run.bytes_total = reading.bytes_total;
    }
    let org = app.store.org_require(&entry.draft.org).await?;
    let target = LandTarget { entry: entry.clone(), org_name: org.name_cn, org_uscc: org.uscc };
    let tally = Arc::new(Mutex::new(Tally { run: job.run.clone(), fault: None }));
    let watch = oversight::Watch::of(app, &entry.id).await?;
    let passage = Passage {
        app: Arc::clone(app),
        permit: Arc::clone(&job.permit),
        tally: Arc::clone(&tally),
        resume: Resume { committing: true, ..job.resume.clone() },
        items: entry.draft.items.iter().map(|i| i.identifier.clone()).collect(),
        chunks: reading.chunks,
        written: Instant::now(),
        watch,
    };
    let rows = futures::stream::try_unfold(passage, Passage::next).boxed();
    let landed = app.lake.land(&job.permit, &job.op, head, &target, rows).await;
    let Tally { run, fault } =
        std::mem::replace(&mut *tally.lock(), Tally { run: job.run.clone(), fault: None });
    job.run = run;
    // The lake tells that its stream failed; the stream knows why.
    landed.map_err(|e| fault.unwrap_or(e))
}

/// The run's figures as they grow, and why the passage broke off.
struct Tally {
    run: Run,
    fault: Option<Error>,
}

/// Chunks on their way from the intake to the lake: misfits step aside, figures are told.
struct Passage {
    app: Arc<App>,
    permit: Arc<Permit>,
    tally: Arc<Mutex<Tally>>,
    resume: Resume,
    /// Identifiers of the items the cells belong to.
    items: Vec<String>,
    chunks: BoxStream<'static, Result<Chunk>>,
    written: Instant,
    /// Error budget.
    watch: oversight::Watch,
}

impl Passage {
    async fn next(mut self) -> Result<Option<(Batch, Self)>> {
        match self.batch().await {
            Ok(Some(batch)) => Ok(Some((batch, self))),
            Ok(None) => Ok(None),
            Err(error) => {
                self.tally.lock().fault = Some(error);
                Err(Error::internal("the collection broke off"))
            }
        }
    }

    async fn batch(&mut self) -> Result<Option<Batch>> {
        while let Some(chunk) = self.chunks.next().await {
            let chunk = chunk?;
            check_chunk(&chunk)?;
            let (mut run, rows) = (self.tally.lock().run.clone(), chunk.batch.rows());
            run.read += chunk.read;
            run.accepted += rows as u64;
            run.quarantined += chunk.rejects.len() as u64;
            run.bytes_done = chunk.bytes_done;
            self.watch.add(&chunk.rejects);
            let rejects = quarantined(&run, &self.items, chunk.rejects, &stamp(self.app.now()));
            self.app.store.quarantine_insert(&self.permit, &rejects).await?;
            self.app.collections.show(&run);
            if self.written.elapsed() >= WRITE_EVERY {
                self.app.store.run_update(&self.permit, self.owner(), &run).await?;
                self.written = Instant::now();
            }
            self.tally.lock().run = run;
            if rows > 0 {
                return Ok(Some(chunk.batch));
            }
        }
        self.end().await?;
        Ok(None)
    }

    /// All is read; the lake commits when it sees the end of the stream. The final figures are durable before that.
    async fn end(&mut self) -> Result<()> {
        let run = self.tally.lock().run.clone();
        if run.mode == SyncMode::Full && run.accepted == 0 && run.quarantined > 0 {
            return Err(none_fits(run.quarantined));
        }
        self.watch.check(&run)?;
        let resume = self.resume.to_text()?;
        self.app.store.run_update(&self.permit, self.owner(), &run).await?;
        self.app.store.run_source_update(&self.permit, self.owner(), &run.id, &resume).await?;
        self.app.collections.show(&run);
        Ok(())
    }

    fn owner(&self) -> &str {
        &self.app.collections.owner
    }
}

/// Rejects as kept. The id is of run and record: the same record of the same run is the same row.
fn quarantined(run: &Run, items: &[String], rejects: Vec<Reject>, at: &str) -> Vec<Quarantined> {
    rejects
        .into_iter()
        .map(|reject| Quarantined {
            id: format!("{}-{:012}", run.id, reject.record),
            run: run.id.clone(),
            entry: run.entry.clone(),
            reject,
            items: items.to_vec(),
            state: "open".into(),
            at: at.to_owned(),
        })
        .collect()
}

fn none_fits(quarantined: u64) -> Error {
    Error::new(
        Code::InvalidFile,
        format!(
            "{quarantined} 行全部不符合目录的数据项，为免以空数据覆盖现有数据，未入湖；请查看隔离区的原因并核对表头与数据项"
        ),
        format!(
            "none of the {quarantined} rows fits the entry's items; nothing was landed, so that the present rows are not replaced by nothing: see the reasons in quarantine and compare the header with the items"
        ),
    )
}

/// The file a run keeps in the inbox, if it does.
pub(super) fn file_of(resume: &Resume) -> Option<PathBuf> {
    match &resume.source {
        Kept::File { path, .. } => Some(path.clone()),
        Kept::Pipe(pull) => pull.path.clone(),
        _ => None,
    }
}

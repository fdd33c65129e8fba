//! The landing of pipelines: what a turn pulled goes through the same inbox, quarantine and lake as everything else, with the
//! position of its watermark committed in the same transaction as the rows (`model::parcel::Track`).
//!
//! A pipeline's run is begun, filled and landed by its turn (`app::pipeline::turn`). A run whose process died is never begun
//! anew here: either its parcel is in the lake, then what follows is done, or it ends as interrupted and its turn makes
//! another one from the position that the lake holds.

use std::path::PathBuf;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::BoxStream;
use model::code::SyncMode;
use model::entry::Entry;
use model::op::stamp;
use model::parcel::{ParcelHead, Quarantined, Reject, Run, RunState, Track};
use model::{Code, Error, Op, Result};
use policy::port::{Chunk, Source};
use policy::{Action, Permit, Target};
use serde::{Deserialize, Serialize};

use super::resume::{Kept, Resume};
use super::standing::standing;
use super::work::{self, Job};
use super::{allowed, extract, lease, prepare, spool};
use crate::{App, audit};

/// Channel word of pipelines.
pub(crate) const CHANNEL: &str = "pipeline";
/// State of rows that never came into the transformation: they are mended at the source.
const AT_SOURCE: &str = "source";

/// What is kept of a pipeline's run so that a crash loses nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pull {
    pub(super) path: Option<PathBuf>,
    pub(super) name: String,
    pub(super) checksum: String,
}

/// What lands with the rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Terms {
    /// Position after them.
    pub(crate) track: Option<Track>,
    /// Records that did not fit the declared columns of the source, with the names of those.
    pub(crate) refused: Vec<Reject>,
    pub(crate) columns: Vec<String>,
}

/// A pipeline's run at work.
pub(crate) struct Piped {
    job: Job,
    entry: Entry,
}

impl Piped {
    /// Begins a run. From here on it is known to everybody.
    pub(crate) async fn begin(
        app: &App,
        op: &Op,
        entry: &Entry,
        mode: SyncMode,
        name: &str,
    ) -> Result<Self> {
        let permit = Arc::new(allowed(app, op, Action::DataCollect, entry).await?);
        prepare::not_by_rail(app, entry).await?;
        let mut run = work::blank_run(app, op, entry, mode, CHANNEL, name);
        run.state = RunState::Running;
        let pull = Pull { name: name.to_owned(), ..Pull::default() };
        let resume = Resume {
            source: Kept::Pipe(pull),
            options: extract::options(false),
            committing: false,
            anew: false,
            parcel: None,
        };
        prepare::keep(app, op, &permit, entry, &run, &resume).await?;
        let job = Job { op: op.clone(), run, resume, collect: Arc::clone(&permit), permit };
        Ok(Self { job, entry: entry.clone() })
    }

    pub(crate) fn run(&self) -> &Run {
        &self.job.run
    }

    /// Does a part of the run's work while its lease is renewed.
    pub(crate) async fn held<T>(
        app: &App,
        permit: &Permit,
        run: &str,
        work: impl Future<Output = T>,
    ) -> T {
        lease::held(app, permit, run, work).await
    }

    pub(crate) fn permit(&self) -> Arc<Permit> {
        Arc::clone(&self.job.permit)
    }

    /// Writes what comes into the inbox; `watch` sees every piece and may stop it.
    pub(crate) async fn spool(
        &mut self,
        app: &App,
        mut chunks: BoxStream<'static, Result<Chunk>>,
        operations: bool,
        mut watch: impl FnMut(&Chunk) -> Result<()>,
    ) -> Result<()> {
        let Kept::Pipe(pull) = &self.job.resume.source else { return Err(other()) };
        let mut pull = pull.clone();
        let names: Vec<String> =
            self.entry.draft.items.iter().map(|i| i.identifier.clone()).collect();
        let file = format!("{}.jsonl", pull.name);
        let mut writer = spool::Writer::open(&app.folders.inbox, &self.job.run.id, &file)?;
        let mut shown = self.job.run.clone();
        while let Some(chunk) = chunks.next().await {
            let written = chunk.and_then(|chunk| {
                work::check_chunk(&chunk)?;
                watch(&chunk)?;
                shown.read += chunk.read;
                extract::lines(&names, &chunk)
            });
            match written {
                Ok(bytes) => {
                    app.collections.show(&shown);
                    if !writer.write(bytes).await {
                        break;
                    }
                }
                Err(error) => {
                    writer.abandon().await;
                    return Err(error);
                }
            }
        }
        let spooled = writer.finish().await?;
        pull.path = Some(spooled.path);
        pull.checksum = spooled.checksum;
        self.job.run.bytes_total = spooled.bytes;
        self.job.resume.options = extract::options(operations);
        self.job.resume.source = Kept::Pipe(pull);
        self.job.write_source(app).await
    }

    /// Lands what was spooled and ends the run.
    pub(crate) async fn land(mut self, app: &Arc<App>, terms: Terms) -> Result<Run> {
        let lock = app.collections.lock_of(&self.job.run.entry);
        let landed = {
            let _alone = lock.lock().await;
            match app.collections.slots.acquire().await {
                Ok(_slot) => self.landed(app, terms).await,
                Err(e) => Err(Error::internal("no slot for a landing").caused_by(e)),
            }
        };
        match landed {
            Ok(()) => Ok(self.ended(app)),
            Err(error) => {
                self.fail(app, again(&error)).await;
                Err(error)
            }
        }
    }

    async fn landed(&mut self, app: &Arc<App>, terms: Terms) -> Result<()> {
        let Kept::Pipe(pull) = self.job.resume.source.clone() else { return Err(other()) };
        let path = pull.path.ok_or_else(other)?;
        let (job, entry) = (&mut self.job, &self.entry);
        // A watermark moves on even when the rows are the same as before; without one the content decides.
        let (parcel, before) = match terms.track {
            Some(_) => (format!("{CHANNEL}-{}", job.run.id), None),
            None => standing(app, entry, job, &pull.checksum).await?,
        };
        job.run.checksum.clone_from(&pull.checksum);
        job.run.parcel = Some(parcel.clone());
        job.write(app).await?;
        if let Some(landing) = before {
            return work::unchanged(app, job, entry, &landing, &path).await;
        }
        let head = ParcelHead {
            id: parcel,
            entry: entry.id.clone(),
            mode: job.run.mode,
            channel: CHANNEL.to_owned(),
            goes_on: false,
            source: job.run.source.clone(),
            checksum: pull.checksum,
            track: terms.track,
        };
        let source = Source::File { path: path.clone(), name: pull.name };
        let rows = kept_at_source(&job.run, &terms.columns, terms.refused, &stamp(app.now()));
        let landing = work::land(app, job, entry, &head, &source, &rows).await?;
        work::finish(app, job, entry, landing.version).await?;
        if spool::in_inbox(app, &path) {
            spool::discard(&path).await;
        }
        Ok(())
    }

    /// Ends the run without landing anything: there was nothing.
    pub(crate) async fn nothing(mut self, app: &App) -> Result<Run> {
        let run = &mut self.job.run;
        run.message_zh = "本次没有读到任何行，未作任何改变".into();
        run.message_en = "no row was read; nothing was changed".into();
        let file = work::file_of(&self.job.resume);
        work::end(app, &mut self.job, &self.entry, RunState::Unchanged).await?;
        if let Some(file) = file.filter(|f| spool::in_inbox(app, f)) {
            spool::discard(&file).await;
        }
        Ok(self.ended(app))
    }

    /// Ends the run as failed. Nothing of it has landed, or its message says so.
    pub(crate) async fn fail(self, app: &App, error: Error) -> Run {
        let file = work::file_of(&self.job.resume);
        let run = work::failed(app, &self.job.op, &self.job.permit, self.job.run, error).await;
        if let Some(file) = file.filter(|f| spool::in_inbox(app, f)) {
            spool::discard(&file).await;
        }
        app.collections.show(&run);
        app.collections.end(&run.id);
        run
    }

    fn ended(self, app: &App) -> Run {
        app.collections.show(&self.job.run);
        app.collections.end(&self.job.run.id);
        self.job.run
    }
}

/// The same error once more, for the run beside the turn.
pub(crate) fn again(error: &Error) -> Error {
    Error::new(error.code(), error.zh(), error.en())
        .with_fields(error.fields().to_vec())
        .detail(error.operator_text())
}

fn other() -> Error {
    Error::internal("a pipeline's run without what it pulled")
}

/// Rows that did not fit the source's declared columns, as kept: they are not replayed, because what mends them comes from
/// the source and through the transformation.
fn kept_at_source(
    run: &Run,
    columns: &[String],
    refused: Vec<Reject>,
    at: &str,
) -> Vec<Quarantined> {
    refused
        .into_iter()
        .map(|reject| Quarantined {
            id: format!("{}-s{:012}", run.id, reject.record),
            run: run.id.clone(),
            entry: run.entry.clone(),
            reject,
            items: columns.to_vec(),
            state: AT_SOURCE.to_owned(),
            at: at.to_owned(),
        })
        .collect()
}

/// The run of a turn whose process is gone, as it ended: finished when its parcel is in the lake, interrupted when it is not.
/// `None` while its process may still be at work, or when there is no such run.
pub(crate) async fn settled(app: &Arc<App>, id: &str) -> Result<Option<Run>> {
    let Some(record) = app.store.run_get(id).await? else { return Ok(None) };
    if !matches!(record.run.state, RunState::Queued | RunState::Running) {
        return Ok(Some(record.run));
    }
    if app.collections.of(id).is_some() || !crate::lease::over(app, &record.lease) {
        return Ok(None);
    }
    let op = Op::system(app.now());
    let target = Target::plain("System", "collection");
    let system = audit::permit(app, &op, Action::SystemWork, &target).await?;
    let Some(record) = lease::claim(app, &system, &record).await? else { return Ok(None) };
    let missing = || Error::not_found("目录", "entry", &record.run.entry);
    let entry = app.store.entry_get(&record.run.entry).await?.ok_or_else(missing)?;
    let collect = audit::permit(app, &op, Action::DataCollect, &Target::entry(&entry)).await?;
    let resume = Resume::of_text(&record.source).ok_or_else(other)?;
    let job = Job {
        op: op.clone(),
        run: record.run,
        resume,
        permit: Arc::new(system),
        collect: Arc::new(collect),
    };
    taken_up(app, job, entry).await.map(Some)
}

/// See [`settled`]; also called by `recover` for runs whose turn does not know of them.
pub(super) async fn taken_up(app: &Arc<App>, mut job: Job, entry: Entry) -> Result<Run> {
    let (id, permit) = (job.run.id.clone(), Arc::clone(&job.permit));
    let rest = async {
        let lock = app.collections.lock_of(&entry.id);
        let _alone = lock.lock().await;
        let landed = match (&job.run.parcel, job.resume.committing) {
            (Some(parcel), true) => app.lake.landed(&entry.draft.code, parcel).await?,
            _ => None,
        };
        let file = work::file_of(&job.resume);
        let run = match landed {
            Some(landing) => match work::finish(app, &mut job, &entry, landing.version).await {
                Ok(()) => job.run,
                // What follows a landing is done at the next look.
                Err(error) => return Err(error),
            },
            None => work::failed(app, &job.op, &job.permit, job.run, interrupted()).await,
        };
        if let Some(file) = file.filter(|f| spool::in_inbox(app, f)) {
            spool::discard(&file).await;
        }
        Ok(run)
    };
    lease::held(app, &permit, &id, rest).await
}

fn interrupted() -> Error {
    Error::new(
        Code::SourceUnavailable,
        "运行被中断，未入湖任何数据；管道将从上次的位置重新读取",
        "the run was interrupted and nothing was landed; the pipeline reads anew from where it stood",
    )
}

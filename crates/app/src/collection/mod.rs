//! Collection: the channels' parcels go through the one landing; what does not fit waits in quarantine.
//!
//! One walk: `spool` keeps an upload in the inbox (`pump` gives it what a door reads) → `start` makes a run → `work`
//! reads it, puts misfits into quarantine and lands the rest once (*exactly-once*: the parcel id is a hash of entry, mode, content, options and item shapes)
//! → `serve` brings the serving copy up → the catalogue learns the new figures → the file leaves the inbox. A query's
//! rows are written into the inbox first (`extract`), so that both ways are one; `source` keeps the databases they come
//! from. `standing` tells what is there already. `lease` says whose a run is, `recover` goes on after a crash,
//! `retry` runs what failed again, `tidy` is the
//! worker's housekeeping. `pipe` lands what pipelines pulled.

mod deliver;
mod desk;
mod extract;
mod fetched;
mod lease;
pub(crate) mod pipe;
mod prepare;
pub mod privilege;
mod pump;
mod quarantine;
mod recover;
mod replay;
mod resume;
mod retry;
mod serve;
pub mod source;
mod spool;
mod standing;
mod tidy;
mod work;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::StreamExt;
use model::code::SyncMode;
use model::entry::Entry;
use model::op::stamp;
use model::parcel::{Reject, Run, RunState, Sniffed};
use model::{Actor, Error, Op, Result};
use parking_lot::Mutex;
use policy::port::{ReadOptions, Source};
use policy::{Action, Permit, Target};
use store::parcel::{RunFilter, RunRecord};
use tokio::sync::{Semaphore, watch};
use uuid::{NoContext, Timestamp, Uuid};

pub(crate) use self::deliver::{Delivery, deliver};
pub use self::desk::{
    GroupSeen, dismiss_group, entry_rule, group, group_csv, group_rows, groups, map, replay_group,
    set_entry_rule,
};
pub(crate) use self::fetched::Fetched;
pub use self::pump::pump;
pub use self::quarantine::{dismiss, mend, quarantine, quarantine_csv};
pub use self::recover::recover;
pub use self::replay::replay;
pub(crate) use self::retry::{StandingQuery, standing_query};
pub use self::retry::{may_retry, retry};
pub(crate) use self::serve::bring;
pub(crate) use self::spool::{safe_name, unwritable};
pub use self::spool::{spool, spool_file};
pub use self::tidy::{Tidied, tidy};
pub(crate) use self::work::{blank_run, check_chunk};
use crate::{App, Page, audit, catalogue};

/// Collections that read and land at the same time; others wait in state queued.
const AT_WORK: usize = 2;
/// Locks remembered before those that nobody holds are forgotten.
const LOCKS_KEPT: usize = 1024;
/// Rejects that a dry run shows.
const REJECTS_SHOWN: usize = 100;

/// Progress and locks of running collections.
#[derive(Debug)]
pub struct Memory {
    /// Runs of this process that have not ended.
    live: Mutex<HashMap<String, watch::Sender<Run>>>,
    /// One collection of an entry at a time.
    entries: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    slots: Semaphore,
    /// Name of this process as the owner of its runs, new with every start.
    owner: String,
    /// When the files of broken landings were last looked for.
    swept_at: Mutex<Option<DateTime<Utc>>>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            live: Mutex::default(),
            entries: Mutex::default(),
            slots: Semaphore::new(AT_WORK),
            owner: Uuid::new_v7(Timestamp::from_unix(NoContext, 0, 0)).simple().to_string(),
            swept_at: Mutex::default(),
        }
    }
}

impl Memory {
    /// Name of this process as an owner.
    pub(crate) fn owner(&self) -> &str {
        &self.owner
    }
    pub(crate) fn lock_of(&self, entry: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.entries.lock();
        if locks.len() > LOCKS_KEPT {
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        }
        Arc::clone(locks.entry(entry.to_owned()).or_default())
    }
    fn show(&self, run: &Run) {
        if let Some(shown) = self.live.lock().get(&run.id) {
            shown.send_replace(run.clone());
        }
    }
    fn begin(&self, run: &Run) {
        self.live.lock().insert(run.id.clone(), watch::Sender::new(run.clone()));
    }
    fn end(&self, run: &str) {
        self.live.lock().remove(run);
    }
    pub(crate) fn of(&self, run: &str) -> Option<Run> {
        self.live.lock().get(run).map(|shown| shown.borrow().clone())
    }
}

/// A source kept in the inbox, safe against a crash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spooled {
    pub path: PathBuf,
    pub name: String,
    /// SHA-256, lower hex.
    pub checksum: String,
    pub bytes: u64,
}

/// What to collect.
#[derive(Clone, Debug)]
pub struct Order {
    /// Entry id or code.
    pub entry: String,
    pub source: Source,
    pub mode: SyncMode,
    pub options: ReadOptions,
}

/// Asks for what a person may do with an entry; the platform itself works by `system.work`.
async fn allowed(app: &App, op: &Op, action: Action, entry: &Entry) -> Result<Permit> {
    match (&op.actor, action) {
        (Actor::System, Action::DataCollect) => {
            audit::permit(app, op, action, &Target::entry(entry)).await
        }
        (Actor::System, _) => {
            audit::permit(app, op, Action::SystemWork, &Target::plain("System", "collection")).await
        }
        _ => audit::permit(app, op, action, &Target::entry(entry)).await,
    }
}

/// Says what a file is.
pub async fn sniff(app: &App, _op: &Op, path: &std::path::Path, name: &str) -> Result<Sniffed> {
    app.intake.sniff(path, name).await
}

/// Says what a file is that is about to be collected.
pub async fn glance(app: &App, _op: &Op, path: &std::path::Path, name: &str) -> Result<Sniffed> {
    app.intake.glance(path, name).await
}

/// Starts a collection in the background and answers its run at once.
pub async fn start(app: &Arc<App>, op: &Op, order: Order) -> Result<Run> {
    let job = prepare::prepare(app, op, order).await?;
    let run = job.run.clone();
    drop(tokio::spawn(work::guarded(Arc::clone(app), job)));
    Ok(run)
}

/// Collects and waits for the end. The work goes on even when the caller does not wait any more.
pub async fn collect(app: &Arc<App>, op: &Op, order: Order) -> Result<Run> {
    let job = prepare::prepare(app, op, order).await?;
    tokio::spawn(work::guarded(Arc::clone(app), job))
        .await
        .map_err(|e| Error::internal("the collection's task ended early").caused_by(e))
}

/// Collects for a channel of the platform, in a run whose id was kept before it begins: after a crash the channel looks for
/// that run. Waits for the end.
pub(crate) async fn collect_as(
    app: &Arc<App>,
    op: &Op,
    order: Order,
    channel: &str,
    run: &str,
) -> Result<Run> {
    let given = prepare::Given { channel, run: Some(run), parcel: None };
    let job = prepare::prepare_as(app, op, order, Some(given)).await?;
    tokio::spawn(work::guarded(Arc::clone(app), job))
        .await
        .map_err(|e| Error::internal("the collection's task ended early").caused_by(e))
}

/// Reads and types everything, lands nothing: the run as it would be, with the first rejects (at most 100).
/// A file in the inbox is taken away afterwards.
pub async fn dry_run(app: &App, op: &Op, order: Order) -> Result<(Run, Vec<Reject>)> {
    let entry = catalogue::get(app, op, &order.entry).await?;
    allowed(app, op, Action::DataCollect, &entry).await?;
    let mut run = work::new_run(app, op, &entry, &order);
    let read = rehearse(app, &entry, &order, &mut run).await;
    if let Source::File { path, .. } = &order.source
        && spool::in_inbox(app, path)
    {
        spool::discard(path).await;
    }
    let rejects = read?;
    run.state = RunState::Succeeded;
    run.finished_at = Some(stamp(app.now()));
    Ok((run, rejects))
}

async fn rehearse(app: &App, entry: &Entry, order: &Order, run: &mut Run) -> Result<Vec<Reject>> {
    let mut reading = app.intake.read(&order.source, &entry.draft.items, &order.options).await?;
    run.bytes_total = reading.bytes_total;
    let mut rejects = Vec::new();
    while let Some(chunk) = reading.chunks.next().await {
        let chunk = chunk?;
        work::check_chunk(&chunk)?;
        run.read += chunk.read;
        run.accepted += chunk.batch.rows() as u64;
        run.quarantined += chunk.rejects.len() as u64;
        run.bytes_done = chunk.bytes_done;
        let room = REJECTS_SHOWN.saturating_sub(rejects.len());
        rejects.extend(chunk.rejects.into_iter().take(room));
    }
    Ok(rejects)
}

/// One run with live figures. A run the caller may not know of is not found.
pub async fn run(app: &App, op: &Op, id: &str) -> Result<Run> {
    let record = known(app, op, id).await?;
    Ok(app.collections.of(id).unwrap_or(record.run))
}

/// A run the caller may look at.
async fn known(app: &App, op: &Op, id: &str) -> Result<RunRecord> {
    let missing = || Error::not_found("归集任务", "collection run", id);
    let record = app.store.run_get(id).await?.ok_or_else(missing)?;
    if op.actor == Actor::System {
        return Ok(record);
    }
    let target = Target::of_org("Entry", &record.run.entry, &record.org);
    audit::permit_hidden(app, op, Action::RunRead, &target, id, missing).await?;
    Ok(record)
}

/// Waits until the figures or the state of a running collection change; answers at once when it is not running here.
pub async fn changed(app: &App, id: &str) {
    let watched = app.collections.live.lock().get(id).map(watch::Sender::subscribe);
    if let Some(mut watched) = watched {
        // An error says that the run has ended, which is a change too.
        let _ = watched.changed().await;
    }
}

/// Runs the caller may see, newest first; of one entry when given.
pub async fn runs(
    app: &App,
    op: &Op,
    entry: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<Run>> {
    runs_where(app, op, &Which { entry, ..Which::default() }, after, limit).await
}

/// Which runs a list wants.
#[derive(Clone, Copy, Debug, Default)]
pub struct Which<'a> {
    /// Entry id or code.
    pub entry: Option<&'a str>,
    pub state: Option<RunState>,
    /// Started on this day (in China).
    pub day: Option<chrono::NaiveDate>,
    /// Started at this stamp or later.
    pub since: Option<&'a str>,
}

/// The same, by state and day.
pub async fn runs_where(
    app: &App,
    op: &Op,
    which: &Which<'_>,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<Run>> {
    let entry = which.entry;
    let of_org = |org: &str| Target::of_org("Entry", entry.unwrap_or("runs"), org);
    let all = op.actor == Actor::System || app.may(op, Action::RunRead, &of_org(""));
    let own = op.actor.org().filter(|_| !all);
    if !all {
        audit::permit(app, op, Action::RunRead, &of_org(own.unwrap_or_default())).await?;
    }
    let entry = match entry {
        Some(entry) => Some(catalogue::get(app, op, entry).await?.id),
        None => None,
    };
    let limit = if limit == 0 { 50 } else { limit.min(999) };
    let bounds = which.day.map(crate::dispatch::day_bounds).transpose()?;
    let filter = RunFilter {
        entry: entry.as_deref(),
        org: own,
        state: which.state.map(RunState::as_str),
        from: bounds.as_ref().map(|(from, _)| from.as_str()).or(which.since),
        to: bounds.as_ref().map(|(_, to)| to.as_str()),
        after,
        limit: limit + 1,
        ..RunFilter::default()
    };
    let mut items: Vec<Run> =
        app.store.run_list(&filter).await?.into_iter().map(|r| r.run).collect();
    for run in &mut items {
        if let Some(live) = app.collections.of(&run.id) {
            *run = live;
        }
    }
    Ok(Page::cut(items, limit, |run| run.id.clone()))
}

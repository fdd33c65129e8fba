//! Healing: rows that differ are read again at the source and landed, and nothing else is touched.
//!
//! What is landed must not be older than anything that landed before. So the table's version is noted first, then the
//! source is read, and the parcel lands only if nothing has landed since (`Prints::land_upon`): whatever the rail lands
//! later is of the log after that moment, and leads to the same rows. The parcel carries no position: the rail's stays.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use model::code::SyncMode;
use model::entry::Entry;
use model::op::stamp;
use model::parcel::ParcelHead;
use model::rail::IncidentKind;
use model::reconcile::{Difference, FeedKind, Key, ReconcileState, Reconciliation, RowPrint};
use model::{Code, Error, Op, Result};
use policy::port::LandTarget;
use policy::{Action, Permit, Target};
use store::reconcile::ReconcileFilter;
use tokio::time::Instant;

use super::feed::{Own, heal_prefix};
use super::sight::{self, Sight};
use crate::rail::{incident, system_permit};
use crate::{App, audit, collection, rail};

/// How often healing that waits is looked for.
const LOOK: Duration = Duration::from_secs(1);
/// Rows healed together.
const TOGETHER: u32 = 500;
/// The same, in pages of those, where reading a few rows costs as much as reading all.
const PAGES_OF_DEAR: u32 = 40;
/// Attempts to land between two landings of the rail.
const TRIES: u32 = 50;

/// Takes up healing that waits for rails of this process. Called with the rails' own tick.
pub async fn tick(app: &Arc<App>) -> Result<()> {
    {
        let mut looked = app.reconciles.looked.lock();
        if looked.get(&()).is_some_and(|at| at.elapsed() < LOOK) {
            return Ok(());
        }
        looked.insert((), Instant::now());
    }
    let filter = ReconcileFilter {
        state: Some(ReconcileState::Healing),
        limit: 100,
        ..ReconcileFilter::default()
    };
    for run in app.store.reconcile_list(&filter).await? {
        // Rows of a rail are healed where it is followed, all others by any worker.
        let elsewhere = run.kind == FeedKind::Rail && !rail::runs_here(app, &run.feed);
        if elsewhere || !app.reconciles.healing.lock().insert(run.id.clone()) {
            continue;
        }
        let app = Arc::clone(app);
        drop(tokio::spawn(async move {
            let id = run.id.clone();
            if let Err(error) = guarded(&app, run).await {
                tracing::error!(
                    reconciliation = id,
                    error = error.operator_text(),
                    "healing was not kept"
                );
            }
            app.reconciles.healing.lock().remove(&id);
        }));
    }
    Ok(())
}

async fn guarded(app: &Arc<App>, mut run: Reconciliation) -> Result<()> {
    let permit = system_permit(app).await?;
    let outcome = heal(app, &permit, &mut run).await;
    match outcome {
        Ok(()) => {
            run.state = ReconcileState::Healed;
            let mut told = (
                format!("{} 的差异已补正：{} 行从数据源重读入湖", run.place, run.healed),
                format!(
                    "the differences of {} are healed: {} rows read again",
                    run.place, run.healed
                ),
            );
            let left = run.differences().saturating_sub(run.healed);
            if left > 0 {
                told.0.push_str(&format!("；其余 {left} 行未逐行记录，请再次核对并补正"));
                told.1
                    .push_str(&format!("; {left} more were only counted: compare and heal again"));
            }
            (run.zh, run.en) = told.clone();
            app.store.rail_incident_close(&permit, &run.id).await?;
            let rail = match run.kind {
                FeedKind::Rail => app.store.rail_get(&run.feed).await?,
                _ => None,
            };
            if let Some(record) = rail {
                let of = (Some(run.place.as_str()), None);
                incident(app, &permit, &record.rail, of, IncidentKind::Healed, &told, false)
                    .await?;
            }
        }
        Err(error) => {
            run.state = ReconcileState::Differs;
            let (zh, en) = rail::told(&error);
            run.zh = format!("补正未完成：{zh}");
            run.en = format!("healing did not end: {en}");
        }
    }
    run.finished_at = Some(stamp(app.now()));
    app.store.reconcile_update(&permit, &run, ReconcileState::Healing).await?;
    Ok(())
}

async fn heal(app: &Arc<App>, permit: &Permit, run: &mut Reconciliation) -> Result<()> {
    let missing = || Error::not_found("目录", "entry", &run.entry);
    let entry = app.store.entry_get(&run.entry).await?.ok_or_else(missing)?;
    let system = Op::system(app.now());
    let collect = audit::permit(app, &system, Action::DataCollect, &Target::entry(&entry)).await?;
    let org = app.store.org_require(&entry.draft.org).await?;
    let target = LandTarget { entry: entry.clone(), org_name: org.name_cn, org_uscc: org.uscc };
    let (sight, own) = sight::open(app, &entry, run).await?;
    let pages = if sight.dear() { PAGES_OF_DEAR } else { 1 };
    let mender = Mender { app, permit, collect, entry, target, sight, own };
    let mut after = 0;
    loop {
        let mut some = Vec::new();
        for _ in 0..pages {
            let page = app.store.differences(&run.id, true, after, TOGETHER).await?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            some.extend(page);
        }
        if some.is_empty() {
            return Ok(());
        }
        mender.rows(&some, run).await?;
        let seqs: Vec<u64> = some.iter().map(|d| d.seq).collect();
        app.store.difference_healed(permit, &run.id, &seqs).await?;
        run.healed += some.len() as u64;
    }
}

struct Mender<'a> {
    app: &'a Arc<App>,
    permit: &'a Permit,
    collect: Permit,
    entry: Entry,
    target: LandTarget,
    sight: Sight,
    own: Own,
}

impl Mender<'_> {
    /// Reads rows again and lands them, between two landings of anybody else.
    async fn rows(&self, some: &[Difference], run: &Reconciliation) -> Result<()> {
        let keys: Vec<Key> = some.iter().map(|d| d.key.clone()).collect();
        for _ in 0..TRIES {
            let _alone = self.app.collections.lock_of(&self.entry.id).lock_owned().await;
            match self.once(&keys, run).await {
                Err(error) if error.code() == Code::Stale => {}
                ended => return ended,
            }
        }
        Err(Error::of(Code::Stale).detail("reconcile: the table never stood still"))
    }

    async fn once(&self, keys: &[Key], run: &Reconciliation) -> Result<()> {
        let Self { app, entry, sight, .. } = self;
        let stands = app.lake.version_of(&entry.draft.code).await?;
        let version = stands.ok_or_else(never_landed)?;
        let head = sight.head().await?;
        let record = u64::from_str_radix(&head, 16).unwrap_or(1);
        let mut rows = sight.rows_of(keys, record).await?;
        // Rows that have moved on since will come by their channel.
        let newer = sight.newer(keys).await?;
        let held = app.lake.prints_of(self.permit, entry, keys).await?;
        let (own, others): (Vec<RowPrint>, Vec<RowPrint>) =
            held.into_iter().partition(|row| self.own.holds(&row.parcel, &row.source));
        let others: HashSet<Key> = others.into_iter().map(|row| row.key).collect();
        if !others.is_empty() {
            let ours = |key: &Key| !others.contains(key);
            let places: Vec<usize> =
                (0..rows.keys.len()).filter(|n| rows.keys.get(*n).is_some_and(ours)).collect();
            rows.batch = rows.batch.pick(&places);
        }
        // What is gone at the source is deleted; a row that does not fit waits for somebody to mend it.
        let gone: Vec<Key> = own
            .into_iter()
            .map(|row| row.key)
            .filter(|key| !rows.keys.contains(key) && !rows.misfits.contains(key))
            .filter(|key| !newer.contains(key))
            .collect();
        if !gone.is_empty() {
            rows.batch.append(sight.deletes(app, entry, &gone, record).await?);
        }
        if rows.batch.rows() == 0 {
            return Ok(());
        }
        let op = Op::system(app.now());
        let prefix = match run.kind {
            FeedKind::Rail => "heal-".to_owned(),
            _ => heal_prefix(&run.feed),
        };
        let parcel = ParcelHead {
            id: format!("{prefix}{}", op.new_id()),
            entry: entry.id.clone(),
            mode: SyncMode::Incremental,
            channel: run.kind.as_str().into(),
            source: run.place.clone(),
            checksum: String::new(),
            track: None,
            goes_on: false,
        };
        let batch = futures::stream::iter([Ok(rows.batch)]).boxed();
        let landing =
            app.lake.land_upon(&self.collect, &op, &parcel, &self.target, batch, version).await?;
        let mode = SyncMode::Incremental;
        let version = landing.version;
        collection::bring(app, &self.collect, entry, mode, &parcel.id, version).await.map(|_| ())
    }
}

fn never_landed() -> Error {
    Error::new(
        Code::WrongState,
        "湖中还没有该目录的任何数据，无从补正；请先运行该通道",
        "nothing of this entry has ever landed, so there is nothing to heal; run its channel first",
    )
}

//! Healing: rows that differ are read again at the source and landed, and nothing else is touched. And the worker's turns.
//!
//! What is landed must not be older than anything that landed before. So the table's version is noted first, then the
//! source is read, and the parcel lands only if nothing has landed since (`Prints::land_upon`): whatever the rail lands
//! later is of the log after that moment, and leads to the same rows. The parcel carries no position: the rail's stays.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use model::code::SyncMode;
use model::entry::Entry;
use model::op::stamp;
use model::parcel::ParcelHead;
use model::rail::{IncidentKind, RailState};
use model::reconcile::{Difference, Key, ReconcileState, Reconciliation};
use model::{Code, Error, Op, Result};
use policy::port::{LandTarget, ProbeTable};
use policy::{Action, Permit, Target};
use store::Backend;
use store::reconcile::ReconcileFilter;
use tokio::time::Instant;

use super::{compare, desk};
use crate::rail::{incident, system_permit};
use crate::{App, audit, collection, rail};

/// How often healing that waits is looked for.
const LOOK: Duration = Duration::from_secs(1);
/// Rows healed together.
const TOGETHER: u32 = 500;
/// Attempts to land between two landings of the rail.
const TRIES: u32 = 50;
/// A comparison of another process that has not ended after so long has died.
const DEAD: TimeDelta = TimeDelta::hours(12);
/// Comparisons of one turn of the job.
const TURN: usize = 20;

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
        if !rail::runs_here(app, &run.rail) || !app.reconciles.healing.lock().insert(run.id.clone())
        {
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
            let told = (
                format!("表 {} 的差异已补正：{} 行从数据源重读入湖", run.place, run.healed),
                format!(
                    "the differences of {} are healed: {} rows read again",
                    run.place, run.healed
                ),
            );
            (run.zh, run.en) = told.clone();
            app.store.rail_incident_close(&permit, &run.id).await?;
            if let Some(record) = app.store.rail_get(&run.rail).await? {
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
    let (_, table) = compare::probe(app, &entry, run).await?;
    let mender = Mender { app, permit, collect, entry, target, table };
    let mut after = 0;
    loop {
        let some = app.store.differences(&run.id, true, after, TOGETHER).await?;
        let Some(last) = some.last() else { return Ok(()) };
        after = last.seq;
        mender.rows(&some, &run.place).await?;
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
    table: Arc<dyn ProbeTable>,
}

impl Mender<'_> {
    /// Reads rows again and lands them, between two landings of anybody else.
    async fn rows(&self, some: &[Difference], place: &str) -> Result<()> {
        let keys: Vec<Key> = some.iter().map(|d| d.key.clone()).collect();
        for _ in 0..TRIES {
            let _alone = self.app.collections.lock_of(&self.entry.id).lock_owned().await;
            match self.once(&keys, place).await {
                Err(error) if error.code() == Code::Stale => {}
                ended => return ended,
            }
        }
        Err(Error::of(Code::Stale).detail("reconcile: the table never stood still"))
    }

    async fn once(&self, keys: &[Key], place: &str) -> Result<()> {
        let Self { app, entry, .. } = self;
        let stands = app.lake.version_of(&entry.draft.code).await?;
        let version = stands.ok_or_else(|| Error::internal("reconcile: an empty lake"))?;
        let head = self.table.head().await?;
        let record = u64::from_str_radix(&head, 16).unwrap_or(0);
        let mut rows = self.table.rows_of(keys, record).await?;
        let held = app.lake.prints_of(self.permit, entry, keys).await?;
        // What is gone at the source is deleted; a row that does not fit waits for somebody to mend it.
        let gone: Vec<Key> = held
            .into_iter()
            .map(|row| row.key)
            .filter(|key| !rows.keys.contains(key) && !rows.misfits.contains(key))
            .collect();
        if !gone.is_empty() {
            rows.batch.append(self.table.deletes(&gone, record));
        }
        if rows.batch.rows() == 0 {
            return Ok(());
        }
        let op = Op::system(app.now());
        let parcel = ParcelHead {
            id: format!("heal-{}", op.new_id()),
            entry: entry.id.clone(),
            mode: SyncMode::Incremental,
            channel: "rail".into(),
            source: place.to_owned(),
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

/// One turn of the job: tables whose time has come are compared, one after another. Answers how many were.
pub async fn due(app: &Arc<App>) -> Result<u64> {
    bury(app).await?;
    let (mut after, mut done) = (None::<String>, 0);
    loop {
        let page = app.store.rail_list(None, after.as_deref(), 200).await?;
        let Some(last) = page.last() else { return Ok(done) };
        after = Some(last.rail.id.clone());
        for record in page.iter().filter(|record| record.figures.state == RailState::Streaming) {
            let channel = model::oversight::rail_channel(&record.rail.id);
            let set = crate::oversight::rule(app, &channel).await?;
            let rules = &app.rules.oversight.reconcile;
            let hours = set.reconcile_hours.unwrap_or(rules.every_hours);
            if hours == 0 {
                continue;
            }
            for table in app.store.rail_tables(&record.rail.id).await? {
                if done >= TURN as u64 {
                    return Ok(done);
                }
                let heal = set.heal.unwrap_or(rules.heal);
                done += u64::from(in_turn(app, &table.table.entry, hours, heal).await?);
            }
        }
    }
}

/// Compares an entry if its last comparison is old enough, and waits for the end.
async fn in_turn(app: &Arc<App>, entry: &str, hours: u64, heal: bool) -> Result<bool> {
    let filter = ReconcileFilter { entry: Some(entry), limit: 1, ..ReconcileFilter::default() };
    let last = app.store.reconcile_list(&filter).await?.into_iter().next();
    let at = last.and_then(|run| DateTime::parse_from_rfc3339(&run.started_at).ok());
    let every = TimeDelta::hours(i64::try_from(hours).unwrap_or(24 * 366));
    if at.is_some_and(|at| at.with_timezone(&Utc) + every > app.now()) {
        return Ok(false);
    }
    let Some(entry) = app.store.entry_get(entry).await? else { return Ok(false) };
    let op = Op::system(app.now());
    let permit = audit::permit(app, &op, Action::DataCollect, &Target::entry(&entry)).await?;
    match desk::begin(app, &op, &permit, &entry, heal).await {
        Ok(run) => desk::wait(app, &op, &run.id).await.map(|_| true),
        // Somebody is at it already.
        Err(error) if error.code() == Code::WrongState => Ok(false),
        Err(error) => Err(error),
    }
}

/// Comparisons whose process has died are said to be so.
async fn bury(app: &App) -> Result<()> {
    let filter = ReconcileFilter {
        state: Some(ReconcileState::Running),
        limit: 200,
        ..ReconcileFilter::default()
    };
    let alone = app.store.backend() == Backend::Sqlite;
    for mut run in app.store.reconcile_list(&filter).await? {
        let begun = DateTime::parse_from_rfc3339(&run.started_at).ok();
        let old = begun.is_none_or(|at| at.with_timezone(&Utc) + DEAD < app.now());
        if app.reconciles.comparing.lock().contains(&run.entry) || !(alone || old) {
            continue;
        }
        run.state = ReconcileState::Failed;
        run.finished_at = Some(stamp(app.now()));
        (run.zh, run.en) = (
            "平台重启，核对中断，请重新核对".into(),
            "the platform was restarted meanwhile; compare again".into(),
        );
        app.store
            .reconcile_update(&system_permit(app).await?, &run, ReconcileState::Running)
            .await?;
    }
    Ok(())
}

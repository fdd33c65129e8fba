//! One rail from its slot to the end of its log: what a process does that follows it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use model::rail::{
    IncidentKind, Rail, RailBasis, RailColumn, RailFigures, RailPolicy, RailState, RailWish,
    TableState,
};
use model::{Code, Error, Op, Result};
use parking_lot::Mutex;
use policy::port::{Chunk, LandTarget, RailBinding, RailLine, RailPiece, SlotState};
use policy::{Action, Permit, Target};
use tokio::sync::watch;
use tokio::time::Instant;

use super::desk;
use super::land::{Bound, Place};
use super::work::{self, Ended, OWNER};
use crate::{App, audit, lease, reconcile};

/// How often the lease is renewed, the figures are kept and the wish is looked at.
const BEAT: Duration = Duration::from_secs(1);

/// A rail being followed.
struct Drive {
    app: Arc<App>,
    rail: Rail,
    permit: Permit,
    tables: Vec<Arc<Bound>>,
    figures: Mutex<RailFigures>,
    /// Figures as last kept.
    kept: Mutex<RailFigures>,
    /// Rows landed since the start, for the rate.
    rows: Mutex<u64>,
    stop: watch::Sender<bool>,
}

/// An error with its first fields, in both languages.
pub(crate) fn told(error: &Error) -> (String, String) {
    let (mut zh, mut en) = (error.zh().to_owned(), error.en().to_owned());
    for field in error.fields().iter().take(5) {
        zh.push_str(&format!("；{}：{}", field.field, field.zh));
        en.push_str(&format!("; {}: {}", field.field, field.en));
    }
    (zh, en)
}

/// Follows a rail until it is paused, held, stopped or broken.
pub(super) async fn drive(app: &Arc<App>, id: &str) -> Result<Ended> {
    let missing = || Error::not_found("数据高铁", "rail", id);
    let record = app.store.rail_get(id).await?.ok_or_else(missing)?;
    let permit = work::permit(app).await?;
    let drive = Arc::new(Drive {
        app: Arc::clone(app),
        tables: bound(app, &record.rail).await?,
        rail: record.rail,
        permit,
        kept: Mutex::new(record.figures.clone()),
        figures: Mutex::new(record.figures),
        rows: Mutex::new(0),
        stop: watch::Sender::new(false),
    });
    let mut ended = tokio::select! {
        ended = drive.follow() => ended,
        ended = drive.beat() => ended,
    };
    if let Some(held) = drive.over_budget().await? {
        ended = Ok(held);
    }
    // What was found last is kept whatever happened, if the rail is still ours.
    match drive.keep().await {
        Ok(()) => ended,
        Err(e) if ended.is_ok() => Err(e),
        Err(_) => ended,
    }
}

/// Tables with their entries as they are now.
async fn bound(app: &App, rail: &Rail) -> Result<Vec<Arc<Bound>>> {
    let op = Op::system(app.now());
    let mut tables = Vec::new();
    let budget = crate::oversight::budget(app, &model::oversight::rail_channel(&rail.id)).await?;
    for kept in app.store.rail_tables(&rail.id).await? {
        let table = kept.table;
        let missing = || Error::not_found("目录", "entry", &table.entry_code);
        let entry = app.store.entry_get(&table.entry).await?.ok_or_else(missing)?;
        let permit = audit::permit(app, &op, Action::DataCollect, &Target::entry(&entry)).await?;
        let org = app.store.org_require(&entry.draft.org).await?;
        let target = LandTarget { entry: entry.clone(), org_name: org.name_cn, org_uscc: org.uscc };
        tables.push(Arc::new(Bound::new(table, kept.figures, entry, target, permit, budget)));
    }
    Ok(tables)
}

impl Drive {
    async fn follow(&self) -> Result<Ended> {
        let figures = self.figures.lock().clone();
        let mut at = work::address(&self.app, &self.rail, &figures).await?;
        self.certain(&mut at).await?;
        let bindings: Vec<RailBinding> = self
            .tables
            .iter()
            .map(|bound| RailBinding {
                place: bound.table.place.clone(),
                items: bound.entry.draft.items.clone(),
                known: bound.figures.lock().columns.clone(),
            })
            .collect();
        let line = self.app.rails.port.open(&at, &bindings, self.app.rules.rail.pace()).await?;
        {
            let mut figures = self.figures.lock();
            figures.begun = true;
            figures.confirmed = line.start();
            figures.state = RailState::Snapshot;
        }
        self.keep().await?;
        for (bound, shape) in self.tables.iter().zip(line.shapes()) {
            bound.level(&self.app).await?;
            let mut figures = bound.figures.lock();
            if figures.columns.is_empty() {
                figures.columns = shape;
            }
        }
        if !self.snapshots(&line).await? {
            return Ok(Ended::Paused);
        }
        {
            let mut figures = self.figures.lock();
            figures.state = RailState::Streaming;
            (figures.zh, figures.en, figures.failures) = (String::new(), String::new(), 0);
        }
        self.app.rails.following.at_once(&self.rail.id);
        self.keep().await?;
        self.compare().await?;
        self.stream(line).await
    }

    /// Makes sure that the slot is the one that was made, or says what was lost.
    async fn certain(&self, at: &mut policy::port::RailAddress) -> Result<()> {
        let port = &self.app.rails.port;
        let slot = port.slot(at).await?;
        let (begun, system, known) = {
            let figures = self.figures.lock();
            (figures.begun, figures.system.clone(), figures.kin.contains(&slot.system))
        };
        let moved = begun && !system.is_empty() && system != slot.system;
        let other = moved && !slot.heir && !known;
        let lost = match &slot.state {
            SlotState::Lost(why) => Some(why.clone()),
            SlotState::Missing if begun => Some("missing".to_owned()),
            _ => None,
        };
        if other || lost.is_some() {
            self.app.store.rail_anew(&self.permit, &self.rail.id, None, true).await?;
            let by_slot = slot.basis == RailBasis::Slot;
            let (kind, told) = match (&lost, other) {
                (Some(why), _) if !by_slot => (IncidentKind::SlotLost, log_lost(why)),
                (_, true) => (IncidentKind::OtherSource, other_source()),
                (Some(why), _) => (IncidentKind::SlotLost, slot_lost(&self.rail.slot, why)),
                (None, false) => return Err(Error::internal("rail: nothing was lost")),
            };
            self.incident(None, kind, &told, false).await?;
            // A slot that has lost its log is of no use; one of another database began elsewhere.
            if slot.state != SlotState::Missing {
                port.release(at, false).await?;
            }
            at.from.clear();
            let mut figures = self.figures.lock();
            (figures.begun, figures.kin) = (false, Vec::new());
        } else if moved {
            {
                let mut figures = self.figures.lock();
                figures.compare = true;
                if !figures.kin.contains(&system) {
                    figures.kin.push(system);
                }
            }
            self.incident(None, IncidentKind::Moved, &moved_on(&at.from), false).await?;
        }
        {
            let mut figures = self.figures.lock();
            (figures.system, figures.basis) = (slot.system, Some(slot.basis));
        }
        self.keep().await
    }

    /// After a failover every table is compared with the lake: what was read of the former server and never reached this one
    /// (rows of a snapshot carry no names) is found row by row, and healed.
    async fn compare(&self) -> Result<()> {
        if !self.figures.lock().compare {
            return Ok(());
        }
        let op = Op::system(self.app.now());
        for bound in &self.tables {
            match reconcile::start(&self.app, &op, &bound.entry.id, true).await {
                // Somebody is at it already.
                Err(error) if error.code() == Code::WrongState => {}
                begun => drop(begun?),
            }
        }
        self.figures.lock().compare = false;
        self.keep().await
    }

    /// Snapshots of the tables that need one, some side by side; `false` when asked to stop.
    async fn snapshots(&self, line: &Arc<dyn RailLine>) -> Result<bool> {
        let anew: HashMap<String, bool> = self
            .app
            .store
            .rail_tables(&self.rail.id)
            .await?
            .into_iter()
            .map(|kept| (kept.table.place, kept.table.anew))
            .collect();
        let parallel = self.app.rules.rail.parallel.max(1);
        futures::stream::iter(self.tables.iter().enumerate().map(Ok::<_, Error>))
            .try_for_each_concurrent(parallel, |(at, bound)| {
                let whole = anew.get(&bound.table.place).copied().unwrap_or(false);
                self.snapshot(line, at, bound, whole)
            })
            .await?;
        Ok(!*self.stop.borrow())
    }

    async fn snapshot(
        &self,
        line: &Arc<dyn RailLine>,
        at: usize,
        bound: &Arc<Bound>,
        whole: bool,
    ) -> Result<()> {
        let app = &self.app;
        let start = line.start();
        if whole {
            if *self.stop.borrow() {
                return Ok(());
            }
            let rows = line.rows(at, None).await?;
            let landed = bound.whole(app, rows, &start).await?;
            bound.figures.lock().columns = line.shapes().get(at).cloned().unwrap_or_default();
            let told = (
                format!("表 {} 已整表核补：{landed} 行", bound.table.place),
                format!("table {} was read anew as a whole: {landed} rows", bound.table.place),
            );
            return self
                .incident(Some(&bound.table.place), IncidentKind::Healed, &told, false)
                .await;
        }
        let (mut chunks, after) = match bound.place(app).await? {
            Place::Log(_) => {
                bound.figures.lock().state = TableState::Streaming;
                return Ok(());
            }
            Place::Nothing => (0, None),
            Place::Snapshot { chunks, cursor } => (chunks, Some(cursor)),
        };
        let mut rows = line.rows(at, after).await?;
        while let Some(some) = rows.next().await {
            if *self.stop.borrow() {
                return Ok(());
            }
            let some = some?;
            *self.rows.lock() += some.chunk.read;
            bound.chunk(app, some, chunks).await?;
            chunks += 1;
        }
        bound.snapshot_done(app, chunks, &start).await
    }

    /// The log, until it breaks or somebody stops it.
    async fn stream(&self, line: Arc<dyn RailLine>) -> Result<Ended> {
        let mut after = Vec::new();
        for bound in &self.tables {
            after.push(match bound.place(&self.app).await? {
                Place::Log(position) => Some(position),
                _ => return Err(Error::internal("rail: a table without its snapshot")),
            });
        }
        let mut pieces = line.stream(after).await?;
        let mut stop = self.stop.subscribe();
        let mut round = Round::default();
        loop {
            let piece = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return Ok(Ended::Paused),
                piece = pieces.try_next() => piece?,
            };
            let Some(piece) = piece else {
                return Err(Error::of(Code::SourceUnavailable));
            };
            match piece {
                RailPiece::Changes { table, chunk, refused, position, committed } => {
                    round.rows += chunk.read;
                    round.bytes += chunk.batch.bytes();
                    round.pieces.push((table, chunk, refused, position, committed));
                    // A transaction cut into pieces lands as it comes; nothing waits for its end in memory.
                    let rules = &self.app.rules.rail;
                    if round.rows >= rules.gather_rows as u64 || round.bytes >= rules.gather_bytes {
                        self.land(&mut round).await?;
                    }
                }
                RailPiece::Truncated { table, position, committed } => {
                    self.land(&mut round).await?;
                    self.emptied(table, &position, committed).await?;
                }
                RailPiece::Shape { table, columns, differences, binding } => {
                    self.land(&mut round).await?;
                    let held = self.shape(table, columns, &differences, binding).await?;
                    if let Some(held) = held {
                        return Ok(held);
                    }
                }
                RailPiece::Lost { zh, en } => {
                    self.land(&mut round).await?;
                    self.app.store.rail_anew(&self.permit, &self.rail.id, None, true).await?;
                    self.incident(None, IncidentKind::SlotLost, &(zh, en), false).await?;
                    self.figures.lock().begun = false;
                    return Ok(Ended::Again);
                }
                RailPiece::Level(position) => {
                    self.land(&mut round).await?;
                    line.confirm(&position);
                    self.figures.lock().confirmed = position;
                    self.count().await?;
                }
            }
        }
    }

    /// Lands what has come, table beside table, each in its order.
    async fn land(&self, round: &mut Round) -> Result<()> {
        let taken = std::mem::take(round);
        let mut of_table: HashMap<usize, Vec<Piece>> = HashMap::new();
        for (table, chunk, refused, position, committed) in taken.pieces {
            of_table.entry(table).or_default().push((chunk, refused, position, committed));
        }
        *self.rows.lock() += taken.rows;
        let tables = of_table.into_iter().map(|(table, pieces)| async move {
            let bound = self.bound(table)?;
            for (chunk, refused, position, committed) in pieces {
                bound.changes(&self.app, chunk, &refused, &position, committed).await?;
            }
            Ok::<(), Error>(())
        });
        futures::future::try_join_all(tables).await?;
        Ok(())
    }

    fn bound(&self, table: usize) -> Result<&Arc<Bound>> {
        self.tables.get(table).ok_or_else(|| Error::internal("rail: a piece of no table"))
    }

    async fn emptied(&self, table: usize, position: &str, committed: i64) -> Result<()> {
        let bound = self.bound(table)?;
        bound.emptied(&self.app, position, committed).await?;
        let place = &bound.table.place;
        let told = (
            format!("源表 {place} 被清空（TRUNCATE），当前视图随之清空，历史版本仍可读"),
            format!(
                "the source truncated {place}; the present view is empty too, earlier versions stay readable"
            ),
        );
        self.incident(Some(place), IncidentKind::Truncated, &told, false).await
    }

    /// A table has other columns: by the policy it is held, or followed as far as it fits.
    async fn shape(
        &self,
        table: usize,
        columns: Vec<RailColumn>,
        differences: &[(String, String)],
        binding: bool,
    ) -> Result<Option<Ended>> {
        let bound = self.bound(table)?;
        let place = &bound.table.place;
        let list = |pick: fn(&(String, String)) -> &String, sep: &str| {
            differences.iter().map(|d| pick(d).as_str()).collect::<Vec<_>>().join(sep)
        };
        let (zh, en) = (list(|d| &d.0, "；"), list(|d| &d.1, "; "));
        let hold = binding || self.rail.policy == RailPolicy::Hold;
        let told = if hold {
            (
                format!(
                    "表 {place} 的结构已变更：{zh}。本条数据高铁已暂挂，变更之后的数据留在数据源日志中；请核对目录的数据项后恢复运行"
                ),
                format!(
                    "the columns of {place} have changed: {en}. The rail is held and what came after waits in the source's log; compare the entry's items, then resume"
                ),
            )
        } else {
            (
                format!("表 {place} 的结构已变更：{zh}。仍能对应的列继续同步"),
                format!(
                    "the columns of {place} have changed: {en}. Columns that still match go on"
                ),
            )
        };
        bound.figures.lock().columns = columns;
        self.keep().await?;
        let op = Op::system(self.app.now());
        let (app, table) = (&self.app, std::iter::once(&bound.table));
        let drafted = desk::known_tables(app, &op, &bound.permit, &self.rail, table).await;
        let told = match drafted {
            true => (
                format!("{}。已为目录生成变更草案，可在“结构变动”中采纳", told.0),
                format!(
                    "{}. A draft of the change waits for the entry's owner among its drifts",
                    told.1
                ),
            ),
            false => told,
        };
        let open = hold || self.rail.policy == RailPolicy::Alert;
        self.incident(Some(place), IncidentKind::Schema, &told, open).await?;
        Ok(hold.then_some(Ended::Held { zh: told.0, en: told.1 }))
    }

    /// Too many bad rows: the rail is held before them, and an incident says so.
    async fn over_budget(&self) -> Result<Option<Ended>> {
        let over = self.tables.iter().find_map(|bound| {
            let told = bound.over.lock().take()?;
            Some((bound.table.place.clone(), told))
        });
        let Some((place, told)) = over else { return Ok(None) };
        metrics::counter!("qt_budget_stops_total", "channel" => "rail").increment(1);
        self.incident(Some(&place), IncidentKind::Budget, &told, true).await?;
        Ok(Some(Ended::Held { zh: told.0, en: told.1 }))
    }

    async fn count(&self) -> Result<()> {
        let every = Duration::from_secs(self.app.rules.rail.count_seconds);
        for bound in &self.tables {
            bound.count(&self.app, every).await?;
        }
        Ok(())
    }

    async fn incident(
        &self,
        table: Option<&str>,
        kind: IncidentKind,
        told: &(String, String),
        open: bool,
    ) -> Result<()> {
        work::incident(&self.app, &self.permit, &self.rail, (table, None), kind, told, open).await
    }

    /// Renews the lease, keeps figures, measures the log held back, and stops the work when it is to stop.
    async fn beat(&self) -> Result<Ended> {
        let app = &self.app;
        let mut every = tokio::time::interval(BEAT);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let measure = Duration::from_secs(app.rules.rail.measure_seconds.max(1));
        let mut measured = Instant::now();
        let (mut rows, mut rated) = (0_u64, Instant::now());
        loop {
            every.tick().await;
            if !app.store.rail_beat(&self.permit, &self.rail.id, &lease::taken(app)).await? {
                return Ok(Ended::Elsewhere);
            }
            let wish = app.store.rail_get(&self.rail.id).await?.map(|r| r.rail.wish);
            if wish != Some(RailWish::Run) || app.rails.following.stopping() {
                self.stop.send_replace(true);
            }
            if rated.elapsed() >= Duration::from_secs(5) {
                let now = *self.rows.lock();
                let new = u32::try_from(now.saturating_sub(rows)).unwrap_or(u32::MAX);
                self.figures.lock().rate = f64::from(new) / rated.elapsed().as_secs_f64();
                (rows, rated) = (now, Instant::now());
            }
            if measured.elapsed() >= measure {
                measured = Instant::now();
                if let Some(ended) = self.measure().await? {
                    return Ok(ended);
                }
                if self.outdated().await? {
                    // It is taken up again at once, with the entries as they are now.
                    self.stop.send_replace(true);
                }
            }
            self.keep().await?;
        }
    }

    /// Whether an entry has other items or another key than when the rail was opened, or the error budget was set anew.
    async fn outdated(&self) -> Result<bool> {
        let channel = model::oversight::rail_channel(&self.rail.id);
        let budget = crate::oversight::budget(&self.app, &channel).await?;
        for bound in &self.tables {
            if bound.budget != budget {
                return Ok(true);
            }
            let now = self.app.store.entry_get(&bound.table.entry).await?;
            if now.is_none_or(|now| now.draft.items != bound.entry.draft.items) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn measure(&self) -> Result<Option<Ended>> {
        let mut figures = self.figures.lock().clone();
        let beyond = match work::measure(&self.app, &self.rail, &mut figures).await {
            Ok(beyond) => beyond,
            Err(error) => {
                // The log itself will tell when the source is gone.
                tracing::debug!(error = error.operator_text(), "the held log was not measured");
                return Ok(None);
            }
        };
        {
            let mut now = self.figures.lock();
            (now.held_bytes, now.head, now.measured_at) =
                (figures.held_bytes, figures.head, figures.measured_at);
        }
        let Some((zh, en)) = beyond else { return Ok(None) };
        work::give_up(&self.app, &self.permit, &self.rail).await?;
        self.incident(None, IncidentKind::Ceiling, &(zh.clone(), en.clone()), true).await?;
        Ok(Some(Ended::Stopped { zh, en }))
    }

    /// Keeps the figures of the rail, its tables and their runs.
    async fn keep(&self) -> Result<()> {
        let (store, owner) = (&self.app.store, self.app.collections.owner());
        let figures = self.figures.lock().clone();
        if *self.kept.lock() != figures {
            store.rail_figures(&self.permit, &self.rail.id, owner, &figures).await?;
            *self.kept.lock() = figures;
        }
        for bound in &self.tables {
            let figures = bound.figures.lock().clone();
            if *bound.kept.lock() == figures {
                continue;
            }
            store.rail_table_figures(&self.permit, owner, &bound.table, &figures).await?;
            if let Some(mut record) = store.run_get(&bound.table.run).await? {
                let run = &mut record.run;
                let before = (run.read, run.accepted, run.quarantined);
                (run.read, run.quarantined) = (figures.read, figures.quarantined);
                run.accepted = figures.read.saturating_sub(figures.quarantined);
                if before != (run.read, run.accepted, run.quarantined) {
                    store.run_update(&self.permit, OWNER, run).await?;
                }
            }
            *bound.kept.lock() = figures;
        }
        Ok(())
    }
}

type Piece = (Chunk, Vec<String>, String, i64);

/// Pieces that wait to be landed together.
#[derive(Default)]
struct Round {
    rows: u64,
    bytes: usize,
    pieces: Vec<(usize, Chunk, Vec<String>, String, i64)>,
}

fn slot_lost(slot: &str, why: &str) -> (String, String) {
    (
        format!(
            "数据源上的复制槽 {slot} 已丢失（{why}），其间的变更可能缺失；已重建复制槽，各表将整表核补"
        ),
        format!(
            "the replication slot {slot} was lost at the source ({why}) and changes may be missing; a new slot is made and the tables are read anew as a whole"
        ),
    )
}

fn log_lost(why: &str) -> (String, String) {
    (
        format!("数据源的日志不能从上次的位置接续（{why}），其间的变更可能缺失；各表将整表核补"),
        format!(
            "the source's log does not go on from where it was read ({why}) and changes may be missing; the tables are read anew as a whole"
        ),
    )
}

fn moved_on(from: &str) -> (String, String) {
    (
        format!(
            "数据源已换为另一台服务器（主备切换），已读取的事务它都有，按 GTID 从 {from} 接续，不重新读取；各表随后与湖中核对"
        ),
        format!(
            "the source is another server now (a failover) that has every transaction that was read; the rail goes on by GTID from {from} without reading anew, and the tables are then compared with the lake"
        ),
    )
}

fn other_source() -> (String, String) {
    (
        "数据源已不是原来的数据库（系统标识不同），原有位置无效；各表将整表核补".into(),
        "the source is not the database it was (its system identifier differs), so positions mean nothing; the tables are read anew as a whole".into(),
    )
}

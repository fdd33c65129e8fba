//! Pieces of a rail into parcels of the lake, the serving copy and the quarantine, for one table.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use futures::StreamExt;
use futures::stream::BoxStream;
use guard::hash::sha256_hex;
use model::batch::Batch;
use model::code::SyncMode;
use model::entry::Entry;
use model::op::stamp;
use model::oversight::Budget;
use model::parcel::{ParcelHead, Quarantined, Reject, Track};
use model::rail::{RailTable, TableFigures, TableState};
use model::{Code, Error, Op, Result};
use parking_lot::Mutex;
use policy::Permit;
use policy::port::{Chunk, LandTarget, RailRows};
use tokio::time::Instant;

use super::work::OWNER;
use crate::{App, catalogue, collection, oversight};

/// Counting takes one part of so many of a rail's time at most.
const COUNTS_PART: u32 = 20;

/// Where a table stands, as the lake says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing has come yet.
    Nothing,
    /// So many chunks of the snapshot have landed, the last with this key.
    Snapshot { chunks: u64, cursor: String },
    /// The log up to here.
    Log(String),
}

impl Place {
    pub(super) fn of_text(text: &str) -> Result<Self> {
        if let Some(position) = text.strip_prefix("w:") {
            return Ok(Self::Log(position.to_owned()));
        }
        let rest = text.strip_prefix("s:").and_then(|rest| rest.split_once(':'));
        match rest.and_then(|(n, cursor)| Some((n.parse().ok()?, cursor))) {
            Some((chunks, cursor)) => Ok(Self::Snapshot { chunks, cursor: cursor.to_owned() }),
            None => Err(Error::internal(format!("rail: the lake holds the position `{text}`"))),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Snapshot { chunks, cursor } => format!("s:{chunks}:{cursor}"),
            Self::Log(position) => format!("w:{position}"),
        }
    }
}

/// A table at work.
pub(super) struct Bound {
    pub(super) table: RailTable,
    pub(super) entry: Entry,
    pub(super) target: LandTarget,
    pub(super) figures: Mutex<TableFigures>,
    /// Figures as last kept.
    pub(super) kept: Mutex<TableFigures>,
    /// For landing, the serving copy and the catalogue.
    pub(super) permit: Arc<Permit>,
    /// Before when the entry's rows are not counted again.
    counted: Mutex<Option<Instant>>,
    dirty: Mutex<bool>,
    /// Rows of the entry as the serving copy has counted them with the parcel landed last.
    rows: Mutex<Option<u64>>,
    /// When so many rows were read, and how many of them were bad: what the error budget looks back on.
    window: Mutex<VecDeque<(Instant, u64, u64)>>,
    pub(super) budget: Budget,
    /// The budget was exceeded, in both languages.
    pub(super) over: Mutex<Option<(String, String)>>,
}

impl Bound {
    pub(super) fn new(
        table: RailTable,
        figures: TableFigures,
        entry: Entry,
        target: LandTarget,
        permit: Permit,
        budget: Budget,
    ) -> Self {
        Self {
            table,
            entry,
            target,
            kept: Mutex::new(figures.clone()),
            figures: Mutex::new(figures),
            permit: Arc::new(permit),
            counted: Mutex::default(),
            dirty: Mutex::new(true),
            rows: Mutex::default(),
            window: Mutex::default(),
            budget,
            over: Mutex::default(),
        }
    }

    /// Name of the table's track in the lake.
    fn track(&self) -> String {
        format!("rail-{}-{}", self.table.rail, self.table.place)
    }

    /// Where the lake stands.
    pub(super) async fn place(&self, app: &App) -> Result<Place> {
        match app.lake.position(&self.entry.draft.code, &self.track()).await? {
            Some(text) => Place::of_text(&text),
            None => Ok(Place::Nothing),
        }
    }

    /// Brings the serving copy level with the lake, which a crash may have left behind. A half-read table is not served:
    /// its snapshot goes on first.
    pub(super) async fn level(&self, app: &App) -> Result<()> {
        if matches!(self.place(app).await?, Place::Snapshot { .. }) {
            return Ok(());
        }
        let newest = app.lake.newest(&self.entry.draft.code).await?;
        let Some(newest) = newest.filter(|v| !v.parcel.is_empty()) else { return Ok(()) };
        let mode = SyncMode::parse(&newest.mode).unwrap_or(SyncMode::Incremental);
        let _alone = app.collections.lock_of(&self.entry.id).lock_owned().await;
        let (permit, entry, version) = (&self.permit, &self.entry, newest.version);
        let rows = collection::bring(app, permit, entry, mode, &newest.parcel, version).await?;
        *self.rows.lock() = rows;
        Ok(())
    }

    /// Lands rows with the place they lead to, in one transaction; then the serving copy follows, unless more of the
    /// snapshot is to come: then what was served before goes on being served.
    async fn land(
        &self,
        app: &App,
        mode: SyncMode,
        place: &Place,
        rows: BoxStream<'static, Result<Batch>>,
    ) -> Result<u64> {
        let _alone = app.collections.lock_of(&self.entry.id).lock_owned().await;
        let op = Op::system(app.now());
        let head = ParcelHead {
            id: format!("rail-{}", op.new_id()),
            entry: self.entry.id.clone(),
            mode,
            channel: "rail".into(),
            source: self.table.place.clone(),
            checksum: String::new(),
            track: Some(Track { name: self.track(), position: place.text() }),
            // Chunks are cut by the key, so no key is in two of them.
            goes_on: matches!(place, Place::Snapshot { chunks, .. } if *chunks > 1),
        };
        let landing = app.lake.land(&self.permit, &op, &head, &self.target, rows).await?;
        let (permit, entry) = (&self.permit, &self.entry);
        let rows = match place {
            Place::Snapshot { .. } => None,
            _ => collection::bring(app, permit, entry, mode, &head.id, landing.version).await?,
        };
        *self.rows.lock() = rows;
        *self.dirty.lock() = true;
        metrics::counter!("qt_rail_rows_total").increment(landing.rows);
        let mut figures = self.figures.lock();
        figures.position = place.text();
        figures.landed += landing.rows;
        figures.landed_at = Some(stamp(app.now()));
        Ok(landing.rows)
    }

    /// A chunk of the snapshot.
    pub(super) async fn chunk(&self, app: &App, rows: RailRows, chunks: u64) -> Result<()> {
        let RailRows { chunk, cursor } = rows;
        self.misfits(app, &chunk, |_| "s".to_owned()).await?;
        let read = chunk.read;
        let mode = if chunks == 0 { SyncMode::Full } else { SyncMode::Incremental };
        let place = Place::Snapshot { chunks: chunks + 1, cursor };
        self.land(app, mode, &place, one(chunk.batch)).await?;
        let mut figures = self.figures.lock();
        figures.snapshot_rows += read;
        figures.state = TableState::Snapshot;
        Ok(())
    }

    /// The snapshot is over: from here the log counts.
    pub(super) async fn snapshot_done(&self, app: &App, chunks: u64, start: &str) -> Result<()> {
        let mode = if chunks == 0 { SyncMode::Full } else { SyncMode::Incremental };
        let none = futures::stream::empty().boxed();
        self.land(app, mode, &Place::Log(start.to_owned()), none).await?;
        self.figures.lock().state = TableState::Streaming;
        Ok(())
    }

    /// The whole table anew in one parcel: what was there is replaced at once, or not at all.
    pub(super) async fn whole(
        self: &Arc<Self>,
        app: &Arc<App>,
        rows: BoxStream<'static, Result<RailRows>>,
        start: &str,
    ) -> Result<u64> {
        let system = super::work::permit(app).await?;
        app.store.quarantine_clear(&system, OWNER, &self.table.run).await?;
        {
            let mut figures = self.figures.lock();
            (figures.snapshot_rows, figures.state) = (0, TableState::Uncertain);
        }
        let (bound, house) = (Arc::clone(self), Arc::clone(app));
        // The lake tells that its stream failed; why is kept here.
        let fault = Arc::new(Mutex::new(None));
        let kept = Arc::clone(&fault);
        let batches = rows
            .then(move |rows| {
                let (bound, app, kept) = (Arc::clone(&bound), Arc::clone(&house), kept.clone());
                async move {
                    let taken = async {
                        let chunk = rows?.chunk;
                        bound.misfits(&app, &chunk, |_| "s".to_owned()).await?;
                        bound.figures.lock().snapshot_rows += chunk.read;
                        Ok(chunk.batch)
                    };
                    taken.await.map_err(|e: Error| {
                        *kept.lock() = Some(e);
                        Error::internal("the reading of a table broke off")
                    })
                }
            })
            .boxed();
        let landed = self.land(app, SyncMode::Full, &Place::Log(start.to_owned()), batches).await;
        let landed = landed.map_err(|e| fault.lock().take().unwrap_or(e))?;
        app.store.rail_anew(&system, &self.table.rail, Some(&self.table.place), false).await?;
        self.figures.lock().state = TableState::Streaming;
        Ok(landed)
    }

    /// Changes of the log.
    pub(super) async fn changes(
        &self,
        app: &App,
        chunk: Chunk,
        refused: &[String],
        position: &str,
        committed: i64,
    ) -> Result<()> {
        let places: Vec<&str> = refused.iter().map(String::as_str).collect();
        self.misfits(app, &chunk, |n| places.get(n).copied().unwrap_or("?").to_owned()).await?;
        self.land(app, SyncMode::Incremental, &Place::Log(position.to_owned()), one(chunk.batch))
            .await?;
        self.timed(app, committed);
        Ok(())
    }

    /// The source's table was emptied.
    pub(super) async fn emptied(&self, app: &App, position: &str, committed: i64) -> Result<()> {
        self.give_up_misfits(app).await?;
        let none = futures::stream::empty().boxed();
        self.land(app, SyncMode::Full, &Place::Log(position.to_owned()), none).await?;
        self.timed(app, committed);
        Ok(())
    }

    fn timed(&self, app: &App, committed: i64) {
        let Some(at) = DateTime::from_timestamp_micros(committed) else { return };
        let lag = (app.now() - at).num_milliseconds().max(0);
        metrics::histogram!("qt_rail_lag_seconds")
            .record(Duration::from_millis(lag.unsigned_abs()).as_secs_f64());
        let mut figures = self.figures.lock();
        figures.lag_ms = lag.unsigned_abs();
        figures.committed_at = Some(stamp(at));
    }

    /// Misfits into quarantine. Read again, they are the same rows: `at` tells the place of the n-th in the stream.
    async fn misfits(&self, app: &App, chunk: &Chunk, at: impl Fn(usize) -> String) -> Result<()> {
        collection::check_chunk(chunk)?;
        self.spend(app, chunk)?;
        let (now, items) = (stamp(app.now()), &self.entry.draft.items);
        let items: Vec<String> = items.iter().map(|i| i.identifier.clone()).collect();
        let rows: Vec<Quarantined> = chunk
            .rejects
            .iter()
            .enumerate()
            .map(|(n, reject)| Quarantined {
                id: format!("{}-{}", self.table.run, self.print(&at(n), reject)),
                run: self.table.run.clone(),
                entry: self.entry.id.clone(),
                reject: reject.clone(),
                items: items.clone(),
                state: "open".into(),
                at: now.clone(),
            })
            .collect();
        app.store.quarantine_insert(&self.permit, &rows).await?;
        let mut figures = self.figures.lock();
        figures.read += chunk.read;
        figures.quarantined += rows.len() as u64;
        Ok(())
    }

    /// Fails before anything of a chunk is kept when it would exceed the error budget: the position stays before it, and the
    /// chunk comes again when the rail goes on.
    fn spend(&self, app: &App, chunk: &Chunk) -> Result<()> {
        let bad = chunk.rejects.len() as u64;
        let oldest = Duration::from_secs(app.rules.oversight.budget.window_seconds.max(1));
        let (read, all) = {
            let mut window = self.window.lock();
            window.push_back((Instant::now(), chunk.read, bad));
            while window.front().is_some_and(|(at, ..)| at.elapsed() > oldest) {
                window.pop_front();
            }
            window.iter().fold((0, 0), |(read, bad), (_, r, b)| (read + r, bad + b))
        };
        {
            let mut figures = self.figures.lock();
            (figures.window_read, figures.window_bad) = (read, all);
        }
        metrics::counter!("qt_rail_bad_rows_total").increment(bad);
        if bad == 0 || !self.budget.exceeded(read, all) {
            return Ok(());
        }
        let (zh, en) =
            oversight::exceeded(&self.budget, read, all, &oversight::most(chunk.rejects.iter()));
        let place = &self.table.place;
        let told = (
            format!(
                "表 {place}：{zh}。本条数据高铁已暂挂，这些变更留在数据源日志中；请修正数据项、代码表或数据源后恢复运行"
            ),
            format!(
                "{place}: {en}. The rail is held and these changes wait in the source's log; mend the item, its code list or the source, then resume"
            ),
        );
        *self.over.lock() = Some(told.clone());
        Err(Error::new(Code::RuleBroken, told.0, told.1))
    }

    /// Rows set aside before the source's table was emptied are of no use any more.
    async fn give_up_misfits(&self, app: &App) -> Result<()> {
        let mut after = None;
        loop {
            let mut rows =
                app.store.misfits_of_run(&self.table.run, "", after.as_deref(), 500).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(last.id.clone());
            rows.iter_mut().for_each(|row| "dismissed".clone_into(&mut row.state));
            app.store.quarantine_update(&self.permit, &rows).await?;
        }
    }

    /// What a misfit is known by: its place in the log, and its cells.
    fn print(&self, at: &str, reject: &Reject) -> String {
        let cells: Vec<&str> =
            reject.cells.iter().map(|c| c.as_deref().unwrap_or("\u{0}")).collect();
        let text = format!("{at}\u{1e}{}", cells.join("\u{1f}"));
        format!("{at}-{}", sha256_hex(text.as_bytes()).get(..16).unwrap_or_default())
    }

    /// Rows and time of the entry, when something came and the last count is old enough.
    pub(super) async fn count(&self, app: &App, at_least: Duration) -> Result<()> {
        let begun = Instant::now();
        let due = self.counted.lock().is_none_or(|at| begun >= at);
        if !due || !std::mem::take(&mut *self.dirty.lock()) {
            return Ok(());
        }
        let known = *self.rows.lock();
        let rows = match known {
            Some(rows) => rows,
            None => app.lake.count(&self.entry).await?,
        };
        // A count that is costly comes seldom: the rail's time is for its rows.
        *self.counted.lock() = Some(Instant::now() + at_least.max(begun.elapsed() * COUNTS_PART));
        catalogue::landed(app, &Op::system(app.now()), &self.entry.id, rows).await?;
        Ok(())
    }
}

fn one(batch: Batch) -> BoxStream<'static, Result<Batch>> {
    let rows = (batch.rows() > 0).then_some(Ok(batch));
    futures::stream::iter(rows).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_were_written() {
        let snapshot = Place::Snapshot { chunks: 3, cursor: r#"["a:b","1"]"#.into() };
        for place in [snapshot, Place::Log("00A0.00000001".into())] {
            assert_eq!(Place::of_text(&place.text()).unwrap(), place);
        }
        assert!(Place::of_text("x").is_err());
    }
}

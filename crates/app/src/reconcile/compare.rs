//! One comparison: ranges, smaller ranges, rows, and rows again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use guard::print;
use model::entry::Entry;
use model::op::stamp;
use model::rail::{IncidentKind, RailState};
use model::reconcile::{
    Difference, DifferenceKind, FeedKind, Key, KeyRange, RangeSum, ReconcileState, Reconciliation,
    RowPrint,
};
use model::{Code, Error, Result};
use policy::Permit;
use policy::port::{ProbeRows, ProbeTable};
use tokio::time::Instant;

use super::feed::Own;
use super::sight::{self, Sight};
use super::words::words;
use crate::rail::{incident, system_permit};
use crate::{App, rail};

/// Rounds in which a suspicious row is looked at again, beyond those that must agree.
const ROUNDS: u32 = 3;
/// First pieces after which the figures are written, so that people see it move.
const TOLD_EVERY: u64 = 16;

/// Compares whatever happens, and keeps how it ended.
pub(super) async fn guarded(app: Arc<App>, entry: Entry, run: Reconciliation) {
    let (id, of) = (run.id.clone(), entry.id.clone());
    let inner = Arc::clone(&app);
    let ended = tokio::spawn(async move { whole(&inner, entry, run).await })
        .await
        .unwrap_or_else(|e| Err(Error::internal("a comparison's task ended early").caused_by(e)));
    if let Err(e) = ended {
        tracing::error!(
            reconciliation = id,
            error = e.operator_text(),
            "a comparison was not kept"
        );
    }
    app.reconciles.comparing.lock().remove(&of);
}

async fn whole(app: &Arc<App>, entry: Entry, run: Reconciliation) -> Result<()> {
    let permit = system_permit(app).await?;
    let mut compare = Compare {
        app: Arc::clone(app),
        permit,
        entry,
        run,
        own: Own::all(),
        notes: Vec::new(),
        suspects: Vec::new(),
        kept: 0,
        misfits: HashSet::new(),
    };
    let outcome = compare.compare().await;
    compare.end(outcome).await
}

pub(super) struct Compare {
    pub(super) app: Arc<App>,
    pub(super) permit: Permit,
    pub(super) entry: Entry,
    pub(super) run: Reconciliation,
    /// Which rows of the lake may be judged.
    own: Own,
    /// Said beside the figures.
    pub(super) notes: Vec<(String, String)>,
    /// Keys that looked different.
    pub(super) suspects: Vec<Key>,
    /// Differences kept.
    kept: u64,
    pub(super) misfits: HashSet<Key>,
}

/// A range with what both sides tell of it.
struct Piece {
    range: KeyRange,
    source: RangeSum,
    lake: RangeSum,
}

impl Compare {
    async fn compare(&mut self) -> Result<()> {
        self.streaming().await?;
        let (app, entry) = (Arc::clone(&self.app), self.entry.clone());
        let (sight, own) = sight::open(&app, &entry, &mut self.run).await?;
        self.own = own;
        match &sight {
            Sight::Table(table) => self.by_ranges(&sight, table).await?,
            Sight::Passed(passed) => self.by_passes(&sight, passed).await?,
        }
        self.run.misfits = self.misfits.len() as u64;
        Ok(())
    }

    /// A table that can be asked: ranges, smaller ranges, rows.
    async fn by_ranges(&mut self, sight: &Sight, table: &Arc<dyn ProbeTable>) -> Result<()> {
        self.run.pushed = table.pushes();
        let first = self.app.rules.oversight.reconcile.chunk_rows.max(1);
        let whole = self.cut(table, &KeyRange::default(), first, true).await?;
        self.run.source_rows = whole.iter().map(|piece| piece.source.rows).sum();
        self.run.lake_rows = whole.iter().map(|piece| piece.lake.rows).sum();
        self.run.chunks = whole.len() as u64;
        let mut differing = whole;
        differing.retain(|piece| piece.source != piece.lake);
        while let Some(piece) = differing.pop() {
            differing.extend(self.narrow(table, piece).await?);
            if self.suspects.len() >= self.app.rules.oversight.reconcile.gather {
                self.verify(sight).await?;
            }
        }
        self.verify(sight).await
    }

    /// Only what is followed can be compared: otherwise everything since the rail stood would be told.
    async fn streaming(&self) -> Result<()> {
        if self.run.kind != FeedKind::Rail {
            return Ok(());
        }
        let record = self.app.store.rail_get(&self.run.feed).await?;
        match record.map(|record| record.figures.state) {
            Some(RailState::Streaming) => Ok(()),
            state => {
                let state = state.unwrap_or(RailState::Stopped);
                Err(Error::new(
                    Code::WrongState,
                    format!("数据高铁现为“{}”，实时同步时才能核对", state.zh()),
                    format!("the rail is `{}`; it must be streaming to be compared", state.en()),
                ))
            }
        }
    }

    /// Cuts a range into pieces of so many rows, and asks both sides.
    async fn cut(
        &mut self,
        table: &Arc<dyn ProbeTable>,
        range: &KeyRange,
        rows: u64,
        tell: bool,
    ) -> Result<Vec<Piece>> {
        let (mut after, mut ranges, mut sums) = (range.after.clone(), Vec::new(), Vec::new());
        loop {
            let rest = KeyRange { after: after.clone(), upto: range.upto.clone() };
            let bound = table.bound(&rest, rows).await?;
            let upto = bound.clone().or_else(|| range.upto.clone());
            let piece = KeyRange { after: rest.after, upto };
            sums.push(table.sum(&piece).await?);
            ranges.push(piece);
            self.run.questions += 1;
            if tell && self.run.questions.is_multiple_of(TOLD_EVERY) {
                self.run.source_rows = sums.iter().map(|sum| sum.rows).sum();
                self.run.chunks = ranges.len() as u64;
                self.app
                    .store
                    .reconcile_update(&self.permit, &self.run, ReconcileState::Running)
                    .await?;
            }
            match bound {
                Some(bound) if range.upto.as_ref() != Some(&bound) => after = Some(bound),
                _ => break,
            }
        }
        let lake = self.app.lake.range_sums(&self.permit, &self.entry, &ranges).await?;
        let pieces = ranges.into_iter().zip(sums).zip(lake);
        Ok(pieces.map(|((range, source), lake)| Piece { range, source, lake }).collect())
    }

    /// Cuts a range that differs, or compares its rows when it is small.
    async fn narrow(&mut self, table: &Arc<dyn ProbeTable>, piece: Piece) -> Result<Vec<Piece>> {
        let rules = &self.app.rules.oversight.reconcile;
        let (leaf, most, fan_out) = (rules.leaf_rows.max(1), rules.most_rows, rules.fan_out.max(2));
        if piece.source.rows > leaf {
            let step = piece.source.rows.div_ceil(fan_out).max(leaf / 2).max(1);
            let mut parts = self.cut(table, &piece.range, step, false).await?;
            if parts.len() > 1 {
                parts.retain(|part| part.source != part.lake);
                return Ok(parts);
            }
        }
        let source = table.rows(&piece.range, most).await?;
        let lake =
            self.app.lake.range_prints(&self.permit, &self.entry, &piece.range, most).await?;
        self.run.questions += 1;
        self.run.rows_read += source.keys.len() as u64;
        let mut there = prints(&source);
        for row in lake {
            if there.remove(&row.key) != Some(row.print) {
                self.suspects.push(row.key);
            }
        }
        self.suspects.extend(there.into_keys());
        self.misfits.extend(source.misfits.iter().cloned());
        self.suspects.retain(|key| !self.misfits.contains(key));
        Ok(Vec::new())
    }

    /// Looks at suspicious rows until each is level, stays different, or keeps moving.
    pub(super) async fn verify(&mut self, sight: &Sight) -> Result<()> {
        let mut open: Vec<Key> = std::mem::take(&mut self.suspects);
        open.sort_unstable();
        open.dedup();
        let agree = self.app.rules.oversight.reconcile.checks.max(1);
        // What was seen last, and how many times in a row.
        let mut seen: HashMap<Key, (Option<u128>, Option<u128>, u32)> = HashMap::new();
        // What is dear to read serves twice: as the end of one round and the beginning of the next.
        let mut last: Option<ProbeRows> = None;
        for _ in 0..agree + ROUNDS {
            if open.is_empty() {
                return Ok(());
            }
            let before = match last.take() {
                Some(rows) => rows,
                None => sight.rows_of(&open, 0).await?,
            };
            self.level(&sight.head().await?).await?;
            let lake = self.app.lake.prints_of(&self.permit, &self.entry, &open).await?;
            let now = sight.rows_of(&open, 0).await?;
            // After the settled rows: a row that has moved on since is found here.
            let newer = sight.newer(&open).await?;
            self.run.moving += newer.len() as u64;
            open.retain(|key| !newer.contains(key));
            self.run.questions += 2;
            self.misfits.extend(now.misfits.iter().chain(&before.misfits).cloned());
            let (first, then) = (prints(&before), prints(&now));
            let here: HashMap<&Key, &RowPrint> = lake.iter().map(|row| (&row.key, row)).collect();
            let mut found = Vec::new();
            open.retain(|key| {
                if self.misfits.contains(key) {
                    return false;
                }
                let (first, then) = (first.get(key).copied(), then.get(key).copied());
                let lake = here.get(key).map(|row| row.print);
                if lake == first || lake == then {
                    return false;
                }
                if first != then {
                    seen.remove(key);
                    return true;
                }
                let times = match seen.get(key) {
                    Some((source, held, times)) if (*source, *held) == (then, lake) => times + 1,
                    _ => 1,
                };
                if times < agree {
                    seen.insert(key.clone(), (then, lake, times));
                    return true;
                }
                found.push(key.clone());
                false
            });
            self.keep(sight, &found, &now, &here).await?;
            if sight.dear() {
                last = Some(now);
            }
        }
        self.run.moving += open.len() as u64;
        Ok(())
    }

    /// Waits until the rail has landed everything up to a place in the source's log.
    async fn level(&self, head: &str) -> Result<()> {
        if self.run.kind != FeedKind::Rail {
            return Ok(());
        }
        let patience = Duration::from_secs(self.app.rules.oversight.reconcile.settle_seconds);
        let begun = Instant::now();
        loop {
            self.streaming().await?;
            let record = self.app.store.rail_get(&self.run.feed).await?;
            let landed = record.map(|record| record.figures.confirmed).unwrap_or_default();
            if landed.get(..head.len()).is_some_and(|landed| landed >= head) {
                return Ok(());
            }
            if begun.elapsed() > patience {
                return Err(Error::new(
                    Code::SourceUnavailable,
                    format!(
                        "数据高铁在 {} 秒内没有追上数据源，无法区分在途与差异；请待延迟下降后重试",
                        patience.as_secs()
                    ),
                    format!(
                        "the rail did not come level with its source within {} s, so rows on their way cannot be told from differences; try again when its lag is small",
                        patience.as_secs()
                    ),
                ));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Counts rows that stay different, and keeps their keys as far as there is room.
    async fn keep(
        &mut self,
        sight: &Sight,
        keys: &[Key],
        source: &ProbeRows,
        lake: &HashMap<&Key, &RowPrint>,
    ) -> Result<()> {
        let hidden = matches!(sight, Sight::Passed(passed) if passed.hidden());
        let row_of: HashMap<&Key, usize> =
            source.keys.iter().enumerate().map(|(row, key)| (key, row)).collect();
        let mut rows = Vec::new();
        for key in keys {
            let (there, here) = (row_of.get(key), lake.get(key));
            // Another's row, or one whose source row may only be hidden behind a refusal.
            if here.is_some_and(|row| !self.own.holds(&row.parcel, &row.source))
                || (hidden && there.is_none())
            {
                self.run.foreign += 1;
                continue;
            }
            let (kind, count) = match (there, here) {
                (_, None) => (DifferenceKind::Missing, &mut self.run.missing),
                (None, Some(_)) => (DifferenceKind::Extra, &mut self.run.extra),
                (Some(_), Some(_)) => (DifferenceKind::Different, &mut self.run.different),
            };
            *count += 1;
            if self.kept >= self.app.rules.oversight.reconcile.kept {
                continue;
            }
            self.kept += 1;
            let items = match (there, here) {
                (Some(row), Some(here)) => {
                    let cells = print::cells(&source.batch, *row);
                    let pairs = cells.iter().zip(&here.cells).zip(&self.entry.draft.items);
                    pairs.filter(|((a, b), _)| a != b).map(|(_, i)| i.identifier.clone()).collect()
                }
                _ => Vec::new(),
            };
            rows.push(Difference { seq: self.kept, kind, key: key.clone(), items, healed: false });
        }
        self.app.store.difference_insert(&self.permit, &self.run.id, &rows).await
    }

    /// Keeps how it ended; differences are an incident of the rail.
    async fn end(mut self, outcome: Result<()>) -> Result<()> {
        let (app, run) = (Arc::clone(&self.app), &mut self.run);
        run.finished_at = Some(stamp(app.now()));
        match outcome {
            Err(error) => {
                run.state = ReconcileState::Failed;
                (run.zh, run.en) = rail::told(&error);
                tracing::warn!(
                    reconciliation = run.id,
                    error = error.operator_text(),
                    "a comparison was not finished"
                );
            }
            Ok(()) => {
                let equal = run.differences() == 0;
                run.state = match (equal, run.heal) {
                    (true, _) => ReconcileState::Equal,
                    (false, true) => ReconcileState::Healing,
                    (false, false) => ReconcileState::Differs,
                };
                (run.zh, run.en) = words(run, &self.notes);
            }
        }
        metrics::counter!("qt_reconcile_total", "state" => run.state.as_str()).increment(1);
        let differences = u32::try_from(run.differences()).unwrap_or(u32::MAX);
        metrics::gauge!("qt_reconcile_differences", "entry" => run.entry_code.clone())
            .set(f64::from(differences));
        if differences > 0 && run.kind == FeedKind::Rail {
            let missing = || Error::not_found("数据高铁", "rail", &run.feed);
            let rail = app.store.rail_get(&run.feed).await?.ok_or_else(missing)?.rail;
            let told = (run.zh.clone(), run.en.clone());
            let kind = IncidentKind::Differs;
            let open = run.state == ReconcileState::Differs;
            let of = (Some(run.place.as_str()), Some(run.id.as_str()));
            incident(&app, &self.permit, &rail, of, kind, &told, open).await?;
        } else if differences > 0 {
            tracing::warn!(
                reconciliation = run.id,
                channel = run.kind.as_str(),
                entry.code = run.entry_code,
                differences,
                "source and lake differ"
            );
        }
        app.store.reconcile_update(&self.permit, run, ReconcileState::Running).await?;
        Ok(())
    }
}

fn prints(rows: &ProbeRows) -> HashMap<Key, u128> {
    let mut scratch = String::new();
    let print =
        |(row, key): (usize, &Key)| (key.clone(), print::row(&rows.batch, row, &mut scratch));
    rows.keys.iter().enumerate().map(print).collect()
}

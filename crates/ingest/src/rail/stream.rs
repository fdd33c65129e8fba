//! The log into pieces: changes gathered for a moment, cut at the ends of transactions unless one is too large to be held.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::BoxStream;
use model::rail::RailColumn;
use model::{Error, Result};
use pgwire_replication::{Lsn, ReplicationClient, ReplicationEvent};
use policy::port::{RailAddress, RailBinding, RailPace, RailPiece};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::Position;
use super::decode::{self, Datum, Message, Old, Relation, Tuple};
use super::gap;
use super::place::{Session, log_failed, refused};
use super::rows::{put, sink};
use super::shape::{Shape, differences};
use crate::query::broken_off;

/// Microseconds between 1970 and 2000, where PostgreSQL begins to count.
const EPOCH: i64 = 946_684_800_000_000;
/// How often the source is told that nothing of ours is waiting, when it has gone on without us.
const LEVEL_EVERY: Duration = Duration::from_secs(1);

/// What has landed, told from the one who lands to the one who reads.
#[derive(Clone, Debug)]
pub(super) struct Landed(Arc<watch::Sender<u64>>);

impl Default for Landed {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Landed {
    pub(super) fn raise(&self, to: Lsn) {
        self.0.send_if_modified(|lsn| {
            let higher = to.as_u64() > *lsn;
            if higher {
                *lsn = to.as_u64();
            }
            higher
        });
    }
}

/// A change on its way into a piece.
pub(super) struct Change {
    table: usize,
    pub(super) shape: Arc<Shape>,
    operation: &'static str,
    pub(super) cells: Tuple,
    position: Position,
    committed: i64,
    /// Values that were not sent because they did not change.
    pub(super) gaps: bool,
    /// The row is gone at the source: its delete follows in the log.
    pub(super) overtaken: bool,
}

/// A table of the log that is ours, or one that is not.
struct Known {
    table: Option<usize>,
    /// How its columns fit the items, or why they do not.
    shape: std::result::Result<Arc<Shape>, (String, String)>,
    columns: Vec<RailColumn>,
    /// Compared with what was known, which is done at the first change that is news: the log is read again from before
    /// what has landed, and tells of columns as they were then.
    compared: bool,
}

/// The transaction being read.
struct Commit {
    lsn: u64,
    at: i64,
}

/// Reads the log until nobody listens or the connection breaks.
pub(super) struct Reader {
    at: RailAddress,
    bindings: Vec<RailBinding>,
    log: ReplicationClient,
    landed: watch::Receiver<u64>,
    after: Vec<Position>,
    pace: RailPace,
    session: Option<Session>,
    relations: HashMap<u32, Known>,
    commit: Option<Commit>,
    /// Changes of each table in this transaction.
    counts: Vec<u64>,
    pending: Vec<Change>,
    bytes: usize,
    since: Instant,
    /// All before has been read.
    level: u64,
    told: u64,
}

impl Reader {
    pub(super) fn new(
        at: RailAddress,
        bindings: &[RailBinding],
        log: ReplicationClient,
        landed: Landed,
        after: Vec<Position>,
        pace: RailPace,
    ) -> Self {
        Self {
            at,
            bindings: bindings.to_vec(),
            log,
            landed: landed.0.subscribe(),
            after,
            pace,
            session: None,
            relations: HashMap::new(),
            commit: None,
            counts: vec![0; bindings.len()],
            pending: Vec::new(),
            bytes: 0,
            since: Instant::now(),
            level: 0,
            told: 0,
        }
    }
}

/// Starts reading; the stream ends with the first error.
pub(super) fn start(mut reader: Reader) -> BoxStream<'static, Result<RailPiece>> {
    let (out, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let ended = tokio::select! {
            ended = reader.run(&out) => ended,
            // Whoever does not listen any more must not keep the slot busy.
            () = out.closed() => Ok(()),
        };
        if let Err(error) = ended {
            let _ = out.send(Err(error)).await;
        }
        let _ = reader.log.shutdown().await;
    });
    Box::pin(futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    }))
}

type Out = mpsc::Sender<Result<RailPiece>>;

impl Reader {
    async fn run(&mut self, out: &Out) -> Result<()> {
        let gather = Duration::from_millis(self.pace.gather_ms.max(1));
        let mut tick = tokio::time::interval(LEVEL_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let waiting = !self.pending.is_empty() && self.commit.is_none();
            tokio::select! {
                biased;
                changed = self.landed.changed() => {
                    changed.map_err(|_| Error::internal("rail: nobody lands any more"))?;
                    let lsn = *self.landed.borrow_and_update();
                    self.log.update_applied_lsn(Lsn::from_u64(lsn));
                }
                () = tokio::time::sleep_until(self.since + gather), if waiting => {
                    self.flush(out).await?;
                }
                event = self.log.recv() => match event.map_err(log_failed)? {
                    Some(event) => self.take(event, out).await?,
                    None => return Err(broken_off()),
                },
                _ = tick.tick() => self.tell_level(out).await?,
            }
        }
    }

    async fn take(&mut self, event: ReplicationEvent, out: &Out) -> Result<()> {
        match event {
            ReplicationEvent::Begin { final_lsn, commit_time_micros, .. } => {
                let at = commit_time_micros.saturating_add(EPOCH);
                self.commit = Some(Commit { lsn: final_lsn.as_u64(), at });
                self.counts.fill(0);
            }
            ReplicationEvent::Commit { end_lsn, .. } => {
                self.commit = None;
                self.level = self.level.max(end_lsn.as_u64());
                if self.full() {
                    self.flush(out).await?;
                }
            }
            ReplicationEvent::KeepAlive { wal_end, .. } if self.commit.is_none() => {
                self.level = self.level.max(wal_end.as_u64());
            }
            ReplicationEvent::XLogData { data, .. } => {
                let size = data.len();
                self.message(decode::message(data)?, size, out).await?;
                // A transaction larger than a piece is cut, in order.
                if self.pending.len() >= self.pace.gather_rows.saturating_mul(2)
                    || self.bytes >= self.pace.gather_bytes.saturating_mul(2)
                {
                    self.flush(out).await?;
                }
            }
            ReplicationEvent::KeepAlive { .. }
            | ReplicationEvent::Message { .. }
            | ReplicationEvent::StoppedAt { .. } => {}
        }
        Ok(())
    }

    fn full(&self) -> bool {
        self.pending.len() >= self.pace.gather_rows || self.bytes >= self.pace.gather_bytes
    }

    async fn message(&mut self, message: Message, size: usize, out: &Out) -> Result<()> {
        match message {
            Message::Relation(relation) => self.relation(&relation).await,
            Message::Insert { relation, new } => self.change(relation, "I", new, size, out).await,
            Message::Update { relation, old, new } => {
                self.update(relation, old, new, size, out).await
            }
            Message::Delete { relation, old: Old::Key(old) | Old::Whole(old) } => {
                self.change(relation, "D", old, size, out).await
            }
            Message::Truncate { relations } => self.truncate(&relations, out).await,
            Message::Other => Ok(()),
        }
    }

    /// A table is described: before its first change, and whenever its columns have changed.
    async fn relation(&mut self, relation: &Relation) -> Result<()> {
        let table = self.bindings.iter().position(|b| b.place == relation.place);
        let Some(binding) = table.and_then(|at| self.bindings.get(at)) else {
            let shape = Err(Default::default());
            let known = Known { table: None, shape, columns: Vec::new(), compared: true };
            self.relations.insert(relation.id, known);
            return Ok(());
        };
        if self.session.is_none() {
            self.session = Some(Session::open(&self.at).await?);
        }
        let Some(session) = &self.session else { return Ok(()) };
        let columns = Shape::of_relation(session, relation).await?;
        let known =
            match Shape::of(&binding.place, &binding.items, columns.clone()) {
                Ok(shape) => {
                    let columns = shape.columns();
                    Known { table, shape: Ok(Arc::new(shape)), columns, compared: false }
                }
                Err(error) => {
                    let bare = |(name, seen, key): (String, super::kind::TypeSeen, bool)| {
                        RailColumn { name, kind: seen.name, key, item: None }
                    };
                    let columns = columns.into_iter().map(bare).collect();
                    let why = (error.zh().to_owned(), error.en().to_owned());
                    Known { table, shape: Err(why), columns, compared: false }
                }
            };
        self.relations.insert(relation.id, known);
        Ok(())
    }

    /// Compares a table's columns with those known, once; tells what differs.
    async fn compare(&mut self, relation: u32, out: &Out) -> Result<()> {
        let Some(known) = self.relations.get_mut(&relation) else { return Ok(()) };
        let Some(table) = known.table.filter(|_| !known.compared) else { return Ok(()) };
        known.compared = true;
        let Some(binding) = self.bindings.get_mut(table) else { return Ok(()) };
        let mut told = match binding.known.is_empty() {
            true => Vec::new(),
            false => differences(&binding.known, &known.columns),
        };
        told.extend(known.shape.as_ref().err().cloned());
        let (columns, fault) = (known.columns.clone(), known.shape.is_err());
        binding.known.clone_from(&columns);
        if told.is_empty() {
            return Ok(());
        }
        self.flush(out).await?;
        give(out, RailPiece::Shape { table, columns, differences: told, binding: fault }).await
    }

    async fn update(
        &mut self,
        relation: u32,
        old: Option<Old>,
        mut new: Tuple,
        size: usize,
        out: &Out,
    ) -> Result<()> {
        if let Some(Old::Whole(whole)) = &old {
            for (cell, before) in new.iter_mut().zip(whole) {
                if *cell == Datum::Unchanged {
                    cell.clone_from(before);
                }
            }
        }
        if let Some(Old::Key(before) | Old::Whole(before)) = old
            && let Some(Known { shape: Ok(shape), .. }) = self.relations.get(&relation)
            && shape.key.iter().any(|at| before.get(*at) != new.get(*at))
        {
            // Another key is another row. Both stand at the position of the one change.
            self.change(relation, "D", before, 0, out).await?;
            if let Some(count) = self.table_of(relation).and_then(|t| self.counts.get_mut(t)) {
                *count -= 1;
            }
        }
        self.change(relation, "U", new, size, out).await
    }

    fn table_of(&self, relation: u32) -> Option<usize> {
        self.relations.get(&relation).and_then(|known| known.table)
    }

    async fn change(
        &mut self,
        relation: u32,
        operation: &'static str,
        cells: Tuple,
        size: usize,
        out: &Out,
    ) -> Result<()> {
        let known = self
            .relations
            .get(&relation)
            .ok_or_else(|| Error::internal("rail: a change of a table that was not described"))?;
        let Some(table) = known.table else { return Ok(()) };
        let compared = known.compared;
        let commit =
            self.commit.as_ref().ok_or_else(|| Error::internal("rail: a change outside"))?;
        let committed = commit.at;
        let count = self.counts.get_mut(table).ok_or_else(|| Error::internal("rail: a table"))?;
        *count += 1;
        let position = Position { lsn: commit.lsn, change: *count };
        if self.after.get(table).is_some_and(|after| position <= *after) {
            return Ok(());
        }
        if !compared {
            self.compare(relation, out).await?;
        }
        let Some(Known { shape: Ok(shape), .. }) = self.relations.get(&relation) else {
            // The consumer was told that this table cannot be read any more, and must not go on.
            return Err(refused("the table's columns do not fit its entry any more"));
        };
        let shape = Arc::clone(shape);
        if cells.len() != shape.names.len() {
            return Err(Error::internal("rail: a change with other columns than its table"));
        }
        if operation == "D" && shape.key.iter().any(|at| cells.get(*at) == Some(&Datum::Null)) {
            return Err(identity(&shape.place));
        }
        if self.pending.is_empty() {
            self.since = Instant::now();
        }
        let gaps = cells
            .iter()
            .enumerate()
            .any(|(at, cell)| *cell == Datum::Unchanged && shape.item_of(at).is_some());
        self.bytes += size + 64;
        self.pending.push(Change {
            table,
            shape,
            operation,
            cells,
            position,
            committed,
            gaps,
            overtaken: false,
        });
        Ok(())
    }

    async fn truncate(&mut self, relations: &[u32], out: &Out) -> Result<()> {
        self.flush(out).await?;
        for relation in relations {
            let Some(table) = self.table_of(*relation) else { continue };
            let (Some(commit), Some(count)) = (&self.commit, self.counts.get_mut(table)) else {
                continue;
            };
            *count += 1;
            let position = Position { lsn: commit.lsn, change: *count };
            if self.after.get(table).is_some_and(|after| position <= *after) {
                continue;
            }
            let position = position.to_string();
            give(out, RailPiece::Truncated { table, position, committed: commit.at }).await?;
        }
        Ok(())
    }

    /// Hands over what is gathered, a piece for each table, and says how far the log has been read.
    async fn flush(&mut self, out: &Out) -> Result<()> {
        self.bytes = 0;
        let mut pending = std::mem::take(&mut self.pending);
        if pending.iter().any(|change| change.gaps) {
            if self.session.is_none() {
                self.session = Some(Session::open(&self.at).await?);
            }
            if let Some(session) = &self.session {
                gap::fill(session, &mut pending).await?;
            }
        }
        // Tables in the order of their first change; a table whose shape changed was flushed before.
        let mut tables: Vec<usize> = Vec::new();
        for change in &pending {
            if !tables.contains(&change.table) {
                tables.push(change.table);
            }
        }
        for table in tables {
            let changes = pending.iter().filter(|c| c.table == table && !c.overtaken);
            if let Some(piece) = piece(table, changes) {
                give(out, piece).await?;
            }
        }
        self.tell_level(out).await
    }

    async fn tell_level(&mut self, out: &Out) -> Result<()> {
        if self.commit.is_some() || !self.pending.is_empty() || self.level <= self.told {
            return Ok(());
        }
        self.told = self.level;
        let level = Position { lsn: self.level, change: 0 };
        give(out, RailPiece::Level(level.to_string())).await
    }
}

/// The piece of one table.
fn piece<'a>(table: usize, changes: impl Iterator<Item = &'a Change>) -> Option<RailPiece> {
    let changes: Vec<&Change> = changes.collect();
    let last = changes.last()?;
    let mut sink = sink(&last.shape, changes.len());
    let mut refused = Vec::new();
    let mut before = 0;
    for change in &changes {
        let cell = |at: usize| change.cells.get(at).and_then(Datum::text);
        let width = change.cells.len();
        put(&mut sink, &change.shape, change.position.lsn, change.operation, width, cell);
        if sink.refused() > before {
            before = sink.refused();
            refused.push(change.position.to_string());
        }
    }
    Some(RailPiece::Changes {
        table,
        chunk: sink.take(),
        refused,
        position: last.position.to_string(),
        committed: last.committed,
    })
}

async fn give(out: &Out, piece: RailPiece) -> Result<()> {
    out.send(Ok(piece)).await.map_err(|_| Error::internal("the consumer of a rail went away"))
}

fn identity(place: &str) -> Error {
    Error::new(
        model::Code::RuleBroken,
        format!(
            "表 {place} 的复制标识不含业务主键，无法得知删除了哪一行；请在数据源执行 ALTER TABLE {place} REPLICA IDENTITY FULL，或让主键与业务主键一致"
        ),
        format!(
            "the replica identity of {place} does not hold the business key, so that nobody can tell which row was deleted; run ALTER TABLE {place} REPLICA IDENTITY FULL at the source, or let its primary key be the business key"
        ),
    )
}

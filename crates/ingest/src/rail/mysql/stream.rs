//! The binary log into pieces, as `rail::stream` does with PostgreSQL's: asked for by name where the server names transactions, by
//! file and offset otherwise.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use model::{Error, Result};
use mysql_async::BinlogStream;
use mysql_async::binlog::events::{Event, EventData, RowsEventData};
use mysql_async::binlog::row::BinlogRow;
use policy::port::{RailAddress, RailBinding, RailPace, RailPiece};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::place::{cut_off, refused};
use super::super::rows::{put, sink};
use super::super::shape::differences;
use super::gtid::{Gtid, Gtids, Mark, Place, source};
use super::history::number;
use super::opening::{Asking, Opening};
use super::value::of_log;
use super::{Coded, Session, bare, failed, look};

/// How often a quiet server says that it is there; silence of thrice as long is a broken connection.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(10);
/// The log that is wanted is not there any more.
const PURGED: u16 = 1236;
/// MariaDB's event that names a transaction, and those whose contents are compressed.
const MARIA_GTID: u8 = 162;
const COMPRESSED: std::ops::RangeInclusive<u8> = 165..=171;

struct Change {
    table: usize,
    coded: Arc<Coded>,
    operation: &'static str,
    cells: Vec<Option<String>>,
    /// Its transaction, and how many changes of the table are in it up to here.
    mark: Arc<Mark>,
    count: u64,
    committed: i64,
}

/// A table with its columns as known, and whether they must be looked at again.
struct Known {
    coded: Option<Arc<Coded>>,
    stale: bool,
}

pub(super) struct Reader {
    at: RailAddress,
    bindings: Vec<RailBinding>,
    known: Vec<Known>,
    log: BinlogStream,
    after: Vec<Option<Place>>,
    pace: RailPace,
    /// How the log was asked for, and what has been read of it by name.
    asking: Asking,
    /// The present transaction.
    mark: Option<Arc<Mark>>,
    /// A word of its own ends it.
    explicit: bool,
    counts: Vec<u64>,
    pending: Vec<Change>,
    bytes: usize,
    since: Instant,
    /// End of the transaction read last, by file.
    level: u64,
    told: u64,
}

impl Reader {
    pub(super) fn new(opening: Opening<'_>, log: BinlogStream, asking: Asking) -> Self {
        let told = opening.start.order.lsn;
        let known = |coded: &Arc<Coded>| Known { coded: Some(Arc::clone(coded)), stale: true };
        Self {
            at: opening.at.clone(),
            bindings: opening.bindings.to_vec(),
            known: opening.tables.iter().map(known).collect(),
            log,
            after: opening.after,
            pace: opening.pace,
            asking,
            mark: None,
            explicit: false,
            counts: vec![0; opening.bindings.len()],
            pending: Vec::new(),
            bytes: 0,
            since: Instant::now(),
            level: told,
            told,
        }
    }

    async fn run(&mut self, out: &Out) -> Result<()> {
        let gather = Duration::from_millis(self.pace.gather_ms.max(1));
        loop {
            let waiting = !self.pending.is_empty() && self.mark.is_none();
            let event = tokio::select! {
                biased;
                () = tokio::time::sleep_until(self.since + gather), if waiting => {
                    self.flush(out).await?;
                    continue;
                }
                event = tokio::time::timeout(HEARTBEAT * 3, self.log.next()) => event,
            };
            match event {
                Err(_) => return Err(cut_off("the server has said nothing for long")),
                Ok(None) => return Err(cut_off("the server ended the log")),
                Ok(Some(Err(mysql_async::Error::Server(said)))) if said.code == PURGED => {
                    let zh = format!(
                        "数据源的二进制日志已不能从上次的位置接续（{}），其间的变更可能缺失；各表将整表核补",
                        said.message
                    );
                    let en = format!(
                        "the source's binary log does not go on from where it was read ({}) and changes may be missing; the tables are read anew as a whole",
                        said.message
                    );
                    return give(out, RailPiece::Lost { zh, en }).await;
                }
                Ok(Some(event)) => {
                    if self.take(&event.map_err(failed)?, out).await? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Takes one event; answers whether this was the end.
    async fn take(&mut self, event: &Event, out: &Out) -> Result<bool> {
        let header = event.header();
        let end = number(&self.asking.file, u64::from(header.log_pos()));
        let committed = i64::from(header.timestamp()).saturating_mul(1_000_000);
        match header.event_type_raw() {
            MARIA_GTID => return self.named(event.data(), header.server_id(), end, out).await,
            kind if COMPRESSED.contains(&kind) => {
                return Err(refused("compressed events of the binary log (log_bin_compress)"));
            }
            _ => {}
        }
        let data = event
            .read_data()
            .map_err(|e| Error::internal("rail: an event of the binary log").caused_by(e))?;
        match data {
            Some(EventData::RotateEvent(rotate)) => {
                // The event that is made up for a new connection has bytes of a checksum behind the name.
                let (name, file) = (rotate.name().into_owned(), &mut self.asking.file);
                if let Some(name) = name.get(..file.len()).filter(|n| number(n, 0) > 0) {
                    name.clone_into(file);
                }
                self.level = self.level.max(number(file, rotate.position()));
            }
            Some(EventData::PreviousGtidsEvent(all)) if self.asking.names => {
                self.asking.names = false;
                let mut done = Gtids::Mysql(Default::default());
                for sid in all.sids() {
                    let name = source(sid.uuid(), sid.tag().map(|tag| &**tag));
                    for range in sid.intervals() {
                        done.put(&name, (range.start(), range.end().saturating_sub(1)));
                    }
                }
                self.asking.done = Some(done);
            }
            Some(EventData::GtidEvent(gtid)) => {
                let tag = gtid.tag().map(|tag| &**tag);
                self.begin(Some(Gtid::of_mysql(gtid.sid(), tag, gtid.gno())), end, false);
            }
            Some(EventData::QueryEvent(query)) => {
                let text = query.query().into_owned();
                let schema = query.schema().into_owned();
                self.statement(&text, &schema, end, committed, out).await?;
            }
            Some(EventData::XidEvent(_) | EventData::XaPrepareLogEvent(_)) => {
                self.ended(end, out).await?;
            }
            Some(EventData::RowsEvent(rows)) => {
                if self.mark.is_none() {
                    self.begin(None, end, true);
                }
                return self.rows(&rows, committed, out).await;
            }
            _ => {
                if self.mark.is_none() {
                    self.tell_level(out).await?;
                }
            }
        }
        Ok(false)
    }

    /// MariaDB names the transaction that follows; answers whether this was the end.
    async fn named(&mut self, body: &[u8], server: u32, end: u64, out: &Out) -> Result<bool> {
        let (gtid, alone) = Gtid::of_event(body, server)
            .ok_or_else(|| Error::internal("rail: a GTID of the binary log"))?;
        if self.asking.done.as_ref().is_some_and(|done| done.holds(&gtid)) {
            self.flush(out).await?;
            let (zh, en) = backwards(&gtid);
            give(out, RailPiece::Lost { zh, en }).await?;
            return Ok(true);
        }
        self.begin(Some(gtid), end, !alone);
        Ok(false)
    }

    /// A transaction begins; `explicit`: it has an end of its own.
    fn begin(&mut self, gtid: Option<Gtid>, end: u64, explicit: bool) {
        let name = gtid.zip(self.asking.done.as_ref());
        let name = name.map(|(gtid, done)| (Arc::new(done.clone()), gtid));
        self.mark = Some(Arc::new(Mark { file: end, name }));
        self.explicit = explicit;
        self.counts.fill(0);
    }

    async fn ended(&mut self, end: u64, out: &Out) -> Result<()> {
        if let Some((_, gtid)) = self.mark.take().as_ref().and_then(|mark| mark.name.as_ref())
            && let Some(done) = &mut self.asking.done
        {
            done.add(gtid);
        }
        self.explicit = false;
        self.level = self.level.max(end);
        self.asking.files_until.take_if(|until| self.level > *until);
        let full =
            self.pending.len() >= self.pace.gather_rows || self.bytes >= self.pace.gather_bytes;
        if full { self.flush(out).await } else { self.tell_level(out).await }
    }

    /// Whether a change has landed.
    fn landed(&self, table: usize, mark: &Mark, count: u64) -> bool {
        let after = self.after.get(table).and_then(Option::as_ref);
        mark.file <= self.asking.skip || after.is_some_and(|after| after.covers(mark, count))
    }

    /// A statement: the bounds of transactions, and what changes tables.
    async fn statement(
        &mut self,
        text: &str,
        schema: &str,
        end: u64,
        committed: i64,
        out: &Out,
    ) -> Result<()> {
        let words: Vec<String> =
            text.split_whitespace().take(3).map(str::to_ascii_uppercase).collect();
        match words.first().map(String::as_str) {
            Some("XA") if words.get(1).is_some_and(|word| word == "END") => return Ok(()),
            Some("XA") if words.get(1).is_none_or(|word| word != "START" && word != "BEGIN") => {
                return self.ended(end, out).await;
            }
            Some("BEGIN" | "XA") => {
                // Its name came before it, if it has one.
                let name = self.mark.take().and_then(|mark| mark.name.clone());
                self.mark = Some(Arc::new(Mark { file: end, name }));
                self.explicit = true;
                self.counts.fill(0);
                return Ok(());
            }
            Some("COMMIT" | "ROLLBACK") if words.len() == 1 => return self.ended(end, out).await,
            Some("SAVEPOINT" | "ROLLBACK") => return Ok(()),
            Some("TRUNCATE") => {
                let named = text
                    .split_whitespace()
                    .nth(if words.get(1).is_some_and(|w| w == "TABLE") { 2 } else { 1 });
                let named = named.unwrap_or_default().trim_end_matches(';').replace('`', "");
                let place = if named.contains('.') { named } else { format!("{schema}.{named}") };
                let table = self.bindings.iter().position(|b| b.place == place);
                let name = self.mark.as_ref().and_then(|mark| mark.name.clone());
                let mark = Mark { file: end, name };
                if let Some(table) = table
                    && !self.landed(table, &mark, 1)
                {
                    self.flush(out).await?;
                    let position = mark.place(1).to_string();
                    give(out, RailPiece::Truncated { table, position, committed }).await?;
                }
            }
            _ => self.known.iter_mut().for_each(|known| known.stale = true),
        }
        // What makes a table and fills it is one transaction, which ends later.
        if self.explicit { Ok(()) } else { self.ended(end, out).await }
    }

    /// Rows of a table; answers whether this was the end.
    async fn rows(&mut self, rows: &RowsEventData<'_>, committed: i64, out: &Out) -> Result<bool> {
        let Some(map) = self.log.get_tme(rows.table_id()).cloned() else {
            return Err(Error::internal("rail: rows of a table that was not described"));
        };
        let place = format!("{}.{}", map.database_name(), map.table_name());
        let Some(table) = self.bindings.iter().position(|b| b.place == place) else {
            return Ok(false);
        };
        let Some(mark) = self.mark.clone() else { return Ok(false) };
        let size = rows.rows_data().len();
        for row in rows.rows(&map) {
            let (before, now) =
                row.map_err(|e| Error::internal("rail: a row of the log").caused_by(e))?;
            let Some(count) = self.counts.get_mut(table) else { continue };
            *count += 1;
            let count = *count;
            if self.landed(table, &mark, count) {
                continue;
            }
            let Some(coded) = self.compared(table, map.columns_count(), out).await? else {
                return Ok(true);
            };
            self.change(table, &coded, (before, now), (&mark, count), committed)?;
            if self.pending.len() >= self.pace.gather_rows.saturating_mul(2) {
                self.flush(out).await?;
            }
        }
        self.bytes += size;
        if self.bytes >= self.pace.gather_bytes.saturating_mul(2) {
            self.flush(out).await?;
        }
        Ok(false)
    }

    fn change(
        &mut self,
        table: usize,
        coded: &Arc<Coded>,
        (before, now): (Option<BinlogRow>, Option<BinlogRow>),
        (mark, count): (&Arc<Mark>, u64),
        committed: i64,
    ) -> Result<()> {
        let before = before.map(|row| cells(coded, row)).transpose()?;
        let now = now.map(|row| cells(coded, row)).transpose()?;
        if self.pending.is_empty() {
            self.since = Instant::now();
        }
        let mut push = |operation, cells| {
            let (coded, mark) = (Arc::clone(coded), Arc::clone(mark));
            self.pending.push(Change { table, coded, operation, cells, mark, count, committed });
        };
        match (before, now) {
            (None, Some(now)) => push("I", now),
            (Some(before), None) => push("D", before),
            (Some(before), Some(now)) => {
                // Another key is another row.
                if coded.shape.key.iter().any(|at| before.get(*at) != now.get(*at)) {
                    push("D", before);
                }
                push("U", now);
            }
            (None, None) => {}
        }
        Ok(())
    }

    /// The table's columns, looked at again after something may have changed them; `None` when they cannot be told.
    async fn compared(
        &mut self,
        table: usize,
        count: u64,
        out: &Out,
    ) -> Result<Option<Arc<Coded>>> {
        let stale = self.known.get(table).is_some_and(|known| known.stale);
        if stale {
            let Some(binding) = self.bindings.get(table).cloned() else { return Ok(None) };
            let mut session = Session::open(&self.at).await?;
            let Some(seen) = look(&mut session, &binding.place).await? else {
                self.lost(&binding.place, out).await?;
                return Ok(None);
            };
            let now = bare(&seen);
            let mut told = differences(&binding.known, &now);
            let (coded, columns) = match Coded::of(&binding, seen) {
                Ok(coded) => (Some(Arc::new(coded)), None),
                Err(error) => {
                    told.push((error.zh().to_owned(), error.en().to_owned()));
                    (None, Some(now))
                }
            };
            let columns =
                columns.or_else(|| coded.as_ref().map(|c| c.shape.columns())).unwrap_or_default();
            if let Some(binding) = self.bindings.get_mut(table) {
                binding.known.clone_from(&columns);
            }
            let fault = coded.is_none();
            if let Some(known) = self.known.get_mut(table) {
                *known = Known { coded, stale: false };
            }
            if !told.is_empty() {
                self.flush(out).await?;
                let piece = RailPiece::Shape { table, columns, differences: told, binding: fault };
                give(out, piece).await?;
            }
        }
        let coded = self.known.get(table).and_then(|known| known.coded.clone());
        let fits = coded.as_ref().is_some_and(|c| c.shape.names.len() as u64 == count);
        if !fits {
            let place = self.bindings.get(table).map(|b| b.place.clone()).unwrap_or_default();
            self.lost(&place, out).await?;
            return Ok(None);
        }
        Ok(coded)
    }

    /// The log tells of columns that the table has no more.
    async fn lost(&mut self, place: &str, out: &Out) -> Result<()> {
        self.flush(out).await?;
        let zh = format!("日志中表 {place} 的列与其当前结构不一致，无法逐列对应；各表将整表核补");
        let en = format!(
            "the log tells of other columns of {place} than the table has, and nobody can say which is which; the tables are read anew as a whole"
        );
        give(out, RailPiece::Lost { zh, en }).await
    }

    async fn flush(&mut self, out: &Out) -> Result<()> {
        self.bytes = 0;
        let pending = std::mem::take(&mut self.pending);
        let mut tables: Vec<usize> = Vec::new();
        for change in &pending {
            if !tables.contains(&change.table) {
                tables.push(change.table);
            }
        }
        for table in tables {
            let changes: Vec<&Change> = pending.iter().filter(|c| c.table == table).collect();
            let Some(last) = changes.last() else { continue };
            let mut sink = sink(&last.coded.shape, changes.len());
            let (mut refused, mut before) = (Vec::new(), 0);
            for change in &changes {
                let (shape, record) = (&change.coded.shape, change.mark.order());
                let cell = |at: usize| change.cells.get(at).and_then(Option::as_deref);
                put(&mut sink, shape, record, change.operation, change.cells.len(), cell);
                if sink.refused() > before {
                    before = sink.refused();
                    refused.push(change.mark.place(change.count).to_string());
                }
            }
            let piece = RailPiece::Changes {
                table,
                chunk: sink.take(),
                refused,
                position: last.mark.place(last.count).to_string(),
                committed: last.committed,
            };
            give(out, piece).await?;
        }
        self.tell_level(out).await
    }

    async fn tell_level(&mut self, out: &Out) -> Result<()> {
        if self.mark.is_some() || !self.pending.is_empty() {
            return Ok(());
        }
        let by_name = self.asking.done.as_ref().filter(|_| self.asking.files_until.is_none());
        let order = by_name.map_or(self.level, Gtids::order);
        if order <= self.told {
            return Ok(());
        }
        self.told = order;
        let level = by_name.cloned().map_or_else(|| Place::file(order), Place::level);
        give(out, RailPiece::Level(level.to_string())).await
    }
}

fn backwards(gtid: &Gtid) -> (String, String) {
    (
        format!(
            "日志中事务 {gtid} 的序号不大于同一域中它之前的事务，无法由位置判断是否已读取；请设 gtid_strict_mode=ON。各表将整表核补"
        ),
        format!(
            "the transaction {gtid} has no greater sequence than one before it in its domain, so that a position does not tell whether it was read; set gtid_strict_mode=ON. The tables are read anew as a whole"
        ),
    )
}

fn cells(coded: &Coded, mut row: BinlogRow) -> Result<Vec<Option<String>>> {
    coded
        .coders
        .iter()
        .enumerate()
        .map(|(at, coder)| row.take(at).map_or(Ok(None), |value| of_log(coder, value)))
        .collect()
}

type Out = mpsc::Sender<Result<RailPiece>>;

async fn give(out: &Out, piece: RailPiece) -> Result<()> {
    out.send(Ok(piece)).await.map_err(|_| Error::internal("the consumer of a rail went away"))
}

/// Starts reading; the stream ends with the first error.
pub(super) fn start(mut reader: Reader) -> BoxStream<'static, Result<RailPiece>> {
    let (out, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let ended = tokio::select! {
            ended = reader.run(&out) => ended,
            () = out.closed() => Ok(()),
        };
        if let Err(error) = ended {
            let _ = out.send(Err(error)).await;
        }
    });
    Box::pin(futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|piece| (piece, receiver))
    }))
}

//! How the log is asked for: by name when the position is one and the server has it, by file and offset otherwise, and then so
//! that the names of what follows are known.
//!
//! A position by file of a server that names transactions becomes one by name: MariaDB says what was written before an offset,
//! MySQL's files say at their head what was before them, so that the file is read from its beginning. Until every table has
//! passed what it keeps by file, the log's position is told by file, too: once it is told by name, nothing by file counts any more.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::BoxStream;
use model::{Error, Result};
use mysql_async::{BinlogStreamRequest, Sid};
use policy::port::{RailAddress, RailBinding, RailPace, RailPiece};

use super::super::place::cut_off;
use super::gtid::{Gtids, Place};
use super::history::{History, Server, lacks, master, names_at, place_of};
use super::stream::{HEARTBEAT, Reader, start};
use super::{Coded, Session, failed};

/// What a replica of MariaDB says that it understands: GTIDs.
const CAPABLE: &str = "SET @mariadb_slave_capability = 4";

/// What is needed to read the log.
pub(super) struct Opening<'a> {
    pub(super) at: &'a RailAddress,
    pub(super) bindings: &'a [RailBinding],
    pub(super) tables: &'a [Arc<Coded>],
    pub(super) start: &'a Place,
    /// Where each table stands.
    pub(super) after: Vec<Option<Place>>,
    pub(super) pace: RailPace,
}

/// How the log is asked for.
#[derive(Default)]
pub(super) struct Asking {
    pub(super) file: String,
    pub(super) offset: u64,
    pub(super) by_name: bool,
    /// All that was read, by name, where the log begins.
    pub(super) done: Option<Gtids>,
    /// Names are to be found in the log itself.
    pub(super) names: bool,
    /// The log begins before the position that was wanted, which is here.
    pub(super) skip: u64,
    /// Positions are told by file until all of the log up to here has been read.
    pub(super) files_until: Option<u64>,
}

impl Opening<'_> {
    /// Starts reading; the stream ends with the first error. A history that lacks what has been read is told as lost.
    pub(super) async fn begin(mut self) -> Result<BoxStream<'static, Result<RailPiece>>> {
        let mut session = Session::open(self.at).await?;
        let server = Server::look(&mut session).await?;
        for place in self.after.iter().flatten().chain([self.start]) {
            if let Some(missing) = server.missing(place)? {
                return Ok(only_lost(lacks(&missing)));
            }
        }
        let (now, _) = master(&mut session).await?;
        let Some(mut asking) = self.asking(&mut session, &server).await? else {
            return Ok(only_lost(unnamed()));
        };
        let nanoseconds = HEARTBEAT.as_nanos();
        session.tell(&format!("SET @master_heartbeat_period = {nanoseconds}")).await?;
        // A replica's number, which must be nobody else's: from the rail's own name.
        let slot = self.at.slot.bytes();
        let print = slot.fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
        let mut request = BinlogStreamRequest::new(print | 1 << 30);
        if let (true, Some(Gtids::Mysql(sources))) = (asking.by_name, &asking.done) {
            let sets = sources.iter().map(|(source, ranges)| {
                let ranges: String = ranges.iter().map(|(a, b)| format!(":{a}-{b}")).collect();
                format!("{source}{ranges}").parse::<Sid<'static>>()
            });
            let sets: Vec<Sid<'static>> = sets
                .collect::<std::result::Result<_, _>>()
                .map_err(|e| Error::internal("rail: a set of GTIDs").caused_by(e))?;
            request = request.with_gtid().with_gtid_set(sets);
        }
        if !asking.by_name {
            let file = asking.file.clone().into_bytes();
            let request = request.with_filename(&file).with_pos(asking.offset.max(4));
            let log = session.conn.get_binlog_stream(request).await.map_err(failed)?;
            return Ok(start(Reader::new(self, log, asking)));
        }
        // Files are called alike; the log tells which one it begins with.
        asking.file = now;
        let log = session.conn.get_binlog_stream(request).await.map_err(failed)?;
        Ok(start(Reader::new(self, log, asking)))
    }

    /// How to ask, with what the session must be told before; nothing when the names of a position cannot be found.
    async fn asking(&mut self, session: &mut Session, server: &Server) -> Result<Option<Asking>> {
        if let Some(read) = &self.start.read {
            if let Gtids::Maria(_) = &*read.before {
                session.tell(CAPABLE).await?;
                let (state, rest) = (&read.before, "@slave_gtid_strict_mode = 1");
                session
                    .tell(&format!(
                        "SET @slave_connect_state = '{state}', {rest}, @slave_gtid_ignore_duplicates = 0"
                    ))
                    .await?;
            }
            // What a table keeps by file was read before any position was told by name.
            for after in &mut self.after {
                after.take_if(|after| after.read.is_none());
            }
            let done = Some(Gtids::clone(&read.before));
            return Ok(Some(Asking { by_name: true, done, ..Asking::default() }));
        }
        let start = self.start.order.lsn;
        let (file, offset) = place_of(session, start)
            .await?
            .ok_or_else(|| cut_off("the log was purged while it was opened"))?;
        let kept = self.after.iter().flatten().filter(|after| after.read.is_none());
        let files_until = Some(kept.fold(start, |until, after| until.max(after.order.lsn)));
        Ok(match &server.history {
            History::Files => Some(Asking { file, offset, ..Asking::default() }),
            History::Maria { .. } => {
                session.tell(CAPABLE).await?;
                let done = names_at(session, &file, offset).await?;
                done.is_some().then(|| Asking {
                    file,
                    offset,
                    done,
                    files_until,
                    ..Asking::default()
                })
            }
            // The head of a file says what was before it.
            History::Mysql(_) => Some(Asking {
                file,
                offset: 4,
                names: true,
                skip: start,
                files_until,
                ..Asking::default()
            }),
        })
    }
}

/// A history that cannot be followed.
fn only_lost((zh, en): (String, String)) -> BoxStream<'static, Result<RailPiece>> {
    futures::stream::iter([Ok(RailPiece::Lost { zh, en })]).boxed()
}

fn unnamed() -> (String, String) {
    (
        "数据源已不知道上次位置的 GTID（BINLOG_GTID_POS 没有答案）；各表将整表核补".into(),
        "the source does not know the GTIDs of the position where it was left (BINLOG_GTID_POS has no answer); the tables are read anew as a whole".into(),
    )
}

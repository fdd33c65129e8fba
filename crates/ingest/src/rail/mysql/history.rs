//! The server and its log: where the log ends, what it still has, and whose history it tells.
//!
//! A server that writes GTIDs is followed by them: when another server of its replication takes its place, the rail goes on there,
//! because both tell the same transactions by the same names. It goes on only if that server has every transaction that has been
//! read; one that has not was ahead of nobody's knowledge and is another history: the tables are read anew. MariaDB's names are not
//! unique in the world (every new server begins with `0-1-1`), so a server that claims to be the one that wrote our
//! transactions, but is another, is not believed.

use std::collections::{BTreeMap, HashMap};

use model::rail::RailBasis;
use model::{Code, Error, Result};
use policy::port::{RailAddress, RailSlot, SlotState};

use super::gtid::{Gtid, Gtids, Place};
use super::{Session, literal};
use crate::rail::place::refused;

/// Bits of a position by file that are the offset in a log.
const OFFSET_BITS: u32 = 40;

/// What a server says of itself.
pub(super) struct Server {
    /// Its identity.
    system: String,
    pub(super) history: History,
    /// Nobody but its own replication writes here.
    read_only: bool,
}

/// How transactions are named.
pub(super) enum History {
    /// Not at all: a log's number and an offset in it.
    Files,
    /// The last sequence of each domain and server, and the server's own number.
    Maria {
        last: BTreeMap<(u32, u32), u64>,
        server: u32,
    },
    Mysql(Gtids),
}

impl Server {
    pub(super) async fn look(session: &mut Session) -> Result<Self> {
        let rows = session
            .ask(
                "SHOW GLOBAL VARIABLES WHERE Variable_name IN
                   ('server_uuid', 'server_uid', 'server_id', 'gtid_mode', 'gtid_binlog_state', 'read_only')",
            )
            .await?;
        let told: HashMap<String, String> = rows
            .into_iter()
            .filter_map(|row| {
                let mut cells = row.into_iter();
                Some((cells.next()?.to_ascii_lowercase(), cells.next()?))
            })
            .collect();
        let of = |name: &str| told.get(name).map(String::as_str).unwrap_or_default();
        let system = ["server_uuid", "server_uid", "server_id"]
            .into_iter()
            .map(of)
            .find(|identity| !identity.is_empty())
            .unwrap_or_default()
            .to_owned();
        // Lists of variables cut long values; asked for by its name, a variable is told whole.
        let history = if told.contains_key("gtid_binlog_state") {
            let state = one(session, "SELECT @@global.gtid_binlog_state").await?;
            let last = binlog_state(&state).ok_or_else(|| unread(&state))?;
            History::Maria { last, server: of("server_id").parse().unwrap_or(0) }
        } else if of("gtid_mode").eq_ignore_ascii_case("ON") {
            let executed = one(session, "SELECT @@global.gtid_executed").await?;
            History::Mysql(Gtids::mysql(&executed).ok_or_else(|| unread(&executed))?)
        } else {
            History::Files
        };
        let read_only = ["1", "ON"].contains(&of("read_only").to_ascii_uppercase().as_str());
        Ok(Self { system, history, read_only })
    }

    /// All that its log tells of, by name.
    fn head(&self) -> Option<Gtids> {
        match &self.history {
            History::Files => None,
            History::Maria { last, .. } => {
                let mut all = BTreeMap::new();
                for ((domain, server), sequence) in last {
                    let slot = all.entry(*domain).or_insert((*server, *sequence));
                    if slot.1 < *sequence {
                        *slot = (*server, *sequence);
                    }
                }
                Some(Gtids::Maria(all))
            }
            History::Mysql(executed) => Some(executed.clone()),
        }
    }

    /// A transaction that has been read and is not in this server's history. Fails when the server may only be late.
    pub(super) fn missing(&self, place: &Place) -> Result<Option<String>> {
        let Some(read) = &place.read else { return Ok(None) };
        let missing = match (&self.history, &*read.before) {
            (History::Maria { last, .. }, Gtids::Maria(_)) => {
                let all = read.before.ends().into_iter().chain(read.part.clone());
                let there = |gtid: &Gtid| match gtid {
                    Gtid::Maria { domain, server, sequence } => {
                        last.get(&(*domain, *server)).is_some_and(|last| sequence <= last)
                    }
                    Gtid::Mysql { .. } => false,
                };
                all.into_iter().find(|gtid| !there(gtid)).map(|gtid| gtid.to_string())
            }
            (History::Mysql(executed), Gtids::Mysql(_)) => {
                let part = read.part.as_ref().filter(|part| !executed.holds(part));
                read.before.beyond(executed).or_else(|| part.map(ToString::to_string))
            }
            _ => return Ok(Some(read.before.to_string())),
        };
        match missing {
            Some(missing) if self.late(place) => Err(behind(&missing)),
            missing => Ok(missing),
        }
    }

    /// Whether replication may still bring what is missing: nobody else writes here, and the server has not gone further.
    fn late(&self, place: &Place) -> bool {
        self.read_only && self.head().is_some_and(|head| head.order() < place.order.lsn)
    }

    /// Whether positions mean here what they mean where they were made, although this is another server.
    fn heir(&self, place: &Place) -> bool {
        let Some(read) = &place.read else { return false };
        let ends = read.before.ends();
        match &self.history {
            History::Files => false,
            History::Maria { server: own, .. } => {
                ends.iter().any(|gtid| matches!(gtid, Gtid::Maria { server, .. } if server != own))
            }
            History::Mysql(_) => !ends.is_empty(),
        }
    }

    fn basis(&self) -> RailBasis {
        match self.history {
            History::Files => RailBasis::File,
            History::Maria { .. } | History::Mysql(_) => RailBasis::Gtid,
        }
    }
}

/// See [`policy::port::Rail::slot`]. There is no slot: what counts is whether the log is still there from where we are.
pub(in super::super) async fn slot(at: &RailAddress) -> Result<RailSlot> {
    let mut session = Session::open(at).await?;
    let server = Server::look(&mut session).await?;
    let (file, offset) = master(&mut session).await?;
    let end = number(&file, offset);
    let from = Place::of_text(&at.from);
    let state = match &from {
        None => SlotState::Missing,
        Some(place) if place.read.is_some() => match server.missing(place)? {
            None => SlotState::Ready,
            Some(missing) => {
                SlotState::Lost(format!("缺少已读取的事务 the server lacks {missing}"))
            }
        },
        Some(place) if place.order.lsn > end => SlotState::Lost("the log begins anew".into()),
        Some(place) => match place_of(&mut session, place.order.lsn).await? {
            Some(_) => SlotState::Ready,
            None => SlotState::Lost("the log was purged".into()),
        },
    };
    let heir = state == SlotState::Ready && from.is_some_and(|place| server.heir(&place));
    Ok(RailSlot {
        state,
        heir,
        basis: server.basis(),
        confirmed: at.from.clone(),
        head: format!("{:016X}", server.head().map_or(end, |all| all.order())),
        system: server.system,
        // The server keeps its logs by its own rules, not for us.
        held_bytes: 0,
    })
}

/// The end of the log, as a place among all positions.
pub(in super::super) async fn head(session: &mut Session) -> Result<String> {
    let named = Server::look(session).await?.head();
    let order = match named {
        Some(all) => all.order(),
        None => {
            let (file, offset) = master(session).await?;
            number(&file, offset)
        }
    };
    Ok(format!("{order:016X}"))
}

/// A position from which every change is in the log that a later reading of the tables does not show. What the log says is its
/// end may be ahead of what readers see, so the position must come with a state: MariaDB tells it with a snapshot and
/// without any lock; elsewhere writers wait for the moment in which it is read.
pub(super) async fn beginning(session: &mut Session) -> Result<Place> {
    session.tell("START TRANSACTION WITH CONSISTENT SNAPSHOT").await?;
    let told = session.ask("SHOW STATUS LIKE 'binlog_snapshot_%'").await?;
    let of = |name: &str| {
        let row = told.iter().find(|r| r.first().is_some_and(|n| n.eq_ignore_ascii_case(name)));
        row.and_then(|r| r.get(1)).cloned().filter(|v| !v.is_empty())
    };
    let found = of("binlog_snapshot_file").zip(of("binlog_snapshot_position"));
    session.tell("COMMIT").await?;
    let seen = match found {
        Some((file, offset)) => {
            let offset =
                offset.parse().map_err(|e| Error::internal("binlog position").caused_by(e))?;
            let server = Server::look(session).await?;
            return at_file(session, &server, &file, offset).await;
        }
        None => {
            session.tell("FLUSH TABLES WITH READ LOCK").await?;
            let seen = async {
                let (file, offset) = master(session).await?;
                Ok((Server::look(session).await?, file, offset))
            }
            .await;
            session.tell("UNLOCK TABLES").await?;
            seen
        }
    };
    let (server, file, offset) = seen?;
    match server.history {
        History::Mysql(executed) => Ok(Place::level(executed)),
        _ => at_file(session, &server, &file, offset).await,
    }
}

/// A place in a file, by name if MariaDB tells it.
async fn at_file(session: &mut Session, server: &Server, file: &str, offset: u64) -> Result<Place> {
    if !matches!(server.history, History::Maria { .. }) {
        return Ok(Place::file(number(file, offset)));
    }
    let named = names_at(session, file, offset).await?;
    named.map(Place::level).ok_or_else(|| refused("BINLOG_GTID_POS: unknown"))
}

/// What MariaDB had written by name before an offset of a file; nothing when it does not know.
pub(super) async fn names_at(
    session: &mut Session,
    file: &str,
    offset: u64,
) -> Result<Option<Gtids>> {
    let sql = format!("SELECT COALESCE(BINLOG_GTID_POS({}, {offset}), '?')", literal(file));
    Ok(Gtids::maria(&one(session, &sql).await?))
}

/// Log file and offset at the end of the log.
pub(super) async fn master(session: &mut Session) -> Result<(String, u64)> {
    let rows = match session.ask("SHOW MASTER STATUS").await {
        Ok(rows) => rows,
        // What newer servers call it.
        Err(_) => session.ask("SHOW BINARY LOG STATUS").await?,
    };
    let row = rows.first().ok_or_else(|| refused("there is no binary log"))?;
    let file = row.first().cloned().unwrap_or_default();
    let offset = row.get(1).and_then(|n| n.parse().ok()).unwrap_or(4);
    Ok((file, offset))
}

/// File and offset as one number, in order.
pub(super) fn number(file: &str, offset: u64) -> u64 {
    let digits: u64 = file.rsplit('.').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    digits << OFFSET_BITS | offset & ((1 << OFFSET_BITS) - 1)
}

/// The logs of the server: name, number, size.
async fn logs(session: &mut Session) -> Result<Vec<(String, u64, u64)>> {
    let rows = session.ask("SHOW BINARY LOGS").await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let mut cells = row.into_iter();
            let (name, size) = (cells.next()?, cells.next()?.parse().ok()?);
            let at = number(&name, 0) >> OFFSET_BITS;
            Some((name, at, size))
        })
        .collect())
}

/// File and offset of a position, when the server still has them.
pub(super) async fn place_of(
    session: &mut Session,
    position: u64,
) -> Result<Option<(String, u64)>> {
    let (wanted, offset) = (position >> OFFSET_BITS, position & ((1 << OFFSET_BITS) - 1));
    let found = logs(session).await?.into_iter().find(|(_, at, _)| *at == wanted);
    Ok(found.filter(|(_, _, size)| offset <= *size).map(|(name, _, _)| (name, offset)))
}

async fn one(session: &mut Session, sql: &str) -> Result<String> {
    Ok(session.ask(sql).await?.into_iter().flatten().next().unwrap_or_default())
}

fn binlog_state(text: &str) -> Option<BTreeMap<(u32, u32), u64>> {
    let mut last = BTreeMap::new();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let mut numbers = name.splitn(3, '-');
        let key = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
        let slot = last.entry(key).or_insert(0);
        *slot = numbers.next()?.parse::<u64>().ok()?.max(*slot);
    }
    Some(last)
}

fn unread(said: &str) -> Error {
    Error::internal(format!("rail: the server's GTIDs cannot be read: {said}"))
}

/// The server has not what has been read: it took another way.
pub(super) fn lacks(missing: &str) -> (String, String) {
    (
        format!(
            "该服务器没有已读取过的事务 {missing}（主备分叉，或切换时有事务未复制过来）；其间的数据以现主库为准，各表将整表核补"
        ),
        format!(
            "this server has not the transaction {missing}, which has been read (it diverged, or was promoted before it had everything); the tables are read anew as a whole"
        ),
    )
}

/// A replica that may still receive what is missing.
fn behind(missing: &str) -> Error {
    Error::new(
        Code::SourceUnavailable,
        format!(
            "数据源是只读的备库，尚未复制到已读取过的事务 {missing}；待其追上后自动接续。若它不会再追上，请取消其只读状态，各表将整表核补"
        ),
        format!(
            "the source is a read-only replica that has not received the transaction {missing} yet, which has been read; the rail goes on when it has. If it never will, make it writable: the tables are then read anew"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maria(state: &str, own: u32, read_only: bool) -> Server {
        let history = History::Maria { last: binlog_state(state).unwrap(), server: own };
        Server { system: String::new(), history, read_only }
    }

    fn level(text: &str) -> Place {
        Place::level(Gtids::maria(text).unwrap())
    }

    #[test]
    fn another_server_is_believed_only_if_it_has_what_was_read() {
        let replica = maria("0-1-100,0-2-103", 2, false);
        assert_eq!(replica.missing(&level("0-1-100")).unwrap(), None);
        assert_eq!(replica.missing(&level("0-2-102")).unwrap(), None);
        // Its own sequence went on from a hundred; ours had been at a hundred and two.
        assert_eq!(replica.missing(&level("0-1-102")).unwrap().as_deref(), Some("0-1-102"));
        assert_eq!(replica.missing(&level("1-1-1")).unwrap().as_deref(), Some("1-1-1"));
        assert!(replica.heir(&level("0-1-100")) && !replica.heir(&Place::file(7)));
        let part = Place::of_text("200000000000006A.00000002~m:0-1-100+0-1-101").unwrap();
        assert_eq!(replica.missing(&part).unwrap().as_deref(), Some("0-1-101"));
        // A stranger with the same number as the one that wrote our transactions.
        assert!(!maria("0-1-5000", 1, false).heir(&level("0-1-100")));
        assert_eq!(replica.head().unwrap().to_string(), "0-2-103");
    }

    #[test]
    fn a_late_replica_is_waited_for_and_a_diverged_one_is_not() {
        let late = maria("0-1-90", 2, true).missing(&level("0-1-100")).unwrap_err();
        assert_eq!(late.code(), Code::SourceUnavailable);
        let diverged = maria("0-1-90,0-3-200", 2, true);
        assert!(diverged.missing(&level("0-1-100")).unwrap().is_some());
    }

    #[test]
    fn sets_of_mysql_must_be_held_whole() {
        let uuid = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
        let set = |ranges: &str| Gtids::mysql(&format!("{uuid}:{ranges}")).unwrap();
        let history = History::Mysql(set("1-10"));
        let server = Server { system: String::new(), history, read_only: false };
        assert_eq!(server.missing(&Place::level(set("1-10"))).unwrap(), None);
        assert!(server.missing(&Place::level(set("1-11"))).unwrap().is_some());
        assert!(server.heir(&Place::level(set("1-10"))));
        assert!(server.missing(&level("0-1-1")).unwrap().is_some(), "another kind of server");
        assert_eq!(server.head().unwrap().order(), Place::level(set("1-10")).order.lsn);
    }
}

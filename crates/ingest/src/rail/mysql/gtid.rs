//! Transactions by their global names (GTID), and positions by them: what is the same on every server of a replication.
//!
//! ```text
//! MariaDB   0-7-1204                 domain, server, sequence. In a domain the sequence only grows: its last one says all.
//! MySQL     3e11fa47-…:23            server's uuid (and a tag) and number. What has been read is a set of ranges.
//! ```
//!
//! A position as text is `20000000000004B4.00000003~m:0-7-1203+0-7-1204`: its place among all positions, the change in its
//! transaction, the transactions before as a set, and the change's own. The place is the count of transactions so far, beyond every
//! position by file and offset (`0000010000000157.00000003`), which older versions kept: so positions of one source are always in
//! order, as numbers and as texts.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use super::super::Position;

/// Where positions by name begin; positions by file and offset are before.
const BEYOND_FILES: u64 = 1 << 61;

/// The name of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Gtid {
    Maria { domain: u32, server: u32, sequence: u64 },
    Mysql { source: String, number: u64 },
}

/// Transactions that have been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Gtids {
    /// The last one of each domain: server and sequence.
    Maria(BTreeMap<u32, (u32, u64)>),
    /// Ranges, both ends included, of each source.
    Mysql(BTreeMap<String, Vec<(u64, u64)>>),
}

impl Gtids {
    /// A set as MariaDB writes it.
    pub(super) fn maria(text: &str) -> Option<Self> {
        let mut last = BTreeMap::new();
        for name in words(text, ',') {
            let Gtid::Maria { domain, server, sequence } = Gtid::maria(name)? else { return None };
            let slot = last.entry(domain).or_insert((server, sequence));
            if slot.1 < sequence {
                *slot = (server, sequence);
            }
        }
        Some(Self::Maria(last))
    }

    /// A set as MySQL writes it: a tag holds for the ranges behind it.
    pub(super) fn mysql(text: &str) -> Option<Self> {
        let mut all = Self::Mysql(BTreeMap::new());
        for source in words(text, ',') {
            let mut parts = source.split(':').map(str::trim);
            let uuid = parts.next()?.to_ascii_lowercase();
            let mut name = uuid.clone();
            for part in parts {
                if !part.starts_with(|c: char| c.is_ascii_digit()) {
                    name = format!("{uuid}:{part}");
                    continue;
                }
                let (first, last) = part.split_once('-').unwrap_or((part, part));
                all.put(&name, (first.parse().ok()?, last.parse().ok()?));
            }
        }
        Some(all)
    }

    pub(super) fn holds(&self, gtid: &Gtid) -> bool {
        match (self, gtid) {
            (Self::Maria(last), Gtid::Maria { domain, sequence, .. }) => {
                last.get(domain).is_some_and(|(_, last)| sequence <= last)
            }
            (Self::Mysql(ranges), Gtid::Mysql { source, number }) => ranges
                .get(source)
                .is_some_and(|ranges| ranges.iter().any(|(a, b)| (a..=b).contains(&number))),
            _ => false,
        }
    }

    pub(super) fn add(&mut self, gtid: &Gtid) {
        match (self, gtid) {
            (Self::Maria(last), Gtid::Maria { domain, server, sequence }) => {
                last.insert(*domain, (*server, *sequence));
            }
            (all @ Self::Mysql(_), Gtid::Mysql { source, number }) => {
                all.put(source, (*number, *number));
            }
            _ => {}
        }
    }

    /// Adds a range of MySQL's, joined with those it touches.
    pub(super) fn put(&mut self, source: &str, (mut first, mut last): (u64, u64)) {
        let Self::Mysql(sources) = self else { return };
        let ranges = sources.entry(source.to_owned()).or_default();
        ranges.retain(|(a, b)| {
            let apart = last.saturating_add(1) < *a || b.saturating_add(1) < first;
            if !apart {
                (first, last) = (first.min(*a), last.max(*b));
            }
            apart
        });
        let at = ranges.partition_point(|(a, _)| *a < first);
        ranges.insert(at, (first, last));
    }

    /// How many transactions: it grows with each one that is read, and so is an order.
    fn count(&self) -> u64 {
        match self {
            Self::Maria(last) => last.values().fold(0, |n, (_, last)| n.saturating_add(*last)),
            Self::Mysql(sources) => sources
                .values()
                .flatten()
                .fold(0, |n, (a, b)| n.saturating_add(b.saturating_sub(*a).saturating_add(1))),
        }
    }

    /// Place among all positions.
    pub(super) fn order(&self) -> u64 {
        BEYOND_FILES.saturating_add(self.count()).min(i64::MAX.unsigned_abs())
    }

    /// The names that say all: MariaDB's last ones, the ends of MySQL's ranges.
    pub(super) fn ends(&self) -> Vec<Gtid> {
        match self {
            Self::Maria(last) => last
                .iter()
                .map(|(domain, (server, sequence))| Gtid::Maria {
                    domain: *domain,
                    server: *server,
                    sequence: *sequence,
                })
                .collect(),
            Self::Mysql(sources) => sources
                .iter()
                .flat_map(|(source, ranges)| ranges.iter().map(move |range| (source, range)))
                .flat_map(|(source, (a, b))| {
                    [a, b].map(|number| Gtid::Mysql { source: source.clone(), number: *number })
                })
                .collect(),
        }
    }

    /// The first range of MySQL's that is not wholly in the other set.
    pub(super) fn beyond(&self, other: &Self) -> Option<String> {
        let (Self::Mysql(ours), Self::Mysql(theirs)) = (self, other) else {
            return Some(self.to_string());
        };
        ours.iter().find_map(|(source, ranges)| {
            let there = theirs.get(source);
            let whole = |(a, b): &&(u64, u64)| {
                !there.is_some_and(|there| there.iter().any(|(c, d)| c <= a && b <= d))
            };
            ranges.iter().find(whole).map(|(a, b)| format!("{source}:{a}-{b}"))
        })
    }
}

impl Gtid {
    fn maria(text: &str) -> Option<Self> {
        let mut numbers = text.trim().splitn(3, '-');
        Some(Self::Maria {
            domain: numbers.next()?.parse().ok()?,
            server: numbers.next()?.parse().ok()?,
            sequence: numbers.next()?.parse().ok()?,
        })
    }

    /// From the body of MariaDB's event and the server of its head; the second: no COMMIT will follow.
    pub(super) fn of_event(body: &[u8], server: u32) -> Option<(Self, bool)> {
        let (sequence, rest) = body.split_first_chunk::<8>()?;
        let (domain, rest) = rest.split_first_chunk::<4>()?;
        let alone = rest.first()? & 1 == 1;
        let (sequence, domain) = (u64::from_le_bytes(*sequence), u32::from_le_bytes(*domain));
        Some((Self::Maria { domain, server, sequence }, alone))
    }

    /// Of MySQL: the bytes of a uuid, a tag if there is one, and the number.
    pub(super) fn of_mysql(uuid: [u8; 16], tag: Option<&str>, number: u64) -> Self {
        Self::Mysql { source: source(uuid, tag), number }
    }
}

/// A source of MySQL's as it is written.
pub(super) fn source(uuid: [u8; 16], tag: Option<&str>) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in uuid.iter().enumerate() {
        if [4, 6, 8, 10].contains(&at) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    match tag {
        Some(tag) => format!("{text}:{tag}"),
        None => text,
    }
}

fn words(text: &str, separator: char) -> impl Iterator<Item = &str> {
    text.split(separator).map(str::trim).filter(|word| !word.is_empty())
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Maria { domain, server, sequence } => write!(f, "{domain}-{server}-{sequence}"),
            Self::Mysql { source, number } => write!(f, "{source}:{number}"),
        }
    }
}

impl fmt::Display for Gtids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = match self {
            Self::Maria(_) => self.ends().iter().map(ToString::to_string).collect(),
            Self::Mysql(sources) => sources
                .iter()
                .map(|(source, ranges)| {
                    let ranges = ranges.iter().map(|(a, b)| match a == b {
                        true => format!(":{a}"),
                        false => format!(":{a}-{b}"),
                    });
                    format!("{source}{}", ranges.collect::<String>())
                })
                .collect(),
        };
        f.write_str(&all.join(","))
    }
}

/// A position of a table or of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Place among all positions, and the change in its transaction.
    pub(super) order: Position,
    /// By name; nothing for a position by file and offset.
    pub(super) read: Option<Read>,
}

/// What has been read, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) before: Arc<Gtids>,
    /// The transaction that has been read in part, as far as the place says.
    pub(super) part: Option<Gtid>,
}

impl Place {
    pub(super) fn file(number: u64) -> Self {
        Self { order: Position { lsn: number, change: 0 }, read: None }
    }

    /// All of these have been read.
    pub(super) fn level(all: Gtids) -> Self {
        let order = Position { lsn: all.order(), change: 0 };
        Self { order, read: Some(Read { before: Arc::new(all), part: None }) }
    }

    pub(super) fn of_text(text: &str) -> Option<Self> {
        let Some((order, names)) = text.split_once('~') else {
            return Some(Self { order: Position::of_text(text)?, read: None });
        };
        let order = Position::of_text(order)?;
        let (kind, names) = names.split_once(':')?;
        let (before, part) = names.split_once('+').map_or((names, None), |(a, b)| (a, Some(b)));
        let (before, part) = match kind {
            "m" => (Gtids::maria(before)?, part.map(Gtid::maria)),
            "q" => {
                let of = |part: &str| {
                    let (source, number) = part.rsplit_once(':')?;
                    Some(Gtid::Mysql { source: source.to_owned(), number: number.parse().ok()? })
                };
                (Gtids::mysql(before)?, part.map(of))
            }
            _ => return None,
        };
        let part = match part {
            Some(part) => Some(part?),
            None => None,
        };
        Some(Self { order, read: Some(Read { before: Arc::new(before), part }) })
    }

    /// Whether this change has landed when its table stands here.
    pub(super) fn covers(&self, mark: &Mark, change: u64) -> bool {
        match (&self.read, &mark.name) {
            (None, _) => Position { lsn: mark.file, change } <= self.order,
            (Some(read), Some((_, gtid))) => {
                read.before.holds(gtid)
                    || read.part.as_ref() == Some(gtid) && change <= self.order.change
            }
            (Some(_), None) => false,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.order)?;
        let Some(read) = &self.read else { return Ok(()) };
        let kind = if matches!(*read.before, Gtids::Maria(_)) { 'm' } else { 'q' };
        write!(f, "~{kind}:{}", read.before)?;
        match &read.part {
            Some(part) => write!(f, "+{part}"),
            None => Ok(()),
        }
    }
}

/// A transaction in the log: where it begins in this server's files, and its name with all that were read before.
#[derive(Clone, Debug, Default)]
pub(super) struct Mark {
    pub(super) file: u64,
    pub(super) name: Option<(Arc<Gtids>, Gtid)>,
}

impl Mark {
    /// Place among all positions, which is the record number of its rows.
    pub(super) fn order(&self) -> u64 {
        match &self.name {
            Some((before, _)) => before.order().saturating_add(1).min(i64::MAX.unsigned_abs()),
            None => self.file,
        }
    }

    /// The position after a change of it.
    pub(super) fn place(&self, change: u64) -> Place {
        let order = Position { lsn: self.order(), change };
        let read = self
            .name
            .as_ref()
            .map(|(before, gtid)| Read { before: Arc::clone(before), part: Some(gtid.clone()) });
        Place { order, read }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
    const B: &str = "4e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn maria(domain: u32, server: u32, sequence: u64) -> Gtid {
        Gtid::Maria { domain, server, sequence }
    }

    fn mysql(source: &str, number: u64) -> Gtid {
        Gtid::Mysql { source: source.to_owned(), number }
    }

    #[test]
    fn positions_are_read_as_they_were_written_and_stand_in_order() {
        let domains = Gtids::maria("0-1-100,2-5-7").unwrap();
        let uuids = Gtids::mysql(&format!("{A}:1-5:9,\n{B}:1:app:4-6")).unwrap();
        let of = |before: &Gtids, gtid: Gtid| Mark {
            file: 5,
            name: Some((Arc::new(before.clone()), gtid)),
        };
        let places = [
            Place::file(7 << 40 | 999),
            Place::level(domains.clone()),
            of(&domains, maria(0, 2, 101)).place(17),
            Place::level(uuids.clone()),
            of(&uuids, mysql(&format!("{B}:app"), 7)).place(1),
            Place::level(Gtids::maria("").unwrap()),
        ];
        for place in &places {
            assert_eq!(Place::of_text(&place.to_string()).as_ref(), Some(place), "{place}");
        }
        assert_eq!(places[2].to_string(), "200000000000006C.00000017~m:0-1-100,2-5-7+0-2-101");
        assert_eq!(
            places[3].to_string(),
            format!("200000000000000A.00000000~q:{A}:1-5:9,{B}:1,{B}:app:4-6")
        );
        assert_eq!(places[0].to_string(), "00000700000003E7.00000000", "as older versions kept it");
        assert!(places[0].to_string() < places[5].to_string() && places[1].order < places[2].order);
        let wrong = ["2.1~m:0-1", "2.1~x:", "2.1~q:u:1-b", "~", ""];
        assert!(wrong.iter().all(|text| Place::of_text(text).is_none()));
    }

    #[test]
    fn what_has_been_read_is_known_by_name() {
        let mut all = Gtids::maria("0-1-100").unwrap();
        assert!(
            all.holds(&maria(0, 9, 100))
                && !all.holds(&maria(0, 1, 101))
                && !all.holds(&maria(1, 1, 1))
        );
        let order = all.order();
        all.add(&maria(0, 2, 101));
        all.add(&maria(1, 2, 1));
        assert_eq!((all.to_string().as_str(), all.order()), ("0-2-101,1-2-1", order + 2));

        let mut all = Gtids::mysql("").unwrap();
        for number in [1, 3, 5, 4, 2, 9] {
            all.add(&mysql(A, number));
        }
        assert_eq!(all.to_string(), format!("{A}:1-5:9"));
        assert_eq!(all.order(), Gtids::mysql("").unwrap().order() + 6);
        assert!(all.holds(&mysql(A, 4)) && !all.holds(&mysql(A, 6)) && !all.holds(&mysql(B, 1)));
        let more = Gtids::mysql(&format!("{A}:1-20")).unwrap();
        assert_eq!(all.beyond(&more), None);
        assert_eq!(more.beyond(&all), Some(format!("{A}:1-20")));
    }

    #[test]
    fn a_table_knows_what_has_landed() {
        let before = Arc::new(Gtids::maria("0-1-100").unwrap());
        let mark = |file, sequence| Mark {
            file,
            name: Some((Arc::clone(&before), maria(0, 1, sequence))),
        };
        let stands = mark(0, 101).place(3);
        assert!(stands.covers(&mark(9, 100), 50), "before");
        assert!(stands.covers(&mark(9, 101), 3) && !stands.covers(&mark(9, 101), 4));
        assert!(!stands.covers(&mark(9, 102), 1));
        // One that was kept by file and offset goes by these.
        let older = Place { order: Position { lsn: 40, change: 2 }, read: None };
        assert!(older.covers(&mark(40, 1), 2) && !older.covers(&mark(40, 1), 3));
        assert!(!older.covers(&mark(41, 1), 1));
        assert!(!Place::default().covers(&mark(1, 1), 1));
    }

    #[test]
    fn an_event_of_mariadb_is_read() {
        let body = [9, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0];
        assert_eq!(Gtid::of_event(&body, 7), Some((maria(2, 7, 9), true)));
        assert_eq!(Gtid::of_event(&body[..12], 7), None);
        assert_eq!(
            source([0x3e; 16], Some("t")),
            format!("{}:t", "3e3e3e3e-3e3e-3e3e-3e3e-3e3e3e3e3e3e")
        );
    }
}

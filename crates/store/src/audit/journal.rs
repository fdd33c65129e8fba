//! The journal of SQLite's chain: where records are durable before their callers are told.
//!
//! A lot of records is one write at the end of a file and one `fdatasync`, whatever indexes and figures follow from it; those are
//! written behind it in large pieces (`settle`). There are two files: when the one in use is full and all that the other holds
//! stands in the table, too, the other is written anew from its beginning. Files are made larger in steps, with zeros, so that a
//! sync has no new size to tell the disk of. A line is `number hash body`; a file ends at the first line that does not follow
//! from the one before it: what lies behind is of an earlier turn, or was cut off by a crash and never acknowledged.
//!
//! When the platform ends in order everything is in the table and the files are emptied; what a start finds in them is put into
//! the table first.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use model::{Code, Error, Result};

use super::lot::Lot;

/// Bytes from which the other file is taken, if it may be.
const FULL: u64 = 32 << 20;
/// By how much a file grows at least and at most.
const GROWTH: (u64, u64) = (64 << 10, 4 << 20);

/// The two files.
#[derive(Debug)]
pub(super) struct Journal {
    current: Segment,
    other: Segment,
    /// Held as long as this lives: a chain has one writer.
    _lock: File,
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    file: File,
    /// Where the next line comes.
    at: u64,
    /// Whether the file stands there.
    there: bool,
    /// How far the file reaches.
    size: u64,
    /// Number of the last record in it; 0 when there is none.
    last: i64,
}

/// A line that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) seq: i64,
    pub(super) hash: String,
    pub(super) body: String,
}

impl Journal {
    /// Opens the journal of a folder; answers what its files hold, in order. Fails when another writer has it.
    pub(super) fn open(folder: &Path) -> Result<(Self, Vec<Line>)> {
        let lock = open(&folder.join("audit.lock")).map_err(unwritable)?;
        lock.try_lock().map_err(|e| taken(folder).caused_by(e))?;
        let (current, first) = Segment::open(folder.join("audit.journal.0"))?;
        let (other, second) = Segment::open(folder.join("audit.journal.1"))?;
        sync_folder(folder).map_err(unwritable)?;
        let mut found = [first, second];
        found.sort_by_key(|lines| lines.first().map_or(0, |l| l.seq));
        let lines = found.into_iter().flatten().collect();
        Ok((Self { current, other, _lock: lock }, lines))
    }

    /// Writes a lot and waits until it is on the disk. Records up to number `settled` stand in the table. After a failure the
    /// next lot is written over this one.
    pub(super) fn write(&mut self, lot: &Lot, settled: i64) -> std::io::Result<()> {
        if self.current.at >= FULL && self.other.last <= settled {
            std::mem::swap(&mut self.current, &mut self.other);
            self.current.begin();
        }
        self.current.write(lot)
    }

    /// Empties the files: everything stands in the table.
    pub(super) fn clear(&mut self) -> std::io::Result<()> {
        self.current.clear()?;
        self.other.clear()
    }

    /// Puts copies of the files aside, whose lines do not follow from the table's end: they are what an examiner needs.
    pub(super) fn put_aside(&self, seq: i64) -> std::io::Result<()> {
        for segment in [&self.current, &self.other] {
            let mut aside = segment.path.clone().into_os_string();
            aside.push(format!(".unfit-{seq}"));
            std::fs::copy(&segment.path, PathBuf::from(aside))?;
        }
        Ok(())
    }
}

impl Segment {
    fn open(path: PathBuf) -> Result<(Self, Vec<Line>)> {
        let file = open(&path).map_err(unwritable)?;
        let bytes = std::fs::read(&path).map_err(unwritable)?;
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let lines = lines(&bytes);
        let last = lines.last().map_or(0, |l| l.seq);
        Ok((Self { path, file, at: 0, there: false, size, last }, lines))
    }

    fn begin(&mut self) {
        (self.at, self.there) = (0, false);
    }

    fn write(&mut self, lot: &Lot) -> std::io::Result<()> {
        let bytes = lot.lines().as_bytes();
        let ends = self.at + u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if ends > self.size {
            self.grow(ends)?;
        }
        if !self.there {
            self.file.seek(SeekFrom::Start(self.at))?;
        }
        self.there = false;
        self.file.write_all(bytes)?;
        self.file.sync_data()?;
        (self.at, self.there, self.last) = (ends, true, lot.last());
        Ok(())
    }

    fn grow(&mut self, ends: u64) -> std::io::Result<()> {
        const ZEROS: [u8; 16 << 10] = [0; 16 << 10];
        let to = ends.max(self.size + self.size.clamp(GROWTH.0, GROWTH.1));
        self.there = false;
        self.file.seek(SeekFrom::Start(self.size))?;
        while self.size < to {
            self.file.write_all(&ZEROS)?;
            self.size += ZEROS.len() as u64;
        }
        Ok(())
    }

    fn clear(&mut self) -> std::io::Result<()> {
        self.file.set_len(0)?;
        self.file.sync_all()?;
        (self.size, self.last) = (0, 0);
        self.begin();
        Ok(())
    }
}

/// The lines from the beginning on whose numbers follow each other.
fn lines(bytes: &[u8]) -> Vec<Line> {
    let mut found: Vec<Line> = Vec::new();
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let line = line.strip_suffix(b"\n").and_then(|l| std::str::from_utf8(l).ok());
        let Some(line) = line.and_then(Line::parse) else { break };
        if found.last().is_some_and(|before| before.seq + 1 != line.seq) {
            break;
        }
        found.push(line);
    }
    found
}

impl Line {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ' ');
        let seq = parts.next()?.parse().ok()?;
        let (hash, body) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        Some(Self { seq, hash, body })
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// New names in a folder are durable when the folder is.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

fn unwritable(e: std::io::Error) -> Error {
    Error::of(Code::AuditUnavailable).caused_by(e)
}

fn taken(folder: &Path) -> Error {
    let shown = folder.display();
    Error::new(
        Code::AuditUnavailable,
        format!("审计链 {shown} 正由另一进程写入；请先停止该进程"),
        format!(
            "the audit chain in {shown} is being written by another process; stop that one first"
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::audit::AuditEvent;

    use super::*;
    use crate::audit::write::Tail;

    /// The next records of a chain, of about `size` bytes each.
    fn next(tail: &mut Tail, records: usize, size: usize) -> Lot {
        let event = |n: usize| AuditEvent {
            event_id: n.to_string(),
            reason: "x".repeat(size),
            ..AuditEvent::default()
        };
        let events: Vec<_> = (0..records).map(|n| Arc::new(event(n))).collect();
        let lot = tail.link(&events);
        tail.keep(lot.last(), lot.hash());
        lot
    }

    fn reopened(folder: &Path, journal: Journal) -> Vec<i64> {
        drop(journal);
        Journal::open(folder).unwrap().1.into_iter().map(|l| l.seq).collect()
    }

    #[test]
    fn a_full_file_gives_way_to_the_other_when_that_is_settled() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, found) = Journal::open(folder.path()).unwrap();
        assert_eq!(found, []);
        let mut tail = Tail::genesis();
        let megabytes = |journal: &mut Journal, tail: &mut Tail, n: usize, settled: i64| {
            for _ in 0..n {
                journal.write(&next(tail, 4, 256 << 10), settled).unwrap();
            }
        };
        // 32 MB fill the first file, two more go to the second.
        megabytes(&mut journal, &mut tail, 32, 0);
        megabytes(&mut journal, &mut tail, 2, 128);
        assert_eq!((journal.current.last, journal.other.last), (136, 128));
        // The second is full; the first is not settled yet, so that the second grows.
        megabytes(&mut journal, &mut tail, 33, 100);
        assert_eq!((journal.current.last, journal.other.last), (268, 128));
        assert_eq!(reopened(folder.path(), journal), (1..=268).collect::<Vec<_>>());

        let (mut journal, _) = Journal::open(folder.path()).unwrap();
        journal.clear().unwrap();
        megabytes(&mut journal, &mut tail, 32, 268);
        megabytes(&mut journal, &mut tail, 32, 396);
        // Back in the first file: what is left there of its earlier turn is none of the chain's.
        journal.write(&next(&mut tail, 3, 1000), 396).unwrap();
        assert_eq!(journal.current.last, 527);
        assert_eq!(reopened(folder.path(), journal), (397..=527).collect::<Vec<_>>());
    }

    #[test]
    fn a_file_ends_where_its_last_write_was_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(folder.path()).unwrap();
        let mut tail = Tail::genesis();
        journal.write(&next(&mut tail, 5, 10), 0).unwrap();
        let whole = journal.current.at;
        journal.write(&next(&mut tail, 2, 10), 0).unwrap();
        let (path, ends) = (journal.current.path.clone(), journal.current.at);
        let bytes = std::fs::read(&path).unwrap();
        drop(journal);
        for cut in whole..ends {
            let left = bytes.get(..usize::try_from(cut).unwrap()).unwrap();
            let most = if cut == ends - 1 { 6 } else { 7 };
            let found = lines(left).len();
            assert!((5..=most).contains(&found), "{found} lines of {cut} bytes");
        }
        assert_eq!(lines(&bytes).len(), 7);
    }

    #[test]
    fn a_journal_has_one_holder() {
        let folder = tempfile::tempdir().unwrap();
        let held = Journal::open(folder.path()).unwrap();
        assert_eq!(Journal::open(folder.path()).unwrap_err().code(), Code::AuditUnavailable);
        drop(held);
        assert!(Journal::open(folder.path()).is_ok());
    }
}

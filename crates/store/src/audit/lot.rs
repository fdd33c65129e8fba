//! Records of one write, packed: what is kept of them lies in two texts, so that neither a thread behind the writer nor the writer
//! itself takes apart what callers put together.

use std::ops::Range;

use guard::chain;
use model::audit::AuditEvent;

/// Columns of the table that questions ask for, beside number, hashes and body.
const COLUMNS: usize = 5;
/// Bytes of a line for which room is made ahead.
const LINE: usize = 768;

#[derive(Debug, Default)]
pub(super) struct Lot {
    first: i64,
    /// Hash of the record before the first.
    before: String,
    /// The journal's lines: number, hash and body.
    lines: String,
    columns: String,
    places: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    hash: Range<usize>,
    body: Range<usize>,
    /// Where each column ends.
    columns: [usize; COLUMNS],
}

/// A record as it is kept.
pub(super) struct Kept<'a> {
    pub(super) seq: i64,
    pub(super) prev_hash: &'a str,
    pub(super) hash: &'a str,
    pub(super) body: &'a str,
    /// Time, actor, action, object, result.
    pub(super) columns: [&'a str; COLUMNS],
}

impl Lot {
    /// Links events behind record `last`, whose hash is `before`.
    pub(super) fn of<'a>(
        last: i64,
        before: &str,
        events: impl ExactSizeIterator<Item = &'a AuditEvent>,
    ) -> Self {
        let mut lot = Self { first: last + 1, before: before.to_owned(), ..Self::default() };
        lot.lines.reserve(events.len() * LINE);
        lot.places.reserve(events.len());
        let (mut body, mut hash) = (String::with_capacity(LINE), before.to_owned());
        for (seq, event) in (lot.first..).zip(events) {
            hash = chain::link_text(&mut body, &hash, seq, event);
            lot.push(seq, &hash, &body, event);
        }
        lot
    }

    fn push(&mut self, seq: i64, hash: &str, body: &str, e: &AuditEvent) {
        use std::fmt::Write;
        // Writing into a String cannot fail.
        let _ = write!(self.lines, "{seq} ");
        let hash = append(&mut self.lines, hash);
        self.lines.push(' ');
        let body = append(&mut self.lines, body);
        self.lines.push('\n');
        let columns = [&e.ts, &e.actor, &e.action, &e.object, &e.result]
            .map(|text| append(&mut self.columns, text).end);
        self.places.push(Place { hash, body, columns });
    }

    /// Number of the first record.
    pub(super) fn first(&self) -> i64 {
        self.first
    }

    /// Number of the last record; that before the first when there is none.
    pub(super) fn last(&self) -> i64 {
        self.first + i64::try_from(self.places.len()).unwrap_or(i64::MAX) - 1
    }

    /// Bytes held.
    pub(super) fn size(&self) -> usize {
        self.lines.len() + self.columns.len()
    }

    /// The lines, as the journal keeps them.
    pub(super) fn lines(&self) -> &str {
        &self.lines
    }

    /// Hash of the last record; that before the first when there is none.
    pub(super) fn hash(&self) -> &str {
        self.places.last().map_or(&self.before, |p| cut(&self.lines, p.hash.clone()))
    }

    pub(super) fn records(&self) -> impl Iterator<Item = Kept<'_>> {
        let (mut prev_hash, mut begins) = (self.before.as_str(), 0);
        (self.first..).zip(&self.places).map(move |(seq, place)| {
            let hash = cut(&self.lines, place.hash.clone());
            let columns = place.columns.map(|ends| {
                let begun = std::mem::replace(&mut begins, ends);
                cut(&self.columns, begun..ends)
            });
            let body = cut(&self.lines, place.body.clone());
            Kept { seq, prev_hash: std::mem::replace(&mut prev_hash, hash), hash, body, columns }
        })
    }
}

fn append(text: &mut String, part: &str) -> Range<usize> {
    let begins = text.len();
    text.push_str(part);
    begins..text.len()
}

/// The places are those of parts that were appended.
fn cut(text: &str, place: Range<usize>) -> &str {
    text.get(place).unwrap_or_default()
}

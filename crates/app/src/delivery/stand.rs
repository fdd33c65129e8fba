//! Where a database stands, as it is written there with the rows: which turn wrote it, from which version to which, by which shape of
//! the grant, and how much it brought. All that a receipt needs is in it.

use std::str::FromStr;

use guard::hash::{HashAlgorithm, Hasher};
use model::code::SyncMode;
use policy::port::ChangeSpan;

/// A position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stand {
    pub(super) turn: String,
    pub(super) mode: SyncMode,
    pub(super) from: Option<i64>,
    pub(super) version: i64,
    pub(super) shape: String,
    pub(super) upserts: u64,
    pub(super) deletes: u64,
    pub(super) bytes: u64,
    /// Of the rows as they were sent.
    pub(super) sha256: String,
}

impl Stand {
    /// Reads a position; one that no delivery wrote is none.
    pub(super) fn of_text(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        if parts.next()? != "d1" {
            return None;
        }
        let turn = parts.next()?.to_owned();
        let mode = SyncMode::parse(parts.next()?)?;
        let from = match parts.next()? {
            "-" => None,
            version => Some(version.parse().ok()?),
        };
        let version = number(parts.next())?;
        let shape = parts.next()?.to_owned();
        let (upserts, deletes) = (number(parts.next())?, number(parts.next())?);
        let bytes = number(parts.next())?;
        let sha256 = parts.next()?.to_owned();
        parts.next().is_none().then_some(Self {
            turn,
            mode,
            from,
            version,
            shape,
            upserts,
            deletes,
            bytes,
            sha256,
        })
    }

    pub(super) fn text(&self) -> String {
        let from = self.from.map_or_else(|| "-".to_owned(), |v| v.to_string());
        let Self { turn, mode, version, shape, upserts, deletes, bytes, sha256, .. } = self;
        format!("d1:{turn}:{mode}:{from}:{version}:{shape}:{upserts}:{deletes}:{bytes}:{sha256}")
    }
}

fn number<T: FromStr>(part: Option<&str>) -> Option<T> {
    part?.parse().ok()
}

/// What a turn has sent so far.
pub(super) struct Sent {
    stand: Stand,
    hasher: Hasher,
    pub(super) pieces: u64,
}

impl Sent {
    pub(super) fn begin(turn: &str, shape: &str, span: &ChangeSpan, mode: SyncMode) -> Self {
        Self {
            stand: Stand {
                turn: turn.to_owned(),
                mode,
                from: span.from,
                version: span.to,
                shape: shape.to_owned(),
                upserts: 0,
                deletes: 0,
                bytes: 0,
                sha256: String::new(),
            },
            hasher: Hasher::new(HashAlgorithm::Sha256),
            pieces: 0,
        }
    }

    /// Counts a piece; `rows` are its rows in words.
    pub(super) fn add(&mut self, upserts: u64, deletes: u64, bytes: u64, rows: &str) {
        self.stand.upserts += upserts;
        self.stand.deletes += deletes;
        self.stand.bytes += bytes;
        self.hasher.update(rows.as_bytes());
        self.pieces += 1;
    }

    /// Rows sent so far.
    pub(super) fn rows(&self) -> u64 {
        self.stand.upserts + self.stand.deletes
    }

    pub(super) fn end(mut self) -> Stand {
        self.stand.sha256 = self.hasher.finish();
        self.stand
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_tells_the_turn_that_wrote_it_and_what_it_brought() {
        let span = ChangeSpan { from: Some(3), to: 7, after: None };
        let mut sent = Sent::begin("019a", "ab12", &span, SyncMode::Incremental);
        sent.add(2, 1, 30, "U\t1\n");
        assert_eq!(sent.rows(), 3);
        let stand = sent.end();
        let text = stand.text();
        assert!(text.starts_with("d1:019a:incremental:3:7:ab12:2:1:30:"), "{text}");
        assert_eq!(Stand::of_text(&text), Some(stand.clone()));
        let first = Stand { from: None, mode: SyncMode::Full, ..stand };
        assert_eq!(Stand::of_text(&first.text()), Some(first));
        for other in ["", "v1:3:ab", "d1:t:full:-:x:ab:1:1:1:aa", "d1:t:full:-:1:ab:1:1:1:aa:b"] {
            assert_eq!(Stand::of_text(other), None, "{other}");
        }
    }
}

//! The real-time rail: tables of a database and its log of changes; PostgreSQL's (logical replication, pgoutput) here, those
//! of MySQL and MariaDB in `mysql`.
//!
//! ```text
//! place     connections: one for questions, one for the log          tunnel   TLS for the one that speaks none
//! survey    what is there and what stands in the way                 kind     types and their values
//! slot      publication and slot: made, looked at, given up          decode   messages of the log
//! rows      a snapshot in chunks by key, as `copied`                  stream   changes into pieces with positions
//! probe     key ranges compared with the lake
//! ```
//!
//! How a table comes over: the slot is made and exports its snapshot, which is read in chunks by key, on several
//! connections side by side; then the log is read from the slot's beginning. A snapshot that was broken off goes on after
//! its last chunk from a *later* state, which is right all the same: the log still holds every change since the slot's
//! beginning, rows are put by their key, and so the table is level when the log has been read up to that later state.
//!
//! A position is the end of the commit and the number of the change in it (`0000000001A2B3C8.00000017`), so that a large
//! transaction can be cut. Values that were too large to be sent again with a change (`TOAST`) are asked of the source,
//! which may answer with a later value: then a later change brings the same.

mod copied;
mod decode;
mod gap;
mod kind;
mod line;
mod mysql;
mod place;
mod probe;
mod rows;
mod shape;
mod slot;
mod stream;
mod survey;
mod tunnel;
mod words;

use std::sync::Arc;

use async_trait::async_trait;
use model::Result;
use model::item::Item;
use policy::port::{
    Probe, ProbeTable, Rail, RailAddress, RailBinding, RailLine, RailPace, RailSlot, RailSurvey,
    Span,
};

use crate::outgoing::{Outgoing, settle};

/// Rails of PostgreSQL, MySQL and MariaDB. It holds where it may connect to only: make one and share it.
#[derive(Clone, Debug, Default)]
pub struct Rails {
    outgoing: Outgoing,
}

impl Rails {
    /// Follows databases where `outgoing` lets go.
    #[must_use]
    pub fn reaching(outgoing: Outgoing) -> Self {
        Self { outgoing }
    }

    /// The address with those of its host, looked at once for all connections of a line.
    async fn settled(&self, at: &RailAddress) -> Result<RailAddress> {
        Ok(RailAddress { url: settle(&self.outgoing, &at.url).await?, ..at.clone() })
    }
}

#[async_trait]
impl Rail for Rails {
    async fn survey(&self, at: &RailAddress, tables: &[RailBinding]) -> Result<RailSurvey> {
        let at = &self.settled(at).await?;
        match mysql::is(at) {
            true => mysql::survey(at, tables).await,
            false => survey::survey(at, tables).await,
        }
    }
    async fn slot(&self, at: &RailAddress) -> Result<RailSlot> {
        let at = &self.settled(at).await?;
        match mysql::is(at) {
            true => mysql::slot(at).await,
            false => slot::look(at).await,
        }
    }
    async fn open(
        &self,
        at: &RailAddress,
        tables: &[RailBinding],
        pace: RailPace,
    ) -> Result<Arc<dyn RailLine>> {
        let at = &self.settled(at).await?;
        Ok(match mysql::is(at) {
            true => Arc::new(mysql::Line::open(at, tables, pace).await?),
            false => Arc::new(line::Line::open(at, tables, pace).await?),
        })
    }
    async fn release(&self, at: &RailAddress, whole: bool) -> Result<()> {
        match mysql::is(at) {
            true => Ok(()),
            false => slot::release(&self.settled(at).await?, whole).await,
        }
    }
}

#[async_trait]
impl Probe for Rails {
    async fn probe(
        &self,
        at: &RailAddress,
        place: &str,
        items: &[Item],
        span: Option<Span>,
    ) -> Result<Arc<dyn ProbeTable>> {
        probe::open(&self.settled(at).await?, place, items, span).await
    }
}

/// A position in the log: the end of the commit, and how many changes of the table in it are before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    lsn: u64,
    change: u64,
}

impl Position {
    fn of_text(text: &str) -> Option<Self> {
        let (lsn, change) = text.split_once('.').unwrap_or((text, "0"));
        Some(Self { lsn: u64::from_str_radix(lsn, 16).ok()?, change: change.parse().ok()? })
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016X}.{:08}", self.lsn, self.change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_in_order_as_numbers_and_as_texts() {
        let at = |lsn, change| Position { lsn, change };
        let mut all = [at(0xA0, 2), at(0x1_0000_0000, 0), at(0xA0, 11), at(0x9, 99)];
        all.sort();
        assert_eq!(all, [at(0x9, 99), at(0xA0, 2), at(0xA0, 11), at(0x1_0000_0000, 0)]);
        let mut texts: Vec<String> = all.iter().map(ToString::to_string).collect();
        texts.sort();
        assert_eq!(texts, all.map(|p| p.to_string()));
        assert!(texts.iter().zip(all).all(|(text, p)| Position::of_text(text) == Some(p)));
        assert_eq!(Position::of_text("zz"), None);
    }
}

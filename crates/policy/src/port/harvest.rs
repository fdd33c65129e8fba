//! The port of other catalogues: their records, page by page.

use async_trait::async_trait;
use model::Result;
use model::harvest::{HarvestKind, HarvestRefusal, Record};

/// Catalogues of others. Called from one recurring job, one page of a source at a time; the reader keeps nothing between two
/// calls, so that any process can go on from a position.
#[async_trait]
pub trait Harvester: Send + Sync {
    /// Reads a page.
    ///
    /// An address that the operator's list does not hold, the one asked for or one it redirects to, is refused with `rule_broken`
    /// and was not connected to; everything that is the source's fault (unreachable, late, refusing, too large, not to be
    /// understood) is `source_unavailable`. A record that cannot be read is told in the page and fails nothing.
    async fn page(&self, ask: &HarvestAsk<'_>) -> Result<HarvestPage>;

    /// One data set as CKAN's clients write it (an object of JSON), in words of this catalogue: the very reading that a page of CKAN's gets.
    /// No address is asked. What is no such object is `invalid_input`.
    fn package(&self, document: &str) -> Result<Record>;
}

/// Which page is wanted.
#[derive(Clone, Copy, Debug)]
pub struct HarvestAsk<'a> {
    pub kind: HarvestKind,
    /// Address of the catalogue, as people gave it.
    pub url: &'a str,
    /// `next` of the page before; `None` is the first.
    pub position: Option<&'a str>,
    /// Only what has changed since then (RFC 3339), where the source can tell; empty: everything.
    pub since: &'a str,
    /// `mark` of the page that was read last time; empty: the page is wanted whatever it is.
    pub mark: &'a str,
    /// Records of a page, where the source lets one say.
    pub records: u32,
    /// Bytes of one answer at most.
    pub most_bytes: u64,
}

/// A page of a catalogue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HarvestPage {
    pub records: Vec<Record>,
    /// Records that could not be read.
    pub refused: Vec<HarvestRefusal>,
    /// Ids of records that the source says are gone.
    pub gone: Vec<String>,
    /// Where the next page is; `None` at the end.
    pub next: Option<String>,
    /// The source says that nothing has changed since `mark`: the rest of the page is empty.
    pub untouched: bool,
    /// Records may have moved between pages while they were read: what is not seen is not gone for that.
    pub moved: bool,
    /// By what the state of this page is known again; empty where the source says nothing.
    pub mark: String,
}

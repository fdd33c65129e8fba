//! One pass over the matches: their number, exact facet counts, and one page of them. The page is found by position
//! (`after`), so that the thousandth costs what the first does; an offset works too and costs its depth.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::ColumnValues;
use tantivy::{DocAddress, DocId, Score, SegmentOrdinal, SegmentReader};

use crate::columns::{Columns, Segment};
use crate::schema::{DATA_AT, FACETS, GLUE, ID, PUBLISHED, ROWS, TIE, with_ancestors};

/// Values with counts of one facet.
pub(crate) type Counts = BTreeMap<String, u64>;

/// What a page is sorted by; descending unless it says otherwise, ties by publication, then by a fixed order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Score, where there is a text to score by.
    Relevance,
    Column(&'static str),
    /// The same, the least first.
    Ascending(&'static str),
    /// The later of publication and data.
    Changed {
        ascending: bool,
    },
}

impl Order {
    pub(crate) const WORDS: [(&'static str, Order); 11] = [
        ("relevance", Order::Relevance),
        ("published_at", Order::Column(PUBLISHED)),
        ("data_at", Order::Column(DATA_AT)),
        ("rows", Order::Column(ROWS)),
        ("changed_at", Order::Changed { ascending: false }),
        ("id", Order::Column(ID)),
        ("published_at asc", Order::Ascending(PUBLISHED)),
        ("data_at asc", Order::Ascending(DATA_AT)),
        ("rows asc", Order::Ascending(ROWS)),
        ("changed_at asc", Order::Changed { ascending: true }),
        ("id asc", Order::Ascending(ID)),
    ];
}

/// Place of a match in the order: greater comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(pub(crate) u64, pub(crate) u64, pub(crate) u64);

impl Key {
    pub(crate) fn write(self) -> String {
        format!("{:x}-{:x}-{:x}", self.0, self.1, self.2)
    }
    pub(crate) fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('-').map(|p| u64::from_str_radix(p, 16));
        let key = Self(parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
        parts.next().is_none().then_some(key)
    }
}

/// What is collected.
#[derive(Debug)]
pub(crate) struct Gather<'a> {
    pub(crate) columns: &'a Columns,
    /// Facets to count, by their number in [`FACETS`].
    pub(crate) facets: Vec<usize>,
    /// Facets that are filtered on, with their words (one must hold). They are checked here, document by document, so
    /// that one pass counts each facet within the other facets' filters.
    pub(crate) narrowed: Vec<(usize, Vec<String>)>,
    pub(crate) order: Order,
    /// Matches to keep from the top (offset and limit together); 0 counts only.
    pub(crate) keep: usize,
    /// Only matches after this place are kept (all are counted).
    pub(crate) after: Option<Key>,
}

/// What was collected.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    /// Matches that pass the filters.
    pub(crate) total: u64,
    /// Matches before filters that are checked here.
    pub(crate) matched: u64,
    /// In the order of the facets asked for; by value once all segments are together.
    pub(crate) counts: Vec<Counts>,
    /// The same by the number of the value.
    sums: Vec<Vec<u64>>,
    /// The first ones in order.
    pub(crate) top: Vec<(Key, DocAddress)>,
}

/// Documents counted at once: a run of them per column.
const BLOCK: usize = 4096;

type Fast = Option<Arc<dyn ColumnValues<u64>>>;

pub(crate) struct Part {
    segment: Arc<Segment>,
    ordinal: SegmentOrdinal,
    facets: Vec<usize>,
    counts: Vec<Vec<u64>>,
    narrowed: Vec<Narrow>,
    /// Documents that pass all filters.
    block: Vec<DocId>,
    total: u64,
    matched: u64,
    scored: bool,
    first: Fast,
    /// Where the later of two is meant, the second.
    second: Fast,
    ascending: bool,
    published: Fast,
    tie: Fast,
    keep: usize,
    after: Option<Key>,
    heap: BinaryHeap<Reverse<(Key, DocId)>>,
}

/// One facet's filter in a segment.
struct Narrow {
    facet: usize,
    /// By value number whether it passes.
    passing: Vec<bool>,
    /// Documents that this filter alone keeps out.
    block: Vec<DocId>,
}

/// Whether a document of this value has the word: itself, a region above it, one format of a set.
fn has(facet: usize, value: &str, word: &str) -> bool {
    match FACETS.get(facet).copied().unwrap_or_default() {
        "region" => with_ancestors(value).iter().any(|r| r == word),
        "format" | "linked" => value.split(GLUE).any(|f| f == word),
        _ => value == word,
    }
}

impl Narrow {
    fn new(columns: &Columns, segment: &Segment, facet: usize, words: &[String]) -> Self {
        let values = segment.columns.get(facet).map(|c| c.values.as_slice()).unwrap_or_default();
        let all = columns.values(facet);
        let passes = |number: &u32| {
            let value = usize::try_from(*number)
                .ok()
                .and_then(|n| all.as_ref().and_then(|all| all.words.get(n)));
            value.is_some_and(|v| !v.is_empty() && words.iter().any(|w| has(facet, v, w)))
        };
        Self { facet, passing: values.iter().map(passes).collect(), block: Vec::new() }
    }
}

fn fast(segment: &SegmentReader, name: &str) -> Fast {
    segment.fast_fields().u64(name).ok().map(|c| c.first_or_default_col(0))
}

fn at(column: &Fast, doc: DocId) -> u64 {
    column.as_ref().map_or(0, |c| c.get_val(doc))
}

impl Collector for Gather<'_> {
    type Fruit = Gathered;
    type Child = Part;

    fn for_segment(
        &self,
        ordinal: SegmentOrdinal,
        reader: &SegmentReader,
    ) -> tantivy::Result<Part> {
        let segment = self.columns.of(reader)?;
        let counts = self
            .facets
            .iter()
            .map(|f| vec![0; segment.columns.get(*f).map_or(0, |c| c.values.len())])
            .collect();
        let (scored, ascending) = match self.order {
            Order::Relevance => (true, false),
            Order::Column(_) => (false, false),
            Order::Ascending(_) => (false, true),
            Order::Changed { ascending } => (false, ascending),
        };
        let (first, second) = match self.order {
            Order::Relevance => (None, None),
            Order::Column(name) | Order::Ascending(name) => (fast(reader, name), None),
            Order::Changed { .. } => (fast(reader, DATA_AT), fast(reader, PUBLISHED)),
        };
        let narrowed = self
            .narrowed
            .iter()
            .map(|(facet, words)| Narrow::new(self.columns, &segment, *facet, words))
            .collect();
        Ok(Part {
            segment,
            narrowed,
            ordinal,
            facets: self.facets.clone(),
            counts,
            block: Vec::with_capacity(BLOCK),
            total: 0,
            matched: 0,
            scored,
            first,
            second,
            ascending,
            published: fast(reader, PUBLISHED),
            tie: fast(reader, TIE),
            keep: self.keep,
            after: self.after,
            heap: BinaryHeap::new(),
        })
    }

    fn requires_scoring(&self) -> bool {
        self.keep > 0 && self.order == Order::Relevance
    }

    fn merge_fruits(&self, parts: Vec<Gathered>) -> tantivy::Result<Gathered> {
        let mut all = Gathered { sums: vec![Vec::new(); self.facets.len()], ..Gathered::default() };
        for part in parts {
            all.total += part.total;
            all.matched += part.matched;
            for (sums, own) in all.sums.iter_mut().zip(part.sums) {
                if sums.len() < own.len() {
                    sums.resize(own.len(), 0);
                }
                sums.iter_mut().zip(own).for_each(|(sum, n)| *sum += n);
            }
            all.top.extend(part.top);
        }
        all.top.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        all.top.truncate(self.keep);
        for (sums, facet) in std::mem::take(&mut all.sums).into_iter().zip(&self.facets) {
            let mut counts = Counts::new();
            if let Some(values) = self.columns.values(*facet) {
                let met = values.words.iter().zip(sums).filter(|(_, n)| *n > 0);
                counts.extend(met.map(|(word, n)| (word.to_string(), n)));
            }
            all.counts.push(spread(counts, *facet));
        }
        Ok(all)
    }
}

/// A region counts for all above it, a set of formats for each of them; documents without a value count for nothing.
fn spread(mut counts: Counts, facet: usize) -> Counts {
    counts.remove("");
    let name = FACETS.get(facet).copied().unwrap_or_default();
    let parts: fn(&str) -> Vec<String> = match name {
        "region" => with_ancestors,
        "format" | "linked" => |set| set.split(GLUE).map(str::to_owned).collect(),
        _ => return counts,
    };
    let mut out = Counts::new();
    for (value, n) in counts {
        for part in parts(&value) {
            *out.entry(part).or_default() += n;
        }
    }
    out
}

impl Part {
    fn flush(&mut self) {
        for (facet, counts) in self.facets.iter().zip(&mut self.counts) {
            if let Some(column) = self.segment.columns.get(*facet) {
                column.count(&self.block, counts);
            }
        }
        self.block.clear();
        for narrow in &mut self.narrowed {
            let at = self.facets.iter().position(|f| *f == narrow.facet);
            if let Some(counts) = at.and_then(|at| self.counts.get_mut(at))
                && let Some(column) = self.segment.columns.get(narrow.facet)
            {
                column.count(&narrow.block, counts);
            }
            narrow.block.clear();
        }
    }

    /// Whether the document passes all filters; one that a single filter keeps out is noted there.
    fn passes(&mut self, doc: DocId) -> bool {
        let mut kept_out = None;
        for (n, narrow) in self.narrowed.iter().enumerate() {
            let column = self.segment.columns.get(narrow.facet);
            if !column.is_some_and(|c| c.passes(doc, &narrow.passing)) {
                if kept_out.is_some() {
                    return false;
                }
                kept_out = Some(n);
            }
        }
        let Some(n) = kept_out else { return true };
        let full = self.narrowed.get_mut(n).is_some_and(|narrow| {
            narrow.block.push(doc);
            narrow.block.len() >= BLOCK
        });
        if full {
            self.flush();
        }
        false
    }

    fn place(&mut self, doc: DocId, score: Score) {
        // Bits of a float that is not negative sort like the float.
        let first = match self.scored {
            true => u64::from(score.max(0.0).to_bits()),
            false => at(&self.first, doc).max(at(&self.second, doc)),
        };
        let first = if self.ascending { u64::MAX - first } else { first };
        let full = self.heap.len() >= self.keep;
        if full && self.heap.peek().is_some_and(|Reverse((least, _))| first < least.0) {
            return;
        }
        let key = Key(first, at(&self.published, doc), at(&self.tie, doc));
        if self.after.is_some_and(|after| key >= after) {
            return;
        }
        if full {
            if self.heap.peek().is_some_and(|Reverse((least, _))| key <= *least) {
                return;
            }
            self.heap.pop();
        }
        self.heap.push(Reverse((key, doc)));
    }
}

impl SegmentCollector for Part {
    type Fruit = Gathered;

    fn collect(&mut self, doc: DocId, score: Score) {
        self.matched += 1;
        if !self.narrowed.is_empty() && !self.passes(doc) {
            return;
        }
        self.total += 1;
        if !self.facets.is_empty() {
            self.block.push(doc);
            if self.block.len() == BLOCK {
                self.flush();
            }
        }
        if self.keep > 0 {
            self.place(doc, score);
        }
    }

    fn harvest(mut self) -> Gathered {
        self.flush();
        let mut sums = Vec::with_capacity(self.facets.len());
        for (facet, counts) in self.facets.iter().zip(&self.counts) {
            let mut own = Vec::new();
            let values = self.segment.columns.get(*facet).map(|c| c.values.as_slice());
            for (value, n) in values.unwrap_or_default().iter().zip(counts) {
                let at = usize::try_from(*value).unwrap_or(usize::MAX);
                if *n > 0 && own.len() <= at {
                    own.resize(at + 1, 0);
                }
                if let Some(sum) = own.get_mut(at) {
                    *sum += n;
                }
            }
            sums.push(own);
        }
        let top = self
            .heap
            .into_iter()
            .map(|Reverse((key, doc))| (key, DocAddress::new(self.ordinal, doc)))
            .collect();
        Gathered { total: self.total, matched: self.matched, sums, top, ..Gathered::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let key = Key(0, u64::MAX, 0x1f);
        assert_eq!(Key::read(&key.write()), Some(key));
        for wrong in ["", "1-2", "1-2-3-4", "1-2-x"] {
            assert_eq!(Key::read(wrong), None, "{wrong}");
        }
    }
}

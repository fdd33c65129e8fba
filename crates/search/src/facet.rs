//! Exact facet counts from fast columns, without reading a single stored document.

use std::collections::BTreeMap;

use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::StrColumn;
use tantivy::{DocId, Score, SegmentOrdinal, SegmentReader};

/// Counts the values of the named facets over all documents that match.
#[derive(Debug)]
pub(crate) struct FacetCounts {
    pub(crate) facets: Vec<&'static str>,
}

/// Values with counts, one map per facet asked for.
pub(crate) type Counts = Vec<BTreeMap<String, u64>>;

pub(crate) struct SegmentCounts {
    columns: Vec<Option<(StrColumn, Vec<u64>)>>,
}

impl Collector for FacetCounts {
    type Fruit = Counts;
    type Child = SegmentCounts;

    fn for_segment(
        &self,
        _: SegmentOrdinal,
        segment: &SegmentReader,
    ) -> tantivy::Result<SegmentCounts> {
        let mut columns = Vec::with_capacity(self.facets.len());
        for name in &self.facets {
            columns.push(segment.fast_fields().str(name)?.map(|column| {
                let values = column.num_terms();
                (column, vec![0; values])
            }));
        }
        Ok(SegmentCounts { columns })
    }

    fn requires_scoring(&self) -> bool {
        false
    }

    fn merge_fruits(&self, segments: Vec<tantivy::Result<Counts>>) -> tantivy::Result<Counts> {
        let mut all: Counts = vec![BTreeMap::new(); self.facets.len()];
        for segment in segments {
            for (sum, part) in all.iter_mut().zip(segment?) {
                for (value, n) in part {
                    *sum.entry(value).or_default() += n;
                }
            }
        }
        Ok(all)
    }
}

impl SegmentCollector for SegmentCounts {
    type Fruit = tantivy::Result<Counts>;

    fn collect(&mut self, doc: DocId, _: Score) {
        for (column, counts) in self.columns.iter_mut().flatten() {
            for ord in column.ords().values_for_doc(doc) {
                if let Some(n) = usize::try_from(ord).ok().and_then(|i| counts.get_mut(i)) {
                    *n += 1;
                }
            }
        }
    }

    fn harvest(self) -> tantivy::Result<Counts> {
        let mut out = Vec::with_capacity(self.columns.len());
        for column in self.columns {
            let mut map = BTreeMap::new();
            if let Some((column, counts)) = column {
                for (ord, n) in (0_u64..).zip(counts) {
                    let mut value = String::new();
                    if n > 0 && column.ord_to_str(ord, &mut value)? {
                        map.insert(value, n);
                    }
                }
            }
            out.push(map);
        }
        Ok(out)
    }
}

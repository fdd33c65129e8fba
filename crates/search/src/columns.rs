//! Facet columns of a segment as small arrays in memory: counting is a walk over bytes. A segment never changes, so its
//! arrays are made once, when it is first searched, and go with it.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tantivy::index::SegmentId;
use tantivy::{DocId, Searcher, SegmentReader};

use crate::schema::COLUMNS;

/// Value numbers of one column, 0 for none, in as few bytes as the number of values allows.
#[derive(Debug)]
enum Numbers {
    U8(Vec<u8>),
    U16(Vec<u16>),
    U32(Vec<u32>),
}

/// One column: the value number of each document, and the values by number as numbers of the facet's [`Values`] (the
/// first is “none”).
#[derive(Debug)]
pub(crate) struct Column {
    numbers: Numbers,
    pub(crate) values: Vec<u32>,
}

/// All values of one facet that were ever met, so that counts of different segments add up by number.
#[derive(Debug, Default)]
pub(crate) struct Values {
    numbers: HashMap<Arc<str>, u32>,
    pub(crate) words: Vec<Arc<str>>,
}

impl Values {
    fn number(&mut self, word: &str) -> u32 {
        if let Some(known) = self.numbers.get(word) {
            return *known;
        }
        let (number, word) = (u32::try_from(self.words.len()).unwrap_or(u32::MAX), Arc::from(word));
        self.words.push(Arc::clone(&word));
        self.numbers.insert(word, number);
        number
    }
}

impl Column {
    /// Adds one for each document's value.
    pub(crate) fn count(&self, docs: &[DocId], counts: &mut [u64]) {
        fn add<T: Copy + Into<u32>>(numbers: &[T], docs: &[DocId], counts: &mut [u64]) {
            for &doc in docs {
                let number = usize::try_from(doc).ok().and_then(|d| numbers.get(d));
                if let Some(n) = number
                    && let Some(count) =
                        usize::try_from((*n).into()).ok().and_then(|n| counts.get_mut(n))
                {
                    *count += 1;
                }
            }
        }
        match &self.numbers {
            Numbers::U8(n) => add(n, docs, counts),
            Numbers::U16(n) => add(n, docs, counts),
            Numbers::U32(n) => add(n, docs, counts),
        }
    }

    /// Whether the value of a document is one that `passing` (by value number) lets pass.
    pub(crate) fn passes(&self, doc: DocId, passing: &[bool]) -> bool {
        let number = usize::try_from(doc).ok().and_then(|at| match &self.numbers {
            Numbers::U8(n) => n.get(at).map(|n| usize::from(*n)),
            Numbers::U16(n) => n.get(at).map(|n| usize::from(*n)),
            Numbers::U32(n) => n.get(at).and_then(|n| usize::try_from(*n).ok()),
        });
        number.and_then(|n| passing.get(n)).copied().unwrap_or(false)
    }

    /// The value of one document, as a number of the facet's values.
    pub(crate) fn value(&self, doc: DocId) -> Option<u32> {
        let at = usize::try_from(doc).ok()?;
        let number = match &self.numbers {
            Numbers::U8(n) => u32::from(*n.get(at)?),
            Numbers::U16(n) => u32::from(*n.get(at)?),
            Numbers::U32(n) => *n.get(at)?,
        };
        self.values.get(usize::try_from(number).ok()?).copied()
    }
}

/// All columns of a segment, in the order of the facets.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) columns: Vec<Column>,
}

/// The columns of the segments in use.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    segments: Mutex<HashMap<SegmentId, Arc<Segment>>>,
    values: [RwLock<Values>; COLUMNS.len()],
}

impl Columns {
    /// The columns of a segment.
    pub(crate) fn of(&self, reader: &SegmentReader) -> tantivy::Result<Arc<Segment>> {
        if let Some(known) = self.segments.lock().get(&reader.segment_id()) {
            return Ok(Arc::clone(known));
        }
        let mut columns = Vec::with_capacity(COLUMNS.len());
        for (name, values) in COLUMNS.into_iter().zip(&self.values) {
            columns.push(read(reader, name, &mut values.write())?);
        }
        let made = Arc::new(Segment { columns });
        self.segments.lock().insert(reader.segment_id(), Arc::clone(&made));
        Ok(made)
    }

    /// The values of a facet.
    pub(crate) fn values(&self, facet: usize) -> Option<RwLockReadGuard<'_, Values>> {
        self.values.get(facet).map(RwLock::read)
    }

    /// Forgets segments that are no longer searched.
    pub(crate) fn keep(&self, searcher: &Searcher) {
        let used: Vec<SegmentId> =
            searcher.segment_readers().iter().map(SegmentReader::segment_id).collect();
        self.segments.lock().retain(|id, _| used.contains(id));
    }
}

fn read(reader: &SegmentReader, name: &str, all: &mut Values) -> tantivy::Result<Column> {
    let docs = reader.max_doc();
    let mut values = vec![all.number("")];
    let Some(column) = reader.fast_fields().str(name)? else {
        return Ok(Column {
            numbers: pack(vec![0; usize::try_from(docs).unwrap_or(0)], 1),
            values,
        });
    };
    for ord in (0_u64..).take(column.num_terms()) {
        let mut value = String::new();
        column.ord_to_str(ord, &mut value)?;
        values.push(all.number(&value));
    }
    let ords = column.ords();
    let numbers: Vec<u32> = (0..docs)
        .map(|doc| ords.first(doc).and_then(|o| u32::try_from(o + 1).ok()).unwrap_or(0))
        .collect();
    Ok(Column { numbers: pack(numbers, values.len()), values })
}

fn pack(numbers: Vec<u32>, values: usize) -> Numbers {
    if values <= 1 << 8 {
        Numbers::U8(numbers.into_iter().map(|n| u8::try_from(n).unwrap_or(0)).collect())
    } else if values <= 1 << 16 {
        Numbers::U16(numbers.into_iter().map(|n| u16::try_from(n).unwrap_or(0)).collect())
    } else {
        Numbers::U32(numbers)
    }
}

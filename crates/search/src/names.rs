//! Names that come again and again: 2.2 million data items share some hundred thousand names. Each distinct name is one
//! term of a document; what is asked of names (a part of the text, initials, spelling) is looked for in the list of
//! distinct names, once per question, and the documents that bear the found names are read from the index.
//!
//! The list is made from the segments' own term dictionaries when a segment is first searched, and lives in memory.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tantivy::index::SegmentId;
use tantivy::postings::TermInfo;
use tantivy::query::{EnableScoring, Explanation, Query, Scorer, Weight};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocId, DocSet, Score, Searcher, SegmentReader, TERMINATED, TantivyError};

use crate::sound;
use crate::text::normalise;

/// Characters of a name that are searched.
const MAX_NAME: usize = 500;
/// Between names in the lists; never part of what is asked.
const END: char = '\n';
/// Findings that are kept for the clauses of one question.
const KEPT: u64 = 64;

/// A name as the term it is indexed by: in normal form, bounded.
pub(crate) fn term_of(name: &str) -> String {
    normalise(name).into_iter().take(MAX_NAME).map(|c| if c == END { ' ' } else { c }).collect()
}

/// By what a name is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    /// It holds the text.
    Text,
    /// A stretch of its pinyin initials.
    Initials,
    /// A stretch of its pinyin that begins with a syllable.
    Spelling,
}

/// Texts one after the other, each with the number of the name it belongs to.
#[derive(Debug, Default)]
struct Texts {
    all: String,
    /// Where each begins.
    starts: Vec<usize>,
    owners: Vec<u32>,
}

impl Texts {
    fn push(&mut self, owner: u32, text: &str) {
        self.starts.push(self.all.len());
        self.owners.push(owner);
        self.all.push_str(text);
        self.all.push(END);
    }

    /// Calls `found` with each owner and the byte where the text begins in its own; the first place of each that `found`
    /// takes ends that owner's text.
    fn each(&self, part: &str, mut found: impl FnMut(u32, usize) -> bool) {
        let mut from = 0;
        let finder = memchr::memmem::Finder::new(part);
        let bytes = self.all.as_bytes();
        while let Some(at) = bytes.get(from..).and_then(|rest| finder.find(rest)).map(|p| p + from)
        {
            let n = self.starts.partition_point(|s| *s <= at).saturating_sub(1);
            let Some(owner) = self.owners.get(n) else { return };
            from = if found(*owner, at) {
                self.starts.get(n + 1).copied().unwrap_or(bytes.len())
            } else {
                // The next character of the same text.
                at + 1
            };
        }
    }
}

/// The distinct names.
#[derive(Debug, Default)]
struct List {
    numbers: HashMap<Box<str>, u32>,
    texts: Texts,
    /// Characters of each name.
    lengths: Vec<u16>,
    initials: Texts,
    spelled: Texts,
    /// Bytes of `spelled.all` at which a syllable begins.
    syllables: Vec<u64>,
}

impl List {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(known) = self.numbers.get(name) {
            return *known;
        }
        let number = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        self.numbers.insert(name.into(), number);
        self.texts.push(number, name);
        self.lengths.push(u16::try_from(name.chars().count()).unwrap_or(u16::MAX));
        for reading in sound::initials(name) {
            self.initials.push(number, &reading);
        }
        for reading in sound::spellings(name) {
            let start = self.spelled.all.len();
            self.spelled.push(number, &reading.text);
            for at in reading.syllables {
                let bit = start + at;
                if self.syllables.len() <= bit / 64 {
                    self.syllables.resize(bit / 64 + 1024, 0);
                }
                if let Some(word) = self.syllables.get_mut(bit / 64) {
                    *word |= 1 << (bit % 64);
                }
            }
        }
        number
    }

    fn syllable_at(&self, bit: usize) -> bool {
        self.syllables.get(bit / 64).is_some_and(|w| w >> (bit % 64) & 1 == 1)
    }

    fn find(&self, way: Way, part: &str) -> Vec<u32> {
        let mut out = Vec::new();
        match way {
            Way::Text => self.texts.each(part, |n, _| {
                out.push(n);
                true
            }),
            Way::Initials => self.initials.each(part, |n, _| {
                out.push(n);
                true
            }),
            Way::Spelling => self.spelled.each(part, |n, at| {
                let begins = self.syllable_at(at);
                if begins {
                    out.push(n);
                }
                begins
            }),
        }
        out.sort_unstable();
        out.dedup();
        out
    }
}

/// The names of one field of a segment.
#[derive(Debug, Default)]
struct Held {
    terms: Vec<TermInfo>,
    /// By the number of the name its term, [`NONE`] where the field has none.
    at: Vec<u32>,
}

const NONE: u32 = u32::MAX;

impl Held {
    fn term(&self, name: u32) -> Option<&TermInfo> {
        let at = *self.at.get(name as usize)?;
        self.terms.get(at as usize)
    }
}

/// What was asked of a list of so many names.
type Asked = (Way, String, usize);

/// The list, and which of its names each segment's fields hold.
#[derive(Debug)]
struct Known {
    list: RwLock<List>,
    /// By segment and field: the number of each term and where its documents stand.
    segments: Mutex<HashMap<(SegmentId, Field), Arc<Held>>>,
    found: moka::sync::Cache<Asked, Arc<Vec<u32>>>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            list: RwLock::default(),
            segments: Mutex::default(),
            found: moka::sync::Cache::new(KEPT),
        }
    }
}

/// All names of an index.
#[derive(Debug, Default)]
pub(crate) struct Names {
    known: Mutex<Arc<Known>>,
}

/// The list is begun anew when it has this many names, most of them of segments that are gone.
const CROWDED: usize = 100_000;

impl Names {
    /// Forgets segments that are no longer searched. Questions under way keep what they began with.
    pub(crate) fn keep(&self, searcher: &Searcher) {
        let used: Vec<SegmentId> =
            searcher.segment_readers().iter().map(SegmentReader::segment_id).collect();
        let mut known = self.known.lock();
        let held: usize = {
            let mut segments = known.segments.lock();
            segments.retain(|(id, _), _| used.contains(id));
            segments.values().map(|held| held.terms.len()).sum()
        };
        let all = known.list.read().numbers.len();
        if all > CROWDED && all > held.saturating_mul(2) {
            *known = Arc::default();
        }
    }

    fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.lock())
    }
}

impl Known {
    /// The names of a segment's field.
    fn of(&self, reader: &SegmentReader, field: Field) -> tantivy::Result<Arc<Held>> {
        let key = (reader.segment_id(), field);
        let mut segments = self.segments.lock();
        if let Some(known) = segments.get(&key) {
            return Ok(Arc::clone(known));
        }
        let index = reader.inverted_index(field)?;
        let mut held = Held::default();
        let mut list = self.list.write();
        let mut terms = index.terms().stream()?;
        while terms.advance() {
            let name = String::from_utf8_lossy(terms.key());
            let number = list.number(&name) as usize;
            if held.at.len() <= number {
                held.at.resize(number + 1, NONE);
            }
            if let Some(at) = held.at.get_mut(number) {
                *at = u32::try_from(held.terms.len()).unwrap_or(NONE);
            }
            held.terms.push(terms.value().clone());
        }
        let made = Arc::new(held);
        segments.insert(key, Arc::clone(&made));
        Ok(made)
    }

    fn find(&self, way: Way, part: &str) -> Arc<Vec<u32>> {
        let list = self.list.read();
        let key = (way, part.to_owned(), list.numbers.len());
        self.found.get_with(key, || Arc::new(list.find(way, part)))
    }
}

/// Documents that bear a name found by a part of it, or by enough of the words of it. A found text scores as it would by
/// BM25 (rare finds and short names more); sounds score 1.
#[derive(Clone, Debug)]
pub(crate) struct NameQuery {
    pub(crate) names: Arc<Names>,
    pub(crate) field: Field,
    pub(crate) way: Way,
    /// In normal form.
    pub(crate) part: String,
    /// Words of the part of which `needed` must stand in the name when the whole does not; none when there is one only.
    pub(crate) words: Vec<String>,
    pub(crate) needed: u32,
}

/// Most words of a part: each is a bit.
const MAX_WORDS: usize = 31;
/// Fewer than one in so many documents are kept as a list, more as a bit and a score for each document.
const SPARSE: u64 = 128;
/// What the whole part counts, where a word of it counts one.
const WHOLE: Score = 3.0;

/// Per segment the terms found, each with its score.
type Finds = HashMap<SegmentId, Vec<(TermInfo, Score)>>;

#[derive(Debug)]
struct NameWeight {
    field: Field,
    finds: Finds,
}

impl Query for NameQuery {
    fn weight(&self, scoring: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        let searcher = scoring.searcher().ok_or_else(|| {
            TantivyError::InvalidArgument("names are searched with a searcher".into())
        })?;
        if self.part.is_empty() {
            return Ok(Box::new(NameWeight { field: self.field, finds: Finds::new() }));
        }
        let known = self.names.known();
        let mut held = Vec::new();
        for reader in searcher.segment_readers() {
            held.push((reader, known.of(reader, self.field)?));
        }
        // One bit of each name for the whole part, then one for each word.
        let mut asked = vec![known.find(self.way, &self.part)];
        asked.extend(self.words.iter().take(MAX_WORDS).map(|w| known.find(Way::Text, w)));
        let list = known.list.read();
        // What was found of each name, by its number.
        let mut masks: HashMap<u32, u32> = HashMap::new();
        for (bit, found) in asked.iter().enumerate() {
            for n in found.iter() {
                *masks.entry(*n).or_default() |= 1 << bit;
            }
        }
        let mut bearers = vec![0_u64; asked.len()];
        let mut documents = 0;
        for (reader, held) in &held {
            documents += u64::from(reader.max_doc());
            for (found, sum) in asked.iter().zip(&mut bearers) {
                let terms = found.iter().filter_map(|n| held.term(*n));
                *sum += terms.map(|info| u64::from(info.doc_freq)).sum::<u64>();
            }
        }
        let worth: Vec<Score> = (0..)
            .zip(&bearers)
            .map(|(bit, n)| if bit == 0 { WHOLE } else { 1.0 } * rarity(documents, *n))
            .collect();
        let score = |n: u32, mask: u32| -> Score {
            if self.way != Way::Text {
                return 1.0;
            }
            let all: Score =
                (0_u32..).zip(&worth).filter(|(b, _)| mask >> b & 1 == 1).map(|(_, w)| w).sum();
            all * nearness(f32::from(list.lengths.get(n as usize).copied().unwrap_or(0)))
        };
        let taken = |mask: u32| {
            mask & 1 == 1 || (self.needed > 0 && (mask >> 1).count_ones() >= self.needed)
        };
        let mut taken: Vec<(u32, Score)> =
            masks.into_iter().filter(|(_, m)| taken(*m)).map(|(n, m)| (n, score(n, m))).collect();
        taken.sort_unstable_by_key(|(n, _)| *n);
        let finds = held.into_iter().map(|(reader, held)| {
            let here = taken.iter().filter_map(|(n, score)| Some((held.term(*n)?.clone(), *score)));
            (reader.segment_id(), here.collect())
        });
        Ok(Box::new(NameWeight { field: self.field, finds: finds.collect() }))
    }
}

/// Inverse document frequency, as BM25 has it.
#[expect(clippy::cast_precision_loss, reason = "a score")]
fn rarity(documents: u64, bearers: u64) -> Score {
    let (all, some) = (documents as f32, bearers as f32);
    (1.0 + (all - some + 0.5).max(0.0) / (some + 0.5)).ln()
}

/// BM25's weight of one occurrence in a text of so many characters, where a name has eight on average.
fn nearness(length: f32) -> Score {
    2.2 / (1.0 + 1.2 * (0.25 + 0.75 * length / 8.0))
}

impl Weight for NameWeight {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let finds = self.finds.get(&reader.segment_id()).map(Vec::as_slice).unwrap_or_default();
        let postings: u64 = finds.iter().map(|(info, _)| u64::from(info.doc_freq)).sum();
        let index = reader.inverted_index(self.field)?;
        let each = |take: &mut dyn FnMut(DocId, Score)| -> tantivy::Result<()> {
            for (info, score) in finds {
                let mut block =
                    index.read_block_postings_from_terminfo(info, IndexRecordOption::Basic)?;
                while !block.docs().is_empty() {
                    for doc in block.docs() {
                        take(*doc, *score * boost);
                    }
                    block.advance();
                }
            }
            Ok(())
        };
        if postings < u64::from(reader.max_doc()) / SPARSE {
            let mut few: Vec<(DocId, Score)> = Vec::new();
            each(&mut |doc, score| few.push((doc, score)))?;
            if finds.len() > 1 {
                few.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
                few.dedup_by_key(|f| f.0);
            }
            return Ok(Box::new(Few { docs: few, at: 0 }));
        }
        let mut many = Many::new(reader.max_doc());
        each(&mut |doc, score| many.add(doc, score))?;
        many.advance();
        Ok(Box::new(many))
    }

    fn explain(&self, _: &SegmentReader, _: DocId) -> tantivy::Result<Explanation> {
        Ok(Explanation::new("a name", 1.0))
    }
}

/// A few documents, in order.
struct Few {
    docs: Vec<(DocId, Score)>,
    at: usize,
}

impl DocSet for Few {
    fn advance(&mut self) -> DocId {
        self.at += 1;
        self.doc()
    }
    fn seek(&mut self, target: DocId) -> DocId {
        let rest = self.docs.get(self.at..).unwrap_or_default();
        self.at += rest.partition_point(|(doc, _)| *doc < target);
        self.doc()
    }
    fn doc(&self) -> DocId {
        self.docs.get(self.at).map_or(TERMINATED, |(doc, _)| *doc)
    }
    fn size_hint(&self) -> u32 {
        u32::try_from(self.docs.len()).unwrap_or(u32::MAX)
    }
}

impl Scorer for Few {
    fn score(&mut self) -> Score {
        self.docs.get(self.at).map_or(0.0, |(_, score)| *score)
    }
}

/// Many documents: a bit and a score for each of the segment.
struct Many {
    bits: Vec<u64>,
    scores: Vec<Score>,
    /// Bits that are left of the word at hand.
    left: u64,
    word: usize,
    doc: DocId,
    count: u32,
}

impl Many {
    fn new(documents: u32) -> Self {
        let documents = documents as usize;
        Self {
            bits: vec![0; documents.div_ceil(64)],
            scores: vec![0.0; documents],
            left: 0,
            word: usize::MAX,
            doc: 0,
            count: 0,
        }
    }

    fn add(&mut self, doc: DocId, score: Score) {
        let at = doc as usize;
        if let (Some(word), Some(known)) = (self.bits.get_mut(at / 64), self.scores.get_mut(at)) {
            self.count += u32::from(*word >> (at % 64) & 1 == 0);
            *word |= 1 << (at % 64);
            *known = known.max(score);
        }
    }

    fn enter(&mut self, word: usize) {
        self.word = word;
        self.left = self.bits.get(word).copied().unwrap_or(0);
    }
}

impl DocSet for Many {
    fn advance(&mut self) -> DocId {
        while self.left == 0 {
            let next = self.word.wrapping_add(1);
            if next >= self.bits.len() {
                self.doc = TERMINATED;
                return TERMINATED;
            }
            self.enter(next);
        }
        let bit = self.left.trailing_zeros();
        self.left &= self.left - 1;
        self.doc = u32::try_from(self.word * 64).unwrap_or(TERMINATED) + bit;
        self.doc
    }
    fn seek(&mut self, target: DocId) -> DocId {
        if self.doc >= target {
            return self.doc;
        }
        let word = target as usize / 64;
        if word >= self.bits.len() {
            self.left = 0;
            self.word = self.bits.len();
            self.doc = TERMINATED;
            return TERMINATED;
        }
        if word != self.word {
            self.enter(word);
        }
        self.left &= u64::MAX << (target % 64);
        self.advance()
    }
    fn doc(&self) -> DocId {
        self.doc
    }
    fn size_hint(&self) -> u32 {
        self.count
    }
}

impl Scorer for Many {
    fn score(&mut self) -> Score {
        self.scores.get(self.doc as usize).copied().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_text_initials_and_spelling() {
        let mut list = List::default();
        let all = ["身份证号", "银行账号", "sfzh", "企业名称", "法定代表人身份证号"];
        let numbers: Vec<u32> = all.iter().map(|n| list.number(n)).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        assert_eq!(list.number("企业名称"), 3, "once");
        assert_eq!(list.find(Way::Text, "份证"), [0, 4]);
        assert_eq!(list.find(Way::Text, "证企"), [0_u32; 0], "not across two names");
        assert_eq!(list.find(Way::Initials, "sfzh"), [0, 4], "a name without Chinese has no sound");
        assert_eq!(list.find(Way::Initials, "fz"), [0, 4]);
        assert_eq!(list.find(Way::Spelling, "shenfen"), [0, 4]);
        assert_eq!(list.find(Way::Spelling, "enfen"), [0_u32; 0], "from a syllable on");
        assert_eq!(list.find(Way::Spelling, "yinhang"), [1]);
        assert_eq!(list.find(Way::Spelling, "yinxing"), [1], "another reading");
        assert_eq!(list.find(Way::Initials, "yxzh"), [1]);
    }

    #[test]
    fn few_and_many_walk_alike() {
        let docs: Vec<DocId> = vec![0, 3, 63, 64, 65, 200, 511];
        let mut few = Few { docs: docs.iter().map(|d| (*d, 1.0)).collect(), at: 0 };
        let mut many = Many::new(512);
        docs.iter().for_each(|d| many.add(*d, 1.0));
        many.advance();
        for target in [0, 1, 3, 4, 64, 66, 201, 511, 600] {
            assert_eq!(few.seek(target), many.seek(target), "{target}");
            assert_eq!(few.doc(), many.doc());
        }
        assert_eq!((few.advance(), many.advance()), (TERMINATED, TERMINATED));
        assert_eq!(few.size_hint(), many.size_hint());
    }
}

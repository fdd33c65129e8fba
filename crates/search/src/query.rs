//! From what a person typed to what the engine is asked.
//!
//! The text is cut into pieces of one script; every piece must be found. User text is never parsed as query
//! syntax: each piece becomes terms, phrases and prefixes built by hand, so nothing typed can fail or inject.

use std::ops::Bound;
use std::sync::Arc;

use model::search::{ITEM, SearchQuery};
use model::{Code, Error, Result};
use tantivy::Term;
use tantivy::query::{
    AllQuery, BooleanQuery, BoostQuery, ConstScoreQuery, EmptyQuery, FuzzyTermQuery, Occur,
    PhraseQuery, Query, RangeQuery, TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption};

use crate::names::{NameQuery, Names, Way};
use crate::schema::{FACETS, Fields, facet};
use crate::sound::{MAX_INITIALS, MAX_SPELLING, spelling};
use crate::synonym::Synonyms;
use crate::text::{Script, normalise, query_words, runs, slice};
use crate::words::some_of;

/// Characters of a query that are used; the rest is ignored.
pub(crate) const MAX_QUERY: usize = 128;
/// Pieces of a query that are used.
pub(crate) const MAX_PIECES: usize = 16;
/// Values of filters and audience labels that are used.
const MAX_VALUES: usize = 4096;
/// Other wordings of one piece that are tried.
const MAX_OTHERS: usize = 8;
/// Words of a piece from which on it is long.
const LONG: usize = 2;
/// Shortest ASCII word that may be misspelt by one letter.
const FUZZY_FROM: usize = 5;

pub(crate) type Clause = Box<dyn Query>;

/// What questions are built on: the fields, and the names found in them.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) fields: Fields,
    pub(crate) names: Arc<Names>,
}

impl std::ops::Deref for Ground {
    type Target = Fields;
    fn deref(&self) -> &Fields {
        &self.fields
    }
}

impl Ground {
    fn named(&self, field: Field, way: Way, part: &str) -> Clause {
        Box::new(NameQuery {
            names: Arc::clone(&self.names),
            field,
            way,
            part: part.to_owned(),
            words: Vec::new(),
            needed: 0,
        })
    }

    /// Names that hold a text, or enough of its words.
    fn worded(&self, field: Field, piece: &Piece, care: Care) -> Clause {
        let words = if piece.words.len() > 1 { piece.words.clone() } else { Vec::new() };
        let needed = u32::try_from(words_needed(words.len(), care)).unwrap_or(u32::MAX);
        Box::new(NameQuery {
            names: Arc::clone(&self.names),
            field,
            way: Way::Text,
            part: piece.text.clone(),
            words,
            needed,
        })
    }
}

/// One piece of the query text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) script: Script,
    /// Normalised.
    pub(crate) text: String,
    /// For CJK: the words in it that carry meaning.
    pub(crate) words: Vec<String>,
    /// Other texts that mean the same: the whole, or one of its words, in other words.
    pub(crate) others: Vec<String>,
}

/// What the text asks for.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    All,
    /// Nothing in it can be searched for (only punctuation).
    Nothing,
    Pieces(Vec<Piece>),
    /// Several words, of which some are enough.
    Words(Vec<Vec<Piece>>),
}

/// How forgiving a match is. `Strict` wants the words of a long piece in one name or title; `Exact` takes them from
/// anywhere in a document and is asked when `Strict` finds less than a page; `Near` when `Exact` finds nothing; `Part`, where it is
/// asked for, when no document has all of several words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    Strict,
    Exact,
    Near,
    Part,
}

/// Which documents a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct About {
    /// Entries and assets.
    pub(crate) wholes: bool,
    /// Data items.
    pub(crate) items: bool,
}

/// Cuts query text into pieces.
pub(crate) fn asked(text: &str, synonyms: &Synonyms) -> Asked {
    let chars = normalise(text.trim());
    if chars.is_empty() {
        return Asked::All;
    }
    let chars = chars.get(..MAX_QUERY).unwrap_or(&chars);
    let mut pieces: Vec<Piece> = Vec::new();
    for run in runs(chars).into_iter().take(MAX_PIECES) {
        let text = slice(chars, run);
        let words = if run.script == Script::Cjk { query_words(&text) } else { Vec::new() };
        let others = in_other_words(&text, &words, synonyms);
        let piece = Piece { script: run.script, text, words, others };
        if !pieces.contains(&piece) {
            pieces.push(piece);
        }
    }
    if pieces.is_empty() { Asked::Nothing } else { Asked::Pieces(pieces) }
}

/// Texts that mean the same as a piece: its synonyms, or itself with one word put otherwise.
fn in_other_words(text: &str, words: &[String], synonyms: &Synonyms) -> Vec<String> {
    let mut out: Vec<String> = synonyms.of(text).to_vec();
    if out.is_empty() {
        for word in words {
            for other in synonyms.of(word) {
                let put = text.replace(word.as_str(), other);
                if put != text && out.len() < MAX_OTHERS && !out.contains(&put) {
                    out.push(put);
                }
            }
        }
    }
    out
}

/// The text part of a query, scoring.
pub(crate) fn text_query(f: &Ground, asked: &Asked, care: Care, about: About) -> Clause {
    match asked {
        Asked::All => Box::new(AllQuery),
        Asked::Nothing => Box::new(EmptyQuery),
        Asked::Pieces(pieces) => {
            let mut any = Vec::new();
            if about.wholes {
                any.push(all_of(pieces.iter().map(|p| piece_query(f, p, care)).collect()));
            }
            if about.items {
                any.push(item_query(f, pieces, care));
            }
            any_of(any)
        }
        Asked::Words(words) => some_of(f, words, about),
    }
}

/// An item is found by its own names; of several pieces each must be in its names or in its entry's title or
/// organisation, and one at least in its names.
fn item_query(f: &Ground, pieces: &[Piece], care: Care) -> Clause {
    let own = |p: &Piece| item_piece(f, p, care);
    if let [only] = pieces {
        return own(only);
    }
    let mut all: Vec<Clause> =
        pieces.iter().map(|p| any_of(vec![own(p), near_piece(f, p)])).collect();
    all.push(any_of(pieces.iter().map(own).collect()));
    all_of(all)
}

/// A piece in an item's names.
fn item_piece(f: &Ground, piece: &Piece, care: Care) -> Clause {
    let mut any: Vec<Clause> = Vec::new();
    let length = piece.text.chars().count();
    if piece.script == Script::Cjk {
        any.push(boost(f.worded(f.n_item, piece, care), 1.5));
        if care == Care::Near && length > 1 {
            any.extend(heard(&piece.text).map(|h| f.named(f.n_item, Way::Spelling, &h)));
        }
    } else {
        any.push(boost(term(f.w_item, &piece.text), 4.0));
        if length >= 2 {
            any.push(prefix(f.w_item, &piece.text));
        }
        if care == Care::Near {
            any.extend(misspelt(f.w_item, &piece.text));
        }
        any.extend(named_sounds(f, f.n_item, &piece.text));
    }
    for other in &piece.others {
        any.push(boost(f.named(f.n_item, Way::Text, other), 2.0));
    }
    any_of(any)
}

/// A piece in the title or organisation of an item's entry.
fn near_piece(f: &Ground, piece: &Piece) -> Clause {
    if piece.script != Script::Cjk {
        return boost(term(f.w_near, &piece.text), 0.5);
    }
    let mut any = vec![all_of(piece.words.iter().map(|w| boost(term(f.w_near, w), 0.5)).collect())];
    // The dictionary may have cut the entry's title into smaller words, or left the piece whole.
    any.push(boost(term(f.w_near, &piece.text), 0.5));
    any_of(any)
}

/// The spelling of a text by ear, when it is long enough to tell anything.
fn heard(text: &str) -> Option<String> {
    let heard = spelling(&normalise(text));
    let heard = heard.get(..MAX_SPELLING).unwrap_or(&heard);
    (heard.len() >= 4).then(|| heard.to_owned())
}

/// Words one letter away.
fn misspelt(field: Field, word: &str) -> Option<Clause> {
    let length = word.chars().count();
    ((FUZZY_FROM..=32).contains(&length) && word.bytes().all(|b| b.is_ascii_alphabetic())).then(
        || Box::new(FuzzyTermQuery::new(Term::from_field_text(field, word), 1, true)) as Clause,
    )
}

/// Titles only, for completions.
pub(crate) fn title_query(f: &Ground, asked: &Asked) -> Clause {
    let Asked::Pieces(pieces) = asked else { return Box::new(EmptyQuery) };
    let each = |p: &Piece| {
        let mut any = Vec::new();
        if p.script == Script::Cjk {
            any.extend(grams(f.g_title, &p.text));
        } else {
            any.push(prefix(f.w_title, &p.text));
            any.push(prefix(f.w_title_en, &p.text));
            any.push(prefix(f.w_code, &p.text));
            any.extend(sounds(f.i_title, f.s_title, &p.text));
        }
        any_of(any)
    };
    all_of(pieces.iter().map(each).collect())
}

/// Words of one facet's filter.
pub(crate) fn filter_words<'a>(
    query: &'a SearchQuery,
    name: &'a str,
) -> impl Iterator<Item = &'a str> {
    let own = query.filters.iter().filter(move |(n, v)| n == name && !v.is_empty());
    own.map(|(_, v)| v.as_str()).take(MAX_VALUES)
}

/// One facet's filter; scores nothing.
pub(crate) fn filter_query(f: &Ground, name: &str, words: &[String]) -> Option<Clause> {
    let field = facet(f, name)?;
    (!words.is_empty()).then(|| one_of(field, words.iter().map(String::as_str)))
}

/// Which documents the filters leave.
pub(crate) fn about(query: &SearchQuery) -> About {
    let ledgers: Vec<&str> = query
        .filters
        .iter()
        .filter(|(n, v)| n == "ledger" && !v.is_empty())
        .map(|(_, v)| v.as_str())
        .collect();
    About {
        wholes: ledgers.is_empty() || ledgers.iter().any(|l| *l != ITEM),
        items: ledgers.is_empty() || ledgers.contains(&ITEM),
    }
}

/// Names of the facets that are filtered on; an unknown name is refused.
pub(crate) fn filtered(query: &SearchQuery) -> Result<Vec<&'static str>> {
    let mut out = Vec::new();
    for (name, value) in &query.filters {
        let Some(known) = FACETS.iter().find(|n| *n == name) else {
            return Err(Error::new(
                Code::InvalidQuery,
                format!("没有筛选项 `{name}`，可用：{}", FACETS.join("、")),
                format!("there is no facet `{name}`; use one of {}", FACETS.join(", ")),
            ));
        };
        if !value.is_empty() && !out.contains(known) {
            out.push(*known);
        }
    }
    Ok(out)
}

/// Documents of these entries and assets only; nothing when all are meant.
pub(crate) fn ids_query(f: &Ground, ids: &[String]) -> Option<Clause> {
    (!ids.is_empty()).then(|| one_of(f.of, ids.iter().map(String::as_str)))
}

/// The audience alone, for completions.
pub(crate) fn audience_query(f: &Ground, audience: &[String]) -> Clause {
    one_of(f.audience, audience.iter().map(String::as_str))
}

/// All clauses must hold.
pub(crate) fn all_of(mut clauses: Vec<Clause>) -> Clause {
    if clauses.len() == 1
        && let Some(only) = clauses.pop()
    {
        return only;
    }
    Box::new(BooleanQuery::new(clauses.into_iter().map(|c| (Occur::Must, c)).collect()))
}

pub(crate) fn any_of(mut clauses: Vec<Clause>) -> Clause {
    if clauses.len() == 1
        && let Some(only) = clauses.pop()
    {
        return only;
    }
    Box::new(BooleanQuery::new(clauses.into_iter().map(|c| (Occur::Should, c)).collect()))
}

pub(crate) fn one_of<'a>(field: Field, values: impl Iterator<Item = &'a str>) -> Clause {
    let terms: Vec<Clause> = values
        .take(MAX_VALUES)
        .map(|v| {
            Box::new(TermQuery::new(Term::from_field_text(field, v), IndexRecordOption::Basic))
                as Clause
        })
        .collect();
    if terms.is_empty() {
        return Box::new(EmptyQuery);
    }
    Box::new(ConstScoreQuery::new(any_of(terms), 0.0))
}

fn boost(clause: Clause, by: f32) -> Clause {
    Box::new(BoostQuery::new(clause, by))
}

pub(crate) fn term(field: Field, text: &str) -> Clause {
    Box::new(TermQuery::new(Term::from_field_text(field, text), IndexRecordOption::WithFreqs))
}

/// Terms that start with `text`.
fn prefix(field: Field, text: &str) -> Clause {
    let end = format!("{text}\u{10FFFF}");
    Box::new(RangeQuery::new(
        Bound::Included(Term::from_field_text(field, text)),
        Bound::Excluded(Term::from_field_text(field, &end)),
    ))
}

/// A substring of a CJK text: a phrase of pairs (or the single character).
fn grams(field: Field, text: &str) -> Option<Clause> {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() < 2 {
        return Some(term(field, text));
    }
    let mut pairs: Vec<Term> = chars
        .windows(2)
        .map(|pair| Term::from_field_text(field, &pair.iter().collect::<String>()))
        .collect();
    if pairs.len() == 1 {
        let only = pairs.pop()?;
        return Some(Box::new(TermQuery::new(only, IndexRecordOption::WithFreqs)));
    }
    Some(Box::new(PhraseQuery::new(pairs)))
}

/// Initials and spelling that start with `text`.
fn sounds(initials: Field, spelled: Field, text: &str) -> Vec<Clause> {
    by_ear(text, |text| prefix(initials, text), |text| prefix(spelled, text))
}

/// Initials and spelling that stand in a name.
fn named_sounds(f: &Ground, field: Field, text: &str) -> Vec<Clause> {
    by_ear(
        text,
        |text| f.named(field, Way::Initials, text),
        |text| f.named(field, Way::Spelling, text),
    )
}

/// What `text` may be heard as: initials, a spelling, or both.
fn by_ear(
    text: &str,
    initials: impl FnOnce(&str) -> Clause,
    spelled: impl FnOnce(&str) -> Clause,
) -> Vec<Clause> {
    let letters = text.chars().all(|c| c.is_ascii_alphanumeric());
    let mut out = Vec::new();
    if letters && (2..=MAX_INITIALS).contains(&text.len()) {
        out.push(initials(text));
    }
    if letters && text.len() >= 3 {
        out.push(spelled(text.get(..MAX_SPELLING).unwrap_or(text)));
    }
    out
}

pub(crate) fn piece_query(f: &Ground, piece: &Piece, care: Care) -> Clause {
    match piece.script {
        Script::Cjk => cjk_query(f, piece, care),
        _ => word_query(f, piece, care),
    }
}

/// Whether a text has a piece of so many words that to gather them from anywhere costs more than it gives.
pub(crate) fn long(asked: &Asked) -> bool {
    matches!(asked, Asked::Pieces(pieces) if pieces.iter().any(|p| p.words.len() >= LONG))
}

fn cjk_query(f: &Ground, piece: &Piece, care: Care) -> Clause {
    let mut any: Vec<Clause> = Vec::new();
    for (field, weight) in [(f.g_title, 8.0), (f.g_description, 1.5)] {
        any.extend(grams(field, &piece.text).map(|q| boost(q, weight)));
    }
    let strict = care == Care::Strict && piece.words.len() >= LONG;
    any.push(if strict {
        boost(f.worded(f.n_rest, piece, care), 1.5)
    } else {
        boost(f.named(f.n_rest, Way::Text, &piece.text), 3.0)
    });
    let words: Vec<(Occur, Clause)> = piece
        .words
        .iter()
        .map(|w| (Occur::Should, if strict { title_word(f, w) } else { one_word(f, w) }))
        .collect();
    let needed = words_needed(words.len(), care);
    any.push(Box::new(BooleanQuery::with_minimum_required_clauses(words, needed)));
    for other in &piece.others {
        for (field, weight) in [(f.g_title, 4.0), (f.g_description, 0.7)] {
            any.extend(grams(field, other).map(|q| boost(q, weight)));
        }
        any.push(boost(f.named(f.n_rest, Way::Text, other), 1.5));
    }
    if care == Care::Near
        && piece.text.chars().nth(1).is_some()
        && let Some(heard) = heard(&piece.text)
    {
        any.push(prefix(f.s_title, &heard));
        any.push(f.named(f.n_rest, Way::Spelling, &heard));
    }
    any_of(any)
}

/// How many of the words of one CJK piece must be found.
fn words_needed(words: usize, care: Care) -> usize {
    match (care, words) {
        (_, 0..=1) => words,
        (Care::Near, _) => words.div_ceil(2),
        (_, 2) => 2,
        (_, 3..=4) => words - 1,
        _ => (words * 3).div_ceil(5),
    }
}

/// One Chinese word in a title.
fn title_word(f: &Ground, word: &str) -> Clause {
    let mut any = vec![boost(term(f.w_title, word), 6.0)];
    any.extend(grams(f.g_title, word));
    any_of(any)
}

/// One Chinese word: as a word wherever the dictionary cut it so, else as a substring.
fn one_word(f: &Ground, word: &str) -> Clause {
    let mut any: Vec<Clause> =
        [(f.w_title, 6.0), (f.w_tags, 3.0), (f.w_org, 2.0), (f.w_description, 1.0)]
            .into_iter()
            .map(|(field, weight)| boost(term(field, word), weight))
            .collect();
    for (field, weight) in [(f.g_title, 1.0), (f.g_description, 0.3)] {
        any.extend(grams(field, word).map(|q| boost(q, weight)));
    }
    any.push(boost(f.named(f.n_rest, Way::Text, word), 2.0));
    any_of(any)
}

/// A word of another script: exactly, as a beginning, as pinyin; misspelt by one letter when nothing else is found.
fn word_query(f: &Ground, piece: &Piece, care: Care) -> Clause {
    let word = piece.text.as_str();
    let weights = [
        (f.w_title, 8.0),
        (f.w_title_en, 6.0),
        (f.w_items, 4.0),
        (f.w_tags, 5.0),
        (f.w_org, 3.0),
        (f.w_description, 2.0),
        (f.w_code, 8.0),
    ];
    let mut any: Vec<Clause> = vec![boost(term(f.code, word), 20.0)];
    let length = word.chars().count();
    for (field, weight) in weights {
        any.push(boost(term(field, word), weight));
        if length >= 2 {
            any.push(boost(prefix(field, word), weight / 4.0));
        }
        if care == Care::Near {
            any.extend(misspelt(field, word).map(|q| boost(q, weight / 8.0)));
        }
    }
    any.extend(sounds(f.i_title, f.s_title, word).into_iter().map(|q| boost(q, 5.0)));
    any.extend(named_sounds(f, f.n_rest, word).into_iter().map(|q| boost(q, 2.0)));
    for other in &piece.others {
        any.extend(grams(f.g_title, other).map(|q| boost(q, 3.0)));
        any.push(f.named(f.n_rest, Way::Text, other));
    }
    any_of(any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_by_script() {
        let Asked::Pieces(p) = asked("  杭州PM2.5 数据", &Synonyms::default()) else {
            panic!("pieces")
        };
        let got: Vec<&str> = p.iter().map(|p| p.text.as_str()).collect();
        assert_eq!(got, ["杭州", "pm2", "5", "数据"]);
        assert!(matches!(asked(" \t　", &Synonyms::default()), Asked::All));
        assert!(matches!(asked("\"*+-:()", &Synonyms::default()), Asked::Nothing));
    }

    #[test]
    fn few_words_must_all_be_found_and_many_mostly() {
        let exact: Vec<usize> = (1..=6).map(|n| words_needed(n, Care::Exact)).collect();
        assert_eq!(exact, [1, 2, 2, 3, 3, 4]);
        assert_eq!(words_needed(5, Care::Near), 3);
    }

    #[test]
    fn an_unknown_facet_is_refused_by_name() {
        let q = SearchQuery {
            filters: vec![("colour".into(), "red".into())],
            ..SearchQuery::default()
        };
        let e = filtered(&q).unwrap_err();
        assert!(e.en().contains("colour") && e.zh().contains("region"), "{e}");
    }
}

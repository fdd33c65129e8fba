//! From what a person typed to what the engine is asked.
//!
//! The text is cut into pieces of one script; every piece must be found. User text is never parsed as query
//! syntax: each piece becomes terms, phrases and prefixes built by hand, so nothing typed can fail or inject.

use std::ops::Bound;

use model::search::SearchQuery;
use model::{Code, Error, Result};
use tantivy::Term;
use tantivy::query::{
    AllQuery, BooleanQuery, BoostQuery, ConstScoreQuery, EmptyQuery, FuzzyTermQuery, Occur,
    PhraseQuery, Query, RangeQuery, TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption};

use crate::schema::{FACETS, Fields, facet};
use crate::sound::{MAX_INITIALS, MAX_SPELLING, spelling};
use crate::text::{Script, normalise, query_words, runs, slice};

/// Characters of a query that are used; the rest is ignored.
const MAX_QUERY: usize = 128;
/// Pieces of a query that are used.
const MAX_PIECES: usize = 16;
/// Values of filters and audience labels that are used.
const MAX_VALUES: usize = 256;
/// Shortest ASCII word that may be misspelt by one letter.
const FUZZY_FROM: usize = 5;

type Clause = Box<dyn Query>;

/// One piece of the query text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) script: Script,
    /// Normalised.
    pub(crate) text: String,
    /// For CJK: the words in it that carry meaning.
    pub(crate) words: Vec<String>,
}

/// What the text asks for.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    All,
    /// Nothing in it can be searched for (only punctuation).
    Nothing,
    Pieces(Vec<Piece>),
}

/// How forgiving a match is. `Near` is asked only when `Exact` finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Care {
    Exact,
    Near,
}

/// Cuts query text into pieces.
pub(crate) fn asked(text: &str) -> Asked {
    let chars = normalise(text.trim());
    if chars.is_empty() {
        return Asked::All;
    }
    let chars = chars.get(..MAX_QUERY).unwrap_or(&chars);
    let mut pieces: Vec<Piece> = Vec::new();
    for run in runs(chars).into_iter().take(MAX_PIECES) {
        let text = slice(chars, run);
        let words = if run.script == Script::Cjk { query_words(&text) } else { Vec::new() };
        let piece = Piece { script: run.script, text, words };
        if !pieces.contains(&piece) {
            pieces.push(piece);
        }
    }
    if pieces.is_empty() { Asked::Nothing } else { Asked::Pieces(pieces) }
}

/// The text part of a query, scoring.
pub(crate) fn text_query(f: &Fields, asked: &Asked, care: Care) -> Clause {
    match asked {
        Asked::All => Box::new(AllQuery),
        Asked::Nothing => Box::new(EmptyQuery),
        Asked::Pieces(pieces) => all_of(pieces.iter().map(|p| piece_query(f, p, care)).collect()),
    }
}

/// Titles only, for completions.
pub(crate) fn title_query(f: &Fields, asked: &Asked) -> Clause {
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

/// The audience and the filters, except those of one facet; scores nothing.
pub(crate) fn filter_query(
    f: &Fields,
    query: &SearchQuery,
    except: Option<&str>,
) -> Result<Vec<Clause>> {
    let mut out = vec![one_of(f.audience, query.audience.iter().map(String::as_str))];
    for name in FACETS.iter().filter(|n| Some(**n) != except) {
        let Some(field) = facet(f, name) else { continue };
        let values: Vec<&str> = query
            .filters
            .iter()
            .filter(|(n, v)| n == name && !v.is_empty())
            .map(|(_, v)| v.as_str())
            .collect();
        if !values.is_empty() {
            out.push(one_of(field, values.into_iter()));
        }
    }
    Ok(out)
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

/// The audience alone, for completions.
pub(crate) fn audience_query(f: &Fields, audience: &[String]) -> Clause {
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

fn any_of(mut clauses: Vec<Clause>) -> Clause {
    if clauses.len() == 1
        && let Some(only) = clauses.pop()
    {
        return only;
    }
    Box::new(BooleanQuery::new(clauses.into_iter().map(|c| (Occur::Should, c)).collect()))
}

fn one_of<'a>(field: Field, values: impl Iterator<Item = &'a str>) -> Clause {
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

fn term(field: Field, text: &str) -> Clause {
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
    let letters = text.chars().all(|c| c.is_ascii_alphanumeric());
    let mut out = Vec::new();
    if letters && (2..=MAX_INITIALS).contains(&text.len()) {
        out.push(prefix(initials, text));
    }
    if letters && text.len() >= 3 {
        out.push(prefix(spelled, text.get(..MAX_SPELLING).unwrap_or(text)));
    }
    out
}

fn piece_query(f: &Fields, piece: &Piece, care: Care) -> Clause {
    match piece.script {
        Script::Cjk => cjk_query(f, piece, care),
        _ => word_query(f, &piece.text),
    }
}

fn cjk_query(f: &Fields, piece: &Piece, care: Care) -> Clause {
    let mut any: Vec<Clause> = Vec::new();
    for (field, weight) in [(f.g_title, 8.0), (f.g_rest, 3.0), (f.g_description, 1.5)] {
        any.extend(grams(field, &piece.text).map(|q| boost(q, weight)));
    }
    let words: Vec<(Occur, Clause)> =
        piece.words.iter().map(|w| (Occur::Should, one_word(f, w))).collect();
    let needed = words_needed(words.len(), care);
    any.push(Box::new(BooleanQuery::with_minimum_required_clauses(words, needed)));
    if care == Care::Near && piece.text.chars().nth(1).is_some() {
        let heard = spelling(&normalise(&piece.text));
        let heard = heard.get(..MAX_SPELLING).unwrap_or(&heard);
        if heard.len() >= 4 {
            any.push(prefix(f.s_title, heard));
            any.push(prefix(f.s_rest, heard));
        }
    }
    any_of(any)
}

/// How many of the words of one CJK piece must be found.
fn words_needed(words: usize, care: Care) -> usize {
    match (care, words) {
        (_, 0..=1) => words,
        (Care::Exact, 2) => 2,
        (Care::Exact, 3..=4) => words - 1,
        (Care::Exact, _) => (words * 3).div_ceil(5),
        (Care::Near, _) => words.div_ceil(2),
    }
}

/// One Chinese word: as a word wherever the dictionary cut it so, else as a substring.
fn one_word(f: &Fields, word: &str) -> Clause {
    let mut any: Vec<Clause> = [
        (f.w_title, 6.0),
        (f.w_items, 2.0),
        (f.w_tags, 3.0),
        (f.w_org, 2.0),
        (f.w_description, 1.0),
    ]
    .into_iter()
    .map(|(field, weight)| boost(term(field, word), weight))
    .collect();
    for (field, weight) in [(f.g_title, 1.0), (f.g_rest, 0.5), (f.g_description, 0.3)] {
        any.extend(grams(field, word).map(|q| boost(q, weight)));
    }
    any_of(any)
}

/// A word of another script: exactly, as a beginning, misspelt by one letter, or as pinyin.
fn word_query(f: &Fields, word: &str) -> Clause {
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
        if (FUZZY_FROM..=32).contains(&length) && word.bytes().all(|b| b.is_ascii_alphabetic()) {
            let near = FuzzyTermQuery::new(Term::from_field_text(field, word), 1, true);
            any.push(boost(Box::new(near), weight / 8.0));
        }
    }
    any.extend(sounds(f.i_title, f.s_title, word).into_iter().map(|q| boost(q, 5.0)));
    any.extend(sounds(f.i_rest, f.s_rest, word).into_iter().map(|q| boost(q, 2.0)));
    any_of(any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_by_script() {
        let Asked::Pieces(p) = asked("  杭州PM2.5 数据") else { panic!("pieces") };
        let got: Vec<&str> = p.iter().map(|p| p.text.as_str()).collect();
        assert_eq!(got, ["杭州", "pm2", "5", "数据"]);
        assert!(matches!(asked(" \t　"), Asked::All));
        assert!(matches!(asked("\"*+-:()"), Asked::Nothing));
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

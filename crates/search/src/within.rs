//! The expression a question is narrowed by (`model::search::Within`) as a query of the engine. Whatever language it was
//! written in, it has become a tree before: nothing here is parsed.

use std::ops::Bound;

use model::search::{When, Within};
use model::{Code, Error, Result};
use tantivy::Term;
use tantivy::query::{
    AllQuery, BooleanQuery, ConstScoreQuery, EmptyQuery, Occur, Query, RangeQuery,
};
use tantivy::schema::Field;

use crate::names;
use crate::query::{
    About, Asked, Care, Clause, Ground, all_of, any_of, asked, one_of, term, text_query,
    title_query,
};
use crate::schema::{FACETS, facet, time_key};
use crate::synonym::Synonyms;
use crate::text::{Script, query_words};

/// Deepest nesting of an expression.
const DEPTH: usize = 16;
/// Most conditions of an expression.
const CONDITIONS: usize = 256;
/// Entries and assets are meant, not items.
const WHOLES: About = About { wholes: true, items: false };

/// The expression as a query; it narrows and does not score.
pub(crate) fn within_query(f: &Ground, within: &Within, synonyms: &Synonyms) -> Result<Clause> {
    let mut left = CONDITIONS;
    let clause = Writer { f, synonyms }.clause(within, DEPTH, &mut left)?;
    Ok(Box::new(ConstScoreQuery::new(clause, 0.0)))
}

struct Writer<'a> {
    f: &'a Ground,
    synonyms: &'a Synonyms,
}

impl Writer<'_> {
    fn clause(&self, within: &Within, depth: usize, left: &mut usize) -> Result<Clause> {
        let (Some(depth), Some(less)) = (depth.checked_sub(1), left.checked_sub(1)) else {
            return Err(Error::new(
                Code::InvalidQuery,
                format!("检索式过于复杂（最多 {DEPTH} 层、{CONDITIONS} 个条件）"),
                format!(
                    "the expression is too complex ({DEPTH} levels and {CONDITIONS} conditions at most)"
                ),
            ));
        };
        *left = less;
        let mut each = |all: &[Within]| -> Result<Vec<Clause>> {
            all.iter().map(|one| self.clause(one, depth, left)).collect()
        };
        Ok(match within {
            Within::And(all) if all.is_empty() => Box::new(AllQuery),
            Within::Or(all) if all.is_empty() => Box::new(EmptyQuery),
            Within::And(all) => all_of(each(all)?),
            Within::Or(all) => any_of(each(all)?),
            Within::Not(inner) => {
                let inner = self.clause(inner, depth, left)?;
                let all: Clause = Box::new(AllQuery);
                Box::new(BooleanQuery::new(vec![(Occur::Must, all), (Occur::MustNot, inner)]))
            }
            Within::Facet { name, value } => match facet(self.f, name) {
                Some(field) => one_of(field, std::iter::once(value.as_str())),
                None => {
                    return Err(Error::new(
                        Code::InvalidQuery,
                        format!("没有筛选项 `{name}`，可用：{}", FACETS.join("、")),
                        format!("there is no facet `{name}`; use one of {}", FACETS.join(", ")),
                    ));
                }
            },
            Within::Words(text) => {
                text_query(self.f, &asked(text, self.synonyms), Care::Exact, WHOLES)
            }
            Within::Title(text) => match asked(text, self.synonyms) {
                Asked::All => Box::new(AllQuery),
                pieces => title_query(self.f, &pieces),
            },
            Within::Tag(tag) => self.tag(tag),
            Within::Named(name) => {
                any_of(vec![term(self.f.id, name), term(self.f.code, &name.to_lowercase())])
            }
            Within::Time { when, from, to } => self.time(*when, from, to),
        })
    }

    /// Names that many documents share hold the tags whole, and one of its words must be a tag's: names of items stand there, too.
    fn tag(&self, tag: &str) -> Clause {
        let whole = term(self.f.n_rest, &names::term_of(tag));
        let Asked::Pieces(pieces) = asked(tag, &Synonyms::default()) else { return whole };
        let mut words: Vec<Clause> = Vec::new();
        for piece in pieces {
            if piece.script == Script::Cjk {
                words.extend(query_words(&piece.text).iter().map(|w| term(self.f.w_tags, w)));
            }
            words.push(term(self.f.w_tags, &piece.text));
        }
        all_of(vec![whole, any_of(words)])
    }

    fn time(&self, when: When, from: &str, to: &str) -> Clause {
        let fields = match when {
            When::Published => vec![self.f.published],
            When::Changed => vec![self.f.published, self.f.data],
        };
        // What never happened has the number nought.
        let since = if from.is_empty() { 1 } else { time_key(from).max(1) };
        let mut all = vec![any_of(fields.iter().map(|f| range(*f, Some(since), None)).collect())];
        if !to.is_empty() {
            all.extend(fields.iter().map(|f| range(*f, None, Some(time_key(to)))));
        }
        all_of(all)
    }
}

fn range(field: Field, from: Option<u64>, to: Option<u64>) -> Clause {
    let bound = |n: Option<u64>| {
        n.map_or(Bound::Unbounded, |n| Bound::Included(Term::from_field_u64(field, n)))
    };
    // A range without any bound tells no field.
    let lower = bound(Some(from.unwrap_or(0)));
    Box::new(RangeQuery::new(lower, bound(to))) as Box<dyn Query>
}

#[cfg(test)]
mod tests {
    use model::search::{SearchDoc, SearchQuery};
    use policy::port::Search;

    use super::*;
    use crate::Index;

    fn catalogue() -> Index {
        let index = Index::in_memory().unwrap();
        let doc = |id: &str, title: &str, domain: &str, tag: &str, published: &str, data: &str| {
            SearchDoc {
                id: id.into(),
                ledger: "data".into(),
                code: format!("c_{id}"),
                title: title.into(),
                domain: domain.into(),
                tags: vec![tag.into()],
                audience: vec!["public".into()],
                published_at: published.into(),
                data_at: data.into(),
                ..SearchDoc::default()
            }
        };
        let (old, new) = ("2026-01-01T00:00:00.000Z", "2026-03-01T00:00:00.000Z");
        index
            .put(&[
                doc("a1", "河流水质", "13", "空气质量", old, new),
                doc("b2", "空气质量日报", "13", "水", new, ""),
                doc("c3", "企业名录", "11", "空气", old, ""),
            ])
            .unwrap();
        index
    }

    fn found(index: &Index, within: Within, sort: &str) -> Vec<String> {
        let query = SearchQuery {
            within: Some(within),
            audience: vec!["public".into()],
            sort: sort.into(),
            limit: 10,
            ..SearchQuery::default()
        };
        let page = index.search(&query).unwrap();
        assert_eq!(page.total as usize, page.hits.len());
        page.hits.into_iter().map(|h| h.doc.id).collect()
    }

    fn domain(value: &str) -> Within {
        Within::Facet { name: "domain".into(), value: value.into() }
    }

    #[test]
    fn an_expression_narrows_by_what_it_says() {
        let index = catalogue();
        let sorted = |within| found(&index, within, "id asc");
        assert_eq!(sorted(Within::And(Vec::new())), ["a1", "b2", "c3"]);
        assert_eq!(sorted(Within::Or(Vec::new())), Vec::<String>::new());
        assert_eq!(sorted(Within::Not(Box::new(domain("13")))), ["c3"]);
        let either = Within::Or(vec![domain("11"), Within::Words("水质".into())]);
        assert_eq!(sorted(either), ["a1", "c3"]);
        assert_eq!(sorted(Within::Title("空气".into())), ["b2"]);
        assert_eq!(sorted(Within::Tag("空气质量".into())), ["a1"]);
        assert_eq!(sorted(Within::Tag("空气".into())), ["c3"]);
        assert_eq!(sorted(Within::Named("C_B2".into())), ["b2"]);
        assert_eq!(sorted(Within::Named("c3".into())), ["c3"]);
    }

    #[test]
    fn formats_behind_links_are_told_from_those_of_ours() {
        let index = Index::in_memory().unwrap();
        let doc = |id: &str, formats: &[&str], linked: &[&str]| SearchDoc {
            id: id.into(),
            ledger: "data".into(),
            title: id.into(),
            formats: formats.iter().map(|f| (*f).to_owned()).collect(),
            linked: linked.iter().map(|f| (*f).to_owned()).collect(),
            audience: vec!["public".into()],
            ..SearchDoc::default()
        };
        let docs = [
            doc("a1", &["CSV", "XLSX"], &[]),
            doc("b2", &["CSV", "XLSX", "PDF"], &["PDF", "XLSX", "PDF"]),
            doc("c3", &["PDF"], &["PDF"]),
        ];
        index.put(&docs).unwrap();
        let of = |name: &str, value: &str| {
            let within = Within::Facet { name: name.into(), value: value.into() };
            found(&index, within, "id asc")
        };
        assert_eq!(of("format", "XLSX"), ["a1", "b2"]);
        assert_eq!(of("linked", "XLSX"), ["b2"]);
        assert_eq!(of("linked", "PDF"), ["b2", "c3"]);
        let query = SearchQuery {
            filters: vec![("linked".into(), "XLSX".into())],
            audience: vec!["public".into()],
            limit: 10,
            ..SearchQuery::default()
        };
        let page = index.search(&query).unwrap();
        assert_eq!((page.total, page.hits[0].doc.linked.len()), (1, 3));
        let (_, counts) = page.facets.iter().find(|(name, _)| name == "linked").unwrap();
        // A facet's own filter does not count against it.
        assert_eq!(*counts, [("PDF".to_owned(), 2), ("XLSX".to_owned(), 1)]);
    }

    #[test]
    fn times_are_those_of_publication_or_of_any_change() {
        let index = catalogue();
        let time = |when, from: &str, to: &str| {
            let within = Within::Time { when, from: from.into(), to: to.into() };
            found(&index, within, "id asc")
        };
        let february = "2026-02-01T00:00:00.000Z";
        assert_eq!(time(When::Published, february, ""), ["b2"]);
        assert_eq!(time(When::Changed, february, ""), ["a1", "b2"]);
        assert_eq!(time(When::Changed, "", february), ["c3"]);
        assert_eq!(time(When::Changed, "2026-03-01T00:00:00.000Z", ""), ["a1", "b2"]);
    }

    #[test]
    fn the_least_comes_first_when_asked() {
        let index = catalogue();
        let all = || Within::And(Vec::new());
        assert_eq!(found(&index, all(), "id"), ["c3", "b2", "a1"]);
        assert_eq!(found(&index, all(), "changed_at asc")[0], "c3");
        assert_eq!(found(&index, all(), "changed_at")[2], "c3");
    }

    #[test]
    fn what_is_too_deep_or_unknown_is_refused() {
        let index = catalogue();
        let asked = |within| {
            let query = SearchQuery { within: Some(within), ..SearchQuery::default() };
            index.search(&query).unwrap_err().code()
        };
        let mut deep = domain("13");
        for _ in 0..20 {
            deep = Within::Not(Box::new(deep));
        }
        assert_eq!(asked(deep), Code::InvalidQuery);
        let colour = Within::Facet { name: "colour".into(), value: "red".into() };
        assert_eq!(asked(colour), Code::InvalidQuery);
    }
}

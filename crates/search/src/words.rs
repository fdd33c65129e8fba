//! A question of several words of which no document has all: documents that have some of them, those that have more first.
//!
//! A word is what stands between blanks; all of its pieces must be found as exactly as in a whole question. Only entries and
//! assets are asked, not data items.

use tantivy::query::{ConstScoreQuery, EmptyQuery};

use crate::query::{
    About, Asked, Care, Clause, Ground, MAX_PIECES, MAX_QUERY, Piece, all_of, any_of, asked,
    piece_query,
};
use crate::synonym::Synonyms;

/// What a word counts for, more than all that a word can weigh by its rarity and its place: a document with more of the words
/// stands before one with fewer, and only those with as many are told apart by weight.
const RANK: f32 = 10_000.0;

/// The words of a text one by one; `None` where there is only one.
pub(crate) fn several(text: &str, synonyms: &Synonyms) -> Option<Asked> {
    let text: String = text.trim().chars().take(MAX_QUERY).collect();
    let mut words: Vec<Vec<Piece>> = Vec::new();
    for word in text.split_whitespace().take(MAX_PIECES) {
        if let Asked::Pieces(pieces) = asked(word, synonyms)
            && !words.contains(&pieces)
        {
            words.push(pieces);
        }
    }
    (words.len() > 1).then_some(Asked::Words(words))
}

/// Documents that have one of the words at least, scored by how many.
pub(crate) fn some_of(f: &Ground, words: &[Vec<Piece>], about: About) -> Clause {
    if !about.wholes {
        return Box::new(EmptyQuery);
    }
    let mut any: Vec<Clause> = Vec::new();
    for word in words {
        let has = || all_of(word.iter().map(|p| piece_query(f, p, Care::Exact)).collect());
        any.push(Box::new(ConstScoreQuery::new(has(), RANK)));
        any.push(has());
    }
    any_of(any)
}

#[cfg(test)]
mod tests {
    use model::search::{SearchDoc, SearchPage, SearchQuery};
    use policy::port::Search;

    use crate::Index;

    fn doc(id: &str, title: &str, description: &str, region: &str) -> SearchDoc {
        SearchDoc {
            id: id.into(),
            ledger: "data".into(),
            code: format!("code_{id}"),
            title: title.into(),
            description: description.into(),
            region: region.into(),
            audience: vec!["public".into()],
            ..SearchDoc::default()
        }
    }

    fn shelf() -> Index {
        let index = Index::in_memory().unwrap();
        index
            .put(&[
                doc("tcc", "停车场名录", "泊位与收费", "330100"),
                doc("cdz", "充电站点位", "停车场内的充电桩", "330200"),
                doc("kq", "空气质量日报", "PM2.5日均值", "330100"),
                doc("gs", "古树名木名录", "树龄与保护级别", "331100"),
            ])
            .unwrap();
        index
    }

    fn ask(index: &Index, text: &str, region: &str, some: bool) -> SearchPage {
        let mut filters = vec![("ledger".to_owned(), "data".to_owned())];
        filters.push(("region".to_owned(), region.to_owned()));
        let query = SearchQuery {
            text: text.into(),
            filters,
            audience: vec!["public".into()],
            limit: 10,
            some,
            ..SearchQuery::default()
        };
        index.search(&query).unwrap()
    }

    fn ids(page: &SearchPage) -> Vec<&str> {
        page.hits.iter().map(|h| h.doc.id.as_str()).collect()
    }

    #[test]
    fn what_has_more_of_the_words_comes_first() {
        let index = shelf();
        let page = ask(&index, "充电站 停车场 古树名木", "", true);
        assert!(page.partial);
        assert_eq!(ids(&page).first(), Some(&"cdz"), "two of three words");
        assert_eq!(page.total, 3, "{:?}", ids(&page));
        assert!(!ids(&page).contains(&"kq"));
    }

    #[test]
    fn all_words_found_or_one_word_only_is_as_ever() {
        let index = shelf();
        let whole = ask(&index, "停车场 充电站", "", true);
        assert_eq!((ids(&whole), whole.partial), (vec!["cdz"], false));
        for (text, some) in [("充电站 停车场 古树名木", false), ("鲸鱼", true), ("鲸鱼 企鹅", true)]
        {
            let none = ask(&index, text, "", some);
            assert_eq!((none.total, none.partial), (0, false), "{text}");
        }
        // The question that does not ask for it gets nothing after one that did.
        assert!(ask(&index, "充电站 古树名木", "", true).partial);
        assert_eq!(ask(&index, "充电站 古树名木", "", false).total, 0);
    }

    #[test]
    fn filters_hold_and_nothing_else_is_shown() {
        let index = shelf();
        let page = ask(&index, "停车场 充电站", "330100", true);
        assert_eq!((ids(&page), page.partial), (vec!["tcc"], true));
    }
}

//! What search keeps of an entry, an asset or a data item, and what it answers.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};

/// The ledger word of a hit that is one data item of an entry.
pub const ITEM: &str = "item";

/// One document of the index: an entry with its items, or an asset. Of an entry's items the index makes documents of
/// their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchDoc {
    /// Entry or asset id.
    pub id: String,
    /// `data`, `application`, `component`, `cloud`; of a hit also `item`.
    pub ledger: String,
    pub code: String,
    pub title: String,
    pub title_en: String,
    pub description: String,
    /// Organisation id and name.
    pub org: String,
    pub org_name: String,
    /// GB/T 2260 code; facets roll up to city and province.
    pub region: String,
    /// 主题: the domain of an entry, the main choice of an asset.
    pub domain: String,
    pub tags: Vec<String>,
    /// Items of an entry. Not kept in the index with the entry: a hit has none.
    #[serde(skip)]
    pub items: Vec<SearchItem>,
    /// Formats offered (`CSV`, `JSON`, `API` …).
    pub formats: Vec<String>,
    /// Those of them that are had behind links, not from the platform.
    pub linked: Vec<String>,
    pub update_cycle: String,
    pub open_type: String,
    pub share_type: String,
    pub grade: String,
    /// State word: of an asset its life cycle's, of an entry its online state.
    pub state: String,
    /// Who may know that it exists: `public`, `staff`, `org:{id}`, `all` (those who may see everything).
    pub audience: Vec<String>,
    pub rows: i64,
    /// RFC 3339; sort keys.
    pub published_at: String,
    pub data_at: String,
    /// Of a hit that is an item: its identifier; `title` is then the item's name, `id` and `code` the entry's.
    pub item: String,
    /// Of a hit that is an item: the title of its entry.
    pub parent: String,
}

/// An item of an entry as search knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SearchItem {
    pub identifier: String,
    pub name_cn: String,
    pub name_en: String,
    pub grade: String,
    pub share_type: String,
    pub open_type: String,
    /// Not to be found by those who see only what is open: neither by itself nor through its entry's words.
    pub closed: bool,
}

impl SearchDoc {
    /// A hash of everything that is indexed: tells whether the index holds what the store holds.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// A search.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchQuery {
    pub text: String,
    /// `(facet, value)`: facets are `ledger region org domain format update_cycle open_type share_type grade state linked`.
    /// Same facet = or, others = and.
    pub filters: Vec<(String, String)>,
    /// What a document must be besides.
    pub within: Option<Within>,
    /// Labels the caller holds; a document is seen when it has at least one of them.
    pub audience: Vec<String>,
    /// Facets to count, each costing a pass over what is found; `None`: all there are.
    pub facets: Option<Vec<String>>,
    /// `relevance`, `published_at`, `data_at`, `changed_at` (the later of the two), `rows`, `id`: the greatest first, or with
    /// ` asc` behind it (all but `relevance`) the least.
    pub sort: String,
    pub offset: u32,
    /// Position of the last hit seen (`SearchPage::next`): the page after it costs what the first does.
    pub after: Option<String>,
    pub limit: u32,
    /// Only documents of these entries and assets; empty: of all.
    pub ids: Vec<String>,
    /// Where no document has all of several words: those that have some, most words first (`SearchPage::partial`).
    pub some: bool,
}

/// What a document must be: an expression, whatever language it was written in. `And` of nothing is every document, `Or` of
/// nothing is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Within {
    /// Has this value of a facet.
    Facet {
        name: String,
        value: String,
    },
    /// Is found by these words.
    Words(String),
    /// Has these words in its title.
    Title(String),
    /// Has this tag, as it is written.
    Tag(String),
    /// Has this id or this code.
    Named(String),
    /// Was published, or changed (published, or got data), between two times (RFC 3339 in UTC, both included; empty is open).
    Time {
        when: When,
        from: String,
        to: String,
    },
    Not(Box<Within>),
    And(Vec<Within>),
    Or(Vec<Within>),
}

/// Which time of a document is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    Published,
    Changed,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchPage {
    pub total: u64,
    pub hits: Vec<SearchHit>,
    /// Facet → values with exact counts (within the other filters), most first.
    pub facets: Vec<(String, Vec<(String, u64)>)>,
    /// Position after the last hit; `None` at the end.
    pub next: Option<String>,
    /// No document has all of the words; these have some (`SearchQuery::some`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

/// One found document with highlights (`<mark>` around matches, the rest HTML-escaped).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchHit {
    pub doc: SearchDoc,
    pub title_html: String,
    pub description_html: String,
}

/// What the index holds of one ledger, to compare with the store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchHolding {
    pub documents: u64,
    /// All fingerprints, combined by exclusive or.
    pub digest: u64,
}

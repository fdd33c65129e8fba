//! What search keeps of an entry and what it answers.

use serde::{Deserialize, Serialize};

/// One document of the index: an entry with its items' names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchDoc {
    /// Entry id.
    pub id: String,
    pub code: String,
    pub title: String,
    pub title_en: String,
    pub description: String,
    /// Organisation id and name.
    pub org: String,
    pub org_name: String,
    /// GB/T 2260 code; facets roll up to city and province.
    pub region: String,
    pub domain: String,
    pub tags: Vec<String>,
    /// Chinese and English item names and identifiers.
    pub items: Vec<String>,
    /// Formats offered (`CSV`, `JSON`, `API` …).
    pub formats: Vec<String>,
    pub update_cycle: String,
    pub open_type: String,
    pub share_type: String,
    pub grade: String,
    /// Who may know that it exists: `public`, `staff`, `org:{id}`.
    pub audience: Vec<String>,
    pub rows: i64,
    /// RFC 3339; sort keys.
    pub published_at: String,
    pub data_at: String,
}

/// A search.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchQuery {
    pub text: String,
    /// `(facet, value)`: facets are `region org domain format update_cycle open_type share_type grade`. Same facet = or, others = and.
    pub filters: Vec<(String, String)>,
    /// Labels the caller holds; a document is seen when it has at least one of them.
    pub audience: Vec<String>,
    /// `relevance`, `published_at`, `data_at`, `rows`
    pub sort: String,
    pub offset: u32,
    pub limit: u32,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchPage {
    pub total: u64,
    pub hits: Vec<SearchHit>,
    /// Facet → values with exact counts (within the other filters), most first.
    pub facets: Vec<(String, Vec<(String, u64)>)>,
}

/// One found document with highlights (`<mark>` around matches, the rest HTML-escaped).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchHit {
    pub doc: SearchDoc,
    pub title_html: String,
    pub description_html: String,
}

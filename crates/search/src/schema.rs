//! What is indexed of a document, and how.
//!
//! Per text: words (`w_`), grams (`g_`) and sounds (`i_` initials, `s_` spelling). Facets and audience are raw
//! terms; facets are also fast columns, from which counts are made. The document itself is stored as JSON.

use std::hash::{DefaultHasher, Hash, Hasher};

use model::region;
use model::search::SearchDoc;
use model::{Error, Result};
use tantivy::TantivyDocument;
use tantivy::schema::{
    FAST, Field, INDEXED, IndexRecordOption, STORED, STRING, Schema, SchemaBuilder,
    TextFieldIndexing, TextOptions,
};

use crate::{sound, text};

/// Raised whenever the fields or their analysis change: an index of another version is rebuilt.
pub(crate) const VERSION: u32 = 1;

/// The facets, in the order in which they are answered.
pub(crate) const FACETS: [&str; 8] =
    ["region", "org", "domain", "format", "update_cycle", "open_type", "share_type", "grade"];

/// Fast columns of the sort keys.
pub(crate) const PUBLISHED: &str = "published_at";
pub(crate) const DATA_AT: &str = "data_at";
pub(crate) const ROWS: &str = "rows";
pub(crate) const TIE: &str = "tie";

/// Handles of the fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields {
    pub(crate) id: Field,
    pub(crate) code: Field,
    pub(crate) json: Field,
    pub(crate) audience: Field,
    pub(crate) facets: [Field; FACETS.len()],
    pub(crate) w_title: Field,
    pub(crate) w_title_en: Field,
    pub(crate) w_description: Field,
    pub(crate) w_items: Field,
    pub(crate) w_tags: Field,
    pub(crate) w_org: Field,
    pub(crate) w_code: Field,
    pub(crate) g_title: Field,
    pub(crate) g_rest: Field,
    pub(crate) g_description: Field,
    pub(crate) i_title: Field,
    pub(crate) i_rest: Field,
    pub(crate) s_title: Field,
    pub(crate) s_rest: Field,
    published: Field,
    data: Field,
    rows: Field,
    tie: Field,
}

/// Names of the analyses.
const WORDS: &str = "words";
const GRAMS: &str = "grams";
const INITIALS: &str = "initials";
const SPELLINGS: &str = "spellings";

/// Makes the analyses known to an engine.
pub(crate) fn register(engine: &tantivy::Index) {
    let known = engine.tokenizers();
    known.register(WORDS, text::Analysis(text::words));
    known.register(GRAMS, text::Analysis(text::grams));
    known.register(INITIALS, text::Analysis(sound::initials));
    known.register(SPELLINGS, text::Analysis(sound::spellings));
}

fn text_field(b: &mut SchemaBuilder, name: &str, analysis: &str) -> Field {
    let record = match analysis {
        WORDS => IndexRecordOption::WithFreqs,
        GRAMS => IndexRecordOption::WithFreqsAndPositions,
        _ => IndexRecordOption::Basic,
    };
    let scored = matches!(analysis, WORDS | GRAMS);
    let indexing = TextFieldIndexing::default()
        .set_tokenizer(analysis)
        .set_index_option(record)
        .set_fieldnorms(scored);
    b.add_text_field(name, TextOptions::default().set_indexing_options(indexing))
}

/// The schema with its handles.
pub(crate) fn schema() -> (Schema, Fields) {
    let mut b = Schema::builder();
    let facets = FACETS.map(|name| b.add_text_field(name, STRING | FAST));
    let fields = Fields {
        id: b.add_text_field("id", STRING),
        code: b.add_text_field("code", STRING),
        json: b.add_text_field("json", STORED),
        audience: b.add_text_field("audience", STRING),
        facets,
        w_title: text_field(&mut b, "w_title", WORDS),
        w_title_en: text_field(&mut b, "w_title_en", WORDS),
        w_description: text_field(&mut b, "w_description", WORDS),
        w_items: text_field(&mut b, "w_items", WORDS),
        w_tags: text_field(&mut b, "w_tags", WORDS),
        w_org: text_field(&mut b, "w_org", WORDS),
        w_code: text_field(&mut b, "w_code", WORDS),
        g_title: text_field(&mut b, "g_title", GRAMS),
        g_rest: text_field(&mut b, "g_rest", GRAMS),
        g_description: text_field(&mut b, "g_description", GRAMS),
        i_title: text_field(&mut b, "i_title", INITIALS),
        i_rest: text_field(&mut b, "i_rest", INITIALS),
        s_title: text_field(&mut b, "s_title", SPELLINGS),
        s_rest: text_field(&mut b, "s_rest", SPELLINGS),
        published: b.add_u64_field(PUBLISHED, FAST),
        data: b.add_u64_field(DATA_AT, FAST),
        rows: b.add_u64_field(ROWS, FAST | INDEXED),
        tie: b.add_u64_field(TIE, FAST),
    };
    (b.build(), fields)
}

/// The handle of a facet by its name.
pub(crate) fn facet(fields: &Fields, name: &str) -> Option<Field> {
    FACETS.iter().zip(fields.facets).find(|(n, _)| **n == name).map(|(_, f)| f)
}

/// A time as a number that sorts like it: the first 17 digits of an RFC 3339 UTC stamp, 0 when there is none.
fn time_key(stamp: &str) -> u64 {
    let mut digits: String = stamp.chars().filter(char::is_ascii_digit).take(17).collect();
    if digits.is_empty() {
        return 0;
    }
    while digits.len() < 17 {
        digits.push('0');
    }
    digits.parse().unwrap_or(0)
}

/// The region and all above it: a county's document counts for its city and its province.
fn with_ancestors(code: &str) -> Vec<String> {
    let mut out = vec![code.to_owned()];
    let mut at = code.to_owned();
    while let Some(parent) = region::parent_of(&at) {
        out.push(parent.clone());
        at = parent;
    }
    out
}

/// The values of a document for one facet, without blanks and repeats.
pub(crate) fn facet_values(doc: &SearchDoc, name: &str) -> Vec<String> {
    let mut values = match name {
        "region" => with_ancestors(&doc.region),
        "org" => vec![doc.org.clone()],
        "domain" => vec![doc.domain.clone()],
        "format" => doc.formats.clone(),
        "update_cycle" => vec![doc.update_cycle.clone()],
        "open_type" => vec![doc.open_type.clone()],
        "share_type" => vec![doc.share_type.clone()],
        "grade" => vec![doc.grade.clone()],
        _ => Vec::new(),
    };
    values.retain(|v| !v.is_empty());
    values.sort_unstable();
    values.dedup();
    values
}

/// Turns a document into what the engine keeps.
pub(crate) fn document(fields: &Fields, doc: &SearchDoc) -> Result<TantivyDocument> {
    let json = serde_json::to_string(doc)
        .map_err(|e| Error::internal("a search document cannot be written as JSON").caused_by(e))?;
    let mut out = TantivyDocument::new();
    out.add_text(fields.id, &doc.id);
    out.add_text(fields.code, doc.code.to_lowercase());
    out.add_text(fields.json, json);
    for label in doc.audience.iter().filter(|l| !l.is_empty()) {
        out.add_text(fields.audience, label);
    }
    for (name, field) in FACETS.iter().zip(fields.facets) {
        for value in facet_values(doc, name) {
            out.add_text(field, value);
        }
    }
    for field in [fields.w_title, fields.g_title, fields.i_title, fields.s_title] {
        out.add_text(field, &doc.title);
    }
    out.add_text(fields.w_title_en, &doc.title_en);
    out.add_text(fields.w_description, &doc.description);
    out.add_text(fields.g_description, &doc.description);
    out.add_text(fields.w_code, &doc.code);
    out.add_text(fields.w_org, &doc.org_name);
    for (field, list) in [(fields.w_items, &doc.items), (fields.w_tags, &doc.tags)] {
        for value in list {
            out.add_text(field, value);
        }
    }
    for value in doc.items.iter().chain(&doc.tags).chain(std::iter::once(&doc.org_name)) {
        for field in [fields.g_rest, fields.i_rest, fields.s_rest] {
            out.add_text(field, value);
        }
    }
    out.add_u64(fields.published, time_key(&doc.published_at));
    out.add_u64(fields.data, time_key(&doc.data_at));
    out.add_u64(fields.rows, u64::try_from(doc.rows).unwrap_or(0));
    let mut hasher = DefaultHasher::new();
    doc.id.hash(&mut hasher);
    out.add_u64(fields.tie, hasher.finish());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_sort_as_written() {
        let mut last = 0;
        for t in ["", "2026", "2026-01-02", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.678Z"] {
            let key = time_key(t);
            assert!(t.is_empty() || key > last, "{t}");
            last = key;
        }
        assert_eq!(time_key("not a time"), 0);
    }

    #[test]
    fn a_county_counts_for_all_above_it() {
        let doc = SearchDoc { region: "330106".into(), ..SearchDoc::default() };
        assert_eq!(facet_values(&doc, "region"), ["330000", "330100", "330106"]);
        let odd = SearchDoc { region: "全省".into(), ..SearchDoc::default() };
        assert_eq!(facet_values(&odd, "region"), ["全省"]);
    }
}

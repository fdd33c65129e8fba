//! What is indexed of a document, and how.
//!
//! Per text: words (`w_`), grams (`g_`) and sounds (`i_` initials, `s_` spelling); names that come again and again whole
//! (`n_`). Facets and audience are raw terms;
//! facets are also fast columns, one value each, from which counts are made. An entry or asset is stored as JSON; each
//! data item is a lean document of its own with fields of its own, so that a question about data sets does not touch
//! the millions of items, and the other way round.

use std::hash::{DefaultHasher, Hash, Hasher};

use model::region;
use model::search::{ITEM, SearchDoc, SearchItem};
use model::{Error, Result};
use tantivy::TantivyDocument;
use tantivy::schema::{
    FAST, Field, IndexRecordOption, STORED, STRING, Schema, SchemaBuilder, TextFieldIndexing,
    TextOptions,
};

use crate::{names, sound, text};

/// Raised whenever the fields or their analysis change: an index of another version is rebuilt.
pub(crate) const VERSION: u32 = 6;

/// The facets, in the order in which they are answered.
pub(crate) const FACETS: [&str; 11] = [
    "ledger",
    "region",
    "org",
    "domain",
    "format",
    "update_cycle",
    "open_type",
    "share_type",
    "grade",
    "state",
    "linked",
];
/// Fast columns of the facets: one value each. A region counts for those above it, and a set of formats (joined by
/// [`GLUE`]) for each of them, when the counts are harvested.
pub(crate) const COLUMNS: [&str; FACETS.len()] = [
    "ledger",
    "region_at",
    "org",
    "domain",
    "format_set",
    "update_cycle",
    "open_type",
    "share_type",
    "grade",
    "state",
    "linked_set",
];
/// Between the formats of one set.
pub(crate) const GLUE: char = '|';

/// Fast columns of the sort keys.
pub(crate) const PUBLISHED: &str = "published_at";
pub(crate) const DATA_AT: &str = "data_at";
pub(crate) const ROWS: &str = "rows";
pub(crate) const TIE: &str = "tie";
/// Fast column of the beginning of an id: ids are made in the order of time.
pub(crate) const ID: &str = "id_at";
/// Fast column of the fingerprint of an entry or asset.
pub(crate) const PRINT: &str = "print";

/// Handles of the fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields {
    /// Id of an entry or asset; items have none.
    pub(crate) id: Field,
    /// Id of what the document belongs to: its own, or its entry's. What is deleted by.
    pub(crate) of: Field,
    pub(crate) code: Field,
    pub(crate) json: Field,
    /// Of an item: entry id, identifier, names, attributes, joined by [`BETWEEN`].
    pub(crate) cells: Field,
    pub(crate) audience: Field,
    pub(crate) facets: [Field; FACETS.len()],
    region_at: Field,
    format_set: Field,
    linked_set: Field,
    pub(crate) w_title: Field,
    pub(crate) w_title_en: Field,
    pub(crate) w_description: Field,
    pub(crate) w_items: Field,
    pub(crate) w_tags: Field,
    pub(crate) w_org: Field,
    pub(crate) w_code: Field,
    pub(crate) g_title: Field,
    /// Distinct names of an entry's items, of its organisation, and its tags: found through `names`.
    pub(crate) n_rest: Field,
    pub(crate) g_description: Field,
    pub(crate) i_title: Field,
    pub(crate) s_title: Field,
    /// Names of an item.
    pub(crate) w_item: Field,
    /// Its Chinese name, found through `names`.
    pub(crate) n_item: Field,
    /// Words of an item's entry: title and organisation.
    pub(crate) w_near: Field,
    pub(crate) published: Field,
    pub(crate) data: Field,
    rows: Field,
    tie: Field,
    id_at: Field,
    print: Field,
}

/// Between the stored cells of an item.
pub(crate) const BETWEEN: char = '\u{1f}';

/// Names of the analyses.
const WORDS: &str = "words";
/// Words of other scripts than Chinese: names are Chinese in `n_` fields.
const LATIN: &str = "latin";
const GRAMS: &str = "grams";
const INITIALS: &str = "initials";
const SPELLINGS: &str = "spellings";

/// Makes the analyses known to an engine.
pub(crate) fn register(engine: &tantivy::Index) {
    let known = engine.tokenizers();
    known.register(WORDS, text::Analysis { kept: 0, of: text::words });
    known.register(LATIN, text::Analysis { kept: 4, of: text::latin });
    known.register(GRAMS, text::Analysis { kept: 1, of: text::grams });
    known.register(INITIALS, text::Analysis { kept: 2, of: sound::initial_terms });
    known.register(SPELLINGS, text::Analysis { kept: 3, of: sound::spelling_terms });
}

fn text_field(b: &mut SchemaBuilder, name: &str, analysis: &str) -> Field {
    let record = match analysis {
        WORDS | LATIN => IndexRecordOption::WithFreqs,
        GRAMS => IndexRecordOption::WithFreqsAndPositions,
        _ => IndexRecordOption::Basic,
    };
    let scored = matches!(analysis, WORDS | LATIN | GRAMS);
    let indexing = TextFieldIndexing::default()
        .set_tokenizer(analysis)
        .set_index_option(record)
        .set_fieldnorms(scored);
    b.add_text_field(name, TextOptions::default().set_indexing_options(indexing))
}

/// The schema with its handles.
pub(crate) fn schema() -> (Schema, Fields) {
    let mut b = Schema::builder();
    let only_fast = || TextOptions::default().set_fast("raw");
    // Some facets have several values a document: their columns are fields of their own.
    let facets = FACETS.map(|name| match name {
        "region" | "format" | "linked" => b.add_text_field(name, STRING),
        _ => b.add_text_field(name, STRING | FAST),
    });
    let fields = Fields {
        id: b.add_text_field("id", STRING),
        of: b.add_text_field("of", STRING),
        code: b.add_text_field("code", STRING),
        json: b.add_text_field("json", STORED),
        cells: b.add_text_field("cells", STORED),
        audience: b.add_text_field("audience", STRING),
        facets,
        region_at: b.add_text_field("region_at", only_fast()),
        format_set: b.add_text_field("format_set", only_fast()),
        linked_set: b.add_text_field("linked_set", only_fast()),
        w_title: text_field(&mut b, "w_title", WORDS),
        w_title_en: text_field(&mut b, "w_title_en", WORDS),
        w_description: text_field(&mut b, "w_description", WORDS),
        w_items: text_field(&mut b, "w_items", LATIN),
        w_tags: text_field(&mut b, "w_tags", WORDS),
        w_org: text_field(&mut b, "w_org", WORDS),
        w_code: text_field(&mut b, "w_code", WORDS),
        g_title: text_field(&mut b, "g_title", GRAMS),
        n_rest: b.add_text_field("n_rest", STRING),
        g_description: text_field(&mut b, "g_description", GRAMS),
        i_title: text_field(&mut b, "i_title", INITIALS),
        s_title: text_field(&mut b, "s_title", SPELLINGS),
        w_item: text_field(&mut b, "w_item", LATIN),
        n_item: b.add_text_field("n_item", STRING),
        w_near: text_field(&mut b, "w_near", WORDS),
        published: b.add_u64_field(PUBLISHED, FAST),
        data: b.add_u64_field(DATA_AT, FAST),
        rows: b.add_u64_field(ROWS, FAST),
        tie: b.add_u64_field(TIE, FAST),
        id_at: b.add_u64_field(ID, FAST),
        print: b.add_u64_field(PRINT, FAST),
    };
    (b.build(), fields)
}

/// The handle of a facet by its name.
pub(crate) fn facet(fields: &Fields, name: &str) -> Option<Field> {
    FACETS.iter().zip(fields.facets).find(|(n, _)| **n == name).map(|(_, f)| f)
}

/// A time as a number that sorts like it: the first 17 digits of an RFC 3339 UTC stamp, 0 when there is none.
pub(crate) fn time_key(stamp: &str) -> u64 {
    let mut digits: String = stamp.chars().filter(char::is_ascii_digit).take(17).collect();
    if digits.is_empty() {
        return 0;
    }
    while digits.len() < 17 {
        digits.push('0');
    }
    digits.parse().unwrap_or(0)
}

/// The beginning of an id as a number that sorts like it: sixteen hex digits, else eight bytes.
fn id_key(id: &str) -> u64 {
    let hex = id.get(..16).and_then(|start| u64::from_str_radix(start, 16).ok());
    hex.unwrap_or_else(|| {
        let mut bytes = [0; 8];
        bytes.iter_mut().zip(id.bytes()).for_each(|(to, from)| *to = from);
        u64::from_be_bytes(bytes)
    })
}

/// The region and all above it: a county's document counts for its city and its province.
pub(crate) fn with_ancestors(code: &str) -> Vec<String> {
    let mut out = vec![code.to_owned()];
    let mut at = code.to_owned();
    while let Some(parent) = region::parent_of(&at) {
        out.push(parent.clone());
        at = parent;
    }
    out
}

fn tie_of(parts: &[&str]) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

/// What an entry or asset becomes: its own document, then one for each item.
pub(crate) fn documents<'a>(
    fields: &'a Fields,
    doc: &'a SearchDoc,
) -> Result<impl Iterator<Item = TantivyDocument> + 'a> {
    let whole = document(fields, doc)?;
    Ok(std::iter::once(whole).chain(doc.items.iter().map(|i| item(fields, doc, i))))
}

fn add(out: &mut TantivyDocument, field: Field, value: &str) {
    if !value.is_empty() {
        out.add_text(field, value);
    }
}

/// Facets that an item has from its entry, and all facets of an entry or asset.
fn shared(out: &mut TantivyDocument, f: &Fields, doc: &SearchDoc) {
    for region in with_ancestors(&doc.region).iter().filter(|r| !r.is_empty()) {
        add_facet(out, f, "region", region);
    }
    add(out, f.region_at, &doc.region);
    for (name, value) in [
        ("org", &doc.org),
        ("domain", &doc.domain),
        ("update_cycle", &doc.update_cycle),
        ("state", &doc.state),
    ] {
        add_facet(out, f, name, value);
    }
    out.add_u64(f.published, time_key(&doc.published_at));
}

fn add_facet(out: &mut TantivyDocument, f: &Fields, name: &str, value: &str) {
    if let Some(field) = facet(f, name) {
        add(out, field, value);
    }
}

/// A facet of several values with its column: each is a term, all of them are the column's one value.
fn add_set(out: &mut TantivyDocument, f: &Fields, facet: (&str, Field), values: &[String]) {
    let (name, column) = facet;
    let mut set: Vec<&str> = values.iter().map(String::as_str).filter(|v| !v.is_empty()).collect();
    set.sort_unstable();
    set.dedup();
    for value in &set {
        add_facet(out, f, name, value);
    }
    add(out, column, &set.join(&GLUE.to_string()));
}

fn document(f: &Fields, doc: &SearchDoc) -> Result<TantivyDocument> {
    let json = serde_json::to_string(doc)
        .map_err(|e| Error::internal("a search document cannot be written as JSON").caused_by(e))?;
    let mut out = TantivyDocument::new();
    out.add_text(f.id, &doc.id);
    out.add_text(f.of, &doc.id);
    out.add_text(f.code, doc.code.to_lowercase());
    out.add_text(f.json, json);
    for label in &doc.audience {
        add(&mut out, f.audience, label);
    }
    shared(&mut out, f, doc);
    for (name, value) in [
        ("ledger", &doc.ledger),
        ("open_type", &doc.open_type),
        ("share_type", &doc.share_type),
        ("grade", &doc.grade),
    ] {
        add_facet(&mut out, f, name, value);
    }
    add_set(&mut out, f, ("format", f.format_set), &doc.formats);
    add_set(&mut out, f, ("linked", f.linked_set), &doc.linked);
    for field in [f.w_title, f.g_title, f.i_title, f.s_title] {
        add(&mut out, field, &doc.title);
    }
    add(&mut out, f.w_title_en, &doc.title_en);
    add(&mut out, f.w_description, &doc.description);
    add(&mut out, f.g_description, &doc.description);
    add(&mut out, f.w_code, &doc.code);
    add(&mut out, f.w_org, &doc.org_name);
    // A closed item must not be found through its entry's words.
    let names = || doc.items.iter().filter(|i| !i.closed).flat_map(names_of);
    for value in names() {
        add(&mut out, f.w_items, value);
    }
    for value in &doc.tags {
        add(&mut out, f.w_tags, value);
    }
    for value in names()
        .chain(doc.tags.iter().map(String::as_str))
        .chain(std::iter::once(doc.org_name.as_str()))
    {
        add(&mut out, f.n_rest, &names::term_of(value));
    }
    out.add_u64(f.data, time_key(&doc.data_at));
    out.add_u64(f.rows, u64::try_from(doc.rows).unwrap_or(0));
    out.add_u64(f.tie, tie_of(&[&doc.id]));
    out.add_u64(f.id_at, id_key(&doc.id));
    out.add_u64(f.print, doc.fingerprint());
    Ok(out)
}

fn names_of(item: &SearchItem) -> impl Iterator<Item = &str> {
    [item.name_cn.as_str(), item.name_en.as_str(), item.identifier.as_str()]
        .into_iter()
        .filter(|t| !t.is_empty())
}

fn item(f: &Fields, doc: &SearchDoc, item: &SearchItem) -> TantivyDocument {
    let mut out = TantivyDocument::new();
    out.add_text(f.of, &doc.id);
    out.add_text(f.cells, cells(doc, item));
    for label in &doc.audience {
        if !(item.closed && label == "public") {
            add(&mut out, f.audience, label);
        }
    }
    shared(&mut out, f, doc);
    for (name, value) in [
        ("ledger", ITEM),
        ("open_type", item.open_type.as_str()),
        ("share_type", item.share_type.as_str()),
        ("grade", item.grade.as_str()),
    ] {
        add_facet(&mut out, f, name, value);
    }
    for name in names_of(item) {
        out.add_text(f.w_item, name);
    }
    add(&mut out, f.n_item, &names::term_of(&item.name_cn));
    add(&mut out, f.w_near, &doc.title);
    add(&mut out, f.w_near, &doc.org_name);
    out.add_u64(f.tie, tie_of(&[&doc.id, &item.identifier]));
    out
}

fn cells(doc: &SearchDoc, item: &SearchItem) -> String {
    let all = [
        &doc.id,
        &item.identifier,
        &item.name_cn,
        &item.name_en,
        &item.grade,
        &item.share_type,
        &item.open_type,
    ];
    let mut out = String::with_capacity(96);
    for (i, cell) in all.into_iter().enumerate() {
        if i > 0 {
            out.push(BETWEEN);
        }
        out.push_str(cell);
    }
    out
}

/// An item's hit from its stored cells; `parent` is its entry's document.
pub(crate) fn item_hit(cells: &str, parent: Option<SearchDoc>) -> SearchDoc {
    let mut parts = cells.split(BETWEEN).map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    let (id, identifier, name_cn, name_en) = (next(), next(), next(), next());
    let (grade, share_type, open_type) = (next(), next(), next());
    let whole = parent.unwrap_or_default();
    SearchDoc {
        id,
        ledger: ITEM.to_owned(),
        title: if name_cn.is_empty() { identifier.clone() } else { name_cn },
        title_en: name_en,
        item: identifier,
        parent: whole.title.clone(),
        description: String::new(),
        tags: Vec::new(),
        formats: Vec::new(),
        grade,
        share_type,
        open_type,
        ..whole
    }
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
    fn ids_sort_as_written() {
        let ids = ["0198aa00000070000000000000000000", "0198aa00000170000000000000000000"];
        assert!(id_key(ids[0]) < id_key(ids[1]) && id_key("e1") < id_key("e2"));
    }

    #[test]
    fn a_county_counts_for_all_above_it() {
        assert_eq!(with_ancestors("330106"), ["330106", "330100", "330000"]);
        assert_eq!(with_ancestors("全省"), ["全省"]);
    }

    #[test]
    fn an_item_is_read_back_with_its_entry() {
        let doc = SearchDoc { id: "e".into(), title: "企业".into(), ..SearchDoc::default() };
        let item = SearchItem {
            identifier: "sfzh".into(),
            name_cn: "身份证号".into(),
            grade: "L3".into(),
            ..SearchItem::default()
        };
        let hit = item_hit(&cells(&doc, &item), Some(doc));
        assert_eq!(
            (hit.id.as_str(), hit.item.as_str(), hit.title.as_str(), hit.parent.as_str()),
            ("e", "sfzh", "身份证号", "企业")
        );
        assert_eq!(hit.grade, "L3");
    }
}

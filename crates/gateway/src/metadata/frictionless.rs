//! Data Package and Table Schema (version 2, datapackage.org).

use app::GrantColumn;
use app::opening::Dataset;
use model::code::DataType;
use model::harvest::Distribution;
use model::{Error, Result};
use serde_json::{Map, Value, json};

use super::{Brought, Table, links, title};

pub(super) fn package(table: &Table, base: &str) -> Value {
    let dataset = &table.dataset;
    let mut told = whole(dataset);
    told.insert("homepage".into(), home(dataset, base).into());
    told.insert(
        "contributors".into(),
        json!([{ "title": dataset.org_name, "roles": ["publisher"], "organization": dataset.org_name_en }]),
    );
    let mut resources = linked(dataset);
    // One that is known by links alone has no table here.
    if !dataset.entry.linked_only() {
        resources.insert(0, resource(table, base));
    }
    told.insert("resources".into(), Value::Array(resources));
    Value::Object(told)
}

/// What a declaration links to.
fn linked(dataset: &Dataset) -> Vec<Value> {
    links(dataset).map(|(name, way)| elsewhere(&name, title(dataset, &way), &way)).collect()
}

/// A resource that is not here. What is not told of it is left out.
fn elsewhere(name: &str, title: &str, way: &Distribution) -> Value {
    let mut told = Map::new();
    for (key, text) in [
        ("name", name),
        ("title", title),
        ("path", &way.url),
        ("format", &way.word().to_lowercase()),
        ("mediatype", way.media_type()),
    ] {
        if !text.is_empty() {
            told.insert(key.into(), text.into());
        }
    }
    if let Some(bytes) = way.bytes {
        told.insert("bytes".into(), bytes.into());
    }
    Value::Object(told)
}

/// One that another catalogue brought: its resources are there. Without any that may be told there is no package: the form asks for one at
/// least.
pub(super) fn brought(brought: &Brought, base: &str) -> Result<Value> {
    let (dataset, origin) = (&brought.dataset, &brought.origin);
    let page = origin.page().map(|(url, _)| url);
    let there = brought.ways().map(|(name, way)| elsewhere(&name, title(dataset, way), way));
    let mut resources: Vec<Value> = there.chain(linked(dataset)).collect();
    if let (true, Some(page)) = (resources.is_empty(), page) {
        let title = &dataset.entry.draft.title;
        resources.push(json!({ "name": "origin", "title": title, "path": page, "format": "html", "mediatype": "text/html" }));
    }
    if resources.is_empty() {
        let code = &dataset.entry.draft.code;
        return Err(Error::not_found(
            "资源（来源平台没有登记资源地址）",
            "a resource (its source tells no address)",
            code,
        ));
    }
    let mut source = Map::new();
    source
        .insert("title".into(), format!("{}（{}）", origin.publisher(), origin.source_name).into());
    source.insert("identifier".into(), origin.foreign_id.clone().into());
    if let Some(page) = page {
        source.insert("path".into(), page.into());
    }
    let mut told = whole(dataset);
    // Its home is where it comes from, as far as that has a page.
    told.insert("homepage".into(), page.map_or_else(|| home(dataset, base), str::to_owned).into());
    told.insert("sources".into(), json!([source]));
    told.insert(
        "contributors".into(),
        json!([
            { "title": origin.publisher(), "roles": ["publisher"] },
            { "title": dataset.org_name, "roles": ["distributor"], "organization": dataset.org_name_en },
        ]),
    );
    told.insert("resources".into(), Value::Array(resources));
    Ok(Value::Object(told))
}

/// Its page here.
fn home(dataset: &Dataset, base: &str) -> String {
    format!("{base}/dataset/{}", dataset.entry.draft.code)
}

/// What is said of every data set.
fn whole(dataset: &Dataset) -> Map<String, Value> {
    let entry = &dataset.entry;
    let d = &entry.draft;
    let mut told = Map::new();
    told.insert("$schema".into(), "https://datapackage.org/profiles/2.0/datapackage.json".into());
    for (key, text) in [
        ("name", d.code.as_str()),
        ("id", &entry.id),
        ("title", &d.title),
        ("description", &d.description),
        ("created", entry.published_at.as_deref().unwrap_or_default()),
        ("version", &entry.version.to_string()),
    ] {
        if !text.is_empty() {
            told.insert(key.into(), text.into());
        }
    }
    if !d.tags.is_empty() {
        told.insert("keywords".into(), json!(d.tags));
    }
    if !d.licence.is_empty() {
        told.insert("licenses".into(), json!([{ "name": "other-open", "title": d.licence }]));
    }
    told
}

fn resource(table: &Table, base: &str) -> Value {
    let d = &table.dataset.entry.draft;
    json!({
        "name": d.code, "type": "table", "title": d.title, "path": table.csv(base), "scheme": "http",
        "format": "csv", "mediatype": "text/csv", "encoding": "utf-8",
        "dialect": { "header": true, "delimiter": ",", "lineTerminator": "\r\n", "quoteChar": "\"" },
        "schema": schema(table),
    })
}

pub(super) fn schema(table: &Table) -> Value {
    let fields: Vec<Value> = table.columns.iter().map(|c| field(table, c)).collect();
    let mut told = json!({
        "$schema": "https://datapackage.org/profiles/2.0/tableschema.json",
        "fields": fields, "missingValues": [""],
    });
    let key = table.key();
    if let Some(told) = told.as_object_mut()
        && !key.is_empty()
    {
        told.insert("primaryKey".into(), json!(key));
    }
    told
}

fn field(table: &Table, column: &GrantColumn) -> Value {
    let item = table.dataset.entry.draft.item(&column.identifier);
    // What a mask leaves is a text, whatever it was made of.
    let kind = match column.data_type {
        _ if column.mask.is_some() => "string",
        DataType::Text | DataType::Geometry => "string",
        DataType::Integer => "integer",
        DataType::Decimal | DataType::Float => "number",
        DataType::Boolean => "boolean",
        DataType::Date => "date",
        DataType::DateTime => "datetime",
        DataType::Json => "any",
    };
    let mut told = Map::new();
    told.insert("name".into(), column.identifier.clone().into());
    told.insert("type".into(), kind.into());
    told.insert("title".into(), column.name_cn.clone().into());
    if let Some(item) = item {
        let words = [item.definition.as_str(), item.name_en.as_str()];
        let words: Vec<&str> = words.into_iter().filter(|w| !w.is_empty()).collect();
        if !words.is_empty() {
            told.insert("description".into(), words.join(" / ").into());
        }
        if !item.nullable && column.mask.is_none() {
            told.insert("constraints".into(), json!({ "required": true }));
        }
    }
    Value::Object(told)
}

//! Data Package and Table Schema (version 2, datapackage.org).

use app::GrantColumn;
use model::code::DataType;
use serde_json::{Map, Value, json};

use super::Table;

pub(super) fn package(table: &Table, base: &str) -> Value {
    let (dataset, entry) = (&table.dataset, &table.dataset.entry);
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
    told.insert("homepage".into(), format!("{base}/dataset/{}", d.code).into());
    if !d.tags.is_empty() {
        told.insert("keywords".into(), json!(d.tags));
    }
    if !d.licence.is_empty() {
        told.insert("licenses".into(), json!([{ "name": "other-open", "title": d.licence }]));
    }
    told.insert(
        "contributors".into(),
        json!([{ "title": dataset.org_name, "roles": ["publisher"], "organization": dataset.org_name_en }]),
    );
    told.insert("resources".into(), json!([resource(table, base)]));
    Value::Object(told)
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

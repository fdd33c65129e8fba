//! Croissant (MLCommons, version 1.1): a data set for programs that learn, with a record set of its columns.

use app::opening::Dataset;
use model::code::DataType;
use model::harvest::Distribution;
use serde_json::{Value, json};

use super::{Brought, Table, links, title};

/// The context that the format prescribes.
fn context() -> Value {
    json!({
        "@language": "zh", "@vocab": "https://schema.org/", "citeAs": "cr:citeAs", "column": "cr:column",
        "conformsTo": "dct:conformsTo", "cr": "http://mlcommons.org/croissant/", "rai": "http://mlcommons.org/croissant/RAI/",
        "data": { "@id": "cr:data", "@type": "@json" }, "dataType": { "@id": "cr:dataType", "@type": "@vocab" },
        "dct": "http://purl.org/dc/terms/", "equivalentProperty": "cr:equivalentProperty", "samplingRate": "cr:samplingRate",
        "examples": { "@id": "cr:examples", "@type": "@json" }, "extract": "cr:extract",
        "field": "cr:field", "fileProperty": "cr:fileProperty", "fileObject": "cr:fileObject", "fileSet": "cr:fileSet",
        "format": "cr:format", "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath",
        "key": "cr:key", "md5": "cr:md5", "parentField": "cr:parentField", "path": "cr:path", "recordSet": "cr:recordSet",
        "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated", "replace": "cr:replace",
        "sc": "https://schema.org/", "separator": "cr:separator", "source": "cr:source", "subField": "cr:subField",
        "transform": "cr:transform",
    })
}

pub(super) fn describe(table: &Table, base: &str) -> Value {
    let dataset = &table.dataset;
    let mut told = whole(dataset, base, &dataset.org_name);
    if let Some(told) = told.as_object_mut() {
        let mut files = Vec::new();
        // Of a set that is known by links alone there is no table here.
        if !dataset.entry.linked_only() {
            files.push(json!({
                "@type": "cr:FileObject", "@id": "table", "name": "table", "contentUrl": table.csv(base),
                "encodingFormat": "text/csv",
            }));
            told.insert("recordSet".into(), json!([rows(table)]));
        }
        files.extend(linked(dataset));
        told.insert("distribution".into(), Value::Array(files));
    }
    told
}

/// The record set of a table.
fn rows(table: &Table) -> Value {
    let title = &table.dataset.entry.draft.title;
    let mut rows = json!({
        "@type": "cr:RecordSet", "@id": "rows", "name": "rows", "description": title, "field": fields(table),
    });
    let key = table.key();
    if let Some(rows) = rows.as_object_mut()
        && !key.is_empty()
    {
        let key: Vec<Value> = key.iter().map(|k| json!({ "@id": format!("rows/{k}") })).collect();
        rows.insert("key".into(), Value::Array(key));
    }
    rows
}

/// Files that a declaration links to. A page, an interface and what has no known format are no files that a program could load: they are
/// told by the other descriptions.
fn linked(dataset: &Dataset) -> Vec<Value> {
    let files = links(dataset).filter(|(_, way)| way.is_file());
    files.map(|(name, way)| file(&name, title(dataset, &way), &way)).collect()
}

/// A file that is not here. Nobody knows its checksum, which is not asked of a live data set (`isLiveDataset`).
fn file(name: &str, title: &str, way: &Distribution) -> Value {
    let media = Some(way.media_type()).filter(|m| !m.is_empty());
    json!({
        "@type": "cr:FileObject", "@id": name, "name": name, "description": title, "contentUrl": way.url,
        "encodingFormat": media.unwrap_or("application/octet-stream"),
        "contentSize": way.bytes.map(|bytes| format!("{bytes} B")),
    })
}

/// One that another catalogue brought: its files are there, of which nothing more is known than that catalogue tells.
pub(super) fn brought(brought: &Brought, base: &str) -> Value {
    let (dataset, origin) = (&brought.dataset, &brought.origin);
    let there = brought.ways().map(|(name, way)| file(&name, title(dataset, way), way));
    let files: Vec<Value> = there.chain(linked(dataset)).collect();
    let mut told = whole(dataset, base, origin.publisher());
    if let Some(told) = told.as_object_mut() {
        told.insert("isBasedOn".into(), app::harvest::based_on(origin));
        let ours = json!({ "@type": "sc:Organization", "name": dataset.org_name });
        told.insert("sdPublisher".into(), ours);
        if let Some((url, _)) = origin.page() {
            told.insert("sameAs".into(), url.into());
        }
        told.insert("distribution".into(), Value::Array(files));
    }
    told
}

/// What is said of every data set.
fn whole(dataset: &Dataset, base: &str, publisher: &str) -> Value {
    let entry = &dataset.entry;
    let d = &entry.draft;
    let licence =
        if d.licence.is_empty() { "未注明 / not specified" } else { d.licence.as_str() };
    let credit = if d.attribution.is_empty() { publisher } else { d.attribution.as_str() };
    let mut keywords = d.tags.clone();
    keywords.push(d.domain.zh().to_owned());
    json!({
        "@context": context(), "@type": "sc:Dataset", "conformsTo": "http://mlcommons.org/croissant/1.1",
        "@id": d.code, "name": d.title, "alternateName": d.title_en, "description": d.description,
        "url": format!("{base}/dataset/{}", d.code), "identifier": d.code, "license": licence,
        "keywords": keywords, "inLanguage": "zh-CN", "isAccessibleForFree": true,
        "datePublished": entry.published_at, "dateModified": entry.data_at, "version": format!("{}.0.0", entry.version),
        "creator": { "@type": "sc:Organization", "name": publisher },
        "publisher": { "@type": "sc:Organization", "name": publisher }, "citeAs": credit,
        // Rows go on landing, here or at the source: a file has no checksum of its own.
        "isLiveDataset": true,
    })
}

fn fields(table: &Table) -> Vec<Value> {
    let one = |column: &app::GrantColumn| {
        let name = &column.identifier;
        let kind = match column.data_type {
            _ if column.mask.is_some() => "sc:Text",
            DataType::Text | DataType::Geometry | DataType::Json => "sc:Text",
            DataType::Integer => "sc:Integer",
            DataType::Decimal | DataType::Float => "sc:Float",
            DataType::Boolean => "sc:Boolean",
            DataType::Date => "sc:Date",
            DataType::DateTime => "sc:DateTime",
        };
        json!({
            "@type": "cr:Field", "@id": format!("rows/{name}"), "name": name, "description": column.name_cn, "dataType": kind,
            "source": { "fileObject": { "@id": "table" }, "extract": { "column": name } },
        })
    };
    table.columns.iter().map(one).collect()
}

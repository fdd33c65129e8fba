//! Metadata as files: JSON, CSV of the data items, DCAT in its three spellings, and schema.org for search engines.

use std::sync::Arc;

use app::ledger::dump::{
    Dcat, Distribution, Places, RdfFormat, Thing, Whole, of_dataset, of_links, of_origin,
};
use app::opening::Dataset;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use model::harvest::HarvestOrigin;
use model::spreadsheet::harmless;
use model::{Error, Result};
use serde_json::json;

use crate::export::known::Known;
use crate::site::dataset::formats;
use crate::site::download::attachment;
use crate::visit::{Lang, Visit, encode};
use crate::{Answer, Door, label};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/data/{code}/metadata.json", get(as_json))
        .route("/data/{code}/metadata.csv", get(as_csv))
        .route("/data/{code}/metadata.rdf", get(as_xml))
        .route("/data/{code}/metadata.ttl", get(as_turtle))
        .route("/data/{code}/metadata.jsonld", get(as_json_ld))
}

async fn as_json(State(door): State<Arc<Door>>, Path(code): Path<String>, visit: Visit) -> Answer {
    let dataset = app::opening::dataset(&door.app, &visit.op, &code).await?;
    let text = serde_json::to_vec_pretty(&outward(&dataset, &visit.base))
        .map_err(|e| Error::internal(format!("metadata: {e}")))?;
    Ok(file(&format!("{code}-metadata.json"), "application/json", text))
}

async fn as_csv(State(door): State<Arc<Door>>, Path(code): Path<String>, visit: Visit) -> Answer {
    let dataset = app::opening::dataset(&door.app, &visit.op, &code).await?;
    Ok(file(&format!("{code}-metadata.csv"), "text/csv; charset=utf-8", items_csv(&dataset)?))
}

fn file(name: &str, content_type: &'static str, bytes: Vec<u8>) -> Response {
    (attachment(name, content_type), bytes).into_response()
}

/// Metadata as callers read it: the open items and what the public may know, with addresses.
pub(super) fn outward(dataset: &Dataset, base: &str) -> serde_json::Value {
    let d = &dataset.entry.draft;
    let page = format!("{base}/data/{}", encode(&d.code));
    let downloads: Vec<_> = formats(dataset)
        .into_iter()
        .map(|f| json!({ "format": f, "url": format!("{page}/download.{f}") }))
        .collect();
    let items: Vec<_> = d
        .items
        .iter()
        .map(|i| {
            json!({
                "identifier": i.identifier, "name": i.name_cn, "name_en": i.name_en,
                "definition": i.definition, "data_type": i.data_type, "format": i.format,
                "value_domain": i.value_domain, "unit": i.unit, "grade": i.grade,
                "open_type": i.open_type, "nullable": i.nullable, "primary": i.primary,
                "object_class": i.object_class, "representation": i.representation,
                "relation": i.relation, "source_org": i.source_org, "app": i.app,
                "remark": i.remark, "version": i.version, "publish_date": i.publish_date,
                "length": i.length, "precision": i.precision, "scale": i.scale,
                "standard_code": i.standard_code, "code_table": i.code_table,
                "source_system": i.source_system, "source_system_level": i.source_system_level,
                "timestamp": i.timestamp, "sensitive": i.sensitive,
            })
        })
        .collect();
    let mut whole = json!({
        "code": d.code, "title": d.title, "title_en": d.title_en, "description": d.description,
        "organisation": dataset.org_name, "organisation_en": dataset.org_name_en,
        "region": d.region, "region_name": dataset.region_name,
        "domain": d.domain, "domain_name": d.domain.zh(), "tags": d.tags,
        "update_cycle": d.update_cycle, "open_type": d.open_type,
        "open_condition": d.open_condition, "open_basis": d.open_basis,
        "grade": dataset.entry.grade, "time_range": d.time_range, "licence": d.licence,
        "attribution": d.attribution, "version": dataset.entry.version,
        "rows": dataset.entry.rows, "published_at": dataset.entry.published_at,
        "data_at": dataset.entry.data_at, "source_system": d.source_system,
        "page": page, "downloads": downloads, "items": items,
    });
    // The further fields of the schema stand beside the others, under their own names.
    if let (Some(whole), Ok(serde_json::Value::Object(profile))) =
        (whole.as_object_mut(), serde_json::to_value(&d.profile))
    {
        whole.extend(profile);
    }
    whole
}

fn items_csv(dataset: &Dataset) -> Result<Vec<u8>> {
    let told = |e: csv::Error| Error::internal(format!("csv: {e}"));
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer("\u{feff}".as_bytes().to_vec());
    writer
        .write_record([
            "标识符",
            "中文名称",
            "英文名称",
            "定义",
            "数据类型",
            "数据格式",
            "值域",
            "计量单位",
            "安全级别",
            "开放属性",
            "主键",
            "可空",
            "对象类词",
            "表示词",
            "关系",
            "公共数据来源机构",
            "所属应用",
            "备注",
            "版本",
            "发布日期",
            "长度",
            "标准数据元",
            "引用代码表",
            "来源系统",
            "来源系统类别",
            "时间戳",
            "敏感个人信息",
        ])
        .map_err(told)?;
    for i in &dataset.entry.draft.items {
        let yes = |b: bool| if b { "是" } else { "否" };
        let length = i.length.to_string();
        let cells = [
            i.identifier.as_str(),
            &i.name_cn,
            &i.name_en,
            &i.definition,
            i.data_type.zh(),
            &i.format,
            &i.value_domain,
            &i.unit,
            i.grade.as_str(),
            i.open_type.zh(),
            yes(i.primary),
            yes(i.nullable),
            &i.object_class,
            &i.representation,
            &i.relation,
            &i.source_org,
            &i.app,
            &i.remark,
            &i.version,
            &i.publish_date,
            &length,
            &i.standard_code,
            &i.code_table,
            &i.source_system,
            i.source_system_level.map_or("", |w| w.zh()),
            yes(i.timestamp),
            yes(i.sensitive),
        ];
        writer.write_record(cells.map(|c| harmless(c).into_owned())).map_err(told)?;
    }
    writer.into_inner().map_err(|e| Error::internal(format!("csv: {e}")))
}

fn media_type(format: &str) -> &'static str {
    match format {
        "csv" => "text/csv",
        "json" => "application/json",
        "xlsx" => crate::export::xlsx::CONTENT_TYPE,
        "xml" => "application/xml",
        "rdf" => "application/rdf+xml",
        "parquet" => "application/vnd.apache.parquet",
        _ => "application/geo+json",
    }
}

/// The catalogue of the site, as DCAT names it.
pub(super) fn places(door: &Door, base: &str) -> Places {
    Places {
        whole: Whole {
            base: format!("{base}/"),
            title: door.config.site_name_cn.clone(),
            title_en: door.config.site_name_en.clone(),
        },
        data: format!("{base}/data/"),
        api: match door.config.gateway_url.is_empty() {
            true => String::new(),
            false => format!("{}/api/v1/", door.config.gateway_url),
        },
        console: String::new(),
        items: true,
    }
}

/// A data set with its downloads and the links of its declaration.
pub(super) fn thing(dataset: &Dataset, places: &Places, origin: Option<&HarvestOrigin>) -> Thing {
    let mut thing = of_dataset(dataset, places);
    if let Some(origin) = origin {
        return of_links(of_origin(thing, origin), dataset);
    }
    let page = thing.iri.clone();
    thing.distributions.extend(formats(dataset).into_iter().map(|format| Distribution {
        word: format.to_owned(),
        url: format!("{page}/download.{format}"),
        media_type: media_type(format).to_owned(),
        download: true,
        ..Distribution::default()
    }));
    of_links(thing, dataset)
}

async fn as_rdf(door: &Arc<Door>, code: &str, visit: &Visit, format: RdfFormat) -> Answer {
    let dataset = app::opening::dataset(&door.app, &visit.op, code).await?;
    let places = places(door, &visit.base);
    let origin = app::harvest::origin(&door.app, &dataset.entry.draft.code).await?;
    let mut dcat = Dcat::alone(format, places.whole.clone())?;
    dcat.thing(&thing(&dataset, &places, origin.as_ref()))?;
    let name = format!("{code}-metadata.{}", format.ending());
    Ok(file(&name, format.media_type(), dcat.finish()?))
}

async fn as_turtle(
    State(door): State<Arc<Door>>,
    Path(code): Path<String>,
    visit: Visit,
) -> Answer {
    as_rdf(&door, &code, &visit, RdfFormat::Turtle).await
}

async fn as_xml(State(door): State<Arc<Door>>, Path(code): Path<String>, visit: Visit) -> Answer {
    as_rdf(&door, &code, &visit, RdfFormat::RdfXml).await
}

async fn as_json_ld(
    State(door): State<Arc<Door>>,
    Path(code): Path<String>,
    visit: Visit,
) -> Answer {
    as_rdf(&door, &code, &visit, RdfFormat::JsonLd).await
}

/// A way to data that is not here. What is not told of it is left out.
fn elsewhere(way: &model::harvest::Distribution) -> serde_json::Value {
    let size = way.bytes.map(|bytes| format!("{bytes} B")).unwrap_or_default();
    let mut told = serde_json::Map::new();
    for (key, text) in [
        ("@type", "DataDownload"),
        ("name", way.title.trim()),
        ("encodingFormat", way.media_type()),
        ("contentUrl", &way.url),
        ("contentSize", &size),
    ] {
        if !text.is_empty() {
            told.insert(key.to_owned(), text.into());
        }
    }
    serde_json::Value::Object(told)
}

/// schema.org description as the text of a JSON-LD block: no `<` remains, so no text can close the block.
pub(super) fn json_ld(
    door: &Door,
    visit: &Visit,
    dataset: &Dataset,
    origin: Option<&HarvestOrigin>,
    known: &[(&str, Known)],
) -> String {
    let d = &dataset.entry.draft;
    let page = format!("{}/data/{}", visit.base, encode(&d.code));
    let mut downloads: Vec<_> = match origin {
        Some(origin) => origin.ways().map(|(way, _)| elsewhere(way)).collect(),
        None => formats(dataset)
            .into_iter()
            .map(|f| {
                let mut told = json!({
                    "@type": "DataDownload", "encodingFormat": media_type(f),
                    "contentUrl": format!("{page}/download.{f}"),
                });
                let known = known.iter().find(|(format, _)| *format == f);
                if let (Some(told), Some((_, known))) = (told.as_object_mut(), known) {
                    told.insert("contentSize".into(), format!("{} B", known.bytes).into());
                    told.insert("sha256".into(), known.sha256.as_str().into());
                }
                told
            })
            .collect(),
    };
    downloads.extend(d.profile.ways().map(|(way, _)| elsewhere(&way)));
    let creator = match origin {
        Some(origin) => json!({ "@type": "Organization", "name": origin.publisher() }),
        None => json!({ "@type": "GovernmentOrganization", "name": dataset.org_name }),
    };
    let items: Vec<_> = d
        .items
        .iter()
        .map(
            |i| json!({ "@type": "PropertyValue", "name": i.identifier, "description": i.name_cn }),
        )
        .collect();
    let mut keywords = d.tags.clone();
    keywords.push(label::label("domain", d.domain.as_str(), Lang::Zh));
    let mut whole = json!({
        "@context": "https://schema.org/", "@type": "Dataset", "name": d.title,
        "alternateName": d.title_en, "description": d.description, "url": page,
        "identifier": d.code, "keywords": keywords, "isAccessibleForFree": dataset.free,
        "license": if d.licence.is_empty() && dataset.free && origin.is_none() { &door.app.rules.site.licence.name_zh } else { &d.licence },
        "datePublished": dataset.entry.published_at,
        "dateModified": dataset.entry.data_at, "inLanguage": "zh-CN",
        "spatialCoverage": dataset.region_name, "temporalCoverage": d.time_range,
        "creator": creator,
        "includedInDataCatalog": {
            "@type": "DataCatalog", "name": door.config.site_name_cn, "url": visit.base,
        },
        "distribution": downloads, "variableMeasured": items,
    });
    if let (Some(told), Some(origin)) = (whole.as_object_mut(), origin) {
        told.insert("isBasedOn".into(), app::harvest::based_on(origin));
        told.insert(
            "publisher".into(),
            json!({ "@type": "Organization", "name": origin.publisher() }),
        );
        let ours = json!({ "@type": "GovernmentOrganization", "name": dataset.org_name });
        told.insert("sdPublisher".into(), ours);
        if let Some((url, _)) = origin.page() {
            told.insert("sameAs".into(), url.into());
        }
    }
    whole.to_string().replace('<', "\\u003c")
}

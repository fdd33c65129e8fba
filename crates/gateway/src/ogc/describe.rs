//! What there is: the landing page, what it conforms to, the collections, and the description in OpenAPI 3.0 (which is what clients of
//! OGC API read).

use app::opening;
use model::entry::Entry;
use model::search::{SearchQuery, Within};
use model::{Op, Result};
use serde_json::{Value, json};

use super::{CATALOGUE, GEO_JSON, JSON, link};
use crate::Door;

const CRS84: &str = "http://www.opengis.net/def/crs/OGC/1.3/CRS84";
const OPEN_API: &str = "application/vnd.oai.openapi+json;version=3.0";
/// Most collections of a list.
const MOST: u32 = 1000;
const TITLE: &str = "钱塘公共数据平台 OGC API / Qiantang Public Data";
const ABOUT: &str = "无条件开放的空间数据（Features）与开放目录（Records） / freely open data that can be drawn, and the open catalogue";

pub(super) fn landing(base: &str) -> Value {
    let here = format!("{base}/ogc");
    json!({
        "title": TITLE, "description": ABOUT,
        "links": [
            link(&here, "self", JSON, "本页 / this page"),
            link(&format!("{here}/api"), "service-desc", OPEN_API, "接口描述 / description of the API"),
            link(&format!("{here}/conformance"), "conformance", JSON, "符合的规范 / what it conforms to"),
            link(&format!("{here}/collections"), "data", JSON, "要素集 / collections"),
            link(&format!("{here}/tileMatrixSets"), "http://www.opengis.net/def/rel/ogc/1.0/tiling-schemes", JSON, "瓦片矩阵集 / tile matrix sets"),
        ],
    })
}

pub(super) fn conformance() -> Value {
    let features = "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf";
    let records = "http://www.opengis.net/spec/ogcapi-records-1/1.0/conf";
    let common = "http://www.opengis.net/spec/ogcapi-common-1/1.0/conf/core";
    let own = ["core", "oas30", "geojson"].map(|c| format!("{features}/{c}"));
    let catalogue = [
        "record-core",
        "record-collection",
        "record-core-query-parameters",
        "record-api",
        "json",
        "sorting",
    ];
    let catalogue = catalogue.map(|c| format!("{records}/{c}"));
    let tiles = "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf";
    let tiles = ["core", "tileset", "tilesets-list", "geodata-tilesets", "mvt"]
        .map(|c| format!("{tiles}/{c}"));
    let all: Vec<String> =
        std::iter::once(common.to_owned()).chain(own).chain(catalogue).chain(tiles).collect();
    json!({ "conformsTo": all })
}

pub(super) async fn collections(door: &Door, op: &Op) -> Result<Value> {
    let base = &door.config.public_url;
    let ask = SearchQuery {
        within: Some(Within::And(vec![
            Within::Facet { name: "format".into(), value: "GeoJSON".into() },
            Within::Facet { name: "open_type".into(), value: "unconditional".into() },
        ])),
        facets: Some(Vec::new()),
        sort: "id asc".into(),
        limit: MOST,
        ..SearchQuery::default()
    };
    let page = opening::search(&door.app, op, ask).await?;
    let ids: Vec<String> = page.hits.into_iter().map(|h| h.doc.id).collect();
    let heads = opening::heads(&door.app, op, &ids).await?;
    let drawn = heads.iter().map(|h| of_features(base, &h.entry));
    let all: Vec<Value> = std::iter::once(catalogue(base)).chain(drawn).collect();
    let here = format!("{base}/ogc/collections");
    Ok(json!({
        "links": [link(&here, "self", JSON, "本页 / this page"), link(&format!("{base}/ogc"), "root", JSON, TITLE)],
        "numberMatched": page.total + 1, "numberReturned": all.len(), "collections": all,
    }))
}

/// The collection of records: every data set that is open.
pub(super) fn catalogue(base: &str) -> Value {
    let here = format!("{base}/ogc/collections/{CATALOGUE}");
    json!({
        "id": CATALOGUE, "type": "Collection", "itemType": "record", "title": "开放目录 / open catalogue",
        "description": "全部开放数据集的元数据 / metadata of every open data set", "language": { "code": "zh" }, "crs": [CRS84],
        "links": [
            link(&here, "self", JSON, "要素集 / the collection"),
            link(&format!("{here}/items"), "items", GEO_JSON, "记录 / records"),
        ],
    })
}

/// The collection of a data set's rows.
pub(super) fn of_features(base: &str, entry: &Entry) -> Value {
    let d = &entry.draft;
    let here = format!("{base}/ogc/collections/{}", d.code);
    let title = if d.title_en.is_empty() {
        d.title.clone()
    } else {
        format!("{} / {}", d.title, d.title_en)
    };
    json!({
        "id": d.code, "itemType": "feature", "title": title, "description": d.description, "crs": [CRS84], "storageCrs": CRS84,
        "attribution": d.attribution, "keywords": d.tags,
        "links": [
            link(&here, "self", JSON, "要素集 / the collection"),
            link(&format!("{here}/items"), "items", GEO_JSON, "要素 / features"),
            link(&format!("{here}/tiles"), "http://www.opengis.net/def/rel/ogc/1.0/tilesets-vector", JSON, "矢量瓦片 / vector tiles"),
            link(&format!("{base}/dataset/{}/schema.json", d.code), "describedby", JSON, "数据项 / columns"),
            link(&format!("{base}/ogc/collections/{CATALOGUE}/items/{}", d.code), "related", GEO_JSON, "目录记录 / record"),
        ],
    })
}

pub(super) fn api(base: &str, most: u64) -> Value {
    let of = |schema: &str| json!({ "$ref": format!("#/components/schemas/{schema}") });
    let told = |about: &str, kind: &str, schema: &str| {
        json!({
            "200": { "description": about, "content": { kind: { "schema": of(schema) } } },
            "400": { "$ref": "#/components/responses/Wrong" },
            "403": { "$ref": "#/components/responses/Wrong" },
            "404": { "$ref": "#/components/responses/Wrong" },
            "405": { "$ref": "#/components/responses/Wrong" },
            "429": { "$ref": "#/components/responses/Wrong" },
            "503": { "$ref": "#/components/responses/Wrong" },
        })
    };
    let get = |id: &str, about: &str, kind: &str, schema: &str, params: &[&str]| {
        let refs = params.iter().map(|p| json!({ "$ref": format!("#/components/parameters/{p}") }));
        let refs: Vec<Value> =
            refs.chain(std::iter::once(json!({ "$ref": "#/components/parameters/f" }))).collect();
        json!({ "get": { "operationId": id, "summary": about, "parameters": refs, "responses": told(about, kind, schema) } })
    };
    let tile = ["collectionId", "tileMatrixSetId", "tileMatrix", "tileRow", "tileCol"]
        .map(|p| json!({ "$ref": format!("#/components/parameters/{p}") }));
    json!({
        "openapi": "3.0.3",
        "info": { "title": TITLE, "description": ABOUT, "version": env!("CARGO_PKG_VERSION") },
        "servers": [{ "url": format!("{base}/ogc") }],
        "paths": {
            "/": get("landing", "首页 / landing page", JSON, "Any", &[]),
            "/conformance": get("conformance", "符合的规范 / conformance", JSON, "Any", &[]),
            "/collections": get("collections", "要素集 / collections", JSON, "Any", &[]),
            "/collections/{collectionId}": get("collection", "一个要素集 / a collection", JSON, "Any", &["collectionId"]),
            "/collections/{collectionId}/items": get("items", "要素或记录 / features or records", GEO_JSON, "FeatureCollection",
                &["collectionId", "limit", "bbox", "datetime", "q", "type", "ids", "sortby"]),
            "/collections/{collectionId}/items/{featureId}": get("item", "一个要素或记录 / a feature or record", GEO_JSON, "Feature",
                &["collectionId", "featureId"]),
            "/collections/{collectionId}/tiles": get("tilesets", "瓦片集 / tile sets", JSON, "Any", &["collectionId"]),
            "/collections/{collectionId}/tiles/{tileMatrixSetId}": get("tileset", "一个瓦片集 / a tile set", JSON, "Any", &["collectionId", "tileMatrixSetId"]),
            "/collections/{collectionId}/tiles/{tileMatrixSetId}/{tileMatrix}/{tileRow}/{tileCol}": {
                "get": { "operationId": "tile", "summary": "矢量瓦片 / a vector tile",
                    "parameters": tile,
                    "responses": {
                        "200": { "description": "矢量瓦片 / the tile", "content": { "application/vnd.mapbox-vector-tile": { "schema": { "type": "string", "format": "binary" } } } },
                        "204": { "description": "没有要素 / nothing lies there" },
                        "304": { "description": "未变化 / not changed" },
                        "400": { "$ref": "#/components/responses/Wrong" },
                        "403": { "$ref": "#/components/responses/Wrong" },
                        "404": { "$ref": "#/components/responses/Wrong" },
                        "405": { "$ref": "#/components/responses/Wrong" },
                        "429": { "$ref": "#/components/responses/Wrong" },
                        "503": { "$ref": "#/components/responses/Wrong" },
                    } },
            },
            "/tileMatrixSets": get("tileMatrixSets", "瓦片矩阵集 / tile matrix sets", JSON, "Any", &[]),
            "/tileMatrixSets/{tileMatrixSetId}": get("tileMatrixSet", "一个瓦片矩阵集 / a tile matrix set", JSON, "Any", &["tileMatrixSetId"]),
        },
        "components": {
            "parameters": {
                "f": { "name": "f", "in": "query", "schema": { "type": "string", "enum": ["json"] } },
                "collectionId": { "name": "collectionId", "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } },
                "tileMatrixSetId": { "name": "tileMatrixSetId", "in": "path", "required": true, "schema": { "type": "string", "enum": ["WebMercatorQuad"] } },
                "tileMatrix": { "name": "tileMatrix", "in": "path", "required": true, "schema": { "type": "integer", "minimum": 0, "maximum": 22 } },
                "tileRow": { "name": "tileRow", "in": "path", "required": true, "schema": { "type": "integer", "minimum": 0 } },
                "tileCol": { "name": "tileCol", "in": "path", "required": true, "schema": { "type": "integer", "minimum": 0 } },
                "featureId": { "name": "featureId", "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } },
                "limit": { "name": "limit", "in": "query", "style": "form", "explode": false,
                    "schema": { "type": "integer", "minimum": 1, "maximum": most, "default": 10 } },
                "bbox": { "name": "bbox", "in": "query", "style": "form", "explode": false,
                    "schema": { "type": "array", "minItems": 4, "maxItems": 6, "items": { "type": "number" } } },
                "datetime": { "name": "datetime", "in": "query", "style": "form", "explode": false, "schema": { "type": "string" } },
                "q": { "name": "q", "in": "query", "style": "form", "explode": false, "schema": { "type": "array", "items": { "type": "string" } } },
                "type": { "name": "type", "in": "query", "style": "form", "explode": false, "schema": { "type": "array", "items": { "type": "string" } } },
                "ids": { "name": "ids", "in": "query", "style": "form", "explode": false, "schema": { "type": "array", "items": { "type": "string" } } },
                "sortby": { "name": "sortby", "in": "query", "style": "form", "explode": false, "schema": { "type": "array", "items": { "type": "string" } } },
            },
            "schemas": {
                "Any": { "type": "object" },
                "Feature": { "type": "object", "required": ["type", "geometry", "properties"] },
                "FeatureCollection": { "type": "object", "required": ["type", "features"] },
                "Exception": { "type": "object", "required": ["code"], "properties": { "code": { "type": "string" } } },
            },
            "responses": { "Wrong": { "description": "说明与改法 / what is wrong and how to mend it",
                "content": { "application/json": { "schema": of("Exception") } } } },
        },
    })
}

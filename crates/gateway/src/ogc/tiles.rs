//! OGC API Tiles (OGC 20-057): vector tiles of the data sets that can be drawn, in WebMercatorQuad (OGC 17-083r4, annex D), through the gate
//! of `/api/v1` as features are. A tile is told apart by the version of its data; one with too much in it says so in a header.

use app::opening::{self, DEEPEST, TileAt};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::entry::Entry;
use model::{Error, Op, Result};
use serde_json::{Value, json};

use super::features::drawn;
use super::{CATALOGUE, JSON, begun, ended, link, params};
use crate::Door;
use crate::answer::{self, Refusal};
use crate::metadata::Table;

/// The one tile matrix set, and where it is defined.
const SET: &str = "WebMercatorQuad";
const SET_URI: &str = "http://www.opengis.net/def/tilematrixset/OGC/1.0/WebMercatorQuad";
const CRS: &str = "http://www.opengis.net/def/crs/EPSG/0/3857";
const MVT: &str = "application/vnd.mapbox-vector-tile";
/// Half of the square that the projection makes of the world, metres (EPSG:3857).
const HALF: f64 = 20_037_508.342_789_244;
/// Size of a pixel by which scales are told, metres (OGC 17-083r4).
const PIXEL: f64 = 0.000_28;
/// Says that a tile does not hold everything that lies there.
const CUT: &str = "x-features-left-out";

/// The pages that tell of tiles.
pub(super) fn matrix_sets(base: &str) -> Value {
    let here = format!("{base}/ogc/tileMatrixSets");
    let own = format!("{here}/{SET}");
    json!({
        "tileMatrixSets": [{
            "id": SET, "title": "网络墨卡托 / Google Maps Compatible for the World", "uri": SET_URI, "crs": CRS,
            "links": [link(&own, "self", JSON, SET)],
        }],
        "links": [link(&here, "self", JSON, "瓦片矩阵集 / tile matrix sets")],
    })
}

pub(super) fn matrix_set(base: &str) -> Value {
    let here = format!("{base}/ogc/tileMatrixSets/{SET}");
    let matrices = (0..=DEEPEST).map(|z| {
        let side = 1_u64 << z;
        let cell = 2.0 * HALF / 256.0 / side as f64;
        json!({
            "id": z.to_string(), "scaleDenominator": cell / PIXEL, "cellSize": cell, "cornerOfOrigin": "topLeft",
            "pointOfOrigin": [-HALF, HALF], "tileWidth": 256, "tileHeight": 256, "matrixWidth": side, "matrixHeight": side,
        })
    });
    json!({
        "id": SET, "title": "网络墨卡托 / Google Maps Compatible for the World", "uri": SET_URI, "crs": CRS,
        "orderedAxes": ["X", "Y"],
        "wellKnownScaleSet": "http://www.opengis.net/def/wkss/OGC/1.0/GoogleMapsCompatible",
        "tileMatrices": matrices.collect::<Vec<_>>(),
        "links": [link(&here, "self", JSON, SET)],
    })
}

fn tile_set(base: &str, entry: &Entry) -> Value {
    let collection = format!("{base}/ogc/collections/{}", entry.draft.code);
    let here = format!("{collection}/tiles/{SET}");
    let mut template = link(
        &format!("{here}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}"),
        "item",
        MVT,
        "矢量瓦片 / vector tiles",
    );
    if let Some(told) = template.as_object_mut() {
        told.insert("templated".into(), true.into());
    }
    json!({
        "title": entry.draft.title, "dataType": "vector", "crs": CRS, "tileMatrixSetURI": SET_URI,
        "layers": [{
            "id": entry.draft.code, "dataType": "vector",
            "propertiesSchema": { "type": "object", "properties": entry.draft.items.iter()
                .map(|i| (i.identifier.clone(), json!({ "title": i.name_cn })))
                .collect::<serde_json::Map<String, Value>>() },
        }],
        "links": [
            link(&here, "self", JSON, "瓦片集 / the tile set"),
            link(&format!("{base}/ogc/tileMatrixSets/{SET}"), "http://www.opengis.net/def/rel/ogc/1.0/tiling-scheme", JSON, SET),
            link(&collection, "collection", JSON, "要素集 / the collection"),
            template,
        ],
    })
}

/// The tile sets of a collection: one.
pub(super) async fn list(
    State(door): State<Door>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let (op, query) = match begun(&door, request).await {
        Ok(begun) => begun,
        Err(refused) => return *refused,
    };
    let told = async {
        params::none(&query)?;
        let table = shown(&door, &op, &id).await?;
        let base = &door.config.public_url;
        let here = format!("{base}/ogc/collections/{id}/tiles");
        let one = tile_set(base, &table.dataset.entry);
        Ok::<Value, Error>(json!({
            "tilesets": [one],
            "links": [link(&here, "self", JSON, "瓦片集 / tile sets")],
        }))
    };
    ended(&op, JSON, told.await)
}

/// One tile set.
pub(super) async fn set(
    State(door): State<Door>,
    Path((id, set)): Path<(String, String)>,
    request: Request,
) -> Response {
    let (op, query) = match begun(&door, request).await {
        Ok(begun) => begun,
        Err(refused) => return *refused,
    };
    let told = async {
        params::none(&query)?;
        known(&set)?;
        let table = shown(&door, &op, &id).await?;
        Ok::<Value, Error>(tile_set(&door.config.public_url, &table.dataset.entry))
    };
    ended(&op, JSON, told.await)
}

/// One tile.
pub(super) async fn tile(
    State(door): State<Door>,
    Path((id, set, z, y, x)): Path<(String, String, String, String, String)>,
    request: Request,
) -> Response {
    let seen = request.headers().clone();
    let (op, query) = match begun(&door, request).await {
        Ok(begun) => begun,
        Err(refused) => return *refused,
    };
    let told = async {
        only_format(&query)?;
        known(&set)?;
        let table = shown(&door, &op, &id).await?;
        let at = TileAt::read(&z, &y, &x).ok_or_else(|| nowhere(&z, &y, &x))?;
        let mark = mark(&table, at)?;
        if mark.to_str().is_ok_and(|mark| answer::has(&seen, mark)) {
            return Ok((StatusCode::NOT_MODIFIED, mark, Vec::new(), false));
        }
        let drawing = Box::pin(opening::tile(&door.app, &op, &table.dataset, at));
        let drawn = tokio::time::timeout(crate::rows::LONGEST, drawing).await;
        let drawn = match drawn {
            Ok(drawn) => drawn?,
            Err(_) => return Err(crate::rows::too_slow(&door, &op, &id).await),
        };
        Ok::<_, Error>(match drawn.bytes {
            Some(bytes) => (StatusCode::OK, mark, bytes, drawn.cut),
            None => (StatusCode::NO_CONTENT, mark, Vec::new(), drawn.cut),
        })
    };
    let response = match told.await {
        Ok((status, mark, bytes, cut)) => answered(status, mark, bytes, cut),
        Err(e) => Refusal::new(e, &op).into_response(),
    };
    answer::told_by(response, &op)
}

fn answered(status: StatusCode, mark: HeaderValue, bytes: Vec<u8>, cut: bool) -> Response {
    let mut response = match status {
        StatusCode::OK => {
            ([(header::CONTENT_TYPE, HeaderValue::from_static(MVT))], bytes).into_response()
        }
        bare => bare.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::ETAG, mark);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if cut {
        headers.insert(CUT, HeaderValue::from_static("true"));
    }
    response
}

/// A data set whose rows can be drawn; the catalogue's records lie nowhere.
async fn shown(door: &Door, op: &Op, id: &str) -> Result<Table> {
    match id {
        CATALOGUE => Err(Error::not_found("瓦片集", "tile set", id)),
        _ => drawn(door, op, id).await,
    }
}

pub(super) fn known(set: &str) -> Result<()> {
    if set == SET {
        return Ok(());
    }
    let shown: String = set.chars().take(60).collect();
    Err(Error::not_found("瓦片矩阵集", "tile matrix set", &shown))
}

fn nowhere(z: &str, y: &str, x: &str) -> Error {
    let shown: String = format!("{z}/{y}/{x}").chars().take(60).collect();
    Error::not_found("瓦片", "tile", &shown)
}

/// Only the format may be said, and there is one.
fn only_format(query: &str) -> Result<()> {
    params::pairs(query).iter().try_for_each(|(name, value)| {
        match (name.as_str(), value.as_str()) {
            ("f", "mvt") => Ok(()),
            _ => Err(params::unknown(name)),
        }
    })
}

/// By what a tile is known again.
fn mark(table: &Table, at: TileAt) -> Result<HeaderValue> {
    HeaderValue::from_str(&opening::tile_mark(&table.dataset, at))
        .map_err(|e| Error::internal("an entity tag").caused_by(e))
}

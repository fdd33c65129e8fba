//! OGC API: Features and Tiles of the data sets that can be drawn, Records of the open catalogue. `describe` tells what there is,
//! `features` and `records` give the items, `tiles` the same features as vector tiles, `params` reads what is asked and refuses what nobody knows.

mod describe;
mod features;
mod params;
mod records;
mod tiles;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use model::{Op, Result};
use serde_json::Value;

use crate::Door;
use crate::answer::{self, Refusal};
use crate::caller::anybody;

pub(crate) fn router() -> Router<Door> {
    Router::new()
        .route("/ogc", get(landing))
        .route("/ogc/", get(landing))
        .route("/ogc/conformance", get(conformance))
        .route("/ogc/api", get(api))
        .route("/ogc/collections", get(collections))
        .route("/ogc/collections/{collection}", get(collection))
        .route("/ogc/collections/{collection}/items", get(items))
        .route("/ogc/collections/{collection}/items/{item}", get(item))
        .route("/ogc/collections/{collection}/tiles", get(tiles::list))
        .route("/ogc/collections/{collection}/tiles/{set}", get(tiles::set))
        .route("/ogc/collections/{collection}/tiles/{set}/{z}/{y}/{x}", get(tiles::tile))
        .route("/ogc/tileMatrixSets", get(matrix_sets))
        .route("/ogc/tileMatrixSets/{set}", get(matrix_set))
}

/// The collection that holds the catalogue itself. No data set has this code: codes of the ledger have no `-`.
const CATALOGUE: &str = "open-catalogue";
const JSON: &str = "application/json";
const GEO_JSON: &str = "application/geo+json";

/// A question: who asks, and the query.
async fn begun(door: &Door, request: Request) -> Result<(Op, String), Box<Response>> {
    let (parts, _): (Parts, _) = request.into_parts();
    match anybody(&parts, door).await {
        Ok(op) => Ok((op, parts.uri.query().unwrap_or_default().to_owned())),
        Err(refusal) => Err(Box::new(refusal.into_response())),
    }
}

fn ended(op: &Op, kind: &'static str, told: Result<Value>) -> Response {
    let response = match told {
        Ok(told) => {
            let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(kind))];
            (headers, told.to_string()).into_response()
        }
        Err(e) => Refusal::new(e, op).into_response(),
    };
    answer::told_by(response, op)
}

/// What takes too long is given up.
async fn within(
    door: &Door,
    op: &Op,
    id: &str,
    work: impl Future<Output = Result<Value>>,
) -> Result<Value> {
    match tokio::time::timeout(crate::rows::LONGEST, work).await {
        Ok(told) => told,
        Err(_) => Err(crate::rows::too_slow(door, op, id).await),
    }
}

/// A page that is the same whoever asks.
async fn fixed(
    door: &Door,
    request: Request,
    kind: &'static str,
    write: impl FnOnce(&str) -> Value,
) -> Response {
    match begun(door, request).await {
        Ok((op, query)) => {
            let told = params::none(&query).map(|()| write(&door.config.public_url));
            ended(&op, kind, told)
        }
        Err(refused) => *refused,
    }
}

async fn landing(State(door): State<Door>, request: Request) -> Response {
    fixed(&door, request, JSON, describe::landing).await
}

async fn conformance(State(door): State<Door>, request: Request) -> Response {
    fixed(&door, request, JSON, |_| describe::conformance()).await
}

async fn api(State(door): State<Door>, request: Request) -> Response {
    let most = door.app.rules.call.max_rows;
    let kind = "application/vnd.oai.openapi+json;version=3.0";
    fixed(&door, request, kind, |base| describe::api(base, most)).await
}

async fn matrix_sets(State(door): State<Door>, request: Request) -> Response {
    fixed(&door, request, JSON, tiles::matrix_sets).await
}

async fn matrix_set(
    State(door): State<Door>,
    Path(set): Path<String>,
    request: Request,
) -> Response {
    let (op, query) = match begun(&door, request).await {
        Ok(begun) => begun,
        Err(refused) => return *refused,
    };
    let told = params::none(&query)
        .and_then(|()| tiles::known(&set))
        .map(|()| tiles::matrix_set(&door.config.public_url));
    ended(&op, JSON, told)
}

async fn collections(State(door): State<Door>, request: Request) -> Response {
    let (op, query) = match begun(&door, request).await {
        Ok(begun) => begun,
        Err(refused) => return *refused,
    };
    let told = match params::none(&query) {
        Ok(()) => describe::collections(&door, &op).await,
        Err(e) => Err(e),
    };
    ended(&op, JSON, told)
}

async fn collection(
    State(door): State<Door>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    let (op, query) = match begun(&door, request).await {
        Ok(begun) => begun,
        Err(refused) => return *refused,
    };
    let base = &door.config.public_url;
    let told = match (params::none(&query), id.as_str()) {
        (Err(e), _) => Err(e),
        (Ok(()), CATALOGUE) => Ok(describe::catalogue(base)),
        (Ok(()), _) => features::drawn(&door, &op, &id)
            .await
            .map(|table| describe::of_features(base, &table.dataset.entry)),
    };
    ended(&op, JSON, told)
}

async fn items(State(door): State<Door>, Path(id): Path<String>, request: Request) -> Response {
    let (op, query) = match begun(&door, request).await {
        Ok(begun) => begun,
        Err(refused) => return *refused,
    };
    let told = match id.as_str() {
        CATALOGUE => within(&door, &op, &id, records::items(&door, &op, &query)).await,
        _ => within(&door, &op, &id, Box::pin(features::items(&door, &op, &id, &query))).await,
    };
    ended(&op, GEO_JSON, told)
}

async fn item(
    State(door): State<Door>,
    Path((id, item)): Path<(String, String)>,
    request: Request,
) -> Response {
    let (op, query) = match begun(&door, request).await {
        Ok(begun) => begun,
        Err(refused) => return *refused,
    };
    let told = match (params::none(&query), id.as_str()) {
        (Err(e), _) => Err(e),
        (Ok(()), CATALOGUE) => records::item(&door, &op, &item).await,
        (Ok(()), _) => within(&door, &op, &id, features::item(&door, &op, &id, &item)).await,
    };
    ended(&op, GEO_JSON, told)
}

/// A link as OGC writes it.
fn link(href: &str, rel: &str, kind: &str, title: &str) -> Value {
    serde_json::json!({ "href": href, "rel": rel, "type": kind, "title": title })
}

//! Receipts beside answers, and the keys they are checked by.
//!
//! A caller that signs may ask for a receipt by `Prefer: evidence`; the answer then carries `X-Qt-Evidence`: a signed statement of
//! what was asked and what was answered (`app::evidence`), bound to both by their hashes.

use std::convert::Infallible;

use app::account::SignedCall;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use model::evidence::Receipt;
use model::{Actor, Code, Error, Result};
use serde_json::json;
use tower::{Service, ServiceExt};

use crate::Door;
use crate::answer::{REQUEST_ID, Refusal};
use crate::caller::{PREFER, SIGNATURE};

pub(crate) const EVIDENCE: HeaderName = HeaderName::from_static("x-qt-evidence");

pub(crate) fn router() -> Router<Door> {
    Router::new().route("/evidence/keys", get(keys))
}

/// Public keys of this platform, for anybody.
async fn keys(State(door): State<Door>) -> Response {
    Json(json!({ "keys": app::evidence::keys(&door.app) })).into_response()
}

/// Whether a signed call asks for a receipt.
pub(crate) fn wanted(headers: &HeaderMap) -> bool {
    headers.contains_key(&SIGNATURE)
        && headers
            .get_all(&PREFER)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case("evidence"))
}

/// The answer of a route with a receipt beside it.
pub(crate) async fn answered(
    door: Door,
    request: Request,
    route: impl Service<Request, Response = Response, Error = Infallible>,
) -> std::result::Result<Response, Infallible> {
    Ok(match witnessed(&door, request, route).await {
        Ok(response) => response,
        Err(error) => Refusal::new(error, &door.app.op(Actor::Nobody, "-")).into_response(),
    })
}

async fn witnessed(
    door: &Door,
    request: Request,
    route: impl Service<Request, Response = Response, Error = Infallible>,
) -> Result<Response> {
    let most = usize::try_from(door.app.rules.evidence.most_bytes).unwrap_or(usize::MAX);
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, most).await.map_err(|_| too_large(most))?;
    let asked = parts.clone();
    let request = Request::from_parts(parts, Body::from(body.clone()));
    let Ok(response) = route.oneshot(request).await;
    if !response.status().is_success() {
        return Ok(response);
    }
    let (mut head, answer) = response.into_parts();
    let answer = to_bytes(answer, most).await.map_err(|_| too_large(most))?;
    let word = |headers: &HeaderMap, name: &str| {
        headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
    };
    let (key, algorithm) =
        (word(&asked.headers, "x-qt-key"), word(&asked.headers, "x-qt-algorithm"));
    let (timestamp, nonce) =
        (word(&asked.headers, "x-qt-timestamp"), word(&asked.headers, "x-qt-nonce"));
    let call = SignedCall {
        method: asked.method.as_str(),
        path: asked.uri.path(),
        query: asked.uri.query().unwrap_or_default(),
        body: &body,
        key: &key,
        algorithm: if algorithm.is_empty() { "HMAC-SHA256" } else { &algorithm },
        timestamp: &timestamp,
        nonce: &nonce,
        signature: "",
    };
    let receipt = Receipt {
        platform: door.config.public_url.clone(),
        request_id: word(&head.headers, REQUEST_ID.as_str()),
        status: head.status.as_u16(),
        content_type: word(&head.headers, header::CONTENT_TYPE.as_str()),
        ..Receipt::default()
    };
    let statement = app::evidence::witness(&door.app, &call, &answer, receipt)?;
    let value = HeaderValue::from_str(&statement)
        .map_err(|e| Error::internal("a receipt as a header").caused_by(e))?;
    head.headers.insert(EVIDENCE, value);
    Ok(Response::from_parts(head, Body::from(answer)))
}

fn too_large(most: usize) -> Error {
    Error::new(
        Code::TooLarge,
        format!("带回执的调用，请求与应答各不超过 {most} 字节；请减少行数后再试"),
        format!(
            "call and answer with a receipt have {most} bytes at most each: ask for fewer rows"
        ),
    )
}

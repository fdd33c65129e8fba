//! Receipts beside answers, and the keys they are checked by.
//!
//! A caller that has proved who it is, whichever way, may ask for a receipt by `Prefer: evidence`; the answer then carries
//! `X-Qt-Evidence`: a signed statement of what was asked and what was answered (`app::evidence`), bound to both by their hashes. It is
//! signed by what the platform usually signs by; `evidence=sm2` and `evidence=ed25519` name either.
//! Whose call it was is told by whoever made sure of it ([`Asker`]), never by what the request says of itself.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use app::account::SignedCall;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use model::evidence::Receipt;
use model::restricted::SigningAlgorithm;
use model::{Actor, Code, Error, Op, Result};
use serde_json::json;
use tower::{Service, ServiceExt};

use crate::Door;
use crate::answer::Refusal;
use crate::caller::PREFER;

pub(crate) const EVIDENCE: HeaderName = HeaderName::from_static("x-qt-evidence");

pub(crate) fn router() -> Router<Door> {
    Router::new().route("/evidence/keys", get(keys))
}

/// Public keys of this platform, for anybody.
async fn keys(State(door): State<Door>) -> Response {
    Json(json!({ "keys": app::evidence::keys(&door.app) })).into_response()
}

/// Who made the call a receipt is asked for, as the route found out. It travels with the request and is filled in on the way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asker(Arc<OnceLock<Asked>>);

#[derive(Debug)]
struct Asked {
    key: String,
    by: &'static str,
    request_id: String,
}

impl Asker {
    /// The caller is made sure of; `by` says how: `hmac`, `oauth2`, `mtls`, `irs`. Nobody gets no receipt.
    pub(crate) fn known(&self, op: &Op, by: &'static str) {
        if let Actor::Application { key, .. } = &op.actor {
            let request_id = op.request_id.clone();
            // The first to find out is right.
            let _ = self.0.set(Asked { key: key.clone(), by, request_id });
        }
    }
}

/// Whether a call asks for a receipt.
pub(crate) fn wanted(headers: &HeaderMap) -> bool {
    preference(headers).is_some()
}

/// What a call says of its receipt behind the `=`; nothing says nothing. Of several the first counts (RFC 7240 §2).
fn preference(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(&PREFER)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|part| {
            let said = part.split(';').next().unwrap_or_default();
            let (name, value) = said.split_once('=').unwrap_or((said, ""));
            let is_it = name.trim().eq_ignore_ascii_case("evidence");
            is_it.then(|| value.trim().trim_matches('"'))
        })
}

/// What the receipt is to be signed by; nothing leaves it to the platform.
fn chosen(headers: &HeaderMap) -> Result<Option<SigningAlgorithm>> {
    match preference(headers) {
        None | Some("") => Ok(None),
        Some(name) => app::evidence::algorithm(name).map(Some).map_err(|e| {
            let said = "evidence=sm2, evidence=ed25519";
            e.field("Prefer", said, said)
        }),
    }
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
    // Who asks for what there is not is told before anything is released and counted.
    let by = chosen(request.headers())?;
    let (mut parts, body) = request.into_parts();
    let body = to_bytes(body, most).await.map_err(|_| too_large(most))?;
    let asker = Asker::default();
    parts.extensions.insert(asker.clone());
    let asked = parts.clone();
    let request = Request::from_parts(parts, Body::from(body.clone()));
    let Ok(response) = route.oneshot(request).await;
    // For nobody, and of a refusal, there is none.
    let Some(caller) = asker.0.get().filter(|_| response.status().is_success()) else {
        return Ok(response);
    };
    let (mut head, answer) = response.into_parts();
    let answer = to_bytes(answer, most).await.map_err(|_| too_large(most))?;
    let word = |headers: &HeaderMap, name: &str| {
        headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
    };
    let (method, path) = (asked.method.as_str(), asked.uri.path());
    let query = asked.uri.query().unwrap_or_default();
    let call = match caller.by {
        "hmac" => {
            let algorithm = word(&asked.headers, "x-qt-algorithm");
            let signed = SignedCall {
                method,
                path,
                query,
                body: &body,
                key: &caller.key,
                algorithm: if algorithm.is_empty() { "HMAC-SHA256" } else { &algorithm },
                timestamp: &word(&asked.headers, "x-qt-timestamp"),
                nonce: &word(&asked.headers, "x-qt-nonce"),
                signature: "",
            };
            signed.canonical()?
        }
        _ => app::evidence::plain_call(method, path, query, &body),
    };
    let receipt = Receipt {
        platform: door.config.public_url.clone(),
        request_id: caller.request_id.clone(),
        application: caller.key.clone(),
        by: caller.by.to_owned(),
        status: head.status.as_u16(),
        content_type: word(&head.headers, header::CONTENT_TYPE.as_str()),
        ..Receipt::default()
    };
    let statement = app::evidence::witness(&door.app, by, &call, &answer, receipt)?;
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

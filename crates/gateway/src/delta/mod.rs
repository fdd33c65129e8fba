//! Delta Sharing: the public protocol for whole tables and their changes, `/delta-sharing`.
//!
//! A caller brings a bearer token of an application (made on its page, or by OAuth 2 client credentials), or signs as elsewhere.
//! Answers are lines of JSON; a file is read by its signed address, in ranges.

mod files;
mod lines;
mod tables;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, routing};
use model::{Error, Kind, Op};
use serde_json::json;
use tower_http::compression::CompressionLayer;

use crate::Door;
use crate::answer::{Proof, Refusal, challenge};
use crate::caller::{Caller, address, bearer, failed, guessing, purpose};
use crate::flood::network;

pub(crate) fn router() -> Router<Door> {
    let asked = Router::new()
        .route("/delta-sharing/shares", routing::get(tables::shares))
        .route("/delta-sharing/shares/{share}", routing::get(tables::share))
        .route("/delta-sharing/shares/{share}/schemas", routing::get(tables::schemas))
        .route(
            "/delta-sharing/shares/{share}/schemas/{schema}/tables",
            routing::get(tables::tables),
        )
        .route("/delta-sharing/shares/{share}/all-tables", routing::get(tables::all_tables))
        .route(
            "/delta-sharing/shares/{share}/schemas/{schema}/tables/{table}",
            routing::get(tables::version),
        )
        .route(
            "/delta-sharing/shares/{share}/schemas/{schema}/tables/{table}/version",
            routing::get(tables::version),
        )
        .route(
            "/delta-sharing/shares/{share}/schemas/{schema}/tables/{table}/metadata",
            routing::get(tables::metadata),
        )
        .route(
            "/delta-sharing/shares/{share}/schemas/{schema}/tables/{table}/query",
            routing::post(tables::query),
        )
        .route(
            "/delta-sharing/shares/{share}/schemas/{schema}/tables/{table}/changes",
            routing::get(tables::changes),
        )
        .layer(CompressionLayer::new());
    // Files are compressed as they lie, and read in ranges.
    asked.merge(Router::new().route("/delta-sharing/files/{file}", routing::get(files::file)))
}

/// Who calls: its operation, and the token by which it does (empty when it is none of these).
pub(super) struct Recipient {
    pub(super) op: Op,
    pub(super) by: String,
}

impl FromRequestParts<Door> for Recipient {
    type Rejection = Told;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Told> {
        Self::with_body(parts, door, &[]).await
    }
}

impl Recipient {
    /// The same for a call that brings a body.
    pub(super) async fn with_body(parts: &Parts, door: &Door, body: &[u8]) -> Result<Self, Told> {
        let token = bearer(&parts.headers);
        let Some(token) = token.filter(|t| t.starts_with(app::delta::TOKEN)) else {
            let Caller(op) =
                Caller::with_body(parts, door, body).await.map_err(|refusal| Told { refusal })?;
            return Ok(Self { op, by: String::new() });
        };
        let from = address(parts);
        let op = door.app.op(model::Actor::Nobody, &from.to_string());
        let known = async {
            guessing(door, network(from), &op)?;
            let caller = app::delta::by_token(&door.app, &op, token).await?;
            app::halt::admit(&door.app, &op, &caller.actor).await?;
            let told = purpose(parts, door)?;
            Ok::<_, Error>((caller, told))
        };
        match known.await {
            Ok((caller, told)) => {
                // What this call says goes before what was said for all of them.
                let purpose = if told.is_empty() { caller.purpose } else { told };
                Ok(Self { op: Op { actor: caller.actor, purpose, ..op }, by: caller.by })
            }
            Err(error) => {
                if error.kind() == Kind::Unauthenticated {
                    let noted = failed(parts, door, network(from), &op, &error).await;
                    noted.map_err(|refusal| Told { refusal })?;
                }
                Err(Told { refusal: Refusal::new(error, &op).proving(Proof::Token) })
            }
        }
    }
}

/// A refusal in the words of the protocol: `{errorCode, message}`; the rest is ours.
pub(super) struct Told {
    refusal: Refusal,
}

impl Told {
    pub(super) fn new(error: Error, op: &Op) -> Self {
        Self { refusal: Refusal::new(error, op) }
    }
}

impl IntoResponse for Told {
    fn into_response(self) -> Response {
        let ways = self.refusal.challenges();
        let (error, id, after) = self.refusal.into_parts();
        let code = error.code();
        let status =
            StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_server_error() && error.kind() != Kind::Unavailable {
            tracing::error!(request.id = %id, error = %error.operator_text(), "a question of Delta Sharing failed");
        }
        metrics::counter!("qt_gateway_refusals_total", "code" => code.as_str()).increment(1);
        let body = json!({
            "errorCode": code.as_str(), "message": error.en(), "message_zh": error.zh(),
            "reasons": error.reasons(), "request_id": id,
        });
        let mut response = (status, Json(body)).into_response();
        challenge(response.headers_mut(), ways);
        if let Some(seconds) = after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

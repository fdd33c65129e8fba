//! Health, readiness, metrics and the error table.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use model::Code;
use serde_json::json;

use crate::Door;

pub(crate) fn router() -> Router<Door> {
    Router::new()
        .route("/", get(root))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics_page))
        .route("/errors", get(errors))
}

async fn root(State(door): State<Door>) -> Response {
    Json(json!({
        "name": "qiantang gateway",
        "version": env!("CARGO_PKG_VERSION"),
        "openapi": format!("{}/openapi.json", door.config.public_url),
        "errors": format!("{}/errors", door.config.public_url),
    }))
    .into_response()
}

/// The process answers.
async fn health() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// The parts behind it answer, too.
async fn ready(State(door): State<Door>) -> Response {
    let state = app::operation::readiness(&door.app).await;
    let status = if state.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(state)).into_response()
}

/// For collectors on this machine only: figures tell about callers, too.
async fn metrics_page(
    State(door): State<Door>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
) -> Response {
    match &door.config.metrics {
        Some(render) if from.ip().is_loopback() => {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], render())
                .into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The one table of stable error codes.
async fn errors() -> Response {
    let table: Vec<_> = Code::ALL
        .iter()
        .map(|c| {
            json!({
                "code": c.as_str(), "status": c.status(), "message": c.en(), "message_zh": c.zh(),
                "help": c.help_en(), "help_zh": c.help_zh(),
            })
        })
        .collect();
    Json(json!({ "errors": table })).into_response()
}

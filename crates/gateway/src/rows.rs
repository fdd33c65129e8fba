//! `GET /api/v1/{resource}`: rows of one resource in the PostgREST dialect.

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Method, header};
use axum::response::Response;
use axum::routing::get;
use model::Result;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::answer::{self, Form, Refusal};
use crate::caller::Caller;
use crate::{Door, dialect};

pub(crate) fn router() -> Router<Door> {
    Router::new().route("/api/v1/{resource}", get(rows))
}

async fn rows(
    State(door): State<Door>,
    Caller(op): Caller,
    Path(resource): Path<String>,
    method: Method,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let started = std::time::Instant::now();
    let answer =
        release(&door, &op, &resource, &method, query.as_deref().unwrap_or_default(), &headers)
            .await;
    metrics::histogram!("qt_gateway_call_seconds").record(started.elapsed().as_secs_f64());
    metrics::counter!("qt_gateway_calls_total", "outcome" => if answer.is_ok() { "ok" } else { "refused" }).increment(1);
    answer.map_err(|e| Refusal::new(e, &op.request_id))
}

async fn release(
    door: &Door,
    op: &model::Op,
    resource: &str,
    method: &Method,
    query: &str,
    headers: &HeaderMap,
) -> Result<Response> {
    let text = |name: header::HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    let form = Form::choose(text(header::ACCEPT))?;
    let asked = dialect::read(
        query,
        &dialect::Preferences {
            prefer: headers.get("prefer").and_then(|v| v.to_str().ok()),
            range: text(header::RANGE),
        },
        &door.app.rules.call,
    )?;
    let release = app::sharing::query(&door.app, op, resource, &asked).await?;
    let next = release.page.next.as_deref().map(|token| next_link(door, resource, query, token));
    answer::page(&release.page, form, method, asked.offset, next, &release.masked)
}

/// The same query with the next page's position in place of `after` and `offset`.
fn next_link(door: &Door, resource: &str, query: &str, token: &str) -> String {
    let kept: Vec<&str> = query
        .split('&')
        .filter(|p| !p.is_empty() && !p.starts_with("after=") && !p.starts_with("offset="))
        .collect();
    let token = utf8_percent_encode(token, NON_ALPHANUMERIC);
    let join = if kept.is_empty() { "" } else { "&" };
    format!("{}/api/v1/{resource}?{}{join}after={token}", door.config.public_url, kept.join("&"))
}

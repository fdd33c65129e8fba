//! `GET /api/v1/{resource}`: rows of one resource in the PostgREST dialect.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, header};
use axum::response::Response;
use axum::routing::get;
use model::usage::Way;
use model::{Code, Error, Result};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::answer::{self, Around, Form, Refusal};
use crate::caller::{Caller, PREFER};
use crate::{Door, dialect};

pub(crate) fn router() -> Router<Door> {
    Router::new().route("/api/v1/{resource}", get(rows))
}

async fn rows(
    State(door): State<Door>,
    Caller(mut op): Caller,
    Path(resource): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let started = std::time::Instant::now();
    let (asked, _) = request.into_parts();
    op.way = Way::Api;
    let answer = release(&door, &op, &resource, &asked).await;
    let figures = &door.figures;
    figures.seconds.record(started.elapsed().as_secs_f64());
    if answer.is_ok() { &figures.ok } else { &figures.refused }.increment(1);
    answer.map(|a| answer::told_by(a, &op)).map_err(|e| Refusal::new(e, &op))
}

async fn release(door: &Door, op: &model::Op, resource: &str, request: &Parts) -> Result<Response> {
    let text = |name: &HeaderName| request.headers.get(name).and_then(|v| v.to_str().ok());
    let form = Form::choose(text(&header::ACCEPT))?;
    let query = request.uri.query().unwrap_or_default();
    let preferences = dialect::Preferences { prefer: text(&PREFER), range: text(&header::RANGE) };
    let asked = dialect::read(query, &preferences, &door.app.rules.call)?;
    // Boxed, for it is handed on twice before it begins.
    let releasing = Box::pin(app::sharing::query(&door.app, op, resource, &asked.query));
    let release = match tokio::time::timeout(LONGEST, releasing).await {
        Ok(done) => done?,
        Err(_) => return Err(Box::pin(too_slow(door, op, resource)).await),
    };
    let rows = release.page.rows.len() as u64;
    let next = release.page.next.as_deref().map(|token| {
        let token = dialect::after(asked.first.map(|n| n.saturating_add(rows)), token);
        next_link(door, resource, query, &token)
    });
    let around = Around {
        form,
        method: &request.method,
        first: asked.first,
        next,
        masked: &release.masked,
        calls_left: release.calls_left,
        mark: release.mark.as_deref(),
    };
    answer::page(&release.page, around)
}

/// The longest a call may take; the engines stop what they do for it when it is dropped.
pub(crate) const LONGEST: std::time::Duration = std::time::Duration::from_secs(30);

/// A call that was given up, with its record.
pub(crate) async fn too_slow(door: &Door, op: &model::Op, resource: &str) -> Error {
    let seconds = LONGEST.as_secs();
    let error = Error::new(
        Code::QueryTooSlow,
        format!("查询超过 {seconds} 秒，已中止"),
        format!("the query took more than {seconds} seconds and was stopped"),
    );
    let object: String = resource.chars().take(80).collect();
    if let Err(trouble) =
        app::audit::refused(&door.app, op, app::Action::RowsQuery.as_str(), &object, &error).await
    {
        tracing::error!(error = %trouble.operator_text(), "a refusal could not be recorded");
    }
    error
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

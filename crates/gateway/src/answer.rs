//! Answers: errors as one JSON shape, rows as JSON, CSV or a single object.

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use model::query::RowPage;
use model::value::Value;
use model::{Code, Error, Result};
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeSeq, Serializer};

/// An error on its way to a machine, with the request id it is told by.
pub(crate) struct Refusal {
    error: Error,
    request_id: String,
}

impl Refusal {
    pub(crate) fn new(error: Error, request_id: &str) -> Self {
        Self { error, request_id: request_id.to_owned() }
    }
}

/// `code`, `message`, `details`, `hint` are the fields PostgREST clients read; the others are ours.
#[derive(Serialize)]
struct ErrorBody<'a> {
    code: &'a str,
    message: &'a str,
    message_zh: &'a str,
    details: Option<Vec<String>>,
    hint: Option<String>,
    request_id: &'a str,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error = &self.error;
        let status = status_of(error);
        if status.is_server_error() {
            tracing::error!(request.id = %self.request_id, error = %error.operator_text(), "a call failed");
        }
        metrics::counter!("qt_gateway_refusals_total", "code" => error.code().as_str())
            .increment(1);
        let details: Vec<String> =
            error.fields().iter().map(|f| format!("{}: {} / {}", f.field, f.en, f.zh)).collect();
        let body = ErrorBody {
            code: error.code().as_str(),
            message: error.en(),
            message_zh: error.zh(),
            details: (!details.is_empty()).then_some(details),
            hint: Some(format!("/errors#{}", error.code().as_str())),
            request_id: &self.request_id,
        };
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("QT-HMAC realm=\"qiantang\""),
            );
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

fn status_of(error: &Error) -> StatusCode {
    if error.code() == Code::NotAcceptable {
        return StatusCode::NOT_ACCEPTABLE;
    }
    StatusCode::from_u16(error.kind().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Anything that is not a route.
pub(crate) async fn no_such_route(uri: Uri) -> Response {
    let path: String = uri.path().chars().take(200).collect();
    Refusal::new(Error::not_found("接口", "route", &path), "-").into_response()
}

/// In which form rows are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Csv,
    /// Exactly one row as an object (`application/vnd.pgrst.object+json`).
    Single,
}

impl Form {
    /// Chooses by `Accept`: the first offered type that is listed.
    pub(crate) fn choose(accept: Option<&str>) -> Result<Self> {
        let Some(accept) = accept else { return Ok(Form::Json) };
        for part in accept.split(',') {
            let kind = part.split(';').next().unwrap_or_default().trim();
            match kind {
                "" | "*/*" | "application/*" | "application/json" => return Ok(Form::Json),
                "text/csv" | "text/*" => return Ok(Form::Csv),
                "application/vnd.pgrst.object+json" => return Ok(Form::Single),
                _ => {}
            }
        }
        Err(Error::new(
            Code::NotAcceptable,
            "可返回 application/json、text/csv 或 application/vnd.pgrst.object+json",
            "offered are application/json, text/csv and application/vnd.pgrst.object+json",
        ))
    }
}

/// A page of rows in the wanted form. `first` is the offset of its first row.
pub(crate) fn page(
    page: &RowPage,
    form: Form,
    method: &Method,
    first: u64,
    next: Option<String>,
    masked: &[String],
) -> Result<Response> {
    let n = page.rows.len() as u64;
    let (mime, bytes) = match form {
        Form::Json => ("application/json; charset=utf-8", json(page)?),
        Form::Csv => ("text/csv; charset=utf-8", csv(page)?),
        Form::Single => match page.rows.as_slice() {
            [row] => (
                "application/vnd.pgrst.object+json; charset=utf-8",
                serde_json::to_vec(&RowView { columns: &page.columns, row }).map_err(broken)?,
            ),
            rows => {
                return Err(Error::new(
                    Code::NotAcceptable,
                    format!("要求单个对象，但有 {} 行符合条件", rows.len()),
                    format!("a single object was asked for, but {} rows match", rows.len()),
                ));
            }
        },
    };
    let total = page.total.map_or_else(|| "*".to_owned(), |t| t.to_string());
    let range =
        if n == 0 { format!("*/{total}") } else { format!("{first}-{}/{total}", first + n - 1) };
    // As PostgREST: 206 when the total is known and this is not all of it.
    let status = match page.total {
        Some(total) if n < total && n > 0 => StatusCode::PARTIAL_CONTENT,
        _ => StatusCode::OK,
    };
    let mut answer = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, mime)
        .header("content-range", range)
        .header("range-unit", "items")
        .header(header::CACHE_CONTROL, "no-store");
    if let Some(next) = next {
        answer = answer.header(header::LINK, format!("<{next}>; rel=\"next\""));
    }
    if !masked.is_empty() {
        answer = answer.header("x-qt-masked", masked.join(","));
    }
    let body = if method == Method::HEAD { Body::empty() } else { Body::from(bytes) };
    answer.body(body).map_err(|e| Error::internal("cannot build the answer").caused_by(e))
}

fn broken(e: serde_json::Error) -> Error {
    Error::internal("cannot write JSON").caused_by(e)
}

fn json(page: &RowPage) -> Result<Vec<u8>> {
    struct All<'a>(&'a RowPage);
    impl Serialize for All<'_> {
        fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
            let mut seq = s.serialize_seq(Some(self.0.rows.len()))?;
            for row in &self.0.rows {
                seq.serialize_element(&RowView { columns: &self.0.columns, row })?;
            }
            seq.end()
        }
    }
    serde_json::to_vec(&All(page)).map_err(broken)
}

struct RowView<'a> {
    columns: &'a [String],
    row: &'a [Value],
}

impl Serialize for RowView<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(self.columns.len()))?;
        for (column, value) in self.columns.iter().zip(self.row) {
            map.serialize_entry(column, value)?;
        }
        map.end()
    }
}

fn csv(page: &RowPage) -> Result<Vec<u8>> {
    let failed = |e: ::csv::Error| Error::internal("cannot write CSV").caused_by(e);
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.write_record(&page.columns).map_err(failed)?;
    for row in &page.rows {
        writer.write_record(row.iter().map(|v| v.to_text().unwrap_or_default())).map_err(failed)?;
    }
    writer.into_inner().map_err(|e| Error::internal("cannot write CSV").caused_by(e.to_string()))
}

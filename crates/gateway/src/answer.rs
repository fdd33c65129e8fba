//! Answers: errors as one JSON shape, rows as JSON, CSV or a single object.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Timelike, Utc};
use model::op::OUT_OF_SCOPE;
use model::query::RowPage;
use model::value::Row;
use model::{Actor, Code, Error, Kind, Op, Result};
use serde::Serialize;

use crate::Door;

/// An error on its way to a machine, with the request it is told by.
pub(crate) struct Refusal {
    error: Error,
    request_id: String,
    at: DateTime<Utc>,
    proof: Proof,
}

/// How a caller proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// In no way.
    Nothing,
    Signature,
    /// An access token (`Authorization: Bearer`).
    Token,
    /// The certificate of its connection.
    Certificate,
}

impl Refusal {
    pub(crate) fn new(error: Error, op: &Op) -> Self {
        Self { error, request_id: op.request_id.clone(), at: op.at, proof: Proof::Nothing }
    }

    /// The same to a caller that proved, or failed to prove, who it is in this way: what it can do about it depends on that.
    pub(crate) fn proving(self, proof: Proof) -> Self {
        Self { proof, ..self }
    }

    /// Challenges that go with the answer (RFC 9110 §11.6.1), one a header: of the way the caller took, with what is wrong with its
    /// token (RFC 6750 §3.1); of all ways there are to one that took none.
    pub(crate) fn challenges(&self) -> &'static [&'static str] {
        match (self.error.code().status(), self.proof) {
            (401, Proof::Token) => &[TOKEN_REFUSED],
            (401, Proof::Signature) => &[SIGNING],
            // HTTP has no challenge for a certificate, which is shown before any call.
            (401, Proof::Certificate | Proof::Nothing) => &[TOKEN, SIGNING],
            // Only a token has a scope.
            (403, _) if self.error.reasons().iter().any(|r| r == OUT_OF_SCOPE) => &[TOKEN_NARROW],
            _ => &[],
        }
    }

    /// Error, request id and seconds after which to ask again, for a protocol that tells them in its own way.
    pub(crate) fn into_parts(self) -> (Error, String, Option<u64>) {
        let after = retry_after(&self.error, self.at);
        (self.error, self.request_id, after)
    }

    /// The error, for a convention that tells it in its own way.
    pub(crate) fn into_error(self) -> Error {
        self.error
    }
}

const SIGNING: &str = "QT-HMAC realm=\"qiantang\"";
const TOKEN: &str = "Bearer realm=\"qiantang\"";
const TOKEN_REFUSED: &str = "Bearer realm=\"qiantang\", error=\"invalid_token\"";
const TOKEN_NARROW: &str = "Bearer realm=\"qiantang\", error=\"insufficient_scope\"";

/// Puts challenges to an answer, each as a header of its own: not every client finds a second one within a header.
pub(crate) fn challenge(headers: &mut HeaderMap, ways: &[&'static str]) {
    for way in ways {
        headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static(way));
    }
}

/// `code`, `message`, `details`, `hint` are the fields PostgREST clients read; the others are ours.
#[derive(Serialize)]
struct ErrorBody<'a> {
    code: &'a str,
    message: &'a str,
    message_zh: &'a str,
    /// Fields to mend.
    details: Option<Vec<String>>,
    hint: &'a str,
    hint_zh: &'a str,
    /// Rules that decided (*answer with reasons*).
    reasons: &'a [String],
    request_id: &'a str,
}

/// Whether the caller has already what it asks for, by its tag.
pub(crate) fn has(headers: &HeaderMap, tag: &str) -> bool {
    let lines = headers.get_all(header::IF_NONE_MATCH).iter();
    model::tag::held(lines.filter_map(|v| v.to_str().ok()), tag)
}

/// The answer with the id by which its record in the audit chain is found.
pub(crate) fn told_by(mut answer: Response, op: &Op) -> Response {
    if let Ok(id) = HeaderValue::from_str(&op.request_id) {
        answer.headers_mut().insert(REQUEST_ID, id);
    }
    answer
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error = &self.error;
        let code = error.code();
        let status =
            StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_server_error() {
            tracing::error!(request.id = %self.request_id, error = %error.operator_text(), "a call failed");
        }
        metrics::counter!("qt_gateway_refusals_total", "code" => code.as_str()).increment(1);
        let (hint_zh, hint) = hint(code, self.proof);
        let details: Vec<String> =
            error.fields().iter().map(|f| format!("{}: {} / {}", f.field, f.en, f.zh)).collect();
        let body = ErrorBody {
            code: code.as_str(),
            message: error.en(),
            message_zh: error.zh(),
            details: (!details.is_empty()).then_some(details),
            hint,
            hint_zh,
            reasons: error.reasons(),
            request_id: &self.request_id,
        };
        let mut response = (status, Json(body)).into_response();
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        challenge(response.headers_mut(), self.challenges());
        if let Some(seconds) = retry_after(error, self.at) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// What a caller can do, Chinese and English: by code, and where the code is about its proof, by the way in which it proves itself.
fn hint(code: Code, proof: Proof) -> (&'static str, &'static str) {
    use Code::{SecretExpired, SignatureMismatch, SignatureMissing};
    match (code, proof) {
        (SignatureMissing, Proof::Nothing) => (
            "任选一种方式证明身份：按 /openapi.json 的说明签名；或以 Authorization: Bearer 带上 /oauth2/token 发给的令牌；或出示已登记的客户端证书",
            "prove who calls in one way: sign as /openapi.json says, bring a token of /oauth2/token by `Authorization: Bearer`, or show a client certificate that is registered",
        ),
        (SignatureMismatch | SecretExpired, Proof::Token) => (
            "核对 Authorization 请求头：令牌须由 /oauth2/token 发给在用的应用，未到期、未撤销；否则重新取得令牌后再调用",
            "check the header `Authorization`: the token must be one that /oauth2/token gave to an application in use, not past its end, not revoked; otherwise fetch a new one, then call again",
        ),
        (SignatureMismatch | SecretExpired, Proof::Certificate) => (
            "核对所出示的客户端证书：须登记给在用的应用，且在有效期内",
            "check the client certificate that is shown: it must be registered for an application in use, and within its dates",
        ),
        _ => (code.help_zh(), code.help_en()),
    }
}

/// Seconds after which the same call may succeed: the rate is by the second, the quota by the civil day in China.
/// What the error itself says goes before, so that header and message are one number.
fn retry_after(error: &Error, at: DateTime<Utc>) -> Option<u64> {
    if let Some(seconds) = error.seconds() {
        return Some(seconds);
    }
    match error.code() {
        Code::QuotaUsedUp => {
            let now = at.with_timezone(&model::op::china()).time();
            Some(u64::from(86_400_u32.saturating_sub(now.num_seconds_from_midnight())))
        }
        other if other.kind() == Kind::Exhausted => Some(1),
        other if other.kind() == Kind::Unavailable => Some(5),
        _ => None,
    }
}

/// Anything that is not a route.
pub(crate) async fn no_such_route(State(door): State<Door>, uri: Uri) -> Refusal {
    let path: String = uri.path().chars().take(200).collect();
    Refusal::new(Error::not_found("接口", "route", &path), &door.app.op(Actor::Nobody, "-"))
}

/// A route that is not offered by this method; `Allow` names those that are.
pub(crate) async fn no_such_method(State(door): State<Door>, method: Method) -> Refusal {
    let method: String = method.as_str().chars().take(20).collect();
    let error = Error::new(
        Code::MethodNotAllowed,
        format!("此接口只读，不支持方法 {method}"),
        format!("this interface only reads; it does not offer the method {method}"),
    );
    Refusal::new(error, &door.app.op(Actor::Nobody, "-"))
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
    /// Chooses by `Accept` (RFC 9110 12.5.1): the offered type of the highest weight, the first listed of equals.
    pub(crate) fn choose(accept: Option<&str>) -> Result<Self> {
        let Some(accept) = accept else { return Ok(Form::Json) };
        let mut best: Option<(Form, u16)> = None;
        for part in accept.split(',') {
            let mut parts = part.split(';').map(str::trim);
            let form = match parts.next().unwrap_or_default() {
                "" | "*/*" | "application/*" | "application/json" => Form::Json,
                "text/csv" | "text/*" => Form::Csv,
                "application/vnd.pgrst.object+json" => Form::Single,
                _ => continue,
            };
            let weight = parts.find_map(weight).unwrap_or(1000);
            if weight > best.map_or(0, |(_, most)| most) {
                best = Some((form, weight));
            }
        }
        best.map(|(form, _)| form).ok_or_else(|| {
            Error::new(
                Code::NotAcceptable,
                "可返回 application/json、text/csv 或 application/vnd.pgrst.object+json",
                "offered are application/json, text/csv and application/vnd.pgrst.object+json",
            )
        })
    }
}

/// `q=0.5` in thousandths; what is no weight, or no number, counts as not said.
fn weight(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    let value = value.trim().parse::<f32>().ok().filter(|q| (0.0..=1.0).contains(q))?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between nought and a thousand"
    )]
    name.trim().eq_ignore_ascii_case("q").then_some((value * 1000.0).round() as u16)
}

/// What stands around a page of rows in its answer.
pub(crate) struct Around<'a> {
    pub(crate) form: Form,
    pub(crate) method: &'a Method,
    /// Rows before the page; `None` when the position does not tell.
    pub(crate) first: Option<u64>,
    /// Address of the next page.
    pub(crate) next: Option<String>,
    pub(crate) masked: &'a [String],
    pub(crate) calls_left: Option<u64>,
    /// Watermark that the rows bear.
    pub(crate) mark: Option<&'a str>,
}

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RANGE_UNIT: HeaderName = HeaderName::from_static("range-unit");
pub(crate) const MASKED: HeaderName = HeaderName::from_static("x-qt-masked");
pub(crate) const CALLS_LEFT: HeaderName = HeaderName::from_static("x-qt-calls-left");
pub(crate) const WATERMARK: HeaderName = HeaderName::from_static("x-qt-watermark");

/// A page of rows in the wanted form.
pub(crate) fn page(page: &RowPage, around: Around<'_>) -> Result<Response> {
    let n = page.rows.len() as u64;
    let (mime, bytes) = match around.form {
        Form::Json => ("application/json; charset=utf-8", json(page)?),
        Form::Csv => ("text/csv; charset=utf-8", csv(page)?),
        Form::Single => match page.rows.as_slice() {
            [row] => (
                "application/vnd.pgrst.object+json; charset=utf-8",
                Objects::of(&page.columns)?.write("", std::slice::from_ref(row), "")?,
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
    let text = |value: &str| {
        let unfit = "a header of an answer";
        HeaderValue::from_bytes(value.as_bytes()).map_err(|e| Error::internal(unfit).caused_by(e))
    };
    // As PostgREST: 206 when the total is known and this is not all of it.
    let status = match page.total {
        Some(total) if n < total && n > 0 => StatusCode::PARTIAL_CONTENT,
        _ => StatusCode::OK,
    };
    let mut headers = HeaderMap::with_capacity(HEADERS);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(mime));
    headers.insert(header::CONTENT_RANGE, text(&content_range(around.first, n, page.total))?);
    headers.insert(RANGE_UNIT, HeaderValue::from_static("items"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(next) = around.next {
        headers.insert(header::LINK, text(&format!("<{next}>; rel=\"next\""))?);
    }
    if !around.masked.is_empty() {
        headers.insert(MASKED, text(&around.masked.join(","))?);
    }
    if let Some(left) = around.calls_left {
        headers.insert(CALLS_LEFT, HeaderValue::from(left));
    }
    if let Some(mark) = around.mark {
        headers.insert(WATERMARK, text(mark)?);
    }
    let body = if around.method == Method::HEAD { Body::empty() } else { Body::from(bytes) };
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    Ok(answer)
}

/// Headers of an answer at most, with those that are put to it on its way out: room for them is made at once.
const HEADERS: usize = 12;

/// `0-24/3000`; `*` where a number is not known or there is no row.
fn content_range(first: Option<u64>, rows: u64, total: Option<u64>) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(32);
    // Writing into a String cannot fail.
    let _ = match first.filter(|_| rows > 0) {
        Some(first) => write!(text, "{first}-{}/", first.saturating_add(rows - 1)),
        None => write!(text, "*/"),
    };
    let _ = match total {
        Some(total) => write!(text, "{total}"),
        None => write!(text, "*"),
    };
    text
}

fn broken(e: serde_json::Error) -> Error {
    Error::internal("cannot write JSON").caused_by(e)
}

/// Rows as a JSON list of objects.
pub(crate) fn json(page: &RowPage) -> Result<Vec<u8>> {
    Objects::of(&page.columns)?.write("[", &page.rows, "]")
}

/// Rows as JSON objects: what stands before each value is the same in every row and written once.
struct Objects {
    /// `{"a":,"b":`
    names: Vec<u8>,
    /// Where what stands before each value ends.
    ends: Vec<usize>,
}

impl Objects {
    fn of(columns: &[String]) -> Result<Self> {
        let room = columns.iter().map(|name| name.len() + 4).sum();
        let (mut names, mut ends) = (Vec::with_capacity(room), Vec::with_capacity(columns.len()));
        for (n, name) in columns.iter().enumerate() {
            names.push(if n == 0 { b'{' } else { b',' });
            serde_json::to_writer(&mut names, name).map_err(broken)?;
            names.push(b':');
            ends.push(names.len());
        }
        Ok(Self { names, ends })
    }

    /// Objects with commas between, behind `open` and before `close`.
    fn write(&self, open: &str, rows: &[Row], close: &str) -> Result<Vec<u8>> {
        let row = self.names.len() + self.ends.len() * VALUE + 2;
        let mut bytes = Vec::with_capacity(rows.len() * row + 2);
        bytes.extend_from_slice(open.as_bytes());
        for (n, row) in rows.iter().enumerate() {
            if n > 0 {
                bytes.push(b',');
            }
            if self.ends.is_empty() {
                bytes.push(b'{');
            }
            let mut begins = 0;
            for (ends, value) in self.ends.iter().zip(row) {
                bytes.extend_from_slice(self.names.get(begins..*ends).unwrap_or_default());
                begins = *ends;
                serde_json::to_writer(&mut bytes, value).map_err(broken)?;
            }
            bytes.push(b'}');
        }
        bytes.extend_from_slice(close.as_bytes());
        Ok(bytes)
    }
}

/// Bytes of a value for which room is made ahead.
const VALUE: usize = 24;

fn csv(page: &RowPage) -> Result<Vec<u8>> {
    let failed = |e: ::csv::Error| Error::internal("cannot write CSV").caused_by(e);
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.write_record(&page.columns).map_err(failed)?;
    for row in &page.rows {
        writer.write_record(row.iter().map(|v| v.to_text().unwrap_or_default())).map_err(failed)?;
    }
    writer.into_inner().map_err(|e| Error::internal("cannot write CSV").caused_by(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_the_highest_weight_is_taken() {
        let of = |accept: &str| Form::choose(Some(accept)).map_err(|e| e.code());
        assert_eq!(Form::choose(None).ok(), Some(Form::Json));
        assert_eq!(of("text/csv"), Ok(Form::Csv));
        assert_eq!(of("text/csv, application/json"), Ok(Form::Csv));
        assert_eq!(of("text/csv;q=0.5, application/json;q=0.9"), Ok(Form::Json));
        assert_eq!(of("application/json; charset=utf-8; q=0.1, text/csv; Q=0.2"), Ok(Form::Csv));
        assert_eq!(of("text/html, */*;q=0.8"), Ok(Form::Json));
        assert_eq!(of("application/json;q=0"), Err(Code::NotAcceptable));
        assert_eq!(of("text/html"), Err(Code::NotAcceptable));
    }

    #[test]
    fn names_of_columns_are_escaped_once_for_all_rows() {
        use model::value::Value;
        let page = |columns: &[&str], rows: Vec<Row>| RowPage {
            columns: columns.iter().map(|c| (*c).to_owned()).collect(),
            rows,
            total: None,
            next: None,
        };
        let rows = vec![
            vec![Value::Integer(1), Value::Text("甲\"".into())],
            vec![Value::Null, Value::Boolean(true)],
        ];
        let written = |page: &RowPage| String::from_utf8(json(page).unwrap()).unwrap();
        assert_eq!(
            written(&page(&["a", "\"b\n"], rows)),
            r#"[{"a":1,"\"b\n":"甲\""},{"a":null,"\"b\n":true}]"#
        );
        assert_eq!(written(&page(&[], vec![vec![], vec![]])), "[{},{}]");
        assert_eq!(written(&page(&["a"], vec![])), "[]");
    }

    #[test]
    fn a_page_tells_of_itself_in_headers() {
        let page_of = |total, rows| RowPage {
            columns: vec!["a".into()],
            rows: vec![vec![model::value::Value::Integer(1)]; rows],
            total,
            next: None,
        };
        let (get, masked) = (Method::GET, ["a".to_owned(), "b".to_owned()]);
        let around = |next: Option<&str>, mark| Around {
            form: Form::Json,
            method: &get,
            first: Some(0),
            next: next.map(str::to_owned),
            masked: &masked,
            calls_left: Some(41),
            mark,
        };
        let told = |answer: &Response, name: &str| {
            answer.headers().get(name).map(|v| v.to_str().unwrap().to_owned())
        };
        let answer =
            page(&page_of(Some(5), 2), around(Some("http://x/?after=t"), Some("m1"))).unwrap();
        assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
        for (name, value) in [
            ("content-type", "application/json; charset=utf-8"),
            ("content-range", "0-1/5"),
            ("range-unit", "items"),
            ("cache-control", "no-store"),
            ("link", "<http://x/?after=t>; rel=\"next\""),
            ("x-qt-masked", "a,b"),
            ("x-qt-calls-left", "41"),
            ("x-qt-watermark", "m1"),
        ] {
            assert_eq!(told(&answer, name).as_deref(), Some(value), "{name}");
        }
        let answer = page(&page_of(None, 1), around(None, None)).unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers().len(), 6);
        // What is no header is an error of ours, never a panic.
        assert!(page(&page_of(None, 1), around(Some("a\nb"), None)).is_err());
    }

    #[test]
    fn content_range_tells_what_is_known() {
        assert_eq!(content_range(Some(50), 25, Some(80)), "50-74/80");
        assert_eq!(content_range(Some(0), 1, None), "0-0/*");
        assert_eq!(content_range(None, 3, None), "*/*");
        assert_eq!(content_range(Some(0), 0, Some(0)), "*/0");
    }

    #[test]
    fn a_quota_starts_anew_at_midnight_in_china() {
        let at = |text: &str| text.parse().unwrap();
        let after = |code, text: &str| retry_after(&Error::of(code), at(text));
        let told = Error::of(Code::SourceUnavailable).after(11);
        assert_eq!(retry_after(&told, at("2026-03-02T17:00:00Z")), Some(11));
        assert_eq!(after(Code::QuotaUsedUp, "2026-03-02T15:59:00Z"), Some(60));
        assert_eq!(after(Code::QuotaUsedUp, "2026-03-02T16:00:00Z"), Some(86_400));
        assert_eq!(after(Code::RateLimited, "2026-03-02T16:00:00Z"), Some(1));
        assert_eq!(after(Code::NotFound, "2026-03-02T16:00:00Z"), None);
    }
}

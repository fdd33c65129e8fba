//! `/api/interface/{code}`: one call of an interface, its parameters in the address or in a JSON body.

use app::interface::{self, Answer, Body as Told, FileForm};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::response::Response;
use axum::routing::get;
use chrono::{DateTime, NaiveDate, NaiveTime};
use model::interface::{Arguments, Interface, InterfaceState};
use model::query::{Groups, RowPage};
use model::usage::Way;
use model::{Code, Error, Op, Result};
use serde_json::{Value, json};

use crate::answer::{self, CALLS_LEFT, MASKED, Refusal, WATERMARK};
use crate::caller::Caller;
use crate::{Door, flow, rows};

/// Most bytes of a body.
const LARGEST: usize = 1024 * 1024;

pub(crate) fn router() -> Router<Door> {
    Router::new().route("/api/interface/{code}", get(call).post(call))
}

async fn call(
    State(door): State<Door>,
    Path(code): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let started = std::time::Instant::now();
    let (parts, body) = request.into_parts();
    let bytes = read(&parts, body).await;
    // Who calls is made sure of before anything is said of the body.
    let signed = bytes.as_ref().map_or(&[][..], Vec::as_slice);
    let Caller(mut op) = Caller::with_body(&parts, &door, signed).await?;
    op.way = Way::Interface;
    let answered = async { respond(&door, &op, &code, &parts, &bytes?).await }.await;
    let figures = &door.figures;
    figures.seconds.record(started.elapsed().as_secs_f64());
    if answered.is_ok() { &figures.ok } else { &figures.refused }.increment(1);
    answered.map(|a| answer::told_by(a, &op)).map_err(|e| Refusal::new(e, &op))
}

/// The body of a `POST`; others have none.
pub(crate) async fn read(parts: &Parts, body: Body) -> Result<Vec<u8>> {
    if parts.method != Method::POST {
        return Ok(Vec::new());
    }
    let arriving = tokio::time::timeout(rows::LONGEST, to_bytes(body, LARGEST));
    let Ok(arrived) = arriving.await else {
        return Err(Error::new(
            Code::InvalidInput,
            format!("请求体应在 {} 秒内送达", rows::LONGEST.as_secs()),
            format!("a body must arrive within {} seconds", rows::LONGEST.as_secs()),
        ));
    };
    arrived.map(|b| b.to_vec()).map_err(|e| {
        Error::new(
            Code::TooLarge,
            format!("请求体最大 {LARGEST} 字节"),
            format!("a body has {LARGEST} bytes at most"),
        )
        .caused_by(e)
    })
}

async fn respond(door: &Door, op: &Op, code: &str, parts: &Parts, body: &[u8]) -> Result<Response> {
    let accept = parts.headers.get(header::ACCEPT).and_then(|v| v.to_str().ok());
    let form = form(accept)?;
    let mut given = Arguments::default();
    for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
        given.add(&name, value);
    }
    if !body.is_empty() {
        let body: Value = serde_json::from_slice(body).map_err(|e| {
            Error::new(Code::InvalidInput, "请求体应为 JSON 对象", "the body must be a JSON object")
                .caused_by(e)
        })?;
        given.add_json(&body)?;
    }
    let calling = interface::call(&door.app, op, code, given);
    let answer = match tokio::time::timeout(rows::LONGEST, calling).await {
        Ok(answer) => answer?,
        Err(_) => return Err(rows::too_slow(door, op, code).await),
    };
    write(answer, form)
}

/// A file is sent as CSV or as lines of JSON; every other answer is JSON.
fn form(accept: Option<&str>) -> Result<FileForm> {
    let Some(accept) = accept else { return Ok(FileForm::Csv) };
    let kinds = || accept.split(',').filter_map(|part| part.split(';').next()).map(str::trim);
    for kind in kinds() {
        match kind {
            "application/x-ndjson" | "application/json" => return Ok(FileForm::Lines),
            "" | "*/*" | "application/*" | "text/csv" | "text/*" => return Ok(FileForm::Csv),
            _ => {}
        }
    }
    Err(Error::new(
        Code::NotAcceptable,
        "可返回 application/json；文件为 text/csv 或 application/x-ndjson",
        "offered is application/json; a file as text/csv or application/x-ndjson",
    ))
}

fn write(answer: Answer, form: FileForm) -> Result<Response> {
    let version = answer.interface.version;
    let mut builder =
        Response::builder().header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if !answer.masked.is_empty()
        && let Ok(masked) = HeaderValue::from_str(&answer.masked.join(","))
    {
        builder = builder.header(MASKED, masked);
    }
    if let Some(left) = answer.calls_left {
        builder = builder.header(CALLS_LEFT, left);
    }
    if let Some(mark) = &answer.mark {
        builder = builder.header(WATERMARK, mark);
    }
    if let Some(age) = answer.age {
        builder = builder.header(header::AGE, age);
    }
    let around = |rest: Value| -> Result<Vec<u8>> {
        let mut whole = json!({ "interface": answer.interface.code, "version": version });
        if let (Some(whole), Value::Object(rest)) = (whole.as_object_mut(), rest) {
            whole.extend(rest);
        }
        serde_json::to_vec(&whole).map_err(|e| Error::internal("cannot write JSON").caused_by(e))
    };
    let (mime, body) = match answer.body {
        Told::Rows(page) => {
            let rest = around(json!({ "next": page.next, "total": page.total }))?;
            ("application/json; charset=utf-8", Body::from(with_rows(rest, &page)?))
        }
        Told::Groups(groups) => {
            let rest = around(json!({ "hidden": groups.hidden }))?;
            ("application/json; charset=utf-8", Body::from(with_rows(rest, &page_of(groups))?))
        }
        Told::Verdict(right) => {
            let zh = if right { "是" } else { "否" };
            let whole = around(json!({ "verdict": right, "verdict_zh": zh }))?;
            ("application/json; charset=utf-8", Body::from(whole))
        }
        Told::Changes(pulled) => {
            let mut response = flow::respond(&pulled, false)?;
            tell_version(response.headers_mut(), &answer.interface);
            return Ok(response);
        }
        Told::File(file) => {
            let mime = match form {
                FileForm::Csv => "text/csv; charset=utf-8",
                FileForm::Lines => "application/x-ndjson",
            };
            (mime, Body::from_stream(file.bytes(form)))
        }
    };
    let mut response = builder
        .header(header::CONTENT_TYPE, HeaderValue::from_static(mime))
        .body(body)
        .map_err(|e| Error::internal("cannot build the answer").caused_by(e))?;
    tell_version(response.headers_mut(), &answer.interface);
    Ok(response)
}

const VERSION: HeaderName = HeaderName::from_static("x-qt-version");
const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// What every answer tells of the version that gave it: its number; of a deprecated one since when it is (RFC 9745), and when it
/// ends (RFC 8594).
pub(crate) fn tell_version(headers: &mut HeaderMap, interface: &Interface) {
    headers.insert(VERSION, HeaderValue::from(interface.version));
    if interface.state != InterfaceState::Deprecated {
        return;
    }
    let since = DateTime::parse_from_rfc3339(interface.deprecated_since()).ok();
    let since = since.map(|at| format!("@{}", at.timestamp()));
    for (name, text) in [(DEPRECATION, since), (SUNSET, sunset(&interface.until))] {
        if let Some(value) = text.and_then(|t| HeaderValue::from_str(&t).ok()) {
            headers.insert(name, value);
        }
    }
}

/// Figures by group as a page of rows.
pub(crate) fn page_of(groups: Groups) -> RowPage {
    RowPage { columns: groups.columns, rows: groups.rows, total: None, next: None }
}

/// The rows at the end of an object that has been written: they are serialised once, in the order of their columns.
fn with_rows(mut object: Vec<u8>, page: &RowPage) -> Result<Vec<u8>> {
    object.pop();
    object.extend_from_slice(b",\"rows\":");
    object.extend(answer::json(page)?);
    object.push(b'}');
    Ok(object)
}

/// The end of a day in China as RFC 8594 wants it.
fn sunset(day: &str) -> Option<String> {
    let day: NaiveDate = day.parse().ok()?;
    let end = day.succ_opt()?.and_time(NaiveTime::MIN).and_local_timezone(model::op::china());
    let end = end.single()?.with_timezone(&chrono::Utc);
    Some(end.format("%a, %d %b %Y %H:%M:%S GMT").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_at_midnight_in_china() {
        assert_eq!(sunset("2026-03-02").as_deref(), Some("Mon, 02 Mar 2026 16:00:00 GMT"));
        assert_eq!(sunset(""), None);
    }

    #[test]
    fn rows_stand_at_the_end_of_the_object() {
        let page = RowPage {
            columns: vec!["a".into()],
            rows: vec![vec![model::value::Value::Integer(1)]],
            total: None,
            next: None,
        };
        let whole = with_rows(br#"{"next":null}"#.to_vec(), &page).unwrap();
        assert_eq!(String::from_utf8(whole).unwrap(), r#"{"next":null,"rows":[{"a":1}]}"#);
        assert_eq!(form(Some("application/x-ndjson")).unwrap(), FileForm::Lines);
        assert_eq!(form(None).unwrap(), FileForm::Csv);
        assert!(form(Some("text/html")).is_err());
    }
}

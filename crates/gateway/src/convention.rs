//! The province's older calling convention, so that programs written for it work with only the address changed:
//!
//! ```text
//! /gateway/app/refreshTokenByKey.htm    appKey requestTime sign = md5(appKey + appSecret + requestTime)
//! /gateway/app/refreshTokenBySec.htm                       sign = md5(appKey + refreshSecret + requestTime)
//! /gateway/api/{region}/dataSharing/{code}.htm             sign = md5(appKey + requestSecret + requestTime)
//! ```
//!
//! The three values and the parameters come in the address, in headers (the three only), as a form or in a JSON body. Every answer
//! is `200` with the outcome in `code`. Legacy: only served while it is switched on (`app::account::convention_on`); a call passes
//! the same gate, quota, masks and audit as any other.

use std::sync::Arc;

use app::account::{self, ConventionSecrets, ConventionSign};
use app::interface::{self, Answer, Body as Told};
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use model::interface::Arguments;
use model::query::RowPage;
use model::usage::Way;
use model::{Actor, Code, Error, Kind, Op, Result};
use serde_json::{Value, json};

use crate::answer::{self, Refusal};
use crate::caller::{address, failed, guessing, purpose};
use crate::evidence::Asker;
use crate::flood::network;
use crate::interface::{page_of, read, tell_version};
use crate::{Door, rows};

pub(crate) fn router() -> Router<Door> {
    Router::new()
        .route("/gateway/app/refreshTokenByKey.htm", get(by_key).post(by_key))
        .route("/gateway/app/refreshTokenBySec.htm", get(by_secret).post(by_secret))
        .route("/gateway/api/{region}/dataSharing/{code}", get(call).post(call))
        .route("/gateway/api/{region}/national/dataSharing/{code}", get(call).post(call))
}

/// What a caller gave, whichever way.
struct Given {
    key: String,
    time: String,
    sign: String,
    /// Rows of a page, when they were said.
    size: Option<u64>,
    rest: Arguments,
}

/// Names of what signs a call.
const SIGNING: [&str; 3] = ["appKey", "requestTime", "sign"];

async fn given(request: Request) -> (Parts, Result<Given>) {
    let (parts, body) = request.into_parts();
    let bytes = read(&parts, body).await;
    let given = bytes.and_then(|bytes| gather(&parts, &bytes));
    (parts, given)
}

fn gather(parts: &Parts, body: &[u8]) -> Result<Given> {
    let mut rest = Arguments::default();
    rest.lenient = true;
    let query = parts.uri.query().unwrap_or_default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        rest.add(&name, value);
    }
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let form = kind.is_some_and(|k| k.starts_with("application/x-www-form-urlencoded"));
    if form {
        for (name, value) in form_urlencoded::parse(body) {
            rest.add(&name, value);
        }
    } else if !body.is_empty() {
        // Clients of this convention send empty and unlabelled bodies, too: what is no JSON object is left aside.
        if let Ok(object @ Value::Object(_)) = serde_json::from_slice(body) {
            rest.add_json(&object)?;
        }
    }
    let mut named = |name: &str| {
        let header = parts.headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        rest.take(name).or(header).unwrap_or_default()
    };
    let [key, time, sign] = SIGNING.map(&mut named);
    if let Some(page) = rest.take("pageNum") {
        rest.add("page", page);
    }
    let size = rest.take("pageSize");
    if let Some(size) = &size {
        rest.add("limit", size.as_str());
    }
    let size = size.and_then(|s| s.trim().parse().ok());
    Ok(Given { key, time, sign, size, rest })
}

async fn by_key(State(door): State<Door>, request: Request) -> Response {
    let (parts, given) = given(request).await;
    refresh(&door, &parts, given, true).await
}

async fn by_secret(State(door): State<Door>, request: Request) -> Response {
    let (parts, given) = given(request).await;
    refresh(&door, &parts, given, false).await
}

/// An operation of nobody yet, and whether the convention is served at all.
async fn opened(door: &Door, parts: &Parts) -> Result<Op, Box<Response>> {
    let mut op = door.app.op(Actor::Nobody, &address(parts).to_string());
    op.way = Way::Irs;
    door.tidy(op.at.timestamp());
    match account::convention_on(&door.app, &op).await {
        Ok(true) => Ok(op),
        Ok(false) => Err(Box::new(absent(door, &parts.uri).await)),
        Err(e) => Err(Box::new(refused(&op, &e))),
    }
}

/// As if there were no such route.
async fn absent(door: &Door, uri: &Uri) -> Response {
    answer::no_such_route(State(door.clone()), uri.clone()).await.into_response()
}

async fn refresh(door: &Door, parts: &Parts, given: Result<Given>, by_key: bool) -> Response {
    let op = match opened(door, parts).await {
        Ok(op) => op,
        Err(response) => return *response,
    };
    let outcome = async {
        let network = network(address(parts));
        guessing(door, network, &op)?;
        if door.anonymous.check_key(&network).is_err() {
            return Err(Error::of(Code::RateLimited));
        }
        let given = given?;
        let sign = signed(&given)?;
        match by_key {
            true => account::convention_by_key(&door.app, &op, &sign).await,
            false => account::convention_by_refresh(&door.app, &op, &sign).await,
        }
    }
    .await;
    match outcome {
        Ok(secrets) => secrets_told(&secrets),
        Err(e) => noted(door, parts, &op, &e).await,
    }
}

fn signed(given: &Given) -> Result<ConventionSign<'_>> {
    for (name, value) in SIGNING.iter().zip([&given.key, &given.time, &given.sign]) {
        if value.is_empty() {
            return Err(Error::new(
                Code::SignatureMissing,
                format!("缺少参数 {name}"),
                format!("the parameter {name} is missing"),
            ));
        }
    }
    Ok(ConventionSign { key: &given.key, time: &given.time, sign: &given.sign })
}

async fn call(
    State(door): State<Door>,
    Path(places): Path<Vec<(String, String)>>,
    request: Request,
) -> Response {
    let started = std::time::Instant::now();
    let (parts, given) = given(request).await;
    let mut op = match opened(&door, &parts).await {
        Ok(op) => op,
        Err(response) => return *response,
    };
    let code = places.iter().find(|(name, _)| name == "code").map_or("", |(_, v)| v.as_str());
    let code = code.strip_suffix(".htm").unwrap_or(code);
    let outcome = async {
        guessing(&door, network(address(&parts)), &op)?;
        let given = given?;
        let actor = account::convention_call(&door.app, &op, &signed(&given)?).await?;
        app::halt::admit(&door.app, &op, &actor).await?;
        op.actor = actor;
        op.purpose = purpose(&parts, &door)?;
        let calling = interface::call(&door.app, &op, code, given.rest);
        match tokio::time::timeout(rows::LONGEST, calling).await {
            Ok(answer) => {
                let answer = answer?;
                let version = Arc::clone(&answer.interface);
                let mut told = told(&op, given.size, answer)?;
                tell_version(told.headers_mut(), &version);
                // A refusal is `200`, too: only what was answered has a receipt.
                if let Some(asker) = parts.extensions.get::<Asker>() {
                    asker.known(&op, "irs");
                }
                Ok(told)
            }
            Err(_) => Err(rows::too_slow(&door, &op, code).await),
        }
    }
    .await;
    let figures = &door.figures;
    figures.seconds.record(started.elapsed().as_secs_f64());
    if outcome.is_ok() { &figures.ok } else { &figures.refused }.increment(1);
    match outcome {
        Ok(response) => response,
        Err(e) => noted(&door, &parts, &op, &e).await,
    }
}

/// A refusal; one of a signature leaves a record, as everywhere.
async fn noted(door: &Door, parts: &Parts, op: &Op, error: &Error) -> Response {
    if error.kind() == Kind::Unauthenticated
        && let Err(refusal) = failed(parts, door, network(address(parts)), op, error).await
    {
        return refused(op, &Refusal::into_error(refusal));
    }
    refused(op, error)
}

/// Codes of the convention: 00, 11, 14 and 18 are the province's own; 9x say what those leave unsaid.
fn outcome_code(error: &Error) -> &'static str {
    match error.code() {
        Code::SecretExpired => "11",
        Code::SignatureMissing
        | Code::SignatureMismatch
        | Code::TimestampOutOfWindow
        | Code::Replayed => "14",
        Code::QuotaUsedUp | Code::RateLimited => "18",
        _ => match error.kind() {
            Kind::Denied | Kind::NotFound | Kind::Unauthenticated => "91",
            Kind::Invalid | Kind::Conflict | Kind::TooLarge => "90",
            Kind::Exhausted => "18",
            Kind::Unavailable | Kind::Internal => "99",
        },
    }
}

fn refused(op: &Op, error: &Error) -> Response {
    if matches!(error.kind(), Kind::Unavailable | Kind::Internal) {
        tracing::error!(request.id = %op.request_id, error = %error.operator_text(), "a call failed");
    }
    let message = format!("{} {}", error.zh(), error.en());
    enveloped(outcome_code(error), &message, Value::Null, (0, 0, 0), Some(&op.request_id))
}

fn enveloped(
    code: &str,
    message: &str,
    datas: Value,
    (count, total, pages): (u64, u64, u64),
    request_id: Option<&str>,
) -> Response {
    let mut response = Json(json!({
        "code": code, "msg": message, "data": "", "datas": datas, "dataCount": count,
        "totalDataCount": total, "totalPage": pages, "requestId": request_id, "interfaces": null,
    }))
    .into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn secrets_told(secrets: &ConventionSecrets) -> Response {
    let datas = json!({
        "refreshSecret": secrets.refresh, "refreshSecretEndTime": secrets.refresh_ends,
        "requestSecret": secrets.request, "requestSecretEndTime": secrets.request_ends,
    });
    enveloped("00", "成功", datas, (0, 0, 1), None)
}

/// The answer of an interface, its rows as a JSON text in `datas`.
fn told(op: &Op, size: Option<u64>, answer: Answer) -> Result<Response> {
    let (page, limit) = match answer.body {
        Told::Rows(page) => {
            let draft = &answer.interface.draft;
            (page, size.unwrap_or(draft.page_rows).clamp(1, draft.most_rows))
        }
        Told::Groups(groups) => (page_of(groups), u64::MAX),
        Told::Verdict(right) => {
            let word = if right { "是" } else { "否" };
            let datas = json!([{ "verdict": right, "result": word }]).to_string();
            return Ok(enveloped(
                "00",
                "成功",
                Value::String(datas),
                (1, 1, 1),
                Some(&op.request_id),
            ));
        }
        Told::Changes(pulled) => {
            let changes = pulled.changes.into_iter();
            let mut columns = vec!["op".to_owned()];
            columns.extend(pulled.columns);
            let row = |(operation, row): (model::batch::Operation, model::value::Row)| {
                let word = model::value::Value::Text(operation.as_str().to_owned());
                std::iter::once(word).chain(row).collect()
            };
            let rows = changes.map(row).collect();
            let page = RowPage { columns, rows, total: None, next: Some(pulled.next) };
            (page, u64::MAX)
        }
        Told::File(_) => {
            return Err(Error::new(
                Code::NotAcceptable,
                "文件接口请用新的调用方式（/api/interface）",
                "a file is fetched by the present convention (/api/interface)",
            ));
        }
    };
    let rows = answer::json(&page)?;
    let datas = String::from_utf8(rows)
        .map_err(|e| Error::internal("JSON that is not UTF-8").caused_by(e))?;
    let count = page.rows.len() as u64;
    let total = page.total.unwrap_or(count);
    let pages = total.div_ceil(limit.max(1)).max(1);
    Ok(enveloped("00", "成功", Value::String(datas), (count, total, pages), Some(&op.request_id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_the_codes_that_callers_know() {
        let code = |c| outcome_code(&Error::of(c));
        assert_eq!(code(Code::SecretExpired), "11");
        assert_eq!(code(Code::SignatureMismatch), "14");
        assert_eq!((code(Code::QuotaUsedUp), code(Code::RateLimited)), ("18", "18"));
        assert_eq!(
            (code(Code::NoGrant), code(Code::InvalidInput), code(Code::Internal)),
            ("91", "90", "99")
        );
    }
}

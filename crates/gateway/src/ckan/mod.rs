//! The Action API of CKAN (version 3), as its clients read it: `/api/3/action/{name}` and `/api/action/{name}`, by `GET` and `POST`,
//! and `/datastore/dump/{id}`. The caller is anybody: only what is open is told, a hidden and an unknown id answer alike, and
//! rows leave by the gate of `/api/v1`. Where the operator has switched it on, a person's token makes drafts (`write`).
//!
//! `params` reads what was sent, `fault` spells refusals, `shape` spells data sets, organisations and groups, `query` translates
//! Solr's language, `catalogue` and `listed` are the actions over the catalogue, `filters` and `table` those over rows, `sql` the
//! same by a statement, `dump` the files, `described` the whole in OpenAPI, `write` what a department's own programs hand in.

pub(crate) mod catalogue;
pub(crate) mod described;
mod dump;
mod fault;
mod filters;
mod help;
mod listed;
mod params;
mod query;
pub(crate) mod shape;
mod sql;
pub(crate) mod table;
mod write;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use model::Op;
use serde_json::{Value, json};

use crate::Door;
use crate::answer::{self, Refusal};
use crate::caller::anybody;
pub(crate) use fault::Fault;
pub(crate) use params::Params;
use write::Who;

pub(crate) fn router() -> Router<Door> {
    Router::new()
        // What is read is bounded where it is read: files are larger than questions.
        .route("/api/3/action/{name}", get(action).post(action).layer(DefaultBodyLimit::disable()))
        .route("/api/action/{name}", get(action).post(action).layer(DefaultBodyLimit::disable()))
        .route("/api/3", get(version))
        .route("/api/util/status", get(status))
        .route("/datastore/dump/{id}", get(dump::dump))
}

/// The version whose answers these are like.
const CKAN: &str = "2.12.0";

async fn version() -> Response {
    axum::Json(json!({ "version": 3 })).into_response()
}

/// What older clients look at to see whether CKAN is there.
async fn status(State(door): State<Door>) -> Response {
    axum::Json(status_show(&door)).into_response()
}

fn status_show(door: &Door) -> Value {
    json!({
        "ckan_version": CKAN,
        "site_url": door.config.public_url,
        "site_title": "钱塘公共数据平台 / Qiantang Public Data",
        "site_description": "公共数据开放 / open public data",
        "error_emails_to": null,
        "locale_default": "zh_Hans_CN",
        "extensions": ["datastore"],
    })
}

async fn action(State(door): State<Door>, Path(name): Path<String>, request: Request) -> Response {
    let started = std::time::Instant::now();
    let (parts, body) = request.into_parts();
    let op = match anybody(&parts, &door).await {
        Ok(op) => op,
        Err(refusal) => return told(&door, &name, None, Err(refused(refusal))),
    };
    let callback = params::callback(&parts);
    let outcome = match write::who(&parts, &door, &op, &name).await {
        Ok(who) => Box::pin(answered(&door, &op, &who, &name, (parts, body))).await,
        Err(fault) => Err(fault),
    };
    let figures = &door.figures;
    figures.seconds.record(started.elapsed().as_secs_f64());
    if outcome.is_ok() { &figures.ok } else { &figures.refused }.increment(1);
    answer::told_by(told(&door, &name, callback.as_deref(), outcome), &op)
}

/// Reads what was sent, with a file where one may come, and does what was asked.
async fn answered(
    door: &Door,
    op: &Op,
    who: &Who,
    name: &str,
    (parts, body): (Parts, Body),
) -> Result<Value, Fault> {
    let method = parts.method.clone();
    let (params, file) = match write::may_bring(&parts, name) {
        true => write::bring(door, who, name, Request::from_parts(parts, body)).await?,
        false => (params::read(parts, body).await?, None),
    };
    let running = Box::pin(async {
        match file {
            Some(file) => write::collect(door, who, &params, file).await,
            None => run(door, op, who, name, &method, &params).await,
        }
    });
    match tokio::time::timeout(crate::rows::LONGEST, running).await {
        Ok(outcome) => outcome,
        Err(_) => Err(crate::rows::too_slow(door, op, name).await.into()),
    }
}

/// A refusal before anything was read, with when to come again.
fn refused(refusal: Refusal) -> Fault {
    let (error, _, after) = refusal.into_parts();
    Fault::from(error).after(after)
}

async fn run(
    door: &Door,
    op: &Op,
    who: &Who,
    name: &str,
    method: &Method,
    params: &Params,
) -> Result<Value, Fault> {
    if let Some(told) = write::told(door, op, who, name, params).await? {
        return Ok(told);
    }
    match name {
        "status_show" => Ok(status_show(door)),
        "site_read" => Ok(Value::Bool(true)),
        "help_show" => help::show(params),
        "package_list" | "current_package_list_with_resources" => {
            listed::packages(door, op, name, params).await
        }
        "package_search" => catalogue::search(door, op, params).await,
        "package_show" => catalogue::show(door, op, params).await,
        "package_autocomplete" => listed::complete(door, op, params).await,
        "resource_show" => catalogue::resource(door, op, params).await,
        "resource_search" => catalogue::resources(door, op, params).await,
        "resource_view_list" => catalogue::views(door, op, params).await,
        "group_list" => listed::groups(door, op, params).await,
        "group_show" => listed::group(door, op, params).await,
        "group_package_show" => catalogue::of_group(door, op, params).await,
        "organization_list" => listed::organisations(door, op, params).await,
        "organization_show" => listed::organisation(door, op, params).await,
        "tag_list" => listed::tags(door, op, params).await,
        "tag_show" => listed::tag(door, op, params).await,
        "license_list" => Ok(shape::licences()),
        "user_list" | "vocabulary_list" | "organization_list_for_user" => Ok(json!([])),
        "format_autocomplete" => listed::formats(params),
        "datastore_search" => table::search(door, op, params).await,
        "datastore_info" => table::info(door, op, params).await,
        "datastore_search_sql" if door.config.ckan_sql => sql::search(door, op, params).await,
        "datastore_search_sql" => Err(Fault::denied(
            "本接口不提供 SQL 查询，请用 datastore_search，或以应用身份连接 SQL 接口",
            "SQL is not offered by this door: use datastore_search, or connect an application to the SQL door",
        )),
        write if write::is_write(write) && *method == Method::GET => {
            Err(Fault::bare("Bad request: Please use POST method"))
        }
        write if write::is_write(write) => write::run(door, op, who, write, params).await,
        unknown => {
            let shown: String = unknown.chars().take(80).collect();
            Err(Fault::bare(format!("Bad request: Action name not known: {shown}")))
        }
    }
}

/// The envelope around a result or a refusal.
fn told(
    door: &Door,
    name: &str,
    callback: Option<&str>,
    outcome: Result<Value, Fault>,
) -> Response {
    let shown = params::encoded(&name.chars().take(80).collect::<String>());
    let help = format!("{}/api/3/action/help_show?name={shown}", door.config.public_url);
    match outcome {
        Ok(result) => {
            let text = json!({ "help": help, "success": true, "result": result }).to_string();
            match callback {
                // Clients in browsers of old: a function's name and nothing else.
                Some(callback) => {
                    (kind("application/javascript"), format!("{callback}({text});")).into_response()
                }
                None => (kind("application/json"), text).into_response(),
            }
        }
        Err(fault) => fault.told(&help),
    }
}

fn kind(text: &'static str) -> [(header::HeaderName, HeaderValue); 2] {
    [
        (header::CONTENT_TYPE, HeaderValue::from_static(text)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ]
}

/// A refusal's status and body as JSON.
fn refusal(status: StatusCode, body: &Value, after: Option<u64>) -> Response {
    let mut response = (status, kind("application/json"), body.to_string()).into_response();
    if let Some(seconds) = after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

//! `POST /ledger/v1/{ledger}`: an application reports assets of its organisation (应用, 组件, 云资源) in lots.
//!
//! Body: `{"accept": "all" | "good", "rows": [{"code": "R-1", "name": "…", "region": "330000", "kind": "云服务器", …}]}`.
//! With `all` (the default) nothing is written when a row has a fault; with `good` the good rows are. Sent twice, the
//! second changes nothing. The answer tells every fault by the row's number.
//!
//! `GET /ledger/v1/{ledger}`: the whole ledger as DCAT or a workbook, by `Accept` or `format`: of the data ledger (`data`)
//! what the caller may know of, of the others an application's own organisation.

use std::collections::BTreeMap;

use app::ledger::dump::{self, Format, Places, Whole};
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use model::asset::Ledger;
use model::{Actor, Code, Error, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::Door;
use crate::answer::Refusal;
use crate::caller::Caller;

/// Largest body in bytes.
const LARGEST: usize = 8 * 1024 * 1024;

pub(crate) fn router() -> Router<Door> {
    Router::new().route("/ledger/v1/{ledger}", post(intake).get(whole))
}

async fn whole(
    State(door): State<Door>,
    Path(word): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    Caller(op): Caller,
) -> Result<Response, Refusal> {
    let outcome = async {
        let ledger = Ledger::ALL.into_iter().find(|l| l.as_str() == word).ok_or_else(|| {
            Error::not_found("台账", "ledger", &word.chars().take(40).collect::<String>())
        })?;
        let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok());
        let format = Format::chosen(query.get("format").map(String::as_str), accept)?;
        let base = &door.config.public_url;
        let places = Places {
            whole: Whole {
                base: format!("{base}/ledger/v1/{ledger}/"),
                title: format!("钱塘公共数据平台{}台账", ledger.zh()),
                title_en: format!("Qiantang Public Data, ledger of {}", ledger.en()),
            },
            data: format!("{base}/api/v1/"),
            api: format!("{base}/api/v1/"),
            console: String::new(),
            items: query.get("items").is_none_or(|v| v != "no"),
        };
        dump::dump(&door.app, &op, ledger, format, &places).await
    }
    .await;
    match outcome {
        Ok(dump) => {
            let kind = [(header::CONTENT_TYPE, dump.media_type), (header::VARY, "accept")];
            Ok((kind, Body::from_stream(dump.bytes)).into_response())
        }
        Err(e) => Err(Refusal::new(e, &op)),
    }
}

#[derive(Deserialize)]
struct Lot {
    #[serde(default)]
    accept: Accept,
    rows: Vec<BTreeMap<String, Value>>,
}

#[derive(Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Accept {
    #[default]
    All,
    Good,
}

async fn intake(
    State(door): State<Door>,
    Path(word): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let bytes = read(body).await;
    // Who calls is made sure of before anything is said of the body.
    let signed = bytes.as_ref().map_or(&[][..], Vec::as_slice);
    let Caller(op) = Caller::with_body(&parts, &door, signed).await?;
    let outcome = async {
        if op.actor == Actor::Nobody {
            return Err(Error::of(Code::SignatureMissing));
        }
        let ledger = Ledger::ASSETS.into_iter().find(|l| l.as_str() == word).ok_or_else(|| {
            Error::not_found("台账", "ledger", &word.chars().take(40).collect::<String>())
        })?;
        let lot: Lot = serde_json::from_slice(&bytes?).map_err(|e| {
            Error::invalid(
                format!("请求体不是可读的 JSON：{e}"),
                format!("the body is not the JSON expected: {e}"),
            )
        })?;
        let rows = lot.rows.into_iter().enumerate().map(texts).collect::<Result<Vec<_>>>()?;
        app::ledger::intake(&door.app, &op, ledger, rows, lot.accept == Accept::Good).await
    }
    .await;
    match outcome {
        Ok(report) => {
            let status =
                if report.applied { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
            Ok((status, Json(report)).into_response())
        }
        Err(e) => Err(Refusal::new(e, &op)),
    }
}

async fn read(body: Body) -> Result<Vec<u8>> {
    to_bytes(body, LARGEST).await.map(|b| b.to_vec()).map_err(|e| {
        Error::new(
            Code::TooLarge,
            format!("请求体超过 {LARGEST} 字节或传输中断，请分批"),
            format!("the body is larger than {LARGEST} bytes or broke off: send it in lots"),
        )
        .caused_by(e)
    })
}

/// A row's values as texts: numbers and truth values as written, lists joined; anything else is refused.
fn texts((n, row): (usize, BTreeMap<String, Value>)) -> Result<BTreeMap<String, String>> {
    row.into_iter()
        .map(|(key, value)| {
            let text = match value {
                Value::Null => String::new(),
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                Value::Bool(yes) => if yes { "是" } else { "否" }.to_owned(),
                Value::Array(list) if list.iter().all(Value::is_string) => {
                    list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("、")
                }
                _ => {
                    return Err(Error::invalid(
                        format!("rows[{n}].{key} 应为文字、数字或文字列表"),
                        format!("rows[{n}].{key} must be a text, a number or a list of texts"),
                    ));
                }
            };
            Ok((key, text))
        })
        .collect()
}

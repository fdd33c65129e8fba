//! Descriptions beside `/openapi.json`: one of each interface the caller may see, one of the doors for tokens, of CKAN and of the older
//! convention, and an index of them all (that of OGC API is written in its own door).

use app::interface;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use model::{Actor, Error, Op, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Door;
use crate::answer::Refusal;
use crate::caller::Caller;

pub(crate) fn router() -> Router<Door> {
    Router::new()
        .route("/openapi/index.json", get(index))
        .route("/openapi/doors.json", get(doors))
        .route("/api/interface/{code}/openapi.json", get(of_interface))
}

/// Interfaces on a page of the index.
const PAGE: u32 = 200;

#[derive(Deserialize)]
struct Paged {
    after: Option<String>,
}

async fn index(
    State(door): State<Door>,
    Caller(op): Caller,
    Query(paged): Query<Paged>,
) -> Result<Response, Refusal> {
    let found = listed(&door, &op, paged.after).await.map_err(|e| Refusal::new(e, &op))?;
    Ok(Json(found).into_response())
}

async fn listed(door: &Door, op: &Op, after: Option<String>) -> Result<Value> {
    let url = door.config.public_url.as_str();
    // What is told to nobody is not looked for.
    let page = match op.actor {
        Actor::Nobody => app::Page { items: Vec::new(), next: None },
        _ => interface::list(&door.app, op, false, None, after.as_deref(), PAGE).await?,
    };
    let one = |view: interface::InterfaceView| {
        let i = view.interface;
        json!({
            "code": i.code, "version": i.version, "state": i.state, "title": i.draft.title, "kind": i.draft.kind,
            "resource": i.draft.entry, "openapi": format!("{url}/api/interface/{}/openapi.json?version={}", i.code, i.version),
        })
    };
    Ok(json!({
        "resources": format!("{url}/openapi.json"),
        "doors": format!("{url}/openapi/doors.json"),
        "ogc": format!("{url}/ogc/api"),
        "interfaces": page.items.into_iter().map(one).collect::<Vec<_>>(),
        "next": page.next.map(|after| format!("{url}/openapi/index.json?after={after}")),
    }))
}

#[derive(Deserialize)]
struct Versioned {
    version: Option<String>,
}

async fn of_interface(
    State(door): State<Door>,
    Caller(op): Caller,
    Path(code): Path<String>,
    Query(asked): Query<Versioned>,
) -> Result<Response, Refusal> {
    let found = interface::described(&door.app, &op, &code, asked.version.as_deref()).await;
    let documented = found.map_err(|e| Refusal::new(e, &op))?;
    Ok(Json(interface::openapi(&documented, &door.config.public_url)).into_response())
}

async fn doors(State(door): State<Door>) -> Result<Response, Refusal> {
    let op = door.app.op(Actor::Nobody, "-");
    let told = async {
        let older = app::account::convention_on(&door.app, &op).await?;
        Ok::<_, Error>(describe_doors(&door.config.public_url, older))
    };
    told.await.map(|document| Json(document).into_response()).map_err(|e| Refusal::new(e, &op))
}

/// The doors for tokens, and those of the older convention while it is on.
fn describe_doors(url: &str, older: bool) -> Value {
    let mut paths = json!({
        "/oauth2/token": { "post": {
            "operationId": "token",
            "summary": "A token of OAuth 2 client credentials (RFC 6749 §4.4) / 取得访问令牌",
            "requestBody": form(&[
                ("grant_type", json!({ "type": "string", "enum": ["client_credentials"] }), true),
                ("client_id", json!({ "type": "string" }), false),
                ("client_secret", json!({ "type": "string" }), false),
                ("scope", json!({ "type": "string", "description": "Codes of resources and interfaces, parted by spaces / 以空格分隔的资源、接口编码" }), false),
            ]),
            "responses": oauth_responses(json!({
                "type": "object", "required": ["access_token", "token_type", "expires_in"],
                "properties": {
                    "access_token": { "type": "string" }, "token_type": { "const": "Bearer" },
                    "expires_in": { "type": "integer" }, "scope": { "type": "string" },
                },
            })),
        } },
        "/oauth2/revoke": { "post": {
            "operationId": "revoke",
            "summary": "Takes a token away (RFC 7009) / 作废访问令牌",
            "requestBody": form(&[
                ("token", json!({ "type": "string" }), true),
                ("client_id", json!({ "type": "string" }), false),
                ("client_secret", json!({ "type": "string" }), false),
            ]),
            "responses": oauth_responses(Value::Null),
        } },
    });
    if let Some(paths) = paths.as_object_mut() {
        paths.extend(crate::ckan::described::paths());
    }
    if older && let Some(paths) = paths.as_object_mut() {
        for (path, id, text) in [
            (
                "/gateway/app/refreshTokenByKey.htm",
                "refresh_by_key",
                "Secrets by the application's secret / 以应用密钥换取请求密钥",
            ),
            (
                "/gateway/app/refreshTokenBySec.htm",
                "refresh_by_secret",
                "Secrets by the refresh secret / 以刷新密钥换取请求密钥",
            ),
        ] {
            paths.insert(path.into(), older_path(id, text, &[]));
        }
        for (path, id) in [
            ("/gateway/api/{region}/dataSharing/{code}", "call_older"),
            ("/gateway/api/{region}/national/dataSharing/{code}", "call_older_national"),
        ] {
            let text = "One call of an interface; `code` with `.htm` / 调用接口";
            paths.insert(path.into(), older_path(id, text, &["region", "code"]));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "钱塘 Qiantang — 令牌、CKAN 与旧版调用方式 tokens, CKAN and the older convention",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "servers": [{ "url": url }],
        "paths": paths,
        "components": { "securitySchemes": { "client": { "type": "http", "scheme": "basic" } } },
    })
}

fn form(fields: &[(&str, Value, bool)]) -> Value {
    let properties: serde_json::Map<String, Value> =
        fields.iter().map(|(name, schema, _)| ((*name).to_owned(), schema.clone())).collect();
    let required: Vec<&str> = fields.iter().filter(|f| f.2).map(|f| f.0).collect();
    json!({ "required": true, "content": { "application/x-www-form-urlencoded": {
        "schema": { "type": "object", "required": required, "properties": properties },
    } } })
}

/// Refusals about the request are in the words of RFC 6749 §5.2, others as everywhere.
fn oauth_responses(body: Value) -> Value {
    let refusal = json!({ "type": "object", "properties": {
        "error": { "enum": ["invalid_client", "unsupported_grant_type", "invalid_scope", "invalid_request"] },
        "error_description": { "type": "string" }, "message_zh": { "type": "string" }, "request_id": { "type": "string" },
        "code": { "type": "string" }, "message": { "type": "string" },
    } });
    let told = |text: &str| json!({ "description": text, "content": { "application/json": { "schema": refusal } } });
    let mut answered = json!({ "description": "Done / 成功" });
    if let (Some(answered), false) = (answered.as_object_mut(), body.is_null()) {
        answered.insert("content".into(), json!({ "application/json": { "schema": body } }));
    }
    json!({
        "200": answered, "400": told("The request is wrong / 请求有误"), "401": told("The client is not known / 应用或密钥有误"),
        "403": told("Refused / 拒绝"), "405": told("The method is not offered / 不支持的方法"),
        "429": told("Too many / 过于频繁"), "503": told("Not available now / 暂不可用"),
    })
}

/// A call of the older convention: every outcome is 200, told by `code`.
fn older_path(id: &str, text: &str, places: &[&str]) -> Value {
    let query = |name: &str, text: &str, required: bool| json!({ "name": name, "in": "query", "required": required, "description": text, "schema": { "type": "string" } });
    let mut parameters: Vec<Value> = places
        .iter()
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } }))
        .collect();
    parameters.push(query("appKey", "Access key / 访问标识", true));
    parameters.push(query("requestTime", "Unix time in milliseconds / 毫秒时间戳", true));
    parameters.push(query("sign", "md5(appKey + secret + requestTime)", true));
    if !places.is_empty() {
        parameters.push(query("pageNum", "Page from 1 / 页码", false));
        parameters.push(query("pageSize", "Rows of a page / 每页行数", false));
    }
    let envelope = json!({
        "type": "object",
        "required": ["code", "msg", "data", "datas", "dataCount", "totalDataCount", "totalPage"],
        "properties": {
            "code": { "type": "string", "enum": ["00", "11", "14", "18", "90", "91", "99"] },
            "msg": { "type": "string" }, "data": { "type": "string" },
            "datas": { "type": ["string", "object", "null"] },
            "dataCount": { "type": "integer" }, "totalDataCount": { "type": "integer" }, "totalPage": { "type": "integer" },
            "requestId": { "type": ["string", "null"] },
        },
    });
    let json_of = |text: &str, schema: &Value| json!({ "description": text, "content": { "application/json": { "schema": schema } } });
    let refusal = json!({ "type": "object", "required": ["code", "message"] });
    json!({ "get": {
        "operationId": id, "summary": text, "deprecated": true, "parameters": parameters,
        "responses": {
            "200": json_of("The outcome is in `code` / 结果见 code", &envelope),
            "404": json_of("No such route / 没有此路径", &refusal),
            "405": json_of("The method is not offered / 不支持的方法", &refusal),
        },
    } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_convention_is_described_only_while_it_is_on() {
        let paths = |older| {
            let document = describe_doors("http://gate", older);
            document["paths"].as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        };
        let always = paths(false);
        for path in ["/oauth2/token", "/oauth2/revoke", "/api/3/action/package_search"] {
            assert!(always.iter().any(|known| known == path), "{path}");
        }
        assert!(!always.iter().any(|known| known.starts_with("/gateway/")));
        let all = paths(true);
        let older = all.iter().filter(|known| known.starts_with("/gateway/"));
        assert_eq!((older.count(), all.len()), (4, always.len() + 4));
    }
}

//! OAuth 2 client credentials: `POST /oauth2/token` (RFC 6749 §4.4) and `POST /oauth2/revoke` (RFC 7009), client key and secret by
//! HTTP Basic or in the form.

use app::account;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use model::{Actor, Code, Error, Kind, Op, Result};
use serde_json::json;

use crate::Door;
use crate::answer::Refusal;
use crate::caller::{address, failed, guessing};
use crate::flood::network;
use crate::interface::read;

pub(crate) fn router() -> Router<Door> {
    Router::new().route("/oauth2/token", post(token)).route("/oauth2/revoke", post(revoke))
}

/// A form with the client that sent it.
struct Asked {
    key: String,
    secret: String,
    fields: Vec<(String, String)>,
}

impl Asked {
    fn get(&self, name: &str) -> &str {
        self.fields.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str())
    }
}

async fn asked(request: Request) -> (Parts, Result<Asked>) {
    let (parts, body) = request.into_parts();
    let bytes = read(&parts, body).await;
    let asked = bytes.and_then(|bytes| {
        let fields: Vec<(String, String)> = form_urlencoded::parse(&bytes).into_owned().collect();
        let mut asked = Asked { key: String::new(), secret: String::new(), fields };
        (asked.key, asked.secret) = match basic(&parts)? {
            Some(pair) => pair,
            None => (asked.get("client_id").to_owned(), asked.get("client_secret").to_owned()),
        };
        Ok(asked)
    });
    (parts, asked)
}

/// Key and secret of HTTP Basic; both are form-encoded first (RFC 6749 §2.3.1).
fn basic(parts: &Parts) -> Result<Option<(String, String)>> {
    let Some(text) = parts.headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()) else {
        return Ok(None);
    };
    let Some(encoded) = text.strip_prefix("Basic ") else { return Ok(None) };
    let wrong = || Error::invalid("Authorization 请求头有误", "the Authorization header is wrong");
    let pair = account::basic(encoded).ok_or_else(wrong)?;
    let (key, secret) = pair.split_once(':').ok_or_else(wrong)?;
    let plain = |t: &str| {
        percent_encoding::percent_decode_str(t).decode_utf8().map(std::borrow::Cow::into_owned)
    };
    match (plain(key), plain(secret)) {
        (Ok(key), Ok(secret)) => Ok(Some((key, secret))),
        _ => Err(wrong()),
    }
}

async fn token(State(door): State<Door>, request: Request) -> Response {
    let (parts, asked) = asked(request).await;
    let op = door.app.op(Actor::Nobody, &address(&parts).to_string());
    let outcome = async {
        guessing(&door, network(address(&parts)), &op)?;
        let asked = asked?;
        match asked.get("grant_type") {
            "client_credentials" => {}
            "" => return Err(missing("grant_type")),
            _ => {
                return Err(Error::new(
                    Code::NotAcceptable,
                    "只支持 grant_type=client_credentials",
                    "only grant_type=client_credentials is offered",
                ));
            }
        }
        if asked.key.is_empty() || asked.secret.is_empty() {
            return Err(Error::new(
                Code::SignatureMissing,
                "缺少 client_id 或 client_secret：以 HTTP Basic 或在表单中给出应用的 key 与密钥",
                "client_id or client_secret is missing: give key and secret of the application by HTTP Basic or in the form",
            ));
        }
        account::token(&door.app, &op, &asked.key, &asked.secret, asked.get("scope")).await
    }
    .await;
    match outcome {
        Ok(token) => {
            let body = json!({
                "access_token": token.token, "token_type": "Bearer", "expires_in": token.seconds,
                "scope": token.scope,
            });
            quiet((StatusCode::OK, Json(body)).into_response())
        }
        Err(e) => refused(&door, &parts, &op, e).await,
    }
}

async fn revoke(State(door): State<Door>, request: Request) -> Response {
    let (parts, asked) = asked(request).await;
    let op = door.app.op(Actor::Nobody, &address(&parts).to_string());
    let outcome = async {
        guessing(&door, network(address(&parts)), &op)?;
        let asked = asked?;
        if asked.get("token").is_empty() {
            return Err(missing("token"));
        }
        account::token_revoke(&door.app, &op, &asked.key, &asked.secret, asked.get("token")).await
    }
    .await;
    match outcome {
        Ok(()) => quiet(StatusCode::OK.into_response()),
        Err(e) => refused(&door, &parts, &op, e).await,
    }
}

fn missing(name: &str) -> Error {
    Error::invalid(format!("缺少参数 {name}"), format!("the parameter {name} is missing"))
}

fn quiet(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// Refusals in the words of RFC 6749 §5.2; what is not about the request is told as everywhere.
async fn refused(door: &Door, parts: &Parts, op: &Op, error: Error) -> Response {
    if error.kind() == Kind::Unauthenticated
        && let Err(refusal) = failed(parts, door, network(address(parts)), op, &error).await
    {
        return refusal.into_response();
    }
    let (status, word) = match (error.code(), error.kind()) {
        (_, Kind::Unauthenticated) => (StatusCode::UNAUTHORIZED, "invalid_client"),
        (Code::NotAcceptable, _) => (StatusCode::BAD_REQUEST, "unsupported_grant_type"),
        (Code::InvalidInput, _) if error.en().contains("`scope`") => {
            (StatusCode::BAD_REQUEST, "invalid_scope")
        }
        (_, Kind::Invalid | Kind::TooLarge) => (StatusCode::BAD_REQUEST, "invalid_request"),
        _ => return Refusal::new(error, op).into_response(),
    };
    let body = json!({
        "error": word, "error_description": error.en(), "message_zh": error.zh(),
        "request_id": op.request_id,
    });
    let mut response = quiet((status, Json(body)).into_response());
    if status == StatusCode::UNAUTHORIZED {
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"qiantang\""));
    }
    response
}

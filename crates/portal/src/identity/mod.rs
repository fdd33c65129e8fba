//! The identity provider's doors (OpenID Connect): what it says of itself, the browser's authorize and consent pages (`leave`: signing out),
//! and the client's token, userinfo, revocation and introspection endpoints, all under one address (the issuer). One's own real name
//! stands in `realname`, one's tokens for programs of one's own in `tokens`.
//!
//! Pages stand with the other pages; what programs call stands apart (`machines`): without cookies, readable by scripts of other sites as
//! far as `cors` lets them.

mod cors;
mod leave;
mod outside;
mod own;
mod realname;
mod tokens;

use std::sync::Arc;

use app::identity::{self, Asker, Presented, Refused, Step};
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use minijinja::context;
use model::{Error, Kind};
use serde_json::{Value, json};
use tower_http::catch_panic::CatchPanicLayer;

pub(crate) use self::own::typed;
pub(crate) use self::realname::scan;
use crate::fault;
use crate::form::Posted;
use crate::view::value;
use crate::visit::{self, FormGoal, Visit, encode, pairs};
use crate::{Answer, Door};

/// Largest body a program posts, in bytes.
const LARGEST: usize = 64 * 1024;
/// What is told of a body that is something else.
const NO_FORM: &str = "the body is application/x-www-form-urlencoded";

/// Pages of people.
pub(crate) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/oauth/authorize", get(authorize))
        .route("/oauth/consent", post(consent))
        .merge(leave::router())
        .merge(outside::router())
        .merge(own::router())
        .merge(realname::router())
        .merge(tokens::router())
}

/// Doors of programs, and forms that other sites send people with.
pub(crate) fn machines(door: &Arc<Door>) -> Router<Arc<Door>> {
    let about = Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/oauth/jwks", get(jwks))
        .layer(cors::anybody());
    let clients = Router::new()
        .route("/oauth/token", post(token))
        .route("/oauth/userinfo", get(userinfo).post(userinfo))
        .route("/oauth/revoke", post(revoke))
        .layer(cors::registered(door));
    Router::new()
        .merge(about)
        .merge(clients)
        .route("/oauth/introspect", post(introspect))
        .route("/oauth/authorize", post(authorize_posted))
        .merge(leave::posted())
        .layer(DefaultBodyLimit::max(LARGEST))
        .layer(CatchPanicLayer::custom(fault::panicked))
        .layer(middleware::from_fn_with_state(Arc::clone(door), visit::bare))
}

/// The address by which clients know the provider.
pub(crate) fn issuer(door: &Door, visit: &Visit) -> String {
    let own = door.config.issuer.as_deref().unwrap_or(&visit.base);
    own.trim_end_matches('/').to_owned()
}

async fn discovery(State(door): State<Arc<Door>>, visit: Visit) -> Response {
    Json(identity::discovery(&issuer(&door, &visit))).into_response()
}

async fn jwks(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    Ok(Json(identity::jwks(&door.app, &visit.op).await?).into_response())
}

/// Whose browser asks the provider at this address.
fn asker<'a>(visit: &'a Visit, issuer: &'a str) -> Asker<'a> {
    Asker { session: visit.session.as_ref(), issuer, locale: visit.t("zh-CN", "en") }
}

/// What a client posted instead of writing it into the address, as a query; empty when it posted nothing. It is asked again by address:
/// only then do our cookies come along from another site.
fn by_address(headers: &HeaderMap, body: &Bytes) -> Result<String, &'static str> {
    if !body.is_empty() && !is_form(headers) {
        return Err(NO_FORM);
    }
    let mut asked = pairs(std::str::from_utf8(body).map_err(|_| "the body is not UTF-8")?);
    asked.retain(|(name, _)| name != "csrf");
    let mut query = form_urlencoded::Serializer::new(String::new());
    Ok(query.extend_pairs(asked).finish())
}

/// A request to sign somebody in, as a form (OpenID Connect Core 1.0 §3.1.2.1).
async fn authorize_posted(headers: HeaderMap, body: Bytes) -> Response {
    match by_address(&headers, &body) {
        Ok(query) if query.is_empty() => unread("nothing is asked for"),
        Ok(query) => Redirect::to(&format!("/oauth/authorize?{query}")).into_response(),
        Err(why) => unread(why),
    }
}

async fn authorize(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let asked = visit.uri.query().unwrap_or_default().to_owned();
    // A client that wants no page is told so by its address.
    let silent = visit.q("prompt") == Some("none");
    if !silent && visit.session.as_ref().is_some_and(|s| s.must_change) {
        return Ok(Redirect::to("/me").into_response());
    }
    let issuer = issuer(&door, &visit);
    let asker = asker(&visit, &issuer);
    let step = identity::authorize(&door.app, &visit.op, asker, &pairs(&asked)).await?;
    led(&door, &visit, step, &asked).await
}

async fn consent(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    if visit.session.as_ref().is_some_and(|s| s.must_change) {
        return Ok(Redirect::to("/me").into_response());
    }
    let issuer = issuer(&door, &visit);
    let asker = asker(&visit, &issuer);
    let (asked, agreed) = (posted.raw("query"), posted.get("answer") == "agree");
    let step = identity::consent(&door.app, &visit.op, asker, &pairs(asked), agreed).await?;
    led(&door, &visit, step, asked).await
}

/// Leads the browser on.
async fn led(door: &Door, visit: &Visit, step: Step, asked: &str) -> Answer {
    match step {
        Step::Back(address) => Ok(Redirect::to(&address).into_response()),
        Step::SignIn(path) => {
            let mut goal = format!("/login?next={}", encode(&path));
            for (name, word) in wishes(asked) {
                goal.push_str(&format!("&{name}={}", encode(&word)));
            }
            Ok(Redirect::to(&goal).into_response())
        }
        Step::Consent(ask) => {
            door.names.refresh(&door.app).await;
            let context = context! { ask => value(&*ask), query => asked };
            let mut page = door.page(visit, "account/consent.html", context).await?;
            page.extensions_mut().insert(FormGoal(ask.goal));
            Ok(page)
        }
    }
}

/// What a request wishes for the sign-in page: a language that we have, and a user name to begin with.
fn wishes(asked: &str) -> Vec<(&'static str, String)> {
    let mut wishes = Vec::new();
    for (name, value) in pairs(asked) {
        match name.as_str() {
            "ui_locales" => {
                let known = |tag: &str| match tag.split('-').next().unwrap_or_default() {
                    "zh" => Some("zh"),
                    "en" => Some("en"),
                    _ => None,
                };
                let lang = value.split_whitespace().find_map(known);
                wishes.extend(lang.map(|lang| ("lang", lang.to_owned())));
            }
            "login_hint" if !value.trim().is_empty() => {
                wishes.push(("login_hint", value.chars().take(64).collect()));
            }
            _ => {}
        }
    }
    wishes
}

/// Where a form on the sign-in page may lead to in the end, when it leads on to a client: browsers hold redirects of a form against the
/// page's policy.
pub(crate) async fn goal(door: &Door, visit: &Visit, next: Option<&str>) -> Option<FormGoal> {
    let query = next?.strip_prefix("/oauth/authorize?")?;
    identity::goes_to(&door.app, &visit.op, &pairs(query)).await.map(FormGoal)
}

/// What a client posted, and what it shows of itself.
struct Asked {
    form: Vec<(String, String)>,
    id: String,
    secret: Option<String>,
}

impl Asked {
    fn presented(&self) -> Presented<'_> {
        Presented { id: &self.id, secret: self.secret.as_deref() }
    }
    fn get(&self, name: &str) -> &str {
        self.form.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str())
    }
}

/// Reads a posted form; key and secret by HTTP Basic (form-encoded first, RFC 6749 §2.3.1) or in the form, never both.
fn asked(headers: &HeaderMap, body: &Bytes) -> Result<Asked, &'static str> {
    const BROKEN: &str = "the Authorization header is broken";
    if !is_form(headers) {
        return Err(NO_FORM);
    }
    let form = pairs(std::str::from_utf8(body).map_err(|_| "the body is not UTF-8")?);
    let field = |name: &str| form.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    let basic = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    let (id, secret) = match basic.and_then(|t| t.strip_prefix("Basic ")) {
        Some(encoded) => {
            if field("client_secret").is_some() {
                return Err("the client shows its secret in one way, not two");
            }
            let pair = app::account::basic(encoded).ok_or(BROKEN)?;
            let (id, secret) = pair.split_once(':').ok_or(BROKEN)?;
            (plain(id).ok_or(BROKEN)?, Some(plain(secret).ok_or(BROKEN)?))
        }
        None => {
            let secret = field("client_secret").filter(|s| !s.is_empty());
            (field("client_id").unwrap_or_default(), secret)
        }
    };
    Ok(Asked { form, id, secret })
}

/// Whether a body says that it is a form of one part.
fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// A form-encoded text.
fn plain(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

fn unread(why: &str) -> Response {
    told(StatusCode::BAD_REQUEST, "invalid_request", "请求有误", why)
}

async fn token(
    State(door): State<Arc<Door>>,
    visit: Visit,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let asked = match asked(&headers, &body) {
        Ok(asked) => asked,
        Err(why) => return unread(why),
    };
    let (op, issuer) = (visit.public_op(), issuer(&door, &visit));
    match identity::token(&door.app, &op, &issuer, asked.presented(), &asked.form).await {
        Ok(tokens) => {
            let mut body = json!({
                "access_token": tokens.access, "token_type": "Bearer", "expires_in": tokens.seconds,
                "scope": tokens.scope,
            });
            for (name, token) in [("refresh_token", tokens.refresh), ("id_token", tokens.id)] {
                if let (Some(token), Some(body)) = (token, body.as_object_mut()) {
                    body.insert(name.to_owned(), token.into());
                }
            }
            quiet(StatusCode::OK, body)
        }
        Err(refused) => refusal(&visit, refused),
    }
}

/// The access token of a call: in the header or in a posted form, never both and never in the address (RFC 6750 §2).
fn bearer(
    visit: &Visit,
    method: &Method,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Option<String>, &'static str> {
    const NAME: &str = "access_token";
    if pairs(visit.uri.query().unwrap_or_default()).iter().any(|(name, _)| name == NAME) {
        return Err("an access token never stands in the address");
    }
    let shown = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    let shown = shown.and_then(|t| t.strip_prefix("Bearer ")).map(|t| t.trim().to_owned());
    if *method != Method::POST || !is_form(headers) {
        return Ok(shown);
    }
    let text = std::str::from_utf8(body).map_err(|_| "the body is not UTF-8")?;
    let mut posted = pairs(text).into_iter().filter(|(name, _)| name == NAME);
    match (shown, posted.next(), posted.next()) {
        (Some(_), Some(_), _) => Err("the access token is shown in one way, not two"),
        (_, _, Some(_)) => Err("the access token stands there twice"),
        (shown, posted, None) => Ok(shown.or(posted.map(|(_, token)| token))),
    }
}

async fn userinfo(
    State(door): State<Arc<Door>>,
    visit: Visit,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let token = match bearer(&visit, &method, &headers, &body) {
        Ok(Some(token)) => token,
        Ok(None) => {
            let mut response = StatusCode::UNAUTHORIZED.into_response();
            challenge(&mut response, "Bearer realm=\"qiantang\"");
            return response;
        }
        Err(why) => {
            let mut response = unread(why);
            challenge(&mut response, "Bearer error=\"invalid_request\"");
            return response;
        }
    };
    match identity::userinfo(&door.app, &visit.public_op(), &token).await {
        Ok(said) => quiet(StatusCode::OK, said),
        Err(refused) => refusal(&visit, refused),
    }
}

async fn revoke(
    State(door): State<Arc<Door>>,
    visit: Visit,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let asked = match asked(&headers, &body) {
        Ok(asked) => asked,
        Err(why) => return unread(why),
    };
    let op = visit.public_op();
    match identity::revoke(&door.app, &op, asked.presented(), asked.get("token")).await {
        Ok(()) => quiet(StatusCode::OK, json!({})),
        Err(refused) => refusal(&visit, refused),
    }
}

async fn introspect(
    State(door): State<Arc<Door>>,
    visit: Visit,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let asked = match asked(&headers, &body) {
        Ok(asked) => asked,
        Err(why) => return unread(why),
    };
    let (op, issuer) = (visit.public_op(), issuer(&door, &visit));
    let (presented, token) = (asked.presented(), asked.get("token"));
    match identity::introspect(&door.app, &op, &issuer, presented, token).await {
        Ok(said) => quiet(StatusCode::OK, said),
        Err(refused) => refusal(&visit, refused),
    }
}

fn quiet(status: StatusCode, body: Value) -> Response {
    let mut response = (status, Json(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

fn challenge(response: &mut Response, how: &'static str) {
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(how));
}

fn told(status: StatusCode, word: &str, zh: &str, en: &str) -> Response {
    quiet(status, json!({ "error": word, "error_description": en, "message_zh": zh }))
}

/// Refusals in the words of RFC 6749 §5.2 and RFC 6750 §3.1; what is not about the request by its own status.
fn refusal(visit: &Visit, refused: Refused) -> Response {
    match refused {
        Refused::Protocol { word, zh, en } => {
            let status = match word {
                "invalid_client" | "invalid_token" => StatusCode::UNAUTHORIZED,
                "insufficient_scope" => StatusCode::FORBIDDEN,
                _ => StatusCode::BAD_REQUEST,
            };
            let mut response = told(status, word, zh, en);
            match word {
                "invalid_client" => challenge(&mut response, "Basic realm=\"qiantang\""),
                "invalid_token" => challenge(&mut response, "Bearer error=\"invalid_token\""),
                "insufficient_scope" => {
                    let how = "Bearer error=\"insufficient_scope\", scope=\"openid\"";
                    challenge(&mut response, how);
                }
                _ => {}
            }
            response
        }
        Refused::House(error) => house(visit, &error),
    }
}

/// A failure that is no word of the protocol's, told in JSON.
pub(crate) fn house(visit: &Visit, error: &Error) -> Response {
    let word = match error.kind() {
        Kind::Exhausted | Kind::Unavailable => "temporarily_unavailable",
        Kind::Internal => "server_error",
        Kind::Denied => "access_denied",
        _ => "invalid_request",
    };
    if matches!(error.kind(), Kind::Unavailable | Kind::Internal) {
        tracing::error!(
            request.id = visit.op.request_id,
            error = error.operator_text(),
            "an identity endpoint failed"
        );
    }
    told(crate::fault::status(error), word, error.zh(), error.en())
}

//! A visit: who is here, in which language, by which form token; and the headers every answer carries.
//!
//! One middleware opens the visit, lets the handler work, turns a failure into a page, and closes with cookies and
//! security headers. Cookies: `qt_session` (HttpOnly, SameSite=Lax), `qt_csrf` (double-submit token of visitors
//! without a session), `qt_lang`, `qt_look` and `qt_theme` (see [`Look`]). Where the site is reached by HTTPS only, the first two
//! are `__Host-qt_session` and `__Host-qt_csrf`: browsers take such cookies from this very host alone, so that no neighbour under
//! the same domain, and nobody on an unencrypted line, can plant one.

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

use app::account::Session;
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use model::{Actor, Code, Error, Op, Result};
use rand::Rng;
use subtle::ConstantTimeEq;

use crate::Door;
use crate::fault::{self, Failure, Fault};
use crate::look::{Look, THEME_COOKIE, Theme, VIEW_COOKIE, View};

/// Name of the session's cookie.
pub(crate) fn session_cookie(secure: bool) -> &'static str {
    if secure { "__Host-qt_session" } else { "qt_session" }
}

fn csrf_cookie(secure: bool) -> &'static str {
    if secure { "__Host-qt_csrf" } else { "qt_csrf" }
}

const LANG_COOKIE: &str = "qt_lang";
/// Query parameters that choose how pages read and look: kept in cookies, no part of what a page is asked.
const CHOICES: [&str; 3] = ["lang", "look", "theme"];

/// Scripts and styles come from our own files only; nothing may frame a page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
    font-src 'self'; connect-src 'self'; worker-src 'self' blob:; child-src 'self' blob:; form-action 'self'; \
    base-uri 'none'; frame-ancestors 'none'";

/// Marks a page whose form may lead to another site in the end: scheme, host and port of a registered client.
#[derive(Clone, Debug)]
pub(crate) struct FormGoal(pub(crate) String);

impl FormGoal {
    fn policy(&self) -> Option<HeaderValue> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b":/.-[]".contains(&b);
        let text = POLICY.replace("form-action 'self'", &format!("form-action 'self' {}", self.0));
        self.0.bytes().all(plain).then(|| HeaderValue::from_str(&text).ok())?
    }
}

/// Language of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lang {
    Zh,
    En,
}

impl Lang {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Lang::Zh => "zh",
            Lang::En => "en",
        }
    }
    /// The text in this language.
    pub(crate) fn of<'a>(self, zh: &'a str, en: &'a str) -> &'a str {
        match self {
            Lang::Zh => zh,
            Lang::En => en,
        }
    }
    fn parse(word: &str) -> Option<Self> {
        match word {
            "zh" => Some(Lang::Zh),
            "en" => Some(Lang::En),
            _ => None,
        }
    }
}

/// What a handler knows of its caller. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Visit(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) op: Op,
    pub(crate) session: Option<Session>,
    pub(crate) lang: Lang,
    pub(crate) look: Look,
    /// Token every form of this visitor carries.
    pub(crate) csrf: String,
    pub(crate) uri: Uri,
    /// The page a form was sent from, as the browser tells it: what answers a form may have no page at its own address.
    pub(crate) form_page: Option<Uri>,
    /// Query parameters, decoded, in order.
    pub(crate) query: Vec<(String, String)>,
    /// Address of this site for absolute links, without a slash at the end.
    pub(crate) base: String,
    /// Whether htmx asks for a fragment.
    pub(crate) fragment: bool,
    /// Bytes of the body as the request tells them, before any is read.
    pub(crate) length: Option<u64>,
}

impl Deref for Visit {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Inner {
    pub(crate) fn t<'a>(&self, zh: &'a str, en: &'a str) -> &'a str {
        self.lang.of(zh, en)
    }
    /// First non-empty value of a query parameter.
    pub(crate) fn q(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(k, v)| k == name && !v.trim().is_empty()).map(|(_, v)| v.trim())
    }
    /// All non-empty values of a query parameter.
    pub(crate) fn qs<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query
            .iter()
            .filter(move |(k, v)| k == name && !v.trim().is_empty())
            .map(|(_, v)| v.trim())
    }
    /// Parts of the query that are not empty, encoded, but those of these names.
    pub(crate) fn asked_but(&self, names: &[&str]) -> Vec<String> {
        let kept = self.query.iter();
        let kept = kept.filter(|(k, v)| !names.contains(&k.as_str()) && !v.is_empty());
        kept.map(|(k, v)| format!("{}={}", encode(k), encode(v))).collect()
    }
    /// A page of this query with one of its filters turned over, without the parts of these names.
    pub(crate) fn turned(&self, path: &str, but: &[&str], name: &str, word: &str) -> String {
        let one = format!("{}={}", encode(name), encode(word));
        let mut parts = self.asked_but(but);
        let before = parts.len();
        parts.retain(|part| *part != one);
        if parts.len() == before {
            parts.push(one);
        }
        if parts.is_empty() { path.to_owned() } else { format!("{path}?{}", parts.join("&")) }
    }
    /// The same operation by nobody in particular: the open site looks the same to everyone, and what only staff
    /// may know is found in the console.
    pub(crate) fn public_op(&self) -> Op {
        Op { actor: Actor::Nobody, ..self.op.clone() }
    }
    /// The session, or the refusal that leads to the sign-in page.
    pub(crate) fn session(&self) -> Result<&Session> {
        self.session.as_ref().ok_or_else(|| Error::of(Code::SignInRequired))
    }
    /// Path and query without choices of language and look, to switch them or come back; of an answer to a form, those of the page
    /// that had it.
    pub(crate) fn here(&self) -> String {
        let Some(page) = &self.form_page else { return address(self.uri.path(), &self.query) };
        address(page.path(), &unchosen(pairs(page.query().unwrap_or_default())))
    }
    /// Checks a form's token in constant time.
    pub(crate) fn check_csrf(&self, token: Option<&str>) -> Result<()> {
        let token = token.unwrap_or_default();
        if !self.csrf.is_empty() && bool::from(self.csrf.as_bytes().ct_eq(token.as_bytes())) {
            return Ok(());
        }
        Err(Error::of(Code::CsrfFailed))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visit {
    type Rejection = Fault;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        parts
            .extensions
            .get::<Visit>()
            .cloned()
            .ok_or_else(|| Fault(Error::internal("a route stands outside the visit middleware")))
    }
}

/// A query without choices of language and look.
fn unchosen(mut query: Vec<(String, String)>) -> Vec<(String, String)> {
    query.retain(|(k, _)| !CHOICES.contains(&k.as_str()));
    query
}

fn address(path: &str, query: &[(String, String)]) -> String {
    let query: Vec<String> =
        query.iter().map(|(k, v)| format!("{}={}", encode(k), encode(v))).collect();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
}

/// Percent-encodes a query component.
pub(crate) fn encode(text: &str) -> String {
    // What RFC 3986 calls unreserved stays as it is, so that addresses can be read.
    const ENCODED: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    percent_encoding::utf8_percent_encode(text, ENCODED).to_string()
}

/// The middleware around every page.
pub(crate) async fn open(
    State(door): State<Arc<Door>>,
    mut request: Request,
    next: Next,
) -> Response {
    let arrival = arrive(&door, &request);
    let (visit, fresh) = enter(&door, arrival).await;
    let method = request.method().clone();
    if let Err(error) = same_site(&method, request.headers()) {
        return close(&door, &visit, fresh, failure_page(&door, &visit, &method, &error).await);
    }
    if visit.session.is_some() {
        // A packed page that holds a secret (the form token) and an echo of the address tells the secret by its length.
        request.headers_mut().remove(header::ACCEPT_ENCODING);
    }
    request.extensions_mut().insert(visit.clone());
    let response = next.run(request).await;
    let response = match response.extensions().get::<Failure>() {
        Some(Failure(error)) => {
            let error = Arc::clone(error);
            failure_page(&door, &visit, &method, &error).await
        }
        None => response,
    };
    close(&door, &visit, fresh, response)
}

/// The middleware around the doors of programs: cookies are neither looked at nor set, forms of other sites are taken, and failures are told
/// in JSON. Who calls is told by what the call itself brings.
pub(crate) async fn bare(
    State(door): State<Arc<Door>>,
    mut request: Request,
    next: Next,
) -> Response {
    request.headers_mut().remove(header::COOKIE);
    let arrival = arrive(&door, &request);
    let (visit, _) = enter(&door, arrival).await;
    request.extensions_mut().insert(visit.clone());
    let response = next.run(request).await;
    let mut response = match response.extensions().get::<Failure>() {
        Some(Failure(error)) => crate::identity::house(&visit, error),
        None => response,
    };
    let headers = response.headers_mut();
    protect(headers);
    tell(headers, &visit);
    response
}

/// What is new about a visit and must be kept in cookies.
#[derive(Clone, Copy)]
struct Fresh {
    csrf: bool,
    lang: bool,
    view: bool,
    theme: bool,
    /// The session cookie is no longer valid.
    stale_session: bool,
}

/// What a request says of its visitor, before anything is asked of the rooms.
struct Arrival {
    query: Vec<(String, String)>,
    asked: Option<Lang>,
    kept: Option<Lang>,
    view: (Option<View>, Option<View>),
    theme: (Option<Theme>, Option<Theme>),
    token: Option<String>,
    anonymous: Option<String>,
    source: String,
    base: String,
    uri: Uri,
    form_page: Option<Uri>,
    fragment: bool,
    length: Option<u64>,
}

fn arrive(door: &Door, request: &Request) -> Arrival {
    let (jar, secure) = (CookieJar::from_headers(request.headers()), door.config.secure_cookies);
    let value = |name: &str| jar.get(name).map(|c| c.value().to_owned());
    let query = pairs(request.uri().query().unwrap_or_default());
    let asked = |name: &str| query.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str());
    let view = asked("look").and_then(View::parse);
    let theme = asked("theme").and_then(Theme::parse);
    let lang = asked("lang").and_then(Lang::parse);
    let base = base(door, request);
    Arrival {
        asked: lang,
        kept: value(LANG_COOKIE).and_then(|v| Lang::parse(&v)),
        view: (view, value(VIEW_COOKIE).and_then(|v| View::parse(&v))),
        theme: (theme, value(THEME_COOKIE).and_then(|v| Theme::parse(&v))),
        token: value(session_cookie(secure)).filter(|v| !v.is_empty()),
        anonymous: value(csrf_cookie(secure)).filter(|v| v.len() == 32),
        source: source(request),
        form_page: form_page(request, &base),
        base,
        uri: request.uri().clone(),
        fragment: request.headers().contains_key("hx-request"),
        length: request
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok()?.parse().ok()),
        query: unchosen(query),
    }
}

async fn enter(door: &Door, arrival: Arrival) -> (Visit, Fresh) {
    let session = match &arrival.token {
        Some(token) => match app::account::session(&door.app, token).await {
            Ok(session) => session,
            Err(error) => {
                tracing::warn!(error = error.operator_text(), "the session could not be read");
                None
            }
        },
        None => None,
    };
    let csrf = match &session {
        Some(session) => session.csrf.clone(),
        None => arrival.anonymous.clone().unwrap_or_else(new_token),
    };
    let fresh = Fresh {
        csrf: session.is_none() && arrival.anonymous.is_none(),
        lang: arrival.asked.is_some() && arrival.asked != arrival.kept,
        view: arrival.view.0.is_some() && arrival.view.0 != arrival.view.1,
        theme: arrival.theme.0.is_some() && arrival.theme.0 != arrival.theme.1,
        stale_session: arrival.token.is_some() && session.is_none(),
    };
    let actor = session.as_ref().map_or(Actor::Nobody, |s| s.actor.clone());
    let visit = Visit(Arc::new(Inner {
        op: door.app.op(actor, &arrival.source),
        session,
        lang: arrival.asked.or(arrival.kept).unwrap_or(Lang::Zh),
        look: Look {
            view: arrival.view.0.or(arrival.view.1).unwrap_or_default(),
            theme: arrival.theme.0.or(arrival.theme.1).unwrap_or_default(),
        },
        csrf,
        uri: arrival.uri,
        form_page: arrival.form_page,
        query: arrival.query,
        base: arrival.base,
        fragment: arrival.fragment,
        length: arrival.length,
    }));
    (visit, fresh)
}

/// Decodes `a=1&b=2`.
pub(crate) fn pairs(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

fn new_token() -> String {
    format!("{:032x}", rand::rng().random::<u128>())
}

/// Who calls. Behind a proxy of ours the binary has put the address that the proxy saw here.
fn source(request: &Request) -> String {
    request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map_or_else(|| "-".to_owned(), |c| c.0.ip().to_string())
}

fn base(door: &Door, request: &Request) -> String {
    if let Some(url) = &door.config.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let host = request.headers().get(header::HOST).and_then(|v| v.to_str().ok());
    let host = host
        .filter(|h| h.bytes().all(|b| b.is_ascii_alphanumeric() || b".:-[]".contains(&b)))
        .unwrap_or("localhost");
    let scheme = if door.config.secure_cookies { "https" } else { "http" };
    format!("{scheme}://{host}")
}

/// The page of this site that a form was sent from.
fn form_page(request: &Request, base: &str) -> Option<Uri> {
    if request.method().is_safe() {
        return None;
    }
    let page = request.headers().get(header::REFERER)?.to_str().ok()?.strip_prefix(base)?;
    if page.starts_with('/') && !page.starts_with("//") { page.parse().ok() } else { None }
}

/// A form sent from another site is refused even before its token is read (browsers tell by `Sec-Fetch-Site`).
fn same_site(method: &Method, headers: &HeaderMap) -> Result<()> {
    let cross = headers.get("sec-fetch-site").is_some_and(|v| v.as_bytes() == b"cross-site");
    if cross && !method.is_safe() {
        return Err(Error::of(Code::CsrfFailed));
    }
    Ok(())
}

async fn failure_page(door: &Door, visit: &Visit, method: &Method, error: &Error) -> Response {
    if error.code() == Code::SignInRequired && method.is_safe() && !visit.fragment {
        return Redirect::to(&format!("/login?next={}", encode(&visit.here()))).into_response();
    }
    fault::page(door, visit, error).await
}

fn close(door: &Door, visit: &Visit, fresh: Fresh, mut response: Response) -> Response {
    let secure = door.config.secure_cookies;
    let mut cookies = Vec::new();
    if fresh.csrf {
        cookies.push(cookie(csrf_cookie(secure), visit.csrf.clone(), secure));
    }
    for (asked, name, word) in [
        (fresh.lang, LANG_COOKIE, visit.lang.as_str()),
        (fresh.view, VIEW_COOKIE, visit.look.view.as_str()),
        (fresh.theme, THEME_COOKIE, visit.look.theme.as_str()),
    ] {
        if asked {
            let mut kept = cookie(name, word.to_owned(), secure);
            kept.make_permanent();
            cookies.push(kept);
        }
    }
    let sets_session = response
        .headers()
        .get_all(header::SET_COOKIE)
        .iter()
        .any(|v| v.as_bytes().starts_with(session_cookie(secure).as_bytes()));
    if fresh.stale_session && !sets_session {
        cookies.push(expired(session_cookie(secure), secure));
    }
    let goal = response.extensions().get::<FormGoal>().cloned();
    let headers = response.headers_mut();
    for cookie in cookies {
        if let Ok(value) = HeaderValue::from_str(&cookie.to_string()) {
            headers.append(header::SET_COOKIE, value);
        }
    }
    protect(headers);
    if let Some(policy) = goal.and_then(|goal| goal.policy()) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    tell(headers, visit);
    response
}

/// The request's id, and that the answer is not kept unless it says so itself: pages may hold what only this visitor may see.
fn tell(headers: &mut HeaderMap, visit: &Visit) {
    if let Ok(id) = HeaderValue::from_str(&visit.op.request_id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    }
}

/// Whether the visitor's browser has already what it asks for, by its tag.
pub(crate) fn has(headers: &HeaderMap, tag: &str) -> bool {
    let lines = headers.get_all(header::IF_NONE_MATCH).iter();
    model::tag::held(lines.filter_map(|v| v.to_str().ok()), tag)
}

/// Security headers of every answer.
pub(crate) fn protect(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// A cookie of this site: HttpOnly, SameSite=Lax, for every path.
pub(crate) fn cookie(name: &'static str, value: String, secure: bool) -> Cookie<'static> {
    Cookie::build((name, value))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(secure)
        .build()
}

/// The same cookie, ended.
pub(crate) fn expired(name: &'static str, secure: bool) -> Cookie<'static> {
    let mut ended = cookie(name, String::new(), secure);
    ended.make_removal();
    ended
}

/// Lets only signed-in visitors through; who signed in with a one-time password gets no further than changing it.
pub(crate) async fn signed_in(visit: Visit, request: Request, next: Next) -> Response {
    let own = matches!(request.uri().path(), "/me" | "/me/password" | "/logout");
    match visit.session() {
        Ok(session) if session.must_change && !own => match request.method().is_safe() {
            true => Redirect::to("/me").into_response(),
            false => Fault(Error::new(
                Code::Denied,
                "您使用的是一次性密码，请先在“我的账号”修改密码",
                "you signed in with a one-time password: change it on the page of your account first",
            ))
            .into_response(),
        },
        Ok(_) => next.run(request).await,
        Err(error) => Fault(error).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_parameters_are_decoded_in_order() {
        let got = pairs("q=%E5%81%9C%E8%BD%A6+%E5%9C%BA&domain=09&domain=14&empty=&flag");
        let want =
            [("q", "停车 场"), ("domain", "09"), ("domain", "14"), ("empty", ""), ("flag", "")];
        assert_eq!(got, want.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert_eq!(pairs("%zz=%ff").first().map(|p| p.0.as_str()), Some("%zz"));
    }

    #[test]
    fn forms_from_other_sites_are_refused() {
        let mut headers = HeaderMap::new();
        assert!(same_site(&Method::POST, &headers).is_ok());
        headers.insert("sec-fetch-site", HeaderValue::from_static("cross-site"));
        assert!(same_site(&Method::GET, &headers).is_ok());
        assert!(same_site(&Method::POST, &headers).is_err());
    }
}

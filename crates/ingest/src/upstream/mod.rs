//! Services of departments behind proxied interfaces: asked by HTTP, their answer mapped, and the caller's grant applied to the rows.
//!
//! ```text
//! mod    the exchange: address, time, size, what is asked again
//! field  where fields stand in an answer of JSON or XML
//! grant  fields become values of items; row filter, filter of the question, masks
//! ```
//!
//! Addresses go through [`crate::outgoing`], are resolved once, and the connection goes to what was looked at. No redirect is
//! followed and no proxy of the environment used. Nothing of headers, parameters or answers stands in a message.

pub(crate) mod field;
mod grant;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use guard::MaskKey;
use model::interface::{Into as Goes, Method, Upstream as Described, UpstreamForm};
use model::value::Rows;
use model::{Code, Error, Result};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use policy::Grant;
use policy::port::{Upstream, UpstreamAsk};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, StatusCode, Url};
use serde_json::{Map, Value as Json};
use tokio::sync::Mutex;

use crate::outgoing::{Outgoing, reach};
use crate::tls::Wish;

/// Connections are kept for so many services; beyond that all are closed and opened anew.
const KEPT: usize = 512;
/// Pause before a service is asked again.
const PAUSE: Duration = Duration::from_millis(50);

/// [`Upstream`] over HTTP.
pub struct Upstreams {
    outgoing: Outgoing,
    key: MaskKey,
    /// Clients by address, each with the addresses it connects to.
    clients: Mutex<HashMap<String, (Vec<SocketAddr>, Client)>>,
}

impl std::fmt::Debug for Upstreams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstreams").finish_non_exhaustive()
    }
}

impl Upstreams {
    #[must_use]
    pub fn reaching(outgoing: Outgoing, key: MaskKey) -> Self {
        Self { outgoing, key, clients: Mutex::default() }
    }

    /// A client for the host of an address: its name is resolved now, and the connection goes there.
    async fn client(&self, described: &Described) -> Result<Client> {
        let wish = Wish::of(&described.url)?;
        let base = Url::parse(&wish.url).ok();
        let host = base.as_ref().and_then(|b| b.host_str().map(str::to_owned));
        let (Some(base), Some(host)) = (base, host) else { return Err(bad_address()) };
        let port = base.port_or_known_default().unwrap_or(80);
        let addresses = reach(&self.outgoing, &host, port).await?;
        let mut clients = self.clients.lock().await;
        if let Some((kept, client)) = clients.get(&described.url)
            && *kept == addresses
        {
            return Ok(client.clone());
        }
        let mut builder = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_millis(described.timeout_ms))
            .resolve_to_addrs(&host, &addresses);
        if base.scheme() == "https" {
            builder = builder.tls_backend_preconfigured(wish.config()?);
        }
        let client = builder.build().map_err(|e| Error::internal("an HTTP client").caused_by(e))?;
        if clients.len() >= KEPT {
            clients.clear();
        }
        clients.insert(described.url.clone(), (addresses, client.clone()));
        Ok(client)
    }

    /// The text of an answer; `None`: there is nothing of that key (404 to an address that names one).
    async fn exchange(&self, ask: &UpstreamAsk<'_>) -> Result<Option<String>> {
        let described = ask.described;
        let client = self.client(described).await?;
        let question = Question::of(ask)?;
        let mut left = if described.safe() { described.retries } else { 0 };
        loop {
            match question.put(&client, described).await {
                Err(Failure { error, again: true }) if left > 0 => {
                    left -= 1;
                    tracing::debug!(error = %error.operator_text(), "a service is asked again");
                    tokio::time::sleep(PAUSE).await;
                }
                Err(failure) => return Err(failure.error),
                Ok(answer) => return Ok(answer),
            }
        }
    }
}

#[async_trait]
impl Upstream for Upstreams {
    async fn ask(&self, grant: &Grant, ask: &UpstreamAsk<'_>) -> Result<Rows> {
        let described = ask.described;
        let shaped = grant::Shaped::of(grant, ask)?;
        let patience = Duration::from_millis(described.timeout_ms);
        let answer = tokio::time::timeout(patience, self.exchange(ask)).await.map_err(|_| {
            unavailable(
                &format!("在 {} 毫秒内没有应答完毕", described.timeout_ms),
                &format!("did not answer within {} ms", described.timeout_ms),
            )
        })??;
        let fields = match (answer, described.form) {
            (None, _) => Vec::new(),
            (Some(text), UpstreamForm::Json) => field::of_json(&text, described)?,
            (Some(text), UpstreamForm::Xml) => field::of_xml(&text, described)?,
        };
        shaped.rows(&self.key, fields)
    }
}

struct Failure {
    error: Error,
    /// Asking again may help.
    again: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, again: false }
    }
}

/// What is sent.
struct Question {
    address: Url,
    headers: HeaderMap,
    body: Option<String>,
    /// The address names what is looked for.
    by_path: bool,
}

impl Question {
    fn of(ask: &UpstreamAsk<'_>) -> Result<Self> {
        let described = ask.described;
        let value =
            |param: &str| ask.values.iter().find(|(n, _)| n == param).map(|(_, v)| v.as_str());
        let mut url = Wish::of(&described.url)?.url;
        let mut headers = HeaderMap::new();
        let accepted = match described.form {
            UpstreamForm::Json => "application/json",
            UpstreamForm::Xml => "application/xml, text/xml",
        };
        headers.insert(ACCEPT, HeaderValue::from_static(accepted));
        for (name, value) in ask.headers {
            let mut value = header_value(name, value)?;
            value.set_sensitive(true);
            headers.insert(header_name(name)?, value);
        }
        let (mut pairs, mut body, mut by_path) = (Vec::new(), Json::Object(Map::new()), false);
        for send in &described.send {
            let Some(value) = value(&send.param) else {
                if send.into == Goes::Path {
                    return Err(bad_value(&send.param, "缺少", "is missing"));
                }
                continue;
            };
            match send.into {
                Goes::Path => {
                    // Dots alone would lead to another place, however they are written.
                    if value.chars().all(|c| c == '.') {
                        return Err(bad_value(
                            &send.param,
                            "不能只含点号",
                            "must not be dots alone",
                        ));
                    }
                    let plain = utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
                    url = url.replace(&format!("{{{}}}", send.label()), &plain);
                    by_path = true;
                }
                Goes::Query => pairs.push((send.label(), value)),
                Goes::Header => {
                    headers.insert(header_name(send.label())?, header_value(&send.param, value)?);
                }
                Goes::Json => put(&mut body, send.label(), value),
            }
        }
        let mut address = Url::parse(&url).map_err(|e| bad_address().caused_by(e))?;
        if !pairs.is_empty() {
            address.query_pairs_mut().extend_pairs(pairs);
        }
        let body = match described.method {
            Method::Get => None,
            Method::Post => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Some(body.to_string())
            }
        };
        Ok(Self { address, headers, body, by_path })
    }

    async fn put(
        &self,
        client: &Client,
        described: &Described,
    ) -> std::result::Result<Option<String>, Failure> {
        let request = match &self.body {
            None => client.get(self.address.clone()),
            Some(body) => client.post(self.address.clone()).body(body.clone()),
        };
        let answer = request.headers(self.headers.clone()).send().await.map_err(|e| {
            let again = e.is_connect() || e.is_request();
            let error =
                unavailable("无法连接，或应答中断", "cannot be reached, or its answer broke off");
            Failure { error: error.caused_by(e.without_url()), again }
        })?;
        let status = answer.status();
        if status == StatusCode::NOT_FOUND && self.by_path {
            return Ok(None);
        }
        if !status.is_success() {
            let error = unavailable(
                &format!("以 HTTP {} 拒绝或失败", status.as_u16()),
                &format!("refused or failed with HTTP {}", status.as_u16()),
            );
            return Err(Failure { error, again: status == StatusCode::SERVICE_UNAVAILABLE });
        }
        Ok(Some(read(answer, described.most_bytes).await?))
    }
}

async fn read(answer: reqwest::Response, most: u64) -> Result<String> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    let mut pieces = answer.bytes_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|e| {
            unavailable("应答中断", "its answer broke off").caused_by(e.without_url())
        })?;
        if bytes.len().saturating_add(piece.len()) > most {
            return Err(unavailable(
                &format!("应答超过 {most} 字节"),
                &format!("its answer is larger than {most} bytes"),
            ));
        }
        bytes.extend_from_slice(&piece);
    }
    String::from_utf8(bytes).map_err(|_| malformed("不是 UTF-8 文本", "it is not UTF-8"))
}

/// A value at a place of nested objects.
fn put(body: &mut Json, place: &str, value: &str) {
    let mut at = body;
    for name in place.split('.') {
        if !at.is_object() {
            *at = Json::Object(Map::new());
        }
        let Json::Object(object) = at else { return };
        at = object.entry(name).or_insert(Json::Null);
    }
    *at = Json::String(value.to_owned());
}

fn header_name(name: &str) -> Result<HeaderName> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|e| bad_value(name, "不是请求头名称", "is no name of a header").caused_by(e))
}

fn header_value(name: &str, value: &str) -> Result<HeaderValue> {
    HeaderValue::from_bytes(value.as_bytes())
        .map_err(|e| bad_value(name, "不能放入请求头", "cannot stand in a header").caused_by(e))
}

fn bad_value(name: &str, zh: &str, en: &str) -> Error {
    Error::invalid(format!("参数 `{name}` {zh}"), format!("the parameter `{name}` {en}"))
        .field(name, zh, en)
}

fn bad_address() -> Error {
    Error::new(
        Code::RuleBroken,
        "接口描述中的上游网址有误",
        "the URL of the service behind the interface is wrong",
    )
}

/// The service cannot be used now; what it answered is never told.
fn unavailable(zh: &str, en: &str) -> Error {
    Error::new(
        Code::SourceUnavailable,
        format!("接口背后的服务{zh}，请稍后再试"),
        format!("the service behind the interface {en}: try again later"),
    )
}

/// Its answer is not what was described.
fn malformed(zh: &str, en: &str) -> Error {
    Error::new(
        Code::SourceUnavailable,
        format!("接口背后的服务应答有误：{zh}；请告知接口的维护单位"),
        format!(
            "the service behind the interface answered badly: {en}; tell whoever keeps the interface"
        ),
    )
}

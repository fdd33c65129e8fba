//! The time-stamp authority over HTTP (RFC 3161 §3.4): one question posted, one answer read.
//!
//! Its address goes through [`crate::outgoing`] as a source's does: resolved once, and the connection goes to what was looked at. No
//! redirect is followed and no proxy of the environment used.

use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use guard::timestamp::LARGEST;
use model::{Code, Error, Result};
use policy::port::Stamper;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, Url};

use crate::outgoing::{Outgoing, reach};
use crate::tls::Wish;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// [`Stamper`] over HTTP.
pub struct HttpStamper {
    outgoing: Outgoing,
    /// `http://` or `https://`, with `?sslrootcert=FILE` where the system does not know who vouches for the server.
    url: String,
}

impl std::fmt::Debug for HttpStamper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpStamper").finish_non_exhaustive()
    }
}

impl HttpStamper {
    #[must_use]
    pub fn reaching(outgoing: Outgoing, url: String) -> Self {
        Self { outgoing, url }
    }

    /// A client that connects to where the name leads now, and the address. Questions are minutes apart: none is kept.
    async fn client(&self) -> Result<(Client, Url)> {
        let wish = Wish::of(&self.url)?;
        let base = Url::parse(&wish.url).ok().filter(|u| matches!(u.scheme(), "http" | "https"));
        let host = base.as_ref().and_then(|b| b.host_str().map(str::to_owned));
        let (Some(base), Some(host)) = (base, host) else {
            return Err(Error::new(
                Code::RuleBroken,
                "配置项 tsa.url 应为 http:// 或 https:// 开头的完整网址",
                "the configuration key tsa.url is a whole URL that starts with http:// or https://",
            ));
        };
        let port = base.port_or_known_default().unwrap_or(80);
        let addresses = reach(&self.outgoing, &host, port).await?;
        let mut builder = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .resolve_to_addrs(&host, &addresses);
        if base.scheme() == "https" {
            builder = builder.tls_backend_preconfigured(wish.config()?);
        }
        let client = builder.build().map_err(|e| Error::internal("an HTTP client").caused_by(e))?;
        Ok((client, base))
    }
}

#[async_trait]
impl Stamper for HttpStamper {
    async fn ask(&self, query: &[u8]) -> Result<Vec<u8>> {
        let (client, url) = self.client().await?;
        let request = client
            .post(url)
            .header(CONTENT_TYPE, "application/timestamp-query")
            .header(ACCEPT, "application/timestamp-reply")
            .body(query.to_vec());
        let broken = |e: reqwest::Error| {
            unavailable("无法连接，或应答中断", "cannot be reached, or its answer broke off")
                .caused_by(e.without_url())
        };
        let answer = request.send().await.map_err(broken)?;
        let status = answer.status();
        if !status.is_success() {
            return Err(unavailable(
                &format!("以 HTTP {} 拒绝或失败", status.as_u16()),
                &format!("refused or failed with HTTP {}", status.as_u16()),
            ));
        }
        let mut bytes = Vec::new();
        let mut pieces = answer.bytes_stream();
        while let Some(piece) = pieces.next().await {
            bytes.extend_from_slice(&piece.map_err(broken)?);
            if bytes.len() > LARGEST {
                return Err(unavailable(
                    &format!("应答超过 {LARGEST} 字节"),
                    &format!("answered more than {LARGEST} bytes"),
                ));
            }
        }
        Ok(bytes)
    }
}

fn unavailable(zh: &str, en: &str) -> Error {
    Error::new(
        Code::SourceUnavailable,
        format!("时间戳机构{zh}；签章不受影响，稍后自动再次申请"),
        format!(
            "the time-stamp authority {en}; seals are made all the same, and it is asked again later"
        ),
    )
}

//! Links that people wrote, looked at: a HEAD, and a GET where HEAD is not offered. The body is not read, no redirect is followed,
//! and the connection goes to the address that the operator's list was asked about ([`crate::outgoing`]).

use std::time::Duration;

use async_trait::async_trait;
use model::{Code, Error, Result};
use policy::port::Links;
use reqwest::{Client, StatusCode, Url};

use crate::outgoing::{Outgoing, reach};
use crate::tls::Wish;

/// Longest wait for a connection, and for the head of an answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// [`Links`] over HTTP.
#[derive(Debug)]
pub struct LinkLooker {
    outgoing: Outgoing,
}

impl LinkLooker {
    #[must_use]
    pub fn reaching(outgoing: Outgoing) -> Self {
        Self { outgoing }
    }
}

/// A client that connects to where an address was found to lead, and follows no redirect. `whole`: longest wait for an answer.
pub(crate) async fn client_to(outgoing: &Outgoing, url: &Url, whole: Duration) -> Result<Client> {
    let Some(host) = url.host_str() else {
        return Err(Error::new(Code::SourceUnavailable, "网址没有主机", "an address without host"));
    };
    let port = url.port_or_known_default().unwrap_or(80);
    let addresses = reach(outgoing, host, port).await?;
    let mut builder = Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(PATIENCE)
        .timeout(whole)
        .resolve_to_addrs(host, &addresses);
    if url.scheme() == "https" {
        builder = builder.tls_backend_preconfigured(Wish::of("https://-/")?.config()?);
    }
    builder.build().map_err(|e| Error::internal("an HTTP client").caused_by(e))
}

#[async_trait]
impl Links for LinkLooker {
    async fn answers(&self, url: &str) -> Result<bool> {
        let Ok(url) = Url::parse(url) else { return Ok(false) };
        let client = match client_to(&self.outgoing, &url, PATIENCE).await {
            Ok(client) => client,
            Err(e) if e.code() == Code::SourceUnavailable => return Ok(false),
            Err(e) => return Err(e),
        };
        let head = client.head(url.clone()).send().await;
        let status = match head {
            Ok(answer) if !headless(answer.status()) => answer.status(),
            Ok(_) => match client.get(url).send().await {
                Ok(answer) => answer.status(),
                Err(_) => return Ok(false),
            },
            Err(_) => return Ok(false),
        };
        Ok(alive(status))
    }
}

/// Answers of servers that do not offer HEAD.
fn headless(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_IMPLEMENTED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
    )
}

/// Whether there is something for a visitor: also what wants a sign-in, or fewer visits.
fn alive(status: StatusCode) -> bool {
    status.is_success()
        || status.is_redirection()
        || matches!(
            status,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_tell_whether_somebody_is_there() {
        let check = |code: u16, expected: bool| {
            assert_eq!(alive(StatusCode::from_u16(code).unwrap()), expected, "{code}");
        };
        for code in [200, 204, 301, 302, 401, 403, 429] {
            check(code, true);
        }
        for code in [400, 404, 410, 500, 503] {
            check(code, false);
        }
    }
}

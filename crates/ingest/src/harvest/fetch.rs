//! One answer of another catalogue. Every address, the one asked for and each it redirects to, goes through [`crate::outgoing`]: it is
//! resolved once, the operator's list decides about what it led to, and the connection goes there. No proxy of the environment is
//! used; nothing of an answer stands in a message.

use std::time::Duration;

use futures::StreamExt as _;
use model::{Code, Error, Result};
use reqwest::header::{
    ACCEPT, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, LAST_MODIFIED, LOCATION,
};
use reqwest::{Response, StatusCode, Url};

use crate::links::client_to;
use crate::outgoing::Outgoing;

/// Longest wait for a whole answer.
const WHOLE: Duration = Duration::from_secs(50);
/// Redirects that are followed.
const REDIRECTS: usize = 5;
/// Before a mark that is a time and no tag.
const TIME: &str = "time:";

/// Asks addresses of the web.
#[derive(Debug)]
pub(super) struct Fetcher {
    outgoing: Outgoing,
}

/// An answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) body: Vec<u8>,
    /// `text/turtle`, in small letters, without parameters.
    pub(super) media: String,
    /// By what the state is known again; empty where nothing was said.
    pub(super) mark: String,
    /// Nothing has changed since the mark.
    pub(super) untouched: bool,
}

impl Answer {
    pub(super) fn words(&self) -> Result<&str> {
        let text = std::str::from_utf8(&self.body)
            .map_err(|e| super::malformed("不是 UTF-8 文本", "it is not UTF-8").caused_by(e))?;
        Ok(text.trim_start_matches('\u{feff}'))
    }
}

impl Fetcher {
    pub(super) fn reaching(outgoing: Outgoing) -> Self {
        Self { outgoing }
    }

    /// Asks an address, and what it redirects to.
    pub(super) async fn get(
        &self,
        url: Url,
        accept: &'static str,
        mark: &str,
        most: u64,
    ) -> Result<Answer> {
        let asked = async {
            let mut url = url;
            for _ in 0..=REDIRECTS {
                let response = self.once(&url, accept, mark).await?;
                let status = response.status();
                if status == StatusCode::NOT_MODIFIED && !mark.is_empty() {
                    let mark = mark.to_owned();
                    return Ok(Answer { mark, untouched: true, ..Answer::default() });
                }
                if status.is_redirection() {
                    url = onward(&url, &response)?;
                    continue;
                }
                if !status.is_success() {
                    return Err(unavailable(
                        &format!("以 HTTP {} 拒绝或失败", status.as_u16()),
                        &format!("refused or failed with HTTP {}", status.as_u16()),
                    ));
                }
                return read(response, most).await;
            }
            Err(unavailable("重定向次数过多", "redirects too often"))
        };
        tokio::time::timeout(WHOLE, asked)
            .await
            .unwrap_or_else(|_| Err(unavailable("没有及时应答", "did not answer in time")))
    }

    async fn once(&self, url: &Url, accept: &'static str, mark: &str) -> Result<Response> {
        let web = matches!(url.scheme(), "http" | "https") && url.has_host();
        if !web || !url.username().is_empty() || url.password().is_some() {
            return Err(bad_address());
        }
        let client = client_to(&self.outgoing, url, WHOLE).await?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        if let Some((name, value)) = condition(mark) {
            headers.insert(name, value);
        }
        client.get(url.clone()).headers(headers).send().await.map_err(|e| {
            unavailable("无法连接，或应答中断", "cannot be reached, or its answer broke off")
                .caused_by(e.without_url())
        })
    }
}

/// An address as people gave it.
pub(super) fn address(url: &str) -> Result<Url> {
    Url::parse(url.trim()).map_err(|e| bad_address().caused_by(e))
}

/// Where a redirect leads. What was asked for by HTTPS is not asked for in plain.
fn onward(from: &Url, response: &Response) -> Result<Url> {
    let to = response.headers().get(LOCATION).and_then(|v| v.to_str().ok());
    let to = to.and_then(|to| from.join(to).ok());
    let Some(to) = to else {
        return Err(unavailable("重定向没有地址", "redirects without an address"));
    };
    if from.scheme() == "https" && to.scheme() != "https" {
        return Err(unavailable("重定向到未加密的地址", "redirects to an address without TLS"));
    }
    Ok(to)
}

/// A question for what has changed since a mark.
fn condition(mark: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = match mark.strip_prefix(TIME) {
        Some(time) => (IF_MODIFIED_SINCE, time),
        None if mark.is_empty() => return None,
        None => (IF_NONE_MATCH, mark),
    };
    HeaderValue::from_str(value).ok().map(|value| (name, value))
}

fn mark(headers: &HeaderMap) -> String {
    let told = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    match (told(ETAG), told(LAST_MODIFIED)) {
        (Some(tag), _) => tag.to_owned(),
        (None, Some(time)) => format!("{TIME}{time}"),
        (None, None) => String::new(),
    }
}

async fn read(response: Response, most: u64) -> Result<Answer> {
    let media = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let media = media.and_then(|m| m.split(';').next()).unwrap_or_default();
    let (media, mark) = (media.trim().to_ascii_lowercase(), mark(response.headers()));
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut body = Vec::new();
    let mut pieces = response.bytes_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|e| {
            unavailable("应答中断", "its answer broke off").caused_by(e.without_url())
        })?;
        if body.len().saturating_add(piece.len()) > most {
            return Err(unavailable(
                &format!("应答超过 {most} 字节"),
                &format!("its answer is larger than {most} bytes"),
            ));
        }
        body.extend_from_slice(&piece);
    }
    Ok(Answer { body, media, mark, untouched: false })
}

fn bad_address() -> Error {
    Error::invalid(
        "来源目录的地址应以 http:// 或 https:// 开头，且不含用户名和口令",
        "the address of a catalogue begins with http:// or https:// and holds no name or password",
    )
    .field("url", "请改正地址", "mend the address")
}

fn unavailable(zh: &str, en: &str) -> Error {
    Error::new(
        Code::SourceUnavailable,
        format!("来源目录{zh}，稍后自动重试"),
        format!("the catalogue {en}; it is tried again by itself"),
    )
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::HeaderMap as Asked;
    use axum::response::IntoResponse as _;
    use axum::routing::get;

    use super::*;

    async fn serve() -> String {
        let to = |place: &'static str| {
            move || async move { (axum::http::StatusCode::FOUND, [("location", place)]).into_response() }
        };
        let tagged = |asked: Asked| async move {
            match asked.get("if-none-match").is_some_and(|v| v == "\"a\"") {
                true => axum::http::StatusCode::NOT_MODIFIED.into_response(),
                false => ([("etag", "\"a\""), ("content-type", "Text/Turtle; charset=utf-8")], "x")
                    .into_response(),
            }
        };
        let router = Router::new()
            .route("/tagged", get(tagged))
            .route("/near", get(to("/tagged")))
            .route("/round", get(to("/round")))
            .route("/far", get(to("http://169.254.169.254/latest/meta-data/")))
            .route("/file", get(to("file:///etc/passwd")))
            .route("/large", get(|| async { "y".repeat(5000) }));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    #[tokio::test]
    async fn an_answer_is_read_as_far_as_it_may_be_and_known_again() {
        let base = serve().await;
        let here = Fetcher::reaching(Outgoing::loopback().unwrap());
        let at = |path: &str| address(&format!("{base}{path}")).unwrap();
        let answer = here.get(at("/near"), "text/turtle", "", 4000).await.unwrap();
        assert_eq!((answer.words().unwrap(), answer.media.as_str()), ("x", "text/turtle"));
        assert_eq!(answer.mark, "\"a\"");
        let again = here.get(at("/tagged"), "text/turtle", &answer.mark, 4000).await.unwrap();
        assert!(again.untouched && again.body.is_empty());
        for path in ["/large", "/round", "/nowhere"] {
            let e = here.get(at(path), "*/*", "", 4000).await.unwrap_err();
            assert_eq!(e.code(), Code::SourceUnavailable, "{path}");
        }
    }

    #[tokio::test]
    async fn no_address_leads_where_the_operator_does_not_allow() {
        let base = serve().await;
        let here = Fetcher::reaching(Outgoing::loopback().unwrap());
        let at = |path: &str| address(&format!("{base}{path}")).unwrap();
        let far = here.get(at("/far"), "*/*", "", 4000).await.unwrap_err();
        assert_eq!(far.reasons(), ["outgoing.not-allowed"]);
        assert!(here.get(at("/file"), "*/*", "", 4000).await.is_err());
        let nowhere = Fetcher::reaching(Outgoing::default());
        let own = nowhere.get(at("/tagged"), "*/*", "", 4000).await.unwrap_err();
        assert_eq!(own.reasons(), ["outgoing.not-allowed"]);
        for bad in ["ftp://a.example/", "http://a:b@a.example/"] {
            let e = here.get(address(bad).unwrap(), "*/*", "", 4000).await.unwrap_err();
            assert_eq!(e.code(), Code::InvalidInput, "{bad}");
        }
    }
}

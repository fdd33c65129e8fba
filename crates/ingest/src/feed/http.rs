//! An interface that answers JSON, page by page: one page is held at a time.
//!
//! No proxy of the environment is used, redirects stay on the host, and the name is resolved once ([`crate::outgoing::reach`]).
//! Nothing of headers or parameters, which may prove who asks, stands in a message.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use model::item::Item;
use model::parcel::Sniffed;
use model::{Code, Error, Result};
use policy::port::{HttpFeed, ReadOptions, Reading};
use reqwest::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue, LINK, LOCATION, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url};

use super::flat::Flat;
use super::page::{Pages, Turned, pointed};
use super::{LOOKED_AT, gone, late, sniffed};
use crate::hand::{Hand, on_task};
use crate::json_scan;
use crate::matching::{Header, by_name, settle};
use crate::outgoing::{Outgoing, reach};
use crate::query::PATIENCE;
use crate::shape::Shape;
use crate::sink::Sink;
use crate::tls::Wish;
use crate::typing::{Doubt, Hint};
use crate::why::{Why, cut};

/// Largest answer that is taken.
const LARGEST: usize = 64 << 20;
/// Longest silence within an answer.
const SILENCE: Duration = Duration::from_secs(60);
/// How often a request is tried, and the longest time between two tries.
const TRIES: u32 = 5;
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const REDIRECTS: usize = 5;

/// Where a feed is asked.
struct Line {
    client: Client,
    base: Url,
    headers: HeaderMap,
    query: Vec<(String, String)>,
    rows_at: String,
    /// Host, port and path for messages.
    place: String,
}

/// One answer.
struct Answer {
    body: String,
    link: Option<String>,
}

impl Line {
    async fn open(outgoing: &Outgoing, feed: &HttpFeed) -> Result<Self> {
        let wish = Wish::of(&feed.url)?;
        let base = Url::parse(&wish.url).ok().filter(|u| matches!(u.scheme(), "http" | "https"));
        let Some((base, host)) = base.and_then(|b| b.host_str().map(str::to_owned).map(|h| (b, h)))
        else {
            return Err(Error::invalid(
                "接口地址应为 http:// 或 https:// 开头的完整网址",
                "the interface's address is a whole URL that starts with http:// or https://",
            ));
        };
        let port = base.port_or_known_default().unwrap_or(80);
        let addresses = reach(outgoing, &host, port).await?;
        let mut builder = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(PATIENCE)
            .read_timeout(SILENCE)
            .resolve_to_addrs(&host, &addresses);
        if base.scheme() == "https" {
            builder = builder.tls_backend_preconfigured(wish.config()?);
        }
        let client = builder.build().map_err(|e| Error::internal("an HTTP client").caused_by(e))?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        for (name, value) in &feed.headers {
            let parsed = HeaderName::from_bytes(name.as_bytes()).ok();
            let Some((parsed, mut value)) = parsed.zip(HeaderValue::from_str(value).ok()) else {
                return Err(Error::invalid(
                    format!("请求头 `{name}` 的名称或值不合规范"),
                    format!("the header `{name}` is not well formed"),
                ));
            };
            value.set_sensitive(true);
            headers.insert(parsed, value);
        }
        let place = format!("{host}:{port}{}", base.path());
        let (query, rows_at) = (feed.query.clone(), feed.rows_at.clone());
        Ok(Self { client, base, headers, query, rows_at, place })
    }

    /// Address of the page that is to be asked for.
    fn address(&self, pages: &Pages) -> Result<Url> {
        if let Some(next) = pages.address() {
            let next = self.base.join(next).map_err(|e| self.bad_answer("Link").caused_by(e))?;
            return self.same_host(next);
        }
        let mut address = self.base.clone();
        {
            let mut pairs = address.query_pairs_mut();
            for (name, value) in self.query.iter().chain(&pages.parameters()) {
                pairs.append_pair(name, value);
            }
        }
        if address.query() == Some("") {
            address.set_query(None);
        }
        Ok(address)
    }

    fn same_host(&self, to: Url) -> Result<Url> {
        let same = to.scheme() == self.base.scheme()
            && to.host_str() == self.base.host_str()
            && to.port_or_known_default() == self.base.port_or_known_default();
        if same {
            return Ok(to);
        }
        Err(gone(
            format!("接口 {} 指向另一台主机，未跟随；请直接填写最终地址", self.place),
            format!(
                "{} leads to another host, which is not followed: give the final address",
                self.place
            ),
        ))
    }

    fn bad_answer(&self, what: &str) -> Error {
        gone(
            format!("接口 {} 的应答不可用（{what}）", self.place),
            format!("the answer of {} cannot be used ({what})", self.place),
        )
    }

    /// Asks for a page, again when that may help; `None` when there is none (404 where that is allowed).
    async fn ask(&self, address: Url, may_lack: bool) -> Result<Option<Answer>> {
        let mut tried = 0;
        loop {
            tried += 1;
            let (error, wait) = match self.once(address.clone()).await? {
                Outcome::Answer(answer) => return Ok(Some(answer)),
                Outcome::Lacking if may_lack => return Ok(None),
                Outcome::Lacking => return Err(self.refused(StatusCode::NOT_FOUND)),
                Outcome::Later(error, wait) => (error, wait),
            };
            if tried == TRIES {
                return Err(error);
            }
            let pause = Duration::from_millis(250 * (1 << tried));
            tokio::time::sleep(wait.unwrap_or(pause).min(LONGEST_WAIT)).await;
        }
    }

    async fn once(&self, mut address: Url) -> Result<Outcome> {
        for _ in 0..=REDIRECTS {
            let sent = self.client.get(address.clone()).headers(self.headers.clone()).send().await;
            let answer = match sent {
                Ok(answer) => answer,
                Err(e) => return Ok(Outcome::Later(self.unreachable(e), None)),
            };
            let status = answer.status();
            if status.is_redirection() {
                let to = answer.headers().get(LOCATION).and_then(|v| v.to_str().ok());
                let to = to.and_then(|to| address.join(to).ok());
                address = self.same_host(to.ok_or_else(|| self.bad_answer("Location"))?)?;
                continue;
            }
            if status == StatusCode::NOT_FOUND {
                return Ok(Outcome::Lacking);
            }
            if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
                let wait = answer.headers().get(RETRY_AFTER).and_then(retry_after);
                return Ok(Outcome::Later(self.refused(status), wait));
            }
            if !status.is_success() {
                return Err(self.refused(status));
            }
            let link: Vec<String> = answer
                .headers()
                .get_all(LINK)
                .iter()
                .filter_map(|v| v.to_str().ok().map(str::to_owned))
                .collect();
            let link = (!link.is_empty()).then(|| link.join(", "));
            return self.body(answer).await.map(|read| match read {
                Ok(body) => Outcome::Answer(Answer { body, link }),
                Err(error) => Outcome::Later(error, None),
            });
        }
        Err(self.bad_answer("redirects"))
    }

    /// Reads an answer; the inner error is one that trying again may mend.
    async fn body(&self, answer: reqwest::Response) -> Result<std::result::Result<String, Error>> {
        let mut bytes = Vec::new();
        let mut pieces = answer.bytes_stream();
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(piece) if bytes.len() + piece.len() > LARGEST => {
                    return Err(Error::new(
                        Code::TooLarge,
                        format!(
                            "接口 {} 的一次应答超过 {} MiB，请改小每页行数",
                            self.place,
                            LARGEST >> 20
                        ),
                        format!(
                            "one answer of {} is larger than {} MiB: ask for fewer rows a page",
                            self.place,
                            LARGEST >> 20
                        ),
                    ));
                }
                Ok(piece) => bytes.extend_from_slice(&piece),
                Err(e) => return Ok(Err(self.unreachable(e))),
            }
        }
        let text = String::from_utf8(bytes).map_err(|e| {
            self.bad_answer("不是 UTF-8 文本 / not UTF-8").caused_by(e.utf8_error())
        })?;
        json_scan::valid(&text).map_err(|e| {
            let start = cut(text.trim_start(), 60);
            self.bad_answer(&format!("不是 JSON，开头为 `{start}` / not JSON")).caused_by(e)
        })?;
        Ok(Ok(text))
    }

    fn refused(&self, status: StatusCode) -> Error {
        let (zh, en) = match status.as_u16() {
            401 | 403 => (
                "接口拒绝访问，请检查凭据与请求头",
                "access was refused: check the credentials and headers",
            ),
            404 => ("接口不存在，请检查地址", "there is nothing at that address: check it"),
            429 => (
                "接口限制了调用频率，多次重试后仍被拒绝",
                "the interface limits calls and refused after several tries",
            ),
            500.. => ("接口出错，多次重试后仍未成功", "the interface failed, several times"),
            _ => (
                "接口不接受该请求，请检查参数",
                "the request was not accepted: check the parameters",
            ),
        };
        let (place, status) = (&self.place, status.as_u16());
        gone(format!("{zh}（{place}，HTTP {status}）"), format!("{en} ({place}, HTTP {status})"))
    }

    fn unreachable(&self, error: reqwest::Error) -> Error {
        gone(
            format!("无法连接接口 {}，或应答中断；请检查地址、网络与证书", self.place),
            format!("{} cannot be reached, or its answer broke off: check address, network and certificate", self.place),
        )
        .caused_by(error.without_url())
    }

    /// The rows of an answer as they stand in it.
    fn rows<'a>(&self, body: &'a str) -> Result<Vec<&'a str>> {
        let found = pointed(body, &self.rows_at);
        match found {
            Some(array) if array.starts_with('[') => Ok(json_scan::elements(array)),
            other => {
                let whole = pointed(body, "").unwrap_or_default();
                let names: Vec<String> = if whole.starts_with('{') {
                    json_scan::members(whole).into_iter().map(|(n, _)| n.into_owned()).collect()
                } else {
                    Vec::new()
                };
                let there = cut(&names.join("、"), 200);
                let at = &self.rows_at;
                let (zh, en) = if other.is_some() {
                    ("不是数组", "is no array")
                } else {
                    ("不存在", "is not there")
                };
                Err(gone(
                    format!(
                        "应答中的行位置 `{at}` {zh}；应答的成员：{there}。请填写行数组的 JSON 指针，如 /data/rows"
                    ),
                    format!(
                        "the place of the rows `{at}` {en}; members of the answer: {there}. Give a JSON pointer to the array of rows, as /data/rows"
                    ),
                ))
            }
        }
    }
}

enum Outcome {
    Answer(Answer),
    Lacking,
    Later(Error, Option<Duration>),
}

/// Seconds, or a date (RFC 9110).
fn retry_after(value: &HeaderValue) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = std::time::SystemTime::from(chrono::DateTime::parse_from_rfc2822(text).ok()?);
    Some(at.elapsed().err().map_or(Duration::ZERO, |e| e.duration()))
}

/// The pages being read.
struct Walk {
    line: Line,
    pages: Pages,
    /// The rows of the page before, to notice one that comes again.
    before: Vec<u8>,
    more: bool,
}

impl Walk {
    async fn open(outgoing: &Outgoing, feed: &HttpFeed) -> Result<Self> {
        let line = Line::open(outgoing, feed).await?;
        Ok(Self { line, pages: Pages::new(feed), before: Vec::new(), more: true })
    }

    /// The next answer; its rows are found in it by [`Line::rows`].
    async fn next(&mut self) -> Result<Option<String>> {
        if !self.more {
            return Ok(None);
        }
        let address = self.line.address(&self.pages)?;
        let Some(answer) = self.line.ask(address, self.pages.to_be_sure()).await? else {
            self.more = false;
            return Ok(None);
        };
        let rows = self.line.rows(&answer.body)?;
        let text = rows.join(",").into_bytes();
        let same = text == self.before;
        let page = Turned { rows: rows.len() as u64, body: &answer.body, link: answer.link, same };
        self.more = self.pages.turn(&page)?;
        // A page that came again at the end was read already.
        if same && page.rows > 0 {
            return Ok(None);
        }
        self.before = text;
        Ok(Some(answer.body))
    }
}

pub(super) async fn read(
    outgoing: &Outgoing,
    feed: &HttpFeed,
    items: &[Item],
    options: &ReadOptions,
) -> Result<Reading> {
    let mut walk = Walk::open(outgoing, feed).await?;
    let first = walk.next().await?.unwrap_or_default();
    let mut flat = Flat::default();
    for row in walk.line.rows(&first)? {
        flat.take(row);
    }
    let headers: Vec<Header> = flat.names.iter().map(Header::plain).collect();
    // An interface without rows says nothing of its columns: nothing is missing then.
    let operation = options.operation_column.as_deref();
    let matched = if headers.is_empty() {
        by_name(&headers, items, operation)
    } else {
        settle(&headers, items, true, operation)?
    };
    let columns = matched.columns(&headers, items);
    let done: Arc<AtomicU64> = Arc::default();
    let mut sink =
        Sink::new(items, matched, |_| Hint::default(), options.batch_rows, Arc::clone(&done));
    sink.doubt = Doubt { nul: true, damage: true };
    let items = items.to_vec();
    let chunks =
        on_task(move |hand| async move { run(walk, first, flat, &items, sink, &done, hand).await });
    Ok(Reading { sniffed: None, columns, bytes_total: 0, position: None, chunks })
}

async fn run(
    mut walk: Walk,
    first: String,
    mut flat: Flat,
    items: &[Item],
    mut sink: Sink,
    done: &AtomicU64,
    hand: Hand,
) -> Result<()> {
    let mut record = 0;
    let mut known = flat.names.len();
    let mut page = Some(first);
    while let Some(body) = page {
        done.fetch_add(body.len() as u64, Ordering::Relaxed);
        for row in walk.line.rows(&body)? {
            record += 1;
            if !flat.take(row) {
                let why = Why::plain("记录不是 JSON 对象", "the record is not a JSON object");
                sink.refuse(record, 0, why, row, &[Some(row.to_owned())], 0);
            } else {
                if flat.names.len() > known {
                    late(&flat.names, known, items, &mut sink);
                    known = flat.names.len();
                }
                sink.row(record, 0, |column| flat.cell(column));
            }
            if sink.ready() {
                hand.give_async(sink.take()).await?;
            }
        }
        page = walk.next().await?;
    }
    if !sink.is_empty() {
        hand.give_async(sink.take()).await?;
    }
    Ok(())
}

pub(super) async fn probe(outgoing: &Outgoing, feed: &HttpFeed) -> Result<Sniffed> {
    let mut walk = Walk::open(outgoing, feed).await?;
    let mut flat = Flat::default();
    let mut shapes: Vec<(Shape, usize)> = Vec::new();
    let mut read = 0;
    while read < LOOKED_AT
        && let Some(body) = walk.next().await?
    {
        for row in walk.line.rows(&body)?.into_iter().take(LOOKED_AT - read) {
            read += 1;
            if !flat.take(row) {
                continue;
            }
            shapes.resize(flat.names.len(), (Shape::default(), 0));
            for (at, (shape, present)) in shapes.iter_mut().enumerate() {
                if let Some(cell) = flat.cell(at) {
                    *present += 1;
                    shape.see(cell.text, false, read as u64);
                }
            }
        }
    }
    let (shapes, present): (Vec<Shape>, Vec<usize>) = shapes.into_iter().unzip();
    let whole = (!walk.more).then_some(read as u64).filter(|_| read < LOOKED_AT);
    let mut sniffed = sniffed("json", &flat.names, &shapes, whole);
    for (column, present) in sniffed.columns.iter_mut().zip(present) {
        column.nullable |= present < read;
    }
    Ok(sniffed)
}

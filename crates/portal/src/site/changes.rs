//! The change feed as Atom: of open data for anyone, of the ledgers for whoever works here. A page is named by its entity
//! tag: who has it already is told so (`304`).

use std::sync::Arc;

use app::ledger::{self, FeedDoor, FeedPlace};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use model::asset::Ledger;
use model::change::{ChangeFilter, Position};
use model::{Code, Error, Op, Result};

use crate::visit::{self, Visit, encode};
use crate::{Answer, Door};

pub(crate) const TYPE: HeaderValue =
    HeaderValue::from_static("application/atom+xml; charset=utf-8");

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new().route("/changes.atom", get(open))
}

async fn open(State(door): State<Arc<Door>>, visit: Visit, headers: HeaderMap) -> Answer {
    let filter = ChangeFilter { open: true, ..filter(&door, &visit).await? };
    feed(&door, &visit, &visit.public_op(), filter, &headers).await
}

/// The filter that the page's query asks for.
pub(crate) async fn filter(door: &Door, visit: &Visit) -> Result<ChangeFilter> {
    let wrong = |name: &str, value: &str| {
        Error::new(
            Code::InvalidQuery,
            format!("参数 `{name}` 的值 `{value}` 无效"),
            format!("the value `{value}` of `{name}` is not valid"),
        )
    };
    let ledger = match visit.q("ledger") {
        None => None,
        Some(word) => Some(Ledger::of_word(word).ok_or_else(|| wrong("ledger", word))?),
    };
    let regions = match visit.q("region") {
        None => Vec::new(),
        Some(code) => ledger::regions_below(&door.app, code).await?,
    };
    let after = match visit.q("after") {
        None => None,
        Some(text) => Some(Position::parse(text).ok_or_else(|| wrong("after", text))?),
    };
    let limit = match visit.q("limit") {
        None => 50,
        Some(text) => text.parse().map_err(|_| wrong("limit", text))?,
    };
    let org = visit.q("org").map(str::to_owned);
    Ok(ChangeFilter { ledger, org, regions, after, limit, ..ChangeFilter::default() })
}

/// A page of the feed, or word that the reader has it already.
pub(crate) async fn feed(
    door: &Door,
    visit: &Visit,
    op: &Op,
    filter: ChangeFilter,
    headers: &HeaderMap,
) -> Answer {
    let page = ledger::changes(&door.app, op, &filter).await?;
    let address = |after: Option<&str>| {
        let mut parts = visit.asked_but(&["after"]);
        parts.extend(after.map(|a| format!("after={}", encode(a))));
        let glue = if parts.is_empty() { "" } else { "?" };
        format!("{}{}{glue}{}", visit.base, visit.uri.path(), parts.join("&"))
    };
    let name = visit.t(&door.config.site_name_cn, &door.config.site_name_en);
    let place = FeedPlace {
        title: format!("{name} · {}", visit.t("变更", "Changes")),
        lang: visit.lang.of("zh-CN", "en").to_owned(),
        this: address(visit.q("after")),
        first: address(None),
        next: page.next.as_deref().map(|n| address(Some(n))),
        base: visit.base.clone(),
        door: if filter.open { FeedDoor::Site } else { FeedDoor::Console },
        now: "1970-01-01T00:00:00Z".into(),
    };
    let (body, tag) = ledger::atom(&page, &place)?;
    let had = visit::has(headers, &tag);
    let tag =
        HeaderValue::from_str(&tag).map_err(|e| Error::internal("an entity tag").caused_by(e))?;
    let cache = HeaderValue::from_static("private, no-cache");
    let told = [(header::ETAG, tag), (header::CACHE_CONTROL, cache)];
    if had {
        return Ok((StatusCode::NOT_MODIFIED, told).into_response());
    }
    Ok(([(header::CONTENT_TYPE, TYPE)], told, body).into_response())
}

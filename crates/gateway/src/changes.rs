//! `GET /ledger/v1/changes`: the change feed as Atom, page by page; what an application may know of when it signed, open
//! data otherwise. Filters `ledger`, `org`, `region`; `after` and `limit` page; `If-None-Match` answers `304`.

use app::ledger::{self, FeedDoor, FeedPlace};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use model::asset::Ledger;
use model::change::{ChangeFilter, Position};
use model::{Actor, Code, Error, Op, Result};

use crate::Door;
use crate::answer::{self, Refusal};
use crate::caller::Caller;

pub(crate) fn router() -> Router<Door> {
    Router::new().route("/ledger/v1/changes", get(changes))
}

async fn changes(State(door): State<Door>, request: Request) -> Result<Response, Refusal> {
    let (parts, _) = request.into_parts();
    let Caller(op) = Caller::with_body(&parts, &door, b"").await?;
    let query = parts.uri.query().unwrap_or_default();
    match answer(&door, &op, query, &parts.headers).await {
        Ok(response) => Ok(response),
        Err(e) => Err(Refusal::new(e, &op)),
    }
}

/// Decodes `a=1&b=2`.
fn pairs(query: &str) -> Vec<(String, String)> {
    let all = form_urlencoded::parse(query.as_bytes()).into_owned();
    all.filter(|(_, v)| !v.is_empty()).collect()
}

async fn filter(door: &Door, op: &Op, pairs: &[(String, String)]) -> Result<ChangeFilter> {
    let mut filter = ChangeFilter { open: op.actor == Actor::Nobody, ..ChangeFilter::default() };
    for (name, value) in pairs {
        let wrong = || {
            Error::new(
                Code::InvalidQuery,
                format!("参数 `{name}` 的值无效；可用：ledger org region after limit"),
                format!(
                    "the parameter `{name}` is not valid here: use ledger org region after limit"
                ),
            )
        };
        match name.as_str() {
            "ledger" => filter.ledger = Some(Ledger::of_word(value).ok_or_else(wrong)?),
            "org" => filter.org = Some(value.clone()),
            "region" => filter.regions = ledger::regions_below(&door.app, value).await?,
            "after" => filter.after = Some(Position::parse(value).ok_or_else(wrong)?),
            "limit" => filter.limit = value.parse().map_err(|_| wrong())?,
            _ => return Err(wrong()),
        }
    }
    Ok(filter)
}

async fn answer(door: &Door, op: &Op, query: &str, headers: &HeaderMap) -> Result<Response> {
    let pairs = pairs(query);
    let filter = filter(door, op, &pairs).await?;
    let page = ledger::changes(&door.app, op, &filter).await?;
    let base = &door.config.public_url;
    let encode = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let address = |after: Option<&str>| {
        let kept = pairs.iter().filter(|(k, _)| k != "after");
        let mut parts: Vec<String> = kept.map(|(k, v)| format!("{k}={}", encode(v))).collect();
        parts.extend(after.map(|a| format!("after={}", encode(a))));
        let glue = if parts.is_empty() { "" } else { "?" };
        format!("{base}/ledger/v1/changes{glue}{}", parts.join("&"))
    };
    let after = filter.after.as_ref().map(Position::write);
    let place = FeedPlace {
        title: "变更 · Changes".into(),
        lang: "zh-CN".into(),
        this: address(after.as_deref()),
        first: address(None),
        next: page.next.as_deref().map(|n| address(Some(n))),
        base: base.clone(),
        door: FeedDoor::Interface,
        now: "1970-01-01T00:00:00Z".into(),
    };
    let (body, tag) = ledger::atom(&page, &place)?;
    let had = answer::has(headers, &tag);
    let tag =
        HeaderValue::from_str(&tag).map_err(|e| Error::internal("an entity tag").caused_by(e))?;
    if had {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let kind = HeaderValue::from_static("application/atom+xml; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind), (header::ETAG, tag)], body).into_response())
}

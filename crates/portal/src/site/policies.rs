//! 政策动态: policies, notices, news and interpretations; of one city with the province's; as pages and as a feed.

use std::sync::Arc;

use app::news::{self, NewsAsk};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::get;
use minijinja::{Value, context};
use model::news::{News, NewsKind, blocks};

use crate::console::next_link;
use crate::site::download::attachment;
use crate::site::interact::word;
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

/// Ones of a page, and of the feed.
const PAGE: u32 = 20;
const FEED: u32 = 50;

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/policies", get(list))
        .route("/policies/{id}", get(show))
        .route("/policies/{id}/files/{file}", get(file))
        .route("/policies.atom", get(feed))
}

/// The region of the city site that is asked for by its word or code.
fn city<'a>(door: &'a Door, visit: &Visit) -> model::Result<Option<&'a str>> {
    match visit.q("city").filter(|c| !c.is_empty()) {
        None => Ok(None),
        Some(word) => app::opening::city(&door.app, word).map(|c| Some(c.region.as_str())),
    }
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let ask = NewsAsk {
        kind: word(NewsKind::ALL, NewsKind::as_str, visit.q("kind")),
        city: city(&door, &visit)?,
        text: visit.q("q"),
        before: visit.q("before"),
        limit: PAGE,
    };
    let page = news::news(&door.app, &visit.op, &ask).await?;
    let context = context! {
        rows => value(&page.items), kind => ask.kind.map(NewsKind::as_str), q => ask.text,
        cities => cities(&door, &visit), city => visit.q("city"), first => ask.before.is_some(),
        next => next_link(&visit, "before", page.next.as_deref()),
    };
    door.page(&visit, "site/policies.html", context).await
}

/// City sites as choices.
fn cities(door: &Door, visit: &Visit) -> Vec<Value> {
    let sites = door.app.rules.site.city.iter();
    sites.map(|c| context! { value => &c.slug, name => visit.t(&c.name_zh, &c.name_en) }).collect()
}

/// What a city's home shows: its own and the province's newest.
pub(super) async fn newest(door: &Door, visit: &Visit, region: &str, limit: u32) -> Vec<News> {
    let ask = NewsAsk { city: Some(region), limit, ..NewsAsk::default() };
    // A home page does not fail because of its notices.
    news::news(&door.app, &visit.op, &ask).await.map(|p| p.items).unwrap_or_default()
}

async fn show(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let news = news::item(&door.app, &visit.op, &id).await?;
    let text =
        visit.t(&news.text, if news.text_en.is_empty() { &news.text } else { &news.text_en });
    let context = context! { news => value(&news), blocks => value(blocks(text)) };
    door.page(&visit, "site/policy.html", context).await
}

/// A file that goes with one; browsers keep it and never run it.
async fn file(
    State(door): State<Arc<Door>>,
    Path((id, file)): Path<(String, String)>,
    visit: Visit,
) -> Answer {
    let (name, content) = news::file(&door.app, &visit.op, &id, &file).await?;
    let headers = attachment(&name, "application/octet-stream");
    Ok((headers, Body::from_stream(content)).into_response())
}

async fn feed(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let ask = NewsAsk { city: city(&door, &visit)?, limit: FEED, ..NewsAsk::default() };
    let page = news::news(&door.app, &visit.op, &ask).await?;
    let updated = page.items.iter().map(|n| n.updated_at.clone()).max();
    let context = context! {
        rows => value(&page.items), updated => updated.unwrap_or_else(|| visit.op.stamp()),
    };
    door.file(&visit, "site/policies.atom", "application/atom+xml; charset=utf-8", context).await
}

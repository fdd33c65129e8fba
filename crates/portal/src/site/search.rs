//! Search over the whole site: data sets, interfaces, what was made of open data, policies and contests, each as far as it is open.

use std::sync::Arc;

use app::news::NewsAsk;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use minijinja::context;
use model::search::SearchQuery;

use crate::site::interact::word;
use crate::site::{city, facets};
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door};

/// Results of a section; its own list has all.
const EACH: u32 = 5;
/// Longest question, in characters.
const LONGEST: usize = 100;

/// What may be searched alone.
const SECTIONS: [&str; 5] = ["data", "interfaces", "showcases", "policies", "contests"];

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new().route("/search", get(search))
}

async fn search(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let text: String = visit.q("q").unwrap_or_default().trim().chars().take(LONGEST).collect();
    let only = word(&SECTIONS, |s| s, visit.q("in"));
    let wants = |section: &str| !text.is_empty() && only.is_none_or(|o| o == section);
    let sets = |format: Option<&str>| {
        let mut filters = facets::open_only();
        filters.extend(format.map(|f| ("format".to_owned(), f.to_owned())));
        for name in ["org", "region"] {
            filters.extend(
                visit.qs(name).filter(|v| !v.is_empty()).map(|v| (name.to_owned(), v.to_owned())),
            );
        }
        SearchQuery {
            text: text.clone(),
            filters,
            facets: Some(Vec::new()),
            sort: "relevance".into(),
            limit: EACH,
            some: true,
            ..SearchQuery::default()
        }
    };
    let public = visit.public_op();
    let mut found = context! {};
    if wants("data") {
        let page = app::opening::search(app, &public, sets(None)).await?;
        found = context! { data => value(&page.hits), data_total => page.total, data_partial => page.partial, ..found };
    }
    if wants("interfaces") {
        let page = app::opening::search(app, &public, sets(Some("API"))).await?;
        let docs: Vec<_> = page.hits.iter().map(|h| &h.doc).collect();
        found = context! { interfaces => value(docs), interfaces_total => page.total, interfaces_partial => page.partial, ..found };
    }
    if wants("showcases") {
        let all = app::voice::showcases_like(app, op, &text, visit.q("region"), EACH).await?;
        found = context! { showcases => value(all), ..found };
    }
    if wants("policies") {
        // A city's and the province's, where a city site asks.
        let city = city::of(&door, &visit).map(|site| site.region.as_str());
        let ask = NewsAsk { city, text: Some(&text), limit: EACH, ..NewsAsk::default() };
        let page = app::news::news(app, op, &ask).await?;
        found = context! { policies => value(&page.items), ..found };
    }
    if wants("contests") {
        let all = app::contest::search(app, op, &text, EACH).await?;
        found = context! { contests => value(all), ..found };
    }
    door.names.refresh(app).await;
    let names = door.names.get();
    let context = context! {
        q => text, only, found, orgs => value(&names.orgs), regions => value(&names.regions),
        org => visit.q("org"), region => visit.q("region"),
    };
    door.page(&visit, "site/search.html", context).await
}

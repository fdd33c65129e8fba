//! The result list: search with facets, sort order and pages.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use minijinja::context;
use model::search::SearchQuery;
use model::{Code, Error};

use crate::site::{at_page, facets};
use crate::view::value;
use crate::visit::Visit;
use crate::{Answer, Door, label};

const PAGE_SIZE: u32 = 15;
/// Deepest page of a search; nobody reads on, and the catalogue download holds everything.
const DEEPEST_PAGE: u32 = 400;

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new().route("/data", get(list))
}

async fn list(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let page = visit
        .q("page")
        .map_or(Ok(1), str::parse::<u32>)
        .ok()
        .filter(|p| (1..=DEEPEST_PAGE).contains(p));
    let page = page.ok_or_else(|| {
        Error::new(
            Code::InvalidQuery,
            format!("页码应在 1 到 {DEEPEST_PAGE} 之间；要全部目录请用目录下载"),
            format!("the page must be between 1 and {DEEPEST_PAGE}; for all entries use the catalogue download"),
        )
    })?;
    let text = visit.q("q").unwrap_or_default().to_owned();
    let sort = sort(&visit, &text);
    let query = SearchQuery {
        text: text.clone(),
        filters: filters(&visit),
        audience: Vec::new(),
        sort: sort.clone(),
        offset: (page - 1) * PAGE_SIZE,
        limit: PAGE_SIZE,
        some: true,
        ..SearchQuery::default()
    };
    let found = app::opening::search(&door.app, &visit.public_op(), query).await?;
    door.names.refresh(&door.app).await;
    let names = door.names.get();
    let groups: Vec<_> = facets::SHOWN
        .iter()
        .map(|name| {
            let counts = facets::counts(&found.facets, name);
            let values = match *name {
                "region" => facets::tree(counts, &visit, &names),
                "open_type" => {
                    let open: Vec<(String, u64)> =
                        counts.iter().filter(|(w, _)| w != "none").cloned().collect();
                    facets::plain(name, &open, &visit, &names.orgs)
                }
                _ => facets::plain(name, counts, &visit, &names.orgs),
            };
            context! { id => *name, name => label::label("facet", name, visit.lang), values }
        })
        .collect();
    let pages = u32::try_from(found.total.div_ceil(u64::from(PAGE_SIZE))).unwrap_or(u32::MAX);
    let context = context! {
        q => text, sort, page, pages => pages.min(DEEPEST_PAGE), total => found.total,
        hits => value(&found.hits), partial => found.partial, groups,
        chips => facets::chips(&visit, &names),
        hidden => hidden(&visit),
        previous => (page > 1).then(|| at_page(&visit, page - 1)),
        next => (page < pages.min(DEEPEST_PAGE)).then(|| at_page(&visit, page + 1)),
    };
    let template = if visit.fragment { "site/results.html" } else { "site/list.html" };
    door.page(&visit, template, context).await
}

fn sort(visit: &Visit, text: &str) -> String {
    let known = ["relevance", "data_at", "published_at", "rows"];
    match visit.q("sort").filter(|s| known.contains(s)) {
        Some(sort) => sort.to_owned(),
        None if text.is_empty() => "data_at".into(),
        None => "relevance".into(),
    }
}

/// The visitor's filters; without a choice of open attribute, everything open.
fn filters(visit: &Visit) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = Vec::new();
    for name in facets::SHOWN {
        for word in visit.qs(name) {
            if name != "open_type" || word != "none" {
                out.push((name.to_owned(), word.to_owned()));
            }
        }
    }
    if !out.iter().any(|(name, _)| name == "open_type") {
        out.extend(facets::open_only());
    }
    out
}

/// Chosen filters as hidden fields, so that a new search word keeps them, and the city whose site this is without being one of them.
fn hidden(visit: &Visit) -> Vec<(String, String)> {
    facets::SHOWN
        .iter()
        .chain(&["city"])
        .flat_map(|name| visit.qs(name).map(|word| ((*name).to_owned(), word.to_owned())))
        .collect()
}

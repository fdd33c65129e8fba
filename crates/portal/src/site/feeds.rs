//! For machines: site map, robots, and the feed of newest data sets.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use futures::StreamExt;
use minijinja::context;
use model::search::SearchQuery;

use crate::export::xml_text;
use crate::site::{catalogue, facets};
use crate::view::value;
use crate::visit::{Visit, encode};
use crate::{Answer, Door};

/// Most addresses of one site map (sitemaps.org).
const MOST_ADDRESSES: usize = 50_000;

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/sitemap.xml", get(sitemap))
        .route("/robots.txt", get(robots))
        .route("/feed.atom", get(feed))
}

async fn sitemap(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n",
    );
    let mut count = 0;
    for path in [
        "/",
        "/data",
        "/apis",
        "/maps",
        "/developer",
        "/index",
        "/plans",
        "/policies",
        "/contests",
        "/about",
        "/help/api",
        "/help/errors",
    ] {
        let _ = writeln!(out, "<url><loc>{}{path}</loc></url>", escaped(&visit.base));
    }
    for site in &door.app.rules.site.city {
        let _ = writeln!(out, "<url><loc>{}/city/{}</loc></url>", escaped(&visit.base), site.slug);
    }
    let mut pages = catalogue::pages(&door, &visit);
    while let Some(page) = pages.next().await {
        for dataset in page? {
            count += 1;
            if count > MOST_ADDRESSES {
                break;
            }
            let code = encode(&dataset.entry.draft.code);
            let _ = write!(out, "<url><loc>{}/data/{code}</loc>", escaped(&visit.base));
            if let Some(at) = dataset.entry.data_at.or(dataset.entry.published_at) {
                let _ = write!(out, "<lastmod>{}</lastmod>", escaped(&at));
            }
            out.push_str("</url>\n");
        }
    }
    out.push_str("</urlset>\n");
    Ok(([(header::CONTENT_TYPE, "application/xml; charset=utf-8")], out).into_response())
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    xml_text(text, &mut out);
    out
}

async fn robots(visit: Visit) -> Answer {
    let text = format!(
        "User-agent: *\nDisallow: /console\nDisallow: /me\nDisallow: /apply/\nDisallow: /login\n\
         Disallow: /data/*/download.\nCrawl-delay: 1\nSitemap: {}/sitemap.xml\n",
        visit.base
    );
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}

async fn feed(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let name = visit.t(&door.config.site_name_cn, &door.config.site_name_en);
    atom(&door, &visit, facets::open_only(), name, "").await
}

/// The newest sets within the filters, as a feed of the site of this name at this path.
pub(super) async fn atom(
    door: &Door,
    visit: &Visit,
    filters: Vec<(String, String)>,
    name: &str,
    path: &str,
) -> Answer {
    let region = filters.iter().find(|(n, _)| n == "region").map(|(_, v)| v.clone());
    let query = SearchQuery {
        filters,
        facets: Some(Vec::new()),
        sort: "data_at".into(),
        limit: 50,
        ..SearchQuery::default()
    };
    let found = app::opening::search(&door.app, &visit.public_op(), query).await?;
    let docs: Vec<_> = found.hits.into_iter().map(|hit| hit.doc).collect();
    // An entry without data counts from its publication.
    let at = |d: &model::search::SearchDoc| {
        if d.data_at.is_empty() { d.published_at.clone() } else { d.data_at.clone() }
    };
    let updated = docs.iter().map(at).max().filter(|t| !t.is_empty());
    let withdrawn = app::opening::withdrawals(&door.app, &visit.op, region.as_deref(), 20).await?;
    let context = context! {
        withdrawn => value(&withdrawn), docs => value(&docs), site_name => name, path,
        updated => updated.unwrap_or_else(|| visit.op.stamp()),
    };
    door.file(visit, "site/feed.atom", "application/atom+xml; charset=utf-8", context).await
}

//! For machines: site map, robots, and the feed of newest data sets.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use minijinja::context;
use model::search::SearchQuery;
use model::{Error, Result};

use crate::export::xml_text;
use crate::site::facets;
use crate::view::value;
use crate::visit::{Visit, encode};
use crate::{Answer, Door};

/// Data sets read at once.
const AT_ONCE: u32 = 500;
/// Pages besides the data sets.
const PAGES: [&str; 15] = [
    "/",
    "/data",
    "/apis",
    "/maps",
    "/developer",
    "/index",
    "/interact",
    "/showcase",
    "/plans",
    "/policies",
    "/contests",
    "/restricted/statistics",
    "/about",
    "/help/api",
    "/help/errors",
];

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/sitemap.xml", get(sitemap))
        .route("/sitemap/{part}", get(part))
        .route("/robots.txt", get(robots))
        .route("/feed.atom", get(feed))
}

/// All of it, or the list of its files where one does not hold it.
async fn sitemap(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let sets = app::opening::figures(&door.app, &visit.public_op()).await?.datasets;
    let parts = usize::try_from(sets).unwrap_or(usize::MAX).div_ceil(size(&door));
    if parts <= 1 {
        return Ok(file(addresses(&door, &visit, 0).await?));
    }
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<sitemapindex xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n",
    );
    for n in 1..=parts {
        let base = escaped(&visit.base);
        let _ = writeln!(out, "<sitemap><loc>{base}/sitemap/{n}.xml</loc></sitemap>");
    }
    out.push_str("</sitemapindex>\n");
    Ok(file(out))
}

/// One file of a site map of several; the first has the other pages, too.
async fn part(State(door): State<Arc<Door>>, Path(name): Path<String>, visit: Visit) -> Answer {
    let number = name.strip_suffix(".xml").and_then(|n| n.parse::<usize>().ok());
    let nowhere = || Error::not_found("页面", "the page", visit.uri.path());
    let part = number.and_then(|n| n.checked_sub(1)).ok_or_else(nowhere)?;
    Ok(file(addresses(&door, &visit, part).await?))
}

/// Data sets of one file.
fn size(door: &Door) -> usize {
    door.config.sitemap_sets.max(1)
}

fn file(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/xml; charset=utf-8")], text).into_response()
}

/// The addresses of a file, counted from nought.
async fn addresses(door: &Door, visit: &Visit, part: usize) -> Result<String> {
    let base = escaped(&visit.base);
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<urlset xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n",
    );
    let op = visit.public_op();
    let mut after = None;
    if part == 0 {
        for path in PAGES {
            let _ = writeln!(out, "<url><loc>{base}{path}</loc></url>");
        }
        for site in &door.app.rules.site.city {
            let _ = writeln!(out, "<url><loc>{base}/city/{}</loc></url>", site.slug);
        }
    } else {
        let listing = app::opening::listing(&door.app, &op).await?;
        let before = part.saturating_mul(size(door));
        // A file behind the last set is none.
        if before >= listing.sets.len() {
            return Err(Error::not_found("页面", "the page", visit.uri.path()));
        }
        after = listing.sets.get(before.saturating_sub(1)).map(|set| set.code.clone());
    }
    let mut left = size(door);
    while left > 0 {
        let limit = u32::try_from(left).unwrap_or(AT_ONCE).min(AT_ONCE);
        let page = app::opening::datasets(&door.app, &op, after.as_deref(), limit).await?;
        left = left.saturating_sub(page.items.len());
        for dataset in page.items {
            let code = encode(&dataset.entry.draft.code);
            let _ = write!(out, "<url><loc>{base}/data/{code}</loc>");
            if let Some(at) = dataset.entry.data_at.or(dataset.entry.published_at) {
                let _ = write!(out, "<lastmod>{}</lastmod>", escaped(&at));
            }
            out.push_str("</url>\n");
        }
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    out.push_str("</urlset>\n");
    Ok(out)
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    xml_text(text, &mut out);
    out
}

async fn robots(visit: Visit) -> Answer {
    let text = format!(
        "User-agent: *\nDisallow: /console\nDisallow: /me\nDisallow: /apply/\nDisallow: /login\n\
         Disallow: /data/*/download.\nDisallow: /data/*/SHA256SUMS\nCrawl-delay: 1\nSitemap: {}/sitemap.xml\n",
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

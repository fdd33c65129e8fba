//! City sites: each city's own face over the same store, with its own figures, notices, counties, sets and feed. Pages of the
//! province that are asked for a city's regions wear its face, too: the address alone says so, no cookie.

use std::sync::Arc;

use app::opening::{City, Figures};
use axum::Router;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use minijinja::{Value, context};
use model::region::{self, RegionLevel};
use model::search::SearchQuery;

use crate::nav::{on_site, site_nav};
use crate::site::{facets, feeds, policies};
use crate::view::value;
use crate::visit::{Lang, Visit, encode};
use crate::{Answer, Door};

pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/city/{slug}", get(home))
        .route("/city/{slug}/feed.atom", get(feed))
        .route("/city/{slug}/colours.css", get(colours))
}

/// The cities with their counts for the province's home, its own sets first.
pub(super) async fn listed(door: &Door, visit: &Visit) -> model::Result<Vec<Value>> {
    let all = app::opening::cities(&door.app, &visit.op).await?;
    door.names.refresh(&door.app).await;
    let names = door.names.get();
    let one = |c: &app::opening::CityFigures| {
        let own = c.slug.is_none();
        let name = names.region(&c.region, visit.lang);
        context! {
            name => if own { format!("{name}{}", visit.t("（省级）", " (own)")) } else { name.to_owned() },
            count => c.figures.datasets,
            href => c.slug.as_ref().map(|slug| format!("/city/{slug}")),
        }
    };
    Ok(all.iter().map(one).collect())
}

async fn home(State(door): State<Arc<Door>>, Path(slug): Path<String>, visit: Visit) -> Answer {
    let site = app::opening::city(&door.app, &slug)?;
    let figures = figures(&door, &visit, site).await?;
    let query = SearchQuery {
        filters: within(site),
        sort: "data_at".into(),
        limit: 6,
        ..SearchQuery::default()
    };
    let found = app::opening::search(&door.app, &visit.public_op(), query).await?;
    door.names.refresh(&door.app).await;
    let names = door.names.get();
    let counts = |name: &str| facets::counts(&found.facets, name);
    let count =
        |code: &str| counts("region").iter().find(|(c, _)| c == code).map_or(0, |(_, n)| *n);
    let counties: Vec<Value> = names
        .regions
        .iter()
        .filter(|r| r.level == RegionLevel::County && region::covers(&site.region, &r.code))
        .map(|r| {
            context! {
                name => names.region(&r.code, visit.lang), count => count(&r.code),
                href => format!("/data?region={}", encode(&r.code)),
            }
        })
        .collect();
    let today = visit.op.today().to_string();
    let notices: Vec<Value> = site
        .notice
        .iter()
        .filter(|n| n.day <= today)
        .map(|n| context! { day => &n.day, text => visit.t(&n.zh, &n.en) })
        .collect();
    let domains = facets::plain("domain", counts("domain"), &visit, &[]);
    let orgs = facets::plain("org", counts("org"), &visit, &names.orgs);
    let context = context! {
        province => visit.t(&door.config.site_name_cn, &door.config.site_name_en),
        site => value(site), city_name => names.region(&site.region, visit.lang),
        policies => value(policies::newest(&door, &visit, &site.region, 5).await),
        figures => value(&figures), latest => value(&found.hits), counties, notices,
        domains, orgs => orgs.into_iter().take(12).collect::<Vec<_>>(),
    };
    door.page(&visit, "site/city.html", context).await
}

/// The city site that a page belongs to by its address: below `/city/`, by `city=`, or by regions that all lie in one city.
pub(super) fn of<'a>(door: &'a Door, visit: &Visit) -> Option<&'a City> {
    let sites = &door.app.rules.site;
    let here = visit.uri.path();
    if let Some(rest) = here.strip_prefix("/city/") {
        return sites.city(rest.split('/').next().unwrap_or_default());
    }
    if !on_site(here) {
        return None;
    }
    if let Some(word) = visit.q("city") {
        return sites.city(word);
    }
    let regions: Vec<&str> = visit.qs("region").collect();
    let first = regions.first()?;
    let site = sites.city.iter().find(|c| region::covers(&c.region, first))?;
    regions.iter().all(|code| region::covers(&site.region, code)).then_some(site)
}

/// What every page knows of the site that it belongs to: the province's, or a city's. `in_city` and `and_city` go behind addresses
/// without and with a query.
pub(crate) fn face(door: &Door, visit: &Visit) -> Value {
    let province = visit.t(&door.config.site_name_cn, &door.config.site_name_en);
    let regions: Vec<String> = visit.qs("region").map(str::to_owned).collect();
    let city = of(door, visit);
    let site_nav = site_nav(visit, city);
    let Some(site) = city else {
        return context! {
            site_name => province, brand_href => "/", in_city => "", and_city => "", asked_regions => regions, site_nav,
        };
    };
    context! {
        site_name => name(site, visit.lang), brand_href => format!("/city/{}", site.slug),
        in_city => format!("?region={}", site.region), and_city => format!("&region={}", site.region),
        site_city => context! {
            slug => &site.slug, region => &site.region, province, back => back(visit),
            name => door.names.get().region(&site.region, visit.lang).to_owned(),
        },
        asked_regions => regions, site_nav,
    }
}

/// An address without a query, on the site of the city that the visitor stands on.
pub(super) fn kept(door: &Door, visit: &Visit, path: &str) -> String {
    match of(door, visit) {
        Some(site) => format!("{path}?region={}", site.region),
        None => path.to_owned(),
    }
}

/// The same page of the whole province; a city's home leads to the province's.
fn back(visit: &Visit) -> String {
    let here = visit.uri.path();
    if here.starts_with("/city/") {
        return "/".to_owned();
    }
    let kept = visit.asked_but(&["region", "city", "page", "before"]);
    if kept.is_empty() { here.to_owned() } else { format!("{here}?{}", kept.join("&")) }
}

fn name(site: &City, lang: Lang) -> &str {
    lang.of(&site.name_zh, &site.name_en)
}

/// What is open in the city and its counties.
fn within(site: &City) -> Vec<(String, String)> {
    let mut filters = facets::open_only();
    filters.push(("region".into(), site.region.clone()));
    filters
}

async fn figures(door: &Door, visit: &Visit, site: &City) -> model::Result<Figures> {
    let all = app::opening::cities(&door.app, &visit.op).await?;
    Ok(all.iter().find(|c| c.region == site.region).map(|c| c.figures.clone()).unwrap_or_default())
}

async fn feed(State(door): State<Arc<Door>>, Path(slug): Path<String>, visit: Visit) -> Answer {
    let site = app::opening::city(&door.app, &slug)?;
    let path = format!("/city/{}", site.slug);
    feeds::atom(&door, &visit, within(site), name(site, visit.lang), &path).await
}

/// The city's colours, over those of `app.css`, which names buttons of forms and links that look like them apart, and both under the pointer
/// again: so does this. The rule file was checked: six hexadecimal digits each, white can be read on them.
async fn colours(State(door): State<Arc<Door>>, Path(slug): Path<String>) -> Answer {
    let City { brand, deep, accent, .. } = app::opening::city(&door.app, &slug)?;
    let css = format!(
        "html:not(.elder) :is(.top, .hero) {{ background: linear-gradient(100deg, {deep}, {brand} 50%, {accent}); }}\n\
         html.elder :is(.top, .hero) {{ background: {deep}; }}\n\
         .search button, .search button:hover, button.main, .button.main {{ background: {brand}; border-color: {brand}; }}\n\
         button.main:hover, .button.main:hover, html.elder button.main, html.elder .button.main {{ background: {deep}; border-color: {deep}; }}\n"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=3600"),
    ];
    Ok((headers, css).into_response())
}

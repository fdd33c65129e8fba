//! The open-data site: what anyone may find, look at, try and download.

mod api;
mod catalogue;
pub(crate) mod changes;
mod chart;
pub(crate) mod city;
mod contests;
pub(crate) mod dataset;
mod download;
mod facets;
mod feeds;
mod home;
pub(crate) mod interact;
mod list;
mod metadata;
mod openness;
pub(crate) mod opinion;
mod pages;
mod plans;
mod policies;
pub(crate) mod restricted;
mod search;
mod services;
mod showcase;
mod still;
mod sums;
mod versions;

pub(crate) use download::attachment;

use std::sync::Arc;

use axum::Router;
use tower_http::compression::CompressionLayer;

use crate::Door;
use crate::visit::Visit;

pub(crate) fn router() -> Router<Arc<Door>> {
    let pages = Router::new()
        .merge(home::router())
        .merge(list::router())
        .merge(dataset::router())
        .merge(chart::router())
        .merge(versions::router())
        .merge(services::router())
        .merge(city::router())
        .merge(openness::router())
        .merge(api::router())
        .merge(metadata::router())
        .merge(feeds::router())
        .merge(changes::router())
        .merge(pages::router())
        .merge(interact::router())
        .merge(restricted::router())
        .merge(opinion::router())
        .merge(showcase::router())
        .merge(plans::router())
        .merge(policies::router())
        .merge(contests::router())
        .merge(search::router())
        .layer(CompressionLayer::new());
    // Files are streamed as they are: packing them would cost more time than the wire saves.
    pages.merge(download::router()).merge(sums::router()).merge(catalogue::router())
}

/// The same list at another page.
fn at_page(visit: &Visit, page: u32) -> String {
    let mut parts = visit.asked_but(&["page"]);
    parts.push(format!("page={page}"));
    format!("{}?{}", visit.uri.path(), parts.join("&"))
}

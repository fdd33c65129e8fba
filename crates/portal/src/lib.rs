//! The people's doors: the open-data site and the console, HTML first.
//!
//! Read in this order: `visit` (who is here, in which language), `look` (large type, colours), `fault` (how an error becomes a page), `view`
//! (templates), then the pages: `site`, `account`, `console`. Handlers extract, call a room of `app`, and render;
//! the rules stand in `app`. Routes are written down in `ROUTES.md`.

mod account;
mod assets;
mod console;
mod export;
mod fault;
mod field;
mod form;
mod identity;
mod items;
mod label;
mod look;
mod names;
mod nav;
mod register;
#[cfg(test)]
mod rehearsal;
mod rows;
mod site;
#[cfg(test)]
mod sources;
mod view;
mod visit;

pub use assets::paper_font;

use std::sync::Arc;
use std::time::Duration;

use app::App;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::response::Response;
use tower_http::catch_panic::CatchPanicLayer;

use crate::fault::Fault;

/// Largest ordinary form in bytes (an entry of several thousand items); uploads are streamed and not bound by it.
const LARGEST_FORM: usize = 16 * 1024 * 1024;

/// How the portal is set up.
#[derive(Clone, Debug)]
pub struct PortalConfig {
    /// Address of the gateway as callers see it, without a slash at the end (`https://api.example.cn`).
    pub gateway_url: String,
    /// Where applications connect by SQL, `host:port`; empty = it is not offered.
    pub sql_address: String,
    /// Address of this site as visitors see it; without it the `Host` header is taken.
    pub public_url: Option<String>,
    /// Address by which clients know the identity provider; without it `public_url`, else the `Host` header is taken.
    pub issuer: Option<String>,
    /// Mark cookies `Secure` (the site is reached by HTTPS only).
    pub secure_cookies: bool,
    /// Name shown in the header, Chinese and English.
    pub site_name_cn: String,
    pub site_name_en: String,
    /// Data sets of one file of the site map, at least one (sitemaps.org allows 50,000 addresses).
    pub sitemap_sets: usize,
    /// How long a visitor waits for checksums that are still to be worked out before being told to ask again.
    pub sums_wait: Duration,
}

impl Default for PortalConfig {
    fn default() -> Self {
        Self {
            gateway_url: String::new(),
            sql_address: String::new(),
            public_url: None,
            issuer: None,
            secure_cookies: false,
            site_name_cn: "钱塘公共数据平台".into(),
            site_name_en: "Qiantang Public Data".into(),
            sitemap_sets: 20_000,
            sums_wait: Duration::from_secs(20),
        }
    }
}

/// What every handler shares.
pub(crate) struct Door {
    pub(crate) app: Arc<App>,
    pub(crate) config: PortalConfig,
    pub(crate) pages: view::Pages,
    pub(crate) names: Arc<names::Names>,
    /// What is known of the files of open sets.
    pub(crate) files: export::known::Files,
    /// Files that are read through so that more is known.
    pub(crate) measuring: export::measure::Measuring,
}

/// What handlers answer.
pub(crate) type Answer = Result<Response, Fault>;

/// All routes of the portal. Serve it with `into_make_service_with_connect_info::<SocketAddr>()` so that audit
/// records know where a request came from.
pub fn router(app: Arc<App>, config: PortalConfig) -> Router {
    let names = Arc::new(names::Names::default());
    let pages = view::Pages::new(&names);
    let files = export::known::Files::new(&app);
    let measuring = export::measure::Measuring::default();
    let door = Arc::new(Door { app, config, pages, names, files, measuring });
    Router::new()
        .merge(site::router())
        .merge(account::router())
        .merge(register::router())
        .merge(identity::router())
        .merge(console::router())
        .fallback(fault::nowhere)
        .method_not_allowed_fallback(fault::nowhere)
        .layer(DefaultBodyLimit::max(LARGEST_FORM))
        .layer(CatchPanicLayer::custom(fault::panicked))
        .layer(middleware::from_fn_with_state(Arc::clone(&door), visit::open))
        .merge(identity::machines(&door))
        .merge(assets::router())
        .with_state(door)
}

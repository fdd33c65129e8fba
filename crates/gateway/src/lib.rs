//! The machines' door: rows by the PostgREST dialect, the description of what a caller may call, health and metrics.
//!
//! Every handler is short: find out who calls (`caller`), read what is asked (`dialect`), call the room
//! (`app::sharing`), wrap the answer (`answer`). No handler sees an engine or a row without the room's grant.
//! `ROUTES.md` lists every route; each is tried by nobody and by a stranger.

mod answer;
mod caller;
mod changes;
mod ckan;
mod convention;
mod delta;
mod described;
pub mod dialect;
mod evidence;
mod flood;
mod flow;
mod frame;
mod interface;
mod ledger;
mod mcp;
mod metadata;
mod oai;
mod ogc;
mod openapi;
mod rows;
mod service;
mod token;

use std::convert::Infallible;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use app::App;
use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::Route;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tower::layer::util::Identity;
use tower::{Layer, Service};

use crate::frame::Frame;
pub use crate::frame::{Answering, Framed};

/// A certificate that a caller showed and the listener verified: its SHA-256, lower hex (RFC 8705). The listener puts it into the
/// request's extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate(Arc<str>);

impl ClientCertificate {
    #[must_use]
    pub fn of(thumbprint: String) -> Self {
        Self(thumbprint.into())
    }
    pub(crate) fn thumbprint(&self) -> &str {
        &self.0
    }
}

/// How the door is set up.
#[derive(Clone)]
pub struct GatewayConfig {
    /// Address callers use, without a trailing slash (for `servers` and links).
    pub public_url: String,
    /// Calls per second and address for callers who do not sign.
    pub anonymous_per_second: u32,
    /// Whether CKAN's `datastore_search_sql` is answered (one SELECT of a closed grammar over one open table).
    pub ckan_sql: bool,
    /// Whether people of departments write drafts through CKAN's actions by their personal tokens.
    pub ckan_write: bool,
    /// Writes the metrics page; `None` hides it.
    pub metrics: Option<Arc<dyn Fn() -> String + Send + Sync>>,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            public_url: String::new(),
            anonymous_per_second: 200,
            ckan_sql: false,
            ckan_write: false,
            metrics: None,
        }
    }
}

impl std::fmt::Debug for GatewayConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GatewayConfig")
            .field("public_url", &self.public_url)
            .finish_non_exhaustive()
    }
}

/// Failed signatures an address may have in a second before its calls are turned away unread.
const FAILURES_A_SECOND: u32 = 20;
/// Seconds between two tidyings of the limiter's addresses.
const TIDY_SECONDS: i64 = 60;

/// What handlers share.
#[derive(Clone)]
pub(crate) struct Door(Arc<Inner>);

impl std::ops::Deref for Door {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

pub(crate) struct Inner {
    pub(crate) app: Arc<App>,
    pub(crate) config: GatewayConfig,
    pub(crate) anonymous: DefaultKeyedRateLimiter<IpAddr>,
    pub(crate) flood: flood::Flood,
    pub(crate) descriptions: openapi::Descriptions,
    /// Figures of calls, looked up once: the registry behind the macros costs more than the counting.
    pub(crate) figures: Figures,
    tidied: AtomicI64,
}

/// Handles of the figures every call moves.
pub(crate) struct Figures {
    pub(crate) seconds: metrics::Histogram,
    pub(crate) ok: metrics::Counter,
    pub(crate) refused: metrics::Counter,
}

impl Door {
    /// Forgets addresses whose limit is whole again, once a minute and off the caller's task.
    pub(crate) fn tidy(&self, second: i64) {
        let last = self.tidied.load(Ordering::Relaxed);
        if second.saturating_sub(last) < TIDY_SECONDS
            || self
                .tidied
                .compare_exchange(last, second, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            return;
        }
        let door = self.clone();
        tokio::task::spawn_blocking(move || {
            door.anonymous.retain_recent();
            door.anonymous.shrink_to_fit();
        });
    }
}

/// All routes of the door. The recorder of figures, if any, is installed before.
pub fn router(app: Arc<App>, config: GatewayConfig) -> Router {
    router_within(app, config, Identity::new())
}

/// The same with a layer of the caller's around every route and every refusal of one.
pub fn router_within<L>(app: Arc<App>, config: GatewayConfig, outer: L) -> Router
where
    L: Layer<Framed<Route>> + Clone + Send + Sync + 'static,
    L::Service: Service<Request, Response = Response, Error = Infallible>,
    L::Service: Clone + Send + Sync + 'static,
    <L::Service as Service<Request>>::Future: Send + 'static,
{
    app::audit::measured();
    let door = door(app, config);
    let witnessed = Router::new()
        .merge(rows::router())
        .merge(flow::router())
        .merge(interface::router())
        .merge(convention::router())
        .merge(openapi::router())
        .merge(described::router())
        .merge(ledger::router())
        .merge(changes::router())
        .method_not_allowed_fallback(answer::no_such_method)
        .layer((outer.clone(), Frame::witnessing(door.clone())));
    Router::new()
        .merge(evidence::router())
        .merge(delta::router())
        .merge(ckan::router())
        .merge(metadata::router())
        .merge(ogc::router())
        .merge(oai::router())
        .merge(mcp::router())
        .merge(service::router())
        .merge(token::router())
        .fallback(answer::no_such_route)
        .method_not_allowed_fallback(answer::no_such_method)
        .layer((outer, Frame::plain()))
        .merge(witnessed)
        .with_state(door)
}

fn door(app: Arc<App>, config: GatewayConfig) -> Door {
    let per_second = NonZeroU32::new(config.anonymous_per_second).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::per_second(per_second)
        .allow_burst(per_second.saturating_mul(NonZeroU32::MIN.saturating_add(1)));
    let figures = Figures {
        seconds: metrics::histogram!("qt_gateway_call_seconds"),
        ok: metrics::counter!("qt_gateway_calls_total", "outcome" => "ok"),
        refused: metrics::counter!("qt_gateway_calls_total", "outcome" => "refused"),
    };
    Door(Arc::new(Inner {
        app,
        config,
        anonymous: RateLimiter::keyed(quota),
        flood: flood::Flood::new(FAILURES_A_SECOND),
        descriptions: openapi::Descriptions::default(),
        figures,
        tidied: AtomicI64::new(i64::MIN),
    }))
}

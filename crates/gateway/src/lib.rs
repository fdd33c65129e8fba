//! The machines' door: rows by the PostgREST dialect, the description of what a caller may call, health and metrics.
//!
//! Every handler is short: find out who calls (`caller`), read what is asked (`dialect`), call the room
//! (`app::sharing`), wrap the answer (`answer`). No handler sees an engine or a row without the room's grant.

mod answer;
mod caller;
pub mod dialect;
mod openapi;
mod rows;
mod service;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use app::App;
use axum::Router;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// How the door is set up.
#[derive(Clone)]
pub struct GatewayConfig {
    /// Address callers use, without a trailing slash (for `servers` and links).
    pub public_url: String,
    /// Calls per second and address for callers who do not sign.
    pub anonymous_per_second: u32,
    /// Writes the metrics page; `None` hides it.
    pub metrics: Option<Arc<dyn Fn() -> String + Send + Sync>>,
}

impl std::fmt::Debug for GatewayConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GatewayConfig")
            .field("public_url", &self.public_url)
            .finish_non_exhaustive()
    }
}

/// What handlers share.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) app: Arc<App>,
    pub(crate) config: Arc<GatewayConfig>,
    pub(crate) anonymous: Arc<DefaultKeyedRateLimiter<IpAddr>>,
}

/// All routes of the door.
pub fn router(app: Arc<App>, config: GatewayConfig) -> Router {
    let per_second = NonZeroU32::new(config.anonymous_per_second).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::per_second(per_second)
        .allow_burst(per_second.saturating_mul(NonZeroU32::MIN.saturating_add(1)));
    let door =
        Door { app, config: Arc::new(config), anonymous: Arc::new(RateLimiter::keyed(quota)) };
    Router::new()
        .merge(rows::router())
        .merge(openapi::router())
        .merge(service::router())
        .fallback(answer::no_such_route)
        .with_state(door)
}

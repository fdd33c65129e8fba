//! Which scripts of other sites may read the provider's answers (CORS, Fetch Standard §3.2): what everybody may know by anybody's, what
//! clients are told by those of browser apps, at the origins that public clients have registered. Cookies never come into it: these doors do
//! not look at them, and no answer allows credentials.

use std::sync::Arc;
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use crate::Door;

/// How long a browser may keep what it was told.
const KEPT: Duration = Duration::from_secs(600);

/// For what everybody may know.
pub(super) fn anybody() -> CorsLayer {
    CorsLayer::new().allow_origin(Any).allow_methods([Method::GET]).max_age(KEPT)
}

/// For what clients are told.
pub(super) fn registered(door: &Arc<Door>) -> CorsLayer {
    let app = Arc::clone(&door.app);
    let known = AllowOrigin::async_predicate(move |origin: HeaderValue, _: &Parts| async move {
        let Ok(origin) = origin.to_str() else { return false };
        match app::identity::origin_known(&app, origin).await {
            Ok(known) => known,
            Err(error) => {
                tracing::warn!(error = error.operator_text(), "an origin could not be looked up");
                false
            }
        }
    });
    CorsLayer::new()
        .allow_origin(known)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
        .expose_headers([header::WWW_AUTHENTICATE])
        .max_age(KEPT)
}

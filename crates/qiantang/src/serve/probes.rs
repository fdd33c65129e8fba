//! Health, readiness and metrics: for every process on the operator's door, for balancers on the portal's, too.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use app::App;
use app::operation::Gauge;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// The operator's door: `/health`, `/ready`, `/metrics`.
pub(super) fn operator(app: Arc<App>) -> Router {
    public(Arc::clone(&app)).merge(
        Router::new()
            .route("/metrics", get(metrics_page))
            .route("/", get(|| async { "/health /ready /metrics\n" }))
            .with_state(app),
    )
}

/// What a balancer may ask on a public door.
pub(super) fn public(app: Arc<App>) -> Router {
    Router::new().route("/health", get(health)).route("/ready", get(ready)).with_state(app)
}

/// The process answers.
async fn health() -> Response {
    Json(serde_json::json!({ "status": "ok" })).into_response()
}

/// The parts behind it answer, too.
async fn ready(State(app): State<Arc<App>>) -> Response {
    let state = app::operation::readiness(&app).await;
    let status = if state.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(state)).into_response()
}

async fn metrics_page(State(app): State<Arc<App>>) -> Response {
    let Some(handle) = metrics_handle() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "metrics are off\n").into_response();
    };
    let up = match app::operation::gauges(&app).await {
        Ok(gauges) => {
            show(gauges);
            1.0
        }
        Err(e) => {
            tracing::warn!(error = %e.operator_text(), "the store's figures cannot be read");
            0.0
        }
    };
    metrics::gauge!("qt_store_up").set(up);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], handle.render())
        .into_response()
}

/// Sets the figures. A state that nothing is in any more goes to zero instead of keeping its last figure.
fn show(gauges: Vec<Gauge>) {
    static SHOWN: Mutex<BTreeSet<(&'static str, String)>> = Mutex::new(BTreeSet::new());
    let mut shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    for (name, state) in shown.iter() {
        metrics::gauge!(*name, "state" => state.clone()).set(0.0);
    }
    for g in gauges {
        if g.state.is_empty() {
            metrics::gauge!(g.name).set(g.value);
        } else {
            metrics::gauge!(g.name, "state" => g.state.clone()).set(g.value);
            shown.insert((g.name, g.state));
        }
    }
}

/// The one recorder of this process, installed when first asked for.
pub(super) fn metrics_handle() -> Option<PrometheusHandle> {
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            PrometheusBuilder::new()
                .set_buckets(&[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0])
                .ok()?
                .install_recorder()
                .inspect_err(|e| tracing::warn!(error = %e, "metrics are off"))
                .ok()
        })
        .clone()
}

/// Drains what the recorder collects between two looks; without it memory would grow with every call.
pub(super) async fn upkeep() {
    let mut every = tokio::time::interval(Duration::from_secs(5));
    loop {
        every.tick().await;
        if let Some(handle) = metrics_handle() {
            handle.run_upkeep();
        }
    }
}

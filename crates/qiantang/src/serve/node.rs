//! A part of the cluster for SQL (roles `scheduler` and `executor`): no store, no pages, one port each that answers nobody
//! without a certificate, and the operator's door with health and metrics.

use std::net::SocketAddr;

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use guard::keys::KeyRing;
use model::Result;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{bind, listen, on_signal, probes};
use crate::config::{Config, ProcessRole};
use crate::folder::{DataFolder, Hold};

/// Bound listeners of a part of the cluster.
#[derive(Debug)]
pub struct Node {
    scheduler: Option<TcpListener>,
    executor: Option<TcpListener>,
    operation: TcpListener,
    pub addresses: NodeAddresses,
}

/// Where it listens.
#[derive(Clone, Copy, Debug)]
pub struct NodeAddresses {
    pub scheduler: Option<SocketAddr>,
    pub executor: Option<SocketAddr>,
    pub operation: SocketAddr,
}

impl Node {
    pub async fn bind(config: &Config) -> Result<Self> {
        let scheduler = match config.runs(ProcessRole::Scheduler) {
            true => Some(bind(config.cluster.listen, "cluster.listen").await?),
            false => None,
        };
        let executor = match config.runs(ProcessRole::Executor) {
            true => Some(bind(config.cluster.executor_listen, "cluster.executor_listen").await?),
            false => None,
        };
        let operation = bind(config.operation.listen, "operation.listen").await?;
        let place = |l: &Option<TcpListener>| l.as_ref().and_then(|l| l.local_addr().ok());
        let addresses = NodeAddresses {
            scheduler: place(&scheduler),
            executor: place(&executor),
            operation: operation.local_addr().unwrap_or(config.operation.listen),
        };
        Ok(Self { scheduler, executor, operation, addresses })
    }

    /// Serves until a signal comes or a part ends badly.
    pub async fn serve(self, config: &Config) -> Result<()> {
        let stop = CancellationToken::new();
        tokio::spawn(on_signal(stop.clone()));
        let mut parts: JoinSet<Result<()>> = JoinSet::new();
        if let Some(listener) = self.scheduler {
            let (settings, stop) = (config.cluster.scheduler(), stop.clone());
            parts.spawn(async move {
                lake::serve_scheduler(&settings, listener, stop.cancelled_owned()).await
            });
        }
        if let (Some(listener), Some(at)) = (self.executor, self.addresses.executor) {
            // The keys alone: the folder belongs to the processes that hold the store. One that is given needs no folder.
            let keys = match config.key_text()? {
                Some(text) => KeyRing::from_text(text.trim())?,
                None => DataFolder::open(&config.data.folder, Hold::Beside, None)?.keys,
            };
            let (masks, stop) = (keys.mask(), stop.clone());
            let settings = config.cluster.executor(&config.data.folder, at);
            parts.spawn(async move {
                lake::serve_executor(&settings, masks, listener, stop.cancelled_owned()).await
            });
        }
        let operator = tokio::spawn(listen::serve(
            self.operation,
            operator(),
            stop.clone(),
            listen::Patience::default(),
        ));
        let upkeep = tokio::spawn(probes::upkeep());
        let ended = tokio::select! {
            () = stop.cancelled() => Ok(()),
            done = parts.join_next() => match done {
                Some(Ok(done)) => done,
                _ => Err(model::Error::internal("a part of the cluster ended")),
            },
        };
        stop.cancel();
        let rest = async { while parts.join_next().await.is_some() {} };
        if tokio::time::timeout(std::time::Duration::from_secs(10), rest).await.is_err() {
            tracing::warn!("some tasks did not end within ten seconds and are cut");
        }
        upkeep.abort();
        operator.abort();
        tracing::info!("stopped");
        ended
    }
}

fn operator() -> Router {
    let health = get(|| async { axum::Json(serde_json::json!({ "status": "ok" })) });
    let metrics = get(|| async {
        let text = probes::metrics_handle().map(|handle| handle.render()).unwrap_or_default();
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
    });
    Router::new()
        .route("/health", health.clone())
        .route("/ready", health)
        .route("/metrics", metrics)
}

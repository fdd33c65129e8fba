//! Listening: portal and gateway on their ports, graceful stop.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use app::App;
use axum::Router;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use model::{Code, Error, Result};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, ProcessRole};
use crate::house::House;

/// Bound listeners with the addresses they got.
#[derive(Debug)]
pub struct Doors {
    portal: Option<TcpListener>,
    gateway: Option<TcpListener>,
    addresses: (SocketAddr, SocketAddr),
    pub portal_url: String,
    pub gateway_url: String,
}

impl Doors {
    /// Binds the ports first, so that a port in use is told before anything else happens.
    pub async fn bind(config: &Config) -> Result<Self> {
        let portal =
            bind(config, ProcessRole::Portal, config.portal.listen, "portal.listen").await?;
        let gateway =
            bind(config, ProcessRole::Gateway, config.gateway.listen, "gateway.listen").await?;
        let place = |listener: &Option<TcpListener>, configured: SocketAddr| {
            listener.as_ref().and_then(|l| l.local_addr().ok()).unwrap_or(configured)
        };
        let addresses =
            (place(&portal, config.portal.listen), place(&gateway, config.gateway.listen));
        let url = |set: &str, address: SocketAddr| {
            if set.is_empty() {
                format!("http://{address}")
            } else {
                set.trim_end_matches('/').to_owned()
            }
        };
        Ok(Self {
            portal_url: url(&config.portal.public_url, addresses.0),
            gateway_url: url(&config.gateway.public_url, addresses.1),
            addresses,
            portal,
            gateway,
        })
    }

    /// Where the portal listens (its configured address when another process runs it).
    pub fn portal_address(&self) -> SocketAddr {
        self.addresses.0
    }
    /// Where the gateway listens.
    pub fn gateway_address(&self) -> SocketAddr {
        self.addresses.1
    }

    /// Serves until a signal comes, then lets running requests end (at most ten seconds).
    pub async fn serve(self, config: &Config, house: House) -> Result<()> {
        let stop = CancellationToken::new();
        tokio::spawn(on_signal(stop.clone()));
        let mut serving = tokio::task::JoinSet::new();
        if let Some(listener) = self.portal {
            let router = portal::router(
                Arc::clone(&house.app),
                portal::PortalConfig {
                    gateway_url: self.gateway_url.clone(),
                    public_url: Some(self.portal_url.clone()),
                    secure_cookies: config.portal.secure_cookies,
                    ..portal::PortalConfig::default()
                },
            );
            serving.spawn(run(listener, router, stop.clone()));
        }
        if let Some(listener) = self.gateway {
            let router = gateway_router(&house.app, &self.gateway_url, config);
            serving.spawn(run(listener, router, stop.clone()));
        }
        let chores = config
            .roles
            .contains(&ProcessRole::Worker)
            .then(|| tokio::spawn(House::chores(Arc::clone(&house.app))));
        stop.cancelled().await;
        tracing::info!("stopping: no new calls, running ones may end");
        let ended = tokio::time::timeout(std::time::Duration::from_secs(10), async {
            while let Some(done) = serving.join_next().await {
                if let Ok(Err(e)) = done {
                    tracing::error!(error = %e, "a listener ended badly");
                }
            }
        });
        if ended.await.is_err() {
            tracing::warn!("some calls did not end within ten seconds and are cut");
        }
        if let Some(chores) = chores {
            chores.abort();
        }
        house.close().await;
        tracing::info!("stopped");
        Ok(())
    }
}

/// The machines' door for an app.
pub fn gateway_router(app: &Arc<App>, url: &str, config: &Config) -> Router {
    let metrics = metrics_handle()
        .map(|handle| Arc::new(move || handle.render()) as Arc<dyn Fn() -> String + Send + Sync>);
    gateway::router(
        Arc::clone(app),
        gateway::GatewayConfig {
            public_url: url.to_owned(),
            anonymous_per_second: config.gateway.anonymous_per_second,
            metrics,
        },
    )
}

fn metrics_handle() -> Option<PrometheusHandle> {
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

async fn bind(
    config: &Config,
    role: ProcessRole,
    address: SocketAddr,
    key: &str,
) -> Result<Option<TcpListener>> {
    if !config.roles.contains(&role) {
        return Ok(None);
    }
    TcpListener::bind(address).await.map(Some).map_err(|e| {
        let (zh, en) = match e.kind() {
            std::io::ErrorKind::AddrInUse => (
                "端口已被占用；请停止占用它的程序，或换一个端口",
                "the port is in use; stop the program that holds it or choose another port",
            ),
            std::io::ErrorKind::PermissionDenied => (
                "没有权限监听该端口（1024 以下需要特权）",
                "no permission to listen there (ports below 1024 need privileges)",
            ),
            _ => ("无法监听该地址", "cannot listen on this address"),
        };
        Error::new(
            Code::InvalidInput,
            format!("{key} = {address}：{zh}"),
            format!("{key} = {address}: {en}"),
        )
        .caused_by(e)
    })
}

async fn run(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        // Small answers must not wait for more.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async move { stop.cancelled().await })
        .await
}

async fn on_signal(stop: CancellationToken) {
    let interrupt = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        if let Ok(mut terminate) =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        {
            tokio::select! { _ = interrupt => {}, _ = terminate.recv() => {} }
        } else {
            let _ = interrupt.await;
        }
    }
    #[cfg(not(unix))]
    let _ = interrupt.await;
    stop.cancel();
}

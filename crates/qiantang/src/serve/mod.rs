//! Listening: portal, gateway, SQL and the operator's door on their ports, graceful stop. Parts of the cluster for SQL stand
//! apart ([`node`]).

mod access;
mod listen;
mod node;
mod probes;
mod proxy;
mod sql;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;

use app::App;
use axum::Router;
use axum::middleware::from_fn;
use guard::tls::{Named, Term};
use model::{Code, Error, Result};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, ProcessRole};
use crate::house::House;

pub use self::node::Node;

/// Reads the files of TLS that this process would serve by, and opens nothing; answers until when their certificates hold.
pub(crate) fn certificates(config: &Config) -> Result<Vec<Term>> {
    let mut terms = Vec::new();
    if config.runs(ProcessRole::Gateway)
        && let Some(files) = config.tls.files()
    {
        terms.extend(tls::read(&files)?.terms);
    }
    if config.runs(ProcessRole::Sql)
        && let Some(files) = config.sql.tls()
    {
        terms.extend(lake::SqlDoor::tls(&files)?.terms);
    }
    if config.node() || config.cluster.client().is_some() {
        let trust = config.cluster.trust();
        terms.extend(Named::new("cluster.authority_file", &trust.authority).terms()?);
        terms.extend(Named::new("cluster.certificate_file", &trust.certificate).terms()?);
        trust.check()?;
    }
    Ok(terms)
}

/// Bound listeners with the addresses they got.
#[derive(Debug)]
pub struct Doors {
    portal: Option<TcpListener>,
    gateway: Option<TcpListener>,
    sql: Option<TcpListener>,
    operation: TcpListener,
    addresses: (SocketAddr, SocketAddr, SocketAddr),
    pub portal_url: String,
    pub gateway_url: String,
    /// Where applications connect by SQL, where this process or another has the door; `host:port`.
    pub sql_address: String,
}

impl Doors {
    /// Binds the ports first, so that a port in use is told before anything else happens.
    pub async fn bind(config: &Config) -> Result<Self> {
        let portal = match config.runs(ProcessRole::Portal) {
            true => Some(bind(config.portal.listen, "portal.listen").await?),
            false => None,
        };
        let gateway = match config.runs(ProcessRole::Gateway) {
            true => Some(bind(config.gateway.listen, "gateway.listen").await?),
            false => None,
        };
        let sql = match config.runs(ProcessRole::Sql) {
            true => Some(bind(config.sql.listen, "sql.listen").await?),
            false => None,
        };
        let operation = bind(config.operation.listen, "operation.listen").await?;
        let place = |listener: Option<&TcpListener>, configured: SocketAddr| {
            listener.and_then(|l| l.local_addr().ok()).unwrap_or(configured)
        };
        let addresses = (
            place(portal.as_ref(), config.portal.listen),
            place(gateway.as_ref(), config.gateway.listen),
            place(Some(&operation), config.operation.listen),
        );
        let sql_address = match config.sql.public_address.as_str() {
            "" => place(sql.as_ref(), config.sql.listen).to_string(),
            told => told.to_owned(),
        };
        let url = |set: &str, address: SocketAddr, tls: bool| {
            if set.is_empty() {
                format!("{}://{address}", if tls { "https" } else { "http" })
            } else {
                set.trim_end_matches('/').to_owned()
            }
        };
        Ok(Self {
            portal_url: url(&config.portal.public_url, addresses.0, false),
            gateway_url: url(&config.gateway.public_url, addresses.1, config.tls.on()),
            sql_address,
            addresses,
            portal,
            gateway,
            sql,
            operation,
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
    /// Whether this process has the SQL door.
    pub fn has_sql(&self) -> bool {
        self.sql.is_some()
    }
    /// Where health, readiness and metrics are answered.
    pub fn operation_address(&self) -> SocketAddr {
        self.addresses.2
    }

    /// Serves until a signal comes, then lets running requests end (at most ten seconds).
    pub async fn serve(self, config: &Config, house: House) -> Result<()> {
        let stop = CancellationToken::new();
        tokio::spawn(on_signal(stop.clone()));
        let app = &house.app;
        let patience = listen::Patience::default();
        let mut serving = tokio::task::JoinSet::new();
        serving.spawn(listen::serve(
            self.operation,
            probes::operator(Arc::clone(app)),
            stop.clone(),
            patience,
        ));
        if let Some(listener) = self.portal {
            let router =
                portal_router(app, &self.portal_url, &self.gateway_url, &self.sql_address, config);
            serving.spawn(listen::serve(listener, router, stop.clone(), patience));
        }
        if let Some(listener) = self.gateway {
            let router = gateway_router(app, &self.gateway_url, config);
            match tls::acceptor(&config.tls)? {
                Some(acceptor) => {
                    serving.spawn(tls::serve(listener, acceptor, router, stop.clone(), patience))
                }
                None => serving.spawn(listen::serve(listener, router, stop.clone(), patience)),
            };
        }
        if let Some(listener) = self.sql {
            let door = house.sql_door(config.sql.tls().as_ref())?;
            sql::spawn(&mut serving, door, listener, stop.clone())?;
        }
        let mut chores = tokio::task::JoinSet::new();
        chores.spawn(probes::upkeep());
        chores.spawn(House::tidy(Arc::clone(app)));
        chores.spawn(app::halt::follow(Arc::clone(app)));
        if !config.shared() {
            chores.spawn(crate::relay::serve(Arc::clone(app), Arc::clone(&house.folder)));
        }
        if config.runs(ProcessRole::Worker) {
            chores.spawn(House::chores(Arc::clone(app)));
        }
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
        chores.shutdown().await;
        house.close().await;
        tracing::info!("stopped");
        Ok(())
    }
}

/// The people's door for an app.
pub fn portal_router(
    app: &Arc<App>,
    url: &str,
    gateway_url: &str,
    sql_address: &str,
    config: &Config,
) -> Router {
    let router = portal::router(
        Arc::clone(app),
        portal::PortalConfig {
            gateway_url: gateway_url.to_owned(),
            sql_address: sql_address.to_owned(),
            public_url: Some(url.to_owned()),
            secure_cookies: config.secure_cookies(),
            issuer: (!config.identity.issuer.is_empty()).then(|| config.identity.issuer.clone()),
            ..portal::PortalConfig::default()
        },
    );
    let router = router.merge(probes::public(Arc::clone(app))).layer(watched("portal", config));
    behind(router, config.portal.behind_proxy)
}

/// The machines' door for an app.
pub fn gateway_router(app: &Arc<App>, url: &str, config: &Config) -> Router {
    let metrics = probes::metrics_handle()
        .map(|handle| Arc::new(move || handle.render()) as Arc<dyn Fn() -> String + Send + Sync>);
    let router = gateway::router_within(
        Arc::clone(app),
        gateway::GatewayConfig {
            public_url: url.to_owned(),
            anonymous_per_second: config.gateway.anonymous_per_second,
            ckan_sql: config.gateway.ckan_sql,
            ckan_write: config.gateway.ckan_write,
            metrics,
        },
        watched("gateway", config),
    );
    behind(router, config.gateway.behind_proxy)
}

/// What every door has around its routes: figures and the access log.
fn watched(door: &'static str, config: &Config) -> access::WatchLayer {
    access::WatchLayer(Arc::new(access::Watch::new(door, config.log.access)))
}

/// A door behind a proxy of ours takes the caller's true address from it.
fn behind(router: Router, proxy: bool) -> Router {
    if proxy { router.layer(from_fn(proxy::true_address)) } else { router }
}

async fn bind(address: SocketAddr, key: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|e| {
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

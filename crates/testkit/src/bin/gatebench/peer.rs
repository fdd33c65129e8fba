//! The bare peer: axum and SQLite, one prepared statement per thread.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use rusqlite::types::Value as Sql;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Map, Value};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::Outcome;
use crate::plan::Plan;

/// No signature, no policy, no mask, no audit.
struct Peer {
    db: PathBuf,
    by_key: String,
    from_key: String,
    key_column: String,
    columns: Vec<String>,
}

thread_local! {
    static CONNECTION: RefCell<Option<rusqlite::Connection>> = const { RefCell::new(None) };
}

/// Serves until it is stopped; `secure`: with TLS, by the certificate in the folder.
pub(crate) async fn serve(dir: &Path, address: &str, secure: bool) -> Outcome {
    let plan = Plan::read(dir)?;
    let quoted: Vec<String> = plan.columns.iter().map(|c| format!("\"{c}\"")).collect();
    let (columns, key) = (quoted.join(", "), &plan.key_column);
    let state = Arc::new(Peer {
        db: dir.join("bare.db"),
        by_key: format!("SELECT {columns} FROM t WHERE \"{key}\" = ?"),
        from_key: format!(
            "SELECT {columns} FROM t WHERE \"{key}\" >= ? ORDER BY \"{key}\" LIMIT {}",
            plan.page
        ),
        key_column: plan.key_column,
        columns: plan.columns,
    });
    let router =
        axum::Router::new().route(&plan.path, axum::routing::get(answer)).with_state(state);
    let listener = TcpListener::bind(address).await?;
    if secure {
        let listener = Secure { listener, acceptor: acceptor(dir)? };
        return Ok(axum::serve(listener, router).await?);
    }
    Ok(axum::serve(listener, router).await?)
}

fn acceptor(dir: &Path) -> Outcome<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(dir.join("tls.pem"))?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(dir.join("tls.key"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// One handshake after the other: callers connect once.
struct Secure {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Secure {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            if let Ok((stream, from)) = self.listener.accept().await
                && let Ok(stream) = self.acceptor.accept(stream).await
            {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

async fn answer(
    State(peer): State<Arc<Peer>>,
    Query(query): Query<Vec<(String, String)>>,
) -> axum::response::Response {
    let asked = query
        .iter()
        .find(|(name, _)| *name == peer.key_column)
        .and_then(|(_, value)| value.split_once('.'));
    let found = match asked {
        Some(("eq", key)) => find(&peer, &peer.by_key, key),
        Some(("gte", key)) => find(&peer, &peer.from_key, key),
        _ => Err("no key".into()),
    };
    match found {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(why) => (StatusCode::INTERNAL_SERVER_ERROR, why.to_string()).into_response(),
    }
}

fn find(peer: &Peer, sql: &str, key: &str) -> Outcome<Vec<u8>> {
    CONNECTION.with_borrow_mut(|slot| {
        let connection = match slot {
            Some(open) => open,
            None => slot.insert(rusqlite::Connection::open(&peer.db)?),
        };
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query([key])?;
        let mut out = Vec::new();
        while let Some(row) = rows.next()? {
            let mut object = Map::new();
            for (position, column) in peer.columns.iter().enumerate() {
                object.insert(column.clone(), of_sql(row.get(position)?));
            }
            out.push(object);
        }
        Ok(serde_json::to_vec(&out)?)
    })
}

fn of_sql(value: Sql) -> Value {
    match value {
        Sql::Null | Sql::Blob(_) => Value::Null,
        Sql::Integer(i) => i.into(),
        Sql::Real(f) => f.into(),
        Sql::Text(t) => t.into(),
    }
}

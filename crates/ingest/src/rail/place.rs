//! Connections to the source: sessions whose values come in the same words, whoever asks.

use std::net::SocketAddr;

use model::{Code, Error, Result};
use pgwire_replication::{ReplicationClient, ReplicationConfig};
use policy::port::RailAddress;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::tunnel;
use crate::query::{PATIENCE, broken_off, host_of, postgres_config, unreachable};
use crate::tls::{self, Wish};

/// Settings that decide how values are written; the server must not end a session because we are busy landing.
const SETTINGS: &str = "-c timezone=Asia/Shanghai -c datestyle=ISO,YMD -c intervalstyle=iso_8601 \
    -c extra_float_digits=3 -c bytea_output=hex -c lc_monetary=C -c wal_sender_timeout=300s \
    -c statement_timeout=0 -c idle_in_transaction_session_timeout=0";

/// A session for questions. The connection ends with it.
pub(super) struct Session {
    client: Client,
    driver: tokio::task::JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl std::ops::Deref for Session {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

fn wish(at: &RailAddress) -> Result<Wish> {
    if !["postgres://", "postgresql://"].iter().any(|p| at.url.starts_with(p)) {
        return Err(Error::invalid(
            "数据高铁目前只支持 PostgreSQL 数据源",
            "the rail follows PostgreSQL sources only, so far",
        ));
    }
    Wish::of(&at.url)
}

impl Session {
    pub(super) async fn open(at: &RailAddress) -> Result<Self> {
        let wish = wish(at)?;
        let mut config = postgres_config(&wish)?;
        config.options(SETTINGS).application_name("qiantang-rail");
        let place = format!("{}/{}", host_of(&config), config.get_dbname().unwrap_or_default());
        let connecting = config.connect(MakeRustlsConnect::new(wish.config()?));
        let connected = tokio::time::timeout(PATIENCE, connecting)
            .await
            .map_err(|_| unreachable(&place).detail("timed out"))?;
        let (client, connection) =
            connected.map_err(|e| match (e.as_db_error(), tls::handshake_fault(&e)) {
                (Some(db), _) => unreachable(&place).detail(db.message().to_owned()),
                (None, Some(fault)) => tls::distrusted(&place, &fault),
                (None, None) => unreachable(&place).caused_by(e),
            })?;
        let driver = tokio::spawn(async move {
            // Whoever asks next is told that the connection is gone.
            let _ = connection.await;
        });
        Ok(Self { client, driver })
    }

    /// Rows of an answer, as texts.
    pub(super) async fn ask(&self, sql: &str) -> Result<Vec<SimpleQueryRow>> {
        let answer = self.client.simple_query(sql).await.map_err(failed)?;
        Ok(answer
            .into_iter()
            .filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(row),
                _ => None,
            })
            .collect())
    }

    /// Runs statements.
    pub(super) async fn tell(&self, sql: &str) -> Result<()> {
        self.client.batch_execute(sql).await.map_err(failed)
    }
}

/// A cell of an answer; null is empty.
pub(super) fn cell(row: &SimpleQueryRow, at: usize) -> &str {
    row.try_get(at).ok().flatten().unwrap_or_default()
}

/// A failed question: what the server said, or that the connection broke.
pub(super) fn failed(e: tokio_postgres::Error) -> Error {
    match e.as_db_error() {
        // The server is being stopped, or stopped this session.
        Some(db) if db.code().code().starts_with("57P") => broken_off().detail(db.message()),
        Some(db) => refused(&format!("{} ({})", db.message(), db.code().code())),
        None => broken_off().caused_by(e),
    }
}

/// The connection broke, or the other side ended it.
pub(super) fn cut_off(why: &str) -> Error {
    broken_off().detail(why)
}

pub(super) fn refused(said: &str) -> Error {
    let said = crate::why::cut(said, 300);
    Error::new(
        Code::RuleBroken,
        format!("数据源拒绝：{said}"),
        format!("the source refused: {said}"),
    )
}

/// The session that will read the log, before it starts. Encryption follows the source's address: the client library gets
/// its bytes through a tunnel of our own, which trusts whom all other connections trust.
pub(super) async fn replication(
    at: &RailAddress,
    start: u64,
    encrypted: bool,
) -> Result<ReplicationClient> {
    let wish = wish(at)?;
    let config = postgres_config(&wish)?;
    let host = host_of(&config);
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let addresses: Vec<SocketAddr> =
        wish.addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
    let (to, to_port) = match (config.get_hosts().first(), encrypted) {
        (Some(Host::Tcp(_)), true) if config.get_ssl_mode() != SslMode::Disable => {
            ("127.0.0.1".to_owned(), tunnel::dig(&host, &addresses, wish.config()?).await?)
        }
        (Some(Host::Tcp(_)), _) => {
            let first = addresses.first().map(|a| a.ip().to_string());
            (first.unwrap_or(host), port)
        }
        _ => (host, port),
    };
    let user = config.get_user().unwrap_or_default().to_owned();
    let password = String::from_utf8_lossy(config.get_password().unwrap_or_default()).into_owned();
    let database = config.get_dbname().map_or_else(|| user.clone(), str::to_owned);
    let mut settings =
        ReplicationConfig::new(to, user, password, database, &at.slot, at.publication.as_str())
            .with_port(to_port)
            .with_start_lsn(pgwire_replication::Lsn::from_u64(start))
            .with_options(SETTINGS)
            .with_application_name("qiantang-rail-log");
    settings.buffer_events = 4096;
    let connecting = ReplicationClient::connect_gated(settings);
    tokio::time::timeout(PATIENCE, connecting)
        .await
        .map_err(|_| broken_off().detail("timed out"))?
        .map_err(log_failed)
}

/// A failure of the session that reads the log.
pub(super) fn log_failed(e: pgwire_replication::PgWireError) -> Error {
    use pgwire_replication::PgWireError as E;
    match e {
        // Slots that another session holds, servers that are starting or stopping.
        E::Server(said) if said.contains("55006") || said.contains("57P") => {
            broken_off().detail(said)
        }
        E::Server(said) | E::Auth(said) => refused(&said),
        other => broken_off().detail(other.to_string()),
    }
}

/// An identifier in SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in SQL; standard strings hold every character as it stands.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A table in SQL; what stands before the first point is the schema.
pub(super) fn table(place: &str) -> String {
    let (schema, name) = place.split_once('.').unwrap_or(("public", place));
    format!("{}.{}", quoted(schema), quoted(name))
}

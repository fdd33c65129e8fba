//! Queries: one SELECT on a department's PostgreSQL or MySQL, in a read-only transaction, streamed as text.
//!
//! The URL holds a secret: nothing of it but host, port and data base name is ever put into a message or a log. How the way
//! there is encrypted stands in `tls`.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::TryStreamExt;
use model::item::Item;
use model::{Code, Error, Result};
use mysql_async::prelude::Queryable;
use policy::port::{ReadOptions, Reading};
use tokio::sync::oneshot;
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::cell::{Cell, Mark};
use crate::hand::{Hand, on_task};
use crate::matching::{self, Header};
use crate::outgoing::{Outgoing, settle};
use crate::sink::Sink;
use crate::statement::single_select;
use crate::tls::{self, Mode, Wish};
use crate::typing::{Doubt, Hint};

pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

type Columns = Vec<(String, Option<String>)>;

/// What a reading task needs; owned, because it outlives the call.
struct Job {
    items: Vec<Item>,
    options: ReadOptions,
    columns: Option<oneshot::Sender<Result<Columns>>>,
    done: Arc<AtomicU64>,
}

impl Job {
    /// Matches the answer's columns and tells the caller; `None` when there is nothing to read.
    fn begin(&mut self, names: Vec<String>) -> Option<Sink> {
        let headers: Vec<Header> = names.into_iter().map(Header::plain).collect();
        let matched =
            matching::settle(&headers, &self.items, true, self.options.operation_column.as_deref());
        let sender = self.columns.take()?;
        match matched {
            Ok(matched) => {
                let columns = matched.columns(&headers, &self.items);
                sender.send(Ok(columns)).ok()?;
                let mut sink = Sink::new(
                    &self.items,
                    matched,
                    |_| Hint::default(),
                    self.options.batch_rows,
                    self.done.clone(),
                );
                sink.doubt = Doubt { nul: true, damage: true };
                Some(sink)
            }
            Err(error) => {
                // The caller may be gone; then nobody needs the answer.
                let _ = sender.send(Err(error));
                None
            }
        }
    }

    /// An error before the columns are known answers the call, a later one ends the stream.
    fn fail(&mut self, error: Error) -> Result<()> {
        match self.columns.take() {
            Some(sender) => {
                let _ = sender.send(Err(error));
                Ok(())
            }
            None => Err(error),
        }
    }
}

/// A connection to a department's database.
pub(crate) enum Connected {
    Postgres(tokio_postgres::Client, tokio::task::JoinHandle<()>),
    Mysql(mysql_async::Conn),
}

/// Connects to the database of an address, encrypted as the address asks.
pub(crate) async fn connect(outgoing: &Outgoing, url: &str) -> Result<Connected> {
    let mysql = is_mysql(url)?;
    let wish = Wish::of(&settle(outgoing, url).await?)?;
    if mysql {
        let opts = mysql_opts(&wish)?;
        let place = mysql_place(&opts);
        return match tokio::time::timeout(PATIENCE, mysql_conn(opts, wish.mode)).await {
            Ok(Ok(conn)) => Ok(Connected::Mysql(conn)),
            Ok(Err(e)) => Err(mysql_refused(&place, &e)),
            Err(_) => Err(unreachable(&place).detail("timed out")),
        };
    }
    let config = postgres_config(&wish)?;
    let place = postgres_place(&config);
    match config.connect(MakeRustlsConnect::new(wish.config()?)).await {
        Ok((client, connection)) => {
            let driver = tokio::spawn(async move {
                // What breaks the connection off is told to whoever waits for an answer of it.
                let _ended = connection.await;
            });
            Ok(Connected::Postgres(client, driver))
        }
        Err(e) => Err(postgres_refused(&place, e)),
    }
}

/// Which kind of database an address names.
pub(crate) fn is_mysql(url: &str) -> Result<bool> {
    let mysql = ["mysql://", "mariadb://"].iter().any(|p| url.starts_with(p));
    let postgres = ["postgres://", "postgresql://"].iter().any(|p| url.starts_with(p));
    if mysql || postgres {
        return Ok(mysql);
    }
    Err(Error::invalid(
        "数据源地址应以 postgres:// 或 mysql:// 开头",
        "the source's address must start with postgres:// or mysql://",
    ))
}

/// Opens a query: when it returns, the columns are known and rows begin to flow.
pub(crate) async fn read(
    outgoing: &Outgoing,
    url: &str,
    sql: &str,
    items: &[Item],
    options: &ReadOptions,
) -> Result<Reading> {
    let mysql = is_mysql(url)?;
    let sql = single_select(sql, mysql)?;
    let wish = Wish::of(&settle(outgoing, url).await?)?;
    let (sender, receiver) = oneshot::channel();
    let job = Job {
        items: items.to_vec(),
        options: options.clone(),
        columns: Some(sender),
        done: Arc::default(),
    };
    let chunks = if mysql {
        let opts = mysql_opts(&wish)?;
        on_task(move |hand| from_mysql(opts, wish.mode, sql, job, hand))
    } else {
        let config = postgres_config(&wish)?;
        let tls = wish.config()?;
        on_task(move |hand| from_postgres(config, tls, sql, job, hand))
    };
    let columns = receiver.await.map_err(|_| {
        Error::of(Code::SourceUnavailable)
            .detail("the reading task ended before its columns were known")
    })??;
    Ok(Reading { sniffed: None, columns, bytes_total: 0, position: None, chunks })
}

pub(crate) fn bad_address() -> Error {
    Error::invalid(
        "数据源地址不正确，应形如 postgres://用户:密码@主机:端口/库名",
        "the source's address is malformed; it reads like postgres://user:password@host:port/database",
    )
}

pub(crate) fn postgres_config(wish: &Wish) -> Result<tokio_postgres::Config> {
    // The parser's own message may quote parts of the URL: it is left out.
    let mut config: tokio_postgres::Config = wish.url.parse().map_err(|_| bad_address())?;
    // The name stays for the certificate; the way goes to what was looked at.
    let host = host_of(&config);
    match config.get_hosts().first() {
        Some(Host::Unix(_)) if !wish.addresses.is_empty() => {}
        _ if wish.addresses.is_empty() => return Err(unchecked()),
        hosts => {
            let named = hosts.is_some();
            for (n, address) in wish.addresses.iter().enumerate() {
                if n > 0 || !named {
                    config.host(&host);
                }
                config.hostaddr(*address);
            }
        }
    }
    config.connect_timeout(PATIENCE);
    config.application_name("qiantang-ingest");
    config.ssl_mode(match wish.mode {
        Mode::Require => SslMode::Require,
        Mode::Prefer if !tls::local(&host_of(&config)) => SslMode::Prefer,
        Mode::Prefer | Mode::Disable => SslMode::Disable,
    });
    Ok(config)
}

pub(crate) fn host_of(config: &tokio_postgres::Config) -> String {
    match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    }
}

/// A connection whose address nobody looked at is not made.
fn unchecked() -> Error {
    Error::internal("an address of a source was not looked at before connecting")
}

/// What an address of MySQL says.
pub(crate) fn mysql_parsed(wish: &Wish) -> Result<mysql_async::Opts> {
    let url = &wish.url;
    let url = url
        .strip_prefix("mariadb://")
        .map_or_else(|| url.to_owned(), |rest| format!("mysql://{rest}"));
    mysql_async::Opts::from_url(&url).map_err(|_| bad_address())
}

pub(crate) fn mysql_opts(wish: &Wish) -> Result<mysql_async::Opts> {
    let opts = mysql_parsed(wish)?;
    let by_socket = opts.socket().is_some();
    let host = opts.ip_or_hostname().to_owned();
    let address = wish.addresses.first().ok_or_else(unchecked)?;
    let encrypted = match wish.mode {
        Mode::Require => true,
        Mode::Prefer => !tls::local(opts.ip_or_hostname()),
        Mode::Disable => false,
    };
    let ssl = encrypted.then(|| {
        tls::settle_provider();
        let trusted = wish.trusted().into_iter().map(|c| c.to_vec().into()).collect();
        mysql_async::SslOpts::default()
            .with_root_certs(trusted)
            .with_danger_tls_hostname_override(Some(host))
    });
    let opts = mysql_async::OptsBuilder::from_opts(opts)
        .ip_or_hostname(address.to_string())
        .prefer_socket(by_socket)
        .ssl_opts(ssl);
    Ok(opts.into())
}

pub(crate) fn unreachable(place: &str) -> Error {
    Error::new(
        Code::SourceUnavailable,
        format!("无法连接数据源 {place}；请核对地址、端口、账号与网络"),
        format!("the source {place} cannot be reached; check address, port, account and network"),
    )
}

fn query_failed(message: &str) -> Error {
    let message = crate::why::cut(message, 300);
    Error::new(
        Code::InvalidQuery,
        format!("数据源拒绝了查询：{message}"),
        format!("the source refused the query: {message}"),
    )
}

pub(crate) fn broken_off() -> Error {
    Error::new(
        Code::SourceUnavailable,
        "读取数据源时连接中断，请重试",
        "the connection to the source broke off while reading; try again",
    )
}

pub(crate) fn postgres_error(e: tokio_postgres::Error) -> Error {
    match e.as_db_error() {
        Some(db) => query_failed(&format!("{}（{}）", db.message(), db.code().code())),
        None => broken_off().caused_by(e),
    }
}

fn postgres_place(config: &tokio_postgres::Config) -> String {
    format!("{}/{}", host_of(config), config.get_dbname().unwrap_or_default())
}

fn postgres_refused(place: &str, e: tokio_postgres::Error) -> Error {
    match (e.as_db_error(), tls::handshake_fault(&e)) {
        (Some(db), _) => unreachable(place).detail(db.message().to_owned()),
        (None, Some(fault)) => tls::distrusted(place, &fault),
        (None, None) => unreachable(place).caused_by(e),
    }
}

async fn from_postgres(
    config: tokio_postgres::Config,
    tls: rustls::ClientConfig,
    sql: String,
    mut job: Job,
    hand: Hand,
) -> Result<()> {
    let place = postgres_place(&config);
    let (client, connection) = match config.connect(MakeRustlsConnect::new(tls)).await {
        Ok(pair) => pair,
        Err(e) => return job.fail(postgres_refused(&place, e)),
    };
    let driver = tokio::spawn(connection);
    let outcome = postgres_rows(&client, &sql, &mut job, &hand).await;
    drop(client);
    driver.abort();
    match outcome {
        Ok(()) => Ok(()),
        Err(error) => job.fail(error),
    }
}

async fn postgres_rows(
    client: &tokio_postgres::Client,
    sql: &str,
    job: &mut Job,
    hand: &Hand,
) -> Result<()> {
    client
        .batch_execute("BEGIN TRANSACTION READ ONLY; SET LOCAL TimeZone = 'Asia/Shanghai'; SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'iso_8601'")
        .await
        .map_err(postgres_error)?;
    let mut stream = pin!(client.simple_query_raw(sql).await.map_err(postgres_error)?);
    let mut sink: Option<Sink> = None;
    let mut record = 0_u64;
    while let Some(message) = stream.try_next().await.map_err(postgres_error)? {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                let Some(begun) = job.begin(columns.iter().map(|c| c.name().to_owned()).collect())
                else {
                    return Ok(());
                };
                sink = Some(begun);
            }
            SimpleQueryMessage::Row(row) => {
                let Some(sink) = sink.as_mut() else { continue };
                record += 1;
                let bytes: usize = (0..row.len())
                    .filter_map(|i| row.try_get(i).ok().flatten())
                    .map(str::len)
                    .sum();
                job.done.fetch_add(bytes as u64, Ordering::Relaxed);
                sink.row(record, 0, |column| {
                    row.try_get(column).ok().flatten().map(|text| Cell { text, mark: Mark::Exact })
                });
                if sink.ready() {
                    hand.give_async(sink.take()).await?;
                }
            }
            _ => {}
        }
    }
    let Some(mut sink) = sink else {
        return Err(query_failed("the statement returns no rows"));
    };
    if !sink.is_empty() {
        hand.give_async(sink.take()).await?;
    }
    // Nothing was written; the connection is closed either way.
    client.batch_execute("ROLLBACK").await.map_err(postgres_error)
}

pub(crate) fn mysql_error(e: mysql_async::Error) -> Error {
    match &e {
        mysql_async::Error::Server(server) => {
            query_failed(&format!("{}（{}）", server.message, server.code))
        }
        _ => broken_off().detail(e.to_string()),
    }
}

fn mysql_place(opts: &mysql_async::Opts) -> String {
    let base = opts.db_name().unwrap_or_default();
    format!("{}:{}/{base}", opts.ip_or_hostname(), opts.tcp_port())
}

fn mysql_refused(place: &str, e: &mysql_async::Error) -> Error {
    if let Some(fault) = tls::handshake_fault(e) {
        return tls::distrusted(place, &fault);
    }
    let detail = match e {
        mysql_async::Error::Server(server) => format!("server error {}", server.code),
        other => other.to_string(),
    };
    unreachable(place).detail(detail)
}

async fn from_mysql(
    opts: mysql_async::Opts,
    mode: Mode,
    sql: String,
    mut job: Job,
    hand: Hand,
) -> Result<()> {
    let place = mysql_place(&opts);
    let connected = tokio::time::timeout(PATIENCE, mysql_conn(opts, mode)).await;
    let mut conn = match connected {
        Ok(Ok(conn)) => conn,
        Ok(Err(e)) => return job.fail(mysql_refused(&place, &e)),
        Err(_) => return job.fail(unreachable(&place).detail("timed out")),
    };
    let outcome = mysql_rows(&mut conn, &sql, &mut job, &hand).await;
    // A half-read answer is dropped with its connection.
    if outcome.is_ok() {
        let _ = conn.disconnect().await;
    }
    match outcome {
        Ok(()) => Ok(()),
        Err(error) => job.fail(error),
    }
}

/// Connects; in plain when the server has no TLS and nobody asked for it.
pub(crate) async fn mysql_conn(
    opts: mysql_async::Opts,
    mode: Mode,
) -> std::result::Result<mysql_async::Conn, mysql_async::Error> {
    use mysql_async::DriverError::NoClientSslFlagFromServer as NoTls;
    match mysql_async::Conn::new(opts.clone()).await {
        Err(mysql_async::Error::Driver(NoTls)) if mode == Mode::Prefer => {
            let plain =
                mysql_async::OptsBuilder::from_opts(opts).ssl_opts(None::<mysql_async::SslOpts>);
            mysql_async::Conn::new(plain).await
        }
        other => other,
    }
}

async fn mysql_rows(
    conn: &mut mysql_async::Conn,
    sql: &str,
    job: &mut Job,
    hand: &Hand,
) -> Result<()> {
    for setting in ["SET time_zone = '+08:00'", "SET NAMES utf8mb4", "START TRANSACTION READ ONLY"]
    {
        conn.query_drop(setting).await.map_err(mysql_error)?;
    }
    let mut answer = conn.query_iter(sql).await.map_err(mysql_error)?;
    let columns = answer.columns().ok_or_else(|| query_failed("the statement returns no rows"))?;
    // Character set 63 is "binary".
    let binary: Vec<bool> = columns
        .iter()
        .map(|c| c.character_set() == 63 && c.column_type().is_character_type())
        .collect();
    let bits: Vec<bool> = columns
        .iter()
        .map(|c| c.column_type() == mysql_async::consts::ColumnType::MYSQL_TYPE_BIT)
        .collect();
    let Some(mut sink) = job.begin(columns.iter().map(|c| c.name_str().into_owned()).collect())
    else {
        return Ok(());
    };
    let mut record = 0_u64;
    let mut texts: Vec<Option<String>> = Vec::new();
    while let Some(row) = answer.next().await.map_err(mysql_error)? {
        record += 1;
        texts.clear();
        for (at, value) in row.unwrap_raw().into_iter().enumerate() {
            let is = |flags: &[bool]| flags.get(at).copied().unwrap_or(false);
            texts.push(value.and_then(|v| mysql_text(v, is(&binary), is(&bits))));
        }
        let bytes: usize = texts.iter().flatten().map(String::len).sum();
        job.done.fetch_add(bytes as u64, Ordering::Relaxed);
        sink.row(record, 0, |column| {
            texts.get(column)?.as_deref().map(|text| Cell { text, mark: Mark::Exact })
        });
        if sink.ready() {
            hand.give_async(sink.take()).await?;
        }
    }
    if !sink.is_empty() {
        hand.give_async(sink.take()).await?;
    }
    Ok(())
}

fn mysql_text(value: mysql_async::Value, binary: bool, bit: bool) -> Option<String> {
    match value {
        mysql_async::Value::NULL => None,
        mysql_async::Value::Bytes(bytes) if bit => {
            Some(bytes.iter().fold(0_u64, |n, b| (n << 8) | u64::from(*b)).to_string())
        }
        mysql_async::Value::Bytes(bytes) => match String::from_utf8(bytes) {
            Ok(text) if !binary || !text.contains('\0') => Some(text),
            Ok(text) => Some(hex(text.as_bytes())),
            Err(e) if binary => Some(hex(e.as_bytes())),
            Err(e) => Some(String::from_utf8_lossy(e.as_bytes()).into_owned()),
        },
        other => Some(other.as_sql(true).trim_matches('\'').to_owned()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

//! The one way out: whoever connects to a source asks here first, and connects to the addresses it is told.
//!
//! A name is resolved once and the connection goes to the address that was looked at, so that a name cannot lead elsewhere
//! a moment later (DNS rebinding). The rules are `guard::outgoing`'s; the list is the operator's (`[outgoing] allow`).
//! Databases are reached through [`settle`]: it writes the addresses into the source's address, and a connection whose
//! address has none is not made (`query::postgres_config`, `query::mysql_opts`). HTTP clients take [`reach`]'s answer for
//! `resolve_to_addrs`, follow no redirects and use no proxy.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use guard::OutgoingRules;
use guard::outgoing::{LOOPBACK, Refusal};
use model::{Code, Error, Result};
use tokio_postgres::config::Host;

use crate::query::{bad_address, is_mysql};
use crate::tls::Wish;

/// Longest wait for a name.
const PATIENCE: Duration = Duration::from_secs(10);
/// Addresses of one name that are tried.
const MOST: usize = 8;

/// Where this process may connect to. By itself: nowhere.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    rules: Arc<OutgoingRules>,
}

impl Outgoing {
    #[must_use]
    pub fn new(rules: OutgoingRules) -> Self {
        Self { rules: Arc::new(rules) }
    }

    /// This very machine only: for demos and tests.
    pub fn loopback() -> Result<Self> {
        let list: Vec<String> = LOOPBACK.iter().map(|t| (*t).to_owned()).collect();
        OutgoingRules::parse(&list).map(Self::new)
    }
}

/// Resolves `host` once and answers the addresses a connection to it may go to, IPv4 first. A refusal says who can change it
/// and how; what the name led to is told to the operator only.
pub async fn reach(outgoing: &Outgoing, host: &str, port: u16) -> Result<Vec<SocketAddr>> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let mut found: Vec<SocketAddr> = match bare.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => {
            let looked =
                tokio::time::timeout(PATIENCE, tokio::net::lookup_host((bare, port))).await;
            match looked {
                Ok(Ok(found)) => found.collect(),
                Ok(Err(e)) => return Err(unknown(bare).caused_by(e)),
                Err(_) => return Err(unknown(bare).detail("timed out")),
            }
        }
    };
    found.sort_by_key(SocketAddr::is_ipv6);
    found.dedup();
    let mut refused = None;
    let mut fine = Vec::new();
    for address in found {
        match outgoing.rules.allows(bare, address.ip(), port) {
            Ok(()) => fine.push(address),
            Err(why) => refused = Some((why, address)),
        }
    }
    fine.truncate(MOST);
    match (fine.is_empty(), refused) {
        (false, _) => Ok(fine),
        (true, Some((why, address))) => Err(refusal(bare, port, why, address)),
        (true, None) => Err(unknown(bare)),
    }
}

fn unknown(host: &str) -> Error {
    let host = crate::why::cut(host, 253);
    Error::new(
        Code::SourceUnavailable,
        format!("找不到主机 {host}；请核对名称，或稍后重试"),
        format!("the host {host} cannot be found; check its name, or try again later"),
    )
}

fn refusal(host: &str, port: u16, why: Refusal, address: SocketAddr) -> Error {
    let host = crate::why::cut(host, 253);
    let place =
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let (zh, en) = match why {
        Refusal::Never => (
            format!(
                "平台从不连接 {place}：它指向云主机元数据、链路本地或保留地址，任何配置都不能放行；请改用数据库或服务的真实地址"
            ),
            format!(
                "the platform never connects to {place}: it leads to a metadata, link-local or reserved address, which no setting opens; use the real address of the database or service"
            ),
        ),
        Refusal::Loopback => (
            format!(
                "平台未获准连接 {place}：它指向平台自己的机器；确需连接时，请平台运维人员在配置文件的 [outgoing] allow 中加入 \"127.0.0.1:{port}\" 并重启"
            ),
            format!(
                "the platform may not connect to {place}: it leads to the platform's own machine; if that is wanted, the platform's operator adds \"127.0.0.1:{port}\" to `[outgoing] allow` in the configuration file and restarts"
            ),
        ),
        Refusal::NotListed => (
            format!(
                "平台未获准连接 {place}：它不在出站名单中；请平台运维人员在配置文件的 [outgoing] allow 中加入 \"{place}\"（或所在网段）并重启"
            ),
            format!(
                "the platform may not connect to {place}: it is not on the list of places to connect to; the platform's operator adds \"{place}\" (or its network) to `[outgoing] allow` in the configuration file and restarts"
            ),
        ),
    };
    Error::new(Code::RuleBroken, zh, en)
        .with_reasons(vec!["outgoing.not-allowed".to_owned()])
        .detail(format!("{host} led to {address}"))
}

/// A database's address with the addresses of its host that were looked at. One that names several hosts, or brings
/// addresses of its own, is refused.
pub(crate) async fn settle(outgoing: &Outgoing, url: &str) -> Result<String> {
    let wish = Wish::of(url)?;
    if !wish.addresses.is_empty() {
        return Err(bad_address());
    }
    let (host, port) = match is_mysql(url)? {
        true => mysql_place(&wish)?,
        false => postgres_place(&wish)?,
    };
    let addresses = reach(outgoing, &host, port).await?;
    let list: Vec<String> = addresses.iter().map(|a| a.ip().to_string()).collect();
    let joint = if url.contains('?') { '&' } else { '?' };
    Ok(format!("{url}{joint}hostaddr={}", list.join(",")))
}

/// Host and port of an address; a socket is this very machine.
fn postgres_place(wish: &Wish) -> Result<(String, u16)> {
    let config: tokio_postgres::Config = wish.url.parse().map_err(|_| bad_address())?;
    if !config.get_hostaddrs().is_empty()
        || config.get_hosts().len() > 1
        || config.get_ports().len() > 1
    {
        return Err(bad_address());
    }
    let port = config.get_ports().first().copied().unwrap_or(5432);
    Ok(match config.get_hosts().first() {
        Some(Host::Tcp(name)) => (name.clone(), port),
        Some(Host::Unix(_)) | None => ("localhost".to_owned(), port),
    })
}

fn mysql_place(wish: &Wish) -> Result<(String, u16)> {
    let opts = crate::query::mysql_parsed(wish)?;
    Ok(match opts.socket() {
        Some(_) => ("localhost".to_owned(), opts.tcp_port()),
        None => (opts.ip_or_hostname().to_owned(), opts.tcp_port()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(list: &[&str]) -> Outgoing {
        let list: Vec<String> = list.iter().map(|t| (*t).to_owned()).collect();
        Outgoing::new(OutgoingRules::parse(&list).unwrap())
    }

    #[tokio::test]
    async fn a_server_without_a_list_connects_nowhere_and_says_what_to_do() {
        let nowhere = Outgoing::default();
        let metadata = reach(&nowhere, "169.254.169.254", 80).await.unwrap_err();
        assert!(metadata.zh().contains("元数据") && metadata.en().contains("never"), "{metadata}");
        let inside = reach(&nowhere, "10.1.2.3", 5432).await.unwrap_err();
        assert!(inside.zh().contains("\"10.1.2.3:5432\"") && inside.zh().contains("运维人员"));
        assert_eq!(inside.code(), Code::RuleBroken);
        let here = reach(&nowhere, "localhost", 5432).await.unwrap_err();
        assert!(here.en().contains("own machine"), "{here}");
        assert!(!here.en().contains("127.0.0.1:5432\"") || here.en().contains("allow"));
    }

    #[tokio::test]
    async fn the_address_that_was_looked_at_is_the_one_told() {
        let here = Outgoing::loopback().unwrap();
        let found = reach(&here, "localhost", 4321).await.unwrap();
        assert!(found.iter().all(|a| a.ip().is_loopback() && a.port() == 4321), "{found:?}");
        let url = settle(&here, "postgres://a:b@localhost:4321/d?sslmode=disable").await.unwrap();
        assert!(
            url.starts_with("postgres://a:b@localhost:4321/d?sslmode=disable&hostaddr=127.0.0.1"),
            "{url}"
        );
        let url = settle(&here, "mysql://a:b@127.0.0.1:4321/d").await.unwrap();
        assert_eq!(url, "mysql://a:b@127.0.0.1:4321/d?hostaddr=127.0.0.1");
        assert!(
            reach(&open(&["*"]), "no-such-host.invalid", 1)
                .await
                .unwrap_err()
                .zh()
                .contains("找不到")
        );
    }

    #[tokio::test]
    async fn an_address_cannot_bring_its_own_way() {
        let here = Outgoing::loopback().unwrap();
        for url in [
            "postgres://a:b@127.0.0.1/d?hostaddr=169.254.169.254",
            "postgres://a:b@127.0.0.1/d?host%61ddr=169.254.169.254",
            "postgres://a:b@127.0.0.1/d?host=169.254.169.254",
            "postgres://a:b@127.0.0.1,169.254.169.254/d",
            "mysql://a:b@127.0.0.1/d?hostaddr=10.0.0.1",
        ] {
            assert!(settle(&here, url).await.is_err(), "{url}");
        }
        let sockets = "postgres://a:b@%2Fvar%2Frun/d";
        assert!(settle(&here, sockets).await.is_ok());
        assert!(settle(&open(&["*"]), sockets).await.is_err());
    }
}

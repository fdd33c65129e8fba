//! A way with TLS for one connection of a client that speaks plain: it connects to a port of this machine, and what it
//! says goes on encrypted to the source. The certificate is checked as everywhere else.

use std::net::SocketAddr;
use std::sync::Arc;

use model::Result;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use crate::query::{PATIENCE, broken_off, unreachable};
use crate::tls;

/// `SSLRequest` of PostgreSQL's protocol: its length and its code.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Connects to the source, at the addresses that were looked at, and answers the port from which one connection may go there.
pub(super) async fn dig(host: &str, to: &[SocketAddr], config: ClientConfig) -> Result<u16> {
    let place = host.to_owned();
    let open = async {
        let mut plain = TcpStream::connect(to).await?;
        plain.set_nodelay(true)?;
        plain.write_all(&SSL_REQUEST).await?;
        if plain.read_u8().await? != b'S' {
            return Err(std::io::Error::other("the server offers no TLS"));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
        TlsConnector::from(Arc::new(config)).connect(name, plain).await
    };
    let mut far = tokio::time::timeout(PATIENCE, open)
        .await
        .map_err(|_| unreachable(&place).detail("timed out"))?
        .map_err(|e| match tls::handshake_fault(&e) {
            Some(fault) => tls::distrusted(&place, &fault),
            None => unreachable(&place).caused_by(e),
        })?;
    let failed = |e: std::io::Error| broken_off().caused_by(e);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
    let near = listener.local_addr().map_err(failed)?.port();
    tokio::spawn(async move {
        let waited = tokio::time::timeout(PATIENCE, listener.accept()).await;
        let Ok(Ok((mut client, _))) = waited else { return };
        drop(listener);
        // Either side's end is the other's, who then tells of a broken connection.
        let _ = tokio::io::copy_bidirectional(&mut client, &mut far).await;
    });
    Ok(near)
}

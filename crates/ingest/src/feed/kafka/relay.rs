//! The way out for a client that connects by itself, also to brokers that only the cluster names: a SOCKS5 relay (RFC 1928,
//! CONNECT without authentication) on this machine's loopback that asks the operator's list about each place and connects to
//! the addresses it was told. A place that is not allowed is refused, and why is kept for the message. It ends with its
//! reading.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use model::{Error, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::outgoing::{Outgoing, reach};
use crate::query::{PATIENCE, broken_off};

const VERSION: u8 = 5;
const CONNECT: u8 = 1;
const DOMAIN: u8 = 3;
/// Answers.
const FINE: u8 = 0;
const NOT_ALLOWED: u8 = 2;
const UNREACHABLE: u8 = 4;
const NOT_SUPPORTED: u8 = 7;

#[derive(Debug)]
pub(super) struct Relay {
    at: SocketAddr,
    refused: Arc<Mutex<Option<Error>>>,
    listening: JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Relay {
    pub(super) async fn open(outgoing: Outgoing) -> Result<Self> {
        let failed = |e: std::io::Error| broken_off().caused_by(e);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
        let at = listener.local_addr().map_err(failed)?;
        let refused: Arc<Mutex<Option<Error>>> = Arc::default();
        let told = Arc::clone(&refused);
        let listening = tokio::spawn(async move {
            // Connections end with the listener: the set is dropped with this task.
            let mut open = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let (outgoing, told) = (outgoing.clone(), Arc::clone(&told));
                open.spawn(async move {
                    if let Err(e) = serve(near, &outgoing, &told).await {
                        tracing::debug!(error = %e, "a relayed connection ended");
                    }
                });
                while open.try_join_next().is_some() {}
            }
        });
        Ok(Self { at, refused, listening })
    }

    /// Where the client finds it.
    pub(super) fn address(&self) -> String {
        self.at.to_string()
    }

    /// Why a place was refused, if one was.
    pub(super) fn refusal(&self) -> Option<Error> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

async fn serve(
    mut near: TcpStream,
    outgoing: &Outgoing,
    told: &Mutex<Option<Error>>,
) -> std::io::Result<()> {
    let (host, port) = asked(&mut near).await?;
    let to = match reach(outgoing, &host, port).await {
        Ok(to) => to,
        Err(error) => {
            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            return answer(&mut near, NOT_ALLOWED).await;
        }
    };
    let far = tokio::time::timeout(PATIENCE, TcpStream::connect(&*to)).await;
    let Ok(Ok(mut far)) = far else { return answer(&mut near, UNREACHABLE).await };
    far.set_nodelay(true)?;
    near.set_nodelay(true)?;
    answer(&mut near, FINE).await?;
    tokio::io::copy_bidirectional(&mut near, &mut far).await.map(|_| ())
}

/// The place that the client wants to speak to.
async fn asked(near: &mut TcpStream) -> std::io::Result<(String, u16)> {
    let wrong = |what: &'static str| std::io::Error::other(what);
    if near.read_u8().await? != VERSION {
        return Err(wrong("not SOCKS5"));
    }
    let methods = near.read_u8().await?;
    let mut offered = vec![0; usize::from(methods)];
    near.read_exact(&mut offered).await?;
    near.write_all(&[VERSION, 0]).await?;
    let mut head = [0; 4];
    near.read_exact(&mut head).await?;
    let [version, command, _, kind] = head;
    if version != VERSION || command != CONNECT {
        answer(near, NOT_SUPPORTED).await?;
        return Err(wrong("not a connection"));
    }
    let host = match kind {
        1 => std::net::Ipv4Addr::from(near.read_u32().await?).to_string(),
        4 => std::net::Ipv6Addr::from(near.read_u128().await?).to_string(),
        DOMAIN => {
            let length = near.read_u8().await?;
            let mut name = vec![0; usize::from(length)];
            near.read_exact(&mut name).await?;
            String::from_utf8(name).map_err(std::io::Error::other)?
        }
        _ => return Err(wrong("an unknown kind of address")),
    };
    Ok((host, near.read_u16().await?))
}

async fn answer(near: &mut TcpStream, word: u8) -> std::io::Result<()> {
    near.write_all(&[VERSION, word, 0, 1, 0, 0, 0, 0, 0, 0]).await
}

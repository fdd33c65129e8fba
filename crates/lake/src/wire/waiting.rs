//! Connections on which nobody has signed in yet: so many of one address, so many of all, and what one more is told.
//!
//! They have places of their own: whoever opens connections and says nothing keeps nobody out who has signed in, and from other
//! addresses nobody who is about to.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage;
use policy::port::SqlLimits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::words::fatal;

/// Connections that are being told at once that there is no place; more are cut without a word.
const TOLD_AT_ONCE: usize = 32;
/// How long that may take.
const TELLING: Duration = Duration::from_secs(2);
/// What a client may ask before its first message proper: TLS, GSS.
const QUESTIONS: usize = 3;
/// Codes of those questions in the protocol.
const ASKS_TLS: u32 = 80_877_103;
const ASKS_GSS: u32 = 80_877_104;
/// Length and code at the head of a first message, and the longest that is read of the rest.
const HEAD: u32 = 8;
const LONGEST: u32 = 10_000;

/// Places before signing in.
pub(super) struct Waiting {
    of_one: usize,
    of_all: usize,
    now: Mutex<HashMap<IpAddr, usize>>,
    telling: Arc<Semaphore>,
}

/// One of them; given back when it is dropped.
pub(super) struct Place {
    waiting: Arc<Waiting>,
    address: IpAddr,
}

impl Waiting {
    pub(super) fn new(limits: &SqlLimits) -> Arc<Self> {
        Arc::new(Self {
            of_one: limits.waiting,
            of_all: limits.waiting_all,
            now: Mutex::default(),
            telling: Arc::new(Semaphore::new(TOLD_AT_ONCE)),
        })
    }

    /// A place for one more connection of an address.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> PgWireResult<Place> {
        let mut now = self.lock();
        if now.values().sum::<usize>() >= self.of_all {
            return Err(fatal(
                "53300",
                format!("正在登录的连接已达上限 {}，请稍后再试", self.of_all),
                format!(
                    "{} connections are signing in, which is the most: try again shortly",
                    self.of_all
                ),
            ));
        }
        let own = now.entry(address).or_default();
        if *own >= self.of_one {
            return Err(fatal(
                "53300",
                format!(
                    "同一地址尚未登录的连接已达上限 {}，请先完成登录或关闭不用的连接",
                    self.of_one
                ),
                format!(
                    "{} connections of this address have not signed in, which is the most: sign in or close some",
                    self.of_one
                ),
            ));
        }
        *own += 1;
        Ok(Place { waiting: Arc::clone(self), address })
    }

    /// Tells a client why it is not let in, as the protocol has it, and closes.
    pub(super) async fn turn_away(self: Arc<Self>, stream: TcpStream, refusal: PgWireError) {
        let Ok(_one) = Arc::clone(&self.telling).try_acquire_owned() else { return };
        if let Ok(Err(e)) = tokio::time::timeout(TELLING, tell(stream, refusal)).await {
            tracing::debug!(error = %e, "a connection for SQL broke while it was turned away");
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut now = self.waiting.lock();
        let left = now.get(&self.address).map_or(0, |own| own.saturating_sub(1));
        now.remove(&self.address);
        if left > 0 {
            now.insert(self.address, left);
        }
    }
}

/// Clients read an error only where one may come: after their first message proper.
async fn tell(mut stream: TcpStream, refusal: PgWireError) -> io::Result<()> {
    for _ in 0..QUESTIONS {
        let length = stream.read_u32().await?;
        let code = stream.read_u32().await?;
        if matches!(code, ASKS_TLS | ASKS_GSS) {
            stream.write_all(b"N").await?;
            continue;
        }
        let rest = length.saturating_sub(HEAD).min(LONGEST);
        let mut rest = stream.take(u64::from(rest));
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
        let mut stream = rest.into_inner();
        let mut answer = BytesMut::new();
        PgWireBackendMessage::ErrorResponse(ErrorInfo::from(refusal).into())
            .encode(&mut answer)
            .map_err(|e| io::Error::other(e.to_string()))?;
        stream.write_all(&answer).await?;
        return stream.shutdown().await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn places_are_counted_by_address_and_together() {
        let waiting = Arc::new(Waiting {
            of_one: 2,
            of_all: 3,
            now: Mutex::default(),
            telling: Arc::new(Semaphore::new(1)),
        });
        let at = |last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
        let first = waiting.take(at(1)).unwrap();
        let second = waiting.take(at(1)).unwrap();
        let told = waiting.take(at(1)).err().unwrap().to_string();
        assert!(told.contains("同一地址") && told.contains("this address"), "{told}");
        let other = waiting.take(at(2)).unwrap();
        let told = waiting.take(at(3)).err().unwrap().to_string();
        assert!(told.contains("正在登录") && told.contains("signing in"), "{told}");
        drop(first);
        let again = waiting.take(at(1)).unwrap();
        drop((second, other, again));
        assert!(waiting.lock().is_empty());
    }
}

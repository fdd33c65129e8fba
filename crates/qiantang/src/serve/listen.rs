//! One listener: connections in, answers out, and nobody who may hold a connection for nothing.
//!
//! Whoever connects must have sent the head of a call within [`Patience::head`]; a body must go on arriving, a piece at least every [`Patience::body`];
//! heads have a size. A connection that sends a letter a minute (slow-loris) is closed, not waited for.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use gateway::ClientCertificate;
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;
use tower_http::timeout::TimeoutBody;

/// How long a connection is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// The longest it may take for the head of a call, and the longest it may rest between two calls.
    pub(super) head: Duration,
    /// The longest pause within a body.
    body: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { head: Duration::from_secs(30), body: Duration::from_secs(30) }
    }
}

/// Bytes of a call's head at most.
const HEAD_BYTES: usize = 64 * 1024;
/// Lines of a call's head at most.
const HEAD_LINES: usize = 100;

/// Serves until it is told to stop, then lets running calls end.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
    patience: Patience,
) -> std::io::Result<()> {
    each(&listener, &stop, |stream, from| {
        let (router, stop) = (router.clone(), stop.clone());
        async move {
            let begun = tokio::time::timeout(patience.head, second_version(&stream)).await;
            if let Some(second) = begun.ok().flatten() {
                let service = Calls { router, from, certificate: None };
                answer(stream, second, service, stop, patience).await;
            }
        }
    })
    .await;
    Ok(())
}

/// Has `answered` take each connection on a task of its own until it is told to stop, then lets them end.
pub(super) async fn each<F: Future<Output = ()> + Send + 'static>(
    listener: &TcpListener,
    stop: &CancellationToken,
    answered: impl Fn(TcpStream, SocketAddr) -> F,
) {
    let open = TaskTracker::new();
    loop {
        let (stream, from) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(e) => {
                    // Too many open files pass by; a broken connection is its caller's loss.
                    tracing::warn!(error = %e, "a connection could not be taken");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        // Small answers must not wait for more.
        let _ = stream.set_nodelay(true);
        open.spawn(answered(stream, from));
    }
    open.close();
    open.wait().await;
}

/// What calls of one connection are answered by, and what is known of who makes them.
pub(super) struct Calls {
    pub(super) router: Router,
    pub(super) from: SocketAddr,
    /// The certificate that was shown at the handshake.
    pub(super) certificate: Option<ClientCertificate>,
}

/// One connection to its end; `second`: it speaks HTTP/2.
pub(super) async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    second: bool,
    calls: Calls,
    stop: CancellationToken,
    patience: Patience,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        // Waiting for a body has an end; most calls have none.
        let mut request = request.map(|body| match body.is_end_stream() {
            true => Body::empty(),
            false => Body::new(TimeoutBody::new(patience.body, body)),
        });
        request.extensions_mut().insert(ConnectInfo(calls.from));
        if let Some(certificate) = &calls.certificate {
            request.extensions_mut().insert(certificate.clone());
        }
        // A router is always ready.
        calls.router.clone().call(request)
    });
    let io = TokioIo::new(stream);
    // What a connection breaks off by is its caller's doing; it is no error of ours.
    if second {
        let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(patience.head)
            .keep_alive_timeout(patience.head)
            .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX))
            .serve_connection(io, service);
        let mut connection = pin!(connection);
        tokio::select! {
            _ = connection.as_mut() => return,
            () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
        return;
    }
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.head)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_LINES)
        .serve_connection(io, service)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Whether the caller begins as HTTP/2 does (`PRI * …`); `None`: it left before it said so.
async fn second_version(stream: &TcpStream) -> Option<bool> {
    let mut begin = [0; 2];
    loop {
        return match stream.peek(&mut begin).await.ok()? {
            0 => None,
            1 if begin.starts_with(b"P") => {
                // `POST` or `PRI`: the next letter tells. Looking does not wait for it.
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
            _ => Some(begin == *b"PR"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn door(patience: Patience) -> (SocketAddr, CancellationToken) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let from =
            |ConnectInfo(from): ConnectInfo<SocketAddr>| async move { from.ip().to_string() };
        let body = |body: axum::body::Bytes| async move { body.len().to_string() };
        let router = Router::new().route("/from", get(from)).route("/body", post(body));
        tokio::spawn(serve(listener, router, stop.clone(), patience));
        (address, stop)
    }

    /// Says something and listens until the connection ends.
    async fn said(address: SocketAddr, words: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // What is too long is not listened to till its end.
        let _ = stream.write_all(words).await;
        let mut told = Vec::new();
        let _ = stream.read_to_end(&mut told).await;
        String::from_utf8_lossy(&told).into_owned()
    }

    const CALL: &[u8] = b"GET /from HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn calls_are_answered_and_heads_have_a_size() {
        let (address, stop) = door(Patience::default()).await;
        let told = said(address, CALL).await;
        assert!(told.starts_with("HTTP/1.1 200") && told.ends_with("127.0.0.1"), "{told}");
        let told = said(
            address,
            b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc",
        )
        .await;
        assert!(told.ends_with("\r\n3"), "{told}");
        let long = format!("GET /from HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(2 * HEAD_BYTES));
        let told = said(address, long.as_bytes()).await;
        assert!(told.is_empty() || told.starts_with("HTTP/1.1 431"), "{told}");
        // HTTP/2: its preface and empty settings are answered by settings.
        let mut second = TcpStream::connect(address).await.unwrap();
        second.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        let mut frame = [0; 9];
        second.read_exact(&mut frame).await.unwrap();
        assert_eq!(frame[3], 4, "{frame:?}");
        stop.cancel();
    }

    #[tokio::test]
    async fn who_never_finishes_a_head_or_a_body_is_let_go() {
        let short = Duration::from_millis(100);
        let (address, _stop) = door(Patience { head: short, body: short }).await;
        // Each ends because the door closes it: nothing here ever finishes a call.
        for begun in [
            &b"GET /from HTTP/1.1\r\nhost: x\r\n"[..],
            b"P",
            b"",
            b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nab",
        ] {
            let told = said(address, begun).await;
            assert!(!told.contains(" 200 "), "{begun:?}: {told}");
        }
        assert!(said(address, CALL).await.starts_with("HTTP/1.1 200"));
    }
}

//! Around every call: figures, and one line in the log without personal data.
//!
//! The line names door, method, route (the pattern, not the path), state, time and the request id. Never logged:
//! addresses, users, keys, paths, queries, headers, bodies; who did what stands in the audit chain.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request};
use axum::response::Response;
use metrics::{Counter, Histogram};
use parking_lot::RwLock;
use tower::{Layer, Service};

/// Figures of a door, found once: looking them up in the registry costs more than counting.
pub(super) struct Watch {
    door: &'static str,
    log: bool,
    /// By route and method: few, as both are patterns.
    seconds: RwLock<HashMap<String, Vec<(&'static str, Histogram)>>>,
    states: [Counter; 5],
}

impl Watch {
    pub(super) fn new(door: &'static str, log: bool) -> Self {
        let states = [100, 200, 300, 400, 500].map(|status| {
            metrics::counter!("qt_http_calls_total", "door" => door, "state" => class(status))
        });
        Self { door, log, seconds: RwLock::default(), states }
    }

    fn took(&self, method: &'static str, route: &str, status: u16, took: Duration) {
        let seconds = took.as_secs_f64();
        let known = |routes: &HashMap<String, Vec<(&'static str, Histogram)>>| {
            let of_route = routes.get(route)?;
            of_route
                .iter()
                .find(|(m, _)| *m == method)
                .map(|(_, histogram)| histogram.record(seconds))
        };
        if known(&self.seconds.read()).is_none() {
            let made = metrics::histogram!("qt_http_seconds", "door" => self.door, "method" => method, "route" => route.to_owned());
            made.record(seconds);
            self.seconds.write().entry(route.to_owned()).or_default().push((method, made));
        }
        let place = usize::from(status / 100).saturating_sub(1);
        if let Some(counter) = self.states.get(place) {
            counter.increment(1);
        }
    }

    fn answered(&self, method: &'static str, route: &str, response: &Response, took: Duration) {
        let status = response.status().as_u16();
        self.took(method, route, status, took);
        if !self.log {
            return;
        }
        let id = response.headers().get("x-request-id").and_then(|v| v.to_str().ok());
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let id = id.unwrap_or("-");
        tracing::event!(
            target: "access",
            tracing::Level::INFO,
            http.door = self.door,
            http.method = method,
            http.route = route,
            http.status = status,
            http.took_ms = took_ms,
            request.id = id,
            "answered"
        );
    }
}

/// Puts the watch around every route of a door. A layer of its own: one made of a function costs every call several copies of
/// the route.
#[derive(Clone)]
pub(super) struct WatchLayer(pub(super) Arc<Watch>);

impl<S> Layer<S> for WatchLayer {
    type Service = Watched<S>;

    fn layer(&self, inner: S) -> Watched<S> {
        Watched { inner, watch: Arc::clone(&self.0) }
    }
}

/// A watched route.
#[derive(Clone)]
pub(super) struct Watched<S> {
    inner: S,
    watch: Arc<Watch>,
}

impl<S> Service<Request> for Watched<S>
where
    S: Service<Request, Response = Response>,
    S::Future: Unpin,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Watching<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let started = Instant::now();
        let method = method(&request);
        let route = request.extensions().get::<MatchedPath>().cloned();
        let answering = self.inner.call(request);
        Watching { answering, watch: Arc::clone(&self.watch), started, method, route }
    }
}

/// A call under way.
pub(super) struct Watching<F> {
    answering: F,
    watch: Arc<Watch>,
    started: Instant,
    method: &'static str,
    route: Option<MatchedPath>,
}

impl<F, E> Future for Watching<F>
where
    F: Future<Output = Result<Response, E>> + Unpin,
{
    type Output = Result<Response, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(Pin::new(&mut self.answering).poll(cx))?;
        let route = self.route.as_ref().map_or("-", MatchedPath::as_str);
        self.watch.answered(self.method, route, &response, self.started.elapsed());
        Poll::Ready(Ok(response))
    }
}

/// One of few words, so that a caller cannot make new series.
fn method(request: &Request) -> &'static str {
    match request.method().as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

fn class(status: u16) -> &'static str {
    match status {
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        500..=599 => "5xx",
        _ => "1xx",
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Mutex;

    use axum::Router;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_line_tells_route_and_state_but_no_person() {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber =
            tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
        let _until_the_end = tracing::subscriber::set_default(subscriber);
        let router = Router::new()
            .route("/api/v1/{resource}", get(|| async { "rows" }))
            .layer(WatchLayer(Arc::new(Watch::new("gateway", true))));
        let request = axum::http::Request::builder()
            .uri("/api/v1/people?sfzh=eq.330106199001011234")
            .header("x-forwarded-for", "203.0.113.9")
            .header("x-qt-key", "AK123")
            .body(axum::body::Body::empty())
            .unwrap();
        router.oneshot(request).await.unwrap();
        let line = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        for told in ["/api/v1/{resource}", "\"http.status\":200", "\"http.door\":\"gateway\""] {
            assert!(line.contains(told), "{told}: {line}");
        }
        for kept_back in ["people", "330106", "203.0.113", "AK123"] {
            assert!(!line.contains(kept_back), "{kept_back}: {line}");
        }
    }
}

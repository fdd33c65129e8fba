//! Around every call: figures, and one line in the log without personal data.
//!
//! The line names door, method, route (the pattern, not the path), state, time and the request id. Never logged:
//! addresses, users, keys, paths, queries, headers, bodies; who did what stands in the audit chain.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;

pub(super) async fn watch(door: &'static str, log: bool, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = method(&request);
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "-".to_owned(), |path| path.as_str().to_owned());
    let response = next.run(request).await;
    let (status, took) = (response.status().as_u16(), started.elapsed());
    metrics::histogram!("qt_http_seconds", "door" => door, "method" => method, "route" => route.clone())
        .record(took.as_secs_f64());
    metrics::counter!("qt_http_calls_total", "door" => door, "state" => class(status)).increment(1);
    if log {
        let id = response.headers().get("x-request-id").and_then(|v| v.to_str().ok());
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let id = id.unwrap_or("-");
        tracing::event!(
            target: "access",
            tracing::Level::INFO,
            http.door = door,
            http.method = method,
            http.route = route,
            http.status = status,
            http.took_ms = took_ms,
            request.id = id,
            "answered"
        );
    }
    response
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
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::middleware::from_fn;
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
            .layer(from_fn(|request, next| watch("gateway", true, request, next)));
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

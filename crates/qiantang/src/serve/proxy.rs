//! Behind a reverse proxy of ours: who calls is whom the proxy saw.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, Request};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::Response;

/// Puts the address the proxy saw in place of the proxy's own, for limits, look-ups by loopback and audit records.
/// Only for doors that nobody reaches but through the proxy: the header is the caller's to write otherwise.
pub(super) async fn true_address(mut request: Request, next: Next) -> Response {
    if let Some(address) = forwarded(request.headers()) {
        request.extensions_mut().insert(ConnectInfo(SocketAddr::new(address, 0)));
    }
    next.run(request).await
}

/// The last hop of `X-Forwarded-For`: what stands before it was written by the caller.
fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let all = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    let hop = all.rsplit(',').next()?.trim();
    hop.parse::<IpAddr>()
        .ok()
        .or_else(|| hop.parse::<SocketAddr>().ok().map(|a| a.ip()))
        .or_else(|| hop.trim_start_matches('[').trim_end_matches(']').parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hop_our_proxy_wrote_counts() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", text.parse().unwrap());
            forwarded(&headers).map(|a| a.to_string())
        };
        assert_eq!(of("203.0.113.9").as_deref(), Some("203.0.113.9"));
        assert_eq!(of("127.0.0.1, 203.0.113.9").as_deref(), Some("203.0.113.9"));
        assert_eq!(of("203.0.113.9:4711").as_deref(), Some("203.0.113.9"));
        assert_eq!(of("[2001:db8::1]:443").as_deref(), Some("2001:db8::1"));
        assert_eq!(of("[2001:db8::1]").as_deref(), Some("2001:db8::1"));
        assert_eq!(of("unknown"), None);
        assert_eq!(forwarded(&HeaderMap::new()), None);
    }

    #[test]
    fn of_several_headers_the_last_counts() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "127.0.0.1".parse().unwrap());
        headers.append("x-forwarded-for", "203.0.113.9".parse().unwrap());
        assert_eq!(forwarded(&headers).unwrap().to_string(), "203.0.113.9");
    }
}

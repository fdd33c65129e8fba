//! A client of the door: signs, sends, reads the answer to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::{Body, BodyDataStream, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use gateway::GatewayConfig;
use guard::signature::{
    Algorithm, HEADER_KEY, HEADER_NONCE, HEADER_SIGNATURE, HEADER_TIMESTAMP, SignedRequest,
};
use model::account::ApplicationSecret;
use serde_json::Value;
use testkit::House;
use tower::ServiceExt;

pub(crate) struct Client {
    router: Router,
    house: Arc<app::App>,
    address: String,
    count: AtomicU64,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Of what is no text, what can be read.
    pub(crate) text: String,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
    /// Every header of a name, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|v| v.to_str().unwrap()).collect()
    }
    /// Status and code of a refusal.
    pub(crate) fn refusal(&self) -> (u16, String) {
        (self.status.as_u16(), self.json()["code"].as_str().unwrap_or_default().to_owned())
    }
}

impl Client {
    pub(crate) fn new(house: &House) -> Self {
        Self::with(
            house,
            GatewayConfig { public_url: "http://gate.test".into(), ..GatewayConfig::default() },
        )
    }

    pub(crate) fn with(house: &House, config: GatewayConfig) -> Self {
        Self {
            router: gateway::router(Arc::clone(&house.app), config),
            house: Arc::clone(&house.app),
            address: "10.0.0.1".into(),
            count: AtomicU64::new(0),
        }
    }

    /// The same door from another address.
    pub(crate) fn from(&self, address: &str) -> Self {
        Self {
            router: self.router.clone(),
            house: Arc::clone(&self.house),
            address: address.into(),
            count: AtomicU64::new(1_000_000),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[]).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        self.send_body(method, path, headers, Body::empty()).await
    }

    pub(crate) async fn send_body(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send_request(request.body(body).unwrap()).await
    }

    /// A request as it is.
    pub(crate) async fn send_request(&self, mut request: Request<Body>) -> Answer {
        let from: SocketAddr = format!("{}:4321", self.address).parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(from));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
            bytes: bytes.to_vec(),
        }
    }

    /// A signed call; `secret` may be wrong.
    pub(crate) async fn signed(
        &self,
        method: Method,
        path: &str,
        key: &str,
        secret: &str,
        more: &[(&str, &str)],
    ) -> Answer {
        let own = self.signature(&method, path, key, secret);
        let mut headers: Vec<(&str, &str)> = own.iter().map(|(n, v)| (*n, v.as_str())).collect();
        headers.extend_from_slice(more);
        self.send(method, path, &headers).await
    }

    /// The headers that sign a call.
    pub(crate) fn signature(
        &self,
        method: &Method,
        path: &str,
        key: &str,
        secret: &str,
    ) -> [(&'static str, String); 4] {
        let (place, query) = path.split_once('?').unwrap_or((path, ""));
        let algorithm = Algorithm::HmacSha256;
        let body_hash = algorithm.body_hash(b"");
        let timestamp = self.house.now().timestamp_millis();
        let n = self.count.fetch_add(1, Ordering::Relaxed);
        let nonce = format!("nonce-of-a-test-{n:08}");
        let call = SignedRequest {
            method: method.as_str(),
            path: place,
            query,
            body_hash: &body_hash,
            timestamp,
            nonce: &nonce,
        };
        let signature = call.sign(algorithm, secret.as_bytes());
        [
            (HEADER_KEY, key.to_owned()),
            (HEADER_TIMESTAMP, timestamp.to_string()),
            (HEADER_NONCE, nonce.clone()),
            (HEADER_SIGNATURE, signature),
        ]
    }

    /// The body of a signed call's answer, to be read piece by piece.
    pub(crate) async fn pieces(&self, app: &ApplicationSecret, path: &str) -> BodyDataStream {
        let own = self.signature(&Method::GET, path, &app.application.key, &app.secret);
        let headers: Vec<(&str, &str)> = own.iter().map(|(n, v)| (*n, v.as_str())).collect();
        self.stream(path, &headers).await
    }

    /// The body of an answer, to be read piece by piece.
    pub(crate) async fn stream(&self, path: &str, headers: &[(&str, &str)]) -> BodyDataStream {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        let from: SocketAddr = format!("{}:4321", self.address).parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(from));
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert!(response.status().is_success(), "{}", response.status());
        response.into_body().into_data_stream()
    }

    /// The door itself, to be served on a socket.
    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    pub(crate) async fn by(&self, app: &ApplicationSecret, path: &str) -> Answer {
        self.signed(Method::GET, path, &app.application.key, &app.secret, &[]).await
    }
}

//! Both doors of the house as those outside see them: a browser that keeps cookies and fills in forms, and a program that asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, header};
use gateway::GatewayConfig;
use portal::PortalConfig;
use testkit::{House, PASSWORD};
use tower::ServiceExt as _;

const FORM: &str = "application/x-www-form-urlencoded";
/// What parts of a multipart form stand between.
pub(super) const PARTED: &str = "multipart/form-data; boundary=XX";

/// A house with its doors.
pub(super) struct Doors {
    pub(super) house: House,
    portal: Router,
    gateway: Router,
}

/// An answer read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) bytes: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// What stands after `before`, to the next quote. The templates write a slash of a value as an entity.
    pub(super) fn after(&self, before: &str) -> String {
        let text = self.text().replace("&#x2f;", "/");
        let rest = text.split_once(before).map(|(_, rest)| rest).unwrap_or_default();
        rest.split('"').next().unwrap_or_default().to_owned()
    }

    /// Turned away in words of both languages.
    pub(super) fn refused(&self, status: u16, zh: &str, en: &str) {
        let text = self.text();
        assert_eq!(self.status, status, "{text}");
        assert!(text.contains(zh) || text.contains(en), "{zh} | {en}: {text}");
    }
}

async fn read(router: &Router, mut request: Request<Body>) -> Answer {
    let from: std::net::SocketAddr = ([10, 0, 0, 1], 4321).into();
    request.extensions_mut().insert(ConnectInfo(from));
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap().to_vec();
    Answer { status: parts.status.as_u16(), headers: parts.headers, bytes }
}

impl Doors {
    pub(super) fn of(house: House) -> Self {
        Self::with(house, PortalConfig::default())
    }

    pub(super) fn with(house: House, config: PortalConfig) -> Self {
        let config = PortalConfig { gateway_url: "http://gate.test".into(), ..config };
        let portal = portal::router(Arc::clone(&house.app), config);
        let gate = GatewayConfig {
            public_url: "http://gate.test".into(),
            anonymous_per_second: 100_000,
            ..GatewayConfig::default()
        };
        let gateway = gateway::router(Arc::clone(&house.app), gate);
        Self { house, portal, gateway }
    }

    /// Somebody before the pages, without an account.
    pub(super) fn visitor(&self) -> Visitor {
        Visitor { portal: self.portal.clone(), cookies: BTreeMap::new() }
    }

    /// One of the people, signed in.
    pub(super) async fn person(&self, name: &str) -> Visitor {
        let mut visitor = self.visitor();
        let page = visitor.sign_in(name).await;
        assert_eq!(page.status, 303, "{name} signs in: {}", page.text());
        visitor
    }

    /// What a program asks of the machines' door.
    pub(super) async fn program(&self, request: Request<Body>) -> Answer {
        read(&self.gateway, request).await
    }

    pub(super) async fn fetch(&self, path: &str) -> Answer {
        self.program(Request::get(path).body(Body::empty()).unwrap()).await
    }
}

/// A browser; it follows nothing by itself.
pub(super) struct Visitor {
    portal: Router,
    pub(super) cookies: BTreeMap<String, String>,
}

impl Visitor {
    pub(super) async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path), Body::empty()).await
    }

    /// Signs in by the form.
    pub(super) async fn sign_in(&mut self, name: &str) -> Answer {
        let token = self.get("/login").await.after("name=\"csrf\" value=\"");
        self.post_raw("/login", &[("csrf", &token), ("name", name), ("password", PASSWORD)]).await
    }

    /// The token of this visitor's forms.
    pub(super) async fn token(&mut self) -> String {
        self.get("/me").await.after("name=\"csrf\" value=\"")
    }

    /// Posts a form with the visitor's token.
    pub(super) async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        let token = self.token().await;
        let mut all = vec![("csrf", token.as_str())];
        all.extend_from_slice(form);
        self.post_raw(path, &all).await
    }

    /// Posts a form as it is.
    pub(super) async fn post_raw(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        let text: Vec<String> =
            form.iter().map(|(k, v)| format!("{}={}", encode(k), encode(v))).collect();
        let request = Request::post(path).header(header::CONTENT_TYPE, FORM);
        self.send(request, Body::from(text.join("&"))).await
    }

    /// The head of a multipart form: token, fields, and the beginning of its file.
    pub(super) async fn begun(&mut self, fields: &[(&str, &str)], file: &str) -> Vec<u8> {
        let token = self.token().await;
        let mut text = String::new();
        for (k, v) in [("csrf", token.as_str())].iter().chain(fields) {
            text.push_str(&format!(
                "--XX\r\nContent-Disposition: form-data; name=\"{k}\"\r\n\r\n{v}\r\n"
            ));
        }
        text.push_str(&format!(
            "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{file}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        ));
        text.into_bytes()
    }

    /// Uploads a file.
    pub(super) async fn upload(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        file: &str,
        bytes: &[u8],
    ) -> Answer {
        let mut body = self.begun(fields, file).await;
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n--XX--\r\n");
        let request = Request::post(path).header(header::CONTENT_TYPE, PARTED);
        self.send(request, Body::from(body)).await
    }

    pub(super) async fn send(
        &mut self,
        request: axum::http::request::Builder,
        body: Body,
    ) -> Answer {
        let cookies: Vec<String> = self.cookies.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let request = request
            .header(header::HOST, "site.test")
            .header(header::COOKIE, cookies.join("; "))
            .body(body)
            .unwrap();
        let answer = read(&self.portal, request).await;
        for cookie in answer.headers.get_all(header::SET_COOKIE) {
            let (pair, attributes) = cookie.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            match attributes.contains("Max-Age=0") {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        answer
    }
}

pub(super) fn encode(text: &str) -> String {
    let one = |b: u8| match b.is_ascii_alphanumeric() {
        true => char::from(b).to_string(),
        false => format!("%{b:02X}"),
    };
    text.bytes().map(one).collect()
}

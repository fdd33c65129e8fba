//! A small browser: keeps cookies, reads form tokens, posts forms and files, follows nothing by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode, header};
use portal::PortalConfig;
use testkit::House;
use testkit::PASSWORD;
use tower::ServiceExt;

pub(crate) struct Browser {
    router: Router,
    cookies: BTreeMap<String, String>,
}

/// An answer read to its end.
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) location: String,
    pub(crate) content_type: String,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Page {
    pub(crate) fn text(&self) -> String {
        // The templates write a slash of a value as an entity.
        String::from_utf8_lossy(&self.bytes).replace("&#x2f;", "/")
    }
    /// Value of the first attribute text between `before` and the next quote.
    pub(crate) fn after(&self, before: &str) -> String {
        let text = self.text();
        let rest = text.split_once(before).map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        rest.split('"').next().unwrap_or_default().to_owned()
    }
}

impl Browser {
    pub(crate) fn new(house: &House) -> Self {
        let config =
            PortalConfig { gateway_url: "http://gate.test".into(), ..PortalConfig::default() };
        Self::with(house, config)
    }

    /// A browser at a portal that is set up so.
    pub(crate) fn with(house: &House, config: PortalConfig) -> Self {
        Self { router: portal::router(Arc::clone(&house.app), config), cookies: BTreeMap::new() }
    }

    /// Signs in by the form.
    pub(crate) async fn sign_in(&mut self, name: &str) {
        let token = self.get("/login").await.after("name=\"csrf\" value=\"");
        let form = [("csrf", token.as_str()), ("name", name), ("password", PASSWORD)];
        let page = self.post_raw("/login", &form).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{name} signs in: {}", page.text());
    }

    /// A browser of one of the people, signed in by the form.
    pub(crate) async fn of(house: &House, name: &str) -> Self {
        let mut browser = Self::new(house);
        browser.sign_in(name).await;
        browser
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&String> {
        self.cookies.get(name)
    }

    /// Puts a cookie into this browser, as an attacker might.
    pub(crate) fn plant(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    /// Sends a request with these headers and, unless it is empty, this form.
    pub(crate) async fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        form: &[(&str, &str)],
    ) -> Page {
        let text: Vec<String> =
            form.iter().map(|(k, v)| format!("{}={}", encode(k), encode(v))).collect();
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !form.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        self.send(request, Body::from(text.join("&"))).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Page {
        self.send(Request::get(path), Body::empty()).await
    }

    /// The same with a header.
    pub(crate) async fn get_with(&mut self, path: &str, name: &str, value: &str) -> Page {
        self.send(Request::get(path).header(name, value), Body::empty()).await
    }

    /// The same with several.
    pub(crate) async fn get_with_all(&mut self, path: &str, headers: &[(&str, &str)]) -> Page {
        let request = Request::get(path);
        let request = headers.iter().fold(request, |r, (name, value)| r.header(*name, *value));
        self.send(request, Body::empty()).await
    }

    /// Posts a form as it is, without adding the token.
    pub(crate) async fn post_raw(&mut self, path: &str, form: &[(&str, &str)]) -> Page {
        let text: Vec<String> =
            form.iter().map(|(k, v)| format!("{}={}", encode(k), encode(v))).collect();
        let request =
            Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request, Body::from(text.join("&"))).await
    }

    /// The token of this visitor's forms.
    pub(crate) async fn token(&mut self) -> String {
        self.get("/me").await.after("name=\"csrf\" value=\"")
    }

    /// Posts a form with the visitor's token.
    pub(crate) async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Page {
        let token = self.token().await;
        let mut all = vec![("csrf", token.as_str())];
        all.extend_from_slice(form);
        self.post_raw(path, &all).await
    }

    /// Posts a multipart form with the token first and the file last.
    pub(crate) async fn upload(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
        name: &str,
        bytes: &[u8],
    ) -> Page {
        let token = self.token().await;
        let mut body = Vec::new();
        for (k, v) in [("csrf", token.as_str())].iter().chain(fields) {
            let part =
                format!("--XX\r\nContent-Disposition: form-data; name=\"{k}\"\r\n\r\n{v}\r\n");
            body.extend_from_slice(part.as_bytes());
        }
        let head = format!(
            "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n--XX--\r\n");
        let request =
            Request::post(path).header(header::CONTENT_TYPE, "multipart/form-data; boundary=XX");
        self.send(request, Body::from(body)).await
    }

    async fn send(&mut self, request: axum::http::request::Builder, body: Body) -> Page {
        let cookies: Vec<String> = self.cookies.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let request = request
            .header(header::HOST, "site.test")
            .header(header::COOKIE, cookies.join("; "))
            .body(body)
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        self.keep(&response);
        let get = |name| {
            response
                .headers()
                .get(name)
                .and_then(|v| v.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        let (location, content_type) = (get(header::LOCATION), get(header::CONTENT_TYPE));
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec();
        Page { status, location, content_type, headers, bytes }
    }

    fn keep(&mut self, response: &Response<Body>) {
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let text = cookie.to_str().unwrap();
            let (pair, attributes) = text.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            assert!(attributes.contains("HttpOnly"), "{text}");
            assert!(attributes.contains("SameSite=Lax"), "{text}");
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }
        })
        .collect()
}

//! Style sheet and scripts: our own are embedded (read from disk in debug), npm parts are copied in by `build.rs`.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::Path;
use axum::http::header::{self, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::RustEmbed;
use tower_http::compression::CompressionLayer;

use crate::{Door, visit};

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Own;

mod vendor {
    //! The list of embedded npm files, written by `build.rs`.
    include!(concat!(env!("OUT_DIR"), "/vendor.rs"));
}

/// Whether an npm part is embedded (`htmx.min.js`, `maplibre-gl-csp.js`, …).
pub(crate) fn has(name: &str) -> bool {
    vendor::FILES.iter().any(|(n, _)| *n == name)
}

/// The font by which papers are printed, when the npm parts were there at build time.
#[must_use]
pub fn paper_font() -> Option<&'static [u8]> {
    vendor::FILES.iter().find(|(n, _)| *n == "noto-sans-sc.ttf").map(|(_, bytes)| *bytes)
}

/// Changes whenever an embedded file does, so that browsers may keep files for long.
pub(crate) fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let mut hasher = DefaultHasher::new();
        for name in Own::iter() {
            Own::get(&name).map(|f| f.metadata.sha256_hash()).hash(&mut hasher);
        }
        for (name, bytes) in vendor::FILES {
            (name, bytes.len()).hash(&mut hasher);
        }
        format!("{:08x}", hasher.finish() & 0xffff_ffff)
    });
    VERSION.as_str()
}

pub(crate) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/assets/{*path}", get(file))
        .route("/favicon.ico", get(|headers: HeaderMap| file(Path("mark.svg".into()), headers)))
        .layer(CompressionLayer::new())
}

async fn file(Path(path): Path<String>, headers: HeaderMap) -> Response {
    let Some(bytes) = bytes(&path) else { return StatusCode::NOT_FOUND.into_response() };
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    let tag = format!("\"{:016x}\"", hasher.finish());
    let known = visit::has(&headers, &tag);
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        bytes.into_owned().into_response()
    };
    let out = response.headers_mut();
    let kind = mime_guess::from_path(&path).first_or_octet_stream();
    if let Ok(value) = HeaderValue::from_str(&content_type(kind.as_ref())) {
        out.insert(header::CONTENT_TYPE, value);
    }
    if let Ok(value) = HeaderValue::from_str(&tag) {
        out.insert(header::ETAG, value);
    }
    let keep = if cfg!(debug_assertions) { "no-cache" } else { "public, max-age=604800" };
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    visit::protect(out);
    response
}

fn bytes(path: &str) -> Option<Cow<'static, [u8]>> {
    match path.strip_prefix("vendor/") {
        Some(name) => {
            vendor::FILES.iter().find(|(n, _)| *n == name).map(|(_, b)| Cow::Borrowed(*b))
        }
        None => Own::get(path).map(|f| f.data),
    }
}

fn content_type(kind: &str) -> String {
    if kind.starts_with("text/") { format!("{kind}; charset=utf-8") } else { kind.to_owned() }
}

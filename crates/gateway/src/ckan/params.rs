//! What a caller sent: a JSON body, a form, a multipart form, or the query string; a key that comes again is a list.

use axum::body::{Body, to_bytes};
use axum::extract::multipart::Field;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::header;
use axum::http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::fault::Fault;

/// Largest body in bytes: questions, never files. A call that brings a file is read by `write::upload`.
pub(super) const LARGEST: usize = 1024 * 1024;

/// Parameters of one call by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(Map<String, Value>);

/// Letters, digits and what an address may hold unencoded.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// The function that a client of old wants its answer wrapped in, when its name is one.
pub(super) fn callback(parts: &Parts) -> Option<String> {
    if parts.method != axum::http::Method::GET {
        return None;
    }
    let query = parts.uri.query().unwrap_or_default();
    let (_, name) = form_urlencoded::parse(query.as_bytes()).find(|(n, _)| n == "callback")?;
    let fits = name.len() <= 100
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$' | b'.'));
    (fits && !name.is_empty()).then(|| name.into_owned())
}

/// Reads them from wherever they stand.
pub(super) async fn read(parts: Parts, body: Body) -> Result<Params, Fault> {
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let kind = kind.unwrap_or_default().to_ascii_lowercase();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let bytes = to_bytes(body, LARGEST).await.map_err(|_| {
        Fault::bare(format!("Bad request: the body is larger than {LARGEST} bytes or broke off"))
    })?;
    if parts.method == axum::http::Method::POST && is_parts(&kind) {
        return multipart(Request::from_parts(parts, Body::from(bytes))).await;
    }
    let mut params = Params::default();
    if parts.method != axum::http::Method::POST || bytes.is_empty() {
        params.pairs(query.as_bytes());
    } else if kind.starts_with("application/x-www-form-urlencoded") && !json_form(&bytes) {
        params.pairs(&bytes);
    } else {
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(map)) => params.0 = map,
            Ok(_) => {
                return Err(Fault::bare(
                    "Bad request: JSON Error: the request data must be a dictionary (an object)",
                ));
            }
            Err(e) => {
                return Err(Fault::bare(format!(
                    "Bad request: JSON Error: Error decoding JSON data. Error: {e}"
                )));
            }
        }
    }
    params.0.remove("callback");
    Ok(params)
}

/// Some clients send JSON under the name of a form.
fn json_form(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'{')
}

/// Whether a body of this kind is a form in parts.
pub(super) fn is_parts(kind: &str) -> bool {
    kind.trim_start().to_ascii_lowercase().starts_with("multipart/form-data")
}

/// A form that cannot be read.
pub(super) fn wrong(e: &dyn std::fmt::Display) -> Fault {
    Fault::bare(format!("Bad request: {e}"))
}

/// A part that is a text. All of a form's together (`taken`, in bytes) are no larger than a body.
pub(super) async fn text_part(mut field: Field<'_>, taken: &mut usize) -> Result<String, Fault> {
    let mut text = Vec::new();
    // One without a byte costs its place.
    *taken = taken.saturating_add(64);
    while let Some(piece) = field.chunk().await.map_err(|e| wrong(&e))? {
        *taken = taken.saturating_add(piece.len());
        if *taken > LARGEST {
            return Err(Fault::bare(format!(
                "Bad request: the form is larger than {LARGEST} bytes"
            )));
        }
        text.extend_from_slice(&piece);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

async fn multipart(request: Request) -> Result<Params, Fault> {
    let mut form = Multipart::from_request(request, &()).await.map_err(|e| wrong(&e))?;
    let mut params = Params::default();
    let mut taken = 0;
    while let Some(field) = form.next_field().await.map_err(|e| wrong(&e))? {
        let name = field.name().unwrap_or_default().to_owned();
        if field.file_name().is_some_and(|file| !file.is_empty()) {
            let shown: String = name.chars().take(60).collect();
            return Err(Fault::invalid(
                &shown,
                "此动作不收文件；请用 resource_create 或 resource_update 的 upload 上传，或在控制台的目录页上传",
                "this action takes no file: send it as `upload` of resource_create or resource_update, or upload it on the entry's page in the console",
            ));
        }
        params.add(name, text_part(field, &mut taken).await?);
    }
    Ok(params)
}

impl From<Map<String, Value>> for Params {
    fn from(map: Map<String, Value>) -> Self {
        Self(map)
    }
}

impl Params {
    fn pairs(&mut self, bytes: &[u8]) {
        for (name, value) in form_urlencoded::parse(bytes) {
            self.add(name.into_owned(), value.into_owned());
        }
    }

    pub(super) fn add(&mut self, name: String, value: String) {
        match self.0.get_mut(&name) {
            Some(Value::Array(all)) => all.push(value.into()),
            Some(first) => *first = Value::Array(vec![first.take(), value.into()]),
            None => {
                self.0.insert(name, value.into());
            }
        }
    }

    /// Everything that was sent.
    pub(super) fn whole(&self) -> &Map<String, Value> {
        &self.0
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|v| !v.is_null())
    }

    /// A value as a text; of a list its first.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        text(self.get(name)?)
    }

    pub(super) fn wanted(&self, name: &str) -> Result<String, Fault> {
        self.text(name).filter(|t| !t.is_empty()).ok_or_else(|| Fault::missing(name))
    }

    /// A whole number, `otherwise` where nothing is said.
    pub(super) fn number(&self, name: &str, otherwise: u64) -> Result<u64, Fault> {
        let Some(text) = self.text(name).filter(|t| !t.is_empty()) else { return Ok(otherwise) };
        text.trim().parse().map_err(|_| {
            Fault::invalid(name, "应为不小于零的整数", "Invalid integer: zero or more is wanted")
        })
    }

    /// A truth value as CKAN reads it.
    pub(super) fn flag(&self, name: &str, otherwise: bool) -> bool {
        match self.get(name) {
            None => otherwise,
            Some(Value::Bool(truth)) => *truth,
            Some(other) => text(other).is_some_and(|t| {
                matches!(t.to_ascii_lowercase().as_str(), "true" | "yes" | "t" | "y" | "1" | "on")
            }),
        }
    }

    /// A list: as JSON, as a key that comes again, as JSON in a text, or parted by commas.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        match self.get(name) {
            None => Vec::new(),
            Some(Value::Array(all)) => all.iter().filter_map(text).collect(),
            Some(other) => {
                let Some(whole) = text(other) else { return Vec::new() };
                match serde_json::from_str(&whole) {
                    Ok(Value::Array(all)) => all.iter().filter_map(text).collect(),
                    _ => whole
                        .split(',')
                        .map(|t| t.trim().trim_matches('"').to_owned())
                        .filter(|t| !t.is_empty())
                        .collect(),
                }
            }
        }
    }

    /// All but some, as a query string that begins with `&` (or is empty).
    pub(super) fn written(&self, without: &[&str]) -> String {
        let kept =
            self.0.iter().filter(|(name, v)| !without.contains(&name.as_str()) && !v.is_null());
        kept.map(|(name, value)| {
            let text = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            format!("&{}={}", encoded(name), encoded(&text))
        })
        .collect()
    }

    /// An object or a list, also where it was sent as a text of JSON; any other text as it is.
    pub(super) fn json(&self, name: &str) -> Option<Value> {
        match self.get(name)? {
            Value::String(whole) => {
                let looks = whole.trim_start().starts_with(['{', '[']);
                match looks.then(|| serde_json::from_str(whole)) {
                    Some(Ok(value)) => Some(value),
                    _ => Some(Value::String(whole.clone())),
                }
            }
            other => Some(other.clone()),
        }
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Array(all) => all.first().and_then(text),
        Value::Null | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        let mut params = Params::default();
        params.pairs(query.as_bytes());
        params
    }

    #[test]
    fn lists_are_read_in_every_way_clients_write_them() {
        for query in ["f=a&f=b", "f=%5B%22a%22%2C%22b%22%5D", "f=a%2C+b", "f=%22a%22%2C%22b%22"] {
            assert_eq!(params(query).list("f"), ["a", "b"], "{query}");
        }
        assert!(params("g=1").list("f").is_empty());
    }

    #[test]
    fn numbers_and_truths_are_read_or_refused() {
        let all = params("n=12&t=True&u=off&bad=x");
        assert_eq!((all.number("n", 0).unwrap(), all.number("none", 7).unwrap()), (12, 7));
        assert!(all.flag("t", false) && !all.flag("u", true) && all.flag("none", true));
        assert!(all.number("bad", 0).is_err());
    }
}

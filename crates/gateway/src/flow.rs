//! `GET /api/v1/{resource}/changes`: the return flow for a receiver that fetches it itself. Changes of the rows of its region
//! since `after`, in order, deletes as such; `wait` holds the answer until something changes.

use app::outflow::{self, PullAsk, Pulled};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use axum::routing::get;
use model::batch::Operation;
use model::value::Row;
use model::{Code, Error, Result};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::Door;
use crate::answer::Refusal;
use crate::caller::Caller;

pub(crate) fn router() -> Router<Door> {
    Router::new().route("/api/v1/{resource}/changes", get(changes))
}

async fn changes(
    State(door): State<Door>,
    Caller(op): Caller,
    Path(resource): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let answer = async {
        let lines = lines(headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()))?;
        let ask = ask(query.as_deref().unwrap_or_default())?;
        let pulled = outflow::pull(&door.app, &op, &resource, &ask).await?;
        respond(&pulled, lines)
    };
    answer.await.map_err(|e| Refusal::new(e, &op))
}

/// Whether lines of JSON are wanted rather than one document.
fn lines(accept: Option<&str>) -> Result<bool> {
    let Some(accept) = accept else { return Ok(false) };
    let kinds = || accept.split(',').filter_map(|part| part.split(';').next()).map(str::trim);
    if kinds().any(|kind| kind == "application/x-ndjson") {
        return Ok(true);
    }
    if kinds().any(|kind| matches!(kind, "" | "*/*" | "application/*" | "application/json")) {
        return Ok(false);
    }
    Err(Error::new(
        Code::NotAcceptable,
        "可返回 application/json 或 application/x-ndjson",
        "offered are application/json and application/x-ndjson",
    ))
}

fn ask(query: &str) -> Result<PullAsk> {
    let mut ask = PullAsk::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let wrong = || {
            let name: String = name.chars().take(40).collect();
            Error::new(
                Code::InvalidQuery,
                format!("参数 `{name}` 无效；可用：after limit wait"),
                format!("the parameter `{name}` is not valid here: use after limit wait"),
            )
        };
        match name.as_ref() {
            "after" if value.is_empty() => {}
            "after" => ask.after = Some(value.into_owned()),
            "limit" => {
                let limit: u64 = value.parse().map_err(|_| wrong())?;
                ask.limit = Some(Some(limit).filter(|n| *n > 0).ok_or_else(wrong)?);
            }
            "wait" => ask.wait = value.parse().map_err(|_| wrong())?,
            _ => return Err(wrong()),
        }
    }
    Ok(ask)
}

/// One change: `{"op": "U", "row": {…}}`.
struct Change<'a> {
    pulled: &'a Pulled,
    operation: Operation,
    row: &'a Row,
}

struct Cells<'a>(&'a Change<'a>);

impl Serialize for Change<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(2))?;
        map.serialize_entry("op", self.operation.as_str())?;
        map.serialize_entry("row", &Cells(self))?;
        map.end()
    }
}

impl Serialize for Cells<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let Self(Change { pulled, operation, row }) = self;
        let mut map = s.serialize_map(None)?;
        for (column, value) in pulled.columns.iter().zip(*row) {
            // Of a delete, the key alone.
            if *operation != Operation::Delete || pulled.key.contains(column) {
                map.serialize_entry(column, value)?;
            }
        }
        map.end()
    }
}

struct All<'a>(&'a Pulled);

impl Serialize for All<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut seq = s.serialize_seq(Some(self.0.changes.len()))?;
        for (operation, row) in &self.0.changes {
            seq.serialize_element(&Change { pulled: self.0, operation: *operation, row })?;
        }
        seq.end()
    }
}

/// What stands around the changes; the last line of lines.
#[derive(Serialize)]
struct Around<'a> {
    reset: bool,
    key: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<All<'a>>,
    more: bool,
    next: &'a str,
}

pub(crate) fn respond(pulled: &Pulled, lines: bool) -> Result<Response> {
    let broken = |e: serde_json::Error| Error::internal("cannot write JSON").caused_by(e);
    let around = |changes| Around {
        reset: pulled.reset,
        key: &pulled.key,
        changes,
        more: pulled.more,
        next: &pulled.next,
    };
    let (mime, bytes) = if lines {
        let mut bytes = Vec::new();
        for (operation, row) in &pulled.changes {
            let change = Change { pulled, operation: *operation, row };
            serde_json::to_writer(&mut bytes, &change).map_err(broken)?;
            bytes.push(b'\n');
        }
        serde_json::to_writer(&mut bytes, &around(None)).map_err(broken)?;
        bytes.push(b'\n');
        ("application/x-ndjson", bytes)
    } else {
        let whole = serde_json::to_vec(&around(Some(All(pulled)))).map_err(broken)?;
        ("application/json; charset=utf-8", whole)
    };
    let mut answer = Response::builder()
        .header(header::CONTENT_TYPE, HeaderValue::from_static(mime))
        .header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if !pulled.masked.is_empty() {
        answer = answer.header("x-qt-masked", pulled.masked.join(","));
    }
    if let Some(left) = pulled.calls_left {
        answer = answer.header("x-qt-calls-left", left);
    }
    answer
        .body(Body::from(bytes))
        .map_err(|e| Error::internal("cannot build the answer").caused_by(e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_read_and_what_is_wrong_is_named() {
        let read = ask("after=a%2Bb&limit=5&wait=3").unwrap();
        let wanted =
            PullAsk { after: Some("a+b".into()), limit: Some(5), wait: 3, ..PullAsk::default() };
        assert_eq!(read, wanted);
        assert_eq!(ask("after=").unwrap(), PullAsk::default());
        for bad in ["limit=0", "limit=x", "wait=-1", "select=a"] {
            assert_eq!(ask(bad).unwrap_err().code(), Code::InvalidQuery, "{bad}");
        }
        assert!(lines(Some("application/x-ndjson")).unwrap() && !lines(Some("*/*")).unwrap());
        assert_eq!(lines(Some("text/csv")).unwrap_err().code(), Code::NotAcceptable);
    }
}

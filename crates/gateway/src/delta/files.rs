//! Files by their signed addresses, whole or in ranges (RFC 9110 §14): `HEAD`, `Range`, `If-Range`, 206 and 416.

use std::ops::Range;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use futures::TryStreamExt as _;
use model::{Actor, Code, Error};

use super::Told;
use crate::Door;
use crate::caller::{address, failed, guessing};
use crate::flood::network;

pub(super) async fn file(
    State(door): State<Door>,
    Path(file): Path<String>,
    RawQuery(query): RawQuery,
    parts: Parts,
) -> std::result::Result<Response, Told> {
    let from = address(&parts);
    let op = door.app.op(Actor::Nobody, &from.to_string());
    let answer = async {
        guessing(&door, network(from), &op)?;
        let query = query.unwrap_or_default();
        let token = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "t");
        let token = token.ok_or_else(|| Error::of(Code::SignatureMissing))?.1;
        let reading = app::delta::open(&door.app, &op, &file, &token).await?;
        let asked = Asked::of(&parts.headers, &reading.tag, reading.bytes);
        let mut answer = Response::builder()
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))
            .header(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"))
            .header(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"))
            .header(header::ETAG, reading.tag.as_str());
        let range = match asked {
            Asked::Nothing => {
                return answer
                    .status(StatusCode::RANGE_NOT_SATISFIABLE)
                    .header(header::CONTENT_RANGE, format!("bytes */{}", reading.bytes))
                    .body(Body::empty())
                    .map_err(|e| Error::internal("cannot build the answer").caused_by(e));
            }
            Asked::Whole => 0..reading.bytes,
            Asked::Part(range) => {
                let last = range.end.saturating_sub(1);
                let told = format!("bytes {}-{last}/{}", range.start, reading.bytes);
                answer =
                    answer.status(StatusCode::PARTIAL_CONTENT).header(header::CONTENT_RANGE, told);
                range
            }
        };
        let length = range.end.saturating_sub(range.start);
        answer = answer.header(header::CONTENT_LENGTH, length);
        let body = match parts.method == Method::HEAD {
            true => Body::empty(),
            false => {
                let bytes = reading.bytes(&door.app, range).await?;
                Body::from_stream(bytes.map_err(|e| std::io::Error::other(e.operator_text())))
            }
        };
        answer.body(body).map_err(|e| Error::internal("cannot build the answer").caused_by(e))
    };
    match answer.await {
        Ok(answer) => Ok(answer),
        Err(error) => {
            // An address that was tampered with is guessing.
            if error.code() == Code::SignatureMismatch
                && let Err(refusal) = failed(&parts, &door, network(from), &op, &error).await
            {
                return Err(Told { refusal });
            }
            Err(Told::new(error, &op))
        }
    }
}

/// Which bytes are asked for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Whole,
    Part(Range<u64>),
    /// A range that the file does not reach.
    Nothing,
}

impl Asked {
    /// Several ranges, or one that is not understood, are answered by the whole, as RFC 9110 allows.
    fn of(headers: &HeaderMap, tag: &str, bytes: u64) -> Self {
        let word = |name: header::HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
        let Some(range) = word(header::RANGE) else { return Self::Whole };
        if word(header::IF_RANGE).is_some_and(|given| given.trim() != tag) {
            return Self::Whole;
        }
        match part(range, bytes) {
            None => Self::Whole,
            Some(range) if range.is_empty() => Self::Nothing,
            Some(range) => Self::Part(range),
        }
    }
}

/// The one range of a header, cut to the file; an empty one lies behind its end.
fn part(text: &str, bytes: u64) -> Option<Range<u64>> {
    let (unit, spec) = text.trim().split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = spec.trim().split_once('-')?;
    let number = |text: &str| -> Option<u64> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match (first.trim(), last.trim()) {
        ("", last) => Some(bytes.saturating_sub(number(last)?)..bytes),
        (first, "") => Some(number(first)?.min(bytes)..bytes),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then(|| first.min(bytes)..last.saturating_add(1).min(bytes))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(range: &str, more: Option<&str>) -> Asked {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, range.parse().unwrap());
        if let Some(tag) = more {
            headers.insert(header::IF_RANGE, tag.parse().unwrap());
        }
        Asked::of(&headers, "\"a\"", 100)
    }

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        assert_eq!(Asked::of(&HeaderMap::new(), "", 100), Asked::Whole);
        for (text, wanted) in [
            ("bytes=0-9", 0..10),
            ("bytes=90-", 90..100),
            ("bytes=-5", 95..100),
            ("bytes=-500", 0..100),
            ("bytes=50-5000", 50..100),
            ("Bytes = 7-7", 7..8),
        ] {
            assert_eq!(of(text, None), Asked::Part(wanted), "{text}");
        }
        for text in ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=99999999999999999999-"] {
            assert_eq!(of(text, None), Asked::Nothing, "{text}");
        }
        for text in ["rows=0-9", "bytes=9-0", "bytes=a-b", "bytes=0-1,5-6", "bytes", "bytes=--1"] {
            assert_eq!(of(text, None), Asked::Whole, "{text}");
        }
        assert_eq!(of("bytes=0-9", Some("\"a\"")), Asked::Part(0..10));
        assert_eq!(of("bytes=0-9", Some("\"b\"")), Asked::Whole);
    }
}

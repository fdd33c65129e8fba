//! What is known of files that were read whole: size and checksum. The same version of a set makes the same bytes, so that the page can
//! tell both beforehand, and a download that was cut off goes on where it stood (`Range`): a file of which nothing is known yet is read
//! through once for that. Kept in memory: derived, and known again when it is asked for.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::{Body, BodyDataStream};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use model::Error;
use parking_lot::Mutex;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Files remembered at most.
const MOST: usize = 20_000;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Known {
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    /// What it was made of; another stamp is another file.
    #[serde(skip)]
    stamp: String,
}

/// The files of this process, by set and format.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    all: Arc<Mutex<HashMap<String, Known>>>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// The mark of a file, which is known before its bytes are (`ETag`): another version is another mark.
pub(crate) fn mark(key: &str, stamp: &str) -> String {
    let hash = Sha256::digest(format!("{key}\n{stamp}"));
    let short: String = hex::encode(hash).chars().take(32).collect();
    format!("\"{short}\"")
}

/// What an answer says of a file that can be had in parts.
pub(crate) fn offered(headers: &mut HeaderMap, mark: &str) {
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Ok(mark) = HeaderValue::from_str(mark) {
        headers.insert(header::ETAG, mark);
    }
}

/// Whether a part of the file of this mark is asked for.
pub(crate) fn in_part(asked: &HeaderMap, mark: &str) -> bool {
    let range = asked.get(header::RANGE).and_then(|v| v.to_str().ok());
    let same = asked.get(header::IF_RANGE).is_none_or(|v| v.as_bytes() == mark.as_bytes());
    same && range.is_some_and(|r| span(r, u64::MAX) != Span::Whole)
}

impl Files {
    /// Reads a body to its end, so that its file is known. Who does holds the [`Files::turn`].
    pub(crate) async fn learn(&self, body: Body, key: String, stamp: String) -> Result<(), Error> {
        let mut read = self.remember(body, key, stamp).into_data_stream();
        while let Some(piece) = read.next().await {
            piece.map_err(|e| Error::internal("a file could not be read through").caused_by(e))?;
        }
        Ok(())
    }

    /// The turn of who reads a file through; `None` while somebody else does.
    pub(crate) fn turn(&self) -> Option<tokio::sync::OwnedMutexGuard<()>> {
        Arc::clone(&self.turn).try_lock_owned().ok()
    }

    pub(crate) fn get(&self, key: &str, stamp: &str) -> Option<Known> {
        self.all.lock().get(key).filter(|known| known.stamp == stamp).cloned()
    }

    fn put(&self, key: String, known: Known) {
        let mut all = self.all.lock();
        if all.len() >= MOST && !all.contains_key(&key) {
            all.clear();
        }
        all.insert(key, known);
    }

    /// The same body, counted and hashed as it leaves; remembered when it comes to its end.
    pub(crate) fn remember(&self, body: Body, key: String, stamp: String) -> Body {
        struct Leaving {
            files: Files,
            body: BodyDataStream,
            key: String,
            stamp: String,
            hash: Sha256,
            bytes: u64,
            broken: bool,
        }
        let start = Leaving {
            files: self.clone(),
            body: body.into_data_stream(),
            key,
            stamp,
            hash: Sha256::new(),
            bytes: 0,
            broken: false,
        };
        Body::from_stream(stream::unfold(start, |mut leaving| async move {
            match leaving.body.next().await {
                Some(Ok(piece)) => {
                    leaving.hash.update(&piece);
                    leaving.bytes += piece.len() as u64;
                    Some((Ok(piece), leaving))
                }
                Some(Err(e)) => {
                    leaving.broken = true;
                    Some((Err(Error::internal("a download broke off").caused_by(e)), leaving))
                }
                None if leaving.broken => None,
                None => {
                    let Leaving { files, key, stamp, hash, bytes, .. } = leaving;
                    files.put(key, Known { bytes, sha256: hex::encode(hash.finalize()), stamp });
                    None
                }
            }
        }))
    }
}

/// Answers a file of known size: whole, the part that is asked for, or word that there is no such part.
pub(crate) fn answer(
    asked: &HeaderMap,
    known: &Known,
    mark: &str,
    mut headers: HeaderMap,
    body: Body,
) -> Response {
    let set = |headers: &mut HeaderMap, name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    offered(&mut headers, mark);
    let range = asked.get(header::RANGE).and_then(|v| v.to_str().ok());
    let range = range.filter(|_| in_part(asked, mark));
    match range.map(|range| span(range, known.bytes)) {
        None | Some(Span::Whole) => {
            set(&mut headers, header::CONTENT_LENGTH, &known.bytes.to_string());
            (headers, body).into_response()
        }
        Some(Span::Part(from, to)) => {
            set(&mut headers, header::CONTENT_LENGTH, &(to - from + 1).to_string());
            set(&mut headers, header::CONTENT_RANGE, &format!("bytes {from}-{to}/{}", known.bytes));
            (StatusCode::PARTIAL_CONTENT, headers, part(body, from, to)).into_response()
        }
        Some(Span::Nowhere) => {
            set(&mut headers, header::CONTENT_RANGE, &format!("bytes */{}", known.bytes));
            (StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response()
        }
    }
}

/// What a `Range` asks of so many bytes.
#[derive(Debug, PartialEq, Eq)]
enum Span {
    /// Nothing that is served in parts: several ranges, other units.
    Whole,
    Part(u64, u64),
    Nowhere,
}

fn span(range: &str, size: u64) -> Span {
    let Some((from, to)) = range.strip_prefix("bytes=").and_then(|r| r.split_once('-')) else {
        return Span::Whole;
    };
    let last = size.saturating_sub(1);
    let (from, to) = match (from.trim().parse::<u64>(), to.trim()) {
        (Ok(from), "") => (from, last),
        (Ok(from), to) => match to.parse::<u64>() {
            Ok(to) if to >= from => (from, to.min(last)),
            _ => return Span::Whole,
        },
        (Err(_), to) if from.trim().is_empty() => match to.parse::<u64>() {
            Ok(0) => return Span::Nowhere,
            Ok(tail) => (size.saturating_sub(tail), last),
            Err(_) => return Span::Whole,
        },
        _ => return Span::Whole,
    };
    if size == 0 || from > last { Span::Nowhere } else { Span::Part(from, to) }
}

/// The bytes of a body from one place to another, both included; what lies behind is not made.
fn part(body: Body, from: u64, to: u64) -> Body {
    let start = (body.into_data_stream(), 0_u64);
    Body::from_stream(stream::unfold(start, move |(mut body, mut at)| async move {
        loop {
            if at > to {
                return None;
            }
            let piece: Bytes = match body.next().await? {
                Ok(piece) => piece,
                Err(e) => {
                    let broken = Error::internal("a download broke off").caused_by(e);
                    return Some((Err(broken), (body, u64::MAX)));
                }
            };
            let (first, next) = (at, at + piece.len() as u64);
            at = next;
            if next <= from {
                continue;
            }
            let head = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX);
            let tail = usize::try_from((to + 1).min(next) - first).unwrap_or(usize::MAX);
            return Some((Ok(piece.slice(head..tail)), (body, at)));
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_they_are_meant() {
        assert_eq!(span("bytes=0-", 10), Span::Part(0, 9));
        assert_eq!(span("bytes=3-4", 10), Span::Part(3, 4));
        assert_eq!(span("bytes=3-99", 10), Span::Part(3, 9));
        assert_eq!(span("bytes=-4", 10), Span::Part(6, 9));
        assert_eq!(span("bytes=10-", 10), Span::Nowhere);
        for odd in ["bytes=1-2,4-5", "rows=1-2", "bytes=5-2", "bytes=", "bytes=x-"] {
            assert_eq!(span(odd, 10), Span::Whole, "{odd}");
        }
    }

    #[tokio::test]
    async fn a_part_is_cut_out_of_pieces_of_any_size() {
        let pieces = || {
            let all = ["ab", "", "cdef", "ghij"].map(|s| Ok::<_, Error>(Bytes::from(s)));
            Body::from_stream(stream::iter(all))
        };
        for (from, to, wanted) in [(0, 9, "abcdefghij"), (1, 1, "b"), (2, 6, "cdefg"), (9, 9, "j")]
        {
            let cut = axum::body::to_bytes(part(pieces(), from, to), 99).await.unwrap();
            assert_eq!(cut, wanted);
        }
        let files = Files::default();
        let whole = files.remember(pieces(), "k".into(), "s".into());
        axum::body::to_bytes(whole, 99).await.unwrap();
        let known = files.get("k", "s").unwrap();
        assert_eq!(known.bytes, 10);
        assert_eq!(
            known.sha256,
            "72399361da6a7754fec986dca5b7cbaf1c810a28ded4abaf56b2106d06cb78b0"
        );
        assert_eq!(files.get("k", "other"), None);
        // What is not read to its end is not known.
        drop(files.remember(pieces(), "cut".into(), "s".into()));
        assert_eq!(files.get("cut", "s"), None);
    }
}

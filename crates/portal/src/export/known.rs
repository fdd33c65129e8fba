//! What is known of files that were read whole: size and checksum. What is made of the same makes the same bytes, so that the page can
//! tell both beforehand, and a download that was cut off goes on where it stood (`Range`): a file of which nothing is known yet is read
//! through once for that. The store keeps it ([`app::opening::file_keep`]): every process tells what any of them has found.

use std::sync::Arc;

use app::App;
use app::audit::Part;
use app::opening::{Dataset, OpenFile};
use axum::body::{Body, BodyDataStream};
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{HeaderName, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use model::{Error, Op, Result};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::visit::has;

/// How files are written: one that is written otherwise is another file. Raised with every writer that changes between two releases.
const WRITERS: &str = concat!(env!("CARGO_PKG_VERSION"), " 2");

/// A file of a set as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Id of the entry.
    entry: String,
    /// `download.csv` and the like; with `?bom=0` where that makes it another file.
    file: String,
    /// Digest of what it is made of.
    stamp: String,
}

impl Named {
    /// The file of this name, of a set that is made of `making` ([`app::opening::making`]). RDF holds addresses of the site itself.
    pub(crate) fn new(dataset: &Dataset, file: &str, making: &str, base: &str) -> Self {
        let base = if file.ends_with(".rdf") { base } else { "" };
        let mut hash = Sha256::new();
        for part in [WRITERS, making, base] {
            hash.update(part);
            hash.update(b"\0");
        }
        let stamp = hex::encode(hash.finalize());
        Self { entry: dataset.entry.id.clone(), file: file.to_owned(), stamp }
    }

    /// Its mark, which is known before its bytes are (`ETag`): made of something else it has another.
    pub(crate) fn mark(&self) -> String {
        let hash = Sha256::digest(format!("{}\n{}\n{}", self.entry, self.file, self.stamp));
        let short: String = hex::encode(hash).chars().take(32).collect();
        format!("\"{short}\"")
    }

    /// Whether this is what is kept under the name.
    pub(crate) fn is(&self, kept: &OpenFile) -> bool {
        kept.entry == self.entry && kept.file == self.file && kept.stamp == self.stamp
    }
}

/// What is known of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Known {
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

impl From<OpenFile> for Known {
    fn from(kept: OpenFile) -> Self {
        Self { bytes: kept.bytes, sha256: kept.sha256 }
    }
}

/// The files that are handed out here.
#[derive(Clone)]
pub(crate) struct Files {
    app: Arc<App>,
    turn: Arc<Mutex<()>>,
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
    pub(crate) fn new(app: &Arc<App>) -> Self {
        Self { app: Arc::clone(app), turn: Arc::default() }
    }

    /// Reads a body to its end, so that its file is known. Who does holds a turn.
    pub(crate) async fn learn(&self, body: Body, named: Named) -> Result<()> {
        let mut read = self.remember(body, named).into_data_stream();
        while let Some(piece) = read.next().await {
            piece.map_err(|e| Error::internal("a file could not be read through").caused_by(e))?;
        }
        Ok(())
    }

    /// The turn of who reads a file through to go on in its middle; `None` while somebody else does.
    pub(crate) fn turn(&self) -> Option<OwnedMutexGuard<()>> {
        Arc::clone(&self.turn).try_lock_owned().ok()
    }

    pub(crate) async fn get(&self, dataset: &Dataset, named: &Named) -> Result<Option<Known>> {
        let kept = app::opening::files_known(&self.app, dataset).await?;
        Ok(kept.into_iter().find(|kept| named.is(kept)).map(Known::from))
    }

    /// The same body, counted and hashed as it leaves; what it comes to is kept when it comes to its end.
    pub(crate) fn remember(&self, body: Body, named: Named) -> Body {
        let app = Arc::clone(&self.app);
        counted(body, move |bytes, sha256| {
            let Named { entry, file, stamp } = named;
            let known_at = Op::system(app.now()).stamp();
            let file = OpenFile { entry, file, stamp, bytes, sha256, known_at };
            Box::pin(async move {
                // Who has the file has it whole all the same.
                if let Err(error) = app::opening::file_keep(&app, &file).await {
                    tracing::warn!(
                        error = error.operator_text(),
                        "what was found of a file could not be kept"
                    );
                }
            })
        })
    }
}

/// A body counted and hashed as it leaves. `told` hears both when it comes to its end; of one that breaks off, or that nobody reads to its
/// end, it hears nothing.
fn counted<T>(body: Body, told: T) -> Body
where
    T: FnOnce(u64, String) -> BoxFuture<'static, ()> + Send + 'static,
{
    struct Leaving<T> {
        body: BodyDataStream,
        hash: Sha256,
        bytes: u64,
        told: Option<T>,
    }
    let body = body.into_data_stream();
    let start = Leaving { body, hash: Sha256::new(), bytes: 0, told: Some(told) };
    Body::from_stream(stream::unfold(start, |mut leaving| async move {
        match leaving.body.next().await {
            Some(Ok(piece)) => {
                leaving.hash.update(&piece);
                leaving.bytes += piece.len() as u64;
                Some((Ok(piece), leaving))
            }
            Some(Err(e)) => {
                leaving.told = None;
                Some((Err(Error::internal("a download broke off").caused_by(e)), leaving))
            }
            None => {
                let Leaving { hash, bytes, told, .. } = leaving;
                if let Some(told) = told {
                    told(bytes, hex::encode(hash.finalize())).await;
                }
                None
            }
        }
    }))
}

/// The answer by which no byte of the file leaves, if it is one: the file's head alone, that who asks has it already, or that there is no
/// such part of it. Nothing has to be read for it.
pub(crate) fn bare(
    method: &Method,
    asked: &HeaderMap,
    known: Option<&Known>,
    mark: &str,
    mut headers: HeaderMap,
) -> Option<Response> {
    offered(&mut headers, mark);
    if has(asked, mark) {
        return Some((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    if method == Method::HEAD {
        if let Some(known) = known {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(known.bytes));
        }
        // A body whose length nobody can tell beforehand: where the file's is not known none is told.
        let nothing = Body::from_stream(stream::empty::<Result<Bytes>>());
        return Some((headers, nothing).into_response());
    }
    let range = asked.get(header::RANGE).and_then(|v| v.to_str().ok())?;
    let known = known.filter(|_| in_part(asked, mark))?;
    if span(range, known.bytes) != Span::Nowhere {
        return None;
    }
    let told = HeaderValue::from_str(&format!("bytes */{}", known.bytes)).ok()?;
    headers.insert(header::CONTENT_RANGE, told);
    Some((StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response())
}

/// Answers a file of known size: whole, or the part that is asked for, of which `cut` hears before it is read and when it was given. That
/// there is no such part was said before ([`bare`]).
pub(crate) fn answer(
    asked: &HeaderMap,
    known: &Known,
    mark: &str,
    mut headers: HeaderMap,
    (body, cut): (Body, Part),
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
        Some(Span::Part(from, to)) => {
            set(&mut headers, header::CONTENT_LENGTH, &(to - from + 1).to_string());
            set(&mut headers, header::CONTENT_RANGE, &format!("bytes {from}-{to}/{}", known.bytes));
            cut.only(from, to, known.bytes);
            let body = if to + 1 >= known.bytes { ended(body) } else { body };
            (StatusCode::PARTIAL_CONTENT, headers, part(body, from, to, cut)).into_response()
        }
        None | Some(Span::Whole | Span::Nowhere) => {
            set(&mut headers, header::CONTENT_LENGTH, &known.bytes.to_string());
            (headers, ended(body)).into_response()
        }
    }
}

/// The same body, whose last bytes come when it has come to its end. Of a body whose length was told nobody asks for more than that: what
/// stands behind the last bytes, as the record of what left does, would never be done.
fn ended(body: Body) -> Body {
    let start = (Some(body.into_data_stream()), None::<Bytes>);
    Body::from_stream(stream::unfold(start, |(mut body, mut held)| async move {
        while let Some(reading) = &mut body {
            let next = reading.next().await;
            match next {
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => {
                    if let Some(ready) = held.replace(piece) {
                        return Some((Ok(ready), (body, held)));
                    }
                }
                Some(Err(e)) => {
                    let broken = Error::internal("a download broke off").caused_by(e);
                    return Some((Err(broken), (None, None)));
                }
                None => body = None,
            }
        }
        held.map(|last| (Ok(last), (None, None)))
    }))
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
fn part(body: Body, from: u64, to: u64, cut: Part) -> Body {
    let start = (body.into_data_stream(), 0_u64, cut);
    Body::from_stream(stream::unfold(start, move |(mut body, mut at, cut)| async move {
        loop {
            if at > to {
                return None;
            }
            let piece: Bytes = match body.next().await? {
                Ok(piece) => piece,
                Err(e) => {
                    let broken = Error::internal("a download broke off").caused_by(e);
                    return Some((Err(broken), (body, u64::MAX, cut)));
                }
            };
            let (first, next) = (at, at + piece.len() as u64);
            at = next;
            if next <= from {
                continue;
            }
            let head = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX);
            let tail = usize::try_from((to + 1).min(next) - first).unwrap_or(usize::MAX);
            if at > to {
                cut.given();
            }
            return Some((Ok(piece.slice(head..tail)), (body, at, cut)));
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
            let cut =
                axum::body::to_bytes(part(pieces(), from, to, Part::default()), 99).await.unwrap();
            assert_eq!(cut, wanted);
        }
        let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
        let listening = || {
            let heard = Arc::clone(&heard);
            counted(pieces(), move |bytes, sha256| {
                heard.lock().unwrap().push((bytes, sha256));
                Box::pin(std::future::ready(()))
            })
        };
        axum::body::to_bytes(listening(), 99).await.unwrap();
        let digest = "72399361da6a7754fec986dca5b7cbaf1c810a28ded4abaf56b2106d06cb78b0";
        assert_eq!(*heard.lock().unwrap(), [(10, digest.to_owned())]);
        // Of what is not read to its end nothing is heard.
        drop(listening());
        let cut = axum::body::to_bytes(part(listening(), 0, 3, Part::default()), 99).await.unwrap();
        assert_eq!((&cut[..], heard.lock().unwrap().len()), (&b"abcd"[..], 1));
        // The last bytes of what ends come after the end was heard of, and nothing has to be asked for behind them.
        let mut whole = ended(listening()).into_data_stream();
        let (mut text, mut told) = (Vec::new(), Vec::new());
        while text.len() < 10 {
            text.extend(whole.next().await.unwrap().unwrap());
            told.push(heard.lock().unwrap().len());
        }
        assert_eq!((&text[..], told.as_slice()), (&b"abcdefghij"[..], &[1, 1, 2][..]));
        assert!(whole.next().await.is_none());
        let broken = stream::iter([Ok(Bytes::from("ab")), Err(Error::internal("gone"))]);
        assert!(axum::body::to_bytes(ended(Body::from_stream(broken)), 99).await.is_err());
    }

    #[test]
    fn who_has_the_file_already_is_told_so() {
        let said = |text: &'static str| {
            let mut asked = HeaderMap::new();
            asked.insert(header::IF_NONE_MATCH, HeaderValue::from_static(text));
            has(&asked, "\"a1\"")
        };
        assert!(said("\"a1\"") && said("\"b2\", W/\"a1\"") && said("*"));
        assert!(!said("\"b2\"") && !said("a1") && !said("") && !has(&HeaderMap::new(), "\"a1\""));
    }
}

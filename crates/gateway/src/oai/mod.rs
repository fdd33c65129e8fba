//! OAI-PMH 2.0: the open catalogue for harvesters, as simple Dublin Core and as DCAT. What is told and in which order is the
//! ledger's own change feed, so that a harvest by `from` misses nothing and learns of what was taken away.
//!
//! `asked` reads the arguments of a verb, `records` makes its answer, `xml` writes it.

mod asked;
mod records;
mod xml;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use model::Error;

use crate::Door;
use crate::answer::{self, Refusal};
use crate::caller::anybody;

pub(crate) fn router() -> Router<Door> {
    Router::new().route("/oai", get(call).post(call))
}

/// Largest form in bytes.
const LARGEST: usize = 64 * 1024;

/// Why a question has no answer, in the protocol's words.
#[derive(Debug)]
pub(crate) enum Fault {
    Told { code: &'static str, text: String },
    Ours(Error),
}

impl Fault {
    fn new(code: &'static str, zh: &str, en: &str) -> Self {
        Self::Told { code, text: format!("{zh} / {en}") }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

async fn call(State(door): State<Door>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let op = match anybody(&parts, &door).await {
        Ok(op) => op,
        Err(refusal) => return refusal.into_response(),
    };
    let query = match parts.method {
        Method::POST => to_bytes(body, LARGEST).await.unwrap_or_default().to_vec(),
        _ => parts.uri.query().unwrap_or_default().as_bytes().to_vec(),
    };
    let pairs: Vec<(String, String)> = form_urlencoded::parse(&query).into_owned().collect();
    let base = format!("{}/oai", door.config.public_url);
    let (shown, outcome) = match asked::read(&pairs) {
        Ok(asked) => (pairs.as_slice(), records::answer(&door, &op, &asked).await),
        // Arguments that are wrong are not told again.
        Err(fault) => (&[][..], Err(fault)),
    };
    let outcome = match outcome {
        Err(Fault::Ours(e)) => return Refusal::new(e, &op).into_response(),
        Err(Fault::Told { code, text }) => Err((code, text)),
        Ok(body) => Ok(body),
    };
    let response = match xml::envelope(&base, op.at, shown, &outcome) {
        Ok(bytes) => {
            let kind = HeaderValue::from_static("text/xml; charset=utf-8");
            ([(header::CONTENT_TYPE, kind)], bytes).into_response()
        }
        Err(e) => {
            let error = Error::internal("the answer could not be written").caused_by(e);
            Refusal::new(error, &op).into_response()
        }
    };
    answer::told_by(response, &op)
}

//! Refusals as CKAN spells them: a type, a message, and for what was asked wrongly the fields to mend.

use axum::http::StatusCode;
use axum::response::Response;
use model::{Error, Kind};
use serde_json::{Map, Value, json};

/// A refusal on its way out.
#[derive(Debug)]
pub(crate) struct Fault {
    status: StatusCode,
    body: Body,
    after: Option<u64>,
}

#[derive(Debug)]
enum Body {
    /// The envelope's `error`.
    Error(Map<String, Value>),
    /// A text alone, without envelope.
    Bare(String),
}

impl Fault {
    fn typed(status: StatusCode, kind: &str, message: String) -> Self {
        let mut error = Map::new();
        error.insert("__type".into(), kind.into());
        error.insert("message".into(), message.into());
        Self { status, body: Body::Error(error), after: None }
    }

    /// `400` with a text alone: what is no call at all.
    pub(super) fn bare(text: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, body: Body::Bare(text.into()), after: None }
    }

    pub(super) fn denied(zh: &str, en: &str) -> Self {
        let message = format!("Access denied: {zh} / {en}");
        Self::typed(StatusCode::FORBIDDEN, "Authorization Error", message)
    }

    pub(super) fn not_found(zh: &str, en: &str) -> Self {
        let message = format!("Not found: {zh} / {en}");
        Self::typed(StatusCode::NOT_FOUND, "Not Found Error", message)
    }

    /// What a field holds is not acceptable.
    pub(super) fn invalid(field: &str, zh: &str, en: &str) -> Self {
        let text = format!("{zh} / {en}");
        let message = format!("{field}: {text}");
        let mut fault = Self::typed(StatusCode::CONFLICT, "Validation Error", message);
        if let Body::Error(error) = &mut fault.body {
            error.insert(field.to_owned(), json!([text]));
        }
        fault
    }

    pub(super) fn missing(field: &str) -> Self {
        let mut fault = Self::invalid(field, "缺少必填参数", "Missing value");
        if let Body::Error(error) = &mut fault.body {
            error.insert(field.to_owned(), json!(["Missing value"]));
        }
        fault
    }

    /// A query of the catalogue that cannot be understood or answered.
    pub(super) fn query(zh: &str, en: &str) -> Self {
        let message = format!("Search Query is invalid: {zh} / {en}");
        Self::typed(StatusCode::BAD_REQUEST, "Search Query Error", message)
    }

    /// Seconds after which the same may be asked again.
    pub(super) fn after(mut self, seconds: Option<u64>) -> Self {
        self.after = seconds;
        self
    }

    pub(super) fn told(self, help: &str) -> Response {
        let body = match self.body {
            Body::Bare(text) => Value::String(text),
            Body::Error(error) => json!({ "help": help, "success": false, "error": error }),
        };
        super::refusal(self.status, &body, self.after)
    }

    /// What it says.
    pub(crate) fn text(&self) -> String {
        match &self.body {
            Body::Bare(text) => text.clone(),
            Body::Error(error) => {
                error.get("message").and_then(Value::as_str).unwrap_or_default().to_owned()
            }
        }
    }

    /// The same as a text, for an answer that has no envelope.
    pub(super) fn plain(self) -> Response {
        let text = self.text();
        super::refusal(self.status, &Value::String(text), self.after)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let both = format!("{} / {}", error.zh(), error.en());
        match error.kind() {
            Kind::NotFound => Self::not_found(error.zh(), error.en()),
            Kind::Denied | Kind::Unauthenticated => Self::denied(error.zh(), error.en()),
            Kind::Exhausted => {
                Self::typed(StatusCode::TOO_MANY_REQUESTS, "Rate Limit Error", both).after(Some(1))
            }
            Kind::Unavailable => {
                tracing::error!(error = %error.operator_text(), "a call failed");
                Self::typed(StatusCode::SERVICE_UNAVAILABLE, "Internal Server Error", both)
                    .after(Some(5))
            }
            Kind::Internal => {
                tracing::error!(error = %error.operator_text(), "a call failed");
                Self::typed(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error", both)
            }
            Kind::Invalid | Kind::TooLarge | Kind::Conflict => {
                let mut fault = Self::typed(StatusCode::CONFLICT, "Validation Error", both.clone());
                if let Body::Error(named) = &mut fault.body {
                    for field in error.fields() {
                        let text = format!("{} / {}", field.zh, field.en);
                        named.insert(field.field.clone(), json!([text]));
                    }
                    if error.fields().is_empty() {
                        named.insert("query".into(), json!([both]));
                    }
                }
                fault
            }
        }
    }
}

//! Sharing: applications for a resource, their review, and the one gate through which rows leave by interface.

use model::entry::Entry;
use model::query::{RowPage, RowQuery};
use model::request::{Request, RequestFilter, RequestNew, RequestStep};
use model::{Error, Op, Result};
use policy::Grant;
use serde::Serialize;

use crate::{App, Page};

/// Cached grants and quota counters.
#[derive(Debug, Default)]
pub struct Memory {}

/// What awaits the caller.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Inbox {
    /// Entries awaiting my review.
    pub entries: Vec<Entry>,
    /// Applications awaiting my decision.
    pub requests: Vec<Request>,
    /// My own applications still under way.
    pub mine: Vec<Request>,
}

/// Rows released through the gate.
#[derive(Clone, Debug)]
pub struct Release {
    pub page: RowPage,
    /// Identifiers whose values are masked.
    pub masked: Vec<String>,
    /// Calls left today, when there is a quota.
    pub calls_left: Option<u64>,
}

/// A resource the caller may call, with its grant (for the OpenAPI description).
#[derive(Clone, Debug)]
pub struct Callable {
    pub entry: Entry,
    pub grant: Grant,
}

/// Files an application; an unconditional share is approved at once.
pub async fn apply(_app: &App, _op: &Op, _new: RequestNew) -> Result<Request> {
    Err(Error::internal("not built"))
}

/// Decides the present stage (provider, then authority). A refusal needs a reason.
pub async fn review(_app: &App, _op: &Op, _id: &str, _approve: bool, _reason: &str) -> Result<Request> {
    Err(Error::internal("not built"))
}

/// The applicant withdraws.
pub async fn undo(_app: &App, _op: &Op, _id: &str, _reason: &str) -> Result<Request> {
    Err(Error::internal("not built"))
}

/// Provider or authority revokes what was approved; calls stop at once.
pub async fn revoke(_app: &App, _op: &Op, _id: &str, _reason: &str) -> Result<Request> {
    Err(Error::internal("not built"))
}

/// Closes what has expired; answers how many.
pub async fn expire(_app: &App, _op: &Op) -> Result<u64> {
    Err(Error::internal("not built"))
}

pub async fn get(_app: &App, _op: &Op, _id: &str) -> Result<Request> {
    Err(Error::internal("not built"))
}

pub async fn list(_app: &App, _op: &Op, _filter: &RequestFilter) -> Result<Page<Request>> {
    Err(Error::internal("not built"))
}

pub async fn steps(_app: &App, _op: &Op, _id: &str) -> Result<Vec<RequestStep>> {
    Err(Error::internal("not built"))
}

/// What awaits the caller.
pub async fn inbox(_app: &App, _op: &Op) -> Result<Inbox> {
    Err(Error::internal("not built"))
}

/// Actions the caller may take on an application now: `approve reject undo revoke`.
#[must_use]
pub fn moves(_app: &App, _op: &Op, _request: &Request) -> Vec<&'static str> {
    Vec::new()
}

/// The gate: quota, grant, look-up with masks inside, audit record durable, then the answer.
/// `op.actor` is an application (by its approved request) or anyone (freely open resources only).
pub async fn query(_app: &App, _op: &Op, _code: &str, _query: &RowQuery) -> Result<Release> {
    Err(Error::internal("not built"))
}

/// Resources the caller may call now.
pub async fn callable(_app: &App, _op: &Op) -> Result<Vec<Callable>> {
    Err(Error::internal("not built"))
}

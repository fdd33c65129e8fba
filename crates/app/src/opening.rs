//! Opening: what citizens and enterprises find, look at and download. Never shows what is not open.

use futures::stream::BoxStream;
use model::entry::Entry;
use model::query::{RowPage, RowQuery};
use model::search::{SearchPage, SearchQuery};
use model::value::Rows;
use model::{Error, Op, Result};
use serde::Serialize;

use crate::App;

/// Live figures of the site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    pub datasets: u64,
    pub interfaces: u64,
    pub items: u64,
    pub rows: u64,
    pub organisations: u64,
}

/// A data set as the public sees it: only open items remain in `entry.draft.items`.
#[derive(Clone, Debug, Serialize)]
pub struct Dataset {
    pub entry: Entry,
    pub org_name: String,
    pub org_name_en: String,
    pub region_name: String,
    pub region_name_en: String,
    /// Whether anyone may preview, download and call it.
    pub free: bool,
    /// Identifier of a geometry item, or of (longitude, latitude) items, when it can be drawn.
    pub geometry: Option<Geometry>,
}

/// How a data set's places are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Geometry {
    Item(String),
    Point { longitude: String, latitude: String },
}

/// A download: column names (identifier, Chinese name) and rows as a stream.
pub struct Download {
    pub dataset: Dataset,
    pub columns: Vec<(String, String)>,
    pub rows: BoxStream<'static, Result<Rows>>,
}

impl std::fmt::Debug for Download {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Download").field("columns", &self.columns).finish_non_exhaustive()
    }
}

/// Searches what the caller may know of (nobody: open entries; staff: also what the ledger shows to staff).
/// The audience of the query is set here, whatever the caller wrote.
pub async fn search(_app: &App, _op: &Op, _query: SearchQuery) -> Result<SearchPage> {
    Err(Error::internal("not built"))
}

/// Completions while typing.
pub async fn suggest(_app: &App, _op: &Op, _prefix: &str) -> Result<Vec<String>> {
    Err(Error::internal("not built"))
}

pub async fn figures(_app: &App, _op: &Op) -> Result<Figures> {
    Err(Error::internal("not built"))
}

/// One open data set by code; anything else is not found.
pub async fn dataset(_app: &App, _op: &Op, _code: &str) -> Result<Dataset> {
    Err(Error::internal("not built"))
}

/// All open data sets (for the catalogue download), in pages by code.
pub async fn datasets(_app: &App, _op: &Op, _after: Option<&str>, _limit: u32) -> Result<crate::Page<Dataset>> {
    Err(Error::internal("not built"))
}

/// First rows for the page; audited as a release.
pub async fn preview(_app: &App, _op: &Op, _code: &str, _query: &RowQuery) -> Result<RowPage> {
    Err(Error::internal("not built"))
}

/// All rows of a freely open data set, of the current or an older version; audited before the first row.
pub async fn download(_app: &App, _op: &Op, _code: &str, _version: Option<i64>) -> Result<Download> {
    Err(Error::internal("not built"))
}

//! The serving copy: current rows of a resource in indexed relational tables, for point look-ups by declared keys.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use model::Result;
use model::batch::Batch;
use model::code::SyncMode;
use model::entry::Entry;
use model::query::{RowPage, RowQuery};
use policy::{Grant, Permit};

use crate::{Db, StoreConfig};

/// What a serving copy does. SQLite (a file of its own, rusqlite) and PostgreSQL (schema `serving`) implement it.
#[async_trait]
pub trait ServingCopy: Send + Sync {
    /// Brings the rows of one landed parcel into the entry's table, in one transaction with the mark
    /// (parcel, lake version): applied twice, nothing changes. Full mode fills a new table and swaps it in.
    async fn refresh(
        &self,
        permit: &Permit,
        entry: &Entry,
        mode: SyncMode,
        parcel: &str,
        lake_version: i64,
        rows: BoxStream<'static, Result<Batch>>,
    ) -> Result<u64>;

    /// Parcel and lake version the copy stands at; `None` when it holds nothing.
    async fn position(&self, entry: &str) -> Result<Option<(String, i64)>>;

    /// Rows through a grant: columns, row filter, masks and cap are applied here, whatever the query says.
    async fn query(&self, grant: &Grant, query: &RowQuery) -> Result<RowPage>;

    /// Takes an entry's rows away (it went offline or was withdrawn).
    async fn remove(&self, permit: &Permit, entry: &str) -> Result<()>;
}

pub(crate) async fn open(_config: &StoreConfig, _db: &Db) -> Result<Arc<dyn ServingCopy>> {
    Err(model::Error::internal("not built"))
}

//! No serving copy: what a command has that reads beside a running server. Every use says so.

use async_trait::async_trait;
use futures::stream::BoxStream;
use model::batch::Batch;
use model::code::SyncMode;
use model::entry::Entry;
use model::query::{Grouping, Groups, RowPage, RowQuery};
use model::{Code, Error, Result};
use policy::{Grant, Permit};

use super::ServingCopy;

/// See the module's head.
pub(crate) struct Absent;

fn absent() -> Error {
    Error::new(
        Code::StoreUnavailable,
        "服务器正在运行，本命令以只读方式打开，不能读写数据行；请先停止服务器",
        "a server is running and this command reads beside it: rows can be neither read nor written; stop the server first",
    )
}

#[async_trait]
impl ServingCopy for Absent {
    async fn refresh(
        &self,
        _permit: &Permit,
        _entry: &Entry,
        _mode: SyncMode,
        _parcel: &str,
        _lake_version: i64,
        _rows: BoxStream<'static, Result<Batch>>,
    ) -> Result<u64> {
        Err(absent())
    }
    async fn position(&self, _entry: &str) -> Result<Option<(String, i64)>> {
        Err(absent())
    }
    async fn query(&self, _grant: &Grant, _query: &RowQuery) -> Result<RowPage> {
        Err(absent())
    }
    async fn statistics(&self, _grant: &Grant, _ask: &Grouping) -> Result<Groups> {
        Err(absent())
    }
    async fn remove(&self, _permit: &Permit, _entry: &str) -> Result<()> {
        Err(absent())
    }
}

//! Port of places that hold files: folders of a front-end machine, object stores.

use std::path::Path;

use async_trait::async_trait;
use model::Result;

/// A place with files, with its secrets.
#[derive(Clone)]
pub struct ShelfPlace {
    /// `file:///srv/exchange/in/` or `s3://bucket/prefix/`.
    pub url: String,
    /// Options of the object store (endpoint, access key), by the names of its vendor.
    pub options: Vec<(String, String)>,
}

impl std::fmt::Debug for ShelfPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShelfPlace").finish_non_exhaustive()
    }
}

/// A file as found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShelfFile {
    /// Path under the place, parts divided by `/`.
    pub path: String,
    pub bytes: u64,
    /// Microseconds since 1970.
    pub modified: i64,
    /// Changes when the content does, as far as the place knows.
    pub mark: String,
}

/// Files of a place. No path leads out of it.
#[async_trait]
pub trait Shelf: Send + Sync {
    /// Files by their path, at most `limit`, those after `after` only.
    async fn list(
        &self,
        place: &ShelfPlace,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ShelfFile>>;
    /// One file as it is now; `None` when it is not there.
    async fn look(&self, place: &ShelfPlace, path: &str) -> Result<Option<ShelfFile>>;
    /// Copies a file to this machine; answers bytes and SHA-256 (lower hex) of what was written (durable). A
    /// file that changes meanwhile is refused as stale.
    async fn fetch(&self, place: &ShelfPlace, path: &str, to: &Path) -> Result<(u64, String)>;
    /// Writes a file whole or not at all.
    async fn put(&self, place: &ShelfPlace, path: &str, from: &Path) -> Result<()>;
    /// Moves a file within the place.
    async fn shift(&self, place: &ShelfPlace, from: &str, to: &str) -> Result<()>;
    /// Removes a file; one that is gone is as good.
    async fn remove(&self, place: &ShelfPlace, path: &str) -> Result<()>;
}

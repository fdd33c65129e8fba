//! Places that hold files: folders of this machine (`folder`) and S3 buckets (`bucket`).
//!
//! ```text
//! file:///srv/exchange/in/      a folder under one of the operator's roots ([exchange] folders)
//! s3://bucket/prefix/           a bucket; options: endpoint (always), access_key_id, secret_access_key, region,
//!                               session_token, virtual_hosted_style_request, skip_signature
//! ```
//!
//! A path is parts divided by `/`, none of them empty, `.`, `..` or beginning with a point: what begins with a point is
//! never shown, so that files being written (`.name.id.part`) are not seen before they are whole.

mod bucket;
mod folder;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use model::{Code, Error, Result};
use policy::port::{Shelf, ShelfFile, ShelfPlace};
use url::Url;

use crate::outgoing::Outgoing;

/// The port `Shelf`.
#[derive(Clone, Debug, Default)]
pub struct Shelves {
    outgoing: Outgoing,
    /// Folders that places may lie in.
    roots: Arc<Vec<PathBuf>>,
    buckets: bucket::Kept,
}

impl Shelves {
    /// Folders are reached under `roots` only, buckets where `outgoing` lets go.
    #[must_use]
    pub fn new(outgoing: Outgoing, roots: Vec<PathBuf>) -> Self {
        Self { outgoing, roots: Arc::new(roots), buckets: bucket::Kept::default() }
    }

    async fn open(&self, place: &ShelfPlace) -> Result<Open> {
        let url = Url::parse(&place.url).map_err(|_| bad_place())?;
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
            return Err(bad_place());
        }
        match url.scheme() {
            "file" => {
                let path = url.to_file_path().map_err(|()| bad_place())?;
                let roots = Arc::clone(&self.roots);
                let folder = blocking(move || folder::Folder::open(&path, &roots)).await?;
                Ok(Open::Folder(Arc::new(folder)))
            }
            "s3" => self.buckets.open(&self.outgoing, &url, &place.options).await.map(Open::Bucket),
            _ => Err(bad_place()),
        }
    }
}

enum Open {
    Folder(Arc<folder::Folder>),
    Bucket(bucket::Bucket),
}

/// Runs work on files on a thread that may wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::internal("the file thread ended").caused_by(e))?
}

#[async_trait]
impl Shelf for Shelves {
    async fn list(
        &self,
        place: &ShelfPlace,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ShelfFile>> {
        match self.open(place).await? {
            Open::Folder(folder) => {
                let after = after.map(str::to_owned);
                blocking(move || folder.list(after.as_deref(), limit)).await
            }
            Open::Bucket(bucket) => bucket.list(after, limit).await,
        }
    }

    async fn look(&self, place: &ShelfPlace, path: &str) -> Result<Option<ShelfFile>> {
        let path = checked(path)?;
        match self.open(place).await? {
            Open::Folder(folder) => blocking(move || folder.look(&path)).await,
            Open::Bucket(bucket) => bucket.look(&path).await,
        }
    }

    async fn fetch(&self, place: &ShelfPlace, path: &str, to: &Path) -> Result<(u64, String)> {
        let (path, to) = (checked(path)?, to.to_owned());
        match self.open(place).await? {
            Open::Folder(folder) => blocking(move || folder.fetch(&path, &to)).await,
            Open::Bucket(bucket) => bucket.fetch(&path, &to).await,
        }
    }

    async fn put(&self, place: &ShelfPlace, path: &str, from: &Path) -> Result<()> {
        let (path, from) = (checked(path)?, from.to_owned());
        match self.open(place).await? {
            Open::Folder(folder) => blocking(move || folder.put(&path, &from)).await,
            Open::Bucket(bucket) => bucket.put(&path, &from).await,
        }
    }

    async fn shift(&self, place: &ShelfPlace, from: &str, to: &str) -> Result<()> {
        let (from, to) = (checked(from)?, checked(to)?);
        match self.open(place).await? {
            Open::Folder(folder) => blocking(move || folder.shift(&from, &to)).await,
            Open::Bucket(bucket) => bucket.shift(&from, &to).await,
        }
    }

    async fn remove(&self, place: &ShelfPlace, path: &str) -> Result<()> {
        let path = checked(path)?;
        match self.open(place).await? {
            Open::Folder(folder) => blocking(move || folder.remove(&path)).await,
            Open::Bucket(bucket) => bucket.remove(&path).await,
        }
    }
}

/// A path that stays in its place.
fn checked(path: &str) -> Result<String> {
    let fine = path.len() <= 900
        && path.split('/').all(|part| {
            !part.is_empty()
                && part.len() <= 255
                && !part.starts_with('.')
                && !part.contains('\\')
                && !part.chars().any(char::is_control)
        });
    if fine {
        return Ok(path.to_owned());
    }
    let shown = crate::why::cut(path, 100);
    Err(Error::invalid(
        format!(
            "文件路径 `{shown}` 不可用：各级名称不能为空、以点开头、含反斜杠或控制字符，也不能离开所在目录"
        ),
        format!(
            "the file path `{shown}` cannot be used: no part may be empty, begin with a point, hold a backslash or control character, or lead out of its place"
        ),
    ))
}

/// Whether a name is one that lists show.
fn shown(name: &str) -> bool {
    !name.contains('/') && checked(name).is_ok()
}

fn bad_place() -> Error {
    Error::invalid(
        "文件位置的地址不正确，应形如 file:///srv/exchange/in/ 或 s3://桶/前缀/（密钥等写在选项中）",
        "the place's address is malformed; it reads like file:///srv/exchange/in/ or s3://bucket/prefix/ (keys go into the options)",
    )
}

fn missing(path: &str) -> Error {
    Error::new(
        Code::NotFound,
        format!("文件 `{path}` 不存在"),
        format!("there is no file `{path}`"),
    )
}

/// The file is not the one that was being read.
fn changed(path: &str) -> Error {
    Error::new(
        Code::Stale,
        format!("文件 `{path}` 在读取过程中被改动；请在写完后再交付"),
        format!("the file `{path}` changed while it was read; deliver it when it is whole"),
    )
}

fn unavailable(what: &str) -> Error {
    Error::new(
        Code::SourceUnavailable,
        format!("文件位置暂不可用：{what}"),
        format!("the place of files is not available: {what}"),
    )
}

#[cfg(test)]
mod tests;

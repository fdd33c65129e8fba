//! A bucket of an S3-compatible store, by `object_store`. Its client is ours: it connects to the endpoint that was named and
//! looked at (`outgoing`), and to nothing else, wherever the store or a redirect would send it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use guard::hash::sha256_hex;
use guard::hash::{HashAlgorithm, Hasher};
use model::{Error, Result};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpService,
};
use object_store::path::Path as Key;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, RetryConfig, WriteMultipart};
use policy::port::ShelfFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use super::{bad_place, changed, missing, shown, unavailable};
use crate::outgoing::{Outgoing, reach};

/// Clients are kept for so long; then names are looked up anew.
const KEPT: Duration = Duration::from_secs(60);
/// Clients kept at once.
const MOST: usize = 64;
/// Larger files go up in parts.
const PART: u64 = 8 << 20;
/// Options that may be given. Others would have the client ask elsewhere for credentials.
const OPTIONS: &[&str] = &[
    "endpoint",
    "access_key_id",
    "secret_access_key",
    "session_token",
    "region",
    "virtual_hosted_style_request",
    "skip_signature",
];

/// An open bucket.
#[derive(Clone)]
pub(super) struct Bucket {
    store: Arc<AmazonS3>,
    prefix: Option<Key>,
}

/// Clients of buckets in use.
#[derive(Clone, Default)]
pub(super) struct Kept(Arc<Mutex<HashMap<String, (Instant, Bucket)>>>);

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kept(…)")
    }
}

impl Kept {
    pub(super) async fn open(
        &self,
        outgoing: &Outgoing,
        url: &Url,
        options: &[(String, String)],
    ) -> Result<Bucket> {
        let name = sha256_hex(format!("{url}\n{options:?}").as_bytes());
        let mut kept = self.0.lock().await;
        kept.retain(|_, (since, _)| since.elapsed() < KEPT);
        if let Some((_, bucket)) = kept.get(&name) {
            return Ok(bucket.clone());
        }
        let bucket = Bucket::open(outgoing, url, options).await?;
        if kept.len() >= MOST {
            kept.clear();
        }
        kept.insert(name, (Instant::now(), bucket.clone()));
        Ok(bucket)
    }
}

impl Bucket {
    async fn open(outgoing: &Outgoing, url: &Url, options: &[(String, String)]) -> Result<Self> {
        let bucket = url.host_str().filter(|b| !b.is_empty()).ok_or_else(bad_place)?;
        let mut builder = AmazonS3Builder::new().with_bucket_name(bucket).with_region("us-east-1");
        let mut endpoint = None;
        for (name, value) in options {
            let plain = name.trim().to_ascii_lowercase();
            let plain = plain.strip_prefix("aws_").unwrap_or(&plain);
            let key = OPTIONS
                .contains(&plain)
                .then(|| plain.parse::<AmazonS3ConfigKey>().ok())
                .flatten()
                .ok_or_else(|| unknown_option(name))?;
            if plain == "endpoint" {
                endpoint = Some(value.trim().to_owned());
            }
            builder = builder.with_config(key, value.trim());
        }
        let signed = ["access_key_id", "secret_access_key"]
            .iter()
            .all(|wanted| options.iter().any(|(n, v)| n.ends_with(wanted) && !v.is_empty()));
        let open = options.iter().any(|(n, v)| n.ends_with("skip_signature") && v == "true");
        let endpoint = endpoint.ok_or_else(no_endpoint)?;
        if !signed && !open {
            return Err(no_endpoint());
        }
        let address = Url::parse(&endpoint).map_err(|_| no_endpoint())?;
        let (Some(host), Some(port)) = (address.host_str(), address.port_or_known_default()) else {
            return Err(no_endpoint());
        };
        let addresses = reach(outgoing, host, port).await?;
        let store = builder
            .with_allow_http(address.scheme() == "http")
            .with_http_connector(Connector { host: host.to_owned(), port, addresses })
            .with_retry(RetryConfig {
                max_retries: 3,
                retry_timeout: Duration::from_secs(30),
                ..RetryConfig::default()
            })
            .build()
            .map_err(|e| no_endpoint().caused_by(e))?;
        let prefix = url.path().trim_matches('/');
        let prefix = match prefix.is_empty() {
            true => None,
            false => Some(Key::from_url_path(prefix).map_err(|_| bad_place())?),
        };
        Ok(Self { store: Arc::new(store), prefix })
    }

    fn key(&self, path: &str) -> Result<Key> {
        let whole = match &self.prefix {
            Some(prefix) => format!("{prefix}/{path}"),
            None => path.to_owned(),
        };
        Key::parse(whole).map_err(|_| missing(path))
    }

    /// The path under the place; `None` for what is never shown.
    fn path(&self, key: &Key) -> Option<String> {
        let whole = key.as_ref();
        let path = match &self.prefix {
            Some(prefix) => whole.strip_prefix(prefix.as_ref())?.strip_prefix('/')?,
            None => whole,
        };
        path.split('/').all(shown).then(|| path.to_owned())
    }

    fn file_of(&self, about: &ObjectMeta) -> Option<ShelfFile> {
        let modified = about.last_modified.timestamp_micros();
        Some(ShelfFile {
            path: self.path(&about.location)?,
            bytes: about.size,
            modified,
            mark: about.e_tag.clone().unwrap_or_else(|| format!("{}-{modified}", about.size)),
        })
    }

    pub(super) async fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<ShelfFile>> {
        let listed = match after {
            Some(after) => self.store.list_with_offset(self.prefix.as_ref(), &self.key(after)?),
            None => self.store.list(self.prefix.as_ref()),
        };
        listed
            .map_err(|e| failed("", e))
            .try_filter_map(async |about| Ok(self.file_of(&about)))
            .take(limit)
            .try_collect()
            .await
    }

    pub(super) async fn look(&self, path: &str) -> Result<Option<ShelfFile>> {
        match self.store.head(&self.key(path)?).await {
            Ok(about) => Ok(self.file_of(&about)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(failed(path, e)),
        }
    }

    pub(super) async fn fetch(&self, path: &str, to: &Path) -> Result<(u64, String)> {
        let got = self.store.get(&self.key(path)?).await.map_err(|e| failed(path, e))?;
        let size = got.meta.size;
        let mut part = to.as_os_str().to_owned();
        part.push(".fetch");
        let part = std::path::PathBuf::from(part);
        let copied = async {
            let mut file = tokio::fs::File::create(&part).await.map_err(|e| here(&part, e))?;
            let mut hasher = Hasher::new(HashAlgorithm::Sha256);
            let (mut bytes, mut pieces) = (0_u64, got.into_stream());
            while let Some(piece) = pieces.next().await {
                let piece = piece.map_err(|e| failed(path, e))?;
                hasher.update(&piece);
                bytes += piece.len() as u64;
                file.write_all(&piece).await.map_err(|e| here(&part, e))?;
            }
            file.sync_all().await.map_err(|e| here(&part, e))?;
            if bytes != size {
                return Err(changed(path));
            }
            tokio::fs::rename(&part, to).await.map_err(|e| here(to, e))?;
            if let Some(folder) = to.parent() {
                let folder = tokio::fs::File::open(folder).await.map_err(|e| here(to, e))?;
                folder.sync_all().await.map_err(|e| here(to, e))?;
            }
            Ok((bytes, hasher.finish()))
        };
        let copied = copied.await;
        if copied.is_err() {
            let _ = tokio::fs::remove_file(&part).await;
        }
        copied
    }

    /// An object is seen when it is whole: by one call, or at the end of its parts.
    pub(super) async fn put(&self, path: &str, from: &Path) -> Result<()> {
        let key = self.key(path)?;
        let mut file = tokio::fs::File::open(from).await.map_err(|e| here(from, e))?;
        let size = file.metadata().await.map_err(|e| here(from, e))?.len();
        if size <= PART {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).await.map_err(|e| here(from, e))?;
            return self
                .store
                .put(&key, bytes.into())
                .await
                .map(|_| ())
                .map_err(|e| failed(path, e));
        }
        let upload = self.store.put_multipart(&key).await.map_err(|e| failed(path, e))?;
        let mut writer =
            WriteMultipart::new_with_chunk_size(upload, usize::try_from(PART).unwrap_or(8 << 20));
        let mut buffer = vec![0; 1 << 20];
        loop {
            let n = match file.read(&mut buffer).await {
                Ok(n) => n,
                Err(e) => {
                    let _ = writer.abort().await;
                    return Err(here(from, e));
                }
            };
            let Some(piece) = buffer.get(..n).filter(|p| !p.is_empty()) else { break };
            writer.wait_for_capacity(4).await.map_err(|e| failed(path, e))?;
            writer.write(piece);
        }
        writer.finish().await.map(|_| ()).map_err(|e| failed(path, e))
    }

    /// A copy and a removal: between them both are there, and a second call goes on.
    pub(super) async fn shift(&self, from: &str, to: &str) -> Result<()> {
        self.store.copy(&self.key(from)?, &self.key(to)?).await.map_err(|e| failed(from, e))?;
        self.remove(from).await
    }

    pub(super) async fn remove(&self, path: &str) -> Result<()> {
        match self.store.delete(&self.key(path)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(failed(path, e)),
        }
    }
}

fn failed(path: &str, e: object_store::Error) -> Error {
    match e {
        object_store::Error::NotFound { .. } => missing(path),
        object_store::Error::Precondition { .. } => changed(path),
        object_store::Error::Unauthenticated { .. }
        | object_store::Error::PermissionDenied { .. } => {
            unavailable("对象存储拒绝了访问密钥 (the store refused the access key)").caused_by(e)
        }
        // The store's own words may hold addresses and keys: they are the operator's.
        other => unavailable("对象存储没有完成请求 (the store did not do what was asked)")
            .caused_by(other),
    }
}

fn here(path: &Path, e: std::io::Error) -> Error {
    Error::new(
        model::Code::StoreUnavailable,
        format!("无法读写 {}：{e}；请检查磁盘空间与权限后重试", path.display()),
        format!(
            "{} cannot be read or written: {e}; check disk space and permissions",
            path.display()
        ),
    )
}

fn no_endpoint() -> Error {
    Error::invalid(
        "对象存储须写明 endpoint（http:// 或 https:// 地址）以及 access_key_id 与 secret_access_key（公开桶可写 skip_signature=true）",
        "an object store needs `endpoint` (an http:// or https:// address), `access_key_id` and `secret_access_key` (`skip_signature=true` for a public bucket)",
    )
}

fn unknown_option(name: &str) -> Error {
    let name = crate::why::cut(name, 60);
    Error::invalid(
        format!("对象存储不支持选项 `{name}`；可用：{}", OPTIONS.join("、")),
        format!("the object store has no option `{name}`; there are: {}", OPTIONS.join(", ")),
    )
}

/// Makes the client that goes to one endpoint only.
#[derive(Clone, Debug)]
struct Connector {
    host: String,
    port: u16,
    addresses: Vec<SocketAddr>,
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = reqwest_s3::Client::builder()
            .no_proxy()
            .redirect(reqwest_s3::redirect::Policy::none())
            .resolve_to_addrs(&self.host, &self.addresses)
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(60))
            .user_agent("qiantang")
            .build()
            .map_err(|e| object_store::Error::Generic { store: "S3", source: Box::new(e) })?;
        Ok(HttpClient::new(Bound { client, host: self.host.clone(), port: self.port }))
    }
}

/// A client that refuses every other place.
#[derive(Debug)]
struct Bound {
    client: reqwest_s3::Client,
    host: String,
    port: u16,
}

#[async_trait]
impl HttpService for Bound {
    async fn call(&self, request: HttpRequest) -> std::result::Result<HttpResponse, HttpError> {
        let uri = request.uri();
        let standard = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let same = uri.host().is_some_and(|h| h.eq_ignore_ascii_case(&self.host))
            && uri.port_u16().unwrap_or(standard) == self.port;
        if !same {
            let elsewhere = std::io::Error::other("the store would have us ask elsewhere");
            return Err(HttpError::new(HttpErrorKind::Unknown, elsewhere));
        }
        self.client.call(request).await
    }
}

//! Shared views: what a grant shows, written once as Parquet files and kept incrementally, so that they may be handed out as they
//! lie. Raw files of the lake never are.
//!
//! ```text
//! _views/<id>/                       <id>: hash of the grant's shape (entry, columns, masks, row filter, grantee)
//!   v<version>.json                  the files that make the view at a version of the lake   (manifest)
//!   c<from>-<to>.json                the files that tell what differs between two versions   (feed)
//!   <attempt>-<n>.parquet            rows as granted, and nothing else                       (writer)
//!   <attempt>-<n>.parquet.ids        the record number of each row, which never leaves the house
//! ```
//!
//! A new version is made from the newest one before it ([`make`]): parcels since then name the keys they touched; files that hold
//! a row of such a key are written anew without it (its record numbers say which), and what the view of now shows of those keys
//! is added. Where rows were only added, no file is touched. A parcel that replaced everything, another key or other columns
//! have the view made as a whole.
//!
//! A file that was named stays as it is until nobody can be reading it. Versions are made by whoever asks first: a manifest is
//! created and never overwritten, so that of two makers the second takes the first one's.

mod feed;
mod hints;
mod make;
mod manifest;
mod plan;
mod writer;

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use deltalake_core::logstore::StorageConfig;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use model::{Error, Result};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt};
use policy::port::{ShareColumn, ShareHeld, ShareHints, ShareView, Shares};
use policy::{Action, Grant, Permit};

use self::manifest::Manifest;
use crate::fault;
use crate::lake::DeltaLake;
use crate::table::Loaded;

/// Folder of all views.
const VIEWS: &str = "_views";

/// Where the files of one view lie.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    store: Arc<dyn ObjectStore>,
    id: String,
}

impl Place {
    fn path(&self, name: &str) -> Path {
        Path::from_iter([VIEWS, self.id.as_str(), name])
    }

    async fn list(&self) -> Result<Vec<ObjectMeta>> {
        self.store
            .list(Some(&Path::from_iter([VIEWS, self.id.as_str()])))
            .try_collect()
            .await
            .map_err(|e| fault::storage("listing a view", e))
    }

    async fn bytes(&self, name: &str) -> Result<Option<Bytes>> {
        let failed = |e| fault::storage("reading of a view", e);
        match self.store.get(&self.path(name)).await {
            Ok(found) => found.bytes().await.map(Some).map_err(failed),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(failed(e)),
        }
    }

    async fn remove(&self, name: &str) -> Result<()> {
        match self.store.delete(&self.path(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(e) => Err(fault::storage("removing of a view", e)),
        }
    }
}

/// The last part of a path.
fn name_of(meta: &ObjectMeta) -> String {
    meta.location.filename().unwrap_or_default().to_owned()
}

/// Ids and names come from outside, too.
fn plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 200
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'))
}

fn unknown(file: &str) -> Error {
    let file: String = file.chars().take(80).collect();
    Error::not_found("共享文件", "shared file", &file)
}

/// Views are made for deliveries of whole tables only.
fn batch(grant: &Grant) -> Result<()> {
    match grant.action() {
        Action::RowsBatch => Ok(()),
        _ => Err(Error::internal("lake: a view asked for with another grant")),
    }
}

impl DeltaLake {
    fn views(&self) -> Result<Arc<dyn ObjectStore>> {
        if let Some(store) = self.views.get() {
            return Ok(Arc::clone(store));
        }
        let url = deltalake_core::ensure_table_uri(&self.root)
            .map_err(|e| fault::delta("the lake's folder", e))?;
        let made = deltalake_core::logstore::logstore_for(&url, StorageConfig::default())
            .map_err(|e| fault::delta("the lake's folder", e))?
            .object_store(None);
        Ok(Arc::clone(self.views.get_or_init(|| made)))
    }

    fn place(&self, id: &str) -> Result<Place> {
        match plain(id) {
            true => Ok(Place { store: self.views()?, id: id.to_owned() }),
            false => Err(Error::not_found("共享视图", "shared view", "?")),
        }
    }

    fn place_of(&self, grant: &Grant) -> Result<Place> {
        batch(grant)?;
        self.place(&self.share_id(grant))
    }

    /// The table at a version, which must be there.
    async fn shared_table(
        &self,
        grant: &Grant,
        version: i64,
    ) -> Result<deltalake_core::DeltaTable> {
        let nothing = || Error::not_found("数据版本", "data version", &version.to_string());
        self.table_at(grant.code(), Some(version)).await?.ok_or_else(nothing)
    }

    async fn told_view(&self, grant: &Grant, id: &str, manifest: Manifest) -> Result<ShareView> {
        Ok(ShareView {
            id: id.to_owned(),
            version: manifest.version,
            columns: self.share_columns(grant, manifest.version).await?,
            files: manifest.files.into_iter().map(Into::into).collect(),
        })
    }
}

#[async_trait]
impl Shares for DeltaLake {
    fn share_id(&self, grant: &Grant) -> String {
        guard::hash::sha256_hex(grant.shape().as_bytes()).chars().take(32).collect()
    }

    async fn share_columns(&self, grant: &Grant, version: i64) -> Result<Vec<ShareColumn>> {
        batch(grant)?;
        let table = self.table(grant.code()).await?;
        let table = match table {
            Some(_) => self.table_at(grant.code(), Some(version)).await?,
            None => None,
        };
        let stored = match &table {
            Some(table) => Loaded::of(table)?.columns()?,
            None => Vec::new(),
        };
        plan::columns(grant, &stored)
    }

    async fn share_view(&self, grant: &Grant, version: i64) -> Result<Option<ShareView>> {
        let place = self.place_of(grant)?;
        match Manifest::read(&place, &manifest::version_name(version)).await? {
            Some(manifest) => self.told_view(grant, &place.id, manifest).await.map(Some),
            None => Ok(None),
        }
    }

    async fn share_make(
        &self,
        grant: &Grant,
        version: i64,
        attempt: &str,
        done: Arc<AtomicU64>,
    ) -> Result<ShareView> {
        let place = self.place_of(grant)?;
        let making = self.make_view(grant, &place, version, attempt, done);
        let manifest = making.boxed().await?;
        self.told_view(grant, &place.id, manifest).await
    }

    async fn share_change(&self, grant: &Grant, from: i64, to: i64) -> Result<Option<ShareView>> {
        let place = self.place_of(grant)?;
        let Some(manifest) = Manifest::read(&place, &manifest::change_name(from, to)).await? else {
            return Ok(None);
        };
        self.told_view(grant, &place.id, manifest).await.map(Some)
    }

    async fn share_change_make(
        &self,
        grant: &Grant,
        from: i64,
        to: i64,
        attempt: &str,
        done: Arc<AtomicU64>,
    ) -> Result<ShareView> {
        let place = self.place_of(grant)?;
        let making = self.make_change(grant, &place, (from, to), attempt, done);
        let manifest = making.boxed().await?;
        self.told_view(grant, &place.id, manifest).await
    }

    fn share_pruned(&self, view: ShareView, hints: &ShareHints) -> ShareView {
        hints::pruned(view, hints)
    }

    async fn share_read(
        &self,
        grant: &Grant,
        file: &str,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let place = self.place_of(grant)?;
        if !plain(file) || !file.ends_with(writer::DATA) {
            return Err(unknown(file));
        }
        let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
        match place.store.get_opts(&place.path(file), options).await {
            Ok(found) => Ok(found
                .into_stream()
                .map_err(|e| fault::storage("reading a shared file", e))
                .boxed()),
            Err(object_store::Error::NotFound { .. }) => Err(unknown(file)),
            Err(e) => Err(fault::storage("reading a shared file", e)),
        }
    }

    async fn shares_held(&self) -> Result<Vec<ShareHeld>> {
        let mut held: BTreeMap<String, ShareHeld> = BTreeMap::new();
        let store = self.views()?;
        let mut found = store.list(Some(&Path::from(VIEWS)));
        while let Some(meta) = found.next().await {
            let meta = match meta {
                Ok(meta) => meta,
                // Another process tidies up at the same time.
                Err(object_store::Error::NotFound { .. }) => continue,
                Err(e) => return Err(fault::storage("listing views", e)),
            };
            let Some(id) = meta.location.parts().nth(1).map(|p| p.as_ref().to_owned()) else {
                continue;
            };
            let entry = held.entry(id.clone()).or_insert(ShareHeld {
                id,
                bytes: 0,
                files: 0,
                written: DateTime::<Utc>::MIN_UTC,
            });
            entry.bytes = entry.bytes.saturating_add(meta.size);
            entry.files += u64::from(name_of(&meta).ends_with(writer::DATA));
            entry.written = entry.written.max(meta.last_modified);
        }
        Ok(held.into_values().collect())
    }

    async fn share_prune(
        &self,
        permit: &Permit,
        id: &str,
        keep: &[i64],
        before: DateTime<Utc>,
    ) -> Result<u64> {
        permit.require(&[Action::SystemWork])?;
        let place = self.place(id)?;
        let found = place.list().await?;
        let versions: Vec<(i64, &ObjectMeta)> = found
            .iter()
            .filter_map(|m| manifest::version_of(&name_of(m)).map(|(_, to)| (to, m)))
            .collect();
        let whole = versions.iter().filter(|(_, m)| manifest::is_whole(&name_of(m)));
        let newest = whole.map(|(version, _)| *version).max();
        let mut named: HashSet<String> = HashSet::new();
        for (version, meta) in versions {
            let name = name_of(meta);
            let whole = manifest::is_whole(&name);
            let stays = (whole && Some(version) == newest)
                || keep.contains(&version)
                || meta.last_modified >= before;
            // Files go a round later than the manifests that named them: somebody may be making a version of them now.
            let manifest = Manifest::read(&place, &name).await?;
            named.extend(manifest.into_iter().flat_map(|m| m.files).map(|f| f.name));
            if !stays {
                place.remove(&name).await?;
            }
        }
        let mut removed = 0;
        for meta in &found {
            let name = name_of(meta);
            let data = name.strip_suffix(writer::IDS).unwrap_or(&name);
            if data.ends_with(writer::DATA) && meta.last_modified < before && !named.contains(data)
            {
                place.remove(&name).await?;
                removed += u64::from(name == data);
            }
        }
        Ok(removed)
    }

    async fn share_forget(&self, permit: &Permit, id: &str) -> Result<()> {
        permit.require(&[Action::SystemWork])?;
        let place = self.place(id)?;
        let mut names: Vec<String> = place.list().await?.iter().map(name_of).collect();
        // Manifests first: nobody finds a view whose files are gone.
        names.sort_by_key(|name| !name.ends_with(manifest::JSON));
        for name in names {
            place.remove(&name).await?;
        }
        Ok(())
    }
}

//! The sweep: data files of landings that were killed before their commit. Nobody can see them; they only take space.

use std::collections::HashSet;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use deltalake_core::DeltaTable;
use deltalake_core::kernel::Action as LogAction;
use futures::TryStreamExt;
use model::{Code, Error, Result};
use object_store::{ObjectStore, ObjectStoreExt};
use tracing::info;

use crate::lake::DeltaLake;
use crate::name::parcel_of;
use crate::table::Loaded;
use crate::{commit, fault};

impl DeltaLake {
    /// Removes data files of the table `code` that no commit ever named and that were last written before `before`,
    /// which must lie before any landing that may still be running. Answers how many.
    pub(crate) async fn sweep_table(&self, code: &str, before: DateTime<Utc>) -> Result<u64> {
        let slot = self.slot(code);
        let _alone = slot.landing.lock().await;
        let table = match self.table(code).await? {
            Some(table) => table,
            None => self.blank_table(code)?,
        };
        let store = table.object_store();
        let mut named: HashSet<String> = HashSet::new();
        if table.version().is_some() {
            named.extend(Loaded::of(&table)?.files()?.into_iter().map(|(path, _)| path));
        }
        let found: Vec<object_store::ObjectMeta> = store
            .list(None)
            .try_filter(|m| std::future::ready(m.last_modified < before))
            .try_collect()
            .await
            .map_err(|e| fault::storage("listing data files", e))?;
        let mut removed = 0;
        for meta in found {
            let path = meta.location.as_ref();
            if path.contains('/') || named.contains(path) || self.committed(&table, path).await? {
                continue;
            }
            store
                .delete(&meta.location)
                .await
                .map_err(|e| fault::storage("removing a data file", e))?;
            removed += 1;
        }
        removed += self.sweep_unfinished(code, before).await?;
        if removed > 0 {
            info!(entry.code = code, files = removed, "files of broken landings removed");
        }
        Ok(removed)
    }

    /// Whether the commit of the file's parcel names it (an earlier version may still read it).
    async fn committed(&self, table: &DeltaTable, path: &str) -> Result<bool> {
        let Some(parcel) = parcel_of(path) else {
            // Not a name of ours: another tool's file is not ours to remove.
            return Ok(true);
        };
        if table.version().is_none() {
            return Ok(false);
        }
        let Some(landing) = commit::landed_in(table, parcel).await? else {
            return Ok(false);
        };
        let version = u64::try_from(landing.version).unwrap_or(0);
        let actions = commit::actions(table, version).await?;
        Ok(actions.iter().any(|a| matches!(a, LogAction::Add(add) if add.path == path)))
    }

    /// Uploads into a local folder that were never completed: `<name>.parquet#<n>`, which the object store does not
    /// list.
    async fn sweep_unfinished(&self, code: &str, before: DateTime<Utc>) -> Result<u64> {
        let Some(folder) = self.local_folder(code) else {
            return Ok(0);
        };
        let failed = |e: std::io::Error| {
            Error::of(Code::StoreUnavailable).detail("lake: sweeping a local folder").caused_by(e)
        };
        let mut entries = match tokio::fs::read_dir(&folder).await {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(0),
            Err(e) => return Err(failed(e)),
        };
        let mut removed = 0;
        while let Some(entry) = entries.next_entry().await.map_err(failed)? {
            let name = entry.file_name();
            let unfinished = name
                .to_str()
                .and_then(|n| n.split_once(".parquet#"))
                .is_some_and(|(_, n)| n.bytes().all(|b| b.is_ascii_digit()));
            let written = entry.metadata().await.and_then(|m| m.modified()).map_err(failed)?;
            if unfinished && DateTime::<Utc>::from(written) < before {
                tokio::fs::remove_file(entry.path()).await.map_err(failed)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn local_folder(&self, code: &str) -> Option<PathBuf> {
        let url = deltalake_core::ensure_table_uri(format!("{}{code}", self.root)).ok()?;
        (url.scheme() == "file").then(|| url.to_file_path().ok()).flatten()
    }
}

//! What makes a view at a version, or tells the difference of two: a small JSON object, created once.

use model::{Error, Result};
use object_store::{ObjectStore, PutMode, PutOptions, PutPayload};
use policy::port::{ShareColumn, ShareFile};
use serde::{Deserialize, Serialize};

use super::{Place, name_of};
use crate::fault;

/// Ending of manifests.
pub(super) const JSON: &str = ".json";

/// The files of a view, or of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// Version of the lake that is shown.
    pub(super) version: i64,
    /// Names and types of the columns, to know whether the files of another version go on.
    pub(super) columns: Vec<(String, String)>,
    pub(super) files: Vec<SharedFile>,
}

/// A file with what a later version must know of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SharedFile {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) rows: u64,
    /// Lowest and highest record number in it.
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) stats: String,
}

impl From<SharedFile> for ShareFile {
    fn from(file: SharedFile) -> Self {
        Self { name: file.name, bytes: file.bytes, rows: file.rows, stats: file.stats }
    }
}

/// Names and types, for comparison.
pub(super) fn shapes(columns: &[ShareColumn]) -> Vec<(String, String)> {
    columns.iter().map(|c| (c.name.clone(), c.kind.clone())).collect()
}

pub(super) fn version_name(version: i64) -> String {
    format!("v{version}{JSON}")
}

pub(super) fn change_name(from: i64, to: i64) -> String {
    format!("c{from}-{to}{JSON}")
}

/// Whether a manifest tells a whole version.
pub(super) fn is_whole(name: &str) -> bool {
    name.starts_with('v')
}

/// The versions a manifest's name tells: of a whole one the second alone.
pub(super) fn version_of(name: &str) -> Option<(Option<i64>, i64)> {
    let stem = name.strip_suffix(JSON)?;
    if let Some(version) = stem.strip_prefix('v') {
        return version.parse().ok().map(|v| (None, v));
    }
    let (from, to) = stem.strip_prefix('c')?.split_once('-')?;
    Some((Some(from.parse().ok()?), to.parse().ok()?))
}

impl Manifest {
    pub(super) async fn read(place: &Place, name: &str) -> Result<Option<Self>> {
        let Some(bytes) = place.bytes(name).await? else { return Ok(None) };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|e| Error::internal(format!("lake: manifest `{name}` of a view")).caused_by(e))
    }

    /// The newest whole version before `version`.
    pub(super) async fn before(place: &Place, version: i64) -> Result<Option<Self>> {
        let found = place.list().await?;
        let older = found
            .iter()
            .map(name_of)
            .filter(|name| is_whole(name))
            .filter_map(|name| version_of(name.as_str()).map(|(_, v)| v))
            .filter(|v| *v < version)
            .max();
        match older {
            Some(older) => Self::read(place, &version_name(older)).await,
            None => Ok(None),
        }
    }

    /// Keeps it under a name, unless somebody was first: then theirs is answered, and the files written in vain are removed.
    pub(super) async fn keep(self, place: &Place, name: &str, written: &[String]) -> Result<Self> {
        let text = serde_json::to_vec(&self)
            .map_err(|e| Error::internal("lake: manifest of a view").caused_by(e))?;
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match place.store.put_opts(&place.path(name), PutPayload::from(text), options).await {
            Ok(_) => Ok(self),
            Err(object_store::Error::AlreadyExists { .. }) => {
                super::writer::discard(place, written).await;
                let there = Self::read(place, name).await?;
                there.ok_or_else(|| Error::internal("lake: a view's manifest came and went"))
            }
            Err(e) => Err(fault::storage("keeping a view's manifest", e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_their_versions() {
        assert_eq!(version_of(&version_name(7)), Some((None, 7)));
        assert_eq!(version_of(&change_name(3, 12)), Some((Some(3), 12)));
        for other in ["x.json", "v.json", "c3.json", "v1.parquet", "c-1-2.json"] {
            assert!(version_of(other).is_none_or(|(from, _)| from.is_none()), "{other}");
        }
    }
}

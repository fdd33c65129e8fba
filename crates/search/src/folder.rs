//! The index on disk: a folder of ours, one process at a time, thrown away when it cannot be read.
//!
//! `qiantang-search.json` says that the folder is ours and which schema it holds; `lock` is held while it is
//! open; `index/` is the engine's. The engine publishes a commit by renaming one file, so a crash leaves the
//! last commit; file checksums are verified when the folder is opened.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use model::{Code, Error, Result};
use serde::{Deserialize, Serialize};
use tantivy::IndexSettings;
use tantivy::schema::Schema;

use crate::place::Place;

const MARKER: &str = "qiantang-search.json";
const LOCK: &str = "lock";
pub(crate) const INDEX: &str = "index";
const FORMAT: &str = "qiantang-search";
/// Least bytes of an engine's file; it does not check this itself.
const FOOTER: u64 = 8;

#[derive(Serialize, Deserialize)]
struct Marker {
    format: String,
    schema: u32,
}

/// An opened folder.
pub(crate) struct Folder {
    pub(crate) index: tantivy::Index,
    /// Held until dropped.
    pub(crate) lock: File,
    /// The index was made anew: the ledger must be written into it.
    pub(crate) fresh: bool,
}

fn trouble(dir: &Path, zh: &str, en: &str) -> Error {
    Error::new(
        Code::StoreUnavailable,
        format!("搜索索引目录 `{}` {zh}", dir.display()),
        format!("the search index folder `{}` {en}", dir.display()),
    )
}

fn unwritable(dir: &Path) -> Error {
    trouble(
        dir,
        "无法读写，请检查权限与磁盘空间",
        "cannot be read or written; check its permissions and the disk space",
    )
}

/// Opens the folder or makes it; whatever of ours is unreadable or of another schema version is made anew.
pub(crate) fn open(dir: &Path, schema: Schema, version: u32) -> Result<Folder> {
    fs::create_dir_all(dir).map_err(|e| unwritable(dir).caused_by(e))?;
    refuse_foreign(dir)?;
    let lock = lock(dir)?;
    let path = dir.join(INDEX);
    if marker_version(dir) == Some(version) {
        // The engine may panic over a damaged file that it does not expect; that is damage like any other.
        let opened = std::panic::catch_unwind(|| reopen(&path, &schema));
        match opened.unwrap_or_else(|_| Err("the engine panicked".to_owned())) {
            Ok(index) => return Ok(Folder { index, lock, fresh: false }),
            Err(why) => {
                tracing::warn!(search.reason = %why, "the search index cannot be read and is made anew");
            }
        }
    }
    let index = create(dir, &path, schema, version)?;
    Ok(Folder { index, lock, fresh: true })
}

/// A folder that holds other things and no marker of ours is not touched.
fn refuse_foreign(dir: &Path) -> Result<()> {
    if dir.join(MARKER).is_file() {
        return Ok(());
    }
    let entries = fs::read_dir(dir).map_err(|e| unwritable(dir).caused_by(e))?;
    for entry in entries {
        let name = entry.map_err(|e| unwritable(dir).caused_by(e))?.file_name();
        let ours = name == LOCK || name.to_str().is_some_and(|n| n.starts_with(MARKER));
        if !ours {
            return Err(trouble(
                dir,
                &format!("中有其他文件（{}），请指定一个空目录", name.display()),
                &format!("holds other files ({}); give an empty folder", name.display()),
            ));
        }
    }
    Ok(())
}

fn lock(dir: &Path) -> Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(dir.join(LOCK))
        .map_err(|e| unwritable(dir).caused_by(e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(trouble(
            dir,
            "正被另一个进程使用，请先停止它",
            "is in use by another process; stop that one first",
        )),
        Err(TryLockError::Error(e)) => Err(unwritable(dir).caused_by(e)),
    }
}

fn marker_version(dir: &Path) -> Option<u32> {
    let text = fs::read_to_string(dir.join(MARKER)).ok()?;
    let marker: Marker = serde_json::from_str(&text).ok()?;
    (marker.format == FORMAT).then_some(marker.schema)
}

fn reopen(path: &Path, schema: &Schema) -> std::result::Result<tantivy::Index, String> {
    let index = Place::open(path)
        .map_err(|e| e.to_string())
        .and_then(|place| tantivy::Index::open(place).map_err(|e| e.to_string()))?;
    if index.schema() != *schema {
        return Err("another schema".to_owned());
    }
    for entry in fs::read_dir(path).map_err(|e| e.to_string())?.flatten() {
        let hidden = entry.file_name().to_str().is_some_and(|n| n.starts_with('.'));
        if !hidden && entry.metadata().map_or(0, |m| m.len()) < FOOTER {
            return Err(format!("cut file {}", entry.file_name().display()));
        }
    }
    let damaged = index.validate_checksum().map_err(|e| e.to_string())?;
    if let Some(file) = damaged.into_iter().next() {
        return Err(format!("damaged file {}", file.display()));
    }
    // Opening every segment shows what checksums cannot.
    index.reader().map_err(|e| e.to_string())?;
    Ok(index)
}

fn create(dir: &Path, path: &Path, schema: Schema, version: u32) -> Result<tantivy::Index> {
    let failed = |e: std::io::Error| unwritable(dir).caused_by(e);
    let marker = serde_json::to_string(&Marker { format: FORMAT.to_owned(), schema: version })
        .map_err(|e| {
            Error::internal("the marker of the search folder cannot be written").caused_by(e)
        })?;
    let temporary = dir.join(format!("{MARKER}.tmp"));
    fs::write(&temporary, marker).map_err(failed)?;
    fs::rename(&temporary, dir.join(MARKER)).map_err(failed)?;
    if path.exists() {
        fs::remove_dir_all(path).map_err(failed)?;
    }
    fs::create_dir_all(path).map_err(failed)?;
    let place = Place::open(path).map_err(|e| unwritable(dir).caused_by(e))?;
    tantivy::Index::create(place, schema, IndexSettings::default())
        .map_err(|e| unwritable(dir).caused_by(e))
}

//! A folder of this machine. Every path is resolved by the kernel beneath the folder (`cap-std`): neither `..` nor a symbolic
//! link leads out of it, also when it is put there at the very moment. Writing is a hidden file, made durable, then renamed.
//! (`object_store`'s own local store follows links out of its root and does not sync, so folders are not read by it.)

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, Metadata, MetadataExt, OpenOptions};
use guard::hash::{HashAlgorithm, Hasher};
use model::{Code, Error, Result};
use policy::port::ShelfFile;

use super::{changed, missing, shown, unavailable};

/// Deepest folder that is looked into.
const DEEPEST: usize = 16;
/// Bytes read at a time.
const STEP: usize = 1 << 18;

/// An open folder.
pub(super) struct Folder {
    dir: Dir,
}

impl Folder {
    /// Opens a folder that lies under one of the roots, links followed.
    pub(super) fn open(path: &Path, roots: &[PathBuf]) -> Result<Self> {
        let outside = || {
            Error::new(
                Code::RuleBroken,
                format!(
                    "目录 {} 不在允许的交换目录之下；请平台运维人员在配置文件的 [exchange] folders 中加入其上级目录并重启",
                    path.display()
                ),
                format!(
                    "the folder {} is under none of the folders that exchanges may use; the platform's operator adds one to `[exchange] folders` in the configuration file and restarts",
                    path.display()
                ),
            )
            .with_reasons(vec!["exchange.folder".to_owned()])
        };
        let plain = path
            .components()
            .all(|c| matches!(c, std::path::Component::RootDir | std::path::Component::Normal(_)));
        if !plain || !path.is_absolute() {
            return Err(outside());
        }
        // The root first: what is beneath it is opened beneath it.
        for root in roots {
            let Ok(rest) = path.strip_prefix(root) else { continue };
            let failed = |e: std::io::Error| {
                let what = format!("{}: {e}", path.display());
                match e.kind() {
                    std::io::ErrorKind::NotFound => gone(path),
                    _ => unavailable(&what).caused_by(e),
                }
            };
            let base = Dir::open_ambient_dir(root, ambient_authority()).map_err(failed)?;
            let dir = match rest.as_os_str().is_empty() {
                true => base,
                false => base.open_dir(rest).map_err(failed)?,
            };
            return Ok(Self { dir });
        }
        Err(outside())
    }

    /// Files in the order of their whole paths. No more than `limit` names of a folder are in memory.
    pub(super) fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<ShelfFile>> {
        let mut found = Vec::new();
        walk(&self.dir, "", after, limit, 0, &mut found)
            .map_err(|e| unavailable(&e.to_string()).caused_by(e))?;
        Ok(found)
    }

    pub(super) fn look(&self, path: &str) -> Result<Option<ShelfFile>> {
        match self.find(path) {
            Ok((_, about)) if about.is_file() => Ok(Some(file_of(path.to_owned(), &about))),
            Ok(_) => Ok(None),
            Err(e) if e.code() == Code::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The path as it stands on the disk: names that are not UTF-8 are read as GB18030, as old machines write them.
    fn find(&self, path: &str) -> Result<(PathBuf, Metadata)> {
        let mut spelled = vec![PathBuf::from(path)];
        if !path.is_ascii() {
            let (bytes, _, lossy) = encoding_rs::GB18030.encode(path);
            if !lossy {
                spelled.push(PathBuf::from(std::ffi::OsString::from_vec(bytes.into_owned())));
            }
        }
        for real in spelled {
            match self.dir.metadata(&real) {
                Ok(about) => return Ok((real, about)),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(unavailable(&format!("{path}: {e}")).caused_by(e)),
            }
        }
        Err(missing(path))
    }

    pub(super) fn fetch(&self, path: &str, to: &Path) -> Result<(u64, String)> {
        let (real, _) = self.find(path)?;
        let failed = |e: std::io::Error| unavailable(&format!("{path}: {e}")).caused_by(e);
        let mut from = self.dir.open(&real).map_err(failed)?;
        let before = from.metadata().map_err(failed)?;
        if !before.is_file() {
            return Err(missing(path));
        }
        let (bytes, checksum) = keep(to, |out| copy(&mut from, out))?;
        let after = from.metadata().map_err(failed)?;
        let there = self.dir.metadata(&real).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => changed(path),
            _ => failed(e),
        })?;
        if bytes != before.len() || mark(&before) != mark(&after) || mark(&before) != mark(&there) {
            let _ = std::fs::remove_file(to);
            return Err(changed(path));
        }
        Ok((bytes, checksum))
    }

    pub(super) fn put(&self, path: &str, from: &Path) -> Result<()> {
        let failed = |e: std::io::Error| unwritable(path, e);
        let mut source = std::fs::File::open(from).map_err(failed)?;
        let (parent, name) = split(path);
        if !parent.is_empty() {
            self.make(parent).map_err(failed)?;
        }
        let part = joined(parent, &format!(".{name}.{:016x}.part", chance()?));
        let written = (|| {
            let mut options = OpenOptions::new();
            let mut file = self.dir.open_with(&part, options.write(true).create_new(true))?;
            std::io::copy(&mut source, &mut file)?;
            file.sync_all()?;
            self.dir.rename(&part, &self.dir, path)?;
            self.sync(parent)
        })();
        if written.is_err() {
            let _ = self.dir.remove_file(&part);
        }
        written.map_err(failed)
    }

    pub(super) fn shift(&self, from: &str, to: &str) -> Result<()> {
        let (real, _) = self.find(from)?;
        let failed = |e: std::io::Error| unwritable(to, e);
        let ((old, _), (new, _)) = (split(from), split(to));
        if !new.is_empty() {
            self.make(new).map_err(failed)?;
        }
        self.dir.rename(&real, &self.dir, to).map_err(failed)?;
        self.sync(new).map_err(failed)?;
        if old != new { self.sync(old).map_err(failed) } else { Ok(()) }
    }

    pub(super) fn remove(&self, path: &str) -> Result<()> {
        let real = match self.find(path) {
            Ok((real, _)) => real,
            Err(e) if e.code() == Code::NotFound => return Ok(()),
            Err(e) => return Err(e),
        };
        match self.dir.remove_file(&real) {
            Ok(()) => self.sync(split(path).0).map_err(|e| unwritable(path, e)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(unwritable(path, e)),
        }
    }

    /// Makes folders, each of them durable in the one above.
    fn make(&self, path: &str) -> std::io::Result<()> {
        if self.dir.is_dir(path) {
            return Ok(());
        }
        let (parent, _) = split(path);
        if !parent.is_empty() {
            self.make(parent)?;
        }
        match self.dir.create_dir(path) {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(e),
            _ => self.sync(parent),
        }
    }

    fn sync(&self, folder: &str) -> std::io::Result<()> {
        // A folder as it is held open may only be resolved beneath (O_PATH): one that is read can be synced.
        self.dir.open(if folder.is_empty() { "." } else { folder })?.sync_all()
    }
}

/// Writes a file of this machine whole and durable, or not at all.
pub(super) fn keep<T>(
    to: &Path,
    write: impl FnOnce(&mut std::fs::File) -> std::io::Result<T>,
) -> Result<T> {
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = (|| {
        let mut file = std::fs::File::create(&part)?;
        let answer = write(&mut file)?;
        file.sync_all()?;
        std::fs::rename(&part, to)?;
        if let Some(folder) = to.parent() {
            std::fs::File::open(folder)?.sync_all()?;
        }
        Ok(answer)
    })();
    written.map_err(|e: std::io::Error| {
        let _ = std::fs::remove_file(&part);
        Error::new(
            Code::StoreUnavailable,
            format!("无法写入 {}：{e}；请检查磁盘空间与权限后重试", to.display()),
            format!(
                "{} cannot be written: {e}; check disk space and permissions, then try again",
                to.display()
            ),
        )
        .caused_by(e)
    })
}

fn copy(from: &mut File, to: &mut std::fs::File) -> std::io::Result<(u64, String)> {
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    let mut buffer = vec![0; STEP];
    let mut bytes = 0_u64;
    loop {
        let n = from.read(&mut buffer)?;
        let Some(piece) = buffer.get(..n).filter(|piece| !piece.is_empty()) else { break };
        hasher.update(piece);
        to.write_all(piece)?;
        bytes += piece.len() as u64;
    }
    Ok((bytes, hasher.finish()))
}

/// Adds files after `after`. A folder comes where its name with `/` stands among the names: so the order is that of paths.
fn walk(
    dir: &Dir,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
    depth: usize,
    found: &mut Vec<ShelfFile>,
) -> std::io::Result<()> {
    let mut from: Option<String> = None;
    loop {
        let mut names: BTreeSet<(String, bool)> = BTreeSet::new();
        let most = limit.saturating_sub(found.len()).max(1);
        let mut more = false;
        for entry in dir.entries()? {
            let entry = entry?;
            let Some(name) = named(entry.file_name()) else { continue };
            // A link to a file inside is that file; one that leads out, to a folder or nowhere is not shown.
            let kind = match entry.file_type() {
                Ok(kind) if kind.is_symlink() => match dir.metadata(entry.file_name()) {
                    Ok(about) if about.is_file() => about.file_type(),
                    _ => continue,
                },
                Ok(kind) => kind,
                Err(_) => continue,
            };
            let folder = kind.is_dir();
            if !(folder || kind.is_file()) || (folder && depth >= DEEPEST) {
                continue;
            }
            let key = if folder { format!("{name}/") } else { name };
            if from.as_ref().is_some_and(|from| key <= *from) || passed(prefix, &key, folder, after)
            {
                continue;
            }
            names.insert((key, folder));
            if names.len() > most {
                names.pop_last();
                more = true;
            }
        }
        from = names.last().map(|(key, _)| key.clone());
        for (key, folder) in names {
            let path = format!("{prefix}{key}");
            if folder {
                if let Some(inside) = key.strip_suffix('/')
                    && let Ok(inside) = dir.open_dir(real(dir, inside))
                {
                    walk(&inside, &path, after, limit, depth + 1, found)?;
                }
            } else if let Ok(about) = dir.metadata(real(dir, &key)) {
                found.push(file_of(path, &about));
            }
            if found.len() >= limit {
                return Ok(());
            }
        }
        if !more {
            return Ok(());
        }
    }
}

/// Whether all that stands under a name comes before what is asked for.
fn passed(prefix: &str, key: &str, folder: bool, after: Option<&str>) -> bool {
    let Some(after) = after else { return false };
    let path = format!("{prefix}{key}");
    match folder {
        true => path.as_str() <= after && !after.starts_with(&path),
        false => path.as_str() <= after,
    }
}

/// A name as it is shown; `None` for what is never shown.
fn named(name: std::ffi::OsString) -> Option<String> {
    let name = match name.into_string() {
        Ok(name) => name,
        Err(raw) => {
            let (text, broken) = encoding_rs::GB18030.decode_without_bom_handling(raw.as_bytes());
            if broken {
                tracing::warn!(name = ?raw, "a file whose name is neither UTF-8 nor GB18030 is left alone");
                return None;
            }
            text.into_owned()
        }
    };
    shown(&name).then_some(name)
}

/// The name on the disk of a shown one.
fn real(dir: &Dir, name: &str) -> PathBuf {
    if name.is_ascii() || dir.symlink_metadata(name).is_ok() {
        return PathBuf::from(name);
    }
    let (bytes, _, _) = encoding_rs::GB18030.encode(name);
    PathBuf::from(std::ffi::OsString::from_vec(bytes.into_owned()))
}

fn file_of(path: String, about: &Metadata) -> ShelfFile {
    let modified =
        about.mtime().saturating_mul(1_000_000).saturating_add(about.mtime_nsec() / 1000);
    ShelfFile { path, bytes: about.len(), modified, mark: mark(about) }
}

/// Changes when the file does, or when another takes its name.
fn mark(about: &Metadata) -> String {
    format!("{:x}-{:x}-{:x}.{:x}", about.ino(), about.len(), about.mtime(), about.mtime_nsec())
}

/// Folder and name.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn joined(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

fn chance() -> Result<u64> {
    guard::keys::random::<8>().map(u64::from_le_bytes)
}

fn gone(path: &Path) -> Error {
    Error::new(
        Code::SourceUnavailable,
        format!("目录 {} 不存在；请先建立，或检查挂载", path.display()),
        format!("there is no folder {}; make it, or check the mount", path.display()),
    )
}

fn unwritable(path: &str, e: std::io::Error) -> Error {
    Error::new(
        Code::SourceUnavailable,
        format!("无法在文件位置写入 `{path}`：{e}；请检查磁盘空间与权限"),
        format!("`{path}` cannot be written there: {e}; check disk space and permissions"),
    )
    .caused_by(e)
}

//! The inbox: uploads are written there, hashed on the way and made durable before anything is promised.
//!
//! A file is called `<SHA-256>.<id>.<name>`; while it arrives it ends with `.part`. Its own checksum in its name saves
//! reading it once more.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use guard::hash::{HashAlgorithm, Hasher};
use model::{Code, Error, Op, Result};
use policy::Action;
use tokio::sync::mpsc;

use super::{Spooled, allowed};
use crate::{App, catalogue};

/// Pieces waiting for the disk.
const PIECES_WAITING: usize = 8;

/// Writes an upload into the inbox (fsynced) while computing its checksum; refuses more than the configured size.
pub async fn spool(
    app: &App,
    op: &Op,
    entry: &str,
    name: &str,
    mut bytes: BoxStream<'static, Result<Bytes>>,
) -> Result<Spooled> {
    let entry = catalogue::get(app, op, entry).await?;
    allowed(app, op, Action::DataCollect, &entry).await?;
    let most = app.rules.upload.max_bytes;
    let mut writer = Writer::open(&app.folders.inbox, &op.new_id(), name)?;
    let mut total = 0_u64;
    while let Some(piece) = bytes.next().await {
        let piece = match piece {
            Ok(piece) => piece,
            Err(error) => {
                writer.abandon().await;
                return Err(error);
            }
        };
        total = total.saturating_add(piece.len() as u64);
        if total > most {
            writer.abandon().await;
            return Err(too_large(name, most));
        }
        if !writer.write(piece).await {
            break;
        }
    }
    writer.finish().await
}

/// Copies a file of this machine into the inbox (fsynced); the kernel copies, and the copy is hashed as it grows.
pub async fn spool_file(
    app: &App,
    op: &Op,
    entry: &str,
    name: &str,
    source: &Path,
) -> Result<Spooled> {
    let entry = catalogue::get(app, op, entry).await?;
    allowed(app, op, Action::DataCollect, &entry).await?;
    let most = app.rules.upload.max_bytes;
    let (inbox, id) = (app.folders.inbox.clone(), op.new_id());
    let (name, source) = (name.to_owned(), source.to_owned());
    tokio::task::spawn_blocking(move || {
        let from = std::fs::File::open(&source).map_err(|e| unreadable(&source, e))?;
        let copied = copy(&inbox, &id, &name, &from, most);
        if !matches!(copied, Ok(Some(_))) {
            let _ = std::fs::remove_file(inbox.join(format!("{id}.part")));
        }
        copied.map_err(unwritable)?.ok_or_else(|| too_large(&name, most))
    })
    .await
    .map_err(|e| Error::internal("copying into the inbox").caused_by(e))?
}

/// Bytes copied and hashed at a time.
const STEP: u64 = 8 << 20;

/// Bytes after which the disk is asked to take up what was written.
const STRETCH: u64 = 64 << 20;

/// `None`: the file is larger than allowed.
fn copy(
    inbox: &Path,
    id: &str,
    name: &str,
    source: &std::fs::File,
    most: u64,
) -> std::io::Result<Option<Spooled>> {
    std::fs::create_dir_all(inbox)?;
    let part = inbox.join(format!("{id}.part"));
    let target = std::fs::File::create(&part)?;
    let (grown, steps) = std::sync::mpsc::channel();
    let (written, stretches) = std::sync::mpsc::channel();
    let (bytes, checksum) = std::thread::scope(|scope| {
        let hashed = scope.spawn(|| hash_growing(&part, steps));
        // The disk takes up what was written while the rest is copied, so that little is left to wait for at the end.
        let disk = &target;
        let kept = scope.spawn(move || stretches.iter().try_for_each(|()| disk.sync_data()));
        let mut bytes = 0_u64;
        let copied = loop {
            match std::io::copy(&mut source.take(STEP), &mut &target) {
                Ok(0) => break target.sync_all(),
                Ok(n) => bytes += n,
                Err(e) => break Err(e),
            }
            if bytes > most || grown.send(bytes).is_err() {
                break Ok(());
            }
            if bytes % STRETCH < STEP && written.send(()).is_err() {
                break Ok(());
            }
        };
        drop((grown, written));
        let kept =
            kept.join().map_err(|_| std::io::Error::other("the syncing thread ended early"))?;
        let checksum =
            hashed.join().map_err(|_| std::io::Error::other("the hashing thread ended early"))?;
        copied.and(kept).and(checksum).map(|checksum| (bytes, checksum))
    })?;
    if bytes > most {
        return Ok(None);
    }
    let path = inbox.join(format!("{checksum}.{id}.{}", safe_name(name)));
    std::fs::rename(&part, &path)?;
    sync_folder(inbox)?;
    Ok(Some(Spooled { path, name: name.to_owned(), checksum, bytes }))
}

/// Hashes a file up to each length it is said to have reached.
fn hash_growing(path: &Path, lengths: std::sync::mpsc::Receiver<u64>) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    let mut buffer = vec![0; 1 << 18];
    let mut done = 0;
    for length in lengths {
        let mut rest = (&mut file).take(length - done);
        loop {
            match rest.read(&mut buffer)? {
                0 => break,
                n => hasher.update(buffer.get(..n).unwrap_or_default()),
            }
        }
        done = length;
    }
    Ok(hasher.finish())
}

/// A file being written into the inbox by a thread of its own.
pub(super) struct Writer {
    pieces: mpsc::Sender<Piece>,
    thread: tokio::task::JoinHandle<Result<Option<Spooled>>>,
}

enum Piece {
    Bytes(Bytes),
    End,
}

impl Writer {
    pub(super) fn open(inbox: &Path, id: &str, name: &str) -> Result<Self> {
        let (pieces, waiting) = mpsc::channel(PIECES_WAITING);
        let (inbox, id, name) = (inbox.to_owned(), id.to_owned(), name.to_owned());
        let thread = tokio::task::spawn_blocking(move || write(&inbox, &id, &name, waiting));
        Ok(Self { pieces, thread })
    }
    /// Hands over the next bytes; false when writing has failed, which `finish` will tell.
    pub(super) async fn write(&self, bytes: Bytes) -> bool {
        self.pieces.send(Piece::Bytes(bytes)).await.is_ok()
    }
    /// The file, durable.
    pub(super) async fn finish(self) -> Result<Spooled> {
        let _ = self.pieces.send(Piece::End).await;
        drop(self.pieces);
        let written =
            self.thread.await.map_err(|e| Error::internal("writing the inbox").caused_by(e))??;
        written.ok_or_else(|| Error::internal("the upload ended without its end"))
    }
    /// Gives the file up.
    pub(super) async fn abandon(&mut self) {
        let (closed, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut self.pieces, closed));
        let _ = (&mut self.thread).await;
    }
}

fn write(
    inbox: &Path,
    id: &str,
    name: &str,
    mut waiting: mpsc::Receiver<Piece>,
) -> Result<Option<Spooled>> {
    let part = inbox.join(format!("{id}.part"));
    let done = (|| {
        std::fs::create_dir_all(inbox)?;
        let mut file = std::fs::File::create(&part)?;
        let mut hasher = Hasher::new(HashAlgorithm::Sha256);
        let mut bytes = 0_u64;
        loop {
            match waiting.blocking_recv() {
                Some(Piece::Bytes(piece)) => {
                    hasher.update(&piece);
                    file.write_all(&piece)?;
                    bytes += piece.len() as u64;
                }
                Some(Piece::End) => break,
                // The sender went away before the end: what has arrived is not the file.
                None => return Ok(None),
            }
        }
        file.sync_all()?;
        let checksum = hasher.finish();
        let path = inbox.join(format!("{checksum}.{id}.{}", safe_name(name)));
        std::fs::rename(&part, &path)?;
        sync_folder(inbox)?;
        Ok(Some(Spooled { path, name: name.to_owned(), checksum, bytes }))
    })();
    if !matches!(done, Ok(Some(_))) {
        let _ = std::fs::remove_file(&part);
    }
    done.map_err(unwritable)
}

/// The inbox cannot be written.
pub(crate) fn unwritable(e: std::io::Error) -> Error {
    Error::new(
        Code::StoreUnavailable,
        "收件目录无法写入，请检查磁盘空间和权限后重试",
        "the inbox cannot be written; check disk space and permissions, then try again",
    )
    .caused_by(e)
}

fn unreadable(path: &Path, e: std::io::Error) -> Error {
    Error::invalid(
        format!("无法读取 {}：{e}", path.display()),
        format!("{} cannot be read: {e}", path.display()),
    )
}

/// Makes a rename durable.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

/// Last part of the user's file name with nothing a file system could mind: letters (of any script), digits, `.-_`.
pub(crate) fn safe_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let safe: String = last
        .chars()
        .map(|c| if c.is_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' })
        .collect();
    // 64 + 32 hex digits stand before it and a name holds at most 255 bytes: keep the tail, which has the extension.
    let mut start = safe.len().saturating_sub(120);
    while !safe.is_char_boundary(start) {
        start += 1;
    }
    safe.get(start..).unwrap_or_default().to_owned()
}

/// Whether a path names a file of the inbox itself.
pub(super) fn in_inbox(app: &App, path: &Path) -> bool {
    path.parent().is_some_and(|folder| folder == app.folders.inbox)
}

/// The checksum of a source file: from its name when the inbox gave it, else by reading it.
pub(super) async fn checksum(app: &App, path: &Path) -> Result<String> {
    let named = path
        .file_name()
        .and_then(|n| n.to_str())
        .and_then(|n| n.split_once('.'))
        .map(|(sum, _)| sum)
        .filter(|sum| sum.len() == 64 && sum.bytes().all(|b| b.is_ascii_hexdigit()));
    if let Some(sum) = named.filter(|_| in_inbox(app, path)) {
        return Ok(sum.to_owned());
    }
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || read_checksum(&path))
        .await
        .map_err(|e| Error::internal("hashing a file").caused_by(e))?
}

fn read_checksum(path: &Path) -> Result<String> {
    use std::io::Read;
    let gone = |e: std::io::Error| {
        Error::new(
            Code::SourceUnavailable,
            format!("文件 `{}` 无法读取，请重新上传", shown(path)),
            format!("the file `{}` cannot be read; upload it again", shown(path)),
        )
        .caused_by(e)
    };
    let mut file = std::fs::File::open(path).map_err(gone)?;
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(gone)? {
            0 => return Ok(hasher.finish()),
            n => hasher.update(buffer.get(..n).unwrap_or_default()),
        }
    }
}

/// A file's own name, without the folder.
fn shown(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Takes a file out of the inbox; what is not there any more is as good.
pub(super) async fn discard(path: &Path) {
    if let Err(error) = tokio::fs::remove_file(path).await
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(error = %error, "a file could not be taken out of the inbox");
    }
}

/// Takes away files that nobody will come back for: older than `days` and not in `wanted`, and uploads that broke
/// off more than a day ago.
pub(super) async fn sweep(app: &App, wanted: &[PathBuf], days: u64) {
    let Ok(mut files) = tokio::fs::read_dir(&app.folders.inbox).await else { return };
    let now = std::time::SystemTime::from(app.now());
    while let Ok(Some(file)) = files.next_entry().await {
        let path = file.path();
        let Ok(about) = file.metadata().await else { continue };
        let age =
            about.modified().ok().and_then(|at| now.duration_since(at).ok()).unwrap_or_default();
        let part = path.extension().is_some_and(|e| e == "part");
        let limit = if part { 1 } else { days } * 86_400;
        if about.is_file() && age.as_secs() > limit && !wanted.contains(&path) {
            discard(&path).await;
        }
    }
}

fn too_large(name: &str, most: u64) -> Error {
    let size = if most >= 1 << 30 {
        format!("{:.1} GB", most as f64 / f64::from(1 << 30))
    } else {
        format!("{most} B")
    };
    Error::new(
        Code::TooLarge,
        format!("文件 `{name}` 超过上传上限 {size}，请拆分后分批上传"),
        format!(
            "the file `{name}` is larger than the limit of {size}; split it and upload the parts"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_safe_but_stay_telling() {
        assert_eq!(safe_name("../../etc/passwd"), "passwd");
        assert_eq!(safe_name("C:\\报表\\企业 信息.xlsx"), "企业_信息.xlsx");
        assert_eq!(safe_name("a\nb\0c.csv"), "a_b_c.csv");
        let long = format!("{}.csv", "数".repeat(200));
        assert!(safe_name(&long).len() <= 120 && safe_name(&long).ends_with("数.csv"));
    }
}

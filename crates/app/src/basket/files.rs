//! Files that go with a form (附件): streamed into the inbox folder, checked by kind and size, shown to the parties and
//! given to nobody else.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use guard::hash::{HashAlgorithm, Hasher};
use model::basket::{Attachment, Bundle};
use model::{Code, Error, Op, Result};
use policy::{Action, Permit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::hold::permit;
use super::look::target;
use crate::{App, audit};

/// Bytes read at a time.
const STEP: usize = 64 * 1024;
/// Longest name, characters.
const NAME: usize = 200;

/// Files that wait in the caller's basket.
pub async fn files(app: &App, op: &Op) -> Result<Vec<Attachment>> {
    permit(app, op).await?;
    app.store.attachments_waiting(op.actor.id()).await
}

/// Takes a file in: with a form of one's organisation that is under way, or without one into the basket. The name tells
/// its kind, and the content must begin as that kind does.
pub async fn attach(
    app: &App,
    op: &Op,
    bundle: Option<&str>,
    name: &str,
    bytes: BoxStream<'static, Result<Bytes>>,
) -> Result<Attachment> {
    let (permit, there) = match bundle {
        None => (permit(app, op).await?, app.store.attachments_waiting(op.actor.id()).await?),
        Some(id) => {
            let bundle = super::bundle(app, op, id).await?;
            let permit = audit::permit(app, op, Action::ApprovalFollow, &target(&bundle)).await?;
            open(&bundle)?;
            (permit, bundle.files)
        }
    };
    let file = receive(app, op, bundle, there.len(), name, bytes).await?;
    if let Err(e) = kept(app, op, &permit, &file).await {
        forget(app, &file.id).await;
        return Err(e);
    }
    Ok(file)
}

/// Writes a file into the inbox beside `there` others of its form; the caller keeps what is known of it, or forgets it.
pub(crate) async fn receive(
    app: &App,
    op: &Op,
    bundle: Option<&str>,
    there: usize,
    name: &str,
    bytes: BoxStream<'static, Result<Bytes>>,
) -> Result<Attachment> {
    let rules = &app.rules.basket.attachment;
    if there >= rules.most {
        return Err(Error::new(
            Code::RuleBroken,
            format!("附件最多 {} 个", rules.most),
            format!("{} files at most", rules.most),
        )
        .field("file", "请先移除不用的附件", "take away a file that is not needed first"));
    }
    let name = plain_name(name)?;
    let kind = rules.kind_of(&name).ok_or_else(|| wrong_kind(rules.words()))?;
    let part = spool(app, op, rules.bytes, bytes).await?;
    if !kind.begins(&part.head) {
        part.discard().await;
        return Err(Error::invalid(
            format!("文件内容不是 {} 格式", kind.ext),
            format!("the content is not that of a {} file", kind.ext),
        )
        .field("file", "扩展名与内容不符", "its name and its content do not agree"));
    }
    let file = Attachment {
        id: part.id.clone(),
        bundle: bundle.map(str::to_owned),
        owner: op.actor.id().to_owned(),
        owner_name: op.actor.name().to_owned(),
        name,
        media: kind.media.clone(),
        bytes: part.size,
        checksum: part.checksum.clone(),
        at: op.stamp(),
    };
    part.keep().await?;
    Ok(file)
}

/// A content that was written into the inbox and is not yet kept.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) id: String,
    pub(crate) size: u64,
    /// SHA-256, in hex.
    pub(crate) checksum: String,
    /// Its first bytes.
    head: Vec<u8>,
    written: PathBuf,
    place: PathBuf,
}

impl Part {
    /// Where it can be read meanwhile.
    pub(crate) fn path(&self) -> &Path {
        &self.written
    }
    /// Keeps it under its id, for [`content`] and [`forget`].
    pub(crate) async fn keep(self) -> Result<()> {
        tokio::fs::rename(&self.written, &self.place).await.map_err(unwritable)
    }
    pub(crate) async fn discard(self) {
        discard(&self.written).await;
    }
}

/// Writes a content of `most` bytes at most into the inbox.
pub(crate) async fn spool(
    app: &App,
    op: &Op,
    most: u64,
    bytes: BoxStream<'static, Result<Bytes>>,
) -> Result<Part> {
    let (id, folder) = (op.new_id(), folder(app));
    let written = folder.join(format!("{id}.part"));
    match write(&folder, &written, most, bytes).await {
        Ok((size, checksum, head)) => {
            Ok(Part { place: folder.join(&id), id, size, checksum, head, written })
        }
        Err(e) => {
            discard(&written).await;
            Err(e)
        }
    }
}

/// Takes the content of a file away.
pub(crate) async fn forget(app: &App, id: &str) {
    discard(&folder(app).join(id)).await;
}

async fn kept(app: &App, op: &Op, permit: &Permit, file: &Attachment) -> Result<()> {
    let mut event = audit::event(op, "basket.attach", &file.id);
    event.request = file.bundle.clone().unwrap_or_default();
    event.scope = format!("{} {} {}", file.media, file.bytes, file.checksum);
    audit::record(app, event).await?;
    app.store.attachment_insert(permit, file).await
}

/// A form whose parts are all decided takes no more files.
fn open(bundle: &Bundle) -> Result<()> {
    if bundle.parts.iter().any(|p| !p.phase.over()) {
        return Ok(());
    }
    Err(Error::new(
        Code::WrongState,
        "各项均已办结，不能再加附件",
        "every part is decided: no more files are taken",
    ))
}

/// Takes a file out of the caller's basket; one that was filed stays with its form.
pub async fn detach(app: &App, op: &Op, id: &str) -> Result<()> {
    let permit = permit(app, op).await?;
    if !app.store.attachment_remove(&permit, id, op.actor.id()).await? {
        return Err(Error::not_found("申请篮中的附件", "file of your basket", id));
    }
    discard(&folder(app).join(id)).await;
    audit::record(app, audit::event(op, "basket.detach", id)).await
}

/// A file with its content as a stream, for whoever may see the form it belongs to (while it waits: for its owner).
pub async fn attachment(
    app: &App,
    op: &Op,
    id: &str,
) -> Result<(Attachment, BoxStream<'static, std::io::Result<Bytes>>)> {
    let unknown = || Error::not_found("附件", "file", id);
    let file = app.store.attachment_get(id).await?.ok_or_else(unknown)?;
    match &file.bundle {
        None if file.owner == op.actor.id() => {}
        None => return Err(unknown()),
        Some(bundle) => match super::bundle(app, op, bundle).await {
            Ok(_) => {}
            Err(e) if e.kind() == model::Kind::NotFound => return Err(unknown()),
            Err(e) => return Err(e),
        },
    }
    let pieces = content(app, &file.id).await?;
    let mut event = audit::event(op, "basket.attachment", &file.id);
    event.request = file.bundle.clone().unwrap_or_default();
    event.scope = file.checksum.clone();
    audit::record(app, event).await?;
    Ok((file, pieces))
}

/// The content of a file as a stream.
pub(crate) async fn content(
    app: &App,
    id: &str,
) -> Result<BoxStream<'static, std::io::Result<Bytes>>> {
    let content = tokio::fs::File::open(folder(app).join(id)).await.map_err(|e| {
        Error::new(
            Code::StoreUnavailable,
            "附件内容暂时无法读取，请联系系统管理员检查收件目录",
            "the file's content cannot be read now: ask the administrator to check the inbox folder",
        )
        .caused_by(e)
    })?;
    let pieces = stream::unfold(content, |mut content| async move {
        let mut piece = vec![0; STEP];
        match content.read(&mut piece).await {
            Ok(0) => None,
            Ok(n) => {
                piece.truncate(n);
                Some((Ok(Bytes::from(piece)), content))
            }
            Err(e) => Some((Err(e), content)),
        }
    });
    Ok(pieces.boxed())
}

fn folder(app: &App) -> PathBuf {
    app.folders.inbox.join("attachments")
}

async fn write(
    folder: &Path,
    part: &Path,
    most: u64,
    mut bytes: BoxStream<'static, Result<Bytes>>,
) -> Result<(u64, String, Vec<u8>)> {
    tokio::fs::create_dir_all(folder).await.map_err(unwritable)?;
    let mut file = tokio::fs::File::create(part).await.map_err(unwritable)?;
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    let (mut size, mut head) = (0_u64, Vec::new());
    while let Some(piece) = bytes.next().await {
        let piece = piece?;
        size = size.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if size > most {
            let most = most / 1024 / 1024;
            return Err(Error::new(
                Code::TooLarge,
                format!("附件最大 {most} MB"),
                format!("a file has {most} MB at most"),
            )
            .field("file", "请压缩或拆分", "compress or split it"));
        }
        if head.len() < 16 {
            head.extend(piece.iter().take(16));
        }
        hasher.update(&piece);
        file.write_all(&piece).await.map_err(unwritable)?;
    }
    if size == 0 {
        return Err(Error::invalid("附件是空的", "the file is empty").field(
            "file",
            "请另选文件",
            "choose another file",
        ));
    }
    file.flush().await.map_err(unwritable)?;
    file.sync_all().await.map_err(unwritable)?;
    Ok((size, hasher.finish(), head))
}

fn unwritable(e: std::io::Error) -> Error {
    Error::new(
        Code::StoreUnavailable,
        "收件目录无法写入，请检查磁盘空间和权限后重试",
        "the inbox cannot be written; check disk space and permissions, then try again",
    )
    .caused_by(e)
}

async fn discard(place: &Path) {
    if let Err(e) = tokio::fs::remove_file(place).await
        && e.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(error = %e, "a file could not be taken out of the inbox");
    }
}

/// The file's own name without its path; control characters are refused.
pub(crate) fn plain_name(name: &str) -> Result<String> {
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name).trim();
    let length = name.chars().count();
    if length == 0 || length > NAME || name.chars().any(char::is_control) {
        return Err(Error::invalid(
            format!("文件名为 1 至 {NAME} 个字，不含控制字符"),
            format!("a file's name has 1 to {NAME} characters and no control characters"),
        )
        .field("file", "请改名后上传", "rename it and upload it again"));
    }
    Ok(name.to_owned())
}

pub(crate) fn wrong_kind(words: String) -> Error {
    Error::invalid(
        format!("附件可用的格式：{words}"),
        format!("files may be of these kinds: {words}"),
    )
    .field("file", "请另选文件", "choose another file")
}

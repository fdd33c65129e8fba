//! Files that people hand in (附件), whatever they go with: streamed into the inbox folder, told by their content ([`FileSort`]), kept under
//! an id, given out as a stream. Who may hand in and who may have a file is the business of the room that it goes with.

mod sort;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use guard::hash::{HashAlgorithm, Hasher};
use model::{Code, Error, Op, Result};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub use sort::FileSort;

use crate::App;
use crate::collection::unwritable;

/// Bytes read at a time.
const STEP: usize = 64 * 1024;
/// Longest name, characters.
const NAME: usize = 200;

/// Files that go with one thing (a form, a work), by a rule file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRules {
    /// Most bytes of one file.
    pub bytes: u64,
    /// Most files of one thing.
    pub most: usize,
    /// What is taken.
    pub kinds: Vec<FileSort>,
}

impl FileRules {
    /// None are taken by a rule file that says nothing of them.
    pub(crate) fn none() -> Self {
        Self { bytes: 0, most: 0, kinds: Vec::new() }
    }

    /// All kinds in words.
    #[must_use]
    pub fn words(&self) -> String {
        words(&self.kinds)
    }

    /// Ends of names for a browser's file chooser: `.pdf,.jpg,.jpeg`.
    #[must_use]
    pub fn accept(&self) -> String {
        let ends = self.kinds.iter().flat_map(|k| k.ends());
        ends.map(|end| format!(".{end}")).collect::<Vec<_>>().join(",")
    }
}

fn words(kinds: &[FileSort]) -> String {
    let ends = kinds.iter().filter_map(|k| k.ends().first().copied());
    ends.collect::<Vec<_>>().join("、")
}

/// A file that was taken in.
pub(crate) struct TakenIn {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) media: &'static str,
    pub(crate) bytes: u64,
    /// SHA-256, in hex.
    pub(crate) checksum: String,
}

/// Writes a file of `most` bytes at most into the inbox, if its content tells that it is of one of these kinds; the caller keeps what is
/// known of it, or forgets it.
pub(crate) async fn take_in(
    app: &App,
    op: &Op,
    most: u64,
    kinds: &[FileSort],
    name: &str,
    bytes: BoxStream<'static, Result<Bytes>>,
) -> Result<TakenIn> {
    let name = plain_name(name)?;
    let part = spool(app, op, most, bytes).await?;
    let sort = told(part.path()).await?.filter(|sort| kinds.contains(sort));
    let sort = sort.ok_or_else(|| wrong_kind(words(kinds)))?;
    let taken = TakenIn {
        id: part.id.clone(),
        name: sort.named(&name),
        media: sort.media(),
        bytes: part.size,
        checksum: part.checksum.clone(),
    };
    part.keep().await?;
    Ok(taken)
}

/// What the content of a file is.
async fn told(path: &std::path::Path) -> Result<Option<FileSort>> {
    let path = path.to_owned();
    let looked = tokio::task::spawn_blocking(move || {
        FileSort::of(std::io::BufReader::new(std::fs::File::open(path)?))
    });
    let found = looked.await.map_err(|e| Error::internal("looking at a file").caused_by(e))?;
    found.map_err(|e| {
        Error::new(
            Code::StoreUnavailable,
            "收件目录无法读取，请稍后重试",
            "the inbox cannot be read: try again later",
        )
        .caused_by(e)
    })
}

/// A content that was written into the inbox and is not yet kept. It goes away with its holder, whether that failed or its caller
/// hung up.
#[derive(Debug)]
struct Part {
    id: String,
    size: u64,
    /// SHA-256, in hex.
    checksum: String,
    written: Written,
    place: PathBuf,
}

impl Part {
    /// Where it can be read meanwhile.
    fn path(&self) -> &Path {
        self.written.path()
    }

    /// Keeps it under its id, for [`content`] and [`forget`].
    async fn keep(mut self) -> Result<()> {
        tokio::fs::rename(self.written.path(), &self.place).await.map_err(unwritable)?;
        self.written.0 = None;
        Ok(())
    }
}

/// A file that is taken away with its holder.
#[derive(Debug)]
struct Written(Option<PathBuf>);

impl Written {
    fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        if let Some(path) = self.0.take()
            && let Err(error) = std::fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(error = %error, "a part of a file could not be taken away");
        }
    }
}

/// Writes a content of `most` bytes at most into the inbox.
async fn spool(
    app: &App,
    op: &Op,
    most: u64,
    bytes: BoxStream<'static, Result<Bytes>>,
) -> Result<Part> {
    let (id, folder) = (op.new_id(), folder(app));
    let written = Written(Some(folder.join(format!("{id}.part"))));
    let (size, checksum) = write(&folder, written.path(), most, bytes).await?;
    Ok(Part { place: folder.join(&id), id, size, checksum, written })
}

/// Takes the content of a file away.
pub(crate) async fn forget(app: &App, id: &str) {
    discard(&folder(app).join(id)).await;
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
) -> Result<(u64, String)> {
    tokio::fs::create_dir_all(folder).await.map_err(unwritable)?;
    let mut file = tokio::fs::File::create(part).await.map_err(unwritable)?;
    let mut hasher = Hasher::new(HashAlgorithm::Sha256);
    let mut size = 0_u64;
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
    Ok((size, hasher.finish()))
}

async fn discard(place: &Path) {
    if let Err(e) = tokio::fs::remove_file(place).await
        && e.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(error = %e, "a file could not be taken out of the inbox");
    }
}

/// The file's own name without its path; control characters are refused.
fn plain_name(name: &str) -> Result<String> {
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

fn wrong_kind(words: String) -> Error {
    Error::invalid(
        format!("附件可用的格式：{words}"),
        format!("files may be of these kinds: {words}"),
    )
    .field("file", "请另选文件", "choose another file")
}

//! What lies in a file once its wrappers (gzip, zstd, zip) are taken off, told by its bytes and not by its name.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::{Code, Error, Result};

use crate::bounds::{self, Watched};

/// What kind of content was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text of some sort: a table, JSON or JSON lines.
    Text,
    Xlsx,
    Xlsb,
    Xls,
    Ods,
    Parquet,
}

/// One wrapper to take off while reading.
#[derive(Clone, Debug)]
enum Layer {
    Gzip,
    Zstd,
    ZipMember { start: u64, packed: u64, deflated: bool, crc: u32 },
}

/// A file that can be opened again and again from its start, without its wrappers.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    path: PathBuf,
    /// Keeps an unpacked copy alive for formats that need to seek.
    unpacked: Option<Arc<tempfile::TempPath>>,
    layers: Vec<Layer>,
    pub(crate) kind: Kind,
    /// `none`, `gzip`, `zstd`, `zip`
    pub(crate) compression: &'static str,
    /// The name inside the wrappers (`a.csv` of `a.csv.gz`), or the given name.
    pub(crate) inner_name: String,
    /// Size of the file on disk.
    pub(crate) bytes_total: u64,
    pub(crate) notes: Vec<(String, String)>,
}

/// Largest unpacked copy of a workbook or Parquet file inside a wrapper.
const UNPACK_LIMIT: u64 = 4 << 30;

pub(crate) fn bad_file(zh: impl Into<String>, en: impl Into<String>) -> Error {
    Error::new(Code::InvalidFile, zh, en)
}

fn unsupported(zh: impl Into<String>, en: impl Into<String>) -> Error {
    Error::new(Code::UnsupportedFormat, zh, en)
}

/// An input error in words for the user; `UnexpectedEof` inside a wrapper means a cut-off file.
pub(crate) fn io_error(error: io::Error) -> Error {
    if let Some(swelling) = bounds::swelling(&error) {
        return swelling;
    }
    let cut_off = matches!(error.kind(), io::ErrorKind::UnexpectedEof);
    let wrong = matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other
    );
    let out = if cut_off {
        bad_file(
            "文件不完整（压缩数据在中途结束），请重新上传完整的文件",
            "the file is incomplete (its compressed data end too early); upload the whole file again",
        )
    } else if wrong {
        bad_file(
            "压缩数据已损坏，请重新压缩后上传",
            "the compressed data are corrupt; compress the file again",
        )
    } else {
        bad_file("文件无法读取", "the file cannot be read")
    };
    out.caused_by(error)
}

struct Counting<R> {
    inner: R,
    done: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.done.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// Checks the sum of a zip member when its end is reached.
struct Checked<R> {
    inner: flate2::CrcReader<R>,
    want: u32,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        if n == 0 && !buf.is_empty() && self.inner.crc().sum() != self.want {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "wrong checksum of a zip member",
            ));
        }
        Ok(n)
    }
}

impl Content {
    /// Recognises a file. `member` chooses among the files of a zip.
    pub(crate) fn open(path: &Path, name: &str, member: Option<&str>) -> Result<Self> {
        let bytes_total = std::fs::metadata(path)
            .map_err(|e| {
                bad_file("文件不存在或无法打开", "the file does not exist or cannot be opened")
                    .caused_by(e)
            })
            .and_then(|m| {
                if m.is_file() {
                    Ok(m.len())
                } else {
                    Err(bad_file(
                        "这不是文件（可能是文件夹）",
                        "this is not a file (a folder, perhaps)",
                    ))
                }
            })?;
        let mut content = Self {
            path: path.to_owned(),
            unpacked: None,
            layers: Vec::new(),
            kind: Kind::Text,
            compression: "none",
            inner_name: name.to_owned(),
            bytes_total,
            notes: Vec::new(),
        };
        for _ in 0..3 {
            let head = content.head(8 << 10)?;
            if head.is_empty() {
                return Err(bad_file(
                    "文件是空的（0 字节），没有数据可读",
                    "the file is empty (0 bytes); there is nothing to read",
                ));
            }
            if !content.unwrap_one(&head, member)? {
                return Ok(content);
            }
        }
        Err(unsupported(
            "压缩嵌套过深，请先解压",
            "too many layers of compression; unpack the file first",
        ))
    }

    /// Takes one wrapper off, or settles the kind and answers `false`.
    fn unwrap_one(&mut self, head: &[u8], member: Option<&str>) -> Result<bool> {
        if head.starts_with(&[0x1f, 0x8b]) {
            self.wrapped("gzip", Layer::Gzip, &[".gz", ".gzip"]);
            return Ok(true);
        }
        if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) || skippable_zstd(head) {
            self.wrapped("zstd", Layer::Zstd, &[".zst", ".zstd"]);
            return Ok(true);
        }
        if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
            return self.zip(member);
        }
        if head.starts_with(&[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]) {
            self.compound()?;
            return Ok(false);
        }
        if head.starts_with(b"PAR1") {
            self.kind = Kind::Parquet;
            return Ok(false);
        }
        refuse_known(head)?;
        self.kind = Kind::Text;
        Ok(false)
    }

    fn wrapped(&mut self, word: &'static str, layer: Layer, endings: &[&str]) {
        if self.compression == "none" {
            self.compression = word;
        }
        self.layers.push(layer);
        let lower = self.inner_name.to_ascii_lowercase();
        for ending in endings {
            if lower.ends_with(ending) {
                let keep = self.inner_name.len().saturating_sub(ending.len());
                self.inner_name = self.inner_name.get(..keep).unwrap_or_default().to_owned();
                break;
            }
        }
    }

    /// A zip is a workbook or a wrapper around one data file.
    fn zip(&mut self, member: Option<&str>) -> Result<bool> {
        let file = self.seekable()?;
        let corrupt = |e: zip::result::ZipError| {
            bad_file(
                "ZIP 或 XLSX 容器已损坏（找不到完整的目录），请重新保存或上传",
                "the zip or xlsx container is corrupt (no complete directory); save or upload it again",
            )
            .caused_by(e)
        };
        let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(corrupt)?;
        let mut members = Vec::new();
        for index in 0..archive.len().min(100_000) {
            let raw = archive.by_index_raw(index).map_err(corrupt)?;
            members.push((index, member_name(raw.name_raw()), raw.is_dir()));
        }
        let has = |name: &str| members.iter().any(|m| m.1.eq_ignore_ascii_case(name));
        let macros = members.iter().any(|m| m.1.to_ascii_lowercase().ends_with("vbaproject.bin"));
        let kind = if has("xl/workbook.bin") {
            Some(Kind::Xlsb)
        } else if has("xl/workbook.xml")
            || members.iter().any(|m| m.1.starts_with("xl/worksheets/"))
        {
            Some(Kind::Xlsx)
        } else if has("content.xml") && (has("mimetype") || has("META-INF/manifest.xml")) {
            Some(Kind::Ods)
        } else {
            None
        };
        if let Some(kind) = kind {
            if macros {
                self.notes.push((
                    "工作簿含有宏，宏已忽略，只读取单元格的值".to_owned(),
                    "the workbook holds macros; they are ignored and only cell values are read"
                        .to_owned(),
                ));
            }
            self.kind = kind;
            return Ok(false);
        }
        if members.iter().any(|m| m.1.starts_with("word/") || m.1.starts_with("ppt/")) {
            return Err(unsupported(
                "这是 Word 或 PowerPoint 文档，不是数据表；请把表格另存为 XLSX 或 CSV",
                "this is a Word or PowerPoint document, not a table; save the table as XLSX or CSV",
            ));
        }
        let chosen = choose_member(&members, member)?;
        let entry = archive.by_index_raw(chosen.0).map_err(corrupt)?;
        if entry.encrypted() {
            return Err(bad_file(
                format!("压缩包中的「{}」有密码保护，请去掉密码后上传", chosen.1),
                format!(
                    "`{}` in the zip is protected by a password; remove it and upload again",
                    chosen.1
                ),
            ));
        }
        let deflated = match entry.compression() {
            zip::CompressionMethod::Stored => false,
            zip::CompressionMethod::Deflated => true,
            _ => {
                return Err(unsupported(
                    format!(
                        "压缩包中的「{}」用了不常见的压缩方式，请用普通 ZIP 重新压缩",
                        chosen.1
                    ),
                    format!("`{}` is packed with an unusual method; use plain zip", chosen.1),
                ));
            }
        };
        let start =
            entry.data_start().ok_or_else(|| bad_file("压缩包已损坏", "the zip is corrupt"))?;
        let layer = Layer::ZipMember {
            start,
            packed: entry.compressed_size(),
            deflated,
            crc: entry.crc32(),
        };
        drop(entry);
        self.inner_name = chosen.1;
        if self.compression == "none" {
            self.compression = "zip";
        }
        self.layers.push(layer);
        Ok(true)
    }

    /// An OLE compound file: an old workbook, an encrypted new one, or another Office document.
    fn compound(&mut self) -> Result<()> {
        let head = self.head(64 << 20)?;
        let holds = |name: &str| {
            let wide: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
            memchr::memmem::find(&head, &wide).is_some()
        };
        if holds("EncryptedPackage") {
            return Err(password());
        }
        if holds("Workbook") || holds("Book") {
            if holds("_VBA_PROJECT_CUR") || holds("_VBA_PROJECT") {
                self.notes.push((
                    "工作簿含有宏，宏已忽略，只读取单元格的值".to_owned(),
                    "the workbook holds macros; they are ignored and only cell values are read"
                        .to_owned(),
                ));
            }
            self.kind = Kind::Xls;
            return Ok(());
        }
        if holds("WordDocument") || holds("PowerPoint Document") {
            return Err(unsupported(
                "这是 Word 或 PowerPoint 文档，不是数据表；请把表格另存为 XLSX 或 CSV",
                "this is a Word or PowerPoint document, not a table; save the table as XLSX or CSV",
            ));
        }
        Err(bad_file(
            "这是旧式 Office 文件，但其中没有可读的工作簿；请用 Excel 打开后另存为 XLSX",
            "an old Office file without a readable workbook; open it in Excel and save it as XLSX",
        ))
    }

    /// Opens the content from its start; `done` counts bytes taken from the file on disk.
    pub(crate) fn stream(&self, done: Arc<AtomicU64>) -> Result<Box<dyn Read + Send>> {
        let mut file = File::open(&self.path).map_err(io_error)?;
        if let Some(Layer::ZipMember { start, .. }) = self.layers.first() {
            file.seek(SeekFrom::Start(*start)).map_err(io_error)?;
        }
        let packed = Arc::default();
        let file = Counting { inner: file, done };
        let mut reader: Box<dyn Read + Send> =
            Box::new(Counting { inner: file, done: Arc::clone(&packed) });
        for (depth, layer) in self.layers.iter().enumerate() {
            reader = match layer {
                Layer::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(
                    BufReader::with_capacity(256 << 10, reader),
                )),
                Layer::Zstd => {
                    Box::new(zstd::stream::read::Decoder::new(reader).map_err(io_error)?)
                }
                Layer::ZipMember { start, packed, deflated, crc } => {
                    if depth > 0 {
                        // Inside another wrapper there is no seeking: skip to the member.
                        io::copy(&mut reader.by_ref().take(*start), &mut io::sink())
                            .map_err(io_error)?;
                    }
                    let packed = BufReader::with_capacity(256 << 10, reader.take(*packed));
                    let plain: Box<dyn Read + Send> = if *deflated {
                        Box::new(flate2::bufread::DeflateDecoder::new(packed))
                    } else {
                        Box::new(packed)
                    };
                    Box::new(Checked { inner: flate2::CrcReader::new(plain), want: *crc })
                }
            };
        }
        if !self.layers.is_empty() {
            reader = Box::new(Watched::new(reader, packed));
        }
        Ok(reader)
    }

    /// The first bytes, at most `limit`.
    pub(crate) fn head(&self, limit: u64) -> Result<Vec<u8>> {
        let mut head = Vec::new();
        self.stream(Arc::default())?.take(limit).read_to_end(&mut head).map_err(io_error)?;
        Ok(head)
    }

    /// A file handle on the bare content, unpacked to a temporary file when it lies in a wrapper.
    pub(crate) fn seekable(&mut self) -> Result<File> {
        if self.layers.is_empty() {
            return File::open(&self.path).map_err(io_error);
        }
        let mut file = tempfile::NamedTempFile::new().map_err(io_error)?;
        let copied = io::copy(&mut self.stream(Arc::default())?.take(UNPACK_LIMIT + 1), &mut file)
            .map_err(io_error)?;
        if copied > UNPACK_LIMIT {
            return Err(Error::new(
                Code::TooLarge,
                "解压后超过 4 GiB，请拆分文件或改用 CSV",
                "larger than 4 GiB when unpacked; split the file or use CSV",
            ));
        }
        let path = file.into_temp_path();
        self.path = path.to_path_buf();
        self.unpacked = Some(Arc::new(path));
        self.layers.clear();
        File::open(&self.path).map_err(io_error)
    }

    /// Lower-case ending of the inner name, without the dot.
    pub(crate) fn ending(&self) -> String {
        self.inner_name.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase()).unwrap_or_default()
    }
}

/// The refusal of an encrypted workbook.
pub(crate) fn password() -> Error {
    bad_file(
        "工作簿有密码保护，无法读取；请在 Excel 中去掉打开密码后重新上传",
        "the workbook is protected by a password; remove it in Excel and upload again",
    )
}

fn skippable_zstd(head: &[u8]) -> bool {
    matches!(head, [b, 0x2a, 0x4d, 0x18, ..] if (0x50..=0x5f).contains(b))
}

/// Names in zips made on Chinese Windows are GBK without saying so.
fn member_name(raw: &[u8]) -> String {
    match std::str::from_utf8(raw) {
        Ok(name) => name.to_owned(),
        Err(_) => encoding_rs::GB18030.decode_without_bom_handling(raw).0.into_owned(),
    }
}

fn choose_member(
    members: &[(usize, String, bool)],
    wanted: Option<&str>,
) -> Result<(usize, String)> {
    let hidden = |name: &str| {
        name.starts_with("__MACOSX/")
            || name.rsplit('/').next().is_some_and(|n| n.starts_with('.') || n == "Thumbs.db")
    };
    let files: Vec<&(usize, String, bool)> =
        members.iter().filter(|m| !m.2 && !hidden(&m.1)).collect();
    let take = |m: &(usize, String, bool)| (m.0, m.1.clone());
    if let Some(wanted) = wanted {
        let found = files.iter().find(|m| m.1 == wanted || m.1.rsplit('/').next() == Some(wanted));
        if let Some(found) = found {
            return Ok(take(found));
        }
    }
    let data = |name: &str| {
        let lower = name.to_ascii_lowercase();
        let lower = lower.trim_end_matches(".gz").trim_end_matches(".zst");
        [
            "csv", "tsv", "txt", "tab", "psv", "dat", "json", "jsonl", "ndjson", "geojson", "xlsx",
            "xlsm", "xlsb", "xls", "ods", "parquet",
        ]
        .iter()
        .any(|e| lower.ends_with(&format!(".{e}")))
            && !["readme.txt", "license.txt", "说明.txt"].iter().any(|r| lower.ends_with(r))
    };
    let candidates: Vec<_> = files.iter().filter(|m| data(&m.1)).collect();
    match (candidates.as_slice(), files.as_slice()) {
        ([one], _) => Ok(take(one)),
        ([], [one]) => Ok(take(one)),
        ([], []) => Err(bad_file("压缩包是空的，没有文件", "the zip holds no file")),
        _ => {
            let names = crate::why::cut(
                &files.iter().map(|m| m.1.as_str()).collect::<Vec<_>>().join("、"),
                300,
            );
            Err(bad_file(
                format!(
                    "压缩包里有 {} 个文件（{names}），请只保留一个，或用「工作表」选项写明文件名",
                    files.len()
                ),
                format!(
                    "the zip holds {} files ({names}); keep one, or name it in the sheet option",
                    files.len()
                ),
            ))
        }
    }
}

/// Formats that are known and not tables, with the way out.
fn refuse_known(head: &[u8]) -> Result<()> {
    let known: [(&[u8], &str, &str); 15] = [
        (b"%PDF", "PDF 文档", "a PDF document"),
        (b"\x89PNG", "PNG 图片", "a PNG image"),
        (b"\xff\xd8\xff", "JPEG 图片", "a JPEG image"),
        (b"GIF8", "GIF 图片", "a GIF image"),
        (b"Rar!", "RAR 压缩包", "a RAR archive"),
        (b"7z\xbc\xaf\x27\x1c", "7z 压缩包", "a 7z archive"),
        (b"BZh", "bzip2 压缩文件", "a bzip2 file"),
        (b"\xfd7zXZ\x00", "xz 压缩文件", "an xz file"),
        (b"SQLite format 3\x00", "SQLite 数据库", "an SQLite data base"),
        (b"PARE", "加密的 Parquet 文件", "an encrypted Parquet file"),
        (b"ORC", "ORC 文件", "an ORC file"),
        (b"Obj\x01", "Avro 文件", "an Avro file"),
        (b"ARROW1", "Arrow 文件", "an Arrow file"),
        (b"{\\rtf", "RTF 文档", "an RTF document"),
        (b"\x00\x00\x27\x0a", "Shapefile 文件", "a shapefile"),
    ];
    for (magic, zh, en) in known {
        if head.starts_with(magic)
            && !(magic == b"ORC" && head.get(3).is_some_and(|b| (0x20..0x7f).contains(b)))
        {
            return Err(unsupported(
                format!("这是{zh}，不能作为数据表读取；请提供 CSV、XLSX、JSON、Parquet 或 GeoJSON"),
                format!(
                    "this is {en} and cannot be read as a table; provide CSV, XLSX, JSON, Parquet or GeoJSON"
                ),
            ));
        }
    }
    if matches!(head, [0x09, 0x00 | 0x02 | 0x04 | 0x08, ..])
        && head.get(2..4).is_some_and(|b| b.contains(&0))
        && head.iter().take(64).filter(|b| **b == 0).count() > 4
    {
        return Err(unsupported(
            "这是很旧的 Excel 格式（无容器的 BIFF），请用 Excel 打开后另存为 XLSX",
            "a very old Excel format (bare BIFF); open it in Excel and save it as XLSX",
        ));
    }
    if head.get(257..262) == Some(b"ustar") {
        return Err(unsupported("这是 tar 包，请先解包", "this is a tar archive; unpack it first"));
    }
    Ok(())
}

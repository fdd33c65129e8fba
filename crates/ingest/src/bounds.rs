//! What a packed file may grow to when it is unpacked, whatever it says of itself: bombs end here, before a parser sees them.
//!
//! Texts are read in constant memory, so that of them only the proportion counts ([`Watched`]). Of a workbook a parser keeps some parts
//! whole, and of a sheet the cell it is at: [`workbook`] looks at every part first. What its directory tells is enough to refuse; what
//! it tells is then held against what is really there, piece by piece and without keeping any of it.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::reading::promise::{Promise, holds_texts};
use model::{Code, Error, Result};
use zip::ZipArchive;

use crate::content::{Kind, bad_file};
use crate::{biff, spread};

/// Unpacked bytes below which no proportion is looked at.
const FREELY: u64 = 1 << 30;
/// Unpacked bytes for each packed one, at most. Tables of one value a million times over come to a hundred.
const PROPORTION: u64 = 300;
/// Unpacked bytes of all parts of a workbook.
const ALL: u64 = 4 << 30;
/// Unpacked bytes of the parts that a parser keeps in memory: texts, styles, names; the content of an ODS.
const KEPT: u64 = 256 << 20;
/// Bytes of a sheet from the start of one cell or row to the next.
const CELL: u64 = 64 << 20;
/// Parts of a workbook.
const PARTS: usize = 65_536;
const STEP: usize = 1 << 16;

/// Why a reading of something packed ends: it grows beyond all proportion.
#[derive(Debug)]
struct Swelling;

impl fmt::Display for Swelling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unpacks to more than its size lets expect")
    }
}

impl std::error::Error for Swelling {}

/// The refusal, if this is why a reading failed.
pub(crate) fn swelling(error: &io::Error) -> Option<Error> {
    error.get_ref()?.is::<Swelling>().then(|| {
        too_large(
            format!("解压后超过 1 GiB，且为压缩前的 {PROPORTION} 倍以上，疑似压缩炸弹，已停止读取；确为数据的，请上传未压缩的文件"),
            format!("it unpacks to more than 1 GiB and to over {PROPORTION} times its size, as zip bombs do; reading has stopped. If these are data, upload the file without compression"),
        )
    })
}

fn too_large(zh: impl Into<String>, en: impl Into<String>) -> Error {
    Error::new(Code::TooLarge, zh, en)
}

/// Unpacked bytes on their way, held against the packed ones that were taken for them.
pub(crate) struct Watched<R> {
    inner: R,
    packed: Arc<AtomicU64>,
    unpacked: u64,
}

impl<R> Watched<R> {
    /// `packed` counts the bytes that `inner` takes.
    pub(crate) fn new(inner: R, packed: Arc<AtomicU64>) -> Self {
        Self { inner, packed, unpacked: 0 }
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.unpacked = self.unpacked.saturating_add(n as u64);
        let packed = self.packed.load(Ordering::Relaxed);
        if self.unpacked > FREELY && self.unpacked / PROPORTION > packed {
            return Err(io::Error::other(Swelling));
        }
        Ok(n)
    }
}

/// Looks at all parts of a workbook before it is parsed.
pub(crate) fn workbook(file: File, kind: Kind) -> Result<()> {
    if kind == Kind::Xls {
        return biff::check(file);
    }
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|e| broken(&e))?;
    if archive.len() > PARTS {
        return Err(too_large(
            format!("工作簿的部件超过 {PARTS} 个，不予读取"),
            format!("the workbook has more than {PARTS} parts and is not read"),
        ));
    }
    by_directory(&mut archive, kind)?;
    for n in 0..archive.len() {
        // What cannot be unpacked here cannot be unpacked by a parser.
        let Ok(part) = archive.by_index(n) else { continue };
        let (name, told) = (named(part.name_raw()), part.size());
        let mut part = part.take(told.saturating_add(1));
        let read = match (kind, sheet(&name, kind)) {
            (Kind::Ods, _) if name == "content.xml" => {
                spread::check(BufReader::new(&mut part))?;
                told.saturating_add(1) - part.limit()
            }
            (Kind::Xlsx, true) => cells(&mut part)?,
            (Kind::Xlsx, false) if holds_texts(&name) => texts(&mut part)?,
            _ => through(&mut part, |_| Ok(()))?,
        };
        if read > told {
            return Err(bad_file(
                "工作簿的目录与内容不符（部件实际比目录所写的大），请重新保存后上传",
                "the workbook's directory and its content do not agree (a part is larger than told); save it again and upload that",
            ));
        }
    }
    Ok(())
}

fn broken(detail: &dyn fmt::Display) -> Error {
    bad_file(
        "工作簿的容器已损坏，请重新保存后上传",
        "the container of the workbook is corrupt; save it again and upload that",
    )
    .detail(detail.to_string())
}

/// Refuses by what the directory tells, before anything is unpacked.
fn by_directory(archive: &mut ZipArchive<BufReader<File>>, kind: Kind) -> Result<()> {
    let (mut all, mut kept) = (0_u64, 0_u64);
    for n in 0..archive.len() {
        let part = archive.by_index_raw(n).map_err(|e| broken(&e))?;
        all = all.saturating_add(part.size());
        if !sheet(&named(part.name_raw()), kind) {
            kept = kept.saturating_add(part.size());
        }
    }
    if all > ALL {
        return Err(too_large(
            "工作簿解压后超过 4 GiB，未读取；请拆分文件或改用 CSV",
            "the workbook is larger than 4 GiB when unpacked and was not read; split it or use CSV",
        ));
    }
    if kept > KEPT {
        return Err(too_large(
            "工作簿中需整体装入内存的部分（共享文本等）解压后超过 256 MiB，未读取；请拆分文件或改用 CSV",
            "the parts of the workbook that are kept in memory (shared texts and the like) are larger than 256 MiB when unpacked, it was not read; split it or use CSV",
        ));
    }
    Ok(())
}

/// The name of a part as a parser looks for it.
fn named(raw: &[u8]) -> String {
    String::from_utf8_lossy(raw).replace('\\', "/").to_ascii_lowercase()
}

/// Parts that a parser reads cell by cell, or not at all.
fn sheet(name: &str, kind: Kind) -> bool {
    match kind {
        Kind::Ods => name.starts_with("pictures/"),
        _ => name.contains("worksheets/") || name.contains("media/"),
    }
}

/// Reads to the end, handing the bytes over; answers how many there were.
fn through(part: &mut dyn Read, mut look: impl FnMut(&[u8]) -> Result<()>) -> Result<u64> {
    let (mut piece, mut all) = (vec![0; STEP], 0_u64);
    loop {
        match part.read(&mut piece) {
            Ok(0) => return Ok(all),
            Ok(n) => {
                all += n as u64;
                look(piece.get(..n).unwrap_or_default())?;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            // A parser comes no further either, and says what is wrong.
            Err(_) => return Ok(all),
        }
    }
}

/// A table of texts, with what it promises.
fn texts(part: &mut dyn Read) -> Result<u64> {
    let mut promise = Promise::default();
    let read = through(part, |piece| {
        promise.feed(piece);
        Ok(())
    })?;
    match promise.sound() {
        true => Ok(read),
        false => Err(bad_file(
            "工作簿的共享文本表声称的条数与内容不符，请重新保存后上传",
            "the workbook's table of texts promises more than it holds; save it again and upload that",
        )),
    }
}

/// A sheet: from the start of a cell or row to the next there are not more bytes than a cell may have.
fn cells(part: &mut dyn Read) -> Result<u64> {
    let mut since = Since::default();
    through(part, |piece| {
        since.feed(piece);
        match since.longest() <= CELL {
            true => Ok(()),
            false => Err(too_large(
                "工作表中有超过 64 MiB 的单元格，不予读取；请拆分内容",
                "a cell of the sheet is larger than 64 MiB and is not read; split its content",
            )),
        }
    })
}

/// How long ago a cell or row began, in bytes of XML.
#[derive(Debug, Default)]
struct Since {
    at: u64,
    began: u64,
    longest: u64,
    /// The name after `<`, without its prefix, as far as it was read.
    name: Option<Vec<u8>>,
}

impl Since {
    fn longest(&self) -> u64 {
        self.longest.max(self.at - self.began)
    }

    fn feed(&mut self, piece: &[u8]) {
        let mut rest = piece;
        loop {
            if self.name.is_none() {
                let Some(next) = memchr::memchr(b'<', rest) else { break };
                self.at += next as u64 + 1;
                rest = rest.get(next + 1..).unwrap_or_default();
                self.name = Some(Vec::new());
            }
            let Some((byte, after)) = rest.split_first() else { return };
            rest = after;
            self.at += 1;
            self.letter(*byte);
        }
        self.at += rest.len() as u64;
    }

    fn letter(&mut self, byte: u8) {
        let Some(name) = &mut self.name else { return };
        match byte {
            b':' => name.clear(),
            b'>' | b'/' | b' ' | b'\t' | b'\r' | b'\n' => {
                if matches!(name.as_slice(), b"c" | b"row") {
                    self.longest = self.longest();
                    self.began = self.at;
                }
                self.name = None;
            }
            // Longer than what is looked for: no matter.
            _ if name.len() < 8 => name.push(byte),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn longest(text: &str, step: usize) -> u64 {
        let mut since = Since::default();
        text.as_bytes().chunks(step).for_each(|piece| since.feed(piece));
        since.longest()
    }

    #[test]
    fn cells_are_measured_from_start_to_start() {
        let long = "x".repeat(500);
        for (text, least, most) in [
            ("<row><c r=\"A1\"><v>1</v></c><c/></row>".to_owned(), 5, 40),
            (format!("<x:row><x:c><x:v>{long}</x:v></x:c><x:c/></x:row>"), 500, 540),
            (format!("<row><cell>{long}</cell><cols/>"), 500, 560),
            (
                format!("{}{}", "<c><v>1</v></c>".repeat(100), "<mergeCell/>".repeat(100)),
                1_200,
                1_300,
            ),
            (long, 500, 500),
        ] {
            for step in [1, 3, 4_096] {
                let found = longest(&text, step);
                assert!((least..=most).contains(&found), "{found} by {step}: {text}");
            }
        }
    }

    #[test]
    fn what_swells_is_stopped_and_said_so() {
        let packed = Arc::new(AtomicU64::new(1_000));
        let mut watched = Watched::new(io::repeat(0), Arc::clone(&packed));
        let error = io::copy(&mut watched, &mut io::sink()).unwrap_err();
        assert!(watched.unpacked < FREELY + (1 << 20));
        let told = swelling(&error).unwrap();
        assert_eq!(told.code(), Code::TooLarge);
        assert!(told.zh().contains("压缩炸弹") && told.en().contains("zip bombs"));
        // In proportion it goes on.
        packed.store(u64::MAX, Ordering::Relaxed);
        let mut piece = [0; 64];
        assert_eq!(watched.read(&mut piece).unwrap(), 64);
        assert!(swelling(&io::Error::other("else")).is_none());
    }
}

//! What an old workbook (XLS) would take in memory. Its parser keeps every sheet whole, as a rectangle from its first cell to its last:
//! two cells far apart are four thousand million, a hundred bytes that say how large a sheet is end the process, and a chain of sectors
//! that runs in a circle never ends. All of that is counted here first, over the bytes as they are.
//!
//! Formats: MS-CFB (sectors, chains, directory) and MS-XLS (records). What is broken in another way is left to the parser, which says so.

use std::fs::File;
use std::io::Read;

use model::{Code, Error, Result};

use crate::content::{bad_file, io_error};

/// Bytes of the file; it is read as a whole.
const LARGEST: u64 = 256 << 20;
/// Bytes that the sheets may take in memory.
const MOST: u64 = 1 << 30;
/// Records that are looked at: sheets may share their records, each as its own.
const RECORDS: u64 = 100_000_000;
/// Bytes of a cell in a list, of one in a rectangle, of a formula in another.
const LISTED: u64 = 40;
const PLACED: u64 = 32;
const FORMULA: u64 = 24;
/// Numbers of sectors from here on are marks.
const MARKS: u32 = 0xffff_fffa;

/// Reads an old workbook and refuses one that would take too much.
pub(crate) fn check(file: File) -> Result<()> {
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(io_error)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Error::new(
            Code::TooLarge,
            "XLS 工作簿超过 256 MiB，未读取；请另存为 XLSX 或 CSV",
            "the XLS workbook is larger than 256 MiB and was not read; save it as XLSX or CSV",
        ));
    }
    let Some(compound) = Compound::open(&bytes)? else { return Ok(()) };
    for name in ["workbook", "book"] {
        if let Some(stream) = compound.stream(name)? {
            sheets(&stream)?;
        }
    }
    Ok(())
}

fn circle() -> Error {
    bad_file(
        "XLS 工作簿的结构有误（扇区首尾相接），无法读取；请用 Excel 或 WPS 打开并另存后上传",
        "the structure of the XLS workbook is broken (its sectors run in a circle); open it in a spreadsheet program, save it again and upload that",
    )
}

fn too_far() -> Error {
    Error::new(
        Code::TooLarge,
        "XLS 工作簿各表展开后超过 1 GiB，未读取；请删去远处的单元格，或另存为 XLSX、CSV",
        "the sheets of the XLS workbook take more than 1 GiB once they are laid out, it was not read; remove cells that lie far off, or save it as XLSX or CSV",
    )
}

fn le16(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_le_bytes(*b))
}

fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_le_bytes(*b))
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.chunks_exact(4).filter_map(|word| le32(word, 0))
}

fn index(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// A compound file: streams in chains of sectors.
struct Compound<'a> {
    bytes: &'a [u8],
    size: usize,
    fat: Vec<u32>,
    entries: Vec<Entry>,
    mini: Vec<u8>,
    mini_fat: Vec<u32>,
}

struct Entry {
    name: String,
    start: u32,
    bytes: u64,
}

impl<'a> Compound<'a> {
    /// `None`: it is none that a parser would go on with.
    fn open(bytes: &'a [u8]) -> Result<Option<Self>> {
        let size = match (le16(bytes, 30), le16(bytes, 32)) {
            (Some(9), Some(6)) => 512,
            (Some(12), Some(6)) => 4096,
            _ => return Ok(None),
        };
        let (fat, entries, mini, mini_fat) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut file = Self { bytes, size, fat, entries, mini, mini_fat };
        file.fat = file.table()?;
        let start = |at| le32(bytes, at).unwrap_or(MARKS);
        let directory = file.chain(start(48), u64::MAX)?;
        file.entries = directory.chunks_exact(128).filter_map(|e| entry(e, size)).collect();
        let sectors = u64::from(le32(bytes, 64).unwrap_or(0));
        if sectors > 0
            && let Some(root) = file.entries.first()
        {
            file.mini = file.chain(root.start, root.bytes)?;
            let table = file.chain(start(60), sectors.saturating_mul(size as u64))?;
            file.mini_fat = words(&table).collect();
        }
        Ok(Some(file))
    }

    fn sectors(&self) -> usize {
        self.bytes.len() / self.size + 1
    }

    fn sector(&self, n: u32) -> Option<&'a [u8]> {
        let from = index(n).checked_add(1)?.checked_mul(self.size)?;
        let rest = self.bytes.get(from..).filter(|rest| !rest.is_empty())?;
        Some(rest.get(..self.size).unwrap_or(rest))
    }

    /// Which sector comes after which.
    fn table(&self) -> Result<Vec<u32>> {
        let mut parts: Vec<u32> = words(self.bytes.get(76..512).unwrap_or_default()).collect();
        let (mut at, mut seen) = (le32(self.bytes, 68).unwrap_or(MARKS), 0);
        while at < MARKS {
            let Some(sector) = self.sector(at) else { break };
            seen += 1;
            if seen > self.sectors() {
                return Err(circle());
            }
            let mut own: Vec<u32> = words(sector).collect();
            at = own.pop().unwrap_or(MARKS);
            parts.extend(own);
        }
        parts.retain(|n| *n < MARKS);
        if parts.len() > self.sectors() {
            return Err(circle());
        }
        Ok(parts.into_iter().filter_map(|n| self.sector(n)).flat_map(words).collect())
    }

    fn chain(&self, start: u32, bytes: u64) -> Result<Vec<u8>> {
        follow(|n| self.sector(n), &self.fat, start, bytes, self.sectors())
    }

    /// The bytes of the first stream of this name.
    fn stream(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let found = self.entries.iter().find(|e| e.name.eq_ignore_ascii_case(name));
        let Some(entry) = found else { return Ok(None) };
        if entry.bytes >= 4096 {
            return self.chain(entry.start, entry.bytes).map(Some);
        }
        let small = |n: u32| {
            let from = index(n).checked_mul(64)?;
            let rest = self.mini.get(from..).filter(|rest| !rest.is_empty())?;
            Some(rest.get(..64).unwrap_or(rest))
        };
        let most = self.mini.len() / 64 + 1;
        follow(small, &self.mini_fat, entry.start, entry.bytes, most).map(Some)
    }
}

fn entry(bytes: &[u8], size: usize) -> Option<Entry> {
    let letters: Vec<u16> = bytes.get(..64)?.chunks_exact(2).filter_map(|b| le16(b, 0)).collect();
    let name = String::from_utf16_lossy(&letters);
    let low = u64::from(le32(bytes, 120)?);
    let high = if size == 512 { 0 } else { u64::from(le32(bytes, 124)?) };
    Some(Entry {
        name: name.split('\0').next().unwrap_or_default().to_owned(),
        start: le32(bytes, 116)?,
        bytes: low | (high << 32),
    })
}

/// The bytes of a chain; one with more sectors than there are runs in a circle.
fn follow<'a>(
    sector: impl Fn(u32) -> Option<&'a [u8]>,
    next: &[u32],
    start: u32,
    bytes: u64,
    most: usize,
) -> Result<Vec<u8>> {
    let (mut out, mut at) = (Vec::new(), start);
    for _ in 0..=most {
        let left = bytes.saturating_sub(out.len() as u64);
        if at >= MARKS || left == 0 {
            return Ok(out);
        }
        let Some(piece) = sector(at) else { return Ok(out) };
        let wanted = usize::try_from(left).unwrap_or(usize::MAX);
        out.extend_from_slice(piece.get(..wanted).unwrap_or(piece));
        let Some(after) = next.get(index(at)) else { return Ok(out) };
        at = *after;
    }
    Err(circle())
}

/// The next record of a stream: its kind and its bytes; what comes after it.
fn record(stream: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (kind, bytes) = (le16(stream, 0)?, usize::from(le16(stream, 2)?));
    let rest = stream.get(4..)?;
    Some((kind, rest.get(..bytes)?, rest.get(bytes..)?))
}

/// All sheets of a workbook's stream.
fn sheets(stream: &[u8]) -> Result<()> {
    let (mut rest, mut places, mut texts) = (stream, Vec::new(), Vec::new());
    while let Some((kind, data, after)) = record(rest) {
        rest = after;
        match kind {
            0x000a => break,
            0x0085 => places.extend(le32(data, 0)),
            0x00fc => texts = lengths(data, after),
            _ => {}
        }
    }
    let (mut all, mut records) = (0_u64, 0_u64);
    for place in places {
        let Some(sheet) = stream.get(index(place)..) else { continue };
        all = all.saturating_add(weight(sheet, &texts, &mut records)?);
        if all > MOST || records > RECORDS {
            return Err(too_far());
        }
    }
    Ok(())
}

/// From the first cell to the last.
#[derive(Debug, Default)]
struct Area {
    cells: u64,
    /// Top, bottom, left, right.
    edges: Option<[u16; 4]>,
}

impl Area {
    fn put(&mut self, row: u16, first: u16, last: u16) {
        self.cells += u64::from(last.saturating_sub(first)) + 1;
        let [top, bottom, left, right] = self.edges.unwrap_or([row, row, first, last]);
        self.edges = Some([top.min(row), bottom.max(row), left.min(first), right.max(last)]);
    }

    fn whole(&self) -> u64 {
        let Some([top, bottom, left, right]) = self.edges else { return 0 };
        (u64::from(bottom - top) + 1) * (u64::from(right - left) + 1)
    }
}

/// Bytes that a sheet takes once it is laid out.
fn weight(sheet: &[u8], texts: &[u64], records: &mut u64) -> Result<u64> {
    let (mut values, mut formulas, mut letters) = (Area::default(), Area::default(), 0_u64);
    let (mut rest, mut begun, mut depth) = (sheet, false, 0_usize);
    while let Some((kind, data, after)) = record(rest) {
        rest = after;
        *records += 1;
        match kind {
            // Charts within a sheet have records of their own, which count for nothing.
            0x0809 if begun => depth += 1,
            0x0809 => begun = true,
            0x000a if depth > 0 => depth -= 1,
            0x000a => break,
            _ if depth > 0 => {}
            0x0200 => reserved(data)?,
            0x0006 | 0x0203 | 0x0204 | 0x00d6 | 0x0205 | 0x027e | 0x00fd | 0x00bd => {
                let (Some(row), Some(first)) = (le16(data, 0), le16(data, 2)) else { continue };
                let end = data.len().saturating_sub(2);
                let last = if kind == 0x00bd { le16(data, end).unwrap_or(first) } else { first };
                values.put(row, first, last);
                if kind == 0x0006 {
                    formulas.put(row, first, last);
                }
                letters = letters.saturating_add(match kind {
                    0x00fd => le32(data, 6).and_then(|n| texts.get(index(n))).copied().unwrap_or(0),
                    0x0204 | 0x00d6 => 3 * data.len() as u64,
                    _ => 0,
                });
            }
            0x0207 => letters = letters.saturating_add(3 * data.len() as u64),
            _ => {}
        }
        if letters > MOST || *records > RECORDS {
            return Err(too_far());
        }
    }
    let laid = values.whole().saturating_mul(PLACED);
    let laid = laid.saturating_add(formulas.whole().saturating_mul(FORMULA));
    Ok(laid.saturating_add(values.cells.saturating_mul(LISTED)).saturating_add(letters))
}

/// How large a sheet says it is: so much is set aside for it before a cell is read.
fn reserved(data: &[u8]) -> Result<()> {
    let told = match data.len() {
        10 => [0, 2, 4, 6].map(|at| le16(data, at).map(u32::from)),
        14 | 16 => [
            le32(data, 0),
            le32(data, 4),
            le16(data, 8).map(u32::from),
            le16(data, 10).map(u32::from),
        ],
        _ => return Ok(()),
    };
    let [Some(top), Some(bottom), Some(left), Some(right)] = told else { return Ok(()) };
    // As the parser takes them: what lies the wrong way round is a number below nought, which is very large.
    let left = if left > 0xff || right < left { 0 } else { left };
    let rows = u64::from(bottom.wrapping_sub(top));
    let columns = u64::from(right.saturating_sub(left));
    let cells = if bottom == 0 || right == 0 { 1 } else { rows.saturating_mul(columns) };
    if cells.saturating_mul(LISTED) > MOST { Err(too_far()) } else { Ok(()) }
}

/// Bytes in memory of each text of the table of texts, at most. It goes on in the records after it.
fn lengths(first: &[u8], after: &[u8]) -> Vec<u64> {
    let mut reading = Texts { now: first.get(8..).unwrap_or_default(), after };
    let mut all = Vec::new();
    while let Some(bytes) = reading.text() {
        all.push(bytes);
    }
    all
}

struct Texts<'a> {
    now: &'a [u8],
    after: &'a [u8],
}

impl Texts<'_> {
    /// Goes to the record that continues this one.
    fn on(&mut self) -> Option<()> {
        let (_, data, after) = record(self.after).filter(|(kind, ..)| *kind == 0x003c)?;
        (self.now, self.after) = (data, after);
        Some(())
    }

    fn skip(&mut self, mut bytes: usize) -> Option<()> {
        while bytes > self.now.len() {
            bytes -= self.now.len();
            self.on()?;
        }
        self.now = self.now.get(bytes..)?;
        Some(())
    }

    fn text(&mut self) -> Option<u64> {
        while self.now.is_empty() {
            self.on()?;
        }
        let (mut letters, flags) = (usize::from(le16(self.now, 0)?), *self.now.get(2)?);
        let bytes = 24 + 3 * letters as u64;
        self.now = self.now.get(3..)?;
        let (mut runs, mut further) = (0, 0);
        if flags & 8 != 0 {
            runs = usize::from(le16(self.now, 0)?);
            self.now = self.now.get(2..)?;
        }
        if flags & 4 != 0 {
            further = index(le32(self.now, 0)?);
            self.now = self.now.get(4..)?;
        }
        let mut wide = flags & 1 != 0;
        while letters > 0 {
            let width = if wide { 2 } else { 1 };
            let here = letters.min(self.now.len() / width);
            self.now = self.now.get(here * width..)?;
            letters -= here;
            if letters > 0 {
                self.on()?;
                wide = self.now.first()? & 1 != 0;
                self.now = self.now.get(1..)?;
            }
        }
        self.skip(runs * 4)?;
        self.skip(further)?;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(out: &mut Vec<u8>, kind: u16, data: &[u8]) {
        out.extend(kind.to_le_bytes());
        out.extend(u16::try_from(data.len()).unwrap().to_le_bytes());
        out.extend(data);
    }

    fn number(row: u16, column: u16) -> Vec<u8> {
        let mut data: Vec<u8> = [row, column, 0].iter().flat_map(|n| n.to_le_bytes()).collect();
        data.extend(1.5_f64.to_le_bytes());
        data
    }

    /// A workbook of so many sheets, each with these records; before them a table of texts.
    fn stream(texts: &[u8], sheets: usize, records: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, 0x0809, &[0; 16]);
        put(&mut out, 0x00fc, texts);
        let place = u32::try_from(out.len() + sheets * 16 + 4).unwrap();
        for _ in 0..sheets {
            let mut data = place.to_le_bytes().to_vec();
            data.extend([0, 0, 3, 0, b'a', b'b', b'c', 0]);
            put(&mut out, 0x0085, &data);
        }
        put(&mut out, 0x000a, &[]);
        put(&mut out, 0x0809, &[0; 16]);
        records.iter().for_each(|(kind, data)| put(&mut out, *kind, data));
        put(&mut out, 0x000a, &[]);
        out
    }

    fn table(text: &[u8], letters: u16) -> Vec<u8> {
        let mut out = vec![1, 0, 0, 0, 1, 0, 0, 0];
        out.extend(letters.to_le_bytes());
        out.push(0);
        out.extend(text);
        out
    }

    #[test]
    fn usual_sheets_are_within() {
        let cells: Vec<(u16, Vec<u8>)> = (0..1_000).map(|n| (0x0203, number(n, n % 200))).collect();
        assert!(sheets(&stream(&table(b"abc", 3), 3, &cells)).is_ok());
        let mut whole = Vec::new();
        for n in [0_u32, 65_536] {
            whole.extend(n.to_le_bytes());
        }
        whole.extend([0, 0, 0, 1, 0, 0]);
        assert!(sheets(&stream(&table(b"", 0), 1, &[(0x0200, whole)])).is_ok());
    }

    #[test]
    fn what_would_take_too_much_is_refused() {
        let mut vast: Vec<u8> =
            [0_u32, 4_000_000_000].iter().flat_map(|n| n.to_le_bytes()).collect();
        vast.extend([0, 0, 0xff, 0xff, 0, 0]);
        let mut cited = [0_u16, 0, 0].iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>();
        cited.extend(0_u32.to_le_bytes());
        let long = vec![b'x'; 8_000];
        let far = vec![(0x0203, number(0, 0)), (0x0203, number(65_535, 65_535))];
        let full = vec![(0x0203, number(0, 0)), (0x0203, number(65_535, 200))];
        for (what, stream) in [
            ("far", stream(&table(b"", 0), 1, &far)),
            ("many", stream(&table(b"", 0), 9, &full)),
            ("vast", stream(&table(b"", 0), 1, &[(0x0200, vast)])),
            ("cited", stream(&table(&long, 8_000), 1, &vec![(0x00fd, cited); 60_000])),
        ] {
            let error = sheets(&stream).expect_err(what);
            assert_eq!(error.code(), Code::TooLarge, "{what}");
        }
    }

    #[test]
    fn texts_go_on_in_the_records_after() {
        let mut after = Vec::new();
        // The rest of the first text, wide now; then a second with a run.
        put(&mut after, 0x003c, &[1, b'c', 0, b'd', 0, 2, 0, 8, 1, 0, b'e', b'f', 0, 0, 0, 0]);
        put(&mut after, 0x000a, &[]);
        assert_eq!(lengths(&table(b"ab", 4), &after), [24 + 12, 24 + 6]);
    }

    #[test]
    fn a_circle_is_seen() {
        let next = [1, 2, 0];
        let sector = |_| Some(&[0_u8; 64][..]);
        assert!(follow(sector, &next, 0, u64::MAX, 3).is_err());
        assert_eq!(follow(sector, &next, 0, 100, 3).unwrap().len(), 100);
        // A file whose table names its sectors over and over.
        let mut bytes = vec![0_u8; 1_536];
        bytes[30] = 9;
        bytes[32] = 6;
        assert!(Compound::open(&bytes).is_err());
        assert!(Compound::open(&[0; 40]).unwrap().is_none());
    }
}

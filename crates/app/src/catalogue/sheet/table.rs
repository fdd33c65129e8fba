//! Cells of a CSV or XLSX file, in and out.

use std::io::Read as _;
use std::path::Path;

use calamine::{Data, Reader as _};
use model::reading::promise::{Promise, holds_texts};
use model::spreadsheet::{harmless, meant};
use model::{Code, Error, Result};

use super::super::SheetFormat;

/// Rows of cells with their row or line number as a person counts (from 1). The first is the header.
pub(crate) type Table = Vec<(u64, Vec<String>)>;

/// How large a file may be. A catalogue is read as a whole, so that each bound is one of memory.
#[derive(Clone, Debug)]
pub(crate) struct Most {
    /// Bytes of the file.
    pub(crate) bytes: u64,
    /// Bytes of a workbook's parts when they are unpacked.
    pub(crate) unpacked: u64,
    /// Rows that hold something.
    pub(crate) rows: usize,
    /// Cells, those left of the last one of a row included.
    pub(crate) cells: usize,
}

/// Reads the first sheet of a workbook, or a CSV in UTF-8 (with or without mark), UTF-16 or GB18030.
pub(crate) fn read(path: &Path, name: &str, most: &Most) -> Result<Table> {
    let unreadable = |e: std::io::Error| {
        Error::new(Code::InvalidFile, format!("无法读取 `{name}`"), format!("cannot read `{name}`"))
            .caused_by(e)
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    // One byte more than allowed tells a file that is too large, whatever its directory entry says.
    file.take(most.bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > most.bytes {
        return Err(too_large(name, most.bytes, "字节", "bytes"));
    }
    if bytes.starts_with(b"PK\x03\x04") {
        workbook(&bytes, name, most)
    } else if bytes.starts_with(&[0xD0, 0xCF, 0x11, 0xE0]) {
        Err(Error::new(
            Code::UnsupportedFormat,
            format!("`{name}` 是旧版或加密的工作簿，请另存为未加密的 XLSX 或 CSV"),
            format!("`{name}` is an old or encrypted workbook: save it as a plain XLSX or CSV"),
        ))
    } else {
        csv(&bytes, name, most)
    }
}

fn too_large(name: &str, most: u64, zh: &str, en: &str) -> Error {
    Error::new(
        Code::TooLarge,
        format!("`{name}` 过大：最多 {most} {zh}，请分成几个文件导入"),
        format!("`{name}` is too large: {most} {en} at most, import it in several files"),
    )
}

/// A table that grows within its bounds.
struct Growing<'a> {
    name: &'a str,
    most: &'a Most,
    cells: usize,
    table: Table,
}

impl<'a> Growing<'a> {
    fn new(name: &'a str, most: &'a Most) -> Self {
        Self { name, most, cells: 0, table: Vec::new() }
    }
    fn row(&mut self, number: u64, cells: Vec<String>) -> Result<()> {
        if cells.iter().all(String::is_empty) {
            return Ok(());
        }
        self.cells += cells.len();
        if self.table.len() >= self.most.rows {
            return Err(too_large(self.name, self.most.rows as u64, "行", "rows"));
        }
        if self.cells > self.most.cells {
            return Err(too_large(self.name, self.most.cells as u64, "个单元格", "cells"));
        }
        self.table.push((number, cells));
        Ok(())
    }
}

/// Reads cell by cell: a sheet with two cells far apart costs what two cells cost, not the rectangle between them.
fn workbook(bytes: &[u8], name: &str, most: &Most) -> Result<Table> {
    let wrong = |e: calamine::XlsxError| {
        Error::new(
            Code::InvalidFile,
            format!("`{name}` 不是可读的 XLSX 工作簿"),
            format!("`{name}` is not a readable XLSX workbook"),
        )
        .caused_by(e)
    };
    unpacks_within(bytes, name, most)?;
    let mut book: calamine::Xlsx<_> =
        calamine::Xlsx::new(std::io::Cursor::new(bytes)).map_err(wrong)?;
    let mut growing = Growing::new(name, most);
    let Some(sheet) = book.sheet_names().first().cloned() else { return Ok(growing.table) };
    let mut reader = book.worksheet_cells_reader(&sheet).map_err(wrong)?;
    let (mut number, mut cells) = (0_u32, Vec::new());
    while let Some(found) = reader.next_cell().map_err(wrong)? {
        let (row, column) = found.get_position();
        if row != number {
            growing.row(u64::from(number) + 1, std::mem::take(&mut cells))?;
            number = row;
        }
        let text = cell(&Data::from(found.get_value().clone()));
        if text.is_empty() {
            continue;
        }
        let column = usize::try_from(column).unwrap_or(usize::MAX);
        if column >= WIDEST {
            return Err(too_large(name, WIDEST as u64, "列", "columns"));
        }
        if cells.len() <= column {
            cells.resize(column + 1, String::new());
        }
        if let Some(place) = cells.get_mut(column) {
            *place = text;
        }
    }
    growing.row(u64::from(number) + 1, cells)?;
    Ok(growing.table)
}

/// Columns of the widest sheet there is (XFD).
const WIDEST: usize = 16_384;

/// Unpacks every part into nothing and counts, so that a small file cannot grow without bound inside the parser.
pub(crate) fn unpacks_within(bytes: &[u8], name: &str, most: &Most) -> Result<()> {
    let corrupt = |e: String| {
        Error::new(
            Code::InvalidFile,
            format!("`{name}` 不是完整的 XLSX 工作簿，请重新保存"),
            format!("`{name}` is not a whole XLSX workbook, save it again"),
        )
        .detail(e)
    };
    let mut archive =
        zip::ZipArchive::new(std::io::Cursor::new(bytes)).map_err(|e| corrupt(e.to_string()))?;
    let mut left = most.unpacked;
    for n in 0..archive.len() {
        let part = archive.by_index(n).map_err(|e| corrupt(e.to_string()))?;
        // What is told is believed where it is already too much: nothing is unpacked then.
        if part.size() > left {
            return Err(too_large(name, most.unpacked, "字节（解压后）", "bytes unpacked"));
        }
        let texts = holds_texts(&String::from_utf8_lossy(part.name_raw()));
        let mut promise = texts.then(Promise::default);
        let (mut part, mut read) = (part.take(left.saturating_add(1)), 0_u64);
        let mut piece = vec![0; 1 << 16];
        loop {
            let got = part.read(&mut piece).map_err(|e| corrupt(e.to_string()))?;
            if got == 0 {
                break;
            }
            read += got as u64;
            if let Some(promise) = &mut promise {
                promise.feed(piece.get(..got).unwrap_or_default());
            }
        }
        if promise.is_some_and(|promise| !promise.sound()) {
            return Err(corrupt("more texts are promised than it can hold".to_owned()));
        }
        left = left
            .checked_sub(read)
            .ok_or_else(|| too_large(name, most.unpacked, "字节（解压后）", "bytes unpacked"))?;
    }
    Ok(())
}

fn cell(data: &Data) -> String {
    let text = match data {
        Data::Empty => String::new(),
        Data::String(s) | Data::DateTimeIso(s) | Data::DurationIso(s) => s.clone(),
        Data::Bool(b) => if *b { "是" } else { "否" }.to_owned(),
        Data::DateTime(d) => {
            d.as_datetime().map(|t| t.format("%Y-%m-%d").to_string()).unwrap_or_default()
        }
        other => other.to_string(),
    };
    even(&text)
}

fn csv(bytes: &[u8], name: &str, most: &Most) -> Result<Table> {
    let text = decode(bytes, name)?;
    let head = text.lines().next().unwrap_or_default();
    let delimiter = [b',', b'\t', b';']
        .into_iter()
        .max_by_key(|d| head.bytes().filter(|b| b == d).count())
        .unwrap_or(b',');
    // After a CRLF the reader would count a line too few.
    let text = text.replace("\r\n", "\n");
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(text.as_bytes());
    let mut growing = Growing::new(name, most);
    for record in reader.records() {
        let record = record.map_err(|e| {
            Error::new(
                Code::InvalidFile,
                format!("`{name}` 不是可读的 CSV"),
                format!("`{name}` is not a readable CSV"),
            )
            .caused_by(e)
        })?;
        let line = record.position().map_or(0, csv::Position::line);
        growing.row(line, record.iter().map(|cell| even(meant(cell))).collect())?;
    }
    Ok(growing.table)
}

/// Trimmed, with line ends as the ledger keeps them.
fn even(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").trim().to_owned()
}

fn decode(bytes: &[u8], name: &str) -> Result<String> {
    let (encoding, rest) = match encoding_rs::Encoding::for_bom(bytes) {
        Some((encoding, mark)) => (encoding, bytes.get(mark..).unwrap_or_default()),
        None if std::str::from_utf8(bytes).is_ok() => (encoding_rs::UTF_8, bytes),
        None => (encoding_rs::GB18030, bytes),
    };
    encoding.decode_without_bom_handling_and_without_replacement(rest).map(Into::into).ok_or_else(
        || {
            Error::new(
                Code::InvalidFile,
                format!("`{name}` 的文字编码无法识别，请另存为 UTF-8 或 GB18030"),
                format!("the encoding of `{name}` is not known: save it as UTF-8 or GB18030"),
            )
        },
    )
}

/// Writes rows of cells; the first is the header.
pub(crate) fn write(format: SheetFormat, rows: &[Vec<String>]) -> Result<Vec<u8>> {
    match format {
        SheetFormat::Csv => write_csv(rows),
        SheetFormat::Xlsx => write_workbook(rows),
    }
}

fn write_csv(rows: &[Vec<String>]) -> Result<Vec<u8>> {
    let failed = |e: String| Error::internal(format!("cannot write CSV: {e}"));
    // Spreadsheets take a file without the mark for the local encoding.
    let mut out = b"\xEF\xBB\xBF".to_vec();
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(&mut out);
    for row in rows {
        let cells = row.iter().map(|cell| harmless(cell).into_owned());
        writer.write_record(cells).map_err(|e| failed(e.to_string()))?;
    }
    writer.flush().map_err(|e| failed(e.to_string()))?;
    drop(writer);
    Ok(out)
}

fn write_workbook(rows: &[Vec<String>]) -> Result<Vec<u8>> {
    let failed = |e: rust_xlsxwriter::XlsxError| match e {
        rust_xlsxwriter::XlsxError::RowColumnLimitError => Error::new(
            Code::TooLarge,
            "数据项超过 XLSX 的行数上限，请导出为 CSV",
            "there are more items than an XLSX sheet has rows: export as CSV",
        ),
        e => Error::internal("cannot write XLSX").caused_by(e),
    };
    let mut book = rust_xlsxwriter::Workbook::new();
    let bold = rust_xlsxwriter::Format::new().set_bold();
    let sheet = book.add_worksheet_with_constant_memory().map_err(failed)?;
    sheet.set_name("目录").map_err(failed)?;
    for (r, row) in (0_u32..).zip(rows) {
        for (c, text) in (0_u16..).zip(row) {
            if r == 0 {
                sheet.write_string_with_format(r, c, text, &bold).map_err(failed)?;
            } else if !text.is_empty() {
                sheet.write_string(r, c, text).map_err(failed)?;
            }
        }
    }
    book.save_to_buffer().map_err(failed)
}

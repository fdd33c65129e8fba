//! Cells of a CSV or XLSX file, in and out.

use std::path::Path;

use calamine::{Data, Reader as _};
use model::{Code, Error, Result};

use super::super::SheetFormat;

/// Rows of cells with their row or line number as a person counts (from 1). The first is the header.
pub(super) type Table = Vec<(u64, Vec<String>)>;

/// Reads the first sheet of a workbook, or a CSV in UTF-8 (with or without mark), UTF-16 or GB18030.
pub(super) fn read(path: &Path, name: &str, most: usize) -> Result<Table> {
    let bytes = std::fs::read(path).map_err(|e| {
        Error::new(Code::InvalidFile, format!("无法读取 `{name}`"), format!("cannot read `{name}`"))
            .caused_by(e)
    })?;
    let table = if bytes.starts_with(b"PK\x03\x04") {
        workbook(bytes, name)?
    } else if bytes.starts_with(&[0xD0, 0xCF, 0x11, 0xE0]) {
        return Err(Error::new(
            Code::UnsupportedFormat,
            format!("`{name}` 是旧版或加密的工作簿，请另存为未加密的 XLSX 或 CSV"),
            format!("`{name}` is an old or encrypted workbook: save it as a plain XLSX or CSV"),
        ));
    } else {
        csv(&bytes, name)?
    };
    if table.len() > most {
        return Err(Error::new(
            Code::TooLarge,
            format!("`{name}` 有 {} 行，一次最多导入 {most} 行", table.len()),
            format!("`{name}` has {} rows, {most} at most may be imported at once", table.len()),
        ));
    }
    Ok(table)
}

fn workbook(bytes: Vec<u8>, name: &str) -> Result<Table> {
    let wrong = |e: calamine::XlsxError| {
        Error::new(
            Code::InvalidFile,
            format!("`{name}` 不是可读的 XLSX 工作簿"),
            format!("`{name}` is not a readable XLSX workbook"),
        )
        .caused_by(e)
    };
    let mut book: calamine::Xlsx<_> =
        calamine::Xlsx::new(std::io::Cursor::new(bytes)).map_err(wrong)?;
    let Some(sheet) = book.sheet_names().first().cloned() else { return Ok(Vec::new()) };
    let range = book.worksheet_range(&sheet).map_err(wrong)?;
    let (first_row, first_column) = range.start().unwrap_or((0, 0));
    let lead = usize::try_from(first_column).unwrap_or(0);
    Ok((u64::from(first_row) + 1..)
        .zip(range.rows())
        .map(|(n, row)| {
            let mut cells = vec![String::new(); lead];
            cells.extend(row.iter().map(cell));
            (n, cells)
        })
        .filter(|(_, row)| row.iter().any(|c| !c.is_empty()))
        .collect())
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

fn csv(bytes: &[u8], name: &str) -> Result<Table> {
    let text = decode(bytes, name)?;
    let head = text.lines().next().unwrap_or_default();
    let delimiter = [b',', b'\t', b';']
        .into_iter()
        .max_by_key(|d| head.bytes().filter(|b| b == d).count())
        .unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(text.as_bytes());
    let mut table = Vec::new();
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
        if record.iter().any(|c| !c.trim().is_empty()) {
            table.push((line, record.iter().map(even).collect()));
        }
    }
    Ok(table)
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
pub(super) fn write(format: SheetFormat, rows: &[Vec<String>]) -> Result<Vec<u8>> {
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
        writer.write_record(row).map_err(|e| failed(e.to_string()))?;
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

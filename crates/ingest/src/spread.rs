//! How far the repeated cells and rows of an ODS would spread. A sheet says "this cell sixteen thousand times, this row a million
//! times" in a hundred bytes, and a parser writes all of them out: counted here first, without writing any out.

use std::io::BufRead;

use model::{Code, Error, Result};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use crate::content::bad_file;

/// Bytes that the cells of all sheets may take in memory.
const MOST: u64 = 1 << 30;
/// Bytes of a cell in memory besides its text: a value, and a formula that is none.
const CELL: u64 = 56;
/// Columns and rows of the largest sheet there is.
const COLUMNS: u64 = 16_384;
const ROWS: u64 = 1_048_576;

/// Reads the content of an ODS and refuses one that would spread too far.
pub(crate) fn check(content: impl BufRead) -> Result<()> {
    let mut xml = Reader::from_reader(content);
    let config = xml.config_mut();
    config.check_end_names = false;
    config.expand_empty_elements = false;
    let (mut buffer, mut spread) = (Vec::new(), Spread::default());
    loop {
        buffer.clear();
        // A parser comes no further either, and says what is wrong.
        let Ok(event) = xml.read_event_into(&mut buffer) else { return spread.within() };
        match event {
            Event::Start(tag) => spread.open(&tag, false)?,
            Event::Empty(tag) => spread.open(&tag, true)?,
            Event::Text(text) => spread.text(text.len()),
            Event::CData(text) => spread.text(text.len()),
            Event::GeneralRef(name) => spread.text(name.len()),
            Event::End(tag) => spread.close(tag.name().as_ref())?,
            Event::Eof => return spread.within(),
            _ => {}
        }
    }
}

fn broken(detail: &dyn std::fmt::Display) -> Error {
    bad_file(
        "工作簿已损坏或不完整，无法读取；请用 Excel 或 WPS 打开并重新保存后上传",
        "the workbook is corrupt or incomplete; open it in a spreadsheet program, save it again and upload that",
    )
    .detail(detail.to_string())
}

/// What was counted so far.
#[derive(Debug, Default)]
struct Spread {
    /// Bytes of the sheets before this one.
    done: u64,
    /// Of this one: bytes of its rows, rows down to the last that holds something, its widest row.
    bytes: u64,
    rows: u64,
    held: u64,
    widest: u64,
    row: Row,
    /// The cell that is open.
    cell: Option<Cell>,
}

/// The row that is open.
#[derive(Debug, Default)]
struct Row {
    times: u64,
    /// Cells to the last that holds something, and empty ones after it.
    cells: u64,
    empty: u64,
    bytes: u64,
}

#[derive(Debug)]
struct Cell {
    times: u64,
    text: u64,
}

impl Spread {
    fn open(&mut self, tag: &BytesStart<'_>, closed: bool) -> Result<()> {
        match tag.name().as_ref() {
            "table:table" => self.end_sheet(),
            "table:table-row" => {
                let times = repeated(tag, "table:number-rows-repeated")?;
                self.row = Row { times: times.min(ROWS), ..Row::default() };
                if closed {
                    self.end_row()?;
                }
            }
            "table:table-cell" | "table:covered-table-cell" => {
                let times = repeated(tag, "table:number-columns-repeated")?;
                let valued = says_something(tag);
                let text = tag.len() as u64;
                self.cell = Some(Cell { times: times.min(COLUMNS), text });
                if closed {
                    self.end_cell(valued)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, bytes: usize) {
        if let Some(cell) = &mut self.cell {
            cell.text = cell.text.saturating_add(bytes as u64);
        }
    }

    fn close(&mut self, name: &str) -> Result<()> {
        match name {
            // One that is not closed at once may hold a text.
            "table:table-cell" | "table:covered-table-cell" => self.end_cell(true),
            "table:table-row" => self.end_row(),
            "table:table" => {
                self.end_sheet();
                self.within()
            }
            _ => Ok(()),
        }
    }

    fn end_cell(&mut self, valued: bool) -> Result<()> {
        let Some(cell) = self.cell.take() else { return Ok(()) };
        let row = &mut self.row;
        if !valued {
            row.empty = row.empty.saturating_add(cell.times);
            return Ok(());
        }
        let before = row.empty.min(COLUMNS);
        row.empty = 0;
        row.cells = row.cells.saturating_add(before).saturating_add(cell.times).min(COLUMNS);
        let own = cell.times.saturating_mul(CELL.saturating_add(cell.text));
        row.bytes = row.bytes.saturating_add(before * CELL).saturating_add(own);
        if row.bytes > MOST { Err(too_far()) } else { Ok(()) }
    }

    fn end_row(&mut self) -> Result<()> {
        let row = std::mem::take(&mut self.row);
        self.rows = self.rows.saturating_add(row.times).min(ROWS);
        if row.cells == 0 {
            return Ok(());
        }
        self.held = self.rows;
        self.widest = self.widest.max(row.cells);
        // Once as it is read, and once for each time it is repeated.
        let times = row.times.saturating_add(1);
        self.bytes = self.bytes.saturating_add(row.bytes.saturating_mul(times));
        self.within()
    }

    fn end_sheet(&mut self) {
        self.done = self.all();
        (self.bytes, self.rows, self.held, self.widest) = (0, 0, 0, 0);
    }

    /// Every row is written out as wide as the widest, empty ones between others, too.
    fn all(&self) -> u64 {
        let area = self.held.saturating_mul(self.widest).saturating_mul(CELL);
        self.done.saturating_add(self.bytes.max(area))
    }

    fn within(&self) -> Result<()> {
        if self.all() > MOST { Err(too_far()) } else { Ok(()) }
    }
}

fn too_far() -> Error {
    Error::new(
        Code::TooLarge,
        "ODS 工作表展开重复的单元格后超过 1 GiB，未读取；请删去多余的行列，或改用 CSV、XLSX",
        "the sheets of the ODS take more than 1 GiB once repeated cells are written out, it was not read; remove rows and columns that are not needed, or use CSV or XLSX",
    )
}

/// How often an element stands for itself.
fn repeated(tag: &BytesStart<'_>, name: &str) -> Result<u64> {
    for attribute in tag.attributes().with_checks(false) {
        let attribute = attribute.map_err(|e| broken(&e))?;
        if attribute.key.as_ref() == name {
            let told: &str = &attribute.value;
            // What is no number is none to the parser either, which then refuses the file.
            return Ok(told.trim().parse().unwrap_or(u64::MAX));
        }
    }
    Ok(1)
}

/// Whether a cell has a value or a formula by its attributes.
fn says_something(tag: &BytesStart<'_>) -> bool {
    tag.attributes().with_checks(false).any(|attribute| {
        attribute.is_ok_and(|a| {
            let key: &str = a.key.as_ref();
            key.starts_with("office:") || key.starts_with("calcext:") || key == "table:formula"
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(times: u32, cells: &str) -> String {
        format!("<table:table-row table:number-rows-repeated=\"{times}\">{cells}</table:table-row>")
    }

    fn value(times: u32) -> String {
        format!(
            "<table:table-cell table:number-columns-repeated=\"{times}\" office:value-type=\"string\"><text:p>x</text:p></table:table-cell>"
        )
    }

    fn empty(times: u32) -> String {
        format!("<table:table-cell table:number-columns-repeated=\"{times}\"/>")
    }

    fn looked(rows: &[String]) -> Result<()> {
        let text = format!("<o><table:table table:name=\"a\">{}</table:table></o>", rows.concat());
        check(text.as_bytes())
    }

    #[test]
    fn what_programs_write_is_within() {
        let ends = format!("{}{}", value(3), empty(16_381));
        assert!(looked(&[row(1, &ends), row(1_048_575, &empty(16_384))]).is_ok());
        assert!(looked(&[row(100_000, &ends)]).is_ok());
        assert!(looked(&[]).is_ok());
    }

    #[test]
    fn what_spreads_is_refused() {
        let far = format!("{}{}", empty(16_383), value(1));
        for rows in [
            vec![row(1_048_576, &value(16_384))],
            vec![row(1, &value(16_384)); 2_000],
            vec![row(1, &far); 2_000],
            vec![row(1, &value(1)), row(1_048_000, &empty(1)), row(1, &far)],
            vec![row(1, &value(1).replace(">x<", &format!(">{}<", "x".repeat(100_000)))); 9]
                .into_iter()
                .map(|r| r.replace("columns-repeated=\"1\"", "columns-repeated=\"2000\""))
                .collect(),
        ] {
            let error = looked(&rows).unwrap_err();
            assert_eq!(error.code(), Code::TooLarge, "{error:?}");
        }
    }
}

//! Workbooks of any size: rows go to sheets in constant memory, a sheet that is full goes on in a further one, and a last
//! sheet says which sheets there are. The workbook ends as a temporary file.

use std::fs::File;

use model::{Error, Result};
use rust_xlsxwriter::{Format, Workbook, XlsxError};

/// Rows a sheet holds besides its header.
pub(super) const MOST_ROWS: u32 = 1_048_575;
/// Characters a cell holds.
const LONGEST_CELL: usize = 32_767;
/// Largest whole number that a spreadsheet holds exactly.
const EXACT: i64 = 999_999_999_999_999;

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Text(String),
    Number(i64),
}

/// A table of the workbook: its sheets, and how far the last of them is filled.
struct Table {
    name: &'static str,
    header: Vec<String>,
    /// Number of each sheet in the workbook, with the rows it holds.
    sheets: Vec<(usize, u32)>,
}

/// A workbook being written.
pub(super) struct Book {
    workbook: Workbook,
    tables: Vec<Table>,
    sheets: usize,
    most: u32,
    /// Cells that were cut at the longest a cell holds.
    cut: u64,
}

fn told(e: XlsxError) -> Error {
    Error::internal("xlsx could not be written").caused_by(e)
}

impl Book {
    /// A workbook of these tables.
    pub(super) fn new(tables: Vec<(&'static str, Vec<String>)>) -> Result<Self> {
        Self::with_rows(tables, MOST_ROWS)
    }

    pub(super) fn with_rows(tables: Vec<(&'static str, Vec<String>)>, most: u32) -> Result<Self> {
        let mut this =
            Self { workbook: Workbook::new(), tables: Vec::new(), sheets: 0, most, cut: 0 };
        for (name, header) in tables {
            this.tables.push(Table { name, header, sheets: Vec::new() });
            this.further(this.tables.len() - 1)?;
        }
        Ok(this)
    }

    /// Opens a further sheet of a table.
    fn further(&mut self, table: usize) -> Result<()> {
        let Some(table) = self.tables.get_mut(table) else {
            return Err(Error::internal("a workbook has no such table"));
        };
        let sheet = self.workbook.add_worksheet_with_constant_memory().map_err(told)?;
        let n = table.sheets.len() + 1;
        let name = if n == 1 { table.name.to_owned() } else { format!("{} ({n})", table.name) };
        sheet.set_name(name).map_err(told)?;
        let bold = Format::new().set_bold();
        for (column, text) in (0_u16..).zip(&table.header) {
            sheet.write_string_with_format(0, column, text, &bold).map_err(told)?;
        }
        table.sheets.push((self.sheets, 0));
        self.sheets += 1;
        Ok(())
    }

    /// Writes a row of a table.
    pub(super) fn row(&mut self, table: usize, cells: &[Cell]) -> Result<()> {
        let full = self
            .tables
            .get(table)
            .and_then(|t| t.sheets.last())
            .is_some_and(|(_, rows)| *rows >= self.most);
        if full {
            self.further(table)?;
        }
        let last = self.tables.get_mut(table).and_then(|t| t.sheets.last_mut());
        let Some((sheet, rows)) = last else {
            return Err(Error::internal("a workbook has no such table"));
        };
        *rows += 1;
        let (sheet, row) = (self.workbook.worksheet_from_index(*sheet).map_err(told)?, *rows);
        for (column, cell) in (0_u16..).zip(cells) {
            match cell {
                Cell::Number(n) if (-EXACT..=EXACT).contains(n) => {
                    #[expect(clippy::cast_precision_loss, reason = "fifteen digits are exact")]
                    sheet.write_number(row, column, *n as f64).map_err(told)?;
                }
                Cell::Number(n) => {
                    sheet.write_string(row, column, n.to_string()).map_err(told)?;
                }
                Cell::Text(text) if text.is_empty() => {}
                Cell::Text(text) if text.chars().count() > LONGEST_CELL => {
                    self.cut += 1;
                    let short: String = text.chars().take(LONGEST_CELL - 1).chain(['…']).collect();
                    sheet.write_string(row, column, short).map_err(told)?;
                }
                Cell::Text(text) => {
                    sheet.write_string(row, column, text).map_err(told)?;
                }
            }
        }
        Ok(())
    }

    /// Writes which sheets there are and ends the workbook.
    pub(super) fn finish(mut self, head: &[String]) -> Result<File> {
        let sheet = self.workbook.add_worksheet_with_constant_memory().map_err(told)?;
        sheet.set_name("说明").map_err(told)?;
        sheet.set_column_width(0, 60).map_err(told)?;
        let mut lines: Vec<String> = head.to_vec();
        for table in &self.tables {
            let total: u64 = table.sheets.iter().map(|(_, rows)| u64::from(*rows)).sum();
            let n = table.sheets.len();
            lines.push(format!(
                "{}：共 {total} 行，{n} 张工作表 / {total} rows in {n} sheets",
                table.name
            ));
            if n > 1 {
                let most = self.most;
                lines.push(format!(
                    "　一张工作表最多 {most} 行，其余在“{} (2)”及以后 / a sheet holds {most} rows, the rest is in `{} (2)` and on",
                    table.name, table.name
                ));
            }
        }
        if self.cut > 0 {
            let cut = self.cut;
            lines.push(format!(
                "有 {cut} 个单元格超过 {LONGEST_CELL} 字，末尾以“…”截断 / {cut} cells were longer than {LONGEST_CELL} characters and end in `…`"
            ));
        }
        for (row, line) in (0_u32..).zip(&lines) {
            sheet.write_string(row, 0, line).map_err(told)?;
        }
        let failed = |e: std::io::Error| Error::internal("temporary file").caused_by(e);
        let mut file = tempfile::tempfile().map_err(failed)?;
        let copy = file.try_clone().map_err(failed)?;
        self.workbook.save_to_writer(copy).map_err(told)?;
        std::io::Seek::rewind(&mut file).map_err(failed)?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use calamine::{Data, Reader, Xlsx};

    use super::*;

    #[test]
    fn a_full_sheet_goes_on_in_a_further_one_and_that_is_said() {
        let tables = vec![
            ("目录", vec!["编码".to_owned()]),
            ("数据项", vec!["编码".to_owned(), "数".to_owned()]),
        ];
        let mut book = Book::with_rows(tables, 3).unwrap();
        for n in 0..8_i64 {
            if n < 2 {
                book.row(0, &[Cell::Text(format!("e{n}"))]).unwrap();
            }
            book.row(1, &[Cell::Text(format!("=i{n}")), Cell::Number(n)]).unwrap();
        }
        book.row(0, &[Cell::Text("长".repeat(40_000))]).unwrap();
        let file = book.finish(&["台账".to_owned()]).unwrap();
        let mut read: Xlsx<_> =
            calamine::open_workbook_from_rs(std::io::BufReader::new(file)).unwrap();
        assert_eq!(read.sheet_names(), ["目录", "数据项", "数据项 (2)", "数据项 (3)", "说明"]);
        let mut items = Vec::new();
        for sheet in ["数据项", "数据项 (2)", "数据项 (3)"] {
            let range = read.worksheet_range(sheet).unwrap();
            assert_eq!(range.get((0, 0)), Some(&Data::String("编码".into())));
            items.extend(range.rows().skip(1).map(|r| (r[0].clone(), r[1].clone())));
        }
        assert_eq!(items.len(), 8);
        assert_eq!(items[7], (Data::String("=i7".into()), Data::Float(7.0)));
        let notes: Vec<String> =
            read.worksheet_range("说明").unwrap().rows().map(|r| r[0].to_string()).collect();
        let told = notes.join("\n");
        assert!(
            told.contains("数据项：共 8 行，3 张工作表") && told.contains("1 cells were longer"),
            "{told}"
        );
    }
}

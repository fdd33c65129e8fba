//! Workbooks: XLSX and XLSB row by row, XLS and ODS by sheet. Macros are never run; formulas count with their last value.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use calamine::{
    Data, DataRef, Dimensions, ExcelDateTime, Ods, OdsError, Reader, Sheet, SheetType,
    SheetVisible, Xls, XlsError, Xlsb, XlsbError, Xlsx, XlsxError,
};
use model::item::Item;
use model::parcel::Sniffed;
use model::{Error, Result};
use policy::port::ReadOptions;

use crate::bounds;
use crate::cell::Mark;
use crate::content::{Content, Kind, bad_file, password};
use crate::grid::{Grid, GridCell, GridRow, Rows};
use crate::layout::Manner;
use crate::token::CELL_LIMIT;

enum Format {
    Xlsx(Box<Xlsx<BufReader<File>>>),
    Xlsb(Box<Xlsb<BufReader<File>>>),
    Xls(Box<Xls<BufReader<File>>>),
    Ods(Box<Ods<BufReader<File>>>),
}

/// A workbook with one sheet chosen.
pub(crate) struct Book {
    format: Format,
    pub(crate) sheet: String,
    merges: Vec<Dimensions>,
    pub(crate) notes: Vec<(String, String)>,
    done: Arc<AtomicU64>,
}

impl std::fmt::Debug for Book {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Book").field("sheet", &self.sheet).finish_non_exhaustive()
    }
}

fn corrupt(detail: &dyn std::fmt::Display) -> Error {
    bad_file(
        "工作簿已损坏或不完整，无法读取；请用 Excel 或 WPS 打开并重新保存后上传",
        "the workbook is corrupt or incomplete; open it in a spreadsheet program, save it again and upload that",
    )
    .detail(detail.to_string())
}

fn xlsx_error(e: XlsxError) -> Error {
    if matches!(e, XlsxError::Password) { password() } else { corrupt(&e) }
}
fn xlsb_error(e: XlsbError) -> Error {
    if matches!(e, XlsbError::Password) { password() } else { corrupt(&e) }
}
fn xls_error(e: XlsError) -> Error {
    if matches!(e, XlsError::Password) { password() } else { corrupt(&e) }
}
fn ods_error(e: OdsError) -> Error {
    if matches!(e, OdsError::Password) { password() } else { corrupt(&e) }
}

/// The word for a workbook's format.
pub(crate) fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Xlsb => "xlsb",
        Kind::Xls => "xls",
        Kind::Ods => "ods",
        _ => "xlsx",
    }
}

impl Book {
    /// Opens a workbook and chooses its sheet: the one asked for, else the first visible one that holds a table.
    pub(crate) fn open(
        content: &mut Content,
        options: &ReadOptions,
        items: Option<&[Item]>,
    ) -> Result<Self> {
        let kind = content.kind;
        bounds::workbook(content.seekable()?, kind)?;
        let file = BufReader::new(content.seekable()?);
        let format = match kind {
            Kind::Xlsb => Format::Xlsb(Box::new(Xlsb::new(file).map_err(xlsb_error)?)),
            Kind::Xls => Format::Xls(Box::new(Xls::new(file).map_err(xls_error)?)),
            Kind::Ods => Format::Ods(Box::new(Ods::new(file).map_err(ods_error)?)),
            _ => Format::Xlsx(Box::new(Xlsx::new(file).map_err(xlsx_error)?)),
        };
        let mut book = Self {
            format,
            sheet: String::new(),
            merges: Vec::new(),
            notes: Vec::new(),
            done: Arc::default(),
        };
        book.choose(options, items)?;
        book.load_merges();
        Ok(book)
    }

    fn sheets(&self) -> Vec<Sheet> {
        match &self.format {
            Format::Xlsx(b) => b.sheets_metadata().to_vec(),
            Format::Xlsb(b) => b.sheets_metadata().to_vec(),
            Format::Xls(b) => b.sheets_metadata().to_vec(),
            Format::Ods(b) => b.sheets_metadata().to_vec(),
        }
    }

    fn choose(&mut self, options: &ReadOptions, items: Option<&[Item]>) -> Result<()> {
        let sheets: Vec<Sheet> =
            self.sheets().into_iter().filter(|s| s.typ == SheetType::WorkSheet).collect();
        let names = sheets.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join("、");
        if let Some(wanted) = &options.sheet {
            let found = sheets.iter().find(|s| s.name.trim() == wanted.trim());
            let found = found.or_else(|| {
                wanted.parse::<usize>().ok().and_then(|n| sheets.get(n.checked_sub(1)?))
            });
            let Some(found) = found else {
                return Err(bad_file(
                    format!("没有名为「{wanted}」的工作表；工作簿中有：{names}"),
                    format!("there is no sheet `{wanted}`; the workbook holds: {names}"),
                ));
            };
            self.sheet.clone_from(&found.name);
            return Ok(());
        }
        let visible: Vec<&Sheet> =
            sheets.iter().filter(|s| s.visible == SheetVisible::Visible).collect();
        let hidden = sheets.len() - visible.len();
        let mut seen: Vec<(String, usize, usize, usize)> = Vec::new();
        for sheet in &visible {
            self.sheet.clone_from(&sheet.name);
            let (mut rows, mut widest, mut matched) = (0, 0, 0);
            let outcome = self.each(&mut |row| {
                rows += 1;
                widest = widest.max(row.cells.len());
                if let Some(items) = items {
                    let headers: Vec<_> = row
                        .cells
                        .iter()
                        .map(|c| {
                            crate::matching::Header::plain(
                                c.as_ref().map_or("", |c| c.text.as_str()),
                            )
                        })
                        .collect();
                    matched = matched.max(crate::matching::by_name(&headers, items, None).count());
                }
                Ok(rows < 30)
            });
            match outcome {
                Ok(()) => seen.push((sheet.name.clone(), rows, widest, matched)),
                Err(error) if visible.len() == 1 => return Err(error),
                Err(_) => {}
            }
        }
        let full: Vec<&(String, usize, usize, usize)> = seen.iter().filter(|s| s.1 > 0).collect();
        let words = [
            "说明",
            "填写说明",
            "填表说明",
            "封面",
            "目录",
            "字典",
            "readme",
            "notes",
            "cover",
            "help",
        ];
        let aside = |name: &str| words.iter().any(|w| name.trim().to_lowercase() == *w);
        let best_match = full.iter().map(|s| s.3).max().unwrap_or(0);
        let chosen = full
            .iter()
            .find(|s| best_match > 0 && s.3 == best_match)
            .or_else(|| full.iter().find(|s| s.1 > 1 && s.2 > 1 && !aside(&s.0)))
            .or_else(|| full.first());
        let Some(chosen) = chosen else {
            return Err(bad_file(
                "工作簿里没有数据（可见的工作表都是空的）",
                "the workbook holds no data: its visible sheets are empty",
            ));
        };
        self.sheet.clone_from(&chosen.0);
        if full.len() > 1 {
            self.notes.push((
                format!("工作簿有多个有内容的工作表（{names}），读取「{}」；可用「工作表」选项另选", chosen.0),
                format!("the workbook has several sheets with content ({names}); `{}` is read; another can be chosen with the sheet option", chosen.0),
            ));
        }
        if hidden > 0 {
            self.notes.push((
                format!("有 {hidden} 个隐藏的工作表未读取"),
                format!("{hidden} hidden sheets are not read"),
            ));
        }
        Ok(())
    }

    fn load_merges(&mut self) {
        let merges = match &mut self.format {
            Format::Xlsx(b) => b.merge_cells_by_sheet_name(&self.sheet).unwrap_or_default(),
            Format::Xls(b) => b.merge_cells_by_sheet_name(&self.sheet).unwrap_or_default(),
            _ => Vec::new(),
        };
        self.merges = merges.into_iter().filter(|m| m.start < m.end).take(200_000).collect();
        self.merges.sort_by_key(|m| m.start);
        if !self.merges.is_empty() {
            self.notes.push((
                format!("有 {} 处合并单元格，合并区域内的每一格都取左上角的值", self.merges.len()),
                format!("there are {} merged areas; every cell of an area takes the value of its upper left one", self.merges.len()),
            ));
        }
    }

    /// How rows come: merges, where known, say how far group names reach.
    pub(crate) fn manner(&self) -> Manner {
        let across = self.merges.iter().any(|m| m.start.0 < 12 && m.end.1 > m.start.1);
        Manner { ragged: true, reach: !across }
    }

    pub(crate) fn count_bytes(&mut self, done: Arc<AtomicU64>, total: u64) {
        // Sheets are compressed inside: progress is told as whole once rows flow.
        done.store(total, Ordering::Relaxed);
        self.done = done;
    }
}

impl Rows for Book {
    fn each(&mut self, take: &mut dyn FnMut(GridRow) -> Result<bool>) -> Result<()> {
        let mut rows = Merger { merges: &self.merges, next: 0, open: Vec::new(), last: 0 };
        let sheet = self.sheet.clone();
        match &mut self.format {
            Format::Xlsx(book) => {
                let mut cells = book.worksheet_cells_reader(&sheet).map_err(xlsx_error)?;
                let mut building = Building::default();
                while let Some(cell) = cells.next_cell().map_err(xlsx_error)? {
                    if let Some(row) =
                        building.put(cell.get_position(), of_ref(cell.get_value())?)?
                        && !rows.emit(row, take)?
                    {
                        return Ok(());
                    }
                }
                rows.emit(building.row, take)?;
            }
            Format::Xlsb(book) => {
                let mut cells = book.worksheet_cells_reader(&sheet).map_err(xlsb_error)?;
                let mut building = Building::default();
                while let Some(cell) = cells.next_cell().map_err(xlsb_error)? {
                    if let Some(row) =
                        building.put(cell.get_position(), of_ref(cell.get_value())?)?
                        && !rows.emit(row, take)?
                    {
                        return Ok(());
                    }
                }
                rows.emit(building.row, take)?;
            }
            Format::Xls(book) => {
                let range = book.worksheet_range(&sheet).map_err(xls_error)?;
                whole_range(&range, &mut rows, take)?;
            }
            Format::Ods(book) => {
                let range = book.worksheet_range(&sheet).map_err(ods_error)?;
                whole_range(&range, &mut rows, take)?;
            }
        }
        Ok(())
    }
}

fn whole_range(
    range: &calamine::Range<Data>,
    rows: &mut Merger<'_>,
    take: &mut dyn FnMut(GridRow) -> Result<bool>,
) -> Result<()> {
    let Some((top, left)) = range.start() else { return Ok(()) };
    for (line, cells) in (u64::from(top) + 1..).zip(range.rows()) {
        let mut row =
            GridRow { line, cells: vec![None; usize::try_from(left).unwrap_or(0)], gap: false };
        for cell in cells {
            row.cells.push(of_data(cell)?);
        }
        if !rows.emit(row, take)? {
            break;
        }
    }
    Ok(())
}

/// Bytes of the texts of a row.
const ROW_LIMIT: usize = 48 << 20;

/// A row being built from cells in the order of the sheet.
#[derive(Default)]
struct Building {
    row: GridRow,
    /// Bytes of its texts: many cells may cite one long text.
    bytes: usize,
}

impl Building {
    /// Puts a cell; a finished row comes out when the next one starts.
    fn put(
        &mut self,
        (row, column): (u32, u32),
        cell: Option<GridCell>,
    ) -> Result<Option<GridRow>> {
        let line = u64::from(row) + 1;
        let mut out = None;
        if self.row.line != line {
            if line < self.row.line {
                return Err(corrupt(&"rows out of order"));
            }
            let fresh = GridRow { line, cells: Vec::new(), gap: false };
            let full = std::mem::replace(&mut self.row, fresh);
            self.bytes = 0;
            out = (full.line > 0).then_some(full);
        }
        if let Some(text) = cell.as_ref().map(|cell| &cell.text) {
            self.bytes = self.bytes.saturating_add(text.len());
            if self.bytes > ROW_LIMIT {
                return Err(Error::new(
                    model::Code::TooLarge,
                    format!("第 {line} 行超过 48 MiB"),
                    format!("row {line} is larger than 48 MiB"),
                ));
            }
            let at = usize::try_from(column).unwrap_or(usize::MAX);
            if at >= 16_384 {
                return Err(corrupt(&"column out of range"));
            }
            if self.row.cells.len() <= at {
                self.row.cells.resize(at + 1, None);
            }
            if let Some(slot) = self.row.cells.get_mut(at) {
                *slot = cell;
            }
        }
        Ok(out)
    }
}

/// Fills merged areas row by row and leaves blank rows out.
struct Merger<'a> {
    merges: &'a [Dimensions],
    next: usize,
    /// Areas that reach into the present row, with their value.
    open: Vec<(Dimensions, Option<GridCell>)>,
    last: u64,
}

impl Merger<'_> {
    fn emit(
        &mut self,
        mut row: GridRow,
        take: &mut dyn FnMut(GridRow) -> Result<bool>,
    ) -> Result<bool> {
        if row.line == 0 || row.blank() {
            return Ok(true);
        }
        let at = row.line - 1;
        self.open.retain(|(area, _)| u64::from(area.end.0) >= at);
        while let Some(area) = self.merges.get(self.next).filter(|m| u64::from(m.start.0) <= at) {
            self.next += 1;
            if u64::from(area.end.0) < at {
                continue;
            }
            let corner = usize::try_from(area.start.1).unwrap_or(0);
            let value = if u64::from(area.start.0) == at {
                row.cells.get(corner).cloned().flatten()
            } else {
                None
            };
            let alone =
                row.cells.iter().flatten().filter(|c| !c.text.trim().is_empty()).count() == 1;
            // A title over the table stays one cell.
            if alone && area.start.0 == area.end.0 {
                continue;
            }
            self.open.push((*area, value));
        }
        for (area, value) in &self.open {
            let Some(value) = value else { continue };
            // A wild area must not blow the row up.
            for column in area.start.1..=area.end.1.min(area.start.1.saturating_add(2_000)) {
                let column = usize::try_from(column).unwrap_or(0);
                if row.cells.len() <= column {
                    row.cells.resize(column + 1, None);
                }
                if let Some(slot) = row
                    .cells
                    .get_mut(column)
                    .filter(|s| s.as_ref().is_none_or(|c| c.text.trim().is_empty()))
                {
                    *slot = Some(value.clone());
                }
            }
        }
        row.gap = self.last > 0 && row.line > self.last + 1;
        self.last = row.line;
        take(row)
    }
}

fn exact(text: String) -> Option<GridCell> {
    Some(GridCell { text, mark: Mark::Exact })
}

fn plain(text: &str) -> Result<Option<GridCell>> {
    if text.len() > CELL_LIMIT {
        return Err(Error::new(
            model::Code::TooLarge,
            "单元格超过 16 MiB",
            "a cell is larger than 16 MiB",
        ));
    }
    Ok(Some(GridCell { text: text.to_owned(), mark: Mark::Plain }))
}

fn of_ref(value: &DataRef<'_>) -> Result<Option<GridCell>> {
    Ok(match value {
        DataRef::Empty => None,
        DataRef::String(s) => plain(s)?,
        DataRef::SharedString(s) => plain(s)?,
        DataRef::Int(i) => exact(i.to_string()),
        DataRef::Float(f) => number_text(*f),
        DataRef::Bool(b) => exact(b.to_string()),
        DataRef::DateTime(t) => date_text(t),
        DataRef::DateTimeIso(t) => exact(iso_text(t)),
        DataRef::DurationIso(t) => exact(duration_text(t)),
        DataRef::Error(e) => Some(GridCell { text: e.to_string(), mark: Mark::Fault }),
    })
}

fn of_data(value: &Data) -> Result<Option<GridCell>> {
    Ok(match value {
        Data::Empty => None,
        Data::String(s) => plain(s)?,
        Data::Int(i) => exact(i.to_string()),
        Data::Float(f) => number_text(*f),
        Data::Bool(b) => exact(b.to_string()),
        Data::DateTime(t) => date_text(t),
        Data::DateTimeIso(t) => exact(iso_text(t)),
        Data::DurationIso(t) => exact(duration_text(t)),
        Data::Error(e) => Some(GridCell { text: e.to_string(), mark: Mark::Fault }),
    })
}

/// A spreadsheet number as people see it: 15 digits, no exponent, no `.0`.
pub(crate) fn number_text(f: f64) -> Option<GridCell> {
    if !f.is_finite() {
        return Some(GridCell { text: f.to_string(), mark: Mark::Fault });
    }
    if f.fract() == 0.0 && f.abs() < 1e15 {
        return exact(format!("{f:.0}"));
    }
    if f.abs() >= 1e15 {
        return Some(GridCell { text: format!("{f:.0}"), mark: Mark::Lossy });
    }
    let rounded: f64 = format!("{f:.14e}").parse().unwrap_or(f);
    exact(rounded.to_string())
}

fn date_text(t: &ExcelDateTime) -> Option<GridCell> {
    let value = t.as_f64();
    if !(0.0..2_958_466.0).contains(&value) {
        return number_text(value);
    }
    let whole = value.floor();
    let seconds = ((value - whole) * 86_400.0).round() as i64;
    if t.is_duration() || value < 1.0 {
        let hours = whole as i64 * 24 + seconds / 3600;
        return exact(format!("{hours:02}:{:02}:{:02}", seconds / 60 % 60, seconds % 60));
    }
    let Some(moment) = t.as_datetime() else { return number_text(value) };
    if seconds == 0 {
        return exact(moment.date().to_string());
    }
    let rounded = moment + chrono::TimeDelta::milliseconds(500);
    exact(rounded.format("%Y-%m-%d %H:%M:%S").to_string())
}

/// An ISO date without a time of midnight.
fn iso_text(text: &str) -> String {
    text.strip_suffix("T00:00:00").unwrap_or(text).to_owned()
}

/// `PT12H30M05S` as `12:30:05`.
fn duration_text(text: &str) -> String {
    let mut parts: HashMap<char, f64> = HashMap::new();
    let mut number = String::new();
    for c in text.trim_start_matches("PT").chars() {
        if c.is_ascii_digit() || c == '.' {
            number.push(c);
        } else {
            parts.insert(c, number.parse().unwrap_or(0.0));
            number.clear();
        }
    }
    let part = |c: char| parts.get(&c).copied().unwrap_or(0.0);
    if text.starts_with("PT") {
        format!("{:02}:{:02}:{:02}", part('H'), part('M'), part('S'))
    } else {
        text.to_owned()
    }
}

/// What is known of a workbook before its rows are read.
pub(crate) fn blank_sniff(content: &Content, book: &Book, kind: Kind) -> Sniffed {
    Sniffed {
        format: word(kind).to_owned(),
        compression: content.compression.to_owned(),
        encoding: String::new(),
        delimiter: None,
        quote: None,
        preamble: 0,
        header_rows: 0,
        footer: 0,
        sheet: Some(book.sheet.clone()),
        columns: Vec::new(),
        records: None,
        notes: content.notes.iter().chain(&book.notes).cloned().collect(),
    }
}

/// Sniffs a workbook.
pub(crate) fn sniff(content: &mut Content, options: &ReadOptions) -> Result<Sniffed> {
    let kind = content.kind;
    let mut book = Book::open(content, options, None)?;
    let manner = book.manner();
    let grid = Grid::plan(&mut book, manner, options, None, None)?;
    let mut sniffed = blank_sniff(content, &book, kind);
    grid.sniff(&mut book, &mut sniffed)?;
    Ok(sniffed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_people_see_them() {
        for (f, want) in [
            (1.0, "1"),
            (-2.0, "-2"),
            (0.1 + 0.2, "0.3"),
            (1_234.560_000_000_000_1, "1234.56"),
            (13_800_138_000.0, "13800138000"),
            (1e-10, "0.0000000001"),
            (45_292.5, "45292.5"),
            (0.0, "0"),
        ] {
            assert_eq!(number_text(f).unwrap().text, want);
        }
        assert_eq!(number_text(3.301_061_990_010_11e17).unwrap().mark, Mark::Lossy);
        assert_eq!(duration_text("PT12H30M05S"), "12:30:05");
    }
}

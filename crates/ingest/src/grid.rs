//! Grids: rows of cells that are not text lines (sheets of a workbook, arrays of arrays), with the same care for titles,
//! headers and notes as delimited text.

use std::collections::VecDeque;

use model::Result;
use model::item::Item;
use model::parcel::Sniffed;
use policy::port::ReadOptions;

use crate::cell::{Cell, Mark};
use crate::hand::Hand;
use crate::layout::{self, Layout, Manner};
use crate::matching::{self, Header, Matched};
use crate::shape::Shape;
use crate::sink::Sink;
use crate::token::Row;
use crate::typing::Hint;
use crate::why::{Why, cut};

/// One cell with how far it may be trusted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GridCell {
    pub(crate) text: String,
    pub(crate) mark: Mark,
}

/// One row that is not blank.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct GridRow {
    /// Row number as the user sees it, from 1.
    pub(crate) line: u64,
    pub(crate) cells: Vec<Option<GridCell>>,
    /// Blank rows stand before it.
    pub(crate) gap: bool,
}

impl GridRow {
    fn cell(&self, at: usize) -> Option<Cell<'_>> {
        self.cells.get(at)?.as_ref().map(|c| Cell { text: &c.text, mark: c.mark })
    }
    pub(crate) fn blank(&self) -> bool {
        self.cells.iter().flatten().all(|c| c.text.trim().is_empty())
    }
    fn plain(&self) -> Row {
        Row {
            line: self.line,
            start: 0,
            cells: self
                .cells
                .iter()
                .map(|c| c.as_ref().map(|c| c.text.clone()).unwrap_or_default())
                .collect(),
            quoted: Vec::new(),
            trouble: None,
            gap: self.gap,
        }
    }
}

/// Something that gives rows from its start, as often as asked. The taker answers `false` to stop.
pub(crate) trait Rows {
    fn each(&mut self, take: &mut dyn FnMut(GridRow) -> Result<bool>) -> Result<()>;
}

/// How many rows are held back to recognise notes at the end.
const HELD: usize = 12;

/// A grid understood.
#[derive(Debug)]
pub(crate) struct Grid {
    layout: Layout,
    start: u64,
    hints: Vec<Hint>,
    manner: Manner,
}

impl Grid {
    /// Looks at the first rows. `headers`: names known from elsewhere.
    pub(crate) fn plan(
        rows: &mut dyn Rows,
        manner: Manner,
        options: &ReadOptions,
        items: Option<&[Item]>,
        headers: Option<Vec<Header>>,
    ) -> Result<Self> {
        let mut head: Vec<GridRow> = Vec::new();
        rows.each(&mut |row| {
            head.push(row);
            Ok(head.len() < layout::ROWS)
        })?;
        let plain: Vec<Row> = head.iter().map(GridRow::plain).collect();
        let mut layout = match headers {
            Some(headers) => {
                let mut layout = layout::analyse(&plain, manner, Some(0));
                layout.at = 0;
                layout.headers = headers;
                layout::unique(&mut layout.headers);
                layout
            }
            None => {
                let layout = layout::analyse(&plain, manner, options.header_rows);
                match (items, options.header_rows) {
                    (Some(items), None) => layout.by_items(&plain, items, manner),
                    _ => layout,
                }
            }
        };
        if layout.headers.is_empty() {
            layout.headers = Vec::new();
        }
        let start = plain.get(layout.at).map_or(1, |r| r.line);
        let mut shapes = vec![Shape::default(); layout.headers.len()];
        for row in head.iter().skip(layout.at + layout.header_rows) {
            see(&mut shapes, row);
        }
        let hints = shapes.iter().map(Shape::hint).collect();
        Ok(Self { layout, start, hints, manner })
    }

    pub(crate) fn width(&self) -> usize {
        self.layout.headers.len()
    }

    /// Goes through the data rows; the notes at the end are given back.
    fn data(
        &self,
        rows: &mut dyn Rows,
        take: &mut dyn FnMut(GridRow) -> Result<()>,
    ) -> Result<Vec<GridRow>> {
        let mut held: VecDeque<GridRow> = VecDeque::with_capacity(HELD + 1);
        let mut headers = self.layout.header_rows;
        rows.each(&mut |row| {
            if row.line < self.start {
                return Ok(true);
            }
            if headers > 0 {
                headers -= 1;
                return Ok(true);
            }
            held.push_back(row);
            if held.len() > HELD
                && let Some(row) = held.pop_front()
            {
                take(row)?;
            }
            Ok(true)
        })?;
        let plain: Vec<Row> = held.iter().map(GridRow::plain).collect();
        let footer = self.layout.footer(&plain, self.manner.ragged);
        let keep = held.len().saturating_sub(footer);
        let notes = held.split_off(keep);
        for row in held {
            take(row)?;
        }
        Ok(notes.into())
    }

    /// What is known before reading.
    pub(crate) fn describe(&self, sniffed: &mut Sniffed) {
        sniffed.preamble = self.start - 1;
        sniffed.header_rows = self.layout.header_rows as u64;
        let nothing = Shape::default();
        sniffed.columns = self.layout.headers.iter().map(|h| nothing.column(&h.name)).collect();
    }

    /// Reads all rows to learn types and count records.
    pub(crate) fn sniff(&self, rows: &mut dyn Rows, sniffed: &mut Sniffed) -> Result<()> {
        let mut shapes = vec![Shape::default(); self.width()];
        let mut records = 0_u64;
        let mut wide = 0_u64;
        let notes = self.data(rows, &mut |row| {
            records += 1;
            wide += u64::from(self.too_wide(&row));
            see(&mut shapes, &row);
            Ok(())
        })?;
        self.describe(sniffed);
        sniffed.records = Some(records);
        sniffed.footer = notes.len() as u64;
        sniffed.columns =
            self.layout.headers.iter().zip(&shapes).map(|(h, s)| s.column(&h.name)).collect();
        let out = &mut sniffed.notes;
        if wide > 0 {
            out.push((
                format!("{wide} 行的单元格多于表头的 {} 列，读取时将被隔离", self.width()),
                format!(
                    "{wide} rows have more cells than the header's {} and will go to quarantine",
                    self.width()
                ),
            ));
        }
        if self.layout.header_rows == 0
            && self.layout.headers.iter().all(|h| h.name.starts_with("column_"))
        {
            out.push((
                "没有表头行，列按位置命名".to_owned(),
                "there is no header row; columns are named by position".to_owned(),
            ));
        }
        if !notes.is_empty() {
            let text = cut(
                &notes
                    .iter()
                    .map(|r| r.plain().cells.join(" ").trim().to_owned())
                    .collect::<Vec<_>>()
                    .join(" / "),
                120,
            );
            out.push((
                format!("末尾 {} 行是说明或合计，不作为数据：{text}", notes.len()),
                format!(
                    "the last {} rows are notes or totals and not taken as data: {text}",
                    notes.len()
                ),
            ));
        }
        for (header, shape) in self.layout.headers.iter().zip(&shapes) {
            out.extend(shape.notes(&header.name));
        }
        Ok(())
    }

    fn too_wide(&self, row: &GridRow) -> bool {
        row.cells.iter().skip(self.width()).flatten().any(|c| !c.text.trim().is_empty())
    }

    pub(crate) fn matched(
        &self,
        items: &[Item],
        options: &ReadOptions,
    ) -> Result<(Matched, Vec<(String, Option<String>)>)> {
        let headers = &self.layout.headers;
        let named =
            self.layout.header_rows > 0 || headers.iter().any(|h| !h.name.starts_with("column_"));
        let matched = matching::settle(headers, items, named, options.operation_column.as_deref())?;
        let columns = matched.columns(headers, items);
        Ok((matched, columns))
    }

    pub(crate) fn hint(&self, column: usize) -> Hint {
        self.hints.get(column).copied().unwrap_or_default()
    }

    /// Sends every data row through the sink.
    pub(crate) fn run(&self, rows: &mut dyn Rows, mut sink: Sink, hand: &Hand) -> Result<()> {
        let mut record = 0_u64;
        sink.doubt.nul = true;
        self.data(rows, &mut |row| {
            record += 1;
            if self.too_wide(&row) {
                let cells: Vec<Option<String>> = row.cells.iter().map(|c| c.as_ref().map(|c| c.text.clone())).collect();
                let why = Why::told(
                    format!("该行的单元格多于表头的 {} 列；请删除多余的内容或补上表头", self.width()),
                    format!("the row has more cells than the header's {}; remove them or name the column", self.width()),
                );
                let text = cells.iter().skip(self.width()).flatten().map(String::as_str).collect::<Vec<_>>().join(" | ");
                sink.refuse(record, row.line, why, &text, &cells, self.width());
            } else {
                sink.row(record, row.line, |column| row.cell(column));
            }
            if sink.ready() {
                hand.give(sink.take())?;
            }
            Ok(())
        })?;
        if !sink.is_empty() {
            hand.give(sink.take())?;
        }
        Ok(())
    }
}

fn see(shapes: &mut [Shape], row: &GridRow) {
    for (column, shape) in shapes.iter_mut().enumerate() {
        match row.cell(column) {
            Some(cell) if cell.mark == Mark::Fault => shape.see("", true, row.line),
            Some(cell) => shape.see(cell.text, cell.null_word(), row.line),
            None => shape.see("", true, row.line),
        }
    }
}

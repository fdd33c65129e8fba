//! Writing a table: clean rows from its writer, and now and then a dirty one, so that quarantine is seen.
//!
//! A dirty row is made from a clean one by a fault that typing must refuse: a wrong check digit, a day that does
//! not exist, a text that is too long, a missing key, a row that ends too early.

use std::io::{self, Write};

use model::code::DataType;
use model::item::Item;

use super::seeded::Seeded;
use super::subject::{Cast, County};

/// One of so many rows is dirty.
const DIRTY_EVERY: u64 = 211;
/// Row of the first dirty one.
const DIRTY_FIRST: u64 = 40;

/// How a table's file looks: real files differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Comma,
    /// With a byte order mark and CRLF, as spreadsheets save.
    CommaBom,
    Tab,
    Semicolon,
}

impl Dialect {
    fn delimiter(self) -> char {
        match self {
            Dialect::Comma | Dialect::CommaBom => ',',
            Dialect::Tab => '\t',
            Dialect::Semicolon => ';',
        }
    }
    fn line_end(self) -> &'static str {
        if self == Dialect::CommaBom { "\r\n" } else { "\n" }
    }
    /// File name ending.
    #[must_use]
    pub(crate) fn ending(self) -> &'static str {
        if self == Dialect::Tab { "tsv" } else { "csv" }
    }
}

/// The rows of one table: how many at scale 1, and how one is made (cells in the order of the items).
#[derive(Clone, Copy)]
pub(crate) struct Table {
    pub(crate) base: u64,
    pub(crate) dialect: Dialect,
    pub(crate) row: fn(&mut Cast<'_>) -> Vec<String>,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table")
            .field("base", &self.base)
            .field("dialect", &self.dialect)
            .finish_non_exhaustive()
    }
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// Data records in the file.
    pub(crate) rows: u64,
    /// Of these, rows that must end in quarantine.
    pub(crate) dirty: u64,
}

/// Writes header (Chinese names) and rows.
pub(super) fn write(
    table: &Table,
    items: &[Item],
    code: &str,
    seed: u64,
    scale: u32,
    counties: &[County],
    out: &mut dyn Write,
) -> io::Result<Written> {
    if table.dialect == Dialect::CommaBom {
        out.write_all("\u{feff}".as_bytes())?;
    }
    let header: Vec<String> = items.iter().map(|i| i.name_cn.clone()).collect();
    line(out, &header, table.dialect)?;
    let total = table.base.saturating_mul(u64::from(scale.max(1)));
    let mut cast = Cast { i: 0, shift: seed % 997, rng: Seeded::of(seed, code), counties };
    let mut written = Written::default();
    for i in 0..total {
        cast.i = i;
        let mut cells = (table.row)(&mut cast);
        if i % DIRTY_EVERY == DIRTY_FIRST && spoil(&mut cells, items, i / DIRTY_EVERY) {
            written.dirty += 1;
        }
        line(out, &cells, table.dialect)?;
        written.rows += 1;
    }
    Ok(written)
}

fn line(out: &mut dyn Write, cells: &[String], dialect: Dialect) -> io::Result<()> {
    let delimiter = dialect.delimiter();
    for (i, cell) in cells.iter().enumerate() {
        if i > 0 {
            write!(out, "{delimiter}")?;
        }
        if cell.contains([delimiter, '"', '\n', '\r']) {
            write!(out, "\"{}\"", cell.replace('"', "\"\""))?;
        } else {
            out.write_all(cell.as_bytes())?;
        }
    }
    out.write_all(dialect.line_end().as_bytes())
}

/// Puts one fault into a row; the kinds take turns, those a table cannot have are passed over.
fn spoil(cells: &mut Vec<String>, items: &[Item], turn: u64) -> bool {
    (0..5).any(|next| match (turn + next) % 5 {
        0 => wrong_check_digit(cells, items),
        1 => no_such_day(cells, items),
        2 => too_long(cells, items),
        3 => missing_key(cells, items),
        _ => {
            // The last item (数据标注) must not be empty, so that a row without it cannot be taken.
            cells.truncate(2);
            true
        }
    })
}

fn change(
    cells: &mut [String],
    items: &[Item],
    which: impl Fn(&Item) -> bool,
    to: impl Fn(&str, &Item) -> String,
) -> bool {
    let Some((cell, item)) = cells.iter_mut().zip(items).find(|(c, i)| !c.is_empty() && which(i))
    else {
        return false;
    };
    *cell = to(cell, item);
    true
}

fn wrong_check_digit(cells: &mut [String], items: &[Item]) -> bool {
    let checked = |i: &Item| matches!(i.format.as_str(), "citizen_id" | "uscc");
    change(cells, items, checked, |cell, _| {
        let mut chars: Vec<char> = cell.chars().collect();
        let last = chars.pop();
        chars.push(if last == Some('0') { '1' } else { '0' });
        chars.into_iter().collect()
    })
}

fn no_such_day(cells: &mut [String], items: &[Item]) -> bool {
    change(
        cells,
        items,
        |i| matches!(i.data_type, DataType::Date | DataType::DateTime),
        |_, i| {
            if i.data_type == DataType::Date {
                "2026-02-30".into()
            } else {
                "2026-02-30 25:61:00".into()
            }
        },
    )
}

fn too_long(cells: &mut [String], items: &[Item]) -> bool {
    change(
        cells,
        items,
        |i| i.data_type == DataType::Text && i.length > 0 && i.format.is_empty(),
        |_, i| "超长".repeat(usize::try_from(i.length).unwrap_or(0)),
    )
}

fn missing_key(cells: &mut [String], items: &[Item]) -> bool {
    change(cells, items, |i| i.primary, |_, _| String::new())
}

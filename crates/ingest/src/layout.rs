//! Layout: where the title lines end, which rows are the header, and which rows at the end are notes or totals.
//!
//! Worked example: `2024年人口统计` / (blank) / `地区,人口,,面积` / `,男,女,` / `杭州,1,2,3` / `合计,1,2,3`. The first row
//! has one cell where the others have four: a title. Rows three and four have words over columns of numbers: two header
//! rows, joined to `地区`, `人口_男`, `人口_女`, `面积`. The last row starts with a word for a total: not data.

use std::collections::HashSet;

use model::item::Item;

use crate::header::{count_headers, filled, mostly_typed};
use crate::matching::{self, Header};
use crate::shape::{Look, look};
use crate::token::Row;

/// What was found at the head of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Index of the first header row, or of the first data row when there is no header.
    pub(crate) at: usize,
    pub(crate) header_rows: usize,
    pub(crate) headers: Vec<Header>,
    /// The header stands out by its kind of values, not only by being first.
    pub(crate) sure: bool,
    /// Which columns hold numbers, dates or codes.
    pub(crate) typed: Vec<bool>,
}

/// How the rows come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Manner {
    /// Rows end at their last cell (workbooks) instead of having one cell per column.
    pub(crate) ragged: bool,
    /// Group names in a header reach to the right over empty cells (unknown merges).
    pub(crate) reach: bool,
}

impl Manner {
    pub(crate) const TEXT: Self = Self { ragged: false, reach: true };
}

/// Rows looked at.
pub(crate) const ROWS: usize = 200;

/// Cells up to the last that is not empty.
pub(crate) fn extent(cells: &[String]) -> usize {
    cells.iter().rposition(|c| !c.trim().is_empty()).map_or(0, |n| n + 1)
}

/// The number of cells that most rows have.
fn usual_width(rows: &[Row], ragged: bool) -> usize {
    if ragged {
        return rows.iter().map(|r| extent(&r.cells)).max().unwrap_or(0);
    }
    let mut counts: Vec<(usize, usize)> = Vec::new();
    for row in rows.iter().filter(|r| r.trouble.is_none()) {
        match counts.iter_mut().find(|c| c.0 == row.cells.len()) {
            Some(c) => c.1 += 1,
            None => counts.push((row.cells.len(), 1)),
        }
    }
    counts.iter().max_by_key(|c| (c.1, c.0)).map_or(1, |c| c.0)
}

/// Analyses the first rows; `header_rows` may be ordered.
pub(crate) fn analyse(rows: &[Row], manner: Manner, header_rows: Option<u64>) -> Layout {
    let ragged = manner.ragged;
    let rows = rows.get(..rows.len().min(ROWS)).unwrap_or_default();
    let width = usual_width(rows, ragged);
    let mut at = first_full_row(rows, width, ragged);
    if header_rows.is_none_or(|n| n > 1) {
        while at > 0 && rows.get(at - 1).is_some_and(|r| group_row(r, width, ragged)) {
            at -= 1;
        }
    }
    let body = rows.get(at..).unwrap_or_default();
    let (count, sure) = match header_rows {
        Some(n) => (usize::try_from(n).unwrap_or(0).min(body.len()), true),
        None => count_headers(body, width),
    };
    let data = body.get(count..).unwrap_or_default();
    let head: Vec<&[String]> = body.iter().take(count).map(|r| r.cells.as_slice()).collect();
    let mut headers = join(&head, width, manner.reach);
    if !ragged && count > 0 {
        name_row_labels(&mut headers, data);
    }
    if count > 0 && headers.len() < width && data.iter().all(|r| extent(&r.cells) <= headers.len())
    {
        // Every data row ends with empty cells that the header does not have.
    } else if headers.len() < width {
        headers.resize(width, Header::default());
    }
    unique(&mut headers);
    let typed = (0..headers.len()).map(|c| mostly_typed(data, c)).collect();
    Layout { at, header_rows: count, headers, sure, typed }
}

/// The first row that has cells like the others; rows before it are titles.
fn first_full_row(rows: &[Row], width: usize, ragged: bool) -> usize {
    if width < 2 {
        return 0;
    }
    let enough = if width == 2 { 2 } else { width.div_ceil(2).max(2) };
    let fits = |r: &Row| {
        let cells = r.cells.len();
        r.trouble.is_none()
            && filled(&r.cells) >= enough.min(filled_usually(rows, width))
            && (ragged
                || cells == width
                || cells + 1 == width
                || (cells > width && cells <= width + 2))
            && !label_row(&r.cells, width)
    };
    rows.iter().position(fits).unwrap_or(0)
}

/// How many cells rows usually fill, so that sparse tables are not taken for titles.
fn filled_usually(rows: &[Row], width: usize) -> usize {
    let mut counts: Vec<usize> = rows
        .iter()
        .filter(|r| r.cells.len() >= width.saturating_sub(1))
        .map(|r| filled(&r.cells))
        .collect();
    counts.sort_unstable();
    counts.get(counts.len() / 2).copied().unwrap_or(2).max(2)
}

/// `制表单位：某局,,日期：2024-01-02,`: labels with their values, fewer than the columns.
fn label_row(cells: &[String], width: usize) -> bool {
    let full: Vec<&String> = cells.iter().filter(|c| !c.trim().is_empty()).collect();
    full.len() * 2 <= width && width > 2 && full.iter().all(|c| c.contains(['：', ':']))
}

/// A row of group names above the header: some words, gaps between, nothing typed.
fn group_row(row: &Row, width: usize, ragged: bool) -> bool {
    let n = filled(&row.cells);
    n >= 2
        && width > 2
        && (ragged || row.cells.len() == width)
        && !label_row(&row.cells, width)
        && row
            .cells
            .iter()
            .all(|c| !c.contains(['：', ':']) && matches!(look(c), Look::Empty | Look::Text))
}

/// Joins header rows to one name per column: `上级_下级`. Group names reach to the right until the next one.
fn join(head: &[&[String]], width: usize, reaches: bool) -> Vec<Header> {
    let width = head.iter().map(|r| extent(r)).max().unwrap_or(width).max(if head.is_empty() {
        width
    } else {
        0
    });
    let mut levels: Vec<Vec<String>> = Vec::new();
    for (depth, row) in head.iter().enumerate() {
        let below = head.get(depth + 1..).unwrap_or_default();
        let mut names = Vec::with_capacity(width);
        let mut reach = String::new();
        for column in 0..width {
            let cell = row.get(column).map(|c| clean(c)).unwrap_or_default();
            let has_below =
                below.iter().any(|r| r.get(column).is_some_and(|c| !c.trim().is_empty()));
            if !cell.is_empty() {
                reach.clone_from(&cell);
            } else if !has_below {
                reach.clear();
            }
            names.push(if cell.is_empty() && has_below && reaches { reach.clone() } else { cell });
        }
        levels.push(names);
    }
    (0..width)
        .map(|column| {
            let mut parts: Vec<String> = Vec::new();
            for names in &levels {
                if let Some(part) =
                    names.get(column).filter(|p| !p.is_empty() && parts.last() != Some(p))
                {
                    parts.push(part.clone());
                }
            }
            Header {
                name: parts.join("_"),
                levels: if parts.len() > 1 { parts } else { Vec::new() },
            }
        })
        .collect()
}

/// A header text without line breaks, marks and outer blanks.
fn clean(text: &str) -> String {
    let text =
        text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}'));
    let text = text.strip_prefix('#').filter(|t| !t.is_empty()).unwrap_or(text).trim();
    if !text.contains(['\n', '\r', '\t']) {
        return text.to_owned();
    }
    text.split_whitespace().collect::<Vec<_>>().join(if text.is_ascii() { " " } else { "" })
}

/// Statistics programs leave the name of the row labels out: the header is one cell short of every row.
fn name_row_labels(headers: &mut Vec<Header>, data: &[Row]) {
    let short = headers.len();
    let all_longer = !data.is_empty()
        && data.iter().filter(|r| r.trouble.is_none()).all(|r| r.cells.len() == short + 1);
    let last_empty = data.iter().all(|r| r.cells.last().is_some_and(|c| c.trim().is_empty()));
    let distinct: HashSet<&String> = data.iter().filter_map(|r| r.cells.first()).collect();
    if all_longer && !last_empty && short > 0 && distinct.len() == data.len() {
        headers.insert(0, Header::default());
    }
}

/// Gives every column a name of its own: `column_3` for none, `名称_2` for a second of the same.
pub(crate) fn unique(headers: &mut [Header]) {
    let given: HashSet<String> = headers.iter().map(|h| h.name.clone()).collect();
    let mut used: HashSet<String> = HashSet::new();
    for (at, header) in headers.iter_mut().enumerate() {
        if header.name.is_empty() {
            header.name = format!("column_{}", at + 1);
        }
        if !used.insert(header.name.clone()) {
            let base = header.name.clone();
            let free = (2..)
                .map(|n| format!("{base}_{n}"))
                .find(|name| !given.contains(name) && !used.contains(name));
            header.name = free.unwrap_or(base);
            used.insert(header.name.clone());
        }
    }
}

impl Layout {
    /// With the entry's items known, the row that names them is the header, wherever guessing put it.
    pub(crate) fn by_items(self, rows: &[Row], items: &[Item], manner: Manner) -> Self {
        let score = |headers: &[Header]| matching::by_name(headers, items, None).count();
        let here = if self.header_rows > 0 { score(&self.headers) } else { 0 };
        if self.header_rows > 1 {
            // Rows below one that names the items belong to the header only when they name them too, or give units.
            let alone = |at: usize| {
                rows.get(at).map_or(0, |r| {
                    score(&r.cells.iter().map(|c| Header::plain(clean(c))).collect::<Vec<_>>())
                })
            };
            let first = alone(self.at);
            let again = (1..self.header_rows).any(|n| alone(self.at + n) > 0);
            if first > 0 && first >= here && !again && first * 2 >= items.len() {
                let mut layout = analyse(rows.get(self.at..).unwrap_or_default(), manner, Some(1));
                layout.at += self.at;
                return layout;
            }
        }
        let mut best: Option<(usize, usize)> = None;
        for (at, row) in rows.iter().take(30).enumerate() {
            if row.cells.len() > 5_000 {
                continue;
            }
            let headers: Vec<Header> = row.cells.iter().map(|c| Header::plain(clean(c))).collect();
            let found = score(&headers);
            if best.is_none_or(|b| found > b.1) {
                best = Some((at, found));
            }
        }
        match best {
            Some((at, found)) if found > here && (found * 2 >= items.len() || found >= 3) => {
                let tail = rows.get(at..).unwrap_or_default();
                let mut layout = analyse(tail, manner, Some(1));
                layout.at += at;
                layout
            }
            _ if here == 0
                && !self.sure
                && self.header_rows > 0
                && self.headers.len() == items.len() =>
            {
                // Nothing is named after an item and the first row may well be data: go by position.
                let mut headers = vec![Header::default(); self.headers.len()];
                unique(&mut headers);
                Layout { header_rows: 0, headers, ..self }
            }
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests;

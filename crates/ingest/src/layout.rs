//! Layout: where the title lines end, which rows are the header, and which rows at the end are notes or totals.
//!
//! Worked example: `2024年人口统计` / (blank) / `地区,人口,,面积` / `,男,女,` / `杭州,1,2,3` / `合计,1,2,3`. The first row
//! has one cell where the others have four: a title. Rows three and four have words over columns of numbers: two header
//! rows, joined to `地区`, `人口_男`, `人口_女`, `面积`. The last row starts with a word for a total: not data.

use std::collections::HashSet;

use model::item::Item;

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
    typed: Vec<bool>,
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
const HEADER_ROWS: usize = 5;

fn filled(cells: &[String]) -> usize {
    cells.iter().filter(|c| !c.trim().is_empty()).count()
}

/// Cells up to the last that is not empty.
fn extent(cells: &[String]) -> usize {
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

fn mostly_typed(data: &[Row], column: usize) -> bool {
    let mut typed = 0;
    let mut other = 0;
    for cell in data.iter().filter_map(|r| r.cells.get(column)) {
        match look(cell) {
            Look::Empty | Look::Nothing => {}
            l if l.typed() => typed += 1,
            _ => other += 1,
        }
    }
    typed > 0 && typed >= other * 2
}

fn headerish(row: &Row) -> bool {
    filled(&row.cells) > 0 && !row.cells.iter().any(|c| look(c).typed())
}

/// How many of the first rows are headers, and whether their kind of values proves it.
fn count_headers(body: &[Row], width: usize) -> (usize, bool) {
    let Some(first) = body.first() else { return (0, false) };
    let after = body.get(1..).unwrap_or_default();
    let run = body.iter().take(HEADER_ROWS + 1).take_while(|r| headerish(r)).count();
    if run == 0 {
        return if numbered_header(first, after) { (1, true) } else { (0, true) };
    }
    let body_start = body.get(run..).unwrap_or_default();
    let any_typed = (0..width).any(|c| mostly_typed(body.get(1..).unwrap_or_default(), c));
    if !any_typed {
        return words_only(body, width);
    }
    let typed: Vec<usize> = (0..width)
        .filter(|&c| mostly_typed(if body_start.len() > 1 { body_start } else { after }, c))
        .collect();
    // Rows of words over columns of numbers are headers; a row whose cells there are empty is data.
    let over = |row: &Row| {
        typed.iter().filter(|&&c| row.cells.get(c).is_some_and(|t| look(t) == Look::Text)).count()
    };
    let nothing = |row: &Row| {
        typed
            .iter()
            .filter(|&&c| row.cells.get(c).is_some_and(|t| look(t) == Look::Nothing))
            .count()
    };
    if over(first) == 0 && nothing(first) > 0 {
        return (0, false);
    }
    let mut count = 1;
    for row in body.iter().take(run.min(HEADER_ROWS)).skip(1) {
        let here = over(row);
        if here == 0
            || here * 2 < typed.len()
            || (over(first) == 0 && filled(&first.cells) * 2 > width)
        {
            break;
        }
        // Under a complete header row there are only names in the other language, or units.
        let above = body.get(count - 1).unwrap_or(first);
        let distinct: HashSet<&String> = above.cells.iter().collect();
        if filled(&above.cells) == width
            && distinct.len() >= width
            && !names_again(&above.cells, &row.cells)
        {
            break;
        }
        count += 1;
    }
    // Group names alone on top: the row below must be a header too.
    if count == 1
        && over(first) == 0
        && run > 1
        && body.get(1).is_some_and(|r| over(r) * 2 >= typed.len())
    {
        count = 2;
    }
    (count, over(first) > 0 || count > 1)
}

/// The second row says the same in another script (`xm` over `姓名`), or gives units.
fn names_again(above: &[String], below: &[String]) -> bool {
    let cells = |row: &[String]| {
        row.iter().map(|c| c.trim().to_owned()).filter(|c| !c.is_empty()).collect::<Vec<_>>()
    };
    let (above, below) = (cells(above), cells(below));
    let ascii = |row: &[String]| row.iter().all(|c| c.is_ascii());
    let foreign = |row: &[String]| row.iter().all(|c| !c.is_ascii());
    let unit = |c: &String| {
        c.starts_with(['(', '（', '[', '【'])
            || matches!(
                c.as_str(),
                "元" | "万元"
                    | "亿元"
                    | "人"
                    | "万人"
                    | "个"
                    | "%"
                    | "吨"
                    | "公里"
                    | "千米"
                    | "平方米"
                    | "公顷"
                    | "亩"
                    | "户"
                    | "家"
                    | "-"
                    | "—"
            )
    };
    (ascii(&above) && foreign(&below))
        || (foreign(&above) && ascii(&below))
        || below.iter().all(unit)
}

/// A header of years or of running numbers over numbers: `地区,2021,2022,2023` or `,0,1,2,3`.
fn numbered_header(first: &Row, after: &[Row]) -> bool {
    let cells: Vec<(usize, i64)> = first
        .cells
        .iter()
        .enumerate()
        .filter_map(|(c, t)| t.trim().parse::<i64>().ok().map(|n| (c, n)))
        .collect();
    let words = first.cells.iter().filter(|c| look(c) == Look::Text).count();
    let others = filled(&first.cells) - cells.len() - words;
    if cells.is_empty() || after.is_empty() {
        return false;
    }
    // Words over typed columns prove a header whatever its numbers are.
    let over = first
        .cells
        .iter()
        .enumerate()
        .filter(|(c, t)| look(t) == Look::Text && mostly_typed(after, *c))
        .count();
    let years = |n: &i64| (1900..=2100).contains(n);
    let steps = stepping(&cells.iter().map(|c| c.1).collect::<Vec<_>>());
    let same_below = |row: &Row| {
        cells.iter().all(|(c, n)| row.cells.get(*c).is_some_and(|t| t.trim().parse() == Ok(*n)))
    };
    let below_steps = after.first().is_some_and(|row| {
        let next: Vec<i64> =
            cells.iter().filter_map(|(c, _)| row.cells.get(*c)?.trim().parse().ok()).collect();
        next.len() == cells.len() && stepping(&next)
    });
    let all_years = cells.iter().all(|c| years(&c.1));
    let below_years = after.iter().take(20).any(|r| {
        cells.iter().all(|(c, _)| {
            r.cells.get(*c).is_some_and(|t| t.trim().parse().is_ok_and(|n: i64| years(&n)))
        })
    });
    if over > 0
        && others == 0
        && (all_years && !below_years || cells.len() <= words)
        && cells.iter().all(|c| c.1 < 10_000)
    {
        return true;
    }
    let sequence = steps && cells.len() >= 3 && !below_steps && !after.iter().any(same_below);
    let year_row = all_years && !below_years && (cells.len() >= 2 || words > 0);
    // The remaining cell is a corner: empty or a word.
    others == 0
        && (sequence || year_row)
        && filled(&first.cells) + 1 >= first.cells.len()
        && (words <= cells.len())
}

/// Numbers that go up, or down, one by one.
fn stepping(numbers: &[i64]) -> bool {
    let step = match numbers {
        [a, b, ..] => b.wrapping_sub(*a),
        _ => return false,
    };
    step.abs() == 1
        && numbers.iter().zip(numbers.iter().skip(1)).all(|(a, b)| b.wrapping_sub(*a) == step)
}

/// Tables of words only: a header is usual, unless its words come back below or have the shape of the data.
fn words_only(body: &[Row], width: usize) -> (usize, bool) {
    let Some(first) = body.first() else { return (0, false) };
    let rest = body.get(1..).unwrap_or_default();
    if rest.is_empty() {
        return (1, false);
    }
    let known = first.cells.iter().any(|c| header_word(c));
    let repeated = first.cells.iter().enumerate().any(|(c, t)| {
        !t.trim().is_empty() && rest.iter().any(|r| r.cells.get(c).is_some_and(|o| o == t))
    });
    let mut proof = known;
    for column in 0..width {
        let shapes: HashSet<String> = rest
            .iter()
            .filter_map(|r| r.cells.get(column))
            .filter(|c| !c.trim().is_empty())
            .map(|c| outline(c))
            .collect();
        let one =
            shapes.iter().next().filter(|s| shapes.len() == 1 && s.contains('9') && rest.len() > 1);
        if let Some(one) = one {
            let same = first.cells.get(column).is_some_and(|c| outline(c) == *one);
            if same && !known {
                return (0, false);
            }
            proof |= !same;
        }
    }
    if repeated && !proof {
        return (0, false);
    }
    // Two levels: group names with gaps to their right, filled by the row below, which itself leaves a gap.
    if let Some(second) = rest.first() {
        let gaps = first
            .cells
            .iter()
            .zip(first.cells.iter().skip(1))
            .filter(|(a, b)| !a.trim().is_empty() && b.trim().is_empty())
            .count();
        let covered = first
            .cells
            .iter()
            .zip(&second.cells)
            .all(|(a, b)| !a.trim().is_empty() || !b.trim().is_empty());
        let under = first
            .cells
            .iter()
            .zip(&second.cells)
            .any(|(a, b)| !a.trim().is_empty() && b.trim().is_empty());
        if width > 2 && gaps > 0 && covered && under && rest.len() > 1 {
            return (2, true);
        }
    }
    (1, proof)
}

/// Digits as 9, letters as a, everything else as itself: the shape of a code.
fn outline(text: &str) -> String {
    text.trim()
        .chars()
        .map(|c| {
            if c.is_ascii_digit() {
                '9'
            } else if c.is_ascii_alphabetic() {
                'a'
            } else {
                c
            }
        })
        .collect()
}

fn header_word(text: &str) -> bool {
    const WORDS: [&str; 40] = [
        "id",
        "name",
        "code",
        "date",
        "time",
        "type",
        "address",
        "city",
        "year",
        "month",
        "value",
        "status",
        "title",
        "phone",
        "email",
        "remark",
        "no",
        "key",
        "description",
        "country",
        "名称",
        "编号",
        "序号",
        "姓名",
        "代码",
        "编码",
        "日期",
        "时间",
        "地址",
        "类型",
        "类别",
        "单位",
        "电话",
        "备注",
        "状态",
        "地区",
        "年份",
        "月份",
        "性别",
        "标题",
    ];
    let plain = matching::plain(text);
    WORDS.contains(&plain.as_str())
        || [
            "名称", "编号", "代码", "编码", "日期", "时间", "地址", "类型", "类别", "单位", "电话",
            "备注", "状态", "姓名",
        ]
        .iter()
        .any(|w| plain.ends_with(w) && plain.chars().count() <= 12)
        || ["_id", "_name", "_code", "_date", "_time", "_type"].iter().any(|w| plain.ends_with(w))
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

    /// How many of the last rows are notes or totals.
    pub(crate) fn footer(&self, rows: &[Row], ragged: bool) -> usize {
        let width = self.headers.len();
        let mut count = 0;
        for (back, row) in rows.iter().rev().enumerate() {
            if back >= 12 || !self.foot_row(row, width, ragged) {
                break;
            }
            count = back + 1;
        }
        // A gap before the notes takes the rows below it along, if they are short.
        count
    }

    fn foot_row(&self, row: &Row, width: usize, ragged: bool) -> bool {
        let full: Vec<&str> =
            row.cells.iter().map(|c| c.trim()).filter(|c| !c.is_empty()).collect();
        let Some(first) = full.first() else { return false };
        if width < 2 {
            return row.gap && note_word(first);
        }
        if total_word(first) && row.cells.iter().take(3).any(|c| c.trim() == *first) {
            return true;
        }
        let short = ragged || row.cells.len() < width || extent(&row.cells) <= 1;
        if full.len() == 1 && short {
            let first_typed = self.typed.first() == Some(&true);
            return note_word(first)
                || (look(first) == Look::Text
                    && width > 2
                    && (row.gap || (first_typed && row.cells.len() == 1)));
        }
        width > 3
            && full.len() * 2 <= width
            && full.iter().all(|c| c.contains(['：', ':']) && look(c) == Look::Text)
    }
}

fn note_word(text: &str) -> bool {
    const STARTS: [&str; 26] = [
        "注",
        "备注",
        "说明",
        "数据来源",
        "来源",
        "资料来源",
        "数据说明",
        "制表",
        "填表",
        "填报",
        "审核",
        "单位负责人",
        "统计",
        "打印",
        "导出",
        "以上",
        "note",
        "source",
        "footnote",
        "generated",
        "exported",
        "end of",
        "copyright",
        "#",
        "*",
        "--",
    ];
    let lower = text.trim_start_matches(['(', '（', '[', '【']).to_lowercase();
    let start = STARTS.iter().any(|w| lower.starts_with(w));
    let counted = (lower.starts_with('共') || lower.starts_with("total"))
        && lower.contains(|c: char| c.is_ascii_digit());
    start
        && (lower.contains(['：', ':', '。', ' ', '，', '.', '#', '*', '-'])
            || lower.chars().count() > 8)
        || counted
}

fn total_word(text: &str) -> bool {
    let plain: String = matching::plain(text).trim_end_matches([':', '：']).to_owned();
    matches!(
        plain.as_str(),
        "合计"
            | "总计"
            | "共计"
            | "累计"
            | "小计"
            | "汇总"
            | "总和"
            | "合計"
            | "總計"
            | "total"
            | "grandtotal"
            | "sum"
            | "subtotal"
            | "totals"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Dialect, rows_of};

    fn check(text: &str) -> (usize, usize, Vec<String>, usize) {
        let rows = rows_of(text, 0, 1, &Dialect::new(","), true, usize::MAX);
        let layout = analyse(&rows, Manner::TEXT, None);
        let names = layout.headers.iter().map(|h| h.name.clone()).collect();
        let data = rows.get(layout.at + layout.header_rows..).unwrap();
        (layout.at, layout.header_rows, names, layout.footer(data, false))
    }

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| (*s).to_owned()).collect()
    }

    #[test]
    fn heads_and_feet() {
        assert_eq!(check("id,name\n1,a\n2,b\n"), (0, 1, names(&["id", "name"]), 0));
        assert_eq!(check("1,a\n2,b\n"), (0, 0, names(&["column_1", "column_2"]), 0));
        assert_eq!(
            check("2024年统计\n\n地区,人口,面积\n杭州,1,2\n宁波,3,4\n合计,4,6\n"),
            (1, 1, names(&["地区", "人口", "面积"]), 1)
        );
        assert_eq!(
            check("统计表,,,\n地区,人口,,面积\n,男,女,\n杭州,1,2,3\n宁波,4,5,6\n"),
            (1, 2, names(&["地区", "人口_男", "人口_女", "面积"]), 0)
        );
        assert_eq!(
            check(
                "地区,2023年,,2024年,\n,一季度,二季度,一季度,二季度\n杭州,1,2,3,4\n宁波,1,2,3,4\n"
            ),
            (
                0,
                2,
                names(&[
                    "地区",
                    "2023年_一季度",
                    "2023年_二季度",
                    "2024年_一季度",
                    "2024年_二季度"
                ]),
                0
            )
        );
        assert_eq!(
            check("xm,nl\n姓名,年龄\n张三,20\n李四,30\n"),
            (0, 2, names(&["xm_姓名", "nl_年龄"]), 0)
        );
        assert_eq!(
            check("name,name,,x\na,b,c,1\n"),
            (0, 1, names(&["name", "name_2", "column_3", "x"]), 0)
        );
        assert_eq!(
            check(",0,1,2\n0,0,1,0\n1,1,0,1\n"),
            (0, 1, names(&["column_1", "0", "1", "2"]), 0)
        );
        assert_eq!(
            check("地区,2021,2022\n杭州,10,20\n宁波,11,22\n"),
            (0, 1, names(&["地区", "2021", "2022"]), 0)
        );
        assert_eq!(check("姓名,城市\n张三,杭州\n李四,宁波\n"), (0, 1, names(&["姓名", "城市"]), 0));
        assert_eq!(check("甲,男\n乙,男\n丙,女\n"), (0, 0, names(&["column_1", "column_2"]), 0));
        assert_eq!(
            check("id,a,b\n1,x,y\n2,x,y\n\n注：数据截至 2024 年。\n数据来源：统计局\n").3,
            2
        );
        assert_eq!(check("id,a,b\n1,x,y\n2,x\n").3, 0);
        assert_eq!(check("a,b\nr1,1,2\nr2,3,4\n"), (0, 1, names(&["column_1", "a", "b"]), 0));
        assert_eq!(
            check("制表单位：省局,,,日期：2024-01-02\n编号,名称,数量,金额\n1,a,2,3\n"),
            (1, 1, names(&["编号", "名称", "数量", "金额"]), 0)
        );
        assert_eq!(
            check("id,name,age\n1,张三,\n2,,30\n"),
            (0, 1, names(&["id", "name", "age"]), 0)
        );
        assert_eq!(
            check("name,a,b\n张三,,\n李四,1,2\n王五,2,3\n"),
            (0, 1, names(&["name", "a", "b"]), 0)
        );
    }
}

//! Headers: how many of the first rows name the columns, told by their kind of values against those below.

use std::collections::HashSet;

use crate::matching;
use crate::shape::{Look, look};
use crate::token::Row;

/// At most so many rows are taken for a header.
const HEADER_ROWS: usize = 5;

pub(crate) fn filled(cells: &[String]) -> usize {
    cells.iter().filter(|c| !c.trim().is_empty()).count()
}

pub(crate) fn mostly_typed(data: &[Row], column: usize) -> bool {
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
pub(crate) fn count_headers(body: &[Row], width: usize) -> (usize, bool) {
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

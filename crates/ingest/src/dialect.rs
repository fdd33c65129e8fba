//! Which delimiter and quote a text table uses: the reading that gives the most even and cleanest rows.

use std::collections::HashMap;

use crate::shape::{Look, look};
use crate::token::{Dialect, Row, rows_of};

const SAMPLE: usize = 96 << 10;
const ROWS: usize = 400;

/// What was decided, with notes for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) dialect: Dialect,
    /// Quotes occur in the sample.
    pub(crate) quoted: bool,
    pub(crate) notes: Vec<(String, String)>,
}

/// The delimiter of a table of one column: a sign that no text holds.
pub(crate) const NO_SIGN: &str = "\u{1c}";

/// Single signs in order of preference.
const SIGNS: [&str; 11] = [",", "\t", ";", "|", "\u{1}", "\u{1f}", "^", "~", "，", "；", ":"];
/// Signs of several characters that exports use.
const LONG_SIGNS: [&str; 14] =
    ["||", "@@", "##", "$$", "::", "~~", "^^", "|+|", "|#|", "|@|", "~|~", "@|@", "!|", "|!|"];

/// Decides on a sample of the text; `ordered` is the user's delimiter.
pub(crate) fn choose(text: &str, whole: bool, ordered: Option<char>) -> Chosen {
    let (sample, whole) = sample(text, whole);
    if let Some(sign) = ordered {
        return dress(sample, whole, &sign.to_string());
    }
    if let Some(sign) = told(sample) {
        return dress(sample, whole, &sign);
    }
    if let Some(sign) = LONG_SIGNS.iter().find(|s| every_line(sample, s)) {
        return dress(sample, whole, sign);
    }
    let mut best: Option<(f64, usize, Chosen)> = None;
    for sign in SIGNS {
        if !sample.contains(sign) {
            continue;
        }
        let chosen = dress(sample, whole, sign);
        let rows = rows_of(sample, 0, 1, &chosen.dialect, whole, ROWS);
        let (mut score, width) = score(&rows);
        if sign == ":" {
            score *= if lines_look_whole(sample) { 0.0 } else { 0.7 };
        }
        if sign == "," && lone_numbers(&rows, sample) {
            score = 0.0;
        }
        if width > 1 && best.as_ref().is_none_or(|b| score > b.0 + 1e-9) {
            best = Some((score, width, chosen));
        }
    }
    if let Some((score, width, chosen)) = best {
        let weak = score > 0.12 && width > 2 && !prose(sample, &chosen.dialect.delimiter);
        if score > 0.42 || weak {
            return chosen;
        }
    }
    if let Some(chosen) = blanks(sample, whole) {
        return chosen;
    }
    // One column: commas in it are part of the text.
    dress(sample, whole, NO_SIGN)
}

/// Whole lines at the start, enough to decide.
fn sample(text: &str, whole: bool) -> (&str, bool) {
    let mut end = SAMPLE.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let head = text.get(..end).unwrap_or(text);
    if end == text.len() {
        return (head, whole);
    }
    let cut = head.rfind(['\n', '\r']).map_or(end, |n| n + 1);
    (head.get(..cut).unwrap_or(head), false)
}

/// The sign is punctuation of sentences: Chinese, or followed by blanks.
fn prose(sample: &str, delimiter: &[u8]) -> bool {
    let Ok(sign) = std::str::from_utf8(delimiter) else { return false };
    let all = sample.matches(sign).count();
    let spaced = sample.matches(&format!("{sign} ")).count();
    !sign.is_ascii() || sign == ":" || spaced * 2 > all
}

/// Excel's `sep=;` in the first line.
fn told(sample: &str) -> Option<String> {
    let line = sample.lines().next()?.trim_matches(['"', '\u{feff}']);
    let sign = line.strip_prefix("sep=").or_else(|| line.strip_prefix("SEP="))?;
    (!sign.is_empty() && sign.chars().count() == 1).then(|| sign.to_owned())
}

/// A long sign is the delimiter when lines hold it equally often and its letters never stand alone.
fn every_line(sample: &str, sign: &str) -> bool {
    let Some(first) = sign.chars().next() else { return false };
    let lines: Vec<&str> = sample.lines().filter(|l| !l.trim().is_empty()).take(200).collect();
    let singles = |l: &str| {
        sign.chars().filter(|c| *c == first).count() * l.matches(sign).count()
            == l.matches(first).count()
    };
    let with: Vec<usize> = lines.iter().map(|l| l.matches(sign).count()).collect();
    let Some(&usual) = with.iter().max_by_key(|n| with.iter().filter(|m| m == n).count()) else {
        return false;
    };
    let even = with.iter().filter(|n| **n == usual).count();
    usual > 0
        && lines.len() > 1
        && even * 10 >= lines.len() * 9
        && lines.iter().filter(|l| l.contains(sign)).all(|l| singles(l))
}

/// Chooses the quote (and whether a backslash escapes) for a delimiter.
fn dress(sample: &str, whole: bool, sign: &str) -> Chosen {
    let plain = Dialect::new(sign);
    let doubles = sample.contains('"');
    let edge = |quote: char| {
        let before = format!("{sign}{quote}");
        let after = format!("{quote}{sign}");
        let ends = sample
            .lines()
            .filter(|l| l.len() > 1 && (l.starts_with(quote) || l.ends_with(quote)))
            .count();
        sample.matches(&before).count().min(sample.matches(&after).count() + ends) + ends
    };
    let mut choices = vec![plain.clone()];
    if sample.contains('\'') && edge('\'') > edge('"') {
        choices.push(Dialect { quote: Some(b'\''), ..plain.clone() });
    }
    if doubles && sample.contains("\\\"") {
        choices.push(Dialect { escape: true, ..plain.clone() });
    }
    let trouble = |rows: &[Row]| rows.iter().filter(|r| r.trouble.is_some()).count();
    if doubles {
        // One stray quote is a mistake of its line; many mean that quotes are letters here.
        let rows = rows_of(sample, 0, 1, &plain, whole, ROWS);
        let lines = sample.lines().filter(|l| l.contains('"')).count();
        if trouble(&rows) >= 2 && trouble(&rows) * 2 >= lines {
            choices.push(Dialect { quote: None, ..plain.clone() });
        }
    }
    let mut best: Option<(f64, Dialect)> = None;
    for dialect in choices {
        let rows = rows_of(sample, 0, 1, &dialect, whole, ROWS);
        let mut value = score(&rows).0 - 0.5 * ratio(trouble(&rows), rows.len());
        match dialect.quote {
            // Quotes left standing around cells mean that they were quotes.
            None => {
                let wrapped = rows
                    .iter()
                    .flat_map(|r| &r.cells)
                    .filter(|c| c.len() > 1 && c.starts_with('"') && c.ends_with('"'))
                    .count();
                let cells = rows.iter().map(|r| r.cells.len()).sum::<usize>();
                value -= 0.02 + ratio(wrapped, cells);
            }
            Some(b'\'') => {
                let quoted = rows.iter().flat_map(|r| &r.quoted).filter(|q| **q).count();
                value += if quoted > rows.len() / 2 { 0.05 } else { -0.01 };
            }
            _ => {}
        }
        if best.as_ref().is_none_or(|b| value > b.0 + 1e-9) {
            best = Some((value, dialect));
        }
    }
    let dialect = best.map_or(plain, |b| b.1);
    let quoted = dialect.quote.is_some_and(|q| sample.contains(char::from(q)));
    let mut notes = Vec::new();
    if dialect.quote.is_none() {
        notes.push((
            "双引号在此文件中是普通字符，不作为引号处理".to_owned(),
            "double quotes are plain signs in this file, not quotes".to_owned(),
        ));
    }
    Chosen { dialect, quoted, notes }
}

fn ratio(part: usize, all: usize) -> f64 {
    part as f64 / all.max(1) as f64
}

/// Evenness, width and cleanness of a reading, from 0 to 1, and the usual width.
fn score(rows: &[Row]) -> (f64, usize) {
    let mut counts: HashMap<usize, usize> = HashMap::new();
    for row in rows.iter().filter(|r| r.trouble.is_none()) {
        *counts.entry(row.cells.len()).or_default() += 1;
    }
    let Some((&width, &even)) = counts.iter().max_by_key(|(w, n)| (**n, **w)) else {
        return (0.0, 1);
    };
    let mut cells = 0;
    let mut clean = 0;
    for row in rows.iter().filter(|r| r.cells.len() == width).take(100) {
        for (cell, quoted) in row.cells.iter().zip(&row.quoted) {
            cells += 1;
            let sound = *quoted
                || !cell.contains([',', ';', '\t', '|', '\u{1}', '，'])
                || look(cell).typed()
                || cell.chars().count() > 12 && !cell.contains(['\t', '|', ';']);
            clean += usize::from(sound);
        }
    }
    // Titles, notes and single-cell lines around a table do not count against it.
    let single = counts.get(&1).copied().unwrap_or(0).min(12);
    let base = if width > 1 { rows.len().saturating_sub(single).max(even) } else { rows.len() };
    let evenness = ratio(even, base);
    let breadth = ratio(width, width + 1);
    (evenness * evenness.sqrt() * breadth * (0.4 + 0.6 * ratio(clean, cells)), width)
}

/// Every line is one value (a time of day, a date and time).
fn lines_look_whole(sample: &str) -> bool {
    let lines: Vec<&str> =
        sample.lines().map(str::trim).filter(|l| !l.is_empty()).take(200).collect();
    let time = |l: &str| {
        l.len() <= 12
            && l.split(':').all(|p| {
                !p.is_empty() && p.len() <= 6 && p.bytes().all(|b| b.is_ascii_digit() || b == b'.')
            })
    };
    let whole = lines.iter().filter(|l| look(l).typed() || time(l)).count();
    whole * 10 >= lines.len() * 8
}

/// One column of numbers with thousands separators: the header has no comma and each line is one number.
fn lone_numbers(rows: &[Row], sample: &str) -> bool {
    let header_alone = rows.first().is_some_and(|r| {
        r.cells.len() == 1 && look(r.cells.first().map_or("", String::as_str)) == Look::Text
    });
    let lines: Vec<&str> =
        sample.lines().map(str::trim).filter(|l| !l.is_empty()).skip(1).take(200).collect();
    header_alone && !lines.is_empty() && lines.iter().all(|l| look(l) == Look::Number)
}

/// Columns aligned with blanks: even rows, and either wide gaps or columns of numbers.
fn blanks(sample: &str, whole: bool) -> Option<Chosen> {
    let dialect = Dialect { collapse: true, ..Dialect::new(" ") };
    let rows = rows_of(sample, 0, 1, &dialect, whole, ROWS);
    let (_, width) = score(&rows);
    let even = rows.iter().filter(|r| r.cells.len() == width && r.trouble.is_none()).count();
    if width < 2 || rows.len() < 2 || even * 10 < rows.len() * 9 || lines_look_whole(sample) {
        return None;
    }
    let lines: Vec<&str> = sample.lines().filter(|l| !l.trim().is_empty()).take(200).collect();
    let gaps = lines.iter().filter(|l| l.trim().contains("  ")).count();
    let typed_column = (0..width).any(|c| {
        let looks: Vec<Look> =
            rows.iter().skip(1).filter_map(|r| r.cells.get(c)).map(|t| look(t)).collect();
        !looks.is_empty() && looks.iter().filter(|l| l.typed()).count() * 10 >= looks.len() * 9
    });
    let aligned = gaps * 10 >= lines.len() * 6;
    if !aligned && !typed_column {
        return None;
    }
    let quoted = sample.contains('"');
    Some(Chosen {
        dialect,
        quoted,
        notes: vec![(
            "列以空格对齐，连续空格算一个分隔符".to_owned(),
            "columns are aligned with blanks; a run of blanks is one delimiter".to_owned(),
        )],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(text: &str) -> String {
        String::from_utf8(choose(text, true, None).dialect.delimiter).unwrap()
    }

    #[test]
    fn delimiters() {
        for (text, want) in [
            ("a,b,c\n1,2,3\n4,5,6\n", ","),
            ("a;b;c\n1,5;2,5;3,5\n1,5;2,5;3,5\n", ";"),
            ("a\tb\n1,2\t3\n4,5\t6\n", "\t"),
            ("a|b|c\n1|2|3\n", "|"),
            ("a^b^c\n1^2^3\n", "^"),
            ("a~b\n1~2\n3~4\n", "~"),
            ("a||b||c\n1||2||3\n", "||"),
            ("a|b|c\n1||3\n||4\n", "|"),
            ("sep=;\na;b\n1;2\n", ";"),
            ("名称，数量\n甲，1\n乙，2\n", "，"),
            ("root:x:0:0\nbin:x:1:1\n", ":"),
            ("12:30:45\n12:31:00\n", NO_SIGN),
            ("a\u{1}b\n1\u{1}2\n", "\u{1}"),
            ("name     age\nAnn      20\nBob      30\n", " "),
            ("说明文字，没有表格。\n第二行，也是文字，三段。\n完\n", NO_SIGN),
            ("John Smith\nJane Roe\n", NO_SIGN),
            ("标题：统计表\na,b,c\n1,\"x;y\",3\n2,\"z;w;v\",4\n", ","),
            ("time;v\n12:30:45;1\n12:31:45;2\n", ";"),
            ("金额\n\"1,234\"\n\"5,678\"\n", NO_SIGN),
            ("金额\n1,234\n5,678\n", NO_SIGN),
        ] {
            assert_eq!(sign(text), want, "{text:?}");
        }
    }

    #[test]
    fn quotes() {
        let quote = |text: &str| choose(text, true, None).dialect;
        assert_eq!(quote("a,b\n'1,2',3\n'4,5',6\n").quote, Some(b'\''));
        assert_eq!(quote("a,b\n\"1,2\",3\n").quote, Some(b'"'));
        assert!(quote("a,b\n\"1 \\\"x\\\" 2\",3\n\"4 \\\"y\\\", 5\",6\n").escape);
        assert_eq!(quote("a,b\nit's,3\nthat's,6\n").quote, Some(b'"'));
        assert_eq!(quote("a\tb\n\"阿里\" 公司\t3\n\"腾讯\" 公司\t6\n").quote, None);
    }
}

//! Pinyin: full spelling and initials, so that `sfzh` finds 身份证号 and `hangzhou` finds 杭州.
//!
//! The reading of a text is one cell per CJK or word character (separators are skipped, so brackets inside a
//! title do not break its initials). Of a title, every suffix of the initials and of the full spelling becomes one index
//! term; a prefix query on those terms finds a reading that starts anywhere in the text. Other names are found by their
//! whole reading (`names`).

use pinyin::{ToPinyin, ToPinyinMulti};
use tantivy::tokenizer::Token;

use crate::text::{Script, normalise, script, token};

/// Characters of one suffix term; longer queries are cut to this length before asking.
pub(crate) const MAX_INITIALS: usize = 24;
/// Syllables of one suffix term of full spelling.
const MAX_SYLLABLES: usize = 16;
/// Bytes asked of a full spelling at most (shorter than what a suffix term holds).
pub(crate) const MAX_SPELLING: usize = 32;
/// Other readings of a character that are tried beside the usual one.
const OTHER_READINGS: usize = 2;
/// Cells of a text that are read.
const MAX_CELLS: usize = 200;

/// One character with its readings without tones, the usual one first.
#[derive(Debug)]
pub(crate) struct Cell {
    /// Character position in the text.
    pub(crate) at: usize,
    pub(crate) readings: Vec<String>,
}

fn plain(p: pinyin::Pinyin) -> String {
    p.plain().replace('ü', "v")
}

fn readings(c: char) -> Vec<String> {
    if script(c) == Script::Word {
        return vec![c.to_string()];
    }
    let mut out: Vec<String> = c.to_pinyin().map(plain).into_iter().collect();
    if let Some(all) = c.to_pinyin_multi() {
        for reading in all.into_iter().map(plain) {
            if out.len() <= OTHER_READINGS && !out.contains(&reading) {
                out.push(reading);
            }
        }
    }
    out
}

/// The readable characters of normalised text.
pub(crate) fn cells(chars: &[char]) -> Vec<Cell> {
    chars
        .iter()
        .enumerate()
        .filter(|(_, c)| script(**c) != Script::Break)
        .map(|(at, c)| Cell { at, readings: readings(*c) })
        .filter(|cell| !cell.readings.is_empty())
        .take(MAX_CELLS)
        .collect()
}

/// The usual full spelling of normalised text.
pub(crate) fn spelling(chars: &[char]) -> String {
    cells(chars).iter().filter_map(|c| c.readings.first()).map(String::as_str).collect()
}

fn initial(reading: &str) -> String {
    reading.chars().take(1).collect()
}

/// The different parts of each cell's readings, the usual one first.
fn parts_of(cells: &[Cell], part: fn(&str) -> String) -> Vec<Vec<String>> {
    cells
        .iter()
        .map(|c| {
            let mut parts: Vec<String> = Vec::new();
            for p in c.readings.iter().map(|r| part(r)) {
                if !parts.contains(&p) {
                    parts.push(p);
                }
            }
            parts
        })
        .collect()
}

/// Suffix terms of one text: the usual reading, and each with one character read otherwise.
fn suffixes(cells: &[Cell], longest: usize, part: fn(&str) -> String) -> Vec<String> {
    let read = parts_of(cells, part);
    let mut out = Vec::new();
    for start in 0..read.len() {
        let window: Vec<&Vec<String>> = read.iter().skip(start).take(longest).collect();
        let usual = |but: Option<(usize, &str)>| -> String {
            window
                .iter()
                .enumerate()
                .filter_map(|(i, parts)| match but {
                    Some((j, other)) if i == j => Some(other),
                    _ => parts.first().map(String::as_str),
                })
                .collect()
        };
        out.push(usual(None));
        for (j, parts) in window.iter().enumerate() {
            out.extend(parts.iter().skip(1).map(|other| usual(Some((j, other)))));
        }
    }
    out.sort_unstable();
    out.dedup();
    out
}

/// Suffix terms of a text; nothing for text without CJK characters.
fn terms(text: &str, longest: usize, part: fn(&str) -> String) -> Vec<Token> {
    let chars = normalise(text);
    if !chars.iter().any(|c| script(*c) == Script::Cjk) {
        return Vec::new();
    }
    suffixes(&cells(&chars), longest, part).into_iter().map(|t| token(t, 0)).collect()
}

/// Terms of initials.
pub(crate) fn initial_terms(text: &str) -> Vec<Token> {
    terms(text, MAX_INITIALS, initial)
}

/// Terms of full spelling.
pub(crate) fn spelling_terms(text: &str) -> Vec<Token> {
    terms(text, MAX_SYLLABLES, str::to_owned)
}

/// Initials of a whole text: the usual reading, and what is near each character that can be read otherwise.
pub(crate) fn initials(text: &str) -> Vec<String> {
    readings_of(text, MAX_INITIALS, initial).into_iter().map(|parts| parts.concat()).collect()
}

/// A full spelling with the bytes at which its syllables begin.
#[derive(Debug)]
pub(crate) struct Spelled {
    pub(crate) text: String,
    pub(crate) syllables: Vec<usize>,
}

/// Full spellings of a whole text, as [`initials`].
pub(crate) fn spellings(text: &str) -> Vec<Spelled> {
    readings_of(text, MAX_SYLLABLES, str::to_owned)
        .into_iter()
        .map(|parts| {
            let mut out = Spelled { text: String::new(), syllables: Vec::new() };
            for part in parts {
                out.syllables.push(out.text.len());
                out.text.push_str(&part);
            }
            out
        })
        .collect()
}

/// The usual reading of a text, syllable by syllable, and for each other reading of a character the syllables within
/// `around` of it; nothing for text without CJK characters.
fn readings_of(text: &str, around: usize, part: fn(&str) -> String) -> Vec<Vec<String>> {
    let chars = normalise(text);
    if !chars.iter().any(|c| script(*c) == Script::Cjk) {
        return Vec::new();
    }
    let read = parts_of(&cells(&chars), part);
    let usual = |parts: &[Vec<String>]| -> Vec<String> {
        parts.iter().filter_map(|p| p.first().cloned()).collect()
    };
    let mut out = vec![usual(&read)];
    for (at, parts) in read.iter().enumerate() {
        let from = at.saturating_sub(around - 1);
        let to = (at + around).min(read.len());
        for other in parts.iter().skip(1) {
            let mut near = usual(read.get(from..to).unwrap_or_default());
            if let Some(here) = near.get_mut(at - from) {
                here.clone_from(other);
            }
            out.push(near);
        }
    }
    out
}

/// Character positions whose reading starts with `needle` (as initials, else as full spelling), first place
/// only.
pub(crate) fn find(cells: &[Cell], needle: &str) -> Option<Vec<usize>> {
    let starts = || (0..cells.len()).filter_map(|i| cells.get(i..));
    starts().find_map(|rest| initials_here(rest, needle)).or_else(|| {
        starts().find_map(|rest| {
            let mut used = Vec::new();
            spelled_here(rest, needle, &mut used).then_some(used)
        })
    })
}

/// Whether the reading of a text begins with `needle`.
pub(crate) fn starts(cells: &[Cell], needle: &str) -> bool {
    initials_here(cells, needle).is_some() || spelled_here(cells, needle, &mut Vec::new())
}

fn initials_here(cells: &[Cell], needle: &str) -> Option<Vec<usize>> {
    let mut used = Vec::new();
    let mut rest = cells.iter();
    for want in needle.chars() {
        let cell = rest.next()?;
        if !cell.readings.iter().any(|r| r.starts_with(want)) {
            return None;
        }
        used.push(cell.at);
    }
    (!used.is_empty()).then_some(used)
}

fn spelled_here(cells: &[Cell], needle: &str, used: &mut Vec<usize>) -> bool {
    let Some((cell, rest)) = cells.split_first() else { return needle.is_empty() };
    if needle.is_empty() {
        return !used.is_empty();
    }
    for reading in &cell.readings {
        used.push(cell.at);
        if reading.starts_with(needle) {
            return true;
        }
        if let Some(left) = needle.strip_prefix(reading.as_str())
            && spelled_here(rest, left, used)
        {
            return true;
        }
        used.pop();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> (Vec<String>, Vec<String>) {
        let texts = |p: Vec<Token>| p.into_iter().map(|t| t.text).collect();
        (texts(initial_terms(text)), texts(spelling_terms(text)))
    }

    #[test]
    fn suffixes_hold_initials_and_spelling() {
        let (i, f) = all("杭州市企业信息");
        assert!(i.contains(&"hzsqyxx".into()) && i.contains(&"qyxx".into()), "{i:?}");
        assert!(f.contains(&"hangzhoushiqiyexinxi".into()) && f.contains(&"qiyexinxi".into()));
        assert!(initial_terms("sfzh").is_empty() && initials("sfzh").is_empty());
    }

    #[test]
    fn other_readings_and_brackets_do_not_hide_a_title() {
        let (i, f) = all("银行（重庆）2024名录");
        assert!(f.iter().any(|t| t.starts_with("yinhang")), "{f:?}");
        assert!(f.iter().any(|t| t.starts_with("chongqing")), "{f:?}");
        assert!(i.iter().any(|t| t.starts_with("cq2024ml")), "{i:?}");
        let (_, f) = all("绿化");
        assert!(f.contains(&"lvhua".into()), "{f:?}");
    }

    #[test]
    fn a_reading_is_found_with_its_characters() {
        let chars = normalise("浙江（银行）名录");
        let cells = cells(&chars);
        assert_eq!(find(&cells, "yh"), Some(vec![3, 4]));
        assert_eq!(find(&cells, "yinhangm"), Some(vec![3, 4, 6]));
        assert_eq!(find(&cells, "zzz"), None);
        assert_eq!(spelling(&normalise("身份证")), "shenfenzheng");
    }
}

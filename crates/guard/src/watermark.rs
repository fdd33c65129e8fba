//! Watermarks (水印) of tables that leave: who took it, written invisibly into texts, so that a copy that turns up says whose it was.
//!
//! A mark is 48 bits, drawn once for a download. With 16 bits of check it is cut into 16 pieces of four bits; each piece is two
//! invisible characters for its number and two for its bits, put behind a text cell. A row bears four pieces (all sixteen in a short
//! table), which ones by its place, so that any half of a long table still holds every piece. What nobody can see anybody can strip:
//! a watermark deters and traces, it does not prevent.

use std::borrow::Cow;

use crate::hash::sm3_hex;

/// Zero-width characters that stand for two bits each.
const SIGNS: [char; 4] = ['\u{200B}', '\u{200C}', '\u{200D}', '\u{2060}'];
/// Pieces of a mark.
const PIECES: usize = 16;
/// Pieces that a row of a long table bears.
const EACH: usize = 4;
/// Up to so many rows each bears all.
const SHORT: usize = 64;

/// A mark as 12 hex digits, from six random bytes.
#[must_use]
pub fn name(bytes: [u8; 6]) -> String {
    hex::encode(bytes)
}

/// Writes a mark into the texts of a table, in place; answers how many rows bear it. Numbers and dates bear nothing: a row without
/// a text cell stays as it is. A name that is none marks nothing.
pub fn mark(rows: &mut [Vec<String>], name: &str) -> usize {
    let Some(pieces) = pieces(name) else { return 0 };
    let short = rows.len() <= SHORT;
    let mut marked = 0;
    for (at, row) in rows.iter_mut().enumerate() {
        let Some(text) = row.iter_mut().find(|c| bears(c)) else { continue };
        let first = mixed(at);
        for n in 0..if short { PIECES } else { EACH } {
            let number = (first + n) % PIECES;
            let bits = pieces.get(number).copied().unwrap_or(0);
            text.extend(signs(number).into_iter().chain(signs(usize::from(bits))));
        }
        marked += 1;
    }
    marked
}

/// The mark that a text bears, when every piece of it was found and the check fits. Where pieces contradict, most of them decide. A JSON
/// text may write what nobody sees as escapes (`\u200b`).
#[must_use]
pub fn trace(text: &str) -> Option<String> {
    let text = unescaped(text);
    let mut votes = [[0_u32; 16]; PIECES];
    let mut run: Vec<usize> = Vec::new();
    for c in text.chars().chain(std::iter::once('\n')) {
        if let Some(sign) = SIGNS.iter().position(|s| *s == c) {
            run.push(sign);
            continue;
        }
        for piece in run.chunks_exact(4) {
            let [a, b, c, d] = *piece else { continue };
            if let Some(vote) = votes.get_mut(a * 4 + b).and_then(|of| of.get_mut(c * 4 + d)) {
                *vote += 1;
            }
        }
        run.clear();
    }
    let mut hex = String::with_capacity(PIECES);
    for of in votes {
        let (bits, most) = of.iter().enumerate().max_by_key(|(_, votes)| **votes)?;
        if *most == 0 {
            return None;
        }
        hex.push(char::from_digit(u32::try_from(bits).ok()?, 16)?);
    }
    let name = hex.get(..12)?;
    (hex.get(12..)? == check(name)).then(|| name.to_owned())
}

/// A text whose signs are themselves, where it wrote them as escapes of JSON.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains("\\u2") {
        return Cow::Borrowed(text);
    }
    let mut whole = text.to_owned();
    for sign in SIGNS {
        let (lower, upper) =
            (format!("\\u{:04x}", u32::from(sign)), format!("\\u{:04X}", u32::from(sign)));
        whole = whole.replace(&lower, sign.encode_utf8(&mut [0; 4]));
        whole = whole.replace(&upper, sign.encode_utf8(&mut [0; 4]));
    }
    Cow::Owned(whole)
}

/// A text without what marks write.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().filter(|c| !SIGNS.contains(c)).collect()
}

/// The sixteen pieces of a mark with its check.
fn pieces(name: &str) -> Option<Vec<u8>> {
    let whole = format!("{name}{}", check(name));
    let digits: Option<Vec<u8>> =
        whole.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    digits.filter(|d| d.len() == PIECES)
}

fn check(name: &str) -> String {
    sm3_hex(format!("watermark {name}").as_bytes()).chars().take(4).collect()
}

fn signs(four_bits: usize) -> [char; 2] {
    let sign = |n: usize| SIGNS.get(n % 4).copied().unwrap_or('\u{200B}');
    [sign(four_bits / 4), sign(four_bits)]
}

/// Texts bear marks; what a program reads as a number, a date or a code in ASCII does not.
fn bears(cell: &str) -> bool {
    cell.chars().any(|c| !c.is_ascii() && c.is_alphabetic())
        || (cell.chars().any(|c| c.is_ascii_alphabetic()) && cell.contains(' '))
}

/// Which piece a row begins with: spread, so that no rule of leaving rows out leaves a piece out.
fn mixed(at: usize) -> usize {
    let mut n = u64::try_from(at).unwrap_or(0).wrapping_add(0x9E37_79B9_7F4A_7C15);
    n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    usize::try_from((n ^ (n >> 31)) % 16).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(n: usize) -> Vec<Vec<String>> {
        (0..n).map(|i| vec![i.to_string(), format!("街道{i}"), "12".to_owned()]).collect()
    }

    fn text(rows: &[Vec<String>]) -> String {
        rows.iter().map(|r| r.join(",")).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_copy_says_whose_it_was_and_reads_as_before() {
        let mut marked = rows(3);
        let name = name([1, 2, 3, 0xab, 0xcd, 0xef]);
        assert_eq!(mark(&mut marked, &name), 3);
        assert_eq!(trace(&text(&marked)), Some(name));
        assert_eq!(plain(&text(&marked)), text(&rows(3)));
        assert!(marked.iter().all(|r| r.first().is_some_and(|c| c.is_ascii())));
        assert_eq!(trace(&text(&rows(3))), None);
    }

    #[test]
    fn escapes_of_json_are_read() {
        let mut marked = rows(2);
        let name = name([9, 8, 7, 6, 5, 4]);
        mark(&mut marked, &name);
        for upper in [false, true] {
            let escaped: String = text(&marked)
                .chars()
                .map(|c| match SIGNS.contains(&c) {
                    true if upper => format!("\\u{:04X}", u32::from(c)),
                    true => format!("\\u{:04x}", u32::from(c)),
                    false => c.to_string(),
                })
                .collect();
            assert!(escaped.contains("\\u20") && trace(&escaped) == Some(name.clone()));
        }
    }

    #[test]
    fn numbers_bear_nothing_and_no_name_marks_nothing() {
        let mut numbers = vec![vec!["1".to_owned(), "2026-01-02".to_owned(), "330106".to_owned()]];
        assert_eq!(mark(&mut numbers, "0102030405ff"), 0);
        assert_eq!(mark(&mut rows(2), "杭州"), 0);
        assert_eq!(mark(&mut rows(2), "01"), 0);
    }

    proptest! {
        #[test]
        fn half_of_the_rows_are_enough(
            bytes in any::<[u8; 6]>(),
            many in 200_usize..600,
            kept in proptest::collection::vec(any::<bool>(), 600),
            way in 0_usize..3,
        ) {
            let mut marked = rows(many);
            let name = name(bytes);
            mark(&mut marked, &name);
            let keep = |at: usize| match way {
                0 => at.is_multiple_of(2),
                1 => at < many / 2,
                _ => kept.get(at).copied().unwrap_or(true),
            };
            let left: Vec<Vec<String>> =
                marked.into_iter().enumerate().filter(|(at, _)| keep(*at)).map(|(_, r)| r).collect();
            prop_assert_eq!(trace(&text(&left)), Some(name));
        }

        #[test]
        fn whatever_text_there_is_nothing_breaks(text in "\\PC{0,200}") {
            let _ = trace(&text);
        }
    }
}

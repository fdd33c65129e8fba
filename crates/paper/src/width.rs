//! How wide letters are, which of them the font has, and where a line may be broken.

use std::borrow::Cow;
use std::sync::Arc;

use ttf_parser::Face;

/// Widths of a font's letters.
pub(crate) struct Widths {
    bytes: Arc<Cow<'static, [u8]>>,
    unit: f32,
    box_letter: char,
}

impl Widths {
    /// `None`: it is no font, or has no letter to stand for those it does not have.
    pub(crate) fn of(bytes: Arc<Cow<'static, [u8]>>) -> Option<Self> {
        let face = Face::parse(&bytes, 0).ok()?;
        let unit = f32::from(face.units_per_em());
        let box_letter = ['□', '?'].into_iter().find(|c| face.glyph_index(*c).is_some())?;
        Some(Self { bytes, unit, box_letter })
    }

    /// The text with `□` for letters that the font does not have; tabs are spaces.
    pub(crate) fn shown(&self, text: &str) -> String {
        let Ok(face) = Face::parse(&self.bytes, 0) else { return String::new() };
        text.chars()
            .map(|c| match c {
                '\t' | '\r' => ' ',
                '\n' => '\n',
                c if c.is_control() || face.glyph_index(c).is_none() => self.box_letter,
                c => c,
            })
            .collect()
    }

    /// Lines of a text that are no wider than `wide` points in letters of `size` points.
    pub(crate) fn lines(&self, text: &str, size: f32, wide: f32) -> Vec<String> {
        let Ok(face) = Face::parse(&self.bytes, 0) else { return Vec::new() };
        let width = |c: char| {
            let glyph = face.glyph_index(c);
            let advance = glyph.and_then(|g| face.glyph_hor_advance(g)).unwrap_or(0);
            f32::from(advance) * size / self.unit
        };
        let mut lines = Vec::new();
        for paragraph in self.shown(text).split('\n') {
            let (mut line, mut filled) = (String::new(), 0.0);
            for piece in pieces(paragraph) {
                let long: f32 = piece.chars().map(width).sum();
                if filled + long > wide && !line.is_empty() {
                    lines.push(std::mem::take(&mut line));
                    filled = 0.0;
                }
                if long <= wide {
                    line.push_str(piece);
                    filled += long;
                    continue;
                }
                // A word longer than a line is broken anywhere.
                for c in piece.chars() {
                    if filled + width(c) > wide && !line.is_empty() {
                        lines.push(std::mem::take(&mut line));
                        filled = 0.0;
                    }
                    line.push(c);
                    filled += width(c);
                }
            }
            lines.push(line);
        }
        lines
    }
}

/// What stays together on a line: a Latin word with the space after it, or one Chinese letter with the marks that may not begin a
/// line (GB/T 15834).
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut begin = 0;
    let mut before: Option<char> = None;
    for (at, c) in text.char_indices() {
        let breaks = before.is_some_and(|b| may_break(b, c));
        if breaks && let Some(piece) = text.get(begin..at) {
            pieces.push(piece);
            begin = at;
        }
        before = Some(c);
    }
    if let Some(rest) = text.get(begin..).filter(|r| !r.is_empty()) {
        pieces.push(rest);
    }
    pieces
}

fn may_break(before: char, after: char) -> bool {
    const NOT_FIRST: &str = "，。、；：？！）》」』】”’,.;:?!)]}%";
    const NOT_LAST: &str = "（《「『【“‘([{";
    if NOT_FIRST.contains(after) || NOT_LAST.contains(before) || after == ' ' {
        return false;
    }
    before == ' ' || !before.is_ascii() || !after.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_never_before_a_full_stop() {
        assert_eq!(
            pieces("数据，仅 use of data。"),
            ["数", "据，", "仅 ", "use ", "of ", "data。"]
        );
        assert_eq!(pieces("（甲方）"), ["（甲", "方）"]);
        assert!(pieces("").is_empty());
    }
}

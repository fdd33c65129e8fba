//! Texts on their way into spreadsheets and back: none is taken for a formula, and every one can be had again.
//!
//! A spreadsheet program that opens a CSV file runs a cell which begins like a formula (`=`, `+`, `-`, `@`, also full-width, or after a
//! tab or an end of line), whoever wrote it. Files made for such programs have an apostrophe before it; files for programs are exact.
//! Numbers are no texts: `-5` of a number column stays `-5`.

use std::borrow::Cow;

/// Whether an apostrophe is put before a text that begins so. A lone `-` stands for "nothing" and is no formula; the apostrophe itself
/// counts, so that one can always be taken away again.
#[must_use]
pub fn begins_a_formula(text: &str) -> bool {
    let first = text.chars().next();
    let risky = first.is_some_and(|c| "=+-@\t\r\n'＝＋－＠".contains(c));
    risky && text != "-"
}

/// The text as a cell that no spreadsheet takes for a formula.
#[must_use]
pub fn harmless(text: &str) -> Cow<'_, str> {
    match begins_a_formula(text) {
        true => Cow::Owned(format!("'{text}")),
        false => Cow::Borrowed(text),
    }
}

/// The text that was meant by a cell written by [`harmless`], or by anybody else.
#[must_use]
pub fn meant(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|text| begins_a_formula(text)).unwrap_or(cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_every_text_can_be_had_back() {
        for text in
            ["=cmd|' /C calc'!A0", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "'quoted", "＝1+1"]
        {
            let cell = harmless(text);
            assert_eq!(cell.strip_prefix('\''), Some(text));
            assert_eq!(meant(&cell), text);
        }
        for text in ["", "-", "张三", "10.0.0.1", "rows.query", " =1"] {
            assert_eq!(harmless(text), text);
            assert_eq!(meant(text), text);
        }
        // What people write themselves stays as it is.
        for cell in ["'", "'twas", "'-"] {
            assert_eq!(meant(cell), cell);
        }
    }
}

//! One cell as a source gives it, and the words that mean "nothing".

/// How far a cell's text may be trusted to be what was meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Bare text: `NULL` and `\N` mean nothing.
    Plain,
    /// Quoted, or typed by the source: the text is meant as it stands.
    Exact,
    /// A spreadsheet number of more than 15 digits: the last digits are lost at the source.
    Lossy,
    /// A spreadsheet error value such as `#DIV/0!`.
    Fault,
}

/// One cell; an absent cell is `None` around it.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    pub text: &'a str,
    pub mark: Mark,
}

impl<'a> Cell<'a> {
    pub fn plain(text: &'a str) -> Self {
        Self { text, mark: Mark::Plain }
    }
    /// Only white space, which is nothing for every type.
    pub fn blank(&self) -> bool {
        match self.text.as_bytes() {
            [] => true,
            // The first bytes of a blank, of U+00A0 and of U+3000.
            [b' ' | b'\t' | b'\n' | b'\r' | 0xc2 | 0xe3, ..] => {
                self.text.starts_with([' ', '\t', '\n', '\r', '\u{3000}', '\u{a0}'])
                    && self.text.trim().is_empty()
            }
            _ => false,
        }
    }
    /// Without white space around it.
    pub fn trimmed(&self) -> &'a str {
        match self.text.as_bytes() {
            [b'!'..=b'~'] | [b'!'..=b'~', .., b'!'..=b'~'] => self.text,
            _ => self.text.trim(),
        }
    }
    /// A bare word that data base exports write for null, also in text columns.
    pub fn null_word(&self) -> bool {
        self.mark == Mark::Plain
            && matches!(self.text.as_bytes(), [b'N' | b'\\' | b'(' | b'<', ..])
            && matches!(self.text, "NULL" | "\\N" | "(null)" | "(NULL)" | "<null>" | "<NULL>")
    }
}

/// Words that mean "no value" where a number, date or truth value is due. In text columns they are text
/// (`NA` is Namibia).
pub fn nothing_word(text: &str) -> bool {
    match text.as_bytes() {
        [] => true,
        [b'-' | b'/'] => true,
        [first, ..] if first.is_ascii_digit() => false,
        _ => {
            text.len() <= 12
                && (matches!(
                    text,
                    "--" | "---"
                        | "—"
                        | "——"
                        | "－"
                        | "\\N"
                        | "空"
                        | "无"
                        | "缺失"
                        | "缺测"
                        | "暂无"
                        | "不详"
                        | "无数据"
                        | "(null)"
                        | "<null>"
                        | "#N/A"
                        | "***"
                        | "..."
                        | "…"
                ) || ["na", "n/a", "null", "none", "nan", "nil", "(null)", "<null>"]
                    .iter()
                    .any(|w| text.eq_ignore_ascii_case(w)))
        }
    }
}

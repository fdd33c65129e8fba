//! A row of `COPY … TO STDOUT` in its text format: fields divided by tabs, `\N` for null, control characters and the
//! backslash escaped (PostgreSQL's documentation of COPY, "Text Format").

use std::ops::Range;

use bytes::Bytes;
use memchr::memchr;
use model::{Error, Result};

/// The row read last. One is used for all rows, so that none is allocated anew.
#[derive(Debug, Default)]
pub(super) struct Copied {
    text: String,
    cells: Vec<Option<Range<usize>>>,
}

impl Copied {
    /// Reads a row with the line feed at its end.
    pub(super) fn read(&mut self, line: &Bytes) -> Result<()> {
        let text = std::str::from_utf8(line)
            .map_err(|e| Error::internal("rail: a row that is no UTF-8").caused_by(e))?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        self.text.clear();
        self.cells.clear();
        if memchr(b'\\', text.as_bytes()).is_none() {
            self.text.push_str(text);
            let mut start = 0;
            for end in memchr::memchr_iter(b'\t', text.as_bytes()) {
                self.cells.push(Some(start..end));
                start = end + 1;
            }
            self.cells.push(Some(start..text.len()));
            return Ok(());
        }
        for field in text.split('\t') {
            let start = self.text.len();
            if field == "\\N" {
                self.cells.push(None);
                continue;
            }
            unescape(field, &mut self.text);
            self.cells.push(Some(start..self.text.len()));
        }
        Ok(())
    }

    /// A cell; null is `None`.
    pub(super) fn cell(&self, at: usize) -> Option<&str> {
        self.text.get(self.cells.get(at)?.clone()?)
    }
}

fn unescape(field: &str, into: &mut String) {
    let mut rest = field;
    while let Some((plain, after)) = rest.split_once('\\') {
        into.push_str(plain);
        let mut letters = after.chars();
        match letters.next() {
            Some('b') => into.push('\u{8}'),
            Some('f') => into.push('\u{c}'),
            Some('n') => into.push('\n'),
            Some('r') => into.push('\r'),
            Some('t') => into.push('\t'),
            Some('v') => into.push('\u{b}'),
            Some(other) => into.push(other),
            None => into.push('\\'),
        }
        rest = letters.as_str();
    }
    into.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_nulls_and_escapes_are_read() {
        let mut row = Copied::default();
        row.read(&Bytes::from_static("1\t企业\t\t2.50\n".as_bytes())).unwrap();
        let cells =
            |row: &Copied| (0..5).map(|at| row.cell(at).map(str::to_owned)).collect::<Vec<_>>();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(cells(&row), [some("1"), some("企业"), some(""), some("2.50"), None]);
        row.read(&Bytes::from_static(b"\\N\ta\\tb\\\\N\\n\t\\\\\t\n")).unwrap();
        assert_eq!(cells(&row), [None, some("a\tb\\N\n"), some("\\"), some(""), None]);
        assert!(row.read(&Bytes::from_static(b"\xff\n")).is_err());
    }
}

//! Rows of JSON as cells: nested objects by dotted paths, lists as JSON.

use std::collections::HashMap;

use crate::cell::{Cell, Mark};
use crate::json_scan;

/// Objects inside objects are opened so far; deeper ones stay JSON.
const DEPTH: usize = 8;

/// Cells of one row; columns are added as names appear.
#[derive(Debug, Default)]
pub(super) struct Flat {
    pub(super) names: Vec<String>,
    at: HashMap<String, usize>,
    text: String,
    spans: Vec<Option<(usize, usize)>>,
}

impl Flat {
    /// Takes one row's raw text; `false` when it is no object.
    pub(super) fn take(&mut self, raw: &str) -> bool {
        self.text.clear();
        self.spans.clear();
        if !raw.starts_with('{') {
            return false;
        }
        self.open("", raw, 0);
        true
    }

    fn open(&mut self, path: &str, raw: &str, depth: usize) {
        for (name, value) in json_scan::members(raw) {
            let name = if path.is_empty() { name.into_owned() } else { format!("{path}.{name}") };
            if value.starts_with('{') && depth < DEPTH {
                self.open(&name, value, depth + 1);
            } else {
                self.put(name, value);
            }
        }
    }

    fn put(&mut self, name: String, raw: &str) {
        let at = self.place(name);
        let span = json_scan::cell_text(raw).map(|text| {
            let start = self.text.len();
            self.text.push_str(&text);
            (start, self.text.len())
        });
        self.keep(at, span);
    }

    /// The column of a name, new when it has not come before.
    fn place(&mut self, name: String) -> usize {
        if let Some(at) = self.at.get(&name) {
            return *at;
        }
        self.names.push(name.clone());
        self.at.insert(name, self.names.len() - 1);
        self.names.len() - 1
    }

    fn keep(&mut self, at: usize, span: Option<(usize, usize)>) {
        if self.spans.len() <= at {
            self.spans.resize(at + 1, None);
        }
        if let Some(slot) = self.spans.get_mut(at) {
            *slot = span;
        }
    }

    /// One more cell of the row that was taken.
    #[cfg(feature = "kafka")]
    pub(super) fn beside(&mut self, name: &str, text: Option<&str>) {
        let at = self.place(name.to_owned());
        let span = text.map(|text| {
            let start = self.text.len();
            self.text.push_str(text);
            (start, self.text.len())
        });
        self.keep(at, span);
    }

    pub(super) fn cell(&self, at: usize) -> Option<Cell<'_>> {
        let (start, end) = (*self.spans.get(at)?)?;
        Some(Cell { text: self.text.get(start..end)?, mark: Mark::Exact })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_objects_open_and_numbers_keep_every_digit() {
        let mut flat = Flat::default();
        assert!(flat.take(r#"{"a":{"b":1,"c":{"d":"x\n"}},"n":12345678901234567890.10,"l":[1, 2],"z":null,"e":{}}"#));
        assert_eq!(flat.names, ["a.b", "a.c.d", "n", "l", "z"]);
        let cells: Vec<Option<&str>> = (0..5).map(|at| flat.cell(at).map(|c| c.text)).collect();
        assert_eq!(
            cells,
            [Some("1"), Some("x\n"), Some("12345678901234567890.10"), Some("[1,2]"), None]
        );
        assert!(flat.take(r#"{"n":1}"#));
        assert_eq!((flat.cell(0).map(|c| c.text), flat.cell(2).map(|c| c.text)), (None, Some("1")));
        assert!(!flat.take("[1]"));
    }
}

//! Nested JSON as a table: maps of maps and lists, as published files often are, become rows of path and value.
//!
//! Worked example: `{"holidays": {"2026-01-01": "New Year's Day,元旦,1"}}` with levels `list, date`, split `,` and
//! leaf columns `name_en, name_cn, days` is the row `holidays, 2026-01-01, New Year's Day, 元旦, 1`.

use std::io::{self, Write};

use serde::Deserialize;
use serde_json::Value;

/// How a nested JSON file becomes rows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Flatten {
    /// Column names of the keys, outermost first. Lists add no column.
    pub(crate) levels: Vec<String>,
    /// Column names of the value at the end of each path.
    pub(crate) leaf: Vec<String>,
    /// Text that parts the value; without it the whole value is one cell.
    #[serde(default)]
    pub(crate) split: Option<String>,
}

/// Writes the rows as CSV with a header; answers their number. A value that does not fit the description is an
/// error that names its path.
pub(super) fn write(how: &Flatten, root: &Value, out: &mut dyn Write) -> io::Result<u64> {
    let header: Vec<&str> = how.levels.iter().chain(&how.leaf).map(String::as_str).collect();
    line(out, &header)?;
    let mut path = Vec::new();
    walk(how, root, &mut path, out)
}

fn walk<'a>(
    how: &Flatten,
    value: &'a Value,
    path: &mut Vec<&'a str>,
    out: &mut dyn Write,
) -> io::Result<u64> {
    let mut rows = 0;
    match value {
        Value::Object(map) if path.len() < how.levels.len() => {
            for (key, value) in map {
                path.push(key);
                rows += walk(how, value, path, out)?;
                path.pop();
            }
        }
        Value::Array(list) => {
            for value in list {
                rows += walk(how, value, path, out)?;
            }
        }
        _ => {
            let text = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let parts: Vec<&str> = match &how.split {
                Some(by) => text.split(by.as_str()).collect(),
                None => vec![text.as_str()],
            };
            if path.len() != how.levels.len() || parts.len() != how.leaf.len() {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!(
                        "at `{}`: {} keys and {} parts, expected {} and {}",
                        path.join("/"),
                        path.len(),
                        parts.len(),
                        how.levels.len(),
                        how.leaf.len()
                    ),
                ));
            }
            let cells: Vec<&str> = path.iter().copied().chain(parts).collect();
            line(out, &cells)?;
            rows = 1;
        }
    }
    Ok(rows)
}

fn line(out: &mut dyn Write, cells: &[&str]) -> io::Result<()> {
    let quoted: Vec<String> =
        cells.iter().map(|c| format!("\"{}\"", c.replace('"', "\"\""))).collect();
    writeln!(out, "{}", quoted.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(how: Flatten, json: &str) -> Result<String, String> {
        let mut out = Vec::new();
        let root: Value = serde_json::from_str(json).unwrap();
        write(&how, &root, &mut out).map_err(|e| e.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn how(levels: &[&str], leaf: &[&str], split: Option<&str>) -> Flatten {
        let own = |l: &[&str]| l.iter().map(|s| (*s).to_owned()).collect();
        Flatten { levels: own(levels), leaf: own(leaf), split: split.map(str::to_owned) }
    }

    #[test]
    fn maps_and_lists_become_rows() {
        let got =
            check(how(&["l", "d"], &["a", "b"], Some(",")), r#"{"h":{"1":"x,y","2":"z,\"w"}}"#)
                .unwrap();
        assert_eq!(
            got,
            "\"l\",\"d\",\"a\",\"b\"\n\"h\",\"1\",\"x\",\"y\"\n\"h\",\"2\",\"z\",\"\"\"w\"\n"
        );
        let got = check(how(&["r", "s"], &["v"], None), r#"{"a":{"b":["c",1]},"d":{}}"#).unwrap();
        assert_eq!(got.lines().count(), 3);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let e = check(how(&["l"], &["a", "b"], Some(",")), r#"{"h":"x"}"#).unwrap_err();
        assert!(e.contains("`h`"), "{e}");
    }
}

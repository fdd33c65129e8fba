//! What a sender says of its files: a JSON or CSV file beside them.
//!
//! ```text
//! a.csv.manifest.json   {"file": "a.csv", "bytes": 812, "rows": 40, "sha256": "…"}            of one file
//! manifest.json         {"files": [{"file": "a.csv", …}, …]} or the list alone                  of a folder
//! manifest.csv          file,bytes,rows,sha256,sm3                                              of a folder
//! ```
//!
//! A done-file (`a.csv.done`, `a.csv.ok`) may be empty or hold such an object. Words of other platforms are understood: `name`,
//! `filename`, `文件`, `size`, `字节`, `count`, `records`, `行数`, `checksum` with `algorithm`.

use model::exchange::Count;
use model::{Error, Result};
use serde_json::Value;

/// Ends of names that belong to another file.
pub(super) const BESIDE: &[&str] =
    &[".done", ".ok", ".manifest.json", ".manifest.csv", ".minisig", ".sm2sig"];
/// Manifests of a folder.
pub(super) const OF_FOLDER: &[&str] = &["manifest.json", "manifest.csv"];

/// Whether a path is no delivery by itself.
pub(super) fn beside(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    OF_FOLDER.contains(&name) || BESIDE.iter().any(|end| name.ends_with(end))
}

/// What a manifest says of `name`; `None` when it does not name it. An object without a name is of the one file it lies beside.
pub(super) fn count_of(
    manifest: &str,
    text: &[u8],
    name: &str,
    alone: bool,
) -> Result<Option<Count>> {
    let wrong = |why: &str| {
        Error::invalid(
            format!(
                "清单 `{manifest}` 无法识别：{why}；应为 JSON（file、bytes、rows、sha256）或同样表头的 CSV"
            ),
            format!(
                "the manifest `{manifest}` cannot be read: {why}; it is JSON (file, bytes, rows, sha256) or CSV with that head"
            ),
        )
    };
    let text = std::str::from_utf8(text).map_err(|_| wrong("not UTF-8"))?;
    let text = text.trim_start_matches('\u{feff}').trim();
    let rows: Vec<Vec<(String, String)>> = match text.chars().next() {
        None => Vec::new(),
        Some('{' | '[') => {
            let value: Value = serde_json::from_str(text).map_err(|e| wrong(&e.to_string()))?;
            objects(value).ok_or_else(|| wrong("no list of files"))?
        }
        Some(_) => table(text).map_err(|e| wrong(&e))?,
    };
    for row in rows {
        let get = |names: &[&str]| {
            row.iter().find(|(k, _)| names.contains(&k.as_str())).map(|(_, v)| v.as_str())
        };
        let named = get(&["file", "name", "filename", "文件", "文件名"]);
        let same = match named {
            Some(named) => named.trim_start_matches("./") == name,
            None => alone,
        };
        if !same {
            continue;
        }
        let number = |names: &[&str]| match get(names).filter(|v| !v.is_empty()) {
            Some(v) => v.parse::<u64>().map(Some).map_err(|_| wrong(&format!("`{v}`"))),
            None => Ok(None),
        };
        let print = |v: Option<&str>| match v.filter(|v| !v.is_empty()) {
            Some(v) if v.len() == 64 && v.bytes().all(|b| b.is_ascii_hexdigit()) => {
                Ok(Some(v.to_ascii_lowercase()))
            }
            Some(v) => Err(wrong(&format!(
                "`{}` is no SHA-256 or SM3",
                v.chars().take(80).collect::<String>()
            ))),
            None => Ok(None),
        };
        let (mut sha256, mut sm3) = (print(get(&["sha256", "sha-256"]))?, print(get(&["sm3"]))?);
        let other = print(get(&["checksum", "hash", "校验和", "校验值"]))?;
        match get(&["algorithm", "算法"]).map(str::to_ascii_lowercase).as_deref() {
            Some("sm3") => sm3 = sm3.or(other),
            _ => sha256 = sha256.or(other),
        }
        return Ok(Some(Count {
            rows: number(&["rows", "count", "records", "行数", "记录数"])?,
            bytes: number(&["bytes", "size", "字节", "大小"])?,
            sha256,
            sm3,
        }));
    }
    Ok(None)
}

fn objects(value: Value) -> Option<Vec<Vec<(String, String)>>> {
    let list = match value {
        Value::Array(list) => list,
        Value::Object(mut object) => match object.remove("files") {
            Some(Value::Array(list)) => list,
            Some(_) => return None,
            None => vec![Value::Object(object)],
        },
        _ => return None,
    };
    list.into_iter()
        .map(|one| match one {
            Value::Object(object) => Some(
                object
                    .into_iter()
                    .filter_map(|(key, value)| {
                        let text = match value {
                            Value::String(text) => text.trim().to_owned(),
                            Value::Number(n) => n.to_string(),
                            _ => return None,
                        };
                        Some((key.trim().to_lowercase(), text))
                    })
                    .collect(),
            ),
            _ => None,
        })
        .collect()
}

fn table(text: &str) -> std::result::Result<Vec<Vec<(String, String)>>, String> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let head: Vec<String> = reader
        .headers()
        .map_err(|e| e.to_string())?
        .iter()
        .map(|h| h.trim().to_lowercase())
        .collect();
    if !head.iter().any(|h| ["file", "name", "filename", "文件", "文件名"].contains(&h.as_str()))
    {
        return Err("no column `file`".to_owned());
    }
    reader
        .records()
        .map(|row| {
            let row = row.map_err(|e| e.to_string())?;
            Ok(head.iter().cloned().zip(row.iter().map(|v| v.trim().to_owned())).collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_read_as_others_write_them() {
        let sum = "ab".repeat(32);
        let whole =
            Count { rows: Some(40), bytes: Some(812), sha256: Some(sum.clone()), sm3: None };
        let json = format!(
            r#"{{"file":"a.csv","bytes":812,"rows":"40","sha256":"{}"}}"#,
            sum.to_uppercase()
        );
        let list = format!(r#"{{"files":[{{"file":"b.csv"}},{json}]}}"#);
        let csv = format!("\u{feff}文件名,大小,行数,校验和\nb.csv,1,1,\n./a.csv,812,40,{sum}\n");
        for text in [&json, &list, &csv] {
            let read = count_of("m", text.as_bytes(), "a.csv", false).unwrap();
            assert_eq!(read, Some(whole.clone()), "{text}");
        }
        let sm3 = format!(r#"{{"algorithm":"SM3","checksum":"{sum}"}}"#);
        assert_eq!(count_of("m", sm3.as_bytes(), "a.csv", true).unwrap().unwrap().sm3, Some(sum));
        assert_eq!(count_of("m", sm3.as_bytes(), "a.csv", false).unwrap(), None);
        assert_eq!(count_of("m", b"", "a.csv", true).unwrap(), None);
        assert_eq!(count_of("m", list.as_bytes(), "c.csv", false).unwrap(), None);
        for broken in [
            "{",
            "x,y\n1,2\n",
            r#"{"file":"a.csv","rows":"many"}"#,
            r#"{"file":"a.csv","sha256":"zz"}"#,
            "[1]",
        ] {
            let error = count_of("m.json", broken.as_bytes(), "a.csv", true).unwrap_err();
            assert!(error.zh().contains("`m.json`"), "{broken}");
        }
    }

    #[test]
    fn what_lies_beside_a_file_is_no_delivery() {
        for path in
            ["a.csv.done", "x/a.csv.ok", "a.csv.manifest.json", "x/manifest.csv", "a.csv.minisig"]
        {
            assert!(beside(path), "{path}");
        }
        for path in ["a.csv", "done", "x/manifest.xlsx", "ok/a"] {
            assert!(!beside(path), "{path}");
        }
    }
}

//! Just enough reading of Rust sources for the house rules: which files a crate's targets reach through `mod`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Every file reached from `root` (included) through `mod name;`, with or without `#[path = "…"]`.
pub(crate) fn reached(root: &Path) -> BTreeSet<PathBuf> {
    let mut seen = BTreeSet::new();
    let mut open = vec![(root.to_path_buf(), true)];
    while let Some((file, is_root)) = open.pop() {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        if !seen.insert(file.clone()) {
            continue;
        }
        for candidate in children(&file, is_root, &text) {
            if candidate.is_file() {
                open.push((candidate, false));
            }
        }
    }
    seen
}

/// Files that the `mod` lines of `text` may mean.
fn children(file: &Path, is_root: bool, text: &str) -> Vec<PathBuf> {
    let Some(folder) = file.parent() else { return Vec::new() };
    let own = file.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    // `a/mod.rs`, `lib.rs` and `main.rs` keep their modules beside them, `a.rs` in `a/`.
    let base = if is_root || own == "mod" { folder.to_path_buf() } else { folder.join(&own) };
    let mut found = Vec::new();
    let mut path_before: Option<PathBuf> = None;
    for line in text.lines().map(str::trim) {
        if let Some(given) = line.strip_prefix("#[path = \"").and_then(|r| r.strip_suffix("\"]")) {
            path_before = Some(without_dots(&folder.join(given)));
            continue;
        }
        if let Some(name) = mod_name(line) {
            match path_before.take() {
                Some(path) => found.push(path),
                None => {
                    found.push(base.join(format!("{name}.rs")));
                    found.push(base.join(name).join("mod.rs"));
                }
            }
        }
    }
    found
}

/// The path without `..`, by its letters alone.
fn without_dots(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        if part == std::path::Component::ParentDir {
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    plain
}

/// The name in `mod name;`, whatever visibility stands before it.
fn mod_name(line: &str) -> Option<&str> {
    let rest = match line.strip_prefix("pub") {
        Some(after) => {
            let after = after.trim_start();
            after
                .strip_prefix('(')
                .and_then(|a| a.split_once(')'))
                .map_or(after, |(_, r)| r.trim_start())
        }
        None => line,
    };
    let name = rest.strip_prefix("mod ")?.split(';').next()?.trim();
    let ends = line.contains(';') && !line.contains('{');
    (ends && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mod_lines_are_understood() {
        assert_eq!(mod_name("mod a;"), Some("a"));
        assert_eq!(mod_name("pub(crate) mod b_1; // why"), Some("b_1"));
        assert_eq!(mod_name("pub mod c;"), Some("c"));
        assert_eq!(mod_name("mod tests {"), None);
        assert_eq!(mod_name("model::x();"), None);
    }

    #[test]
    fn files_are_followed_through_folders_and_paths() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("main.rs", "mod a;\n#[path = \"odd/../odd/place.rs\"]\nmod c;\n");
        write("a.rs", "mod b;\n");
        write("a/b.rs", "");
        write("odd/place.rs", "");
        write("forgotten.rs", "");
        let names: Vec<String> = reached(&dir.path().join("main.rs"))
            .iter()
            .map(|p| p.strip_prefix(dir.path()).unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, ["a/b.rs", "a.rs", "main.rs", "odd/place.rs"]);
    }
}

//! The sources of crates, for tests that look at what is written in them.

use std::path::{Path, PathBuf};

/// The texts of all Rust files of these crates.
pub(crate) fn texts(crates: &[&str]) -> Vec<String> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for one in crates {
        below(&all.join(one).join("src"), &mut files);
    }
    files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

fn below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => below(&path, found),
            false => found.extend(path.extension().is_some_and(|e| e == "rs").then_some(path)),
        }
    }
}

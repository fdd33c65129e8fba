//! `cargo xtask tidy`: the house rules that no compiler keeps. Each rule is a function from a file to complaints.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Outcome;
use crate::rust::reached;
use crate::shell::{cargo, program, read, root};

pub(crate) const HELP: &str = "\
Checks the house rules of the files in the repository (tracked or about to be):
  - every .rs file starts with a `//!` head that says what it is for
  - no .rs file is forgotten: a target of its crate reaches it through `mod`
  - one integration test binary per crate (each one links everything again)
  - no file over 600 lines without a line `// tidy: long because …` near its head
  - no absolute path of a machine, no registry host, no conflict marker
  - the npm lock file names no registry host; decisions are one short page
  - pages have no inline script, no event attribute, nothing from another host
  - every attack of docs/attacks.md names tests that exist, and every test of that walk is named there

Usage: cargo xtask tidy

Example: cargo xtask tidy";

const LONGEST: usize = 600;
const LONGEST_DECISION: usize = 80;

pub(crate) fn run(args: &[String]) -> Outcome {
    if !args.is_empty() {
        return Err("it takes no arguments; see `cargo xtask tidy --help`".into());
    }
    let root = root();
    let files = files(&root)?;
    let mut complaints = Vec::new();
    for file in &files {
        let Ok(text) = std::fs::read_to_string(root.join(file)) else { continue }; // binary or just removed
        check(file, &text, &mut complaints);
    }
    let metadata = read(&mut cargo(&["metadata", "--format-version", "1", "--no-deps"]))?;
    forgotten(&root, &files, &metadata, &mut complaints)?;
    attacks(&files, |file| std::fs::read_to_string(root.join(file)).ok(), &mut complaints);
    if complaints.is_empty() {
        println!("tidy: {} files are in order", files.len());
        return Ok(());
    }
    for complaint in &complaints {
        eprintln!("tidy: {complaint}");
    }
    Err(format!("{} complaints", complaints.len()))
}

/// Files git knows or would take, so that a file is checked before it is committed.
fn files(root: &Path) -> Outcome<Vec<String>> {
    let list = read(
        program("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root),
    )?;
    let names = list.split('\0').filter(|n| !n.is_empty()).map(str::to_owned);
    Ok(names.collect::<BTreeSet<_>>().into_iter().collect())
}

/// All rules that look at one file.
fn check(file: &str, text: &str, out: &mut Vec<String>) {
    if file.ends_with(".rs") {
        head(file, text, out);
        length(file, text, out);
    }
    if file.ends_with(".html") {
        page(file, text, out);
    }
    if file.starts_with("docs/decisions/") && text.lines().count() > LONGEST_DECISION {
        out.push(format!(
            "{file}: a decision is one short page (at most {LONGEST_DECISION} lines)"
        ));
    }
    if file.ends_with("package-lock.json") && text.contains("\"resolved\"") {
        out.push(format!(
            "{file}: names a registry host; remove the `resolved` fields (see the .npmrc beside it)"
        ));
    }
    words(file, text, out);
}

fn head(file: &str, text: &str, out: &mut Vec<String>) {
    let first = text.lines().find(|l| !l.starts_with("#!") && !l.trim().is_empty()).unwrap_or("");
    if first.strip_prefix("//!").is_none_or(|rest| rest.trim().len() < 10) {
        out.push(format!("{file}: starts without a `//!` head that says what the file is for"));
    }
}

fn length(file: &str, text: &str, out: &mut Vec<String>) {
    let lines = text.lines().count();
    let excused =
        text.lines().take(40).any(|l| l.trim_start().starts_with("// tidy: long because "));
    if lines > LONGEST && !excused {
        out.push(format!(
            "{file}: {lines} lines; split it, or say why near its head: `// tidy: long because …`"
        ));
    }
}

/// Words that tell of a machine instead of the project. Put together here so that this file passes its own rule.
fn words(file: &str, text: &str, out: &mut Vec<String>) {
    let banned = [
        (concat!("/ro", "ot/"), "an absolute path of one machine"),
        (concat!("/wo", "rk/"), "an absolute path of one machine"),
        (concat!("/Us", "ers/"), "an absolute path of one machine"),
        (concat!("registry.npm", "js.org"), "a registry host"),
        (concat!("registry.npm", "mirror.com"), "a registry host"),
        (concat!("pypi", ".org/simple"), "a registry host"),
        (concat!("<<<<<", "<< "), "a conflict marker"),
        (concat!(">>>>>", ">> "), "a conflict marker"),
    ];
    for (number, line) in text.lines().enumerate() {
        for (word, what) in banned {
            if line.contains(word) {
                out.push(format!("{file}:{}: `{word}` is {what}", number + 1));
            }
        }
    }
}

/// Pages run under a content security policy: scripts come from our own files only.
fn page(file: &str, text: &str, out: &mut Vec<String>) {
    let lower = text.to_ascii_lowercase();
    for (at, _) in lower.match_indices("<script") {
        let tag = lower.get(at..).and_then(|rest| rest.split('>').next()).unwrap_or("");
        // Data blocks (JSON) are not scripts; a policy lets them pass.
        if !tag.contains("src=")
            && !tag.contains("application/json")
            && !tag.contains("application/ld+json")
        {
            out.push(format!("{file}:{}: inline script", line_of(&lower, at)));
        }
    }
    for event in [
        "onclick=",
        "onchange=",
        "onsubmit=",
        "oninput=",
        "onload=",
        "onerror=",
        "onkeydown=",
        "hx-on",
    ] {
        for (at, _) in lower.match_indices(event) {
            let before = lower.get(..at).and_then(|b| b.chars().next_back());
            if before.is_some_and(char::is_whitespace) {
                out.push(format!("{file}:{}: event attribute `{event}…`", line_of(&lower, at)));
            }
        }
    }
    for outside in [
        "src=\"http",
        "src='http",
        "<link rel=\"stylesheet\" href=\"http",
        "href=\"javascript:",
        "src=\"//",
    ] {
        for (at, _) in lower.match_indices(outside) {
            out.push(format!(
                "{file}:{}: `{outside}…` (pages work offline, without other hosts)",
                line_of(&lower, at)
            ));
        }
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).map_or(0, |before| before.matches('\n').count()) + 1
}

/// `.rs` files that no target of any crate reaches, and crates with several integration binaries.
fn forgotten(root: &Path, files: &[String], metadata: &str, out: &mut Vec<String>) -> Outcome {
    let json: Value = serde_json::from_str(metadata).map_err(|e| format!("cargo metadata: {e}"))?;
    let list =
        |v: &Value, key: &str| v.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let text =
        |v: &Value, key: &str| v.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut alive: BTreeSet<PathBuf> = BTreeSet::new();
    for package in list(&json, "packages") {
        let mut tests = 0;
        for target in list(&package, "targets") {
            alive.extend(reached(Path::new(&text(&target, "src_path"))));
            tests += usize::from(list(&target, "kind").iter().any(|k| k == "test"));
        }
        if tests > 1 {
            out.push(format!(
                "crate `{}`: {tests} integration binaries; make them modules of one, each one links everything again",
                text(&package, "name")
            ));
        }
    }
    for file in files.iter().filter(|f| f.ends_with(".rs")) {
        if root.join(file).is_file() && !alive.contains(&root.join(file)) {
            out.push(format!("{file}: forgotten, no target of a crate reaches it through `mod`"));
        }
    }
    Ok(())
}

/// The list of attacks, and the folder of the tests that walk it.
const ATTACKS: &str = "docs/attacks.md";
const WALK: &str = "crates/testkit/tests/house/attacks/";

/// Rows of the list of attacks end with tests: `file.rs::name` of the walk, or with a whole path of another file.
fn attacks(files: &[String], text: impl Fn(&str) -> Option<String>, out: &mut Vec<String>) {
    let list = text(ATTACKS).unwrap_or_default();
    let lines: Vec<&str> = list.lines().collect();
    let mut named: BTreeSet<(String, String)> = BTreeSet::new();
    for (n, row) in lines.iter().enumerate().filter(|(_, line)| line.starts_with('|')) {
        let ruled = |line: Option<&&str>| line.is_some_and(|line| line.starts_with("|-"));
        if ruled(Some(row)) || ruled(lines.get(n + 1)) {
            continue;
        }
        let last = row.trim_end().trim_end_matches('|').rsplit('|').next().unwrap_or("");
        let tests: Vec<(String, String)> = last.split('`').filter_map(tried).collect();
        if tests.is_empty() {
            out.push(format!("{ATTACKS}:{}: an attack that no test tries", n + 1));
        }
        for (file, name) in tests {
            if !text(&file).is_some_and(|source| tests_of(&source).contains(&name)) {
                out.push(format!("{ATTACKS}:{}: `{file}` has no test `{name}`", n + 1));
            }
            named.insert((file, name));
        }
    }
    for file in files.iter().filter(|f| f.starts_with(WALK) && f.ends_with(".rs")) {
        for name in tests_of(&text(file).unwrap_or_default()) {
            if !named.contains(&(file.clone(), name.clone())) {
                out.push(format!("{file}: the test `{name}` is not in {ATTACKS}"));
            }
        }
    }
}

/// File and name of a test as the list writes them.
fn tried(word: &str) -> Option<(String, String)> {
    let (file, name) = word.split_once(".rs::")?;
    let folder = if file.contains('/') { "" } else { WALK };
    Some((format!("{folder}{file}.rs"), name.to_owned()))
}

/// Names of the tests of a file: functions marked as such, and scenarios that run on both stores.
fn tests_of(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut marked = false;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[") {
            marked = marked || line.ends_with("test]");
        } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| marked) {
            found.extend(rest.split('(').next().map(str::to_owned));
            marked = false;
        }
    }
    if let Some((_, rest)) = source.split_once("on_both!(") {
        let names = rest.split(')').next().unwrap_or("");
        found.extend(names.split(',').map(|n| n.trim().to_owned()).filter(|n| !n.is_empty()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(file: &str, text: &str) -> Vec<String> {
        let mut out = Vec::new();
        check(file, text, &mut out);
        out
    }

    #[test]
    fn a_good_file_passes() {
        assert!(complaints("a.rs", "//! What this file is for.\nfn main() {}\n").is_empty());
        let long = format!(
            "//! Tables of codes.\n// tidy: long because it is one table\n{}",
            "\n".repeat(700)
        );
        assert!(complaints("a.rs", &long).is_empty());
        let page = "<script src=\"/assets/a.js\"></script><script type=\"application/ld+json\">{}</script>";
        assert!(complaints("a.html", page).is_empty());
    }

    #[test]
    fn each_rule_bites() {
        assert_eq!(complaints("a.rs", "fn main() {}").len(), 1);
        assert_eq!(
            complaints("a.rs", &format!("//! Says what it is.\n{}", "\n".repeat(700))).len(),
            1
        );
        assert_eq!(complaints("a.html", "<script>alert(1)</script>").len(), 1);
        assert_eq!(complaints("a.html", "<a onclick=\"x()\" href=\"javascript:x()\">").len(), 2);
        assert_eq!(complaints("a.md", &format!("see {}x", concat!("/ro", "ot/"))).len(), 1);
        assert_eq!(complaints("web/package-lock.json", "\"resolved\": \"x\"").len(), 1);
        assert_eq!(complaints("docs/decisions/1.md", &"\n".repeat(100)).len(), 1);
    }

    #[test]
    fn attacks_and_their_tests_agree() {
        let walk = format!("{WALK}a.rs");
        let list = "| Attack | Answer | Tests |\n|---|---|---|\n\
            | one | 404 | `a.rs::is_tried` |\n\
            | two | 404 | `x/y.rs::both`, `a.rs::gone` |\n\
            | three | 404 | by hand |\n";
        let text = |file: &str| {
            match file {
            ATTACKS => Some(list.to_owned()),
            "x/y.rs" => Some("crate::on_both!(one, both);".to_owned()),
            file if file == walk => Some(
                "#[tokio::test]\nasync fn is_tried() {}\nfn helper() {}\n#[test]\n#[ignore]\nfn unnamed() {}\n".to_owned(),
            ),
            _ => None,
        }
        };
        let mut out = Vec::new();
        attacks(std::slice::from_ref(&walk), text, &mut out);
        assert_eq!(out.len(), 3, "{out:?}");
        assert!(out[0].contains("`gone`") && out[1].contains(":5: an attack that no test tries"));
        assert!(out[2].contains("`unnamed` is not in"));
    }

    #[test]
    fn a_file_that_no_target_reaches_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("lib.rs", "mod a;\n");
        write("a.rs", "");
        write("b.rs", "");
        let target = |name: &str, kind: &str| {
            format!(r#"{{"kind":["{kind}"],"src_path":"{}"}}"#, dir.path().join(name).display())
        };
        let targets =
            [target("lib.rs", "lib"), target("x.rs", "test"), target("y.rs", "test")].join(",");
        let metadata = format!(r#"{{"packages":[{{"name":"c","targets":[{targets}]}}]}}"#);
        let files = ["lib.rs", "a.rs", "b.rs"].map(str::to_owned);
        let mut out = Vec::new();
        forgotten(dir.path(), &files, &metadata, &mut out).unwrap();
        assert_eq!(out.len(), 2, "{out:?}");
        assert!(out[0].contains("2 integration binaries") && out[1].starts_with("b.rs"));
    }
}

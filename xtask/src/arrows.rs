//! `cargo xtask arrows`: who may import whom. The manifests are read, the drawn graph printed, and what the
//! architecture forbids refused.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Outcome;
use crate::shell::{cargo, read};

pub(crate) const HELP: &str = "\
Prints which crate of ours imports which, floor by floor, and fails on an import that ARCHITECTURE.md forbids
(also on a heavy outside crate that has its one place).

Usage: cargo xtask arrows

Example: cargo xtask arrows";

/// Crate → floor and the crates of ours it may import (normal and build dependencies; tests may do more).
const ALLOWED: &[(&str, u8, &[&str])] = &[
    ("model", 0, &[]),
    ("guard", 0, &["model"]),
    ("policy", 0, &["model"]),
    ("store", 1, &["model", "guard", "policy"]),
    ("lake", 1, &["model", "guard", "policy"]),
    ("ingest", 1, &["model", "guard", "policy"]),
    ("search", 1, &["model", "guard", "policy"]),
    ("paper", 1, &["model", "policy"]),
    ("sandbox", 1, &["model", "policy"]),
    ("app", 2, &["model", "guard", "policy", "store"]),
    ("gateway", 3, &["model", "app"]),
    ("portal", 3, &["model", "app"]),
    (
        "qiantang",
        4,
        &[
            "model", "guard", "policy", "store", "lake", "ingest", "search", "paper", "sandbox",
            "app", "gateway", "portal",
        ],
    ),
    (
        "testkit",
        9,
        &[
            "model", "guard", "policy", "store", "lake", "ingest", "search", "paper", "sandbox",
            "app", "gateway", "portal",
        ],
    ),
    ("xtask", 9, &[]),
];

/// Outside crate → the only crates of ours that may import it, and the promise this keeps.
const PLACES: &[(&str, &[&str], &str)] = &[
    ("arrow", &["lake"], "Arrow types never leave `lake`"),
    ("datafusion", &["lake"], "Arrow types never leave `lake`"),
    ("deltalake-core", &["lake"], "Arrow types never leave `lake`"),
    (
        "object_store",
        &["lake", "ingest"],
        "stores of files are reached by the lake and the shelves",
    ),
    ("sqlx", &["store"], "SQL rows never leave `store`"),
    // As with the drivers of PostgreSQL and MySQL, `ingest` reads departments' SQLite files with it, never our tables.
    ("rusqlite", &["store", "ingest", "testkit"], "SQL rows never leave `store`"),
    ("cedar-policy", &["policy"], "decisions are made in `policy` alone"),
    ("tantivy", &["search"], "the index has one place"),
    ("krilla", &["paper"], "pages are drawn in one place"),
    ("wasmtime", &["sandbox"], "what others wrote runs in one place"),
    ("axum", &["gateway", "portal", "qiantang", "testkit"], "HTTP types never enter `app`"),
    ("hyper", &["gateway", "portal", "qiantang", "testkit"], "HTTP types never enter `app`"),
    (
        "tokio",
        &["store", "lake", "ingest", "sandbox", "app", "gateway", "portal", "qiantang", "testkit"],
        "the ground floor does no IO",
    ),
];

pub(crate) fn run(args: &[String]) -> Outcome {
    if !args.is_empty() {
        return Err("it takes no arguments; see `cargo xtask arrows --help`".into());
    }
    let graph = graph(&read(&mut cargo(&["metadata", "--format-version", "1", "--no-deps"]))?)?;
    print!("{}", draw(&graph));
    let complaints = check(&graph);
    if complaints.is_empty() {
        return Ok(());
    }
    Err(complaints.join("\n  "))
}

/// Crate of ours → names of its direct normal and build dependencies.
type Graph = BTreeMap<String, Vec<String>>;

fn graph(metadata: &str) -> Outcome<Graph> {
    let json: Value = serde_json::from_str(metadata).map_err(|e| format!("cargo metadata: {e}"))?;
    let list =
        |v: &Value, key: &str| v.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let name = |v: &Value| v.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(list(&json, "packages")
        .iter()
        .map(|package| {
            let mut uses: Vec<String> = list(package, "dependencies")
                .iter()
                .filter(|d| d.get("kind").and_then(Value::as_str) != Some("dev"))
                .map(name)
                .collect();
            uses.sort();
            uses.dedup();
            (name(package), uses)
        })
        .collect())
}

/// The graph as text, the highest floor first.
fn draw(graph: &Graph) -> String {
    let mut out = String::new();
    for floor in [4, 3, 2, 1, 0, 9] {
        let title = if floor == 9 { "beside ".to_owned() } else { format!("floor {floor}") };
        for (name, _, _) in ALLOWED.iter().filter(|(_, f, _)| *f == floor) {
            let ours: Vec<&str> = graph
                .get(*name)
                .into_iter()
                .flatten()
                .map(String::as_str)
                .filter(|d| graph.contains_key(*d))
                .collect();
            out.push_str(&format!("{title}  {name:<9} -> {}\n", ours.join(" ")));
        }
    }
    out
}

fn check(graph: &Graph) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, uses) in graph {
        let Some((_, _, may)) = ALLOWED.iter().find(|(n, _, _)| n == name) else {
            complaints.push(format!("`{name}` is new: give it a floor and its arrows in xtask/src/arrows.rs and ARCHITECTURE.md"));
            continue;
        };
        for used in uses {
            if graph.contains_key(used) && !may.contains(&used.as_str()) {
                complaints
                    .push(format!("`{name}` must not import `{used}` (ARCHITECTURE.md, arrows)"));
            }
            if let Some((_, places, promise)) =
                PLACES.iter().find(|(outside, _, _)| outside == used)
                && !places.contains(&name.as_str())
            {
                complaints.push(format!("`{name}` must not import `{used}`: {promise}"));
            }
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, uses: &[&str]) -> Vec<String> {
        let mut graph: Graph =
            ALLOWED.iter().map(|(n, _, _)| ((*n).to_owned(), Vec::new())).collect();
        graph.insert(name.into(), uses.iter().map(|u| (*u).to_owned()).collect());
        check(&graph)
    }

    #[test]
    fn forbidden_pairs_are_refused() {
        assert!(one("portal", &["app", "model", "axum"]).is_empty());
        assert_eq!(one("portal", &["store"]).len(), 1);
        assert_eq!(one("lake", &["store"]).len(), 1);
        assert_eq!(one("app", &["axum"]).len(), 1);
        assert_eq!(one("gateway", &["portal"]).len(), 1);
        assert_eq!(one("surprise", &[]).len(), 1);
    }

    #[test]
    fn test_only_imports_are_not_counted() {
        let json = r#"{"packages":[{"name":"app","dependencies":[{"name":"lake","kind":"dev"},{"name":"store","kind":null}]}]}"#;
        assert_eq!(graph(json).unwrap().get("app").unwrap(), &["store"]);
    }
}

//! `cargo xtask matrix`: prints the permission table (every role × every action), the reviewed file itself.

use crate::Outcome;
use crate::shell::{self, cargo, root};

pub(crate) const HELP: &str = "\
Prints the permission table: who may do what. The table is a reviewed file; `--check` also runs the test that
compares it with what the shipped policies decide.

Usage: cargo xtask matrix [--check]

Example: cargo xtask matrix --check";

/// The reviewed table. Its freshness is a test of `policy`.
const TABLE: &str = "crates/policy/tests/matrix.txt";

pub(crate) fn run_check() -> Outcome {
    shell::run(&mut cargo(&["test", "--quiet", "--package", "policy", "matrix"]))
        .map_err(|why| format!("{TABLE} does not say what the policies decide: {why}"))
}

pub(crate) fn run(args: &[String]) -> Outcome {
    let text = std::fs::read_to_string(root().join(TABLE)).map_err(|e| format!("{TABLE}: {e}"))?;
    print!("{text}");
    match args {
        [] => Ok(()),
        [flag] if flag == "--check" => run_check(),
        _ => Err("arguments not understood; see `cargo xtask matrix --help`".into()),
    }
}

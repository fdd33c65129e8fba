//! `cargo xtask test`: everything that must hold before a change goes in, cheapest first. `.ci/run` runs exactly this.

use std::time::Instant;

use crate::setup::{self, Purpose};
use crate::shell::{cargo, linting_cargo, run_keeping};
use crate::{Outcome, arrows, browser, clients, memory, shell, tidy};

pub(crate) const HELP: &str = "\
Installs what is missing, then: fmt, tidy, arrows, clippy (which builds what is tested), unit and integration tests (with a
throw-away PostgreSQL and MariaDB), a program of the older calling convention (IRS, standard Python) and browser tests, each
against a running demo. Stops at the first failure.

Usage: cargo xtask test [STEP…]

Steps: setup fmt tidy arrows clippy rust older browser (all by default, always in this order)

Examples:
  cargo xtask test
  cargo xtask test fmt clippy
  cargo xtask test browser";

/// A step: its name and what it does. The answer is a line worth repeating at the end, if there is one.
type Step = (&'static str, fn() -> Outcome<Option<String>>);

const STEPS: &[Step] = &[
    ("setup", || quietly(setup::run_for(Purpose::Test))),
    ("fmt", || quietly(shell::run(&mut cargo(&["fmt", "--all", "--", "--check"])))),
    ("tidy", || quietly(tidy::run(&[]))),
    ("arrows", || quietly(arrows::run(&[]))),
    ("clippy", clippy),
    ("rust", rust_tests),
    ("older", clients::run_older),
    ("browser", browser::run_tests),
];

pub(crate) fn run(args: &[String]) -> Outcome {
    if let Some(unknown) = args.iter().find(|a| !STEPS.iter().any(|(name, _)| name == a)) {
        return Err(format!("there is no step `{unknown}`; see `cargo xtask test --help`"));
    }
    let begun = Instant::now();
    let mut report = Vec::new();
    for (name, step) in STEPS.iter().filter(|(n, _)| args.is_empty() || args.iter().any(|a| a == n))
    {
        println!("==> {name}");
        let start = Instant::now();
        let kept = step().map_err(|why| {
            print_report(&report);
            format!("step `{name}` after {:.1} s: {why}", start.elapsed().as_secs_f64())
        })?;
        report.push(format!(
            "{name:<8} {:>7.1} s  {}",
            start.elapsed().as_secs_f64(),
            kept.unwrap_or_default()
        ));
    }
    print_report(&report);
    println!("xtask test: all passed in {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}

fn print_report(report: &[String]) {
    println!();
    for line in report {
        println!("{}", line.trim_end());
    }
}

fn quietly(outcome: Outcome) -> Outcome<Option<String>> {
    outcome.map(|()| None)
}

/// Compiles everything that the steps behind it run, and finds fault with it.
fn clippy() -> Outcome<Option<String>> {
    let mut command = linting_cargo(&["build", "--workspace", "--all-targets", "--locked"])?;
    quietly(shell::run(&mut command))
}

/// Unit and integration tests. Those that need a database server start a throw-away one of their own. What they write stands in
/// memory where there is enough of it.
fn rust_tests() -> Outcome<Option<String>> {
    if !setup::has_nextest() {
        return Err("cargo-nextest is missing; run `cargo xtask setup`".into());
    }
    let mut command =
        linting_cargo(&["nextest", "run", "--workspace", "--locked", "--no-fail-fast"])?;
    let folder = memory::folder()?;
    if let Some(folder) = &folder {
        println!("rust: what tests write stands in memory: {}", folder.path().display());
        command.env("TMPDIR", folder.path());
    }
    run_keeping(&mut command, "Summary")
}

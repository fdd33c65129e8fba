//! `cargo xtask demo`: from a fresh clone to an answering platform.

use std::os::unix::process::CommandExt as _;

use crate::Outcome;
use crate::setup::{self, Purpose};
use crate::shell::{self, cargo, program};

pub(crate) const HELP: &str = "\
Builds the platform with the profile `demo` (quick to build, quick enough to run) and starts it with the sample
province. Arguments are handed to `qiantang demo`.

Usage: cargo xtask demo [--data DIR] [--listen IP:PORT] [--load DIR] [--scale N] [--ready FILE]

Examples:
  cargo xtask demo
  cargo xtask demo --listen 0.0.0.0:8080 --scale 2";

pub(crate) fn run(args: &[String]) -> Outcome {
    setup::run_for(Purpose::Demo)?;
    run_build()?;
    // `exec`: signals go straight to the platform, which stops gracefully. The working directory stays the caller's.
    let failure = program(shell::target().join("demo/qiantang")).arg("demo").args(args).exec();
    Err(format!("the demo could not be started: {failure}"))
}

fn run_build() -> Outcome {
    shell::run(&mut cargo(&["build", "--profile", "demo", "--package", "qiantang"]))
}

//! `cargo xtask real-data DIR`: every data set of `demo/real-data.toml` is catalogued, collected, found, downloaded and
//! called. The data stand outside the project, so this is a target of its own and not a part of `test`.

use std::path::PathBuf;

use crate::Outcome;
use crate::browser::Demo;
use crate::setup::{self, Purpose};
use crate::shell::{self, Scratch, cargo, program};

pub(crate) const HELP: &str = "\
Starts a demo with `--load DIR` and checks each data set: rows read = accepted + quarantined = the file's own count (the
manifest `demo/real-data.toml` says it), found by its title, downloaded whole as CSV, counted and read by the interface.

Usage: cargo xtask real-data DIR [--profile NAME]

The build profile is `demo` unless another is named.

Example: cargo xtask real-data ../shared/data";

pub(crate) fn run(args: &[String]) -> Outcome {
    match args {
        [dir] => check(dir, "demo"),
        [dir, flag, profile] if flag == "--profile" => check(dir, profile),
        _ => Err("say which folder; see `cargo xtask real-data --help`".into()),
    }
}

fn check(dir: &str, profile: &str) -> Outcome {
    let folder = std::fs::canonicalize(dir).ok().filter(|f| f.is_dir());
    let folder: PathBuf = folder.ok_or_else(|| {
        format!("the folder `{dir}` is missing: name the folder that holds the files of demo/real-data.toml")
    })?;
    setup::run_for(Purpose::Demo)?;
    shell::run(&mut cargo(&["build", "--locked", "--profile", profile, "--package", "qiantang"]))?;
    let scratch = Scratch::new("real")?;
    let built = if profile == "dev" { "debug" } else { profile };
    let binary = shell::target().join(built).join("qiantang");
    let demo = Demo::start(&binary, scratch.path(), &["--load", &folder.to_string_lossy()])?;
    let checked = shell::run(
        program("node")
            .arg(shell::web().join("e2e/real-data.mjs"))
            .env("QT_READY", &demo.ready)
            .env("QT_LOG", scratch.path().join("demo.log")),
    );
    if checked.is_err() {
        eprintln!("--- last lines of the demo:\n{}", demo.server.tail());
    }
    checked?;
    demo.server.stop()
}

//! `cargo xtask`: the project's chores as one small program. Reading order: `main` (the table of commands), `shell`
//! (the only place that starts programs), then one file per command.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a tool for the terminal")]

mod arrows;
mod bench;
mod browser;
mod clients;
mod demo;
mod matrix;
mod memory;
mod python;
mod real_data;
mod rust;
mod setup;
mod shell;
mod test;
mod tidy;

use std::process::ExitCode;

/// What a command answers: nothing, or one sentence that says what failed and how to mend it.
type Outcome<T = ()> = Result<T, String>;

/// One command of `cargo xtask`.
struct Task {
    name: &'static str,
    about: &'static str,
    help: &'static str,
    run: fn(&[String]) -> Outcome,
}

const TASKS: &[Task] = &[
    Task { name: "setup", about: "install what is missing", help: setup::HELP, run: setup::run },
    Task { name: "demo", about: "build and start the demo", help: demo::HELP, run: demo::run },
    Task { name: "test", about: "every check and test", help: test::HELP, run: test::run },
    Task { name: "tidy", about: "house rules of the files", help: tidy::HELP, run: tidy::run },
    Task { name: "arrows", about: "who may import whom", help: arrows::HELP, run: arrows::run },
    Task { name: "matrix", about: "the permission table", help: matrix::HELP, run: matrix::run },
    Task { name: "clients", about: "others' programs", help: clients::HELP, run: clients::run },
    Task {
        name: "real-data",
        about: "load others' data",
        help: real_data::HELP,
        run: real_data::run,
    },
    Task { name: "bench", about: "measure a promise", help: bench::HELP, run: bench::run },
];

fn usage() -> String {
    let mut text =
        String::from("Chores of the project.\n\nUsage: cargo xtask COMMAND [ARGS]\n\nCommands:\n");
    for task in TASKS {
        text.push_str(&format!("  {:<9} {}\n", task.name, task.about));
    }
    text.push_str("\n`cargo xtask COMMAND --help` tells more. Example:\n  cargo xtask demo");
    text
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = args.split_first() else {
        eprintln!("{}", usage());
        return ExitCode::from(2);
    };
    if matches!(name.as_str(), "help" | "--help" | "-h") {
        println!("{}", usage());
        return ExitCode::SUCCESS;
    }
    let Some(task) = TASKS.iter().find(|t| t.name == name) else {
        eprintln!("xtask: there is no command `{name}`\n\n{}", usage());
        return ExitCode::from(2);
    };
    // `demo` hands its arguments to the binary; only a leading --help is ours.
    if rest.first().is_some_and(|a| a == "--help" || a == "-h") {
        println!("{}", task.help);
        return ExitCode::SUCCESS;
    }
    match (task.run)(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask {name}: FAILED: {why}");
            ExitCode::FAILURE
        }
    }
}

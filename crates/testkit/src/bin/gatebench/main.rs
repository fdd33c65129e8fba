//! Helper of `cargo xtask bench gate`: registers an application in a running demo and has its use of a governed
//! resource approved, by the same pages and people as always; copies the rows it may see for a bare axum + SQLite peer,
//! signs calls ahead of the measurement, serves the peer, and compares both answers. For `cargo xtask bench switch` it fills a
//! province of several processes, turns their switches and watches when each process knows.
//!
//! ```text
//! gatebench plan  READY DIR               apply and be approved, copy the rows: DIR/plan.json, DIR/bare.db, DIR/rows.csv
//! gatebench sign  DIR SCENE FILE N        write N signed calls of a scene, each with its own nonce, one after the other
//! gatebench bare  DIR SCENE FILE          write the same questions as the peer is asked them
//! gatebench peer  DIR ADDRESS [tls]       serve the bare peer, with TLS by DIR/tls.pem and DIR/tls.key
//! gatebench check DIR SCENE ADDRESS       ask both and compare their answers
//! gatebench switch QIANTANG DIR ROUNDS    stops and changed interfaces across processes: DIR/switch.json
//! ```
//!
//! Scenes: `row` one row by its key; `list` a page of about 10 kB; `crowd` one row by thousands of applications through hundreds
//! of interfaces in turn (a demo started with `--crowd`); `irs` the same by the province's older convention.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod calls;
mod check;
mod enrol;
mod peer;
mod plan;
mod switch;

use std::path::Path;
use std::process::ExitCode;

use calls::Scene;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("gatebench: {why}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &[&str]) -> Outcome {
    match args {
        ["plan", ready, dir] => plan::plan(Path::new(ready), Path::new(dir)).await,
        ["sign", dir, scene, file, n] => {
            calls::sign(Path::new(dir), Scene::parse(scene)?, Path::new(file), n.parse()?).await
        }
        ["bare", dir, scene, file] => {
            calls::bare(Path::new(dir), Scene::parse(scene)?, Path::new(file))
        }
        ["peer", dir, address] => peer::serve(Path::new(dir), address, false).await,
        ["peer", dir, address, "tls"] => peer::serve(Path::new(dir), address, true).await,
        ["check", dir, scene, address] => {
            check::check(Path::new(dir), Scene::parse(scene)?, address).await
        }
        ["switch", qiantang, dir, rounds] => {
            switch::run(Path::new(qiantang), Path::new(dir), rounds.parse()?).await
        }
        _ => {
            Err("usage: gatebench plan|sign|bare|peer|check|switch … (see the head of its source)"
                .into())
        }
    }
}

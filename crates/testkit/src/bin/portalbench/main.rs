//! Measures the open-data site at size: a large open data set and very many small ones, filled through the rooms, then asked as
//! anybody would ask a running server. Started by `cargo xtask bench portal`; the last line of `ask` is one JSON object.
//!
//! ```text
//! portalbench fill FOLDER ROWS SETS            makes a data folder with all of it
//! portalbench ask FOLDER ROWS SETS PORTAL GATEWAY PID QIANTANG   asks the server that runs on it
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement for the terminal, which ends where something is wrong"
)]

mod ask;
mod fill;
mod made;
mod pages;
mod pour;
mod tally;

use std::path::Path;

/// As in the server.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().unwrap();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    match words.as_slice() {
        ["fill", folder, rows, sets] => {
            runtime.block_on(fill::fill(Path::new(folder), number(rows), number(sets)));
        }
        ["ask", folder, rows, sets, portal, gateway, pid, qiantang] => {
            let bench = ask::Bench {
                folder: Path::new(folder).to_owned(),
                rows: number(rows),
                sets: number(sets),
                portal: (*portal).to_owned(),
                gateway: (*gateway).to_owned(),
                pid: pid.parse().unwrap(),
                qiantang: Path::new(qiantang).to_owned(),
                client: reqwest::Client::new(),
            };
            runtime.block_on(ask::run(bench));
        }
        _ => {
            println!("usage: portalbench fill|ask FOLDER …");
            std::process::exit(2);
        }
    }
}

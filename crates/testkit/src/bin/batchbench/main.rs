//! Our side of `cargo xtask bench batch`: tables landed by the lake, granted with a row filter and a mask, and asked through the
//! SQL door by a PostgreSQL client, as an application would. Every line printed is one JSON object.
//!
//! ```text
//! batchbench make FOLDER ROWS [REAL]          lands the tables (REAL: folder of real data sets)
//! batchbench adopt FOLDER                     takes over `lake/bench_wide`, Parquet that another tool wrote
//! batchbench key FOLDER                       the master key, for executors
//! batchbench ask FOLDER PLAN ROUNDS MB        asks what PLAN holds; MB: memory of queries
//! batchbench ask FOLDER PLAN ROUNDS MB SCHEDULER TRUST   the same on a cluster (TRUST: ca.crt, node.crt, node.key)
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement for the terminal, which ends where something is wrong"
)]

mod ask;
mod data;

use std::path::Path;

/// As in the server.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        match words.as_slice() {
            ["make", folder, rows] => {
                data::make(Path::new(folder), rows.parse().unwrap(), None).await
            }
            ["make", folder, rows, real] => {
                data::make(Path::new(folder), rows.parse().unwrap(), Some(Path::new(real))).await;
            }
            ["key", folder] => {
                let house = testkit::House::at_pace(Path::new(folder)).await;
                println!("{}", *house.app.keys.to_text());
            }
            ["adopt", folder] => data::adopt(Path::new(folder)).await,
            ["ask", folder, plan, rounds, mb, cluster @ ..] => {
                let cluster = match cluster {
                    [scheduler, trust] => Some((*scheduler, Path::new(trust))),
                    _ => None,
                };
                let (rounds, mb) = (rounds.parse().unwrap(), mb.parse().unwrap());
                ask::run(Path::new(folder), Path::new(plan), rounds, mb, cluster).await;
            }
            _ => {
                println!("usage: batchbench make|adopt|ask FOLDER …");
                std::process::exit(2);
            }
        }
    });
}

//! Measures the real-time rail against the bare limit of its source in the same run: the stream against `pg_recvlogical`
//! writing the same changes to nowhere, the snapshot against `COPY … TO` of the same table, and the time from a commit at
//! the source to the row in lake and serving copy under a steady load. Started by `cargo xtask bench`; the last line is one
//! JSON object.
//!
//! `railbench FOLDER ROWS CHANGES SECONDS`

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement for the terminal, which ends where something is wrong"
)]

mod latency;
mod rail;

use std::path::Path;
use std::time::Instant;

use rail::Bench;
use serde_json::json;
use testkit::{MemoryWatch, megabytes};

/// As in the server.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Least ratios to the bare limits, most seconds of the 99th percentile, most memory.
const LEAST_RATIO: f64 = 0.4;
const MOST_P99_MS: f64 = 2000.0;
const MOST_MB: u64 = 1024;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| args.get(at).and_then(|n| n.parse::<u64>().ok());
    let (Some(folder), Some(rows), Some(changes), Some(seconds)) =
        (args.first(), number(1), number(2), number(3))
    else {
        println!("usage: railbench FOLDER ROWS CHANGES SECONDS");
        std::process::exit(2);
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure(Path::new(folder), rows, changes, seconds));
}

async fn measure(folder: &Path, rows: u64, changes: u64, seconds: u64) {
    let memory = MemoryWatch::begin(std::process::id());
    let bench = Bench::open(folder).await;
    bench.fill(rows).await;

    // The table is in the page cache for both: it was written just now, and is read once before.
    let copy = timed(|| bench.copy());
    let copy = copy.min(timed(|| bench.copy()));
    let (landed, served) = bench.snapshot(rows).await;
    let snapshot = copy / landed;
    println!(
        "snapshot of {rows} rows: COPY TO {copy:.1} s ({:.0}/s), in the lake after {landed:.1} s ({:.0}/s), served after {served:.1} s; ratio {snapshot:.3}",
        rows as f64 / copy,
        rows as f64 / landed
    );
    let in_snapshot = memory.most();

    bench.pause().await;
    let written = bench.change(rows, changes).await;
    let bare = timed(|| bench.receive());
    let ours = bench.catch_up().await;
    let stream = bare / ours;
    println!(
        "stream of {written} changes: pg_recvlogical {bare:.2} s ({:.0}/s), landed and served after {ours:.2} s ({:.0}/s); ratio {stream:.3}",
        written as f64 / bare,
        written as f64 / ours
    );
    let in_stream = memory.most();
    let lag = latency::measure(&bench, seconds).await;
    println!(
        "commit to lake and serving copy at {:.0} rows/s: p50 {:.0} ms, p99 {:.0} ms, most {:.0} ms",
        lag.rate, lag.p50_ms, lag.p99_ms, lag.most_ms
    );
    let peak = memory.most().max(in_stream).max(in_snapshot);
    // The comparison is a download of everything, and none of the rail's work.
    bench.equal().await;
    let in_check = memory.most();
    bench.close().await;
    let pass = snapshot >= LEAST_RATIO
        && stream >= LEAST_RATIO
        && lag.p99_ms < MOST_P99_MS
        && peak < MOST_MB;
    println!(
        "{}",
        json!({
            "bench": "rail", "snapshot_rows": rows, "copy_seconds": copy, "snapshot_seconds": landed,
            "served_seconds": served, "snapshot_ratio": snapshot, "changes": written,
            "recvlogical_seconds": bare, "stream_seconds": ours, "stream_ratio": stream,
            "rows_per_second": lag.rate, "p50_ms": lag.p50_ms, "p99_ms": lag.p99_ms,
            "peak_mb": peak, "snapshot_mb": in_snapshot, "stream_mb": in_stream, "check_mb": in_check,
            "mapped_mb": megabytes(std::process::id(), "RssFile:"), "pass": pass,
        })
    );
}

fn timed(work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    begun.elapsed().as_secs_f64()
}

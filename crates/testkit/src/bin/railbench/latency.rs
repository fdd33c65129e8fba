//! From the source's commit to the row in the serving copy (which comes after the lake), under a steady load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::rail::Bench;

/// Rows a second, in transactions of so many.
const RATE: u64 = 2000;
const TRANSACTION: u64 = 20;
const FIRST: i64 = 1_000_000_000;

pub(crate) struct Lag {
    pub(crate) rate: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) most_ms: f64,
}

pub(crate) async fn measure(bench: &Bench, seconds: u64) -> Lag {
    let client = bench.another().await;
    let done = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&done);
    // When each transaction was committed, by its last id.
    let writer = tokio::spawn(async move {
        let mut committed: Vec<(i64, Instant)> = Vec::new();
        let begun = Instant::now();
        let mut every =
            tokio::time::interval(Duration::from_micros(1_000_000 * TRANSACTION / RATE));
        let mut next = FIRST;
        for _ in 0..seconds * RATE / TRANSACTION {
            every.tick().await;
            let last = next + i64::try_from(TRANSACTION).unwrap() - 1;
            let sql = format!(
                "INSERT INTO qyxx SELECT n, '91330100' || n, '温州第' || n || '号有限公司', '330300', n % 1000, date '2021-01-01',
                 '存续', clock_timestamp()::timestamp FROM generate_series({next}, {last}) n"
            );
            client.batch_execute(&sql).await.unwrap();
            committed.push((last, Instant::now()));
            next = last + 1;
        }
        let rate = (seconds * RATE) as f64 / begun.elapsed().as_secs_f64();
        told.store(true, Ordering::Relaxed);
        (committed, rate)
    });
    let mut seen: Vec<(i64, Instant)> = Vec::new();
    loop {
        let ended = done.load(Ordering::Relaxed);
        let newest = bench.newest().await;
        if seen.last().is_none_or(|(id, _)| newest > *id) {
            seen.push((newest, Instant::now()));
        }
        if ended && newest >= FIRST + i64::try_from(seconds * RATE).unwrap() - 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (committed, rate) = writer.await.unwrap();
    let mut lags: Vec<f64> = committed
        .iter()
        .map(|(id, at)| {
            let first = seen.partition_point(|(newest, _)| newest < id);
            seen[first].1.saturating_duration_since(*at).as_secs_f64() * 1000.0
        })
        .collect();
    lags.sort_by(f64::total_cmp);
    let at = |p: usize| lags[((lags.len() - 1) * p / 100).min(lags.len() - 1)];
    Lag { rate, p50_ms: at(50), p99_ms: at(99), most_ms: at(100) }
}

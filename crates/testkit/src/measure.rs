//! What the measuring programs have alike: percentiles, numbers that look like chance, and the memory of a process as
//! `proc(5)` tells it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Percentile of durations, in milliseconds.
#[must_use]
pub fn percentile(times: &[Duration], p: f64) -> f64 {
    let mut sorted: Vec<f64> = times.iter().map(|t| t.as_secs_f64() * 1000.0).collect();
    sorted.sort_by(f64::total_cmp);
    let at = ((sorted.len() as f64 * p).ceil() as usize).clamp(1, sorted.len()) - 1;
    sorted.get(at).copied().unwrap()
}

/// Numbers that look like chance: a mix of the row's number and a salt (splitmix64).
#[must_use]
pub fn chance(row: u64, salt: u64) -> u64 {
    let mut x = row
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(salt.wrapping_mul(0xD1B5_4A32_D192_ED03));
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// A figure of a process's status in megabytes; 0 where the system does not tell.
#[must_use]
pub fn megabytes(pid: u32, name: &str) -> u64 {
    kilobytes(pid, name) / 1024
}

fn kilobytes(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name));
    line.and_then(|l| l.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

/// Looks at a process's own memory (`RssAnon`) every few milliseconds, until it is dropped. What the process maps of files is
/// the system's, which takes it back when it needs it.
#[derive(Debug)]
pub struct MemoryWatch {
    most_kb: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl MemoryWatch {
    #[must_use]
    pub fn begin(pid: u32) -> Self {
        let watch = Self { most_kb: Arc::default(), over: Arc::default() };
        let (most_kb, over) = (Arc::clone(&watch.most_kb), Arc::clone(&watch.over));
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                most_kb.fetch_max(kilobytes(pid, "RssAnon:"), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        watch
    }

    /// The most megabytes since the last time this was asked.
    #[must_use]
    pub fn most(&self) -> u64 {
        self.most_kb.swap(0, Ordering::Relaxed) / 1024
    }
}

impl Drop for MemoryWatch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

//! What `bench gate` promises, held against what was measured: each limit that is missed has a line of its own.

use crate::Outcome;

/// The least ratio to the bare peer, and the most milliseconds at the 99th percentile, of one row by its key.
pub(super) const LIMIT: f64 = 0.5;
pub(super) const LIMIT_P99_MS: f64 = 15.0;
/// The least ratio to the other servers.
pub(super) const LIMIT_RIVALS: f64 = 20.0;
/// By how much the memory may grow from the first minute of the long load to the last: a twentieth, and so many MB. The scenes before
/// have warmed everything up.
const GROWTH_PART: u64 = 20;
const GROWTH_MB: u64 = 32;

/// Limits missed so far.
#[derive(Debug, Default)]
pub(super) struct Verdict(Vec<String>);

impl Verdict {
    /// One row by its key beside the bare peer. What was not measured (not a number) is missed, too.
    pub(super) fn row(&mut self, ratio: f64, p99_ms: f64) {
        if ratio.is_nan() || ratio < LIMIT {
            self.0.push(format!("ratio to the bare peer {ratio:.3}, limit {LIMIT}"));
        }
        if p99_ms.is_nan() || p99_ms <= 0.0 || p99_ms > LIMIT_P99_MS {
            self.0.push(format!("p99 {p99_ms:.1} ms at 64 connections, limit {LIMIT_P99_MS}"));
        }
    }

    /// Another server of tables: how many times as many calls ours answers.
    pub(super) fn rival(&mut self, name: &str, times: f64) {
        if times.is_nan() || times < LIMIT_RIVALS {
            self.0.push(format!("{times:.1} times as many calls as {name}, limit {LIMIT_RIVALS}"));
        }
    }

    /// MB after each minute of the long load.
    pub(super) fn memory(&mut self, minutes: &[u64]) {
        let (Some(first), Some(last)) = (minutes.first(), minutes.last()) else {
            self.0.push("the memory was not measured".to_owned());
            return;
        };
        let most = first + first / GROWTH_PART + GROWTH_MB;
        if *last > most {
            self.0.push(format!(
                "memory grew from {first} MB after the first minute to {last} MB after minute {}, limit {most} MB",
                minutes.len()
            ));
        }
    }

    /// Whether every answer was right, and left its record.
    pub(super) fn verified(&mut self, right: bool, records: u64, released: u64) {
        if !right {
            self.0.push("some answers were wrong or did not come".to_owned());
        }
        if records < released {
            self.0.push(format!("{records} audit records for {released} releases"));
        }
    }

    pub(super) fn missed(&self) -> &[String] {
        &self.0
    }

    /// Fails with a line for each limit missed.
    pub(super) fn outcome(&self) -> Outcome {
        match self.0.as_slice() {
            [] => Ok(()),
            missed => Err(format!("limits missed:\n  {}", missed.join("\n  "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tell: impl FnOnce(&mut Verdict)) -> Vec<String> {
        let mut verdict = Verdict::default();
        tell(&mut verdict);
        assert_eq!(verdict.outcome().is_ok(), verdict.missed().is_empty());
        verdict.missed().to_vec()
    }

    #[test]
    fn what_keeps_to_the_limits_passes() {
        let kept = of(|v| {
            v.row(0.5, 15.0);
            v.rival("roapi", 20.0);
            v.memory(&[1000, 1400, 1082]);
            v.verified(true, 10, 10);
        });
        assert!(kept.is_empty(), "{kept:?}");
    }

    #[test]
    fn every_limit_missed_has_its_line() {
        assert!(of(|v| v.row(0.499, 9.0))[0].contains("ratio"));
        assert!(of(|v| v.row(0.6, 15.1))[0].contains("p99 15.1 ms"));
        assert_eq!(of(|v| v.row(f64::NAN, 0.0)).len(), 2, "nothing measured is nothing kept");
        assert!(of(|v| v.rival("datasette", 19.9))[0].contains("datasette"));
        assert!(of(|v| v.memory(&[1000, 1083]))[0].contains("1083 MB after minute 2"));
        assert_eq!(of(|v| v.memory(&[])).len(), 1);
        assert_eq!(of(|v| v.verified(false, 9, 10)).len(), 2);
    }
}

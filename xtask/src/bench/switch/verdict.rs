//! What `bench switch` promises, held against what was seen: each limit that is missed has a line of its own.

use serde_json::{Value, json};

use crate::Outcome;

/// Longest from a click until it is known in every process, milliseconds.
pub(super) const LIMIT_MS: f64 = 1000.0;

/// Milliseconds of each round, in order of size; a round in which it never came is told apart.
#[derive(Debug)]
pub(super) struct Times {
    sorted: Vec<f64>,
    never: usize,
}

impl Times {
    /// Of numbers; what is none never came.
    pub(super) fn of(rounds: &[Value]) -> Self {
        let mut sorted: Vec<f64> = rounds.iter().filter_map(Value::as_f64).collect();
        sorted.sort_by(f64::total_cmp);
        let never = rounds.len() - sorted.len();
        Self { sorted, never }
    }

    fn median(&self) -> Option<f64> {
        self.sorted.get(self.sorted.len() / 2).copied()
    }

    fn longest(&self) -> Option<f64> {
        self.sorted.last().copied()
    }

    /// Median and longest.
    pub(super) fn line(&self) -> String {
        match (self.median(), self.longest(), self.never) {
            (Some(median), Some(longest), 0) => format!("{median:.0} ({longest:.0})"),
            (_, _, never) => format!("never in {never}"),
        }
    }

    pub(super) fn json(&self) -> Value {
        json!({ "median_ms": self.median(), "longest_ms": self.longest(), "never": self.never })
    }
}

/// Limits missed so far.
#[derive(Debug)]
pub(super) struct Verdict {
    rounds: usize,
    missed: Vec<String>,
}

impl Verdict {
    pub(super) fn new(rounds: usize) -> Self {
        Self { rounds, missed: Vec::new() }
    }

    /// Something that every process knows soon after each click.
    pub(super) fn soon(&mut self, what: &str, times: &Times) {
        if times.never > 0 {
            self.missed.push(format!("{what}: not known at all in {} rounds", times.never));
        }
        if times.sorted.len() + times.never != self.rounds {
            let seen = times.sorted.len() + times.never;
            self.missed.push(format!("{what}: seen in {seen} of {} rounds", self.rounds));
        }
        if let Some(longest) = times.longest().filter(|ms| *ms > LIMIT_MS) {
            self.missed.push(format!("{what}: known after {longest:.0} ms, limit {LIMIT_MS:.0}"));
        }
    }

    /// Places at which it was looked for.
    pub(super) fn ways(&mut self, what: &str, count: usize) {
        if count < 2 {
            self.missed.push(format!("{what}: looked for at {count} places, not at several"));
        }
    }

    /// Something that must not have happened; what was not counted is missed, too.
    pub(super) fn none(&mut self, what: &str, count: Option<u64>) {
        match count {
            Some(0) => {}
            Some(count) => self.missed.push(format!("{what}: {count}, limit 0")),
            None => self.missed.push(format!("{what}: not counted")),
        }
    }

    /// Something without which nothing was measured.
    pub(super) fn some(&mut self, what: &str, count: Option<u64>) {
        if count.unwrap_or_default() == 0 {
            self.missed.push(format!("{what}: none"));
        }
    }

    pub(super) fn missed(&self) -> &[String] {
        &self.missed
    }

    /// Fails with a line for each limit missed.
    pub(super) fn outcome(&self) -> Outcome {
        match self.missed.as_slice() {
            [] => Ok(()),
            missed => Err(format!("limits missed:\n  {}", missed.join("\n  "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rounds: usize, tell: impl FnOnce(&mut Verdict)) -> Vec<String> {
        let mut verdict = Verdict::new(rounds);
        tell(&mut verdict);
        assert_eq!(verdict.outcome().is_ok(), verdict.missed().is_empty());
        verdict.missed().to_vec()
    }

    fn times(rounds: &[Option<f64>]) -> Times {
        Times::of(&rounds.iter().map(|ms| json!(ms)).collect::<Vec<_>>())
    }

    #[test]
    fn what_keeps_to_the_limits_passes() {
        let kept = of(3, |v| {
            v.soon("a stop", &times(&[Some(1000.0), Some(3.2), Some(200.0)]));
            v.ways("a stop", 2);
            v.none("served late", Some(0));
            v.some("calls", Some(1));
        });
        assert!(kept.is_empty(), "{kept:?}");
    }

    #[test]
    fn every_limit_missed_has_its_line() {
        let soon = |rounds: &[Option<f64>]| of(2, |v| v.soon("a stop", &times(rounds)));
        assert!(soon(&[Some(1.0), Some(1000.1)])[0].contains("limit 1000"));
        assert!(soon(&[Some(1.0), None])[0].contains("not known at all in 1"));
        assert!(soon(&[Some(1.0)])[0].contains("1 of 2 rounds"));
        assert_eq!(soon(&[]).len(), 1, "nothing seen is nothing kept");
        assert!(of(1, |v| v.ways("a stop", 1))[0].contains("at 1 places"));
        assert!(of(1, |v| v.none("served late", Some(2)))[0].contains("2, limit 0"));
        assert!(of(1, |v| v.none("served late", None))[0].contains("not counted"));
        assert_eq!(of(1, |v| v.some("calls", Some(0))).len(), 1);
        assert_eq!(of(1, |v| v.some("calls", None)).len(), 1);
    }

    #[test]
    fn the_middle_and_the_longest_are_told() {
        let all = times(&[Some(30.0), Some(10.0), Some(200.4)]);
        assert_eq!(all.line(), "30 (200)");
        assert_eq!(times(&[Some(1.0), None]).line(), "never in 1");
        assert_eq!(times(&[]).line(), "never in 0");
    }
}

//! Times and their limits: a line for each thing measured, and whether all are kept.

use std::time::Duration;

use serde_json::{Map, Value, json};
use testkit::percentile;

/// What was measured so far.
#[derive(Default)]
pub(crate) struct Tally {
    figures: Map<String, Value>,
    missed: Vec<String>,
}

/// The most milliseconds at the median and at the 95th percentile; nothing where only the figure is told.
#[derive(Clone, Copy, Default)]
pub(crate) struct Most {
    pub(crate) p50: Option<f64>,
    pub(crate) p95: Option<f64>,
}

impl Most {
    pub(crate) fn p95(ms: f64) -> Self {
        Self { p50: None, p95: Some(ms) }
    }

    pub(crate) fn both(p50: f64, p95: f64) -> Self {
        Self { p50: Some(p50), p95: Some(p95) }
    }
}

impl Tally {
    pub(crate) fn times(&mut self, name: &str, what: &str, times: &[Duration], most: Most) {
        let (p50, p95) = (percentile(times, 0.5), percentile(times, 0.95));
        let slowest = percentile(times, 1.0);
        let over = |ms: f64, most: Option<f64>| most.is_some_and(|most| ms > most);
        let missed = over(p50, most.p50) || over(p95, most.p95);
        let limit = match (most.p50, most.p95) {
            (Some(p50), Some(p95)) => format!("limits {p50} and {p95}"),
            (None, Some(p95)) => format!("limit {p95}"),
            _ => "told only".to_owned(),
        };
        println!(
            "{what:<58} p50 {p50:>8.2} ms  p95 {p95:>8.2} ms  most {slowest:>8.2} ms  ({} asked, {limit}){}",
            times.len(),
            if missed { "  MISSED" } else { "" }
        );
        let told = json!({
            "p50_ms": round(p50), "p95_ms": round(p95), "most_ms": round(slowest), "asked": times.len(),
            "limit_p50_ms": most.p50, "limit_p95_ms": most.p95,
        });
        self.tell(name, told, missed);
    }

    pub(crate) fn tell(&mut self, name: &str, told: Value, missed: bool) {
        self.figures.insert(name.to_owned(), told);
        if missed {
            self.missed.push(name.to_owned());
        }
    }

    /// One JSON object of all.
    pub(crate) fn end(self, rows: u64, sets: u64) -> Value {
        let pass = self.missed.is_empty();
        json!({
            "bench": "portal", "rows": rows, "sets": sets, "figures": self.figures, "missed": self.missed,
            "verified": true, "pass": pass,
        })
    }
}

pub(crate) fn round(x: f64) -> f64 {
    (x * 1000.0).round() / 1000.0
}

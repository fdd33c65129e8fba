//! One turn of wrk.

use std::path::Path;

use serde_json::Value;

use crate::Outcome;
use crate::shell::{find, program, read};

/// What wrk measured in one turn.
pub(super) struct Turn {
    pub(super) requests: u64,
    pub(super) rate: f64,
    pub(super) failed: u64,
    pub(super) p99_ms: f64,
}

impl Turn {
    pub(super) fn line(&self) -> String {
        format!("{:>8.0}/s p99 {:>6.2} ms", self.rate, self.p99_ms)
    }
}

/// Sends the calls of a file over 64 connections to `http://…` or `https://…`; with `mark` an answer without this text counts as
/// failed.
pub(super) fn wrk(
    dir: &Path,
    origin: &str,
    calls: &Path,
    seconds: u64,
    mark: Option<&str>,
) -> Outcome<Turn> {
    let wrk = find("wrk").ok_or("`wrk` is missing: cargo xtask setup --for bench")?;
    let script = dir.join("wrk.lua");
    std::fs::write(&script, include_str!("wrk.lua")).map_err(|e| e.to_string())?;
    let out = read(
        program(wrk)
            .args(["-t1", "-c64", &format!("-d{seconds}s"), "--timeout", "10s", "-s"])
            .arg(script)
            .arg(format!("{origin}/"))
            .arg("--")
            .arg(calls)
            .args(mark),
    )?;
    let json = super::super::last_json(&out)?;
    let number = |key: &str| json.get(key).and_then(Value::as_f64).unwrap_or_default();
    let whole = |key: &str| json.get(key).and_then(Value::as_u64).unwrap_or_default();
    Ok(Turn {
        requests: whole("requests"),
        rate: number("requests") / (number("micros") / 1e6),
        failed: whole("failed"),
        p99_ms: number("p99_ms"),
    })
}

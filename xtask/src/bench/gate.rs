//! `bench gate`: the price of the whole gate (signature, replay, quota, policy, mask, audit), as a ratio to a bare axum +
//! SQLite look-up of the same rows. Both are driven by wrk with 64 connections, in turns, in one run.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::Options;
use crate::Outcome;
use crate::browser::Demo;
use crate::shell::{Background, Scratch, find, free_port, program, read};

/// The least ratio to the bare peer, and the most milliseconds at the 99th percentile.
const LIMIT: f64 = 0.3;
const LIMIT_P99_MS: f64 = 20.0;
/// Turns of each side.
const ROUNDS: usize = 3;
/// Calls signed ahead per second of measurement: more than two cores can answer.
const CALLS_PER_SECOND: u64 = 80_000;

pub(crate) fn run(options: &Options) -> Outcome {
    let scratch = Scratch::new("gate")?;
    let dir = scratch.path();
    let bin = options.bin();
    let demo = Demo::start(&bin.join("qiantang"), dir, &[])?;
    let helper = |args: &[&Path]| read(program(bin.join("gatebench")).args(args));
    print!("{}", helper(&["plan".as_ref(), &demo.ready, dir])?);

    let address = format!("127.0.0.1:{}", free_port()?);
    let mut peer = Background::start(
        program(bin.join("gatebench")).arg("peer").arg(dir).arg(&address),
        &dir.join("peer.log"),
    )?;
    peer.wait_until(Duration::from_secs(10), || std::net::TcpStream::connect(&address).is_ok())?;
    helper(&["check".as_ref(), dir, address.as_ref()])?;

    let script = dir.join("wrk.lua");
    std::fs::write(&script, include_str!("wrk.lua")).map_err(|e| e.to_string())?;
    let gate = gateway(dir)?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    let mut released = 0;
    // Round 0 warms both up and is not counted.
    for round in 0..=ROUNDS {
        let seconds = if round == 0 { 2 } else { options.seconds };
        let calls = dir.join("calls.txt");
        let number = (seconds * CALLS_PER_SECOND).to_string();
        helper(&["sign".as_ref(), dir, &calls, number.as_ref()])?;
        let one = wrk(&script, &gate, &calls, seconds)?;
        let two = wrk(&script, &address, &dir.join("bare.txt"), seconds)?;
        released += one.requests;
        println!(
            "{} gate {:>8.0}/s p99 {:>6.2} ms   bare {:>8.0}/s p99 {:>6.2} ms   {:.3}",
            if round == 0 { "warm-up" } else { "round  " },
            one.rate,
            one.p99_ms,
            two.rate,
            two.p99_ms,
            one.rate / two.rate
        );
        if round > 0 {
            ours.push(one);
            bare.push(two);
        }
    }
    helper(&["check".as_ref(), dir, address.as_ref()])?;
    let failed: u64 = ours.iter().chain(&bare).map(|r| r.failed).sum();
    let peak = peak_rss_mb(demo.server.id());
    demo.server.stop()?;
    peer.stop()?;
    let records = audit(&bin.join("qiantang"), &demo.data)?;

    let (rate, rival) = (mean(&ours), mean(&bare));
    let p99 = ours.iter().map(|r| r.p99_ms).fold(0.0, f64::max);
    let verified = failed == 0 && records >= released;
    if failed > 0 {
        println!("{failed} answers were not 200 or did not come");
    }
    println!("audit chain intact with {records} records for {released} releases of wrk");
    println!(
        "gate {rate:.0}/s, bare {rival:.0}/s, ratio {:.3} (limit {LIMIT}), p99 {p99:.1} ms (limit {LIMIT_P99_MS})",
        rate / rival
    );
    println!(
        "{}",
        json!({
            "bench": "gate", "ratio": round3(rate / rival), "limit": LIMIT, "ours": rate.round(),
            "theirs": rival.round(), "unit": "requests/s", "p99_ms": round3(p99), "p99_limit_ms": LIMIT_P99_MS,
            "connections": 64, "peak_rss_mb": peak, "verified": verified,
        })
    );
    if verified { Ok(()) } else { Err("the answers were not all right".into()) }
}

/// `host:port` of the gateway from the plan.
fn gateway(dir: &Path) -> Outcome<String> {
    let text = std::fs::read_to_string(dir.join("plan.json")).map_err(|e| e.to_string())?;
    let plan: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    let host = plan.get("host").and_then(Value::as_str);
    host.map(str::to_owned).ok_or_else(|| "the plan names no host".into())
}

/// What wrk measured in one turn.
struct Turn {
    requests: u64,
    rate: f64,
    failed: u64,
    p99_ms: f64,
}

fn wrk(script: &Path, address: &str, calls: &Path, seconds: u64) -> Outcome<Turn> {
    let wrk = find("wrk").ok_or("`wrk` is missing: cargo xtask setup --for bench")?;
    let out = read(
        program(wrk)
            .args(["-t1", "-c64", &format!("-d{seconds}s"), "--timeout", "10s", "-s"])
            .arg(script)
            .arg(format!("http://{address}/"))
            .arg("--")
            .arg(calls),
    )?;
    let last = out.lines().rev().find(|l| l.starts_with('{'));
    let last = last.ok_or_else(|| format!("wrk printed no figures:\n{out}"))?;
    let json: Value = serde_json::from_str(last).map_err(|e| format!("{last}: {e}"))?;
    let number = |key: &str| json.get(key).and_then(Value::as_f64).unwrap_or_default();
    let whole = |key: &str| json.get(key).and_then(Value::as_u64).unwrap_or_default();
    Ok(Turn {
        requests: whole("requests"),
        rate: number("requests") / (number("micros") / 1e6),
        failed: whole("failed"),
        p99_ms: number("p99_ms"),
    })
}

fn mean(turns: &[Turn]) -> f64 {
    turns.iter().map(|t| t.rate).sum::<f64>() / f64::from(u32::try_from(turns.len()).unwrap_or(1))
}

fn round3(x: f64) -> f64 {
    (x * 1000.0).round() / 1000.0
}

/// Highest memory of a process so far, in MB; `None` where the kernel does not tell.
pub(super) fn peak_rss_mb(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kb| kb / 1024)
}

/// Verifies the chain of the stopped demo and counts its records.
fn audit(qiantang: &Path, data: &Path) -> Outcome<u64> {
    let out = read(
        program(qiantang)
            .args(["audit", "--json", "--as", "auditor", "--data"])
            .arg(data)
            .arg("verify"),
    )?;
    let verdict: Value = serde_json::from_str(out.trim()).map_err(|e| format!("{out}: {e}"))?;
    if verdict.get("intact").and_then(Value::as_bool) != Some(true) {
        return Err(format!("the audit chain is broken: {verdict}"));
    }
    Ok(verdict.get("records").and_then(Value::as_u64).unwrap_or_default())
}

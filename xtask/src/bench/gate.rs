//! `bench gate`: the price of the whole gate (signature, replay, quota, policy, mask, audit, metering), as a ratio to a bare axum +
//! SQLite look-up of the same rows, with and without TLS, and beside other servers of tables. All are driven by wrk with 64
//! connections, in turns, in one run, on a demo with a million rows, 2,000 applications and 3,912 interfaces.

mod rivals;
mod secure;
mod verdict;
mod wrk;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use self::verdict::{LIMIT, LIMIT_P99_MS, LIMIT_RIVALS, Verdict};
use self::wrk::{Turn, wrk};
use super::Options;
use crate::Outcome;
use crate::browser::Demo;
use crate::shell::{Background, Scratch, free_port, program, read};

/// Turns of each side.
const ROUNDS: usize = 3;
/// Calls signed ahead per second of measurement: more than two cores can answer.
const CALLS_PER_SECOND: u64 = 80_000;
/// For how long the gate remembers a nonce: the window of its rules (300 s) and the span that is forgotten together.
const REMEMBERED: Duration = Duration::from_secs(310);
/// Multiplies the demo's rows: more than a million in the table that is asked.
const SCALE: &str = "260";
/// What is asked (see the head of `gatebench`), and what a right answer holds where its status does not tell.
const SCENES: [(&str, Option<&str>); 4] =
    [("row", None), ("list", None), ("crowd", None), ("irs", Some("\"code\":\"00\""))];

pub(crate) fn run(options: &Options) -> Outcome {
    if options.minutes.is_some_and(|minutes| minutes < 2) {
        return Err(
            "`--minutes` wants 2 at least: memory is judged from the first to the last".into()
        );
    }
    let scratch = Scratch::new("gate")?;
    let bin = options.bin();
    let demo = Demo::start(&bin.join("qiantang"), scratch.path(), &["--scale", SCALE, "--crowd"])?;
    let helper = bin.join("gatebench");
    let mut bench = Bench::start(&helper, scratch.path(), &demo, options.seconds)?;
    let mut figures = Map::new();
    let mut verdict = Verdict::default();
    let mut right = true;
    for (scene, mark) in SCENES {
        let outcome = bench.scene(scene, mark)?;
        right &= outcome.failed == 0;
        figures.insert(scene.into(), outcome.json());
        println!("{scene}: {}", outcome.line());
    }
    let (row, p99) = (bench.last("row", &figures, "ours"), bench.last("row", &figures, "p99_ms"));
    let ratio = bench.last("row", &figures, "ratio");
    verdict.row(ratio, p99);
    for (name, rate) in rivals::measure(scratch.path(), options.seconds)? {
        verdict.rival(name, row / rate);
        println!(
            "{name}: {rate:.0}/s, ours is {:.1} times as many (limit {LIMIT_RIVALS})",
            row / rate
        );
        figures.insert(name.into(), json!({ "theirs": rate.round(), "times": round3(row / rate) }));
    }
    if let Some(minutes) = options.minutes {
        let memory = bench.long(minutes, demo.server.id())?;
        verdict.memory(&memory);
        figures.insert("memory_mb".into(), json!(memory));
    }
    let peak = peak_rss_mb(demo.server.id());
    let own = own_mb(demo.server.id());
    demo.server.stop()?;
    let tls = secure::measure(&mut bench, &bin.join("qiantang"), &demo.data)?;
    right &= tls.failed == 0;
    println!("tls: {}", tls.line());
    figures.insert("tls".into(), tls.json());
    let released = bench.released;
    bench.peer.stop()?;
    let records = audit(&bin.join("qiantang"), &demo.data)?;
    println!("audit chain intact with {records} records for {released} releases of wrk");
    let verified = right && records >= released;
    verdict.verified(right, records, released);
    println!("ratio {ratio:.3} (limit {LIMIT}), p99 {p99:.1} ms (limit {LIMIT_P99_MS})");
    let mut told = json!({
        "bench": "gate", "ratio": ratio, "limit": LIMIT, "ours": row, "unit": "requests/s", "p99_ms": p99,
        "p99_limit_ms": LIMIT_P99_MS, "connections": 64, "peak_rss_mb": peak, "own_mb": own, "verified": verified,
    });
    super::tell(&mut told, "scenes", Value::Object(figures));
    super::tell(&mut told, "missed", json!(verdict.missed()));
    super::tell(&mut told, "pass", json!(verdict.missed().is_empty()));
    println!("{told}");
    verdict.outcome()
}

/// A planned bench: who calls, and the bare peer that answers beside.
struct Bench<'a> {
    helper: &'a Path,
    dir: &'a Path,
    /// `http://host:port` of both sides.
    gate: String,
    bare: String,
    /// `host:port` of the peer.
    address: String,
    peer: Background,
    seconds: u64,
    released: u64,
}

/// Both sides of a scene.
struct Measured {
    ours: Vec<Turn>,
    bare: Vec<Turn>,
    failed: u64,
}

impl<'a> Bench<'a> {
    fn start(helper: &'a Path, dir: &'a Path, demo: &Demo, seconds: u64) -> Outcome<Self> {
        print!("{}", read(program(helper).arg("plan").arg(&demo.ready).arg(dir))?);
        let address = format!("127.0.0.1:{}", free_port()?);
        let mut peer = Background::start(
            program(helper).arg("peer").arg(dir).arg(&address),
            &dir.join("peer.log"),
        )?;
        peer.wait_until(Duration::from_secs(10), || {
            std::net::TcpStream::connect(&address).is_ok()
        })?;
        let (gate, bare) = (format!("http://{}", gateway(dir)?), format!("http://{address}"));
        Ok(Self { helper, dir, gate, bare, address, peer, seconds, released: 0 })
    }

    fn call(&self, what: &str, scene: &str, more: &[&str]) -> Outcome<String> {
        read(program(self.helper).arg(what).arg(self.dir).arg(scene).args(more))
    }

    /// Signs calls and has them called.
    fn turn(&mut self, scene: &str, mark: Option<&str>, seconds: u64) -> Outcome<Turn> {
        let calls = self.dir.join("calls.txt");
        let number = (seconds * CALLS_PER_SECOND).to_string();
        self.call("sign", scene, &[&calls.to_string_lossy(), &number])?;
        let turn = wrk(self.dir, &self.gate, &calls, seconds, mark)?;
        self.released += turn.requests.saturating_sub(turn.failed);
        Ok(turn)
    }

    fn scene(&mut self, scene: &str, mark: Option<&str>) -> Outcome<Measured> {
        self.call("check", scene, &[&self.address])?;
        let measured = self.rounds(scene, mark)?;
        self.call("check", scene, &[&self.address])?;
        Ok(measured)
    }

    fn rounds(&mut self, scene: &str, mark: Option<&str>) -> Outcome<Measured> {
        let questions = self.dir.join("bare.txt");
        self.call("bare", scene, &[&questions.to_string_lossy()])?;
        let mut measured = Measured { ours: Vec::new(), bare: Vec::new(), failed: 0 };
        // Round 0 warms both up and is not counted. The peer's answers are looked at as ours are.
        for round in 0..=ROUNDS {
            let seconds = if round == 0 { 2 } else { self.seconds };
            let one = self.turn(scene, mark, seconds)?;
            let two = wrk(self.dir, &self.bare, &questions, seconds, mark.map(|_| "["))?;
            println!(
                "  {} ours {}   bare {}",
                if round == 0 { "warm-up" } else { "round" },
                one.line(),
                two.line()
            );
            measured.failed += one.failed + two.failed;
            if round > 0 {
                measured.ours.push(one);
                measured.bare.push(two);
            }
        }
        Ok(measured)
    }

    /// Minutes of load in turns; answers the memory of its own after each minute, in MB. They begin when as many calls are remembered as
    /// ever will be: what lies before fills the memory of nonces, and tells nothing of what is flat.
    fn long(&mut self, minutes: u64, server: u32) -> Outcome<Vec<u64>> {
        let begun = Instant::now();
        while begun.elapsed() < REMEMBERED {
            let told = self.minute(server)?;
            println!("after {} s: {}", begun.elapsed().as_secs(), told.line());
        }
        let mut memory = Vec::new();
        for minute in 1..=minutes {
            let told = self.minute(server)?;
            println!("minute {minute}: {}", told.line());
            memory.push(told.own);
        }
        Ok(memory)
    }

    /// A minute of load.
    fn minute(&mut self, server: u32) -> Outcome<Minute> {
        let (mut calls, mut seconds) = (0, 0);
        while seconds < 60 {
            let turn = self.turn("row", None, 10)?;
            (calls, seconds) = (calls + turn.requests, seconds + 10);
        }
        let own = own_mb(server)
            .ok_or_else(|| format!("/proc/{server}/status does not tell the memory"))?;
        let mapped = memory_mb(server, "RssFile:").unwrap_or_default();
        Ok(Minute { calls, own, mapped })
    }

    fn last(&self, scene: &str, figures: &Map<String, Value>, what: &str) -> f64 {
        figures.get(scene).and_then(|s| s.get(what)).and_then(Value::as_f64).unwrap_or_default()
    }
}

/// What was called in a minute, and the memory after it in MB: the process's own, and of files it has mapped.
struct Minute {
    calls: u64,
    own: u64,
    mapped: u64,
}

impl Minute {
    fn line(&self) -> String {
        let Self { calls, own, mapped } = self;
        format!("{calls} calls, {own} MB of its own, {mapped} MB of mapped files")
    }
}

impl Measured {
    fn p99(&self) -> f64 {
        self.ours.iter().map(|r| r.p99_ms).fold(0.0, f64::max)
    }

    fn line(&self) -> String {
        let (ours, bare) = (mean(&self.ours), mean(&self.bare));
        let failed = match self.failed {
            0 => String::new(),
            n => format!(", {n} ANSWERS WERE WRONG OR DID NOT COME"),
        };
        format!(
            "ours {ours:.0}/s, bare {bare:.0}/s, ratio {:.3}, p99 {:.1} ms{failed}",
            ours / bare,
            self.p99()
        )
    }

    fn json(&self) -> Value {
        let (ours, bare) = (mean(&self.ours), mean(&self.bare));
        json!({
            "ours": ours.round(), "theirs": bare.round(), "ratio": round3(ours / bare),
            "p99_ms": round3(self.p99()), "failed": self.failed,
        })
    }
}

/// `host:port` of the gateway from the plan.
fn gateway(dir: &Path) -> Outcome<String> {
    let plan = plan(dir)?;
    let host = plan.get("host").and_then(Value::as_str);
    host.map(str::to_owned).ok_or_else(|| "the plan names no host".into())
}

fn plan(dir: &Path) -> Outcome<Value> {
    let text = std::fs::read_to_string(dir.join("plan.json")).map_err(|e| e.to_string())?;
    serde_json::from_str(&text).map_err(|e| e.to_string())
}

fn mean(turns: &[Turn]) -> f64 {
    turns.iter().map(|t| t.rate).sum::<f64>() / f64::from(u32::try_from(turns.len()).unwrap_or(1))
}

fn round3(x: f64) -> f64 {
    (x * 1000.0).round() / 1000.0
}

/// Highest memory of a process so far, in MB; `None` where the kernel does not tell.
pub(super) fn peak_rss_mb(pid: u32) -> Option<u64> {
    memory_mb(pid, "VmHWM:")
}

/// Memory of a process without the pages of files it has mapped, in MB: those are the system's, which takes them back when it wants them.
fn own_mb(pid: u32) -> Option<u64> {
    memory_mb(pid, "RssAnon:")
}

fn memory_mb(pid: u32, what: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix(what))?;
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

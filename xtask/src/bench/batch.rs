//! `bench batch`: analytic statements through the SQL door, grants and masks on, against DuckDB on the same Parquet files in the
//! same run, both with two threads; a billion rows in bounded memory; and the same on a cluster of processes (`--cluster`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::load::duckdb;
use super::{Options, tell};
use crate::Outcome;
use crate::shell::{Background, Scratch, env, program, read};

/// The least geometric mean of DuckDB's time to ours.
const LIMIT: f64 = 0.7;
/// Memory of queries on our side, MB; and most memory of the whole process over a billion rows.
const MEMORY_MB: u64 = 2048;
const WIDE_MB: u64 = 256;
const WIDE_PEAK_MB: u64 = 1024;
/// Thousands of rows.
const SETTLEMENTS: u64 = 100_000;
const WIDE_ROWS: u64 = 1_000_000_000;
const ROUNDS: &str = "2";
const THREADS: &str = "2";

const QUESTIONS: &str = include_str!("batch.json");
const REAL: &str = include_str!("batch_real.json");
const WIDE: &str = include_str!("batch_wide.json");

pub(crate) fn run(options: &Options) -> Outcome {
    let python = duckdb()?;
    let scratch = Scratch::new("batch")?;
    let bench = Bench {
        python,
        folder: scratch.path().join("data"),
        bin: options.bin(),
        dir: scratch.path().into(),
    };
    let script = bench.dir.join("batch.py");
    std::fs::write(&script, include_str!("batch.py")).map_err(|e| e.to_string())?;
    let thousands = options.thousands.unwrap_or(SETTLEMENTS);
    let real = env("QIANTANG_REAL_DATA");
    let mut make = bench.ours(&["make"]);
    make.arg((thousands * 1000).to_string()).args(real.as_deref());
    let made = read(&mut make)?;
    let made: Value = last(&made)?;
    println!(
        "{} thousand rows landed in {:.0} s, {} MB",
        thousands,
        number(&made, "seconds"),
        bench.megabytes("bench_settle")
    );

    let mut plan: Vec<Value> = parsed(QUESTIONS)?;
    if real.is_some() {
        plan.extend(parsed(REAL)?);
    } else {
        println!("QIANTANG_REAL_DATA is not set: no taxi trips and no air");
    }
    let file = bench.plan("plan.json", &plan)?;
    let theirs = Side::of(&read(&mut bench.theirs(&file))?)?;
    let ours = Side::of(&read(&mut bench.asks(&file, ROUNDS, MEMORY_MB))?)?;
    println!(
        "{:<16} {:>9} {:>9} {:>7}   {:>9} {:>9} {:>7}",
        "", "ours s", "duckdb s", "ratio", "ours cpu", "duckdb cpu", "ratio"
    );
    let (mut ratio, mut cpu) = (0.0, 0.0);
    for question in &plan {
        let name = text(question, "name");
        let (one, two) = (ours.get(name)?, theirs.get(name)?);
        same(name, &one.rows, &two.rows)?;
        println!(
            "{name:<16} {:>9.3} {:>9.3} {:>7.2}   {:>9.2} {:>9.2} {:>7.2}",
            one.seconds,
            two.seconds,
            two.seconds / one.seconds,
            one.cpu,
            two.cpu,
            two.cpu / one.cpu
        );
        ratio += (two.seconds / one.seconds).ln();
        cpu += (two.cpu.max(0.01) / one.cpu.max(0.01)).ln();
    }
    let count = f64::from(u32::try_from(plan.len()).unwrap_or(u32::MAX));
    let (ratio, cpu) = ((ratio / count).exp(), (cpu / count).exp());
    println!(
        "geometric mean {ratio:.3} by time, {cpu:.3} by processor time (limit {LIMIT}); {} statements, all equal; most memory ours {} MB, DuckDB {} MB",
        plan.len(),
        ours.peak_mb,
        theirs.peak_mb
    );
    let mut told = json!({
        "bench": "batch", "ratio": round(ratio), "cpu_ratio": round(cpu), "limit": LIMIT, "rows": thousands * 1000,
        "statements": plan.len(), "verified": true, "peak_mb": ours.peak_mb, "duckdb_peak_mb": theirs.peak_mb,
    });
    if options.cluster {
        let seconds = cluster(&bench, &file, &plan, &ours)?;
        tell(&mut told, "cluster_seconds", json!(seconds));
    }
    let mut pass = ratio >= LIMIT;
    if thousands >= SETTLEMENTS {
        let (wide, peak, times) = billion(&bench)?;
        pass &= peak <= WIDE_PEAK_MB;
        let billion =
            json!({ "rows": wide, "seconds": times, "peak_mb": peak, "limit_mb": WIDE_PEAK_MB });
        tell(&mut told, "billion", billion);
    }
    tell(&mut told, "pass", json!(pass));
    println!("{told}");
    if pass {
        Ok(())
    } else {
        Err("a promise of batch sharing is not kept; the figures stand above".into())
    }
}

struct Bench {
    python: PathBuf,
    /// The data folder of our side.
    folder: PathBuf,
    bin: PathBuf,
    dir: PathBuf,
}

impl Bench {
    fn ours(&self, words: &[&str]) -> std::process::Command {
        let mut command = program(self.bin.join("batchbench"));
        command.args(words).arg(&self.folder);
        command
    }

    fn asks(&self, plan: &Path, rounds: &str, mb: u64) -> std::process::Command {
        let mut command = self.ours(&["ask"]);
        command.arg(plan).args([rounds, &mb.to_string()]);
        command
    }

    fn theirs(&self, plan: &Path) -> std::process::Command {
        let mut command = program(&self.python);
        command.arg(self.dir.join("batch.py")).arg("ask").arg(self.folder.join("lake"));
        command.arg(plan).args([ROUNDS, THREADS]);
        command
    }

    fn plan(&self, name: &str, plan: &[Value]) -> Outcome<PathBuf> {
        let file = self.dir.join(name);
        let text = Value::from(plan.to_vec()).to_string();
        std::fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
        Ok(file)
    }

    fn megabytes(&self, table: &str) -> u64 {
        let Ok(entries) = std::fs::read_dir(self.folder.join("lake").join(table)) else { return 0 };
        entries.filter_map(|e| e.ok()?.metadata().ok()).map(|m| m.len()).sum::<u64>() / 1_000_000
    }
}

/// What one side answered: the quickest turn of each statement.
struct Side {
    answers: BTreeMap<String, Answer>,
    peak_mb: u64,
    last: Value,
}

struct Answer {
    seconds: f64,
    cpu: f64,
    rows: Vec<Value>,
}

impl Side {
    fn of(said: &str) -> Outcome<Self> {
        let mut answers: BTreeMap<String, Answer> = BTreeMap::new();
        for line in said.lines().filter(|l| l.starts_with('{')) {
            let told: Value = serde_json::from_str(line).map_err(|e| format!("{e}: {line}"))?;
            let Some(name) = told.get("name").and_then(Value::as_str) else { continue };
            if let Some(error) = told.get("error") {
                return Err(format!("`{name}` failed: {error}"));
            }
            let rows = told.get("rows").and_then(Value::as_array).cloned().unwrap_or_default();
            let (seconds, cpu) = (number(&told, "seconds"), number(&told, "cpu"));
            match answers.get_mut(name) {
                Some(known) => {
                    if known.rows != rows {
                        same(name, &known.rows, &rows)?;
                    }
                    known.seconds = known.seconds.min(seconds);
                    known.cpu = known.cpu.min(cpu);
                }
                None => {
                    answers.insert(name.to_owned(), Answer { seconds, cpu, rows });
                }
            }
        }
        let last = last(said)?;
        let peak_mb = last.get("peak_mb").and_then(Value::as_u64).unwrap_or(0);
        Ok(Self { answers, peak_mb, last })
    }

    fn get(&self, name: &str) -> Outcome<&Answer> {
        self.answers.get(name).ok_or_else(|| format!("`{name}` was not answered"))
    }
}

/// Equal cell by cell: as texts, or as numbers up to the last digits that an order of summing changes.
fn same(name: &str, one: &[Value], two: &[Value]) -> Outcome {
    let differ = |what: String| Err(format!("`{name}` is answered differently: {what}"));
    if one.len() != two.len() || one.is_empty() {
        return differ(format!("{} and {} rows", one.len(), two.len()));
    }
    for (row, (a, b)) in one.iter().zip(two).enumerate() {
        let (a, b) = (a.as_array(), b.as_array());
        let (Some(a), Some(b)) = (a, b) else { return differ(format!("row {row}")) };
        let equal = a.len() == b.len() && a.iter().zip(b).all(|(a, b)| cell(a, b));
        if !equal {
            return differ(format!("row {row}: {a:?} and {b:?}"));
        }
    }
    Ok(())
}

fn cell(a: &Value, b: &Value) -> bool {
    if a == b {
        return true;
    }
    let number = |v: &Value| v.as_str().and_then(|t| t.parse::<f64>().ok());
    match (number(a), number(b)) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-6 * a.abs().max(b.abs()).max(1e-3),
        _ => false,
    }
}

/// A billion rows that exist: two narrow columns, written by DuckDB as files of our table, after the first tables are gone.
fn billion(bench: &Bench) -> Outcome<(u64, u64, Value)> {
    let lake = bench.folder.join("lake");
    for table in ["bench_settle", "bench_taxi", "bench_air", "bench_clinic"] {
        let _ = std::fs::remove_dir_all(lake.join(table));
    }
    let mut write = program(&bench.python);
    write.arg(bench.dir.join("batch.py")).arg("wide").arg(lake.join("bench_wide"));
    let written = last(&read(write.args([&WIDE_ROWS.to_string(), THREADS]))?)?;
    read(&mut bench.ours(&["adopt"]))?;
    let plan = parsed(WIDE)?;
    let file = bench.plan("wide.json", &plan)?;
    let theirs = Side::of(&read(&mut bench.theirs(&file))?)?;
    let ours = Side::of(&read(&mut bench.asks(&file, "1", WIDE_MB))?)?;
    let mut times = serde_json::Map::new();
    for question in &plan {
        let name = text(question, "name");
        let (one, two) = (ours.get(name)?, theirs.get(name)?);
        same(name, &one.rows, &two.rows)?;
        println!(
            "{name}: {:.1} s, DuckDB {:.1} s (processor {:.1} and {:.1} s)",
            one.seconds, two.seconds, one.cpu, two.cpu
        );
        times.insert(name.to_owned(), json!([round(one.seconds), round(two.seconds)]));
    }
    println!(
        "a billion rows in {} MB of files: equal; most memory ours {} MB (limit {WIDE_PEAK_MB}), DuckDB {} MB",
        written.get("mb").cloned().unwrap_or_default(),
        ours.peak_mb,
        theirs.peak_mb
    );
    Ok((WIDE_ROWS, ours.peak_mb, times.into()))
}

/// The same statements on a scheduler and one executor, then two: the same rows. Seconds of all together.
fn cluster(bench: &Bench, file: &Path, plan: &[Value], here: &Side) -> Outcome<Value> {
    let trust = bench.dir.join("trust");
    certificates(&trust)?;
    let mut parts = vec![part(bench, &trust, "scheduler", "")?];
    let scheduler = parts.first().map(|(_, at)| at.clone()).unwrap_or_default();
    let mut seconds = serde_json::Map::new();
    for executors in 1..=2 {
        parts.push(part(bench, &trust, "executor", &scheduler)?);
        let mut asks = bench.asks(file, "1", MEMORY_MB);
        asks.arg(&scheduler).arg(&trust);
        let there = Side::of(&read(&mut asks)?)?;
        let mut all = 0.0;
        for question in plan {
            let name = text(question, "name");
            let (one, two) = (there.get(name)?, here.get(name)?);
            same(name, &one.rows, &two.rows)?;
            all += one.seconds;
        }
        let figures = there.last.get("cluster").cloned().unwrap_or_default();
        if figures.get("taken_back").and_then(Value::as_u64) != Some(0) {
            return Err(format!("not every statement ran on the cluster: {figures}"));
        }
        println!(
            "{executors} executor(s): {} statements in {all:.1} s, the same rows; {figures}",
            plan.len()
        );
        seconds.insert(executors.to_string(), json!(round(all)));
    }
    for (process, _) in parts.into_iter().rev() {
        process.stop()?;
    }
    Ok(seconds.into())
}

/// Starts a part of a cluster; where it listens.
fn part(bench: &Bench, trust: &Path, role: &str, scheduler: &str) -> Outcome<(Background, String)> {
    let number = std::fs::read_dir(&bench.dir).map_err(|e| e.to_string())?.count();
    let file = bench.dir.join(format!("part-{number}.toml"));
    let path = |name: &str| format!("{:?}", trust.join(name));
    let config = format!(
        "roles = [\"{role}\"]\n[data]\nfolder = \"part-{number}\"\n[operation]\nlisten = \"127.0.0.1:0\"\n[log]\nlevel = \"warn\"\n\
         [cluster]\nscheduler = \"{scheduler}\"\nlisten = \"127.0.0.1:0\"\nexecutor_listen = \"127.0.0.1:0\"\nmemory_mb = 2048\n\
         threads = 2\nauthority_file = {}\ncertificate_file = {}\nkey_file = {}\n",
        path("ca.crt"),
        path("node.crt"),
        path("node.key")
    );
    std::fs::write(&file, config).map_err(|e| format!("{}: {e}", file.display()))?;
    let log = bench.dir.join(format!("part-{number}.log"));
    let key = read(&mut bench.ours(&["key"]))?.trim().to_owned();
    let mut command = program(bench.bin.join("qiantang"));
    command.args(["serve", "--json", "--config"]).arg(&file).env("QIANTANG_MASTER_KEY", key);
    let (process, told) = super::serve(&mut command, &log, role, Duration::from_secs(30))?;
    Ok((process, text(&told, role).to_owned()))
}

/// An authority for this run and a certificate of it.
fn certificates(trust: &Path) -> Outcome {
    std::fs::create_dir_all(trust).map_err(|e| e.to_string())?;
    let extensions =
        "subjectAltName=DNS:qiantang-cluster\nextendedKeyUsage=serverAuth,clientAuth\n";
    std::fs::write(trust.join("ext"), extensions).map_err(|e| e.to_string())?;
    let new = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for line in [
        format!("{new} -x509 -keyout ca.key -out ca.crt -days 2 -subj /CN=bench"),
        format!("{new} -keyout node.key -out node.csr -subj /CN=node"),
        "x509 -req -in node.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out node.crt".into(),
    ] {
        read(program("openssl").args(line.split(' ')).current_dir(trust))?;
    }
    Ok(())
}

fn parsed(text: &str) -> Outcome<Vec<Value>> {
    serde_json::from_str(text).map_err(|e| format!("statements of the bench: {e}"))
}

fn last(said: &str) -> Outcome<Value> {
    super::last_json(said)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, key: &str) -> f64 {
    value.get(key).and_then(Value::as_f64).unwrap_or(0.0)
}

fn round(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_equal_up_to_the_order_of_summing() {
        let row = |cells: &[&str]| json!(cells);
        let one = [row(&["王**", "12.50", "2024-01-01"])];
        same("x", &one, &[row(&["王**", "12.5", "2024-01-01"])]).unwrap();
        same("x", &one, &[row(&["王*", "12.5", "2024-01-01"])]).unwrap_err();
        same("x", &one, &[row(&["王**", "12.6", "2024-01-01"])]).unwrap_err();
        same("x", &one, &[]).unwrap_err();
        same("x", &[], &[]).unwrap_err();
    }

    #[test]
    fn there_are_twelve_and_more() {
        assert_eq!(parsed(QUESTIONS).unwrap().len(), 12);
        assert!(!parsed(REAL).unwrap().is_empty() && !parsed(WIDE).unwrap().is_empty());
    }
}

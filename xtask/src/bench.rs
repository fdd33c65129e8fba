//! `cargo xtask bench NAME`: measures a promise against its rival in the same run, in a full release build.

mod batch;
mod gate;
mod ledger;
mod load;
mod portal;
mod rail;
mod switch;

use crate::Outcome;
use crate::setup::{self, Purpose};
use crate::shell::{self, Background, cargo};

pub(crate) const HELP: &str = "\
Measures a promise against its rival in the same run. Builds in release mode, in a target directory that outlives the
clone. The last line printed is one JSON object.

Usage: cargo xtask bench gate|load|rail|ledger|recall|batch|portal|switch [--cluster] [--seconds N] [--minutes N] [--megabytes N] [--thousands N] [--rows N] [--sets N] [--rounds N] [--data DIR] [--profile NAME]

  gate   look-ups through the whole gate (signature, replay, quota, policy, mask, audit, metering) on a demo with a million
         rows, 2,000 applications and 3,912 interfaces, against a bare axum + SQLite look-up of the same rows, and against
         roapi and datasette; 64 connections, wrk; `--minutes N` (2 at least) goes on until the window of nonces is full,
         and for so long again, and watches the memory. Fails with a line for each limit missed: ratio, p99, rivals, memory
  load   a CSV file collected into the lake against DuckDB's CSV to Parquet on the same file
  rail   a real-time rail on a live PostgreSQL: the stream against pg_recvlogical to nowhere, a snapshot of ten million
         rows against COPY TO of the same table, commit to lake and serving copy at 2,000 rows a second, memory;
         `--thousands` takes a smaller table
  ledger four ledgers filled to the size of a province (2.244 million data items): 200 mixed searches against
         PostgreSQL full text and SQLite FTS5 on the same corpus, one write made visible, deep pages of a list;
         `--thousands` fills fewer items
  batch  twelve analytic statements over a hundred million rows (`--thousands` takes fewer) through the SQL door, a row filter
         and a mask on, against DuckDB on the same files; real data sets of $QIANTANG_REAL_DATA; a billion rows in bounded
         memory; `--cluster`: the same rows on a scheduler with one executor and with two
  portal the open-data site with a table of 13 million rows (`--rows` takes fewer) and 100,000 open data sets (`--sets`): first
         pages and exact totals, searches with six facets, pages, CSV against the same bytes from a bare server, XLSX of a
         million rows in bounded memory, the open index; filled once, kept in the cache
  switch a province of two gateways, a portal, an SQL door and a worker on one PostgreSQL, with 2,000 applications and 3,912
         interfaces: from the officer's click to the first call refused, and served again, by every way out of every process,
         for stops of an application, a resource and an interface; a new, changed and shared interface until both gateways
         answer it, beside callers of the others; `--rounds N` of each (10). Fails with a line for each limit missed
  recall recall@10 of 50 questions written by hand on the real catalogue records of `--data DIR` (catalogue_opendata_zh)

`--profile demo` gives a quick look without the release build; its figures are no promise.

Examples:
  cargo xtask bench gate --seconds 10
  cargo xtask bench load --megabytes 1000
  cargo xtask bench portal --rows 200000 --sets 2000
  cargo xtask bench switch --rounds 3";

pub(crate) fn run(args: &[String]) -> Outcome {
    let Some((name, options)) = args.split_first() else {
        return Err("say which: gate, load, rail, ledger, recall, batch, portal or switch".into());
    };
    let bench = match name.as_str() {
        "gate" => gate::run,
        "load" => load::run,
        "rail" => rail::run,
        "ledger" => ledger::run,
        "recall" => ledger::recall,
        "batch" => batch::run,
        "portal" => portal::run,
        "switch" => switch::run,
        other => {
            return Err(format!("there is no bench `{other}`; see `cargo xtask bench --help`"));
        }
    };
    let options = Options::read(options)?;
    setup::run_for(Purpose::Bench)?;
    // Always the same programs with the features of the whole workspace, so that each is built once.
    let build = ["build", "--profile", &options.profile, "--locked", "--workspace"];
    shell::run(cargo(&build).args([
        "--bin",
        "qiantang",
        "--bin",
        "gatebench",
        "--bin",
        "ledgerbench",
        "--bin",
        "railbench",
        "--bin",
        "batchbench",
        "--bin",
        "portalbench",
    ]))?;
    bench(&options)
}

/// What may be said about a bench.
pub(crate) struct Options {
    /// Seconds of each measured stretch.
    pub(crate) seconds: u64,
    /// Minutes of load, to watch the memory.
    pub(crate) minutes: Option<u64>,
    /// Size of the generated file.
    pub(crate) megabytes: u64,
    /// Thousands of data items of the filled ledgers, or of rows of the rail's table.
    pub(crate) thousands: Option<u64>,
    /// Rows of the large open table, and open data sets beside it.
    pub(crate) rows: Option<u64>,
    pub(crate) sets: Option<u64>,
    /// How often each switch is turned.
    pub(crate) rounds: Option<u64>,
    /// Folder of real catalogue records.
    pub(crate) data: Option<std::path::PathBuf>,
    /// Also on a cluster of processes.
    pub(crate) cluster: bool,
    /// Build profile, `release` unless a quick look is wanted.
    pub(crate) profile: String,
}

impl Options {
    fn read(args: &[String]) -> Outcome<Self> {
        let mut options = Self {
            seconds: 10,
            minutes: None,
            megabytes: 1000,
            thousands: None,
            rows: None,
            sets: None,
            rounds: None,
            data: None,
            cluster: false,
            profile: "release".into(),
        };
        let mut rest = args.iter();
        while let Some(flag) = rest.next() {
            if flag == "--profile" {
                let name = rest.next().ok_or("`--profile` wants a name")?;
                options.profile.clone_from(name);
                continue;
            }
            if flag == "--cluster" {
                options.cluster = true;
                continue;
            }
            if flag == "--data" {
                options.data = Some(rest.next().ok_or("`--data` wants a folder")?.into());
                continue;
            }
            let number = rest.next().and_then(|v| v.parse().ok()).filter(|n| *n > 0);
            let number = number.ok_or_else(|| format!("`{flag}` wants a number above 0"))?;
            match flag.as_str() {
                "--seconds" => options.seconds = number,
                "--minutes" => options.minutes = Some(number),
                "--megabytes" => options.megabytes = number,
                "--thousands" => options.thousands = Some(number),
                "--rows" => options.rows = Some(number),
                "--sets" => options.sets = Some(number),
                "--rounds" => options.rounds = Some(number),
                other => {
                    return Err(format!(
                        "option `{other}` is not known; see `cargo xtask bench --help`"
                    ));
                }
            }
        }
        Ok(options)
    }

    /// Folder of the programs built.
    pub(crate) fn bin(&self) -> std::path::PathBuf {
        shell::target().join(if self.profile == "dev" { "debug" } else { self.profile.as_str() })
    }
}

/// Adds to an object.
fn tell(told: &mut serde_json::Value, name: &str, value: serde_json::Value) {
    if let Some(told) = told.as_object_mut() {
        told.insert(name.into(), value);
    }
}

/// Starts a server and waits until it tells its addresses (`--json`), among them one of this name.
pub(crate) fn serve(
    command: &mut std::process::Command,
    log: &std::path::Path,
    name: &str,
    patience: std::time::Duration,
) -> Outcome<(Background, serde_json::Value)> {
    let mut server = Background::start(command, log)?;
    let mut addresses = None;
    server.wait_until(patience, || {
        let said = std::fs::read_to_string(log).unwrap_or_default();
        let mut told =
            said.lines().filter_map(|l| serde_json::from_str::<serde_json::Value>(l).ok());
        addresses =
            told.find(|t| t.get(name).and_then(|at| at.as_str()).is_some_and(|at| !at.is_empty()));
        addresses.is_some()
    })?;
    Ok((server, addresses.ok_or("the server tells no addresses")?))
}

fn last_json(text: &str) -> Outcome<serde_json::Value> {
    let line = text.lines().rev().find(|l| l.starts_with('{')).ok_or("no JSON was answered")?;
    serde_json::from_str(line).map_err(|e| format!("the answer is not JSON: {e}"))
}

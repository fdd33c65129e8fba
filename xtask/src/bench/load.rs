//! `bench load`: a large CSV file collected into the lake, against DuckDB's CSV → Parquet of the same file in the same run.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};

use super::Options;
use super::gate::peak_rss_mb;
use crate::Outcome;
use crate::browser::Demo;
use crate::python::environment;
use crate::shell::{Background, Scratch, cache, program, read};

/// The least ratio to DuckDB's speed, and the most memory.
const LIMIT: f64 = 0.6;
const LIMIT_RSS_MB: u64 = 1024;
/// Code of the entry the file is collected into.
const CODE: &str = "bench_load";

pub(crate) fn run(options: &Options) -> Outcome {
    let python = duckdb()?;
    let (file, rows) = file(options.megabytes)?;
    let bytes = std::fs::metadata(&file).map_err(|e| format!("{}: {e}", file.display()))?.len();
    println!("file: {rows} rows, {:.0} MB", mb(bytes));
    let scratch = Scratch::new("load")?;
    let dir = scratch.path();
    let qiantang = options.bin().join("qiantang");
    let data = entry(&qiantang, dir)?;

    // Twice, so that neither is the one that finds the file cold; the second turn counts.
    let mut rival = f64::MAX;
    for _ in 0..2 {
        rival = duckdb_seconds(&python, dir, &file, rows)?;
        println!("duckdb:   {rival:>6.2} s  {:>6.0} MB/s", mb(bytes) / rival);
    }
    let (seconds, peak, result) = collect(&qiantang, dir, &data, &file)?;
    println!("qiantang: {seconds:>6.2} s  {:>6.0} MB/s, peak {peak} MB", mb(bytes) / seconds);

    let number = |key: &str| result.get(key).and_then(Value::as_u64);
    let landed = number("read") == Some(rows)
        && number("accepted") == Some(rows)
        && number("quarantined") == Some(0);
    if !landed {
        println!("the file has {rows} rows, but: {result}");
    }
    let ratio = rival / seconds;
    println!("ratio {ratio:.3} (limit {LIMIT}), peak {peak} MB (limit {LIMIT_RSS_MB} MB)");
    println!(
        "{}",
        json!({
            "bench": "load", "ratio": (ratio * 1000.0).round() / 1000.0, "limit": LIMIT,
            "ours": (mb(bytes) / seconds).round(), "theirs": (mb(bytes) / rival).round(), "unit": "MB/s",
            "peak_rss_mb": peak, "peak_rss_limit_mb": LIMIT_RSS_MB, "rows": rows, "verified": landed,
        })
    );
    if landed { Ok(()) } else { Err("not every row of the file was accepted".into()) }
}

fn mb(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes / 1000).unwrap_or(u32::MAX)) / 1000.0
}

/// Python with DuckDB, in an environment that outlives the clone.
pub(super) fn duckdb() -> Outcome<PathBuf> {
    Ok(environment("duckdb", "duckdb", &["duckdb"])?.join("python"))
}

fn duckdb_seconds(python: &Path, dir: &Path, file: &Path, rows: u64) -> Outcome<f64> {
    let code = "import duckdb, sys, time\n\
        source, target = sys.argv[1:3]\n\
        duckdb.execute('SET enable_progress_bar = false')\n\
        begin = time.perf_counter()\n\
        duckdb.execute(f\"COPY (SELECT * FROM read_csv('{source}')) TO '{target}' (FORMAT parquet)\")\n\
        seconds = time.perf_counter() - begin\n\
        count = duckdb.execute(f\"SELECT count(*) FROM '{target}'\").fetchall()[0][0]\n\
        print(seconds, count)\n";
    let target = dir.join("duckdb.parquet");
    let out = read(program(python).arg("-c").arg(code).arg(file).arg(&target))?;
    let _ = std::fs::remove_file(&target);
    let mut words = out.split_whitespace();
    let seconds = words.next().and_then(|w| w.parse().ok());
    let count = words.next().and_then(|w| w.parse::<u64>().ok());
    match (seconds, count) {
        (Some(seconds), Some(count)) if count == rows => Ok(seconds),
        _ => Err(format!("DuckDB should have found {rows} rows: {out}")),
    }
}

/// Runs the collection and watches its memory: seconds, peak in MB, and what it said last.
fn collect(qiantang: &Path, dir: &Path, data: &Path, file: &Path) -> Outcome<(f64, u64, Value)> {
    let log = dir.join("ingest.log");
    let start = Instant::now();
    let ingest = Background::start(
        program(qiantang)
            .arg("ingest")
            .arg(file)
            .args(["--entry", CODE, "--json", "--as", "provider", "--data"])
            .arg(data),
        &log,
    )?;
    let mut peak = 0;
    ingest.finish(|id| peak = peak.max(peak_rss_mb(id).unwrap_or(0)))?;
    let seconds = start.elapsed().as_secs_f64();
    let text = std::fs::read_to_string(&log).map_err(|e| format!("{}: {e}", log.display()))?;
    let last = text.lines().rev().find(|l| l.starts_with('{'));
    let last =
        last.ok_or_else(|| format!("ingest did not say what became of the file:\n{text}"))?;
    let result = serde_json::from_str(last).map_err(|e| format!("{last}: {e}"))?;
    Ok((seconds, peak, result))
}

/// The entry for the file's columns, entered into a folder that a demo has prepared (it needs a providing body).
fn entry(qiantang: &Path, dir: &Path) -> Outcome<PathBuf> {
    let demo = Demo::start(qiantang, dir, &[])?;
    demo.server.stop()?;
    let sheet = dir.join("catalogue.csv");
    std::fs::write(&sheet, sheet_text()).map_err(|e| format!("{}: {e}", sheet.display()))?;
    let out = read(
        program(qiantang)
            .args(["catalogue", "--json", "--data"])
            .arg(&demo.data)
            .args(["--as", "provider", "import"])
            .arg(&sheet),
    )?;
    let report: Value = serde_json::from_str(out.trim()).map_err(|e| format!("{out}: {e}"))?;
    if report.get("applied").and_then(Value::as_bool) == Some(true) {
        return Ok(demo.data);
    }
    Err(format!("the entry was not taken: {report}"))
}

/// The catalogue file of the entry: one row per column of the data. No key and no look-up column, so that rows go to the
/// lake only, as DuckDB's do.
fn sheet_text() -> String {
    let columns = [
        ("id", "integer", ""),
        ("uscc", "text", ""),
        ("name", "text", ""),
        ("city", "text", ""),
        ("trade", "text", ""),
        ("capital", "decimal", "2"),
        ("founded", "date", ""),
        ("updated", "datetime", ""),
        ("latitude", "float", ""),
        ("active", "boolean", ""),
        ("remark", "text", ""),
    ];
    let mut text = String::from(
        "code,title,description,org,region,domain,kind,update_cycle,sync_mode,share_type,open_type,\
         identifier,name_cn,data_type,grade,precision,scale\n",
    );
    for (name, kind, scale) in columns {
        let precision = if scale.is_empty() { "" } else { "18" };
        text.push_str(&format!(
            "{CODE},装载测试,装载速度测试用的合成数据,sscjg,330000,11,table,monthly,full,unconditional,unconditional,\
             {name},{name},{kind},L1,{precision},{scale}\n"
        ));
    }
    text
}

/// The generated file, kept in the cache: the same bytes for the same size on every machine. Answers its rows too.
fn file(megabytes: u64) -> Outcome<(PathBuf, u64)> {
    let dir = cache().join("bench");
    std::fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let (path, count) =
        (dir.join(format!("load-{megabytes}.csv")), dir.join(format!("load-{megabytes}.rows")));
    if let Some(rows) = std::fs::read_to_string(&count).ok().and_then(|t| t.trim().parse().ok()) {
        return Ok((path, rows));
    }
    let rows =
        generate(&path, megabytes * 1_000_000).map_err(|e| format!("{}: {e}", path.display()))?;
    std::fs::write(&count, rows.to_string()).map_err(|e| format!("{}: {e}", count.display()))?;
    Ok((path, rows))
}

/// Writes rows until the file has `bytes`: business registrations as a department would hand them over.
fn generate(path: &Path, bytes: u64) -> std::io::Result<u64> {
    const CITIES: [&str; 11] =
        ["杭州", "宁波", "温州", "嘉兴", "湖州", "绍兴", "金华", "衢州", "舟山", "台州", "丽水"];
    const TRADES: [&str; 8] = ["软件", "贸易", "纺织", "机械", "食品", "物流", "建材", "环保"];
    const STATES: [&str; 4] = ["存续", "注销", "吊销", "迁出"];
    let mut out = BufWriter::with_capacity(1 << 20, std::fs::File::create(path)?);
    let header = "id,uscc,name,city,trade,capital,founded,updated,latitude,active,remark\n";
    out.write_all(header.as_bytes())?;
    let (mut written, mut rows) = (header.len() as u64, 0_u64);
    let mut chance = Chance(20_260_101);
    let mut line = String::with_capacity(256);
    while written < bytes {
        use std::fmt::Write as _;
        rows += 1;
        line.clear();
        let city = chance.below(11);
        let trade = chance.of(&TRADES);
        let name = CITIES.get(usize::try_from(city).unwrap_or(0)).copied().unwrap_or_default();
        // Writing into a String cannot fail.
        let _ = writeln!(
            line,
            "{rows},9133{:02}00MA{:08}X,{name}第{rows}{trade}有限公司,{name},{trade},{}.{:02},{}-{:02}-{:02},2026-{:02}-{:02}T{:02}:{:02}:{:02},{:.6},{},{}",
            city + 1,
            rows % 100_000_000,
            chance.below(50_000_000),
            chance.below(100),
            1990 + chance.below(36),
            1 + chance.below(12),
            1 + chance.below(28),
            1 + chance.below(12),
            1 + chance.below(28),
            chance.below(24),
            chance.below(60),
            chance.below(60),
            27.0 + f64::from(u32::try_from(chance.below(4_000_000)).unwrap_or(0)) / 1e6,
            chance.below(10) > 0,
            if chance.below(4) == 0 {
                "\"经营范围：批发, 零售\""
            } else {
                chance.of(&STATES)
            },
        );
        out.write_all(line.as_bytes())?;
        written += line.len() as u64;
    }
    out.flush()?;
    Ok(rows)
}

/// Numbers that look like chance and are the same on every machine (xorshift64*).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }
    fn of(&mut self, words: &[&'static str]) -> &'static str {
        let n = self.below(words.len() as u64);
        usize::try_from(n).ok().and_then(|n| words.get(n)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_the_same_every_time() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("1"), dir.path().join("2"));
        let rows = generate(&one, 100_000).unwrap();
        assert_eq!(generate(&two, 100_000).unwrap(), rows);
        let text = std::fs::read_to_string(&one).unwrap();
        assert_eq!(text, std::fs::read_to_string(&two).unwrap());
        assert_eq!(text.lines().count() as u64, rows + 1);
    }
}

//! `bench portal`: the open-data site at size. An open table of 13 million rows and 100,000 open data sets with Chinese titles, filled
//! through the rooms and kept in the cache; then a server on that folder is asked as anybody would ask it, and every answer is
//! compared with what was filled in.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Options, last_json};
use crate::Outcome;
use crate::shell::{Background, cache, program, read, root, run as shown};

/// Rows of the large table and open data sets, where nothing is said.
const ROWS: u64 = 13_000_000;
const SETS: u64 = 100_000;
/// Of what is filled in; another number fills anew.
const FILL: u32 = 1;
/// Between two looks at whether a server rests, how many in a row say so, and the longest it may take.
const LOOK: Duration = Duration::from_secs(2);
const QUIET_LOOKS: u32 = 3;
const AT_REST: Duration = Duration::from_secs(900);

pub(crate) fn run(options: &Options) -> Outcome {
    let (rows, sets) = (options.rows.unwrap_or(ROWS), options.sets.unwrap_or(SETS));
    let helper = options.bin().join("portalbench");
    let qiantang = options.bin().join("qiantang");
    let place = cache().join("bench").join(format!("portal-{FILL}-{rows}-{sets}"));
    let data = filled(&helper, &place, rows, sets)?;
    let (server, addresses) = serve(&qiantang, &place, &data)?;
    let address = |name: &str| {
        let told = addresses.get(name).and_then(Value::as_str);
        told.ok_or_else(|| format!("the server tells no address of its {name}: {addresses}"))
    };
    at_rest(server.id())?;
    let mut ask = program(&helper);
    ask.arg("ask").arg(&data).args([rows.to_string(), sets.to_string()]);
    ask.args([address("portal")?, address("gateway")?]);
    ask.arg(server.id().to_string()).arg(&qiantang);
    let said = match read(&mut ask) {
        Ok(said) => said,
        Err(e) => return Err(format!("{e}\n--- last lines of the server:\n{}", server.tail())),
    };
    print!("{said}");
    server.stop()?;
    if last_json(&said)?.get("pass") == Some(&Value::Bool(true)) {
        Ok(())
    } else {
        Err("a promise of the open-data site is not kept; the figures stand above".into())
    }
}

/// The data folder, filled now or by a run before this one.
fn filled(helper: &Path, place: &Path, rows: u64, sets: u64) -> Outcome<PathBuf> {
    let (data, done) = (place.join("data"), place.join("filled.json"));
    if done.is_file() {
        println!("filled before: {}", place.display());
        return Ok(data);
    }
    // What a fill that was cut off has left.
    let _ = std::fs::remove_dir_all(place);
    std::fs::create_dir_all(place).map_err(|e| format!("{}: {e}", place.display()))?;
    println!(
        "filling {} with {rows} rows and {sets} data sets; this takes minutes",
        place.display()
    );
    shown(
        program(helper)
            .arg("fill")
            .arg(&data)
            .args([rows.to_string(), sets.to_string()])
            .current_dir(place),
    )?;
    let told = format!("{{\"fill\":{FILL},\"rows\":{rows},\"sets\":{sets}}}\n");
    std::fs::write(&done, told).map_err(|e| format!("{}: {e}", done.display()))?;
    Ok(data)
}

/// A server with site and interfaces on free ports, as a configuration file starts it, and its addresses. Callers are not slowed down by
/// their address: they all come from here, so that the limits of the public, which hold for each address, are set high.
fn serve(qiantang: &Path, place: &Path, data: &Path) -> Outcome<(Background, Value)> {
    let (config, log) = (place.join("qiantang.toml"), place.join("server.log"));
    let folder = serde_json::to_string(&data.to_string_lossy()).map_err(|e| e.to_string())?;
    let rules = rules(place)?;
    let text = format!(
        "[data]\nfolder = {folder}\n\n[rules]\npolicy_folder = {rules:?}\n\n\
         [portal]\nlisten = \"127.0.0.1:0\"\n\n\
         [gateway]\nlisten = \"127.0.0.1:0\"\nanonymous_per_second = 1000000\n\n\
         [operation]\nlisten = \"127.0.0.1:0\"\n"
    );
    std::fs::write(&config, text).map_err(|e| format!("{}: {e}", config.display()))?;
    let mut command = program(qiantang);
    command.args(["serve", "--json", "--config"]).arg(&config).current_dir(place);
    let patience = Duration::from_secs(600);
    let (mut server, addresses) = super::serve(&mut command, &log, "portal", patience)?;
    let operation = addresses.get("operation").and_then(Value::as_str).unwrap_or_default();
    let operation = operation.trim_start_matches("http://").to_owned();
    server
        .wait_until(Duration::from_secs(60), || std::net::TcpStream::connect(&operation).is_ok())?;
    Ok((server, addresses))
}

/// Waits until the recurring jobs, all of which are due at the start of a server that stood still, have gone over the ledger once: what is
/// asked here is how the site answers on an ordinary day. Tells how long that was.
fn at_rest(pid: u32) -> Outcome {
    let (begun, mut quiet) = (Instant::now(), 0);
    let mut worked = processor_ticks(pid)?;
    while quiet < QUIET_LOOKS {
        if begun.elapsed() > AT_REST {
            return Err("the jobs of the server's start do not come to an end".into());
        }
        std::thread::sleep(LOOK);
        let now = processor_ticks(pid)?;
        // A tick is a hundredth of a second: at rest is who works less than a twentieth of the time.
        quiet = if now - worked < 10 { quiet + 1 } else { 0 };
        worked = now;
    }
    let seconds = begun.elapsed().as_secs();
    println!("jobs of the start: {seconds} s, {} s of processor time", worked / 100);
    Ok(())
}

/// Processor time of a process so far, in hundredths of a second (proc(5), fields 14 and 15 of `stat`).
fn processor_ticks(pid: u32) -> Outcome<u64> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
    let behind_name = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: Vec<u64> =
        behind_name.split_whitespace().skip(11).take(2).filter_map(|t| t.parse().ok()).collect();
    match ticks.as_slice() {
        [user, system] => Ok(user + system),
        _ => Err(format!("{path} cannot be read: {text}")),
    }
}

/// A folder with the limits of releases, those of calls of open data raised; the other rules are those of the program.
fn rules(place: &Path) -> Outcome<PathBuf> {
    let shipped = root().join("crates/policy/rules/limits.toml");
    let text =
        std::fs::read_to_string(&shipped).map_err(|e| format!("{}: {e}", shipped.display()))?;
    let (before, open) =
        text.split_once("[quota_open]\n").ok_or("no [quota_open] in the limits")?;
    let raised: String = open
        .lines()
        .map(|line| match line.split_once(" = ") {
            Some((name @ ("calls_per_day" | "calls_per_second"), _)) => {
                format!("{name} = 1000000000\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    let folder = place.join("rules");
    std::fs::create_dir_all(&folder)
        .and_then(|()| {
            std::fs::write(folder.join("limits.toml"), format!("{before}[quota_open]\n{raised}"))
        })
        .map_err(|e| format!("{}: {e}", folder.display()))?;
    Ok(folder)
}

//! Other servers of tables (from PyPI), which guard nothing: the same million rows, the same look-ups.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::wrk::wrk;
use crate::Outcome;
use crate::python::environment;
use crate::shell::{Background, free_port, program};

/// Calls a second of each.
pub(super) fn measure(dir: &Path, seconds: u64) -> Outcome<Vec<(&'static str, f64)>> {
    let bin = environment("rivals", "datasette, roapi", &["datasette", "roapi"])?;
    let plan = super::plan(dir)?;
    let column = plan.get("key_column").and_then(Value::as_str).ok_or("no key column")?;
    let keys: Vec<&str> = plan
        .get("keys")
        .and_then(Value::as_array)
        .map(|keys| keys.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let mut rates = Vec::new();
    let ports = (free_port()?, free_port()?);
    let table = format!("t={}", dir.join("rows.csv").display());
    let roapi = format!("127.0.0.1:{}", ports.0);
    let mut command = program(bin.join("roapi"));
    command.args(["--table", &table, "--addr-http", &roapi, "--addr-postgres", "127.0.0.1:0"]);
    let asked = |key: &str| format!("/api/tables/t?filter%5B{column}%5D=%27{key}%27");
    rates.push(("roapi", one(dir, command, &roapi, &keys, &asked, seconds)?));
    let address = format!("127.0.0.1:{}", ports.1);
    let mut command = program(bin.join("datasette"));
    command.arg("serve").arg(dir.join("bare.db")).args([
        "--host",
        "127.0.0.1",
        "--port",
        &ports.1.to_string(),
    ]);
    let asked = |key: &str| {
        format!("/bare/t.json?{column}__exact={key}&_shape=array&_nocount=1&_nofacet=1")
    };
    rates.push(("datasette", one(dir, command, &address, &keys, &asked, seconds)?));
    Ok(rates)
}

fn one(
    dir: &Path,
    mut command: std::process::Command,
    address: &str,
    keys: &[&str],
    asked: &dyn Fn(&str) -> String,
    seconds: u64,
) -> Outcome<f64> {
    let mut server = Background::start(&mut command, &dir.join("rival.log"))?;
    server
        .wait_until(Duration::from_secs(120), || std::net::TcpStream::connect(address).is_ok())?;
    let text: String = keys
        .iter()
        .map(|key| format!("GET {} HTTP/1.1\r\nHost: peer\r\n\r\n", asked(key)))
        .collect();
    let calls = dir.join("rival.txt");
    std::fs::write(&calls, text).map_err(|e| e.to_string())?;
    // Every answer must hold a row: a name of a column in quotes.
    let mark = Some("\":");
    let origin = format!("http://{address}");
    wrk(dir, &origin, &calls, 2, mark)?;
    let turn = wrk(dir, &origin, &calls, seconds, mark)?;
    let tail = server.tail();
    server.stop()?;
    match turn.failed {
        0 => Ok(turn.rate),
        n => Err(format!("{n} answers of a rival were wrong:\n{tail}")),
    }
}

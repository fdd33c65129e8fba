//! The scene `row` with TLS on both sides: a server on the folder of the demo, which has stopped, and the bare peer.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::{Bench, Measured};
use crate::Outcome;
use crate::shell::{Background, free_port, program, run};

/// Both by one certificate, made for the occasion.
pub(super) fn measure(bench: &mut Bench<'_>, qiantang: &Path, data: &Path) -> Outcome<Measured> {
    certificate(bench.dir)?;
    let config = bench.dir.join("secure.toml");
    let folder = serde_json::to_string(&data.to_string_lossy()).map_err(|e| e.to_string())?;
    let text = format!(
        "[data]\nfolder = {folder}\n\n[portal]\nlisten = \"127.0.0.1:0\"\n\n[gateway]\nlisten = \"127.0.0.1:0\"\n\n\
         [tls]\ncert = \"tls.pem\"\nkey = \"tls.key\"\n\n[operation]\nlisten = \"127.0.0.1:0\"\n"
    );
    std::fs::write(&config, text).map_err(|e| format!("{}: {e}", config.display()))?;
    let mut command = program(qiantang);
    command.args(["serve", "--json", "--config"]).arg(&config).current_dir(bench.dir);
    let log = bench.dir.join("secure.log");
    let patience = Duration::from_secs(120);
    let (server, told) = super::super::serve(&mut command, &log, "gateway", patience)?;
    let gate = told.get("gateway").and_then(Value::as_str).unwrap_or_default();
    if !gate.starts_with("https://") {
        return Err(format!("the server listens without TLS: {told}"));
    }
    let address = format!("127.0.0.1:{}", free_port()?);
    let mut peer = Background::start(
        program(bench.helper).arg("peer").arg(bench.dir).args([&address, "tls"]),
        &bench.dir.join("secure-peer.log"),
    )?;
    peer.wait_until(Duration::from_secs(10), || std::net::TcpStream::connect(&address).is_ok())?;
    bench.gate = gate.trim_end_matches('/').to_owned();
    bench.bare = format!("https://{address}");
    // What an answer must hold: the column by which it was asked for.
    let plan = super::plan(bench.dir)?;
    let key = plan.get("key_column").and_then(Value::as_str).ok_or("no key column")?.to_owned();
    let measured = bench.rounds("row", Some(&key))?;
    peer.stop()?;
    server.stop()?;
    Ok(measured)
}

fn certificate(dir: &Path) -> Outcome {
    run(program("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=127.0.0.1", "-keyout", "tls.key", "-out", "tls.pem"])
        .current_dir(dir))
}

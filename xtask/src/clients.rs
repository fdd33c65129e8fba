//! `cargo xtask clients`: third parties' programs against the doors. Schemathesis reads the descriptions and tries to break
//! what it promises: no server error, no answer that is not described. Clients of PostgreSQL use the SQL door as they use
//! any server (`sql`); the client of Delta Sharing loads tables and their changes (`delta`); clients of CKAN, Data Package, Croissant, OGC
//! API, OAI-PMH and MCP use the doors for anybody (`doors`).

mod delta;
mod doors;
mod sql;

use std::path::Path;

use crate::Outcome;
use crate::browser::{self, Demo};
use crate::python::environment;
use crate::shell::{self, Scratch, cargo, find, program, read};

pub(crate) const HELP: &str = "\
Starts a demo and runs schemathesis (from PyPI, in an environment of its own) on every description that /openapi/index.json
names: the resources, each interface, the doors of tokens, of CKAN and of the older convention, and OGC API; each request signed as
its door wants it.
Fails on a server error or on an answer that the description does not name. Then a program of the province's older calling
convention (standard Python, written from its description alone) fetches data, and psql, psycopg 3, SQLAlchemy, ADBC and the JDBC
driver use the SQL door, plain and by TLS (`--sql`: these alone), and the client of Delta Sharing (from PyPI: pandas, pyarrow) loads tables and their
changes (`--delta`: this alone). Last, the doors for anybody (`--doors`: these alone): ckanapi, frictionless, mlcroissant, OWSLib, sickle,
mcp, feedparser, extruct, pyshacl with the shapes of DCAT-AP 3, and pyarrow (from PyPI), ogrinfo and ogr2ogr (Debian's gdal-bin),
LibreOffice (libreoffice-calc-nogui), the conformance suite of MCP and openid-client (from npm).

Usage: cargo xtask clients [--seconds N | --sql | --delta | --doors]

Example: cargo xtask clients --seconds 120";

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";

pub(crate) fn run(args: &[String]) -> Outcome {
    let seconds = match args {
        [] => Some(120),
        [flag] if ["--sql", "--delta", "--doors"].contains(&flag.as_str()) => None,
        [flag, n] if flag == "--seconds" => {
            Some(n.parse::<u32>().map_err(|e| format!("`{n}`: {e}"))?)
        }
        _ => return Err("arguments not understood; see `cargo xtask clients --help`".into()),
    };
    shell::run(&mut cargo(&["build", "--profile", "demo", "--package", "qiantang"]))?;
    let scratch = Scratch::new("clients")?;
    let binary = shell::target().join("demo/qiantang");
    let demo = Demo::start(&binary, scratch.path(), &[])?;
    let only = args.first().filter(|_| seconds.is_none()).map(String::as_str);
    let wanted = |flag: &str| only.is_none_or(|only| only == flag);
    // All are tried, whatever becomes of the others: each tells something of its own.
    let mut failed = Vec::new();
    let mut tried = |outcome: Outcome| {
        if let Err(why) = outcome {
            eprintln!("FAILED: {why}");
            failed.push(why);
        }
    };
    if let Some(seconds) = seconds {
        tried(fuzz(&demo, &scratch, seconds));
        tried(older(&demo, scratch.path()).map(drop));
    }
    if wanted("--sql") {
        tried(sql::run(&demo.ready, scratch.path()));
    }
    if wanted("--delta") {
        tried(delta::run(&demo, &binary, scratch.path()));
    }
    if wanted("--doors") {
        tried(doors::run(&demo, scratch.path()));
    }
    let tail = demo.server.tail();
    demo.server.stop()?;
    if wanted("--sql") {
        tried(sql::run_secure(&binary, &demo.ready, &demo.data, scratch.path()));
    }
    match failed.as_slice() {
        [] => Ok(()),
        all => Err(format!("{}\n--- last lines of the demo:\n{tail}", all.join("\n"))),
    }
}

/// Step of `cargo xtask test`: the program of the older calling convention against a demo of the present build.
pub(crate) fn run_older() -> Outcome<Option<String>> {
    let binary = browser::build()?;
    let scratch = Scratch::new("older")?;
    let demo = Demo::start(&binary, scratch.path(), &[])?;
    let said = older(&demo, scratch.path());
    let tail = demo.server.tail();
    demo.server.stop()?;
    said.map(Some).map_err(|why| format!("{why}\n--- last lines of the demo:\n{tail}"))
}

/// Runs that program; answers the line it ends with.
fn older(demo: &Demo, scratch: &Path) -> Outcome<String> {
    let python = find("python3").ok_or("`python3` is missing: cargo xtask setup --for test")?;
    let file = scratch.join("irs.py");
    std::fs::write(&file, include_str!("clients/irs.py")).map_err(|e| e.to_string())?;
    // The demo is on this machine, whatever proxy the environment names.
    let said = read(program(python).arg(&file).arg(&demo.ready).env("no_proxy", "127.0.0.1"))?;
    print!("{said}");
    let last = said.lines().last().unwrap_or_default().trim();
    match last.starts_with("older convention: ") {
        true => Ok(last.to_owned()),
        false => Err(format!(
            "the program of the older convention did not say that all is well: `{last}`"
        )),
    }
}

fn fuzz(demo: &Demo, scratch: &Scratch, seconds: u32) -> Outcome {
    let bin = environment("schemathesis", "schemathesis", &["schemathesis"])?;
    let hooks = scratch.path().join("signing.py");
    std::fs::write(&hooks, include_str!("clients/signing.py")).map_err(|e| e.to_string())?;
    let told = read(
        program(bin.join("python")).arg(&hooks).arg(scratch.path()).env("QT_READY", &demo.ready),
    )?;
    let mut documents = Vec::new();
    for line in told.lines() {
        match line.split('\t').collect::<Vec<_>>().as_slice() {
            ["door", url, file] => documents.push((true, *url, *file)),
            ["interface", url, file] => documents.push((false, *url, *file)),
            _ => return Err(format!("a description is not told as it should be: `{line}`")),
        }
    }
    let doors = documents.iter().filter(|(door, ..)| *door).count();
    if doors < 3 {
        return Err(format!(
            "three descriptions of doors were to be fetched, not {doors}:\n{told}"
        ));
    }
    // A door has many operations; the interfaces share what one door gets.
    let interfaces = u32::try_from(documents.len() - doors).unwrap_or(1).max(1);
    let share = (seconds / interfaces).max(5);
    let mut failed = Vec::new();
    for (door, url, file) in documents {
        println!("--- {file}");
        let limit = if door { seconds } else { share };
        failed.extend(check(demo, scratch, &bin, (url, file), limit).err());
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}

/// One description against the door.
fn check(
    demo: &Demo,
    scratch: &Scratch,
    bin: &Path,
    (url, document): (&str, &str),
    seconds: u32,
) -> Outcome {
    shell::run(
        program(bin.join("schemathesis"))
            .arg("run")
            .arg(document)
            .args(["--url", url, "--checks", CHECKS, "--max-time", &seconds.to_string()])
            .args(["--phases", "examples,coverage,fuzzing", "--suppress-health-check", "all"])
            // What does not look at credentials is limited by address: fewer than 200 a second, so that answers are more than 429.
            .args(["--rate-limit", "150/s"])
            // A long poll (`wait`) is answered later than the ten seconds schemathesis waits by itself.
            .args(["--continue-on-failure", "--seed", "20260101", "--request-timeout", "60"])
            .env("QT_READY", &demo.ready)
            .env("SCHEMATHESIS_HOOKS", "signing")
            .env("PYTHONPATH", scratch.path())
            .current_dir(scratch.path()),
    )
}

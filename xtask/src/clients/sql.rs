//! Clients of PostgreSQL against the SQL door: psql, psycopg 3, SQLAlchemy, ADBC (from PyPI, in an environment of its own) and
//! the JDBC driver (Debian's `libpostgresql-jdbc-java`, with a JDK). First plain, on this machine, then by TLS, with a certificate
//! that each of them checks, by password and by the key of a certificate of theirs that is registered at the console.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::Outcome;
use crate::bench::serve;
use crate::python::environment;
use crate::shell::{self, program, read};

/// Where Debian puts the driver.
const DRIVER: &str = "/usr/share/java/postgresql.jar";

/// Tries them all on a demo whose ready file is given.
pub(super) fn run(ready: &Path, scratch: &Path) -> Outcome {
    clients(ready, scratch, &[])
}

/// The same on the folder of that demo, which has stopped: a server whose SQL door has a certificate.
pub(super) fn run_secure(qiantang: &Path, ready: &Path, data: &Path, scratch: &Path) -> Outcome {
    let trust = scratch.join("sqltls");
    certificates(&trust)?;
    let path = |file: &Path| format!("{:?}", file.to_string_lossy());
    let config = trust.join("secure.toml");
    let text = format!(
        "roles = [\"portal\", \"gateway\", \"worker\", \"sql\"]\n[data]\nfolder = {}\n\n[portal]\nlisten = \"127.0.0.1:0\"\n\n\
         [gateway]\nlisten = \"127.0.0.1:0\"\n\n[operation]\nlisten = \"127.0.0.1:0\"\n\n\
         [sql]\nlisten = \"127.0.0.1:0\"\ncertificate_file = \"sql.crt\"\nkey_file = \"sql.key\"\n\
         client_ca_file = \"ca.crt\"\n",
        path(data)
    );
    std::fs::write(&config, text).map_err(|e| format!("{}: {e}", config.display()))?;
    let mut command = program(qiantang);
    command.args(["serve", "--json", "--config"]).arg(&config).current_dir(&trust);
    let log = trust.join("secure.log");
    let (server, told) = serve(&mut command, &log, "sql", Duration::from_secs(120))?;
    let of = |name: &str| told.get(name).and_then(Value::as_str).unwrap_or_default();
    let port = of("sql").rsplit(':').next().unwrap_or_default();
    // The certificate is made out to this name.
    let at = format!("localhost:{port}");
    let more = [at, trust.display().to_string(), of("portal").to_owned()];
    let outcome = clients(ready, scratch, &more);
    let tail = server.tail();
    server.stop()?;
    outcome.map_err(|why| format!("by TLS: {why}\n--- last lines of the server:\n{tail}"))
}

/// An authority, certificates of it for the door and for two clients, and another authority.
fn certificates(trust: &Path) -> Outcome {
    std::fs::create_dir_all(trust).map_err(|e| format!("{}: {e}", trust.display()))?;
    let new = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for (name, text) in
        [("ext", "subjectAltName=DNS:localhost\n"), ("client", "extendedKeyUsage=clientAuth\n")]
    {
        std::fs::write(trust.join(name), text).map_err(|e| e.to_string())?;
    }
    let sign = "x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 2";
    for line in [
        format!("{new} -x509 -keyout ca.key -out ca.crt -days 2 -subj /CN=clients"),
        format!("{new} -x509 -keyout other.key -out other.crt -days 2 -subj /CN=others"),
        format!("{new} -keyout sql.key -out sql.csr -subj /CN=localhost"),
        format!("{sign} -in sql.csr -extfile ext -out sql.crt"),
        format!("{new} -keyout own.key -out own.csr -subj /CN=own"),
        format!("{sign} -in own.csr -extfile client -out own.crt"),
        "pkcs8 -topk8 -nocrypt -in own.key -outform DER -out own.pk8".into(),
        format!("{new} -keyout unknown.key -out unknown.csr -subj /CN=unknown"),
        format!("{sign} -in unknown.csr -extfile client -out unknown.crt"),
    ] {
        read(program("openssl").args(line.split(' ')).current_dir(trust))?;
    }
    Ok(())
}

/// The clients, one after the other; `more` is said to the program in Python (see there).
fn clients(ready: &Path, scratch: &Path, more: &[String]) -> Outcome {
    for (name, package) in [("psql", "postgresql-client"), ("java", "default-jdk-headless")] {
        read(program(name).arg("--version"))
            .map_err(|why| format!("{name} is needed (Debian: {package}): {why}"))?;
    }
    if !Path::new(DRIVER).exists() {
        return Err(format!("{DRIVER} is needed (Debian: libpostgresql-jdbc-java)"));
    }
    let bin = environment(
        "sqlclients",
        "psycopg, sqlalchemy, adbc_driver_postgresql, pyarrow",
        &["psycopg[binary]", "sqlalchemy", "adbc-driver-postgresql", "pyarrow"],
    )?;
    let script = scratch.join("sql.py");
    std::fs::write(&script, include_str!("sql.py")).map_err(|e| e.to_string())?;
    let java = scratch.join("Jdbc.java");
    std::fs::write(&java, include_str!("Jdbc.java")).map_err(|e| e.to_string())?;
    shell::run(program(bin.join("python")).arg(&script).arg(ready).args(more))?;
    // By TLS there is a second way in.
    let ways: &[&str] = if more.is_empty() { &[".sql"] } else { &[".sql", ".key"] };
    ways.iter().try_for_each(|way| {
        let mut given = ready.as_os_str().to_owned();
        given.push(way);
        shell::run(program("java").args(["-cp", DRIVER]).arg(&java).arg(given))
    })
}

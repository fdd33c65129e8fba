//! Clients of PostgreSQL against the SQL door: psql, psycopg 3, SQLAlchemy, ADBC (from PyPI, in an environment of its own) and
//! the JDBC driver (Debian's `libpostgresql-jdbc-java`, with a JDK).

use std::path::Path;

use crate::Outcome;
use crate::python::environment;
use crate::shell::{self, program, read};

/// Where Debian puts the driver.
const DRIVER: &str = "/usr/share/java/postgresql.jar";

/// Tries them all on a demo whose ready file is given.
pub(super) fn run(ready: &Path, scratch: &Path) -> Outcome {
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
    shell::run(program(bin.join("python")).arg(&script).arg(ready))?;
    let mut given = ready.as_os_str().to_owned();
    given.push(".sql");
    shell::run(program("java").args(["-cp", DRIVER]).arg(&java).arg(given))
}

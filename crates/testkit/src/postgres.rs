//! A PostgreSQL cluster of the test's own: copied into a temporary folder, stopped and removed at the end.

#![expect(clippy::disallowed_methods, reason = "tests start the real database server")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::template::{copied, is_root, program, run};

/// What every cluster is made with, after its folder.
const MADE_WITH: [&str; 8] =
    ["-U", "qiantang", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8"];

/// What every server runs with. Nothing here gives up what a server that dies must keep: its files are as they are while
/// the machine lives, synchronised or not.
const RUN_WITH: &str = "-c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c full_page_writes=off -c wal_init_zero=off -c wal_level=logical -c max_replication_slots=20 -c max_wal_senders=20";

/// A running cluster.
#[derive(Debug)]
pub struct Postgres {
    bin: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    options: String,
}

impl Postgres {
    /// Starts a cluster with `wal_level=logical`, a copy of one that was made by `initdb` for all tests: all bear one system
    /// identifier. Panics with the remedy when the server is not installed.
    #[must_use]
    pub fn start() -> Self {
        let bin = find().expect("PostgreSQL is not installed; run `cargo xtask setup`");
        let folder = tempfile::Builder::new().prefix("qt-pg-").tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let this = Self { bin, folder, port, options: format!("-p {port} {RUN_WITH}") };
        if is_root() {
            run(Command::new("chown").arg("-R").arg("postgres").arg(this.folder.path()));
        }
        let key = format!("{} {}", program(&this.bin.join("initdb")), MADE_WITH.join(" "));
        copied("pg", &key, Path::new(&this.data()), |new| this.initdb(new));
        this.begin();
        this
    }

    /// Makes a cluster in a folder that is not there yet.
    fn initdb(&self, new: &Path) {
        std::fs::create_dir(new).unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(new));
        }
        let new = new.to_string_lossy();
        self.tool("initdb", &[&["-D", &new][..], &MADE_WITH[..]].concat());
    }

    /// Makes a new, empty database and answers its URL.
    #[must_use]
    pub fn database(&self, name: &str) -> String {
        self.tool(
            "createdb",
            &["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "qiantang", name],
        );
        format!("postgres://qiantang@127.0.0.1:{}/{name}", self.port)
    }

    /// Runs statements in a database.
    pub fn run_sql(&self, database: &str, sql: &str) {
        self.client("psql", database, &["-q", "-v", "ON_ERROR_STOP=1", "-c", sql]);
    }

    /// Runs one of the server's own clients (`psql`, `pg_recvlogical`) on a database; what it prints is thrown away.
    pub fn client(&self, name: &str, database: &str, args: &[&str]) {
        let port = self.port.to_string();
        let place = ["-h", "127.0.0.1", "-p", &port, "-U", "qiantang", "-d", database];
        self.tool(name, &[&place[..], args].concat());
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Stops the server at once, as when its machine fails, and starts it again.
    pub fn restart(&self) {
        self.tool("pg_ctl", &["-D", &self.data(), "-w", "-m", "immediate", "stop"]);
        self.begin();
    }

    fn begin(&self) {
        let data = self.data();
        let log = format!("{data}.log");
        self.tool("pg_ctl", &["-D", &data, "-w", "-l", &log, "-o", &self.options, "start"]);
    }

    /// Stops the server and starts it again as one that is no test's: what is committed is on disk before it is answered, and there is
    /// room for the connections of several processes.
    pub fn durable(&mut self) {
        self.options = self.options.replace("fsync=off", "fsync=on -c max_connections=250");
        let data = self.data();
        self.tool("pg_ctl", &["-D", &data, "-w", "-m", "fast", "-t", "300", "stop"]);
        let log = format!("{data}.log");
        self.tool("pg_ctl", &["-D", &data, "-w", "-l", &log, "-o", &self.options, "start"]);
    }

    fn data(&self) -> String {
        self.folder.path().join("data").to_string_lossy().into_owned()
    }

    fn tool(&self, name: &str, args: &[&str]) {
        let program = self.bin.join(name);
        let mut command = if is_root() {
            let mut c = Command::new("runuser");
            c.args(["-u", "postgres", "--"]).arg(program);
            c
        } else {
            Command::new(program)
        };
        silent(command.args(args).current_dir("/").stdout(Stdio::null()).stderr(Stdio::null()));
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let data = self.data();
        self.tool("pg_ctl", &["-D", &data, "-m", "immediate", "stop"]);
    }
}

/// Runs a program whose children keep its outputs: nothing is read of them.
fn silent(command: &mut Command) {
    let status = command.status().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(status.success(), "{command:?}: {status}");
}

fn find() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|e| Some(e.ok()?.path().join("bin")))
        .collect();
    versions.sort();
    versions.into_iter().rev().find(|bin| Path::new(bin).join("initdb").exists())
}

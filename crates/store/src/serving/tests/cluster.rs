//! A PostgreSQL of the test's own, in a folder that goes with it, listening on a socket there only.
#![expect(clippy::disallowed_methods, reason = "a test starts the database server it runs against")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) struct Cluster {
    folder: tempfile::TempDir,
    bin: PathBuf,
    url: String,
}

impl Cluster {
    /// Starts a server. PostgreSQL refuses to run as root, so then it runs as its own user.
    pub(crate) fn start() -> Self {
        let bin = newest_bin().expect("no PostgreSQL server found: run `cargo xtask setup`");
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        let data = folder.path().join("data");
        if root() {
            assert!(
                Command::new("chown")
                    .arg("postgres")
                    .arg(folder.path())
                    .status()
                    .unwrap()
                    .success()
            );
        }
        let init =
            ["-A", "trust", "-U", "qiantang", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-D"];
        run(&bin.join("initdb"), &[&init[..], &[data.to_str().unwrap()]].concat());
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories={} -c fsync=off -c max_connections=40",
            folder.path().display()
        );
        let log = folder.path().join("log");
        run(
            &bin.join("pg_ctl"),
            &[
                "-D",
                data.to_str().unwrap(),
                "-l",
                log.to_str().unwrap(),
                "-o",
                &options,
                "-w",
                "start",
            ],
        );
        let url =
            format!("postgres://qiantang@localhost/postgres?host={}", folder.path().display());
        Self { folder, bin, url }
    }
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.folder.path().join("data");
        run(
            &self.bin.join("pg_ctl"),
            &["-D", data.to_str().unwrap(), "-m", "immediate", "-w", "stop"],
        );
    }
}

fn newest_bin() -> Option<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|e| Some(e.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    all.sort();
    all.pop()
}

fn root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout.starts_with(b"0\n")
}

fn run(program: &Path, arguments: &[&str]) {
    let mut command = if root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    let status = command
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .status();
    assert!(status.is_ok_and(|s| s.success()), "{} {arguments:?} failed", program.display());
}

//! A MariaDB server of the test's own: made in a temporary folder, stopped and removed at the end.

#![expect(clippy::disallowed_methods, reason = "tests start the real database server")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running server with a database `d` and an account `reader` (password [`MariaDb::PASSWORD`]) that may read it.
#[derive(Debug)]
pub struct MariaDb {
    child: Child,
    folder: tempfile::TempDir,
    pub port: u16,
}

impl MariaDb {
    /// Password of the account.
    pub const PASSWORD: &'static str = "s3cret-word";

    /// Makes and starts a server. Panics with the remedy when it is not installed.
    #[must_use]
    pub fn start() -> Self {
        let server = found(&["/usr/sbin/mariadbd", "/usr/sbin/mysqld"]);
        let install = found(&["/usr/bin/mariadb-install-db", "/usr/bin/mysql_install_db"]);
        let folder = tempfile::Builder::new().prefix("qt-my-").tempdir().unwrap();
        let data = folder.path().join("data");
        if root() {
            let status = Command::new("chown").arg("mysql").arg(folder.path()).status().unwrap();
            assert!(status.success(), "chown mysql");
        }
        let user: &[&str] = if root() { &["--user=mysql"] } else { &[] };
        let made = Command::new(&install)
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
            .args(user)
            .arg(format!("--datadir={}", data.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success(), "{}: {made}", install.display());
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(&server)
            .arg("--no-defaults")
            .args(user)
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--socket={}", folder.path().join("s.sock").display()))
            .arg(format!("--port={port}"))
            .args([
                "--bind-address=127.0.0.1",
                "--character-set-server=utf8mb4",
                "--innodb-flush-log-at-trx-commit=0",
                "--skip-log-bin",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let this = Self { child, folder, port };
        let begun = Instant::now();
        while !this
            .ask("select 1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
        {
            assert!(begun.elapsed() < Duration::from_secs(60), "MariaDB did not start");
            std::thread::yield_now();
        }
        let password = Self::PASSWORD;
        this.run_sql(&format!(
            "create database d character set utf8mb4;
             create user reader@'127.0.0.1' identified by '{password}'; grant select on d.* to reader@'127.0.0.1';
             create user reader@localhost identified by '{password}'; grant select on d.* to reader@localhost;"
        ));
        this
    }

    /// Runs statements as root.
    pub fn run_sql(&self, sql: &str) {
        let status = self.ask(sql).stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), "{sql}: {status}");
    }

    fn ask(&self, sql: &str) -> Command {
        let mut command = Command::new(found(&["/usr/bin/mariadb", "/usr/bin/mysql"]));
        command
            .args(["--no-defaults", "--default-character-set=utf8mb4", "-uroot"])
            .arg(format!("--socket={}", self.folder.path().join("s.sock").display()))
            .args(["-e", sql]);
        command
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn found(names: &[&str]) -> PathBuf {
    let there = names.iter().find(|n| Path::new(n).exists());
    PathBuf::from(
        there.unwrap_or_else(|| panic!("{names:?} is not installed; run `cargo xtask setup`")),
    )
}

fn root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout.starts_with(b"0"))
}

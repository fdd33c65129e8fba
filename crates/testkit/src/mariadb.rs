//! A MariaDB of the test's own with a binary log of whole rows, copied into a temporary folder; stopped and removed at the end.

#![expect(clippy::disallowed_methods, reason = "tests start the real database server")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use parking_lot::Mutex;

use crate::template::{copied, is_root, program, run};

/// What every server is made with. Its log of what is to be done again is a third of the usual one: it is a part of each copy.
const MADE_WITH: [&str; 4] =
    ["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", LOG_SIZE];
const LOG_SIZE: &str = "--innodb-log-file-size=32M";

/// A running server with databases `d` and `source` and an account `reader` (password [`MariaDb::PASSWORD`]) that may read
/// the former; `root` has no password.
#[derive(Debug)]
pub struct MariaDb {
    folder: tempfile::TempDir,
    pub port: u16,
    /// Its number among servers, and what its logs are called.
    number: u32,
    log: &'static str,
    child: Mutex<Option<Child>>,
}

impl MariaDb {
    /// Password of the account.
    pub const PASSWORD: &'static str = "s3cret-word";

    /// Makes and starts a server. Panics with the remedy when it is not installed.
    #[must_use]
    pub fn start() -> Self {
        let this = Self::empty(7, "log");
        let password = Self::PASSWORD;
        this.run_sql(&format!(
            "create database d character set utf8mb4; create database source character set utf8mb4;
             create user reader@'127.0.0.1' identified by '{password}'; grant select on d.* to reader@'127.0.0.1';
             create user reader@localhost identified by '{password}'; grant select on d.* to reader@localhost;"
        ));
        this
    }

    /// A read-only replica of this server, by GTID, with other logs and from the first transaction on.
    #[must_use]
    pub fn replica(&self) -> Self {
        let replica = Self::empty(8, "mirror-log");
        replica.run_sql(&format!(
            "set global read_only = on;
             change master to master_host = '127.0.0.1', master_port = {}, master_user = 'root', master_use_gtid = slave_pos,
               master_connect_retry = 1; start slave",
            self.port
        ));
        replica
    }

    /// Makes a replica a server of its own that may be written to.
    pub fn promote(&self) {
        self.run_sql("stop slave; reset slave all; set global read_only = off");
    }

    fn empty(number: u32, log: &'static str) -> Self {
        let install = find(&["/usr/bin/mariadb-install-db", "/usr/bin/mysql_install_db"]);
        let folder = tempfile::Builder::new().prefix("qt-my-").tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let this = Self { folder, port, number, log, child: Mutex::new(None) };
        if is_root() {
            run(Command::new("chown").arg("-R").arg("mysql").arg(this.folder.path()));
        }
        let key = format!("{} {}", program(&install), MADE_WITH.join(" "));
        copied("my", &key, &this.data(), |new| {
            let mut make = Command::new(&install);
            make.args(MADE_WITH).args(as_mysql()).arg(format!("--datadir={}", new.display()));
            run(&mut make);
        });
        this.up();
        this
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn socket(&self) -> String {
        format!("--socket={}", self.folder.path().join("s.sock").display())
    }

    fn up(&self) {
        let server = find(&["/usr/sbin/mariadbd", "/usr/sbin/mysqld"]);
        let child = Command::new(server)
            .arg("--no-defaults")
            .args(as_mysql())
            .arg(format!("--datadir={}", self.data().display()))
            .arg(self.socket())
            .arg(format!("--port={}", self.port))
            .arg(format!("--server-id={}", self.number))
            .arg(format!("--log-bin={}", self.log))
            .args([
                "--bind-address=127.0.0.1",
                "--character-set-server=utf8mb4",
                "--log-slave-updates",
                "--binlog-format=ROW",
                LOG_SIZE,
                // A commit is in the files when it is told, so that a server that is killed keeps it; only a machine would not.
                "--innodb-flush-log-at-trx-commit=2",
                "--sync-binlog=0",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        *self.child.lock() = Some(child);
        for _ in 0..2_400 {
            if self.client("SELECT 1").status().is_ok_and(|s| s.success()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("MariaDB did not start");
    }

    fn client(&self, sql: &str) -> Command {
        let mut client = Command::new(find(&["/usr/bin/mariadb", "/usr/bin/mysql"]));
        client
            .args(["--no-defaults", "--default-character-set=utf8mb4", "-uroot", "-N", "-B"])
            .arg(self.socket())
            .args(["-e", sql])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        client
    }

    /// Runs statements.
    pub fn run_sql(&self, sql: &str) {
        let out = self.client(sql).stderr(Stdio::piped()).output().unwrap();
        assert!(out.status.success(), "{sql}: {}", String::from_utf8_lossy(&out.stderr));
    }

    /// Stops the server at once, as when its machine fails.
    pub fn down(&self) {
        if let Some(mut child) = self.child.lock().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops the server at once, as when its machine fails, and starts it again.
    pub fn restart(&self) {
        self.down();
        self.up();
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        self.down();
    }
}

fn as_mysql() -> &'static [&'static str] {
    if is_root() { &["--user=mysql"] } else { &[] }
}

fn find(candidates: &[&str]) -> PathBuf {
    candidates
        .iter()
        .map(Path::new)
        .find(|p| p.exists())
        .expect("MariaDB is not installed; run `cargo xtask setup`")
        .to_owned()
}

//! Throw-away PostgreSQL and MariaDB servers for the tests: on Unix sockets and free loopback ports, gone afterwards.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::Outcome;
use crate::shell::{Background, Scratch, env, find, free_port, is_root, program, read};

/// The running servers and where tests find them.
pub(crate) struct Databases {
    /// `(environment variable, URL)` for the test programs.
    pub(crate) env: Vec<(&'static str, String)>,
    // Dropped in this order: servers first, then their folders.
    servers: Vec<Background>,
    _scratch: Vec<Scratch>,
}

impl Databases {
    /// Starts what the environment does not already name.
    pub(crate) fn start() -> Outcome<Self> {
        let mut all = Self { env: Vec::new(), servers: Vec::new(), _scratch: Vec::new() };
        if env("QIANTANG_TEST_POSTGRES").is_none() {
            all.postgres()?;
        }
        if env("QIANTANG_TEST_MYSQL").is_none() {
            all.mariadb()?;
        }
        Ok(all)
    }

    fn postgres(&mut self) -> Outcome {
        let scratch = Scratch::new("pg")?;
        let data = scratch.path().join("data");
        let user = owner_of(scratch.path(), "postgres")?;
        let initdb = tool("initdb")?;
        read(
            as_user(user, &initdb)
                .args([
                    "-A",
                    "trust",
                    "-U",
                    "postgres",
                    "-E",
                    "UTF8",
                    "--locale=C.UTF-8",
                    "--no-sync",
                    "-D",
                ])
                .arg(&data),
        )?;
        let port = free_port()?;
        let mut server = Background::start(
            as_user(user, &tool("postgres")?)
                .arg("-D")
                .arg(&data)
                .arg("-k")
                .arg(scratch.path())
                .args(["-h", "127.0.0.1", "-p", &port.to_string()])
                // Nothing of it must last; logical changes may be read.
                .args([
                    "-c",
                    "fsync=off",
                    "-c",
                    "synchronous_commit=off",
                    "-c",
                    "full_page_writes=off",
                ])
                .args(["-c", "max_connections=200", "-c", "wal_level=logical"]),
            &scratch.path().join("log"),
        )?;
        let probe = tool("pg_isready")?;
        server.wait_until(Duration::from_secs(60), || {
            read(program(&probe).args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()])).is_ok()
        })?;
        self.env.push((
            "QIANTANG_TEST_POSTGRES",
            format!("postgres://postgres@127.0.0.1:{port}/postgres"),
        ));
        self.servers.push(server);
        self._scratch.push(scratch);
        Ok(())
    }

    fn mariadb(&mut self) -> Outcome {
        let scratch = Scratch::new("my")?;
        let data = scratch.path().join("data");
        let user = owner_of(scratch.path(), "mysql")?;
        let install = find("mariadb-install-db")
            .ok_or("`mariadb-install-db` is missing: cargo xtask setup")?;
        read(
            as_user(user, &install)
                .args([
                    "--no-defaults",
                    "--auth-root-authentication-method=normal",
                    "--skip-test-db",
                ])
                .arg(format!("--datadir={}", data.display())),
        )?;
        let port = free_port()?;
        let mariadbd = find("mariadbd").ok_or("`mariadbd` is missing: cargo xtask setup")?;
        let socket = scratch.path().join("sock");
        let mut server = Background::start(
            as_user(user, &mariadbd)
                .args([
                    "--no-defaults",
                    "--bind-address=127.0.0.1",
                    "--character-set-server=utf8mb4",
                ])
                .args(["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M"])
                .args(["--log-bin=binlog", "--binlog-format=ROW", "--server-id=1"])
                .arg(format!("--port={port}"))
                .arg(format!("--datadir={}", data.display()))
                .arg(format!("--socket={}", socket.display()))
                .arg(format!("--pid-file={}", data.join("pid").display())),
            &scratch.path().join("log"),
        )?;
        let client =
            find("mariadb").ok_or("`mariadb` (the client) is missing: cargo xtask setup")?;
        let statement = "CREATE DATABASE test; CREATE USER 'test'@'127.0.0.1' IDENTIFIED BY 'test'; GRANT ALL ON *.* TO 'test'@'127.0.0.1'";
        server.wait_until(Duration::from_secs(60), || {
            read(
                program(&client)
                    .args(["--no-defaults", "-u", "root", "-e", statement])
                    .arg(format!("--socket={}", socket.display())),
            )
            .is_ok()
        })?;
        self.env.push(("QIANTANG_TEST_MYSQL", format!("mysql://test:test@127.0.0.1:{port}/test")));
        self.servers.push(server);
        self._scratch.push(scratch);
        Ok(())
    }
}

/// A PostgreSQL program: on `PATH`, or in the versioned folder Debian keeps it in (the newest).
pub(crate) fn postgres_tool(name: &str) -> Option<PathBuf> {
    find(name).or_else(|| {
        let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
            .ok()?
            .flatten()
            .map(|e| e.path().join("bin").join(name))
            .filter(|p| p.is_file())
            .collect();
        found.sort();
        found.pop()
    })
}

fn tool(name: &str) -> Outcome<PathBuf> {
    postgres_tool(name)
        .ok_or_else(|| format!("PostgreSQL's `{name}` is missing: cargo xtask setup"))
}

/// Database servers refuse to run as root: then the folder is given to the package's own user.
fn owner_of(folder: &Path, user: &'static str) -> Outcome<Option<&'static str>> {
    if !is_root() {
        return Ok(None);
    }
    read(program("chown").arg(user).arg(folder))?;
    Ok(Some(user))
}

fn as_user(user: Option<&str>, path: &Path) -> Command {
    let Some(user) = user else { return program(path) };
    let mut command = program("setpriv");
    command.args([&format!("--reuid={user}"), "--clear-groups", "--"]).arg(path);
    // A folder that the user may enter: the caller's may be closed to it.
    command.current_dir("/").env("HOME", "/");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_servers_start_answer_and_go() {
        if postgres_tool("initdb").is_none() || find("mariadbd").is_none() {
            return; // `cargo xtask test` installs them before it runs this.
        }
        let all = Databases::start().unwrap();
        for (name, url) in &all.env {
            if *name == "QIANTANG_TEST_POSTGRES" {
                let psql = postgres_tool("psql").unwrap();
                let answer = read(program(psql).args([url, "-tAc", "select 6*7"])).unwrap();
                assert_eq!(answer.trim(), "42");
            } else {
                let port = url.split([':', '/']).nth_back(1).unwrap();
                let sql = "select 6*7";
                let answer = read(program("mariadb").args([
                    "--no-defaults",
                    "-h127.0.0.1",
                    "-utest",
                    "-ptest",
                    "-N",
                    "-P",
                    port,
                    "-e",
                    sql,
                ]));
                assert_eq!(answer.unwrap().trim(), "42");
            }
        }
        let folders: Vec<PathBuf> = all._scratch.iter().map(|s| s.path().to_path_buf()).collect();
        drop(all);
        assert!(folders.iter().all(|f| !f.exists()), "{folders:?} should be gone");
    }
}

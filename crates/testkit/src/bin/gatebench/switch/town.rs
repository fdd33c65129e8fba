//! The town: a PostgreSQL of its own with the demo province and its crowd in it, and a process for each role on it.

#![expect(clippy::disallowed_methods, reason = "a measurement starts the servers it measures")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::Postgres;

use crate::Outcome;
use crate::enrol::Ready;

/// A process for each, beside each other.
const ROLES: [(&str, &str); 5] = [
    ("gateway-1", "gateway"),
    ("gateway-2", "gateway"),
    ("portal", "portal"),
    ("sql", "sql"),
    ("worker", "worker"),
];
/// How long the province may take to be filled, a process to start, and to stop.
const FILLING: Duration = Duration::from_secs(3600);
const STARTING: Duration = Duration::from_secs(300);
const STOPPING: Duration = Duration::from_secs(60);
/// Lines of a log that are shown.
const SHOWN: usize = 15;

/// A running town. The processes end before their store.
pub(crate) struct Town {
    /// `http://host:port` of each.
    pub(crate) gateways: Vec<String>,
    /// `host:port` of the SQL door.
    pub(crate) sql: String,
    /// As the demo told it, at the portal that runs now.
    pub(crate) ready: Ready,
    servers: Vec<Server>,
    _cluster: Postgres,
}

impl Town {
    /// Fills a province in the folder and starts its processes.
    pub(crate) async fn open(qiantang: &Path, dir: &Path) -> Outcome<Self> {
        // Paths in configuration files are relative to these.
        let dir = dir.canonicalize()?;
        let mut cluster = Postgres::start();
        let url = cluster.database("switch");
        println!(
            "filling a province with 2,000 applications and 3,912 interfaces; this takes minutes"
        );
        let begun = Instant::now();
        let ready = filled(qiantang, &dir, &url).await?;
        println!("filled in {} s", begun.elapsed().as_secs());
        // From here on as it is run: what is committed is on disk.
        cluster.durable();
        let mut town = Self {
            gateways: Vec::new(),
            sql: String::new(),
            ready,
            servers: Vec::new(),
            _cluster: cluster,
        };
        for (name, role) in ROLES {
            let (server, told) = started(qiantang, &dir, &url, name, role).await?;
            town.servers.push(server);
            let address = |door: &str| {
                let told = told.get(door).and_then(Value::as_str);
                let told = told.map(|at| at.trim_end_matches('/').to_owned());
                told.ok_or_else(|| format!("{name} tells no address of its {door}"))
            };
            match role {
                "gateway" => town.gateways.push(address("gateway")?),
                "portal" => town.ready.portal = address("portal")?,
                "sql" => town.sql = address("sql")?,
                _ => {}
            }
        }
        Ok(town)
    }

    /// The last lines of every process's log.
    pub(crate) fn tails(&self) -> String {
        self.servers.iter().map(|s| format!("--- {}:\n{}\n", s.name, s.tail())).collect()
    }
}

/// The province, made by a demo on the store, which stops then.
async fn filled(qiantang: &Path, dir: &Path, url: &str) -> Outcome<Ready> {
    let file = dir.join("ready.json");
    let mut command = Command::new(qiantang);
    command.args(["demo", "--crowd", "--listen", "127.0.0.1:0", "--store", url, "--data"]);
    command.arg(dir.join("data")).arg("--ready").arg(&file);
    let mut demo = Server::start("demo", command.current_dir(dir), dir)?;
    let text = demo.until(FILLING, || std::fs::read_to_string(&file).ok()).await?;
    demo.stop()?;
    Ok(serde_json::from_str(&text)?)
}

/// A process of one role, and the addresses it tells.
async fn started(
    qiantang: &Path,
    dir: &Path,
    url: &str,
    name: &str,
    role: &str,
) -> Outcome<(Server, Value)> {
    let config = dir.join(format!("{name}.toml"));
    let doors = ["portal", "gateway", "sql", "operation"];
    let listen: String = doors.map(|d| format!("[{d}]\nlisten = \"127.0.0.1:0\"\n")).concat();
    std::fs::write(
        &config,
        format!(
            "roles = [\"{role}\"]\n[data]\nfolder = \"data\"\n[store]\nurl = \"{url}\"\n[log]\nlevel = \"warn\"\n{listen}"
        ),
    )?;
    let mut command = Command::new(qiantang);
    command.args(["serve", "--json", "--config"]).arg(&config).current_dir(dir);
    let mut server = Server::start(name, &mut command, dir)?;
    let log = server.log.clone();
    let told = server.until(STARTING, || {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        let mut lines = said.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok());
        lines.find(|told| told.get("roles").is_some())
    });
    let told = told.await?;
    Ok((server, told))
}

/// A process, stopped when dropped.
struct Server {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Server {
    /// Starts with both outputs written to a log in the folder.
    fn start(name: &str, command: &mut Command, dir: &Path) -> Outcome<Self> {
        let log = dir.join(format!("{name}.log"));
        let out = File::create(&log)?;
        let err = out.try_clone()?;
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        let child = child.map_err(|e| format!("{name} could not be started: {e}"))?;
        Ok(Self { child, name: name.to_owned(), log })
    }

    /// Waits until there is something to see.
    async fn until<T>(
        &mut self,
        patience: Duration,
        mut look: impl FnMut() -> Option<T>,
    ) -> Outcome<T> {
        let begun = Instant::now();
        loop {
            if let Some(seen) = look() {
                return Ok(seen);
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("{} ended with {status}:\n{}", self.name, self.tail()).into());
            }
            if begun.elapsed() > patience {
                return Err(format!("{} was not ready in time:\n{}", self.name, self.tail()).into());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(SHOWN);
        lines.into_iter().skip(from).collect::<Vec<_>>().join("\n")
    }

    /// Stops it as a supervisor does; fails unless it ends by that.
    fn stop(mut self) -> Outcome {
        match self.end() {
            true => Ok(()),
            false => Err(format!("{} did not stop:\n{}", self.name, self.tail()).into()),
        }
    }

    /// Asks it to end, and makes it; whether asking was enough.
    fn end(&mut self) -> bool {
        let over = |child: &mut Child| matches!(child.try_wait(), Ok(Some(_)));
        if over(&mut self.child) {
            return true;
        }
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let begun = Instant::now();
        while asked.is_ok() && begun.elapsed() < STOPPING {
            if over(&mut self.child) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

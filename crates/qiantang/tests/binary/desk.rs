//! An operator's desk: runs the binary, starts servers of it, and makes the first organisations and people.

#![expect(clippy::disallowed_methods, reason = "tests start the built binary")]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

pub(crate) const PASSWORD: &str = "Rehearsal-2026!";

/// A temporary folder with a way to run the binary on one store.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
    /// Arguments that say where the store is.
    place: Vec<String>,
}

impl Desk {
    /// On SQLite in a new data folder.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "[data]\nfolder = \"data\"\n{}",
            listening(&["portal", "gateway", "operation"])
        );
        std::fs::write(folder.path().join("qiantang.toml"), config).unwrap();
        let place = vec!["--config".into(), path_text(&folder.path().join("qiantang.toml"))];
        Self { folder, place }
    }

    /// With the configuration file `name` for everything.
    pub(crate) fn with_config(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("qiantang.toml");
        std::fs::write(&file, config).unwrap();
        let place = vec!["--config".into(), path_text(&file)];
        Self { folder, place }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Runs a command on the store.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        binary().args(args).args(&self.place).stdin(Stdio::null()).output().unwrap()
    }

    /// The command with what says where the store is.
    pub(crate) fn place_of<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.args(&self.place)
    }

    /// Runs a command that must go well; its standard output.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(
            output.status.success(),
            "`qiantang {}` ended with {}:\n{}{}",
            args.join(" "),
            output.status,
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// Lines of JSON that a command answers.
    pub(crate) fn json(&self, args: &[&str]) -> Vec<Value> {
        let with_json: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        self.ok(&with_json).lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    }

    /// An authority and a provider with one person each (`authority`, `provider`).
    pub(crate) fn settle_in(&self) {
        let password = path_text(&self.write("pw.txt", PASSWORD));
        for (n, id, name, authority) in
            [(1, "authority", "省大数据局", true), (2, "market", "省市场监管厅", false)]
        {
            let uscc = credit_code(n);
            let mut args = vec![
                "org", "create", "--id", id, "--uscc", &uscc, "--name", name, "--region", "330000",
            ];
            if authority {
                args.push("--authority");
            }
            self.ok(&args);
        }
        for (name, org, role) in [
            ("authority", "authority", "authority"),
            ("auditor", "authority", "auditor"),
            ("provider", "market", "provider"),
        ] {
            self.ok(&[
                "account",
                "create",
                "--name",
                name,
                "--org",
                org,
                "--role",
                role,
                "--password-file",
                &password,
            ]);
        }
    }

    /// Starts a server and waits until it says where it listens.
    pub(crate) fn serve(&self) -> Server {
        Server::start(&self.place)
    }
}

/// A running `qiantang serve`; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) told: Value,
}

impl Server {
    pub(crate) fn start(place: &[String]) -> Self {
        let mut child = binary()
            .arg("serve")
            .args(place)
            .arg("--json")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Ok(told) = serde_json::from_str(&line) else {
            let _ = child.kill();
            let mut complaint = String::new();
            child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
            panic!(
                "the server did not start; mend what it says and run the test again:\n{complaint}"
            );
        };
        // Nobody reads the log: it must not fill the pipe.
        let mut log = child.stderr.take().unwrap();
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { child, told }
    }

    pub(crate) fn url(&self, door: &str) -> String {
        self.told[door].as_str().unwrap().to_owned()
    }

    /// Stops it as a supervisor does and waits.
    pub(crate) fn stop(mut self) {
        let done = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(done.success());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn command(program: &Path) -> Command {
    Command::new(program)
}

pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qiantang"));
    command.env_remove("QIANTANG_MASTER_KEY");
    command
}

/// `listen` keys on free ports.
pub(crate) fn listening(doors: &[&str]) -> String {
    doors.iter().map(|d| format!("[{d}]\nlisten = \"127.0.0.1:0\"\n")).collect()
}

pub(crate) fn path_text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A synthetic credit code with valid check digits.
pub(crate) fn credit_code(n: u32) -> String {
    let body = format!("{:08}", 30_000_000 + n);
    let head = format!("11330000{body}{}", model::ident::org_code_check(&body).unwrap());
    format!("{head}{}", model::ident::uscc_check(&head).unwrap())
}

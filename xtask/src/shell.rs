//! Starting programs: the only file that does, so that each start says what it runs and each failure names it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Outcome;

/// Root of the work tree that `cargo xtask` was called in. Clones share a target directory, so that the program may have been
/// built from another one: what cargo says at the start counts, not what it said at the build.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(
        env("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into()),
    );
    here.parent().map(Path::to_path_buf).unwrap_or(here)
}

/// Folder of the npm package (front-end parts and browser tests).
pub(crate) fn web() -> PathBuf {
    root().join("crates/portal/web")
}

/// An environment variable that is set and not empty.
#[expect(clippy::disallowed_methods, reason = "a tool for the terminal reads its environment here")]
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

/// `$XDG_CACHE_HOME/qiantang`, by default under `~/.cache`: what outlives a clone.
pub(crate) fn cache() -> PathBuf {
    env("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env("HOME").map(|h| PathBuf::from(h).join(".cache")))
        .unwrap_or_else(|| root().join("target"))
        .join("qiantang")
}

/// The target directory of everything xtask builds: `CARGO_TARGET_DIR`, or one that outlives the clone.
pub(crate) fn target() -> PathBuf {
    env("CARGO_TARGET_DIR").map_or_else(|| cache().join("target"), PathBuf::from)
}

/// A program to start, with the shared target directory in its environment.
#[expect(clippy::disallowed_methods, reason = "xtask starts programs, and here alone")]
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.env("CARGO_TARGET_DIR", target());
    command
}

/// `cargo` with the arguments, in the root of the work tree. What `cargo run` told xtask about xtask is taken out of its
/// environment: build scripts that look at it (ring's does) would make a build from here and one from a shell rebuild
/// each other's engines, minutes each time.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = program(env("CARGO").unwrap_or_else(|| "cargo".into()));
    for name in names_of_own_package() {
        command.env_remove(name);
    }
    command.args(args).current_dir(root());
    command
}

/// `cargo` whose compiler finds fault with our own crates as clippy does, as with errors, while it compiles them. What is tested is built
/// by this: checking first and compiling then takes every crate twice, the engines included, and a machine on which nothing was built yet
/// does not get through both in the ninety minutes of `.ci/run`. It is how `cargo clippy` starts `cargo check`; what the driver leaves
/// out, optimising before code is made, nobody misses in tests.
pub(crate) fn linting_cargo(args: &[&str]) -> Outcome<Command> {
    const DRIVER: &str = "clippy-driver";
    if find(DRIVER).is_none() {
        return Err(format!("`{DRIVER}` is missing; run `rustup component add clippy`"));
    }
    let mut command = cargo(args);
    command
        .env("RUSTC_WORKSPACE_WRAPPER", DRIVER)
        .env("CLIPPY_ARGS", "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__");
    Ok(command)
}

fn names_of_own_package() -> Vec<std::ffi::OsString> {
    let own = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_NAME", "CARGO_CRATE_NAME"];
    std::env::vars_os()
        .map(|(name, _)| name)
        .filter(|name| own.iter().any(|o| name.to_string_lossy().starts_with(o)))
        .collect()
}

/// The command as a person would type it.
pub(crate) fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program()).to_string_lossy().into_owned();
    let args = command.get_args().map(|a| a.to_string_lossy().into_owned());
    std::iter::once(name).chain(args).collect::<Vec<_>>().join(" ")
}

/// Runs to the end with the terminal's own output; fails when the program does.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let shown = line(command);
    let status = command.status().map_err(|e| format!("`{shown}` could not be started: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{shown}` ended with {status}")) }
}

/// Runs quietly and gives what it printed; on failure what it complained about.
pub(crate) fn read(command: &mut Command) -> Outcome<String> {
    let shown = line(command);
    let out = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("`{shown}` could not be started: {e}"))?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    Err(format!("`{shown}` ended with {}:\n{}", out.status, String::from_utf8_lossy(&out.stderr)))
}

/// Runs with its error output passed on line by line, and keeps the last line that contains `mark`.
pub(crate) fn run_keeping(command: &mut Command, mark: &str) -> Outcome<Option<String>> {
    let shown = line(command);
    let mut child = command
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("`{shown}` could not be started: {e}"))?;
    let mut kept = None;
    if let Some(stderr) = child.stderr.take() {
        for text in BufReader::new(stderr).lines().map_while(Result::ok) {
            eprintln!("{text}");
            if text.contains(mark) {
                kept = Some(text.trim().to_owned());
            }
        }
    }
    let status = child.wait().map_err(|e| format!("`{shown}`: {e}"))?;
    if status.success() {
        return Ok(kept);
    }
    Err(format!(
        "`{shown}` ended with {status}{}",
        kept.map(|k| format!("\n  {k}")).unwrap_or_default()
    ))
}

/// Path of a program on `PATH` or in the folders Debian keeps off a user's `PATH`.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = env("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|p| p.is_file())
}

/// Whether we are root (decides between installing and telling what to install).
pub(crate) fn is_root() -> bool {
    read(program("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

/// A port of 127.0.0.1 that nobody listened on a moment ago.
pub(crate) fn free_port() -> Outcome<u16> {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .map(|a| a.port())
        .map_err(|e| format!("no free port on 127.0.0.1: {e}"))
}

/// A program in the background. It is asked to stop (SIGTERM), then made to, when dropped.
pub(crate) struct Background {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Background {
    /// Starts with both outputs written to `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Outcome<Self> {
        let name = line(command);
        let open = || std::fs::File::create(log).map_err(|e| format!("{}: {e}", log.display()));
        let out = open()?;
        let err = out.try_clone().map_err(|e| format!("{}: {e}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(|e| format!("`{name}` could not be started: {e}"))?;
        Ok(Self { child, name, log: log.to_path_buf() })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `ready` says yes; fails when the program ends before, or after `patience`.
    pub(crate) fn wait_until(
        &mut self,
        patience: Duration,
        mut ready: impl FnMut() -> bool,
    ) -> Outcome {
        let start = Instant::now();
        while !ready() {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("`{}` ended with {status}:\n{}", self.name, self.tail()));
            }
            if start.elapsed() > patience {
                let seconds = patience.as_secs();
                return Err(format!(
                    "`{}` was not ready after {seconds} s:\n{}",
                    self.name,
                    self.tail()
                ));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Waits for its end, calling `look` with its id meanwhile; fails unless it ended well.
    pub(crate) fn finish(mut self, mut look: impl FnMut(u32)) -> Outcome {
        loop {
            look(self.child.id());
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => {
                    return Err(format!("`{}` ended with {status}:\n{}", self.name, self.tail()));
                }
                Ok(None) => std::thread::sleep(Duration::from_millis(20)),
                Err(e) => return Err(format!("`{}`: {e}", self.name)),
            }
        }
    }

    /// The last lines it wrote.
    pub(crate) fn tail(&self) -> String {
        let mut text = String::new();
        if let Ok(mut file) = std::fs::File::open(&self.log) {
            let mut bytes = Vec::new();
            let _ = file.read_to_end(&mut bytes);
            text = String::from_utf8_lossy(&bytes).into_owned();
        }
        let lines: Vec<&str> = text.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(30)).copied().collect::<Vec<_>>().join("\n")
    }

    /// Stops it gracefully and says whether it ended well.
    pub(crate) fn stop(mut self) -> Outcome {
        self.end();
        match self.child.try_wait() {
            Ok(Some(status)) if status.success() || status.code().is_none() => Ok(()),
            Ok(Some(status)) => {
                Err(format!("`{}` ended with {status}:\n{}", self.name, self.tail()))
            }
            _ => Err(format!("`{}` did not stop within 20 s", self.name)),
        }
    }

    fn end(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let _ = read(program("kill").args(["-TERM", &self.child.id().to_string()]));
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(20) {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.end();
    }
}

/// A new empty folder for the run, removed when dropped. Its path is short: Unix sockets stand in it.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Outcome<Self> {
        Self::within(&std::env::temp_dir(), name)
    }

    /// The same in another folder than the temporary one.
    pub(crate) fn within(folder: &Path, name: &str) -> Outcome<Self> {
        let path = folder.join(format!("qt-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

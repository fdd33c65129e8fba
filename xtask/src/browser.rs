//! Browser tests: a demo of the present build in a folder of its own, walked by Playwright with Debian's Chromium.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::Outcome;
use crate::shell::{self, Background, Scratch, find, linting_cargo, program, run};

/// Builds, starts, walks, stops.
pub(crate) fn run_tests() -> Outcome<Option<String>> {
    let binary = build()?;
    let scratch = Scratch::new("demo")?;
    let demo = Demo::start(&binary, scratch.path(), &[])?;
    let chromium = find("chromium").ok_or("`chromium` is missing: cargo xtask setup")?;
    let walked = run(program("npx")
        .args(["--no-install", "playwright", "test"])
        .current_dir(shell::web())
        .env("QT_READY", &demo.ready)
        .env("QT_BINARY", &binary)
        .env("QT_DATA", &demo.data)
        .env("QT_CHROMIUM", chromium));
    if walked.is_err() {
        eprintln!("--- last lines of the demo:\n{}", demo.server.tail());
    }
    walked?;
    demo.server.stop()?;
    Ok(None)
}

/// The platform as it is tested. With `--workspace` features are resolved as for the tests before: nothing is built a second time.
pub(crate) fn build() -> Outcome<PathBuf> {
    run(&mut linting_cargo(&["build", "--locked", "--workspace", "--bin", "qiantang"])?)?;
    Ok(shell::target().join("debug/qiantang"))
}

/// A running `qiantang demo` on free ports.
pub(crate) struct Demo {
    pub(crate) server: Background,
    /// The file that names addresses, accounts and keys.
    pub(crate) ready: PathBuf,
    pub(crate) data: PathBuf,
}

impl Demo {
    /// Starts and waits until all of it answers.
    pub(crate) fn start(binary: &Path, folder: &Path, more: &[&str]) -> Outcome<Self> {
        let (ready, data) = (folder.join("ready.json"), folder.join("data"));
        let mut server = Background::start(
            program(binary)
                .arg("demo")
                .arg("--data")
                .arg(&data)
                // Port 0: both doors take a free one and tell it in the ready file.
                .args(["--listen", "127.0.0.1:0"])
                .arg("--ready")
                .arg(&ready)
                .args(more)
                .current_dir(folder),
            &folder.join("demo.log"),
        )?;
        server.wait_until(Duration::from_secs(900), || ready.is_file())?;
        Ok(Self { server, ready, data })
    }

    /// Address of the gateway, as the ready file names it.
    pub(crate) fn gateway(&self) -> Outcome<String> {
        let text = std::fs::read_to_string(&self.ready).map_err(|e| e.to_string())?;
        let json: serde_json::Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
        let url = json.get("gateway").and_then(serde_json::Value::as_str);
        url.map(str::to_owned).ok_or_else(|| "the ready file names no gateway".into())
    }
}

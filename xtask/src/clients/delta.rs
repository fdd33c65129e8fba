//! The public client of Delta Sharing (PyPI, in an environment of its own) against a demo.

use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::browser::Demo;
use crate::shell::{self, cache, program, read};

/// Lists, loads, follows changes, is refused.
pub(super) fn run(demo: &Demo, binary: &Path, scratch: &Path) -> Outcome {
    let bin = environment()?;
    let script = scratch.join("delta.py");
    std::fs::write(&script, include_str!("delta_sharing.py")).map_err(|e| e.to_string())?;
    shell::run(
        program(bin.join("python")).arg(&script).arg(&demo.ready).arg(&demo.data).arg(binary),
    )
}

/// Folder of the programs of the environment, which outlives the clone.
fn environment() -> Outcome<PathBuf> {
    let home = cache().join("deltaclients");
    let bin = home.join("bin");
    let python = bin.join("python");
    if read(program(&python).args(["-c", "import delta_sharing, requests"])).is_err() {
        read(program("python3").args(["-m", "venv"]).arg(&home))?;
        let install = ["-m", "pip", "install", "--quiet", "delta-sharing==1.4.2"];
        read(program(&python).args(install))?;
    }
    Ok(bin)
}

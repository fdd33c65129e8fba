//! The public client of Delta Sharing (PyPI, in an environment of its own) against a demo.

use std::path::Path;

use crate::Outcome;
use crate::browser::Demo;
use crate::python::environment;
use crate::shell::{self, program};

/// Lists, loads, follows changes, is refused.
pub(super) fn run(demo: &Demo, binary: &Path, scratch: &Path) -> Outcome {
    let packages = ["delta-sharing==1.4.2"];
    let bin = environment("deltaclients", "delta_sharing, requests", &packages)?;
    let script = scratch.join("delta.py");
    std::fs::write(&script, include_str!("delta_sharing.py")).map_err(|e| e.to_string())?;
    shell::run(
        program(bin.join("python")).arg(&script).arg(&demo.ready).arg(&demo.data).arg(binary),
    )
}

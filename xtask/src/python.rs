//! Environments of Python programs that outlive the clone.

use std::path::PathBuf;

use crate::Outcome;
use crate::shell::{cache, program, read};

/// Folder of the programs of the environment `name`, made with `packages` of PyPI unless its Python can already `import` them.
pub(crate) fn environment(name: &str, import: &str, packages: &[&str]) -> Outcome<PathBuf> {
    let home = cache().join(name);
    let bin = home.join("bin");
    let python = bin.join("python");
    if read(program(&python).args(["-c", &format!("import {import}")])).is_err() {
        read(program("python3").args(["-m", "venv"]).arg(&home))?;
        read(program(&python).args(["-m", "pip", "install", "--quiet"]).args(packages))?;
    }
    Ok(bin)
}

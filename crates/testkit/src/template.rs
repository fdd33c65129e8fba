//! Database servers are made once on a machine and copied for each test: what `initdb` and `mariadb-install-db` do takes seconds
//! each time, a copy takes a tenth of one.

#![expect(clippy::disallowed_methods, reason = "tests copy the folders of real database servers")]

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

/// A folder made longer ago is made anew, so that none is used which something that tidies the temporary folder has been at.
const LONGEST: Duration = Duration::from_secs(12 * 3600);

/// Copies the folder that `make` makes to `to`, which is not there yet. It is made where no process of this machine has made it
/// yet for this `kind` of server and this `key`: all it depends on, as the program and its options. `make` is given a folder
/// that is not there yet; what it leaves there, with owners and rights, is what is copied.
pub(crate) fn copied(kind: &str, key: &str, to: &Path, make: impl FnOnce(&Path)) {
    let home = std::env::temp_dir().join(format!("qt-template-{}", user()));
    fs::create_dir_all(&home).unwrap();
    let name = format!("{kind}-{:.16}", guard::hash::sha256_hex(key.as_bytes()));
    let (made, lock) = (home.join(&name), home.join(format!("{name}.lock")));
    let lock = File::options().create(true).truncate(false).write(true).open(lock).unwrap();
    // Nobody copies while it is made, and nobody makes while it is copied.
    lock.lock().unwrap();
    if !fresh(&made) {
        let half = tempfile::Builder::new().prefix(&format!("{name}-")).tempdir_in(&home).unwrap();
        // The server's own account passes through.
        run(Command::new("chmod").arg("755").args([home.as_path(), half.path()]));
        let new = half.path().join("data");
        make(&new);
        fs::remove_dir_all(&made).ok();
        // Whole or not at all, whoever dies.
        fs::rename(&new, &made).unwrap();
    }
    lock.unlock().unwrap();
    lock.lock_shared().unwrap();
    run(Command::new("cp").args(["-a", "--reflink=auto"]).arg(&made).arg(to));
}

/// A program as a part of a key: another version of it makes other folders.
pub(crate) fn program(path: &Path) -> String {
    let now = fs::metadata(path).and_then(|found| Ok((found.len(), found.modified()?)));
    format!("{} {now:?}", path.display())
}

fn fresh(made: &Path) -> bool {
    let age = fs::metadata(made).and_then(|found| found.modified()).map(|at| at.elapsed());
    age.is_ok_and(|age| age.is_ok_and(|age| age < LONGEST))
}

/// Number of the account the tests run in.
fn user() -> &'static str {
    static USER: OnceLock<String> = OnceLock::new();
    USER.get_or_init(|| {
        let told = Command::new("id").arg("-u").output().unwrap();
        String::from_utf8_lossy(&told.stdout).trim().to_owned()
    })
}

/// Whether the tests run as root: servers refuse to, and are given accounts of their own.
pub(crate) fn is_root() -> bool {
    user() == "0"
}

/// Runs a program to its end; panics with what it said where it failed.
pub(crate) fn run(command: &mut Command) {
    let out = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let said = [out.stdout, out.stderr].concat();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&said));
}

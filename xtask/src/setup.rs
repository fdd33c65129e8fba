//! `cargo xtask setup`: installs what is missing, and is done in a moment when nothing is.

use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::shell::{self, cargo, find, is_root, program, read};

pub(crate) const HELP: &str = "\
Installs what is missing: npm packages by the lock file, cargo-nextest through cargo, and system packages through apt
when run as root. Without root it says exactly what to install and fails.

Usage: cargo xtask setup [--for demo|test|bench]

  --for demo    npm packages only (no system package is needed for the demo)
  --for test    also cargo-nextest, PostgreSQL, MariaDB, Chromium, a Chinese font, and what runs samples: curl,
                openssl, Python, Java (the default)
  --for bench   npm packages, wrk, Python's venv, PostgreSQL and openssl

Example: cargo xtask setup --for test";

/// For what the machine is prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Demo,
    Test,
    Bench,
}

pub(crate) fn run_for(purpose: Purpose) -> Outcome {
    web_packages()?;
    if purpose == Purpose::Test {
        nextest()?;
    }
    system_packages(purpose)
}

/// The test runner `cargo xtask test` uses.
fn nextest() -> Outcome {
    if has_nextest() {
        return Ok(());
    }
    println!("setup: cargo install cargo-nextest --locked");
    shell::run(&mut cargo(&["install", "cargo-nextest", "--locked"])).map_err(|why| {
        format!(
            "{why}\n  the crates registry must be reachable; or put a prebuilt cargo-nextest on PATH and try again"
        )
    })?;
    if has_nextest() {
        return Ok(());
    }
    Err("cargo-nextest was installed but `cargo nextest` does not start: put cargo's bin folder on PATH".into())
}

pub(crate) fn has_nextest() -> bool {
    read(&mut cargo(&["nextest", "--version"])).is_ok()
}

pub(crate) fn run(args: &[String]) -> Outcome {
    let purpose = match args {
        [] => Purpose::Test,
        [flag, word] if flag == "--for" => match word.as_str() {
            "demo" => Purpose::Demo,
            "test" => Purpose::Test,
            "bench" => Purpose::Bench,
            other => return Err(format!("`--for {other}`: say demo, test or bench")),
        },
        _ => return Err("arguments not understood; see `cargo xtask setup --help`".into()),
    };
    run_for(purpose)?;
    println!("setup: everything needed is there");
    Ok(())
}

/// `npm ci` and the bundle of the SQL editor, unless those of this very lock file and source are there already.
fn web_packages() -> Outcome {
    let web = shell::web();
    let lock = format!(
        "{}\n{}",
        read_text(&web.join("package-lock.json"))?,
        read_text(&web.join("editor.mjs"))?
    );
    let stamp = web.join("node_modules/.qiantang-lock");
    if std::fs::read_to_string(&stamp).is_ok_and(|text| text == lock) {
        return Ok(());
    }
    if find("npm").is_none() {
        return Err(
            "`npm` is missing: install Node.js 20 or newer (Debian: apt-get install nodejs npm)"
                .into(),
        );
    }
    println!("setup: npm ci --prefix crates/portal/web");
    // In the folder itself (not --prefix), so that its .npmrc is read by every npm version.
    shell::run(program("npm").args(["ci", "--no-progress"]).current_dir(&web)).map_err(|why| {
        format!("{why}\n  the npm registry must be reachable for the first build (see `npm config get registry`)")
    })?;
    println!("setup: npm run build");
    shell::run(program("npm").args(["run", "--silent", "build"]).current_dir(&web))?;
    std::fs::write(&stamp, lock).map_err(|e| format!("{}: {e}", stamp.display()))
}

fn read_text(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// A Debian package and how to see that it is there.
struct Package {
    name: &'static str,
    purposes: &'static [Purpose],
    present: fn() -> bool,
}

const PACKAGES: &[Package] = &[
    Package {
        name: "postgresql",
        purposes: &[Purpose::Test, Purpose::Bench],
        present: || postgres_tool("initdb").is_some(),
    },
    Package {
        name: "mariadb-server",
        purposes: &[Purpose::Test],
        present: || find("mariadbd").is_some(),
    },
    Package {
        name: "chromium",
        purposes: &[Purpose::Test],
        present: || find("chromium").is_some(),
    },
    Package { name: "fonts-noto-cjk", purposes: &[Purpose::Test], present: chinese_font },
    // The samples of a production pack are run as they are given.
    Package { name: "curl", purposes: &[Purpose::Test], present: || find("curl").is_some() },
    Package {
        name: "openssl",
        purposes: &[Purpose::Test, Purpose::Bench],
        present: || find("openssl").is_some(),
    },
    Package { name: "python3", purposes: &[Purpose::Test], present: || find("python3").is_some() },
    Package {
        name: "default-jdk-headless",
        purposes: &[Purpose::Test],
        present: || find("javac").is_some(),
    },
    Package { name: "wrk", purposes: &[Purpose::Bench], present: || find("wrk").is_some() },
    Package { name: "python3-venv", purposes: &[Purpose::Bench], present: python_venv },
];

/// A PostgreSQL program: on `PATH`, or in the versioned folder Debian keeps it in (the newest).
fn postgres_tool(name: &str) -> Option<PathBuf> {
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

fn chinese_font() -> bool {
    let folders = ["/usr/share/fonts", "/usr/local/share/fonts"];
    folders.iter().any(|f| has_file(Path::new(f), "CJK", 4))
        || read(program("fc-list").arg(":lang=zh")).is_ok_and(|list| !list.trim().is_empty())
}

fn has_file(dir: &Path, part: &str, depth: u8) -> bool {
    let Ok(entries) = std::fs::read_dir(dir) else { return false };
    entries.flatten().any(|e| {
        e.file_name().to_string_lossy().contains(part)
            || (depth > 0 && e.path().is_dir() && has_file(&e.path(), part, depth - 1))
    })
}

fn python_venv() -> bool {
    read(program("python3").args(["-c", "import venv, ensurepip"])).is_ok()
}

fn system_packages(purpose: Purpose) -> Outcome {
    let missing: Vec<&str> = PACKAGES
        .iter()
        .filter(|p| p.purposes.contains(&purpose) && !(p.present)())
        .map(|p| p.name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if find("apt-get").is_none() {
        return Err(format!(
            "missing on this machine: {list} (Debian package names); install them by hand"
        ));
    }
    if !is_root() {
        return Err(format!(
            "missing on this machine. Install with:\n  sudo apt-get install -y --no-install-recommends {list}"
        ));
    }
    println!("setup: apt-get install {list}");
    // The package lists are fetched only when the present ones do not do.
    if apt(&[&["install", "-y", "--no-install-recommends"], missing.as_slice()].concat()).is_ok() {
        return Ok(());
    }
    apt(&["update"])?;
    apt(&[&["install", "-y", "--no-install-recommends"], missing.as_slice()].concat())
}

fn apt(args: &[&str]) -> Outcome {
    shell::run(program("apt-get").arg("-q").args(args).env("DEBIAN_FRONTEND", "noninteractive"))
}

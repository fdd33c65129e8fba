//! A folder in memory for what tests write: most of what a test of this platform waits for is the disk, which syncs each commit
//! of each of a thousand throw-away databases.

use std::path::Path;

use crate::Outcome;
use crate::shell::{Scratch, env, program, read};

/// Where Linux keeps files in memory.
const PLACE: &str = "/dev/shm";
/// Kilobytes that must be free there, and of the machine's memory, for it to be used: tests fill hundreds of megabytes at times, and
/// two of them with their databases take gigabytes.
const FREE: u64 = 4 << 20;
const MEMORY: u64 = 8 << 20;
/// What the folders are called, before the number of their process.
const NAME: &str = "test";

/// An empty folder in memory that every account may write to, as the temporary folder of tests. `None` where the caller has named
/// one (`TMPDIR`), where there is no such file system, where it may run no programs, or where it or the memory is too small: then
/// tests write to the disk.
pub(crate) fn folder() -> Outcome<Option<Scratch>> {
    let place = Path::new(PLACE);
    if env("TMPDIR").is_some() || !roomy(place) {
        return Ok(None);
    }
    sweep(place);
    let scratch = Scratch::within(place, NAME)?;
    // Database servers have accounts of their own.
    read(program("chmod").arg("1777").arg(scratch.path()))?;
    Ok(Some(scratch))
}

fn roomy(place: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = read(program("df").args(["-k", "--output=avail"]).arg(place)).unwrap_or_default();
    runs_programs(&mounts, PLACE)
        && kilobytes(&memory, "MemAvailable:").is_some_and(|there| there >= MEMORY)
        && kilobytes(&free, "").is_some_and(|there| there >= FREE)
}

/// Whether a file system in memory is mounted there, and programs may be run from it: tests compile some.
fn runs_programs(mounts: &str, place: &str) -> bool {
    let of = |line: &str| {
        let mut parts = line.split(' ').skip(1);
        (parts.next() == Some(place)).then(|| {
            let (kind, options) = (parts.next(), parts.next().unwrap_or_default());
            kind == Some("tmpfs") && options.split(',').all(|option| option != "noexec")
        })
    };
    mounts.lines().filter_map(of).next_back().unwrap_or(false)
}

/// The number of the last line that begins so.
fn kilobytes(text: &str, begins: &str) -> Option<u64> {
    let rest = text.lines().rev().find_map(|line| line.strip_prefix(begins))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Removes folders of runs that were killed.
fn sweep(place: &Path) {
    let Ok(found) = std::fs::read_dir(place) else { return };
    for entry in found.flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|n| n.strip_prefix(&format!("qt-{NAME}-")));
        if process.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_mount_counts_and_must_run_programs() {
        let mounts = "tmpfs /dev/shm tmpfs rw,nosuid,nodev 0 0\nproc /proc proc rw 0 0\n";
        assert!(runs_programs(mounts, "/dev/shm"));
        assert!(!runs_programs(mounts, "/proc") && !runs_programs(mounts, "/nowhere"));
        let over = format!("{mounts}shm /dev/shm tmpfs rw,noexec,size=65536k 0 0\n");
        assert!(!runs_programs(&over, "/dev/shm"));
    }

    #[test]
    fn figures_are_read() {
        let memory = "MemTotal:       24684096 kB\nMemAvailable:   20971520 kB\n";
        assert_eq!(kilobytes(memory, "MemAvailable:"), Some(20_971_520));
        assert_eq!(kilobytes("   Avail\n 24684096\n", ""), Some(24_684_096));
        assert_eq!(kilobytes(memory, "SwapFree:"), None);
    }
}

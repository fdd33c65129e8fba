//! The data folder: its mark, its lock, its master key.
//!
//! Opening writes the mark first, then the key, each in one move: a start that is killed anywhere leaves a folder that
//! the next start takes up. On SQLite one process holds the folder alone; processes on one PostgreSQL store may share
//! it, each with a corner of its own (search index, spill).

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use guard::keys::KeyRing;
use model::{Code, Error, Result};
use zeroize::Zeroizing;

/// How the folder is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// By this process alone.
    Alone,
    /// With other processes of the same store.
    Together,
    /// Not at all: beside the process that holds it, for reading.
    Beside,
    /// In the process that holds it, which lends it to a command (see `relay`).
    Guest,
}

/// An opened data folder; the lock holds as long as this lives.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    /// Where this process keeps what it shares with no other.
    corner: PathBuf,
    _locks: Vec<File>,
    pub keys: KeyRing,
}

const MARK: &str = "qiantang-folder.toml";
const MARK_TEXT: &str = "# Data folder of Qiantang. Do not edit.\nformat = 1\n";
const KEY: &str = "master.key";
const LOCK: &str = "lock";
/// Processes that share a folder at most.
const CORNERS: usize = 64;

impl DataFolder {
    /// Opens a folder, or makes it when it is missing or empty (not when it is opened beside its holder). Refuses a
    /// folder with other things in it and one that another process holds. `key` is a master key given from outside.
    pub fn open(path: &Path, hold: Hold, key: Option<Zeroizing<String>>) -> Result<Self> {
        let trouble = |zh: &str, en: &str| trouble(path, zh, en);
        if hold == Hold::Beside && !path.join(MARK).exists() {
            return Err(trouble(
                "不存在或不是本平台的数据目录；请检查 --data 或 --config",
                "does not exist or is no data folder of this platform; check --data or --config",
            ));
        }
        std::fs::create_dir_all(path).map_err(|e| {
            trouble("无法创建，请检查权限", "cannot be made, check permissions").caused_by(e)
        })?;
        let fresh = check_mark(path)?;
        let mut locks = Vec::new();
        if hold != Hold::Beside {
            let lock = lock_file(path, LOCK)?;
            let held = match hold {
                Hold::Together => lock.try_lock_shared(),
                _ => lock.try_lock(),
            };
            taken(held).map_err(|e| match e {
                None => in_use(path),
                Some(e) => trouble("无法加锁", "cannot be locked").caused_by(e),
            })?;
            locks.push(lock);
        }
        if fresh {
            write_once(path, MARK, MARK_TEXT.as_bytes(), false)
                .map_err(|e| trouble("无法写入", "cannot be written").caused_by(e))?;
        }
        let keys = master_key(path, key)?;
        let mut corner = path.to_owned();
        if hold == Hold::Together {
            let (place, lock) = corner_of(path)?;
            corner = place;
            locks.push(lock);
        }
        Ok(Self { path: path.to_owned(), corner, _locks: locks, keys })
    }

    /// Whether another process holds the folder for itself.
    #[must_use]
    pub fn held(path: &Path) -> bool {
        let Ok(lock) = OpenOptions::new().write(true).open(path.join(LOCK)) else { return false };
        matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
    }

    pub fn sub(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A folder that no other process uses.
    pub fn own(&self, name: &str) -> PathBuf {
        self.corner.join(name)
    }
}

fn trouble(path: &Path, zh: &str, en: &str) -> Error {
    Error::new(
        Code::StoreUnavailable,
        format!("数据目录 {} {zh}", path.display()),
        format!("the data folder {} {en}", path.display()),
    )
}

fn in_use(path: &Path) -> Error {
    trouble(
        path,
        "正被另一个进程使用；请先停止它，或指定其他目录（使用 PostgreSQL 时多个进程可共用）",
        "is in use by another process; stop it first or name another folder (on PostgreSQL processes may share it)",
    )
}

/// Whether the mark is still to be written. What stands in an unmarked folder may only be what a killed first start
/// leaves.
fn check_mark(path: &Path) -> Result<bool> {
    match std::fs::read_to_string(path.join(MARK)) {
        Ok(text) if text.contains("format = 1") => return Ok(false),
        Ok(_) => {
            return Err(trouble(
                path,
                "由不同版本的程序创建，无法使用",
                "was made by another version of the program and cannot be used",
            ));
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(trouble(path, "无法读取", "cannot be read").caused_by(e)),
    }
    let inside = std::fs::read_dir(path)
        .map_err(|e| trouble(path, "无法读取", "cannot be read").caused_by(e))?;
    for entry in inside {
        let name = entry
            .map_err(|e| trouble(path, "无法读取", "cannot be read").caused_by(e))?
            .file_name();
        let name = name.to_string_lossy();
        if !(name == LOCK || name == KEY || name.ends_with(PART)) {
            // A process that starts at the same time writes the mark before anything else.
            if path.join(MARK).exists() {
                return Ok(false);
            }
            return Err(trouble(
                path,
                &format!("中有其他文件（如 {name}），不是本平台的数据目录；请换一个空目录"),
                &format!(
                    "holds other files (such as {name}) and is not a data folder of this platform; choose an empty one"
                ),
            ));
        }
    }
    Ok(true)
}

fn lock_file(path: &Path, name: &str) -> Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path.join(name)).map_err(|e| {
        trouble(path, "无法写入，请检查权限", "cannot be written, check permissions").caused_by(e)
    })
}

/// `Err(None)` = somebody else holds it.
fn taken(outcome: Result<(), TryLockError>) -> Result<(), Option<std::io::Error>> {
    match outcome {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(None),
        Err(TryLockError::Error(e)) => Err(Some(e)),
    }
}

/// The first corner that nobody holds.
fn corner_of(path: &Path) -> Result<(PathBuf, File)> {
    for n in 0..CORNERS {
        let place = path.join("process").join(n.to_string());
        std::fs::create_dir_all(&place)
            .map_err(|e| trouble(path, "无法写入", "cannot be written").caused_by(e))?;
        let lock = lock_file(&place, LOCK)?;
        match taken(lock.try_lock()) {
            Ok(()) => return Ok((place, lock)),
            Err(None) => {}
            Err(Some(e)) => return Err(trouble(path, "无法加锁", "cannot be locked").caused_by(e)),
        }
    }
    Err(in_use(path))
}

/// Ending of files that are being written.
const PART: &str = ".part";

/// Writes a file in one move, only if there is none; another process may have been quicker.
fn write_once(folder: &Path, name: &str, bytes: &[u8], private: bool) -> std::io::Result<()> {
    let part = folder.join(format!("{name}.{}{PART}", std::process::id()));
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, if private { 0o600 } else { 0o644 });
    let mut file = options.open(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    let linked = match std::fs::hard_link(&part, folder.join(name)) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    };
    std::fs::remove_file(&part)?;
    linked?;
    File::open(folder)?.sync_all()
}

/// The key given from outside, or the folder's own; made when the folder is new, readable by its owner only.
fn master_key(folder: &Path, given: Option<Zeroizing<String>>) -> Result<KeyRing> {
    let path = folder.join(KEY);
    let bad = |e: std::io::Error| {
        Error::new(
            Code::StoreUnavailable,
            format!("主密钥文件 {} 无法读写", path.display()),
            format!("the master key file {} cannot be read or written", path.display()),
        )
        .caused_by(e)
    };
    let own = match std::fs::read_to_string(&path) {
        Ok(text) => Some(Zeroizing::new(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => return Err(bad(e)),
    };
    if let Some(given) = given {
        let given = KeyRing::from_text(given.trim())?;
        let same = match &own {
            Some(own) => KeyRing::from_text(own.trim())?.fingerprint() == given.fingerprint(),
            None => true,
        };
        return if same { Ok(given) } else { Err(another_key(&path)) };
    }
    if let Some(own) = own {
        return KeyRing::from_text(own.trim());
    }
    if folder.join("store").exists() {
        return Err(Error::new(
            Code::StoreUnavailable,
            format!(
                "数据目录 {} 缺少主密钥 {KEY}；请从备份恢复它，或以 data.key_file 给出原来的主密钥",
                folder.display()
            ),
            format!(
                "the data folder {} has no {KEY}: restore it from the backup, or name the key it was made with in data.key_file",
                folder.display()
            ),
        ));
    }
    let text = KeyRing::generate()?.to_text();
    write_once(folder, KEY, text.as_bytes(), true).map_err(bad)?;
    // Another process may have written its key first: what stands there counts.
    let text = Zeroizing::new(std::fs::read_to_string(&path).map_err(bad)?);
    KeyRing::from_text(text.trim())
}

fn another_key(path: &Path) -> Error {
    Error::new(
        Code::InvalidInput,
        format!(
            "给出的主密钥与 {} 不同；同一存储只能用一个主密钥，请检查 data.key_file 与环境变量 {}",
            path.display(),
            crate::config::KEY_VARIABLE
        ),
        format!(
            "the master key that was given differs from {}; one store has one key: check data.key_file and {}",
            path.display(),
            crate::config::KEY_VARIABLE
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path, hold: Hold) -> Result<DataFolder> {
        DataFolder::open(path, hold, None)
    }

    #[test]
    fn a_folder_is_made_kept_locked_and_a_foreign_one_refused() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("data");
        let first = open(&path, Hold::Alone).unwrap();
        assert!(DataFolder::held(&path) && !DataFolder::held(temp.path()));
        for hold in [Hold::Alone, Hold::Together] {
            let told = open(&path, hold).unwrap_err();
            assert!(told.en().contains("in use by another process"), "{told}");
        }
        let print = first.keys.fingerprint();
        assert_eq!(open(&path, Hold::Beside).unwrap().keys.fingerprint(), print);
        drop(first);
        assert_eq!(open(&path, Hold::Alone).unwrap().keys.fingerprint(), print);
        std::fs::write(temp.path().join("other.txt"), "x").unwrap();
        assert!(open(temp.path(), Hold::Alone).unwrap_err().en().contains("such as other.txt"));
        assert!(open(&temp.path().join("none"), Hold::Beside).is_err());
    }

    #[test]
    fn processes_of_one_store_share_a_folder_and_have_corners_of_their_own() {
        let temp = tempfile::tempdir().unwrap();
        let (a, b) = (
            open(temp.path(), Hold::Together).unwrap(),
            open(temp.path(), Hold::Together).unwrap(),
        );
        assert_eq!(a.keys.fingerprint(), b.keys.fingerprint());
        assert_eq!(a.sub("inbox"), b.sub("inbox"));
        assert_ne!(a.own("search"), b.own("search"));
        let left = a.own("search");
        drop(a);
        assert_eq!(open(temp.path(), Hold::Together).unwrap().own("search"), left);
    }

    /// A first start killed after any of its steps leaves a folder that opens.
    #[test]
    fn a_first_start_that_was_killed_is_taken_up() {
        let key = KeyRing::generate().unwrap().to_text();
        let leave = |files: &[(&str, &str)]| {
            let temp = tempfile::tempdir().unwrap();
            for (name, text) in files {
                std::fs::write(temp.path().join(name), text).unwrap();
            }
            open(temp.path(), Hold::Alone).unwrap();
            open(temp.path(), Hold::Alone).unwrap();
        };
        leave(&[("lock", "")]);
        leave(&[("lock", ""), ("qiantang-folder.toml.7.part", "# Data")]);
        leave(&[("lock", ""), (MARK, MARK_TEXT)]);
        leave(&[("lock", ""), (MARK, MARK_TEXT), ("master.key.7.part", "ab")]);
        // As versions that wrote the key first left it.
        leave(&[("lock", ""), (KEY, &key)]);
    }

    #[test]
    fn a_key_from_outside_must_be_the_folders() {
        let temp = tempfile::tempdir().unwrap();
        let key =
            || Some(Zeroizing::new(KeyRing::from_bytes(&[7; 32]).unwrap().to_text().to_string()));
        let print =
            DataFolder::open(temp.path(), Hold::Together, key()).unwrap().keys.fingerprint();
        assert!(!temp.path().join(KEY).exists());
        let other = tempfile::tempdir().unwrap();
        assert_eq!(
            DataFolder::open(other.path(), Hold::Together, key()).unwrap().keys.fingerprint(),
            print
        );
        let third = tempfile::tempdir().unwrap();
        open(third.path(), Hold::Alone).unwrap();
        let told = DataFolder::open(third.path(), Hold::Alone, key()).unwrap_err();
        assert!(told.en().contains("data.key_file"), "{told}");
    }

    #[test]
    fn a_lost_key_is_not_replaced_by_a_new_one() {
        let temp = tempfile::tempdir().unwrap();
        open(temp.path(), Hold::Alone).unwrap();
        std::fs::create_dir(temp.path().join("store")).unwrap();
        std::fs::remove_file(temp.path().join(KEY)).unwrap();
        assert!(open(temp.path(), Hold::Alone).unwrap_err().en().contains("backup"));
    }
}

//! The data folder: its mark, its lock, its master key.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use guard::keys::KeyRing;
use model::{Code, Error, Result};

/// An opened data folder; the lock holds as long as this lives.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
    pub keys: KeyRing,
}

const MARK: &str = "qiantang-folder.toml";
const MARK_TEXT: &str = "# Data folder of Qiantang. Do not edit.\nformat = 1\n";

impl DataFolder {
    /// Opens a folder, or makes it when it is missing or empty. Refuses a folder with other things in it and one that
    /// another process uses.
    pub fn open(path: &Path) -> Result<Self> {
        let trouble = |zh: &str, en: &str| {
            Error::new(
                Code::StoreUnavailable,
                format!("数据目录 {} {zh}", path.display()),
                format!("the data folder {} {en}", path.display()),
            )
        };
        std::fs::create_dir_all(path).map_err(|e| {
            trouble("无法创建，请检查权限", "cannot be made, check permissions").caused_by(e)
        })?;
        let mark = path.join(MARK);
        let fresh = !mark.exists();
        if fresh {
            let mut inside = std::fs::read_dir(path)
                .map_err(|e| trouble("无法读取", "cannot be read").caused_by(e))?;
            if inside.any(|entry| entry.is_ok_and(|e| e.file_name() != "lock")) {
                return Err(trouble(
                    "中有其他文件，不是本平台的数据目录；请换一个空目录",
                    "holds other files and is not a data folder of this platform; choose an empty one",
                ));
            }
        } else if !std::fs::read_to_string(&mark).is_ok_and(|t| t.contains("format = 1")) {
            return Err(trouble(
                "由不同版本的程序创建，无法使用",
                "was made by another version of the program and cannot be used",
            ));
        }
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("lock"))
            .map_err(|e| {
                trouble("无法写入，请检查权限", "cannot be written, check permissions").caused_by(e)
            })?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(trouble(
                    "正被另一个进程使用；请先停止它，或指定其他目录",
                    "is in use by another process; stop it first or name another folder",
                ));
            }
            Err(TryLockError::Error(e)) => {
                return Err(trouble("无法加锁", "cannot be locked").caused_by(e));
            }
        }
        let keys = master_key(&path.join("master.key"))?;
        if fresh {
            std::fs::write(&mark, MARK_TEXT)
                .map_err(|e| trouble("无法写入", "cannot be written").caused_by(e))?;
        }
        Ok(Self { path: path.to_owned(), _lock: lock, keys })
    }

    pub fn sub(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Reads the master key, or makes one that only the owner may read.
fn master_key(path: &Path) -> Result<KeyRing> {
    let trouble = |e: std::io::Error| {
        Error::new(
            Code::StoreUnavailable,
            format!("主密钥文件 {} 无法读写", path.display()),
            format!("the master key file {} cannot be read or written", path.display()),
        )
        .caused_by(e)
    };
    let mut text = zeroize::Zeroizing::new(String::new());
    match File::open(path) {
        Ok(mut file) => {
            file.read_to_string(&mut text).map_err(trouble)?;
            KeyRing::from_text(text.trim())
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let keys = KeyRing::generate()?;
            let mut options = OpenOptions::new();
            options.create_new(true).write(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(path).map_err(trouble)?;
            file.write_all(keys.to_text().as_bytes()).map_err(trouble)?;
            file.sync_all().map_err(trouble)?;
            Ok(keys)
        }
        Err(e) => Err(trouble(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_kept_locked_and_a_foreign_one_refused() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("data");
        let first = DataFolder::open(&path).unwrap();
        assert!(DataFolder::open(&path).unwrap_err().en().contains("in use by another process"));
        let print = first.keys.fingerprint();
        drop(first);
        let again = DataFolder::open(&path).unwrap();
        assert_eq!(again.keys.fingerprint(), print);
        std::fs::write(temp.path().join("other.txt"), "x").unwrap();
        assert!(DataFolder::open(temp.path()).unwrap_err().en().contains("holds other files"));
    }
}

//! The platform at a glance, for the system administrator: health, versions, sizes.

use std::path::{Path, PathBuf};

use model::{Op, Result};
use policy::{Action, Target};
use serde::Serialize;

use crate::operation::{self, Readiness};
use crate::{App, audit};

/// Files looked at in one folder before its size is given as "more than".
const MOST_FILES: u64 = 200_000;

/// The whole view.
#[derive(Clone, Debug, Serialize)]
pub struct Overview {
    pub health: Readiness,
    /// Version of the program.
    pub version: &'static str,
    /// `sqlite` or `postgres`
    pub backend: &'static str,
    /// Fingerprint of the rules in force, hexadecimal.
    pub rules: String,
    /// Day from which the limits hold.
    pub limits: String,
    /// Rows of the control store's tables.
    pub figures: Vec<(&'static str, i64)>,
    /// Rows in the current views of all entries.
    pub rows: i64,
    pub control_bytes: i64,
    /// Documents in search.
    pub documents: u64,
    /// Sub-folders of the data folder.
    pub folders: Vec<Folder>,
}

/// The size of one folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Folder {
    pub name: String,
    pub bytes: u64,
    pub files: u64,
    /// There are more files than were looked at.
    pub more: bool,
}

/// Looks at every part.
pub async fn overview(app: &App, op: &Op) -> Result<Overview> {
    audit::permit(app, op, Action::SystemRead, &Target::plain("System", "system")).await?;
    let root = app.folders.inbox.parent().map(Path::to_path_buf);
    let folders =
        tokio::task::spawn_blocking(move || root.map(|r| folders(&r)).unwrap_or_default())
            .await
            .map_err(|e| model::Error::internal("measuring folders").caused_by(e))?;
    Ok(Overview {
        health: operation::readiness(app).await,
        version: env!("CARGO_PKG_VERSION"),
        backend: match app.store.backend() {
            store::Backend::Sqlite => "sqlite",
            store::Backend::Postgres => "postgres",
        },
        rules: format!("{:016x}", app.policy.version()),
        limits: app.rules.effective.clone(),
        figures: app.store.table_figures().await?,
        rows: app.store.rows_in_all().await?,
        control_bytes: app.store.control_bytes().await?,
        documents: app.search.count().unwrap_or_default(),
        folders,
    })
}

/// Sub-folders by name. A folder that cannot be read has the size of what could be.
fn folders(root: &Path) -> Vec<Folder> {
    let Ok(inside) = std::fs::read_dir(root) else { return Vec::new() };
    let mut found: Vec<Folder> = inside
        .flatten()
        .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
        .map(|e| size(e.file_name().to_string_lossy().into_owned(), e.path()))
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn size(name: String, path: PathBuf) -> Folder {
    let mut folder = Folder { name, bytes: 0, files: 0, more: false };
    let mut todo = vec![path];
    while let Some(path) = todo.pop() {
        let Ok(inside) = std::fs::read_dir(&path) else { continue };
        for entry in inside.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                todo.push(entry.path());
            } else if let Ok(about) = entry.metadata() {
                folder.bytes += about.len();
                folder.files += 1;
            }
            if folder.files >= MOST_FILES {
                folder.more = true;
                return folder;
            }
        }
    }
    folder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_measured_with_what_is_below_them() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(temp.path().join("lake/a/b")).unwrap();
        std::fs::create_dir(temp.path().join("inbox")).unwrap();
        std::fs::write(temp.path().join("lake/a/b/x"), "12345").unwrap();
        std::fs::write(temp.path().join("lake/y"), "67").unwrap();
        std::fs::write(temp.path().join("master.key"), "not counted").unwrap();
        let got = folders(temp.path());
        let folder =
            |name: &str, bytes, files| Folder { name: name.into(), bytes, files, more: false };
        assert_eq!(got, [folder("inbox", 0, 0), folder("lake", 7, 2)]);
    }
}

//! A file of the inbox for a moment: gone when nobody holds it any more. What a crash leaves is swept away by its end `.part`.

use std::path::{Path, PathBuf};

use model::Op;

use crate::App;

/// A place for a file that is only looked through.
#[derive(Debug)]
pub(crate) struct Fetched {
    path: PathBuf,
}

impl Fetched {
    pub(crate) fn new(app: &App) -> Self {
        let id = Op::system(app.now()).new_id();
        Self { path: app.folders.inbox.join(format!("{id}.fetched.part")) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        // One that was never written is not there.
        let _ = std::fs::remove_file(&self.path);
    }
}

//! Exchange of files (数据交换) with departments: a place watched by pattern, each file taken once, verified, landed, archived and
//! receipted; rows of an entry sent the same way against an approved share application.
//!
//! ```text
//! desk      what people do: make, list, look, pause, run, retry, remove
//! watch     which process works at which exchange; one turn of it
//! arriving  an incoming file from seen to landed         settling  its receipt and archive        manifest  what the sender says
//! leaving   rows into a file with manifest and done-file, and the receipt that comes back
//! again     landed files read once more from the archive, for being compared with the lake
//! ```
//!
//! *exactly-once*: a file's record says how far it is, and every step may be done twice. The run that lands it is named before it
//! begins, so that after a crash the same run is looked for; the parcel lands once whatever happens. *nothing-dropped*: a file is
//! moved only after its receipt lies beside it; what is refused lies in `failed/` with the reason. A receipt says *agreed* only
//! when the sender's count and checksum are the receiver's.

mod again;
mod arriving;
mod desk;
mod leaving;
mod manifest;
mod settling;
mod watch;

use model::exchange::{Exchange, ExchangeFile};
use model::{Error, Result};
use policy::port::ShelfPlace;
use serde::{Deserialize, Serialize};

pub(crate) use self::again::{Archive, Archived};
pub use self::desk::{
    ExchangePage, ExchangeView, create, files, get, incidents, key, list, named, pause, remove,
    resume, retry, run,
};
pub use self::watch::tick;
use crate::App;

/// Rules of exchanges (`rules/exchange.toml`).
#[derive(Clone, Debug, Deserialize)]
pub struct ExchangeRules {
    pub effective: String,
    pub archive: String,
    pub failed: String,
    pub receipts: String,
    pub page: usize,
    pub most_files: usize,
    pub side_by_side: usize,
    pub quiet_seconds: u32,
    pub quiet_least: u32,
    pub small_bytes: u64,
    pub receipt_days: u32,
}

impl ExchangeRules {
    /// Folders of a place in which no files of the sender are looked for.
    fn own(&self) -> [&str; 3] {
        [&self.archive, &self.failed, &self.receipts]
    }
}

/// What is secret of an exchange, as sealed.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Secrets {
    #[serde(default)]
    options: Vec<(String, String)>,
    /// Key of encrypted files.
    #[serde(default)]
    key: String,
}

fn context(id: &str) -> String {
    format!("exchange:{id}")
}

impl Secrets {
    fn seal(&self, app: &App, id: &str) -> Result<String> {
        let text = serde_json::to_vec(self)
            .map_err(|e| Error::internal("secrets of an exchange").caused_by(e))?;
        app.keys.vault().seal(&context(id), &text)
    }
    fn open(app: &App, id: &str, sealed: &str) -> Result<Self> {
        let text = app.keys.vault().open(&context(id), sealed)?;
        serde_json::from_slice(&text)
            .map_err(|e| Error::internal("secrets of an exchange").caused_by(e))
    }
    fn place(&self, exchange: &Exchange) -> ShelfPlace {
        ShelfPlace { url: exchange.place.clone(), options: self.options.clone() }
    }
}

/// A file name under one of the platform's own folders: told apart by the end of the record's id.
fn kept_name(file: &ExchangeFile) -> String {
    let tail = file.id.len().saturating_sub(8);
    let name = file.path.rsplit('/').next().unwrap_or(&file.path);
    format!("{}-{name}", file.id.get(tail..).unwrap_or(&file.id))
}

/// Where a file's receipt lies.
fn receipt_of(rules: &ExchangeRules, path: &str) -> String {
    format!("{}/{path}.receipt.json", rules.receipts)
}

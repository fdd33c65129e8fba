//! Where the platform may reach out to: addresses of sources, folders of exchanges.

use std::path::{Path, PathBuf};

use model::Result;
use serde::{Deserialize, Serialize};

use super::Config;

/// Where sources of data may be: databases, interfaces, object stores.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutgoingPart {
    /// Networks, addresses and names: `10.0.0.0/8`, `10.1.2.3:5432`, `db.example:5432`, `*.zj.gov.cn`. Nothing stands open
    /// by itself; metadata and link-local addresses stay shut whatever stands here.
    pub allow: Vec<String>,
}

/// Exchange of files with departments.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExchangePart {
    /// Folders whose sub-folders exchanges may use; empty = `exchange` in the data folder.
    pub folders: Vec<PathBuf>,
}

impl Config {
    /// Where the platform may connect to.
    pub fn outgoing(&self) -> Result<guard::OutgoingRules> {
        guard::OutgoingRules::parse(&self.outgoing.allow)
    }

    /// Lets sources on this very machine be reached: for a demo, and for commands without a configuration file.
    pub fn at_home(&mut self) {
        self.outgoing.allow = guard::outgoing::LOOPBACK.iter().map(|t| (*t).to_owned()).collect();
    }

    /// Folders that exchanges may use.
    #[must_use]
    pub fn exchange_folders(&self) -> Vec<PathBuf> {
        match self.exchange.folders.as_slice() {
            [] => vec![absolute(&self.data.folder.join("exchange"))],
            given => given.iter().map(|f| absolute(f)).collect(),
        }
    }

    /// The first of them, in which exchanges lie when nothing else is said.
    #[must_use]
    pub fn exchange_home(&self) -> PathBuf {
        self.exchange_folders().into_iter().next().unwrap_or_default()
    }
}

/// A path from the root, whatever the folder a command was given in.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

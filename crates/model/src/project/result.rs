//! What a job made: a table of its project, and from what.

use serde::{Deserialize, Serialize};

use crate::code::Grade;
use crate::entry::Entry;
use crate::item::Item;

/// What a result was made from. It may be read as long as all of this still stands as it was: the grants, their items, masks and
/// row filters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    pub sources: Vec<MadeFrom>,
    pub columns: Vec<MadeColumn>,
    /// The statement that made it; empty where none did (samples, uploads, programs), and of what was made before this was kept.
    #[serde(default)]
    pub sql: String,
    /// Tables of the project that it was made from, through all of them, each as it had been made then.
    #[serde(default)]
    pub behind: Vec<MadeBy>,
}

/// A table of a project, and the statement that had made it. A name alone does not tell what a table holds: whoever may write its job
/// can have it made of something else.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MadeBy {
    pub code: String,
    pub sql: String,
}

/// One granted resource behind a result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeFrom {
    pub code: String,
    pub title: String,
    /// Share application that granted it.
    pub request: String,
    pub items: Vec<MadeItem>,
    /// The row filter that was applied, as a fingerprint of it.
    pub rows: String,
}

/// An item that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeItem {
    pub identifier: String,
    pub name_cn: String,
    pub grade: Grade,
    /// How it was masked when read; empty: not at all.
    pub mask: String,
}

/// A column of the result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeColumn {
    pub name: String,
    /// `table.item` that its values are made of.
    pub from: Vec<String>,
    /// `table.item` that decide which rows there are.
    pub through: Vec<String>,
    /// Functions on the way; empty when it is copied.
    pub by: Vec<String>,
    /// Whether an item it is made of was masked.
    pub masked: bool,
}

impl Made {
    /// Adds what another result that was read had been made from.
    pub fn and(&mut self, sources: &[MadeFrom]) {
        for source in sources {
            match self.sources.iter_mut().find(|s| s.code == source.code) {
                None => self.sources.push(source.clone()),
                Some(there) => {
                    for item in &source.items {
                        if !there.items.contains(item) {
                            there.items.push(item.clone());
                        }
                    }
                }
            }
        }
        self.sources.sort_by(|a, b| a.code.cmp(&b.code));
    }
}

/// A table that a job made, as last made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProjectResult {
    pub project: String,
    /// The job's name.
    pub name: String,
    /// What the lake knows it by: never in the catalogue, but with items like a resource's.
    pub table: Entry,
    pub made: Made,
    pub run: String,
    pub version: i64,
    pub rows: u64,
    pub bytes: u64,
    pub made_at: String,
    /// Draft of a catalogue entry made from it.
    pub entry: Option<String>,
    /// Made of whole data in a sandbox: its rows are shown to nobody and leave by the release desk only.
    #[serde(default)]
    pub hidden: bool,
}

impl ProjectResult {
    #[must_use]
    pub fn code(&self) -> &str {
        &self.table.draft.code
    }

    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.table.draft.items
    }
}

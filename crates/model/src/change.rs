//! The change feed: what was entered, changed or taken out of the ledgers, in the order in which it happened.

use serde::{Deserialize, Serialize};

use crate::asset::{Ledger, Node};

/// What happened to a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happened {
    Created,
    Changed,
    /// Offline, out of service, merged into another, or not to be known of any more.
    Retired,
}

impl Happened {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Happened::Created => "created",
            Happened::Changed => "changed",
            Happened::Retired => "retired",
        }
    }
}

/// A place in the feed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    pub at: String,
    pub id: String,
}

impl Position {
    /// `stamp~id`, as addresses carry it.
    #[must_use]
    pub fn write(&self) -> String {
        format!("{}~{}", self.at, self.id)
    }
    /// Reads what [`Position::write`] wrote; nothing when it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (at, id) = text.split_once('~')?;
        let fits = |t: &str| t.len() <= 64 && t.bytes().all(|b| b.is_ascii_graphic());
        (fits(at) && fits(id) && chrono::DateTime::parse_from_rfc3339(at).is_ok())
            .then(|| Self { at: at.to_owned(), id: id.to_owned() })
    }
}

/// Which changes are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeFilter {
    pub ledger: Option<Ledger>,
    pub org: Option<String>,
    /// Region codes: one region and all below it.
    pub regions: Vec<String>,
    /// Entries open to the public only.
    pub open: bool,
    pub after: Option<Position>,
    pub oldest_first: bool,
    pub limit: u32,
}

/// One thing as it last changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    pub node: Node,
    pub at: String,
    pub happened: Happened,
    /// Whether no more may be told of it than that it went.
    pub gone: bool,
    pub code: String,
    pub title: String,
    /// Empty where there is none.
    pub title_en: String,
    pub description: String,
    pub org: String,
    pub org_name: String,
    pub region: String,
    pub state: String,
    pub version: i64,
}

impl Change {
    #[must_use]
    pub fn position(&self) -> Position {
        Position { at: self.at.clone(), id: self.node.id.clone() }
    }
}

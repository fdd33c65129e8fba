//! Harvest (采集目录): entries of other catalogues, in this one by where they come from. No rows are collected.
//!
//! ```text
//! desk     what people do: keep sources, begin a turn, read its report
//! tick     which turns begin, and which process works at one: leases, retries, the ends
//! turn     one turn: page by page, its position kept after each; then what was not seen
//! mapped   a record in words of this catalogue becomes the declaration of an entry
//! loaded   the same for what a department's own program writes: a draft of the department's, by a person's token
//! told     where a set comes from, in words of schema.org
//! ```
//!
//! **No duplicates**: the code of an entry is a hash of source and foreign id, so that whoever makes it twice makes it once. **No ghosts**:
//! what a whole turn has not seen goes offline with a note. **Nothing emptied by mistake**: a source that tells less than half of what
//! it told before stops the turn, and a person confirms. **Resumable**: a turn's position is in the store after each page; a page that
//! is read again changes nothing. **A report**: each record that could not be taken is told with its field and what to mend.

mod desk;
mod loaded;
mod mapped;
mod tick;
mod told;
mod turn;

use std::sync::Arc;

use policy::port::Harvester;
use serde::Deserialize;

pub(crate) use self::desk::brought;
pub use self::desk::{
    HarvestForm, HarvestView, create, edit, get, list, may_keep, origin, origins, pause, refusals,
    report, resume, run, sources, turns,
};
pub use self::loaded::{Load, Loaded, load_new, load_over};
pub use self::mapped::{group_name, undeclared};
pub use self::tick::tick;
pub use self::told::based_on;

/// What this room holds besides the stores.
pub struct Memory {
    pub(crate) port: Arc<dyn Harvester>,
}

impl Memory {
    #[must_use]
    pub fn new(port: Arc<dyn Harvester>) -> Self {
        Self { port }
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("harvest::Memory").finish_non_exhaustive()
    }
}

/// Pace and limits (`rules/harvest.toml`).
#[derive(Clone, Debug, Deserialize)]
pub struct HarvestRules {
    pub effective: String,
    pub page_records: u32,
    pub most_bytes: u64,
    pub pages_per_round: u64,
    pub most_pages: u64,
    pub tries: u32,
    pub retry_first_seconds: u64,
    pub retry_longest_seconds: u64,
    pub full_days: i64,
    pub overlap_minutes: i64,
    pub least_percent: u64,
    pub keep_days: i64,
    /// Update cycle → words of others for it.
    pub words: std::collections::BTreeMap<String, Vec<String>>,
}

/// Reads the rules; the shipped ones when the file says nothing.
pub(crate) fn rules(
    own: Option<HarvestRules>,
) -> std::result::Result<HarvestRules, toml::de::Error> {
    own.map_or_else(|| toml::from_str(include_str!("../../rules/harvest.toml")), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_rules_are_read() {
        let rules = rules(None).unwrap();
        assert!(rules.least_percent <= 100 && rules.tries > 0 && rules.pages_per_round > 0);
        for word in rules.words.keys() {
            assert!(model::code::UpdateCycle::parse(word).is_some(), "{word}");
        }
    }
}

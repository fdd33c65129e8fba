//! The rule file of compiling (`rules/catalogue.toml`): sizes, grades, wording of others.

use std::collections::BTreeMap;

use model::code::Grade;
use serde::{Deserialize, Serialize};

/// One version of the rules, in force from `effective`.
#[derive(Clone, Debug, Deserialize)]
pub struct CatalogueRules {
    /// Day from which the file holds, `YYYY-MM-DD`.
    pub effective: String,
    pub size: Size,
    pub grade: GradeRules,
    pub advice: Advice,
    pub opening: Opening,
    #[serde(default)]
    pub classified: Classified,
    pub quota: QuotaRules,
    /// As shipped when an older rule file says nothing of it.
    #[serde(default)]
    pub mask: MaskRules,
    /// Column → wording of others → our wording.
    #[serde(default)]
    pub alias: BTreeMap<String, BTreeMap<String, String>>,
}

/// Longest texts in characters, and most rows.
#[derive(Clone, Debug, Deserialize)]
pub struct Size {
    pub title: usize,
    pub description: usize,
    pub items: usize,
    pub tags: usize,
    /// Any other text.
    pub text: usize,
    pub import_rows: usize,
    /// Bytes of one imported catalogue file.
    #[serde(default = "import_bytes")]
    pub import_bytes: u64,
    /// Entries mended at once.
    #[serde(default = "bulk")]
    pub bulk: usize,
    /// Tables of a database that entries are drafted from at once.
    #[serde(default = "tables")]
    pub tables: usize,
}

fn tables() -> usize {
    200
}

fn bulk() -> usize {
    500
}

/// Rule files written before there was the limit.
fn import_bytes() -> u64 {
    64 * 1024 * 1024
}

/// Highest grade that an attribute allows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct GradeRules {
    pub basis: String,
    pub open_unconditional_most: Grade,
    pub open_restricted_most: Grade,
    pub share_unconditional_most: Grade,
}

/// Lowest grade that an attribute suggests.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Advice {
    pub basis: String,
    pub conditional_least: Grade,
    pub prohibited_least: Grade,
}

/// Items marked as classified (涉密).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Classified {
    pub basis: String,
}

impl Default for Classified {
    fn default() -> Self {
        Self { basis: "《浙江省公共数据条例》第二条".to_owned() }
    }
}

/// What the open-data site shows.
#[derive(Clone, Debug, Deserialize)]
pub struct Opening {
    pub preview_rows: u64,
}

/// What an item's own mask must hide at least.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct MaskRules {
    /// Most characters that may stay.
    pub keep_most: u32,
    /// Most characters that may stay, in percent of the item's length.
    pub keep_most_percent: u32,
    /// Least step of rounding.
    pub round_least: i64,
}

impl Default for MaskRules {
    fn default() -> Self {
        Self { keep_most: 10, keep_most_percent: 64, round_least: 2 }
    }
}

/// How the gate takes calls out of the store.
#[derive(Clone, Debug, Deserialize)]
pub struct QuotaRules {
    pub lots: u64,
    pub largest_lot: u64,
}

//! Words and limits of the basket as data (`rules/basket.toml`).

use serde::{Deserialize, Serialize};

use crate::upload::FileRules;

/// The rule file's part on baskets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasketRules {
    /// Day from which it holds, `YYYY-MM-DD`.
    pub effective: String,
    pub limit: Limit,
    /// Files that go with a form.
    #[serde(default = "FileRules::none")]
    pub attachment: FileRules,
    #[serde(rename = "area")]
    pub areas: Vec<Word>,
    #[serde(rename = "apply_type")]
    pub apply_types: Vec<Word>,
    #[serde(rename = "need")]
    pub needs: Vec<Word>,
    #[serde(rename = "objection")]
    pub objections: Vec<ObjectionWord>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    pub parts: usize,
    pub text: usize,
    pub precedents: u32,
    pub advice_least: usize,
}

/// A word of a list with its names.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Word {
    pub id: String,
    pub zh: String,
    pub en: String,
}

/// A kind of objection with its points.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectionWord {
    pub id: String,
    pub zh: String,
    pub en: String,
    pub points: Vec<Word>,
}

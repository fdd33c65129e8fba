//! Findings of the rule packs of compiling (编目规范): what, where, how to mend it.

use serde::{Deserialize, Serialize};

use crate::FieldError;
use crate::code::code_list;

code_list! {
    /// Whether a finding keeps an entry from review.
    Level {
        Error = "error", "错误", "Error";
        Warning = "warning", "提醒", "Warning";
    }
}

/// One place of a declaration that does not follow a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `pack.rule`
    pub rule: String,
    pub level: Level,
    /// `title`, `items[3].name_cn`
    pub field: String,
    /// Identifier of the item; empty for the entry itself.
    pub item: String,
    /// What stands there now.
    pub value: String,
    /// What the rule asks and how to follow it.
    pub zh: String,
    pub en: String,
    /// What the rule's own mending would write; `None` where only a person can tell.
    pub fixed: Option<String>,
}

impl Finding {
    /// As a fault of a form, the level told first.
    #[must_use]
    pub fn told(&self) -> FieldError {
        FieldError {
            field: self.field.clone(),
            zh: format!("【{}】{}", self.level.zh(), self.zh),
            en: format!("[{}] {}", self.level.en(), self.en),
        }
    }
    /// Tells the same finding apart from others of the entry when items have moved.
    #[must_use]
    pub fn mark(&self) -> (&str, &str, &str) {
        (&self.rule, &self.item, &self.value)
    }
}

/// How often an entry breaks a rule: what the store keeps of findings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleHits {
    pub rule: String,
    pub level: Level,
    pub places: i64,
}

/// An entry in the list of findings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FindingRow {
    pub entry: String,
    pub code: String,
    pub title: String,
    pub org: String,
    pub rule: String,
    pub level: Level,
    pub places: i64,
}

/// Sums of findings by rule or by organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FindingSum {
    /// Rule, or organisation id.
    pub of: String,
    /// Of a rule; of an organisation the worst.
    pub level: Level,
    pub entries: i64,
    pub places: i64,
}

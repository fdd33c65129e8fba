//! The rules as a person reads them: which files they came from, and what each masking rule says.

use std::path::Path;

use chrono::{DateTime, NaiveDate, Utc};
use model::code::{DataType, Grade};
use model::mask::Mask;
use serde::Serialize;

/// One masking rule of `masks.toml`, by name or by grade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MaskRule {
    pub id: String,
    /// What it does, in Chinese; empty for rules by grade.
    pub zh: String,
    pub keywords: Vec<String>,
    pub except: Vec<String>,
    /// For rules by grade: the grade and the types it holds for.
    pub grade: Option<Grade>,
    pub types: Vec<DataType>,
    pub mask: Mask,
    pub label: String,
    pub effective: NaiveDate,
    pub until: Option<NaiveDate>,
    pub basis: String,
    pub in_effect: bool,
}

/// A rule file as it was read at the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleFile {
    pub name: String,
    /// Read from the rule folder; otherwise it is the one shipped with the program.
    pub own: bool,
    /// Edition the file names, when it names one.
    pub edition: String,
    pub lines: usize,
    /// When the file in the rule folder was last written (RFC 3339).
    pub written_at: Option<String>,
}

impl RuleFile {
    /// What is known of a text; `path` is where it was found, none for a shipped one.
    pub(crate) fn of(name: &str, text: &str, path: Option<&Path>) -> Self {
        let edition = text.lines().find_map(|line| {
            let value = line.strip_prefix("version")?.trim_start().strip_prefix('=')?;
            Some(value.trim().trim_matches('"').to_owned())
        });
        let written_at = path
            .and_then(|p| std::fs::metadata(p).ok()?.modified().ok())
            .map(|at| DateTime::<Utc>::from(at).to_rfc3339());
        Self {
            name: name.to_owned(),
            own: path.is_some(),
            edition: edition.unwrap_or_default(),
            lines: text.lines().count(),
            written_at,
        }
    }
}

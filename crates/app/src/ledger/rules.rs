//! The rule file of the ledgers (`rules/ledger.toml`): fields, code lists, states and transitions, thresholds; in
//! versions with the day from which each holds.

use chrono::NaiveDate;
use model::asset::Ledger;
use model::{Error, Result};
use serde::{Deserialize, Serialize};

/// All versions of the rules.
#[derive(Clone, Debug, Deserialize)]
pub struct LedgerBook {
    version: Vec<LedgerRules>,
}

/// One version of the rules.
#[derive(Clone, Debug, Deserialize)]
pub struct LedgerRules {
    /// Day from which the version holds, `YYYY-MM-DD`.
    pub effective: NaiveDate,
    pub quality: QualityRules,
    pub duplicate: DuplicateRules,
    pub proposal: ProposalRules,
    pub import: ImportRules,
    pub walk: WalkRules,
    pub ledger: Vec<LedgerRule>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct QualityRules {
    pub stale_days: i64,
    pub needed_weight: u32,
    pub optional_weight: u32,
    /// Days between two reminders of what is stale, ownerless or linked with nothing.
    #[serde(default = "QualityRules::month")]
    pub remind_days: i64,
    /// Days for which notices are kept once they were read.
    #[serde(default = "QualityRules::quarter")]
    pub notice_days: i64,
}

impl QualityRules {
    fn month() -> i64 {
        30
    }
    fn quarter() -> i64 {
        90
    }
}

#[derive(Clone, Debug, Deserialize)]
pub struct DuplicateRules {
    /// Percent.
    pub name_like: u32,
    pub noise: Vec<String>,
    pub most: usize,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ProposalRules {
    pub name: u32,
    pub text: u32,
    pub functions: u32,
    pub data: u32,
    pub covered: u32,
    pub refuse_from: u32,
    pub reduce_from: u32,
    pub reduce_functions: u32,
    pub most: usize,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ImportRules {
    pub bytes: u64,
    pub rows: usize,
    pub call_rows: usize,
    pub told: usize,
}

#[derive(Clone, Debug, Deserialize)]
pub struct WalkRules {
    /// Things of one level whose metered calls are asked for.
    pub most: usize,
    /// Levels told.
    pub depth: u32,
    /// Things shown of one level.
    pub shown: usize,
    /// Days over which metered calls count.
    #[serde(default = "WalkRules::usage_days")]
    pub usage_days: u64,
}

impl WalkRules {
    fn usage_days() -> u64 {
        30
    }
}

/// One ledger: its fields and its life cycle.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LedgerRule {
    pub word: Ledger,
    /// First letter of codes given by the platform.
    pub code_prefix: String,
    /// The first is where a new asset begins.
    pub state: Vec<StateRule>,
    pub field: Vec<FieldRule>,
}

/// A state and where one may go from it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StateRule {
    pub word: String,
    pub zh: String,
    pub en: String,
    #[serde(default)]
    pub to: Vec<String>,
    /// In service.
    #[serde(default)]
    pub live: bool,
    /// Out of service for good, as far as can be said.
    #[serde(default)]
    pub retired: bool,
}

/// A field of a ledger.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FieldRule {
    pub key: String,
    pub zh: String,
    pub en: String,
    pub kind: FieldKind,
    #[serde(default)]
    pub needed: bool,
    /// Offered as the facet “theme” of the search.
    #[serde(default)]
    pub facet: bool,
    #[serde(default)]
    pub list: Vec<String>,
    /// Greatest value of a number.
    #[serde(default)]
    pub most: Option<u64>,
    #[serde(default)]
    pub hint_zh: String,
    #[serde(default)]
    pub hint_en: String,
}

/// What a field may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    Text,
    /// Several lines, one thing each.
    Lines,
    /// A number that is not negative.
    Number,
    /// `YYYY-MM-DD`
    Date,
    /// A web address.
    Link,
    /// One of the list.
    Choice,
    /// Some of the list, joined by `、`.
    Choices,
}

impl LedgerBook {
    /// Checks what the format cannot: every ledger once, keys and states once, transitions that lead somewhere.
    pub fn check(&self) -> Result<()> {
        if self.version.is_empty() {
            return Err(wrong("there is no [[version]]"));
        }
        for version in &self.version {
            for ledger in Ledger::ASSETS {
                let n = version.ledger.iter().filter(|l| l.word == ledger).count();
                if n != 1 {
                    return Err(wrong(&format!("ledger `{ledger}` stands {n} times")));
                }
            }
            for ledger in &version.ledger {
                check_ledger(ledger)?;
            }
        }
        Ok(())
    }

    /// The version in force on a day: the latest whose day has come; before all of them the earliest.
    #[must_use]
    pub fn at(&self, day: NaiveDate) -> Option<&LedgerRules> {
        let come = self.version.iter().filter(|v| v.effective <= day);
        come.max_by_key(|v| v.effective).or_else(|| self.version.iter().min_by_key(|v| v.effective))
    }
}

fn check_ledger(ledger: &LedgerRule) -> Result<()> {
    let word = ledger.word;
    if ledger.state.is_empty() {
        return Err(wrong(&format!("ledger `{word}` has no state")));
    }
    for state in &ledger.state {
        if ledger.state.iter().filter(|s| s.word == state.word).count() > 1 {
            return Err(wrong(&format!("ledger `{word}`: state `{}` stands twice", state.word)));
        }
        for to in &state.to {
            if !ledger.state.iter().any(|s| &s.word == to) {
                return Err(wrong(&format!("ledger `{word}`: no state `{to}`")));
            }
        }
    }
    for field in &ledger.field {
        if ledger.field.iter().filter(|f| f.key == field.key).count() > 1 {
            return Err(wrong(&format!("ledger `{word}`: field `{}` stands twice", field.key)));
        }
        let listed = matches!(field.kind, FieldKind::Choice | FieldKind::Choices);
        if listed == field.list.is_empty() {
            return Err(wrong(&format!(
                "ledger `{word}`: field `{}`: a list belongs to a choice, and a choice needs one",
                field.key
            )));
        }
        if COMMON.iter().any(|(key, zh, _)| *key == field.key || *zh == field.zh) {
            return Err(wrong(&format!(
                "ledger `{word}`: field `{}` is a common column",
                field.key
            )));
        }
    }
    Ok(())
}

fn wrong(what: &str) -> Error {
    Error::invalid(format!("台账规则有误：{what}"), format!("the ledger rules are wrong: {what}"))
}

impl LedgerRules {
    /// The rule of one ledger; the data ledger (the catalogue) has none here.
    pub fn of(&self, ledger: Ledger) -> Result<&LedgerRule> {
        self.ledger.iter().find(|l| l.word == ledger).ok_or_else(|| {
            Error::invalid(
                "数据台账即数据目录，请在“数据目录”中维护",
                "the data ledger is the catalogue: maintain it there",
            )
        })
    }
}

impl LedgerRule {
    #[must_use]
    pub fn state(&self, word: &str) -> Option<&StateRule> {
        self.state.iter().find(|s| s.word == word || s.zh == word)
    }
    /// The word of the state a new asset begins in.
    #[must_use]
    pub fn first(&self) -> &str {
        self.state.first().map_or("", |s| s.word.as_str())
    }
    #[must_use]
    pub fn field(&self, key: &str) -> Option<&FieldRule> {
        self.field.iter().find(|f| f.key == key)
    }
}

/// Common columns of every ledger: key, Chinese and English name, in the order of files.
pub const COMMON: [(&str, &str, &str); 8] = [
    ("code", "编号", "Code"),
    ("name", "名称", "Name"),
    ("org", "所属单位", "Organisation"),
    ("region", "行政区划", "Region"),
    ("state", "状态", "State"),
    ("owner", "责任人", "Answerable person"),
    ("description", "说明", "Description"),
    ("org_name", "所属单位名称", "Organisation's name"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> LedgerBook {
        toml::from_str(include_str!("../../rules/ledger.toml")).unwrap()
    }

    #[test]
    fn the_shipped_file_is_right_and_reaches_every_state() {
        let book = shipped();
        book.check().unwrap();
        let rules = book.at("2026-03-02".parse().unwrap()).unwrap();
        let states: Vec<&str> =
            rules.of(Ledger::Application).unwrap().state.iter().map(|s| s.zh.as_str()).collect();
        assert_eq!(
            states,
            ["谋划中", "申报中", "建设中", "运行中", "功能变更中", "已停用", "其他"]
        );
        for ledger in &rules.ledger {
            let mut reached = vec![ledger.first()];
            let mut at = 0;
            while let Some(word) = reached.get(at).copied() {
                for to in &ledger.state(word).unwrap().to {
                    if !reached.contains(&to.as_str()) {
                        reached.push(to);
                    }
                }
                at += 1;
            }
            assert_eq!(reached.len(), ledger.state.len(), "{}", ledger.word);
        }
        assert!(rules.of(Ledger::Data).is_err());
    }

    #[test]
    fn the_version_of_a_day_is_the_latest_that_has_come() {
        let mut book = shipped();
        let mut later = book.version[0].clone();
        later.effective = "2027-01-01".parse().unwrap();
        later.quality.stale_days = 100;
        book.version.push(later);
        let days = |d: &str| book.at(d.parse().unwrap()).unwrap().quality.stale_days;
        assert_eq!((days("2020-01-01"), days("2026-12-31"), days("2027-01-01")), (365, 365, 100));
    }

    #[test]
    fn a_wrong_file_is_told_by_name() {
        let text = include_str!("../../rules/ledger.toml")
            .replace("to = [\"applying\", \"other\"]", "to = [\"nowhere\"]");
        let book: LedgerBook = toml::from_str(&text).unwrap();
        assert!(book.check().unwrap_err().en().contains("nowhere"));
    }
}

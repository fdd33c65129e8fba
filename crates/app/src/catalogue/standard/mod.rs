//! Rule packs of compiling (编目规范): versioned files of what a declaration should look like, and their findings.
//!
//! A pack says what is asked of fields by name (`RuleDef`) and of items that are a known standard element (`Element`).
//! On a day the newest version of each pack whose `effective` has come holds. Saving a draft is never refused by a pack;
//! handing it in is, on errors. `lint` finds and mends, `findings` lists over all entries, `bulk` mends many.
//!
//! ```toml
//! [[rule]]
//! id = "title-generic"            # told as `ledger.title-generic`
//! level = "error"                 # or "warning"
//! at = "entry"                    # or "item": asked of every item
//! on = "title"                    # a field of the declaration, as in /api and in exports
//! zh = "目录名称不能只是泛称"        # what is asked, and (`mend_zh`) how to follow it
//! when = [{ field = "kind", is = ["table"] }]      # `entry.kind` from an item
//! not_equal = ["数据", "信息"]      # filled, min, max, pattern, chinese, one_of, none_of, at_least, unique, …
//! fix = { strip = ["表"] }        # set, copy, replace, strip: only where the outcome follows the rule
//! ```

mod bulk;
mod findings;
mod lint;

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use model::code::{DataType, Grade};
use model::entry::{EntryDraft, Profile};
use model::finding::Level;
use model::item::Item;
use model::{Error, FieldError, Result};
use regex::Regex;
use serde::{Deserialize, Serialize};

pub use bulk::{Fixed, Preview, Proposed, Range, apply, preview};
pub use findings::{Listed, Sums, findings, lint_file, may_fix, relint, sums};
pub use lint::lint;
pub(super) use lint::{gate, hits};

/// The shipped packs.
const SHIPPED: [&str; 1] = [include_str!("../../../rules/packs/ledger_1.toml")];

/// All versions of all packs.
#[derive(Clone, Debug, Default)]
pub struct Packs(Vec<Pack>);

/// One version of a pack.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    pub id: String,
    pub version: u32,
    /// Day from which it holds.
    pub effective: NaiveDate,
    pub zh: String,
    pub en: String,
    #[serde(default)]
    pub basis: String,
    #[serde(default)]
    pub rule: Vec<RuleDef>,
    #[serde(default)]
    pub element_level: ElementLevel,
    #[serde(default)]
    pub element: Vec<Element>,
}

/// Whether a rule is asked of the entry or of every item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum At {
    Entry,
    Item,
}

/// What is asked of one field.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RuleDef {
    pub id: String,
    pub level: Level,
    pub at: At,
    pub on: String,
    pub zh: String,
    pub en: String,
    pub mend_zh: String,
    pub mend_en: String,
    /// Of the rule itself, where it is not the pack's.
    #[serde(default)]
    pub basis: String,
    /// All must hold for the rule to be asked.
    #[serde(default)]
    pub when: Vec<Condition>,
    /// Some item must fulfil all of these for the rule to be asked (of the entry).
    #[serde(default)]
    pub any_item: Vec<Condition>,
    #[serde(default)]
    pub filled: bool,
    /// Characters.
    pub min: Option<usize>,
    pub max: Option<usize>,
    pub pattern: Option<Pattern>,
    /// Holds at least one Chinese character.
    #[serde(default)]
    pub chinese: bool,
    #[serde(default)]
    pub not_equal: Vec<String>,
    #[serde(default)]
    pub not_contain: Vec<String>,
    #[serde(default)]
    pub one_of: Vec<String>,
    #[serde(default)]
    pub none_of: Vec<String>,
    pub at_least: Option<Grade>,
    /// Another field that must not say the same.
    pub differs_from: Option<String>,
    /// No other item of the entry says the same.
    #[serde(default)]
    pub unique: bool,
    pub fix: Option<Fix>,
}

/// A condition on a field. Of a list any word suffices.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// `field`, or `entry.field` from an item.
    pub field: String,
    #[serde(default)]
    pub is: Vec<String>,
    #[serde(default)]
    pub is_not: Vec<String>,
    pub matches: Option<Pattern>,
    pub filled: Option<bool>,
}

/// How a rule mends what breaks it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Fix {
    /// This word.
    pub set: Option<String>,
    /// What another field says.
    pub copy: Option<String>,
    /// Words replaced by others.
    #[serde(default)]
    pub replace: BTreeMap<String, String>,
    /// Endings taken away.
    #[serde(default)]
    pub strip: Vec<String>,
}

/// How bad it is when an item is not what its standard element says.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ElementLevel {
    pub data_type: Level,
    pub length: Level,
    pub code_table: Level,
    pub grade: Level,
    pub name_en: Level,
}

impl Default for ElementLevel {
    fn default() -> Self {
        let w = Level::Warning;
        Self { data_type: Level::Error, length: w, code_table: w, grade: w, name_en: w }
    }
}

/// A standard element (标准数据元) and what an item that is one must say.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Element {
    pub id: String,
    pub zh: String,
    pub en: String,
    #[serde(default)]
    pub names: Vec<String>,
    #[serde(default)]
    pub identifiers: Vec<String>,
    /// Standard that defines it.
    #[serde(default)]
    pub basis: String,
    #[serde(default)]
    pub data_type: Vec<DataType>,
    pub length: Option<u32>,
    #[serde(default)]
    pub code_table: String,
    pub grade_least: Option<Grade>,
    #[serde(default)]
    pub name_en: String,
}

/// A regular expression that was read with its rule.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(Regex);

impl TryFrom<String> for Pattern {
    type Error = regex::Error;
    fn try_from(text: String) -> std::result::Result<Self, regex::Error> {
        Regex::new(&text).map(Self)
    }
}
impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0.as_str().to_owned()
    }
}

/// A rule in force as pages show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleSeen {
    /// `pack.rule`
    pub id: String,
    pub level: Level,
    pub zh: String,
    pub en: String,
    pub mend_zh: String,
    pub mend_en: String,
    pub basis: String,
    pub pack: String,
    pub version: u32,
    /// Whether some of its findings can be mended by the rule itself.
    pub mends: bool,
}

impl Packs {
    /// The shipped packs and an operator's own; one of the same id and version replaces the shipped one.
    pub(crate) fn read(own: Vec<Pack>) -> Result<Self> {
        let mut all = own;
        for text in SHIPPED {
            let pack: Pack = toml::from_str(text).map_err(|e| {
                Error::invalid(format!("编目规范有误：{e}"), format!("a rule pack is wrong: {e}"))
            })?;
            if !all.iter().any(|p| p.id == pack.id && p.version == pack.version) {
                all.push(pack);
            }
        }
        let faults: Vec<FieldError> = all.iter().flat_map(Pack::faults).collect();
        match faults.first() {
            None => Ok(Self(all)),
            Some(first) => Err(Error::invalid(
                format!("编目规范有 {} 处错误：{} {}", faults.len(), first.field, first.zh),
                format!(
                    "the rule packs have {} faults: {} {}",
                    faults.len(),
                    first.field,
                    first.en
                ),
            )
            .with_fields(faults)),
        }
    }

    /// The version of each pack that holds on a day.
    pub fn on(&self, day: NaiveDate) -> impl Iterator<Item = &Pack> {
        self.0.iter().filter(move |p| {
            p.effective <= day
                && !self
                    .0
                    .iter()
                    .any(|o| o.id == p.id && o.effective <= day && o.version > p.version)
        })
    }

    /// Every rule in force on a day, those of elements included.
    #[must_use]
    pub fn rules(&self, day: NaiveDate) -> Vec<RuleSeen> {
        self.on(day).flat_map(Pack::seen).collect()
    }

    /// Tells whether kept findings were made by these rules.
    #[must_use]
    pub fn fingerprint(&self, day: NaiveDate) -> String {
        let in_force: Vec<&Pack> = self.on(day).collect();
        guard::hash::sha256_hex(format!("{in_force:?}").as_bytes())
    }
}

/// Words of the checks that elements bring: field, Chinese, English.
const ELEMENT_CHECKS: [(&str, &str, &str); 5] = [
    ("data_type", "标准数据元的数据类型", "type of a standard element"),
    ("length", "标准数据元的长度", "length of a standard element"),
    ("code_table", "标准数据元的引用代码表", "code list of a standard element"),
    ("grade", "标准数据元的安全级别", "grade of a standard element"),
    ("name_en", "标准数据元的英文名称", "English name of a standard element"),
];

impl ElementLevel {
    fn of(self, field: &str) -> Level {
        match field {
            "data_type" => self.data_type,
            "length" => self.length,
            "code_table" => self.code_table,
            "grade" => self.grade,
            _ => self.name_en,
        }
    }
}

impl Pack {
    fn seen(&self) -> Vec<RuleSeen> {
        let rule = |r: &RuleDef| RuleSeen {
            id: format!("{}.{}", self.id, r.id),
            level: r.level,
            zh: r.zh.clone(),
            en: r.en.clone(),
            mend_zh: r.mend_zh.clone(),
            mend_en: r.mend_en.clone(),
            basis: if r.basis.is_empty() { self.basis.clone() } else { r.basis.clone() },
            pack: self.id.clone(),
            version: self.version,
            mends: r.fix.is_some(),
        };
        let element = |(field, zh, en): &(&str, &str, &str)| RuleSeen {
            id: format!("{}.element-{field}", self.id),
            level: self.element_level.of(field),
            zh: (*zh).to_owned(),
            en: (*en).to_owned(),
            mend_zh: "按标准数据元填写".to_owned(),
            mend_en: "fill it in as the standard element says".to_owned(),
            basis: self.basis.clone(),
            pack: self.id.clone(),
            version: self.version,
            mends: matches!(*field, "code_table" | "grade" | "name_en" | "length"),
        };
        let elements = ELEMENT_CHECKS.iter().filter(|_| !self.element.is_empty()).map(element);
        self.rule.iter().map(rule).chain(elements).collect()
    }

    /// What is wrong with the pack itself: names of fields that no declaration has, ids used twice.
    fn faults(&self) -> Vec<FieldError> {
        let (entry, item) = known_fields();
        let mut found = Vec::new();
        let mut add = |place: &str, zh: String, en: String| {
            found.push(FieldError {
                field: format!("{} v{} {place}", self.id, self.version),
                zh,
                en,
            });
        };
        let mut ids = BTreeSet::new();
        for r in &self.rule {
            if !ids.insert(r.id.as_str()) || r.id.starts_with("element-") {
                add(
                    &r.id,
                    "规则编号重复或以 element- 开头".into(),
                    "the id is used twice or starts with element-".into(),
                );
            }
            let own = if r.at == At::Entry { &entry } else { &item };
            let near = |name: &str| match name.strip_prefix("entry.") {
                Some(of_entry) => entry.contains(of_entry),
                None => own.contains(name),
            };
            let conditions = r.when.iter().map(|c| c.field.as_str());
            let others = r
                .differs_from
                .as_deref()
                .into_iter()
                .chain(r.fix.iter().filter_map(|f| f.copy.as_deref()));
            for name in conditions.chain(others).chain([r.on.as_str()]).filter(|n| !near(n)) {
                add(&r.id, format!("没有字段 `{name}`"), format!("there is no field `{name}`"));
            }
            for c in r.any_item.iter().filter(|c| !item.contains(&c.field)) {
                add(
                    &r.id,
                    format!("数据项没有字段 `{}`", c.field),
                    format!("items have no field `{}`", c.field),
                );
            }
            if r.asks() == 0 {
                add(&r.id, "规则没有任何要求".into(), "the rule asks for nothing".into());
            }
        }
        found
    }
}

impl RuleDef {
    /// How many things it asks for.
    fn asks(&self) -> usize {
        [
            self.filled,
            self.min.is_some(),
            self.max.is_some(),
            self.pattern.is_some(),
            self.chinese,
            !self.not_equal.is_empty(),
            !self.not_contain.is_empty(),
            !self.one_of.is_empty(),
            !self.none_of.is_empty(),
            self.at_least.is_some(),
            self.differs_from.is_some(),
            self.unique,
        ]
        .into_iter()
        .filter(|asked| *asked)
        .count()
    }
}

/// Names of the fields of an entry and of an item, as they are written.
fn known_fields() -> (BTreeSet<String>, BTreeSet<String>) {
    let keys = |value: serde_json::Result<serde_json::Value>| match value {
        Ok(serde_json::Value::Object(map)) => map.into_iter().map(|(k, _)| k).collect(),
        _ => BTreeSet::new(),
    };
    let draft =
        EntryDraft { items: Vec::new(), profile: Profile::default(), ..super::blank("", "330000") };
    let item = Item::new("a", "a", DataType::Text);
    (keys(serde_json::to_value(draft)), keys(serde_json::to_value(item)))
}

#[cfg(test)]
mod tests;

//! `masks.toml` and `limits.toml`: default masks by name and grade with their dates, and limits of answers and calls.

use chrono::NaiveDate;
use model::Result;
use model::code::{DataType, Grade};
use model::item::Item;
use model::mask::Mask;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cedar::broken;

/// Default masking rules.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Masks {
    /// Edition of the file, for people.
    #[serde(rename = "version")]
    _version: String,
    region: ItemNames,
    /// A file from before there was one limits no rows by organisation.
    #[serde(default)]
    organisation: ItemNames,
    #[serde(rename = "name", default)]
    names: Vec<NameRule>,
    #[serde(rename = "grade", default)]
    grades: Vec<GradeRule>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemNames {
    identifiers: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NameRule {
    id: String,
    zh: String,
    keywords: Vec<String>,
    #[serde(default)]
    except: Vec<String>,
    mask: Mask,
    effective: NaiveDate,
    until: Option<NaiveDate>,
    basis: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GradeRule {
    grade: Grade,
    types: Vec<DataType>,
    mask: Mask,
    effective: NaiveDate,
    until: Option<NaiveDate>,
    basis: String,
}

/// Limits of answers and calls.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    #[serde(rename = "version")]
    _version: String,
    pub(crate) rows_query: RowLimit,
    pub(crate) rows_preview: RowLimit,
    pub(crate) rows_download: RowLimit,
    #[serde(default = "RowLimit::sql")]
    pub(crate) rows_sql: RowLimit,
    pub(crate) quota_request: RequestQuota,
    pub(crate) quota_open: OpenQuota,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RowLimit {
    default: u64,
    max: u64,
}

impl RowLimit {
    fn sql() -> Self {
        Self { default: 1_000_000, max: 10_000_000 }
    }

    /// The cap for an answer of which `wanted` rows are asked (0 = as usual).
    pub(crate) fn cap(self, wanted: u64) -> u64 {
        if wanted == 0 { self.default } else { wanted.min(self.max) }
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestQuota {
    pub(crate) calls_per_day: u64,
    pub(crate) calls_per_second_least: u32,
    pub(crate) burst: u64,
    pub(crate) at_once_most: u64,
    #[serde(default = "one_second")]
    pub(crate) burst_seconds: u32,
    #[serde(default = "RequestQuota::statements_least")]
    pub(crate) statements_least: u64,
}

impl RequestQuota {
    fn statements_least() -> u64 {
        1000
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenQuota {
    pub(crate) calls_per_day: u64,
    pub(crate) calls_per_second: u32,
    #[serde(default = "one_second")]
    pub(crate) burst_seconds: u32,
}

/// A rule file that does not say lets a second's calls come at once.
fn one_second() -> u32 {
    1
}

impl Masks {
    pub(crate) fn read(text: &str) -> Result<Self> {
        let mut masks: Masks = parse("masks.toml", text)?;
        let wrong = |what: String| Err(broken("masks.toml", &what));
        let name_rules =
            masks.names.iter().map(|r| (r.id.as_str(), r.effective, r.until, &r.mask, &r.basis));
        let grade_rules = masks
            .grades
            .iter()
            .map(|r| (r.grade.as_str(), r.effective, r.until, &r.mask, &r.basis));
        for (id, effective, until, mask, basis) in name_rules.chain(grade_rules) {
            if until.is_some_and(|end| end <= effective) {
                return wrong(format!("rule `{id}`: `until` is not after `effective`"));
            }
            if basis.trim().is_empty() {
                return wrong(format!("rule `{id}`: `basis` is empty"));
            }
            if matches!(mask, Mask::Round { step } if *step <= 0) {
                return wrong(format!("rule `{id}`: `step` must be positive"));
            }
        }
        for rule in &mut masks.names {
            if rule.keywords.iter().any(|k| k.trim().chars().count() < 2) {
                return wrong(format!(
                    "rule `{}`: a keyword is shorter than two characters",
                    rule.id
                ));
            }
            for keyword in &mut rule.keywords {
                *keyword = keyword.trim().to_lowercase();
            }
        }
        Ok(masks)
    }

    /// The mask of an item by name, else by grade and type, on a day. `None` when no rule fits.
    pub(crate) fn of(&self, item: &Item, today: NaiveDate) -> Option<&Mask> {
        let name = item.name_cn.to_lowercase();
        let identifier = item.identifier.to_lowercase();
        self.names
            .iter()
            .filter(|r| in_effect(r.effective, r.until, today))
            .find(|r| r.fits(&name, &identifier))
            .map(|r| &r.mask)
            .or_else(|| {
                self.grades
                    .iter()
                    .filter(|r| in_effect(r.effective, r.until, today))
                    .find(|r| r.grade == item.grade && r.types.contains(&item.data_type))
                    .map(|r| &r.mask)
            })
    }

    /// All rules in their order, with whether each is in effect on a day.
    pub(crate) fn listed(&self, today: NaiveDate) -> Vec<crate::listing::MaskRule> {
        let names = self.names.iter().map(|r| crate::listing::MaskRule {
            id: r.id.clone(),
            zh: r.zh.clone(),
            keywords: r.keywords.clone(),
            except: r.except.clone(),
            grade: None,
            types: Vec::new(),
            mask: r.mask.clone(),
            label: r.mask.label(),
            effective: r.effective,
            until: r.until,
            basis: r.basis.clone(),
            in_effect: in_effect(r.effective, r.until, today),
        });
        let grades = self.grades.iter().map(|r| crate::listing::MaskRule {
            id: format!("grade-{}", r.grade),
            zh: String::new(),
            keywords: Vec::new(),
            except: Vec::new(),
            grade: Some(r.grade),
            types: r.types.clone(),
            mask: r.mask.clone(),
            label: r.mask.label(),
            effective: r.effective,
            until: r.until,
            basis: r.basis.clone(),
            in_effect: in_effect(r.effective, r.until, today),
        });
        names.chain(grades).collect()
    }

    /// The item that holds the region code of a row.
    pub(crate) fn region_item<'a>(&self, items: &'a [Item]) -> Option<&'a Item> {
        items.iter().find(|i| self.region.identifiers.contains(&i.identifier))
    }

    /// The item that holds the credit code of the organisation a row belongs to.
    pub(crate) fn org_item<'a>(&self, items: &'a [Item]) -> Option<&'a Item> {
        items.iter().find(|i| self.organisation.identifiers.contains(&i.identifier))
    }
}

impl NameRule {
    fn fits(&self, name: &str, identifier: &str) -> bool {
        self.keywords.iter().any(|keyword| {
            if keyword.is_ascii() {
                parts(identifier).any(|part| part.ends_with(keyword.as_str()))
                    || (keyword.contains('_') && identifier.contains(keyword.as_str()))
            } else {
                name.contains(keyword.as_str())
            }
        }) && !self.except.iter().any(|word| name.contains(&word.to_lowercase()))
    }
}

/// Parts of an identifier between `_`, without final digits (`lxdh2`).
fn parts(identifier: &str) -> impl Iterator<Item = &str> {
    identifier.split('_').map(|p| p.trim_end_matches(|c: char| c.is_ascii_digit()))
}

fn in_effect(effective: NaiveDate, until: Option<NaiveDate>, today: NaiveDate) -> bool {
    effective <= today && until.is_none_or(|end| today < end)
}

impl Limits {
    pub(crate) fn read(text: &str) -> Result<Self> {
        let limits: Limits = parse("limits.toml", text)?;
        for (name, limit) in [
            ("rows_query", limits.rows_query),
            ("rows_preview", limits.rows_preview),
            ("rows_download", limits.rows_download),
        ] {
            if limit.default == 0 || limit.default > limit.max {
                let what = format!("[{name}] needs 0 < default <= max");
                return Err(broken("limits.toml", &what));
            }
        }
        for (name, seconds) in [
            ("quota_request", limits.quota_request.burst_seconds),
            ("quota_open", limits.quota_open.burst_seconds),
        ] {
            if !(1..=MOST_BURST_SECONDS).contains(&seconds) {
                let what = format!("[{name}] needs burst_seconds of 1 to {MOST_BURST_SECONDS}");
                return Err(broken("limits.toml", &what));
            }
        }
        Ok(limits)
    }
}

/// An hour's calls at once.
const MOST_BURST_SECONDS: u32 = 3600;

fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T> {
    toml::from_str(text).map_err(|e| broken(file, &e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> Masks {
        Masks::read(include_str!("../rules/masks.toml")).unwrap()
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn item(identifier: &str, name: &str, data_type: DataType, grade: Grade) -> Item {
        Item { grade, ..Item::new(identifier, name, data_type) }
    }

    #[track_caller]
    fn check(identifier: &str, name: &str, expected: &str) {
        let masks = shipped();
        let item = item(identifier, name, DataType::Text, Grade::L3);
        assert_eq!(masks.of(&item, day("2026-11-23")).unwrap().label(), expected);
    }

    #[test]
    fn names_are_found_by_chinese_word_and_by_identifier() {
        check("a", "公民身份号码", "keep(6,4)");
        check("sfzh", "", "keep(6,4)");
        check("fr_zjhm", "证照", "keep(6,4)");
        check("a", "法定代表人身份证号", "keep(6,4)");
        check("xm", "姓名", "keep(1,0)");
        check("fddbrxm", "法人", "keep(1,0)");
        check("xm2", "", "keep(1,0)");
        check("sjh", "手机号", "keep(3,4)");
        check("lxdh", "", "keep(3,4)");
        check("contact_phone", "", "keep(3,4)");
        check("jtdz", "家庭", "generalise(prefix 6)");
        check("csrq", "出生日期", "generalise(year)");
        check("hzhm", "护照号码", "keep(5,0)");
        check("sbkh", "社保卡号", "keep(0,4)");
        check("yhkh", "银行卡号", "keep(0,4)");
        check("a", "指纹特征", "blank");
    }

    #[test]
    fn lookalikes_are_not_names() {
        check("xmmc", "项目名称", "replace");
        check("gcxm", "工程项目", "replace");
        check("xmbh", "项目编号", "replace");
        check("wz", "网址", "replace");
        check("dhfs", "兑换方式", "replace");
    }

    #[test]
    fn grades_decide_what_names_do_not() {
        let masks = shipped();
        let label = |data_type, grade| {
            masks.of(&item("a", "甲", data_type, grade), day("2026-11-23")).map(Mask::label)
        };
        assert_eq!(label(DataType::Text, Grade::L2).unwrap(), "keep(1,0)");
        assert_eq!(label(DataType::Integer, Grade::L2).unwrap(), "round(10)");
        assert_eq!(label(DataType::Date, Grade::L2).unwrap(), "generalise(month)");
        assert_eq!(label(DataType::Geometry, Grade::L2).unwrap(), "blank");
        for data_type in DataType::ALL {
            assert!(label(*data_type, Grade::L2).is_some(), "{data_type}");
            assert_eq!(label(*data_type, Grade::L3).unwrap(), "replace");
            assert_eq!(label(*data_type, Grade::L4).unwrap(), "replace");
        }
        assert_eq!(label(DataType::Text, Grade::L1), None);
    }

    #[test]
    fn rules_follow_their_dates() {
        let masks = shipped();
        let card = item("a", "开户账号", DataType::Text, Grade::L2);
        let label = |d| masks.of(&card, day(d)).unwrap().label();
        assert_eq!(label("2025-10-31"), "keep(1,0)");
        assert_eq!(label("2025-11-01"), "keep(0,4)");
        assert_eq!(masks.of(&card, day("2019-01-01")), None);
    }

    #[test]
    fn broken_files_say_what_and_where() {
        let good = include_str!("../rules/masks.toml");
        for (from, to, said) in [
            ("method = \"keep\"", "method = \"kep\"", "kep"),
            ("until = \"2025-11-01\"", "until = \"2019-01-01\"", "bank-card"),
            ("step = 1000", "step = 0", "income"),
            ("effective = \"2020-10-01\"", "effective = \"soon\"", "line"),
            ("head = 6, tail = 4", "head = 6, tale = 4", "line"),
            ("basis = \"GB/T 45574-2025 金融账户\"", "basis = \" \"", "bank-card"),
            ("\"xm\",", "\"x\",", "person-name"),
        ] {
            let error = Masks::read(&good.replacen(from, to, 1)).unwrap_err();
            assert!(error.en().contains(said) && error.zh().contains("masks.toml"), "{error}");
        }
        let limits = include_str!("../rules/limits.toml");
        assert!(Limits::read(limits).is_ok());
        assert!(Limits::read(&limits.replacen("default = 1000", "default = 100000", 1)).is_err());
        assert!(Limits::read(&limits.replacen("burst =", "bursts =", 1)).is_err());
        let seconds =
            |n: &str| limits.replace("burst_seconds = 1", &format!("burst_seconds = {n}"));
        assert!(Limits::read(&seconds("60")).is_ok());
        let error = Limits::read(&seconds("0")).unwrap_err();
        assert!(error.en().contains("burst_seconds"), "{error}");
        assert!(Limits::read(&limits.replace("burst_seconds = 1\n", "")).is_ok(), "a second's");
    }

    #[test]
    fn caps_are_lowered_never_raised() {
        let limit = RowLimit { default: 1000, max: 10_000 };
        assert_eq!([0, 5, 10_000, 10_001].map(|w| limit.cap(w)), [1000, 5, 10_000, 10_000]);
    }
}

//! Rules of the risk check as data (`rules/opening.toml`), and what they make of a declaration and of figures: a pure function.

use chrono::NaiveDate;
use guard::anonymity::{Classes, Hits};
use model::code::{Grade, OpenType};
use model::entry::EntryDraft;
use model::item::Item;
use model::openplan::{RiskFinding, RiskWeight};
use model::{Error, Result};
use serde::Deserialize;

/// The file.
#[derive(Clone, Debug, Deserialize)]
pub struct OpeningRules {
    /// Name of this version of the rules; kept with every check.
    pub version: String,
    pub effective: String,
    /// Day from which nothing is opened wider without an agreed check.
    pub required_from: NaiveDate,
    pub k: u64,
    pub columns: usize,
    pub rows: u64,
    pub data_days: i64,
    pub grade: GradeRule,
    pub finding: FindingRule,
    pub share: ShareRule,
    pub quasi: QuasiRule,
    pub again: AgainRule,
}

/// What something means by the open attribute wanted.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct ByAttribute {
    pub unconditional: RiskWeight,
    pub restricted: RiskWeight,
}

impl ByAttribute {
    fn of(self, wanted: OpenType) -> RiskWeight {
        match wanted {
            OpenType::Unconditional => self.unconditional,
            OpenType::Restricted => self.restricted,
            OpenType::None => RiskWeight::Fine,
        }
    }
}

/// What an item's grade means.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct GradeRule {
    #[serde(rename = "L2")]
    pub l2: ByAttribute,
    #[serde(rename = "L3")]
    pub l3: ByAttribute,
    #[serde(rename = "L4")]
    pub l4: ByAttribute,
}

/// What was found, and what it means.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct FindingRule {
    pub sensitive: ByAttribute,
    pub identifier: ByAttribute,
    pub identifier_some: ByAttribute,
    pub below_k: ByAttribute,
    pub below_k_some: ByAttribute,
    pub unseen: ByAttribute,
    pub part: ByAttribute,
}

/// Shares, from nought to one, from which on much is told from some.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct ShareRule {
    pub identifier: f64,
    pub below: f64,
}

/// Which items are quasi-identifiers.
#[derive(Clone, Debug, Deserialize)]
pub struct QuasiRule {
    pub person: Vec<String>,
    pub place: Vec<String>,
    pub standard: Vec<String>,
    pub most: usize,
}

/// Months between checks.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct AgainRule {
    #[serde(rename = "L1")]
    pub l1: u32,
    #[serde(rename = "L2")]
    pub l2: u32,
    #[serde(rename = "L3")]
    pub l3: u32,
}

impl AgainRule {
    /// Months after which a set of this grade is checked again.
    #[must_use]
    pub fn of(&self, grade: Grade) -> u32 {
        match grade {
            Grade::L1 => self.l1,
            Grade::L2 => self.l2,
            Grade::L3 | Grade::L4 => self.l3,
        }
    }
}

impl OpeningRules {
    /// The rules as shipped, or the operator's own.
    pub(crate) fn read(own: Option<OpeningRules>) -> Result<Self> {
        let rules = match own {
            Some(own) => own,
            None => toml::from_str(include_str!("../../rules/opening.toml")).map_err(|e| {
                Error::invalid(format!("规则文件有误：{e}"), format!("the rule file is wrong: {e}"))
            })?,
        };
        let share = |s: f64| (0.0..=1.0).contains(&s);
        if rules.k < 2
            || rules.columns == 0
            || rules.columns > 4
            || rules.quasi.most > 12
            || rules.rows == 0
            || !share(rules.share.identifier)
            || !share(rules.share.below)
        {
            return Err(Error::invalid(
                "开放评估规则有误：k 至少为 2，组合列数 1 至 4，准标识项最多 12 个，占比在 0 至 1 之间",
                "the rules of the check before opening are wrong: k is 2 or more, 1 to 4 columns are combined, 12 quasi-identifiers at most, shares from 0 to 1",
            ));
        }
        Ok(rules)
    }

    /// Quasi-identifiers among items, in their order; none where nothing tells of a person.
    #[must_use]
    pub fn quasi<'a>(&self, items: impl Iterator<Item = &'a Item>) -> Vec<&'a Item> {
        let named =
            |item: &Item, words: &[String]| words.iter().any(|w| item.name_cn.contains(w.as_str()));
        let standard = |item: &Item| {
            !item.standard_code.is_empty() && self.quasi.standard.contains(&item.standard_code)
        };
        let items: Vec<&Item> = items.collect();
        let person = |item: &Item| named(item, &self.quasi.person) || standard(item);
        if !items.iter().any(|i| person(i)) {
            return Vec::new();
        }
        let among = items.into_iter().filter(|i| person(i) || named(i, &self.quasi.place));
        among.take(self.quasi.most).collect()
    }
}

/// What was seen of the rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) rows: u64,
    /// All rows that there are were read.
    pub(super) whole: bool,
    pub(super) hits: Vec<Hits>,
    /// The worst combination, and all quasi-identifiers together.
    pub(super) worst: Option<Classes>,
    pub(super) all: Option<Classes>,
}

/// What the rules say of a declaration and of what was seen of its rows. The heaviest first; no value of a row is told.
#[must_use]
pub(super) fn findings(rules: &OpeningRules, draft: &EntryDraft, seen: &Seen) -> Vec<RiskFinding> {
    let mut found = Vec::new();
    for item in &draft.items {
        of_item(rules, draft, item, &mut found);
    }
    for hits in &seen.hits {
        if let Some(item) = draft.item(&hits.column) {
            of_hits(rules, draft, item, hits, &mut found);
        }
    }
    of_classes(rules, draft, seen, &mut found);
    of_rows(rules, draft, seen, &mut found);
    found.retain(|f: &RiskFinding| f.weight != RiskWeight::Fine);
    found.sort_by(|a, b| b.weight.cmp(&a.weight).then_with(|| a.key().cmp(&b.key())));
    found
}

/// How an item would be open: as its entry, or less.
fn attribute(draft: &EntryDraft, item: &Item) -> OpenType {
    match (draft.open_type, item.open_type) {
        (OpenType::None, _) | (_, OpenType::None) => OpenType::None,
        (OpenType::Unconditional, OpenType::Unconditional) => OpenType::Unconditional,
        _ => OpenType::Restricted,
    }
}

fn finding(rule: &str, item: &str, weight: RiskWeight, zh: String, en: String) -> RiskFinding {
    let (rule, item) = (rule.to_owned(), item.to_owned());
    RiskFinding { rule, item, weight, zh, en, reason: String::new() }
}

fn of_item(rules: &OpeningRules, draft: &EntryDraft, item: &Item, found: &mut Vec<RiskFinding>) {
    let (open, id) = (attribute(draft, item), item.identifier.as_str());
    let by_grade = match item.grade {
        Grade::L1 => None,
        Grade::L2 => Some(rules.grade.l2),
        Grade::L3 => Some(rules.grade.l3),
        Grade::L4 => Some(rules.grade.l4),
    };
    if let Some(rule) = by_grade {
        found.push(finding(
            "grade",
            id,
            rule.of(open),
            format!("数据项 {}（{id}）为{}，拟{}", item.name_cn, item.grade.zh(), open.zh()),
            format!("the item `{id}` is {} and is to be {}", item.grade.en(), open.en()),
        ));
    }
    if item.sensitive {
        found.push(finding(
            "sensitive",
            id,
            rules.finding.sensitive.of(open),
            format!("数据项 {}（{id}）登记为敏感个人信息", item.name_cn),
            format!("the item `{id}` is declared sensitive personal information"),
        ));
    }
}

fn of_hits(
    rules: &OpeningRules,
    draft: &EntryDraft,
    item: &Item,
    hits: &Hits,
    found: &mut Vec<RiskFinding>,
) {
    if hits.found() == 0 {
        return;
    }
    let much = hits.share() >= rules.share.identifier;
    let rule = if much { rules.finding.identifier } else { rules.finding.identifier_some };
    let (id, n, all) = (item.identifier.as_str(), hits.found(), hits.values);
    found.push(finding(
        "identifier",
        id,
        rule.of(attribute(draft, item)),
        format!(
            "数据项 {}（{id}）的 {all} 个值中有 {n} 个含身份证号、手机号或银行卡号",
            item.name_cn
        ),
        format!(
            "of {all} values of `{id}` {n} hold an identity number, a mobile number or a bank card"
        ),
    ));
}

fn of_classes(rules: &OpeningRules, draft: &EntryDraft, seen: &Seen, found: &mut Vec<RiskFinding>) {
    for (rule, classes) in [("combination", &seen.worst), ("k-anonymity", &seen.all)] {
        let Some(classes) = classes.as_ref().filter(|c| c.below > 0) else { continue };
        let much = classes.below_share() >= rules.share.below;
        let by = if much { rules.finding.below_k } else { rules.finding.below_k_some };
        let columns = classes.columns.join(", ");
        let (below, unique, rows, k) = (classes.below, classes.unique, classes.rows, rules.k);
        found.push(finding(
            rule,
            "",
            by.of(draft.open_type),
            format!("数据项组合 {columns} 下，{rows} 行中有 {below} 行所在的组少于 {k} 行，其中 {unique} 行独一无二"),
            format!("by {columns} together {below} of {rows} rows lie in groups of fewer than {k}, {unique} of them alone"),
        ));
    }
}

fn of_rows(rules: &OpeningRules, draft: &EntryDraft, seen: &Seen, found: &mut Vec<RiskFinding>) {
    if seen.rows == 0 {
        found.push(finding(
            "no-rows",
            "",
            rules.finding.unseen.of(draft.open_type),
            "还没有数据，未能检查实际数据行".into(),
            "nothing has landed: no row could be looked at".into(),
        ));
    } else if !seen.whole {
        let rows = seen.rows;
        found.push(finding(
            "part",
            "",
            rules.finding.part.of(draft.open_type),
            format!("数据量超过上限，只检查了前 {rows} 行（按主键顺序）"),
            format!(
                "there are more rows than a check reads: the first {rows} by key were looked at"
            ),
        ));
    }
}

#[cfg(test)]
mod tests {
    use model::code::DataType;

    use super::*;

    fn rules() -> OpeningRules {
        OpeningRules::read(None).unwrap()
    }

    fn draft(open: OpenType) -> EntryDraft {
        let mut draft = crate::catalogue::blank("o", "330000");
        draft.open_type = open;
        draft.items = vec![
            Item::new("csrq", "出生日期", DataType::Date),
            Item::new("qh", "行政区划代码", DataType::Text),
            Item::new("bz", "备注", DataType::Text),
        ];
        draft
    }

    fn classes(rows: u64, below: u64) -> Option<Classes> {
        let columns = vec!["csrq".into(), "qh".into()];
        Some(Classes { columns, rows, classes: 3, smallest: 1, below, unique: below.min(1) })
    }

    fn keys(draft: &EntryDraft, seen: &Seen) -> Vec<(String, RiskWeight)> {
        findings(&rules(), draft, seen).into_iter().map(|f| (f.key(), f.weight)).collect()
    }

    #[test]
    fn a_harmless_set_has_no_finding() {
        let seen = Seen { rows: 10, whole: true, ..Seen::default() };
        assert_eq!(keys(&draft(OpenType::Unconditional), &seen), []);
    }

    #[test]
    fn the_same_thing_weighs_less_on_conditions() {
        let hits = vec![Hits { column: "bz".into(), values: 100, persons: 1, cards: 1 }];
        let seen =
            Seen { rows: 100, whole: false, hits, worst: classes(100, 6), all: classes(100, 4) };
        let free = keys(&draft(OpenType::Unconditional), &seen);
        assert_eq!(
            free,
            [
                ("combination:".to_owned(), RiskWeight::Block),
                ("identifier:bz".to_owned(), RiskWeight::Block),
                ("k-anonymity:".to_owned(), RiskWeight::Reason),
                ("part:".to_owned(), RiskWeight::Reason),
            ]
        );
        let bound = keys(&draft(OpenType::Restricted), &seen);
        assert!(bound.iter().all(|(_, w)| *w == RiskWeight::Reason), "{bound:?}");
        assert_eq!(bound.len(), 2);
    }

    #[test]
    fn grades_and_sensitive_items_weigh_by_how_open_they_would_be() {
        let mut d = draft(OpenType::Unconditional);
        d.items[0].grade = Grade::L4;
        d.items[1].grade = Grade::L2;
        d.items[2].sensitive = true;
        d.items[2].open_type = OpenType::Restricted;
        let seen = Seen { rows: 1, whole: true, ..Seen::default() };
        assert_eq!(
            keys(&d, &seen),
            [
                ("grade:csrq".to_owned(), RiskWeight::Block),
                ("grade:qh".to_owned(), RiskWeight::Reason),
                ("sensitive:bz".to_owned(), RiskWeight::Reason),
            ]
        );
        d.items[0].open_type = OpenType::None;
        assert!(keys(&d, &seen).iter().all(|(k, _)| k != "grade:csrq"), "what stays closed");
        assert_eq!(keys(&d, &Seen::default())[1].0, "no-rows:");
    }

    #[test]
    fn places_count_only_beside_a_person() {
        let r = rules();
        let d = draft(OpenType::Unconditional);
        let names: Vec<_> = r.quasi(d.items.iter()).iter().map(|i| i.identifier.clone()).collect();
        assert_eq!(names, ["csrq", "qh"]);
        assert!(r.quasi(d.items.iter().skip(1)).is_empty(), "companies by region name nobody");
    }
}

//! Rule packs: what they find, which version holds, what they refuse, and what is wrong with a pack itself.

use model::code::{DataType, Grade, OpenType, ShareType, UpdateCycle};
use model::entry::EntryDraft;
use model::finding::{Finding, Level};
use model::item::Item;

use super::super::tests::sample;
use super::{Pack, Packs, gate, hits, lint};

fn day(text: &str) -> chrono::NaiveDate {
    text.parse().unwrap()
}

fn packs(own: &str) -> Packs {
    let own: Vec<Pack> =
        if own.is_empty() { Vec::new() } else { vec![toml::from_str(own).unwrap()] };
    Packs::read(own).unwrap()
}

/// A draft that follows every rule.
fn good() -> EntryDraft {
    let mut draft = sample();
    draft.title = "企业登记基本信息".into();
    draft.title_en = "Registered enterprises".into();
    draft.description = "全省企业登记的基本信息，由登记系统每日产生。".into();
    draft.source_system = "登记系统".into();
    draft.licence = "开放许可".into();
    for item in &mut draft.items {
        item.name_en = item.identifier.clone();
        if item.data_type == DataType::Text {
            item.length = 50;
        }
    }
    draft
}

/// `rule field` of what a change of the good draft breaks.
fn found(change: impl FnOnce(&mut EntryDraft)) -> Vec<String> {
    let mut draft = good();
    change(&mut draft);
    lint(&packs(""), day("2026-03-01"), &draft)
        .into_iter()
        .map(|f| format!("{} {}", f.rule.trim_start_matches("ledger."), f.field))
        .collect()
}

fn findings(draft: &EntryDraft, rule: &str) -> Vec<Finding> {
    let all = lint(&packs(""), day("2026-03-01"), draft);
    all.into_iter().filter(|f| f.rule == rule).collect()
}

#[test]
fn a_draft_that_follows_the_rules_has_no_finding() {
    assert_eq!(found(|_| {}), Vec::<String>::new());
}

#[test]
fn every_kind_of_rule_finds_its_place() {
    assert_eq!(found(|d| d.title = "数据".into()), ["title-generic title", "title-short title"]);
    assert_eq!(found(|d| d.title = "Enterprises".into()), ["title-chinese title"]);
    assert_eq!(found(|d| d.title = "企业登记备份".into()), ["title-words title"]);
    assert_eq!(found(|d| d.title_en.clear()), ["title-english title_en"]);
    assert_eq!(
        found(|d| d.description = d.title.clone()),
        ["description-short description", "description-title description"]
    );
    assert_eq!(found(|d| d.code = "a__b_".into()), ["code-words code"]);
    assert_eq!(found(|d| d.profile.group = "30".into()), ["group-code group"]);
    assert_eq!(found(|d| d.profile.group = "302001/15".into()), Vec::<String>::new());
    assert_eq!(found(|d| d.update_cycle = UpdateCycle::Other), ["cycle-other update_cycle_other"]);
    assert_eq!(
        found(|d| {
            d.items[1].share_type = ShareType::None;
            d.items[1].share_basis = "依据".into();
        }),
        ["share-of-items share_type"]
    );
    assert_eq!(
        found(|d| {
            d.open_type = OpenType::None;
            d.open_basis = "依据".into();
        }),
        ["open-item-closed items[0].open_type", "open-item-closed items[2].open_type"]
    );
    assert_eq!(found(|d| d.items[0].name_cn = "id".into()), ["item-chinese items[0].name_cn"]);
    assert_eq!(found(|d| d.items[2].name_cn = "编号".into()), ["item-unique items[2].name_cn"]);
    assert_eq!(found(|d| d.items[0].length = 0), ["text-length items[0].length"]);
    assert_eq!(found(|d| d.items[0].name_cn = "发证日期".into()), ["date-type items[0].data_type"]);
    assert_eq!(found(|d| d.items[0].sensitive = true), ["sensitive-grade items[0].grade"]);
}

#[test]
fn standard_elements_are_known_by_name_and_identifier() {
    let told = found(|d| {
        d.items.push(Item {
            length: 18,
            name_en: "x".into(),
            ..Item::new("zjhm", "身份证号", DataType::Integer)
        });
        d.items.push(Item { length: 1, ..Item::new("xb", "男女", DataType::Text) });
        d.items.push(Item {
            length: 9,
            name_en: "x".into(),
            code_table: "GB/T 2260".into(),
            ..Item::new("q", "行政区划代码", DataType::Text)
        });
    });
    assert_eq!(
        told,
        [
            "item-english items[4].name_en",
            "element-data_type items[3].data_type",
            "element-grade items[3].grade",
            "element-code_table items[4].code_table",
            "element-name_en items[4].name_en",
            "element-length items[5].length",
        ]
    );
    let mut draft = good();
    draft.items.push(Item {
        length: 1,
        name_en: "x".into(),
        ..Item::new("xb", "性别", DataType::Text)
    });
    let told = findings(&draft, "ledger.element-code_table");
    assert_eq!(told[0].fixed.as_deref(), Some("GB/T 2261.1"));
    assert!(told[0].zh.contains("GB/T 2261.1") && told[0].en.contains("Sex"), "{}", told[0].zh);
    // An enumeration in the item itself needs no code list.
    draft.items.last_mut().unwrap().value_domain = "男|女".into();
    assert!(findings(&draft, "ledger.element-code_table").is_empty());
}

#[test]
fn a_finding_says_what_where_and_how_and_mends_only_what_then_follows() {
    let mut draft = good();
    draft.title = "企业登记信息。".into();
    draft.items[0].name_en = "编号".into();
    let told = findings(&draft, "ledger.title-mark");
    assert_eq!(told[0].fixed.as_deref(), Some("企业登记信息"));
    assert_eq!(told[0].level, Level::Warning);
    assert!(
        told[0].zh.contains("现为 `企业登记信息。`") && told[0].zh.contains("去掉末尾的标点"),
        "{}",
        told[0].zh
    );
    let told = findings(&draft, "ledger.item-english-chinese");
    assert_eq!((told[0].item.as_str(), told[0].fixed.as_deref()), ("id", Some("id")));
    draft.title = "。".into();
    assert_eq!(findings(&draft, "ledger.title-mark")[0].fixed, None, "nothing would be left of it");
    let kept = hits(&packs(""), day("2026-03-01"), &draft);
    assert!(kept.iter().any(|h| h.rule == "ledger.title-mark" && h.places == 1));
}

#[test]
fn errors_keep_a_draft_from_review_but_not_an_old_entry_from_being_mended() {
    let (packs, day) = (packs(""), day("2026-03-01"));
    let mut bad = good();
    bad.items[0].name_cn = "id".into();
    let refusal = gate(&packs, day, None, &bad).unwrap_err();
    assert_eq!(refusal.code(), model::Code::RuleBroken);
    assert_eq!(refusal.fields()[0].field, "items[0].name_cn");
    // The error stands in what is in force already: a change that leaves it may be handed in, one that adds may not.
    let mut change = bad.clone();
    change.description.push_str("另有说明。");
    gate(&packs, day, Some(&bad), &change).unwrap();
    change.title = "数据".into();
    assert_eq!(gate(&packs, day, Some(&bad), &change).unwrap_err().fields()[0].field, "title");
    let mut warned = good();
    warned.licence.clear();
    gate(&packs, day, None, &warned).unwrap();
}

const LATER: &str = r#"
id = "ledger"
version = 2
effective = "2027-01-01"
zh = "新版"
en = "newer"

[[rule]]
id = "tags"
level = "error"
at = "entry"
on = "tags"
zh = "须有标签"
en = "there must be a tag"
mend_zh = "填写标签"
mend_en = "give one"
filled = true
"#;

#[test]
fn the_newest_version_in_force_holds() {
    let packs = packs(LATER);
    let rules = |d| packs.rules(day(d)).into_iter().map(|r| r.id).collect::<Vec<_>>();
    assert!(rules("2026-12-31").contains(&"ledger.title-generic".to_owned()));
    assert_eq!(rules("2027-01-01"), ["ledger.tags"]);
    assert!(rules("2025-12-31").is_empty());
    assert_ne!(packs.fingerprint(day("2026-12-31")), packs.fingerprint(day("2027-01-01")));
    let told = lint(&packs, day("2027-06-01"), &good());
    assert_eq!(told[0].field, "tags");
}

#[test]
fn a_pack_that_names_what_is_not_there_is_refused_with_the_place() {
    let faulty = |text: &str| {
        let pack: Pack = toml::from_str(text).unwrap();
        Packs::read(vec![pack]).unwrap_err()
    };
    let e = faulty(&LATER.replace("on = \"tags\"", "on = \"tagz\""));
    assert!(e.zh().contains("ledger v2 tags") && e.zh().contains("tagz"), "{}", e.zh());
    let e = faulty(&LATER.replace("filled = true", ""));
    assert!(e.zh().contains("没有任何要求"), "{}", e.zh());
    assert!(toml::from_str::<Pack>(&LATER.replace("filled = true", "pattern = \"(\"")).is_err());
    assert!(toml::from_str::<Pack>(&LATER.replace("filled", "fillled")).is_err());
    // The operator's rule file is where such a pack stands.
    let file = format!(
        "{}\n[[pack]]{}",
        include_str!("../../../rules/limits.toml"),
        LATER.replace("[[rule]]", "[[pack.rule]]")
    );
    let rules = crate::rules::Rules::parse(&file).unwrap();
    assert_eq!(rules.packs.rules(day("2027-01-01")).len(), 1);
    assert!(crate::rules::Rules::parse(&file.replace("on = \"tags\"", "on = \"x\"")).is_err());
    assert_eq!(Grade::parse("L3"), Some(Grade::L3));
}

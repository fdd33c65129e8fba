//! The province is what it promises: the same each time, sound in its declarations, dirty where it says so.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use model::account::Role;
use model::code::{DataType, Grade, OpenType, ResourceKind, ShareType, SyncMode, UpdateCycle};
use model::ident;
use model::item::Item;
use model::mask::Mask;
use model::org::{Org, OrgKind};
use model::request::{Period, RequestState};

use super::*;

fn bytes(entry: &DemoEntry) -> Vec<u8> {
    let mut out = Vec::new();
    entry.write(&mut out).unwrap();
    out
}

fn hash(seed: u64, scale: u32) -> u64 {
    let mut hasher = DefaultHasher::new();
    for entry in province(seed, scale).entries {
        serde_json::to_string(&entry.draft).unwrap().hash(&mut hasher);
        bytes(&entry).hash(&mut hasher);
    }
    hasher.finish()
}

#[test]
fn same_seed_and_scale_same_bytes() {
    assert_eq!(hash(7, 1), hash(7, 1));
    assert_ne!(hash(7, 1), hash(8, 1));
}

#[test]
fn scale_multiplies_the_rows() {
    let (one, three) = (province(1, 1), province(1, 3));
    for (a, b) in one.entries.iter().zip(&three.entries) {
        assert_eq!(a.row_count() * 3, b.row_count(), "{}", a.draft.code);
    }
    assert!(one.entries.iter().map(DemoEntry::row_count).sum::<u64>() > 50_000);
    let largest = three.entries.iter().find(|e| e.draft.code == "fr_jbxx").unwrap();
    let mut out = Vec::new();
    assert_eq!(largest.write(&mut out).unwrap().rows, largest.row_count());
}

#[test]
fn a_word_of_a_subject_finds_its_sets_only() {
    let province = province(1, 1);
    let every = || province.entries.iter().chain(&province.fed);
    let marked =
        every().filter(|e| e.draft.description.contains("演示用合成数据（synthetic data）"));
    assert_eq!(marked.count(), every().count());
    for word in ["企业", "个人", "人口", "车辆", "设施", "机构", "学校", "道路"] {
        let found = every().filter(|e| e.draft.description.contains(word)).count();
        assert!(found * 3 < every().count(), "{word} stands in {found} descriptions");
    }
}

/// Reads delimited text the simple way: the writer never puts line breaks into cells.
fn records(entry: &DemoEntry) -> Vec<Vec<String>> {
    let text = String::from_utf8(bytes(entry)).unwrap();
    let text = text.trim_start_matches('\u{feff}');
    let delimiter = match entry.file_name().unwrap() {
        n if n.ends_with("tsv") => '\t',
        _ if text.lines().next().unwrap().contains(';') => ';',
        _ => ',',
    };
    text.lines().map(|l| split(l, delimiter)).collect()
}

fn split(line: &str, delimiter: char) -> Vec<String> {
    let (mut cells, mut cell, mut quoted, mut chars) =
        (Vec::new(), String::new(), false, line.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => cell.extend(chars.next()),
            '"' => quoted = !quoted,
            c if c == delimiter && !quoted => cells.push(std::mem::take(&mut cell)),
            c => cell.push(c),
        }
    }
    cells.push(cell);
    cells
}

/// Whether typing would have to refuse the cell.
fn misfit(item: &Item, cell: &str) -> bool {
    if cell.is_empty() {
        return !item.nullable;
    }
    let long = item.length > 0 && cell.chars().count() > item.length as usize;
    let list: Vec<&str> = item.value_domain.split('|').collect();
    let unlisted = list.len() > 1 && !list.contains(&cell);
    let shape = match (item.format.as_str(), item.data_type) {
        ("citizen_id", _) => ident::citizen_id(cell).is_err(),
        ("uscc", _) => ident::uscc(cell).is_err(),
        (_, DataType::Integer) => cell.parse::<i64>().is_err(),
        (_, DataType::Decimal) => {
            let (whole, part) = cell.split_once('.').unwrap_or((cell, ""));
            let digits = whole.trim_start_matches('-').len();
            cell.parse::<f64>().is_err()
                || part.len() > usize::from(item.scale)
                || digits > usize::from(item.precision - item.scale)
        }
        (_, DataType::Date) => chrono::NaiveDate::parse_from_str(cell, "%Y-%m-%d").is_err(),
        (_, DataType::DateTime) => {
            chrono::NaiveDateTime::parse_from_str(cell, "%Y-%m-%d %H:%M:%S").is_err()
        }
        (_, DataType::Geometry) => serde_json::from_str::<serde_json::Value>(cell).is_err(),
        _ => false,
    };
    long || unlisted || shape
}

#[test]
fn clean_rows_fit_and_dirty_rows_are_counted() {
    let mut kinds = BTreeSet::new();
    for entry in province(20_260_101, 1).entries.iter().filter(|e| e.file_name().is_some()) {
        let code = &entry.draft.code;
        let records = records(entry);
        let items = &entry.draft.items;
        let names: Vec<&str> = items.iter().map(|i| i.name_cn.as_str()).collect();
        assert_eq!(records[0], names, "{code}");
        let mut dirty = 0;
        let mut keys = BTreeSet::new();
        for (n, cells) in records[1..].iter().enumerate() {
            let bad: Vec<&Item> =
                items.iter().zip(cells).filter(|(i, c)| misfit(i, c)).map(|(i, _)| i).collect();
            if cells.len() != items.len() || !bad.is_empty() {
                dirty += 1;
                kinds.insert(if cells.len() == items.len() {
                    bad[0].data_type.as_str()
                } else {
                    "ragged"
                });
                assert_eq!(n as u64 % 211, 40, "{code} row {n} is dirty by accident: {cells:?}");
                continue;
            }
            let key: Vec<&String> =
                items.iter().zip(cells).filter(|(i, _)| i.primary).map(|(_, c)| c).collect();
            assert!(keys.insert(format!("{key:?}")), "{code} row {n}: key {key:?} twice");
            assert_eq!(cells.last().unwrap(), "合成数据", "{code} row {n}");
        }
        let written = entry.write(&mut std::io::sink()).unwrap();
        assert_eq!((written.rows, written.dirty), (records.len() as u64 - 1, dirty), "{code}");
        assert!(dirty > 0 && dirty * 50 < written.rows, "{code}: {dirty} of {}", written.rows);
    }
    assert!(
        kinds.contains("ragged") && kinds.contains("date") && kinds.contains("text"),
        "{kinds:?}"
    );
}

#[test]
fn declarations_keep_the_rules() {
    let province = province(1, 1);
    let mut codes = BTreeSet::new();
    for e in &province.entries {
        let d = &e.draft;
        assert!(codes.insert(&d.code), "{}", d.code);
        assert!(d.description.contains("合成数据") && d.description.chars().count() <= 1000);
        assert!(province.orgs.iter().any(|o| o.id == d.org), "{}", d.org);
        assert!(
            province.users.iter().any(|u| u.name == e.compiler && u.org.as_deref() == Some(&d.org)),
            "{}",
            d.code
        );
        assert!(province.users.iter().any(|u| u.name == orgs::reviewer_of(&d.org)), "{}", d.code);
        assert!(!d.key().is_empty(), "{} has a key", d.code);
        let mut seen = BTreeSet::new();
        for i in &d.items {
            let at = format!("{}.{}", d.code, i.identifier);
            assert!(Item::identifier_ok(&i.identifier) && seen.insert(&i.identifier), "{at}");
            for filled in [
                &i.name_en,
                &i.definition,
                &i.object_class,
                &i.representation,
                &i.source_org,
                &i.app,
            ] {
                assert!(!filled.is_empty(), "{at}: {i:?}");
            }
            assert!(i.open_type != OpenType::Unconditional || i.grade == Grade::L1, "{at}");
            assert!(i.open_type != OpenType::Restricted || i.grade <= Grade::L3, "{at}");
            assert!(i.share_type != ShareType::Unconditional || i.grade <= Grade::L2, "{at}");
            assert!(i.share_type != ShareType::None || !i.share_basis.is_empty(), "{at}");
            assert!(i.share_type != ShareType::Restricted || !i.share_condition.is_empty(), "{at}");
            assert!(d.share_type != ShareType::None || i.share_type == ShareType::None, "{at}");
        }
        match d.open_type {
            OpenType::Unconditional => {
                assert!(d.items.iter().any(|i| i.open_type == OpenType::Unconditional))
            }
            OpenType::Restricted => assert!(!d.open_condition.is_empty()),
            OpenType::None => assert!(!d.open_basis.is_empty()),
        }
        assert!(d.share_type != ShareType::None || !d.share_basis.is_empty());
        assert_eq!(e.file_name().is_some(), e.target.published(), "{}", d.code);
    }
}

#[test]
fn every_state_and_attribute_is_there() {
    let province = province(1, 1);
    for target in Target::ALL {
        assert!(province.entries.iter().any(|e| e.target == target), "{target:?}");
    }
    for share in ShareType::ALL {
        assert!(province.entries.iter().any(|e| e.draft.share_type == *share), "{share}");
    }
    for open in OpenType::ALL {
        assert!(province.entries.iter().any(|e| e.draft.open_type == *open), "{open}");
    }
    for grade in Grade::ALL {
        assert!(province.entries.iter().any(|e| e.draft.grade() == *grade), "{grade}");
    }
    let entries = &province.entries;
    for cycle in UpdateCycle::ALL {
        assert!(entries.iter().any(|e| e.draft.update_cycle == *cycle), "{cycle}");
    }
    for kind in ResourceKind::ALL {
        assert!(entries.iter().any(|e| e.draft.kind == *kind), "{kind}");
    }
    for mode in SyncMode::ALL {
        assert!(entries.iter().any(|e| e.draft.sync_mode == *mode), "{mode}");
    }
    assert!(entries.iter().any(|e| {
        let items = e.draft.items.iter().map(|i| i.grade).max();
        e.draft.raised_grade > items
    }));
    let declared: Vec<&Mask> =
        entries.iter().flat_map(|e| &e.draft.items).filter_map(|i| i.mask.as_ref()).collect();
    assert!(declared.contains(&&Mask::Hash) && declared.contains(&&Mask::FormatPreserving));
    for kind in [
        OrgKind::StateOrgan,
        OrgKind::AuthorisedOrg,
        OrgKind::UtilityOperator,
        OrgKind::NationalStationed,
        OrgKind::Enterprise,
    ] {
        assert!(province.orgs.iter().any(|o| o.kind == kind), "{kind:?}");
    }
    for role in Role::ALL {
        assert!(province.users.iter().any(|u| u.roles.contains(&role)), "{role:?}");
    }
}

#[test]
fn every_outcome_and_period_of_an_application_is_there() {
    let province = province(1, 1);
    let requests = &province.requests;
    for state in RequestState::ALL {
        assert!(requests.iter().any(|r| r.outcome.state() == state), "{}", state.zh());
    }
    let ordinary = |r: &&DemoRequest| r.until_in_days.is_none();
    assert!(requests.iter().filter(ordinary).any(|r| r.new.period == Period::Long));
    assert!(requests.iter().filter(ordinary).any(|r| matches!(r.new.period, Period::Days { .. })));
    assert!(requests.iter().any(|r| r.until_in_days.is_some()));
    assert!(requests.iter().any(|r| !r.new.area_range.is_empty()));
    // What is over must have been filed before its time ended.
    for r in requests.iter().filter(|r| r.outcome == Outcome::Expired) {
        let Period::Days { days } = r.new.period else { panic!("{r:?}") };
        assert!(r.filed_days_ago > days, "{r:?}");
    }
    let open_if = |code: &str| {
        province
            .entries
            .iter()
            .any(|e| e.draft.code == code && e.draft.open_type == OpenType::Restricted)
    };
    assert!(requests.iter().any(|r| r.by == "enterprise" && open_if(&r.new.entry)));
}

/// Rows name the cities without asking the table of regions; they name them as it does.
#[test]
fn cities_are_called_as_in_the_table_of_regions() {
    let regions = model::region::zhejiang();
    let cities = regions.iter().filter(|r| r.level == model::region::RegionLevel::City);
    let named: Vec<(&str, &str)> = cities.map(|r| (r.code.as_str(), r.name_cn.as_str())).collect();
    let told = super::subject::CITIES.map(|(code, name, ..)| (code, name));
    assert_eq!(named, told);
    assert_eq!(super::subject::HANGZHOU, super::subject::CITIES[0]);
}

#[test]
fn organisations_and_people_fit_together() {
    let province = province(1, 1);
    let by_id: BTreeMap<&str, &Org> = province.orgs.iter().map(|o| (o.id.as_str(), o)).collect();
    let regions = model::region::zhejiang();
    for (n, org) in province.orgs.iter().enumerate() {
        ident::uscc(&org.uscc).unwrap();
        assert!(regions.iter().any(|r| r.code == org.region), "{org:?}");
        if let Some(parent) = &org.parent {
            assert!(
                province.orgs[..n].iter().any(|o| o.id == *parent),
                "{} stands after its parent",
                org.id
            );
        }
    }
    assert_eq!(province.orgs.iter().map(|o| &o.uscc).collect::<BTreeSet<_>>().len(), by_id.len());
    for user in &province.users {
        assert!(user.org.as_ref().is_none_or(|o| by_id.contains_key(o.as_str())), "{user:?}");
    }
    for org in &province.orgs {
        let compiler = orgs::compiler_of(&org.id);
        let compiles =
            province.users.iter().any(|u| u.name == compiler && u.roles.contains(&Role::Provider));
        assert!(
            compiles
                || matches!(org.id.as_str(), "yhsj" | "bmyy" | "cskj" | "sqyy" | "szfx" | "xxfw"),
            "{}",
            org.id
        );
    }
    for name in [
        "admin",
        "authority",
        "provider",
        "reviewer",
        "consumer",
        "security",
        "auditor",
        "enterprise",
        "citizen",
        "city",
        "county",
        "operator",
        "analyst",
        "debtor",
    ] {
        assert!(province.users.iter().any(|u| u.name == name), "{name}");
    }
}

#[test]
fn share_applications_ask_for_what_is_there() {
    let province = province(1, 1);
    for r in &province.requests {
        let entry = province.entries.iter().find(|e| e.draft.code == r.new.entry).unwrap();
        assert_eq!(entry.target, Target::Online, "{}", r.new.entry);
        assert_ne!(entry.draft.share_type, ShareType::None);
        for item in &r.new.items {
            let item =
                entry.draft.item(item).unwrap_or_else(|| panic!("{} has no {item}", r.new.entry));
            assert_ne!(item.share_type, ShareType::None);
        }
        let application =
            province.applications.iter().find(|a| a.handle == r.new.application).unwrap();
        assert_eq!(application.owner, r.by);
        assert!(
            province
                .users
                .iter()
                .any(|u| u.name == r.by && u.org.as_deref() == Some(&application.new.org))
        );
    }
}

mod manifests {
    use super::super::manifest::{DataSet, parse};
    use model::Result;
    use model::code::DataType;

    const GOOD: &str = r#"
version = 1
[[dataset]]
code = "t"
title = "表"
description = "说明"
org = "sdsj"
region = "330000"
domain = "地理空间"
cycle = "每年"
licence = "MIT"
attribution = "甲"
file = "sub/a.csv"
rows = 2
delimiter = ";"
items = [
  { id = "code", name = "代码", primary = true },
  { id = "n", name = "数", type = "integer", lookup = true },
]
"#;

    fn check(text: &str) -> Result<Vec<DataSet>> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        std::fs::write(dir.path().join("sub/a.csv"), "code;n\n1;2\n3;4\n").unwrap();
        std::fs::write(dir.path().join("m.json"), r#"{"a":{"x":"1,2"},"b":{"y":"3,4"}}"#).unwrap();
        let sets = parse(text, "m.toml", dir.path())?;
        for set in &sets {
            let source = set.source(&dir.path().join("scratch"))?;
            assert!(std::fs::read_to_string(source).unwrap().lines().count() == 3);
        }
        Ok(sets)
    }

    /// Without the data folder nothing but the files may be missing.
    #[test]
    fn the_manifest_of_the_real_data_is_sound() {
        let dir = tempfile::tempdir().unwrap();
        let e = super::super::manifest::read(None, dir.path()).unwrap_err();
        assert_eq!(e.fields().len(), 28);
        assert!(e.fields().iter().all(|f| f.field.ends_with(".file")), "{e}");
    }

    /// Reads every file as `--load` would: all records, and none that does not fit.
    #[tokio::test]
    #[ignore = "needs the folder of the real data, named by QIANTANG_REAL_DATA"]
    #[expect(clippy::disallowed_methods, reason = "the folder is said by whoever runs it by hand")]
    async fn the_real_data_are_read_to_the_last_record() {
        use futures::StreamExt;
        use policy::port::{Intake, Source};

        let dir = std::env::var("QIANTANG_REAL_DATA")
            .expect("set QIANTANG_REAL_DATA to the folder of the real data");
        let scratch = tempfile::tempdir().unwrap();
        let mut faults = Vec::new();
        for set in super::super::manifest::read(None, std::path::Path::new(&dir)).unwrap() {
            let code = set.draft.code.clone();
            let path = set.source(scratch.path()).unwrap();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let source = Source::File { path, name };
            let reading = ingest::Reader::new().read(&source, &set.draft.items, &set.options).await;
            let mut reading = match reading {
                Ok(reading) => reading,
                Err(e) => {
                    faults.push(format!("{code}: {} {:?}", e.en(), e.fields()));
                    continue;
                }
            };
            let (mut read, mut rejects) = (0, Vec::new());
            while let Some(chunk) = reading.chunks.next().await {
                let chunk = chunk.unwrap_or_else(|e| panic!("{code}: {e}"));
                read += chunk.read;
                rejects.extend(chunk.rejects);
            }
            if set.expected_rows != Some(read) || !rejects.is_empty() {
                let first = rejects.first().map(|r| format!("{}: {} ({})", r.line, r.en, r.value));
                faults.push(format!(
                    "{code}: {read} of {:?} read, {} do not fit, first {first:?}",
                    set.expected_rows,
                    rejects.len()
                ));
            }
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    #[test]
    fn a_good_manifest_is_read() {
        let sets = check(GOOD).unwrap();
        let set = &sets[0];
        assert_eq!((set.expected_rows, set.options.delimiter), (Some(2), Some(';')));
        assert_eq!(set.draft.key(), ["code"]);
        assert!(set.draft.items[1].data_type == DataType::Integer && !set.draft.items[0].nullable);
        let nested = GOOD.replace("sub/a.csv", "m.json").replace(
            "delimiter = \";\"",
            "flatten = { levels = [\"l\", \"k\"], leaf = [\"a\", \"b\"], split = \",\" }",
        );
        assert_eq!(check(&nested).unwrap().len(), 1);
    }

    #[test]
    fn faults_name_line_or_key() {
        for (from, to, want) in [
            ("title = \"表\"", "title = 表", "m.toml:5"),
            ("cycle = \"每年\"", "cyclus = 1", "cyclus"),
            ("cycle = \"每年\"", "cycle = \"never ever\"", "t.cycle"),
            ("sub/a.csv", "sub/b.csv", "t.file"),
            ("sub/a.csv", "../a.csv", "t.file"),
            ("id = \"n\"", "id = \"N\"", "t.items.N.id"),
            ("type = \"integer\"", "type = \"int\"", "t.items.n.type"),
            ("version = 1", "version = 2", "version"),
        ] {
            assert!(GOOD.contains(from), "{from}");
            let e = check(&GOOD.replacen(from, to, 1)).unwrap_err();
            assert!(e.en().contains(want) && e.zh().contains(want), "{want}: {e}");
        }
    }
}

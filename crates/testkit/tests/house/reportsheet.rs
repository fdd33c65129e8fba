//! The workbook of a form: every value survives the way out and back; what cannot is told with its cell. And the real list
//! of service items as the filled workbook of a form.

use app::report;
use calamine::{Data, Reader, Xlsx};
use model::Kind;
use model::code::DataType;
use model::entry::EntryDraft;
use model::item::Item;
use model::report::{Every, TaskState};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use testkit::{COUNTY_ORG, House, draft};

use crate::reporting::*;

/// Every kind of value; `k` is the key.
fn kinds() -> EntryDraft {
    let mut key = Item::new("k", "键", DataType::Text);
    (key.primary, key.nullable, key.length) = (true, false, 40);
    let mut amount = Item::new("d", "小数", DataType::Decimal);
    (amount.precision, amount.scale) = (14, 3);
    let mut long = Item::new("l", "长数", DataType::Decimal);
    (long.precision, long.scale) = (28, 6);
    let item = Item::new;
    EntryDraft {
        items: vec![
            key,
            item("i", "整数", DataType::Integer),
            amount,
            long,
            item("f", "浮点数", DataType::Float),
            item("b", "真假", DataType::Boolean),
            item("day", "日期", DataType::Date),
            item("at", "时刻", DataType::DateTime),
            item("t", "文字", DataType::Text),
        ],
        ..draft("kinds")
    }
}

/// Rows as a person may fill them: nothing in a cell now and then.
fn rows() -> impl Strategy<Value = Vec<Vec<String>>> {
    let or_none = |value: BoxedStrategy<String>| prop_oneof![1 => Just(String::new()), 6 => value];
    let row = (
        or_none("-?[1-9][0-9]{0,17}".boxed()),
        or_none("-?[1-9][0-9]{0,9}\\.[0-9]{1,3}".boxed()),
        or_none("-?[1-9][0-9]{0,20}\\.[0-9]{1,6}".boxed()),
        or_none((-1e12..1e12_f64).prop_map(|f| f.to_string()).boxed()),
        or_none(
            prop_oneof![Just("true".to_owned()), Just("false".to_owned()), Just("是".to_owned())]
                .boxed(),
        ),
        or_none(
            (1970_i32..2099, 1_u32..13, 1_u32..29)
                .prop_map(|(y, m, d)| format!("{y}-{m:02}-{d:02}"))
                .boxed(),
        ),
        or_none(
            (1970_i32..2099, 1_u32..13, 0_u32..24, 0_u32..60)
                .prop_map(|(y, m, h, s)| format!("{y}-{m:02}-11T{h:02}:00:{s:02}"))
                .boxed(),
        ),
        // Codes with leading zeros, long digits, what looks like a formula, a date or an escape, several lines.
        or_none(
            prop_oneof![
                "0[0-9]{1,24}".boxed(),
                "[=+@'-][A-Z0-9]{1,6}".boxed(),
                Just("_x0041_".to_owned()).boxed(),
                Just("2026/3/1".to_owned()).boxed(),
                Just("第一行\n第二行".to_owned()).boxed(),
                "[\\p{Han}a-zA-Z<>&\"']{1,30}".boxed(),
            ]
            .boxed(),
        ),
    );
    proptest::collection::vec(row, 1..40).prop_map(|rows| {
        rows.into_iter()
            .enumerate()
            .map(|(n, (i, d, l, f, b, day, at, t))| {
                vec![format!("{n:06}"), i, d, l, f, b, day, at, t]
            })
            .collect()
    })
}

#[tokio::test]
async fn a_workbook_brings_every_value_back() {
    let house = House::new().await;
    tree(&house).await;
    let app = &house.app;
    let entry = house.publish(kinds()).await;
    let provider = house.person("provider").await;
    let form = report::offer(app, &provider, &entry.id).await.unwrap();
    let (_, tasks) = issued(&house, &entry, form, Every::Once).await;
    let county = house.person("county").await;
    let id = &of(&tasks, COUNTY_ORG).id;
    let columns: Vec<&str> = entry.draft.items.iter().map(|i| i.identifier.as_str()).collect();
    let mut runner = TestRunner::deterministic();
    for _ in 0..24 {
        let rows = rows().new_tree(&mut runner).unwrap().current();
        let texts: Vec<Vec<&str>> =
            rows.iter().map(|r| r.iter().map(String::as_str).collect()).collect();
        let given = file(&workbook(&columns, &texts, &[]));
        let seen = now(&house, &county, id).await.version;
        let import = report::import(app, &county, id, seen, given.path(), false).await.unwrap();
        assert!(import.saved, "{:?}", import.faults);
        let before = all(&house, &county, id).await;
        let (_, bytes) = report::filled(app, &county, id).await.unwrap();
        let back = file(&bytes);
        let seen = import.task.version;
        let import = report::import(app, &county, id, seen, back.path(), false).await.unwrap();
        assert!(import.saved, "{:?}", import.faults);
        assert_eq!(all(&house, &county, id).await, before);
        for (row, text) in before.iter().zip(&rows) {
            assert_eq!(row[0].as_deref(), Some(text[0].as_str()), "leading zeros");
            assert_eq!(row[8].as_deref().unwrap_or_default(), text[8], "texts as they are");
        }
    }
}

async fn all(house: &House, op: &model::Op, id: &str) -> Vec<Vec<Option<String>>> {
    let mut rows = Vec::new();
    let mut from = 1;
    loop {
        let page = report::rows(&house.app, op, id, None, from).await.unwrap();
        rows.extend(page.rows.into_iter().map(|(_, cells)| cells));
        match page.next {
            Some(next) => from = next,
            None => return rows,
        }
    }
}

#[tokio::test]
async fn a_template_is_locked_listed_and_known_again() {
    let house = House::new().await;
    tree(&house).await;
    let app = &house.app;
    let entry = house.publish(firms("mb")).await;
    let (_, tasks) = issued(&house, &entry, form(&house, &entry).await, Every::Month).await;
    let county = house.person("county").await;
    let id = &of(&tasks, COUNTY_ORG).id;
    let (name, bytes) = report::template(app, &county, id).await.unwrap();
    assert!(name.contains("余杭区数据局"), "{name}");
    let mut book = Xlsx::new(std::io::Cursor::new(&bytes)).unwrap();
    assert_eq!(book.sheet_names(), ["明细", "表头", "代码", "_form"]);
    let sheet = book.worksheet_range("明细").unwrap();
    let cell =
        |row, column| sheet.get_value((row, column)).map(Data::to_string).unwrap_or_default();
    assert_eq!((cell(0, 0), cell(1, 0)), ("行业 *".to_owned(), "kind".to_owned()));
    let lists = book.worksheet_range("代码").unwrap();
    assert_eq!(lists.get_value((1, 0)).map(Data::to_string).as_deref(), Some("02 农业"));
    let parts = |name: &str| {
        let mut archive = zip_text(&bytes, name);
        archive.retain(|c| c != '\n');
        archive
    };
    let xml = parts("xl/worksheets/sheet1.xml");
    assert!(
        xml.contains("<sheetProtection") && xml.contains("<dataValidation type=\"list\""),
        "{xml}"
    );
    assert!(parts("xl/comments1.xml").contains("必填"));

    // A workbook of another task's form is not taken, nor is what is no workbook.
    let other = house.publish(kinds()).await;
    let provider = house.person("provider").await;
    let plain = report::offer(app, &provider, &other.id).await.unwrap();
    let (_, others) = issued(&house, &other, plain, Every::Once).await;
    let wrong = &of(&others, COUNTY_ORG).id;
    for bytes in [bytes.as_slice(), b"a,b\n1,2\n", b"PK\x03\x04 broken"] {
        let given = file(bytes);
        let e = report::import(app, &county, wrong, 1, given.path(), true).await.unwrap_err();
        assert_eq!(e.kind(), Kind::Invalid, "{e}");
    }
    // Columns that were moved are found by their codes; strange and missing ones are told; a number of 18 digits is.
    let codes = ["note", "firms", "未知", "kind"];
    let rows = vec![vec!["", "#123456789012345678", "x", "01"]];
    let given = file(&workbook(&codes, &rows, &[("day", "2026-02-28")]));
    let import = report::import(app, &county, id, 1, given.path(), false).await.unwrap();
    let places: Vec<&str> = import.faults.iter().map(|f| f.at.as_str()).collect();
    for at in ["明细!C2", "明细!2", "明细!B3"] {
        assert!(places.contains(&at), "{at}: {:?}", import.faults);
    }
}

fn zip_text(bytes: &[u8], name: &str) -> String {
    use std::io::Read;
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let mut text = String::new();
    archive.by_name(name).unwrap().read_to_string(&mut text).unwrap();
    text
}

/// The list of service items of `QIANTANG_REAL_DATA` (a folder with `service_items/`), 1,135 rows, filled into the
/// template's own columns: rows and checksum in the lake are those of the file.
#[tokio::test]
#[ignore = "needs the folder of real data: QIANTANG_REAL_DATA"]
#[expect(clippy::disallowed_methods, reason = "who runs the test says where the data are")]
async fn the_real_service_items_come_through_a_form() {
    let folder = std::env::var("QIANTANG_REAL_DATA").expect("QIANTANG_REAL_DATA names the folder");
    let path = std::path::Path::new(&folder).join("service_items/guangan_service_items.csv");
    let mut reader = csv::Reader::from_path(path).unwrap();
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let rows: Vec<Vec<String>> =
        reader.records().map(|r| r.unwrap().iter().map(str::to_owned).collect()).collect();
    let house = House::new().await;
    tree(&house).await;
    let app = &house.app;
    let mut entry = draft("service_items");
    let names = [
        "部门",
        "部门代码",
        "行政区划",
        "主项名称",
        "事项名称",
        "事项编码",
        "事项类型",
        "办理链接",
    ];
    assert_eq!(header.len(), names.len());
    entry.items =
        header.iter().zip(names).map(|(id, name)| Item::new(id, name, DataType::Text)).collect();
    for item in entry.items.iter_mut().filter(|i| i.identifier == "item_code") {
        (item.primary, item.nullable) = (true, false);
    }
    let entry = house.publish(entry).await;
    let provider = house.person("provider").await;
    let mut form = report::offer(app, &provider, &entry.id).await.unwrap();
    form.title = "政务服务事项清单".into();
    let (_, tasks) = issued(&house, &entry, form, Every::Once).await;
    let (city, county) = (house.person("city").await, house.person("county").await);
    let id = &of(&tasks, COUNTY_ORG).id;

    let (_, template) = report::template(app, &county, id).await.unwrap();
    let mut book = Xlsx::new(std::io::Cursor::new(&template)).unwrap();
    let sheet = book.worksheet_range("明细").unwrap();
    let codes: Vec<String> = (0..header.len())
        .map(|n| sheet.get_value((1, u32::try_from(n).unwrap())).unwrap().to_string())
        .collect();
    let places: Vec<usize> =
        codes.iter().map(|code| header.iter().position(|h| h == code).unwrap()).collect();
    let cells: Vec<Vec<&str>> =
        rows.iter().map(|row| places.iter().map(|p| row[*p].as_str()).collect()).collect();
    let columns: Vec<&str> = codes.iter().map(String::as_str).collect();
    let given = file(&workbook(&columns, &cells, &[]));
    let began = std::time::Instant::now();
    let import = report::import(app, &county, id, 1, given.path(), false).await.unwrap();
    assert!(import.saved && import.read == rows.len() as u64, "{:?}", import.faults);
    let imported = began.elapsed();
    let done = report::submit(app, &county, id, import.task.version, &[]).await.unwrap();
    assert!(done.submitted, "{:?}", done.faults);
    let task = report::accept(app, &city, id).await.unwrap();
    assert_eq!((task.state, task.landed.rows), (TaskState::Accepted, rows.len() as u64));
    let accepted = began.elapsed() - imported;
    let mut sent = rows.clone();
    sent.sort();
    let there = lake(&house, "service_items").await;
    let sum = |rows: &[Vec<String>]| {
        guard::hash::sha256_hex(serde_json::to_string(rows).unwrap().as_bytes())
    };
    println!(
        "service items: file {} rows {}, lake {} rows {}; import {imported:?}, submit and accept {accepted:?}",
        sent.len(),
        &sum(&sent)[..16],
        there.len(),
        &sum(&there)[..16]
    );
    assert_eq!(there.len(), sent.len());
    assert_eq!(sum(&there), sum(&sent));
}

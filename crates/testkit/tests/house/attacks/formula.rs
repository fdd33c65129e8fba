//! Formulas in files for spreadsheets: a provider's partner writes texts that a spreadsheet program would run on a citizen's machine.

use std::io::Cursor;

use axum::body::Body;
use axum::http::Request;
use calamine::{Data, Reader as _, Xlsx};
use model::code::SyncMode;
use testkit::House;

use super::doors::Doors;

const TEXTS: [&str; 6] = ["=cmd|' /C calc'!A0", "+1", "-2+3", "@SUM(A1:A9)", "＝1+1", "＋1"];

async fn house() -> Doors {
    let house = House::new().await;
    let mut draft = testkit::draft("gongshi");
    draft.title = "=1+1 公式".into();
    draft.items[1].definition = "@SUM(A1)".into();
    house.publish(draft).await;
    let mut rows = "id,name,amount,day\n".to_owned();
    for (n, text) in TEXTS.iter().enumerate() {
        rows.push_str(&format!("{n},{text},-1.50,2026-01-01\n"));
    }
    house.collect("gongshi", "g.csv", rows.as_bytes(), SyncMode::Full).await.unwrap();
    Doors::of(house)
}

/// Name and amount of every row.
fn columns(text: &str) -> Vec<(String, String)> {
    let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    // CKAN's dump begins with a number of the row.
    let first = usize::from(&reader.headers().unwrap()[0] == "_id");
    let row = |r: Result<csv::StringRecord, csv::Error>| {
        let r = r.unwrap();
        (r[first + 1].to_owned(), r[first + 2].to_owned())
    };
    reader.records().map(row).collect()
}

/// A citizen opens the CSV of the site: every such text is a text, numbers are numbers.
#[tokio::test]
async fn a_csv_for_spreadsheets_holds_no_formula() {
    let doors = house().await;
    let mut citizen = doors.visitor();
    let file = citizen.get("/data/gongshi/download.csv").await;
    assert!(file.text().starts_with('\u{feff}'));
    for (text, (name, amount)) in TEXTS.iter().zip(columns(&file.text())) {
        assert_eq!((name, amount.as_str()), (format!("'{text}"), "-1.50"));
    }
    for (path, cell) in
        [("/catalogue.csv", "'=1+1 公式"), ("/data/gongshi/metadata.csv", "'@SUM(A1)")]
    {
        let file = citizen.get(path).await.text();
        assert!(file.contains(cell), "{path}: {file}");
    }
    let mut provider = doors.person("provider").await;
    let file = provider.get("/console/export.csv").await;
    assert!(file.text().contains("'=1+1 公式"), "{}", file.text());
    // And what was exported is what is imported: nothing has changed by it.
    let path = doors.house.folder().join("exported.csv");
    std::fs::write(&path, &file.bytes).unwrap();
    let op = doors.house.person("provider").await;
    let report = app::catalogue::import(&doors.house.app, &op, &path, "c.csv", true).await.unwrap();
    assert_eq!(report.entries, 1, "{report:?}");
    assert!(report.changed.is_empty() && report.faults.is_empty(), "{report:?}");
}

/// Programs read the texts as they are, by every way that is made for them.
#[tokio::test]
async fn what_programs_read_is_exact() {
    let doors = house().await;
    let id = doors.house.app.store.entry_get("gongshi").await.unwrap().unwrap().id;
    let mut citizen = doors.visitor();
    let asked = Request::get("/api/v1/gongshi?select=id,name,amount&order=id.asc")
        .header("accept", "text/csv")
        .body(Body::empty())
        .unwrap();
    for (way, text) in [
        ("bom=0", citizen.get("/data/gongshi/download.csv?bom=0").await.text()),
        ("dump", doors.fetch(&format!("/datastore/dump/{id}-csv?bom=true")).await.text()),
        ("api", doors.program(asked).await.text()),
    ] {
        for (text, (name, amount)) in TEXTS.iter().zip(columns(&text)) {
            assert_eq!((name.as_str(), amount.as_str()), (*text, "-1.50"), "{way}");
        }
    }
    let json: serde_json::Value =
        serde_json::from_slice(&citizen.get("/data/gongshi/download.json").await.bytes).unwrap();
    for (n, text) in TEXTS.iter().enumerate() {
        assert_eq!(json[n]["name"], *text);
    }
}

/// In a workbook a text is a text by its type, and there is no formula at all.
#[tokio::test]
async fn a_workbook_holds_texts_and_no_formula() {
    let doors = house().await;
    for (path, row, column, text) in [
        ("/data/gongshi/download.xlsx", 1, 1, TEXTS[0]),
        ("/data/gongshi/download.xlsx", 4, 1, TEXTS[3]),
        ("/catalogue.xlsx", 1, 1, "=1+1 公式"),
    ] {
        let file = doors.visitor().get(path).await;
        let mut book = Xlsx::new(Cursor::new(file.bytes)).unwrap();
        let sheet = book.sheet_names()[0].clone();
        let cells = book.worksheet_range(&sheet).unwrap();
        let there = cells.get((row, column)) == Some(&Data::String(text.to_owned()))
            || cells.rows().flatten().any(|c| *c == Data::String(text.to_owned()));
        assert!(there, "{path}: {cells:?}");
        let formulas = book.worksheet_formula(&sheet).unwrap();
        assert!(formulas.rows().flatten().all(String::is_empty), "{path}: {formulas:?}");
    }
}

//! Tables (CSV, XLSX) under the heads that are asked for.

use axum::http::StatusCode;
use model::code::SyncMode;
use testkit::House;

use crate::browser::Browser;

const ROWS: &str =
    "id,name,amount,day\n1,甲,1.50,2026-01-02\n2,<b>,20,2026-02-03\n3,甲,,2026-02-05\n";

#[tokio::test]
async fn tables_are_headed_by_names_for_who_asks() {
    let house = House::new().await;
    let mut draft = testkit::draft("headed");
    for (item, (chinese, english)) in draft.items.iter_mut().zip([
        ("编号", "No."),
        ("名称", "Name"),
        ("金额", "Name"),
        ("日期", ""),
    ]) {
        (item.name_cn, item.name_en) = (chinese.to_owned(), english.to_owned());
    }
    house.publish(draft).await;
    house.collect("headed", "rows.csv", ROWS.as_bytes(), SyncMode::Full).await.unwrap();
    let mut nobody = Browser::new(&house);
    let page = nobody.get("/data/headed").await.text();
    for link in ["download.csv?heads=zh", "download.xlsx?heads=zh", "download.csv?heads=en"] {
        assert!(page.contains(&format!("href=\"/data/headed/{link}\"")), "{link}: {page}");
    }
    let path = |query: &str| format!("/data/headed/download.csv{query}");
    let mut marks = Vec::new();
    for (query, head) in [
        ("", "\u{feff}id,name,amount,day\r\n"),
        ("?heads=zh", "\u{feff}编号,名称,金额,日期\r\n"),
        ("?heads=en", "\u{feff}No.,Name (name),Name (amount),day\r\n"),
        ("?heads=zh&bom=0", "编号,名称,金额,日期\r\n"),
    ] {
        let file = nobody.get(&path(query)).await;
        marks.push(file.headers.get("etag").unwrap().to_str().unwrap().to_owned());
        let text = file.text();
        assert!(text.starts_with(head), "{query}: {text}");
        assert!(text.contains("\r\n1,甲,1.50,2026-01-02\r\n"), "{query}: {text}");
        // It is kept under its own name: the next one is told its size.
        let again = nobody.get(&path(query)).await;
        let length = again.headers.get("content-length").unwrap().to_str().unwrap().to_owned();
        assert_eq!(length, again.bytes.len().to_string(), "{query}");
        assert_eq!(again.headers.get("etag").unwrap(), marks.last().unwrap().as_str());
    }
    let told: std::collections::HashSet<&String> = marks.iter().collect();
    assert_eq!(told.len(), marks.len(), "each is another file: {marks:?}");
    let book = nobody.get("/data/headed/download.xlsx?heads=zh").await;
    assert!(book.status.is_success() && book.bytes.starts_with(b"PK"));
    let plain = nobody.get("/data/headed/download.xlsx").await;
    assert_ne!(book.headers.get("etag"), plain.headers.get("etag"));
    // The list of checksums is of the files of the buttons.
    let list = nobody.get("/data/headed/SHA256SUMS").await.text();
    assert!(list.contains("  download.csv\n") && !list.contains("heads"), "{list}");
    for (wrong, told) in
        [("csv?heads=cn", "表头 `cn` 无法识别"), ("json?heads=zh", "只有 CSV 和 XLSX 可以选择表头")]
    {
        let refused = nobody.get(&format!("/data/headed/download.{wrong}")).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{wrong}");
        let text = refused.text();
        assert!(text.contains(told) && text.contains("heads"), "{text}");
    }
}

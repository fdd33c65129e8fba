//! The open site: what is open is found, shown and downloaded in every format; what is not open is nowhere.

use axum::http::StatusCode;
use model::code::{Grade, OpenType, SyncMode};
use testkit::House;
use testkit::person_draft;

use crate::browser::{Browser, encode};

const ROWS: &str = "编号,名称,金额,日期,备注\n1,甲 <b>,1.50,2026-01-02,内部一\n2,\"乙,丙\",20,2026-02-03,内部二\n3,丁,,,内部三\n";

/// A live data set with three rows and an item that is not open.
async fn open_set(house: &House, code: &str) {
    let mut draft = testkit::draft(code);
    let mut inner = model::item::Item::new("remark", "备注", model::code::DataType::Text);
    inner.grade = Grade::L2;
    inner.open_type = OpenType::None;
    inner.open_basis = "内部管理信息".into();
    draft.items.push(inner);
    let entry = house.publish(draft).await;
    let run = house.collect(&entry.id, "rows.csv", ROWS.as_bytes(), SyncMode::Full).await.unwrap();
    assert_eq!((run.read, run.accepted), (3, 3), "{run:?}");
}

#[tokio::test]
async fn an_open_set_is_found_shown_and_downloaded() {
    let house = House::new().await;
    open_set(&house, "open_one").await;
    let mut nobody = Browser::new(&house);
    let home = nobody.get("/").await.text();
    assert!(home.contains("/data/open_one"), "{home}");
    let found = nobody.get(&format!("/data?q={}&domain=11", encode("测试"))).await.text();
    assert!(found.contains("<article class=\"hit\">") && found.contains("/data/open_one"));
    assert!(!nobody.get("/data?domain=01").await.text().contains("/data/open_one"));

    let page = nobody.get("/data/open_one").await;
    assert_eq!(page.status, StatusCode::OK);
    let text = page.text();
    assert!(text.contains("甲 &lt;b&gt;"), "the preview is escaped");
    assert!(!text.contains("内部一") && !text.contains("remark"), "what is not open is not shown");
    assert!(text.contains("application/ld+json"));
    let sorted = nobody.get("/data/open_one?order=id.desc").await.text();
    assert!(sorted.find("丁").unwrap() < sorted.find("甲 &lt;").unwrap());
    let filtered =
        nobody.get(&format!("/data/open_one?col=name&op=ilike&val={}", encode("乙"))).await.text();
    assert!(filtered.contains("乙,丙") && !filtered.contains("甲 &lt;"));

    for (format, kind) in [
        ("csv", "text/csv; charset=utf-8"),
        ("json", "application/json"),
        ("xml", "application/xml; charset=utf-8"),
        ("rdf", "application/rdf+xml; charset=utf-8"),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("parquet", "application/vnd.apache.parquet"),
    ] {
        let file = nobody.get(&format!("/data/open_one/download.{format}")).await;
        assert_eq!(
            (file.status, file.content_type.as_str()),
            (StatusCode::OK, kind),
            "{}",
            file.text()
        );
        if !["xlsx", "parquet"].contains(&format) {
            assert!(file.text().contains("乙,丙"), "{format}: {}", file.text());
        }
        assert!(!file.text().contains("内部"), "{format}");
    }
    let csv = nobody.get("/data/open_one/download.csv?bom=0").await.text();
    assert_eq!(csv.lines().count(), 4, "{csv}");
    assert!(csv.starts_with("id,name,amount,day\r\n1,甲 <b>,1.50,2026-01-02\r\n"), "{csv}");
    let json: serde_json::Value =
        serde_json::from_slice(&nobody.get("/data/open_one/download.json").await.bytes).unwrap();
    assert_eq!(json[1]["amount"], 20.0);
    let columns = nobody.get("/data/open_one/download.parquet").await.bytes;
    assert!(columns.starts_with(b"PAR1") && columns.ends_with(b"PAR1"));
    assert!(text.contains("id=\"download-parquet\"") && text.contains("download.parquet\""));
    let refused = nobody.get("/data/open_one/download.geojson").await;
    assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    assert!(refused.text().contains("unsupported_format"));

    let tried = nobody.get("/data/open_one/api?try=1&select=name&limit=2").await.text();
    assert!(tried.contains("id=\"answer-body\"") && tried.contains("乙,丙"), "{tried}");
    assert!(tried.contains("http://gate.test/api/v1/open_one?select=name&amp;limit=2"));
}

#[tokio::test]
async fn the_growth_of_a_set_is_told_as_a_table_that_a_chart_is_drawn_from() {
    let house = House::new().await;
    open_set(&house, "grown").await;
    let more = format!("{ROWS}4,戊,1,2026-03-01,内部四\n");
    house.collect("grown", "more.csv", more.as_bytes(), SyncMode::Full).await.unwrap();
    let page = Browser::new(&house).get("/data/grown").await.text();
    let table = page.split("id=\"history-table\"").nth(1).expect("a table of landings");
    let table = table.split("</table>").next().unwrap();
    assert_eq!(table.matches("<tr>").count(), 3, "{table}");
    assert!(table.contains(">3<") && table.contains(">4<"), "{table}");
    assert!(page.contains("data-chart=\"history-table\""), "{page}");
    let places = Browser::new(&house).get("/data?format=GeoJSON").await.text();
    assert!(!places.contains("/data/grown"));
    let mut draft = testkit::draft("placed");
    draft.items.push(model::item::Item::new("wz", "位置", model::code::DataType::Geometry));
    house.publish(draft).await;
    let places = Browser::new(&house).get("/data?format=GeoJSON").await.text();
    assert!(places.contains("/data/placed") && !places.contains("/data/grown"), "{places}");
}

#[tokio::test]
async fn metadata_catalogue_and_feeds_name_only_what_is_open() {
    let house = House::new().await;
    open_set(&house, "open_two").await;
    house.publish(person_draft("closed_one")).await;
    let mut nobody = Browser::new(&house);
    for path in [
        "/data/open_two/metadata.json",
        "/catalogue.json",
        "/catalogue.csv",
        "/catalogue.rdf",
        "/sitemap.xml",
        "/sitemap/1.xml",
        "/feed.atom",
        "/data",
    ] {
        // An address may write `_` as `%5F`: the same address.
        let text = nobody.get(path).await.text().replace("%5F", "_");
        assert!(text.contains("open_two"), "{path}: {text}");
        assert!(!text.contains("closed_one") && !text.contains("备注"), "{path}");
    }
    for none in ["/sitemap/0.xml", "/sitemap/2.xml", "/sitemap/x.xml", "/sitemap/1"] {
        assert_eq!(nobody.get(none).await.status, StatusCode::NOT_FOUND, "{none}");
    }
    let items = nobody.get("/data/open_two/metadata.csv").await.text();
    assert!(items.contains("金额") && !items.contains("remark"));
    let turtle = nobody.get("/data/open_two/metadata.ttl").await.text();
    assert!(turtle.contains("dcat:Dataset"), "{turtle}");
    assert!(turtle.contains("download.csv>"), "{turtle}");
    assert!(nobody.get("/catalogue.xlsx").await.bytes.starts_with(b"PK"));
    for path in ["/data/closed_one", "/data/closed_one/api", "/data/closed_one/download.csv"] {
        assert_eq!(nobody.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

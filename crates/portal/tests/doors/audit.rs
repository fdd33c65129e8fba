//! What the audit tells of files that left, and what leaves as its own export.

use std::time::Duration;

use model::audit::{AuditFilter, AuditRecord};
use model::code::{DataType, SyncMode};
use testkit::House;

use crate::browser::Browser;

async fn records(house: &House, action: &str) -> Vec<AuditRecord> {
    let auditor = house.person("auditor").await;
    let filter = AuditFilter { action: Some(action.into()), limit: 100, ..AuditFilter::default() };
    app::audit::list(&house.app, &auditor, &filter).await.unwrap()
}

#[tokio::test]
async fn a_file_that_left_is_recorded_with_its_true_rows_and_bytes() {
    let house = House::new().await;
    let mut draft = testkit::draft("places");
    for (identifier, name) in [("lng", "经度"), ("lat", "纬度")] {
        let mut item = model::item::Item::new(identifier, name, DataType::Decimal);
        item.precision = 10;
        item.scale = 4;
        draft.items.push(item);
    }
    house.publish(draft).await;
    let mut rows = String::from("id,name,amount,day,lng,lat\n");
    for n in 0..5003 {
        rows.push_str(&format!("{n},x,1.00,2026-01-01,120.1000,30.2000\n"));
    }
    house.collect("places", "p.csv", rows.as_bytes(), SyncMode::Full).await.unwrap();
    let mut nobody = Browser::new(&house);
    for (path, rows) in [
        ("/data/places/download.csv", 5003),
        ("/data/places/download.xlsx", 5003),
        ("/data/places/download.json", 5003),
        ("/data/places/download.parquet", 5003),
        ("/data/places/map.geojson", 5000),
    ] {
        let file = nobody.get(path).await;
        assert_eq!(file.status.as_u16(), 200, "{path}: {}", file.text());
        let ended = records(&house, "rows.download.end").await;
        let last = &ended[0].event;
        assert_eq!((last.rows, last.result.as_str()), (rows, "ok"), "{path}");
        assert_eq!(last.bytes, file.bytes.len() as u64, "{path}");
        // The record before the first byte is told apart by its name and together by its trace.
        let all = records(&house, "rows.download").await;
        let begun = all.iter().find(|r| r.event.action == "rows.download").unwrap();
        assert_eq!(begun.event.trace_id, last.trace_id, "{path}");
        assert!(begun.seq < ended[0].seq);
    }
}

#[tokio::test]
async fn a_file_that_was_given_up_half_way_is_recorded_as_cut_off() {
    let house = House::new().await;
    let op = house.nobody();
    let mut tally = app::audit::Tally::new(&house.app, &op, "rows.download", "some_set");
    tally.add(7, 700);
    drop(tally);
    let found = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            if let Some(found) = records(&house, "rows.download.end").await.pop() {
                return found;
            }
            tokio::task::yield_now().await;
        }
    });
    let event = found.await.unwrap().event;
    assert_eq!((event.result.as_str(), event.reason.as_str()), ("failed", "cut off"));
    assert_eq!((event.rows, event.bytes), (7, 700));
}

#[tokio::test]
async fn the_export_is_whole_harmless_and_itself_recorded() {
    let house = House::new().await;
    let op = house.nobody();
    let names: Vec<String> = (0..1100).map(|n| format!("=HYPERLINK(\"{n}\")")).collect();
    for chunk in names.chunks(100) {
        let written = chunk.iter().map(|name| {
            let mut event = app::audit::event(&op, "account.login", name);
            event.result = "denied".into();
            app::audit::record(&house.app, event)
        });
        futures::future::try_join_all(written).await.unwrap();
    }
    let mut auditor = Browser::of(&house, "auditor").await;
    let file = auditor.get("/console/audit.csv?action=account.login&result=denied").await;
    let text = String::from_utf8(file.bytes.clone()).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let objects: Vec<String> = reader.records().map(|r| r.unwrap()[9].to_owned()).collect();
    assert_eq!(objects.len(), 1100);
    assert!(objects.iter().all(|o| o.starts_with("'=HYPERLINK")), "{}", objects[0]);
    let ended = records(&house, "audit.export.end").await;
    let event = &ended[0].event;
    assert_eq!((event.rows, event.bytes, event.result.as_str()), (1100, text.len() as u64, "ok"));
    assert_eq!(records(&house, "audit.export").await.last().unwrap().event.scope, "action, result");
    let wrong = auditor.get("/console/audit.csv?from=yesterday").await;
    assert_eq!(wrong.status.as_u16(), 400);
    assert!(wrong.text().contains("invalid_query"));
}

#[tokio::test]
async fn every_page_of_the_audit_that_was_read_is_recorded() {
    let house = House::new().await;
    let mut auditor = Browser::of(&house, "auditor").await;
    assert_eq!(auditor.get("/console/audit?actor=nobody").await.status.as_u16(), 200);
    assert_eq!(auditor.get("/console/audit?before=5&from=2026-03-02").await.status.as_u16(), 200);
    let scopes: Vec<String> =
        records(&house, "audit.read").await.into_iter().map(|r| r.event.scope).collect();
    assert!(scopes.contains(&"actor".to_owned()), "{scopes:?}");
    assert!(scopes.contains(&"from 2026-03-02, before 5".to_owned()), "{scopes:?}");
}

#[tokio::test]
async fn the_table_of_errors_says_what_to_do() {
    let house = House::new().await;
    let page = Browser::new(&house).get("/help/errors").await.text();
    for code in model::Code::ALL {
        assert!(page.contains(&format!("id=\"{}\"", code.as_str())), "{code:?}");
    }
    assert!(page.contains("怎么办") && page.contains(model::Code::Replayed.help_zh()));
    assert!(page.contains(">406<") && page.contains(">405<"));
}

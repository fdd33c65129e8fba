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

/// One request on a connection of its own, by the older HTTP, whose bodies stand as they are; answers head and body.
async fn asked(address: std::net::SocketAddr, head: &str) -> (String, Vec<u8>) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut line = tokio::net::TcpStream::connect(address).await.unwrap();
    let text = format!("{head}\r\nHost: site.test\r\n\r\n");
    line.write_all(text.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    line.read_to_end(&mut all).await.unwrap();
    let end = all.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    (String::from_utf8(all[..end].to_vec()).unwrap().to_lowercase(), all[end + 4..].to_vec())
}

/// On the wire nobody reads on behind the last byte of a body whose length was told: its record is there all the same, and says that it left.
#[tokio::test]
async fn a_file_whose_length_was_told_is_recorded_as_whole() {
    let house = House::new().await;
    house.publish(testkit::draft("told")).await;
    let rows: String = (0..5003).map(|n| format!("{n},x,1.00,2026-01-01\n")).collect();
    let rows = format!("id,name,amount,day\n{rows}");
    house.collect("told", "t.csv", rows.as_bytes(), SyncMode::Full).await.unwrap();
    let router = portal::router(std::sync::Arc::clone(&house.app), portal::PortalConfig::default());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = router.into_make_service_with_connect_info::<std::net::SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    // Everything is known beforehand.
    let (head, sums) = asked(address, "GET /data/told/SHA256SUMS HTTP/1.0").await;
    assert!(head.contains(" 200 ok") && sums.len() > 6 * 64, "{head}");
    let mut left = 0;
    for format in ["csv", "csv?bom=0", "json", "xlsx", "xml", "rdf", "parquet"] {
        let path = format!("/data/told/download.{format}");
        // Its head, and that it has not changed, are told without a release.
        let (head, none) = asked(address, &format!("HEAD {path} HTTP/1.0")).await;
        assert!(head.contains(" 200 ok") && head.contains("accept-ranges: bytes"), "{head}");
        assert!(none.is_empty(), "{format}");
        assert_eq!(head.contains("content-length: "), format != "csv?bom=0", "{head}");
        let tag = head.split("etag: ").nth(1).unwrap().lines().next().unwrap().to_owned();
        let (same, none) =
            asked(address, &format!("GET {path} HTTP/1.0\r\nIf-None-Match: {tag}")).await;
        assert!(same.contains(" 304 ") && none.is_empty(), "{format}: {same}");
        let begun = records(&house, "rows.download").await;
        let begun = begun.iter().filter(|r| r.event.action == "rows.download").count();
        assert_eq!(begun, left, "{format}");
        let mut whole = Vec::new();
        for range in ["", "\r\nRange: bytes=20-"] {
            let (head, body) = asked(address, &format!("GET {path} HTTP/1.0{range}")).await;
            let first = if range.is_empty() { 0 } else { 20 };
            if first == 0 {
                whole = body.clone();
            }
            let length = format!("content-length: {}", body.len());
            assert!(body == whole[first..], "{format} from {first}: {head}");
            assert!(format == "csv?bom=0" || head.contains(&length), "{format}: {head}");
            left += 1;
            let ended = records(&house, "rows.download.end").await;
            let last = &ended[0].event;
            assert_eq!((ended.len(), last.result.as_str()), (left, "ok"), "{format} {range}");
            assert_eq!(last.bytes, body.len() as u64, "{format} {range}: what left");
            // Which rows a part holds nobody can say.
            let size = whole.len();
            let (rows, scope) = match first {
                0 => (5003, String::new()),
                _ => (0, format!("part bytes 20-{}/{size}", size - 1)),
            };
            assert_eq!((last.rows, &last.scope), (rows, &scope), "{format} {range}");
        }
        // All of it asked for as a part is all of it.
        let all = "Range: bytes=0-";
        let (head, body) = asked(address, &format!("GET {path} HTTP/1.0\r\n{all}")).await;
        assert!(head.contains(" 206 ") && body == whole, "{format}: {head}");
        left += 1;
        let ended = records(&house, "rows.download.end").await;
        let last = &ended[0].event;
        assert_eq!((last.rows, last.bytes), (5003, whole.len() as u64), "{format}");
        assert_eq!((last.scope.as_str(), last.result.as_str()), ("", "ok"), "{format}");
    }
    // A part out of the middle is all that was asked for.
    let ended = records(&house, "rows.download.end").await.len();
    let range = "Range: bytes=20-99";
    let path = "GET /data/told/download.csv HTTP/1.0";
    let (head, body) = asked(address, &format!("{path}\r\n{range}")).await;
    assert!(head.contains(" 206 ") && body.len() == 80, "{head}");
    let last = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let all = records(&house, "rows.download.end").await;
            if all.len() > ended {
                return all[0].clone();
            }
            tokio::task::yield_now().await;
        }
    });
    let last = last.await.expect("a record").event;
    assert_eq!((last.result.as_str(), last.reason.as_str()), ("ok", ""));
    assert_eq!((last.rows, last.bytes), (0, 80), "what left, not what was read for it");
    assert!(last.scope.starts_with("part bytes 20-99/"), "{}", last.scope);
    // The page says what the figure is.
    let page = Browser::of(&house, "auditor").await.get("/console/audit?object=told").await.text();
    assert!(page.contains("部分文件") && page.contains("20-99/"), "{page}");
    // What was done stands in words, its code beside.
    let said = "<td>数据行：下载<br><code class=\"small\">rows.download</code></td>";
    assert!(page.contains(said), "{page}");
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
    // A part that was given up: what of it had left by then.
    let part = app::audit::Part::default();
    let tally = app::audit::Tally::new(&house.app, &op, "rows.download", "some_part");
    let mut tally = tally.until(&part);
    part.only(650, 1499, 9000);
    for _ in 0..2 {
        tally.add(7, 600);
    }
    drop(tally);
    let found = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let all = records(&house, "rows.download.end").await;
            if let Some(found) = all.into_iter().find(|r| r.event.object == "some_part") {
                return found;
            }
            tokio::task::yield_now().await;
        }
    });
    let event = found.await.unwrap().event;
    assert_eq!((event.result.as_str(), event.reason.as_str()), ("failed", "cut off"));
    assert_eq!((event.rows, event.bytes), (0, 550));
    assert_eq!(event.scope, "part bytes 650-1499/9000");
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

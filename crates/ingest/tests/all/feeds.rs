//! Feeds: a real SQLite file, and a real HTTP server with its moods.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use ingest::Reader;
use ingest::outgoing::Outgoing;
use model::code::DataType;
use model::{Code, Result};
use policy::port::{Feed, HttpFeed, Intake, Paging, ReadOptions, Source};

use crate::support::{Collected, collect, items};

async fn read(feed: Feed, wanted: &str) -> Result<Collected> {
    let source = Source::Feed { feed, name: "feed".into() };
    collect(&source, &items(wanted), &ReadOptions::default()).await
}

fn sqlite() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("数据.db");
    let made = rusqlite::Connection::open(&path).unwrap();
    made.execute_batch(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, amount REAL, born TEXT, raw BLOB);
         INSERT INTO t VALUES (1,'甲',1.5,'2024-01-02',x'00ff'),(2,NULL,2,'2024年1月3日',NULL),(3,'丙',3.25,'昨天',NULL);",
    )
    .unwrap();
    (dir, path)
}

#[tokio::test]
async fn a_sqlite_file_is_read_and_never_written() {
    let (_dir, path) = sqlite();
    let ask = |sql: &str| Feed::Sqlite { path: path.clone(), sql: sql.into() };
    let out = read(
        ask("SELECT id, name, amount, born, raw FROM t ORDER BY id"),
        "id:integer! name:text amount:decimal(10,2) born:date raw:text",
    )
    .await
    .unwrap();
    assert_eq!(
        out.texts(),
        [["1", "甲", "1.50", "2024-01-02", "00ff"], ["2", "∅", "2.00", "2024-01-03", "∅"]]
    );
    assert_eq!((out.read, out.rejects[0].record, out.rejects[0].column.as_str()), (3, 3, "born"));
    assert_eq!(out.rejects[0].cells[3].as_deref(), Some("昨天"));

    let told = Reader::new().probe(&ask("SELECT * FROM t")).await.unwrap();
    let types: Vec<(String, DataType)> =
        told.columns.iter().map(|c| (c.name.clone(), c.data_type)).collect();
    assert_eq!(types[0], ("id".into(), DataType::Integer));
    assert_eq!(types[2], ("amount".into(), DataType::Decimal));
    assert_eq!(told.records, Some(3));
    assert_eq!(Reader::new().draft(&told).len(), 5);

    for (sql, says) in [
        ("DELETE FROM t", "只允许"),
        ("SELECT 1; DROP TABLE t", "一条"),
        ("ATTACH 'x' AS y", "只允许"),
        ("SELECT nothing FROM t", "nothing"),
        ("SELECT id FROM none", "none"),
    ] {
        let error = read(ask(sql), "id:integer").await.unwrap_err();
        assert!(error.zh().contains(says), "{sql}: {error:?}");
    }
    let missing = Feed::Sqlite { path: "/nowhere/x.db".into(), sql: "SELECT 1 AS id".into() };
    assert_eq!(read(missing, "id:integer").await.unwrap_err().code(), Code::SourceUnavailable);
    let text = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(text.path(), "no database, but a text that is long enough").unwrap();
    let other = Feed::Sqlite { path: text.path().into(), sql: "SELECT 1 AS id FROM t".into() };
    assert_eq!(read(other, "id:integer").await.unwrap_err().code(), Code::InvalidFile);
    let kept = rusqlite::Connection::open(&path).unwrap();
    let rows: i64 = kept.query_row("SELECT count(*) FROM t", [], |r| r.get(0)).unwrap();
    assert_eq!(rows, 3);
}

#[derive(Default)]
struct Moods {
    tries: AtomicUsize,
    seen: AtomicUsize,
}

const ROWS: usize = 25;

/// Rows `from..to` of the interface.
fn some(from: usize, to: usize) -> String {
    let rows: Vec<String> = (from..to.min(ROWS))
        .map(|n| {
            let late = if n > 20 { r#","late":"x""# } else { "" };
            format!(r#"{{"id":{n},"who":{{"name":"名{n}"}},"big":1234567890123456789.50{late}}}"#)
        })
        .collect();
    format!("[{}]", rows.join(","))
}

type Pairs = Query<HashMap<String, String>>;

fn number(pairs: &Pairs, name: &str) -> usize {
    pairs.0.get(name).and_then(|v| v.parse().ok()).unwrap_or(0)
}

fn json(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

async fn server() -> (String, Arc<Moods>) {
    let moods = Arc::new(Moods::default());
    let by_page = |State(m): State<Arc<Moods>>, q: Pairs| async move {
        m.seen.fetch_add(1, Ordering::SeqCst);
        // Never more than ten, whatever is asked for.
        let (page, size) = (number(&q, "page"), number(&q, "size").min(10));
        json(format!(r#"{{"code":0,"data":{{"rows":{}}}}}"#, some((page - 1) * size, page * size)))
    };
    let by_offset = |q: Pairs| async move {
        let at = number(&q, "offset");
        json(some(at, at + number(&q, "limit").min(7)))
    };
    let by_token = |q: Pairs| async move {
        let at = number(&q, "after");
        let next = if at + 10 < ROWS { format!(r#""{}""#, at + 10) } else { "null".into() };
        json(format!(r#"{{"rows":{},"next":{next}}}"#, some(at, at + 10)))
    };
    let by_link = |q: Pairs| async move {
        let at = number(&q, "at");
        let mut answer = json(some(at, at + 10));
        if at + 10 < ROWS {
            let link = format!(r#"</link?at={}>; rel="next""#, at + 10);
            answer.headers_mut().insert(header::LINK, link.parse().unwrap());
        }
        answer
    };
    let moody = |State(m): State<Arc<Moods>>, headers: HeaderMap| async move {
        if headers.get("x-key").is_none_or(|v| v != "s3cret") {
            return StatusCode::FORBIDDEN.into_response();
        }
        match m.tries.fetch_add(1, Ordering::SeqCst) {
            0 => (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "0")]).into_response(),
            1 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            _ => json(some(0, 3)),
        }
    };
    let huge = || async move { json(format!("[\"{}\"]", "x".repeat(65 << 20))) };
    let app = Router::new()
        .route("/page", get(by_page))
        .route("/offset", get(by_offset))
        .route("/token", get(by_token))
        .route("/link", get(by_link))
        .route("/moody", get(moody))
        .route("/huge", get(huge))
        .route("/stuck", get(|| async { json(some(0, 10)) }))
        .route("/html", get(|| async { "<html>login</html>" }))
        .route("/mixed", get(|| async { json(r#"[{"id":1},7,{"id":"x"}]"#.into()) }))
        .route("/none", get(|| async { json("[]".into()) }))
        .route("/here", get(|| async { Redirect::temporary("/stuck") }))
        .route("/away", get(|| async { Redirect::temporary("http://127.0.0.2:1/") }))
        .with_state(Arc::clone(&moods));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (base, moods)
}

const WANTED: &str = "id:integer! who_name:text big:decimal(28,2) late:text";

#[tokio::test]
async fn every_way_of_paging_reads_every_row_once() {
    let (base, moods) = server().await;
    let page = Paging::Page {
        parameter: "page".into(),
        size_parameter: "size".into(),
        size: 100,
        first: 1,
    };
    let offset =
        Paging::Offset { parameter: "offset".into(), size_parameter: "limit".into(), size: 10 };
    let token = Paging::Token { at: "/next".into(), parameter: "after".into() };
    for (path, rows_at, paging) in [
        ("page", "/data/rows", page),
        ("offset", "", offset),
        ("token", "/rows", token),
        ("link", "", Paging::Link),
    ] {
        let feed = HttpFeed {
            url: format!("{base}/{path}"),
            rows_at: rows_at.into(),
            paging,
            ..HttpFeed::default()
        };
        let out = read(Feed::Http(feed.clone()), WANTED).await.unwrap();
        assert_eq!((out.read, out.rejects.len()), (ROWS as u64, 0), "{path}");
        let texts = out.texts();
        for (n, row) in texts.iter().enumerate() {
            let late = if n > 20 { "x" } else { "∅" };
            let want =
                [n.to_string(), format!("名{n}"), "1234567890123456789.50".into(), late.into()];
            assert_eq!(row.as_slice(), want.as_slice(), "{path}");
        }
        let told =
            Reader::reaching(Outgoing::loopback().unwrap()).probe(&Feed::Http(feed)).await.unwrap();
        let names: Vec<&str> = told.columns.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["id", "who.name", "big", "late"], "{path}");
        assert!(told.columns[3].nullable && !told.columns[0].nullable, "{path}");
    }
    assert!(moods.seen.load(Ordering::SeqCst) >= 4);
}

#[tokio::test]
async fn moods_of_a_server_are_borne_and_its_faults_told() {
    let (base, moods) = server().await;
    let feed = |path: &str| HttpFeed { url: format!("{base}/{path}"), ..HttpFeed::default() };
    let mut moody = feed("moody?token=hidden");
    let error = read(Feed::Http(moody.clone()), "id:integer").await.unwrap_err();
    assert!(error.zh().contains("凭据") && !format!("{error:?}").contains("hidden"), "{error:?}");
    moody.headers = vec![("X-Key".into(), "s3cret".into())];
    let out = read(Feed::Http(moody), "id:integer").await.unwrap();
    assert_eq!((out.read, moods.tries.load(Ordering::SeqCst)), (3, 3));

    let out = read(Feed::Http(feed("here")), "id:integer").await.unwrap();
    assert_eq!(out.read, 10);
    let out = read(Feed::Http(feed("mixed")), "id:integer").await.unwrap();
    assert_eq!((out.read, out.rows.len(), out.rejects.len()), (3, 1, 2));
    assert_eq!(out.rejects.iter().map(|r| r.record).collect::<Vec<_>>(), [2, 3]);
    let out = read(Feed::Http(feed("none")), "id:integer!").await.unwrap();
    assert_eq!(out.read, 0);

    let stuck = HttpFeed {
        paging: Paging::Page {
            parameter: "p".into(),
            size_parameter: String::new(),
            size: 10,
            first: 1,
        },
        ..feed("stuck")
    };
    let at = HttpFeed { rows_at: "/data".into(), ..feed("token") };
    for (feed, says) in [
        (stuck, "上一页相同"),
        (feed("away"), "另一台主机"),
        (feed("html"), "不是 JSON"),
        (feed("huge"), "64 MiB"),
        (feed("gone"), "不存在"),
        (at, "rows、next"),
        (HttpFeed { url: "ftp://x/".into(), ..HttpFeed::default() }, "http://"),
        (HttpFeed { url: "http://127.0.0.1:1/".into(), ..HttpFeed::default() }, "无法连接"),
    ] {
        let error = read(Feed::Http(feed), "id:integer").await.err();
        let error = error.unwrap_or_else(|| panic!("{says}"));
        assert!(error.zh().contains(says), "{says}: {error:?}");
    }
}

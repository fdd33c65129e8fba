//! Findings, bulk fixes, entries from a database with its drift, and whole ledgers, by the console.

use axum::http::StatusCode;
use testkit::{House, Postgres};

use crate::browser::Browser;

#[tokio::test]
async fn findings_are_looked_at_previewed_and_mended() {
    let house = House::new().await;
    let provider = house.person("provider").await;
    let mut draft = testkit::draft("lake_water");
    draft.items[1].name_cn = "name <b>".into();
    app::catalogue::create(&house.app, &provider, draft).await.unwrap();
    let mut browser = Browser::of(&house, "provider").await;
    let page = browser.get("/console/findings?rule=ledger.item-english").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    let text = page.text();
    assert!(
        text.contains("lake_water")
            && text.contains("id=\"fix\"")
            && text.contains("数据项应有英文名称"),
        "{text}"
    );
    let page = browser.get("/console/findings").await.text();
    assert!(page.contains("name &lt;b&gt;") && !page.contains("name <b>"), "{page}");
    let page = browser.get("/console/findings/fix?rule=ledger.item-english").await;
    let chosen = page.after("name=\"entry\" value=\"");
    assert!(chosen.contains('~') && page.text().contains("class=\"now\">id<"), "{}", page.text());
    let none = browser.post("/console/findings/fix", &[("rule", "ledger.item-english")]).await;
    assert_eq!(none.status, StatusCode::BAD_REQUEST);
    let form = [("rule", "ledger.item-english"), ("entry", chosen.as_str())];
    let page = browser.post("/console/findings/fix", &form).await;
    assert!(
        page.text().contains("id=\"report\"") && page.text().contains("1 / 1"),
        "{}",
        page.text()
    );
    let page = browser.get("/console/findings/fix?rule=ledger.item-english").await;
    assert!(!page.text().contains("name=\"entry\""), "{}", page.text());
    let e = app::catalogue::get(&house.app, &provider, "lake_water").await.unwrap();
    let page = browser.get(&format!("/console/entries/{}", e.id)).await.text();
    assert!(page.contains("id=\"findings\"") && page.contains("items[1].name_cn"), "{page}");
    // Handing it in is refused in words.
    let page =
        browser.post(&format!("/console/entries/{}/moves", e.id), &[("move", "submit")]).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(
        page.text().contains("rule_broken") && page.text().contains("items[1].name_cn"),
        "{}",
        page.text()
    );
    let wrong = browser.get("/console/findings/fix?rule=ledger.title-generic").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    let mut consumer = Browser::of(&house, "consumer").await;
    assert_eq!(consumer.get("/console/findings").await.status, StatusCode::FORBIDDEN);
    assert!(!consumer.get("/console").await.text().contains("/console/findings"));
}

#[tokio::test]
async fn tables_are_drafted_from_and_their_drift_is_dealt_with() {
    let cluster = Postgres::start();
    let url = cluster.database("business");
    cluster.run_sql("business", "CREATE TABLE permit (id int PRIMARY KEY, mc varchar(20)); COMMENT ON TABLE permit IS '行政许可 <b>';
        COMMENT ON COLUMN permit.id IS '许可编号'; COMMENT ON COLUMN permit.mc IS '许可名称'; CREATE VIEW v AS SELECT 1 AS one");
    let port = url.rsplit(':').next().unwrap().split('/').next().unwrap().to_owned();
    let house = House::new().await;
    let mut browser = Browser::of(&house, "provider").await;
    let form = [
        ("name", "业务库"),
        ("kind", "postgres"),
        ("host", "127.0.0.1"),
        ("port", &port),
        ("database", "business"),
        ("account", "qiantang"),
        ("password", "geheim"),
        ("tls", "prefer"),
    ];
    let source = browser.post("/console/sources", &form).await.location;
    let source = source.split('?').next().unwrap().to_owned();
    let page = browser.get(&format!("{source}/tables")).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    let text = page.text();
    assert!(
        text.contains("行政许可 &lt;b&gt;")
            && text.contains("id=\"left-out\"")
            && text.contains("视图，不编目"),
        "{text}"
    );
    let table = page.after("name=\"table\" value=\"");
    let order = [
        ("table", table.as_str()),
        ("region", "330000"),
        ("update_cycle", "daily"),
        ("share_condition", "审核后共享"),
        ("application", ""),
    ];
    let page = browser.post(&format!("{source}/tables"), &order).await;
    assert!(
        page.text().contains("id=\"drafted\"") && page.text().contains("1 / 1"),
        "{}",
        page.text()
    );
    let missing = [("region", "330000"), ("update_cycle", "daily")];
    assert_eq!(
        browser.post(&format!("{source}/tables"), &missing).await.status,
        StatusCode::BAD_REQUEST
    );
    let odd = [("table", table.as_str()), ("region", "330000"), ("update_cycle", "never-ever")];
    assert_eq!(
        browser.post(&format!("{source}/tables"), &odd).await.status,
        StatusCode::BAD_REQUEST
    );

    cluster.run_sql(
        "business",
        "ALTER TABLE permit ADD COLUMN d date; COMMENT ON COLUMN permit.d IS '许可日期'",
    );
    let page = browser.post(&format!("{source}/drift"), &[]).await;
    let drift = page.after("href=\"/console/drifts/");
    assert!(page.text().contains("id=\"looked\"") && !drift.is_empty(), "{}", page.text());
    assert!(browser.get("/console").await.text().contains("id=\"inbox-drifts\""));
    let path = format!("/console/drifts/{drift}");
    let mut stranger = Browser::of(&house, "stranger").await;
    assert_eq!(stranger.get(&path).await.status, StatusCode::NOT_FOUND);
    let page = browser.get(&path).await;
    let seen = page.after("name=\"seen\" value=\"");
    assert!(page.text().contains("新增字段"), "{}", page.text());
    let page = browser.post(&format!("{path}/dismiss"), &[("seen", &seen)]).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "a reason is needed");
    let page = browser.post(&format!("{path}/take"), &[("seen", &seen), ("change", "0")]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let entry = browser.get(page.location.split('?').next().unwrap()).await.text();
    assert!(entry.contains("许可日期") && entry.contains("public.permit"), "{entry}");
    assert!(browser.get("/console/drifts?state=taken").await.text().contains(&path));
    drop(cluster);
    let page = browser.get(&format!("{source}/tables")).await;
    assert!(
        page.status == StatusCode::OK && page.text().contains("source_unavailable"),
        "{}",
        page.text()
    );
}

#[tokio::test]
async fn whole_ledgers_are_handed_out_by_format_or_accept() {
    let house = House::new().await;
    house.publish(testkit::draft("open_set")).await;
    let mut provider = Browser::of(&house, "provider").await;
    for (format, kind) in [
        ("ttl", "text/turtle; charset=utf-8"),
        ("jsonld", "application/ld+json"),
        ("rdf", "application/rdf+xml; charset=utf-8"),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ] {
        for ledger in ["data", "application", "component", "cloud"] {
            let page =
                provider.get(&format!("/console/ledger/{ledger}/dump?format={format}")).await;
            assert_eq!(
                (page.status, page.content_type.as_str()),
                (StatusCode::OK, kind),
                "{ledger} {format}"
            );
            if ledger == "data" && format != "xlsx" {
                assert!(page.text().contains("open_set"), "{}", page.text());
            }
        }
    }
    assert_eq!(
        provider.get("/console/ledger/data/dump?format=pdf").await.status,
        StatusCode::BAD_REQUEST
    );
    assert!(
        provider
            .get("/console/entries")
            .await
            .text()
            .contains("/console/ledger/data/dump?format=ttl")
    );
    let mut consumer = Browser::of(&house, "consumer").await;
    assert_eq!(consumer.get("/console/ledger/data/dump").await.status, StatusCode::FORBIDDEN);
    assert!(!consumer.get("/console/entries").await.text().contains("/console/ledger/data/dump"));
}

//! Oversight by the console: quarantined rows by reason are mapped and replayed; a rail's table is compared, its differing rows
//! are shown to those who may see them, and healed.

use std::time::Duration;

use axum::http::StatusCode;
use model::code::SyncMode;
use testkit::{House, Postgres, draft};

use crate::browser::Browser;

#[tokio::test]
async fn rows_are_mended_by_reason_in_the_console() {
    let house = House::new().await;
    let mut entry = draft("fenzu");
    entry.items[1].value_domain = "甲|乙".into();
    house.publish(entry).await;
    let csv = "编号,名称,金额,日期\n1,甲,1,2026-01-01\n2,甲类,1,2026-01-01\n3,甲类,1,2026-01-01\n";
    house.collect("fenzu", "a.csv", csv.as_bytes(), SyncMode::Full).await.unwrap();
    let mut provider = Browser::of(&house, "provider").await;
    let list = provider.get("/console/quarantine").await.text();
    assert!(list.contains("测试数据集 fenzu") && !list.contains("甲类"), "{list}");
    let path = list.split("href=\"/console/quarantine/").nth(1).unwrap();
    let group = format!("/console/quarantine/{}", path.split('"').next().unwrap());
    let page = provider.get(&group).await.text();
    assert!(page.contains("甲类") && page.contains("id=\"map\""), "{page}");
    assert!(provider.get(&format!("{group}/rows.csv")).await.text().contains("甲类"));
    for who in ["stranger", "citizen"] {
        let mut other = Browser::of(&house, who).await;
        for (method, path) in [
            ("GET", group.clone()),
            ("GET", format!("{group}/rows.csv")),
            ("POST", format!("{group}/replay")),
        ] {
            let page = match method {
                "GET" => other.get(&path).await,
                _ => other.post(&path, &[]).await,
            };
            assert_eq!(page.status, StatusCode::NOT_FOUND, "{who} {path}");
        }
    }
    let wrong = provider.post(&format!("{group}/map"), &[("from", "丙"), ("to", "甲")]).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    let mapped = provider.post(&format!("{group}/map"), &[("from", "甲类"), ("to", "甲")]).await;
    assert_eq!(mapped.status, StatusCode::SEE_OTHER, "{}", mapped.text());
    let replayed = provider.post(&format!("{group}/replay"), &[]).await;
    assert_eq!(replayed.status, StatusCode::SEE_OTHER, "{}", replayed.text());
    let data = Browser::new(&house).get("/data/fenzu/download.csv?bom=0").await.text();
    assert!(data.contains("2,甲,1.00") && data.contains("3,甲,1.00"), "{data}");
    assert!(!provider.get("/console/quarantine").await.text().contains("fenzu"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_compared_in_the_console() {
    let cluster = Postgres::start();
    let _ = cluster.database("business");
    cluster.run_sql(
        "business",
        "CREATE TABLE firms (id bigint PRIMARY KEY, name text, amount numeric(18,2), day date);
         INSERT INTO firms VALUES (1, '甲', 1.5, '2026-01-01'), (2, '乙', 2.5, NULL)",
    );
    let house = House::new().await;
    house.publish(draft("firms")).await;
    let op = house.person("provider").await;
    let source = app::collection::source::create(
        &house.app,
        &op,
        model::source::SourceNew {
            org: testkit::PROVIDER_ORG.into(),
            name: "业务库".into(),
            kind: model::source::SourceKind::Postgres,
            host: "127.0.0.1".into(),
            port: cluster.port(),
            database: "business".into(),
            account: "qiantang".into(),
            password: "x".into(),
            tls: model::source::SourceTls::Prefer,
        },
    )
    .await
    .unwrap();
    let new = model::rail::RailNew {
        name: "高铁".into(),
        source: source.id,
        tables: vec![("public.firms".into(), "firms".into())],
        ..Default::default()
    };
    let made = app::rail::create(&house.app, &op, new).await.unwrap();
    let app = house.app.clone();
    let working = tokio::spawn(async move {
        loop {
            app::rail::tick(&app).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let mut provider = Browser::of(&house, "provider").await;
    let rail = format!("/console/rails/{}", made.rail.id);
    for _ in 0..300 {
        if provider.get(&format!("{rail}/figures")).await.text().contains("s-streaming") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let page = provider.get(&rail).await.text();
    assert!(page.contains("id=\"reconcile\"") && page.contains("id=\"rule\""), "{page}");
    let fields =
        [("budget_rows", "50"), ("budget_share", "12.5"), ("reconcile_hours", ""), ("heal", "yes")];
    let saved = provider.post(&format!("{rail}/rule"), &fields).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text());
    let page = provider.get(&rail).await.text();
    assert!(page.contains("value=\"50\"") && page.contains("value=\"12.5\""), "{page}");
    let wrong = provider.post(&format!("{rail}/rule"), &[("budget_share", "viel")]).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);

    let entry = made.tables[0].table.entry.clone();
    let begun = provider.post(&format!("/console/entries/{entry}/reconcile"), &[]).await;
    assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.text());
    let one = begun.location.split('?').next().unwrap().to_owned();
    let mut shown = String::new();
    for _ in 0..300 {
        shown = provider.get(&one).await.text();
        if shown.contains("s-equal") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(shown.contains("s-equal") && shown.contains("id=\"again\""), "{shown}");
    let entry_page = provider.get(&format!("/console/entries/{entry}")).await.text();
    assert!(entry_page.contains("id=\"compared\"") && entry_page.contains(&one), "{entry_page}");
    for who in ["stranger", "citizen"] {
        let mut other = Browser::of(&house, who).await;
        assert_eq!(other.get(&one).await.status, StatusCode::NOT_FOUND, "{who}");
        let healed = other.post(&format!("{one}/heal"), &[]).await;
        assert_eq!(healed.status, StatusCode::NOT_FOUND, "{who}");
    }
    // Nothing to heal is told.
    let healed = provider.post(&format!("{one}/heal"), &[]).await;
    assert_eq!(healed.status, StatusCode::CONFLICT, "{}", healed.text());
    app::rail::stop(&house.app).await;
    working.abort();
}

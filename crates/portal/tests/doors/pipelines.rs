//! Pipelines by the console: a file is checked, tried, kept, run, changed, compared and exported, with a real PostgreSQL.

use std::time::Duration;

use axum::http::StatusCode;
use testkit::{House, Postgres, draft};

use crate::browser::Browser;

const TEXT: &str = "name = \"firms\"\ntitle = \"法人 <b>\"\nentry = \"firms\"\nmode = \"incremental\"\n[source]\nkind = \"database\"\nsource = \"业务库\"\ntable = \"firms\"\n[watermark]\ncolumn = \"changed\"\ntype = \"datetime\"\nstart = \"2026-01-01\"\n[schedule]\ncron = \"15 2 * * *\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_is_written_tried_run_changed_and_exported() {
    let cluster = Postgres::start();
    let _ = cluster.database("business");
    cluster.run_sql(
        "business",
        "CREATE TABLE firms (id bigint PRIMARY KEY, name text, amount numeric(18,2), day date, changed timestamptz);
         INSERT INTO firms VALUES (1, '甲', 1.5, '2026-01-01', '2026-02-01'), (2, '乙', 2.5, NULL, '2026-02-02')",
    );
    let house = House::new().await;
    house.publish(draft("firms")).await;
    let mut provider = Browser::of(&house, "provider").await;
    let port = cluster.port().to_string();
    let fields = [
        ("name", "业务库"),
        ("kind", "postgres"),
        ("host", "127.0.0.1"),
        ("port", port.as_str()),
        ("database", "business"),
        ("account", "qiantang"),
        ("password", "geheim"),
        ("tls", "prefer"),
    ];
    provider.post("/console/sources", &fields).await;
    let page = provider.get("/console/pipelines/new?entry=firms").await.text();
    assert!(
        page.contains("source = &quot;业务库&quot;") && page.contains("entry = &quot;firms&quot;"),
        "{page}"
    );

    // What is wrong is marked at its line; nothing is kept.
    let wrong = TEXT.replace("15 2 * * *", "99 2 * * *");
    let page = provider.post("/console/pipelines", &[("text", &wrong)]).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    let text = page.text();
    assert!(
        text.contains("<mark>14</mark>")
            && text.contains("第 14 行")
            && text.contains("99 2 * * *"),
        "{text}"
    );
    let page = provider.post("/console/pipelines/try", &[("text", TEXT), ("do", "check")]).await;
    assert!(
        page.status == StatusCode::OK && page.text().contains("id=\"checked\""),
        "{}",
        page.text()
    );
    let page = provider.post("/console/pipelines/try", &[("text", TEXT), ("do", "dry")]).await;
    let text = page.text();
    assert!(text.contains("id=\"dry-rows\"") && text.contains("<td>乙</td>"), "{text}");
    assert!(provider.get("/console/pipelines").await.text().contains("还没有数据管道"));

    let made = provider.post("/console/pipelines", &[("text", TEXT)]).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text());
    let pipeline = made.location.split('?').next().unwrap().to_owned();
    let list = provider.get("/console/pipelines").await.text();
    assert!(list.contains("法人 &lt;b&gt;") && list.contains(&pipeline), "{list}");
    let ran = provider.post(&format!("{pipeline}/run"), &[]).await;
    assert_eq!(ran.status, StatusCode::SEE_OTHER);
    let mut shown = String::new();
    for _ in 0..300 {
        app::pipeline::tick(&house.app).await.unwrap();
        shown = provider.get(&format!("{pipeline}/figures")).await.text();
        if shown.contains("s-succeeded") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(shown.contains("s-succeeded") && shown.contains("<td class=\"n\">2</td>"), "{shown}");
    let data = Browser::new(&house).get("/data/firms/download.csv?bom=0").await.text();
    assert!(data.contains("1,甲,1.50,2026-01-01"), "{data}");

    // A change is a version that can be compared; a page that lags is told so.
    let next = TEXT.replace("2 * * *", "3 * * *");
    let saved = provider.post(&pipeline, &[("text", &next), ("seen", "1")]).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text());
    let stale = provider.post(&pipeline, &[("text", TEXT), ("seen", "1")]).await;
    assert_eq!(stale.status, StatusCode::CONFLICT);
    let page = provider.get(&format!("{pipeline}?old=1&new=2")).await.text();
    assert!(
        page.contains("<del class=\"was\"><code>cron = &quot;15 2 * * *&quot;</code>"),
        "{page}"
    );
    assert!(
        page.contains("<ins class=\"now\"><code>cron = &quot;15 3 * * *&quot;</code>"),
        "{page}"
    );
    assert!(
        page.contains("id=\"lineage\"")
            && page.contains("id=\"backfill\"")
            && !page.contains("geheim"),
        "{page}"
    );
    let file = provider.get(&format!("{pipeline}/download?version=1")).await;
    assert_eq!(file.text(), TEXT);
    let range = [("from", "2026-02-01"), ("to", "2026-02-03"), ("step", "1d")];
    let begun = provider.post(&format!("{pipeline}/backfill"), &range).await;
    assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.text());
    let page = provider.get(&pipeline).await.text();
    assert!(page.contains("<progress") && page.contains("0/2"), "{page}");
    let bad = provider
        .post(&format!("{pipeline}/backfill"), &[("from", "x"), ("to", "y"), ("step", "z")])
        .await;
    assert_eq!(bad.status, StatusCode::BAD_REQUEST);

    // Secrets are named and never shown.
    let set = provider
        .post("/console/pipelines/secrets", &[("name", "token"), ("value", "hush-hush")])
        .await;
    assert_eq!(set.status, StatusCode::SEE_OTHER, "{}", set.text());
    let page = provider.get("/console/pipelines/secrets").await.text();
    assert!(page.contains("<code>token</code>") && !page.contains("hush-hush"), "{page}");
    let gone = provider.post("/console/pipelines/secrets/remove", &[("name", "token")]).await;
    assert_eq!(gone.status, StatusCode::SEE_OTHER);

    for who in ["stranger", "authority", "citizen"] {
        let mut other = Browser::of(&house, who).await;
        for path in [pipeline.clone(), format!("{pipeline}/download")] {
            let page = other.get(&path).await;
            assert!(
                matches!(page.status, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN),
                "{who}: {}",
                page.status
            );
        }
        let posted = other.post(&format!("{pipeline}/run"), &[]).await;
        assert!(!posted.status.is_success() && !posted.status.is_redirection(), "{who}");
    }
    for path in ["pause", "resume"] {
        let page = provider.post(&format!("{pipeline}/{path}"), &[]).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{path}: {}", page.text());
    }
    let gone = provider.post(&format!("{pipeline}/remove"), &[]).await;
    assert_eq!(gone.status, StatusCode::SEE_OTHER, "{}", gone.text());
    assert_eq!(provider.get(&pipeline).await.status, StatusCode::NOT_FOUND);
    let records = Browser::of(&house, "auditor").await.get("/console/audit.csv").await.text();
    for word in [
        "create",
        "run",
        "turn",
        "edit",
        "export",
        "backfill",
        "pause",
        "resume",
        "remove",
        "secret-set",
    ] {
        assert!(records.contains(&format!("pipeline.{word}")), "{word}");
    }
    assert!(!records.contains("hush-hush"));
}

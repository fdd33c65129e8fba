//! The real-time rail by the console: from a stored source to rows that arrive, in a few clicks, with a real PostgreSQL.

use std::time::Duration;

use axum::http::StatusCode;
use testkit::{House, Postgres, draft};

use crate::browser::Browser;

#[tokio::test(flavor = "multi_thread")]
async fn a_rail_is_made_watched_paused_and_removed() {
    let cluster = Postgres::start();
    let _ = cluster.database("business");
    cluster.run_sql(
        "business",
        "CREATE TABLE firms (id bigint PRIMARY KEY, name text, amount numeric(18,2), day date);
         INSERT INTO firms VALUES (1, '甲', 1.5, '2026-01-01'), (2, '乙', 2.5, NULL);
         CREATE TABLE \"宽 表\" (x int)",
    );
    let house = House::new().await;
    house.publish(draft("firms")).await;
    let mut provider = Browser::of(&house, "provider").await;
    assert!(provider.get("/console/rails").await.text().contains("/console/sources"));
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
    let page = provider.post("/console/sources", &fields).await;
    let source = page.location.split('?').next().unwrap().rsplit('/').next().unwrap().to_owned();

    let list = provider.get("/console/rails").await.text();
    let form = format!("/console/rails/new?source={source}");
    assert!(list.contains(&form), "{list}");
    let page = provider.get(&form).await;
    let text = page.text();
    // The entry of the table's own name is offered; a table without a key is told.
    assert!(text.contains("public.firms") && text.contains("value=\"firms\""), "{text}");
    assert!(text.contains("public.宽 表") && text.contains("没有主键"), "{text}");
    let asked = |entry: &'static str, policy: &'static str| {
        vec![
            ("source", source.clone()),
            ("name", "法人高铁".to_owned()),
            ("policy", policy.to_owned()),
            ("place-0", "public.firms".to_owned()),
            ("entry-0", entry.to_owned()),
            ("place-1", "public.宽 表".to_owned()),
            ("entry-1", String::new()),
        ]
    };
    let mut send = async |fields: Vec<(&'static str, String)>| {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
        provider.post("/console/rails", &fields).await
    };
    let wrong = send(asked("nothing", "hold")).await;
    assert_eq!(wrong.status, StatusCode::NOT_FOUND);
    assert!(wrong.text().contains("id=\"rail-form\"") && wrong.text().contains("nothing"));
    let none = send(asked("", "hold")).await;
    assert_eq!(none.status, StatusCode::BAD_REQUEST, "{}", none.text());
    let made = send(asked("firms", "hold")).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text());
    let rail = made.location.split('?').next().unwrap().to_owned();

    let app = house.app.clone();
    let working = tokio::spawn(async move {
        loop {
            app::rail::tick(&app).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let mut shown = String::new();
    for _ in 0..300 {
        shown = provider.get(&format!("{rail}/figures")).await.text();
        if shown.contains("s-streaming") && shown.contains("<td class=\"n\">2</td>") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(shown.contains("s-streaming") && shown.contains("<td class=\"n\">2</td>"), "{shown}");
    let page = provider.get(&rail).await.text();
    assert!(page.contains("id=\"pause\"") && page.contains("id=\"incidents\""), "{page}");
    let data = Browser::new(&house).get("/data/firms/download.csv?bom=0").await.text();
    assert!(data.contains("1,甲,1.50,2026-01-01"), "{data}");
    let twice = {
        let fields = asked("firms", "hold");
        let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
        provider.post("/console/rails", &fields).await
    };
    assert_eq!(twice.status, StatusCode::CONFLICT, "{}", twice.text());

    for who in ["stranger", "authority", "citizen"] {
        let mut other = Browser::of(&house, who).await;
        let page = other.get(&rail).await;
        assert!(
            matches!(page.status, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN),
            "{who}: {}",
            page.status
        );
        let posted = other.post(&format!("{rail}/pause"), &[]).await;
        assert!(!posted.status.is_success() && !posted.status.is_redirection(), "{who}");
    }
    for (path, fields) in
        [("pause", vec![]), ("heal", vec![("table", "public.firms")]), ("resume", vec![])]
    {
        let page = provider.post(&format!("{rail}/{path}"), &fields).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{path}: {}", page.text());
    }
    assert!(!provider.get(&rail).await.text().contains("geheim"));
    app::rail::stop(&house.app).await;
    working.abort();
    let gone = provider.post(&format!("{rail}/remove"), &[]).await;
    assert_eq!(gone.status, StatusCode::SEE_OTHER, "{}", gone.text());
    assert_eq!(provider.get(&rail).await.status, StatusCode::NOT_FOUND);
    let records = Browser::of(&house, "auditor").await.get("/console/audit.csv").await.text();
    for word in ["rail.create", "rail.pause", "rail.heal", "rail.resume", "rail.remove"] {
        assert!(records.contains(word), "{word}");
    }
}

//! Data sources by the console, with a real PostgreSQL as the department's database.

use axum::http::StatusCode;
use testkit::{House, PROVIDER_ORG, Postgres};

use crate::browser::Browser;
use crate::console::{finished, published};

const PASSWORD: &str = "geheim @/:#?";

/// The fields of a source on this cluster.
fn form<'a>(port: &'a str, name: &'a str, password: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("name", name),
        ("kind", "postgres"),
        ("host", "127.0.0.1"),
        ("port", port),
        ("database", "business"),
        ("account", "qiantang"),
        ("password", password),
        ("tls", "prefer"),
    ]
}

#[tokio::test]
async fn a_source_is_kept_tried_previewed_and_collected_from() {
    let cluster = Postgres::start();
    let url = cluster.database("business");
    let port = url.rsplit(':').next().unwrap().split('/').next().unwrap().to_owned();
    let house = House::new().await;
    let path = published(&house).await;
    let mut provider = Browser::of(&house, "provider").await;
    let page = provider.get(&format!("{path}/query")).await;
    assert!(page.text().contains("id=\"no-source\""), "{}", page.text());

    let page = provider.post("/console/sources", &form(&port, "业务库", "")).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.text());
    assert!(page.text().contains("<a href=\"#s-password\">密码</a>"));
    let page = provider.post("/console/sources", &form(&port, "业务库", PASSWORD)).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let source = page.location.split('?').next().unwrap().to_owned();
    let id = source.rsplit('/').next().unwrap().to_owned();
    let twice = provider.post("/console/sources", &form(&port, "业务库", PASSWORD)).await;
    assert_eq!(twice.status, StatusCode::CONFLICT, "{}", twice.text());
    assert!(!twice.text().contains("geheim"), "a password is never sent back");
    let socket = [("host", "/var/run/postgresql")];
    let mut bad = form(&port, "另一个", PASSWORD);
    bad.retain(|(k, _)| *k != "host");
    bad.extend(socket);
    assert_eq!(provider.post("/console/sources", &bad).await.status, StatusCode::BAD_REQUEST);

    let page = provider.post(&format!("{source}/test"), &[]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    assert!(provider.get(&source).await.text().contains("s-ok"));

    // Two rows that fit and one that does not.
    let sql =
        "SELECT * FROM (VALUES (1, '10.5'), (2, 'many'), (3, '7')) AS t (id, fee) ORDER BY id";
    let query = |word: &'static str| {
        vec![
            ("source", id.clone()),
            ("sql", sql.to_owned()),
            ("mode", "full".to_owned()),
            ("do", word.to_owned()),
        ]
    };
    let fields = query("preview");
    let borrowed: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let page = provider.post(&format!("{path}/query"), &borrowed).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    let text = page.text();
    assert!(
        text.contains("id=\"query-preview\"") && text.contains("10.5") && text.contains("many"),
        "{text}"
    );
    assert!(text.contains("<li>费用 <code>fee</code> many"), "the item by its name: {text}");
    assert!(provider.get(&path).await.text().contains("id=\"rows\">0<"), "a preview lands nothing");
    let fields = query("collect");
    let borrowed: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let page = provider.post(&format!("{path}/query"), &borrowed).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let run = finished(&mut provider, page.location.split('?').next().unwrap()).await;
    assert!(run.contains("many") && run.contains("业务库"), "{run}");
    let csv = Browser::new(&house).get("/data/walked/download.csv?bom=0").await.text();
    assert!(csv.contains("1,10.5") && csv.contains("3,7"), "{csv}");
    for refused in ["DELETE FROM x", "SELECT 1; SELECT 2", "SELECT nothing FROM nowhere"] {
        let fields =
            [("source", id.as_str()), ("sql", refused), ("mode", "full"), ("do", "preview")];
        let page = provider.post(&format!("{path}/query"), &fields).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{refused}: {}", page.text());
    }

    // The secret stands nowhere: not on a page, not in a record, not in the store's file.
    for page in [source.as_str(), "/console/sources", &format!("{path}/query")] {
        assert!(!provider.get(page).await.text().contains("geheim"), "{page}");
    }
    let records = Browser::of(&house, "auditor").await.get("/console/audit.csv").await.text();
    assert!(records.contains("source.create") && records.contains("source.collect"), "{records}");
    assert!(!records.contains("geheim") && !records.contains("many"), "{records}");
    for file in ["control.db", "control.db-wal"] {
        let bytes = std::fs::read(house.folder().join("store").join(file)).unwrap_or_default();
        assert!(!bytes.windows(6).any(|w| w == b"geheim"), "{file}");
    }
    let kept = house.app.store.sources_of(PROVIDER_ORG).await.unwrap();
    assert_eq!((kept.len(), kept[0].tried.as_str()), (1, "ok"));

    // Moving a source asks for the password anew: a stored one is never sent elsewhere.
    let moved = provider.post(&source, &form("1", "业务库", "")).await;
    assert_eq!(moved.status, StatusCode::BAD_REQUEST, "{}", moved.text());
    let renamed = provider.post(&source, &form(&port, "业务库（改）", "")).await;
    assert_eq!(renamed.status, StatusCode::SEE_OTHER, "{}", renamed.text());
    assert_eq!(
        provider.post(&source, &form("1", "业务库", PASSWORD)).await.status,
        StatusCode::SEE_OTHER
    );
    let page = provider.post(&format!("{source}/test"), &[]).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{}", page.text());
    assert!(
        page.text().contains("127.0.0.1") && !page.text().contains("geheim"),
        "{}",
        page.text()
    );

    // Another department neither sees nor uses it.
    for who in ["stranger", "authority", "citizen"] {
        let mut other = Browser::of(&house, who).await;
        assert_eq!(other.get(&source).await.status, StatusCode::NOT_FOUND, "{who}");
        assert_eq!(
            other.post(&format!("{source}/test"), &[]).await.status,
            StatusCode::NOT_FOUND,
            "{who}"
        );
    }
    assert_eq!(provider.post(&format!("{source}/remove"), &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(provider.get(&source).await.status, StatusCode::NOT_FOUND);
}

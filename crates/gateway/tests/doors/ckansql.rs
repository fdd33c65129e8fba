//! Statements over the Action API of CKAN: rows and figures of what is open, and nothing else.

use model::audit::AuditFilter;
use serde_json::json;

use crate::ckan::{done, furnished, refused};
use crate::client::Client;

/// One SELECT of a closed grammar, where the operator wants it: the same rows as by filters, and nothing that filters would not tell.
#[tokio::test]
async fn a_statement_asks_for_rows_and_figures() {
    let house = furnished().await;
    let config = gateway::GatewayConfig {
        public_url: "http://gate.test".into(),
        ckan_sql: true,
        ..gateway::GatewayConfig::default()
    };
    let client = Client::with(&house, config);
    let sql = async |sql: &str| done(&client, "datastore_search_sql", json!({ "sql": sql })).await;
    let package = done(&client, "package_show", json!({ "id": "lake_water" })).await;
    let id = package["resources"][0]["id"].as_str().unwrap().to_owned();
    let told = sql(&format!("SELECT * FROM \"{id}\" WHERE id = 1")).await;
    let first = json!({ "id": 1, "name": "西湖", "amount": 1.5, "day": "2026-01-01" });
    assert_eq!((&told["records"], told["fields"].as_array().unwrap().len()), (&json!([first]), 4));
    assert!(told.get("records_truncated").is_none());
    for (text, wanted) in [
        ("SELECT id FROM lake_water ORDER BY id DESC LIMIT 2", json!([{ "id": 5 }, { "id": 4 }])),
        (
            "select id as n from lake_water where name = '西湖' order by n offset 1",
            json!([{ "n": 3 }]),
        ),
        (
            "SELECT id FROM lake_water WHERE (amount BETWEEN 2 AND 3.00 OR name LIKE 'a\\_%') AND NOT id IN (2)",
            json!([{ "id": 3 }, { "id": 5 }]),
        ),
        ("SELECT id FROM lake_water WHERE name IS NULL", json!([{ "id": 4 }])),
        ("SELECT count(*) FROM lake_water", json!([{ "count": 5 }])),
        (
            "SELECT count(*), sum(amount) AS s FROM lake_water WHERE id > 99",
            json!([{ "count": 0, "s": null }]),
        ),
        (
            "SELECT name, COUNT(*) AS n, SUM(amount) AS total, MAX(day) AS last FROM lake_water WHERE name IS NOT NULL \
             GROUP BY name ORDER BY n DESC, name LIMIT 1",
            json!([{ "name": "西湖", "n": 2, "total": 4.5, "last": "2026-01-03" }]),
        ),
        (
            "SELECT DISTINCT name FROM lake_water ORDER BY name DESC",
            json!([{ "name": null }, { "name": "西湖" }, { "name": "东湖" }, { "name": "a_b, c" }]),
        ),
    ] {
        assert_eq!(sql(text).await["records"], wanted, "{text}");
    }
    let wrong =
        async |sql: &str| refused(&client, "datastore_search_sql", json!({ "sql": sql })).await;
    for text in [
        "SELECT id FROM lake_water; SELECT id FROM lake_water",
        "SELECT id FROM lake_water JOIN companies",
        "SELECT pg_sleep(10)",
        "SELECT name, count(*) FROM lake_water",
        "SELECT id, id FROM lake_water",
        "SELECT sum(name) FROM lake_water",
        "DELETE FROM lake_water",
        "SELECT _id FROM lake_water",
    ] {
        let (status, kind, _) = wrong(text).await;
        assert_eq!((status, kind.as_str()), (409, "Validation Error"), "{text}");
    }
    // A hidden item answers as one that is none, wherever it stands; so does a hidden set.
    for text in [
        "SELECT secret FROM lake_water",
        "SELECT id FROM lake_water WHERE secret = 'x'",
        "SELECT id FROM lake_water ORDER BY secret",
        "SELECT max(secret) FROM lake_water",
        "SELECT count(*) FROM lake_water GROUP BY secret",
        "SELECT id FROM persons",
    ] {
        let (hidden, none) =
            (wrong(text).await, text.replace("secret", "nosuch").replace("persons", "nosuch"));
        let (status, kind, message) = wrong(&none).await;
        let alike = hidden.2.replace("secret", "nosuch").replace("persons", "nosuch");
        assert_eq!((hidden.0, hidden.1, alike), (status, kind, message), "{text}");
    }
    assert_eq!(wrong("SELECT id FROM companies").await.0, 403, "open under conditions");
    let auditor = house.person("auditor").await;
    let filter =
        AuditFilter { action: Some("rows.query".into()), limit: 50, ..AuditFilter::default() };
    let records = app::audit::list(&house.app, &auditor, &filter).await.unwrap();
    assert!(
        records.iter().any(|r| r.event.columns == "name,count(),sum(amount),max(day)"),
        "{records:?}"
    );
}

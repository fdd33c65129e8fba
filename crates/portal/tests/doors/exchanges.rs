//! Exchanges of files by the console: made in a form, run, receipts looked at, a refused file handed in again; and the check of a
//! source's account on its page.

use axum::http::StatusCode;
use testkit::{House, Postgres, draft};

use crate::browser::Browser;

const ROWS: &str = "编号,名称,金额,日期\n1,甲,1.50,2026-01-01\n";

#[tokio::test]
async fn an_exchange_is_made_run_and_its_receipts_are_seen() {
    let house = House::new().await;
    house.publish(draft("firms")).await;
    let place = house.folder().join("exchange/in");
    std::fs::create_dir_all(&place).unwrap();
    let mut provider = Browser::of(&house, "provider").await;
    assert!(provider.get("/console/exchanges").await.text().contains("/console/exchanges/new"));
    let form = provider.get("/console/exchanges/new").await.text();
    assert!(form.contains("id=\"exchange-form\"") && form.contains("value=\"firms\""), "{form}");
    let url = format!("file://{}/", place.display());
    let fields = |name: &'static str, pattern: &'static str| {
        vec![
            ("name", name.to_owned()),
            ("way", "in".to_owned()),
            ("peer", "市交通局".to_owned()),
            ("entry", "firms".to_owned()),
            ("place", url.clone()),
            ("pattern", pattern.to_owned()),
            ("completeness", "done".to_owned()),
            ("mode", "full".to_owned()),
            ("cipher", "sm4".to_owned()),
            ("secret_access_key", "geheim".to_owned()),
        ]
    };
    let send = |fields: Vec<(&'static str, String)>| fields;
    let wrong = send(fields("", "["));
    let wrong: Vec<(&str, &str)> = wrong.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let page = provider.post("/console/exchanges", &wrong).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    let text = page.text();
    assert!(
        text.contains("<a href=\"#x-pattern\">文件匹配模式</a>")
            && text.contains("<a href=\"#x-name\">名称</a>"),
        "{text}"
    );
    assert!(!text.contains("geheim"), "a secret is never shown again");
    let mut good = fields("企业交换", "*.csv");
    good.retain(|(k, _)| *k != "secret_access_key" && *k != "cipher");
    let good: Vec<(&str, &str)> = good.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let made = provider.post("/console/exchanges", &good).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text());
    let exchange = made.location.split('?').next().unwrap().to_owned();

    std::fs::write(place.join("a.csv"), ROWS).unwrap();
    std::fs::write(place.join("a.csv.done"), r#"{"rows":1}"#).unwrap();
    std::fs::write(place.join("b.csv"), "x,y\n1,2\n").unwrap();
    std::fs::write(place.join("b.csv.ok"), "").unwrap();
    let ran = provider.post(&format!("{exchange}/run"), &[]).await;
    assert_eq!(ran.status, StatusCode::SEE_OTHER, "{}", ran.text());
    let page = provider.get(&exchange).await.text();
    assert!(page.contains("a.csv") && page.contains("已接收") && page.contains("未接收"), "{page}");
    assert!(page.contains("重新交付"), "{page}");
    let file =
        page.split("name=\"file\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let again = provider.post(&format!("{exchange}/retry"), &[("file", &file)]).await;
    assert_eq!(again.status, StatusCode::SEE_OTHER, "{}", again.text());
    assert!(place.join("b.csv").exists() && place.join("b.csv.ok").exists());
    assert!(provider.get("/console/exchanges").await.text().contains("企业交换"));

    for who in ["stranger", "authority", "citizen"] {
        let mut other = Browser::of(&house, who).await;
        let page = other.get(&exchange).await;
        assert!(
            matches!(page.status, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN),
            "{who}: {}",
            page.status
        );
        for path in ["run", "pause", "retry", "key", "remove"] {
            let posted =
                other.post(&format!("{exchange}/{path}"), &[("file", file.as_str())]).await;
            assert!(!posted.status.is_success() && !posted.status.is_redirection(), "{who} {path}");
        }
    }
    for path in ["pause", "resume", "remove"] {
        let page = provider.post(&format!("{exchange}/{path}"), &[]).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{path}: {}", page.text());
    }
    assert_eq!(provider.get(&exchange).await.status, StatusCode::NOT_FOUND);
    let records = Browser::of(&house, "auditor").await.get("/console/audit.csv").await.text();
    for word in ["create", "run", "retry", "pause", "resume", "receive", "remove"] {
        assert!(records.contains(&format!("exchange.{word}")), "{word}");
    }
}

#[tokio::test]
async fn the_account_of_a_source_is_checked_on_its_page() {
    let cluster = Postgres::start();
    let _ = cluster.database("business");
    let house = House::new().await;
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
    let made = provider.post("/console/sources", &fields).await;
    let source = made.location.split('?').next().unwrap().to_owned();
    assert!(provider.get(&source).await.text().contains("id=\"check-source\""));
    let page = provider.post(&format!("{source}/check"), &[]).await;
    let text = page.text();
    assert_eq!(page.status, StatusCode::OK, "{text}");
    assert!(
        text.contains("id=\"check\"") && text.contains("NOSUPERUSER") && text.contains("须整改"),
        "{text}"
    );
    assert!(!text.contains("geheim"));
    let mut stranger = Browser::of(&house, "stranger").await;
    assert_eq!(stranger.post(&format!("{source}/check"), &[]).await.status, StatusCode::NOT_FOUND);
}

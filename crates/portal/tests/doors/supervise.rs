//! The pages of the security officer and of the system administrator.

use axum::http::StatusCode;
use testkit::House;

use crate::browser::Browser;

#[tokio::test]
async fn the_security_officer_reads_the_rules_in_force() {
    let house = House::new().await;
    let mut draft = testkit::person_draft("persons");
    draft.items[2].mask = Some(model::mask::Mask::Blank);
    house.publish(draft).await;
    let mut officer = Browser::of(&house, "security").await;
    assert!(officer.get("/console").await.text().contains("/console/security"));
    let page = officer.get("/console/security").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    let text = page.text();
    for shown in
        ["masks.toml", "2026.1", "citizen-id", "keep(6,4)", "GB/T 45574-2025", "DB33/T 2351-2021"]
    {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    // A rule that has run out is shown as such; what a department declared has its author.
    assert!(text.contains("未生效"), "{text}");
    let declared = text.split("id=\"declared\"").nth(1).unwrap();
    assert!(
        declared.contains("persons")
            && declared.contains("手机号")
            && declared.contains("provider")
    );
    let history = text.split("id=\"rule-history\"").nth(1).unwrap();
    assert!(history.contains("2026-03-02") && history.contains("正在执行"), "{history}");
    let records =
        Browser::of(&house, "auditor").await.get("/console/audit?action=security.rules").await;
    assert!(records.text().contains("masks.toml") || records.text().contains("security.rules"));
    for who in ["provider", "authority", "admin", "citizen"] {
        let mut other = Browser::of(&house, who).await;
        assert_eq!(other.get("/console/security").await.status, StatusCode::FORBIDDEN, "{who}");
    }
}

#[tokio::test]
async fn the_administrator_sees_health_versions_and_sizes() {
    let house = House::new().await;
    let entry = house.publish(testkit::draft("sized")).await;
    let rows = "编号,名称,金额,日期\n1,甲,1.5,2026-01-02\n2,乙,2,2026-01-03\n";
    house.collect(&entry.id, "a.csv", rows.as_bytes(), model::code::SyncMode::Full).await.unwrap();
    let mut admin = Browser::of(&house, "admin").await;
    let page = admin.get("/console/system").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    let text = page.text();
    assert!(text.contains("SQLite") && text.contains("qiantang 0."), "{text}");
    assert!(!text.contains("不可用"), "{text}");
    for folder in ["lake", "store", "search", "inbox"] {
        assert!(text.contains(&format!("<code>{folder}</code>")), "{folder}: {text}");
    }
    let rows = text.split("各目录现有数据行").nth(1).unwrap();
    assert!(rows.trim_start_matches("</th><td class=\"n\">").starts_with('2'), "{rows}");
    for who in ["provider", "security", "citizen"] {
        let mut other = Browser::of(&house, who).await;
        assert_eq!(other.get("/console/system").await.status, StatusCode::FORBIDDEN, "{who}");
    }
}

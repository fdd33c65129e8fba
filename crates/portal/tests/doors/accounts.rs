//! Accounts by their pages: a one-time password, roles, unlocking, organisations, and a citizen's own application.

use axum::http::StatusCode;
use testkit::{House, PASSWORD, PROVIDER_ORG};

use crate::browser::{Browser, Page};

async fn id_of(house: &House, name: &str) -> String {
    house.person(name).await.actor.id().to_owned()
}

async fn sign_in(house: &House, name: &str, password: &str) -> (Browser, Page) {
    let mut browser = Browser::new(house);
    let token = browser.get("/login?next=/console/runs").await.after("name=\"csrf\" value=\"");
    let form = [
        ("csrf", token.as_str()),
        ("name", name),
        ("password", password),
        ("next", "/console/runs"),
    ];
    let page = browser.post_raw("/login", &form).await;
    (browser, page)
}

#[tokio::test]
async fn a_one_time_password_leads_to_its_change_and_nowhere_else() {
    let house = House::new().await;
    let mut admin = Browser::of(&house, "admin").await;
    let one = format!("/console/users/{}", id_of(&house, "provider").await);
    assert!(admin.get("/console/users").await.text().contains(&one));
    let page = admin.post(&format!("{one}/reset"), &[]).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    assert!(page.headers["cache-control"].to_str().unwrap().contains("no-store"));
    let text = page.text();
    let given = text.split("id=\"secret\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    assert!(!admin.get(&one).await.text().contains(&given), "shown once");

    let (mut provider, page) = sign_in(&house, "provider", &given).await;
    assert_eq!((page.status, page.location.as_str()), (StatusCode::SEE_OTHER, "/me"));
    assert!(provider.get("/me").await.text().contains("id=\"must-change\""));
    for path in ["/console", "/console/runs", "/apply/x", "/console/entries/new"] {
        let page = provider.get(path).await;
        assert_eq!((page.status, page.location.as_str()), (StatusCode::SEE_OTHER, "/me"), "{path}");
    }
    let page = provider.post("/console/applications", &[("name", "x")]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    let form = [("old", given.as_str()), ("new", "My-own-2026!"), ("again", "My-own-2026!")];
    let page = provider.post("/me/password", &form).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let (mut provider, page) = sign_in(&house, "provider", "My-own-2026!").await;
    assert_eq!(page.location, "/console/runs");
    // The workbench names roles in words.
    let desk = provider.get("/console").await.text();
    assert!(desk.contains("· 数据提供单位") && !desk.contains("· provider</"), "{desk}");
    assert!(provider.get("/console?lang=en").await.text().contains("Data provider"));
    assert_eq!(provider.get(&one).await.status, StatusCode::OK, "one's own account");
    let other = format!("/console/users/{}", id_of(&house, "consumer").await);
    assert_eq!(provider.get(&other).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_administrator_changes_roles_and_unlocks() {
    let house = House::new().await;
    let mut admin = Browser::of(&house, "admin").await;
    let one = format!("/console/users/{}", id_of(&house, "county").await);
    let form = [
        ("display_name", "小李"),
        ("org", "org-yuhang"),
        ("roles", "consumer"),
        ("roles", "reviewer"),
    ];
    let page = admin.post(&one, &form).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let text = admin.get(&one).await.text();
    assert!(text.contains("小李") && text.contains("审核人"), "{text}");
    let page = admin.post(&one, &[("display_name", "小李"), ("org", "org-yuhang")]).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "no role");
    assert!(page.text().contains("id=\"faults\""));
    for _ in 0..5 {
        let (_, page) = sign_in(&house, "county", "wrong").await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    }
    let (_, page) = sign_in(&house, "county", PASSWORD).await;
    assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(page.text().contains("locked_out"));
    assert!(admin.get("/console/users").await.text().contains("已锁定"));
    assert!(admin.get(&one).await.text().contains("id=\"unlock\""));
    let page = admin.post(&format!("{one}/unlock"), &[]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    assert_eq!(sign_in(&house, "county", PASSWORD).await.1.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn an_administrator_changes_an_organisation() {
    let house = House::new().await;
    let mut admin = Browser::of(&house, "admin").await;
    let one = format!("/console/orgs/{PROVIDER_ORG}");
    assert!(admin.get("/console/orgs").await.text().contains(&one));
    let page = admin.get(&one).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    let uscc = page.after("name=\"uscc\" value=\"");
    let form = [
        ("name_cn", "省市场监督管理局"),
        ("uscc", uscc.as_str()),
        ("kind", "state_organ"),
        ("region", "330000"),
    ];
    let page = admin.post(&one, &form).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    assert!(admin.get("/console/orgs").await.text().contains("省市场监督管理局"));
    let page = admin.post(&one, &[("name_cn", "x"), ("uscc", "1"), ("kind", "state_organ")]).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    let mut provider = Browser::of(&house, "provider").await;
    assert_eq!(provider.get(&one).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_citizen_applies_for_restricted_open_data() {
    let house = House::new().await;
    house.publish(testkit::restricted_draft("yanjiu")).await;
    let mut citizen = Browser::of(&house, "citizen").await;
    assert!(citizen.get("/data/yanjiu").await.text().contains("/restricted/new?code=yanjiu"));
    let old = citizen.get("/apply/yanjiu").await;
    assert_eq!(
        (old.status, old.location.as_str()),
        (StatusCode::SEE_OTHER, "/restricted/new?code=yanjiu")
    );
    let form = citizen.get("/restricted/new?code=yanjiu").await.text();
    assert!(form.contains("/console/applications") && form.contains("id=\"use-form\""), "{form}");
    assert!(citizen.get("/me").await.text().contains("href=\"/console/applications\""));
    let page = citizen.post("/console/applications", &[("name", "论文"), ("org", "x")]).await;
    assert!(page.status == StatusCode::OK && page.text().contains("id=\"secret\""));
    let list = citizen.get("/console/applications").await.text();
    assert!(list.contains("论文") && list.contains("更换密钥") && !list.contains("id=\"secret\""));
    let form = citizen.get("/restricted/new?code=yanjiu").await;
    assert!(form.text().contains("论文"), "{}", form.text());
    // The old door says where the new one is.
    let application =
        form.after("<select id=\"application\" name=\"application\" required><option value=\"");
    let filled = [
        ("application", application.as_str()),
        ("items", "id"),
        ("items", "name"),
        ("scene", "论文研究"),
        ("legal_basis", "开放条件第一项"),
        ("period", "90"),
        ("calls_per_day", "100"),
    ];
    let page = citizen.post("/apply/yanjiu", &filled).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.text());
    assert!(page.text().contains("/restricted/new"), "{}", page.text());
    let op = house.person("citizen").await;
    let agreed = house.use_in_force(&op, testkit::use_of(&application, "yanjiu", &["id"])).await;
    let request = format!("/console/requests/{}", agreed.entries[0].grant);
    let text = citizen.get(&request).await.text();
    assert!(text.contains("受限开放") && text.contains("个人"), "{text}");
    assert!(citizen.get("/me").await.text().contains(&request));
    assert!(citizen.get("/console/requests?view=mine").await.text().contains(&request));
    assert!(citizen.get(&request).await.text().contains("id=\"call\""));
    let mut enterprise = Browser::of(&house, "enterprise").await;
    assert_eq!(enterprise.get(&request).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_overdue_is_marked() {
    let house = House::new().await;
    house.publish(testkit::person_draft("renkou")).await;
    let (_, secret) = house.application("应用").await;
    let consumer = house.person("consumer").await;
    let new = model::request::RequestNew {
        entry: "renkou".into(),
        application: secret.application.id,
        items: vec!["xm".into()],
        scene: "核验".into(),
        legal_basis: "职责".into(),
        period: model::request::Period::Days { days: 30 },
        calls_per_day: 10,
        area_range: String::new(),
        row_range: Default::default(),
        by_sql: false,
    };
    let request = app::sharing::apply(&house.app, &consumer, new).await.unwrap();
    let mut provider = Browser::of(&house, "provider").await;
    assert!(!provider.get("/console").await.text().contains("overdue"));
    house.clock.forward(chrono::TimeDelta::days(30));
    let mut provider = Browser::of(&house, "provider").await;
    for path in ["/console", "/console/requests", &format!("/console/requests/{}", request.id)] {
        let text = provider.get(path).await.text();
        assert!(text.contains("overdue") && text.contains("已逾期"), "{path}: {text}");
    }
}

//! Pages of dispatch and control: numbers that are links, forms that mend, buttons only for those who may press them.

use axum::http::StatusCode;
use model::code::{DataType, SyncMode};
use testkit::{CONSUMER_ORG, House};

use crate::browser::Browser;

const ROWS: &[u8] = b"id,name,amount,day\n1,a,1.50,2026-01-01\n";

#[tokio::test]
async fn the_dashboard_reads_as_tables_and_leads_to_rows() {
    let house = House::new().await;
    let entry = house.publish(testkit::draft("board")).await;
    house.collect(&entry.id, "a.csv", ROWS, SyncMode::Full).await.unwrap();
    house.collect(&entry.id, "b.csv", b"x\n1\n", SyncMode::Full).await.unwrap();
    let mut authority = Browser::of(&house, "authority").await;
    assert!(authority.get("/console").await.text().contains("/console/control"));
    let page = authority.get("/console/control").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    let text = page.text();
    // Without script every chart is a table, and every number in it a link.
    for id in ["growth", "regions", "top", "run-days", "freshness", "approvals"] {
        assert!(text.contains(&format!("id=\"{id}-table\"")), "{id}");
        assert!(text.contains(&format!("data-chart=\"{id}-table\"")), "{id}");
    }
    assert!(text.contains("统计于 2026-03-02 09:00"), "the time of the figures");
    assert!(text.contains("近 24 小时有 1 次归集失败"), "{text}");
    let links = ["/console/runs?state=failed", "/console/control/stale", "/console/control/calls"];
    for link in links {
        assert!(text.contains(&format!("href=\"{link}\"")), "{link}");
        assert_eq!(authority.get(link).await.status, StatusCode::OK, "{link}");
    }
    let failed = authority.get("/console/runs?state=failed").await.text();
    assert!(failed.contains("b.csv") && !failed.contains("a.csv"), "{failed}");
    assert!(authority.get("/console/runs?day=2026-03-01").await.text().contains("还没有归集任务"));
    let english = authority.get("/console/control?lang=en").await.text();
    assert!(english.contains("1 collections failed within 24 hours"), "{english}");

    // The wall has the same figures and nothing to walk away by but its own button.
    let wall = authority.get("/console/control/wall?lang=zh").await.text();
    assert!(wall.contains("class=\"wall\"") && wall.contains("data-seconds=\"60\""));
    assert!(wall.contains("http-equiv=\"refresh\"") && wall.contains("id=\"growth-table\""));
    assert!(!wall.contains("console-nav") && !wall.contains("id=\"logout\""));
    for who in ["provider", "consumer", "admin", "citizen"] {
        let mut other = Browser::of(&house, who).await;
        for path in ["/console/control", "/console/control/wall", "/console/control/calls"] {
            assert_eq!(other.get(path).await.status, StatusCode::FORBIDDEN, "{who} {path}");
        }
        assert!(!other.get("/console").await.text().contains("/console/control\""), "{who}");
    }
}

#[tokio::test]
async fn a_quota_is_set_by_its_form_and_a_wrong_one_is_mended() {
    let house = House::new().await;
    let mut authority = Browser::of(&house, "authority").await;
    let path = format!("/console/dispatch/org/{CONSUMER_ORG}");
    let page = authority.get(&path).await.text();
    assert!(page.contains("不设") && page.contains("id=\"set\""), "{page}");
    let form =
        |amount| [("do", "set"), ("resource", "calls"), ("amount", amount), ("reason", "核定")];
    let page = authority.post(&path, &form("many")).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(page.text().contains("id=\"faults\"") && page.text().contains("value=\"many\""));
    let page = authority.post(&path, &form("5000")).await;
    assert_eq!(
        (page.status, page.location.as_str()),
        (StatusCode::SEE_OTHER, format!("{path}?done=saved").as_str())
    );
    let page = authority.get(&path).await.text();
    assert!(page.contains("5,000") && page.contains("核定"), "{page}");
    let list = authority.get("/console/dispatch?resource=calls&kind=org").await.text();
    assert!(list.contains(&path) && list.contains("5,000"), "{list}");
    // Its own people see it and may ask, not set; others do not know of it.
    let mut consumer = Browser::of(&house, "consumer").await;
    let page = consumer.get(&path).await.text();
    assert!(page.contains("5,000") && !page.contains("id=\"set\"") && page.contains("id=\"ask\""));
    assert_eq!(consumer.post(&path, &form("1")).await.status, StatusCode::FORBIDDEN);
    let mut county = Browser::of(&house, "county").await;
    assert_eq!(county.get(&path).await.status, StatusCode::NOT_FOUND);
    assert!(!county.get("/console/dispatch?kind=org").await.text().contains(CONSUMER_ORG));
    for path in
        ["/console/dispatch/moon/1", "/console/dispatch/org/nobody", "/console/dispatch/jobs/moon"]
    {
        assert_eq!(authority.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_failed_run_is_run_again_from_the_calendar() {
    let house = House::new().await;
    let provider = house.person("provider").await;
    let mut draft = testkit::draft("mended");
    draft.items[2].data_type = DataType::Date;
    (draft.items[2].precision, draft.items[2].scale) = (0, 0);
    let entry = app::catalogue::create(&house.app, &provider, draft).await.unwrap();
    let run = house.collect(&entry.id, "a.csv", ROWS, SyncMode::Full).await.unwrap();
    let mut browser = Browser::of(&house, "provider").await;
    let month = browser.get("/console/dispatch/calendar").await.text();
    assert!(month.contains("失败 1") && !month.contains("id=\"jobs\""), "{month}");
    let path = "/console/dispatch/calendar/2026-03-02";
    let retry = format!("/console/dispatch/runs/{}/retry", run.id);
    assert!(browser.get(path).await.text().contains(&retry));
    assert!(browser.get(&format!("/console/runs/{}", run.id)).await.text().contains(&retry));
    let mut authority = Browser::of(&house, "authority").await;
    assert!(
        !authority.get(path).await.text().contains(&retry),
        "who may not collect has no button"
    );
    app::catalogue::edit(&house.app, &provider, &entry.id, testkit::draft("mended"), 1)
        .await
        .unwrap();
    let page = browser.post(&retry, &[]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    assert!(page.location.starts_with("/console/runs/") && page.location.ends_with("done=retried"));
    assert_eq!(
        browser.get("/console/dispatch/calendar?month=2026-99").await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(browser.get("/console/dispatch/calendar/soon").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_administrator_runs_a_job_and_sees_it() {
    let house = House::new().await;
    let mut admin = Browser::of(&house, "admin").await;
    let page = admin.get("/console/dispatch/calendar").await.text();
    assert!(page.contains("id=\"jobs\"") && page.contains("未运行过"), "{page}");
    let page = admin.post("/console/dispatch/jobs/chain/run", &[]).await;
    assert_eq!(page.location, "/console/dispatch/jobs/chain?done=ran");
    let page = admin.get(&page.location).await.text();
    assert!(
        page.contains("审计链核验") && page.contains("正常") && page.contains("admin"),
        "{page}"
    );
    let mut authority = Browser::of(&house, "authority").await;
    let page = authority.get("/console/dispatch/calendar").await.text();
    assert!(page.contains("id=\"jobs\"") && !page.contains("jobs/chain/run"), "sees, does not run");
    let refused = authority.post("/console/dispatch/jobs/chain/run", &[]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

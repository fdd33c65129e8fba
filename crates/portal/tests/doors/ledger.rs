//! The ledger by its pages: what a reviewer sees before deciding, a refused change gone on with, the further fields.

use axum::http::StatusCode;
use chrono::TimeDelta;
use testkit::House;

use crate::browser::Browser;
use crate::console::{published, with};

/// Hands in a change of the walked entry by the form, as its page offers it.
async fn change(browser: &mut Browser, path: &str, changes: &[(&str, &str)]) -> StatusCode {
    let page = browser.get(&format!("{path}/edit")).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    let version = page.after("name=\"base_version\" value=\"");
    let at = page.after("name=\"base_at\" value=\"");
    let mut all = vec![("base_version", version.as_str()), ("base_at", at.as_str())];
    all.extend_from_slice(changes);
    browser.post(&format!("{path}/edit"), &with(&all)).await.status
}

async fn step(browser: &mut Browser, path: &str, word: &str) -> StatusCode {
    let form = [("move", word), ("reason", "请写明缩写")];
    browser.post(&format!("{path}/moves"), &form).await.status
}

#[tokio::test]
async fn a_reviewer_sees_what_changes_and_by_when() {
    let house = House::new().await;
    let path = published(&house).await;
    let mut provider = Browser::of(&house, "provider").await;
    let changes =
        [("title", "走查数据集（改）"), ("item-1-grade", "L2"), ("item-1-open_type", "none")];
    assert_eq!(change(&mut provider, &path, &changes).await, StatusCode::SEE_OTHER);

    let mut authority = Browser::of(&house, "authority").await;
    let queue = authority.get("/console/review").await.text();
    let row = queue.split("id=\"review-walked\"").nth(1).expect("the change is in the queue");
    assert!(
        row.contains("走查数据集（改）") && row.contains("<del class=\"was\">走查数据集</del>"),
        "{row}"
    );
    assert!(
        row.contains("<code class=\"small\">items.fee.grade</code>") && row.contains("L2 低敏感")
    );
    assert!(row.contains("2026-03-04") && !row.contains("已逾期"), "{row}");
    let entry = authority.get(&path).await.text();
    assert!(entry.contains("id=\"pending\"") && entry.contains("走查数据集（改）"), "{entry}");
    assert!(entry.contains("id=\"move-approve\""));
    let compared = authority.get(&format!("{path}/compare?from=1&to=2")).await.text();
    assert!(compared.contains("items.fee.open_type"), "{compared}");
    // Who handed it in is not offered the decision, and is told why.
    let own = provider.get(&path).await.text();
    assert!(!own.contains("id=\"move-approve\"") && own.contains("须由他人审核"), "{own}");
    // A stranger who may see the entry in force sees nothing of the change.
    let consumer = Browser::of(&house, "consumer").await.get(&path).await.text();
    assert!(!consumer.contains("（改）") && !consumer.contains("id=\"pending\""), "{consumer}");
    let hidden =
        Browser::of(&house, "consumer").await.get(&format!("{path}/compare?from=1&to=2")).await;
    assert_eq!(hidden.status, StatusCode::NOT_FOUND);

    house.clock.forward(TimeDelta::days(3));
    // Sessions have ended meanwhile.
    let mut authority = Browser::of(&house, "authority").await;
    for page in ["/console/review", "/console", path.as_str()] {
        let text = authority.get(page).await.text();
        assert!(text.contains("2026-03-04") && text.contains("已逾期"), "{page}: {text}");
    }
}

#[tokio::test]
async fn a_refused_change_is_gone_on_with_and_a_withdrawal_keeps_it() {
    let house = House::new().await;
    let path = published(&house).await;
    let mut provider = Browser::of(&house, "provider").await;
    let mut authority = Browser::of(&house, "authority").await;
    let first = [("description", "改过的摘要 GB")];
    assert_eq!(change(&mut provider, &path, &first).await, StatusCode::SEE_OTHER);
    let closed = provider.get(&format!("{path}/edit")).await.text();
    assert!(closed.contains("id=\"locked\""), "{closed}");
    assert_eq!(step(&mut authority, &path, "reject").await, StatusCode::SEE_OTHER);
    // The desk and the page say what was refused and why; the form holds the refused change, not what is in force.
    let desk = provider.get("/console").await.text();
    assert!(desk.contains("id=\"rejected-entries\"") && desk.contains(&path), "{desk}");
    let form = provider.get(&format!("{path}/edit")).await.text();
    assert!(form.contains("改过的摘要 GB") && form.contains("请写明缩写"), "{form}");
    let (version, at) = {
        let page = provider.get(&format!("{path}/edit")).await;
        (page.after("name=\"base_version\" value=\""), page.after("name=\"base_at\" value=\""))
    };
    let second = [("description", "改过的摘要（国标）")];
    assert_eq!(change(&mut provider, &path, &second).await, StatusCode::SEE_OTHER);
    assert_eq!(step(&mut provider, &path, "withdraw").await, StatusCode::SEE_OTHER);
    let form = provider.get(&format!("{path}/edit")).await.text();
    assert!(form.contains("改过的摘要（国标）"), "the mended change is kept: {form}");
    // A form opened before that would overwrite it: refused, although the version is the same.
    let stale =
        [("base_version", version.as_str()), ("base_at", at.as_str()), ("description", "旧表单")];
    let page = provider.post(&format!("{path}/edit"), &with(&stale)).await;
    assert_eq!(page.status, StatusCode::CONFLICT, "{}", page.text());
    assert!(
        page.text().contains("stale") && page.text().contains("旧表单"),
        "what was typed stays"
    );
    let page = provider.get(&path).await.text();
    assert!(page.contains("放弃变更"), "{page}");
    assert_eq!(step(&mut provider, &path, "submit").await, StatusCode::SEE_OTHER);
    assert_eq!(step(&mut authority, &path, "approve").await, StatusCode::SEE_OTHER);
    assert!(provider.get(&path).await.text().contains("改过的摘要（国标）"));
}

#[tokio::test]
async fn the_further_fields_of_the_schema_go_through_form_page_file_and_download() {
    let house = House::new().await;
    let path = published(&house).await;
    let mut provider = Browser::of(&house, "provider").await;
    let mut authority = Browser::of(&house, "authority").await;
    let fields = [
        ("theme", "企业开办"),
        ("data_level", "province"),
        ("data_range", "direct"),
        ("data_kinds", "organisation"),
        ("processing_level", "04"),
        ("provider_channel", "government"),
        ("shared_mode", "platform"),
        ("electronic_proof", "on"),
        ("operation_authorized", "on"),
        ("app_scene", "supervision"),
        ("item-0-standard_code", "DE00023"),
        ("item-0-code_table", "GB/T 2260"),
        ("item-0-source_system_level", "own"),
    ];
    assert_eq!(change(&mut provider, &path, &fields).await, StatusCode::SEE_OTHER);
    let form = provider.get(&format!("{path}/edit")).await.text();
    assert!(
        form.contains("value=\"04\" selected")
            && form.contains("name=\"electronic_proof\" checked")
    );
    assert_eq!(step(&mut authority, &path, "approve").await, StatusCode::SEE_OTHER);
    let mut nobody = Browser::new(&house);
    let page = nobody.get("/data/walked").await.text();
    for shown in ["企业开办", "省级", "统计数据", "政务外网", "DE00023", "GB/T 2260"]
    {
        assert!(page.contains(shown), "{shown}");
    }
    let json: serde_json::Value =
        serde_json::from_slice(&nobody.get("/data/walked/metadata.json").await.bytes).unwrap();
    assert_eq!(
        (json["data_level"].as_str(), json["theme"].as_str()),
        (Some("province"), Some("企业开办"))
    );
    assert_eq!(json["data_kinds"][0], "organisation");
    assert_eq!(json["items"][0]["standard_code"], "DE00023");
    let csv = nobody.get("/data/walked/metadata.csv").await.text();
    assert!(csv.contains("标准数据元") && csv.contains("DE00023"), "{csv}");
    assert!(nobody.get("/catalogue.csv").await.text().contains("企业开办"));
    let sheet = authority.get("/console/export.csv").await.text();
    assert!(
        sheet.contains("加工程度") && sheet.contains("统计数据") && sheet.contains("DE00023"),
        "{sheet}"
    );
    // A classified item may be neither shared nor opened.
    let classified = [("item-0-classified", "on"), ("do", "check")];
    let page = provider.post("/console/entries/new", &with(&classified)).await.text();
    assert!(page.contains("items[0].classified"), "{page}");
}

#[tokio::test]
async fn a_catalogue_file_is_taken_only_from_those_who_may_import() {
    let house = House::new().await;
    for who in ["citizen", "consumer", "auditor"] {
        let mut browser = Browser::of(&house, who).await;
        assert_eq!(browser.get("/console/import").await.status, StatusCode::FORBIDDEN, "{who}");
        let page = browser.upload("/console/import", &[], "a.csv", b"x").await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{who}: {}", page.text());
    }
    let mut provider = Browser::of(&house, "provider").await;
    let large =
        vec![b'a'; usize::try_from(house.app.rules.catalogue.size.import_bytes).unwrap() + 1];
    let page = provider.upload("/console/import", &[], "大.csv", &large).await;
    assert_eq!(page.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", page.text());
}

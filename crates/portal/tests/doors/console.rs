//! The console's main job by its forms: compile, review, put online, upload, mend, apply, decide, read the audit.

use axum::http::StatusCode;
use testkit::House;
use testkit::PROVIDER_ORG;

use crate::browser::{Browser, encode};

/// The entry form as a provider fills it in.
const ENTRY: [(&str, &str); 37] = [
    ("code", "walked"),
    ("title", "走查数据集"),
    ("description", "走查用的合成数据。"),
    ("org", PROVIDER_ORG),
    ("region", "330000"),
    ("domain", "11"),
    ("tags", "走查，测试"),
    ("kind", "table"),
    ("update_cycle", "daily"),
    ("sync_mode", "full"),
    ("share_type", "restricted"),
    ("share_condition", "经数源单位同意"),
    ("share_basis", "涉及经营信息"),
    ("open_type", "unconditional"),
    ("item-0-identifier", "id"),
    ("item-0-name_cn", "编号"),
    ("item-0-data_type", "integer"),
    ("item-0-grade", "L1"),
    ("item-0-share_type", "unconditional"),
    ("item-0-open_type", "unconditional"),
    ("item-0-primary", "on"),
    ("item-0-lookup", "on"),
    ("item-0-required", "on"),
    ("item-1-identifier", "fee"),
    ("item-1-name_cn", "费用"),
    ("item-1-data_type", "decimal"),
    ("item-1-precision", "12"),
    ("item-1-scale", "2"),
    ("item-1-grade", "L1"),
    ("item-1-share_type", "restricted"),
    ("item-1-share_condition", "经数源单位同意"),
    ("item-1-open_type", "unconditional"),
    // An empty row is no item.
    ("item-2-identifier", ""),
    ("item-2-name_cn", ""),
    ("item-2-data_type", "text"),
    ("item-2-grade", "L2"),
    ("do", "save"),
];

pub(crate) fn with<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut form: Vec<(&str, &str)> =
        ENTRY.into_iter().filter(|(k, _)| !changes.iter().any(|(c, _)| c == k)).collect();
    form.extend_from_slice(changes);
    form
}

/// Compiles and publishes the walked entry; its console path.
pub(crate) async fn published(house: &House) -> String {
    let (mut provider, mut authority) =
        (Browser::of(house, "provider").await, Browser::of(house, "authority").await);
    let page = provider.post("/console/entries/new", &ENTRY).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let path = page.location.split('?').next().unwrap().to_owned();
    let moves = format!("{path}/moves");
    for (browser, step) in
        [(true, "submit"), (false, "approve"), (true, "put_online"), (false, "approve")]
    {
        let who = if browser { &mut provider } else { &mut authority };
        let page = who.post(&moves, &[("move", step), ("reason", "走查")]).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{step}: {}", page.text());
    }
    assert!(provider.get(&path).await.text().contains("已上线"));
    path
}

#[tokio::test]
async fn the_form_keeps_what_was_typed_and_names_what_is_wrong() {
    let house = House::new().await;
    let mut provider = Browser::of(&house, "provider").await;
    let page = provider.post("/console/entries/new", &with(&[("do", "add")])).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        page.text().contains("name=\"item-3-identifier\"") && page.text().contains("走查数据集")
    );
    let page = provider.post("/console/entries/new", &with(&[("do", "remove-0")])).await;
    assert!(
        page.text().contains("name=\"item-1-identifier\"")
            && !page.text().contains("value=\"编号\"")
    );
    let page = provider.post("/console/entries/new", &with(&[("do", "check")])).await;
    assert!(page.text().contains("id=\"checked\""), "{}", page.text());
    // An L4 item cannot be open without conditions.
    let page = provider.post("/console/entries/new", &with(&[("item-1-grade", "L4")])).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(
        page.text().contains("id=\"faults\"") && page.text().contains("items[1]"),
        "{}",
        page.text()
    );
    let drafted = provider
        .upload(
            "/console/entries/draft",
            &[],
            "样例.csv",
            "station id,名称\n1,甲\n2,乙\n".as_bytes(),
        )
        .await;
    assert_eq!(drafted.status, StatusCode::OK, "{}", drafted.text());
    assert!(
        drafted.text().contains("value=\"station_id\"")
            && drafted.text().contains("name=\"item-1-identifier\" value=\"mingcheng\"")
            && drafted.text().contains("value=\"名称\"")
    );
}

#[tokio::test]
async fn an_upload_is_collected_and_its_quarantine_mended() {
    let house = House::new().await;
    let path = published(&house).await;
    let mut provider = Browser::of(&house, "provider").await;
    let collect = format!("{path}/collect");
    let bytes = "编号,费用\n1,10.5\n2,many\n3,7\n".as_bytes();
    let page =
        provider.upload(&collect, &[("mode", "full"), ("dry_run", "on")], "a.csv", bytes).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    assert!(page.text().contains("id=\"rehearsal\"") && page.text().contains("many"));
    let named = "<td>费用 <code>fee</code></td>";
    assert!(page.text().contains(named), "the item by its name: {}", page.text());
    let page = provider.upload(&collect, &[("mode", "full")], "a.csv", bytes).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let run = page.location.split('?').next().unwrap().to_owned();
    let text = finished(&mut provider, &run).await;
    assert!(text.contains("many") && text.contains(named), "{text}");
    let row = text.split("id=\"row-").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let csv = provider.get(&format!("{run}/quarantine.csv")).await.text();
    assert!(csv.contains("many"), "{csv}");
    let mended = [("cell-0", "2"), ("cell-1", "8.25")];
    let page = provider.post(&format!("{run}/quarantine/{row}"), &mended).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let page = provider.post(&format!("{run}/replay"), &[]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    finished(&mut provider, page.location.split('?').next().unwrap()).await;
    let csv = Browser::new(&house).get("/data/walked/download.csv?bom=0").await.text();
    assert_eq!(csv.lines().count(), 4, "{csv}");
    assert!(csv.contains("2,8.25"), "{csv}");
}

/// The run's page once it has ended.
pub(crate) async fn finished(browser: &mut Browser, run: &str) -> String {
    for _ in 0..600 {
        let page = browser.get(&format!("{run}/progress")).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text());
        if !page.text().contains("hx-trigger") {
            let text = browser.get(run).await.text();
            assert!(text.contains("s-succeeded"), "{text}");
            return text;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the run did not end");
}

#[tokio::test]
async fn an_application_is_registered_applied_for_decided_and_audited() {
    let house = House::new().await;
    published(&house).await;
    let mut consumer = Browser::of(&house, "consumer").await;
    let page = consumer
        .post("/console/applications", &[("name", "走查应用"), ("description", "走查")])
        .await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    assert!(page.text().contains("id=\"secret\""));
    assert!(
        !consumer.get("/console/applications").await.text().contains("id=\"secret\""),
        "shown once"
    );
    let form = consumer.get("/apply/walked").await;
    let application = form.after("<option value=\"");
    let empty = consumer
        .post(
            "/apply/walked",
            &[("application", &application), ("period", "90"), ("calls_per_day", "10")],
        )
        .await;
    assert_eq!(empty.status, StatusCode::BAD_REQUEST, "{}", empty.text());
    let filled = [
        ("application", application.as_str()),
        ("items", "id"),
        ("items", "fee"),
        ("scene", "核对费用"),
        ("legal_basis", "有关规定第一条"),
        ("period", "90"),
        ("calls_per_day", "1000"),
    ];
    let page = consumer.post("/apply/walked", &filled).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let request = page.location.split('?').next().unwrap().to_owned();
    for who in ["provider", "authority"] {
        let mut reviewer = Browser::of(&house, who).await;
        assert!(reviewer.get("/console").await.text().contains(&request), "{who}'s inbox");
        let decide = [("do", "approve"), ("reason", "同意")];
        let page = reviewer.post(&format!("{request}/decide"), &decide).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{who}: {}", page.text());
    }
    assert!(consumer.get(&request).await.text().contains("已通过"));
    let mut stranger = Browser::of(&house, "stranger").await;
    assert_eq!(stranger.get(&request).await.status, StatusCode::NOT_FOUND);

    let mut auditor = Browser::of(&house, "auditor").await;
    let records = auditor.get(&format!("/console/audit?action={}", encode("request"))).await.text();
    assert!(records.contains("request."), "{records}");
    let verdict = auditor.post("/console/audit/verify", &[]).await.text();
    assert!(verdict.contains("id=\"verdict\"") && verdict.contains("完整"), "{verdict}");
    let mut provider = Browser::of(&house, "provider").await;
    assert_eq!(provider.get("/console/audit").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn catalogues_go_out_and_come_back_unchanged() {
    let house = House::new().await;
    published(&house).await;
    let mut authority = Browser::of(&house, "authority").await;
    for format in ["csv", "xlsx"] {
        let file = authority.get(&format!("/console/export.{format}")).await;
        assert_eq!(file.status, StatusCode::OK, "{}", file.text());
        let page = authority
            .upload(
                "/console/import",
                &[("dry_run", "on")],
                &format!("catalogue.{format}"),
                &file.bytes,
            )
            .await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text());
        assert!(
            page.text().contains("id=\"report\"") && page.text().contains("检查通过"),
            "{}",
            page.text()
        );
    }
    let page = authority.upload("/console/import", &[], "bad.csv", "名称\n甲\n".as_bytes()).await;
    assert!(page.text().contains("role=\"alert\""), "{}", page.text());
}

/// Which rows alone: chosen when applying, narrowed when deciding; what is wrong is told beside what was typed.
#[tokio::test]
async fn rows_are_limited_on_the_pages() {
    let house = House::new().await;
    published(&house).await;
    let mut consumer = Browser::of(&house, "consumer").await;
    consumer.post("/console/applications", &[("name", "按行应用"), ("description", "走查")]).await;
    let form = consumer.get("/apply/walked").await;
    assert!(form.text().contains("id=\"row-range\"") && !form.text().contains("name=\"row_org\""));
    let application = form.after("<option value=\"");
    let filled = |value: &'static str| {
        [
            ("application", application.clone()),
            ("items", "id".to_owned()),
            ("scene", "核对费用".to_owned()),
            ("legal_basis", "有关规定第一条".to_owned()),
            ("period", "90".to_owned()),
            ("calls_per_day", "1000".to_owned()),
            ("row_item_1", "fee".to_owned()),
            ("row_values_1", value.to_owned()),
        ]
    };
    let wrong = filled("许多\n12.5");
    let wrong: Vec<(&str, &str)> = wrong.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let page = consumer.post("/apply/walked", &wrong).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.text());
    assert!(page.text().contains("row_values") && page.text().contains("许多\n12.5"));
    let good = filled("12.5\r\n13");
    let good: Vec<(&str, &str)> = good.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let page = consumer.post("/apply/walked", &good).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let request = page.location.split('?').next().unwrap().to_owned();
    let seen = consumer.get(&request).await.text();
    assert!(seen.contains("12.50、13.00") && !seen.contains("id=\"limit-rows\""), "{seen}");

    let mut provider = Browser::of(&house, "provider").await;
    assert!(provider.get(&request).await.text().contains("id=\"limit-rows\""));
    let path = format!("{request}/rows");
    let wider = [("row_item_1", "id"), ("row_values_1", "1"), ("reason", "只需其一")];
    let page = provider.post(&path, &wider).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.text());
    assert!(page.text().contains("只需其一"), "what was typed stays");
    let narrower = [("row_item_1", "fee"), ("row_values_1", "13"), ("reason", "只需其一")];
    let page = provider.post(&path, &narrower).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let seen = consumer.get(&request).await.text();
    assert!(!seen.contains("12.50、") && seen.contains("限定行范围"), "{seen}");
    let mut english = Browser::of(&house, "consumer").await;
    let seen = english.get(&format!("{request}?lang=en")).await.text();
    assert!(seen.contains("Rows limited") && seen.contains("Rows with"), "{seen}");
}

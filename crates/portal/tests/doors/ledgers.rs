//! The ledgers by their pages: enter, edit, move, link, walk, find, import with broken rows, propose and decide.

use axum::http::StatusCode;
use testkit::{House, PROVIDER_ORG};

use crate::browser::Browser;

const APPLICATION: [(&str, &str); 11] = [
    ("code", "A-1"),
    ("name", "企业信用查询"),
    ("org", PROVIDER_ORG),
    ("region", "330000"),
    ("owner", "张三"),
    ("description", "提供企业信用查询和信用评分。"),
    ("field-field", "数字政府"),
    ("field-ends", "浙里办"),
    ("field-type", "业务办理类"),
    ("field-level", "省级"),
    ("field-major", "否"),
];

fn with<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut form: Vec<(&str, &str)> =
        APPLICATION.into_iter().filter(|(k, _)| !changes.iter().any(|(c, _)| c == k)).collect();
    form.extend_from_slice(changes);
    form
}

#[tokio::test]
async fn an_asset_is_entered_moved_linked_and_found() {
    let house = House::new().await;
    let mut provider = Browser::of(&house, "provider").await;
    let wrong = provider
        .post("/console/ledger/application/new", &with(&[("field-level", "国家级"), ("name", "")]))
        .await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    let told = ["<a href=\"#field-level\">", "<a href=\"#name\">名称</a>"];
    assert!(told.iter().all(|field| wrong.text().contains(field)), "{}", wrong.text());
    let form = with(&[("field-ends", "浙里办"), ("field-functions", "企业信用查询\n信用评分")]);
    let made = provider.post("/console/ledger/application/new", &form).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text());
    let path = made.location.split('?').next().unwrap().to_owned();
    let page = provider.get(&path).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    assert!(page.text().contains("谋划中") && page.text().contains("<li>信用评分</li>"));

    // A look-alike is told, and goes in when the person says that it is another.
    let twin = with(&[("code", "A-2"), ("name", "企业信用查询系统")]);
    let told = provider.post("/console/ledger/application/new", &twin).await;
    assert_eq!(told.status, StatusCode::CONFLICT);
    assert!(told.text().contains("name=\"despite\""));
    let twin = with(&[("code", "A-2"), ("name", "企业信用查询系统"), ("despite", "on")]);
    let made = provider.post("/console/ledger/application/new", &twin).await;
    let second = made.location.split('?').next().unwrap().to_owned();
    assert!(provider.get(&second).await.text().contains("id=\"merge\""));

    let moved =
        provider.post(&format!("{path}/move"), &[("to", "applying"), ("reason", "报批")]).await;
    assert_eq!(moved.status, StatusCode::SEE_OTHER);
    let back = provider.post(&format!("{path}/move"), &[("to", "running"), ("reason", "")]).await;
    assert_eq!(back.status, StatusCode::CONFLICT);
    let edited = provider
        .post(&format!("{path}/edit"), &with(&[("base_version", "2"), ("name", "企业信用核查")]))
        .await;
    assert_eq!(edited.status, StatusCode::SEE_OTHER, "{}", edited.text());

    let cloud = with(&[
        ("code", "R-1"),
        ("name", "信用主数据库"),
        ("field-kind", "数据库"),
        ("field-zone", "政务外网区"),
        ("field-expiry", "2027-01-31"),
    ]);
    let cloud: Vec<(&str, &str)> = cloud
        .into_iter()
        .filter(|(k, _)| {
            !matches!(
                *k,
                "field-field" | "field-ends" | "field-type" | "field-level" | "field-major"
            )
        })
        .collect();
    let made = provider.post("/console/ledger/cloud/new", &cloud).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text());
    let base = made.location.split('?').next().unwrap().to_owned();
    let linked =
        provider.post(&format!("{path}/link"), &[("kind", "uses"), ("other", "cloud:R-1")]).await;
    assert_eq!(linked.status, StatusCode::SEE_OTHER, "{}", linked.text());
    let walk = provider.get(&format!("{base}/walk?back=1")).await;
    assert!(walk.text().contains("企业信用核查"), "{}", walk.text());

    let found = provider.get("/console/search?q=xyhc").await;
    assert_eq!(found.status, StatusCode::OK, "{}", found.text());
    assert!(found.text().contains(&path), "found by pinyin initials");
    let list = provider.get("/console/ledger/application?region=330000&state=applying").await;
    assert!(list.text().contains("A-1") && !list.text().contains("A-2"));
    for page in [
        "/console/ledger",
        "/console/ledger/ranking",
        "/console/ledger?lang=en",
        "/console/entries",
    ] {
        let page = provider.get(page).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    }
    let saved = provider
        .post("/console/search/saved", &[("name", "信用"), ("query", "q=%E4%BF%A1%E7%94%A8")])
        .await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER);
    assert!(provider.get("/console/search").await.text().contains("id=\"saved\""));
    // Merging by the form, with a reason.
    let id = second.rsplit('/').next().unwrap();
    let merged = provider.post(&format!("{path}/merge"), &[("drop", id), ("reason", "重复")]).await;
    assert_eq!(merged.status, StatusCode::SEE_OTHER);
    assert!(provider.get(&second).await.text().contains(&path));
}

#[tokio::test]
async fn a_file_with_broken_rows_waits_for_the_person() {
    let house = House::new().await;
    let mut provider = Browser::of(&house, "provider").await;
    let mut text = String::from("编号,名称,所属单位,行政区划,资源类型,云区,vCPU,到期日\n");
    for n in 0..200 {
        let vcpu = if n % 50 == 7 { "八" } else { "8" };
        text.push_str(&format!(
            "R-{n},主机{n}号,{PROVIDER_ORG},330000,云服务器,互联网区,{vcpu},2027-01-31\n"
        ));
    }
    let page =
        provider.upload("/console/ledger/cloud/import", &[], "cloud.csv", text.as_bytes()).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    let html = page.text();
    assert!(html.contains("第 9 行 vCPU") && html.contains("id=\"accept\""), "{html}");
    assert!(provider.get("/console/ledger/cloud").await.text().contains("id=\"total\">0<"));
    let token = page.after("name=\"token\" value=\"");
    let done = provider
        .post("/console/ledger/cloud/accept", &[("token", &token), ("name", "cloud.csv")])
        .await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text());
    assert!(provider.get("/console/ledger/cloud").await.text().contains("id=\"total\">196<"));
    for file in ["export.csv", "export.xlsx"] {
        let page = provider.get(&format!("/console/ledger/cloud/{file}?q=R-19")).await;
        assert_eq!(page.status, StatusCode::OK);
    }
    let mut citizen = Browser::of(&house, "citizen").await;
    let refused = citizen.upload("/console/ledger/cloud/import", &[], "x.csv", b"x").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_proposal_is_compared_and_decided() {
    let house = House::new().await;
    let mut provider = Browser::of(&house, "provider").await;
    let form = with(&[("field-functions", "企业信用查询\n信用评分")]);
    provider.post("/console/ledger/application/new", &form).await;
    let mut consumer = Browser::of(&house, "consumer").await;
    let made = consumer
        .post(
            "/console/proposals",
            &[
                ("name", "信用查询"),
                ("description", "提供企业信用查询和企业信用评分服务。"),
                ("functions", "企业信用查询\n企业信用评分"),
            ],
        )
        .await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text());
    let path = made.location.split('?').next().unwrap().to_owned();
    let page = consumer.get(&path).await;
    assert!(
        page.text().contains("A-1") && !page.text().contains("id=\"decide\""),
        "{}",
        page.text()
    );
    let mut authority = Browser::of(&house, "authority").await;
    assert!(authority.get(&path).await.text().contains("id=\"decide\""));
    let decided = authority
        .post(&format!("{path}/decide"), &[("verdict", "refused"), ("reason", "与 A-1 重复")])
        .await;
    assert_eq!(decided.status, StatusCode::SEE_OTHER);
    assert!(consumer.get(&path).await.text().contains("不予立项"));
}

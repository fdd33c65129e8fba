//! Harvest through the pages: the authority keeps a source, sees what came and what could not be taken; a data set says where it comes
//! from; others find nothing, and script of another catalogue comes out harmless.

use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use testkit::House;

use crate::browser::Browser;

/// Another catalogue: one data set, and one without a title.
async fn catalogue() -> String {
    let told = json!({ "dataset": [
        { "identifier": "a-1", "title": "行道树<script>alert(1)</script>", "description": "每棵树的位置", "accessLevel": "public",
          "landingPage": "https://data.example/a-1", "modified": "2026-01-02", "publisher": { "name": "园林局" },
          "license": "CC BY 4.0",
          "distribution": [{ "title": "<b>全部", "downloadURL": "https://data.example/a-1.csv", "format": "CSV" },
                           { "title": "坏", "downloadURL": "javascript:alert(1)" },
                           { "title": "带口令", "downloadURL": "https://user:word@data.example/a" }] },
        { "identifier": "a-2", "title": "", "accessLevel": "public" },
    ]});
    let router = Router::new().route("/data.json", get(move || async move { Json(told) }));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/data.json", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn a_source_is_kept_run_and_reported() {
    let house = House::new().await;
    let url = catalogue().await;
    let mut authority = Browser::of(&house, "authority").await;
    assert!(authority.get("/console").await.text().contains("href=\"/console/harvests\""));
    let form = authority.get("/console/harvests/new").await.text();
    assert!(form.contains("id=\"harvest-form\"") && form.contains(testkit::CITY_ORG), "{form}");
    let filled = |url: &'static str| {
        [
            ("name", "来源 <b>"),
            ("kind", "data_json"),
            ("url", url),
            ("org", testkit::PROVIDER_ORG),
            ("region", "330000"),
            ("becomes", "published"),
            ("cron", "30 2 * * *"),
        ]
    };
    let wrong = authority.post("/console/harvests", &filled("ftp://a.example/")).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.text().contains("<code>url</code>") && wrong.text().contains("来源 &lt;b&gt;"));
    let mut right = filled("");
    right[2].1 = url.as_str();
    let made = authority.post("/console/harvests", &right).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text());
    let source = made.location.split('?').next().unwrap().to_owned();
    assert!(source.starts_with("/console/harvests/"), "{source}");
    let begun = authority.post(&format!("{source}/run"), &[("whole", "true")]).await;
    assert_eq!(begun.status, StatusCode::SEE_OTHER, "{}", begun.text());
    while app::harvest::tick(&house.app).await.unwrap() > 0 {}
    let page = authority.get(&source).await;
    assert!(page.text().contains("已完成") && !page.text().contains("来源 <b>"), "{}", page.text());
    let turn = format!("{source}/turns/{}", page.after(&format!("<a href=\"{source}/turns/")));
    let report = authority.get(&turn).await.text();
    assert!(report.contains("<dd id=\"new\">1</dd>"), "{report}");
    assert!(report.contains("<dd id=\"refused-count\">1</dd>"), "{report}");
    assert!(report.contains("<code>title</code>") && report.contains("a-2"), "{report}");

    // Everybody sees the data set, and where it comes from.
    let sets = app::opening::datasets(&house.app, &house.nobody(), None, 10).await.unwrap();
    let code = sets.items[0].entry.draft.code.clone();
    let mut nobody = Browser::new(&house);
    let set = nobody.get(&format!("/data/{code}")).await.text();
    assert!(set.contains("id=\"origin\"") && set.contains("https://data.example/a-1.csv"), "{set}");
    assert!(!set.contains("<script>alert") && !set.contains("javascript:alert"), "{set}");
    let ways = set.split("id=\"ways\"").nth(1).unwrap().split("</ul>").next().unwrap();
    assert_eq!(ways.matches("<li>").count(), 1, "no address with a password is a link: {ways}");
    assert!(ways.contains("rel=\"external nofollow noopener noreferrer\""), "{ways}");
    assert!(
        ways.contains("data.example") && ways.contains("<span class=\"tag\">CSV</span>"),
        "{ways}"
    );
    assert!(set.contains("园林局") && set.contains("CC BY 4.0"), "{set}");
    assert!(!set.contains("免费：获取和使用不收取任何费用"), "our licence is not theirs: {set}");
    // The files about it say the same.
    let turtle = nobody.get(&format!("/data/{code}/metadata.ttl")).await.text();
    assert!(
        turtle.contains("<https://data.example/a-1.csv>") && turtle.contains("园林局"),
        "{turtle}"
    );
    assert!(!turtle.contains("/download.csv") && !turtle.contains("user:word"), "{turtle}");
    let whole = nobody.get("/catalogue.ttl").await.text();
    assert!(whole.contains("<https://data.example/a-1.csv>"), "{whole}");
    // It offers no interface and no file here.
    assert!(!nobody.get("/apis").await.text().contains(&code));
    assert!(!set.contains("id=\"download-csv\""), "no file without rows is offered");

    // Sources are no business of others.
    let mut provider = Browser::of(&house, "provider").await;
    assert_eq!(provider.get("/console/harvests").await.status, StatusCode::FORBIDDEN);
    for path in [source.clone(), turn, format!("{source}/edit")] {
        assert_eq!(provider.get(&path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(provider.post(&format!("{source}/pause"), &[]).await.status, StatusCode::NOT_FOUND);

    // Changed and paused.
    let edit = authority.get(&format!("{source}/edit")).await.text();
    assert!(edit.contains(&url), "{edit}");
    right[0].1 = "来源二";
    let saved = authority.post(&format!("{source}/edit"), &right).await;
    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text());
    authority.post(&format!("{source}/pause"), &[]).await;
    let page = authority.get(&source).await.text();
    assert!(page.contains("来源二") && page.contains("id=\"resume\""), "{page}");
}

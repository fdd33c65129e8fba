//! Harvest through the pages: the authority keeps a source, sees what came and what could not be taken; a data set says where it comes
//! from; others find nothing, and script of another catalogue comes out harmless.

use std::sync::{Arc, Mutex};

use app::harvest;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use model::harvest::{HarvestAs, HarvestKind, HarvestNew};
use serde_json::{Value, json};
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
    assert!(
        wrong.text().contains("<a href=\"#h-url\">目录地址</a>")
            && wrong.text().contains("来源 &lt;b&gt;")
    );
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
    assert!(
        report.contains("<td>名称 <code>title</code></td>") && report.contains("a-2"),
        "{report}"
    );

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
    // So does what search engines read of it, with its page there, its identifier, its catalogue and who publishes it.
    let told =
        set.split("application/ld+json\">").nth(1).unwrap().split("</script>").next().unwrap();
    let told: Value = serde_json::from_str(told).unwrap();
    assert_eq!(told["sameAs"], "https://data.example/a-1");
    assert_eq!(told["url"], format!("http://site.test/data/{code}"));
    let based = &told["isBasedOn"];
    assert_eq!((&based["identifier"], &based["url"]), (&json!("a-1"), &told["sameAs"]));
    assert_eq!(based["publisher"]["name"], "园林局");
    assert_eq!(based["isPartOf"]["name"], "来源 <b>");
    assert_eq!(
        (&told["creator"]["name"], &told["publisher"]["name"]),
        (&json!("园林局"), &json!("园林局"))
    );
    assert_ne!(told["sdPublisher"]["name"], "园林局");
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

/// A set of the other catalogue.
fn there(n: u32) -> Value {
    json!({
        "identifier": format!("t-{n}"), "title": format!("行道树第 {n} 片"), "description": "每棵树的位置",
        "accessLevel": "public", "landingPage": format!("https://data.example/t-{n}"), "modified": "2026-01-02",
        "publisher": { "name": "园林局" },
        "distribution": [{ "title": "全部", "downloadURL": format!("https://data.example/t-{n}.csv"), "format": "CSV" }],
    })
}

/// Looks at everything of a source again, whatever has gone.
async fn turned(house: &House, source: &str) {
    let authority = house.person("authority").await;
    harvest::run(&house.app, &authority, source, (true, true)).await.unwrap();
    while harvest::tick(&house.app).await.unwrap() > 0 {}
}

/// Site map and feeds tell what was brought with its page on this site; what the source has lost is in none of them any more, and the feed of
/// changes says that it went; what comes back is there once.
#[tokio::test]
async fn site_map_and_feeds_tell_pages_of_this_site_and_no_ghosts() {
    let house = House::new().await;
    let sets = Arc::new(Mutex::new((1..=3).map(there).collect::<Vec<Value>>()));
    let kept = Arc::clone(&sets);
    let answer = move || {
        let told = json!({ "dataset": *kept.lock().unwrap() });
        async move { Json(told) }
    };
    let router = Router::new().route("/data.json", get(answer));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let new = HarvestNew {
        name: "来源".into(),
        kind: HarvestKind::DataJson,
        url: format!("http://{}/data.json", listener.local_addr().unwrap()),
        org: testkit::CITY_ORG.into(),
        region: "330100".into(),
        cron: "30 2 * * *".into(),
        becomes: HarvestAs::Published,
    };
    tokio::spawn(async move { axum::serve(listener, router).await });
    let authority = house.person("authority").await;
    let source = harvest::create(&house.app, &authority, &new).await.unwrap().id;
    turned(&house, &source).await;
    let open = async || {
        let sets = app::opening::datasets(&house.app, &house.nobody(), None, 10).await.unwrap();
        let mut found: Vec<(String, String, String)> = sets
            .items
            .into_iter()
            .map(|s| (s.entry.draft.title.clone(), s.entry.draft.code.clone(), s.entry.id))
            .collect();
        found.sort();
        found
    };
    let all = open().await;
    assert_eq!(all.len(), 3, "{all:?}");
    let lists = ["/sitemap.xml", "/feed.atom", "/city/hangzhou/feed.atom", "/changes.atom"];
    let mut nobody = Browser::new(&house);
    for path in lists {
        // An address may write `_` as `%5F`: the same address.
        let text = nobody.get(path).await.text().replace("%5F", "_");
        for (_, code, _) in &all {
            assert!(text.contains(&format!("http://site.test/data/{code}")), "{path}: {text}");
        }
        assert!(!text.contains("data.example"), "{path}: {text}");
    }

    // The source has one of them no more.
    sets.lock().unwrap().remove(1);
    house.clock.forward(chrono::TimeDelta::hours(1));
    turned(&house, &source).await;
    let (_, gone, id) = &all[1];
    assert_eq!(open().await.len(), 2);
    assert_eq!(nobody.get(&format!("/data/{gone}")).await.status, StatusCode::NOT_FOUND);
    let others = ["/catalogue.ttl", "/catalogue.json", "/catalogue.csv", "/data"];
    for path in lists.into_iter().chain(others) {
        let text = nobody.get(path).await.text().replace("%5F", "_");
        assert!(!text.contains(&format!("/data/{gone}")), "{path}: {text}");
        assert!(!text.contains("行道树第 2 片"), "{path}: {text}");
        assert!(text.contains(&all[0].1) && text.contains(&all[2].1), "{path}: {text}");
    }
    let changes = nobody.get("/changes.atom").await.text();
    assert!(
        changes.contains(&format!("<at:deleted-entry ref=\"urn:qiantang:data:{id}\"")),
        "{changes}"
    );

    // It is there again: on the same page, once.
    sets.lock().unwrap().push(there(2));
    house.clock.forward(chrono::TimeDelta::hours(1));
    turned(&house, &source).await;
    assert_eq!(open().await, all);
    for path in lists {
        let text = nobody.get(path).await.text().replace("%5F", "_");
        let page = format!("http://site.test/data/{gone}");
        assert!(text.contains(&page), "{path}: {text}");
    }
    let map = nobody.get("/sitemap.xml").await.text().replace("%5F", "_");
    assert_eq!(map.matches(gone.as_str()).count(), 1, "{map}");
}

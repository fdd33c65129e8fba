//! Personal tokens by their page: made and shown once, listed without themselves, revoked; and links of an entry in form and page.

use axum::http::StatusCode;
use testkit::House;

use crate::browser::Browser;

#[tokio::test]
async fn a_token_is_shown_once_and_revoked() {
    let house = House::new().await;
    let mut provider = Browser::of(&house, "provider").await;
    assert!(provider.get("/me").await.text().contains("href=\"/account/tokens\""));
    let page = provider.get("/account/tokens").await.text();
    assert!(page.contains("id=\"make-token\"") && !page.contains("id=\"tokens\""), "{page}");
    for (field, name, days) in [("name", "", "30"), ("days", "脚本", "0"), ("days", "脚本", "x")]
    {
        let wrong = provider.post("/account/tokens", &[("name", name), ("days", days)]).await;
        assert_eq!(wrong.status, StatusCode::BAD_REQUEST, "{field}");
        assert!(wrong.text().contains(&format!("<a href=\"#{field}\">")), "{}", wrong.text());
    }
    let made = provider.post("/account/tokens", &[("name", "脚本 <b>"), ("days", "30")]).await;
    assert_eq!(made.status, StatusCode::OK);
    let token = made.after("id=\"token\">");
    let token = token.split('<').next().unwrap().to_owned();
    assert!(token.starts_with("qtp_"), "{token}");
    let page = provider.get("/account/tokens").await;
    assert!(!page.text().contains(&token) && page.text().contains("脚本 &lt;b&gt;"));
    let op = house.nobody();
    assert!(app::account::personal_token_call(&house.app, &op, &token).await.is_ok());
    // Nobody else can take it away, and a citizen has no form.
    let id = page.after("action=\"/account/tokens/");
    let path = format!("/account/tokens/{}/revoke", id.split('/').next().unwrap());
    let mut citizen = Browser::of(&house, "citizen").await;
    assert_eq!(citizen.post(&path, &[]).await.status, StatusCode::NOT_FOUND);
    assert!(citizen.get("/account/tokens").await.text().contains("id=\"no-tokens\""));
    let tried = citizen.post("/account/tokens", &[("name", "脚本"), ("days", "30")]).await;
    assert_eq!(tried.status, StatusCode::FORBIDDEN);
    assert_eq!(provider.post(&path, &[]).await.status, StatusCode::SEE_OTHER);
    assert!(app::account::personal_token_call(&house.app, &op, &token).await.is_err());
    assert!(!provider.get("/account/tokens").await.text().contains("id=\"tokens\""));
}

#[tokio::test]
async fn links_stand_in_form_and_pages_as_far_as_they_lead_to_the_web() {
    let house = House::new().await;
    let mut draft = testkit::draft("trees");
    draft.profile.links = vec![model::entry::Link {
        title: "全部 <b>".into(),
        url: "https://data.example/trees.csv".into(),
        format: "CSV".into(),
    }];
    let entry = house.publish(draft).await;
    let mut provider = Browser::of(&house, "provider").await;
    let form = provider.get(&format!("/console/entries/{}/edit", entry.id)).await.text();
    assert!(form.contains("https://data.example/trees.csv | CSV | 全部 &lt;b&gt;"), "{form}");
    let page = provider.get(&format!("/console/entries/{}", entry.id)).await.text();
    assert!(page.contains("href=\"https://data.example/trees.csv\""), "{page}");
    let mut nobody = Browser::new(&house);
    let page = nobody.get("/data/trees").await.text();
    assert!(
        page.contains("href=\"https://data.example/trees.csv\"") && page.contains("data.example")
    );
    assert!(!page.contains("全部 <b>") && !page.contains("id=\"download-csv\""), "{page}");
    // So does what search engines and programs read of it; nothing leads to a file that would hold no row.
    let told =
        page.split("application/ld+json\">").nth(1).unwrap().split("</script>").next().unwrap();
    let told: serde_json::Value = serde_json::from_str(told).unwrap();
    let wanted = serde_json::json!([{
        "@type": "DataDownload", "name": "全部 <b>", "encodingFormat": "text/csv",
        "contentUrl": "https://data.example/trees.csv",
    }]);
    assert_eq!(told["distribution"], wanted);
    let turtle = nobody.get("/data/trees/metadata.ttl").await.text();
    assert!(turtle.contains("<https://data.example/trees.csv>"), "{turtle}");
    assert!(!turtle.contains("/download.csv") && !turtle.contains("/api/v1/"), "{turtle}");
    let told = nobody.get("/data/trees/metadata.json").await.text();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["links"][0]["url"], "https://data.example/trees.csv");
    assert_eq!(told["downloads"], serde_json::json!([]));
    let mut bad = testkit::draft("bad");
    bad.profile.links =
        vec![model::entry::Link { url: "javascript:alert(1)".into(), ..Default::default() }];
    let op = house.person("provider").await;
    let error = app::catalogue::create(&house.app, &op, bad).await.unwrap_err();
    assert_eq!(error.fields()[0].field, "links[0].url");
    // What is open under conditions is not handed out by a link.
    let mut limited = testkit::restricted_draft("limited");
    limited.profile.links = vec![model::entry::Link {
        url: "https://data.example/limited.csv".into(),
        ..Default::default()
    }];
    house.publish(limited).await;
    for path in [
        "/data/limited",
        "/data/limited/metadata.json",
        "/data/limited/metadata.ttl",
        "/data/limited/metadata.jsonld",
        "/data/limited/metadata.rdf",
        "/catalogue.json",
        "/catalogue.rdf",
        "/catalogue.csv",
        "/feed.atom",
    ] {
        let told = nobody.get(path).await;
        assert_eq!(told.status, StatusCode::OK, "{path}");
        assert!(!told.text().contains("limited.csv"), "{path}: {}", told.text());
    }
}

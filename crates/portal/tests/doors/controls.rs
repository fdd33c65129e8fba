//! Pages of bounds, emergency stops and certificates: forms that mend, buttons only for those who may press them.

use axum::http::StatusCode;
use testkit::House;

use crate::browser::Browser;

#[tokio::test]
async fn bounds_are_set_by_their_form_and_wrong_ones_are_mended() {
    let house = House::new().await;
    let entry = house.publish(testkit::draft("board")).await;
    let path = format!("/console/bounds/entry/{}", entry.id);
    let mut provider = Browser::of(&house, "provider").await;
    let page = provider.get(&path).await.text();
    assert!(page.contains("id=\"bounds\"") && page.contains("未单独设定"), "{page}");
    let form = [
        ("concurrency", "8"),
        ("addresses", "10.1.0.0/16\r\n192.0.2.7"),
        ("windows", "1-5 08:30-17:30"),
        ("subject_item", "id"),
        ("subject_per_day", "5"),
        ("purpose", "on"),
    ];
    assert_eq!(provider.post(&path, &form).await.status, StatusCode::SEE_OTHER);
    let page = provider.get(&path).await.text();
    for kept in
        ["10.1.0.0/16\n192.0.2.7", "1-5 08:30-17:30", "value=\"8\"", "value=\"5\"", "checked"]
    {
        assert!(page.contains(kept), "{kept}: {page}");
    }
    for (field, wrong) in [
        ("windows", "always"),
        ("addresses", "10.1"),
        ("subject_per_day", ""),
        ("concurrency", "x"),
    ] {
        let tried: Vec<(&str, &str)> =
            form.iter().map(|(f, v)| (*f, if *f == field { wrong } else { *v })).collect();
        let page = provider.post(&path, &tried).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{field}");
        assert!(
            page.text().contains(&format!("<a href=\"#{field}\">")),
            "{field}: {}",
            page.text()
        );
    }
    // Who may look and not set sees it without a button; nothing set takes the bounds away.
    let mut consumer = Browser::of(&house, "consumer").await;
    assert!(consumer.get(&path).await.text().contains("disabled"));
    assert_eq!(consumer.post(&path, &form).await.status, StatusCode::FORBIDDEN);
    assert_eq!(provider.post(&path, &[]).await.status, StatusCode::SEE_OTHER);
    assert!(provider.get(&path).await.text().contains("未单独设定"));
    assert_eq!(provider.get("/console/bounds/other/x").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn two_buttons_stop_and_lift() {
    let house = House::new().await;
    let entry = house.publish(testkit::draft("board")).await;
    let page_of = format!("/console/entries/{}", entry.id);
    let mut security = Browser::of(&house, "security").await;
    let mut provider = Browser::of(&house, "provider").await;
    assert!(security.get("/console").await.text().contains("/console/halts"));
    let asked = [("kind", "entry"), ("name", "board"), ("reason", "疑似泄露 <b>")];
    assert_eq!(provider.post("/console/halts", &asked).await.status, StatusCode::FORBIDDEN);
    let silent = [("kind", "entry"), ("name", "board"), ("reason", "")];
    let page = security.post("/console/halts", &silent).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(page.text().contains("<a href=\"#reason\">原因</a>"), "{}", page.text());
    assert_eq!(security.post("/console/halts", &asked).await.status, StatusCode::SEE_OTHER);
    let page = provider.get("/console/halts").await.text();
    assert!(page.contains("疑似泄露 &lt;b&gt;") && !page.contains("id=\"halt\""), "{page}");
    assert!(provider.get(&page_of).await.text().contains("id=\"halted\""));
    assert!(provider.get("/data/board").await.status.is_success(), "it is still in the catalogue");
    let refused = provider.get("/data/board/download.csv").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);

    let page = security.get("/console/halts").await;
    let id = page.after("action=\"/console/halts/");
    let id = id.trim_end_matches("/lift");
    let lift = format!("/console/halts/{id}/lift");
    assert_eq!(security.post(&lift, &[]).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(security.post(&lift, &[("reason", "已排查")]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(security.post(&lift, &[("reason", "已排查")]).await.status, StatusCode::CONFLICT);
    assert!(!provider.get(&page_of).await.text().contains("id=\"halted\""));
    assert!(provider.get("/data/board/download.csv").await.status.is_success());
}

#[tokio::test]
async fn certificates_are_registered_by_who_manages_the_application() {
    let house = House::new().await;
    let (_, secret) = house.application("证书应用").await;
    let path = format!("/console/applications/{}/certificates", secret.application.id);
    let mut consumer = Browser::of(&house, "consumer").await;
    let print = "9F:86:D0:81:88:4C:7D:65:9A:2F:EA:A0:C5:5A:D0:15:A3:BF:4F:1B:2B:0B:82:2C:D1:5D:6C:15:B0:F0:0A:08";
    let wrong = consumer.post(&path, &[("name", "生产"), ("certificate", "x")]).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    let form = [("name", "生产"), ("certificate", print)];
    assert_eq!(consumer.post(&path, &form).await.status, StatusCode::SEE_OTHER);
    assert_eq!(consumer.post(&path, &form).await.status, StatusCode::CONFLICT);
    let page = consumer.get(&path).await.text();
    let kept = print.replace(':', "").to_lowercase();
    assert!(page.contains(&kept), "{page}");
    let mut provider = Browser::of(&house, "provider").await;
    assert_eq!(provider.get(&path).await.status, StatusCode::NOT_FOUND);
    let gone = consumer.post(&format!("{path}/remove"), &[("thumbprint", kept.as_str())]).await;
    assert_eq!(gone.status, StatusCode::SEE_OTHER);
    assert!(!consumer.get(&path).await.text().contains(&kept));
}

#[tokio::test]
async fn a_token_of_delta_sharing_is_made_with_its_purpose() {
    let house = House::new().await;
    let (_, secret) = house.application("批量应用").await;
    let path = format!("/console/applications/{}/delta", secret.application.id);
    let mut consumer = Browser::of(&house, "consumer").await;
    let long = "目".repeat(201);
    for (purpose, status) in [("年度核查", StatusCode::OK), (&*long, StatusCode::BAD_REQUEST)] {
        let form = [("days", "30"), ("purpose", purpose)];
        let made = consumer.post(&format!("{path}/token"), &form).await;
        assert_eq!(made.status, status, "{}", made.text());
        let wanted =
            if status == StatusCode::OK { "bearerToken" } else { "<strong>用途</strong>" };
        assert!(made.text().contains(wanted), "{}", made.text());
    }
    let page = consumer.get(&path).await.text();
    assert_eq!(page.matches("<td>年度核查</td>").count(), 1, "{page}");
}

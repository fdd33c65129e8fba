//! Deliveries by the console: from a share application agreed for batch use to rows in a department's database and a receipt in hand.

use std::time::Duration;

use axum::http::StatusCode;

use crate::browser::Browser;
use crate::outflows::{Receiving, receiving};

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_made_published_watched_compared_and_removed() {
    let Receiving { house, mut county, request, source, cluster: _cluster } =
        receiving("批量比对", true).await;
    // By the share application, and by the list.
    let shown = county.get(&format!("/console/requests/{request}")).await.text();
    assert!(shown.contains("id=\"new-delivery\"") && shown.contains("id=\"to-deliveries\""));
    let form = format!("/console/deliveries/new?request={request}");
    let list = county.get("/console/deliveries").await.text();
    assert!(list.contains(&form), "{list}");
    assert!(county.get(&form).await.text().contains("id=\"target-form\""));
    let filled = format!("{form}&kind=database&source={source}&table=firms&mode=incremental");
    let wrong = county.get(&format!("{filled}&pace=period&cron=nie")).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.text().contains("id=\"faults\"") && !wrong.text().contains("geheim"));
    let shown = county.get(&format!("{filled}&pace=once&cron=0+3+*+*+*")).await.text();
    assert!(shown.contains("id=\"make-delivery\"") && !shown.contains("geheim"), "{shown}");
    let fields = [
        ("request", request.as_str()),
        ("kind", "database"),
        ("source", source.as_str()),
        ("table", "firms"),
        ("mode", "incremental"),
        ("pace", "once"),
    ];
    let made = county.post("/console/deliveries", &fields).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text());
    let one = made.location.split('?').next().unwrap().to_owned();
    let twice = county.post("/console/deliveries", &fields).await;
    assert_eq!(twice.status, StatusCode::CONFLICT, "{}", twice.text());
    assert!(county.get(&one).await.text().contains("id=\"publish\""));

    let app = house.app.clone();
    let working = tokio::spawn(async move {
        loop {
            app::delivery::tick(&app).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let page = county.post(&format!("{one}/publish"), &[]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let mut shown = String::new();
    for _ in 0..300 {
        shown = county.get(&format!("{one}/figures")).await.text();
        if shown.contains("s-ended") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(shown.contains("s-ended") && shown.contains("id=\"upserts\">3<"), "{shown}");
    let posted = county.post(&format!("{one}/compare"), &[]).await;
    assert_eq!(posted.status, StatusCode::SEE_OTHER, "{}", posted.text());
    let page = county.get(&one).await.text();
    assert!(page.contains("id=\"checked\"") && page.contains("id=\"turns\""), "{page}");
    assert!(!page.contains("geheim") && !page.contains("s-failed"), "{page}");
    let receipt = page.split("href=\"").find(|part| part.contains("/receipts/")).unwrap();
    let receipt = receipt.split('"').next().unwrap().to_owned();
    let file = county.get(&receipt).await;
    assert_eq!((file.status, file.text().split('.').count()), (StatusCode::OK, 3));

    for who in ["stranger", "consumer", "citizen", "auditor"] {
        let mut other = Browser::of(&house, who).await;
        for path in [&one, &receipt] {
            let page = other.get(path).await;
            assert!(
                matches!(page.status, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN),
                "{who} {path}: {}",
                page.status
            );
        }
        let posted = other.post(&format!("{one}/anew"), &[]).await;
        assert!(!posted.status.is_success() && !posted.status.is_redirection(), "{who}");
    }
    // Whose data go sees where they go, and may not stop it here.
    let mut provider = Browser::of(&house, "provider").await;
    let page = provider.get(&one).await.text();
    assert!(page.contains("id=\"figures\"") && !page.contains("id=\"run\""), "{page}");
    assert_eq!(provider.get(&receipt).await.status, StatusCode::OK);
    for path in ["run", "remove"] {
        let page = county.post(&format!("{one}/{path}"), &[]).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{path}: {}", page.text());
    }
    assert_eq!(county.get(&one).await.status, StatusCode::NOT_FOUND);
    app::delivery::stop(&house.app).await;
    working.abort();
    let records = Browser::of(&house, "auditor").await.get("/console/audit.csv").await.text();
    for word in [
        "delivery.create",
        "delivery.publish",
        "rows.batch",
        "delivery.receipt",
        "delivery.fetch",
        "delivery.compare",
        "delivery.run",
        "delivery.remove",
    ] {
        assert!(records.contains(word), "{word}");
    }
}

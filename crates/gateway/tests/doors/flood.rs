//! Floods: of calls nobody signed, of wrong signatures; what they leave behind.

use axum::http::Method;
use chrono::TimeDelta;
use gateway::GatewayConfig;
use model::audit::AuditFilter;
use testkit::House;

use crate::client::Client;

async fn failures_recorded(house: &House) -> Vec<model::audit::AuditRecord> {
    let auditor = house.person("auditor").await;
    let filter = AuditFilter {
        action: Some("application.sign".into()),
        limit: 1000,
        ..AuditFilter::default()
    };
    app::audit::list(&house.app, &auditor, &filter).await.unwrap()
}

#[tokio::test]
async fn a_flood_of_wrong_signatures_is_turned_away_and_leaves_few_records() {
    let house = House::new().await;
    let client = Client::new(&house);
    let (_, known) = house.application("known").await;
    let key = known.application.key.as_str();
    let start = house.app.now().timestamp();
    let mut turned_away = 0;
    for _ in 0..150 {
        let answer = client.signed(Method::GET, "/openapi.json", key, "wrong", &[]).await;
        match answer.status.as_u16() {
            429 => {
                assert_eq!(answer.header("retry-after"), "1");
                turned_away += 1;
            }
            status => assert_eq!(status, 401),
        }
    }
    assert!(turned_away > 0, "nothing was turned away");
    let seconds = usize::try_from(house.app.now().timestamp() - start + 1).unwrap();
    let records = failures_recorded(&house).await;
    assert!((1..=seconds).contains(&records.len()), "{} in {seconds} s", records.len());
    assert!(records.iter().all(|r| r.event.result == "denied" && r.event.source == "10.0.0.1"));
    // Another address is listened to at once, this one when its second is over; the record then tells of the rest.
    assert_eq!(client.from("10.0.0.2").by(&known, "/openapi.json").await.status.as_u16(), 200);
    house.clock.forward(TimeDelta::seconds(2));
    assert_eq!(client.by(&known, "/openapi.json").await.status.as_u16(), 200);
    client.signed(Method::GET, "/openapi.json", key, "wrong", &[]).await;
    let records = failures_recorded(&house).await;
    let reason = &records[0].event.reason;
    assert!(reason.starts_with("signature_mismatch (+"), "{reason}");
}

#[tokio::test]
async fn a_key_does_not_buy_more_calls_than_the_limit_of_those_who_do_not_sign() {
    let house = House::new().await;
    let config = GatewayConfig { anonymous_per_second: 1, ..GatewayConfig::default() };
    let client = Client::with(&house, config);
    let statuses = |headers: &'static [(&'static str, &'static str)]| {
        let client = &client;
        async move {
            let mut all = Vec::new();
            for _ in 0..60 {
                all.push(client.send(Method::GET, "/openapi.json", headers).await.status.as_u16());
            }
            all
        }
    };
    let plain = statuses(&[]).await;
    assert!(plain.contains(&200) && plain.contains(&429), "{plain:?}");
    let with_key = statuses(&[("x-qt-key", "made-up")]).await;
    assert!(with_key.contains(&401) && with_key.contains(&429), "{with_key:?}");
}

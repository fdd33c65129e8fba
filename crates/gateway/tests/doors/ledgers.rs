//! Whole ledgers by the machines' door: what nobody and what an application may know, in the form that is asked for.

use axum::http::Method;
use testkit::House;

use crate::client::Client;

#[tokio::test]
async fn a_ledger_holds_what_the_caller_may_know() {
    let house = House::new().await;
    house.publish(testkit::draft("open_water")).await;
    house.publish(testkit::person_draft("shared_water")).await;
    let client = Client::new(&house);
    let (_, application) = house.application("便民").await;
    let answer = client.get("/ledger/v1/data").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (200, "text/turtle; charset=utf-8")
    );
    assert!(
        answer.text.contains("open_water") && !answer.text.contains("shared_water"),
        "{}",
        answer.text
    );
    let answer = client.by(&application, "/ledger/v1/data?format=rdf").await;
    assert!(answer.header("content-type").starts_with("application/rdf+xml"));
    assert!(
        answer.text.contains("open_water") && answer.text.contains("shared_water"),
        "{}",
        answer.text
    );
    let lean = client.by(&application, "/ledger/v1/data?format=ttl&items=no").await;
    assert!(!lean.text.contains("csvw:Column") && lean.text.len() < answer.text.len());
    let accept = [("accept", "application/ld+json")];
    let answer = client.send(Method::GET, "/ledger/v1/data", &accept).await;
    assert_eq!(answer.header("content-type"), "application/ld+json");
    assert!(answer.json()["@graph"].as_array().unwrap().len() > 3);
    for (accept, status, code) in [("image/png", 406, "not_acceptable")] {
        let answer = client.send(Method::GET, "/ledger/v1/data", &[("accept", accept)]).await;
        assert_eq!(answer.refusal(), (status, code.into()));
    }
    assert_eq!(client.get("/ledger/v1/data?format=pdf").await.refusal().1, "unsupported_format");
    for ledger in ["application", "component", "cloud"] {
        let path = format!("/ledger/v1/{ledger}");
        assert_eq!(client.get(&path).await.refusal(), (403, "denied".into()), "{ledger}");
        assert_eq!(client.by(&application, &path).await.status.as_u16(), 200, "{ledger}");
    }
}

//! How a refused caller may prove who it is (RFC 9110 §11.6.1, RFC 6750 §3): by the way it took; by all there are if it took none.

use axum::body::Body;
use axum::http::{Method, Request};
use gateway::ClientCertificate;
use testkit::House;

use crate::client::Client;
use crate::token::{by, furnish, token};

const HEADER: &str = "www-authenticate";
const SIGNING: &str = "QT-HMAC realm=\"qiantang\"";
const TOKEN: &str = "Bearer realm=\"qiantang\"";
const REFUSED: &str = "Bearer realm=\"qiantang\", error=\"invalid_token\"";
const NARROW: &str = "Bearer realm=\"qiantang\", error=\"insufficient_scope\"";

#[tokio::test]
async fn whoever_sent_nothing_is_told_every_way() {
    let house = House::new().await;
    let client = Client::new(&house);
    let report = client.send_body(Method::POST, "/ledger/v1/cloud", &[], Body::from("{}")).await;
    assert_eq!(report.refusal(), (401, "signature_missing".into()));
    assert_eq!(report.all(HEADER), [TOKEN, SIGNING]);
    let body = report.json();
    for way in ["/openapi.json", "/oauth2/token", "certificate"] {
        assert!(body["hint"].as_str().unwrap().contains(way), "{way}: {body}");
    }
    for path in ["/delta-sharing/shares", "/delta-sharing/files/none"] {
        let answer = client.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.all(HEADER)), (401, vec![TOKEN, SIGNING]));
    }
    // Another scheme is none of ours.
    let basic = [("authorization", "Basic eDp5")];
    let answer = client.send(Method::GET, "/delta-sharing/shares", &basic).await;
    assert_eq!((answer.status.as_u16(), answer.all(HEADER)), (401, vec![TOKEN, SIGNING]));
    // A certificate nobody registered: there is no challenge to show another.
    let mut request = Request::builder().uri("/openapi.json").body(Body::empty()).unwrap();
    request.extensions_mut().insert(ClientCertificate::of("0".repeat(64)));
    let answer = client.send_request(request).await;
    assert_eq!((answer.status.as_u16(), answer.all(HEADER)), (401, vec![TOKEN, SIGNING]));
}

#[tokio::test]
async fn whoever_brought_a_token_is_told_what_is_wrong_with_it() {
    let house = House::new().await;
    let app = furnish(&house).await;
    let client = Client::new(&house);
    for path in ["/api/v1/renkou", "/openapi.json", "/ledger/v1/data", "/delta-sharing/shares"] {
        // The word before the token may be written in any case.
        for sent in ["Bearer nothing", "bearer nothing", "Bearer qtds_nothing"] {
            let answer = client.send(Method::GET, path, &[("authorization", sent)]).await;
            let told = (answer.status.as_u16(), answer.all(HEADER));
            assert_eq!(told, (401, vec![REFUSED]), "{path} {sent}: {}", answer.text);
        }
    }
    let narrow = token(&client, &app, "renkou").await;
    let good = by(&client, &narrow, "/api/v1/renkou").await;
    assert_eq!((good.status.as_u16(), good.all(HEADER)), (200, vec![]));
    for path in ["/api/v1/zhuhu", "/api/v1/zhuhu/changes", "/ledger/v1/data"] {
        let answer = by(&client, &narrow, path).await;
        let told = (answer.status.as_u16(), answer.all(HEADER));
        assert_eq!(told, (403, vec![NARROW]), "{path}: {}", answer.text);
        assert_eq!(answer.json()["reasons"][0], "token.scope", "{path}");
    }
    // Its own end is told in the same words.
    house.clock.forward(chrono::TimeDelta::minutes(30));
    let late = by(&client, &narrow, "/api/v1/renkou").await;
    assert_eq!(late.refusal(), (401, "secret_expired".into()));
    assert_eq!(late.all(HEADER), [REFUSED]);
}

#[tokio::test]
async fn whoever_signed_is_told_of_signing_and_of_nothing_where_it_is_not_granted() {
    let house = House::new().await;
    house.publish(testkit::person_draft("renkou")).await;
    let client = Client::new(&house);
    let (_, stranger) = house.application("生客").await;
    let key = stranger.application.key.as_str();
    let wrong = client.signed(Method::GET, "/api/v1/renkou", key, "wrong", &[]).await;
    assert_eq!((wrong.status.as_u16(), wrong.all(HEADER)), (401, vec![SIGNING]));
    let half = client.send(Method::GET, "/api/v1/renkou", &[("x-qt-key", key)]).await;
    assert_eq!((half.status.as_u16(), half.all(HEADER)), (401, vec![SIGNING]));
    // It is known who calls: another proof would change nothing.
    let refused = client.by(&stranger, "/api/v1/renkou").await;
    assert_eq!((refused.status.as_u16(), refused.all(HEADER)), (403, vec![]));
}

//! Receipts beside answers: bound to call and answer, checked by the platform's public keys.

use app::evidence::{self, KeyText, Statement};
use axum::http::Method;
use guard::evidence::PublicKey;
use guard::hash::sm3_hex;
use model::code::SyncMode;
use testkit::House;

use crate::client::Client;

const ROWS: &[u8] = b"id,name,amount,day\n1,a,1.50,2026-01-01\n2,b,2.25,2026-01-02\n";

#[tokio::test]
async fn an_answer_comes_with_its_receipt_when_it_is_asked_for() {
    let house = House::new().await;
    house.publish(testkit::draft("lake_water")).await;
    house.collect("lake_water", "w.csv", ROWS, SyncMode::Full).await.unwrap();
    let (_, app) = house.application("核验应用").await;
    let client = Client::new(&house);
    let told: Vec<KeyText> =
        serde_json::from_value(client.get("/evidence/keys").await.json()["keys"].clone()).unwrap();
    let keys: Vec<PublicKey> = told.iter().map(|key| PublicKey::of(&key.public_key)).collect();

    let path = "/api/v1/lake_water?id=eq.1";
    let (key, secret) = (&app.application.key, &app.secret);
    let plain = client.signed(Method::GET, path, key, secret, &[]).await;
    assert_eq!((plain.status.as_u16(), plain.header("x-qt-evidence")), (200, ""));
    let prefer = [("prefer", "count=exact, evidence")];
    let answer = client.signed(Method::GET, path, key, secret, &prefer).await;
    assert_eq!((answer.status.as_u16(), answer.json()[0]["id"].as_i64()), (200, Some(1)));
    assert_eq!(answer.header("content-range"), "0-0/1");
    let Statement::Receipt(receipt) =
        evidence::read(answer.header("x-qt-evidence"), &keys).unwrap()
    else {
        panic!("not a receipt")
    };
    assert_eq!(receipt.answer_hash, sm3_hex(answer.text.as_bytes()));
    assert_eq!(receipt.answer_bytes, answer.text.len() as u64);
    assert_eq!((&receipt.application, receipt.status), (key, 200));
    assert_eq!(receipt.request_id, answer.header("x-request-id"));
    assert_eq!((receipt.platform.as_str(), receipt.request_hash.len()), ("http://gate.test", 64));
    // The same call once more is another one: its time and nonce are.
    let again = client.signed(Method::GET, path, key, secret, &prefer).await;
    let Statement::Receipt(other) = evidence::read(again.header("x-qt-evidence"), &keys).unwrap()
    else {
        panic!("not a receipt")
    };
    assert_ne!(other.request_hash, receipt.request_hash);
    assert_eq!(other.answer_hash, receipt.answer_hash);

    // The call's record in the chain has the receipt's id.
    let auditor = house.person("auditor").await;
    let filter = model::audit::AuditFilter { limit: 50, ..Default::default() };
    let records = app::audit::list(&house.app, &auditor, &filter).await.unwrap();
    let found: Vec<_> = records.iter().filter(|r| r.event.trace_id == receipt.request_id).collect();
    assert!(matches!(found.as_slice(), [one] if one.event.rows == 1), "{found:?}");
    // Once it is sealed, its proof tells when the call was recorded already; another call's receipt does not go with it.
    let seq = found[0].seq;
    evidence::seal(&house.app, &model::Op::system(house.app.now())).await.unwrap();
    let proof = evidence::proof(&house.app, &auditor, seq).await.unwrap();
    let seal = evidence::recorded(&receipt, &proof, &keys).unwrap();
    assert!((seal.first..=seal.last).contains(&seq));
    let e = evidence::recorded(&other, &proof, &keys).unwrap_err();
    assert!(e.en().contains("is not of the call"), "{e}");

    // No receipt for nobody, for a refusal, for a wrong signature.
    let anyone = client.send(Method::GET, path, &prefer).await;
    assert_eq!((anyone.status.as_u16(), anyone.header("x-qt-evidence")), (200, ""));
    for (secret, path) in [(secret.as_str(), "/api/v1/nothing"), ("wrong", path)] {
        let refused = client.signed(Method::GET, path, key, secret, &prefer).await;
        assert!(refused.status.is_client_error() && refused.header("x-qt-evidence").is_empty());
    }
}

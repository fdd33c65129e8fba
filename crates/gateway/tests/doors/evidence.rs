//! Receipts beside answers: bound to call and answer, checked by the platform's public keys.

use app::evidence::{self, KeyText, Statement};
use axum::body::Body;
use axum::http::{Method, Request};
use guard::evidence::PublicKey;
use guard::hash::{sha256_hex, sm3_hex};
use model::code::SyncMode;
use model::restricted::SigningAlgorithm;
use testkit::House;

use crate::client::Client;
use crate::convention::{KEY, furnish, refresh, signed, text};

const ROW: &str = "/api/v1/lake_water?id=eq.1";
const ROWS: &[u8] = b"id,name,amount,day\n1,a,1.50,2026-01-01\n2,b,2.25,2026-01-02\n";

async fn keys(client: &Client) -> Vec<PublicKey> {
    let told = client.get("/evidence/keys").await.json()["keys"].clone();
    let told: Vec<KeyText> = serde_json::from_value(told).unwrap();
    told.iter().map(|key| key.read().unwrap()).collect()
}

#[tokio::test]
async fn an_answer_comes_with_its_receipt_when_it_is_asked_for() {
    let house = House::new().await;
    house.publish(testkit::draft("lake_water")).await;
    house.collect("lake_water", "w.csv", ROWS, SyncMode::Full).await.unwrap();
    let (_, app) = house.application("核验应用").await;
    let client = Client::new(&house);
    let keys = keys(&client).await;

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
    assert_eq!(receipt.by, "hmac");
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

/// A token, a certificate and a signature of the older convention prove as much as one of ours; what a request says of itself beside
/// makes no receipt another's; a refusal has none, also where it is `200`.
#[tokio::test]
async fn whoever_proves_who_it_is_may_have_a_receipt() {
    let house = House::new().await;
    let (owner, code) = furnish(&house, 1000).await;
    let client = Client::new(&house);
    let keys = keys(&client).await;
    let (key, id) = (owner.application.key.as_str(), owner.application.id.as_str());
    let nobody = house.nobody();
    let token = app::account::token(&house.app, &nobody, key, &owner.secret, "").await.unwrap();
    let bearer = format!("Bearer {}", token.token);
    let thumbprint = sha256_hex(b"a certificate");
    let consumer = house.person("consumer").await;
    app::account::certificate_add(&house.app, &consumer, id, "前置机", &thumbprint).await.unwrap();
    let secrets = refresh(&house, &client, KEY, key, &owner.secret).await;
    let query = signed(&house, key, &text(&secrets, "requestSecret"));
    let irs = format!("/gateway/api/330000/dataSharing/{code}.htm?{query}");
    let send = async |path: &str, headers: &[(&str, &str)], certificate: Option<&str>| {
        let mut request = Request::builder().uri(path).header("prefer", "evidence");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        if let Some(thumbprint) = certificate {
            let shown = gateway::ClientCertificate::of(thumbprint.to_owned());
            request.extensions_mut().insert(shown);
        }
        client.send_request(request).await
    };
    let rows = "/api/v1/tongji?id=eq.1";
    let feigned = [
        ("x-qt-key", "another"),
        ("x-qt-signature", "x"),
        ("x-qt-timestamp", "1"),
        ("x-qt-nonce", "n"),
    ];
    let auditor = house.person("auditor").await;
    for (path, headers, certificate, how) in [
        (rows, vec![("authorization", bearer.as_str())], None, "oauth2"),
        (rows, vec![], Some(thumbprint.as_str()), "mtls"),
        (irs.as_str(), vec![], None, "irs"),
        (irs.as_str(), feigned.to_vec(), None, "irs"),
    ] {
        let answer = send(path, &headers, certificate).await;
        assert_eq!(answer.status.as_u16(), 200, "{how}: {}", answer.text);
        let read = evidence::read(answer.header("x-qt-evidence"), &keys).unwrap();
        let Statement::Receipt(receipt) = read else { panic!("not a receipt: {how}") };
        assert_eq!((receipt.application.as_str(), receipt.by.as_str()), (key, how));
        assert_eq!(receipt.answer_hash, sm3_hex(&answer.bytes), "{how}");
        let (at, query) = path.split_once('?').unwrap();
        let call = format!("GET\n{at}\n{query}\n{}\n\n", sha256_hex(b""));
        assert_eq!(receipt.request_hash, sm3_hex(call.as_bytes()), "{how}");
        let filter = model::audit::AuditFilter { limit: 50, ..Default::default() };
        let records = app::audit::list(&house.app, &auditor, &filter).await.unwrap();
        assert!(records.iter().any(|r| r.event.trace_id == receipt.request_id), "{how}");
    }
    let unknown = irs.replace(&code, "0000000000000000");
    let refused = send(&unknown, &[], None).await;
    assert_eq!((refused.status.as_u16(), refused.header("x-qt-evidence")), (200, ""));
    assert_eq!(refused.json()["code"], "91");
}

/// How often rows were given out, whoever asked.
async fn released(house: &House) -> usize {
    let auditor = house.person("auditor").await;
    let action = Some("rows.query".to_owned());
    let filter = model::audit::AuditFilter { action, limit: 100, ..Default::default() };
    app::audit::list(&house.app, &auditor, &filter).await.unwrap().len()
}

/// Who asks may name what its receipt is signed by; who does not, gets what the platform is set up for. Both keys are handed out.
#[tokio::test]
async fn a_receipt_is_signed_by_what_is_asked_for_or_set_up() {
    for usual in SigningAlgorithm::ALL.iter().copied() {
        let mut house = House::new().await;
        house.signs_by(usual);
        house.publish(testkit::draft("lake_water")).await;
        house.collect("lake_water", "w.csv", ROWS, SyncMode::Full).await.unwrap();
        let (_, app) = house.application("核验应用").await;
        let (key, secret) = (app.application.key.as_str(), app.secret.as_str());
        let client = Client::new(&house);
        let told = client.get("/evidence/keys").await.json()["keys"].clone();
        let names: Vec<&str> =
            told.as_array().unwrap().iter().map(|k| k["algorithm"].as_str().unwrap()).collect();
        assert_eq!(names, ["SM2", "Ed25519"]);
        let keys = keys(&client).await;
        for (prefer, wanted) in [
            ("evidence", usual),
            ("evidence=sm2", SigningAlgorithm::Sm2),
            ("evidence=ed25519", SigningAlgorithm::Ed25519),
            ("count=exact, Evidence=\"ED25519\"; x=y", SigningAlgorithm::Ed25519),
            // The first of two counts.
            ("evidence=sm2, evidence=ed25519", SigningAlgorithm::Sm2),
        ] {
            let ask = async || {
                let own = client.signature(&Method::GET, ROW, key, secret);
                let mut headers: Vec<(&str, &str)> =
                    own.iter().map(|(n, v)| (*n, v.as_str())).collect();
                headers.push(("prefer", prefer));
                let answer = client.send(Method::GET, ROW, &headers).await;
                let (path, query) = ROW.split_once('?').unwrap();
                let [_, (_, time), (_, nonce), _] = &own;
                let hash = sha256_hex(b"");
                (answer, format!("GET\n{path}\n{query}\n{hash}\n{time}\n{nonce}"))
            };
            let (answer, call) = ask().await;
            assert_eq!(answer.status.as_u16(), 200, "{prefer}: {}", answer.text);
            let statement = answer.header("x-qt-evidence");
            let (read, by) = evidence::read_signed(statement, &keys).unwrap();
            let Statement::Receipt(receipt) = read else { panic!("not a receipt: {prefer}") };
            assert_eq!((by, receipt.application.as_str()), (wanted, key), "{prefer}");
            // Bound to the answer and to the call, and to no others.
            assert_eq!(receipt.answer_hash, sm3_hex(&answer.bytes));
            assert_ne!(receipt.answer_hash, sm3_hex(answer.text.replace('1', "2").as_bytes()));
            assert_eq!(receipt.request_hash, sm3_hex(call.as_bytes()));
            assert_ne!(receipt.request_hash, sm3_hex(call.replace("eq.1", "eq.2").as_bytes()));
            // The signature of another call's receipt does not fit, nor does the other key.
            let (again, _) = ask().await;
            let (_, foreign) = again.header("x-qt-evidence").rsplit_once('.').unwrap();
            let (signed, _) = statement.rsplit_once('.').unwrap();
            let spliced = evidence::read(&format!("{signed}.{foreign}"), &keys).unwrap_err();
            assert!(spliced.en().contains("does not fit"), "{spliced}");
            let other: Vec<PublicKey> =
                keys.iter().filter(|k| k.algorithm != wanted).cloned().collect();
            let e = evidence::read(statement, &other).unwrap_err();
            assert!(e.en().contains("no public key"), "{e}");
        }

        // What there is not is refused before anything is given out.
        let before = released(&house).await;
        for prefer in ["evidence=rsa", "count=exact, evidence=none"] {
            let refused = client.signed(Method::GET, ROW, key, secret, &[("prefer", prefer)]).await;
            assert_eq!(refused.refusal(), (400, "invalid_input".to_owned()), "{prefer}");
            let (zh, en) =
                (refused.json()["message_zh"].clone(), refused.json()["message"].clone());
            assert!(zh.as_str().unwrap().contains("不支持签名算法"), "{zh}");
            assert!(en.as_str().unwrap().contains("unknown signature algorithm"), "{en}");
            assert_eq!(refused.header("x-qt-evidence"), "");
        }
        assert_eq!(released(&house).await, before);
    }
}

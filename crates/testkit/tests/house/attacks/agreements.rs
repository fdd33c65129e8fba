//! Forged agreements: a company that applied for two restricted sets signs with what is not its signature, with what it signed for
//! something else, and twice; then shows papers that it has changed.

use app::restricted;
use model::account::ApplicationNew;
use model::restricted::{PaperKind, PaperSigner, UseState};
use testkit::{ENTERPRISE_ORG, House, use_of};

use super::doors::{Answer, Doors, Visitor};
use crate::restricted::restricted_open;

/// Two applications of the enterprise that are approved and wait for signatures.
async fn two(house: &House) -> [String; 2] {
    let op = house.person("enterprise").await;
    let new = ApplicationNew {
        name: "研究".into(),
        description: String::new(),
        org: ENTERPRISE_ORG.into(),
    };
    let made = app::account::register_application(&house.app, &op, new).await.unwrap();
    let mut numbers = Vec::new();
    for code in ["qiye", "yanjiu"] {
        house.publish(restricted_open(code)).await;
        let new = use_of(&made.application.id, code, &["id"]);
        let filed = house.use_submitted(&op, new).await.unwrap();
        house.use_approved(&filed.number, &["provider", "authority"]).await;
        numbers.push(filed.number);
    }
    [numbers.remove(0), numbers.remove(0)]
}

/// The text of a paper as its signer is shown it.
async fn paper(visitor: &mut Visitor, number: &str, kind: &str) -> Vec<u8> {
    let answer = visitor.get(&format!("/restricted/{number}/papers/{kind}.txt")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.bytes
}

async fn sign(
    visitor: &mut Visitor,
    number: &str,
    deed: &str,
    digest: &str,
    signature: &str,
) -> Answer {
    let form = [("do", deed), ("way", "key"), ("digest", digest), ("signature", signature)];
    visitor.post(&format!("/restricted/{number}/moves"), &form).await
}

async fn signatures(doors: &Doors, number: &str) -> usize {
    let op = doors.house.person("enterprise").await;
    let seen = restricted::open(&doors.house.app, &op, number).await.unwrap().application;
    assert_eq!(seen.state, UseState::Signing, "{number}");
    seen.papers.iter().map(|p| p.signatures.len()).sum()
}

/// Signatures of another key, over another paper, over a changed text, sent twice, sent for somebody else: none of them signs.
#[tokio::test]
async fn only_the_signers_key_over_this_very_paper_signs() {
    let house = House::new().await;
    let [one, other] = two(&house).await;
    let doors = Doors::of(house);
    let mut enterprise = doors.person("enterprise").await;
    let (key, stolen) = (testkit::signer(), testkit::signer());
    let kept = enterprise.post("/restricted/key", &[("key", &key.public_hex())]).await;
    assert_eq!(kept.status, 303, "{}", kept.text());
    let text = paper(&mut enterprise, &one, "undertaking").await;
    let digest = testkit::sm3(&text);
    let elsewhere = testkit::sm3(&paper(&mut enterprise, &other, "undertaking").await);
    let agreement = testkit::sm3(&paper(&mut enterprise, &one, "agreement").await);
    assert!(digest != elsewhere && digest != agreement);
    let mut milder = text.clone();
    milder.extend_from_slice("（以上义务免除）".as_bytes());
    let milder = testkit::sm3(&milder);
    let by = |signer: &guard::sm2::KeyPair, digest: &str| signer.sign(digest.as_bytes()).unwrap();
    let good = by(&key, &digest);
    let mut turned = good.clone().into_bytes();
    turned[0] = if turned[0] == b'0' { b'1' } else { b'0' };
    let turned = String::from_utf8(turned).unwrap();
    for (what, told, signature) in [
        ("another key", &digest, by(&stolen, &digest)),
        ("the same paper of another application", &digest, by(&key, &elsewhere)),
        ("another application's digest with its signature", &elsewhere, by(&key, &elsewhere)),
        ("the agreement's signature for the undertaking", &digest, by(&key, &agreement)),
        ("the agreement's digest with its signature", &agreement, by(&key, &agreement)),
        ("a milder text", &milder, by(&key, &milder)),
        ("one digit changed", &digest, turned),
        ("nothing", &digest, String::new()),
        ("noughts", &digest, "00".repeat(64)),
    ] {
        let answer = sign(&mut enterprise, &one, "sign_undertaking", told, &signature).await;
        assert!((400..500).contains(&answer.status), "{what}: {}", answer.status);
        assert_eq!(signatures(&doors, &one).await, 0, "{what}");
    }
    // Neither a stranger nor the provider signs for the company, even with its very signature.
    for who in ["citizen", "stranger", "provider"] {
        let mut thief = doors.person(who).await;
        let answer = sign(&mut thief, &one, "sign_undertaking", &digest, &good).await;
        assert!((400..500).contains(&answer.status), "{who}: {}", answer.status);
        assert_eq!(signatures(&doors, &one).await, 0, "{who}");
    }
    let answer = sign(&mut enterprise, &one, "sign_undertaking", &digest, &good).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_eq!(signatures(&doors, &one).await, 1);
    // The form that was good is sent again: here, and for the other application.
    for number in [&one, &other] {
        let answer = sign(&mut enterprise, number, "sign_undertaking", &digest, &good).await;
        assert!((400..500).contains(&answer.status), "{number}: {}", answer.status);
    }
    assert_eq!((signatures(&doors, &one).await, signatures(&doors, &other).await), (1, 0));
    // Nor does the company sign for the provider.
    let form = [("do", "countersign"), ("way", "platform"), ("digest", agreement.as_str())];
    for path in [format!("/restricted/{one}/moves"), format!("/console/restricted/{one}/moves")] {
        let answer = enterprise.post(&path, &form).await;
        assert!((400..500).contains(&answer.status), "{path}: {}", answer.status);
    }
    assert_eq!(signatures(&doors, &one).await, 1);
}

/// Somebody shows an agreement in force that was changed by a letter, another's, or an invented one: the page for verifying knows only
/// what was signed, and tells of nothing else.
#[tokio::test]
async fn a_changed_paper_is_not_verified() {
    let house = House::new().await;
    let [one, other] = two(&house).await;
    let op = house.person("enterprise").await;
    house.use_sealed(&op, &one).await;
    house.use_countersigned("provider", &one).await.unwrap();
    let app = &house.app;
    let seen = restricted::open(app, &op, &one).await.unwrap().application;
    assert_eq!(seen.state, UseState::InForce);
    let agreed = seen.paper(PaperKind::Agreement).unwrap().clone();
    assert!(agreed.by(PaperSigner::Applicant).is_some());
    let waiting = restricted::open(app, &op, &other).await.unwrap().application;
    let waiting = waiting.paper(PaperKind::Agreement).unwrap().clone();
    let doors = Doors::of(house);
    let mut enterprise = doors.person("enterprise").await;
    let text = String::from_utf8(paper(&mut enterprise, &one, "agreement").await).unwrap();
    let mut nobody = doors.visitor();
    let ask =
        |number: &str, digest: &str| format!("/agreements/verify?number={number}&digest={digest}");
    let right = nobody.get(&ask(&agreed.number, &testkit::sm3(text.as_bytes()))).await.text();
    assert!(right.contains("id=\"valid\""), "{right}");
    let longer = text.replacen("2026-05-31", "2036-05-31", 1);
    assert_ne!(longer, text, "its end is written in it");
    for (number, digest) in [
        (agreed.number.as_str(), testkit::sm3(longer.as_bytes())),
        (agreed.number.as_str(), testkit::sm3(format!("{text} ").as_bytes())),
        (agreed.number.as_str(), waiting.sm3.clone()),
        (agreed.number.as_str(), String::new()),
        (waiting.number.as_str(), agreed.sm3.clone()),
        ("KF-20260302-000009-XY", agreed.sm3.clone()),
        ("%27%20OR%201=1", agreed.sm3.clone()),
    ] {
        let page = nobody.get(&ask(number, &digest)).await;
        let told = page.text();
        assert!(!told.contains("id=\"valid\""), "{number} {digest}: {told}");
        assert!(!told.contains("测试科技") && page.status < 500, "{number}: {told}");
    }
}

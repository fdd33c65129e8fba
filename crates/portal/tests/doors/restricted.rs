//! Restricted opening through the pages: an enterprise applies, is reviewed, signs and uses; strangers find nothing; a forged signature is
//! shown as a fault of the form; the public reads statistics and verifies a paper.

use axum::http::StatusCode;
use model::account::ApplicationNew;
use model::restricted::PaperKind;
use testkit::{ENTERPRISE_ORG, House};

use crate::browser::Browser;

const EVIL: &str = "研究 <script>alert(1)</script>";

async fn prepared(house: &House) -> String {
    house.publish(testkit::restricted_draft("yanjiu")).await;
    let op = house.person("enterprise").await;
    let new = ApplicationNew {
        name: "研究".into(),
        description: String::new(),
        org: ENTERPRISE_ORG.into(),
    };
    app::account::register_application(&house.app, &op, new).await.unwrap().application.id
}

#[tokio::test]
async fn an_enterprise_applies_signs_and_is_stopped() {
    let house = House::new().await;
    let application = prepared(&house).await;
    let mut enterprise = Browser::of(&house, "enterprise").await;
    let form = enterprise.get("/restricted/new?code=yanjiu").await.text();
    assert!(form.contains("id=\"use-form\"") && form.contains("name=\"items-yanjiu\""), "{form}");
    let mut filled = vec![
        ("code", "yanjiu"),
        ("items-yanjiu", "id"),
        ("items-yanjiu", "name"),
        ("application", application.as_str()),
        ("purpose", EVIL),
        ("scope", "仅供内部分析"),
        ("method", "interface"),
        ("until", "2026-05-31"),
        ("calls_per_day", "100"),
        ("answer-storage", "no"),
        ("answer-processing", "yes"),
        ("answer-protection", "level2"),
        ("answer-incident", "none"),
    ];
    let page = enterprise.post("/restricted/new", &filled).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    let question = &house.app.rules.restricted.question("storage").unwrap().zh;
    assert!(page.text().contains(&format!("<strong>{question}</strong>")), "{}", page.text());
    filled[9].1 = "yes";
    let page = enterprise.post("/restricted/new", &filled).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let place = page.location.split('?').next().unwrap().to_owned();
    let number = place.trim_start_matches("/restricted/").to_owned();
    assert_eq!(number, "KF-20260302-000001");
    let own = enterprise.get(&place).await.text();
    assert!(own.contains("&lt;script&gt;") && !own.contains("<script>alert"), "{own}");
    assert!(own.contains("名称 <code class=\"small\">name</code>"), "{own}");

    // A draft is its writer's; whatever others try, there is no such number.
    let desk = format!("/console/restricted/{number}");
    let mut provider = Browser::of(&house, "provider").await;
    let mut stranger = Browser::of(&house, "stranger").await;
    let mut citizen = Browser::of(&house, "citizen").await;
    assert_eq!(provider.get(&desk).await.status, StatusCode::NOT_FOUND);

    for of in ["storage", "protection"] {
        let files = format!("{place}/files");
        let page = enterprise.upload(&files, &[("of", of)], "证明.pdf", b"%PDF-1.7 proof").await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    }
    let page = enterprise.post(&format!("{place}/moves"), &[("do", "submit")]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    assert!(provider.get("/console/restricted").await.text().contains(&number));
    let seen = provider.get(&desk).await.text();
    assert!(seen.contains("id=\"review\"") && seen.contains("证明.pdf"), "{seen}");
    assert_eq!(stranger.get(&desk).await.status, StatusCode::NOT_FOUND);
    assert_eq!(citizen.get(&place).await.status, StatusCode::NOT_FOUND);
    let file = seen.split("/files/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let path = format!("{place}/files/{file}");
    assert_eq!(provider.get(&path).await.bytes, b"%PDF-1.7 proof");
    assert_eq!(stranger.get(&path).await.status, StatusCode::NOT_FOUND);
    let mut authority = Browser::of(&house, "authority").await;
    let refuse = [("do", "refuse"), ("text", "")];
    let page = authority.post(&format!("{desk}/moves"), &refuse).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "a refusal has its reason");
    for who in [&mut provider, &mut authority] {
        let page = who.post(&format!("{desk}/moves"), &[("do", "approve"), ("text", "同意")]).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    }

    // A key, and a signature that is none of its.
    let key = testkit::signer();
    let wrong = enterprise.post("/restricted/key", &[("key", "12")]).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    let page = enterprise.post("/restricted/key", &[("key", &key.public_hex())]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    let text = enterprise.get(&format!("{place}/papers/undertaking.txt")).await;
    let digest = testkit::sm3(&text.bytes);
    let page = enterprise.get(&place).await.text();
    assert!(page.contains("id=\"command\"") && page.contains(&digest), "{page}");
    let sign = |signature: String| {
        vec![
            ("do", "sign_undertaking".to_owned()),
            ("way", "key".to_owned()),
            ("digest", digest.clone()),
            ("signature", signature),
        ]
    };
    for (signature, status) in [
        ("00".repeat(64), StatusCode::BAD_REQUEST),
        (key.sign(digest.as_bytes()).unwrap(), StatusCode::SEE_OTHER),
    ] {
        let form = sign(signature);
        let form: Vec<(&str, &str)> = form.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let page = enterprise.post(&format!("{place}/moves"), &form).await;
        assert_eq!(page.status, status, "{}", page.text());
    }
    let op = house.person("enterprise").await;
    let agreement = enterprise.get(&format!("{place}/papers/agreement.txt")).await;
    let digest = testkit::sm3(&agreement.bytes);
    let signature = key.sign(digest.as_bytes()).unwrap();
    let form = [
        ("do", "sign_agreement"),
        ("way", "key"),
        ("digest", digest.as_str()),
        ("signature", signature.as_str()),
    ];
    let page = enterprise.post(&format!("{place}/moves"), &form).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let form = [("do", "countersign"), ("way", "platform"), ("digest", digest.as_str())];
    let page = provider.post(&format!("{desk}/moves"), &form).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let view = app::restricted::open(&house.app, &op, &number).await.unwrap();
    let paper = view.application.paper(PaperKind::Agreement).unwrap();

    // Without a font there is no PDF, and the page says what to configure.
    let pdf = enterprise.get(&format!("{place}/papers/agreement.pdf")).await;
    assert_eq!(pdf.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(pdf.text().contains("[paper] font"), "{}", pdf.text());

    let mut nobody = Browser::new(&house);
    let ask = |digest: &str| format!("/agreements/verify?number={}&digest={digest}", paper.number);
    let valid = nobody.get(&ask(&digest)).await.text();
    assert!(valid.contains("id=\"valid\"") && !valid.contains("测试科技"), "{valid}");
    assert!(nobody.get(&ask("00")).await.text().contains("id=\"invalid\""));
    assert!(nobody.get("/restricted/statistics").await.text().contains("id=\"statistics\""));
    assert_eq!(nobody.get(&place).await.status, StatusCode::NOT_FOUND);

    let breach = [("do", "breach"), ("rule", "超范围使用"), ("text", "转给第三方")];
    let page = stranger.post(&format!("{desk}/moves"), &breach).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    let page = provider.post(&format!("{desk}/moves"), &breach).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    assert!(enterprise.get("/restricted").await.text().contains("id=\"credit\""));
    let page = enterprise.post("/restricted/new", &filled).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "the record keeps it out");

    // The authority repairs the record; others do not even read it.
    assert_eq!(provider.get("/console/credit").await.status, StatusCode::FORBIDDEN);
    let list = authority.get("/console/credit").await;
    let repair = list.after("<form method=\"post\" action=\"/console/credit/");
    let path = format!("/console/credit/{repair}");
    let page = authority.post(&path, &[("reason", "已核实整改")]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let page = enterprise.post("/restricted/new", &filled).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
}

/// A draft is opened in its form as it was saved, changed and thrown away; a form that is out of date saves nothing.
#[tokio::test]
async fn a_draft_is_changed_and_discarded() {
    let house = House::new().await;
    let application = prepared(&house).await;
    let mut enterprise = Browser::of(&house, "enterprise").await;
    let mut filled = vec![
        ("code", "yanjiu"),
        ("items-yanjiu", "id"),
        ("application", application.as_str()),
        ("purpose", "研究企业分布"),
        ("scope", "仅供内部分析"),
        ("method", "interface"),
        ("until", "2026-05-31"),
        ("calls_per_day", "100"),
        ("answer-storage", "yes"),
        ("answer-processing", "yes"),
        ("answer-protection", "level2"),
        ("answer-incident", "none"),
    ];
    let page = enterprise.post("/restricted/new", &filled).await;
    let place = page.location.split('?').next().unwrap().to_owned();
    let edit = format!("{place}/edit");
    let form = enterprise.get(&edit).await.text();
    assert!(form.contains("研究企业分布") && form.contains("value=\"2026-05-31\""), "{form}");
    assert!(form.contains("name=\"seen\" value=\"1\"") && form.contains("checked"), "{form}");
    let mut stranger = Browser::of(&house, "citizen").await;
    assert_eq!(stranger.get(&edit).await.status, StatusCode::NOT_FOUND);

    filled[3].1 = "研究企业分布和存续";
    let saved: Vec<_> = filled.iter().copied().chain([("seen", "1")]).collect();
    let page = enterprise.post(&edit, &saved).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    assert!(enterprise.get(&place).await.text().contains("研究企业分布和存续"));
    filled[3].1 = "另一个人的修改";
    let late: Vec<_> = filled.iter().copied().chain([("seen", "1")]).collect();
    let page = enterprise.post(&edit, &late).await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    let typed = page.text();
    assert!(typed.contains("另一个人的修改") && typed.contains("id=\"saved\""), "{typed}");
    assert!(!enterprise.get(&place).await.text().contains("另一个人的修改"));

    let discard = format!("{place}/discard");
    let page = enterprise.post(&discard, &[("seen", "1")]).await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    let page = stranger.post(&discard, &[("seen", "2")]).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    let page = enterprise.post(&discard, &[("seen", "2")]).await;
    assert_eq!(page.location, "/restricted?done=removed", "{}", page.text());
    assert_eq!(enterprise.get(&place).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn public_bodies_and_nobody_are_told_where_to_go() {
    let house = House::new().await;
    prepared(&house).await;
    let mut nobody = Browser::new(&house);
    let page = nobody.get("/restricted/new?code=yanjiu").await.text();
    assert!(page.contains("id=\"sign-in-first\"") && !page.contains("id=\"use-form\""));
    let mut consumer = Browser::of(&house, "consumer").await;
    let page = consumer.get("/restricted/new?code=yanjiu").await.text();
    assert!(page.contains("id=\"not-for-you\"") && !page.contains("id=\"use-form\""));
    assert_eq!(consumer.get("/console/restricted").await.status, StatusCode::FORBIDDEN);
    assert_eq!(nobody.get("/restricted/new?code=nothing").await.status, StatusCode::NOT_FOUND);
}

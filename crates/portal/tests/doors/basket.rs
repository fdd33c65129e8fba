//! The basket through the pages: from an entry into the basket, one form, owners decide on their pages, the applicant
//! follows one progress line; flows are tried before they are published.

use axum::http::StatusCode;
use testkit::House;

use crate::browser::Browser;

const FORM: [(&str, &str); 8] = [
    ("name", "出生一件事"),
    ("area", "government"),
    ("apply_type", "service"),
    ("scene", "核验办事人身份"),
    ("legal_basis", "部门职责"),
    ("contact", "李"),
    ("phone", "0571-88880000"),
    ("period", "90"),
];

#[tokio::test]
async fn from_the_basket_to_a_decision() {
    let house = House::new().await;
    let entry = house.publish(testkit::person_draft("renkou")).await;
    let (_, secret) = house.application("应用").await;
    let mut consumer = Browser::of(&house, "consumer").await;
    let page = consumer.get(&format!("/console/entries/{}", entry.id)).await;
    assert!(page.text().contains("id=\"to-basket\""), "{}", page.text());
    let page = consumer.post("/console/basket", &[("ledger", "data"), ("id", "renkou")]).await;
    assert_eq!(page.location, "/console/basket?done=added");
    let asset = house.asset("stranger", model::asset::Ledger::Cloud, "ecs-1", "政务云 <1>").await;
    let shown = consumer.get(&format!("/console/ledger/cloud/{}", asset.id)).await.text();
    assert!(shown.contains("id=\"to-basket\""), "{shown}");
    consumer.post("/console/basket", &[("ledger", "cloud"), ("id", "ecs-1")]).await;
    let page = consumer.get("/console/basket").await.text();
    assert!(page.contains("政务云 &lt;1&gt;") && page.contains("id=\"line-1\""), "{page}");
    // Two lines: which is which stands in the page.
    let data = usize::from(!page.contains("name=\"w0-ledger\" value=\"data\""));
    let w = |n: usize, field: &str| format!("w{n}-{field}");
    let (d, c) = (data, 1 - data);
    let lines = [
        ("n".to_owned(), d.to_string()),
        (w(d, "on"), "on".into()),
        (w(d, "ledger"), "data".into()),
        (w(d, "id"), entry.id.clone()),
        (w(d, "title"), entry.draft.title.clone()),
        (w(d, "way"), "api".into()),
        (w(d, "calls"), "100".into()),
        ("items".into(), format!("{d}:xm")),
        ("n".into(), c.to_string()),
        (w(c, "on"), "on".into()),
        (w(c, "ledger"), "cloud".into()),
        (w(c, "id"), "ecs-1".into()),
        (w(c, "title"), "政务云 <1>".into()),
        (w(c, "org"), "org-ecology".into()),
        (w(c, "vcpu"), "8".into()),
        (w(c, "memory_gb"), "16".into()),
        (w(c, "disk_gb"), "0".into()),
        ("application".into(), secret.application.id.clone()),
    ];
    let mut form: Vec<(&str, &str)> = FORM.to_vec();
    form.extend(lines.iter().map(|(k, v)| (k.as_str(), v.as_str())));
    // What is wrong is said on the same page, with what was filled in.
    let wrong: Vec<(&str, &str)> =
        form.iter().map(|(k, v)| (*k, if *k == "phone" { "x" } else { v })).collect();
    let page = consumer.post("/console/basket/file", &wrong).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(
        page.text().contains("<a href=\"#phone\">联系电话</a>")
            && page.text().contains("核验办事人身份")
    );
    let page = consumer.post("/console/basket/file", &form).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let bundle = page.location.split('?').next().unwrap().to_owned();
    let page = consumer.get(&bundle).await;
    assert!(page.text().contains("<span class=\"num\" id=\"total\">2</span>"), "{}", page.text());
    let approval = page.after(&format!("id=\"part-{}\"><td class=\"wide\"><a href=\"", 1));
    assert!(approval.starts_with("/console/approvals/"), "{approval}");

    // The authority takes it in; a stranger does not see it; the drawing shows where it stands.
    let mut stranger = Browser::of(&house, "county").await;
    assert_eq!(stranger.get(&approval).await.status, StatusCode::NOT_FOUND);
    assert_eq!(stranger.get(&bundle).await.status, StatusCode::NOT_FOUND);
    let mut authority = Browser::of(&house, "authority").await;
    assert!(authority.get("/console").await.text().contains("id=\"inbox-approvals\""));
    assert!(authority.get("/console/approvals").await.text().contains(&approval));
    let page = authority.get(&approval).await.text();
    assert!(page.contains("f-open") && page.contains("<svg"), "{page}");
    // Items are told by their names.
    let named = "姓名 <code class=\"small\">xm</code>";
    assert!(page.contains(named), "{page}");
    let act = |step: &'static str, what: &'static str| {
        [("step", step), ("seat", "0"), ("do", what), ("opinion", "言")]
    };
    let page = authority.post(&format!("{approval}/act"), &act("intake", "dance")).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    let page = authority.post(&format!("{approval}/act"), &act("intake", "approve")).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    // It comes back to be completed, and is completed on the form's page.
    let mut reviewer = Browser::of(&house, "reviewer").await;
    let mut back = act("confirm", "return").to_vec();
    back.push(("missing", "申请函\n依据"));
    assert_eq!(
        reviewer.post(&format!("{approval}/act"), &back).await.status,
        StatusCode::SEE_OTHER
    );
    let page = consumer.get(&bundle).await;
    assert!(page.text().contains("申请函、依据"), "{}", page.text());
    assert!(page.text().contains(named), "{}", page.text());
    let amend = page.after("<form method=\"post\" action=\"/console/parts/");
    let amend = format!("/console/parts/{amend}");
    let again = [("items", "xm"), ("calls", "50"), ("opinion", "已补")];
    assert_eq!(consumer.post(&amend, &again).await.status, StatusCode::SEE_OTHER);
    for (browser, step) in [(&mut authority, "intake"), (&mut reviewer, "confirm")] {
        let page = browser.post(&format!("{approval}/act"), &act(step, "approve")).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{step}: {}", page.text());
    }
    let page = authority.post(&format!("{approval}/act"), &act("authority", "approve")).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let page = consumer.get(&bundle).await.text();
    assert!(page.contains("s-closed"), "{page}");
    assert!(consumer.get("/console/bundles").await.text().contains("出生一件事"));
    // English pages are English.
    let page = consumer.get(&format!("{bundle}?lang=en")).await.text();
    assert!(page.contains("Progress") && page.contains("Approved and done"), "{page}");
}

#[tokio::test]
async fn a_flow_is_tried_before_it_is_published() {
    let house = House::new().await;
    let mut authority = Browser::of(&house, "authority").await;
    let page = authority.get("/console/flows").await.text();
    assert!(page.contains("/console/flows/share/1"), "{page}");
    let page = authority.get("/console/flows/share/1").await.text();
    assert!(page.contains("<svg") && page.contains("id=\"publish\""));
    assert_eq!(authority.get("/console/flows/share/9").await.status, StatusCode::NOT_FOUND);
    let flows = app::approval::flows(&house.app, &house.person("authority").await).await.unwrap();
    let text = &flows.iter().find(|f| f.flow.id == "objection").unwrap().body;
    let page = authority.post("/console/flows/try", &[("text", text), ("fact-about", "use")]).await;
    assert!(page.status.is_success() && page.text().contains("id=\"walk\""), "{}", page.text());
    let refuse = [("text", text.as_str()), ("refuse", "handle")];
    let page = authority.post("/console/flows/try", &refuse).await.text();
    assert!(page.contains("已驳回"), "{page}");
    let broken = text.replace("approve = \"handle\"", "approve = \"gone\"");
    let page = authority.post("/console/flows", &[("text", &broken)]).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(page.text().contains("没有环节 `gone`"), "{}", page.text());
    let second = text.replace("version = 1", "version = 2");
    let page = authority.post("/console/flows", &[("text", &second)]).await;
    assert_eq!(page.location, "/console/flows/objection/2?done=saved");
    let mut consumer = Browser::of(&house, "consumer").await;
    let page = consumer
        .post("/console/flows", &[("text", &second.replace("version = 2", "version = 3"))])
        .await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
}

//! Opening through the pages: a plan from its form to the site, a risk check with reasons, a withdrawn set's page; contests, policies
//! and the search over the whole site.

use axum::http::StatusCode;
use model::code::SyncMode;
use testkit::House;

use crate::browser::{Browser, encode};

const EVIL: &str = "<script>alert(1)</script>";

#[tokio::test]
async fn a_plan_and_a_check_go_from_the_department_to_the_site() {
    let house = House::new().await;
    house.publish(testkit::draft("tongji")).await;
    let mut provider = Browser::of(&house, "provider").await;
    let mut authority = Browser::of(&house, "authority").await;
    let mut nobody = Browser::new(&house);
    let page = provider.post("/console/plans", &[("year", "2026")]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let plan = page.location.split('?').next().unwrap().to_owned();
    let id = plan.trim_start_matches("/console/plans/").to_owned();
    let lines = [
        ("seen", "1"),
        ("code-0", "tongji"),
        ("attribute-0", "unconditional"),
        ("due-0", "2026-06-30"),
        ("title-1", EVIL),
        ("attribute-1", "none"),
        ("due-1", "2026-06-30"),
    ];
    let page = provider.post(&plan, &lines).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "no ground");
    assert!(!page.text().contains(EVIL));
    let mut lines = lines.to_vec();
    lines.extend([("ground-1", "privacy"), ("basis-1", "条例的规定")]);
    let page = provider.post(&plan, &lines).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    provider.post(&format!("{plan}/submit"), &[]).await;
    assert_eq!(nobody.get(&format!("/plans/{id}")).await.status, StatusCode::NOT_FOUND);
    let page = authority.post(&format!("{plan}/decide"), &[("do", "agree")]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let page = nobody.get(&format!("/plans/{id}")).await.text();
    assert!(page.contains("/data/tongji") && page.contains("&lt;script&gt;"), "{page}");
    assert!(nobody.get("/plans?year=2026").await.text().contains(&id));

    // What may be checked is offered by its title; another code may be typed all the same, and stays when it is wrong.
    let offered = |page: &str, list: &str| {
        let rest = page.split(&format!("<datalist id=\"{list}\">")).nth(1).unwrap().to_owned();
        rest.split("</datalist>").next().unwrap().contains("<option value=\"tongji\">测试数据集")
    };
    let desk = provider.get("/console/plans").await.text();
    assert!(offered(&desk, "check-codes") && offered(&desk, "withdraw-codes"), "{desk}");
    assert!(!authority.get("/console/plans").await.text().contains("check-codes"));
    let page = provider.post("/console/plans/check", &[("code", "nowhere<")]).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    assert!(page.text().contains("name=\"code\" value=\"nowhere&lt;\""), "{}", page.text());
    let page = provider.post("/console/plans/check", &[("code", "tongji")]).await;
    let check = page.location.split('?').next().unwrap().to_owned();
    assert!(check.starts_with("/console/assessments/"), "{}", page.text());
    assert!(provider.get(&check).await.text().contains("id=\"explain\""));
    let mut stranger = Browser::of(&house, "stranger").await;
    assert_eq!(stranger.get(&check).await.status, StatusCode::NOT_FOUND);
    let page = provider.post(&format!("{check}/submit"), &[("reason-0", "x")]).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    let page = provider.post(&format!("{check}/submit"), &[("reason-0", "数据下月归集")]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    assert!(authority.get(&check).await.text().contains("id=\"decide\""));
    let page = authority.post(&format!("{check}/decide"), &[("do", "agree")]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
}

#[tokio::test]
async fn a_withdrawn_set_says_why_instead_of_nothing() {
    let house = House::new().await;
    let entry = house.publish(testkit::draft("tongji")).await;
    house
        .collect("tongji", "t.csv", b"id,name,amount,day\n1,a,1,2026-01-01\n", SyncMode::Full)
        .await
        .unwrap();
    let mut provider = Browser::of(&house, "provider").await;
    let note = format!("数据源停用 {EVIL}");
    let form = [("code", "tongji"), ("note", note.as_str())];
    let page = provider.post("/console/plans/withdraw", &form).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let desk = provider.get("/console/plans").await.text();
    let left = desk.split("<datalist id=\"withdraw-codes\">").nth(1).unwrap();
    assert!(left.starts_with("</datalist>"), "asked for already: {left}");
    let authority = house.person("authority").await;
    let approve = app::catalogue::Move::Approve;
    app::catalogue::step(&house.app, &authority, &entry.id, approve, "").await.unwrap();
    let mut nobody = Browser::new(&house);
    let page = nobody.get("/data/tongji").await;
    assert_eq!(page.status, StatusCode::GONE);
    assert!(page.text().contains("数据源停用") && !page.text().contains(EVIL), "{}", page.text());
    assert_eq!(nobody.get("/data/never").await.status, StatusCode::NOT_FOUND);
    for path in ["/plans", "/feed.atom"] {
        let text = nobody.get(path).await.text();
        assert!(text.contains("数据源停用") && !text.contains(EVIL), "{path}: {text}");
    }
}

#[tokio::test]
async fn policies_are_written_read_and_found() {
    let house = House::new().await;
    let mut authority = Browser::of(&house, "authority").await;
    let text = format!("## 总则\n- 依法开放\n{EVIL}");
    let form = [("kind", "policy"), ("title", "公共数据开放办法"), ("text", text.as_str())];
    let page = authority.post("/console/policies/new", &form).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let desk = page.location.split('?').next().unwrap().to_owned();
    let public = desk.replace("/console", "");
    let mut nobody = Browser::new(&house);
    assert_eq!(nobody.get(&public).await.status, StatusCode::NOT_FOUND);
    let page = authority.post(&format!("{desk}/moves"), &[("do", "publish")]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let page = nobody.get(&public).await.text();
    assert!(page.contains("<h2>总则</h2>") && page.contains("<li>依法开放</li>"), "{page}");
    assert!(page.contains("&lt;script&gt;") && !page.contains(EVIL));
    for path in ["/policies", "/policies?city=hangzhou", "/policies.atom", "/city/hangzhou"] {
        assert!(nobody.get(path).await.text().contains("公共数据开放办法"), "{path}");
    }
    assert_eq!(nobody.get("/policies?city=nowhere").await.status, StatusCode::NOT_FOUND);
    let found = nobody.get(&format!("/search?q={}", encode("开放办法"))).await.text();
    assert!(
        found.contains("id=\"found-policies\"")
            && found.contains("id=\"ask-for-it\"")
            && found.contains(&public),
        "{found}"
    );
    let only = nobody.get(&format!("/search?in=data&q={}", encode("开放办法"))).await.text();
    assert!(!only.contains("id=\"found-policies\""));
    let nothing = nobody.get("/search?q=qqzzxxyy").await.text();
    assert!(nothing.contains("id=\"nothing\"") && nothing.contains("id=\"ask-for-it\""));
    let nav = nobody.get("/").await.text();
    let (policies, contests) = (nav.find("href=\"/policies\""), nav.find("href=\"/contests\""));
    assert!(policies.is_some() && policies < contests, "in the order of the site");
}

#[tokio::test]
async fn a_team_enters_a_contest_and_is_scored() {
    let house = House::new().await;
    house.publish(testkit::draft("tingche")).await;
    let mut authority = Browser::of(&house, "authority").await;
    let form = [
        ("title", "创新大赛"),
        ("title_en", "Contest"),
        ("text", "用开放数据做出好应用。"),
        ("tracks", "民生|Living"),
        ("items", "创新性|Novelty|100|100"),
        ("rounds", "初赛|First|2026-03-01|2026-03-10|public"),
        ("judges", "reviewer"),
    ];
    let page = authority.post("/console/contests/new", &form).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let desk = page.location.split('?').next().unwrap().to_owned();
    let public = desk.replace("/console", "");
    let mut citizen = Browser::of(&house, "citizen").await;
    assert_eq!(citizen.get(&public).await.status, StatusCode::NOT_FOUND);
    authority.post(&format!("{desk}/moves"), &[("do", "publish")]).await;
    let page = citizen.post(&format!("{public}/teams"), &[("name", "甲队")]).await;
    let code = page.text();
    let code = code.split("id=\"invitation-code\">").nth(1).unwrap();
    let code = code.split('<').next().unwrap().to_owned();
    assert!(!citizen.get(&public).await.text().contains(&code), "shown once");
    let mut enterprise = Browser::of(&house, "enterprise").await;
    let page = enterprise.post(&format!("{public}/join"), &[("code", "wrong")]).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    let page = enterprise.post(&format!("{public}/join"), &[("code", code.as_str())]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let work =
        [("track", "0"), ("title", EVIL), ("text", "停车导航的说明文字。"), ("sets", "tingche")];
    let page = citizen.post(&format!("{public}/works"), &work).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    assert!(!Browser::new(&house).get(&public).await.text().contains("停车导航"), "not yet");
    // A file goes with it: told by its content, kept and never shown by browsers, and nobody else's.
    let page = citizen.get(&public).await.text();
    let rest = page.split(&format!("action=\"{public}/works/")).find(|p| p.contains("/files\""));
    let own = rest.unwrap().split('/').next().unwrap().to_owned();
    let files = format!("{public}/works/{own}/files");
    let page = citizen.upload(&files, &[], "报告.pdf", EVIL.as_bytes()).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.text());
    assert!(page.text().contains(">上传附件</a>"), "{}", page.text());
    let page = citizen.upload(&files, &[], "说明<b>.html", b"%PDF-1.7 x").await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let page = citizen.get(&public).await.text();
    assert!(page.contains("说明&lt;b&gt;.html.pdf") && !page.contains("说明<b>"), "{page}");
    let rest = page.split(&format!("href=\"{files}/")).nth(1).unwrap();
    let file = format!("{files}/{}", rest.split('"').next().unwrap());
    let page = enterprise.get(&file).await;
    let header = |name: &str| page.headers.get(name).map(|v| v.to_str().unwrap().to_owned());
    assert_eq!((page.status, page.bytes.as_slice()), (StatusCode::OK, &b"%PDF-1.7 x"[..]));
    assert_eq!(header("content-type").as_deref(), Some("application/pdf"));
    assert_eq!(header("x-content-type-options").as_deref(), Some("nosniff"));
    assert!(header("content-disposition").unwrap().starts_with("attachment;"));
    for who in ["reviewer", "provider"] {
        let page = Browser::of(&house, who).await.get(&file).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{who}");
    }
    assert_eq!(Browser::new(&house).get(&file).await.status, StatusCode::NOT_FOUND);
    let page = Browser::of(&house, "provider").await.upload(&files, &[], "a.pdf", b"%PDF-").await;
    assert!(page.status.is_client_error(), "{}", page.status);

    house.clock.forward(chrono::TimeDelta::days(9));
    let mut reviewer = Browser::of(&house, "reviewer").await;
    let page = reviewer.get(&format!("{desk}/works")).await;
    let text = page.text();
    assert!(text.contains("停车导航") && !text.contains(EVIL), "{text}");
    assert!(text.contains(&file), "{text}");
    assert_eq!(reviewer.get(&file).await.status, StatusCode::OK, "judges have it now");
    let rest = text.split(&format!("{desk}/works/")).nth(1).unwrap();
    let id = rest.split('"').next().unwrap().to_owned();
    let score = format!("{desk}/works/{id}");
    let page = reviewer.post(&score, &[("points", "88"), ("words", "不错")]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let mut authority = Browser::of(&house, "authority").await;
    let page = authority.post(&format!("{desk}/moves"), &[("do", "close")]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let page = Browser::new(&house).get(&public).await.text();
    assert!(page.contains("停车导航") && page.contains("88") && !page.contains("不错"), "{page}");
    assert!(!page.contains(&file), "without an award and consent it stays theirs");
    let agrees = format!("{public}/works/{own}/consent");
    let mut citizen = Browser::of(&house, "citizen").await;
    assert_eq!(citizen.post(&agrees, &[("agrees", "on")]).await.status, StatusCode::SEE_OTHER);
    let award = [("work", own.as_str()), ("name", "一等奖")];
    let page = authority.post(&format!("{desk}/award"), &award).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let mut nobody = Browser::new(&house);
    assert!(nobody.get(&public).await.text().contains(&file));
    assert_eq!(nobody.get(&file).await.bytes, b"%PDF-1.7 x");
}

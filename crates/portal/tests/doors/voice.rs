//! The public's voice through the pages: a citizen reports an error and reads the answer, strangers find nothing, script in what
//! people write comes out harmless, comments are moderated, what was made of open data is shown when the authority agrees.

use axum::http::StatusCode;
use testkit::House;

use crate::browser::{Browser, encode};

const EVIL: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>";

/// The number in the address a form leads to.
fn number(location: &str) -> String {
    location.trim_start_matches("/interact/").split('?').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_citizen_reports_an_error_and_gets_the_answer() {
    let house = House::new().await;
    house.publish(testkit::draft("tongji")).await;
    let mut citizen = Browser::of(&house, "citizen").await;
    let page = citizen.get("/data/tongji").await.text();
    assert!(page.contains("/interact/new?kind=error&amp;code=tongji"), "{page}");
    let form = citizen.get("/interact/new?kind=error&code=tongji").await.text();
    assert!(form.contains("value=\"error\" required checked") && form.contains("value=\"amount\""));
    let wrong = [("kind", "error"), ("code", "tongji"), ("title", "x"), ("text", EVIL)];
    let page = citizen.post("/interact/new", &wrong).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(
        page.text().contains("<a href=\"#title\">标题</a>")
            && !page.text().contains("<script>alert")
    );
    let filed = [
        ("kind", "error"),
        ("code", "tongji"),
        ("item", "amount"),
        ("row", "id=3"),
        ("title", "金额有误 <b>"),
        ("text", EVIL),
        ("contact", "wang@example.cn"),
        ("public", "on"),
    ];
    let page = citizen.post("/interact/new", &filed).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let number = number(&page.location);
    assert!(number.starts_with("JC-20260302-"), "{number}");
    let own = citizen.get(&page.location).await.text();
    assert!(own.contains("&lt;script&gt;") && !own.contains("<script>alert"), "{own}");
    assert!(!own.contains("wang@example.cn") && own.contains("2026-03-09"), "five working days");
    assert!(citizen.get("/me").await.text().contains(&number));

    // Not accepted: not public. The desk of the provider has it; a stranger finds nothing.
    let mut nobody = Browser::new(&house);
    let path = format!("/interact/{number}");
    assert_eq!(nobody.get(&path).await.status, StatusCode::NOT_FOUND);
    assert!(!nobody.get("/interact").await.text().contains(&number));
    let mut provider = Browser::of(&house, "provider").await;
    assert!(provider.get("/console").await.text().contains("id=\"inbox-tickets\""));
    let list = provider.get("/console/tickets").await;
    let desk = list.after("<td class=\"wide\"><a href=\"");
    assert!(desk.starts_with("/console/tickets/"), "{}", list.text());
    let page = provider.get(&desk).await.text();
    assert!(page.contains("&lt;script&gt;") && !page.contains("wang@example.cn"), "{page}");
    let page = provider.post(&format!("{desk}/contact"), &[]).await.text();
    assert!(page.contains("wang@example.cn"));
    let mut stranger = Browser::of(&house, "stranger").await;
    assert_eq!(stranger.get(&desk).await.status, StatusCode::NOT_FOUND);
    assert_eq!(stranger.get(&path).await.status, StatusCode::NOT_FOUND);

    let moves = format!("{desk}/moves");
    let page = provider.post(&moves, &[("do", "answer"), ("text", "")]).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    let named = [("do", "answer"), ("text", "已核实"), ("public_text", "请致电13800138000")];
    let page = provider.post(&moves, &named).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "the public answer names a mobile number");
    let answer =
        [("do", "answer"), ("text", "已联系您更正"), ("public_text", "数据已更正，感谢指正。")];
    let page = provider.post(&moves, &answer).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());

    let public = nobody.get(&path).await.text();
    assert!(public.contains("数据已更正，感谢指正。") && !public.contains("已联系您更正"));
    assert!(!public.contains("citizen") && public.contains("/data/tongji"), "{public}");
    assert!(
        nobody
            .get(&format!("/interact?kind=error&q={}", encode("金额")))
            .await
            .text()
            .contains(&number)
    );
    assert!(!nobody.get("/interact?kind=question").await.text().contains(&number));
    let own = citizen.get(&path).await.text();
    assert!(own.contains("已联系您更正") && own.contains("id=\"evaluate\""));
    assert!(citizen.get("/console/notices").await.text().contains(&number));
    let judged = [("do", "evaluate"), ("satisfied", "yes"), ("score", "5")];
    let page = citizen.post(&format!("{path}/moves"), &judged).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    assert!(nobody.get(&path).await.text().contains("5 / 5"));
}

#[tokio::test]
async fn guests_read_how_to_sign_in_and_hidden_sets_answer_like_nothing() {
    let house = House::new().await;
    house.publish(testkit::person_draft("renkou")).await;
    let mut nobody = Browser::new(&house);
    let page = nobody.get("/interact/new?kind=request&title=x").await.text();
    assert!(page.contains("id=\"sign-in-first\"") && page.contains("/login?next="), "{page}");
    assert!(!page.contains("id=\"ticket-form\""));
    let token = nobody.get("/login").await.after("name=\"csrf\" value=\"");
    let form = [
        ("csrf", token.as_str()),
        ("kind", "question"),
        ("title", "问题"),
        ("text", "怎样下载数据"),
    ];
    let page = nobody.post_raw("/interact/new", &form).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert!(page.text().contains("sign_in_required"));
    for code in ["renkou", "never"] {
        let path = format!("/interact/new?kind=error&code={code}");
        assert_eq!(nobody.get(&path).await.status, StatusCode::NOT_FOUND, "{code}");
        let mut citizen = Browser::of(&house, "citizen").await;
        for (to, form) in [
            (format!("/data/{code}/rating"), vec![("stars", "5")]),
            (format!("/data/{code}/comments"), vec![("text", "很好用")]),
            (
                "/interact/new".to_owned(),
                vec![("kind", "error"), ("code", code), ("title", "有误"), ("text", "数据有错误")],
            ),
        ] {
            assert_eq!(citizen.post(&to, &form).await.status, StatusCode::NOT_FOUND, "{to} {code}");
        }
    }
    let page = nobody.get(&format!("/data?q={}", encode("月球"))).await.text();
    assert!(page.contains("id=\"ask-for-it\"") && page.contains("kind=request"), "{page}");
}

#[tokio::test]
async fn a_data_set_is_followed_from_its_page() {
    let house = House::new().await;
    house.publish(testkit::draft("tongji")).await;
    let mut nobody = Browser::new(&house);
    let page = nobody.get("/data/tongji").await.text();
    assert!(
        page.contains("id=\"follow-sign-in\"") && !page.contains("id=\"follow-button\""),
        "{page}"
    );
    let mut citizen = Browser::of(&house, "citizen").await;
    let page = citizen.get("/data/tongji").await.text();
    assert!(page.contains("关注此数据集"), "{page}");
    let sent = citizen.post("/data/tongji/follow", &[("do", "follow")]).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text());
    let page = citizen.get("/data/tongji?done=followed").await.text();
    assert!(page.contains("取消关注") && page.contains("已关注"), "{page}");
    assert!(citizen.get("/console/notices").await.text().contains("data:"));
    let sent = citizen.post("/data/tongji/follow", &[("do", "end")]).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER);
    assert!(citizen.get("/data/tongji").await.text().contains("关注此数据集"));
}

#[tokio::test]
async fn comments_are_escaped_and_moderated() {
    let house = House::new().await;
    house.publish(testkit::draft("tongji")).await;
    let mut citizen = Browser::of(&house, "citizen").await;
    let page = citizen.post("/data/tongji/rating", &[("stars", "6")]).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    citizen.post("/data/tongji/rating", &[("stars", "4")]).await;
    let page = citizen.post("/data/tongji/comments", &[("text", EVIL)]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let mut nobody = Browser::new(&house);
    let page = nobody.get("/data/tongji").await;
    let text = page.text();
    assert!(text.contains("&lt;script&gt;") && !text.contains("<script>alert"), "{text}");
    assert!(text.contains("id=\"stars\">4.0<") && text.contains("c**"), "{text}");
    let id = page.after("<article class=\"comment\" id=\"c-");
    let path = format!("/data/tongji/comments/{id}");
    let hide = [("do", "hide"), ("reason", "与数据无关")];
    assert_eq!(
        citizen.post(&path, &hide).await.status,
        StatusCode::NOT_FOUND,
        "not theirs to hide"
    );
    let mut enterprise = Browser::of(&house, "enterprise").await;
    enterprise.post(&path, &[("do", "report"), ("reason", "广告")]).await;
    let mut provider = Browser::of(&house, "provider").await;
    assert!(provider.get("/console/comments").await.text().contains("广告"));
    let page = provider.post(&path, &hide).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let text = nobody.get("/data/tongji").await.text();
    assert!(!text.contains("&lt;script&gt;") && text.contains("该评论已被隐藏"), "{text}");
}

#[tokio::test]
async fn what_was_made_is_shown_when_the_authority_agrees() {
    let house = House::new().await;
    house.publish(testkit::draft("tongji")).await;
    let mut enterprise = Browser::of(&house, "enterprise").await;
    let mut form = vec![
        ("kind", "app"),
        ("title", "企业地图 <b>"),
        ("text", "用开放的统计数据画出的企业地图"),
        ("author", "测试科技有限公司"),
        ("links", "javascript:alert(1)"),
        ("entries", "tongji"),
    ];
    let page = enterprise.post("/showcase/new", &form).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "a link that is no link");
    form[4].1 = "https://map.example/";
    let page = enterprise.post("/showcase/new", &form).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let path = page.location.split('?').next().unwrap().to_owned();
    let id = path.trim_start_matches("/showcase/").to_owned();
    let mut nobody = Browser::new(&house);
    assert_eq!(nobody.get(&path).await.status, StatusCode::NOT_FOUND);
    let mut authority = Browser::of(&house, "authority").await;
    assert!(authority.get("/console/showcases").await.text().contains(&id));
    let decide = format!("/console/showcases/{id}");
    assert_eq!(enterprise.post(&decide, &[("do", "show")]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(authority.post(&decide, &[("do", "show")]).await.status, StatusCode::SEE_OTHER);
    let page = nobody.get(&path).await.text();
    assert!(page.contains("href=\"https://map.example/\"") && page.contains("/data/tongji"));
    assert!(nobody.get("/data/tongji").await.text().contains(&path), "linked both ways");
    assert!(nobody.get("/showcase").await.text().contains("企业地图 &lt;b&gt;"));
}

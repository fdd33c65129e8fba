//! Sign-up and real-name verification by their pages: from the sign-in page to a verified account, in both languages, without script.

use axum::http::StatusCode;
use testkit::House;

use crate::browser::{Browser, Page};

const SECRET: &str = "Walking-In-2026!";

/// Fills in the form as it stands.
async fn register(browser: &mut Browser, own: &[(&str, &str)]) -> Page {
    let token = browser.get("/register").await.after("name=\"csrf\" value=\"");
    let mut form = vec![
        ("csrf", token.as_str()),
        ("kind", "citizen"),
        ("name", "xiao-ming"),
        ("display_name", "小明"),
        ("password", SECRET),
        ("again", SECRET),
        ("agreed", "on"),
    ];
    form.retain(|(name, _)| !own.iter().any(|(other, _)| other == name));
    form.extend_from_slice(own);
    browser.post_raw("/register", &form).await
}

#[tokio::test]
async fn a_guest_signs_up_from_the_sign_in_page() {
    let house = House::new().await;
    let mut guest = Browser::new(&house);
    let text = guest.get("/login?next=/developer").await.text();
    assert!(text.contains("/register?next="), "{text}");
    let text = guest.get("/developer").await.text();
    assert!(text.contains("id=\"sign-up\"") && !text.contains("id=\"real-name\""), "{text}");
    let text = guest.get("/register?kind=enterprise&next=/developer").await.text();
    assert!(text.contains("value=\"enterprise\" checked") && text.contains("id=\"terms\""));
    assert!(guest.get("/register?lang=en").await.text().contains("I have read the terms"));
    guest.get("/register?lang=zh").await;

    // What is wrong is told with what was typed, and never the password.
    let page = register(&mut guest, &[("again", "Another-2026!")]).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    let text = page.text();
    assert!(
        text.contains("两次输入的密码不一致") && text.contains("value=\"xiao-ming\""),
        "{text}"
    );
    assert!(!text.contains(SECRET));
    let page = register(&mut guest, &[("name", "root")]).await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    assert!(page.text().contains("id=\"faults\""));
    assert_eq!(guest.cookie("qt_session"), None);

    let page = register(&mut guest, &[("next", "//evil.example")]).await;
    let goal = "/account/realname?done=registered";
    assert_eq!((page.status, page.location.as_str()), (StatusCode::SEE_OTHER, goal));
    assert!(guest.cookie("qt_session").is_some());
    let text = guest.get(goal).await.text();
    assert!(text.contains("id=\"done\"") && text.contains("id=\"real-name-form\""), "{text}");
    let text = guest.get("/me").await.text();
    assert!(text.contains("id=\"real-name\"") && text.contains("未实名"), "{text}");
    let text = guest.get("/developer").await.text();
    assert!(text.contains("id=\"real-name\"") && text.contains("/account/realname"), "{text}");
    let page = guest.get("/register").await;
    assert_eq!((page.status, page.location.as_str()), (StatusCode::SEE_OTHER, "/me"));
}

#[tokio::test]
async fn a_name_is_filed_looked_at_and_decided() {
    let house = House::new().await;
    let mut guest = Browser::new(&house);
    assert_eq!(register(&mut guest, &[]).await.status, StatusCode::SEE_OTHER);
    let wrong = [("name", "张三"), ("identifier", "110105194912310021")];
    let page = guest.post("/account/realname", &wrong).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(page.text().contains("身份证号不正确"), "{}", page.text());
    let right = [("name", "张三"), ("identifier", "11010519491231002X")];
    let page = guest.post("/account/realname", &right).await;
    assert_eq!(page.location, "/account/realname?done=filed", "{}", page.text());
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg'>";
    let page = guest.upload("/account/realname/files", &[], "scan.png", svg).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.text());
    let png = b"\x89PNG\r\n\x1a\n0123456789";
    let page = guest.upload("/account/realname/files", &[], "scan.png", png).await;
    assert_eq!(page.location, "/account/realname?done=attached", "{}", page.text());
    let page = guest.get("/account/realname").await;
    let text = page.text();
    assert!(text.contains("110*************2X") && !text.contains("11010519491231002X"), "{text}");
    let scan = page.after("href=\"/account/realname/files/");
    let file = guest.get(&format!("/account/realname/files/{scan}")).await;
    assert_eq!((file.bytes.as_slice(), file.content_type.as_str()), (png.as_slice(), "image/png"));
    assert!(file.headers["content-disposition"].to_str().unwrap().starts_with("attachment"));

    // Others have no such desk; the authority sees the number only by asking for it.
    let mut provider = Browser::of(&house, "provider").await;
    assert_eq!(provider.get("/console/realnames").await.status, StatusCode::FORBIDDEN);
    let mut authority = Browser::of(&house, "authority").await;
    assert!(authority.get("/console").await.text().contains("href=\"/console/realnames\""));
    let list = authority.get("/console/realnames").await;
    assert!(list.text().contains("xiao-ming"), "{}", list.text());
    let one = format!("/console/realnames/{}", list.after("href=\"/console/realnames/"));
    let page = authority.get(&one).await;
    let text = page.text();
    assert!(text.contains("张三") && !text.contains("11010519491231002X"), "{text}");
    let seen = page.after("name=\"seen\" value=\"");
    let shown = authority.post(&format!("{one}/number"), &[]).await;
    assert!(shown.text().contains("11010519491231002X"));
    let file = authority.get(&format!("{one}/files/{scan}")).await;
    assert_eq!(file.bytes, png);
    let stale = authority.post(&format!("{one}/moves"), &[("do", "approve"), ("seen", "1")]).await;
    assert_eq!(stale.status, StatusCode::CONFLICT, "a scan came since");
    let approve = [("do", "approve"), ("seen", seen.as_str())];
    let page = authority.post(&format!("{one}/moves"), &approve).await;
    assert_eq!(page.location, "/console/realnames?done=approve", "{}", page.text());
    assert!(authority.get("/console/realnames?state=all").await.text().contains("已实名"));
    assert_eq!(
        guest.get(&format!("/account/realname/files/{scan}")).await.status,
        StatusCode::NOT_FOUND,
        "evidence goes when it was decided"
    );
    assert!(guest.get("/account/realname").await.text().contains("id=\"verified\""));
    assert!(guest.get("/developer?lang=en").await.text().contains("Verified"));
    guest.get("/developer?lang=zh").await;

    // The administrator sees who opened the account, and has no such desk.
    let mut admin = Browser::of(&house, "admin").await;
    let list = admin.get("/console/users").await.text();
    assert!(list.contains("自助注册") && list.contains("已实名"), "{list}");
    let user = house.app.store.user_by_name("xiao-ming").await.unwrap().unwrap().user.id;
    let text = admin.get(&format!("/console/users/{user}")).await.text();
    assert!(text.contains("id=\"opened-by\">自助注册") && text.contains("已实名"), "{text}");
    assert!(!text.contains("/console/realnames/"), "{text}");

    // Taken back: with a reason, and the person is told.
    let page = authority.get(&one).await;
    assert!(page.text().contains("id=\"revoke\"") && !page.text().contains("id=\"refuse\""));
    let seen = page.after("name=\"seen\" value=\"");
    let bare = [("do", "revoke"), ("seen", seen.as_str()), ("reason", "")];
    let page = authority.post(&format!("{one}/moves"), &bare).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.text());
    assert!(page.text().contains("id=\"revoke\"") && page.text().contains("id=\"faults\""));
    let revoke = [("do", "revoke"), ("seen", seen.as_str()), ("reason", "核验材料系伪造")];
    let page = authority.post(&format!("{one}/moves"), &revoke).await;
    assert_eq!(page.location, format!("{one}?done=unverified"), "{}", page.text());
    let text = authority.get(&page.location).await.text();
    assert!(text.contains("id=\"done\"") && text.contains("id=\"revoked\""), "{text}");
    assert!(!text.contains("id=\"revoke\"") && text.contains("核验材料系伪造"), "{text}");
    let text = guest.get("/account/realname").await.text();
    assert!(text.contains("id=\"revoked\"") && text.contains("id=\"real-name-form\""), "{text}");
    assert!(guest.get("/developer").await.text().contains("核验材料系伪造"));
    assert!(guest.get("/me").await.text().contains("已撤销"));
}

#[tokio::test]
async fn a_site_that_does_not_offer_it_says_so() {
    let mut house = House::new().await;
    let rooms = std::sync::Arc::get_mut(&mut house.app).unwrap();
    (rooms.rules.signup.open.citizens, rooms.rules.signup.open.enterprises) = (false, false);
    let mut guest = Browser::new(&house);
    assert!(!guest.get("/login").await.text().contains("/register"));
    let text = guest.get("/developer").await.text();
    assert!(!text.contains("/register") && text.contains("主管部门开通"), "{text}");
    let page = guest.get("/register").await;
    assert!(page.status == StatusCode::OK && page.text().contains("id=\"closed\""));
    let token = guest.get("/login").await.after("name=\"csrf\" value=\"");
    let form = [
        ("csrf", token.as_str()),
        ("kind", "citizen"),
        ("name", "xiao-ming"),
        ("display_name", "小明"),
        ("password", SECRET),
        ("again", SECRET),
        ("agreed", "on"),
    ];
    let page = guest.post_raw("/register", &form).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.text());
    assert!(house.app.store.user_by_name("xiao-ming").await.unwrap().is_none());
}

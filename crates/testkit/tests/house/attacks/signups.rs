//! Sign-up abused: accounts by the dozen, names tried for being taken, an enterprise that is somebody else's, another's identity number,
//! a stranger's form.

use testkit::{ENTERPRISE_ORG, House};

use super::doors::{Answer, Doors, Visitor};

const SECRET: &str = "Flooding-2026!";

/// Fills in the form as a new visitor.
async fn sign_up(doors: &Doors, own: &[(&str, &str)]) -> (Visitor, Answer) {
    let mut visitor = doors.visitor();
    let token = visitor.get("/register").await.after("name=\"csrf\" value=\"");
    let mut form = vec![
        ("csrf", token.as_str()),
        ("kind", "citizen"),
        ("display_name", "路人"),
        ("password", SECRET),
        ("again", SECRET),
        ("agreed", "on"),
    ];
    form.retain(|(name, _)| !own.iter().any(|(other, _)| other == name));
    form.extend_from_slice(own);
    let answer = visitor.post_raw("/register", &form).await;
    (visitor, answer)
}

/// One address opens a few accounts a day, and learns of few names whether they are taken.
#[tokio::test]
async fn an_address_neither_floods_nor_lists_names() {
    let doors = Doors::of(House::new().await);
    let limits = doors.house.app.rules.signup.limits;
    let mut opened = 0;
    for n in 0..limits.accounts_a_day + 3 {
        let name = format!("flood-{n}");
        let (_, answer) = sign_up(&doors, &[("name", name.as_str())]).await;
        match answer.status {
            303 => opened += 1,
            _ => answer.refused(429, "今日注册的账号已达上限", "opened from your network today"),
        }
    }
    assert_eq!(opened, limits.accounts_a_day);
    // A taken name and one that nobody gets read the same, and soon nothing is told any more.
    let mut told = Vec::new();
    for n in 0..limits.tries + 5 {
        let name = if n % 2 == 0 { "provider" } else { "consumer" };
        let (visitor, answer) = sign_up(&doors, &[("name", name)]).await;
        assert!(!visitor.cookies.contains_key("qt_session"));
        told.push(answer.status);
    }
    let learnt = told.iter().filter(|s| **s == 409).count();
    assert!(learnt < usize::try_from(limits.tries).unwrap(), "{told:?}");
    assert_eq!(told.last(), Some(&429));
}

/// A form of another site, or without its token, opens nothing; nor does one by somebody who is signed in.
#[tokio::test]
async fn a_strangers_form_opens_nothing() {
    let doors = Doors::of(House::new().await);
    let (_, answer) = sign_up(&doors, &[("name", "planted"), ("csrf", "x")]).await;
    assert_eq!(answer.status, 403);
    let mut citizen = doors.person("citizen").await;
    let form =
        [("kind", "citizen"), ("name", "planted"), ("display_name", "路人"), ("agreed", "on")];
    let both = [("password", SECRET), ("again", SECRET)];
    let answer = citizen.post("/register", &[form.as_slice(), both.as_slice()].concat()).await;
    answer.refused(409, "您已登录", "you are signed in");
    assert!(doors.house.app.store.user_by_name("planted").await.unwrap().is_none());
}

/// Naming an enterprise and its credit code gives nothing of it: no application, no request, no member's page, no word whether it is
/// known here.
#[tokio::test]
async fn naming_an_enterprise_gives_nothing_of_it() {
    let doors = Doors::of(House::new().await);
    let app = &doors.house.app;
    let known = app.store.org_get(ENTERPRISE_ORG).await.unwrap().unwrap();
    // Another credit code that is right, of an enterprise that is not known here.
    let head = "91330100MA27ABCD1";
    let strange = format!("{head}{}", model::ident::uscc_check(head).unwrap());
    let mut answers = Vec::new();
    for (name, uscc) in [("pretender", known.uscc.as_str()), ("stranger-co", strange.as_str())] {
        let own = [
            ("kind", "enterprise"),
            ("name", name),
            ("company", known.name_cn.as_str()),
            ("uscc", uscc),
        ];
        let (mut visitor, answer) = sign_up(&doors, &own).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        let form = [("name", "冒名"), ("org", ENTERPRISE_ORG)];
        let taken = visitor.post("/console/applications", &form).await;
        assert!((400..500).contains(&taken.status), "{}", taken.text());
        let filed =
            [("name", known.name_cn.as_str()), ("identifier", uscc), ("representative", "张三")];
        let filed = visitor.post("/account/realname", &filed).await;
        answers.push((answer.header("location").to_owned(), taken.status, filed.status));
        let person = app::account::person(app, name).await.unwrap();
        assert_eq!(person.org(), None);
        // The same filed again says that one waits, and nothing of the enterprise.
        let again = visitor.get("/account/realname").await.text();
        assert!(again.contains("id=\"under-review\"") && !again.contains(ENTERPRISE_ORG));
    }
    assert_eq!(answers[0], answers[1], "a known and an unknown enterprise answer alike");
}

/// Another's identity number is filed like one's own, is refused at the desk, and is in no page but by an act that is recorded.
#[tokio::test]
async fn anothers_number_verifies_nobody() {
    let doors = Doors::of(House::new().await);
    let number = "11010519491231002X";
    let mut pages = Vec::new();
    for name in ["owner-of-it", "thief-of-it"] {
        let (mut visitor, _) = sign_up(&doors, &[("name", name)]).await;
        let form = [("name", "张三"), ("identifier", number)];
        let filed = visitor.post("/account/realname", &form).await;
        assert_eq!(filed.status, 303, "{}", filed.text());
        let page = visitor.get("/account/realname").await.text();
        assert!(page.contains("110*************2X") && !page.contains(number), "{page}");
        let account = app::account::person(&doors.house.app, name).await.unwrap();
        let filing = doors.house.app.store.real_name_newest(account.id()).await.unwrap().unwrap();
        let mut authority = doors.person("authority").await;
        let path = format!("/console/realnames/{}", filing.id);
        let shown = authority.get(&path).await.text();
        assert!(shown.contains("110*************2X") && !shown.contains(number), "{shown}");
        let approve = [("do", "approve"), ("seen", "1")];
        pages.push(authority.post(&format!("{path}/moves"), &approve).await);
        // Others find no such filing.
        let mut provider = doors.person("provider").await;
        assert_eq!(provider.get(&path).await.status, 404);
    }
    assert_eq!(pages[0].status, 303, "{}", pages[0].text());
    pages[1].refused(400, "已由另一账号实名认证", "verified for another account");
}

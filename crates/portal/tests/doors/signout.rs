//! Signing out at a client's wish by the doors, what the consent page tells, which scripts of other sites may read what, and that a session
//! somebody planted is worth nothing after signing in.

use app::identity;
use axum::http::StatusCode;
use model::identity::{ClientKind, ClientSettings};
use testkit::House;

use crate::browser::{Browser, Page, encode};
use crate::identity::{BACK, VERIFIER, agreed, exchange, json, query, told};

const OUT: &str = "https://app.test/out";
const ORIGIN: &str = "https://app.test";

/// A client of the consumer's organisation that may send people on after signing out, and has a browser app where it is public.
async fn client(house: &House, kind: ClientKind) -> (String, String) {
    let (_, made) = house.application("办事大厅").await;
    let mut settings = ClientSettings::new(kind, vec![BACK.into()]);
    settings.logouts = vec![OUT.into()];
    if kind == ClientKind::Public {
        settings.origins = vec![ORIGIN.into()];
    }
    let consumer = house.person("consumer").await;
    identity::set_client(&house.app, &consumer, &made.application.id, settings).await.unwrap();
    (made.application.key, made.secret)
}

/// Signs somebody in to the client; the ID token.
async fn hint(house: &House, browser: &mut Browser, who: (&str, &str)) -> String {
    let asked = query(who.0, BACK, &[("scope", "openid profile")]);
    let code = told(&agreed(browser, &asked).await.location, "code");
    let tokens = json(&exchange(house, who, &code, &[]).await);
    tokens["id_token"].as_str().unwrap().to_owned()
}

fn leave(wish: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = wish.iter().map(|(n, v)| format!("{n}={}", encode(v))).collect();
    format!("/oauth/logout?{}", pairs.join("&"))
}

#[tokio::test]
async fn a_client_signs_a_person_out() {
    let house = House::new().await;
    let (key, secret) = client(&house, ClientKind::Confidential).await;
    let mut browser = Browser::of(&house, "citizen").await;
    let about = json(&browser.get("/.well-known/openid-configuration").await);
    assert_eq!(about["end_session_endpoint"], "http://site.test/oauth/logout");
    let hint = hint(&house, &mut browser, (key.as_str(), secret.as_str())).await;

    // An address that is not registered: told on a page, nothing ends.
    let bad = leave(&[
        ("id_token_hint", hint.as_str()),
        ("post_logout_redirect_uri", "https://evil.test/"),
    ]);
    let page = browser.get(&bad).await;
    assert_eq!((page.status, page.location.as_str()), (StatusCode::BAD_REQUEST, ""));
    assert_eq!(browser.get("/me").await.status, StatusCode::OK);

    // As a form of another site: led to the address, without a cookie of ours set or looked at.
    let wish =
        [("id_token_hint", hint.as_str()), ("post_logout_redirect_uri", OUT), ("state", "s-1")];
    let cross = [("sec-fetch-site", "cross-site"), ("origin", "https://app.test")];
    let page = browser.ask("POST", "/oauth/logout", &cross, &wish).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    assert!(page.location.starts_with("/oauth/logout?id_token_hint="), "{}", page.location);
    assert!(!page.headers.contains_key("set-cookie"));
    let kept = browser.cookie("qt_session").cloned().unwrap();
    let page = browser.get(&page.location).await;
    assert_eq!(page.location, "https://app.test/out?state=s-1");
    assert!(browser.cookie("qt_session").is_none(), "the cookie is gone");
    browser.plant("qt_session", &kept);
    assert_eq!(browser.get("/me").await.status, StatusCode::SEE_OTHER, "and so is the session");
    let page = browser.get("/oauth/logout").await;
    assert!(page.text().contains("id=\"signed-out\""), "{}", page.text());
}

/// A wish posted by another site, where no cookie of ours is seen; the page that it is led to.
async fn posted(browser: &mut Browser, wish: &[(&str, &str)]) -> Page {
    let cross = [("sec-fetch-site", "cross-site"), ("origin", ORIGIN)];
    // What stands in the address of a form is none of its parameters.
    let page = browser.ask("POST", "/oauth/logout?state=elsewhere", &cross, wish).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    assert!(!page.headers.contains_key("set-cookie"));
    let (path, query) = page.location.split_once('?').unwrap_or((page.location.as_str(), ""));
    assert_eq!((path, query.is_empty()), ("/oauth/logout", wish.is_empty()), "{}", page.location);
    assert!(!query.contains("elsewhere"), "{query}");
    browser.get(&page.location).await
}

/// RP-Initiated Logout 1.0 §2: by a form as by the address, every parameter optional.
#[tokio::test]
async fn a_wish_to_sign_out_may_be_posted() {
    let house = House::new().await;
    let (key, secret) = client(&house, ClientKind::Confidential).await;
    let mut browser = Browser::of(&house, "citizen").await;
    let hint = hint(&house, &mut browser, (key.as_str(), secret.as_str())).await;
    let (hinted, named) = (("id_token_hint", hint.as_str()), ("client_id", key.as_str()));
    let (back, state) = (("post_logout_redirect_uri", OUT), ("state", "s&1"));

    // Nothing but the wish, or a client without a hint: the person is asked.
    let text = posted(&mut browser, &[]).await.text();
    assert!(text.contains("id=\"leave\"") && text.contains("value=\"stay\""), "{text}");
    let text = posted(&mut browser, &[named, back, state]).await.text();
    assert!(text.contains("value=\"stay\"") && text.contains("办事大厅"), "{text}");
    // What is wrong is told on the page; another person's hint is none of this session's.
    let wishes: [&[(&str, &str)]; 4] = [
        &[hinted, ("post_logout_redirect_uri", "https://evil.test/")],
        &[hinted, ("client_id", "unknown")],
        &[hinted, hinted],
        &[back],
    ];
    for wrong in wishes {
        let page = posted(&mut browser, wrong).await;
        assert_eq!((page.status, page.location.as_str()), (StatusCode::BAD_REQUEST, ""));
    }
    let mut other = Browser::of(&house, "enterprise").await;
    let page = posted(&mut other, &[hinted, back]).await;
    assert_eq!((page.status, page.location.as_str()), (StatusCode::OK, ""));
    assert!(page.text().contains("value=\"stay\""), "{}", page.text());
    assert_eq!(other.get("/me").await.status, StatusCode::OK);
    // A body of several parts is no such form.
    let page = browser.upload("/oauth/logout", &[named], "x.txt", b"x").await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.text());
    assert_eq!(json(&page)["error"], "invalid_request");
    assert_eq!(browser.get("/me").await.status, StatusCode::OK, "nothing has ended");

    // Nobody is signed in: led on by the hint alone.
    let mut nobody = Browser::new(&house);
    let page = posted(&mut nobody, &[hinted, back, state]).await;
    assert_eq!(page.location, "https://app.test/out?state=s%261", "{}", page.text());
    let text = posted(&mut nobody, &[]).await.text();
    assert!(text.contains("id=\"signed-out\""), "{text}");
    let page = posted(&mut browser, &[hinted, named, back, state]).await;
    assert_eq!(page.location, "https://app.test/out?state=s%261", "{}", page.text());
    assert!(browser.cookie("qt_session").is_none(), "the cookie is gone");
    assert_eq!(browser.get("/me").await.status, StatusCode::SEE_OTHER);
}

/// RFC 6750 §2: in the header or in a posted form of one part, never both, and never in the address.
#[tokio::test]
async fn an_access_token_comes_by_the_header_or_by_a_form() {
    let house = House::new().await;
    let (key, secret) = client(&house, ClientKind::Confidential).await;
    let mut browser = Browser::of(&house, "citizen").await;
    let asked = query(&key, BACK, &[("scope", "openid profile")]);
    let code = told(&agreed(&mut browser, &asked).await.location, "code");
    let tokens = json(&exchange(&house, (key.as_str(), secret.as_str()), &code, &[]).await);
    let access = tokens["access_token"].as_str().unwrap();
    let bearer = format!("Bearer {access}");
    let header = [("authorization", bearer.as_str())];
    let form = [("access_token", access)];
    let to = "/oauth/userinfo";
    let mut nobody = Browser::new(&house);
    for page in [
        nobody.ask("POST", to, &[], &form).await,
        nobody.ask("POST", to, &header, &[]).await,
        nobody.ask("POST", to, &header, &[("other", "x")]).await,
        nobody.ask("GET", to, &header, &[]).await,
    ] {
        assert_eq!(page.status, StatusCode::OK, "{}", page.text());
        assert_eq!(json(&page)["preferred_username"], "citizen");
        assert_eq!(page.headers["cache-control"], "no-store");
    }
    let twice = [("access_token", access), ("access_token", access)];
    let address = format!("{to}?access_token={}", encode(access));
    for page in [
        nobody.ask("POST", to, &header, &form).await,
        nobody.ask("POST", to, &[], &twice).await,
        nobody.ask("GET", &address, &[], &[]).await,
        nobody.ask("GET", &address, &header, &[]).await,
        nobody.ask("POST", &address, &[], &form).await,
    ] {
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.text());
        assert_eq!(json(&page)["error"], "invalid_request");
        let how = page.headers["www-authenticate"].to_str().unwrap();
        assert_eq!(how, "Bearer error=\"invalid_request\"");
        assert!(!page.text().contains("citizen"));
    }
    // A body of several parts, and one of a GET, are not looked at.
    let page = browser.upload(to, &form, "x.txt", b"x").await;
    assert_eq!((page.status, page.text().as_str()), (StatusCode::UNAUTHORIZED, ""));
    let page = nobody.ask("GET", to, &[], &form).await;
    assert_eq!((page.status, page.text().as_str()), (StatusCode::UNAUTHORIZED, ""));
    let page = nobody.ask("POST", to, &[], &[("access_token", "guess")]).await;
    assert_eq!(
        (page.status, json(&page)["error"].as_str()),
        (StatusCode::UNAUTHORIZED, Some("invalid_token"))
    );
}

/// Where a client is told that a session has ended is kept by its page; what is wrong with it is told beside what was typed.
#[tokio::test]
async fn the_address_for_ended_sessions_is_kept_by_the_page() {
    let house = House::new().await;
    let (_, made) = house.application("办事大厅").await;
    let mut keeper = Browser::of(&house, "consumer").await;
    let path = format!("/console/applications/{}/client", made.application.id);
    let form = |address: &'static str| {
        [
            ("kind", "confidential"),
            ("redirects", BACK),
            ("backchannel_logout_uri", address),
            ("backchannel_logout_session_required", "1"),
        ]
    };
    let page = keeper.post(&path, &form("http://app.test/ended")).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(page.text().contains("value=\"http://app.test/ended\""), "{}", page.text());
    let page = keeper.post(&path, &form("https://app.test/ended")).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let consumer = house.person("consumer").await;
    let kept = identity::client_settings(&house.app, &consumer, &made.application.id).await;
    let kept = kept.unwrap().unwrap();
    assert!(kept.backchannel == "https://app.test/ended" && kept.sid_required);
    let text = keeper.get(&path).await.text();
    assert!(text.contains("value=\"1\" checked"), "{text}");
    let about = json(&keeper.get("/.well-known/openid-configuration").await);
    assert_eq!(about["backchannel_logout_supported"], true);
    assert_eq!(about["backchannel_logout_session_supported"], true);
}

#[tokio::test]
async fn without_a_hint_the_person_is_asked() {
    let house = House::new().await;
    let (key, _) = client(&house, ClientKind::Confidential).await;
    let mut browser = Browser::of(&house, "citizen").await;
    let path =
        leave(&[("client_id", key.as_str()), ("post_logout_redirect_uri", OUT), ("state", "s-1")]);
    let page = browser.get(&path).await;
    assert_eq!(page.status, StatusCode::OK);
    let text = page.text();
    assert!(text.contains("id=\"leave\"") && text.contains("办事大厅"), "{text}");
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("form-action 'self' https://app.test;"), "{policy}");
    let english = browser.get(&format!("{path}&lang=en")).await.text();
    assert!(english.contains("asks to sign you out of this platform"), "{english}");

    let asked = path.split_once('?').unwrap().1.to_owned();
    let answer = |word: &'static str| [("query", asked.as_str()), ("answer", word)];
    let to = "/oauth/logout/answer";
    let page = browser.post_raw(to, &answer("leave")).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "another site's form");
    let page = browser.post(to, &answer("perhaps")).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert_eq!(browser.post(to, &answer("stay")).await.location, "/");
    let page = browser.post(to, &answer("leave")).await;
    assert_eq!(page.location, "https://app.test/out?state=s-1", "{}", page.text());
    assert!(browser.cookie("qt_session").is_none());
    // Nobody is signed in any more: nobody is sent on by an address alone.
    let page = browser.get(&path).await;
    assert_eq!((page.status, page.location.as_str()), (StatusCode::OK, ""));
    assert!(page.text().contains("href=\"https://app.test/out?state=s-1\""), "{}", page.text());
}

#[tokio::test]
async fn the_consent_page_lists_what_is_handed_over() {
    let house = House::new().await;
    let (key, _) = client(&house, ClientKind::Confidential).await;
    let mut browser = Browser::of(&house, "citizen").await;
    let path = format!("/oauth/authorize?{}", query(&key, BACK, &[("scope", "openid profile")]));
    let chinese = browser.get(&path).await.text();
    for said in ["显示名", "用户名", "登录时使用的语言", "<code>updated_at</code>"] {
        assert!(chinese.contains(said), "{said}: {chinese}");
    }
    for unsaid in ["org_name", "统一社会信用代码", "offline_access", "real_name"] {
        assert!(!chinese.contains(unsaid), "{unsaid}: {chinese}");
    }
    let english = browser.get(&format!("{path}&lang=en")).await.text();
    assert!(english.contains("the language you signed in with"), "{english}");
    // What is not the client's to ask for is refused before anybody is asked.
    let other = query(&key, BACK, &[("scope", "openid real_name")]);
    let page = browser.get(&format!("/oauth/authorize?{other}")).await;
    assert_eq!(told(&page.location, "error"), "invalid_scope");

    // A request may be posted, and wish for a language and a name on the sign-in page.
    let asked = query(&key, BACK, &[("ui_locales", "fr en-GB"), ("login_hint", "citizen")]);
    let pairs: Vec<(&str, String)> = asked
        .split('&')
        .filter_map(|p| p.split_once('='))
        .map(|(n, v)| {
            (n, percent_encoding::percent_decode_str(v).decode_utf8().unwrap().into_owned())
        })
        .collect();
    let form: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let mut nobody = Browser::new(&house);
    let cross = [("sec-fetch-site", "cross-site")];
    let page = nobody.ask("POST", "/oauth/authorize", &cross, &form).await;
    assert!(page.location.starts_with("/oauth/authorize?client_id="), "{}", page.location);
    let page = nobody.get(&page.location).await;
    assert!(page.location.ends_with("&lang=en&login_hint=citizen"), "{}", page.location);
    let page = nobody.get(&page.location).await.text();
    assert!(page.contains("<html lang=\"en\">") && page.contains("value=\"citizen\""), "{page}");
}

/// What an answer allows scripts of other sites.
fn allowed(page: &Page) -> Option<&str> {
    assert!(!page.headers.contains_key("access-control-allow-credentials"));
    page.headers.get("access-control-allow-origin").map(|v| v.to_str().unwrap())
}

#[tokio::test]
async fn scripts_of_registered_sites_only_read_what_clients_are_told() {
    let house = House::new().await;
    let (key, _) = client(&house, ClientKind::Public).await;
    let mut browser = Browser::of(&house, "citizen").await;
    let evil = [("origin", "https://evil.test"), ("sec-fetch-site", "cross-site")];
    let own = [("origin", ORIGIN), ("sec-fetch-site", "cross-site")];
    for path in ["/.well-known/openid-configuration", "/oauth/jwks"] {
        let page = browser.ask("GET", path, &evil, &[]).await;
        assert_eq!((page.status, allowed(&page)), (StatusCode::OK, Some("*")), "{path}");
        assert!(!page.headers.contains_key("set-cookie"), "{path}");
    }
    let preflight = |origin: &'static str| {
        [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,content-type"),
        ]
    };
    for path in ["/oauth/token", "/oauth/userinfo", "/oauth/revoke"] {
        let page = browser.ask("OPTIONS", path, &preflight(ORIGIN), &[]).await;
        assert_eq!((page.status, allowed(&page)), (StatusCode::OK, Some(ORIGIN)), "{path}");
        let methods = page.headers["access-control-allow-methods"].to_str().unwrap();
        assert!(methods.contains("POST"), "{methods}");
        let names = page.headers["access-control-allow-headers"].to_str().unwrap();
        assert!(names.contains("authorization") && !names.contains('*'), "{names}");
        for origin in ["https://evil.test", "null", "https://app.test.evil.test", "http://app.test"]
        {
            let page = browser.ask("OPTIONS", path, &preflight(origin), &[]).await;
            assert_eq!(allowed(&page), None, "{path} {origin}");
        }
    }
    for path in ["/oauth/introspect", "/oauth/authorize", "/oauth/logout", "/", "/login"] {
        assert_eq!(allowed(&browser.ask("OPTIONS", path, &preflight(ORIGIN), &[]).await), None);
        assert_eq!(allowed(&browser.ask("GET", path, &own, &[]).await), None, "{path}");
    }

    // The whole walk of a browser app; its answers are no other site's to read, and no cookie comes into it.
    let asked = query(&key, BACK, &[("scope", "openid profile")]);
    let code = told(&agreed(&mut browser, &asked).await.location, "code");
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", BACK),
        ("code_verifier", VERIFIER),
        ("client_id", key.as_str()),
    ];
    let page = browser.ask("POST", "/oauth/token", &own, &form).await;
    assert_eq!((page.status, allowed(&page)), (StatusCode::OK, Some(ORIGIN)), "{}", page.text());
    assert!(!page.headers.contains_key("set-cookie"));
    let vary = page.headers.get_all("vary").iter().map(|v| v.to_str().unwrap().to_lowercase());
    assert!(vary.collect::<Vec<_>>().join(",").contains("origin"));
    let tokens = json(&page);
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let who = [own[0], ("authorization", bearer.as_str())];
    let page = browser.ask("GET", "/oauth/userinfo", &who, &[]).await;
    assert_eq!((page.status, allowed(&page)), (StatusCode::OK, Some(ORIGIN)));
    let who = [evil[0], ("authorization", bearer.as_str())];
    assert_eq!(allowed(&browser.ask("GET", "/oauth/userinfo", &who, &[]).await), None);
    // The session of the cookie is nobody there.
    let page = browser.ask("GET", "/oauth/userinfo", &own, &[]).await;
    assert_eq!((page.status, allowed(&page)), (StatusCode::UNAUTHORIZED, Some(ORIGIN)));
    assert_eq!(page.headers["access-control-expose-headers"], "www-authenticate");
    let token = tokens["refresh_token"].as_str().unwrap();
    let form = [("client_id", key.as_str()), ("token", token)];
    let page = browser.ask("POST", "/oauth/revoke", &own, &form).await;
    assert_eq!((page.status, allowed(&page)), (StatusCode::OK, Some(ORIGIN)));
}

#[tokio::test]
async fn a_planted_session_is_worth_nothing_after_signing_in() {
    let house = House::new().await;
    // The attacker's own session in the victim's browser.
    let mut attacker = Browser::of(&house, "enterprise").await;
    let planted = attacker.cookie("qt_session").cloned().unwrap();
    let mut victim = Browser::new(&house);
    victim.plant("qt_session", &planted);
    victim.sign_in("citizen").await;
    let fresh = victim.cookie("qt_session").cloned().unwrap();
    assert_ne!(fresh, planted, "a new session has a new id");
    assert_eq!(attacker.get("/me").await.status, StatusCode::SEE_OTHER, "the old one is dead");
    assert!(victim.get("/me").await.text().contains("citizen"));
    // A made-up one is not taken up either.
    let mut other = Browser::new(&house);
    other.plant("qt_session", "made-up");
    other.sign_in("citizen").await;
    assert_ne!(other.cookie("qt_session").map(String::as_str), Some("made-up"));
    let mut thief = Browser::new(&house);
    thief.plant("qt_session", "made-up");
    assert_eq!(thief.get("/me").await.status, StatusCode::SEE_OTHER);
    // Signing in once more, as oneself: again another, and the one before is dead.
    victim.sign_in("citizen").await;
    assert_ne!(victim.cookie("qt_session"), Some(&fresh));
    thief.plant("qt_session", &fresh);
    assert_eq!(thief.get("/me").await.status, StatusCode::SEE_OTHER);
}

//! The identity provider by its doors: the whole walk of a client, what attackers try at it, and our own provider as the outside identity
//! service of the sign-in page, on a real socket.

use std::net::SocketAddr;
use std::sync::Arc;

use app::identity;
use axum::http::StatusCode;
use model::identity::{ClientKind, ClientSettings, OutsideService};
use portal::PortalConfig;
use serde_json::Value;
use testkit::House;

use crate::browser::{Browser, Page, encode};

pub(crate) const BACK: &str = "https://app.test/back";
/// The example of RFC 7636, appendix B.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A client of the consumer's organisation: its key and secret.
async fn client(house: &House, name: &str, redirect: &str) -> (String, String) {
    let (_, made) = house.application(name).await;
    let consumer = house.person("consumer").await;
    let settings = ClientSettings::new(ClientKind::Confidential, vec![redirect.into()]);
    identity::set_client(&house.app, &consumer, &made.application.id, settings).await.unwrap();
    (made.application.key, made.secret)
}

/// The usual request, with some parameters put in another's place (empty: left out).
pub(crate) fn query(key: &str, redirect: &str, other: &[(&str, &str)]) -> String {
    let mut all = vec![
        ("client_id", key),
        ("redirect_uri", redirect),
        ("response_type", "code"),
        ("scope", "openid profile org offline_access"),
        ("state", "s-1"),
        ("nonce", "n-1"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    for &(name, value) in other {
        all.retain(|(n, _)| *n != name);
        all.push((name, value));
    }
    all.retain(|(_, v)| !v.is_empty());
    let pairs: Vec<String> = all.iter().map(|(n, v)| format!("{n}={}", encode(v))).collect();
    pairs.join("&")
}

/// A parameter of an address.
pub(crate) fn told(location: &str, name: &str) -> String {
    let query = location.split_once('?').map_or("", |(_, q)| q);
    let pair = query.split('&').find_map(|p| p.strip_prefix(&format!("{name}=")));
    pair.unwrap_or_default().replace("%3A", ":").replace("%2F", "/")
}

/// Agrees to a request; where the browser is sent.
pub(crate) async fn agreed(browser: &mut Browser, query: &str) -> Page {
    let page = browser.get(&format!("/oauth/authorize?{query}")).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    assert!(page.text().contains("id=\"consent\""), "{}", page.text());
    browser.post("/oauth/consent", &[("query", query), ("answer", "agree")]).await
}

pub(crate) fn json(page: &Page) -> Value {
    serde_json::from_slice(&page.bytes).unwrap_or_else(|e| panic!("{e}: {}", page.text()))
}

pub(crate) async fn exchange(
    house: &House,
    who: (&str, &str),
    code: &str,
    other: &[(&str, &str)],
) -> Page {
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", BACK),
        ("code_verifier", VERIFIER),
        ("client_id", who.0),
        ("client_secret", who.1),
    ];
    for &(name, value) in other {
        form.retain(|(n, _)| *n != name);
        form.push((name, value));
    }
    Browser::new(house).post_raw("/oauth/token", &form).await
}

async fn posted(house: &House, path: &str, who: (&str, &str), form: &[(&str, &str)]) -> Page {
    let mut all = vec![("client_id", who.0), ("client_secret", who.1)];
    all.extend_from_slice(form);
    Browser::new(house).post_raw(path, &all).await
}

async fn userinfo(house: &House, token: &str) -> Page {
    let bearer = format!("Bearer {token}");
    Browser::new(house).get_with("/oauth/userinfo", "authorization", &bearer).await
}

#[tokio::test]
async fn a_client_signs_a_person_in() {
    let house = House::new().await;
    let (key, secret) = client(&house, "办事大厅", BACK).await;
    let who = (key.as_str(), secret.as_str());
    let mut browser = Browser::new(&house);
    let about = json(&browser.get("/.well-known/openid-configuration").await);
    assert_eq!(about["issuer"], "http://site.test");
    assert_eq!(about["code_challenge_methods_supported"], serde_json::json!(["S256"]));
    let keys = json(&browser.get("/oauth/jwks").await);
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    assert!(keys["keys"][0].get("d").is_none() && keys["keys"][0]["alg"] == "RS256");

    // Not signed in: to the sign-in page, whose form may lead to the client in the end, and back.
    let asked = query(&key, BACK, &[]);
    let page = browser.get(&format!("/oauth/authorize?{asked}")).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert!(page.location.starts_with("/login?next=%2Foauth%2Fauthorize"), "{}", page.location);
    let login = browser.get(&page.location).await;
    let policy = login.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("form-action 'self' https://app.test;"), "{policy}");
    let silent = format!("/oauth/authorize?{}", query(&key, BACK, &[("prompt", "none")]));
    let page = browser.get(&silent).await;
    assert_eq!(told(&page.location, "error"), "login_required");

    browser.sign_in("enterprise").await;
    let page = browser.get(&silent).await;
    assert_eq!(told(&page.location, "error"), "consent_required");
    let page = agreed(&mut browser, &asked).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    assert!(page.location.starts_with("https://app.test/back?code="), "{}", page.location);
    assert_eq!(told(&page.location, "state"), "s-1");
    assert_eq!(told(&page.location, "iss"), "http://site.test");
    let code = told(&page.location, "code");

    let page = exchange(&house, who, &code, &[]).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    assert_eq!(page.headers["cache-control"], "no-store");
    let tokens = json(&page);
    let access = tokens["access_token"].as_str().unwrap().to_owned();
    assert_eq!(tokens["id_token"].as_str().unwrap().split('.').count(), 3);
    let said = json(&userinfo(&house, &access).await);
    assert_eq!(said["preferred_username"], "enterprise");
    assert_eq!(said["org_name"], "测试科技有限公司");
    let subject = said["sub"].as_str().unwrap();
    assert!(subject.len() >= 32 && subject != "enterprise");
    let active = json(&posted(&house, "/oauth/introspect", who, &[("token", &access)]).await);
    assert!(active["active"] == true && active["sub"] == subject && active["client_id"] == key);

    // Agreed once: no question any more, until more is asked for or the person withdraws.
    let page = browser.get(&silent).await;
    assert!(!told(&page.location, "code").is_empty(), "{}", page.location);
    assert!(browser.get("/account/consents").await.text().contains("办事大厅"));
    let id = browser.get("/account/consents").await.after("action=\"/account/consents/");
    let page = browser.post(&format!("/account/consents/{id}"), &[]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    assert_eq!(userinfo(&house, &access).await.status, StatusCode::UNAUTHORIZED);
    let refresh = tokens["refresh_token"].as_str().unwrap();
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    let page = posted(&house, "/oauth/token", who, &form).await;
    assert_eq!(
        (page.status, json(&page)["error"].as_str()),
        (StatusCode::BAD_REQUEST, Some("invalid_grant"))
    );
    let refused = [("query", asked.as_str()), ("answer", "refuse")];
    let page = browser.post("/oauth/consent", &refused).await;
    assert_eq!(told(&page.location, "error"), "access_denied");

    // The application's own token comes by the same door, and is no token of a person.
    let page = posted(&house, "/oauth/token", who, &[("grant_type", "client_credentials")]).await;
    let own = json(&page)["access_token"].as_str().unwrap().to_owned();
    assert_eq!(userinfo(&house, &own).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn nobody_is_sent_where_nothing_is_registered() {
    let house = House::new().await;
    let (key, _) = client(&house, "办事大厅", BACK).await;
    let mut browser = Browser::of(&house, "citizen").await;
    for redirect in [
        "https://evil.test/back",
        "https://app.test/back/",
        "https://app.test/back?x=1",
        "https://app.test/back/../evil",
        "http://app.test/back",
        "https://app.test:443/back",
        "",
    ] {
        let page = browser.get(&format!("/oauth/authorize?{}", query(&key, redirect, &[]))).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{redirect}");
        assert_eq!(page.location, "", "{redirect}");
    }
    let twice = format!("{}&redirect_uri={}", query(&key, BACK, &[]), encode("https://evil.test"));
    let page = browser.get(&format!("/oauth/authorize?{twice}")).await;
    assert_eq!((page.status, page.location.as_str()), (StatusCode::BAD_REQUEST, ""));
    let page = browser.get(&format!("/oauth/authorize?{}", query("nobody", BACK, &[]))).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    // A consent needs its form token, and is looked at as anew.
    let forged = [("query", query(&key, "https://evil.test", &[])), ("answer", "agree".into())];
    let forged: Vec<(&str, &str)> = forged.iter().map(|(n, v)| (*n, v.as_str())).collect();
    assert_eq!(browser.post_raw("/oauth/consent", &forged).await.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.post("/oauth/consent", &forged).await.status, StatusCode::BAD_REQUEST);

    // What is wrong otherwise is told to the client, in the protocol's words.
    for (other, word) in [
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge_method", ""), "invalid_request"),
        (("code_challenge", ""), "invalid_request"),
        (("response_type", "token"), "unsupported_response_type"),
        (("response_mode", "fragment"), "invalid_request"),
        (("scope", "profile"), "invalid_scope"),
        (("request", "x.y.z"), "request_not_supported"),
        (("request_uri", "https://evil.test/r"), "request_uri_not_supported"),
        (("prompt", "none login"), "invalid_request"),
    ] {
        let page = browser.get(&format!("/oauth/authorize?{}", query(&key, BACK, &[other]))).await;
        assert!(page.location.starts_with(BACK), "{other:?} {}", page.location);
        assert_eq!(told(&page.location, "error"), word, "{other:?}");
        assert_eq!(told(&page.location, "state"), "s-1");
    }
}

#[tokio::test]
async fn a_code_is_one_clients_once_and_for_a_minute() {
    let house = House::new().await;
    let (key, secret) = client(&house, "办事大厅", BACK).await;
    let (other, others) = client(&house, "另一应用", BACK).await;
    let (who, stranger) = ((key.as_str(), secret.as_str()), (other.as_str(), others.as_str()));
    let mut browser = Browser::of(&house, "citizen").await;
    let asked = query(&key, BACK, &[]);
    let mut code = told(&agreed(&mut browser, &asked).await.location, "code");
    let wrong = |page: &Page, what: &str| {
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{what}: {}", page.text());
        assert_eq!(json(page)["error"], "invalid_grant", "{what}");
    };
    let again = format!("/oauth/authorize?{asked}");
    for (what, changed) in [
        ("no verifier", ("code_verifier", "")),
        ("another verifier", ("code_verifier", CHALLENGE)),
        ("another address", ("redirect_uri", "https://app.test/other")),
    ] {
        wrong(&exchange(&house, who, &code, &[changed]).await, what);
        // Whoever guessed has used it up.
        wrong(&exchange(&house, who, &code, &[]).await, what);
        code = told(&browser.get(&again).await.location, "code");
    }
    wrong(&exchange(&house, stranger, &code, &[]).await, "another client");
    let page = exchange(&house, (key.as_str(), "guess"), &code, &[]).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert_eq!(json(&page)["error"], "invalid_client");
    let page = exchange(&house, who, &code, &[("client_secret", "")]).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED, "a confidential client without its secret");
    code = told(&browser.get(&again).await.location, "code");
    house.clock.forward(chrono::TimeDelta::seconds(61));
    wrong(&exchange(&house, who, &code, &[]).await, "late");

    // A replayed code takes its tokens with it.
    code = told(&browser.get(&again).await.location, "code");
    let tokens = json(&exchange(&house, who, &code, &[]).await);
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(userinfo(&house, access).await.status, StatusCode::OK);
    let hidden = json(&posted(&house, "/oauth/introspect", stranger, &[("token", access)]).await);
    assert_eq!(hidden, serde_json::json!({ "active": false }), "another client's token");
    wrong(&exchange(&house, who, &code, &[]).await, "replay");
    assert_eq!(userinfo(&house, access).await.status, StatusCode::UNAUTHORIZED);

    // A refresh token that comes a second time, too.
    code = told(&browser.get(&again).await.location, "code");
    let first = json(&exchange(&house, who, &code, &[]).await);
    let old = first["refresh_token"].as_str().unwrap();
    let form = [("grant_type", "refresh_token"), ("refresh_token", old)];
    wrong(&posted(&house, "/oauth/token", stranger, &form).await, "another client's refresh token");
    let second = json(&posted(&house, "/oauth/token", who, &form).await);
    let access = second["access_token"].as_str().unwrap();
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    assert_eq!(userinfo(&house, access).await.status, StatusCode::OK);
    wrong(&posted(&house, "/oauth/token", who, &form).await, "reuse");
    assert_eq!(userinfo(&house, access).await.status, StatusCode::UNAUTHORIZED);
    let newer = second["refresh_token"].as_str().unwrap();
    let form = [("grant_type", "refresh_token"), ("refresh_token", newer)];
    wrong(&posted(&house, "/oauth/token", who, &form).await, "the chain is revoked");
}

#[tokio::test]
async fn signing_in_again_is_asked_for_and_done() {
    let house = House::new().await;
    let (key, _) = client(&house, "办事大厅", BACK).await;
    let mut browser = Browser::of(&house, "citizen").await;
    agreed(&mut browser, &query(&key, BACK, &[])).await;
    house.clock.forward(chrono::TimeDelta::seconds(100));
    for other in [("prompt", "login"), ("max_age", "60")] {
        let path = format!("/oauth/authorize?{}", query(&key, BACK, &[other]));
        let page = browser.get(&path).await;
        assert!(page.location.starts_with("/login?next="), "{other:?} {}", page.location);
        let next = page.location.trim_start_matches("/login?next=");
        let next = percent_encoding::percent_decode_str(next).decode_utf8().unwrap().into_owned();
        // Not signed in anew: the way back leads to the form again.
        assert!(browser.get(&next).await.location.starts_with("/login"), "{other:?}");
        let before = browser.cookie("qt_session").cloned();
        browser.sign_in("citizen").await;
        assert_ne!(browser.cookie("qt_session").cloned(), before, "a new session has a new id");
        let page = browser.get(&next).await;
        assert!(page.location.starts_with("https://app.test/back?code="), "{}", page.location);
        house.clock.forward(chrono::TimeDelta::seconds(100));
    }
    let young = format!("/oauth/authorize?{}", query(&key, BACK, &[("max_age", "1000")]));
    assert!(browser.get(&young).await.location.starts_with(BACK));
}

/// Our own portal on a socket, at the time it is (its ID tokens are checked by the clock of whoever reads them).
#[expect(clippy::disallowed_methods, reason = "who checks an ID token goes by the real time")]
async fn listening(house: &House) -> PortalConfig {
    house.clock.forward(chrono::Utc::now() - house.app.now());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let config = PortalConfig { public_url: Some(url), ..PortalConfig::default() };
    let router = portal::router(Arc::clone(&house.app), config.clone());
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    config
}

#[tokio::test]
async fn an_outside_identity_signs_in_and_is_tied() {
    let house = House::new().await;
    let config = listening(&house).await;
    let base = config.public_url.clone().unwrap();
    let back = format!("{base}/login/outside/own/back");
    let (key, secret) = client(&house, "统一认证", &back).await;
    house.app.identity.offer(vec![OutsideService {
        name: "own".into(),
        zh: "统一认证".into(),
        en: "Own service".into(),
        issuer: base.clone(),
        client_id: key,
        client_secret: secret,
        scopes: vec!["profile".into()],
        create: true,
    }]);
    let browser = || Browser::with(&house, config.clone());
    let mut bob = browser();
    assert!(bob.get("/login").await.text().contains("/login/outside/own"));
    let begun = bob.get("/login/outside/own?next=/data").await;
    let path = begun.location.strip_prefix(&base).unwrap().to_owned();
    assert!(path.contains("code_challenge_method=S256"), "{path}");
    let asked = path.split_once('?').unwrap().1.to_owned();
    // Somebody at the service agrees; the way back works in the browser it was begun in, once.
    let mut alice = browser();
    alice.sign_in("citizen").await;
    let returned = agreed(&mut alice, &asked).await.location;
    let returned = returned.strip_prefix(&base).unwrap().to_owned();
    let mut eve = browser();
    assert_eq!(eve.get(&returned).await.status, StatusCode::UNAUTHORIZED);
    assert!(eve.cookie("qt_session").is_none());
    let forged = returned.replace("state=", "state=x");
    eve.get("/login/outside/own").await;
    assert_eq!(eve.get(&forged).await.status, StatusCode::UNAUTHORIZED, "another's state");
    let page = bob.get(&returned).await;
    assert_eq!(
        (page.status, page.location.as_str()),
        (StatusCode::SEE_OTHER, "/data"),
        "{}",
        page.text()
    );
    let first = bob.cookie("qt_session").cloned().unwrap();
    let own = bob.get("/me").await.text();
    assert!(own.contains("citizen") && own.contains("公众"), "{own}");
    let name = bob.get("/me").await.after("<dd><code>");
    assert_eq!(bob.get(&returned).await.status, StatusCode::UNAUTHORIZED, "replayed");

    // The second time it is the same account, in another session.
    let begun = bob.get("/login/outside/own").await.location;
    let page = alice.get(begun.strip_prefix(&base).unwrap()).await;
    let page = bob.get(page.location.strip_prefix(&base).unwrap()).await;
    assert_eq!(page.location, "/me");
    assert_ne!(bob.cookie("qt_session"), Some(&first));
    assert_eq!(bob.get("/me").await.after("<dd><code>"), name);

    // An account of one's own is tied by a form, and signs in by it afterwards.
    let mut consumer = browser();
    consumer.sign_in("consumer").await;
    assert_eq!(consumer.post_raw("/account/outside/own", &[]).await.status, StatusCode::FORBIDDEN);
    let page = consumer.post("/account/outside/own", &[]).await;
    let url = page.after("rel=\"noreferrer\" href=\"").replace("&amp;", "&");
    let asked = url.split_once('?').unwrap().1.to_owned();
    let mut provider = browser();
    provider.sign_in("provider").await;
    let returned = agreed(&mut provider, &asked).await.location;
    let page = consumer.get(returned.strip_prefix(&base).unwrap()).await;
    assert_eq!(page.location, "/account/consents?done=saved", "{}", page.text());
    let mut carol = browser();
    let begun = carol.get("/login/outside/own").await.location;
    let returned = provider.get(begun.strip_prefix(&base).unwrap()).await.location;
    let page = carol.get(returned.strip_prefix(&base).unwrap()).await;
    assert_eq!(page.location, "/console");
    assert!(carol.get("/me").await.text().contains("consumer"));
}

const PERSON: &str = "11010519491231002X";

/// An application that is granted persons, by share application.
async fn granted(house: &House) -> (String, String) {
    let (_, made) = house.application("贷款审批").await;
    let entry = house.publish(testkit::person_draft("renkou")).await;
    let wanted = model::request::RequestNew {
        entry: "renkou".into(),
        application: made.application.id.clone(),
        items: ["sfzh", "xm"].map(str::to_owned).into(),
        scene: "核验办事人身份".into(),
        legal_basis: "部门职责".into(),
        period: model::request::Period::Days { days: 300 },
        calls_per_day: 10_000,
        area_range: String::new(),
        row_range: Default::default(),
        by_sql: false,
    };
    let consumer = house.person("consumer").await;
    let request = app::sharing::apply(&house.app, &consumer, wanted).await.unwrap();
    for who in ["provider", "authority"] {
        let op = house.person(who).await;
        app::sharing::review(&house.app, &op, &request.id, true, "").await.unwrap();
    }
    (made.application.id, entry.id)
}

#[tokio::test]
async fn a_subject_is_asked_agrees_and_revokes_by_the_pages() {
    let house = House::new().await;
    let (application, entry) = granted(&house).await;
    let mut provider = Browser::of(&house, "provider").await;
    let bounds = format!("/console/bounds/entry/{entry}");
    let page = provider.post(&bounds, &[("authorised", "xm")]).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "no look-up item");
    let page = provider.post(&bounds, &[("authorised", "sfzh")]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    assert!(provider.get(&bounds).await.text().contains("<option value=\"sfzh\" selected>"));

    let mut citizen = Browser::of(&house, "citizen").await;
    assert!(citizen.get("/account/authorisations").await.text().contains("id=\"no-subject\""));
    let account = house.person("citizen").await.actor.id().to_owned();
    let confirm = format!("/console/users/{account}/identifier");
    let form = [("kind", "person"), ("identifier", PERSON)];
    assert_eq!(citizen.post(&confirm, &form).await.status, StatusCode::FORBIDDEN);
    let mut admin = Browser::of(&house, "admin").await;
    assert!(
        admin.get(&format!("/console/users/{account}")).await.text().contains("id=\"identifier\"")
    );
    assert_eq!(admin.post(&confirm, &form).await.status, StatusCode::SEE_OTHER);
    let own = citizen.get("/account/authorisations").await.text();
    assert!(own.contains("110*************2X") && !own.contains(PERSON), "{own}");

    let mut consumer = Browser::of(&house, "consumer").await;
    let asking = format!("/console/applications/{application}/authorisations");
    let ask = |identifier: &'static str, purpose: &'static str| {
        [
            ("kind", "person"),
            ("identifier", identifier),
            ("entry", "renkou"),
            ("items", ""),
            ("days", "30"),
            ("purpose", purpose),
        ]
    };
    let page = consumer.post(&asking, &ask("123", "办理住房贷款")).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    let page = consumer.post(&asking, &ask(PERSON, "办理住房贷款 <b>")).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let page = consumer.get(&asking).await;
    assert!(!page.text().contains(PERSON) && page.text().contains("待授权"), "{}", page.text());
    let mut stranger = Browser::of(&house, "enterprise").await;
    assert_eq!(stranger.get(&asking).await.status, StatusCode::NOT_FOUND);

    let list = citizen.get("/account/authorisations").await;
    let path =
        format!("/account/authorisations/{}", list.after("<a href=\"/account/authorisations/"));
    assert_eq!(stranger.get(&path).await.status, StatusCode::NOT_FOUND);
    let page = citizen.get(&path).await.text();
    assert!(page.contains("id=\"letter\"") && page.contains("id=\"answer\""), "{page}");
    assert!(page.contains("办理住房贷款 &lt;b&gt;") && !page.contains("办理住房贷款 <b>"));
    let answer = format!("{path}/answer");
    assert_eq!(
        citizen.post(&answer, &[("answer", "perhaps")]).await.status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(stranger.post(&answer, &[("answer", "agree")]).await.status, StatusCode::NOT_FOUND);
    let page = citizen.post(&answer, &[("answer", "agree")]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    assert!(citizen.get(&path).await.text().contains("id=\"revoke\""));
    assert!(consumer.get("/console/notices").await.text().contains("主体已同意授权"));
    let page = citizen.post(&format!("{path}/revoke"), &[]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    let page = citizen.get(&path).await.text();
    assert!(page.contains("已撤回") && !page.contains("id=\"revoke\""), "{page}");
    assert!(consumer.get(&asking).await.text().contains("已撤回"));
}

#[tokio::test]
async fn redirect_addresses_are_registered_on_the_applications_page() {
    let house = House::new().await;
    let (_, made) = house.application("办事大厅").await;
    let path = format!("/console/applications/{}/client", made.application.id);
    let mut consumer = Browser::of(&house, "consumer").await;
    let page = consumer.get(&path).await.text();
    assert!(page.contains("http://site.test/.well-known/openid-configuration"), "{page}");
    let bad = [("kind", "public"), ("redirects", "http://app.test/back")];
    let page = consumer.post(&path, &bad).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(page.text().contains("<a href=\"#redirects\">回调地址</a>"), "{}", page.text());
    let good =
        [("kind", "public"), ("redirects", "https://app.test/back\r\nhttp://127.0.0.1:4000/cb")];
    assert_eq!(consumer.post(&path, &good).await.status, StatusCode::SEE_OTHER);
    let page = consumer.get(&path).await.text();
    assert!(
        page.contains("http://127.0.0.1:4000/cb") && page.contains("value=\"public\" selected"),
        "{page}"
    );
    let mut stranger = Browser::of(&house, "enterprise").await;
    assert_eq!(stranger.get(&path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(stranger.post(&path, &good).await.status, StatusCode::NOT_FOUND);
}

//! Sessions: a cookie planted before somebody signs in is worth nothing afterwards, an id lives only as long as what it may do, and by
//! HTTPS nobody else can set it.

use axum::body::Body;
use axum::http::{Request, header};
use portal::PortalConfig;
use testkit::{House, PROVIDER_ORG};

use super::doors::{Doors, Visitor};

const SESSION: &str = "qt_session";

/// Whether the console lets this visitor in.
async fn inside(visitor: &mut Visitor) -> bool {
    let page = visitor.get("/console").await;
    assert!(page.status == 200 || page.header("location").starts_with("/login"), "{page:?}");
    page.status == 200
}

fn cookie(visitor: &Visitor, name: &str) -> String {
    visitor.cookies.get(name).cloned().unwrap_or_default()
}

/// An attacker plants an id of their own making in a provider's browser, and waits for the provider to sign in with it.
#[tokio::test]
async fn an_invented_id_is_thrown_away() {
    let doors = Doors::of(House::new().await);
    let planted = "a".repeat(43);
    let mut provider = doors.visitor();
    provider.cookies.insert(SESSION.into(), planted.clone());
    provider.get("/login").await;
    assert_eq!(cookie(&provider, SESSION), "", "what opens nothing is taken away at once");
    provider.cookies.insert(SESSION.into(), planted.clone());
    assert_eq!(provider.sign_in("provider").await.status, 303);
    assert!(cookie(&provider, SESSION).len() >= 40 && cookie(&provider, SESSION) != planted);
    assert!(inside(&mut provider).await);
    let mut attacker = doors.visitor();
    attacker.cookies.insert(SESSION.into(), planted);
    assert!(!inside(&mut attacker).await);
}

/// An attacker with an account plants their own living session: the provider's has another id, and the planted one has ended.
#[tokio::test]
async fn a_living_session_ends_when_another_signs_in_over_it() {
    let doors = Doors::of(House::new().await);
    let mut attacker = doors.person("consumer").await;
    let planted = cookie(&attacker, SESSION);
    let mut provider = doors.visitor();
    provider.cookies.insert(SESSION.into(), planted.clone());
    // The form that the attacker's session brings is that session's.
    let token = provider.get("/login").await.after("name=\"csrf\" value=\"");
    let form = [("csrf", token.as_str()), ("name", "provider"), ("password", testkit::PASSWORD)];
    let page = provider.post_raw("/login", &form).await;
    assert_eq!(page.status, 303, "{}", page.text());
    assert_ne!(cookie(&provider, SESSION), planted);
    assert!(inside(&mut provider).await);
    attacker.cookies.insert(SESSION.into(), planted);
    assert!(!inside(&mut attacker).await, "the planted id is worth nothing any more");
}

/// A token for forms planted before signing in: afterwards forms want the session's own.
#[tokio::test]
async fn a_planted_form_token_is_not_believed_afterwards() {
    let doors = Doors::of(House::new().await);
    let planted = "0123456789abcdef0123456789abcdef";
    let mut citizen = doors.visitor();
    citizen.cookies.insert("qt_csrf".into(), planted.into());
    assert_eq!(citizen.sign_in("citizen").await.status, 303);
    for path in ["/console/applications", "/me/password", "/logout"] {
        let page = citizen.post_raw(path, &[("csrf", planted), ("name", "x")]).await;
        assert_eq!(page.status, 403, "{path}: {}", page.text());
    }
    // Nor is a form that another site sends, whatever it brings.
    let token = citizen.token().await;
    let request = Request::post("/logout")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "cross-site");
    let page = citizen.send(request, Body::from(format!("csrf={token}"))).await;
    assert_eq!(page.status, 403, "{}", page.text());
}

/// A stolen id is kept until its owner becomes more: with other roles the session has ended, and so it has with another password.
#[tokio::test]
async fn an_id_does_not_outlive_roles_and_password() {
    let doors = Doors::of(House::new().await);
    let mut provider = doors.person("provider").await;
    let id = doors.house.person("provider").await.actor.id().to_owned();
    let mut admin = doors.person("admin").await;
    let form = [
        ("display_name", "provider"),
        ("org", PROVIDER_ORG),
        ("roles", "provider"),
        ("roles", "reviewer"),
    ];
    let changed = admin.post(&format!("/console/users/{id}"), &form).await;
    assert_eq!(changed.status, 303, "{}", changed.text());
    assert!(!inside(&mut provider).await, "the old id has not become a reviewer's");
    let before = cookie(&provider, SESSION);
    assert_eq!(provider.sign_in("provider").await.status, 303);
    assert_ne!(cookie(&provider, SESSION), before);
    let mut thief = doors.visitor();
    thief.cookies.insert(SESSION.into(), cookie(&provider, SESSION));
    assert!(inside(&mut thief).await);
    let form = [("old", testkit::PASSWORD), ("new", "My-own-2026!"), ("again", "My-own-2026!")];
    assert_eq!(provider.post("/me/password", &form).await.status, 303);
    assert!(!inside(&mut thief).await, "a new password ends every session");
}

/// By HTTPS: cookies that only this host can set, that no script reads, that no other site's form brings.
#[tokio::test]
async fn by_https_only_this_host_sets_the_cookie() {
    let house = House::new().await;
    let config = PortalConfig { secure_cookies: true, ..PortalConfig::default() };
    let doors = Doors::with(house, config);
    let mut provider = doors.visitor();
    let page = provider.sign_in("provider").await;
    let told = page.header("set-cookie").to_owned();
    assert!(told.starts_with("__Host-qt_session="), "{told}");
    for attribute in ["HttpOnly", "SameSite=Lax", "Secure", "Path=/"] {
        assert!(told.split("; ").any(|a| a == attribute), "{attribute}: {told}");
    }
    assert!(!told.contains("Domain"), "{told}");
    assert!(inside(&mut provider).await);
    // What a neighbour under the same domain can set is another cookie, which opens nothing.
    let mut planted = doors.visitor();
    planted.cookies.insert(SESSION.into(), cookie(&provider, "__Host-qt_session"));
    assert!(!inside(&mut planted).await);
}

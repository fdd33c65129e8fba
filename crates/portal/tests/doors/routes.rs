//! Every route written down in ROUTES.md, tried by nobody and by a stranger; and what every answer carries.

use axum::http::StatusCode;
use testkit::House;

use crate::browser::Browser;

/// `(method, path)` of every row of the tables in ROUTES.md, alternatives spelled out, places filled in.
fn routes() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for line in include_str!("../../ROUTES.md").lines().filter(|l| l.starts_with('|')) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let (Some(methods), Some(paths)) = (cells.get(1), cells.get(2)) else { continue };
        // A `|` inside a path is written `\|` and was cut apart: join up to the closing backtick.
        let paths = if paths.matches('`').count() % 2 == 1 {
            let mut joined = (*paths).to_owned();
            for more in cells.iter().skip(3) {
                joined.push('|');
                joined.push_str(more);
                if more.contains('`') {
                    break;
                }
            }
            joined
        } else {
            (*paths).to_owned()
        };
        for method in methods.split(',').map(str::trim).filter(|m| matches!(*m, "GET" | "POST")) {
            for path in paths.split('`').filter(|p| p.starts_with('/')) {
                for path in spelled(path) {
                    all.push((method.to_owned(), path));
                }
            }
        }
    }
    all
}

/// `/x.{a\|b}` → `/x.a`, `/x.b`; `{code}` → a code.
fn spelled(path: &str) -> Vec<String> {
    let path = path.split('?').next().unwrap_or(path).replace("\\|", "|").replace("\\", "");
    let path = path.replace("{*path}", "app.css");
    if let Some((head, rest)) = path.split_once('{') {
        let (inside, tail) = rest.split_once('}').unwrap();
        let choices: Vec<&str> =
            if inside.contains('|') { inside.split('|').collect() } else { vec!["nothing"] };
        return choices.iter().flat_map(|c| spelled(&format!("{head}{c}{tail}"))).collect();
    }
    vec![path]
}

#[tokio::test]
async fn nobody_reaches_the_console_only_by_signing_in() {
    let house = House::new().await;
    let all = routes();
    assert!(all.len() > 70, "{} routes", all.len());
    for (method, path) in all {
        let mut browser = Browser::new(&house);
        let page = match method.as_str() {
            "GET" => browser.get(&path).await,
            _ => browser.post_raw(&path, &[]).await,
        };
        let inside = ["/console", "/me", "/apply", "/logout", "/account"]
            .iter()
            .any(|p| path.starts_with(p));
        // Clients of the identity provider are told in JSON, and have no form token.
        let client = ["token", "userinfo", "revoke", "introspect", "authorize"];
        let client = client.iter().any(|p| path == format!("/oauth/{p}"));
        match (inside, method.as_str()) {
            // A form of another site: asked again by address, where cookies are seen.
            (_, "POST") if path == "/oauth/logout" => {
                let told = (page.status, page.location.as_str());
                assert_eq!(told, (StatusCode::SEE_OTHER, "/oauth/logout"), "POST {path}");
            }
            _ if client => {
                let told = [StatusCode::BAD_REQUEST, StatusCode::UNAUTHORIZED];
                assert!(told.contains(&page.status), "{method} {path}: {}", page.status);
            }
            (true, "GET") => {
                assert_eq!(page.status, StatusCode::SEE_OTHER, "GET {path}");
                assert!(page.location.starts_with("/login?next="), "GET {path}: {}", page.location);
            }
            (true, _) => assert_eq!(page.status, StatusCode::UNAUTHORIZED, "POST {path}"),
            (false, "GET") if path.contains("/nothing") => {
                assert_eq!(page.status, StatusCode::NOT_FOUND, "GET {path}");
            }
            (false, "GET") => assert_eq!(page.status, StatusCode::OK, "GET {path}"),
            (false, _) => {
                assert_eq!(page.status, StatusCode::FORBIDDEN, "POST {path} without token")
            }
        }
        let header = |name: &str| page.headers.get(name).map(|v| v.to_str().unwrap().to_owned());
        assert_eq!(header("x-content-type-options").as_deref(), Some("nosniff"), "{path}");
        let policy = header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{path}");
        if !path.starts_with("/assets") {
            assert_eq!(header("x-request-id").map(|id| id.len()), Some(32), "{path}");
        }
    }
}

#[tokio::test]
async fn a_citizen_in_the_console_meets_refusals_not_failures() {
    let house = House::new().await;
    let mut citizen = Browser::of(&house, "citizen").await;
    for (method, path) in routes() {
        if path == "/logout" || path == "/login" {
            continue;
        }
        let page = match method.as_str() {
            "GET" => citizen.get(&path).await,
            _ => citizen.post(&path, &[]).await,
        };
        assert!(page.status.as_u16() < 500, "{method} {path}: {} {}", page.status, page.text());
        // Everybody has notices of their own, and whoever wishes to sign out is led to the page that asks.
        let own = ["/console/notices/read", "/oauth/logout"];
        if method == "POST" && !own.contains(&path.as_str()) {
            assert!(page.status.is_client_error(), "POST {path} by a citizen: {}", page.status);
        }
        for closed in ["/console/users", "/console/audit", "/console/audit.csv"] {
            if path == closed {
                assert_eq!(page.status, StatusCode::FORBIDDEN, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn signing_in_needs_the_token_and_the_password() {
    let house = House::new().await;
    let mut browser = Browser::new(&house);
    let form = [("name", "provider"), ("password", testkit::PASSWORD)];
    assert_eq!(browser.post_raw("/login", &form).await.status, StatusCode::FORBIDDEN);
    let token = browser.get("/login?next=/console/runs").await.after("name=\"csrf\" value=\"");
    let wrong = [("csrf", token.as_str()), ("name", "provider"), ("password", "wrong")];
    let page = browser.post_raw("/login", &wrong).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert!(page.text().contains("wrong_credentials") && browser.cookie("qt_session").is_none());
    let right = [
        ("csrf", token.as_str()),
        ("name", "provider"),
        ("password", testkit::PASSWORD),
        ("next", "//evil.example"),
    ];
    let page = browser.post_raw("/login", &right).await;
    assert_eq!((page.status, page.location.as_str()), (StatusCode::SEE_OTHER, "/console"));
    assert!(browser.cookie("qt_session").is_some());
    // A form with another session's token is refused; signing out ends the session.
    assert_eq!(
        browser.post_raw("/logout", &[("csrf", &token)]).await.status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(browser.post("/logout", &[]).await.status, StatusCode::SEE_OTHER);
    assert!(browser.cookie("qt_session").is_none());
    assert_eq!(browser.get("/console").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn the_language_is_asked_once() {
    let house = House::new().await;
    let mut browser = Browser::new(&house);
    assert!(browser.get("/").await.text().contains("<html lang=\"zh-CN\">"));
    assert!(browser.get("/?lang=en").await.text().contains("<html lang=\"en\">"));
    let page = browser.get("/nowhere").await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    assert!(page.text().contains("<html lang=\"en\">") && page.text().contains("not_found"));
}

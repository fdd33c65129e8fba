//! OAuth 2 client credentials through the door: a token opens what its application is granted, within its scope, until it ends or
//! is revoked; nobody else's secret makes one.

use app::sharing;
use axum::body::Body;
use axum::http::Method;
use chrono::TimeDelta;
use model::account::ApplicationSecret;
use model::code::SyncMode;
use model::request::{Period, RequestNew};
use testkit::House;

use crate::client::{Answer, Client};

pub(crate) async fn furnish(house: &House) -> ApplicationSecret {
    let (_, secret) = house.application("令牌应用").await;
    for code in ["renkou", "zhuhu"] {
        house.publish(testkit::person_draft(code)).await;
        let rows = "sfzh,xm,sjh,csrq,region_code\n11010519491231002X,张三丰,13800138000,1949-12-31,330106\n";
        house.collect(code, "p.csv", rows.as_bytes(), SyncMode::Full).await.unwrap();
        let ask = RequestNew {
            entry: code.into(),
            application: secret.application.id.clone(),
            items: vec!["sfzh".into(), "xm".into()],
            scene: "核验".into(),
            legal_basis: "部门职责".into(),
            period: Period::Days { days: 30 },
            calls_per_day: 1000,
            area_range: String::new(),
            row_range: Default::default(),
            by_sql: false,
        };
        let asked = sharing::apply(&house.app, &house.person("consumer").await, ask).await.unwrap();
        for who in ["provider", "authority"] {
            sharing::review(&house.app, &house.person(who).await, &asked.id, true, "")
                .await
                .unwrap();
        }
    }
    secret
}

async fn ask(client: &Client, path: &str, form: &str) -> Answer {
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    client.send_body(Method::POST, path, &headers, Body::from(form.to_owned())).await
}

pub(crate) async fn token(client: &Client, app: &ApplicationSecret, scope: &str) -> String {
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}&scope={scope}",
        app.application.key, app.secret
    );
    let answer = ask(client, "/oauth2/token", &form).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
    assert_eq!(answer.header("cache-control"), "no-store");
    let body = answer.json();
    assert_eq!(
        (body["token_type"].as_str(), body["expires_in"].as_i64()),
        (Some("Bearer"), Some(1800))
    );
    body["access_token"].as_str().unwrap().to_owned()
}

pub(crate) async fn by(client: &Client, token: &str, path: &str) -> Answer {
    client.send(Method::GET, path, &[("authorization", &format!("Bearer {token}"))]).await
}

#[tokio::test]
async fn a_token_opens_what_is_granted_within_its_scope_until_it_ends() {
    let house = House::new().await;
    let app = furnish(&house).await;
    let client = Client::new(&house);
    let whole = token(&client, &app, "").await;
    let narrow = token(&client, &app, "renkou").await;
    for code in ["renkou", "zhuhu"] {
        let answer = by(&client, &whole, &format!("/api/v1/{code}")).await;
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
        assert!(!answer.text.contains("张三丰") && !answer.text.contains("11010519491231002X"));
    }
    assert_eq!(by(&client, &narrow, "/api/v1/renkou").await.status.as_u16(), 200);
    assert_eq!(by(&client, &narrow, "/api/v1/zhuhu").await.refusal(), (403, "no_grant".into()));
    assert_eq!(
        by(&client, &narrow, "/api/v1/zhuhu/changes").await.refusal(),
        (403, "no_grant".into())
    );
    assert_eq!(by(&client, &narrow, "/ledger/v1/data").await.refusal(), (403, "denied".into()));
    let unknown = by(&client, "nothing", "/api/v1/renkou").await;
    assert_eq!(unknown.refusal(), (401, "signature_mismatch".into()));
    // What it can do is told by the way in which it proves itself.
    let hint = unknown.json();
    assert!(hint["hint"].as_str().unwrap().contains("/oauth2/token"), "{hint}");
    assert!(hint["hint_zh"].as_str().unwrap().contains("令牌"), "{hint}");

    // Only its own application takes a token away, at once.
    let (_, other) = house.application("旁人").await;
    for (client_of, left) in [(&other, 200), (&app, 401)] {
        let form = format!(
            "token={whole}&client_id={}&client_secret={}",
            client_of.application.key, client_of.secret
        );
        assert_eq!(ask(&client, "/oauth2/revoke", &form).await.status.as_u16(), 200);
        assert_eq!(by(&client, &whole, "/api/v1/renkou").await.status.as_u16(), left);
    }
    house.clock.forward(TimeDelta::minutes(30));
    assert_eq!(
        by(&client, &narrow, "/api/v1/renkou").await.refusal(),
        (401, "secret_expired".into())
    );
    // A new secret of the application ends its tokens; so does stopping it.
    let last = token(&client, &app, "").await;
    let consumer = house.person("consumer").await;
    app::account::set_application_active(&house.app, &consumer, &app.application.id, false)
        .await
        .unwrap();
    assert_eq!(by(&client, &last, "/api/v1/renkou").await.refusal().0, 401);
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused_in_the_words_of_the_standard() {
    let house = House::new().await;
    let (_, app) = house.application("令牌应用").await;
    house.publish(testkit::person_draft("renkou")).await;
    let client = Client::new(&house);
    let who = format!("client_id={}&client_secret={}", app.application.key, app.secret);
    for (form, status, word) in [
        (String::new(), 400, "invalid_request"),
        (format!("grant_type=password&{who}"), 400, "unsupported_grant_type"),
        ("grant_type=client_credentials".into(), 401, "invalid_client"),
        (format!("grant_type=client_credentials&{who}x"), 401, "invalid_client"),
        (
            "grant_type=client_credentials&client_id=no&client_secret=x".into(),
            401,
            "invalid_client",
        ),
        (format!("grant_type=client_credentials&{who}&scope=a%22b"), 400, "invalid_scope"),
        (format!("grant_type=client_credentials&{who}&scope=nothing"), 400, "invalid_scope"),
        (
            format!("grant_type=client_credentials&{who}&scope=renkou%20nothing"),
            400,
            "invalid_scope",
        ),
    ] {
        let answer = ask(&client, "/oauth2/token", &form).await;
        let body = answer.json();
        assert_eq!(
            (answer.status.as_u16(), body["error"].as_str()),
            (status, Some(word)),
            "{form}"
        );
    }
    assert_eq!(client.get("/oauth2/token").await.refusal(), (405, "method_not_allowed".into()));
}

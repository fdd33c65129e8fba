//! What answers carry: ranges, positions, forms, reasons, the description of what may be called.

use axum::http::Method;
use model::code::SyncMode;
use model::request::{Period, RequestNew};
use serde_json::Value;
use testkit::House;

use crate::client::Client;

const ROWS: &[u8] =
    b"id,name,amount,day\n1,a,1.50,2026-01-01\n2,b,2.25,2026-01-02\n3,c,3.00,2026-01-03\n";

async fn open_house() -> House {
    let house = House::new().await;
    house.publish(testkit::draft("lake_water")).await;
    house.collect("lake_water", "w.csv", ROWS, SyncMode::Full).await.unwrap();
    house
}

#[tokio::test]
async fn pages_tell_where_they_stand() {
    let house = open_house().await;
    let client = Client::new(&house);
    let path = "/api/v1/lake_water?limit=2&order=id";
    let count = [("prefer", "count=exact")];
    let first = client.send(Method::GET, path, &count).await;
    assert_eq!((first.status.as_u16(), first.header("content-range")), (206, "0-1/3"));
    let link = first.header("link");
    let next = link.strip_prefix("<http://gate.test").unwrap().split('>').next().unwrap();
    let second = client.send(Method::GET, next, &count).await;
    assert_eq!(second.header("content-range"), "2-2/3", "{next}");
    assert_eq!(second.json()[0]["id"], 3);
    assert_eq!(second.header("link"), "");
    // A range wants as many rows as it says.
    let ranged = client.send(Method::GET, "/api/v1/lake_water", &[("range", "1-1")]).await;
    assert_eq!(
        (ranged.header("content-range"), ranged.json().as_array().unwrap().len()),
        ("1-1/*", 1)
    );
    // The position says nothing of rows when the number before it was taken away.
    let (head, token) = next.split_once("%7E").unwrap();
    let head = head.trim_end_matches(|c: char| c.is_ascii_digit());
    let bare = client.get(&format!("{head}{token}")).await;
    assert_eq!((bare.status.as_u16(), bare.header("content-range")), (200, "*/*"));
}

#[tokio::test]
async fn the_form_is_chosen_by_weight() {
    let house = open_house().await;
    let client = Client::new(&house);
    for (accept, status, kind) in [
        ("text/csv;q=0.4, application/json;q=0.6", 200, "application/json"),
        ("text/csv, application/json;q=0.6", 200, "text/csv"),
        ("application/json;q=0", 406, "application/json"),
        ("image/png", 406, "application/json"),
        ("application/vnd.pgrst.object+json", 406, "application/json"),
    ] {
        let answer = client.send(Method::GET, "/api/v1/lake_water", &[("accept", accept)]).await;
        assert_eq!(answer.status.as_u16(), status, "{accept}");
        assert!(answer.header("content-type").starts_with(kind), "{accept}");
        if status == 406 {
            assert_eq!(answer.json()["code"], "not_acceptable");
        }
    }
    let table = client.get("/errors").await.json();
    let of = |code: &str| {
        let all = table["errors"].as_array().unwrap();
        all.iter().find(|c| c["code"] == code).cloned().unwrap()
    };
    assert_eq!(
        (&of("not_acceptable")["status"], &of("method_not_allowed")["status"]),
        (&406.into(), &405.into())
    );
    assert!(
        table["errors"]
            .as_array()
            .unwrap()
            .iter()
            .all(|c| c["help"].as_str().is_some_and(|h| !h.is_empty()))
    );
}

/// An application that may make two calls a day: what is shared freely is granted at once.
async fn agreed(house: &House) -> model::account::ApplicationSecret {
    let (_, secret) = house.application("caller").await;
    let consumer = house.person("consumer").await;
    let new = RequestNew {
        entry: "lake_water".into(),
        application: secret.application.id.clone(),
        items: vec!["id".into(), "name".into()],
        scene: "核验".into(),
        legal_basis: "部门职责".into(),
        period: Period::Days { days: 30 },
        calls_per_day: 2,
        area_range: String::new(),
        row_range: Default::default(),
        by_sql: false,
    };
    app::sharing::apply(&house.app, &consumer, new).await.unwrap();
    secret
}

#[tokio::test]
async fn a_quota_is_told_and_ends_at_midnight() {
    let house = open_house().await;
    let client = Client::new(&house);
    let caller = agreed(&house).await;
    for left in ["1", "0"] {
        let answer = client.by(&caller, "/api/v1/lake_water?id=eq.1").await;
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
        assert_eq!(answer.header("x-qt-calls-left"), left);
    }
    let over = client.by(&caller, "/api/v1/lake_water?id=eq.1").await;
    assert_eq!(over.refusal(), (429, "quota_used_up".into()));
    let seconds: i64 = over.header("retry-after").parse().unwrap();
    // The house stands at nine in the morning.
    assert!((14 * 3600..=15 * 3600).contains(&seconds), "{seconds}");
}

/// What an organisation has together is refused at the door to the call, whichever of its applications calls.
#[tokio::test]
async fn a_quota_of_the_organisation_is_exact_at_the_door() {
    use model::dispatch::{Holder, HolderKind, Resource};
    let house = open_house().await;
    let client = Client::new(&house);
    let (first, second) = (agreed(&house).await, agreed(&house).await);
    let authority = house.person("authority").await;
    let team = Holder::new(HolderKind::Org, testkit::CONSUMER_ORG);
    let set = app::dispatch::set(&house.app, &authority, Resource::Calls, &team, Some(3), "核定");
    set.await.unwrap();
    let path = "/api/v1/lake_water?id=eq.1";
    let answer = client.by(&first, path).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-qt-calls-left")), (200, "1"));
    let answer = client.by(&second, path).await;
    // Its own quota leaves one, the organisation's one.
    assert_eq!((answer.status.as_u16(), answer.header("x-qt-calls-left")), (200, "1"));
    let answer = client.by(&first, path).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-qt-calls-left")), (200, "0"));
    let over = client.by(&second, path).await;
    assert_eq!(over.refusal(), (429, "quota_used_up".into()));
    assert!(over.text.contains("organisation's quota of 3"), "{}", over.text);
    assert!(over.header("retry-after").parse::<i64>().unwrap() > 0);
    // Calls that nobody is answerable for are metered by address and go on.
    assert_eq!(client.get(path).await.status.as_u16(), 200);
}

#[tokio::test]
async fn a_description_is_kept_until_the_ledger_changes() {
    let house = open_house().await;
    let client = Client::new(&house);
    let (_, caller) = house.application("caller").await;
    let paths = |answer: &crate::client::Answer| {
        let document = answer.json();
        let paths = document["paths"].as_object().unwrap();
        paths.keys().filter(|p| p.starts_with("/api/")).cloned().collect::<Vec<_>>()
    };
    let first = client.by(&caller, "/openapi.json").await;
    assert_eq!(paths(&first), ["/api/v1/lake_water"]);
    assert_eq!(client.by(&caller, "/openapi.json").await.text, first.text);
    assert_eq!(paths(&client.get("/openapi.json").await), ["/api/v1/lake_water"]);
    house.publish(testkit::draft("sea_water")).await;
    let both = ["/api/v1/lake_water", "/api/v1/sea_water"];
    assert_eq!(paths(&client.by(&caller, "/openapi.json").await), both);
    assert_eq!(paths(&client.get("/openapi.json").await), both);
}

#[tokio::test]
async fn the_description_names_all_that_may_be_sent_and_comes_back() {
    let house = open_house().await;
    let document = Client::new(&house).get("/openapi.json").await.json();
    let operation = &document["paths"]["/api/v1/lake_water"]["get"];
    let resolved: Vec<&Value> = operation["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| match p["$ref"].as_str() {
            Some(to) => document.pointer(to.trim_start_matches('#')).unwrap(),
            None => p,
        })
        .collect();
    let names: Vec<&str> = resolved.iter().map(|p| p["name"].as_str().unwrap()).collect();
    for name in [
        "select",
        "limit",
        "offset",
        "order",
        "after",
        "and",
        "or",
        "not.and",
        "not.or",
        "id",
        "Prefer",
        "Range",
        "X-Qt-Algorithm",
    ] {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    let id = resolved.iter().find(|p| p["name"] == "name").unwrap();
    let pattern = id["schema"]["pattern"].as_str().unwrap();
    assert!(pattern.contains(r"in\.\(") && pattern.contains(r"is\.(null|not_null)"), "{pattern}");
    for (status, header) in [
        ("200", "Content-Range"),
        ("206", "Link"),
        ("200", "X-Qt-Masked"),
        ("200", "X-Qt-Calls-Left"),
        ("429", "Retry-After"),
        ("401", "WWW-Authenticate"),
    ] {
        let to = operation["responses"][status]["headers"][header]["$ref"].as_str().unwrap();
        assert!(document.pointer(to.trim_start_matches('#')).is_some(), "{status} {header}");
    }
}

#[tokio::test]
async fn a_refusal_tells_the_rules_that_decided() {
    let house = open_house().await;
    let client = Client::new(&house);
    let body = client.get("/api/v1/lake_water?nothing=eq.1").await.json();
    assert_eq!(body["code"], "column_not_granted");
    assert!(body["reasons"].is_array() && body["hint"].as_str().unwrap().contains("apply"));
}

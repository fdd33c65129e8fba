//! The older calling convention through the door: who refreshes and calls as its programs do gets rows; wrong, ended and too many
//! are told by the codes those programs know.

use app::account::{self, ConventionSign};
use app::sharing;
use axum::http::Method;
use chrono::TimeDelta;
use guard::convention::sign;
use model::account::ApplicationSecret;
use model::code::SyncMode;
use model::interface::InterfaceState;
use model::request::{Period, RequestNew};
use serde_json::Value;
use testkit::House;

use crate::client::Client;

pub(crate) const KEY: &str = "/gateway/app/refreshTokenByKey.htm";
const SEC: &str = "/gateway/app/refreshTokenBySec.htm";

/// An application with a grant of so many calls a day, and the code of an interface.
pub(crate) async fn furnish(house: &House, calls_per_day: u64) -> (ApplicationSecret, String) {
    let app = &house.app;
    house.publish(testkit::draft("tongji")).await;
    let rows =
        b"id,name,amount,day\n1,a,1.50,2026-01-01\n2,b,2.25,2026-01-02\n3,c,3.00,2026-01-03\n";
    house.collect("tongji", "t.csv", rows, SyncMode::Full).await.unwrap();
    let (_, secret) = house.application("老程序").await;
    let ask = RequestNew {
        entry: "tongji".into(),
        application: secret.application.id.clone(),
        items: vec!["id".into(), "name".into()],
        scene: "统计".into(),
        legal_basis: "部门职责".into(),
        period: Period::Days { days: 30 },
        calls_per_day,
        area_range: String::new(),
        row_range: Default::default(),
        by_sql: false,
    };
    sharing::apply(app, &house.person("consumer").await, ask).await.unwrap();
    let provider = house.person("provider").await;
    let text = "title = \"列表\"\nkind = \"list\"\nentry = \"tongji\"\npage_rows = 2\norder = [\"id\"]\n\
        [[param]]\nname = \"id\"\nitem = \"id\"\n[[return]]\nitem = \"id\"\n[[return]]\nitem = \"name\"\n";
    let made = app::interface::create(app, &provider, text).await.unwrap();
    for state in [InterfaceState::Test, InterfaceState::Published] {
        let to = app::interface::Move { to: state, share: 100, until: String::new() };
        app::interface::step(app, &provider, &made.id, &to).await.unwrap();
    }
    app::account::convention_set(app, &house.person("admin").await, "on").await.unwrap();
    (secret, made.code)
}

pub(crate) fn signed(house: &House, key: &str, secret: &str) -> String {
    let time = house.app.now().timestamp_millis().to_string();
    format!("appKey={key}&requestTime={time}&sign={}", sign(key, secret.as_bytes(), &time))
}

pub(crate) async fn refresh(
    house: &House,
    client: &Client,
    path: &str,
    key: &str,
    secret: &str,
) -> Value {
    let answer = client.get(&format!("{path}?{}", signed(house, key, secret))).await;
    assert_eq!(answer.status.as_u16(), 200);
    answer.json()
}

pub(crate) fn text(value: &Value, name: &str) -> String {
    value["datas"][name].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_program_of_the_older_convention_fetches_rows() {
    let house = House::new().await;
    let (app, code) = furnish(&house, 1000).await;
    let client = Client::new(&house);
    let key = app.application.key.as_str();
    let first = refresh(&house, &client, KEY, key, &app.secret).await;
    assert_eq!((first["code"].as_str(), first["data"].as_str()), (Some("00"), Some("")));
    // The house's clock goes on by a millisecond at each look.
    let now = house.app.now().timestamp_millis();
    for (end, life) in
        [("refreshSecretEndTime", 48 * 3_600_000), ("requestSecretEndTime", 15 * 60_000)]
    {
        let left = first["datas"][end].as_i64().unwrap() - now;
        assert!((life - 50..=life).contains(&left), "{end}: {left}");
    }
    assert!(first["requestId"].is_null() && first["interfaces"].is_null());
    let request = text(&first, "requestSecret");
    let path = format!("/gateway/api/001003001/dataSharing/{code}.htm");

    let answer = client.get(&format!("{path}?{}", signed(&house, key, &request))).await.json();
    assert_eq!(
        (answer["code"].as_str(), answer["dataCount"].as_u64()),
        (Some("00"), Some(2)),
        "{answer}"
    );
    let rows: Value = serde_json::from_str(answer["datas"].as_str().unwrap()).unwrap();
    assert_eq!(rows, serde_json::json!([{ "id": 1, "name": "a" }, { "id": 2, "name": "b" }]));
    // By page, in headers, below `/national/`, and with what it does not know.
    let query =
        format!("{path}?{}&pageNum=2&pageSize=2&additional=x", signed(&house, key, &request));
    let answer = client.get(&query).await.json();
    assert_eq!(
        (
            answer["totalDataCount"].as_u64(),
            answer["totalPage"].as_u64(),
            answer["dataCount"].as_u64()
        ),
        (Some(3), Some(2), Some(1))
    );
    let time = house.app.now().timestamp_millis().to_string();
    let mark = sign(key, request.as_bytes(), &time);
    let headers = [("appKey", key), ("requestTime", time.as_str()), ("sign", mark.as_str())];
    let national = path.replace("/dataSharing", "/national/dataSharing");
    let answer = client.send(Method::POST, &format!("{national}?id=3"), &headers).await.json();
    let rows: Value = serde_json::from_str(answer["datas"].as_str().unwrap()).unwrap();
    assert_eq!(rows, serde_json::json!([{ "id": 3, "name": "c" }]));

    // Somebody else of the same application refreshes: both secrets are good, and both end in their time.
    house.clock.forward(TimeDelta::minutes(5));
    let second = refresh(&house, &client, SEC, key, &text(&first, "refreshSecret")).await;
    assert_eq!(second["code"], "00", "{second}");
    let other = text(&second, "requestSecret");
    assert_ne!(other, request);
    let same = refresh(&house, &client, KEY, key, &app.secret).await;
    assert_eq!(text(&same, "requestSecret"), other, "at the same time: the same");
    for secret in [&request, &other] {
        let answer = client.get(&format!("{path}?{}", signed(&house, key, secret))).await.json();
        assert_eq!(answer["code"], "00");
    }
    house.clock.forward(TimeDelta::minutes(11));
    let answer = client.get(&format!("{path}?{}", signed(&house, key, &request))).await.json();
    assert_eq!(answer["code"], "11", "{answer}");
    let answer = client.get(&format!("{path}?{}", signed(&house, key, &other))).await.json();
    assert_eq!(answer["code"], "00", "{answer}");
}

#[tokio::test]
async fn wrong_ended_and_too_many_are_told_by_their_codes() {
    let house = House::new().await;
    let (app, code) = furnish(&house, 3).await;
    let client = Client::new(&house);
    let key = app.application.key.as_str();
    let path = format!("/gateway/api/330000/dataSharing/{code}.htm");
    for (key, secret) in [(key, "wrong"), ("no-such-key", app.secret.as_str())] {
        assert_eq!(refresh(&house, &client, KEY, key, secret).await["code"], "14");
        assert_eq!(refresh(&house, &client, SEC, key, secret).await["code"], "14");
    }
    assert_eq!(client.get(KEY).await.json()["code"], "14", "nothing is signed");
    let first = refresh(&house, &client, KEY, key, &app.secret).await;
    let secret = text(&first, "requestSecret");
    let ask = async |query: String| client.get(&format!("{path}?{query}")).await.json();
    assert_eq!(
        ask(signed(&house, key, &app.secret)).await["code"],
        "14",
        "the application's own secret signs no call"
    );
    let stale = signed(&house, key, &secret);
    house.clock.forward(TimeDelta::minutes(14));
    assert_eq!(
        ask(stale.clone()).await["code"],
        "00",
        "a call may be repeated: that is its weakness"
    );
    house.clock.forward(TimeDelta::seconds(62));
    assert_eq!(ask(stale).await["code"], "14", "its time is too long ago");
    let again = refresh(&house, &client, KEY, key, &app.secret).await;
    let secret = text(&again, "requestSecret");
    assert_eq!(ask(format!("{}&id=x", signed(&house, key, &secret))).await["code"], "90");
    assert_eq!(ask(signed(&house, key, &secret)).await["code"], "00");
    let over = ask(signed(&house, key, &secret)).await;
    assert_eq!(over["code"], "18", "{over}");
    let unknown = path.replace(&code, "0000000000000000");
    let answer = client.get(&format!("{unknown}?{}", signed(&house, key, &secret))).await.json();
    assert_eq!(answer["code"], "91");

    // Somebody without a grant has secrets, but no rows.
    let (_, stranger) = house.application("无授权").await;
    let theirs = refresh(&house, &client, KEY, &stranger.application.key, &stranger.secret).await;
    let theirs = text(&theirs, "requestSecret");
    let answer = ask(signed(&house, &stranger.application.key, &theirs)).await;
    assert!(answer["datas"].is_null() || answer["code"] == "00", "{answer}");

    // A renewed secret ends what was given out for the old one.
    let consumer = house.person("consumer").await;
    app::account::renew_secret(&house.app, &consumer, &app.application.id).await.unwrap();
    assert_eq!(ask(signed(&house, key, &secret)).await["code"], "14");
    // Switched off, it is not there.
    app::account::convention_set(&house.app, &house.person("admin").await, "off").await.unwrap();
    assert_eq!(client.get(KEY).await.refusal(), (404, "not_found".into()));
    let denied = app::account::convention_set(&house.app, &consumer, "on").await.unwrap_err();
    assert_eq!(denied.code(), model::Code::Denied);
}

/// The key is no secret: who knows it alone uses up none of the application's calls, from however many addresses. Right calls are
/// within their pace all the same.
#[tokio::test]
async fn who_knows_the_key_alone_uses_up_no_calls() {
    let house = House::new().await;
    let (owner, _) = furnish(&house, 1000).await;
    let client = Client::new(&house);
    let key = owner.application.key.as_str();
    let first = refresh(&house, &client, KEY, key, &owner.secret).await;
    let (refreshing, request) = (text(&first, "refreshSecret"), text(&first, "requestSecret"));
    // One moment, so that no pace recovers meanwhile.
    house.clock.forward(TimeDelta::seconds(1));
    let op = house.nobody();
    let time = op.at.timestamp_millis().to_string();
    let made = |secret: &str| sign(key, secret.as_bytes(), &time);
    let call = async |mark: &str| {
        let sign = ConventionSign { key, time: &time, sign: mark };
        account::convention_call(&house.app, &op, &sign).await.map(drop)
    };
    let wrong = made("guessed");
    let most = house.app.rules.interface.convention.calls_per_second;
    for _ in 0..2 * most {
        assert_eq!(call(&wrong).await.unwrap_err().code(), model::Code::SignatureMismatch);
    }
    let right = made(&request);
    call(&right).await.unwrap();
    for secret in [&owner.secret, &refreshing] {
        let mark = made(secret);
        let sign = ConventionSign { key, time: &time, sign: &mark };
        let given = match *secret == owner.secret {
            true => account::convention_by_key(&house.app, &op, &sign).await,
            false => account::convention_by_refresh(&house.app, &op, &sign).await,
        };
        given.unwrap();
    }
    let mut passed = 0;
    for _ in 0..2 * most {
        match call(&right).await {
            Ok(()) => passed += 1,
            Err(refused) => assert_eq!(refused.code(), model::Code::RateLimited),
        }
    }
    assert_eq!(passed, most - 3, "three of the second were taken");
}

//! Proxied interfaces against a real HTTP server: what was mapped and granted leaves, masked and filtered as the grant says, however
//! the service answers; it is asked again only where that is safe, left alone while it fails, and reached only where the operator allows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use app::interface::{self, Answer, Body, Move};
use app::sharing;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::TimeDelta;
use model::interface::{Arguments, Interface, InterfaceState};
use model::request::{Period, RequestNew};
use model::value::Value;
use model::{Code, Op};
use parking_lot::Mutex;
use serde_json::json;
use testkit::House;

/// A department's service. It always answers more than is asked for.
#[derive(Default)]
struct Service {
    calls: AtomicU32,
    /// How the next calls are answered: `ok`, a status, or a way of going wrong.
    mood: Mutex<Vec<&'static str>>,
    seen: Mutex<Vec<String>>,
}

fn people() -> serde_json::Value {
    json!({ "code": 0, "data": { "list": [
        { "id": "11010519491231002X", "who": { "name": "张三丰" }, "tel": "13800138000", "born": "1949-12-31", "area": "330106", "password": "secret" },
        { "id": "440524188001010014", "who": { "name": "李四" }, "tel": "13900139000", "born": "1880-01-01", "area": "340200" },
    ]}})
}

const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Reply><Code>0</Code><List>\
    <Person id=\"11010519491231002X\"><Name>张三丰</Name><Born>1949-12-31</Born><Area>330106</Area><Password>secret</Password></Person>\
    <Person id=\"440524188001010014\"><Name>李四</Name><Born>1880-01-01</Born><Area>340200</Area></Person></List></Reply>";

async fn answer(service: &Service) -> Result<(), axum::response::Response> {
    use axum::response::IntoResponse as _;
    service.calls.fetch_add(1, Ordering::SeqCst);
    let mood = {
        let mut moods = service.mood.lock();
        if moods.len() > 1 { moods.remove(0) } else { moods.first().copied().unwrap_or("ok") }
    };
    let status = |code: u16| StatusCode::from_u16(code).unwrap();
    Err(match mood {
        "ok" => return Ok(()),
        "slow" => {
            tokio::time::sleep(std::time::Duration::from_secs(20)).await;
            return Ok(());
        }
        "huge" => "x".repeat(2 << 20).into_response(),
        "malformed" => "{\"data\": {\"list\": [".into_response(),
        "other" => "{\"message\": \"张三丰 13800138000\"}".into_response(),
        "untyped" => {
            Json(json!({ "data": { "list": [{ "id": "11010519491231002X", "born": "gestern" }] } }))
                .into_response()
        }
        "redirect" => (status(302), [("location", "http://169.254.169.254/")]).into_response(),
        code => (status(code.parse().unwrap()), "张三丰 went wrong").into_response(),
    })
}

type Outcome = Result<axum::response::Response, axum::response::Response>;

async fn by_path(
    State(service): State<Arc<Service>>,
    Path(id): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Outcome {
    use axum::response::IntoResponse as _;
    let key = headers.get("authorization").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let at = headers.get("x-at").and_then(|v| v.to_str().ok()).unwrap_or_default();
    service.seen.lock().push(format!("{id} {query:?} {key} {at}"));
    answer(&service).await?;
    Ok(Json(people()).into_response())
}

async fn by_body(State(service): State<Arc<Service>>, body: String) -> Outcome {
    use axum::response::IntoResponse as _;
    service.seen.lock().push(body);
    answer(&service).await?;
    Ok(([("content-type", "application/xml")], XML).into_response())
}

async fn serve() -> (Arc<Service>, String) {
    let service = Arc::new(Service::default());
    let router = Router::new()
        .route("/people/{id}", get(by_path))
        .route("/query", post(by_body))
        .with_state(Arc::clone(&service));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (service, url)
}

fn by_json(url: &str, more: &str) -> String {
    format!(
        "title = \"人员\"\nkind = \"proxied\"\nentry = \"renkou\"\n\
         [[param]]\nname = \"id\"\nitem = \"sfzh\"\nrequired = true\n\
         [[return]]\nitem = \"xm\"\nname = \"name\"\n[[return]]\nitem = \"sjh\"\n[[return]]\nitem = \"csrq\"\n\
         [upstream]\nurl = \"{url}/people/{{id}}\"\nrows_at = \"/data/list\"\n{more}\n\
         [upstream.headers]\nAuthorization = \"Bearer {{secret:service}}\"\nX-At = \"gate\"\n\
         [[upstream.send]]\nparam = \"id\"\ninto = \"path\"\n\
         [[upstream.take]]\nitem = \"sfzh\"\nfrom = \"id\"\n[[upstream.take]]\nitem = \"xm\"\nfrom = \"who.name\"\n\
         [[upstream.take]]\nitem = \"sjh\"\nfrom = \"tel\"\n[[upstream.take]]\nitem = \"csrq\"\nfrom = \"born\"\n\
         [[upstream.take]]\nitem = \"region_code\"\nfrom = \"area\"\n"
    )
}

fn by_xml(url: &str) -> String {
    format!(
        "title = \"出生日期\"\nkind = \"proxied\"\nentry = \"renkou\"\n\
         [[param]]\nname = \"since\"\nitem = \"csrq\"\nmatch = \"from\"\n\
         [upstream]\nurl = \"{url}/query\"\nmethod = \"POST\"\nform = \"xml\"\nrows_at = \"Reply/List/Person\"\n\
         [[upstream.send]]\nparam = \"since\"\ninto = \"json\"\nname = \"filter.since\"\n\
         [[upstream.take]]\nitem = \"sfzh\"\nfrom = \"@id\"\n[[upstream.take]]\nitem = \"xm\"\nfrom = \"Name\"\n\
         [[upstream.take]]\nitem = \"csrq\"\nfrom = \"Born\"\n[[upstream.take]]\nitem = \"region_code\"\nfrom = \"Area\"\n"
    )
}

async fn granted(house: &House, application: &str, items: &[&str], area: &str) {
    let consumer = house.person("consumer").await;
    let wanted = RequestNew {
        entry: "renkou".into(),
        application: application.into(),
        items: items.iter().map(|i| (*i).to_owned()).collect(),
        scene: "核验".into(),
        legal_basis: "部门职责".into(),
        period: Period::Days { days: 30 },
        calls_per_day: 10_000,
        area_range: area.into(),
        row_range: Default::default(),
        by_sql: false,
    };
    let request = sharing::apply(&house.app, &consumer, wanted).await.unwrap();
    for who in ["provider", "authority"] {
        let op = house.person(who).await;
        sharing::review(&house.app, &op, &request.id, true, "").await.unwrap();
    }
}

async fn published(house: &House, text: &str) -> Interface {
    let (app, provider) = (&house.app, house.person("provider").await);
    let mut made = interface::create(app, &provider, text).await.unwrap();
    for to in [InterfaceState::Test, InterfaceState::Published] {
        let to = Move { to, share: 100, until: String::new() };
        made = interface::step(app, &provider, &made.id, &to).await.unwrap();
    }
    made
}

async fn call(
    house: &House,
    caller: &Op,
    code: &str,
    pairs: &[(&str, &str)],
) -> model::Result<Answer> {
    house.clock.forward(TimeDelta::seconds(1));
    let op = house.app.op(caller.actor.clone(), "127.0.0.1");
    let mut given = Arguments::default();
    pairs.iter().for_each(|(name, value)| given.add(name, *value));
    interface::call(&house.app, &op, code, given).await
}

fn texts(answer: &Answer) -> Vec<String> {
    let Body::Rows(page) = &answer.body else { panic!("{:?}", answer.body) };
    let text = |v: &Value| v.to_text().unwrap_or_else(|| "-".into());
    let rows = page.rows.iter().map(|row| row.iter().map(text).collect::<Vec<_>>().join("|"));
    std::iter::once(page.columns.join("|")).chain(rows).collect()
}

const KEY: [(&str, &str); 1] = [("id", "11010519491231002X")];

async fn started() -> (House, Arc<Service>, String, Op) {
    let house = House::new().await;
    let (service, url) = serve().await;
    let provider = house.person("provider").await;
    app::pipeline::secret_set(&house.app, &provider, "service", "s3cret").await.unwrap();
    house.publish(testkit::person_draft("renkou")).await;
    let (caller, secret) = house.application("代理应用").await;
    granted(&house, &secret.application.id, &["sfzh", "xm", "csrq"], "330000").await;
    (house, service, url, caller)
}

/// Mapped, granted, asked for: nothing else leaves, whatever the service answers beside it.
#[tokio::test]
async fn rows_pass_through_the_grant() {
    let (house, service, url, caller) = started().await;
    let made = published(&house, &by_json(&url, "")).await;
    let answer = call(&house, &caller, &made.code, &KEY).await.unwrap();
    // The phone was not granted; the second person was not asked for and lives outside the area.
    assert_eq!(texts(&answer), ["name|csrq", "张**|1949"]);
    assert_eq!(
        (answer.masked.as_slice(), answer.age),
        (["name".to_owned(), "csrq".to_owned()].as_slice(), Some(0))
    );
    assert_eq!(service.seen.lock().pop().unwrap(), "11010519491231002X [] Bearer s3cret gate");
    // Whatever is put into the path stays one part of it.
    let odd = call(&house, &caller, &made.code, &[("id", "../x?y=1#z/%2e")]).await.unwrap();
    assert_eq!(texts(&odd).len(), 1);
    assert!(service.seen.lock().pop().unwrap().starts_with("../x?y=1#z/%2e []"));
    for dots in [".", ".."] {
        let e = call(&house, &caller, &made.code, &[("id", dots)]).await.unwrap_err();
        assert_eq!(e.code(), Code::InvalidInput);
    }
    // Outside the agreed area: nothing.
    let outside = call(&house, &caller, &made.code, &[("id", "440524188001010014")]).await.unwrap();
    assert_eq!(texts(&outside), ["name|csrq"]);
    // Another application's grant shows what it holds.
    let (second, secret) = house.application("另一应用").await;
    let (stranger, _) = house.application("无授权应用").await;
    granted(&house, &secret.application.id, &["sfzh", "sjh"], "").await;
    let answer = call(&house, &second, &made.code, &KEY).await.unwrap();
    assert_eq!(texts(&answer)[0], "sjh");
    assert!(texts(&answer)[1].starts_with("138") && texts(&answer)[1].contains('*'));
    let before = service.calls.load(Ordering::SeqCst);
    assert_eq!(call(&house, &stranger, &made.code, &KEY).await.unwrap_err().code(), Code::NoGrant);
    assert_eq!(
        service.calls.load(Ordering::SeqCst),
        before,
        "nobody asks for somebody without a grant"
    );

    // XML, by a JSON body, not ordered by key: what is masked cannot be asked about by range.
    let xml = published(&house, &by_xml(&url)).await;
    let answer = call(&house, &caller, &xml.code, &[]).await.unwrap();
    assert_eq!(texts(&answer), ["sfzh|xm|csrq", "110105********002X|张**|1949"]);
    assert_eq!(service.seen.lock().pop().unwrap(), "{}");
    let e = call(&house, &caller, &xml.code, &[("since", "1900-01-01")]).await.unwrap_err();
    assert_eq!(e.code(), Code::ColumnNotGranted);

    let auditor = house.person("auditor").await;
    let filter = model::audit::AuditFilter {
        action: Some("rows.query".into()),
        limit: 100,
        ..Default::default()
    };
    let records = app::audit::list(&house.app, &auditor, &filter).await.unwrap();
    let record = records.iter().find(|r| r.event.rows == 1 && r.event.result == "ok").unwrap();
    assert!(record.event.scope.contains("proxied"), "{record:?}");
    let all = serde_json::to_string(&records).unwrap();
    assert!(!all.contains("s3cret") && !all.contains("张三丰"));
}

/// Slow, huge, failing, not to be understood: one clear refusal each, without a word of what the service said.
#[tokio::test]
async fn a_service_that_goes_wrong_is_told_of_and_left_alone() {
    let (house, service, url, caller) = started().await;
    for mood in ["slow", "huge", "malformed", "other", "untyped", "redirect", "500", "401", "429"] {
        let made = published(&house, &by_json(&url, "timeout_ms = 300\nretries = 0")).await;
        *service.mood.lock() = vec![mood];
        let e = call(&house, &caller, &made.code, &KEY).await.unwrap_err();
        assert_eq!(e.code(), Code::SourceUnavailable, "{mood}: {e:?}");
        let told = format!("{} {} {:?}", e.zh(), e.en(), e.fields());
        for leak in ["张三丰", "138001", "gestern", "s3cret", "127.0.0.1"] {
            assert!(!told.contains(leak), "{mood}: {told}");
        }
    }
    // 404 to an address that names the record: there is none.
    let made = published(&house, &by_json(&url, "")).await;
    *service.mood.lock() = vec!["404"];
    assert_eq!(texts(&call(&house, &caller, &made.code, &KEY).await.unwrap()).len(), 1);

    // Asked again where that is safe.
    let count = || service.calls.swap(0, Ordering::SeqCst);
    count();
    *service.mood.lock() = vec!["503", "ok"];
    assert_eq!(texts(&call(&house, &caller, &made.code, &KEY).await.unwrap()).len(), 2);
    assert_eq!(count(), 2);
    *service.mood.lock() = vec!["500", "ok"];
    assert!(call(&house, &caller, &made.code, &KEY).await.is_err());
    assert_eq!(count(), 1);
    let xml = published(&house, &by_xml(&url)).await;
    *service.mood.lock() = vec!["503", "ok"];
    assert!(call(&house, &caller, &xml.code, &[]).await.is_err());
    assert_eq!(count(), 1, "a POST that is not declared idempotent is asked once");

    // The breaker: left alone after failures in a row, tried by one call after a while.
    *service.mood.lock() = vec!["500"];
    let failures = house.app.rules.interface.breaker.failures;
    let made = published(&house, &by_json(&url, "retries = 0")).await;
    for _ in 0..failures {
        call(&house, &caller, &made.code, &KEY).await.unwrap_err();
    }
    assert_eq!(count(), failures);
    let e = call(&house, &caller, &made.code, &KEY).await.unwrap_err();
    assert_eq!(
        (e.code(), e.reasons()),
        (Code::SourceUnavailable, ["upstream.breaker".to_owned()].as_slice())
    );
    // Message and header (`Retry-After`) are one number.
    let wait = e.seconds().unwrap();
    assert!(e.zh().contains(&format!("约 {wait} 秒后")), "{e:?}");
    assert_eq!(count(), 0);
    let provider = house.person("provider").await;
    let state = interface::standing(&house.app, &provider, &made).unwrap().state;
    assert_eq!(state.as_str(), "open");
    house.clock.forward(TimeDelta::milliseconds(house.app.rules.interface.breaker.open_ms));
    *service.mood.lock() = vec!["ok"];
    assert_eq!(texts(&call(&house, &caller, &made.code, &KEY).await.unwrap()).len(), 2);
    let state =
        interface::standing(&house.app, &house.person("provider").await, &made).unwrap().state;
    assert_eq!(state.as_str(), "closed");
    // A failure of the service is not the caller's call.
    let left = call(&house, &caller, &made.code, &KEY).await.unwrap().calls_left.unwrap();
    *service.mood.lock() = vec!["500"];
    call(&house, &caller, &made.code, &KEY).await.unwrap_err();
    *service.mood.lock() = vec!["ok"];
    let now = call(&house, &caller, &made.code, &KEY).await.unwrap().calls_left.unwrap();
    assert_eq!(now, left - 1);
}

/// An answer is given again within its declared time, to the same grant and question only, and says how old it is.
#[tokio::test]
async fn kept_answers_tell_their_age() {
    let (house, service, url, caller) = started().await;
    let made = published(&house, &by_json(&url, "cache_seconds = 60")).await;
    let first = call(&house, &caller, &made.code, &KEY).await.unwrap();
    let again = call(&house, &caller, &made.code, &KEY).await.unwrap();
    assert_eq!((first.age, again.age), (Some(0), Some(1)));
    assert_eq!(texts(&first), texts(&again));
    assert_eq!(
        again.calls_left.unwrap() + 1,
        first.calls_left.unwrap(),
        "a kept answer is a call like any other"
    );
    assert_eq!(service.calls.load(Ordering::SeqCst), 1);
    call(&house, &caller, &made.code, &[("id", "440524188001010014")]).await.unwrap();
    let (second, secret) = house.application("另一应用").await;
    granted(&house, &secret.application.id, &["sfzh", "sjh"], "").await;
    assert_eq!(texts(&call(&house, &second, &made.code, &KEY).await.unwrap())[0], "sjh");
    assert_eq!(service.calls.load(Ordering::SeqCst), 3);
    house.clock.forward(TimeDelta::seconds(60));
    assert_eq!(call(&house, &caller, &made.code, &KEY).await.unwrap().age, Some(0));
    assert_eq!(service.calls.load(Ordering::SeqCst), 4);
}

/// Only where the operator allows, and only with secrets that are there.
#[tokio::test]
async fn a_service_is_reached_only_where_the_operator_allows() {
    let (house, _service, url, caller) = started().await;
    for place in ["http://169.254.169.254", "http://10.1.2.3:80", "http://[::ffff:169.254.169.254]"]
    {
        let made = published(&house, &by_json(place, "")).await;
        let e = call(&house, &caller, &made.code, &KEY).await.unwrap_err();
        assert_eq!(
            (e.code(), e.reasons()),
            (Code::RuleBroken, ["outgoing.not-allowed".to_owned()].as_slice()),
            "{place}"
        );
    }
    let provider = house.person("provider").await;
    let missing = by_json(&url, "").replace("secret:service", "secret:nothing");
    let e = interface::create(&house.app, &provider, &missing).await.unwrap_err();
    assert!(e.zh().contains("nothing"), "{e:?}");
    let unknown = by_json(&url, "")
        .replace("item = \"sjh\"\nfrom", "item = \"nix\"\nfrom")
        .replace("[[return]]\nitem = \"sjh\"\n", "");
    let e = interface::create(&house.app, &provider, &unknown).await.unwrap_err();
    assert_eq!(e.fields()[0].field, "upstream.take");
    // A grant that decides by an item which the service does not bring releases nothing.
    let blind = by_json(&url, "")
        .replace("[[upstream.take]]\nitem = \"region_code\"\nfrom = \"area\"\n", "");
    let made = published(&house, &blind).await;
    let e = call(&house, &caller, &made.code, &KEY).await.unwrap_err();
    assert_eq!(
        (e.code(), e.reasons()),
        (Code::RuleBroken, ["upstream.row-filter".to_owned()].as_slice())
    );
}

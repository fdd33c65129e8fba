//! Abuse: what is replayed, expired, wrongly signed, too large, another's, or valid calls changed at random. Never a 500, never a
//! panic, never an item or a row more than granted, and the door still answers afterwards.

use app::interface::Move;
use app::sharing;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use chrono::TimeDelta;
use guard::signature::{
    Algorithm, HEADER_KEY, HEADER_NONCE, HEADER_SIGNATURE, HEADER_TIMESTAMP, SignedRequest,
};
use model::account::ApplicationSecret;
use model::code::SyncMode;
use model::interface::InterfaceState;
use model::request::{Period, RequestNew};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use testkit::House;

use crate::client::{Answer, Client};

/// Zhang is within the area that is granted, Li is not. Telephone and birth date are granted to nobody.
const PEOPLE: &str = "sfzh,xm,sjh,csrq,region_code\n\
    11010519491231002X,张三丰,13800138000,1949-12-31,330106\n\
    440524188001010014,李四光,13900139000,1880-01-01,330200\n";
/// What no answer may hold: the name is masked for all.
const HIDDEN: [&str; 6] =
    ["张三丰", "李四", "13800138000", "13900139000", "1949-12-31", "440524188001010014"];
/// Rows of an answer of the list at most.
const MOST: usize = 3;

struct Scene {
    house: House,
    client: Client,
    caller: ApplicationSecret,
    stranger: ApplicationSecret,
    /// Codes of the interfaces: a query by key, a list.
    person: String,
    list: String,
}

async fn published(house: &House, text: &str) -> String {
    let provider = house.person("provider").await;
    let made = app::interface::create(&house.app, &provider, text).await.unwrap();
    for state in [InterfaceState::Test, InterfaceState::Published] {
        let to = Move { to: state, share: 100, until: String::new() };
        app::interface::step(&house.app, &provider, &made.id, &to).await.unwrap();
    }
    made.code
}

async fn scene(calls_per_day: u64) -> Scene {
    let house = House::new().await;
    let app = &house.app;
    house.publish(testkit::person_draft("renkou")).await;
    house.collect("renkou", "p.csv", PEOPLE.as_bytes(), SyncMode::Full).await.unwrap();
    house.publish(testkit::draft("tongji")).await;
    let rows: String = (1..=9).map(|n| format!("{n},a{n},1.50,2026-01-0{n}\n")).collect();
    let rows = format!("id,name,amount,day\n{rows}");
    house.collect("tongji", "t.csv", rows.as_bytes(), SyncMode::Full).await.unwrap();
    let (_, caller) = house.application("调用方").await;
    let (_, stranger) = house.application("另一应用").await;
    for (entry, items, area) in
        [("renkou", ["sfzh", "xm"], "330106"), ("tongji", ["id", "name"], "")]
    {
        let ask = RequestNew {
            entry: entry.into(),
            application: caller.application.id.clone(),
            items: items.map(str::to_owned).to_vec(),
            scene: "核验".into(),
            legal_basis: "部门职责".into(),
            period: Period::Days { days: 30 },
            calls_per_day,
            area_range: area.into(),
            row_range: Default::default(),
            by_sql: false,
        };
        let consumer = house.person("consumer").await;
        let asked = sharing::apply(app, &consumer, ask).await.unwrap();
        if entry == "renkou" {
            for who in ["provider", "authority"] {
                let op = house.person(who).await;
                sharing::review(app, &op, &asked.id, true, "").await.unwrap();
            }
        }
    }
    let person = published(
        &house,
        "title = \"查询\"\nkind = \"query\"\nentry = \"renkou\"\n\
         [[param]]\nname = \"idcard\"\nitem = \"sfzh\"\nrequired = true\n\
         [[return]]\nitem = \"xm\"\n[[return]]\nitem = \"sjh\"\n[[return]]\nitem = \"csrq\"\n",
    )
    .await;
    let list = published(
        &house,
        "title = \"列表\"\nkind = \"list\"\nentry = \"tongji\"\npage_rows = 2\nmost_rows = 3\norder = [\"id\"]\n\
         [[param]]\nname = \"id\"\nitem = \"id\"\n[[return]]\nitem = \"id\"\n[[return]]\nitem = \"name\"\n",
    )
    .await;
    app::account::convention_set(app, &house.person("admin").await, "on").await.unwrap();
    let client = Client::new(&house);
    Scene { client, house, caller, stranger, person, list }
}

/// A call before it is signed and sent.
#[derive(Clone, Debug)]
struct Call {
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    /// Signed by the caller's secret.
    signs: bool,
}

impl Call {
    fn get(path: &str, query: &str) -> Self {
        Self {
            method: "GET".into(),
            path: path.into(),
            query: query.into(),
            headers: Vec::new(),
            body: Vec::new(),
            signs: true,
        }
    }

    fn post(path: &str, kind: &str, body: &str) -> Self {
        Self {
            method: "POST".into(),
            headers: vec![("content-type".into(), kind.into())],
            body: body.into(),
            ..Self::get(path, "")
        }
    }

    fn unsigned(self) -> Self {
        Self { signs: false, ..self }
    }

    fn sign(&mut self, scene: &Scene, nonce: &str) {
        let algorithm = Algorithm::HmacSha256;
        let body_hash = algorithm.body_hash(if self.method == "POST" { &self.body } else { b"" });
        let timestamp = scene.house.app.now().timestamp_millis();
        let signed = SignedRequest {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            body_hash: &body_hash,
            timestamp,
            nonce,
        };
        let signature = signed.sign(algorithm, scene.caller.secret.as_bytes());
        for (name, value) in [
            (HEADER_KEY, scene.caller.application.key.clone()),
            (HEADER_TIMESTAMP, timestamp.to_string()),
            (HEADER_NONCE, nonce.to_owned()),
            (HEADER_SIGNATURE, signature),
        ] {
            self.headers.push((name.to_owned(), value.into_bytes()));
        }
    }

    /// As a request; `None` where HTTP itself knows no such call.
    fn request(&self) -> Option<Request<Body>> {
        let uri = match self.query.as_str() {
            "" => self.path.clone(),
            query => format!("{}?{query}", self.path),
        };
        let mut request = Request::builder()
            .method(Method::from_bytes(self.method.as_bytes()).ok()?)
            .uri(uri.as_bytes())
            .body(Body::from(self.body.clone()))
            .ok()?;
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            request.headers_mut().append(name, HeaderValue::from_bytes(value).ok()?);
        }
        Some(request)
    }
}

/// What holds for every answer, whatever was asked.
fn harmless(call: &Call, answer: &Answer) {
    let told = || format!("{call:?}\n→ {} {}", answer.status, answer.text);
    assert!(answer.status.as_u16() < 500, "{}", told());
    for hidden in HIDDEN {
        assert!(!answer.text.contains(hidden), "{hidden}: {}", told());
    }
    let Ok(json) = serde_json::from_str::<serde_json::Value>(&answer.text) else { return };
    // The older convention always answers 200; 99 is its word for a failure of ours.
    if call.path.starts_with("/gateway/") {
        assert!(json["code"] != "99", "{}", told());
    }
    let rows = match &json["datas"] {
        serde_json::Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
        _ => json["rows"].clone(),
    };
    if let Some(rows) = rows.as_array() {
        assert!(rows.len() <= MOST, "{}", told());
        for row in rows.iter().filter_map(|r| r.as_object()) {
            let granted =
                |k: &String| ["id", "name", "xm", "verdict", "result"].contains(&k.as_str());
            assert!(row.keys().all(granted), "{}", told());
        }
    }
    if let Some(rows) = json.as_array() {
        // Freely open rows may be read by everybody, whole; of persons only what is granted.
        for row in rows.iter().filter_map(|r| r.as_object()) {
            assert!(!row.contains_key("sjh") && !row.contains_key("csrq"), "{}", told());
        }
    }
}

impl Scene {
    async fn send(&self, call: &Call) -> Option<Answer> {
        let answer = self.client.send_request(call.request()?).await;
        harmless(call, &answer);
        Some(answer)
    }

    async fn signed(&self, mut call: Call, nonce: &str) -> Answer {
        call.sign(self, nonce);
        self.send(&call).await.unwrap()
    }

    /// Whoever calls as agreed is answered.
    async fn answers(&self, nonce: &str) {
        self.house.clock.forward(TimeDelta::seconds(2));
        let path = format!("/api/interface/{}", self.person);
        let answer = self.signed(Call::get(&path, "idcard=11010519491231002X"), nonce).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert!(answer.text.contains('张'), "{}", answer.text);
    }
}

#[tokio::test]
async fn what_is_replayed_expired_or_another_s_gets_nothing() {
    let scene = scene(1000).await;
    let mut call = Call::get("/api/v1/renkou", "sfzh=eq.11010519491231002X");
    call.sign(&scene, "abuse-nonce-00000001");
    let first = scene.send(&call).await.unwrap();
    assert!(first.status == StatusCode::OK && first.text.contains('张'), "{}", first.text);
    let again = scene.send(&call).await.unwrap();
    assert_eq!(again.refusal(), (401, "replayed".into()));
    // The same signature for another resource, query, method or body; or under another's key.
    for change in ["path", "query", "method", "body", "key"] {
        let mut call =
            Call::post(&format!("/api/interface/{}", scene.list), "application/json", "{}");
        call.sign(&scene, &format!("abuse-nonce-of-{change}"));
        match change {
            "path" => call.path = format!("/api/interface/{}", scene.person),
            "query" => call.query = "id=1".into(),
            "method" => (call.method, call.body) = ("GET".into(), Vec::new()),
            "body" => call.body = b"{\"id\": 2}".to_vec(),
            _ => call.headers.iter_mut().for_each(|(name, value)| {
                if name == HEADER_KEY {
                    *value = scene.stranger.application.key.clone().into_bytes();
                }
            }),
        }
        scene.house.clock.forward(TimeDelta::seconds(1));
        let answer = scene.send(&call).await.unwrap();
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{change}: {}", answer.text);
    }
    let mut late = Call::get("/api/v1/renkou", "");
    late.sign(&scene, "abuse-nonce-of-late");
    scene.house.clock.forward(TimeDelta::hours(1));
    assert_eq!(scene.send(&late).await.unwrap().refusal().1, "timestamp_out_of_window");
    // Another application knows of the resource, and gets nothing of it.
    for path in ["/api/v1/renkou".to_owned(), format!("/api/interface/{}", scene.person)] {
        let path = format!("{path}?idcard=11010519491231002X");
        let answer = scene.client.by(&scene.stranger, &path).await;
        assert!(matches!(answer.status.as_u16(), 400 | 403 | 404), "{path}: {}", answer.text);
        assert!(HIDDEN.iter().all(|h| !answer.text.contains(h)), "{}", answer.text);
    }
    scene.answers("abuse-nonce-at-the-end").await;
}

#[tokio::test]
async fn what_is_too_large_or_holds_sql_is_harmless() {
    let scene = scene(1000).await;
    let person = format!("/api/interface/{}", scene.person);
    let long = "1".repeat(60_000);
    let mut n = 0;
    for (call, status) in [
        (Call::post(&person, "application/json", &"x".repeat(2 << 20)), None),
        (Call::post(&person, "application/json", &"[".repeat(100_000)), Some(400)),
        (Call::post(&person, "application/json", "{\"idcard\": {\"a\": [1]}}"), None),
        (Call::get(&person, &format!("idcard={long}")), None),
        (Call::get("/api/v1/renkou", &format!("sfzh=eq.{long}")), None),
        (Call::get("/api/v1/renkou", &format!("sfzh=in.({})", "1,".repeat(20_000))), None),
        (Call::get("/api/v1/renkou", &"sfzh=eq.1&".repeat(2_000)), None),
        (
            Call::get(
                "/api/v1/renkou",
                &format!("and={}{}", "(not.and".repeat(500), ")".repeat(500)),
            ),
            None,
        ),
        (Call::get("/api/v1/renkou", "limit=99999999999999999999"), None),
        (Call::get("/api/v1/renkou", "select=sjh"), None),
        (Call::get("/api/v1/renkou", "sjh=eq.13800138000"), None),
        (Call::get("/api/v1/renkou", "order=sjh.desc"), None),
        (Call::get(&format!("/api/v1/{}", "a".repeat(30_000)), ""), Some(404)),
        (Call::get(&format!("/api/interface/{}", "a".repeat(30_000)), ""), Some(404)),
    ] {
        n += 1;
        scene.house.clock.forward(TimeDelta::seconds(1));
        let answer = scene.signed(call.clone(), &format!("abuse-large-nonce-{n}")).await;
        if let Some(status) = status {
            assert_eq!(answer.status.as_u16(), status, "{n}: {}", answer.text);
        }
    }
    for sql in [
        "%27%20OR%20%271%27%3D%271",
        "1%27%3B%20DROP%20TABLE%20audit%3B--",
        "%25",
        "_%25",
        "%22%20UNION%20SELECT%20sjh%20FROM%20renkou--",
        "%00",
        "$1",
    ] {
        for call in [
            Call::get(&person, &format!("idcard={sql}")),
            Call::get("/api/v1/renkou", &format!("sfzh=eq.{sql}")),
            Call::get("/api/v1/renkou", &format!("sfzh=like.{sql}")),
        ] {
            n += 1;
            scene.house.clock.forward(TimeDelta::seconds(1));
            let answer = scene.signed(call.clone(), &format!("abuse-sql-nonce-{n}")).await;
            let wild = call.query.contains("like.") && sql.contains("%25");
            let rows = answer.text.matches("11010519491231002X").count();
            assert!(rows == 0 || wild, "{call:?}: {}", answer.text);
        }
    }
    scene.answers("abuse-nonce-at-the-end").await;
}

/// Whoever is over its quota gets nothing more, whichever way it calls.
#[tokio::test]
async fn over_quota_is_over_by_every_way() {
    let scene = scene(4).await;
    let ways = [
        Call::get("/api/v1/renkou", "sfzh=eq.11010519491231002X"),
        Call::get(&format!("/api/interface/{}", scene.person), "idcard=11010519491231002X"),
    ];
    let mut answered = 0;
    for n in 0..20 {
        scene.house.clock.forward(TimeDelta::seconds(1));
        let answer = scene.signed(ways[n % 2].clone(), &format!("abuse-quota-nonce-{n}")).await;
        match answer.status.as_u16() {
            200 => answered += 1,
            status => assert_eq!((status, answer.refusal().1.as_str()), (429, "quota_used_up")),
        }
    }
    assert_eq!(answered, 4);
}

/// Texts that have broken programs before.
const NASTY: [&str; 30] = [
    "'",
    "\"",
    "' OR 1=1 --",
    "%00",
    "%ff%fe",
    "%",
    "%2",
    "..%2f..%2f",
    "{}",
    "[]",
    "null",
    "-1",
    "0",
    "99999999999999999999",
    "1e400",
    "NaN",
    "eq.",
    "in.()",
    "in.(((",
    "not.",
    "(",
    ")",
    "and=(",
    "or=(sfzh.eq.1",
    "&select=*",
    "&limit=1000000",
    "&offset=-1",
    "&after=AAAA",
    "张",
    "\u{202e}",
];

/// Changes a text somewhere.
fn change(random: &mut StdRng, text: &mut Vec<u8>) {
    let at = random.random_range(0..=text.len());
    match random.random_range(0..6) {
        0 if at < text.len() => text[at] ^= 1 << random.random_range(0..8),
        1 if at < text.len() => drop(text.remove(at)),
        2 => text.insert(at, random.random_range(0x20..0x7f)),
        3 => {
            let end = random.random_range(at..=text.len());
            let piece = text[at..end].to_vec();
            text.splice(at..at, piece);
        }
        4 => text.truncate(at),
        _ => {
            let nasty = NASTY[random.random_range(0..NASTY.len())].bytes();
            text.splice(at..at, nasty);
        }
    }
}

fn mutate(random: &mut StdRng, call: &mut Call) {
    if !call.body.is_empty() && call.query.is_empty() {
        change(random, &mut call.body);
    } else if !call.query.is_empty() {
        change_text(random, &mut call.query);
    } else {
        change_text(random, &mut call.path);
    }
    match random.random_range(0..12) {
        0 => change_text(random, &mut call.path),
        1 => {
            let methods = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "QUERY"];
            call.method = methods[random.random_range(0..methods.len())].to_owned();
        }
        2 if !call.headers.is_empty() => {
            let n = random.random_range(0..call.headers.len());
            change(random, &mut call.headers[n].1);
        }
        3 if !call.headers.is_empty() => {
            let n = random.random_range(0..call.headers.len());
            call.headers.remove(n);
        }
        4 => call.headers.push(("accept".into(), b"text/csv".to_vec())),
        5 => call.headers.push(("range".into(), b"0-18446744073709551615".to_vec())),
        6 => call.headers.push(("prefer".into(), b"evidence, count=exact".to_vec())),
        _ => {}
    }
}

fn change_text(random: &mut StdRng, text: &mut String) {
    let mut bytes = std::mem::take(text).into_bytes();
    change(random, &mut bytes);
    *text = String::from_utf8_lossy(&bytes).into_owned();
}

/// Valid calls of every kind.
async fn valid(scene: &Scene) -> Vec<Call> {
    let app = &scene.caller.application;
    let form = "application/x-www-form-urlencoded";
    let credentials = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        app.key, scene.caller.secret
    );
    let asked = Call::post("/oauth2/token", form, &credentials).unsigned();
    let token =
        scene.send(&asked).await.unwrap().json()["access_token"].as_str().unwrap().to_owned();
    let time = scene.house.app.now().timestamp_millis().to_string();
    let older = |secret: &str| {
        let sign = guard::convention::sign(&app.key, secret.as_bytes(), &time);
        format!("appKey={}&requestTime={time}&sign={sign}", app.key)
    };
    let by_key =
        Call::get("/gateway/app/refreshTokenByKey.htm", &older(&scene.caller.secret)).unsigned();
    let secrets = scene.send(&by_key).await.unwrap().json();
    let secret = secrets["datas"]["requestSecret"].as_str().unwrap();
    let place = |code: &str| format!("/gateway/api/330000/dataSharing/{code}.htm");
    let mut bearer = Call::get(&format!("/api/interface/{}", scene.list), "limit=2").unsigned();
    bearer.headers.push(("authorization".into(), format!("Bearer {token}").into_bytes()));
    vec![
        Call::get("/api/v1/renkou", "select=sfzh,xm&sfzh=eq.11010519491231002X&limit=5"),
        Call::get("/api/v1/renkou", "or=(sfzh.like.1101*,not.xm.is.null)&order=sfzh.desc&offset=0"),
        Call::get(&format!("/api/interface/{}", scene.person), "idcard=11010519491231002X"),
        Call::get(&format!("/api/interface/{}", scene.list), "id=3&page=1&limit=2&version=1"),
        Call::post(
            &format!("/api/interface/{}", scene.person),
            "application/json",
            "{\"idcard\": \"11010519491231002X\"}",
        ),
        Call::post(
            &format!("/api/interface/{}", scene.list),
            "application/json",
            "{\"id\": 3, \"limit\": 2}",
        ),
        Call::get("/api/v1/renkou/changes", "limit=5&wait=0"),
        bearer,
        asked,
        by_key,
        Call::get(&place(&scene.person), &format!("{}&idcard=11010519491231002X", older(secret)))
            .unsigned(),
        Call::post(&place(&scene.list), form, &format!("{}&pageNum=1&pageSize=2", older(secret)))
            .unsigned(),
    ]
}

/// Calls after which tokens and secrets are fetched anew (a second each).
const FRESH: usize = 400;

async fn mutations(times: usize) {
    let scene = scene(1_000_000).await;
    let mut random = StdRng::seed_from_u64(20_260_302);
    let (mut calls, mut sent, mut answered) = (Vec::new(), 0, 0);
    for n in 0..times {
        if n % FRESH == 0 {
            calls = valid(&scene).await;
        }
        scene.house.clock.forward(TimeDelta::seconds(1));
        let mut call = calls[random.random_range(0..calls.len())].clone();
        let nonce = format!("abuse-random-nonce-{n:06}");
        // Most are signed as they are changed, so that they come to what is behind the signature.
        let after = random.random_bool(0.8);
        if call.signs && !after {
            call.sign(&scene, &nonce);
        }
        for _ in 0..random.random_range(1..4) {
            mutate(&mut random, &mut call);
        }
        if call.signs && after {
            call.sign(&scene, &nonce);
        }
        let Some(answer) = scene.send(&call).await else { continue };
        sent += 1;
        answered += usize::from(answer.status.is_success());
    }
    // Not only turned away at the door: the changes come through.
    assert!(
        sent * 2 > times && answered * 20 > times,
        "{sent} of {times} sent, {answered} answered"
    );
    scene.answers("abuse-nonce-at-the-end").await;
    let auditor = scene.house.person("auditor").await;
    assert!(app::audit::verify(&scene.house.app, &auditor).await.unwrap().intact);
    let meter = app::usage::check(&scene.house.app, &auditor).await.unwrap();
    assert!(meter.agrees, "{meter:?}");
}

#[tokio::test]
async fn calls_changed_at_random_are_harmless() {
    mutations(1_200).await;
}

/// `cargo nextest run --workspace --run-ignored only -E 'test(/ten_thousand_calls_changed/)'`
#[tokio::test]
#[ignore = "long"]
async fn ten_thousand_calls_changed_at_random_are_harmless() {
    mutations(10_000).await;
}

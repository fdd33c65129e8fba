//! Production: from an approved form to code that runs. The samples are run as they are given, against the real gate.

use std::sync::Arc;

use app::approval::{self, Act};
use app::basket::{self, PartNew};
use app::production::{self, LANGUAGES, Pack};
use model::asset::Ledger;
use model::basket::{AssetRef, Bundle, Form, Want};
use model::code::SyncMode;
use model::request::Period;
use model::{Code, ident};
use testkit::House;

/// The Rust sample, compiled as it is given.
#[path = "../../../app/samples/rust/src/main.rs"]
#[expect(
    dead_code,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program for others, here a module"
)]
mod client;

const ROWS: &[u8] =
    b"sfzh,xm,sjh,csrq,region_code\n11010519491231002X,A,13800138000,1949-12-31,330106\n";

/// A house whose clock shows the real time, as programs outside it sign with the real time.
#[expect(clippy::disallowed_methods, reason = "programs outside the house know the real time only")]
fn real_time(house: &House) {
    let now = chrono::Utc::now();
    house.clock.forward(now - house.app.now());
}

async fn granted(house: &House) -> (Bundle, model::account::ApplicationSecret) {
    real_time(house);
    let app = &house.app;
    let (_, secret) = house.application("出生一件事").await;
    house.publish(testkit::person_draft("renkou")).await;
    house.publish(testkit::draft("tongji")).await;
    house.collect("renkou", "p.csv", ROWS, SyncMode::Full).await.unwrap();
    let consumer = house.person("consumer").await;
    let form = Form {
        name: "出生一件事".into(),
        area: "government".into(),
        apply_type: "service".into(),
        finish_date: String::new(),
        scene: "核验".into(),
        matters: String::new(),
        business_usage: String::new(),
        expect_effect: String::new(),
        legal_basis: "职责".into(),
        letter: String::new(),
        contact: "李".into(),
        phone: "0571-88880000".into(),
        vendor: String::new(),
        application: secret.application.id.clone(),
        period: Period::Days { days: 30 },
    };
    let part = |items: &[&str]| PartNew {
        asset: AssetRef {
            ledger: Ledger::Data,
            id: "renkou".into(),
            title: "renkou".into(),
            org: String::new(),
        },
        want: Want::Api {
            items: items.iter().map(|i| (*i).to_owned()).collect(),
            calls_per_day: 100,
            area_range: String::new(),
        },
    };
    let bundle = basket::file_share(app, &consumer, form, vec![part(&["sfzh", "xm", "csrq"])])
        .await
        .unwrap();
    let early = production::pack(app, &consumer, &bundle.id).await.unwrap_err();
    assert_eq!(early.code(), Code::WrongState, "nothing is granted yet");
    let id = &bundle.parts[0].approval;
    for who in ["authority", "reviewer", "authority", "security"] {
        let op = house.person(who).await;
        let seen = approval::get(app, &op, id).await.unwrap();
        let (step, seat, _) = seen.mine.first().cloned().unwrap();
        let yes = Act::Decide { approve: true, reason: String::new() };
        approval::act(app, &op, id, &step, seat, yes, "").await.unwrap();
    }
    (bundle, secret)
}

/// The gate on a free port; answers its address.
async fn gate(house: &House) -> String {
    let config = gateway::GatewayConfig {
        public_url: "http://127.0.0.1".into(),
        anonymous_per_second: 100,
        ckan_sql: false,
        ckan_write: false,
        metrics: None,
    };
    let router = gateway::router(Arc::clone(&house.app), config);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = router.into_make_service_with_connect_info::<std::net::SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    url
}

async fn run(pack: &Pack, url: &str, secret: &str, language: &str) -> std::process::Output {
    let language = LANGUAGES.iter().find(|l| l.id == language).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let text = production::sample(language, pack, &pack.resources[0], url);
    let file = folder.path().join(language.file);
    std::fs::write(&file, text).unwrap();
    let program = match language.id {
        "curl" => "bash",
        "python" => "python3",
        "javascript" => "node",
        other => other,
    };
    tokio::process::Command::new(program)
        .arg(&file)
        .env("QT_SECRET", secret)
        .output()
        .await
        .unwrap_or_else(|e| {
            panic!("the sample needs `{program}`, install it (`cargo xtask setup`): {e}")
        })
}

#[tokio::test]
async fn the_samples_run_as_given() {
    let house = House::new().await;
    let (bundle, secret) = granted(&house).await;
    let consumer = house.person("consumer").await;
    let pack = production::pack(&house.app, &consumer, &bundle.id).await.unwrap();
    let url = gate(&house).await;
    for language in ["curl", "python", "javascript", "java"] {
        real_time(&house);
        let done = run(&pack, &url, &secret.secret, language).await;
        let (out, err) =
            (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success(), "{language}: {out} {err}");
        let rows: serde_json::Value =
            serde_json::from_str(&out).unwrap_or_else(|e| panic!("{language}: {e} {out}"));
        assert_eq!(rows.as_array().unwrap().len(), 1, "{language}: {out}");
        assert!(rows[0]["sfzh"].as_str().unwrap().contains('*'), "{language}: masked, {out}");
        assert!(rows[0].get("sjh").is_none(), "{language}: not granted, {out}");
        let wrong = run(&pack, &url, "wrong", language).await;
        assert!(!wrong.status.success(), "{language}: a refusal is a failure of the program");
    }
    // The Rust sample is this very file with four constants filled in.
    let rust = LANGUAGES.iter().find(|l| l.id == "rust").unwrap();
    let text = production::sample(rust, &pack, &pack.resources[0], &url);
    let constant = |name: &str| {
        let (_, rest) = text.split_once(&format!("const {name}: &str = \"")).unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    };
    let (host, path, query, key) =
        (constant("HOST"), constant("PATH"), constant("QUERY"), constant("KEY"));
    let back = text
        .replace(&format!("\"{host}\""), "\"@HOST@\"")
        .replace(&format!("\"{path}\""), "\"@PATH@\"")
        .replace(&format!("\"{query}\""), "\"@QUERY@\"")
        .replace(&format!("\"{key}\""), "\"@KEY@\"");
    assert_eq!(back, include_str!("../../../app/samples/rust/src/main.rs"));
    real_time(&house);
    let body = client::call(&host, &path, &query, &key, &secret.secret).await.unwrap();
    assert!(body.contains("\"xm\""), "{body}");
    assert!(client::call(&host, &path, &query, &key, "wrong").await.is_err());
}

#[tokio::test]
async fn a_pack_holds_what_was_granted_and_no_secret() {
    let house = House::new().await;
    let (bundle, secret) = granted(&house).await;
    let app = &house.app;
    let consumer = house.person("consumer").await;
    for who in ["stranger", "provider", "county", "citizen"] {
        let op = house.person(who).await;
        let e = production::pack(app, &op, &bundle.id).await.unwrap_err();
        assert_eq!(e.code(), Code::NotFound, "{who}");
    }
    let pack = production::pack(app, &consumer, &bundle.id).await.unwrap();
    let columns: Vec<&str> =
        pack.resources[0].columns.iter().map(|c| c.identifier.as_str()).collect();
    assert_eq!((pack.resources.len(), columns), (1, vec!["sfzh", "xm", "csrq"]));
    let described = production::openapi(&pack, "https://gate.example/");
    let paths: Vec<&String> = described["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths, ["/api/v1/renkou"], "open data are not part of the contract");
    let properties =
        described["components"]["schemas"]["renkou"]["properties"].as_object().unwrap();
    assert_eq!(properties.keys().collect::<Vec<_>>(), ["sfzh", "xm", "csrq"]);
    assert_eq!(described["servers"][0]["url"], "https://gate.example");
    // Rows are of the shape, masked as the real ones are, and hold nothing real.
    assert_eq!(pack.resources[0].rows.len(), 20);
    let csv = String::from_utf8(production::as_csv(&pack.resources[0]).unwrap()).unwrap();
    assert!(csv.starts_with("sfzh,xm,csrq\n") && csv.lines().count() == 21, "{csv}");
    assert!(!csv.contains("11010519491231002X"));
    for line in csv.lines().skip(1) {
        let id = line.split(',').next().unwrap();
        assert!(ident::citizen_id(id).is_err() && id.contains('*'), "masked: {id}");
    }
    let bytes = production::archive(&pack, "https://gate.example").unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    for name in [
        "README.md",
        "openapi.json",
        "renkou/Client.java",
        "renkou/rust/Cargo.toml",
        "renkou/sandbox.json",
    ] {
        assert!(text.contains(name), "{name}");
    }
    assert!(!bytes.windows(secret.secret.len()).any(|w| w == secret.secret.as_bytes()));
    production::taken(app, &consumer, &pack, "pack").await.unwrap();
    // Revoked: the pack has nothing any more.
    let provider = house.person("provider").await;
    app::sharing::revoke(app, &provider, &bundle.parts[0].id, "超范围").await.unwrap();
    assert_eq!(
        production::pack(app, &consumer, &bundle.id).await.unwrap_err().code(),
        Code::WrongState
    );
}

//! Clients are told that a session has ended, whichever way it did: by a logout token on a real socket that the key set verifies, again when
//! they did not take it, also after a restart, and nobody is told who need not know.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use app::account::{self, Session};
use app::identity::{self, Leaving};
use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use model::account::{ApplicationSecret, Role, UserChange};
use model::audit::{AuditFilter, AuditRecord};
use model::identity::{ClientKind, ClientSettings};
use model::{Code, Op};
use openidconnect::JsonWebKey as _;
use openidconnect::core::{CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use parking_lot::Mutex;
use serde_json::Value;
use testkit::{House, PASSWORD};

use crate::identity::{
    BACK, ISSUER, asker, asking, body, exchanged, now, pairs, said, shown, signed_in, tokens, told,
};

/// What one posting said.
#[derive(Clone)]
struct Heard {
    path: String,
    kind: String,
    body: String,
}

/// Clients' servers: what they heard, and what they answer.
struct Ears {
    url: String,
    heard: Arc<Mutex<Vec<Heard>>>,
    status: Arc<AtomicU16>,
}

impl Ears {
    async fn open() -> Self {
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let status = Arc::new(AtomicU16::new(200));
        let (keep, code) = (Arc::clone(&heard), Arc::clone(&status));
        let listen = move |uri: Uri, headers: HeaderMap, body: String| {
            let kind = headers.get("content-type").map_or("", |v| v.to_str().unwrap()).to_owned();
            keep.lock().push(Heard { path: uri.path().to_owned(), kind, body });
            let code = StatusCode::from_u16(code.load(Ordering::SeqCst)).unwrap();
            async move { (code, [("location", "/elsewhere")]) }
        };
        let router = Router::new().route("/{client}", post(listen));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, heard, status }
    }
    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
    fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }
    /// What was heard since the last time, by path.
    fn taken(&self) -> Vec<Heard> {
        let mut all = std::mem::take(&mut *self.heard.lock());
        all.sort_by(|a, b| a.path.cmp(&b.path));
        all
    }
}

/// A client that is told at an address (empty: it is not).
async fn client(house: &House, name: &str, address: &str) -> ApplicationSecret {
    let (_, made) = house.application(name).await;
    set(house, &made, address).await.unwrap();
    made
}

async fn set(house: &House, made: &ApplicationSecret, address: &str) -> model::Result<()> {
    let mut settings = ClientSettings::new(ClientKind::Confidential, vec![BACK.into()]);
    settings.backchannel = address.into();
    settings.sid_required = true;
    let consumer = house.person("consumer").await;
    identity::set_client(&house.app, &consumer, &made.application.id, settings).await
}

async fn tick(house: &House) -> u64 {
    identity::tick(&house.app, &Op::system(house.app.now())).await.unwrap()
}

/// The body of what was posted, after its signature was found to be of a key of the set, and the rest as the standard wants it.
async fn verified(house: &House, heard: &Heard) -> Value {
    assert_eq!(heard.kind, "application/x-www-form-urlencoded");
    let token = heard.body.strip_prefix("logout_token=").unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    let [head, body, signed] = parts.as_slice() else { panic!("{token}") };
    let read = |part: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let (named, told) = (read(head), read(body));
    assert_eq!((&named["alg"], &named["typ"]), (&"RS256".into(), &"logout+jwt".into()));
    let set = identity::jwks(&house.app, &house.nobody()).await.unwrap();
    let set: CoreJsonWebKeySet = serde_json::from_value(set).unwrap();
    let kid = named["kid"].as_str().unwrap();
    let key = set.keys().iter().find(|k| k.key_id().is_some_and(|id| id.as_str() == kid)).unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signed).unwrap();
    let alg = CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256;
    key.verify_signature(&alg, format!("{head}.{body}").as_bytes(), &signature).unwrap();
    let mut names: Vec<&String> = told.as_object().unwrap().keys().collect();
    names.sort_unstable();
    assert_eq!(names, ["aud", "events", "exp", "iat", "iss", "jti", "sid", "sub"], "no nonce");
    assert_eq!(told["iss"], ISSUER);
    let event = serde_json::json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    assert_eq!(told["events"], event);
    let (issued, ends) = (told["iat"].as_i64().unwrap(), told["exp"].as_i64().unwrap());
    assert_eq!(ends - issued, 120);
    assert!((house.app.now().timestamp() - issued).abs() <= 5, "issued when it was sent");
    told
}

/// Records of tries, newest first.
async fn tries(house: &House) -> Vec<AuditRecord> {
    let auditor = house.person("auditor").await;
    let filter = AuditFilter {
        action: Some("identity.backchannel".into()),
        limit: 100,
        ..AuditFilter::default()
    };
    app::audit::list(&house.app, &auditor, &filter).await.unwrap()
}

/// Each client that knew the session is told of its end by what it knows: its own id of the person and of the session, nobody else.
async fn those_who_knew(house: House) {
    let ears = Ears::open().await;
    let (a, b) = (ears.at("/a"), ears.at("/b"));
    let one = client(&house, "一", &a).await;
    let two = client(&house, "二", &b).await;
    let deaf = client(&house, "三", "").await;
    let who = signed_in(&house, "citizen").await;
    let elsewhere = signed_in(&house, "citizen").await;
    let known =
        [tokens(&house, &one, &who, "openid").await, tokens(&house, &two, &who, "openid").await];
    tokens(&house, &deaf, &who, "openid").await;
    // Twice in the same session: told once.
    tokens(&house, &one, &who, "openid").await;
    let other = tokens(&house, &one, &elsewhere, "openid").await;
    assert_eq!((tick(&house).await, ears.taken().len()), (0, 0), "the sessions stand");

    let subjects = [said(&house, &known[0]).await.0, said(&house, &known[1]).await.0];
    account::sign_out(&house.app, &now(&house, &who.0), &who.1.token).await.unwrap();
    assert_eq!(tick(&house).await, 2);
    let heard = ears.taken();
    let paths: Vec<&str> = heard.iter().map(|h| h.path.as_str()).collect();
    assert_eq!(paths, ["/a", "/b"]);
    let mut once = BTreeSet::new();
    for (n, made) in [&one, &two].into_iter().enumerate() {
        let told = verified(&house, &heard[n]).await;
        assert_eq!(told["aud"], made.application.key.as_str());
        assert_eq!(told["sub"], subjects[n]["sub"]);
        assert_eq!(told["sid"], body(&known[n])["sid"]);
        once.insert(told["jti"].as_str().unwrap().to_owned());
    }
    assert_eq!(once.len(), 2);
    // A logout token is no ID token.
    let token = heard[0].body.strip_prefix("logout_token=").unwrap();
    let leave = async |token: &str| {
        let wish = pairs(&[("id_token_hint", token)]);
        let op = now(&house, &elsewhere.0);
        identity::leave(&house.app, &op, asker(Some(&elsewhere.1)), &wish).await.unwrap()
    };
    assert!(matches!(leave(token).await, Leaving::Ask(_)));
    assert_eq!((tick(&house).await, ears.taken().len()), (0, 0), "told once; the other stands");

    // At a client's wish.
    assert!(matches!(leave(other.id.as_deref().unwrap()).await, Leaving::Gone(_)));
    assert_eq!(tick(&house).await, 1);
    let heard = ears.taken();
    assert_eq!(verified(&house, &heard[0]).await["sid"], body(&other)["sid"]);
    let records = tries(&house).await;
    assert_eq!(records.len(), 3);
    assert!(records.iter().all(|r| r.event.result == "ok" && r.event.scope.contains("try=1")));

    // Signed out between the code and its exchange: what is given for later is given, and the client is told.
    let who = signed_in(&house, "citizen").await;
    let asked = asking(&one.application.key, &[]);
    let op = now(&house, &who.0);
    let step = identity::consent(&house.app, &op, asker(Some(&who.1)), &asked, true).await.unwrap();
    let code = told(step, "code");
    account::sign_out(&house.app, &now(&house, &who.0), &who.1.token).await.unwrap();
    let late = exchanged(&house, shown(&one), &code).await.unwrap();
    assert_eq!(tick(&house).await, 1);
    assert_eq!(verified(&house, &ears.taken()[0]).await["sid"], body(&late)["sid"]);
    // What it refreshes later is of no session that could end.
    let form = pairs(&[
        ("grant_type", "refresh_token"),
        ("refresh_token", late.refresh.as_deref().unwrap()),
    ]);
    identity::token(&house.app, &house.nobody(), ISSUER, shown(&one), &form).await.unwrap();
    assert_eq!((tick(&house).await, ears.taken().len()), (0, 0));
}

/// A session ends by its time, by another's hand, and by a change of what its person may do: the client is told each time.
async fn every_end(house: House) {
    let app = &house.app;
    let ears = Ears::open().await;
    let one = client(&house, "一", &ears.at("/a")).await;
    let admin = house.person("admin").await;
    let id = house.person("citizen").await.actor.id().to_owned();
    let begin = async |secret: &str| -> (Op, Session) {
        let session = account::sign_in(app, &house.nobody(), "citizen", secret).await.unwrap();
        let who = (app.op(session.actor.clone(), "127.0.0.1"), session);
        tokens(&house, &one, &who, "openid").await;
        who
    };
    let ended = async |what: &str| {
        assert_eq!(tick(&house).await, 1, "{what}");
        assert_eq!(ears.taken().len(), 1, "{what}");
        assert_eq!(tick(&house).await, 0, "{what}");
    };
    begin(PASSWORD).await;
    house.clock.forward(TimeDelta::hours(i64::from(app.rules.sign_in.session_hours)));
    house.clock.forward(TimeDelta::minutes(1));
    ended("its time is over").await;

    begin(PASSWORD).await;
    let mut change =
        UserChange { display_name: "王小明".into(), org: None, roles: vec![Role::Citizen] };
    account::change_user(app, &admin, &id, change.clone()).await.unwrap();
    assert_eq!(tick(&house).await, 0, "another name ends nothing");
    change.roles = vec![Role::Auditor];
    account::change_user(app, &admin, &id, change).await.unwrap();
    ended("another role").await;

    begin(PASSWORD).await;
    account::set_user_active(app, &admin, &id, false).await.unwrap();
    ended("the account is closed").await;
    account::set_user_active(app, &admin, &id, true).await.unwrap();

    let (op, _) = begin(PASSWORD).await;
    let other = "Another-2026!";
    account::change_password(app, &now(&house, &op), PASSWORD, other).await.unwrap();
    ended("another password").await;

    begin(other).await;
    account::reset_password(app, &admin, &id).await.unwrap();
    ended("a one-time password").await;
}

/// Whoever does not take it is asked again later, by a token of its own, also by the process after this one; at last it is given up.
async fn again(house: House) {
    let ears = Ears::open().await;
    let one = client(&house, "一", &ears.at("/a")).await;
    let who = signed_in(&house, "citizen").await;
    tokens(&house, &one, &who, "openid").await;
    ears.answer(500);
    account::sign_out(&house.app, &now(&house, &who.0), &who.1.token).await.unwrap();
    assert_eq!(tick(&house).await, 0);
    let first = verified(&house, &ears.taken()[0]).await;
    assert_eq!((tick(&house).await, ears.taken().len()), (0, 0), "not at once");
    let untaken = async |house: &House| {
        let consumer = house.person("consumer").await;
        identity::untaken(&house.app, &consumer, &one.application.id).await.unwrap()
    };
    assert_eq!(untaken(&house).await, 1, "its keeper sees that it waits");
    let stranger = house.person("enterprise").await;
    let e = identity::untaken(&house.app, &stranger, &one.application.id).await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound);
    // Nobody is led on to another address.
    ears.answer(307);
    house.clock.forward(TimeDelta::seconds(31));
    assert_eq!(tick(&house).await, 0);
    let heard = ears.taken();
    assert_eq!(heard.iter().map(|h| h.path.as_str()).collect::<Vec<_>>(), ["/a"]);
    let second = verified(&house, &heard[0]).await;
    assert_eq!(first["sid"], second["sid"]);
    assert_ne!(first["jti"], second["jti"]);

    let house = house.reopen().await;
    ears.answer(204);
    house.clock.forward(TimeDelta::seconds(61));
    assert_eq!(tick(&house).await, 1);
    assert_eq!(verified(&house, &ears.taken()[0]).await["sid"], first["sid"]);
    house.clock.forward(TimeDelta::hours(2));
    assert_eq!((tick(&house).await, ears.taken().len()), (0, 0));
    assert_eq!(untaken(&house).await, 0);
    let seen: Vec<(String, String)> =
        tries(&house).await.into_iter().map(|r| (r.event.result, r.event.reason)).collect();
    let seen: Vec<(&str, &str)> = seen.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(seen, [("ok", ""), ("failed", "status 307"), ("failed", "status 500")]);

    // At last it is given up, and said so.
    let who = signed_in(&house, "citizen").await;
    tokens(&house, &one, &who, "openid").await;
    ears.answer(400);
    account::sign_out(&house.app, &now(&house, &who.0), &who.1.token).await.unwrap();
    let most = usize::try_from(house.app.rules.identity.logout.tries).unwrap();
    for n in 1..=most + 2 {
        assert_eq!(tick(&house).await, 0);
        assert_eq!(ears.taken().len(), usize::from(n <= most), "{n}");
        house.clock.forward(TimeDelta::hours(1));
    }
    let records = tries(&house).await;
    assert_eq!(records[0].event.reason, "status 400, given up");
    assert_eq!(records[1].event.reason, "status 400");
}

/// Addresses are looked at when they are registered and when they are asked; who is stopped, or has none any more, is not told.
async fn addresses(house: House) {
    let app = &house.app;
    let ears = Ears::open().await;
    let one = client(&house, "一", &ears.at("/a")).await;
    for bad in [
        "http://app.test/out",
        "https://app.test/#x",
        "javascript:alert(1)",
        "https://*.test/",
        "x",
    ] {
        let e = set(&house, &one, bad).await.unwrap_err();
        let field = e.fields()[0].field.as_str();
        assert_eq!((e.code(), field), (Code::InvalidInput, "backchannel_logout_uri"), "{bad}");
    }
    let consumer = house.person("consumer").await;
    let kept = identity::client_settings(app, &consumer, &one.application.id).await.unwrap();
    let kept = kept.unwrap();
    assert!(kept.backchannel == ears.at("/a") && kept.sid_required);
    let about = identity::discovery(ISSUER);
    assert_eq!(about["backchannel_logout_supported"], true);
    assert_eq!(about["backchannel_logout_session_supported"], true);

    let signed_out = async || {
        let who = signed_in(&house, "citizen").await;
        tokens(&house, &one, &who, "openid").await;
        account::sign_out(app, &now(&house, &who.0), &who.1.token).await.unwrap();
    };
    // An address that is not on the operator's list: nothing is connected to, and the record says why.
    set(&house, &one, "https://198.51.100.7/out").await.unwrap();
    signed_out().await;
    assert_eq!(tick(&house).await, 0);
    let records = tries(&house).await;
    assert_eq!(
        (records[0].event.result.as_str(), records[0].event.reason.as_str()),
        ("failed", "rule_broken")
    );
    // It is corrected: what is due goes to the address that counts now.
    set(&house, &one, &ears.at("/b")).await.unwrap();
    house.clock.forward(TimeDelta::seconds(31));
    assert_eq!(tick(&house).await, 1);
    assert_eq!(ears.taken()[0].path, "/b");

    signed_out().await;
    account::set_application_active(app, &consumer, &one.application.id, false).await.unwrap();
    assert_eq!((tick(&house).await, ears.taken().len()), (0, 0), "stopped");
    account::set_application_active(app, &consumer, &one.application.id, true).await.unwrap();
    assert_eq!((tick(&house).await, ears.taken().len()), (0, 0), "and forgotten");
    signed_out().await;
    set(&house, &one, "").await.unwrap();
    assert_eq!((tick(&house).await, ears.taken().len()), (0, 0), "not registered any more");
}

crate::on_both!(those_who_knew, every_end, again, addresses);

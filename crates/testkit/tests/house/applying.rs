//! Applying from inside and outside: regions, the open way of enterprises and citizens, what is granted at once, what
//! may be known of, and the inbox.

use app::account::{self, SignedCall};
use app::catalogue::{self, Move};
use app::sharing;
use chrono::TimeDelta;
use guard::signature::{Algorithm, SignedRequest};
use model::account::{ApplicationNew, ApplicationSecret, Role, UserNew};
use model::code::{DataType, Grade, OpenType, ShareType, SyncMode};
use model::item::Item;
use model::mask::{Generalise, Mask};
use model::query::RowQuery;
use model::request::{Period, Request, RequestFilter, RequestNew, RequestState, RequestWay};
use model::{Actor, Code, Op};
use testkit::{ENTERPRISE_ORG, House, PASSWORD};

use crate::restricted::restricted_open;

const ROWS: &[u8] = b"id,name,amount,day\n1,a,1.50,2026-01-01\n2,b,2.25,2026-01-02\n";

fn wanted(application: &str, entry: &str, items: &[&str]) -> RequestNew {
    RequestNew {
        entry: entry.into(),
        application: application.into(),
        items: items.iter().map(|i| (*i).to_owned()).collect(),
        scene: "研究".into(),
        legal_basis: "开放条件".into(),
        period: Period::Days { days: 90 },
        calls_per_day: 100,
        area_range: String::new(),
        row_range: Default::default(),
        by_sql: false,
    }
}

async fn register(house: &House, op: &Op, org: &str) -> model::Result<ApplicationSecret> {
    let new = ApplicationNew { name: "研究".into(), description: String::new(), org: org.into() };
    account::register_application(&house.app, op, new).await
}

/// The caller of a signed call, as the gateway asks for it.
pub(crate) async fn call(house: &House, of: &ApplicationSecret, nonce: &str) -> model::Result<Op> {
    let timestamp = house.app.now().timestamp_millis();
    let body_hash = Algorithm::HmacSm3.body_hash(b"");
    let signature = SignedRequest {
        method: "GET",
        path: "/api/v1/x",
        query: "",
        body_hash: &body_hash,
        timestamp,
        nonce,
    }
    .sign(Algorithm::HmacSm3, of.secret.as_bytes());
    let call = SignedCall {
        method: "GET",
        path: "/api/v1/x",
        query: "",
        body: b"",
        key: &of.application.key,
        algorithm: Algorithm::HmacSm3.as_str(),
        timestamp: &timestamp.to_string(),
        nonce,
        signature: &signature,
    };
    let actor = account::verify_call(&house.app, &call).await?;
    Ok(house.app.op(actor, "192.0.2.1"))
}

async fn both_approve(house: &House, request: &Request) {
    for who in ["provider", "authority"] {
        let op = house.person(who).await;
        sharing::review(&house.app, &op, &request.id, true, "").await.unwrap();
    }
}

async fn columns(house: &House, op: &Op, code: &str) -> model::Result<Vec<String>> {
    let op = house.app.op(op.actor.clone(), "192.0.2.1");
    let release = sharing::query(&house.app, &op, code, &RowQuery::default()).await?;
    Ok(release.page.columns)
}

/// A citizen registers an application of their own, applies for restricted-open data, and calls them.
async fn a_citizen(house: House) {
    let app = &house.app;
    house.publish(restricted_open("yanjiu")).await;
    house.collect("yanjiu", "y.csv", ROWS, SyncMode::Full).await.unwrap();
    let citizen = house.person("citizen").await;
    let other = UserNew {
        name: "neighbour".into(),
        display_name: "邻居".into(),
        org: None,
        roles: vec![Role::Citizen],
        password: PASSWORD.into(),
    };
    account::create_user(app, &Op::system(app.now()), other).await.unwrap();
    let neighbour = house.person("neighbour").await;

    assert!(register(&house, &citizen, ENTERPRISE_ORG).await.is_err(), "not an organisation's");
    let secret = register(&house, &citizen, "").await.unwrap();
    assert!(secret.application.personal() && secret.application.owner == citizen.actor.id());
    assert_eq!(account::applications(app, &citizen).await.unwrap().len(), 1);
    assert!(account::applications(app, &neighbour).await.unwrap().is_empty());
    let hidden = account::renew_secret(app, &neighbour, &secret.application.id).await;
    assert_eq!(hidden.unwrap_err().code(), Code::NotFound);

    let id = &secret.application.id;
    let closed = sharing::apply(app, &citizen, wanted(id, "yanjiu", &["name", "amount"])).await;
    assert_eq!(closed.unwrap_err().fields()[0].field, "items", "an item that is not open");
    let borrowed = sharing::apply(app, &neighbour, wanted(id, "yanjiu", &["name"])).await;
    assert_eq!(borrowed.unwrap_err().code(), Code::NotFound);
    let ask = wanted(id, "yanjiu", &["id", "name"]);
    let e = sharing::apply(app, &citizen, ask).await.unwrap_err();
    assert_eq!((e.code(), e.reasons()), (Code::RuleBroken, &["restricted.open".to_owned()][..]));
    assert!(e.en().contains("/restricted/new?code=yanjiu"), "it says where: {}", e.en());
    let mut stranger = secret.clone();
    stranger.secret = "guessed".into();
    let wrong = call(&house, &stranger, "nonce-of-a-guess1").await.unwrap_err();
    stranger.application.key = "0".repeat(32);
    let unknown = call(&house, &stranger, "nonce-of-a-guess2").await.unwrap_err();
    assert_eq!(wrong.code(), Code::SignatureMismatch);
    assert_eq!(wrong.to_string(), unknown.to_string(), "whether a key exists is not told");
    let caller = call(&house, &secret, "nonce-0000000001").await.unwrap();
    assert_eq!(columns(&house, &caller, "yanjiu").await.unwrap_err().code(), Code::NoGrant);
    let agreed = house.use_in_force(&citizen, testkit::use_of(id, "yanjiu", &["id", "name"])).await;
    let request = sharing::get(app, &citizen, &agreed.entries[0].grant).await.unwrap();
    assert_eq!(request.state, RequestState::Approved);
    assert_eq!((request.way, request.org.as_str()), (RequestWay::Open, ""));
    let all = RequestFilter::default();
    assert_eq!(sharing::list(app, &citizen, &all).await.unwrap().items.len(), 1);
    assert!(sharing::list(app, &neighbour, &all).await.unwrap().items.is_empty());
    let hidden = sharing::get(app, &neighbour, &request.id).await.unwrap_err();
    assert_eq!(hidden.code(), Code::NotFound);
    assert_eq!(columns(&house, &caller, "yanjiu").await.unwrap(), ["id", "name"]);

    // Prohibited from opening later: what was agreed holds no longer.
    let provider = house.person("provider").await;
    let now = catalogue::get(app, &provider, "yanjiu").await.unwrap();
    let mut draft = now.draft.clone();
    draft.share_type = ShareType::Unconditional;
    draft.open_type = OpenType::None;
    for item in &mut draft.items {
        item.share_type = ShareType::Unconditional;
        item.open_type = OpenType::None;
    }
    catalogue::edit(app, &provider, &now.id, draft, now.version).await.unwrap();
    assert!(columns(&house, &caller, "yanjiu").await.is_ok(), "still under review");
    let authority = house.person("authority").await;
    catalogue::step(app, &authority, &now.id, Move::Approve, "").await.unwrap();
    assert_eq!(columns(&house, &caller, "yanjiu").await.unwrap_err().code(), Code::NoGrant);

    // The application ends with the account.
    let admin = house.person("admin").await;
    account::set_user_active(app, &admin, citizen.actor.id(), false).await.unwrap();
    let e = call(&house, &secret, "nonce-0000000002").await.unwrap_err();
    assert_eq!(e.code(), Code::SignatureMismatch);
}

/// An enterprise asks by the open attribute: unconditional sharing between public bodies grants it nothing at once, and
/// it learns of open data only.
async fn an_enterprise(house: House) {
    let app = &house.app;
    let mut shared = restricted_open("qiye");
    shared.share_type = ShareType::Unconditional;
    shared.items.iter_mut().for_each(|i| i.share_type = ShareType::Unconditional);
    house.publish(shared).await;
    house.collect("qiye", "q.csv", ROWS, SyncMode::Full).await.unwrap();
    house.publish(testkit::person_draft("renkou")).await;
    let enterprise = house.person("enterprise").await;
    let secret = register(&house, &enterprise, ENTERPRISE_ORG).await.unwrap();
    assert!(register(&house, &enterprise, "").await.is_err(), "it is no citizen");
    let id = &secret.application.id;
    let hidden = sharing::apply(app, &enterprise, wanted(id, "renkou", &["xm"])).await;
    assert_eq!(hidden.unwrap_err().code(), Code::NotFound);
    let ask = wanted(id, "qiye", &["id", "name"]);
    let around = sharing::apply(app, &enterprise, ask).await.unwrap_err();
    assert_eq!(around.reasons(), ["restricted.open"]);
    house.use_in_force(&enterprise, testkit::use_of(id, "qiye", &["id", "name"])).await;
    let caller = call(&house, &secret, "nonce-0000000003").await.unwrap();
    assert_eq!(columns(&house, &caller, "qiye").await.unwrap(), ["id", "name"]);
    // A public body's application learns that `renkou` is there to be applied for; this one does not.
    let e = columns(&house, &caller, "renkou").await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound);
    let (inside, _) = house.application("核验").await;
    let e = columns(&house, &inside, "renkou").await.unwrap_err();
    assert_eq!(e.code(), Code::NoGrant);
}

/// An area range needs something to limit the rows by.
async fn an_area(house: House) {
    let app = &house.app;
    let consumer = house.person("consumer").await;
    let (_, secret) = house.application("应用").await;
    house.publish(testkit::draft("tongji")).await;
    house.publish(testkit::person_draft("renkou")).await;
    let within = |entry, items: &[&str]| RequestNew {
        area_range: "330100".into(),
        ..wanted(&secret.application.id, entry, items)
    };
    let e = sharing::apply(app, &consumer, within("tongji", &["id"])).await.unwrap_err();
    assert_eq!((e.code(), e.fields()[0].field.as_str()), (Code::RuleBroken, "area_range"));
    sharing::apply(app, &consumer, within("renkou", &["xm"])).await.unwrap();
}

/// An authority decides and revokes for its own region and those below.
async fn another_region(house: House) {
    let app = &house.app;
    let consumer = house.person("consumer").await;
    let (provider, city) = (house.person("provider").await, house.person("city").await);
    let (_, secret) = house.application("应用").await;
    house.publish(testkit::person_draft("quansheng")).await;
    let mut own = testkit::person_draft("hangzhou");
    own.region = "330106".into();
    house.publish(own).await;
    for (entry, inside) in [("quansheng", false), ("hangzhou", true)] {
        let ask = wanted(&secret.application.id, entry, &["xm"]);
        let request = sharing::apply(app, &consumer, ask).await.unwrap();
        sharing::review(app, &provider, &request.id, true, "").await.unwrap();
        let awaits = sharing::inbox(app, &city).await.unwrap().requests;
        assert_eq!(awaits.iter().any(|r| r.id == request.id), inside, "{entry}");
        let decided = sharing::review(app, &city, &request.id, true, "").await;
        match inside {
            true => assert_eq!(decided.unwrap().state, RequestState::Approved),
            false => {
                assert_eq!(decided.unwrap_err().reasons(), ["request.outside-region"]);
                let authority = house.person("authority").await;
                sharing::review(app, &authority, &request.id, true, "").await.unwrap();
            }
        }
        let revoked = sharing::revoke(app, &city, &request.id, "停止").await;
        assert_eq!(revoked.is_ok(), inside, "{entry}");
        if let Err(e) = revoked {
            assert_eq!(e.code(), Code::Denied);
        }
    }
}

/// An unconditional share is granted at once up to the calls a day that the rules let through unseen.
async fn many_calls(house: House) {
    let app = &house.app;
    let consumer = house.person("consumer").await;
    house.publish(testkit::draft("tongji")).await;
    for (calls, state) in
        [(100_000, RequestState::Approved), (100_001, RequestState::ProviderAuditing)]
    {
        let (_, secret) = house.application("应用").await;
        let ask = RequestNew {
            calls_per_day: calls,
            ..wanted(&secret.application.id, "tongji", &["id"])
        };
        let request = sharing::apply(app, &consumer, ask).await.unwrap();
        assert_eq!(request.state, state, "{calls}");
        assert_eq!(request.due.is_some(), state == RequestState::ProviderAuditing);
    }
}

/// The public is decided for once, however many addresses ask; each address has its own meter.
async fn many_addresses(house: House) {
    let app = &house.app;
    house.publish(testkit::draft("tongji")).await;
    house.collect("tongji", "t.csv", ROWS, SyncMode::Full).await.unwrap();
    for n in 0..60 {
        let op = app.op(Actor::Nobody, &format!("192.0.2.{n}"));
        let release = sharing::query(app, &op, "tongji", &RowQuery::default()).await.unwrap();
        assert_eq!(release.calls_left, Some(99_999));
    }
    assert_eq!(app.shares.kept(), 1);
}

/// What awaits whom: overdue days, rejections to answer, grants about to end, and no silent cut.
async fn an_inbox(house: House) {
    let app = &house.app;
    let consumer = house.person("consumer").await;
    let provider = house.person("provider").await;
    let authority = house.person("authority").await;
    house.publish(testkit::person_draft("renkou")).await;
    let (_, secret) = house.application("应用").await;
    let ask = wanted(&secret.application.id, "renkou", &["xm"]);
    let request = sharing::apply(app, &consumer, ask.clone()).await.unwrap();
    sharing::review(app, &provider, &request.id, false, "用途不清").await.unwrap();
    let rejected = |inbox: sharing::Inbox| inbox.rejected.len();
    assert_eq!(rejected(sharing::inbox(app, &consumer).await.unwrap()), 1);
    assert_eq!(rejected(sharing::inbox(app, &provider).await.unwrap()), 0);
    // Nobody files twice in a millisecond.
    house.clock.forward(TimeDelta::seconds(1));
    let anew = house.app.op(consumer.actor.clone(), "127.0.0.1");
    let again = sharing::apply(app, &anew, ask).await.unwrap();
    assert_eq!(rejected(sharing::inbox(app, &consumer).await.unwrap()), 0, "filed anew");
    both_approve(&house, &again).await;
    assert!(sharing::inbox(app, &consumer).await.unwrap().ending.is_empty(), "90 days left");
    house.clock.forward(TimeDelta::days(70));
    let later = house.app.op(consumer.actor.clone(), "127.0.0.1");
    let ending = sharing::inbox(app, &later).await.unwrap().ending;
    assert_eq!(ending.iter().map(|r| &r.id).collect::<Vec<_>>(), [&again.id]);

    let now = house.app.op(provider.actor.clone(), "127.0.0.1");
    let entry = catalogue::create(app, &now, testkit::draft("bohui")).await.unwrap();
    catalogue::step(app, &now, &entry.id, Move::Submit, "").await.unwrap();
    let inbox = sharing::inbox(app, &authority).await.unwrap();
    assert_eq!(inbox.entries.len(), 1);
    assert!(inbox.entries_due[&entry.id] > later.today().to_string(), "two working days");
    catalogue::step(app, &authority, &entry.id, Move::Reject, "摘要过简").await.unwrap();
    let inbox = sharing::inbox(app, &provider).await.unwrap();
    assert_eq!(inbox.rejected_entries.len(), 1);
    assert!(sharing::inbox(app, &authority).await.unwrap().rejected_entries.is_empty());

    // More than it shows: it says so, and what is due first stands first.
    let mut first = String::new();
    for n in 0..102 {
        let (op, secret) = house.application("应用").await;
        let _ = op;
        let op = house.app.op(consumer.actor.clone(), "127.0.0.1");
        let ask = wanted(&secret.application.id, "renkou", &["xm"]);
        let request = sharing::apply(app, &op, ask).await.unwrap();
        if n == 0 {
            first = request.id;
            house.clock.forward(TimeDelta::days(3));
        }
    }
    let op = house.app.op(provider.actor.clone(), "127.0.0.1");
    let inbox = sharing::inbox(app, &op).await.unwrap();
    assert_eq!((inbox.requests.len(), inbox.more.requests), (100, true));
    assert_eq!(inbox.requests[0].id, first);
    let op = house.app.op(consumer.actor.clone(), "127.0.0.1");
    let inbox = sharing::inbox(app, &op).await.unwrap();
    assert_eq!((inbox.mine.len(), inbox.more.mine), (100, true));
}

/// The second stage is not offered to whoever decided the first.
async fn two_people(house: House) {
    let app = &house.app;
    let both = UserNew {
        name: "both".into(),
        display_name: "双岗".into(),
        org: Some(testkit::PROVIDER_ORG.into()),
        roles: vec![Role::Reviewer, Role::Authority],
        password: PASSWORD.into(),
    };
    account::create_user(app, &Op::system(app.now()), both).await.unwrap();
    let both = house.person("both").await;
    let consumer = house.person("consumer").await;
    let (_, secret) = house.application("应用").await;
    house.publish(testkit::person_draft("renkou")).await;
    let ask = wanted(&secret.application.id, "renkou", &["xm"]);
    let request = sharing::apply(app, &consumer, ask).await.unwrap();
    let request = sharing::review(app, &both, &request.id, true, "").await.unwrap();
    let moves = sharing::moves(app, &both, &request).await.unwrap();
    assert!(!moves.contains(&"approve"), "{moves:?}");
    let e = sharing::review(app, &both, &request.id, true, "").await.unwrap_err();
    assert_eq!(e.code(), Code::Denied);
    let authority = house.person("authority").await;
    assert!(sharing::moves(app, &authority, &request).await.unwrap().contains(&"approve"));
}

/// A mask that hides next to nothing is no mask.
async fn masks_must_hide(house: House) {
    let with = |grade, data_type, length, mask| {
        let mut draft = testkit::draft("yanma");
        let mut item = Item::new("zjhm", "证件号码", data_type);
        (item.grade, item.length, item.mask) = (grade, length, Some(mask));
        (item.open_type, item.share_type) = (OpenType::None, ShareType::Unconditional);
        item.open_basis = "涉及个人信息".into();
        draft.items.push(item);
        let faults = catalogue::check(&house.app, &draft);
        faults.into_iter().map(|f| f.field).collect::<Vec<_>>()
    };
    let keep = |head, tail| Mask::Keep { head, tail };
    let prefix = |n| Mask::Generalise { to: Generalise::Prefix(n) };
    let (text, l3) = (DataType::Text, Grade::L3);
    let at = vec!["items[4].mask".to_owned()];
    for (data_type, length, mask) in [
        (text, 18, keep(17, 0)),
        (text, 0, keep(17, 0)),
        (text, 50, keep(6, 5)),
        (text, 11, keep(4, 4)),
        (text, 0, prefix(999)),
        (text, 8, prefix(6)),
        (DataType::Boolean, 0, keep(1, 0)),
        (DataType::Date, 0, keep(4, 3)),
        (DataType::Integer, 0, Mask::Round { step: 1 }),
        (DataType::Integer, 0, Mask::Round { step: -5 }),
    ] {
        assert_eq!(with(l3, data_type, length, mask.clone()), at, "{data_type} {length} {mask:?}");
    }
    for (data_type, length, mask) in [
        (text, 18, keep(6, 4)),
        (text, 11, keep(3, 4)),
        (text, 3, keep(1, 0)),
        (text, 0, prefix(6)),
        (text, 0, Mask::Hash),
        (DataType::Integer, 0, Mask::Round { step: 2 }),
    ] {
        let faults = with(l3, data_type, length, mask.clone());
        assert!(faults.is_empty(), "{data_type} {length} {mask:?} {faults:?}");
    }
    assert!(with(Grade::L1, text, 18, keep(17, 0)).is_empty(), "L1 needs no mask at all");
}

crate::on_both!(
    a_citizen,
    an_enterprise,
    an_area,
    another_region,
    many_calls,
    many_addresses,
    an_inbox,
    two_people,
    masks_must_hide,
);

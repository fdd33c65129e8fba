//! Idle things in the house: found by measuring, proposed for reclaiming, given back along their life cycle or kept by the
//! word of whoever has them.

use std::collections::BTreeMap;

use app::dispatch;
use app::{ledger, sharing};
use chrono::TimeDelta;
use model::Code;
use model::asset::{AssetDraft, Ledger};
use model::audit::AuditFilter;
use model::code::SyncMode;
use model::dispatch::{IdleKind, Job, ReclaimState, Resource};
use model::request::RequestState;
use testkit::{CONSUMER_ORG, House};

use crate::dispatch::{ROWS, call, caller, org};

fn cloud(code: &str, utilisation: &str) -> AssetDraft {
    let fields: BTreeMap<String, String> = [
        ("kind", "云服务器"),
        ("zone", "政务外网区"),
        ("expiry", "2027-12-31"),
        ("disk_gb", "200"),
        ("utilisation", utilisation),
    ]
    .map(|(k, v)| (k.to_owned(), v.to_owned()))
    .into();
    AssetDraft {
        ledger: Ledger::Cloud,
        code: code.into(),
        name: format!("云主机 {code}"),
        org: CONSUMER_ORG.into(),
        region: "330000".into(),
        owner: "张三".into(),
        description: "测试".into(),
        fields,
    }
}

async fn running(house: &House, code: &str, utilisation: &str) -> String {
    let consumer = house.person("consumer").await;
    let made = ledger::create(&house.app, &consumer, cloud(code, utilisation), true).await.unwrap();
    ledger::step(&house.app, &consumer, &made.id, "running", "开通").await.unwrap();
    made.id
}

async fn measure(house: &House) {
    let admin = house.person("admin").await;
    let run = dispatch::run_now(&house.app, &admin, Job::Resources).await.unwrap();
    assert_eq!(run.outcome, "ok", "{}", run.note_en);
}

async fn idle(house: &House, who: &str, kind: IdleKind) -> Vec<String> {
    let op = house.person(who).await;
    let page = dispatch::idle(&house.app, &op, kind, None, None, 50).await.unwrap();
    page.items.into_iter().map(|i| i.thing).collect()
}

/// Under the threshold for long enough → proposed → kept with reason and term, or given back along the life cycle.
async fn idle_things_are_reclaimed(house: House) {
    let app = &house.app;
    let low = running(&house, "R-1", "3").await;
    let busy = running(&house, "R-2", "65").await;
    let waking = running(&house, "R-3", "5").await;
    measure(&house).await;
    assert!(idle(&house, "authority", IdleKind::Cloud).await.is_empty(), "not for long enough");
    house.clock.forward(TimeDelta::days(31));
    let consumer = house.person("consumer").await;
    let now = ledger::get(app, &consumer, &waking).await.unwrap();
    let mut draft = now.draft.clone();
    draft.fields.insert("utilisation".into(), "40".into());
    ledger::edit(app, &consumer, &waking, draft, now.version).await.unwrap();
    measure(&house).await;
    assert_eq!(idle(&house, "authority", IdleKind::Cloud).await, [low.as_str()]);
    assert_eq!(idle(&house, "consumer", IdleKind::Cloud).await, [low.as_str()]);
    assert!(idle(&house, "county", IdleKind::Cloud).await.is_empty(), "another organisation's");

    // Pages by key show each once.
    let authority = house.person("authority").await;
    let propose = |thing: &str| {
        let (house, thing) = (&house, thing.to_owned());
        async move {
            let authority = house.person("authority").await;
            dispatch::propose(&house.app, &authority, IdleKind::Cloud, &thing, "利用率长期过低")
                .await
        }
    };
    let e = dispatch::propose(app, &consumer, IdleKind::Cloud, &low, "x").await.unwrap_err();
    assert_eq!(e.code(), Code::Denied);
    assert_eq!(propose(&busy).await.unwrap_err().code(), Code::NotFound);
    let first = propose(&low).await.unwrap();
    assert_eq!(first.state, ReclaimState::Proposed);
    assert_eq!(propose(&low).await.unwrap_err().code(), Code::Duplicate);
    assert!(idle(&house, "authority", IdleKind::Cloud).await.is_empty(), "it awaits its owner");
    // Nobody but the owner answers, and nothing has happened yet.
    let e = dispatch::answer(app, &authority, &first.id, None, "").await.unwrap_err();
    assert_eq!(e.code(), Code::Denied);
    let hidden = dispatch::reclaim(app, &house.person("county").await, &first.id).await;
    assert_eq!(hidden.unwrap_err().code(), Code::NotFound);
    assert_eq!(ledger::get(app, &consumer, &low).await.unwrap().state, "running");
    let consumer = house.person("consumer").await;
    let until = consumer.today() + chrono::Days::new(20);
    let too_long = consumer.today() + chrono::Days::new(200);
    let e = dispatch::answer(app, &consumer, &first.id, Some(too_long), "灾备").await.unwrap_err();
    assert_eq!(e.fields()[0].field, "until");
    let e = dispatch::answer(app, &consumer, &first.id, Some(until), " ").await.unwrap_err();
    assert_eq!(e.fields()[0].field, "reason");
    let kept = dispatch::answer(app, &consumer, &first.id, Some(until), "灾备").await.unwrap();
    assert_eq!((kept.state, kept.keep_until), (ReclaimState::Objected, until.to_string()));
    assert!(idle(&house, "authority", IdleKind::Cloud).await.is_empty(), "kept for its term");
    house.clock.forward(TimeDelta::days(21));
    assert_eq!(idle(&house, "authority", IdleKind::Cloud).await, [low.as_str()]);
    let second = propose(&low).await.unwrap();
    let taken_back =
        dispatch::withdraw(app, &house.person("authority").await, &second.id, "误提").await;
    assert_eq!(taken_back.unwrap().state, ReclaimState::Withdrawn);
    let third = propose(&low).await.unwrap();
    let consumer = house.person("consumer").await;
    let done = dispatch::answer(app, &consumer, &third.id, None, "同意").await.unwrap();
    assert_eq!(done.state, ReclaimState::Confirmed);
    let asset = ledger::get(app, &consumer, &low).await.unwrap();
    assert_eq!(asset.state, "released");
    let steps = ledger::steps(app, &consumer, &low).await.unwrap();
    let last = steps.last().unwrap();
    assert_eq!((last.to.as_str(), last.actor_name.as_str()), ("released", "consumer"));
    assert!(last.reason.contains(&third.id), "{}", last.reason);
    let e = dispatch::answer(app, &consumer, &third.id, None, "").await.unwrap_err();
    assert_eq!(e.code(), Code::WrongState);
    let auditor = house.person("auditor").await;
    let filter =
        AuditFilter { action: Some("reclaim".into()), limit: 50, ..AuditFilter::default() };
    let words: Vec<String> = app::audit::list(app, &auditor, &filter)
        .await
        .unwrap()
        .into_iter()
        .filter(|r| r.event.result == "ok")
        .map(|r| r.event.action)
        .collect();
    assert_eq!(
        words,
        [
            "reclaim.confirm",
            "reclaim.propose",
            "reclaim.withdraw",
            "reclaim.propose",
            "reclaim.object",
            "reclaim.propose"
        ]
    );
    // Storage of running machines: two of 200 GB are left.
    measure(&house).await;
    let authority = house.person("authority").await;
    let seen = dispatch::holder(app, &authority, &org(CONSUMER_ORG)).await.unwrap();
    let storage = seen.quotas.iter().find(|q| q.used.resource == Resource::Storage).unwrap();
    assert_eq!(storage.used.used, 400.0);
}

/// Grants and applications that nobody calls lie idle; given back, they stop.
async fn unused_grants_are_reclaimed(house: House) {
    let app = &house.app;
    let mut shared = testkit::draft("tongji");
    shared.open_type = model::code::OpenType::None;
    shared.open_basis = "内部统计".into();
    for item in &mut shared.items {
        item.open_type = model::code::OpenType::None;
        item.open_basis = "内部统计".into();
    }
    house.publish(shared).await;
    house.collect("tongji", "t.csv", ROWS, SyncMode::Full).await.unwrap();
    let (used_op, _, used_request) = caller(&house, "tongji", 50).await;
    let (idle_op, idle_app, idle_request) = caller(&house, "tongji", 40).await;
    house.clock.forward(TimeDelta::days(61));
    call(&house, &used_op, "tongji").await.unwrap();
    measure(&house).await;
    let things = idle(&house, "authority", IdleKind::Grant).await;
    assert_eq!(things, [idle_request.as_str()]);
    assert!(!things.contains(&used_request));
    assert_eq!(idle(&house, "authority", IdleKind::Application).await, [idle_app.as_str()]);
    let authority = house.person("authority").await;
    let made =
        dispatch::propose(app, &authority, IdleKind::Grant, &idle_request, "两月未调用").await;
    let consumer = house.person("consumer").await;
    dispatch::answer(app, &consumer, &made.unwrap().id, None, "").await.unwrap();
    let request = sharing::get(app, &consumer, &idle_request).await.unwrap();
    assert_eq!(request.state, RequestState::Revoked);
    let e = call(&house, &idle_op, "tongji").await.unwrap_err();
    assert_eq!(e.code(), Code::GrantExpired);
    let made =
        dispatch::propose(app, &authority, IdleKind::Application, &idle_app, "停用").await.unwrap();
    dispatch::answer(app, &consumer, &made.id, None, "").await.unwrap();
    let stopped = app::account::application(app, &consumer, &idle_app).await.unwrap();
    assert!(!stopped.active);
}

crate::on_both!(idle_things_are_reclaimed, unused_grants_are_reclaimed);

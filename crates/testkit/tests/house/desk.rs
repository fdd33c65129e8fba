//! What the desk's pages rest on, on both control stores: outlooks and queues, guarded edits, kept data sources, rules
//! seen, sizes.

use app::catalogue::{self, Basis, Move};
use app::collection::source;
use chrono::TimeDelta;
use model::Code;
use model::code::PublishState;
use model::source::{SourceKind, SourceNew, SourceTls};
use testkit::{House, PROVIDER_ORG};

crate::on_both!(
    a_change_is_told_before_it_is_decided,
    a_withdrawn_resubmission_is_kept_and_guarded,
    sources_rest_sealed_with_their_department,
    the_house_is_measured,
);

async fn a_change_is_told_before_it_is_decided(house: House) {
    let app = &house.app;
    let provider = house.person("provider").await;
    let authority = house.person("authority").await;
    let entry = house.publish(testkit::draft("watched")).await;
    let mut draft = entry.draft.clone();
    draft.title = "新名称".into();
    catalogue::edit(app, &provider, &entry.id, draft, 1).await.unwrap();
    let queue = catalogue::queue(app, &authority, None, 10).await.unwrap().items;
    assert_eq!(queue.len(), 1);
    let seen = &queue[0].outlook;
    let changes = seen.changes.as_ref().unwrap();
    assert_eq!((changes.len(), changes[0].path.as_str()), (1, "title"));
    assert!(seen.moves.contains(&Move::Approve) && !seen.own && !seen.overdue);
    assert_eq!(seen.due.unwrap().to_string(), "2026-03-04");
    assert_eq!(seen.asked.as_ref().unwrap().actor_name, "provider");
    let own = catalogue::outlook(app, &provider, &entry.id).await.unwrap();
    assert!(own.own && own.moves == [Move::Withdraw]);
    // Who may see the live entry only learns nothing of the change.
    let consumer = house.person("consumer").await;
    let outside = catalogue::outlook(app, &consumer, &entry.id).await.unwrap();
    assert!(outside.changes.is_none() && outside.due.is_none() && outside.moves.is_empty());
    assert!(catalogue::pending(app, &consumer, &entry.id).await.unwrap().is_none());
    assert!(catalogue::working(app, &consumer, &entry.id).await.is_err());
    house.clock.forward(TimeDelta::days(3));
    let later = house.person("authority").await;
    assert!(catalogue::outlook(app, &later, &entry.id).await.unwrap().overdue);
    catalogue::step(app, &later, &entry.id, Move::Reject, "再议").await.unwrap();
    let back = catalogue::outlook(app, &provider, &entry.id).await.unwrap();
    assert_eq!(back.refused.unwrap().reason, "再议");
    assert!(back.changes.is_some() && back.due.is_none());
    let filter = model::entry::EntryFilter { refused: true, ..Default::default() };
    let refused = catalogue::list(app, &provider, &filter).await.unwrap().items;
    assert_eq!(refused.len(), 1);
}

async fn a_withdrawn_resubmission_is_kept_and_guarded(house: House) {
    let app = &house.app;
    let provider = house.person("provider").await;
    let authority = house.person("authority").await;
    let entry = house.publish(testkit::draft("kept")).await;
    let mut draft = entry.draft.clone();
    draft.title = "第一次".into();
    catalogue::edit(app, &provider, &entry.id, draft.clone(), 1).await.unwrap();
    catalogue::step(app, &authority, &entry.id, Move::Reject, "不清楚").await.unwrap();
    let (before, working) = catalogue::working(app, &provider, &entry.id).await.unwrap();
    assert_eq!(working.title, "第一次");
    draft.title = "第二次".into();
    let basis = Basis { version: 1, updated_at: Some(before.updated_at) };
    let op = house.person("provider").await;
    catalogue::edit_on(app, &op, &entry.id, draft.clone(), &basis).await.unwrap();
    let op = house.person("provider").await;
    let now = catalogue::step(app, &op, &entry.id, Move::Withdraw, "").await.unwrap();
    assert_eq!(now.publish_state, PublishState::ChangeReject);
    assert_eq!(catalogue::pending(app, &op, &entry.id).await.unwrap().unwrap().title, "第二次");
    // The version is still the same: the time tells that the form is old.
    draft.title = "旧表单".into();
    let stale = catalogue::edit_on(app, &op, &entry.id, draft, &basis).await.unwrap_err();
    assert_eq!(stale.code(), Code::Stale);
    assert!(stale.zh().contains("provider"), "{}", stale.zh());
    // Withdrawn once more it is given up.
    let op = house.person("provider").await;
    let now = catalogue::step(app, &op, &entry.id, Move::Withdraw, "").await.unwrap();
    assert_eq!(now.publish_state, PublishState::Published);
    assert!(catalogue::pending(app, &op, &entry.id).await.unwrap().is_none());
}

async fn sources_rest_sealed_with_their_department(house: House) {
    let app = &house.app;
    let provider = house.person("provider").await;
    let new = |name: &str, password: &str| SourceNew {
        org: PROVIDER_ORG.into(),
        name: name.into(),
        kind: SourceKind::Mysql,
        host: "db.example".into(),
        port: 3306,
        database: "main".into(),
        account: "reader".into(),
        password: password.into(),
        tls: SourceTls::Prefer,
    };
    let made = source::create(app, &provider, new("甲", "geheim")).await.unwrap();
    let (kept, sealed) = app.store.source_get(&made.id).await.unwrap().unwrap();
    assert_eq!(kept, made);
    assert!(sealed.starts_with("v1.") && !sealed.contains("geheim") && !sealed.contains("reader"));
    let opened = app.keys.vault().open(&format!("source:{}", made.id), &sealed).unwrap();
    assert_eq!(opened.as_slice(), b"mysql://reader:geheim@db.example:3306/main");
    let twice = source::create(app, &house.person("provider").await, new("甲", "x")).await;
    assert_eq!(twice.unwrap_err().code(), Code::Duplicate);
    let stranger = house.person("stranger").await;
    let foreign = source::create(app, &stranger, new("乙", "x")).await.unwrap_err();
    assert_eq!(foreign.code(), Code::Denied);
    assert_eq!(source::get(app, &stranger, &made.id).await.unwrap_err().code(), Code::NotFound);
    assert!(source::list(app, &stranger).await.unwrap().is_empty());
    // A new name keeps the secret; a new place needs it again.
    source::edit(app, &provider, &made.id, new("丙", "")).await.unwrap();
    assert_eq!(app.store.source_get(&made.id).await.unwrap().unwrap().1, sealed);
    let moved = SourceNew { host: "evil.example".into(), ..new("丙", "") };
    let refused = source::edit(app, &provider, &made.id, moved).await.unwrap_err();
    assert_eq!(refused.fields()[0].field, "password");
    source::remove(app, &provider, &made.id).await.unwrap();
    assert!(app.store.source_get(&made.id).await.unwrap().is_none());
}

async fn the_house_is_measured(house: House) {
    let app = &house.app;
    house.publish(testkit::draft("counted")).await;
    let admin = house.person("admin").await;
    let seen = app::overview::overview(app, &admin).await.unwrap();
    let figure = |word: &str| seen.figures.iter().find(|(w, _)| *w == word).unwrap().1;
    assert_eq!((figure("entries"), figure("items"), figure("users")), (1, 4, 12));
    assert!(seen.health.ready && seen.control_bytes > 0 && seen.documents > 0);
    let provider = house.person("provider").await;
    assert_eq!(app::overview::overview(app, &provider).await.unwrap_err().code(), Code::Denied);
    // Rules are noted once per edition.
    let officer = house.person("security").await;
    let first = app::security::in_force(app, &officer).await.unwrap();
    let again = app::security::in_force(app, &house.person("security").await).await.unwrap();
    assert_eq!((first.history.len(), &first.history), (1, &again.history));
    assert!(first.masks.iter().any(|m| m.id == "citizen-id" && m.in_effect));
}

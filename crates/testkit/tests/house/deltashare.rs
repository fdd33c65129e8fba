//! Delta Sharing in the rooms: tokens of an application, what they open, and which views are kept for how long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use app::delta::{self, Asked, DeltaTokenAsk, Named, Point, Span};
use app::halt::{self, HaltAsk};
use app::sharing;
use chrono::TimeDelta;
use futures::TryStreamExt;
use model::audit::AuditFilter;
use model::bounds::{Bounds, BoundsKind, Window};
use model::code::SyncMode;
use model::dispatch::Job;
use model::halt::{Halt, HaltKind};
use model::request::{Period, RequestNew};
use model::{Actor, Code, Op};
use testkit::House;

const TABLE: Named<'static> = Named { share: "qiantang", schema: "org-market", table: "gongdan" };

/// An application with `gongdan` granted for batch use; answers its operation, id and share application.
async fn granted(house: &House) -> (Op, String, String) {
    let mut draft = testkit::draft("gongdan");
    draft.sync_mode = SyncMode::Incremental;
    house.publish(draft).await;
    land(house, SyncMode::Full, "1,甲,1.5,2026-01-01\n2,乙,2.5,2026-01-02\n").await;
    let (op, secret) = house.application("批量应用").await;
    let consumer = house.person("consumer").await;
    let ask = RequestNew {
        entry: "gongdan".into(),
        application: secret.application.id.clone(),
        items: ["id", "name"].map(str::to_owned).to_vec(),
        scene: "批量分析".into(),
        legal_basis: String::new(),
        period: Period::Days { days: 30 },
        calls_per_day: 1000,
        area_range: String::new(),
        row_range: Default::default(),
        by_sql: true,
    };
    let request = sharing::apply(&house.app, &consumer, ask).await.unwrap();
    (op, secret.application.id, request.id)
}

async fn land(house: &House, mode: SyncMode, rows: &str) {
    let text = format!("id,name,amount,day\n{rows}");
    let run = house.collect("gongdan", "g.csv", text.as_bytes(), mode).await.unwrap();
    assert_eq!(run.quarantined, 0, "{run:?}");
}

/// A token is its owner's to make, works until it ends, and only so many at once.
async fn tokens(house: House) {
    let (_, id, _) = granted(&house).await;
    let app = &house.app;
    let consumer = house.person("consumer").await;
    for who in ["stranger", "provider"] {
        let other = house.person(who).await;
        let refused = delta::token(app, &other, &id, &DeltaTokenAsk::default()).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound, "{who}");
    }
    for days in [-1, 366] {
        let refused =
            delta::token(app, &consumer, &id, &DeltaTokenAsk { days, ..DeltaTokenAsk::default() })
                .await
                .unwrap_err();
        assert_eq!(refused.code(), Code::InvalidInput, "{days}");
    }
    let first =
        delta::token(app, &consumer, &id, &DeltaTokenAsk { days: 10, ..DeltaTokenAsk::default() })
            .await
            .unwrap();
    let profile: serde_json::Value = serde_json::from_str(&first.profile("http://x")).unwrap();
    assert_eq!(profile["bearerToken"].as_str().unwrap(), first.token);
    assert!(first.token.starts_with(delta::TOKEN) && !format!("{first:?}").contains(&first.token));
    let by = async |token: &str| {
        let found = delta::by_token(app, &house.nobody(), token).await;
        found.map(|c| c.actor.id().to_owned()).map_err(|e| e.code())
    };
    assert_eq!(by(&first.token).await, Ok(id.clone()));
    assert_eq!(by("qtds_x").await, Err(Code::SignatureMismatch));
    // Renewed: both work until the overlap is over.
    let second = delta::token(
        app,
        &consumer,
        &id,
        &DeltaTokenAsk { renew: true, ..DeltaTokenAsk::default() },
    )
    .await
    .unwrap();
    house.clock.forward(TimeDelta::hours(23));
    assert_eq!((by(&first.token).await, by(&second.token).await), (Ok(id.clone()), Ok(id.clone())));
    house.clock.forward(TimeDelta::hours(2));
    assert_eq!(
        (by(&first.token).await, by(&second.token).await),
        (Err(Code::SecretExpired), Ok(id.clone()))
    );
    // So many and no more; those that ended do not count.
    let consumer = house.person("consumer").await;
    for _ in 0..4 {
        delta::token(app, &consumer, &id, &DeltaTokenAsk { days: 1, ..DeltaTokenAsk::default() })
            .await
            .unwrap();
    }
    let refused =
        delta::token(app, &consumer, &id, &DeltaTokenAsk { days: 1, ..DeltaTokenAsk::default() })
            .await
            .unwrap_err();
    assert_eq!(refused.code(), Code::RuleBroken);
    let page = delta::page(app, &consumer, &id).await.unwrap();
    assert_eq!((page.tokens.len(), page.works.iter().filter(|w| **w).count()), (6, 5));
    assert!(!page.tokens.iter().all(|t| t.used_at.is_empty()));
    delta::revoke(app, &consumer, &id, "").await.unwrap();
    assert_eq!(by(&second.token).await, Err(Code::SecretExpired));
    // Who sees the application and does not keep it sees no tokens.
    assert_eq!(page.tables.len(), 1);
    let oauth = delta::oauth_profile(app, &consumer, &id, "http://g").await.unwrap();
    assert!(oauth.contains("http://g/oauth2/token"));
}

/// Versions stay while somebody asks for them; the rest goes, and all of it with the grant.
async fn views_come_and_go(house: House) {
    let (op, id, request) = granted(&house).await;
    let app = &house.app;
    for n in 3..6 {
        land(&house, SyncMode::Incremental, &format!("{n},丙,3.5,2026-01-0{n}\n")).await;
    }
    let ask = async |version: Option<i64>| {
        let asked = Asked { at: Point { version, timestamp: None }, ..Asked::default() };
        let op = app.op(op.actor.clone(), "10.0.0.1");
        delta::query(app, &op, &TABLE, &asked).await.unwrap()
    };
    let rows = |answer: &delta::Answer<delta::File>| -> u64 {
        answer.files.iter().map(|f| f.file.rows).sum()
    };
    for version in 0..4_i64 {
        let answer = ask(Some(version)).await;
        assert_eq!((answer.version, rows(&answer)), (version, 2 + u64::try_from(version).unwrap()));
    }
    let span = Span { from: Point { version: Some(1), timestamp: None }, ..Span::default() };
    let now = app.op(op.actor.clone(), "10.0.0.1");
    let changes = delta::changes(app, &now, &TABLE, &span).await.unwrap();
    assert_eq!(changes.files.iter().map(|c| c.file.file.rows).sum::<u64>(), 3);
    // A file is read by its address by whoever has it.
    let newest = ask(None).await;
    let file = newest.files.first().unwrap();
    let token = file.address.split_once("?t=").unwrap().1.split('&').next().unwrap();
    let reading = delta::open(app, &house.nobody(), &file.file.name, token).await.unwrap();
    let bytes = reading.bytes(app, 0..4).await.unwrap();
    assert_eq!(bytes.try_collect::<Vec<_>>().await.unwrap().concat(), b"PAR1");
    let consumer = house.person("consumer").await;
    let page = delta::page(app, &consumer, &id).await.unwrap();
    let view = page.tables[0].view.clone().unwrap();
    assert_eq!((view.version, view.rows), (3, 5));
    let held = async || app.lake.shares_held().await.unwrap();
    let before = held().await;
    app::dispatch::run_job(app, Job::Lake).await;
    assert_eq!(held().await, before, "all of it was asked for of late");
    // A day later only what is asked for, and the newest, is there. (Files of now are of no age the house's clock knows.)
    house.clock.forward(TimeDelta::days(400));
    assert_eq!(held().await, before);
    let again = delta::query(app, &app.op(op.actor.clone(), "-"), &TABLE, &Asked::default()).await;
    assert_eq!(again.unwrap_err().code(), Code::GrantExpired, "the agreement was for thirty days");
    app::dispatch::run_job(app, Job::Lake).await;
    assert_eq!(held().await, []);
    assert!(app.store.delta_views(None).await.unwrap().is_empty());
    let ended = app.store.request_get(&request).await.unwrap().unwrap();
    assert!(ended.expires_at.is_some());
}

/// A read that has begun keeps to the bounds as they are: its address works from nowhere else and in no other hours, and it has its
/// place among the calls under way while bytes of it flow, one for all its ranges.
async fn a_read_keeps_to_bounds(house: House) {
    let (op, id, _) = granted(&house).await;
    let app = &house.app;
    let ask = async || {
        let op = app.op(op.actor.clone(), "10.1.2.3");
        delta::query(app, &op, &TABLE, &Asked::default()).await
    };
    let answer = ask().await.unwrap();
    let file = answer.files.first().unwrap();
    let token = file.address.split_once("?t=").unwrap().1.split('&').next().unwrap();
    let flowing = async |source: &str| {
        let op = app.op(model::Actor::Nobody, source);
        delta::open(app, &op, &file.file.name, token).await?.bytes(app, 0..4).await
    };
    let read = async |source: &str| {
        let bytes = flowing(source).await?;
        bytes.try_collect::<Vec<_>>().await.map(|pieces| pieces.concat().len())
    };
    let bound = async |bounds: Bounds| {
        let security = house.person("security").await;
        sharing::set_bounds(app, &security, BoundsKind::Application, &id, bounds).await.unwrap();
    };
    assert_eq!(read("10.9.9.9").await.unwrap(), 4, "it begins");

    bound(Bounds { addresses: vec!["10.1.0.0/16".into()], ..Bounds::default() }).await;
    let away = read("10.9.9.9").await.unwrap_err();
    assert_eq!(
        (away.code(), away.reasons()),
        (Code::OutOfBounds, &["bounds.application.address".to_owned()][..])
    );
    assert_eq!(read("10.1.9.9").await.unwrap(), 4);
    // The house stands on a Monday.
    let closed = vec![Window::parse("6 08:00-09:00").unwrap()];
    bound(Bounds { windows: closed, ..Bounds::default() }).await;
    let late = read("10.1.9.9").await.unwrap_err();
    assert_eq!(late.reasons(), ["bounds.application.window"]);

    bound(Bounds { concurrency: Some(1), ..Bounds::default() }).await;
    let under_way = flowing("10.1.2.3").await.unwrap();
    assert_eq!(read("10.1.2.3").await.unwrap(), 4, "another range of the same read");
    let busy = ask().await.unwrap_err();
    assert_eq!(
        (busy.code(), busy.reasons()),
        (Code::RateLimited, &["bounds.application.concurrency".to_owned()][..])
    );
    drop(under_way);
    ask().await.unwrap();
    assert_eq!(read("10.1.2.3").await.unwrap(), 4);
    let auditor = house.person("auditor").await;
    let filter =
        AuditFilter { action: Some("rows.batch".into()), limit: 100, ..AuditFilter::default() };
    let records = app::audit::list(app, &auditor, &filter).await.unwrap();
    let denied = records.iter().filter(|r| r.event.reason.contains("out_of_bounds")).count();
    assert_eq!(denied, 2, "{records:?}");
}

/// Who was let in a moment before a stop is told of the stop, and not that an agreement has ended; what was made for reading is there
/// again when the stop is lifted.
async fn a_stop_is_told_as_a_stop(house: House) {
    let (op, _, _) = granted(&house).await;
    let app = &house.app;
    let Actor::Application { key, .. } = op.actor.clone() else { panic!("no application") };
    let now = || app.op(op.actor.clone(), "10.0.0.1");
    let answer = delta::query(app, &now(), &TABLE, &Asked::default()).await.unwrap();
    let file = answer.files.first().unwrap();
    let token = file.address.split_once("?t=").unwrap().1.split('&').next().unwrap();
    let held = app.lake.shares_held().await.unwrap();
    assert_eq!(held.len(), 1);
    let security = house.person("security").await;
    for (kind, name) in [(HaltKind::Application, key.as_str()), (HaltKind::Entry, "gongdan")] {
        let ask = HaltAsk { kind, name: name.into(), reason: "疑似泄露".into() };
        let stop = halt::begin(app, &security, &ask).await.unwrap();
        // Past the door: it lets nobody in who is stopped, but the stop may come a moment later.
        let refused = delta::query(app, &now(), &TABLE, &Asked::default()).await.unwrap_err();
        assert_eq!(refused.code(), Code::Halted, "{kind}: {refused}");
        assert_eq!(refused.reasons(), [format!("halt.{}", kind.as_str())]);
        let refused = delta::open(app, &house.nobody(), &file.file.name, token).await.unwrap_err();
        assert_eq!(refused.code(), Code::Halted, "{kind}: {refused}");
        let listed = delta::share(app, &now(), None).await.map_err(|e| e.code());
        match kind {
            HaltKind::Application => assert_eq!(listed, Err(Code::Halted)),
            _ => assert_eq!(listed, Ok(None), "its only table"),
        }
        app::dispatch::run_job(app, Job::Lake).await;
        assert_eq!(app.lake.shares_held().await.unwrap(), held, "{kind}: it waits");
        halt::lift(app, &security, &stop.id, "已排查").await.unwrap();
        let reading = delta::open(app, &house.nobody(), &file.file.name, token).await.unwrap();
        let bytes = reading.bytes(app, 0..4).await.unwrap();
        assert_eq!(bytes.try_collect::<Vec<_>>().await.unwrap().concat(), b"PAR1", "{kind}");
    }
}

/// Stops that begin and are lifted at any moment of a call: it is answered, or told of a stop, and nothing else.
async fn stops_at_any_moment(house: House) {
    let (op, id, _) = granted(&house).await;
    let app = &house.app;
    let now = || app.op(op.actor.clone(), "10.0.0.1");
    let answer = delta::query(app, &now(), &TABLE, &Asked::default()).await.unwrap();
    let file = answer.files.first().unwrap();
    let token = file.address.split_once("?t=").unwrap().1.split('&').next().unwrap();
    let entry = app.store.entry_get("gongdan").await.unwrap().unwrap().id;
    let ended = Arc::new(AtomicBool::new(false));
    let flips = {
        let (app, ended) = (Arc::clone(app), Arc::clone(&ended));
        let stop = |kind: HaltKind, holder: String| Halt {
            id: "h".into(),
            kind: kind.as_str().to_owned(),
            holder,
            ..Halt::default()
        };
        let stops = [stop(HaltKind::Application, id), stop(HaltKind::Entry, entry)];
        std::thread::spawn(move || {
            for stop in stops.iter().cycle() {
                app.policy.halt(vec![stop.clone()]);
                std::thread::yield_now();
                app.policy.halt(Vec::new());
                std::thread::yield_now();
                if ended.load(Ordering::Relaxed) {
                    break;
                }
            }
        })
    };
    let mut stopped = 0;
    for _ in 0..300 {
        let asked = delta::version(app, &now(), &TABLE, None).await.map(|_| ());
        let opened = delta::open(app, &house.nobody(), &file.file.name, token).await.map(|_| ());
        for refused in [asked, opened].into_iter().filter_map(Result::err) {
            assert_eq!(refused.code(), Code::Halted, "{refused}");
            stopped += 1;
        }
    }
    ended.store(true, Ordering::Relaxed);
    flips.join().unwrap();
    assert!(stopped > 0, "some calls met a stop");
    delta::version(app, &now(), &TABLE, None).await.unwrap();
}

crate::on_both!(
    tokens,
    views_come_and_go,
    a_read_keeps_to_bounds,
    a_stop_is_told_as_a_stop,
    stops_at_any_moment
);

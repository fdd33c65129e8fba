//! Deliveries into real databases and a folder: what was agreed for batch use comes at agreed times, all of it or what has changed,
//! and each time leaves a receipt that is held against what the target says itself.

use std::sync::Arc;
use std::time::Duration;

use app::delivery::{self, DeliveryView};
use app::evidence::{self, Statement};
use app::halt::{self, HaltAsk};
use app::{App, sharing};
use chrono::TimeDelta;
use guard::evidence::PublicKey;
use model::audit::{AuditFilter, AuditRecord};
use model::bounds::{Bounds, BoundsKind, SubjectBound};
use model::code::SyncMode;
use model::delivery::{
    DeliveryKind, DeliveryNew, DeliveryPace, DeliveryPlan, DeliveryReceipt, DeliveryState,
    DeliveryTurn, DeliveryTurnState,
};
use model::halt::HaltKind;
use model::request::Request;
use model::source::SourceKind;
use model::{Code, Op};
use testkit::{House, MariaDb, Postgres, person_draft};

use crate::outway::{
    AT_MARIADB, AT_POSTGRES, PEOPLE, at_mariadb, batch, database, firms, land, land_text,
    of_region, receiver, settle,
};
use crate::railway::{Source, Table, differs, proxy, until};

const ITEMS: [&str; 5] = ["id", "name", "amount", "day", "region_code"];

/// A delivery every night at three.
pub(crate) fn nightly(request: &Request, source: &str, mode: SyncMode) -> DeliveryNew {
    DeliveryNew {
        request: request.id.clone(),
        kind: DeliveryKind::Database,
        source: source.into(),
        place: String::new(),
        table: String::new(),
        items: Vec::new(),
        area: String::new(),
        purpose: String::new(),
        mode,
        plan: DeliveryPlan {
            pace: DeliveryPace::Period,
            at: String::new(),
            cron: "0 3 * * *".into(),
            workdays: false,
        },
    }
}

/// Has turns taken up, as the worker does.
pub(crate) fn working(app: &Arc<App>) -> tokio::task::JoinHandle<()> {
    let app = Arc::clone(app);
    tokio::spawn(async move {
        loop {
            delivery::tick(&app).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
}

pub(crate) async fn seen(house: &House, id: &str) -> DeliveryView {
    delivery::get(&house.app, &Op::system(house.app.now()), id).await.unwrap()
}

async fn newest(house: &House, id: &str) -> Option<DeliveryTurn> {
    let system = Op::system(house.app.now());
    let turns = delivery::turns(&house.app, &system, id, None, 1).await.unwrap();
    turns.items.into_iter().next()
}

/// Waits until the `n`th turn is so.
pub(crate) async fn turn(
    house: &House,
    id: &str,
    n: u64,
    state: DeliveryTurnState,
) -> DeliveryTurn {
    until(state.as_str(), async || {
        let system = Op::system(house.app.now());
        let turns = delivery::turns(&house.app, &system, id, None, 200).await.unwrap().items;
        let newest = turns.first().cloned();
        match newest.filter(|turn| turns.len() as u64 == n && turn.state == state) {
            Some(turn) => Ok(turn),
            None => Err(format!("{turns:?}")),
        }
    })
    .await
}

/// Waits until the `n`th turn is delivered; its receipt.
pub(crate) async fn delivered(house: &House, id: &str, n: u64) -> DeliveryReceipt {
    turn(house, id, n, DeliveryTurnState::Done).await.receipt.unwrap()
}

/// The target holds what the lake shows of a region.
pub(crate) async fn level(house: &House, region: &str, there: &Table) {
    let here = of_region(&house.app, "firms", region).await;
    assert_eq!(differs(&here, there), None, "{region}");
}

pub(crate) async fn records(house: &House, action: &str) -> Vec<AuditRecord> {
    let auditor = house.person("auditor").await;
    let filter = AuditFilter { action: Some(action.into()), limit: 500, ..AuditFilter::default() };
    app::audit::list(&house.app, &auditor, &filter).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_agreed_comes_at_its_time_and_leaves_receipts() {
    let (cluster, server) = (Postgres::start(), MariaDb::start());
    let _ = cluster.database("city");
    receiver(&server);
    let house = House::new().await;
    settle(&house).await;
    firms(&house).await;
    let app = &house.app;
    let (hangzhou, ningbo) = (house.person("hangzhou").await, house.person("ningbo").await);
    let asked = batch(&house, "hangzhou", "firms", &ITEMS, "330100").await;
    let theirs = batch(&house, "ningbo", "firms", &ITEMS, "330200").await;
    let city = database(&house, "hangzhou", SourceKind::Postgres, cluster.port(), "city").await;
    let other = database(&house, "ningbo", SourceKind::Mysql, server.port, "d").await;

    // Nobody makes one for others, from others' agreements, or into others' databases; and not without batch use agreed.
    for (who, request, source) in [
        ("ningbo", &asked, &other),
        ("hangzhou", &asked, &other),
        ("stranger", &asked, &city),
        ("provider", &asked, &city),
        ("authority", &asked, &city),
        ("citizen", &asked, &city),
    ] {
        let op = house.person(who).await;
        let new = nightly(request, source, SyncMode::Full);
        let refused = delivery::create(app, &op, &new).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound, "{who}: {refused}");
    }
    let single = crate::outway::agreed(&house, "hangzhou", "firms", &ITEMS).await;
    let new = nightly(&single, &city, SyncMode::Full);
    assert_eq!(delivery::create(app, &hangzhou, &new).await.unwrap_err().code(), Code::NoGrant);
    let offers = delivery::offers(app, &hangzhou, None, 0).await.unwrap().items;
    assert!(offers.len() == 1 && offers[0].fault.is_none(), "{offers:?}");
    let mut new = nightly(&asked, &city, SyncMode::Incremental);
    new.plan.cron = "每天".into();
    let wrong = delivery::create(app, &hangzhou, &new).await.unwrap_err();
    assert_eq!(wrong.fields()[0].field, "cron", "{wrong:?}");
    let beyond = DeliveryNew { area: "330200".into(), ..nightly(&asked, &city, SyncMode::Full) };
    assert_eq!(delivery::check(app, &hangzhou, &beyond).await.unwrap_err().code(), Code::NoGrant);
    new.plan.cron = "0 3 * * *".into();
    let outline = delivery::check(app, &hangzhou, &new).await.unwrap();
    assert_eq!((outline.area.as_str(), outline.survey.faults.len()), ("330100", 0), "{outline:?}");
    assert_eq!(outline.first.as_deref(), Some("2026-03-02T19:00:00.000Z"));
    assert!(outline.columns.iter().any(|(name, _, mask, _)| name == "name" && mask == "keep(1,0)"));

    let made = delivery::create(app, &hangzhou, &new).await.unwrap();
    assert_eq!(made.delivery.state, DeliveryState::Draft);
    let mut once = nightly(&theirs, &other, SyncMode::Full);
    (once.plan.pace, once.plan.cron) = (DeliveryPace::Once, String::new());
    let to_ningbo = delivery::create(app, &ningbo, &once).await.unwrap();
    let twice = delivery::create(app, &hangzhou, &new).await.unwrap_err();
    assert_eq!(twice.code(), Code::Duplicate, "{twice}");
    let (id, id_ningbo) = (made.delivery.id.as_str(), to_ningbo.delivery.id.as_str());
    assert_eq!(delivery::run(app, &hangzhou, id).await.unwrap_err().code(), Code::WrongState);
    let working = working(app);

    // Published: the one that goes once goes now and has ended; the other waits for three in the night.
    delivery::resume(app, &ningbo, id_ningbo).await.unwrap();
    delivery::resume(app, &hangzhou, id).await.unwrap();
    let first = delivered(&house, id_ningbo, 1).await;
    assert_eq!((first.mode, first.upserts, first.target_rows), (SyncMode::Full, 500, Some(500)));
    let mariadb = async || at_mariadb(server.port, AT_MARIADB).await.unwrap();
    level(&house, "3302", &mariadb().await).await;
    assert_eq!(seen(&house, id_ningbo).await.delivery.state, DeliveryState::Ended);
    let waiting = seen(&house, id).await;
    assert_eq!(waiting.delivery.state, DeliveryState::Waiting);
    assert_eq!(
        (waiting.due.as_str(), newest(&house, id).await),
        ("2026-03-02T19:00:00.000Z", None)
    );
    house.clock.forward(TimeDelta::hours(20));
    let first = delivered(&house, id, 1).await;
    assert_eq!((first.mode, first.from, first.upserts), (SyncMode::Full, None, 750));
    assert_eq!((first.deletes, first.target_rows), (0, Some(750)));
    let source = Source::open(cluster.port(), "city").await;
    let rows = source.table(AT_POSTGRES).await;
    level(&house, "3301", &rows).await;
    assert!(rows.values().all(|row| row[1].as_deref().is_some_and(|name| name.ends_with('*'))));
    assert_eq!(seen(&house, id).await.delivery.state, DeliveryState::Going);

    // Changed, new, gone, in and out of the area: the next night brings the difference and no more.
    land(
        &house,
        "firms",
        SyncMode::Incremental,
        &[
            ("U", 1, "改名", 777, "330106"),
            ("I", 5001, "新", 1, "330106"),
            ("D", 2, "", 0, "330110"),
            ("U", 7, "迁往宁波", 7, "330203"),
            ("U", 3, "迁来杭州", 3, "330110"),
            ("D", 9, "", 0, "330200"),
        ],
    )
    .await;
    house.clock.forward(TimeDelta::days(1));
    let second = delivered(&house, id, 2).await;
    assert_eq!((second.mode, second.from), (SyncMode::Incremental, first.version));
    assert_eq!((second.upserts, second.deletes, second.target_rows), (3, 2, Some(750)));
    level(&house, "3301", &source.table(AT_POSTGRES).await).await;
    // Nights in which nothing changed, one of them missed: a receipt that says so.
    house.clock.forward(TimeDelta::days(2));
    let quiet = turn(&house, id, 3, DeliveryTurnState::Done).await;
    assert_eq!(quiet.missed, 1);
    let quiet = quiet.receipt.unwrap();
    assert_eq!((quiet.upserts, quiet.deletes, quiet.sha256.as_str()), (0, 0, ""));
    assert_eq!((quiet.version, quiet.target_rows), (second.version, Some(750)));
    // By hand, all of it again; what goes once stays ended.
    delivery::run(app, &ningbo, id_ningbo).await.unwrap();
    assert_eq!(delivered(&house, id_ningbo, 2).await.target_rows, Some(499));
    level(&house, "3302", &mariadb().await).await;
    assert_eq!(seen(&house, id_ningbo).await.delivery.state, DeliveryState::Ended);

    // The receipt is checked without the platform, and says what was kept.
    let turn_id = newest(&house, id).await.unwrap().id;
    let statement = delivery::receipt(app, &hangzhou, id, &turn_id).await.unwrap();
    let keys: Vec<PublicKey> = evidence::keys(app).iter().map(|key| key.read().unwrap()).collect();
    let Statement::Delivery(read) = evidence::read(&statement, &keys).unwrap() else { panic!() };
    assert_eq!(*read, quiet);
    let torn = statement.replacen('.', ".A", 1);
    assert!(evidence::read(&torn, &keys).is_err());

    // Both sides held against each other, row by row; what differs is mended by bringing all anew.
    for id in [id, id_ningbo] {
        let check = delivery::compare(app, &Op::system(app.now()), id).await.unwrap();
        assert!(check.equal && check.target_rows == check.granted_rows, "{check:?}");
        assert_eq!((check.missing, check.extra, check.different), (Some(0), Some(0), Some(0)));
    }
    source
        .run("DELETE FROM firms WHERE id IN (1, 6); UPDATE firms SET amount = 0 WHERE id = 12; INSERT INTO firms SELECT 99999, name, amount, day, region_code FROM firms WHERE id = 12")
        .await;
    let check = delivery::compare(app, &hangzhou, id).await.unwrap();
    assert!(!check.equal && check.target_sum != check.granted_sum, "{check:?}");
    assert_eq!((check.missing, check.extra, check.different), (Some(2), Some(1), Some(1)));
    delivery::anew(app, &hangzhou, id).await.unwrap();
    assert_eq!(delivered(&house, id, 4).await.mode, SyncMode::Full);
    level(&house, "3301", &source.table(AT_POSTGRES).await).await;
    assert!(delivery::compare(app, &hangzhou, id).await.unwrap().equal);
    assert!(seen(&house, id).await.checked.unwrap().equal);

    // Others see nothing of it; those whose data go, and the authority, see that they do.
    for who in ["ningbo", "stranger", "consumer", "citizen", "auditor"] {
        let op = house.person(who).await;
        assert_eq!(delivery::get(app, &op, id).await.unwrap_err().code(), Code::NotFound, "{who}");
        for done in [
            delivery::pause(app, &op, id).await,
            delivery::resume(app, &op, id).await,
            delivery::run(app, &op, id).await,
            delivery::anew(app, &op, id).await,
            delivery::remove(app, &op, id, true).await,
            delivery::compare(app, &op, id).await.map(drop),
            delivery::turns(app, &op, id, None, 0).await.map(drop),
            delivery::receipt(app, &op, id, &turn_id).await.map(drop),
        ] {
            assert_eq!(done.unwrap_err().code(), Code::NotFound, "{who}");
        }
    }
    for who in ["provider", "authority"] {
        let op = house.person(who).await;
        assert!(!delivery::get(app, &op, id).await.unwrap().keeps);
        delivery::receipt(app, &op, id, &turn_id).await.unwrap();
        assert_eq!(delivery::run(app, &op, id).await.unwrap_err().code(), Code::Denied, "{who}");
    }
    // A receipt is of its delivery only.
    let mixed = delivery::receipt(app, &ningbo, id_ningbo, &turn_id).await.unwrap_err();
    assert_eq!(mixed.code(), Code::NotFound);

    // Each piece has its record before it goes, without values; a turn is one call; the meter follows.
    let (calls, more) =
        (records(&house, "rows.batch").await, records(&house, "rows.batch.end").await);
    let ours = |all: &[AuditRecord]| -> Vec<AuditRecord> {
        all.iter().filter(|r| r.event.request == asked.id).cloned().collect()
    };
    let (calls, more) = (ours(&calls), ours(&more));
    assert_eq!(calls.len(), 3, "three turns brought something: {calls:?}");
    assert!(calls.iter().all(|r| {
        let e = &r.event;
        e.masks.contains("name=keep(1,0)") && e.way == "batch" && e.purpose == "批量比对"
    }));
    let sent: u64 = calls.iter().chain(&more).map(|r| r.event.rows).sum();
    let figures = seen(&house, id).await.figures;
    assert_eq!(figures.upserts + figures.deletes, sent);
    assert!(!serde_json::to_string(&calls).unwrap().contains("企业"));
    let auditor = house.person("auditor").await;
    let counted = app::usage::check(app, &auditor).await.unwrap();
    assert!(counted.agrees && counted.calls > 0, "{counted:?}");
    assert_eq!(records(&house, "delivery.receipt").await.len(), 6);

    // Revoked: the next turn finds it so, the delivery stops and says so, and who keeps it is told.
    sharing::revoke(app, &house.person("provider").await, &asked.id, "超范围使用").await.unwrap();
    land(&house, "firms", SyncMode::Incremental, &[("I", 8000, "后来", 1, "330106")]).await;
    assert_eq!(delivery::run(app, &hangzhou, id).await.unwrap_err().code(), Code::GrantExpired);
    house.clock.forward(TimeDelta::days(1));
    turn(&house, id, 5, DeliveryTurnState::Failed).await;
    let stopped = seen(&house, id).await;
    assert_eq!((stopped.delivery.state, stopped.due.as_str()), (DeliveryState::Stopped, ""));
    assert!(stopped.delivery.zh.contains("授权"), "{stopped:?}");
    assert!(!source.table(AT_POSTGRES).await.contains_key("8000"));
    assert_eq!(delivery::resume(app, &hangzhou, id).await.unwrap_err().code(), Code::GrantExpired);
    let notices = app::notice::list(app, &hangzhou, true, None, 0).await.unwrap().items;
    assert!(
        notices.iter().any(|n| n.kind == "delivery.stopped" && n.href.contains(id)),
        "{notices:?}"
    );
    delivery::remove(app, &hangzhou, id, false).await.unwrap();
    assert_eq!(source.one("SELECT count(*) FROM qiantang_outflow").await, "0");
    assert_ne!(source.one("SELECT count(*) FROM firms").await, "0", "what was delivered stays");
    delivery::stop(app).await;
    working.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_waits_for_its_target_and_for_a_stop_to_be_lifted() {
    let cluster = Postgres::start();
    let _ = cluster.database("city");
    // With the control store on PostgreSQL, too.
    let house = House::on(&cluster.database("control")).await;
    settle(&house).await;
    firms(&house).await;
    let app = &house.app;
    let hangzhou = house.person("hangzhou").await;
    let asked = batch(&house, "hangzhou", "firms", &ITEMS, "330100").await;
    let (port, way) = proxy(cluster.port()).await;
    let city = database(&house, "hangzhou", SourceKind::Postgres, port, "city").await;
    let new = DeliveryNew {
        area: "330106".into(),
        items: vec!["id".into(), "amount".into()],
        table: "own".into(),
        ..nightly(&asked, &city, SyncMode::Incremental)
    };
    let made = delivery::create(app, &hangzhou, &new).await.unwrap();
    let id = made.delivery.id.as_str();
    delivery::resume(app, &hangzhou, id).await.unwrap();
    let working = working(app);

    // The target is away: tried again until it is back; who keeps it is told.
    way.cut();
    delivery::run(app, &hangzhou, id).await.unwrap();
    let waits = turn(&house, id, 1, DeliveryTurnState::Retrying).await;
    assert!(waits.failures > 0 && !waits.zh.is_empty(), "{waits:?}");
    let again = delivery::run(app, &hangzhou, id).await.unwrap_err();
    assert_eq!(again.code(), Code::WrongState, "{again}");
    let notices = app::notice::list(app, &hangzhou, true, None, 0).await.unwrap().items;
    assert!(notices.iter().any(|n| n.kind == "delivery.failed"), "{notices:?}");
    way.lead(cluster.port());
    let first = delivered(&house, id, 1).await;
    assert_eq!((first.columns.as_str(), first.target_rows), ("id,amount", Some(250)));
    let source = Source::open(cluster.port(), "city").await;
    assert_eq!(source.one("SELECT count(*) FROM own WHERE amount > 0").await, "250");

    // Stopped by a person, in the middle of things: nothing goes until it goes on, and then from where it stands.
    land(&house, "firms", SyncMode::Incremental, &[("U", 1, "甲", 42, "330106")]).await;
    delivery::pause(app, &hangzhou, id).await.unwrap();
    assert_eq!(delivery::pause(app, &hangzhou, id).await.unwrap_err().code(), Code::WrongState);
    house.clock.forward(TimeDelta::days(1));
    for _ in 0..10 {
        delivery::tick(app).await.unwrap();
    }
    assert_eq!(seen(&house, id).await.figures.delivered, 1);
    delivery::resume(app, &hangzhou, id).await.unwrap();
    house.clock.forward(TimeDelta::days(1));
    let second = delivered(&house, id, 2).await;
    assert_eq!((second.mode, second.upserts), (SyncMode::Incremental, 1));

    // An emergency stop is waited for, however long, and does not count as a failure.
    land(&house, "firms", SyncMode::Incremental, &[("U", 1, "甲", 43, "330106")]).await;
    let application = app.store.application_get(&asked.application).await.unwrap().unwrap();
    let ask = HaltAsk {
        kind: HaltKind::Application,
        name: application.key.clone(),
        reason: "疑似泄露".into(),
    };
    let halt = halt::begin(app, &house.person("security").await, &ask).await.unwrap();
    house.clock.forward(TimeDelta::days(1));
    let waits = turn(&house, id, 3, DeliveryTurnState::Retrying).await;
    assert!(waits.failures == 0 && waits.zh.contains("紧急停用"), "{waits:?}");
    assert_eq!(source.one("SELECT amount FROM own WHERE id = 1").await, "0.42");
    let authority = house.person("authority").await;
    halt::lift(app, &authority, &halt.id, "已排查").await.unwrap();
    assert_eq!(delivered(&house, id, 3).await.upserts, 1);
    assert_eq!(source.one("SELECT amount FROM own WHERE id = 1").await, "0.43");
    delivery::stop(app).await;
    working.abort();
}

/// A delivery keeps to hours, to addresses and to what is asked one by one: its turn waits, says which bound it is, and brings nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_turn_keeps_to_bounds() {
    let cluster = Postgres::start();
    let _ = cluster.database("city");
    let house = House::new().await;
    settle(&house).await;
    firms(&house).await;
    let app = &house.app;
    let hangzhou = house.person("hangzhou").await;
    let asked = batch(&house, "hangzhou", "firms", &ITEMS, "330100").await;
    let city = database(&house, "hangzhou", SourceKind::Postgres, cluster.port(), "city").await;
    let new = nightly(&asked, &city, SyncMode::Full);
    let entry = app.store.entry_get("firms").await.unwrap().unwrap().id;
    let bound = async |bounds: Bounds| {
        let set = crate::bounding::set(&house, "security", BoundsKind::Entry, &entry, bounds);
        set.await.unwrap();
    };
    let counted = || Bounds {
        subject: Some(SubjectBound { item: "id".into(), per_day: 3 }),
        ..Bounds::default()
    };
    bound(counted()).await;
    let refused = delivery::create(app, &hangzhou, &new).await.unwrap_err();
    assert_eq!(refused.reasons(), ["bounds.entry.subject-bulk"], "{refused}");
    bound(Bounds::default()).await;
    let made = delivery::create(app, &hangzhou, &new).await.unwrap();
    let id = made.delivery.id.as_str();
    delivery::resume(app, &hangzhou, id).await.unwrap();
    let source = Source::open(cluster.port(), "city").await;
    let rows = async || source.one("SELECT count(*) FROM firms").await;

    // The house stands on a Monday.
    bound(Bounds { windows: crate::bounding::windows(&["6 08:00-09:00"]), ..Bounds::default() })
        .await;
    let working = working(app);
    delivery::run(app, &hangzhou, id).await.unwrap();
    let waits = turn(&house, id, 1, DeliveryTurnState::Retrying).await;
    assert!(waits.failures == 0 && waits.zh.contains("时段"), "{waits:?}");
    assert_eq!(seen(&house, id).await.figures.delivered, 0);
    bound(Bounds { addresses: vec!["127.0.0.0/8".into()], ..Bounds::default() }).await;
    delivered(&house, id, 1).await;
    let first = rows().await;
    assert_ne!(first, "0");

    bound(Bounds { addresses: vec!["10.1.0.0/16".into()], ..Bounds::default() }).await;
    land(&house, "firms", SyncMode::Incremental, &[("I", 90_001, "后来", 1, "330106")]).await;
    delivery::run(app, &hangzhou, id).await.unwrap();
    let waits = turn(&house, id, 2, DeliveryTurnState::Retrying).await;
    assert!(waits.failures == 0 && waits.zh.contains("127.0.0.1"), "{waits:?}");
    assert_eq!(rows().await, first);
    let denied = records(&house, "rows.batch").await;
    let denied = denied.iter().filter(|r| r.event.reason.contains("out_of_bounds")).count();
    assert!(denied >= 2, "{denied}");
    bound(Bounds::default()).await;
    delivered(&house, id, 2).await;
    assert_ne!(rows().await, first);
    delivery::stop(app).await;
    working.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_with_masked_keys_come_into_a_table_and_a_folder() {
    let server = MariaDb::start();
    receiver(&server);
    let house = House::new().await;
    settle(&house).await;
    let app = &house.app;
    house.publish(person_draft("renkou")).await;
    land_text(&house, "renkou", SyncMode::Full, PEOPLE).await;
    let hangzhou = house.person("hangzhou").await;
    let asked = batch(&house, "hangzhou", "renkou", &["sfzh", "xm"], "").await;
    let city = database(&house, "hangzhou", SourceKind::Mysql, server.port, "d").await;
    let new = nightly(&asked, &city, SyncMode::Incremental);
    let table = delivery::create(app, &hangzhou, &new).await.unwrap().delivery.id;
    let place = house.folder().join("exchange").join("hangzhou");
    std::fs::create_dir_all(&place).unwrap();
    let mut new =
        DeliveryNew { kind: DeliveryKind::Folder, source: String::new(), place: "/".into(), ..new };
    let outside = delivery::create(app, &hangzhou, &new).await.unwrap_err();
    assert_eq!(outside.fields()[0].field, "place", "{outside:?}");
    new.place = place.to_string_lossy().into_owned();
    let folder = delivery::create(app, &hangzhou, &new).await.unwrap().delivery.id;
    for id in [&table, &folder] {
        delivery::resume(app, &hangzhou, id).await.unwrap();
        delivery::run(app, &hangzhou, id).await.unwrap();
    }
    let working = working(app);
    let first = delivered(&house, &table, 1).await;
    assert_eq!((first.upserts, first.target_rows), (2, Some(2)));
    let rows =
        async || at_mariadb(server.port, "SELECT qt_row, sfzh, xm FROM renkou").await.unwrap();
    let before = rows().await;
    let text = format!("{before:?}");
    assert!(text.contains("张**") && !text.contains("11010519491231002X"), "{text}");

    // The file bears the versions it lies between; beside it manifest, signature and done-file.
    let written = delivered(&house, &folder, 1).await;
    let read = |name: &str| std::fs::read_to_string(place.join(name)).unwrap();
    let version = written.version.unwrap();
    assert_eq!(written.table, format!("renkou-full-v{version}.csv"));
    let text = read(&written.table);
    assert!(text.starts_with("qt_row,sfzh,xm\n") && text.contains("李*"), "{text}");
    assert!(!text.contains("440524188001010014"), "{text}");
    assert_eq!(guard::hash::sha256_hex(text.as_bytes()), written.sha256);
    let manifest: serde_json::Value =
        serde_json::from_str(&read(&format!("{}.manifest.json", written.table))).unwrap();
    assert_eq!(
        (manifest["rows"].as_u64(), manifest["bytes"].as_u64()),
        (Some(2), Some(written.bytes))
    );
    let key = guard::envelope::sm2_signer(&app.keys).unwrap().public_hex();
    let sm3 = guard::hash::sm3_hex(text.as_bytes());
    let signature = read(&format!("{}.sm2sig", written.table));
    assert!(guard::envelope::sm2_verifies(&key, &signature, &sm3));
    assert_eq!(read(&format!("{}.done", written.table)), "");

    // Changed and gone, by rows whose key does not go out.
    let changes = "op,sfzh,xm,sjh,csrq,region_code\n\
        U,440524188001010014,王五六七,13900139000,1880-01-01,330110\nD,11010519491231002X,,,,330106\n";
    land_text(&house, "renkou", SyncMode::Incremental, changes).await;
    for id in [&table, &folder] {
        delivery::run(app, &hangzhou, id).await.unwrap();
    }
    let second = delivered(&house, &table, 2).await;
    assert_eq!((second.mode, second.upserts, second.deletes), (SyncMode::Incremental, 1, 1));
    let after = rows().await;
    assert!(after.len() == 1 && after.keys().all(|key| before.contains_key(key)), "{after:?}");
    let written = delivered(&house, &folder, 2).await;
    let to = written.version.unwrap();
    assert_eq!(written.table, format!("renkou-v{version}-v{to}.csv"));
    let text = read(&written.table);
    assert!(text.starts_with("qt_operation,qt_row,sfzh,xm\n") && text.contains("王***"), "{text}");
    assert!(text.lines().any(|line| line.starts_with("D,")) && text.lines().count() == 3, "{text}");

    // As it lies there it is what the receipt says, until somebody changes it; brought anew, all of it comes.
    for id in [&table, &folder] {
        let check = delivery::compare(app, &hangzhou, id).await.unwrap();
        assert!(check.equal, "{check:?}");
    }
    std::fs::write(place.join(&written.table), "changed\n").unwrap();
    let check = delivery::compare(app, &hangzhou, &folder).await.unwrap();
    assert!(!check.equal && check.target_rows == 0, "{check:?}");
    delivery::anew(app, &hangzhou, &folder).await.unwrap();
    let healed = delivered(&house, &folder, 3).await;
    assert_eq!((healed.mode, healed.table), (SyncMode::Full, format!("renkou-full-v{to}.csv")));
    assert!(delivery::compare(app, &hangzhou, &folder).await.unwrap().equal);
    // What another organisation exchanges files by is nobody else's.
    let provider = house.person("provider").await;
    let theirs = house.folder().join("exchange").join("theirs");
    std::fs::create_dir_all(&theirs).unwrap();
    let exchange = model::exchange::ExchangeNew {
        name: "收件".into(),
        peer: "市局".into(),
        entry: "renkou".into(),
        place: theirs.to_string_lossy().into_owned(),
        ..model::exchange::ExchangeNew::default()
    };
    app::exchange::create(app, &provider, exchange).await.unwrap();
    let new =
        DeliveryNew { place: theirs.to_string_lossy().into_owned(), table: "x".into(), ..new };
    let refused = delivery::create(app, &hangzhou, &new).await.unwrap_err();
    assert_eq!(refused.fields()[0].field, "place", "{refused:?}");
    delivery::stop(app).await;
    working.abort();
}

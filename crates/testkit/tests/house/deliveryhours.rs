//! A delivery whose hours are over while it is in the middle of a turn: what was brought by then is taken back, the turn says why it
//! waits, and within the hours everything comes, once.

use app::delivery;
use chrono::TimeDelta;
use model::bounds::{Bounds, BoundsKind};
use model::code::SyncMode;
use model::delivery::DeliveryTurnState;
use model::source::SourceKind;
use testkit::{House, Postgres};

use crate::delivery::{delivered, level, nightly, records, seen, turn, working};
use crate::outway::{AT_POSTGRES, batch, database, firms, land, settle};
use crate::railway::{Source, until};

/// What the target says of the flow: where it stands, and what was committed altogether.
const STANDS: &str =
    "SELECT position || ' upserts ' || upserts || ' deletes ' || deletes FROM qiantang_outflow";
const WAITS: &str =
    "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'firms'::regclass";

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_cut_off_by_its_hours_leaves_nothing_half() {
    let cluster = Postgres::start();
    let _ = cluster.database("city");
    let house = House::new().await;
    settle(&house).await;
    firms(&house).await;
    let app = &house.app;
    let hangzhou = house.person("hangzhou").await;
    let items = ["id", "name", "amount", "day", "region_code"];
    let asked = batch(&house, "hangzhou", "firms", &items, "330100").await;
    let city = database(&house, "hangzhou", SourceKind::Postgres, cluster.port(), "city").await;
    let mut new = nightly(&asked, &city, SyncMode::Incremental);
    // Turns are asked for here, and no other comes between.
    new.plan.cron = "0 3 1 12 *".into();
    let made = delivery::create(app, &hangzhou, &new).await.unwrap();
    let id = made.delivery.id.as_str();
    delivery::resume(app, &hangzhou, id).await.unwrap();

    // The house stands on a Monday at nine.
    let windows = crate::bounding::windows(&["1-5 08:00-12:00"]);
    let entry = app.store.entry_get("firms").await.unwrap().unwrap().id;
    let bounds = Bounds { windows, ..Bounds::default() };
    crate::bounding::set(&house, "security", BoundsKind::Entry, &entry, bounds).await.unwrap();
    let working = working(app);
    delivery::run(app, &hangzhou, id).await.unwrap();
    assert_eq!(delivered(&house, id, 1).await.upserts, 750);
    let source = Source::open(cluster.port(), "city").await;
    let (before, stood) = (source.table(AT_POSTGRES).await, source.one(STANDS).await);
    assert!(stood.ends_with("upserts 750 deletes 0"), "{stood}");

    // The receiver is busy with its table: the turn has told its rows, is among them, and noon passes.
    let changes = [
        ("U", 1, "改名", 777, "330106"),
        ("I", 5001, "新", 1, "330106"),
        ("D", 2, "", 0, "330110"),
        ("U", 7, "迁往宁波", 7, "330203"),
    ];
    land(&house, "firms", SyncMode::Incremental, &changes).await;
    let busy = Source::open(cluster.port(), "city").await;
    busy.run("BEGIN; LOCK TABLE firms IN SHARE MODE").await;
    delivery::run(app, &hangzhou, id).await.unwrap();
    until("the turn waits for the table", async || match source.one(WAITS).await.as_str() {
        "0" => Err("not there yet".to_owned()),
        _ => Ok(()),
    })
    .await;
    let told = async || -> Vec<u64> {
        let calls = records(&house, "rows.batch").await;
        let ours = calls.iter().filter(|r| r.event.request == asked.id && r.event.rows > 0);
        ours.map(|r| r.event.rows).collect()
    };
    assert_eq!(told().await, [4, 750], "a piece has its record before it goes");
    house.clock.forward(TimeDelta::hours(4));
    busy.run("COMMIT").await;
    let waits = turn(&house, id, 2, DeliveryTurnState::Retrying).await;
    assert_eq!((waits.failures, waits.receipt.is_none()), (0, true), "{waits:?}");
    assert!(waits.zh.contains("时段") && waits.zh.contains("2026-03-03 08:00"), "{waits:?}");
    assert!(waits.en.contains("2026-03-03 08:00"), "{waits:?}");
    assert_eq!(source.table(AT_POSTGRES).await, before, "nothing half is left");
    assert_eq!(source.one(STANDS).await, stood);
    assert_eq!(seen(&house, id).await.figures.delivered, 1);
    // However often it is looked at, it stays so; what was let in by then is all that was told.
    for _ in 0..3 {
        delivery::tick(app).await.unwrap();
    }
    assert_eq!(told().await, [4, 750]);

    // The next morning, by itself: all of it, once.
    house.clock.forward(TimeDelta::hours(20));
    let second = delivered(&house, id, 2).await;
    assert_eq!((second.mode, second.upserts, second.deletes), (SyncMode::Incremental, 2, 2));
    let now = source.one(STANDS).await;
    assert!(now.ends_with("upserts 752 deletes 2"), "{now}");
    level(&house, "3301", &source.table(AT_POSTGRES).await).await;
    assert!(delivery::compare(app, &hangzhou, id).await.unwrap().equal);
    assert_eq!(told().await, [4, 4, 750]);
    assert_eq!(seen(&house, id).await.figures.delivered, 2);
    delivery::stop(app).await;
    working.abort();
}

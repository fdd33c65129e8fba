//! The rail when its source's server is replaced: a MariaDB and its replica, by real replication. A replica that has every
//! transaction that was read is gone on with, from the same place; one that is late is waited for; one that never had them
//! is read anew, and the log says so. And positions that an older version kept by file and offset.

use app::rail;
use futures::StreamExt;
use model::Op;
use model::parcel::{ParcelHead, Track};
use model::rail::{IncidentKind, RailBasis, RailState};
use model::reconcile::ReconcileState;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use policy::port::LandTarget;
use testkit::{House, MariaDb, draft};

use crate::railmysql::{FIRMS, MAKE_FIRMS, READER, client, level, run, state, stored, table};
use crate::railway::{Way, differs, new, proxy, served, until, worker};

/// A primary with its replica, and a rail that reaches the one that the way leads to.
struct Pair {
    primary: MariaDb,
    replica: MariaDb,
    house: House,
    provider: Op,
    rail: String,
    way: Way,
    working: tokio::task::JoinHandle<()>,
}

impl Pair {
    async fn new() -> Self {
        let primary = MariaDb::start();
        primary.run_sql(READER);
        primary.run_sql(MAKE_FIRMS);
        let replica = primary.replica();
        let house = House::new().await;
        let provider = house.person("provider").await;
        house.publish(draft("firms")).await;
        let (port, way) = proxy(primary.port).await;
        let kept = stored(&house, &provider, port).await;
        let asked = new(&kept, &[("source.firms", "firms")]);
        let rail = rail::create(&house.app, &provider, asked).await.unwrap().rail.id;
        let working = worker(&house.app);
        let pair = Self { primary, replica, house, provider, rail, way, working };
        pair.streams().await;
        pair
    }

    async fn streams(&self) {
        state(&self.house, &self.provider, &self.rail, RailState::Streaming).await;
    }

    async fn pause(&self) {
        rail::pause(&self.house.app, &self.provider, &self.rail).await.unwrap();
        state(&self.house, &self.provider, &self.rail, RailState::Paused).await;
    }

    async fn resume(&self) {
        rail::resume(&self.house.app, &self.provider, &self.rail).await.unwrap();
    }

    /// Lake and serving copy hold what this server holds.
    async fn level(&self, conn: &mut Conn) {
        level(&self.house.app, conn).await;
        // The serving copy follows the lake; after a reading anew, once the table is whole.
        let there = table(conn, FIRMS).await;
        until("the serving copy", async || {
            differs(&there, &served(&self.house.app, "firms").await).map_or(Ok(()), Err)
        })
        .await;
    }

    async fn happened(&self, kind: IncidentKind) -> usize {
        let page = rail::incidents(&self.house.app, &self.provider, &self.rail, None, 200).await;
        page.unwrap().items.iter().filter(|incident| incident.kind == kind).count()
    }

    /// How often the table was read as a whole.
    async fn readings(&self) -> usize {
        let versions = self.house.app.lake.versions("firms").await.unwrap();
        versions.iter().filter(|version| version.mode == "full").count()
    }

    async fn confirmed(&self) -> String {
        let view = rail::get(&self.house.app, &self.provider, &self.rail).await.unwrap();
        assert_eq!(view.figures.basis, Some(RailBasis::Gtid));
        view.figures.confirmed
    }

    async fn end(self) {
        rail::stop(&self.house.app).await;
        self.working.abort();
    }
}

/// Waits until a replica has what its primary has.
async fn caught_up(primary: &mut Conn, replica: &MariaDb) {
    let at: String = primary.query_first("SELECT @@global.gtid_binlog_pos").await.unwrap().unwrap();
    let mut conn = client(replica.port).await;
    let sql = format!("SELECT MASTER_GTID_WAIT('{at}', 60)");
    assert_eq!(conn.query_first::<i64, _>(sql).await.unwrap(), Some(0), "{at}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rail_goes_on_at_the_replica_that_takes_over() {
    let pair = Pair::new().await;
    let mut old = client(pair.primary.port).await;
    run(
        &mut old,
        "INSERT INTO firms VALUES (5001, '主', 1.5, '2026-05-01');
UPDATE firms SET amount = amount + 1 WHERE id % 7 = 0;
DELETE FROM firms WHERE id % 11 = 0",
    )
    .await;
    pair.level(&mut old).await;
    let readings = pair.readings().await;

    // What the rail has not read when the primary fails reaches it by the replica.
    pair.pause().await;
    run(&mut old, "UPDATE firms SET name = '未读' WHERE id < 100;\nDELETE FROM firms WHERE id = 3")
        .await;
    caught_up(&mut old, &pair.replica).await;
    pair.primary.down();
    pair.replica.promote();
    let mut now = client(pair.replica.port).await;
    run(
        &mut now,
        "INSERT INTO firms VALUES (6001, '新主', 2.5, NULL);
UPDATE firms SET id = id + 20000 WHERE id % 13 = 0;
FLUSH LOGS;
BEGIN;
INSERT INTO firms SELECT seq, 'x', seq, NULL FROM seq_30000_to_32500;
DELETE FROM firms WHERE id BETWEEN 31000 AND 31100;
COMMIT",
    )
    .await;
    pair.way.lead(pair.replica.port);
    pair.resume().await;
    pair.level(&mut now).await;
    assert_eq!(pair.readings().await, readings, "nothing was read anew");
    for (kind, times) in [
        (IncidentKind::Moved, 1),
        (IncidentKind::SlotLost, 0),
        (IncidentKind::OtherSource, 0),
        (IncidentKind::Healed, 0),
    ] {
        assert_eq!(pair.happened(kind).await, times, "{kind}");
    }
    // Every table is compared afterwards, and found the same.
    until("compared", async || {
        let asked = app::reconcile::Asked::Rail(&pair.rail);
        let runs = app::reconcile::list(&pair.house.app, &pair.provider, asked, None, 10).await;
        let states: Vec<_> = runs.unwrap().items.iter().map(|run| run.state).collect();
        if states == [ReconcileState::Equal] { Ok(()) } else { Err(format!("{states:?}")) }
    })
    .await;
    run(&mut now, "TRUNCATE TABLE firms;\nINSERT INTO firms VALUES (1, 'again', 1, NULL)").await;
    pair.level(&mut now).await;
    until("confirmed", async || {
        let at = pair.confirmed().await;
        if at.contains("~m:0-8-") { Ok(()) } else { Err(at) }
    })
    .await;
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_lacks_what_was_read_is_read_anew() {
    let pair = Pair::new().await;
    let mut old = client(pair.primary.port).await;
    caught_up(&mut old, &pair.replica).await;
    pair.replica.run_sql("stop slave");
    run(
        &mut old,
        "INSERT INTO firms VALUES (7001, '只在旧主', 1, NULL);
UPDATE firms SET name = '只在旧主' WHERE id < 50;
DELETE FROM firms WHERE id BETWEEN 60 AND 70",
    )
    .await;
    pair.level(&mut old).await;
    let readings = pair.readings().await;

    // Late, and read-only: it may still receive them, so it is waited for.
    pair.way.lead(pair.replica.port);
    until("waiting", async || {
        let view = rail::get(&pair.house.app, &pair.provider, &pair.rail).await.unwrap();
        let figures = view.figures;
        let waits = figures.state == RailState::Waiting && figures.zh.contains("只读");
        if waits { Ok(()) } else { Err(format!("{figures:?}")) }
    })
    .await;
    pair.replica.run_sql("start slave");
    caught_up(&mut old, &pair.replica).await;
    run(&mut old, "UPDATE firms SET name = '追上' WHERE id < 9").await;
    let mut now = client(pair.replica.port).await;
    pair.level(&mut old).await;
    pair.streams().await;
    assert_eq!(pair.readings().await, readings, "nothing was read anew");

    // Promoted without the last of them, and written to: another history.
    pair.way.lead(pair.primary.port);
    run(&mut old, "UPDATE firms SET name = '回到旧主' WHERE id = 10").await;
    pair.level(&mut old).await;
    caught_up(&mut old, &pair.replica).await;
    pair.replica.run_sql("stop slave");
    run(
        &mut old,
        "UPDATE firms SET name = '丢失' WHERE id < 50;\nDELETE FROM firms WHERE id > 2000",
    )
    .await;
    pair.level(&mut old).await;
    pair.primary.down();
    pair.replica.promote();
    for n in 0..5 {
        run(&mut now, &format!("UPDATE firms SET name = '新主{n}' WHERE id = 100 + {n}")).await;
    }
    assert_eq!(pair.happened(IncidentKind::SlotLost).await, 0);
    pair.way.lead(pair.replica.port);
    pair.level(&mut now).await;
    pair.streams().await;
    assert_eq!(pair.happened(IncidentKind::SlotLost).await, 1, "it is told");
    assert_eq!(pair.happened(IncidentKind::Healed).await, 1);
    assert_eq!(pair.readings().await, readings + 1);
    run(&mut now, "DELETE FROM firms WHERE id = 1").await;
    pair.level(&mut now).await;
    pair.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_by_file_goes_on_by_name() {
    let pair = Pair::new().await;
    let mut conn = client(pair.primary.port).await;
    run(
        &mut conn,
        "UPDATE firms SET name = '一' WHERE id < 20;\nFLUSH LOGS;\nDELETE FROM firms WHERE id = 9",
    )
    .await;
    pair.level(&mut conn).await;
    pair.pause().await;
    // As an older version left it: log number and offset, for the rail and for its table.
    let rows: Vec<mysql_async::Row> = conn.query("SHOW MASTER STATUS").await.unwrap();
    let (file, offset): (String, u64) = (rows[0].get(0).unwrap(), rows[0].get(1).unwrap());
    let number: u64 = file.rsplit('.').next().unwrap().parse().unwrap();
    let kept = format!("{:016X}.00000000", number << 40 | offset);
    keep_by_file(&pair, &kept).await;
    run(
        &mut conn,
        "INSERT INTO firms VALUES (5001, '新', 1.5, '2026-05-01');
FLUSH LOGS;
UPDATE firms SET amount = amount + 1 WHERE id % 7 = 0",
    )
    .await;
    let readings = pair.readings().await;
    pair.resume().await;
    pair.level(&mut conn).await;
    until("by name", async || {
        let at = pair.confirmed().await;
        if at.contains("~m:0-7-") { Ok(()) } else { Err(at) }
    })
    .await;
    let track = format!("rail-{}-source.firms", pair.rail);
    let position = pair.house.app.lake.position("firms", &track).await.unwrap().unwrap();
    assert!(position.contains("~m:0-7-"), "{position}");
    assert_eq!(pair.readings().await, readings, "nothing was read anew");
    assert_eq!(pair.happened(IncidentKind::SlotLost).await, 0);
    pair.end().await;
}

/// Puts positions by file in the place of those that the rail and its table stand at.
async fn keep_by_file(pair: &Pair, position: &str) {
    let (app, op) = (&pair.house.app, Op::system(pair.house.app.now()));
    let entry = app.store.entry_get("firms").await.unwrap().unwrap();
    let org = app.store.org_require(&entry.draft.org).await.unwrap();
    let head = ParcelHead {
        id: format!("rail-{}", op.new_id()),
        entry: entry.id.clone(),
        mode: model::code::SyncMode::Incremental,
        channel: "rail".into(),
        source: "source.firms".into(),
        checksum: String::new(),
        track: Some(Track {
            name: format!("rail-{}-source.firms", pair.rail),
            position: format!("w:{position}"),
        }),
        goes_on: false,
    };
    let target = policy::Target::entry(&entry);
    let permit = app.policy.permit(&op, policy::Action::DataCollect, &target).unwrap();
    let target = LandTarget { entry, org_name: org.name_cn, org_uscc: org.uscc };
    let none = futures::stream::empty().boxed();
    app.lake.land(&permit, &op, &head, &target, none).await.unwrap();
    let system = policy::Target::plain("System", "rail");
    let permit = app.policy.permit(&op, policy::Action::SystemWork, &system).unwrap();
    let record = app.store.rail_get(&pair.rail).await.unwrap().unwrap();
    let mut figures = record.figures;
    figures.confirmed = position.to_owned();
    app.store.rail_figures(&permit, &pair.rail, &record.lease.owner, &figures).await.unwrap();
}

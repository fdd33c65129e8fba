//! Source and lake compared: equal when they are, the very rows when they are not, no false alarm beside a writer, and healed
//! without touching anything else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use app::reconcile::{self, Asked};
use app::{App, rail};
use futures::StreamExt;
use model::batch::{Batch, Column, Operation, TextColumn};
use model::code::{DataType, SyncMode};
use model::item::Item;
use model::parcel::ParcelHead;
use model::rail::{IncidentKind, RailState};
use model::reconcile::{DifferenceKind, ReconcileState, Reconciliation};
use model::{Code, Op};
use policy::port::LandTarget;
use policy::{Action, Target};
use testkit::{House, MariaDb, Postgres, draft};

use crate::railmysql;
use crate::railway::{FIRMS, Source, level, new, stored, until, worker};

/// Changes the lake behind the rail's back, as a broken disk or a careless hand would: rows of `firms`.
pub(crate) async fn tamper(app: &App, code: &str, rows: &[(i64, Option<&str>, Operation)]) {
    let entry = app.store.entry_get(code).await.unwrap().unwrap();
    let op = Op::system(app.now());
    let target = Target::plain("System", "test");
    let permit = app.policy.permit(&op, Action::SystemWork, &target).unwrap();
    let org = app.store.org_require(&entry.draft.org).await.unwrap();
    let mut names = TextColumn::with_capacity(rows.len());
    rows.iter().for_each(|(_, name, _)| names.push(*name));
    let batch = Batch {
        columns: vec![
            Column::Integer(rows.iter().map(|(id, ..)| Some(*id)).collect()),
            Column::Text(names),
            Column::Decimal { scale: 2, values: vec![Some(150); rows.len()] },
            Column::Date(vec![Some(20_000); rows.len()]),
        ],
        records: vec![1; rows.len()],
        operations: rows.iter().map(|(.., operation)| *operation).collect(),
    };
    let head = ParcelHead {
        id: format!("tamper-{}", op.new_id()),
        entry: entry.id.clone(),
        mode: SyncMode::Incremental,
        channel: "test".into(),
        source: "test".into(),
        checksum: String::new(),
        track: None,
        goes_on: false,
    };
    let to = LandTarget { entry: entry.clone(), org_name: org.name_cn, org_uscc: org.uscc };
    let rows = futures::stream::iter([Ok(batch)]).boxed();
    app.lake.land(&permit, &op, &head, &to, rows).await.unwrap();
}

pub(crate) async fn compared(app: &Arc<App>, op: &Op, code: &str, heal: bool) -> Reconciliation {
    let begun = reconcile::start(app, op, code, heal).await.unwrap();
    reconcile::wait(app, op, &begun.id).await.unwrap()
}

async fn streaming(house: &House, op: &Op, id: &str) {
    until("streaming", async || {
        let view = rail::get(&house.app, op, id).await.unwrap();
        match view.figures.state {
            RailState::Streaming => Ok(()),
            _ => Err(format!("{:?}", view.figures)),
        }
    })
    .await;
}

/// A house that compares ranges of so small a part of the rows of the shipped rules: fewer rows are cut as more are.
async fn fine(part: u64) -> House {
    let mut house = House::new().await;
    let rules = &mut Arc::get_mut(&mut house.app).unwrap().rules.oversight.reconcile;
    (rules.chunk_rows, rules.leaf_rows) = (rules.chunk_rows / part, rules.leaf_rows / part);
    house
}

/// Updates, inserts and deletes rows of `firms`, `many` of them from `from` on and those that it has made itself.
fn writer(port: u16, from: i64, many: i64) -> (Arc<AtomicBool>, tokio::task::JoinHandle<u64>) {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    let writing = tokio::spawn(async move {
        let source = Source::open(port, "source").await;
        let mut n: i64 = 0;
        while !seen.load(Ordering::Relaxed) {
            n += 1;
            let (at, new) = (from + n * 7919 % many, 1_000_000 + n * 10);
            source
                .run(&format!(
                    "UPDATE firms SET name = '变{n}', amount = {n} WHERE id BETWEEN {at} AND {at} + 30;
                     INSERT INTO firms SELECT {new} + k, '新{n}', k + 0.5, NULL FROM generate_series(0, 4) k;
                     DELETE FROM firms WHERE id >= 1000000 AND id < {new} - 20"
                ))
                .await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        n.unsigned_abs()
    });
    (stop, writing)
}

#[tokio::test(flavor = "multi_thread")]
async fn three_rows_of_twenty_thousand_are_found_and_healed() {
    three_are_found(10).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute: cargo nextest run --workspace --run-ignored only -E 'test(two_hundred_thousand)'"]
async fn three_rows_of_two_hundred_thousand_are_found_and_healed() {
    three_are_found(1).await;
}

/// Of a `part` of 200,000 rows, compared by as many ranges.
async fn three_are_found(part: i64) {
    let fewer = part.unsigned_abs();
    let (house, cluster) = (fine(fewer).await, Postgres::start());
    let rows = 200_000 / part;
    let _ = cluster.database("source");
    let source = Source::open(cluster.port(), "source").await;
    source
        .run(&format!(
            "CREATE TABLE firms (id bigint PRIMARY KEY, name text, amount numeric(18,2), day date);
             INSERT INTO firms SELECT n, CASE WHEN n % 17 = 0 THEN '  ' WHEN n % 19 = 0 THEN NULL ELSE '企业' || n END,
               n + 0.5, date '2026-01-01' + (n % 300)::int FROM generate_series(1, {rows}) n"
        ))
        .await;
    let provider = house.person("provider").await;
    house.publish(draft("firms")).await;
    let kept = stored(&house.app, &provider, cluster.port(), "source").await;
    let made = rail::create(&house.app, &provider, new(&kept, &[("public.firms", "firms")]))
        .await
        .unwrap();
    let id = made.rail.id.clone();
    // What is not followed yet cannot be compared.
    let early = compared(&house.app, &provider, "firms", false).await;
    assert_eq!(early.state, ReconcileState::Failed, "{early:?}");
    // One parcel for the whole table.
    rail::heal(&house.app, &provider, &id, None).await.unwrap();
    let working = worker(&house.app);
    streaming(&house, &provider, &id).await;

    let equal = compared(&house.app, &provider, "firms", false).await;
    assert_eq!(equal.state, ReconcileState::Equal, "{equal:?}");
    assert!(equal.pushed, "the source sums by itself");
    let all = rows.unsigned_abs();
    assert_eq!((equal.source_rows, equal.lake_rows, equal.rows_read), (all, all, 0));
    let chunks = equal.chunks;
    assert!((20..=21).contains(&chunks), "{chunks}");

    let tampered = [
        (7_777, None, Operation::Delete),
        (12_345, Some("篡改"), Operation::Update),
        (900_001, Some("多出"), Operation::Insert),
    ];
    tamper(&house.app, "firms", &tampered).await;
    let found = compared(&house.app, &provider, "firms", false).await;
    assert_eq!(found.state, ReconcileState::Differs, "{found:?}");
    assert_eq!((found.missing, found.extra, found.different), (1, 1, 1), "{found:?}");
    assert!(found.questions < 100 && found.rows_read < 3_000 / fewer, "{found:?}");
    let rows = reconcile::differences(&house.app, &provider, &found.id, 0, 0).await.unwrap().items;
    let of = |kind| rows.iter().find(|d| d.kind == kind).unwrap();
    assert_eq!(of(DifferenceKind::Missing).key, ["7777"]);
    assert_eq!(of(DifferenceKind::Extra).key, ["900001"]);
    assert_eq!(of(DifferenceKind::Different).key, ["12345"]);
    assert_eq!(of(DifferenceKind::Different).items, ["name", "amount", "day"]);
    let told = rail::incidents(&house.app, &provider, &id, None, 0).await.unwrap().items;
    assert!(told.iter().any(|i| i.kind == IncidentKind::Differs && i.open), "{told:?}");

    // Nobody else sees it, begins it or heals it.
    let stranger = house.person("stranger").await;
    for refused in [
        reconcile::get(&house.app, &stranger, &found.id).await.map(drop),
        reconcile::differences(&house.app, &stranger, &found.id, 0, 0).await.map(drop),
        reconcile::heal(&house.app, &stranger, &found.id).await.map(drop),
        reconcile::start(&house.app, &stranger, "firms", true).await.map(drop),
        reconcile::list(&house.app, &stranger, Asked::Entry("firms"), None, 0).await.map(drop),
    ] {
        assert!(matches!(refused.unwrap_err().code(), Code::NotFound | Code::Denied));
    }

    // Beside a writer: the same three and nothing else; healed; equal.
    let (stop, writing) = writer(cluster.port(), 130_000 / part, 60_000 / part);
    let beside = compared(&house.app, &provider, "firms", false).await;
    assert_eq!((beside.missing, beside.extra, beside.different), (1, 1, 1), "{beside:?}");
    reconcile::heal(&house.app, &provider, &beside.id).await.unwrap();
    let healed = reconcile::wait(&house.app, &provider, &beside.id).await.unwrap();
    assert_eq!(healed.state, ReconcileState::Healed, "{healed:?}");
    let again = compared(&house.app, &provider, "firms", false).await;
    assert_eq!(again.state, ReconcileState::Equal, "healed while the writer goes on: {again:?}");
    stop.store(true, Ordering::Relaxed);
    let written = writing.await.unwrap();
    assert!(written > 5, "the writer wrote {written} times");
    level(&house.app, &source, "firms", FIRMS).await;
    let last = compared(&house.app, &provider, "firms", false).await;
    assert_eq!((last.state, last.moving), (ReconcileState::Equal, 0), "{last:?}");
    let told = rail::incidents(&house.app, &provider, &id, None, 0).await.unwrap().items;
    assert_eq!(told.iter().filter(|i| i.kind == IncidentKind::SlotLost).count(), 0);
    rail::stop(&house.app).await;
    working.abort();
}

/// Keys of several columns and types, values in every form, rows that do not fit; by the source's own sums and without.
#[tokio::test(flavor = "multi_thread")]
async fn every_type_is_compared_alike() {
    let (house, cluster) = (House::new().await, Postgres::start());
    let _ = cluster.database("source");
    let source = Source::open(cluster.port(), "source").await;
    let row = |n: u32| {
        format!(
            "('K{n:04}', '2026-01-01 00:00:00.5'::timestamp + {n} * interval '1 hour', {n}.5, {n} / 3.0, {}, '2026-02-03'::date + {n}, '2026-02-03 04:05:06.789+00'::timestamptz + {n} * interval '1 min', '{{\"甲\": {n}}}', E'  值\\t{n}\\t', '', E'\\\\x00ff', B'0101', '23:59:58', {n})",
            if n.is_multiple_of(2) { "true" } else { "NULL" }
        )
    };
    let columns = "k char(8), at timestamp(3), num numeric(12,1), f double precision, yes boolean, day date, zoned timestamptz, doc jsonb, padded text, empty varchar(9), bytes bytea, bits bit(4), clock time, n smallint";
    for (table, more) in
        [("pushed", ""), ("streamed", ", r real DEFAULT 0.1, list text[] DEFAULT '{a,NULL}'")]
    {
        source.run(&format!("CREATE TABLE {table} ({columns}{more}, PRIMARY KEY (k, at))")).await;
        let rows: Vec<String> = (1..=1300).map(row).collect();
        let names = "(k, at, num, f, yes, day, zoned, doc, padded, empty, bytes, bits, clock, n)";
        source.run(&format!("INSERT INTO {table} {names} VALUES {}", rows.join(","))).await;
    }
    let item = |name: &str, data_type| Item::new(name, "数据项", data_type);
    let entry = |code: &str, more: &[(&str, DataType)]| {
        let mut entry = draft(code);
        entry.items = [
            ("k", DataType::Text),
            ("at", DataType::DateTime),
            ("num", DataType::Decimal),
            ("f", DataType::Float),
            ("yes", DataType::Boolean),
            ("day", DataType::Date),
            ("zoned", DataType::DateTime),
            ("doc", DataType::Json),
            ("padded", DataType::Text),
            ("empty", DataType::Text),
            ("bytes", DataType::Text),
            ("bits", DataType::Text),
            ("clock", DataType::Text),
            ("n", DataType::Integer),
            // An item without a column.
            ("later", DataType::Text),
        ]
        .iter()
        .chain(more)
        .map(|(name, data_type)| item(name, *data_type))
        .collect();
        for at in [0, 1] {
            (entry.items[at].primary, entry.items[at].nullable) = (true, false);
        }
        (entry.items[2].precision, entry.items[2].scale) = (14, 3);
        entry
    };
    house.publish(entry("pushed", &[])).await;
    house.publish(entry("streamed", &[("r", DataType::Float), ("list", DataType::Json)])).await;
    let provider = house.person("provider").await;
    let kept = stored(&house.app, &provider, cluster.port(), "source").await;
    let tables = [("public.pushed", "pushed"), ("public.streamed", "streamed")];
    let made = rail::create(&house.app, &provider, new(&kept, &tables)).await.unwrap();
    let id = made.rail.id.clone();
    let working = worker(&house.app);
    streaming(&house, &provider, &id).await;
    for (code, pushed) in [("pushed", true), ("streamed", false)] {
        let equal = compared(&house.app, &provider, code, false).await;
        assert_eq!(equal.state, ReconcileState::Equal, "{code}: {equal:?}");
        assert_eq!((equal.pushed, equal.rows_read, equal.lake_rows), (pushed, 0, 1300), "{code}");
    }
    // Rows that do not fit are in quarantine, not missing; the last that fitted is still there.
    source
        .run("UPDATE pushed SET f = 'NaN' WHERE n = 7; INSERT INTO pushed SELECT 'neu', at, num, 'Infinity' FROM pushed WHERE n = 9; UPDATE streamed SET num = 0 WHERE n < 5")
        .await;
    let misfit = compared(&house.app, &provider, "pushed", false).await;
    assert_eq!((misfit.state, misfit.misfits), (ReconcileState::Equal, 2), "{misfit:?}");
    assert!(misfit.zh.contains("不符合"), "{}", misfit.zh);
    let streamed = compared(&house.app, &provider, "streamed", false).await;
    assert_eq!(streamed.state, ReconcileState::Equal, "{streamed:?}");
    rail::stop(&house.app).await;
    working.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mariadb_is_reconciled_and_healed() {
    let server = MariaDb::start();
    server.run_sql(railmysql::READER);
    server.run_sql(
        "CREATE TABLE source.firms (id BIGINT PRIMARY KEY, name VARCHAR(80), amount DECIMAL(18,2), day DATE);
         INSERT INTO source.firms SELECT seq, IF(seq % 13 = 0, ' ', CONCAT('企业', seq)), seq + 0.25, '2026-01-01' + INTERVAL seq % 300 DAY FROM source.seq_1_to_6000",
    );
    let house = fine(5).await;
    let provider = house.person("provider").await;
    house.publish(draft("firms")).await;
    let kept = railmysql::stored(&house, &provider, server.port).await;
    let made = rail::create(&house.app, &provider, new(&kept, &[("source.firms", "firms")]))
        .await
        .unwrap();
    let id = made.rail.id.clone();
    rail::heal(&house.app, &provider, &id, None).await.unwrap();
    let working = worker(&house.app);
    streaming(&house, &provider, &id).await;
    let equal = compared(&house.app, &provider, "firms", false).await;
    assert_eq!((equal.state, equal.pushed), (ReconcileState::Equal, true), "{equal:?}");
    tamper(
        &house.app,
        "firms",
        &[
            (5, None, Operation::Delete),
            (3_000, Some("篡改"), Operation::Update),
            (40_000, Some("多出"), Operation::Insert),
        ],
    )
    .await;
    // A writer that sleeps between its changes, in the same table.
    let (port, stop) = (server.port, Arc::new(AtomicBool::new(false)));
    let seen = Arc::clone(&stop);
    let writing = tokio::spawn(async move {
        let mut conn = railmysql::client(port).await;
        let mut n = 0;
        while !seen.load(Ordering::Relaxed) {
            n += 1;
            let at = 4_000 + n * 37 % 1_800;
            let sql = format!(
                "UPDATE firms SET name = '变{n}' WHERE id = {at};\nINSERT INTO firms VALUES ({}, 'x', {n}, NULL)",
                100_000 + n
            );
            railmysql::run(&mut conn, &sql).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let found = compared(&house.app, &provider, "firms", true).await;
    assert_eq!(found.state, ReconcileState::Healed, "{found:?}");
    assert_eq!((found.missing, found.extra, found.different), (1, 1, 1), "{found:?}");
    stop.store(true, Ordering::Relaxed);
    writing.await.unwrap();
    let mut conn = railmysql::client(server.port).await;
    railmysql::level(&house.app, &mut conn).await;
    let last = compared(&house.app, &provider, "firms", false).await;
    assert_eq!(last.state, ReconcileState::Equal, "{last:?}");
    rail::stop(&house.app).await;
    working.abort();
}

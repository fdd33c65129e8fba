//! Every channel compared with its source: pipelines up to their watermark, by the source's own sums or by reading it again;
//! collections by query; exchanges with their archive; reports with their submissions. What differs is found row by row and
//! healed; what is on its way, and what others brought, is left alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use app::collection::{self, source};
use app::reconcile;
use app::{App, exchange, pipeline, report};
use futures::StreamExt;
use model::Op;
use model::code::SyncMode;
use model::exchange::Completeness;
use model::parcel::{ParcelHead, RunState};
use model::pipeline::TurnState;
use model::reconcile::{DifferenceKind, FeedKind, ReconcileState, Reconciliation};
use model::report::Every;
use policy::port::{CellRow, LandTarget, ReadOptions, Source as Rows};
use policy::{Action, Target};
use testkit::{COUNTY_ORG, House, MariaDb, Postgres, draft};

use crate::pipeline::settle;
use crate::railmysql;
use crate::railway::{FIRMS, Source, differs, lake, stored, until};
use crate::reporting;

/// A house that compares ranges of a fifth of the rows of the shipped rules: six thousand rows are cut as thirty thousand are.
async fn fine() -> House {
    let mut house = House::new().await;
    let rules = &mut Arc::get_mut(&mut house.app).unwrap().rules.oversight.reconcile;
    (rules.chunk_rows, rules.leaf_rows) = (rules.chunk_rows / 5, rules.leaf_rows / 5);
    house
}

/// Changes the lake as nobody should, in the name of somebody: rows as `(operation, cells)`.
async fn tamper(app: &App, code: &str, by: (&str, &str), rows: &[(&str, &[Option<&str>])]) {
    let entry = app.store.entry_get(code).await.unwrap().unwrap();
    let op = Op::system(app.now());
    let target = Target::plain("System", "test");
    let permit = app.policy.permit(&op, Action::SystemWork, &target).unwrap();
    let org = app.store.org_require(&entry.draft.org).await.unwrap();
    let row = |(operation, cells): &(&str, &[Option<&str>])| CellRow {
        record: 1,
        cells: cells.iter().map(|cell| cell.map(str::to_owned)).collect(),
        operation: Some((*operation).to_owned()),
    };
    let rows = Rows::Cells { name: "test".into(), rows: rows.iter().map(row).collect() };
    let options = ReadOptions {
        operation_column: Some("dsc_biz_operation".into()),
        ..ReadOptions::default()
    };
    let reading = app.intake.read(&rows, &entry.draft.items, &options).await.unwrap();
    let chunks: Vec<_> = reading.chunks.collect().await;
    let batches: Vec<_> = chunks.into_iter().map(|chunk| Ok(chunk.unwrap().batch)).collect();
    let (parcel, name) = by;
    let head = ParcelHead {
        id: format!("{parcel}{}", op.new_id()),
        entry: entry.id.clone(),
        mode: SyncMode::Incremental,
        channel: "test".into(),
        source: name.into(),
        checksum: String::new(),
        track: None,
        goes_on: false,
    };
    let to = LandTarget { entry: entry.clone(), org_name: org.name_cn, org_uscc: org.uscc };
    app.lake.land(&permit, &op, &head, &to, futures::stream::iter(batches).boxed()).await.unwrap();
}

async fn compared(app: &Arc<App>, op: &Op, code: &str, from: &str) -> Reconciliation {
    let begun = reconcile::start_from(app, op, code, Some(from), false).await.unwrap();
    reconcile::wait(app, op, &begun.id).await.unwrap()
}

async fn healed(app: &Arc<App>, op: &Op, id: &str) -> Reconciliation {
    reconcile::heal(app, op, id).await.unwrap();
    until("healed", async || {
        reconcile::tick(app).await.unwrap();
        let run = reconcile::get(app, op, id).await.unwrap();
        if run.state == ReconcileState::Healing { Err(format!("{run:?}")) } else { Ok(run) }
    })
    .await
}

/// Kinds and keys of what was found, in the order of the keys.
async fn found(app: &App, op: &Op, run: &Reconciliation) -> Vec<(DifferenceKind, String)> {
    let rows = reconcile::differences(app, op, &run.id, 0, 999).await.unwrap().items;
    let mut rows: Vec<_> = rows.into_iter().map(|d| (d.kind, d.key.join("/"))).collect();
    rows.sort_by(|a, b| a.1.cmp(&b.1));
    rows
}

async fn piped(house: &House, op: &Op, text: &str) -> String {
    let made = pipeline::create(&house.app, op, text).await.unwrap();
    turned(house, op, &made.pipeline.id).await;
    made.pipeline.id
}

async fn turned(house: &House, op: &Op, id: &str) {
    let begun = pipeline::run_now(&house.app, op, id).await.unwrap();
    let turns = settle(&house.app, op, id).await;
    let turn = turns.into_iter().find(|t| t.id == begun.id).unwrap();
    assert!(matches!(turn.state, TurnState::Succeeded | TurnState::Empty), "{turn:#?}");
}

const MAKE: &str = "CREATE TABLE firms (id bigint PRIMARY KEY, name text, amount numeric(18,2), day date, changed timestamptz);
    INSERT INTO firms SELECT n, CASE WHEN n % 17 = 0 THEN '  ' WHEN n % 19 = 0 THEN NULL ELSE '企业' || n END, n + 0.25, date '2026-01-01' + (n % 50)::int,
      timestamptz '2026-02-01 00:00:00+08' + n * interval '1 second' FROM generate_series(1, 6000) n";

/// What happens to a table where no watermark tells of it.
const BEHIND: &str = "DELETE FROM firms WHERE id = 777;
    UPDATE firms SET name = '改', amount = 1 WHERE id = 2345;
    INSERT INTO firms VALUES (900001, '迟到', 1, NULL, '2026-02-10 00:00:00+08')";

fn by_table(source: &str, more: &str) -> String {
    format!(
        "name = \"firms\"\nentry = \"firms\"\nmode = \"incremental\"\n[source]\nkind = \"database\"\nsource = \"{source}\"\n{more}\n[watermark]\ncolumn = \"changed\"\ntype = \"datetime\"\nstart = \"2026-01-01\"\nlate = \"1d\"\n"
    )
}

/// Updates and inserts rows beyond the watermark without pause, never those below `from`.
fn writer(port: u16, from: i64) -> (Arc<AtomicBool>, tokio::task::JoinHandle<i64>) {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    let writing = tokio::spawn(async move {
        let source = Source::open(port, "source").await;
        let mut n: i64 = 0;
        while !seen.load(Ordering::Relaxed) {
            n += 1;
            let (at, new) = (from + n * 7919 % 1_800, 1_000_000 + n);
            source
                .run(&format!(
                    "UPDATE firms SET name = '变{n}', changed = '2026-03-02 12:00:00+08' WHERE id BETWEEN {at} AND {at} + 30;
                     INSERT INTO firms VALUES ({new}, '新{n}', 0.5, NULL, '2026-03-02 12:00:00+08')"
                ))
                .await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        n
    });
    (stop, writing)
}

const THREE: [(DifferenceKind, &str); 3] = [
    (DifferenceKind::Different, "2345"),
    (DifferenceKind::Extra, "777"),
    (DifferenceKind::Missing, "900001"),
];

fn three() -> Vec<(DifferenceKind, String)> {
    let mut all: Vec<_> = THREE.iter().map(|(kind, key)| (*kind, (*key).to_owned())).collect();
    all.sort_by(|a, b| a.1.cmp(&b.1));
    all
}

/// A pipeline of one table: the source sums by itself, the three rows are found beside a writer, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_pipelines_table_is_compared_up_to_its_watermark() {
    let (house, cluster) = (fine().await, Postgres::start());
    let _ = cluster.database("source");
    let source = Source::open(cluster.port(), "source").await;
    source.run(MAKE).await;
    let (app, provider) = (&house.app, house.person("provider").await);
    house.publish(draft("firms")).await;
    let at = stored(app, &provider, cluster.port(), "source").await;
    let text = by_table(&at, "table = \"firms\"");
    let made = pipeline::create(app, &provider, &text).await.unwrap();
    let id = made.pipeline.id.clone();
    let early = compared(app, &provider, "firms", &id).await;
    assert_eq!(early.state, ReconcileState::Failed, "{early:?}");
    assert!(early.zh.contains("尚未成功运行"), "{}", early.zh);
    turned(&house, &provider, &id).await;

    let equal = compared(app, &provider, "firms", "pipeline").await;
    assert_eq!((equal.state, equal.kind), (ReconcileState::Equal, FeedKind::Pipeline), "{equal:?}");
    assert!(equal.pushed, "the source sums by itself: {equal:?}");
    assert_eq!((equal.source_rows, equal.lake_rows, equal.rows_read), (6_000, 6_000, 0));
    assert!(!equal.upto.is_empty() && equal.zh.contains(&equal.upto), "{}", equal.zh);

    source.run(BEHIND).await;
    // Another channel had the last word about this one: it is not the pipeline's to judge.
    let cells: &[Option<&str>] = &[Some("5"), Some("手工更正"), Some("5.00"), None];
    tamper(app, "firms", ("x", "更正.csv"), &[("U", cells)]).await;
    let (stop, writing) = writer(cluster.port(), 3_000);
    let beside = compared(app, &provider, "firms", &id).await;
    assert_eq!(beside.state, ReconcileState::Differs, "{beside:?}");
    assert_eq!(found(app, &provider, &beside).await, three(), "{beside:?}");
    assert_eq!(beside.foreign, 1, "{beside:?}");
    let done = healed(app, &provider, &beside.id).await;
    assert_eq!((done.state, done.healed), (ReconcileState::Healed, 3), "{done:?}");
    let again = compared(app, &provider, "firms", &id).await;
    assert_eq!(again.state, ReconcileState::Equal, "healed while the writer goes on: {again:?}");
    stop.store(true, Ordering::Relaxed);
    assert!(writing.await.unwrap() > 5);

    // The pipeline goes on from where it stood, and brings what the writer wrote.
    house.clock.forward(chrono::TimeDelta::days(2));
    let provider = house.person("provider").await;
    turned(&house, &provider, &id).await;
    let last = compared(app, &provider, "firms", &id).await;
    assert_eq!((last.state, last.foreign), (ReconcileState::Equal, 1), "{last:?}");
    source.run("UPDATE firms SET name = '手工更正', amount = 5, day = NULL WHERE id = 5").await;
    let (there, here) = (source.table(FIRMS).await, lake(app, "firms").await);
    assert_eq!(differs(&there, &here), None);

    // Nobody else begins it; the map of channels shows it; the job finds nothing due.
    let stranger = house.person("stranger").await;
    assert!(reconcile::start_from(app, &stranger, "firms", Some(&id), true).await.is_err());
    let map = app::channel::list(app, &provider, None, 0).await.unwrap().items;
    let shown = map.iter().find(|c| c.id == id).and_then(|c| c.compared.clone()).unwrap();
    assert_eq!((shown.id, shown.state), (last.id, ReconcileState::Equal));
    assert_eq!(reconcile::due(app).await.unwrap(), 0);
    house.clock.forward(chrono::TimeDelta::hours(25));
    assert_eq!(reconcile::due(app).await.unwrap(), 1, "a day later it is");
}

/// The same through a statement and through a transformation, which have to be read again as a whole.
#[tokio::test(flavor = "multi_thread")]
async fn transformed_rows_are_compared_by_reading_the_source_again() {
    let cluster = Postgres::start();
    for (database, rest) in [
        (
            "statement",
            "sql = \"SELECT id, upper(name) AS name, amount, day, changed FROM firms WHERE changed >= {from} AND changed < {to}\"",
        ),
        (
            "transformed",
            "table = \"public.firms\"\n[source.columns]\nid = \"integer\"\nname = \"text\"\namount = \"decimal\"\nday = \"date\"\n[transform]\nsql = \"SELECT id, upper(name) AS name, amount, day FROM source\"",
        ),
    ] {
        let house = fine().await;
        let _ = cluster.database(database);
        let source = Source::open(cluster.port(), database).await;
        source.run(MAKE).await;
        let (app, provider) = (&house.app, house.person("provider").await);
        house.publish(draft("firms")).await;
        let at = stored(app, &provider, cluster.port(), database).await;
        let id = piped(&house, &provider, &by_table(&at, rest)).await;
        let equal = compared(app, &provider, "firms", &id).await;
        assert_eq!((equal.state, equal.pushed), (ReconcileState::Equal, false), "{equal:?}");
        assert_eq!((equal.source_rows, equal.lake_rows, equal.rows_read), (6_000, 6_000, 0));
        assert_eq!(equal.questions, 1, "read once: {equal:?}");

        source.run(BEHIND).await;
        source
            .run("UPDATE firms SET name = '新', changed = '2026-03-02 12:00:00+08' WHERE id BETWEEN 4000 AND 4100;
                  INSERT INTO firms VALUES (900002, 'x', 1, NULL, '2026-03-02 12:00:00+08')")
            .await;
        let differs = compared(app, &provider, "firms", &id).await;
        assert_eq!(found(app, &provider, &differs).await, three(), "{database}: {differs:?}");
        assert_eq!(differs.moving, 101, "newer rows are no differences: {differs:?}");
        assert!(differs.rows_read < 1_600, "only ranges that differ: {differs:?}");
        let done = healed(app, &provider, &differs.id).await;
        assert_eq!((done.state, done.healed), (ReconcileState::Healed, 3), "{done:?}");
        let again = compared(app, &provider, "firms", &id).await;
        assert_eq!(again.state, ReconcileState::Equal, "{database}: {again:?}");
        house.clock.forward(chrono::TimeDelta::days(2));
        turned(&house, &provider, &id).await;
        let last = compared(app, &provider, "firms", &id).await;
        assert_eq!((last.state, last.moving), (ReconcileState::Equal, 0), "{database}: {last:?}");
    }
}

/// MariaDB: a table by its unqualified name, and one SELECT collected once.
#[tokio::test(flavor = "multi_thread")]
async fn a_mariadb_behind_a_pipeline_and_a_query_are_compared() {
    let server = MariaDb::start();
    server.run_sql(railmysql::READER);
    server.run_sql(
        "CREATE TABLE source.firms (id BIGINT PRIMARY KEY, name VARCHAR(80), amount DECIMAL(18,2), day DATE, changed DATETIME);
         INSERT INTO source.firms SELECT seq, IF(seq % 13 = 0, ' ', CONCAT('企业', seq)), seq + 0.25, '2026-01-01' + INTERVAL seq % 300 DAY, '2026-02-01' + INTERVAL seq SECOND FROM source.seq_1_to_6000",
    );
    let house = fine().await;
    let (app, provider) = (&house.app, house.person("provider").await);
    house.publish(draft("firms")).await;
    house.publish(draft("asked")).await;
    let at = railmysql::stored(&house, &provider, server.port).await;
    // The table's schema is the one that the source is connected to.
    let id = piped(&house, &provider, &by_table(&at, "table = \"firms\"")).await;
    let equal = compared(app, &provider, "firms", &id).await;
    assert_eq!((equal.state, equal.pushed), (ReconcileState::Equal, true), "{equal:?}");
    let mut conn = railmysql::client(server.port).await;
    railmysql::run(&mut conn, "DELETE FROM firms WHERE id = 777;\nUPDATE firms SET name = '改' WHERE id = 2345;\nINSERT INTO firms VALUES (900001, '迟到', 1, NULL, '2026-02-10');\nUPDATE firms SET name = '新', changed = '2026-03-02 12:00:00' WHERE id BETWEEN 4000 AND 4100").await;
    let differs = compared(app, &provider, "firms", &id).await;
    assert_eq!(found(app, &provider, &differs).await, three(), "{differs:?}");
    let done = healed(app, &provider, &differs.id).await;
    assert_eq!((done.state, done.healed), (ReconcileState::Healed, 3), "{done:?}");
    let again = compared(app, &provider, "firms", &id).await;
    assert_eq!(again.state, ReconcileState::Equal, "{again:?}");

    // One SELECT on the stored source, collected once.
    let order = source::QueryOrder {
        source: at,
        entry: "asked".into(),
        sql: "SELECT id, name, amount, day FROM firms WHERE id <= 2000".into(),
        mode: SyncMode::Full,
        operation_column: None,
    };
    let begun = source::collect(app, &provider, order).await.unwrap();
    let run = until("collected", async || {
        let run = collection::run(app, &provider, &begun.id).await.unwrap();
        match run.state {
            RunState::Queued | RunState::Running => Err(format!("{run:?}")),
            _ => Ok(run),
        }
    })
    .await;
    assert_eq!(run.state, RunState::Succeeded, "{run:?}");
    let equal = compared(app, &provider, "asked", "query").await;
    assert_eq!((equal.state, equal.kind), (ReconcileState::Equal, FeedKind::Query), "{equal:?}");
    assert!(equal.zh.contains("没有水位线"), "{}", equal.zh);
    railmysql::run(&mut conn, "DELETE FROM firms WHERE id = 100;\nUPDATE firms SET name = '改' WHERE id = 200;\nINSERT INTO firms VALUES (0, '新', 1, NULL, NULL)").await;
    let differs = compared(app, &provider, "asked", "query").await;
    let rows = [
        (DifferenceKind::Missing, "0".to_owned()),
        (DifferenceKind::Extra, "100".to_owned()),
        (DifferenceKind::Different, "200".to_owned()),
    ];
    assert_eq!(found(app, &provider, &differs).await, rows, "{differs:?}");
    let done = healed(app, &provider, &differs.id).await;
    assert_eq!((done.state, done.healed), (ReconcileState::Healed, 3), "{done:?}");
    let again = compared(app, &provider, "asked", "query").await;
    assert_eq!(again.state, ReconcileState::Equal, "{again:?}");
}

/// Files: the archive against the view, receipts against parcels, what is gone or altered in the archive told.
#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_is_compared_with_its_archive() {
    let house = House::new().await;
    let (app, provider) = (&house.app, house.person("provider").await);
    house.publish(draft("firms")).await;
    let place = crate::exchange::folder(&house, "in");
    let new = model::exchange::ExchangeNew {
        mode: Some(SyncMode::Incremental),
        completeness: Some(Completeness::Done),
        ..crate::exchange::incoming(&place, "firms")
    };
    let view = exchange::create(app, &provider, new).await.unwrap();
    for (name, rows) in [("a", 1..=3_000), ("b", 2_900..=3_500)] {
        let mut text = "编号,名称,金额,日期\n".to_owned();
        rows.for_each(|n| text.push_str(&format!("{n},{name}{n},{n}.50,2026-01-01\n")));
        text.push_str("坏,x,1,2026-01-01\n");
        std::fs::write(place.join(format!("{name}.csv")), text).unwrap();
        std::fs::write(place.join(format!("{name}.csv.done")), "").unwrap();
        assert_eq!(exchange::tick(app).await.unwrap(), 1);
    }
    let equal = compared(app, &provider, "firms", "exchange").await;
    assert_eq!((equal.state, equal.lake_rows), (ReconcileState::Equal, 3_500), "{equal:?}");
    assert_eq!(equal.kind, FeedKind::Exchange);

    let none: &[Option<&str>] = &[Some("10"), None, None, None];
    let other: &[Option<&str>] = &[Some("2950"), Some("篡改"), None, None];
    let more: &[Option<&str>] = &[Some("9999"), Some("多出"), None, None];
    tamper(app, "firms", ("x", "b.csv"), &[("D", none), ("U", other), ("I", more)]).await;
    let differs = compared(app, &provider, "firms", &view.exchange.id).await;
    let rows = [
        (DifferenceKind::Missing, "10".to_owned()),
        (DifferenceKind::Different, "2950".to_owned()),
        (DifferenceKind::Extra, "9999".to_owned()),
    ];
    assert_eq!(found(app, &provider, &differs).await, rows, "{differs:?}");
    let done = healed(app, &provider, &differs.id).await;
    assert_eq!((done.state, done.healed), (ReconcileState::Healed, 3), "{done:?}");

    // An archived file that was altered, and one that is gone: the parcel speaks for it.
    let files = crate::exchange::files(&house, &provider, &view).await;
    let at = |name: &str| {
        let file = files.iter().find(|f| f.path == name).unwrap();
        place.join(file.archived.as_deref().unwrap())
    };
    std::fs::write(at("a.csv"), "编号,名称,金额,日期\n1,假,1,\n").unwrap();
    std::fs::remove_file(at("b.csv")).unwrap();
    let told = compared(app, &provider, "firms", "exchange").await;
    assert_eq!(told.state, ReconcileState::Equal, "{told:?}");
    assert!(told.zh.contains("归档文件 a.csv 与回执的校验和不符"), "{}", told.zh);
}

/// Reports: accepted submissions against the entry.
#[tokio::test(flavor = "multi_thread")]
async fn reports_are_compared_with_their_submissions() {
    let house = House::new().await;
    reporting::tree(&house).await;
    let app = &house.app;
    let entry = house.publish(reporting::firms("gz")).await;
    let form = reporting::form(&house, &entry).await;
    let (_, tasks) = reporting::issued(&house, &entry, form, Every::Month).await;
    let (city, county) = (house.person("city").await, house.person("county").await);
    let low = &reporting::of(&tasks, COUNTY_ORG).id;
    let rows = [("01", "1", "1"), ("02", "2", "2"), ("03", "3", "3")];
    let task = reporting::fill(&house, &county, low, &rows).await;
    assert!(report::submit(app, &county, low, task.version, &[]).await.unwrap().submitted);
    report::accept(app, &city, low).await.unwrap();
    let provider = house.person("provider").await;
    let equal = compared(app, &provider, "gz", "report").await;
    assert_eq!((equal.state, equal.lake_rows), (ReconcileState::Equal, 3), "{equal:?}");
    let before = reporting::lake(&house, "gz").await;
    let key = |kind: &str| {
        let row = before.iter().find(|row| row[2] == kind).unwrap();
        row.iter().map(|cell| Some(cell.clone()).filter(|c| !c.is_empty())).collect::<Vec<_>>()
    };
    let (gone, mut changed) = (key("01"), key("02"));
    changed[4] = Some("20".into());
    let a: Vec<Option<&str>> = gone.iter().map(Option::as_deref).collect();
    let b: Vec<Option<&str>> = changed.iter().map(Option::as_deref).collect();
    tamper(app, "gz", ("report-x-", "x"), &[("D", &a), ("U", &b)]).await;
    let differs = compared(app, &provider, "gz", "report").await;
    assert_eq!((differs.missing, differs.different, differs.extra), (1, 1, 0), "{differs:?}");
    let done = healed(app, &provider, &differs.id).await;
    assert_eq!(done.state, ReconcileState::Healed, "{done:?}");
    assert_eq!(reporting::lake(&house, "gz").await, before);
}

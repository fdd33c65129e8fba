//! The real-time rail against a real PostgreSQL: every type, every kind of change, and everything that breaks. At the end
//! the lake and the serving copy hold what the source holds, row by row.

use app::catalogue::schema;
use app::collection::source;
use app::rail::{self, RailView};
use model::code::{DataType, PublishState};
use model::entry::EntryDraft;
use model::item::Item;
use model::rail::{IncidentKind, RailNew, RailPolicy, RailState};
use model::schema::{ChangeKind, DriftState};
use model::source::{SourceKind, SourceNew, SourceTls};
use model::{Code, Op};
use testkit::PROVIDER_ORG;
use testkit::{House, Postgres, draft};

use crate::railway::{
    FIRMS, Source, differs, lake, level, new, proxy, served, stored, until, worker,
};

const MAKE_FIRMS: &str = "CREATE TABLE firms (id bigint PRIMARY KEY, name text, amount numeric(18,2), day date);
    INSERT INTO firms SELECT n, '企业' || n, n + 0.25, date '2026-01-01' + (n % 300)::int FROM generate_series(1, 2200) n";

async fn state(house: &House, op: &Op, id: &str, wanted: RailState) -> RailView {
    until(wanted.as_str(), async || {
        let view = rail::get(&house.app, op, id).await.unwrap();
        if view.figures.state == wanted { Ok(view) } else { Err(format!("{:?}", view.figures)) }
    })
    .await
}

async fn happened(house: &House, op: &Op, id: &str, kind: IncidentKind) -> usize {
    let page = rail::incidents(&house.app, op, id, None, 200).await.unwrap();
    page.items.iter().filter(|i| i.kind == kind).count()
}

/// Snapshot in chunks, then every kind of change, a transaction larger than a piece, a pause, a whole table anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_followed() {
    let (house, cluster) = (House::new().await, Postgres::start());
    let _ = cluster.database("source");
    let source = Source::open(cluster.port(), "source").await;
    source.run(MAKE_FIRMS).await;
    let provider = house.person("provider").await;
    house.publish(draft("firms")).await;
    let kept = stored(&house.app, &provider, cluster.port(), "source").await;

    // Strangers neither make nor see one.
    let stranger = house.person("stranger").await;
    let refused =
        rail::create(&house.app, &stranger, new(&kept, &[("public.firms", "firms")])).await;
    assert!(matches!(refused.unwrap_err().code(), Code::NotFound | Code::Denied));

    let seen = rail::survey(&house.app, &provider, &kept).await.unwrap();
    assert!(seen.faults.is_empty(), "{seen:?}");
    assert_eq!(seen.tables[0].place, "public.firms");
    assert_eq!(seen.tables[0].items[2].data_type, DataType::Decimal);
    let made = rail::create(&house.app, &provider, new(&kept, &[("public.firms", "firms")]))
        .await
        .unwrap();
    let id = made.rail.id.clone();
    assert!(rail::get(&house.app, &stranger, &id).await.is_err());
    assert!(rail::list(&house.app, &stranger, None, 0).await.unwrap().items.is_empty());

    // Rows from elsewhere would differ from the source.
    let csv = "编号,名称,金额,日期\n1,甲,1,2026-01-01\n".as_bytes();
    let other = house.collect("firms", "x.csv", csv, model::code::SyncMode::Full).await;
    assert_eq!(other.unwrap_err().code(), Code::WrongState);
    let working = worker(&house.app);
    level(&house.app, &source, "firms", FIRMS).await;
    state(&house, &provider, &id, RailState::Streaming).await;
    until("figures of the snapshot", async || {
        let view = rail::get(&house.app, &provider, &id).await.unwrap();
        let rows = view.tables[0].figures.snapshot_rows;
        if rows == 2200 { Ok(()) } else { Err(rows.to_string()) }
    })
    .await;
    source
        .run(
            "INSERT INTO firms VALUES (5001, '新', 1.5, '2026-05-01'), (5002, NULL, NULL, NULL);
             UPDATE firms SET amount = amount + 1 WHERE id % 7 = 0;
             DELETE FROM firms WHERE id % 11 = 0;
             UPDATE firms SET id = id + 10000 WHERE id % 13 = 0",
        )
        .await;
    // Larger than a piece, in one transaction, with a key changed back and forth.
    source
        .run(
            "BEGIN; INSERT INTO firms SELECT n, 'x', n, NULL FROM generate_series(20000, 22500) n;
             UPDATE firms SET name = 'y' WHERE id >= 20000; UPDATE firms SET id = 30000 WHERE id = 20001;
             UPDATE firms SET id = 20001 WHERE id = 30000; DELETE FROM firms WHERE id BETWEEN 21000 AND 21100; COMMIT",
        )
        .await;
    level(&house.app, &source, "firms", FIRMS).await;
    let (there, served) = (source.table(FIRMS).await, served(&house.app, "firms").await);
    assert_eq!(differs(&there, &served), None, "the serving copy");
    let entry = until("counted", async || {
        let entry = app::catalogue::get(&house.app, &provider, "firms").await.unwrap();
        let wanted = i64::try_from(there.len()).unwrap();
        source.run("SELECT pg_logical_emit_message(true, 'x', 'x')").await;
        if entry.rows == wanted { Ok(entry) } else { Err(format!("{} {wanted}", entry.rows)) }
    })
    .await;
    assert!(entry.data_at.is_some());

    // The source need not keep what has landed, though nothing of ours changes.
    source
        .run("CREATE TABLE other (n int); INSERT INTO other SELECT generate_series(1, 50000)")
        .await;
    let slot = made.rail.slot.clone();
    until("confirmed", async || {
        let sql = format!("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::bigint FROM pg_replication_slots WHERE slot_name = '{slot}'");
        let held: i64 = source.one(&sql).await.parse().unwrap();
        if held < 100_000 { Ok(()) } else { Err(held.to_string()) }
    })
    .await;

    rail::pause(&house.app, &provider, &id).await.unwrap();
    state(&house, &provider, &id, RailState::Paused).await;
    source
        .run("UPDATE firms SET name = 'paused' WHERE id < 100; DELETE FROM firms WHERE id = 1")
        .await;
    rail::heal(&house.app, &provider, &id, Some("public.firms")).await.unwrap();
    assert!(rail::heal(&house.app, &provider, &id, Some("public.none")).await.is_err());
    rail::resume(&house.app, &provider, &id).await.unwrap();
    level(&house.app, &source, "firms", FIRMS).await;
    state(&house, &provider, &id, RailState::Streaming).await;
    assert_eq!(happened(&house, &provider, &id, IncidentKind::Healed).await, 1);

    source.run("TRUNCATE firms; INSERT INTO firms VALUES (1, 'again', 1, NULL)").await;
    level(&house.app, &source, "firms", FIRMS).await;
    assert_eq!(happened(&house, &provider, &id, IncidentKind::Truncated).await, 1);

    // A source that is followed stays; the rail goes, and takes its slot with it.
    assert_eq!(
        source::remove(&house.app, &provider, &kept).await.unwrap_err().code(),
        Code::WrongState
    );
    rail::remove(&house.app, &provider, &id, false).await.unwrap();
    assert_eq!(source.one("SELECT count(*) FROM pg_replication_slots").await, "0");
    assert_eq!(source.one("SELECT count(*) FROM pg_publication").await, "0");
    assert!(rail::get(&house.app, &provider, &id).await.is_err());
    working.abort();
}

/// A table with a column of every type, and the entry for it.
fn kinds() -> (EntryDraft, &'static str) {
    let mut entry = draft("kinds");
    let item = |name: &str, data_type| Item::new(name, "数据项", data_type);
    let decimal = |name: &str, precision, scale| {
        let mut item = Item::new(name, "数据项", DataType::Decimal);
        (item.precision, item.scale) = (precision, scale);
        item
    };
    let mut id = item("id", DataType::Text);
    (id.primary, id.nullable) = (true, false);
    entry.items = vec![
        id,
        item("small", DataType::Integer),
        decimal("num", 20, 4),
        item("free", DataType::Text),
        item("real8", DataType::Float),
        decimal("cash", 19, 2),
        item("yes", DataType::Boolean),
        item("day", DataType::Date),
        item("moment", DataType::DateTime),
        item("zoned", DataType::DateTime),
        item("clock", DataType::Text),
        item("span", DataType::Text),
        item("doc", DataType::Json),
        item("list", DataType::Json),
        item("mood", DataType::Text),
        item("bytes", DataType::Text),
        item("bits", DataType::Text),
        item("flags", DataType::Integer),
        item("spot", DataType::Geometry),
        item("code", DataType::Text),
        item("long", DataType::Text),
    ];
    let sql = "CREATE TYPE mood AS ENUM ('好', '坏'); CREATE DOMAIN code AS varchar(10) CHECK (value <> '');
        CREATE TABLE kinds (id uuid PRIMARY KEY, small smallint, num numeric(20,4), free numeric, real8 double precision,
          cash money, yes boolean, day date, moment timestamp(3), zoned timestamptz, clock time, span interval, doc jsonb,
          list text[], mood mood, bytes bytea, bits bit(4), flags bit varying(40), spot point, code code, long text);
        ALTER TABLE kinds ALTER long SET STORAGE EXTERNAL";
    (entry, sql)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_comes_over() {
    let (house, cluster) = (House::new().await, Postgres::start());
    let _ = cluster.database("source");
    let source = Source::open(cluster.port(), "source").await;
    let provider = house.person("provider").await;
    let (entry, sql) = kinds();
    source.run(sql).await;
    let row = |n: u32| {
        format!(
            "('00000000-0000-0000-0000-0000000000{n:02}', -7, 1234567890.1234, 12345678901234567890123456789012.5, 0.1, '-$1,234.50', true, '2026-02-03', '2026-02-03 04:05:06.789', '2026-02-03 04:05:06+00', '23:59:58', '1 year 2 days 03:04:05', '{{\"a\": [1, null]}}', '{{甲,\"b,c\",NULL}}', '好', '\\x00ff', b'0101', b'11111', '(120.5,30.25)', 'ab', repeat('长', 4000))"
        )
    };
    source.run(&format!("INSERT INTO kinds VALUES {}", row(1))).await;
    house.publish(entry).await;
    let kept = stored(&house.app, &provider, cluster.port(), "source").await;
    let made = rail::create(&house.app, &provider, new(&kept, &[("public.kinds", "kinds")]))
        .await
        .unwrap();
    let working = worker(&house.app);
    let id = made.rail.id.clone();
    state(&house, &provider, &id, RailState::Streaming).await;
    // The same row by the snapshot and by the log.
    source.run(&format!("INSERT INTO kinds VALUES {}", row(2))).await;
    let two = until("two rows", async || {
        let table = lake(&house.app, "kinds").await;
        if table.len() == 2 { Ok(table) } else { Err(format!("{table:?}")) }
    })
    .await;
    let mut rows = two.into_values();
    let (snapshot, log) = (rows.next().unwrap(), rows.next().unwrap());
    assert_eq!(snapshot[1..], log[1..], "the snapshot and the log tell a value alike");
    let long = "长".repeat(4000);
    let expected = [
        "-7",
        "1234567890.1234",
        "12345678901234567890123456789012.5",
        "0.1",
        "-1234.50",
        "true",
        "2026-02-03",
        "2026-02-03T04:05:06.789",
        "2026-02-03T12:05:06",
        "23:59:58",
        "P1Y2DT3H4M5S",
        r#"{"a": [1, null]}"#,
        r#"["甲","b,c",null]"#,
        "好",
        "00ff",
        "0101",
        "31",
        "POINT (120.5 30.25)",
        "ab",
        &long,
    ];
    for (at, expected) in expected.iter().enumerate() {
        assert_eq!(log[at + 1].as_deref(), Some(*expected), "column {}", at + 1);
    }

    // A large value that is not sent again stays as it was; so does the rest of the row.
    source.run("UPDATE kinds SET small = 8 WHERE id::text LIKE '%01'").await;
    until("partial update", async || {
        let table = lake(&house.app, "kinds").await;
        let row = table.values().next().unwrap();
        if row[1].as_deref() == Some("8") {
            assert_eq!(row[20].as_deref(), Some(&*long));
            Ok(())
        } else {
            Err(format!("{:?}", row[1]))
        }
    })
    .await;
    // With whole old rows it comes from there.
    source.run("ALTER TABLE kinds REPLICA IDENTITY FULL; UPDATE kinds SET small = 9").await;
    until("whole old rows", async || {
        let table = lake(&house.app, "kinds").await;
        let all = table
            .values()
            .all(|row| row[1].as_deref() == Some("9") && row[20].as_deref() == Some(&*long));
        if all { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;

    // What cannot be held is set aside with its reason, and comes by itself when it is mended at the source.
    source.run("UPDATE kinds SET num = 'NaN', moment = 'infinity' WHERE id::text LIKE '%02'").await;
    let run = made.tables[0].table.run.clone();
    let aside = until("set aside", async || {
        let page = app::collection::quarantine(&house.app, &provider, &run, None, 0).await.unwrap();
        page.items.first().cloned().ok_or("nothing".to_owned())
    })
    .await;
    assert!(aside.reject.en.contains("num") && aside.reject.en.contains("NaN"), "{aside:?}");
    assert_eq!(aside.reject.operation.as_deref(), Some("U"));
    let again = app::collection::replay(&house.app, &provider, &run).await.unwrap();
    assert_eq!((again.accepted, again.quarantined), (0, 1), "it does not fit yet: {again:?}");
    source.run("UPDATE kinds SET num = 2.5, moment = NULL WHERE id::text LIKE '%02'").await;
    until("mended", async || {
        let table = lake(&house.app, "kinds").await;
        let row = table.values().last().unwrap();
        if row[2].as_deref() == Some("2.5000") && row[8].is_none() {
            Ok(())
        } else {
            Err(format!("{:?}", row[2]))
        }
    })
    .await;
    until("figures that agree", async || {
        let view = rail::get(&house.app, &provider, &id).await.unwrap();
        let figures = &view.tables[0].figures;
        let agree = figures.read == figures.landed + figures.quarantined && figures.read >= 7;
        if agree { Ok(()) } else { Err(format!("{figures:?}")) }
    })
    .await;
    rail::stop(&house.app).await;
    working.abort();
}

/// The network cut, the source failing, its slot dropped, another database in its place.
#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_is_healed_and_told() {
    let (house, cluster) = (House::new().await, Postgres::start());
    let _ = cluster.database("source");
    let mut source = Source::open(cluster.port(), "source").await;
    source.run(MAKE_FIRMS).await;
    source.run("CREATE TABLE more (LIKE firms INCLUDING ALL); INSERT INTO more SELECT * FROM firms WHERE id < 50").await;
    let provider = house.person("provider").await;
    house.publish(draft("firms")).await;
    house.publish(draft("more")).await;
    let (port, gate) = proxy(cluster.port()).await;
    let kept = stored(&house.app, &provider, port, "source").await;
    let tables = [("public.firms", "firms"), ("public.more", "more")];
    let made = rail::create(&house.app, &provider, new(&kept, &tables)).await.unwrap();
    let id = made.rail.id.clone();
    let working = worker(&house.app);
    state(&house, &provider, &id, RailState::Streaming).await;

    gate.cut();
    source
        .run("UPDATE firms SET name = 'cut' WHERE id % 3 = 0; DELETE FROM more WHERE id = 7")
        .await;
    state(&house, &provider, &id, RailState::Waiting).await;
    gate.lead(cluster.port());
    level(&house.app, &source, "firms", FIRMS).await;
    assert_eq!(happened(&house, &provider, &id, IncidentKind::Broken).await, 1);

    cluster.restart();
    source = Source::open(cluster.port(), "source").await;
    source.run("UPDATE firms SET name = 'restarted' WHERE id % 5 = 0").await;
    level(&house.app, &source, "firms", FIRMS).await;
    let more = FIRMS.replace("firms", "more");
    level(&house.app, &source, "more", &more).await;

    // The slot is dropped behind our back, and rows are deleted that no log tells of any more.
    rail::pause(&house.app, &provider, &id).await.unwrap();
    state(&house, &provider, &id, RailState::Paused).await;
    source.run(&format!("SELECT pg_drop_replication_slot('{}')", made.rail.slot)).await;
    source.run("DELETE FROM firms WHERE id % 2 = 0; UPDATE more SET name = 'unseen'").await;
    rail::resume(&house.app, &provider, &id).await.unwrap();
    level(&house.app, &source, "firms", FIRMS).await;
    level(&house.app, &source, "more", &more).await;
    assert_eq!(happened(&house, &provider, &id, IncidentKind::SlotLost).await, 1);
    until("healed", async || {
        let healed = happened(&house, &provider, &id, IncidentKind::Healed).await;
        if healed == 2 { Ok(()) } else { Err(healed.to_string()) }
    })
    .await;
    state(&house, &provider, &id, RailState::Streaming).await;
    source.run("INSERT INTO more VALUES (900, 'after', 1, NULL)").await;
    level(&house.app, &source, "more", &more).await;
    rail::stop(&house.app).await;
    working.abort();
}

/// Log held back beyond the ceiling: the slot is given up before the disk is full, and nothing is lost by it.
#[tokio::test(flavor = "multi_thread")]
async fn a_ceiling_protects_the_source() {
    let (house, cluster) = (House::new().await, Postgres::start());
    let _ = cluster.database("source");
    let source = Source::open(cluster.port(), "source").await;
    source.run(MAKE_FIRMS).await;
    let provider = house.person("provider").await;
    house.publish(draft("firms")).await;
    let kept = stored(&house.app, &provider, cluster.port(), "source").await;
    let asked = RailNew {
        alarm_bytes: Some(1 << 20),
        ceiling_bytes: Some(4 << 20),
        ..new(&kept, &[("public.firms", "firms")])
    };
    let made = rail::create(&house.app, &provider, asked).await.unwrap();
    let id = made.rail.id.clone();
    let working = worker(&house.app);
    state(&house, &provider, &id, RailState::Streaming).await;
    rail::pause(&house.app, &provider, &id).await.unwrap();
    state(&house, &provider, &id, RailState::Paused).await;
    source.run("CREATE TABLE big (t text); INSERT INTO big SELECT repeat('x', 1000) FROM generate_series(1, 12000); DELETE FROM firms WHERE id < 9").await;
    let view = state(&house, &provider, &id, RailState::Stopped).await;
    assert!(view.waits() && view.figures.zh.contains("上限"), "{view:?}");
    assert_eq!(source.one("SELECT count(*) FROM pg_replication_slots").await, "0");
    assert_eq!(happened(&house, &provider, &id, IncidentKind::Ceiling).await, 1);
    rail::resume(&house.app, &provider, &id).await.unwrap();
    level(&house.app, &source, "firms", FIRMS).await;
    let view = state(&house, &provider, &id, RailState::Streaming).await;
    assert!(!view.waits(), "{view:?}");
    rail::stop(&house.app).await;
    working.abort();
}

/// Columns change: held until somebody has looked, and nothing of what came meanwhile is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_table_is_held_or_followed() {
    let (house, cluster) = (House::new().await, Postgres::start());
    let _ = cluster.database("source");
    let source = Source::open(cluster.port(), "source").await;
    source.run(MAKE_FIRMS).await;
    let provider = house.person("provider").await;
    house.publish(EntryDraft { share_condition: "履行职责需要".into(), ..draft("firms") }).await;
    let kept = stored(&house.app, &provider, cluster.port(), "source").await;
    let made = rail::create(&house.app, &provider, new(&kept, &[("public.firms", "firms")]))
        .await
        .unwrap();
    let id = made.rail.id.clone();
    let working = worker(&house.app);
    state(&house, &provider, &id, RailState::Streaming).await;
    source
        .run(
            "UPDATE firms SET name = 'before' WHERE id = 1; ALTER TABLE firms ADD extra text, ALTER amount TYPE numeric(12,2);
             COMMENT ON COLUMN firms.extra IS '备注'; INSERT INTO firms VALUES (7001, 'held', 1, NULL, 'e')",
        )
        .await;
    let view = state(&house, &provider, &id, RailState::Held).await;
    assert!(
        view.figures.en.contains("extra") && view.figures.en.contains("numeric(12,2)"),
        "{view:?}"
    );
    assert!(view.waits());
    // The entry's owner finds the change drafted, and takes it over into the entry.
    let drifts = schema::drifts(&house.app, &provider, Some(DriftState::Open), None, 10).await;
    let drift = drifts.unwrap().items.remove(0);
    let kinds: Vec<ChangeKind> = drift.changes.iter().map(|c| c.kind).collect();
    assert!(kinds.contains(&ChangeKind::Added) && drift.entry == made.tables[0].table.entry);
    let added = kinds.iter().position(|k| *k == ChangeKind::Added).unwrap();
    let taken = schema::take(&house.app, &provider, &drift.id, &[added], &drift.updated_at).await;
    assert_eq!(taken.unwrap().publish_state, PublishState::ChangeAuditing);
    let now = lake(&house.app, "firms").await;
    assert_eq!(now["1"][1].as_deref(), Some("before"), "what came before the change has landed");
    assert!(!now.contains_key("7001"));
    rail::resume(&house.app, &provider, &id).await.unwrap();
    level(&house.app, &source, "firms", FIRMS).await;
    state(&house, &provider, &id, RailState::Streaming).await;
    rail::remove(&house.app, &provider, &id, false).await.unwrap();

    // Followed, with an alarm that stays.
    let asked = RailNew {
        policy: Some(RailPolicy::Alert),
        name: "二".into(),
        ..new(&kept, &[("public.firms", "firms")])
    };
    let made = rail::create(&house.app, &provider, asked).await.unwrap();
    let id = made.rail.id.clone();
    state(&house, &provider, &id, RailState::Streaming).await;
    source
        .run("ALTER TABLE firms DROP extra; INSERT INTO firms VALUES (7002, 'followed', 1, NULL)")
        .await;
    level(&house.app, &source, "firms", FIRMS).await;
    let view = state(&house, &provider, &id, RailState::Streaming).await;
    assert_eq!(view.open_incidents, 1, "{view:?}");
    // Without its key a table cannot be followed by any policy.
    source
        .run("ALTER TABLE firms RENAME id TO number; INSERT INTO firms VALUES (7003, 'x', 1, NULL)")
        .await;
    let view = state(&house, &provider, &id, RailState::Held).await;
    assert!(view.figures.en.contains("id"), "{view:?}");
    rail::stop(&house.app).await;
    working.abort();
}

/// What stands in the way is told at once, all of it.
#[tokio::test(flavor = "multi_thread")]
async fn sources_that_cannot_be_followed_are_told() {
    let (house, cluster) = (House::new().await, Postgres::start());
    let _ = cluster.database("source");
    let source = Source::open(cluster.port(), "source").await;
    source
        .run(
            "CREATE TABLE nokey (id int, name text, amount numeric, day date); CREATE TABLE other (x int PRIMARY KEY);
             CREATE ROLE weak LOGIN; GRANT SELECT ON nokey TO weak",
        )
        .await;
    let provider = house.person("provider").await;
    house.publish(draft("firms")).await;
    house.publish(draft("more")).await;
    let kept = stored(&house.app, &provider, cluster.port(), "source").await;
    let tables = [("public.nokey", "firms"), ("public.other", "more")];
    let seen = rail::check(&house.app, &provider, &new(&kept, &tables)).await.unwrap();
    let told = |at: usize| seen.tables[at].faults.iter().map(|f| f.1.as_str()).collect::<String>();
    assert!(
        told(0).contains("not unique") && told(0).contains("REPLICA IDENTITY FULL"),
        "{}",
        told(0)
    );
    assert!(told(1).contains("mandatory"), "{}", told(1));
    let refused = rail::create(&house.app, &provider, new(&kept, &tables)).await.unwrap_err();
    assert_eq!(refused.code(), Code::RuleBroken);
    assert!(refused.fields().len() >= 3, "{refused:?}");
    assert!(rail::list(&house.app, &provider, None, 0).await.unwrap().items.is_empty());

    let weak = SourceNew {
        org: PROVIDER_ORG.into(),
        name: "弱".into(),
        kind: SourceKind::Postgres,
        host: "127.0.0.1".into(),
        port: cluster.port(),
        database: "source".into(),
        account: "weak".into(),
        password: "x".into(),
        tls: SourceTls::Prefer,
    };
    let weak = source::create(&house.app, &provider, weak).await.unwrap().id;
    let seen = rail::check(&house.app, &provider, &new(&weak, &tables[..1])).await.unwrap();
    let faults: String = seen.faults.iter().map(|f| f.1.as_str()).collect();
    assert!(faults.contains("REPLICATION") && faults.contains("GRANT CREATE"), "{faults}");
}

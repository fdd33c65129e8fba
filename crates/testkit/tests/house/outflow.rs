//! Return flows into real databases: what of an entry concerns a city comes to the city, as it changes, and nothing else does.

use app::{outflow, sharing};
use chrono::TimeDelta;
use model::audit::AuditFilter;
use model::bounds::{Bounds, BoundsKind, SubjectBound};
use model::code::SyncMode;
use model::outflow::{OutflowNew, OutflowState};
use model::source::SourceKind;
use model::{Code, Op};
use testkit::{House, MariaDb, Postgres, person_draft};

use crate::outway::{
    AT_MARIADB, AT_POSTGRES, PEOPLE, agreed, at_mariadb, database, delivering, firms, land,
    land_text, new, of_region, receiver, regional, settle, state,
};
use crate::railway::{Source, Table, differs, until};

const ITEMS: [&str; 5] = ["id", "name", "amount", "day", "region_code"];

/// Waits until a target holds what the lake shows of a region.
async fn level(
    house: &House,
    region: &str,
    id: &str,
    mut there: impl AsyncFnMut() -> Result<Table, String>,
) -> Table {
    until(region, async || {
        let here = of_region(&house.app, "firms", region).await;
        let there = there().await?;
        let Some(differs) = differs(&here, &there) else { return Ok(there) };
        let system = Op::system(house.app.now());
        let view = outflow::get(&house.app, &system, id).await.unwrap();
        Err(format!("{differs}\n{:?}", view.figures))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_regions_rows_come_to_its_city_as_they_change() {
    let (cluster, server) = (Postgres::start(), MariaDb::start());
    let _ = cluster.database("city");
    receiver(&server);
    let house = House::new().await;
    settle(&house).await;
    let lines = firms(&house).await;

    let app = &house.app;
    let hangzhou = house.person("hangzhou").await;
    let ningbo = house.person("ningbo").await;
    let asked = agreed(&house, "hangzhou", "firms", &ITEMS).await;
    let theirs = agreed(&house, "ningbo", "firms", &ITEMS).await;
    let city = database(&house, "hangzhou", SourceKind::Postgres, cluster.port(), "city").await;
    let other = database(&house, "ningbo", SourceKind::Mysql, server.port, "d").await;

    // Nobody makes one for others, from others' agreements, or into others' databases.
    for (who, request, source) in [
        ("ningbo", &asked, &other),
        ("hangzhou", &asked, &other),
        ("stranger", &asked, &city),
        ("provider", &asked, &city),
        ("authority", &asked, &city),
        ("citizen", &asked, &city),
    ] {
        let op = house.person(who).await;
        let refused = outflow::create(app, &op, &new(request, source)).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound, "{who}: {refused}");
    }
    let offers = outflow::offers(app, &hangzhou, None, 0).await.unwrap().items;
    assert!(offers.len() == 1 && offers[0].fault.is_none(), "{offers:?}");
    let outline = outflow::check(app, &hangzhou, &new(&asked, &city)).await.unwrap();
    assert_eq!((outline.area.as_str(), outline.survey.faults.len()), ("330100", 0), "{outline:?}");
    assert!(outline.columns.iter().any(|(name, _, mask, _)| name == "name" && mask == "keep(1,0)"));

    let made = outflow::create(app, &hangzhou, &new(&asked, &city)).await.unwrap();
    let to_ningbo = outflow::create(app, &ningbo, &new(&theirs, &other)).await.unwrap();
    let twice = outflow::create(app, &hangzhou, &new(&asked, &city)).await.unwrap_err();
    assert_eq!(twice.code(), Code::Duplicate, "{twice}");
    let (id, id_ningbo) = (made.outflow.id.as_str(), to_ningbo.outflow.id.as_str());
    let working = delivering(app);
    let source = Source::open(cluster.port(), "city").await;
    let there = until("made", async || {
        let made = source.one("SELECT to_regclass('firms') IS NOT NULL").await;
        if made == "t" { Ok(()) } else { Err(made) }
    });
    there.await;
    let first = level(&house, "3301", id, async || Ok(source.table(AT_POSTGRES).await)).await;
    assert_eq!(first.len(), 750);
    // The city's masks are its own, and nobody else's rows are there.
    assert!(first.values().all(|row| row[1].as_deref().is_some_and(|name| name.ends_with('*'))));
    let mariadb = async || at_mariadb(server.port, AT_MARIADB).await;
    assert_eq!(level(&house, "3302", id_ningbo, mariadb).await.len(), 500);
    state(&house, id, OutflowState::Level).await;

    // Changed, new, gone, and moving between the cities in both directions; in and out of the province.
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
            ("U", 5, "迁来杭州", 5, "330100"),
            ("U", 13, "迁出", 13, "310000"),
            ("D", 9, "", 0, "330200"),
            ("D", 99_999, "", 0, "330100"),
        ],
    )
    .await;
    let second = level(&house, "3301", id, async || Ok(source.table(AT_POSTGRES).await)).await;
    assert!(!second.contains_key("7") && second.contains_key("3") && second.contains_key("5"));
    assert_eq!(second["1"][2].as_deref(), Some("7.77"));
    let at_ningbo = level(&house, "3302", id_ningbo, mariadb).await;
    assert!(at_ningbo.contains_key("7") && !at_ningbo.contains_key("3"));

    // Many small parcels, written together meanwhile; then everything replaced; then everything gone.
    for n in 0..26 {
        let id = 6000 + n;
        let region = if n % 2 == 0 { "330106" } else { "330203" };
        land(&house, "firms", SyncMode::Incremental, &[("I", id, "小", n, region)]).await;
        if n == 24 {
            let op = Op::system(app.now());
            let target = policy::Target::plain("System", "lake");
            let permit = app.policy.permit(&op, policy::Action::SystemWork, &target).unwrap();
            assert!(app.lake.compact(&permit, &op, "firms").await.unwrap().is_some());
        }
    }
    level(&house, "3301", id, async || Ok(source.table(AT_POSTGRES).await)).await;
    level(&house, "3302", id_ningbo, mariadb).await;
    let replaced: Vec<_> = lines
        .iter()
        .filter(|(n, ..)| n % 5 != 0)
        .map(|(n, name, _)| {
            ("I", *n, name.as_str(), *n + n % 2, if n % 3 == 0 { "330203" } else { "330110" })
        })
        .collect();
    land(&house, "firms", SyncMode::Full, &replaced).await;
    level(&house, "3301", id, async || Ok(source.table(AT_POSTGRES).await)).await;
    level(&house, "3302", id_ningbo, mariadb).await;

    // Counted on both sides.
    state(&house, id, OutflowState::Level).await;
    let counted = outflow::compare(app, &hangzhou, id).await.unwrap();
    assert!(counted.equal && counted.target_rows > 500, "{counted:?}");
    source.run("DELETE FROM firms WHERE id = 1").await;
    let counted = outflow::compare(app, &hangzhou, id).await.unwrap();
    assert_eq!((counted.equal, counted.granted_rows - counted.target_rows), (false, 1));
    outflow::anew(app, &hangzhou, id).await.unwrap();
    level(&house, "3301", id, async || Ok(source.table(AT_POSTGRES).await)).await;
    land(&house, "firms", SyncMode::Full, &[("I", 1, "独", 1, "330106")]).await;
    assert_eq!(level(&house, "3302", id_ningbo, mariadb).await.len(), 0);
    level(&house, "3301", id, async || Ok(source.table(AT_POSTGRES).await)).await;

    // Others see nothing of it; those whose data flow, and the authority, see that they do.
    for who in ["ningbo", "stranger", "consumer", "citizen", "auditor"] {
        let op = house.person(who).await;
        let hidden = outflow::get(app, &op, id).await.unwrap_err();
        assert_eq!(hidden.code(), Code::NotFound, "{who}");
        for done in [
            outflow::pause(app, &op, id).await,
            outflow::anew(app, &op, id).await,
            outflow::remove(app, &op, id, true).await,
            outflow::compare(app, &op, id).await.map(drop),
        ] {
            assert_eq!(done.unwrap_err().code(), Code::NotFound, "{who}");
        }
    }
    for who in ["provider", "authority"] {
        let op = house.person(who).await;
        assert!(!outflow::get(app, &op, id).await.unwrap().keeps);
        assert_eq!(outflow::pause(app, &op, id).await.unwrap_err().code(), Code::Denied, "{who}");
    }

    // Each delivery has its record before it left, without values; what went out is metered.
    let auditor = house.person("auditor").await;
    let filter =
        AuditFilter { action: Some("rows.flow".into()), limit: 500, ..AuditFilter::default() };
    let records = app::audit::list(app, &auditor, &filter).await.unwrap();
    let ours: Vec<_> = records.iter().filter(|r| r.event.request == asked.id).collect();
    assert!(ours.len() > 10 && ours.iter().all(|r| r.event.masks.contains("name=keep(1,0)")));
    let sent: u64 = ours.iter().map(|r| r.event.rows).sum();
    let days = outflow::get(app, &hangzhou, id).await.unwrap().days;
    assert_eq!(days.iter().map(|d| d.upserts + d.deletes).sum::<u64>(), sent, "{days:?}");
    assert!(!serde_json::to_string(&records).unwrap().contains("企业"));

    // Revoked: it stops at once and says so; what changes later does not come.
    sharing::revoke(app, &house.person("provider").await, &asked.id, "超范围使用").await.unwrap();
    let ended = state(&house, id, OutflowState::Ended).await;
    assert!(ended.figures.zh.contains("授权"), "{ended:?}");
    land(&house, "firms", SyncMode::Incremental, &[("I", 8000, "后来", 1, "330106")]).await;
    level(&house, "3302", id_ningbo, mariadb).await;
    assert!(!source.table(AT_POSTGRES).await.contains_key("8000"));
    let again = outflow::resume(app, &hangzhou, id).await.unwrap_err();
    assert_eq!(again.code(), Code::GrantExpired, "{again}");
    // The other's agreement runs out.
    house.clock.forward(TimeDelta::days(91));
    state(&house, id_ningbo, OutflowState::Ended).await;
    outflow::remove(app, &hangzhou, id, false).await.unwrap();
    assert_eq!(source.one("SELECT count(*) FROM qiantang_outflow").await, "0");
    assert_ne!(source.one("SELECT count(*) FROM firms").await, "0", "what was delivered stays");
    outflow::stop(app).await;
    working.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_whose_key_is_masked_are_told_apart_without_it() {
    let server = MariaDb::start();
    receiver(&server);
    let house = House::new().await;
    settle(&house).await;
    let app = &house.app;
    house.publish(person_draft("renkou")).await;
    land_text(&house, "renkou", SyncMode::Full, PEOPLE).await;
    let request = agreed(&house, "hangzhou", "renkou", &["sfzh", "xm"]).await;
    let city = database(&house, "hangzhou", SourceKind::Mysql, server.port, "d").await;
    let hangzhou = house.person("hangzhou").await;
    let made = outflow::create(app, &hangzhou, &new(&request, &city)).await.unwrap();
    let working = delivering(app);
    let rows = async || at_mariadb(server.port, "SELECT qt_row, sfzh, xm FROM renkou").await;
    let held = async |names: &[&str]| {
        until("held", async || {
            let table = rows().await?;
            let mut there: Vec<String> =
                table.values().map(|row| row[2].clone().unwrap()).collect();
            there.sort();
            if there == names { Ok(table) } else { Err(format!("{table:?}")) }
        })
        .await
    };
    let first = held(&["张**", "李*"]).await;
    let text = format!("{first:?}");
    assert!(!text.contains("11010519491231002X") && !text.contains("19491231"), "{text}");
    let update =
        "op,sfzh,xm,sjh,csrq,region_code\nU,440524188001010014,王五六七,1,1880-01-01,330110\n";
    let update = update.replace(",1,", ",13900139000,");
    land_text(&house, "renkou", SyncMode::Incremental, &update).await;
    let second = held(&["张**", "王***"]).await;
    assert!(first.keys().eq(second.keys()), "rows keep their names");
    // An item that is not granted changes: nothing comes.
    let before = outflow::get(app, &hangzhou, &made.outflow.id).await.unwrap();
    let silent = update.replace("13900139000", "13700137000");
    land_text(&house, "renkou", SyncMode::Incremental, &silent).await;
    let gone = "op,sfzh,xm,sjh,csrq,region_code\nD,11010519491231002X,,,,330106\n";
    land_text(&house, "renkou", SyncMode::Incremental, gone).await;
    held(&["王***"]).await;
    let after = state(&house, &made.outflow.id, OutflowState::Level).await;
    assert_eq!(after.figures.upserts, before.figures.upserts.max(3), "{before:?} {after:?}");
    // The row filter's item is not granted: it limits the rows all the same.
    let moved = update.replace("330110", "330203");
    land_text(&house, "renkou", SyncMode::Incremental, &moved).await;
    held(&[]).await;
    outflow::stop(app).await;
    working.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_given_table_is_checked_and_a_pause_holds() {
    let cluster = Postgres::start();
    let _ = cluster.database("city");
    // With the control store on PostgreSQL, too.
    let house = House::on(&cluster.database("control")).await;
    settle(&house).await;
    let app = &house.app;
    house.publish(regional("firms")).await;
    land(
        &house,
        "firms",
        SyncMode::Full,
        &[("I", 1, "甲一", 1, "330110"), ("I", 2, "乙二", 2, "330106")],
    )
    .await;
    // A county: its own rows alone.
    let county = house.person("county").await;
    let request = agreed(&house, "county", "firms", &ITEMS).await;
    let place = database(&house, "county", SourceKind::Postgres, cluster.port(), "city").await;
    let source = Source::open(cluster.port(), "city").await;
    source
        .run("CREATE SCHEMA own; CREATE TABLE own.t (id text, name text, amount numeric, day date, lrr text NOT NULL)")
        .await;
    let asked = OutflowNew { table: "own.t".into(), ..new(&request, &place) };
    let refused = outflow::create(app, &county, &asked).await.unwrap_err();
    let told: String = refused.fields().iter().map(|f| f.zh.clone()).collect();
    for word in ["`id`", "region_code", "lrr", "主键"] {
        assert!(told.contains(word), "{word}: {told}");
    }
    source
        .run("DROP TABLE own.t; CREATE TABLE own.t (id bigint PRIMARY KEY, name varchar(50), amount numeric(18,2), day date, region_code char(6), at timestamptz DEFAULT now()); INSERT INTO own.t VALUES (9)")
        .await;
    let full = outflow::create(app, &county, &asked).await.unwrap_err();
    assert!(full.fields()[0].zh.contains("已有数据"), "{full:?}");
    source.run("DELETE FROM own.t").await;
    let bad = OutflowNew { table: "own.t; drop".into(), ..asked.clone() };
    assert_eq!(outflow::create(app, &county, &bad).await.unwrap_err().code(), Code::InvalidInput);
    let made = outflow::create(app, &county, &asked).await.unwrap();
    let id = made.outflow.id.as_str();
    let working = delivering(app);
    let rows =
        async || source.one("SELECT string_agg(id || name, ',' ORDER BY id) FROM own.t").await;
    let held = async |wanted: &str| {
        until(wanted, async || {
            let there = rows().await;
            if there == wanted { Ok(()) } else { Err(there) }
        })
        .await;
    };
    held("1甲*").await;
    outflow::pause(app, &county, id).await.unwrap();
    state(&house, id, OutflowState::Paused).await;
    land(
        &house,
        "firms",
        SyncMode::Incremental,
        &[("I", 3, "丙丁", 3, "330110"), ("D", 1, "", 0, "330110")],
    )
    .await;
    land(&house, "firms", SyncMode::Incremental, &[("I", 4, "戊己", 4, "330110")]).await;
    assert_eq!(rows().await, "1甲*");
    outflow::resume(app, &county, id).await.unwrap();
    held("3丙*,4戊*").await;
    // A value that does not fit is refused with its reason, and comes when the table was mended.
    source.run("ALTER TABLE own.t ALTER name TYPE varchar(3)").await;
    land(&house, "firms", SyncMode::Incremental, &[("U", 4, "很长的名称", 4, "330110")]).await;
    let waits = state(&house, id, OutflowState::Refused).await;
    assert!(waits.waits() && waits.figures.zh.contains("varying(3)"), "{waits:?}");
    source.run("ALTER TABLE own.t ALTER name TYPE text").await;
    held("3丙*,4很****").await;
    outflow::stop(app).await;
    working.abort();
}

/// A flow keeps to hours, to addresses and to what is asked one by one: it waits, or says what stands in the way, and nothing comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_flow_keeps_to_bounds() {
    let cluster = Postgres::start();
    let _ = cluster.database("city");
    let house = House::new().await;
    settle(&house).await;
    let app = &house.app;
    let entry = house.publish(regional("firms")).await;
    land(&house, "firms", SyncMode::Full, &[("I", 1, "甲一", 1, "330110")]).await;
    let county = house.person("county").await;
    let request = agreed(&house, "county", "firms", &ITEMS).await;
    let place = database(&house, "county", SourceKind::Postgres, cluster.port(), "city").await;
    let bound = async |bounds: Bounds| {
        crate::bounding::set(&house, "security", BoundsKind::Entry, &entry.id, bounds)
            .await
            .unwrap();
    };
    let counted = || Bounds {
        subject: Some(SubjectBound { item: "id".into(), per_day: 3 }),
        ..Bounds::default()
    };
    let listed = |cidr: &str| Bounds { addresses: vec![cidr.into()], ..Bounds::default() };
    bound(counted()).await;
    let refused = outflow::create(app, &county, &new(&request, &place)).await.unwrap_err();
    assert_eq!(refused.reasons(), ["bounds.entry.subject-bulk"], "{refused}");

    // The house stands on a Monday: it waits for its hours.
    bound(Bounds { windows: crate::bounding::windows(&["6 08:00-09:00"]), ..Bounds::default() })
        .await;
    let made = outflow::create(app, &county, &new(&request, &place)).await.unwrap();
    let id = made.outflow.id.as_str();
    let working = delivering(app);
    let source = Source::open(cluster.port(), "city").await;
    let says = async |wanted: OutflowState, word: &str| {
        until(word, async || {
            let view = outflow::get(app, &county, id).await.unwrap();
            let found = view.figures.state == wanted && view.figures.zh.contains(word);
            if found { Ok(()) } else { Err(format!("{:?}", view.figures)) }
        })
        .await;
    };
    let rows = async || source.one("SELECT count(*) FROM firms").await;
    says(OutflowState::Waiting, "时段").await;
    assert_eq!(rows().await, "0");
    bound(listed("127.0.0.0/8")).await;
    state(&house, id, OutflowState::Level).await;
    assert_eq!(rows().await, "1");

    for (n, bounds, word) in [(2, listed("10.1.0.0/16"), "127.0.0.1"), (3, counted(), "主体限次")]
    {
        bound(bounds).await;
        let line = ("I", n, "后来", n, "330110");
        land(&house, "firms", SyncMode::Incremental, &[line]).await;
        says(OutflowState::Refused, word).await;
        assert_eq!(rows().await, "1", "{word}");
    }
    bound(Bounds::default()).await;
    state(&house, id, OutflowState::Level).await;
    assert_eq!(rows().await, "3");
    let auditor = house.person("auditor").await;
    let filter =
        AuditFilter { action: Some("rows.flow".into()), limit: 500, ..AuditFilter::default() };
    let records = app::audit::list(app, &auditor, &filter).await.unwrap();
    assert!(records.iter().any(|r| r.event.reason.contains("out_of_bounds")), "{records:?}");
    outflow::stop(app).await;
    working.abort();
}

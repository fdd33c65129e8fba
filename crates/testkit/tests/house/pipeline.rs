//! Pipelines against real databases: turns by the calendar and by hand, rows that come late, ranges read again, what waits for
//! what, a source that is down, error budgets, two processes, and runs without rows.

use std::sync::Arc;
use std::time::Duration;

use app::App;
use app::collection::source;
use app::pipeline::{self, PipelineView};
use chrono::TimeDelta;
use model::pipeline::{Turn, TurnKind, TurnState};
use model::source::{SourceKind, SourceNew, SourceTls};
use model::{Code, Op};
use testkit::{House, MariaDb, PROVIDER_ORG, Postgres, draft};

use crate::railway::{FIRMS, Source, differs, lake, proxy, served, stored, until};

/// A stored source on a MariaDB.
pub(crate) async fn kept(app: &App, op: &Op, server: &MariaDb) -> String {
    let new = SourceNew {
        org: PROVIDER_ORG.into(),
        name: "环境业务库".into(),
        kind: SourceKind::Mysql,
        host: "127.0.0.1".into(),
        port: server.port,
        database: "d".into(),
        account: "reader".into(),
        password: MariaDb::PASSWORD.into(),
        tls: SourceTls::Prefer,
    };
    source::create(app, op, new).await.unwrap().id
}

/// Has turns taken up until none is left that could go on, and waits for them.
pub(crate) async fn settle(app: &Arc<App>, op: &Op, id: &str) -> Vec<Turn> {
    until("turns at rest", async || {
        pipeline::tick(app).await.unwrap();
        let turns = pipeline::turns(app, op, id, None, None, 200).await.unwrap().items;
        let busy = turns.iter().any(|t| {
            // A slice is put back while another of its source runs, and follows when that one is done.
            let follows = t.kind == TurnKind::Backfill;
            t.state == TurnState::Running
                || (t.state == TurnState::Waiting
                    && (follows || t.ready_at <= model::op::stamp(app.now())))
        });
        if busy { Err(format!("{turns:#?}")) } else { Ok(turns) }
    })
    .await
}

/// As `settle`, once a pipeline has a turn: its end is kept before those behind it are told.
async fn behind(app: &Arc<App>, op: &Op, id: &str) -> Vec<Turn> {
    until("a turn behind another", async || {
        let turns = settle(app, op, id).await;
        if turns.is_empty() { Err("none".to_owned()) } else { Ok(turns) }
    })
    .await
}

async fn run(house: &House, op: &Op, id: &str) -> Turn {
    let begun = pipeline::run_now(&house.app, op, id).await.unwrap();
    let turns = settle(&house.app, op, id).await;
    turns.into_iter().find(|t| t.id == begun.id).unwrap()
}

fn agrees(turn: &Turn) {
    assert!(turn.figures.agree(), "{turn:#?}");
    assert_eq!(turn.figures.read, turn.figures.made + turn.figures.refused, "{turn:#?}");
}

/// A pipeline of the table `firms` by the time of its changes.
fn firms(source: &str, rest: &str) -> String {
    format!(
        "name = \"firms\"\ntitle = \"法人\"\nentry = \"firms\"\nmode = \"incremental\"\n{rest}\n[source]\nkind = \"database\"\nsource = \"{source}\"\ntable = \"public.firms\"\n\n[watermark]\ncolumn = \"changed\"\ntype = \"datetime\"\nstart = \"2026-01-01\"\nlate = \"1d\"\n\n[retry]\ntimes = 2\nfirst = \"1s\"\nlongest = \"2s\"\n"
    )
}

const MAKE: &str = "CREATE TABLE firms (id bigint PRIMARY KEY, name text, amount numeric(18,2), day date, changed timestamptz);
    INSERT INTO firms SELECT n, '企业' || n, n + 0.25, date '2026-01-01' + (n % 50)::int, timestamptz '2026-02-01 00:00:00+08' + n * interval '1 minute' FROM generate_series(1, 1500) n";

async fn level(house: &House, source: &Source) {
    let (there, here) = (source.table(FIRMS).await, lake(&house.app, "firms").await);
    assert_eq!(differs(&there, &here), None);
    assert_eq!(differs(&there, &served(&house.app, "firms").await), None, "the serving copy");
}

/// New rows, late rows, nothing new, a range read again; what stands in versions.
#[tokio::test(flavor = "multi_thread")]
async fn changes_come_by_their_watermark() {
    let (house, cluster) = (House::new().await, Postgres::start());
    let _ = cluster.database("source");
    let source = Source::open(cluster.port(), "source").await;
    source.run(MAKE).await;
    let provider = house.person("provider").await;
    house.publish(draft("firms")).await;
    let at = stored(&house.app, &provider, cluster.port(), "source").await;
    let text = firms(&at, "");

    // Strangers neither make, see nor run one.
    let stranger = house.person("stranger").await;
    assert!(pipeline::create(&house.app, &stranger, &text).await.is_err());
    let made = pipeline::create(&house.app, &provider, &text).await.unwrap();
    let id = made.pipeline.id.clone();
    assert_eq!(pipeline::get(&house.app, &stranger, &id).await.unwrap_err().code(), Code::NotFound);
    assert!(pipeline::run_now(&house.app, &stranger, &id).await.is_err());
    assert!(pipeline::list(&house.app, &stranger, None, 0).await.unwrap().items.is_empty());
    let twice = pipeline::create(&house.app, &provider, &text).await.unwrap_err();
    assert_eq!(twice.code(), Code::Duplicate);

    let dry = pipeline::dry_run(&house.app, &provider, Some(&id), None).await.unwrap();
    assert_eq!((dry.rows.len(), dry.figures.read, dry.cut), (20, 1500, false));
    assert!(dry.columns.contains(&("amount".into(), Some("amount".into()))));
    assert!(lake(&house.app, "firms").await.is_empty(), "a dry run lands nothing");

    let first = run(&house, &provider, &id).await;
    assert_eq!(first.state, TurnState::Succeeded, "{first:#?}");
    assert_eq!((first.figures.read, first.figures.landed), (1500, 1500));
    assert_eq!(first.from, "2026-01-01T00:00:00");
    agrees(&first);
    level(&house, &source).await;
    let view = pipeline::get(&house.app, &provider, &id).await.unwrap();
    assert_eq!(view.position, first.to);
    assert_eq!(view.last.unwrap().id, first.id);

    // New rows, a change, and one that comes half a day late.
    house.clock.forward(TimeDelta::hours(2));
    source
        .run(
            "INSERT INTO firms VALUES (9001, '新', 1, NULL, '2026-03-02 10:00:00+08'), (9002, '迟', 1, NULL, '2026-03-01 21:00:00+08');
             UPDATE firms SET name = '改', changed = '2026-03-02 10:30:00+08' WHERE id < 10",
        )
        .await;
    let second = run(&house, &provider, &id).await;
    assert_eq!((second.state, second.figures.landed), (TurnState::Succeeded, 11), "{second:#?}");
    level(&house, &source).await;

    // Rows later than is provided for are not seen, until their range is read again.
    source.run("INSERT INTO firms VALUES (9003, '太迟', 1, NULL, '2026-02-10 00:00:00+08'); UPDATE firms SET changed = '2026-02-01' WHERE changed > '2026-02-28'").await;
    house.clock.forward(TimeDelta::hours(48));
    let third = run(&house, &provider, &id).await;
    assert_eq!(third.state, TurnState::Empty, "no rows is told apart: {third:#?}");
    assert!(third.zh.contains("没有读到任何行"));
    assert!(!lake(&house.app, "firms").await.contains_key("9003"));
    let backfill = pipeline::backfill(&house.app, &provider, &id, "2026-02-01", "2026-02-12", "3d")
        .await
        .unwrap();
    assert_eq!((backfill.slices, backfill.waiting), (4, 4));
    settle(&house.app, &provider, &id).await;
    let done = pipeline::progress(&house.app, &provider, &id, &backfill.group).await.unwrap();
    assert_eq!((done.done, done.failed), (4, 0), "{done:?}");
    level(&house, &source).await;
    let position = pipeline::get(&house.app, &provider, &id).await.unwrap().position;
    assert_eq!(position, second.to, "neither a range nor nothing moves the position");
    for wrong in [
        ("2026-02-12", "2026-02-01", "1d"),
        ("x", "2026-02-01", "1d"),
        ("2026-01-01", "2026-02-01", "1s"),
    ] {
        let refused =
            pipeline::backfill(&house.app, &provider, &id, wrong.0, wrong.1, wrong.2).await;
        assert!(!refused.unwrap_err().fields().is_empty(), "{wrong:?}");
    }

    // Versions: the same text changes nothing, another is a new version, an old one stays to be read.
    let same = pipeline::import(&house.app, &provider, &text).await.unwrap();
    assert_eq!(same.pipeline.version, 1);
    let next =
        pipeline::import(&house.app, &provider, &text.replace("late = \"1d\"", "late = \"2d\""))
            .await
            .unwrap();
    assert_eq!((next.pipeline.version, next.pipeline.id.as_str()), (2, id.as_str()));
    let stale = pipeline::edit(&house.app, &provider, &id, &text, 1).await.unwrap_err();
    assert_eq!(stale.code(), Code::Stale);
    let lines = pipeline::difference(&house.app, &provider, &id, 1, 2).await.unwrap();
    let changed: Vec<&str> =
        lines.iter().filter(|l| l.tag != "same").map(|l| l.text.as_str()).collect();
    assert_eq!(changed, ["late = \"1d\"", "late = \"2d\""]);
    let (_, old) = pipeline::export(&house.app, &provider, &id, Some(1)).await.unwrap();
    assert_eq!(old, text);
    assert_eq!(
        pipeline::versions(&house.app, &provider, &id, None, 0).await.unwrap().items.len(),
        2
    );
    assert_eq!(
        source::remove(&house.app, &provider, &at).await.unwrap_err().code(),
        Code::WrongState,
        "a source that is read stays"
    );
    pipeline::remove(&house.app, &provider, &id).await.unwrap();
    assert!(pipeline::get(&house.app, &provider, &id).await.is_err());
    source::remove(&house.app, &provider, &at).await.unwrap();
}

/// What is wrong with a file is told by line, what it names must be there, and circles are refused.
#[tokio::test]
async fn a_file_is_held_against_the_house() {
    let house = House::new().await;
    let provider = house.person("provider").await;
    house.publish(draft("firms")).await;
    let server = Postgres::start();
    let at = stored(&house.app, &provider, server.port(), "postgres").await;
    let fields = async |text: &str| {
        let error = pipeline::create(&house.app, &provider, text).await.unwrap_err();
        error.fields().iter().map(|f| (f.field.clone(), f.zh.clone())).collect::<Vec<_>>()
    };
    let told = fields(
        &firms("没有的库", "after = [\"nothing\"]").replace("\"firms\"\nmode", "\"none\"\nmode"),
    )
    .await;
    let has =
        |field: &str, line: &str| told.iter().any(|(f, zh)| f == field && zh.starts_with(line));
    assert!(
        has("entry", "第 3 行") && has("source.source", "第 8 行") && has("after", "第 5 行"),
        "{told:?}"
    );
    let told = fields(&firms(&at, "").replace("\"1d\"", "\"1w\"")).await;
    assert!(told[0].0 == "watermark.late" && told[0].1.starts_with("第 15 行"), "{told:?}");
    let sqlite = "name = \"x\"\nentry = \"firms\"\nmode = \"full\"\n[source]\nkind = \"sqlite\"\npath = \"/etc/passwd\"\ntable = \"t\"\n";
    let told = fields(sqlite).await;
    assert!(
        told[0].0 == "source.path",
        "no folder is allowed unless the operator says so: {told:?}"
    );

    // a → b, then b → a.
    house.publish(draft("more")).await;
    pipeline::create(&house.app, &provider, &firms(&at, "")).await.unwrap();
    let more = firms(&at, "after = [\"firms\"]")
        .replace("name = \"firms\"", "name = \"more\"")
        .replace("entry = \"firms\"", "entry = \"more\"");
    let more = pipeline::create(&house.app, &provider, &more).await.unwrap();
    let first = pipeline::named(&house.app, &provider, "firms").await.unwrap();
    let circle =
        pipeline::edit(&house.app, &provider, &first.id, &firms(&at, "after = [\"more\"]"), 1)
            .await
            .unwrap_err();
    assert!(circle.fields()[0].zh.contains("firms → more → firms"), "{circle:?}");
    let removed = pipeline::remove(&house.app, &provider, &first.id).await.unwrap_err();
    assert_eq!(removed.code(), Code::WrongState, "another waits for it");
    pipeline::remove(&house.app, &provider, &more.pipeline.id).await.unwrap();
    pipeline::remove(&house.app, &provider, &first.id).await.unwrap();
}

/// Turns of the calendar: missed ones run once, what waits for others waits, paused pipelines rest.
#[tokio::test(flavor = "multi_thread")]
async fn turns_come_by_the_calendar_and_one_after_another() {
    let (house, server) = (House::new().await, MariaDb::start());
    server.run_sql("CREATE TABLE d.t (id bigint PRIMARY KEY, name text, amount decimal(18,2), day date); INSERT INTO d.t VALUES (1, '甲', 1.5, '2026-01-01'), (2, '乙', 2.5, NULL)");
    let provider = house.person("provider").await;
    for code in ["first", "second", "third"] {
        house.publish(draft(code)).await;
    }
    let at = kept(&house.app, &provider, &server).await;
    let text = |name: &str, rest: &str, end: &str| {
        format!(
            "name = \"{name}\"\nentry = \"{name}\"\nmode = \"full\"\n{rest}\n[source]\nkind = \"database\"\nsource = \"环境业务库\"\ntable = \"t\"\n{end}"
        )
    };
    let make = async |text: String| -> PipelineView {
        pipeline::create(&house.app, &provider, &text).await.unwrap()
    };
    // It is Monday, 09:00.
    let first = make(text("first", "", "[schedule]\ncron = \"0 10 * * *\"")).await.pipeline;
    let second = make(text(
        "second",
        "after = [\"first\"]",
        "[schedule]\ncalendar = \"workdays\"\nat = \"09:30\"",
    ))
    .await
    .pipeline;
    let third = make(text("third", "after = [\"first\", \"second\"]", "")).await.pipeline;
    assert_eq!(first.due, "2026-03-02T02:00:00.000Z");
    assert_eq!((second.due.as_str(), third.due.as_str()), ("2026-03-02T01:30:00.000Z", ""));

    house.clock.forward(TimeDelta::minutes(31));
    settle(&house.app, &provider, &second.id).await;
    let waiting =
        pipeline::turns(&house.app, &provider, &second.id, None, None, 0).await.unwrap().items;
    assert_eq!((waiting.len(), waiting[0].state), (1, TurnState::Waiting));
    assert!(waiting[0].zh.contains("first"), "{waiting:?}");
    house.clock.forward(TimeDelta::minutes(30));
    settle(&house.app, &provider, &first.id).await;
    settle(&house.app, &provider, &second.id).await;
    let thirds = behind(&house.app, &provider, &third.id).await;
    assert_eq!(
        (thirds.len(), thirds[0].kind, thirds[0].state),
        (1, TurnKind::After, TurnState::Succeeded),
        "{thirds:#?}"
    );
    assert_eq!(lake(&house.app, "third").await.len(), 2);

    // Off for a week and a day: one turn, which says how many were missed.
    house.clock.forward(TimeDelta::days(8));
    let turns = settle(&house.app, &provider, &first.id).await;
    assert_eq!((turns.len(), turns[0].missed), (2, 7), "{turns:#?}");
    assert_eq!(turns[0].at, "2026-03-10T02:00:00.000Z");
    // The same rows as before: nothing is landed twice.
    assert_eq!(turns[0].attempts[0].outcome, "unchanged");
    agrees(&turns[0]);

    pipeline::pause(&house.app, &provider, &first.id).await.unwrap();
    house.clock.forward(TimeDelta::days(2));
    assert_eq!(settle(&house.app, &provider, &first.id).await.len(), 2, "it rests");
    pipeline::resume(&house.app, &provider, &first.id).await.unwrap();
    house.clock.forward(TimeDelta::days(1));
    assert_eq!(settle(&house.app, &provider, &first.id).await.len(), 3);
    let _ = at;
}

/// What ends well is kept before those behind it are told: a process that dies, or fails, between the two loses no turn.
#[tokio::test(flavor = "multi_thread")]
async fn those_behind_are_told_though_telling_failed() {
    let (server, store) = (MariaDb::start(), Postgres::start());
    server.run_sql("CREATE TABLE d.t (id bigint PRIMARY KEY, name text, amount decimal(18,2), day date); INSERT INTO d.t VALUES (1, '甲', 1.5, NULL)");
    let house = House::on(&store.database("store")).await;
    let provider = house.person("provider").await;
    for code in ["first", "second"] {
        house.publish(draft(code)).await;
    }
    kept(&house.app, &provider, &server).await;
    let make = async |name: &str, rest: &str| {
        let text = format!(
            "name = \"{name}\"\nentry = \"{name}\"\nmode = \"full\"\n{rest}\n[source]\nkind = \"database\"\nsource = \"环境业务库\"\ntable = \"t\"\n"
        );
        pipeline::create(&house.app, &provider, &text).await.unwrap().pipeline.id
    };
    let (first, second) = (make("first", "").await, make("second", "after = [\"first\"]").await);
    let hand = Source::open(store.port(), "store").await;
    // A sequence is not rolled back: it counts what was denied.
    hand.run("CREATE SEQUENCE denied; CREATE FUNCTION deny() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('denied'); RAISE EXCEPTION 'no'; END $$; CREATE TRIGGER deny BEFORE INSERT ON pipeline_turn FOR EACH ROW WHEN (NEW.kind = 'after') EXECUTE FUNCTION deny()").await;
    assert_eq!(run(&house, &provider, &first).await.state, TurnState::Succeeded);
    // Its owner tries once; the scheduler goes on trying.
    until("told again", async || {
        pipeline::tick(&house.app).await.unwrap();
        let denied = hand.one("SELECT last_value FROM denied").await;
        if denied == "1" { Err(denied) } else { Ok(()) }
    })
    .await;
    assert!(settle(&house.app, &provider, &second).await.is_empty());
    hand.run("DROP TRIGGER deny ON pipeline_turn").await;
    let told = behind(&house.app, &provider, &second).await;
    assert_eq!(
        (told.len(), told[0].kind, told[0].state),
        (1, TurnKind::After, TurnState::Succeeded)
    );
    // It was told once: nothing is begun anew.
    assert_eq!(settle(&house.app, &provider, &second).await.len(), 1);
}

/// Two processes, one turn; a source that is down; a budget; a rule about no rows.
#[tokio::test(flavor = "multi_thread")]
async fn failures_are_tried_again_and_budgets_stop_before_landing() {
    let (cluster, store) = (Postgres::start(), Postgres::start());
    let url = store.database("store");
    let house = House::on(&url).await;
    let _ = cluster.database("source");
    let source = Source::open(cluster.port(), "source").await;
    source.run(MAKE).await;
    let provider = house.person("provider").await;
    house.publish(draft("firms")).await;
    let (port, gate) = proxy(cluster.port()).await;
    let at = stored(&house.app, &provider, port, "source").await;
    let text = firms(&at, "max_bad_rows = 3\nempty = \"fail\"");
    let text = text.replace("table = \"public.firms\"", "sql = \"SELECT id, name, CASE WHEN name LIKE '坏%' THEN 'x' ELSE amount::text END AS amount, day, changed FROM firms WHERE changed >= {from} AND changed < {to}\"");
    let made = pipeline::create(&house.app, &provider, &text).await.unwrap();
    let id = made.pipeline.id.clone();

    // The source is away, then it comes back: the turn is tried again by itself.
    gate.cut();
    let begun = pipeline::run_now(&house.app, &provider, &id).await.unwrap();
    let turns = settle(&house.app, &provider, &id).await;
    assert_eq!((turns[0].state, turns[0].failures), (TurnState::Retrying, 1), "{turns:#?}");
    gate.lead(cluster.port());
    house.clock.forward(TimeDelta::seconds(3));
    // Two processes look at the same turn at once.
    let beside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(house.folder().join("lake"), beside.path().join("lake")).unwrap();
    let other = House::kept(beside.path(), &url).await;
    other.clock.forward(house.app.now() - other.app.now());
    let (a, b) = tokio::join!(pipeline::tick(&house.app), pipeline::tick(&other.app));
    assert_eq!(a.unwrap() + b.unwrap(), 1, "one of two takes it up");
    let turns = settle(&house.app, &provider, &id).await;
    let turn = turns.iter().find(|t| t.id == begun.id).unwrap();
    assert_eq!((turn.state, turn.figures.landed), (TurnState::Succeeded, 1500), "{turn:#?}");
    let outcomes: Vec<&str> = turn.attempts.iter().map(|a| a.outcome.as_str()).collect();
    assert_eq!(outcomes, ["failed", "succeeded"], "attempts are kept");
    assert!(!turn.attempts[0].zh.is_empty());
    level(&house, &source).await;

    // Bad rows up to the budget are set aside; one more stops the turn, and the position stays.
    house.clock.forward(TimeDelta::hours(1));
    source.run("INSERT INTO firms SELECT n, '坏', 1, NULL, '2026-03-02 09:10:00+08' FROM generate_series(7001, 7003) n").await;
    let some = run(&house, &provider, &id).await;
    assert_eq!((some.state, some.figures.quarantined), (TurnState::Succeeded, 3), "{some:#?}");
    agrees(&some);
    let before = pipeline::get(&house.app, &provider, &id).await.unwrap().position;
    house.clock.forward(TimeDelta::hours(1));
    source.run("INSERT INTO firms SELECT n, '坏', 1, NULL, '2026-03-02 10:20:00+08' FROM generate_series(7101, 7105) n; INSERT INTO firms VALUES (7200, '好', 1, NULL, '2026-03-02 10:20:00+08')").await;
    let stopped = run(&house, &provider, &id).await;
    assert_eq!(
        (stopped.state, stopped.failures),
        (TurnState::Failed, 1),
        "not tried again: {stopped:#?}"
    );
    assert!(stopped.zh.contains("超过允许的 3 行"), "{}", stopped.zh);
    assert!(!lake(&house.app, "firms").await.contains_key("7200"));
    assert_eq!(pipeline::get(&house.app, &provider, &id).await.unwrap().position, before);
    // Mended at the source, the same turn goes on.
    source.run("UPDATE firms SET name = '好' WHERE name = '坏'").await;
    pipeline::again(&house.app, &provider, &id, &stopped.id).await.unwrap();
    let turns = settle(&house.app, &provider, &id).await;
    let turn = turns.iter().find(|t| t.id == stopped.id).unwrap();
    assert_eq!(turn.state, TurnState::Succeeded, "{turn:#?}");
    level(&house, &source).await;

    house.clock.forward(TimeDelta::days(3));
    let late = run(&house, &provider, &id).await;
    assert_eq!(late.state, TurnState::Succeeded, "what may come late is read again: {late:#?}");
    let none = run(&house, &provider, &id).await;
    assert_eq!(none.state, TurnState::Failed, "no rows is a failure here: {none:#?}");
    // A query that the source refuses is not tried again.
    source.run("ALTER TABLE firms RENAME COLUMN changed TO altered").await;
    let refused = run(&house, &provider, &id).await;
    assert_eq!((refused.state, refused.failures), (TurnState::Failed, 1), "{refused:#?}");
    assert!(refused.zh.contains("数据源拒绝了查询"), "{}", refused.zh);
    other.app.store.close().await;
    tokio::time::timeout(Duration::from_secs(5), house.app.store.close()).await.unwrap();
}

/// Files of this machine, looked up in another entry by a SELECT: SQLite, and a folder of files taken one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn other_sources_go_through_a_transformation() {
    let house = House::new().await;
    let provider = house.person("provider").await;
    for code in ["firms", "kinds", "papers"] {
        house.publish(draft(code)).await;
    }
    let kinds = "编号,名称,金额,日期\n1,工业,1,\n2,服务业,2,\n".as_bytes();
    house.collect("kinds", "kinds.csv", kinds, model::code::SyncMode::Full).await.unwrap();
    // Only folders that the operator names are read, each department its own.
    let folder = house.app.folders.exchange.canonicalize().unwrap().join(PROVIDER_ORG);
    std::fs::create_dir_all(&folder).unwrap();
    let sqlite = folder.join("a.db");
    let db = rusqlite::Connection::open(&sqlite).unwrap();
    db.execute_batch("CREATE TABLE t (no INTEGER, kind INTEGER, worth TEXT); INSERT INTO t VALUES (1, 1, '10.5'), (2, 2, '20'), (3, 2, '30'), (4, 9, 'x')").unwrap();
    drop(db);
    let text = format!(
        "name = \"t\"\nentry = \"firms\"\nmode = \"full\"\nlookups = [\"kinds\"]\n[source]\nkind = \"sqlite\"\npath = \"{}\"\ntable = \"t\"\n[source.columns]\nno = \"integer\"\nkind = \"integer\"\nworth = \"decimal\"\n[transform]\nsql = \"SELECT s.no AS id, upper(k.name) AS name, s.worth AS amount FROM source s JOIN kinds k ON k.id = s.kind\"\n",
        sqlite.display()
    );
    let made = pipeline::create(&house.app, &provider, &text).await.unwrap();
    let id = made.pipeline.id.clone();
    let (plan, _) = pipeline::lineage(&house.app, &provider, &id).await.unwrap();
    let name = plan.unwrap().columns.into_iter().find(|c| c.name == "name").unwrap();
    assert_eq!((name.from, name.by), (vec!["kinds.name".to_owned()], vec!["upper".to_owned()]));
    let turn = run(&house, &provider, &id).await;
    assert_eq!(turn.state, TurnState::Succeeded, "{turn:#?}");
    // Four were read, one did not fit its column; three were made and have landed.
    let f = &turn.figures;
    assert_eq!((f.read, f.refused, f.made, f.landed, f.quarantined), (4, 1, 3, 3, 1));
    agrees(&turn);
    assert_eq!(lake(&house.app, "firms").await["2"][1].as_deref(), Some("服务业"));
    let aside = app::collection::quarantine(&house.app, &provider, &turn.attempts[0].run, None, 0)
        .await
        .unwrap();
    assert_eq!(aside.items[0].state, "source");

    // A folder: files in the order of their names, each once.
    std::fs::create_dir_all(folder.join("in")).unwrap();
    let file = |name: &str, rows: &str| {
        std::fs::write(folder.join("in").join(name), format!("编号,名称,金额,日期\n{rows}"))
            .unwrap()
    };
    file("2026-01.csv", "1,一月,1,\n");
    file("2026-02.csv", "2,二月,2,\n");
    file("note.txt", "nothing");
    let text = format!(
        "name = \"papers\"\nentry = \"papers\"\nmode = \"incremental\"\n[source]\nkind = \"folder\"\nurl = \"file://{}/\"\npattern = \"*.csv\"\n",
        folder.join("in").display()
    );
    let papers = pipeline::create(&house.app, &provider, &text).await.unwrap().pipeline.id;
    let first = run(&house, &provider, &papers).await;
    assert_eq!(
        (first.state, first.attempts.len(), first.figures.landed),
        (TurnState::Succeeded, 2, 2),
        "{first:#?}"
    );
    file("2026-03.csv", "3,三月,3,\n");
    let second = run(&house, &provider, &papers).await;
    assert_eq!((second.attempts.len(), second.figures.landed), (1, 1), "{second:#?}");
    assert_eq!(run(&house, &provider, &papers).await.state, TurnState::Empty);
    assert_eq!(lake(&house.app, "papers").await.len(), 3);
    assert_eq!(
        pipeline::get(&house.app, &provider, &papers).await.unwrap().position,
        "2026-03.csv"
    );
    let outside = text.replace("in/\"", "in/../../x/\"").replace("papers", "others");
    assert!(pipeline::create(&house.app, &provider, &outside).await.is_err());
}

//! Emergency stops: nothing leaves by any way, at once here and soon in every other process, also what is under way; both buttons leave
//! a record; and only those who may have them.

use std::sync::Arc;
use std::time::Duration;

use app::exchange;
use app::halt::{self, HaltAsk};
use app::interface::{self, Body, FileForm, Move};
use app::outflow::{self, PullAsk};
use app::sharing;
use chrono::TimeDelta;
use futures::StreamExt as _;
use model::audit::AuditFilter;
use model::code::SyncMode;
use model::exchange::{ExchangeNew, ExchangeWay, FileState};
use model::halt::{Halt, HaltKind};
use model::interface::{Arguments, InterfaceState};
use model::query::RowQuery;
use model::request::{Period, RequestNew, RequestState};
use model::{Code, Op};
use testkit::House;
use tokio_postgres::{Config, NoTls};

fn ask(kind: HaltKind, name: &str) -> HaltAsk {
    HaltAsk { kind, name: name.into(), reason: "疑似泄露".into() }
}

async fn stop(house: &House, kind: HaltKind, name: &str) -> Halt {
    let op = house.person("security").await;
    halt::begin(&house.app, &op, &ask(kind, name)).await.unwrap()
}

async fn lift(house: &House, halt: &Halt) {
    let op = house.person("authority").await;
    halt::lift(&house.app, &op, &halt.id, "已排查").await.unwrap();
}

fn now(house: &House, caller: &Op) -> Op {
    house.clock.forward(TimeDelta::seconds(1));
    house.app.op(caller.actor.clone(), "127.0.0.1")
}

async fn granted(house: &House, application: &str, entry: &str) {
    let consumer = house.person("consumer").await;
    let wanted = RequestNew {
        entry: entry.into(),
        application: application.into(),
        items: ["id", "name"].map(str::to_owned).into(),
        scene: "测试".into(),
        legal_basis: "部门职责".into(),
        period: Period::Days { days: 30 },
        calls_per_day: 10_000,
        area_range: String::new(),
        row_range: Default::default(),
        by_sql: true,
    };
    let request = sharing::apply(&house.app, &consumer, wanted).await.unwrap();
    if request.state != RequestState::Approved {
        for who in ["provider", "authority"] {
            let op = house.person(who).await;
            sharing::review(&house.app, &op, &request.id, true, "").await.unwrap();
        }
    }
}

/// `n` rows of [`testkit::draft`].
fn rows(n: usize) -> String {
    let lines: String = (0..n).map(|i| format!("{i},名称{i},1.50,2026-01-01\n")).collect();
    format!("id,name,amount,day\n{lines}")
}

async fn filled(house: &House, code: &str, n: usize) {
    house.publish(testkit::draft(code)).await;
    house.collect(code, "t.csv", rows(n).as_bytes(), SyncMode::Full).await.unwrap();
}

async fn published(house: &House, text: &str) -> String {
    let (app, provider) = (&house.app, house.person("provider").await);
    let made = interface::create(app, &provider, text).await.unwrap();
    for to in [InterfaceState::Test, InterfaceState::Published] {
        let to = Move { to, share: 100, until: String::new() };
        interface::step(app, &provider, &made.id, &to).await.unwrap();
    }
    made.code
}

/// Outcomes of the ways out, by name.
async fn ways(house: &House, caller: &Op, code: &str) -> Vec<(&'static str, Option<Code>)> {
    let app = &house.app;
    let outcome = |r: model::Result<()>| r.err().map(|e| e.code());
    let query = sharing::query(app, &now(house, caller), "tongji", &RowQuery::default()).await;
    let called = interface::call(app, &now(house, caller), code, Arguments::default()).await;
    let pulled = outflow::pull(app, &now(house, caller), "tongji", &PullAsk::default()).await;
    let nobody = house.nobody();
    let download = app::opening::download(app, &nobody, "tongji", None).await;
    let preview = app::opening::preview(app, &nobody, "tongji", &RowQuery::default()).await;
    vec![
        ("api", outcome(query.map(|_| ()))),
        ("interface", outcome(called.map(|_| ()))),
        ("changes", outcome(pulled.map(|_| ()))),
        ("download", outcome(download.map(|_| ()))),
        ("preview", outcome(preview.map(|_| ()))),
    ]
}

fn stopped<'a>(ways: &'a [(&'static str, Option<Code>)]) -> Vec<&'a str> {
    let only = |(_, code): &&(&str, Option<Code>)| code.is_none_or(|c| c == Code::Halted);
    assert!(ways.iter().all(|w| only(&w)), "{ways:?}");
    ways.iter().filter(|(_, code)| code.is_some()).map(|(name, _)| *name).collect()
}

/// A stop of each kind closes the ways that it concerns and no others, and lifting it opens them again.
async fn nothing_leaves(house: House) {
    let app = &house.app;
    let (caller, secret) = house.application("查询应用").await;
    filled(&house, "tongji", 10).await;
    granted(&house, &secret.application.id, "tongji").await;
    let list = "title = \"列表\"\nkind = \"list\"\nentry = \"tongji\"\n";
    let code = published(&house, list).await;
    let token = {
        let (key, secret) = (&secret.application.key, &secret.secret);
        app::account::token(app, &now(&house, &caller), key, secret, "").await.unwrap().token
    };
    assert_eq!(stopped(&ways(&house, &caller, &code).await), Vec::<&str>::new());

    for (who, allowed) in [("provider", false), ("consumer", false), ("auditor", false)] {
        let op = house.person(who).await;
        let tried = halt::begin(app, &op, &ask(HaltKind::Entry, "tongji")).await;
        assert_eq!(tried.is_ok(), allowed, "{who}");
    }
    let security = house.person("security").await;
    let silent = HaltAsk { reason: " ".into(), ..ask(HaltKind::Entry, "tongji") };
    assert_eq!(halt::begin(app, &security, &silent).await.unwrap_err().code(), Code::InvalidInput);
    assert_eq!(
        halt::begin(app, &security, &ask(HaltKind::Entry, "nothing")).await.unwrap_err().code(),
        Code::NotFound
    );

    let entry = stop(&house, HaltKind::Entry, "tongji").await;
    let all = ["api", "interface", "changes", "download", "preview"];
    assert_eq!(stopped(&ways(&house, &caller, &code).await), all);
    let again = halt::begin(app, &security, &ask(HaltKind::Entry, "tongji")).await.unwrap_err();
    assert_eq!(again.code(), Code::Duplicate);
    lift(&house, &entry).await;
    assert_eq!(stopped(&ways(&house, &caller, &code).await), Vec::<&str>::new());

    let application = stop(&house, HaltKind::Application, &secret.application.key).await;
    assert_eq!(stopped(&ways(&house, &caller, &code).await), ["api", "interface", "changes"]);
    // Who proves to be that application is answered nothing, whatever it asks; it still proves who it is.
    let op = now(&house, &caller);
    let (actor, _) = app::account::token_call(app, &op, &token).await.unwrap();
    assert_eq!(halt::admit(app, &op, &actor).await.unwrap_err().code(), Code::Halted);
    let (key, own) = (&secret.application.key, &secret.secret);
    let refused = app::account::token(app, &op, key, own, "").await.unwrap_err();
    assert_eq!(refused.code(), Code::Halted);
    assert!(refused.zh().contains(&application.id) && !refused.zh().contains("疑似泄露"));
    lift(&house, &application).await;

    let interface = stop(&house, HaltKind::Interface, &code).await;
    assert_eq!(stopped(&ways(&house, &caller, &code).await), ["interface"]);
    // Nobody is told of an interface they may not know of.
    let nobody = now(&house, &house.nobody());
    let hidden = interface::call(app, &nobody, &code, Arguments::default()).await;
    assert_eq!(hidden.unwrap_err().code(), Code::NotFound);
    lift(&house, &interface).await;
    assert_eq!(stopped(&ways(&house, &caller, &code).await), Vec::<&str>::new());

    let auditor = house.person("auditor").await;
    let of = async |action: &str| {
        let filter =
            AuditFilter { action: Some(action.into()), limit: 100, ..AuditFilter::default() };
        app::audit::list(app, &auditor, &filter).await.unwrap()
    };
    assert_eq!((of("halt.begin").await.len(), of("halt.lift").await.len()), (3, 3));
    let refusals = of("rows.query").await;
    assert!(refusals.iter().any(|r| r.event.reason.contains("halted")), "{refusals:?}");
    let consumer = house.person("consumer").await;
    let told = app::notice::list(app, &consumer, false, None, 100).await.unwrap().items;
    let count = |kind: &str| told.iter().filter(|n| n.kind == kind).count();
    assert_eq!((count("halt.begun"), count("halt.lifted")), (3, 3));
    let (now, past) = halt::list(app, &auditor, None, 10).await.unwrap();
    assert_eq!((now.len(), past.items.len()), (0, 3));
}

/// What is on its way is cut off: a file between two pieces, a statement while it runs.
async fn what_is_under_way_ends(house: House) {
    let app = &house.app;
    let (caller, secret) = house.application("批量应用").await;
    filled(&house, "tongji", 40_000).await;
    granted(&house, &secret.application.id, "tongji").await;
    let code = published(&house, "title = \"文件\"\nkind = \"file\"\nentry = \"tongji\"\n").await;
    let nobody = house.nobody();
    for (kind, name) in [
        (HaltKind::Entry, "tongji"),
        (HaltKind::Interface, &*code),
        (HaltKind::Application, &*secret.application.key),
    ] {
        let asked = now(&house, &caller);
        let called = interface::call(app, &asked, &code, Arguments::default()).await.unwrap();
        let Body::File(file) = called.body else { panic!("no file") };
        let mut file = file.bytes(FileForm::Csv);
        let mut open = app::opening::download(app, &nobody, "tongji", None).await.unwrap();
        file.next().await.unwrap().unwrap();
        file.next().await.unwrap().unwrap();
        open.rows.next().await.unwrap().unwrap();
        let halt = stop(&house, kind, name).await;
        let cut = file.next().await.unwrap().unwrap_err();
        assert_eq!(cut.code(), Code::Halted, "{kind}");
        assert!(file.next().await.is_none());
        // Open data go on unless it is the resource itself that is stopped.
        let open = open.rows.next().await.unwrap();
        assert_eq!(open.is_err(), kind == HaltKind::Entry);
        lift(&house, &halt).await;
    }

    let consumer = house.person("consumer").await;
    let login = app::wire::make_password(app, &consumer, &secret.application.id).await.unwrap();
    let at = house.sql().await;
    let connect = async || {
        let mut config = Config::new();
        config.host("127.0.0.1").port(at.port()).dbname("qiantang");
        config.user(&login.user).password(&login.password);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok::<_, tokio_postgres::Error>(client)
    };
    let begun = async || {
        let auditor = house.person("auditor").await;
        let filter =
            AuditFilter { action: Some("rows.sql".into()), limit: 100, ..AuditFilter::default() };
        let all = app::audit::list(app, &auditor, &filter).await.unwrap();
        all.iter().filter(|r| r.event.action == "rows.sql" && r.event.result == "ok").count()
    };
    for (kind, name) in
        [(HaltKind::Entry, "tongji"), (HaltKind::Application, &*secret.application.key)]
    {
        let client = connect().await.unwrap();
        let before = begun().await;
        let long = "select count(*) from generate_series(1, 100000000000) a(n), tongji";
        let (ended, halt) = tokio::join!(client.simple_query(long), async {
            // The statement is under way once its record is there.
            while begun().await == before {
                tokio::task::yield_now().await;
            }
            stop(&house, kind, name).await
        });
        let ended = format!("{:?} {kind}", ended.unwrap_err());
        assert!(client.simple_query("select 1 from tongji").await.is_err(), "{ended}");
        if kind == HaltKind::Application {
            assert!(connect().await.is_err(), "{ended}");
        }
        lift(&house, &halt).await;
        let client = connect().await.unwrap();
        client.simple_query("select count(*) from tongji").await.unwrap();
    }
}

/// No file is sent while its application or its resource is stopped; afterwards it is.
async fn no_file_is_sent(house: House) {
    let app = &house.app;
    let provider = house.person("provider").await;
    let (_, secret) = house.application("核验应用").await;
    house.publish(testkit::person_draft("renkou")).await;
    let people =
        "sfzh,xm,sjh,csrq,region_code\n11010519491231002X,张三丰,13800138000,1949-12-31,330106\n";
    house.collect("renkou", "people.csv", people.as_bytes(), SyncMode::Full).await.unwrap();
    let request = crate::exchange::approved(&house, &secret.application.id, "renkou").await;
    let place = crate::exchange::folder(&house, "out");
    let new = ExchangeNew {
        name: "人口发送".into(),
        way: Some(ExchangeWay::Out),
        peer: "省政务服务应用组".into(),
        entry: "renkou".into(),
        place: place.to_str().unwrap().into(),
        request,
        ..ExchangeNew::default()
    };
    let view = exchange::create(app, &provider, new).await.unwrap();
    let there = || std::fs::read_dir(&place).unwrap().count();
    for (kind, name) in
        [(HaltKind::Entry, "renkou"), (HaltKind::Application, &*secret.application.key)]
    {
        let halt = stop(&house, kind, name).await;
        house.clock.forward(TimeDelta::hours(2));
        exchange::tick(app).await.unwrap();
        assert_eq!(there(), 0, "{kind}");
        lift(&house, &halt).await;
    }
    house.clock.forward(TimeDelta::hours(2));
    exchange::tick(app).await.unwrap();
    let files = crate::exchange::files(&house, &provider, &view).await;
    assert!(files.iter().any(|f| f.state == FileState::Sent) && there() > 0, "{files:?}");
}

/// Who waits for changes is asked again when they come: an interface that was stopped meanwhile, and an application that was taken
/// out of use, get none.
async fn who_waits_is_asked_again(house: House) {
    let app = &house.app;
    let consumer = house.person("consumer").await;
    let (caller, secret) = house.application("等待应用").await;
    let id = secret.application.id.as_str();
    filled(&house, "tongji", 3).await;
    granted(&house, id, "tongji").await;
    let text =
        "title = \"变化\"\nkind = \"incremental\"\nentry = \"tongji\"\n[[return]]\nitem = \"id\"\n";
    let code = published(&house, text).await;
    let ask = async |after: &str| {
        let mut given = Arguments::default();
        if !after.is_empty() {
            given.add("after", after);
            given.add("wait", "30");
        }
        let answer = interface::call(app, &now(&house, &caller), &code, given).await?;
        let Body::Changes(pulled) = answer.body else { panic!("no changes") };
        Ok::<_, model::Error>(pulled)
    };
    let mut next = ask("").await.unwrap().next;
    for (n, wanted) in [Code::Halted, Code::NoGrant].into_iter().enumerate() {
        let refused = {
            let mut waiting = Box::pin(ask(&next));
            let early = tokio::time::timeout(Duration::from_millis(700), &mut waiting).await;
            assert!(early.is_err(), "all that is asked before a wait was asked");
            let halt = match wanted {
                Code::Halted => Some(stop(&house, HaltKind::Interface, &code).await),
                _ => {
                    app::account::set_application_active(app, &consumer, id, false).await.unwrap();
                    None
                }
            };
            let more = format!("id,name,amount,day\n{},新,1.00,2026-03-01\n", 100 + n);
            let landed = house.collect("tongji", "m.csv", more.as_bytes(), SyncMode::Incremental);
            landed.await.unwrap();
            let refused = waiting.await.unwrap_err();
            match halt {
                Some(halt) => lift(&house, &halt).await,
                None => {
                    app::account::set_application_active(app, &consumer, id, true).await.unwrap();
                }
            }
            refused
        };
        assert_eq!(refused.code(), wanted, "{refused}");
        // What came meanwhile is not lost for who may have it.
        let pulled = ask(&next).await.unwrap();
        assert_eq!(pulled.changes.len(), 1);
        next = pulled.next;
    }
}

crate::on_both!(nothing_leaves, what_is_under_way_ends, no_file_is_sent, who_waits_is_asked_again);

/// A call of the resource by a process.
async fn query(house: &House, caller: &Op) -> model::Result<()> {
    let asked = now(house, caller);
    sharing::query(&house.app, &asked, "tongji", &RowQuery::default()).await.map(|_| ())
}

/// Waits until a process refuses (`cargo xtask bench switch` measures how long it takes).
async fn refused(house: &House, caller: &Op) {
    loop {
        match query(house, caller).await {
            Err(e) if e.code() == Code::Halted => return,
            Err(e) => panic!("{e:?}"),
            Ok(()) => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
}

/// Two processes on one PostgreSQL; the second knows only what the store tells it.
async fn two() -> (testkit::Postgres, House, House, tempfile::TempDir, Op, String) {
    let cluster = testkit::Postgres::start();
    let house = House::on(&cluster.database("two")).await;
    let (caller, secret) = house.application("查询应用").await;
    filled(&house, "tongji", 10).await;
    granted(&house, &secret.application.id, "tongji").await;
    let folder = tempfile::tempdir().unwrap();
    let second = House::kept(folder.path(), house.url()).await;
    (cluster, house, second, folder, caller, secret.application.key)
}

#[tokio::test]
async fn every_process_refuses_soon_after_one_was_clicked() {
    let (_cluster, house, second, _folder, caller, key) = two().await;
    tokio::spawn(halt::follow(Arc::clone(&second.app)));
    for (kind, name) in [(HaltKind::Application, key.as_str()), (HaltKind::Entry, "tongji")] {
        for process in [&house, &second] {
            query(process, &caller).await.unwrap();
        }
        let halt = stop(&house, kind, name).await;
        let here = query(&house, &caller).await.unwrap_err();
        assert_eq!(here.code(), Code::Halted, "the process clicked, at once");
        refused(&second, &caller).await;
        // The second button, in the other process: there at once, here soon.
        lift(&second, &halt).await;
        query(&second, &caller).await.unwrap();
        while query(&house, &caller).await.is_err() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

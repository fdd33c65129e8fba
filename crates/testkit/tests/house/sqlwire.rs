//! SQL over the PostgreSQL wire, tried by a real client: what was granted and nothing else, masked, recorded, stopped at once.

use std::net::SocketAddr;

use app::halt::{self, HaltAsk};
use app::sharing;
use model::audit::AuditFilter;
use model::code::SyncMode;
use model::halt::HaltKind;
use model::request::{Period, RequestNew};
use model::{Actor, Op};
use testkit::House;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

/// Valid check digits, invented people; the second lives outside the agreed area.
pub(crate) const PEOPLE: &str = "sfzh,xm,sjh,csrq,region_code\n\
    11010519491231002X,张三丰,13800138000,1949-12-31,330106\n\
    440524188001010014,李四,13900139000,1880-01-01,340200\n\
    110105194912310038,王小二,13700137000,1949-12-31,330200\n";

/// A house with people in `renkou`, granted within Zhejiang for SQL, and `fangchan`, which is not granted.
pub(crate) struct Granted {
    pub(crate) house: House,
    pub(crate) at: SocketAddr,
    pub(crate) op: Op,
    pub(crate) key: String,
    pub(crate) password: String,
    pub(crate) request: String,
}

pub(crate) async fn granted(house: House) -> Granted {
    let (op, secret) = house.application("批量应用").await;
    for code in ["renkou", "fangchan"] {
        let mut draft = testkit::person_draft(code);
        // Plain, so that it can be asked about.
        let region = draft.items.iter_mut().find(|i| i.identifier == "region_code").unwrap();
        region.grade = model::code::Grade::L1;
        house.publish(draft).await;
        house.collect(code, "people.csv", PEOPLE.as_bytes(), SyncMode::Full).await.unwrap();
    }
    let request = agree(&house, &secret.application.id, "renkou", true).await;
    let consumer = house.person("consumer").await;
    let made =
        app::wire::make_password(&house.app, &consumer, &secret.application.id).await.unwrap();
    let at = house.sql().await;
    Granted { house, at, op, key: made.user, password: made.password, request }
}

pub(crate) async fn agree(house: &House, application: &str, entry: &str, by_sql: bool) -> String {
    let consumer = house.person("consumer").await;
    let wanted = RequestNew {
        entry: entry.into(),
        application: application.into(),
        items: ["sfzh", "xm", "csrq", "region_code"].map(str::to_owned).into(),
        scene: "批量核验".into(),
        legal_basis: "部门职责".into(),
        period: Period::Days { days: 30 },
        calls_per_day: 10_000_000,
        area_range: "330000".into(),
        row_range: Default::default(),
        by_sql,
    };
    let request = sharing::apply(&house.app, &consumer, wanted).await.unwrap();
    for who in ["provider", "authority"] {
        let op = house.person(who).await;
        sharing::review(&house.app, &op, &request.id, true, "同意").await.unwrap();
    }
    request.id
}

impl Granted {
    pub(crate) async fn connect(&self) -> Client {
        self.try_connect(&self.key, &self.password).await.unwrap()
    }

    pub(crate) async fn try_connect(
        &self,
        user: &str,
        password: &str,
    ) -> Result<Client, tokio_postgres::Error> {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.at.port()).dbname("qiantang");
        config.user(user).password(password);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Statements over `renkou` that have begun.
    pub(crate) async fn begun(&self) -> usize {
        let all = self.audit("rows.sql").await;
        all.iter().filter(|r| r.event.object == "renkou" && r.event.action == "rows.sql").count()
    }

    pub(crate) async fn audit(&self, action: &str) -> Vec<model::audit::AuditRecord> {
        let auditor = self.house.person("auditor").await;
        let filter =
            AuditFilter { action: Some(action.into()), limit: 100, ..AuditFilter::default() };
        app::audit::list(&self.house.app, &auditor, &filter).await.unwrap()
    }
}

/// Rows of a statement as texts.
pub(crate) async fn rows(client: &Client, sql: &str) -> Vec<Vec<Option<String>>> {
    try_rows(client, sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"))
}

pub(crate) async fn try_rows(
    client: &Client,
    sql: &str,
) -> Result<Vec<Vec<Option<String>>>, tokio_postgres::Error> {
    let found = client.simple_query(sql).await?;
    Ok(found
        .into_iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect())
            }
            _ => None,
        })
        .collect())
}

pub(crate) async fn state(client: &Client, sql: &str) -> String {
    match client.simple_query(sql).await {
        Ok(_) => "ok".to_owned(),
        Err(e) => e.code().map_or_else(|| format!("{e:?}"), |c| c.code().to_owned()),
    }
}

async fn one(client: &Client, sql: &str) -> String {
    rows(client, sql).await[0][0].clone().unwrap_or_default()
}

/// Granted rows and items only, masked inside the plan; records before and after; the owner sees what was run.
async fn what_was_granted(house: House) {
    let g = granted(house).await;
    let client = g.connect().await;
    let all = rows(&client, "select * from renkou order by region_code").await;
    assert_eq!(all.len(), 2, "the second person lives outside the area: {all:?}");
    let first: Vec<&str> = all[0].iter().map(|c| c.as_deref().unwrap()).collect();
    assert_eq!(first, ["110105********002X", "张**", "1949", "330106"]);
    assert_eq!(one(&client, "select count(*) from public.renkou").await, "2");
    assert_eq!(state(&client, "select sjh from renkou").await, "42703", "not an agreed item");
    assert_eq!(state(&client, "select dsc_parcel from renkou").await, "42703");
    // What is not granted does not exist, and looks like what never existed.
    let hidden = client.simple_query("select * from fangchan").await.unwrap_err();
    let absent = client.simple_query("select * from fangchax").await.unwrap_err();
    let told = |e: &tokio_postgres::Error| e.as_db_error().unwrap().message().to_owned();
    assert_eq!(hidden.code(), Some(&SqlState::UNDEFINED_TABLE));
    assert_eq!(told(&hidden).replace("fangchan", "x"), told(&absent).replace("fangchax", "x"));
    let listed = rows(
        &client,
        "select table_name from information_schema.tables where table_schema = 'public'",
    )
    .await;
    assert_eq!(listed, [[Some("renkou".to_owned())]]);

    let found = rows(&client, "select xm from renkou where region_code = '330106'").await;
    assert_eq!(found, [[Some("张**".to_owned())]]);
    let ends = g.audit("rows.sql.end").await;
    assert_eq!((ends[0].event.rows, ends[0].event.object.as_str()), (1, "renkou"));
    let begun = g.audit("rows.sql").await;
    let record = begun.iter().find(|r| r.event.action == "rows.sql" && r.event.result == "ok");
    let event = &record.unwrap().event;
    assert_eq!(event.scope, "select xm from renkou where region_code = ?", "without constants");
    assert_eq!(event.columns, "xm,region_code");
    assert_eq!(event.request, g.request);
    assert!(event.masks.contains("xm=") && event.trace_id == ends[0].event.trace_id);
    let consumer = g.house.person("consumer").await;
    let id = g.op.actor.id();
    let ran = app::wire::statements(&g.house.app, &consumer, id, None, 10).await.unwrap();
    assert!(ran.items[0].text.contains("'330106'") && ran.items[0].outcome == "ok", "{ran:?}");
    let view = app::wire::view(&g.house.app, &consumer, id).await.unwrap();
    assert_eq!(view.tables.len(), 1);
    let stranger = g.house.person("stranger").await;
    app::wire::statements(&g.house.app, &stranger, id, None, 10).await.unwrap_err();
    app::wire::make_password(&g.house.app, &stranger, id).await.unwrap_err();
}

/// Neither an expression, a comparison, a join, a plan nor an error tells what lies behind a mask or a row filter.
async fn masks_stay(house: House) {
    let g = granted(house).await;
    let client = g.connect().await;
    for sql in [
        "select count(*) from renkou where sfzh = '11010519491231002X'",
        "select count(*) from renkou where sfzh like '%9491231%'",
        "select count(*) from renkou where xm = '张三丰'",
        "select count(*) from renkou where substr(xm, 2, 1) = '三'",
        "select count(*) from renkou r join (values ('11010519491231002X')) v(k) on r.sfzh = v.k",
        "select count(*) from renkou where region_code = '340200'",
        "select count(*) from (select xm from renkou group by xm having xm = '李四') x",
        "select count(*) from renkou where xm > '张三' and xm < '张三龥'",
    ] {
        assert_eq!(one(&client, sql).await, "0", "{sql}");
    }
    for expression in
        ["xm", "concat(xm, '')", "cast(xm as text)", "reverse(reverse(xm))", "max(xm)"]
    {
        let group = if expression.starts_with("max") { "group by sfzh" } else { "" };
        for row in rows(&client, &format!("select {expression} from renkou {group}")).await {
            assert!(row[0].as_deref().unwrap().contains('*'), "{expression}: {row:?}");
        }
    }
    // An expression that fails on rows outside the grant must not fail: it never sees them.
    let careful = "select 1 / (cast(region_code as int) - 340200) from renkou";
    assert_eq!(rows(&client, careful).await.len(), 2);
    let filter = "select count(*) from renkou where 1 / (cast(region_code as int) - 340200) < 2";
    assert_eq!(one(&client, filter).await, "2");
    let plan: String = rows(&client, "explain select xm from renkou where region_code = '330106'")
        .await
        .into_iter()
        .map(|row| row[0].clone().unwrap())
        .collect();
    assert!(plan.contains("renkou"), "{plan}");
    for inside in ["33%", "parquet", "mask", "sjh", "file:", "dsc_"] {
        assert!(!plan.contains(inside), "{inside}: {plan}");
    }
}

/// Wrong password and wrong user look alike; guesses are counted; nobody comes in without a password.
async fn who_may_enter(house: House) {
    let g = granted(house).await;
    let told = |e: tokio_postgres::Error| {
        let e = e.as_db_error().unwrap();
        (e.code().code().to_owned(), e.message().to_owned())
    };
    let wrong = told(g.try_connect(&g.key, "wrong").await.unwrap_err());
    let unknown = told(g.try_connect("nobody", &g.password).await.unwrap_err());
    assert_eq!(wrong, unknown);
    assert_eq!(wrong.0, "28P01");
    let (_, other) = g.house.application("没有密码的应用").await;
    assert_eq!(told(g.try_connect(&other.application.key, "x").await.unwrap_err()), wrong);
    assert!(g.audit("sql.login").await.iter().any(|r| r.event.result == "denied"));
    g.connect().await;
    for _ in 0..8 {
        g.try_connect(&g.key, "wrong").await.unwrap_err();
    }
    let locked = told(g.try_connect(&g.key, &g.password).await.unwrap_err());
    assert!(locked.1.contains("too many"), "{locked:?}");
    // The rooms keep a verifier only.
    let (_, kept) = g.house.app.store.sql_login(g.op.actor.id()).await.unwrap().unwrap();
    assert!(kept.starts_with("SCRAM-SHA-256$") && !kept.contains(&g.password));
}

/// Only reading, whatever the words.
async fn only_reading(house: House) {
    let g = granted(house).await;
    let client = g.connect().await;
    for sql in [
        "insert into renkou values ('x')",
        "delete from renkou",
        "update renkou set xm = 'x'",
        "create table t (a int)",
        "create view v as select 1",
        "drop table renkou",
        "copy renkou from stdin",
        "copy renkou to '/tmp/x.csv'",
        "copy (select 1) to program 'sh'",
        "select * from read_csv('/etc/passwd')",
        "select * from '/etc/passwd'",
        "select * into t from renkou",
        "create external table t stored as csv location '/etc/passwd'",
        "explain analyze select * from renkou",
        "select * from renkou for update",
        "set datafusion.execution.batch_size = 1",
        "grant all on renkou to public",
        "vacuum",
    ] {
        let found = state(&client, sql).await;
        assert!(["42501", "42601"].contains(&found.as_str()), "{sql}: {found}");
    }
    let told = client.simple_query("delete from renkou").await.unwrap_err();
    let message = told.as_db_error().unwrap().message().to_owned();
    assert!(message.contains("SELECT") && message.contains("只能查询"), "{message}");
    assert_eq!(one(&client, "select count(*) from renkou").await, "2");
    assert!(g.audit("rows.sql").await.iter().any(|r| r.event.result == "denied"));
}

/// Cancel requests, time-outs, and what ends a grant.
async fn ended_at_once(house: House) {
    let g = granted(house).await;
    let client = g.connect().await;
    let long = "select count(*) from generate_series(1, 100000000000) a(n), renkou";
    client.simple_query("set statement_timeout = '300ms'").await.unwrap();
    assert_eq!(state(&client, long).await, "57014");
    client.simple_query("reset statement_timeout").await.unwrap();

    let (token, before) = (client.cancel_token(), g.begun().await);
    let (ended, ()) = tokio::join!(state(&client, long), async {
        // The statement is under way once its record is there.
        while g.begun().await == before {
            tokio::task::yield_now().await;
        }
        token.cancel_query(NoTls).await.unwrap();
    });
    assert_eq!(ended, "57014");
    assert_eq!(one(&client, "select count(*) from renkou").await, "2", "the session goes on");

    // Revoked while it runs: it ends, and the table is gone.
    let authority = g.house.person("authority").await;
    let before = g.begun().await;
    let (ended, ()) = tokio::join!(state(&client, long), async {
        while g.begun().await == before {
            tokio::task::yield_now().await;
        }
        sharing::revoke(&g.house.app, &authority, &g.request, "停用").await.unwrap();
    });
    assert_eq!(ended, "42501");
    assert_eq!(state(&client, "select * from renkou").await, "42P01");

    // A stopped application's sessions end with their next statement.
    let consumer = g.house.person("consumer").await;
    let Actor::Application { id, .. } = &g.op.actor else { panic!("an application") };
    app::account::set_application_active(&g.house.app, &consumer, id, false).await.unwrap();
    client.simple_query("select 1").await.unwrap_err();
    g.try_connect(&g.key, &g.password).await.unwrap_err();
}

/// The extended protocol: parameters, portals, cursors, COPY, transactions.
async fn the_protocol(house: House) {
    let g = granted(house).await;
    let mut client = g.connect().await;
    let by_region = "select xm, csrq from renkou where region_code = $1";
    let found = client.query(by_region, &[&"330106"]).await.unwrap();
    assert_eq!(found[0].get::<_, &str>(0), "张**");
    let count = client.query_one("select count(*) from renkou", &[]).await.unwrap();
    assert_eq!(count.get::<_, i64>(0), 2);
    let types = client
        .query_one("select 1::int4, true, 1.5::float8, 'x'::text, 3::int8", &[])
        .await
        .unwrap();
    assert_eq!((types.get::<_, i32>(0), types.get::<_, bool>(1)), (1, true));
    assert_eq!((types.get::<_, f64>(2), types.get::<_, i64>(4)), (1.5, 3));

    // A pattern means the same as a constant, as a parameter and out of a column.
    let given: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&"YYYY\"年\"MM"];
    for (sql, parameters) in [
        ("select to_char(date '2026-03-02', 'YYYY\"年\"MM')", 0),
        ("select to_char(date '2026-03-02', $1)", 1),
        ("select to_char(date '2026-03-02', p) from (select $1::text as p) as t", 1),
    ] {
        let row = client.query_one(sql, &given[..parameters]).await;
        let row = row.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        assert_eq!(row.get::<_, &str>(0), "2026年03", "{sql}");
    }
    for (sql, wanted) in [
        ("select to_char(12.5, '999.9')", "0A000"),
        ("select to_char(12.5, 'FM999.0')", "0A000"),
        ("select to_char(date '2026-03-02', 'YYYY' || '-Q')", "22007"),
    ] {
        assert_eq!(state(&client, sql).await, wanted, "{sql}");
    }

    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("select n from generate_series(1, 5) a(n)", &[]).await.unwrap();
    assert_eq!(transaction.query_portal(&portal, 2).await.unwrap().len(), 2);
    assert_eq!(transaction.query_portal(&portal, 2).await.unwrap().len(), 2);
    assert_eq!(transaction.query_portal(&portal, 2).await.unwrap().len(), 1);
    transaction.simple_query("declare c cursor for select xm from renkou").await.unwrap();
    let first = transaction.simple_query("fetch 1 from c").await.unwrap();
    let more = transaction.simple_query("fetch all from c").await.unwrap();
    let count = |all: &[SimpleQueryMessage]| {
        all.iter().filter(|m| matches!(m, SimpleQueryMessage::Row(_))).count()
    };
    assert_eq!((count(&first), count(&more)), (1, 1));
    assert!(transaction.simple_query("select nothing").await.is_err());
    let failed = transaction.simple_query("select 1").await.unwrap_err();
    assert_eq!(failed.code(), Some(&SqlState::IN_FAILED_SQL_TRANSACTION));
    transaction.rollback().await.unwrap();
    assert_eq!(state(&client, "fetch 1 from c").await, "34000", "it ended with its transaction");

    let copied = client
        .copy_out("copy (select region_code, xm from renkou order by 1) to stdout with csv header")
        .await
        .unwrap();
    let pieces: Vec<bytes::Bytes> =
        futures::TryStreamExt::try_collect(Box::pin(copied)).await.unwrap();
    let text = String::from_utf8(pieces.concat()).unwrap();
    assert_eq!(text, "region_code,xm\n330106,张**\n330200,王**\n");
    let two = client.simple_query("select 1; select 2").await.unwrap();
    assert_eq!(count(&two), 2);
}

/// A request that was not agreed for SQL is no table.
async fn not_without_agreement(house: House) {
    let g = granted(house).await;
    agree(&g.house, g.op.actor.id(), "fangchan", false).await;
    let client = g.connect().await;
    assert_eq!(state(&client, "select * from fangchan").await, "42P01");
    assert_eq!(one(&client, "select count(*) from renkou").await, "2");
}

/// Whoever was granted a table reads that it is stopped, and which stop it is; to everybody else there is no table, stopped or not.
async fn a_stop_is_told_to_whom_it_concerns(house: House) {
    let g = granted(house).await;
    let app = &g.house.app;
    let consumer = g.house.person("consumer").await;
    let (_, other) = g.house.application("旁人应用").await;
    let login = app::wire::make_password(app, &consumer, &other.application.id).await.unwrap();
    let (client, stranger) =
        (g.connect().await, g.try_connect(&login.user, &login.password).await.unwrap());
    let told = async |client: &Client, sql: &str| {
        let error = client.simple_query(sql).await.unwrap_err();
        let error = error.as_db_error().unwrap();
        (error.code().code().to_owned(), error.message().to_owned())
    };
    let (security, authority) =
        (g.house.person("security").await, g.house.person("authority").await);
    let stop = async |kind: HaltKind, name: &str| {
        let ask = HaltAsk { kind, name: name.into(), reason: "疑似泄露".into() };
        halt::begin(app, &security, &ask).await.unwrap()
    };
    let sql = "select xm from renkou";
    let unknown = told(&stranger, sql).await;
    assert_eq!(unknown.0, "42P01");

    let entry = stop(HaltKind::Entry, "renkou").await;
    let (code, message) = told(&client, sql).await;
    assert_eq!(code, "42501");
    assert!(message.contains("该数据资源") && message.contains(&entry.id), "{message}");
    assert!(!message.contains("疑似泄露"), "{message}");
    let prepared = client.query(sql, &[]).await.unwrap_err();
    assert_eq!(prepared.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
    assert_eq!(told(&stranger, sql).await, unknown, "a stranger learns nothing");
    assert_eq!(shown_tables(&client).await, Vec::<String>::new());
    halt::lift(app, &authority, &entry.id, "已排查").await.unwrap();
    assert_eq!(one(&client, "select count(*) from renkou").await, "2");

    // A resource that is not agreed is no table, stopped or not.
    let entry = stop(HaltKind::Entry, "fangchan").await;
    assert_eq!(state(&client, "select * from fangchan").await, "42P01");
    halt::lift(app, &authority, &entry.id, "已排查").await.unwrap();

    let own = stop(HaltKind::Application, &g.key).await;
    let (_, message) = told(&client, sql).await;
    assert!(message.contains("本应用") && message.contains(&own.id), "{message}");
    assert_eq!(told(&stranger, sql).await, unknown);
}

/// Tables that a client is shown.
async fn shown_tables(client: &Client) -> Vec<String> {
    let sql = "select table_name from information_schema.tables where table_schema = 'public'";
    rows(client, sql).await.into_iter().flatten().flatten().collect()
}

crate::on_both!(
    what_was_granted,
    masks_stay,
    who_may_enter,
    only_reading,
    ended_at_once,
    the_protocol,
    not_without_agreement,
    a_stop_is_told_to_whom_it_concerns
);

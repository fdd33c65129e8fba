//! What tests of return flows have in common: cities with their people and databases, an entry with regions, what is there and
//! what should be.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use app::App;
use app::collection::{self, Order, source};
use app::outflow::{self, OutflowView};
use app::sharing;
use futures::TryStreamExt;
use model::Op;
use model::account::{ApplicationNew, Role, UserNew};
use model::code::{DataType, SyncMode};
use model::entry::EntryDraft;
use model::ident;
use model::item::Item;
use model::mask::Mask;
use model::org::{Org, OrgKind};
use model::outflow::{OutflowNew, OutflowState};
use model::parcel::RunState;
use model::request::{Period, Request, RequestNew, RequestState};
use model::source::{SourceKind, SourceNew, SourceTls};
use model::value::Value;
use mysql_async::prelude::Queryable;
use policy::port::{ReadOptions, Source as From};
use rand::Rng;
use rand::rngs::StdRng;
use testkit::{CITY_ORG, House, MariaDb, PASSWORD, Postgres, draft};

use crate::dying::kill;
use crate::railway::{Table, until};

/// 宁波市数据局
pub(crate) const NINGBO_ORG: &str = "org-ningbo";

/// `id` (key), `name` (masked), `amount`, `day`, `region_code`: shared and open without condition.
pub(crate) fn regional(code: &str) -> EntryDraft {
    let mut draft = draft(code);
    draft.sync_mode = SyncMode::Incremental;
    draft.items[1].mask = Some(Mask::Keep { head: 1, tail: 0 });
    draft.items.push(Item::new("region_code", "行政区划代码", DataType::Text));
    draft
}

/// People who receive: of Hangzhou (`hangzhou`), of Ningbo (`ningbo`) and of a county of Hangzhou (`county`, 330110).
pub(crate) async fn settle(house: &House) {
    let app = &house.app;
    let system = Op::system(app.now());
    let body = format!("{:08}", 10_000_077);
    let head = format!("11330200{body}{}", ident::org_code_check(&body).unwrap());
    let uscc = format!("{head}{}", ident::uscc_check(&head).unwrap());
    let ningbo = Org {
        id: NINGBO_ORG.into(),
        uscc,
        name_cn: "宁波市数据局".into(),
        name_en: "Ningbo Data Bureau".into(),
        kind: OrgKind::StateOrgan,
        region: "330200".into(),
        parent: None,
        authority: false,
    };
    app::org::create(app, &system, ningbo).await.unwrap();
    for (name, org) in [("hangzhou", CITY_ORG), ("ningbo", NINGBO_ORG)] {
        let new = UserNew {
            name: name.into(),
            display_name: name.into(),
            org: Some(org.into()),
            roles: vec![Role::Consumer],
            password: PASSWORD.into(),
        };
        app::account::create_user(app, &system, new).await.unwrap();
    }
}

/// Fifteen hundred firms of six regions, as `firms`: their numbers, names and regions.
pub(crate) async fn firms(house: &House) -> Vec<(u64, String, &'static str)> {
    house.publish(regional("firms")).await;
    let regions = ["330100", "330106", "330110", "330200", "330203", "310000"];
    let lines: Vec<_> = (1..=1500)
        .map(|n| (n, format!("企业{n}"), regions[usize::try_from(n % 6).unwrap()]))
        .collect();
    let all: Vec<_> =
        lines.iter().map(|(n, name, region)| ("I", *n, name.as_str(), *n, *region)).collect();
    land(house, "firms", SyncMode::Full, &all).await;
    lines
}

/// What of [`firms`] stands in a PostgreSQL and in a MariaDB, as the lake tells it.
pub(crate) const AT_POSTGRES: &str =
    "SELECT id, name, amount, to_char(day, 'YYYY-MM-DD'), region_code FROM firms";
pub(crate) const AT_MARIADB: &str =
    "SELECT id, name, amount, DATE_FORMAT(day, '%Y-%m-%d'), region_code FROM firms";

/// Two people whose number, their key, is masked for others.
pub(crate) const PEOPLE: &str = "op,sfzh,xm,sjh,csrq,region_code\n\
    I,11010519491231002X,张三丰,13800138000,1949-12-31,330106\n\
    I,440524188001010014,李四,13900139000,1880-01-01,330110\n";

/// An application of somebody's organisation with what its region's rows flow by, decided if it must be.
pub(crate) async fn agreed(house: &House, who: &str, entry: &str, items: &[&str]) -> Request {
    approved(house, who, entry, items, ("回流", "本地区数据回流", "", false)).await
}

/// The same agreed for batch use of an area.
pub(crate) async fn batch(
    house: &House,
    who: &str,
    entry: &str,
    items: &[&str],
    area: &str,
) -> Request {
    approved(house, who, entry, items, ("批量", "批量比对", area, true)).await
}

async fn approved(
    house: &House,
    who: &str,
    entry: &str,
    items: &[&str],
    (name, scene, area, by_sql): (&str, &str, &str, bool),
) -> Request {
    let (app, op) = (&house.app, house.person(who).await);
    let org = op.actor.org().unwrap().to_owned();
    let new =
        ApplicationNew { name: format!("{who} {name} {entry}"), description: String::new(), org };
    let made = app::account::register_application(app, &op, new).await.unwrap();
    let ask = RequestNew {
        entry: entry.into(),
        application: made.application.id.clone(),
        items: items.iter().map(|i| (*i).to_owned()).collect(),
        scene: scene.into(),
        legal_basis: "部门职责".into(),
        period: Period::Days { days: 90 },
        calls_per_day: 1000,
        area_range: area.into(),
        row_range: Default::default(),
        by_sql,
    };
    let request = sharing::apply(app, &op, ask).await.unwrap();
    if request.state == RequestState::Approved {
        return request;
    }
    let (provider, authority) = (house.person("provider").await, house.person("authority").await);
    sharing::review(app, &provider, &request.id, true, "同意").await.unwrap();
    sharing::review(app, &authority, &request.id, true, "同意").await.unwrap()
}

/// A stored database of somebody's organisation.
pub(crate) async fn database(
    house: &House,
    who: &str,
    kind: SourceKind,
    port: u16,
    name: &str,
) -> String {
    let op = house.person(who).await;
    let (account, password) = match kind {
        SourceKind::Postgres => ("qiantang", "x"),
        SourceKind::Mysql => ("receiver", MariaDb::PASSWORD),
    };
    let new = SourceNew {
        org: op.actor.org().unwrap().to_owned(),
        name: format!("回流库 {port} {name}"),
        kind,
        host: "127.0.0.1".into(),
        port,
        database: name.into(),
        account: account.into(),
        password: password.into(),
        tls: SourceTls::Prefer,
    };
    source::create(&house.app, &op, new).await.unwrap().id
}

/// Gives MariaDB's `receiver` the database `d`.
pub(crate) fn receiver(server: &MariaDb) {
    let password = MariaDb::PASSWORD;
    for host in ["127.0.0.1", "localhost"] {
        server.run_sql(&format!(
            "CREATE USER receiver@'{host}' IDENTIFIED BY '{password}'; GRANT ALL ON d.* TO receiver@'{host}'"
        ));
    }
}

pub(crate) fn new(request: &Request, source: &str) -> OutflowNew {
    OutflowNew { request: request.id.clone(), source: source.into(), ..OutflowNew::default() }
}

/// Has outflows taken up, as the worker does.
pub(crate) fn delivering(app: &Arc<App>) -> tokio::task::JoinHandle<()> {
    let app = Arc::clone(app);
    tokio::spawn(async move {
        loop {
            outflow::tick(&app).await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
}

/// Kills a process eight times at random moments (`name` is what it runs, `seed` how it is told a seed), and restarts the targets
/// it delivers to on the way.
pub(crate) fn eight_deaths(
    name: &str,
    place: &[(&str, String)],
    seed: &str,
    random: &mut StdRng,
    (cluster, server): (&Postgres, &MariaDb),
) {
    for n in 0..8_u32 {
        let mut told = place.to_vec();
        told.push((seed, random.random::<u64>().to_string()));
        let after = Duration::from_millis(random.random_range(20..1600));
        std::thread::scope(|scope| {
            let killed = scope.spawn(|| kill(name, &told, after));
            std::thread::sleep(Duration::from_millis(400));
            match n {
                3 => server.restart(),
                5 => cluster.restart(),
                _ => {}
            }
            assert!(!killed.join().unwrap(), "the process ended by itself");
        });
    }
}

/// A line of [`land`]: operation, id, name, amount in hundredths, region.
pub(crate) type Line<'a> = (&'a str, u64, &'a str, u64, &'a str);

/// Lands rows into a regional entry.
pub(crate) async fn land(house: &House, entry: &str, mode: SyncMode, lines: &[Line<'_>]) {
    let mut text = "op,id,name,amount,day,region_code\n".to_owned();
    for (operation, id, name, amount, region) in lines {
        let (whole, rest) = (amount / 100, amount % 100);
        writeln!(
            text,
            "{operation},{id},{name},{whole}.{rest:02},2026-01-0{},{region}",
            id % 9 + 1
        )
        .unwrap();
    }
    land_text(house, entry, mode, &text).await;
}

pub(crate) async fn land_text(house: &House, entry: &str, mode: SyncMode, text: &str) {
    let provider = house.person("provider").await;
    let spooled = house.spool(&provider, entry, "r.csv", text.as_bytes()).await.unwrap();
    let order = Order {
        entry: entry.into(),
        source: From::File { path: spooled.path, name: "r.csv".into() },
        mode,
        options: ReadOptions { operation_column: Some("op".into()), ..ReadOptions::default() },
    };
    let run = collection::collect(&house.app, &provider, order).await.unwrap();
    assert!(matches!(run.state, RunState::Succeeded | RunState::Unchanged), "{run:?}");
    assert_eq!(run.quarantined, 0, "{run:?}");
}

/// What the lake shows of a region, told apart from the flow: the whole open view, filtered here.
pub(crate) async fn of_region(app: &Arc<App>, code: &str, region: &str) -> Table {
    let nobody = app.op(model::Actor::Nobody, "-");
    let download = app::opening::download(app, &nobody, code, None).await.unwrap();
    let pieces: Vec<model::value::Rows> = download.rows.try_collect().await.unwrap();
    let mut table = Table::new();
    for row in pieces.into_iter().flat_map(|piece| piece.rows) {
        let cells: Vec<Option<String>> = row.iter().map(Value::to_text).collect();
        if cells[4].as_deref().is_some_and(|code| code.starts_with(region)) {
            assert!(table.insert(cells[0].clone().unwrap(), cells).is_none(), "a key twice");
        }
    }
    table
}

/// Rows at a MariaDB.
pub(crate) async fn at_mariadb(port: u16, sql: &str) -> Result<Table, String> {
    let url = format!("mysql://root@127.0.0.1:{port}/d?prefer_socket=false");
    let mut conn = mysql_async::Conn::from_url(&url).await.map_err(|e| e.to_string())?;
    conn.query_drop("SET NAMES utf8mb4").await.map_err(|e| e.to_string())?;
    let rows: Vec<mysql_async::Row> = conn.query(sql).await.map_err(|e| e.to_string())?;
    let mut table = Table::new();
    for row in rows {
        let text = |value: mysql_async::Value| match value {
            mysql_async::Value::Bytes(bytes) => Some(String::from_utf8(bytes).unwrap()),
            _ => None,
        };
        let cells: Vec<Option<String>> = row.unwrap().into_iter().map(text).collect();
        assert!(table.insert(cells[0].clone().unwrap(), cells).is_none(), "a key twice");
    }
    drop(conn);
    Ok(table)
}

/// Waits for a state.
pub(crate) async fn state(house: &House, id: &str, wanted: OutflowState) -> OutflowView {
    let system = Op::system(house.app.now());
    until(wanted.as_str(), async || {
        let view = outflow::get(&house.app, &system, id).await.unwrap();
        if view.figures.state == wanted { Ok(view) } else { Err(format!("{:?}", view.figures)) }
    })
    .await
}

//! The rail against a real MariaDB: every type by query and by log alike, every kind of change, and kill -9 beside a writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use app::collection::source;
use app::rail;
use model::Op;
use model::code::DataType;
use model::item::Item;
use model::rail::{IncidentKind, RailState};
use model::source::{SourceKind, SourceNew, SourceTls};
use mysql_async::prelude::Queryable;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use testkit::{House, MariaDb, PROVIDER_ORG, draft};

use crate::dying::kill;
use crate::railway::{Table, differs, lake, new, proxy, served, until, worker};

pub(crate) async fn client(port: u16) -> mysql_async::Conn {
    let url = format!("mysql://root@127.0.0.1:{port}/source?prefer_socket=false");
    for _ in 0..100 {
        if let Ok(conn) = mysql_async::Conn::from_url(&url).await {
            return conn;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("MariaDB does not answer");
}

pub(crate) async fn run(conn: &mut mysql_async::Conn, sql: &str) {
    for statement in sql.split(";\n") {
        conn.query_drop(statement).await.unwrap_or_else(|e| panic!("{statement}: {e}"));
    }
}

pub(crate) async fn table(conn: &mut mysql_async::Conn, sql: &str) -> Table {
    let rows: Vec<mysql_async::Row> = conn.query(sql).await.unwrap();
    let mut table = Table::new();
    for row in rows {
        let text = |value: mysql_async::Value| match value {
            mysql_async::Value::Bytes(bytes) => Some(String::from_utf8(bytes).unwrap()),
            _ => None,
        };
        let cells: Vec<Option<String>> = row.unwrap().into_iter().map(text).collect();
        assert!(table.insert(cells[0].clone().unwrap(), cells).is_none());
    }
    table
}

pub(crate) const FIRMS: &str =
    "SELECT id, NULLIF(TRIM(name), ''), amount, DATE_FORMAT(day, '%Y-%m-%d') FROM firms";

pub(crate) async fn level(app: &std::sync::Arc<app::App>, conn: &mut mysql_async::Conn) {
    until("level", async || {
        let (there, here) = (table(conn, FIRMS).await, lake(app, "firms").await);
        let Some(differs) = differs(&there, &here) else { return Ok(()) };
        let system = Op::system(app.now());
        let rails = rail::list(app, &system, None, 0).await.unwrap().items;
        Err(format!("{differs}\n{:#?}", rails.iter().map(|r| &r.figures).collect::<Vec<_>>()))
    })
    .await;
}

pub(crate) async fn stored(house: &House, op: &Op, port: u16) -> String {
    let new = SourceNew {
        org: PROVIDER_ORG.into(),
        name: "业务库".into(),
        kind: SourceKind::Mysql,
        host: "127.0.0.1".into(),
        port,
        database: "source".into(),
        account: "reader".into(),
        password: MariaDb::PASSWORD.into(),
        tls: SourceTls::Prefer,
    };
    source::create(&house.app, op, new).await.unwrap().id
}

pub(crate) async fn state(house: &House, op: &Op, id: &str, wanted: RailState) {
    until(wanted.as_str(), async || {
        let view = rail::get(&house.app, op, id).await.unwrap();
        if view.figures.state == wanted { Ok(()) } else { Err(format!("{:?}", view.figures)) }
    })
    .await;
}

pub(crate) const READER: &str = "GRANT SELECT ON source.* TO reader@'127.0.0.1'; GRANT SELECT ON source.* TO reader@localhost;
    GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO reader@'127.0.0.1'; GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO reader@localhost";
pub(crate) const MAKE_FIRMS: &str = "CREATE TABLE source.firms (id BIGINT PRIMARY KEY, name LONGTEXT, amount DECIMAL(18,2), day DATE);
    INSERT INTO source.firms SELECT seq, CONCAT('企业', seq), seq + 0.25, '2026-01-01' + INTERVAL seq % 300 DAY FROM source.seq_1_to_2200";

#[tokio::test(flavor = "multi_thread")]
async fn a_mariadb_is_followed() {
    let server = MariaDb::start();
    server.run_sql(READER);
    server.run_sql(MAKE_FIRMS);
    let house = House::new().await;
    let provider = house.person("provider").await;
    house.publish(draft("firms")).await;
    let kept = stored(&house, &provider, server.port).await;
    let seen = rail::survey(&house.app, &provider, &kept).await.unwrap();
    assert!(seen.faults.is_empty() && seen.server.contains("Maria"), "{seen:?}");
    let asked = new(&kept, &[("source.firms", "firms")]);
    let made = rail::create(&house.app, &provider, asked).await.unwrap();
    let id = made.rail.id.clone();
    let working = worker(&house.app);
    let mut conn = client(server.port).await;
    level(&house.app, &mut conn).await;
    state(&house, &provider, &id, RailState::Streaming).await;
    run(
        &mut conn,
        "INSERT INTO firms VALUES (5001, '新', 1.5, '2026-05-01'), (5002, NULL, NULL, NULL);
UPDATE firms SET amount = amount + 1 WHERE id % 7 = 0;
DELETE FROM firms WHERE id % 11 = 0;
UPDATE firms SET id = id + 10000 WHERE id % 13 = 0;
BEGIN;
INSERT INTO firms SELECT seq, 'x', seq, NULL FROM seq_20000_to_22500;
UPDATE firms SET name = 'y' WHERE id >= 20000;
DELETE FROM firms WHERE id BETWEEN 21000 AND 21100;
COMMIT;
BEGIN;
DELETE FROM firms;
ROLLBACK;
XA START 'two';
UPDATE firms SET name = '两阶段' WHERE id = 17;
INSERT INTO firms VALUES (7001, '两阶段', 1, NULL);
XA END 'two';
XA PREPARE 'two';
XA COMMIT 'two';
CREATE TABLE filled AS SELECT * FROM firms;
DROP TABLE filled",
    )
    .await;
    level(&house.app, &mut conn).await;
    assert_eq!(differs(&table(&mut conn, FIRMS).await, &served(&house.app, "firms").await), None);
    // The server fails; a log is turned over; the rail rests meanwhile.
    rail::pause(&house.app, &provider, &id).await.unwrap();
    state(&house, &provider, &id, RailState::Paused).await;
    run(&mut conn, "UPDATE firms SET name = 'paused' WHERE id < 50;\nFLUSH LOGS").await;
    server.restart();
    conn = client(server.port).await;
    run(&mut conn, "DELETE FROM firms WHERE id = 2").await;
    rail::resume(&house.app, &provider, &id).await.unwrap();
    level(&house.app, &mut conn).await;
    run(&mut conn, "TRUNCATE TABLE firms;\nINSERT INTO firms VALUES (1, 'again', 1, NULL)").await;
    level(&house.app, &mut conn).await;
    // A column more: held, then followed.
    run(
        &mut conn,
        "ALTER TABLE firms ADD extra INT;\nINSERT INTO firms VALUES (2, 'held', 1, NULL, 5)",
    )
    .await;
    state(&house, &provider, &id, RailState::Held).await;
    rail::resume(&house.app, &provider, &id).await.unwrap();
    level(&house.app, &mut conn).await;
    // Logs purged before they were read: read anew, and told.
    rail::pause(&house.app, &provider, &id).await.unwrap();
    state(&house, &provider, &id, RailState::Paused).await;
    run(&mut conn, "DELETE FROM firms WHERE id = 1;\nFLUSH LOGS;\nFLUSH LOGS").await;
    let logs: Vec<mysql_async::Row> = conn.query("SHOW BINARY LOGS").await.unwrap();
    let last: String = logs.last().unwrap().get(0).unwrap();
    // A log that a restart might need stays until what it tells of is on the disk: soon after.
    until("the old logs are purged", async || {
        run(&mut conn, &format!("PURGE BINARY LOGS TO '{last}'")).await;
        let left: Vec<mysql_async::Row> = conn.query("SHOW BINARY LOGS").await.unwrap();
        if left.len() == 1 { Ok(()) } else { Err(format!("{} are left", left.len())) }
    })
    .await;
    rail::resume(&house.app, &provider, &id).await.unwrap();
    level(&house.app, &mut conn).await;
    let told = rail::incidents(&house.app, &provider, &id, None, 100).await.unwrap().items;
    assert_eq!(told.iter().filter(|i| i.kind == IncidentKind::SlotLost).count(), 1, "{told:?}");
    rail::remove(&house.app, &provider, &id, false).await.unwrap();
    rail::stop(&house.app).await;
    working.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_of_mariadb_comes_over() {
    let server = MariaDb::start();
    server.run_sql(READER);
    server.run_sql(
        "CREATE TABLE source.kinds (id INT UNSIGNED PRIMARY KEY, tiny TINYINT UNSIGNED, med MEDIUMINT UNSIGNED, big BIGINT UNSIGNED,
           y YEAR, num DECIMAL(20,4), f FLOAT, d DOUBLE, day DATE, moment DATETIME(3), zoned TIMESTAMP(6) NULL, clock TIME(3),
           e ENUM('好','坏'), s SET('a','b','c'), doc JSON, bin BINARY(4), vb VARBINARY(8), bits BIT(10), spot POINT,
           g VARCHAR(20) CHARACTER SET gbk, c CHAR(5), zero DATE)",
    );
    let house = House::new().await;
    let provider = house.person("provider").await;
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
        item("tiny", DataType::Integer),
        item("med", DataType::Integer),
        item("big", DataType::Text),
        item("y", DataType::Integer),
        decimal("num", 20, 4),
        item("f", DataType::Float),
        item("d", DataType::Float),
        item("day", DataType::Date),
        item("moment", DataType::DateTime),
        item("zoned", DataType::DateTime),
        item("clock", DataType::Text),
        item("e", DataType::Text),
        item("s", DataType::Text),
        item("doc", DataType::Json),
        item("bin", DataType::Text),
        item("vb", DataType::Text),
        item("bits", DataType::Integer),
        item("spot", DataType::Geometry),
        item("g", DataType::Text),
        item("c", DataType::Text),
        item("zero", DataType::Date),
    ];
    house.publish(entry).await;
    let mut conn = client(server.port).await;
    let row = |n: u32| {
        format!(
            "SET time_zone = '+00:00', sql_mode = '';\nINSERT INTO kinds VALUES ({n}, 255, 16777215, 18446744073709551615, 2026, 1234567890.1234, 0.1, 0.1,
             '2026-02-03', '2026-02-03 04:05:06.789', '2026-02-03 04:05:06.000001', '-26:03:04.56', '坏', 'a,c', '{{\"a\": [1, null]}}',
             x'01', x'00ff', b'1000000101', POINT(120.5, 30.25), '杭州', 'ab', '0000-00-00')"
        )
    };
    run(&mut conn, &row(1)).await;
    let kept = stored(&house, &provider, server.port).await;
    let asked = new(&kept, &[("source.kinds", "kinds")]);
    let made = rail::create(&house.app, &provider, asked).await.unwrap();
    let working = worker(&house.app);
    state(&house, &provider, &made.rail.id, RailState::Streaming).await;
    run(&mut conn, &row(2)).await;
    let two = until("two rows", async || {
        let table = lake(&house.app, "kinds").await;
        if table.len() == 2 { Ok(table) } else { Err(format!("{table:?}")) }
    })
    .await;
    let mut rows = two.into_values();
    let (snapshot, log) = (rows.next().unwrap(), rows.next().unwrap());
    assert_eq!(snapshot[1..], log[1..], "the query and the log tell a value alike");
    let expected = [
        "255",
        "16777215",
        "18446744073709551615",
        "2026",
        "1234567890.1234",
        "0.10000000149011612",
        "0.1",
        "2026-02-03",
        "2026-02-03T04:05:06.789",
        "2026-02-03T12:05:06.000001",
        "-26:03:04.560",
        "坏",
        "a,c",
        r#"{"a": [1, null]}"#,
        "01000000",
        "00ff",
        "517",
        "POINT(120.5 30.25)",
        "杭州",
        "ab",
    ];
    for (at, expected) in expected.iter().enumerate() {
        assert_eq!(log[at + 1].as_deref(), Some(*expected), "column {}", at + 1);
    }
    assert_eq!(log[21], None, "a date of zeros is empty");
    rail::stop(&house.app).await;
    working.abort();
}

#[expect(clippy::print_stdout, reason = "the seed is told, so that it can be given back")]
fn deaths(count: u32) {
    let seed = crate::railkill::seed();
    println!("QIANTANG_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let server = MariaDb::start();
    server.run_sql(READER);
    server.run_sql(MAKE_FIRMS);
    let runtime = crate::railkill::runtime();
    let (gate, stop, writer) = runtime.block_on(async {
        let house = House::at(folder.path()).await;
        let provider = house.person("provider").await;
        house.publish(draft("firms")).await;
        let (port, gate) = proxy(server.port).await;
        let kept = stored(&house, &provider, port).await;
        let asked = new(&kept, &[("source.firms", "firms")]);
        rail::create(&house.app, &provider, asked).await.unwrap();
        house.app.store.close().await;
        let stop = Arc::new(AtomicBool::new(false));
        let (told, port) = (Arc::clone(&stop), server.port);
        let writer = tokio::spawn(async move {
            let mut random = StdRng::seed_from_u64(seed);
            let mut conn = client(port).await;
            while !told.load(Ordering::Relaxed) {
                let id = random.random_range(1..3000);
                let sql = match random.random_range(0..6) {
                    0 | 1 => {
                        format!("REPLACE INTO firms VALUES ({id}, '名{id}', {id}.25, '2026-01-01')")
                    }
                    2 => format!(
                        "UPDATE firms SET amount = amount + 1 WHERE id BETWEEN {id} AND {id} + 9"
                    ),
                    3 => format!("DELETE FROM firms WHERE id BETWEEN {id} AND {id} + 3"),
                    4 => format!("UPDATE IGNORE firms SET id = id + 100000 WHERE id = {id}"),
                    _ => "UPDATE firms SET amount = amount + 2 WHERE id % 9 = 0".to_owned(),
                };
                if conn.query_drop(sql).await.is_err() {
                    conn = client(port).await;
                }
                tokio::time::sleep(Duration::from_millis(random.random_range(0..10))).await;
            }
        });
        (gate, stop, writer)
    });
    for n in 0..count {
        let told = crate::railkill::told(folder.path(), "sqlite:");
        let after = Duration::from_millis(random.random_range(30..1500));
        std::thread::scope(|scope| {
            let killed = scope.spawn(|| kill("railkill::following", &told, after));
            std::thread::sleep(Duration::from_millis(200));
            if n == count / 4 {
                gate.cut();
                std::thread::sleep(Duration::from_millis(400));
                gate.lead(server.port);
            }
            if n == count / 2 {
                server.restart();
            }
            assert!(!killed.join().unwrap(), "the process ended by itself (seed {seed})");
        });
    }
    stop.store(true, Ordering::Relaxed);
    runtime.block_on(async {
        writer.await.unwrap();
        let house = House::at(folder.path()).await;
        let working = worker(&house.app);
        let mut conn = client(server.port).await;
        // A debug build beside other work may need a while for what was written meanwhile.
        let end: String =
            conn.query_first("SELECT @@global.gtid_binlog_pos").await.unwrap().unwrap();
        let system = Op::system(house.app.now());
        for _ in 0..600 {
            let rails = rail::list(&house.app, &system, None, 0).await.unwrap().items;
            if rails.iter().all(|rail| rail.figures.confirmed.ends_with(&format!("~m:{end}"))) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        level(&house.app, &mut conn).await;
        let there = table(&mut conn, FIRMS).await;
        assert_eq!(differs(&there, &served(&house.app, "firms").await), None, "seed {seed}");
        rail::stop(&house.app).await;
        working.abort();
        house.app.store.close().await;
    });
}

#[test]
fn four_deaths_on_mariadb() {
    deaths(4);
}

#[test]
#[ignore = "takes minutes: cargo nextest run --workspace --run-ignored only -E 'test(fifty_deaths)'"]
fn fifty_deaths_on_mariadb() {
    deaths(50);
}

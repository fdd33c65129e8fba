//! The source, the rail on it and what both hold.

use std::path::Path;
use std::time::{Duration, Instant};

use app::collection::source;
use app::rail;
use futures::TryStreamExt;
use model::code::DataType;
use model::item::Item;
use model::query::{Order, RowQuery};
use model::rail::{RailNew, RailState};
use model::source::{SourceKind, SourceNew, SourceTls};
use model::value::Value;
use testkit::{House, PROVIDER_ORG, Postgres, draft};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

const CODE: &str = "qyxx";
/// A business registration as departments hold them.
const TABLE: &str = "CREATE TABLE qyxx (id bigint PRIMARY KEY, uscc text NOT NULL, name text NOT NULL, region text NOT NULL,
    capital numeric(18,2), founded date, state text NOT NULL, changed timestamp(6) NOT NULL)";
/// Rows of one transaction of the writer.
const TRANSACTION: u64 = 1000;
const PATIENCE: Duration = Duration::from_secs(1800);

pub(crate) struct Bench {
    pub(crate) house: House,
    cluster: Postgres,
    pub(crate) source: Client,
    rail: tokio::sync::Mutex<String>,
    worker: JoinHandle<()>,
}

impl Bench {
    pub(crate) async fn open(folder: &Path) -> Self {
        let cluster = Postgres::start();
        let _ = cluster.database("source");
        cluster.run_sql("source", TABLE);
        let source = connect(cluster.port()).await;
        let house = House::at_pace(folder).await;
        let mut entry = draft(CODE);
        let item = |identifier: &str, name: &str, kind| Item::new(identifier, name, kind);
        let mut capital = item("capital", "注册资本", DataType::Decimal);
        (capital.precision, capital.scale) = (18, 2);
        entry.items.truncate(1);
        entry.items.extend([
            item("uscc", "统一社会信用代码", DataType::Text),
            item("name", "企业名称", DataType::Text),
            item("region", "行政区划代码", DataType::Text),
            capital,
            item("founded", "成立日期", DataType::Date),
            item("state", "登记状态", DataType::Text),
            item("changed", "更新时间", DataType::DateTime),
        ]);
        house.publish(entry).await;
        let app = std::sync::Arc::clone(&house.app);
        let worker = tokio::spawn(async move {
            loop {
                rail::tick(&app).await.unwrap();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        Self { house, cluster, source, rail: tokio::sync::Mutex::default(), worker }
    }

    pub(crate) async fn fill(&self, rows: u64) {
        let sql = format!(
            "INSERT INTO qyxx SELECT n, '91330100' || lpad(n::text, 10, '0'), '杭州第' || n || '号科技有限公司',
               '33010' || n % 10, (n % 100000) + 0.25, date '2000-01-01' + (n % 9000)::int,
               CASE n % 7 WHEN 0 THEN '注销' ELSE '存续' END, timestamp '2026-01-01' + n * interval '1 millisecond'
             FROM generate_series(1, {rows}) n"
        );
        self.source.batch_execute(&sql).await.unwrap();
        for sql in ["VACUUM ANALYZE qyxx", "CHECKPOINT"] {
            self.source.batch_execute(sql).await.unwrap();
        }
    }

    /// The bare limit of a snapshot.
    pub(crate) fn copy(&self) {
        self.cluster.client("psql", "source", &["-q", "-c", "COPY qyxx TO STDOUT"]);
    }

    /// Makes the rail; seconds until all rows are in the lake, and until the serving copy has them, too.
    pub(crate) async fn snapshot(&self, rows: u64) -> (f64, f64) {
        let provider = self.house.person("provider").await;
        let new = SourceNew {
            org: PROVIDER_ORG.into(),
            name: "源".into(),
            kind: SourceKind::Postgres,
            host: "127.0.0.1".into(),
            port: self.cluster.port(),
            database: "source".into(),
            account: "qiantang".into(),
            password: "x".into(),
            tls: SourceTls::Prefer,
        };
        let kept = source::create(&self.house.app, &provider, new).await.unwrap();
        let tables = vec![("public.qyxx".to_owned(), CODE.to_owned())];
        let new = RailNew { name: "高铁".into(), source: kept.id, tables, ..RailNew::default() };
        let begun = Instant::now();
        let made = rail::create(&self.house.app, &provider, new).await.unwrap();
        *self.rail.lock().await = made.rail.id;
        let track = format!("rail-{}-public.qyxx", self.rail.lock().await);
        let entry = self.house.app.store.entry_get(CODE).await.unwrap().unwrap();
        let mut landed = None;
        loop {
            let place = self.house.app.lake.position(CODE, &track).await.unwrap();
            if landed.is_none() && place.is_some_and(|place| place.starts_with("w:")) {
                landed = Some(begun.elapsed().as_secs_f64());
                assert_eq!(self.house.app.lake.count(&entry).await.unwrap(), rows);
            }
            if self.state().await == RailState::Streaming {
                let served = begun.elapsed().as_secs_f64();
                return (landed.unwrap_or(served), served);
            }
            assert!(begun.elapsed() < PATIENCE, "the snapshot does not end");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn state(&self) -> RailState {
        let provider = self.house.person("provider").await;
        let view = rail::get(&self.house.app, &provider, &self.rail.lock().await).await.unwrap();
        view.figures.state
    }

    async fn until(&self, state: RailState) {
        while self.state().await != state {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Pauses the rail, and makes the slot of the bare limit at the same place of the log.
    pub(crate) async fn pause(&self) {
        let provider = self.house.person("provider").await;
        rail::pause(&self.house.app, &provider, &self.rail.lock().await).await.unwrap();
        self.until(RailState::Paused).await;
        let slot = "SELECT pg_create_logical_replication_slot('bare', 'pgoutput')";
        for sql in ["CREATE PUBLICATION bare FOR TABLE qyxx", slot] {
            self.source.batch_execute(sql).await.unwrap();
        }
    }

    /// Writes changes while nobody reads: half inserts, two fifths updates, a tenth deletes. Answers how many.
    pub(crate) async fn change(&self, rows: u64, changes: u64) -> u64 {
        let mut written = 0;
        let mut next = rows + 1;
        let mut at = 1;
        while written < changes {
            let (inserts, updates, deletes) =
                (TRANSACTION / 2, TRANSACTION * 2 / 5, TRANSACTION / 10);
            let (last, old, gone) =
                (next + inserts - 1, at + updates - 1, at + updates + deletes - 1);
            let sql = format!(
                "BEGIN; INSERT INTO qyxx SELECT n, '91330100' || lpad(n::text, 10, '0'), '宁波第' || n || '号贸易有限公司', '330200',
                   n % 1000, date '2020-01-01', '存续', clock_timestamp()::timestamp FROM generate_series({next}, {last}) n;
                 UPDATE qyxx SET capital = capital + 1, changed = clock_timestamp()::timestamp WHERE id BETWEEN {at} AND {old};
                 DELETE FROM qyxx WHERE id BETWEEN {old} + 1 AND {gone}; COMMIT"
            );
            self.source.batch_execute(&sql).await.unwrap();
            written += inserts + updates + deletes;
            next = last + 1;
            at = gone + 1;
        }
        written
    }

    /// The bare limit of the stream: the same changes to nowhere.
    pub(crate) fn receive(&self) {
        let end = self.end();
        let args = [
            "--slot=bare",
            "--start",
            "-f",
            "/dev/null",
            "-o",
            "proto_version=1",
            "-o",
            "publication_names=bare",
            "--no-loop",
            "-F",
            "0",
        ];
        let end = format!("--endpos={end}");
        self.cluster.client("pg_recvlogical", "source", &[&args[..], &[end.as_str()]].concat());
    }

    fn end(&self) -> String {
        let ask = async { one(&self.source, "SELECT pg_current_wal_lsn()").await };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(ask))
    }

    /// Resumes the rail; seconds until everything has landed and is served.
    pub(crate) async fn catch_up(&self) -> f64 {
        let last: i64 = one(&self.source, "SELECT max(id) FROM qyxx").await.parse().unwrap();
        let provider = self.house.person("provider").await;
        let begun = Instant::now();
        rail::resume(&self.house.app, &provider, &self.rail.lock().await).await.unwrap();
        while self.newest().await < last {
            assert!(begun.elapsed() < PATIENCE, "the stream does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        begun.elapsed().as_secs_f64()
    }

    /// Highest id of the serving copy, which comes after the lake.
    pub(crate) async fn newest(&self) -> i64 {
        let entry = self.house.app.store.entry_get(CODE).await.unwrap().unwrap();
        let ask = policy::GrantAsk {
            action: policy::Action::RowsQuery,
            entry: &entry,
            via: policy::Via::Open,
            row_cap: 10,
        };
        let grant = self.house.app.policy.grant(&self.house.nobody(), &ask).unwrap();
        let query = RowQuery {
            order: vec![Order { column: "id".into(), descending: true, nulls_first: None }],
            select: vec![("id".into(), None)],
            limit: Some(1),
            ..RowQuery::default()
        };
        let page = self.house.app.store.serving().query(&grant, &query).await.unwrap();
        match page.rows.first().and_then(|row| row.first()) {
            Some(Value::Integer(id)) => *id,
            _ => 0,
        }
    }

    /// Source and lake hold the same rows: count and sums over every column.
    pub(crate) async fn equal(&self) {
        let sql = "SELECT count(*) || ' ' || sum(id) || ' ' || sum(capital) || ' ' || sum(length(name) + length(uscc) + length(state) + length(region)) FROM qyxx";
        let there = one(&self.source, sql).await;
        let nobody = self.house.app.op(model::Actor::Nobody, "-");
        let mut rows =
            app::opening::download(&self.house.app, &nobody, CODE, None).await.unwrap().rows;
        let (mut count, mut ids, mut capital, mut letters) = (0_u64, 0_i128, 0_i128, 0_usize);
        while let Some(piece) = rows.try_next().await.unwrap() {
            for row in &piece.rows {
                count += 1;
                for value in row {
                    match value {
                        Value::Integer(id) => ids += i128::from(*id),
                        Value::Decimal(d) => capital += d.mantissa(),
                        Value::Text(text) => letters += text.chars().count(),
                        _ => {}
                    }
                }
            }
        }
        let here = format!("{count} {ids} {}.{:02} {letters}", capital / 100, capital % 100);
        assert_eq!(here, there, "lake and source differ");
    }

    pub(crate) async fn close(self) {
        rail::stop(&self.house.app).await;
        self.worker.abort();
        self.house.app.store.close().await;
    }

    pub(crate) async fn another(&self) -> Client {
        connect(self.cluster.port()).await
    }
}

async fn connect(port: u16) -> Client {
    let url = format!("host=127.0.0.1 port={port} user=qiantang dbname=source");
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn one(client: &Client, sql: &str) -> String {
    let answer = client.simple_query(sql).await.unwrap();
    let row = answer.iter().find_map(|m| match m {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    row.unwrap_or_default()
}

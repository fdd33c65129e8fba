//! The rail under kill -9: a writer inserts, updates, deletes, changes keys and rolls back, in small and in large
//! transactions, while the process that follows it is killed at random moments, the source is restarted, the network is cut
//! and the slot is dropped. At the end source, lake and serving copy are equal row by row. The seed is printed; give it back
//! by `QIANTANG_TEST_SEED` to see the same again.
//!
//! The long variant: `cargo nextest run --workspace --run-ignored only -E 'test(fifty_deaths)'`.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use app::rail;
use model::rail::{IncidentKind, RailNew, RailState};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use testkit::{House, Postgres, draft};

use crate::dying::kill;
use crate::railway::{FIRMS, Source, differs, lake, new, proxy, stored, until, worker};

const FOLDER: &str = "QIANTANG_TEST_RAIL_IN";
const STORE: &str = "QIANTANG_TEST_RAIL_STORE";

/// Not a test: the process that is killed.
#[test]
#[ignore = "run by the tests of this module only"]
#[expect(clippy::disallowed_methods, reason = "the parent says by the environment what to do")]
fn following() {
    let told = |name| std::env::var(name);
    let (Ok(folder), Ok(store)) = (told(FOLDER), told(STORE)) else { return };
    runtime().block_on(async {
        let house = House::kept(Path::new(&folder), &store).await;
        println!("READY");
        worker(&house.app).await.unwrap();
    });
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a seed is given back by the environment")]
pub(crate) fn seed() -> u64 {
    std::env::var("QIANTANG_TEST_SEED")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or_else(rand::random)
}

/// What the dying process is told.
pub(crate) fn told(folder: &Path, store: &str) -> [(&'static str, String); 2] {
    [(FOLDER, folder.to_string_lossy().into_owned()), (STORE, store.to_owned())]
}

/// One transaction of the writer.
fn transaction(random: &mut StdRng) -> String {
    let mut sql = "BEGIN;".to_owned();
    // Large values live outside the row and are not sent again when they do not change.
    let name = |random: &mut StdRng| match random.random_range(0..4) {
        0 => "NULL".to_owned(),
        1 => format!("repeat('长{}', 1200)", random.random_range(0..9)),
        n => format!("'名{}{n}'", random.random_range(0..1000)),
    };
    for _ in 0..random.random_range(1..5) {
        let table = if random.random_bool(0.7) { "firms" } else { "more" };
        let id = random.random_range(1..3000);
        match random.random_range(0..12) {
            0..4 => {
                let name = name(random);
                let amount = random.random_range(0..100_000);
                let set = "ON CONFLICT (id) DO UPDATE SET name = excluded.name, amount = excluded.amount";
                write!(sql, "INSERT INTO {table} VALUES ({id}, {name}, {amount}.25, '2026-01-01') {set};").unwrap();
            }
            4..7 => write!(sql, "UPDATE {table} SET amount = amount + 1, day = day + 1 WHERE id BETWEEN {id} AND {id} + 9;").unwrap(),
            7 => write!(sql, "DELETE FROM {table} WHERE id BETWEEN {id} AND {id} + 3;").unwrap(),
            8 => write!(sql, "UPDATE {table} SET id = id + 100000 WHERE id = {id} AND NOT EXISTS (SELECT FROM {table} WHERE id = {id} + 100000);").unwrap(),
            9 => write!(sql, "SAVEPOINT s; DELETE FROM {table} WHERE id < 500; ROLLBACK TO s;").unwrap(),
            10 if random.random_bool(0.3) => write!(sql, "UPDATE {table} SET amount = amount + 2 WHERE id % 3 = 0;").unwrap(),
            _ => {
                let name = name(random);
                write!(sql, "UPDATE {table} SET name = {name} WHERE id = {id};").unwrap();
            }
        }
    }
    sql.push_str(if random.random_bool(0.1) { "ROLLBACK" } else { "COMMIT" });
    sql
}

/// Writes until told to stop; a broken connection is made again.
async fn write_on(port: u16, seed: u64, stop: Arc<AtomicBool>) -> u64 {
    let mut random = StdRng::seed_from_u64(seed);
    let mut done = 0;
    while !stop.load(Ordering::Relaxed) {
        let url = format!("host=127.0.0.1 port={port} user=qiantang dbname=source");
        let Ok((client, connection)) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await
        else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let driver = tokio::spawn(connection);
        while !stop.load(Ordering::Relaxed) {
            if client.batch_execute(&transaction(&mut random)).await.is_err() {
                break;
            }
            done += 1;
            tokio::time::sleep(Duration::from_millis(random.random_range(0..8))).await;
        }
        driver.abort();
    }
    done
}

#[expect(clippy::print_stdout, reason = "the seed is told, so that it can be given back")]
fn deaths(count: u32, store: impl Fn(&Postgres) -> String) {
    let seed = seed();
    println!("QIANTANG_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let cluster = Postgres::start();
    let _ = cluster.database("source");
    let store = store(&cluster);
    let runtime = runtime();
    let (id, gate, stop, writer) = runtime.block_on(async {
        let source = Source::open(cluster.port(), "source").await;
        source
            .run(
                "CREATE TABLE firms (id bigint PRIMARY KEY, name text, amount numeric(18,2), day date);
                 ALTER TABLE firms ALTER name SET STORAGE EXTERNAL; CREATE TABLE more (LIKE firms INCLUDING ALL);
                 INSERT INTO firms SELECT n, '企业' || n, n, '2026-01-01' FROM generate_series(1, 2500) n;
                 INSERT INTO more SELECT n, repeat('长', 1200), n, NULL FROM generate_series(1, 900) n",
            )
            .await;
        let house = House::kept(folder.path(), &store).await;
        let provider = house.person("provider").await;
        house.publish(draft("firms")).await;
        house.publish(draft("more")).await;
        let (port, gate) = proxy(cluster.port()).await;
        let kept = stored(&house.app, &provider, port, "source").await;
        let asked: RailNew = new(&kept, &[("public.firms", "firms"), ("public.more", "more")]);
        let made = rail::create(&house.app, &provider, asked).await.unwrap();
        house.app.store.close().await;
        let stop = Arc::new(AtomicBool::new(false));
        let writer = tokio::spawn(write_on(cluster.port(), seed, Arc::clone(&stop)));
        (made.rail.id, gate, stop, writer)
    });
    let (cut_at, restart_at, drop_at) = (count / 4, count / 2, count * 3 / 4);
    for n in 0..count {
        let told = told(folder.path(), &store);
        let after = Duration::from_millis(random.random_range(30..1800));
        let trouble = random.random_range(0..300);
        std::thread::scope(|scope| {
            let killed = scope.spawn(|| kill("railkill::following", &told, after));
            std::thread::sleep(Duration::from_millis(trouble));
            if n == cut_at {
                gate.cut();
                std::thread::sleep(Duration::from_millis(700));
                gate.lead(cluster.port());
            }
            if n == restart_at {
                cluster.restart();
            }
            assert!(!killed.join().unwrap(), "the process ended by itself");
        });
        if n == drop_at {
            // Nobody holds it now.
            runtime.block_on(async {
                let source = Source::open(cluster.port(), "source").await;
                until("dropped", async || {
                    let sql = "SELECT count(pg_drop_replication_slot(slot_name)) FROM pg_replication_slots WHERE active_pid IS NULL";
                    let dropped = source.one(sql).await;
                    if dropped == "1" { Ok(()) } else { Err(dropped) }
                })
                .await;
            });
        }
    }
    stop.store(true, Ordering::Relaxed);
    let written = runtime.block_on(writer).unwrap();
    runtime.block_on(async {
        let house = House::kept(folder.path(), &store).await;
        if !store.starts_with("sqlite") {
            // The lease of the last dead process must be over.
            house.clock.forward(chrono::TimeDelta::seconds(70));
        }
        let working = worker(&house.app);
        let source = Source::open(cluster.port(), "source").await;
        let provider = house.person("provider").await;
        // A debug build beside other work may need a while for what a hundred seconds of writing left.
        let end = source.one("SELECT lpad(to_hex(pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint), 16, '0')").await;
        let end = end.to_ascii_uppercase();
        for _ in 0..600 {
            let view = rail::get(&house.app, &provider, &id).await.unwrap();
            if view.figures.confirmed >= end {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        for code in ["firms", "more"] {
            let sql = FIRMS.replace("firms", code);
            until("level", async || {
                let (there, here) = (source.table(&sql).await, lake(&house.app, code).await);
                let Some(differs) = differs(&there, &here) else { return Ok(()) };
                let view = rail::get(&house.app, &provider, &id).await.unwrap();
                let told = rail::incidents(&house.app, &provider, &id, None, 200).await.unwrap();
                Err(format!("{differs}\n{view:#?}\n{:#?}", told.items))
            })
            .await;
        }
        for code in ["firms", "more"] {
            let there = source.table(&FIRMS.replace("firms", code)).await;
            let here = crate::railway::served(&house.app, code).await;
            assert_eq!(differs(&there, &here), None, "the serving copy of {code}");
        }
        let happened = rail::incidents(&house.app, &provider, &id, None, 200).await.unwrap().items;
        let lost = happened.iter().filter(|i| i.kind == IncidentKind::SlotLost).count();
        assert!(lost >= 1, "a dropped slot is told: {happened:?}");
        assert!(happened.iter().filter(|i| i.kind == IncidentKind::Healed).count() >= 2);
        until("streaming", async || {
            let view = rail::get(&house.app, &provider, &id).await.unwrap();
            let quarantined: u64 = view.tables.iter().map(|t| t.figures.quarantined).sum();
            assert_eq!(quarantined, 0);
            if view.figures.state == RailState::Streaming {
                Ok(())
            } else {
                Err(format!("{view:?}"))
            }
        })
        .await;
        println!("{count} deaths, {written} transactions");
        rail::stop(&house.app).await;
        working.abort();
        house.app.store.close().await;
    });
}

#[test]
fn six_deaths() {
    deaths(6, |_| "sqlite:".to_owned());
}

#[test]
#[ignore = "takes minutes: cargo nextest run --workspace --run-ignored only -E 'test(fifty_deaths)'"]
fn fifty_deaths() {
    deaths(50, |_| "sqlite:".to_owned());
}

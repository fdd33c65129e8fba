//! A pipeline under kill -9: a writer appends while the process that runs its turns is killed at random moments. The entry has
//! no business key, so that a row landed twice would be there twice. At the end every row is there once, and position and
//! rows agree.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use app::pipeline;
use futures::TryStreamExt;
use model::Op;
use model::code::DataType;
use model::pipeline::TurnState;
use model::value::Value;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use testkit::{House, Postgres, draft};

use crate::dying::kill;
use crate::railkill::{runtime, seed};
use crate::railway::{Source, stored, until};

const FOLDER: &str = "QIANTANG_TEST_PIPELINE_IN";
const STORE: &str = "QIANTANG_TEST_PIPELINE_STORE";

const TEXT: &str = "name = \"log\"\nentry = \"log\"\nmode = \"incremental\"\nempty = \"allow\"\n[source]\nkind = \"database\"\nsource = \"SOURCE\"\ntable = \"public.log\"\n[watermark]\ncolumn = \"id\"\ntype = \"integer\"\nstart = 1\n";

/// One round: a turn when there is none, and the scheduler's look; the recovery of collections beside it, as in a worker.
async fn round(house: &House, op: &Op) {
    let id = pipeline::named(&house.app, op, "log").await.unwrap().id;
    let busy = pipeline::turns(&house.app, op, &id, None, None, 5).await.unwrap().items;
    if busy.iter().all(|t| t.state.ended()) {
        pipeline::run_now(&house.app, op, &id).await.unwrap();
    }
    house.clock.forward(chrono::TimeDelta::seconds(1));
    pipeline::tick(&house.app).await.unwrap();
}

/// Not a test: the process that is killed.
#[test]
#[ignore = "run by the tests of this module only"]
#[expect(clippy::disallowed_methods, reason = "the parent says by the environment what to do")]
fn pulling() {
    let told = |name| std::env::var(name);
    let (Ok(folder), Ok(store)) = (told(FOLDER), told(STORE)) else { return };
    runtime().block_on(async {
        let house = House::kept(Path::new(&folder), &store).await;
        let provider = house.person("provider").await;
        println!("READY");
        let app = Arc::clone(&house.app);
        tokio::spawn(async move {
            loop {
                app::collection::recover(&app).await.unwrap();
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        });
        loop {
            round(&house, &provider).await;
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    });
}

async fn write_on(port: u16, seed: u64, stop: Arc<AtomicBool>) {
    let mut random = StdRng::seed_from_u64(seed);
    let source = Source::open(port, "source").await;
    while !stop.load(Ordering::Relaxed) {
        let n = random.random_range(1..60);
        source
            .run(&format!(
                "INSERT INTO log (name) SELECT '事件' || g FROM generate_series(1, {n}) g"
            ))
            .await;
        tokio::time::sleep(Duration::from_millis(random.random_range(1..40))).await;
    }
}

async fn ids(house: &House) -> Vec<i64> {
    let nobody = house.app.op(model::Actor::Nobody, "-");
    let download = app::opening::download(&house.app, &nobody, "log", None).await.unwrap();
    let pieces: Vec<model::value::Rows> = download.rows.try_collect().await.unwrap();
    let mut ids: Vec<i64> = pieces
        .into_iter()
        .flat_map(|piece| piece.rows)
        .map(|row| match row[0] {
            Value::Integer(n) => n,
            ref other => panic!("{other:?}"),
        })
        .collect();
    ids.sort_unstable();
    ids
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
    let stop = Arc::new(AtomicBool::new(false));
    runtime.block_on(async {
        let source = Source::open(cluster.port(), "source").await;
        source.run("CREATE TABLE log (id bigserial PRIMARY KEY, name text)").await;
        let house = House::kept(folder.path(), &store).await;
        let provider = house.person("provider").await;
        let mut entry = draft("log");
        entry.items.truncate(2);
        entry.items[0].primary = false;
        assert_eq!(entry.items[0].data_type, DataType::Integer);
        house.publish(entry).await;
        let kept = stored(&house.app, &provider, cluster.port(), "source").await;
        pipeline::create(&house.app, &provider, &TEXT.replace("SOURCE", &kept)).await.unwrap();
        house.app.store.close().await;
    });
    let writer = runtime.spawn(write_on(cluster.port(), seed, Arc::clone(&stop)));
    for _ in 0..count {
        let told = [(FOLDER, folder.path().to_string_lossy().into_owned()), (STORE, store.clone())];
        let after = Duration::from_millis(random.random_range(20..1000));
        assert!(!kill("pipelinekill::pulling", &told, after), "the process ended by itself");
    }
    stop.store(true, Ordering::Relaxed);
    runtime.block_on(writer).unwrap();
    runtime.block_on(async {
        let house = House::kept(folder.path(), &store).await;
        if !store.starts_with("sqlite") {
            // The lease of the last dead process must be over.
            house.clock.forward(chrono::TimeDelta::seconds(70));
        }
        let provider = house.person("provider").await;
        let source = Source::open(cluster.port(), "source").await;
        let there: i64 = source.one("SELECT count(*) FROM log").await.parse().unwrap();
        until("every row", async || {
            round(&house, &provider).await;
            let here = ids(&house).await;
            if i64::try_from(here.len()).unwrap() >= there {
                Ok(())
            } else {
                Err(format!("{} of {there}", here.len()))
            }
        })
        .await;
        let here = ids(&house).await;
        assert_eq!(here, (1..=there).collect::<Vec<_>>(), "every row once");
        let id = pipeline::named(&house.app, &provider, "log").await.unwrap().id;
        let position = pipeline::get(&house.app, &provider, &id).await.unwrap().position;
        assert_eq!(position, (there + 1).to_string());
        // What the turns tell adds up to what is there.
        // The clock of a process that died may have run ahead of ours: a turn that waits for its moment needs time to pass.
        let turns = until("turns at rest", async || {
            house.clock.forward(chrono::TimeDelta::seconds(1));
            pipeline::tick(&house.app).await.unwrap();
            let turns =
                pipeline::turns(&house.app, &provider, &id, None, None, 200).await.unwrap().items;
            if turns.iter().all(|t| t.state.ended()) {
                Ok(turns)
            } else {
                Err(format!("{turns:#?}"))
            }
        })
        .await;
        let landed: u64 = turns.iter().map(|t| t.figures.landed).sum();
        assert!(turns.iter().all(|t| t.figures.agree()), "{turns:#?}");
        assert!(
            turns.len() < 200 && landed == u64::try_from(there).unwrap(),
            "{landed} of {there} {turns:#?}"
        );
        let cut =
            turns.iter().flat_map(|t| &t.attempts).filter(|a| a.outcome == "interrupted").count();
        assert!(turns.iter().all(|t| t.state == TurnState::Succeeded), "{turns:#?}");
        println!("{count} deaths, {there} rows, {} turns, {cut} attempts cut off", turns.len());
        house.app.store.close().await;
    });
}

#[test]
fn a_pipeline_survives_eight_deaths() {
    deaths(8, |_| "sqlite:".to_owned());
}

#[test]
#[ignore = "takes minutes: cargo nextest run --workspace --run-ignored only -E 'test(a_pipeline_survives)'"]
fn a_pipeline_survives_forty_deaths() {
    deaths(40, |_| "sqlite:".to_owned());
}

#[test]
#[ignore = "takes minutes: cargo nextest run --workspace --run-ignored only -E 'test(a_pipeline_survives)'"]
fn a_pipeline_survives_twelve_deaths_on_postgres() {
    deaths(12, |cluster| cluster.database("store"));
}

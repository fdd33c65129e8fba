//! A scheduled job under kill -9: the process that runs it is killed at random moments. At the end every run that says it succeeded has
//! one version of the table, whole, and none is left running.

use std::path::Path;
use std::time::Duration;

use app::project;
use model::project::job::RunState;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use testkit::{House, Postgres};

use crate::dying::kill;
use crate::project::team;
use crate::railkill::{runtime, seed};
use crate::railway::until;

const FOLDER: &str = "QIANTANG_TEST_PROJECT_IN";
const STORE: &str = "QIANTANG_TEST_PROJECT_STORE";
const ROWS: u64 = 10_000;

async fn round(house: &House) -> String {
    let owner = house.person("consumer").await;
    let id = project::list(&house.app, &owner, None, 1).await.unwrap().items[0].project.id.clone();
    let runs = project::runs(&house.app, &owner, &id, None, None, 1).await.unwrap().items;
    if runs.iter().all(|r| r.state.ended()) {
        project::run_now(&house.app, &owner, &id, "wide").await.unwrap();
    }
    house.clock.forward(chrono::TimeDelta::seconds(1));
    project::tick(&house.app).await.unwrap();
    id
}

/// Not a test: the process that is killed.
#[test]
#[ignore = "run by the tests of this module only"]
#[expect(clippy::disallowed_methods, reason = "the parent says by the environment what to do")]
fn running() {
    let told = |name| std::env::var(name);
    let (Ok(folder), Ok(store)) = (told(FOLDER), told(STORE)) else { return };
    runtime().block_on(async {
        let house = House::kept(Path::new(&folder), &store).await;
        println!("READY");
        loop {
            round(&house).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

#[expect(clippy::print_stdout, reason = "the seed is told, so that it can be given back")]
fn deaths(count: u32, store: &str) {
    let seed = seed();
    println!("QIANTANG_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(async {
        let t = team(House::kept(folder.path(), store).await).await;
        let sql = format!("select n, repeat('x', 50) as x from generate_series(1, {ROWS}) a(n)");
        let text = format!("name = \"wide\"\nsql = \"\"\"{sql}\"\"\"\n[retry]\ntimes = 99\nfirst = \"1s\"\nlongest = \"1s\"\n");
        project::save(&t.house().app, &t.owner, &t.id, &text, 0).await.unwrap();
        t.house().app.store.close().await;
    });
    for _ in 0..count {
        let told =
            [(FOLDER, folder.path().to_string_lossy().into_owned()), (STORE, store.to_owned())];
        let after = Duration::from_millis(random.random_range(20..800));
        assert!(!kill("projectkill::running", &told, after), "the process ended by itself");
    }
    runtime().block_on(async {
        let house = House::kept(folder.path(), store).await;
        if !store.starts_with("sqlite") {
            house.clock.forward(chrono::TimeDelta::seconds(70));
        }
        let id = round(&house).await;
        let owner = house.person("consumer").await;
        let runs = until("runs at rest", async || {
            house.clock.forward(chrono::TimeDelta::seconds(1));
            project::tick(&house.app).await.unwrap();
            let runs = project::runs(&house.app, &owner, &id, None, None, 200).await.unwrap().items;
            if runs.iter().all(|r| r.state.ended()) { Ok(runs) } else { Err(format!("{runs:#?}")) }
        })
        .await;
        assert!(runs.iter().all(|r| r.state == RunState::Succeeded), "{runs:#?}");
        assert!(runs.iter().all(|r| r.rows == ROWS), "{runs:#?}");
        let landed = house.app.lake.versions("_team_wide").await.unwrap();
        let newest = landed[0].parcel.as_str();
        let mut parcels: Vec<&str> = landed.iter().map(|v| v.parcel.as_str()).collect();
        let mut ids: Vec<&str> = runs.iter().map(|r| r.id.as_str()).collect();
        // The house's clock starts anew with each process, so that ids of different processes stand in no order.
        parcels.sort_unstable();
        ids.sort_unstable();
        assert_eq!(parcels, ids, "each run landed once, and nothing else did");
        let result = &project::results(&house.app, &owner, &id).await.unwrap()[0].result;
        assert_eq!((result.rows, result.run.as_str()), (ROWS, newest));
        println!("{count} deaths, {} runs", runs.len());
        house.app.store.close().await;
    });
}

#[test]
fn a_job_survives_eight_deaths() {
    deaths(8, "sqlite:");
}

#[test]
#[ignore = "takes minutes: cargo nextest run --workspace --run-ignored only -E 'test(a_job_survives)'"]
fn a_job_survives_eight_deaths_on_postgres() {
    let cluster = Postgres::start();
    deaths(8, &cluster.database("store"));
}

//! Return flows under kill -9: parcels land and are delivered to a PostgreSQL and a MariaDB by one process, which is killed at random
//! moments while the targets are restarted, too. At the end both targets are equal row by row to what the lake shows of their
//! regions. The seed is printed; give it back by `QIANTANG_TEST_SEED`.

use std::path::Path;

use app::outflow;
use model::Op;
use model::code::SyncMode;
use model::source::SourceKind;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use testkit::{House, MariaDb, Postgres};

use crate::outway::{
    AT_MARIADB, AT_POSTGRES, agreed, at_mariadb, database, delivering, eight_deaths, land, new,
    of_region, receiver, regional, settle,
};
use crate::railkill::{runtime, seed};
use crate::railway::{Source, differs, until};

const FOLDER: &str = "QIANTANG_TEST_FLOW_IN";
const SEED: &str = "QIANTANG_TEST_FLOW_SEED";
const REGIONS: [&str; 5] = ["330106", "330110", "330203", "330212", "310000"];

/// One parcel of the writer: sometimes everything anew.
async fn parcel(house: &House, random: &mut StdRng) {
    let full = random.random_bool(0.08);
    let rows = if full { 1500 } else { random.random_range(1..60) };
    let mut seen = std::collections::BTreeSet::new();
    let mut lines = Vec::new();
    for _ in 0..rows {
        let id = random.random_range(1..2000);
        if !seen.insert(id) {
            continue;
        }
        let operation = match random.random_range(0..5) {
            0 if !full => "D",
            1 if !full => "U",
            _ => "I",
        };
        let region = REGIONS[random.random_range(0..REGIONS.len())];
        lines.push((operation, id, "企业", random.random_range(0..1_000_000), region));
    }
    let mode = if full { SyncMode::Full } else { SyncMode::Incremental };
    land(house, "firms", mode, &lines).await;
}

/// Not a test: the process that is killed.
#[test]
#[ignore = "run by the tests of this module only"]
#[expect(clippy::disallowed_methods, reason = "the parent says by the environment what to do")]
fn flowing() {
    let told = |name| std::env::var(name);
    let (Ok(folder), Ok(seed)) = (told(FOLDER), told(SEED)) else { return };
    runtime().block_on(async {
        let house = House::kept(Path::new(&folder), "sqlite:").await;
        let mut random = StdRng::seed_from_u64(seed.parse().unwrap());
        let _working = delivering(&house.app);
        println!("READY");
        loop {
            parcel(&house, &mut random).await;
        }
    });
}

#[test]
fn eight_deaths_of_a_return_flow() {
    let seed = seed();
    println!("QIANTANG_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let (cluster, server) = (Postgres::start(), MariaDb::start());
    let _ = cluster.database("city");
    receiver(&server);
    let runtime = runtime();
    let ids = runtime.block_on(async {
        let house = House::at(folder.path()).await;
        settle(&house).await;
        house.publish(regional("firms")).await;
        let lines: Vec<_> = (1..1500)
            .map(|n| ("I", n, "初", n, REGIONS[usize::try_from(n % 5).unwrap()]))
            .collect();
        land(&house, "firms", SyncMode::Full, &lines).await;
        let mut ids = Vec::new();
        for (who, kind, port, name) in [
            ("hangzhou", SourceKind::Postgres, cluster.port(), "city"),
            ("ningbo", SourceKind::Mysql, server.port, "d"),
        ] {
            let items = ["id", "name", "amount", "day", "region_code"];
            let request = agreed(&house, who, "firms", &items).await;
            let target = database(&house, who, kind, port, name).await;
            let op = house.person(who).await;
            let made = outflow::create(&house.app, &op, &new(&request, &target)).await.unwrap();
            ids.push(made.outflow.id);
        }
        house.app.store.close().await;
        ids
    });
    let place = [(FOLDER, folder.path().to_string_lossy().into_owned())];
    eight_deaths("outflowkill::flowing", &place, SEED, &mut random, (&cluster, &server));
    runtime.block_on(async {
        let house = House::at(folder.path()).await;
        app::collection::recover(&house.app).await.unwrap();
        let working = delivering(&house.app);
        let system = Op::system(house.app.now());
        let source = Source::open(cluster.port(), "city").await;
        let figures = async |id: &str| {
            let view = outflow::get(&house.app, &system, id).await.unwrap();
            format!("{:?}", view.figures)
        };
        let total = of_region(&house.app, "firms", "33").await.len();
        assert!(total > 300, "{total}");
        until("Hangzhou", async || {
            let here = of_region(&house.app, "firms", "3301").await;
            match differs(&here, &source.table(AT_POSTGRES).await) {
                None => Ok(()),
                Some(differs) => Err(format!("{differs}\n{}", figures(&ids[0]).await)),
            }
        })
        .await;
        until("Ningbo", async || {
            let here = of_region(&house.app, "firms", "3302").await;
            match differs(&here, &at_mariadb(server.port, AT_MARIADB).await?) {
                None => Ok(()),
                Some(differs) => Err(format!("{differs}\n{}", figures(&ids[1]).await)),
            }
        })
        .await;
        let versions = house.app.lake.versions("firms").await.unwrap().len();
        println!("{versions} parcels, 8 deaths, {total} rows of the province");
        outflow::stop(&house.app).await;
        working.abort();
        house.app.store.close().await;
    });
}

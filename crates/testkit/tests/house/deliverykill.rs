//! Deliveries under kill -9: parcels land and are delivered, changes to a PostgreSQL and all rows to a MariaDB, by one process that is
//! killed at random moments while the targets are restarted, too. At the end both targets are equal row by row to what the lake
//! shows, and the receipts add up to exactly what the targets say was committed. The seed is printed; give it back by
//! `QIANTANG_TEST_SEED`.

use std::path::Path;

use app::delivery;
use model::Op;
use model::code::SyncMode;
use model::delivery::DeliveryTurn;
use model::source::SourceKind;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use testkit::{House, MariaDb, Postgres};

use crate::delivery::{nightly, working};
use crate::outway::{
    AT_MARIADB, AT_POSTGRES, at_mariadb, batch, database, eight_deaths, land, of_region, receiver,
    regional, settle,
};
use crate::railkill::{runtime, seed};
use crate::railway::{Source, differs, until};

const FOLDER: &str = "QIANTANG_TEST_DELIVERY_IN";
const SEED: &str = "QIANTANG_TEST_DELIVERY_SEED";
const REGIONS: [&str; 4] = ["330106", "330110", "330203", "310000"];
const WHO: [&str; 2] = ["hangzhou", "ningbo"];
const TOTALS: &str = "SELECT flow, upserts, deletes FROM qiantang_outflow";

async fn parcel(house: &House, random: &mut StdRng) {
    let mut seen = std::collections::BTreeSet::new();
    let mut lines = Vec::new();
    for _ in 0..random.random_range(1..80) {
        let id = random.random_range(1..2000);
        if !seen.insert(id) {
            continue;
        }
        let operation = ["D", "U", "I"][random.random_range(0..3)];
        let region = REGIONS[random.random_range(0..REGIONS.len())];
        lines.push((operation, id, "企业", random.random_range(0..1_000_000), region));
    }
    land(house, "firms", SyncMode::Incremental, &lines).await;
}

/// Asks for a turn of each delivery; one that is under way already does as well.
async fn asked(house: &House) {
    for who in WHO {
        let op = house.person(who).await;
        for view in delivery::list(&house.app, &op, None, None, 0).await.unwrap().items {
            let _ = delivery::run(&house.app, &op, &view.delivery.id).await;
        }
    }
}

/// Not a test: the process that is killed.
#[test]
#[ignore = "run by the tests of this module only"]
#[expect(clippy::disallowed_methods, reason = "the parent says by the environment what to do")]
fn pushing() {
    let told = |name| std::env::var(name);
    let (Ok(folder), Ok(seed)) = (told(FOLDER), told(SEED)) else { return };
    runtime().block_on(async {
        let house = House::kept(Path::new(&folder), "sqlite:").await;
        let mut random = StdRng::seed_from_u64(seed.parse().unwrap());
        let _working = working(&house.app);
        println!("READY");
        loop {
            parcel(&house, &mut random).await;
            asked(&house).await;
        }
    });
}

async fn turns(house: &House, id: &str) -> Vec<DeliveryTurn> {
    let system = Op::system(house.app.now());
    let (mut all, mut before) = (Vec::new(), None::<String>);
    loop {
        let page = delivery::turns(&house.app, &system, id, before.as_deref(), 200).await.unwrap();
        all.extend(page.items);
        before = page.next;
        if before.is_none() {
            return all;
        }
    }
}

#[test]
fn eight_deaths_of_a_delivery() {
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
            .map(|n| ("I", n, "初", n, REGIONS[usize::try_from(n % 4).unwrap()]))
            .collect();
        land(&house, "firms", SyncMode::Full, &lines).await;
        let mut ids = Vec::new();
        for (who, kind, port, name, mode) in [
            (WHO[0], SourceKind::Postgres, cluster.port(), "city", SyncMode::Incremental),
            (WHO[1], SourceKind::Mysql, server.port, "d", SyncMode::Full),
        ] {
            let items = ["id", "name", "amount", "day", "region_code"];
            let request = batch(&house, who, "firms", &items, "").await;
            let target = database(&house, who, kind, port, name).await;
            let op = house.person(who).await;
            let new = nightly(&request, &target, mode);
            let made = delivery::create(&house.app, &op, &new).await.unwrap();
            delivery::resume(&house.app, &op, &made.delivery.id).await.unwrap();
            ids.push(made.delivery.id);
        }
        house.app.store.close().await;
        ids
    });
    let place = [(FOLDER, folder.path().to_string_lossy().into_owned())];
    eight_deaths("deliverykill::pushing", &place, SEED, &mut random, (&cluster, &server));
    runtime.block_on(async {
        let house = House::at(folder.path()).await;
        app::collection::recover(&house.app).await.unwrap();
        let working = working(&house.app);
        let source = Source::open(cluster.port(), "city").await;
        let system = Op::system(house.app.now());
        let here = of_region(&house.app, "firms", "3").await;
        assert!(here.len() > 300, "{}", here.len());
        until("both targets", async || {
            asked(&house).await;
            let city = differs(&here, &source.table(AT_POSTGRES).await);
            let other = differs(&here, &at_mariadb(server.port, AT_MARIADB).await?);
            match (city, other) {
                (None, None) => Ok(()),
                both => Err(format!("{both:?}")),
            }
        })
        .await;
        let mut told = 0;
        for (n, id) in ids.iter().enumerate() {
            // The turns asked for last end, too.
            until("at rest", async || {
                let view = delivery::get(&house.app, &system, id).await.unwrap();
                view.turn.map_or(Ok(()), |turn| Err(format!("{turn:?}")))
            })
            .await;
            let receipts: Vec<_> =
                turns(&house, id).await.into_iter().filter_map(|turn| turn.receipt).collect();
            let totals = match n {
                0 => source.table(TOTALS).await,
                _ => at_mariadb(server.port, TOTALS).await.unwrap(),
            };
            let count = |at: usize| totals[id][at].as_ref().unwrap().parse::<u64>().unwrap();
            let sum = |of: fn(&model::delivery::DeliveryReceipt) -> u64| {
                receipts.iter().map(of).sum::<u64>()
            };
            assert_eq!(sum(|r| r.upserts), count(1), "{id}");
            assert_eq!(sum(|r| r.deletes), count(2), "{id}");
            assert!(delivery::compare(&house.app, &system, id).await.unwrap().equal);
            told += receipts.len();
        }
        println!("{told} receipts, 8 deaths, {} rows", here.len());
        delivery::stop(&house.app).await;
        working.abort();
        house.app.store.close().await;
    });
}

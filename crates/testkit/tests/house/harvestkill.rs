//! kill -9 in the middle of turns of harvest: a source of many records over a dozen pages on a real socket, and the process that
//! reads it killed again and again, at first while everything is new, then while some has changed, come and gone. At the end there is
//! exactly what the source has, once, and the report says so.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use app::harvest;
use chrono::TimeDelta;
use model::harvest::{HarvestAs, HarvestFigures, HarvestKind, HarvestState};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use testkit::{House, Postgres};

use crate::dying::kill;
use crate::harvest::{Ckan, LATE, ckan, entries, new, package};
use crate::railkill::{runtime, seed};

const FOLDER: &str = "QIANTANG_TEST_HARVEST_IN";
const STORE: &str = "QIANTANG_TEST_HARVEST_STORE";
const TURN: &str = "QIANTANG_TEST_HARVEST_TURN";

/// Records of the source at first, and of a page.
const RECORDS: u32 = 144;
const PAGE: u32 = 12;
/// What becomes of them before the second turn.
const GONE: u32 = 24;
const CHANGED: u32 = 30;
const ADDED: u32 = 20;
/// Deaths of each turn, and how long after it is ready a process dies at first, in milliseconds; each later one lives longer.
const DEATHS: u32 = 6;
const STEP: u64 = 150;

/// A house whose turns take small pages, few of them in a round.
async fn kept(folder: &Path, store: &str) -> House {
    let mut house = House::kept(folder, store).await;
    let app = Arc::get_mut(&mut house.app).unwrap();
    app.rules.harvest.page_records = PAGE;
    app.rules.harvest.pages_per_round = 3;
    house
}

/// How a turn stands: its id is `SOURCE TURN`.
async fn state(house: &House, turn: &str) -> (HarvestState, HarvestFigures) {
    let (source, turn) = turn.split_once(' ').unwrap();
    let authority = house.person("authority").await;
    let told = harvest::report(&house.app, &authority, source, turn).await.unwrap();
    (told.state, told.figures)
}

/// Works at a turn until it is over.
async fn worked(house: &House, turn: &str) {
    while matches!(state(house, turn).await.0, HarvestState::Waiting | HarvestState::Running) {
        // The clock of each process begins anew: what another has written for later must become due.
        if harvest::tick(&house.app).await.unwrap() == 0 {
            house.clock.forward(TimeDelta::minutes(5));
        }
    }
}

/// Not a test: the process that is killed.
#[test]
#[ignore = "run by the tests of this module only"]
#[expect(clippy::disallowed_methods, reason = "the parent says by the environment what to do")]
fn harvesting() {
    let told = |name| std::env::var(name);
    let (Ok(folder), Ok(store), Ok(turn)) = (told(FOLDER), told(STORE), told(TURN)) else { return };
    runtime().block_on(async {
        let house = kept(Path::new(&folder), &store).await;
        println!("READY");
        worked(&house, &turn).await;
        house.app.store.close().await;
    });
}

/// A folder with a store in which processes die.
struct Place<'a> {
    folder: &'a Path,
    store: &'a str,
    random: StdRng,
}

impl Place<'_> {
    /// Has a turn done by processes that are killed, and in the end by one that is not; answers how many died.
    fn disturbed(&mut self, turn: &str) -> u32 {
        let told = [
            (FOLDER, self.folder.to_string_lossy().into_owned()),
            (STORE, self.store.to_owned()),
            (TURN, turn.to_owned()),
        ];
        let mut deaths = 0;
        for n in 1..=u64::from(DEATHS) {
            let after = self.random.random_range(STEP * (n - 1)..STEP * n);
            let after = Duration::from_millis(after.max(STEP / 2));
            if kill("harvestkill::harvesting", &told, after) {
                break;
            }
            deaths += 1;
        }
        let ended = kill("harvestkill::harvesting", &told, Duration::from_secs(300));
        assert!(ended, "undisturbed the turn comes to its end");
        deaths
    }
}

/// Titles of what everybody sees, by the id that the source knows it by; nothing is there twice.
async fn seen(house: &House) -> BTreeMap<String, String> {
    let (mut titles, mut after) = (BTreeMap::new(), None::<String>);
    loop {
        let page = app::opening::datasets(&house.app, &house.nobody(), after.as_deref(), 100)
            .await
            .unwrap();
        for set in page.items {
            let origin = harvest::origin(&house.app, &set.entry.draft.code).await.unwrap();
            let origin = origin.expect("nothing is there that no source has brought");
            let twice = titles.insert(origin.foreign_id.clone(), set.entry.draft.title);
            assert!(twice.is_none(), "{} is there twice", origin.foreign_id);
        }
        after = page.next;
        if after.is_none() {
            return titles;
        }
    }
}

/// The same as the source tells it.
fn source(ckan: &Ckan) -> BTreeMap<String, String> {
    let text = |v: &serde_json::Value| v.as_str().unwrap().to_owned();
    ckan.packages.lock().iter().map(|p| (text(&p["id"]), text(&p["title"]))).collect()
}

fn change(ckan: &Ckan) {
    let mut all = ckan.packages.lock();
    all.drain(..GONE as usize);
    for package in all.iter_mut().take(CHANGED as usize) {
        let title = format!("{}（修订）", package["title"].as_str().unwrap());
        package["title"] = json!(title);
        package["metadata_modified"] = json!(LATE);
    }
    all.extend((1..=ADDED).map(|n| {
        let n = RECORDS + n;
        package(n, &format!("新增数据集 {n}"), LATE)
    }));
}

async fn begun(house: &House, source: &str) -> String {
    let authority = house.person("authority").await;
    let turn = harvest::run(&house.app, &authority, source, (true, false)).await.unwrap();
    format!("{source} {}", turn.id)
}

/// What must hold once a turn is over: the source's records and no others, the report's figures, and pages read again only by death.
async fn settled(house: &House, ckan: &Ckan, turn: &str, deaths: u32, expected: &HarvestFigures) {
    let (state, figures) = state(house, turn).await;
    assert_eq!((state, &figures), (HarvestState::Done, expected));
    assert_eq!(
        figures.seen,
        figures.new + figures.changed + figures.unchanged + figures.refused,
        "the sums agree"
    );
    assert_eq!(seen(house).await, source(ckan), "what is seen is what the source has");
    let asked = ckan.asked.lock().len() as u64;
    let most = figures.pages + u64::from(deaths);
    assert!((figures.pages..=most).contains(&asked), "{asked} pages asked for, {deaths} deaths");
    assert!(deaths >= 2, "too few deaths fell into the turn: {deaths}");
}

#[expect(clippy::print_stdout, reason = "the seed is told, so that it can be given back")]
fn deaths(store: &str) {
    let seed = seed();
    println!("QIANTANG_TEST_SEED={seed}");
    let folder = tempfile::tempdir().unwrap();
    let mut place = Place { folder: folder.path(), store, random: StdRng::seed_from_u64(seed) };
    // The source lives as long as the test does, whoever dies.
    let running = runtime();
    let (ckan, url) = running.block_on(ckan(RECORDS));
    let first = running.block_on(async {
        let house = kept(folder.path(), store).await;
        let authority = house.person("authority").await;
        let form = new("来源", HarvestKind::Ckan, &url, HarvestAs::Published);
        let source = harvest::create(&house.app, &authority, &form).await.unwrap().id;
        let turn = begun(&house, &source).await;
        house.app.store.close().await;
        turn
    });
    let died = place.disturbed(&first);
    let second = running.block_on(async {
        let house = kept(folder.path(), store).await;
        let all = HarvestFigures {
            pages: u64::from(RECORDS.div_ceil(PAGE)),
            seen: u64::from(RECORDS),
            new: u64::from(RECORDS),
            ..HarvestFigures::default()
        };
        settled(&house, &ckan, &first, died, &all).await;
        change(&ckan);
        ckan.asked.lock().clear();
        house.clock.forward(TimeDelta::hours(2));
        let (source, _) = first.split_once(' ').unwrap();
        let turn = begun(&house, source).await;
        house.app.store.close().await;
        turn
    });
    let died = place.disturbed(&second);
    running.block_on(async {
        let house = kept(folder.path(), store).await;
        let left = RECORDS - GONE + ADDED;
        let changes = HarvestFigures {
            pages: u64::from(left.div_ceil(PAGE)),
            seen: u64::from(left),
            new: u64::from(ADDED),
            changed: u64::from(CHANGED),
            unchanged: u64::from(RECORDS - GONE - CHANGED),
            gone: u64::from(GONE),
            refused: 0,
        };
        settled(&house, &ckan, &second, died, &changes).await;
        // What went is out of sight and not forgotten; nothing was made a second time.
        assert_eq!(entries(&house).await, (RECORDS + ADDED) as usize);
        // A third turn finds nothing to do.
        let (source, _) = second.split_once(' ').unwrap();
        house.clock.forward(TimeDelta::hours(4));
        let third = begun(&house, source).await;
        worked(&house, &third).await;
        let (state, figures) = state(&house, &third).await;
        assert_eq!((state, figures.unchanged), (HarvestState::Done, u64::from(left)));
        assert_eq!((figures.new, figures.changed, figures.gone, figures.refused), (0, 0, 0, 0));
        house.app.store.close().await;
    });
}

#[test]
fn a_harvest_survives_its_deaths() {
    deaths("sqlite:");
}

#[test]
#[ignore = "takes minutes: cargo nextest run --workspace --run-ignored only -E 'test(a_harvest_survives)'"]
fn a_harvest_survives_its_deaths_on_postgres() {
    let cluster = Postgres::start();
    deaths(&cluster.database("store"));
}

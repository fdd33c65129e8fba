//! Questions of machines: first pages and exact totals of the large table, data sets found with facets, each answer compared with
//! what was filled in.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::chance;

use crate::made::{self, DISTRICTS, FLOW, GATES, OTHERS, SUBJECTS, Set};
use crate::tally::{Most, Tally};
use crate::{pages, pour};

/// Rows of a first page, as CKAN answers where nothing is said.
const PAGE: u64 = 100;
/// Questions of each kind.
const FIRST: u64 = 300;
const BY_GATE: u64 = 200;
const BY_DISTRICT: u64 = 20;
const SEARCHES: u64 = 300;
/// Limits, in milliseconds. CKAN tells 41 ms of a page of 13 million rows with its count kept, and 1.76 s without.
const ROWS_P50: f64 = 2.0;
const ROWS_P95: f64 = 50.0;
const UNKEPT: f64 = 1_760.0;
const SEARCH_P95: f64 = 10.0;
const FACETS: [&str; 6] =
    ["organization", "groups", "res_format", "region", "update_cycle", "open_type"];

/// The server that is asked, and what it was filled with.
pub(crate) struct Bench {
    pub(crate) folder: PathBuf,
    pub(crate) rows: u64,
    pub(crate) sets: u64,
    pub(crate) portal: String,
    pub(crate) gateway: String,
    /// The server's process.
    pub(crate) pid: u32,
    pub(crate) qiantang: PathBuf,
    pub(crate) client: reqwest::Client,
}

pub(crate) async fn run(bench: Bench) {
    let mut tally = Tally::default();
    rows(&bench, &mut tally).await;
    search(&bench, &mut tally).await;
    pages::measure(&bench, &mut tally).await;
    pour::csv(&bench, &mut tally).await;
    pour::xlsx(&bench, &mut tally).await;
    pages::after_changes(&bench, &mut tally).await;
    println!("{}", tally.end(bench.rows, bench.sets));
}

impl Bench {
    /// An action of CKAN's interface, and how long its answer took to the last byte.
    pub(crate) async fn action(&self, name: &str, query: &[(&str, &str)]) -> (Duration, Value) {
        let url = format!("{}/api/3/action/{name}", self.gateway);
        let begun = Instant::now();
        let answer = self.client.get(&url).query(query).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        let took = begun.elapsed();
        assert!(status.is_success(), "{name} {query:?}: {status}: {text}");
        let mut told: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(told["success"], true, "{name} {query:?}: {text}");
        (took, told["result"].take())
    }

    /// Downloads a file to its last byte, looking at each piece; how many bytes it has.
    pub(crate) async fn download(&self, url: &str, mut look: impl FnMut(&[u8])) -> u64 {
        let mut bytes = 0;
        let mut answer = self.client.get(url).send().await.unwrap().error_for_status().unwrap();
        while let Some(piece) = answer.chunk().await.unwrap() {
            bytes += piece.len() as u64;
            look(&piece);
        }
        bytes
    }

    /// A page of a table, its rows compared with those that were filled in.
    pub(crate) async fn page(&self, table: &str, filters: &str) -> (Duration, u64, Vec<u64>) {
        let limit = PAGE.to_string();
        let mut query = vec![("resource_id", table), ("limit", limit.as_str())];
        if !filters.is_empty() {
            query.push(("filters", filters));
        }
        let (took, told) = self.action("datastore_search", &query).await;
        let mut numbers = Vec::new();
        for record in told["records"].as_array().unwrap() {
            let row = record["id"].as_u64().unwrap() - 1;
            assert_eq!(record["gate"], made::gate_text(made::gate(row)), "{record}");
            assert_eq!(record["district"], made::district_text(made::district(row)), "{record}");
            numbers.push(row);
        }
        let distinct: HashSet<&u64> = numbers.iter().collect();
        assert_eq!(distinct.len(), numbers.len(), "a row is told once");
        assert_eq!(told["total_was_estimated"], false);
        (took, told["total"].as_u64().unwrap(), numbers)
    }
}

async fn rows(bench: &Bench, tally: &mut Tally) {
    let (mut gates, mut districts) = (vec![0_u64; GATES as usize], vec![0_u64; DISTRICTS as usize]);
    for row in 0..bench.rows {
        gates[made::gate(row) as usize] += 1;
        districts[made::district(row) as usize] += 1;
    }
    // Warms up what every question needs, not what these ask.
    bench.page(FLOW, r#"{"id":1}"#).await;
    let mut times = Vec::new();
    for _ in 0..FIRST {
        let (took, total, numbers) = bench.page(FLOW, "").await;
        assert_eq!((total, numbers.len() as u64), (bench.rows, PAGE.min(bench.rows)));
        times.push(took);
    }
    let most = Most::both(ROWS_P50, ROWS_P95);
    tally.times("first_page", "datastore_search, first page with total", &times, most);

    // Each twice: the first time it is counted, the second it is known.
    for (kept, name, what) in [
        (false, "indexed", "filtered by an indexed item, first asked"),
        (true, "indexed_again", "filtered by an indexed item, asked again"),
    ] {
        let mut times = Vec::new();
        for n in 0..BY_GATE {
            let gate = chance(n, 31) % GATES;
            let filters = format!(r#"{{"gate":"{}"}}"#, made::gate_text(gate));
            let (took, total, numbers) = bench.page(FLOW, &filters).await;
            assert_eq!(total, gates[gate as usize], "{filters}");
            assert_eq!(numbers.len() as u64, PAGE.min(total));
            assert!(numbers.iter().all(|row| made::gate(*row) == gate), "{filters}");
            times.push(took);
        }
        let most = if kept { most } else { Most::p95(ROWS_P95) };
        tally.times(name, what, &times, most);
    }
    for (name, what, most) in [
        ("unindexed", "filtered by an item without index, first asked", Most::p95(UNKEPT)),
        ("unindexed_again", "filtered by an item without index, asked again", Most::p95(ROWS_P95)),
    ] {
        let mut times = Vec::new();
        for n in 0..BY_DISTRICT {
            let district = n * 7 % DISTRICTS;
            let filters = format!(r#"{{"district":"{}"}}"#, made::district_text(district));
            let (took, total, numbers) = bench.page(FLOW, &filters).await;
            assert_eq!(total, districts[district as usize], "{filters}");
            assert!(numbers.iter().all(|row| made::district(*row) == district), "{filters}");
            times.push(took);
        }
        tally.times(name, what, &times, most);
    }
}

/// What a search must find: counts of each facet's values.
#[derive(Default)]
struct Wanted {
    count: u64,
    orgs: BTreeMap<String, u64>,
    domains: BTreeMap<String, u64>,
    regions: BTreeMap<String, u64>,
    cycles: BTreeMap<String, u64>,
}

impl Wanted {
    fn of(sets: &[Set], wanted: impl Fn(&Set) -> bool) -> Self {
        let mut found = Self::default();
        for set in sets.iter().filter(|set| wanted(set)) {
            found.count += 1;
            *found.orgs.entry(set.org()).or_default() += 1;
            *found.domains.entry(set.domain.as_str().to_owned()).or_default() += 1;
            // A city's sets are the province's, too.
            for region in [set.region(), "330000".to_owned()] {
                *found.regions.entry(region).or_default() += 1;
            }
            *found.cycles.entry(set.cycle.as_str().to_owned()).or_default() += 1;
        }
        found
    }

    fn check(&self, told: &Value, question: &[(&str, &str)]) {
        assert_eq!(told["count"].as_u64(), Some(self.count), "{question:?}");
        let facet = |name: &str| -> BTreeMap<String, u64> {
            let all = told["facets"][name].as_object().unwrap();
            all.iter().map(|(k, v)| (k.clone(), v.as_u64().unwrap())).collect()
        };
        assert_eq!(facet("organization"), self.orgs, "{question:?}");
        assert_eq!(facet("region"), self.regions, "{question:?}");
        assert_eq!(facet("update_cycle"), self.cycles, "{question:?}");
        let free = BTreeMap::from([("unconditional".to_owned(), self.count)]);
        assert_eq!(facet("open_type"), free, "{question:?}");
        // Groups have names of their own: what is compared is how many each holds.
        let sorted = |map: &BTreeMap<String, u64>| {
            let mut counts: Vec<u64> = map.values().copied().collect();
            counts.sort_unstable();
            counts
        };
        assert_eq!(sorted(&facet("groups")), sorted(&self.domains), "{question:?}");
    }
}

/// How many of the filled sets there are in all, by one question without words.
pub(crate) async fn whole(bench: &Bench) -> Duration {
    let (took, told) = bench.action("package_search", &[("q", "*:*"), ("rows", "0")]).await;
    assert_eq!(told["count"].as_u64(), Some(bench.sets + OTHERS));
    took
}

async fn search(bench: &Bench, tally: &mut Tally) {
    let sets: Vec<Set> = (0..bench.sets).map(Set::of).collect();
    let facets = serde_json::to_string(&FACETS).unwrap();
    whole(bench).await;
    let mut times = Vec::new();
    for n in 0..SEARCHES {
        let at = (chance(n, 41) % SUBJECTS.len() as u64) as usize;
        let city = (chance(n, 42) % made::CITIES.len() as u64) as usize;
        let region = format!("region:33{:02}00", city + 1);
        let cycle = Set::of(n).cycle;
        let cycled = format!("update_cycle:{}", cycle.as_str());
        let mut question =
            vec![("q", SUBJECTS[at]), ("rows", "20"), ("facet.field", facets.as_str())];
        // A word alone, within a region, within a cycle.
        let wanted = match n % 3 {
            0 => Wanted::of(&sets, |set| set.subject == at),
            1 => {
                question.push(("fq", region.as_str()));
                Wanted::of(&sets, |set| set.subject == at && set.city == city)
            }
            _ => {
                question.push(("fq", cycled.as_str()));
                Wanted::of(&sets, |set| set.subject == at && set.cycle == cycle)
            }
        };
        let (took, told) = bench.action("package_search", &question).await;
        if wanted.count > 0 {
            wanted.check(&told, &question);
        } else {
            assert_eq!(told["count"], 0, "{question:?}");
        }
        let shown = told["results"].as_array().unwrap().len() as u64;
        assert_eq!(shown, wanted.count.min(20), "{question:?}");
        times.push(took);
    }
    tally.times("search", "package_search with 6 facets", &times, Most::p95(SEARCH_P95));
}

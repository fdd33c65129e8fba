//! Pages as a browser fetches them (the HTML alone), and what comes right after data have changed.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::chance;

use crate::ask::{self, Bench};
use crate::made::{self, FLOW, HEADER, SMALL, SMALL_ROWS, SUBJECTS, Set};
use crate::tally::{Most, Tally};

/// Pages of data sets that are drawn; of ten one is that of the large table.
const SETS: u64 = 300;
const OTHERS: u64 = 60;
/// Changes after which the server is asked at once.
const CHANGES: u64 = 3;
/// Rows that each brings: so many that a filtered list has more than one page, and is counted.
const MORE: u64 = 400;
/// What is filtered by then.
const BUSY: u64 = 450;
/// Limits of the 95th percentile, in milliseconds.
const SET_P95: f64 = 20.0;
const PAGE_P95: f64 = 50.0;

impl Bench {
    async fn html(&self, path: &str, mark: &str) -> Duration {
        let url = format!("{}{path}", self.portal);
        let begun = Instant::now();
        let answer = self.client.get(&url).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        let took = begun.elapsed();
        assert!(status.is_success(), "{path}: {status}");
        assert!(text.contains(mark), "{path} should hold `{mark}`");
        took
    }
}

pub(crate) async fn measure(bench: &Bench, tally: &mut Tally) {
    let mut times = Vec::new();
    // The first page of all compiles templates.
    bench.html(&format!("/data/{FLOW}"), "卡口流向").await;
    for n in 0..SETS {
        let took = match n % 10 {
            0 => bench.html(&format!("/data/{FLOW}"), "卡口流向").await,
            _ => {
                let set = Set::of(chance(n, 51) % bench.sets);
                bench.html(&format!("/data/{}", set.code()), &set.title()).await
            }
        };
        times.push(took);
    }
    tally.times("set_page", "page of a data set", &times, Most::p95(SET_P95));

    let mut times = Vec::new();
    for _ in 0..OTHERS {
        times.push(bench.html("/", "figures").await);
    }
    tally.times("home", "home page", &times, Most::p95(PAGE_P95));

    let mut times = Vec::new();
    for n in 0..OTHERS {
        let subject = SUBJECTS[(n % SUBJECTS.len() as u64) as usize];
        let list = format!("/data?q={subject}");
        times.push(bench.html(&list, "facets").await);
    }
    tally.times("list", "page of a search", &times, Most::p95(PAGE_P95));

    let first = bench.html("/index", "departments").await;
    println!("{:<58} {:>12.2} ms  (told only)", "open index, never asked before", ms(first));
    tally.tell("index_first", json!({ "ms": ms(first), "sets": bench.sets }), false);
    let mut times = Vec::new();
    for _ in 0..OTHERS {
        times.push(bench.html("/index", "departments").await);
    }
    tally.times("index", "open index", &times, Most::p95(PAGE_P95));
}

fn ms(took: Duration) -> f64 {
    crate::tally::round(took.as_secs_f64() * 1000.0)
}

/// Data change while the server runs: facts are right at once, and nobody waits long for them.
pub(crate) async fn after_changes(bench: &Bench, tally: &mut Tally) {
    let (mut searched, mut indexed) = (Vec::new(), Vec::new());
    let (mut home, mut listed, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    for change in 1..=CHANGES {
        let rows = SMALL_ROWS + change * MORE;
        collect(bench, rows);
        searched.push(ask::whole(bench).await);
        indexed.push(bench.html("/index", "departments").await);
        home.push(bench.html("/", "figures").await);
        let (took, names) = bench.action("package_list", &[("limit", "10")]).await;
        assert_eq!(names.as_array().map(Vec::len), Some(10));
        listed.push(took);
        let (took, names) = bench.action("package_list", &[]).await;
        let told = names.as_array().map_or(0, |all| all.len() as u64);
        assert!(told >= bench.sets, "{told} names of {} sets", bench.sets);
        whole.push(took);
        let own = (0..rows).filter(|row| made::volume(*row) >= BUSY).count() as u64;
        let filters = format!(r#"{{"volume":{{"gte":{BUSY}}}}}"#);
        // Twice: as it is counted, and as it is known.
        for _ in 0..2 {
            let (_, total, _) = bench.page(SMALL, "").await;
            assert_eq!(total, rows, "the total is that of the data now");
            let (_, total, _) = bench.page(SMALL, &filters).await;
            assert_eq!(total, own, "the filtered total is that of the data now");
        }
    }
    for (name, what, times, most) in [
        ("search_changed", "package_search right after a change", &searched, Most::default()),
        ("home_changed", "home page right after a change", &home, Most::p95(PAGE_P95)),
        ("list_changed", "package_list right after a change", &listed, Most::p95(PAGE_P95)),
        ("list_whole", "package_list, all names in one answer", &whole, Most::default()),
    ] {
        tally.times(name, what, times, most);
    }
    tally.times("index_changed", "open index right after a change", &indexed, Most::p95(PAGE_P95));
}

/// Hands a file of so many rows to the running server, by the command line.
fn collect(bench: &Bench, rows: u64) {
    let file = bench.folder.join("..").join("small.csv");
    let mut text = HEADER.as_bytes().to_vec();
    (0..rows).for_each(|row| made::line(&mut text, row));
    std::fs::write(&file, text).unwrap();
    let done = std::process::Command::new(&bench.qiantang)
        .arg("ingest")
        .arg(&file)
        .args(["--entry", SMALL, "--json", "--as", "provider", "--data"])
        .arg(&bench.folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    let why = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}{why}");
}

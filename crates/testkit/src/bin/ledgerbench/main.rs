//! Measures the ledgers: search against SQLite FTS5 and PostgreSQL on the same corpus, one write made visible, pages of
//! a list, and recall on questions written by hand. Started by `cargo xtask bench`; the last line is one JSON object.
//!
//! `ledgerbench search FOLDER` (a data folder filled by `qiantang ledger fill`), `ledgerbench recall DATA QUESTIONS`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement for the terminal, which ends where something is wrong"
)]

mod peers;
mod questions;
mod recall;

use std::path::Path;
use std::time::{Duration, Instant};

use model::asset::{AssetFilter, Ledger};
use model::search::SearchQuery;
use questions::Question;
use serde_json::{Value, json};
use testkit::{House, megabytes, percentile};

/// As in the server.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn say(text: &str) {
    println!("{text}");
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["search", folder] => search(Path::new(folder)),
        ["recall", data, questions] => recall::run(Path::new(data), Path::new(questions)),
        _ => {
            say("usage: ledgerbench search FOLDER | recall DATA QUESTIONS");
            std::process::exit(2);
        }
    }
}

fn figures(name: &str, times: &[Duration]) -> Value {
    let (p50, p95) = (percentile(times, 0.5), percentile(times, 0.95));
    say(&format!("{name:<28} p50 {p50:>9.2} ms  p95 {p95:>9.2} ms  ({} questions)", times.len()));
    json!({ "p50_ms": p50, "p95_ms": p95 })
}

fn search(folder: &Path) {
    let control = folder.join("store").join("control.db");
    assert!(control.is_file(), "{} holds no filled data folder", folder.display());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let questions = questions::make(&control);
    say(&format!("{} questions, {} kinds", questions.len(), questions::KINDS.len()));
    let house = runtime.block_on(House::at(folder));
    let documents = house.app.search.count().unwrap();
    say(&format!("{documents} documents in the index"));

    // A warm-up that asks other questions, then each question once.
    for word in ["预热", "yure", "信息"] {
        ask(&house, &Question::of("single", word), true).unwrap();
    }
    // Without facets first: the counts that are kept for a question are then not there for the other.
    let bare: Vec<Duration> = questions.iter().map(|q| ask(&house, q, false).unwrap()).collect();
    let ours: Vec<Duration> = questions.iter().map(|q| ask(&house, q, true).unwrap()).collect();
    let mut out = json!({ "documents": documents, "questions": questions.len() });
    out["qiantang"] = figures("qiantang, ten facets", &ours);
    out["qiantang_bare"] = figures("qiantang, no facets", &bare);
    for kind in questions::KINDS {
        let own: Vec<Duration> =
            questions.iter().zip(&ours).filter(|(q, _)| q.kind == *kind).map(|(_, t)| *t).collect();
        out["kinds"][*kind] = figures(&format!("  {kind}"), &own);
    }
    let mut slowest: Vec<(&Question, &Duration)> = questions.iter().zip(&ours).collect();
    slowest.sort_by_key(|(_, took)| std::cmp::Reverse(**took));
    for (q, took) in slowest.iter().take(5) {
        say(&format!(
            "  slow: {:.1} ms {} `{}` {:?}",
            took.as_secs_f64() * 1000.0,
            q.kind,
            q.text,
            q.filters
        ));
    }
    out["write"] = write(&runtime, &house);
    out["pages"] = pages(&runtime, &house);
    out["peak_mb"] = json!(megabytes(std::process::id(), "VmHWM:"));

    let lite = peers::Lite::build(&control, folder);
    for (name, label, facets) in
        [("fts5", "SQLite FTS5, five facets", true), ("fts5_bare", "SQLite FTS5, no facets", false)]
    {
        let times: Vec<Duration> = questions.iter().map(|q| lite.ask(q, facets)).collect();
        out[name] = figures(label, &times);
    }
    drop(lite);
    let cluster = testkit::Postgres::start();
    let url = cluster.database("ledger");
    let times = runtime.block_on(peers::postgres(&control, &url, &questions));
    out["postgres"] = figures("PostgreSQL, five facets", &times.0);
    out["postgres_bare"] = figures("PostgreSQL, no facets", &times.1);

    let p95 = |name: &str| out[name]["p95_ms"].as_f64().unwrap();
    let (own, peer) = (p95("qiantang"), p95("fts5").min(p95("postgres")));
    let ratio = peer / own;
    let pages = out["pages"]["ratio"].as_f64().unwrap();
    let write = out["write"]["p95_ms"].as_f64().unwrap();
    let bare = p95("fts5_bare").min(p95("postgres_bare")) / p95("qiantang_bare");
    out["times_faster_at_p95"] = json!(ratio);
    out["times_faster_at_p95_bare"] = json!(bare);
    say(&format!("times faster than the better one at p95: {ratio:.1}; no facets: {bare:.1}"));
    let pass = own < 20.0 && ratio >= 5.0 && write < 50.0 && (0.8..=1.2).contains(&pages);
    out["pass"] = json!(pass);
    say(&out.to_string());
}

/// One question, timed: a page, the total, and the counts of all facets when wanted.
fn ask(house: &House, q: &Question, facets: bool) -> model::Result<Duration> {
    let mut query = SearchQuery {
        text: q.text.clone(),
        filters: q.filters.clone(),
        audience: vec!["public".into(), "staff".into(), "all".into()],
        limit: 20,
        ..SearchQuery::default()
    };
    if !facets {
        query.facets = Some(Vec::new());
    }
    if q.depth == 0 {
        let start = Instant::now();
        house.app.search.search(&query)?;
        return Ok(start.elapsed());
    }
    // A deep page is reached by position, page after page, as a person or program would; only the last is timed.
    let mut took = Duration::ZERO;
    for _ in 0..=q.depth {
        let start = Instant::now();
        let page = house.app.search.search(&query)?;
        took = start.elapsed();
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    Ok(took)
}

/// One write through the room, and the search that finds it, in one measured stretch.
fn write(runtime: &tokio::runtime::Runtime, house: &House) -> Value {
    let (times, searches): (Vec<Duration>, Vec<Duration>) = runtime.block_on(async {
        let mut times = Vec::new();
        let filter =
            AssetFilter { ledger: Some(Ledger::Cloud), limit: 1, ..AssetFilter::default() };
        for n in 0..60 {
            let authority = house.person("authority").await;
            let page = app::ledger::list(&house.app, &authority, &filter).await.unwrap();
            let asset = &page.items[0];
            let mut draft = asset.draft.clone();
            draft.name = format!("测量写入第{n}次");
            let start = Instant::now();
            app::ledger::edit(&house.app, &authority, &asset.id, draft.clone(), asset.version)
                .await
                .unwrap();
            let written = start.elapsed();
            let query =
                SearchQuery { text: draft.name.clone(), limit: 5, ..SearchQuery::default() };
            let found = app::ledger::search(&house.app, &authority, query).await.unwrap();
            times.push((start.elapsed(), start.elapsed() - written));
            assert!(found.hits.iter().any(|h| h.doc.title == draft.name), "read your writes");
        }
        times.into_iter().unzip()
    });
    figures("  the search after a write", &searches);
    figures("one write, seen", &times)
}

/// Page 1 and page 10,000 of the list of entries.
fn pages(runtime: &tokio::runtime::Runtime, house: &House) -> Value {
    let limit = 20_u32;
    runtime.block_on(async {
        let store = &house.app.store;
        let entries = store.entry_count().await.unwrap();
        let page = 10_000.min(entries / u64::from(limit)).max(1);
        // The position of the page, found once by walking the ids.
        let mut filter = model::entry::EntryFilter { limit: 1000, ..Default::default() };
        let mut left = (page - 1) * u64::from(limit);
        while left > 0 {
            filter.limit = u32::try_from(left.min(1000)).unwrap();
            let found = store.entry_list(&filter, &store::entry::EntryScope::All).await.unwrap();
            left -= u64::try_from(found.len()).unwrap();
            filter.after = found.last().map(|e| e.id.clone());
        }
        let mut medians = Vec::new();
        for after in [None, filter.after.clone()] {
            let ask = model::entry::EntryFilter { limit, after, ..Default::default() };
            let mut times = Vec::new();
            for _ in 0..60 {
                let start = Instant::now();
                store.entry_list(&ask, &store::entry::EntryScope::All).await.unwrap();
                times.push(start.elapsed());
            }
            medians.push(percentile(&times, 0.5));
        }
        let ratio = medians[1] / medians[0];
        say(&format!(
            "list: page 1 {:.2} ms, page {page} {:.2} ms, ratio {ratio:.2}",
            medians[0], medians[1]
        ));
        json!({ "page": page, "first_ms": medians[0], "deep_ms": medians[1], "ratio": ratio })
    })
}

//! kill -9 while a county types and while a submission is accepted: no draft that was told to be saved is lost, and
//! accepted rows are in the lake exactly once.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use app::report::{self, Typed};
use model::report::{Every, Landing, TaskState};
use testkit::{CITY_ORG, COUNTY_ORG, House};

use crate::reporting::*;

const FOLDER: &str = "QIANTANG_TEST_REPORT_DYING_IN";
const TASK: &str = "QIANTANG_TEST_REPORT_DYING_TASK";
const DEED: &str = "QIANTANG_TEST_REPORT_DYING_DEED";
/// Rows of the submission that is accepted.
const ROWS: usize = 400;

/// Not a test: the process that is killed.
#[test]
#[ignore = "run by kill_9_loses_no_draft_and_lands_once only"]
#[expect(clippy::disallowed_methods, reason = "the parent says by the environment what to do")]
fn dying() {
    let (Ok(folder), Ok(task), Ok(deed)) =
        (std::env::var(FOLDER), std::env::var(TASK), std::env::var(DEED))
    else {
        return;
    };
    runtime().block_on(async {
        let house = House::at(Path::new(&folder)).await;
        println!("READY");
        if deed == "accept" {
            let city = house.person("city").await;
            report::accept(&house.app, &city, &task).await.unwrap();
            println!("DONE");
            return;
        }
        let county = house.person("county").await;
        let form = report::task(&house.app, &county, &task).await.unwrap().form;
        for n in 1..10_000_u64 {
            let seen = now(&house, &county, &task).await.version;
            let add = Typed { add: 1, ..Typed::default() };
            let saved = report::save_draft(&house.app, &county, &task, seen, add).await.unwrap();
            let text = n.to_string();
            let cells = typed(&form, &[(n, "firms", &text), (n, "note", "记")], 0);
            report::save_draft(&house.app, &county, &task, saved.task.version, cells)
                .await
                .unwrap();
            println!("SAVED {n}");
        }
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

/// Runs a deed and kills it when so many saves are told, or so long after it is ready; answers the last save told.
#[expect(clippy::disallowed_methods, reason = "a process is needed to be killed")]
fn kill(folder: &Path, task: &str, deed: &str, saves: u64, after: Duration) -> (u64, bool) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["reportkill::dying", "--exact", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env(TASK, task)
        .env(DEED, deed)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let output = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        output.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)).ok();
    });
    assert!(told.iter().any(|line| line.contains("READY")), "the dying process never got ready");
    let (start, mut last, mut done) = (Instant::now(), 0, false);
    while last < saves && !done && start.elapsed() < after {
        let Ok(line) = told.recv_timeout(after.saturating_sub(start.elapsed())) else { break };
        if let Some(n) = line.split("SAVED ").nth(1) {
            last = n.trim().parse().unwrap();
        }
        done = line.contains("DONE");
    }
    let _ended_already = child.kill();
    child.wait().unwrap();
    for line in told.try_iter() {
        if let Some(n) = line.split("SAVED ").nth(1) {
            last = n.trim().parse().unwrap();
        }
    }
    reader.join().unwrap();
    (last, done)
}

#[test]
fn kill_9_loses_no_draft_and_lands_once() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("house");
    std::fs::create_dir_all(&folder).unwrap();
    let (low, top) = runtime().block_on(async {
        let house = House::at(&folder).await;
        tree(&house).await;
        let entry = house.publish(firms("sd")).await;
        let mut form = form(&house, &entry).await;
        // Four hundred kinds, so that a landing takes its time.
        for field in form.fields.iter_mut().filter(|f| f.item.identifier == "kind") {
            field.codes.clear();
        }
        form.total_by.clear();
        let (_, tasks) = issued(&house, &entry, form, Every::Month).await;
        house.app.store.close().await;
        (of(&tasks, COUNTY_ORG).id.clone(), of(&tasks, CITY_ORG).id.clone())
    });
    let (saved, _) = kill(&folder, &low, "type", 12, Duration::from_secs(60));
    assert!(saved >= 12, "{saved}");
    runtime().block_on(async {
        let house = House::at(&folder).await;
        let county = house.person("county").await;
        let page = report::rows(&house.app, &county, &low, None, 1).await.unwrap();
        assert!(page.count >= saved, "{} rows of {saved} saves", page.count);
        let form = report::task(&house.app, &county, &low).await.unwrap().form;
        let place = form.draft.place("firms").unwrap();
        for (n, cells) in page.rows.iter().filter(|(n, _)| *n <= saved) {
            assert_eq!(cells[place].as_deref(), Some(n.to_string().as_str()));
        }
        let rows: Vec<Vec<String>> =
            (0..ROWS).map(|n| vec!["01".into(), format!("#{n}"), format!("#{n}")]).collect();
        let rows: Vec<Vec<&str>> =
            rows.iter().map(|r| r.iter().map(String::as_str).collect()).collect();
        let codes = ["kind", "firms", "amount", "uscc", "note"];
        let seen = now(&house, &county, &low).await.version;
        // One key for all of them is refused, each its own is taken.
        let same = file(&workbook(&codes, &rows, &[("day", "2026-02-28")]));
        let twice =
            report::import(&house.app, &county, &low, seen, same.path(), false).await.unwrap();
        assert_eq!((twice.saved, twice.fault_count > ROWS / 2), (false, true));
        house.app.store.close().await;
    });
    let _ = top;
    accepted_once(&folder, &low);
}

/// Accepts at several moments; after each the report is in the lake whole or not at all, and at last exactly once.
fn accepted_once(folder: &Path, low: &str) {
    runtime().block_on(async {
        let house = House::at(folder).await;
        let county = house.person("county").await;
        fill(&house, &county, low, &[("01", "1", "1"), ("02", "2", "2"), ("03", "3", "3")]).await;
        let task = now(&house, &county, low).await;
        let done = report::submit(&house.app, &county, low, task.version, &[]).await.unwrap();
        assert!(done.submitted, "{:?}", done.faults);
        house.app.store.close().await;
    });
    for moment in [3_u64, 20, 60, 120, 250, 400] {
        kill(folder, low, "accept", 1, Duration::from_millis(moment));
        runtime().block_on(async {
            let house = House::at(folder).await;
            let city = house.person("city").await;
            // Leases of the process that died are over.
            house.clock.forward(chrono::TimeDelta::hours(1));
            app::collection::recover(&house.app).await.unwrap();
            report::tick(&house.app, &model::Op::system(house.app.now())).await.unwrap();
            let task = now(&house, &city, low).await;
            let rows = lake(&house, "sd").await.len();
            match task.state {
                TaskState::Submitted => assert_eq!(rows, 0, "{moment} ms"),
                _ => {
                    assert_eq!((task.state, task.landing), (TaskState::Accepted, Landing::Done));
                    assert_eq!(rows, 3, "{moment} ms");
                    report::give_back(&house.app, &city, low, "再试").await.unwrap();
                    let county = house.person("county").await;
                    let n = moment.to_string();
                    let set = [("01", n.as_str(), "1"), ("02", "2", n.as_str()), ("03", "3", "3")];
                    let task = fill(&house, &county, low, &set).await;
                    report::submit(&house.app, &county, low, task.version, &[]).await.unwrap();
                }
            }
            house.app.store.close().await;
        });
    }
    runtime().block_on(async {
        let house = House::at(folder).await;
        let city = house.person("city").await;
        if now(&house, &city, low).await.state == TaskState::Submitted {
            report::accept(&house.app, &city, low).await.unwrap();
        }
        assert_eq!(lake(&house, "sd").await.len(), 3);
        let reported: Vec<_> = house.app.lake.versions("sd").await.unwrap();
        let mut parcels: Vec<&str> =
            reported.iter().map(|v| v.parcel.as_str()).filter(|p| !p.is_empty()).collect();
        let all = parcels.len();
        parcels.sort_unstable();
        parcels.dedup();
        assert_eq!(parcels.len(), all, "a parcel landed twice");
    });
}

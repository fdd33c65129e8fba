//! *exactly-once*, failures in the middle, what is left behind, several at once, sizes.

use std::sync::Arc;
use std::time::SystemTime;

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt, stream};
use model::batch::{Batch, Column, Operation::Insert, TextColumn};
use model::code::{DataType, SyncMode};
use model::value::Value;
use model::{Code, Error};

use super::entries::{
    House, entry, flow, house, item, key, op_at, open, parcel, people, person, target,
};

#[tokio::test]
async fn a_parcel_lands_once() {
    let house = house();
    let batch = people(&[("1", "甲", Insert), ("2", "乙", Insert)]);
    let first = house.land(0, &person(), "p1", SyncMode::Full, vec![batch.clone()]).await.unwrap();
    assert_eq!((first.version, first.rows, first.repeated), (0, 2, false));

    // The second stream is never looked at: it would fail.
    let poison = stream::once(async { Err(Error::internal("must not be read")) }).boxed();
    let head = parcel("p1", SyncMode::Full);
    let again = house.lake.land_parcel(&op_at(1), &head, &target(&person()), poison).await.unwrap();
    assert_eq!((again.version, again.rows, again.repeated), (0, 2, true));

    // And so after a restart, with other parcels above it.
    let reopened = House { lake: open(&house.folder), folder: house.folder };
    for n in 2..5 {
        reopened
            .land(n, &person(), &format!("p{n}"), SyncMode::Incremental, vec![batch.clone()])
            .await
            .unwrap();
    }
    let landed = reopened.lake.find_landed("person", "p1").await.unwrap().unwrap();
    assert_eq!((landed.version, landed.rows, landed.repeated), (0, 2, true));
    assert_eq!(reopened.lake.find_landed("person", "px").await.unwrap(), None);
    assert_eq!(reopened.lake.find_landed("nothing", "p1").await.unwrap(), None);
    assert_eq!(reopened.lake.list_versions("person").await.unwrap().len(), 4);
}

#[tokio::test]
async fn the_position_of_a_track_stands_with_its_rows() {
    let house = house();
    let land = async |n: i64, id: &str, position: Option<&str>| {
        let track =
            position.map(|p| model::parcel::Track { name: "rail-1".into(), position: p.into() });
        let head = model::parcel::ParcelHead { track, ..parcel(id, SyncMode::Incremental) };
        let rows = stream::iter([Ok(people(&[("1", "甲", Insert)]))]).boxed();
        house.lake.land_parcel(&op_at(n), &head, &target(&person()), rows).await.unwrap()
    };
    assert_eq!(house.lake.find_position("person", "rail-1").await.unwrap(), None);
    land(0, "p1", Some("A.1")).await;
    land(1, "p2", Some("A.2")).await;
    // Another channel's parcel in between moves nothing.
    land(2, "p3", None).await;
    assert_eq!(house.lake.find_position("person", "rail-1").await.unwrap().as_deref(), Some("A.2"));
    assert_eq!(house.lake.find_position("person", "rail-2").await.unwrap(), None);
    // A parcel handed in again does not take the position back.
    assert!(land(3, "p1", Some("A.1")).await.repeated);
    let reopened = open(&house.folder);
    assert_eq!(reopened.find_position("person", "rail-1").await.unwrap().as_deref(), Some("A.2"));
    // Beyond a checkpoint of the log, too: `merging::more_commits_than_a_checkpoint_holds`.
}

#[tokio::test]
async fn a_failing_stream_leaves_nothing() {
    let house = house();
    let broken = || {
        let good = people(&[("1", "甲", Insert)]);
        let parts = vec![Ok(good), Err(Error::invalid("第 2 行有误", "line 2 is wrong"))];
        stream::iter(parts).boxed()
    };
    let head = parcel("p1", SyncMode::Full);
    let error =
        house.lake.land_parcel(&op_at(0), &head, &target(&person()), broken()).await.unwrap_err();
    assert_eq!(error.en(), "line 2 is wrong");
    assert_eq!(house.lake.count_rows("person").await.unwrap(), 0);
    settled(&house, "person", 0).await;

    // The same on a table that holds something, which stays as it was.
    house
        .land(1, &person(), "p0", SyncMode::Full, vec![people(&[("9", "旧", Insert)])])
        .await
        .unwrap();
    house.lake.land_parcel(&op_at(2), &head, &target(&person()), broken()).await.unwrap_err();
    assert_eq!(house.people(None).await, ["9 旧"]);
    settled(&house, "person", 1).await;

    // And the parcel can land later.
    let batch = people(&[("1", "甲", Insert)]);
    let landing = house.land(3, &person(), "p1", SyncMode::Full, vec![batch]).await.unwrap();
    assert!(!landing.repeated);
    assert_eq!(house.people(None).await, ["1 甲"]);
}

/// Waits until the folder holds `files` data files (an aborted upload is removed in the background).
async fn settled(house: &House, code: &str, files: usize) {
    for _ in 0..200 {
        if house.files(code).len() == files {
            return;
        }
        tokio::task::yield_now().await;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("left behind: {:?}", house.files(code));
}

#[tokio::test]
async fn a_dropped_landing_leaves_nothing_visible_and_the_sweep_clears_up() {
    let house = house();
    let batch = people(&[("1", "甲", Insert)]);
    house.land(0, &person(), "p0", SyncMode::Full, vec![batch.clone()]).await.unwrap();
    let endless = stream::iter(vec![Ok(batch.clone())]).chain(stream::pending()).boxed();
    let head = parcel("p1", SyncMode::Full);
    let (op, target) = (op_at(1), target(&person()));
    let landing = house.lake.land_parcel(&op, &head, &target, endless);
    tokio::time::timeout(std::time::Duration::from_millis(300), landing).await.unwrap_err();
    assert_eq!(house.people(None).await, ["1 甲"]);

    // What a killed process leaves: a complete file without a commit, and an unfinished upload.
    let folder = house.folder.path().join("lake/person");
    let kept = house.files("person").into_iter().find(|f| f.starts_with("p0.")).unwrap();
    std::fs::copy(folder.join(&kept), folder.join("p1.0123.000000.parquet")).unwrap();
    std::fs::write(folder.join("p1.0123.000001.parquet#1"), "half").unwrap();
    std::fs::write(folder.join("notes.txt"), "not ours").unwrap();

    let now = DateTime::<Utc>::from(file_time(&folder.join("notes.txt")));
    let early = now - TimeDelta::hours(1);
    assert_eq!(house.lake.sweep_table("person", early).await.unwrap(), 0);
    house.lake.sweep_table("person", now + TimeDelta::seconds(1)).await.unwrap();
    assert_eq!(house.files("person"), ["notes.txt", kept.as_str()]);
    assert_eq!(house.people(None).await, ["1 甲"]);
}

fn file_time(path: &std::path::Path) -> SystemTime {
    std::fs::metadata(path).unwrap().modified().unwrap()
}

#[tokio::test]
async fn the_sweep_keeps_files_of_earlier_versions() {
    let house = house();
    for n in 0..3 {
        let batch = people(&[("1", &format!("名{n}"), Insert)]);
        house.land(n, &person(), &format!("p{n}"), SyncMode::Full, vec![batch]).await.unwrap();
    }
    let far = op_at(0).at + TimeDelta::days(100_000);
    assert_eq!(house.lake.sweep_table("person", far).await.unwrap(), 0);
    assert_eq!(house.people(Some(0)).await, ["1 名0"]);
    assert_eq!(house.people(None).await, ["1 名2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn landings_into_one_table_wait_for_each_other() {
    let house = Arc::new(house());
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let house = Arc::clone(&house);
            tokio::spawn(async move {
                let key = format!("k{n}");
                let batch = people(&[(&key, "名", Insert)]);
                let id = format!("p{}", n % 4);
                house.land(n, &person(), &id, SyncMode::Incremental, vec![batch]).await.unwrap()
            })
        })
        .collect();
    let mut repeated = 0;
    for task in tasks {
        repeated += usize::from(task.await.unwrap().repeated);
    }
    assert_eq!(repeated, 4);
    assert_eq!(house.lake.count_rows("person").await.unwrap(), 4);
    let mut ids = house.rows("person", None, &["dsc_biz_record_id"]).await;
    ids.dedup();
    assert_eq!(ids, (1..5).map(|n| vec![Value::Integer(n)]).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_cannot_land_over_each_other() {
    let house = house();
    let other = House { lake: open(&house.folder), folder: tempfile::tempdir().unwrap() };
    house
        .land(0, &person(), "p0", SyncMode::Full, vec![people(&[("1", "甲", Insert)])])
        .await
        .unwrap();

    // The other process begins, then ours commits first.
    let (go, wait) = tokio::sync::oneshot::channel::<()>();
    let slow = stream::once(async move {
        wait.await.unwrap();
        Ok(people(&[("3", "丙", Insert)]))
    });
    let theirs = tokio::spawn(async move {
        let head = parcel("p2", SyncMode::Incremental);
        let result =
            other.lake.land_parcel(&op_at(1), &head, &target(&person()), slow.boxed()).await;
        (result, other)
    });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let batch = people(&[("2", "乙", Insert)]);
    house.land(2, &person(), "p1", SyncMode::Incremental, vec![batch]).await.unwrap();
    go.send(()).unwrap();
    let (result, other) = theirs.await.unwrap();
    assert_eq!(result.unwrap_err().code(), Code::Stale);
    assert_eq!(house.people(None).await, ["1 甲", "2 乙"]);

    // Trying again succeeds, and both see it.
    let batch = people(&[("3", "丙", Insert)]);
    other.land(3, &person(), "p2", SyncMode::Incremental, vec![batch]).await.unwrap();
    assert_eq!(house.people(None).await, ["1 甲", "2 乙", "3 丙"]);
    assert_eq!(house.files("person").len(), 3);
}

#[tokio::test]
async fn names_that_would_leave_the_folder_are_refused() {
    let house = house();
    let wrong = entry("../x", vec![item("a", DataType::Text)]);
    let error = house.land(0, &wrong, "p", SyncMode::Full, vec![]).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidInput);
    let error = house.land(0, &person(), "../p", SyncMode::Full, vec![]).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidInput);
}

#[tokio::test]
async fn system_columns_say_where_rows_come_from() {
    let house = house();
    let batch = people(&[("1", "甲", Insert), ("2", "乙", Insert)]);
    house.land(0, &person(), "p1", SyncMode::Full, vec![batch]).await.unwrap();
    let columns = [
        "dsc_city",
        "dsc_adm_region",
        "dsc_sydep_code",
        "dsc_sydep_name",
        "dsc_sydep_sys",
        "dsc_sydep_tblname",
        "dsc_biz_record_id",
        "dsc_biz_operation",
        "dsc_biz_timestamp",
        "dsc_datasr_tblname",
        "dsc_hash_unique",
        "dsc_clean_timestamp",
        "dsc_dw_rksj",
        "dsc_parcel",
        "dsc_record",
    ];
    let rows = house.rows("person", None, &columns).await;
    let said: Vec<String> = rows[0].iter().map(|v| v.to_text().unwrap_or_default()).collect();
    assert_eq!(
        said,
        [
            "330100",
            "330106",
            "91330100799655058B",
            "市公安局",
            "人口库",
            "p1.csv",
            "1",
            "I",
            "2026-03-01T08:00:00",
            "person",
            "c4ca4238a0b923820dcc509a6f75849b",
            "2026-03-01T08:00:00",
            "2026-03-01T08:00:00",
            "p1",
            "1",
        ]
    );
}

/// `count` rows of (id, name, score) in batches of 50,000, made as they are pulled.
fn many(count: u64) -> futures::stream::BoxStream<'static, model::Result<Batch>> {
    const STEP: u64 = 50_000;
    stream::iter((0..count).step_by(STEP as usize))
        .map(move |from| {
            let to = (from + STEP).min(count);
            let mut names = TextColumn::with_capacity(STEP as usize);
            (from..to).for_each(|n| names.push(Some(&format!("name {}", n % 997))));
            Ok(Batch {
                columns: vec![
                    Column::Integer((from..to).map(|n| Some(n as i64)).collect()),
                    Column::Text(names),
                    Column::Float((from..to).map(|n| Some(n as f64 / 7.0)).collect()),
                ],
                records: (from + 1..=to).collect(),
                operations: Vec::new(),
            })
        })
        .boxed()
}

fn big() -> model::entry::Entry {
    entry(
        "big",
        vec![
            key("id", DataType::Integer),
            item("name", DataType::Text),
            item("score", DataType::Float),
        ],
    )
}

#[tokio::test]
async fn many_rows_land_and_are_counted_without_reading_them() {
    let house = house();
    let head = parcel("p1", SyncMode::Full);
    let landing =
        house.lake.land_parcel(&op_at(0), &head, &target(&big()), many(120_000)).await.unwrap();
    assert_eq!(landing.rows, 120_000);
    assert_eq!(house.lake.count_rows("big").await.unwrap(), 120_000);
    let replayed = house.replay(&big(), "p1").await.unwrap();
    let records: Vec<u64> = replayed.iter().flat_map(|b| b.records.clone()).collect();
    assert!(records.iter().copied().eq(1..=120_000), "replay keeps the order");

    // Merging the change of one row into them.
    let one = Batch {
        columns: vec![
            Column::Integer(vec![Some(5), Some(6)]),
            super::entries::texts(&[Some("new"), None]),
            Column::Float(vec![None, None]),
        ],
        records: vec![1, 2],
        operations: vec![model::batch::Operation::Update, model::batch::Operation::Delete],
    };
    house.land(1, &big(), "p2", SyncMode::Incremental, vec![one]).await.unwrap();
    assert_eq!(house.lake.count_rows("big").await.unwrap(), 119_999);
}

/// Peak memory of this process so far, in MB.
fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::test]
#[ignore = "two million rows: run by hand or nightly"]
async fn two_million_rows_stay_small_in_memory() {
    let house = house();
    let head = parcel("p1", SyncMode::Full);
    let rows = 2_000_000;
    let began = std::time::Instant::now();
    house.lake.land_parcel(&op_at(0), &head, &target(&big()), many(rows)).await.unwrap();
    println!("{rows} rows in {:?}, peak {} MB", began.elapsed(), peak_mb());
    assert!(peak_mb() < 600, "{} MB", peak_mb());
    assert_eq!(house.lake.count_rows("big").await.unwrap(), rows);
    let mut replay = house.lake.replay_parcel(&big(), "p1").await.unwrap();
    let mut seen = 0;
    while let Some(batch) = replay.next().await {
        seen += batch.unwrap().rows() as u64;
    }
    assert_eq!(seen, rows);
    assert!(peak_mb() < 700, "{} MB", peak_mb());
    drop(flow(Vec::new()));
}

//! Compaction: what is seen, earlier versions, parcels and what is known of keys stay as they were.

use chrono::TimeDelta;
use futures::StreamExt;
use model::Code;
use model::batch::Operation::{Delete, Insert, Update};
use model::code::{DataType, SyncMode};
use model::value::Value;
use policy::port::Lake;

use super::entries::{
    House, entry, flow, house, item, op_at, open, parcel, people, person, target,
};

/// `count` increments after minute 0: each updates `a`, adds a person of its own, and the last deletes `b`.
async fn increments(house: &House, from: i64, count: i64) {
    for n in from..from + count {
        let own = format!("k{n:03}");
        let mut rows = vec![("a", "新", Update), (own.as_str(), "人", Insert)];
        if n + 1 == from + count {
            rows.push(("b", "", Delete));
        }
        let id = format!("p{n}");
        house.land(n, &person(), &id, SyncMode::Incremental, vec![people(&rows)]).await.unwrap();
    }
}

async fn active(house: &House) -> usize {
    let table = house.lake.table("person").await.unwrap().unwrap();
    crate::table::Loaded::of(&table).unwrap().files().unwrap().len()
}

#[tokio::test]
async fn many_small_increments_become_one_file_and_nobody_sees_it() {
    let house = house();
    let base = people(&[("a", "甲", Insert), ("b", "乙", Insert), ("c", "丙", Insert)]);
    house.land(0, &person(), "base", SyncMode::Full, vec![base]).await.unwrap();
    increments(&house, 1, 10).await;
    assert_eq!(house.lake.compact_table(&op_at(20), "person").await.unwrap(), None, "too few");
    increments(&house, 11, 20).await;
    let before = house.people(None).await;
    let versions = house.lake.list_versions("person").await.unwrap();
    let layout = async |house: &House| Lake::layout(&house.lake, "person").await.unwrap().unwrap();
    let lies = layout(&house).await;
    assert_eq!(layout(&house).await, lies);

    let done = house.lake.compact_table(&op_at(50), "person").await.unwrap().unwrap();
    assert_eq!((done.files_before, done.files_after, done.version), (31, 1, 31));
    assert_eq!(done.rows, before.len() as u64);
    assert_eq!(active(&house).await, 1);
    assert_ne!(layout(&house).await, lies, "the same rows, perhaps in another order");
    assert_eq!(Lake::layout(&house.lake, "nothing").await.unwrap(), None);
    assert_eq!(house.people(None).await, before);
    assert_eq!(house.lake.count_rows("person").await.unwrap(), before.len() as u64);
    assert_eq!(house.lake.compact_table(&op_at(51), "person").await.unwrap(), None, "once");

    // No version of the data; earlier ones read as they did, parcels replay as they landed, and land once.
    let reopened = House { lake: open(&house.folder), folder: house.folder };
    assert_eq!(reopened.lake.list_versions("person").await.unwrap(), versions);
    assert_eq!(reopened.people(Some(0)).await, ["a 甲", "b 乙", "c 丙"]);
    assert_eq!(reopened.people(Some(1)).await, ["a 新", "b 乙", "c 丙", "k001 人"]);
    assert_eq!(reopened.people(Some(30)).await, before);
    let replayed = reopened.replay(&person(), "p30").await.unwrap();
    assert_eq!(replayed.iter().map(model::batch::Batch::rows).sum::<usize>(), 3);
    let again = reopened
        .land(60, &person(), "p7", SyncMode::Incremental, vec![people(&[("z", "", Insert)])])
        .await
        .unwrap();
    assert!(again.repeated, "a parcel of before the compaction is still known");
    let far = op_at(0).at + TimeDelta::days(100_000);
    assert_eq!(reopened.lake.sweep_table("person", far).await.unwrap(), 0, "every file is named");

    // Life goes on: increments over the new base, another compaction, a full parcel.
    increments(&reopened, 100, 3).await;
    assert!(reopened.people(None).await.contains(&"k101 人".to_owned()));
    let ids = reopened.rows("person", None, &["dsc_biz_record_id"]).await;
    let mut seen = ids.clone();
    seen.dedup();
    assert_eq!(ids.len(), seen.len(), "record ids stay unique");
    increments(&reopened, 200, 30).await;
    let before = reopened.people(None).await;
    reopened.lake.compact_table(&op_at(300), "person").await.unwrap().unwrap();
    assert_eq!(reopened.people(None).await, before);
    let full = vec![people(&[("x", "末", Insert)])];
    reopened.land(400, &person(), "full", SyncMode::Full, full).await.unwrap();
    assert_eq!(reopened.people(None).await, ["x 末"]);
    assert_eq!(reopened.people(Some(0)).await, ["a 甲", "b 乙", "c 丙"]);
}

#[tokio::test]
async fn few_changes_over_a_large_base_leave_the_base_alone() {
    let house = house();
    let names: Vec<String> = (0..2_000).map(|n| format!("n{n:04}")).collect();
    let rows: Vec<_> = names.iter().map(|n| (n.as_str(), "旧", Insert)).collect();
    house.land(0, &person(), "base", SyncMode::Full, vec![people(&rows)]).await.unwrap();
    for n in 1..=30 {
        let name = names[n as usize].as_str();
        let rows =
            people(&[(name, "新", Update), ("n0000", "", if n == 30 { Delete } else { Update })]);
        let id = format!("p{n}");
        house.land(n, &person(), &id, SyncMode::Incremental, vec![rows]).await.unwrap();
    }
    let before = house.people(None).await;
    assert_eq!(before.len(), 1_999);
    let done = house.lake.compact_table(&op_at(40), "person").await.unwrap().unwrap();
    // 30 changed and one deleted: the delete stays, because the base still holds the row.
    assert_eq!((done.files_before, done.files_after, done.rows), (30, 1, 31));
    assert_eq!(house.people(None).await, before);
    let back = vec![people(&[("n0000", "又", Insert)])];
    house.land(41, &person(), "p41", SyncMode::Incremental, back).await.unwrap();
    assert_eq!(house.people(None).await.len(), 2_000);
}

#[tokio::test]
async fn rows_without_a_key_keep_their_order_and_number() {
    let house = house();
    let keyless = entry("person", vec![item("sfzh", DataType::Text), item("xm", DataType::Text)]);
    for n in 0..26 {
        let rows = people(&[("a", &format!("{n:02}"), Insert), ("a", &format!("{n:02}"), Insert)]);
        let id = format!("x{}", 90 - n);
        house.land(n, &keyless, &id, SyncMode::Incremental, vec![rows]).await.unwrap();
    }
    let before = house.people(None).await;
    house.lake.compact_table(&op_at(40), "person").await.unwrap().unwrap();
    assert_eq!(house.people(None).await, before);
    assert_eq!(house.lake.count_rows("person").await.unwrap(), 52);
    let ids = house.rows("person", None, &["dsc_biz_record_id", "xm"]).await;
    assert!(ids.contains(&vec![Value::Integer(52), Value::Text("25".into())]), "landed order");
}

#[tokio::test]
async fn keys_of_parcels_are_found_also_behind_a_compaction() {
    let house = house();
    let base = people(&[("a", "甲", Insert), ("b", "乙", Insert)]);
    house.land(0, &person(), "base", SyncMode::Full, vec![base]).await.unwrap();
    increments(&house, 1, 30).await;
    let asked = people(&[("a", "?", Insert), ("b", "?", Insert), ("zz", "?", Insert)]);
    let parcels = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    let find = async |parcels: Vec<String>| {
        house.lake.find_records(&person(), &asked, &parcels).await.unwrap()
    };
    let told = [
        (parcels(&["base"]), [Some(1), Some(2), None]),
        (parcels(&["p30"]), [Some(1), Some(3), None]),
        (parcels(&["p1", "p2", "unknown"]), [Some(1), None, None]),
        (Vec::new(), [None, None, None]),
    ];
    for (parcels, expected) in &told {
        assert_eq!(find(parcels.clone()).await, expected, "{parcels:?}");
    }
    house.lake.compact_table(&op_at(50), "person").await.unwrap().unwrap();
    for (parcels, expected) in &told {
        assert_eq!(find(parcels.clone()).await, expected, "{parcels:?} compacted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_landing_of_another_process_wins_over_a_compaction() {
    let house = house();
    increments(&house, 0, 30).await;
    // The other process has read the table before ours compacts it.
    let other = House { lake: open(&house.folder), folder: tempfile::tempdir().unwrap() };
    let (go, wait) = tokio::sync::oneshot::channel::<()>();
    let slow = futures::stream::once(async move {
        wait.await.unwrap();
        Ok(people(&[("late", "迟", Insert)]))
    });
    let theirs = tokio::spawn(async move {
        let head = parcel("late", SyncMode::Incremental);
        let target = target(&person());
        (other.lake.land_parcel(&op_at(40), &head, &target, slow.boxed()).await, other)
    });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    house.lake.compact_table(&op_at(41), "person").await.unwrap().unwrap();
    go.send(()).unwrap();
    let (result, other) = theirs.await.unwrap();
    assert_eq!(result.unwrap_err().code(), Code::Stale);
    let head = parcel("late", SyncMode::Incremental);
    let rows = flow(vec![people(&[("late", "迟", Insert)])]);
    other.lake.land_parcel(&op_at(42), &head, &target(&person()), rows).await.unwrap();
    assert!(house.people(None).await.contains(&"late 迟".to_owned()));
}

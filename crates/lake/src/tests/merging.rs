//! Merge on read: full and incremental parcels, updates, deletes, repeated keys, time travel, changed items.

use model::Code;
use model::batch::Batch;
use model::batch::Operation::{self, Delete, Insert, Update};
use model::code::{DataType, SyncMode};
use model::parcel::{ParcelHead, Track};
use model::value::Value;

use super::entries::{entry, flow, house, item, key, op_at, parcel, people, person, target, texts};
use crate::table::Loaded;
use crate::view::{Reading, reading};

#[tokio::test]
async fn the_worked_example() {
    let house = house();
    let a = people(&[("a", "甲", Insert), ("b", "乙", Insert), ("c", "丙", Insert)]);
    let b = people(&[("b", "乙2", Update), ("c", "", Delete), ("d", "丁", Insert)]);
    let c = people(&[("a", "甲", Insert), ("a", "甲2", Insert)]);
    house.land(0, &person(), "A", SyncMode::Full, vec![a]).await.unwrap();
    assert_eq!(house.people(None).await, ["a 甲", "b 乙", "c 丙"]);
    house.land(1, &person(), "B", SyncMode::Incremental, vec![b]).await.unwrap();
    assert_eq!(house.people(None).await, ["a 甲", "b 乙2", "d 丁"]);
    assert_eq!(house.lake.count_rows("person").await.unwrap(), 3);
    house.land(2, &person(), "C", SyncMode::Full, vec![c]).await.unwrap();
    assert_eq!(house.people(None).await, ["a 甲2"]);

    // Time travel, and the ways each version is read.
    assert_eq!(house.people(Some(0)).await, ["a 甲", "b 乙", "c 丙"]);
    assert_eq!(house.people(Some(1)).await, ["a 甲", "b 乙2", "d 丁"]);
    let mut ways = Vec::new();
    for version in 0..3 {
        let table = house.lake.table_at("person", Some(version)).await.unwrap().unwrap();
        ways.push(match reading(&Loaded::of(&table).unwrap()).unwrap() {
            Reading::Plain => "plain",
            Reading::Changes { .. } => "changes",
            Reading::Merged => "merged",
        });
    }
    assert_eq!(ways, ["plain", "changes", "merged"]);
    let unknown = house.lake.table_at("person", Some(3)).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);

    let versions = house.lake.list_versions("person").await.unwrap();
    let said: Vec<_> = versions
        .iter()
        .map(|v| format!("{} {} {} {} {}", v.version, v.parcel, v.mode, v.rows, v.at))
        .collect();
    assert_eq!(
        said,
        [
            "2 C full 2 2026-03-01T00:02:00.000Z",
            "1 B incremental 3 2026-03-01T00:01:00.000Z",
            "0 A full 3 2026-03-01T00:00:00.000Z",
        ]
    );
}

#[tokio::test]
async fn the_last_of_several_changes_wins_whatever_the_clock_says() {
    let house = house();
    let one = |xm: &str, operation| vec![people(&[("a", xm, operation)])];
    let batch = vec![people(&[("a", "1", Insert), ("b", "1", Insert)])];
    house.land(9, &person(), "p0", SyncMode::Full, batch).await.unwrap();
    house.land(5, &person(), "p1", SyncMode::Incremental, one("2", Update)).await.unwrap();
    assert_eq!(house.people(None).await, ["a 2", "b 1"]);
    house.land(5, &person(), "p2", SyncMode::Incremental, one("", Delete)).await.unwrap();
    assert_eq!(house.people(None).await, ["b 1"]);
    house.land(1, &person(), "p3", SyncMode::Incremental, one("3", Insert)).await.unwrap();
    assert_eq!(house.people(None).await, ["a 3", "b 1"]);
    let several = people(&[("b", "5", Update), ("b", "", Delete), ("b", "6", Insert)]);
    house.land(1, &person(), "p4", SyncMode::Incremental, vec![several]).await.unwrap();
    assert_eq!(house.people(None).await, ["a 3", "b 6"]);
}

#[tokio::test]
async fn increments_without_a_base_merge_too() {
    let house = house();
    let first = people(&[("a", "1", Insert), ("b", "1", Insert)]);
    house.land(0, &person(), "p0", SyncMode::Incremental, vec![first]).await.unwrap();
    let second = people(&[("a", "2", Update), ("b", "", Delete), ("x", "", Delete)]);
    house.land(1, &person(), "p1", SyncMode::Incremental, vec![second]).await.unwrap();
    assert_eq!(house.people(None).await, ["a 2"]);
    assert_eq!(house.lake.count_rows("person").await.unwrap(), 1);
}

#[tokio::test]
async fn deletes_inside_a_full_parcel_count() {
    let house = house();
    let rows = people(&[("a", "1", Insert), ("b", "1", Insert), ("a", "", Delete)]);
    house.land(0, &person(), "p0", SyncMode::Full, vec![rows]).await.unwrap();
    assert_eq!(house.people(None).await, ["b 1"]);
}

#[tokio::test]
async fn an_empty_full_parcel_empties_the_view() {
    let house = house();
    house.land(0, &person(), "p0", SyncMode::Full, vec![]).await.unwrap();
    assert_eq!(house.people(None).await, Vec::<String>::new());
    let rows = people(&[("a", "1", Insert)]);
    house.land(1, &person(), "p1", SyncMode::Incremental, vec![rows]).await.unwrap();
    assert_eq!(house.people(None).await, ["a 1"]);
    let landing = house.land(2, &person(), "p2", SyncMode::Full, vec![]).await.unwrap();
    assert_eq!((landing.version, landing.rows), (2, 0));
    assert_eq!(house.people(None).await, Vec::<String>::new());
    assert_eq!(house.people(Some(1)).await, ["a 1"]);
    assert!(house.replay(&person(), "p2").await.unwrap().is_empty());
}

#[tokio::test]
async fn without_a_key_rows_are_kept_as_they_come_and_nothing_can_be_deleted() {
    let house = house();
    let keyless = entry("person", vec![item("sfzh", DataType::Text), item("xm", DataType::Text)]);
    let rows = || people(&[("a", "1", Insert), ("a", "1", Insert)]);
    house.land(0, &keyless, "p0", SyncMode::Full, vec![rows()]).await.unwrap();
    house.land(1, &keyless, "p1", SyncMode::Incremental, vec![rows()]).await.unwrap();
    assert_eq!(house.people(None).await, ["a 1", "a 1", "a 1", "a 1"]);
    assert_eq!(house.lake.count_rows("person").await.unwrap(), 4);
    let gone = people(&[("a", "", Delete)]);
    let refused =
        house.land(2, &keyless, "p2", SyncMode::Incremental, vec![gone]).await.unwrap_err();
    assert_eq!(refused.code(), Code::RuleBroken);
    assert_eq!(house.lake.count_rows("person").await.unwrap(), 4);
}

#[tokio::test]
async fn several_key_items_make_one_key() {
    let house = house();
    let pair = entry("pair", vec![key("a", DataType::Text), key("n", DataType::Integer)]);
    let rows = |a: &[&str], n: &[i64]| Batch {
        columns: vec![
            texts(&a.iter().map(|v| Some(*v)).collect::<Vec<_>>()),
            model::batch::Column::Integer(n.iter().map(|v| Some(*v)).collect()),
        ],
        records: (1..=a.len() as u64).collect(),
        operations: Vec::new(),
    };
    // "x" + 11 and "x1" + 1 must not meet.
    let batch = rows(&["x", "x1", "x"], &[11, 1, 11]);
    house.land(0, &pair, "p0", SyncMode::Incremental, vec![batch]).await.unwrap();
    assert_eq!(house.lake.count_rows("pair").await.unwrap(), 2);
}

#[tokio::test]
async fn a_new_item_widens_the_table() {
    let house = house();
    let rows = people(&[("a", "1", Insert), ("b", "1", Insert)]);
    house.land(0, &person(), "p0", SyncMode::Full, vec![rows]).await.unwrap();
    let wider = entry(
        "person",
        vec![
            key("sfzh", DataType::Text),
            item("nl", DataType::Integer),
            item("xm", DataType::Text),
        ],
    );
    let batch = Batch {
        columns: vec![
            texts(&[Some("b")]),
            model::batch::Column::Integer(vec![Some(30)]),
            texts(&[Some("2")]),
        ],
        records: vec![1],
        operations: Vec::new(),
    };
    house.land(1, &wider, "p1", SyncMode::Incremental, vec![batch]).await.unwrap();
    let t = |s: &str| Value::Text(s.into());
    assert_eq!(
        house.rows("person", None, &["sfzh", "xm", "nl"]).await,
        [vec![t("a"), t("1"), Value::Null], vec![t("b"), t("2"), Value::Integer(30)]]
    );
    // Older parcels replay in the new shape; an entry that lost an item still lands.
    let old = house.replay(&wider, "p0").await.unwrap();
    assert_eq!(old[0].columns[1].value(0), Value::Null);
    assert_eq!(old[0].columns[2].value(1), t("1"));
    let rows = people(&[("c", "3", Insert)]);
    house.land(2, &person(), "p2", SyncMode::Incremental, vec![rows]).await.unwrap();
    assert_eq!(house.rows("person", None, &["sfzh", "nl"]).await.len(), 3);
}

#[tokio::test]
async fn a_changed_type_or_key_needs_a_full_parcel() {
    let house = house();
    house
        .land(0, &person(), "p0", SyncMode::Full, vec![people(&[("a", "1", Insert)])])
        .await
        .unwrap();
    let other = entry("person", vec![key("sfzh", DataType::Text), item("xm", DataType::Integer)]);
    let batch = || Batch {
        columns: vec![texts(&[Some("a")]), model::batch::Column::Integer(vec![Some(1)])],
        records: vec![1],
        operations: Vec::new(),
    };
    let refused =
        house.land(1, &other, "p1", SyncMode::Incremental, vec![batch()]).await.unwrap_err();
    assert_eq!((refused.code(), refused.fields()[0].field.as_str()), (Code::RuleBroken, "xm"));
    let keyless = entry("person", vec![item("sfzh", DataType::Text), item("xm", DataType::Text)]);
    let rows = people(&[("a", "1", Insert)]);
    let refused =
        house.land(1, &keyless, "p2", SyncMode::Incremental, vec![rows]).await.unwrap_err();
    assert_eq!(refused.code(), Code::RuleBroken);

    house.land(2, &other, "p3", SyncMode::Full, vec![batch()]).await.unwrap();
    assert_eq!(house.rows("person", None, &["xm"]).await, [vec![Value::Integer(1)]]);
    assert_eq!(house.rows("person", Some(0), &["xm"]).await, [vec![Value::Text("1".into())]]);
    let refused = house.replay(&other, "p0").await.unwrap_err();
    assert_eq!(refused.code(), Code::RuleBroken);
}

#[tokio::test]
async fn more_commits_than_a_checkpoint_holds() {
    let house = house();
    house
        .land(0, &person(), "base", SyncMode::Full, vec![people(&[("k", "0", Insert)])])
        .await
        .unwrap();
    for n in 1..=105_i64 {
        let rows = flow(vec![people(&[("k", &n.to_string(), Update)])]);
        let track = Track { name: "rail-1".into(), position: format!("B.{n}") };
        let id = format!("p{n}");
        let head = ParcelHead { track: Some(track), ..parcel(&id, SyncMode::Incremental) };
        house.lake.land_parcel(&op_at(n), &head, &target(&person()), rows).await.unwrap();
    }
    let reopened = super::entries::open(&house.folder);
    // The position of a track is beyond it, too.
    assert_eq!(reopened.find_position("person", "rail-1").await.unwrap().as_deref(), Some("B.105"));
    assert!(reopened.find_landed("person", "p1").await.unwrap().is_some());
    let landed = reopened.find_landed("person", "p3").await.unwrap().unwrap();
    assert_eq!((landed.version, landed.rows), (3, 1));
    assert_eq!(house.people(None).await, ["k 105"]);
    assert_eq!(reopened.count_rows("person").await.unwrap(), 1);
    assert_eq!(reopened.list_versions("person").await.unwrap().len(), 106);
}

#[tokio::test]
async fn parcels_that_go_on_with_a_full_one_are_read_as_they_lie() {
    let house = house();
    let land = async |minute, id: &str, mode, goes_on, rows: &[(&str, &str, Operation)]| {
        let head = ParcelHead { goes_on, ..parcel(id, mode) };
        let rows = flow(vec![people(rows)]);
        house.lake.land_parcel(&op_at(minute), &head, &target(&person()), rows).await.unwrap();
        let table = house.lake.table_at("person", None).await.unwrap().unwrap();
        reading(&Loaded::of(&table).unwrap()).unwrap()
    };
    land(0, "p0", SyncMode::Full, false, &[("a", "1", Insert), ("b", "1", Insert)]).await;
    let read = land(1, "p1", SyncMode::Incremental, true, &[("c", "1", Insert)]).await;
    assert_eq!(read, Reading::Plain);
    let read = land(2, "p2", SyncMode::Incremental, false, &[("a", "2", Update)]).await;
    assert!(
        matches!(&read, Reading::Changes { base, later } if (base.len(), later.len()) == (2, 1))
    );
    // More of the first reading after a change, and a parcel whose keys repeat: it is merged.
    land(3, "p3", SyncMode::Incremental, true, &[("d", "1", Insert)]).await;
    let read =
        land(4, "p4", SyncMode::Incremental, true, &[("e", "1", Insert), ("e", "2", Insert)]).await;
    assert!(
        matches!(&read, Reading::Changes { base, later } if (base.len(), later.len()) == (3, 2))
    );
    assert_eq!(house.people(None).await, ["a 2", "b 1", "c 1", "d 1", "e 2"]);
    // A full parcel begins anew.
    let read = land(5, "p5", SyncMode::Full, false, &[("f", "1", Insert)]).await;
    assert_eq!((read, house.people(None).await), (Reading::Plain, vec!["f 1".to_owned()]));
}

//! Shared views: whatever parcels and compactions lie between, the files of a version hold what a scan of it shows; what was not
//! touched is not written again, and the changes lead from one version to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use futures::TryStreamExt;
use model::batch::Operation::{Insert, Update};
use model::code::{DataType, OpenType, SyncMode};
use model::entry::Entry;
use model::request::{Period, Request, RequestState, RequestWay};
use model::{Actor, Code, Op};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use policy::port::{ShareHints, ShareView, Shares};
use policy::{Action, Grant, GrantAsk, Policy, Target, Via};

use super::changing::{Course, batch, landed, moving, wanted};
use super::entries::{House, entry, house, item, start, texts};
use crate::cells::Cells;

fn grant(entry: &Entry, items: &[&str], area: &str, action: Action) -> Grant {
    let request = Request {
        id: "req1".into(),
        entry: entry.id.clone(),
        entry_code: entry.draft.code.clone(),
        entry_title: String::new(),
        provider: "org1".into(),
        application: "app1".into(),
        application_name: String::new(),
        org: "org2".into(),
        way: RequestWay::Share,
        region: String::new(),
        items: items.iter().map(|i| (*i).to_owned()).collect(),
        scene: "批量".into(),
        legal_basis: String::new(),
        period: Period::Long,
        calls_per_day: 1000,
        area_range: area.into(),
        row_range: Default::default(),
        by_sql: true,
        state: RequestState::Approved,
        due: None,
        expires_at: None,
        applicant: "u2".into(),
        created_at: String::new(),
        updated_at: String::new(),
    };
    let actor = Actor::Application {
        id: "app1".into(),
        key: "key-app1".into(),
        name: "应用".into(),
        org: "org2".into(),
        public_body: true,
    };
    let op = Op::new(actor, "r1".into(), "-".into(), start());
    let ask = GrantAsk { action, entry, via: Via::Request(&request), row_cap: 0 };
    Policy::shipped().unwrap().grant(&op, &ask).unwrap()
}

async fn make(house: &House, grant: &Grant, version: i64) -> ShareView {
    let attempt = format!("at{version}");
    house.lake.share_make(grant, version, &attempt, Arc::new(AtomicU64::new(0))).await.unwrap()
}

async fn change(house: &House, grant: &Grant, from: i64, to: i64) -> ShareView {
    let (attempt, done) = (format!("ch{from}x{to}"), Arc::new(AtomicU64::new(0)));
    house.lake.share_change_make(grant, from, to, &attempt, done).await.unwrap()
}

/// Rows of all files, as texts.
async fn rows(house: &House, grant: &Grant, view: &ShareView) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for file in &view.files {
        let stream = house.lake.share_read(grant, &file.name, 0..file.bytes).await.unwrap();
        let bytes: Vec<Bytes> = stream.try_collect().await.unwrap();
        let bytes = Bytes::from(bytes.concat());
        assert_eq!(bytes.len() as u64, file.bytes);
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap();
        let mut count = 0;
        for batch in reader {
            let batch = batch.unwrap();
            count += batch.num_rows() as u64;
            for row in 0..batch.num_rows() {
                let cell = |column: &arrow::array::ArrayRef| {
                    Cells::of(column.as_ref()).unwrap().value(row).to_text().unwrap_or_default()
                };
                found.push(batch.columns().iter().map(cell).collect());
            }
        }
        assert_eq!(count, file.rows);
        let stats: serde_json::Value = serde_json::from_str(&file.stats).unwrap();
        assert_eq!(stats["numRecords"], count);
    }
    found
}

async fn texts_of(house: &House, grant: &Grant, view: &ShareView) -> Vec<String> {
    let mut all: Vec<String> =
        rows(house, grant, view).await.into_iter().map(|row| row.join(" ")).collect();
    all.sort();
    all
}

fn names(view: &ShareView) -> BTreeSet<String> {
    view.files.iter().map(|f| f.name.clone()).collect()
}

const COURSE: Course =
    Course { seed: 11, parcels: 30, again: 22, keys: 250, most: 10, compact: 10 };

#[tokio::test]
async fn a_view_of_any_version_holds_what_a_scan_of_it_shows() {
    let house = house();
    let versions = landed(&house, &COURSE).await;
    let grant = grant(&moving(), &["id", "xm", "xzqh"], "330100", Action::RowsBatch);
    for version in versions.iter().step_by(3).chain(versions.iter().skip(1).step_by(7)) {
        let view = make(&house, &grant, *version).await;
        assert_eq!(texts_of(&house, &grant, &view).await, wanted(&house, *version).await);
        let columns: Vec<&str> = view.columns.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(columns, ["id", "xm", "xzqh"]);
        // Made once: asked for again, it is as it was.
        assert_eq!(house.lake.share_view(&grant, *version).await.unwrap(), Some(view.clone()));
        assert_eq!(make(&house, &grant, *version).await, view);
        assert!(view.files.len() < 14, "small files are written together: {}", view.files.len());
    }
}

#[tokio::test]
async fn changes_lead_from_each_version_to_the_next() {
    let house = house();
    let versions = landed(&house, &COURSE).await;
    let grant = grant(&moving(), &["id", "xm", "xzqh"], "330100", Action::RowsBatch);
    let mut held = BTreeSet::from_iter(wanted(&house, versions[0]).await);
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for pair in versions.windows(2) {
        let view = change(&house, &grant, pair[0], pair[1]).await;
        let again = house.lake.share_change(&grant, pair[0], pair[1]).await.unwrap();
        assert_eq!(again, Some(view.clone()));
        let (mut gone, mut come) = (Vec::new(), Vec::new());
        for row in rows(&house, &grant, &view).await {
            let text = row[..3].join(" ");
            *kinds.entry(row[3].clone()).or_default() += 1;
            match row[3].as_str() {
                "delete" | "update_preimage" => gone.push(text),
                "insert" | "update_postimage" => come.push(text),
                other => panic!("{other}"),
            }
        }
        for text in gone {
            assert!(held.remove(&text), "{text} was not there before {}", pair[1]);
        }
        for text in come {
            assert!(held.insert(text));
        }
        assert_eq!(Vec::from_iter(held.clone()), wanted(&house, pair[1]).await);
    }
    assert_eq!(kinds.len(), 4, "{kinds:?}");
    assert_eq!(kinds["update_preimage"], kinds["update_postimage"]);
}

#[tokio::test]
async fn what_was_not_touched_is_not_written_again() {
    let house = house();
    let line = |id: &str, region| (id.to_owned(), "甲一".to_owned(), region, String::new());
    let rows = |of: &[(String, String, &'static str, String)], how| {
        let all = of.iter().cloned().map(|(a, b, c, d)| (a, b, c, d, how));
        vec![batch(&all.collect::<Vec<_>>())]
    };
    let entry = moving();
    let land = async |n: i64, mode, batches| {
        house.land(n, &entry, &format!("p{n}"), mode, batches).await.unwrap().version
    };
    let first =
        land(0, SyncMode::Full, rows(&[line("a", "330106"), line("b", "330106")], Insert)).await;
    let grant = grant(&entry, &["id", "xm", "xzqh"], "330100", Action::RowsBatch);
    let one = make(&house, &grant, first).await;
    assert_eq!(one.files.len(), 1);
    // Rows are added: the file stays, another comes.
    let version = land(1, SyncMode::Incremental, rows(&[line("c", "330106")], Insert)).await;
    let two = make(&house, &grant, version).await;
    assert!(names(&two).is_superset(&names(&one)) && two.files.len() == 2);
    // Nothing of it concerns the receiver: the same files.
    let version = land(2, SyncMode::Incremental, rows(&[line("d", "310000")], Insert)).await;
    let three = make(&house, &grant, version).await;
    assert_eq!(names(&three), names(&two));
    assert_eq!(change(&house, &grant, version - 1, version).await.files, []);
    // A row of the second file moves away: the first file stays.
    let version = land(3, SyncMode::Incremental, rows(&[line("c", "310000")], Update)).await;
    let four = make(&house, &grant, version).await;
    assert_eq!(names(&four), names(&one));
    assert_eq!(texts_of(&house, &grant, &four).await, ["a 甲* 330106", "b 甲* 330106"]);
    // A limit and a hint leave files out.
    let hints = ShareHints { limit: Some(1), ..ShareHints::default() };
    assert_eq!(house.lake.share_pruned(two.clone(), &hints).files.len(), 1);
    let hints = ShareHints { sql: vec!["id >= 'c'".into()], ..ShareHints::default() };
    let pruned = house.lake.share_pruned(two.clone(), &hints);
    assert_eq!(names(&pruned), &names(&two) - &names(&one));
    // Files of one grant are not another's, and only rows are files.
    let other = self::grant(&entry, &["id"], "330100", Action::RowsBatch);
    let file = one.files[0].name.clone();
    assert_ne!(house.lake.share_id(&other), house.lake.share_id(&grant));
    for (grant, name) in
        [(&other, file.clone()), (&grant, format!("{file}.ids")), (&grant, "../x.parquet".into())]
    {
        let refused = house.lake.share_read(grant, &name, 0..1).await.err().unwrap();
        assert_eq!(refused.code(), Code::NotFound, "{name}");
    }
    let sql = self::grant(&entry, &["id"], "330100", Action::RowsSql);
    assert!(house.lake.share_view(&sql, first).await.is_err(), "another kind of grant");
}

#[tokio::test]
async fn rows_without_a_key_are_added_or_replaced() {
    let house = house();
    let mut keyless = entry("log", vec![item("id", DataType::Text), item("xm", DataType::Text)]);
    keyless.draft.open_type = OpenType::None;
    let batch = |ids: &[&str]| {
        let some: Vec<Option<&str>> = ids.iter().map(|i| Some(*i)).collect();
        vec![model::batch::Batch {
            columns: vec![texts(&some), texts(&some)],
            records: (1..=ids.len() as u64).collect(),
            operations: vec![Insert; ids.len()],
        }]
    };
    let grant = grant(&keyless, &["id"], "", Action::RowsBatch);
    let mut held: Vec<&str> = Vec::new();
    let mut last = None;
    for (n, (mode, ids)) in [
        (SyncMode::Full, ["a", "b"]),
        (SyncMode::Incremental, ["c", "d"]),
        (SyncMode::Incremental, ["a", "e"]),
        (SyncMode::Full, ["x", "y"]),
    ]
    .into_iter()
    .enumerate()
    {
        let at = i64::try_from(n).unwrap();
        let version =
            house.land(at, &keyless, &format!("p{n}"), mode, batch(&ids)).await.unwrap().version;
        let full = mode == SyncMode::Full;
        let before = std::mem::take(&mut held);
        held = if full { ids.to_vec() } else { [before.clone(), ids.to_vec()].concat() };
        let view = make(&house, &grant, version).await;
        let mut wanted = held.clone();
        wanted.sort_unstable();
        assert_eq!(texts_of(&house, &grant, &view).await, wanted);
        if let Some(from) = last {
            let told = rows(&house, &grant, &change(&house, &grant, from, version).await).await;
            let of = |kind: &str| told.iter().filter(|r| r[1] == kind).count();
            let deleted = if full { before.len() } else { 0 };
            assert_eq!((of("insert"), of("delete")), (ids.len(), deleted));
        }
        last = Some(version);
    }
}

#[tokio::test]
async fn old_versions_go_and_what_is_named_stays() {
    let house = house();
    let versions = landed(&house, &COURSE).await;
    let grant = grant(&moving(), &["id", "xm", "xzqh"], "330100", Action::RowsBatch);
    for version in &versions[..4] {
        make(&house, &grant, *version).await;
    }
    change(&house, &grant, versions[0], versions[1]).await;
    let platform = Target::plain("System", "platform");
    let permit = Policy::shipped()
        .unwrap()
        .permit(&Op::system(start()), Action::SystemWork, &platform)
        .unwrap();
    let lake = &house.lake;
    let held = lake.shares_held().await.unwrap();
    assert_eq!(held.len(), 1);
    assert!(held[0].bytes > 0 && held[0].files > 0);
    let id = lake.share_id(&grant);
    assert_eq!(held[0].id, id);
    // Nothing is old enough.
    let past = start();
    assert_eq!(lake.share_prune(&permit, &id, &[], past).await.unwrap(), 0);
    let later = chrono::DateTime::<chrono::Utc>::MAX_UTC;
    let kept = versions[1];
    assert_eq!(lake.share_prune(&permit, &id, &[kept], later).await.unwrap(), 0, "manifests first");
    assert!(lake.share_prune(&permit, &id, &[kept], later).await.unwrap() > 0);
    for (version, there) in
        [(versions[0], false), (kept, true), (versions[2], false), (versions[3], true)]
    {
        let view = lake.share_view(&grant, version).await.unwrap();
        assert_eq!(view.is_some(), there, "{version}");
        if let Some(view) = view {
            assert_eq!(texts_of(&house, &grant, &view).await, wanted(&house, version).await);
        }
    }
    assert!(lake.share_change(&grant, versions[0], kept).await.unwrap().is_some());
    lake.share_forget(&permit, &id).await.unwrap();
    assert_eq!(lake.shares_held().await.unwrap(), []);
}

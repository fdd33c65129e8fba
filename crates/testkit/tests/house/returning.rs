//! Rows that come back: a state handed in again, a mended row, a run whose process died, files written together. What
//! is newest wins, and nothing is there twice.

use app::collection::{self, Order};
use model::code::{DataType, SyncMode};
use model::entry::{Entry, EntryDraft};
use model::item::Item;
use model::parcel::{Run, RunState};
use model::query::RowQuery;
use model::{Code, Op};
use policy::port::{CellRow, ReadOptions, Source};
use store::lease::Lease;
use store::parcel::RunRecord;
use testkit::{House, draft};

use crate::collection::{lake_rows, quarantine_text, quarantined};

crate::on_both!(
    an_earlier_state_handed_in_again_is_back,
    a_log_handed_in_again_is_not_doubled,
    a_mended_delete_deletes,
    a_word_that_is_no_operation_is_not_an_insert,
    cells_stay_with_their_items,
    an_old_row_does_not_win_over_a_newer_one,
    a_run_is_its_owners_until_the_lease_is_over,
    small_files_are_written_together,
);

const HEAD: &str = "编号,名称,金额,日期\n";

async fn full(house: &House, rows: &str) -> Run {
    let text = format!("{HEAD}{rows}");
    house.collect("firms", "f.csv", text.as_bytes(), SyncMode::Full).await.unwrap()
}

async fn increment(house: &House, rows: &str) -> Run {
    let text = format!("{HEAD}{rows}");
    house.collect("firms", "i.csv", text.as_bytes(), SyncMode::Incremental).await.unwrap()
}

/// An incremental file with operations.
async fn changes(house: &House, rows: &str) -> Run {
    let provider = house.person("provider").await;
    let text = format!("编号,名称,金额,日期,变更\n{rows}");
    let spooled = house.spool(&provider, "firms", "c.csv", text.as_bytes()).await.unwrap();
    let options = ReadOptions { operation_column: Some("变更".into()), ..ReadOptions::default() };
    let order = Order {
        entry: "firms".into(),
        source: Source::File { path: spooled.path, name: "c.csv".into() },
        mode: SyncMode::Incremental,
        options,
    };
    collection::collect(&house.app, &provider, order).await.unwrap()
}

/// `id name` of what is served, by id; the lake must hold as many.
async fn firms(house: &House) -> Vec<String> {
    let page = app::opening::preview(&house.app, &house.nobody(), "firms", &RowQuery::default())
        .await
        .unwrap();
    let name = |row: &model::value::Row| {
        format!("{} {}", row[0].to_text().unwrap_or_default(), row[1].to_text().unwrap_or_default())
    };
    let mut rows: Vec<String> = page.rows.iter().map(name).collect();
    rows.sort();
    let entry = house.app.store.entry_get("firms").await.unwrap().unwrap();
    assert_eq!(lake_rows(house, &entry).await, rows.len() as u64, "{rows:?}");
    assert_eq!(entry.rows, i64::try_from(rows.len()).unwrap());
    rows
}

async fn mend(house: &House, op: &Op, run: &Run, record: u64, cells: &[&str]) {
    let rows = quarantined(house, op, &run.id).await;
    let row = rows.iter().find(|q| q.reject.record == record).unwrap();
    let cells = cells.iter().map(|c| Some((*c).to_owned()).filter(|c| !c.is_empty())).collect();
    collection::mend(&house.app, op, &row.id, cells, None).await.unwrap();
}

async fn an_earlier_state_handed_in_again_is_back(house: House) {
    house.publish(draft("firms")).await;
    let (a, b) = ("1,甲,1,2026-01-01\n2,乙,2,2026-01-02\n", "1,丙,3,2026-01-03\n");
    assert_eq!(full(&house, a).await.state, RunState::Succeeded);
    assert_eq!(full(&house, b).await.state, RunState::Succeeded);
    assert_eq!(full(&house, b).await.state, RunState::Unchanged);
    assert_eq!(firms(&house).await, ["1 丙"]);
    let again = full(&house, a).await;
    assert_eq!((again.state, again.accepted), (RunState::Succeeded, 2), "{again:?}");
    assert_eq!(firms(&house).await, ["1 甲", "2 乙"]);
    let repeated = full(&house, a).await;
    assert_eq!((repeated.state, repeated.parcel), (RunState::Unchanged, again.parcel));

    // Open, closed, open: the third file has the bytes of the first.
    let (open, closed) = ("1,开业,1,2026-01-01\n", "1,停业,1,2026-01-01\n");
    increment(&house, open).await;
    increment(&house, closed).await;
    assert_eq!(increment(&house, closed).await.state, RunState::Unchanged);
    assert_eq!(firms(&house).await, ["1 停业", "2 乙"]);
    assert_eq!(increment(&house, open).await.state, RunState::Succeeded);
    assert_eq!(firms(&house).await, ["1 开业", "2 乙"]);
    assert_eq!(increment(&house, open).await.state, RunState::Unchanged);
    // An increment lies over the full file too: handed in again, it restores its state.
    assert_eq!(full(&house, a).await.state, RunState::Succeeded);
    assert_eq!(firms(&house).await, ["1 甲", "2 乙"]);
}

async fn a_log_handed_in_again_is_not_doubled(house: House) {
    let mut log = draft("firms");
    log.items[0].primary = false;
    log.items[0].lookup = true;
    house.publish(log).await;
    let (one, two) = ("1,甲,1,2026-01-01\n", "2,乙,1,2026-01-01\n");
    increment(&house, one).await;
    increment(&house, two).await;
    let again = increment(&house, one).await;
    assert_eq!(again.state, RunState::Unchanged, "its rows are there already");
    assert_eq!(firms(&house).await, ["1 甲", "2 乙"]);
    // After a full file they are not there any more.
    full(&house, two).await;
    assert_eq!(increment(&house, one).await.state, RunState::Succeeded);
    assert_eq!(firms(&house).await, ["1 甲", "2 乙"]);
}

async fn a_mended_delete_deletes(house: House) {
    house.publish(draft("firms")).await;
    full(&house, "1,甲,1,2026-01-01\n2,乙,2,2026-01-02\n").await;
    // The key of the delete is no number.
    let run = changes(&house, "2x,,,,D\n3,丁,3,2026-01-03,I\n").await;
    assert_eq!((run.accepted, run.quarantined), (1, 1), "{run:?}");
    let provider = house.person("provider").await;
    let rows = quarantined(&house, &provider, &run.id).await;
    assert_eq!(rows[0].reject.operation.as_deref(), Some("D"));
    let text = quarantine_text(&house, &provider, &run.id).await;
    assert!(text.lines().next().unwrap().contains("操作"), "{text}");
    assert!(text.lines().nth(1).unwrap().contains(",open,D,2x,"), "{text}");
    mend(&house, &provider, &run, 1, &["2", "", "", ""]).await;
    let replay = collection::replay(&house.app, &provider, &run.id).await.unwrap();
    assert_eq!((replay.accepted, replay.quarantined), (1, 0), "{replay:?}");
    assert_eq!(firms(&house).await, ["1 甲", "3 丁"]);
}

async fn a_word_that_is_no_operation_is_not_an_insert(house: House) {
    house.publish(draft("firms")).await;
    let provider = house.person("provider").await;
    let row = |record, id: &str, operation: &str| CellRow {
        record,
        cells: [id, "甲", "1", "2026-01-01"].map(|c| Some(c.to_owned())).into(),
        operation: Some(operation.into()),
    };
    // Given in hand, so that the rows go by way of a file of the inbox, as a query's do.
    let rows = vec![row(1, "1", "I"), row(2, "2", "?")];
    let order = Order {
        entry: "firms".into(),
        source: Source::Cells { name: "rows".into(), rows },
        mode: SyncMode::Incremental,
        options: ReadOptions { operation_column: Some("op".into()), ..ReadOptions::default() },
    };
    let run = collection::collect(&house.app, &provider, order).await.unwrap();
    assert_eq!((run.accepted, run.quarantined), (1, 1), "{run:?}");
    assert_eq!(firms(&house).await, ["1 甲"]);
    let refused = quarantined(&house, &provider, &run.id).await.remove(0);
    assert_eq!(refused.reject.operation.as_deref(), Some("?"));
    let replay = collection::replay(&house.app, &provider, &run.id).await.unwrap();
    assert_eq!((replay.accepted, replay.quarantined), (0, 1), "still no operation");
    let cells = refused.reject.cells.clone();
    collection::mend(&house.app, &provider, &refused.id, cells, Some("U".into())).await.unwrap();
    let replay = collection::replay(&house.app, &provider, &run.id).await.unwrap();
    assert_eq!((replay.accepted, replay.quarantined), (1, 0), "{replay:?}");
    assert_eq!(firms(&house).await, ["1 甲", "2 甲"]);
}

/// Changes the entry's items as its people would.
async fn change(house: &House, change: impl FnOnce(&mut EntryDraft)) -> Entry {
    use app::catalogue::{Move, edit, get, step};
    let (provider, authority) = (house.person("provider").await, house.person("authority").await);
    let entry = get(&house.app, &provider, "firms").await.unwrap();
    let mut draft = entry.draft.clone();
    change(&mut draft);
    edit(&house.app, &provider, &entry.id, draft, entry.version).await.unwrap();
    // The edit of a published entry is handed in for review by itself.
    step(&house.app, &authority, &entry.id, Move::Approve, "同意").await.unwrap()
}

async fn cells_stay_with_their_items(house: House) {
    house.publish(draft("firms")).await;
    let run = full(&house, "1,甲,1,2026-01-01\n2,乙,二,2026-01-02\n").await;
    assert_eq!(run.quarantined, 1);
    // `day` goes, `city` comes, and `amount` stands before `name` now: as many items as before.
    let entry = change(&house, |draft| {
        draft.items.remove(3);
        draft.items.swap(1, 2);
        draft.items.push(Item::new("city", "城市", DataType::Text));
    })
    .await;
    let names: Vec<&str> = entry.draft.items.iter().map(|i| i.identifier.as_str()).collect();
    assert_eq!(names, ["id", "amount", "name", "city"]);
    let provider = house.person("provider").await;
    let row = quarantined(&house, &provider, &run.id).await.remove(0);
    let cell = |text: &str| Some(text.to_owned());
    assert_eq!(row.reject.cells, [cell("2"), cell("二"), cell("乙"), None]);
    let text = quarantine_text(&house, &provider, &run.id).await;
    assert!(text.lines().next().unwrap().ends_with(",id,amount,name,city"), "{text}");
    assert!(text.lines().nth(1).unwrap().ends_with(",2,二,乙,"), "{text}");
    mend(&house, &provider, &run, 2, &["2", "2.50", "乙", "杭州"]).await;
    let replay = collection::replay(&house.app, &provider, &run.id).await.unwrap();
    assert_eq!((replay.accepted, replay.quarantined), (1, 0), "{replay:?}");
    let page = app::opening::preview(&house.app, &house.nobody(), "firms", &RowQuery::default())
        .await
        .unwrap();
    let texts: Vec<Vec<String>> = page
        .rows
        .iter()
        .map(|row| row.iter().map(|v| v.to_text().unwrap_or_default()).collect())
        .collect();
    assert!(texts.contains(&["2", "2.50", "乙", "杭州"].map(str::to_owned).into()), "{texts:?}");
}

async fn an_old_row_does_not_win_over_a_newer_one(house: House) {
    house.publish(draft("firms")).await;
    let provider = house.person("provider").await;
    full(&house, "1,甲,1,2026-01-01\n2,乙,1,2026-01-01\n3,丙,1,2026-01-01\n").await;
    // Records 1 to 3 do not fit; 4 is a later state of the firm of record 3.
    let run = increment(
        &house,
        "1,旧甲,x,2026-01-02\n2,旧乙,x,2026-01-02\n3,旧丙,x,2026-01-02\n3,新丙,2,2026-01-02\n4,丁,x,2026-01-02\n",
    )
    .await;
    assert_eq!((run.accepted, run.quarantined), (1, 4), "{run:?}");
    increment(&house, "1,新甲,3,2026-01-03\n").await;
    changes(&house, "2,,,,D\n").await;
    for (record, id, name) in [(1, "1", "旧甲"), (2, "2", "旧乙"), (3, "3", "旧丙"), (5, "4", "丁")]
    {
        mend(&house, &provider, &run, record, &[id, name, "9", "2026-01-02"]).await;
    }
    let replay = collection::replay(&house.app, &provider, &run.id).await.unwrap();
    assert_eq!((replay.read, replay.accepted, replay.quarantined), (4, 1, 3), "{replay:?}");
    assert_eq!(firms(&house).await, ["1 新甲", "3 新丙", "4 丁"]);
    let rows = quarantined(&house, &provider, &run.id).await;
    let open: Vec<_> = rows.iter().filter(|q| q.state == "open").collect();
    assert_eq!(open.iter().map(|q| q.reject.record).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(open.iter().all(|q| q.reject.zh.contains("已有更新的数据") && q.reject.column == "id"));
    // Not even when the deletes and the older rows were written together.
    for n in 0..30 {
        increment(&house, &format!("{},新,1,2026-01-04\n", 100 + n)).await;
    }
    assert_eq!(collection::tidy(&house.app).await.unwrap().compacted, 1);
    let replay = collection::replay(&house.app, &provider, &run.id).await.unwrap();
    assert_eq!((replay.accepted, replay.quarantined), (0, 3), "{replay:?}");
    assert!(!firms(&house).await.contains(&"2 旧乙".to_owned()));
}

/// A run as a dead (or slow) process left it, with its file in the inbox.
async fn left_behind(house: &House, owner: &str, until: i64) -> RunRecord {
    let provider = house.person("provider").await;
    let text = format!("{HEAD}7,庚,1,2026-01-01\n");
    let spooled = house.spool(&provider, "firms", "left.csv", text.as_bytes()).await.unwrap();
    let entry = app::catalogue::get(&house.app, &provider, "firms").await.unwrap();
    let permit = house
        .app
        .policy
        .permit(&provider, policy::Action::DataCollect, &policy::Target::entry(&entry))
        .unwrap();
    let run = Run {
        id: house.person("provider").await.new_id(),
        entry: entry.id.clone(),
        entry_title: entry.draft.title.clone(),
        state: RunState::Running,
        mode: SyncMode::Incremental,
        channel: "file".into(),
        source: "left.csv".into(),
        parcel: None,
        checksum: spooled.checksum.clone(),
        read: 0,
        accepted: 0,
        quarantined: 0,
        bytes_done: 0,
        bytes_total: spooled.bytes,
        version: None,
        message_zh: String::new(),
        message_en: String::new(),
        started_at: provider.stamp(),
        finished_at: None,
        actor: "provider".into(),
    };
    let source = serde_json::json!({ "source": {
        "kind": "file", "path": spooled.path, "name": "left.csv", "checksum": spooled.checksum,
    } });
    let lease = Lease { owner: owner.into(), until };
    let record = RunRecord { run, org: entry.draft.org, source: source.to_string(), lease };
    house.app.store.run_insert(&permit, &provider, &record).await.unwrap();
    record
}

async fn a_run_is_its_owners_until_the_lease_is_over(house: House) {
    house.publish(draft("firms")).await;
    let system = Op::system(house.app.now());
    let target = policy::Target::plain("System", "collection");
    let permit = house.app.policy.permit(&system, policy::Action::SystemWork, &target).unwrap();
    let soon = house.app.now().timestamp() + 30;
    let record = left_behind(&house, "another process", soon).await;
    let alone = house.app.store.backend() == store::Backend::Sqlite;
    if !alone {
        // Another process may be alive; its run, its quarantine and its file are left alone.
        assert_eq!(collection::recover(&house.app).await.unwrap(), 0);
        let now = house.app.store.run_get(&record.run.id).await.unwrap().unwrap();
        assert_eq!(now, record);
        house.clock.forward(chrono::TimeDelta::seconds(31));
    }
    assert_eq!(collection::recover(&house.app).await.unwrap(), 1);
    let now = house.app.store.run_get(&record.run.id).await.unwrap().unwrap();
    assert_eq!((now.run.state, now.run.accepted), (RunState::Succeeded, 1), "{now:?}");
    assert_eq!(firms(&house).await, ["7 庚"]);
    assert_eq!(collection::recover(&house.app).await.unwrap(), 0, "once");

    // The former owner wakes up: it can change nothing any more, and nobody takes a run twice.
    let store = &house.app.store;
    let slow = store.run_update(&permit, "another process", &record.run).await.unwrap_err();
    assert_eq!(slow.code(), Code::Stale);
    let record = left_behind(&house, "a third", 0).await;
    let mine = |owner: &str| Lease { owner: owner.into(), until: soon };
    let id = record.run.id.as_str();
    assert!(store.run_claim(&permit, id, &record.lease, &mine("first")).await.unwrap());
    assert!(!store.run_claim(&permit, id, &record.lease, &mine("second")).await.unwrap());
    assert!(store.run_beat(&permit, id, &mine("first")).await.unwrap());
    assert!(!store.run_beat(&permit, id, &mine("a third")).await.unwrap());
}

async fn small_files_are_written_together(house: House) {
    let entry = house.publish(draft("firms")).await;
    full(&house, "0,零,1,2026-01-01\n").await;
    assert_eq!(collection::tidy(&house.app).await.unwrap().compacted, 0);
    for n in 1..=25 {
        increment(&house, &format!("{n},第{n},1,2026-01-01\n{},又,2,2026-01-01\n", n / 2)).await;
    }
    let before = firms(&house).await;
    let versions = house.app.lake.versions("firms").await.unwrap();
    let done = collection::tidy(&house.app).await.unwrap();
    assert_eq!(done.compacted, 1);
    assert_eq!(firms(&house).await, before);
    assert_eq!(house.app.lake.versions("firms").await.unwrap(), versions);
    // Later increments reach the lake and the serving copy as ever.
    let run = increment(&house, "99,末,1,2026-01-01\n").await;
    assert_eq!(run.state, RunState::Succeeded, "{run:?}");
    let position = house.app.store.serving().position(&entry.id).await.unwrap().unwrap();
    assert_eq!(Some(position.1), run.version);
    assert!(firms(&house).await.contains(&"99 末".to_owned()));
    let auditor = house.person("auditor").await;
    let filter = model::audit::AuditFilter {
        action: Some("lake.compact".into()),
        limit: 10,
        ..model::audit::AuditFilter::default()
    };
    assert_eq!(app::audit::list(&house.app, &auditor, &filter).await.unwrap().len(), 1);
}

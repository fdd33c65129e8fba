//! The quarantine desk and error budgets: rows by reason, mended together, never over newer ones; a channel that goes wrong stops
//! where it stands and loses nothing.

use app::catalogue::Move;
use app::collection;
use app::rail;
use futures::StreamExt;

use model::code::SyncMode;
use model::oversight::ChannelRule;
use model::parcel::RunState;
use model::rail::{IncidentKind, RailState};
use model::{Code, Op};
use policy::{Action, Target};
use testkit::{House, Postgres, draft};

use crate::on_both;
use crate::railway::{FIRMS, Source, level, new, stored, until, worker};
use crate::reconciling::compared;

on_both!(rows_are_mended_by_reason, a_file_that_goes_wrong_lands_nothing,);

fn file(rows: impl Iterator<Item = (usize, String, String)>) -> Vec<u8> {
    let mut csv = String::from("编号,名称,金额,日期\n");
    for (id, name, amount) in rows {
        csv.push_str(&format!("{id},{name},{amount},2026-01-01\n"));
    }
    csv.into_bytes()
}

/// An entry whose name must be 甲 or 乙.
async fn narrow(house: &House, code: &str) {
    let mut entry = draft(code);
    entry.items[1].value_domain = "甲|乙".into();
    house.publish(entry).await;
}

async fn rows_are_mended_by_reason(house: House) {
    let (app, provider) = (&house.app, house.person("provider").await);
    narrow(&house, "fenzu").await;
    let bytes = file((1..=75).map(|n| match n {
        1..=40 => (n, "甲".to_owned(), n.to_string()),
        41..=70 => (n, "甲类".to_owned(), n.to_string()),
        _ => (n, "乙".to_owned(), format!("约{n}元")),
    }));
    let run = house.collect("fenzu", "a.csv", &bytes, SyncMode::Full).await.unwrap();
    assert_eq!((run.accepted, run.quarantined), (40, 35));
    let page = collection::groups(app, &provider, None, 1).await.unwrap();
    let first = &page.items[0];
    assert_eq!((first.group.rows, first.group.item.as_str()), (30, "name"), "{first:?}");
    assert_eq!((first.group.channel.as_str(), first.entry_code.as_str()), ("file", "fenzu"));
    assert_eq!(first.item_name, "名称");
    let next = collection::groups(app, &provider, page.next.as_deref(), 1).await.unwrap();
    let second = &next.items[0];
    assert_eq!(
        (second.group.rows, second.group.item.as_str()),
        (5, "amount"),
        "one reason: {second:?}"
    );
    assert!(next.next.is_none());
    // No value is told before the rows are opened.
    let told = format!("{first:?}{second:?}");
    assert!(!told.contains("甲类") && !told.contains("约71元"), "{told}");
    assert!(collection::groups(app, &provider, Some("x"), 1).await.is_err());

    let (many, few) = (first.group.id.clone(), second.group.id.clone());
    for who in ["stranger", "citizen"] {
        let other = house.person(who).await;
        assert!(
            collection::groups(app, &other, None, 0).await.is_ok_and(|p| p.items.is_empty())
                || collection::groups(app, &other, None, 0).await.is_err()
        );
        for refused in [
            collection::group(app, &other, &many).await.map(drop),
            collection::group_rows(app, &other, &many, None, 0).await.map(drop),
            collection::map(app, &other, &many, Some("甲类"), Some("甲")).await.map(drop),
            collection::dismiss_group(app, &other, &many, "x").await.map(drop),
            collection::replay_group(app, &other, &many).await.map(drop),
        ] {
            assert_eq!(refused.unwrap_err().code(), Code::NotFound, "{who}");
        }
    }
    let rows = collection::group_rows(app, &provider, &many, None, 20).await.unwrap();
    let rest =
        collection::group_rows(app, &provider, &many, rows.next.as_deref(), 20).await.unwrap();
    assert_eq!((rows.items.len(), rest.items.len()), (20, 10));
    let csv: Vec<_> = collection::group_csv(app, &provider, &many).await.unwrap().collect().await;
    let csv: Vec<u8> = csv.into_iter().flat_map(|piece| piece.unwrap().to_vec()).collect();
    assert_eq!(String::from_utf8(csv).unwrap().matches("甲类").count(), 60, "value and cell");

    // A value that none has is told; a mapping is not yet a landing.
    let none = collection::map(app, &provider, &many, Some("丙"), Some("甲")).await.unwrap_err();
    assert_eq!(none.code(), Code::InvalidInput);
    let changed = collection::map(app, &provider, &many, Some("甲类"), Some("甲")).await.unwrap();
    assert_eq!(changed, 30);
    let entry = collection::group(app, &provider, &many).await.unwrap();
    assert_eq!(entry.group.rows, 30);
    let runs = collection::replay_group(app, &provider, &many).await.unwrap();
    assert_eq!(runs.len(), 1);
    assert_eq!((runs[0].state, runs[0].accepted, runs[0].read), (RunState::Succeeded, 30, 30));
    assert_eq!(collection::group(app, &provider, &many).await.unwrap().group.rows, 0);
    let now = app::catalogue::get(app, &provider, "fenzu").await.unwrap();
    assert_eq!(now.rows, 70);
    // Read again without a change, the others stay, in their group.
    let runs = collection::replay_group(app, &provider, &few).await.unwrap();
    assert_eq!((runs[0].accepted, runs[0].quarantined), (0, 5));
    assert_eq!(collection::group(app, &provider, &few).await.unwrap().group.rows, 5);
    assert!(collection::dismiss_group(app, &provider, &few, " ").await.is_err());
    assert_eq!(collection::dismiss_group(app, &provider, &few, "无法核实").await.unwrap(), 5);
    assert!(collection::groups(app, &provider, None, 0).await.unwrap().items.is_empty());
    assert!(collection::replay_group(app, &provider, &few).await.is_err());
}

async fn a_file_that_goes_wrong_lands_nothing(house: House) {
    let (app, provider) = (&house.app, house.person("provider").await);
    narrow(&house, "yusuan").await;
    let good = file((1..=40).map(|n| (n, "甲".to_owned(), n.to_string())));
    house.collect("yusuan", "a.csv", &good, SyncMode::Full).await.unwrap();
    let half =
        file((1..=40).map(|n| (n, if n % 2 == 0 { "乙" } else { "丙" }.to_owned(), n.to_string())));
    // Below the number that the rule file asks for.
    let run = house.collect("yusuan", "b.csv", &half, SyncMode::Incremental).await.unwrap();
    assert_eq!((run.state, run.accepted), (RunState::Succeeded, 20));
    let rule =
        ChannelRule { budget_rows: Some(10), budget_share: Some(0.3), ..ChannelRule::default() };
    let wrong = ChannelRule { budget_share: Some(2.0), ..ChannelRule::default() };
    assert!(collection::set_entry_rule(app, &provider, "yusuan", &wrong).await.is_err());
    let stranger = house.person("stranger").await;
    assert!(collection::set_entry_rule(app, &stranger, "yusuan", &rule).await.is_err());
    collection::set_entry_rule(app, &provider, "yusuan", &rule).await.unwrap();
    assert_eq!(collection::entry_rule(app, &provider, "yusuan").await.unwrap(), rule);
    let before = app.lake.newest("yusuan").await.unwrap();
    let full =
        file((1..=40).map(|n| (n, if n % 2 == 0 { "甲" } else { "丁" }.to_owned(), n.to_string())));
    let run = house.collect("yusuan", "c.csv", &full, SyncMode::Full).await.unwrap();
    assert_eq!(run.state, RunState::Failed, "{run:?}");
    assert!(run.message_zh.contains("差错预算") && run.message_zh.contains("name"), "{run:?}");
    assert_eq!(app.lake.newest("yusuan").await.unwrap(), before, "nothing landed");
    // Mended, it goes through.
    let run = house.collect("yusuan", "d.csv", &good, SyncMode::Full).await.unwrap();
    assert_eq!((run.state, run.accepted), (RunState::Succeeded, 40));
}

async fn state(house: &House, op: &Op, id: &str, wanted: RailState) {
    until(wanted.as_str(), async || {
        let view = rail::get(&house.app, op, id).await.unwrap();
        if view.figures.state == wanted { Ok(()) } else { Err(format!("{:?}", view.figures)) }
    })
    .await;
}

/// A source that suddenly sends half of its rows wrong: held before them, mended, resumed; rows set aside before are replayed, and
/// never over newer ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_rail_that_goes_wrong_is_held_and_loses_nothing() {
    let (house, cluster) = (House::new().await, Postgres::start());
    let _ = cluster.database("source");
    let source = Source::open(cluster.port(), "source").await;
    source
        .run(
            "CREATE TABLE firms (id bigint PRIMARY KEY, name text, amount numeric(18,2), day date);
             INSERT INTO firms SELECT n, '企业' || n, n, NULL FROM generate_series(1, 200) n;
             INSERT INTO firms VALUES (201, repeat('长', 30), 1, NULL)",
        )
        .await;
    let (app, provider) = (&house.app, house.person("provider").await);
    let mut entry = draft("firms");
    entry.items[1].length = 10;
    let entry = house.publish(entry).await;
    let kept = stored(app, &provider, cluster.port(), "source").await;
    let made =
        rail::create(app, &provider, new(&kept, &[("public.firms", "firms")])).await.unwrap();
    let id = made.rail.id.clone();
    let rule =
        ChannelRule { budget_rows: Some(20), budget_share: Some(0.2), ..ChannelRule::default() };
    rail::set_rule(app, &provider, &id, &rule).await.unwrap();
    assert!(rail::set_rule(app, &house.person("stranger").await, &id, &rule).await.is_err());
    let working = worker(app);
    state(&house, &provider, &id, RailState::Streaming).await;
    // A few bad rows are set aside; each its own transaction, so that files come to be written together.
    for n in 0..5 {
        source
            .run(&format!("INSERT INTO firms VALUES ({}, repeat('长', 20), {n}, NULL)", 300 + n))
            .await;
    }
    let run = made.tables[0].table.run.clone();
    let aside = async |wanted: usize| {
        until("set aside", async || {
            let page = collection::quarantine(app, &provider, &run, None, 0).await.unwrap();
            let open = page.items.iter().filter(|q| q.state == "open").count();
            if open == wanted { Ok(()) } else { Err(open.to_string()) }
        })
        .await;
    };
    aside(6).await;
    // Newer than what was set aside: one is good now, one is gone.
    source.run("UPDATE firms SET name = '新' WHERE id = 301").await;
    source.run("DELETE FROM firms WHERE id = 302").await;
    // Parcel by parcel, so that there are files to be written together.
    for n in 1..=30 {
        let before = app.lake.version_of("firms").await.unwrap();
        source.run(&format!("UPDATE firms SET amount = amount + 1 WHERE id = {n}")).await;
        until("landed", async || {
            let now = app.lake.version_of("firms").await.unwrap();
            if now > before { Ok(()) } else { Err(format!("{now:?}")) }
        })
        .await;
    }
    let good = format!("{FIRMS} WHERE id NOT IN (201, 300, 303, 304)");
    level(app, &source, "firms", &good).await;

    // Half of them wrong.
    source
        .run("INSERT INTO firms SELECT n, CASE WHEN n % 2 = 0 THEN repeat('长', 20) ELSE '短' END, n, NULL FROM generate_series(1001, 1300) n")
        .await;
    state(&house, &provider, &id, RailState::Held).await;
    let told = rail::incidents(app, &provider, &id, None, 0).await.unwrap().items;
    let budget = told.iter().find(|i| i.kind == IncidentKind::Budget).unwrap();
    assert!(
        budget.open && budget.zh.contains("差错预算") && budget.zh.contains("name"),
        "{budget:?}"
    );
    aside(6).await;
    level(app, &source, "firms", &format!("{good} AND id < 1000")).await;
    // Resumed without mending it is held again, and nothing has moved.
    rail::resume(app, &provider, &id).await.unwrap();
    until("held again", async || {
        let told = rail::incidents(app, &provider, &id, None, 0).await.unwrap().items;
        let held = told.iter().filter(|i| i.kind == IncidentKind::Budget).count();
        if held == 2 { Ok(()) } else { Err(held.to_string()) }
    })
    .await;
    state(&house, &provider, &id, RailState::Held).await;

    let now = app::catalogue::get(app, &provider, "firms").await.unwrap();
    let mut mended = now.draft.clone();
    mended.items[1].length = 100;
    app::catalogue::edit(app, &provider, &entry.id, mended, now.version).await.unwrap();
    let authority = house.person("authority").await;
    app::catalogue::step(app, &authority, &entry.id, Move::Approve, "").await.unwrap();
    rail::resume(app, &provider, &id).await.unwrap();
    level(app, &source, "firms", &good).await;

    // What compaction has dropped is not forgotten: a deleted key stays deleted.
    let system = Op::system(app.now());
    let permit =
        app.policy.permit(&system, Action::SystemWork, &Target::plain("System", "test")).unwrap();
    let compacted = app.lake.compact(&permit, &system, "firms").await.unwrap();
    assert!(compacted.is_some(), "files were written together");
    let group = collection::groups(app, &provider, None, 0).await.unwrap().items.remove(0);
    assert_eq!((group.group.rows, group.group.channel.as_str()), (6, "rail"), "{group:?}");
    let runs = collection::replay_group(app, &provider, &group.group.id).await.unwrap();
    assert_eq!((runs[0].accepted, runs[0].quarantined), (4, 2), "{runs:?}");
    level(app, &source, "firms", FIRMS).await;
    let rest = collection::quarantine(app, &provider, &run, None, 0).await.unwrap().items;
    let late: Vec<_> = rest.iter().filter(|q| q.state == "open").collect();
    assert!(late.len() == 2 && late.iter().all(|q| q.reject.en.contains("newer data")), "{late:?}");
    // The rail goes on, and agrees with its source.
    source.run("UPDATE firms SET name = '后' WHERE id IN (201, 303)").await;
    level(app, &source, "firms", FIRMS).await;
    let equal = compared(app, &provider, "firms", false).await;
    assert_eq!(equal.differences(), 0, "{equal:?}");
    rail::stop(app).await;
    working.abort();
}

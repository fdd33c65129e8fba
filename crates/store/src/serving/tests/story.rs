//! Promises of the serving copy, each told as a story and kept by both databases.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use model::code::{DataType, Grade, SyncMode};
use model::item::Item;
use model::mask::Mask;
use model::query::{Comparison, Condition, Count, Order, RowPage, RowQuery};
use model::value::Value;
use model::{Code, Error, Result};
use policy::GrantColumn;

use super::super::sql::View;
use super::super::sqlite::{LOG_PAGES, Sqlite};
use super::{Operation, Parcel, Served, batch, columns, entry, eq, protection, view};

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_its_promises() {
    story(&Served::sqlite()).await;
}

fn person(id: &str, no: i64, name: &str) -> (Operation, Vec<Value>) {
    let mut row = vec![Value::Null; 9];
    row[0] = Value::Text(id.into());
    row[1] = Value::Integer(no);
    row[8] = Value::Text(name.into());
    (Operation::Insert, row)
}

pub(super) async fn story(served: &Served) {
    masks_and_refusals(served).await;
    tokens_are_sealed_and_bound(served).await;
    a_failed_stream_changes_nothing(served).await;
    changed_items_carry_the_rows_over(served).await;
    a_hidden_key_does_not_show_in_the_order(served).await;
    a_table_of_before_the_hashes_is_filled_on(served).await;
}

async fn masks_and_refusals(served: &Served) {
    let entry = entry("story1", &["id"]);
    let mut granted = columns(&entry);
    granted.retain(|c| ["id", "no", "name"].contains(&c.identifier.as_str()));
    granted[2].mask = Some(Mask::Keep { head: 1, tail: 0 });
    granted[2].filterable = false;
    let view = view(&entry, &granted);
    let ask = |query: RowQuery| async move { served.run(&view, &query).await };
    let code = |r: Result<RowPage>| r.map_err(|e| (e.code(), e.en().to_owned())).unwrap_err();

    // Nothing landed yet: an empty answer, but a wrong query is still refused.
    let page = ask(RowQuery { count: Count::Exact, ..RowQuery::default() }).await.unwrap();
    assert_eq!((page.rows.len(), page.total, page.columns.len()), (0, Some(0), 3));
    let rows = vec![person("a", 1, "张三"), person("b", 2, "李四"), person("a", 3, "王五")];
    assert_eq!(served.fill(&entry, &Parcel { mode: SyncMode::Full, rows }, 1).await.unwrap(), 2);

    let page = ask(RowQuery { filter: Some(eq("id", "a")), ..RowQuery::default() }).await.unwrap();
    let text = |s: &str| Value::Text(s.into());
    assert_eq!(page.rows, vec![vec![text("a"), Value::Integer(3), text("王*")]]);
    // A masked look-up item may be compared by equality with the true value.
    let page =
        ask(RowQuery { filter: Some(eq("name", "李四")), ..RowQuery::default() }).await.unwrap();
    assert_eq!(page.rows[0][2], text("李*"));
    let like =
        Condition::Column { column: "name".into(), comparison: Comparison::Like("李%".into()) };
    let (c, message) = code(ask(RowQuery { filter: Some(like), ..RowQuery::default() }).await);
    assert!(c == Code::InvalidQuery && message.contains("`name`"), "{message}");
    // Not by saying what it is not: that would find the rows of keys nobody named.
    let not = |c: Condition| Condition::Not(Box::new(c));
    let within = Condition::Or(vec![eq("no", "1"), eq("name", "李四")]);
    for negated in [not(eq("name", "李四")), not(within), not(not(eq("name", "李四")))] {
        let (c, message) =
            code(ask(RowQuery { filter: Some(negated), ..RowQuery::default() }).await);
        assert!(c == Code::InvalidQuery && message.contains("`name`"), "{message}");
    }
    let order = Order { column: "name".into(), descending: false, nulls_first: None };
    let (c, message) = code(ask(RowQuery { order: vec![order], ..RowQuery::default() }).await);
    assert!(c == Code::InvalidQuery && message.contains("`name`"), "{message}");
    // What is not granted cannot be selected, filtered or ordered, and reads as what does not exist.
    for column in ["amount", "nonsense"] {
        let select = vec![(column.to_owned(), None)];
        let (c, message) = code(ask(RowQuery { select, ..RowQuery::default() }).await);
        assert!(c == Code::ColumnNotGranted && message.contains(column));
        let (c, _) =
            code(ask(RowQuery { filter: Some(eq(column, "1")), ..RowQuery::default() }).await);
        assert_eq!(c, Code::ColumnNotGranted);
        let order = Order { column: column.into(), descending: false, nulls_first: None };
        let (c, _) = code(ask(RowQuery { order: vec![order], ..RowQuery::default() }).await);
        assert_eq!(c, Code::ColumnNotGranted);
    }
    let (c, message) =
        code(ask(RowQuery { filter: Some(eq("no", "x' OR 1=1")), ..RowQuery::default() }).await);
    assert!(c == Code::InvalidQuery && message.contains("`no`"), "{message}");
    let (c, _) = code(ask(RowQuery { offset: 1_000_000, ..RowQuery::default() }).await);
    assert_eq!(c, Code::InvalidQuery);
    let deep = (0..100).fold(eq("no", "1"), |c, _| Condition::Not(Box::new(c)));
    assert_eq!(
        code(ask(RowQuery { filter: Some(deep), ..RowQuery::default() }).await).0,
        Code::InvalidQuery
    );

    // The cap holds whatever is asked for; aliases name the columns.
    let capped = View { row_cap: 1, ..view };
    let select = vec![("name".to_owned(), Some("who".to_owned())), ("no".to_owned(), None)];
    let query = RowQuery { select, limit: Some(50), ..RowQuery::default() };
    let page = served.run(&capped, &query).await.unwrap();
    assert_eq!((page.columns, page.rows.len()), (vec!["who".to_owned(), "no".to_owned()], 1));
    assert!(page.next.is_some());
}

async fn tokens_are_sealed_and_bound(served: &Served) {
    let entry = entry("story2", &["id"]);
    let granted: Vec<GrantColumn> =
        columns(&entry).into_iter().filter(|c| c.identifier == "no").collect();
    let view = view(&entry, &granted);
    let rows = (0..10).map(|n| person(&format!("secret-{n}"), n, "x")).collect();
    served.fill(&entry, &Parcel { mode: SyncMode::Full, rows }, 1).await.unwrap();
    let mut query = RowQuery { limit: Some(4), ..RowQuery::default() };
    let page = served.run(&view, &query).await.unwrap();
    let token = page.next.unwrap();
    assert!(
        !token.contains("secret")
            && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    );
    query.after = Some(token);
    // A full refresh in between: pages by key simply go on.
    let rows = (0..12).map(|n| person(&format!("secret-{n:x}"), n, "x")).collect();
    served.fill(&entry, &Parcel { mode: SyncMode::Full, rows }, 2).await.unwrap();
    let page = served.run(&view, &query).await.unwrap();
    assert_eq!(page.rows[0], vec![Value::Integer(4)]);
    // With another filter the token does not hold, nor when altered.
    let other = RowQuery { filter: Some(eq("no", "5")), ..query.clone() };
    assert_eq!(served.run(&view, &other).await.unwrap_err().code(), Code::InvalidQuery);
    let altered = RowQuery { after: Some("v1.aes256gcm.AAAA".into()), ..query };
    assert_eq!(served.run(&view, &altered).await.unwrap_err().code(), Code::InvalidQuery);

    // Without a key the row numbers are renewed by a full refresh, and the token says so.
    let keyless = super::entry("story3", &[]);
    let view = super::view(&keyless, &granted);
    let rows: Vec<_> = (0..10).map(|n| person("x", n, "x")).collect();
    served.fill(&keyless, &Parcel { mode: SyncMode::Full, rows: rows.clone() }, 1).await.unwrap();
    let mut query = RowQuery { limit: Some(4), ..RowQuery::default() };
    query.after = served.run(&view, &query).await.unwrap().next;
    assert_eq!(served.run(&view, &query).await.unwrap().rows[0], vec![Value::Integer(4)]);
    served.fill(&keyless, &Parcel { mode: SyncMode::Full, rows }, 2).await.unwrap();
    assert_eq!(served.run(&view, &query).await.unwrap_err().code(), Code::Stale);
}

async fn a_failed_stream_changes_nothing(served: &Served) {
    let entry = entry("story4", &["id"]);
    let first = Parcel { mode: SyncMode::Full, rows: vec![person("a", 1, "x")] };
    served.fill(&entry, &first, 1).await.unwrap();
    for mode in [SyncMode::Full, SyncMode::Incremental] {
        let good = batch(&entry.draft.items, &[person("b", 2, "y"), person("a", 9, "z")]);
        let rows =
            futures::stream::iter(vec![Ok(good), Err(Error::internal("the disk is gone"))]).boxed();
        let failed = match served {
            Served::Sqlite(s, _) => s.fill(&entry, mode, "p2", 2, rows).await,
            Served::Postgres(s) => s.fill(&entry, mode, "p2", 2, rows).await,
        };
        assert!(failed.unwrap_err().operator_text().contains("the disk is gone"));
        assert_eq!(served.position("story4").await, Some(("parcel-1".into(), 1)));
    }
    let granted = columns(&entry);
    let page = served.run(&view(&entry, &granted), &RowQuery::default()).await.unwrap();
    assert_eq!((page.rows.len(), &page.rows[0][1]), (1, &Value::Integer(1)));
}

async fn changed_items_carry_the_rows_over(served: &Served) {
    let mut entry = entry("story5", &["id"]);
    let first =
        Parcel { mode: SyncMode::Full, rows: vec![person("a", 1, "x"), person("b", 2, "y")] };
    served.fill(&entry, &first, 1).await.unwrap();
    let mut added = Item::new("extra", "附加", DataType::Text);
    added.lookup = true;
    entry.draft.items.insert(0, added);
    let granted = columns(&entry);
    let view = view(&entry, &granted);
    // Before the next landing the new item is null everywhere.
    let is_null = Condition::Column { column: "extra".into(), comparison: Comparison::IsNull };
    let query = RowQuery { filter: Some(is_null), ..RowQuery::default() };
    assert_eq!(served.run(&view, &query).await.unwrap().rows.len(), 2);
    let (operation, mut row) = person("b", 5, "y");
    row.insert(0, Value::Text("new".into()));
    let second = Parcel { mode: SyncMode::Incremental, rows: vec![(operation, row)] };
    assert_eq!(served.fill(&entry, &second, 2).await.unwrap(), 2);
    assert_eq!(served.run(&view, &query).await.unwrap().rows.len(), 1);
    let query = RowQuery { filter: Some(eq("extra", "new")), ..RowQuery::default() };
    assert_eq!(served.run(&view, &query).await.unwrap().rows[0][2], Value::Integer(5));
    // A changed type cannot be merged into what is there.
    entry.draft.items[2].data_type = DataType::Text;
    let third = Parcel { mode: SyncMode::Incremental, rows: vec![] };
    assert_eq!(served.fill(&entry, &third, 3).await.unwrap_err().code(), Code::WrongState);
}

/// All rows' numbers, page by page.
async fn numbers(served: &Served, view: &View<'_>, mut query: RowQuery) -> Vec<i64> {
    let mut all = Vec::new();
    loop {
        let page = served.run(view, &query).await.unwrap();
        all.extend(page.rows.iter().map(|r| match r[0] {
            Value::Integer(n) => n,
            _ => panic!("no number"),
        }));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return all,
        }
    }
}

async fn a_hidden_key_does_not_show_in_the_order(served: &Served) {
    let mut entry = entry("story6", &["id"]);
    entry.draft.items[0].grade = Grade::L3;
    let people = |n: i64| (0..n).map(|n| person(&format!("{n:04}"), n, "x")).collect::<Vec<_>>();
    served.fill(&entry, &Parcel { mode: SyncMode::Full, rows: people(200) }, 1).await.unwrap();
    let all = columns(&entry);
    let absent: Vec<GrantColumn> = all.iter().filter(|c| c.identifier == "no").cloned().collect();
    let masked: Vec<GrantColumn> = {
        let mut two: Vec<_> = ["no", "id"]
            .iter()
            .map(|name| all.iter().find(|c| c.identifier == *name).cloned().unwrap())
            .collect();
        two[1].mask = Some(Mask::Replace);
        two
    };
    let query = RowQuery { limit: Some(30), ..RowQuery::default() };
    for granted in [&absent, &masked] {
        let seen = numbers(served, &view(&entry, granted), query.clone()).await;
        let mut sorted = seen.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..200).collect::<Vec<_>>(), "every row once");
        let rising = seen.windows(2).filter(|w| w[0] < w[1]).count();
        assert!((60..140).contains(&rising), "{rising} of 199 neighbours rise");
    }
    // Equal rows of a visible order are told apart by the hash, too.
    let order = vec![Order { column: "no".into(), descending: true, nulls_first: None }];
    let ordered = RowQuery { order, ..query.clone() };
    let seen = numbers(served, &view(&entry, &masked), ordered).await;
    assert_eq!(seen, (0..200).rev().collect::<Vec<_>>());
    // Who may see the key has its order, and pages by the hash outlive a full refresh.
    let mut plain = vec![absent[0].clone()];
    plain.extend(all.iter().filter(|c| c.identifier == "id").cloned());
    let seen = numbers(served, &view(&entry, &plain), query.clone()).await;
    assert_eq!(seen, (0..200).collect::<Vec<_>>());
    let hidden = view(&entry, &absent);
    let first = served.run(&hidden, &query).await.unwrap();
    served.fill(&entry, &Parcel { mode: SyncMode::Full, rows: people(200) }, 2).await.unwrap();
    let more = vec![person("9999", 200, "x"), (Operation::Delete, person("0000", 0, "x").1)];
    served.fill(&entry, &Parcel { mode: SyncMode::Incremental, rows: more }, 3).await.unwrap();
    let rest = numbers(served, &hidden, RowQuery { after: first.next, ..query }).await;
    assert!(
        rest.len() >= 169
            && first.rows.iter().all(|r| match r[0] {
                Value::Integer(n) => !rest.contains(&n),
                _ => false,
            })
    );
}

/// A key that has become secret since the last full load: rows come as they were landed until the next.
async fn a_table_of_before_the_hashes_is_filled_on(served: &Served) {
    let mut entry = entry("story7", &["id"]);
    let rows = vec![person("b", 1, "x"), person("a", 2, "x")];
    served.fill(&entry, &Parcel { mode: SyncMode::Full, rows }, 1).await.unwrap();
    let mut granted: Vec<_> = columns(&entry)
        .into_iter()
        .filter(|c| ["id", "no"].contains(&c.identifier.as_str()))
        .collect();
    granted.reverse();
    granted[1].mask = Some(Mask::Replace);
    let query = RowQuery { limit: Some(1), ..RowQuery::default() };
    assert_eq!(numbers(served, &view(&entry, &granted), query.clone()).await, [1, 2]);
    entry.draft.items[0].grade = Grade::L3;
    let rows = vec![person("c", 3, "x")];
    served.fill(&entry, &Parcel { mode: SyncMode::Incremental, rows }, 2).await.unwrap();
    assert_eq!(numbers(served, &view(&entry, &granted), query.clone()).await, [1, 2, 3]);
    let rows = vec![person("a", 2, "x"), person("b", 1, "x"), person("c", 3, "x")];
    served.fill(&entry, &Parcel { mode: SyncMode::Full, rows }, 3).await.unwrap();
    // And back: the key is public again, the table keeps its hashes.
    entry.draft.items[0].grade = Grade::L1;
    let rows = vec![person("d", 4, "x")];
    served.fill(&entry, &Parcel { mode: SyncMode::Incremental, rows }, 4).await.unwrap();
    let mut seen = numbers(served, &view(&entry, &granted), query).await;
    seen.sort_unstable();
    assert_eq!(seen, [1, 2, 3, 4]);
}

/// A list that takes too long is stopped by the database, and its connection serves the next query.
#[tokio::test]
async fn a_slow_query_is_stopped() {
    let served = Served::sqlite();
    let entry = entry("slow", &["id"]);
    let rows = (0..3000).map(|n| person(&format!("{n:04}"), n, "some longer text")).collect();
    served.fill(&entry, &Parcel { mode: SyncMode::Full, rows }, 1).await.unwrap();
    let granted = columns(&entry);
    let like =
        Condition::Column { column: "name".into(), comparison: Comparison::Ilike("%z%y%".into()) };
    let query = RowQuery { filter: Some(like), count: Count::Exact, ..RowQuery::default() };
    let Served::Sqlite(sqlite, _) = &served else { panic!("SQLite") };
    let stopped = sqlite.run_within(Duration::ZERO, &view(&entry, &granted), &query).unwrap_err();
    assert_eq!(stopped.code(), Code::QueryTooSlow);
    let page = sqlite.run_within(super::super::LONGEST, &view(&entry, &granted), &query).unwrap();
    assert_eq!(page.total, Some(0));
}

/// Callers nobody knows fill their own turns, not those of the others.
#[tokio::test]
async fn strangers_wait_for_strangers() {
    use super::super::{LISTS, OPEN_LISTS, PUBLIC, Turns};
    let turns = Turns::new(Duration::from_millis(20));
    let mut held = Vec::new();
    for _ in 0..OPEN_LISTS {
        held.push(turns.take(PUBLIC).await.unwrap());
    }
    assert_eq!(turns.take(PUBLIC).await.unwrap_err().code(), Code::StoreUnavailable);
    for _ in OPEN_LISTS..LISTS {
        held.push(turns.take("an application").await.unwrap());
    }
    assert_eq!(turns.take("an application").await.unwrap_err().code(), Code::StoreUnavailable);
    held.pop();
    assert!(turns.take("an application").await.is_ok());
}

/// A small load leaves the log as it is, many do not make it long, and behind a large one nothing stands in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_moved_when_it_is_long() {
    let folder = tempfile::tempdir().unwrap();
    let copy = Sqlite::open(folder.path(), protection()).unwrap();
    let entry = entry("log", &["id"]);
    let fill = async |mode, rows: Vec<_>, version: i64| {
        let parcel = Parcel { mode, rows };
        let id = format!("parcel-{version}");
        copy.fill(&entry, mode, &id, version, parcel.stream(&entry)).await.unwrap();
        copy.in_log().unwrap()
    };
    let before = fill(SyncMode::Full, vec![person("a", 1, "x")], 1).await;
    let mut last = fill(SyncMode::Incremental, vec![person("b", 2, "x")], 2).await;
    assert!(0 < before && before < last && last <= LOG_PAGES, "{before} {last}");
    let mut moves = 0;
    for n in 3..=300 {
        let now = fill(SyncMode::Incremental, vec![person(&format!("p{n}"), n, "x")], n).await;
        assert!(now <= LOG_PAGES, "{now} after load {n}");
        moves += i64::from(now < last);
        last = now;
    }
    assert!((1..100).contains(&moves), "moved {moves} times by 300 small loads");
    let long = "长".repeat(200);
    let rows = (0..3_000).map(|n| person(&format!("p{n}"), n, &long)).collect();
    assert_eq!(fill(SyncMode::Full, rows, 301).await, 0);
}

/// Rows stay readable, and consistent with their mark, while they are replaced again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_never_see_a_swap_half_done() {
    let served = Arc::new(Served::sqlite());
    let entry = Arc::new(entry("busy", &["id"]));
    let parcel = |n: i64| Parcel {
        mode: SyncMode::Full,
        rows: (0..50).map(|i| person(&format!("p{i}"), n, "x")).collect(),
    };
    served.fill(&entry, &parcel(1), 1).await.unwrap();
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (served, entry) = (Arc::clone(&served), Arc::clone(&entry));
            tokio::spawn(async move {
                let granted = columns(&entry);
                let view = view(&entry, &granted);
                let mut last = 0;
                while last < 30 {
                    let query = RowQuery { count: Count::Exact, ..RowQuery::default() };
                    let page = served.run(&view, &query).await.unwrap();
                    assert_eq!((page.rows.len(), page.total), (50, Some(50)));
                    let Value::Integer(n) = page.rows[0][1] else { panic!("no number") };
                    assert!(n >= last && page.rows.iter().all(|r| r[1] == Value::Integer(n)));
                    last = n;
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for n in 2..=30 {
        served.fill(&entry, &parcel(n), n).await.unwrap();
    }
    for reader in readers {
        tokio::time::timeout(Duration::from_secs(60), reader).await.unwrap().unwrap();
    }
}

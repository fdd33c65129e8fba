//! Releases through real grants: masks, row filter, refusals, order, caps, paging, time travel.

use futures::TryStreamExt;
use model::batch::{Batch, Column};
use model::code::{DataType, Grade, OpenType, ShareType, SyncMode};
use model::entry::Entry;
use model::item::Item;
use model::mask::{Generalise, Mask};
use model::query::{Comparison, Condition, Order, RowQuery};
use model::request::{Period, Request, RequestState};
use model::value::{LineForm, Lines, Rows, Value};
use model::{Actor, Code, Op, Result};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use policy::{Action, Grant, GrantAsk, Policy, Via};

use super::entries::{House, entry, house, item, key, op_at, start, texts};

/// `citizen`: id (key), xm (kept first character), sfzh (look-up, L3), csrq (year), sr (rounded), xzqh, gz (not shared).
pub(super) fn citizen() -> Entry {
    let mut entry = entry(
        "citizen",
        vec![
            key("id", DataType::Integer),
            Item { mask: Some(Mask::Keep { head: 1, tail: 0 }), ..item("xm", DataType::Text) },
            Item {
                lookup: true,
                grade: Grade::L3,
                mask: Some(Mask::Keep { head: 2, tail: 1 }),
                ..item("sfzh", DataType::Text)
            },
            Item {
                mask: Some(Mask::Generalise { to: Generalise::Year }),
                ..item("csrq", DataType::Date)
            },
            Item {
                precision: 12,
                scale: 2,
                mask: Some(Mask::Round { step: 100 }),
                ..item("sr", DataType::Decimal)
            },
            item("xzqh", DataType::Text),
            item("ok", DataType::Boolean),
            item("at", DataType::DateTime),
            Item { share_type: ShareType::None, ..item("gz", DataType::Integer) },
        ],
    );
    entry.draft.share_type = ShareType::Restricted;
    entry.draft.open_type = OpenType::None;
    entry
}

fn citizens() -> Batch {
    let t = |v: [&str; 4]| texts(&v.map(Some));
    Batch {
        columns: vec![
            Column::Integer(vec![Some(3), Some(1), Some(2), Some(4)]),
            t(["张三丰", "李四", "王五", "赵六"]),
            t(["330106A", "330106B", "330203C", "330106D"]),
            Column::Date(vec![Some(0), Some(400), Some(800), None]),
            Column::Decimal {
                scale: 2,
                values: vec![Some(123_456), Some(9_999), Some(50_000), None],
            },
            t(["330106", "330106", "330203", "330106"]),
            Column::Boolean(vec![Some(true), Some(false), None, Some(true)]),
            Column::DateTime((1..5).map(|n| Some(n * 1_000_000)).collect()),
            Column::Integer(vec![Some(1); 4]),
        ],
        records: vec![1, 2, 3, 4],
        operations: Vec::new(),
    }
}

fn caller() -> Op {
    let app = Actor::Application {
        id: "app1".into(),
        key: "key-app1".into(),
        name: "应用".into(),
        org: "org2".into(),
        public_body: true,
    };
    Op::new(app, "r1".into(), "-".into(), start())
}

fn request(entry: &Entry, items: &[&str], area: &str) -> Request {
    Request {
        id: "req1".into(),
        entry: entry.id.clone(),
        entry_code: entry.draft.code.clone(),
        entry_title: String::new(),
        provider: "org1".into(),
        application: "app1".into(),
        application_name: String::new(),
        org: "org2".into(),
        way: model::request::RequestWay::Share,
        region: String::new(),
        items: items.iter().map(|i| (*i).to_owned()).collect(),
        scene: "核验".into(),
        legal_basis: String::new(),
        period: Period::Long,
        calls_per_day: 1000,
        area_range: area.into(),
        row_range: Default::default(),
        by_sql: false,
        state: RequestState::Approved,
        due: None,
        expires_at: None,
        applicant: "u2".into(),
        created_at: String::new(),
        updated_at: String::new(),
    }
}

pub(super) const ITEMS: [&str; 8] = ["id", "xm", "sfzh", "csrq", "sr", "xzqh", "ok", "at"];

pub(super) fn grant(items: &[&str], area: &str, row_cap: u64) -> Grant {
    let entry = citizen();
    let request = request(&entry, items, area);
    let ask =
        GrantAsk { action: Action::RowsQuery, entry: &entry, via: Via::Request(&request), row_cap };
    Policy::shipped().unwrap().grant(&caller(), &ask).unwrap()
}

fn open_grant(entry: &Entry, action: Action) -> Grant {
    let ask = GrantAsk { action, entry, via: Via::Open, row_cap: 0 };
    let nobody = Op::new(Actor::Nobody, "r".into(), "-".into(), start());
    Policy::shipped().unwrap().grant(&nobody, &ask).unwrap()
}

pub(super) async fn landed() -> House {
    let house = house();
    house.land(0, &citizen(), "p1", SyncMode::Full, vec![citizens()]).await.unwrap();
    house
}

pub(super) async fn scan(house: &House, grant: &Grant, query: &RowQuery) -> Result<Rows> {
    let pieces: Vec<Rows> =
        house.lake.scan_granted(grant, query, None).await?.try_collect().await?;
    let columns = pieces.first().unwrap().columns.clone();
    Ok(Rows { columns, rows: pieces.into_iter().flat_map(|p| p.rows).collect() })
}

/// Rows as `a|b|c` lines, null as `-`.
fn lines(rows: &Rows) -> Vec<String> {
    let cell = |v: &Value| v.to_text().unwrap_or_else(|| "-".into());
    rows.rows.iter().map(|r| r.iter().map(cell).collect::<Vec<_>>().join("|")).collect()
}

fn is(column: &str, comparison: Comparison) -> Option<Condition> {
    Some(Condition::Column { column: column.into(), comparison })
}

fn where_(filter: Option<Condition>) -> RowQuery {
    RowQuery { filter, select: vec![("id".into(), None)], ..RowQuery::default() }
}

/// What leaves as lines is what leaves as rows, masks and numbers included.
#[tokio::test]
async fn lines_are_the_rows_of_a_scan() {
    let house = landed().await;
    let grant = grant(&ITEMS, "", 0);
    let query = RowQuery::default();
    let rows = scan(&house, &grant, &query).await.unwrap();
    assert_eq!(rows.rows.len(), 4);
    for passed in [None, Some(7)] {
        let form = LineForm { between: b',', passed, harmless: false };
        let stream = house.lake.lines_granted(&grant, &query, None, form).await.unwrap();
        let pieces: Vec<Lines> = stream.try_collect().await.unwrap();
        assert_eq!(pieces.iter().map(|p| p.rows).sum::<usize>(), 4);
        let bytes: Vec<u8> = pieces.into_iter().flat_map(|p| p.bytes).collect();
        let mut writer =
            csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        for (n, row) in (1_u64..).zip(&rows.rows) {
            let number = passed.map(|before| (before + n).to_string());
            let cells = row.iter().map(|v| v.to_text().unwrap_or_default());
            writer.write_record(number.into_iter().chain(cells)).unwrap();
        }
        let wanted = writer.into_inner().unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), String::from_utf8_lossy(&wanted));
    }
}

/// What leaves as a file by column is what leaves as rows, masks and row filter included.
#[tokio::test]
async fn a_column_file_holds_the_rows_of_a_scan() {
    let house = landed().await;
    let grant = grant(&ITEMS, "330100", 0);
    let query = RowQuery::default();
    let rows = scan(&house, &grant, &query).await.unwrap();
    let file = async || {
        let stream = house.lake.column_file_granted(&grant, &query, None).await.unwrap();
        let pieces: Vec<Lines> = stream.try_collect().await.unwrap();
        assert_eq!(pieces.iter().map(|p| p.rows).sum::<usize>(), rows.rows.len());
        pieces.into_iter().flat_map(|p| p.bytes).collect::<Vec<u8>>()
    };
    let bytes = file().await;
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    assert!(file().await == bytes, "the same again");
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
    let names: Vec<&str> = reader.schema().fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(names, rows.columns);
    let mut told: Vec<Vec<Value>> = Vec::new();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        let columns: Vec<crate::cells::Cells<'_>> =
            batch.columns().iter().map(|c| crate::cells::Cells::of(c.as_ref()).unwrap()).collect();
        told.extend(
            (0..batch.num_rows()).map(|row| columns.iter().map(|c| c.value(row)).collect()),
        );
    }
    assert_eq!(told, rows.rows);
}

#[tokio::test]
async fn rows_leave_masked_and_in_key_order() {
    let house = landed().await;
    let rows = scan(&house, &grant(&ITEMS, "", 0), &RowQuery::default()).await.unwrap();
    assert_eq!(rows.columns, ITEMS);
    assert_eq!(
        lines(&rows),
        [
            "1|李*|33****B|1971|0.00|330106|false|1970-01-01T00:00:02",
            "2|王*|33****C|1972|500.00|330203|-|1970-01-01T00:00:03",
            "3|张**|33****A|1970|1200.00|330106|true|1970-01-01T00:00:01",
            "4|赵*|33****D|-|-|330106|true|1970-01-01T00:00:04",
        ]
    );
    // Types: a rounded number stays one.
    assert!(matches!(rows.rows[0][4], Value::Decimal(_)));
    // What is not shared is not there; aliases are.
    let query = RowQuery {
        select: vec![("xm".into(), Some("name".into())), ("id".into(), None)],
        ..RowQuery::default()
    };
    let rows = scan(&house, &grant(&ITEMS, "", 0), &query).await.unwrap();
    assert_eq!((rows.columns, rows.rows.len()), (vec!["name".to_owned(), "id".to_owned()], 4));
}

#[tokio::test]
async fn the_row_filter_of_the_grant_always_holds() {
    let house = landed().await;
    let hangzhou = grant(&["id"], "330100", 0);
    assert_eq!(
        lines(&scan(&house, &hangzhou, &RowQuery::default()).await.unwrap()),
        ["1", "3", "4"]
    );
    let other = where_(is("id", Comparison::Eq("2".into())));
    let rows = scan(&house, &hangzhou, &other).await.unwrap();
    assert_eq!((rows.columns, rows.rows.len()), (vec!["id".to_owned()], 0));
    let any = Condition::Or(vec![
        is("id", Comparison::Gt("0".into())).unwrap(),
        Condition::Not(Box::new(is("id", Comparison::Gt("0".into())).unwrap())),
    ]);
    assert_eq!(lines(&scan(&house, &hangzhou, &where_(Some(any))).await.unwrap()).len(), 3);
}

#[tokio::test]
async fn what_is_not_granted_is_refused() {
    let house = landed().await;
    let all = grant(&ITEMS, "", 0);
    let narrow = grant(&["id", "xm"], "", 0);
    let order = |column: &str| RowQuery {
        order: vec![Order { column: column.into(), descending: false, nulls_first: None }],
        ..RowQuery::default()
    };
    let select =
        |column: &str| RowQuery { select: vec![(column.into(), None)], ..RowQuery::default() };
    let eq = |column: &str| where_(is(column, Comparison::Eq("1".into())));
    let not_lookup = Condition::Not(Box::new(is("sfzh", Comparison::Eq("x".into())).unwrap()));
    for (grant, query) in [
        (&all, select("gz")),
        (&all, select("dsc_parcel")),
        (&narrow, select("sfzh")),
        (&all, eq("gz")),
        (&all, eq("dsc_parcel")),
        (&narrow, eq("xzqh")),
        (&all, eq("xm")),
        (&all, where_(is("sfzh", Comparison::Like("33%".into())))),
        (&all, where_(is("sfzh", Comparison::Gt("33".into())))),
        (&all, where_(is("sfzh", Comparison::IsNull))),
        (&all, where_(Some(not_lookup))),
        (&all, order("xm")),
        (&all, order("sfzh")),
        (&all, order("gz")),
    ] {
        let error = scan(&house, grant, &query).await.unwrap_err();
        assert_eq!(error.code(), Code::ColumnNotGranted, "{query:?}");
    }
    for query in [
        where_(is("id", Comparison::Eq("one".into()))),
        where_(is("id", Comparison::Like("1%".into()))),
        where_(is("at", Comparison::Gt("yesterday".into()))),
        where_(is("xzqh", Comparison::IsTrue)),
        where_(Some(Condition::Or(vec![is("id", Comparison::IsNull).unwrap(); 1001]))),
        RowQuery { after: Some("token".into()), ..RowQuery::default() },
        RowQuery { select: vec![("id".into(), None), ("id".into(), None)], ..RowQuery::default() },
    ] {
        let error = scan(&house, &all, &query).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidQuery, "{query:?}");
    }
}

#[tokio::test]
async fn filters_compare_by_type() {
    let house = landed().await;
    let all = grant(&ITEMS, "", 0);
    let text = |s: &str| s.to_owned();
    for (condition, want) in [
        (is("id", Comparison::Gte(text("3"))), vec!["3", "4"]),
        (is("id", Comparison::Neq(text("3"))), vec!["1", "2", "4"]),
        (is("id", Comparison::In(vec![text("4"), text("1"), text("9")])), vec!["1", "4"]),
        (is("id", Comparison::In(vec![])), vec![]),
        (is("sfzh", Comparison::Eq(text("330203C"))), vec!["2"]),
        (is("sfzh", Comparison::In(vec![text("330203C"), text("330106D")])), vec!["2", "4"]),
        (is("xzqh", Comparison::Like(text("3302%"))), vec!["2"]),
        (is("ok", Comparison::IsTrue), vec!["3", "4"]),
        (is("ok", Comparison::IsFalse), vec!["1"]),
        (is("ok", Comparison::IsNull), vec!["2"]),
        (is("ok", Comparison::Eq(text("true"))), vec!["3", "4"]),
        (is("at", Comparison::Lt(text("1970-01-01T00:00:02"))), vec!["3"]),
        (is("at", Comparison::Lte(text("1970-01-01 00:00:02"))), vec!["1", "3"]),
        (is("at", Comparison::Eq(text("1969-12-31T16:00:02Z"))), vec!["1"]),
        (is("at", Comparison::Gt(text("1970-01-01"))), vec!["1", "2", "3", "4"]),
        (Some(Condition::And(vec![])), vec!["1", "2", "3", "4"]),
        (Some(Condition::Or(vec![])), vec![]),
    ] {
        let rows = scan(&house, &all, &where_(condition.clone())).await.unwrap();
        assert_eq!(lines(&rows), want, "{condition:?}");
    }
    // A thousand terms are one balanced tree.
    let wide = Condition::Or(vec![is("id", Comparison::Eq(text("1"))).unwrap(); 1000]);
    assert_eq!(lines(&scan(&house, &all, &where_(Some(wide))).await.unwrap()), ["1"]);
}

#[tokio::test]
async fn orders_caps_and_pages() {
    let house = landed().await;
    let ordered = |descending, limit, offset| RowQuery {
        select: vec![("id".into(), None)],
        order: vec![Order { column: "ok".into(), descending, nulls_first: None }],
        limit,
        offset,
        ..RowQuery::default()
    };
    let all = grant(&ITEMS, "", 0);
    // Ties keep the stored order (3 before 4); nulls last ascending, first descending.
    let up = scan(&house, &all, &ordered(false, None, 0)).await.unwrap();
    assert_eq!(lines(&up), ["1", "3", "4", "2"]);
    let down = scan(&house, &all, &ordered(true, None, 0)).await.unwrap();
    assert_eq!(lines(&down), ["2", "3", "4", "1"]);
    let page = scan(&house, &all, &ordered(false, Some(2), 1)).await.unwrap();
    assert_eq!(lines(&page), ["3", "4"]);
    // The grant's cap stands above the query's limit.
    let capped = grant(&ITEMS, "", 3);
    let rows = scan(&house, &capped, &ordered(false, Some(100), 0)).await.unwrap();
    assert_eq!(lines(&rows), ["1", "3", "4"]);
}

#[tokio::test]
async fn a_hidden_key_is_not_betrayed_by_the_order() {
    let house = landed().await;
    // `id` is not granted: rows come in the order of its hash, always the same.
    let grant = grant(&["xzqh", "at"], "", 0);
    let first = scan(&house, &grant, &RowQuery::default()).await.unwrap();
    assert_eq!(first, scan(&house, &grant, &RowQuery::default()).await.unwrap());
    // md5: c4ca… (1), c81e… (2), eccb… (3), a87f… (4).
    let seconds: Vec<_> = first.rows.iter().map(|r| r[1].to_text().unwrap()).collect();
    assert_eq!(seconds, ["04", "02", "03", "01"].map(|s| format!("1970-01-01T00:00:{s}")));
}

fn open_entry() -> Entry {
    let mut open = entry("park", vec![item("name", DataType::Text), item("n", DataType::Integer)]);
    open.draft.share_type = ShareType::Unconditional;
    open.draft.open_type = OpenType::Unconditional;
    open
}

fn parks(from: i64, to: i64) -> Batch {
    Batch {
        columns: vec![
            texts(&(from..to).map(|_| Some("西湖")).collect::<Vec<_>>()),
            Column::Integer((from..to).map(Some).collect()),
        ],
        records: (from..to).map(|n| n as u64 + 1).collect(),
        operations: Vec::new(),
    }
}

#[tokio::test]
async fn downloads_are_whole_and_keep_the_stored_order() {
    let house = house();
    let batches = (0..6).map(|n| parks(n * 5000, (n + 1) * 5000)).collect();
    house.land(0, &open_entry(), "p1", SyncMode::Full, batches).await.unwrap();
    let download = open_grant(&open_entry(), Action::RowsDownload);
    let rows = scan(&house, &download, &RowQuery::default()).await.unwrap();
    let numbers = rows.rows.iter().map(|r| r[1].clone());
    assert!(numbers.eq((0..30_000).map(Value::Integer)));
    // Pages of a keyless resource follow each other too.
    let call = open_grant(&open_entry(), Action::RowsQuery);
    let page = |offset| RowQuery { limit: Some(1000), offset, ..RowQuery::default() };
    for offset in [0, 1000, 29_500] {
        let rows = scan(&house, &call, &page(offset)).await.unwrap();
        let last = (offset + 1000).min(30_000) as i64;
        let numbers = rows.rows.iter().map(|r| r[1].clone());
        assert!(numbers.eq((offset as i64..last).map(Value::Integer)), "{offset}");
    }
    let preview = open_grant(&open_entry(), Action::RowsPreview);
    assert_eq!(scan(&house, &preview, &RowQuery::default()).await.unwrap().rows.len(), 20);
}

/// The base as it lies, then what changed: two downloads of one state are the same file, whichever is read first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_of_a_base_and_its_changes_has_one_order() {
    let house = house();
    let mut keyed = open_entry();
    keyed.draft.items[1] = key("n", DataType::Integer);
    let base = (0..8).map(|n| parks(n * 5000, (n + 1) * 5000)).collect();
    house.land(0, &keyed, "p1", SyncMode::Full, base).await.unwrap();
    house.land(1, &keyed, "p2", SyncMode::Incremental, vec![parks(7, 9)]).await.unwrap();
    house.land(2, &keyed, "p3", SyncMode::Incremental, vec![parks(40_000, 40_001)]).await.unwrap();
    // Of the changes the newest come first, as the log tells its files.
    let wanted: Vec<i64> =
        (0..40_000).filter(|n| ![7, 8].contains(n)).chain([40_000, 7, 8]).collect();
    let download = open_grant(&keyed, Action::RowsDownload);
    for _ in 0..5 {
        let rows = scan(&house, &download, &RowQuery::default()).await.unwrap();
        assert!(rows.rows.iter().map(|r| &r[1]).eq(&numbers(&wanted)));
    }
    // A page of it is a page of that order, where the two meet, too.
    let page = RowQuery { limit: Some(4), offset: 39_996, ..RowQuery::default() };
    let rows = scan(&house, &download, &page).await.unwrap();
    assert!(rows.rows.iter().map(|r| &r[1]).eq(&numbers(&wanted[39_996..40_000])));
}

fn numbers(of: &[i64]) -> Vec<Value> {
    of.iter().map(|n| Value::Integer(*n)).collect()
}

#[tokio::test]
async fn an_earlier_version_is_released_by_its_own_shape() {
    let house = house();
    house.land(0, &open_entry(), "p1", SyncMode::Full, vec![parks(0, 2)]).await.unwrap();
    let mut wider = open_entry();
    wider.draft.items.push(item("area", DataType::Float));
    let mut batch = parks(5, 6);
    batch.columns.push(Column::Float(vec![Some(1.5)]));
    house.land(1, &wider, "p2", SyncMode::Full, vec![batch]).await.unwrap();
    let grant = open_grant(&wider, Action::RowsDownload);
    let now = scan(&house, &grant, &RowQuery::default()).await.unwrap();
    assert_eq!(lines(&now), ["西湖|5|1.5"]);
    let pieces: Vec<Rows> = house
        .lake
        .scan_granted(&grant, &RowQuery::default(), Some(0))
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(lines(&pieces[0]), ["西湖|0|-", "西湖|1|-"]);
    let unknown = house.lake.scan_granted(&grant, &RowQuery::default(), Some(9)).await;
    assert_eq!(unknown.err().unwrap().code(), Code::NotFound);
    // An item that is not in the table yet is empty, also in filters.
    let query = RowQuery { filter: is("area", Comparison::IsNull), ..RowQuery::default() };
    let old = house.lake.scan_granted(&grant, &query, Some(0)).await.unwrap();
    assert_eq!(old.try_collect::<Vec<_>>().await.unwrap()[0].rows.len(), 2);
}

#[tokio::test]
async fn nothing_landed_answers_the_columns() {
    let house = house();
    let grant = open_grant(&open_entry(), Action::RowsDownload);
    let rows = scan(&house, &grant, &RowQuery::default()).await.unwrap();
    assert_eq!((rows.columns, rows.rows.len()), (vec!["name".into(), "n".into()], 0));
    assert_eq!(house.lake.count_rows("park").await.unwrap(), 0);
    assert!(house.files("park").is_empty(), "looking makes no folder");
    let _ = op_at(0);
}

#[tokio::test]
async fn the_port_asks_for_the_right_permit() {
    use policy::Target;
    use policy::port::Lake as _;
    let house = house();
    let policy = Policy::shipped().unwrap();
    let op = op_at(0);
    let entry = open_entry();
    let collect = policy.permit(&op, Action::DataCollect, &Target::entry(&entry)).unwrap();
    let work = policy.permit(&op, Action::SystemWork, &Target::plain("System", "x")).unwrap();
    let head = super::entries::parcel("p1", SyncMode::Full);
    let target = super::entries::target(&entry);
    let rows = || super::entries::flow(vec![parks(0, 3)]);
    let other = super::entries::target(&citizen());
    let wrong = house.lake.land(&collect, &op, &head, &other, rows()).await.unwrap_err();
    assert_eq!(wrong.code(), Code::Internal);
    let landing = house.lake.land(&collect, &op, &head, &target, rows()).await.unwrap();
    assert_eq!(house.lake.landed("park", "p1").await.unwrap().unwrap().version, landing.version);
    let back: Vec<Batch> =
        house.lake.replay(&work, &entry, "p1").await.unwrap().try_collect().await.unwrap();
    assert_eq!(back, [parks(0, 3)]);
    assert_eq!(house.lake.count(&entry).await.unwrap(), 3);
    assert_eq!(house.lake.versions("park").await.unwrap().len(), 1);
    let sweeping = house.lake.sweep(&collect, "park", start()).await.unwrap_err();
    assert_eq!(sweeping.code(), Code::Internal);
    assert_eq!(house.lake.sweep(&work, "park", start()).await.unwrap(), 0);
}

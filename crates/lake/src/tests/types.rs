//! Every type in and out again, nulls included.

use model::Code;
use model::batch::{Batch, Column, Operation};
use model::code::{DataType, SyncMode};
use model::entry::Entry;
use model::item::Item;

use super::entries::{entry, house, item, texts};

fn every_type() -> Entry {
    let decimal =
        |name: &str, precision, scale| Item { precision, scale, ..item(name, DataType::Decimal) };
    entry(
        "types",
        vec![
            item("t", DataType::Text),
            item("i", DataType::Integer),
            decimal("d", 10, 2),
            decimal("dd", 28, 6),
            decimal("ds", 0, 0),
            item("f", DataType::Float),
            item("b", DataType::Boolean),
            item("day", DataType::Date),
            item("at", DataType::DateTime),
            item("geo", DataType::Geometry),
            item("js", DataType::Json),
        ],
    )
}

fn batch() -> Batch {
    let tail = |v: i128| vec![Some(v), None, Some(-v)];
    Batch {
        columns: vec![
            texts(&[Some("钱塘 \"quoted\"\n"), None, Some("")]),
            Column::Integer(vec![Some(i64::MAX), None, Some(i64::MIN)]),
            Column::Decimal { scale: 2, values: tail(1234) },
            Column::Decimal { scale: 6, values: tail(9_999_999_999_999_999_999_999_999_999) },
            Column::Decimal { scale: 0, values: tail(7) },
            Column::Float(vec![Some(0.1), None, Some(-1e300)]),
            Column::Boolean(vec![Some(true), None, Some(false)]),
            Column::Date(vec![Some(20_000), None, Some(-20_000)]),
            Column::DateTime(vec![Some(1_700_000_000_123_456), None, Some(-1)]),
            texts(&[Some("POINT(120 30)"), None, None]),
            texts(&[Some("{\"a\":1}"), None, None]),
        ],
        records: vec![3, 5, 9],
        operations: Vec::new(),
    }
}

#[tokio::test]
async fn every_type_comes_back_as_it_went_in() {
    let house = house();
    house.land(0, &every_type(), "p1", SyncMode::Full, vec![batch()]).await.unwrap();
    let back = house.replay(&every_type(), "p1").await.unwrap();
    assert_eq!(back, [batch()]);

    let names: Vec<&str> = vec!["t", "i", "d", "dd", "ds", "f", "b", "day", "at", "geo", "js"];
    let rows = house.rows("types", None, &names).await;
    let mut want: Vec<Vec<_>> =
        (0..3).map(|r| batch().columns.iter().map(|c| c.value(r)).collect()).collect();
    want.sort_by_key(|row| format!("{row:?}"));
    assert_eq!(rows, want);
}

#[tokio::test]
async fn operations_come_back() {
    let house = house();
    let mut rows = super::entries::people(&[
        ("a", "1", Operation::Insert),
        ("b", "2", Operation::Update),
        ("c", "", Operation::Delete),
    ]);
    rows.records = vec![10, 20, 30];
    let person = super::entries::person();
    house.land(0, &person, "p1", SyncMode::Incremental, vec![rows.clone()]).await.unwrap();
    assert_eq!(house.replay(&person, "p1").await.unwrap(), [rows]);
    let unknown = house.replay(&person, "p2").await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
}

#[tokio::test]
async fn a_decimal_too_long_for_its_column_is_refused() {
    let house = house();
    let long = Item { precision: 10, scale: 2, ..item("d", DataType::Decimal) };
    let narrow = entry("narrow", vec![long]);
    let value = 10i128.pow(18);
    let batch = |v| Batch {
        columns: vec![Column::Decimal { scale: 2, values: vec![Some(v)] }],
        records: vec![1],
        operations: Vec::new(),
    };
    let refused =
        house.land(0, &narrow, "p1", SyncMode::Full, vec![batch(value)]).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidInput);
    house.land(0, &narrow, "p2", SyncMode::Full, vec![batch(value - 1)]).await.unwrap();
    assert_eq!(house.replay(&narrow, "p2").await.unwrap(), [batch(value - 1)]);
}

#[tokio::test]
async fn a_batch_that_is_not_of_the_entry_is_a_defect_not_a_panic() {
    let house = house();
    let two = entry("two", vec![item("a", DataType::Integer), item("b", DataType::Text)]);
    let numbers = || Column::Integer(vec![Some(1)]);
    for columns in [
        vec![numbers()],
        vec![numbers(), numbers()],
        vec![texts(&[Some("x")]), texts(&[Some("y")])],
        vec![Column::Integer(vec![Some(1), Some(2)]), texts(&[Some("y")])],
    ] {
        let batch = Batch { columns, records: vec![1], operations: Vec::new() };
        let error = house.land(0, &two, "p1", SyncMode::Full, vec![batch]).await.unwrap_err();
        assert_eq!(error.code(), Code::Internal);
    }
    assert_eq!(house.lake.count_rows("two").await.unwrap(), 0);
}

//! The serving copy against a small model of itself, by property, on SQLite and on PostgreSQL.

pub(crate) mod cluster;
mod model_of;
mod story;

use futures::StreamExt;
use futures::stream::BoxStream;
use guard::KeyRing;
use model::Result;
use model::batch::{Batch, Column, Operation, days_of_date};
use model::code::{DataType, Grade, SyncMode};
use model::entry::Entry;
use model::item::Item;
use model::query::{Comparison, Condition, Count, Order, RowPage, RowQuery};
use model::value::Value;
use policy::GrantColumn;
use proptest::prelude::*;

use self::cluster::Cluster;
use self::model_of::Model;
use self::story::story;
use super::postgres::Postgres;
use super::sql::View;
use super::sqlite::Sqlite;
use super::{Protection, ServingCopy};
use crate::StoreConfig;

/// Either of the two, by one face.
pub(super) enum Served {
    Sqlite(Sqlite, #[expect(dead_code, reason = "keeps the folder")] tempfile::TempDir),
    Postgres(Box<Postgres>),
}

fn protection() -> Protection {
    let keys = KeyRing::from_bytes(&[5; 32]).unwrap();
    Protection::new(&StoreConfig { url: String::new(), folder: "unused".into(), keys })
}

impl Served {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Served::Sqlite(Sqlite::open(folder.path(), protection()).unwrap(), folder)
    }
    async fn postgres(url: &str) -> Self {
        Served::Postgres(Box::new(Postgres::open(url, protection()).await.unwrap()))
    }
    async fn fill(&self, entry: &Entry, parcel: &Parcel, version: i64) -> Result<u64> {
        let id = format!("parcel-{version}");
        match self {
            Served::Sqlite(s, _) => {
                s.fill(entry, parcel.mode, &id, version, parcel.stream(entry)).await
            }
            Served::Postgres(s) => {
                s.fill(entry, parcel.mode, &id, version, parcel.stream(entry)).await
            }
        }
    }
    async fn run(&self, view: &View<'_>, query: &RowQuery) -> Result<RowPage> {
        match self {
            Served::Sqlite(s, _) => s.run(view, query),
            Served::Postgres(s) => s.run(view, query).await,
        }
    }
    async fn position(&self, entry: &str) -> Option<(String, i64)> {
        match self {
            Served::Sqlite(s, _) => s.position(entry).await,
            Served::Postgres(s) => s.position(entry).await,
        }
        .unwrap()
    }
}

/// Rows of a parcel in hand.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    pub(super) mode: SyncMode,
    pub(super) rows: Vec<(Operation, Vec<Value>)>,
}

impl Parcel {
    fn stream(&self, entry: &Entry) -> BoxStream<'static, Result<Batch>> {
        let items = entry.draft.items.clone();
        let batches: Vec<Result<Batch>> =
            self.rows.chunks(7).map(|rows| Ok(batch(&items, rows))).collect();
        futures::stream::iter(batches).boxed()
    }
}

fn batch(items: &[Item], rows: &[(Operation, Vec<Value>)]) -> Batch {
    let columns = items
        .iter()
        .enumerate()
        .map(|(n, item)| {
            let mut column = Column::empty(item.data_type, item.scale, rows.len());
            for (_, row) in rows {
                push(&mut column, &row[n]);
            }
            column
        })
        .collect();
    Batch {
        columns,
        records: (1..=rows.len() as u64).collect(),
        operations: rows.iter().map(|(o, _)| *o).collect(),
    }
}

fn push(column: &mut Column, value: &Value) {
    match (column, value) {
        (Column::Text(c), Value::Text(t)) => c.push(Some(t)),
        (Column::Text(c), _) => c.push(None),
        (Column::Integer(c), v) => c.push(if let Value::Integer(i) = v { Some(*i) } else { None }),
        (Column::Decimal { scale, values }, v) => values.push(if let Value::Decimal(d) = v {
            let mut d = *d;
            d.rescale(u32::from(*scale));
            Some(d.mantissa())
        } else {
            None
        }),
        (Column::Float(c), v) => c.push(if let Value::Float(f) = v { Some(*f) } else { None }),
        (Column::Boolean(c), v) => c.push(if let Value::Boolean(b) = v { Some(*b) } else { None }),
        (Column::Date(c), v) => {
            c.push(if let Value::Date(d) = v { Some(days_of_date(*d)) } else { None })
        }
        (Column::DateTime(c), v) => {
            c.push(if let Value::DateTime(t) = v {
                Some(t.and_utc().timestamp_micros())
            } else {
                None
            });
        }
    }
}

fn items() -> Vec<Item> {
    let mut items = vec![
        Item::new("id", "编号", DataType::Text),
        Item::new("no", "序号", DataType::Integer),
        Item::new("amount", "金额", DataType::Decimal),
        Item::new("big", "大数", DataType::Decimal),
        Item::new("ratio", "比率", DataType::Float),
        Item::new("flag", "标志", DataType::Boolean),
        Item::new("day", "日期", DataType::Date),
        Item::new("at", "时间", DataType::DateTime),
        Item::new("name", "名称", DataType::Text),
    ];
    items[2].precision = 10;
    items[2].scale = 2;
    items[3].precision = 28;
    items[3].scale = 6;
    items[8].lookup = true;
    items
}

pub(super) fn entry(id: &str, key: &[&str]) -> Entry {
    let mut items = items();
    for item in &mut items {
        item.primary = key.contains(&item.identifier.as_str());
    }
    let draft = serde_json::json!({
        "code": "t", "title": "t", "description": "", "org": "o", "region": "330000", "domain": "27", "kind": "table",
        "update_cycle": "daily", "sync_mode": "full", "share_type": "unconditional", "open_type": "none", "items": items,
    });
    Entry {
        id: id.to_owned(),
        draft: serde_json::from_value(draft).unwrap(),
        grade: Grade::L1,
        publish_state: model::code::PublishState::Published,
        online_state: model::code::OnlineState::Online,
        version: 1,
        created_at: String::new(),
        created_by: String::new(),
        updated_at: String::new(),
        published_at: None,
        rows: 0,
        data_at: None,
    }
}

fn columns(entry: &Entry) -> Vec<GrantColumn> {
    let column = |i: &Item| GrantColumn {
        identifier: i.identifier.clone(),
        name_cn: i.name_cn.clone(),
        data_type: i.data_type,
        scale: i.scale,
        grade: i.grade,
        mask: None,
        filterable: true,
        lookup: i.lookup || i.primary,
    };
    entry.draft.items.iter().map(column).collect()
}

fn view<'a>(entry: &'a Entry, columns: &'a [GrantColumn]) -> View<'a> {
    View { entry: &entry.id, grantee: "app-1", columns, row_filter: None, row_cap: 1000 }
}

fn eq(column: &str, value: &str) -> Condition {
    Condition::Column { column: column.into(), comparison: Comparison::Eq(value.into()) }
}

// ---------------------------------------------------------------------------------------------- by property

fn texts() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        prop::sample::select(vec!["", "a", "ab", "B", "b%", "杭州", "杭州市", "宁波", "z_"])
            .prop_map(|s| Value::Text(s.into())),
    ]
}

fn row(nullable_key: bool) -> impl Strategy<Value = Vec<Value>> {
    let decimal = |scale: u32| {
        prop_oneof![
            Just(Value::Null),
            (-300_i64..300).prop_map(move |n| Value::Decimal(rust_decimal::Decimal::new(n, scale))),
        ]
    };
    let date = || chrono::NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
    (
        prop::sample::select(vec!["k1", "k2", "k3", "k4", "k5", "k6", "K1"]),
        prop::option::of(0_i64..4),
        decimal(2),
        decimal(6),
        prop_oneof![
            Just(Value::Null),
            prop::sample::select(vec![-1.5, 0.0, 0.1, 2.0, 1e300]).prop_map(Value::Float)
        ],
        prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::Boolean)],
        prop::option::of(-3_i64..3),
        prop::option::of(-3_i64..3),
        texts(),
    )
        .prop_map(move |(id, no, amount, big, ratio, flag, day, at, name)| {
            let no = no.or(if nullable_key { None } else { Some(9) });
            vec![
                Value::Text(id.into()),
                no.map_or(Value::Null, Value::Integer),
                amount,
                big,
                ratio,
                flag,
                day.map_or(Value::Null, |d| Value::Date(date() + chrono::TimeDelta::days(d))),
                at.map_or(Value::Null, |d| {
                    Value::DateTime(
                        date().and_hms_opt(0, 0, 0).unwrap()
                            + chrono::TimeDelta::milliseconds(d * 500),
                    )
                }),
                name,
            ]
        })
}

fn parcels(nullable_key: bool) -> impl Strategy<Value = Vec<Parcel>> {
    let operation = prop_oneof![
        4 => Just(Operation::Insert), 1 => Just(Operation::Update), 1 => Just(Operation::Delete)
    ];
    let mode = prop_oneof![Just(SyncMode::Full), Just(SyncMode::Incremental)];
    let parcel = (mode, prop::collection::vec((operation, row(nullable_key)), 0..30))
        .prop_map(|(mode, rows)| Parcel { mode, rows });
    prop::collection::vec(parcel, 1..4)
}

fn leaf() -> impl Strategy<Value = Condition> {
    let value = |column: &'static str| -> Vec<&'static str> {
        match column {
            "id" => vec!["k2", "k4", "K1", "k", ""],
            "no" => vec!["0", "1", "2", "9", "-1", "99999999999999999999", "-99999999999999999999"],
            "amount" => {
                vec!["0", "-1.5", "1.005", "-0.001", "2.99", "1e0", "99999999999999999999999"]
            }
            "big" => {
                vec!["0", "0.0001", "-0.000001", "0.00000005", "-7922816251426433759354395033"]
            }
            "ratio" => vec!["0", "0.1", "2", "-1e3"],
            "flag" => vec!["true", "false"],
            "day" => vec!["2026-01-01", "2025-12-31", "20260102"],
            "at" => vec![
                "2026-01-01",
                "2026-01-01T00:00:00.5",
                "2025-12-31T16:00:01Z",
                "2026-01-01 00:00:01",
            ],
            _ => vec!["", "a", "ab", "b%", "杭州", "宁波", "z_", "zz"],
        }
    };
    let columns = vec!["id", "no", "amount", "big", "ratio", "flag", "day", "at", "name"];
    (
        prop::sample::select(columns),
        0..11_usize,
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
    )
        .prop_map(move |(column, form, one, other)| {
            let all: Vec<&str> = value(column).into_iter().filter(|v| *v != "1e0").collect();
            let (one, other) = (one.get(&all).to_string(), other.get(&all).to_string());
            let patterns = ["a%", "杭%", "%b", "_b", "B\\%", "%市", "%", "k_", ""];
            let pattern = patterns[one.len() % patterns.len()].to_owned();
            let text = matches!(column, "id" | "name");
            let comparison = match form {
                0 => Comparison::Eq(one),
                1 => Comparison::Neq(one),
                2 => Comparison::Gt(one),
                3 => Comparison::Gte(one),
                4 => Comparison::Lt(one),
                5 => Comparison::Lte(one),
                6 => Comparison::In(vec![one, other]),
                7 => Comparison::IsNull,
                8 if text => Comparison::Like(pattern),
                9 if text => Comparison::Ilike(pattern),
                8 if column == "flag" => Comparison::IsTrue,
                9 if column == "flag" => Comparison::IsFalse,
                _ => Comparison::In(vec![]),
            };
            Condition::Column { column: column.into(), comparison }
        })
}

fn condition() -> impl Strategy<Value = Condition> {
    leaf().prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|c| Condition::Not(Box::new(c))),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Condition::And),
            prop::collection::vec(inner, 0..3).prop_map(Condition::Or),
        ]
    })
}

fn orders() -> impl Strategy<Value = Vec<Order>> {
    let columns = vec!["id", "no", "amount", "big", "ratio", "flag", "day", "at", "name"];
    let order = (prop::sample::select(columns), any::<bool>(), prop::option::of(any::<bool>()))
        .prop_map(|(column, descending, nulls_first)| Order {
            column: column.into(),
            descending,
            nulls_first,
        });
    prop::collection::vec(order, 0..3)
}

/// Row filter, filter, order, page size.
type Asked = (Option<Condition>, Option<Condition>, Vec<Order>, u64);

#[derive(Clone, Debug)]
struct Case {
    key: Vec<&'static str>,
    parcels: Vec<Parcel>,
    queries: Vec<Asked>,
}

fn case() -> impl Strategy<Value = Case> {
    let shapes = vec![
        (vec!["id"], true),
        (vec!["id", "no"], false),
        (vec!["id", "no"], true),
        (vec![], true),
    ];
    prop::sample::select(shapes).prop_flat_map(|(key, nullable)| {
        let query =
            (prop::option::of(condition()), prop::option::of(condition()), orders(), 1..8_u64);
        (Just(key), parcels(nullable), prop::collection::vec(query, 1..6))
            .prop_map(|(key, parcels, queries)| Case { key, parcels, queries })
    })
}

/// Lands the parcels and asks the queries of both the copy and the model, page by page.
async fn check(served: &Served, id: &str, case: &Case) {
    let entry = entry(id, &case.key);
    let mut model = Model::new(&entry);
    for (n, parcel) in case.parcels.iter().enumerate() {
        let version = n as i64 + 1;
        let rows = served.fill(&entry, parcel, version).await.unwrap();
        model.land(parcel);
        assert_eq!(rows, model.rows.len() as u64, "rows after {parcel:?}");
        let again = served.fill(&entry, parcel, version).await.unwrap();
        assert_eq!(again, rows, "the same parcel twice changes nothing");
        assert_eq!(served.position(id).await, Some((format!("parcel-{version}"), version)));
    }
    let columns = columns(&entry);
    for (row_filter, filter, order, limit) in &case.queries {
        let view = View { row_filter: row_filter.as_ref(), ..view(&entry, &columns) };
        let expected = model.answer(row_filter.as_ref(), filter.as_ref(), order);
        let mut query = RowQuery {
            filter: filter.clone(),
            order: order.clone(),
            limit: Some(*limit),
            count: Count::Exact,
            ..RowQuery::default()
        };
        let mut got = Vec::new();
        loop {
            let page = served.run(&view, &query).await.unwrap();
            assert_eq!(
                page.total,
                Some(expected.len() as u64),
                "total of {query:?} within {row_filter:?}"
            );
            assert!(page.rows.len() as u64 <= *limit);
            got.extend(page.rows);
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
            assert!(got.len() <= expected.len(), "pages go on for ever: {query:?}");
        }
        assert_eq!(got, expected, "{query:?} within {row_filter:?} of {:?}", model.rows);
    }
}

#[test]
fn sqlite_answers_as_the_model() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let served = Served::sqlite();
    let count = std::cell::Cell::new(0);
    proptest!(ProptestConfig::with_cases(300), |(case in case())| {
        count.set(count.get() + 1);
        runtime.block_on(check(&served, &format!("e{}", count.get()), &case));
    });
}

#[test]
fn postgres_answers_as_the_model() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let cluster = Cluster::start();
    let served = runtime.block_on(Served::postgres(cluster.url()));
    let count = std::cell::Cell::new(0);
    proptest!(ProptestConfig { max_shrink_iters: 40, ..ProptestConfig::with_cases(40) }, |(case in case())| {
        count.set(count.get() + 1);
        runtime.block_on(check(&served, &format!("e{}", count.get()), &case));
    });
    runtime.block_on(story(&served));
}

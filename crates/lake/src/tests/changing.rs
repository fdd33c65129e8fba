//! Changes through a grant: whatever parcels and compactions lie between two versions, who holds the one and applies the
//! changes holds the other, and is told of nothing else.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use model::batch::Batch;
use model::batch::Operation::{self, Delete, Insert, Update};
use model::code::{DataType, OpenType, SyncMode};
use model::entry::Entry;
use model::mask::Mask;
use model::request::{Period, Request, RequestState, RequestWay};
use model::value::Value;
use model::{Actor, Code, Op};
use policy::port::{ChangeSpan, Changes, ROW_ID};
use policy::{FlowAsk, Grant, Policy};

use super::entries::{House, entry, house, item, key, op_at, start, texts};

/// `moving`: key `id`, `xm` (its first character), `xzqh`, `bz` (not granted).
pub(super) fn moving() -> Entry {
    let mut entry = entry(
        "moving",
        vec![
            key("id", DataType::Text),
            model::item::Item {
                mask: Some(Mask::Keep { head: 1, tail: 0 }),
                ..item("xm", DataType::Text)
            },
            item("xzqh", DataType::Text),
            item("bz", DataType::Text),
        ],
    );
    entry.draft.region = "330000".into();
    entry.draft.open_type = OpenType::None;
    entry
}

pub(super) type Line = (String, String, &'static str, String, Operation);

pub(super) fn batch(rows: &[Line]) -> Batch {
    let column =
        |pick: fn(&Line) -> &str| texts(&rows.iter().map(|r| Some(pick(r))).collect::<Vec<_>>());
    Batch {
        columns: vec![column(|r| &r.0), column(|r| &r.1), column(|r| r.2), column(|r| &r.3)],
        records: (1..=rows.len() as u64).collect(),
        operations: rows.iter().map(|r| r.4).collect(),
    }
}

fn grant(items: &[&str], region: &str) -> Grant {
    let entry = moving();
    let request = Request {
        id: "req1".into(),
        entry: entry.id.clone(),
        entry_code: "moving".into(),
        entry_title: String::new(),
        provider: "org1".into(),
        application: "app1".into(),
        application_name: String::new(),
        org: "org2".into(),
        way: RequestWay::Share,
        region: String::new(),
        items: items.iter().map(|i| (*i).to_owned()).collect(),
        scene: "回流".into(),
        legal_basis: String::new(),
        period: Period::Long,
        calls_per_day: 1000,
        area_range: String::new(),
        row_range: Default::default(),
        by_sql: false,
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
    let ask = FlowAsk { entry: &entry, request: &request, region, items: &[] };
    Policy::shipped().unwrap().grant_flow(&op, &ask).unwrap()
}

/// Numbers that are the same at every run.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

async fn changes(house: &House, grant: &Grant, span: ChangeSpan) -> Vec<Changes> {
    house.lake.change_stream(grant, &span).await.unwrap().try_collect().await.unwrap()
}

type Held = BTreeMap<String, Vec<Option<String>>>;

/// Applies changes; every operation must be what it says.
fn take(held: &mut Held, pieces: &[Changes]) -> usize {
    let mut count = 0;
    for piece in pieces {
        assert_eq!(piece.rows.columns, [ROW_ID, "id", "xm", "xzqh"]);
        assert!(piece.marks.is_sorted());
        for (operation, row) in piece.operations.iter().zip(&piece.rows.rows) {
            let cells: Vec<_> = row.iter().map(Value::to_text).collect();
            let id = cells[1].clone().unwrap();
            count += 1;
            match operation {
                Insert => assert!(held.insert(id, cells).is_none()),
                Update => assert!(held.insert(id, cells.clone()).is_some_and(|old| old != cells)),
                Delete => {
                    assert_eq!((&cells[2], &cells[3]), (&None, &None), "the key alone");
                    assert_eq!(held.remove(&id).unwrap()[0], cells[0], "the same name");
                }
            }
        }
    }
    count
}

/// What a grant of the region 3301 should show of a version.
pub(super) async fn wanted(house: &House, version: i64) -> Vec<String> {
    let rows = house.rows("moving", Some(version), &["id", "xm", "xzqh"]).await;
    let mut wanted: Vec<String> = rows
        .iter()
        .map(|row| row.iter().filter_map(Value::to_text).collect::<Vec<_>>())
        .filter(|row| row[2].starts_with("3301"))
        .map(|row| format!("{} {}* {}", row[0], row[1].chars().next().unwrap(), row[2]))
        .collect();
    wanted.sort();
    wanted
}

/// Random parcels for `moving`.
pub(super) struct Course {
    pub(super) seed: u64,
    pub(super) parcels: i64,
    /// The parcel, beside the first, that is a full one.
    pub(super) again: i64,
    pub(super) keys: u64,
    /// Most rows of a small parcel.
    pub(super) most: u64,
    /// After how many parcels small files are written together.
    pub(super) compact: i64,
}

/// Lands them; answers their versions.
pub(super) async fn landed(house: &House, course: &Course) -> Vec<i64> {
    let mut dice = Dice(course.seed);
    let regions = ["330106", "330110", "330203", "310000"];
    let names = ["甲一", "乙一", "丙一"];
    let mut versions = Vec::new();
    for n in 0..course.parcels {
        let full = n == 0 || n == course.again;
        let mut rows: BTreeMap<String, Line> = BTreeMap::new();
        for _ in 0..if full { 300 } else { 1 + dice.below(course.most) } {
            let id = format!("k{:03}", dice.below(course.keys));
            let pick = usize::try_from(dice.below(3)).unwrap();
            let region = regions[usize::try_from(dice.below(4)).unwrap()];
            let operation = match dice.below(4) {
                0 if !full => Delete,
                1 if !full => Update,
                _ => Insert,
            };
            let line = (id.clone(), names[pick].to_owned(), region, n.to_string(), operation);
            rows.insert(id, line);
        }
        let rows: Vec<Line> = rows.into_values().collect();
        let mode = if full { SyncMode::Full } else { SyncMode::Incremental };
        let parcel = format!("p{n}");
        let landing = house.land(n, &moving(), &parcel, mode, vec![batch(&rows)]).await.unwrap();
        versions.push(landing.version);
        if n % course.compact == course.compact - 1 {
            house.lake.compact_table(&op_at(n), "moving").await.unwrap();
        }
    }
    versions
}

fn shown(held: &Held) -> Vec<String> {
    held.values()
        .map(|row| row[1..].iter().flatten().cloned().collect::<Vec<_>>().join(" "))
        .collect()
}

#[tokio::test]
async fn changes_lead_from_any_version_to_any_later_one() {
    let house = house();
    let course = Course { seed: 7, parcels: 45, again: 36, keys: 200, most: 12, compact: 15 };
    let versions = landed(&house, &course).await;
    let grant = grant(&["id", "xm", "xzqh"], "330100");
    let mut told = 0;
    for (n, step) in [3, 13].into_iter().enumerate() {
        let mut held = Held::new();
        let mut from = None;
        for to in versions.iter().skip(n).step_by(step) {
            let span = ChangeSpan { from, to: *to, after: None };
            let whole = changes(&house, &grant, span.clone()).await;
            told += take(&mut held, &whole);
            assert_eq!(shown(&held), wanted(&house, *to).await, "{from:?} to {to}");
            // Cut off after any mark, the rest comes.
            let marks: Vec<String> = whole.iter().flat_map(|p| p.marks.clone()).collect();
            if let Some(after) = marks.get(marks.len() / 2) {
                let rest = ChangeSpan { after: Some(after.clone()), ..span };
                let rest = changes(&house, &grant, rest).await;
                let rest: Vec<String> = rest.iter().flat_map(|p| p.marks.clone()).collect();
                assert_eq!(rest, marks[marks.len() / 2 + 1..]);
            }
            assert_eq!(house.lake.count_granted(&grant, *to).await.unwrap(), held.len() as u64);
            from = Some(*to);
        }
    }
    assert!(told > 200, "{told}");
}

#[tokio::test]
async fn what_lies_ahead_is_counted_and_what_cannot_be_told_is_refused() {
    let house = house();
    assert_eq!(house.lake.find_ahead("moving", None, 5).await.unwrap(), None);
    let line = |id: &str, name: &str, region, bz: &str| {
        vec![batch(&[(id.to_owned(), name.to_owned(), region, bz.to_owned(), Insert)])]
    };
    for n in 0..5_i64 {
        let rows = line("a", "甲一", "330106", &n.to_string());
        let mode = if n == 0 { SyncMode::Full } else { SyncMode::Incremental };
        house.land(n, &moving(), &format!("p{n}"), mode, rows).await.unwrap();
    }
    let ahead = house.lake.find_ahead("moving", Some(1), 2).await.unwrap().unwrap();
    assert_eq!((ahead.to, ahead.newest, ahead.behind), (3, 4, 3));
    assert_eq!(ahead.since, "2026-03-01T00:02:00.000Z");
    assert_eq!(house.lake.find_ahead("moving", Some(4), 2).await.unwrap(), None);
    let set_back = house.lake.find_ahead("moving", Some(9), 2).await.unwrap_err();
    assert_eq!(set_back.code(), Code::WrongState);
    // Only what is not granted has changed: nothing is told.
    let grant = grant(&["id", "xm", "xzqh"], "330100");
    let span = ChangeSpan { from: Some(0), to: 4, after: None };
    assert_eq!(changes(&house, &grant, span.clone()).await.len(), 0);
    // Another grant, a table without a key, another key than the rows were landed by.
    let keyless = entry("moving", vec![item("id", DataType::Text)]);
    assert!(keyless.draft.key().is_empty());
    let mut other = moving();
    other.draft.items[0].primary = false;
    other.draft.items[1].primary = true;
    let rows = line("b", "乙一", "330106", "x");
    house.land(9, &other, "q", SyncMode::Full, rows).await.unwrap();
    let span = ChangeSpan { to: 5, ..span };
    let refused = house.lake.change_stream(&grant, &span).await.err().unwrap();
    assert_eq!(refused.code(), Code::WrongState, "{refused}");
}

//! The opening room: what the public finds, looks at and downloads, and what it never sees.

use app::catalogue::Move;
use app::{opening, sharing};
use futures::StreamExt as _;
use model::Code;
use model::audit::AuditFilter;
use model::code::{DataType, OpenType, SyncMode};
use model::item::Item;
use model::query::{Count, RowQuery};
use model::search::SearchQuery;
use testkit::House;

const ROWS: &[u8] =
    b"id,name,amount,day\n1,a,1.50,2026-01-01\n2,b,2.25,2026-01-02\n3,c,3.00,2026-01-03\n";

/// A data set with a hidden item is found, previewed and downloaded without it.
async fn an_open_set(house: House) {
    let (app, nobody) = (&house.app, house.nobody());
    let mut draft = testkit::draft("shuizhi");
    draft.items[1].open_type = OpenType::None;
    house.publish(draft).await;
    house.collect("shuizhi", "w.csv", ROWS, SyncMode::Full).await.unwrap();
    let set = opening::dataset(app, &nobody, "shuizhi").await.unwrap();
    assert!(set.free && set.geometry.is_none());
    assert_eq!(set.entry.rows, 3);
    let names: Vec<&str> = set.entry.draft.items.iter().map(|i| i.identifier.as_str()).collect();
    assert_eq!(names, ["id", "amount", "day"]);
    assert_eq!((set.org_name.as_str(), set.region_name.as_str()), ("省市场监管厅", "浙江省"));
    let query = RowQuery { limit: Some(2), count: Count::Exact, ..RowQuery::default() };
    let page = opening::preview(app, &nobody, "shuizhi", &query).await.unwrap();
    assert_eq!((page.columns.len(), page.rows.len()), (3, 2));
    let mut download = opening::download(app, &nobody, "shuizhi", None).await.unwrap();
    let mut rows = 0;
    while let Some(chunk) = download.rows.next().await {
        let chunk = chunk.unwrap();
        assert_eq!(chunk.columns, ["id", "amount", "day"]);
        rows += chunk.rows.len();
    }
    assert_eq!(rows, 3);
    let figures = opening::figures(app, &nobody).await.unwrap();
    assert_eq!((figures.datasets, figures.rows, figures.items), (1, 3, 3));
    // Called without an application, as anyone may.
    let release = sharing::query(app, &nobody, "shuizhi", &RowQuery::default()).await.unwrap();
    assert_eq!((release.page.rows.len(), release.page.columns.len()), (3, 3));
    let auditor = house.person("auditor").await;
    for action in ["rows.preview", "rows.download", "rows.query"] {
        let filter =
            AuditFilter { action: Some(action.into()), limit: 10, ..AuditFilter::default() };
        let records = app::audit::list(app, &auditor, &filter).await.unwrap();
        assert_eq!(records.len(), 1, "{action}");
        assert_eq!(records[0].event.columns, "id,amount,day");
    }
}

/// Rows without a key are read from the lake, page by page without loss.
async fn an_unkeyed_set(house: House) {
    let (app, nobody) = (&house.app, house.nobody());
    let mut draft = testkit::draft("riji");
    draft.items[0].primary = false;
    house.publish(draft).await;
    let empty = sharing::query(app, &nobody, "riji", &RowQuery::default()).await.unwrap();
    assert!(empty.page.rows.is_empty() && empty.page.columns.len() == 4);
    let mut csv = "id,name,amount,day\n".to_owned();
    for n in 0..25 {
        csv.push_str(&format!("{n},n{n},{n}.00,2026-01-01\n"));
    }
    house.collect("riji", "r.csv", csv.as_bytes(), SyncMode::Full).await.unwrap();
    let mut query = RowQuery { limit: Some(10), count: Count::Exact, ..RowQuery::default() };
    let mut seen = Vec::new();
    loop {
        let op = house.nobody();
        let page = sharing::query(app, &op, "riji", &query).await.unwrap().page;
        assert_eq!(page.total, Some(25));
        seen.extend(page.rows.iter().filter_map(|r| r[0].to_text()));
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    let expected: Vec<String> = (0..25).map(|n| n.to_string()).collect();
    seen.sort_by_key(|s| s.parse::<i64>().unwrap());
    assert_eq!(seen, expected);
}

/// What is not open does not exist here; what is open under conditions is shown without rows.
async fn what_is_closed(house: House) {
    let (app, nobody) = (&house.app, house.nobody());
    house.publish(testkit::person_draft("renkou")).await;
    let mut limited = testkit::draft("qiye");
    limited.open_type = OpenType::Restricted;
    limited.open_condition = "实名认证并签署协议".into();
    let mut lng = Item::new("lng", "经度", DataType::Float);
    lng.open_type = OpenType::None;
    limited.items.push(lng);
    house.publish(limited).await;
    for what in ["renkou", "nothing", "../etc"] {
        let e = opening::dataset(app, &nobody, what).await.unwrap_err();
        assert_eq!(e.code(), Code::NotFound);
        let e = opening::preview(app, &nobody, what, &RowQuery::default()).await.unwrap_err();
        assert_eq!(e.code(), Code::NotFound);
        let e = opening::download(app, &nobody, what, None).await.unwrap_err();
        assert_eq!(e.code(), Code::NotFound);
        let e = sharing::query(app, &nobody, what, &RowQuery::default()).await.unwrap_err();
        assert_eq!(e.code(), Code::NotFound);
    }
    let set = opening::dataset(app, &nobody, "qiye").await.unwrap();
    assert!(!set.free);
    assert!(set.entry.draft.item("lng").is_none());
    let e = opening::preview(app, &nobody, "qiye", &RowQuery::default()).await.unwrap_err();
    assert_eq!(e.code(), Code::NoGrant);
    let page = opening::datasets(app, &nobody, None, 10).await.unwrap();
    let codes: Vec<&str> = page.items.iter().map(|d| d.entry.draft.code.as_str()).collect();
    assert_eq!(codes, ["qiye"]);
    assert_eq!(opening::figures(app, &nobody).await.unwrap().datasets, 1);
}

/// Places are measured as anybody sees the rows, told by region up to the province, found by name, and forgotten with the set.
async fn places_of_open_data(house: House) {
    let app = &house.app;
    let rows = "id,name,amount,day,region_code,lng,lat\n1,西溪站,1,2026-01-01,330106001,120.05,30.25\n\
                2,湖滨站,1,2026-01-02,330106,120.15,30.26\n3,天边,1,2026-01-03,330106,520000,3300000\n4,别处,1,2026-01-04,999999,121.6,29.8\n";
    let with_places = |code: &str| {
        let mut draft = testkit::draft(code);
        draft.region = "330100".into();
        draft.items.push(Item::new("region_code", "区划代码", DataType::Text));
        for (name, zh) in [("lng", "经度"), ("lat", "纬度")] {
            draft.items.push(Item::new(name, zh, DataType::Float));
        }
        draft
    };
    let mut hidden = with_places("hidden");
    for item in hidden.items.iter_mut().filter(|i| i.identifier == "lng") {
        item.open_type = OpenType::None;
    }
    for draft in [with_places("stations"), hidden] {
        let code = draft.code.clone();
        house.publish(draft).await;
        house.collect(&code, "s.csv", rows.as_bytes(), SyncMode::Full).await.unwrap();
    }
    let system = model::Op::system(app.now());
    let measured = opening::measure(app, &system).await.unwrap();
    assert_eq!((measured.filled, measured.placed), (2, 1), "where none may look, none does");
    let again = opening::measure(app, &system).await.unwrap();
    assert_eq!((again.filled, again.placed), (0, 0), "nothing new has landed");
    let nobody = house.nobody();
    let ground = opening::ground(app, &nobody).await.unwrap();
    assert_eq!(ground.sets, ["stations"]);
    let told: Vec<_> = ground
        .regions
        .iter()
        .map(|r| (r.code.as_str(), r.features, r.bounds, r.outlined))
        .collect();
    // A row whose region is not known is its set's; metres are no degrees; what lies below is the province's, too.
    let (county, city) = ([120.05, 30.25, 120.15, 30.26], [120.05, 29.8, 121.6, 30.26]);
    assert_eq!(
        told,
        [("330000", 3, city, false), ("330100", 3, city, false), ("330106", 2, county, false)]
    );
    let stations = ["stations".to_owned(), "hidden".to_owned(), "nothing".to_owned()];
    let found = opening::places(app, &nobody, "西湖区", &ground, &stations).await.unwrap();
    let meant = opening::meant(&found).unwrap();
    assert_eq!(
        (meant.code.as_str(), meant.bounds, meant.outlined),
        ("330106", Some(county), false)
    );
    let found = opening::places(app, &nobody, "湖滨", &ground, &stations).await.unwrap();
    let told: Vec<_> = found.iter().map(|p| (p.name.as_str(), p.code.as_str(), p.bounds)).collect();
    assert_eq!(told, [("湖滨站", "stations", Some([120.15, 30.26, 120.15, 30.26]))]);
    let refused = opening::places(app, &nobody, "%", &ground, &stations).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidQuery);
    // What is taken offline is nowhere at once, without being measured again.
    let entry = app.store.entry_get("stations").await.unwrap().unwrap();
    let (provider, authority) = (house.person("provider").await, house.person("authority").await);
    for (op, step) in [(&provider, Move::TakeOffline), (&authority, Move::Approve)] {
        app::catalogue::step(app, op, &entry.id, step, "停用").await.unwrap();
    }
    assert_eq!(opening::ground(app, &nobody).await.unwrap(), opening::Ground::default());
    let found = opening::places(app, &nobody, "湖滨", &ground, &stations).await.unwrap();
    assert!(found.is_empty(), "{found:?}");
}

/// An organisation that was just entered is among those that programs are told, though nothing else has changed.
async fn a_new_organisation(house: House) {
    let (app, nobody) = (&house.app, house.nobody());
    let before = opening::organisations(app, &nobody).await.unwrap().len();
    crate::outway::settle(&house).await;
    let after = opening::organisations(app, &nobody).await.unwrap();
    assert_eq!(after.len(), before + 1);
    assert!(after.iter().any(|o| o.name_cn == "宁波市数据局"));
}

crate::on_both!(
    an_open_set,
    an_unkeyed_set,
    what_is_closed,
    places_of_open_data,
    a_new_organisation
);

/// B6: two processes on one store; each has an index of its own, and it follows what the other does.
#[tokio::test]
async fn search_follows_what_another_process_does() {
    let cluster = testkit::Postgres::start();
    let url = cluster.database("follow");
    let (one, other) = (House::on(&url).await, House::on(&url).await);
    let found = async |house: &House| {
        let query = SearchQuery { text: "shuizhi".into(), limit: 10, ..SearchQuery::default() };
        let page = opening::search(&house.app, &house.nobody(), query).await.unwrap();
        page.hits.len()
    };
    assert_eq!((found(&one).await, found(&other).await), (0, 0));
    let entry = one.publish(testkit::draft("shuizhi")).await;
    assert_eq!((found(&one).await, found(&other).await), (1, 1));
    assert_eq!(opening::figures(&other.app, &other.nobody()).await.unwrap().datasets, 1);
    let (provider, authority) = (other.person("provider").await, other.person("authority").await);
    for (op, step) in [(&provider, Move::TakeOffline), (&authority, Move::Approve)] {
        app::catalogue::step(&other.app, op, &entry.id, step, "换源").await.unwrap();
    }
    assert_eq!((found(&one).await, found(&other).await), (0, 0));
}

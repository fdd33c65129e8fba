//! What the open site tells of sets besides their rows: charts, versions, how full and how fresh they are, cities, the index.

use app::catalogue::{self, Move};
use app::opening::{self, ChartAsk, Step};
use app::voice::{self, TicketOrder};
use chrono::TimeDelta;
use model::audit::AuditFilter;
use model::code::{Domain, OpenType, SyncMode, UpdateCycle};
use model::interface::How;
use model::query::{Comparison, Condition, RowQuery};
use model::voice::ticket::{Deed, TicketKind, TicketNew};
use model::{Code, Op};
use testkit::House;

const ROWS: &[u8] = b"id,name,amount,day\n1,a,1.50,2026-01-01\n2,b,2.25,2026-01-20\n3,a,3.00,2026-02-03\n4,,,2026-02-04\n";

fn ask(x: &str, y: &str, how: How) -> ChartAsk {
    ChartAsk { x: x.into(), y: y.into(), how: Some(how), ..ChartAsk::default() }
}

async fn bars(house: &House, code: &str, ask: &ChartAsk) -> Vec<(Option<String>, Option<String>)> {
    let chart = opening::chart(&house.app, &house.nobody(), code, ask).await.unwrap();
    chart.bars.into_iter().map(|b| (b.name, b.figure)).collect()
}

fn told(pairs: &[(Option<&str>, Option<&str>)]) -> Vec<(Option<String>, Option<String>)> {
    pairs.iter().map(|(a, b)| (a.map(Into::into), b.map(Into::into))).collect()
}

/// A set with a key is grouped where it is served, one without is read from the lake: both say the same.
async fn charts(house: House) {
    house.publish(testkit::draft("keyed")).await;
    let mut draft = testkit::draft("unkeyed");
    draft.items[0].primary = false;
    house.publish(draft).await;
    for code in ["keyed", "unkeyed"] {
        house.collect(code, "c.csv", ROWS, SyncMode::Full).await.unwrap();
        let counted = bars(&house, code, &ask("name", "", How::Count)).await;
        assert_eq!(
            counted,
            told(&[(Some("a"), Some("2")), (Some("b"), Some("1")), (None, Some("1"))]),
            "{code}"
        );
        let months = ChartAsk { step: Step::Month, ..ask("day", "amount", How::Sum) };
        let summed = bars(&house, code, &months).await;
        assert_eq!(
            summed,
            told(&[(Some("2026-01"), Some("3.75")), (Some("2026-02"), Some("3"))]),
            "{code}"
        );
        let years = ChartAsk { step: Step::Year, ..ask("day", "amount", How::Avg) };
        assert_eq!(
            bars(&house, code, &years).await,
            told(&[(Some("2026"), Some("2.25"))]),
            "{code}"
        );
        let filter =
            Condition::Column { column: "amount".into(), comparison: Comparison::Gte("2".into()) };
        let largest = ChartAsk { filter: Some(filter), ..ask("name", "amount", How::Max) };
        let largest = bars(&house, code, &largest).await;
        assert_eq!(largest[0].0.as_deref(), Some("a"), "{code}");
        assert_eq!(largest.len(), 2, "{code}");
        let points = opening::points(&house.app, &house.nobody(), code, ("id", "amount"), None)
            .await
            .unwrap();
        assert_eq!(points.points, [(1.0, 1.5), (2.0, 2.25), (3.0, 3.0)], "{code}");
    }
    let auditor = house.person("auditor").await;
    let filter =
        AuditFilter { action: Some("rows.preview".into()), limit: 50, ..AuditFilter::default() };
    let records = app::audit::list(&house.app, &auditor, &filter).await.unwrap();
    assert_eq!(records.len(), 10, "every chart is a release and leaves a record");
    assert!(records.iter().any(|r| r.event.columns == "day,sum(amount)"), "{records:?}");
}

/// What is not open makes no chart, neither by its set nor by its item.
async fn charts_of_what_is_closed(house: House) {
    let mut draft = testkit::draft("half");
    draft.items[1].open_type = OpenType::None;
    draft.items[1].open_basis = "内部管理信息".into();
    house.publish(draft).await;
    house.publish(testkit::person_draft("renkou")).await;
    house.collect("half", "c.csv", ROWS, SyncMode::Full).await.unwrap();
    let chart = async |code: &str, ask: ChartAsk| {
        opening::chart(&house.app, &house.nobody(), code, &ask).await.unwrap_err().code()
    };
    assert_eq!(chart("renkou", ask("xm", "", How::Count)).await, Code::NotFound);
    assert_eq!(chart("half", ask("name", "", How::Count)).await, Code::InvalidQuery);
    assert_eq!(chart("half", ask("day", "name", How::Max)).await, Code::InvalidQuery);
    assert_eq!(chart("half", ask("day", "day", How::Sum)).await, Code::InvalidQuery);
    let filter =
        Condition::Column { column: "name".into(), comparison: Comparison::Eq("a".into()) };
    let guessed = ChartAsk { filter: Some(filter), ..ask("day", "", How::Count) };
    assert_eq!(chart("half", guessed).await, Code::ColumnNotGranted);
}

/// Versions say what each brought; two of them say row by row what they differ in.
async fn versions(house: House) {
    house.publish(testkit::draft("shuizhi")).await;
    house.collect("shuizhi", "one.csv", ROWS, SyncMode::Full).await.unwrap();
    let next = b"id,name,amount,day\n1,a,1.50,2026-01-01\n2,b,9.00,2026-01-20\n3,a,3.00,2026-02-03\n5,e,5.00,2026-03-01\n";
    house.collect("shuizhi", "two.csv", next, SyncMode::Full).await.unwrap();
    let (app, nobody) = (&house.app, house.nobody());
    let versions = opening::versions(app, &nobody, "shuizhi").await.unwrap();
    assert_eq!(versions.iter().map(|v| v.rows).collect::<Vec<_>>(), [Some(4), Some(4)]);
    let (to, from) = (versions[0].version, versions[1].version);
    let told = opening::differences(app, &nobody, "shuizhi", from, to).await.unwrap();
    assert_eq!((told.inserted, told.updated, told.deleted, told.more), (1, 1, 1, false));
    let changed: Vec<_> = told.rows.iter().map(|r| (r.operation, r.cells[0].as_deref())).collect();
    for one in [("I", Some("5")), ("U", Some("2")), ("D", Some("4"))] {
        assert!(changed.contains(&one), "{changed:?}");
    }
    let e = opening::differences(app, &nobody, "shuizhi", to, from).await.unwrap_err();
    assert_eq!(e.code(), Code::InvalidQuery);
    let e = opening::differences(app, &nobody, "shuizhi", from, to + 50).await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound);
}

/// How full a set is, is measured once per landing; a set that is late says so from the day after.
async fn standing(house: House) {
    house.publish(testkit::draft("shuizhi")).await;
    let run = house.collect("shuizhi", "one.csv", ROWS, SyncMode::Full).await.unwrap();
    let system = || model::Op::system(house.app.now());
    let measure = async || opening::measure(&house.app, &system()).await.unwrap().filled;
    assert_eq!(measure().await, 1);
    assert_eq!(measure().await, 0, "nothing new has landed");
    let look = async || {
        let nobody = house.nobody();
        let set = opening::dataset(&house.app, &nobody, "shuizhi").await.unwrap();
        opening::standing(&house.app, &nobody, &set).await.unwrap()
    };
    let standing = look().await;
    let measured = standing.measured.unwrap();
    assert_eq!((measured.rows, measured.cells, measured.missing), (4, 16, 2));
    assert_eq!(measured.items[1], ("name".to_owned(), 3));
    assert_eq!((standing.accepted, standing.checksum), (run.accepted, run.checksum));
    assert!(!standing.stale && measured.bytes > 0, "{}", measured.bytes);
    house.clock.forward(TimeDelta::days(4));
    assert!(look().await.stale, "daily data of four days ago");
    house
        .collect("shuizhi", "two.csv", b"id,name,amount,day\n1,a,1,2026-01-01\n", SyncMode::Full)
        .await
        .unwrap();
    assert!(!look().await.stale);
    assert_eq!(measure().await, 1);
    assert_eq!(look().await.measured.unwrap().missing, 0);
}

/// Cities and the province's own sets add up to the whole, whatever lies where.
async fn cities(house: House) {
    for (code, region) in
        [("sheng", "330000"), ("hangzhou", "330100"), ("xihu", "330106"), ("ningbo", "330200")]
    {
        let mut draft = testkit::draft(code);
        draft.region = region.into();
        house.publish(draft).await;
        house.collect(code, "c.csv", ROWS, SyncMode::Full).await.unwrap();
    }
    let mut hidden = testkit::person_draft("renkou");
    hidden.region = "330100".into();
    house.publish(hidden).await;
    let nobody = house.nobody();
    let whole = opening::figures(&house.app, &nobody).await.unwrap();
    let all = opening::cities(&house.app, &nobody).await.unwrap();
    let of = |region: &str| all.iter().find(|c| c.region == region).unwrap().figures.clone();
    assert_eq!(all.len(), 12, "eleven cities and the province itself");
    assert_eq!((of("330000").datasets, of("330100").datasets, of("330200").datasets), (1, 2, 1));
    assert_eq!(of("331100").datasets, 0);
    let sum = |f: fn(&opening::Figures) -> u64| all.iter().map(|c| f(&c.figures)).sum::<u64>();
    assert_eq!(
        (sum(|f| f.datasets), sum(|f| f.interfaces), sum(|f| f.items), sum(|f| f.rows)),
        (whole.datasets, whole.interfaces, whole.items, whole.rows)
    );
    assert_eq!(opening::city(&house.app, "hangzhou").unwrap().region, "330100");
    assert_eq!(opening::city(&house.app, "atlantis").unwrap_err().code(), Code::NotFound);
}

/// The index says which sets fail what, and says so anew when a set goes stale by the calendar alone.
async fn index(house: House) {
    for n in 1..=3 {
        let mut draft = testkit::draft(&format!("piece_{n}"));
        draft.title = format!("企业年报（第{n}期）");
        draft.region = "330100".into();
        house.publish(draft).await;
    }
    let mut yearly = testkit::draft("whole");
    yearly.title = "企业名录".into();
    yearly.update_cycle = UpdateCycle::Yearly;
    yearly.time_range = "2026".into();
    yearly.attribution = "业务系统".into();
    house.publish(yearly).await;
    let mut csv = "id,name,amount,day\n".to_owned();
    for n in 0..200 {
        csv.push_str(&format!("{n},,,\n"));
    }
    house.collect("whole", "w.csv", csv.as_bytes(), SyncMode::Full).await.unwrap();
    opening::measure(&house.app, &model::Op::system(house.app.now())).await.unwrap();
    let index = opening::index(&house.app, &house.nobody()).await.unwrap();
    assert_eq!((index.whole.sets, index.whole.cells), (4, 800));
    assert_eq!(index.whole.failing.get("fragmented"), Some(&3));
    assert_eq!(index.whole.failing.get("missing"), Some(&1), "three of four cells are empty");
    assert_eq!(index.whole.failing.get("low_capacity"), Some(&3));
    assert_eq!(index.whole.failing.get("late"), None);
    assert_eq!((index.whole.timeliness, index.whole.coverage), (100.0, 100.0));
    let cities: Vec<_> = index.cities.iter().map(|c| (c.word.as_str(), c.sets)).collect();
    assert!(cities.contains(&("330100", 3)) && cities.contains(&("330000", 1)), "{cities:?}");
    for score in index.cities.iter().chain(&index.orgs).chain([&index.whole]) {
        assert!((0.0..=100.0).contains(&score.total), "{score:?}");
    }
    let before = index.whole.total;
    house.clock.forward(TimeDelta::days(5));
    let index = opening::index(&house.app, &house.nobody()).await.unwrap();
    assert_eq!(index.whole.failing.get("late"), Some(&3), "daily sets, the yearly one is not due");
    assert!(index.whole.total < before && index.whole.timeliness == 25.0, "{:?}", index.whole);
    let nobody = house.nobody();
    let page = async |after: Option<&str>| {
        let whose = (Some("330100"), None);
        opening::failing(&house.app, &nobody, whose, "late", after, 2).await.unwrap()
    };
    let first = page(None).await;
    let codes: Vec<_> = first.items.iter().map(|f| f.code.as_str()).collect();
    assert_eq!(codes, ["piece_1", "piece_2"]);
    let rest = page(first.next.as_deref()).await;
    assert_eq!((rest.items.len(), rest.next), (1, None));
    let e = opening::failing(&house.app, &nobody, (None, None), "ugly", None, 9).await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound);
}

/// What nobody uses and who answers late is counted, each at its city and department; what is new, or may still be answered, is not.
async fn use_and_replies(house: House) {
    for code in ["called", "forgotten"] {
        let mut draft = testkit::draft(code);
        draft.region = "330100".into();
        house.publish(draft).await;
        house.collect(code, "c.csv", ROWS, SyncMode::Full).await.unwrap();
    }
    let citizen = house.person("citizen").await;
    let ask = |kind, entry: &str, title: &str| TicketNew {
        kind: Some(kind),
        entry: entry.into(),
        title: title.into(),
        text: "请核实后答复。".into(),
        ..TicketNew::default()
    };
    let file = async |new| voice::file(&house.app, &citizen, new).await.unwrap();
    let quick = file(ask(TicketKind::Question, "called", "怎样下载")).await;
    file(ask(TicketKind::Fault, "called", "金额有误")).await;
    let look = async || opening::index(&house.app, &house.nobody()).await.unwrap();
    let index = look().await;
    assert_eq!((index.whole.used, index.whole.reply, index.whole.reply_days), (None, None, None));
    let provider = house.person("provider").await;
    let answer = TicketOrder::new(Deed::Answer, "点击下载按钮");
    voice::act(&house.app, &provider, &quick.id, answer).await.unwrap();

    house.clock.forward(TimeDelta::days(100));
    opening::preview(&house.app, &house.nobody(), "called", &RowQuery::default()).await.unwrap();
    let index = look().await;
    // One of two is used; one was answered at once, one is overdue.
    assert_eq!((index.whole.used, index.whole.reply), (Some(50.0), Some(50.0)));
    assert_eq!(index.whole.reply_days, Some(0));
    assert_eq!(index.whole.failing.get("unused"), Some(&1));
    let org = index.orgs.iter().find(|o| o.sets == 2).unwrap();
    assert_eq!((org.used, org.reply), (Some(50.0), Some(50.0)));
    let hangzhou = index.cities.iter().find(|c| c.word == "330100").unwrap();
    assert_eq!(hangzhou.used, Some(50.0), "the sets are the city's");
    assert_eq!(hangzhou.reply, None, "the desk is a department of the province");
    let nobody = house.nobody();
    let unused =
        opening::failing(&house.app, &nobody, (None, None), "unused", None, 9).await.unwrap();
    let codes: Vec<_> = unused.items.iter().map(|f| f.code.as_str()).collect();
    assert_eq!(codes, ["forgotten"]);
}

/// An index that follows what moved is the one that is made of everything anew.
async fn the_index_follows(house: House) {
    let two = b"id,name,amount,day\n1,a,1.50,2026-01-01\n2,b,2.25,2026-01-02\n";
    for n in 1..=4 {
        let mut draft = testkit::draft(&format!("piece_{n}"));
        draft.title = format!("企业年报（第{n}期）");
        draft.region = if n > 2 { "330200".into() } else { "330100".into() };
        house.publish(draft).await;
    }
    let look = async |house: &House| opening::index(&house.app, &house.nobody()).await.unwrap();
    let first = look(&house).await;
    assert_eq!((first.whole.sets, first.whole.cells), (4, 0));
    assert_eq!(first.whole.failing.get("fragmented"), Some(&4));

    // One goes, one comes, one gets rows.
    let gone = house.app.store.entry_get("piece_4").await.unwrap().unwrap().id;
    for (who, step) in [("provider", Move::TakeOffline), ("authority", Move::Approve)] {
        let op = house.person(who).await;
        catalogue::step(&house.app, &op, &gone, step, "数据有误").await.unwrap();
    }
    let mut draft = testkit::draft("hupo");
    draft.title = "湖泊".into();
    draft.domain = Domain::Ecology;
    house.publish(draft).await;
    house.collect("piece_1", "t.csv", two, SyncMode::Full).await.unwrap();
    opening::measure(&house.app, &model::Op::system(house.app.now())).await.unwrap();
    house.clock.forward(TimeDelta::minutes(11));
    let followed = look(&house).await;
    assert_eq!((followed.whole.sets, followed.whole.cells), (4, 8));
    assert_eq!(followed.whole.failing.get("fragmented"), Some(&3));
    let failing = async |house: &House| {
        let mut all = Vec::new();
        for defect in opening::DEFECTS {
            let nobody = house.nobody();
            let of = opening::failing(&house.app, &nobody, (None, None), defect, None, 100).await;
            all.push(of.unwrap().items);
        }
        all
    };
    let fails = failing(&house).await;

    let house = house.reopen().await;
    let anew = look(&house).await;
    assert_eq!(followed.whole, anew.whole);
    assert_eq!((&followed.cities, &followed.orgs), (&anew.cities, &anew.orgs));
    assert_eq!((&followed.cover, &followed.themes), (&anew.cover, &anew.themes));
    assert_eq!(fails, failing(&house).await);
}

/// What a file is made of moves with its data and with nothing else; what is known of it is known after a start, too.
async fn files(house: House) {
    let made = async |house: &House, op: &Op| {
        let set = opening::dataset(&house.app, op, "filed").await.unwrap();
        let making = opening::making(&house.app, op, &set).await.unwrap();
        (set, making.unwrap())
    };
    house.publish(testkit::draft("filed")).await;
    let (_, empty) = made(&house, &house.nobody()).await;
    house.collect("filed", "f.csv", ROWS, SyncMode::Full).await.unwrap();
    let (set, making) = made(&house, &house.nobody()).await;
    assert_ne!(making, empty);
    house.clock.forward(TimeDelta::hours(1));
    let citizen = house.person("citizen").await;
    assert_eq!(made(&house, &citizen).await.1, making, "the same for everybody, and later");
    let file = |name: &str, stamp: &str, bytes| opening::OpenFile {
        entry: set.entry.id.clone(),
        file: name.into(),
        stamp: stamp.into(),
        bytes,
        sha256: "0f".repeat(32),
        known_at: "2026-03-02T01:00:00.000Z".into(),
    };
    assert!(opening::files_known(&house.app, &set).await.unwrap().is_empty());
    let (csv, json) = (file("download.csv", &making, 10), file("download.json", "former", 20));
    for known in [&json, &file("download.csv", "former", 7), &csv] {
        opening::file_keep(&house.app, known).await.unwrap();
    }
    assert_eq!(opening::files_known(&house.app, &set).await.unwrap(), [csv.clone(), json.clone()]);
    house.publish(testkit::restricted_draft("qiye")).await;
    let limited = opening::dataset(&house.app, &house.nobody(), "qiye").await.unwrap();
    let none = opening::making(&house.app, &house.nobody(), &limited).await.unwrap();
    assert_eq!(none, None, "what is not given out is made of nothing");
    let house = house.reopen().await;
    assert_eq!(made(&house, &house.nobody()).await.1, making);
    assert_eq!(opening::files_known(&house.app, &set).await.unwrap(), [csv, json]);
    let other = b"id,name,amount,day\n9,z,1.00,2026-01-01\n";
    house.collect("filed", "g.csv", other, SyncMode::Full).await.unwrap();
    assert_ne!(made(&house, &house.nobody()).await.1, making, "data that landed anew");
}

crate::on_both!(
    charts,
    charts_of_what_is_closed,
    versions,
    standing,
    cities,
    index,
    the_index_follows,
    use_and_replies,
    files
);

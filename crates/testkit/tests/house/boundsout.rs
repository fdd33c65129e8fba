//! Bounds hold at every way out, not at calls alone: files of an exchange, figures, distinct values, pages of the open site.

use app::{exchange, interface, opening};
use chrono::TimeDelta;
use model::Code;
use model::audit::AuditFilter;
use model::bounds::{Bounds, BoundsKind, SubjectBound};
use model::code::SyncMode;
use model::exchange::{ExchangeNew, ExchangeWay, FileState};
use model::query::RowQuery;
use testkit::House;

use crate::bounding::{people, set, told, windows};
use crate::interface::{call, figures, granted, published};

fn counted(item: &str) -> Bounds {
    let subject = SubjectBound { item: item.into(), per_day: 3 };
    Bounds { subject: Some(subject), ..Bounds::default() }
}

fn authorised(item: &str) -> Bounds {
    Bounds { authorised: Some(item.into()), ..Bounds::default() }
}

/// An exchange sends nothing whole of what is asked one by one, nothing out of hours, and nothing where no address is allowed; each
/// refusal says which bound it is and is on record. Within the bounds it sends.
async fn an_exchange_keeps_to_bounds(house: House) {
    let app = &house.app;
    let provider = house.person("provider").await;
    let (_, secret) = house.application("核验应用").await;
    people(&house).await;
    let request = crate::exchange::approved(&house, &secret.application.id, "renkou").await;
    let entry = app.store.request_get(&request).await.unwrap().unwrap().entry;
    let place = crate::exchange::folder(&house, "out");
    let new = ExchangeNew {
        name: "人口发送".into(),
        way: Some(ExchangeWay::Out),
        peer: "省政务服务应用组".into(),
        entry: "renkou".into(),
        place: place.to_str().unwrap().into(),
        request: request.clone(),
        ..ExchangeNew::default()
    };
    let bound = async |bounds: Bounds| {
        set(&house, "provider", BoundsKind::Entry, &entry, bounds).await.unwrap();
    };
    bound(counted("sfzh")).await;
    let refused = exchange::create(app, &provider, new.clone()).await.unwrap_err();
    assert_eq!(told(&refused), (Code::OutOfBounds, "bounds.entry.subject-bulk".into()));
    bound(Bounds::default()).await;
    let view = exchange::create(app, &provider, new).await.unwrap();

    // The house stands on a Monday; a folder has no address.
    let closed = Bounds { windows: windows(&["6 08:00-09:00"]), ..Bounds::default() };
    let listed = Bounds { addresses: vec!["10.1.0.0/16".into()], ..Bounds::default() };
    let there = || std::fs::read_dir(&place).unwrap().count();
    for (bounds, why) in [
        (counted("sfzh"), "按主体限次"),
        (authorised("sfzh"), "须主体授权"),
        (listed, "名单"),
        (closed, "时段"),
    ] {
        bound(bounds).await;
        house.clock.forward(TimeDelta::minutes(10));
        exchange::tick(app).await.unwrap();
        assert_eq!(there(), 0, "{why}");
        let now = exchange::get(app, &provider, &view.exchange.id).await.unwrap();
        assert!(now.figures.zh.contains(why), "{why}: {:?}", now.figures);
    }
    let auditor = house.person("auditor").await;
    let filter =
        AuditFilter { action: Some("rows.download".into()), limit: 100, ..AuditFilter::default() };
    let records = app::audit::list(app, &auditor, &filter).await.unwrap();
    let denied = records.iter().filter(|r| r.event.result == "denied").count();
    assert!(denied >= 5, "{records:?}");

    bound(Bounds { windows: windows(&["1 00:00-24:00"]), ..Bounds::default() }).await;
    exchange::tick(app).await.unwrap();
    let files = crate::exchange::files(&house, &provider, &view).await;
    assert!(files.iter().any(|f| f.state == FileState::Sent) && there() > 0, "{files:?}");
}

const COUNTS: &str = "title = \"按名称统计\"\nkind = \"statistics\"\nentry = \"tongji\"\n\
    [[param]]\nname = \"since\"\nitem = \"id\"\nmatch = \"from\"\n\
    [statistics]\ngroup_by = [\"name\"]\n[[statistics.measure]]\nhow = \"count\"\n\
    [[statistics.measure]]\nhow = \"sum\"\nitem = \"amount\"\n";

/// Of a resource that is asked one by one, figures are those of its groups alone: no condition of the caller's own, by which two
/// answers differ by one subject, no largest value, no list of values, no file; and none at all where subjects must have authorised it.
async fn no_figure_is_one_subjects(house: House) {
    let app = &house.app;
    let (caller, secret) = house.application("统计应用").await;
    let entry = house.publish(testkit::draft("tongji")).await;
    house.collect("tongji", "t.csv", figures().as_bytes(), SyncMode::Full).await.unwrap();
    granted(&house, &secret.application.id, "tongji", &["id", "name", "amount", "day"]).await;
    let counts = published(&house, COUNTS).await;
    let largest = format!("{COUNTS}[[statistics.measure]]\nhow = \"max\"\nitem = \"amount\"\n");
    let largest = published(&house, &largest).await;
    let ask = async |code: &str, pairs: &[(&str, &str)]| {
        let answer = call(&house, &caller, code, pairs).await;
        answer.map(|a| match a.body {
            interface::Body::Groups(groups) => groups.rows.len(),
            other => panic!("{other:?}"),
        })
    };
    let since = [("since", "2")];
    let names = ["name".to_owned()];
    let nobody = || house.nobody();
    let distinct =
        async || opening::distinct(app, &nobody(), "tongji", &names, None, 100).await.map(drop);
    let preview =
        async || opening::preview(app, &nobody(), "tongji", &RowQuery::default()).await.map(drop);
    let download = async || opening::download(app, &nobody(), "tongji", None).await.map(drop);

    for code in [&counts.code, &largest.code] {
        assert_eq!(ask(code, &[]).await.unwrap(), 1);
        assert_eq!(ask(code, &since).await.unwrap(), 1);
    }
    for open in [distinct().await, preview().await, download().await] {
        open.unwrap();
    }
    let bound = async |bounds: Bounds| {
        set(&house, "provider", BoundsKind::Entry, &entry.id, bounds).await.unwrap();
    };
    let why = |rule: &str| (Code::OutOfBounds, format!("bounds.entry.{rule}"));

    bound(counted("id")).await;
    assert_eq!(ask(&counts.code, &[]).await.unwrap(), 1, "groups that nobody chose");
    let none: &[(&str, &str)] = &[];
    for (code, pairs) in
        [(&counts.code, &since[..]), (&largest.code, none), (&largest.code, &since[..])]
    {
        let refused = ask(code, pairs).await.unwrap_err();
        assert_eq!(told(&refused), why("subject-figures"), "{pairs:?}");
    }
    for bounds in [counted("id"), authorised("id")] {
        bound(bounds).await;
        for whole in [distinct().await, preview().await, download().await] {
            assert_eq!(told(&whole.unwrap_err()), why("subject-bulk"));
        }
    }
    for pairs in [none, &since[..]] {
        let refused = ask(&counts.code, pairs).await.unwrap_err();
        assert_eq!(told(&refused), why("subject-bulk"), "{pairs:?}");
    }
    // Addresses hold on the open site, too.
    let listed = Bounds { addresses: vec!["10.1.0.0/16".into()], ..Bounds::default() };
    bound(listed).await;
    for away in [preview().await, download().await] {
        assert_eq!(told(&away.unwrap_err()), why("address"));
    }
    bound(Bounds::default()).await;
    for open in [distinct().await, preview().await, download().await] {
        open.unwrap();
    }
}

crate::on_both!(an_exchange_keeps_to_bounds, no_figure_is_one_subjects);

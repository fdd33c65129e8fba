//! The roll of what is open: names and sums follow each change at once, in every process, and are those of a count made anew.

use std::collections::BTreeSet;

use app::catalogue::Move;
use app::opening::{self, Figures};
use model::code::{Domain, OpenType, SyncMode};
use testkit::House;

const ROWS: &[u8] = b"id,name,amount,day\n1,a,1.50,2026-01-01\n2,b,2.25,2026-01-02\n";

/// A set of a city, with a hidden item.
async fn opened(house: &House, code: &str, region: &str, domain: Domain, tag: &str) {
    let mut draft = testkit::draft(code);
    draft.region = region.into();
    draft.domain = domain;
    draft.tags = vec![tag.into(), "水质".into()];
    draft.items[1].open_type = OpenType::None;
    house.publish(draft).await;
}

/// Walks an entry through moves that its department asks for and the authority agrees to.
async fn moved(house: &House, code: &str, step: Move) {
    let id = house.app.store.entry_get(code).await.unwrap().unwrap().id;
    for (who, step) in [("provider", step), ("authority", Move::Approve)] {
        let op = house.person(who).await;
        app::catalogue::step(&house.app, &op, &id, step, "换源").await.unwrap();
    }
}

/// Codes and figures as the roll tells them.
async fn told(house: &House) -> (Vec<String>, Figures) {
    let nobody = house.nobody();
    let listing = opening::listing(&house.app, &nobody).await.unwrap();
    let figures = opening::figures(&house.app, &nobody).await.unwrap();
    (listing.sets.iter().map(|s| s.code.clone()).collect(), figures)
}

/// The same, counted anew from the sets themselves, page by page.
async fn counted(house: &House) -> (Vec<String>, Figures) {
    let (mut codes, mut figures, mut orgs) = (Vec::new(), Figures::default(), BTreeSet::new());
    let mut after = None::<String>;
    loop {
        let nobody = house.nobody();
        let page = opening::datasets(&house.app, &nobody, after.as_deref(), 2).await.unwrap();
        for set in page.items {
            figures.datasets += 1;
            figures.interfaces += u64::from(set.free);
            figures.items += set.entry.draft.items.len() as u64;
            figures.rows += u64::try_from(set.entry.rows).unwrap();
            orgs.insert(set.entry.draft.org);
            codes.push(set.entry.draft.code);
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    codes.sort();
    figures.organisations = orgs.len() as u64;
    (codes, figures)
}

async fn follows_each_change(house: House) {
    let (app, nobody) = (&house.app, house.nobody());
    assert_eq!(told(&house).await, (Vec::new(), Figures::default()));
    house.publish(testkit::person_draft("renkou")).await;
    for (code, region, domain, tag) in [
        ("hu_po", "330100", Domain::Ecology, "湖泊"),
        ("hupo", "330106", Domain::Market, "湖泊"),
        ("hu2", "330000", Domain::Ecology, "河流"),
    ] {
        opened(&house, code, region, domain, tag).await;
        assert_eq!(told(&house).await, counted(&house).await, "{code} is published");
    }
    // In the order of their bytes, whatever order the store keeps texts in.
    assert_eq!(told(&house).await.0, ["hu2", "hu_po", "hupo"]);
    let mut limited = testkit::draft("qiye");
    limited.open_type = OpenType::Restricted;
    limited.open_condition = "实名认证并签署协议".into();
    house.publish(limited).await;
    house.collect("hupo", "h.csv", ROWS, SyncMode::Full).await.unwrap();
    let (codes, figures) = told(&house).await;
    assert_eq!((codes.clone(), figures.clone()), counted(&house).await);
    assert_eq!((figures.datasets, figures.interfaces, figures.rows), (4, 3, 2));
    let before = opening::listing(app, &nobody).await.unwrap();
    assert_eq!((before.domains[&Domain::Ecology], before.tags["湖泊"]), (2, 2));

    // Withdrawn, it is gone with the answer to the last step; while that is asked for it stays.
    let id = app.store.entry_get("hu_po").await.unwrap().unwrap().id;
    let provider = house.person("provider").await;
    app::catalogue::step(app, &provider, &id, Move::TakeOffline, "换源").await.unwrap();
    assert_eq!(told(&house).await.0, codes);
    let authority = house.person("authority").await;
    app::catalogue::step(app, &authority, &id, Move::Approve, "换源").await.unwrap();
    assert_eq!(told(&house).await.0, ["hu2", "hupo", "qiye"]);
    assert_eq!(told(&house).await, counted(&house).await);
    let after = opening::listing(app, &nobody).await.unwrap();
    assert_eq!((after.domains[&Domain::Ecology], after.tags["湖泊"]), (1, 1));
    assert!(after.get("hu_po").is_none() && before.get("hu_po").is_some());
    let cities = opening::cities(app, &nobody).await.unwrap();
    let of = |region: &str| cities.iter().find(|c| c.region == region).unwrap().figures.datasets;
    assert_eq!((of("330000"), of("330100")), (2, 1));
    // Its sets asked for by id are those that are open now, in the order asked for.
    let ids: Vec<String> = before.sets.iter().rev().map(|s| s.id.clone()).collect();
    let sets = opening::sets(app, &nobody, &ids).await.unwrap();
    let codes: Vec<&str> = sets.iter().map(|s| s.entry.draft.code.as_str()).collect();
    assert_eq!(codes, ["qiye", "hupo", "hu2"]);
    let hidden = |code: &str| {
        sets.iter().any(|s| s.entry.draft.code == code && s.entry.draft.item("name").is_none())
    };
    assert!(hidden("hupo") && hidden("hu2") && !hidden("qiye"), "without their hidden items");

    moved(&house, "hu_po", Move::PutOnline).await;
    assert_eq!(told(&house).await.0, ["hu2", "hu_po", "hupo", "qiye"]);
    assert_eq!(told(&house).await, counted(&house).await);
    let orgs = opening::open_organisations(app, &nobody).await.unwrap();
    let orgs: Vec<_> = orgs.iter().map(|(o, n)| (o.id.as_str(), *n)).collect();
    assert_eq!(orgs, [(testkit::PROVIDER_ORG, 4)]);
}

/// Many ask while sets come and go: nobody is told of one that was gone when they asked, or not of one that was there.
async fn is_level_whoever_asks(house: House) {
    opened(&house, "stays", "330000", Domain::Ecology, "湖泊").await;
    opened(&house, "goes", "330000", Domain::Ecology, "湖泊").await;
    for there in [false, true, false] {
        let step = if there { Move::PutOnline } else { Move::TakeOffline };
        moved(&house, "goes", step).await;
        let asked = (0..20).map(|_| told(&house));
        for (codes, figures) in futures::future::join_all(asked).await {
            assert!(codes.contains(&"stays".to_owned()));
            assert_eq!(codes.contains(&"goes".to_owned()), there);
            assert_eq!(figures.datasets, 1 + u64::from(there));
        }
    }
}

/// The index is kept for some minutes; what was withdrawn since is not named by it.
async fn the_index_names_none_that_is_gone(house: House) {
    for code in ["gone", "stays"] {
        opened(&house, code, "330100", Domain::Ecology, "湖泊").await;
    }
    let failing = async || {
        let nobody = house.nobody();
        let whose = (Some("330100"), None);
        let page = opening::failing(&house.app, &nobody, whose, "low_capacity", None, 9).await;
        page.unwrap().items.into_iter().map(|f| f.code).collect::<Vec<_>>()
    };
    assert_eq!(failing().await, ["gone", "stays"]);
    moved(&house, "gone", Move::TakeOffline).await;
    assert_eq!(failing().await, ["stays"]);
    let index = opening::index(&house.app, &house.nobody()).await.unwrap();
    assert_eq!(index.whole.sets, 2, "it was not made anew in between");
}

crate::on_both!(follows_each_change, is_level_whoever_asks, the_index_names_none_that_is_gone);

/// Two processes on one store: what one does the other tells at once, without waiting for the second in which it looks for changes.
#[tokio::test]
async fn the_roll_follows_what_another_process_does() {
    let cluster = testkit::Postgres::start();
    let url = cluster.database("roll");
    let (one, other) = (House::on(&url).await, House::on(&url).await);
    let nothing = (Vec::<String>::new(), Figures::default());
    for house in [&one, &other] {
        assert_eq!(told(house).await, nothing);
    }
    opened(&one, "shuizhi", "330100", Domain::Ecology, "湖泊").await;
    let seen = told(&other).await;
    assert_eq!((seen.0.len(), seen.1.items), (1, 3));
    assert_eq!(seen, told(&one).await);
    moved(&other, "shuizhi", Move::TakeOffline).await;
    for house in [&one, &other] {
        assert_eq!(told(house).await, nothing);
    }
}

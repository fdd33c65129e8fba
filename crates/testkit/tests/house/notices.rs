//! The change feed and who is told of it: pages without gap or double, nothing that one may not know of; subscriptions
//! to searches and things, each change told once, permission asked when it is told; reminders.

use app::catalogue::Move;
use app::{ledger, notice};
use chrono::TimeDelta;
use model::asset::{Ledger, Node};
use model::change::{ChangeFilter, Happened, Position};
use model::code::{OpenType, SyncMode};
use model::notice::Watched;
use model::{Code, Op};
use testkit::House;

async fn feed(house: &House, op: &Op, filter: &ChangeFilter) -> Vec<model::change::Change> {
    let mut all = Vec::new();
    let mut ask = ChangeFilter { limit: 2, ..filter.clone() };
    loop {
        let page = ledger::changes(&house.app, op, &ask).await.unwrap();
        assert!(page.items.len() <= 2);
        all.extend(page.items);
        match page.next {
            Some(next) => ask.after = Some(Position::parse(&next).unwrap()),
            None => return all,
        }
    }
}

fn codes(all: &[model::change::Change]) -> Vec<&str> {
    all.iter().map(|c| if c.gone { "gone" } else { c.code.as_str() }).collect()
}

/// Newest first, page by page; each reader sees what is theirs to know; a review under way shows nothing.
async fn the_feed(house: House) {
    let app = &house.app;
    let provider = house.person("provider").await;
    let mut closed = testkit::draft("neibu");
    closed.open_type = OpenType::None;
    closed.open_basis = "内部".into();
    for item in &mut closed.items {
        item.open_type = OpenType::None;
    }
    let closed = house.publish(closed).await;
    let open = house.publish(testkit::draft("kaifang")).await;
    // Operations are dated when they are made: each act has its own.
    let now = async |who: &str| house.person(who).await;
    app::catalogue::create(app, &now("provider").await, testkit::draft("caogao")).await.unwrap();
    let component = house.asset("provider", Ledger::Component, "C-1", "统一用户").await;
    let cloud = house.asset("stranger", Ledger::Cloud, "R-1", "云主机").await;
    let all = ChangeFilter::default();
    let seen = feed(&house, &provider, &all).await;
    assert_eq!(codes(&seen), ["R-1", "C-1", "caogao", "kaifang", "neibu"]);
    assert!(seen.iter().all(|c| c.happened == Happened::Created));
    let consumer = house.person("consumer").await;
    assert_eq!(codes(&feed(&house, &consumer, &all).await), ["R-1", "C-1", "kaifang", "neibu"]);
    for who in ["citizen", "enterprise"] {
        let op = house.person(who).await;
        assert_eq!(codes(&feed(&house, &op, &all).await), ["kaifang"], "{who}");
    }
    let public = ChangeFilter { open: true, ..all.clone() };
    assert_eq!(codes(&feed(&house, &house.nobody(), &public).await), ["kaifang"]);
    // An application of the consumer's organisation: entries that are shared, assets of its own only.
    let (caller, _) = house.application("应用").await;
    house.asset("consumer", Ledger::Application, "A-1", "本单位应用").await;
    let own = feed(&house, &caller, &all).await;
    assert_eq!(codes(&own), ["A-1", "kaifang", "neibu"]);
    // Filters.
    let one = ChangeFilter { ledger: Some(Ledger::Cloud), ..all.clone() };
    assert_eq!(codes(&feed(&house, &provider, &one).await), ["R-1"]);
    let one = ChangeFilter { org: Some("org-ecology".into()), ..all.clone() };
    assert_eq!(codes(&feed(&house, &provider, &one).await), ["R-1"]);
    let below = |codes: Vec<String>| ChangeFilter { regions: codes, ..ChangeFilter::default() };
    let city = ledger::regions_below(app, "330100").await.unwrap();
    assert!(feed(&house, &provider, &below(city)).await.is_empty());
    let province = ledger::regions_below(app, "330000").await.unwrap();
    assert_eq!(feed(&house, &provider, &below(province)).await.len(), 6);
    let e = ledger::regions_below(app, "990000").await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound);

    // A change under review is not told before it is in force.
    let mut draft = open.draft.clone();
    draft.description.push_str("（修订）");
    let editor = now("provider").await;
    app::catalogue::edit(app, &editor, &open.id, draft, open.version).await.unwrap();
    let before = feed(&house, &consumer, &all).await;
    assert_eq!(codes(&before)[0], "A-1", "nothing new for others");
    let approve = now("authority").await;
    app::catalogue::step(app, &approve, &open.id, Move::Approve, "").await.unwrap();
    let after = feed(&house, &consumer, &all).await;
    assert_eq!((after[0].code.as_str(), after[0].happened), ("kaifang", Happened::Changed));

    // Taken offline: its own people see it retired, those who could know of it learn that it went, others nothing.
    for (who, step) in [("provider", Move::TakeOffline), ("authority", Move::Approve)] {
        app::catalogue::step(app, &now(who).await, &closed.id, step, "停用").await.unwrap();
    }
    let mine = feed(&house, &provider, &all).await;
    assert_eq!((mine[0].code.as_str(), mine[0].happened), ("neibu", Happened::Retired));
    let others = feed(&house, &consumer, &all).await;
    assert!(others[0].gone && others[0].title.is_empty() && others[0].node.id == closed.id);
    let citizen = house.person("citizen").await;
    assert_eq!(
        codes(&feed(&house, &citizen, &all).await),
        ["kaifang"],
        "it never existed for them"
    );
    let delist = now("provider").await;
    ledger::step(app, &delist, &component.id, "delisted", "下架").await.unwrap();
    let now = feed(&house, &consumer, &all).await;
    assert_eq!((now[0].code.as_str(), now[0].happened), ("C-1", Happened::Retired));
    assert_eq!(cloud.version, 1);

    // As Atom: well-formed, with the next page, a tombstone, and the same tag for the same content.
    let ask = ChangeFilter { limit: 2, ..all };
    let page = ledger::changes(app, &consumer, &ask).await.unwrap();
    let place = ledger::FeedPlace {
        title: "变更 <&>".into(),
        lang: "zh-CN".into(),
        this: "http://h/feed?a=1&b=2".into(),
        first: "http://h/feed".into(),
        next: page.next.as_ref().map(|n| format!("http://h/feed?after={n}")),
        base: "http://h".into(),
        door: ledger::FeedDoor::Console,
        now: "1970-01-01T00:00:00Z".into(),
    };
    let (text, tag) = ledger::atom(&page, &place).unwrap();
    assert_eq!(ledger::atom(&page, &place).unwrap().1, tag);
    let text = String::from_utf8(text).unwrap();
    for part in [
        "rel=\"next\"",
        "变更 &lt;&amp;&gt;",
        &format!("<at:deleted-entry ref=\"urn:qiantang:data:{}\"", closed.id),
        &format!("http://h/console/ledger/component/{}", component.id),
        "term=\"retired\"",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

async fn told(house: &House, who: &str) -> Vec<(String, String)> {
    let op = house.person(who).await;
    let page = notice::list(&house.app, &op, false, None, 50).await.unwrap();
    page.items.into_iter().rev().map(|n| (n.kind, n.title)).collect()
}

async fn round(house: &House) {
    // The clock of the house stands: what happens between two rounds is later.
    house.clock.forward(TimeDelta::seconds(61));
    notice::watch(&house.app, &Op::system(house.app.now())).await.unwrap();
}

/// Subscribed searches and things: once each, from the time of subscribing on, as the reader may know of it.
async fn subscriptions(house: House) {
    let app = &house.app;
    // Operations are dated when they are made: each act has its own.
    let now = async |who: &str| house.person(who).await;
    house.asset("provider", Ledger::Component, "C-0", "统一支付零").await;
    round(&house).await;
    let consumer = now("consumer").await;
    let kept = ledger::save(app, &consumer, "支付组件", "q=%E6%94%AF%E4%BB%98&ledger=component", 1)
        .await
        .unwrap();
    let county = house.person("county").await;
    let e = notice::subscribe_search(app, &county, &kept.id).await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound, "somebody else's search");
    notice::subscribe_search(app, &consumer, &kept.id).await.unwrap();
    notice::subscribe_search(app, &consumer, &kept.id).await.unwrap();
    assert_eq!(notice::subscriptions(app, &consumer).await.unwrap().len(), 1);
    let before = told(&house, "consumer").await;

    let fresh = house.asset("provider", Ledger::Component, "C-2", "统一支付二").await;
    house.asset("provider", Ledger::Component, "C-3", "电子签章").await;
    round(&house).await;
    let news = |all: Vec<(String, String)>| all.into_iter().skip(before.len()).collect::<Vec<_>>();
    let new = ("search.new".to_owned(), "统一支付二".to_owned());
    assert_eq!(
        news(told(&house, "consumer").await),
        std::slice::from_ref(&new),
        "only what matches, only the new"
    );
    round(&house).await;
    round(&house).await;
    assert_eq!(news(told(&house, "consumer").await).len(), 1, "once");
    ledger::confirm(app, &now("provider").await, &fresh.id).await.unwrap();
    round(&house).await;
    let changed = ("search.changed".to_owned(), "统一支付二".to_owned());
    assert_eq!(news(told(&house, "consumer").await), [new, changed]);

    // An entry: told of changes while it may be known, and that it went when not.
    let entry = house.publish(testkit::draft("tongji")).await;
    let node = Node::entry(&entry.id);
    let hidden = Node::entry("nothing");
    assert_eq!(
        notice::subscribe_thing(app, &consumer, &hidden).await.unwrap_err().code(),
        Code::NotFound
    );
    notice::subscribe_thing(app, &now("consumer").await, &node).await.unwrap();
    assert!(notice::subscribed(app, &consumer, Watched::Thing, &node.key()).await.unwrap());
    round(&house).await;
    let so_far = told(&house, "consumer").await.len();
    for (who, step) in [("provider", Move::TakeOffline), ("authority", Move::Approve)] {
        app::catalogue::step(app, &now(who).await, &entry.id, step, "停用").await.unwrap();
    }
    round(&house).await;
    let last = told(&house, "consumer").await.split_off(so_far);
    assert_eq!(last, [("thing.retired".to_owned(), entry.draft.title.clone())]);
    notice::unsubscribe(app, &consumer, Watched::Thing, &node.key()).await.unwrap();
    assert!(!notice::subscribed(app, &consumer, Watched::Thing, &node.key()).await.unwrap());

    // The inbox: counted, opened, read; one's own only.
    let unread = notice::unread(app, &consumer).await.unwrap();
    assert_eq!(unread, told(&house, "consumer").await.len() as u64);
    let first = notice::list(app, &consumer, true, None, 1).await.unwrap();
    assert!(first.next.is_some(), "page by page");
    let id = &first.items[0].id;
    assert_eq!(notice::open(app, &county, id).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(notice::open(app, &consumer, id).await.unwrap().id, *id);
    assert_eq!(notice::unread(app, &consumer).await.unwrap(), unread - 1);
    notice::read_all(app, &consumer).await.unwrap();
    assert_eq!(notice::unread(app, &consumer).await.unwrap(), 0);
    assert_eq!(notice::unread(app, &house.nobody()).await.unwrap(), 0);
    assert_eq!(
        notice::list(app, &house.nobody(), false, None, 1).await.unwrap_err().code(),
        Code::Denied
    );
}

/// Who follows a data set learns of new data once a day, from the time of following on, and is led to the open site.
async fn followers(house: House) {
    let app = &house.app;
    let rows = |n: u32| format!("id,name,amount,day\n{n},a,1.50,2026-01-01\n");
    let land = async |n: u32| {
        house.collect("tongji", "c.csv", rows(n).as_bytes(), SyncMode::Full).await.unwrap();
    };
    let entry = house.publish(testkit::draft("tongji")).await;
    land(1).await;
    round(&house).await;
    let citizen = house.person("citizen").await;
    notice::subscribe_thing(app, &citizen, &Node::entry(&entry.id)).await.unwrap();
    round(&house).await;
    let fresh = async || {
        let op = house.person("citizen").await;
        let page = notice::list(app, &op, false, None, 50).await.unwrap();
        page.items.into_iter().filter(|n| n.kind == "thing.fresh").collect::<Vec<_>>()
    };
    assert!(fresh().await.is_empty(), "what was there before is no news");
    for n in 2..4 {
        house.clock.forward(TimeDelta::seconds(61));
        land(n).await;
        round(&house).await;
    }
    let told = fresh().await;
    assert_eq!(told.len(), 1, "once a day: {told:?}");
    assert_eq!(
        (told[0].title.as_str(), told[0].href.as_str()),
        (entry.draft.title.as_str(), "/data/tongji")
    );
    house.clock.forward(TimeDelta::days(1));
    land(4).await;
    round(&house).await;
    assert_eq!(fresh().await.len(), 2, "the next day");
    let op = house.person("citizen").await;
    let key = Node::entry(&entry.id).key();
    notice::unsubscribe(app, &op, Watched::Thing, &key).await.unwrap();
    house.clock.forward(TimeDelta::days(1));
    land(5).await;
    round(&house).await;
    assert_eq!(fresh().await.len(), 2);
}

/// What is left lying is told to the organisation that can mend it, once a period.
async fn reminders(house: House) {
    house.asset("provider", Ledger::Component, "C-1", "无人问津").await;
    house.publish(testkit::draft("tongji")).await;
    let count = async |who: &str| {
        told(&house, who).await.iter().filter(|(kind, _)| kind == "quality").count()
    };
    round(&house).await;
    round(&house).await;
    assert_eq!(
        (count("provider").await, count("stranger").await),
        (1, 0),
        "an asset without links"
    );
    house.clock.forward(TimeDelta::days(400));
    round(&house).await;
    round(&house).await;
    assert_eq!(count("provider").await, 2, "the next period");
    let provider = house.person("provider").await;
    let newest = notice::list(&house.app, &provider, false, None, 1).await.unwrap().items;
    assert_eq!(newest[0].words, "stale=1 orphans=1 entries=1");
}

crate::on_both!(the_feed, subscriptions, followers, reminders);

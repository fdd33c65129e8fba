//! Walks in memory against the store's own links: random links are made, taken away and merged, and after every few
//! changes each walk is compared with a plain one over the rows; another process on the same store sees the same.

use std::collections::{BTreeSet, HashSet};

use app::ledger;
use model::Op;
use model::asset::{Ledger, LinkKind, Node};
use testkit::House;

/// All links as the store has them.
async fn rows(house: &House) -> Vec<(Node, Node)> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = house.app.store.links_page(after.as_ref(), 50).await.unwrap();
        all.extend(page.iter().map(|l| (l.from.clone(), l.to.clone())));
        match page.into_iter().last() {
            Some(last) => after = Some(last),
            None => return all,
        }
    }
}

/// A plain walk: the things at each distance.
fn plainly(links: &[(Node, Node)], start: &Node, back: bool) -> Vec<BTreeSet<Node>> {
    let mut met: HashSet<Node> = HashSet::from([start.clone()]);
    let (mut frontier, mut levels) = (vec![start.clone()], Vec::new());
    while !frontier.is_empty() {
        let mut fresh = BTreeSet::new();
        for of in &frontier {
            for (from, to) in links {
                let (mine, other) = if back { (to, from) } else { (from, to) };
                let hit = mine == of
                    || (of.item.is_none() && mine.base() == *of)
                    || (back && of.item.is_some() && *mine == of.base());
                if hit && met.insert(other.clone()) {
                    fresh.insert(other.clone());
                }
            }
        }
        frontier = fresh.iter().cloned().collect();
        if !fresh.is_empty() {
            levels.push(fresh);
        }
    }
    levels
}

async fn compare(house: &House, op: &Op, nodes: &[Node]) -> usize {
    let links = rows(house).await;
    let mut met = 0;
    for node in nodes {
        for back in [true, false] {
            let walk = ledger::walk(&house.app, op, node, back).await.unwrap();
            let got: Vec<BTreeSet<Node>> = walk
                .levels
                .iter()
                .map(|l| l.things.iter().map(|t| t.node.clone()).collect())
                .collect();
            let want = plainly(&links, node, back);
            assert_eq!(got, want, "{} back {back}", node.key());
            for level in &walk.levels {
                assert!(level.things.iter().all(|t| t.path.len() + 1 == level.depth as usize));
            }
            met += walk.total as usize;
        }
    }
    met
}

/// A small generator of numbers that is the same every time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

async fn random_links(house: House) {
    let app = &house.app;
    let provider = house.person("provider").await;
    let mut nodes = Vec::new();
    for n in 0..3 {
        let entry = house.publish(testkit::draft(&format!("set{n}"))).await;
        nodes.push(Node::entry(&entry.id));
        nodes.extend(["name", "amount"].map(|i| Node::item(&entry.id, i)));
    }
    let mut assets = Vec::new();
    for (ledger, count) in [(Ledger::Application, 9), (Ledger::Component, 4), (Ledger::Cloud, 5)] {
        for n in 0..count {
            let (code, name) = (format!("{ledger}-{n}"), format!("{ledger} {n} 号"));
            let asset = house.asset("provider", ledger, &code, &name).await;
            assets.push(Node::asset(ledger, &asset.id));
        }
    }
    nodes.extend(assets.iter().cloned());
    assert_eq!(compare(&house, &provider, &nodes).await, 0, "no link yet");

    let mut chance = Chance(7);
    let mut met = 0;
    for round in 0..8 {
        for _ in 0..45 {
            let (from, to) = (
                nodes[chance.below(nodes.len())].clone(),
                nodes[chance.below(nodes.len())].clone(),
            );
            let kind = LinkKind::ALL[chance.below(3)];
            // What makes no sense is refused, and changes nothing.
            let _ = ledger::link(app, &provider, &from, &to, kind).await;
        }
        let links = rows(&house).await;
        for _ in 0..2.min(links.len()) {
            let (from, to) = links[chance.below(links.len())].clone();
            for kind in LinkKind::ALL {
                let _ = ledger::unlink(app, &provider, &from, &to, kind).await;
            }
        }
        if round % 3 == 2 {
            let (a, b) = (chance.below(9), chance.below(9));
            if a != b && nodes.contains(&assets[a]) && nodes.contains(&assets[b]) {
                ledger::merge(app, &provider, &assets[a].id, &assets[b].id, "同一应用")
                    .await
                    .unwrap();
                nodes.retain(|n| *n != assets[b]);
            }
        }
        met += compare(&house, &provider, &nodes).await;
    }
    assert!(met > 500, "the walks met {met} things");

    // Another process on the same store follows what this one links, and what it links itself is seen here.
    if house.app.store.backend() == store::Backend::Postgres {
        let url = house.url().to_owned();
        let folder = tempfile::tempdir().unwrap();
        let second = House::kept(folder.path(), &url).await;
        compare(&second, &provider, &nodes).await;
        let apps: Vec<Node> =
            nodes.iter().filter(|n| n.ledger == Ledger::Application).cloned().collect();
        let clouds: Vec<Node> =
            nodes.iter().filter(|n| n.ledger == Ledger::Cloud).cloned().collect();
        for app in &apps {
            ledger::link(&house.app, &provider, app, &clouds[0], LinkKind::RunsOn).await.unwrap();
            ledger::link(&second.app, &provider, app, &clouds[1], LinkKind::RunsOn).await.unwrap();
        }
        compare(&second, &provider, &nodes).await;
        compare(&house, &provider, &nodes).await;
    }
}

/// “Who fails if this stops”: who really called of late is told with the calls, who called long ago without.
async fn usage_counts_of_late(house: House) {
    let app = &house.app;
    let entry = house.publish(testkit::draft("tongji")).await;
    house
        .collect(
            "tongji",
            "t.csv",
            b"id,name,amount,day\n1,a,1.5,2026-01-01\n",
            model::code::SyncMode::Full,
        )
        .await
        .unwrap();
    let (caller, secret) = house.application("统计分析").await;
    let consumer = house.person("consumer").await;
    let new = model::request::RequestNew {
        entry: "tongji".into(),
        application: secret.application.id.clone(),
        items: vec!["id".into()],
        scene: "统计".into(),
        legal_basis: "职责".into(),
        period: model::request::Period::Long,
        calls_per_day: 100,
        area_range: String::new(),
        row_range: Default::default(),
        by_sql: false,
    };
    app::sharing::apply(app, &consumer, new).await.unwrap();
    let asset = house.asset("consumer", Ledger::Application, "A-STAT", "统计分析平台").await;
    let mut draft = asset.draft.clone();
    draft.fields.insert("access_key".into(), secret.application.key.clone());
    ledger::edit(app, &consumer, &asset.id, draft, asset.version).await.unwrap();
    let query = model::query::RowQuery::default();
    for _ in 0..3 {
        let call = app.op(caller.actor.clone(), "127.0.0.1");
        app::sharing::query(app, &call, "tongji", &query).await.unwrap();
    }
    app::sharing::flush(app).await.unwrap();
    let seen = async |node: &Node, back| {
        let op = house.person("provider").await;
        let walk = ledger::walk(app, &op, node, back).await.unwrap();
        let all = walk.levels.into_iter().flat_map(|l| l.things);
        all.map(|t| (t.code, t.calls)).collect::<Vec<_>>()
    };
    let data = Node::entry(&entry.id);
    assert_eq!(seen(&data, true).await, [("A-STAT".to_owned(), Some(3))]);
    let needs = seen(&Node::asset(Ledger::Application, &asset.id), false).await;
    assert_eq!(needs, [("tongji".to_owned(), Some(3))]);
    house.clock.forward(chrono::TimeDelta::days(40));
    assert_eq!(
        seen(&data, true).await,
        [("A-STAT".to_owned(), Some(0))],
        "granted, not called of late"
    );
}

crate::on_both!(random_links, usage_counts_of_late);

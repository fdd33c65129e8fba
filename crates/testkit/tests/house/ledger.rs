//! The ledger room: life cycles, read-your-writes, duplicates and merging, links walked both ways, files with broken
//! rows, calls, the check of proposals, and store and index that agree.

use std::collections::BTreeMap;

use app::catalogue::SheetFormat;
use app::ledger::{self, Accept};
use model::Code;
use model::asset::{AssetDraft, AssetFilter, Ledger, LinkKind, Node, ProposalDraft, Verdict};
use model::search::SearchQuery;
use testkit::{CONSUMER_ORG, House, PROVIDER_ORG, STRANGER_ORG};

fn application(code: &str, name: &str, org: &str) -> AssetDraft {
    AssetDraft {
        ledger: Ledger::Application,
        code: code.into(),
        name: name.into(),
        org: org.into(),
        region: "330000".into(),
        owner: "张三".into(),
        description: "用于测试的应用，提供查询和办理。".into(),
        fields: fields(&[
            ("field", "数字政府"),
            ("ends", "浙里办、浙政钉"),
            ("type", "业务办理类"),
            ("level", "省级"),
            ("major", "否"),
            ("functions", "企业信用查询\n信用评分"),
        ]),
    }
}

fn cloud(code: &str, name: &str, org: &str) -> AssetDraft {
    AssetDraft {
        ledger: Ledger::Cloud,
        fields: fields(&[("kind", "数据库"), ("zone", "政务外网区"), ("expiry", "2027-01-31")]),
        ..application(code, name, org)
    }
}

fn fields(all: &[(&str, &str)]) -> BTreeMap<String, String> {
    all.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

async fn found(house: &House, op: &model::Op, text: &str, facet: &str) -> Vec<String> {
    let query = SearchQuery {
        text: text.into(),
        filters: vec![("ledger".into(), facet.into())],
        limit: 50,
        ..SearchQuery::default()
    };
    let page = ledger::search(&house.app, op, query).await.unwrap();
    page.hits.into_iter().map(|h| h.doc.title).collect()
}

/// Enter → edit → move along the life cycle; each is in search when the call returns, and in the history.
async fn a_life(house: House) {
    let app = &house.app;
    let provider = house.person("provider").await;
    let asset =
        ledger::create(app, &provider, application("A-1", "企业信用查询", PROVIDER_ORG), false)
            .await
            .unwrap();
    assert_eq!((asset.state.as_str(), asset.version), ("planned", 1));
    assert!((50..100).contains(&asset.score), "{}", asset.score);
    assert_eq!(found(&house, &provider, "qyxy", "application").await, ["企业信用查询"]);
    assert!(found(&house, &house.nobody(), "企业信用", "application").await.is_empty());
    assert!(found(&house, &house.person("citizen").await, "企业", "application").await.is_empty());

    let mut draft = asset.draft.clone();
    draft.name = "企业信用核查".into();
    let edited = ledger::edit(app, &provider, &asset.id, draft.clone(), 1).await.unwrap();
    assert_eq!(edited.version, 2);
    assert_eq!(found(&house, &provider, "信用核查", "application").await, ["企业信用核查"]);
    let e = ledger::edit(app, &provider, &asset.id, asset.draft.clone(), 1).await.unwrap_err();
    assert_eq!(e.code(), Code::Stale);
    let same = ledger::edit(app, &provider, &asset.id, draft, 2).await.unwrap();
    assert_eq!(same.version, 2, "an edit that changes nothing is no change");

    let e = ledger::step(app, &provider, &asset.id, "running", "").await.unwrap_err();
    assert_eq!(e.code(), Code::WrongState);
    assert!(e.zh().contains("申报中"), "{e}");
    for to in ["applying", "building", "运行中"] {
        ledger::step(app, &provider, &asset.id, to, "按计划").await.unwrap();
    }
    let now = ledger::get(app, &provider, &asset.id).await.unwrap();
    assert_eq!((now.state.as_str(), now.version), ("running", 5));
    let words: Vec<String> = ledger::steps(app, &provider, &asset.id)
        .await
        .unwrap()
        .into_iter()
        .map(|s| format!("{} {}>{}", s.action, s.from, s.to))
        .collect();
    assert_eq!(
        words,
        [
            "create >planned",
            "edit planned>planned",
            "move planned>applying",
            "move applying>building",
            "move building>running"
        ]
    );
    // Others look, but do not touch; who is not of a public body does not see it.
    let stranger = house.person("stranger").await;
    assert!(ledger::get(app, &stranger, &asset.id).await.is_ok());
    let e = ledger::step(app, &stranger, &asset.id, "stopped", "").await.unwrap_err();
    assert_eq!(e.code(), Code::Denied);
    let enterprise = house.person("enterprise").await;
    let e = ledger::get(app, &enterprise, &asset.id).await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound);
}

/// A wrong draft is refused field by field; another's organisation is refused; a taken code is a duplicate.
async fn refusals(house: House) {
    let app = &house.app;
    let provider = house.person("provider").await;
    let mut draft = application("A-1", "企业信用查询", PROVIDER_ORG);
    draft.fields.insert("ends".into(), "短信".into());
    draft.fields.remove("level");
    let e = ledger::create(app, &provider, draft, false).await.unwrap_err();
    assert_eq!(e.code(), Code::RuleBroken);
    let names: Vec<&str> = e.fields().iter().map(|f| f.field.as_str()).collect();
    assert_eq!(names, ["ends", "level"]);
    let other = application("A-1", "企业信用查询", STRANGER_ORG);
    let e = ledger::create(app, &provider, other, false).await.unwrap_err();
    assert_eq!(e.code(), Code::Denied);
    let draft = application("A-1", "企业信用查询", PROVIDER_ORG);
    ledger::create(app, &provider, draft.clone(), false).await.unwrap();
    let e = ledger::create(app, &provider, draft, true).await.unwrap_err();
    assert_eq!(e.code(), Code::Duplicate);
    // The city's authority has no say over what belongs to the province.
    let city = house.person("city").await;
    let e = ledger::create(app, &city, application("A-2", "另一个", PROVIDER_ORG), true).await;
    assert_eq!(e.unwrap_err().code(), Code::Denied);
}

/// A look-alike is told on entry; the person decides; a merge moves links and leaves a pointer.
async fn duplicates(house: House) {
    let app = &house.app;
    let provider = house.person("provider").await;
    let first =
        ledger::create(app, &provider, application("A-1", "企业信用查询系统", PROVIDER_ORG), false)
            .await
            .unwrap();
    let twin = application("A-2", "浙江省企业信用查询平台", PROVIDER_ORG);
    let e = ledger::create(app, &provider, twin.clone(), false).await.unwrap_err();
    assert_eq!(e.code(), Code::Duplicate);
    assert!(e.fields()[0].field.contains("A-1"), "{:?}", e.fields());
    let second = ledger::create(app, &provider, twin, true).await.unwrap();
    let alike = ledger::alike(app, &provider, &second.id).await.unwrap();
    assert_eq!(alike[0].code, "A-1");
    let base =
        ledger::create(app, &provider, cloud("R-1", "信用库", PROVIDER_ORG), false).await.unwrap();
    let (a, b) =
        (Node::asset(Ledger::Application, &second.id), Node::asset(Ledger::Cloud, &base.id));
    ledger::link(app, &provider, &a, &b, LinkKind::Uses).await.unwrap();

    let e = ledger::merge(app, &provider, &first.id, &second.id, " ").await.unwrap_err();
    assert_eq!(e.code(), Code::InvalidInput);
    let stranger = house.person("stranger").await;
    let e = ledger::merge(app, &stranger, &first.id, &second.id, "重复").await.unwrap_err();
    assert_eq!(e.code(), Code::Denied);
    ledger::merge(app, &provider, &first.id, &second.id, "重复登记").await.unwrap();
    let gone = ledger::get(app, &provider, &second.id).await.unwrap();
    assert_eq!(gone.merged_into.as_deref(), Some(first.id.as_str()));
    assert_eq!(found(&house, &provider, "企业信用", "application").await, ["企业信用查询系统"]);
    let page = ledger::list(app, &provider, &AssetFilter::default()).await.unwrap();
    assert_eq!(page.items.len(), 2);
    let (links, total) = ledger::links(app, &provider, &b, true).await.unwrap();
    assert_eq!((links[0].code.as_str(), total), ("A-1", 1));
    let e = ledger::step(app, &provider, &second.id, "applying", "").await.unwrap_err();
    assert_eq!(e.code(), Code::WrongState);
}

/// “If this stops, what fails?”: one walk back along the links; forward, what a thing needs.
async fn walks(house: House) {
    let app = &house.app;
    let provider = house.person("provider").await;
    let entry = house.publish(testkit::draft("credit")).await;
    let make = async |draft: AssetDraft| {
        let op = house.person("provider").await;
        let asset = ledger::create(app, &op, draft, true).await.unwrap();
        Node::asset(asset.draft.ledger, &asset.id)
    };
    let database = make(cloud("R-1", "信用库", PROVIDER_ORG)).await;
    let producer = make(application("A-1", "信用归集", PROVIDER_ORG)).await;
    let (data, item) = (Node::entry(&entry.id), Node::item(&entry.id, "amount"));
    ledger::link(app, &provider, &producer, &database, LinkKind::RunsOn).await.unwrap();
    ledger::link(app, &provider, &data, &producer, LinkKind::ProducedBy).await.unwrap();
    for n in 0..5 {
        let user = make(application(&format!("A-1{n}"), &format!("用户{n}号"), PROVIDER_ORG)).await;
        let to = if n == 0 { &item } else { &data };
        assert!(ledger::link(app, &provider, &user, to, LinkKind::Uses).await.unwrap());
        assert!(!ledger::link(app, &provider, &user, to, LinkKind::Uses).await.unwrap());
    }
    let back = ledger::walk(app, &provider, &database, true).await.unwrap();
    let sizes: Vec<usize> = back.levels.iter().map(|l| l.things.len()).collect();
    assert_eq!((sizes, back.total, back.beyond), (vec![1, 1, 5], 7, 0));
    assert_eq!(back.levels[2].things[0].path, ["信用归集", entry.draft.title.as_str()]);
    // One item stops: who uses it, and who uses the whole entry.
    let of_item = ledger::walk(app, &provider, &item, true).await.unwrap();
    assert_eq!(of_item.total, 5);
    let other = Node::item(&entry.id, "name");
    assert_eq!(ledger::walk(app, &provider, &other, true).await.unwrap().total, 4);
    let needs = ledger::walk(app, &provider, &data, false).await.unwrap();
    let codes: Vec<&str> =
        needs.levels.iter().flat_map(|l| &l.things).map(|t| t.code.as_str()).collect();
    assert_eq!(codes, ["A-1", "R-1"]);

    // Links that make no sense, or to what is not there, are refused.
    let e = ledger::link(app, &provider, &database, &producer, LinkKind::Uses).await.unwrap_err();
    assert_eq!(e.code(), Code::InvalidInput);
    let nothing = Node::item(&entry.id, "nothing");
    let e = ledger::link(app, &provider, &producer, &nothing, LinkKind::Uses).await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound);
    assert!(ledger::unlink(app, &provider, &data, &producer, LinkKind::ProducedBy).await.unwrap());
    assert_eq!(ledger::walk(app, &provider, &database, true).await.unwrap().total, 1);
    // The field of a cloud resource that names its application is a link.
    let mut named = cloud("R-2", "前置机", PROVIDER_ORG);
    named.fields.insert("application".into(), "A-1".into());
    let host = make(named).await;
    let (links, _) = ledger::links(app, &provider, &host, true).await.unwrap();
    assert_eq!(links[0].code, "A-1");
}

fn csv(rows: usize, broken_every: usize) -> String {
    let mut text = String::from("编号,名称,所属单位,行政区划,资源类型,云区,vCPU,到期日\r\n");
    for n in 0..rows {
        let vcpu = if broken_every > 0 && n % broken_every == 7 { "八核" } else { "8" };
        text.push_str(&format!(
            "R-{n},市场监管主机{n}号,{PROVIDER_ORG},330000,云服务器,政务外网区,{vcpu},2027-01-31\r\n"
        ));
    }
    text
}

/// A file with one broken row in a hundred: every fault is told by row in one pass, nothing goes in until the person
/// says so, then the good rows do; imported again nothing changes; exported and imported again nothing changes.
async fn files(house: House) {
    let app = &house.app;
    let provider = house.person("provider").await;
    let path = house.folder().join("cloud.csv");
    std::fs::write(&path, csv(2000, 100)).unwrap();
    let import = async |accept| {
        ledger::import(app, &provider, Ledger::Cloud, &path, "cloud.csv", accept).await.unwrap()
    };
    let all = AssetFilter { ledger: Some(Ledger::Cloud), ..AssetFilter::default() };
    for accept in [Accept::Nothing, Accept::WhenAllGood] {
        let report = import(accept).await;
        assert_eq!((report.rows, report.new, report.refused), (2000, 1980, 20));
        assert_eq!(report.faults[0].field, "rows[9].vCPU");
        assert!(report.faults.len() == 20 && !report.applied);
        assert_eq!(ledger::count(app, &provider, &all).await.unwrap(), 0);
    }
    let token = ledger::hold(app, &provider, &path).await.unwrap();
    let stranger = house.person("stranger").await;
    let e = ledger::accept_held(app, &stranger, Ledger::Cloud, &token, "x").await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound);
    let report =
        ledger::accept_held(app, &provider, Ledger::Cloud, &token, "cloud.csv").await.unwrap();
    assert!(report.applied && report.new == 1980);
    assert_eq!(ledger::count(app, &provider, &all).await.unwrap(), 1980);
    assert_eq!(found(&house, &provider, "市场监管主机1999号", "cloud").await.len(), 1);
    let again = import(Accept::GoodRows).await;
    assert_eq!((again.new, again.changed, again.same), (0, 0, 1980));

    for format in [SheetFormat::Csv, SheetFormat::Xlsx] {
        let bytes = ledger::export(app, &provider, &all, format).await.unwrap();
        std::fs::write(&path, &bytes).unwrap();
        let report = import(Accept::WhenAllGood).await;
        assert_eq!((report.faults, report.same, report.changed), (vec![], 1980, 0));
    }
    // Unknown headers and a file of another organisation's rows.
    std::fs::write(&path, "编号,颜色\r\nR-1,红\r\n").unwrap();
    let report = import(Accept::GoodRows).await;
    assert!(!report.applied && report.faults[0].field == "headings.颜色", "{report:?}");
    std::fs::write(&path, csv(3, 0)).unwrap();
    let report =
        ledger::import(app, &stranger, Ledger::Cloud, &path, "cloud.csv", Accept::GoodRows)
            .await
            .unwrap();
    assert_eq!((report.refused, report.new), (3, 0));
    let agree = ledger::agree(app, &model::Op::system(app.now())).await.unwrap();
    assert!(agree.iter().all(|a| a.agree), "{agree:?}");
}

#[tokio::test]
async fn a_large_spreadsheet() {
    spreadsheet(8_000).await;
}

#[tokio::test]
#[ignore = "takes minutes: cargo nextest run --workspace --run-ignored only -E 'test(spreadsheet_of_fifty_thousand)'"]
async fn a_spreadsheet_of_fifty_thousand() {
    spreadsheet(50_000).await;
}

/// A spreadsheet of so many rows, one of a hundred broken: one pass tells each of them by row and column, in Chinese and in
/// English; nothing goes in before the person says so, then all the others do.
async fn spreadsheet(rows: u32) {
    let house = House::new().await;
    let app = &house.app;
    let provider = house.person("provider").await;
    let path = house.folder().join("cloud.xlsx");
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet_with_constant_memory().unwrap();
    for (n, line) in (0..=rows).zip(csv(rows as usize, 100).lines()) {
        for (column, cell) in (0..).zip(line.split(',')) {
            sheet.write_string(n, column, cell).unwrap();
        }
    }
    book.save(&path).unwrap();
    let name = "cloud.xlsx";
    let report =
        ledger::import(app, &provider, Ledger::Cloud, &path, name, Accept::WhenAllGood).await;
    let report = report.unwrap();
    let (all, broken) = (u64::from(rows), u64::from(rows / 100));
    assert_eq!((report.rows, report.new, report.refused), (all, all - broken, broken));
    assert!(!report.applied);
    let places: Vec<&str> = report.faults.iter().map(|f| f.field.as_str()).collect();
    let wanted: Vec<String> = (0..broken).map(|n| format!("rows[{}].vCPU", n * 100 + 9)).collect();
    assert_eq!(places, wanted, "each broken row once, in order");
    assert!(report.faults.iter().all(|f| !f.zh.is_empty() && !f.en.is_empty()));
    let cloud = AssetFilter { ledger: Some(Ledger::Cloud), ..AssetFilter::default() };
    assert_eq!(ledger::count(app, &provider, &cloud).await.unwrap(), 0);
    let report = ledger::import(app, &provider, Ledger::Cloud, &path, name, Accept::GoodRows).await;
    assert!(report.unwrap().applied);
    assert_eq!(ledger::count(app, &provider, &cloud).await.unwrap(), all - broken);
    let last = format!("市场监管主机{}号", rows - 1);
    assert_eq!(found(&house, &provider, &last, "cloud").await.len(), 1);
}

/// An application reports its organisation's assets by calls: good rows in, faults told by place, twice is once.
async fn calls(house: House) {
    let app = &house.app;
    let (op, _) = house.application("台账上报").await;
    let row = |n: usize, vcpu: &str| {
        fields(&[
            ("code", &format!("R-{n}")),
            ("name", &format!("主机{n}")),
            ("region", "330000"),
            ("kind", "云服务器"),
            ("zone", "互联网区"),
            ("vcpu", vcpu),
            ("expiry", "2027-01-31"),
            ("state", "running"),
        ])
    };
    let rows: Vec<_> = (0..50).map(|n| row(n, if n == 3 { "x" } else { "4" })).collect();
    let report = ledger::intake(app, &op, Ledger::Cloud, rows.clone(), false).await.unwrap();
    assert!(!report.applied && report.faults[0].field == "[3].vCPU", "{report:?}");
    let report = ledger::intake(app, &op, Ledger::Cloud, rows.clone(), true).await.unwrap();
    assert_eq!((report.new, report.refused, report.applied), (49, 1, true));
    let report = ledger::intake(app, &op, Ledger::Cloud, rows, true).await.unwrap();
    assert_eq!((report.new, report.changed, report.same), (0, 0, 49));
    let mut other = row(90, "4");
    other.insert("org".into(), PROVIDER_ORG.into());
    let report = ledger::intake(app, &op, Ledger::Cloud, vec![other], true).await.unwrap();
    assert_eq!((report.refused, report.new), (1, 0));
    let consumer = house.person("consumer").await;
    let own = AssetFilter { org: Some(CONSUMER_ORG.into()), ..AssetFilter::default() };
    assert_eq!(ledger::count(app, &consumer, &own).await.unwrap(), 49);
    let many = vec![fields(&[]); 2001];
    let e = ledger::intake(app, &op, Ledger::Cloud, many, true).await.unwrap_err();
    assert_eq!(e.code(), Code::TooLarge);
}

/// The machines' door takes a signed lot, refuses an unsigned one and one whose body was changed on the way.
async fn the_door(house: House) {
    use axum::body::{Body, to_bytes};
    use axum::http::{Request, StatusCode};
    use guard::signature::{Algorithm, SignedRequest};
    use tower::ServiceExt;

    let (_, made) = house.application("台账上报").await;
    let config = gateway::GatewayConfig {
        public_url: "http://gateway".into(),
        anonymous_per_second: 100,
        ckan_sql: false,
        ckan_write: false,
        metrics: None,
    };
    let door = gateway::router(std::sync::Arc::clone(&house.app), config);
    let body = r#"{"accept":"good","rows":[
        {"code":"R-1","name":"主机一","region":"330000","kind":"云服务器","zone":"互联网区","vcpu":4,"expiry":"2027-01-31"},
        {"code":"R-2","name":"主机二","region":"330000","kind":"云服务器","zone":"互联网区","vcpu":"x","expiry":"2027-01-31"}]}"#;
    let call = async |signed: Option<(&str, &str)>, sent: &str| {
        let mut request = Request::post("/ledger/v1/cloud");
        if let Some((nonce, text)) = signed {
            let algorithm = Algorithm::HmacSha256;
            let timestamp = house.app.now().timestamp_millis();
            let hash = algorithm.body_hash(text.as_bytes());
            let signature = SignedRequest {
                method: "POST",
                path: "/ledger/v1/cloud",
                query: "",
                body_hash: &hash,
                timestamp,
                nonce,
            }
            .sign(algorithm, made.secret.as_bytes());
            request = request
                .header("x-qt-key", &made.application.key)
                .header("x-qt-timestamp", timestamp.to_string())
                .header("x-qt-nonce", nonce)
                .header("x-qt-signature", signature);
        }
        let request = request.body(Body::from(sent.to_owned())).unwrap();
        let answer = door.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let bytes = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice::<serde_json::Value>(&bytes).unwrap_or_default())
    };
    assert_eq!(call(None, body).await.0, StatusCode::UNAUTHORIZED);
    let (status, _) = call(Some(("nonce-0000000000000001", "{}")), body).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "another body than was signed");
    let (status, report) = call(Some(("nonce-0000000000000002", body)), body).await;
    assert_eq!(status, StatusCode::OK, "{report}");
    assert_eq!((report["new"].as_u64(), report["refused"].as_u64()), (Some(1), Some(1)));
    assert_eq!(report["faults"][0]["field"], "[1].vCPU");
    let consumer = house.person("consumer").await;
    assert_eq!(found(&house, &consumer, "主机一", "cloud").await, ["主机一"]);
    let (status, _) = call(Some(("nonce-0000000000000003", "no json")), "no json").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

/// A list is paged by key and shows each asset once; filters hold together.
async fn lists(house: House) {
    let app = &house.app;
    for n in 0..7 {
        let op = house.person("provider").await;
        let mut draft = cloud(&format!("R-{n}"), &format!("主机{n}号"), PROVIDER_ORG);
        draft.region = if n < 3 { "330100".into() } else { "330106".into() };
        if n == 0 {
            draft.owner = String::new();
        }
        ledger::create(app, &op, draft, true).await.unwrap();
    }
    let provider = house.person("provider").await;
    let mut filter = AssetFilter { limit: 3, ..AssetFilter::default() };
    let mut seen = Vec::new();
    loop {
        let page = ledger::list(app, &provider, &filter).await.unwrap();
        seen.extend(page.items.into_iter().map(|a| a.draft.code));
        filter.after = page.next;
        if filter.after.is_none() {
            break;
        }
    }
    let expected: Vec<String> = (0..7).rev().map(|n| format!("R-{n}")).collect();
    assert_eq!(seen, expected);
    let count = async |filter: AssetFilter| ledger::count(app, &provider, &filter).await.unwrap();
    let region = |code: &str| AssetFilter { region: Some(code.into()), ..AssetFilter::default() };
    assert_eq!(count(region("330000")).await, 7);
    assert_eq!(count(region("330106")).await, 4);
    assert_eq!(count(region("330200")).await, 0);
    assert_eq!(count(AssetFilter { ownerless: true, ..AssetFilter::default() }).await, 1);
    assert_eq!(count(AssetFilter { orphan: true, ..AssetFilter::default() }).await, 7);
    let part = AssetFilter { text: Some("r-3".into()), ..AssetFilter::default() };
    assert_eq!(count(part).await, 1);

    let quality = ledger::quality(app, &provider, Some(PROVIDER_ORG)).await.unwrap();
    assert_eq!((quality.assets, quality.ownerless, quality.stale), (7, 1, 0));
    house.clock.forward(chrono::TimeDelta::days(400));
    let provider = house.person("provider").await;
    let quality = ledger::quality(app, &provider, None).await.unwrap();
    assert_eq!(quality.stale, 7);
    let one = ledger::list(app, &provider, &AssetFilter::default()).await.unwrap().items.remove(0);
    ledger::confirm(app, &provider, &one.id).await.unwrap();
    assert_eq!(ledger::quality(app, &provider, None).await.unwrap().stale, 6);
    let system = model::Op::system(app.now());
    let month = ledger::rank_month(app, &system).await.unwrap();
    let ranking = ledger::ranking(app, &provider, Some(&month)).await.unwrap();
    assert_eq!((ranking[0].org.as_str(), ranking[0].assets), (PROVIDER_ORG, 7));
    assert!(ledger::ranking(app, &provider, Some("2026-13")).await.is_err());
}

/// A proposal is compared with the ledger, and decided by somebody else than who proposed it.
async fn proposals(house: House) {
    let app = &house.app;
    let provider = house.person("provider").await;
    ledger::create(app, &provider, application("A-1", "企业信用查询", PROVIDER_ORG), false)
        .await
        .unwrap();
    let consumer = house.person("consumer").await;
    let draft = ProposalDraft {
        name: "市场主体信用查询".into(),
        org: CONSUMER_ORG.into(),
        description: "提供企业信用查询与信用评分的查询和办理。".into(),
        functions: vec!["企业信用查询".into(), "企业信用评分".into()],
        data: Vec::new(),
    };
    let e = ledger::propose(app, &consumer, ProposalDraft { functions: vec![], ..draft.clone() });
    assert_eq!(e.await.unwrap_err().fields()[0].field, "functions");
    let proposal = ledger::propose(app, &consumer, draft).await.unwrap();
    let (found, suggested) = ledger::compare(app, &consumer, &proposal.id).await.unwrap();
    assert_eq!((found[0].code.as_str(), found[0].functions_covered), ("A-1", 100));
    assert_ne!(suggested, Verdict::Passed);
    let e = ledger::decide(app, &consumer, &proposal.id, Verdict::Passed, "可以").await;
    assert_eq!(e.unwrap_err().code(), Code::Denied);
    let stranger = house.person("stranger").await;
    let e = ledger::proposal(app, &stranger, &proposal.id).await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound);
    let authority = house.person("authority").await;
    let e = ledger::decide(app, &authority, &proposal.id, Verdict::Refused, "").await;
    assert_eq!(e.unwrap_err().fields()[0].field, "reason");
    let decided = ledger::decide(app, &authority, &proposal.id, Verdict::Refused, "与 A-1 重复")
        .await
        .unwrap();
    assert_eq!(decided.matches[0].code, "A-1", "what was seen is kept");
    let e = ledger::decide(app, &authority, &proposal.id, Verdict::Passed, "改主意").await;
    assert_eq!(e.unwrap_err().code(), Code::WrongState);
    let mine = ledger::proposals(app, &consumer, None, 10).await.unwrap();
    assert_eq!(mine.items[0].verdict, Some(Verdict::Refused));
}

/// An organisation is searched with those below it, to any depth.
async fn the_org_tree(house: House) {
    let app = &house.app;
    let authority = house.person("authority").await;
    // The ecology department stands below the market department for once.
    let mut below = app.store.org_get(STRANGER_ORG).await.unwrap().unwrap();
    below.parent = Some(PROVIDER_ORG.into());
    let admin = house.person("admin").await;
    app::org::change(app, &admin, below).await.unwrap();
    for (code, org) in [("R-1", PROVIDER_ORG), ("R-2", STRANGER_ORG), ("R-3", CONSUMER_ORG)] {
        let draft = cloud(code, &format!("树下主机{code}"), org);
        ledger::create(app, &authority, draft, false).await.unwrap();
    }
    let of = async |org: &str| {
        let query = SearchQuery {
            text: "树下主机".into(),
            filters: vec![("org".into(), org.into())],
            facets: Some(vec!["org".into()]),
            limit: 10,
            ..SearchQuery::default()
        };
        let page = ledger::search(app, &authority, query).await.unwrap();
        let mut codes: Vec<String> = page.hits.into_iter().map(|h| h.doc.code).collect();
        codes.sort();
        assert_eq!(page.facets[0].1.len(), 3, "the tree is counted without its own filter");
        codes
    };
    assert_eq!(of(PROVIDER_ORG).await, ["R-1", "R-2"]);
    assert_eq!(of(STRANGER_ORG).await, ["R-2"]);
    assert_eq!(of(CONSUMER_ORG).await, ["R-3"]);
}

/// A crash between store and index heals at the next start.
async fn heals(house: House) {
    let provider = house.person("provider").await;
    let draft = cloud("R-1", "主机一", PROVIDER_ORG);
    let asset = ledger::create(&house.app, &provider, draft, false).await.unwrap();
    house.publish(testkit::draft("lake")).await;
    house.app.search.remove(std::slice::from_ref(&asset.id)).unwrap();
    let system = model::Op::system(house.app.now());
    let told = ledger::agree(&house.app, &system).await.unwrap();
    let cloud = told.iter().find(|a| a.ledger == "cloud").unwrap();
    assert_eq!((cloud.store, cloud.index, cloud.agree), (1, 0, false));
    assert!(app::catalogue::heal(&house.app).await.unwrap());
    let told = ledger::agree(&house.app, &system).await.unwrap();
    assert!(told.iter().all(|a| a.agree), "{told:?}");
    assert_eq!(told.iter().find(|a| a.ledger == "item").unwrap().index, 4);
    app::sharing::flush(&house.app).await.unwrap();
    // After a calm stop the one index of an SQLite house is level; on PostgreSQL each process makes its own at its start.
    let rebuilt = app::catalogue::heal(&house.app).await.unwrap();
    assert_eq!(rebuilt, house.app.store.backend() == store::Backend::Postgres);
}

crate::on_both!(
    a_life,
    refusals,
    duplicates,
    walks,
    files,
    calls,
    the_door,
    lists,
    proposals,
    the_org_tree,
    heals
);

//! The catalogue room: four eyes, versions in force, files, what others may see.

use app::catalogue::{self, Move, SheetFormat};
use model::Code;
use model::code::{Grade, OnlineState, OpenType, PublishState, SyncMode};
use model::entry::{EntryFilter, Link};
use model::search::SearchQuery;
use testkit::House;

async fn titles(house: &House, op: &model::Op, text: &str) -> Vec<String> {
    let query = SearchQuery { text: text.into(), limit: 20, ..SearchQuery::default() };
    let page = app::opening::search(&house.app, op, query).await.unwrap();
    page.hits.into_iter().map(|h| h.doc.title).collect()
}

/// Compile → review → publish → online; every step is kept, and search follows at once.
async fn a_life(house: House) {
    let (app, nobody) = (&house.app, house.nobody());
    let provider = house.person("provider").await;
    let authority = house.person("authority").await;
    let entry = catalogue::create(app, &provider, testkit::draft("lake_water")).await.unwrap();
    assert_eq!((entry.publish_state, entry.version), (PublishState::Unpublished, 1));
    assert!(titles(&house, &nobody, "lake_water").await.is_empty());
    assert_eq!(titles(&house, &provider, "lake_water").await.len(), 1);

    let e = catalogue::step(app, &provider, &entry.id, Move::Submit, "").await.unwrap();
    assert_eq!(e.publish_state, PublishState::PubAuditing);
    let due = catalogue::due(app, &e).unwrap();
    assert_eq!(due.to_string(), "2026-03-04", "two working days after Monday");
    let refusal = catalogue::step(app, &authority, &e.id, Move::Reject, " ").await.unwrap_err();
    assert_eq!(refusal.code(), Code::InvalidInput);
    catalogue::step(app, &authority, &e.id, Move::Reject, "摘要太短").await.unwrap();
    let mut draft = testkit::draft("lake_water");
    draft.description = "西湖水质逐日监测数据。".into();
    let e = catalogue::edit(app, &provider, &e.id, draft.clone(), 1).await.unwrap();
    assert_eq!((e.publish_state, e.version), (PublishState::PubReject, 2));
    for (op, step) in [
        (&provider, Move::Submit),
        (&authority, Move::Approve),
        (&provider, Move::PutOnline),
        (&authority, Move::Approve),
    ] {
        catalogue::step(app, op, &e.id, step, "").await.unwrap();
    }
    let e = catalogue::get(app, &provider, "lake_water").await.unwrap();
    assert!(e.freely_open());
    assert_eq!(titles(&house, &nobody, "西湖水质").await.len(), 1);
    let words: Vec<String> = catalogue::steps(app, &provider, &e.id)
        .await
        .unwrap()
        .into_iter()
        .map(|s| format!("{} {}>{}", s.action, s.from, s.to))
        .collect();
    assert_eq!(
        words,
        [
            "create >unpublished",
            "submit unpublished>pub-auditing",
            "reject pub-auditing>pub-reject",
            "edit pub-reject>pub-reject",
            "submit pub-reject>pub-auditing",
            "approve pub-auditing>published",
            "up notline>up-auditing",
            "approve up-auditing>online"
        ]
    );

    // Taken offline, it is gone for the public at once, and stays for its owner.
    catalogue::step(app, &provider, &e.id, Move::TakeOffline, "停用").await.unwrap();
    assert_eq!(titles(&house, &nobody, "西湖水质").await.len(), 1, "still in service under review");
    let e = catalogue::step(app, &authority, &e.id, Move::Approve, "").await.unwrap();
    assert_eq!(e.online_state, OnlineState::Offline);
    assert!(titles(&house, &nobody, "西湖水质").await.is_empty());
    assert_eq!(
        catalogue::get(app, &nobody, "lake_water").await.unwrap_err().code(),
        Code::NotFound
    );
    assert_eq!(titles(&house, &provider, "西湖水质").await.len(), 1);
}

/// A change of a published entry waits for its review; the published declaration stays in force.
async fn a_change(house: House) {
    let app = &house.app;
    let provider = house.person("provider").await;
    let authority = house.person("authority").await;
    let entry = house.publish(testkit::draft("river")).await;
    let mut draft = entry.draft.clone();
    draft.title = "河流".into();
    draft.items[1].open_type = OpenType::None;
    let e = catalogue::edit(app, &provider, &entry.id, draft.clone(), entry.version).await.unwrap();
    assert_eq!(e.publish_state, PublishState::ChangeAuditing);
    assert_eq!(e.draft, entry.draft, "the published declaration is in force");
    assert!(e.freely_open());
    let stale = catalogue::edit(app, &provider, &entry.id, draft.clone(), 7).await.unwrap_err();
    assert_eq!(stale.code(), Code::Stale);
    let paths: Vec<String> = catalogue::compare(app, &authority, &entry.id, 1, 2)
        .await
        .unwrap()
        .into_iter()
        .map(|d| d.path)
        .collect();
    assert_eq!(paths, ["title", "items.name.open_type"]);
    // Four eyes: who handed it in does not decide it, whatever their role.
    let own = catalogue::step(app, &provider, &entry.id, Move::Approve, "").await.unwrap_err();
    assert_eq!(own.code(), Code::Denied);
    catalogue::step(app, &authority, &entry.id, Move::Reject, "请说明").await.unwrap();
    let e = catalogue::get(app, &provider, &entry.id).await.unwrap();
    assert_eq!((e.publish_state, e.version), (PublishState::ChangeReject, 1));
    assert_eq!(e.draft.title, entry.draft.title);
    catalogue::step(app, &provider, &entry.id, Move::Submit, "").await.unwrap();
    let e = catalogue::step(app, &authority, &entry.id, Move::Approve, "").await.unwrap();
    assert_eq!((e.publish_state, e.version), (PublishState::Published, 2));
    assert_eq!(e.draft, draft);
    assert_eq!(catalogue::versions(app, &provider, &entry.id).await.unwrap().len(), 2);
    // The public sees the open items only, also through the catalogue.
    let seen = catalogue::get(app, &house.nobody(), "river").await.unwrap();
    assert_eq!(seen.draft.items.len(), 3);
    assert!(seen.draft.item("name").is_none());
    let hidden = catalogue::versions(app, &house.nobody(), &entry.id).await.unwrap_err();
    assert_eq!(hidden.code(), Code::NotFound);
    // A type that holds rows cannot change; the code never.
    let mut other = draft.clone();
    other.code = "river2".into();
    let fixed = catalogue::edit(app, &provider, &entry.id, other, 2).await.unwrap_err();
    assert_eq!(fixed.code(), Code::RuleBroken);
}

/// Strangers do not learn of what is not live; contradictions and duplicates are refused with their place.
async fn refusals(house: House) {
    let app = &house.app;
    let provider = house.person("provider").await;
    let stranger = house.person("stranger").await;
    let mut draft = testkit::draft("secret_one");
    draft.items[1].grade = Grade::L4;
    let e = catalogue::create(app, &provider, draft.clone()).await.unwrap_err();
    assert_eq!(e.code(), Code::RuleBroken);
    let fields: Vec<&str> = e.fields().iter().map(|f| f.field.as_str()).collect();
    assert_eq!(fields, ["items[1].open_type", "items[1].share_type"]);
    let e = catalogue::create(app, &stranger, testkit::draft("secret_one")).await.unwrap_err();
    assert_eq!(e.code(), Code::Denied);
    let mut nowhere = testkit::draft("secret_one");
    nowhere.region = "990000".into();
    let e = catalogue::create(app, &provider, nowhere).await.unwrap_err();
    assert_eq!((e.code(), e.fields()[0].field.as_str()), (Code::RuleBroken, "region"));
    catalogue::create(app, &provider, testkit::draft("secret_one")).await.unwrap();
    let e = catalogue::create(app, &provider, testkit::draft("secret_one")).await.unwrap_err();
    assert_eq!(e.code(), Code::Duplicate);
    for who in ["stranger", "consumer", "citizen", "city"] {
        let op = house.person(who).await;
        let seen = catalogue::get(app, &op, "secret_one").await;
        let listed = catalogue::list(app, &op, &EntryFilter::default()).await.unwrap().items.len();
        if who == "city" {
            // An authority sees the whole ledger.
            assert_eq!((seen.is_ok(), listed), (true, 1));
        } else {
            assert_eq!(seen.unwrap_err().code(), Code::NotFound, "{who}");
            assert_eq!(listed, 0, "{who}");
        }
    }
}

/// A list is paged by key and shows each entry once.
async fn pages(house: House) {
    let provider = house.person("provider").await;
    for n in 0..7 {
        // Ids follow the time of the operation.
        let op = house.person("provider").await;
        catalogue::create(&house.app, &op, testkit::draft(&format!("set_{n}"))).await.unwrap();
    }
    let mut filter = EntryFilter { limit: 3, ..EntryFilter::default() };
    let mut seen = Vec::new();
    loop {
        let page = catalogue::list(&house.app, &provider, &filter).await.unwrap();
        seen.extend(page.items.into_iter().map(|e| e.draft.code));
        filter.after = page.next;
        if filter.after.is_none() {
            break;
        }
    }
    let expected: Vec<String> = (0..7).rev().map(|n| format!("set_{n}")).collect();
    assert_eq!(seen, expected);
    let part = EntryFilter { text: Some("SET_3".into()), ..EntryFilter::default() };
    assert_eq!(catalogue::list(&house.app, &provider, &part).await.unwrap().items.len(), 1);
    let wild = EntryFilter { text: Some("%".into()), ..EntryFilter::default() };
    assert!(catalogue::list(&house.app, &provider, &wild).await.unwrap().items.is_empty());
}

/// Export → import changes nothing; a changed file changes just that; one wrong row imports nothing.
async fn files(house: House) {
    let app = &house.app;
    let provider = house.person("provider").await;
    let live = house.publish(testkit::draft("alpha")).await;
    catalogue::create(app, &provider, testkit::person_draft("beta")).await.unwrap();
    for format in [SheetFormat::Csv, SheetFormat::Xlsx] {
        let bytes = catalogue::export(app, &provider, format).await.unwrap();
        let path = house.folder().join("catalogue.file");
        std::fs::write(&path, &bytes).unwrap();
        let report = catalogue::import(app, &provider, &path, "目录", false).await.unwrap();
        assert_eq!(report.faults, []);
        assert!(report.created.is_empty() && report.changed.is_empty(), "{report:?}");
        assert_eq!((report.entries, report.items, report.applied), (2, 9, true));
    }
    let now = catalogue::get(app, &provider, "alpha").await.unwrap();
    assert_eq!((now.version, now.updated_at), (1, live.updated_at));

    let csv = catalogue::export(app, &provider, SheetFormat::Csv).await.unwrap();
    let text = String::from_utf8(csv).unwrap();
    let path = house.folder().join("changed.csv");
    // A new entry and a change of the published one, in one file.
    let changed = text
        .replace("测试数据集 alpha", "改名的数据集")
        .replace("beta,", "gamma,")
        .replace("人口基本信息 beta", "人口基本信息 gamma");
    std::fs::write(&path, &changed).unwrap();
    let dry = catalogue::import(app, &provider, &path, "changed.csv", true).await.unwrap();
    assert_eq!(
        (dry.created.as_slice(), dry.changed.as_slice()),
        (&["gamma".to_owned()][..], &["alpha".to_owned()][..])
    );
    assert!(!dry.applied && catalogue::get(app, &provider, "gamma").await.is_err());
    let broken = changed.replacen("L3 较敏感", "L7", 1);
    std::fs::write(&path, &broken).unwrap();
    let report = catalogue::import(app, &provider, &path, "changed.csv", false).await.unwrap();
    assert!(!report.applied);
    assert!(report.faults.iter().any(|f| f.field.ends_with("敏感级别")), "{:?}", report.faults);
    assert!(catalogue::get(app, &provider, "gamma").await.is_err());
    std::fs::write(&path, &changed).unwrap();
    let report = catalogue::import(app, &provider, &path, "changed.csv", false).await.unwrap();
    assert!(report.applied, "{:?}", report.faults);
    let alpha = catalogue::get(app, &provider, "alpha").await.unwrap();
    assert_eq!(alpha.publish_state, PublishState::ChangeAuditing);
    assert_eq!(catalogue::get(app, &provider, "gamma").await.unwrap().draft.items.len(), 5);
    // Another organisation cannot take the codes or compile for this one.
    let stranger = house.person("stranger").await;
    let report = catalogue::import(app, &stranger, &path, "changed.csv", false).await.unwrap();
    assert!(!report.applied && !report.faults.is_empty());
}

/// The formats by which open sets are found and counted.
async fn formats(house: &House) -> Vec<(String, u64)> {
    let query = SearchQuery { facets: Some(vec!["format".into()]), ..SearchQuery::default() };
    let page = app::opening::search(&house.app, &house.nobody(), query).await.unwrap();
    let found = page.facets.into_iter().find(|(name, _)| name == "format");
    let mut counts = found.map(|(_, counts)| counts).unwrap_or_default();
    counts.sort();
    counts
}

/// A set known by links alone is counted by what is behind its links, until rows are here.
async fn linked_formats(house: House) {
    let link = |url: &str, format: &str| Link {
        title: String::new(),
        url: format!("https://data.example/{url}"),
        format: format.into(),
    };
    let mut trees = testkit::draft("trees");
    trees.profile.links =
        vec![link("a", "text/csv"), link("b", "shp"), link("c", "API"), link("d", "")];
    let trees = house.publish(trees).await;
    assert!(trees.linked_only());
    // What is open under conditions is handed out by no link, and counts as it is applied for.
    let mut limited = testkit::restricted_draft("limited");
    limited.profile.links = vec![link("e", "PDF")];
    house.publish(limited).await;
    let of = |words: &[&str]| words.iter().map(|w| ((*w).to_owned(), 1)).collect::<Vec<_>>();
    let own = formats(&house).await;
    let limited: Vec<_> = own.iter().filter(|(w, _)| w != "CSV" && w != "SHP").cloned().collect();
    assert_eq!(own, of(&["API", "CSV", "SHP"]));
    assert_eq!(limited, of(&["API"]), "an interface of somebody else's is none of ours");
    // The whole index made anew says the same.
    app::catalogue::reindex(&house.app).await.unwrap();
    assert_eq!(formats(&house).await, own);
    let rows = "编号,名称,金额,日期\n1,香樟,1.50,2026-01-01\n".as_bytes();
    house.collect("trees", "a.csv", rows, SyncMode::Full).await.unwrap();
    let mut now = of(&["API", "CSV", "JSON", "RDF", "SHP", "XLSX", "XML"]);
    now[0].1 = 2;
    assert_eq!(formats(&house).await, now, "what is here is had here, and there as before");
}

crate::on_both!(a_life, a_change, refusals, pages, files, linked_formats);

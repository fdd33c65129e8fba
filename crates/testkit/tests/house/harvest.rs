//! Harvest of other catalogues: another Qiantang on a real socket, by three of its doors, and a made-up CKAN that does what catalogues do:
//! it changes, it shrinks, it redirects, it says nonsense. No duplicates, no ghosts, nothing emptied by mistake.

use std::sync::Arc;

use app::catalogue::Move;
use app::harvest;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use chrono::TimeDelta;
use model::Code;
use model::code::OnlineState;
use model::entry::EntryFilter;
use model::harvest::{HarvestAs, HarvestKind, HarvestNew, HarvestState, HarvestTurn};
use parking_lot::Mutex;
use serde_json::{Value as Package, json};
use testkit::{AUTHORITY_ORG, House};

/// A made-up CKAN.
#[derive(Default)]
pub(crate) struct Ckan {
    pub(crate) packages: Mutex<Vec<Package>>,
    /// `start` of the pages that were asked for.
    pub(crate) asked: Mutex<Vec<usize>>,
    /// Whatever else was asked for.
    strayed: Mutex<Vec<String>>,
    redirects: Mutex<Option<&'static str>>,
}

async fn search(
    State(ckan): State<Arc<Ckan>>,
    Query(query): Query<Vec<(String, String)>>,
) -> Response {
    if let Some(to) = *ckan.redirects.lock() {
        return (axum::http::StatusCode::FOUND, [("location", to)]).into_response();
    }
    let number = |name: &str| {
        query.iter().find(|(n, _)| n == name).and_then(|(_, v)| v.parse().ok()).unwrap_or(0_usize)
    };
    let (start, rows) = (number("start"), number("rows"));
    ckan.asked.lock().push(start);
    let since = query.iter().find(|(n, _)| n == "fq").and_then(|(_, v)| {
        v.strip_prefix("metadata_modified:[")?.split(' ').next().map(str::to_owned)
    });
    let all = ckan.packages.lock();
    let found: Vec<&Package> = all
        .iter()
        .filter(|p| {
            let modified = p["metadata_modified"].as_str().unwrap_or_default();
            since.as_deref().is_none_or(|since| modified >= since)
        })
        .collect();
    let page: Vec<&Package> = found.iter().skip(start).take(rows).copied().collect();
    Json(json!({ "success": true, "result": { "count": found.len(), "results": page } }))
        .into_response()
}

async fn stray(State(ckan): State<Arc<Ckan>>, uri: axum::http::Uri) -> axum::http::StatusCode {
    ckan.strayed.lock().push(uri.to_string());
    axum::http::StatusCode::NOT_FOUND
}

pub(crate) fn package(n: u32, title: &str, modified: &str) -> Package {
    json!({
        "id": format!("set-{n}"), "name": format!("name-{n}"), "title": title, "notes": "来源平台上的数据集说明",
        "metadata_modified": modified, "state": "active", "private": false, "tags": [{ "name": "采集" }],
        "resources": [{ "name": "CSV", "url": format!("https://data.example/{n}.csv"), "format": "CSV" }],
    })
}

const EARLY: &str = "2026-01-01T00:00:00";
pub(crate) const LATE: &str = "2026-03-02T02:00:00";

pub(crate) async fn ckan(sets: u32) -> (Arc<Ckan>, String) {
    let ckan = Arc::new(Ckan::default());
    *ckan.packages.lock() =
        (1..=sets).map(|n| package(n, &format!("来源数据集 {n}"), EARLY)).collect();
    let router = Router::new()
        .route("/api/3/action/package_search", get(search))
        .fallback(stray)
        .with_state(Arc::clone(&ckan));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (ckan, url)
}

pub(crate) fn new(name: &str, kind: HarvestKind, url: &str, becomes: HarvestAs) -> HarvestNew {
    HarvestNew {
        name: name.into(),
        kind,
        url: url.into(),
        org: AUTHORITY_ORG.into(),
        region: "330000".into(),
        cron: "30 2 * * *".into(),
        becomes,
    }
}

async fn keep(house: &House, new: &HarvestNew) -> String {
    let authority = house.person("authority").await;
    harvest::create(&house.app, &authority, new).await.unwrap().id
}

/// Runs a turn to its end.
async fn turn(house: &House, id: &str, how: (bool, bool)) -> HarvestTurn {
    let authority = house.person("authority").await;
    let begun = harvest::run(&house.app, &authority, id, how).await.unwrap();
    while harvest::tick(&house.app).await.unwrap() > 0 {}
    harvest::report(&house.app, &authority, id, &begun.id).await.unwrap()
}

/// `seen new changed unchanged gone refused`
fn told(turn: &HarvestTurn) -> String {
    let f = &turn.figures;
    format!("{} {} {} {} {} {}", f.seen, f.new, f.changed, f.unchanged, f.gone, f.refused)
}

/// Titles of what everybody sees here, in order.
async fn open_titles(house: &House) -> Vec<String> {
    let sets = app::opening::datasets(&house.app, &house.nobody(), None, 100).await.unwrap();
    let mut titles: Vec<String> = sets.items.into_iter().map(|s| s.entry.draft.title).collect();
    titles.sort();
    titles
}

pub(crate) async fn entries(house: &House) -> usize {
    let authority = house.person("authority").await;
    let filter = EntryFilter { limit: 500, ..EntryFilter::default() };
    app::catalogue::list(&house.app, &authority, &filter).await.unwrap().items.len()
}

/// Another house with its gate on a real socket.
async fn other_house() -> (House, String) {
    let other = House::new().await;
    for code in ["trees", "lamps", "roads"] {
        other.publish(testkit::draft(code)).await;
    }
    other.publish(testkit::person_draft("hidden")).await;
    let url = gate(&other).await;
    (other, url)
}

/// Opens the gate of a house on a real socket; answers its address.
async fn gate(house: &House) -> String {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let config = gateway::GatewayConfig { public_url: url.clone(), ..Default::default() };
    let router = gateway::router(Arc::clone(&house.app), config);
    let service = router.into_make_service_with_connect_info::<std::net::SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    url
}

async fn answer(address: &str) -> Package {
    let answer = reqwest::get(address).await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{address}: {status} {e} {text}"))
}

/// What was brought is told on with its resources at the source: names, formats, sizes, who publishes it and by which licence. Nothing
/// but the catalogue is ever asked of the source, and nothing that is no address of the web is told.
async fn resources_of_the_source(house: House) {
    let (ckan, url) = ckan(2).await;
    let file = format!("{url}/files/trees.csv");
    {
        let mut all = ckan.packages.lock();
        all[0]["resources"] = json!([
            { "name": "行道树全部", "url": file, "format": "text/csv", "size": 2048 },
            { "name": "脚本", "url": "javascript:alert(1)", "format": "HTML" },
            { "name": "口令", "url": "https://user:word@data.example/a", "format": "CSV" },
            { "name": "", "url": "https://data.example/%zz.pdf", "format": "PDF", "size": "0" },
        ]);
        all[0]["organization"] = json!({ "title": "园林局", "name": "yl" });
        all[0]["license_title"] = json!("CC BY 4.0");
        all[1]["resources"] = json!([]);
    }
    let id = keep(&house, &new("来源", HarvestKind::Ckan, &url, HarvestAs::Published)).await;
    assert_eq!(told(&turn(&house, &id, (false, false)).await), "2 2 0 0 0 0");
    let here = gate(&house).await;
    let found = answer(&format!("{here}/api/3/action/package_search?rows=10")).await;
    let results = found["result"]["results"].as_array().unwrap();
    assert_eq!(results.len(), 2, "{found}");
    let trees = results.iter().find(|p| p["title"] == "来源数据集 1").unwrap();
    let name = trees["name"].as_str().unwrap();
    let shown = answer(&format!("{here}/api/3/action/package_show?id={name}")).await;
    let shown = &shown["result"];
    assert_eq!(shown, trees, "one and many say the same");
    let resources = shown["resources"].as_array().unwrap();
    let lines: Vec<String> = resources
        .iter()
        .map(|r| format!("{} {} {} {}", r["name"], r["format"], r["size"], r["url"]))
        .collect();
    assert_eq!(
        lines,
        [
            format!("\"行道树全部\" \"CSV\" 2048 \"{file}\""),
            "\"来源数据集 1\" \"PDF\" null \"https://data.example/%zz.pdf\"".to_owned(),
        ]
    );
    assert!(resources.iter().all(|r| r["datastore_active"] == false), "{resources:?}");
    assert_eq!((&shown["num_resources"], &shown["author"]), (&json!(2), &json!("园林局")));
    assert_eq!((&shown["license_id"], &shown["isopen"]), (&json!("cc-by"), &json!(true)));
    assert_eq!(shown["url"], format!("{url}/dataset/name-1"));
    let bare = results.iter().find(|p| p["title"] == "来源数据集 2").unwrap();
    assert_eq!((&bare["resources"], &bare["isopen"]), (&json!([]), &json!(false)));
    assert_eq!((&bare["license_id"], &bare["author"]), (&json!("notspecified"), &json!("来源")));
    // A resource by its id; a table there is none here.
    let first = resources[0]["id"].as_str().unwrap();
    let one = answer(&format!("{here}/api/3/action/resource_show?id={first}")).await;
    assert_eq!(one["result"], resources[0]);
    for id in [first, name, &format!("{}-csv", shown["id"].as_str().unwrap())] {
        let rows = answer(&format!("{here}/api/3/action/datastore_search?resource_id={id}")).await;
        assert_eq!(
            (&rows["success"], &rows["error"]["__type"]),
            (&json!(false), &json!("Not Found Error")),
            "{id}"
        );
    }
    // DCAT and data.json say the same; an address that RDF cannot hold keeps nothing else from being told.
    let turtle = reqwest::get(format!("{here}/catalog.ttl")).await.unwrap().text().await.unwrap();
    assert!(turtle.contains(&format!("<{file}>")) && turtle.contains("园林局"), "{turtle}");
    assert!(turtle.contains("2048") && !turtle.contains("%zz"), "{turtle}");
    let whole = answer(&format!("{here}/data.json")).await;
    let sets = whole["dataset"].as_array().unwrap();
    let set = sets.iter().find(|s| s["title"] == "来源数据集 1").unwrap();
    assert_eq!(set["publisher"]["name"], "园林局");
    assert_eq!(set["distribution"].as_array().unwrap().len(), 2, "{set}");
    assert_eq!(set["distribution"][0]["downloadURL"], file);
    for text in [found.to_string(), turtle, whole.to_string()] {
        assert!(!text.contains("javascript:") && !text.contains("user:word"), "{text}");
    }
    assert!(
        ckan.strayed.lock().is_empty(),
        "only the catalogue is asked for: {:?}",
        ckan.strayed.lock()
    );
}

/// Another Qiantang is harvested by each of its doors; what it hides never comes, what it changes and takes away is followed.
async fn another_house(house: House) {
    let (other, url) = other_house().await;
    let doors = [
        (HarvestKind::Qiantang, url.clone()),
        (HarvestKind::OaiPmh, format!("{url}/oai")),
        (HarvestKind::Dcat, format!("{url}/catalog.ttl")),
        (HarvestKind::DataJson, format!("{url}/data.json")),
    ];
    let mut ids = Vec::new();
    for (kind, at) in &doors {
        let id = keep(&house, &new(kind.as_str(), *kind, at, HarvestAs::Published)).await;
        let first = turn(&house, &id, (false, false)).await;
        assert_eq!(
            (first.state, told(&first).as_str()),
            (HarvestState::Done, "3 3 0 0 0 0"),
            "{kind} {}",
            first.en
        );
        let again = turn(&house, &id, (true, false)).await;
        let figures = told(&again);
        assert!(again.untouched || figures == "3 0 0 3 0 0", "{kind} {figures}");
        ids.push(id);
    }
    let titles = open_titles(&house).await;
    assert_eq!(titles.len(), 12, "{titles:?}");
    assert!(titles.iter().all(|t| !t.contains("hidden") && !t.contains("人口")), "{titles:?}");
    // A title changes there, and a set goes offline.
    let (provider, authority) = (other.person("provider").await, other.person("authority").await);
    let held = app::catalogue::get(&other.app, &provider, "trees").await.unwrap();
    let mut draft = held.draft.clone();
    draft.title = "行道树普查".into();
    other.clock.forward(TimeDelta::hours(3));
    app::catalogue::edit(&other.app, &provider, &held.id, draft, held.version).await.unwrap();
    app::catalogue::step(&other.app, &authority, &held.id, Move::Approve, "").await.unwrap();
    let lamps = app::catalogue::get(&other.app, &provider, "lamps").await.unwrap();
    app::catalogue::step(&other.app, &provider, &lamps.id, Move::TakeOffline, "停用")
        .await
        .unwrap();
    app::catalogue::step(&other.app, &authority, &lamps.id, Move::Approve, "").await.unwrap();
    house.clock.forward(TimeDelta::hours(3));
    for ((kind, _), id) in doors.iter().zip(&ids) {
        let after = turn(&house, id, (*kind != HarvestKind::OaiPmh, false)).await;
        assert_eq!(after.state, HarvestState::Done, "{kind} {}", after.en);
        let f = &after.figures;
        assert_eq!((f.changed, f.gone, f.new, f.refused), (1, 1, 0, 0), "{kind}");
        assert_eq!(after.full, *kind != HarvestKind::OaiPmh, "{kind}");
    }
    let titles = open_titles(&house).await;
    assert_eq!(titles.iter().filter(|t| *t == "行道树普查").count(), 4, "{titles:?}");
    assert_eq!(titles.len(), 8, "{titles:?}");
    assert_eq!(entries(&house).await, 12);
    // Every one of them says where it comes from.
    let sets = app::opening::datasets(&house.app, &house.nobody(), None, 100).await.unwrap();
    for set in sets.items {
        let origin = harvest::origin(&house.app, &set.entry.draft.code).await.unwrap().unwrap();
        assert!(!origin.source_name.is_empty() && !origin.foreign_id.is_empty());
        assert_eq!(set.entry.rows, 0, "no rows are collected");
    }
}

/// A source that suddenly tells less than half stops the turn; a person confirms; what comes back is there again.
async fn a_source_that_shrinks(house: House) {
    let (ckan, url) = ckan(5).await;
    let id = keep(&house, &new("来源", HarvestKind::Ckan, &url, HarvestAs::Published)).await;
    assert_eq!(told(&turn(&house, &id, (false, false)).await), "5 5 0 0 0 0");
    let all = ckan.packages.lock().clone();
    for left in [0, 2] {
        *ckan.packages.lock() = all.iter().take(left).cloned().collect();
        let stopped = turn(&house, &id, (true, false)).await;
        assert_eq!(stopped.state, HarvestState::Stopped);
        assert!(stopped.zh.contains('5') && stopped.en.contains("nothing was taken offline"));
        assert_eq!(open_titles(&house).await.len(), 5);
    }
    let accepted = turn(&house, &id, (true, true)).await;
    assert_eq!((accepted.state, told(&accepted).as_str()), (HarvestState::Done, "2 0 0 2 3 0"));
    assert_eq!(open_titles(&house).await, ["来源数据集 1", "来源数据集 2"]);
    // In another order, with another title, and all there again.
    *ckan.packages.lock() = all.iter().rev().cloned().collect();
    ckan.packages.lock()[0]["title"] = json!("改名的数据集");
    let back = turn(&house, &id, (true, false)).await;
    assert_eq!(told(&back), "5 0 3 2 0 0");
    assert_eq!(open_titles(&house).await.len(), 5);
    assert_eq!(entries(&house).await, 5, "never a second entry of a record");
}

/// Only what has changed is asked for, everything after some days; what went is found then.
async fn changes_only(house: House) {
    let (ckan, url) = ckan(4).await;
    let id = keep(&house, &new("来源", HarvestKind::Ckan, &url, HarvestAs::Published)).await;
    assert!(turn(&house, &id, (false, false)).await.full);
    ckan.packages.lock()[1] = package(2, "新的名称", LATE);
    ckan.packages.lock().remove(3);
    let changes = turn(&house, &id, (false, false)).await;
    assert!(!changes.full);
    assert_eq!(told(&changes), "1 0 1 0 0 0");
    assert_eq!(open_titles(&house).await.len(), 4);
    house.clock.forward(TimeDelta::days(8));
    // By its schedule.
    while harvest::tick(&house.app).await.unwrap() > 0 {}
    let authority = house.person("authority").await;
    let newest = harvest::get(&house.app, &authority, &id).await.unwrap().turn.unwrap();
    assert!(newest.full);
    assert_eq!((newest.state, told(&newest).as_str()), (HarvestState::Done, "3 0 0 3 1 0"));
    assert_eq!(open_titles(&house).await.len(), 3);
    // Paused, it rests.
    harvest::pause(&house.app, &authority, &id).await.unwrap();
    house.clock.forward(TimeDelta::days(2));
    assert_eq!(harvest::tick(&house.app).await.unwrap(), 0);
}

/// A process that dies between two pages: the next one goes on at the page where it was.
async fn a_death_between_pages(mut house: House) {
    let (ckan, url) = ckan(5).await;
    {
        let app = Arc::get_mut(&mut house.app).unwrap();
        app.rules.harvest.page_records = 2;
        app.rules.harvest.pages_per_round = 1;
    }
    let id = keep(&house, &new("来源", HarvestKind::Ckan, &url, HarvestAs::Draft)).await;
    let authority = house.person("authority").await;
    let begun = harvest::run(&house.app, &authority, &id, (false, false)).await.unwrap();
    assert_eq!(harvest::tick(&house.app).await.unwrap(), 1);
    let twice = harvest::run(&house.app, &authority, &id, (false, false)).await.unwrap_err();
    assert_eq!(twice.code(), Code::WrongState);
    let mut house = house.reopen().await;
    {
        let app = Arc::get_mut(&mut house.app).unwrap();
        app.rules.harvest.page_records = 2;
    }
    while harvest::tick(&house.app).await.unwrap() > 0 {}
    let done = harvest::report(&house.app, &authority, &id, &begun.id).await.unwrap();
    assert_eq!((done.state, told(&done).as_str()), (HarvestState::Done, "5 5 0 0 0 0"));
    assert_eq!(done.figures.pages, 3);
    assert_eq!(*ckan.asked.lock(), [0, 2, 4]);
    assert_eq!(entries(&house).await, 5);
    // Drafts wait for people: nobody sees them.
    assert!(open_titles(&house).await.is_empty());
}

/// What cannot be taken is told with its field and what to mend; mended, it is taken.
async fn what_cannot_be_taken(house: House) {
    let (ckan, url) = ckan(3).await;
    ckan.packages.lock()[0]["title"] = json!("trees");
    ckan.packages.lock()[1].as_object_mut().unwrap().remove("id");
    ckan.packages.lock()[1].as_object_mut().unwrap().remove("name");
    let id = keep(&house, &new("来源", HarvestKind::Ckan, &url, HarvestAs::Published)).await;
    let first = turn(&house, &id, (false, false)).await;
    assert_eq!((first.state, told(&first).as_str()), (HarvestState::Done, "3 1 0 0 0 2"));
    let authority = house.person("authority").await;
    let refused =
        harvest::refusals(&house.app, &authority, &id, &first.id, None, 10).await.unwrap();
    let fields: Vec<(&str, &str)> =
        refused.items.iter().map(|r| (r.foreign_id.as_str(), r.field.as_str())).collect();
    assert_eq!(fields, [("#2", "id"), ("set-1", "title")]);
    assert!(refused.items.iter().all(|r| !r.zh.is_empty() && !r.en.is_empty()));
    ckan.packages.lock()[0]["title"] = json!("行道树");
    // Not asked for as a whole, and yet looked at as one: something had been refused.
    let second = turn(&house, &id, (false, false)).await;
    assert!(second.full);
    assert_eq!(told(&second), "3 1 0 1 0 1");
    assert_eq!(open_titles(&house).await, ["来源数据集 3", "行道树"]);
}

/// Nothing is asked for where the operator does not allow it, by whatever way it leads there.
async fn nowhere_else(mut house: House) {
    let (ckan, url) = ckan(1).await;
    *ckan.redirects.lock() = Some("http://169.254.169.254/latest/meta-data/");
    let id = keep(&house, &new("来源", HarvestKind::Ckan, &url, HarvestAs::Draft)).await;
    let failed = turn(&house, &id, (false, false)).await;
    assert_eq!(failed.state, HarvestState::Failed);
    assert!(failed.zh.contains("从不连接"), "{}", failed.zh);
    *ckan.redirects.lock() = None;
    {
        let app = Arc::get_mut(&mut house.app).unwrap();
        let nowhere = ingest::outgoing::Outgoing::default();
        app.harvests = harvest::Memory::new(Arc::new(ingest::Catalogues::reaching(nowhere)));
    }
    let failed = turn(&house, &id, (false, false)).await;
    assert_eq!(failed.state, HarvestState::Failed);
    assert!(failed.zh.contains("outgoing"), "{}", failed.zh);
    assert!(ckan.asked.lock().is_empty());
}

/// Sources are the authority's: others find none, and a wrong form is told as a whole.
async fn whose_sources(house: House) {
    let (_, url) = ckan(1).await;
    let id = keep(&house, &new("来源", HarvestKind::Ckan, &url, HarvestAs::Draft)).await;
    for who in ["provider", "consumer", "auditor", "citizen"] {
        let op = house.person(who).await;
        let refused = harvest::list(&house.app, &op, None, 10).await.unwrap_err();
        assert_eq!(refused.code(), Code::Denied, "{who}");
        let hidden = harvest::get(&house.app, &op, &id).await.unwrap_err();
        let unknown = harvest::get(&house.app, &op, "nothing").await.unwrap_err();
        assert_eq!((hidden.code(), unknown.code()), (Code::NotFound, Code::NotFound), "{who}");
        assert!(harvest::run(&house.app, &op, &id, (true, true)).await.is_err(), "{who}");
    }
    let authority = house.person("authority").await;
    let mut wrong = new("", HarvestKind::Ckan, "ftp://a.example/", HarvestAs::Draft);
    wrong.cron = "often".into();
    wrong.org = "nobody".into();
    let refused = harvest::create(&house.app, &authority, &wrong).await.unwrap_err();
    let fields: Vec<&str> = refused.fields().iter().map(|f| f.field.as_str()).collect();
    assert_eq!(fields, ["name", "url", "cron", "org"]);
    let twice = new("来源", HarvestKind::Dcat, &url, HarvestAs::Draft);
    let refused = harvest::create(&house.app, &authority, &twice).await.unwrap_err();
    assert_eq!(refused.code(), Code::Duplicate);
}

/// What comes as drafts waits for people, also when it changes.
async fn people_decide(house: House) {
    let (ckan, url) = ckan(2).await;
    let id = keep(&house, &new("来源", HarvestKind::Ckan, &url, HarvestAs::Draft)).await;
    assert_eq!(told(&turn(&house, &id, (false, false)).await), "2 2 0 0 0 0");
    let authority = house.person("authority").await;
    let filter = EntryFilter { limit: 10, ..EntryFilter::default() };
    let page = app::catalogue::list(&house.app, &authority, &filter).await.unwrap();
    assert!(page.items.iter().all(|e| e.online_state == OnlineState::Notline));
    ckan.packages.lock()[0]["title"] = json!("改过的名称");
    assert_eq!(told(&turn(&house, &id, (true, false)).await), "2 0 1 1 0 0");
    let page = app::catalogue::list(&house.app, &authority, &filter).await.unwrap();
    assert!(page.items.iter().any(|e| e.draft.title == "改过的名称"));
    assert!(page.items.iter().all(|e| !e.live()), "drafts wait for people");
}

crate::on_both!(
    another_house,
    resources_of_the_source,
    a_source_that_shrinks,
    changes_only,
    a_death_between_pages,
    what_cannot_be_taken,
    nowhere_else,
    whose_sources,
    people_decide,
);

//! Enumeration: whoever looks for sets that are not open finds what somebody finds who looks for nothing. Known are a code and an id of
//! a live set about persons, and of a draft; they are asked for at every door, and looked for in every list, count and feed.

use axum::body::Body;
use axum::http::Request;
use model::code::SyncMode;
use serde_json::{Value, json};
use testkit::House;

use super::doors::{Answer, Doors, Visitor, encode};

const HIDDEN: &str = "rkjbxxh";
const DRAFT: &str = "rkjbxxd";
const UNKNOWN: &str = "rkjbxxq";
const OPEN: &str = "hupo";
const PEOPLE: &[u8] = "sfzh,xm,sjh,csrq,region_code\n\
    11010519491231002X,张三丰,13800138000,1949-12-31,330106\n"
    .as_bytes();
const ROWS: &[u8] =
    "id,name,amount,day\n1,西湖,1.50,2026-01-01\n2,东钱湖,2.25,2026-01-02\n".as_bytes();

/// An open set; with the others where they are wanted.
async fn house(with_hidden: bool) -> Doors {
    let house = House::new().await;
    let mut open = testkit::draft(OPEN);
    open.title = "湖泊水质".into();
    house.publish(open).await;
    house.collect(OPEN, "h.csv", ROWS, SyncMode::Full).await.unwrap();
    if with_hidden {
        house.publish(testkit::person_draft(HIDDEN)).await;
        house.collect(HIDDEN, "p.csv", PEOPLE, SyncMode::Full).await.unwrap();
        let provider = house.person("provider").await;
        app::catalogue::create(&house.app, &provider, testkit::draft(DRAFT)).await.unwrap();
    }
    Doors::of(house)
}

async fn id_of(doors: &Doors, code: &str) -> String {
    doors.house.app.store.entry_get(code).await.unwrap().unwrap().id
}

/// Names that are tried, each with one of its kind that was never given.
async fn tried(doors: &Doors) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for code in [HIDDEN, DRAFT] {
        all.push((code.to_owned(), UNKNOWN.to_owned()));
        let id = id_of(doors, code).await;
        let last = if id.ends_with('0') { "1" } else { "0" };
        let unknown = format!("{}{last}", &id[..id.len() - 1]);
        all.push((id, unknown));
    }
    all
}

/// An answer without what differs from one asking to the next: the name that was asked for, ids of requests, numbers of time.
fn alike(answer: &Answer, asked: &str) -> String {
    let head = format!(
        "{} {} {}\n",
        answer.status,
        answer.header("content-type"),
        answer.header("location")
    );
    let text = format!("{head}{}", answer.text()).replace(asked, "NAME");
    without(&text, |c| if c.is_ascii_digit() { '0' } else { c })
}

/// A text without long hexadecimal numbers; what else is told goes through `letter`.
fn without(text: &str, letter: impl Fn(char) -> char) -> String {
    let (mut out, mut run) = (String::new(), String::new());
    for c in text.chars().chain(['\n']) {
        if c.is_ascii_hexdigit() {
            run.push(c);
            continue;
        }
        match run.len() >= 24 {
            true => out.push_str("HEX"),
            false => out.extend(run.chars().map(&letter)),
        }
        run.clear();
        out.push(letter(c));
    }
    out
}

const PAGES: [&str; 28] = [
    "/data/{}",
    "/data/{}/chart",
    "/data/{}/versions",
    "/data/{}/api",
    "/data/{}/download.csv",
    "/data/{}/SHA256SUMS",
    "/data/{}/download.json",
    "/data/{}/download.xlsx",
    "/data/{}/download.xml",
    "/data/{}/download.rdf",
    "/data/{}/download.geojson",
    "/data/{}/download.parquet",
    "/data/{}/metadata.json",
    "/data/{}/metadata.csv",
    "/data/{}/metadata.rdf",
    "/data/{}/metadata.ttl",
    "/data/{}/metadata.jsonld",
    "/data/{}/map.geojson",
    "/data/{}/tiles/6/53/26",
    "/restricted/new?code={}",
    "/interact/new?kind=error&code={}",
    "/showcase/new?code={}",
    "/apply/{}",
    "/console/entries/{}",
    "/console/entries/{}/edit",
    "/console/entries/{}/versions",
    "/console/ledger/data/{}/walk",
    "/policies/{}",
];

async fn pages_of(doors: &Doors, visitor: &mut Visitor) {
    visitor.get("/").await;
    for (name, unknown) in tried(doors).await {
        for page in PAGES {
            let found = visitor.get(&page.replace("{}", &name)).await;
            let nothing = visitor.get(&page.replace("{}", &unknown)).await;
            assert!(found.status < 500, "{page} {name}: {}", found.text());
            assert_eq!(alike(&found, &name), alike(&nothing, &unknown), "{page} {name}");
        }
    }
}

/// Nobody asks for pages, files and forms of a hidden set by its code and its id; so does a citizen with an account.
#[tokio::test]
async fn pages_answer_as_for_a_set_that_never_was() {
    let doors = house(true).await;
    pages_of(&doors, &mut doors.visitor()).await;
    pages_of(&doors, &mut doors.person("citizen").await).await;
    pages_of(&doors, &mut doors.person("enterprise").await).await;
    // The same pages are there where a set is open.
    let mut nobody = doors.visitor();
    for page in ["/data/{}", "/data/{}/download.csv", "/data/{}/metadata.ttl", "/data/{}/api"] {
        assert_eq!(nobody.get(&page.replace("{}", OPEN)).await.status, 200, "{page}");
    }
}

const PROGRAMS: [&str; 29] = [
    "/api/v1/{}",
    "/api/v1/{}?select=sfzh&limit=1",
    "/api/v1/{}/changes",
    "/api/interface/{}",
    "/api/interface/{}/openapi.json",
    "/api/3/action/package_show?id={}",
    "/api/3/action/resource_show?id={}-csv",
    "/api/3/action/resource_show?id={}-api",
    "/api/3/action/resource_view_list?id={}-csv",
    "/api/3/action/datastore_search?resource_id={}-csv",
    "/api/3/action/datastore_search?resource_id={}",
    "/api/3/action/datastore_info?id={}-csv",
    "/api/3/action/organization_show?id={}",
    "/api/3/action/group_show?id={}",
    "/datastore/dump/{}-csv",
    "/dataset/{}",
    "/dataset/{}/datapackage.json",
    "/dataset/{}/schema.json",
    "/dataset/{}/croissant.jsonld",
    "/ogc/collections/{}",
    "/ogc/collections/{}/items",
    "/ogc/collections/{}/items/1",
    "/ogc/collections/{}/tiles",
    "/ogc/collections/{}/tiles/WebMercatorQuad/6/26/53",
    "/ogc/collections/open-catalogue/items/{}",
    "/oai?verb=GetRecord&metadataPrefix=oai_dc&identifier=oai:gate.test:{}",
    "/oai?verb=ListMetadataFormats&identifier=oai:gate.test:{}",
    "/delta-sharing/shares/{}",
    "/delta-sharing/shares/qiantang/schemas/org-market/tables/{}/metadata",
];

/// A call of the Model Context Protocol.
async fn tool(doors: &Doors, name: &str, arguments: Value) -> Answer {
    let body = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": name, "arguments": arguments },
    });
    let request = Request::post("/mcp")
        .header("content-type", "application/json")
        .header("host", "gate.test")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-06-18")
        .body(Body::from(body.to_string()))
        .unwrap();
    doors.program(request).await
}

/// A program asks every interface for a hidden set by its code and its id: rows, CKAN, DCAT, Data Package, Croissant, OGC, OAI-PMH, Delta
/// Sharing, the assistants' tools.
#[tokio::test]
async fn programs_are_answered_as_for_a_set_that_never_was() {
    let doors = house(true).await;
    for (name, unknown) in tried(&doors).await {
        for path in PROGRAMS {
            let found = doors.fetch(&path.replace("{}", &name)).await;
            let nothing = doors.fetch(&path.replace("{}", &unknown)).await;
            assert!(found.status < 500, "{path} {name}: {}", found.text());
            assert_eq!(alike(&found, &name), alike(&nothing, &unknown), "{path} {name}");
        }
        for call in ["get_dataset", "list_items", "query_rows", "get_openapi"] {
            let found = tool(&doors, call, json!({ "id": name })).await;
            let nothing = tool(&doors, call, json!({ "id": unknown })).await;
            assert_eq!(found.status, 200, "{call}: {}", found.text());
            assert_eq!(alike(&found, &name), alike(&nothing, &unknown), "{call} {name}");
        }
    }
    for path in ["/api/v1/{}", "/dataset/{}", "/api/3/action/package_show?id={}"] {
        assert_eq!(doors.fetch(&path.replace("{}", OPEN)).await.status, 200, "{path}");
    }
}

/// A citizen sends forms about a hidden set: stars, a comment, an error report, an application, a subscription, what was made of it.
#[tokio::test]
async fn forms_are_answered_as_for_a_set_that_never_was() {
    let doors = house(true).await;
    let mut citizen = doors.person("citizen").await;
    let thing = "data:{}";
    let forms: [(&str, &[(&str, &str)]); 14] = [
        ("/data/{}/follow", &[("do", "follow")]),
        ("/data/{}/rating", &[("stars", "5")]),
        ("/data/{}/comments", &[("text", "很好用的数据")]),
        ("/data/{}/comments/1", &[("do", "report"), ("reason", "广告")]),
        (
            "/interact/new",
            &[("kind", "error"), ("code", "{}"), ("title", "有误"), ("text", "数据有错误")],
        ),
        (
            "/interact/new",
            &[("kind", "request"), ("code", "{}"), ("title", "想要"), ("text", "想要数据")],
        ),
        ("/restricted/new", &[("code", "{}"), ("purpose", "研究"), ("scope", "内部")]),
        (
            "/showcase/new",
            &[
                ("kind", "app"),
                ("title", "地图应用"),
                ("text", "用数据画出来的一张地图"),
                ("author", "某人"),
                ("links", "https://map.example/"),
                ("entries", "{}"),
            ],
        ),
        ("/apply/{}", &[("scene", "研究"), ("items", "xm")]),
        ("/console/basket", &[("ledger", "data"), ("id", "{}")]),
        ("/console/subscriptions", &[("kind", "thing"), ("subject", thing), ("back", "/me")]),
        (
            "/account/authorisations",
            &[
                ("application", "x"),
                ("entry", "{}"),
                ("items", "xm"),
                ("purpose", "贷款审核用途"),
                ("days", "3"),
            ],
        ),
        ("/console/proposals", &[("name", "应用"), ("description", "说明"), ("data", "{}")]),
        ("/console/ledger/data/{}/link", &[("kind", "uses"), ("other", "cloud:x")]),
    ];
    for (name, unknown) in tried(&doors).await {
        for (path, form) in forms {
            let mut told = Vec::new();
            for asked in [&name, &unknown] {
                let filled: Vec<(&str, String)> =
                    form.iter().map(|(k, v)| (*k, v.replace("{}", asked))).collect();
                let filled: Vec<(&str, &str)> =
                    filled.iter().map(|(k, v)| (*k, v.as_str())).collect();
                let answer = citizen.post(&path.replace("{}", asked), &filled).await;
                assert!(answer.status < 500, "{path} {asked}: {}", answer.text());
                assert!(!(200..400).contains(&answer.status), "{path} {asked}: {}", answer.status);
                told.push(alike(&answer, asked));
            }
            assert_eq!(told[0], told[1], "{path} {name}");
        }
    }
    // The same forms are taken where a set is open.
    let rated = citizen.post(&format!("/data/{OPEN}/rating"), &[("stars", "5")]).await;
    assert_eq!(rated.status, 303, "{}", rated.text());
}

/// Lists of the pages and of the machines' door; whether the open set must be in it.
const LISTS: [(&str, bool); 24] = [
    ("/", true),
    ("/data", true),
    ("/data?q=%E4%BA%BA%E5%8F%A3", false),
    ("/data?org=org-market", true),
    ("/suggest?q=%E4%BA%BA%E5%8F%A3", false),
    ("/search?q=%E5%9F%BA%E6%9C%AC%E4%BF%A1%E6%81%AF", false),
    ("/apis", true),
    ("/maps", false),
    ("/developer", false),
    ("/index", false),
    ("/sitemap.xml", true),
    ("/feed.atom", true),
    ("/changes.atom", true),
    ("/catalogue.csv", true),
    ("/catalogue.json", true),
    ("/catalogue.rdf", true),
    ("/catalogue.ttl", true),
    ("/catalogue.jsonld", true),
    ("/city/hangzhou", false),
    ("/city/hangzhou/feed.atom", false),
    ("/plans", false),
    ("/interact", false),
    ("/showcase", false),
    ("/restricted/statistics", false),
];
const MACHINE_LISTS: [(&str, bool); 21] = [
    ("/api/3/action/package_list", true),
    ("/api/3/action/package_search?q=*:*&rows=100", true),
    ("/api/3/action/package_search?q=title:%E4%BA%BA%E5%8F%A3&rows=100", false),
    ("/api/3/action/package_autocomplete?q=rkjb", false),
    ("/api/3/action/resource_search?query=format:CSV", false),
    ("/api/3/action/tag_list?all_fields=true", false),
    ("/api/3/action/organization_show?id=org-market&include_datasets=true", true),
    ("/api/3/action/organization_list?all_fields=true", false),
    ("/api/3/action/group_list?all_fields=true", false),
    ("/catalog.ttl", true),
    ("/catalog.jsonld", true),
    ("/catalog.rdf", true),
    ("/data.json", true),
    ("/ogc/collections", false),
    ("/ogc/collections/open-catalogue/items", true),
    ("/oai?verb=ListRecords&metadataPrefix=oai_dc", true),
    ("/oai?verb=ListRecords&metadataPrefix=dcat", true),
    ("/oai?verb=ListIdentifiers&metadataPrefix=dcat", false),
    ("/ledger/v1/data?format=ttl", true),
    ("/ledger/v1/changes", true),
    ("/openapi.json", true),
];

/// Somebody reads every list, feed, site map and harvest to its end, and searches for words of the hidden sets.
#[tokio::test]
async fn no_list_feed_or_harvest_names_it() {
    let doors = house(true).await;
    let mut words = vec![HIDDEN.to_owned(), DRAFT.to_owned()];
    for code in [HIDDEN, DRAFT] {
        words.push(id_of(&doors, code).await);
    }
    words.push(format!("人口基本信息 {HIDDEN}"));
    words.push(format!("测试数据集 {DRAFT}"));
    let open = id_of(&doors, OPEN).await;
    let look = |path: &str, shows: bool, answer: &Answer| {
        let text = answer.text();
        assert_eq!(answer.status, 200, "{path}: {text}");
        for word in &words {
            assert!(!text.contains(word.as_str()), "{path} names {word}: {text}");
        }
        let there = text.contains(OPEN) || text.contains(&open) || text.contains("湖泊水质");
        assert!(there || !shows, "{path} has lost the open set: {text}");
    };
    let mut nobody = doors.visitor();
    for (path, shows) in LISTS {
        look(path, shows, &nobody.get(path).await);
    }
    for (path, shows) in MACHINE_LISTS {
        look(path, shows, &doors.fetch(path).await);
    }
    let found = tool(&doors, "search_datasets", json!({ "query": "人口 湖泊" })).await;
    look("search_datasets", false, &found);
    for query in ["人口", "基本信息", HIDDEN, "身份号码"] {
        let found = tool(&doors, "search_datasets", json!({ "query": query })).await.text();
        assert!(!found.contains("人口基本信息"), "{query}: {found}");
    }
}

/// A text without its times, which go on between two houses.
fn timeless(answer: &Answer) -> String {
    let text = without(&answer.text(), |c| c);
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("2026-03-02T") {
        out.push_str(&rest[..at]);
        out.push_str("TIME");
        let after = &rest[at + "2026-03-02T".len()..];
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit() || ":.Z".contains(c));
    }
    out.push_str(rest);
    format!("{} {out}", answer.status)
}

/// Somebody compares counts: totals, facets, figures of the home page, of organisations and of groups. They are those of a house that
/// never had the hidden sets.
#[tokio::test]
async fn counts_and_facets_are_those_of_a_house_without_it() {
    let (with, without) = (house(true).await, house(false).await);
    let (mut one, mut other) = (with.visitor(), without.visitor());
    let search = format!("/data?q={}", encode("人口"));
    for path in ["/", "/data", search.as_str(), "/apis", "/maps", "/sitemap.xml", "/suggest?q=ren"]
    {
        let (one, other) = (one.get(path).await, other.get(path).await);
        assert_eq!(timeless(&one), timeless(&other), "{path}");
    }
    let facets = encode("[\"organization\",\"groups\",\"tags\",\"res_format\",\"license_id\"]");
    let search = format!("/api/3/action/package_search?facet.field={facets}&rows=0");
    for path in [
        search.as_str(),
        "/api/3/action/organization_list?all_fields=true",
        "/api/3/action/organization_show?id=org-market",
        "/api/3/action/group_list?all_fields=true",
        "/api/3/action/tag_list",
        "/data.json",
        "/ogc/collections/open-catalogue/items?limit=5",
    ] {
        let (one, other) = (with.fetch(path).await, without.fetch(path).await);
        assert_eq!(one.status, 200, "{path}: {}", one.text());
        assert_eq!(timeless(&one), timeless(&other), "{path}");
    }
}

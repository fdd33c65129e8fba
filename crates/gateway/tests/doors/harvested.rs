//! What another catalogue brought says where it comes from in every form (its catalogue, its identifier and its page there, who publishes
//! it), leads to its data there, and offers nothing of which there is nothing here.

use app::harvest;
use axum::routing::get;
use axum::{Json, Router};
use model::harvest::{HarvestAs, HarvestKind, HarvestNew};
use serde_json::{Value, json};
use testkit::House;

use crate::client::Client;

const PAGE: &str = "https://data.example/a-1";
const FILE: &str = "https://data.example/a-1.csv";

/// A house that has taken two sets of another catalogue: one with a page and files, one with neither. Their codes.
async fn taken(house: &House) -> (String, String) {
    let told = json!({ "dataset": [
        { "identifier": "a-1", "title": "行道树", "title_en": "Trees", "description": "每棵树的位置", "accessLevel": "public",
          "landingPage": PAGE, "modified": "2026-01-02", "publisher": { "name": "园林局" }, "license": "CC BY 4.0",
          "distribution": [{ "title": "全部", "downloadURL": FILE, "format": "CSV" },
                           { "title": "坏", "downloadURL": "javascript:alert(1)" },
                           { "title": "带口令", "downloadURL": "https://user:word@data.example/a" }] },
        { "identifier": "a-2", "title": "路灯", "description": "每盏灯的位置", "accessLevel": "public", "modified": "2026-01-02" },
    ]});
    let router = Router::new().route("/data.json", get(move || async move { Json(told) }));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let new = HarvestNew {
        name: "来源目录".into(),
        kind: HarvestKind::DataJson,
        url: format!("http://{}/data.json", listener.local_addr().unwrap()),
        org: testkit::PROVIDER_ORG.into(),
        region: "330000".into(),
        cron: "30 2 * * *".into(),
        becomes: HarvestAs::Published,
    };
    tokio::spawn(async move { axum::serve(listener, router).await });
    let authority = house.person("authority").await;
    let source = harvest::create(&house.app, &authority, &new).await.unwrap().id;
    harvest::run(&house.app, &authority, &source, (true, false)).await.unwrap();
    while harvest::tick(&house.app).await.unwrap() > 0 {}
    let sets = app::opening::datasets(&house.app, &house.nobody(), None, 10).await.unwrap();
    let of = |title: &str| {
        let found = sets.items.iter().find(|s| s.entry.draft.title == title);
        found.unwrap_or_else(|| panic!("{title}")).entry.draft.code.clone()
    };
    (of("行道树"), of("路灯"))
}

/// Nothing leads to rows that are not here, or to what is no address of the web.
fn clean(text: &str) {
    for bad in ["/datastore/dump", "/api/v1/", "javascript:", "user:word"] {
        assert!(!text.contains(bad), "{bad}: {text}");
    }
}

#[tokio::test]
async fn descriptions_for_programs_name_the_source() {
    let house = House::new().await;
    let (code, bare) = taken(&house).await;
    let client = Client::new(&house);
    let croissant = client.get(&format!("/dataset/{code}/croissant.jsonld")).await;
    clean(&croissant.text);
    let told = croissant.json();
    assert_eq!((&told["sameAs"], &told["publisher"]["name"]), (&json!(PAGE), &json!("园林局")));
    let based = &told["isBasedOn"];
    assert_eq!((&based["identifier"], &based["url"]), (&json!("a-1"), &json!(PAGE)));
    assert_eq!(based["publisher"]["name"], "园林局");
    assert_eq!(based["isPartOf"]["name"], "来源目录");
    assert_ne!(told["sdPublisher"]["name"], "园林局");
    let files = told["distribution"].as_array().unwrap();
    assert_eq!(files.len(), 1, "{told}");
    assert_eq!(
        (&files[0]["contentUrl"], &files[0]["encodingFormat"]),
        (&json!(FILE), &json!("text/csv"))
    );
    assert!(told.get("recordSet").is_none(), "there is no table here: {told}");

    let package = client.get(&format!("/dataset/{code}/datapackage.json")).await;
    clean(&package.text);
    let told = package.json();
    assert_eq!(told["homepage"], PAGE);
    let source = json!([{ "title": "园林局（来源目录）", "identifier": "a-1", "path": PAGE }]);
    assert_eq!(told["sources"], source);
    let resource = json!([
        { "name": "origin-1", "title": "全部", "path": FILE, "format": "csv", "mediatype": "text/csv" },
    ]);
    assert_eq!(told["resources"], resource);
    let contributors = told["contributors"].as_array().unwrap();
    assert_eq!(
        (&contributors[0]["title"], &contributors[0]["roles"]),
        (&json!("园林局"), &json!(["publisher"]))
    );
    assert_eq!(contributors[1]["roles"], json!(["distributor"]));
    assert_eq!(client.get(&format!("/dataset/{code}/schema.json")).await.refusal().0, 404);

    // One without a page and without files says what there is: no links, and no package that would hold nothing.
    let told = client.get(&format!("/dataset/{bare}/croissant.jsonld")).await.json();
    assert!(told.get("sameAs").is_none() && told["isBasedOn"].get("url").is_none(), "{told}");
    assert_eq!(
        (&told["isBasedOn"]["identifier"], &told["distribution"]),
        (&json!("a-2"), &json!([]))
    );
    assert_eq!(told["publisher"]["name"], "来源目录");
    assert_eq!(client.get(&format!("/dataset/{bare}/datapackage.json")).await.refusal().0, 404);
}

#[tokio::test]
async fn records_of_protocols_name_the_source() {
    let house = House::new().await;
    let (code, bare) = taken(&house).await;
    let client = Client::new(&house);
    let all = client.get("/oai?verb=ListRecords&metadataPrefix=oai_dc").await.text;
    clean(&all);
    let records: Vec<&str> = all.split("<record>").skip(1).collect();
    assert_eq!(records.len(), 2, "{all}");
    let of = |code: &str| *records.iter().find(|r| r.contains(code)).unwrap();
    let trees = of(&code);
    for part in [
        format!("<dc:source>{PAGE}</dc:source>"),
        "<dc:source>a-1</dc:source>".to_owned(),
        "<dc:source>来源目录</dc:source>".to_owned(),
        format!("<dc:relation>{FILE}</dc:relation>"),
        "<dc:format>text/csv</dc:format>".to_owned(),
        "<dc:publisher xml:lang=\"zh\">园林局</dc:publisher>".to_owned(),
        "<dc:creator xml:lang=\"zh\">园林局</dc:creator>".to_owned(),
        format!("<dc:identifier>http://gate.test/dataset/{code}</dc:identifier>"),
    ] {
        assert!(trees.contains(&part), "{part}: {trees}");
    }
    let lamps = of(&bare);
    assert!(lamps.contains("<dc:source>a-2</dc:source>"), "{lamps}");
    assert!(!lamps.contains("<dc:relation>") && !lamps.contains("<dc:format>"), "{lamps}");

    let items = "/ogc/collections/open-catalogue/items";
    let answer = client.get(&format!("{items}/{code}")).await;
    clean(&answer.text);
    let record = answer.json();
    let ways: Vec<(&str, &str)> = record["links"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| (l["rel"].as_str().unwrap(), l["href"].as_str().unwrap()))
        .filter(|(rel, _)| ["via", "enclosure"].contains(rel))
        .collect();
    assert_eq!(ways, [("via", PAGE), ("enclosure", FILE)]);
    let properties = &record["properties"];
    assert_eq!(properties["externalIds"], json!([{ "scheme": "来源目录", "value": "a-1" }]));
    assert_eq!(properties["formats"], json!(["CSV"]));
    assert_eq!(properties["contacts"][0], json!({ "name": "园林局", "roles": ["publisher"] }));
    assert_eq!(properties["contacts"][1]["roles"], json!(["distributor"]));
    let listed = client.get(&format!("{items}?ids={code}")).await.json();
    assert_eq!(listed["features"], json!([record]), "one and many say the same");
    let lamps = client.get(&format!("{items}/{bare}")).await.json();
    assert_eq!(lamps["properties"]["externalIds"][0]["value"], "a-2");
    let rel = |l: &Value| l["rel"] == "via" || l["rel"] == "enclosure";
    assert!(!lamps["links"].as_array().unwrap().iter().any(rel), "{lamps}");

    // The feed of changes leads to the description, not to an interface that there is not.
    let feed = client.get("/ledger/v1/changes").await.text;
    clean(&feed);
    for code in [&code, &bare] {
        assert!(feed.contains(&format!("href=\"http://gate.test/dataset/{code}\"")), "{feed}");
    }

    // What is our own says nothing of a source.
    house.publish(testkit::draft("lakes")).await;
    let own = client.get(&format!("{items}/lakes")).await.json();
    assert!(own["properties"].get("externalIds").is_none(), "{own}");
    let own = client.get("/dataset/lakes/datapackage.json").await.json();
    assert!(own.get("sources").is_none() && own["homepage"] == "http://gate.test/dataset/lakes");
    let own = client.get("/dataset/lakes/croissant.jsonld").await.json();
    assert!(own.get("isBasedOn").is_none() && own["recordSet"][0]["name"] == "rows", "{own}");
}

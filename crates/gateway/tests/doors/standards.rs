//! Descriptions and protocols of others: Data Package, Croissant, DCAT by pages, data.json, OGC API, OAI-PMH. Only what is open is told, a
//! hidden and an unknown id answer alike. (Real clients: `cargo xtask clients --doors`.)

use app::catalogue::Move;
use axum::body::Body;
use axum::http::Method;
use model::code::{DataType, OpenType, SyncMode};
use model::item::Item;
use serde_json::{Value, json};
use testkit::House;

use crate::client::Client;

const PLACES: &[u8] = "id,name,amount,day,lng,lat\n1,西湖,1.50,2026-01-01,120.14,30.24\n2,东钱湖,2.25,2026-01-02,121.66,29.76\n\
                       3,千岛湖,3.00,2026-01-03,118.96,29.60\n"
    .as_bytes();
const SHAPES: &[u8] = "id,name,amount,day,geom\n1,西湖,1.5,2026-01-01,\"POLYGON((120.1 30.2,120.2 30.2,120.2 30.3,120.1 30.2))\"\n\
                       2,东钱湖,2.25,2026-01-02,POINT(121.66 29.76)\n3,无,1,2026-01-03,\n"
    .as_bytes();

pub(crate) async fn furnished() -> House {
    let house = House::new().await;
    let mut places = testkit::draft("lakes");
    places.title = "湖泊".into();
    for (name, zh) in [("lng", "经度"), ("lat", "纬度")] {
        places.items.push(Item::new(name, zh, DataType::Float));
    }
    house.publish(places).await;
    house.collect("lakes", "p.csv", PLACES, SyncMode::Full).await.unwrap();
    let mut shapes = testkit::draft("shores");
    shapes.items.push(Item::new("geom", "范围", DataType::Geometry));
    house.publish(shapes).await;
    house.collect("shores", "s.csv", SHAPES, SyncMode::Full).await.unwrap();
    let mut limited = testkit::draft("companies");
    limited.title = "企业名录".into();
    limited.open_type = OpenType::Restricted;
    limited.open_condition = "实名认证并签署协议".into();
    house.publish(limited).await;
    house.publish(testkit::person_draft("persons")).await;
    house
}

#[tokio::test]
async fn a_data_set_is_described_for_programs() {
    let house = furnished().await;
    let client = Client::new(&house);
    let package = client.get("/dataset/lakes/datapackage.json").await.json();
    assert_eq!((&package["name"], &package["title"]), (&json!("lakes"), &json!("湖泊")));
    let resource = &package["resources"][0];
    let fields = resource["schema"]["fields"].as_array().unwrap();
    let types: Vec<&str> = fields.iter().map(|f| f["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["integer", "string", "number", "date", "number", "number"]);
    assert_eq!(resource["schema"]["primaryKey"], json!(["id"]));
    assert_eq!(client.get("/dataset/lakes/schema.json").await.json(), resource["schema"]);
    // The table is where it is said to be, with these columns and no others.
    let path = resource["path"].as_str().unwrap().strip_prefix("http://gate.test").unwrap();
    let csv = client.get(path).await;
    assert_eq!(csv.text.lines().next(), Some("id,name,amount,day,lng,lat"));
    assert_eq!(csv.text.lines().count(), 4);
    let croissant = client.get("/dataset/lakes/croissant.jsonld").await;
    assert_eq!(croissant.header("content-type"), "application/ld+json");
    let told = croissant.json();
    assert_eq!(told["recordSet"][0]["field"].as_array().unwrap().len(), 6);
    assert_eq!(told["distribution"][0]["contentUrl"], resource["path"]);
    // Open under conditions: known, and not to be had without asking.
    assert_eq!(client.get("/dataset/companies/datapackage.json").await.refusal().0, 403);
    assert_eq!(client.get("/dataset/companies").await.status.as_u16(), 200);
}

#[tokio::test]
async fn the_catalogue_is_told_in_every_form_without_what_is_hidden() {
    let house = furnished().await;
    let client = Client::new(&house);
    for path in ["/catalog.ttl", "/catalog.jsonld", "/catalog.rdf", "/data.json", "/dataset/lakes"]
    {
        let answer = client.get(path).await;
        assert_eq!(answer.status.as_u16(), 200, "{path}: {}", answer.text);
        assert!(answer.text.contains("lakes") && !answer.text.contains("persons"), "{path}");
    }
    let told = client.get("/catalog.ttl").await.text;
    assert!(told.contains("PagedCollection") && told.contains("totalItems"), "{told}");
    assert_eq!(client.get("/catalog.ttl?page=2").await.refusal().0, 404);
    assert_eq!(client.get("/catalog.ttl?page=0").await.refusal().0, 400);
    let all = client.get("/data.json").await.json();
    let names: Vec<&str> = all["dataset"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["identifier"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["companies", "lakes", "shores"]);
    assert_eq!(all["dataset"][0]["accessLevel"], "restricted public");
    let accept = [("accept", "application/ld+json")];
    let one = client.send(Method::GET, "/dataset/lakes", &accept).await;
    assert_eq!(one.header("content-type"), "application/ld+json");
    let hidden = house.app.store.entry_get("persons").await.unwrap().unwrap().id;
    for place in ["", "/datapackage.json", "/schema.json", "/croissant.jsonld"] {
        let told = async |id: &str| {
            let body = client.get(&format!("/dataset/{id}{place}")).await;
            let mut text = body.json();
            text["request_id"] = Value::Null;
            (body.status.as_u16(), text.to_string().replace(id, "ID"))
        };
        let unknown = told("nothing").await;
        assert_eq!(unknown.0, 404);
        assert_eq!(told("persons").await, unknown);
        assert_eq!(told(&hidden).await, unknown);
    }
}

#[tokio::test]
async fn features_are_found_by_box_time_and_value() {
    let house = furnished().await;
    let client = Client::new(&house);
    let landing = client.get("/ogc").await.json();
    assert!(landing["links"].as_array().unwrap().iter().any(|l| l["rel"] == "data"));
    assert!(client.get("/ogc/conformance").await.text.contains("ogcapi-features-1/1.0/conf/core"));
    assert_eq!(client.get("/ogc/api").await.json()["openapi"], "3.0.3");
    let all = client.get("/ogc/collections").await.json();
    let names: Vec<&str> =
        all["collections"].as_array().unwrap().iter().map(|c| c["id"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(
        names.contains(&"open-catalogue") && names.contains(&"lakes") && names.contains(&"shores")
    );
    let ids = async |path: &str| {
        let answer = client.get(path).await;
        assert_eq!(answer.status.as_u16(), 200, "{path}: {}", answer.text);
        assert_eq!(answer.header("content-type"), "application/geo+json");
        let told = answer.json();
        let found = told["features"].as_array().unwrap().iter();
        let found = found.map(|f| f["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(told["numberReturned"], found.len());
        found.join(",")
    };
    let items = "/ogc/collections/lakes/items";
    for (query, wanted) in [
        ("", "1,2,3"),
        ("?bbox=120,30,121,31", "1"),
        ("?bbox=118,29,122,30", "2,3"),
        ("?bbox=0,0,1,1", ""),
        ("?datetime=2026-01-02", "2"),
        ("?datetime=2026-01-02/..", "2,3"),
        ("?name=%E8%A5%BF%E6%B9%96", "1"),
        ("?limit=2", "1,2"),
        ("?f=json&limit=100000", "1,2,3"),
    ] {
        assert_eq!(ids(&format!("{items}{query}")).await, wanted, "{query}");
    }
    let shapes = "/ogc/collections/shores/items";
    assert_eq!(ids(shapes).await, "1,2,3");
    assert_eq!(ids(&format!("{shapes}?bbox=120,30,121,31")).await, "1");
    assert_eq!(ids(&format!("{shapes}?bbox=118,29,122,31&limit=1")).await, "1");
    let first = client.get(items).await.json()["features"][0].clone();
    assert_eq!(first["geometry"], json!({ "type": "Point", "coordinates": [120.14, 30.24] }));
    assert_eq!(first["properties"]["name"], "西湖");
    // Pages go on by their link.
    let page = client.get(&format!("{items}?limit=2")).await.json();
    assert_eq!(page["numberMatched"], 3);
    let next = page["links"].as_array().unwrap().iter().find(|l| l["rel"] == "next").unwrap();
    let next = next["href"].as_str().unwrap().strip_prefix("http://gate.test").unwrap();
    assert_eq!(ids(next).await, "3");
    let one = client.get(&format!("{items}/2")).await.json();
    assert_eq!((&one["id"], &one["properties"]["name"]), (&json!("2"), &json!("东钱湖")));
    for wrong in [
        "?colour=red",
        "?bbox=1,2,3",
        "?limit=0",
        "?limit=x",
        "?datetime=now",
        "?f=xml",
        "?crs=EPSG:4490",
    ] {
        assert_eq!(client.get(&format!("{items}{wrong}")).await.refusal().0, 400, "{wrong}");
    }
    assert_eq!(client.get("/ogc/collections?x=1").await.refusal().0, 400);
    // Of what cannot be drawn, is not freely open or is hidden nothing is told.
    let told = async |id: &str, place: &str| {
        let answer = client.get(&format!("/ogc/collections/{id}{place}")).await;
        let mut body = answer.json();
        body["request_id"] = Value::Null;
        (answer.status.as_u16(), body.to_string().replace(id, "ID"))
    };
    for place in ["", "/items", "/items/1"] {
        let unknown = told("nothing", place).await;
        assert_eq!(unknown.0, 404);
        assert_eq!(told("persons", place).await, unknown);
        assert_eq!(told("companies", place).await, unknown);
    }
    for item in ["9", "x", "1~2"] {
        assert_eq!(client.get(&format!("{items}/{item}")).await.refusal().0, 404, "{item}");
    }
}

#[tokio::test]
async fn records_are_the_open_catalogue() {
    let house = furnished().await;
    let client = Client::new(&house);
    let items = "/ogc/collections/open-catalogue/items";
    let ids = async |query: &str| {
        let told = client.get(&format!("{items}{query}")).await.json();
        let mut found: Vec<String> = told["features"]
            .as_array()
            .unwrap_or_else(|| panic!("{told}"))
            .iter()
            .map(|f| f["id"].as_str().unwrap().to_owned())
            .collect();
        found.sort();
        found.join(",")
    };
    for (query, wanted) in [
        ("", "companies,lakes,shores"),
        ("?q=%E6%B9%96%E6%B3%8A", "lakes"),
        ("?q=%E6%B9%96%E6%B3%8A,%E4%BC%81%E4%B8%9A", "companies,lakes"),
        ("?type=dataset", "companies,lakes,shores"),
        ("?type=service", ""),
        ("?ids=lakes,persons", "lakes"),
        ("?datetime=2999-01-01/..", ""),
        ("?bbox=120,30,121,31&limit=50", "companies,lakes,shores"),
    ] {
        assert_eq!(ids(query).await, wanted, "{query}");
    }
    let page = client.get(&format!("{items}?limit=1&sortby=-updated")).await.json();
    assert_eq!((&page["numberMatched"], &page["numberReturned"]), (&json!(3), &json!(1)));
    let next = page["links"].as_array().unwrap().iter().find(|l| l["rel"] == "next").unwrap();
    assert!(next["href"].as_str().unwrap().contains("offset=1"));
    let record = client.get(&format!("{items}/lakes")).await.json();
    assert_eq!(
        (&record["properties"]["type"], &record["geometry"]),
        (&json!("dataset"), &Value::Null)
    );
    assert_eq!(client.get(&format!("{items}/persons")).await.refusal().0, 404);
    assert_eq!(client.get(&format!("{items}?sortby=size")).await.refusal().0, 400);
}

#[tokio::test]
async fn a_harvester_gets_all_and_learns_of_what_went() {
    let house = furnished().await;
    let client = Client::new(&house);
    let ask = async |query: &str| {
        let answer = client.get(&format!("/oai?{query}")).await;
        assert_eq!(answer.status.as_u16(), 200, "{query}: {}", answer.text);
        assert_eq!(answer.header("content-type"), "text/xml; charset=utf-8");
        answer.text
    };
    let told = ask("verb=Identify").await;
    assert!(
        told.contains("<deletedRecord>transient</deletedRecord>")
            && told.contains("http://gate.test/oai")
    );
    assert!(
        ask("verb=ListMetadataFormats").await.contains("<metadataPrefix>dcat</metadataPrefix>")
    );
    assert!(ask("verb=ListSets").await.contains("<setSpec>org-market</setSpec>"));
    let records = ask("verb=ListRecords&metadataPrefix=oai_dc").await;
    assert_eq!(records.matches("<record>").count(), 3, "{records}");
    assert!(
        records.contains("xml:lang=\"zh\">湖泊</dc:title>") && !records.contains("人口"),
        "{records}"
    );
    let headers = ask("verb=ListIdentifiers&metadataPrefix=dcat&set=org-market").await;
    assert_eq!(headers.matches("<header>").count(), 3, "{headers}");
    let identifier = headers.split("<identifier>").nth(1).unwrap().split('<').next().unwrap();
    let one = ask(&format!("verb=GetRecord&metadataPrefix=dcat&identifier={identifier}")).await;
    assert!(one.contains("rdf:RDF") && one.matches("<?xml").count() == 1, "{one}");
    let hidden = house.app.store.entry_get("persons").await.unwrap().unwrap().id;
    let space = identifier.rsplit_once(':').unwrap().0;
    for (query, code) in [
        ("verb=ListRecords&metadataPrefix=oai_dc&from=2999-01-01".to_owned(), "noRecordsMatch"),
        ("verb=ListRecords&metadataPrefix=oai_dc&set=nobody".to_owned(), "noRecordsMatch"),
        ("verb=Nothing".to_owned(), "badVerb"),
        ("verb=ListRecords&metadataPrefix=marc".to_owned(), "cannotDisseminateFormat"),
        ("verb=ListRecords&resumptionToken=x".to_owned(), "badResumptionToken"),
        ("verb=GetRecord&metadataPrefix=oai_dc&identifier=x".to_owned(), "idDoesNotExist"),
        (
            format!("verb=GetRecord&metadataPrefix=oai_dc&identifier={space}:{hidden}"),
            "idDoesNotExist",
        ),
        (
            format!("verb=GetRecord&metadataPrefix=oai_dc&identifier={space}:persons"),
            "idDoesNotExist",
        ),
    ] {
        let told = ask(&query).await;
        assert!(told.contains(&format!("<error code=\"{code}\">")), "{query}: {told}");
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let posted = client.send_body(Method::POST, "/oai", &form, Body::from("verb=Identify")).await;
    assert!(posted.text.contains("<protocolVersion>2.0</protocolVersion>"));
    // Taken offline: told as deleted, and to a harvest since then alone.
    house.clock.forward(chrono::TimeDelta::hours(1));
    let since = house.app.now().format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let lakes = house.app.store.entry_get("lakes").await.unwrap().unwrap().id;
    let (provider, authority) = (house.person("provider").await, house.person("authority").await);
    for (op, step) in [(&provider, Move::TakeOffline), (&authority, Move::Approve)] {
        app::catalogue::step(&house.app, op, &lakes, step, "不再更新").await.unwrap();
    }
    let changed = ask(&format!("verb=ListRecords&metadataPrefix=oai_dc&from={since}")).await;
    assert_eq!(changed.matches("<record>").count(), 1, "{changed}");
    assert!(changed.contains("status=\"deleted\"") && changed.contains(&lakes), "{changed}");
    assert!(!changed.contains("湖泊"));
    let until =
        ask(&format!("verb=ListIdentifiers&metadataPrefix=oai_dc&until={since}&from={since}"))
            .await;
    assert_eq!(until.matches("<header").count(), 1, "{until}");
}

//! Links of a declaration at every machine's door: beside what the platform hands out itself, alone where nothing was collected, and nowhere
//! of what is open under conditions. What is no address of the web is refused where it is written.

use app::catalogue;
use axum::http::Method;
use model::code::SyncMode;
use model::entry::Link;
use serde_json::{Value, json};
use testkit::House;

use crate::client::Client;

const FILE: &str = "https://data.example/trees.csv";
const PAGE: &str = "https://data.example/page";
const OTHER: &str = "https://data.example/api";
const SECRET: &str = "https://secret.example/limited.csv";

fn link(title: &str, url: &str, format: &str) -> Link {
    Link { title: title.into(), url: url.into(), format: format.into() }
}

/// `trees` is known by links alone, `lakes` has rows and a link, `limited` is open under conditions and has a link.
async fn furnished() -> House {
    let house = House::new().await;
    let mut trees = testkit::draft("trees");
    trees.profile.links =
        vec![link("全部", FILE, "csv"), link("", PAGE, "HTML"), link("接口", OTHER, "")];
    house.publish(trees).await;
    let mut lakes = testkit::draft("lakes");
    lakes.profile.links = vec![link("全部", FILE, "text/csv")];
    house.publish(lakes).await;
    let rows = "编号,名称,金额,日期\n1,西湖,1.50,2026-01-01\n".as_bytes();
    house.collect("lakes", "a.csv", rows, SyncMode::Full).await.unwrap();
    let mut limited = testkit::restricted_draft("limited");
    limited.profile.links = vec![link("全部", SECRET, "CSV")];
    house.publish(limited).await;
    house
}

/// Nothing leads to rows that are not here.
fn without_rows(text: &str) {
    for bad in ["/datastore/dump", "/api/v1/"] {
        assert!(!text.contains(bad), "{bad}: {text}");
    }
}

fn texts<'a>(of: &'a Value, key: &str) -> Vec<&'a str> {
    of.as_array().unwrap().iter().map(|one| one[key].as_str().unwrap_or_default()).collect()
}

#[tokio::test]
async fn descriptions_for_programs_tell_links() {
    let house = furnished().await;
    let client = Client::new(&house);
    let turtle = client.get("/dataset/trees").await.text;
    without_rows(&turtle);
    for said in [
        format!("downloadURL> <{FILE}>"),
        format!("accessURL> <{FILE}>"),
        format!("accessURL> <{PAGE}>"),
        format!("accessURL> <{OTHER}>"),
        "<https://www.iana.org/assignments/media-types/text/csv>".to_owned(),
        "authority/file-type/CSV>".to_owned(),
        "authority/file-type/HTML>".to_owned(),
    ] {
        // Names may be written by their prefix.
        let short = said.replace("URL> ", "URL ");
        assert!(turtle.contains(&said) || turtle.contains(&short), "{said}: {turtle}");
    }
    for none in [PAGE, OTHER] {
        assert!(!turtle.contains(&format!("downloadURL <{none}>")), "no file is there: {turtle}");
    }
    assert!(!turtle.contains("format/LINK"), "what is not told is not made up: {turtle}");
    let turtle = client.get("/dataset/lakes").await.text;
    assert!(turtle.contains(FILE) && turtle.contains("/datastore/dump"), "{turtle}");

    let croissant = client.get("/dataset/trees/croissant.jsonld").await;
    without_rows(&croissant.text);
    let told = croissant.json();
    let file = &told["distribution"][0];
    assert_eq!((&file["contentUrl"], &file["encodingFormat"]), (&json!(FILE), &json!("text/csv")));
    assert_eq!(texts(&told["distribution"], "@id"), ["link-1"], "a page is no file");
    assert!(told.get("recordSet").is_none() && told["isLiveDataset"] == true, "{told}");
    let told = client.get("/dataset/lakes/croissant.jsonld").await.json();
    assert_eq!(texts(&told["distribution"], "@id"), ["table", "link-1"]);
    assert_eq!(told["recordSet"][0]["name"], "rows");

    let package = client.get("/dataset/trees/datapackage.json").await;
    without_rows(&package.text);
    let wanted = json!([
        { "name": "link-1", "title": "全部", "path": FILE, "format": "csv", "mediatype": "text/csv" },
        { "name": "link-2", "title": "测试数据集 trees", "path": PAGE, "format": "html", "mediatype": "text/html" },
        { "name": "link-3", "title": "接口", "path": OTHER },
    ]);
    assert_eq!(package.json()["resources"], wanted);
    let package = client.get("/dataset/lakes/datapackage.json").await.json();
    assert_eq!(texts(&package["resources"], "name"), ["lakes", "link-1"]);
}

#[tokio::test]
async fn catalogues_and_protocols_tell_links() {
    let house = furnished().await;
    let client = Client::new(&house);
    let all = client.get("/data.json").await.json();
    let of = |code: &str| {
        let mut sets = all["dataset"].as_array().unwrap().iter();
        sets.find(|d| d["identifier"] == code).unwrap()["distribution"].clone()
    };
    let wanted = json!([
        { "@type": "dcat:Distribution", "title": "全部", "format": "CSV", "mediaType": "text/csv", "downloadURL": FILE },
        { "@type": "dcat:Distribution", "format": "HTML", "mediaType": "text/html", "accessURL": PAGE },
        { "@type": "dcat:Distribution", "title": "接口", "accessURL": OTHER },
    ]);
    assert_eq!(of("trees"), wanted);
    assert_eq!(texts(&of("lakes"), "format"), ["CSV", "API", "CSV"]);
    assert_eq!(of("limited"), Value::Null);

    let items = "/ogc/collections/open-catalogue/items";
    let record = client.get(&format!("{items}/trees")).await.json();
    without_rows(&record.to_string());
    let enclosed = |record: &Value| -> Vec<String> {
        let links = record["links"].as_array().unwrap().iter();
        let links = links.filter(|l| l["rel"] == "enclosure");
        links.map(|l| l["href"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(enclosed(&record), [FILE, PAGE, OTHER]);
    assert_eq!(record["properties"]["formats"], json!(["CSV", "HTML"]));
    let listed = client.get(&format!("{items}?ids=trees")).await.json();
    assert_eq!(listed["features"], json!([record]), "one and many say the same");
    let lakes = client.get(&format!("{items}/lakes")).await.json();
    assert_eq!((enclosed(&lakes).len(), &enclosed(&lakes)[1]), (2, &FILE.to_owned()));
    assert_eq!(lakes["properties"]["formats"], json!(["CSV", "JSON"]));

    let records = client.get("/oai?verb=ListRecords&metadataPrefix=oai_dc").await.text;
    let trees = records.split("<record>").find(|r| r.contains("/dataset/trees<")).unwrap();
    for url in [FILE, PAGE, OTHER] {
        assert!(trees.contains(&format!("<dc:relation>{url}</dc:relation>")), "{url}: {trees}");
    }
    assert_eq!(trees.matches("<dc:format>").count(), 2, "{trees}");

    let told = client.get("/api/3/action/package_show?id=trees").await.json();
    assert_eq!(texts(&told["result"]["resources"], "url"), [FILE, PAGE, OTHER]);
    let told = client.get("/api/3/action/package_show?id=lakes").await.json();
    let urls = texts(&told["result"]["resources"], "url").len();
    assert_eq!((urls, &told["result"]["resources"][3]["url"]), (4, &json!(FILE)));
}

/// Names of the data sets that are found, and how many there are by format.
async fn asked(client: &Client, query: &str) -> (Vec<String>, Value) {
    let path = format!("/api/3/action/package_search?{query}");
    let told = client.get(&path).await.json()["result"].clone();
    let mut names: Vec<String> =
        texts(&told["results"], "name").into_iter().map(str::to_owned).collect();
    names.sort();
    (names, told["facets"]["res_format"].clone())
}

#[tokio::test]
async fn what_is_known_by_links_is_found_by_their_formats() {
    let house = furnished().await;
    let client = Client::new(&house);
    let of = async |query: &str| asked(&client, query).await;
    let (_, counted) = of("rows=0&facet.field=%5B%22res_format%22%5D").await;
    // `limited` is asked for by an interface; `trees` has a file and a page elsewhere, and an interface that is not ours.
    assert_eq!(counted, json!({ "API": 2, "CSV": 2, "JSON": 1, "HTML": 1 }));
    for (format, found) in [
        ("csv", &["lakes", "trees"][..]),
        ("HTML", &["trees"]),
        ("html", &["trees"]),
        ("json", &["lakes"]),
        ("API", &["lakes", "limited"]),
        ("pdf", &[]),
    ] {
        assert_eq!(of(&format!("fq=res_format:{format}")).await.0, found, "{format}");
    }
    let told = client.get("/api/3/action/resource_search?query=format:html").await.json();
    assert_eq!(texts(&told["result"]["results"], "url"), [PAGE]);
}

/// The site offers rows of ours as workbooks, this door does not: a workbook is a resource behind a link only.
#[tokio::test]
async fn a_format_of_the_sites_is_found_where_a_link_has_it() {
    const BOOK: &str = "https://data.example/book.xlsx";
    const SHEET: &str = "https://data.example/sheet.xlsx";
    let house = House::new().await;
    let mut book = testkit::draft("book");
    book.profile.links = vec![link("", BOOK, "xlsx")];
    house.publish(book).await;
    let mut both = testkit::draft("both");
    let media = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
    both.profile.links = vec![link("", SHEET, media)];
    house.publish(both).await;
    house.publish(testkit::draft("rows")).await;
    let mut limited = testkit::restricted_draft("limited");
    limited.profile.links = vec![link("", SECRET, "XLSX")];
    house.publish(limited).await;
    let rows = "编号,名称,金额,日期\n1,西湖,1.50,2026-01-01\n".as_bytes();
    for code in ["both", "rows"] {
        house.collect(code, "a.csv", rows, SyncMode::Full).await.unwrap();
    }
    let client = Client::new(&house);
    for query in ["fq=res_format:XLSX", "q=res_format:xlsx", "fq=res_format:(PDF%20OR%20Xlsx)"] {
        assert_eq!(asked(&client, query).await.0, ["book", "both"], "{query}");
    }
    assert_eq!(asked(&client, "fq=-res_format:XLSX").await.0, ["limited", "rows"]);
    assert_eq!(asked(&client, "fq=res_format:XML").await.0, Vec::<String>::new());
    let (_, counted) = asked(&client, "rows=0&facet.field=%5B%22res_format%22%5D").await;
    assert_eq!(counted, json!({ "API": 3, "CSV": 2, "JSON": 2, "XLSX": 2 }));
    let told = client.get("/api/3/action/resource_search?query=format:XLSX").await.json();
    assert_eq!(texts(&told["result"]["results"], "url"), [BOOK, SHEET]);
}

#[tokio::test]
async fn what_is_open_under_conditions_is_handed_out_by_no_link() {
    let house = furnished().await;
    let client = Client::new(&house);
    let xml = [("accept", "application/rdf+xml")];
    let mut told = vec![client.send(Method::GET, "/dataset/limited", &xml).await];
    for path in [
        "/catalog.ttl",
        "/catalog.jsonld",
        "/catalog.rdf",
        "/data.json",
        "/dataset/limited/croissant.jsonld",
        "/dataset/limited/datapackage.json",
        "/ogc/collections/open-catalogue/items",
        "/ogc/collections/open-catalogue/items/limited",
        "/oai?verb=ListRecords&metadataPrefix=oai_dc",
        "/oai?verb=ListRecords&metadataPrefix=dcat",
        "/api/3/action/package_show?id=limited",
        "/api/3/action/package_search?q=limited",
        "/api/3/action/current_package_list_with_resources",
        "/ledger/v1/changes",
        "/ledger/v1/data",
    ] {
        told.push(client.get(path).await);
    }
    for answer in &told {
        assert!(!answer.text.contains("secret.example"), "{}", answer.text);
    }
    let whole = client.get("/catalog.ttl").await.text;
    assert!(whole.contains(FILE) && whole.contains("limited"), "{whole}");
}

#[tokio::test]
async fn only_addresses_of_the_web_are_written() {
    let house = House::new().await;
    let op = house.person("provider").await;
    for bad in [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "file:///etc/passwd",
        "vbscript:x",
        "//data.example/x",
        "https://user:word@data.example/x",
        "https://data.example/\"onclick=x",
        " https://data.example/x y",
    ] {
        let mut draft = testkit::draft("bad");
        draft.profile.links = vec![link("好", FILE, "CSV"), link("坏", bad, "CSV")];
        let error = catalogue::create(&house.app, &op, draft.clone()).await.unwrap_err();
        assert_eq!(error.fields()[0].field, "links[1].url", "{bad}");
        let good = house.app.store.entry_get("good").await.unwrap();
        let good = match good {
            Some(good) => good,
            None => catalogue::create(&house.app, &op, testkit::draft("good")).await.unwrap(),
        };
        draft.code = "good".into();
        let error =
            catalogue::edit(&house.app, &op, &good.id, draft, good.version).await.unwrap_err();
        assert_eq!(error.fields()[0].field, "links[1].url", "{bad}");
    }
    assert!(house.app.store.entry_get("bad").await.unwrap().is_none());
}

//! Catalogues of more sets than a page holds: every form hands each set out once, and says itself where it goes on.

use serde_json::{Value, json};
use testkit::House;

use crate::client::Client;

const SETS: usize = 103;

async fn furnished() -> (House, Vec<String>) {
    let house = House::new().await;
    let codes: Vec<String> = (0..SETS).map(|n| format!("paged{n:03}")).collect();
    for code in &codes {
        house.publish(testkit::draft(code)).await;
    }
    house.publish(testkit::person_draft("persons")).await;
    (house, codes)
}

/// Notes which of the codes stand in a text, and that none of them did before.
fn noted(text: &str, codes: &[String], seen: &mut Vec<String>) -> usize {
    let here: Vec<&String> = codes.iter().filter(|c| text.contains(c.as_str())).collect();
    assert!(here.iter().all(|c| !seen.contains(c)), "told twice: {here:?} after {seen:?}");
    assert!(!text.contains("persons"), "{text}");
    seen.extend(here.iter().map(|c| (*c).clone()));
    here.len()
}

/// The address that a page of DCAT names by a word of Hydra.
fn linked(text: &str, word: &str) -> Option<String> {
    let rest = text.split_once(word)?.1;
    let address = rest.split_once("http://gate.test/")?.1;
    let end = address.find(['>', '"', '\'']).unwrap_or(address.len());
    Some(format!("/{}", &address[..end]))
}

#[tokio::test]
async fn every_catalogue_goes_on_where_its_page_ends() {
    let (house, codes) = furnished().await;
    let client = Client::new(&house);
    for ending in ["ttl", "jsonld", "rdf"] {
        let mut seen = Vec::new();
        let first = client.get(&format!("/catalog.{ending}")).await;
        assert_eq!(first.status.as_u16(), 200, "{ending}: {}", first.text);
        assert_eq!(noted(&first.text, &codes, &mut seen), 100, "{ending}");
        let next = linked(&first.text, "next").unwrap();
        assert_eq!(next, format!("/catalog.{ending}?page=2"));
        assert_eq!(linked(&first.text, "previous"), None, "{ending}");
        let second = client.get(&next).await.text;
        assert_eq!(noted(&second, &codes, &mut seen), 3, "{ending}");
        assert_eq!(linked(&second, "next"), None, "{ending}: it ends");
        assert_eq!(linked(&second, "previous"), Some(format!("/catalog.{ending}?page=1")));
        for page in ["3", "0", "x", "18446744073709551616"] {
            let status = client.get(&format!("/catalog.{ending}?page={page}")).await.status;
            assert!(status.is_client_error(), "{ending} {page}: {status}");
        }
    }
    // Several pieces, one file.
    let whole = client.get("/data.json").await.json();
    let told: Vec<&str> = whole["dataset"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["identifier"].as_str().unwrap())
        .collect();
    assert_eq!(told, codes);
}

#[tokio::test]
async fn a_harvester_a_library_and_an_assistant_read_on() {
    let (house, codes) = furnished().await;
    let client = Client::new(&house);
    for prefix in ["oai_dc", "dcat"] {
        let mut query = format!("verb=ListRecords&metadataPrefix={prefix}");
        let (mut seen, mut pages) = (Vec::new(), 0);
        loop {
            let text = client.get(&format!("/oai?{query}")).await.text;
            noted(&text, &codes, &mut seen);
            pages += 1;
            let token = text.split_once("<resumptionToken").and_then(|(_, rest)| {
                let token = rest.split_once('>')?.1.split('<').next()?;
                (!token.is_empty()).then(|| token.replace("&amp;", "&"))
            });
            let Some(token) = token else { break };
            assert!(pages < 5, "{prefix}: it never ends");
            let token = form_urlencoded::byte_serialize(token.as_bytes()).collect::<String>();
            query = format!("verb=ListRecords&resumptionToken={token}");
        }
        assert_eq!((seen.len(), pages), (SETS, 2), "{prefix}");
    }
    // Records, by the links of the answers.
    let (mut path, mut seen) =
        ("/ogc/collections/open-catalogue/items?limit=40&sortby=created".to_owned(), Vec::new());
    for wanted in [40, 40, 23] {
        let page = client.get(&path).await.json();
        assert_eq!(page["numberMatched"], json!(SETS), "{page}");
        assert_eq!(page["numberReturned"], json!(wanted), "{page}");
        let records = page["features"].to_string();
        assert_eq!(noted(&records, &codes, &mut seen), wanted);
        let next = page["links"].as_array().unwrap().iter().find(|l| l["rel"] == "next");
        let next = next.map(|l| l["href"].as_str().unwrap().to_owned());
        assert_eq!(next.is_none(), seen.len() == SETS, "{page}");
        path = next.unwrap_or_default().replace("http://gate.test", "");
    }
    // CKAN's search by rows and start.
    let mut seen = Vec::new();
    for start in [0, 50, 100, 150] {
        let path = format!("/api/3/action/package_search?rows=50&start={start}&sort=name+asc");
        let answer = client.get(&path).await.json();
        assert_eq!(answer["result"]["count"], json!(SETS), "{answer}");
        let names: Vec<&str> = answer["result"]["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p["name"].as_str().unwrap())
            .collect();
        seen.extend(names.iter().map(|n| (*n).to_owned()));
    }
    assert_eq!(seen, codes);
    // An assistant, page by page.
    let mut seen = Vec::new();
    for page in 1..=4 {
        let arguments = json!({ "query": "测试", "page": page, "page_size": 40 });
        let body = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": "search_datasets", "arguments": arguments },
        });
        let headers = [
            ("content-type", "application/json"),
            ("host", "gate.test"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", "2025-06-18"),
        ];
        let body = axum::body::Body::from(body.to_string());
        let answer = client.send_body(axum::http::Method::POST, "/mcp", &headers, body).await;
        let found = answer.json()["result"]["structuredContent"].clone();
        assert_eq!(found["total"], json!(SETS), "{found}");
        let sets = found["datasets"].as_array().unwrap();
        seen.extend(sets.iter().map(|d: &Value| d["name"].as_str().unwrap().to_owned()));
    }
    seen.sort();
    assert_eq!(seen, codes);
}

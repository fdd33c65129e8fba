//! The Model Context Protocol: tools are named, find and read what is open, and tell nothing else. (Real clients: `cargo xtask
//! clients --doors`.)

use axum::body::Body;
use axum::http::Method;
use model::code::SyncMode;
use serde_json::{Value, json};
use testkit::House;

use crate::client::{Answer, Client};

const ROWS: &[u8] =
    b"id,name,amount,day\n1,a,1.50,2026-01-01\n2,b,2.25,2026-01-02\n3,c,3.00,2026-01-03\n";

async fn send(client: &Client, method: &str, params: Value) -> Answer {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let headers = [
        ("content-type", "application/json"),
        ("host", "gate.test"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2025-06-18"),
    ];
    client.send_body(Method::POST, "/mcp", &headers, Body::from(body.to_string())).await
}

async fn told(client: &Client, method: &str, params: Value) -> Value {
    let answer = send(client, method, params).await;
    assert_eq!(answer.status.as_u16(), 200, "{method}: {}", answer.text);
    answer.json()
}

/// What a tool answers: whether it refused, and its structured content or its text.
async fn run(client: &Client, name: &str, arguments: Value) -> (bool, Value) {
    let told = told(client, "tools/call", json!({ "name": name, "arguments": arguments })).await;
    let result = &told["result"];
    match result["isError"].as_bool().unwrap_or_default() {
        true => (true, result["content"][0]["text"].clone()),
        false => (false, result["structuredContent"].clone()),
    }
}

#[tokio::test]
async fn an_assistant_finds_and_reads_what_is_open() {
    let house = House::new().await;
    house.publish(testkit::draft("lake_water")).await;
    house.collect("lake_water", "w.csv", ROWS, SyncMode::Full).await.unwrap();
    house.publish(testkit::person_draft("persons")).await;
    let client = Client::new(&house);
    let hello = json!({
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" },
    });
    let hello = told(&client, "initialize", hello).await;
    assert_eq!(hello["result"]["serverInfo"]["name"], "qiantang", "{hello}");
    assert!(hello["result"]["capabilities"]["tools"].is_object());
    let listed = told(&client, "tools/list", json!({})).await;
    let names: Vec<&str> = listed["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["search_datasets", "get_dataset", "list_items", "query_rows", "get_openapi"]
    );
    let (refused, found) =
        run(&client, "search_datasets", json!({ "query": "测试: (数据集" })).await;
    assert!(!refused && found["total"] == 1, "{found}");
    assert_eq!(
        (&found["datasets"][0]["name"], &found["datasets"][0]["queryable"]),
        (&json!("lake_water"), &json!(true))
    );
    let by = json!({ "organization": "org-market", "group": "market-regulation" });
    assert_eq!(run(&client, "search_datasets", by).await.1["total"], 1);
    let (_, set) = run(&client, "get_dataset", json!({ "id": "lake_water" })).await;
    assert_eq!(set["resources"].as_array().unwrap().len(), 3);
    let (_, items) = run(&client, "list_items", json!({ "id": "lake_water" })).await;
    assert_eq!(items["items"][2]["data_type"], "decimal");
    let ask = json!({ "id": "lake_water", "filters": { "amount": { "gte": 2 } }, "sort": "id desc", "limit": 1 });
    let (_, rows) = run(&client, "query_rows", ask).await;
    assert_eq!((&rows["total"], &rows["rows"][0]["name"]), (&json!(2), &json!("c")));
    let (_, openapi) = run(&client, "get_openapi", json!({ "id": "lake_water" })).await;
    assert!(openapi["paths"]["/api/v1/lake_water"].is_object());
    // A hidden and an unknown set answer alike, in words.
    for name in ["get_dataset", "list_items", "query_rows", "get_openapi"] {
        let (refused, hidden) = run(&client, name, json!({ "id": "persons" })).await;
        let (_, unknown) = run(&client, name, json!({ "id": "nothing" })).await;
        assert!(refused, "{name}");
        assert_eq!(
            hidden.as_str().unwrap().replace("persons", "nothing"),
            unknown.as_str().unwrap()
        );
    }
    let (refused, why) =
        run(&client, "query_rows", json!({ "id": "lake_water", "sort": "x" })).await;
    assert!(refused && why.as_str().unwrap().contains("`x`"), "{why}");
    let none = told(&client, "tools/call", json!({ "name": "drop_table", "arguments": {} })).await;
    assert!(none["error"]["message"].as_str().unwrap().contains("drop_table"), "{none}");
}

//! The Action API of CKAN: shapes that strict readers want, Solr's language, rows with filters, dumps, and that nothing is told of
//! what is not open. (Real clients: `cargo xtask clients --ckan`.)

use axum::body::Body;
use axum::http::Method;
use model::audit::AuditFilter;
use model::code::{Domain, OpenType, SyncMode};
use serde_json::{Value, json};
use testkit::House;

use crate::client::{Answer, Client};

const ROWS: &str = "id,name,amount,day,secret\n1,西湖,1.50,2026-01-01,x\n2,东湖,2.25,2026-01-02,x\n3,西湖,3.00,2026-01-03,x\n\
                    4,,10.00,2026-02-01,x\n5,\"a_b, c\",7.00,2026-02-02,x\n";

/// Freely open with a hidden item, open under conditions, and not open at all.
pub(crate) async fn furnished() -> House {
    let house = House::new().await;
    let mut open = testkit::draft("lake_water");
    open.title = "湖泊水质监测".into();
    open.domain = Domain::Ecology;
    open.tags = vec!["水质".into(), "湖泊".into()];
    open.licence = "CC BY 4.0".into();
    let mut hidden = model::item::Item::new("secret", "内部备注", model::code::DataType::Text);
    hidden.open_type = OpenType::None;
    open.items.push(hidden);
    house.publish(open).await;
    house.collect("lake_water", "w.csv", ROWS.as_bytes(), SyncMode::Full).await.unwrap();
    let mut limited = testkit::draft("companies");
    limited.title = "企业名录".into();
    limited.open_type = OpenType::Restricted;
    limited.open_condition = "实名认证并签署协议".into();
    house.publish(limited).await;
    house.publish(testkit::person_draft("persons")).await;
    house
}

pub(crate) async fn act(client: &Client, name: &str, body: Value) -> Answer {
    let path = format!("/api/action/{name}");
    let headers = [("content-type", "application/json"), ("authorization", "a-token")];
    client.send_body(Method::POST, &path, &headers, Body::from(body.to_string())).await
}

/// The result of an action that succeeds.
pub(crate) async fn done(client: &Client, name: &str, body: Value) -> Value {
    let answer = act(client, name, body).await;
    assert_eq!(answer.status.as_u16(), 200, "{name}: {}", answer.text);
    assert_eq!(answer.header("content-type"), "application/json");
    let told = answer.json();
    assert_eq!(told["success"], true);
    assert_eq!(told["help"], format!("http://gate.test/api/3/action/help_show?name={name}"));
    told["result"].clone()
}

/// Status, type and message of a refusal.
pub(crate) async fn refused(client: &Client, name: &str, body: Value) -> (u16, String, String) {
    let answer = act(client, name, body).await;
    let told = answer.json();
    assert_eq!(told["success"], false, "{name}: {}", answer.text);
    let text = |key: &str| told["error"][key].as_str().unwrap().to_owned();
    (answer.status.as_u16(), text("__type"), text("message"))
}

/// What the description says of an action is so: it is known, and answers by a status that is described.
#[tokio::test]
async fn every_action_that_is_described_is_there() {
    let house = furnished().await;
    let client = Client::new(&house);
    let index = client.get("/openapi/index.json").await.json();
    assert_eq!(index["ogc"], "http://gate.test/ogc/api");
    let document = client.get("/openapi/doors.json").await.json();
    let paths = document["paths"].as_object().unwrap();
    let actions =
        paths.iter().filter(|(path, _)| path.starts_with("/api/3/action/") && !path.contains('{'));
    let mut found = 0;
    for (path, item) in actions {
        for query in ["", "?id=lake_water&resource_id=lake_water&name=package_show&q=lake&limit=2"]
        {
            let answer = client.get(&format!("{path}{query}")).await;
            let status = answer.status.as_str();
            assert!(item["get"]["responses"][status].is_object(), "{path}{query}: {status}");
            assert!(!answer.text.contains("Action name not known"), "{path}: {}", answer.text);
            assert_eq!(answer.header("content-type"), "application/json", "{path}{query}");
        }
        found += 1;
    }
    assert_eq!(found, 26);
}

#[tokio::test]
async fn the_catalogue_is_told_in_the_shape_that_strict_readers_want() {
    let house = furnished().await;
    let client = Client::new(&house);
    assert_eq!(done(&client, "package_list", json!({})).await, json!(["companies", "lake_water"]));
    assert_eq!(done(&client, "site_read", json!({})).await, true);
    let status = client.get("/api/3/action/status_show").await.json();
    assert!(status["result"]["ckan_version"].as_str().unwrap().starts_with("2."));
    let package = done(&client, "package_show", json!({ "id": "lake_water" })).await;
    // What udata's harvester checks.
    for key in ["id", "name", "title", "notes", "metadata_created", "metadata_modified"] {
        assert!(!package[key].as_str().unwrap().is_empty(), "{key}");
    }
    for (key, wanted) in [
        ("title", json!("湖泊水质监测")),
        ("type", json!("dataset")),
        ("state", json!("active")),
        ("private", json!(false)),
        ("license_id", json!("cc-by")),
        ("num_resources", json!(3)),
        ("num_tags", json!(2)),
    ] {
        assert_eq!(package[key], wanted, "{key}");
    }
    let org = &package["organization"];
    assert_eq!(
        (&org["type"], &org["approval_status"]),
        (&json!("organization"), &json!("approved"))
    );
    assert_eq!((&org["is_organization"], &org["state"]), (&json!(true), &json!("active")));
    for key in ["id", "name", "title", "description", "created", "image_url"] {
        assert!(org[key].is_string(), "{key}");
    }
    for resource in package["resources"].as_array().unwrap() {
        for key in ["id", "name", "format", "created", "url", "resource_type", "package_id"] {
            assert!(!resource[key].as_str().unwrap().is_empty(), "{key} {resource}");
        }
        assert!(resource["url"].as_str().unwrap().starts_with("http://gate.test/"));
        assert!(resource["position"].is_u64() && resource["hash"].is_string());
        let again = done(&client, "resource_show", json!({ "id": resource["id"] })).await;
        assert_eq!(again, *resource);
        assert_eq!(
            done(&client, "resource_view_list", json!({ "id": resource["id"] })).await,
            json!([])
        );
    }
    for tag in package["tags"].as_array().unwrap() {
        assert!(tag["id"].is_string() && tag["name"] == tag["display_name"]);
    }
    assert!(package["extras"].as_array().unwrap().iter().all(|e| e["value"].is_string()));
    assert!(!package.to_string().contains("secret") && !package.to_string().contains("内部备注"));
    // By its id as by its name, and as a search finds it.
    let by_id = done(&client, "package_show", json!({ "id": package["id"] })).await;
    let found = done(&client, "package_search", json!({ "q": "水质" })).await;
    assert_eq!((&by_id, &found["results"][0]), (&package, &package));
    // What is open under conditions is told with the way to apply, and no table.
    let limited = done(&client, "package_show", json!({ "id": "companies" })).await;
    assert_eq!(limited["resources"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&limited["resources"][0]["datastore_active"], &limited["isopen"]),
        (&json!(false), &json!(false))
    );
}

/// Names are listed page by page in one order; a name is there when its set is published, and gone when that is withdrawn.
#[tokio::test]
async fn names_are_listed_by_pages_and_follow_the_ledger_at_once() {
    let house = furnished().await;
    let client = Client::new(&house);
    let list = async |ask: Value| done(&client, "package_list", ask).await;
    for (ask, wanted) in [
        (json!({ "limit": 1 }), json!(["companies"])),
        (json!({ "limit": 1, "offset": 1 }), json!(["lake_water"])),
        (json!({ "offset": 2 }), json!([])),
        (json!({ "limit": 0 }), json!([])),
        (json!({ "limit": 1000, "offset": 0 }), json!(["companies", "lake_water"])),
    ] {
        assert_eq!(list(ask.clone()).await, wanted, "{ask}");
    }
    let orgs = async || {
        let told = done(&client, "organization_list", json!({ "all_fields": true })).await;
        told.as_array().unwrap().iter().map(|o| o["package_count"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(orgs().await, [json!(2)]);

    let mut rivers = testkit::draft("hangzhou_rivers");
    rivers.domain = Domain::Ecology;
    rivers.tags = vec!["河流".into()];
    let entry = house.publish(rivers).await;
    assert_eq!(list(json!({})).await, json!(["companies", "hangzhou_rivers", "lake_water"]));
    assert_eq!(list(json!({ "limit": 1, "offset": 1 })).await, json!(["hangzhou_rivers"]));
    assert_eq!(orgs().await, [json!(3)]);
    assert_eq!(done(&client, "tag_list", json!({ "query": "河流" })).await, json!(["河流"]));
    let whole = done(&client, "current_package_list_with_resources", json!({ "offset": 1 })).await;
    let names: Vec<&Value> = whole.as_array().unwrap().iter().map(|p| &p["name"]).collect();
    assert_eq!(names, ["hangzhou_rivers", "lake_water"]);
    let catalogue = client.get("/catalog.ttl").await.text;
    assert!(catalogue.contains("hangzhou_rivers") && catalogue.contains("lake_water"));

    for (who, step) in [
        ("provider", app::catalogue::Move::TakeOffline),
        ("authority", app::catalogue::Move::Approve),
    ] {
        let op = house.person(who).await;
        app::catalogue::step(&house.app, &op, &entry.id, step, "换源").await.unwrap();
    }
    assert_eq!(list(json!({})).await, json!(["companies", "lake_water"]));
    assert_eq!(list(json!({ "offset": 1 })).await, json!(["lake_water"]));
    assert_eq!(orgs().await, [json!(2)]);
    assert_eq!(done(&client, "tag_list", json!({ "query": "河流" })).await, json!([]));
    for path in ["/catalog.ttl", "/data.json", "/api/3/action/current_package_list_with_resources"]
    {
        let answer = client.get(path).await;
        assert_eq!(answer.status.as_u16(), 200, "{path}");
        assert!(!answer.text.contains("hangzhou_rivers"), "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_search_speaks_solr() {
    let house = furnished().await;
    let client = Client::new(&house);
    let count = async |ask: Value| done(&client, "package_search", ask).await["count"].clone();
    for (ask, wanted) in [
        (json!({}), 2),
        (json!({ "q": "*:*" }), 2),
        (json!({ "q": "湖泊" }), 1),
        (json!({ "q": "title:湖泊 OR name:companies" }), 2),
        (json!({ "fq": "organization:org-market" }), 2),
        (json!({ "fq": "organization:org-market -groups:ecology-and-environment" }), 1),
        (json!({ "fq": "(groups:ecology-and-environment OR groups:11)" }), 2),
        (json!({ "fq_list": ["res_format:csv", "tags:水质"] }), 1),
        (json!({ "fq": "res_format:CSV", "q": "企业" }), 0),
        (json!({ "fq": "owner_org:nobody" }), 0),
        (json!({ "fq": "metadata_modified:[2020-01-01T00:00:00Z TO *]" }), 2),
        (json!({ "fq": "metadata_modified:[2999-01-01T00:00:00Z TO *]" }), 0),
        (json!({ "fq": "+state:active +dataset_type:dataset", "include_private": true }), 2),
        (json!({ "q": "人口" }), 0),
        (json!({ "q": "name:persons OR id:persons" }), 0),
    ] {
        assert_eq!(count(ask.clone()).await, wanted, "{ask}");
    }
    let path = "/api/3/action/package_search?rows=0&facet.field=%5B%22organization%22%2C%22groups%22%2C%22res_format%22%5D";
    let told = client.get(path).await.json()["result"].clone();
    assert_eq!(told["results"], json!([]));
    assert_eq!(told["facets"]["organization"], json!({ "org-market": 2 }));
    assert_eq!(told["facets"]["res_format"]["CSV"], 1);
    let items = told["search_facets"]["groups"]["items"].as_array().unwrap();
    assert!(items.iter().any(|i| i["name"] == "ecology-and-environment" && i["count"] == 1));
    assert_eq!(told["search_facets"]["organization"]["items"][0]["display_name"], "省市场监管厅");
    let names = async |ask: Value| {
        let told = done(&client, "package_search", ask).await;
        let all = told["results"].as_array().unwrap().iter().map(|p| p["name"].clone());
        all.collect::<Value>()
    };
    assert_eq!(names(json!({ "sort": "name asc" })).await, json!(["companies", "lake_water"]));
    assert_eq!(names(json!({ "sort": "name desc", "rows": 1 })).await, json!(["lake_water"]));
    let (one, other) =
        (json!({ "sort": "id asc", "rows": 1 }), json!({ "sort": "id asc", "start": 1 }));
    assert_ne!(names(one).await, names(other).await);
    assert_eq!(
        names(json!({ "sort": "metadata_modified desc" })).await.as_array().unwrap().len(),
        2
    );
    assert_eq!(names(json!({ "start": 2 })).await, json!([]));
    for wrong in [
        json!({ "q": "colour:red" }),
        json!({ "fq": "title:[a TO b]" }),
        json!({ "fq": "organization:(a" }),
        json!({ "sort": "views desc" }),
        json!({ "facet.field": ["colour"] }),
    ] {
        let (status, kind, message) = refused(&client, "package_search", wrong.clone()).await;
        assert_eq!((status, kind.as_str()), (400, "Search Query Error"), "{wrong}");
        assert!(message.contains(" / "), "both languages: {message}");
    }
}

#[tokio::test]
async fn lists_name_what_is_open() {
    let house = furnished().await;
    let client = Client::new(&house);
    let groups = done(&client, "group_list", json!({ "all_fields": true, "sort": "name" })).await;
    assert_eq!(groups[0]["name"], "ecology-and-environment");
    assert_eq!((&groups[0]["title"], &groups[0]["package_count"]), (&json!("生态环境"), &json!(1)));
    let group = done(&client, "group_show", json!({ "id": "13", "include_datasets": true })).await;
    assert_eq!(group["packages"][0]["name"], "lake_water");
    let orgs = done(&client, "organization_list", json!({})).await;
    assert_eq!(orgs, json!(["org-market"]));
    let org = done(&client, "organization_show", json!({ "id": "org-market" })).await;
    assert_eq!(org["package_count"], 2);
    // An office without open sets is not known here, like one that is none.
    for id in ["org-ecology", "nobody"] {
        let (status, kind, _) = refused(&client, "organization_show", json!({ "id": id })).await;
        assert_eq!((status, kind.as_str()), (404, "Not Found Error"), "{id}");
    }
    assert_eq!(done(&client, "tag_list", json!({ "query": "水" })).await, json!(["水质"]));
    let tag = done(&client, "tag_show", json!({ "id": "湖泊", "include_datasets": true })).await;
    assert_eq!(tag["packages"].as_array().unwrap().len(), 1);
    assert_eq!(done(&client, "user_list", json!({})).await, json!([]));
    let licences = done(&client, "license_list", json!({})).await;
    assert!(licences.as_array().unwrap().iter().any(|l| l["id"] == "cc-by"));
    assert_eq!(done(&client, "format_autocomplete", json!({ "q": "cs" })).await, json!(["csv"]));
    let completed = done(&client, "package_autocomplete", json!({ "q": "湖泊" })).await;
    assert_eq!(completed[0]["name"], "lake_water");
    let csv = done(&client, "resource_search", json!({ "query": "format:CSV" })).await;
    assert_eq!((&csv["count"], &csv["results"][0]["format"]), (&json!(1), &json!("CSV")));
    let help = done(&client, "help_show", json!({ "name": "datastore_search" })).await;
    assert!(help.as_str().unwrap().contains("resource_id"));
}

#[tokio::test]
async fn a_hidden_and_an_unknown_id_answer_alike() {
    let house = furnished().await;
    let client = Client::new(&house);
    let hidden = house.app.store.entry_get("persons").await.unwrap().unwrap().id;
    for (name, key) in [
        ("package_show", "id"),
        ("resource_show", "id"),
        ("resource_view_list", "id"),
        ("datastore_search", "resource_id"),
        ("datastore_info", "id"),
    ] {
        let unknown = "0123456789abcdef0123456789abcdef";
        let told = async |id: &str| {
            let answer = act(&client, name, json!({ key: id })).await;
            (answer.status.as_u16(), answer.text.replace(id, "ID"))
        };
        let expected = told(unknown).await;
        assert_eq!(expected.0, 404, "{name}");
        for id in ["persons", hidden.as_str()] {
            assert_eq!(told(id).await, expected, "{name}");
        }
        let unknown_table = told(&format!("{unknown}-csv")).await;
        assert_eq!(told(&format!("{hidden}-csv")).await, unknown_table, "{name}");
    }
    let dump = async |id: &str| {
        let answer = client.get(&format!("/datastore/dump/{id}")).await;
        (answer.status.as_u16(), answer.text.replace(id, "ID"))
    };
    assert_eq!(
        dump(&format!("{hidden}-csv")).await,
        dump("0123456789abcdef0123456789abcdef-csv").await
    );
}

#[tokio::test]
async fn refusals_have_the_protocols_envelopes() {
    let house = furnished().await;
    let client = Client::new(&house);
    let unknown = act(&client, "no_such_action", json!({})).await;
    assert_eq!(unknown.status.as_u16(), 400);
    assert_eq!(unknown.json(), json!("Bad request: Action name not known: no_such_action"));
    let by_get = client.get("/api/3/action/package_create?name=a").await;
    assert_eq!((by_get.status.as_u16(), by_get.json().is_string()), (400, true));
    let (status, kind, _) = refused(&client, "package_create", json!({ "name": "a" })).await;
    assert_eq!((status, kind.as_str()), (403, "Authorization Error"));
    let sql = json!({ "sql": "SELECT 1" });
    let (status, _, message) = refused(&client, "datastore_search_sql", sql).await;
    assert!(status == 403 && message.contains("datastore_search"), "{message}");
    let missing = act(&client, "package_show", json!({})).await.json();
    assert_eq!(missing["error"]["id"], json!(["Missing value"]));
    let headers = [("content-type", "application/json")];
    for body in ["[1]", "{\"q\": ", "7"] {
        let path = "/api/3/action/package_search";
        let answer = client.send_body(Method::POST, path, &headers, Body::from(body)).await;
        assert_eq!((answer.status.as_u16(), answer.json().is_string()), (400, true), "{body}");
    }
    // By a form, by many parts, and for a script of old.
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let path = "/api/3/action/package_show";
    let answer = client.send_body(Method::POST, path, &form, Body::from("id=lake_water")).await;
    assert_eq!(answer.json()["result"]["name"], "lake_water");
    let parts = [("content-type", "multipart/form-data; boundary=X")];
    let body = "--X\r\nContent-Disposition: form-data; name=\"id\"\r\n\r\nlake_water\r\n--X--\r\n";
    let answer = client.send_body(Method::POST, path, &parts, Body::from(body)).await;
    assert_eq!(answer.json()["result"]["name"], "lake_water");
    let script = client.get("/api/3/action/site_read?callback=cb.done").await;
    assert_eq!(script.header("content-type"), "application/javascript");
    assert!(script.text.starts_with("cb.done({") && script.text.ends_with(");"), "{}", script.text);
    let bad = client.get("/api/3/action/site_read?callback=alert(1)").await;
    assert_eq!(bad.header("content-type"), "application/json");
}

#[tokio::test]
async fn rows_are_filtered_sorted_and_paged() {
    let house = furnished().await;
    let client = Client::new(&house);
    let package = done(&client, "package_show", json!({ "id": "lake_water" })).await;
    let id = package["resources"][0]["id"].clone();
    let search = async |mut ask: Value| {
        ask["resource_id"] = id.clone();
        done(&client, "datastore_search", ask).await
    };
    let ids = |told: &Value| {
        told["records"].as_array().unwrap().iter().map(|r| r["id"].clone()).collect::<Value>()
    };
    let all = search(json!({})).await;
    assert_eq!((&all["total"], &all["total_was_estimated"]), (&json!(5), &json!(false)));
    let fields: Vec<_> =
        all["fields"].as_array().unwrap().iter().map(|f| f["id"].clone()).collect();
    assert_eq!(fields, ["_id", "id", "name", "amount", "day"]);
    let types: Vec<_> =
        all["fields"].as_array().unwrap().iter().map(|f| f["type"].clone()).collect();
    assert_eq!(types, ["int", "int", "text", "numeric", "date"]);
    assert_eq!(all["fields"][2]["info"]["label"], "名称");
    let first = json!({ "_id": 1, "id": 1, "name": "西湖", "amount": 1.5, "day": "2026-01-01" });
    assert_eq!(all["records"][0], first);
    for (ask, wanted) in [
        (json!({ "filters": { "name": "西湖" } }), json!([1, 3])),
        (json!({ "filters": { "id": [1, 4], "name": null } }), json!([4])),
        (json!({ "filters": { "id": [1, { "gte": 3, "lt": 5 }] } }), json!([1, 3, 4])),
        (json!({ "filters": { "amount": { "gt": 2, "lte": "7.00" } } }), json!([2, 3, 5])),
        (json!({ "filters": { "$or": [{ "id": 5 }, { "day": "2026-01-02" }] } }), json!([2, 5])),
        (json!({ "filters": "{\"name\": [\"东湖\"]}" }), json!([2])),
        (json!({ "q": "西湖" }), json!([1, 3])),
        (json!({ "q": "a_b" }), json!([5])),
        (json!({ "q": { "name": "湖" } }), json!([1, 2, 3])),
        (json!({ "q": "不存在" }), json!([])),
        (json!({ "sort": "amount desc" }), json!([4, 5, 3, 2, 1])),
        (json!({ "sort": "name desc nulls last, id desc", "limit": 2 }), json!([3, 1])),
        (json!({ "offset": 3 }), json!([4, 5])),
    ] {
        let told = search(ask.clone()).await;
        assert_eq!(ids(&told), wanted, "{ask}");
        if ask.get("offset").is_none() && ask.get("limit").is_none() {
            assert_eq!(told["total"], wanted.as_array().unwrap().len(), "{ask}");
        }
    }
    // Pages go on by what the answer says.
    let page = search(json!({ "limit": 2 })).await;
    assert_eq!(page["next_page"], json!({ "filters": { "_id": { "gt": 2 } } }));
    let next = search(json!({ "limit": 2, "filters": page["next_page"]["filters"] })).await;
    assert_eq!((ids(&next), &next["records"][0]["_id"]), (json!([3, 4]), &json!(3)));
    let last = search(json!({ "limit": 2, "filters": next["next_page"]["filters"] })).await;
    assert_eq!((ids(&last), last.get("next_page")), (json!([5]), None));
    assert!(page["_links"]["next"].as_str().unwrap().ends_with("&offset=2"), "{page}");
    let next = page["_links"]["next"].as_str().unwrap();
    assert_eq!(ids(&client.get(next).await.json()["result"]), json!([3, 4]));
    let none = search(json!({ "limit": 0 })).await;
    assert_eq!((&none["records"], &none["total"]), (&json!([]), &json!(5)));
    // Forms of records.
    let ask = json!({ "fields": "id,name", "limit": 2, "records_format": "lists" });
    assert_eq!(search(ask).await["records"], json!([[1, "西湖"], [2, "东湖"]]));
    let ask = json!({ "filters": { "id": 5 }, "records_format": "csv" });
    assert_eq!(search(ask).await["records"], "1,5,\"a_b, c\",7.00,2026-02-02\r\n");
    let ask = json!({ "filters": { "id": 1 }, "records_format": "tsv", "fields": ["_id"] });
    assert_eq!(search(ask).await["records"], "1\r\n");
    let ask = json!({ "fields": ["name"], "distinct": true, "sort": "name desc" });
    let told = search(ask).await;
    assert_eq!(told["total"], 4);
    assert!(search(json!({ "include_total": false })).await.get("total").is_none());
    let info = done(&client, "datastore_info", json!({ "id": id })).await;
    assert_eq!((&info["meta"]["count"], info["fields"].as_array().unwrap().len()), (&json!(5), 4));
    assert_eq!(info["fields"][0]["schema"]["uniquekey"], true);
    // A table is also known by its set's name.
    let named = done(&client, "datastore_search", json!({ "resource_id": "lake_water" })).await;
    assert_eq!(named["total"], 5);
}

#[tokio::test]
async fn what_is_not_open_of_a_table_is_refused() {
    let house = furnished().await;
    let client = Client::new(&house);
    let ask = async |mut ask: Value| {
        ask["resource_id"] = "lake_water".into();
        refused(&client, "datastore_search", ask).await
    };
    for wrong in [
        json!({ "filters": { "secret": "x" } }),
        json!({ "fields": ["secret"] }),
        json!({ "sort": "secret" }),
        json!({ "q": { "secret": "x" } }),
    ] {
        // As of a field that is none.
        let (status, kind, message) = ask(wrong.clone()).await;
        assert_eq!((status, kind.as_str()), (409, "Validation Error"), "{wrong}");
        let other: Value =
            serde_json::from_str(&wrong.to_string().replace("secret", "nosuch")).unwrap();
        assert_eq!(ask(other).await.2, message.replace("secret", "nosuch"));
    }
    for wrong in [
        json!({ "filters": { "id": "abc" } }),
        json!({ "filters": { "id": { "like": 1 } } }),
        json!({ "filters": 7 }),
        json!({ "limit": "many" }),
        json!({ "records_format": "xml" }),
        json!({ "offset": 100_000_000 }),
        json!({ "sort": "_id desc" }),
    ] {
        assert_eq!(ask(wrong.clone()).await.0, 409, "{wrong}");
    }
    for name in ["companies", "lake_water-json"] {
        let (status, _, _) =
            refused(&client, "datastore_search", json!({ "resource_id": name })).await;
        assert_eq!(status, if name == "companies" { 403 } else { 404 }, "{name}");
    }
    assert_eq!(client.get("/datastore/dump/companies").await.status.as_u16(), 403);
}

#[tokio::test]
async fn a_dump_is_the_whole_table_and_is_recorded() {
    let house = furnished().await;
    let client = Client::new(&house);
    let get = async |query: &str| client.get(&format!("/datastore/dump/lake_water{query}")).await;
    let csv = get("").await;
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    assert!(csv.header("content-disposition").contains("-csv.csv"));
    let lines: Vec<&str> = csv.text.lines().collect();
    assert_eq!(
        (lines.len(), lines[0], lines[1]),
        (6, "_id,id,name,amount,day", "1,1,西湖,1.50,2026-01-01")
    );
    assert_eq!(lines[5], "5,5,\"a_b, c\",7.00,2026-02-02");
    assert!(get("?bom=true").await.text.starts_with('\u{feff}'));
    let some =
        get("?format=tsv&fields=id,name&filters=%7B%22name%22%3A%22%E8%A5%BF%E6%B9%96%22%7D").await;
    assert_eq!(some.text, "id\tname\r\n1\t西湖\r\n3\t西湖\r\n");
    let part = get("?fields=id&offset=1&limit=2").await;
    assert_eq!(part.text, "id\r\n2\r\n3\r\n");
    let told = get("?format=json").await.json();
    assert_eq!(told["fields"][0]["id"], "_id");
    assert_eq!(told["records"][1], json!([2, 2, "东湖", 2.25, "2026-01-02"]));
    assert_eq!(get("?format=xml").await.status.as_u16(), 409);
    let head = client.send(Method::HEAD, "/datastore/dump/lake_water", &[]).await;
    assert_eq!((head.status.as_u16(), head.text.len()), (200, 0));
    let auditor = house.person("auditor").await;
    for (action, rows) in [("rows.download", 0), ("rows.download.end", 5)] {
        let filter =
            AuditFilter { action: Some(action.into()), limit: 20, ..AuditFilter::default() };
        let mut records = app::audit::list(&house.app, &auditor, &filter).await.unwrap();
        // The filter takes beginnings of words, too.
        records.retain(|r| r.event.action == action);
        // Five files; nothing is released by a look at the head.
        assert_eq!(records.len(), 5, "{action}");
        let first = &records.last().unwrap().event;
        assert_eq!((first.rows, first.result.as_str()), (rows, "ok"), "{action}");
    }
    let filter =
        AuditFilter { action: Some("rows.query".into()), limit: 5, ..AuditFilter::default() };
    assert!(app::audit::list(&house.app, &auditor, &filter).await.unwrap().is_empty());
    done(&client, "datastore_search", json!({ "resource_id": "lake_water", "q": "西湖" })).await;
    let records = app::audit::list(&house.app, &auditor, &filter).await.unwrap();
    assert_eq!((records.len(), records[0].event.rows), (1, 2));
    assert!(records[0].event.scope.contains("name ilike"), "{}", records[0].event.scope);
}

#[tokio::test]
async fn a_flood_is_turned_away_in_the_protocols_own_words() {
    let house = furnished().await;
    let config =
        gateway::GatewayConfig { anonymous_per_second: 2, ..gateway::GatewayConfig::default() };
    let client = Client::with(&house, config);
    let mut last = client.get("/api/3/action/site_read").await;
    for _ in 0..20 {
        last = client.get("/api/3/action/site_read").await;
    }
    assert_eq!((last.status.as_u16(), last.json()["success"].clone()), (429, json!(false)));
    assert_eq!(last.header("retry-after"), "1");
}

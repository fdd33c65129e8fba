//! A file sent with a resource: its rows are collected into the table of the data set by a person of the department, and by nobody else;
//! what is wrong with it is told, and nothing lands by it.

use app::catalogue;
use axum::body::Body;
use axum::http::Method;
use model::audit::AuditFilter;
use serde_json::{Value, json};
use testkit::House;

use crate::ckanwrite::{done, open_door, publish, refused, token, trees};
use crate::client::{Answer, Client};

const ROWS: &str = "编号,名称,金额,日期\n1,西湖,1.50,2026-01-01\n2,东钱湖,2.25,2026-01-02\n3,千岛湖,许多,2026-01-03\n";

/// Parts of a form: name, name of a file or none, content.
type Parts<'a> = [(&'a str, &'a str, &'a str)];

async fn post(client: &Client, token: &str, action: &str, parts: &Parts<'_>) -> Answer {
    let mut body = String::new();
    for (name, file, content) in parts {
        let file = match *file {
            "" => String::new(),
            file => format!("; filename=\"{file}\""),
        };
        body.push_str(&format!(
            "--x\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n{content}\r\n"
        ));
    }
    body.push_str("--x--\r\n");
    let headers = [("content-type", "multipart/form-data; boundary=x"), ("authorization", token)];
    let headers = if token.is_empty() { &headers[..1] } else { &headers[..] };
    let path = format!("/api/3/action/{action}");
    client.send_body(Method::POST, &path, headers, Body::from(body)).await
}

async fn sent(client: &Client, token: &str, action: &str, parts: &Parts<'_>) -> Value {
    let answer = post(client, token, action, parts).await;
    assert_eq!(answer.status.as_u16(), 200, "{action}: {}", answer.text);
    answer.json()["result"].clone()
}

/// Names in the table, as anybody reads them.
async fn names(client: &Client, table: &Value) -> Vec<String> {
    let ask = json!({ "resource_id": table, "sort": "id" });
    let told = done(client, "", "datastore_search", ask).await;
    let rows = told["records"].as_array().unwrap().iter();
    rows.map(|r| r["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn rows_of_a_file_land_in_the_table_and_misfits_are_told() {
    let house = House::new().await;
    let client = open_door(&house, "http://gate.test");
    let token = token(&house, "provider").await;
    let entry = house.publish(testkit::draft("lakes")).await;
    let parts =
        [("package_id", "", "lakes"), ("name", "", "全部"), ("upload", "数据/湖泊.csv", ROWS)];
    let told = sent(&client, &token, "resource_create", &parts).await;
    let table = told["id"].clone();
    assert_eq!(table, json!(format!("{}-csv", entry.id)));
    assert_eq!((&told["state"], &told["datastore_active"]), (&json!("active"), &json!(true)));
    let run = &told["run"];
    assert_eq!((&run["state"], &run["mode"]), (&json!("succeeded"), &json!("full")));
    assert_eq!(
        (&run["read"], &run["accepted"], &run["quarantined"]),
        (&json!(3), &json!(2), &json!(1))
    );
    assert!(run["message"].as_str().unwrap().contains("隔离"), "{run}");
    assert_eq!(told["not_kept"].as_array().unwrap().len(), 1);
    assert_eq!(told["not_kept"][0]["field"], "name");
    assert_eq!(names(&client, &table).await, ["西湖", "东钱湖"]);

    // It was the person's act, by a token; the run is theirs in the console.
    let provider = house.person("provider").await;
    let run =
        app::collection::run(&house.app, &provider, run["id"].as_str().unwrap()).await.unwrap();
    assert_eq!((run.actor.as_str(), run.source.as_str()), (provider.actor.name(), "湖泊.csv"));
    let auditor = house.person("auditor").await;
    let filter =
        AuditFilter { action: Some("data.collect".into()), limit: 50, ..AuditFilter::default() };
    let records = app::audit::list(&house.app, &auditor, &filter).await.unwrap();
    let by_token = |r: &&model::audit::AuditRecord| r.event.source == "10.0.0.1 token";
    assert!(records.iter().filter(by_token).any(|r| r.event.object == "lakes"), "{records:?}");

    // The same once more changes nothing; a row beside the others; all of it anew.
    let update = |mode: &'static str, rows: &'static str| {
        [("id", "", table.as_str().unwrap()), ("mode", "", mode), ("upload", "b.csv", rows)]
    };
    let again = sent(&client, &token, "resource_update", &update("full", ROWS)).await;
    assert_eq!(again["run"]["state"], "unchanged", "{again}");
    let more = "编号,名称,金额,日期\n4,鉴湖,4,2026-01-04\n";
    let told = sent(&client, &token, "resource_patch", &update("incremental", more)).await;
    assert_eq!(told["run"]["accepted"], 1);
    assert_eq!(names(&client, &table).await, ["西湖", "东钱湖", "鉴湖"]);
    let anew = "编号,名称,金额,日期\n5,南湖,5,2026-01-05\n";
    sent(&client, &token, "resource_update", &update("", anew)).await;
    assert_eq!(names(&client, &table).await, ["南湖"]);
}

#[tokio::test]
async fn a_table_of_a_draft_is_shown_when_it_is_published() {
    let house = House::new().await;
    let client = open_door(&house, "http://gate.test");
    let token = token(&house, "provider").await;
    let op = house.person("provider").await;
    catalogue::create(&house.app, &op, testkit::draft("new_lakes")).await.unwrap();
    let parts = [("package_id", "", "new-lakes"), ("upload", "a.csv", ROWS)];
    let told = sent(&client, &token, "resource_create", &parts).await;
    assert_eq!((&told["state"], &told["datastore_active"]), (&json!("draft"), &json!(false)));
    let ask = json!({ "resource_id": told["id"] });
    assert_eq!(refused(&client, "", "datastore_search", ask.clone()).await.0, 404);
    assert_eq!(refused(&client, &token, "datastore_search", ask).await.0, 404);
    publish(&house, "new_lakes").await;
    assert_eq!(names(&client, &told["id"]).await, ["西湖", "东钱湖"]);
}

#[tokio::test]
async fn only_a_person_of_the_department_sends_a_file() {
    let house = House::new().await;
    let client = open_door(&house, "http://gate.test");
    house.publish(testkit::draft("lakes")).await;
    let op = house.person("provider").await;
    catalogue::create(&house.app, &op, testkit::draft("hidden")).await.unwrap();
    let of_stranger = token(&house, "stranger").await;
    let (_, application) = house.application("应用").await;
    for (who, of, status) in [
        ("", "lakes", 403),
        ("qtp_nobody-made-this", "lakes", 403),
        (application.application.key.as_str(), "lakes", 403),
        (of_stranger.as_str(), "lakes", 403),
        (of_stranger.as_str(), "hidden", 404),
        (of_stranger.as_str(), "nothing", 404),
    ] {
        let parts = [("package_id", "", of), ("upload", "a.csv", ROWS)];
        let answer = post(&client, who, "resource_create", &parts).await;
        assert_eq!(answer.status.as_u16(), status, "{who} {of}: {}", answer.text);
    }
    // Where writing is off it is off for files, too.
    let of_provider = token(&house, "provider").await;
    let parts = [("package_id", "", "lakes"), ("upload", "a.csv", ROWS)];
    let answer = post(&Client::new(&house), &of_provider, "resource_create", &parts).await;
    assert!(answer.status.as_u16() == 403 && answer.text.contains("ckan_write"), "{}", answer.text);
    let runs = app::collection::runs(&house.app, &op, None, None, 10).await.unwrap();
    assert!(runs.items.is_empty(), "{:?}", runs.items);
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_told_and_nothing_lands() {
    let house = House::new().await;
    let client = open_door(&house, "http://gate.test");
    let token = token(&house, "provider").await;
    let lakes = house.publish(testkit::draft("lakes")).await.id;
    let known = done(&client, &token, "package_create", trees()).await;
    let link = known["resources"][0]["id"].as_str().unwrap();
    let (table, nothing) = (format!("{lakes}-csv"), format!("{lakes}-link9"));
    let misfits = "编号,名称,金额,日期\n甲,甲,许多,某日\n";
    let file = ("upload", "a.csv", ROWS);
    let lakes = ("package_id", "", "lakes");
    let cases: &[(&str, &Parts<'_>, u16, &str)] = &[
        // Before what says where it belongs; its items not declared; a link; no resource.
        ("resource_create", &[file, lakes], 409, "package_id"),
        ("resource_create", &[("package_id", "", "street_trees"), file], 409, "upload"),
        ("resource_update", &[("id", "", link), file], 409, "upload"),
        ("resource_update", &[("id", "", nothing.as_str()), file], 409, "upload"),
        ("resource_update", &[("id", "", "nothing"), file], 404, "message"),
        ("resource_update", &[("id", "", "no-csv"), file], 404, "message"),
        // Two files, a file by another name, an action that takes none.
        ("resource_create", &[lakes, file, file], 409, "upload"),
        ("resource_create", &[lakes, ("file", "a.csv", ROWS)], 409, "file"),
        ("package_create", &[("name", "", "x"), file], 409, "upload"),
        // A word that is no mode; rows of which none fits; no file at all.
        ("resource_create", &[lakes, ("mode", "", "append"), file], 409, "mode"),
        ("resource_create", &[lakes, ("upload", "a.csv", misfits)], 409, "upload"),
        ("resource_create", &[lakes, ("upload", "", "1,2")], 409, "upload"),
        ("resource_update", &[("id", "", table.as_str()), ("name", "", "x")], 403, "message"),
    ];
    for (action, parts, status, field) in cases {
        let answer = post(&client, &token, action, parts).await;
        let error = answer.json()["error"].clone();
        assert_eq!(answer.status.as_u16(), *status, "{action} {parts:?}: {}", answer.text);
        assert!(error[*field].to_string().contains(" / "), "{action} {parts:?}: {error}");
    }
    let (status, _, error) = refused(
        &client,
        &token,
        "resource_create",
        json!({ "package_id": "lakes", "upload": "x" }),
    )
    .await;
    assert!(status == 409 && error["upload"].is_array(), "{error}");
    let entry = house.app.store.entry_get("lakes").await.unwrap().unwrap();
    assert_eq!((entry.rows, entry.data_at.is_none()), (0, true));
    // Larger than a question may be, without a file: refused as before.
    let long = "长".repeat(700_000);
    let answer =
        post(&client, &token, "resource_create", &[lakes, ("name", "", long.as_str())]).await;
    assert_eq!(answer.status.as_u16(), 400, "{}", answer.text);
    // A file that is larger than that is none the worse for it.
    let mut rows = String::from("编号,名称,金额,日期\n");
    for n in 0..45_000 {
        rows.push_str(&format!("{n},湖 {n} 号，位于某县某镇,1.5,2026-01-01\n"));
    }
    assert!(rows.len() > 2 << 20, "{}", rows.len());
    let told =
        sent(&client, &token, "resource_create", &[lakes, ("upload", "l.csv", rows.as_str())])
            .await;
    assert_eq!(told["run"]["accepted"], 45_000, "{told}");
}

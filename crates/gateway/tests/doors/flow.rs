//! The return flow as a receiver fetches it: a county's rows, as they change, each once, and nobody else's.

use std::collections::BTreeMap;

use app::sharing;
use axum::http::Method;
use model::account::{ApplicationNew, ApplicationSecret};
use model::code::{DataType, SyncMode};
use model::item::Item;
use model::mask::Mask;
use model::request::{Period, RequestNew};
use serde_json::Value;
use testkit::{COUNTY_ORG, House, draft};

use crate::client::Client;

async fn collect(house: &House, mode: SyncMode, rows: &str) {
    let text = format!("id,name,amount,day,region_code\n{rows}");
    let run = house.collect("firms", "f.csv", text.as_bytes(), mode).await.unwrap();
    assert_eq!(run.quarantined, 0, "{run:?}");
}

/// An application of the county's with an approved share application.
async fn county(house: &House) -> (ApplicationSecret, String) {
    let op = house.person("county").await;
    let new = ApplicationNew {
        name: "县平台".into(),
        description: String::new(),
        org: COUNTY_ORG.into(),
    };
    let made = app::account::register_application(&house.app, &op, new).await.unwrap();
    let ask = RequestNew {
        entry: "firms".into(),
        application: made.application.id.clone(),
        items: ["id", "name", "amount"].map(str::to_owned).to_vec(),
        scene: "回流".into(),
        legal_basis: "部门职责".into(),
        period: Period::Days { days: 30 },
        calls_per_day: 1000,
        area_range: String::new(),
        row_range: Default::default(),
        by_sql: false,
    };
    let request = sharing::apply(&house.app, &op, ask).await.unwrap();
    (made, request.id)
}

/// Applies an answer to what the receiver holds; answers the next position and whether more is there.
fn take(held: &mut BTreeMap<i64, Value>, answer: &Value) -> (String, bool) {
    assert_eq!(answer["key"], serde_json::json!(["id"]));
    if answer["reset"] == true {
        held.clear();
    }
    for change in answer["changes"].as_array().unwrap() {
        let row = change["row"].clone();
        let id = row["id"].as_i64().unwrap();
        match change["op"].as_str().unwrap() {
            "D" => {
                assert_eq!(row.as_object().unwrap().len(), 1, "of a delete the key alone");
                assert!(held.remove(&id).is_some(), "a delete of what is not there");
            }
            "I" => assert!(held.insert(id, row).is_none(), "an insert of what is there"),
            _ => assert!(held.insert(id, row).is_some(), "an update of what is not there"),
        }
    }
    (answer["next"].as_str().unwrap().to_owned(), answer["more"] == true)
}

#[tokio::test]
async fn a_receiver_fetches_the_changes_of_its_region() {
    let house = House::new().await;
    let mut entry = draft("firms");
    entry.sync_mode = SyncMode::Incremental;
    entry.items[1].mask = Some(Mask::Keep { head: 1, tail: 0 });
    entry.items.push(Item::new("region_code", "行政区划代码", DataType::Text));
    house.publish(entry).await;
    let rows: String = (1..=40)
        .map(|n| format!("{n},企业,{n}.5,2026-01-01,{}\n", ["330110", "330106"][n % 2]))
        .collect();
    collect(&house, SyncMode::Full, &rows).await;
    let client = Client::new(&house);
    let (secret, request) = county(&house).await;
    let get =
        async |query: &str| client.by(&secret, &format!("/api/v1/firms/changes{query}")).await;

    // The first delivery, in pages.
    let mut held = BTreeMap::new();
    let (mut next, mut more, mut pages) = (String::new(), true, 0);
    while more {
        let query =
            if next.is_empty() { "?limit=7".into() } else { format!("?limit=7&after={next}") };
        let answer = get(&query).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.json()["reset"], pages == 0);
        assert_eq!(answer.header("x-qt-masked"), "name");
        (next, more) = take(&mut held, &answer.json());
        pages += 1;
    }
    assert_eq!((held.len(), pages), (20, 3));
    assert!(held.values().all(|row| row["name"] == "企*" && row.get("region_code").is_none()));
    // Nothing new; asked for again, the same.
    let answer = get(&format!("?after={next}")).await.json();
    assert_eq!(answer["changes"].as_array().map(Vec::len), Some(0));

    // Moved in and out, changed, and a change that is not granted (the day).
    let before = next.clone();
    collect(
        &house,
        SyncMode::Incremental,
        "1,企业,1.5,2026-01-01,330110\n2,企业,2.5,2026-01-01,330106\n4,企业,9.5,2026-01-01,330110\n6,企业,6.5,2026-05-05,330110\n",
    )
    .await;
    let answer = get(&format!("?after={next}")).await.json();
    assert_eq!(answer["changes"].as_array().map(Vec::len), Some(3), "{answer}");
    (next, _) = take(&mut held, &answer);
    assert!(held.contains_key(&1) && !held.contains_key(&2) && held[&4]["amount"] == 9.5);
    // A position lost on the way is asked for again: the same changes come.
    let again = get(&format!("?after={before}")).await.json();
    assert_eq!(again["changes"], answer["changes"]);
    // As lines.
    let lines = client
        .signed(
            Method::GET,
            &format!("/api/v1/firms/changes?after={before}"),
            &secret.application.key,
            &secret.secret,
            &[("accept", "application/x-ndjson")],
        )
        .await;
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    let lines: Vec<Value> =
        lines.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[3]["next"].is_string() && lines[3].get("changes").is_none());

    // A receiver that waits hears of a change as it lands.
    let waiting = format!("?wait=20&after={next}");
    let (answer, ()) = tokio::join!(get(&waiting), async {
        tokio::task::yield_now().await;
        collect(&house, SyncMode::Incremental, "50,新企业,1,2026-01-01,330110\n").await;
    });
    (next, _) = take(&mut held, &answer.json());
    assert!(held.contains_key(&50), "{}", answer.text);

    // What is described is offered; what is wrong is told.
    let described = client.by(&secret, "/openapi.json").await.json();
    assert!(described["paths"]["/api/v1/firms/changes"]["get"]["responses"]["200"].is_object());
    for (query, status, code) in [
        ("?after=x", 400, "invalid_query"),
        ("?limit=0", 400, "invalid_query"),
        ("?select=id", 400, "invalid_query"),
    ] {
        assert_eq!(get(query).await.refusal(), (status, code.into()), "{query}");
    }
    // Positions are each receiver's own.
    let (_, stranger) = house.application("stranger").await;
    let path = format!("/api/v1/firms/changes?after={next}");
    assert_eq!(client.by(&stranger, &path).await.refusal(), (403, "no_grant".into()));
    assert_eq!(client.get(&path).await.refusal(), (403, "no_grant".into()));
    let provider = house.person("provider").await;
    sharing::revoke(&house.app, &provider, &request, "超范围使用").await.unwrap();
    let ended = get(&format!("?after={next}")).await;
    // The entry is open as well, so that the end of the agreement alone is told.
    assert_eq!(ended.status, 403, "{}", ended.text);
}

//! CKAN's actions that write: drafts by a personal token, reviewed and published by people; who may not, what is refused, what is told
//! back, and that what one house dumps another loads. (Real clients: `cargo xtask clients --doors`.)

use app::account;
use app::catalogue::{self, Move};
use axum::body::Body;
use axum::http::Method;
use chrono::TimeDelta;
use model::account::{Role, UserChange};
use model::audit::AuditFilter;
use model::code::OpenType;
use model::entry::Entry;
use serde_json::{Value, json};
use testkit::{House, PROVIDER_ORG};

use crate::ckan::furnished;
use crate::client::{Answer, Client};

/// The door of a house where writing is on.
pub(crate) fn open_door(house: &House, url: &str) -> Client {
    let config = gateway::GatewayConfig {
        public_url: url.into(),
        ckan_write: true,
        ..gateway::GatewayConfig::default()
    };
    Client::with(house, config)
}

pub(crate) async fn token(house: &House, who: &str) -> String {
    let op = house.person(who).await;
    account::personal_token_make(&house.app, &op, "脚本", 30).await.unwrap().token
}

pub(crate) async fn send(client: &Client, token: &str, name: &str, body: &Value) -> Answer {
    let path = format!("/api/action/{name}");
    let headers =
        [("content-type", "application/json"), ("authorization", token), ("x-ckan-api-key", token)];
    let headers = if token.is_empty() { &headers[..1] } else { &headers[..] };
    client.send_body(Method::POST, &path, headers, Body::from(body.to_string())).await
}

pub(crate) async fn done(client: &Client, token: &str, name: &str, body: Value) -> Value {
    let answer = send(client, token, name, &body).await;
    assert_eq!(answer.status.as_u16(), 200, "{name}: {}", answer.text);
    answer.json()["result"].clone()
}

/// Status, type and the error's own fields.
pub(crate) async fn refused(
    client: &Client,
    token: &str,
    name: &str,
    body: Value,
) -> (u16, String, Value) {
    let answer = send(client, token, name, &body).await;
    let error = answer.json()["error"].clone();
    let kind = error["__type"].as_str().unwrap_or_default().to_owned();
    (answer.status.as_u16(), kind, error)
}

/// The department hands a draft in; the authority publishes it and puts it online.
pub(crate) async fn publish(house: &House, code: &str) -> Entry {
    let id = house.app.store.entry_get(code).await.unwrap().unwrap().id;
    let mut last = None;
    for (who, step) in [
        ("provider", Move::Submit),
        ("authority", Move::Approve),
        ("provider", Move::PutOnline),
        ("authority", Move::Approve),
    ] {
        let op = house.person(who).await;
        last = Some(catalogue::step(&house.app, &op, &id, step, "已核对").await.unwrap());
    }
    last.unwrap()
}

pub(crate) fn trees() -> Value {
    json!({
        "name": "street-trees", "title": "行道树", "notes": "每棵行道树的位置", "owner_org": "org-market",
        "tags": [{ "name": "树木" }, { "name": "绿化" }], "groups": [{ "name": "ecology-and-environment" }],
        "license_id": "cc-by", "author": "园林处",
        "extras": [{ "key": "update_cycle", "value": "monthly" }, { "key": "colour", "value": "green" }],
        "resources": [
            { "name": "全部", "url": "https://data.example/trees.csv", "format": "CSV" },
            { "name": "本地", "url": "trees.xlsx", "url_type": "upload" },
        ],
    })
}

#[tokio::test]
async fn a_token_makes_a_draft_that_people_publish() {
    let house = House::new().await;
    let client = open_door(&house, "http://gate.test");
    let token = token(&house, "provider").await;
    let told = done(&client, &token, "package_create", trees()).await;
    assert_eq!((&told["name"], &told["state"]), (&json!("street_trees"), &json!("draft")));
    assert_eq!(told["review"]["state"], "unpublished");
    assert_eq!(told["groups"][0]["name"], "ecology-and-environment");
    let lost: Vec<&str> =
        told["not_kept"].as_array().unwrap().iter().map(|f| f["field"].as_str().unwrap()).collect();
    for field in ["name", "resources[1]", "author", "extras.colour"] {
        assert!(lost.contains(&field), "{field}: {lost:?}");
    }
    let resources = told["resources"].as_array().unwrap();
    assert_eq!(resources.len(), 1);
    assert_eq!(resources[0]["url"], "https://data.example/trees.csv");

    // The department sees it in the console, under the name of whose token it was; nobody else does.
    let provider = house.person("provider").await;
    let entry = catalogue::get(&house.app, &provider, "street_trees").await.unwrap();
    assert_eq!(
        (entry.created_by.as_str(), entry.draft.org.as_str()),
        (provider.actor.id(), PROVIDER_ORG)
    );
    assert_eq!(entry.draft.tags, ["树木", "绿化"]);
    for who in ["stranger", "citizen"] {
        let op = house.person(who).await;
        assert!(catalogue::get(&house.app, &op, "street_trees").await.is_err(), "{who}");
    }
    for name in ["street_trees", "street-trees", entry.id.as_str()] {
        let ask = json!({ "id": name });
        assert_eq!(refused(&client, "", "package_show", ask.clone()).await.0, 404, "{name}");
        assert_eq!(done(&client, &token, "package_show", ask).await["title"], "行道树", "{name}");
    }
    assert_eq!(done(&client, &token, "package_list", json!({})).await, json!([]));
    let auditor = house.person("auditor").await;
    let filter =
        AuditFilter { action: Some("entry.create".into()), limit: 5, ..AuditFilter::default() };
    let records = app::audit::list(&house.app, &auditor, &filter).await.unwrap();
    let event = &records[0].event;
    assert_eq!(
        (event.actor.as_str(), event.source.as_str()),
        (provider.actor.id(), "10.0.0.1 token")
    );

    publish(&house, "street_trees").await;
    let public = done(&client, "", "package_show", json!({ "id": "street_trees" })).await;
    assert_eq!((&public["state"], &public["license_id"]), (&json!("active"), &json!("cc-by")));
    assert_eq!(public["resources"][0]["format"], "CSV");
    assert!(public.get("review").is_none() && public.get("not_kept").is_none());
}

#[tokio::test]
async fn a_draft_is_written_over_and_what_is_published_is_reviewed() {
    let house = House::new().await;
    let client = open_door(&house, "http://gate.test");
    let token = token(&house, "provider").await;
    let made = done(&client, &token, "package_create", trees()).await;
    let id = made["id"].as_str().unwrap().to_owned();
    let mut again = trees();
    again["title"] = "行道树普查".into();
    again["id"] = id.clone().into();
    let told = done(&client, &token, "package_update", again.clone()).await;
    assert_eq!((&told["title"], &told["version"]), (&json!("行道树普查"), &json!("2")));
    // A patch leaves everything else as it is.
    let ask = json!({ "id": id, "notes": "改过的摘要" });
    let told = done(&client, &token, "package_patch", ask).await;
    assert_eq!((&told["notes"], &told["title"]), (&json!("改过的摘要"), &json!("行道树普查")));
    assert_eq!((&told["license_id"], &told["num_tags"]), (&json!("cc-by"), &json!(2)));
    assert_eq!(told["resources"].as_array().unwrap().len(), 1);
    let entry = house.app.store.entry_get(&id).await.unwrap().unwrap();
    assert_eq!(entry.draft.update_cycle.as_str(), "monthly");
    assert!(entry.draft.title_en.is_empty(), "{}", entry.draft.title_en);
    // Closed, and opened again.
    let told = done(&client, &token, "package_patch", json!({ "id": id, "private": true })).await;
    assert_eq!((&told["private"], &told["title"]), (&json!(true), &json!("行道树普查")));
    let ask = json!({ "id": id, "private": false, "extras": [{ "key": "open_type", "value": "unconditional" }] });
    assert_eq!(done(&client, &token, "package_patch", ask).await["private"], false);
    let entry = house.app.store.entry_get(&id).await.unwrap().unwrap();
    assert_eq!(entry.draft.open_type, OpenType::Unconditional);
    assert_eq!(entry.draft.update_cycle.as_str(), "monthly");
    // The code stays.
    let ask = json!({ "id": id, "name": "other" });
    let (status, kind, error) = refused(&client, &token, "package_patch", ask).await;
    assert_eq!((status, kind.as_str()), (409, "Validation Error"));
    assert!(error["name"].is_array(), "{error}");

    publish(&house, "street_trees").await;
    let retitled = |title: &str| json!({ "id": "street_trees", "title": title });
    let told = done(&client, &token, "package_patch", retitled("行道树新目录")).await;
    assert_eq!(told["review"]["state"], "change-auditing");
    assert_eq!(told["title"], "行道树新目录");
    let public = async || done(&client, "", "package_show", json!({ "id": "street_trees" })).await;
    assert_eq!(public().await["title"], "行道树普查");
    // Under review nothing is written over; a refused change is mended and handed in anew.
    assert_eq!(refused(&client, &token, "package_patch", retitled("再改")).await.0, 409);
    let authority = house.person("authority").await;
    catalogue::step(&house.app, &authority, &id, Move::Reject, "名称不妥").await.unwrap();
    done(&client, &token, "package_patch", retitled("行道树名录")).await;
    assert_eq!(public().await["title"], "行道树普查");
    catalogue::step(&house.app, &authority, &id, Move::Approve, "").await.unwrap();
    assert_eq!(public().await["title"], "行道树名录");
}

#[tokio::test]
async fn a_draft_is_given_up_and_what_is_published_is_not() {
    let house = House::new().await;
    let client = open_door(&house, "http://gate.test");
    let token = token(&house, "provider").await;
    let made = done(&client, &token, "package_create", trees()).await;
    let ask = json!({ "id": made["id"] });
    assert_eq!(done(&client, &token, "package_delete", ask.clone()).await, Value::Null);
    assert_eq!(refused(&client, &token, "package_show", ask.clone()).await.0, 404);
    assert_eq!(refused(&client, &token, "package_delete", ask).await.0, 404);
    let provider = house.person("provider").await;
    let found = app::opening::search(
        &house.app,
        &provider,
        model::search::SearchQuery {
            text: "行道树".into(),
            limit: 10,
            ..model::search::SearchQuery::default()
        },
    );
    assert_eq!(found.await.unwrap().total, 0);
    // Its name is free again.
    done(&client, &token, "package_create", trees()).await;
    let (status, kind, error) = refused(&client, &token, "package_create", trees()).await;
    assert_eq!((status, kind.as_str()), (409, "Validation Error"));
    assert!(error["name"][0].as_str().unwrap().contains(" / "), "{error}");
    publish(&house, "street_trees").await;
    let ask = json!({ "id": "street_trees" });
    let (status, kind, error) = refused(&client, &token, "package_delete", ask).await;
    assert_eq!((status, kind.as_str()), (403, "Authorization Error"));
    assert!(error["message"].as_str().unwrap().contains("下线"), "{error}");
}

#[tokio::test]
async fn resources_are_links_of_the_declaration() {
    let house = House::new().await;
    let client = open_door(&house, "http://gate.test");
    let token = token(&house, "provider").await;
    done(&client, &token, "package_create", trees()).await;
    let add = json!({ "package_id": "street_trees", "url": "https://data.example/trees.json", "name": "接口", "format": "JSON" });
    let link = done(&client, &token, "resource_create", add).await;
    assert!(link["id"].as_str().unwrap().ends_with("-link2"), "{link}");
    let ask = json!({ "id": link["id"], "name": "数据接口" });
    let told = done(&client, &token, "resource_patch", ask).await;
    assert_eq!((&told["name"], &told["format"]), (&json!("数据接口"), &json!("JSON")));
    let first = link["id"].as_str().unwrap().replace("-link2", "-link1");
    assert_eq!(done(&client, &token, "resource_delete", json!({ "id": first })).await, Value::Null);
    let package = done(&client, &token, "package_show", json!({ "id": "street_trees" })).await;
    let all = package["resources"].as_array().unwrap();
    assert_eq!((all.len(), &all[0]["name"]), (1, &json!("数据接口")));
    for (name, ask, status) in [
        ("resource_create", json!({ "package_id": "street_trees" }), 409),
        (
            "resource_create",
            json!({ "package_id": "street_trees", "url": "javascript:alert(1)" }),
            409,
        ),
        ("resource_create", json!({ "package_id": "nothing", "url": "https://a.example/" }), 404),
        ("resource_update", json!({ "id": link["id"], "url": "https://a.example/" }), 404),
        ("resource_update", json!({ "id": "nothing", "url": "https://a.example/" }), 404),
        (
            "resource_delete",
            json!({ "id": format!("{}-csv", package["id"].as_str().unwrap()) }),
            403,
        ),
    ] {
        assert_eq!(refused(&client, &token, name, ask.clone()).await.0, status, "{name} {ask}");
    }
    // A file is told where it is taken.
    let form = "--x\r\ncontent-disposition: form-data; name=\"package_id\"\r\n\r\nstreet_trees\r\n--x\r\n\
                content-disposition: form-data; name=\"upload\"; filename=\"a.csv\"\r\n\r\nid\n1\n\r\n--x--\r\n";
    let headers =
        [("content-type", "multipart/form-data; boundary=x"), ("authorization", token.as_str())];
    let answer = client
        .send_body(Method::POST, "/api/action/resource_create", &headers, Body::from(form))
        .await;
    assert_eq!(answer.status.as_u16(), 409, "{}", answer.text);
    assert!(answer.json()["error"]["upload"].is_array(), "{}", answer.text);
}

#[tokio::test]
async fn only_a_person_of_the_department_writes() {
    let house = House::new().await;
    let client = open_door(&house, "http://gate.test");
    let of_provider = token(&house, "provider").await;
    let made = done(&client, &of_provider, "package_create", trees()).await;
    let patch = json!({ "id": made["id"], "title": "别人的" });
    // Those who do not compile get no token at all.
    for who in ["citizen", "consumer", "enterprise", "auditor"] {
        let op = house.person(who).await;
        let error = account::personal_token_make(&house.app, &op, "脚本", 30).await.unwrap_err();
        assert_eq!(error.kind(), model::Kind::Denied, "{who}");
    }
    // Another department does not know of a draft, and may not touch what is open.
    let of_stranger = token(&house, "stranger").await;
    assert_eq!(
        refused(&client, &of_stranger, "package_show", json!({ "id": made["id"] })).await.0,
        404
    );
    let (status, kind, _) = refused(&client, &of_stranger, "package_patch", patch.clone()).await;
    assert_eq!((status, kind.as_str()), (404, "Not Found Error"));
    publish(&house, "street_trees").await;
    for name in ["package_patch", "package_delete"] {
        let (status, kind, _) = refused(&client, &of_stranger, name, patch.clone()).await;
        assert_eq!((status, kind.as_str()), (403, "Authorization Error"), "{name}");
    }
    let (status, kind, _) = refused(&client, &of_stranger, "package_create", trees()).await;
    assert_eq!((status, kind.as_str()), (403, "Authorization Error"), "owner_org is another's");
    // No token, an application's key, one that nobody made.
    let (_, application) = house.application("应用").await;
    let bearer = format!("Bearer {of_provider}");
    for wrong in ["", application.application.key.as_str(), "qtp_nobody-made-this"] {
        let (status, kind, error) = refused(&client, wrong, "package_patch", patch.clone()).await;
        assert_eq!((status, kind.as_str()), (403, "Authorization Error"), "{wrong}");
        assert!(error["message"].as_str().unwrap().contains(" / "), "{error}");
        // What anybody may ask is answered all the same.
        assert_eq!(
            done(&client, wrong, "package_show", json!({ "id": "street_trees" })).await["title"],
            "行道树"
        );
    }
    assert_eq!(
        done(&client, &bearer, "organization_list_for_user", json!({})).await[0]["name"],
        "org-market"
    );
    assert_eq!(done(&client, "", "organization_list_for_user", json!({})).await, json!([]));
    // Over time.
    house.clock.forward(TimeDelta::days(31));
    let (status, _, error) = refused(&client, &of_provider, "package_patch", patch).await;
    assert!(status == 403 && error["message"].as_str().unwrap().contains("过期"), "{error}");
}

#[tokio::test]
async fn a_token_ends_with_what_it_stands_on() {
    let house = House::new().await;
    let client = open_door(&house, "http://gate.test");
    let admin = house.person("admin").await;
    let id = house.app.store.user_by_name("provider").await.unwrap().unwrap().user.id;
    let works = async |token: &str| {
        send(&client, token, "organization_list_for_user", &json!({})).await.json()["result"]
            .as_array()
            .is_some_and(|all| !all.is_empty())
    };
    let change = |roles: Vec<Role>| UserChange {
        display_name: "编目员".into(),
        org: Some(PROVIDER_ORG.into()),
        roles,
    };
    // Revoked.
    let first = token(&house, "provider").await;
    assert!(works(&first).await);
    let op = house.person("provider").await;
    let held = account::personal_tokens(&house.app, &op).await.unwrap();
    assert!(held.len() == 1 && held[0].last_used_at.is_some(), "{held:?}");
    let stranger = house.person("stranger").await;
    assert!(account::personal_token_revoke(&house.app, &stranger, &held[0].id).await.is_err());
    account::personal_token_revoke(&house.app, &op, &held[0].id).await.unwrap();
    assert!(!works(&first).await);
    // Another name ends nothing; other roles do, and giving them back brings no token back.
    let second = token(&house, "provider").await;
    account::change_user(&house.app, &admin, &id, change(vec![Role::Provider])).await.unwrap();
    assert!(works(&second).await);
    let other = change(vec![Role::Provider, Role::Reviewer]);
    account::change_user(&house.app, &admin, &id, other).await.unwrap();
    account::change_user(&house.app, &admin, &id, change(vec![Role::Provider])).await.unwrap();
    assert!(!works(&second).await);
    // The account is closed, and opened again.
    let third = token(&house, "provider").await;
    account::set_user_active(&house.app, &admin, &id, false).await.unwrap();
    account::set_user_active(&house.app, &admin, &id, true).await.unwrap();
    assert!(!works(&third).await);
    // An administrator gives a password anew.
    let fourth = token(&house, "provider").await;
    account::reset_password(&house.app, &admin, &id).await.unwrap();
    assert!(!works(&fourth).await);
    let auditor = house.person("auditor").await;
    for (action, least) in
        [("account.token_make", 4), ("account.token_revoke", 1), ("account.token_use", 2)]
    {
        let filter =
            AuditFilter { action: Some(action.into()), limit: 50, ..AuditFilter::default() };
        let records = app::audit::list(&house.app, &auditor, &filter).await.unwrap();
        assert!(records.len() >= least, "{action}: {}", records.len());
        assert!(records.iter().all(|r| !format!("{:?}", r.event).contains("qtp_")), "{action}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_by_its_field() {
    let house = House::new().await;
    let client = open_door(&house, "http://gate.test");
    let token = token(&house, "provider").await;
    for (field, value) in [
        ("name", json!("9-lives")),
        ("name", json!("x".repeat(80))),
        ("title", json!("长".repeat(600))),
        ("notes", json!("长".repeat(1100))),
        ("tags", json!([{ "name": "a|b" }])),
        ("tags", json!("a, b")),
        ("extras", json!([7])),
        ("resources", json!([7])),
        ("region", json!(null)),
        ("open_type", json!(null)),
        ("open_condition", json!(null)),
    ] {
        let mut wrong = trees();
        match field {
            "region" => wrong["extras"] = json!([{ "key": "region", "value": "999999" }]),
            "open_type" => wrong["extras"] = json!([{ "key": "open_type", "value": "perhaps" }]),
            "open_condition" => {
                wrong["extras"] = json!([{ "key": "open_type", "value": "restricted" }]);
            }
            _ => wrong[field] = value,
        }
        let (status, kind, error) = refused(&client, &token, "package_create", wrong).await;
        assert_eq!((status, kind.as_str()), (409, "Validation Error"), "{field}: {error}");
        assert!(error[field][0].as_str().unwrap().contains(" / "), "{field}: {error}");
    }
    let mut nameless = trees();
    nameless.as_object_mut().unwrap().remove("name");
    let (_, _, error) = refused(&client, &token, "package_create", nameless).await;
    assert_eq!(error["name"], json!(["Missing value"]));
    let headers = [("content-type", "application/json"), ("authorization", token.as_str())];
    let broken = client
        .send_body(Method::POST, "/api/action/package_create", &headers, Body::from("{\"name\": "))
        .await;
    assert_eq!(broken.status.as_u16(), 400);
    let by_get = client.send(Method::GET, "/api/action/package_create?name=a", &headers).await;
    assert_eq!(by_get.status.as_u16(), 400);
    let large = client
        .send_body(
            Method::POST,
            "/api/action/package_create",
            &headers,
            Body::from("x".repeat(2 << 20)),
        )
        .await;
    assert_eq!(large.status.as_u16(), 400);
    assert!(house.app.store.entry_get("street_trees").await.unwrap().is_none());
    // Where writing is off, the refusal says how it is switched on.
    let off = Client::new(&house);
    let (status, kind, error) = refused(&off, &token, "package_create", trees()).await;
    assert_eq!((status, kind.as_str()), (403, "Authorization Error"));
    assert!(error["message"].as_str().unwrap().contains("ckan_write"), "{error}");
}

#[tokio::test]
async fn organisations_and_groups_are_answered_as_they_are() {
    let house = House::new().await;
    let client = open_door(&house, "http://gate.test");
    let token = token(&house, "provider").await;
    // One's own, without open sets; nobody else is told of it.
    let org = done(&client, &token, "organization_show", json!({ "id": "org-market" })).await;
    assert_eq!((&org["title"], &org["package_count"]), (&json!("省市场监管厅"), &json!(0)));
    assert_eq!(
        refused(&client, "", "organization_show", json!({ "id": "org-market" })).await.0,
        404
    );
    assert_eq!(
        done(&client, &token, "organization_update", org.clone()).await["name"],
        "org-market"
    );
    let mut other = org;
    other["title"] = "别的厅".into();
    assert_eq!(refused(&client, &token, "organization_update", other).await.0, 403);
    let new = json!({ "name": "new-office", "title": "新局" });
    assert_eq!(refused(&client, &token, "organization_create", new).await.0, 403);
    let group = done(&client, &token, "group_show", json!({ "id": "transport" })).await;
    assert_eq!(done(&client, &token, "group_update", group.clone()).await["name"], "transport");
    let mut other = group;
    other["title"] = "交通".into();
    assert_eq!(refused(&client, &token, "group_update", other).await.0, 403);
    for name in
        ["group_create", "tag_create", "user_create", "datastore_create", "api_token_create"]
    {
        assert_eq!(refused(&client, &token, name, json!({ "name": "a" })).await.0, 403, "{name}");
    }
    let help = done(&client, "", "help_show", json!({ "name": "package_create" })).await;
    assert!(help.as_str().unwrap().contains("草稿"), "{help}");
}

/// What `ckanapi load datasets` does with one line of a dump.
async fn loaded(client: &Client, token: &str, package: &Value) -> Value {
    let mut sent = package.clone();
    for key in ["id", "name"] {
        let answer = send(client, token, "package_show", &json!({ "id": package[key] })).await;
        if answer.status.as_u16() == 200 {
            sent["id"] = answer.json()["result"]["id"].clone();
            return done(client, token, "package_update", sent).await;
        }
        assert_eq!(answer.status.as_u16(), 404, "{}", answer.text);
    }
    done(client, token, "package_create", sent).await
}

#[tokio::test]
async fn what_one_house_dumps_another_loads() {
    let first = furnished().await;
    let here = open_door(&first, "http://gate.test");
    let second = House::new().await;
    let there = open_door(&second, "http://other.test");
    let token = token(&second, "provider").await;
    let names = ["companies", "lake_water"];
    let mut dumped = Vec::new();
    for name in names {
        dumped.push(done(&here, "", "package_show", json!({ "id": name })).await);
    }
    for package in &dumped {
        let told = loaded(&there, &token, package).await;
        assert_eq!(told["review"]["state"], "unpublished", "{told}");
        publish(&second, package["name"].as_str().unwrap()).await;
    }
    for before in &dumped {
        let name = before["name"].as_str().unwrap();
        let after = done(&there, "", "package_show", json!({ "id": name })).await;
        for key in [
            "name",
            "title",
            "notes",
            "license_id",
            "owner_org",
            "tags",
            "groups",
            "isopen",
            "private",
        ] {
            assert_eq!(after[key], before[key], "{name}: {key}");
        }
        let extra = |package: &Value, wanted: &str| {
            let all = package["extras"].as_array().unwrap().iter();
            all.filter(|e| e["key"] == wanted).map(|e| e["value"].clone()).next()
        };
        for key in ["code", "title_en", "region", "update_cycle", "open_type", "open_condition"] {
            assert_eq!(extra(&after, key), extra(before, key), "{name}: {key}");
        }
    }
    // What was a table there is a link here, and leads there.
    let after = done(&there, "", "package_show", json!({ "id": "lake_water" })).await;
    let links = |package: &Value| -> Vec<Value> {
        let all = package["resources"].as_array().unwrap().iter();
        all.map(|r| json!([r["name"], r["url"], r["format"]])).collect()
    };
    assert_eq!(links(&after), links(&dumped[1]));
    // What is open under conditions is handed out by no link.
    let limited = done(&there, "", "package_show", json!({ "id": "companies" })).await;
    assert_eq!(limited["resources"].as_array().unwrap().len(), 1);
    assert!(limited["resources"][0]["url"].as_str().unwrap().starts_with("http://other.test/"));
    // The same once more changes nothing.
    for package in &dumped {
        let again = loaded(&there, &token, package).await;
        assert_eq!(again["review"]["state"], "published", "{again}");
    }
    // And what the second dumps, it loads itself: its own resources are not taken for links.
    let own = done(&there, "", "package_show", json!({ "id": "lake_water" })).await;
    let again = loaded(&there, &token, &own).await;
    assert_eq!(again["review"]["state"], "published", "{again}");
}

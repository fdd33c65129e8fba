//! Every route of ROUTES.md by nobody and by a stranger, with every method.

use std::collections::BTreeSet;

use axum::http::Method;
use testkit::House;

use crate::client::Client;

/// Routes of the table, places filled in.
fn routes() -> Vec<String> {
    include_str!("../../ROUTES.md")
        .lines()
        .filter_map(|line| line.strip_prefix("| GET | `"))
        .filter_map(|rest| rest.split('`').next())
        .map(str::to_owned)
        .collect()
}

/// Routes the source declares.
fn declared() -> BTreeSet<String> {
    [
        include_str!("../../src/changes.rs"),
        include_str!("../../src/ckan/mod.rs"),
        include_str!("../../src/convention.rs"),
        include_str!("../../src/delta/mod.rs"),
        include_str!("../../src/described.rs"),
        include_str!("../../src/evidence.rs"),
        include_str!("../../src/flow.rs"),
        include_str!("../../src/interface.rs"),
        include_str!("../../src/rows.rs"),
        include_str!("../../src/openapi.rs"),
        include_str!("../../src/ledger.rs"),
        include_str!("../../src/mcp/mod.rs"),
        include_str!("../../src/metadata/mod.rs"),
        include_str!("../../src/oai/mod.rs"),
        include_str!("../../src/ogc/mod.rs"),
        include_str!("../../src/service.rs"),
        include_str!("../../src/token.rs"),
    ]
    .iter()
    .flat_map(|source| source.split(".route(").skip(1))
    .filter_map(|rest| rest.trim_start().strip_prefix('"'))
    .filter_map(|rest| rest.split('"').next())
    .map(str::to_owned)
    .collect()
}

#[test]
fn the_table_names_every_route_and_no_other() {
    let table = include_str!("../../ROUTES.md");
    let posted = table.lines().filter_map(|line| line.strip_prefix("| POST | `"));
    let posted = posted.filter_map(|rest| rest.split('`').next()).map(str::to_owned);
    assert_eq!(routes().into_iter().chain(posted).collect::<BTreeSet<_>>(), declared());
}

/// An entry that is freely open, and one shared among offices on conditions.
async fn furnish(house: &House) {
    house.publish(testkit::draft("open_water")).await;
    house.publish(testkit::person_draft("shared_water")).await;
}

#[tokio::test]
async fn nobody_and_a_stranger_get_only_what_is_open_to_all() {
    let house = House::new().await;
    furnish(&house).await;
    let client = Client::new(&house);
    let (_, stranger) = house.application("stranger").await;
    for route in routes() {
        for resource in ["open_water", "shared_water", "nothing_there", "%00", "a%2Fb"] {
            let path = route.replace("{resource}", resource).replace("{code}", resource);
            let expected = match (route.as_str(), resource) {
                // The places of this route are ledgers: none of these words is one.
                ("/ledger/v1/{ledger}", _) => 404,
                ("/metrics", _) => 404,
                // Delta Sharing: nothing is granted here for batch use, and an address is signed.
                ("/delta-sharing/shares", _) => 200,
                ("/delta-sharing/files/{file}", _) => 401,
                (batch, _) if batch.starts_with("/delta-sharing/") => 404,
                // CKAN: a call without a name of an action, a table that is none.
                ("/api/3/action/{name}" | "/api/action/{name}", _) => 400,
                ("/datastore/dump/{id}", _) => 404,
                // Data sets and collections that are none.
                (described, _) if described.starts_with("/dataset/") => 404,
                (drawn, _) if drawn.starts_with("/ogc/collections/") => 404,
                ("/ogc/tileMatrixSets/{set}", _) => 404,
                // The older convention is off here: as if it were not there.
                (older, _) if older.starts_with("/gateway/") => 404,
                // No interface has such a code.
                ("/api/interface/{code}" | "/api/interface/{code}/openapi.json", _) => 404,
                ("/api/v1/{resource}", "open_water") => 200,
                // Changes flow by an approved share application only.
                ("/api/v1/{resource}/changes", "open_water" | "shared_water") => 403,
                ("/api/v1/{resource}/changes", _) => 404,
                // What is shared among offices is not known to nobody.
                ("/api/v1/{resource}", "shared_water") => 403,
                ("/api/v1/{resource}", _) => 404,
                _ => 200,
            };
            let nobody = client.get(&path).await.status.as_u16();
            let as_nobody = match (route.as_str(), resource) {
                (batch, _) if batch.starts_with("/delta-sharing/") => 401,
                (_, "shared_water") if expected == 403 => 404,
                _ => expected,
            };
            assert_eq!(nobody, as_nobody, "GET {path} by nobody");
            let by_stranger = client.by(&stranger, &path).await.status.as_u16();
            assert_eq!(by_stranger, expected, "GET {path} by a stranger");
            if !route.starts_with("/api/v1/{resource}") {
                break;
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_route_or_no_method_is_refused_in_words() {
    let house = House::new().await;
    let client = Client::new(&house);
    let (_, stranger) = house.application("stranger").await;
    for route in routes() {
        let path = route.replace("{resource}", "anything");
        for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
            let posts = ["/ledger/v1/{ledger}", "/api/interface/{code}", "/oai"];
            let posts = posts.contains(&route.as_str())
                || route.starts_with("/gateway/")
                || route.ends_with("action/{name}");
            if posts && method == Method::POST {
                continue; // assets are reported, interfaces called by it (tests/house)
            }
            let key = &stranger.application.key;
            for answer in [
                client.send(method.clone(), &path, &[]).await,
                client.signed(method.clone(), &path, key, &stranger.secret, &[]).await,
            ] {
                assert_eq!(answer.refusal(), (405, "method_not_allowed".into()), "{method} {path}");
                assert!(answer.header("allow").contains("GET"), "{method} {path}");
                let body = answer.json();
                for field in ["message", "message_zh", "hint", "hint_zh"] {
                    assert!(!body[field].as_str().unwrap().is_empty(), "{field}");
                }
                assert_eq!(body["request_id"].as_str().unwrap().len(), 32);
            }
        }
    }
    for path in ["/api", "/api/v1", "/api/v1/a/b", "/console", "/api/v2/x"] {
        assert_eq!(client.get(path).await.refusal(), (404, "not_found".into()), "{path}");
    }
}

#[tokio::test]
async fn a_wrong_signature_opens_nothing() {
    let house = House::new().await;
    furnish(&house).await;
    let client = Client::new(&house);
    let (_, known) = house.application("known").await;
    for path in ["/openapi.json", "/api/v1/open_water", "/api/v1/shared_water", "/api/v1/nothing"] {
        for (key, secret) in [(known.application.key.as_str(), "wrong"), ("no-such-key", "wrong")] {
            let answer = client.signed(Method::GET, path, key, secret, &[]).await;
            assert_eq!(answer.refusal(), (401, "signature_mismatch".into()), "{path}");
            assert_eq!(answer.all("www-authenticate"), ["QT-HMAC realm=\"qiantang\""]);
        }
        let half = client.send(Method::GET, path, &[("x-qt-key", &known.application.key)]).await;
        assert_eq!(half.refusal(), (401, "signature_missing".into()), "{path}");
    }
}

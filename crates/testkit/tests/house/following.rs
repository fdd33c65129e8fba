//! What one process takes away, another that shares the store keeps to within a second: also one where nothing else is called, and
//! one whose clock was set back.

use std::time::{Duration, Instant};

use app::{account, sharing};
use chrono::TimeDelta;
use model::Code;
use model::code::SyncMode;
use model::query::RowQuery;
use testkit::{House, Postgres};

use crate::applying::call;

/// Two processes on one PostgreSQL; the second knows only what the store tells it.
async fn two() -> (Postgres, House, House, tempfile::TempDir) {
    let cluster = Postgres::start();
    let house = House::on(&cluster.database("two")).await;
    let folder = tempfile::tempdir().unwrap();
    let second = House::kept(folder.path(), house.url()).await;
    (cluster, house, second, folder)
}

#[tokio::test]
async fn an_idle_process_answers_no_call_by_what_was_taken_away_elsewhere() {
    let (_cluster, house, second, _folder) = two().await;
    let consumer = house.person("consumer").await;
    let (_, first) = house.application("更换密钥").await;
    call(&second, &first, "nonce-0000000001").await.unwrap();
    account::renew_secret(&house.app, &consumer, &first.application.id).await.unwrap();
    second.clock.forward(TimeDelta::seconds(2));
    let refused = call(&second, &first, "nonce-0000000002").await.unwrap_err();
    assert_eq!(refused.code(), Code::SignatureMismatch, "its secret was renewed");

    let (_, other) = house.application("停用").await;
    call(&second, &other, "nonce-0000000003").await.unwrap();
    let id = &other.application.id;
    account::set_application_active(&house.app, &consumer, id, false).await.unwrap();
    second.clock.forward(TimeDelta::seconds(2));
    let refused = call(&second, &other, "nonce-0000000004").await.unwrap_err();
    assert_eq!(refused.code(), Code::SignatureMismatch, "it was stopped");
}

#[tokio::test]
async fn a_clock_that_was_set_back_hides_nothing() {
    let (_cluster, house, second, _folder) = two().await;
    let (caller, secret) = house.application("查询应用").await;
    house.publish(testkit::person_draft("renkou")).await;
    let rows = crate::interface::PEOPLE.as_bytes();
    house.collect("renkou", "p.csv", rows, SyncMode::Full).await.unwrap();
    let id = &secret.application.id;
    let request = crate::interface::granted(&house, id, "renkou", &["sfzh", "xm"]).await;
    let query = async || {
        // Slow enough for every pace, and never near to what was before.
        second.clock.forward(TimeDelta::milliseconds(50));
        let op = second.app.op(caller.actor.clone(), "127.0.0.1");
        sharing::query(&second.app, &op, "renkou", &RowQuery::default()).await.map(drop)
    };
    // The first look of the second process is over before its clock is set back.
    query().await.unwrap();
    second.clock.forward(TimeDelta::hours(-1));
    query().await.unwrap();
    let provider = house.person("provider").await;
    sharing::revoke(&house.app, &provider, &request.id, "不再需要").await.unwrap();
    let since = Instant::now();
    let refused = loop {
        match query().await {
            Err(refused) => break refused,
            Ok(()) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
        assert!(since.elapsed() < Duration::from_secs(10), "it is not seen");
    };
    assert_eq!(refused.code(), Code::GrantExpired, "{refused}");
}

//! Use: every call that is recorded is counted once, under what it was; each sees its own; the meter is what the chain adds up to.

use app::usage;
use chrono::TimeDelta;
use model::code::SyncMode;
use model::query::RowQuery;
use model::usage::{UsageBy, UsageFilter, UsageRow, Way};
use model::{Code, Op};
use testkit::House;

use crate::interface::{PEOPLE, PERSON, call, granted, published, wanted};
use crate::on_both;

on_both!(calls_are_counted_by_what_they_were, floods_of_refusals_are_counted_too);

fn filter(house: &House) -> UsageFilter {
    usage::within(&house.nobody(), UsageFilter::default()).unwrap()
}

async fn table(house: &House, op: &Op, by: UsageBy) -> Vec<UsageRow> {
    usage::table(&house.app, op, &filter(house), by, None, 0).await.unwrap().items
}

/// The calls and answered calls of a word.
fn of(rows: &[UsageRow], word: &str) -> (u64, u64) {
    rows.iter().find(|r| r.word == word).map_or((0, 0), |r| (r.usage.calls, r.answered))
}

async fn checked(house: &House) -> u64 {
    let auditor = house.person("auditor").await;
    let verdict = usage::check(&house.app, &auditor).await.unwrap();
    assert!(verdict.agrees, "{verdict:?}");
    verdict.calls
}

async fn calls_are_counted_by_what_they_were(house: House) {
    let app = &house.app;
    let (caller, secret) = house.application("查询应用").await;
    let (stranger, _) = house.application("无授权应用").await;
    house.publish(testkit::person_draft("renkou")).await;
    house.collect("renkou", "people.csv", PEOPLE.as_bytes(), SyncMode::Full).await.unwrap();
    let made = published(&house, PERSON).await;
    let request = granted(&house, &secret.application.id, "renkou", &["sfzh", "xm", "csrq"]).await;
    let key = [("idcard", "11010519491231002X")];
    for _ in 0..3 {
        call(&house, &caller, &made.code, &key).await.unwrap();
    }
    assert_eq!(call(&house, &stranger, &made.code, &key).await.unwrap_err().code(), Code::NoGrant);
    call(&house, &caller, &made.code, &[("no", "such")]).await.unwrap_err();
    call(&house, &caller, "0000000000000000", &key).await.unwrap_err();
    house.clock.forward(TimeDelta::seconds(1));
    let op = Op { way: Way::Api, ..app.op(caller.actor.clone(), "127.0.0.1") };
    let all = app::sharing::query(app, &op, "renkou", &RowQuery::default()).await.unwrap();
    assert_eq!(all.page.rows.len(), 2);

    let authority = house.person("authority").await;
    let id = secret.application.id.as_str();
    let by_application = table(&house, &authority, UsageBy::Application).await;
    assert_eq!(of(&by_application, id), (6, 4), "{by_application:?}");
    assert_eq!(of(&by_application, stranger.actor.id()), (1, 0));
    assert_eq!(by_application[0].name, "查询应用", "most calls first");
    let by_interface = table(&house, &authority, UsageBy::Interface).await;
    assert_eq!(of(&by_interface, &made.code), (5, 3));
    let named = by_interface.iter().find(|r| r.word == made.code).unwrap();
    assert_eq!(named.name, "按身份证号查询", "an interface goes by its title");
    // What is not there is no interface and no resource, whatever was written.
    assert_eq!(of(&by_interface, "0000000000000000"), (0, 0));
    let by_entry = table(&house, &authority, UsageBy::Entry).await;
    assert_eq!(of(&by_entry, "renkou"), (5, 4));
    assert!(by_entry.iter().all(|r| r.word == "renkou" || r.word.is_empty()), "{by_entry:?}");
    let by_outcome = table(&house, &authority, UsageBy::Outcome).await;
    for (word, calls) in [("ok", 4), ("no_grant", 1), ("not_found", 1), ("invalid_input", 1)] {
        assert_eq!(of(&by_outcome, word).0, calls, "{word}: {by_outcome:?}");
    }
    let by_way = table(&house, &authority, UsageBy::Way).await;
    assert_eq!(of(&by_way, "api"), (1, 1), "{by_way:?}");
    let by_purpose = table(&house, &authority, UsageBy::Purpose).await;
    assert_eq!(of(&by_purpose, &request.scene), (4, 4), "{by_purpose:?}");
    // Rows, bytes and times are those of the answers.
    let answered = by_outcome.iter().find(|r| r.word == "ok").unwrap().usage;
    assert_eq!((answered.rows, answered.timed()), (5, 4));
    assert!(answered.bytes > 0 && answered.slowest > 0, "{answered:?}");
    assert!(answered.percentile(50).unwrap() <= answered.percentile(99).unwrap());
    // Regions add up: the same calls in the county, its city and its province.
    let org = app.store.org_require(caller.actor.org().unwrap()).await.unwrap();
    for (by, word) in [
        (UsageBy::Province, format!("{}0000", &org.region[..2])),
        (UsageBy::City, format!("{}00", &org.region[..4])),
        (UsageBy::County, org.region.clone()),
    ] {
        assert_eq!(of(&table(&house, &authority, by).await, &word), (7, 4), "{by:?}");
    }
    let days = usage::days(app, &authority, &filter(&house)).await.unwrap();
    assert_eq!((days.len(), days.last().unwrap().usage.calls), (30, 7));
    assert_eq!(usage::total(app, &authority, &filter(&house)).await.unwrap().usage.calls, 7);

    // Page by page nothing is lost and nothing told twice.
    let mut seen = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page =
            usage::table(app, &authority, &filter(&house), UsageBy::Outcome, after.as_deref(), 1)
                .await
                .unwrap();
        seen.extend(page.items.into_iter().map(|r| r.word));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, by_outcome.iter().map(|r| r.word.clone()).collect::<Vec<_>>());

    // Each sees its own: the consumer what it calls, the provider what it provides, others nothing.
    let (consumer, provider) = (house.person("consumer").await, house.person("provider").await);
    assert_eq!(of(&table(&house, &consumer, UsageBy::Application).await, id), (6, 4));
    let provided = table(&house, &provider, UsageBy::Application).await;
    assert_eq!(of(&provided, id), (4, 4), "only calls of its resources: {provided:?}");
    for who in ["citizen", "enterprise"] {
        let op = house.person(who).await;
        for id in ["", id] {
            let filter = UsageFilter { application: id.into(), ..filter(&house) };
            let told = usage::table(app, &op, &filter, UsageBy::Entry, None, 0).await;
            assert_eq!(told.unwrap_err().code(), Code::Denied, "{who}");
        }
        assert!(usage::check(app, &op).await.is_err());
    }
    // Pages of open data and downloads are counted as well, for the public.
    assert!(checked(&house).await >= 7);
    // The board's counters of the year: answered and refused, from the first day of January on.
    let year = async || {
        let authority = house.person("authority").await;
        let board = app::control::board(app, &authority).await.unwrap();
        (board.answered_year, board.refused_year)
    };
    assert_eq!(year().await, (4, 3));
    house.clock.forward(TimeDelta::days(366));
    assert_eq!(year().await, (0, 0));
}

/// A flood of refusals leaves one record a second; the next record stands for those that left none.
async fn floods_of_refusals_are_counted_too(house: House) {
    let app = &house.app;
    let (caller, secret) = house.application("用尽配额").await;
    house.publish(testkit::person_draft("renkou")).await;
    house.collect("renkou", "people.csv", PEOPLE.as_bytes(), SyncMode::Full).await.unwrap();
    let consumer = house.person("consumer").await;
    let mut ask = wanted(&secret.application.id, "renkou", &["sfzh", "xm"]);
    ask.calls_per_day = 2;
    let request = app::sharing::apply(app, &consumer, ask).await.unwrap();
    let (provider, authority) = (house.person("provider").await, house.person("authority").await);
    app::sharing::review(app, &provider, &request.id, true, "").await.unwrap();
    app::sharing::review(app, &authority, &request.id, true, "").await.unwrap();
    let mut refused = 0;
    for burst in 0..2 {
        house.clock.forward(TimeDelta::seconds(2));
        let op = Op { way: Way::Api, ..app.op(caller.actor.clone(), "127.0.0.1") };
        for _ in 0..10 {
            let told = app::sharing::query(app, &op, "renkou", &RowQuery::default()).await;
            refused += u64::from(told.is_err());
        }
        assert_eq!(refused, if burst == 0 { 8 } else { 18 });
    }
    let by_outcome = table(&house, &authority, UsageBy::Outcome).await;
    assert_eq!(of(&by_outcome, "ok"), (2, 2));
    // The first of the first second, and the first of the next with the seven between.
    assert_eq!(of(&by_outcome, "quota_used_up"), (9, 0), "{by_outcome:?}");
    checked(&house).await;
}

/// Figures that somebody changed are named.
#[tokio::test]
async fn a_meter_that_was_changed_is_told() {
    let house = House::new().await;
    house.publish(testkit::person_draft("renkou")).await;
    let (caller, _) = house.application("无授权应用").await;
    app::sharing::query(&house.app, &caller, "renkou", &RowQuery::default()).await.unwrap_err();
    checked(&house).await;
    let file = house.folder().join("store/audit.db");
    let db = rusqlite::Connection::open(file).unwrap();
    db.execute("UPDATE meter_day SET calls = calls + 1", []).unwrap();
    let auditor = house.person("auditor").await;
    let verdict = usage::check(&house.app, &auditor).await.unwrap();
    assert!(!verdict.agrees);
    let found = &verdict.differences[0];
    assert_eq!(found.audited.calls + 1, found.metered.calls, "{found:?}");
    assert!(found.key.contains("renkou") && found.key.contains("no_grant"), "{found:?}");
}

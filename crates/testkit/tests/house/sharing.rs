//! The sharing room: applications, and the gate with its quota, masks and records.

use app::sharing;
use model::audit::AuditFilter;
use model::code::SyncMode;
use model::query::{Comparison, Condition, RowQuery};
use model::request::{Period, RequestNew, RequestState};
use model::value::Value;
use model::{Code, Op};
use testkit::House;

/// Valid check digits, invented people.
const PEOPLE: &str = "sfzh,xm,sjh,csrq,region_code\n\
    11010519491231002X,张三丰,13800138000,1949-12-31,330106\n\
    440524188001010014,李四,13900139000,1880-01-01,330200\n";

fn wanted(application: &str, entry: &str, items: &[&str]) -> RequestNew {
    RequestNew {
        entry: entry.into(),
        application: application.into(),
        items: items.iter().map(|i| (*i).to_owned()).collect(),
        scene: "核验办事人身份".into(),
        legal_basis: "部门职责".into(),
        period: Period::Days { days: 30 },
        calls_per_day: 10,
        area_range: String::new(),
        row_range: Default::default(),
        by_sql: false,
    }
}

fn by_key(value: &str) -> RowQuery {
    let comparison = Comparison::Eq(value.into());
    RowQuery {
        filter: Some(Condition::Column { column: "sfzh".into(), comparison }),
        ..RowQuery::default()
    }
}

async fn code(house: &House, op: &Op, resource: &str, query: &RowQuery) -> Code {
    sharing::query(&house.app, op, resource, query).await.unwrap_err().code()
}

/// A later operation of the same caller.
fn later(house: &House, op: &Op) -> Op {
    house.app.op(op.actor.clone(), "127.0.0.1")
}

/// Apply → provider → authority → call with masks → record; revoke stops calls at once.
async fn a_request(house: House) {
    let app = &house.app;
    let consumer = house.person("consumer").await;
    let provider = house.person("provider").await;
    let authority = house.person("authority").await;
    let (caller, secret) = house.application("核验应用").await;
    house.publish(testkit::person_draft("renkou")).await;
    house.collect("renkou", "people.csv", PEOPLE.as_bytes(), SyncMode::Full).await.unwrap();
    let key = by_key("11010519491231002X");
    assert_eq!(code(&house, &caller, "renkou", &key).await, Code::NoGrant);
    assert_eq!(code(&house, &caller, "no_such", &key).await, Code::NotFound);

    let ask = wanted(&secret.application.id, "renkou", &["sfzh", "xm"]);
    let request = sharing::apply(app, &consumer, ask.clone()).await.unwrap();
    assert_eq!(request.state, RequestState::ProviderAuditing);
    assert_eq!(request.due.as_deref(), Some("2026-03-16"), "ten working days after 2 March");
    assert_eq!(sharing::apply(app, &consumer, ask).await.unwrap_err().code(), Code::Duplicate);
    assert_eq!(sharing::moves(app, &consumer, &request).await.unwrap(), ["undo"]);
    assert_eq!(sharing::moves(app, &provider, &request).await.unwrap(), ["approve", "reject"]);
    assert_eq!(sharing::inbox(app, &provider).await.unwrap().requests.len(), 1);
    assert_eq!(sharing::inbox(app, &consumer).await.unwrap().mine.len(), 1);
    let early = sharing::review(app, &authority, &request.id, true, "").await.unwrap_err();
    assert_eq!(early.code(), Code::Denied, "the provider's stage is the provider's");
    sharing::review(app, &provider, &request.id, true, "同意").await.unwrap();
    assert_eq!(sharing::inbox(app, &authority).await.unwrap().requests.len(), 1);
    assert_eq!(code(&house, &caller, "renkou", &key).await, Code::NoGrant);
    let request = sharing::review(app, &authority, &request.id, true, "").await.unwrap();
    assert_eq!(request.state, RequestState::Approved);
    assert!(request.expires_at.is_some() && request.due.is_none());

    let release = sharing::query(app, &later(&house, &caller), "renkou", &key).await.unwrap();
    assert_eq!(release.page.columns, ["sfzh", "xm"]);
    assert_eq!(release.page.rows.len(), 1);
    assert_eq!(release.calls_left, Some(9));
    assert!(release.masked.contains(&"sfzh".to_owned()), "{:?}", release.masked);
    let text: Vec<String> = release.page.rows[0].iter().filter_map(Value::to_text).collect();
    assert!(!text.contains(&"11010519491231002X".to_owned()), "{text:?}");
    // Items that were not applied for stay closed.
    let more = RowQuery { select: vec![("sjh".into(), None)], ..key.clone() };
    assert_eq!(
        code(&house, &later(&house, &caller), "renkou", &more).await,
        Code::ColumnNotGranted
    );

    // Every release and refusal is in the chain, without the values.
    let auditor = house.person("auditor").await;
    let filter =
        AuditFilter { action: Some("rows.query".into()), limit: 100, ..AuditFilter::default() };
    let records = app::audit::list(app, &auditor, &filter).await.unwrap();
    let released: Vec<_> = records.iter().filter(|r| r.event.result == "ok").collect();
    assert_eq!(released.len(), 1);
    let event = &released[0].event;
    assert_eq!((event.rows, event.scope.as_str()), (1, "sfzh eq"));
    assert_eq!((event.request.as_str(), event.object.as_str()), (request.id.as_str(), "renkou"));
    assert!(event.masks.contains("sfzh=") && event.bytes > 0);
    assert!(records.iter().filter(|r| r.event.result == "denied").count() >= 4);
    let whole = serde_json::to_string(&records).unwrap();
    assert!(!whole.contains("11010519491231002X") && !whole.contains("张三丰"));

    sharing::revoke(app, &provider, &request.id, "超范围使用").await.unwrap();
    assert_eq!(code(&house, &later(&house, &caller), "renkou", &key).await, Code::GrantExpired);
    let steps = sharing::steps(app, &consumer, &request.id).await.unwrap();
    let words: Vec<&str> = steps.iter().map(|s| s.action.as_str()).collect();
    assert_eq!(words, ["submit", "approve", "approve", "revoke"]);
    let stranger = house.person("county").await;
    let hidden = sharing::get(app, &stranger, &request.id).await.unwrap_err();
    assert_eq!(hidden.code(), Code::NotFound);
}

/// An unconditional share is approved at once; its quota is exact, also over a restart, and starts anew each day.
async fn a_quota(house: House) {
    let app = &house.app;
    let consumer = house.person("consumer").await;
    let (caller, secret) = house.application("统计应用").await;
    house.publish(testkit::draft("tongji")).await;
    house
        .collect(
            "tongji",
            "t.csv",
            b"id,name,amount,day\n1,a,1.50,2026-01-01\n2,b,2.25,2026-01-02\n",
            SyncMode::Full,
        )
        .await
        .unwrap();
    let ask = wanted(&secret.application.id, "tongji", &["id", "amount"]);
    let request = sharing::apply(app, &consumer, ask).await.unwrap();
    assert_eq!(request.state, RequestState::Approved);
    let mut left = Vec::new();
    for _ in 0..6 {
        let op = later(&house, &caller);
        let r = sharing::query(app, &op, "tongji", &RowQuery::default()).await.unwrap();
        assert_eq!(r.page.columns, ["id", "amount"]);
        left.push(r.calls_left.unwrap());
    }
    assert_eq!(left, [9, 8, 7, 6, 5, 4]);
    sharing::flush(app).await.unwrap();
    // What was not used went back: the store has the exact count.
    let actor = caller.actor.clone();
    app.shares.forget();
    // Calls are limited by the second, too (20 here).
    house.clock.forward(chrono::TimeDelta::seconds(2));
    let mut passed = 0;
    for _ in 0..20 {
        let op = house.app.op(actor.clone(), "127.0.0.1");
        match sharing::query(app, &op, "tongji", &RowQuery::default()).await {
            Ok(_) => passed += 1,
            Err(e) => assert_eq!(e.code(), Code::QuotaUsedUp),
        }
    }
    assert_eq!(passed, 4);
    house.clock.forward(chrono::TimeDelta::days(1));
    let op = house.app.op(actor, "127.0.0.1");
    let r = sharing::query(app, &op, "tongji", &RowQuery::default()).await.unwrap();
    assert_eq!(r.calls_left, Some(9));
    // Many at once: not one call more than the quota.
    let calls = (0..30).map(|_| {
        let op = house.app.op(caller.actor.clone(), "127.0.0.1");
        async move { sharing::query(app, &op, "tongji", &RowQuery::default()).await.is_ok() }
    });
    let passed = futures::future::join_all(calls).await.into_iter().filter(|ok| *ok).count();
    assert_eq!(passed, 9);
}

/// What has ended is closed by itself, says so to the caller, and does not stand in the way of a new application.
async fn an_end(house: House) {
    let app = &house.app;
    let consumer = house.person("consumer").await;
    let (caller, secret) = house.application("应用").await;
    house.publish(testkit::person_draft("renkou")).await;
    let ask = wanted(&secret.application.id, "renkou", &["xm"]);
    let request = sharing::apply(app, &consumer, ask.clone()).await.unwrap();
    for who in ["provider", "authority"] {
        let op = house.person(who).await;
        sharing::review(app, &op, &request.id, true, "").await.unwrap();
    }
    sharing::query(app, &later(&house, &caller), "renkou", &RowQuery::default()).await.unwrap();
    house.clock.forward(chrono::TimeDelta::days(31));
    let query = RowQuery::default();
    assert_eq!(code(&house, &later(&house, &caller), "renkou", &query).await, Code::GrantExpired);
    let system = Op::system(app.now());
    assert_eq!(sharing::expire(app, &system).await.unwrap(), 1);
    assert_eq!(sharing::expire(app, &system).await.unwrap(), 0);
    assert_eq!(code(&house, &later(&house, &caller), "renkou", &query).await, Code::GrantExpired);
    let again = sharing::apply(app, &house.person("consumer").await, ask).await.unwrap();
    let undone = sharing::undo(app, &consumer, &again.id, "不再需要").await.unwrap();
    assert_eq!(undone.state, RequestState::Undone);
}

/// Who may not apply is told why, without learning what is hidden.
async fn who_may_apply(house: House) {
    let app = &house.app;
    let consumer = house.person("consumer").await;
    let (_, secret) = house.application("应用").await;
    let entry = house.publish(testkit::person_draft("renkou")).await;
    let id = &secret.application.id;
    let citizen = house.person("citizen").await;
    let e = sharing::apply(app, &citizen, wanted(id, "renkou", &["xm"])).await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound, "what is not open does not exist for a citizen");
    let county = house.person("county").await;
    let e = sharing::apply(app, &county, wanted(id, "renkou", &["xm"])).await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound, "another organisation's application");
    let e =
        sharing::apply(app, &consumer, wanted(id, &entry.id, &["xm", "salary"])).await.unwrap_err();
    assert_eq!((e.code(), e.fields().len()), (Code::RuleBroken, 1));
    let mut bare = wanted(id, "renkou", &["xm"]);
    bare.legal_basis = String::new();
    bare.period = Period::Until { date: "2026-03-01".into() };
    let e = sharing::apply(app, &consumer, bare).await.unwrap_err();
    let fields: Vec<&str> = e.fields().iter().map(|f| f.field.as_str()).collect();
    assert_eq!(fields, ["legal_basis", "date"]);
}

crate::on_both!(a_request, a_quota, an_end, who_may_apply);

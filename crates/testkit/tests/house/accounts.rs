//! The account room: lock-out and its limits, what an administrator does, and organisations that change.

use app::account;
use chrono::TimeDelta;
use model::account::{Role, UserChange};
use model::audit::AuditFilter;
use model::org::Org;
use model::search::SearchQuery;
use model::{Actor, Code, Op};
use testkit::{AUTHORITY_ORG, COUNTY_ORG, House, PASSWORD, PROVIDER_ORG, Postgres};

use crate::railway::Source;

/// Signs in from an address; the code of the refusal, or `None`.
async fn from(house: &House, address: &str, name: &str, password: &str) -> Option<Code> {
    let op = house.app.op(Actor::Nobody, address);
    account::sign_in(&house.app, &op, name, password).await.err().map(|e| e.code())
}

async fn sign_in(house: &House, name: &str, password: &str) -> Option<Code> {
    from(house, "192.0.2.1", name, password).await
}

/// Failures lock a name out for longer and longer; a good sign-in forgets them.
async fn a_lock_out(house: House) {
    for _ in 0..5 {
        assert_eq!(sign_in(&house, "consumer", "wrong").await, Some(Code::WrongCredentials));
    }
    assert_eq!(sign_in(&house, "consumer", PASSWORD).await, Some(Code::LockedOut), "even right");
    house.clock.forward(TimeDelta::seconds(31));
    assert_eq!(sign_in(&house, "Consumer ", "wrong").await, Some(Code::WrongCredentials));
    house.clock.forward(TimeDelta::seconds(31));
    assert_eq!(sign_in(&house, "consumer", PASSWORD).await, Some(Code::LockedOut), "a minute now");
    house.clock.forward(TimeDelta::seconds(31));
    assert_eq!(sign_in(&house, "consumer", PASSWORD).await, None);
    for _ in 0..4 {
        assert_eq!(sign_in(&house, "consumer", "wrong").await, Some(Code::WrongCredentials));
    }
    assert_eq!(sign_in(&house, "consumer", PASSWORD).await, None, "failures were forgotten");
}

/// Guesses made at once are each counted before any is checked: no more are checked than one after the other.
async fn guesses_at_once(house: House) {
    let guesses = (0..40).map(|n| {
        let (house, address) = (&house, format!("192.0.2.{n}"));
        async move { from(house, &address, "consumer", "wrong").await }
    });
    let answers = futures::future::join_all(guesses).await;
    let of = |code| answers.iter().filter(|a| **a == Some(code)).count();
    assert_eq!((of(Code::WrongCredentials), of(Code::LockedOut)), (5, 35));
}

/// Whether a name has an account cannot be told from the answers.
async fn names_are_not_told(house: House) {
    let mut told = Vec::new();
    for name in ["consumer", "no-such-person"] {
        let mut answers = Vec::new();
        for _ in 0..8 {
            let op = house.app.op(Actor::Nobody, "192.0.2.9");
            let e = account::sign_in(&house.app, &op, name, "wrong").await.unwrap_err();
            let words: String = e.zh().chars().filter(|c| !c.is_ascii_digit()).collect();
            answers.push((e.code(), words));
        }
        told.push(answers);
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(told[1].last().unwrap().0, Code::LockedOut);
}

/// One address may fail so often, whatever names it tries; good sign-ins do not count.
async fn an_address(house: House) {
    for _ in 0..40 {
        assert_eq!(sign_in(&house, "county", PASSWORD).await, None);
    }
    let mut refused = 0;
    for n in 0..40 {
        match sign_in(&house, &format!("name-{n}"), "spray").await {
            Some(Code::RateLimited) => refused += 1,
            other => assert_eq!(other, Some(Code::WrongCredentials), "{n}"),
        }
    }
    assert!((9..=10).contains(&refused), "{refused}");
    assert_eq!(sign_in(&house, "county", PASSWORD).await, Some(Code::RateLimited));
    assert_eq!(from(&house, "192.0.2.2", "county", PASSWORD).await, None, "another address");
    house.clock.forward(TimeDelta::seconds(61));
    assert_eq!(sign_in(&house, "county", PASSWORD).await, None);
}

/// Guesses at the present password count as at sign-in; a change ends every session.
async fn a_password_change(house: House) {
    let app = &house.app;
    let op = app.op(Actor::Nobody, "192.0.2.1");
    let session = account::sign_in(app, &op, "county", PASSWORD).await.unwrap();
    let now = || app.op(session.actor.clone(), "192.0.2.1");
    let code = |e: model::Result<()>| e.unwrap_err().code();
    let weak = account::change_password(app, &now(), PASSWORD, "short").await;
    assert_eq!(code(weak), Code::InvalidInput);
    let same = account::change_password(app, &now(), PASSWORD, PASSWORD).await;
    assert_eq!(code(same), Code::InvalidInput);
    account::change_password(app, &now(), PASSWORD, "Another-2026!").await.unwrap();
    assert!(account::session(app, &session.token).await.unwrap().is_none());
    assert_eq!(sign_in(&house, "county", PASSWORD).await, Some(Code::WrongCredentials));
    assert_eq!(sign_in(&house, "county", "Another-2026!").await, None);
    for _ in 0..5 {
        let e = account::change_password(app, &now(), "wrong", "Third-time-2026!").await;
        assert_eq!(code(e), Code::WrongCredentials);
    }
    let e = account::change_password(app, &now(), "Another-2026!", "Third-time-2026!").await;
    assert_eq!(code(e), Code::LockedOut);
}

async fn id_of(house: &House, name: &str) -> String {
    house.person(name).await.actor.id().to_owned()
}

/// A forgotten password: a one-time one, shown once, that opens nothing but its own change.
async fn a_forgotten_password(house: House) {
    let app = &house.app;
    let admin = house.person("admin").await;
    let id = id_of(&house, "consumer").await;
    for who in ["consumer", "authority", "security"] {
        let e = account::reset_password(app, &house.person(who).await, &id).await.unwrap_err();
        assert_eq!(e.code(), Code::Denied, "{who}");
    }
    let own = account::reset_password(app, &admin, admin.actor.id()).await.unwrap_err();
    assert_eq!(own.code(), Code::RuleBroken);
    // A lock-out is lifted with it, and sessions end.
    let op = app.op(Actor::Nobody, "192.0.2.1");
    let before = account::sign_in(app, &op, "consumer", PASSWORD).await.unwrap();
    for _ in 0..5 {
        sign_in(&house, "consumer", "wrong").await;
    }
    let given = account::reset_password(app, &admin, &id).await.unwrap();
    assert!(account::session(app, &before.token).await.unwrap().is_none());
    assert_eq!(sign_in(&house, "consumer", PASSWORD).await, Some(Code::WrongCredentials));
    let shown = account::account(app, &admin, &id).await.unwrap();
    assert_eq!(shown.one_time_until.as_ref(), Some(&given.until));

    let op = app.op(Actor::Nobody, "192.0.2.1");
    let session = account::sign_in(app, &op, "consumer", &given.password).await.unwrap();
    assert!(session.must_change);
    let session = account::session(app, &session.token).await.unwrap().unwrap();
    assert!(session.must_change && session.actor.roles().is_empty());
    let bound = app.op(session.actor.clone(), "192.0.2.1");
    let new = model::account::ApplicationNew {
        name: "x".into(),
        description: String::new(),
        org: "org-team".into(),
    };
    let e = account::register_application(app, &bound, new).await.unwrap_err();
    assert_eq!(e.code(), Code::Denied, "no roles until it is changed");
    account::change_password(app, &bound, &given.password, "My-own-2026!").await.unwrap();
    let op = app.op(Actor::Nobody, "192.0.2.1");
    let session = account::sign_in(app, &op, "consumer", "My-own-2026!").await.unwrap();
    assert!(!session.must_change && session.actor.has(Role::Consumer));
    assert_eq!(sign_in(&house, "consumer", &given.password).await, Some(Code::WrongCredentials));

    // Not used in time, it is worth nothing.
    let given = account::reset_password(app, &admin, &id).await.unwrap();
    house.clock.forward(TimeDelta::hours(25));
    let op = app.op(Actor::Nobody, "192.0.2.1");
    let e = account::sign_in(app, &op, "consumer", &given.password).await.unwrap_err();
    assert!(e.code() == Code::WrongCredentials && e.zh().contains("过期"), "{e}");
    let records = records(&house, "user.reset_password").await;
    assert!(records.contains("\"ok\"") && !records.contains(&given.password), "{records}");
}

/// Records of an action as text.
async fn records(house: &House, action: &str) -> String {
    let auditor = house.person("auditor").await;
    let filter = AuditFilter { action: Some(action.into()), limit: 100, ..AuditFilter::default() };
    let found = app::audit::list(&house.app, &auditor, &filter).await.unwrap();
    serde_json::to_string(&found).unwrap()
}

/// Roles are changed by another administrator and hold from the next page on; a lock-out is lifted.
async fn roles_and_unlocking(house: House) {
    let app = &house.app;
    let admin = house.person("admin").await;
    let op = app.op(Actor::Nobody, "192.0.2.1");
    let session = account::sign_in(app, &op, "county", PASSWORD).await.unwrap();
    let id = session.user.id.clone();
    let change = |roles: &[Role], org: Option<&str>| UserChange {
        display_name: "余杭小李".into(),
        org: org.map(Into::into),
        roles: roles.to_vec(),
    };
    let both = change(&[Role::Reviewer, Role::Consumer, Role::Reviewer], Some(COUNTY_ORG));
    let county = house.person("county").await;
    let by_other = account::change_user(app, &county, &id, both.clone()).await;
    assert_eq!(by_other.unwrap_err().code(), Code::Denied);
    let user = account::change_user(app, &admin, &id, both).await.unwrap();
    assert_eq!(user.roles, [Role::Reviewer, Role::Consumer]);
    assert!(
        account::session(app, &session.token).await.unwrap().is_none(),
        "it ends with its roles"
    );
    let session = account::sign_in(app, &house.nobody(), "county", PASSWORD).await.unwrap();
    assert!(session.actor.has(Role::Reviewer) && session.user.display_name == "余杭小李");
    for (bad, org) in [(vec![], Some(COUNTY_ORG)), (vec![Role::Provider], None)] {
        let e = account::change_user(app, &admin, &id, change(&bad, org)).await.unwrap_err();
        assert_eq!(e.code(), Code::InvalidInput);
    }
    let e = account::change_user(app, &admin, &id, change(&[Role::Consumer], Some("org-none")));
    assert_eq!(e.await.unwrap_err().code(), Code::NotFound);
    let own = change(&[Role::SystemAdministrator, Role::Authority], Some(AUTHORITY_ORG));
    let e = account::change_user(app, &admin, admin.actor.id(), own).await.unwrap_err();
    assert_eq!(e.code(), Code::RuleBroken, "nobody gives themself a role");
    assert!(records(&house, "user.change").await.contains("consumer"));

    for _ in 0..5 {
        sign_in(&house, "county", "wrong").await;
    }
    assert!(account::account(app, &admin, &id).await.unwrap().locked_until.is_some());
    let list = account::accounts(app, &admin, None, 100).await.unwrap().items;
    assert_eq!(list.iter().filter(|a| a.locked_until.is_some()).count(), 1);
    assert_eq!(sign_in(&house, "county", PASSWORD).await, Some(Code::LockedOut));
    account::unlock(app, &admin, &id).await.unwrap();
    assert_eq!(sign_in(&house, "county", PASSWORD).await, None);
}

/// An organisation changes: what is decided by it follows at once, search finds the new name.
async fn an_organisation(house: House) {
    let app = &house.app;
    house.publish(testkit::draft("shuizhi")).await;
    let admin = house.person("admin").await;
    let before = app::org::get(app, &admin, PROVIDER_ORG).await.unwrap();
    let renamed = Org { name_cn: "省市场监督管理局".into(), ..before.clone() };
    let e = app::org::change(app, &house.person("provider").await, renamed.clone()).await;
    assert_eq!(e.unwrap_err().code(), Code::Denied);
    app::org::change(app, &admin, renamed.clone()).await.unwrap();
    let query = SearchQuery { text: "shuizhi".into(), limit: 10, ..SearchQuery::default() };
    let found = app::opening::search(app, &house.nobody(), query).await.unwrap();
    assert_eq!(found.hits[0].doc.org_name, "省市场监督管理局");
    // Another's credit code, a circle, a region that is not there.
    let other = app::org::get(app, &admin, AUTHORITY_ORG).await.unwrap();
    for (bad, code) in [
        (Org { uscc: other.uscc.clone(), ..renamed.clone() }, Code::Duplicate),
        (Org { parent: Some(PROVIDER_ORG.into()), ..renamed.clone() }, Code::InvalidInput),
        (Org { region: "339999".into(), ..renamed.clone() }, Code::NotFound),
    ] {
        let e = app::org::change(app, &admin, bad).await.unwrap_err();
        assert_eq!(e.code(), code, "{e}");
    }
    let below = Org { parent: Some(PROVIDER_ORG.into()), ..other.clone() };
    app::org::change(app, &admin, below).await.unwrap();
    let circle = Org { parent: Some(AUTHORITY_ORG.into()), ..renamed };
    let e = app::org::change(app, &admin, circle).await.unwrap_err();
    assert_eq!(e.fields()[0].field, "parent");
    // Its people act for the new region.
    let moved = Org { region: "330200".into(), ..other };
    app::org::change(app, &admin, moved).await.unwrap();
    let op: Op = house.person("authority").await;
    let Actor::User { region, .. } = &op.actor else { panic!("a person") };
    assert_eq!(region.as_deref(), Some("330200"));
    assert!(records(&house, "org.change").await.contains("region"));
}

/// Sessions end with what they stood for, in one step: where they cannot be ended, roles and password stay as they were.
#[tokio::test]
async fn no_session_outlives_its_roles_or_password() {
    const NEW: &str = "another-Passw0rd-2026";
    let store = Postgres::start();
    let house = House::on(&store.database("store")).await;
    let app = &house.app;
    let admin = house.person("admin").await;
    let session = account::sign_in(app, &house.nobody(), "county", PASSWORD).await.unwrap();
    let id = session.user.id.clone();
    let change = || UserChange {
        display_name: "余杭小李".into(),
        org: Some(COUNTY_ORG.into()),
        roles: vec![Role::Reviewer, Role::Consumer],
    };
    let own = app.op(session.actor.clone(), "192.0.2.1");
    let hand = Source::open(store.port(), "store").await;
    hand.deny("DELETE ON session FOR EACH ROW").await;
    account::change_user(app, &admin, &id, change()).await.unwrap_err();
    account::change_password(app, &own, PASSWORD, NEW).await.unwrap_err();
    let before = account::account(app, &admin, &id).await.unwrap();
    assert_eq!(before.user.roles, session.user.roles);
    assert_eq!(sign_in(&house, "county", NEW).await, Some(Code::WrongCredentials));
    hand.run("DROP TRIGGER deny ON session").await;
    account::change_user(app, &admin, &id, change()).await.unwrap();
    assert!(account::session(app, &session.token).await.unwrap().is_none());
    let session = account::sign_in(app, &house.nobody(), "county", PASSWORD).await.unwrap();
    let own = app.op(session.actor.clone(), "192.0.2.1");
    account::change_password(app, &own, PASSWORD, NEW).await.unwrap();
    assert!(account::session(app, &session.token).await.unwrap().is_none());
    assert_eq!(sign_in(&house, "county", NEW).await, None);
}

crate::on_both!(
    a_lock_out,
    guesses_at_once,
    names_are_not_told,
    an_address,
    a_password_change,
    a_forgotten_password,
    roles_and_unlocking,
    an_organisation,
);

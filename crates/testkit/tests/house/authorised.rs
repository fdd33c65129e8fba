//! Authorisation by the subject: nothing about it leaves without, uses are told, revocation holds from the next call, and who asks learns
//! nothing of whom it asks.

use app::authorisation;
use app::sharing;
use chrono::TimeDelta;
use model::bounds::{Bounds, BoundsKind};
use model::code::SyncMode;
use model::identity::{AuthorisationNew, AuthorisationState, SubjectKind};
use model::query::{Comparison, Condition, RowQuery};
use model::request::{Period, RequestNew};
use model::{Code, Error, Op};
use testkit::House;

/// Valid check digits, invented people.
const PEOPLE: &str = "sfzh,xm,sjh,csrq,region_code\n\
    11010519491231002X,张三丰,13800138000,1949-12-31,330106\n\
    440524188001010014,李四,13900139000,1880-01-01,330200\n";
const ONE: &str = "11010519491231002X";
const OTHER: &str = "440524188001010014";

/// Persons are collected, granted to an application, and bound to their own authorisation.
async fn bound(house: &House) -> (Op, String, String) {
    let (caller, secret) = house.application("贷款审批").await;
    house.publish(testkit::person_draft("renkou")).await;
    house.collect("renkou", "people.csv", PEOPLE.as_bytes(), SyncMode::Full).await.unwrap();
    let id = secret.application.id.clone();
    let consumer = house.person("consumer").await;
    let wanted = RequestNew {
        entry: "renkou".into(),
        application: id.clone(),
        items: ["sfzh", "xm", "csrq"].map(str::to_owned).into(),
        scene: "核验办事人身份".into(),
        legal_basis: "部门职责".into(),
        period: Period::Days { days: 300 },
        calls_per_day: 10_000,
        area_range: String::new(),
        row_range: Default::default(),
        by_sql: false,
    };
    let request = sharing::apply(&house.app, &consumer, wanted).await.unwrap();
    for who in ["provider", "authority"] {
        let op = house.person(who).await;
        sharing::review(&house.app, &op, &request.id, true, "").await.unwrap();
    }
    let provider = house.person("provider").await;
    let bounds = Bounds { authorised: Some("sfzh".into()), ..Bounds::default() };
    let kind = BoundsKind::Entry;
    sharing::set_bounds(&house.app, &provider, kind, &request.entry, bounds).await.unwrap();
    (caller, id, secret.application.key)
}

fn is(values: &[&str]) -> Condition {
    let comparison = match values {
        [one] => Comparison::Eq((*one).into()),
        more => Comparison::In(more.iter().map(|v| (*v).to_owned()).collect()),
    };
    Condition::Column { column: "sfzh".into(), comparison }
}

async fn ask(
    house: &House,
    caller: &Op,
    filter: Condition,
    select: &[&str],
) -> Result<usize, Error> {
    house.clock.forward(TimeDelta::seconds(1));
    let op = house.app.op(caller.actor.clone(), "10.1.2.3");
    let query = RowQuery {
        filter: Some(filter),
        select: select.iter().map(|s| ((*s).to_owned(), None)).collect(),
        ..RowQuery::default()
    };
    sharing::query(&house.app, &op, "renkou", &query).await.map(|r| r.page.rows.len())
}

fn told(outcome: Result<usize, Error>) -> (Code, String) {
    let error = outcome.unwrap_err();
    (error.code(), error.reasons().join(","))
}

fn new(application: &str, items: &[&str]) -> AuthorisationNew {
    AuthorisationNew {
        application: application.into(),
        entry: "renkou".into(),
        items: items.iter().map(|i| (*i).to_owned()).collect(),
        purpose: "办理住房贷款".into(),
        days: 30,
    }
}

/// Confirmed by another, asked, agreed, used, revoked.
async fn asked_and_revoked(house: House) {
    let app = &house.app;
    let (caller, id, _) = bound(&house).await;
    let nothing = (Code::NoGrant, "authorisation.subject".to_owned());
    assert_eq!(told(ask(&house, &caller, is(&[ONE]), &[]).await), nothing);
    house.clock.forward(TimeDelta::seconds(1));
    let op = app.op(caller.actor.clone(), "10.1.2.3");
    let whole = sharing::query(app, &op, "renkou", &RowQuery::default()).await;
    assert_eq!(whole.unwrap_err().reasons(), ["bounds.entry.subject-unnamed"]);

    // Whose identifier an account has is confirmed by the administrator, never by oneself, and once.
    let (admin, citizen) = (house.person("admin").await, house.person("citizen").await);
    let kind = SubjectKind::Person;
    assert!(authorisation::subject(app, &citizen).await.unwrap().is_none());
    for (who, account, number, code) in [
        (&citizen, citizen.actor.id(), ONE, Code::Denied),
        (&admin, admin.actor.id(), OTHER, Code::Denied),
        (&admin, citizen.actor.id(), "11010519491231002Y", Code::InvalidInput),
    ] {
        let e = authorisation::confirm(app, who, account, kind, number).await.unwrap_err();
        assert_eq!(e.code(), code, "{number}");
    }
    authorisation::confirm(app, &admin, citizen.actor.id(), kind, "11010519491231002x")
        .await
        .unwrap();
    let shown = authorisation::subject(app, &citizen).await.unwrap().unwrap().shown;
    assert_eq!(shown, "110*************2X");
    let auditor = house.person("auditor").await;
    let e = authorisation::confirm(app, &admin, auditor.actor.id(), kind, ONE).await.unwrap_err();
    assert_eq!(e.code(), Code::Duplicate);

    // Who asks gets the same answer whether there is an account or not; the subject alone sees it.
    let consumer = house.person("consumer").await;
    let asked = authorisation::ask(app, &consumer, new(&id, &[]), kind, ONE).await.unwrap();
    let unknown = authorisation::ask(app, &consumer, new(&id, &[]), kind, OTHER).await.unwrap();
    assert_eq!(
        (asked.state, unknown.state),
        (AuthorisationState::Asked, AuthorisationState::Asked)
    );
    assert!(!serde_json::to_string(&asked).unwrap().contains(ONE));
    let e = authorisation::ask(app, &consumer, new(&id, &[]), kind, ONE).await.unwrap_err();
    assert_eq!(e.code(), Code::Duplicate);
    let stranger = house.person("enterprise").await;
    let e = authorisation::ask(app, &stranger, new(&id, &[]), kind, ONE).await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound, "another organisation's application");
    let e = authorisation::one(app, &stranger, &asked.id).await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound);
    let e = authorisation::one(app, &citizen, &unknown.id).await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound);
    let notices = app::notice::list(app, &citizen, false, None, 50).await.unwrap();
    assert!(
        notices
            .items
            .iter()
            .any(|n| n.kind == "authorisation.asked" && n.href.ends_with(&asked.id))
    );
    assert_eq!(told(ask(&house, &caller, is(&[ONE]), &[]).await), nothing, "asking allows nothing");

    let citizen = house.person("citizen").await;
    let letter = authorisation::one(app, &citizen, &asked.id).await.unwrap();
    assert!(letter.letter_zh.contains("贷款审批") && letter.letter_zh.contains("办理住房贷款"));
    let given = authorisation::answer(app, &citizen, &asked.id, true).await.unwrap();
    assert_eq!((given.state, given.letter.as_str()), (AuthorisationState::Standing, "1"));
    assert_eq!(ask(&house, &caller, is(&[ONE]), &["xm"]).await.unwrap(), 1);
    // Of two only one has agreed: nobody's row leaves.
    assert_eq!(told(ask(&house, &caller, is(&[ONE, OTHER]), &[]).await), nothing);
    let either = Condition::Or(vec![
        is(&[ONE]),
        Condition::Column {
            column: "csrq".into(),
            comparison: Comparison::Eq("1880-01-01".into()),
        },
    ]);
    let e = ask(&house, &caller, either, &[]).await.unwrap_err();
    assert_eq!(e.reasons(), ["bounds.entry.subject-unnamed"]);
    let uses = authorisation::one(app, &citizen, &asked.id).await.unwrap().uses;
    assert_eq!(uses.len(), 1, "{uses:?}");
    assert_eq!(uses[0].items, "sfzh,xm");

    // Revoked: the next call is refused.
    let citizen = house.person("citizen").await;
    authorisation::revoke(app, &citizen, &asked.id).await.unwrap();
    assert_eq!(told(ask(&house, &caller, is(&[ONE]), &["xm"]).await), nothing);
    let e = authorisation::revoke(app, &citizen, &asked.id).await.unwrap_err();
    assert_eq!(e.code(), Code::WrongState);
    let seen = authorisation::asked(app, &consumer, &id, None, 10).await.unwrap();
    let mut states: Vec<AuthorisationState> = seen.items.iter().map(|a| a.state).collect();
    states.sort_unstable();
    assert_eq!(states, [AuthorisationState::Asked, AuthorisationState::Revoked]);
}

/// Given by oneself, for some items and a term; of another application and for other items it allows nothing.
async fn given_for_a_term(house: House) {
    let app = &house.app;
    let (caller, id, key) = bound(&house).await;
    let (admin, citizen) = (house.person("admin").await, house.person("citizen").await);
    let e = authorisation::give(app, &citizen, new(&key, &[])).await.unwrap_err();
    assert_eq!(e.code(), Code::RuleBroken, "no identifier is confirmed");
    let kind = SubjectKind::Person;
    authorisation::confirm(app, &admin, citizen.actor.id(), kind, ONE).await.unwrap();
    for wrong in [
        new("nobody", &[]),
        new(&key, &["sjh"]),
        AuthorisationNew { entry: "never".into(), ..new(&key, &[]) },
        AuthorisationNew { purpose: "无".into(), ..new(&key, &[]) },
        AuthorisationNew { days: 0, ..new(&key, &[]) },
        AuthorisationNew { days: 10_000, ..new(&key, &[]) },
    ] {
        let e = authorisation::give(app, &citizen, wrong).await.unwrap_err();
        assert_eq!(e.code(), Code::InvalidInput, "{e}");
    }
    let given = authorisation::give(app, &citizen, new(&key, &["sfzh", "xm"])).await.unwrap();
    assert_eq!(
        (given.application.as_str(), given.until.get(..10)),
        (id.as_str(), Some("2026-04-01"))
    );
    assert_eq!(ask(&house, &caller, is(&[ONE]), &["xm"]).await.unwrap(), 1);
    let items = (Code::NoGrant, "authorisation.items".to_owned());
    assert_eq!(told(ask(&house, &caller, is(&[ONE]), &["xm", "csrq"]).await), items);
    assert_eq!(told(ask(&house, &caller, is(&[ONE]), &[]).await), items, "all that is granted");
    // What is only compared is told of, too.
    let born = Condition::Column {
        column: "csrq".into(),
        comparison: Comparison::Eq("1949-12-31".into()),
    };
    let both = Condition::And(vec![is(&[ONE]), born]);
    assert_eq!(told(ask(&house, &caller, both, &["xm"]).await), items);
    house.clock.forward(TimeDelta::days(30));
    let over = (Code::NoGrant, "authorisation.subject".to_owned());
    assert_eq!(told(ask(&house, &caller, is(&[ONE]), &["xm"]).await), over);
}

crate::on_both!(asked_and_revoked, given_for_a_term);

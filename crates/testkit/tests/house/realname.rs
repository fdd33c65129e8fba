//! A verification is taken back: the account counts as not verified, what was agreed with it gives nothing from the next call on, and
//! whoever has to know is told. Desks are reminded of what waits: once when it is due, once when it is late.

use app::restricted::{self, UseOrder};
use app::{account, authorisation, dispatch, realname};
use model::account::{ApplicationNew, ApplicationSecret};
use model::code::SyncMode;
use model::dispatch::Job;
use model::identity::{AuthorisationNew, AuthorisationState, SubjectKind};
use model::realname::{RealNameDetails, RealNameFiling, RealNameState};
use model::restricted::{UseDeed, UseState};
use model::{Code, Op, Result, ident};
use testkit::{ENTERPRISE_ORG, House, use_of};

use crate::restricted::{columns, prepared, restricted_open, told as notices};
use crate::signup::{
    HIDDEN, NUMBER, approve, code, company, decided, details, filed, from, opened, person, records,
    state, told,
};

const ROWS: &[u8] = b"id,name,amount,day\n1,a,1.50,2026-01-01\n2,b,2.25,2026-01-02\n";

/// Taken back by one of the people, as they see the filing now.
async fn revoked(
    house: &House,
    who: &str,
    filing: &RealNameFiling,
    reason: &str,
) -> Result<RealNameFiling> {
    let op = house.person(who).await;
    let seen = house.app.store.real_name_get(&filing.id).await.unwrap().unwrap().edit;
    realname::revoke(&house.app, &op, &filing.id, seen, reason).await
}

async fn application(house: &House, op: &Op, org: &str) -> ApplicationSecret {
    let new = ApplicationNew { name: "论文".into(), description: String::new(), org: org.into() };
    account::register_application(&house.app, op, new).await.unwrap()
}

fn identity_number(head: &str) -> String {
    format!("{head}{}", ident::citizen_check(head).unwrap())
}

/// A citizen's agreement stops at the next call, and goes on when somebody has confirmed anew who it is.
async fn a_verification_is_revoked(house: House) {
    let app = &house.app;
    house.publish(restricted_open("shenhe")).await;
    house.collect("shenhe", "y.csv", ROWS, SyncMode::Full).await.unwrap();
    let user = opened(&house, person("self-made")).await;
    let filing = filed(&house, "self-made", NUMBER).await;
    assert_eq!(
        code(revoked(&house, "authority", &filing, "材料系伪造").await),
        Code::WrongState,
        "nothing is verified yet"
    );
    decided(&house, "authority", &filing, approve()).await.unwrap();
    let op = house.person("self-made").await;
    let secret = application(&house, &op, "").await;
    let wanted = use_of(&secret.application.id, "shenhe", &["id", "name"]);
    let a = house.use_in_force(&op, wanted.clone()).await;
    assert_eq!(columns(&house, &secret, "shenhe").await.unwrap(), ["id", "name"]);
    let new = AuthorisationNew {
        application: secret.application.id.clone(),
        entry: "shenhe".into(),
        items: Vec::new(),
        purpose: "以本人名义办理企业登记查询".into(),
        days: 30,
    };
    let given = authorisation::give(app, &op, new).await.unwrap();
    // Later: what is made at one moment has no order.
    let op = house.person("self-made").await;
    let second = application(&house, &op, "").await;
    let second = use_of(&second.application.id, "shenhe", &["id"]);
    let waiting = house.use_submitted(&op, second).await.unwrap().number;

    // The desk sees what stands or falls with it; nobody else has one.
    let authority = house.person("authority").await;
    let seen = realname::filing(app, &authority, &filing.id).await.unwrap();
    let listed: Vec<&str> = seen.uses.listed.iter().map(|u| u.number.as_str()).collect();
    assert_eq!((listed, seen.uses.elsewhere), (vec![waiting.as_str(), a.number.as_str()], 0));
    for who in ["self-made", "citizen", "provider", "admin", "auditor"] {
        assert_eq!(code(revoked(&house, who, &filing, "试试").await), Code::NotFound, "{who}");
    }
    assert_eq!(code(revoked(&house, "authority", &filing, "").await), Code::InvalidInput);
    let stale = realname::revoke(app, &authority, &filing.id, 1, "材料系伪造").await;
    assert_eq!(code(stale), Code::Stale);
    assert_eq!(columns(&house, &secret, "shenhe").await.unwrap(), ["id", "name"]);

    let over = revoked(&house, "authority", &filing, "核验材料系伪造").await.unwrap();
    assert_eq!((over.state, over.reason.as_str()), (RealNameState::Revoked, "核验材料系伪造"));
    let refused = told(columns(&house, &secret, "shenhe").await, "realname.revoked");
    assert_eq!(refused.code(), Code::NoGrant);
    assert!(refused.zh().contains("已被撤销") && refused.en().contains("was revoked"));
    let op = house.person("self-made").await;
    let standing = realname::standing(app, &op).await.unwrap();
    assert_eq!((standing.state, standing.may_file), (RealNameState::Revoked, true));
    assert_eq!(standing.shown, HIDDEN);
    assert!(app.store.subject_of(&user.id).await.unwrap().is_none());
    assert_eq!(app.store.real_name_sealed(&filing.id).await.unwrap(), "", "not needed any more");
    told(restricted::file(app, &op, wanted.clone()).await, "realname.revoked");
    // What waits is signed by nobody; what is in force keeps its state, and its parties see why nothing comes.
    house.use_approved(&waiting, &["provider", "authority"]).await;
    house.use_file(&op, &waiting, "seal:undertaking").await.unwrap();
    let order = UseOrder::new(UseDeed::SignUndertaking, "");
    told(restricted::act(app, &op, &waiting, order).await, "realname.revoked");
    let parties = [op.clone(), house.person("provider").await, house.person("authority").await];
    for party in parties {
        let seen = restricted::open(app, &party, &a.number).await.unwrap();
        assert!(seen.revoked && seen.application.state == UseState::InForce);
    }
    let ended = app.store.authorisation_get(&given.id).await.unwrap().unwrap();
    assert_eq!(ended.state, AuthorisationState::Revoked, "it was in somebody else's name");

    // Each is told once, the record says who and why, and never the number.
    for (who, least) in [("self-made", 1), ("provider", 1), ("authority", 1), ("stranger", 0)] {
        let told = notices(&house, who, "realname.revoked").await;
        assert!(told >= least && (least > 0 || told == 0), "{who}: {told}");
    }
    let all = records(&house, "realname.revoke").await;
    assert!(all.contains("核验材料系伪造") && all.contains("self-made"), "{all}");
    assert!(!all.contains(NUMBER), "{all}");
    assert_eq!(code(revoked(&house, "authority", &filing, "再次").await), Code::WrongState);

    // The administrator sees it, and who opened the account.
    let admin = house.person("admin").await;
    let mine = account::account(app, &admin, &user.id).await.unwrap().real_name.unwrap();
    assert_eq!((mine.state, mine.filing.as_str()), (RealNameState::Revoked, filing.id.as_str()));
    assert!(mine.sign_up.is_some());
    let accounts = account::accounts(app, &admin, None, 200).await.unwrap().items;
    let of = |name: &str| accounts.iter().find(|a| a.user.name == name).unwrap();
    assert!(of("provider").real_name.is_none(), "of a public body's people nobody asks");
    let citizen = of("citizen").real_name.as_ref().unwrap();
    assert!(citizen.sign_up.is_none() && citizen.state == RealNameState::Unverified);
    let enterprise = of("enterprise").real_name.as_ref().unwrap();
    assert_eq!(enterprise.state, RealNameState::Verified, "by its organisation");

    // Filed anew, refused or taken back it stays so; confirmed anew it goes on.
    let again = filed(&house, "self-made", NUMBER).await;
    told(columns(&house, &secret, "shenhe").await, "realname.revoked");
    decided(&house, "authority", &again, approve()).await.unwrap();
    assert_eq!(state(&house, "self-made").await, RealNameState::Verified);
    assert_eq!(columns(&house, &secret, "shenhe").await.unwrap(), ["id", "name"]);
}

/// An account that somebody else opened is vouched for, until it was found out.
async fn nobody_vouches_for_a_forgery(house: House) {
    let app = &house.app;
    house.publish(restricted_open("shenhe")).await;
    let op = house.person("citizen").await;
    let secret = application(&house, &op, "").await;
    let wanted = use_of(&secret.application.id, "shenhe", &["id"]);
    restricted::file(app, &op, wanted.clone()).await.unwrap();
    let number = identity_number("33010619900101123");
    let filing = filed(&house, "citizen", &number).await;
    decided(&house, "authority", &filing, approve()).await.unwrap();
    revoked(&house, "authority", &filing, "冒用他人身份").await.unwrap();
    told(restricted::file(app, &op, wanted.clone()).await, "realname.revoked");
    // The administrator who has seen the document vouches anew.
    let admin = house.person("admin").await;
    let person = SubjectKind::Person;
    authorisation::confirm(app, &admin, op.actor.id(), person, &number).await.unwrap();
    restricted::file(app, &op, wanted).await.unwrap();
    // Nobody revokes their own.
    let own = filed(&house, "authority", &identity_number("33010619900101125")).await;
    decided(&house, "city", &own, approve()).await.unwrap();
    assert_eq!(code(revoked(&house, "authority", &own, "本人").await), Code::NotFound);
    revoked(&house, "city", &own, "录入有误").await.unwrap();
}

/// An enterprise's account leaves the organisation; what its colleagues agreed to goes on.
async fn an_enterprise_is_left(house: House) {
    let app = &house.app;
    let others = prepared(&house, "qiye").await;
    let colleague = house.person("enterprise").await;
    house.use_in_force(&colleague, use_of(&others.application.id, "qiye", &["id"])).await;
    let known = app.store.org_get(ENTERPRISE_ORG).await.unwrap().unwrap();
    let user = opened(&house, company("newcomer", &known.uscc)).await;
    let op = house.person("newcomer").await;
    let new = RealNameDetails { name: known.name_cn.clone(), ..details("x", &known.uscc) };
    let filing = realname::file(app, &op, new).await.unwrap();
    decided(&house, "authority", &filing, approve()).await.unwrap();
    let op = house.person("newcomer").await;
    let secret = application(&house, &op, ENTERPRISE_ORG).await;
    house.use_in_force(&op, use_of(&secret.application.id, "qiye", &["id", "name"])).await;
    let session =
        account::sign_in(app, &house.nobody(), "newcomer", crate::signup::SECRET).await.unwrap();
    assert!(account::session(app, &session.token).await.unwrap().is_some());

    revoked(&house, "authority", &filing, "委托书系伪造").await.unwrap();
    assert!(account::session(app, &session.token).await.unwrap().is_none(), "it signs in anew");
    let op = house.person("newcomer").await;
    assert_eq!(op.actor.org(), None);
    assert_eq!(state(&house, "newcomer").await, RealNameState::Revoked);
    told(columns(&house, &secret, "qiye").await, "realname.revoked");
    assert_eq!(columns(&house, &others, "qiye").await.unwrap(), ["id"]);
    let colleague = house.person("enterprise").await;
    assert_eq!(colleague.actor.org(), Some(ENTERPRISE_ORG));
    assert!(app.store.subject_of(&user.id).await.unwrap().is_none());

    // Who may act for it comes by another account: the code is free.
    from(&house, "192.0.2.88", company("successor", &known.uscc)).await.unwrap();
    let next = filed(&house, "successor", &known.uscc).await;
    decided(&house, "authority", &next, approve()).await.unwrap();
    assert_eq!(house.person("successor").await.actor.org(), Some(ENTERPRISE_ORG));
    told(columns(&house, &secret, "qiye").await, "realname.revoked");
}

/// One turn of the job that reminds.
async fn turn(house: &House) {
    let admin = house.person("admin").await;
    let run = dispatch::run_now(&house.app, &admin, Job::Notices).await.unwrap();
    assert_eq!(run.outcome, "ok", "{run:?}");
}

/// Near the day each desk is told once, and once more when the day is over.
async fn desks_are_reminded(house: House) {
    opened(&house, person("self-made")).await;
    opened(&house, person("quick")).await;
    let filing = filed(&house, "self-made", NUMBER).await;
    assert_eq!(filing.due.to_string(), "2026-03-05");
    let quick = filed(&house, "quick", &identity_number("33010619900101123")).await;
    decided(&house, "authority", &quick, approve()).await.unwrap();
    let mut told = Vec::new();
    // Monday to Saturday; twice a day.
    for _ in 0..6 {
        turn(&house).await;
        turn(&house).await;
        told.push(notices(&house, "authority", "realname.due").await);
        house.days_later(1);
    }
    assert_eq!(told, [0, 0, 1, 1, 2, 2], "due on Thursday");
    assert_eq!(notices(&house, "city", "realname.due").await, 2, "every authority has the desk");
    for who in ["self-made", "provider", "admin"] {
        assert_eq!(notices(&house, who, "realname.due").await, 0, "{who}");
    }
    let authority = house.person("authority").await;
    let page = app::notice::list(&house.app, &authority, true, None, 50).await.unwrap().items;
    let last = page.iter().find(|n| n.kind == "realname.due").unwrap();
    assert!(last.words.contains("2026-03-05") && last.words.contains("overdue"), "{last:?}");
    assert_eq!(last.href, format!("/console/realnames/{}", filing.id));
    decided(&house, "authority", &filing, approve()).await.unwrap();
    house.days_later(3);
    turn(&house).await;
    assert_eq!(notices(&house, "authority", "realname.due").await, 2, "it was answered");
}

crate::on_both!(
    a_verification_is_revoked,
    nobody_vouches_for_a_forgery,
    an_enterprise_is_left,
    desks_are_reminded
);

//! Self sign-up and real-name verification: who opens an account, what it may do until somebody has confirmed who it is, and what an
//! enterprise's account gets then.

use std::sync::Arc;

use app::account::{self, Session};
use app::realname::{self, RealNameOrder};
use app::{authorisation, restricted};
use chrono::TimeDelta;
use futures::StreamExt as _;
use model::account::{ApplicationNew, Role, User};
use model::audit::AuditFilter;
use model::code::OpenLevel;
use model::identity::SubjectKind;
use model::org::OrgKind;
use model::realname::{RealNameDetails, RealNameFiling, RealNameState, SignUpKind, SignUpNew};
use model::{Actor, Code, Error, Op, Result, ident};
use testkit::{ENTERPRISE_ORG, House, PROVIDER_ORG, use_of};

use crate::restricted::restricted_open;

pub(crate) const SECRET: &str = "Opened-By-Me-2026!";
pub(crate) const NUMBER: &str = "11010519491231002X";
pub(crate) const HIDDEN: &str = "110*************2X";

/// An address that nobody else in a scenario uses.
const HOME: &str = "192.0.2.7";

pub(crate) fn person(name: &str) -> SignUpNew {
    SignUpNew {
        kind: Some(SignUpKind::Citizen),
        name: name.into(),
        display_name: "小明".into(),
        password: SECRET.into(),
        agreed: true,
        ..SignUpNew::default()
    }
}

pub(crate) fn company(name: &str, uscc: &str) -> SignUpNew {
    SignUpNew {
        kind: Some(SignUpKind::Enterprise),
        company: "钱江数据有限公司".into(),
        uscc: uscc.into(),
        ..person(name)
    }
}

/// A credit code of an enterprise registered in a region.
fn credit_code(n: u32, region: &str) -> String {
    let body = format!("{:08}", 30_000_000 + n);
    let head = format!("91{region}{body}{}", ident::org_code_check(&body).unwrap());
    format!("{head}{}", ident::uscc_check(&head).unwrap())
}

pub(crate) async fn from(house: &House, address: &str, new: SignUpNew) -> Result<Session> {
    account::sign_up(&house.app, &house.app.op(Actor::Nobody, address), new).await
}

pub(crate) async fn opened(house: &House, new: SignUpNew) -> User {
    from(house, HOME, new).await.unwrap().user
}

pub(crate) fn details(name: &str, number: &str) -> RealNameDetails {
    RealNameDetails { name: name.into(), number: number.into(), representative: "李四".into() }
}

pub(crate) async fn filed(house: &House, name: &str, number: &str) -> RealNameFiling {
    let op = house.person(name).await;
    realname::file(&house.app, &op, details("张三", number)).await.unwrap()
}

/// The decision of one of the people.
pub(crate) async fn decided(
    house: &House,
    who: &str,
    filing: &RealNameFiling,
    order: RealNameOrder,
) -> Result<RealNameFiling> {
    let op = house.person(who).await;
    let seen = house.app.store.real_name_get(&filing.id).await.unwrap().unwrap().edit;
    realname::decide(&house.app, &op, &filing.id, seen, order).await
}

pub(crate) fn approve() -> RealNameOrder {
    RealNameOrder::Approve { region: String::new() }
}

fn refuse(reason: &str) -> RealNameOrder {
    RealNameOrder::Refuse { reason: reason.into() }
}

pub(crate) fn code<T: std::fmt::Debug>(outcome: Result<T>) -> Code {
    outcome.unwrap_err().code()
}

pub(crate) fn told<T: std::fmt::Debug>(outcome: Result<T>, reason: &str) -> Error {
    let error = outcome.unwrap_err();
    assert!(error.reasons().iter().any(|r| r == reason), "{reason}: {error:?}");
    error
}

pub(crate) async fn state(house: &House, name: &str) -> RealNameState {
    realname::standing(&house.app, &house.person(name).await).await.unwrap().state
}

/// Everything the audit chain holds of these actions, as one text.
pub(crate) async fn records(house: &House, action: &str) -> String {
    let auditor = house.person("auditor").await;
    let filter = AuditFilter { action: Some(action.into()), limit: 200, ..AuditFilter::default() };
    let found = app::audit::list(&house.app, &auditor, &filter).await.unwrap();
    serde_json::to_string(&found).unwrap()
}

/// A person signs up, is signed in, and is a citizen without an organisation; the password is in no record.
async fn a_citizen_signs_up(house: House) {
    let app = &house.app;
    let session = from(&house, HOME, person(" Xiao.Ming ")).await.unwrap();
    assert_eq!((session.user.name.as_str(), &session.user.org), ("xiao.ming", &None));
    assert_eq!(session.user.roles, [Role::Citizen]);
    assert!(account::session(app, &session.token).await.unwrap().is_some());
    account::sign_in(app, &house.nobody(), "xiao.ming", SECRET).await.unwrap();
    let kept = app.store.sign_up_get(&session.user.id).await.unwrap().unwrap();
    assert_eq!((kept.kind, kept.terms.as_str()), (SignUpKind::Citizen, "1"));
    let all = records(&house, "account").await;
    assert!(all.contains("account.sign_up") && all.contains("xiao.ming"), "{all}");
    assert!(!all.contains(SECRET), "a password in the audit");
    // It does what citizens do: an application of its own.
    let op = app.op(session.actor, HOME);
    let new =
        ApplicationNew { name: "小程序".into(), description: String::new(), org: String::new() };
    account::register_application(app, &op, new).await.unwrap();
    // Accounts that others opened have no sign-up.
    let citizen = house.person("citizen").await;
    assert!(app.store.sign_up_get(citizen.actor.id()).await.unwrap().is_none());
}

/// What is wrong is named; what nobody gets and what somebody has read the same.
async fn what_is_not_taken(house: House) {
    let fields =
        |error: Error| -> Vec<String> { error.fields().iter().map(|f| f.field.clone()).collect() };
    for (new, field) in [
        (SignUpNew { kind: None, ..person("somebody") }, "kind"),
        (SignUpNew { name: "ab".into(), ..person("x") }, "name"),
        (SignUpNew { name: "有名字".into(), ..person("x") }, "name"),
        (SignUpNew { name: "123456".into(), ..person("x") }, "name"),
        (SignUpNew { name: "a13800138000".into(), ..person("x") }, "name"),
        (SignUpNew { password: "short".into(), ..person("somebody") }, "password"),
        (SignUpNew { password: "Somebody-2026".into(), ..person("somebody") }, "password"),
        (SignUpNew { display_name: "x".into(), ..person("somebody") }, "display_name"),
        (SignUpNew { display_name: "平台管理员".into(), ..person("somebody") }, "display_name"),
        (SignUpNew { agreed: false, ..person("somebody") }, "agreed"),
        (company("somebody", "913300001234567890"), "uscc"),
        (SignUpNew { company: String::new(), ..company("somebody", "x") }, "company"),
    ] {
        let error = from(&house, HOME, new).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidInput, "{field}: {error:?}");
        assert_eq!(fields(error), [field]);
    }
    let mut answers = Vec::new();
    for name in ["admin", "ad-min", "root", "system1", "provider", "consumer"] {
        let error = from(&house, "192.0.2.8", person(name)).await.unwrap_err();
        answers.push((error.code(), error.zh().to_owned(), error.en().to_owned()));
    }
    assert_eq!(answers[0].0, Code::Duplicate);
    assert!(answers.iter().all(|a| *a == answers[0]), "{answers:?}");
    let all = records(&house, "account.sign_up").await;
    assert!(all.contains("denied") && all.contains("ad-min"), "{all}");
}

/// So many accounts of one address a day, so many tries in a while; a neighbour within one IPv6 network is no other address.
async fn an_address_opens_few(mut house: House) {
    let most = house.app.rules.signup.limits.accounts_a_day;
    for n in 0..most {
        from(&house, &format!("2001:db8:1:2::{n}"), person(&format!("flood-{n}"))).await.unwrap();
    }
    let next = from(&house, "2001:db8:1:2:ffff::1", person("flood-next")).await;
    assert_eq!(code(next), Code::RateLimited);
    from(&house, "2001:db8:1:3::1", person("flood-else")).await.unwrap();
    house.clock.forward(TimeDelta::hours(25));
    from(&house, "2001:db8:1:2::1", person("flood-later")).await.unwrap();

    let mut answers = Vec::new();
    for _ in 0..40 {
        answers.push(code(from(&house, "192.0.2.99", person("consumer")).await));
    }
    let of = |code: Code| answers.iter().filter(|a| **a == code).count();
    let tries = usize::try_from(house.app.rules.signup.limits.tries).unwrap();
    assert!(of(Code::Duplicate).abs_diff(tries) <= 1, "{answers:?}");
    assert_eq!(of(Code::Duplicate) + of(Code::RateLimited), 40);

    // An operator closes it.
    let rooms = Arc::get_mut(&mut house.app).unwrap();
    rooms.rules.signup.open.citizens = false;
    let closed = from(&house, "192.0.2.100", person("too-late")).await;
    told(closed, "signup.closed");
    let known = credit_code(1, "330100");
    from(&house, "192.0.2.100", company("still-open", &known)).await.unwrap();
}

/// A person files, is refused with a reason, files again and is verified; the number is nowhere but under seal.
async fn a_real_name(house: House) {
    let app = &house.app;
    let user = opened(&house, person("zhang-san")).await;
    assert_eq!(state(&house, "zhang-san").await, RealNameState::Unverified);
    let op = house.person("zhang-san").await;
    let wrong = realname::file(app, &op, details("张三", "110105194912310021")).await;
    assert_eq!(code(wrong), Code::InvalidInput, "the check character is wrong");
    let filing = filed(&house, "zhang-san", NUMBER).await;
    assert_eq!((filing.shown.as_str(), filing.kind), (HIDDEN, SubjectKind::Person));
    // Monday the second of March, and three working days.
    assert_eq!(filing.due.to_string(), "2026-03-05");
    assert_eq!(state(&house, "zhang-san").await, RealNameState::Review);
    assert_eq!(code(realname::file(app, &op, details("张三", NUMBER)).await), Code::WrongState);
    let sealed = app.store.real_name_sealed(&filing.id).await.unwrap();
    let body = serde_json::to_string(&filing).unwrap();
    assert!(!sealed.contains("张三") && !sealed.contains(NUMBER) && !body.contains(NUMBER));

    // Evidence is told by content, and only while it waits.
    let png = b"\x89PNG\r\n\x1a\n0123456789".as_slice();
    let bytes = |of: &'static [u8]| {
        futures::stream::iter([Ok::<_, Error>(bytes::Bytes::from_static(of))]).boxed()
    };
    let program = realname::attach(app, &op, "x.pdf", bytes(b"MZ\x90\0")).await;
    assert_eq!(code(program), Code::InvalidInput);
    let with = realname::attach(app, &op, "身份证.png", bytes(png)).await.unwrap();
    let scan = with.files[0].id.clone();

    // The desk is the authority's, and tells others nothing.
    for who in ["citizen", "provider", "admin", "auditor"] {
        let other = house.person(who).await;
        assert_eq!(code(realname::desk(app, &other, None, None, 10).await), Code::Denied, "{who}");
        assert_eq!(code(realname::filing(app, &other, &filing.id).await), Code::NotFound, "{who}");
        assert_eq!(code(realname::evidence(app, &other, &scan).await.map(|_| ())), Code::NotFound);
        assert_eq!(code(decided(&house, who, &filing, approve()).await), Code::NotFound, "{who}");
    }
    let authority = house.person("authority").await;
    let waiting = Some(RealNameState::Review);
    let page = realname::desk(app, &authority, waiting, None, 10).await.unwrap();
    assert_eq!(page.items.len(), 1);
    let seen = realname::filing(app, &authority, &filing.id).await.unwrap();
    assert_eq!((seen.name.as_str(), seen.filing.shown.as_str()), ("张三", HIDDEN));
    assert!(!serde_json::to_string(&seen).unwrap().contains(NUMBER));
    assert_eq!(realname::number(app, &authority, &filing.id).await.unwrap(), NUMBER);
    assert!(realname::evidence_at_desk(app, &authority, &filing.id, &scan).await.is_ok());
    let notices = app::notice::list(app, &authority, true, None, 50).await.unwrap().items;
    assert!(notices.iter().any(|n| n.kind == "realname.filed"), "{notices:?}");

    assert_eq!(code(decided(&house, "authority", &filing, refuse("")).await), Code::InvalidInput);
    decided(&house, "authority", &filing, refuse("姓名与证件不一致")).await.unwrap();
    let standing = realname::standing(app, &op).await.unwrap();
    assert_eq!(standing.state, RealNameState::Refused);
    assert_eq!(standing.filing.unwrap().reason, "姓名与证件不一致");
    let notices = app::notice::list(app, &op, true, None, 50).await.unwrap().items;
    assert!(notices.iter().any(|n| n.kind == "realname.decided"), "{notices:?}");
    assert_eq!(app.store.real_name_sealed(&filing.id).await.unwrap(), "", "not needed any more");
    assert_eq!(code(realname::evidence(app, &op, &scan).await.map(|_| ())), Code::NotFound);
    assert_eq!(code(decided(&house, "authority", &filing, approve()).await), Code::WrongState);

    // Taken back, and a day's filings are bounded.
    filed(&house, "zhang-san", NUMBER).await;
    realname::withdraw(app, &house.person("zhang-san").await).await.unwrap();
    assert_eq!(state(&house, "zhang-san").await, RealNameState::Unverified);
    let third = filed(&house, "zhang-san", NUMBER).await;
    realname::withdraw(app, &house.person("zhang-san").await).await.unwrap();
    assert_eq!(code(decided(&house, "authority", &third, approve()).await), Code::WrongState);
    let op = house.person("zhang-san").await;
    let fourth = realname::file(app, &op, details("张三", NUMBER)).await;
    assert_eq!(code(fourth), Code::RateLimited);
    house.clock.forward(TimeDelta::hours(25));
    let last = filed(&house, "zhang-san", NUMBER).await;
    decided(&house, "authority", &last, approve()).await.unwrap();
    assert_eq!(state(&house, "zhang-san").await, RealNameState::Verified);
    let subject = authorisation::subject(app, &house.person("zhang-san").await).await.unwrap();
    assert_eq!(subject.unwrap().shown, HIDDEN);
    let row = app.store.subject_of(&user.id).await.unwrap().unwrap();
    assert_eq!(row.kind, SubjectKind::Person);
    let all = records(&house, "realname").await;
    assert!(all.contains("realname.approve") && all.contains("realname.number"), "{all}");
    assert!(!all.contains(NUMBER) && !all.contains("张三"), "{all}");
}

/// A number that is another account's is told at the desk, and only there.
async fn one_number_one_account(house: House) {
    let app = &house.app;
    opened(&house, person("first")).await;
    opened(&house, person("second")).await;
    let one = filed(&house, "first", NUMBER).await;
    let two = filed(&house, "second", "11010519491231002x").await;
    assert_eq!(one.mark, two.mark, "whatever the spelling");
    decided(&house, "authority", &one, approve()).await.unwrap();
    let authority = house.person("authority").await;
    let seen = realname::filing(app, &authority, &two.id).await.unwrap();
    assert_eq!(seen.other.as_deref(), Some("first"));
    let error = told(decided(&house, "authority", &two, approve()).await, "realname.elsewhere");
    assert!(error.zh().contains("另一账号") && error.en().contains("another account"));
    assert_eq!(state(&house, "second").await, RealNameState::Review, "nothing is decided yet");
    decided(&house, "authority", &two, refuse("号码已被使用")).await.unwrap();
    // An account whose number the administrator has confirmed counts likewise.
    let admin = house.person("admin").await;
    let citizen = house.person("citizen").await;
    let again =
        authorisation::confirm(app, &admin, citizen.actor.id(), SubjectKind::Person, NUMBER);
    assert_eq!(code(again.await), Code::Duplicate);
    // Nobody decides on their own filing.
    let own = realname::file(app, &authority, details("王五", "330106199001011234")).await;
    assert_eq!(code(own), Code::InvalidInput);
    let head = "33010619900101123";
    let number = format!("{head}{}", ident::citizen_check(head).unwrap());
    let own = realname::file(app, &authority, details("王五", &number)).await.unwrap();
    assert_eq!(code(decided(&house, "authority", &own, approve()).await), Code::NotFound);
    decided(&house, "city", &own, approve()).await.unwrap();
}

/// An enterprise's account is nobody's until the authority has confirmed it, whatever organisation it names.
async fn an_enterprise(house: House) {
    let app = &house.app;
    let known = app.store.org_get(ENTERPRISE_ORG).await.unwrap().unwrap();
    let session = from(&house, HOME, company("newcomer", &known.uscc)).await.unwrap();
    assert_eq!(
        (&session.user.org, session.user.roles.as_slice()),
        (&None, [Role::Enterprise].as_slice())
    );
    let op = || app.op(session.actor.clone(), HOME);
    for org in [ENTERPRISE_ORG, ""] {
        let new =
            ApplicationNew { name: "冒名".into(), description: String::new(), org: org.into() };
        assert_eq!(code(account::register_application(app, &op(), new).await), Code::Denied);
    }
    assert!(account::applications(app, &op()).await.unwrap().is_empty());
    assert!(authorisation::subject(app, &op()).await.unwrap().is_none());

    let new = RealNameDetails { name: known.name_cn.clone(), ..details("x", &known.uscc) };
    let filing = realname::file(app, &op(), new).await.unwrap();
    let authority = house.person("authority").await;
    let seen = realname::filing(app, &authority, &filing.id).await.unwrap();
    assert_eq!(seen.org.map(|o| o.id).as_deref(), Some(ENTERPRISE_ORG));
    assert_eq!(seen.representative, "李四");
    decided(&house, "authority", &filing, approve()).await.unwrap();
    assert!(account::session(app, &session.token).await.unwrap().is_none(), "it signs in anew");
    let op = house.person("newcomer").await;
    assert_eq!(op.actor.org(), Some(ENTERPRISE_ORG));
    let new = ApplicationNew {
        name: "研究".into(),
        description: String::new(),
        org: ENTERPRISE_ORG.into(),
    };
    account::register_application(app, &op, new).await.unwrap();
    assert_eq!(code(realname::file(app, &op, details("x", &known.uscc)).await), Code::WrongState);

    // The same enterprise a second time, by another account.
    opened(&house, company("double", &known.uscc)).await;
    let double = filed(&house, "double", &known.uscc).await;
    told(decided(&house, "authority", &double, approve()).await, "realname.elsewhere");

    // One that is not known yet is entered where its credit code says.
    let fresh = credit_code(2, "330110");
    opened(&house, company("fresh", &fresh)).await;
    let filing = filed(&house, "fresh", &fresh).await;
    decided(&house, "authority", &filing, approve()).await.unwrap();
    let op = house.person("fresh").await;
    let org = app.store.org_require(op.actor.org().unwrap()).await.unwrap();
    assert_eq!((org.uscc.as_str(), org.region.as_str()), (fresh.as_str(), "330110"));
    assert_eq!(
        (org.kind, org.authority, org.name_cn.as_str()),
        (OrgKind::Enterprise, false, "张三")
    );

    // Elsewhere in China: the desk chooses, or it is the province's.
    let far = credit_code(3, "110105");
    opened(&house, company("far-away", &far)).await;
    let filing = filed(&house, "far-away", &far).await;
    let nowhere = RealNameOrder::Approve { region: "999999".into() };
    assert_eq!(code(decided(&house, "authority", &filing, nowhere).await), Code::NotFound);
    let chosen = RealNameOrder::Approve { region: "330200".into() };
    decided(&house, "authority", &filing, chosen).await.unwrap();
    assert_eq!(house.person("far-away").await.actor.region(), Some("330200"));

    // A public body's code gives nobody that body.
    let body = app.store.org_get(PROVIDER_ORG).await.unwrap().unwrap();
    from(&house, "192.0.2.77", company("pretender", &body.uscc)).await.unwrap();
    let filing = filed(&house, "pretender", &body.uscc).await;
    assert_eq!(code(decided(&house, "authority", &filing, approve()).await), Code::RuleBroken);
    assert_eq!(house.person("pretender").await.actor.org(), None);
}

/// Filled in for a set by an application of one's own.
async fn applied(house: &House, op: &Op, set: &str) -> Result<()> {
    let mine = account::applications(&house.app, op).await?;
    let application = match mine.first() {
        Some(known) => known.id.clone(),
        None => {
            let new = ApplicationNew {
                name: "论文".into(),
                description: String::new(),
                org: String::new(),
            };
            account::register_application(&house.app, op, new).await?.application.id
        }
    };
    restricted::file(&house.app, op, use_of(&application, set, &["id"])).await.map(|_| ())
}

/// Two live sets that are open on conditions: one after review, one after real-name sign-in.
async fn two_sets(house: &House) {
    house.publish(restricted_open("shenhe")).await;
    let mut draft = restricted_open("shiming");
    draft.profile.open_level = Some(OpenLevel::RealName);
    house.publish(draft).await;
}

/// Who signed up by themselves is verified before applying; accounts that others opened count as they did.
async fn what_needs_a_real_name(house: House) {
    two_sets(&house).await;
    opened(&house, person("self-made")).await;
    let op = house.person("self-made").await;
    for set in ["shenhe", "shiming"] {
        let error = told(applied(&house, &op, set).await, "realname.required");
        assert!(error.zh().contains("/account/realname"), "{error:?}");
        let citizen = house.person("citizen").await;
        applied(&house, &citizen, set).await.unwrap();
    }
    let filing = filed(&house, "self-made", NUMBER).await;
    told(applied(&house, &op, "shiming").await, "realname.required");
    decided(&house, "authority", &filing, approve()).await.unwrap();
    for set in ["shenhe", "shiming"] {
        let op = house.person("self-made").await;
        applied(&house, &op, set).await.unwrap();
    }
}

/// By the rule file it is demanded only where the way of opening says so.
async fn where_a_real_name_is_demanded(mut house: House) {
    let rooms = Arc::get_mut(&mut house.app).unwrap();
    rooms.rules.signup.real_name.every_application = false;
    two_sets(&house).await;
    opened(&house, person("self-made")).await;
    let op = house.person("self-made").await;
    told(applied(&house, &op, "shiming").await, "realname.required");
    applied(&house, &op, "shenhe").await.unwrap();
}

crate::on_both!(
    a_citizen_signs_up,
    what_is_not_taken,
    an_address_opens_few,
    a_real_name,
    one_number_one_account,
    an_enterprise,
    what_needs_a_real_name,
    where_a_real_name_is_demanded
);

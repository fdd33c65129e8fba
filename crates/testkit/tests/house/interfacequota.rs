//! Quotas of interfaces: counted apart from those of callers, exact over versions, restarts and days; strangers use none of it.

use app::interface::{self, Move};
use chrono::TimeDelta;
use model::audit::AuditFilter;
use model::code::SyncMode;
use model::interface::{Arguments, InterfaceQuota, InterfaceState};
use model::{Code, Op};
use testkit::House;

use crate::interface::{PEOPLE, PERSON, call, granted, published};

const LIST: &str =
    "title = \"人员列表\"\nkind = \"list\"\nentry = \"renkou\"\n[[return]]\nitem = \"xm\"\n";
const ONE: [(&str, &str); 1] = [("idcard", "11010519491231002X")];

/// A house with people in `renkou`, two applications that may ask about them, and one that may not.
async fn callers(house: &House) -> [Op; 3] {
    house.publish(testkit::person_draft("renkou")).await;
    house.collect("renkou", "people.csv", PEOPLE.as_bytes(), SyncMode::Full).await.unwrap();
    let (one, first) = house.application("甲应用").await;
    let (two, second) = house.application("乙应用").await;
    let (stranger, _) = house.application("无授权应用").await;
    for secret in [&first, &second] {
        granted(house, &secret.application.id, "renkou", &["sfzh", "xm", "sjh", "csrq"]).await;
    }
    [one, two, stranger]
}

async fn limit(house: &House, id: &str, quota: InterfaceQuota) {
    let provider = house.person("provider").await;
    interface::set_quota(&house.app, &provider, id, quota).await.unwrap();
}

async fn refusal(house: &House, caller: &Op, code: &str) -> (Code, String) {
    let e = call(house, caller, code, &ONE).await.unwrap_err();
    (e.code(), e.reasons().join(""))
}

/// Two interfaces over one resource are counted apart; all callers of one share its quota, every version of it, and the next day is new.
async fn two_interfaces(house: House) {
    let [one, two, stranger] = callers(&house).await;
    let asked = published(&house, PERSON).await;
    let listed = published(&house, LIST).await;
    limit(&house, &asked.id, InterfaceQuota { per_day: Some(4), ..Default::default() }).await;
    let used = (Code::QuotaUsedUp, "interface.quota".to_owned());
    let mut left = Vec::new();
    for caller in [&one, &two, &one] {
        left.push(call(&house, caller, &asked.code, &ONE).await.unwrap().calls_left.unwrap());
    }
    assert_eq!(left, [3, 2, 1]);
    // Who is not let in takes nothing, and what comes to nothing is put back.
    for _ in 0..6 {
        assert_eq!(refusal(&house, &stranger, &asked.code).await.0, Code::NoGrant);
    }
    // A new version counts with the old one.
    let (app, provider) = (&house.app, house.person("provider").await);
    let next = interface::version(app, &provider, &asked.id).await.unwrap();
    for state in [InterfaceState::Test, InterfaceState::Published] {
        let to = Move { to: state, share: 100, until: String::new() };
        interface::step(app, &provider, &next.id, &to).await.unwrap();
    }
    let answer = call(&house, &two, &asked.code, &ONE).await.unwrap();
    assert_eq!((answer.interface.version, answer.calls_left), (2, Some(0)));
    for caller in [&one, &two] {
        assert_eq!(refusal(&house, caller, &asked.code).await, used);
    }
    call(&house, &one, &listed.code, &[]).await.unwrap();
    assert_eq!(interface::called_today(app, &provider, &next).await.unwrap(), 4);
    // A raise holds at once, and what was called stays counted.
    limit(&house, &next.id, InterfaceQuota { per_day: Some(5), ..Default::default() }).await;
    call(&house, &one, &asked.code, &ONE).await.unwrap();
    assert_eq!(refusal(&house, &one, &asked.code).await, used);
    house.clock.forward(TimeDelta::days(1));
    let answer = call(&house, &one, &asked.code, &ONE).await.unwrap();
    assert_eq!(answer.calls_left, Some(4));

    let auditor = house.person("auditor").await;
    let filter =
        AuditFilter { action: Some("interface.call".into()), limit: 100, ..AuditFilter::default() };
    let records = app::audit::list(app, &auditor, &filter).await.unwrap();
    assert_eq!(records.iter().filter(|r| r.event.result == "denied").count(), 3);
    let filter = AuditFilter { action: Some("interface.quota".into()), ..filter };
    let records = app::audit::list(app, &auditor, &filter).await.unwrap();
    assert!(records.iter().any(|r| r.event.reason.contains("\"per_day\":5")), "{records:?}");
}

/// Each application has its own part, and one that has used it up takes nothing of the others'.
async fn each_application(house: House) {
    let [one, two, _] = callers(&house).await;
    let asked = published(&house, PERSON).await;
    let quota =
        InterfaceQuota { per_day: Some(3), application_per_day: Some(2), ..Default::default() };
    limit(&house, &asked.id, quota).await;
    for _ in 0..2 {
        call(&house, &one, &asked.code, &ONE).await.unwrap();
    }
    let own = (Code::QuotaUsedUp, "interface.application-quota".to_owned());
    for _ in 0..3 {
        assert_eq!(refusal(&house, &one, &asked.code).await, own);
    }
    call(&house, &two, &asked.code, &ONE).await.unwrap();
    let all = (Code::QuotaUsedUp, "interface.quota".to_owned());
    assert_eq!(refusal(&house, &two, &asked.code).await, all);
    // A question that is wrong in itself comes to nothing before it is counted.
    let wrong = call(&house, &two, &asked.code, &[]).await.unwrap_err();
    assert_ne!(wrong.code(), Code::QuotaUsedUp, "{wrong}");
}

/// So many a second in the long run and the burst at once; what cannot be set is told.
async fn a_burst(house: House) {
    let [one, two, _] = callers(&house).await;
    let asked = published(&house, PERSON).await;
    let quota = InterfaceQuota { per_second: Some(2), burst: Some(5), ..Default::default() };
    limit(&house, &asked.id, quota).await;
    let at_once = async |caller: &Op| {
        let mut arguments = Arguments::default();
        arguments.add("idcard", "11010519491231002X");
        let op = house.app.op(caller.actor.clone(), "127.0.0.1");
        interface::call(&house.app, &op, &asked.code, arguments).await.map_err(|e| e.code())
    };
    house.clock.forward(TimeDelta::seconds(10));
    for n in 0..5 {
        let caller = if n % 2 == 0 { &one } else { &two };
        assert!(at_once(caller).await.is_ok(), "call {n} of the burst");
    }
    assert_eq!(at_once(&one).await.unwrap_err(), Code::RateLimited);
    house.clock.forward(TimeDelta::seconds(1));
    assert!(at_once(&one).await.is_ok() && at_once(&two).await.is_ok());
    assert_eq!(at_once(&one).await.unwrap_err(), Code::RateLimited);

    let provider = house.person("provider").await;
    let set = async |quota| {
        let e = interface::set_quota(&house.app, &provider, &asked.id, quota).await.unwrap_err();
        (e.code(), e.fields()[0].field.clone())
    };
    let wrong = |field: &str| (Code::InvalidInput, field.to_owned());
    let none = InterfaceQuota::default();
    assert_eq!(set(InterfaceQuota { per_day: Some(0), ..none }).await, wrong("per_day"));
    assert_eq!(set(InterfaceQuota { per_second: Some(0), ..none }).await, wrong("per_second"));
    assert_eq!(set(InterfaceQuota { burst: Some(5), ..none }).await, wrong("burst"));
    let consumer = house.person("consumer").await;
    let e = interface::set_quota(&house.app, &consumer, &asked.id, none).await.unwrap_err();
    assert_eq!(e.code(), Code::Denied);
}

/// A calm stop puts back what was taken and not used; a new process goes on counting where the last one stood.
async fn over_a_restart(house: House) {
    let [one, _, _] = callers(&house).await;
    let asked = published(&house, PERSON).await;
    limit(&house, &asked.id, InterfaceQuota { per_day: Some(300), ..Default::default() }).await;
    for _ in 0..2 {
        call(&house, &one, &asked.code, &ONE).await.unwrap();
    }
    let provider = house.person("provider").await;
    let counted = interface::called_today(&house.app, &provider, &asked).await.unwrap();
    assert_eq!(counted, 3, "a lot of three");
    app::sharing::flush(&house.app).await.unwrap();
    assert_eq!(interface::called_today(&house.app, &provider, &asked).await.unwrap(), 2);
    let house = house.reopen().await;
    let answer = call(&house, &one, &asked.code, &ONE).await.unwrap();
    assert_eq!(answer.calls_left, Some(297));
}

crate::on_both!(two_interfaces, each_application, a_burst, over_a_restart);

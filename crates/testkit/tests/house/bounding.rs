//! Bounds of calling: each says which it is, until when and who can change it; what is counted is counted exactly; and where nothing
//! is set nothing is bounded.

use app::interface::{self, Body, Move};
use app::sharing;
use chrono::TimeDelta;
use futures::StreamExt as _;
use futures::future::join_all;
use model::audit::AuditFilter;
use model::bounds::{Bounds, BoundsKind, RateBound, SubjectBound, Window};
use model::code::SyncMode;
use model::interface::{Arguments, Interface, InterfaceState};
use model::query::{Comparison, Condition, RowQuery};
use model::request::{Period, Request, RequestNew};
use model::{Code, Error, Op};
use testkit::House;

/// Valid check digits, invented people.
const PEOPLE: &str = "sfzh,xm,sjh,csrq,region_code\n\
    11010519491231002X,张三丰,13800138000,1949-12-31,330106\n\
    440524188001010014,李四,13900139000,1880-01-01,330200\n";
const ONE: &str = "11010519491231002X";
const OTHER: &str = "440524188001010014";

async fn granted(house: &House, application: &str) -> Request {
    let consumer = house.person("consumer").await;
    let wanted = RequestNew {
        entry: "renkou".into(),
        application: application.into(),
        items: ["sfzh", "xm", "csrq"].map(str::to_owned).into(),
        scene: "核验办事人身份".into(),
        legal_basis: "部门职责".into(),
        period: Period::Days { days: 300 },
        calls_per_day: 10_000_000,
        area_range: String::new(),
        row_range: Default::default(),
        by_sql: false,
    };
    let request = sharing::apply(&house.app, &consumer, wanted).await.unwrap();
    for who in ["provider", "authority"] {
        let op = house.person(who).await;
        sharing::review(&house.app, &op, &request.id, true, "").await.unwrap();
    }
    request
}

pub(crate) async fn people(house: &House) {
    house.publish(testkit::person_draft("renkou")).await;
    house.collect("renkou", "people.csv", PEOPLE.as_bytes(), SyncMode::Full).await.unwrap();
}

fn by(key: &str) -> RowQuery {
    let comparison = Comparison::Eq(key.into());
    let filter = Condition::Column { column: "sfzh".into(), comparison };
    RowQuery { filter: Some(filter), ..RowQuery::default() }
}

/// A call of now, a second later, so that no rate stands in the way.
fn op(house: &House, caller: &Op, source: &str) -> Op {
    house.clock.forward(TimeDelta::seconds(1));
    house.app.op(caller.actor.clone(), source)
}

async fn ask(house: &House, op: &Op, key: &str) -> model::Result<usize> {
    sharing::query(&house.app, op, "renkou", &by(key)).await.map(|r| r.page.rows.len())
}

pub(crate) async fn set(
    house: &House,
    who: &str,
    kind: BoundsKind,
    id: &str,
    bounds: Bounds,
) -> model::Result<()> {
    let op = house.person(who).await;
    sharing::set_bounds(&house.app, &op, kind, id, bounds).await
}

pub(crate) fn told(error: &Error) -> (Code, String) {
    (error.code(), error.reasons().join(","))
}

pub(crate) fn windows(all: &[&str]) -> Vec<Window> {
    all.iter().map(|w| Window::parse(w).unwrap()).collect()
}

/// Who may set what; addresses, hours and purpose keep out what they should, with the rule's name, and leave a record.
async fn each_says_which_it_is(house: House) {
    let app = &house.app;
    let (caller, secret) = house.application("查询应用").await;
    let id = secret.application.id.as_str();
    people(&house).await;
    let request = granted(&house, id).await;
    let entry = request.entry.as_str();
    assert_eq!(ask(&house, &op(&house, &caller, "10.1.2.3"), ONE).await.unwrap(), 1);

    // The provider bounds what is its own, the security officer everything, the caller nothing.
    let some = Bounds { addresses: vec!["10.1.0.0/16".into()], ..Bounds::default() };
    for (who, kind, holder, allowed) in [
        ("consumer", BoundsKind::Application, id, false),
        ("provider", BoundsKind::Application, id, false),
        ("consumer", BoundsKind::Request, request.id.as_str(), false),
        ("provider", BoundsKind::Request, request.id.as_str(), true),
        ("provider", BoundsKind::Entry, entry, true),
        ("security", BoundsKind::Application, id, true),
    ] {
        let done = set(&house, who, kind, holder, some.clone()).await;
        assert_eq!(done.is_ok(), allowed, "{who} {kind}: {done:?}");
    }
    let outside = ask(&house, &op(&house, &caller, "10.2.0.1"), ONE).await.unwrap_err();
    assert_eq!(told(&outside), (Code::OutOfBounds, "bounds.application.address".into()));
    assert!(outside.zh().contains("10.2.0.1") && outside.zh().contains("安全管理员"), "{outside}");
    assert_eq!(ask(&house, &op(&house, &caller, "::ffff:10.1.9.9"), ONE).await.unwrap(), 1);
    for (kind, holder) in
        [(BoundsKind::Application, id), (BoundsKind::Request, request.id.as_str())]
    {
        set(&house, "security", kind, holder, Bounds::default()).await.unwrap();
    }

    // The house stands on a Monday, 09:00.
    let closed =
        Bounds { windows: windows(&["1-5 18:00-20:00", "6 08:00-24:00"]), ..Bounds::default() };
    set(&house, "provider", BoundsKind::Entry, entry, closed).await.unwrap();
    let early = ask(&house, &op(&house, &caller, "10.1.2.3"), ONE).await.unwrap_err();
    assert_eq!(told(&early), (Code::OutOfBounds, "bounds.entry.window".into()));
    assert!(early.en().contains("2026-03-02 18:00") && early.en().contains("1-5 18:00-20:00"));
    house.clock.forward(TimeDelta::hours(9));
    assert_eq!(ask(&house, &op(&house, &caller, "10.1.2.3"), ONE).await.unwrap(), 1);

    let purpose = Bounds { purpose: true, ..Bounds::default() };
    set(&house, "provider", BoundsKind::Request, &request.id, purpose).await.unwrap();
    set(&house, "provider", BoundsKind::Entry, entry, Bounds::default()).await.unwrap();
    let silent = ask(&house, &op(&house, &caller, "10.1.2.3"), ONE).await.unwrap_err();
    assert_eq!(told(&silent), (Code::PurposeMissing, "bounds.request.purpose".into()));
    let told_why = Op { purpose: "窗口受理 2026-17".into(), ..op(&house, &caller, "10.1.2.3") };
    assert_eq!(ask(&house, &told_why, ONE).await.unwrap(), 1);

    let auditor = house.person("auditor").await;
    let filter =
        AuditFilter { action: Some("rows.query".into()), limit: 100, ..AuditFilter::default() };
    let records = app::audit::list(app, &auditor, &filter).await.unwrap();
    assert!(records.iter().any(|r| r.event.purpose == "窗口受理 2026-17"));
    let denied: Vec<&str> = records
        .iter()
        .filter(|r| r.event.result == "denied")
        .map(|r| r.event.reason.as_str())
        .collect();
    for code in ["out_of_bounds", "purpose_missing"] {
        assert!(denied.iter().any(|d| d.contains(code)), "{denied:?}");
    }
    let filter =
        AuditFilter { action: Some("bounds.set".into()), limit: 100, ..AuditFilter::default() };
    let records = app::audit::list(app, &auditor, &filter).await.unwrap();
    assert!(records.iter().any(|r| r.event.reason.contains("10.1.0.0/16")), "{records:?}");

    for wrong in [
        Bounds { addresses: vec!["10.1.0.0/40".into()], ..Bounds::default() },
        Bounds { concurrency: Some(0), ..Bounds::default() },
        Bounds { rate: Some(RateBound { per_second: 0, burst: None }), ..Bounds::default() },
        Bounds { rate: Some(RateBound { per_second: 1, burst: Some(0) }), ..Bounds::default() },
        Bounds {
            subject: Some(SubjectBound { item: "xm".into(), per_day: 3 }),
            ..Bounds::default()
        },
    ] {
        let refused = set(&house, "security", BoundsKind::Entry, entry, wrong).await.unwrap_err();
        assert!(!refused.fields().is_empty(), "{refused:?}");
    }
}

async fn published(house: &House, text: &str) -> Interface {
    let (app, provider) = (&house.app, house.person("provider").await);
    let made = interface::create(app, &provider, text).await.unwrap();
    let to = |state| Move { to: state, share: 100, until: String::new() };
    interface::step(app, &provider, &made.id, &to(InterfaceState::Test)).await.unwrap();
    interface::step(app, &provider, &made.id, &to(InterfaceState::Published)).await.unwrap()
}

fn given(pairs: &[(&str, &str)]) -> Arguments {
    let mut all = Arguments::default();
    pairs.iter().for_each(|(name, value)| all.add(name, *value));
    all
}

/// One subject is asked about so many times by one application a day, whichever way and however many ask at once; nothing is read
/// in bulk, other applications and other days have counts of their own, and no key is kept.
async fn subjects_are_counted(house: House) {
    let app = &house.app;
    let (caller, secret) = house.application("查询应用").await;
    let (second, other) = house.application("另一应用").await;
    people(&house).await;
    let request = granted(&house, &secret.application.id).await;
    granted(&house, &other.application.id).await;
    let batch = "title = \"批量\"\nkind = \"batch\"\nentry = \"renkou\"\n[[param]]\nname = \"id\"\nitem = \"sfzh\"\n";
    let batch = published(&house, batch).await;
    let file = published(&house, "title = \"文件\"\nkind = \"file\"\nentry = \"renkou\"\n").await;
    let subject = SubjectBound { item: "sfzh".into(), per_day: 3 };
    let bounds = Bounds { subject: Some(subject), ..Bounds::default() };
    set(&house, "provider", BoundsKind::Entry, &request.entry, bounds).await.unwrap();

    // Twenty at once: three are answered.
    let asks = (0..20).map(|_| app.op(caller.actor.clone(), "10.1.2.3")).collect::<Vec<_>>();
    let all = join_all(asks.iter().map(|op| ask(&house, op, ONE))).await;
    assert_eq!(all.iter().filter(|r| r.is_ok()).count(), 3, "{all:?}");
    let refused = all.into_iter().find_map(Result::err).unwrap();
    assert_eq!(told(&refused), (Code::QuotaUsedUp, "bounds.entry.subject".into()));
    assert!(refused.en().contains("2026-03-03 00:00") && !refused.to_string().contains(ONE));
    // A batch that holds one who was asked about often enough is refused as a whole, and counts nobody.
    let call = async |op: &Op, code: &str, pairs: &[(&str, &str)]| {
        interface::call(app, op, code, given(pairs)).await
    };
    let both = format!("{OTHER},{ONE}");
    let e = call(&op(&house, &caller, "-"), &batch.code, &[("id", &both)]).await.unwrap_err();
    assert_eq!(e.code(), Code::QuotaUsedUp);
    for n in 0..3 {
        assert_eq!(ask(&house, &op(&house, &caller, "-"), OTHER).await.unwrap(), 1, "{n}");
    }
    assert!(ask(&house, &op(&house, &caller, "-"), OTHER).await.is_err());
    // The other application has counts of its own.
    let found = call(&op(&house, &second, "-"), &batch.code, &[("id", &both)]).await.unwrap();
    assert!(matches!(found.body, Body::Rows(page) if page.rows.len() == 2));

    let whole =
        sharing::query(app, &op(&house, &second, "-"), "renkou", &RowQuery::default()).await;
    assert_eq!(
        told(&whole.unwrap_err()),
        (Code::OutOfBounds, "bounds.entry.subject-unnamed".into())
    );
    let bulk = call(&op(&house, &second, "-"), &file.code, &[]).await.unwrap_err();
    assert_eq!(told(&bulk), (Code::OutOfBounds, "bounds.entry.subject-bulk".into()));

    house.clock.forward(TimeDelta::days(1));
    assert_eq!(ask(&house, &op(&house, &caller, "-"), ONE).await.unwrap(), 1);
    // Whoever widens it widens it at once; a narrower bound of the share application holds beside it.
    let narrow = SubjectBound { item: "sfzh".into(), per_day: 1 };
    let bounds = Bounds { subject: Some(narrow), ..Bounds::default() };
    set(&house, "provider", BoundsKind::Request, &request.id, bounds).await.unwrap();
    let e = ask(&house, &op(&house, &caller, "-"), ONE).await.unwrap_err();
    assert_eq!(told(&e), (Code::QuotaUsedUp, "bounds.request.subject".into()));
}

/// Calls at once: a file on its way holds its place until it has left or was dropped.
async fn a_place_is_given_back(house: House) {
    let app = &house.app;
    let (caller, secret) = house.application("查询应用").await;
    people(&house).await;
    granted(&house, &secret.application.id).await;
    let file = published(&house, "title = \"文件\"\nkind = \"file\"\nentry = \"renkou\"\n").await;
    let one = Bounds { concurrency: Some(1), ..Bounds::default() };
    set(&house, "security", BoundsKind::Application, &secret.application.id, one).await.unwrap();
    for drain in [true, false] {
        let asked = op(&house, &caller, "-");
        let answer = interface::call(app, &asked, &file.code, given(&[])).await.unwrap();
        let busy = ask(&house, &op(&house, &caller, "-"), ONE).await.unwrap_err();
        assert_eq!(told(&busy), (Code::RateLimited, "bounds.application.concurrency".into()));
        let Body::File(file) = answer.body else { panic!("no file") };
        let mut bytes = file.bytes(interface::FileForm::Csv);
        assert!(bytes.next().await.unwrap().is_ok());
        if drain {
            while let Some(piece) = bytes.next().await {
                piece.unwrap();
            }
        }
        drop(bytes);
        assert_eq!(ask(&house, &op(&house, &caller, "-"), ONE).await.unwrap(), 1, "{drain}");
    }
    // A refused call gives its place back, too.
    for _ in 0..3 {
        let wrong = RowQuery { select: vec![("nothing".into(), None)], ..by(ONE) };
        let e = sharing::query(app, &op(&house, &caller, "-"), "renkou", &wrong).await.unwrap_err();
        assert_ne!(e.code(), Code::RateLimited);
    }
}

/// A rate with its burst, narrower than what the share application has by itself; one that is set for the resource is shared by all.
async fn a_rate(house: House) {
    let (caller, secret) = house.application("查询应用").await;
    let (other, second) = house.application("另一应用").await;
    people(&house).await;
    let request = granted(&house, &secret.application.id).await;
    granted(&house, &second.application.id).await;
    let now = |caller: &Op| house.app.op(caller.actor.clone(), "-");
    let of = |per_second, burst| Bounds {
        rate: Some(RateBound { per_second, burst }),
        ..Bounds::default()
    };
    set(&house, "provider", BoundsKind::Request, &request.id, of(2, Some(4))).await.unwrap();
    house.clock.forward(TimeDelta::seconds(10));
    for _ in 0..4 {
        assert_eq!(ask(&house, &now(&caller), ONE).await.unwrap(), 1);
    }
    let e = ask(&house, &now(&caller), ONE).await.unwrap_err();
    assert_eq!(told(&e), (Code::RateLimited, "bounds.request.rate".into()));
    assert_eq!(ask(&house, &now(&other), ONE).await.unwrap(), 1, "another's rate is its own");
    house.clock.forward(TimeDelta::seconds(1));
    for _ in 0..2 {
        assert_eq!(ask(&house, &now(&caller), ONE).await.unwrap(), 1);
    }
    assert_eq!(ask(&house, &now(&caller), ONE).await.unwrap_err().code(), Code::RateLimited);

    set(&house, "security", BoundsKind::Entry, &request.entry, of(3, None)).await.unwrap();
    house.clock.forward(TimeDelta::seconds(10));
    for caller in [&caller, &other, &other] {
        assert_eq!(ask(&house, &now(caller), ONE).await.unwrap(), 1);
    }
    let e = ask(&house, &now(&caller), ONE).await.unwrap_err();
    assert_eq!(told(&e), (Code::RateLimited, "bounds.entry.rate".into()));
}

crate::on_both!(each_says_which_it_is, subjects_are_counted, a_place_is_given_back, a_rate);

//! What a sandbox gives out as an interface, to whom and until when; how its term is made longer; who is told; and a restricted-open
//! agreement for use in a sandbox and nowhere else.

use app::halt::{self, HaltAsk};
use app::interface::{self, Body};
use app::project::sandbox;
use app::restricted::{self, UseOrder};
use app::{account, notice, project, sharing};
use chrono::TimeDelta;
use guard::watermark;
use model::account::{ApplicationNew, Role, UserNew};
use model::audit::AuditFilter;
use model::code::SyncMode;
use model::halt::HaltKind;
use model::interface::Arguments;
use model::project::{ProjectNew, ProjectRole};
use model::query::{RowPage, RowQuery};
use model::restricted::{UseDeed, UseNew, UseState};
use model::sandbox::release::{Check, ReleaseState, ReleaseWay, SandboxRelease};
use model::sandbox::{ExtensionState, RunState, SandboxStage};
use model::value::Value;
use model::{Actor, Code, Op};
use testkit::{BY_AREA, CONSUMER_ORG, ENTERPRISE_ORG, House, PASSWORD, use_of};

use crate::sandbox::{Team, checks, code, sandboxed};

/// An application as who it is when it calls, a second later than the last call.
async fn caller(house: &House, application: &str) -> Op {
    house.clock.forward(TimeDelta::seconds(1));
    let a = house.app.store.application_get(application).await.unwrap().unwrap();
    let actor =
        Actor::Application { id: a.id, key: a.key, name: a.name, org: a.org, public_body: true };
    house.app.op(actor, "127.0.0.1")
}

/// Rows as texts, in order.
async fn called(
    b: &Team,
    application: &str,
    interface: &str,
    given: &[(&str, &str)],
) -> model::Result<Vec<Vec<String>>> {
    let op = caller(&b.house, application).await;
    let mut arguments = Arguments::default();
    given.iter().for_each(|(name, value)| arguments.add(name, *value));
    let answer = interface::call(&b.house.app, &op, interface, arguments).await?;
    assert!(answer.masked.is_empty() && answer.calls_left.is_some());
    let Body::Rows(page) = answer.body else { panic!("no rows") };
    let text = |row: &Vec<Value>| {
        let texts = row.iter().map(|v| v.to_text().unwrap_or_default());
        texts.map(|t| watermark::plain(&t)).collect::<Vec<_>>()
    };
    let mut rows: Vec<Vec<String>> = page.rows.iter().map(text).collect();
    rows.sort();
    Ok(rows)
}

async fn told(house: &House, who: &str, kind: &str) -> usize {
    let op = house.person(who).await;
    let page = notice::list(&house.app, &op, false, None, 200).await.unwrap();
    page.items.iter().filter(|n| n.kind == kind).count()
}

async fn tick(house: &House) -> u64 {
    sandbox::tick(&house.app, &Op::system(house.app.now())).await.unwrap()
}

/// A reviewed result that left as an interface.
async fn served(b: &Team) -> SandboxRelease {
    let run = b.reviewed(Team::sql(SandboxStage::Production, "by_area", BY_AREA)).await;
    let asked = b.release_as(ReleaseWay::Interface, &run.into, "n", true).await;
    assert_eq!(asked.state, ReleaseState::Asked, "{:?}", asked.findings);
    for who in ["reviewer", "authority"] {
        b.decide(who, &asked.id, true).await.unwrap();
    }
    b.house.app.store.sandbox_release_get(&asked.id).await.unwrap().unwrap().body
}

/// The same checks and the same two reviews; then the application of the sandbox calls it, nobody else, and it is metered and recorded.
async fn as_an_interface(house: House) {
    let b = sandboxed(house).await;
    let app = &b.house.app;
    let run = b.reviewed(Team::sql(SandboxStage::Production, "by_area", BY_AREA)).await;
    let way = ReleaseWay::Interface;
    let stopped = b.release_as(way, &run.into, "n", false).await;
    assert_eq!((stopped.state, checks(&stopped)), (ReleaseState::Stopped, vec![Check::Threshold]));
    let asked = b.release_as(way, &run.into, "n", true).await;
    let table = asked.outlet.as_ref().unwrap().table.clone();
    assert_eq!(asked.reviews.len(), 2);
    assert_eq!(told(&b.house, "reviewer", "sandbox.asked").await, 2, "the run and the release");
    b.decide("reviewer", &asked.id, true).await.unwrap();
    let early = caller(&b.house, &b.application).await;
    let early = sharing::query(app, &early, &table, &RowQuery::default()).await;
    assert_eq!(code(early.map(|_| ())), Code::NotFound, "the authority has not decided");
    let publish = async || sandbox::publish(app, &b.owner, &b.id, &asked.id).await;
    assert_eq!(code(publish().await), Code::WrongState);
    b.decide("authority", &asked.id, true).await.unwrap();

    let served = app.store.sandbox_release_get(&asked.id).await.unwrap().unwrap().body;
    let outlet = served.outlet.clone().unwrap();
    assert_eq!((served.state, outlet.interface.len()), (ReleaseState::Served, 16));
    assert_eq!(code(b.fetch(&asked.id).await), Code::WrongState, "one way alone");
    assert_eq!(code(publish().await), Code::WrongState, "once");
    let all = called(&b, &b.application, &outlet.interface, &[]).await.unwrap();
    assert_eq!(all, [["上城区", "5"], ["宁波市", "*"], ["西湖区", "6"]]);
    let one = called(&b, &b.application, &outlet.interface, &[("area", "西湖区")]).await.unwrap();
    assert_eq!(one, [["西湖区", "6"]]);
    let auditor = b.house.person("auditor").await;
    let filter =
        AuditFilter { action: Some("rows.query".into()), limit: 100, ..AuditFilter::default() };
    let records = app::audit::list(app, &auditor, &filter).await.unwrap();
    let calls: Vec<_> = records.iter().filter(|r| r.event.object == table).collect();
    let ok = calls.iter().filter(|r| r.event.result == "ok");
    assert_eq!(ok.clone().count(), 2);
    assert!(ok.clone().all(|r| r.event.request == asked.id && r.event.rows > 0));
    assert!(ok.clone().all(|r| r.event.scope.contains(&outlet.interface)));

    // Another application of the same organisation finds nothing, by whichever name; nor do people.
    let (_, other) = b.house.application("另一应用").await;
    let other = other.application.id;
    assert_eq!(code(called(&b, &other, &outlet.interface, &[]).await), Code::NotFound);
    let strange = caller(&b.house, &other).await;
    let strange = sharing::query(app, &strange, &table, &RowQuery::default()).await;
    assert_eq!(code(strange.map(|_| ())), Code::NotFound);
    let shown = app.store.interface_versions(&outlet.interface).await.unwrap().remove(0);
    for (who, sees) in [("consumer", true), ("county", false), ("citizen", false)] {
        let op = b.house.person(who).await;
        let seen = interface::documented(app, &op, &shown.id).await;
        assert_eq!(seen.is_ok(), sees, "{who}");
        let list = interface::list(app, &op, false, None, None, 0).await.unwrap();
        assert_eq!(list.items.iter().any(|i| i.interface.id == shown.id), sees, "{who}");
    }

    // What left by it is compared with what is to leave next, whatever way that takes.
    let more = BY_AREA.replace(
        "from renkou",
        "from (select region_code from renkou union all select '330106' as region_code) t",
    );
    let second = b.reviewed(Team::sql(SandboxStage::Production, "again", &more)).await;
    let stopped = b.release(&second.into, "n", true).await;
    assert_eq!((stopped.state, checks(&stopped)), (ReleaseState::Stopped, vec![Check::Difference]));

    // An emergency stop of what it was made from is told as that, and ends nothing: once it is lifted, calls go on.
    let security = b.house.person("security").await;
    let ask =
        HaltAsk { kind: HaltKind::Entry, name: "renkou".into(), reason: "疑似泄露".into() };
    let stop = halt::begin(app, &security, &ask).await.unwrap();
    let refused = called(&b, &b.application, &outlet.interface, &[]).await;
    assert_eq!(code(refused), Code::Halted);
    tick(&b.house).await;
    assert_eq!(told(&b.house, "consumer", "sandbox.stopped").await, 0, "its grant stands");
    halt::lift(app, &security, &stop.id, "已排查").await.unwrap();
    called(&b, &b.application, &outlet.interface, &[]).await.unwrap();

    // A provider takes back what it was made from: the next call is refused.
    let provider = b.house.person("provider").await;
    sharing::revoke(app, &provider, &b.request, "停止提供").await.unwrap();
    let refused = called(&b, &b.application, &outlet.interface, &[]).await;
    assert_eq!(code(refused), Code::GrantExpired);
    tick(&b.house).await;
    tick(&b.house).await;
    assert_eq!(told(&b.house, "consumer", "sandbox.stopped").await, 1, "told once");
}

/// Every answer bears a mark of its own: a copy of its rows says by which call they left, whichever name they were called by.
async fn bears_a_watermark(house: House) {
    let b = sandboxed(house).await;
    let (app, house) = (&b.house.app, &b.house);
    let release = served(&b).await;
    let outlet = release.outlet.clone().unwrap();
    let authority = house.person("authority").await;
    // A row set as somebody would pass it on, with what else the answer told of it.
    let leaked = |page: &RowPage| serde_json::to_string(&page.rows).unwrap();
    let mut calls = Vec::new();
    for given in [None, Some("西湖区")] {
        let op = caller(house, &b.application).await;
        let mut arguments = Arguments::default();
        given.iter().for_each(|area| arguments.add("area", *area));
        let answer = interface::call(app, &op, &outlet.interface, arguments).await.unwrap();
        let Body::Rows(page) = &answer.body else { panic!("no rows") };
        calls.push((op.request_id, answer.mark.clone().unwrap(), leaked(page)));
    }
    let op = caller(house, &b.application).await;
    let direct = sharing::query(app, &op, &outlet.table, &RowQuery::default()).await.unwrap();
    calls.push((op.request_id.clone(), direct.mark.clone().unwrap(), leaked(&direct.page)));
    for (request, mark, text) in &calls {
        // One row is enough, and so is one that was written with escapes.
        let one = text.split("],[").next().unwrap();
        let escaped: String = one
            .chars()
            .map(|c| if c.is_ascii() { c.to_string() } else { format!("\\u{:04x}", u32::from(c)) })
            .collect();
        for copy in [text.as_str(), one, escaped.as_str()] {
            let found = sandbox::trace(app, &authority, copy).await.unwrap().expect(copy);
            let call = found.call.unwrap();
            assert_eq!((&found.release.id, &call.request_id), (&release.id, request));
            assert_eq!((&call.mark, &call.application), (mark, &b.application));
        }
        assert!(sandbox::trace(app, &authority, &watermark::plain(text)).await.unwrap().is_none());
    }
    let mut marks: Vec<&String> = calls.iter().map(|(_, mark, _)| mark).collect();
    marks.sort();
    marks.dedup();
    assert_eq!(marks.len(), 3, "no two answers bear the same");
    assert!(!marks.contains(&&release.mark));

    // The chain names the mark beside the call.
    let auditor = house.person("auditor").await;
    let filter =
        AuditFilter { action: Some("rows.query".into()), limit: 100, ..AuditFilter::default() };
    let records = app::audit::list(app, &auditor, &filter).await.unwrap();
    for (request, mark, _) in &calls {
        let record = records.iter().find(|r| r.event.trace_id == *request).unwrap();
        assert!(record.event.scope.ends_with(&format!("mark {mark}")), "{}", record.event.scope);
    }

    // What is taken from an answer finds its row again.
    let Some(Value::Text(area)) = direct
        .page
        .rows
        .iter()
        .flatten()
        .find(|v| v.to_text().is_some_and(|t| watermark::plain(&t) == "西湖区"))
    else {
        panic!("{:?}", direct.page.rows)
    };
    assert_ne!(area, "西湖区");
    let again =
        called(&b, &b.application, &outlet.interface, &[("area", area.as_str())]).await.unwrap();
    assert_eq!(again, [["西湖区", "6"]]);

    // Only the authority asks whose copy a text is; a member sees from which release the interface comes.
    let reviewer = house.person("reviewer").await;
    assert_eq!(code(sandbox::trace(app, &reviewer, &calls[0].2).await), Code::Denied);
    let shown = app.store.interface_versions(&outlet.interface).await.unwrap().remove(0);
    let (view, _) = interface::get(app, &b.owner, &shown.id).await.unwrap();
    let origin = view.released.unwrap();
    assert_eq!((origin.project, origin.release), (b.id.clone(), release.id.clone()));
}

/// It ends with the sandbox: closed, or its term over. Members are told, each thing once.
async fn ends_with_the_sandbox(house: House) {
    let b = sandboxed(house).await;
    let (app, house) = (&b.house.app, &b.house);
    assert!(app.store.sandbox_bound(&b.application).await.unwrap());
    let new = UserNew {
        name: "colleague".into(),
        display_name: "colleague".into(),
        org: Some(CONSUMER_ORG.into()),
        roles: vec![Role::Consumer],
        password: PASSWORD.into(),
    };
    account::create_user(app, &Op::system(app.now()), new).await.unwrap();
    for role in [ProjectRole::Viewer, ProjectRole::Developer] {
        project::member_set(app, &b.owner, &b.id, "colleague", role).await.unwrap();
    }
    assert_eq!(told(house, "colleague", "sandbox.invited").await, 1, "another role is no news");
    let colleague = house.person("colleague").await;
    let lines = sandbox::list(app, &colleague, None, 0).await.unwrap().items;
    let line = lines.first().unwrap();
    assert_eq!(
        (line.role, line.until.as_str(), line.closed),
        (ProjectRole::Developer, "2026-03-22", false)
    );

    let release = served(&b).await;
    let interface = release.outlet.unwrap().interface;
    for kind in ["sandbox.run", "sandbox.release"] {
        assert_eq!(told(house, "colleague", kind).await, 1, "{kind}");
    }
    called(&b, &b.application, &interface, &[]).await.unwrap();
    assert_eq!((tick(house).await, told(house, "colleague", "sandbox.due").await), (0, 0));
    house.clock.forward(TimeDelta::days(14));
    for _ in 0..2 {
        assert_eq!((tick(house).await, told(house, "colleague", "sandbox.due").await), (0, 1));
    }
    called(&b, &b.application, &interface, &[]).await.unwrap();
    house.clock.forward(TimeDelta::days(7));
    assert_eq!(code(called(&b, &b.application, &interface, &[]).await), Code::GrantExpired);
    assert_eq!((tick(house).await, tick(house).await), (1, 0), "ended once");
    assert_eq!(told(house, "colleague", "sandbox.stopped").await, 1);
    assert_eq!(code(called(&b, &b.application, &interface, &[]).await), Code::GrantExpired);

    let owner = house.person("consumer").await;
    project::close(app, &owner, &b.id).await.unwrap();
    assert_eq!(told(house, "colleague", "sandbox.stopped").await, 2);
    assert!(!app.store.sandbox_bound(&b.application).await.unwrap());
    assert!(sandbox::list(app, &owner, None, 0).await.unwrap().items[0].closed);
}

/// Closing a sandbox within its term ends what it serves at once.
async fn closed_at_once(house: House) {
    let b = sandboxed(house).await;
    let interface = served(&b).await.outlet.unwrap().interface;
    called(&b, &b.application, &interface, &[]).await.unwrap();
    project::close(&b.house.app, &b.owner, &b.id).await.unwrap();
    assert_eq!(code(called(&b, &b.application, &interface, &[]).await), Code::GrantExpired);
}

/// The owner asks for it before the term is over, the authority decides, never beyond what was agreed.
async fn a_longer_term(house: House) {
    let b = sandboxed(house).await;
    let (app, house) = (&b.house.app, &b.house);
    let ask = async |until: &str, reason: &str| {
        let owner = house.person("consumer").await;
        sandbox::ask_extension(app, &owner, &b.id, until, reason).await
    };
    assert_eq!(code(ask("2026-03-30", " ").await), Code::InvalidInput);
    assert_eq!(code(ask("next year", "补充分析").await), Code::InvalidInput);
    for day in ["2026-03-22", "2026-03-01"] {
        assert_eq!(code(ask(day, "补充分析").await), Code::RuleBroken, "no longer: {day}");
    }
    // The share application of 30 days ends on 1 April.
    let seen = sandbox::get(app, &b.owner, &b.id).await.unwrap();
    assert_eq!(seen.agreed_until, "2026-04-01");
    assert_eq!(code(ask("2026-04-02", "补充分析").await), Code::RuleBroken);
    for who in ["provider", "county", "citizen"] {
        let op = house.person(who).await;
        let asked = sandbox::ask_extension(app, &op, &b.id, "2026-03-30", "x").await;
        assert_eq!(code(asked), Code::NotFound, "{who}");
    }

    let asked = ask("2026-03-30", "补充分析").await.unwrap();
    assert_eq!(code(ask("2026-03-31", "补充分析").await), Code::WrongState, "one at a time");
    assert_eq!(told(house, "authority", "sandbox.asked").await, 1);
    assert_eq!(told(house, "reviewer", "sandbox.asked").await, 0);
    let reviewer = house.person("reviewer").await;
    assert!(sandbox::desk(app, &reviewer).await.unwrap().is_empty(), "no seat of theirs");
    for who in ["reviewer", "consumer"] {
        assert_eq!(code(b.decide(who, &asked.id, true).await), Code::NotFound, "{who}");
    }
    let authority = house.person("authority").await;
    let waiting = sandbox::desk(app, &authority).await.unwrap();
    assert_eq!(waiting[0].extension.as_ref().unwrap().until, "2026-03-30");
    b.decide("authority", &asked.id, false).await.unwrap();
    let until = async || sandbox::get(app, &b.owner, &b.id).await.unwrap().until;
    assert_eq!(until().await, "2026-03-22", "refused");

    let asked = ask("2026-03-30", "补充分析").await.unwrap();
    b.decide("authority", &asked.id, true).await.unwrap();
    assert_eq!(until().await, "2026-03-30");
    assert_eq!(code(b.decide("authority", &asked.id, true).await), Code::NotFound, "decided");
    assert_eq!(told(house, "consumer", "sandbox.extension").await, 2);
    let auditor = house.person("auditor").await;
    let filter =
        AuditFilter { object: Some(asked.id.clone()), limit: 10, ..AuditFilter::default() };
    let actions: Vec<String> = app::audit::list(app, &auditor, &filter)
        .await
        .unwrap()
        .into_iter()
        .filter(|r| r.event.result == "ok")
        .map(|r| r.event.action)
        .collect();
    assert!(actions.contains(&"sandbox.extension.ask".to_owned()), "{actions:?}");
    assert!(actions.contains(&"sandbox.decide".to_owned()), "{actions:?}");

    // What the agreement does not hold any more is not agreed to either; after the term nothing is asked.
    let late = ask("2026-04-01", "再补充").await.unwrap();
    let provider = house.person("provider").await;
    sharing::revoke(app, &provider, &b.request, "停止提供").await.unwrap();
    assert_eq!(code(b.decide("authority", &late.id, true).await), Code::RuleBroken);
    assert_eq!(until().await, "2026-03-30");
    b.decide("authority", &late.id, false).await.unwrap();
    house.clock.forward(TimeDelta::days(40));
    assert_eq!(code(ask("2026-05-01", "再补充").await), Code::WrongState);
    let extensions = sandbox::get(app, &b.owner, &b.id).await.unwrap().extensions;
    let states: Vec<ExtensionState> = extensions.iter().map(|e| e.state).collect();
    use ExtensionState::{Agreed, Refused};
    assert_eq!(states, [Refused, Agreed, Refused]);
}

/// Twelve firms in two districts.
fn firms() -> String {
    let line = |n: i32| format!("{n},{},1.00,2026-01-01\n", if n <= 7 { "甲区" } else { "乙区" });
    let rows: String = (1..=12).map(line).collect();
    format!("id,name,amount,day\n{rows}")
}

/// Signed for use in a sandbox: nowhere else; a breach stops the sandbox and what it serves.
async fn restricted_to_a_sandbox(house: House) {
    house.publish(crate::restricted::restricted_open("qiye")).await;
    house.collect("qiye", "y.csv", firms().as_bytes(), SyncMode::Full).await.unwrap();
    let owner = house.person("enterprise").await;
    let new = ApplicationNew {
        name: "选址分析".into(),
        description: String::new(),
        org: ENTERPRISE_ORG.into(),
    };
    let made = account::register_application(&house.app, &owner, new).await.unwrap();
    let application = made.application.id;
    let wanted =
        UseNew { method: "sandbox".into(), ..use_of(&application, "qiye", &["id", "name"]) };
    let number = house.use_submitted(&owner, wanted).await.unwrap().number;
    house.use_approved(&number, &["provider", "authority"]).await;
    house.use_sealed(&owner, &number).await;
    let agreed = house.use_countersigned("provider", &number).await.unwrap();
    assert_eq!(agreed.state, UseState::InForce);
    let app = &house.app;

    // Not by the interface, not by the SQL door, not by another kind of project.
    let op = caller(&house, &application).await;
    let direct = sharing::query(app, &op, "qiye", &RowQuery::default()).await.unwrap_err();
    assert_eq!(
        (direct.code(), direct.reasons().join(",")),
        (Code::NoGrant, "request.sandbox-only".into())
    );
    assert!(app.store.sandbox_bound(&application).await.unwrap());
    let project = |code: &str| ProjectNew {
        application: application.clone(),
        code: code.into(),
        name: "选址".into(),
        purpose: "按区统计企业".into(),
        entries: vec!["qiye".into()],
    };
    assert_eq!(code(project::create(app, &owner, project("plain")).await), Code::RuleBroken);

    let made = sandbox::create(app, &owner, project("sites"), 30).await.unwrap();
    let request = String::new();
    let b = Team { id: made.id, owner, application, request, house };
    let app = &b.house.app;
    let sample = sandbox::sample(app, &b.owner, &b.id, "qiye").await.unwrap();
    assert_eq!(sample.rows, 10);
    let sql = "select name, count(*) as n from qiye group by name";
    let run = b.reviewed(Team::sql(SandboxStage::Production, "by_area", sql)).await;
    assert_eq!(run.state, RunState::Done);
    let asked = b.release_as(ReleaseWay::Interface, &run.into, "n", true).await;
    for who in ["reviewer", "authority"] {
        b.decide(who, &asked.id, true).await.unwrap();
    }
    let release = app.store.sandbox_release_get(&asked.id).await.unwrap().unwrap().body;
    let interface = release.outlet.unwrap().interface;
    let rows = called(&b, &b.application, &interface, &[]).await.unwrap();
    assert_eq!(rows, [["乙区", "5"], ["甲区", "7"]]);

    let provider = b.house.person("provider").await;
    let breach = UseOrder {
        rule: "超范围使用".into(),
        ..UseOrder::new(UseDeed::Breach, "转给了他人")
    };
    restricted::act(app, &provider, &number, breach).await.unwrap();
    assert_eq!(code(called(&b, &b.application, &interface, &[]).await), Code::GrantExpired);
    let again = sandbox::sample(app, &b.owner, &b.id, "qiye").await;
    assert!(again.is_err(), "nothing is granted any more");
    tick(&b.house).await;
    assert_eq!(told(&b.house, "enterprise", "sandbox.stopped").await, 1);
}

crate::on_both!(
    as_an_interface,
    bears_a_watermark,
    ends_with_the_sandbox,
    closed_at_once,
    a_longer_term,
    restricted_to_a_sandbox
);

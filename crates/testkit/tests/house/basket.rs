//! The basket and its approvals in the house: one form of four ledgers, owners who decide differently, delegation,
//! what comes back, disputes in three layers, flows that change while approvals run, and a history nobody can change.

use app::approval::{self, Act};
use app::basket::{self, Amend, DemandNew, ObjectionNew, PartNew};
use app::sharing;
use chrono::TimeDelta;
use model::asset::Ledger;
use model::audit::AuditFilter;
use model::basket::{AssetRef, Bundle, Form, Part, Want};
use model::code::SyncMode;
use model::flow::Phase;
use model::query::RowQuery;
use model::request::{Period, RequestState};
use model::{Code, Op};
use testkit::House;

const ECOLOGY: &str = "org-ecology";

fn form(application: &str) -> Form {
    Form {
        name: "出生一件事".into(),
        area: "government".into(),
        apply_type: "service".into(),
        finish_date: String::new(),
        scene: "核验办事人身份".into(),
        matters: "出生登记".into(),
        business_usage: String::new(),
        expect_effect: "少填 12 个字段".into(),
        legal_basis: "部门职责".into(),
        letter: "浙数函〔2026〕1号".into(),
        contact: "张三丰".into(),
        phone: "0571-8888 0000".into(),
        vendor: String::new(),
        application: application.into(),
        period: Period::Days { days: 90 },
    }
}

fn asset(ledger: Ledger, id: &str, org: &str) -> AssetRef {
    AssetRef { ledger, id: id.into(), title: format!("资源 {id}"), org: org.into() }
}

fn api(id: &str, items: &[&str]) -> PartNew {
    let items = items.iter().map(|i| (*i).to_owned()).collect();
    let want = Want::Api { items, calls_per_day: 100, area_range: String::new() };
    PartNew { asset: asset(Ledger::Data, id, ""), want }
}

fn component(id: &str) -> PartNew {
    let want = Want::Use { calls_per_day: 10, detail: "统一登录".into() };
    PartNew { asset: asset(Ledger::Component, id, ""), want }
}

fn cloud(vcpu: u32) -> PartNew {
    let want = Want::Cloud { vcpu, memory_gb: 16, disk_gb: 100, detail: "测试环境".into() };
    PartNew { asset: asset(Ledger::Cloud, "ecs-1", ""), want }
}

fn cloud_draft(code: &str, org: &str) -> model::asset::AssetDraft {
    let fields = [("kind", "数据库"), ("zone", "政务外网区"), ("expiry", "2027-01-31")];
    model::asset::AssetDraft {
        ledger: Ledger::Cloud,
        code: code.into(),
        name: format!("规划中的云资源 {code}"),
        org: org.into(),
        region: "330000".into(),
        owner: "张三".into(),
        description: String::new(),
        fields: fields.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
    }
}

fn part<'a>(bundle: &'a Bundle, ledger: Ledger, title: &str) -> &'a Part {
    bundle.parts.iter().find(|p| p.asset.ledger == ledger && p.asset.title.contains(title)).unwrap()
}

/// One of the people answers the seat that waits for them.
async fn answer(
    house: &House,
    who: &str,
    approval: &str,
    deed: Act,
    opinion: &str,
) -> model::Result<approval::Seen> {
    let op = house.person(who).await;
    let seen = approval::get(&house.app, &op, approval).await?;
    let (step, seat, _) = seen.mine.first().cloned().unwrap_or_else(|| {
        let open = seen.state.open.first().unwrap();
        (open.step.clone(), 0, false)
    });
    approval::act(&house.app, &op, approval, &step, seat, deed, opinion).await
}

fn yes() -> Act {
    Act::Decide { approve: true, reason: String::new() }
}

fn no(reason: &str) -> Act {
    Act::Decide { approve: false, reason: reason.into() }
}

async fn approve(house: &House, approval: &str, people: &[&str]) -> approval::Seen {
    let mut seen = None;
    for who in people {
        let outcome = answer(house, who, approval, yes(), "同意").await;
        seen = Some(outcome.unwrap_or_else(|e| panic!("{who} on {approval}: {e:?}")));
    }
    seen.unwrap()
}

async fn refused(house: &House, who: &str, approval: &str, deed: Act) -> Code {
    answer(house, who, approval, deed, "言").await.unwrap_err().code()
}

/// Search → basket of four kinds → one form → owners decide differently → progress → the one gate.
async fn one_form_for_four_ledgers(house: House) {
    let app = &house.app;
    let consumer = house.person("consumer").await;
    let (caller, secret) = house.application("出生一件事").await;
    let open = house.publish(testkit::draft("tongji")).await;
    let person = house.publish(testkit::person_draft("renkou")).await;
    let rows =
        b"sfzh,xm,sjh,csrq,region_code\n11010519491231002X,A,13800138000,1949-12-31,330106\n";
    house.collect("renkou", "p.csv", rows, SyncMode::Full).await.unwrap();

    house.asset("stranger", Ledger::Component, "sso", "统一用户 sso").await;
    house.asset("stranger", Ledger::Cloud, "ecs-1", "政务云主机 ecs-1").await;
    house.asset("consumer", Ledger::Cloud, "x", "本单位的云主机").await;
    let planned = cloud_draft("planned", ECOLOGY);
    let stranger = house.person("stranger").await;
    let planned = app::ledger::create(app, &stranger, planned, false).await.unwrap();

    // The basket knows entries by code, refuses what one may not know of and what is one's own, and is one's own.
    for id in ["tongji", "renkou"] {
        basket::add(app, &consumer, asset(Ledger::Data, id, "")).await.unwrap();
    }
    basket::add(app, &consumer, asset(Ledger::Data, "renkou", "")).await.unwrap();
    // Title and owner are the ledger's, whatever the reference says; what is not there, of another ledger, or not in
    // service, goes in by no word of the caller.
    let held = basket::add(app, &consumer, asset(Ledger::Component, "sso", "org-team")).await;
    let held = held.unwrap().asset;
    assert_eq!((held.title.as_str(), held.org.as_str()), ("统一用户 sso", ECOLOGY));
    basket::add(app, &consumer, asset(Ledger::Cloud, "ecs-1", ECOLOGY)).await.unwrap();
    let own = basket::add(app, &consumer, asset(Ledger::Cloud, "x", ECOLOGY)).await.unwrap_err();
    assert_eq!(own.code(), Code::RuleBroken);
    for (ledger, id, code) in [
        (Ledger::Cloud, "invented", Code::NotFound),
        (Ledger::Component, "ecs-1", Code::NotFound),
        (Ledger::Cloud, planned.id.as_str(), Code::WrongState),
    ] {
        let e = basket::add(app, &consumer, asset(ledger, id, ECOLOGY)).await.unwrap_err();
        assert_eq!(e.code(), code, "{ledger} {id}");
    }
    let none = basket::add(app, &consumer, asset(Ledger::Data, "nothing", "")).await.unwrap_err();
    assert_eq!(none.code(), Code::NotFound);
    assert_eq!(basket::list(app, &consumer).await.unwrap().len(), 4);
    assert!(basket::list(app, &house.person("county").await).await.unwrap().is_empty());
    let citizen = house.person("citizen").await;
    assert!(basket::list(app, &citizen).await.unwrap().is_empty(), "a citizen has one, too");
    for (ledger, id) in [(Ledger::Data, "renkou"), (Ledger::Cloud, "ecs-1")] {
        let e = basket::add(app, &citizen, asset(ledger, id, "")).await.unwrap_err();
        assert_eq!(
            e.code(),
            Code::NotFound,
            "what is not open to citizens does not exist for them"
        );
    }
    assert_eq!(
        basket::list(app, &house.person("auditor").await).await.unwrap_err().code(),
        Code::Denied
    );

    // Everything that is wrong is said at once, and nothing is kept.
    let mut bad = form(&secret.application.id);
    bad.phone = "no".into();
    bad.area = "moon".into();
    let wrong = vec![api("renkou", &["xm", "salary"]), cloud(0), component("")];
    let e = basket::file_share(app, &consumer, bad, wrong).await.unwrap_err();
    assert_eq!(e.code(), Code::RuleBroken);
    let said: Vec<&str> = e.fields().iter().map(|f| f.field.as_str()).collect();
    assert!(said.contains(&"phone") && said.contains(&"area"), "{said:?}");
    assert!(said.iter().any(|f| f.contains("renkou") && f.contains("items")), "{said:?}");
    assert_eq!(basket::list(app, &consumer).await.unwrap().len(), 4);

    let parts = vec![
        api("tongji", &["id", "amount"]),
        api("renkou", &["sfzh", "xm"]),
        component("sso"),
        cloud(128),
    ];
    let bundle =
        basket::file_share(app, &consumer, form(&secret.application.id), parts).await.unwrap();
    assert!(
        basket::list(app, &consumer).await.unwrap().is_empty(),
        "what was filed left the basket"
    );
    assert_eq!(bundle.parts.len(), 4);
    // Shared without condition: granted before the call returned, by the one gate.
    let stat = part(&bundle, Ledger::Data, "tongji");
    assert_eq!((stat.phase, stat.state()), (Phase::Approved, "closed"));
    let granted = sharing::get(app, &consumer, &stat.id).await.unwrap();
    assert_eq!((granted.state, granted.entry.as_str()), (RequestState::Approved, open.id.as_str()));
    assert_eq!(granted.applicant, consumer.actor.id());

    // Grade 3: intake, provider, then authority and security side by side.
    let people = part(&bundle, Ledger::Data, "renkou").approval.clone();
    assert_eq!(refused(&house, "provider", &people, yes()).await, Code::Denied, "not yet its turn");
    assert_eq!(approval::get(app, &stranger, &people).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(
        basket::bundle(app, &stranger, &bundle.id).await.unwrap().parts.len(),
        2,
        "its own parts only"
    );
    assert_eq!(
        refused(&house, "consumer", &people, yes()).await,
        Code::Denied,
        "nobody decides their own"
    );
    let call = || app.op(caller.actor.clone(), "127.0.0.1");
    let early = sharing::query(app, &call(), "renkou", &RowQuery::default()).await.unwrap_err();
    assert_eq!(early.code(), Code::NoGrant);
    let seen = approve(&house, &people, &["authority", "reviewer"]).await;
    assert_eq!(seen.state.open.len(), 2, "side by side");
    let seen = approve(&house, &people, &["authority", "security"]).await;
    assert_eq!(seen.state.phase, Phase::Approved);
    let release = sharing::query(app, &call(), "renkou", &RowQuery::default()).await.unwrap();
    assert_eq!(release.page.columns, ["sfzh", "xm"], "exactly what was granted");
    assert_eq!(release.masked, ["sfzh", "xm"]);
    assert_eq!(person.draft.code, "renkou");

    // The component's owner refuses: a reason of the list, with proof.
    let sso = part(&bundle, Ledger::Component, "sso").clone();
    assert_eq!(refused(&house, "stranger", &sso.approval, no("whim")).await, Code::RuleBroken);
    answer(&house, "stranger", &sso.approval, no("not_ready"), "未部署").await.unwrap();
    // 128 vCPU: countersigned by authority and owner; the owner here has no reviewer but hands it to one.
    let ecs = part(&bundle, Ledger::Cloud, "ecs").approval.clone();
    let seen = approve(&house, &ecs, &["stranger", "authority"]).await;
    assert_eq!(seen.state.open[0].active(), [1], "countersignature needs both");
    let now = basket::bundle(app, &consumer, &bundle.id).await.unwrap().progress();
    assert_eq!((now.total, now.approved, now.refused, now.running), (4, 2, 1, 1));
    assert!(now.percent > 75 && now.state == "running", "{now:?}");
    basket::withdraw(app, &consumer, &bundle.id, "不再需要").await.unwrap();

    // Feedback once all is decided, and once only.
    let bundle = basket::bundle(app, &consumer, &bundle.id).await.unwrap();
    assert_eq!(bundle.progress().state, "feedback-pending");
    basket::feedback(app, &consumer, &bundle.id, "免填 12 项", 5, true).await.unwrap();
    let twice = basket::feedback(app, &consumer, &bundle.id, "又", 5, true).await.unwrap_err();
    assert_eq!(twice.code(), Code::WrongState);
    dispute_in_three_layers(&house, &bundle, &sso).await;
    every_decision_is_recorded(&house, &people).await;
}

/// A refusal disputed: the owner reconsiders, the authority coordinates; then it is implemented.
async fn dispute_in_three_layers(house: &House, bundle: &Bundle, sso: &Part) {
    let app = &house.app;
    let consumer = house.person("consumer").await;
    let county = house.person("county").await;
    let e = basket::dispute(app, &county, &sso.id, "不服").await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound, "someone else's");
    basket::dispute(app, &consumer, &sso.id, "已部署").await.unwrap();
    let again = basket::dispute(app, &consumer, &sso.id, "已部署").await.unwrap_err();
    assert_eq!(again.code(), Code::WrongState);
    let now = basket::bundle(app, &consumer, &bundle.id).await.unwrap();
    let now = part(&now, Ledger::Component, "sso").clone();
    assert_eq!((now.flow.as_str(), now.state()), ("dispute", "confirm-auditing"));
    answer(house, "stranger", &now.approval, no("other"), "仍不同意").await.unwrap();
    let seen = answer(house, "authority", &now.approval, no("other"), "协调不成").await.unwrap();
    assert_eq!(seen.state.open[0].step, "government", "the third layer");
    let back = Act::Return { to: None, missing: Vec::new() };
    assert_eq!(
        refused(house, "authority", &now.approval, back).await,
        Code::WrongState,
        "an answer must be given"
    );
    let seen = approve(house, &now.approval, &["authority", "stranger"]).await;
    assert_eq!(seen.state.phase, Phase::Approved);
    let both = approval::about(app, &consumer, &seen.state.subject).await.unwrap();
    assert_eq!(both.len(), 2, "the refusal stays in the history");
}

async fn every_decision_is_recorded(house: &House, approval: &str) {
    let auditor = house.person("auditor").await;
    let filter =
        AuditFilter { object: Some(approval.into()), limit: 100, ..AuditFilter::default() };
    let records = app::audit::list(&house.app, &auditor, &filter).await.unwrap();
    let count = |action: &str, result: &str| {
        records.iter().filter(|r| r.event.action == action && r.event.result == result).count()
    };
    assert_eq!(count("approval.approve", "ok"), 4, "{records:?}");
    assert_eq!(count("approval.start", "ok"), 1);
    assert_eq!(count("approval.act", "ok"), 1);
    assert_eq!(count("approval.decide", "denied"), 2);
    assert!(approval::verify(&house.app, &auditor, approval).await.unwrap());
}

/// Sent back with what is missing, completed, urged; handed on, asked, co-signed; answered in place of someone on leave.
async fn people_hand_on(house: House) {
    let app = &house.app;
    let consumer = house.person("consumer").await;
    let (_, secret) = house.application("应用").await;
    house.publish(testkit::person_draft("renkou")).await;
    let filed = basket::file_share(
        app,
        &consumer,
        form(&secret.application.id),
        vec![api("renkou", &["xm", "csrq"])],
    );
    let bundle = filed.await.unwrap();
    let (id, part_id) = (bundle.parts[0].approval.clone(), bundle.parts[0].id.clone());
    let clash = basket::file_share(
        app,
        &consumer,
        form(&secret.application.id),
        vec![api("renkou", &["xm"])],
    )
    .await;
    assert!(clash.is_ok(), "two under way may stand side by side: the first to be granted wins");

    // 缺项反馈 and 补正
    let back = Act::Return { to: None, missing: vec!["申请函".into()] };
    assert_eq!(
        answer(&house, "authority", &id, back.clone(), " ").await.unwrap_err().code(),
        Code::RuleBroken
    );
    answer(&house, "authority", &id, back, "缺申请函").await.unwrap();
    let seen = basket::bundle(app, &consumer, &bundle.id).await.unwrap();
    assert_eq!((seen.parts[0].state(), seen.progress().state), ("returned", "returned"));
    let fewer =
        Want::Api { items: vec!["xm".into()], calls_per_day: 50, area_range: String::new() };
    let county = house.person("county").await;
    let amend = Amend { want: fewer, opinion: "已附申请函".into() };
    assert!(basket::amend(app, &county, &part_id, amend.clone()).await.is_err());
    let seen = basket::amend(app, &consumer, &part_id, amend.clone()).await.unwrap();
    assert_eq!(seen.parts[0].want.items(), ["xm"]);
    assert_eq!(
        basket::amend(app, &consumer, &part_id, amend).await.unwrap_err().code(),
        Code::WrongState
    );

    // 催办
    approval::urge(app, &consumer, &id, "请尽快").await.unwrap();
    assert_eq!(approval::urge(app, &consumer, &id, "").await.unwrap_err().code(), Code::WrongState);
    let authority = house.person("authority").await;
    assert_eq!(approval::urge(app, &authority, &id, "").await.unwrap_err().code(), Code::Denied);

    // 转办: the new person sees it, the role does not any more.
    let nobody = Act::Transfer { user: "citizen".into() };
    assert_eq!(
        answer(&house, "authority", &id, nobody, "").await.unwrap_err().code(),
        Code::InvalidInput
    );
    let own = Act::Transfer { user: "consumer".into() };
    assert_eq!(
        answer(&house, "authority", &id, own, "").await.unwrap_err().code(),
        Code::RuleBroken
    );
    answer(&house, "authority", &id, Act::Transfer { user: "city".into() }, "请办理")
        .await
        .unwrap();
    assert!(
        approval::tasks(app, &authority, None, 10)
            .await
            .unwrap()
            .items
            .iter()
            .all(|t| t.approval.id != id)
    );
    let city = house.person("city").await;
    assert!(
        approval::tasks(app, &city, None, 10)
            .await
            .unwrap()
            .items
            .iter()
            .any(|t| t.approval.id == id)
    );
    // 委派: only an opinion, then back.
    answer(&house, "city", &id, Act::Delegate { user: "stranger".into() }, "").await.unwrap();
    assert_eq!(refused(&house, "stranger", &id, yes()).await, Code::WrongState);
    assert_eq!(refused(&house, "city", &id, yes()).await, Code::Denied, "it is with someone else");
    answer(&house, "stranger", &id, Act::Answer, "无意见").await.unwrap();
    // 加签
    answer(&house, "city", &id, Act::Add { user: "county".into() }, "").await.unwrap();
    let seen = approve(&house, &id, &["city", "county"]).await;
    assert_eq!(seen.state.open[0].step, "confirm");

    // On leave: the stand-in answers in the reviewer's place, and the history says so.
    let reviewer = house.person("reviewer").await;
    let ecology = house.person("stranger").await;
    assert!(approval::tasks(app, &ecology, None, 10).await.unwrap().items.is_empty());
    let e = approval::lend(app, &reviewer, "stranger", "2026-03-02", "2026-03-01", "")
        .await
        .unwrap_err();
    assert_eq!(e.code(), Code::InvalidInput);
    assert_eq!(
        approval::lend(app, &consumer, "stranger", "2026-03-02", "2026-03-06", "")
            .await
            .unwrap_err()
            .code(),
        Code::Denied
    );
    approval::lend(app, &reviewer, "stranger", "2026-03-02", "2026-03-06", "年休").await.unwrap();
    let tasks = approval::tasks(app, &ecology, None, 10).await.unwrap().items;
    assert_eq!(tasks[0].in_place_of.as_deref(), Some("reviewer"));
    let seen = answer(&house, "stranger", &id, yes(), "同意").await.unwrap();
    let last = seen.events.iter().rev().find(|e| e.in_place_of.is_some()).unwrap();
    assert_eq!(last.in_place_of.as_deref(), Some(reviewer.actor.id()));
    assert_eq!(last.by, ecology.actor.id());
    // Grade 2: the authority alone; then it is granted as it was amended.
    approve(&house, &id, &["authority"]).await;
    let granted = sharing::get(app, &consumer, &part_id).await.unwrap();
    assert_eq!((granted.items, granted.calls_per_day), (vec!["xm".to_owned()], 50));
    // The second application for the same meets what is granted already: refused by the platform, said why.
    let second = clash.unwrap();
    let other = &second.parts[0].approval;
    let seen = approve(&house, other, &["authority", "provider", "authority"]).await;
    assert_eq!(seen.state.phase, Phase::Refused);
    let note = seen.events.iter().find_map(|e| match &e.what {
        model::flow::What::Acted { done: false, note, .. } => Some(note.clone()),
        _ => None,
    });
    assert!(note.unwrap().contains("已有在办或已通过"), "the reason is in the history");
    assert_eq!(approval::leaves(app, &reviewer).await.unwrap().len(), 1);
}

/// Demand and objection; days pass: reminders, escalation; a flow changes while approvals run.
async fn time_and_versions(house: House) {
    let app = &house.app;
    let consumer = house.person("consumer").await;
    let authority = house.person("authority").await;
    let entry = house.publish(testkit::draft("tongji")).await;
    let new = |org: &str, need: &str| DemandNew {
        form: form(""),
        title: "学籍信息".into(),
        need: need.into(),
        detail: "核验学籍".into(),
        fields: "学号、姓名".into(),
        org: org.into(),
    };
    let e = basket::file_demand(app, &consumer, new(ECOLOGY, "magic")).await.unwrap_err();
    assert_eq!(e.fields()[0].field, "need");
    let demand = basket::file_demand(app, &consumer, new(ECOLOGY, "query_api")).await.unwrap();
    let id = demand.parts[0].approval.clone();
    approve(&house, &id, &["authority"]).await;
    let unknown = basket::file_demand(app, &consumer, new("", "file")).await.unwrap();
    let seen = approve(&house, &unknown.parts[0].approval, &["authority"]).await;
    assert_eq!(seen.state.open[0].step, "assign", "the authority finds out who has it");

    // Fifteen working days: reminded on the twelfth, escalated on the fifteenth, once each.
    let system = || Op::system(app.now());
    assert_eq!(approval::tick(app, &system()).await.unwrap().timers, 0);
    house.clock.forward(TimeDelta::days(17));
    assert_eq!(approval::tick(app, &system()).await.unwrap().timers, 2);
    assert_eq!(approval::tick(app, &system()).await.unwrap().timers, 0);
    house.clock.forward(TimeDelta::days(5));
    approval::tick(app, &system()).await.unwrap();
    let later = house.person("authority").await;
    let tasks = approval::tasks(app, &later, None, 10).await.unwrap().items;
    assert!(tasks.iter().any(|t| t.approval.id == id && t.overdue), "escalated to the authority");
    let late = approval::late(app, &later, None, 10).await.unwrap().items;
    assert!(late.iter().any(|a| a.id == id), "and among what is late");
    let seen = approve(&house, &id, &["authority", "consumer", "stranger"]).await;
    assert_eq!(
        seen.state.phase,
        Phase::Approved,
        "analysed, confirmed by the applicant, implemented"
    );

    let object = |point: &str| ObjectionNew {
        form: form(""),
        asset: asset(Ledger::Data, "tongji", ""),
        about: "use".into(),
        point: point.into(),
        detail: "金额有误".into(),
    };
    assert!(basket::file_objection(app, &consumer, object("")).await.is_err());
    let objection = basket::file_objection(app, &consumer, object("quality")).await.unwrap();
    assert_eq!(objection.parts[0].asset.id, entry.id);
    let old = objection.parts[0].approval.clone();

    // A new version of the flow is published; what runs keeps its own, what is filed follows the new one.
    let shipped = approval::flows(app, &consumer).await.unwrap();
    let body = shipped.iter().find(|f| f.flow.id == "objection").unwrap().body.clone();
    let e =
        approval::publish(app, &authority, &body.replace("id = \"handle\"", "id = \"handled\""))
            .await
            .unwrap_err();
    assert_eq!(e.code(), Code::RuleBroken, "a step that nothing leads to");
    let changed = body.replace("effective = \"2026-01-01\"", "effective = \"2026-03-01\"");
    let e = approval::publish(app, &authority, &changed).await.unwrap_err();
    assert!(e.en().contains("must be 2"), "{e}");
    let second = changed.replace("version = 1", "version = 2").replace("days = 5", "days = 3");
    let e = approval::publish(app, &consumer, &second).await.unwrap_err();
    assert_eq!(e.code(), Code::Denied);
    approval::publish(app, &authority, &second).await.unwrap();
    let walk = approval::simulate(
        app,
        &authority,
        &second,
        Default::default(),
        Default::default(),
        &Default::default(),
    );
    assert_eq!(walk.unwrap().phase, Phase::Approved);
    let filed = basket::file_objection(app, &consumer, object("quality")).await.unwrap();
    let new = approval::get(app, &consumer, &filed.parts[0].approval).await.unwrap();
    let kept = approve(&house, &old, &["authority"]).await;
    assert_eq!((new.state.version, kept.state.version), (2, 1));
    assert_eq!(kept.flow.version, 1);

    // History is immutable for the database itself.
    if app.store.backend() == store::Backend::Sqlite {
        let file = house.folder().join("store/control.db");
        let db = rusqlite::Connection::open(file).unwrap();
        for sql in [
            "UPDATE approval_event SET body = '{}'",
            "DELETE FROM approval_event",
            "UPDATE flow_version SET body = ''",
            "DELETE FROM flow_version",
        ] {
            let e = db.execute(sql, []).unwrap_err().to_string();
            assert!(e.contains("append-only"), "{sql}: {e}");
        }
    }
    assert!(approval::verify(app, &authority, &old).await.unwrap());
}

/// Decisions of before are shown and never refuse; a crash between approval and grant heals by itself.
async fn advice_and_healing(house: House) {
    let app = &house.app;
    let consumer = house.person("consumer").await;
    house.publish(testkit::person_draft("renkou")).await;
    let mut last = None;
    for n in 0..4 {
        let (_, secret) = house.application(&format!("应用{n}")).await;
        let filed = basket::file_share(
            app,
            &consumer,
            form(&secret.application.id),
            vec![api("renkou", &["xm"])],
        );
        let bundle = filed.await.unwrap();
        let part = bundle.parts[0].clone();
        approve(&house, &part.approval, &["authority"]).await;
        let reviewer = house.person("reviewer").await;
        let advice = basket::advice(app, &reviewer, &part).await.unwrap();
        assert_eq!((advice.approved, advice.refused, advice.approve), (n, 0, n >= 3), "after {n}");
        assert!(
            advice
                .precedents
                .iter()
                .all(|p| p.answers.iter().any(|(name, yes)| name == "reviewer" && *yes))
        );
        approve(&house, &part.approval, &["reviewer", "authority"]).await;
        last = Some(part);
    }
    let part = last.unwrap();
    let stranger = house.person("stranger").await;
    assert_eq!(basket::advice(app, &stranger, &part).await.unwrap_err().code(), Code::NotFound);
    // Nothing waits for the platform; a tick changes nothing.
    let done = approval::tick(app, &Op::system(app.now())).await.unwrap();
    assert_eq!((done.timers, done.acted), (0, 0));
    // Keyset: pages join without a gap or a double.
    let auditor = house.person("auditor").await;
    let mut seen = Vec::new();
    let mut filter = approval::ApprovalFilter { limit: 3, ..Default::default() };
    loop {
        let page = approval::list(app, &auditor, &filter).await.unwrap();
        seen.extend(page.items.into_iter().map(|a| a.id));
        match page.next {
            Some(next) => filter.after = Some(next),
            None => break,
        }
    }
    let mut sorted = seen.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!((seen.len(), sorted.len()), (4, 4));
    let e = approval::list(app, &consumer, &filter).await.unwrap_err();
    assert_eq!(e.code(), Code::Denied, "a consumer sees its own only");
}

crate::on_both!(one_form_for_four_ledgers, people_hand_on, time_and_versions, advice_and_healing);

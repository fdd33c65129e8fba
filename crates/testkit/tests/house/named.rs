//! How people are named for people: by the name shown, with the login name only where two would be taken for one. What was signed stays
//! as it was signed.

use app::approval::{self, Act};
use app::basket::{self, PartNew};
use app::halt::HaltAsk;
use app::project::sandbox;
use app::{account, audit, catalogue, delta, halt, ledger, restricted, security, sharing, wire};
use model::Op;
use model::account::{ApplicationNew, Role, UserChange, UserNew};
use model::asset::Ledger;
use model::audit::AuditFilter;
use model::basket::{AssetRef, Form, Want};
use model::bounds::{Bounds, BoundsKind};
use model::code::SyncMode;
use model::halt::HaltKind;
use model::request::{Period, RequestNew};
use model::restricted::{PaperKind, UseApplication};
use model::sandbox::SandboxStage;
use testkit::{AUTHORITY_ORG, BY_AREA, CONSUMER_ORG, House, PASSWORD, PROVIDER_ORG, use_of};

use crate::restricted::restricted_open;
use crate::sandbox::{Team, sandboxed};

/// A further person.
async fn person(house: &House, name: &str, shown: &str, org: Option<&str>, role: Role) -> String {
    let new = UserNew {
        name: name.into(),
        display_name: shown.into(),
        org: org.map(Into::into),
        roles: vec![role],
        password: PASSWORD.into(),
    };
    account::create_user(&house.app, &Op::system(house.app.now()), new).await.unwrap().id
}

/// The administrator changes the name by which somebody is shown.
pub(crate) async fn shown_as(
    house: &House,
    name: &str,
    shown: &str,
    org: Option<&str>,
    role: Role,
) {
    let admin = house.person("admin").await;
    let id = house.app.store.user_by_name(name).await.unwrap().unwrap().user.id;
    let change =
        UserChange { display_name: shown.into(), org: org.map(Into::into), roles: vec![role] };
    account::change_user(&house.app, &admin, &id, change).await.unwrap();
}

/// A citizen's agreement with the provider's 方芳, in force.
async fn agreed(house: &House) -> UseApplication {
    let app = &house.app;
    house.publish(restricted_open("qiye")).await;
    let rows = b"id,name,amount,day\n1,a,1.50,2026-01-01\n";
    house.collect("qiye", "y.csv", rows, SyncMode::Full).await.unwrap();
    person(house, "wxm", "王小明", None, Role::Citizen).await;
    person(house, "fang", "方芳", Some(PROVIDER_ORG), Role::Provider).await;
    let op = house.person("wxm").await;
    let new =
        ApplicationNew { name: "论文".into(), description: String::new(), org: String::new() };
    let own = account::register_application(app, &op, new).await.unwrap().application;
    let filed = house.use_submitted(&op, use_of(&own.id, "qiye", &["id"])).await.unwrap();
    assert_eq!(filed.party, "王小明");
    house.use_approved(&filed.number, &["fang", "authority"]).await;
    house.use_sealed(&op, &filed.number).await;
    house.use_countersigned("fang", &filed.number).await.unwrap()
}

/// As the authority sees it: party, reviewers, who did what.
async fn seen(house: &House, number: &str) -> (String, Vec<String>, Vec<String>) {
    let op = house.person("authority").await;
    let seen = restricted::open(&house.app, &op, number).await.unwrap();
    let reviewers = seen.application.reviews.into_iter().map(|r| r.by_name).collect();
    let mut people: Vec<String> = seen.events.into_iter().map(|e| e.actor_name).collect();
    people.sort();
    people.dedup();
    (seen.application.party, reviewers, people)
}

async fn in_papers(house: House) {
    let app = &house.app;
    let agreed = agreed(&house).await;
    for kind in [PaperKind::Undertaking, PaperKind::Agreement] {
        let text = &agreed.paper(kind).unwrap().text;
        assert!(text.contains("王小明") && !text.contains("wxm"), "{text}");
    }
    let paper = agreed.paper(PaperKind::Agreement).unwrap();
    let signers: Vec<(&str, &str)> =
        paper.signatures.iter().map(|s| (s.party.as_str(), s.by_name.as_str())).collect();
    assert_eq!(signers, [("王小明", "王小明"), ("省市场监管厅", "方芳")]);
    let (party, reviewers, people) = seen(&house, &agreed.number).await;
    assert_eq!(party, "王小明");
    assert_eq!(reviewers, ["方芳", "authority"]);
    assert_eq!(people, ["authority", "方芳", "王小明"]);
    let authority = house.person("authority").await;
    let desk = restricted::desk(app, &authority, (None, None), None, 0).await.unwrap().items;
    assert_eq!(desk[0].application.party, "王小明");

    // Of two who are shown alike the login name is told; somebody of another organisation is not taken for them.
    person(&house, "fang2", "方芳", Some(PROVIDER_ORG), Role::Provider).await;
    person(&house, "wang", "王小明", Some(CONSUMER_ORG), Role::Consumer).await;
    let (party, reviewers, _) = seen(&house, &agreed.number).await;
    assert_eq!((party.as_str(), reviewers[0].as_str()), ("王小明", "方芳（fang）"));
    let second = house.person("fang2").await;
    person(&house, "wxm2", "王小明", None, Role::Citizen).await;
    assert_eq!(seen(&house, &agreed.number).await.0, "王小明（wxm）");

    // A new name is shown on the pages; what was signed is what it was, and verifies.
    shown_as(&house, "wxm", "王大明", None, Role::Citizen).await;
    assert_eq!(seen(&house, &agreed.number).await.0, "王大明");
    let now = restricted::open(app, &second, &agreed.number).await.unwrap().application;
    assert_eq!(now.papers, agreed.papers);
    let paper = now.paper(PaperKind::Agreement).unwrap();
    assert_eq!(guard::hash::sm3_hex(paper.text.as_bytes()), paper.sm3);
    let known = restricted::verify(app, &house.nobody(), &paper.number, &paper.sm3).await.unwrap();
    assert_eq!(known.unwrap().signatures.len(), 2);
    let kept = app.store.restricted_get(&agreed.number).await.unwrap().unwrap();
    assert_eq!(kept.reviews[0].by_name, "fang", "what never changes is what is kept");
}

async fn in_a_sandbox(house: House) {
    let b = sandboxed(house).await;
    let (app, house) = (&b.house.app, &b.house);
    shown_as(house, "consumer", "孙同学", Some(CONSUMER_ORG), Role::Consumer).await;
    shown_as(house, "reviewer", "钱审", Some(PROVIDER_ORG), Role::Reviewer).await;
    let run = b.reviewed(Team::sql(SandboxStage::Production, "by_area", BY_AREA)).await;
    let asked = b.release(&run.into, "n", true).await;
    let authority = house.person("authority").await;
    let waits = sandbox::desk(app, &authority).await.unwrap();
    assert_eq!(waits[0].release.as_ref().unwrap().applicant_name, "孙同学");
    for who in ["reviewer", "authority"] {
        b.decide(who, &asked.id, true).await.unwrap();
    }
    let seen = sandbox::get(app, &b.owner, &b.id).await.unwrap();
    assert_eq!((seen.runs[0].created_by_name.as_str(), seen.runs.len()), ("孙同学", 1));
    for reviews in [&seen.runs[0].reviews, &seen.releases[0].reviews] {
        let names: Vec<(&str, &str)> =
            reviews.iter().map(|r| (r.org.as_str(), r.by_name.as_str())).collect();
        assert!(names.contains(&(PROVIDER_ORG, "钱审")), "{names:?}");
        assert!(names.contains(&("", "authority")), "{names:?}");
    }
    assert_eq!(seen.releases[0].applicant_name, "孙同学");
    let text = b.fetch(&asked.id).await.unwrap();
    let head = text.lines().next().unwrap();
    assert!(head.contains("taken by 孙同学") && !head.contains("consumer"), "{head}");
    let whose = sandbox::trace(app, &authority, &text).await.unwrap().unwrap();
    assert_eq!(whose.release.applicant_name, "孙同学");
    let kept = app.store.sandbox_release_get(&asked.id).await.unwrap().unwrap().body;
    assert_eq!(kept.applicant_name, "consumer", "what never changes is what is kept");
}

/// Who applies, provides and reviews is shown by a name; and something to apply for.
async fn renamed(house: &House) {
    shown_as(house, "consumer", "孙同学", Some(CONSUMER_ORG), Role::Consumer).await;
    shown_as(house, "provider", "赵提供", Some(PROVIDER_ORG), Role::Provider).await;
    shown_as(house, "reviewer", "钱审", Some(PROVIDER_ORG), Role::Reviewer).await;
    house.publish(testkit::person_draft("renkou")).await;
    let rows =
        b"sfzh,xm,sjh,csrq,region_code\n11010519491231002X,A,13800138000,1949-12-31,330106\n";
    house.collect("renkou", "p.csv", rows, SyncMode::Full).await.unwrap();
}

async fn in_a_share_application(house: House) {
    renamed(&house).await;
    let app = &house.app;
    let (_, secret) = house.application("核验应用").await;
    let consumer = house.person("consumer").await;
    let asked = RequestNew {
        entry: "renkou".into(),
        application: secret.application.id,
        items: ["sfzh", "xm"].map(str::to_owned).into(),
        scene: "核验办事人身份".into(),
        legal_basis: "部门职责".into(),
        period: Period::Days { days: 30 },
        calls_per_day: 10,
        area_range: String::new(),
        row_range: Default::default(),
        by_sql: false,
    };
    let request = sharing::apply(app, &consumer, asked).await.unwrap();
    for who in ["provider", "authority"] {
        sharing::review(app, &house.person(who).await, &request.id, true, "同意").await.unwrap();
    }
    let steps = sharing::steps(app, &consumer, &request.id).await.unwrap();
    let names: Vec<&str> = steps.iter().map(|s| s.actor_name.as_str()).collect();
    assert_eq!(names, ["孙同学", "赵提供", "authority"]);
    let kept = app.store.request_steps(&request.id).await.unwrap();
    assert_eq!(kept[1].actor_name, "provider", "what never changes is what is kept");
}

/// A form of one part, filed by the consumer.
async fn form(house: &House) -> model::basket::Bundle {
    let (_, secret) = house.application("核验应用").await;
    let consumer = house.person("consumer").await;
    let form = Form {
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
        application: secret.application.id,
        period: Period::Days { days: 90 },
    };
    let asset = AssetRef {
        ledger: Ledger::Data,
        id: "renkou".into(),
        title: String::new(),
        org: String::new(),
    };
    let items = ["sfzh", "xm"].map(str::to_owned).into();
    let want = Want::Api { items, calls_per_day: 100, area_range: String::new() };
    let parts = vec![PartNew { asset, want }];
    basket::file_share(&house.app, &consumer, form, parts).await.unwrap()
}

async fn in_an_approval(house: House) {
    renamed(&house).await;
    let app = &house.app;
    let consumer = house.person("consumer").await;
    let filed = form(&house).await;
    let seen = basket::bundle(app, &consumer, &filed.id).await.unwrap();
    assert_eq!(seen.applicant_name, "孙同学");
    let id = filed.parts[0].approval.as_str();
    // Taken in by the authority, then answered by the provider's reviewer.
    for who in ["authority", "reviewer"] {
        let op = house.person(who).await;
        let seen = approval::get(app, &op, id).await.unwrap();
        let (step, seat, _) = seen.mine[0].clone();
        let yes = Act::Decide { approve: true, reason: String::new() };
        approval::act(app, &op, id, &step, seat, yes, "同意").await.unwrap();
    }
    let seen = approval::get(app, &consumer, id).await.unwrap();
    let mut names: Vec<&str> = seen.events.iter().map(|e| e.by_name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert!(names.contains(&"孙同学") && names.contains(&"钱审"), "{names:?}");
    assert!(!names.contains(&"consumer") && !names.contains(&"reviewer"), "{names:?}");
    let kept = app.store.approval_events(id).await.unwrap();
    assert!(kept.iter().any(|e| e.by_name == "reviewer"), "what never changes is what is kept");
}

/// What an application calls by, its bounds and its stops keep a login name and no id beside it.
async fn at_an_application(house: House) {
    renamed(&house).await;
    shown_as(&house, "security", "周安", Some(AUTHORITY_ORG), Role::SecurityOfficer).await;
    let app = &house.app;
    let (_, secret) = house.application("核验应用").await;
    let (id, key) = (secret.application.id.as_str(), secret.application.key.as_str());
    let (consumer, officer) = (house.person("consumer").await, house.person("security").await);
    account::certificate_add(app, &consumer, id, "前置机", &"ab".repeat(32)).await.unwrap();
    wire::make_password(app, &consumer, id).await.unwrap();
    delta::token(app, &consumer, id, &delta::DeltaTokenAsk::default()).await.unwrap();
    let of = BoundsKind::Application;
    let bounds = Bounds { concurrency: Some(2), ..Bounds::default() };
    sharing::set_bounds(app, &officer, of, id, bounds).await.unwrap();
    let certificates = account::certificates(app, &consumer, id).await.unwrap();
    assert_eq!(certificates[0].added_by, "孙同学");
    let login = wire::view(app, &consumer, id).await.unwrap().login.unwrap();
    assert_eq!(login.made_by, "孙同学");
    let tokens = delta::page(app, &consumer, id).await.unwrap().tokens;
    assert_eq!(tokens[0].made_by, "孙同学");
    assert_eq!(sharing::bounds(app, &officer, of, id).await.unwrap().set_by, "周安");

    let ask =
        HaltAsk { kind: HaltKind::Application, name: key.into(), reason: "疑似泄露".into() };
    let begun = halt::begin(app, &officer, &ask).await.unwrap();
    let (now, _) = halt::list(app, &officer, None, 10).await.unwrap();
    assert_eq!((now[0].halt.by_name.as_str(), now[0].halt.lifted_by.as_str()), ("周安", ""));
    let authority = house.person("authority").await;
    halt::lift(app, &authority, &begun.id, "已排查").await.unwrap();
    let (now, past) = halt::list(app, &officer, None, 10).await.unwrap();
    let last = &past.items[0].halt;
    assert!(now.is_empty());
    assert_eq!((last.by_name.as_str(), last.lifted_by.as_str()), ("周安", "authority"));

    // Two of one office who are shown alike are told apart; what is kept stays the login name.
    person(&house, "sun2", "孙同学", Some(CONSUMER_ORG), Role::Consumer).await;
    let certificates = account::certificates(app, &consumer, id).await.unwrap();
    assert_eq!(certificates[0].added_by, "孙同学（consumer）");
    assert_eq!(app.store.certificates_of(id).await.unwrap()[0].added_by, "consumer");
}

/// Steps keep the account's id beside the name.
async fn in_steps(house: House) {
    renamed(&house).await;
    let app = &house.app;
    let provider = house.person("provider").await;
    let steps = catalogue::steps(app, &provider, "renkou").await.unwrap();
    let names: Vec<&str> = steps.iter().map(|s| s.actor_name.as_str()).collect();
    assert_eq!(names[..3], ["赵提供", "赵提供", "authority"]);
    let asset = house.asset("provider", Ledger::Application, "A-9", "核验系统").await;
    let steps = ledger::steps(app, &provider, &asset.id).await.unwrap();
    assert!(!steps.is_empty() && steps.iter().all(|s| s.actor_name == "赵提供"), "{steps:?}");

    let mut draft = catalogue::get(app, &provider, "renkou").await.unwrap().draft;
    draft.title = "人口信息".into();
    let entry = catalogue::get(app, &provider, "renkou").await.unwrap();
    catalogue::edit(app, &provider, &entry.id, draft, entry.version).await.unwrap();
    let outlook = catalogue::outlook(app, &provider, "renkou").await.unwrap();
    assert_eq!(outlook.asked.unwrap().actor_name, "赵提供");
    let authority = house.person("authority").await;
    let queue = catalogue::queue(app, &authority, None, 10).await.unwrap().items;
    assert_eq!(queue[0].outlook.asked.as_ref().unwrap().actor_name, "赵提供");
}

/// The chain keeps login names; its reader sees both. The platform is not taken for somebody who is called `system`.
async fn in_the_audit(house: House) {
    shown_as(&house, "provider", "赵提供", Some(PROVIDER_ORG), Role::Provider).await;
    person(&house, "system", "王系统", Some(AUTHORITY_ORG), Role::SecurityOfficer).await;
    house.publish(testkit::draft("tongji")).await;
    let app = &house.app;
    let auditor = house.person("auditor").await;
    let provider = house.person("provider").await;
    let filter = AuditFilter {
        actor: Some(provider.actor.id().to_owned()),
        limit: 10,
        ..AuditFilter::default()
    };
    let records = audit::list(app, &auditor, &filter).await.unwrap();
    let event = &records[0].event;
    assert_eq!(event.actor_name, "provider");
    let people = audit::people(app, &auditor, &records).await.unwrap();
    assert_eq!(people.get(&event.actor).map(String::as_str), Some("赵提供"));
    assert!(audit::people(app, &provider, &records).await.unwrap().is_empty());

    security::observe(app, &Op::system(app.now())).await.unwrap();
    let officer = house.person("security").await;
    let history = security::in_force(app, &officer).await.unwrap().history;
    assert_eq!(history.last().unwrap().by, "system");
}

crate::on_both!(
    in_papers,
    in_a_sandbox,
    in_a_share_application,
    in_an_approval,
    at_an_application,
    in_steps,
    in_the_audit,
);

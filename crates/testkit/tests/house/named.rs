//! How people are named for people: by the name shown, with the login name only where two would be taken for one. What was signed stays
//! as it was signed.

use app::project::sandbox;
use app::{account, restricted};
use model::Op;
use model::account::{ApplicationNew, Role, UserChange, UserNew};
use model::code::SyncMode;
use model::restricted::{PaperKind, UseApplication};
use model::sandbox::SandboxStage;
use testkit::{BY_AREA, CONSUMER_ORG, House, PASSWORD, PROVIDER_ORG, use_of};

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
async fn shown_as(house: &House, name: &str, shown: &str, org: Option<&str>, role: Role) {
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

crate::on_both!(in_papers, in_a_sandbox);

//! Restricted opening: an application is reviewed together, its papers are signed, the data are used within what was agreed; who broke
//! the rules is stopped and is not let in again until the credit record is repaired.

use app::restricted::{self, UseOrder};
use app::{account, catalogue, project, sharing};
use guard::sm2::{DEFAULT_IDENTITY, KeyPair};
use model::account::{ApplicationNew, ApplicationSecret};
use model::code::{OpenType, SyncMode};
use model::entry::EntryDraft;
use model::project::ProjectNew;
use model::query::RowQuery;
use model::request::RequestState;
use model::restricted::{CreditNew, PaperKind, SignWay, UseApplication, UseDeed, UseNew, UseState};
use model::{Actor, Code, Op};
use testkit::{ENTERPRISE_ORG, House, Postgres, STRANGER_ORG, use_of};

use crate::railway::Source;

const ROWS: &[u8] = b"id,name,amount,day\n1,a,1.50,2026-01-01\n2,b,2.25,2026-01-02\n";

/// Open under conditions to whom it may concern; `amount` is not open at all.
pub(crate) fn restricted_open(code: &str) -> EntryDraft {
    let mut draft = testkit::restricted_draft(code);
    draft.items[2].open_type = OpenType::None;
    draft
}

/// A live set of the provider with rows, and an application of the enterprise.
pub(crate) async fn prepared(house: &House, code: &str) -> ApplicationSecret {
    prepared_with(house, code, ROWS).await
}

pub(crate) async fn prepared_with(house: &House, code: &str, rows: &[u8]) -> ApplicationSecret {
    house.publish(restricted_open(code)).await;
    house.collect(code, "y.csv", rows, SyncMode::Full).await.unwrap();
    let op = house.person("enterprise").await;
    let new = ApplicationNew {
        name: "研究".into(),
        description: String::new(),
        org: ENTERPRISE_ORG.into(),
    };
    account::register_application(&house.app, &op, new).await.unwrap()
}

/// The calling application now.
pub(crate) fn caller(house: &House, of: &ApplicationSecret) -> Op {
    let a = &of.application;
    let actor = Actor::Application {
        id: a.id.clone(),
        key: a.key.clone(),
        name: a.name.clone(),
        org: a.org.clone(),
        public_body: false,
    };
    house.app.op(actor, "192.0.2.1")
}

pub(crate) async fn columns(
    house: &House,
    of: &ApplicationSecret,
    code: &str,
) -> model::Result<Vec<String>> {
    let op = caller(house, of);
    Ok(sharing::query(&house.app, &op, code, &RowQuery::default()).await?.page.columns)
}

pub(crate) async fn did(
    house: &House,
    who: &str,
    number: &str,
    order: UseOrder,
) -> model::Result<UseApplication> {
    let op = house.person(who).await;
    restricted::act(&house.app, &op, number, order).await
}

pub(crate) async fn told(house: &House, who: &str, kind: &str) -> usize {
    let op = house.person(who).await;
    let page = app::notice::list(&house.app, &op, false, None, 200).await.unwrap();
    page.items.iter().filter(|n| n.kind == kind).count()
}

pub(crate) async fn tick(house: &House) -> u64 {
    restricted::tick(&house.app, &Op::system(house.app.now())).await.unwrap()
}

pub(crate) async fn uscc(house: &House) -> String {
    house.app.store.org_get(ENTERPRISE_ORG).await.unwrap().unwrap().uscc
}

pub(crate) fn breach() -> UseOrder {
    UseOrder {
        rule: "超范围使用".into(), ..UseOrder::new(UseDeed::Breach, "把数据转给了第三方")
    }
}

/// From the form to the first row and to the breach; strangers find nothing on the way.
async fn the_whole_way(house: House) {
    let app = &house.app;
    let secret = prepared(&house, "qiye").await;
    let op = house.person("enterprise").await;
    let new = use_of(&secret.application.id, "qiye", &["id", "name"]);
    let filed = restricted::file(app, &op, new.clone()).await.unwrap();
    assert_eq!((filed.number.as_str(), filed.state), ("KF-20260302-000001", UseState::Draft));
    let number = filed.number.as_str();
    // Nobody else knows of a draft; the applicant cannot submit it without evidence.
    for who in ["provider", "authority", "stranger", "citizen"] {
        let other = house.person(who).await;
        let e = restricted::open(app, &other, number).await.unwrap_err();
        assert_eq!(e.code(), Code::NotFound, "{who}");
    }
    let e =
        did(&house, "enterprise", number, UseOrder::new(UseDeed::Submit, "")).await.unwrap_err();
    assert_eq!(e.fields()[0].field, "file-storage");
    for of in ["storage", "protection"] {
        house.use_file(&op, number, of).await.unwrap();
    }
    let submitted =
        did(&house, "enterprise", number, UseOrder::new(UseDeed::Submit, "")).await.unwrap();
    assert_eq!(submitted.due.unwrap().to_string(), "2026-03-23", "15 working days");
    assert_eq!(told(&house, "provider", "restricted.filed").await, 1);
    assert_eq!(told(&house, "authority", "restricted.filed").await, 1);
    assert_eq!(told(&house, "stranger", "restricted.filed").await, 0);

    // A stranger, a citizen and the city's authority see a number that there is not.
    for who in ["stranger", "citizen", "city"] {
        let e = did(&house, who, number, UseOrder::new(UseDeed::Approve, "")).await.unwrap_err();
        assert_eq!(e.code(), Code::NotFound, "{who}");
    }
    house.use_approved(number, &["authority"]).await;
    assert_eq!(columns(&house, &secret, "qiye").await.unwrap_err().code(), Code::NoGrant);
    let approved = house.use_approved(number, &["provider"]).await;
    assert_eq!((approved.state, approved.papers.len()), (UseState::Signing, 2));
    let agreement = approved.paper(PaperKind::Agreement).unwrap();
    assert!(agreement.text.contains("测试科技有限公司") && agreement.text.contains("id, name"));
    assert!(!agreement.text.contains('{'), "no variable is left: {}", agreement.text);

    // By key: only the registered one, only over this very paper.
    let (pair, other) = (
        KeyPair::generate(DEFAULT_IDENTITY).unwrap(),
        KeyPair::generate(DEFAULT_IDENTITY).unwrap(),
    );
    let op = house.person("enterprise").await;
    restricted::register_key(app, &op, &pair.public_hex()).await.unwrap();
    let order = house.use_signature(&op, number, UseDeed::SignUndertaking, SignWay::Key).await;
    let digest = order.digest.clone();
    let signed = |by: &KeyPair, digest: &str| UseOrder {
        signature: by.sign(digest.as_bytes()).unwrap(),
        ..order.clone()
    };
    let sm3 = agreement.sm3.clone();
    for (forged, why) in [
        (signed(&other, &digest), "another key"),
        (signed(&pair, &sm3), "the other paper"),
        (signed(&pair, "0"), "another digest"),
        (UseOrder { signature: "zz".into(), ..order.clone() }, "no signature at all"),
    ] {
        let e = restricted::act(app, &op, number, forged).await.unwrap_err();
        assert_eq!((e.code(), e.reasons().len()), (Code::RuleBroken, 1), "{why}");
    }
    let stale = UseOrder { digest: sm3.clone(), ..signed(&pair, &digest) };
    assert_eq!(restricted::act(app, &op, number, stale).await.unwrap_err().code(), Code::Stale);
    let good = signed(&pair, &digest);
    let now = restricted::act(app, &op, number, good).await.unwrap();
    assert_eq!(now.state, UseState::Signing, "the agreement is still to be signed");

    // By a sealed scan: with the phrase, and not without the scan.
    let order = house.use_signature(&op, number, UseDeed::SignAgreement, SignWay::Seal).await;
    assert!(restricted::act(app, &op, number, order.clone()).await.is_err(), "there is no scan");
    house.use_file(&op, number, "seal:agreement").await.unwrap();
    let vague = UseOrder { confirm: "好".into(), ..order.clone() };
    let e = restricted::act(app, &op, number, vague).await.unwrap_err();
    assert_eq!(e.fields()[0].field, "confirm");
    restricted::act(app, &op, number, order).await.unwrap();
    assert_eq!(columns(&house, &secret, "qiye").await.unwrap_err().code(), Code::NoGrant);
    assert!(
        house.use_countersigned("authority", number).await.is_err(),
        "one provider signs itself"
    );
    let now = house.use_countersigned("provider", number).await.unwrap();
    assert_eq!(now.state, UseState::InForce);
    assert_eq!(columns(&house, &secret, "qiye").await.unwrap(), ["id", "name"]);
    let grant = sharing::get(app, &op, &now.entries[0].grant).await.unwrap();
    assert_eq!((grant.state, grant.calls_per_day), (RequestState::Approved, 100));

    // Anybody who holds the paper may verify it; whoever does not learns nothing.
    let paper = now.paper(PaperKind::Agreement).unwrap();
    let nobody = house.nobody();
    let seen = restricted::verify(app, &nobody, &paper.number, &paper.sm3).await.unwrap().unwrap();
    assert_eq!((seen.state, seen.signatures.len()), (UseState::InForce, 2));
    for (number, digest) in [
        (paper.number.as_str(), "00"),
        ("KF-20260302-000009-XY", paper.sm3.as_str()),
        ("KF-20260302-000001-CN", paper.sm3.as_str()),
        ("", ""),
    ] {
        assert!(restricted::verify(app, &nobody, number, digest).await.unwrap().is_none());
    }

    // A breach stops the very next call, and the applicant is not let in again.
    let e = did(&house, "stranger", number, breach()).await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound);
    let stopped = did(&house, "provider", number, breach()).await.unwrap();
    assert_eq!(stopped.state, UseState::Stopped);
    assert_eq!(columns(&house, &secret, "qiye").await.unwrap_err().code(), Code::GrantExpired);
    let seen = restricted::verify(app, &nobody, &paper.number, &paper.sm3).await.unwrap().unwrap();
    assert_eq!(seen.state, UseState::Stopped);
    assert_eq!(told(&house, "enterprise", "credit.entered").await, 1);
    let op = house.person("enterprise").await;
    let e = restricted::file(app, &op, new).await.unwrap_err();
    assert_eq!((e.code(), e.reasons()), (Code::RuleBroken, &["credit".to_owned()][..]));
    let record = restricted::credit_mine(app, &op).await.unwrap().pop().unwrap();
    assert_eq!(
        (record.application.as_str(), record.until.to_string().as_str()),
        (number, "2031-03-02")
    );
    let figures = restricted::figures(app, &nobody).await.unwrap();
    assert_eq!((figures.all.applied, figures.all.approved, figures.all.stopped), (1, 1, 1));
    assert_eq!((figures.providers.len(), figures.all.median_days), (1, Some(0)));
}

/// A record that is entered stops what is in force, until it is repaired; the subject may only object.
async fn credit(house: House) {
    let app = &house.app;
    let secret = prepared(&house, "qiye").await;
    let op = house.person("enterprise").await;
    house.use_in_force(&op, use_of(&secret.application.id, "qiye", &[])).await;
    assert_eq!(columns(&house, &secret, "qiye").await.unwrap().len(), 3, "all that is open");
    let new = CreditNew {
        whom: uscc(&house).await,
        rule: "提供虚假材料".into(),
        facts: "等级保护证明系伪造".into(),
    };
    for who in ["provider", "enterprise", "citizen", "auditor"] {
        let op = house.person(who).await;
        let e = restricted::credit_enter(app, &op, new.clone()).await.unwrap_err();
        assert_eq!(e.code(), Code::Denied, "{who}");
    }
    let authority = house.person("authority").await;
    let unknown = CreditNew { whom: "nobody-of-this-name".into(), ..new.clone() };
    assert_eq!(
        restricted::credit_enter(app, &authority, unknown).await.unwrap_err().code(),
        Code::NotFound
    );
    // A record against somebody's account would say nothing of the enterprise that they apply for.
    let person = CreditNew { whom: "enterprise".into(), ..new.clone() };
    let e = restricted::credit_enter(app, &authority, person).await.unwrap_err();
    assert_eq!((e.code(), e.fields()[0].field.as_str()), (Code::RuleBroken, "whom"));
    let record = restricted::credit_enter(app, &authority, new).await.unwrap();
    let e = columns(&house, &secret, "qiye").await.unwrap_err();
    assert_eq!((e.code(), e.reasons()), (Code::NoGrant, &["credit".to_owned()][..]));

    let op = house.person("enterprise").await;
    restricted::credit_object(app, &op, &record.id, "材料是真实的").await.unwrap();
    assert!(columns(&house, &secret, "qiye").await.is_err(), "an objection lifts nothing");
    let citizen = house.person("citizen").await;
    let e = restricted::credit_object(app, &citizen, &record.id, "别人的").await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound);
    assert_eq!(
        restricted::credit_repair(app, &op, &record.id, "自行修复").await.unwrap_err().code(),
        Code::Denied
    );
    let authority = house.person("authority").await;
    restricted::credit_repair(app, &authority, &record.id, "已核实，予以修复").await.unwrap();
    assert_eq!(columns(&house, &secret, "qiye").await.unwrap().len(), 3, "use goes on");
    let listed = restricted::credit_list(app, &authority, true, None, 0).await.unwrap();
    assert!(listed.items.is_empty(), "nothing stands any more");
    assert_eq!(
        restricted::credit_list(app, &authority, false, None, 0).await.unwrap().items.len(),
        1
    );
}

/// Who cannot protect the data is not let in; what is free needs no application.
async fn ability(house: House) {
    let app = &house.app;
    let secret = prepared(&house, "qiye").await;
    house.publish(testkit::draft("tongji")).await;
    let op = house.person("enterprise").await;
    let id = &secret.application.id;
    let mut weak = use_of(id, "qiye", &["id"]);
    weak.answers[0].choice = "no".into();
    let e = restricted::file(app, &op, weak).await.unwrap_err();
    assert_eq!((e.code(), e.fields()[0].field.as_str()), (Code::RuleBroken, "answer-storage"));
    let mut silent = use_of(id, "qiye", &["id"]);
    silent.answers.pop();
    assert!(restricted::file(app, &op, silent).await.is_err());
    let closed = restricted::file(app, &op, use_of(id, "qiye", &["amount"])).await.unwrap_err();
    assert_eq!(closed.fields()[0].field, "items", "an item that is not open");
    let free = restricted::file(app, &op, use_of(id, "tongji", &[])).await.unwrap_err();
    assert_eq!(free.fields()[0].field, "code");
    let long = UseNew { until: "2030-01-01".parse().ok(), ..use_of(id, "qiye", &["id"]) };
    assert_eq!(restricted::file(app, &op, long).await.unwrap_err().fields()[0].field, "until");
    for who in ["consumer", "provider"] {
        let op = house.person(who).await;
        let e = restricted::file(app, &op, use_of(id, "qiye", &["id"])).await.unwrap_err();
        assert_eq!(e.code(), Code::Denied, "{who}");
    }
    let e = restricted::file(app, &house.nobody(), use_of(id, "qiye", &["id"])).await.unwrap_err();
    assert_eq!(e.code(), Code::SignInRequired);
    let citizen = house.person("citizen").await;
    let e = restricted::file(app, &citizen, use_of(id, "qiye", &["id"])).await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound, "an application of somebody else");
}

/// Data of two providers: both review, and the authority signs.
async fn two_providers(house: House) {
    let app = &house.app;
    let secret = prepared(&house, "qiye").await;
    let (stranger, authority) = (house.person("stranger").await, house.person("authority").await);
    let mut draft = restricted_open("shuizhi");
    draft.org = STRANGER_ORG.into();
    let mut entry = catalogue::create(app, &stranger, draft).await.unwrap();
    for (op, step) in [
        (&stranger, catalogue::Move::Submit),
        (&authority, catalogue::Move::Approve),
        (&stranger, catalogue::Move::PutOnline),
        (&authority, catalogue::Move::Approve),
    ] {
        entry = catalogue::step(app, op, &entry.id, step, "rehearsal").await.unwrap();
    }
    let op = house.person("enterprise").await;
    let mut new = use_of(&secret.application.id, "qiye", &["id"]);
    new.entries.push(("shuizhi".into(), vec!["name".into()]));
    let filed = house.use_submitted(&op, new).await.unwrap();
    let number = filed.number.as_str();
    let now = house.use_approved(number, &["provider", "authority"]).await;
    assert_eq!(now.state, UseState::Reviewing, "the other provider has not spoken");
    let now = house.use_approved(number, &["stranger"]).await;
    assert_eq!(now.state, UseState::Signing);
    house.use_sealed(&op, number).await;
    let e = house.use_countersigned("provider", number).await.unwrap_err();
    assert_eq!(e.code(), Code::WrongState);
    let now = house.use_countersigned("authority", number).await.unwrap();
    assert_eq!(now.state, UseState::InForce);
    let signature = now.papers[1].signatures.last().unwrap();
    assert_eq!((signature.way, signature.party.as_str()), (SignWay::Platform, "省大数据局"));
    let keys: Vec<_> = app::evidence::keys(app).iter().map(|key| key.read().unwrap()).collect();
    let read = guard::evidence::read(&signature.signature, &keys).expect("anybody may check it");
    assert_eq!(signature.algorithm, Some(read.algorithm));
    assert_eq!(columns(&house, &secret, "qiye").await.unwrap(), ["id"]);
    let figures = restricted::figures(app, &house.nobody()).await.unwrap();
    assert_eq!((figures.all.in_force, figures.providers.len()), (1, 2));

    // One refuses: all is refused.
    let op = house.person("citizen").await;
    let own =
        ApplicationNew { name: "论文".into(), description: String::new(), org: String::new() };
    let own = account::register_application(app, &op, own).await.unwrap();
    let filed =
        house.use_submitted(&op, use_of(&own.application.id, "qiye", &["id"])).await.unwrap();
    let bare = did(&house, "provider", &filed.number, UseOrder::new(UseDeed::Refuse, "")).await;
    assert!(bare.is_err(), "a refusal needs a reason");
    let no = UseOrder::new(UseDeed::Refuse, "目的不明确");
    let refused = did(&house, "provider", &filed.number, no).await.unwrap();
    assert_eq!((refused.state, refused.reason.as_str()), (UseState::Refused, "目的不明确"));
    assert!(columns(&house, &own, "qiye").await.is_err());
}

/// What was agreed for the sandbox is there, and by no other way.
async fn in_the_sandbox(house: House) {
    let app = &house.app;
    let secret = prepared(&house, "qiye").await;
    let id = &secret.application.id;
    let op = house.person("enterprise").await;
    let new = UseNew { method: "sandbox".into(), ..use_of(id, "qiye", &["id", "name"]) };
    let citizen = house.person("citizen").await;
    let e = restricted::file(app, &citizen, new.clone()).await.unwrap_err();
    assert_eq!(e.fields()[0].field, "method", "a sandbox is an organisation's");
    house.use_in_force(&op, new).await;

    let e = columns(&house, &secret, "qiye").await.unwrap_err();
    assert_eq!((e.code(), e.reasons()), (Code::NoGrant, &["request.sandbox-only".to_owned()][..]));
    let project = ProjectNew {
        application: id.clone(),
        code: "box".into(),
        name: "企业研究".into(),
        purpose: "统计".into(),
        entries: vec!["qiye".into()],
    };
    assert!(project::create(app, &op, project.clone()).await.is_err(), "nor in batch sharing");
    let made = project::sandbox::create(app, &op, project, 20).await.unwrap();
    let sample = project::sandbox::sample(app, &op, &made.id, "qiye").await.unwrap();
    assert_eq!((sample.rows, sample.table.draft.items.len()), (2, 2));
}

/// What is not signed in time lapses; what is over ends; a renewal takes its place without a gap in what may be called.
async fn time(house: House) {
    let app = &house.app;
    let secret = prepared(&house, "qiye").await;
    let id = secret.application.id.clone();
    let op = house.person("enterprise").await;
    let late = house.use_submitted(&op, use_of(&id, "qiye", &["id"])).await.unwrap();
    house.use_approved(&late.number, &["provider", "authority"]).await;
    house.days_later(15);
    assert!(tick(&house).await > 0);
    let op = house.person("enterprise").await;
    let lapsed = restricted::open(app, &op, &late.number).await.unwrap().application;
    assert_eq!(lapsed.state, UseState::Lapsed);

    let first = house.use_in_force(&op, use_of(&id, "qiye", &["id"])).await;
    assert_eq!(columns(&house, &secret, "qiye").await.unwrap(), ["id"]);
    let longer = UseNew {
        until: "2026-08-31".parse().ok(),
        renews: first.number.clone(),
        ..use_of(&id, "qiye", &["id", "name"])
    };
    let second = house.use_submitted(&op, longer).await.unwrap();
    house.use_approved(&second.number, &["provider", "authority"]).await;
    house.use_sealed(&op, &second.number).await;
    assert_eq!(columns(&house, &secret, "qiye").await.unwrap(), ["id"], "the first is in force");
    house.use_countersigned("provider", &second.number).await.unwrap();
    assert_eq!(columns(&house, &secret, "qiye").await.unwrap(), ["id", "name"]);
    let old = restricted::open(app, &op, &first.number).await.unwrap().application;
    assert_eq!(old.state, UseState::Renewed);

    house.days_later(200);
    assert_eq!(columns(&house, &secret, "qiye").await.unwrap_err().code(), Code::GrantExpired);
    tick(&house).await;
    let op = house.person("enterprise").await;
    let over = restricted::open(app, &op, &second.number).await.unwrap();
    assert_eq!(over.application.state, UseState::Expired);
    assert_eq!(over.deeds, [UseDeed::Renew]);
    assert!(told(&house, "enterprise", "restricted.ended").await >= 1);

    // A credit record is gone after its time.
    let authority = house.person("authority").await;
    let new =
        CreditNew { whom: uscc(&house).await, rule: "超范围".into(), facts: "转让".into() };
    restricted::credit_enter(app, &authority, new).await.unwrap();
    house.days_later(5 * 366);
    tick(&house).await;
    let authority = house.person("authority").await;
    assert!(
        restricted::credit_list(app, &authority, false, None, 0).await.unwrap().items.is_empty()
    );
}

/// A breach and its record are one: where the record cannot be kept, the agreement stands as it was, and nobody is told of a breach.
#[tokio::test]
async fn a_breach_is_not_without_its_record() {
    let store = Postgres::start();
    let house = House::on(&store.database("store")).await;
    let secret = prepared(&house, "qiye").await;
    let op = house.person("enterprise").await;
    let agreed = house.use_in_force(&op, use_of(&secret.application.id, "qiye", &["id"])).await;
    let hand = Source::open(store.port(), "store").await;
    hand.deny("INSERT ON credit_record FOR EACH ROW").await;
    let number = agreed.number.as_str();
    let e = did(&house, "provider", number, breach()).await.unwrap_err();
    assert_eq!(e.code(), Code::Internal);
    let seen = restricted::open(&house.app, &op, number).await.unwrap().application;
    assert_eq!((seen.state, seen.edit), (UseState::InForce, agreed.edit));
    assert_eq!(columns(&house, &secret, "qiye").await.unwrap(), ["id"]);
    assert_eq!(told(&house, "enterprise", "restricted.ended").await, 0);
    hand.run("DROP TRIGGER deny ON credit_record").await;
    let stopped = did(&house, "provider", number, breach()).await.unwrap();
    assert_eq!(stopped.state, UseState::Stopped);
    assert!(columns(&house, &secret, "qiye").await.is_err());
    let record = restricted::credit_mine(&house.app, &op).await.unwrap().remove(0);
    assert_eq!((record.application.as_str(), record.rule.as_str()), (number, "超范围使用"));
}

/// A renewal is in force, and what it renews could not be ended, as when the process dies between the two: the job ends it, and only
/// then makes the grants.
#[tokio::test]
async fn what_is_renewed_ends_though_ending_it_failed() {
    let store = Postgres::start();
    let house = House::on(&store.database("store")).await;
    let app = &house.app;
    let secret = prepared(&house, "qiye").await;
    let (id, op) = (secret.application.id.clone(), house.person("enterprise").await);
    let first = house.use_in_force(&op, use_of(&id, "qiye", &["id"])).await;
    let longer = UseNew { renews: first.number.clone(), ..use_of(&id, "qiye", &["id", "name"]) };
    let second = house.use_submitted(&op, longer).await.unwrap();
    house.use_approved(&second.number, &["provider", "authority"]).await;
    house.use_sealed(&op, &second.number).await;
    let hand = Source::open(store.port(), "store").await;
    hand.deny("UPDATE ON restricted_use FOR EACH ROW WHEN (NEW.state = 'renewed')").await;
    let signed = house.use_countersigned("provider", &second.number).await.unwrap();
    assert_eq!(signed.state, UseState::InForce);
    tick(&house).await;
    assert_eq!(columns(&house, &secret, "qiye").await.unwrap(), ["id"], "the first goes on");
    hand.run("DROP TRIGGER deny ON restricted_use").await;
    tick(&house).await;
    assert_eq!(columns(&house, &secret, "qiye").await.unwrap(), ["id", "name"]);
    let old = restricted::open(app, &op, &first.number).await.unwrap().application;
    assert_eq!(old.state, UseState::Renewed);
}

crate::on_both!(the_whole_way, credit, ability, two_providers, in_the_sandbox, time);

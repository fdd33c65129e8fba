//! Filing in the house: files that go with a form, a citizen's basket, answers taken back, seats that nobody holds.

use app::approval::{self, Act};
use app::basket::{self, DemandNew, PartNew};
use app::notice;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use model::account::{ApplicationNew, Role, UserChange, UserNew};
use model::asset::Ledger;
use model::basket::{AssetRef, Bundle, Form, Want};
use model::code::OpenType;
use model::flow::Phase;
use model::request::Period;
use model::{Code, Op};
use testkit::{House, PASSWORD};

fn form(application: &str) -> Form {
    let no = String::new;
    Form {
        name: "便民事项".into(),
        area: "government".into(),
        apply_type: "service".into(),
        finish_date: no(),
        scene: "核验办事人身份".into(),
        matters: no(),
        business_usage: no(),
        expect_effect: no(),
        legal_basis: "部门职责".into(),
        letter: no(),
        contact: "张三丰".into(),
        phone: "0571-88880000".into(),
        vendor: no(),
        application: application.into(),
        period: Period::Days { days: 90 },
    }
}

fn reference(ledger: Ledger, id: &str) -> AssetRef {
    AssetRef { ledger, id: id.into(), title: String::new(), org: String::new() }
}

fn api(id: &str, items: &[&str]) -> PartNew {
    let items = items.iter().map(|i| (*i).to_owned()).collect();
    let want = Want::Api { items, calls_per_day: 100, area_range: String::new() };
    PartNew { asset: reference(Ledger::Data, id), want }
}

fn bytes(content: &[u8]) -> BoxStream<'static, model::Result<bytes::Bytes>> {
    // In pieces, as they come from a browser.
    let pieces: Vec<model::Result<bytes::Bytes>> =
        content.chunks(3).map(|c| Ok(bytes::Bytes::copy_from_slice(c))).collect();
    stream::iter(pieces).boxed()
}

async fn content(house: &House, op: &Op, id: &str) -> model::Result<Vec<u8>> {
    let (_, mut pieces) = basket::attachment(&house.app, op, id).await?;
    let mut all = Vec::new();
    while let Some(piece) = pieces.next().await {
        all.extend(piece.unwrap());
    }
    Ok(all)
}

async fn decide(
    house: &House,
    who: &str,
    id: &str,
    approve: bool,
) -> model::Result<approval::Seen> {
    let op = house.person(who).await;
    let seen = approval::get(&house.app, &op, id).await?;
    let (step, seat, _) = seen.mine.first().cloned().unwrap_or_default();
    let reason = if approve { String::new() } else { "other".into() };
    let deed = Act::Decide { approve, reason };
    approval::act(&house.app, &op, id, &step, seat, deed, "意见").await
}

async fn filed(house: &House, items: &[&str]) -> Bundle {
    let consumer = house.person("consumer").await;
    let (_, secret) = house.application("应用").await;
    let form = form(&secret.application.id);
    basket::file_share(&house.app, &consumer, form, vec![api("renkou", items)]).await.unwrap()
}

async fn kinds(house: &House, who: &str) -> Vec<String> {
    let op = house.person(who).await;
    let page = notice::list(&house.app, &op, false, None, 50).await.unwrap();
    page.items.into_iter().map(|n| n.kind).collect()
}

/// Uploaded, checked, filed with the form, read by the parties and by nobody else.
async fn files_go_with_a_form(house: House) {
    let app = &house.app;
    house.publish(testkit::person_draft("renkou")).await;
    let consumer = house.person("consumer").await;
    let letter = b"%PDF-1.7 letter of the department";
    for (name, content, code) in [
        ("函.exe", b"MZ a program".as_slice(), Code::InvalidInput),
        ("函.pdf", b"MZ not a pdf".as_slice(), Code::InvalidInput),
        ("函.docx", b"PK\x03\x04 no archive".as_slice(), Code::InvalidInput),
        ("函.pdf", b"\0\0\0\x20ftypisom a film".as_slice(), Code::InvalidInput),
        ("函.pdf", b"".as_slice(), Code::InvalidInput),
        ("a\u{7}.pdf", letter.as_slice(), Code::InvalidInput),
    ] {
        let e = basket::attach(app, &consumer, None, name, bytes(content)).await.unwrap_err();
        assert_eq!(e.code(), code, "{name}: {e}");
    }
    let most = usize::try_from(app.rules.basket.attachment.bytes).unwrap();
    let mut large = letter.to_vec();
    large.resize(most + 1, b' ');
    let piece: model::Result<bytes::Bytes> = Ok(large.into());
    let whole = stream::iter([piece]).boxed();
    let e = basket::attach(app, &consumer, None, "大.pdf", whole).await.unwrap_err();
    assert_eq!(e.code(), Code::TooLarge);
    let folder = house.folder().join("inbox/attachments");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "nothing of the refused is left");

    // What a file is its content tells, and its name says so.
    for (name, named) in [("函.exe", "函.exe.pdf"), ("函", "函.pdf"), ("函.png", "函.png.pdf")]
    {
        let file = basket::attach(app, &consumer, None, name, bytes(letter)).await.unwrap();
        assert_eq!((file.name.as_str(), file.media.as_str()), (named, "application/pdf"));
        basket::detach(app, &consumer, &file.id).await.unwrap();
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "nor of what was taken away");

    let kept =
        basket::attach(app, &consumer, None, "C:\\x\\申请函.pdf", bytes(letter)).await.unwrap();
    let plan = basket::attach(app, &consumer, None, "方案.pdf", bytes(letter)).await.unwrap();
    assert_eq!((kept.name.as_str(), kept.bytes), ("申请函.pdf", letter.len() as u64));
    assert_eq!(content(&house, &consumer, &kept.id).await.unwrap(), letter);
    let county = house.person("county").await;
    let e = content(&house, &county, &kept.id).await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound, "it waits in somebody else's basket");
    assert_eq!(basket::detach(app, &county, &plan.id).await.unwrap_err().code(), Code::NotFound);
    basket::detach(app, &consumer, &plan.id).await.unwrap();

    let bundle = filed(&house, &["xm"]).await;
    assert_eq!(bundle.files.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["申请函.pdf"]);
    assert!(basket::files(app, &consumer).await.unwrap().is_empty());
    let e = basket::detach(app, &consumer, &kept.id).await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound, "what was filed stays");
    for who in ["consumer", "authority", "reviewer"] {
        let op = house.person(who).await;
        assert_eq!(content(&house, &op, &kept.id).await.unwrap(), letter, "{who}");
    }
    for who in ["stranger", "county", "citizen", "enterprise"] {
        let op = house.person(who).await;
        let e = content(&house, &op, &kept.id).await.unwrap_err();
        assert_eq!(e.code(), Code::NotFound, "{who}");
    }
    assert_eq!(
        content(&house, &house.nobody(), &kept.id).await.unwrap_err().code(),
        Code::NotFound
    );

    // One more while it is under way, by the applicant only; none when all is decided.
    let reviewer = house.person("reviewer").await;
    let more =
        async |op: &Op| basket::attach(app, op, Some(&bundle.id), "补.pdf", bytes(letter)).await;
    assert_eq!(more(&reviewer).await.unwrap_err().code(), Code::Denied);
    more(&consumer).await.unwrap();
    basket::withdraw(app, &consumer, &bundle.id, "").await.unwrap();
    assert_eq!(more(&consumer).await.unwrap_err().code(), Code::WrongState);
}

/// A citizen's basket: what is open on conditions, an application of their own, no organisation anywhere.
async fn a_citizens_basket(house: House) {
    let app = &house.app;
    let mut draft = testkit::draft("yanjiu");
    draft.open_type = OpenType::Restricted;
    draft.open_condition = "用于研究".into();
    for item in &mut draft.items {
        item.open_type = OpenType::Restricted;
        item.open_condition = "用于研究".into();
    }
    draft.items[2].open_type = OpenType::None;
    draft.items[2].open_basis = "不开放".into();
    house.publish(draft).await;
    let citizen = house.person("citizen").await;
    let new =
        ApplicationNew { name: "研究".into(), description: String::new(), org: String::new() };
    let own = app::account::register_application(app, &citizen, new).await.unwrap();
    basket::add(app, &citizen, reference(Ledger::Data, "yanjiu")).await.unwrap();
    let own = form(&own.application.id);
    let hidden = vec![api("yanjiu", &["id", "amount"])];
    let e = basket::file_share(app, &citizen, own.clone(), hidden).await.unwrap_err();
    assert_eq!(e.code(), Code::RuleBroken, "an item that is not open");
    let (_, foreign) = house.application("别人的").await;
    let parts = || vec![api("yanjiu", &["id", "name"])];
    let e = basket::file_share(app, &citizen, form(&foreign.application.id), parts()).await;
    assert!(e.is_err(), "with an application of one's own only");
    // What is open on conditions has a flow of its own: the basket says where.
    let e = basket::file_share(app, &citizen, own, parts()).await.unwrap_err();
    assert_eq!(e.code(), Code::RuleBroken);
    assert!(e.fields().iter().any(|f| f.en.contains("/restricted/new")), "{:?}", e.fields());

    // A demand is the citizen's, and nobody else's who has no organisation.
    let demand = DemandNew {
        form: form(""),
        title: "公交到站".into(),
        need: "query_api".into(),
        detail: "查询公交到站时间".into(),
        fields: String::new(),
        org: "org-market".into(),
    };
    let bundle = basket::file_demand(app, &citizen, demand).await.unwrap();
    assert_eq!((bundle.org.as_str(), bundle.parts[0].phase), ("", Phase::Running));
    let other = UserNew {
        name: "neighbour".into(),
        display_name: "邻居".into(),
        org: None,
        roles: vec![Role::Citizen],
        password: PASSWORD.into(),
    };
    app::account::create_user(app, &Op::system(app.now()), other).await.unwrap();
    let neighbour = house.person("neighbour").await;
    let all = basket::BundleFilter::default();
    assert_eq!(basket::bundles(app, &citizen, &all).await.unwrap().items.len(), 1);
    assert!(basket::bundles(app, &neighbour, &all).await.unwrap().items.is_empty());
    let e = basket::bundle(app, &neighbour, &bundle.id).await.unwrap_err();
    assert_eq!(e.code(), Code::NotFound);
    let id = &bundle.parts[0].approval;
    assert!(approval::urge(app, &neighbour, id, "").await.is_err());
    approval::urge(app, &citizen, id, "请尽快").await.unwrap();
    assert_eq!(kinds(&house, "authority").await, ["approval.urge"]);

    // It is confirmed by the citizen in person: the applicant's seat is theirs.
    decide(&house, "authority", id, true).await.unwrap();
    let seen = decide(&house, "reviewer", id, true).await.unwrap();
    let seat = &seen.state.open[0].seats;
    assert_eq!(seat.len(), 1, "two roles of nobody's organisation are one person");
    assert_eq!(seat[0].user.as_deref(), Some(citizen.actor.id()));
    decide(&house, "citizen", id, true).await.unwrap();
}

/// An answer is taken back until somebody acts on what followed.
async fn an_answer_is_taken_back(house: House) {
    let app = &house.app;
    house.publish(testkit::person_draft("renkou")).await;
    let bundle = filed(&house, &["sfzh", "xm"]).await;
    let id = &bundle.parts[0].approval;
    let (authority, reviewer) = (house.person("authority").await, house.person("reviewer").await);
    let back = async |op: &Op| approval::take_back(app, op, id, "选错了").await;
    assert_eq!(
        back(&authority).await.unwrap_err().code(),
        Code::WrongState,
        "nothing answered yet"
    );
    let seen = decide(&house, "authority", id, true).await.unwrap();
    assert_eq!(seen.state.open[0].step, "confirm");
    assert!(seen.may_take_back);
    assert_eq!(back(&reviewer).await.unwrap_err().code(), Code::WrongState, "not their answer");
    let seen = back(&authority).await.unwrap();
    assert_eq!(seen.state.open[0].step, "intake");
    assert!(!seen.mine.is_empty() && !seen.may_take_back, "to be answered anew");
    assert!(approval::verify(app, &authority, id).await.unwrap(), "lists agree with the history");
    let tasks = approval::tasks(app, &reviewer, None, 10).await.unwrap();
    assert!(tasks.items.is_empty(), "the next step does not wait any more");

    // Sent back to the applicant, and taken back before the applicant answered.
    let (step, seat, _) = seen.mine[0].clone();
    let deed = Act::Return { to: None, missing: vec!["函".into()] };
    approval::act(app, &authority, id, &step, seat, deed, "缺函").await.unwrap();
    assert_eq!(kinds(&house, "consumer").await, ["approval.returned"]);
    let seen = back(&authority).await.unwrap();
    assert_eq!((seen.state.phase, seen.state.missing.len()), (Phase::Running, 0));

    // When the next step has acted it is too late.
    decide(&house, "authority", id, true).await.unwrap();
    let seen = decide(&house, "reviewer", id, true).await.unwrap();
    assert_eq!(seen.state.open.len(), 2, "authority and security side by side");
    assert_eq!(back(&authority).await.unwrap_err().code(), Code::WrongState);
    // Of two side by side, one takes back while the other has not answered, and not after.
    let seen = decide(&house, "authority", id, true).await.unwrap();
    assert_eq!(seen.state.open.len(), 1);
    let seen = back(&authority).await.unwrap();
    assert_eq!(seen.state.open.len(), 2, "both branches stand again");
    decide(&house, "authority", id, true).await.unwrap();
    let seen = decide(&house, "security", id, true).await.unwrap();
    assert_eq!(seen.state.phase, Phase::Approved);
    assert_eq!(back(&authority).await.unwrap_err().code(), Code::WrongState, "granted already");
}

async fn close(house: &House, name: &str, active: bool) {
    let admin = house.person("admin").await;
    let users = app::account::users(&house.app, &admin, None, 100).await.unwrap().items;
    let user = users.into_iter().find(|u| u.name == name).unwrap();
    app::account::set_user_active(&house.app, &admin, &user.id, active).await.unwrap();
}

/// A seat that nobody holds goes to the authority's desk: when a step opens, and when its last holder goes.
async fn a_seat_that_nobody_holds(house: House) {
    let app = &house.app;
    house.publish(testkit::person_draft("renkou")).await;
    let system = || Op::system(app.now());
    // The owner's reviewer and provider answer; one of them gone is no harm.
    let bundle = filed(&house, &["xm"]).await;
    let id = &bundle.parts[0].approval;
    decide(&house, "authority", id, true).await.unwrap();
    close(&house, "reviewer", false).await;
    assert_eq!(approval::tick(app, &system()).await.unwrap().covered, 0);
    let provider = house.person("provider").await;
    assert_eq!(approval::tasks(app, &provider, None, 10).await.unwrap().items.len(), 1);
    // Both gone: it is the authority's, the history says so, those who can mend it are told, once.
    close(&house, "provider", false).await;
    assert_eq!(approval::tick(app, &system()).await.unwrap().covered, 1);
    assert_eq!(approval::tick(app, &system()).await.unwrap().covered, 0);
    let authority = house.person("authority").await;
    let tasks = approval::tasks(app, &authority, None, 10).await.unwrap().items;
    assert!(tasks.iter().any(|t| t.approval.id == *id && t.covered), "{tasks:?}");
    let listed = approval::covered(app, &authority, None, 10).await.unwrap().items;
    assert_eq!(listed.len(), 1);
    assert_eq!(kinds(&house, "authority").await, ["approval.covered"]);
    assert_eq!(kinds(&house, "admin").await, ["approval.covered"]);
    let consumer = house.person("consumer").await;
    assert_eq!(approval::covered(app, &consumer, None, 10).await.unwrap_err().code(), Code::Denied);
    let seen = decide(&house, "authority", id, true).await.unwrap();
    assert!(approval::verify(app, &authority, id).await.unwrap());
    assert_eq!(seen.state.open[0].step, "authority");

    // Filed while nobody is there: covered as soon as the step opens.
    let (_, secret) = house.application("又一个").await;
    let form = form(&secret.application.id);
    let second = basket::file_share(app, &consumer, form, vec![api("renkou", &["csrq"])]).await;
    let second = second.unwrap().parts[0].approval.clone();
    let seen = decide(&house, "authority", &second, true).await.unwrap();
    assert!(seen.state.open[0].seats.iter().any(|s| s.covered), "{:?}", seen.state.open);
    assert!(!seen.mine.is_empty(), "the authority answers");
    // Somebody gets the role: the next step of that kind is theirs again.
    close(&house, "reviewer", true).await;
    let (_, secret) = house.application("第三个").await;
    let form = self::form(&secret.application.id);
    let third = basket::file_share(app, &consumer, form, vec![api("renkou", &["sjh"])]).await;
    let third = third.unwrap().parts[0].approval.clone();
    let seen = decide(&house, "authority", &third, true).await.unwrap();
    assert!(seen.state.open[0].seats.iter().all(|s| !s.covered));

    // A person whom a seat was handed to leaves: the desk again.
    let reviewer = house.person("reviewer").await;
    let deed = Act::Transfer { user: "stranger".into() };
    let seat = approval::get(app, &reviewer, &third).await.unwrap().mine[0].clone();
    approval::act(app, &reviewer, &third, &seat.0, seat.1, deed, "").await.unwrap();
    let admin = house.person("admin").await;
    let users = app::account::users(app, &admin, None, 100).await.unwrap().items;
    let reviewing = users.iter().find(|u| u.name == "reviewer").unwrap();
    let change = UserChange {
        display_name: "reviewer".into(),
        org: reviewing.org.clone(),
        roles: vec![Role::Consumer],
    };
    app::account::change_user(app, &admin, &reviewing.id, change).await.unwrap();
    close(&house, "stranger", false).await;
    assert_eq!(approval::tick(app, &system()).await.unwrap().covered, 1);
}

crate::on_both!(
    files_go_with_a_form,
    a_citizens_basket,
    an_answer_is_taken_back,
    a_seat_that_nobody_holds
);

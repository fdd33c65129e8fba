//! The page of an interface: what it tells whoever programs against it, and a call that is tried on it: a real one, by the same gate, as an
//! application of the reader's and of nobody else's.

use app::interface::{self, Move};
use app::production::LANGUAGES;
use app::sharing;
use axum::http::StatusCode;
use chrono::TimeDelta;
use model::account::ApplicationSecret;
use model::audit::{AuditFilter, AuditRecord};
use model::code::SyncMode;
use model::interface::{Interface, InterfaceState};
use model::request::{Period, RequestNew};
use testkit::House;

use crate::browser::Browser;

/// Valid check digits, invented people.
const PEOPLE: &str = "sfzh,xm,sjh,csrq,region_code\n\
    11010519491231002X,张三丰,13800138000,1949-12-31,330106\n\
    440524188001010014,李四,13900139000,1880-01-01,330200\n";
const PERSON: &str = "title = \"按身份证号查询\"\nkind = \"query\"\nentry = \"renkou\"\n\
    [[param]]\nname = \"idcard\"\nitem = \"sfzh\"\nrequired = true\n\
    [[return]]\nitem = \"xm\"\nname = \"name\"\n[[return]]\nitem = \"csrq\"\n";
const ASKED: (&str, &str) = ("p-idcard", "11010519491231002X");

/// A published interface over `renkou`, and an application of the consumer's that is not granted it yet.
async fn published(house: &House) -> (Interface, ApplicationSecret) {
    let (_, secret) = house.application("查询应用").await;
    house.publish(testkit::person_draft("renkou")).await;
    house.collect("renkou", "people.csv", PEOPLE.as_bytes(), SyncMode::Full).await.unwrap();
    let provider = house.person("provider").await;
    let mut made = interface::create(&house.app, &provider, PERSON).await.unwrap();
    for to in [InterfaceState::Test, InterfaceState::Published] {
        let to = Move { to, share: 100, until: String::new() };
        made = interface::step(&house.app, &provider, &made.id, &to).await.unwrap();
    }
    (made, secret)
}

async fn grant(house: &House, application: &str) {
    let wanted = RequestNew {
        entry: "renkou".into(),
        application: application.into(),
        items: ["sfzh", "xm", "csrq"].map(str::to_owned).into(),
        scene: "核验办事人身份".into(),
        legal_basis: "部门职责".into(),
        period: Period::Days { days: 30 },
        calls_per_day: 1000,
        area_range: String::new(),
        by_sql: false,
        row_range: model::request::RowRange::default(),
    };
    let consumer = house.person("consumer").await;
    let request = sharing::apply(&house.app, &consumer, wanted).await.unwrap();
    for who in ["provider", "authority"] {
        let op = house.person(who).await;
        sharing::review(&house.app, &op, &request.id, true, "同意").await.unwrap();
    }
    house.clock.forward(TimeDelta::seconds(1));
}

async fn audit(house: &House, action: &str) -> Vec<AuditRecord> {
    let auditor = house.person("auditor").await;
    let filter = AuditFilter { action: Some(action.into()), limit: 100, ..AuditFilter::default() };
    app::audit::list(&house.app, &auditor, &filter).await.unwrap()
}

#[tokio::test]
async fn a_call_is_tried_as_an_application_of_ones_own() {
    let house = House::new().await;
    let (made, secret) = published(&house).await;
    let (path, application) = (format!("/console/interfaces/{}", made.id), secret.application.id);
    let attempt = format!("{path}/try");
    let form = [("application", application.as_str()), ASKED];
    let mut consumer = Browser::of(&house, "consumer").await;
    let page = consumer.get(&path).await.text();
    assert!(page.contains("id=\"try-form\"") && page.contains("id=\"p-idcard\""), "{page}");
    assert!(!page.contains("id=\"answer\""), "nothing is called by looking");
    for told in
        ["out_of_bounds", "purpose_missing", "halted", "/help/api#signature", "id=\"calling\""]
    {
        assert!(page.contains(told), "{told}: {page}");
    }
    assert!(!page.contains("id=\"quota-form\""), "who only calls sets no quota");
    // The gate is the same: without a grant nothing is given, and the page says why.
    let page = consumer.post(&attempt, &form).await.text();
    assert!(page.contains("<code>no_grant</code>") && !page.contains("id=\"answer\""), "{page}");

    grant(&house, &application).await;
    let tried = consumer.post(&attempt, &form).await;
    assert_eq!(tried.status, StatusCode::OK);
    let page = tried.text();
    let answer = page.split("id=\"answer\"").nth(1).unwrap_or_else(|| panic!("{page}"));
    let answer = answer.split("</pre>").next().unwrap();
    assert!(answer.contains("张**") && !page.contains("张三丰"), "masked as granted: {answer}");
    assert!(!answer.contains("李四") && !answer.contains("李*"), "one person: {answer}");
    // What was typed stands in the form again.
    assert!(page.contains("value=\"11010519491231002X\""), "{page}");
    let trials = audit(&house, "interface.trial").await;
    let who: Vec<&str> = trials.iter().map(|r| r.event.actor_name.as_str()).collect();
    assert_eq!(who, ["consumer", "consumer"]);
    assert!(trials.iter().all(|r| r.event.object == made.code));
    let released = audit(&house, "rows.query").await;
    let released: Vec<&AuditRecord> = released.iter().filter(|r| r.event.result == "ok").collect();
    let [released] = released.as_slice() else { panic!("{released:?}") };
    let event = &released.event;
    assert_eq!((event.actor.as_str(), event.rows), (application.as_str(), 1));
    assert_eq!(event.app_key, secret.application.key);

    // A parameter that is needed and not given is told; so is a value that cannot be one.
    house.clock.forward(TimeDelta::seconds(1));
    let silent = [("application", application.as_str()), ("p-idcard", "")];
    let page = consumer.post(&attempt, &silent).await.text();
    assert!(page.contains("id=\"faults\"") && !page.contains("id=\"answer\""), "{page}");
    // Rows come in pages here as they do to programs.
    let paged = [("application", application.as_str()), ASKED, ("p-limit", "many")];
    let page = consumer.post(&attempt, &paged).await.text();
    assert!(page.contains("参数 `limit` 应为非负整数"), "{page}");
    assert!(page.contains("id=\"p-after\"") && page.contains("value=\"many\""), "{page}");
    // Somebody else's application is none; an interface that is not there neither.
    let other = [("application", "nothing"), ASKED];
    let page = consumer.post(&attempt, &other).await.text();
    assert!(page.contains("id=\"faults\"") && !page.contains("id=\"answer\""), "{page}");
    let missing = consumer.post("/console/interfaces/nothing/try", &form).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
}

/// Parameters that are missing or unknown are named where the call was tried, in the language of who tries.
#[tokio::test]
async fn what_is_wrong_with_a_call_is_told_in_the_readers_language() {
    let house = House::new().await;
    let (made, secret) = published(&house).await;
    grant(&house, &secret.application.id).await;
    let path = format!("/console/interfaces/{}", made.id);
    let attempt = format!("{path}/try");
    let application = ("application", secret.application.id.as_str());
    let mut consumer = Browser::of(&house, "consumer").await;
    let zh = ["参数 `idcard`：必填", "参数 `xm`：没有这个参数；可用：idcard"];
    let en = [
        "the parameter `idcard`: is required",
        "the parameter `xm`: there is no such parameter; use idcard",
    ];
    for (lang, told, others) in [("en", en, zh), ("zh", zh, en)] {
        consumer.get(&format!("{path}?lang={lang}")).await;
        let forms = [vec![application, ("p-idcard", "")], vec![application, ASKED, ("p-xm", "张")]];
        for ((form, told), other) in forms.iter().zip(told).zip(others) {
            let page = consumer.post(&attempt, form).await.text();
            let faults = page.split("id=\"faults\"").nth(1).unwrap_or_else(|| panic!("{page}"));
            let faults = faults.split("</div>").next().unwrap();
            assert!(faults.contains(told) && !faults.contains(other), "{lang}: {faults}");
            assert!(faults.contains("<code>invalid_input</code>"), "{lang}: {faults}");
            assert!(!page.contains("id=\"answer\""), "{lang}: {page}");
        }
    }
    assert!(audit(&house, "rows.query").await.iter().all(|r| r.event.result != "ok"));
}

#[tokio::test]
async fn nobody_and_strangers_try_nothing() {
    let house = House::new().await;
    let (made, secret) = published(&house).await;
    grant(&house, &secret.application.id).await;
    let attempt = format!("/console/interfaces/{}/try", made.id);
    let form = [("application", secret.application.id.as_str()), ASKED];
    let before = audit(&house, "rows.query").await.len();
    let mut nobody = Browser::new(&house);
    assert_eq!(nobody.post_raw(&attempt, &form).await.status, StatusCode::UNAUTHORIZED);
    // A form without the token of its page is no call, whoever it comes from.
    let mut consumer = Browser::of(&house, "consumer").await;
    assert_eq!(consumer.post_raw(&attempt, &form).await.status, StatusCode::FORBIDDEN);
    for who in ["stranger", "provider", "authority", "enterprise", "citizen"] {
        let mut browser = Browser::of(&house, who).await;
        let page = browser.post(&attempt, &form).await;
        assert!(page.status.as_u16() < 500, "{who}: {}", page.status);
        let text = page.text();
        assert!(!text.contains("id=\"answer\"") && !text.contains("张*"), "{who}: {text}");
        let told = page.status != StatusCode::OK || text.contains("id=\"faults\"");
        assert!(told, "{who} is told: {text}");
    }
    assert!(audit(&house, "interface.trial").await.iter().all(|r| r.event.result != "ok"));
    assert_eq!(audit(&house, "rows.query").await.len(), before, "the gate was not asked");
}

#[tokio::test]
async fn sample_code_calls_this_interface_by_the_signed_headers() {
    let house = House::new().await;
    let (made, secret) = published(&house).await;
    let mut consumer = Browser::of(&house, "consumer").await;
    let page = consumer.get(&format!("/console/interfaces/{}", made.id)).await.text();
    let path = format!("/api/interface/{}", made.code);
    assert!(page.contains(&format!("GET http://gate.test{path}")), "{page}");
    for language in LANGUAGES {
        let id = format!("id=\"sample-{}\"", language.id);
        let text = page.split(&id).nth(1).unwrap_or_else(|| panic!("no {id}: {page}"));
        let text = text.split("</pre>").next().unwrap().replace("&quot;", "\"");
        // Constants are filled in, each in its place; a mark that is left would be sent as it is.
        for constant in
            ["http://gate.test", path.as_str(), "idcard=VALUE", secret.application.key.as_str()]
        {
            assert!(text.contains(&format!("\"{constant}\"")), "{constant}: {text}");
        }
        for mark in ["@HOST@", "@PATH@", "@QUERY@", "@KEY@"] {
            assert!(!text.contains(mark), "{mark}: {text}");
        }
        for header in ["Key", "Timestamp", "Nonce", "Algorithm", "Signature"] {
            assert!(text.contains(&format!("X-Qt-{header}")), "{header}: {text}");
        }
        assert!(text.contains("QT_SECRET") && !text.contains(&secret.secret), "{text}");
        assert!(page.contains(language.run), "{}", language.run);
    }
}

/// Whoever keeps a deprecated version says its last day when it is known, and says another.
#[tokio::test]
async fn a_last_day_is_said_later() {
    let house = House::new().await;
    let (made, _) = published(&house).await;
    let path = format!("/console/interfaces/{}", made.id);
    let (step, until) = (format!("{path}/step"), format!("{path}/until"));
    let mut provider = Browser::of(&house, "provider").await;
    let page = provider.get(&path).await.text();
    assert!(!page.contains("id=\"until-form\""), "it is not deprecated: {page}");
    let left = provider.post(&step, &[("to", "deprecated"), ("until", "")]).await;
    assert_eq!(left.status, StatusCode::SEE_OTHER);
    let page = provider.get(&path).await.text();
    assert!(page.contains("id=\"until-form\""), "{page}");
    for day in ["2099-01-31", "2099-02-28"] {
        let set = provider.post(&until, &[("until", day)]).await;
        assert_eq!(set.status, StatusCode::SEE_OTHER, "{day}");
        let page = provider.get(&path).await.text();
        assert!(page.contains(&format!("value=\"{day}\"")), "{day}: {page}");
    }
    let mut consumer = Browser::of(&house, "consumer").await;
    let page = consumer.get(&path).await.text();
    assert!(page.contains("2099-02-28") && !page.contains("id=\"until-form\""), "{page}");
    assert_eq!(consumer.post(&until, &[("until", "")]).await.status, StatusCode::FORBIDDEN);
}

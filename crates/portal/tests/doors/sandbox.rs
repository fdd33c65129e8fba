//! A data sandbox through the pages: opened, a sample taken, a run asked and decided on at the desk, a release stopped by the checks;
//! to strangers it is not there.

use app::sharing;
use axum::http::StatusCode;
use model::code::SyncMode;
use model::request::{Period, RequestNew};
use testkit::House;

use crate::browser::Browser;

const PEOPLE: &str = "sfzh,xm,sjh,csrq,region_code\n\
    11010519491231002X,张三丰,13800138000,1949-12-31,330106\n\
    110105194912310038,王小二,13700137000,1949-12-31,330200\n";

/// An application of the consumer's that is granted `renkou` by SQL.
async fn granted(house: &House) -> String {
    let (_, secret) = house.application("沙箱应用").await;
    let mut draft = testkit::person_draft("renkou");
    draft.items.iter_mut().find(|i| i.identifier == "region_code").unwrap().grade =
        model::code::Grade::L1;
    house.publish(draft).await;
    house.collect("renkou", "people.csv", PEOPLE.as_bytes(), SyncMode::Full).await.unwrap();
    let wanted = RequestNew {
        entry: "renkou".into(),
        application: secret.application.id.clone(),
        items: ["sfzh", "xm", "csrq", "region_code"].map(str::to_owned).into(),
        scene: "研究".into(),
        legal_basis: "部门职责".into(),
        period: Period::Days { days: 30 },
        calls_per_day: 1000,
        area_range: "330000".into(),
        row_range: Default::default(),
        by_sql: true,
    };
    let consumer = house.person("consumer").await;
    let request = sharing::apply(&house.app, &consumer, wanted).await.unwrap();
    for who in ["provider", "authority"] {
        let op = house.person(who).await;
        sharing::review(&house.app, &op, &request.id, true, "同意").await.unwrap();
    }
    secret.application.id
}

/// Where the console's menu says one is.
fn menu(page: &str) -> Vec<&str> {
    let nav = page.split("id=\"console-nav\"").nth(1).unwrap().split("</nav>").next().unwrap();
    let links = nav.split("<a href=\"").skip(1);
    let here = links.filter(|link| link.split('>').next().unwrap().contains("aria-current"));
    here.map(|link| link.split('"').next().unwrap()).collect()
}

#[tokio::test]
async fn a_sandbox_is_worked_in_by_its_members_and_watched_at_the_desk() {
    let house = House::new().await;
    let application = granted(&house).await;
    let mut consumer = Browser::of(&house, "consumer").await;
    assert!(consumer.get("/console/sandboxes/new").await.text().contains("id=\"sandbox-form\""));
    let form = [
        ("application", application.as_str()),
        ("code", "box"),
        ("name", "研究 <b>"),
        ("purpose", "按区统计"),
        ("days", "20"),
        ("entry", "renkou"),
    ];
    let made = consumer.post("/console/sandboxes", &form).await;
    assert_eq!(made.status, StatusCode::SEE_OTHER, "{}", made.text());
    let path = made.location.split('?').next().unwrap().to_owned();
    let page = consumer.get(&path).await.text();
    assert!(page.contains("研究 &lt;b&gt;") && page.contains("id=\"programs\""), "{page}");
    assert!(page.contains("(module"), "a program to begin with");
    assert!(consumer.get("/console/sandboxes").await.text().contains("研究 &lt;b&gt;"));

    // The menu stands at the sandboxes on every page of it, those that it has in common with projects among them.
    let id = path.rsplit('/').next().unwrap();
    for rest in ["", "/sql", "/members"] {
        let page = consumer.get(&format!("/console/projects/{id}{rest}")).await.text();
        assert_eq!(menu(&page), ["/console/sandboxes"], "{rest}");
    }
    assert_eq!(menu(&consumer.get(&path).await.text()), ["/console/sandboxes"]);
    assert_eq!(menu(&consumer.get("/console/projects").await.text()), ["/console/projects"]);

    // Wrong words come back with the page.
    let long = [form[0], ("code", "late"), ("name", "x"), ("purpose", "y"), ("days", "100000")];
    assert_eq!(consumer.post("/console/sandboxes", &long).await.status, StatusCode::BAD_REQUEST);
    let sample = consumer.post(&format!("{path}/samples"), &[("code", "renkou")]).await;
    assert_eq!(sample.status, StatusCode::SEE_OTHER, "{}", sample.text());
    let page = consumer.get(&path).await.text();
    assert!(page.contains("_box_s_renkou") && !page.contains("张三丰"), "no row on the page");
    let unknown = consumer.post(&format!("{path}/samples"), &[("code", "nothing")]).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);

    let sql = "select region_code, count(*) as n from renkou group by region_code";
    let run = [
        ("kind", "sql"),
        ("stage", "production"),
        ("into", "by_region"),
        ("sql", sql),
        ("reason", "研究 <i>"),
    ];
    let asked = consumer.post(&format!("{path}/runs"), &run).await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER, "{}", asked.text());
    assert_eq!(consumer.get("/console/releases").await.status, StatusCode::FORBIDDEN);

    // Each seat decides; the page of the desk shows what runs.
    for who in ["reviewer", "authority"] {
        let mut seat = Browser::of(&house, who).await;
        let desk = seat.get("/console/releases").await;
        assert!(desk.text().contains(sql) && desk.text().contains("研究 &lt;i&gt;"), "{who}");
        let subject = desk.after("action=\"/console/releases/");
        let decide = format!("/console/releases/{subject}");
        let refused = seat.post(&decide, &[("do", "refuse"), ("note", "")]).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "a refusal says why");
        let agreed = seat.post(&decide, &[("do", "agree")]).await;
        assert_eq!(agreed.status, StatusCode::SEE_OTHER, "{}", agreed.text());
        assert!(!seat.get("/console/releases").await.text().contains(sql));
    }

    // A longer term is asked for on its page, and waits at the authority's desk alone.
    let longer = format!("{path}/extensions");
    let beyond = [("until", "2026-12-31"), ("reason", "补充 <u>")];
    let refused = consumer.post(&longer, &beyond).await;
    assert!(refused.status.is_client_error() && refused.text().contains("2026-04-01"));
    let within = [("until", "2026-03-31"), ("reason", "补充 <u>")];
    assert_eq!(consumer.post(&longer, &within).await.status, StatusCode::SEE_OTHER);
    assert!(consumer.get(&path).await.text().contains("补充 &lt;u&gt;"));
    let mut reviewer = Browser::of(&house, "reviewer").await;
    assert!(!reviewer.get("/console/releases").await.text().contains("补充"));
    let mut authority = Browser::of(&house, "authority").await;
    let desk = authority.get("/console/releases").await;
    assert!(desk.text().contains("补充 &lt;u&gt;") && desk.text().contains("2026-03-31"));
    let subject = desk.after("action=\"/console/releases/");
    let decide = format!("/console/releases/{subject}");
    assert_eq!(authority.post(&decide, &[("do", "agree")]).await.status, StatusCode::SEE_OTHER);
    let page = consumer.get(&path).await.text();
    assert!(page.contains("2026-03-31") && page.contains("id=\"extension-form\""), "{page}");
    // There is nothing to publish.
    let nothing = consumer.post(&format!("{path}/releases/none"), &[("do", "publish")]).await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND);

    // Who is no member finds nothing.
    for who in ["provider", "authority", "enterprise", "citizen"] {
        let mut other = Browser::of(&house, who).await;
        assert_eq!(other.get(&path).await.status, StatusCode::NOT_FOUND, "{who}");
        let run = other.post(&format!("{path}/runs"), &run).await;
        assert_eq!(run.status, StatusCode::NOT_FOUND, "{who}");
    }
}

#[tokio::test]
async fn an_interface_over_a_result_leads_to_the_release_that_it_came_by() {
    let house = House::new().await;
    let served = house.served_release().await;
    let interface = served.release.outlet.unwrap().interface;
    let versions = house.app.store.interface_versions(&interface).await.unwrap();
    let path = format!("/console/interfaces/{}", versions[0].id);
    let mut consumer = Browser::of(&house, "consumer").await;
    let page = consumer.get(&path).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text());
    assert!(page.text().contains(&format!("id=\"interface-code\">{interface}")));
    let link = page.after("id=\"to-release\" href=\"");
    let release = format!("release-{}", served.release.id);
    assert_eq!(link, format!("/console/sandboxes/{}#{release}", served.project));
    assert!(!page.text().contains("id=\"to-entry\""), "there is no entry behind it");
    // The link leads to where the release is told, with the interface that it became.
    let sandbox = consumer.get(&format!("/console/sandboxes/{}", served.project)).await.text();
    let told = sandbox.split(&format!("id=\"{release}\"")).nth(1).unwrap();
    let told = told.split("</article>").next().unwrap();
    assert!(told.contains(&format!("/api/interface/{interface}")), "{told}");
    // For who is no member there is neither.
    for who in ["county", "citizen"] {
        let mut other = Browser::of(&house, who).await;
        let page = other.get(&path).await;
        assert!(page.status.is_client_error(), "{who}: {}", page.status);
        assert!(!page.text().contains("to-release") && !page.text().contains(&served.project));
    }
}

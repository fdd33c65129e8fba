//! How pages look: elder mode and colours are chosen by a link, kept in cookies, and no part of what a page is asked.

use app::contest::ContestNew;
use axum::http::StatusCode;
use model::account::ApplicationNew;
use model::code::{DataType, SyncMode};
use model::item::Item;
use model::news::{NewsKind, NewsNew};
use portal::PortalConfig;
use testkit::{ENTERPRISE_ORG, House};

use crate::browser::{Browser, encode};

/// Pages of the open site.
const PAGES: [&str; 10] = [
    "/",
    "/data",
    "/apis",
    "/maps",
    "/developer",
    "/index",
    "/city/hangzhou",
    "/about",
    "/help/api",
    "/help/errors",
];

#[tokio::test]
async fn large_type_and_colours_are_chosen_once_and_hold_on_every_page() {
    let house = House::new().await;
    let mut browser = Browser::new(&house);
    let plain = browser.get("/data?q=%E6%B0%B4").await.text();
    assert!(plain.contains("<html lang=\"zh-CN\">") && !plain.contains("class=\"elder"), "{plain}");
    // The link leads back to the same page.
    assert!(
        plain.contains("href=\"/data?q=%E6%B0%B4&amp;look=elder\" id=\"elder-mode\""),
        "{plain}"
    );
    let page = browser.get("/data?q=%E6%B0%B4&look=elder&theme=dark").await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(browser.cookie("qt_look").map(String::as_str), Some("elder"));
    assert_eq!(browser.cookie("qt_theme").map(String::as_str), Some("dark"));
    assert!(!page.text().contains("look=elder&amp;look="), "what is kept is no part of links");
    for path in PAGES {
        let text = browser.get(path).await.text();
        assert!(text.contains("class=\"elder\" data-theme=\"dark\""), "{path}: {text}");
        assert!(text.contains("id=\"read-aloud\" hidden"), "{path}: shown by script alone");
        assert!(text.contains("class=\"skip\" href=\"#content\""), "{path}");
        assert!(text.contains("id=\"sizes\""), "{path}: sizes are offered");
        for fold in ["display", "menu"] {
            let head = format!(
                "<details class=\"fold{}\" id=\"{fold}\"><summary>",
                if fold == "menu" { " menu" } else { "" }
            );
            assert!(
                text.contains(&head),
                "{path}: a phone folds {fold}, and no script is needed to unfold it"
            );
        }
    }
    let text = browser.get("/?look=largest").await.text();
    assert!(text.contains("class=\"elder largest\""), "{text}");
    // What is no choice changes nothing.
    let text = browser.get("/?look=%22onload&theme=neon").await.text();
    assert!(text.contains("class=\"elder largest\" data-theme=\"dark\""), "{text}");
    let text = browser.get("/?look=plain&theme=auto").await.text();
    assert!(text.contains("<html lang=\"zh-CN\">") && !text.contains("class=\"elder"), "{text}");
}

#[tokio::test]
async fn the_navigation_says_where_one_is() {
    let house = House::new().await;
    let mut browser = Browser::new(&house);
    for path in PAGES {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        let nav = page.text();
        let nav = nav.split("id=\"main-nav\"").nth(1).unwrap().split("</nav>").next().unwrap();
        let here = nav.matches("aria-current").count();
        assert_eq!(here, usize::from(path != "/about"), "{path}: {nav}");
        for href in ["/", "/data", "/apis", "/maps", "/developer", "/index"] {
            let target = match (path, href) {
                ("/city/hangzhou", "/") => "/city/hangzhou".to_owned(),
                ("/city/hangzhou", href) => format!("{href}?region=330100"),
                (_, href) => href.to_owned(),
            };
            assert!(nav.contains(&format!("href=\"{target}\"")), "{path}: {target}");
        }
    }
}

/// Pages of the open site that wear the face of a city whose regions they are asked for.
const PUBLIC: [&str; 16] = [
    "/data",
    "/apis",
    "/maps",
    "/showcase",
    "/interact",
    "/index",
    "/developer",
    "/search",
    "/contests",
    "/plans",
    "/restricted",
    "/restricted/statistics",
    "/agreements/verify",
    "/about",
    "/help/api",
    "/help/errors",
];

#[tokio::test]
async fn a_city_site_keeps_its_visitor_by_the_address_alone() {
    let house = House::new().await;
    let mut browser = Browser::new(&house);
    for path in PUBLIC {
        let page = browser.get(&format!("{path}?region=330106&q=x")).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        let text = page.text();
        assert!(text.contains("href=\"/city/hangzhou/colours.css\""), "{path}: {text}");
        assert!(text.contains("class=\"brand\" href=\"/city/hangzhou\""), "{path}: {text}");
        assert!(text.contains("href=\"/interact?region=330100\""), "{path}: {text}");
        assert!(text.contains("href=\"/policies?city=hangzhou\""), "{path}: {text}");
        // The way back asks for the same of the whole province.
        assert!(
            text.contains(&format!("id=\"to-province\" href=\"{path}?q=x\"")),
            "{path}: {text}"
        );
    }
    let home = browser.get("/city/hangzhou").await.text();
    assert!(home.contains("id=\"to-province\" href=\"/\""), "{home}");
    // Two cities, no region, none that is one, a page that is none of the open site's: the province's.
    for path in [
        "/data?region=330100&region=330200",
        "/data?region=x",
        "/data",
        "/about?region=x",
        "/login?region=330100",
        "/?region=330100",
    ] {
        let text = browser.get(path).await.text();
        assert!(
            !text.contains("id=\"to-province\"") && !text.contains("colours.css"),
            "{path}: {text}"
        );
    }
    assert_eq!(browser.get("/interact?region=x").await.status, StatusCode::BAD_REQUEST);
}

/// Buttons of forms and links that look like them are the city's, at rest, under the pointer and in elder mode; a map's are buttons of forms.
#[tokio::test]
async fn buttons_of_a_city_site_wear_its_colours() {
    let house = House::new().await;
    let city = house.app.rules.site.city("hangzhou").unwrap();
    let mut browser = Browser::new(&house);
    let colours = browser.get("/city/hangzhou/colours.css").await.text();
    let worn = |selector: &str, colour: &str| {
        colours.lines().any(|rule| {
            let (selectors, told) = rule.split_once(" { ").unwrap();
            selectors.split(", ").any(|s| s == selector)
                && told.starts_with(&format!("background: {colour};"))
        })
    };
    for button in ["button.main", ".button.main"] {
        assert!(worn(button, &city.brand), "{button}: {colours}");
        for deep in [format!("{button}:hover"), format!("html.elder {button}")] {
            assert!(worn(&deep, &city.deep), "{deep}: {colours}");
        }
    }
    // The sheet of every page comes first, so that the city's holds where both weigh the same.
    let maps = browser.get("/maps?region=330100").await.text();
    assert!(maps.contains("<button type=\"submit\" class=\"main\" id=\"find-place\">"), "{maps}");
    assert!(maps.find("/assets/app.css") < maps.find("/city/hangzhou/colours.css"), "{maps}");
}

/// A page wears the face of Hangzhou and leads to these addresses.
fn leads(text: &str, links: &[&str]) {
    assert!(text.contains("class=\"brand\" href=\"/city/hangzhou\""), "{text}");
    for link in links {
        assert!(text.contains(&format!("href=\"{link}\"")), "{link}: {text}");
    }
}

/// A set's pages, a ticket and a showcase lead to each other and to their lists within the city, and forms come back to it; so do maps,
/// the developers' log, the index and news.
#[tokio::test]
async fn what_stands_below_a_citys_lists_keeps_the_city() {
    let house = House::new().await;
    let mut draft = testkit::draft("pond");
    draft.region = "330106".into();
    house.publish(draft).await;
    let rows = "id,name,amount,day\n1,甲,1.50,2026-01-02\n";
    house.collect("pond", "rows.csv", rows.as_bytes(), SyncMode::Full).await.unwrap();
    let mut browser = Browser::of(&house, "enterprise").await;
    let tabs = ["/data/pond", "/data/pond/chart", "/data/pond/versions", "/data/pond/api"];
    for path in tabs {
        let text = browser.get(&format!("{path}?region=330100")).await.text();
        for link in tabs.iter().chain(&["/data"]) {
            leads(&text, &[&format!("{link}?region=330100")]);
        }
        let forms = text.matches("name=\"region\" value=\"330100\"").count();
        // The versions of a set are compared where there are two.
        assert_eq!(forms, usize::from(!path.ends_with("/versions")), "{path}: {text}");
        let whole = browser.get(path).await.text();
        assert!(!whole.contains("region=330100"), "the whole province's: {path}: {whole}");
    }
    let followed = browser.post("/data/pond/follow?region=330100", &[("do", "follow")]).await;
    assert_eq!(followed.location, "/data/pond?region=330100&done=followed");

    let asked = [
        ("kind", "question"),
        ("code", "pond"),
        ("title", "水位的单位"),
        ("text", "请问水位的单位是什么"),
    ];
    let filed = browser.post("/interact/new?region=330100", &asked).await;
    assert!(filed.location.ends_with("?region=330100&done=filed"), "{}", filed.location);
    let ticket = browser.get(&filed.location).await.text();
    let kind = "/interact?kind=question&amp;region=330100";
    leads(&ticket, &["/interact?region=330100", kind, "/data/pond?region=330100"]);
    assert!(ticket.contains("/moves?region=330100\""), "{ticket}");

    let made = [
        ("kind", "app"),
        ("title", "池塘地图"),
        ("text", "用开放的数据画出的池塘地图"),
        ("author", "测试科技有限公司"),
        ("links", "https://map.example/"),
        ("entries", "pond"),
    ];
    let handed = browser.post("/showcase/new?region=330100", &made).await;
    assert!(handed.location.ends_with("?region=330100&done=handed"), "{}", handed.location);
    let showcase = browser.get(&handed.location).await.text();
    leads(&showcase, &["/showcase?region=330100", "/data/pond?region=330100"]);
    assert!(showcase.contains("/end?region=330100\""), "{showcase}");
    of_the_whole_province_by_a_citys_site(&house, &mut browser).await;
}

/// Standing pages lead to each other and to lists within the city; so do the foot of every page and a page that tells of a fault.
#[tokio::test]
async fn standing_pages_keep_the_city() {
    let house = House::new().await;
    let mut browser = Browser::new(&house);
    let (about, api, errors) =
        ("/about?region=330100", "/help/api?region=330100", "/help/errors?region=330100");
    let pages = [
        ("/data?region=330100", vec![about, errors, "/plans?region=330100"]),
        ("/apis?region=330100", vec!["/developer?region=330100", about]),
        (about, vec![api, errors, "/data?region=330100"]),
        ("/about?city=hangzhou", vec![about, api, "/data?region=330100"]),
        (api, vec![errors, about]),
        (errors, vec![api, about]),
        ("/developer?region=330100", vec![api, errors, "/help/api?region=330100#signature"]),
        ("/data/nothing?region=330100", vec!["/help/errors?region=330100#not_found", about]),
    ];
    for (path, links) in pages {
        let text = browser.get(path).await.text();
        leads(&text, &links);
        for dropped in ["/about", "/plans", "/help/api", "/help/errors", "/developer", "/"] {
            // The way back to the whole province alone.
            let back = usize::from(path.split('?').next() == Some(dropped));
            let whole = text.matches(&format!("href=\"{dropped}\"")).count();
            assert_eq!(whole, back, "{path}: {dropped}: {text}");
        }
    }
    for path in ["/about", "/help/api", "/help/errors", "/developer", "/data/nothing"] {
        let text = browser.get(path).await.text();
        assert!(!text.contains("region=330100") && text.contains("href=\"/about\""), "{text}");
    }
}

/// Maps, the developers' log, the index and news: what they tell of the whole province is not narrowed, and is read on the city's site.
async fn of_the_whole_province_by_a_citys_site(house: &House, browser: &mut Browser) {
    let mut placed = testkit::draft("placed");
    placed.region = "330106".into();
    placed.items.push(Item::new("wz", "位置", DataType::Geometry));
    house.publish(placed).await;
    house.publish(testkit::draft("lake")).await;
    let maps = browser.get("/maps?region=330100&layer=placed").await.text();
    leads(&maps, &["/data/placed?region=330100#preview"]);
    assert!(!maps.contains("href=\"/data/placed#"), "{maps}");

    let developer = browser.get("/developer?region=330100").await.text();
    leads(&developer, &["/apis?region=330100"]);
    assert!(!developer.contains("href=\"/apis\""), "{developer}");
    let log =
        developer.split("id=\"change-log\"").nth(1).unwrap().split("</section>").next().unwrap();
    assert!(log.contains("/api?region=330100\"") && !log.contains("/api\""), "{log}");

    let org = testkit::PROVIDER_ORG;
    let failing = format!("/index/failing?defect=low_capacity&amp;org={org}&amp;region=330100");
    let theirs = format!("/data?org={org}&amp;city=hangzhou");
    let index = browser.get("/index?region=330100").await.text();
    leads(&index, &[&failing, &theirs, "/data?region=330100"]);
    let text = browser.get(&failing.replace("&amp;", "&")).await.text();
    leads(&text, &["/index?region=330100", "/data/pond?region=330100"]);
    assert!(!text.contains("href=\"/index\"") && !text.contains("href=\"/\">"), "{text}");
    // As many sets as the index counts, those of the province among them; a new search word stays here, too.
    let text = browser.get(&theirs.replace("&amp;", "&")).await.text();
    leads(&text, &["/data/pond?region=330100", "/data/lake?region=330100"]);
    assert!(text.contains("name=\"city\" value=\"hangzhou\""), "{text}");
    let tickets = browser.get(&format!("/interact?org={org}&city=hangzhou")).await.text();
    leads(&tickets, &["/interact/new?region=330100"]);
    assert!(tickets.contains("name=\"city\" value=\"hangzhou\""), "{tickets}");
    assert!(!tickets.contains("id=\"only-here\""), "not only the city's: {tickets}");
    let whole = browser.get("/index").await.text();
    assert!(!whole.contains("city=hangzhou") && !whole.contains("&amp;region="), "{whole}");

    let new = NewsNew {
        kind: Some(NewsKind::Policy),
        title: "公共数据开放办法".into(),
        text: "各部门依法开放公共数据，自发布之日起施行。".into(),
        ..NewsNew::default()
    };
    let authority = house.person("authority").await;
    let item = app::news::write(&house.app, &authority, &new).await.unwrap();
    app::news::publish(&house.app, &authority, &item.id).await.unwrap();
    let page = format!("/policies/{}?region=330100", item.id);
    for list in ["/policies?city=hangzhou", "/city/hangzhou"] {
        leads(&browser.get(list).await.text(), &[&page]);
    }
    let text = browser.get(&page).await.text();
    leads(&text, &["/policies?city=hangzhou"]);
    assert!(!text.contains("href=\"/policies\""), "{text}");
}

/// A contest, the forms of those who take part, and the showcase that a work becomes lead to each other within the city.
#[tokio::test]
async fn a_contest_keeps_the_city() {
    let house = House::new().await;
    house.publish(testkit::draft("tingche")).await;
    let contest = public_contest(&house).await;
    let here = format!("/contests/{contest}?region=330100");
    let mut leader = Browser::of(&house, "enterprise").await;
    let found = format!("/search?q={}&region=330100", encode("创新大赛"));
    for list in ["/contests?region=330100", "/contests?city=hangzhou", found.as_str()] {
        leads(&leader.get(list).await.text(), &[&here]);
    }
    // Begun further on, the list leads to its first page.
    let text = leader.get("/contests?region=330100&before=~").await.text();
    assert!(text.contains("class=\"button\" href=\"/contests?region=330100\""), "{text}");

    let at = |place: &str| format!("/contests/{contest}/{place}?region=330100");
    let formed = leader.post(&at("teams"), &[("name", "甲队")]).await.text();
    leads(&formed, &["/contests?region=330100"]);
    let code = formed.split("id=\"invitation-code\">").nth(1).unwrap().split('<').next().unwrap();
    let mut member = Browser::of(&house, "citizen").await;
    let joined = member.post(&at("join"), &[("code", code)]).await;
    assert_eq!(joined.location, format!("{here}&done=joined"), "{}", joined.text());
    let work = [
        ("track", "0"),
        ("title", "停车导航"),
        ("text", "用开放的停车数据做成的导航。"),
        ("link", "https://map.example/"),
        ("sets", "tingche"),
    ];
    let entered = leader.post(&at("works"), &work).await;
    assert_eq!(entered.location, format!("{here}&done=entered"), "{}", entered.text());

    let page = leader.get(&here).await;
    let text = page.text();
    let own = page.after(&format!("action=\"/contests/{contest}/works/"));
    let own = own.split('/').next().unwrap();
    let mut forms = vec![at("invitation"), at("works")];
    forms.extend(["files", "consent", "take-back"].map(|to| at(&format!("works/{own}/{to}"))));
    for form in forms {
        assert!(text.contains(&format!("action=\"{form}\"")), "{form}: {text}");
    }
    assert!(!text.contains("href=\"/contests\""), "{text}");
    let files = at(&format!("works/{own}/files"));
    let attached = leader.upload(&files, &[], "说明.pdf", b"%PDF-1.7 x").await;
    assert_eq!(attached.location, format!("{here}&done=attached"), "{}", attached.text());
    let left = member.post(&at("leave"), &[]).await;
    assert_eq!(left.location, format!("{here}&done=left"), "{}", left.text());
    as_a_showcase(&house, &contest, own).await;
}

/// The round is closed: its works lead to their sets, and one of them becomes a showcase, all on the city's site.
async fn as_a_showcase(house: &House, contest: &str, work: &str) {
    let app = &house.app;
    house.days_later(9);
    let (reviewer, authority) = (house.person("reviewer").await, house.person("authority").await);
    app::contest::score(app, &reviewer, contest, work, vec![88], "不错").await.unwrap();
    app::contest::close_round(app, &authority, contest).await.unwrap();
    let here = format!("/contests/{contest}?region=330100");
    let mut leader = Browser::of(house, "enterprise").await;
    leads(&leader.get(&here).await.text(), &["/data/tingche?region=330100"]);
    let hand = format!("/contests/{contest}/works/{work}/showcase?region=330100");
    let handed = leader.post(&hand, &[]).await;
    assert!(handed.location.starts_with("/showcase/"), "{}", handed.text());
    assert!(handed.location.ends_with("?region=330100&done=handed"), "{}", handed.location);
    leads(&leader.get(&handed.location).await.text(), &[&here, "/data/tingche?region=330100"]);
    let showcase = handed.location.trim_end_matches("&done=handed");
    leads(&leader.get(&here).await.text(), &[showcase]);
    let whole = leader.get(&format!("/contests/{contest}")).await.text();
    assert!(!whole.contains("region=330100"), "the whole province's: {whole}");
}

/// A contest that is public and may be entered: its id.
async fn public_contest(house: &House) -> String {
    let new = ContestNew {
        title: "创新大赛".into(),
        title_en: "Contest".into(),
        text: "用开放数据做出好应用。".into(),
        tracks: "民生|Living".into(),
        items: "创新性|Novelty|100|100".into(),
        rounds: "初赛|First|2026-03-01|2026-03-10|public".into(),
        judges: "reviewer".into(),
        ..ContestNew::default()
    };
    let authority = house.person("authority").await;
    let set_up = app::contest::set_up(&house.app, &authority, new).await.unwrap();
    app::contest::publish(&house.app, &authority, &set_up.id).await.unwrap();
    set_up.id
}

/// Plans are the whole province's: they are read, filtered and left on the city's site, and so are sets that were withdrawn.
#[tokio::test]
async fn plans_keep_the_city() {
    let house = House::new().await;
    let entry = house.publish(testkit::draft("tongji")).await;
    let rows = b"id,name,amount,day\n1,a,1,2026-01-01\n";
    house.collect("tongji", "t.csv", rows, SyncMode::Full).await.unwrap();
    let mut provider = Browser::of(&house, "provider").await;
    let begun = provider.post("/console/plans", &[("year", "2026")]).await;
    let desk = begun.location.split('?').next().unwrap();
    let lines = [
        ("seen", "1"),
        ("code-0", "tongji"),
        ("attribute-0", "unconditional"),
        ("due-0", "2026-06-30"),
    ];
    let page = provider.post(desk, &lines).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text());
    provider.post(&format!("{desk}/submit"), &[]).await;
    let mut authority = Browser::of(&house, "authority").await;
    authority.post(&format!("{desk}/decide"), &[("do", "agree")]).await;

    let mut nobody = Browser::new(&house);
    let plan = format!("{}?region=330100", desk.replace("/console", ""));
    for asked in ["region=330100", "city=hangzhou", "region=330106&year=2026"] {
        let text = nobody.get(&format!("/plans?{asked}")).await.text();
        leads(&text, &[&plan]);
        assert!(text.contains("name=\"region\" value=\"330100\""), "{asked}: {text}");
    }
    let text = nobody.get("/plans?region=330100&before=~").await.text();
    leads(&text, &["/plans?region=330100"]);
    let text = nobody.get(&plan).await.text();
    leads(&text, &["/plans?region=330100", "/data/tongji?region=330100"]);
    assert!(!text.contains("href=\"/plans\""), "{text}");

    let (app, op) = (&house.app, house.person("provider").await);
    app::opening::withdraw(app, &op, "tongji", "数据源停用", "").await.unwrap();
    let (op, agree) = (house.person("authority").await, app::catalogue::Move::Approve);
    app::catalogue::step(app, &op, &entry.id, agree, "").await.unwrap();
    leads(&nobody.get("/plans?region=330100").await.text(), &["/data/tongji?region=330100"]);
    let whole = nobody.get("/plans").await.text();
    assert!(!whole.contains("region=330100"), "the whole province's: {whole}");
}

/// Data that are open on conditions: the way to the form, what is one's own, statistics and the papers' page stay in the city.
#[tokio::test]
async fn restricted_use_keeps_the_city() {
    let house = House::new().await;
    house.publish(testkit::restricted_draft("yanjiu")).await;
    let mut browser = Browser::of(&house, "enterprise").await;
    let text = browser.get("/data/yanjiu?region=330100").await.text();
    leads(&text, &["/restricted/new?code=yanjiu&amp;region=330100"]);
    let text = browser.get("/data/yanjiu/api?region=330100").await.text();
    leads(&text, &["/apply/yanjiu?region=330100", "/help/api?region=330100"]);
    let form = "/restricted/new?code=yanjiu&region=330100";
    assert_eq!(browser.get("/apply/yanjiu?region=330100").await.location, form);
    let mine = "/restricted?region=330100";
    for asked in [form, "/restricted/new?city=hangzhou", "/agreements/verify?region=330100"] {
        let text = browser.get(asked).await.text();
        leads(&text, &[]);
        let leaves = ["/restricted", "/data"].map(|to| format!("href=\"{to}\""));
        assert!(!leaves.iter().any(|link| text.contains(link.as_str())), "{asked}: {text}");
        // Another set is added, or the first one named, or a paper looked up, here.
        assert_eq!(text.matches("name=\"region\" value=\"330100\"").count(), 1, "{asked}: {text}");
    }
    leads(&browser.get(form).await.text(), &[mine]);
    leads(&browser.get("/restricted/statistics?region=330100").await.text(), &[mine]);

    let op = house.person("enterprise").await;
    let new = ApplicationNew {
        name: "研究".into(),
        description: String::new(),
        org: ENTERPRISE_ORG.into(),
    };
    let calls = app::account::register_application(&house.app, &op, new).await.unwrap();
    let place = a_draft_keeps_the_city(&mut browser, &calls.application.id).await;
    let text = browser.get(mine).await.text();
    for to in [place.as_str(), "/restricted/statistics", "/agreements/verify", "/restricted/new"] {
        leads(&text, &[&format!("{to}?region=330100")]);
    }
    assert!(text.contains("action=\"/restricted/key?region=330100\""), "{text}");
    let key = testkit::signer().public_hex();
    let page = browser.post("/restricted/key?region=330100", &[("key", key.as_str())]).await;
    assert_eq!(page.location, format!("{mine}&done=saved"), "{}", page.text());
    for path in ["/restricted", "/restricted/new?code=yanjiu", place.as_str()] {
        let whole = browser.get(path).await.text();
        assert!(!whole.contains("region=330100"), "the whole province's: {path}: {whole}");
    }
}

/// An application is saved, changed, furnished with evidence and handed in, and another is thrown away: where the first one stands.
async fn a_draft_keeps_the_city(browser: &mut Browser, application: &str) -> String {
    let filled = [
        ("code", "yanjiu"),
        ("items-yanjiu", "id"),
        ("application", application),
        ("purpose", "研究企业分布"),
        ("scope", "仅供内部分析"),
        ("method", "interface"),
        ("until", "2026-05-31"),
        ("calls_per_day", "100"),
        ("answer-storage", "yes"),
        ("answer-processing", "yes"),
        ("answer-protection", "level2"),
        ("answer-incident", "none"),
        ("seen", "1"),
    ];
    let saved = browser.post("/restricted/new?region=330100", &filled).await;
    let place = saved.location.split('?').next().unwrap().to_owned();
    let here = format!("{place}?region=330100");
    assert_eq!(saved.location, format!("{here}&done=saved"), "{}", saved.text());
    let at = |deed: &str| format!("{place}/{deed}?region=330100");
    let text = browser.get(&here).await.text();
    leads(&text, &["/restricted?region=330100", "/data/yanjiu?region=330100", &at("edit")]);
    for form in ["files", "moves", "discard"].map(at) {
        assert!(text.contains(&format!("action=\"{form}\"")), "{form}: {text}");
    }
    let text = browser.get(&at("edit")).await.text();
    leads(&text, &["/restricted?region=330100", &here]);
    assert!(text.contains(&format!("action=\"{}\"", at("edit"))), "{text}");
    let page = browser.post(&at("edit"), &filled).await;
    assert_eq!(page.location, format!("{here}&done=saved"), "{}", page.text());
    for of in ["storage", "protection"] {
        let page = browser.upload(&at("files"), &[("of", of)], "证明.pdf", b"%PDF-1.7 proof").await;
        assert_eq!(page.location, format!("{here}&done=attached"), "{}", page.text());
    }
    let page = browser.post(&at("moves"), &[("do", "submit")]).await;
    assert_eq!(page.location, format!("{here}&done=submit"), "{}", page.text());

    let other = browser.post("/restricted/new?region=330100", &filled).await;
    let discard = other.location.replace("?region=330100&done=saved", "/discard?region=330100");
    let page = browser.post(&discard, &[("seen", "1")]).await;
    assert_eq!(page.location, "/restricted?region=330100&done=removed", "{}", page.text());
    place
}

/// What answers a form need not have a page at its address: its links lead back to the page that had the form, if that is this site's.
#[tokio::test]
async fn an_answer_to_a_form_leads_back_to_the_page_that_had_it() {
    let house = House::new().await;
    let config =
        PortalConfig { public_url: Some("http://open.test".into()), ..PortalConfig::default() };
    let mut browser = Browser::with(&house, config);
    let (path, form) = ("/data/tongji/comments", [("text", "很好用")]);
    for (from, to) in [
        (
            "http://open.test/data/tongji?page=2&amp=1&lang=zh&look=plain",
            "/data/tongji?page=2&amp;amp=1&amp;lang=en",
        ),
        ("http://other.test/data/tongji", "/data/tongji/comments?lang=en"),
        ("http://open.test.other.test/data", "/data/tongji/comments?lang=en"),
        ("http://open.test//other.test/data", "/data/tongji/comments?lang=en"),
        ("", "/data/tongji/comments?lang=en"),
    ] {
        let page = browser.ask("POST", path, &[("referer", from)], &form).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "without the form's token");
        let link = format!("href=\"{to}\" hreflang");
        assert!(page.text().contains(&link), "{from}: {}", page.text());
    }
    let page = browser.get_with("/about", "referer", "http://open.test/data").await;
    assert!(page.text().contains("href=\"/about?lang=en\""), "a page is its own");
}

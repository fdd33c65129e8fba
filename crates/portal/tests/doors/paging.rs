//! What does not fit on one page: whoever goes on by the links of the pages sees everything, and everything once, whichever list it is.

use app::contest::{self, ContestNew};
use app::news;
use app::opening;
use app::restricted::{self, UseOrder};
use app::voice::{self, TicketOrder};
use axum::http::StatusCode;
use chrono::{Datelike, NaiveDate, TimeDelta};
use model::account::ApplicationNew;
use model::code::{DataType, OpenType};
use model::item::Item;
use model::news::{NewsKind, NewsNew};
use model::openplan::PlanLine;
use model::restricted::UseDeed;
use model::voice::showcase::{ShowcaseKind, ShowcaseNew};
use model::voice::ticket::{Deed, TicketKind, TicketNew};
use portal::PortalConfig;
use testkit::{ENTERPRISE_ORG, House};

use crate::browser::Browser;

/// Follows a list from its first page on. Each of `needles` stands on one page, and there are so many pages; answers all their text.
async fn walked(browser: &mut Browser, first: &str, needles: &[String], pages: usize) -> String {
    let (mut path, mut seen) = (first.to_owned(), vec![0_usize; needles.len()]);
    let mut whole = String::new();
    for page in 1..=pages {
        let answer = browser.get(&path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        let text = answer.text();
        for (seen, needle) in seen.iter_mut().zip(needles) {
            *seen += usize::from(text.contains(needle.as_str()));
        }
        let next = text.split_once("rel=\"next").and_then(|(_, rest)| rest.split_once("href=\""));
        match next {
            Some((_, rest)) if page < pages => {
                path = rest.split(['"', '#']).next().unwrap().replace("&amp;", "&");
            }
            None if page == pages => {}
            _ => panic!("{first}: page {page} of {pages}: {next:?}"),
        }
        whole.push_str(&text);
    }
    let odd: Vec<_> = needles.iter().zip(&seen).filter(|(_, n)| **n != 1).collect();
    assert!(odd.is_empty(), "{first}: not once: {odd:?}");
    whole
}

/// Sets with places and without rows: nothing tells them apart but their names.
async fn sets(house: &House, count: usize) -> Vec<String> {
    let mut codes = Vec::new();
    for n in 0..count {
        let code = format!("paged{n:02}");
        let mut draft = testkit::draft(&code);
        draft.items.push(Item::new("wz", "位置", DataType::Geometry));
        house.publish(draft).await;
        codes.push(code);
    }
    codes
}

#[tokio::test]
async fn every_set_stands_on_one_page_of_each_list() {
    let house = House::new().await;
    let codes = sets(&house, 53).await;
    let links: Vec<String> = codes.iter().map(|c| format!("href=\"/data/{c}\"")).collect();
    let mut nobody = Browser::new(&house);
    for (list, pages) in [
        ("/data", 4),
        ("/data?sort=published_at", 4),
        ("/data?sort=rows", 4),
        ("/data?q=%E6%B5%8B%E8%AF%95&org=org-market", 4),
        ("/apis", 2),
        ("/index/failing?defect=low_capacity", 2),
    ] {
        walked(&mut nobody, list, &links, pages).await;
    }
    let layers: Vec<String> = codes.iter().map(|c| format!("value=\"{c}\"")).collect();
    walked(&mut nobody, "/maps", &layers, 2).await;
    for wrong in ["/data?page=0", "/data?page=x", "/data?page=401"] {
        let page = nobody.get(wrong).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test]
async fn a_site_map_of_many_sets_is_a_list_of_files() {
    let house = House::new().await;
    let codes = sets(&house, 23).await;
    house.publish(testkit::person_draft("closed")).await;
    let part = |sitemap_sets| PortalConfig { sitemap_sets, ..PortalConfig::default() };
    let mut nobody = Browser::with(&house, part(10));
    let whole = nobody.get("/sitemap.xml").await.text();
    let files: Vec<&str> = whole.split("<loc>").skip(1).collect();
    let files: Vec<&str> = files.iter().map(|f| f.split('<').next().unwrap()).collect();
    assert!(whole.contains("<sitemapindex") && !whole.contains("<urlset"), "{whole}");
    assert_eq!(files, [1, 2, 3].map(|n| format!("http://site.test/sitemap/{n}.xml")));
    let mut places = Vec::new();
    for (n, file) in files.iter().enumerate() {
        let path = file.strip_prefix("http://site.test").unwrap();
        let text = nobody.get(path).await.text();
        let own: Vec<String> =
            text.split("<loc>").skip(1).map(|l| l.split('<').next().unwrap().to_owned()).collect();
        let sets = own.iter().filter(|l| l.contains("/data/")).count();
        assert_eq!(sets, [10, 10, 3][n], "{text}");
        // The pages of the site stand in the first.
        assert_eq!(own.iter().any(|l| l.ends_with("/developer")), n == 0);
        places.extend(own);
    }
    let wanted: Vec<String> = codes.iter().map(|c| format!("http://site.test/data/{c}")).collect();
    let told: Vec<&String> = places.iter().filter(|l| l.contains("/data/")).collect();
    assert_eq!(told, wanted.iter().collect::<Vec<_>>(), "each once, and none that is not open");
    for nowhere in ["/sitemap/0.xml", "/sitemap/4.xml", "/sitemap/99999999999999999999.xml"] {
        assert_eq!(nobody.get(nowhere).await.status, StatusCode::NOT_FOUND, "{nowhere}");
    }
    // As many as a file holds are one file.
    let mut one = Browser::with(&house, part(23));
    let exact = one.get("/sitemap.xml").await.text();
    assert_eq!(one.get("/sitemap/2.xml").await.status, StatusCode::NOT_FOUND);
    assert!(exact.contains("<urlset") && codes.iter().all(|c| exact.contains(c.as_str())));
    let one_more = Browser::with(&house, part(22)).get("/sitemap.xml").await.text();
    assert_eq!(one_more.matches("<sitemap>").count(), 2, "{one_more}");
}

#[tokio::test]
async fn older_tickets_showcases_comments_policies_and_contests_are_reached() {
    let house = House::new().await;
    let app = &house.app;
    house.publish(testkit::draft("tongji")).await;
    let (mut tickets, mut showcases, mut comments) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..22 {
        // One account writes only so much a day.
        house.clock.forward(TimeDelta::hours(6));
        let (citizen, enterprise) =
            (house.person("citizen").await, house.person("enterprise").await);
        let new = TicketNew {
            kind: Some(TicketKind::Question),
            entry: "tongji".into(),
            title: format!("第 {n} 个问题"),
            text: "请问这个数据集多久更新一次，谢谢。".into(),
            public: true,
            ..TicketNew::default()
        };
        let ticket = voice::file(app, &citizen, new).await.unwrap();
        let provider = house.person("provider").await;
        let accept = TicketOrder::new(Deed::Accept, "");
        voice::act(app, &provider, &ticket.id, accept).await.unwrap();
        tickets.push(format!("href=\"/interact/{}\"", ticket.number));
        let new = ShowcaseNew {
            kind: Some(ShowcaseKind::App),
            title: format!("第 {n} 个应用"),
            text: "用开放的统计数据做成的应用".into(),
            author: "测试科技".into(),
            links: vec!["https://map.example/".into()],
            entries: vec!["tongji".into()],
        };
        let made = voice::submit(app, &enterprise, new).await.unwrap();
        let authority = house.person("authority").await;
        voice::review(app, &authority, &made.id, true, "").await.unwrap();
        showcases.push(format!("href=\"/showcase/{}\"", made.id));
        let text = format!("评论 {n:02} 号");
        voice::comment(app, &citizen, "tongji", "", &text).await.unwrap();
        comments.push(text);
    }
    let authority = house.person("authority").await;
    let (mut policies, mut contests) = (Vec::new(), Vec::new());
    let day = |days: i64| (house.app.now() + TimeDelta::days(days)).date_naive().to_string();
    for n in 0..22 {
        let new = NewsNew {
            kind: Some(NewsKind::Policy),
            title: format!("第 {n} 号办法"),
            text: "各部门依法开放公共数据，自发布之日起施行。".into(),
            ..NewsNew::default()
        };
        let item = news::write(app, &authority, &new).await.unwrap();
        news::publish(app, &authority, &item.id).await.unwrap();
        policies.push(format!("href=\"/policies/{}\"", item.id));
        let new = ContestNew {
            title: format!("第 {n} 届大赛"),
            title_en: format!("Contest {n}"),
            text: "用开放数据做出好应用。".into(),
            tracks: "民生|Living".into(),
            items: "创新性|Novelty|100|100".into(),
            rounds: format!("初赛|First|{}|{}|public", day(1), day(9)),
            judges: "reviewer".into(),
            ..ContestNew::default()
        };
        let set_up = contest::set_up(app, &authority, new).await.unwrap();
        contest::publish(app, &authority, &set_up.id).await.unwrap();
        contests.push(format!("href=\"/contests/{}\"", set_up.id));
    }
    let mut nobody = Browser::new(&house);
    for (list, needles) in [
        ("/interact", &tickets),
        ("/interact?kind=question", &tickets),
        ("/showcase", &showcases),
        ("/data/tongji", &comments),
        ("/policies", &policies),
        ("/policies?kind=policy", &policies),
        ("/contests", &contests),
    ] {
        walked(&mut nobody, list, needles, 2).await;
    }
}

/// A department's plan of this year, agreed to: how its page is linked to.
async fn agreed_plan(house: &House, who: &str) -> String {
    let (app, op) = (&house.app, house.person(who).await);
    let year = op.today().year();
    let plan = opening::begin_plan(app, &op, year).await.unwrap();
    let line = PlanLine {
        code: String::new(),
        title: "停车泊位".into(),
        attribute: OpenType::Unconditional,
        ground: None,
        basis: String::new(),
        due: NaiveDate::from_ymd_opt(year, 12, 31).unwrap(),
    };
    opening::write_plan(app, &op, &plan.id, vec![line], plan.edit).await.unwrap();
    opening::submit_plan(app, &op, &plan.id).await.unwrap();
    let authority = house.person("authority").await;
    opening::decide_plan(app, &authority, &plan.id, true, "").await.unwrap();
    format!("href=\"/plans/{}\"", plan.id)
}

#[tokio::test]
async fn older_plans_are_reached_and_those_of_one_department_alone() {
    let house = House::new().await;
    let (mut own, mut all) = (Vec::new(), Vec::new());
    for n in 0..22 {
        own.push(agreed_plan(&house, "provider").await);
        // Of another department one on either page.
        if matches!(n, 0 | 21) {
            all.push(agreed_plan(&house, "stranger").await);
        }
        // A department has one plan a year.
        house.days_later(365);
    }
    let foreign = all.clone();
    all.extend(own.iter().cloned());
    let mut nobody = Browser::new(&house);
    walked(&mut nobody, "/plans", &all, 2).await;
    let shown = walked(&mut nobody, "/plans?org=org-market", &own, 2).await;
    assert!(!foreign.iter().any(|link| shown.contains(link.as_str())), "{shown}");
    let shown = walked(&mut nobody, "/plans?year=2026&org=org-market", &own[..1], 1).await;
    assert!(!own[1..].iter().any(|link| shown.contains(link.as_str())), "{shown}");
}

#[tokio::test]
async fn older_applications_of_ones_own_are_reached() {
    let house = House::new().await;
    house.publish(testkit::restricted_draft("yanjiu")).await;
    let (app, op) = (&house.app, house.person("enterprise").await);
    let new = ApplicationNew {
        name: "研究".into(),
        description: String::new(),
        org: ENTERPRISE_ORG.into(),
    };
    let calling = app::account::register_application(app, &op, new).await.unwrap();
    let id = calling.application.id;
    let mut numbers = Vec::new();
    for n in 0..43 {
        let op = house.person("enterprise").await;
        let filed = restricted::file(app, &op, testkit::use_of(&id, "yanjiu", &[])).await.unwrap();
        numbers.push(format!("href=\"/restricted/{}\"", filed.number));
        // Others than drafts are among them.
        if n % 10 == 0 {
            for of in ["storage", "protection"] {
                house.use_file(&op, &filed.number, of).await.unwrap();
            }
            let submit = UseOrder::new(UseDeed::Submit, "");
            restricted::act(app, &op, &filed.number, submit).await.unwrap();
        }
    }
    let mut enterprise = Browser::of(&house, "enterprise").await;
    walked(&mut enterprise, "/restricted", &numbers, 3).await;
    // Nobody else's list has them, on whatever page it is begun.
    for who in ["citizen", "provider"] {
        let mut other = Browser::of(&house, who).await;
        let text = walked(&mut other, "/restricted", &[], 1).await;
        assert!(!numbers.iter().any(|number| text.contains(number.as_str())), "{who}: {text}");
    }
}

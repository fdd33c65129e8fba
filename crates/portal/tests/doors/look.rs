//! How pages look: elder mode and colours are chosen by a link, kept in cookies, and no part of what a page is asked.

use axum::http::StatusCode;
use testkit::House;

use crate::browser::Browser;

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

#[tokio::test]
async fn a_city_site_keeps_its_visitor_by_the_address_alone() {
    let house = House::new().await;
    let mut browser = Browser::new(&house);
    let lists =
        ["/data", "/apis", "/maps", "/showcase", "/interact", "/index", "/developer", "/search"];
    for path in lists {
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
    // Two cities, no region, none that is one, a page that is no list: the province's.
    for path in [
        "/data?region=330100&region=330200",
        "/data?region=x",
        "/data",
        "/about?region=330100",
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

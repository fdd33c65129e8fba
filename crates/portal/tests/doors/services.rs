//! Pages about sets: charts, versions, interfaces, maps, cities and the open index, each without script.

use std::time::Duration;

use axum::http::StatusCode;
use chrono::TimeDelta;
use model::code::{DataType, SyncMode};
use model::item::Item;
use testkit::House;

use crate::browser::{Browser, encode};

const ROWS: &str =
    "id,name,amount,day\n1,甲,1.50,2026-01-02\n2,<b>,20,2026-02-03\n3,甲,,2026-02-05\n";

async fn open_set(house: &House, code: &str, region: &str) {
    let mut draft = testkit::draft(code);
    draft.region = region.into();
    house.publish(draft).await;
    house.collect(code, "rows.csv", ROWS.as_bytes(), SyncMode::Full).await.unwrap();
}

#[tokio::test]
async fn a_chart_is_drawn_by_the_server_and_stands_in_its_address() {
    let house = House::new().await;
    open_set(&house, "charted", "330000").await;
    let mut nobody = Browser::new(&house);
    let chart = "/data/charted/chart?kind=bar&x=name&how=sum&y=amount";
    let page = nobody.get(chart).await;
    assert_eq!(page.status, StatusCode::OK);
    let text = page.text();
    assert!(text.contains("<svg class=\"still\"") && text.contains("&lt;b&gt;"), "{text}");
    let table = text.split("id=\"chart-table\"").nth(1).unwrap().split("</table>").next().unwrap();
    assert!(
        table.contains("<td class=\"n\">20</td>") && table.contains("<td class=\"n\">1.5</td>"),
        "{table}"
    );
    assert!(
        text.contains("id=\"chart-link\">http://site.test/data/charted/chart?kind=bar"),
        "{text}"
    );
    let pie = nobody.get("/data/charted/chart?kind=pie&x=day&step=month").await.text();
    assert!(pie.contains("2026-02") && pie.contains("<path class=\"c0\""), "{pie}");
    let line = nobody.get("/data/charted/chart?kind=line&x=day").await.text();
    assert!(line.contains("class=\"way\""), "{line}");
    let points = nobody.get("/data/charted/chart?kind=scatter&x=id&y=amount").await.text();
    assert!(points.contains("<circle") && points.contains("data-kind=\"scatter\""), "{points}");
    let filtered = nobody
        .get("/data/charted/chart?x=name&col=day&op=between&val=2026-02-01&to=2026-02-28")
        .await
        .text();
    assert!(
        filtered.contains("<td class=\"n\">1</td>") && !filtered.contains("<td class=\"n\">2</td>"),
        "{filtered}"
    );
    for wrong in
        ["x=nothing", "x=name&how=sum&y=name", "x=name&step=month", "kind=scatter&x=name&y=id"]
    {
        let page = nobody.get(&format!("/data/charted/chart?{wrong}")).await;
        assert_eq!(page.status, StatusCode::OK, "{wrong}");
        assert!(page.text().contains("id=\"trouble\""), "{wrong}: {}", page.text());
    }
    assert_eq!(nobody.get("/data/charted/chart?kind=radar").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn versions_are_listed_and_compared() {
    let house = House::new().await;
    open_set(&house, "kept", "330000").await;
    let next = "id,name,amount,day\n1,甲,9,2026-01-02\n2,<b>,20,2026-02-03\n4,新,1,2026-02-05\n";
    house.collect("kept", "more.csv", next.as_bytes(), SyncMode::Full).await.unwrap();
    let mut nobody = Browser::new(&house);
    let text = nobody.get("/data/kept/versions").await.text();
    assert!(text.contains("download.csv?version=") && text.contains("id=\"compare\""), "{text}");
    let version = |n: usize| {
        text.split("download.csv?version=").nth(n).unwrap().split('"').next().unwrap().to_owned()
    };
    let compared = nobody
        .get(&format!("/data/kept/versions?from={}&to={}", version(2), version(1)))
        .await
        .text();
    let figures = compared.split("id=\"difference-figures\"").nth(1).unwrap();
    let figures = figures.split("</p>").next().unwrap();
    assert_eq!(figures.matches("<strong class=\"num\">1</strong>").count(), 3, "{figures}");
    assert_eq!(nobody.get("/data/kept/versions?from=x&to=1").await.status, StatusCode::BAD_REQUEST);
    let old =
        nobody.get(&format!("/data/kept/download.csv?bom=0&version={}", version(2))).await.text();
    assert!(old.contains("1,甲,1.50,2026-01-02"), "{old}");
}

#[tokio::test]
async fn a_set_says_how_it_stands_how_it_may_be_used_and_how_it_is_cited() {
    let house = House::new().await;
    open_set(&house, "told", "330000").await;
    app::opening::measure(&house.app, &model::Op::system(house.app.now())).await.unwrap();
    let mut nobody = Browser::new(&house);
    let text = nobody.get("/data/told").await.text();
    let part = |id: &str| {
        let rest = text.split(&format!("id=\"{id}\"")).nth(1).unwrap_or_else(|| panic!("no {id}"));
        rest.split("</section>").next().unwrap().to_owned()
    };
    assert!(part("freshness").contains("按期更新"), "{}", part("freshness"));
    // 11 of 12 cells hold something.
    assert!(part("filled").contains("91.7%"), "{}", part("filled"));
    let quality = part("quality").split("</dd>").next().unwrap().to_owned();
    for told in ["/ 100", "完整", "归集合格", "时效", "元数据"] {
        assert!(quality.contains(told), "{told}: {quality}");
    }
    let score = |text: &str| -> f64 {
        let rest = text.split("<strong class=\"num\">").nth(1).unwrap();
        rest.split('<').next().unwrap().parse().unwrap()
    };
    let (before, quality_now) =
        (score(&quality), |text: &str| score(text.split("id=\"quality\"").nth(1).unwrap()));
    assert!((50.0..=100.0).contains(&before), "{quality}");
    assert!(part("licence").contains("免费"), "{}", part("licence"));
    let cite = part("cite");
    assert!(cite.contains("[DS/OL]") && cite.contains("http://site.test/data/told"), "{cite}");
    assert!(cite.contains("@misc{told,"), "{cite}");
    house.clock.forward(TimeDelta::days(10));
    let late = nobody.get("/data/told?lang=en").await.text();
    assert!(late.contains("older than its cycle"), "{late}");
    assert!(quality_now(&late) < before - 20.0, "late data count: {late}");
    assert!(late.contains("Free: nothing is charged"), "{late}");
}

#[tokio::test]
async fn a_download_that_was_cut_off_goes_on_where_it_stood() {
    let house = House::new().await;
    open_set(&house, "large", "330000").await;
    let mut nobody = Browser::new(&house);
    let path = "/data/large/download.csv";
    // Nobody has had it whole: its size is not known, and a part is told all the same, after it was read through once.
    assert!(!nobody.get("/data/large").await.text().contains("id=\"files\""));
    let header = |page: &crate::browser::Page, name: &str| {
        page.headers.get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    let part = nobody.get_with(path, "range", "bytes=5-").await;
    assert_eq!(part.status, StatusCode::PARTIAL_CONTENT);
    let whole = nobody.get(path).await;
    let size = whole.bytes.len();
    assert_eq!(header(&part, "content-range"), format!("bytes 5-{}/{size}", size - 1));
    assert_eq!(part.bytes, whole.bytes[5..]);
    assert_eq!(header(&whole, "content-length"), size.to_string());
    let tag = header(&whole, "etag");
    assert_eq!(
        (header(&part, "etag"), header(&whole, "accept-ranges")),
        (tag.clone(), "bytes".into())
    );
    let page = nobody.get("/data/large").await.text();
    assert!(page.contains("id=\"files\"") && page.contains("SHA-256"), "{page}");
    let beyond = nobody.get_with(path, "range", &format!("bytes={size}-")).await;
    assert_eq!(beyond.status, StatusCode::RANGE_NOT_SATISFIABLE);
    // Other formats, a first download among them: its mark is told before its size is known.
    for format in ["json", "parquet"] {
        let path = format!("/data/large/download.{format}");
        let whole = nobody.get(&path).await;
        assert_eq!(
            (header(&whole, "accept-ranges").as_str(), header(&whole, "etag").len()),
            ("bytes", 34)
        );
        let rest = nobody.get_with(&path, "range", "bytes=20-").await;
        assert_eq!(rest.status, StatusCode::PARTIAL_CONTENT, "{format}");
        assert!(rest.bytes == whole.bytes[20..], "{format}");
    }
    // Reading it through was no release; each answer that gave bytes was one.
    let auditor = house.person("auditor").await;
    let count = async |action: &str| {
        let filter = model::audit::AuditFilter {
            action: Some(action.to_owned()),
            limit: 100,
            ..model::audit::AuditFilter::default()
        };
        let found = app::audit::list(&house.app, &auditor, &filter).await.unwrap();
        found.iter().filter(|r| r.event.action == action).count()
    };
    assert_eq!((count("open.sized").await, count("rows.download").await), (1, 6));
    // New data are another file: who goes on with the former one gets the whole of the new.
    house
        .collect("large", "more.csv", b"id,name,amount,day\n1,x,1,2026-01-01\n", SyncMode::Full)
        .await
        .unwrap();
    assert!(!nobody.get("/data/large").await.text().contains("id=\"files\""));
    let mut fresh = nobody.get_with_all(path, &[("range", "bytes=20-"), ("if-range", &tag)]).await;
    assert_eq!(fresh.status, StatusCode::OK, "a part of what is no more is not told");
    assert_ne!(header(&fresh, "etag"), tag);
    let tag = header(&fresh, "etag");
    fresh = nobody.get_with_all(path, &[("range", "bytes=20-"), ("if-range", &tag)]).await;
    assert_eq!(fresh.status, StatusCode::PARTIAL_CONTENT);
}

#[tokio::test]
async fn checksums_are_those_of_the_files_in_every_process() {
    use sha2::{Digest as _, Sha256};
    let house = House::new().await;
    open_set(&house, "summed", "330000").await;
    let mut nobody = Browser::new(&house);
    assert_eq!(
        nobody.get("/data/summed").await.after("id=\"checksums\" rel=\"nofollow\" href=\""),
        "/data/summed/SHA256SUMS"
    );
    let sums = nobody.get("/data/summed/SHA256SUMS").await;
    assert_eq!(
        (sums.status, sums.content_type.as_str()),
        (StatusCode::OK, "text/plain; charset=utf-8")
    );
    let sums = sums.text();
    let lines: Vec<(&str, &str)> =
        sums.lines().map(|line| line.split_once("  ").unwrap()).collect();
    let names: Vec<&str> = lines.iter().map(|(_, name)| *name).collect();
    let endings = ["csv", "json", "xlsx", "xml", "rdf", "parquet"];
    assert_eq!(names, endings.map(|e| format!("download.{e}")));
    // Another process: it knows what the first has found, and the files are those. A workbook goes on where it stood, too.
    let mut other = Browser::new(&house);
    for (sum, name) in &lines {
        let page = other.get("/data/summed").await.text();
        assert!(page.contains(sum), "{name} is told before anybody has it");
        let told = format!("\"sha256\":\"{sum}\"");
        assert!(page.contains(&told), "{name}: to search engines, too");
        let path = format!("/data/summed/{name}");
        let whole = other.get(&path).await.bytes;
        assert_eq!(hex::encode(Sha256::digest(&whole)), *sum, "{name}");
        let rest = other.get_with(&path, "range", "bytes=20-").await;
        assert_eq!((rest.status, &rest.bytes[..]), (StatusCode::PARTIAL_CONTENT, &whole[20..]));
    }
    // The exact CSV is a file of its own.
    let exact = other.get("/data/summed/download.csv?bom=0").await;
    let part = other.get_with("/data/summed/download.csv?bom=0", "range", "bytes=3-").await;
    assert_eq!((part.status, &part.bytes[..]), (StatusCode::PARTIAL_CONTENT, &exact.bytes[3..]));
    assert!(exact.headers["etag"] != other.get("/data/summed/download.csv").await.headers["etag"]);
    // RDF tells addresses of the site: under another one it is another file.
    let config = portal::PortalConfig {
        public_url: Some("https://elsewhere.test".into()),
        ..portal::PortalConfig::default()
    };
    let mut elsewhere = Browser::with(&house, config);
    assert!(!elsewhere.get("/data/summed").await.text().contains(lines[4].0));
    let rdf = elsewhere.get("/data/summed/download.rdf").await;
    assert_eq!(rdf.headers.get("content-length"), None, "the length of the other file is not told");
    assert!(rdf.text().contains("https://elsewhere.test/data/summed"), "{}", rdf.text());
    // Other data are other files; what is not open to everybody has no checksums, and what is hidden is not there.
    house
        .collect(
            "summed",
            "more.csv",
            "id,name,amount,day\n9,x,1,2026-01-01\n".as_bytes(),
            SyncMode::Full,
        )
        .await
        .unwrap();
    let page = nobody.get("/data/summed").await.text();
    assert!(lines.iter().all(|(sum, _)| !page.contains(sum)), "{page}");
    let anew = nobody.get("/data/summed/SHA256SUMS").await.text();
    assert!(anew.lines().count() == 6 && lines.iter().all(|(sum, _)| !anew.contains(sum)));
    house.publish(testkit::restricted_draft("qiye")).await;
    house.publish(testkit::person_draft("closed")).await;
    assert_eq!(nobody.get("/data/qiye/SHA256SUMS").await.status, StatusCode::FORBIDDEN);
    assert_eq!(nobody.get("/data/closed/SHA256SUMS").await.status, StatusCode::NOT_FOUND);
    // Everything was read through once for it, and told as that.
    let auditor = house.person("auditor").await;
    let filter = model::audit::AuditFilter {
        action: Some("open.sized".into()),
        limit: 100,
        ..model::audit::AuditFilter::default()
    };
    let read = app::audit::list(&house.app, &auditor, &filter).await.unwrap();
    let read = read.iter().filter(|r| r.event.action == "open.sized").count();
    assert_eq!(read, 12, "six files of two versions");
}

/// `sha256sum -c` checks what a list names and says nothing of what it does not: there is none that lacks a file.
#[tokio::test]
async fn a_list_of_checksums_is_whole_or_not_there_yet() {
    let house = House::new().await;
    open_set(&house, "summed", "330000").await;
    let config = portal::PortalConfig { sums_wait: Duration::ZERO, ..Default::default() };
    let (mut nobody, path) = (Browser::with(&house, config), "/data/summed/SHA256SUMS");
    let early = nobody.get(path).await;
    assert_eq!(early.status, StatusCode::SERVICE_UNAVAILABLE, "{}", early.text());
    assert_eq!(early.headers["retry-after"], "10");
    assert!(early.text().lines().count() == 2, "{}", early.text());
    assert!(early.text().lines().all(|line| line.starts_with('#')), "{}", early.text());
    // Nobody waits for it: it is worked out all the same, each file once however often it is asked for.
    let list = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let answer = nobody.get(path).await;
            if answer.status == StatusCode::OK {
                return answer.text();
            }
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
            assert!(answer.text().lines().all(|line| line.starts_with('#')), "{}", answer.text());
            tokio::task::yield_now().await;
        }
    });
    let list = list.await.expect("the list");
    let names: Vec<&str> = list.lines().map(|line| line.split_once("  ").unwrap().1).collect();
    let endings = ["csv", "json", "xlsx", "xml", "rdf", "parquet"];
    assert_eq!(names, endings.map(|e| format!("download.{e}")));
    let auditor = house.person("auditor").await;
    let filter = model::audit::AuditFilter {
        action: Some("open.sized".into()),
        limit: 100,
        ..model::audit::AuditFilter::default()
    };
    let read = app::audit::list(&house.app, &auditor, &filter).await.unwrap();
    assert_eq!(read.len(), endings.len());
}

#[tokio::test]
async fn interfaces_maps_and_the_developers_page_name_what_is_open() {
    let house = House::new().await;
    open_set(&house, "plain", "330000").await;
    let mut placed = testkit::draft("placed");
    placed.items.push(Item::new("wz", "位置", DataType::Geometry));
    house.publish(placed).await;
    house.publish(testkit::person_draft("closed")).await;
    let mut nobody = Browser::new(&house);
    let apis = nobody.get("/apis").await.text();
    assert!(apis.contains("http://gate.test/api/v1/plain") && !apis.contains("closed"), "{apis}");
    assert!(nobody.get("/apis?q=nothingatall").await.text().contains("id=\"nothing\""));
    let maps = nobody.get("/maps").await.text();
    assert!(
        maps.contains("value=\"placed\" checked") && !maps.contains("value=\"plain\""),
        "{maps}"
    );
    assert!(maps.contains("data-source=\"/data/placed/map.geojson\""), "{maps}");
    assert_eq!(nobody.get("/maps?layer=closed").await.status, StatusCode::NOT_FOUND);
    let developer = nobody.get("/developer").await.text();
    assert!(developer.contains("/login?next=/console/applications"), "{developer}");
    assert!(developer.contains("http://gate.test/openapi.json"), "{developer}");
    assert!(developer.contains("id=\"mcp-address\">http://gate.test/mcp<"), "{developer}");
    let log =
        developer.split("id=\"change-log\"").nth(1).unwrap().split("</section>").next().unwrap();
    assert!(log.contains("/data/plain/api") && log.contains("/data/placed/api"), "{log}");
    assert!(!log.contains("closed"), "{log}");
    let known = Browser::of(&house, "consumer").await.get("/developer").await.text();
    assert!(known.contains("id=\"own\""), "{known}");
    let mut reader = Browser::new(&house);
    for path in ["/developer?lang=en", "/apis?lang=en", "/changes.atom?lang=en"] {
        let text = reader.get(path).await.text();
        assert!(text.contains("Test data set plain"), "{path}: {text}");
        assert!(!text.contains("测试数据集 plain"), "{path}: {text}");
    }
}

#[tokio::test]
async fn a_city_lists_its_own_alone_and_some_of_the_words_are_better_than_none() {
    let house = House::new().await;
    open_set(&house, "pond", "330106").await;
    open_set(&house, "quay", "330200").await;
    let mut nobody = Browser::new(&house);
    for list in ["/data", "/apis"] {
        let text = nobody.get(&format!("{list}?region=330100")).await.text();
        assert!(text.contains("href=\"/data/pond?region=330100\""), "{list}: {text}");
        assert!(!text.contains("/data/quay"), "{list}: {text}");
    }
    for path in ["/data?q=pond+quay", "/apis?q=pond+quay"] {
        let some = nobody.get(path).await.text();
        assert!(some.contains("id=\"partial\""), "{path}: {some}");
        assert!(some.contains("/data/pond") && some.contains("/data/quay"), "{path}: {some}");
        assert!(some.contains("没有同时包含全部词的结果，以下包含部分词"), "{path}: {some}");
    }
    let whole = nobody.get("/search?q=pond+quay").await.text();
    assert!(whole.contains("id=\"partial-data\""), "{whole}");
    for path in ["/data?q=pond", "/data?q=whale+penguin"] {
        let text = nobody.get(path).await.text();
        assert!(!text.contains("id=\"partial\""), "{path}: {text}");
    }
}

#[tokio::test]
async fn sets_are_found_by_an_area() {
    let house = House::new().await;
    let mut places = testkit::draft("lakes");
    for (name, zh) in [("lng", "经度"), ("lat", "纬度")] {
        places.items.push(Item::new(name, zh, DataType::Float));
    }
    house.publish(places).await;
    let rows = "id,name,amount,day,lng,lat\n1,a,1.50,2026-01-01,120.14,30.24\n2,b,2.25,2026-01-02,121.66,29.76\n";
    house.collect("lakes", "p.csv", rows.as_bytes(), SyncMode::Full).await.unwrap();
    let mut shapes = testkit::draft("shores");
    shapes.items.push(Item::new("geom", "范围", DataType::Geometry));
    house.publish(shapes).await;
    let rows = "id,name,amount,day,geom\n1,a,1.5,2026-01-01,\"POLYGON((120.1 30.2,120.2 30.2,120.2 30.3,120.1 30.2))\"\n";
    house.collect("shores", "s.csv", rows.as_bytes(), SyncMode::Full).await.unwrap();
    let mut nobody = Browser::new(&house);
    let plain = nobody.get("/maps").await.text();
    assert!(plain.contains("id=\"area-form\"") && !plain.contains("id=\"within\""), "{plain}");
    let found = nobody.get("/maps?bbox=120,30,121,31").await.text();
    let list = found.split("id=\"within-list\"").nth(1).unwrap().split("</table>").next().unwrap();
    assert!(list.contains("/data/lakes") && list.contains("/data/shores"), "{list}");
    // The tiles that large layers are drawn by.
    let tile = nobody.get("/data/lakes/tiles/5/13/26").await;
    assert_eq!(tile.status, StatusCode::OK);
    let mark = tile.headers.get("etag").unwrap().to_str().unwrap().to_owned();
    let again = nobody.get_with("/data/lakes/tiles/5/13/26", "if-none-match", &mark).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    assert_eq!(nobody.get("/data/lakes/tiles/5/0/0").await.status, StatusCode::NO_CONTENT);
    for path in ["/data/lakes/tiles/5/99/0", "/data/nothing/tiles/5/13/26"] {
        assert_eq!(nobody.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    // A set that is measured is found whatever page of the list it stands on; with words those they find.
    let system = model::Op::system(house.app.now());
    app::opening::measure(&house.app, &system).await.unwrap();
    let beyond = nobody.get("/maps?bbox=120,30,121,31&page=7").await.text();
    let list = beyond.split("id=\"within-list\"").nth(1).unwrap().split("</table>").next().unwrap();
    assert!(list.contains("/data/lakes") && list.contains("/data/shores"), "{list}");
    assert!(!beyond.contains("id=\"uncounted\""), "{beyond}");
    let none = nobody.get("/maps?bbox=120,30,121,31&q=nothingatall").await.text();
    assert!(none.contains("id=\"nothing-within\""), "{none}");
    let east = nobody.get("/maps?west=121&south=29&east=122&north=30").await.text();
    let list = east.split("id=\"within-list\"").nth(1).unwrap().split("</table>").next().unwrap();
    assert!(list.contains("/data/lakes") && !list.contains("/data/shores"), "{list}");
    assert!(east.contains("value=\"121"), "what was asked stays in the form");
    assert!(nobody.get("/maps?bbox=0,0,1,1").await.text().contains("id=\"nothing-within\""));
    for wrong in
        ["bbox=1,2,3", "bbox=a,b,c,d", "bbox=0,5,1,4", "bbox=0,0,200,1", "west=1", "bbox=NaN,0,1,1"]
    {
        assert_eq!(
            nobody.get(&format!("/maps?{wrong}")).await.status,
            StatusCode::BAD_REQUEST,
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn city_sites_differ_and_agree_with_the_province() {
    let house = House::new().await;
    for (code, region) in
        [("sheng", "330000"), ("hang", "330100"), ("xihu", "330106"), ("ning", "330200")]
    {
        open_set(&house, code, region).await;
    }
    let mut nobody = Browser::new(&house);
    let figure = |text: &str| -> u64 {
        let rest = text.split("id=\"figure-datasets\">").nth(1).unwrap();
        rest.split('<').next().unwrap().parse().unwrap()
    };
    let home = nobody.get("/").await.text();
    let whole = figure(&home);
    assert_eq!(home.matches("href=\"/city/").count(), 11, "{home}");
    let (mut sum, mut faces) = (0, std::collections::BTreeSet::new());
    for city in &house.app.rules.site.city {
        let page = nobody.get(&format!("/city/{}", city.slug)).await;
        assert_eq!(page.status, StatusCode::OK, "{}", city.slug);
        let text = page.text();
        assert!(text.contains(&format!("id=\"city-name\">{}", city.name_zh)), "{text}");
        sum += figure(&text);
        let colours = nobody.get(&format!("/city/{}/colours.css", city.slug)).await;
        assert!(colours.content_type.starts_with("text/css"));
        faces.insert(colours.text());
    }
    assert_eq!((sum + 1, faces.len()), (whole, 11), "the province has one set of its own");
    let hangzhou = nobody.get("/city/330100").await.text();
    assert!(hangzhou.contains("/data/hang") && hangzhou.contains("/data/xihu"), "{hangzhou}");
    assert!(!hangzhou.contains("/data/ning") && !hangzhou.contains("/data/sheng"), "{hangzhou}");
    let feed = nobody.get("/city/hangzhou/feed.atom").await.text();
    assert!(feed.contains("/data/xihu") && !feed.contains("/data/ning"), "{feed}");
    assert!(feed.contains("<id>http://site.test/city/hangzhou/feed.atom</id>"), "{feed}");
    assert_eq!(nobody.get("/city/atlantis").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_open_index_opens_the_sets_that_fail() {
    let house = House::new().await;
    open_set(&house, "daily", "330100").await;
    let mut nobody = Browser::new(&house);
    let index = nobody.get("/index").await.text();
    assert!(index.contains("id=\"rules\"") && index.contains("405"), "{index}");
    assert!(
        index.contains("defect=low_capacity&city=330100")
            || index.contains("defect=low_capacity&amp;city=330100"),
        "{index}"
    );
    assert!(!index.contains("defect=late"), "{index}");
    house.clock.forward(TimeDelta::days(10));
    let index = nobody.get("/index").await.text();
    assert!(index.contains("defect=late"), "{index}");
    let failing = nobody.get("/index/failing?defect=late&city=330100").await.text();
    assert!(failing.contains("href=\"/data/daily?region=330100\""), "{failing}");
    let none = nobody.get("/index/failing?defect=late&city=330200").await.text();
    assert!(none.contains("id=\"nothing\""), "{none}");
    assert_eq!(nobody.get("/index/failing?defect=ugly").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_place_is_found_by_its_name_and_shown() {
    let house = House::new().await;
    let mut stations = testkit::draft("stations");
    stations.region = "330100".into();
    stations.items.push(Item::new("adcode", "区划代码", DataType::Text));
    for (name, zh) in [("lng", "经度"), ("lat", "纬度")] {
        stations.items.push(Item::new(name, zh, DataType::Float));
    }
    house.publish(stations).await;
    let rows = "id,name,amount,day,adcode,lng,lat\n1,西溪站,1.5,2026-01-01,330110,120.05,30.25\n\
                2,临平<b>站,2.5,2026-01-02,330113,120.30,30.42\n3,湖滨站,1,2026-01-03,330110,120.01,30.30\n";
    house.collect("stations", "s.csv", rows.as_bytes(), SyncMode::Full).await.unwrap();
    // Of what is not open nothing is told, whoever measures it.
    let mut closed = testkit::person_draft("closed");
    let mut shape = closed.items[1].clone();
    (shape.identifier, shape.name_cn) = ("wz".into(), "位置".into());
    shape.data_type = DataType::Geometry;
    closed.items.push(shape);
    house.publish(closed).await;
    let mut nobody = Browser::new(&house);
    let place = |name: &str| format!("/maps?place={}", encode(name));
    let before = nobody.get(&place("余杭")).await.text();
    assert!(
        before.contains("id=\"places\"") && before.contains("还没有开放数据说明它的位置"),
        "{before}"
    );
    assert!(!before.contains("data-area"), "{before}");
    let system = model::Op::system(house.app.now());
    let placed = async || app::opening::measure(&house.app, &system).await.unwrap().placed;
    assert_eq!(placed().await, 1);
    assert_eq!(placed().await, 0, "once");

    // A region of the division table: the map goes to its data, and the sets that have features there are told.
    let page = nobody.get(&place("余杭")).await.text();
    assert!(page.contains("data-area=\"120.01,30.25,120.05,30.3\""), "{page}");
    let list = page.split("id=\"within-list\"").nth(1).unwrap().split("</table>").next().unwrap();
    assert!(list.contains("/data/stations") && list.contains("<td class=\"n\">2</td>"), "{list}");
    assert!(page.contains("不是行政界线") && page.contains("/maps?bbox=120.01000,"), "{page}");
    // The city's box holds those of its counties.
    let city = nobody.get(&place("330100")).await.text();
    assert!(city.contains("data-area=\"120.01,30.25,120.3,30.42\""), "{city}");
    // A feature of an open set, told harmlessly; a point is shown with a little around it.
    let station = nobody.get(&place("临平")).await.text();
    assert!(station.contains("临平&lt;b&gt;站") && !station.contains("临平<b>"), "{station}");
    assert!(station.contains("/maps?bbox=120.29500,30.41500,120.30500,30.42500"), "{station}");
    let at = nobody.get("/maps?bbox=120.29500,30.41500,120.30500,30.42500&place=x").await.text();
    assert!(at.contains("data-area=\"120.295,30.415,120.305,30.425\""), "{at}");
    let list = at.split("id=\"within-list\"").nth(1).unwrap().split("</table>").next().unwrap();
    assert!(list.contains("<td class=\"n\">1</td>"), "{list}");
    assert!(nobody.get(&place("亚特兰蒂斯")).await.text().contains("id=\"no-place\""));
    assert!(nobody.get("/maps?place=%25").await.status == StatusCode::BAD_REQUEST);

    // What the map is drawn on says that it is no boundary.
    let ground = nobody.get("/maps/regions.geojson").await;
    assert_eq!(ground.content_type, "application/geo+json");
    let told: serde_json::Value = serde_json::from_slice(&ground.bytes).unwrap();
    assert!(told["description"].as_str().unwrap().contains("不是行政区域界线"));
    let of = |code: &str| {
        let all = told["features"].as_array().unwrap();
        all.iter().find(|f| f["id"] == code).unwrap_or_else(|| panic!("{code} {told}")).clone()
    };
    assert_eq!(of("330113")["bbox"], serde_json::json!([120.3, 30.42, 120.3, 30.42]));
    assert_eq!(of("330000")["properties"]["features"], 3);
    assert_eq!(of("330110")["properties"]["taken_from"], "open_data");
    assert!(!told.to_string().contains("330200"), "a region without data is nowhere");

    // An open set of outlines takes their place.
    let mut outlines = testkit::draft("zj_boundary_district");
    outlines.items.push(Item::new("gb", "国标代码", DataType::Text));
    outlines.items.push(Item::new("geometry", "空间轮廓", DataType::Geometry));
    house.publish(outlines).await;
    let rows = "id,name,amount,day,gb,geometry\n1,余杭区,1,2026-01-01,156330110,\"POLYGON((119.7 30.1,120.2 30.1,120.2 30.6,119.7 30.1))\"\n";
    house.collect("zj_boundary_district", "b.csv", rows.as_bytes(), SyncMode::Full).await.unwrap();
    assert_eq!(placed().await, 1);
    let page = nobody.get(&place("余杭")).await.text();
    assert!(page.contains("data-area=\"119.7,30.1,120.2,30.6\""), "{page}");
    assert!(page.contains("data-ground=\"/data/zj_boundary_district/map.geojson\""), "{page}");
    assert!(page.contains("不是权威界线"), "{page}");
    // Taken away, they are told no more, and the boxes are there again.
    let provider = house.person("provider").await;
    let authority = house.person("authority").await;
    let entry = app::catalogue::get(&house.app, &provider, "zj_boundary_district").await.unwrap();
    let offline = app::catalogue::Move::TakeOffline;
    app::catalogue::step(&house.app, &provider, &entry.id, offline, "停用").await.unwrap();
    let approve = app::catalogue::Move::Approve;
    app::catalogue::step(&house.app, &authority, &entry.id, approve, "").await.unwrap();
    let page = nobody.get(&place("余杭")).await.text();
    assert!(page.contains("data-area=\"120.01,30.25,120.05,30.3\""), "{page}");
    assert!(page.contains("data-ground=\"/maps/regions.geojson\""), "{page}");
}

//! Script in what people write and bring: titles, descriptions, cells, names of files and files themselves come out as words, wherever they
//! are shown.

use model::code::SyncMode;
use testkit::House;

use super::doors::{Answer, Doors, encode};

const SCRIPT: &str = "<script>alert(1)</script>";
const TITLE: &str = "湖泊</script><script>alert(1)</script>\"><img src=x onerror=alert(2)>";
const TEXT: &str = "[说明](javascript:alert(3)) <svg onload=alert(4)> ]]> --> 的说明";

async fn house() -> Doors {
    let house = House::new().await;
    let mut draft = testkit::draft("hupo");
    draft.title = TITLE.into();
    draft.title_en = TITLE.into();
    draft.description = TEXT.into();
    draft.tags = vec![SCRIPT.into()];
    draft.source_system = SCRIPT.into();
    // An item's name must hold Chinese.
    draft.items[1].name_cn = format!("名称{SCRIPT}");
    draft.items[1].definition = TEXT.into();
    house.publish(draft).await;
    let rows = format!("id,name,amount,day\n1,{SCRIPT},1.50,2026-01-01\n2,<b>,2,2026-01-02\n");
    house.collect("hupo", "h.csv", rows.as_bytes(), SyncMode::Full).await.unwrap();
    Doors::of(house)
}

/// An answer that a browser may show as a document holds none of it as markup, and nothing is guessed to be another kind.
fn harmless(path: &str, answer: &Answer) {
    let text = answer.text();
    assert_eq!(answer.status, 200, "{path}: {text}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
    let kind = answer.header("content-type");
    let document = kind.contains("html") || kind.contains("xml");
    if document {
        for markup in ["<script>alert", "<img src=x", "<svg onload", "href=\"javascript:"] {
            assert!(!text.contains(markup), "{path} ({kind}) holds {markup}: {text}");
        }
    }
    // The document is whole: nothing in it has ended an element early.
    if kind.contains("rdf+xml") {
        for triple in oxrdfxml::RdfXmlParser::new().for_slice(&answer.bytes) {
            assert!(triple.is_ok(), "{path}: {triple:?}");
        }
    }
}

/// A provider puts script into everything it declares and into its rows; a citizen looks at every page and file that shows it.
#[tokio::test]
async fn declared_script_is_shown_as_words() {
    let doors = house().await;
    let search = format!("/data?q={}", encode("湖泊"));
    let asked = format!("/search?q={}", encode(SCRIPT));
    for who in ["", "citizen"] {
        let mut visitor = match who {
            "" => doors.visitor(),
            who => doors.person(who).await,
        };
        for path in [
            "/",
            "/data",
            search.as_str(),
            asked.as_str(),
            "/data/hupo",
            "/data/hupo?lang=en",
            "/data/hupo/api",
            "/data/hupo/chart?kind=bar&x=name&how=count",
            "/data/hupo/versions",
            "/data/hupo/download.xml",
            "/data/hupo/download.rdf",
            "/data/hupo/download.json",
            "/data/hupo/download.csv",
            "/data/hupo/metadata.json",
            "/data/hupo/metadata.rdf",
            "/data/hupo/metadata.jsonld",
            "/catalogue.rdf",
            "/feed.atom",
            "/changes.atom",
            "/sitemap.xml",
            "/suggest?q=hupo",
            "/apis",
            "/showcase/new?code=hupo",
            "/interact/new?kind=error&code=hupo",
        ] {
            harmless(path, &visitor.get(path).await);
        }
    }
    let mut provider = doors.person("provider").await;
    let id = doors.house.app.store.entry_get("hupo").await.unwrap().unwrap().id;
    for path in ["/console", "/console/search?q=hupo", &format!("/console/entries/{id}")] {
        harmless(path, &provider.get(path).await);
    }
    for path in [
        "/oai?verb=ListRecords&metadataPrefix=oai_dc",
        "/oai?verb=ListRecords&metadataPrefix=dcat",
        "/catalog.rdf",
        "/catalog.jsonld",
        "/dataset/hupo",
        "/dataset/hupo/croissant.jsonld",
        "/data.json",
        "/api/3/action/package_show?id=hupo",
        "/ledger/v1/changes",
        "/api/v1/hupo",
    ] {
        harmless(path, &doors.fetch(path).await);
    }
}

/// The block of data for search engines within a page ends where it should, and says the title as it is.
#[tokio::test]
async fn data_within_a_page_do_not_break_out_of_it() {
    let doors = house().await;
    let page = doors.visitor().get("/data/hupo").await.text();
    let (_, rest) = page.split_once("<script type=\"application/ld+json\">").unwrap();
    let (block, _) = rest.split_once("</script>").unwrap();
    let told: serde_json::Value = serde_json::from_str(block).unwrap();
    assert!(told.to_string().contains("</script><script>alert(1)"), "{told}");
    assert!(!block.contains('<'), "{block}");
}

/// Names of files: no header can be added by them, and none leads out of its folder.
#[tokio::test]
async fn names_of_files_stay_names() {
    let doors = house().await;
    for path in ["/data/hupo/download.csv", "/data/hupo/download.xlsx", "/data/hupo/metadata.json"]
    {
        let file = doors.visitor().get(path).await;
        let told = file.header("content-disposition");
        assert!(told.starts_with("attachment; filename=\""), "{path}: {told}");
        let plain = told.split('"').nth(1).unwrap();
        assert!(
            plain.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)),
            "{path}: {told}"
        );
        assert!(file.header("set-cookie").is_empty() || !told.contains('\n'), "{path}");
    }
    let mut consumer = doors.person("consumer").await;
    for name in ["../../evil.pdf", "..\\\\evil.pdf", "a%0d%0aSet-Cookie: x=1.pdf", "<b>.pdf"] {
        let page = consumer.upload("/console/basket/files", &[], name, b"%PDF-1.7 x").await;
        assert_eq!(page.status, 303, "{name}: {}", page.text());
    }
    let basket = consumer.get("/console/basket").await;
    assert!(!basket.text().contains("<b>.pdf"), "{}", basket.text());
    let op = doors.house.person("consumer").await;
    for file in app::basket::files(&doors.house.app, &op).await.unwrap() {
        assert!(!file.name.contains(['/', '\\', '\r', '\n']), "{}", file.name);
        let answer = consumer.get(&format!("/console/files/{}", file.id)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.header("content-disposition").starts_with("attachment;"));
    }
    let inbox = doors.house.folder().join("inbox");
    for outside in [inbox.join("evil.pdf"), doors.house.folder().join("evil.pdf")] {
        assert!(!outside.exists(), "{}", outside.display());
    }
}

/// Uploads that would run in a browser: drawings and pages are not taken, by whatever name; what is taken is never shown as a page.
#[tokio::test]
async fn uploads_that_would_run_are_not_taken() {
    let doors = house().await;
    let mut consumer = doors.person("consumer").await;
    let drawing = b"<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>".as_slice();
    let page = b"<!doctype html><script>alert(1)</script>".as_slice();
    for (name, bytes) in [
        ("evil.svg", drawing),
        ("evil.html", page),
        ("evil.xhtml", page),
        ("evil.pdf", page),
        ("evil.png", drawing),
        ("evil.pdf.html", page),
        ("evil", page),
    ] {
        let answer = consumer.upload("/console/basket/files", &[], name, bytes).await;
        assert_eq!(answer.status, 400, "{name}: {}", answer.text());
    }
    // One that is a PDF at its beginning is kept, and given out as a file to keep.
    let both = [b"%PDF-1.7\n".as_slice(), page].concat();
    assert_eq!(consumer.upload("/console/basket/files", &[], "a.pdf", &both).await.status, 303);
    let op = doors.house.person("consumer").await;
    let kept = app::basket::files(&doors.house.app, &op).await.unwrap();
    assert_eq!(kept.len(), 1);
    let answer = consumer.get(&format!("/console/files/{}", kept[0].id)).await;
    assert_eq!(answer.header("content-type"), "application/pdf");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert!(answer.header("content-disposition").starts_with("attachment;"));
    assert!(answer.header("content-security-policy").contains("default-src 'none'"));
    // Links that people bring lead to the web or nowhere.
    let mut citizen = doors.person("citizen").await;
    for link in
        ["javascript:alert(1)", "data:text/html,x", "JaVaScRiPt:alert(1)", "//x", "file:///x"]
    {
        let form = [
            ("kind", "app"),
            ("title", "地图应用"),
            ("text", "用数据画出来的一张地图"),
            ("author", "某人"),
            ("links", link),
            ("entries", "hupo"),
        ];
        let answer = citizen.post("/showcase/new", &form).await;
        assert_eq!(answer.status, 400, "{link}: {}", answer.text());
    }
}

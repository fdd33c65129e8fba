//! Whole ledgers handed out: only what the caller may know of is in them, parsers read them back, and records tell.

use std::collections::BTreeSet;

use app::ledger::dump::{self, Format, Places, RdfFormat, Whole};
use calamine::Reader as _;
use futures::TryStreamExt as _;
use model::asset::{AssetDraft, Ledger};
use model::audit::AuditFilter;
use model::{Code, Op, Result};
use testkit::{CONSUMER_ORG, House, PROVIDER_ORG};

const TURTLE: Format = Format::Rdf(RdfFormat::Turtle);

async fn handed(house: &House, op: &Op, ledger: Ledger, format: Format) -> Result<Vec<u8>> {
    let places = Places {
        whole: Whole {
            base: "https://site.test/".into(),
            title: "台账".into(),
            title_en: "Ledger".into(),
        },
        data: "https://site.test/data/".into(),
        api: "https://api.test/api/v1/".into(),
        console: "https://site.test".into(),
        items: true,
    };
    let dump = dump::dump(&house.app, op, ledger, format, &places).await?;
    let pieces: Vec<bytes::Bytes> = dump.bytes.try_collect().await?;
    Ok(pieces.concat())
}

/// Identifiers of the data sets in a Turtle file.
fn identifiers(bytes: &[u8]) -> BTreeSet<String> {
    let all: Vec<oxrdf::Triple> =
        oxttl::TurtleParser::new().for_slice(bytes).collect::<std::result::Result<_, _>>().unwrap();
    let of: BTreeSet<String> = all
        .iter()
        .filter(|t| t.object.to_string() == "<http://www.w3.org/ns/dcat#Dataset>")
        .map(|t| t.subject.to_string())
        .collect();
    all.iter()
        .filter(|t| {
            t.predicate.as_str() == "http://purl.org/dc/terms/identifier"
                && of.contains(&t.subject.to_string())
        })
        .map(|t| t.object.to_string().trim_matches('"').to_owned())
        .collect()
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|w| (*w).to_owned()).collect()
}

async fn furnish(house: &House) {
    house.publish(testkit::draft("open_set")).await;
    house.publish(testkit::person_draft("shared_set")).await;
    let mut none = testkit::person_draft("secret_set");
    none.share_type = model::code::ShareType::None;
    for item in &mut none.items {
        item.share_type = model::code::ShareType::None;
        item.share_basis = "依据".into();
    }
    house.publish(none).await;
    let provider = house.person("provider").await;
    app::catalogue::create(&house.app, &provider, testkit::draft("draft_set")).await.unwrap();
}

async fn the_data_ledger_within_permission(house: House) {
    furnish(&house).await;
    let provider = house.person("provider").await;
    let (application, _) = house.application("便民").await;
    let everything = set(&["open_set", "shared_set", "secret_set", "draft_set"]);
    for (op, want) in [
        (house.nobody(), set(&["open_set"])),
        (application, set(&["open_set", "shared_set"])),
        (house.person("authority").await, everything.clone()),
        (provider.clone(), everything),
        (house.person("stranger").await, set(&["open_set", "shared_set", "secret_set"])),
    ] {
        let turtle = handed(&house, &op, Ledger::Data, TURTLE).await.unwrap();
        assert_eq!(identifiers(&turtle), want, "{:?}", op.actor);
    }
    for name in ["consumer", "citizen", "enterprise", "auditor"] {
        let op = house.person(name).await;
        assert_eq!(
            handed(&house, &op, Ledger::Data, TURTLE).await.unwrap_err().code(),
            Code::Denied,
            "{name}"
        );
    }
    // The public is told nothing of how departments share.
    let text =
        String::from_utf8(handed(&house, &house.nobody(), Ledger::Data, TURTLE).await.unwrap())
            .unwrap();
    assert!(
        !text.contains("shared_set") && text.contains("https://api.test/api/v1/open_set"),
        "{text}"
    );

    // The other spellings hold as many triples.
    let count = oxttl::TurtleParser::new().for_slice(text.as_bytes()).count();
    let json = handed(&house, &house.nobody(), Ledger::Data, Format::Rdf(RdfFormat::JsonLd))
        .await
        .unwrap();
    let read = oxjsonld::JsonLdParser::new().for_slice(&json).collect::<Vec<_>>();
    assert!(read.iter().all(std::result::Result::is_ok) && read.len() == count, "{read:?}");
    let xml = handed(&house, &house.nobody(), Ledger::Data, Format::Rdf(RdfFormat::RdfXml))
        .await
        .unwrap();
    let read = oxrdfxml::RdfXmlParser::new().for_slice(&xml).collect::<Vec<_>>();
    assert!(read.iter().all(std::result::Result::is_ok) && read.len() == count, "{read:?}");

    let book = handed(&house, &provider, Ledger::Data, Format::Xlsx).await.unwrap();
    let mut book: calamine::Xlsx<_> =
        calamine::open_workbook_from_rs(std::io::Cursor::new(book)).unwrap();
    assert_eq!(book.sheet_names(), ["目录", "数据项", "说明"]);
    let entries = book.worksheet_range("目录").unwrap();
    let items = book.worksheet_range("数据项").unwrap();
    assert_eq!((entries.height(), items.height()), (1 + 4, 1 + 4 + 5 + 5 + 4));
    let first: Vec<String> = items.rows().nth(1).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!((first[0].as_str(), first[2].as_str()), ("draft_set", "id"));

    // Before the first byte and after the last there is a record.
    let auditor = house.person("auditor").await;
    let filter = AuditFilter { object: Some("data".into()), limit: 50, ..AuditFilter::default() };
    let records = app::audit::list(&house.app, &auditor, &filter).await.unwrap();
    let ended = records.iter().find(|r| r.event.action == "entry.export.end").unwrap();
    assert_eq!((ended.event.rows, ended.event.result.as_str()), (4, "ok"));
    assert!(
        records.iter().any(|r| r.event.action == "entry.export" && r.event.scope == "format=xlsx")
    );
}

async fn the_other_ledgers_within_permission(house: House) {
    let app = &house.app;
    let authority = house.person("authority").await;
    for (code, org) in [("C-1", PROVIDER_ORG), ("C-2", CONSUMER_ORG)] {
        let draft = AssetDraft {
            ledger: Ledger::Cloud,
            code: code.into(),
            name: format!("云主机 <{code}>"),
            org: org.into(),
            region: "330000".into(),
            owner: "张三".into(),
            description: "用于测试的云资源。".into(),
            fields: [("kind", "数据库"), ("zone", "政务外网区"), ("expiry", "2027-01-31")]
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .into(),
        };
        app::ledger::create(app, &authority, draft, true).await.unwrap();
    }
    let xml =
        handed(&house, &authority, Ledger::Cloud, Format::Rdf(RdfFormat::RdfXml)).await.unwrap();
    let triples: Vec<String> =
        oxrdfxml::RdfXmlParser::new().for_slice(&xml).map(|t| t.unwrap().to_string()).collect();
    let all = triples.join("\n");
    assert!(all.contains("\"云主机 <C-1>\"@zh") && all.contains("C-2"), "{all}");
    assert!(all.contains("<https://site.test/def#kind> \"数据库\""), "{all}");
    // An application is handed its own organisation's, nobody and a citizen nothing.
    let (application, _) = house.application("便民").await;
    let own = String::from_utf8(handed(&house, &application, Ledger::Cloud, TURTLE).await.unwrap())
        .unwrap();
    assert!(own.contains("C-2") && !own.contains("C-1"), "{own}");
    for op in [house.nobody(), house.person("citizen").await] {
        assert_eq!(
            handed(&house, &op, Ledger::Cloud, TURTLE).await.unwrap_err().code(),
            Code::Denied
        );
    }
    let book = handed(&house, &authority, Ledger::Cloud, Format::Xlsx).await.unwrap();
    let mut book: calamine::Xlsx<_> =
        calamine::open_workbook_from_rs(std::io::Cursor::new(book)).unwrap();
    assert_eq!(book.worksheet_range("台账").unwrap().height(), 3);
}

crate::on_both!(the_data_ledger_within_permission, the_other_ledgers_within_permission);

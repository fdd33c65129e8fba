//! The three spellings say the same, whatever texts hold; the format that is asked for is found.

use std::collections::BTreeSet;

use model::code::{DataType, ShareType, UpdateCycle};
use oxjsonld::JsonLdParser;
use oxrdfxml::RdfXmlParser;
use oxttl::TurtleParser;

use super::*;

fn thing(text: &str) -> Thing {
    Thing {
        source: String::new(),
        creator: "来源 <b>".into(),
        class: Class::Dataset,
        iri: "https://site.test/data/parking".into(),
        identifier: "parking".into(),
        title: text.into(),
        title_en: "Parking".into(),
        description: format!("{text}\n二行"),
        keywords: vec!["停车".into(), text.into()],
        theme: Some(("14".into(), "交通运输".into())),
        issued: "2026-03-02T01:00:00.000Z".into(),
        modified: String::new(),
        rights: "许可 <b>".into(),
        access: Some(ShareType::Restricted),
        cycle: Some(UpdateCycle::HalfYearly),
        region: ("330100".into(), "杭州市".into()),
        publisher: ("o 1/空".into(), "某局".into(), "Bureau".into()),
        page: "https://site.test/data/parking".into(),
        version: "3".into(),
        distributions: vec![Distribution {
            word: "csv".into(),
            url: "https://site.test/data/parking/download.csv".into(),
            media_type: "text/csv".into(),
            bytes: Some(2_048),
            download: true,
            ..Distribution::default()
        }],
        columns: vec![Column {
            identifier: "id".into(),
            name: "编号".into(),
            name_en: String::new(),
            definition: text.into(),
            data_type: DataType::Integer,
            required: true,
        }],
        fields: vec![("kind".into(), "云服务器".into())],
    }
}

fn spelt(format: RdfFormat, things: &[Thing]) -> Vec<u8> {
    let whole = Whole {
        base: "https://site.test/".into(),
        title: "目录 \"甲\"".into(),
        title_en: "Catalogue".into(),
    };
    let mut dcat = Dcat::new(format, whole).unwrap();
    let mut bytes = dcat.take();
    for thing in things {
        dcat.thing(thing).unwrap();
        bytes.extend(dcat.take());
    }
    bytes.extend(dcat.finish().unwrap());
    bytes
}

/// Triples as a parser of that spelling reads them.
fn read(format: RdfFormat, bytes: &[u8]) -> BTreeSet<String> {
    match format {
        RdfFormat::Turtle => {
            TurtleParser::new().for_slice(bytes).map(|t| t.unwrap().to_string()).collect()
        }
        RdfFormat::RdfXml => {
            RdfXmlParser::new().for_slice(bytes).map(|t| t.unwrap().to_string()).collect()
        }
        RdfFormat::JsonLd => JsonLdParser::new()
            .for_slice(bytes)
            .map(|q| oxrdf::Triple::from(q.unwrap()).to_string())
            .collect(),
    }
}

#[test]
fn the_three_spellings_say_the_same() {
    let nasty = "停车场 <b> & \"引\" 'x' \\ \u{1}\u{fffe} ]]> 末";
    let mut other = thing("另一个");
    other.iri = "https://site.test/data/other".into();
    let things = [thing(nasty), other];
    let turtle = read(RdfFormat::Turtle, &spelt(RdfFormat::Turtle, &things));
    assert!(turtle.len() > 60, "{}", turtle.len());
    for format in [RdfFormat::JsonLd, RdfFormat::RdfXml] {
        assert_eq!(read(format, &spelt(format, &things)), turtle, "{format:?}");
    }
    let all = turtle.iter().cloned().collect::<Vec<_>>().join("\n");
    for said in [
        "<https://site.test/> <http://www.w3.org/ns/dcat#dataset> <https://site.test/data/other>",
        "<http://purl.org/dc/terms/accrualPeriodicity> <http://publications.europa.eu/resource/authority/frequency/ANNUAL_2>",
        "<http://publications.europa.eu/resource/authority/access-right/RESTRICTED>",
        "<https://site.test/org/o%201%2F%E7%A9%BA> <http://xmlns.com/foaf/0.1/name> \"某局\"@zh",
        "<http://www.w3.org/ns/dcat#downloadURL> <https://site.test/data/parking/download.csv>",
        "<http://www.w3.org/ns/csvw#required> \"true\"^^<http://www.w3.org/2001/XMLSchema#boolean>",
        "<https://site.test/#publisher> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <http://xmlns.com/foaf/0.1/Agent>",
        "<https://site.test/> <http://purl.org/dc/terms/publisher> <https://site.test/#publisher>",
        "<http://purl.org/dc/terms/format> <http://publications.europa.eu/resource/authority/file-type/CSV>",
        "<http://www.w3.org/ns/dcat#mediaType> <https://www.iana.org/assignments/media-types/text/csv>",
        "<https://www.iana.org/assignments/media-types/text/csv> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> \
         <http://purl.org/dc/terms/MediaType>",
        "frequency/ANNUAL_2> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <http://purl.org/dc/terms/Frequency>",
        "<http://purl.org/dc/terms/creator> <https://site.test/data/parking#creator>",
        "<http://www.w3.org/ns/dcat#byteSize> \"2048\"^^<http://www.w3.org/2001/XMLSchema#nonNegativeInteger>",
        "\"2026-03-02T01:00:00.000Z\"^^<http://www.w3.org/2001/XMLSchema#dateTime>",
    ] {
        assert!(all.contains(said), "{said}\n{all}");
    }
}

#[test]
fn an_address_that_is_no_iri_is_refused() {
    let whole = Whole { base: "no iri".into(), title: String::new(), title_en: String::new() };
    let e = Dcat::new(RdfFormat::Turtle, whole).unwrap_err();
    assert!(e.zh().contains("no iri"), "{}", e.zh());
}

#[test]
fn the_format_is_the_parameters_or_what_accept_weighs_most() {
    let chosen = |parameter, accept| {
        Format::chosen(parameter, accept).map(Format::ending).map_err(|e| e.code())
    };
    assert_eq!(chosen(None, None), Ok("ttl"));
    assert_eq!(chosen(None, Some("*/*")), Ok("ttl"));
    assert_eq!(chosen(Some("rdf"), Some("text/turtle")), Ok("rdf"));
    assert_eq!(
        chosen(None, Some("text/html, application/ld+json;q=0.5, application/rdf+xml;q=0.7")),
        Ok("rdf")
    );
    assert_eq!(
        chosen(None, Some("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")),
        Ok("xlsx")
    );
    assert_eq!(chosen(None, Some("text/turtle;q=0, application/*")), Ok("jsonld"));
    assert_eq!(chosen(None, Some("image/png")), Err(Code::NotAcceptable));
    assert_eq!(chosen(Some("pdf"), None), Err(Code::UnsupportedFormat));
}

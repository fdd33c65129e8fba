//! DCAT in Turtle, JSON-LD and RDF/XML. A catalogue by pages (Hydra, <http://www.w3.org/ns/hydra/core#>) is followed by its `next`
//! within its own host; a page's position is its address.

use std::collections::HashMap;

use model::harvest::{Distribution, Record};
use model::{Error, Result};
use oxjsonld::JsonLdParser;
use oxrdf::{NamedNode, Term};
use oxrdfxml::RdfXmlParser;
use oxttl::TurtleParser;
use policy::port::{HarvestAsk, HarvestPage};
use reqwest::Url;

use super::fetch::{Answer, Fetcher, address};
use super::{link, malformed, nameless};

const ACCEPT: &str = "text/turtle, application/ld+json;q=0.9, application/rdf+xml;q=0.8";
const DCAT: &str = "http://www.w3.org/ns/dcat#";
const DCT: &str = "http://purl.org/dc/terms/";
const FOAF: &str = "http://xmlns.com/foaf/0.1/";
const SKOS: &str = "http://www.w3.org/2004/02/skos/core#";
const RDFS: &str = "http://www.w3.org/2000/01/rdf-schema#";
const HYDRA: &str = "http://www.w3.org/ns/hydra/core#";
const TYPE: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type";

pub(super) async fn page(fetcher: &Fetcher, ask: &HarvestAsk<'_>) -> Result<HarvestPage> {
    let url = address(ask.position.unwrap_or(ask.url))?;
    // Only the first page is asked by its mark: of the others it would say nothing about the whole.
    let mark = if ask.position.is_none() { ask.mark } else { "" };
    let answer = fetcher.get(url.clone(), ACCEPT, mark, ask.most_bytes).await?;
    if answer.untouched {
        return Ok(HarvestPage { untouched: true, mark: answer.mark, ..HarvestPage::default() });
    }
    let graph = Graph::read(&answer, &url)?;
    let mut page = graph.page(&url)?;
    if ask.position.is_none() && page.next.is_none() {
        page.mark = answer.mark;
    }
    Ok(page)
}

/// What is said of one thing.
struct Said {
    /// IRI of the property.
    property: String,
    /// Text of a literal, or the thing as [`Graph`] knows it.
    object: String,
    literal: bool,
    language: String,
}

/// Everything that a document says, by thing (`<IRI>` or `_:name`), in its order.
#[derive(Default)]
struct Graph {
    order: Vec<String>,
    said: HashMap<String, Vec<Said>>,
}

impl Graph {
    fn read(answer: &Answer, base: &Url) -> Result<Self> {
        let mut graph = Self::default();
        match spelling(answer, base) {
            Spelling::Turtle => {
                let parser = TurtleParser::new().with_base_iri(base.as_str()).map_err(broken)?;
                for triple in parser.for_slice(&answer.body) {
                    let triple = triple.map_err(broken)?;
                    graph.add(triple.subject.to_string(), &triple.predicate, &triple.object);
                }
            }
            Spelling::JsonLd => {
                let parser = JsonLdParser::new().with_base_iri(base.as_str()).map_err(broken)?;
                for quad in parser.for_slice(&answer.body) {
                    let quad = quad.map_err(broken)?;
                    graph.add(quad.subject.to_string(), &quad.predicate, &quad.object);
                }
            }
            Spelling::RdfXml => {
                if answer.words()?.contains("<!DOCTYPE") {
                    return Err(malformed("含有 DTD", "it brings a DTD"));
                }
                let parser = RdfXmlParser::new().with_base_iri(base.as_str()).map_err(broken)?;
                for triple in parser.for_slice(&answer.body) {
                    let triple = triple.map_err(broken)?;
                    graph.add(triple.subject.to_string(), &triple.predicate, &triple.object);
                }
            }
        }
        Ok(graph)
    }

    fn add(&mut self, thing: String, property: &NamedNode, object: &Term) {
        let said = match object {
            Term::Literal(literal) => Said {
                property: property.as_str().to_owned(),
                object: literal.value().trim().to_owned(),
                literal: true,
                language: literal.language().unwrap_or_default().to_ascii_lowercase(),
            },
            other => Said {
                property: property.as_str().to_owned(),
                object: other.to_string(),
                literal: false,
                language: String::new(),
            },
        };
        if !self.said.contains_key(&thing) {
            self.order.push(thing.clone());
        }
        self.said.entry(thing).or_default().push(said);
    }

    fn of<'a>(
        &'a self,
        thing: &str,
        vocabulary: &str,
        word: &str,
    ) -> impl Iterator<Item = &'a Said> + use<'a> {
        let property = format!("{vocabulary}{word}");
        let all = self.said.get(thing).map(Vec::as_slice).unwrap_or_default();
        all.iter().filter(move |s| s.property == property)
    }

    fn is(&self, thing: &str, class: &str) -> bool {
        let class = format!("<{class}>");
        self.of(thing, TYPE, "").any(|s| s.object == class)
    }

    /// A text in a language, else in none, else the first there is.
    fn words(&self, thing: &str, property: (&str, &str), language: &str) -> String {
        let all = || self.of(thing, property.0, property.1).filter(|s| s.literal);
        let found = all()
            .find(|s| s.language.starts_with(language))
            .or_else(|| all().find(|s| s.language.is_empty()))
            .or_else(|| all().next());
        found.map(|s| s.object.clone()).unwrap_or_default()
    }

    /// A text in exactly this language.
    fn only(&self, thing: &str, property: (&str, &str), language: &str) -> String {
        let mut all = self.of(thing, property.0, property.1).filter(|s| s.literal);
        all.find(|s| s.language.starts_with(language)).map(|s| s.object.clone()).unwrap_or_default()
    }

    /// The name of what a property leads to, or its address, or the text in its place.
    fn named(&self, thing: &str, property: (&str, &str)) -> String {
        let Some(said) = self.of(thing, property.0, property.1).next() else {
            return String::new();
        };
        if said.literal {
            return said.object.clone();
        }
        for name in [
            (FOAF, "name"),
            (SKOS, "prefLabel"),
            (RDFS, "label"),
            (DCT, "title"),
            (DCT, "identifier"),
        ] {
            let text = self.words(&said.object, name, "zh");
            if !text.is_empty() {
                return text;
            }
        }
        iri(&said.object).unwrap_or_default()
    }

    fn page(&self, here: &Url) -> Result<HarvestPage> {
        let mut page = HarvestPage::default();
        for (n, thing) in self.order.iter().enumerate() {
            if !self.is(thing, &format!("{DCAT}Dataset")) {
                continue;
            }
            let title = self.words(thing, (DCT, "title"), "zh");
            let id = iri(thing).unwrap_or_else(|| self.words(thing, (DCT, "identifier"), "zh"));
            if id.is_empty() {
                page.refused.push(nameless(&format!("#{}", n + 1), &title, "dct:identifier"));
            } else {
                page.records.push(self.record(thing, id, title));
            }
        }
        page.next = self.next(here)?;
        Ok(page)
    }

    fn next(&self, here: &Url) -> Result<Option<String>> {
        for thing in &self.order {
            let found = self.of(thing, HYDRA, "next").chain(self.of(thing, HYDRA, "nextPage"));
            for said in found {
                let to = if said.literal { Some(said.object.clone()) } else { iri(&said.object) };
                let Some(to) = to.and_then(|to| here.join(&to).ok()) else { continue };
                let other = || (here.scheme(), here.host_str(), here.port_or_known_default());
                if (to.scheme(), to.host_str(), to.port_or_known_default()) != other() {
                    return Err(malformed(
                        "下一页在另一主机上",
                        "its next page is on another host",
                    ));
                }
                if to == *here {
                    return Err(malformed("下一页就是本页", "its next page is the page itself"));
                }
                return Ok(Some(to.to_string()));
            }
        }
        Ok(None)
    }

    fn record(&self, thing: &str, foreign_id: String, title: String) -> Record {
        let landing = self.of(thing, DCAT, "landingPage").next().and_then(|s| iri(&s.object));
        let keywords = self.of(thing, DCAT, "keyword").filter(|s| s.literal);
        let title_en = self.only(thing, (DCT, "title"), "en");
        let licence = [(DCT, "license"), (DCT, "rights")].map(|p| self.named(thing, p));
        let frequency = self.named(thing, (DCT, "accrualPeriodicity"));
        let distributions =
            self.of(thing, DCAT, "distribution").filter_map(|s| self.way(&s.object));
        Record {
            address: landing.or_else(|| link(&foreign_id)).unwrap_or_default(),
            title_en: if title_en == title { String::new() } else { title_en },
            description: self.words(thing, (DCT, "description"), "zh"),
            keywords: keywords.map(|s| s.object.clone()).collect(),
            theme: self.named(thing, (DCAT, "theme")),
            publisher: self.named(thing, (DCT, "publisher")),
            licence: licence.into_iter().find(|l| !l.is_empty()).unwrap_or_default(),
            modified: self.words(thing, (DCT, "modified"), "zh"),
            // The authority tables end in the word: `…/frequency/MONTHLY`.
            frequency: frequency.rsplit(['/', '#']).next().unwrap_or_default().to_owned(),
            spatial: self.named(thing, (DCT, "spatial")),
            distributions: distributions.collect(),
            title,
            foreign_id,
        }
    }

    fn way(&self, thing: &str) -> Option<Distribution> {
        let address = |word| {
            let said = self.of(thing, DCAT, word).next()?;
            link(&iri(&said.object).unwrap_or_else(|| said.object.clone()))
        };
        let format = match self.named(thing, (DCT, "format")) {
            format if format.is_empty() => self.named(thing, (DCAT, "mediaType")),
            format => format,
        };
        Some(Distribution {
            url: address("downloadURL").or_else(|| address("accessURL"))?,
            title: self.words(thing, (DCT, "title"), "zh"),
            format: format
                .rsplit_once("media-types/")
                .map_or(format.clone(), |(_, f)| f.to_owned()),
            bytes: self
                .of(thing, DCAT, "byteSize")
                .find_map(|said| said.object.parse().ok())
                .filter(|n| *n > 0),
        })
    }
}

/// The address of a thing that has one.
fn iri(thing: &str) -> Option<String> {
    thing.strip_prefix('<').and_then(|t| t.strip_suffix('>')).map(str::to_owned)
}

enum Spelling {
    Turtle,
    JsonLd,
    RdfXml,
}

/// By what the source says, else by the address, else by how it begins.
fn spelling(answer: &Answer, url: &Url) -> Spelling {
    let path = url.path();
    match answer.media.as_str() {
        "text/turtle" | "application/x-turtle" => Spelling::Turtle,
        "application/ld+json" => Spelling::JsonLd,
        "application/rdf+xml" => Spelling::RdfXml,
        _ if path.ends_with(".ttl") => Spelling::Turtle,
        _ if path.ends_with(".jsonld") => Spelling::JsonLd,
        _ if path.ends_with(".rdf") || path.ends_with(".xml") => Spelling::RdfXml,
        _ => match answer.body.iter().find(|b| !b.is_ascii_whitespace()) {
            Some(b'{' | b'[') => Spelling::JsonLd,
            Some(b'<') if answer.body.windows(4).take(2000).any(|w| w == b"<rdf") => {
                Spelling::RdfXml
            }
            _ => Spelling::Turtle,
        },
    }
}

fn broken(e: impl std::error::Error + Send + Sync + 'static) -> Error {
    malformed("不是合法的 RDF", "it is not RDF that can be read").caused_by(e)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURTLE: &str = r#"
@prefix dcat: <http://www.w3.org/ns/dcat#> .
@prefix dct: <http://purl.org/dc/terms/> .
@prefix foaf: <http://xmlns.com/foaf/0.1/> .
@prefix hydra: <http://www.w3.org/ns/hydra/core#> .
<https://a.example/d/1> a dcat:Dataset ; dct:title "Trees"@en, "行道树"@zh ; dct:description "每棵树"@zh ;
  dcat:keyword "树木"@zh ; dct:publisher <https://a.example/org/yl> ; dct:modified "2026-01-02" ;
  dct:accrualPeriodicity <http://publications.europa.eu/resource/authority/frequency/MONTHLY> ;
  dcat:landingPage <https://a.example/page/1> ; dcat:distribution <https://a.example/d/1/csv> .
<https://a.example/org/yl> foaf:name "园林局"@zh .
<https://a.example/d/1/csv> a dcat:Distribution ; dcat:downloadURL <https://a.example/1.csv> ; dcat:byteSize "4096" ;
  dcat:mediaType <https://www.iana.org/assignments/media-types/text/csv> .
[] a dcat:Dataset ; dct:title "没有编号" .
[] a dcat:Dataset ; dct:identifier "own-2" ; dct:title "第二" .
<https://a.example/catalog.ttl?page=1> a hydra:PagedCollection ; hydra:nextPage <https://a.example/catalog.ttl?page=2> .
"#;

    fn read(body: &str, media: &str, url: &str) -> Result<HarvestPage> {
        let answer =
            Answer { body: body.as_bytes().to_vec(), media: media.into(), ..Answer::default() };
        let url = Url::parse(url).unwrap();
        Graph::read(&answer, &url)?.page(&url)
    }

    #[test]
    fn a_page_of_turtle_is_read_and_leads_on() {
        let page = read(TURTLE, "text/turtle", "https://a.example/catalog.ttl").unwrap();
        assert_eq!(page.records.len(), 2);
        let one = &page.records[0];
        assert_eq!(one.foreign_id, "https://a.example/d/1");
        assert_eq!((one.title.as_str(), one.title_en.as_str()), ("行道树", "Trees"));
        assert_eq!((one.publisher.as_str(), one.frequency.as_str()), ("园林局", "MONTHLY"));
        assert_eq!(one.address, "https://a.example/page/1");
        assert_eq!(one.distributions[0].url, "https://a.example/1.csv");
        assert_eq!(one.distributions[0].format, "text/csv");
        assert_eq!(one.distributions[0].bytes, Some(4096));
        assert_eq!(page.records[1].foreign_id, "own-2");
        assert_eq!(page.refused.len(), 1);
        assert_eq!(page.next.as_deref(), Some("https://a.example/catalog.ttl?page=2"));
    }

    #[test]
    fn the_other_spellings_say_the_same() {
        let json = r#"{"@context": {"dcat": "http://www.w3.org/ns/dcat#", "dct": "http://purl.org/dc/terms/"},
            "@id": "https://a.example/d/1", "@type": "dcat:Dataset", "dct:title": "行道树"}"#;
        let xml = r#"<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:dct="http://purl.org/dc/terms/"
            xmlns:dcat="http://www.w3.org/ns/dcat#"><dcat:Dataset rdf:about="https://a.example/d/1"><dct:title>行道树</dct:title></dcat:Dataset></rdf:RDF>"#;
        for (body, media) in
            [(json, "application/ld+json"), (json, ""), (xml, ""), (xml, "application/rdf+xml")]
        {
            let page = read(body, media, "https://a.example/x").unwrap();
            assert_eq!(page.records.len(), 1, "{body}");
            assert_eq!(page.records[0].title, "行道树");
        }
    }

    #[test]
    fn what_asks_for_other_places_is_refused() {
        let context =
            r#"{"@context": "https://elsewhere.example/context.jsonld", "@id": "x", "@type": "y"}"#;
        assert!(read(context, "application/ld+json", "https://a.example/x").is_err());
        let entity = "<!DOCTYPE r [<!ENTITY a \"b\">]><rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\"/>";
        assert!(read(entity, "application/rdf+xml", "https://a.example/x").is_err());
        let away =
            "<https://a.example/x> <http://www.w3.org/ns/hydra/core#next> <https://b.example/x> .";
        assert!(read(away, "text/turtle", "https://a.example/x").is_err());
        let round =
            "<https://a.example/x> <http://www.w3.org/ns/hydra/core#next> <https://a.example/x> .";
        assert!(read(round, "text/turtle", "https://a.example/x").is_err());
        assert!(read("not turtle", "text/turtle", "https://a.example/x").is_err());
    }
}

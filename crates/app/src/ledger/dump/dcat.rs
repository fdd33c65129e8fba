//! DCAT in its three spellings (Turtle, JSON-LD, RDF/XML): one writer for the open-data site, the console and the machines'
//! door. What is written is handed on piece by piece: no more than one piece is in memory.
//!
//! The vocabulary follows DCAT-AP 3, whose shapes it satisfies (`cargo xtask clients --doors`): whatever a property leads to is
//! described with its class. `vocabulary` has the words of the authority tables; columns are CSVW.

use std::collections::HashSet;
use std::io::Write;
use std::sync::Arc;

use model::code::{DataType, ShareType, UpdateCycle};
use model::{Error, Result};
use oxjsonld::{JsonLdSerializer, WriterJsonLdSerializer};
use oxrdf::vocab::{rdf, xsd};
use oxrdf::{GraphNameRef, Literal, NamedNode, TermRef, TripleRef};
use oxrdfxml::{RdfXmlSerializer, WriterRdfXmlSerializer};
use oxttl::TurtleSerializer;
use oxttl::turtle::WriterTurtleSerializer;
use parking_lot::Mutex;

use super::vocabulary::{access_right, datatype, file_type, frequency, media_type};

const DCAT: &str = "http://www.w3.org/ns/dcat#";
const DCT: &str = "http://purl.org/dc/terms/";
const FOAF: &str = "http://xmlns.com/foaf/0.1/";
const SKOS: &str = "http://www.w3.org/2004/02/skos/core#";
const CSVW: &str = "http://www.w3.org/ns/csvw#";
const XSD: &str = "http://www.w3.org/2001/XMLSchema#";
const RDFS: &str = "http://www.w3.org/2000/01/rdf-schema#";
const HYDRA: &str = "http://www.w3.org/ns/hydra/core#";
const PROV: &str = "http://www.w3.org/ns/prov#";

/// How RDF is spelt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RdfFormat {
    Turtle,
    JsonLd,
    RdfXml,
}

impl RdfFormat {
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            RdfFormat::Turtle => "text/turtle; charset=utf-8",
            RdfFormat::JsonLd => "application/ld+json",
            RdfFormat::RdfXml => "application/rdf+xml; charset=utf-8",
        }
    }
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            RdfFormat::Turtle => "ttl",
            RdfFormat::JsonLd => "jsonld",
            RdfFormat::RdfXml => "rdf",
        }
    }
}

/// What a thing of the ledgers is in DCAT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Dataset,
    DataService,
    Resource,
}

impl Class {
    /// Its class, and the property by which a catalogue holds it.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Class::Dataset => ("Dataset", "dataset"),
            Class::DataService => ("DataService", "service"),
            Class::Resource => ("Resource", "resource"),
        }
    }
}

/// The catalogue that holds the things.
#[derive(Clone, Debug)]
pub struct Whole {
    /// Its address, a `/` at the end: names of publishers, themes and regions stand below it.
    pub base: String,
    pub title: String,
    pub title_en: String,
}

/// A thing as DCAT tells it. Empty fields are left out.
#[derive(Clone, Debug)]
pub struct Thing {
    pub class: Class,
    pub iri: String,
    pub identifier: String,
    pub title: String,
    pub title_en: String,
    pub description: String,
    pub keywords: Vec<String>,
    /// Code and name of the domain.
    pub theme: Option<(String, String)>,
    pub issued: String,
    pub modified: String,
    pub rights: String,
    pub access: Option<ShareType>,
    pub cycle: Option<UpdateCycle>,
    /// GB/T 2260 code and name.
    pub region: (String, String),
    /// Organisation: id, Chinese and English name.
    pub publisher: (String, String, String),
    /// Page for people.
    pub page: String,
    /// Address of what it was taken from, in another catalogue.
    pub source: String,
    /// Who publishes it there.
    pub creator: String,
    pub version: String,
    pub distributions: Vec<Distribution>,
    pub columns: Vec<Column>,
    /// Further fields of a ledger: key and value.
    pub fields: Vec<(String, String)>,
}

/// A way to get the rows.
#[derive(Clone, Debug, Default)]
pub struct Distribution {
    /// `csv`, `api`: the end of its name.
    pub word: String,
    pub title: String,
    pub url: String,
    /// `CSV`, or empty where it is not told; `None`: the word is the format.
    pub format: Option<String>,
    pub media_type: String,
    /// Size in bytes, where it is known.
    pub bytes: Option<u64>,
    /// Downloaded at the address, or only reached there.
    pub download: bool,
}

/// A data item.
#[derive(Clone, Debug)]
pub struct Column {
    pub identifier: String,
    pub name: String,
    pub name_en: String,
    pub definition: String,
    pub data_type: DataType,
    pub required: bool,
}

/// Where a page of a catalogue stands among the others (Hydra).
#[derive(Clone, Debug)]
pub struct Paged {
    pub here: String,
    pub first: String,
    pub last: String,
    pub previous: Option<String>,
    pub next: Option<String>,
    pub total: u64,
    pub per_page: u64,
}

/// Bytes written and not yet handed on.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

enum Spelling {
    Turtle(Box<WriterTurtleSerializer<Buffer>>),
    JsonLd(Box<WriterJsonLdSerializer<Buffer>>),
    RdfXml(Box<WriterRdfXmlSerializer<Buffer>>),
}

/// Writes a catalogue, thing by thing.
pub struct Dcat {
    spelling: Spelling,
    buffer: Buffer,
    whole: Whole,
    /// Publishers, themes and regions that were described already.
    known: HashSet<String>,
    /// Things stand in a catalogue; alone they stand for themselves.
    alone: bool,
}

impl std::fmt::Debug for Dcat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dcat").field("whole", &self.whole).finish_non_exhaustive()
    }
}

fn failed(e: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::internal("RDF could not be written").caused_by(e)
}

fn node(iri: &str) -> Result<NamedNode> {
    NamedNode::new(iri).map_err(|e| {
        Error::invalid(
            format!("地址 `{iri}` 不是合法的 IRI，请检查站点地址配置"),
            format!("`{iri}` is no IRI: check the address the site is configured with"),
        )
        .caused_by(e)
    })
}

impl Dcat {
    /// Begins a catalogue.
    pub fn new(format: RdfFormat, whole: Whole) -> Result<Self> {
        let mut this = Self::open(format, whole, false)?;
        let iri = node(&this.whole.base.clone())?;
        let (title, title_en) = (this.whole.title.clone(), this.whole.title_en.clone());
        let publisher = node(&format!("{}#publisher", this.whole.base))?;
        this.class(&publisher, FOAF, "Agent")?;
        this.words(&publisher, FOAF, "name", &title, "zh")?;
        this.words(&publisher, FOAF, "name", &title_en, "en")?;
        this.class(&iri, DCAT, "Catalog")?;
        this.link(&iri, DCT, "publisher", &publisher)?;
        this.words(&iri, DCT, "title", &title, "zh")?;
        this.words(&iri, DCT, "title", &title_en, "en")?;
        this.words(&iri, DCT, "description", &title, "zh")?;
        Ok(this)
    }

    /// Begins a description of things without a catalogue around them.
    pub fn alone(format: RdfFormat, whole: Whole) -> Result<Self> {
        Self::open(format, whole, true)
    }

    fn open(format: RdfFormat, whole: Whole, alone: bool) -> Result<Self> {
        let buffer = Buffer::default();
        let prefixes = [
            ("dcat", DCAT),
            ("dct", DCT),
            ("foaf", FOAF),
            ("skos", SKOS),
            ("csvw", CSVW),
            ("xsd", XSD),
            ("rdfs", RDFS),
            ("prov", PROV),
        ];
        let spelling = match format {
            RdfFormat::Turtle => {
                let mut s = TurtleSerializer::new();
                for (name, iri) in prefixes {
                    s = s.with_prefix(name, iri).map_err(failed)?;
                }
                Spelling::Turtle(Box::new(s.for_writer(buffer.clone())))
            }
            RdfFormat::JsonLd => {
                let mut s = JsonLdSerializer::new();
                for (name, iri) in prefixes {
                    s = s.with_prefix(name, iri).map_err(failed)?;
                }
                Spelling::JsonLd(Box::new(s.for_writer(buffer.clone())))
            }
            RdfFormat::RdfXml => {
                let mut s = RdfXmlSerializer::new();
                for (name, iri) in prefixes {
                    s = s.with_prefix(name, iri).map_err(failed)?;
                }
                Spelling::RdfXml(Box::new(s.for_writer(buffer.clone())))
            }
        };
        Ok(Self { spelling, buffer, whole, known: HashSet::new(), alone })
    }

    /// Tells that this is one page of the catalogue, and where the others are.
    pub fn page(&mut self, paged: &Paged) -> Result<()> {
        let here = node(&paged.here)?;
        self.class(&here, HYDRA, "PagedCollection")?;
        for (word, number) in [("totalItems", paged.total), ("itemsPerPage", paged.per_page)] {
            let number = Literal::new_typed_literal(number.to_string(), xsd::INTEGER);
            self.triple(&here, HYDRA, word, number.as_ref().into())?;
        }
        let (first, last) = (Some(&paged.first), Some(&paged.last));
        let (next, previous) = (paged.next.as_ref(), paged.previous.as_ref());
        for (word, to) in [("first", first), ("last", last), ("next", next), ("previous", previous)]
        {
            if let Some(to) = to {
                self.link(&here, HYDRA, word, &node(to)?)?;
            }
        }
        Ok(())
    }

    /// Describes one thing.
    pub fn thing(&mut self, thing: &Thing) -> Result<()> {
        let iri = node(&thing.iri)?;
        let (class, holds) = thing.class.words();
        if !self.alone {
            let whole = node(&self.whole.base.clone())?;
            self.link(&whole, DCAT, holds, &iri)?;
        }
        let (publisher, region) = (self.publisher(thing)?, self.region(thing)?);
        let (theme, creator) = (self.theme(thing)?, self.creator(thing)?);
        let mut distributions = Vec::new();
        for d in &thing.distributions {
            distributions.push(self.distribution(thing, d)?);
        }
        let table = self.columns(thing)?;
        let access = match thing.access {
            Some(access) => Some(self.term(&access_right(access), "RightsStatement", "")?),
            None => None,
        };
        let cycle = match thing.cycle {
            Some(cycle) => Some(self.term(&frequency(cycle), "Frequency", "")?),
            None => None,
        };
        let page = match thing.page.as_str() {
            "" => None,
            page => Some(node(page)?),
        };
        if let Some(page) = &page {
            self.class(page, FOAF, "Document")?;
        }
        self.class(&iri, DCAT, class)?;
        self.plain(&iri, DCT, "identifier", &thing.identifier)?;
        self.words(&iri, DCT, "title", &thing.title, "zh")?;
        self.words(&iri, DCT, "title", &thing.title_en, "en")?;
        self.words(&iri, DCT, "description", &thing.description, "zh")?;
        for word in &thing.keywords {
            self.words(&iri, DCAT, "keyword", word, "zh")?;
        }
        self.moment(&iri, "issued", &thing.issued)?;
        self.moment(&iri, "modified", &thing.modified)?;
        self.words(&iri, DCT, "rights", &thing.rights, "zh")?;
        self.plain(&iri, DCAT, "version", &thing.version)?;
        for (vocabulary, property, other) in [
            (DCT, "accessRights", access),
            (DCT, "accrualPeriodicity", cycle),
            (DCT, "publisher", publisher),
            (DCT, "spatial", region),
            (DCAT, "theme", theme),
            (CSVW, "tableSchema", table),
            (DCAT, "landingPage", page),
        ] {
            if let Some(other) = other {
                self.link(&iri, vocabulary, property, &other)?;
            }
        }
        // A page, or whatever else it is there: `dct:source` would have to be a data set.
        if !thing.source.is_empty() {
            self.link(&iri, PROV, "wasDerivedFrom", &node(&thing.source)?)?;
        }
        if let Some(creator) = creator {
            self.link(&iri, DCT, "creator", &creator)?;
        }
        for distribution in distributions {
            self.link(&iri, DCAT, "distribution", &distribution)?;
        }
        let own = format!("{}def#", self.whole.base);
        for (key, value) in &thing.fields {
            self.plain(&iri, &own, key, value)?;
        }
        Ok(())
    }

    /// What was written since the last time.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer.0.lock())
    }

    /// Ends the catalogue; answers what was not taken yet.
    pub fn finish(self) -> Result<Vec<u8>> {
        match self.spelling {
            Spelling::Turtle(w) => w.finish().map(|_| ()).map_err(failed)?,
            Spelling::JsonLd(w) => w.finish().map(|_| ()).map_err(failed)?,
            Spelling::RdfXml(w) => w.finish().map(|_| ()).map_err(failed)?,
        }
        Ok(std::mem::take(&mut self.buffer.0.lock()))
    }

    fn publisher(&mut self, thing: &Thing) -> Result<Option<NamedNode>> {
        let (id, zh, en) = &thing.publisher;
        if id.is_empty() {
            return Ok(None);
        }
        let iri = node(&format!("{}org/{}", self.whole.base, encoded(id)))?;
        if self.known.insert(iri.as_str().to_owned()) {
            self.class(&iri, FOAF, "Organization")?;
            self.class(&iri, FOAF, "Agent")?;
            self.plain(&iri, DCT, "identifier", id)?;
            self.words(&iri, FOAF, "name", zh, "zh")?;
            self.words(&iri, FOAF, "name", en, "en")?;
        }
        Ok(Some(iri))
    }

    /// Who publishes it at its source: no organisation of ours.
    fn creator(&mut self, thing: &Thing) -> Result<Option<NamedNode>> {
        if thing.creator.is_empty() {
            return Ok(None);
        }
        let iri = node(&format!("{}#creator", thing.iri))?;
        self.class(&iri, FOAF, "Agent")?;
        self.words(&iri, FOAF, "name", &thing.creator, "zh")?;
        Ok(Some(iri))
    }

    fn region(&mut self, thing: &Thing) -> Result<Option<NamedNode>> {
        let (code, name) = &thing.region;
        if code.is_empty() {
            return Ok(None);
        }
        let iri = node(&format!("{}region/{}", self.whole.base, encoded(code)))?;
        if self.known.insert(iri.as_str().to_owned()) {
            self.class(&iri, DCT, "Location")?;
            self.plain(&iri, DCT, "identifier", code)?;
            self.words(&iri, SKOS, "prefLabel", name, "zh")?;
        }
        Ok(Some(iri))
    }

    fn theme(&mut self, thing: &Thing) -> Result<Option<NamedNode>> {
        let Some((code, name)) = &thing.theme else { return Ok(None) };
        let iri = node(&format!("{}theme/{}", self.whole.base, encoded(code)))?;
        if self.known.insert(iri.as_str().to_owned()) {
            self.class(&iri, SKOS, "Concept")?;
            self.words(&iri, SKOS, "prefLabel", name, "zh")?;
        }
        Ok(Some(iri))
    }

    fn distribution(&mut self, thing: &Thing, d: &Distribution) -> Result<NamedNode> {
        let iri = node(&format!("{}#{}", thing.iri, encoded(&d.word)))?;
        let word = d.format.clone().unwrap_or_else(|| d.word.to_uppercase());
        let format = match file_type(&word) {
            _ if word.is_empty() => None,
            Some(known) => Some(known),
            None => Some(format!("{}format/{}", self.whole.base, encoded(&word))),
        };
        let format = match format {
            Some(format) => Some(self.term(&format, "MediaTypeOrExtent", &word)?),
            None => None,
        };
        let media = match media_type(&d.media_type) {
            Some(media) => Some(self.term(&media, "MediaType", "")?),
            None => None,
        };
        self.class(&iri, DCAT, "Distribution")?;
        self.words(&iri, DCT, "title", &d.title, "zh")?;
        if let Some(format) = format {
            self.link(&iri, DCT, "format", &format)?;
        }
        if let Some(media) = media {
            self.link(&iri, DCAT, "mediaType", &media)?;
        }
        if let Some(bytes) = d.bytes {
            let size = Literal::new_typed_literal(bytes.to_string(), xsd::NON_NEGATIVE_INTEGER);
            self.triple(&iri, DCAT, "byteSize", size.as_ref().into())?;
        }
        let url = node(&d.url)?;
        self.link(&iri, DCAT, "accessURL", &url)?;
        if d.download {
            self.link(&iri, DCAT, "downloadURL", &url)?;
        }
        Ok(iri)
    }

    /// The items, as columns of a table.
    fn columns(&mut self, thing: &Thing) -> Result<Option<NamedNode>> {
        if thing.columns.is_empty() {
            return Ok(None);
        }
        let table = node(&format!("{}#schema", thing.iri))?;
        self.class(&table, CSVW, "Schema")?;
        for c in &thing.columns {
            let iri = node(&format!("{}#item-{}", thing.iri, encoded(&c.identifier)))?;
            self.link(&table, CSVW, "column", &iri)?;
        }
        for c in &thing.columns {
            let iri = node(&format!("{}#item-{}", thing.iri, encoded(&c.identifier)))?;
            self.class(&iri, CSVW, "Column")?;
            self.plain(&iri, CSVW, "name", &c.identifier)?;
            self.words(&iri, CSVW, "title", &c.name, "zh")?;
            self.words(&iri, CSVW, "title", &c.name_en, "en")?;
            self.words(&iri, DCT, "description", &c.definition, "zh")?;
            self.plain(&iri, CSVW, "datatype", datatype(c.data_type))?;
            if c.required {
                let yes = Literal::new_typed_literal("true", xsd::BOOLEAN);
                self.triple(&iri, CSVW, "required", yes.as_ref().into())?;
            }
        }
        Ok(Some(table))
    }

    /// A word of a table, described once: its class, and its name where the table is our own or others read it by that.
    fn term(&mut self, iri: &str, class: &str, label: &str) -> Result<NamedNode> {
        let iri = node(iri)?;
        if self.known.insert(iri.as_str().to_owned()) {
            self.class(&iri, DCT, class)?;
            self.plain(&iri, RDFS, "label", label)?;
        }
        Ok(iri)
    }

    fn class(&mut self, of: &NamedNode, vocabulary: &str, word: &str) -> Result<()> {
        let class = NamedNode::new_unchecked(format!("{vocabulary}{word}"));
        self.write(TripleRef::new(of, rdf::TYPE, &class))
    }

    fn link(&mut self, of: &NamedNode, vocabulary: &str, word: &str, to: &NamedNode) -> Result<()> {
        self.triple(of, vocabulary, word, to.as_ref().into())
    }

    fn plain(&mut self, of: &NamedNode, vocabulary: &str, word: &str, text: &str) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let literal = Literal::new_simple_literal(clean(text));
        self.triple(of, vocabulary, word, literal.as_ref().into())
    }

    fn words(
        &mut self,
        of: &NamedNode,
        vocabulary: &str,
        word: &str,
        text: &str,
        tongue: &str,
    ) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let literal = Literal::new_language_tagged_literal(clean(text), tongue).map_err(failed)?;
        self.triple(of, vocabulary, word, literal.as_ref().into())
    }

    fn moment(&mut self, of: &NamedNode, word: &str, at: &str) -> Result<()> {
        if at.is_empty() {
            return Ok(());
        }
        let literal = Literal::new_typed_literal(clean(at), xsd::DATE_TIME);
        self.triple(of, DCT, word, literal.as_ref().into())
    }

    fn triple(
        &mut self,
        of: &NamedNode,
        vocabulary: &str,
        word: &str,
        to: TermRef<'_>,
    ) -> Result<()> {
        let property = NamedNode::new_unchecked(format!("{vocabulary}{word}"));
        self.write(TripleRef::new(of, &property, to))
    }

    fn write(&mut self, triple: TripleRef<'_>) -> Result<()> {
        match &mut self.spelling {
            Spelling::Turtle(w) => w.serialize_triple(triple),
            Spelling::JsonLd(w) => w.serialize_quad(triple.in_graph(GraphNameRef::DefaultGraph)),
            Spelling::RdfXml(w) => w.serialize_triple(triple),
        }
        .map_err(failed)
    }
}

/// What XML cannot hold is left out, so that the three spellings say the same.
fn clean(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .filter(|c| !matches!(c, '\u{fffe}' | '\u{ffff}'))
        .collect()
}

/// A part of an address.
pub(crate) fn encoded(text: &str) -> String {
    const KEPT: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    percent_encoding::utf8_percent_encode(text, KEPT).to_string()
}

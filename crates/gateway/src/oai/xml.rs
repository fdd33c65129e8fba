//! Answers of OAI-PMH as XML.

use std::io;

use app::opening::Dataset;
use chrono::{DateTime, Utc};
use model::harvest::HarvestOrigin;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::asked::{Prefix, seconds};

pub(super) enum Body {
    Identify {
        earliest: String,
    },
    Formats,
    Sets(Vec<SetOf>),
    Headers {
        headers: Vec<Header>,
        token: Option<String>,
    },
    /// Records; of what went only its header.
    Records {
        records: Vec<Result<Box<Record>, Header>>,
        token: Option<String>,
    },
    Record(Box<Record>),
}

pub(super) struct SetOf {
    pub(super) spec: String,
    pub(super) name: String,
}

pub(super) struct Header {
    pub(super) identifier: String,
    pub(super) stamp: String,
    pub(super) set: String,
    pub(super) gone: bool,
}

pub(super) struct Record {
    pub(super) header: Header,
    pub(super) dataset: Dataset,
    /// Where another catalogue has it that brought it.
    pub(super) origin: Option<HarvestOrigin>,
    pub(super) address: String,
    /// RDF/XML, where DCAT is wanted.
    pub(super) dcat: Option<String>,
}

type Out = Writer<Vec<u8>>;

fn text(w: &mut Out, name: &str, content: &str) -> io::Result<()> {
    w.create_element(name).write_text_content(BytesText::new(&plain(content))).map(|_| ())
}

/// What XML cannot hold at all is left out.
fn plain(content: &str) -> String {
    content.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

/// The whole answer: when, what was asked, and what there is to say.
pub(super) fn envelope(
    base: &str,
    at: DateTime<Utc>,
    asked: &[(String, String)],
    outcome: &Result<Body, (&'static str, String)>,
) -> io::Result<Vec<u8>> {
    let mut w = Writer::new(Vec::new());
    w.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let verb = asked.iter().find(|(n, _)| n == "verb").map_or("", |(_, v)| v.as_str());
    w.create_element("OAI-PMH")
        .with_attributes([
            ("xmlns", "http://www.openarchives.org/OAI/2.0/"),
            ("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance"),
            (
                "xsi:schemaLocation",
                "http://www.openarchives.org/OAI/2.0/ http://www.openarchives.org/OAI/2.0/OAI-PMH.xsd",
            ),
        ])
        .write_inner_content(|w| {
            text(w, "responseDate", &seconds(at))?;
            let told: Vec<(String, String)> =
                asked.iter().map(|(n, v)| (n.clone(), plain(v))).collect();
            w.create_element("request")
                .with_attributes(told.iter().map(|(n, v)| (n.as_str(), v.as_str())))
                .write_text_content(BytesText::new(base))?;
            match outcome {
                Err((code, why)) => w
                    .create_element("error")
                    .with_attribute(("code", *code))
                    .write_text_content(BytesText::new(&plain(why)))
                    .map(|_| ()),
                Ok(body) => {
                    w.create_element(verb).write_inner_content(|w| inner(w, base, body)).map(|_| ())
                }
            }
        })?;
    Ok(w.into_inner())
}

fn inner(w: &mut Out, base: &str, body: &Body) -> io::Result<()> {
    match body {
        Body::Identify { earliest } => {
            text(w, "repositoryName", "钱塘公共数据平台 / Qiantang Public Data")?;
            text(w, "baseURL", base)?;
            text(w, "protocolVersion", "2.0")?;
            text(w, "adminEmail", &mail(base))?;
            text(w, "earliestDatestamp", earliest)?;
            // What is closed to the public altogether is forgotten: only what went offline is told as deleted.
            text(w, "deletedRecord", "transient")?;
            text(w, "granularity", "YYYY-MM-DDThh:mm:ssZ")
        }
        Body::Formats => Prefix::ALL.into_iter().try_for_each(|prefix| {
            w.create_element("metadataFormat")
                .write_inner_content(|w| {
                    text(w, "metadataPrefix", prefix.as_str())?;
                    text(w, "schema", prefix.schema())?;
                    text(w, "metadataNamespace", prefix.namespace())
                })
                .map(|_| ())
        }),
        Body::Sets(sets) => sets.iter().try_for_each(|set| {
            w.create_element("set")
                .write_inner_content(|w| {
                    text(w, "setSpec", &set.spec)?;
                    text(w, "setName", &set.name)
                })
                .map(|_| ())
        }),
        Body::Headers { headers, token } => {
            headers.iter().try_for_each(|h| header(w, h))?;
            resumption(w, token.as_deref())
        }
        Body::Records { records, token } => {
            for one in records {
                match one {
                    Ok(told) => record(w, told)?,
                    Err(gone) => {
                        w.create_element("record").write_inner_content(|w| header(w, gone))?;
                    }
                }
            }
            resumption(w, token.as_deref())
        }
        Body::Record(told) => record(w, told),
    }
}

/// Somebody to write to at the host that answers.
fn mail(base: &str) -> String {
    let host =
        base.split("://").nth(1).unwrap_or(base).split(['/', ':']).next().unwrap_or_default();
    format!("opendata@{host}")
}

fn resumption(w: &mut Out, token: Option<&str>) -> io::Result<()> {
    token.map_or(Ok(()), |token| text(w, "resumptionToken", token))
}

fn header(w: &mut Out, told: &Header) -> io::Result<()> {
    let gone = told.gone.then_some(("status", "deleted"));
    w.create_element("header")
        .with_attributes(gone)
        .write_inner_content(|w| {
            text(w, "identifier", &told.identifier)?;
            text(w, "datestamp", &told.stamp)?;
            if told.set.is_empty() { Ok(()) } else { text(w, "setSpec", &told.set) }
        })
        .map(|_| ())
}

fn record(w: &mut Out, told: &Record) -> io::Result<()> {
    w.create_element("record")
        .write_inner_content(|w| {
            header(w, &told.header)?;
            w.create_element("metadata")
                .write_inner_content(|w| match &told.dcat {
                    // It is XML already; its declaration stays behind.
                    Some(rdf) => {
                        let body = rdf.split_once("?>").map_or(rdf.as_str(), |(_, rest)| rest);
                        w.write_event(Event::Text(BytesText::from_escaped(body)))
                    }
                    None => core(w, told),
                })
                .map(|_| ())
        })
        .map(|_| ())
}

/// The ways to the data, here or elsewhere: formats each once (`dc:format`), where a set comes from (its page and its identifier at the
/// source, the catalogue that tells of it: `dc:source`), and addresses that are not ours (`dc:relation`).
fn ways(w: &mut Out, told: &Record) -> io::Result<()> {
    let (entry, origin) = (&told.dataset.entry, told.origin.as_ref());
    let there = origin.into_iter().flat_map(HarvestOrigin::ways).map(|(way, _)| way.clone());
    let all: Vec<_> = there.chain(entry.draft.profile.ways().map(|(way, _)| way)).collect();
    let own = told.dataset.free && origin.is_none() && !entry.linked_only();
    let mut formats: Vec<&str> = own.then_some("text/csv").into_iter().collect();
    for way in &all {
        let format = if way.media_type().is_empty() { way.word() } else { way.media_type() };
        if !format.is_empty() && !formats.contains(&format) {
            formats.push(format);
        }
    }
    for format in formats {
        text(w, "dc:format", format)?;
    }
    if let Some(origin) = origin {
        if let Some((url, _)) = origin.page() {
            text(w, "dc:source", url)?;
        }
        text(w, "dc:source", &origin.foreign_id)?;
        text(w, "dc:source", &origin.source_name)?;
    }
    all.iter().try_for_each(|way| text(w, "dc:relation", &way.url))
}

/// Simple Dublin Core.
fn core(w: &mut Out, told: &Record) -> io::Result<()> {
    let (dataset, entry) = (&told.dataset, &told.dataset.entry);
    let d = &entry.draft;
    let tongue = |w: &mut Out, name: &str, content: &str, tongue: &str| {
        if content.is_empty() {
            return Ok(());
        }
        w.create_element(name)
            .with_attribute(("xml:lang", tongue))
            .write_text_content(BytesText::new(&plain(content)))
            .map(|_| ())
    };
    w.create_element("oai_dc:dc")
        .with_attributes([
            ("xmlns:oai_dc", Prefix::Dc.namespace()),
            ("xmlns:dc", "http://purl.org/dc/elements/1.1/"),
            (
                "xsi:schemaLocation",
                "http://www.openarchives.org/OAI/2.0/oai_dc/ http://www.openarchives.org/OAI/2.0/oai_dc.xsd",
            ),
        ])
        .write_inner_content(|w| {
            tongue(w, "dc:title", &d.title, "zh")?;
            tongue(w, "dc:title", &d.title_en, "en")?;
            match &told.origin {
                Some(origin) => {
                    tongue(w, "dc:creator", origin.publisher(), "zh")?;
                    tongue(w, "dc:publisher", origin.publisher(), "zh")?;
                    tongue(w, "dc:contributor", &dataset.org_name, "zh")?;
                }
                None => {
                    tongue(w, "dc:creator", &dataset.org_name, "zh")?;
                    tongue(w, "dc:publisher", &dataset.org_name, "zh")?;
                    tongue(w, "dc:publisher", &dataset.org_name_en, "en")?;
                }
            }
            for subject in d.tags.iter().map(String::as_str).chain([d.domain.zh()]) {
                tongue(w, "dc:subject", subject, "zh")?;
            }
            tongue(w, "dc:description", &d.description, "zh")?;
            text(w, "dc:date", entry.published_at.as_deref().unwrap_or(&entry.created_at))?;
            text(w, "dc:type", "Dataset")?;
            ways(w, told)?;
            text(w, "dc:identifier", &told.address)?;
            text(w, "dc:identifier", &d.code)?;
            text(w, "dc:language", "zh")?;
            tongue(w, "dc:coverage", &dataset.region_name, "zh")?;
            tongue(w, "dc:rights", &d.licence, "zh")?;
            tongue(w, "dc:rights", d.open_type.zh(), "zh")
        })
        .map(|_| ())
}

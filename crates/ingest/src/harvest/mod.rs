//! Other catalogues: their records, page by page, in words of ours.
//!
//! ```text
//! fetch      one answer: where it may be asked, how far it may redirect, how large and how late it may be
//! ckan       CKAN's Action API, and another Qiantang by the same door
//! dcat       DCAT in Turtle, JSON-LD and RDF/XML, by pages where the catalogue has them
//! data_json  data.json (Project Open Data, DCAT-US)
//! oai        OAI-PMH with simple Dublin Core
//! ```
//!
//! Nothing is kept between two pages. XML brings no entities of its own, JSON-LD no contexts from elsewhere: a document that wants
//! either is refused, and nothing but the addresses of the catalogue itself is ever asked for.

mod ckan;
mod data_json;
mod dcat;
mod fetch;
mod oai;

use async_trait::async_trait;
use model::harvest::{HarvestKind, HarvestRefusal, Record};
use model::{Code, Error, Result};
use policy::port::{HarvestAsk, HarvestPage, Harvester};
use serde_json::Value as Json;

use self::fetch::Fetcher;
use crate::outgoing::Outgoing;
use crate::why::cut;

/// [`Harvester`] over HTTP.
#[derive(Debug)]
pub struct Catalogues {
    fetcher: Fetcher,
}

impl Catalogues {
    #[must_use]
    pub fn reaching(outgoing: Outgoing) -> Self {
        Self { fetcher: Fetcher::reaching(outgoing) }
    }
}

#[async_trait]
impl Harvester for Catalogues {
    async fn page(&self, ask: &HarvestAsk<'_>) -> Result<HarvestPage> {
        match ask.kind {
            HarvestKind::Ckan | HarvestKind::Qiantang => ckan::page(&self.fetcher, ask).await,
            HarvestKind::Dcat => dcat::page(&self.fetcher, ask).await,
            HarvestKind::DataJson => data_json::page(&self.fetcher, ask).await,
            HarvestKind::OaiPmh => oai::page(&self.fetcher, ask).await,
        }
    }

    fn package(&self, document: &str) -> Result<Record> {
        ckan::told(document)
    }
}

/// The source answered what cannot be understood.
fn malformed(zh: &str, en: &str) -> Error {
    Error::new(
        Code::SourceUnavailable,
        format!("来源目录的应答有误：{zh}；请核对地址和类型，或告知来源方"),
        format!(
            "the catalogue answered badly: {en}; check address and kind, or tell whoever keeps it"
        ),
    )
}

/// A record that cannot be taken as it is.
fn refusal(foreign_id: &str, title: &str, field: &str, zh: &str, en: &str) -> HarvestRefusal {
    HarvestRefusal {
        foreign_id: cut(foreign_id, 500),
        title: cut(title, 200),
        field: field.to_owned(),
        zh: zh.to_owned(),
        en: en.to_owned(),
    }
}

/// Without an id a record cannot be known again: it is told by its place in the page.
fn nameless(place: &str, title: &str, field: &str) -> HarvestRefusal {
    refusal(
        place,
        title,
        field,
        "没有标识符，无法在下次采集时认出；请来源方补上",
        "it has no identifier and could not be known again next time; the source has to give it one",
    )
}

/// A document of JSON.
fn json(body: &str) -> Result<Json> {
    serde_json::from_str(body)
        .map_err(|e| malformed("不是合法的 JSON", "it is not JSON").caused_by(e))
}

/// The text of the first of these members of an object that has one.
fn any(object: &Json, names: &[&str]) -> String {
    names.iter().map(|n| text(object, n)).find(|t| !t.is_empty()).unwrap_or_default()
}

/// The text of a member of an object; a number is a text, too.
fn text(object: &Json, name: &str) -> String {
    plain(object.get(name).unwrap_or(&Json::Null))
}

/// A text, or the first text of a list.
fn plain(value: &Json) -> String {
    match value {
        Json::String(text) => text.trim().to_owned(),
        Json::Number(n) => n.to_string(),
        Json::Array(all) => all.iter().map(plain).find(|t| !t.is_empty()).unwrap_or_default(),
        _ => String::new(),
    }
}

/// The members of a list, or nothing.
fn list<'a>(object: &'a Json, name: &str) -> &'a [Json] {
    object.get(name).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Only addresses of the web are links; told as they may stand in RDF.
fn link(url: &str) -> Option<String> {
    let web = reqwest::Url::parse(url.trim()).ok();
    let web = web.filter(|u| matches!(u.scheme(), "http" | "https"))?;
    let mut out = String::new();
    for c in web.as_str().chars() {
        match c {
            '<' | '>' | '"' | '{' | '}' | '|' | '\\' | '^' | '`' | ' ' => {
                out.push_str(&format!("%{:02X}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_of_the_web_and_may_stand_anywhere() {
        assert_eq!(
            link(" https://a.example/数据?q=a|b ").unwrap(),
            "https://a.example/%E6%95%B0%E6%8D%AE?q=a%7Cb"
        );
        for bad in ["", "javascript:alert(1)", "data:,x", "file:///etc/passwd", "/data"] {
            assert!(link(bad).is_none(), "{bad}");
        }
    }
}

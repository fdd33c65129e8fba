//! OAI-PMH 2.0 (<https://www.openarchives.org/OAI/openarchivesprotocol.html>): `ListRecords` with simple Dublin Core, by resumption
//! tokens, from a time on, with what the repository says is deleted.

use model::harvest::{Distribution, Record};
use model::{Code, Error, Result};
use policy::port::{HarvestAsk, HarvestPage};
use reqwest::Url;

use super::fetch::{Fetcher, address};
use super::{link, malformed, nameless};
use crate::upstream::field::{Element, tree};
use crate::why::cut;

const XML: &str = "text/xml, application/xml";

pub(super) async fn page(fetcher: &Fetcher, ask: &HarvestAsk<'_>) -> Result<HarvestPage> {
    let mut pairs = vec![("verb", "ListRecords".to_owned())];
    match ask.position {
        Some(token) => pairs.push(("resumptionToken", token.to_owned())),
        None => {
            pairs.push(("metadataPrefix", "oai_dc".to_owned()));
            if !ask.since.is_empty() {
                pairs.push(("from", from(fetcher, ask).await?));
            }
        }
    }
    let answer = fetcher.get(asked(ask.url, &pairs)?, XML, "", ask.most_bytes).await?;
    read(answer.words()?)
}

fn asked(url: &str, pairs: &[(&str, String)]) -> Result<Url> {
    let mut at = address(url)?;
    at.set_query(None);
    at.set_fragment(None);
    at.query_pairs_mut().extend_pairs(pairs);
    Ok(at)
}

/// A time as finely as the repository takes one: by the day, or to the second.
async fn from(fetcher: &Fetcher, ask: &HarvestAsk<'_>) -> Result<String> {
    let url = asked(ask.url, &[("verb", "Identify".to_owned())])?;
    let answer = fetcher.get(url, XML, "", ask.most_bytes).await?;
    let root = whole(answer.words()?)?;
    let said = root.first("Identify").and_then(|i| i.first("granularity"));
    let seconds = said.is_some_and(|g| g.words().len() > "YYYY-MM-DD".len());
    let day: String = ask.since.chars().take(10).collect();
    let time: String = ask.since.chars().take(19).collect();
    Ok(if seconds && time.len() == 19 { format!("{time}Z") } else { day })
}

fn whole(text: &str) -> Result<Element> {
    let root = tree(text).map_err(|e| {
        malformed("不是合法的 XML", "it is not XML that can be read").detail(e.operator_text())
    })?;
    if root.name == "OAI-PMH" {
        Ok(root)
    } else {
        Err(malformed("不是 OAI-PMH 的应答", "it is no answer of OAI-PMH"))
    }
}

fn read(text: &str) -> Result<HarvestPage> {
    let root = whole(text)?;
    if let Some(error) = root.first("error") {
        return match error.attribute("code").unwrap_or_default() {
            "noRecordsMatch" => Ok(HarvestPage::default()),
            code => Err(refused(code)),
        };
    }
    let Some(list) = root.first("ListRecords") else {
        return Err(malformed("没有 ListRecords", "there is no `ListRecords`"));
    };
    let mut page = HarvestPage::default();
    for (n, one) in list.all("record").enumerate() {
        let header = one.first("header");
        let id = header.and_then(|h| h.first("identifier")).map(|i| i.words()).unwrap_or_default();
        let metadata = one.first("metadata").and_then(|m| m.within.first());
        if id.is_empty() {
            let title = metadata.map(|dc| first(dc, "title")).unwrap_or_default();
            page.refused.push(nameless(&format!("#{}", n + 1), &title, "header/identifier"));
        } else if header.and_then(|h| h.attribute("status")) == Some("deleted") {
            page.gone.push(id.to_owned());
        } else if let Some(dc) = metadata {
            let stamp = header.and_then(|h| h.first("datestamp")).map(|d| d.words().to_owned());
            page.records.push(record(dc, id, stamp.unwrap_or_default()));
        } else {
            page.refused.push(super::refusal(
                id,
                "",
                "metadata",
                "没有元数据；请来源方补上",
                "it has no metadata; the source has to give them",
            ));
        }
    }
    let token = list.first("resumptionToken").map(|t| t.words()).unwrap_or_default();
    page.next = (!token.is_empty()).then(|| token.to_owned());
    Ok(page)
}

/// The repository refused the question.
fn refused(code: &str) -> Error {
    let shown = cut(code, 40);
    let lost = code == "badResumptionToken";
    let (zh, en) = match lost {
        true => (
            "续传标记已失效，将重新开始",
            "its resumption token is not valid any more; it begins anew",
        ),
        false => ("来源方拒绝了请求", "it refused the question"),
    };
    Error::new(
        Code::SourceUnavailable,
        format!("OAI-PMH 来源报告 `{shown}`：{zh}"),
        format!("the OAI-PMH source says `{shown}`: {en}"),
    )
}

fn first(dc: &Element, name: &str) -> String {
    dc.all(name).map(Element::words).find(|t| !t.is_empty()).unwrap_or_default().to_owned()
}

fn record(dc: &Element, id: &str, stamp: String) -> Record {
    let texts = |name| dc.all(name).map(Element::words).filter(|t: &&str| !t.is_empty());
    // Titles in other languages come after the first.
    let title_en =
        dc.all("title").find(|t| t.attribute("lang").is_some_and(|l| l.starts_with("en")));
    let title = first(dc, "title");
    let title_en = title_en.map(|t| t.words().to_owned()).filter(|t| *t != title);
    let address = texts("identifier").find_map(link);
    let format = first(dc, "format");
    let ways = texts("relation").chain(texts("source")).filter_map(link);
    let distributions = address.iter().cloned().chain(ways).map(|url| Distribution {
        title: String::new(),
        url,
        format: format.clone(),
        bytes: None,
    });
    Record {
        distributions: distributions.collect(),
        address: address.clone().unwrap_or_default(),
        foreign_id: id.to_owned(),
        title,
        title_en: title_en.unwrap_or_default(),
        description: first(dc, "description"),
        keywords: texts("subject").map(str::to_owned).collect(),
        theme: first(dc, "subject"),
        publisher: match first(dc, "publisher") {
            name if name.is_empty() => first(dc, "creator"),
            name => name,
        },
        licence: first(dc, "rights"),
        modified: stamp,
        frequency: String::new(),
        spatial: first(dc, "coverage"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/"><responseDate>2026-01-02T00:00:00Z</responseDate>
<request verb="ListRecords">https://a.example/oai</request><ListRecords>
<record><header><identifier>oai:a:1</identifier><datestamp>2026-01-01T00:00:00Z</datestamp></header>
<metadata><oai_dc:dc xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:title xml:lang="zh">行道树 &amp; 灌木</dc:title><dc:title xml:lang="en">Trees</dc:title><dc:subject>树木</dc:subject>
<dc:publisher>园林局</dc:publisher><dc:identifier>code-1</dc:identifier><dc:identifier>https://a.example/1</dc:identifier>
<dc:rights>CC BY</dc:rights></oai_dc:dc></metadata></record>
<record><header status="deleted"><identifier>oai:a:2</identifier><datestamp>2026-01-01T00:00:00Z</datestamp></header></record>
<record><header><identifier>oai:a:3</identifier></header></record>
<record><header/></record>
<resumptionToken completeListSize="9">next page</resumptionToken></ListRecords></OAI-PMH>"#;

    #[test]
    fn a_list_is_read_with_what_is_deleted_and_leads_on() {
        let page = read(LIST).unwrap();
        let [one] = page.records.as_slice() else { panic!("{page:?}") };
        assert_eq!((one.foreign_id.as_str(), one.title.as_str()), ("oai:a:1", "行道树 & 灌木"));
        assert_eq!((one.title_en.as_str(), one.address.as_str()), ("Trees", "https://a.example/1"));
        assert_eq!(page.gone, ["oai:a:2"]);
        let fields: Vec<&str> = page.refused.iter().map(|r| r.field.as_str()).collect();
        assert_eq!(fields, ["metadata", "header/identifier"]);
        assert_eq!(page.next.as_deref(), Some("next page"));
    }

    #[test]
    fn errors_are_told_and_no_records_are_none() {
        let error =
            |code: &str| read(&format!("<OAI-PMH><error code=\"{code}\">x</error></OAI-PMH>"));
        assert_eq!(error("noRecordsMatch").unwrap(), HarvestPage::default());
        assert!(error("badResumptionToken").unwrap_err().en().contains("begins anew"));
        for bad in ["", "<html/>", "<OAI-PMH/>", "<!DOCTYPE a [<!ENTITY b \"c\">]><OAI-PMH/>"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}

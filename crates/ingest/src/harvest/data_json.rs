//! data.json: the whole catalogue in one document, in the form of Project Open Data (DCAT-US 1.1).

use model::Result;
use model::harvest::{Distribution, Record};
use policy::port::{HarvestAsk, HarvestPage};
use serde_json::Value as Json;

use super::fetch::{Fetcher, address};
use super::{any, json, link, list, malformed, nameless, refusal, text};

pub(super) async fn page(fetcher: &Fetcher, ask: &HarvestAsk<'_>) -> Result<HarvestPage> {
    let url = address(ask.url)?;
    let answer = fetcher.get(url, "application/json", ask.mark, ask.most_bytes).await?;
    if answer.untouched {
        return Ok(HarvestPage { untouched: true, mark: answer.mark, ..HarvestPage::default() });
    }
    let page = read(answer.words()?)?;
    Ok(HarvestPage { mark: answer.mark, ..page })
}

fn read(body: &str) -> Result<HarvestPage> {
    let whole = json(body)?;
    let Some(found) = whole.get("dataset").and_then(Json::as_array) else {
        return Err(malformed("没有 dataset 列表", "there is no list `dataset`"));
    };
    let mut page = HarvestPage::default();
    for (n, dataset) in found.iter().enumerate() {
        let (id, title) = (text(dataset, "identifier"), text(dataset, "title"));
        let level = text(dataset, "accessLevel");
        if id.is_empty() {
            page.refused.push(nameless(&format!("#{}", n + 1), &title, "identifier"));
        } else if !level.is_empty() && !level.eq_ignore_ascii_case("public") {
            page.refused.push(refusal(
                &id,
                &title,
                "accessLevel",
                "不是公开（public）的数据集，只采集公开的",
                "it is not public, and only what is public is taken",
            ));
        } else {
            page.records.push(record(dataset, id, title));
        }
    }
    Ok(page)
}

fn record(dataset: &Json, foreign_id: String, title: String) -> Record {
    let keywords = list(dataset, "keyword").iter().filter_map(Json::as_str);
    let landing = link(&text(dataset, "landingPage"));
    let distributions = list(dataset, "distribution").iter().filter_map(|d| {
        let url = link(&text(d, "downloadURL")).or_else(|| link(&text(d, "accessURL")))?;
        Some(Distribution {
            title: text(d, "title"),
            url,
            format: any(d, &["format", "mediaType"]),
            bytes: None,
        })
    });
    Record {
        address: landing.or_else(|| link(&foreign_id)).unwrap_or_default(),
        title,
        title_en: String::new(),
        description: text(dataset, "description"),
        keywords: keywords.map(|k| k.trim().to_owned()).filter(|k| !k.is_empty()).collect(),
        theme: text(dataset, "theme"),
        publisher: dataset.get("publisher").map(|p| text(p, "name")).unwrap_or_default(),
        licence: text(dataset, "license"),
        modified: text(dataset, "modified"),
        frequency: text(dataset, "accrualPeriodicity"),
        spatial: text(dataset, "spatial"),
        distributions: distributions.collect(),
        foreign_id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_with_what_cannot_be_taken() {
        let page = read(
            r#"{"dataset": [
            {"identifier": "1", "title": "行道树", "description": "每棵树", "keyword": ["树木", " "], "theme": ["环境"],
             "publisher": {"name": "园林局"}, "license": "https://a.example/by", "modified": "2026-01-02",
             "accrualPeriodicity": "R/P1M", "accessLevel": "public", "landingPage": "https://a.example/1",
             "distribution": [{"title": "CSV", "downloadURL": "https://a.example/1.csv", "mediaType": "text/csv"},
                              {"title": "坏", "accessURL": "data:x"}]},
            {"identifier": "2", "title": "内部", "accessLevel": "non-public"},
            {"title": "没有编号"}]}"#,
        )
        .unwrap();
        let [one] = page.records.as_slice() else { panic!("{page:?}") };
        assert_eq!(
            (one.keywords.as_slice(), one.theme.as_str()),
            (&["树木".to_owned()][..], "环境")
        );
        assert_eq!((one.publisher.as_str(), one.frequency.as_str()), ("园林局", "R/P1M"));
        assert_eq!(one.distributions.len(), 1);
        let fields: Vec<&str> = page.refused.iter().map(|r| r.field.as_str()).collect();
        assert_eq!(fields, ["accessLevel", "identifier"]);
        for bad in ["", "[]", "{}", "{\"dataset\": 1}"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}

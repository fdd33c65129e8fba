//! CKAN's Action API: `package_search`, sorted by id so that pages stay what they are, or by what has changed since a time.
//!
//! A page's position is `START/COUNT`. When the count changes on the way, records may have moved over the edge of a page: the page says
//! so, and what was not seen is not taken for gone.

use model::harvest::{Distribution, Record};
use model::{Error, Result};
use policy::port::{HarvestAsk, HarvestPage};
use reqwest::Url;
use serde_json::Value as Json;

use super::fetch::{Fetcher, address};
use super::{any, json, link, list, malformed, nameless, text};

/// The address of an action, of a site's address or of its API's.
fn action(url: &str, name: &str) -> Result<Url> {
    let mut at = address(url)?;
    at.set_query(None);
    at.set_fragment(None);
    let path = at.path().trim_end_matches('/').to_owned();
    let path = match path.find("/api/3") {
        Some(end) => path.get(..end).unwrap_or_default().to_owned(),
        None => path,
    };
    at.set_path(&format!("{path}/api/3/action/{name}"));
    Ok(at)
}

pub(super) async fn page(fetcher: &Fetcher, ask: &HarvestAsk<'_>) -> Result<HarvestPage> {
    let (start, counted) = place(ask.position)?;
    let mut url = action(ask.url, "package_search")?;
    let rows = ask.records.clamp(1, 1000);
    {
        let mut pairs = url.query_pairs_mut();
        pairs.append_pair("rows", &rows.to_string()).append_pair("start", &start.to_string());
        if ask.since.is_empty() {
            pairs.append_pair("sort", "id asc");
        } else {
            pairs.append_pair("sort", "metadata_modified asc");
            pairs.append_pair("fq", &format!("metadata_modified:[{} TO *]", ask.since));
        }
    }
    let answer = fetcher.get(url, "application/json", "", ask.most_bytes).await?;
    read(answer.words()?, ask.url, start, counted)
}

/// Where a page begins, and how many records there were when the first was read.
fn place(position: Option<&str>) -> Result<(u64, Option<u64>)> {
    let Some(position) = position else { return Ok((0, None)) };
    let parts = position.split_once('/');
    let read = parts.and_then(|(s, c)| Some((s.parse().ok()?, Some(c.parse().ok()?))));
    read.ok_or_else(|| Error::internal("a position of a harvest that nobody wrote"))
}

fn read(body: &str, url: &str, start: u64, counted: Option<u64>) -> Result<HarvestPage> {
    let whole = json(body)?;
    if whole.get("success").and_then(Json::as_bool) != Some(true) {
        return Err(malformed("CKAN 报告失败", "CKAN says that it failed"));
    }
    let result = whole.get("result").unwrap_or(&Json::Null);
    let (Some(count), Some(found)) = (
        result.get("count").and_then(Json::as_u64),
        result.get("results").and_then(Json::as_array),
    ) else {
        return Err(malformed("没有 count 和 results", "there is no `count` and `results`"));
    };
    let mut page = HarvestPage::default();
    for (n, package) in found.iter().enumerate() {
        let id = any(package, &["id", "name"]);
        if id.is_empty() {
            let at = format!("#{}", start.saturating_add(n as u64).saturating_add(1));
            page.refused.push(nameless(&at, &text(package, "title"), "id"));
        } else if text(package, "state") == "deleted" {
            page.gone.push(id);
        } else if package.get("private").and_then(Json::as_bool) != Some(true) {
            page.records.push(record(package, id, url));
        }
    }
    page.moved = counted.is_some_and(|before| before != count);
    let end = start.saturating_add(found.len() as u64);
    page.next =
        (!found.is_empty() && end < count).then(|| format!("{end}/{}", counted.unwrap_or(count)));
    Ok(page)
}

/// One package as a client writes it: nothing is asked for, and it has no page of its own.
pub(super) fn told(document: &str) -> Result<Record> {
    let package: Json = serde_json::from_str(document).map_err(|e| object().caused_by(e))?;
    if !package.is_object() {
        return Err(object());
    }
    let id = any(&package, &["name", "id"]);
    Ok(record(&package, id, ""))
}

fn object() -> Error {
    Error::invalid("数据集应为 JSON 对象", "a data set is an object of JSON")
}

fn record(package: &Json, foreign_id: String, url: &str) -> Record {
    let extra = |names: &[&str]| {
        let found = list(package, "extras")
            .iter()
            .find(|e| names.contains(&text(e, "key").as_str()))
            .map(|e| text(e, "value"));
        found.unwrap_or_default()
    };
    let within = |object: &str, names: &[&str]| {
        package.get(object).map(|o| any(o, names)).unwrap_or_default()
    };
    let group = list(package, "groups").first();
    let tags = list(package, "tags").iter().map(|t| any(t, &["display_name", "name"]));
    let distributions = list(package, "resources").iter().filter_map(|r| {
        Some(Distribution {
            title: text(r, "name"),
            url: link(&text(r, "url"))?,
            format: any(r, &["format", "mimetype"]),
            bytes: size(r.get("size")),
        })
    });
    Record {
        address: page_of(url, &any(package, &["name", "id"])),
        title: any(package, &["title", "name", "id"]),
        title_en: match extra(&["title_en"]) {
            title if title.is_empty() => within("title_translated", &["en"]),
            title => title,
        },
        description: text(package, "notes"),
        keywords: tags.filter(|t| !t.is_empty()).collect(),
        theme: group.map(|g| any(g, &["title", "display_name", "name"])).unwrap_or_default(),
        publisher: within("organization", &["title", "name"]),
        licence: any(package, &["license_title", "license_id"]),
        modified: text(package, "metadata_modified"),
        frequency: extra(&["update_cycle", "frequency", "accrual_periodicity", "update_frequency"]),
        spatial: extra(&["region", "spatial", "spatial_text"]),
        distributions: distributions.collect(),
        foreign_id,
    }
}

/// A size in bytes, as a number or as a text; some sites say nought where they do not know it.
fn size(told: Option<&Json>) -> Option<u64> {
    let bytes = match told? {
        Json::Number(n) => n.as_u64(),
        Json::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    bytes.filter(|n| *n > 0)
}

/// The page of a data set on the same site.
fn page_of(url: &str, name: &str) -> String {
    let Ok(mut at) = action(url, "") else { return String::new() };
    let path = at.path().trim_end_matches("/api/3/action/").to_owned();
    at.set_path(&path);
    if let Ok(mut parts) = at.path_segments_mut() {
        parts.pop_if_empty().push("dataset").push(name);
    }
    link(at.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"{"success": true, "result": {"count": 5, "results": [
        {"id": "a-1", "name": "trees", "title": "行道树", "notes": "每棵树", "private": false, "state": "active",
         "metadata_modified": "2026-01-02T03:04:05.000000", "license_title": "CC BY",
         "tags": [{"name": "tree", "display_name": "树木"}, {"name": ""}],
         "groups": [{"title": "环境"}], "organization": {"title": "园林局", "name": "yl"},
         "extras": [{"key": "update_cycle", "value": "monthly"}, {"key": "region", "value": "330106"}],
         "resources": [{"name": "全部", "url": "https://a.example/trees.csv", "format": "CSV", "size": "2048"},
                       {"name": "坏", "url": "javascript:alert(1)", "format": ""}]},
        {"id": "b", "name": "secret", "title": "x", "private": true},
        {"id": "c", "state": "deleted"},
        {"title": "没有编号"}]}}"#;

    #[test]
    fn a_page_is_read_with_what_is_private_gone_or_nameless() {
        let page = read(PAGE, "https://a.example/data/", 0, None).unwrap();
        let [one] = page.records.as_slice() else { panic!("{page:?}") };
        assert_eq!((one.foreign_id.as_str(), one.title.as_str()), ("a-1", "行道树"));
        assert_eq!(one.address, "https://a.example/data/dataset/trees");
        assert_eq!(one.keywords, ["树木"]);
        assert_eq!((one.theme.as_str(), one.publisher.as_str()), ("环境", "园林局"));
        assert_eq!((one.frequency.as_str(), one.spatial.as_str()), ("monthly", "330106"));
        let [way] = one.distributions.as_slice() else { panic!("{one:?}") };
        assert_eq!((way.format.as_str(), way.bytes), ("CSV", Some(2048)));
        assert_eq!(page.gone, ["c"]);
        assert_eq!(page.refused[0].field, "id");
        assert_eq!(page.next.as_deref(), Some("4/5"));
    }

    #[test]
    fn what_a_client_writes_is_read_as_a_page_is() {
        let whole: Json = serde_json::from_str(PAGE).unwrap();
        let package = &whole["result"]["results"][0];
        let one = told(&package.to_string()).unwrap();
        let page = read(PAGE, "https://a.example/", 0, None).unwrap();
        let from_page = &page.records[0];
        assert_eq!((one.foreign_id.as_str(), one.address.as_str()), ("trees", ""));
        let same = Record {
            foreign_id: from_page.foreign_id.clone(),
            address: from_page.address.clone(),
            ..one
        };
        assert_eq!(same, *from_page);
        assert!(told("[]").is_err() && told("{").is_err());
    }

    #[test]
    fn a_size_is_a_number_above_nought() {
        for (told, bytes) in
            [("12", Some(12)), ("\"34\"", Some(34)), ("0", None), ("-1", None), ("\"1 MB\"", None)]
        {
            let told: Json = serde_json::from_str(told).unwrap();
            assert_eq!(size(Some(&told)), bytes, "{told}");
        }
        assert_eq!(size(None), None);
    }

    #[test]
    fn a_count_that_changes_on_the_way_is_told() {
        let page = read(PAGE, "https://a.example/", 4, Some(9)).unwrap();
        assert!(page.moved && page.next.is_none());
        assert!(!read(PAGE, "https://a.example/", 0, Some(5)).unwrap().moved);
        assert_eq!(place(Some("4/5")).unwrap(), (4, Some(5)));
        assert!(place(Some("x")).is_err());
    }

    #[test]
    fn an_action_is_found_from_either_address() {
        for url in
            ["https://a.example/x", "https://a.example/x/api/3/action/", "https://a.example/x/?q=1"]
        {
            let at = action(url, "package_search").unwrap();
            assert_eq!(at.as_str(), "https://a.example/x/api/3/action/package_search", "{url}");
        }
        for bad in ["", "{", "{\"success\": false}", "{\"success\": true, \"result\": {}}"] {
            assert!(read(bad, "https://a.example/", 0, None).is_err(), "{bad}");
        }
    }
}

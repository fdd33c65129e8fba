//! OGC API Records: the open catalogue as a collection, searched by the platform's own search.

use app::opening::{self, Dataset, Head};
use model::code::Domain;
use model::entry::Entry;
use model::harvest::{Distribution, HarvestOrigin};
use model::search::{SearchQuery, When, Within};
use model::{Code, Error, Op, Result};
use serde_json::{Map, Value, json};

use super::params::{self, Window};
use super::{CATALOGUE, GEO_JSON, JSON, link};
use crate::Door;

/// Most records of a page, and where they are only reached by narrowing the search.
const MOST: u64 = 1000;
const DEEPEST: u64 = 100_000;

pub(super) async fn items(door: &Door, op: &Op, query: &str) -> Result<Value> {
    let asked = params::pairs(query);
    let mut window = Window::default();
    let (mut all, mut text, mut offset, mut sort) =
        (Vec::new(), String::new(), 0_u64, "changed_at");
    for (name, value) in &asked {
        if window.take(name, value, MOST)? {
            continue;
        }
        let listed = || value.split(',').map(str::trim).filter(|v| !v.is_empty());
        match name.as_str() {
            "q" if value.contains(',') => {
                all.push(Within::Or(listed().map(|w| Within::Words(w.to_owned())).collect()));
            }
            "q" => text.clone_from(value),
            "type" if listed().any(|t| t.eq_ignore_ascii_case("dataset")) => {}
            // There are no records of other types.
            "type" => all.push(Within::Or(Vec::new())),
            "ids" => {
                all.push(Within::Or(listed().map(|id| Within::Named(id.to_owned())).collect()))
            }
            "offset" | "startindex" => {
                let number = value.trim().parse::<u64>().ok().filter(|n| *n <= DEEPEST);
                offset = number.ok_or_else(|| {
                    Error::new(
                        Code::InvalidQuery,
                        format!("offset 应为 0 至 {DEEPEST} 的整数"),
                        format!("`offset` is a whole number up to {DEEPEST}"),
                    )
                })?;
            }
            "sortby" => {
                sort = match value.as_str() {
                    "-updated" => "changed_at",
                    "updated" | "+updated" => "changed_at asc",
                    "-created" => "published_at",
                    "created" | "+created" => "published_at asc",
                    _ => {
                        return Err(Error::new(
                            Code::InvalidQuery,
                            "sortby 可用：updated、created，前加 - 为倒序",
                            "`sortby` takes updated or created, with - before it for the newest first",
                        ));
                    }
                };
            }
            other => return Err(params::unknown(other)),
        }
    }
    if let Some((from, to)) = window.time.take() {
        all.push(Within::Time { when: When::Changed, from, to });
    }
    let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    // A data set lies nowhere in particular: a box leaves none of them out.
    let ask = SearchQuery {
        sort: if text.trim().is_empty() { sort } else { "relevance" }.to_owned(),
        text,
        within: (!all.is_empty()).then_some(Within::And(all)),
        facets: Some(Vec::new()),
        offset: small(offset),
        limit: small(window.limit),
        ..SearchQuery::default()
    };
    let page = opening::search(&door.app, op, ask).await?;
    let ids: Vec<String> = page.hits.into_iter().map(|h| h.doc.id).collect();
    let heads = opening::heads(&door.app, op, &ids).await?;
    let base = &door.config.public_url;
    let codes: Vec<&str> = heads.iter().map(|h| h.entry.draft.code.as_str()).collect();
    let origins = app::harvest::origins(&door.app, &codes).await?;
    let found: Vec<Value> =
        heads.iter().map(|h| of_head(base, h, origins.get(&h.entry.draft.code))).collect();
    let here = format!("{base}/ogc/collections/{CATALOGUE}");
    let own = params::with(&asked, &[]);
    let mark = if own.is_empty() { "" } else { "?" };
    let mut links = vec![
        link(&format!("{here}/items{mark}{own}"), "self", GEO_JSON, "本页 / this page"),
        link(&here, "collection", JSON, "目录 / the catalogue"),
    ];
    let next = offset.saturating_add(window.limit);
    if next < page.total && next <= DEEPEST {
        let on = params::with(&asked, &[("offset", next.to_string())]);
        links.push(link(&format!("{here}/items?{on}"), "next", GEO_JSON, "下一页 / next page"));
    }
    Ok(json!({
        "type": "FeatureCollection", "timeStamp": op.stamp(), "numberMatched": page.total,
        "numberReturned": found.len(), "features": found, "links": links,
    }))
}

pub(super) async fn item(door: &Door, op: &Op, id: &str) -> Result<Value> {
    let dataset: Dataset = opening::found(&door.app, op, id).await?;
    let origin = app::harvest::origin(&door.app, &dataset.entry.draft.code).await?;
    let names = (dataset.org_name.as_str(), dataset.org_name_en.as_str());
    let base = &door.config.public_url;
    Ok(record(base, &dataset.entry, names, dataset.free, origin.as_ref()))
}

fn of_head(base: &str, head: &Head, origin: Option<&HarvestOrigin>) -> Value {
    let id = head.entry.draft.org.as_str();
    let names = head.org.as_ref().map_or((id, id), |o| (o.name_cn.as_str(), o.name_en.as_str()));
    record(base, &head.entry, names, head.free(), origin)
}

/// A data set as a record; of one that another catalogue brought with where it comes from and the ways to its data there. Links of the
/// declaration come last.
fn record(
    base: &str,
    entry: &Entry,
    (org, org_en): (&str, &str),
    free: bool,
    origin: Option<&HarvestOrigin>,
) -> Value {
    let d = &entry.draft;
    let published = entry.published_at.as_deref().unwrap_or(&entry.created_at);
    let updated = entry.data_at.as_deref().map_or(published, |data| data.max(published));
    let mut properties = Map::new();
    for (key, value) in [
        ("type", json!("dataset")),
        ("title", json!(d.title)),
        ("title_en", json!(d.title_en)),
        ("description", json!(d.description)),
        ("keywords", json!(d.tags)),
        ("language", json!({ "code": "zh" })),
        ("created", json!(published)),
        ("updated", json!(updated)),
        ("license", json!(d.licence)),
        ("rights", json!(d.open_condition)),
        ("contacts", contacts((org, org_en), origin)),
        ("themes", json!([theme(d.domain)])),
        ("formats", json!(formats(entry, free, origin))),
        ("externalIds", external(origin)),
    ] {
        if value != "" && !value.is_null() {
            properties.insert(key.into(), value);
        }
    }
    let here = format!("{base}/ogc/collections/{CATALOGUE}");
    let mut links = vec![
        link(&format!("{here}/items/{}", d.code), "self", GEO_JSON, "本记录 / this record"),
        link(&here, "collection", JSON, "目录 / the catalogue"),
        link(&format!("{base}/dataset/{}", d.code), "alternate", "text/turtle", "DCAT"),
    ];
    if let Some(origin) = origin {
        links.extend(elsewhere(origin));
    } else if free && !entry.linked_only() {
        let csv = format!("{base}/datastore/dump/{}-csv?format=csv", entry.id);
        links.push(link(&csv, "enclosure", "text/csv", "全部数据 / all rows"));
    }
    links.extend(d.profile.ways().map(|(way, host)| enclosure(&way, host)));
    json!({
        "id": d.code, "type": "Feature", "geometry": null, "time": null, "properties": properties, "links": links,
        "conformsTo": ["http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/record-core"],
    })
}

/// Who publishes it; of what another catalogue brought whoever does there, and who tells of it here.
fn contacts((org, org_en): (&str, &str), origin: Option<&HarvestOrigin>) -> Value {
    match origin {
        Some(origin) => json!([
            { "name": origin.publisher(), "roles": ["publisher"] },
            { "name": org, "organization": org_en, "roles": ["distributor"] },
        ]),
        None => json!([{ "name": org, "organization": org_en, "roles": ["publisher"] }]),
    }
}

/// Formats that its rows are to be had in, here or elsewhere, each once.
fn formats(entry: &Entry, free: bool, origin: Option<&HarvestOrigin>) -> Vec<String> {
    let own: &[&str] = match origin {
        None if free && !entry.linked_only() => &["CSV", "JSON"],
        _ => &[],
    };
    let mut formats: Vec<String> = own.iter().map(|word| (*word).to_owned()).collect();
    let there = origin.into_iter().flat_map(HarvestOrigin::ways);
    let there = there.map(|(way, _)| way.word().to_owned());
    let linked = entry.draft.profile.ways().map(|(way, _)| way.word().to_owned());
    for word in there.chain(linked) {
        if !word.is_empty() && !formats.contains(&word) {
            formats.push(word);
        }
    }
    formats
}

/// The identifier that another catalogue has for it, in that catalogue's scheme.
fn external(origin: Option<&HarvestOrigin>) -> Value {
    origin.map_or(
        Value::Null,
        |origin| json!([{ "scheme": origin.source_name, "value": origin.foreign_id }]),
    )
}

/// Links to where another catalogue has it: its page there (`via`), and the ways to its data.
fn elsewhere(origin: &HarvestOrigin) -> Vec<Value> {
    let page = origin.page().map(|(url, _)| {
        let title = format!("{}：原始页面 / its page at the source", origin.source_name);
        link(url, "via", "text/html", &title)
    });
    let ways = origin.ways().map(|(way, host)| enclosure(way, host));
    page.into_iter().chain(ways).collect()
}

/// A way to data that are not here, told by its title or the host that it leads to.
fn enclosure(way: &Distribution, host: &str) -> Value {
    let title = if way.title.trim().is_empty() { host } else { way.title.trim() };
    let kind = Some(way.media_type()).filter(|m| !m.is_empty());
    link(&way.url, "enclosure", kind.unwrap_or("application/octet-stream"), title)
}

fn theme(domain: Domain) -> Value {
    json!({
        "concepts": [{ "id": domain.as_str(), "title": domain.zh(), "description": domain.en() }],
        "scheme": "数据领域 / domains of data",
    })
}

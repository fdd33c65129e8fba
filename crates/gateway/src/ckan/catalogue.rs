//! Actions over data sets and their resources: search, look up, views.

use std::collections::HashMap;

use app::opening::{self, Head};
use model::Op;
use model::code::Domain;
use model::harvest::HarvestOrigin;
use model::org::Org;
use model::search::{SearchPage, SearchQuery, Within};
use serde_json::{Map, Value, json};

use super::fault::Fault;
use super::params::Params;
use super::query::{self, Sort};
use super::shape::{self, Shown};
use crate::Door;

/// Most data sets of one answer; more are asked for by `start`.
pub(super) const MOST: u64 = 1000;
/// Where data sets begin that are only reached by narrowing the search.
const DEEPEST: u64 = 100_000;

/// Facets of CKAN by the names of the search port's.
const FACETS: &[(&str, &str)] = &[
    ("organization", "org"),
    ("owner_org", "org"),
    ("groups", "domain"),
    ("res_format", shape::OFFERED),
    ("region", "region"),
    ("update_cycle", "update_cycle"),
    ("open_type", "open_type"),
    ("grade", "grade"),
];
/// Facets that clients ask for and that are not counted here: they are told as empty.
const UNCOUNTED: &[&str] = &["tags", "license_id", "state", "type", "dataset_type", "author"];

pub(crate) async fn search(door: &Door, op: &Op, params: &Params) -> Result<Value, Fault> {
    let known = opening::organisations(&door.app, op).await?;
    let mut filters = params.list("fq_list");
    if let Some(fq) = params.text("fq") {
        filters.push(fq);
    }
    let asked = query::read(&params.text("q").unwrap_or_default(), &filters, &known)?;
    let written = params.text("sort").filter(|s| !s.trim().is_empty());
    // As CKAN sorts where nothing is said.
    let written = written.unwrap_or_else(|| "score desc, metadata_modified desc".to_owned());
    let sort = query::sort(&written)?;
    let rows = params.number("rows", 10)?.min(MOST);
    let start = params.number("start", 0)?;
    if start > DEEPEST {
        return Err(Fault::query(
            &format!("start 最大为 {DEEPEST}，请缩小条件，如按 metadata_modified 分段"),
            &format!(
                "start is at most {DEEPEST}: narrow the query, by metadata_modified for instance"
            ),
        ));
    }
    let wanted = match params.flag("facet", true) {
        true => params.list("facet.field"),
        false => Vec::new(),
    };
    let facets = facets(&wanted)?;
    let mut counts: Vec<&str> = facets.iter().filter_map(|(_, own)| *own).collect();
    if counts.contains(&shape::OFFERED) {
        counts.push(shape::LINKED);
    }
    let mut ask = SearchQuery {
        text: asked.text,
        within: asked.within,
        facets: Some(counts.into_iter().map(str::to_owned).collect()),
        ..SearchQuery::default()
    };
    // Words rank; without any the newest change comes first.
    let page = match sort {
        Sort::Port(word) => {
            let ranked = word == "relevance" && ask.text.trim().is_empty();
            ask.sort = if ranked { "changed_at" } else { word }.to_owned();
            (ask.offset, ask.limit) = (small(start), small(rows));
            found(door, op, ask).await?
        }
        Sort::Name { title, descending } => {
            ask.sort = "id asc".to_owned();
            ask.limit = small(MOST);
            let mut page = found(door, op, ask).await?;
            if page.total > MOST {
                return Err(Fault::query(
                    &format!(
                        "结果超过 {MOST} 个，不能按名称排序；请缩小条件，或按 metadata_modified、id 排序"
                    ),
                    &format!(
                        "more than {MOST} are found, which are not sorted by name: narrow the query, or sort by metadata_modified or id"
                    ),
                ));
            }
            page.hits.sort_by(|a, b| match title {
                true => a.doc.title.cmp(&b.doc.title).then_with(|| a.doc.code.cmp(&b.doc.code)),
                false => a.doc.code.cmp(&b.doc.code),
            });
            if descending {
                page.hits.reverse();
            }
            let skipped = page.hits.into_iter().skip(usize::try_from(start).unwrap_or(usize::MAX));
            page.hits = skipped.take(usize::try_from(rows).unwrap_or(0)).collect();
            page
        }
    };
    let ids: Vec<String> = page.hits.iter().map(|h| h.doc.id.clone()).collect();
    let results = packages(door, op, &ids).await?;
    let least = params.number("facet.mincount", 1)?;
    let most = params.text("facet.limit").and_then(|t| t.trim().parse::<i64>().ok()).unwrap_or(50);
    let (plain, told) = counted(&page, &facets, &known, least, most);
    Ok(json!({
        "count": page.total, "sort": written, "results": results,
        "facets": plain, "search_facets": told,
    }))
}

async fn found(door: &Door, op: &Op, ask: SearchQuery) -> Result<SearchPage, Fault> {
    opening::search(&door.app, op, ask).await.map_err(|e| match e.kind() {
        model::Kind::Invalid => Fault::query(e.zh(), e.en()),
        _ => e.into(),
    })
}

fn small(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The facets asked for, each with the search port's name where it counts it.
fn facets(wanted: &[String]) -> Result<Vec<(String, Option<&'static str>)>, Fault> {
    let mut out = Vec::new();
    for name in wanted {
        let plain = name.strip_prefix("extras_").unwrap_or(name);
        let own = FACETS.iter().find(|(ckan, _)| *ckan == plain).map(|(_, own)| *own);
        if own.is_none() && !UNCOUNTED.contains(&plain) {
            let shown: String = name.chars().take(60).collect();
            let known: Vec<&str> = FACETS.iter().map(|(ckan, _)| *ckan).collect();
            let known = known.join(", ");
            return Err(Fault::query(
                &format!("没有可统计的字段 `{shown}`，可用：{known}"),
                &format!("undefined field `{shown}` to be counted; use one of {known}"),
            ));
        }
        out.push((name.clone(), own));
    }
    Ok(out)
}

/// The counts of one facet, the most first; of formats those of resources.
fn values_of<'a>(page: &'a SearchPage, own: &str) -> Vec<&'a (String, u64)> {
    let facets = page.facets.iter();
    if own != shape::OFFERED {
        return facets.filter(|(name, _)| name == own).flat_map(|(_, values)| values).collect();
    }
    // Each format is counted by one facet of two.
    let told = facets.flat_map(|(name, values)| {
        values.iter().filter(move |(value, _)| name == shape::format_facet(value))
    });
    let mut all: Vec<_> = told.collect();
    all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    all
}

/// Counts in both forms that clients read.
fn counted(
    page: &SearchPage,
    facets: &[(String, Option<&'static str>)],
    known: &[Org],
    least: u64,
    most: i64,
) -> (Value, Value) {
    let (mut plain, mut told) = (Map::new(), Map::new());
    for (name, own) in facets {
        let values = own.map(|own| values_of(page, own)).unwrap_or_default();
        // A limit below nought is none.
        let limit = usize::try_from(most).unwrap_or(usize::MAX);
        let (mut counts, mut items) = (Map::new(), Vec::new());
        for (value, count) in values.into_iter().filter(|(_, n)| *n >= least).take(limit) {
            let (key, title) = match *own {
                Some("org") => {
                    let org = known.iter().find(|o| o.id == *value);
                    let title = org.map_or(value.as_str(), |o| o.name_cn.as_str());
                    (shape::name(value), title.to_owned())
                }
                Some("domain") => {
                    let key = Domain::parse(value).map_or_else(|| value.clone(), shape::group_name);
                    (key, shape::facet_title("groups", value))
                }
                _ => (value.clone(), shape::facet_title(name, value)),
            };
            items.push(json!({ "name": key, "display_name": title, "count": count }));
            counts.insert(key, (*count).into());
        }
        plain.insert(name.clone(), Value::Object(counts));
        told.insert(name.clone(), json!({ "title": name, "items": items }));
    }
    (Value::Object(plain), Value::Object(told))
}

/// One data set by id or name.
pub(crate) async fn show(door: &Door, op: &Op, params: &Params) -> Result<Value, Fault> {
    let id = match params.text("name_or_id") {
        Some(id) if params.get("id").is_none() => id,
        _ => params.wanted("id")?,
    };
    let dataset = opening::found(&door.app, op, &id).await?;
    let origin = app::harvest::origin(&door.app, &dataset.entry.draft.code).await?;
    Ok(shape::package(&door.config.public_url, &Shown::of(&dataset, origin.as_ref())))
}

/// The data set of a resource, by the resource's id; a table is also known by its data set's id or name.
pub(super) async fn of_resource(
    door: &Door,
    op: &Op,
    id: &str,
) -> Result<(opening::Dataset, String), Fault> {
    let missing = || {
        let shown: String = id.chars().take(120).collect();
        Fault::not_found(
            &format!("没有找到资源 `{shown}`"),
            &format!("resource `{shown}` was not found"),
        )
    };
    let (name, word) = shape::of_resource(id).unwrap_or((id, shape::TABLE));
    let dataset = match opening::found(&door.app, op, name).await {
        Ok(dataset) => dataset,
        Err(e) if e.kind() == model::Kind::NotFound => {
            // A name may hold a dash itself.
            match opening::found(&door.app, op, id).await {
                Ok(dataset) => return Ok((dataset, shape::TABLE.to_owned())),
                Err(e) if e.kind() == model::Kind::NotFound => return Err(missing()),
                Err(e) => return Err(e.into()),
            }
        }
        Err(e) => return Err(e.into()),
    };
    Ok((dataset, word.to_owned()))
}

pub(super) async fn resource(door: &Door, op: &Op, params: &Params) -> Result<Value, Fault> {
    let id = params.wanted("id")?;
    let (dataset, word) = of_resource(door, op, &id).await?;
    let wanted = shape::resource_id(&dataset.entry, &word);
    let origin = app::harvest::origin(&door.app, &dataset.entry.draft.code).await?;
    let shown = Shown::of(&dataset, origin.as_ref());
    let all = shape::resources(&door.config.public_url, &shown);
    let one = all.into_iter().find(|r| r.get("id").and_then(Value::as_str) == Some(&wanted));
    one.ok_or_else(|| {
        let shown: String = id.chars().take(120).collect();
        Fault::not_found(
            &format!("没有找到资源 `{shown}`"),
            &format!("resource `{shown}` was not found"),
        )
    })
}

/// Views of a resource: there are none here, but the resource must be known.
pub(super) async fn views(door: &Door, op: &Op, params: &Params) -> Result<Value, Fault> {
    resource(door, op, params).await.map(|_| json!([]))
}

/// `query=name:水质`, `query=format:csv`: resources of the data sets that are found by it.
pub(super) async fn resources(door: &Door, op: &Op, params: &Params) -> Result<Value, Fault> {
    let terms = params.list("query");
    if terms.is_empty() {
        return Err(Fault::missing("query"));
    }
    let (mut within, mut format, mut texts) = (Vec::new(), None, Vec::new());
    for term in &terms {
        let Some((field, value)) = term.split_once(':') else {
            return Err(Fault::invalid(
                "query",
                "应形如 字段:值",
                "must be in the form <field>:<value>",
            ));
        };
        match field {
            "name" | "description" => texts.push(value.to_owned()),
            "format" => format = Some(shape::format(value)),
            _ => {
                return Err(Fault::invalid(
                    "query",
                    "可检索的资源字段：name、description、format",
                    "fields of resources that can be searched: name, description, format",
                ));
            }
        }
    }
    within.extend(texts.iter().map(|t| Within::Title(t.clone())));
    if let Some(value) = &format {
        let name = shape::format_facet(value).to_owned();
        within.push(Within::Facet { name, value: value.clone() });
    }
    let (offset, limit) = (params.number("offset", 0)?, params.number("limit", 100)?.min(MOST));
    let ask = SearchQuery {
        within: Some(Within::And(within)),
        facets: Some(Vec::new()),
        sort: "id asc".into(),
        offset: small(offset.min(DEEPEST)),
        limit: small(limit),
        ..SearchQuery::default()
    };
    let page = found(door, op, ask).await?;
    let ids: Vec<String> = page.hits.iter().map(|h| h.doc.id.clone()).collect();
    let (heads, origins) = brought(door, op, &ids).await?;
    let base = &door.config.public_url;
    let all = heads
        .iter()
        .flat_map(|h| shape::resources(base, &Shown::of_head(h, origins.get(&h.entry.draft.code))));
    let fits = |r: &Value| {
        let own = r.get("format").and_then(Value::as_str).unwrap_or_default();
        format.as_deref().is_none_or(|f| f.eq_ignore_ascii_case(own))
    };
    let results: Vec<Value> = all.filter(fits).collect();
    Ok(json!({ "count": results.len(), "results": results }))
}

/// Data sets of a group, as a list.
pub(super) async fn of_group(door: &Door, op: &Op, params: &Params) -> Result<Value, Fault> {
    let id = params.wanted("id")?;
    let domain = super::listed::domain(&id)?;
    let within = Within::Facet { name: "domain".into(), value: domain.as_str().into() };
    listed(door, op, within, params.number("limit", MOST)?.min(MOST)).await.map(Value::Array)
}

/// Data sets that an expression holds, newest change first.
pub(super) async fn listed(
    door: &Door,
    op: &Op,
    within: Within,
    limit: u64,
) -> Result<Vec<Value>, Fault> {
    let ask = SearchQuery {
        within: Some(within),
        facets: Some(Vec::new()),
        sort: "changed_at".into(),
        limit: small(limit),
        ..SearchQuery::default()
    };
    let page = found(door, op, ask).await?;
    let ids: Vec<String> = page.hits.iter().map(|h| h.doc.id.clone()).collect();
    packages(door, op, &ids).await
}

/// Data sets by id without those that are not open, each with where it comes from.
async fn brought(
    door: &Door,
    op: &Op,
    ids: &[String],
) -> Result<(Vec<Head>, HashMap<String, HarvestOrigin>), Fault> {
    let heads = opening::heads(&door.app, op, ids).await?;
    let codes: Vec<&str> = heads.iter().map(|h| h.entry.draft.code.as_str()).collect();
    let origins = app::harvest::origins(&door.app, &codes).await?;
    Ok((heads, origins))
}

/// Data sets by id with their resources.
pub(super) async fn packages(door: &Door, op: &Op, ids: &[String]) -> Result<Vec<Value>, Fault> {
    let (heads, origins) = brought(door, op, ids).await?;
    let base = &door.config.public_url;
    let told = heads
        .iter()
        .map(|h| shape::package(base, &Shown::of_head(h, origins.get(&h.entry.draft.code))));
    Ok(told.collect())
}

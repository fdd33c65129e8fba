//! Actions that list names: data sets, groups (domains), organisations, tags, formats.

use app::opening;
use model::Op;
use model::code::Domain;
use model::search::Within;
use serde_json::{Value, json};

use super::fault::Fault;
use super::params::Params;
use super::{catalogue, shape};
use crate::Door;

/// Completions of one answer.
const COMPLETIONS: u64 = 10;
/// Data sets within an organisation or a group that is shown.
const INCLUDED: u64 = 1000;

/// Where a list is cut: all of it when nothing is said.
fn window(params: &Params) -> Result<(usize, usize), Fault> {
    let size = |n| usize::try_from(n).unwrap_or(usize::MAX);
    Ok((size(params.number("offset", 0)?), size(params.number("limit", u64::MAX)?)))
}

/// Names of all data sets; with their resources, some of them.
pub(super) async fn packages(
    door: &Door,
    op: &Op,
    name: &str,
    params: &Params,
) -> Result<Value, Fault> {
    let (skip, take) = window(params)?;
    let listing = opening::listing(&door.app, op).await?;
    if name == "package_list" {
        let names = listing.sets.iter().skip(skip).take(take);
        return Ok(names.map(|set| Value::String(shape::name(&set.code))).collect());
    }
    // CKAN gives ten where nothing is said, and says nothing of it.
    let take = if params.get("limit").is_some() { take.min(1000) } else { 10 };
    let some = listing.sets.iter().skip(skip).take(take);
    let ids: Vec<String> = some.map(|set| set.id.clone()).collect();
    catalogue::packages(door, op, &ids).await.map(Value::Array)
}

/// Data sets whose name or title begins so, or holds it.
pub(super) async fn complete(door: &Door, op: &Op, params: &Params) -> Result<Value, Fault> {
    let q = params.wanted("q")?;
    let limit = params.number("limit", COMPLETIONS)?.min(100);
    let ask = Within::Or(vec![Within::Title(q.clone()), Within::Named(q)]);
    let found = catalogue::listed(door, op, ask, limit).await?;
    let one = |p: &Value| {
        json!({
            "name": p.get("name"), "title": p.get("title"), "match_field": "title",
            "match_displayed": p.get("title"),
        })
    };
    Ok(found.iter().map(one).collect())
}

/// The group of a name or an id.
pub(super) fn domain(named: &str) -> Result<Domain, Fault> {
    let found = Domain::ALL.iter().find(|d| shape::is_group(**d, named));
    found.copied().ok_or_else(|| {
        let shown: String = named.chars().take(80).collect();
        Fault::not_found(
            &format!("没有找到分组 `{shown}`"),
            &format!("group `{shown}` was not found"),
        )
    })
}

/// A list of names, or of what is behind them, ordered as asked.
fn ordered(params: &Params, mut all: Vec<(String, String, u64, Value)>) -> Result<Value, Fault> {
    let wanted = params.list("groups").into_iter().chain(params.list("organizations"));
    let wanted: Vec<String> = wanted.collect();
    all.retain(|(name, _, _, _)| wanted.is_empty() || wanted.contains(name));
    let sort = params.text("sort").or_else(|| params.text("order_by")).unwrap_or_default();
    let (field, way) = sort.trim().split_once(' ').unwrap_or((sort.trim(), ""));
    match field {
        "" | "title" | "display_name" => all.sort_by(|a, b| a.1.cmp(&b.1)),
        "name" => all.sort_by(|a, b| a.0.cmp(&b.0)),
        "package_count" | "packages" => all.sort_by(|a, b| b.2.cmp(&a.2).then(a.0.cmp(&b.0))),
        _ => {
            return Err(Fault::invalid(
                "sort",
                "可用：name、title、package_count，后接 asc 或 desc",
                "use name, title or package_count with asc or desc",
            ));
        }
    }
    // Counts come most first unless asked otherwise.
    let backwards = match field {
        "package_count" | "packages" => way.trim() == "asc",
        _ => way.trim() == "desc",
    };
    if backwards {
        all.reverse();
    }
    let (skip, take) = window(params)?;
    let whole = params.flag("all_fields", false);
    let some = all.into_iter().skip(skip).take(take);
    Ok(some.map(|(name, _, _, v)| if whole { v } else { Value::String(name) }).collect())
}

pub(super) async fn groups(door: &Door, op: &Op, params: &Params) -> Result<Value, Fault> {
    let listing = opening::listing(&door.app, op).await?;
    let one = |(d, n): (&Domain, &u64)| {
        (shape::group_name(*d), d.zh().to_owned(), *n, shape::listed_group(*d, *n))
    };
    ordered(params, listing.domains.iter().map(one).collect())
}

pub(super) async fn group(door: &Door, op: &Op, params: &Params) -> Result<Value, Fault> {
    let domain = domain(&params.wanted("id")?)?;
    let listing = opening::listing(&door.app, op).await?;
    let sets = listing.domains.get(&domain).copied().unwrap_or(0);
    let mut told = shape::listed_group(domain, sets);
    if params.flag("include_datasets", false) {
        let within = Within::Facet { name: "domain".into(), value: domain.as_str().into() };
        include(&mut told, catalogue::listed(door, op, within, INCLUDED).await?);
    }
    Ok(told)
}

fn include(told: &mut Value, packages: Vec<Value>) {
    if let Some(told) = told.as_object_mut() {
        told.insert("packages".into(), Value::Array(packages));
    }
}

pub(super) async fn organisations(door: &Door, op: &Op, params: &Params) -> Result<Value, Fault> {
    let open = opening::open_organisations(&door.app, op).await?;
    let all = open.iter().map(|(org, n)| {
        let told = shape::listed_organisation(org, *n);
        (shape::name(&org.id), org.name_cn.clone(), *n, told)
    });
    ordered(params, all.collect())
}

/// An organisation that has open sets; others are not known here.
pub(super) async fn organisation(door: &Door, op: &Op, params: &Params) -> Result<Value, Fault> {
    let id = params.wanted("id")?;
    let open = opening::open_organisations(&door.app, op).await?;
    let found = open.iter().find(|(o, _)| shape::name(&o.id) == id || o.id == id);
    let Some((org, sets)) = found else {
        let shown: String = id.chars().take(80).collect();
        return Err(Fault::not_found(
            &format!("没有找到机构 `{shown}`"),
            &format!("organization `{shown}` was not found"),
        ));
    };
    let mut told = shape::listed_organisation(org, *sets);
    if params.flag("include_datasets", false) {
        let within = Within::Facet { name: "org".into(), value: org.id.clone() };
        include(&mut told, catalogue::listed(door, op, within, INCLUDED).await?);
    }
    Ok(told)
}

pub(super) async fn tags(door: &Door, op: &Op, params: &Params) -> Result<Value, Fault> {
    let listing = opening::listing(&door.app, op).await?;
    let part = params.text("query").unwrap_or_default().to_lowercase();
    let whole = params.flag("all_fields", false);
    let found = listing.tags.keys().filter(|t| part.is_empty() || t.to_lowercase().contains(&part));
    Ok(found.map(|t| if whole { shape::tag(t) } else { Value::String(t.clone()) }).collect())
}

pub(super) async fn tag(door: &Door, op: &Op, params: &Params) -> Result<Value, Fault> {
    let id = params.wanted("id")?;
    let listing = opening::listing(&door.app, op).await?;
    if !listing.tags.contains_key(&id) {
        let shown: String = id.chars().take(80).collect();
        return Err(Fault::not_found(
            &format!("没有找到标签 `{shown}`"),
            &format!("tag `{shown}` was not found"),
        ));
    }
    let mut told = shape::tag(&id);
    if params.flag("include_datasets", false) {
        include(&mut told, catalogue::listed(door, op, Within::Tag(id), INCLUDED).await?);
    }
    Ok(told)
}

pub(super) fn formats(params: &Params) -> Result<Value, Fault> {
    let q = params.wanted("q")?.to_ascii_lowercase();
    let limit = usize::try_from(params.number("limit", 5)?).unwrap_or(usize::MAX);
    let all = shape::FORMATS.iter().map(|f| f.to_ascii_lowercase());
    Ok(all.filter(|f| f.contains(&q)).take(limit).map(Value::String).collect())
}

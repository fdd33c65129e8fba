//! Data sets, resources, organisations, groups and tags in the shape that clients of CKAN read. Every key that strict readers
//! want is there, if only with nothing in it. Chinese comes first; English stands beside it where the protocol has a place.

use app::opening::{Dataset, Head};
use model::code::{Domain, OpenType};
use model::entry::{Entry, Link};
use model::harvest::HarvestOrigin;
use model::org::Org;
use serde_json::{Value, json};

use super::params::encoded;

/// Formats of resources of ours. Links have whatever format they have.
pub(super) const FORMATS: [&str; 3] = ["API", "CSV", "JSON"];
/// Formats in which search knows of rows that the site offers and not this door.
const OF_SITE: [&str; 4] = ["XLSX", "XML", "RDF", "GeoJSON"];
/// The facet of all formats, and that of those behind links.
pub(super) const OFFERED: &str = "format";
pub(super) const LINKED: &str = "linked";
/// Of what has no time of its own.
const NO_TIME: &str = "1970-01-01T00:00:00.000000";
/// The resource that holds the rows as a table.
pub(super) const TABLE: &str = "csv";

/// The facet of search by which data sets that have a resource of a format are found: rows of ours are no resource in a format of the
/// site's, a file behind a link is one.
pub(super) fn format_facet(counted: &str) -> &'static str {
    if OF_SITE.contains(&counted) { LINKED } else { OFFERED }
}

/// A format as search counts it, however a client writes it.
pub(super) fn format(written: &str) -> String {
    Link { format: written.to_owned(), ..Link::default() }.way().counted()
}

/// A data set as far as it is shown, and what goes with it.
pub(super) struct Shown<'a> {
    pub(super) entry: &'a Entry,
    pub(super) org: Names<'a>,
    pub(super) region: (&'a str, &'a str),
    pub(super) free: bool,
    /// Not published: told to its own department only.
    pub(super) draft: bool,
    /// The catalogue that brought it, if one did.
    pub(super) origin: Option<&'a HarvestOrigin>,
}

/// An organisation: id, Chinese and English name.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub(super) id: &'a str,
    pub(super) zh: &'a str,
    pub(super) en: &'a str,
}

impl<'a> Shown<'a> {
    pub(super) fn of(dataset: &'a Dataset, origin: Option<&'a HarvestOrigin>) -> Self {
        let entry = &dataset.entry;
        Self {
            entry,
            org: Names { id: &entry.draft.org, zh: &dataset.org_name, en: &dataset.org_name_en },
            region: (&dataset.region_name, &dataset.region_name_en),
            free: dataset.free,
            draft: false,
            origin,
        }
    }

    pub(super) fn of_head(head: &'a Head, origin: Option<&'a HarvestOrigin>) -> Self {
        let entry = &head.entry;
        let id = entry.draft.org.as_str();
        let org = head.org.as_ref();
        Self {
            entry,
            org: Names {
                id,
                zh: org.map_or(id, |o| o.name_cn.as_str()),
                en: org.map_or(id, |o| o.name_en.as_str()),
            },
            region: head.region.as_ref().map_or(("", ""), |r| (&r.name_cn, &r.name_en)),
            free: head.free(),
            draft: false,
            origin,
        }
    }
}

/// A name as CKAN allows it: small letters, digits, `-` and `_`. Others are written in hex, which is a name, too.
pub(crate) fn name(id: &str) -> String {
    let fits = id.len() >= 2
        && id.len() <= 100
        && id
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    match fits {
        true => id.to_owned(),
        false => id.bytes().fold("x-".to_owned(), |mut out, b| {
            out.push_str(&format!("{b:02x}"));
            out
        }),
    }
}

/// The group's name, as it is also read where data sets are written.
pub(super) fn group_name(domain: Domain) -> String {
    app::harvest::group_name(domain)
}

/// Whether a group is meant by its name or its id.
pub(super) fn is_group(domain: Domain, named: &str) -> bool {
    domain.as_str() == named || group_name(domain) == named
}

/// A stored stamp (RFC 3339 UTC, milliseconds) without its zone, in microseconds, as Python writes it.
pub(super) fn time(stamp: &str) -> String {
    let plain = stamp.trim_end_matches('Z');
    match plain.split_once('.') {
        Some((seconds, fraction)) => format!("{seconds}.{fraction:0<6}"),
        None if plain.is_empty() => NO_TIME.to_owned(),
        None => format!("{plain}.000000"),
    }
}

fn created(entry: &Entry) -> String {
    time(entry.published_at.as_deref().unwrap_or(&entry.created_at))
}

/// The later of publication and data: what `metadata_modified` is searched and sorted by.
fn modified(entry: &Entry) -> String {
    let published = entry.published_at.as_deref().unwrap_or(&entry.created_at);
    time(entry.data_at.as_deref().map_or(published, |data| data.max(published)))
}

/// Licences by their ids; what a department wrote otherwise is told as its title under `other-open`.
const LICENCES: &[(&str, &str, &str)] = &[
    ("cc-by", "Creative Commons Attribution", "https://creativecommons.org/licenses/by/4.0/"),
    (
        "cc-by-sa",
        "Creative Commons Attribution Share-Alike",
        "https://creativecommons.org/licenses/by-sa/4.0/",
    ),
    ("cc-zero", "Creative Commons CCZero", "https://creativecommons.org/publicdomain/zero/1.0/"),
    ("odc-by", "Open Data Commons Attribution License", "https://opendatacommons.org/licenses/by/"),
    ("mit", "MIT License", "https://opensource.org/license/mit"),
    ("other-open", "其他开放许可 / Other (Open)", ""),
    ("notspecified", "未注明许可 / License not specified", ""),
];

/// Whether a licence is one of the list that has a text of its own.
pub(super) fn is_licence(id: &str) -> bool {
    id != "other-open" && LICENCES.iter().any(|(known, _, _)| *known == id)
}

fn licence_id(written: &str) -> &'static str {
    let plain = written.trim().to_ascii_lowercase().replace([' ', '_'], "-");
    match plain.as_str() {
        "" => "notspecified",
        "cc-by" | "cc-by-4.0" | "cc-by-3.0" => "cc-by",
        "cc-by-sa" | "cc-by-sa-4.0" => "cc-by-sa",
        "cc0" | "cc0-1.0" | "cc-zero" => "cc-zero",
        "odc-by" | "odc-by-1.0" => "odc-by",
        "mit" => "mit",
        _ => "other-open",
    }
}

pub(super) fn licences() -> Value {
    let open = |id: &str| id != "notspecified";
    LICENCES
        .iter()
        .map(|(id, title, url)| {
            json!({
                "id": id, "title": title, "url": url, "status": "active", "family": "", "maintainer": "",
                "domain_content": false, "domain_data": open(id), "domain_software": false,
                "is_generic": *id == "other-open", "is_okd_compliant": open(id), "is_osi_compliant": false,
                "od_conformance": "not reviewed", "osd_conformance": "not reviewed",
            })
        })
        .collect()
}

/// Two languages under their words.
fn both(zh: &str, en: &str) -> Value {
    json!({ "zh_Hans_CN": zh, "en": if en.is_empty() { zh } else { en } })
}

/// A data set with its resources.
pub(super) fn package(base: &str, shown: &Shown<'_>) -> Value {
    let (entry, d) = (shown.entry, &shown.entry.draft);
    let resources = resources(base, shown);
    let tags: Vec<Value> = d.tags.iter().map(|t| tag(t)).collect();
    let licence = licence_id(&d.licence);
    let known = LICENCES.iter().find(|(id, _, _)| *id == licence);
    let title = match licence {
        "other-open" => d.licence.as_str(),
        _ => known.map_or("", |(_, title, _)| *title),
    };
    // What another catalogue brought has its page and its author there.
    let page = match shown.origin {
        Some(origin) => origin.page().map(|(url, _)| url.to_owned()).unwrap_or_default(),
        None => format!("{base}/api/v1/{}", encoded(&d.code)),
    };
    let author = shown.origin.map_or(shown.org.zh, HarvestOrigin::publisher);
    let open = shown.free && (shown.origin.is_none() || licence != "notspecified");
    json!({
        "id": entry.id, "name": name(&d.code), "title": d.title, "notes": d.description,
        "title_translated": both(&d.title, &d.title_en),
        "url": page,
        "version": entry.version.to_string(),
        "author": author, "author_email": null, "maintainer": shown.org.zh, "maintainer_email": null,
        "license_id": licence, "license_title": title, "license_url": known.map_or("", |(_, _, url)| *url),
        "isopen": open && !shown.draft, "private": d.open_type == OpenType::None,
        "state": if shown.draft { "draft" } else { "active" }, "type": "dataset",
        "owner_org": name(&d.org), "creator_user_id": null, "revision_id": null,
        "metadata_created": created(entry), "metadata_modified": modified(entry),
        "num_resources": resources.len(), "num_tags": tags.len(),
        "organization": organisation(shown.org),
        "groups": [group(d.domain)], "tags": tags, "extras": extras(shown), "resources": resources,
        "relationships_as_subject": [], "relationships_as_object": [],
    })
}

fn extras(shown: &Shown<'_>) -> Value {
    let (entry, d) = (shown.entry, &shown.entry.draft);
    let own = [
        ("code", d.code.as_str()),
        ("title_en", &d.title_en),
        ("organization_en", shown.org.en),
        ("region", &d.region),
        ("region_name", shown.region.0),
        ("region_name_en", shown.region.1),
        ("update_cycle", d.update_cycle.as_str()),
        ("update_cycle_name", d.update_cycle.zh()),
        ("open_type", d.open_type.as_str()),
        ("open_type_name", d.open_type.zh()),
        ("open_condition", &d.open_condition),
        ("grade", entry.grade.as_str()),
        ("time_range", &d.time_range),
        ("attribution", &d.attribution),
        ("data_at", entry.data_at.as_deref().unwrap_or_default()),
    ];
    let there = shown.origin.map(|o| {
        [
            ("harvest_source_title", o.source_name.as_str()),
            ("origin_id", &o.foreign_id),
            ("origin_url", o.page().map_or("", |(url, _)| url)),
            ("origin_publisher", o.publisher()),
            ("origin_licence", &o.record.licence),
            ("origin_modified", &o.record.modified),
        ]
    });
    let told = own.into_iter().chain(there.into_iter().flatten()).filter(|(_, v)| !v.is_empty());
    let mut all: Vec<Value> = told.map(|(k, v)| json!({ "key": k, "value": v })).collect();
    all.push(json!({ "key": "rows", "value": entry.rows.to_string() }));
    Value::Array(all)
}

/// The resources of a data set: of one that is open under conditions only its interface, which says how to apply; of one that another
/// catalogue brought those that it has there. Links of the declaration come last.
pub(super) fn resources(base: &str, shown: &Shown<'_>) -> Vec<Value> {
    let (entry, d) = (shown.entry, &shown.entry.draft);
    // What is open under conditions is not handed out by a link beside them.
    let links: &[Link] = if shown.free || shown.draft { &d.profile.links } else { &[] };
    if let Some(origin) = shown.origin {
        let mut all = brought(entry, origin);
        all.extend(linked(entry, links, all.len()));
        return all;
    }
    if shown.draft || (entry.data_at.is_none() && !links.is_empty()) {
        return linked(entry, links, 0);
    }
    let own = own(base, entry, shown.free);
    let before = own.len();
    own.into_iter().chain(linked(entry, links, before)).collect()
}

/// The table of an entry as a resource. It is `active` when anybody may read it.
pub(super) fn table(base: &str, entry: &Entry) -> Value {
    let mut table = own(base, entry, true).into_iter().next().unwrap_or_default();
    if let Some(table) = table.as_object_mut()
        && !entry.freely_open()
    {
        table.insert("state".into(), "draft".into());
        table.insert("datastore_active".into(), false.into());
    }
    table
}

/// The resources that the platform makes of an entry itself, the table first: all of what is `free`, of anything else its interface.
fn own(base: &str, entry: &Entry, free: bool) -> Vec<Value> {
    let d = &entry.draft;
    let dump = format!("{base}/datastore/dump/{}", resource_id(entry, TABLE));
    let api = format!("{base}/api/v1/{}", encoded(&d.code));
    let all_of_it = [
        (TABLE, "CSV", "text/csv", format!("{dump}?format=csv"), "全部数据 / all rows (CSV)"),
        (
            "json",
            "JSON",
            "application/json",
            format!("{dump}?format=json"),
            "全部数据 / all rows (JSON)",
        ),
        ("api", "API", "application/json", api.clone(), "数据接口 / interface"),
    ];
    let bound = [(
        "api",
        "API",
        "application/json",
        api,
        "数据接口，受限开放，须申请 / interface, apply for it first",
    )];
    let all: &[_] = if free { &all_of_it } else { &bound };
    let last = entry.data_at.as_deref().map(time);
    all.iter()
        .enumerate()
        .map(|(position, (word, format, media, url, about))| {
            json!({
                "id": resource_id(entry, word), "package_id": entry.id,
                "name": format!("{} ({format})", d.title), "description": about, "format": format, "mimetype": media,
                "mimetype_inner": null, "size": null, "hash": "", "url": url, "url_type": "datastore",
                "resource_type": if *word == "api" { "api" } else { "file" },
                "created": created(entry), "last_modified": last, "metadata_modified": modified(entry),
                "cache_url": null, "cache_last_updated": null, "position": position, "state": "active",
                "datastore_active": *word == TABLE, "revision_id": null,
            })
        })
        .collect()
}

/// What a resource's word begins with that is a link of the declaration.
pub(super) const LINK: &str = "link";

/// Links of a declaration as resources, counted from `before`.
pub(super) fn linked(entry: &Entry, links: &[Link], before: usize) -> Vec<Value> {
    let ways = links.iter().enumerate().filter_map(|(n, link)| Some((n, link, link.host()?)));
    ways.map(|(n, link, host)| {
        let way = link.way();
        let name = if link.title.is_empty() { &entry.draft.title } else { &link.title };
        json!({
            "id": resource_id(entry, &format!("{LINK}{}", n + 1)), "package_id": entry.id,
            "name": name, "description": format!("由 {host} 提供 / provided by {host}"), "format": way.word(),
            "mimetype": Some(way.media_type()).filter(|m| !m.is_empty()), "mimetype_inner": null, "size": null,
            "hash": "", "url": link.url, "url_type": null, "resource_type": "file", "created": created(entry),
            "last_modified": null, "metadata_modified": modified(entry), "cache_url": null,
            "cache_last_updated": null, "position": before + n, "state": "active", "datastore_active": false,
            "revision_id": null,
        })
    })
    .collect()
}

/// Resources at another catalogue, as it tells them: links, of which nothing is held or fetched here.
fn brought(entry: &Entry, origin: &HarvestOrigin) -> Vec<Value> {
    let ways = origin.ways().enumerate();
    ways.map(|(n, (way, host))| {
        let (format, media) = (way.word(), Some(way.media_type()).filter(|m| !m.is_empty()));
        let name = match way.title.trim() {
            "" => entry.draft.title.as_str(),
            title => title,
        };
        json!({
            "id": resource_id(entry, &format!("origin{}", n + 1)), "package_id": entry.id,
            "name": name, "description": format!("由来源平台 {host} 提供 / provided by {host}"), "format": format,
            "mimetype": media, "mimetype_inner": null, "size": way.bytes, "hash": "", "url": way.url, "url_type": null,
            "resource_type": "file", "created": created(entry), "last_modified": null,
            "metadata_modified": modified(entry), "cache_url": null, "cache_last_updated": null, "position": n,
            "state": "active", "datastore_active": false, "revision_id": null,
        })
    })
    .collect()
}

pub(super) fn resource_id(entry: &Entry, word: &str) -> String {
    format!("{}-{word}", entry.id)
}

/// The data set and the word of a resource's id.
pub(super) fn of_resource(id: &str) -> Option<(&str, &str)> {
    id.rsplit_once('-').filter(|(entry, word)| !entry.is_empty() && !word.is_empty())
}

pub(super) fn organisation(names: Names<'_>) -> Value {
    json!({
        "id": name(names.id), "name": name(names.id), "title": names.zh, "type": "organization",
        "description": names.en, "image_url": "", "created": NO_TIME, "is_organization": true,
        "approval_status": "approved", "state": "active", "revision_id": null,
    })
}

/// An organisation in a list, with the number of its open sets.
pub(super) fn listed_organisation(org: &Org, sets: u64) -> Value {
    let names = Names { id: &org.id, zh: &org.name_cn, en: &org.name_en };
    let mut told = organisation(names);
    if let Some(told) = told.as_object_mut() {
        told.insert("display_name".into(), org.name_cn.clone().into());
        told.insert("title_translated".into(), both(&org.name_cn, &org.name_en));
        told.insert("package_count".into(), sets.into());
        told.insert("num_followers".into(), 0.into());
        told.insert("image_display_url".into(), "".into());
        for list in ["users", "tags", "groups"] {
            told.insert(list.into(), json!([]));
        }
        told.insert("extras".into(), json!([{ "key": "region", "value": org.region }]));
    }
    told
}

pub(super) fn group(domain: Domain) -> Value {
    json!({
        "id": domain.as_str(), "name": group_name(domain), "title": domain.zh(), "display_name": domain.zh(),
        "description": domain.en(), "image_display_url": "",
    })
}

/// A group in a list, with the number of its open sets.
pub(super) fn listed_group(domain: Domain, sets: u64) -> Value {
    let mut told = group(domain);
    if let Some(told) = told.as_object_mut() {
        told.insert("type".into(), "group".into());
        told.insert("title_translated".into(), both(domain.zh(), domain.en()));
        told.insert("package_count".into(), sets.into());
        told.insert("created".into(), NO_TIME.into());
        told.insert("is_organization".into(), false.into());
        told.insert("approval_status".into(), "approved".into());
        told.insert("state".into(), "active".into());
        told.insert("image_url".into(), "".into());
        told.insert("num_followers".into(), 0.into());
        for list in ["users", "tags", "groups", "extras"] {
            told.insert(list.into(), json!([]));
        }
    }
    told
}

pub(super) fn tag(text: &str) -> Value {
    json!({ "id": text, "name": text, "display_name": text, "state": "active", "vocabulary_id": null })
}

/// A word of a facet as people read it.
pub(super) fn facet_title(facet: &str, value: &str) -> String {
    match facet {
        "groups" => Domain::parse(value).map_or(value, |d| d.zh()).to_owned(),
        "update_cycle" => {
            model::code::UpdateCycle::parse(value).map_or(value, |c| c.zh()).to_owned()
        }
        "open_type" => OpenType::parse(value).map_or(value, |o| o.zh()).to_owned(),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_ckan_allows_them() {
        assert_eq!(name("org-market"), "org-market");
        assert_eq!(name("市场"), "x-e5b882e59cba");
        let all = Domain::ALL.iter().map(|d| group_name(*d)).collect::<Vec<_>>();
        assert!(all.iter().all(|n| name(n) == *n), "{all:?}");
        assert!(all.contains(&"market-regulation".to_owned()));
        let once: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(once.len(), all.len());
    }

    #[test]
    fn times_are_written_as_python_writes_them() {
        assert_eq!(time("2026-03-02T01:00:00.123Z"), "2026-03-02T01:00:00.123000");
        assert_eq!(time("2026-03-02T01:00:00Z"), "2026-03-02T01:00:00.000000");
    }

    #[test]
    fn licences_are_known_by_what_departments_write() {
        assert_eq!(licence_id("CC BY 4.0"), "cc-by");
        assert_eq!(licence_id(""), "notspecified");
        assert_eq!(licence_id("浙江省公共数据开放许可"), "other-open");
    }
}

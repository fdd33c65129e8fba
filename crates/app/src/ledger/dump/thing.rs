//! Entries and assets as DCAT tells them.

use model::asset::{Asset, Ledger};
use model::code::{OpenType, ShareType};
use model::entry::Entry;
use model::harvest::HarvestOrigin;
use model::org::{Org, OrgKind};
use oxrdf::NamedNode;

use super::dcat::{Class, Column, Distribution, Thing, Whole, encoded};
use crate::ledger::rules::LedgerRule;
use crate::opening::Dataset;

/// Where things are reached by the door that hands them out.
#[derive(Clone, Debug)]
pub struct Places {
    pub whole: Whole,
    /// Address of data sets without the code: `https://site/data/`.
    pub data: String,
    /// Address of the interfaces without the code: `https://api/api/v1/`; empty when the door does not know it.
    pub api: String,
    /// Address of the console without a path; empty when things have no page there.
    pub console: String,
    /// Whether items are told.
    pub items: bool,
}

/// An open data set as the public sees it, without its downloads: whoever offers them adds them.
#[must_use]
pub fn of_dataset(dataset: &Dataset, places: &Places) -> Thing {
    let org = Org {
        id: dataset.entry.draft.org.clone(),
        uscc: String::new(),
        name_cn: dataset.org_name.clone(),
        name_en: dataset.org_name_en.clone(),
        kind: OrgKind::StateOrgan,
        region: String::new(),
        parent: None,
        authority: false,
    };
    let mut thing = of_entry(&dataset.entry, Some(&org), &dataset.region_name, places);
    if dataset.entry.linked_only() {
        // An interface that would answer with nothing.
        thing.distributions.clear();
    }
    thing
}

/// Where else the department says that the data are had, beside the ways that the thing has already.
#[must_use]
pub fn of_links(mut thing: Thing, dataset: &Dataset) -> Thing {
    let ways = dataset.entry.draft.profile.ways().filter(|(way, _)| holds(&way.url)).enumerate();
    thing.distributions.extend(ways.map(|(n, (way, _))| {
        let (format, media_type) = (way.word().to_owned(), way.media_type().to_owned());
        Distribution {
            word: format!("link-{}", n + 1),
            format: Some(format),
            media_type,
            bytes: way.bytes,
            download: way.is_file(),
            title: way.title,
            url: way.url,
        }
    }));
    thing
}

/// What another catalogue brought has its rows there: by the ways that catalogue tells, and by none of ours.
#[must_use]
pub fn of_origin(thing: Thing, origin: &HarvestOrigin) -> Thing {
    let ways = origin.ways().filter(|(d, _)| holds(&d.url)).enumerate();
    let page = origin.page().map(|(url, _)| url).filter(|url| holds(url));
    Thing {
        source: page.unwrap_or_default().to_owned(),
        creator: origin.publisher().to_owned(),
        distributions: ways
            .map(|(n, (d, _))| Distribution {
                word: format!("origin-{}", n + 1),
                title: d.title.clone(),
                url: d.url.clone(),
                format: Some(d.word().to_owned()),
                media_type: d.media_type().to_owned(),
                bytes: d.bytes,
                download: true,
            })
            .collect(),
        ..thing
    }
}

/// One address that RDF cannot hold must not keep the whole catalogue from being told: it is left out.
fn holds(url: &str) -> bool {
    NamedNode::new(url).is_ok()
}

/// An entry, with as much as `entry` holds: the items that the caller may not see are not in it.
#[must_use]
pub(super) fn of_entry(entry: &Entry, org: Option<&Org>, region: &str, places: &Places) -> Thing {
    let d = &entry.draft;
    let open = entry.open();
    let code = encoded(&d.code);
    let iri = format!("{}{code}", places.data);
    let page = match (open, places.console.is_empty()) {
        (true, _) => iri.clone(),
        (false, false) => format!("{}/console/entries/{}", places.console, encoded(&entry.id)),
        (false, true) => String::new(),
    };
    let mut distributions = Vec::new();
    if entry.live() && !places.api.is_empty() && d.served() {
        distributions.push(Distribution {
            word: "api".into(),
            url: format!("{}{code}", places.api),
            media_type: "application/json".into(),
            ..Distribution::default()
        });
    }
    let columns = d.items.iter().filter(|_| places.items).map(|i| Column {
        identifier: i.identifier.clone(),
        name: i.name_cn.clone(),
        name_en: i.name_en.clone(),
        definition: i.definition.clone(),
        data_type: i.data_type,
        required: !i.nullable,
    });
    Thing {
        class: Class::Dataset,
        identifier: d.code.clone(),
        title: d.title.clone(),
        title_en: d.title_en.clone(),
        description: d.description.clone(),
        keywords: d.tags.clone(),
        theme: Some((d.domain.as_str().to_owned(), d.domain.zh().to_owned())),
        issued: entry.published_at.clone().unwrap_or_default(),
        modified: entry.data_at.clone().unwrap_or_else(|| entry.updated_at.clone()),
        rights: d.licence.clone(),
        // What anyone may read is public whatever departments must do to share it.
        access: Some(if d.open_type == OpenType::Unconditional && open {
            ShareType::Unconditional
        } else if d.share_type == ShareType::None && d.open_type == OpenType::None {
            ShareType::None
        } else {
            ShareType::Restricted
        }),
        cycle: Some(d.update_cycle),
        region: (d.region.clone(), region.to_owned()),
        publisher: publisher(&d.org, org),
        version: entry.version.to_string(),
        columns: columns.collect(),
        fields: Vec::new(),
        iri,
        page,
        source: String::new(),
        creator: String::new(),
        distributions,
    }
}

/// An asset with the fields of its ledger.
pub(super) fn of_asset(
    asset: &Asset,
    rule: Option<&LedgerRule>,
    org: Option<&Org>,
    region: &str,
    places: &Places,
) -> Thing {
    let d = &asset.draft;
    let class = if d.ledger == Ledger::Component { Class::DataService } else { Class::Resource };
    let base = &places.whole.base;
    let page = match places.console.is_empty() {
        true => String::new(),
        false => format!("{}/console/ledger/{}/{}", places.console, d.ledger, encoded(&asset.id)),
    };
    let state = rule.and_then(|r| r.state(&asset.state)).map_or(&asset.state, |s| &s.zh);
    let mut fields = vec![("state".to_owned(), state.clone())];
    let named = |key: &str| {
        key.starts_with(|c: char| c.is_ascii_alphabetic())
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    fields.extend(
        d.fields
            .iter()
            .filter(|(k, v)| named(k) && !v.is_empty())
            .map(|(k, v)| (k.clone(), v.clone())),
    );
    Thing {
        class,
        iri: format!("{base}ledger/{}/{}", d.ledger, encoded(&d.code)),
        identifier: d.code.clone(),
        title: d.name.clone(),
        title_en: String::new(),
        description: d.description.clone(),
        keywords: vec![d.ledger.zh().to_owned()],
        theme: None,
        issued: asset.created_at.clone(),
        modified: asset.updated_at.clone(),
        rights: String::new(),
        access: None,
        cycle: None,
        region: (d.region.clone(), region.to_owned()),
        publisher: publisher(&d.org, org),
        page,
        version: asset.version.to_string(),
        distributions: Vec::new(),
        columns: Vec::new(),
        fields,
        source: String::new(),
        creator: String::new(),
    }
}

fn publisher(id: &str, org: Option<&Org>) -> (String, String, String) {
    let (zh, en) =
        org.map_or((String::new(), String::new()), |o| (o.name_cn.clone(), o.name_en.clone()));
    (id.to_owned(), zh, en)
}

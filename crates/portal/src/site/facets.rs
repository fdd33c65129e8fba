//! Facets: counts of the search as links that add or take away a filter.

use minijinja::Value;
use minijinja::context;
use model::org::Org;
use model::region::{self, RegionLevel};

use crate::label;
use crate::names::Kept;
use crate::visit::Visit;

/// Facets of the result list, in the order they are shown.
pub(super) const SHOWN: [&str; 6] =
    ["region", "org", "domain", "format", "update_cycle", "open_type"];

/// The site shows what is open, whoever looks; staff find the rest in the console.
pub(super) fn open_only() -> Vec<(String, String)> {
    ["unconditional", "restricted"].map(|v| ("open_type".to_owned(), v.to_owned())).to_vec()
}

/// Counts of one facet.
pub(super) fn counts<'a>(
    facets: &'a [(String, Vec<(String, u64)>)],
    name: &str,
) -> &'a [(String, u64)] {
    facets.iter().find(|(n, _)| n == name).map_or(&[], |(_, counts)| counts.as_slice())
}

/// The present result list with one filter turned over.
fn turned(visit: &Visit, name: &str, word: &str) -> String {
    visit.turned("/data", &["page"], name, word)
}

/// A facet without levels.
pub(super) fn plain(
    name: &str,
    counts: &[(String, u64)],
    visit: &Visit,
    orgs: &[Org],
) -> Vec<Value> {
    let chosen: Vec<&str> = visit.qs(name).collect();
    counts
        .iter()
        .map(|(word, count)| {
            let shown = match name {
                "org" => orgs
                    .iter()
                    .find(|o| &o.id == word)
                    .map(|o| {
                        visit.t(
                            &o.name_cn,
                            if o.name_en.is_empty() { &o.name_cn } else { &o.name_en },
                        )
                    })
                    .unwrap_or(word)
                    .to_owned(),
                _ => label::label(name, word, visit.lang),
            };
            context! {
                word, name => shown, count,
                chosen => chosen.contains(&word.as_str()),
                href => turned(visit, name, word),
            }
        })
        .collect()
}

/// The region facet as a tree: the province, its cities, and the counties of a city that is chosen or opened.
pub(super) fn tree(counts: &[(String, u64)], visit: &Visit, names: &Kept) -> Vec<Value> {
    let chosen: Vec<&str> = visit.qs("region").collect();
    let count = |code: &str| counts.iter().find(|(c, _)| c == code).map_or(0, |(_, n)| *n);
    let mut out = Vec::new();
    for r in &names.regions {
        let n = count(&r.code);
        let ticked = chosen.contains(&r.code.as_str());
        let (depth, shown) = match r.level {
            RegionLevel::Province => (0, n > 0),
            RegionLevel::City => (1, n > 0 || ticked),
            RegionLevel::County => {
                let opened = chosen
                    .iter()
                    .any(|c| Some(*c) == r.parent.as_deref() || region::parent_of(c) == r.parent);
                (2, ticked || (n > 0 && opened))
            }
        };
        if shown || ticked {
            out.push(context! {
                word => &r.code, name => names.region(&r.code, visit.lang), count => n, depth,
                chosen => ticked, href => turned(visit, "region", &r.code),
            });
        }
    }
    out
}

/// The chosen filters as chips that can be taken away.
pub(super) fn chips(visit: &Visit, names: &Kept) -> Vec<Value> {
    let mut out = Vec::new();
    for name in SHOWN {
        for word in visit.qs(name) {
            let shown = match name {
                "region" => names.region(word, visit.lang).to_owned(),
                "org" => names.org(word, visit.lang).to_owned(),
                _ => label::label(name, word, visit.lang),
            };
            out.push(context! {
                facet => label::label("facet", name, visit.lang),
                name => shown, href => turned(visit, name, word),
            });
        }
    }
    out
}

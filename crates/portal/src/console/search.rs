//! One search over the four ledgers and every data item: facets with exact counts, pages by position, searches that a
//! person keeps.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use app::ledger::{self, FACETS};
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use minijinja::{Value, context};
use model::region::RegionLevel;
use model::search::{ITEM, SearchHit, SearchQuery};

use crate::console::{done, next_link};
use crate::form::Posted;
use crate::names::Kept;
use crate::view::value;
use crate::visit::{Visit, encode};
use crate::{Answer, Door, label};

/// Hits of a page.
const PAGE_SIZE: u32 = 20;
/// Values of a facet shown before “more”.
const SHOWN: usize = 30;
/// Levels of the tree of organisations that are walked.
const DEEPEST: usize = 16;
pub(super) fn router() -> Router<Arc<Door>> {
    Router::new()
        .route("/console/search", get(page))
        .route("/console/search/suggest", get(suggest))
        .route("/console/search/saved", post(save))
        .route("/console/search/saved/{id}", get(open_saved))
        .route("/console/search/saved/{id}/forget", post(forget))
}

async fn page(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let (app, op) = (&door.app, &visit.op);
    let query =
        SearchQuery { limit: PAGE_SIZE, ..ledger::question(visit.uri.query().unwrap_or_default()) };
    let found = ledger::search(app, op, query.clone()).await?;
    door.names.refresh(app).await;
    let names = door.names.get();
    let mut states: BTreeMap<String, String> = BTreeMap::new();
    for rule in &ledger::rules(app, op)?.ledger {
        states.extend(super::ledger::state_names(rule, visit.lang));
    }
    let groups: Vec<Value> = FACETS
        .iter()
        .filter_map(|name| {
            let (_, counts) = found.facets.iter().find(|(n, _)| n == name)?;
            let (values, more) = match *name {
                "region" => (regions(counts, &visit, &names), 0),
                "org" => orgs(counts, &visit, &names),
                _ => (
                    plain(name, counts, &visit, &names, &states),
                    counts.len().saturating_sub(SHOWN),
                ),
            };
            Some(context! { id => *name, name => label::label("facet", name, visit.lang), values, more })
        })
        .collect();
    let hits: Vec<Value> = found.hits.iter().map(|h| hit(h, &visit, &states)).collect();
    let chips: Vec<Value> = query
        .filters
        .iter()
        .map(|(name, word)| {
            context! {
                facet => label::label("facet", name, visit.lang),
                name => shown(name, word, &visit, &names, &states), href => turned(&visit, name, word),
            }
        })
        .collect();
    let saved = ledger::saved(app, op).await?;
    let watched: Vec<String> = app::notice::subscriptions(app, op)
        .await?
        .into_iter()
        .filter(|s| s.kind == model::notice::Watched::Search)
        .map(|s| s.subject)
        .collect();
    let here: Vec<String> = visit
        .query
        .iter()
        .filter(|(k, v)| !v.is_empty() && (k == "q" || k == "sort" || FACETS.contains(&k.as_str())))
        .map(|(k, v)| format!("{}={}", encode(k), encode(v)))
        .collect();
    let context = context! {
        q => &query.text, sort => &query.sort, total => found.total, hits, groups, chips,
        hidden => value(&query.filters), saved => value(&saved), watched, query => here.join("&"),
        first => query.after.is_none(), next => next_link(&visit, "after", found.next.as_deref()),
        done => visit.q("done"),
    };
    door.page(&visit, "console/search.html", context).await
}

/// One hit: where it leads, and the highlighted texts (escaped by the search).
fn hit(h: &SearchHit, visit: &Visit, states: &BTreeMap<String, String>) -> Value {
    let d = &h.doc;
    let href = match d.ledger.as_str() {
        "data" => format!("/console/entries/{}", d.id),
        ITEM => format!("/console/entries/{}?item={}#items", d.id, encode(&d.item)),
        other => format!("/console/ledger/{other}/{}", d.id),
    };
    let state = states.get(&d.state).cloned();
    context! {
        href, ledger => label::label("ledger", &d.ledger, visit.lang), doc => value(d),
        title_html => &h.title_html, description_html => &h.description_html,
        state => state.unwrap_or_else(|| label::label("online_state", &d.state, visit.lang)),
    }
}

/// The present page with one filter turned over, from its beginning.
fn turned(visit: &Visit, name: &str, word: &str) -> String {
    visit.turned("/console/search", &["after", "done"], name, word)
}

fn shown(
    name: &str,
    word: &str,
    visit: &Visit,
    names: &Kept,
    states: &BTreeMap<String, String>,
) -> String {
    match name {
        "org" => names.org(word, visit.lang).to_owned(),
        "region" => names.region(word, visit.lang).to_owned(),
        "state" => states
            .get(word)
            .cloned()
            .unwrap_or_else(|| label::label("online_state", word, visit.lang)),
        _ => label::label(name, word, visit.lang),
    }
}

/// A facet without levels: the most frequent values, and those that are chosen.
fn plain(
    name: &str,
    counts: &[(String, u64)],
    visit: &Visit,
    names: &Kept,
    states: &BTreeMap<String, String>,
) -> Vec<Value> {
    let chosen: Vec<&str> = visit.qs(name).collect();
    counts
        .iter()
        .enumerate()
        .filter(|(i, (word, _))| *i < SHOWN || chosen.contains(&word.as_str()))
        .map(|(_, (word, count))| {
            context! {
                word, count, name => shown(name, word, visit, names, states),
                chosen => chosen.contains(&word.as_str()), href => turned(visit, name, word),
            }
        })
        .collect()
}

/// The region tree: the province, its cities, and the counties of a city that is chosen or opened.
fn regions(counts: &[(String, u64)], visit: &Visit, names: &Kept) -> Vec<Value> {
    let chosen: Vec<&str> = visit.qs("region").collect();
    let count = |code: &str| counts.iter().find(|(c, _)| c == code).map_or(0, |(_, n)| *n);
    names
        .regions
        .iter()
        .filter_map(|r| {
            let (n, ticked) = (count(&r.code), chosen.contains(&r.code.as_str()));
            let parent = r.parent.as_deref();
            let opened = chosen
                .iter()
                .any(|c| Some(*c) == parent || model::region::parent_of(c).as_deref() == parent);
            let (depth, shown) = match r.level {
                RegionLevel::Province => (0, n > 0),
                RegionLevel::City => (1, n > 0),
                RegionLevel::County => (2, n > 0 && opened),
            };
            (shown || ticked).then(|| {
                context! {
                    word => &r.code, name => names.region(&r.code, visit.lang), count => n, depth,
                    chosen => ticked, href => turned(visit, "region", &r.code),
                }
            })
        })
        .collect()
}

/// The tree of organisations, each with what it and those below it hold: the ones that hold most, and below one that is
/// chosen (or holds a chosen one) its own; and how many more there are.
fn orgs(counts: &[(String, u64)], visit: &Visit, names: &Kept) -> (Vec<Value>, usize) {
    let mut held: HashMap<&str, u64> = HashMap::new();
    for (word, count) in counts {
        for org in upwards(names, word) {
            *held.entry(org).or_default() += count;
        }
    }
    // Who stands below whom; below none that holds something are the roots.
    let mut below: HashMap<Option<&str>, Vec<&str>> = HashMap::new();
    for org in held.keys() {
        let parent = names.parent(org).filter(|p| held.contains_key(p));
        below.entry(parent).or_default().push(org);
    }
    for orgs in below.values_mut() {
        orgs.sort_by_key(|org| (std::cmp::Reverse(held.get(org)), *org));
    }
    let chosen: Vec<&str> = visit.qs("org").collect();
    let mut opened: HashSet<&str> = chosen.iter().flat_map(|org| upwards(names, org)).collect();
    // A single root tells nothing: its own stand open.
    if let Some([only]) = below.get(&None).map(Vec::as_slice) {
        opened.insert(only);
    }
    let shown = |parent: Option<&str>| -> Vec<&str> {
        let all = below.get(&parent).into_iter().flatten().copied().enumerate();
        all.filter(|(i, org)| *i < SHOWN || opened.contains(org)).map(|(_, org)| org).collect()
    };
    let mut out = Vec::new();
    // Depth first: what stands below an opened organisation follows it.
    let mut stack: Vec<(&str, usize)> = shown(None).into_iter().rev().map(|o| (o, 0)).collect();
    while let Some((org, depth)) = stack.pop() {
        out.push(context! {
            word => org, name => names.org(org, visit.lang), count => held.get(org), depth,
            chosen => chosen.contains(&org), href => turned(visit, "org", org),
        });
        if opened.contains(org) && depth < DEEPEST {
            stack.extend(shown(Some(org)).into_iter().rev().map(|o| (o, depth + 1)));
        }
    }
    let more = held.len().saturating_sub(out.len());
    (out, more)
}

/// An organisation and those above it. A ring of parents would be a fault of the organisations; the walk ends all the same.
fn upwards<'a>(names: &'a Kept, org: &'a str) -> impl Iterator<Item = &'a str> {
    std::iter::successors(Some(org), |org| names.parent(org)).take(DEEPEST)
}

async fn suggest(State(door): State<Arc<Door>>, visit: Visit) -> Answer {
    let found = ledger::suggest(&door.app, &visit.op, visit.q("q").unwrap_or_default()).await?;
    door.page(&visit, "site/suggest.html", context! { words => found }).await
}

async fn save(State(door): State<Arc<Door>>, visit: Visit, posted: Posted) -> Answer {
    let query = posted.get("query");
    let mut asked = ledger::question(query);
    asked.limit = 0;
    asked.after = None;
    let found = ledger::search(&door.app, &visit.op, asked).await?;
    ledger::save(&door.app, &visit.op, posted.get("name"), query, found.total).await?;
    done(&format!("/console/search?{query}"), "saved")
}

/// Opens a kept search and notes how many hits it has now.
async fn open_saved(State(door): State<Arc<Door>>, Path(id): Path<String>, visit: Visit) -> Answer {
    let mine = ledger::saved(&door.app, &visit.op).await?;
    let saved = mine
        .into_iter()
        .find(|s| s.id == id)
        .ok_or_else(|| model::Error::not_found("已保存的搜索", "kept search", "?"))?;
    let mut asked = ledger::question(&saved.query);
    asked.limit = 0;
    let found = ledger::search(&door.app, &visit.op, asked).await?;
    ledger::looked(&door.app, &visit.op, &saved.id, found.total).await?;
    let now = i64::try_from(found.total).unwrap_or(i64::MAX);
    let word = if now > saved.seen {
        format!("news-{}", now - saved.seen)
    } else {
        "opened-search".into()
    };
    done(&format!("/console/search?{}", saved.query), &word)
}

async fn forget(
    State(door): State<Arc<Door>>,
    Path(id): Path<String>,
    visit: Visit,
    _posted: Posted,
) -> Answer {
    ledger::forget(&door.app, &visit.op, &id).await?;
    done("/console/search", "saved")
}

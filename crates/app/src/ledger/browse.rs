//! 一站式浏览: one search over the four ledgers and every data item, trees with live counts, and searches that a person
//! keeps. Everybody sees what their labels let them know of, and nothing else is counted.

use model::asset::SavedSearch;
use model::search::{SearchPage, SearchQuery};
use model::{Error, Op, Result};
use policy::{Action, Target};

use crate::{App, audit, opening};

/// Longest name and query of a kept search, in characters.
const NAME: usize = 100;
const QUERY: usize = 2000;
/// Searches one person keeps.
const MOST: usize = 200;

/// Facets of a search, in the order in which they are shown.
pub const FACETS: [&str; 9] = [
    "ledger",
    "region",
    "org",
    "domain",
    "state",
    "share_type",
    "open_type",
    "grade",
    "update_cycle",
];

/// The question that a query string asks (`q=停车&region=330100&sort=published_at`); what it does not know it leaves out.
#[must_use]
pub fn question(query: &str) -> SearchQuery {
    let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
        .map(|(k, v)| (k.trim().to_owned(), v.trim().to_owned()))
        .filter(|(_, v)| !v.is_empty())
        .collect();
    let first = |name: &str| pairs.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone());
    SearchQuery {
        text: first("q").unwrap_or_default(),
        filters: pairs.iter().filter(|(k, _)| FACETS.contains(&k.as_str())).cloned().collect(),
        facets: Some(FACETS.map(str::to_owned).to_vec()),
        sort: first("sort")
            .filter(|s| s == "published_at")
            .unwrap_or_else(|| "relevance".to_owned()),
        after: first("after"),
        ..SearchQuery::default()
    }
}

/// Searches everything the caller may know of. The audience of the query is set here, whatever the caller wrote.
pub async fn search(app: &App, op: &Op, mut query: SearchQuery) -> Result<SearchPage> {
    query.audience = audience(app, op);
    // An organisation is searched with those below it, as its count in the tree says.
    let mut filters = Vec::with_capacity(query.filters.len());
    for (name, word) in std::mem::take(&mut query.filters) {
        if name == "org" {
            let below = app.store.orgs_from(&word).await?;
            filters.extend(below.into_iter().filter(|id| *id != word).map(|id| (name.clone(), id)));
        }
        filters.push((name, word));
    }
    query.filters = filters;
    crate::catalogue::follow(app).await?;
    let index = std::sync::Arc::clone(&app.search);
    tokio::task::spawn_blocking(move || index.search(&query))
        .await
        .map_err(|e| Error::internal("the search task ended").caused_by(e))?
}

/// Completions while typing, over all ledgers.
pub async fn suggest(app: &App, op: &Op, prefix: &str) -> Result<Vec<String>> {
    let (audience, index) = (audience(app, op), std::sync::Arc::clone(&app.search));
    let prefix: String = prefix.trim().chars().take(64).collect();
    if prefix.is_empty() {
        return Ok(Vec::new());
    }
    tokio::task::spawn_blocking(move || index.suggest(&prefix, &audience, 10))
        .await
        .map_err(|e| Error::internal("the search task ended").caused_by(e))?
}

/// Labels of the caller; who may read every unpublished entry sees everything.
fn audience(app: &App, op: &Op) -> Vec<String> {
    let mut labels = opening::audience(op);
    let strange = Target { org: Some(String::new()), ..Target::plain("Entry", "") };
    if app.policy.decide(op, Action::EntryRead, &strange).allowed {
        labels.push("all".into());
    }
    labels
}

/// Keeps a search under a name; `query` is the query string of the search page, `seen` the hits of now.
pub async fn save(app: &App, op: &Op, name: &str, query: &str, seen: u64) -> Result<SavedSearch> {
    let permit =
        audit::permit(app, op, Action::AssetRead, &Target::plain("Asset", "search")).await?;
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME || query.chars().count() > QUERY {
        return Err(Error::invalid(
            format!("搜索的名称为 1 至 {NAME} 个字"),
            format!("the name of a search has 1 to {NAME} characters"),
        )
        .field("name", "请改写名称", "rewrite the name"));
    }
    if app.store.searches_of(op.actor.id()).await?.len() >= MOST {
        return Err(Error::invalid(
            format!("最多保存 {MOST} 个搜索，请先删除不用的"),
            format!("{MOST} searches at most are kept: take some away first"),
        ));
    }
    let saved = SavedSearch {
        id: op.new_id(),
        owner: op.actor.id().to_owned(),
        name: name.to_owned(),
        query: query.to_owned(),
        created_at: op.stamp(),
        seen: i64::try_from(seen).unwrap_or(i64::MAX),
    };
    app.store.search_save(&permit, &saved).await?;
    Ok(saved)
}

/// The caller's kept searches, newest first.
pub async fn saved(app: &App, op: &Op) -> Result<Vec<SavedSearch>> {
    app.store.searches_of(op.actor.id()).await
}

/// Notes that the caller has looked at a kept search with so many hits.
pub async fn looked(app: &App, op: &Op, id: &str, hits: u64) -> Result<()> {
    let permit =
        audit::permit(app, op, Action::AssetRead, &Target::plain("Asset", "search")).await?;
    let mine = app.store.searches_of(op.actor.id()).await?;
    let Some(mut saved) = mine.into_iter().find(|s| s.id == id) else {
        return Err(Error::not_found("已保存的搜索", "kept search", id));
    };
    saved.seen = i64::try_from(hits).unwrap_or(i64::MAX);
    app.store.search_save(&permit, &saved).await
}

/// Takes a kept search away.
pub async fn forget(app: &App, op: &Op, id: &str) -> Result<()> {
    let permit =
        audit::permit(app, op, Action::AssetRead, &Target::plain("Asset", "search")).await?;
    app.store.search_forget(&permit, op.actor.id(), id).await
}

//! Search is brought up to date before a change of the ledger is answered (*read-your-writes*).

use std::collections::HashMap;

use model::audit::AuditEvent;
use model::code::{OpenType, ResourceKind};
use model::entry::{Entry, EntryFilter};
use model::search::SearchDoc;
use model::{Code, Error, Op, Result};
use policy::{Action, Target};
use store::entry::EntryScope;

use crate::App;
use crate::audit;

/// After a landing: rows of the current view and the time go into the ledger and into search.
pub async fn landed(app: &App, op: &Op, entry_id: &str, rows: u64) -> Result<Entry> {
    let missing = || Error::not_found("目录", "entry", entry_id);
    let entry = app.store.entry_get(entry_id).await?.ok_or_else(missing)?;
    let permit = audit::permit(app, op, Action::DataCollect, &Target::entry(&entry)).await?;
    let count = i64::try_from(rows).unwrap_or(i64::MAX);
    app.store.entry_set_data(&permit, &entry.id, count, &op.stamp()).await?;
    app.shares.forget();
    let entry = app.store.entry_get(&entry.id).await?.ok_or_else(missing)?;
    put(app, &[entry.id.as_str()]).await?;
    audit::record(
        app,
        AuditEvent {
            rows,
            level: entry.grade.as_str().to_owned(),
            ..audit::event(op, "data.landed", &entry.draft.code)
        },
    )
    .await?;
    Ok(entry)
}

/// Brings these entries up to date in search. They are read anew, one call after the other: whoever comes last
/// puts what the ledger holds, so that two changes at once cannot leave the older one in search.
pub(crate) async fn put(app: &App, ids: &[&str]) -> Result<()> {
    let _in_turn = app.shares.indexing.lock().await;
    put_now(app, ids).await
}

async fn put_now(app: &App, ids: &[&str]) -> Result<()> {
    let mut names = HashMap::new();
    let mut docs = Vec::with_capacity(ids.len());
    for id in ids {
        if let Some(entry) = app.store.entry_get(id).await? {
            docs.push(doc(&entry, &org_name(app, &mut names, &entry.draft.org).await?));
        }
    }
    let search = std::sync::Arc::clone(&app.search);
    tokio::task::spawn_blocking(move || search.put(&docs)).await.map_err(broken)?
}

/// With which state of the ledger this process's index is level.
#[derive(Debug, Default)]
pub(crate) struct Level {
    epoch: Option<i64>,
    marks: HashMap<String, String>,
}

/// Brings this process's index level with what other processes changed in the ledger. Costs one small question when
/// nothing changed, otherwise reads the entries that did. With SQLite one process writes, and its index is level.
pub(crate) async fn follow(app: &App) -> Result<()> {
    if app.store.backend() == store::Backend::Sqlite {
        return Ok(());
    }
    let epoch = app.store.ledger_epoch().await?;
    if app.shares.level.lock().epoch == Some(epoch) {
        return Ok(());
    }
    let _in_turn = app.shares.indexing.lock().await;
    if app.shares.level.lock().epoch == Some(epoch) {
        return Ok(());
    }
    let marks: HashMap<String, String> = app.store.entry_marks().await?.into_iter().collect();
    let (changed, gone): (Vec<String>, Vec<String>) = {
        let level = app.shares.level.lock();
        let differs = |(id, mark): &(&String, &String)| level.marks.get(*id) != Some(*mark);
        (
            marks.iter().filter(differs).map(|(id, _)| id.clone()).collect(),
            level.marks.keys().filter(|id| !marks.contains_key(*id)).cloned().collect(),
        )
    };
    for ids in changed.chunks(500) {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        put_now(app, &ids).await?;
    }
    if !gone.is_empty() {
        let search = std::sync::Arc::clone(&app.search);
        tokio::task::spawn_blocking(move || search.remove(&gone)).await.map_err(broken)??;
    }
    // Grants and figures remembered of the older ledger no longer hold either.
    app.shares.forget();
    // Read before the entries were: what changed meanwhile has moved the epoch on and is fetched by the next look.
    *app.shares.level.lock() = Level { epoch: Some(epoch), marks };
    Ok(())
}

/// Rebuilds search from the ledger; answers the number of documents.
pub async fn reindex(app: &App) -> Result<u64> {
    let _in_turn = app.shares.indexing.lock().await;
    let epoch = app.store.ledger_epoch().await?;
    let marks = app.store.entry_marks().await?.into_iter().collect();
    let mut filter = EntryFilter { limit: 1000, ..EntryFilter::default() };
    let (mut names, mut docs) = (HashMap::new(), Vec::new());
    loop {
        let page = app.store.entry_list(&filter, &EntryScope::All).await?;
        for entry in &page {
            docs.push(doc(entry, &org_name(app, &mut names, &entry.draft.org).await?));
        }
        let Some(last) = page.last() else { break };
        filter.after = Some(last.id.clone());
    }
    let count = u64::try_from(docs.len()).unwrap_or(u64::MAX);
    let search = std::sync::Arc::clone(&app.search);
    tokio::task::spawn_blocking(move || search.rebuild(&docs)).await.map_err(broken)??;
    *app.shares.level.lock() = Level { epoch: Some(epoch), marks };
    Ok(count)
}

/// Name of the mark that says with which ledger epoch the index is level, written at a calm stop. Its number grows
/// when the documents are made in another way: then the first start makes them anew.
pub(crate) const INDEX_MARK: &str = "index_epoch.2";

/// After a start: rebuilds search unless the last stop left it level with the ledger. Answers whether it did.
/// Several processes have an index each, so there the mark of one says nothing of another's: it is always rebuilt.
pub async fn heal(app: &App) -> Result<bool> {
    if app.store.backend() == store::Backend::Postgres {
        reindex(app).await?;
        return Ok(true);
    }
    let epoch = app.store.ledger_epoch().await?.to_string();
    let marked = app.store.meta_get(INDEX_MARK).await?;
    let index = std::sync::Arc::clone(&app.search);
    let held = tokio::task::spawn_blocking(move || index.count()).await.map_err(broken)??;
    if marked.as_ref() == Some(&epoch) && held == app.store.entry_count().await? {
        return Ok(false);
    }
    reindex(app).await?;
    Ok(true)
}

fn broken(e: tokio::task::JoinError) -> Error {
    Error::of(Code::Internal).detail("the search task ended").caused_by(e)
}

async fn org_name(app: &App, names: &mut HashMap<String, String>, id: &str) -> Result<String> {
    if let Some(name) = names.get(id) {
        return Ok(name.clone());
    }
    let name = app.store.org_get(id).await?.map_or_else(|| id.to_owned(), |o| o.name_cn);
    names.insert(id.to_owned(), name.clone());
    Ok(name)
}

/// The document of an entry. What is public lists its open items only, whoever searches: a hidden item's name
/// cannot be found by the public.
pub(crate) fn doc(entry: &Entry, org_name: &str) -> SearchDoc {
    let d = &entry.draft;
    let public = entry.open();
    let mut audience = vec![format!("org:{}", d.org)];
    if entry.live() {
        audience.push("staff".into());
    }
    if public {
        audience.push("public".into());
    }
    SearchDoc {
        id: entry.id.clone(),
        code: d.code.clone(),
        title: d.title.clone(),
        title_en: d.title_en.clone(),
        description: d.description.clone(),
        org: d.org.clone(),
        org_name: org_name.to_owned(),
        region: d.region.clone(),
        domain: d.domain.as_str().to_owned(),
        tags: d.tags.clone(),
        items: d
            .items
            .iter()
            .filter(|i| !public || i.open_type != OpenType::None)
            .flat_map(|i| [&i.name_cn, &i.name_en, &i.identifier])
            .filter(|t| !t.is_empty())
            .cloned()
            .collect(),
        formats: formats(entry),
        update_cycle: d.update_cycle.as_str().to_owned(),
        open_type: d.open_type.as_str().to_owned(),
        share_type: d.share_type.as_str().to_owned(),
        grade: entry.grade.as_str().to_owned(),
        audience,
        rows: entry.rows,
        published_at: entry.published_at.clone().unwrap_or_default(),
        data_at: entry.data_at.clone().unwrap_or_default(),
    }
}

/// Formats an entry's data can be had in.
fn formats(entry: &Entry) -> Vec<String> {
    let files = ["CSV", "JSON", "XLSX", "XML", "RDF"];
    let all: &[&str] = match (entry.draft.open_type, entry.draft.kind) {
        (OpenType::Unconditional, _) => &["API", "CSV", "JSON", "XLSX", "XML", "RDF"],
        (_, ResourceKind::File) => &files,
        _ => &["API"],
    };
    let places = entry.draft.open_type == OpenType::Unconditional
        && crate::opening::geometry(&entry.draft.items).is_some();
    all.iter().copied().chain(places.then_some("GeoJSON")).map(str::to_owned).collect()
}

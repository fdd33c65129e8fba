//! Search is brought up to date before a change of the ledger is answered (*read-your-writes*).

use std::collections::HashMap;

use model::asset::Ledger;
use model::audit::AuditEvent;
use model::code::{DataType, OpenType, ResourceKind};
use model::entry::Entry;
use model::item::Item;
use model::search::{SearchDoc, SearchItem};
use model::{Code, Error, Op, Result};
use policy::{Action, Target};

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

/// Takes drafts that were given up out of search.
pub(super) async fn drop_out(app: &App, id: &str) -> Result<()> {
    let _in_turn = app.shares.indexing.lock().await;
    drop_now(app, vec![id.to_owned()]).await
}

async fn drop_now(app: &App, ids: Vec<String>) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let search = std::sync::Arc::clone(&app.search);
    tokio::task::spawn_blocking(move || search.remove(&ids)).await.map_err(broken)?
}

/// With which state of the ledger this process's index is level.
#[derive(Debug, Default)]
pub(crate) struct Level {
    epoch: Option<String>,
    /// Number of the ledger's change up to which search has every entry; none before it was first read.
    entries: Option<i64>,
    /// Marks of assets by id.
    assets: HashMap<String, String>,
}

/// Brings this process's index level with what other processes changed in the ledger. Costs one small question when
/// nothing changed, otherwise reads the entries that did. With SQLite one process writes, and its index is level.
pub(crate) async fn follow(app: &App) -> Result<()> {
    if app.store.backend() == store::Backend::Sqlite {
        return Ok(());
    }
    let epoch = mark(app).await?;
    if app.shares.level.lock().epoch.as_ref() == Some(&epoch) {
        return Ok(());
    }
    let _in_turn = app.shares.indexing.lock().await;
    if app.shares.level.lock().epoch.as_ref() == Some(&epoch) {
        return Ok(());
    }
    // Read before the entries are: what changes meanwhile has a greater number, and moves the epoch on for the next look.
    let number = app.store.ledger_epoch().await?;
    let assets: HashMap<String, String> = app.store.asset_marks().await?.into_iter().collect();
    let moved: Vec<String> = {
        let level = app.shares.level.lock();
        let differs = |(id, mark): &(&String, &String)| level.assets.get(*id) != Some(*mark);
        assets.iter().filter(differs).map(|(id, _)| id.clone()).collect()
    };
    for ids in moved.chunks(500) {
        crate::ledger::put_now(app, ids).await?;
    }
    let level = app.shares.level.lock().entries;
    if let Some(level) = level {
        let gone = app.store.entries_discarded(level.saturating_add(1)).await?;
        drop_now(app, gone).await?;
    }
    let mut after = (level.map_or(0, |n| n.saturating_add(1)), String::new());
    loop {
        let page = app.store.entries_moved((after.0, &after.1), 500).await?;
        let Some((last, moved)) = page.last() else { break };
        after = (*moved, last.clone());
        let ids: Vec<&str> = page.iter().map(|(id, _)| id.as_str()).collect();
        put_now(app, &ids).await?;
    }
    // Grants and figures remembered of the older ledger no longer hold either.
    app.shares.forget();
    *app.shares.level.lock() = Level { epoch: Some(epoch), entries: Some(number), assets };
    Ok(())
}

/// Rebuilds search from all ledgers; answers the number of documents. Pages are read while the index takes them in.
pub async fn reindex(app: &App) -> Result<u64> {
    let _in_turn = app.shares.indexing.lock().await;
    let level = Level {
        epoch: Some(mark(app).await?),
        entries: Some(app.store.ledger_epoch().await?),
        assets: app.store.asset_marks().await?.into_iter().collect(),
    };
    let (give, mut take) = tokio::sync::mpsc::channel::<Result<Vec<SearchDoc>>>(4);
    let search = std::sync::Arc::clone(&app.search);
    let taken = tokio::task::spawn_blocking(move || {
        search.rebuild(&mut std::iter::from_fn(|| take.blocking_recv()))
    });
    let (mut entries, mut assets) = (pages(app), crate::ledger::pages(app));
    let (mut count, mut sent) = (0_u64, Ok(()));
    loop {
        let page = match entries.next().await {
            Ok(None) => assets.next().await,
            other => other,
        };
        match page {
            Ok(Some(docs)) => {
                let items: usize = docs.iter().map(|d| d.items.len() + 1).sum();
                count += u64::try_from(items).unwrap_or(0);
                // A closed channel: the index has failed, and says why below.
                if give.send(Ok(docs)).await.is_err() {
                    break;
                }
            }
            Ok(None) => break,
            Err(e) => {
                let said = Error::new(e.code(), e.zh(), e.en());
                sent = Err(e);
                let _index_gives_up = give.send(Err(said)).await;
                break;
            }
        }
    }
    drop(give);
    let built = taken.await.map_err(broken)?;
    sent.and(built)?;
    *app.shares.level.lock() = level;
    Ok(count)
}

/// Reads the documents of all entries with their items, page by page.
pub(crate) struct Pages<'a> {
    app: &'a App,
    names: HashMap<String, String>,
    after: Option<String>,
}

pub(crate) fn pages(app: &App) -> Pages<'_> {
    Pages { app, names: HashMap::new(), after: None }
}

impl Pages<'_> {
    /// The next page; `None` after the last.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<SearchDoc>>> {
        let page = self.app.store.entry_scan(self.after.as_deref(), 500).await?;
        let Some((last, _)) = page.last() else { return Ok(None) };
        self.after = Some(last.id.clone());
        let mut docs = Vec::with_capacity(page.len());
        for (mut entry, items) in page {
            // Whether the places can be drawn is told by the items that may be shown to anyone.
            if entry.draft.open_type == OpenType::Unconditional {
                entry.draft.items = items.iter().map(bare).collect();
            }
            let name = org_name(self.app, &mut self.names, &entry.draft.org).await?;
            let items = items
                .into_iter()
                .map(|i| SearchItem {
                    closed: entry.open() && i.open_type == OpenType::None.as_str(),
                    identifier: i.identifier,
                    name_cn: i.name_cn,
                    name_en: i.name_en,
                    grade: i.grade,
                    share_type: i.share_type,
                    open_type: i.open_type,
                })
                .collect();
            docs.push(doc_with(&entry, &name, items));
        }
        Ok(Some(docs))
    }
}

/// An item as far as search reads it.
fn bare(head: &store::scan::ItemHead) -> Item {
    let data_type = DataType::parse(&head.data_type).unwrap_or(DataType::Text);
    let mut item = Item::new(&head.identifier, &head.name_cn, data_type);
    item.open_type = OpenType::parse(&head.open_type).unwrap_or(OpenType::None);
    item
}

/// Name of the mark that says with which epoch of the ledgers the index is level, written at a calm stop. Its number
/// grows when the documents are made in another way: then the first start makes them anew.
pub(crate) const INDEX_MARK: &str = "index_epoch.5";

/// The mark's value when the index is level now.
pub(crate) async fn mark(app: &App) -> Result<String> {
    let (entries, assets) = (app.store.ledger_epoch().await?, app.store.asset_epoch().await?);
    Ok(format!("{entries}.{assets}"))
}

/// After a start: rebuilds search unless the last stop left it level with the ledgers. Answers whether it did.
/// Several processes have an index each, so there the mark of one says nothing of another's: it is always rebuilt.
pub async fn heal(app: &App) -> Result<bool> {
    if app.store.backend() == store::Backend::Postgres {
        reindex(app).await?;
        return Ok(true);
    }
    let now = mark(app).await?;
    let marked = app.store.meta_get(INDEX_MARK).await?;
    let index = std::sync::Arc::clone(&app.search);
    let held = tokio::task::spawn_blocking(move || index.count()).await.map_err(broken)??;
    if marked.as_ref() == Some(&now) && held == app.store.document_count().await? {
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
    let public = entry.open();
    let items = entry
        .draft
        .items
        .iter()
        .map(|i| SearchItem {
            identifier: i.identifier.clone(),
            name_cn: i.name_cn.clone(),
            name_en: i.name_en.clone(),
            grade: i.grade.as_str().to_owned(),
            share_type: i.share_type.as_str().to_owned(),
            open_type: i.open_type.as_str().to_owned(),
            closed: public && i.open_type == OpenType::None,
        })
        .collect();
    doc_with(entry, org_name, items)
}

fn doc_with(entry: &Entry, org_name: &str, items: Vec<SearchItem>) -> SearchDoc {
    let d = &entry.draft;
    let mut audience = vec![format!("org:{}", d.org), "all".to_owned()];
    if entry.live() {
        audience.push("staff".into());
    }
    if entry.open() {
        audience.push("public".into());
    }
    SearchDoc {
        id: entry.id.clone(),
        ledger: Ledger::Data.as_str().to_owned(),
        code: d.code.clone(),
        title: d.title.clone(),
        title_en: d.title_en.clone(),
        description: d.description.clone(),
        org: d.org.clone(),
        org_name: org_name.to_owned(),
        region: d.region.clone(),
        domain: d.domain.as_str().to_owned(),
        tags: d.tags.clone(),
        items,
        formats: formats(entry),
        linked: linked(entry),
        update_cycle: d.update_cycle.as_str().to_owned(),
        open_type: d.open_type.as_str().to_owned(),
        share_type: d.share_type.as_str().to_owned(),
        grade: entry.grade.as_str().to_owned(),
        state: entry.online_state.as_str().to_owned(),
        audience,
        rows: entry.rows,
        published_at: entry.published_at.clone().unwrap_or_default(),
        data_at: entry.data_at.clone().unwrap_or_default(),
        ..SearchDoc::default()
    }
}

/// The format of an interface of ours. The site lists by it what can be called here.
const INTERFACE: &str = "API";

/// Formats an entry's data can be had in: here, and where its links lead. What another catalogue brought is had there, and what is known
/// by links alone behind them.
fn formats(entry: &Entry) -> Vec<String> {
    let d = &entry.draft;
    let open = d.open_type == OpenType::Unconditional;
    let links = &d.profile.links;
    let elsewhere = entry.data_at.is_none()
        && (crate::harvest::brought(&d.code) || (open && !links.is_empty()));
    let there = linked(entry);
    if elsewhere {
        return there;
    }
    let files = ["CSV", "JSON", "XLSX", "XML", "RDF"];
    let all: &[&str] = match (d.open_type, d.kind) {
        (OpenType::Unconditional, _) => &[INTERFACE, "CSV", "JSON", "XLSX", "XML", "RDF"],
        (_, ResourceKind::File) => &files,
        _ => &[INTERFACE],
    };
    let places = open && crate::opening::geometry(&d.items).is_some();
    let here = all.iter().copied().chain(places.then_some("GeoJSON")).map(str::to_owned);
    here.chain(there).collect()
}

/// Formats of what its links lead to, as search counts them. An interface of somebody else's is none of ours, and what is open under
/// conditions is handed out by no link.
fn linked(entry: &Entry) -> Vec<String> {
    let open = entry.draft.open_type == OpenType::Unconditional;
    let ways = entry.draft.profile.ways().filter(|_| open).map(|(way, _)| way.counted());
    ways.filter(|format| !format.is_empty() && format != INTERFACE).collect()
}

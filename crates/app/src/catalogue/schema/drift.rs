//! Looking at a source again: tables that are not what they were open a task for the owner of their entry; one that is
//! again what it was ends its task by itself. Tables that nobody catalogued are named.

use std::collections::BTreeMap;

use model::entry::Entry;
use model::schema::{
    ChangeKind, Drift, DriftState, Origin, RelationKind, SchemaChange, SourceTable, TableName,
};
use model::{Error, Op, Result};
use policy::{Action, Permit, Target};
use serde::Serialize;
use store::entry::EntryScope;

use super::super::look::scope;
use super::super::visible;
use super::{compare, recorded};
use crate::collection::source;
use crate::{App, Page, account, audit};

/// Tables read at once.
const LOT: usize = 200;
/// Tables without an entry that are named; the rest is counted.
const NAMED: usize = 50;

/// What a look found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Looked {
    pub source: String,
    /// Tables with entries that were compared.
    pub tables: usize,
    pub same: usize,
    /// Tasks opened or brought up to date, and those that ended by themselves.
    pub open: Vec<Drift>,
    pub gone: usize,
    /// Tables of the source without an entry: some by name, and how many in all.
    pub uncatalogued: Vec<String>,
    pub uncatalogued_total: usize,
}

/// A drift as its page shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DriftSeen {
    pub drift: Drift,
    /// The caller may take it over or dismiss it.
    pub mine: bool,
}

/// Compares every table of a source that has an entry with what it was.
pub async fn look(app: &App, op: &Op, id: &str) -> Result<Looked> {
    let (source, url, permit) = source::reach(app, op, id).await?;
    let heads = app.intake.describe(&url, None).await?;
    let origins = app.store.origins_of(id).await?;
    let there: Vec<TableName> = heads
        .tables
        .iter()
        .filter(|t| t.kind == RelationKind::Table)
        .map(|t| t.of.clone())
        .collect();
    let known: Vec<TableName> = origins.iter().map(|o| o.table.of.clone()).collect();
    let without: Vec<TableName> = there.iter().filter(|t| !known.contains(t)).cloned().collect();
    // Columns of tables that have an entry; of the others only when one of ours went, to see whether it was renamed.
    let mut wanted: Vec<TableName> = known.iter().filter(|t| there.contains(t)).cloned().collect();
    let went = wanted.len() < known.len();
    if went {
        wanted.extend(without.iter().cloned());
    }
    let mut now: BTreeMap<TableName, SourceTable> = BTreeMap::new();
    for lot in wanted.chunks(LOT) {
        let read = app.intake.describe(&url, Some(lot)).await?;
        now.extend(read.tables.into_iter().map(|t| (t.of.clone(), t)));
    }
    let mut looked = Looked {
        source: source.id.clone(),
        tables: origins.len(),
        same: 0,
        open: Vec::new(),
        gone: 0,
        uncatalogued: without.iter().take(NAMED).map(TableName::dotted).collect(),
        uncatalogued_total: without.len(),
    };
    for origin in &origins {
        let others = without.iter().filter_map(|t| now.get(t));
        let found = changes(origin, now.get(&origin.table.of), others);
        match settled(app, op, &permit, &source.name, origin, found).await? {
            Settled::Same => looked.same += 1,
            Settled::Gone => (looked.same, looked.gone) = (looked.same + 1, looked.gone + 1),
            Settled::Open(drift) => looked.open.push(*drift),
            Settled::NoEntry => {}
        }
    }
    let scope = format!("tables={} drifted={}", looked.tables, looked.open.len());
    recorded(app, op, "source.drift", &source, looked.tables, scope).await?;
    Ok(looked)
}

/// The same for some tables of a source (by id and name) with the entries they go to, by a channel that was allowed to use
/// it; answers the open drifts. An entry of which nobody knows the table is looked at for the first time: from then on it is
/// known.
pub(crate) async fn look_at(
    app: &App,
    op: &Op,
    permit: &Permit,
    (source, name): (&str, &str),
    tables: &[(Entry, TableName)],
) -> Result<Vec<Drift>> {
    let url = source::url_of(app, source).await?;
    let mut open = Vec::new();
    for lot in tables.chunks(LOT) {
        let wanted: Vec<TableName> = lot.iter().map(|(_, table)| table.clone()).collect();
        let read = app.intake.describe(&url, Some(&wanted)).await?;
        for (entry, table) in lot {
            let now = read.tables.iter().find(|t| t.of == *table);
            let Some(origin) = app.store.origin_get(&entry.id).await? else {
                let Some(table) = now.cloned() else { continue };
                let (entry, org) = (entry.id.clone(), entry.draft.org.clone());
                let origin =
                    Origin { entry, source: source.to_owned(), org, at: op.stamp(), table };
                app.store.origin_keep(permit, &origin).await?;
                continue;
            };
            if origin.source != source || origin.table.of != *table {
                continue;
            }
            let found = changes(&origin, now, std::iter::empty());
            if let Settled::Open(drift) = settled(app, op, permit, name, &origin, found).await? {
                open.push(*drift);
            }
        }
    }
    Ok(open)
}

/// What came of comparing one table.
enum Settled {
    Same,
    /// The same again: an open drift has ended.
    Gone,
    Open(Box<Drift>),
    NoEntry,
}

async fn settled(
    app: &App,
    op: &Op,
    permit: &Permit,
    source_name: &str,
    origin: &Origin,
    (changes, table): (Vec<SchemaChange>, Option<SourceTable>),
) -> Result<Settled> {
    let standing = app.store.drift_of(&origin.entry).await?;
    if changes.is_empty() {
        let Some(drift) = standing else { return Ok(Settled::Same) };
        let drift = Drift { state: DriftState::Gone, updated_at: op.stamp(), ..drift };
        app.store.drift_end(permit, &drift, None).await?;
        return Ok(Settled::Gone);
    }
    let Some(entry) = app.store.entry_get(&origin.entry).await? else {
        return Ok(Settled::NoEntry);
    };
    let same = standing.as_ref().is_some_and(|d| d.changes == changes);
    let drift = match standing {
        Some(drift) => Drift { changes, now: table, updated_at: op.stamp(), ..drift },
        None => Drift {
            id: op.new_id(),
            entry: entry.id.clone(),
            entry_title: entry.draft.title.clone(),
            source: origin.source.clone(),
            source_name: source_name.to_owned(),
            org: entry.draft.org.clone(),
            table: origin.table.of.clone(),
            state: DriftState::Open,
            opened_at: op.stamp(),
            updated_at: op.stamp(),
            changes,
            now: table,
            by: String::new(),
            reason: String::new(),
        },
    };
    if !same {
        app.store.drift_open(permit, &drift).await?;
    }
    Ok(Settled::Open(Box::new(drift)))
}

/// What changed of an entry's table, and the table as it is now.
fn changes<'a>(
    origin: &Origin,
    now: Option<&SourceTable>,
    others: impl Iterator<Item = &'a SourceTable>,
) -> (Vec<SchemaChange>, Option<SourceTable>) {
    if let Some(now) = now {
        return (compare::compare(&origin.table, now), Some(now.clone()));
    }
    let change = |kind, after: String| SchemaChange {
        kind,
        column: String::new(),
        before: origin.table.of.dotted(),
        after,
    };
    match compare::renamed(&origin.table, others) {
        Some(other) => {
            let mut all = vec![change(ChangeKind::TableRenamed, other.of.dotted())];
            all.extend(compare::compare(&origin.table, other));
            (all, Some(other.clone()))
        }
        None => (vec![change(ChangeKind::TableGone, String::new())], None),
    }
}

/// Drifts of the caller's organisation (or, for those who see every entry, of all), newest first.
pub async fn drifts(
    app: &App,
    op: &Op,
    state: Option<DriftState>,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<Drift>> {
    let org = match scope(app, op) {
        EntryScope::All => None,
        EntryScope::LiveOr(_) => {
            let own = op.actor.org().unwrap_or_default();
            audit::permit(app, op, Action::EntryCompile, &Target::of_org("Entry", "drifts", own))
                .await?;
            Some(own.to_owned())
        }
    };
    let items = app.store.drift_list(org.as_deref(), state, after, limit + 1).await?;
    Ok(Page::cut(items, limit, |d| d.id.clone()))
}

/// Open drifts that await the caller's organisation; none for who does not compile.
pub async fn count(app: &App, op: &Op) -> Result<u64> {
    let Some(org) = op.actor.org() else { return Ok(0) };
    let target = Target::of_org("Entry", "drifts", org);
    if !app.policy.decide(op, Action::EntryCompile, &target).allowed {
        return Ok(0);
    }
    app.store.drift_count(org).await
}

/// One drift, for who may see its entry before it is published; who decided by the name shown.
pub async fn drift(app: &App, op: &Op, id: &str) -> Result<DriftSeen> {
    let missing = || Error::not_found("结构变动", "drift", id);
    let mut drift = app.store.drift_get(id).await?.ok_or_else(missing)?;
    let held = visible(app, op, &drift.entry).await.map_err(|e| match e.kind() {
        model::Kind::NotFound => missing(),
        _ => e,
    })?;
    if !super::super::inner(app, op, &held.entry) {
        return Err(missing());
    }
    let target = Target::entry(&held.entry);
    let mine = drift.state == DriftState::Open
        && app.policy.decide(op, Action::EntryCompile, &target).allowed;
    account::logins_named(app, vec![&mut drift.by]).await?;
    Ok(DriftSeen { drift, mine })
}

/// From which table an entry was drafted and its open drift, for who may compile it.
pub async fn of_entry(
    app: &App,
    op: &Op,
    entry: &Entry,
) -> Result<Option<(Origin, Option<Drift>)>> {
    if !app.policy.decide(op, Action::EntryCompile, &Target::entry(entry)).allowed {
        return Ok(None);
    }
    let Some(origin) = app.store.origin_get(&entry.id).await? else { return Ok(None) };
    let drift = app.store.drift_of(&entry.id).await?;
    Ok(Some((origin, drift)))
}

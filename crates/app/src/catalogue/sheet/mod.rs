//! Whole catalogues as CSV or XLSX: one row per item, entry columns repeated. An import is all or nothing; a file
//! that was exported and is imported again changes nothing.

mod columns;
mod parse;
pub(crate) mod table;

use std::collections::HashMap;
use std::path::Path;

use futures::{StreamExt as _, TryStreamExt as _};
use model::audit::AuditEvent;
use model::entry::{Entry, EntryDraft, EntryFilter};
use model::finding::Finding;
use model::item::Item;
use model::{Error, FieldError, Op, Result};
use policy::{Action, Target};
use serde::Serialize;
use store::entry::{EntryChange, Held};

use super::{
    ImportReport, SheetFormat, apply, change_edit, change_new, check, index, new_entry, standing,
    tidy,
};
use crate::App;
use crate::audit;
use parse::{Parsed, ParsedEntry};

/// Most cells of one file: each takes memory while the file is read.
const MOST_CELLS: usize = 8_000_000;

/// Imports a whole catalogue from CSV or XLSX (`path` holds the file, `name` is the user's name for it): all or nothing.
/// New entries start unpublished; published ones that differ go to change-auditing.
pub async fn import(
    app: &App,
    op: &Op,
    path: &Path,
    name: &str,
    dry_run: bool,
) -> Result<ImportReport> {
    let permit = audit::permit(app, op, Action::EntryImport, &own_catalogue(op)).await?;
    let table = read(app, path, name).await?;
    let held = present(app, &table).await?;
    let now: HashMap<String, EntryDraft> = held
        .iter()
        .map(|(code, h)| (code.clone(), h.pending.as_ref().unwrap_or(&h.entry.draft).clone()))
        .collect();
    let Parsed { mut drafts, mut faults } = parse::parse(&table, &now, &app.rules.catalogue.alias);
    resolve(app, op, &mut drafts, &mut faults).await?;
    let mut changes = plan(app, op, &mut drafts, held, &mut faults);
    let codes = |new: bool| -> Vec<String> {
        changes
            .iter()
            .filter(|c| c.base.is_none() == new)
            .map(|c| c.held.entry.draft.code.clone())
            .collect()
    };
    let applied = faults.is_empty() && !dry_run;
    let report = ImportReport {
        entries: u64::try_from(drafts.len()).unwrap_or(0),
        items: drafts.iter().map(|d| u64::try_from(d.draft.items.len()).unwrap_or(0)).sum(),
        created: codes(true),
        changed: codes(false),
        faults,
        applied,
    };
    if applied && !changes.is_empty() {
        apply(app, op, &permit, &mut changes).await?;
        app.shares.forget();
        let ids: Vec<&str> = changes.iter().map(|c| c.held.entry.id.as_str()).collect();
        index::put(app, &ids).await?;
        record(app, op, name, &changes).await?;
    }
    Ok(report)
}

/// A file's cells, within the limits of the rules.
async fn read(app: &App, path: &Path, name: &str) -> Result<table::Table> {
    let (path, file) = (path.to_owned(), name.to_owned());
    let size = &app.rules.catalogue.size;
    let most = table::Most {
        bytes: size.import_bytes,
        unpacked: size.import_bytes.saturating_mul(8),
        rows: size.import_rows,
        cells: MOST_CELLS.min(size.import_rows.saturating_mul(128)),
    };
    tokio::task::spawn_blocking(move || table::read(&path, &file, &most))
        .await
        .map_err(|e| Error::internal("the reading task ended").caused_by(e))?
}

/// What the rules say of a catalogue file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LintReport {
    pub entries: usize,
    pub items: usize,
    /// What would keep the file from being imported, by row.
    pub faults: Vec<FieldError>,
    /// Findings of the rule packs, `field` by row.
    pub findings: Vec<Finding>,
}

/// Asks the rules of a file; nothing of the ledger is read or changed.
pub(super) async fn lint_file(app: &App, op: &Op, path: &Path, name: &str) -> Result<LintReport> {
    audit::permit(app, op, Action::EntryImport, &own_catalogue(op)).await?;
    let table = read(app, path, name).await?;
    let alias = &app.rules.catalogue.alias;
    let Parsed { drafts, mut faults } = parse::parse(&table, &HashMap::new(), alias);
    let mut findings = Vec::new();
    for parsed in &drafts {
        for fault in check(app, &parsed.draft).into_iter().map(|f| parsed.place(f)) {
            if !faults.iter().any(|f| f.field == fault.field) {
                faults.push(fault);
            }
        }
        for found in super::standard::lint(&app.rules.packs, op.today(), &parsed.draft) {
            let field = parsed.place(found.told()).field;
            findings.push(Finding { field, ..found });
        }
    }
    let items = drafts.iter().map(|d| d.draft.items.len()).sum();
    Ok(LintReport { entries: drafts.len(), items, faults, findings })
}

/// Whether the caller may import at all, asked before a byte of the file is taken in. A refusal is recorded.
pub async fn may_import(app: &App, op: &Op) -> Result<()> {
    audit::permit(app, op, Action::EntryImport, &own_catalogue(op)).await.map(|_| ())
}

/// Exports the entries the caller may see; importing the file again changes nothing. An entry with a change under
/// review is written as it is in force.
pub async fn export(app: &App, op: &Op, format: SheetFormat) -> Result<Vec<u8>> {
    audit::permit(app, op, Action::EntryExport, &own_catalogue(op)).await?;
    let names: HashMap<String, String> =
        app.store.orgs_list().await?.into_iter().map(|o| (o.id, o.name_cn)).collect();
    let mut rows = vec![header()];
    let mut filter = EntryFilter { limit: 999, ..EntryFilter::default() };
    let mut entries = 0_u64;
    loop {
        let page = super::list(app, op, &filter).await?;
        for entry in page.items.iter().filter(|e| super::whole(app, op, e)) {
            entries += 1;
            let owner = names.get(&entry.draft.org).map_or("", String::as_str);
            rows.extend(cells(&entry.draft, owner));
        }
        filter.after = page.next;
        if filter.after.is_none() {
            break;
        }
    }
    let event = AuditEvent { rows: entries, ..audit::event(op, "entry.export", "catalogue") };
    audit::record(app, event).await?;
    tokio::task::spawn_blocking(move || table::write(format, &rows))
        .await
        .map_err(|e| Error::internal("the writing task ended").caused_by(e))?
}

/// Drafts as a catalogue file that [`import`] takes. Nothing of the ledger is read: owners stand as they were given.
pub async fn sheet_of(format: SheetFormat, drafts: &[EntryDraft]) -> Result<Vec<u8>> {
    let rows: Vec<Vec<String>> =
        std::iter::once(header()).chain(drafts.iter().flat_map(|d| cells(d, ""))).collect();
    tokio::task::spawn_blocking(move || table::write(format, &rows))
        .await
        .map_err(|e| Error::internal("the writing task ended").caused_by(e))?
}

/// Whether the caller may export catalogues at all. A refusal is recorded.
pub(crate) async fn may_export(app: &App, op: &Op) -> Result<()> {
    audit::permit(app, op, Action::EntryExport, &own_catalogue(op)).await.map(|_| ())
}

/// Heads of the two tables of a workbook: entries (with their state and figures), and items.
pub(crate) fn entry_header() -> Vec<String> {
    let own = columns::ENTRY.iter().map(|c| c.zh.to_owned());
    let more = [
        columns::ORG_NAME,
        "安全级别",
        "发布状态",
        "上下线状态",
        "版本",
        "目录发布时间",
        "数据更新时间",
        "数据项数",
        "数据量",
    ];
    own.chain(more.map(str::to_owned)).collect()
}

pub(crate) fn item_header() -> Vec<String> {
    let own = columns::ITEM.iter().map(|c| c.zh.to_owned());
    ["目录编码", "目录名称"].map(str::to_owned).into_iter().chain(own).collect()
}

/// An entry as a row of texts; its two figures come after.
pub(crate) fn entry_cells(entry: &Entry, owner: &str) -> Vec<String> {
    let own = columns::ENTRY.iter().map(|c| (c.get)(&entry.draft));
    let more = [
        owner.to_owned(),
        entry.grade.as_str().to_owned(),
        entry.publish_state.zh().to_owned(),
        entry.online_state.zh().to_owned(),
        entry.version.to_string(),
        entry.published_at.clone().unwrap_or_default(),
        entry.data_at.clone().unwrap_or_default(),
    ];
    own.chain(more).collect()
}

pub(crate) fn item_cells(draft: &EntryDraft, item: &Item) -> Vec<String> {
    let own = columns::ITEM.iter().map(|c| (c.get)(item));
    [draft.code.clone(), draft.title.clone()].into_iter().chain(own).collect()
}

/// The catalogue of the caller's organisation: each entry is decided by itself besides.
fn own_catalogue(op: &Op) -> Target {
    let org = op.actor.org().unwrap_or_default();
    Target::of_org("Org", org, org)
}

fn header() -> Vec<String> {
    let entry = columns::ENTRY.iter().flat_map(|c| {
        let name = (c.key == "org").then_some(columns::ORG_NAME);
        std::iter::once(c.zh).chain(name)
    });
    entry.chain(columns::ITEM.iter().map(|c| c.zh)).map(str::to_owned).collect()
}

fn cells(draft: &EntryDraft, owner: &str) -> Vec<Vec<String>> {
    let entry: Vec<String> = columns::ENTRY
        .iter()
        .flat_map(|c| {
            let name = (c.key == "org").then(|| owner.to_owned());
            std::iter::once((c.get)(draft)).chain(name)
        })
        .collect();
    draft
        .items
        .iter()
        .map(|item| {
            entry.iter().cloned().chain(columns::ITEM.iter().map(|c| (c.get)(item))).collect()
        })
        .collect()
}

/// Entries of the ledger that the file speaks of.
async fn present(app: &App, table: &table::Table) -> Result<HashMap<String, Held>> {
    let Some(place) = table.first().and_then(|(_, header)| {
        header.iter().position(|h| h == "目录编码" || h.eq_ignore_ascii_case("code"))
    }) else {
        return Ok(HashMap::new());
    };
    let mut held = HashMap::new();
    for (_, cells) in table.iter().skip(1) {
        let Some(code) = cells.get(place).filter(|c| !c.is_empty()) else { continue };
        if held.contains_key(code) {
            continue;
        }
        if let Some(h) = app.store.entry_held(code).await?
            && &h.entry.draft.code == code
        {
            held.insert(code.clone(), h);
        }
    }
    Ok(held)
}

/// Owners may be given by id, 统一社会信用代码 or name; regions must exist.
async fn resolve(
    app: &App,
    op: &Op,
    drafts: &mut [ParsedEntry],
    faults: &mut Vec<FieldError>,
) -> Result<()> {
    let mut orgs = HashMap::new();
    for org in app.store.orgs_list().await? {
        for word in [&org.name_cn, &org.uscc, &org.id] {
            orgs.insert(word.clone(), org.id.clone());
        }
    }
    let regions: std::collections::HashSet<String> =
        app.store.regions_list().await?.into_iter().map(|r| r.code).collect();
    for parsed in drafts {
        match orgs.get(&parsed.draft.org) {
            Some(id) => id.clone_into(&mut parsed.draft.org),
            None if parsed.draft.org.is_empty() => {}
            None => faults.push(parsed.place(super::no_org(&parsed.draft.org))),
        }
        if !parsed.draft.region.is_empty() && !regions.contains(&parsed.draft.region) {
            faults.push(parsed.place(super::no_region(&parsed.draft.region)));
        }
        let target = Target::entry(&new_entry(op, parsed.draft.clone()));
        let decision = app.policy.decide(op, Action::EntryImport, &target);
        if !decision.allowed {
            faults.push(parsed.place(FieldError {
                field: "org".into(),
                zh: "无权为该数源单位编目".into(),
                en: "you may not compile entries of this organisation".into(),
            }));
        }
    }
    Ok(())
}

/// The changes that bring the ledger to what the file says.
fn plan(
    app: &App,
    op: &Op,
    drafts: &mut [ParsedEntry],
    mut held: HashMap<String, Held>,
    faults: &mut Vec<FieldError>,
) -> Vec<EntryChange> {
    let mut changes = Vec::new();
    for parsed in drafts {
        parsed.draft = tidy(parsed.draft.clone());
        let found = check(app, &parsed.draft);
        // A cell that could not be read is told already; its field's default need not be told again.
        for fault in found.into_iter().map(|f| parsed.place(f)) {
            if !faults.iter().any(|f| f.field == fault.field) {
                faults.push(fault);
            }
        }
        let Some(now) = held.remove(&parsed.draft.code) else {
            changes.push(change_new(op, parsed.draft.clone(), "create"));
            continue;
        };
        if !app.policy.decide(op, Action::EntryImport, &Target::entry(&now.entry)).allowed {
            faults.push(parsed.place(FieldError {
                field: "code".into(),
                zh: "目录编码已被其他单位使用，请换一个编码".into(),
                en: "the code is taken by another organisation, choose another".into(),
            }));
            continue;
        }
        let entry = now.entry.clone();
        let planned = change_edit(op, now, parsed.draft.clone()).and_then(|change| {
            change.iter().try_for_each(|c| standing(app, op, &entry, c))?;
            Ok(change)
        });
        match planned {
            Ok(change) => changes.extend(change),
            Err(e) if e.fields().is_empty() => faults.push(parsed.place(FieldError {
                field: "code".into(),
                zh: e.zh().to_owned(),
                en: e.en().to_owned(),
            })),
            Err(e) => faults.extend(e.fields().iter().cloned().map(|f| parsed.place(f))),
        }
    }
    changes
}

/// One record of the import and one of each changed entry (written side by side: they share commits).
async fn record(app: &App, op: &Op, name: &str, changes: &[EntryChange]) -> Result<()> {
    let whole = AuditEvent {
        rows: u64::try_from(changes.len()).unwrap_or(0),
        reason: name.to_owned(),
        ..audit::event(op, "entry.import", "catalogue")
    };
    audit::record(app, whole).await?;
    let event = |c: &EntryChange| AuditEvent {
        level: c.held.entry.grade.as_str().to_owned(),
        scope: format!("{}→{}", c.from, c.to),
        reason: "import".into(),
        ..audit::event(op, &format!("entry.{}", c.action), &c.held.entry.draft.code)
    };
    // Owned events: a stream over borrowed changes would keep callers from moving the future between threads.
    let events: Vec<AuditEvent> = changes.iter().map(event).collect();
    futures::stream::iter(events)
        .map(|event| audit::record(app, event))
        .buffer_unordered(64)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests;

//! What a person does with a drift: take changes over into the entry (a draft, or a change that goes to review), or
//! dismiss it with a reason. Either way later looks compare with the table as it is now.

use model::entry::{Entry, EntryDraft};
use model::item::Item;
use model::schema::{
    ChangeKind, Drift, DriftState, Origin, SchemaChange, SourceColumn, SourceTable,
};
use model::{Error, Op, Result};
use policy::{Action, Permit, Target};
use store::entry::Held;

use super::super::{save, visible};
use super::closed;
use crate::{App, audit};

/// Takes the chosen changes (numbers in the drift's list) over into the entry. `updated_at` is that of the drift as the
/// person saw it.
pub async fn take(
    app: &App,
    op: &Op,
    id: &str,
    chosen: &[usize],
    updated_at: &str,
) -> Result<Entry> {
    let (drift, held, origin, permit) = open(app, op, id, updated_at).await?;
    let changes: Vec<&SchemaChange> = drift
        .changes
        .iter()
        .enumerate()
        .filter(|(n, _)| chosen.contains(n))
        .map(|(_, c)| c)
        .collect();
    if changes.is_empty() {
        return Err(Error::invalid(
            "请勾选要采纳的变动；都不采纳时请忽略并写明理由",
            "tick the changes to take over; dismiss the drift with a reason when there are none",
        ));
    }
    let Some(now) = &drift.now else {
        return Err(Error::invalid(
            "表已不存在，没有可采纳的变动；请为目录办理下线，或忽略并写明理由",
            "the table is gone, there is nothing to take over: take the entry offline, or dismiss the drift with a reason",
        ));
    };
    let mut draft = held.pending.clone().unwrap_or_else(|| held.entry.draft.clone());
    for change in &changes {
        follow(&mut draft, change, &origin.table, now);
    }
    let reason = format!("schema drift {} {}", drift.source_name, drift.table.dotted());
    let entry = save(app, op, &permit, held, draft, &reason).await?;
    let rest = drift.changes.len() - changes.len();
    let said = if rest == 0 { String::new() } else { format!("另有 {rest} 处未采纳") };
    end(app, op, drift, origin, &permit, DriftState::Taken, &said).await?;
    Ok(entry)
}

/// Dismisses a drift: the reason is kept, later looks say no more of these changes.
pub async fn dismiss(app: &App, op: &Op, id: &str, reason: &str, updated_at: &str) -> Result<()> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > 500 {
        return Err(Error::invalid(
            "请写明忽略的理由（最多 500 字）",
            "give the reason, 500 characters at most",
        )
        .field("reason", "请填写理由", "give a reason"));
    }
    let (drift, _, origin, permit) = open(app, op, id, updated_at).await?;
    end(app, op, drift, origin, &permit, DriftState::Dismissed, reason).await
}

/// An open drift with its entry, for who may compile that.
async fn open(
    app: &App,
    op: &Op,
    id: &str,
    updated_at: &str,
) -> Result<(Drift, Held, Origin, Permit)> {
    let drift = super::drift(app, op, id).await?.drift;
    let held = visible(app, op, &drift.entry).await?;
    let permit = audit::permit(app, op, Action::EntryCompile, &Target::entry(&held.entry)).await?;
    if drift.state != DriftState::Open {
        return Err(Error::new(
            model::Code::WrongState,
            format!("该变动{}，不能再处理", drift.state.zh()),
            format!(
                "this drift is {}: it cannot be dealt with again",
                drift.state.en().to_lowercase()
            ),
        ));
    }
    if drift.updated_at != updated_at {
        return Err(Error::new(
            model::Code::Stale,
            "打开页面后又发现了新的变动，请刷新后再处理",
            "more changes were found since you opened the page: reload it",
        ));
    }
    let origin = app
        .store
        .origin_get(&drift.entry)
        .await?
        .ok_or_else(|| Error::internal("an open drift whose entry has no table"))?;
    Ok((drift, held, origin, permit))
}

async fn end(
    app: &App,
    op: &Op,
    drift: Drift,
    origin: Origin,
    permit: &Permit,
    state: DriftState,
    reason: &str,
) -> Result<()> {
    let table = drift.now.clone().unwrap_or_else(|| origin.table.clone());
    let level = Origin { at: op.stamp(), table, ..origin };
    let drift = Drift {
        state,
        updated_at: op.stamp(),
        by: op.actor.name().to_owned(),
        reason: reason.to_owned(),
        ..drift
    };
    app.store.drift_end(permit, &drift, Some(&level)).await?;
    let event = model::audit::AuditEvent {
        scope: format!("{} {}", state.as_str(), drift.table.dotted()),
        reason: reason.to_owned(),
        ..audit::event(op, "entry.drift", &drift.entry)
    };
    audit::record(app, event).await
}

/// Brings a declaration level with one change. What a person has written in the meantime is not overwritten.
fn follow(draft: &mut EntryDraft, change: &SchemaChange, before: &SourceTable, now: &SourceTable) {
    let drafted =
        |table: &SourceTable, name: &str| -> Option<Item> { column(table, name)?.item.clone() };
    let old = drafted(before, &change.column);
    match change.kind {
        ChangeKind::Added => {
            let Some(mut item) = drafted(now, &change.column) else { return };
            closed(&mut item);
            if draft.item(&item.identifier).is_none() {
                draft.items.push(item);
            }
        }
        ChangeKind::Dropped => {
            if let Some(old) = old {
                draft.items.retain(|i| i.identifier != old.identifier);
            }
        }
        ChangeKind::Renamed => {
            let (Some(old), Some(new)) = (old, drafted(now, &change.after)) else { return };
            if draft.item(&new.identifier).is_none()
                && let Some(item) = find(draft, &old.identifier)
            {
                item.identifier.clone_from(&new.identifier);
                if item.name_cn == old.name_cn {
                    item.name_cn.clone_from(&new.name_cn);
                }
                if item.name_en == old.name_en {
                    item.name_en.clone_from(&new.name_en);
                }
            }
        }
        ChangeKind::Retyped => {
            let (Some(old), Some(new)) = (old, drafted(now, &change.column)) else { return };
            if let Some(item) = find(draft, &old.identifier) {
                item.data_type = new.data_type;
                (item.length, item.precision, item.scale) = (new.length, new.precision, new.scale);
                if item.value_domain == old.value_domain {
                    item.value_domain = new.value_domain;
                }
            }
        }
        ChangeKind::Comment => {
            let (Some(old), Some(new)) = (old, drafted(now, &change.column)) else { return };
            if let Some(item) = find(draft, &old.identifier) {
                if item.name_cn == old.name_cn {
                    item.name_cn = new.name_cn;
                }
                if item.definition == old.definition {
                    item.definition = new.definition;
                }
            }
        }
        ChangeKind::Nullable => {
            let nullable = column(now, &change.column).is_some_and(|c| c.nullable);
            if let Some(item) = old.and_then(|old| find(draft, &old.identifier)) {
                item.nullable = nullable;
            }
        }
        ChangeKind::Primary | ChangeKind::Unique => {
            for c in &now.columns {
                let Some(identifier) = c.item.as_ref().map(|i| i.identifier.clone()) else {
                    continue;
                };
                let Some(item) = find(draft, &identifier) else { continue };
                item.primary = now.primary.contains(&c.name);
                let unique = now.unique.iter().any(|u| *u == [c.name.clone()]);
                item.lookup = !item.primary
                    && (unique || (item.lookup && change.kind == ChangeKind::Primary));
            }
        }
        ChangeKind::TableComment => {
            let head = |t: &SourceTable| t.comment.trim().to_owned();
            if draft.title == head(before) && !head(now).is_empty() {
                draft.title = head(now);
            }
        }
        // The declaration says nothing of these.
        ChangeKind::TableRenamed | ChangeKind::TableGone | ChangeKind::Foreign => {}
    }
}

fn column<'a>(table: &'a SourceTable, name: &str) -> Option<&'a SourceColumn> {
    table.columns.iter().find(|c| c.name == name)
}

fn find<'a>(draft: &'a mut EntryDraft, identifier: &str) -> Option<&'a mut Item> {
    draft.items.iter_mut().find(|i| i.identifier == identifier)
}

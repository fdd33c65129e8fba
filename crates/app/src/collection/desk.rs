//! The quarantine desk: misfits by reason. A group is one entry, channel, item and reason; its rows are mended together by a
//! mapping (this value → that one), read again together after the item was changed, or given up together.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use model::audit::AuditEvent;
use model::entry::Entry;
use model::oversight::{ChannelRule, MisfitGroup, entry_channel};
use model::parcel::{Quarantined, Run};
use model::{Actor, Code, Error, Op, Result};
use policy::{Action, Permit, Target};
use serde::Serialize;

use super::quarantine::{csv_head, csv_rows, entry_of, looked, replaying};
use super::{allowed, replay};
use crate::{App, Page, audit, catalogue, oversight};

/// Rows changed by one transaction.
const TOGETHER: u32 = 500;
/// Runs of a group that are replayed by one order; a rail has one for each table, a file one for each upload.
const RUNS: u32 = 200;

/// A group with the entry it belongs to.
#[derive(Clone, Debug, Serialize)]
pub struct GroupSeen {
    #[serde(flatten)]
    pub group: MisfitGroup,
    pub entry_code: String,
    pub entry_title: String,
    /// Name of the item as the entry has it now.
    pub item_name: String,
}

/// Groups with rows that wait, the largest first: of the caller's organisation, of all for the platform itself. No values
/// are told.
pub async fn groups(
    app: &App,
    op: &Op,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<GroupSeen>> {
    let org = match &op.actor {
        Actor::System => None,
        actor => Some(actor.org().unwrap_or_default().to_owned()),
    };
    if let Some(org) = &org {
        let target = Target::of_org("Entry", "quarantine", org);
        audit::permit(app, op, Action::QuarantineRead, &target).await?;
    }
    let limit = if limit == 0 { 50 } else { limit.min(200) };
    let position = after.and_then(|after| {
        let (rows, id) = after.split_once('-')?;
        Some((rows.parse::<u64>().ok()?, id))
    });
    if after.is_some() && position.is_none() {
        return Err(Error::invalid("翻页位置不正确", "the position in the list is malformed"));
    }
    let found = app.store.misfit_groups(org.as_deref(), position, limit + 1).await?;
    let Page { items: found, next } = Page::cut(found, limit, |g| format!("{}-{}", g.rows, g.id));
    let mut items = Vec::new();
    for group in found {
        items.push(seen(app, group).await?);
    }
    Ok(Page { items, next })
}

async fn seen(app: &App, group: MisfitGroup) -> Result<GroupSeen> {
    let entry = app.store.entry_get(&group.entry).await?;
    let (mut entry_code, mut entry_title, mut item_name) =
        (String::new(), String::new(), String::new());
    if let Some(entry) = entry {
        let item = entry.draft.items.iter().find(|i| i.identifier == group.item);
        item_name = item.map(|i| i.name_cn.clone()).unwrap_or_default();
        (entry_code, entry_title) = (entry.draft.code, entry.draft.title);
    }
    Ok(GroupSeen { group, entry_code, entry_title, item_name })
}

/// One group. One that the caller may not know of is not found.
pub async fn group(app: &App, op: &Op, id: &str) -> Result<GroupSeen> {
    let (group, _, _) = known(app, op, id, Action::QuarantineRead).await?;
    seen(app, group).await
}

async fn known(
    app: &App,
    op: &Op,
    id: &str,
    action: Action,
) -> Result<(MisfitGroup, Entry, Permit)> {
    let missing = || Error::not_found("隔离分组", "group of quarantined rows", id);
    let group = app.store.misfit_group(id).await?.ok_or_else(missing)?;
    let entry = entry_of(app, &group.entry).await?;
    let looks =
        op.actor == Actor::System || app.may(op, Action::QuarantineRead, &Target::entry(&entry));
    if !looks {
        audit::refused(app, op, action.as_str(), id, &missing()).await?;
        return Err(missing());
    }
    let permit = allowed(app, op, action, &entry).await?;
    Ok((group, entry, permit))
}

/// Open rows of a group, their cells in the order of the entry's items. Values are raw: looking is recorded.
pub async fn group_rows(
    app: &App,
    op: &Op,
    id: &str,
    after: Option<&str>,
    limit: u32,
) -> Result<Page<Quarantined>> {
    let (_, entry, _) = known(app, op, id, Action::QuarantineRead).await?;
    let limit = if limit == 0 { 50 } else { limit.min(999) };
    let rows = app.store.misfits_of(id, after, limit + 1).await?;
    let rows = rows.into_iter().map(|row| row.laid_out(&entry.draft.items)).collect();
    let rows = Page::cut(rows, limit, |q: &Quarantined| q.id.clone());
    looked(app, op, &entry, &format!("group:{id}"), rows.items.len()).await?;
    Ok(rows)
}

/// The same as CSV, written while it is read.
pub async fn group_csv(
    app: &Arc<App>,
    op: &Op,
    id: &str,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    let (group, entry, _) = known(app, op, id, Action::QuarantineRead).await?;
    let rows = usize::try_from(group.rows).unwrap_or(usize::MAX);
    looked(app, op, &entry, &format!("group:{id}"), rows).await?;
    let (app, id, items) = (Arc::clone(app), id.to_owned(), entry.draft.items);
    let head = futures::stream::once(std::future::ready(csv_head(&items)));
    let pages = futures::stream::try_unfold(String::new(), move |after| {
        let (app, id, items) = (Arc::clone(&app), id.clone(), items.clone());
        async move {
            let rows = app.store.misfits_of(&id, Some(&after), TOGETHER).await?;
            let Some(last) = rows.last().map(|row| row.id.clone()) else { return Ok(None) };
            Ok(Some((csv_rows(rows, &items)?, last)))
        }
    });
    Ok(head.chain(pages).boxed())
}

/// Puts one value in place of another in the group's item, in every row that has it (`None`: an empty cell). The rows stay
/// open until they are read again. Answers how many changed.
pub async fn map(
    app: &App,
    op: &Op,
    id: &str,
    from: Option<&str>,
    to: Option<&str>,
) -> Result<u64> {
    let (group, entry, permit) = known(app, op, id, Action::QuarantineMend).await?;
    let at = entry.draft.items.iter().position(|item| item.identifier == group.item);
    let Some(at) = at else {
        return Err(Error::new(
            Code::WrongState,
            "该组的原因不针对某个数据项，不能按值替换；请逐行修改",
            "the reason of this group is about no single item, so values cannot be mapped; mend the rows",
        ));
    };
    if from == to {
        return Err(Error::invalid("替换前后的值相同", "both values are the same").field(
            "to",
            "请填写不同的值",
            "give another value",
        ));
    }
    let changed = each(app, &permit, id, |row| {
        let mut row = row.laid_out(&entry.draft.items);
        let cell = row.reject.cells.get_mut(at)?;
        let same = cell.as_deref().filter(|c| !c.is_empty()) == from.filter(|f| !f.is_empty());
        if !same {
            return None;
        }
        *cell = to.filter(|t| !t.is_empty()).map(str::to_owned);
        row.items = entry.draft.items.iter().map(|item| item.identifier.clone()).collect();
        Some(row)
    })
    .await?;
    if changed == 0 {
        return Err(Error::invalid(
            format!("该组没有值为「{}」的行", from.unwrap_or_default()),
            format!("no row of this group has the value `{}`", from.unwrap_or_default()),
        )
        .field("from", "请核对", "check"));
    }
    told(app, op, "quarantine.map", &entry, id, changed, "").await?;
    Ok(changed)
}

/// Gives all rows of a group up, with a reason in the audit. Answers how many.
pub async fn dismiss_group(app: &App, op: &Op, id: &str, reason: &str) -> Result<u64> {
    let (_, entry, permit) = known(app, op, id, Action::QuarantineMend).await?;
    let reason = reason.trim();
    if reason.is_empty() {
        return Err(Error::invalid("请填写放弃这些行的原因", "say why the rows are given up")
            .field("reason", "请填写原因", "give a reason"));
    }
    let changed = each(app, &permit, id, |mut row| {
        "dismissed".clone_into(&mut row.state);
        Some(row)
    })
    .await?;
    told(app, op, "quarantine.dismiss", &entry, id, changed, reason).await?;
    Ok(changed)
}

/// Changes rows of a group page by page; `change` answers nothing for a row that stays.
async fn each(
    app: &App,
    permit: &Permit,
    id: &str,
    mut change: impl FnMut(Quarantined) -> Option<Quarantined>,
) -> Result<u64> {
    let (mut after, mut changed) = (None::<String>, 0);
    loop {
        let rows = app.store.misfits_of(id, after.as_deref(), TOGETHER).await?;
        let Some(last) = rows.last() else { return Ok(changed) };
        after = Some(last.id.clone());
        // A replay and a change of the same rows do not cross.
        let mut runs: Vec<String> = rows.iter().map(|row| row.run.clone()).collect();
        runs.sort_unstable();
        runs.dedup();
        let mut alone = Vec::new();
        for run in runs {
            alone.push(app.collections.lock_of(&replaying(&run)).lock_owned().await);
        }
        let rows: Vec<Quarantined> = rows.into_iter().filter_map(&mut change).collect();
        changed += app.store.quarantine_update(permit, &rows).await?;
    }
}

/// Reads the open rows of a group again and lands those that fit now, run by run; each answer is a run of its own.
pub async fn replay_group(app: &Arc<App>, op: &Op, id: &str) -> Result<Vec<Run>> {
    let (_, entry, _) = known(app, op, id, Action::QuarantineMend).await?;
    let runs = app.store.misfit_runs(id, RUNS).await?;
    if runs.is_empty() {
        return Err(Error::new(
            Code::WrongState,
            "该组没有待处理的隔离行",
            "the group has no open quarantined rows",
        ));
    }
    let (mut done, mut refused) = (Vec::new(), None);
    for run in &runs {
        match replay::replay_some(app, op, run, id).await {
            Ok(run) => done.push(run),
            // What a later full collection has replaced stays; the others go on.
            Err(error) if error.code() == Code::WrongState => refused = Some(error),
            Err(error) => return Err(error),
        }
    }
    told(app, op, "quarantine.replay", &entry, id, done.len() as u64, "").await?;
    match (done.is_empty(), refused) {
        (true, Some(error)) => Err(error),
        _ => Ok(done),
    }
}

/// What is set for an entry's files and queries instead of the rule file's error budget.
pub async fn entry_rule(app: &App, op: &Op, entry: &str) -> Result<ChannelRule> {
    let entry = catalogue::get(app, op, entry).await?;
    allowed(app, op, Action::DataCollect, &entry).await?;
    oversight::rule(app, &entry_channel(&entry.id)).await
}

/// Sets it.
pub async fn set_entry_rule(app: &App, op: &Op, entry: &str, rule: &ChannelRule) -> Result<()> {
    let entry = catalogue::get(app, op, entry).await?;
    oversight::set(app, op, &entry.draft.org, &entry_channel(&entry.id), rule).await
}

async fn told(
    app: &App,
    op: &Op,
    word: &str,
    entry: &Entry,
    id: &str,
    rows: u64,
    reason: &str,
) -> Result<()> {
    let event = AuditEvent {
        rows,
        reason: reason.to_owned(),
        scope: format!("group={id}"),
        ..audit::event(op, word, &entry.draft.code)
    };
    audit::record(app, event).await
}

//! What people do: have a table compared, look at what was found, have it healed.

use std::sync::Arc;

use model::audit::AuditEvent;
use model::entry::Entry;
use model::op::stamp;
use model::reconcile::{Difference, ReconcileState, Reconciliation};
use model::{Actor, Code, Error, Op, Result};
use policy::{Action, Permit, Target};
use store::reconcile::ReconcileFilter;

use super::compare;
use super::feed::{self, Fed};
use crate::{App, Page, audit, catalogue};

/// Whose reconciliations are listed.
#[derive(Clone, Copy, Debug)]
pub enum Asked<'a> {
    /// Entry id or code.
    Entry(&'a str),
    Rail(&'a str),
}

/// Begins to compare an entry with what brings its rows; the answer is the reconciliation as it begins.
pub async fn start(app: &Arc<App>, op: &Op, entry: &str, heal: bool) -> Result<Reconciliation> {
    start_from(app, op, entry, None, heal).await
}

/// The same with one of several: `from` is its id, its name or the word of its kind.
pub async fn start_from(
    app: &Arc<App>,
    op: &Op,
    entry: &str,
    from: Option<&str>,
    heal: bool,
) -> Result<Reconciliation> {
    let entry = catalogue::get(app, op, entry).await?;
    let permit = audit::permit(app, op, Action::DataCollect, &Target::entry(&entry)).await?;
    let found = feed::of(app, &entry).await?;
    let fed = match from {
        None => found.into_iter().next(),
        Some(from) => found
            .into_iter()
            .find(|fed| fed.id == from || fed.name == from || fed.kind.as_str() == from),
    };
    let fed = fed.ok_or_else(|| match from {
        Some(from) => Error::not_found("该目录的数据来源", "source of this entry", from),
        None => Error::new(
            Code::WrongState,
            "该目录没有可核对的来源：数据高铁、数据管道、数据交换、信息报送或查询归集",
            "nothing that can be compared brings this entry's rows: no rail, pipeline, exchange, reporting or query",
        ),
    })?;
    begin(app, op, &permit, &entry, fed, heal).await
}

/// The same for whoever has asked policy.
pub(super) async fn begin(
    app: &Arc<App>,
    op: &Op,
    permit: &Permit,
    entry: &Entry,
    fed: Fed,
    heal: bool,
) -> Result<Reconciliation> {
    if !app.reconciles.comparing.lock().insert(entry.id.clone()) {
        return Err(Error::new(
            Code::WrongState,
            "该目录正在核对，请等待结束",
            "the entry is being compared; wait for its end",
        ));
    }
    let run = Reconciliation {
        id: op.new_id(),
        entry: entry.id.clone(),
        entry_code: entry.draft.code.clone(),
        entry_title: entry.draft.title.clone(),
        org: entry.draft.org.clone(),
        kind: fed.kind,
        feed: fed.id,
        place: fed.place,
        upto: String::new(),
        state: ReconcileState::Running,
        pushed: false,
        source_rows: 0,
        lake_rows: 0,
        chunks: 0,
        questions: 0,
        rows_read: 0,
        missing: 0,
        extra: 0,
        different: 0,
        misfits: 0,
        moving: 0,
        foreign: 0,
        healed: 0,
        heal,
        zh: String::new(),
        en: String::new(),
        started_at: stamp(app.now()),
        finished_at: None,
        actor: op.actor.name().to_owned(),
    };
    let kept = async {
        app.store.reconcile_insert(permit, &run).await?;
        let event = AuditEvent {
            scope: format!("reconciliation={}", run.id),
            ..audit::event(op, "reconcile.start", &entry.draft.code)
        };
        audit::record(app, event).await
    };
    if let Err(error) = kept.await {
        app.reconciles.comparing.lock().remove(&entry.id);
        return Err(error);
    }
    drop(tokio::spawn(compare::guarded(Arc::clone(app), entry.clone(), run.clone())));
    Ok(run)
}

/// Waits until a reconciliation has ended (and was healed, when it is to be).
pub async fn wait(app: &App, op: &Op, id: &str) -> Result<Reconciliation> {
    loop {
        let run = get(app, op, id).await?;
        if !matches!(run.state, ReconcileState::Running | ReconcileState::Healing) {
            return Ok(run);
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

/// One reconciliation. One that the caller may not know of is not found.
pub async fn get(app: &App, op: &Op, id: &str) -> Result<Reconciliation> {
    known(app, op, id).await.map(|(run, _)| run)
}

async fn known(app: &App, op: &Op, id: &str) -> Result<(Reconciliation, Permit)> {
    let missing = || Error::not_found("核对", "reconciliation", id);
    let run = app.store.reconcile_get(id).await?.ok_or_else(missing)?;
    let target = Target::of_org("Entry", &run.entry, &run.org);
    let permit = audit::permit_hidden(app, op, Action::DataCollect, &target, id, missing).await?;
    Ok((run, permit))
}

/// Reconciliations of an entry or a rail, newest first.
pub async fn list(
    app: &App,
    op: &Op,
    asked: Asked<'_>,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<Reconciliation>> {
    let limit = if limit == 0 { 20 } else { limit.min(200) };
    let mut filter = ReconcileFilter { before, limit: limit + 1, ..ReconcileFilter::default() };
    let entry;
    match asked {
        Asked::Entry(code) => {
            entry = catalogue::get(app, op, code).await?;
            audit::permit(app, op, Action::DataCollect, &Target::entry(&entry)).await?;
            filter.entry = Some(&entry.id);
        }
        Asked::Rail(id) => {
            crate::rail::get(app, op, id).await?;
            filter.feed = Some(id);
        }
    }
    let items = app.store.reconcile_list(&filter).await?;
    Ok(Page::cut(items, limit, |r| r.id.clone()))
}

/// The newest reconciliation of an entry, for whoever may collect into it; nothing for others.
pub async fn last(app: &App, op: &Op, entry: &Entry) -> Result<Option<Reconciliation>> {
    if op.actor != Actor::System && !app.may(op, Action::DataCollect, &Target::entry(entry)) {
        return Ok(None);
    }
    let filter = ReconcileFilter { entry: Some(&entry.id), limit: 1, ..ReconcileFilter::default() };
    Ok(app.store.reconcile_list(&filter).await?.into_iter().next())
}

/// The newest reconciliation of an entry with one of its sources, for whoever is shown that channel anyway.
pub async fn last_of(app: &App, entry: &str, feed: &str) -> Result<Option<Reconciliation>> {
    let filter = ReconcileFilter {
        entry: Some(entry),
        feed: Some(feed),
        limit: 1,
        ..ReconcileFilter::default()
    };
    Ok(app.store.reconcile_list(&filter).await?.into_iter().next())
}

/// What an entry can be compared with, for whoever may collect into it.
pub async fn feeds(app: &App, op: &Op, entry: &Entry) -> Result<Vec<Fed>> {
    if op.actor != Actor::System && !app.may(op, Action::DataCollect, &Target::entry(entry)) {
        return Ok(Vec::new());
    }
    feed::of(app, entry).await
}

/// Whether the caller may see keys of rows that differ: they are data of the entry.
#[must_use]
pub fn may_see(app: &App, op: &Op, run: &Reconciliation) -> bool {
    op.actor == Actor::System
        || app.may(op, Action::QuarantineRead, &Target::of_org("Entry", &run.entry, &run.org))
}

/// Rows that differ, in order, after the number `after`. Keys are raw values: without the permission to see quarantined
/// rows they are left out; looking at them is recorded.
pub async fn differences(
    app: &App,
    op: &Op,
    id: &str,
    after: u64,
    limit: u32,
) -> Result<Page<Difference>> {
    let (run, _) = known(app, op, id).await?;
    let limit = if limit == 0 { 50 } else { limit.min(999) };
    let items = app.store.differences(id, false, after, limit + 1).await?;
    let Page { mut items, next } = Page::cut(items, limit, |d| d.seq.to_string());
    if may_see(app, op, &run) {
        let event = AuditEvent {
            rows: items.len() as u64,
            scope: format!("reconciliation={id}"),
            ..audit::event(op, "reconcile.keys", &run.entry_code)
        };
        audit::record(app, event).await?;
    } else {
        for item in &mut items {
            item.key = item.key.iter().map(|_| "***".to_owned()).collect();
        }
    }
    Ok(Page { items, next })
}

/// Has rows that differ read again at the source and landed. The worker (of a rail the process that follows it) does it within
/// seconds.
pub async fn heal(app: &App, op: &Op, id: &str) -> Result<Reconciliation> {
    let (mut run, permit) = known(app, op, id).await?;
    if run.state != ReconcileState::Differs {
        return Err(Error::new(
            Code::WrongState,
            format!("该次核对为“{}”，没有可补正的差异", run.state.zh()),
            format!("this reconciliation is `{}`; there is nothing to heal", run.state.en()),
        ));
    }
    run.state = ReconcileState::Healing;
    if !app.store.reconcile_update(&permit, &run, ReconcileState::Differs).await? {
        return Err(Error::of(Code::Stale));
    }
    let event = AuditEvent {
        rows: run.differences(),
        scope: format!("reconciliation={id}"),
        ..audit::event(op, "reconcile.heal", &run.entry_code)
    };
    audit::record(app, event).await?;
    Ok(run)
}

//! Accepted rows into the entry: one parcel for each submission, holding what differs from what the task has there.
//!
//! *exactly-once*: the parcel's id is made of task and submission. A process that dies anywhere lands it again under the same
//! id, and the lake knows whether it has it. Keys say whose a row is: a row that a later period has overtaken stays as it is.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use model::code::SyncMode;
use model::entry::Entry;
use model::parcel::RunState;
use model::report::{Cells, FormDraft, Landed, Landing, Task, TaskEventKind, TaskState};
use model::{Code, Error, Op, Result};
use policy::port::CellRow;
use policy::{Action, Target};
use store::report::RowChange;

use super::look::{all_rows, event};
use super::{check, design, fill, review};
use crate::{App, collection};

/// Name of the lock of a task's decisions and landings.
pub(super) fn lock(task: &str) -> String {
    format!("report:{task}")
}

/// What a business key is kept as.
pub(super) fn key_hash(key: &str) -> String {
    review::print(key)
}

/// Records laid out by the entry's items.
pub(super) fn cells(
    entry: &Entry,
    draft: &FormDraft,
    task: &Task,
    rows: &[(u64, Cells)],
) -> Vec<CellRow> {
    let places: Vec<Option<usize>> =
        entry.draft.items.iter().map(|item| draft.place(&item.identifier)).collect();
    check::records(draft, task, rows)
        .map(|(record, cells)| CellRow {
            record: record.max(1),
            cells: places.iter().map(|at| cells.get((*at)?)?.clone()).collect(),
            operation: None,
        })
        .collect()
}

/// Rows by their keys.
async fn keyed(
    app: &App,
    entry: &Entry,
    draft: &FormDraft,
    task: &Task,
    revision: u64,
) -> Result<Vec<(String, CellRow)>> {
    if revision == 0 {
        return Ok(Vec::new());
    }
    let rows = all_rows(app, task, revision).await?;
    let key = fill::key(draft);
    let keys: Vec<String> = check::records(draft, task, &rows)
        .map(|(_, record)| key_hash(&check::key_of(draft, &key, &record)))
        .collect();
    Ok(keys.into_iter().zip(cells(entry, draft, task, &rows)).collect())
}

/// What is to be done in the entry.
struct Work {
    rows: Vec<CellRow>,
    /// Keys whose rows go.
    gone: Vec<String>,
    overtaken: u64,
}

fn work(
    now: Vec<(String, CellRow)>,
    before: Vec<(String, CellRow)>,
    mine: &HashSet<String>,
) -> Work {
    let old: HashMap<String, CellRow> = before.into_iter().collect();
    let new: HashSet<String> = now.iter().map(|(key, _)| key.clone()).collect();
    let mut work = Work { rows: Vec::new(), gone: Vec::new(), overtaken: 0 };
    for (key, row) in now {
        if !mine.contains(&key) {
            work.overtaken += 1;
            continue;
        }
        let known = old.get(&key);
        if known.is_some_and(|known| known.cells == row.cells) {
            continue;
        }
        let word = if known.is_some() { "U" } else { "I" };
        work.rows.push(CellRow { operation: Some(word.to_owned()), ..row });
    }
    let mut gone: Vec<(String, CellRow)> =
        old.into_iter().filter(|(key, _)| !new.contains(key) && mine.contains(key)).collect();
    // The same work makes the same parcel.
    gone.sort_by(|a, b| a.0.cmp(&b.0));
    for (key, row) in gone {
        work.gone.push(key);
        work.rows.push(CellRow { operation: Some("D".to_owned()), ..row });
    }
    for (n, row) in (1..).zip(&mut work.rows) {
        row.record = n;
    }
    work
}

/// Rows that a task's accepted submission has in its entry.
pub(crate) async fn standing(app: &App, task: &Task) -> Result<Vec<CellRow>> {
    let entry = fill::entry_of(app, task).await?;
    let draft = design::version(app, &task.form, task.form_version).await?.draft;
    let mine = app.store.report_keys_of(&task.id).await?;
    let rows = keyed(app, &entry, &draft, task, task.landed.revision).await?;
    Ok(rows.into_iter().filter(|(key, _)| mine.contains(key)).map(|(_, row)| row).collect())
}

/// Rows that are accepted and wait to be landed, and those that a withdrawal or correction will take away.
pub(crate) async fn waiting(app: &App, task: &Task) -> Result<Vec<CellRow>> {
    let entry = fill::entry_of(app, task).await?;
    let draft = design::version(app, &task.form, task.form_version).await?.draft;
    let mut rows = keyed(app, &entry, &draft, task, task.revision).await?;
    rows.extend(keyed(app, &entry, &draft, task, task.landed.revision).await?);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

/// Lands what waits of a task; the caller holds its lock.
pub(super) async fn land(app: &Arc<App>, mut task: Task) -> Result<Task> {
    if task.landing != Landing::Waiting {
        return Ok(task);
    }
    let system = Op::system(app.now());
    let permit =
        app.policy.permit(&system, Action::SystemWork, &Target::plain("System", "report"))?;
    let entry = fill::entry_of(app, &task).await?;
    let draft = design::version(app, &task.form, task.form_version).await?.draft;
    let withdrawn = task.state == TaskState::Withdrawn;
    let revision = if withdrawn { 0 } else { task.revision };
    let now = keyed(app, &entry, &draft, &task, revision).await?;
    let count = now.len() as u64;
    let before = keyed(app, &entry, &draft, &task, task.landed.revision).await?;
    let mine = app.store.report_keys_of(&task.id).await?;
    let work = work(now, before, &mine);
    let mut run = String::new();
    if !work.rows.is_empty() {
        let end = if withdrawn { "-withdrawn" } else { "" };
        let delivery = collection::Delivery {
            entry: entry.id.clone(),
            channel: "report",
            name: format!("{} {} {}", task.title, task.period, task.org_name),
            mode: SyncMode::Incremental,
            parcel: format!("report-{}-{}{end}", task.id, task.revision),
            rows: work.rows,
        };
        let done = collection::deliver(app, &system, delivery).await?;
        if !matches!(done.state, RunState::Succeeded | RunState::Unchanged) || done.quarantined > 0
        {
            return Err(Error::new(
                Code::StoreUnavailable,
                format!("报送的行未能入湖：{}", done.message_zh),
                format!("the reported rows could not be landed: {}", done.message_en),
            ));
        }
        run = done.id;
    }
    app.store.report_keys_release(&permit, &task, &work.gone).await?;
    let seen = task.version;
    task.landing = Landing::Done;
    task.landed = Landed {
        revision,
        rows: count - work.overtaken,
        overtaken: work.overtaken,
        run,
        ..Landed::default()
    };
    let happened = event(&system, &task, TaskEventKind::Landed, "");
    app.store.report_task_change(&permit, &task, seen, &RowChange::Keep, Some(&happened)).await?;
    task.version = seen + 1;
    Ok(task)
}

/// Lands at once, or notes why not: the job tries again.
pub(super) async fn now_or_later(app: &Arc<App>, task: Task) -> Task {
    let before = task.clone();
    match land(app, task).await {
        Ok(task) => task,
        Err(e) => {
            tracing::warn!(
                report.task = before.id,
                error = e.operator_text(),
                "reported rows wait to be landed"
            );
            noted(app, before, &e).await
        }
    }
}

async fn noted(app: &App, mut task: Task, error: &Error) -> Task {
    let seen = task.version;
    error.zh().clone_into(&mut task.landed.zh);
    error.en().clone_into(&mut task.landed.en);
    let system = Op::system(app.now());
    let kept = async {
        let target = Target::plain("System", "report");
        let permit = app.policy.permit(&system, Action::SystemWork, &target)?;
        app.store.report_task_change(&permit, &task, seen, &RowChange::Keep, None).await
    };
    match kept.await {
        Ok(()) => task.version = seen + 1,
        Err(e) => tracing::warn!(error = e.operator_text(), "why a landing waits was not kept"),
    }
    task
}

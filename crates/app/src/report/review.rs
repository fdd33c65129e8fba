//! What the level above does with a submission. Accepted rows land; a correction is an update by key, a withdrawal deletes.

use std::sync::Arc;

use futures::StreamExt;
use guard::hash::sha256_hex;
use model::report::{Landing, Task, TaskEventKind, TaskState};
use model::{Code, Error, Op, Result};
use policy::port::{ReadOptions, Source};
use policy::{Action, Permit};
use store::report::{KeyHeld, RowChange};

use super::look::{all_rows, event, known};
use super::{check, design, fill, land, plan};
use crate::{App, audit};

/// Longest reason, characters.
const REASON: usize = 1000;

fn wrong_state(task: &Task) -> Error {
    Error::new(
        Code::WrongState,
        format!("任务{}，不能这样办理；请刷新", task.state.zh()),
        format!("the task is {}: this cannot be done now, reload", task.state.en().to_lowercase()),
    )
}

fn reason_of(reason: &str) -> Result<String> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > REASON {
        return Err(Error::invalid(
            "请填写理由（最多 1000 字）",
            "give a reason (1000 characters at most)",
        )
        .field("reason", "必填", "required"));
    }
    Ok(reason.to_owned())
}

/// Accepts a submission; its rows land before this returns, or, when the lake is away, as soon as it is back.
pub async fn accept(app: &Arc<App>, op: &Op, id: &str) -> Result<Task> {
    let _alone = app.collections.lock_of(&land::lock(id)).lock_owned().await;
    let (mut task, permit) = known(app, op, id, Action::ReportAccept).await?;
    if task.state != TaskState::Submitted {
        return Err(wrong_state(&task));
    }
    let form = design::version(app, &task.form, task.form_version).await?;
    let rows = all_rows(app, &task, task.revision).await?;
    fits_entry(app, &task, &form.draft, &rows).await?;
    let key = fill::key(&form.draft);
    let keys: Vec<(u64, String)> = check::records(&form.draft, &task, &rows)
        .map(|(n, record)| (n, land::key_hash(&check::key_of(&form.draft, &key, &record))))
        .collect();
    let seen = task.version;
    task.state = TaskState::Accepted;
    task.landing = Landing::Waiting;
    task.decided_at = op.stamp();
    let happened = event(op, &task, TaskEventKind::Accepted, "");
    let held = app.store.report_task_accept(&permit, &task, seen, &happened, &keys).await?;
    if !held.is_empty() {
        return Err(taken(app, &held).await?);
    }
    task.version = seen + 1;
    let mut told = audit::event(op, "report.accept", id);
    (told.rows, told.scope) = (task.rows, format!("revision={}", task.revision));
    audit::record(app, told).await?;
    plan::tell(app, op, &task, "report.accepted", &task.org, "").await;
    Ok(land::now_or_later(app, task).await)
}

/// Every row must still fit the entry, which may have changed since the form was published.
async fn fits_entry(
    app: &App,
    task: &Task,
    draft: &model::report::FormDraft,
    rows: &[(u64, model::report::Cells)],
) -> Result<()> {
    let entry = fill::entry_of(app, task).await?;
    let rows = land::cells(&entry, draft, task, rows);
    let source = Source::Cells { name: task.title.clone(), rows };
    let items = &entry.draft.items;
    let mut reading = app.intake.read(&source, items, &ReadOptions::default()).await?;
    let mut error = Error::new(
        Code::RuleBroken,
        "目录的数据项已变更，以下各行不再符合；请退回并按新版报送表重报",
        "the entry has changed and these rows do not fit it any more: return the task and report by a new version of the form",
    );
    while let Some(chunk) = reading.chunks.next().await {
        for reject in chunk?.rejects.into_iter().take(20) {
            error =
                error.field(format!("{} #{}", reject.column, reject.record), reject.zh, reject.en);
        }
    }
    if error.fields().is_empty() { Ok(()) } else { Err(error) }
}

async fn taken(app: &App, held: &[KeyHeld]) -> Result<Error> {
    let mut error = Error::new(
        Code::Duplicate,
        "有的行与其他单位已受理的行主键相同，不能受理；请退回核对",
        "rows have keys of rows that were accepted from other organisations: return the task",
    );
    for KeyHeld { row, org } in held.iter().take(20) {
        let name = app.store.org_get(org).await?.map_or_else(|| org.clone(), |o| o.name_cn);
        error = error.field(
            format!("#{row}"),
            format!("主键已由 {name} 报送"),
            format!("the key was reported by {name}"),
        );
    }
    Ok(error)
}

/// Gives a submission back with a reason; an accepted one is opened again for a correction, and its rows stay until the
/// correction is accepted.
pub async fn give_back(app: &Arc<App>, op: &Op, id: &str, reason: &str) -> Result<Task> {
    let _alone = app.collections.lock_of(&land::lock(id)).lock_owned().await;
    let (task, permit) = known(app, op, id, Action::ReportAccept).await?;
    let reason = reason_of(reason)?;
    let kind = match task.state {
        TaskState::Submitted => TaskEventKind::Returned,
        TaskState::Accepted => TaskEventKind::Reopened,
        _ => return Err(wrong_state(&task)),
    };
    // What was accepted lands first: the correction is told by what is there.
    let task = settled(app, task).await?;
    decide(app, op, &permit, task, kind, TaskState::Returned, &reason).await
}

/// Withdraws an accepted report for good: its rows are deleted from the entry.
pub async fn withdraw(app: &Arc<App>, op: &Op, id: &str, reason: &str) -> Result<Task> {
    let _alone = app.collections.lock_of(&land::lock(id)).lock_owned().await;
    let (task, permit) = known(app, op, id, Action::ReportAccept).await?;
    let reason = reason_of(reason)?;
    if task.state != TaskState::Accepted {
        return Err(wrong_state(&task));
    }
    let mut task = settled(app, task).await?;
    task.landing = Landing::Waiting;
    let task =
        decide(app, op, &permit, task, TaskEventKind::Withdrawn, TaskState::Withdrawn, &reason)
            .await?;
    Ok(land::now_or_later(app, task).await)
}

async fn settled(app: &Arc<App>, task: Task) -> Result<Task> {
    if task.landing == Landing::Waiting { land::land(app, task).await } else { Ok(task) }
}

async fn decide(
    app: &App,
    op: &Op,
    permit: &Permit,
    mut task: Task,
    kind: TaskEventKind,
    state: TaskState,
    reason: &str,
) -> Result<Task> {
    let seen = task.version;
    task.state = state;
    reason.clone_into(&mut task.reason);
    task.decided_at = op.stamp();
    let happened = event(op, &task, kind, reason);
    app.store.report_task_change(permit, &task, seen, &RowChange::Keep, Some(&happened)).await?;
    task.version = seen + 1;
    let mut told = audit::event(op, &format!("report.{}", kind.as_str()), &task.id);
    told.scope = format!("revision={}", task.revision);
    told.reason = reason.chars().take(200).collect();
    audit::record(app, told).await?;
    plan::tell(app, op, &task, "report.returned", &task.org, reason).await;
    Ok(task)
}

/// A fingerprint of a text, for what must not be kept in clear.
pub(super) fn print(text: &str) -> String {
    sha256_hex(text.as_bytes())
}

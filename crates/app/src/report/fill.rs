//! The draft: kept as it was typed, right or wrong; checked on every save; handed in when nothing is wrong any more and the
//! level's figures agree with those below it, or the difference is explained.

use std::collections::BTreeMap;

use model::audit::AuditEvent;
use model::report::{Cells, Explained, Fault, FormVersion, Task, TaskEventKind, TaskState, Totals};
use model::{Code, Error, Op, Result};
use policy::{Action, Permit};
use store::report::RowChange;

use super::look::{all_rows, event, known};
use super::total::{self, Agreement};
use super::{check, design, files, plan};
use crate::{App, account, audit, catalogue};

/// Rows added by one save.
const ADDED: u64 = 50;

/// What a form posts: cells that were shown, rows to take away, rows to add.
#[derive(Clone, Debug, Default)]
pub struct Typed {
    /// Row (0: filled once), field by its place, text.
    pub cells: Vec<(u64, usize, String)>,
    pub drop: Vec<u64>,
    pub add: u64,
}

/// How a save or a submission ended.
#[derive(Clone, Debug)]
pub struct Saved {
    pub task: Task,
    /// What is wrong with the rows that were looked at.
    pub faults: Vec<Fault>,
    /// How many faults there are in all.
    pub fault_count: usize,
    /// Where the figures disagree with those below, when that keeps the submission back.
    pub agreement: Option<Agreement>,
    /// The submission is made.
    pub submitted: bool,
}

/// A task of the caller's organisation that can be written in, seen at this version.
pub(super) async fn writable(
    app: &App,
    op: &Op,
    id: &str,
    seen: u64,
) -> Result<(Task, FormVersion, Permit)> {
    let (task, permit) = known(app, op, id, Action::ReportFill).await?;
    if !task.state.writable() {
        return Err(Error::new(
            Code::WrongState,
            format!("任务{}，不能再改；如需修改，请撤回或联系上级退回", task.state.zh()),
            format!(
                "the task is {}: take it back, or ask the level above to return it",
                task.state.en().to_lowercase()
            ),
        ));
    }
    if task.version != seen {
        let (mut who, when) = (task.edited_by, &task.edited_at);
        account::logins_named(app, vec![&mut who]).await?;
        return Err(Error::new(
            Code::Stale,
            format!(
                "在您填写期间，{who} 保存过本表（{when}）。您填写的内容仍在下面，请核对后再次保存"
            ),
            format!(
                "{who} saved this form meanwhile ({when}). What you typed is still below: compare and save again"
            ),
        ));
    }
    let form = design::version(app, &task.form, task.form_version).await?;
    Ok((task, form, permit))
}

/// Keeps what was typed. Nothing is refused for being wrong: the faults are told.
pub async fn save_draft(app: &App, op: &Op, id: &str, seen: u64, typed: Typed) -> Result<Saved> {
    let (mut task, form, permit) = writable(app, op, id, seen).await?;
    let (rows, gone) = laid(app, &task, &form, &typed).await?;
    let (count, _) = app.store.report_rows_count(id, 0).await?;
    touch(&mut task, op);
    let new = rows.iter().filter(|(_, new, _)| *new).count() as u64;
    task.rows = (count + new).saturating_sub(gone.len() as u64);
    let most = app.rules.report.rows_most as u64;
    if task.rows > most {
        return Err(too_many(most));
    }
    let rows: Vec<(u64, Cells)> = rows.into_iter().map(|(n, _, cells)| (n, cells)).collect();
    let change = RowChange::Patch { rows: rows.clone(), gone };
    app.store.report_task_change(&permit, &task, seen, &change, None).await?;
    task.version = seen + 1;
    let mut told = audit::event(op, "report.save", id);
    told.rows = rows.len() as u64;
    audit::record(app, told).await?;
    let filled = |(n, cells): &(u64, Cells)| *n == 0 || cells.iter().any(Option::is_some);
    let mut looked: Vec<(u64, Cells)> = rows.into_iter().filter(filled).collect();
    if !looked.iter().any(|(n, _)| *n == 0) {
        let head = app.store.report_rows_from(id, 0, 0, 1).await?;
        looked.extend(head.into_iter().filter(|(n, _)| *n == 0));
    }
    let faults = check::rows(app, &form.draft, &task, looked).await?.faults;
    Ok(Saved { task, fault_count: faults.len(), faults, agreement: None, submitted: false })
}

pub(super) fn too_many(most: u64) -> Error {
    Error::new(
        Code::TooLarge,
        format!("一次填报最多 {most} 行，请分几个任务或改用归集"),
        format!("a fill has {most} rows at most: use several tasks, or collect the file"),
    )
}

pub(super) fn touch(task: &mut Task, op: &Op) {
    if task.state == TaskState::Open {
        task.state = TaskState::Draft;
    }
    op.actor.name().clone_into(&mut task.edited_by);
    task.edited_at = op.stamp();
}

/// Rows as they are after what was typed, with whether they are new; and rows that go.
async fn laid(
    app: &App,
    task: &Task,
    form: &FormVersion,
    typed: &Typed,
) -> Result<(Vec<(u64, bool, Cells)>, Vec<u64>)> {
    let draft = &form.draft;
    let (_, last) = app.store.report_rows_count(&task.id, 0).await?;
    let mut by_row: BTreeMap<u64, Vec<(usize, &str)>> = BTreeMap::new();
    by_row.entry(0).or_default();
    for row in &typed.drop {
        by_row.entry(*row).or_default();
    }
    for (row, place, text) in &typed.cells {
        by_row.entry(*row).or_default().push((*place, text));
    }
    let mut rows = Vec::new();
    let mut gone = Vec::new();
    for (n, cells) in by_row {
        let there = app.store.report_rows_from(&task.id, 0, n, 1).await?;
        let there = there.into_iter().find(|(at, _)| *at == n).map(|(_, cells)| cells);
        if typed.drop.contains(&n) && n > 0 {
            gone.extend(there.is_some().then_some(n));
            continue;
        }
        // A row that somebody else has taken away, or that never was, is not made by naming it.
        let new = there.is_none();
        if new && n > 0 {
            continue;
        }
        let mut row = there.unwrap_or_else(|| draft.blank());
        row.resize(draft.fields.len(), None);
        for (place, text) in cells {
            let belongs = draft.fields.get(place).is_some_and(|field| draft.belongs(field, n));
            if let Some(cell) = row.get_mut(place).filter(|_| belongs) {
                *cell = Some(text.to_owned()).filter(|t| !t.trim().is_empty());
            }
        }
        rows.push((n, new && n > 0, row));
    }
    for n in 0..typed.add.min(ADDED) {
        if draft.has_rows() {
            rows.push((last + 1 + n, true, draft.blank()));
        }
    }
    Ok((rows, gone))
}

/// Hands the draft in, with reasons for the disagreements (`Difference::key`, reason). When something is wrong nothing
/// changes, and the answer says what.
pub async fn submit(
    app: &App,
    op: &Op,
    id: &str,
    seen: u64,
    reasons: &[(String, String)],
) -> Result<Saved> {
    let (mut task, form, permit) = writable(app, op, id, seen).await?;
    let draft = &form.draft;
    let filled = |(n, cells): &(u64, Cells)| *n == 0 || cells.iter().any(Option::is_some);
    let mut all: Vec<(u64, Cells)> =
        all_rows(app, &task, 0).await?.into_iter().filter(filled).collect();
    if !all.iter().any(|(n, _)| *n == 0) {
        all.insert(0, (0, draft.blank()));
    }
    let key = key(draft);
    let mut checked = check::whole(app, draft, &task, &key, all).await?;
    let there = app.store.attachments_of(&files::bundle(id)).await?.len() as u64;
    if there < draft.files.least {
        let least = draft.files.least;
        checked.faults.insert(
            0,
            Fault {
                row: 0,
                field: String::new(),
                at: String::new(),
                zh: format!("至少应上传 {least} 个附件，现有 {there} 个"),
                en: format!("needs {least} files at least and has {there}"),
            },
        );
    }
    if !checked.faults.is_empty() {
        let fault_count = checked.faults.len();
        checked.faults.truncate(app.rules.report.faults_shown);
        let faults = checked.faults;
        return Ok(Saved { task, faults, fault_count, agreement: None, submitted: false });
    }
    let totals = total::of_rows(app, draft, &task, &checked.rows)?;
    let agreement = total::agree(app, draft, &task, &totals).await?;
    let (explained, open) = agreement.explain(reasons);
    if open {
        return Ok(Saved {
            task,
            faults: Vec::new(),
            fault_count: 0,
            agreement: Some(agreement),
            submitted: false,
        });
    }
    handed_in(&mut task, op, draft.has_rows(), &checked.rows, totals, explained);
    let mut happened = event(op, &task, TaskEventKind::Submitted, "");
    happened.explained = task.explained.clone();
    let change = RowChange::Submit { revision: task.revision, rows: checked.rows };
    app.store.report_task_change(&permit, &task, seen, &change, Some(&happened)).await?;
    task.version = seen + 1;
    let told = AuditEvent {
        rows: task.rows,
        scope: format!("revision={} explained={}", task.revision, task.explained.len()),
        ..audit::event(op, "report.submit", id)
    };
    audit::record(app, told).await?;
    plan::tell(app, op, &task, "report.submitted", &task.above_org, &task.org_name).await;
    Ok(Saved { task, faults: Vec::new(), fault_count: 0, agreement: None, submitted: true })
}

fn handed_in(
    task: &mut Task,
    op: &Op,
    has_rows: bool,
    rows: &[(u64, Cells)],
    totals: Totals,
    explained: Vec<Explained>,
) {
    task.state = TaskState::Submitted;
    task.revision += 1;
    task.rows = rows.iter().filter(|(n, _)| *n > 0 || !has_rows).count() as u64;
    // What is handed in again after it was returned is as late as it was at first.
    if task.revision == 1 {
        task.late = op.today() > task.due;
    }
    task.totals = totals;
    task.explained = explained;
    task.reason.clear();
    op.actor.id().clone_into(&mut task.submitted_by);
    op.actor.name().clone_into(&mut task.submitted_name);
    task.submitted_at = op.stamp();
    op.actor.name().clone_into(&mut task.edited_by);
    task.edited_at = op.stamp();
}

/// Identifiers of the entry's key, as the form has them.
pub(super) fn key(draft: &model::report::FormDraft) -> Vec<String> {
    draft.fields.iter().filter(|f| f.item.primary).map(|f| f.id().to_owned()).collect()
}

/// Takes a submission back that nobody has decided on.
pub async fn take_back(app: &App, op: &Op, id: &str) -> Result<Task> {
    let (mut task, permit) = known(app, op, id, Action::ReportFill).await?;
    if task.state != TaskState::Submitted {
        return Err(Error::new(
            Code::WrongState,
            "只有已提交、尚未办理的任务可以撤回",
            "only what is handed in and not decided can be taken back",
        ));
    }
    let seen = task.version;
    task.state = TaskState::Draft;
    let happened = event(op, &task, TaskEventKind::TakenBack, "");
    app.store.report_task_change(&permit, &task, seen, &RowChange::Keep, Some(&happened)).await?;
    task.version = seen + 1;
    audit::record(app, audit::event(op, "report.take_back", id)).await?;
    Ok(task)
}

/// The entry of a task, whoever asks: the room has asked policy for the task.
pub(super) async fn entry_of(app: &App, task: &Task) -> Result<model::entry::Entry> {
    let missing = || Error::not_found("目录", "entry", &task.entry);
    let system = Op::system(app.now());
    match catalogue::get(app, &system, &task.entry).await {
        Ok(entry) => Ok(entry),
        Err(e) if e.kind() == model::Kind::Denied => Err(missing()),
        Err(e) => Err(e),
    }
}

/// What is wrong with rows as they are kept, for a page that shows them again. Rows that nobody has begun are passed over.
pub async fn faults(app: &App, op: &Op, id: &str, rows: &[(u64, Cells)]) -> Result<Vec<Fault>> {
    let (task, _) = known(app, op, id, Action::ReportRead).await?;
    let form = design::version(app, &task.form, task.form_version).await?;
    let begun = |(_, cells): &&(u64, Cells)| cells.iter().any(Option::is_some);
    let rows: Vec<(u64, Cells)> = rows.iter().filter(begun).cloned().collect();
    Ok(check::rows(app, &form.draft, &task, rows).await?.faults)
}

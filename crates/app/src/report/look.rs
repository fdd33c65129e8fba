//! Tasks as people see them: one's own, those that wait for one's answer, one of them with its rows and history.

use model::account::Role;
use model::basket::Attachment;
use model::report::{Cells, FormVersion, Task, TaskEvent, TaskEventKind};
use model::{Error, Op, Result};
use policy::{Action, Permit, Target};
use serde::Serialize;
use store::report::TaskFilter;

use super::{design, files};
use crate::{App, Page, account, audit};

/// Roles that fill tasks and are told of them.
pub(super) const WORKERS: [Role; 4] =
    [Role::Provider, Role::Consumer, Role::Reviewer, Role::Authority];

/// Whose tasks a list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faced {
    /// Those that the caller's organisation fills.
    Own,
    /// Those below it that it accepts or returns; with `true` only those handed in.
    Below(bool),
}

/// A page of tasks.
pub type Desk = Page<Task>;

/// A task with all that a page needs to show it.
#[derive(Clone, Debug, Serialize)]
pub struct TaskView {
    pub task: Task,
    pub form: FormVersion,
    pub files: Vec<Attachment>,
    pub overdue: bool,
    pub may_fill: bool,
    pub may_accept: bool,
    /// Tasks right below.
    pub below: Vec<Task>,
}

/// Rows of a fill.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RowsPage {
    pub head: Cells,
    pub rows: Vec<(u64, Cells)>,
    /// Number of the first row of the next page.
    pub next: Option<u64>,
    /// Rows in all.
    pub count: u64,
}

/// Whether the caller draws up and issues forms.
#[must_use]
pub fn may_design(app: &App, op: &Op) -> bool {
    let org = op.actor.org().unwrap_or_default();
    app.may(op, Action::ReportDesign, &Target::of_org("Report", "forms", org))
}

/// Tasks of the caller's organisation, or of those below it, newest first.
pub async fn desk(
    app: &App,
    op: &Op,
    faced: Faced,
    before: Option<&str>,
    limit: u32,
) -> Result<Desk> {
    let org = op.actor.org().unwrap_or_default();
    let own = Target { seat_org: Some(org.to_owned()), ..Target::of_org("Report", "tasks", org) };
    audit::permit(app, op, Action::ReportRead, &own).await?;
    let limit = if limit == 0 { 50 } else { limit.min(200) };
    let mut filter =
        TaskFilter { after: before, newest: true, limit: limit + 1, ..TaskFilter::default() };
    match faced {
        Faced::Own => filter.org = Some(org),
        Faced::Below(handed_in) => {
            filter.above_org = Some(org);
            filter.state = handed_in.then_some("submitted");
        }
    }
    let items = app.store.report_task_list(&filter).await?;
    Ok(Page::cut(items, limit, |t| t.id.clone()))
}

/// Tasks of a plan for those who issued it, in order, after `after`.
pub async fn tasks_of_plan(
    app: &App,
    op: &Op,
    plan: &str,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Task>> {
    super::plan(app, op, plan).await?;
    let filter = TaskFilter { plan: Some(plan), after, limit, ..TaskFilter::default() };
    app.store.report_task_list(&filter).await
}

/// A task that the caller may do something with. One that they may not see does not exist; one that they see but may not
/// do this with is refused.
pub(super) async fn known(app: &App, op: &Op, id: &str, action: Action) -> Result<(Task, Permit)> {
    let missing = || Error::not_found("报送任务", "reporting task", id);
    let task = app.store.report_task_get(id).await?.ok_or_else(missing)?;
    let target = Target::report(&task);
    match app.policy.permit(op, action, &target) {
        Ok(permit) => Ok((task, permit)),
        Err(refusal) => {
            audit::refused(app, op, action.as_str(), id, &refusal).await?;
            let seen = app.policy.decide(op, Action::ReportRead, &target).allowed;
            Err(if seen { refusal } else { missing() })
        }
    }
}

/// One task; people by the names shown.
pub async fn task(app: &App, op: &Op, id: &str) -> Result<TaskView> {
    let (mut task, _) = known(app, op, id, Action::ReportRead).await?;
    account::logins_named(app, vec![&mut task.edited_by, &mut task.submitted_name]).await?;
    let target = Target::report(&task);
    let below = TaskFilter { above: Some(id), limit: 1000, ..TaskFilter::default() };
    Ok(TaskView {
        form: design::version(app, &task.form, task.form_version).await?,
        files: app.store.attachments_of(&files::bundle(id)).await?,
        overdue: task.overdue(op.today()),
        may_fill: app.may(op, Action::ReportFill, &target),
        may_accept: app.may(op, Action::ReportAccept, &target),
        below: app.store.report_task_list(&below).await?,
        task,
    })
}

/// Rows of a task from row `from` on: of its draft for those who fill it, of a submission for others (the newest one
/// when none is said). Those who do not fill it never see a draft.
pub async fn rows(
    app: &App,
    op: &Op,
    id: &str,
    revision: Option<u64>,
    from: u64,
) -> Result<RowsPage> {
    let (task, _) = known(app, op, id, Action::ReportRead).await?;
    let fills = app.may(op, Action::ReportFill, &Target::report(&task));
    let revision = match revision {
        Some(n) if (1..=task.revision).contains(&n) => n,
        _ if fills && task.state.writable() => 0,
        _ if task.revision == 0 => return Ok(RowsPage::default()),
        _ => task.revision,
    };
    page(app, &task, revision, from).await
}

pub(super) async fn page(app: &App, task: &Task, revision: u64, from: u64) -> Result<RowsPage> {
    let most = app.rules.report.page_rows;
    let head = app.store.report_rows_from(&task.id, revision, 0, 1).await?;
    let head = head.into_iter().find(|(n, _)| *n == 0).map(|(_, cells)| cells).unwrap_or_default();
    let mut rows = app.store.report_rows_from(&task.id, revision, from.max(1), most + 1).await?;
    let next = rows.get(most as usize).map(|(n, _)| *n);
    rows.truncate(most as usize);
    let (count, _) = app.store.report_rows_count(&task.id, revision).await?;
    Ok(RowsPage { head, rows, next, count })
}

/// All rows of a revision.
pub(super) async fn all_rows(app: &App, task: &Task, revision: u64) -> Result<Vec<(u64, Cells)>> {
    let mut rows: Vec<(u64, Cells)> = Vec::new();
    loop {
        let from = rows.last().map_or(0, |(n, _)| n + 1);
        let page = app.store.report_rows_from(&task.id, revision, from, 5_000).await?;
        let last = page.len() < 5_000;
        rows.extend(page);
        // One more than a fill may have is enough to say that it has too many.
        if last || rows.len() > app.rules.report.rows_most + 1 {
            return Ok(rows);
        }
    }
}

/// History of a task, newest first; people by the names shown.
pub async fn events(
    app: &App,
    op: &Op,
    id: &str,
    before: Option<&str>,
    limit: u32,
) -> Result<Page<TaskEvent>> {
    known(app, op, id, Action::ReportRead).await?;
    let limit = if limit == 0 { 50 } else { limit.min(200) };
    let mut items = app.store.report_events(id, before, limit + 1).await?;
    let people = items.iter_mut().map(|e| (e.actor.as_str(), &mut e.actor_name));
    account::named(app, people.collect()).await?;
    Ok(Page::cut(items, limit, |e| e.id.clone()))
}

/// An event of a task, by the caller, now.
pub(super) fn event(op: &Op, task: &Task, kind: TaskEventKind, reason: &str) -> TaskEvent {
    TaskEvent {
        id: op.new_id(),
        task: task.id.clone(),
        kind,
        at: op.stamp(),
        actor: op.actor.id().to_owned(),
        actor_name: op.actor.name().to_owned(),
        org: op.actor.org().unwrap_or_default().to_owned(),
        revision: task.revision,
        rows: task.rows,
        reason: reason.to_owned(),
        explained: Vec::new(),
    }
}

//! Plans: a published form issued down the tree of organisations, once or every period; and how far it has come.

use std::collections::{HashMap, HashSet};

use chrono::NaiveDate;
use model::org::Org;
use model::report::{
    Auto, Every, Form, FormDraft, Landed, Landing, Plan, PlanNew, PlanState, Task, TaskEvent,
    TaskEventKind, TaskState, Totals,
};
use model::{Actor, Code, Error, Op, Result};
use policy::{Action, Permit, Target};
use rust_decimal::Decimal;
use serde::Serialize;
use store::report::TaskFilter;

use super::{design, look, total};
use crate::notice::{self, Told};
use crate::{App, Page, audit};

/// A plan with how its newest period stands.
#[derive(Clone, Debug, Serialize)]
pub struct PlanView {
    #[serde(flatten)]
    pub plan: Plan,
    pub form_title: String,
}

/// An organisation that a form may be issued to, with its depth in the tree.
#[derive(Clone, Debug, Serialize)]
pub struct TreeRow {
    pub id: String,
    pub name: String,
    pub region: String,
    pub depth: usize,
}

/// Organisations below the caller's, as a tree read from the top.
pub async fn tree(app: &App, op: &Op) -> Result<Vec<TreeRow>> {
    let own = op.actor.org().unwrap_or_default();
    let target = Target::of_org("Report", "plans", own);
    audit::permit(app, op, Action::ReportDesign, &target).await?;
    let mut rows = Vec::new();
    below(&app.store.orgs_list().await?, own, 0, &mut HashSet::new(), &mut rows);
    Ok(rows)
}

fn below(
    orgs: &[Org],
    parent: &str,
    depth: usize,
    seen: &mut HashSet<String>,
    rows: &mut Vec<TreeRow>,
) {
    // Deeper than any administration; an organisation comes once, whatever circle there may be.
    if depth > 16 {
        return;
    }
    for org in orgs.iter().filter(|o| o.parent.as_deref() == Some(parent)) {
        if seen.insert(org.id.clone()) {
            let (id, name, region) = (org.id.clone(), org.name_cn.clone(), org.region.clone());
            rows.push(TreeRow { id, name, region, depth });
            below(orgs, &org.id, depth + 1, seen, rows);
        }
    }
}

/// Issues a form. What is due already is opened at once: a report made once, and periods that are over.
pub async fn issue(app: &App, op: &Op, new: PlanNew) -> Result<Plan> {
    let (form, permit) = design::known(app, op, &new.form).await?;
    fit(app, op, &new, &form).await?;
    let title = new.title.trim().to_owned();
    let plan = Plan {
        id: op.new_id(),
        org: form.org.clone(),
        form: form.id,
        title: if title.is_empty() { form.draft.title } else { title },
        every: new.every,
        first: if new.every == Every::Once { String::new() } else { new.first },
        due_days: new.due_days,
        due: new.due.filter(|_| new.every == Every::Once),
        orgs: new.orgs,
        state: PlanState::Running,
        opened: None,
        created_at: op.stamp(),
        created_by: op.actor.name().to_owned(),
    };
    app.store.report_plan_insert(&permit, &plan).await?;
    let mut event = audit::event(op, "report.issue", &plan.id);
    event.scope = format!("form={} orgs={} every={}", plan.form, plan.orgs.len(), plan.every);
    audit::record(app, event).await?;
    open_due(app, op, &permit, plan.clone()).await?;
    Ok(app.store.report_plan_get(&plan.id).await?.unwrap_or(plan))
}

async fn fit(app: &App, op: &Op, new: &PlanNew, form: &Form) -> Result<()> {
    if form.version == 0 {
        return Err(Error::new(
            Code::WrongState,
            "报送表还没有发布，不能下发",
            "the form is not published yet: it cannot be issued",
        ));
    }
    let mut error = Error::invalid("下发内容有误", "the plan has faults");
    let most = app.rules.report.orgs_most;
    if new.orgs.is_empty() || new.orgs.len() > most {
        error = error.field(
            "orgs",
            format!("请选择 1 至 {most} 个单位"),
            format!("choose 1 to {most} organisations"),
        );
    }
    let known: HashSet<String> = tree(app, op).await?.into_iter().map(|row| row.id).collect();
    if let Some(org) = new.orgs.iter().find(|org| !known.contains(*org)) {
        error = error.field(
            "orgs",
            format!("`{org}` 不是本单位的下级单位"),
            format!("`{org}` is not below your organisation"),
        );
    }
    let dated = form.draft.fields.iter().any(|f| f.auto == Auto::Period);
    if new.every == Every::Once && dated {
        error = error.field(
            "every",
            "报送表含有报送期字段，请按月、季或年下发",
            "the form has a field for the period: issue it every month, quarter or year",
        );
    }
    if new.every != Every::Once && new.every.first_day(&new.first).is_none() {
        error = error.field(
            "first",
            "首个报送期请写成 2026-03、2026Q1 或 2026",
            "write the first period as 2026-03, 2026Q1 or 2026",
        );
    }
    let past = new.due.is_some_and(|due| due < op.today());
    if past || new.due_days > 250 || (new.due_days == 0 && new.due.is_none()) {
        error = error.field(
            "due",
            "请填写不早于今天的期限，或 1 至 250 个工作日",
            "give a due day that is not past, or 1 to 250 working days",
        );
    }
    if error.fields().is_empty() { Ok(()) } else { Err(error) }
}

/// The next period to open and the day it is due, when its time has come.
fn next(app: &App, op: &Op, plan: &Plan) -> Option<(String, NaiveDate)> {
    let working = |from| app.calendar.add_working_days(from, plan.due_days);
    if plan.every == Every::Once {
        let due = plan.due.unwrap_or_else(|| working(op.today()));
        return plan.opened.is_none().then(|| (String::new(), due));
    }
    let period = match &plan.opened {
        None => plan.first.clone(),
        Some(period) => plan.every.next(period)?,
    };
    let last = plan.every.last_day(&period)?;
    (last < op.today()).then(|| (period, working(last)))
}

/// Opens every period of a plan whose time has come; answers the tasks opened.
pub(super) async fn open_due(app: &App, op: &Op, permit: &Permit, mut plan: Plan) -> Result<u64> {
    let mut opened = 0;
    while let Some((period, due)) = next(app, op, &plan) {
        let Some(form) = app.store.report_form_get(&plan.form).await? else { break };
        let tasks = tasks(app, op, &plan, form.version, &period, due).await?;
        plan.opened = Some(period);
        if plan.every == Every::Once {
            plan.state = PlanState::Issued;
        }
        opened += app.store.report_tasks_open(permit, &plan, &tasks).await?;
        for (task, _) in &tasks {
            tell(app, op, task, "report.issued", &task.org, "").await;
        }
    }
    Ok(opened)
}

async fn tasks(
    app: &App,
    op: &Op,
    plan: &Plan,
    form_version: u64,
    period: &str,
    due: NaiveDate,
) -> Result<Vec<(Task, TaskEvent)>> {
    let version = design::version(app, &plan.form, form_version).await?;
    let orgs: HashMap<String, Org> =
        app.store.orgs_list().await?.into_iter().map(|o| (o.id.clone(), o)).collect();
    let chosen: Vec<&Org> = plan.orgs.iter().filter_map(|id| orgs.get(id)).collect();
    let ids: HashMap<&str, String> = chosen.iter().map(|o| (o.id.as_str(), op.new_id())).collect();
    let mut tasks = Vec::new();
    for org in chosen {
        let id = ids.get(org.id.as_str()).cloned().unwrap_or_else(|| op.new_id());
        let above = above(&orgs, &ids, org);
        let above_task = above.and_then(|a| ids.get(a.id.as_str()).cloned());
        let task = Task {
            plan: plan.id.clone(),
            title: plan.title.clone(),
            form: plan.form.clone(),
            form_version,
            entry: version.draft.entry.clone(),
            issuer: plan.org.clone(),
            org: org.id.clone(),
            org_name: org.name_cn.clone(),
            org_code: org.uscc.clone(),
            region: org.region.clone(),
            above: above_task,
            above_org: above.map_or_else(|| plan.org.clone(), |a| a.id.clone()),
            period: period.to_owned(),
            due,
            state: TaskState::Open,
            version: 1,
            revision: 0,
            rows: 0,
            late: false,
            edited_by: String::new(),
            edited_at: String::new(),
            submitted_by: String::new(),
            submitted_name: String::new(),
            submitted_at: String::new(),
            decided_at: String::new(),
            reason: String::new(),
            totals: Totals::default(),
            explained: Vec::new(),
            landing: Landing::None,
            landed: Landed::default(),
            id,
        };
        let event = look::event(op, &task, TaskEventKind::Issued, "");
        tasks.push((task, event));
    }
    Ok(tasks)
}

/// The nearest organisation above that reports too.
fn above<'a>(
    orgs: &'a HashMap<String, Org>,
    ids: &HashMap<&str, String>,
    org: &Org,
) -> Option<&'a Org> {
    let mut at = org.parent.as_deref();
    for _ in 0..64 {
        let parent = orgs.get(at?)?;
        if ids.contains_key(parent.id.as_str()) {
            return Some(parent);
        }
        at = parent.parent.as_deref();
    }
    None
}

/// Tells the people of an organisation of a task; what happened is kept already, so that a failure is only logged.
pub(super) async fn tell(
    app: &App,
    op: &Op,
    task: &Task,
    kind: &'static str,
    org: &str,
    words: &str,
) {
    let told = Told {
        mark: format!("{kind}:{}:{}:{}", task.id, task.version, op.today()),
        kind,
        title: format!("{} {}", task.title, task.period).trim().to_owned(),
        words: words.to_owned(),
        href: format!("/console/reports/{}", task.id),
    };
    let given = async {
        let system = Op { actor: Actor::System, ..op.clone() };
        let platform = Target::plain("System", "platform");
        let permit = app.policy.permit(&system, Action::SystemWork, &platform)?;
        let mut people = Vec::new();
        for role in look::WORKERS {
            people.extend(app.store.holders(org, role, 50).await?);
        }
        notice::tell(app, &system, &permit, &people, &told).await
    };
    if let Err(e) = given.await {
        tracing::warn!(report.task = task.id, error = e.operator_text(), "a notice was not given");
    }
}

/// Plans of the caller's organisation, newest first.
pub async fn plans(app: &App, op: &Op, before: Option<&str>, limit: u32) -> Result<Page<PlanView>> {
    let org = op.actor.org().unwrap_or_default();
    let target = Target::of_org("Report", "plans", org);
    audit::permit(app, op, Action::ReportDesign, &target).await?;
    let limit = if limit == 0 { 50 } else { limit.min(200) };
    let found = app.store.report_plan_list(Some(org), before, limit + 1).await?;
    let Page { items: found, next } = Page::cut(found, limit, |p| p.id.clone());
    let mut items = Vec::new();
    for plan in found {
        items.push(view(app, plan).await?);
    }
    Ok(Page { items, next })
}

async fn view(app: &App, plan: Plan) -> Result<PlanView> {
    let form = app.store.report_form_get(&plan.form).await?;
    Ok(PlanView { form_title: form.map(|f| f.draft.title).unwrap_or_default(), plan })
}

async fn known(app: &App, op: &Op, id: &str) -> Result<(Plan, Permit)> {
    let missing = || Error::not_found("报送计划", "plan", id);
    let plan = app.store.report_plan_get(id).await?.ok_or_else(missing)?;
    let target = Target::of_org("Report", id, &plan.org);
    let permit = audit::permit_hidden(app, op, Action::ReportDesign, &target, id, missing).await?;
    Ok((plan, permit))
}

/// One plan of the caller's organisation.
pub async fn plan(app: &App, op: &Op, id: &str) -> Result<PlanView> {
    let (plan, _) = known(app, op, id).await?;
    view(app, plan).await
}

/// Stops a plan: no further period is opened; tasks that are open stay.
pub async fn stop(app: &App, op: &Op, id: &str) -> Result<()> {
    let (mut plan, permit) = known(app, op, id).await?;
    plan.state = PlanState::Stopped;
    app.store.report_plan_update(&permit, &plan).await?;
    audit::record(app, audit::event(op, "report.stop", id)).await
}

/// A task in the tree of its period.
#[derive(Clone, Debug, Serialize)]
pub struct RollUp {
    pub task: Task,
    pub depth: usize,
    pub overdue: bool,
    /// Tasks right below it, and those of them that are accepted.
    pub below: u64,
    pub below_accepted: u64,
    /// What it handed in, one for each totalled field.
    pub totals: Vec<Option<Decimal>>,
    /// Cells in which that differs from what is accepted below it.
    pub differs: u64,
}

/// The tree of a period (the newest one when none is said): who has reported, how much, what is overdue.
pub async fn roll_up(
    app: &App,
    op: &Op,
    id: &str,
    period: Option<&str>,
) -> Result<(PlanView, String, Vec<RollUp>)> {
    let view = plan(app, op, id).await?;
    let period = period.map(str::to_owned).or_else(|| view.plan.opened.clone()).unwrap_or_default();
    let mut tasks: Vec<Task> = Vec::new();
    loop {
        let filter = TaskFilter {
            plan: Some(id),
            period: Some(&period),
            after: tasks.last().map(|t| t.id.as_str()),
            limit: 1000,
            ..TaskFilter::default()
        };
        let page = app.store.report_task_list(&filter).await?;
        let last = page.len() < 1000;
        tasks.extend(page);
        if last || tasks.len() > app.rules.report.orgs_most {
            break;
        }
    }
    tasks.sort_by(|a, b| (&a.region, &a.org).cmp(&(&b.region, &b.org)));
    let draft = match tasks.first() {
        Some(task) => design::version(app, &task.form, task.form_version).await?.draft,
        None => FormDraft::default(),
    };
    let mut rows = Vec::with_capacity(tasks.len());
    branch(app, &draft, &tasks, None, op.today(), &mut rows)?;
    Ok((view, period, rows))
}

/// Tasks below one (and all below those) in the order of the tree; `above`: the task and its depth.
fn branch(
    app: &App,
    draft: &FormDraft,
    tasks: &[Task],
    above: Option<(&str, usize)>,
    today: NaiveDate,
    rows: &mut Vec<RollUp>,
) -> Result<()> {
    let depth = above.map_or(0, |(_, depth)| depth + 1);
    let id = above.map(|(id, _)| id);
    for task in tasks.iter().filter(|t| t.above.as_deref() == id) {
        let of = |t: &&Task| t.above.as_deref() == Some(task.id.as_str());
        let below: Vec<Task> = tasks.iter().filter(of).cloned().collect();
        let accepted = below.iter().filter(|t| t.state == TaskState::Accepted).count() as u64;
        let differs = if task.revision > 0 && draft.totalled().next().is_some() {
            total::between(app, draft, &task.totals, &below)?.differences.len() as u64
        } else {
            0
        };
        rows.push(RollUp {
            overdue: task.overdue(today),
            below: below.len() as u64,
            below_accepted: accepted,
            totals: draft
                .totalled()
                .enumerate()
                .map(|(n, (_, field))| task.totals.whole(n, field.total))
                .collect(),
            differs,
            task: task.clone(),
            depth,
        });
        branch(app, draft, tasks, Some((&task.id, depth)), today, rows)?;
    }
    Ok(())
}
